/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MSR face of the local APIC: IA32_APIC_BASE with its three modes, and the x2APIC
 * registers (SDM, "Extended XAPIC (x2APIC)"), where everything that the xAPIC page would
 * swallow is a #GP instead: reserved bits, read-only and missing registers.
 */
#include "hv/vdev/vlapic.h"

#define MSR_X2APIC_FIRST 0x800
#define X2APIC_REGISTERS 0x40

#define X2APIC_ICR_WRITABLE (BITS(63, 32) | BITS(19, 18) | BITS(15, 14) | BITS(11, 0))

/* Bits that may be written; registers without an entry are read-only or missing. */
static const uint32_t x2apic_writable[X2APIC_REGISTERS] = {
	[VLAPIC_TPR] = 0xff,
	[VLAPIC_SVR] = 0x11ff,
	/* Delivery status and remote IRR are read-only, not reserved: may be written back. */
	[VLAPIC_LVT_TIMER] = 0x000710ff,
	[VLAPIC_LVT_THERMAL] = 0x000117ff,
	[VLAPIC_LVT_PERF] = 0x000117ff,
	[VLAPIC_LVT_LINT0] = 0x0001f7ff,
	[VLAPIC_LVT_LINT1] = 0x0001f7ff,
	[VLAPIC_LVT_ERROR] = 0x000110ff,
	[VLAPIC_INITIAL_COUNT] = UINT32_MAX,
	[VLAPIC_DIVIDE] = 0xb,
	[VLAPIC_SELF_IPI] = 0xff,
};

static bool is_x2apic_register(const struct vlapic *vlapic, uint32_t msr)
{
	return vlapic_x2apic(vlapic) && msr >= MSR_X2APIC_FIRST &&
	       msr < MSR_X2APIC_FIRST + X2APIC_REGISTERS;
}

/* RDMSR of 0x800-0x8ff. -EPERM: #GP. */
int vlapic_msr_read(struct vlapic *vlapic, uint32_t msr, uint64_t *value)
{
	unsigned int number = msr - MSR_X2APIC_FIRST;
	uint32_t word;

	if (!is_x2apic_register(vlapic, msr)) {
		return -EPERM;
	}
	if (number == VLAPIC_ICR) {
		*value = vlapic->icr;
		return 0;
	}
	if (!vlapic_register_read(vlapic, number, &word)) {
		return -EPERM;
	}
	*value = word;
	return 0;
}

/* WRMSR to 0x800-0x8ff. -EPERM: #GP, nothing happened. */
int vlapic_msr_write(struct vlapic *vlapic, uint32_t msr, uint64_t value)
{
	unsigned int number = msr - MSR_X2APIC_FIRST;

	if (!is_x2apic_register(vlapic, msr)) {
		return -EPERM;
	}
	if (number == VLAPIC_ICR) {
		if ((value & ~X2APIC_ICR_WRITABLE) != 0) {
			return -EPERM;
		}
		vlapic->icr = value;
		vlapic_send_ipi(vlapic);
		return 0;
	}
	if (number == VLAPIC_EOI || number == VLAPIC_ESR) {
		if (value != 0) {
			return -EPERM;
		}
	} else if (x2apic_writable[number] == 0 || (value & ~(uint64_t)x2apic_writable[number])) {
		return -EPERM;
	}
	if (number == VLAPIC_SELF_IPI) {
		vlapic_self_ipi(vlapic, (uint8_t)value);
	} else {
		(void)vlapic_register_write(vlapic, number, (uint32_t)value);
	}
	return 0;
}

/*
 * WRMSR to IA32_APIC_BASE; its value is vlapic->base. -EPERM (#GP) for reserved bits, for a
 * transition that the SDM forbids ("x2APIC State Transitions"), and for another address: the
 * page does not move.
 */
int vlapic_set_base(struct vlapic *vlapic, uint64_t value)
{
	const uint64_t modes = APIC_BASE_ENABLE | APIC_BASE_X2APIC;
	uint64_t old_mode = vlapic->base & modes;
	uint64_t new_mode = value & modes;

	if ((value & ~(modes | APIC_BASE_BSP)) != VLAPIC_GPA || new_mode == APIC_BASE_X2APIC) {
		return -EPERM;
	}
	if ((old_mode == modes && new_mode == APIC_BASE_ENABLE) ||
	    (old_mode == 0 && new_mode == modes)) {
		return -EPERM;
	}
	vlapic->base = value;
	if (new_mode == 0 && old_mode != 0) {
		vlapic_reset(vlapic);
	}
	return 0;
}
