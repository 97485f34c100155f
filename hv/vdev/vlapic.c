/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers of the local APIC and the way of an interrupt through it. The highest bits of
 * IRR and ISR and the PPR are kept current at each change, so that the question asked
 * before every VM entry, vlapic_pending(), is one comparison. Nothing here loops longer
 * than the four words of a bitmap.
 */
#include "hv/vdev/vlapic.h"

#define VERSION_NUMBER 0x14
#define VERSION_NO_EOI_BROADCAST BIT(24)

#define VECTOR_FIRST_LEGAL 16

#define DFR_MODEL BITS(31, 28)
#define DFR_FLAT 0xf
#define LDR_ID BITS(31, 24)

#define ICR_VECTOR BITS(7, 0)
#define ICR_DELIVERY BITS(10, 8)
#define ICR_LOGICAL BIT(11)
#define ICR_SHORTHAND BITS(19, 18)
#define ICR_WRITABLE (BITS(19, 18) | BITS(15, 14) | BITS(11, 0))
#define ICR_DESTINATION BITS(63, 32)

enum icr_shorthand {
	ICR_NO_SHORTHAND = 0,
	ICR_SELF = 1,
	ICR_ALL = 2,
	ICR_OTHERS = 3,
};

/* What software may change in the LVTs from timer to error. */
static const uint32_t lvt_writable[VLAPIC_LVT_COUNT] = {
	0x000700ff, 0x000107ff, 0x000107ff, 0x0001a7ff, 0x0001a7ff, 0x000100ff,
};

static bool vectors_test(const struct vlapic_vectors *vectors, int vector)
{
	return (vectors->words[vector / 64] & BIT(vector % 64)) != 0;
}

static void vectors_set(struct vlapic_vectors *vectors, int vector)
{
	vectors->words[vector / 64] |= BIT(vector % 64);
	vectors->highest = MAX(vectors->highest, vector);
}

static void vectors_clear(struct vlapic_vectors *vectors, int vector)
{
	vectors->words[vector / 64] &= ~BIT(vector % 64);
	if (vector != vectors->highest) {
		return;
	}
	vectors->highest = -1;
	for (int i = vector / 64; i >= 0; i--) {
		if (vectors->words[i] != 0) {
			vectors->highest = i * 64 + 63 - __builtin_clzll(vectors->words[i]);
			return;
		}
	}
}

/* Register `index` of the eight that show a bitmap. */
static uint32_t vectors_register(const struct vlapic_vectors *vectors, unsigned int index)
{
	return (uint32_t)(vectors->words[index / 2] >> (32 * (index % 2)));
}

/* SDM, "Task and Processor Priorities". */
static void update_ppr(struct vlapic *vlapic)
{
	uint8_t in_service = vlapic->isr.highest < 0 ? 0 : (uint8_t)(vlapic->isr.highest & 0xf0);

	vlapic->ppr = (vlapic->tpr & 0xf0) >= in_service ? vlapic->tpr : in_service;
}

/* The state after power-up (SDM, "Local APIC State After Power-Up or Reset"); base and id stay. */
void vlapic_reset(struct vlapic *vlapic)
{
	*vlapic = (struct vlapic){
		.host = vlapic->host,
		.base = vlapic->base,
		.id = vlapic->id,
		.irr.highest = -1,
		.isr.highest = -1,
		.tmr.highest = -1,
		.dfr = UINT32_MAX,
		.svr = 0xff,
		.lint0 = vlapic->lint0,
		.nmi = vlapic->nmi,
	};
	for (unsigned int i = 0; i < VLAPIC_LVT_COUNT; i++) {
		vlapic->lvt[i] = LVT_MASKED;
	}
	vlapic->host->set_timer(vlapic->host, VTIMER_LAPIC, VTIMER_NEVER);
}

