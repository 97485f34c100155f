/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RDMSR and WRMSR that exit. What is not named here does not exist for a guest: #GP(0),
 * noted once per number. MSRs that the backends pass through never come here.
 */
#include "hv/msr.h"

#include "arch/x86/cpu.h"
#include "hv/mtrr.h"
#include "hv/partition.h"
#include "hv/pvclock.h"
#include "lib/log.h"

#define PAT_RESET UINT64_C(0x0007040600070406)
#define MISC_ENABLE_RESET (BIT(0) | BIT(11) | BIT(12)) /* fast strings; no BTS, no PEBS */
#define MISC_ENABLE_WRITABLE (BIT(0) | BIT(16) | BIT(18) | BIT(22) | BIT(34))

/* MSRs that read as a constant. Writes: ignored, or #GP where a CPU has them read-only. */
struct constant_msr {
	uint32_t number;
	bool ignores_writes;
	uint64_t value;
};

/* What operating systems touch without asking CPUID first. */
static const struct constant_msr constants[] = {
	{ MSR_IA32_PLATFORM_ID, false, 0 },
	{ MSR_IA32_FEATURE_CONTROL, false, FEATURE_CONTROL_LOCKED },
	{ MSR_IA32_BIOS_UPDT_TRIG, true, 0 },
	{ MSR_IA32_BIOS_SIGN_ID, true, 0 },
	{ MSR_PLATFORM_INFO, false, 0 },
	{ MSR_IA32_MCG_CAP, false, 0 },
	{ MSR_IA32_MCG_STATUS, true, 0 },
	{ MSR_IA32_DEBUGCTL, true, 0 },
	{ MSR_SYSCFG, true, 0 },
	{ MSR_HWCR, true, 0 },
	{ MSR_NB_CFG, true, 0 },
	{ MSR_INT_PENDING_MESSAGE, true, 0 },
	{ MSR_DE_CFG, false, MSR_DE_CFG_LFENCE_SERIALIZES },
};

void msr_state_init(struct msr_state *msrs)
{
	*msrs = (struct msr_state){
		.pat = PAT_RESET,
		.misc_enable = MISC_ENABLE_RESET,
		/* As firmware leaves it: enabled, everything write-back. */
		.mtrr_default = BIT(11) | 6,
	};
}

static const struct constant_msr *find_constant(uint32_t number)
{
	for (unsigned int i = 0; i < ARRAY_COUNT(constants); i++) {
		if (constants[i].number == number) {
			return &constants[i];
		}
	}
	return NULL;
}

/* An MSR that is not there: remembered, said once per number, #GP. */
static enum outcome deny(struct vcpu *vcpu, uint32_t number, const char *what)
{
	struct msr_state *msrs = &vcpu->partition->msrs;

	msrs->denied_accesses++;
	for (unsigned int i = 0; i < msrs->denied_count; i++) {
		if (msrs->denied[i] == number) {
			return inject_gp(vcpu);
		}
	}
	if (msrs->denied_count < MSR_DENIED_MAX) {
		msrs->denied[msrs->denied_count++] = number;
		log_printf("%s: %s of unknown MSR 0x%x at rip 0x%llx: #GP", vcpu->partition->name,
			   what, number, (unsigned long long)vcpu->exit.rip);
	}
	return inject_gp(vcpu);
}

static enum outcome read_done(struct vcpu *vcpu, uint64_t value)
{
	vcpu->virt.regs.gpr[GPR_RAX] = value & BITS(31, 0);
	vcpu->virt.regs.gpr[GPR_RDX] = value >> 32;
	return OUTCOME_NEXT;
}

static bool is_x2apic(uint32_t number)
{
	return number >= MSR_X2APIC_BASE && number <= MSR_X2APIC_LAST;
}

/* Deadlines are in the guest's TSC, the device's in partition time; 0 means disarmed. */
static uint64_t read_deadline(struct partition *partition)
{
	uint64_t deadline = vlapic_deadline(&partition->devices.vlapic);

	return deadline ? deadline + partition->tsc_adjust : 0;
}

static enum outcome write_deadline(struct partition *partition, uint64_t value)
{
	if (value && partition->tsc_adjust) {
		uint64_t now = rdtsc() + partition->tsc_offset + partition->tsc_adjust;

		/* What has passed must not become the far future by wrapping. */
		value = value > now ? value - partition->tsc_adjust : 1;
	}
	vlapic_set_deadline(&partition->devices.vlapic, value);
	return OUTCOME_NEXT;
}

enum outcome exit_msr_read(struct vcpu *vcpu)
{
	struct partition *partition = vcpu->partition;
	struct vlapic *vlapic = &partition->devices.vlapic;
	uint32_t number = vcpu->exit.msr;
	const struct constant_msr *constant;
	struct virt_paging paging;
	uint64_t value;

