/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMCSs: made once for each vCPU from vmx_config, made current on a CPU by vcpu_load, given
 * back to memory by vcpu_put (so that the vCPU may go on elsewhere). Between load and put
 * the CPU also holds those registers of the guest that neither the VMCS nor entry.asm
 * switches: CR2, DR6, the SYSCALL MSRs, and what virt_extended_load() does.
 */
#include "arch/x86/cpu.h"
#include "arch/x86/vmx/vmx.h"
#include "lib/string.h"

/* Ties asm_offsets.inc to the structures. */
#define VMX_OFFSET(name, value) enum { name = (value) };
#include "arch/x86/vmx/asm_offsets.inc"
#undef VMX_OFFSET
static_assert(offsetof(struct virt_vcpu, regs) == 0 && GPR_RBX == 3 && GPR_RBP == 5 &&
		      GPR_RDI == 7 && GPR_R15 == 15,
	      "registers by number");
static_assert(VCPU_LAUNCHED == offsetof(struct virt_vcpu, launched), "launched");
static_assert(VCPU_HOST_RSP == offsetof(struct virt_vcpu, scratch[VMX_SCRATCH_HOST_RSP]), "rsp");
static_assert(FIELD_HOST_RSP == (int)VMCS_HOST_RSP, "field");

/* The CPU refused a field that our own code named: a bug of the hypervisor. */
void vmcs_refused(uint64_t field)
{
	uint64_t why = 0;

	if (!vmcs_try_read(VMCS_INSTRUCTION_ERROR, &why)) {
		panic("VMX: field 0x%llx used without a current VMCS", (unsigned long long)field);
	}
	panic("VMX: field 0x%llx refused, VM-instruction error %llu", (unsigned long long)field,
	      (unsigned long long)why);
}

static bool vmclear(const void *vmcs)
{
	hpa_t region = ptr_to_hpa(vmcs);
	bool failed;

	/* Clobbers memory: the CPU may hold parts of the VMCS and writes them back here. */
	__asm__ volatile("vmclear %1" : "=@ccbe"(failed) : "m"(region.v) : "memory");
	return !failed;
}

static bool vmptrld(hpa_t region)
{
	bool failed;

	/* Clobbers memory: from here the accessors mean another VMCS. */
	__asm__ volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(region.v) : "memory");
	return !failed;
}

#define VMCS_NONE UINT64_MAX

static hpa_t vmptrst(void)
{
	uint64_t region;

	__asm__ volatile("vmptrst %0" : "=m"(region) : : "cc");
	return hpa(region);
}

/* What passes without an exit. FS, GS and SYSENTER live in the VMCS, the others in the CPU. */
static const uint32_t passed_msrs[] = {
	MSR_IA32_SYSENTER_CS,
	MSR_IA32_SYSENTER_ESP,
	MSR_IA32_SYSENTER_EIP,
	MSR_STAR,
	MSR_LSTAR,
	MSR_CSTAR,
	MSR_SFMASK,
	MSR_FS_BASE,
	MSR_GS_BASE,
	MSR_KERNEL_GS_BASE,
	MSR_TSC_AUX,
};

/* SDM, "MSR-Bitmap Address": 1 KiB each for reads low, reads high, writes low, writes high. */
static void msr_bitmap_pass(uint8_t *bitmap, uint32_t msr)
{
	uint32_t index = msr & 0x1fff;
	size_t byte = (msr >= 0xc0000000 ? 1024 : 0) + index / 8;
	uint8_t keep = (uint8_t) ~(1u << (index % 8));

	bitmap[byte] &= keep;
	bitmap[2048 + byte] &= keep;
}

/* virt_ops.partition_init. Of the bitmaps VMX uses 2 pages (ports) and 1 (MSRs). */
static void vmx_partition_init(struct virt_partition *partition)
{
	memset(partition->io_bitmap, 0xff, 3 * PAGE_SIZE);
	memset(partition->msr_bitmap, 0xff, 2 * PAGE_SIZE);
	for (size_t i = 0; i < ARRAY_COUNT(passed_msrs); i++) {
		msr_bitmap_pass(partition->msr_bitmap, passed_msrs[i]);
	}
}