/* A boot processor's APIC with `id` in virtual wire mode, as firmware hands it over. */
void vlapic_init(struct vlapic *vlapic, struct vdev_host *host, uint32_t id)
{
	*vlapic = (struct vlapic){ .host = host, .id = id };
	vlapic->base = VLAPIC_GPA | APIC_BASE_ENABLE | APIC_BASE_BSP;
	vlapic_reset(vlapic);
	vlapic->svr |= SVR_ENABLE;
	vlapic->lvt[VLAPIC_LVT_LINT0 - VLAPIC_LVT_TIMER] =
		(uint32_t)FIELD_PREP(LVT_DELIVERY, APIC_EXTINT);
	vlapic->lvt[VLAPIC_LVT_LINT1 - VLAPIC_LVT_TIMER] =
		(uint32_t)FIELD_PREP(LVT_DELIVERY, APIC_NMI);
}

/* SDM, "Error Handling": remembered until software writes the ESR; the LVT fires once. */
static void raise_error(struct vlapic *vlapic, uint64_t error)
{
	uint32_t lvt = vlapic->lvt[VLAPIC_LVT_ERROR - VLAPIC_LVT_TIMER];
	bool news = (vlapic->esr_pending & error) != error;

	vlapic->esr_pending |= (uint32_t)error;
	if (!news || (lvt & LVT_MASKED) != 0) {
		return;
	}
	if ((lvt & LVT_VECTOR) < VECTOR_FIRST_LEGAL) {
		/* Not by vlapic_accept(): it would report this very error again. */
		vlapic->esr_pending |= (uint32_t)ESR_RECEIVE_ILLEGAL_VECTOR;
		return;
	}
	vlapic_accept(vlapic, APIC_FIXED, (uint8_t)(lvt & LVT_VECTOR), false);
}

/*
 * An interrupt message reaches this APIC: fixed and lowest priority go to the IRR (`level` to
 * the TMR), NMI to the vCPU; the other modes have no meaning for one running vCPU.
 */
void vlapic_accept(struct vlapic *vlapic, enum apic_delivery mode, uint8_t vector, bool level)
{
	if (mode == APIC_NMI) {
		vlapic->nmi = true;
		return;
	}
	if ((mode != APIC_FIXED && mode != APIC_LOWEST) || (vlapic->svr & SVR_ENABLE) == 0) {
		return;
	}
	if (vector < VECTOR_FIRST_LEGAL) {
		raise_error(vlapic, ESR_RECEIVE_ILLEGAL_VECTOR);
		return;
	}
	vectors_set(&vlapic->irr, vector);
	if (level) {
		vectors_set(&vlapic->tmr, vector);
	} else {
		vectors_clear(&vlapic->tmr, vector);
	}
}

/* The vCPU was given `vector`: it moves from IRR to ISR. False when it is not requested. */
bool vlapic_take(struct vlapic *vlapic, int vector)
{
	if (vector < 0 || vector > 255 || !vectors_test(&vlapic->irr, vector)) {
		return false;
	}
	vectors_clear(&vlapic->irr, vector);
	vectors_set(&vlapic->isr, vector);
	update_ppr(vlapic);
	return true;
}

/* Sets the task priority (TPR register, or CR8 << 4). */
void vlapic_set_tpr(struct vlapic *vlapic, uint8_t tpr)
{
	vlapic->tpr = tpr;
	update_ppr(vlapic);
}

/* The handler of the highest in-service vector ends; a level one is told to the I/O APIC. */
void vlapic_eoi(struct vlapic *vlapic)
{
	int vector = vlapic->isr.highest;

	if (vector < 0) {
		return;
	}
	vectors_clear(&vlapic->isr, vector);
	update_ppr(vlapic);
	if (vectors_test(&vlapic->tmr, vector) && (vlapic->svr & SVR_NO_EOI_BROADCAST) == 0) {
		vlapic->host->apic_eoi(vlapic->host, (uint8_t)vector);
	}
}

/* Delivers by the LVT `number`: fixed or NMI. ExtINT is a level, see vlapic_takes_extint(). */
void vlapic_lvt_deliver(struct vlapic *vlapic, enum vlapic_register number)
{
	uint32_t lvt = vlapic->lvt[number - VLAPIC_LVT_TIMER];
	enum apic_delivery mode = (enum apic_delivery)FIELD_GET(LVT_DELIVERY, lvt);

	if ((lvt & LVT_MASKED) == 0 && (mode == APIC_FIXED || mode == APIC_NMI)) {
		vlapic_accept(vlapic, mode, (uint8_t)(lvt & LVT_VECTOR), false);
	}
}

