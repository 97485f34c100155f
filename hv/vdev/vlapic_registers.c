/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The registers of the local APIC by number, and their face as the xAPIC page. The x2APIC
 * face, which refuses more, is in vlapic_msr.c and comes through here.
 */
#include "hv/vdev/vlapic.h"

#define VERSION_NUMBER 0x14
#define VERSION_NO_EOI_BROADCAST BIT(24)

#define ICR_WRITABLE (BITS(19, 18) | BITS(15, 14) | BITS(11, 0))

/* What software may change in the LVTs from timer to error. */
static const uint32_t lvt_writable[VLAPIC_LVT_COUNT] = {
	0x000700ff, 0x000107ff, 0x000107ff, 0x0001a7ff, 0x0001a7ff, 0x000100ff,
};

/* Register `index` of the eight that show a bitmap. */
static uint32_t vectors_register(const struct vlapic_vectors *vectors, unsigned int index)
{
	return (uint32_t)(vectors->words[index / 2] >> (32 * (index % 2)));
}

static void write_svr(struct vlapic *vlapic, uint32_t value)
{
	vlapic->svr = value & (uint32_t)(SVR_NO_EOI_BROADCAST | SVR_ENABLE | 0xff);
	if ((vlapic->svr & SVR_ENABLE) != 0) {
		return;
	}
	vlapic_timer_set_lvt(vlapic, vlapic->lvt[0] | (uint32_t)LVT_MASKED);
	for (unsigned int i = 1; i < VLAPIC_LVT_COUNT; i++) {
		vlapic->lvt[i] |= (uint32_t)LVT_MASKED;
	}
}

static void write_lvt(struct vlapic *vlapic, unsigned int number, uint32_t value)
{
	unsigned int index = number - VLAPIC_LVT_TIMER;

	value &= lvt_writable[index];
	if ((vlapic->svr & SVR_ENABLE) == 0) {
		value |= (uint32_t)LVT_MASKED;
	}
	if (number == VLAPIC_LVT_TIMER) {
		vlapic_timer_set_lvt(vlapic, value);
	} else {
		vlapic->lvt[index] = value;
	}
}

/*
 * Reads register `number` as the current mode shows it; false when there is none to read. The
 * 64-bit ICR of x2APIC mode is the caller's.
 */
bool vlapic_register_read(struct vlapic *vlapic, unsigned int number, uint32_t *value)
{
	bool x2apic = vlapic_x2apic(vlapic);

	switch (number) {
	case VLAPIC_ID:
		*value = x2apic ? vlapic->id : vlapic->id << 24;
		return true;
	case VLAPIC_VERSION:
		*value = (uint32_t)(VERSION_NO_EOI_BROADCAST | VERSION_NUMBER) |
			 ((VLAPIC_LVT_COUNT - 1) << 16);
		return true;
	case VLAPIC_TPR:
		*value = vlapic->tpr;
		return true;
	case VLAPIC_PPR:
		*value = vlapic->ppr;
		return true;
	case VLAPIC_LDR:
		*value = x2apic ? vlapic_x2apic_ldr(vlapic) : vlapic->ldr;
		return true;
	case VLAPIC_DFR:
		*value = vlapic->dfr;
		return !x2apic;
	case VLAPIC_SVR:
		*value = vlapic->svr;
		return true;
	case VLAPIC_ISR ... VLAPIC_ISR + 7:
		*value = vectors_register(&vlapic->isr, number - VLAPIC_ISR);
		return true;
	case VLAPIC_TMR ... VLAPIC_TMR + 7:
		*value = vectors_register(&vlapic->tmr, number - VLAPIC_TMR);
		return true;
	case VLAPIC_IRR ... VLAPIC_IRR + 7:
		*value = vectors_register(&vlapic->irr, number - VLAPIC_IRR);
		return true;
	case VLAPIC_ESR:
		*value = vlapic->esr;
		return true;
	case VLAPIC_ICR:
		*value = (uint32_t)vlapic->icr;
		return true;
	case VLAPIC_ICR_HIGH:
		*value = (uint32_t)(vlapic->icr >> 32);
		return !x2apic;
	case VLAPIC_LVT_TIMER ... VLAPIC_LVT_ERROR:
		*value = vlapic->lvt[number - VLAPIC_LVT_TIMER];
		return true;
	case VLAPIC_INITIAL_COUNT:
		*value = vlapic->initial;
		return true;
	case VLAPIC_CURRENT_COUNT:
		*value = vlapic_timer_current(vlapic);
		return true;
	case VLAPIC_DIVIDE:
		*value = vlapic->divide;
		return true;
	default:
		*value = 0;
		return false;
	}
}

