/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What VMX can do on this CPU, and turning it on. The rules below say for every control
 * what it is to us; from them and the capability MSRs (SDM, "VMX Capability Reporting
 * Facility") comes vmx_config, which every VMCS is made with. Also the two invalidations,
 * whose types are among the capabilities.
 */
#include "arch/x86/cpuid.h"
#include "arch/x86/vmx/vmx.h"

#define CPUID_FSGSBASE CPUID_FEATURE(7, 0, CPUID_EBX, 0)

struct vmx_config vmx_config;

enum need {
	REQUIRED,
	OPTIONAL,
	FORBIDDEN, /* it must be possible to leave it off */
};

struct rule {
	uint64_t bit;
	enum need need;
	const char *name;
};

static const struct rule pin_rules[] = {
	{ PIN_EXTERNAL_INTERRUPT_EXITING, REQUIRED, "external-interrupt exiting" },
	{ PIN_NMI_EXITING, REQUIRED, "NMI exiting" },
	{ PIN_VIRTUAL_NMIS, REQUIRED, "virtual NMIs" },
	{ PIN_PREEMPTION_TIMER, OPTIONAL, "VMX-preemption timer" },
};

static const struct rule primary_rules[] = {
	{ PRIMARY_INTERRUPT_WINDOW, REQUIRED, "interrupt-window exiting" },
	{ PRIMARY_TSC_OFFSETTING, REQUIRED, "TSC offsetting" },
	{ PRIMARY_HLT_EXITING, REQUIRED, "HLT exiting" },
	{ PRIMARY_MWAIT_EXITING, REQUIRED, "MWAIT exiting" },
	{ PRIMARY_RDPMC_EXITING, REQUIRED, "RDPMC exiting" },
	{ PRIMARY_CR3_LOAD_EXITING, FORBIDDEN, "CR3-load exiting" },
	{ PRIMARY_CR3_STORE_EXITING, FORBIDDEN, "CR3-store exiting" },
	{ PRIMARY_CR8_LOAD_EXITING, REQUIRED, "CR8-load exiting" },
	{ PRIMARY_CR8_STORE_EXITING, REQUIRED, "CR8-store exiting" },
	{ PRIMARY_NMI_WINDOW, REQUIRED, "NMI-window exiting" },
	{ PRIMARY_IO_BITMAPS, REQUIRED, "use I/O bitmaps" },
	{ PRIMARY_MSR_BITMAPS, REQUIRED, "use MSR bitmaps" },
	{ PRIMARY_MONITOR_EXITING, REQUIRED, "MONITOR exiting" },
	{ PRIMARY_SECONDARY_CONTROLS, REQUIRED, "secondary controls" },
};

static const struct rule secondary_rules[] = {
	{ SECONDARY_EPT, REQUIRED, "EPT" },
	{ SECONDARY_RDTSCP, OPTIONAL, "RDTSCP" },
	{ SECONDARY_VPID, OPTIONAL, "VPID" },
	{ SECONDARY_WBINVD_EXITING, REQUIRED, "WBINVD exiting" },
	{ SECONDARY_UNRESTRICTED_GUEST, REQUIRED, "unrestricted guest" },
	{ SECONDARY_INVPCID, OPTIONAL, "INVPCID" },
	{ SECONDARY_VM_FUNCTIONS, OPTIONAL, "VM functions" },
	{ SECONDARY_ENCLS_EXITING, OPTIONAL, "ENCLS exiting" },
	{ SECONDARY_PML, OPTIONAL, "page-modification logging" },
	{ SECONDARY_ENCLV_EXITING, OPTIONAL, "ENCLV exiting" },
};

/* The interrupt stays pending over an exit: the core takes it through the IDT. */
static const struct rule exit_rules[] = {
	{ EXIT_SAVE_DEBUG_CONTROLS, REQUIRED, "save debug controls" },
	{ EXIT_HOST_ADDRESS_SPACE_SIZE, REQUIRED, "host address-space size" },
	{ EXIT_ACKNOWLEDGE_INTERRUPT, FORBIDDEN, "acknowledge interrupt on exit" },
	{ EXIT_SAVE_PAT, REQUIRED, "save IA32_PAT" },
	{ EXIT_LOAD_PAT, REQUIRED, "load IA32_PAT on exit" },
	{ EXIT_SAVE_EFER, REQUIRED, "save IA32_EFER" },
	{ EXIT_LOAD_EFER, REQUIRED, "load IA32_EFER on exit" },
};

static const struct rule entry_rules[] = {
	{ ENTRY_LOAD_DEBUG_CONTROLS, REQUIRED, "load debug controls" },
	{ ENTRY_IA32E_MODE_GUEST, REQUIRED, "IA-32e mode guest" },
	{ ENTRY_LOAD_PAT, REQUIRED, "load IA32_PAT on entry" },
	{ ENTRY_LOAD_EFER, REQUIRED, "load IA32_EFER on entry" },
};

static const struct rule basic_rules[] = {
	{ VMX_BASIC_INS_OUTS_INFO, REQUIRED, "instruction information for INS and OUTS" },
	{ VMX_BASIC_TRUE_CONTROLS, REQUIRED, "TRUE control MSRs" },
};

static const struct rule ept_rules[] = {
	{ EPT_CAP_WALK_4, REQUIRED, "EPT walk of 4 levels" },
	{ EPT_CAP_WRITE_BACK, REQUIRED, "EPT tables in write-back memory" },
	{ EPT_CAP_2M, REQUIRED, "EPT pages of 2 MiB" },
	{ EPT_CAP_INVEPT, REQUIRED, "INVEPT" },
	{ EPT_CAP_INVEPT_ALL, REQUIRED, "INVEPT of all contexts" },
};

/*
 * The value of a control field: what is required, what is optional and there, and what the
 * CPU insists on. `must` are the bits that it wants to be 1, `may` those that it lets be 1.
 */
static int apply_rules(const struct rule *rules, size_t count, uint64_t must, uint64_t may,
		       uint32_t *controls, struct error_text *error)
{
	uint64_t wanted = 0;

	for (size_t i = 0; i < count; i++) {
		const struct rule *rule = &rules[i];

		if (rule->need == REQUIRED && !(may & rule->bit)) {
			return error_set(error, -ENODEV, "VMX: this CPU lacks \"%s\"", rule->name);
		}
		if (rule->need == FORBIDDEN && (must & rule->bit)) {
			return error_set(error, -ENODEV, "VMX: this CPU insists on \"%s\"",
					 rule->name);
		}
		if (rule->need != FORBIDDEN) {
			wanted |= may & rule->bit;
		}
	}
	*controls = (uint32_t)(wanted | must);
	return 0;
}

#define APPLY_TO_CONTROLS(rules, msr, controls, error)                                    \
	apply_rules(rules, ARRAY_COUNT(rules), rdmsr(msr) & UINT32_MAX, rdmsr(msr) >> 32, \
		    controls, error)

/* For capability words: each bit is there or not, nothing is insisted on. */
#define APPLY_TO_WORD(rules, word, error) \
	apply_rules(rules, ARRAY_COUNT(rules), 0, word, &(uint32_t){ 0 }, error)

static int probe_controls(struct error_text *error)
{
	struct vmx_config *config = &vmx_config;
	int status;

	status = APPLY_TO_CONTROLS(pin_rules, MSR_IA32_VMX_TRUE_PINBASED_CTLS, &config->pin, error);
	if (status == 0) {
		status = APPLY_TO_CONTROLS(primary_rules, MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
					   &config->primary, error);
	}
	if (status == 0) {
		status = APPLY_TO_CONTROLS(secondary_rules, MSR_IA32_VMX_PROCBASED_CTLS2,
					   &config->secondary, error);
	}
	if (status == 0) {
		status = APPLY_TO_CONTROLS(exit_rules, MSR_IA32_VMX_TRUE_EXIT_CTLS, &config->exit,
					   error);
	}
	if (status == 0) {
		status = APPLY_TO_CONTROLS(entry_rules, MSR_IA32_VMX_TRUE_ENTRY_CTLS,
					   &config->entry, error);
	}
	return status;
}

/* EPT and VPID: the types of invalidation. VPID without INVVPID is of no use. */
static int probe_nested(struct virt_caps *caps, struct error_text *error)
{
	uint64_t cap = rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);
	int status = APPLY_TO_WORD(ept_rules, cap, error);

	if (status != 0) {
		return status;
	}
	vmx_config.invept_type = (cap & EPT_CAP_INVEPT_SINGLE) ? INVALIDATE_SINGLE : INVALIDATE_ALL;
	vmx_config.invvpid_type = 0;
	if ((vmx_config.secondary & SECONDARY_VPID) && (cap & EPT_CAP_INVVPID) &&
	    (cap & EPT_CAP_INVVPID_ALL)) {
		vmx_config.invvpid_type =
			(cap & EPT_CAP_INVVPID_SINGLE) ? INVALIDATE_SINGLE : INVALIDATE_ALL;
	} else {
		vmx_config.secondary &= (uint32_t)~SECONDARY_VPID;
	}
	vmx_config.eptp = EPTP_WALK_4 | EPTP_WRITE_BACK |
			  ((cap & EPT_CAP_ACCESSED_DIRTY) ? EPTP_ACCESSED_DIRTY : 0);
	caps->nested_execute_only = (cap & EPT_CAP_EXECUTE_ONLY) != 0;
	caps->nested_large_1g = (cap & EPT_CAP_1G) != 0;
	caps->nested_accessed_dirty = (cap & EPT_CAP_ACCESSED_DIRTY) != 0;
	caps->tagged_tlb = vmx_config.invvpid_type != 0;
	caps->asid_count = caps->tagged_tlb ? UINT32_C(1) << 16 : 1;
	return 0;
}