	if (is_x2apic(number)) {
		return vlapic_msr_read(vlapic, number, &value) ? inject_gp(vcpu)
							       : read_done(vcpu, value);
	}
	switch (number) {
	case MSR_IA32_TSC:
		return read_done(vcpu, rdtsc() + partition->tsc_offset + partition->tsc_adjust);
	case MSR_IA32_APIC_BASE:
		return read_done(vcpu, vlapic->base);
	case MSR_IA32_TSC_DEADLINE:
		return read_done(vcpu, read_deadline(partition));
	case MSR_IA32_PAT:
		return read_done(vcpu, partition->msrs.pat);
	case MSR_IA32_MISC_ENABLE:
		return read_done(vcpu, partition->msrs.misc_enable);
	case MSR_EFER:
		virt->get_paging(&vcpu->virt, &paging);
		return read_done(vcpu, paging.efer);
	case MSR_KVM_SYSTEM_TIME_NEW:
		return read_done(vcpu, partition->msrs.pvclock);
	case MSR_KVM_WALL_CLOCK_NEW:
		return read_done(vcpu, 0);
	default:
		break;
	}
	if (mtrr_is(number)) {
		return read_done(vcpu, mtrr_read(&partition->msrs, number));
	}
	constant = find_constant(number);
	return constant ? read_done(vcpu, constant->value) : deny(vcpu, number, "read");
}

/* SDM, "IA32_PAT MSR": each byte is one of the memory types. */
static bool pat_is_valid(uint64_t value)
{
	for (unsigned int byte = 0; byte < 8; byte++) {
		uint64_t type = (value >> (8 * byte)) & 0xff;

		if (type > 7 || type == 2 || type == 3) {
			return false;
		}
	}
	return true;
}

static enum outcome write_pat(struct vcpu *vcpu, uint64_t value)
{
	if (!pat_is_valid(value)) {
		return inject_gp(vcpu);
	}
	vcpu->partition->msrs.pat = value;
	virt->set_pat(&vcpu->virt, value);
	return OUTCOME_NEXT;
}

/* The guest's TSC is partition time plus what it wrote; devices keep partition time. */
static enum outcome write_tsc(struct vcpu *vcpu, uint64_t value)
{
	struct partition *partition = vcpu->partition;

	partition->tsc_adjust = value - (rdtsc() + partition->tsc_offset);
	virt->set_tsc_offset(&vcpu->virt, partition->tsc_offset + partition->tsc_adjust);
	if (partition->msrs.pvclock) {
		(void)!pvclock_set_time(partition, partition->msrs.pvclock);
	}
	return OUTCOME_NEXT;
}

/* The outcome of a write that a device or a table took (0) or refused. */
static enum outcome taken(struct vcpu *vcpu, int status)
{
	return status ? inject_gp(vcpu) : OUTCOME_NEXT;
}

enum outcome exit_msr_write(struct vcpu *vcpu)
{
	struct partition *partition = vcpu->partition;
	struct vlapic *vlapic = &partition->devices.vlapic;
	const uint64_t *gpr = vcpu->virt.regs.gpr;
	uint64_t value = (gpr[GPR_RDX] & BITS(31, 0)) << 32 | (gpr[GPR_RAX] & BITS(31, 0));
	uint32_t number = vcpu->exit.msr;
	const struct constant_msr *constant;

	if (is_x2apic(number)) {
		return taken(vcpu, vlapic_msr_write(vlapic, number, value));
	}
	switch (number) {
	case MSR_IA32_TSC_DEADLINE:
		return write_deadline(partition, value);
	case MSR_IA32_TSC:
		return write_tsc(vcpu, value);
	case MSR_IA32_APIC_BASE:
		return taken(vcpu, vlapic_set_base(vlapic, value));
	case MSR_IA32_PAT:
		return write_pat(vcpu, value);
	case MSR_IA32_MISC_ENABLE:
		partition->msrs.misc_enable = MISC_ENABLE_RESET & ~MISC_ENABLE_WRITABLE;
		partition->msrs.misc_enable |= value & MISC_ENABLE_WRITABLE;
		return OUTCOME_NEXT;
	case MSR_EFER:
		return exit_efer_write(vcpu, value);
	case MSR_KVM_SYSTEM_TIME_NEW:
		return taken(vcpu, pvclock_set_time(partition, value));
	case MSR_KVM_WALL_CLOCK_NEW:
		return taken(vcpu, pvclock_set_wall_clock(partition, value));
	default:
		break;
	}
	if (mtrr_is(number)) {
		return mtrr_write(&partition->msrs, number, value) ? OUTCOME_NEXT : inject_gp(vcpu);
	}
	constant = find_constant(number);
	if (!constant) {
		return deny(vcpu, number, "write");
	}
	return constant->ignores_writes ? OUTCOME_NEXT : inject_gp(vcpu);
}