/*
 * Writes register `number` by the rules of the xAPIC page (x2APIC mode checks first); false
 * when there is none. Read-only registers swallow it.
 */
bool vlapic_register_write(struct vlapic *vlapic, unsigned int number, uint32_t value)
{
	uint32_t ignored;

	switch (number) {
	case VLAPIC_TPR:
		vlapic_set_tpr(vlapic, (uint8_t)value);
		return true;
	case VLAPIC_EOI:
		vlapic_eoi(vlapic);
		return true;
	case VLAPIC_LDR:
		vlapic->ldr = value & (uint32_t)LDR_ID;
		return true;
	case VLAPIC_DFR:
		vlapic->dfr = value | ~(uint32_t)DFR_MODEL;
		return true;
	case VLAPIC_SVR:
		write_svr(vlapic, value);
		return true;
	case VLAPIC_ESR:
		vlapic->esr = vlapic->esr_pending;
		vlapic->esr_pending = 0;
		return true;
	case VLAPIC_ICR:
		vlapic->icr = (vlapic->icr & ICR_DESTINATION) | (value & ICR_WRITABLE);
		vlapic_send_ipi(vlapic);
		return true;
	case VLAPIC_ICR_HIGH:
		vlapic->icr = (vlapic->icr & ICR_WRITABLE) | ((uint64_t)(value & LDR_ID) << 32);
		return true;
	case VLAPIC_LVT_TIMER ... VLAPIC_LVT_ERROR:
		write_lvt(vlapic, number, value);
		return true;
	case VLAPIC_INITIAL_COUNT:
		vlapic_timer_set_initial(vlapic, value);
		return true;
	case VLAPIC_DIVIDE:
		vlapic_timer_set_divide(vlapic, value & 0xb);
		return true;
	default:
		return vlapic_register_read(vlapic, number, &ignored);
	}
}

/* SDM, "Accessing the APIC Registers": aligned to 16 bytes, 32 bits wide. The rest is void. */
static bool is_register_access(uint64_t offset, unsigned int size)
{
	return size == 4 && is_aligned(offset, 16) && offset < VLAPIC_SIZE;
}

/* Reads `size` bytes at `offset` of the xAPIC page; undriven unless in xAPIC mode. */
void vlapic_mmio_read(void *device, uint64_t offset, unsigned int size, uint64_t *value)
{
	struct vlapic *vlapic = device;
	uint32_t word = 0;

	if (!vlapic_hw_enabled(vlapic) || vlapic_x2apic(vlapic)) {
		*value = BITS(size * 8 - 1, 0);
		return;
	}
	if (is_register_access(offset, size) && offset / 16 != VLAPIC_EOI &&
	    !vlapic_register_read(vlapic, (unsigned int)(offset / 16), &word)) {
		vlapic_raise_error(vlapic, ESR_ILLEGAL_REGISTER);
	}
	*value = word;
}

/* Writes to the xAPIC page, likewise. */
void vlapic_mmio_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vlapic *vlapic = device;

	if (!vlapic_hw_enabled(vlapic) || vlapic_x2apic(vlapic) ||
	    !is_register_access(offset, size)) {
		return;
	}
	if (!vlapic_register_write(vlapic, (unsigned int)(offset / 16), (uint32_t)value)) {
		vlapic_raise_error(vlapic, ESR_ILLEGAL_REGISTER);
	}
}
