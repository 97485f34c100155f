/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way of an interrupt through the local APIC: acceptance, priorities, EOI, IPIs, errors.
 * The highest bits of IRR and ISR and the PPR are kept current at each change, so that the
 * question asked before every VM entry, vlapic_pending(), is one comparison. Nothing here
 * loops longer than the four words of a bitmap.
 */
#include "hv/vdev/vlapic.h"

#define VECTOR_FIRST_LEGAL 16

#define DFR_FLAT 0xf

#define ICR_VECTOR BITS(7, 0)
#define ICR_DELIVERY BITS(10, 8)
#define ICR_LOGICAL BIT(11)
#define ICR_SHORTHAND BITS(19, 18)

enum icr_shorthand {
	ICR_NO_SHORTHAND = 0,
	ICR_SELF = 1,
	ICR_ALL = 2,
	ICR_OTHERS = 3,
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
void vlapic_raise_error(struct vlapic *vlapic, uint64_t error)
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
		vlapic_raise_error(vlapic, ESR_RECEIVE_ILLEGAL_VECTOR);
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
	return (destination >> 16) == (vlapic_x2apic_ldr(vlapic) >> 16) &&
	       (destination & vlapic_x2apic_ldr(vlapic) & 0xffff) != 0;
}

/* A fixed IPI to itself. */
void vlapic_self_ipi(struct vlapic *vlapic, uint8_t vector)
{
	if (vector < VECTOR_FIRST_LEGAL) {
		vlapic_raise_error(vlapic, ESR_SEND_ILLEGAL_VECTOR);
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