/* IA32_VMX_VMFUNC exists with the control only. */
static bool has_eptp_switching(void)
{
	return (vmx_config.secondary & SECONDARY_VM_FUNCTIONS) &&
	       (rdmsr(MSR_IA32_VMX_VMFUNC) & VM_FUNCTION_EPTP_SWITCHING);
}

static int check_firmware(struct error_text *error)
{
	uint64_t control = rdmsr(MSR_IA32_FEATURE_CONTROL);

	if ((control & FEATURE_CONTROL_LOCKED) && !(control & FEATURE_CONTROL_VMX)) {
		return error_set(error, -ENODEV,
				 "VMX: the firmware has locked it out (IA32_FEATURE_CONTROL is "
				 "0x%llx): turn it on in the firmware's set-up",
				 (unsigned long long)control);
	}
	return 0;
}

/*
 * virt_ops.cpu_probe: fills `caps` and vmx_config. -ENODEV with a message that names what is
 * missing.
 */
int vmx_cpu_probe(struct virt_caps *caps, struct error_text *error)
{
	uint64_t basic;
	int status;

	if (!cpuid_has(CPUID_VMX)) {
		return error_set(error, -ENODEV, "VMX: this CPU does not have it (CPUID)");
	}
	status = check_firmware(error);
	if (status != 0) {
		return status;
	}
	basic = rdmsr(MSR_IA32_VMX_BASIC);
	status = APPLY_TO_WORD(basic_rules, basic, error);
	if (status != 0) {
		return status;
	}
	status = probe_controls(error);
	if (status != 0) {
		return status;
	}
	status = probe_nested(caps, error);
	if (status != 0) {
		return status;
	}
	vmx_config.revision = (uint32_t)FIELD_GET(VMX_BASIC_REVISION, basic);
	caps->deadline_timer = (vmx_config.pin & PIN_PREEMPTION_TIMER) != 0;
	caps->instruction_length = true;
	caps->vmfunc_eptp = has_eptp_switching();
	caps->pml = (vmx_config.secondary & SECONDARY_PML) && caps->nested_accessed_dirty;
	/* What is turned on and off later is off at first. */
	vmx_config.pin &= (uint32_t)~PIN_PREEMPTION_TIMER;
	vmx_config.primary &= (uint32_t) ~(PRIMARY_INTERRUPT_WINDOW | PRIMARY_NMI_WINDOW);
	vmx_config.secondary &= (uint32_t) ~(SECONDARY_VM_FUNCTIONS | SECONDARY_PML);
	vmx_config.entry &= (uint32_t)~ENTRY_IA32E_MODE_GUEST;
	vmx_config.timer_shift =
		(unsigned int)FIELD_GET(VMX_MISC_TIMER_SHIFT, rdmsr(MSR_IA32_VMX_MISC));
	vmx_config.cr0_fixed0 = rdmsr(MSR_IA32_VMX_CR0_FIXED0);
	vmx_config.cr0_fixed1 = rdmsr(MSR_IA32_VMX_CR0_FIXED1);
	vmx_config.cr4_fixed0 = rdmsr(MSR_IA32_VMX_CR4_FIXED0);
	vmx_config.cr4_fixed1 = rdmsr(MSR_IA32_VMX_CR4_FIXED1);
	vmx_config.cr4_guest_owned = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PGE |
				     CR4_OSFXSR | CR4_OSXMMEXCPT;
	if (cpuid_has(CPUID_FSGSBASE)) {
		vmx_config.cr4_guest_owned |= CR4_FSGSBASE;
	}
	return 0;
}