/*
 * #DB and #AC: a guest can make them recur for ever in microcode, where no interrupt comes
 * through; an exit breaks the loop. #MC is the host's.
 */
#define EXCEPTION_BITMAP ((uint32_t)(BIT(VECTOR_DB) | BIT(VECTOR_AC) | BIT(VECTOR_MC)))

struct field_value {
	uint64_t field;
	uint64_t value;
};

/* Writes each; the first field that is refused, or 0. */
static uint64_t write_fields(const struct field_value *fields, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!vmcs_try_write(fields[i].field, fields[i].value)) {
			return fields[i].field;
		}
	}
	return 0;
}

/* All controls of the VMCS that is current. Returns the field that is refused, or 0. */
static uint64_t write_controls(struct virt_vcpu *vcpu)
{
	const uint8_t *io = vcpu->partition->io_bitmap;
	const struct field_value fields[] = {
		{ VMCS_PIN_BASED_CONTROLS, vmx_config.pin },
		{ VMCS_PRIMARY_CONTROLS, vmx_config.primary },
		{ VMCS_SECONDARY_CONTROLS, vmx_config.secondary },
		{ VMCS_EXIT_CONTROLS, vmx_config.exit },
		{ VMCS_ENTRY_CONTROLS, vmx_config.entry },
		{ VMCS_EXCEPTION_BITMAP, EXCEPTION_BITMAP },
		{ VMCS_PAGE_FAULT_ERROR_MASK, 0 },
		{ VMCS_PAGE_FAULT_ERROR_MATCH, 0 },
		{ VMCS_CR3_TARGET_COUNT, 0 },
		{ VMCS_EXIT_MSR_STORE_COUNT, 0 },
		{ VMCS_EXIT_MSR_LOAD_COUNT, 0 },
		{ VMCS_ENTRY_MSR_LOAD_COUNT, 0 },
		{ VMCS_IO_BITMAP_A, ptr_to_hpa(io).v },
		{ VMCS_IO_BITMAP_B, ptr_to_hpa(io + PAGE_SIZE).v },
		{ VMCS_MSR_BITMAPS, ptr_to_hpa(vcpu->partition->msr_bitmap).v },
		{ VMCS_TSC_OFFSET, 0 },
		{ VMCS_EPT_POINTER, vcpu->nested_root },
		{ VMCS_CR0_GUEST_HOST_MASK, ~VMX_CR0_GUEST_OWNED },
		{ VMCS_CR4_GUEST_HOST_MASK, ~vmx_config.cr4_guest_owned },
		{ VMCS_LINK_POINTER, UINT64_MAX },
		{ VMCS_GUEST_IA32_DEBUGCTL, 0 },
	};
	const struct field_value vpid[] = { { VMCS_VPID, vcpu->asid } };
	const struct field_value encls[] = { { VMCS_ENCLS_EXITING_BITMAP, UINT64_MAX } };
	const struct field_value enclv[] = { { VMCS_ENCLV_EXITING_BITMAP, UINT64_MAX } };
	uint64_t refused = write_fields(fields, ARRAY_COUNT(fields));

	if (refused == 0 && (vmx_config.secondary & SECONDARY_VPID)) {
		refused = write_fields(vpid, ARRAY_COUNT(vpid));
	}
	if (refused == 0 && (vmx_config.secondary & SECONDARY_ENCLS_EXITING)) {
		refused = write_fields(encls, ARRAY_COUNT(encls));
	}
	if (refused == 0 && (vmx_config.secondary & SECONDARY_ENCLV_EXITING)) {
		refused = write_fields(enclv, ARRAY_COUNT(enclv));
	}
	return refused;
}

