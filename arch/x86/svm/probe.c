/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the CPU offers of SVM, and turning it on and off. Required is nested paging; all else
 * is optional and noted in svm_features.
 */
#include "arch/x86/cpu.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/svm/svm.h"

#define CPUID_SVM_LEAF 0x8000000au
#define SVM_EDX_NP BIT(0)
#define SVM_EDX_NEXT_RIP BIT(3)
#define SVM_EDX_VMCB_CLEAN BIT(5)
#define SVM_EDX_FLUSH_BY_ASID BIT(6)
#define SVM_EDX_DECODE_ASSISTS BIT(7)

struct svm_features svm_features;

/* See virt_ops.cpu_probe. */
int svm_cpu_probe(struct virt_caps *caps, struct error_text *error)
{
	struct cpuid_result leaf = cpuid_checked(CPUID_SVM_LEAF, 0);
	uint64_t vm_cr;

	if (!cpuid_has(CPUID_SVM)) {
		return error_set(error, -ENODEV, "this CPU has no SVM");
	}
	/* Where there is no VM_CR nothing can have disabled SVM. */
	rdmsr_safe(MSR_VM_CR, &vm_cr);
	if ((vm_cr & VM_CR_SVMDIS) && (vm_cr & VM_CR_LOCK)) {
		return error_set(error, -ENODEV,
				 "the firmware has disabled SVM and locked it (VM_CR.SVMDIS, "
				 "LOCK): enable virtualisation in its set-up");
	}
	if (!(leaf.edx & SVM_EDX_NP)) {
		return error_set(error, -ENODEV,
				 "SVM without nested paging (CPUID 8000000A.EDX.NP)");
	}
	if (leaf.ebx < 2) {
		return error_set(error, -ENODEV, "SVM without an ASID for guests (NASID is %u)",
				 leaf.ebx);
	}
	svm_features = (struct svm_features){
		.next_rip = (leaf.edx & SVM_EDX_NEXT_RIP) != 0,
		.decode_assists = (leaf.edx & SVM_EDX_DECODE_ASSISTS) != 0,
		.flush_by_asid = (leaf.edx & SVM_EDX_FLUSH_BY_ASID) != 0,
		.clean = (leaf.edx & SVM_EDX_VMCB_CLEAN) ? VMCB_CLEAN_ALL : 0,
	};
	*caps = (struct virt_caps){
		.nested_large_1g = cpuid_has(CPUID_PAGE_1G),
		.nested_accessed_dirty = true,
		.instruction_length = svm_features.next_rip,
		.tagged_tlb = true,
		.asid_count = leaf.ebx,
	};
	return 0;
}

/* See virt_ops.cpu_enable. `page` is in the direct map; the CPU keeps host state in it. */
int svm_cpu_enable(void *page, struct error_text *error)
{
	uint64_t vm_cr;

	if (rdmsr_safe(MSR_VM_CR, &vm_cr) && (vm_cr & VM_CR_SVMDIS)) {
		wrmsr_safe(MSR_VM_CR, vm_cr & ~VM_CR_SVMDIS);
		rdmsr_safe(MSR_VM_CR, &vm_cr);
		if (vm_cr & VM_CR_SVMDIS) {
			return error_set(error, -ENODEV, "CPU %u: SVM is disabled (VM_CR.SVMDIS)",
					 this_cpu()->id);
		}
	}
	if (!wrmsr_safe(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME)) {
		return error_set(error, -ENODEV, "CPU %u: refuses EFER.SVME", this_cpu()->id);
	}
	wrmsr(MSR_VM_HSAVE_PA, ptr_to_hpa(page).v);
	return 0;
}

/* No guest runs here afterwards. */
void svm_cpu_disable(void)
{
	wrmsr(MSR_VM_HSAVE_PA, 0);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SVME);
}