/* INVEPT and INVVPID clobber memory: they order after the stores to the tables. */
static bool invept(uint64_t type, uint64_t eptp)
{
	const uint64_t descriptor[2] = { eptp, 0 };
	bool failed;

	__asm__ volatile("invept %1, %2"
			 : "=@ccbe"(failed)
			 : "m"(descriptor), "r"(type)
			 : "memory");
	return !failed;
}

static bool invvpid(uint64_t type, uint32_t vpid)
{
	const uint64_t descriptor[2] = { vpid, 0 };
	bool failed;

	__asm__ volatile("invvpid %1, %2"
			 : "=@ccbe"(failed)
			 : "m"(descriptor), "r"(type)
			 : "memory");
	return !failed;
}

/* Drops the linear and combined translations of `asid`; without VPID every entry does. */
void vmx_flush_linear(uint32_t asid)
{
	if (vmx_config.invvpid_type != 0 && !invvpid(vmx_config.invvpid_type, asid)) {
		panic("VMX: INVVPID of %u failed", asid);
	}
}

static void flush_eptp(uint64_t eptp)
{
	uint64_t type = eptp != 0 ? vmx_config.invept_type : INVALIDATE_ALL;

	if (!invept(type, eptp)) {
		panic("VMX: INVEPT of 0x%llx failed", (unsigned long long)eptp);
	}
}