/* What is not in the VMCS, and what the backend itself keeps, as after reset. */
static void reset_vcpu(struct virt_vcpu *vcpu, const struct vcpu_state *state)
{
	vcpu->offer = VIRT_NO_OFFER;
	vcpu->launched = false;
	vcpu->flush = true;
	vcpu->nmi_pending = false;
	vcpu->cr2 = state->cr2;
	virt_extended_reset(vcpu);
	vcpu->msr_kernel_gs_base = state->kernel_gs_base;
	vcpu->msr_star = state->star;
	vcpu->msr_lstar = state->lstar;
	vcpu->msr_cstar = state->cstar;
	vcpu->msr_sfmask = state->sfmask;
	vcpu->scratch[VMX_SCRATCH_HOST_RSP] = 0;
	vcpu->scratch[VMX_SCRATCH_PRIMARY] = vmx_config.primary;
	vcpu->scratch[VMX_SCRATCH_DEADLINE] = VMX_NEVER;
	vcpu->scratch[VMX_SCRATCH_LAST_CPU] = this_cpu()->id;
	vcpu->scratch[VMX_SCRATCH_VIEW_COUNT] = 0;
	memset(vcpu->page[1], 0, PAGE_SIZE);
}

/* virt_ops.vcpu_init: the vCPU is not loaded anywhere; another may be loaded here. */
static int vmx_vcpu_init(struct virt_vcpu *vcpu, struct error_text *error)
{
	void *vmcs = vcpu->page[0];
	hpa_t former = vmptrst();
	struct vcpu_state state;
	uint64_t refused;

	*(volatile uint32_t *)vmcs = vmx_config.revision;
	if (!vmclear(vmcs) || !vmptrld(ptr_to_hpa(vmcs))) {
		return error_set(error, -EIO, "VMX: the CPU refuses the VMCS at " PRIhpa,
				 ADDR_ARG(ptr_to_hpa(vmcs)));
	}
	refused = write_controls(vcpu);
	if (refused == 0) {
		vcpu_state_reset(&state);
		reset_vcpu(vcpu, &state);
		vmx_write_guest_fields(vcpu, &state);
		vmcs_write_natural(VMCS_HOST_RSP, 0);
	}
	if (!vmclear(vmcs) || (former.v != VMCS_NONE && !vmptrld(former))) {
		panic("VMX: cannot go back to the VMCS at " PRIhpa, ADDR_ARG(former));
	}
	if (refused != 0) {
		return error_set(error, -EIO, "VMX: the CPU refuses VMCS field 0x%llx",
				 (unsigned long long)refused);
	}
	return 0;
}

/* This CPU and this address space, as every exit restores them; RSP: entry.asm. */
static void write_host_fields(void)
{
	vmcs_write_natural(VMCS_HOST_CR0, read_cr0());
	vmcs_write_natural(VMCS_HOST_CR3, read_cr3());
	vmcs_write_natural(VMCS_HOST_CR4, read_cr4());
	vmcs_write16(VMCS_HOST_CS_SELECTOR, SELECTOR_CODE);
	vmcs_write16(VMCS_HOST_SS_SELECTOR, SELECTOR_DATA);
	vmcs_write16(VMCS_HOST_DS_SELECTOR, SELECTOR_DATA);
	vmcs_write16(VMCS_HOST_ES_SELECTOR, SELECTOR_DATA);
	vmcs_write16(VMCS_HOST_FS_SELECTOR, 0);
	vmcs_write16(VMCS_HOST_GS_SELECTOR, 0);
	vmcs_write16(VMCS_HOST_TR_SELECTOR, SELECTOR_TSS);
	vmcs_write_natural(VMCS_HOST_FS_BASE, 0);
	vmcs_write_natural(VMCS_HOST_GS_BASE, (uintptr_t)this_cpu());
	vmcs_write_natural(VMCS_HOST_TR_BASE, (uintptr_t)&this_cpu()->tss);
	vmcs_write_natural(VMCS_HOST_GDTR_BASE, sgdt().base);
	vmcs_write_natural(VMCS_HOST_IDTR_BASE, sidt().base);
	vmcs_write64(VMCS_HOST_IA32_PAT, rdmsr(MSR_IA32_PAT));
	vmcs_write64(VMCS_HOST_IA32_EFER, rdmsr(MSR_EFER));
	vmcs_write32(VMCS_HOST_SYSENTER_CS, 0);
	vmcs_write_natural(VMCS_HOST_SYSENTER_ESP, 0);
	vmcs_write_natural(VMCS_HOST_SYSENTER_EIP, 0);
	vmcs_write_natural(VMCS_HOST_RIP, (uintptr_t)vmx_exit_point);
}