/* The INTR output of the 8259 pair, wired to LINT0. Fixed and NMI mode take the rising edge. */
void vlapic_set_lint0(struct vlapic *vlapic, bool level)
{
	bool rising = level && !vlapic->lint0;

	vlapic->lint0 = level;
	if (rising && vlapic_hw_enabled(vlapic)) {
		vlapic_lvt_deliver(vlapic, VLAPIC_LVT_LINT0);
	}
}

/* True when the vCPU listens to the 8259 pair: virtual wire mode, or no APIC at all. */
bool vlapic_takes_extint(const struct vlapic *vlapic)
{
	uint32_t lvt = vlapic->lvt[VLAPIC_LVT_LINT0 - VLAPIC_LVT_TIMER];

	return !vlapic_hw_enabled(vlapic) ||
	       ((lvt & LVT_MASKED) == 0 && FIELD_GET(LVT_DELIVERY, lvt) == APIC_EXTINT);
}

/* x2APIC: cluster in the upper half, one bit of sixteen in the lower. */
static uint32_t x2apic_ldr(const struct vlapic *vlapic)
{
	return ((vlapic->id >> 4) << 16) | (UINT32_C(1) << (vlapic->id & 0xf));
}

static bool matches_logical_xapic(const struct vlapic *vlapic, uint32_t destination)
{
	uint32_t mine = (uint32_t)FIELD_GET(LDR_ID, vlapic->ldr);

	if (FIELD_GET(DFR_MODEL, vlapic->dfr) == DFR_FLAT) {
		return (destination & mine) != 0;
	}
	return (destination >> 4) == (mine >> 4) && (destination & mine & 0xf) != 0;
}

/*
 * True when a message to `destination` is for this APIC. SDM, "Determining IPI Destination";
 * 8-bit broadcast (from the I/O APIC) is understood in both modes.
 */
bool vlapic_matches(const struct vlapic *vlapic, uint32_t destination, bool logical)
{
	if (destination == 0xff || (vlapic_x2apic(vlapic) && destination == UINT32_MAX)) {
		return true;
	}
	if (!logical) {
		return destination == vlapic->id;
	}
	if (!vlapic_x2apic(vlapic)) {
		return matches_logical_xapic(vlapic, destination);
	}
	return (destination >> 16) == (x2apic_ldr(vlapic) >> 16) &&
	       (destination & x2apic_ldr(vlapic) & 0xffff) != 0;
}

/* A fixed IPI to itself. */
void vlapic_self_ipi(struct vlapic *vlapic, uint8_t vector)
{
	if (vector < VECTOR_FIRST_LEGAL) {
		raise_error(vlapic, ESR_SEND_ILLEGAL_VECTOR);
		return;
	}
	vlapic_accept(vlapic, APIC_FIXED, vector, false);
}

/* Sends what the ICR says. No other APIC exists: who is not meant here is not there. */
void vlapic_send_ipi(struct vlapic *vlapic)
{
	uint64_t icr = vlapic->icr;
	uint32_t destination = (uint32_t)FIELD_GET(ICR_DESTINATION, icr);
	enum icr_shorthand shorthand = (enum icr_shorthand)FIELD_GET(ICR_SHORTHAND, icr);
	enum apic_delivery mode = (enum apic_delivery)FIELD_GET(ICR_DELIVERY, icr);
	bool self = shorthand == ICR_SELF || shorthand == ICR_ALL;

	if (shorthand == ICR_NO_SHORTHAND) {
		destination = vlapic_x2apic(vlapic) ? destination : destination >> 24;
		self = vlapic_matches(vlapic, destination, (icr & ICR_LOGICAL) != 0);
	}
	if (!self) {
		return;
	}
	if (mode == APIC_NMI) {
		vlapic->nmi = true;
	} else if (mode == APIC_FIXED || mode == APIC_LOWEST) {
		vlapic_self_ipi(vlapic, (uint8_t)(icr & ICR_VECTOR));
	}
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
		*value = x2apic ? x2apic_ldr(vlapic) : vlapic->ldr;
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
		raise_error(vlapic, ESR_ILLEGAL_REGISTER);
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
		raise_error(vlapic, ESR_ILLEGAL_REGISTER);
	}
}