/* virt_ops.flush_asid. `nested_root` is an EPTP (virt_vcpu.nested_root); 0 means all of them. */
void vmx_flush_asid(uint32_t asid, uint64_t nested_root)
{
	flush_eptp(nested_root);
	vmx_flush_linear(asid);
}

/*
 * virt_ops.flush_root. Under EPT a CPU caches nothing but guest-physical and combined
 * mappings, and INVEPT drops those of an EPTP for every VPID.
 */
void vmx_flush_root(hpa_t root)
{
	flush_eptp(root.v | vmx_config.eptp);
}

static bool vmxon(hpa_t region)
{
	bool failed;

	__asm__ volatile("vmxon %1" : "=@ccbe"(failed) : "m"(region.v) : "memory");
	return !failed;
}

/* This CPU must be what the probe saw, and its CR0 and CR4 must be allowed. */
static int check_cpu(struct error_text *error)
{
	uint64_t cr0 = read_cr0();
	uint64_t cr4 = read_cr4();

	if (FIELD_GET(VMX_BASIC_REVISION, rdmsr(MSR_IA32_VMX_BASIC)) != vmx_config.revision) {
		return error_set(error, -EIO, "VMX: CPU %u has another VMCS revision than CPU 0",
				 this_cpu()->id);
	}
	if ((cr0 & vmx_config.cr0_fixed0) != vmx_config.cr0_fixed0 ||
	    (cr0 & ~vmx_config.cr0_fixed1) != 0 ||
	    (cr4 & vmx_config.cr4_fixed0) != vmx_config.cr4_fixed0 ||
	    (cr4 & ~vmx_config.cr4_fixed1) != 0) {
		return error_set(error, -EIO, "VMX: not allowed with CR0 0x%llx, CR4 0x%llx",
				 (unsigned long long)cr0, (unsigned long long)cr4);
	}
	return 0;
}

/*
 * virt_ops.cpu_enable: `page` is the VMXON region, in the direct map, of this CPU until
 * vmx_cpu_disable(). -ENODEV or -EIO with a message; VMX is off then.
 */
int vmx_cpu_enable(void *page, struct error_text *error)
{
	uint64_t control = rdmsr(MSR_IA32_FEATURE_CONTROL);
	int status = check_firmware(error);

	if (status != 0) {
		return status;
	}
	if (!(control & FEATURE_CONTROL_LOCKED)) {
		wrmsr(MSR_IA32_FEATURE_CONTROL,
		      control | FEATURE_CONTROL_VMX | FEATURE_CONTROL_LOCKED);
	}
	write_cr0(read_cr0() | CR0_NE);
	write_cr4(read_cr4() | CR4_VMXE);
	status = check_cpu(error);
	if (status == 0) {
		*(volatile uint32_t *)page = vmx_config.revision;
		if (!vmxon(ptr_to_hpa(page))) {
			status = error_set(error, -EIO, "VMX: VMXON failed on CPU %u",
					   this_cpu()->id);
		}
	}
	if (status != 0) {
		write_cr4(read_cr4() & ~CR4_VMXE);
		return status;
	}
	/* Nothing that a former owner of this CPU left may be used. */
	if (!invept(INVALIDATE_ALL, 0) ||
	    (vmx_config.invvpid_type != 0 && !invvpid(INVALIDATE_ALL, 0))) {
		panic("VMX: INVEPT or INVVPID failed on CPU %u", this_cpu()->id);
	}
	return 0;
}

/* virt_ops.cpu_disable: no VMCS is current on this CPU any more. */
void vmx_cpu_disable(void)
{
	__asm__ volatile("vmxoff" : : : "cc", "memory");
	write_cr4(read_cr4() & ~CR4_VMXE);
}