/* virt_ops.vcpu_load. What a CPU cached when the vCPU was there before may be stale. */
static void vmx_vcpu_load(struct virt_vcpu *vcpu)
{
	if (vcpu->scratch[VMX_SCRATCH_LAST_CPU] != this_cpu()->id) {
		vcpu->scratch[VMX_SCRATCH_LAST_CPU] = this_cpu()->id;
		vcpu->flush = true;
	}
	if (!vmptrld(ptr_to_hpa(vcpu->page[0]))) {
		panic("VMX: VMPTRLD of " PRIhpa " failed", ADDR_ARG(ptr_to_hpa(vcpu->page[0])));
	}
	write_host_fields();
	write_cr2(vcpu->cr2);
	write_dr6(vcpu->dr6);
	wrmsr(MSR_KERNEL_GS_BASE, vcpu->msr_kernel_gs_base);
	wrmsr(MSR_STAR, vcpu->msr_star);
	wrmsr(MSR_LSTAR, vcpu->msr_lstar);
	wrmsr(MSR_CSTAR, vcpu->msr_cstar);
	wrmsr(MSR_SFMASK, vcpu->msr_sfmask);
	virt_extended_load(vcpu);
}

/* virt_ops.vcpu_put */
static void vmx_vcpu_put(struct virt_vcpu *vcpu)
{
	virt_extended_put(vcpu);
	vcpu->cr2 = read_cr2();
	vcpu->dr6 = read_dr6();
	vcpu->msr_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE);
	vcpu->msr_star = rdmsr(MSR_STAR);
	vcpu->msr_lstar = rdmsr(MSR_LSTAR);
	vcpu->msr_cstar = rdmsr(MSR_CSTAR);
	vcpu->msr_sfmask = rdmsr(MSR_SFMASK);
	if (!vmclear(vcpu->page[0])) {
		panic("VMX: VMCLEAR of " PRIhpa " failed", ADDR_ARG(ptr_to_hpa(vcpu->page[0])));
	}
	vcpu->launched = false;
}

const struct virt_ops vmx_ops = {
	.name = "VMX",
	.cpu_probe = vmx_cpu_probe,
	.cpu_enable = vmx_cpu_enable,
	.cpu_disable = vmx_cpu_disable,
	.partition_init = vmx_partition_init,
	.vcpu_init = vmx_vcpu_init,
	.vcpu_load = vmx_vcpu_load,
	.vcpu_put = vmx_vcpu_put,
	.enter = vmx_enter,
	.inject_exception = vmx_inject_exception,
	.set_rip = vmx_set_rip,
	.interrupts_enabled = vmx_interrupts_enabled,
	.get_rsp = vmx_get_rsp,
	.get_rflags = vmx_get_rflags,
	.set_rsp = vmx_set_rsp,
	.set_rflags = vmx_set_rflags,
	.get_paging = vmx_get_paging,
	.get_segment = vmx_get_segment,
	.set_crs = vmx_set_crs,
	.get_state = vmx_get_state,
	.set_state = vmx_set_state,
	.set_pat = vmx_set_pat,
	.set_root = vmx_set_root,
	.get_root = vmx_get_root,
	.set_view_list = vmx_set_view_list,
	.set_tsc_offset = vmx_set_tsc_offset,
	.set_deadline = vmx_set_deadline,
	.flush_asid = vmx_flush_asid,
	.flush_root = vmx_flush_root,
};
