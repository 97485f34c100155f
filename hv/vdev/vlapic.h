/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC of one vCPU, as xAPIC page and as x2APIC MSRs (SDM, "Advanced Programmable
 * Interrupt Controller (APIC)"). Four files: vlapic.c for the way of an interrupt,
 * vlapic_registers.c for the xAPIC page, vlapic_msr.c for the MSRs and modes, vlapic_timer.c.
 *
 *     message, LVT, IPI --> IRR --vlapic_pending() > PPR--> offered --vlapic_take()--> ISR --> EOI
 *
 * It is handed over as firmware leaves a boot processor, in virtual wire mode: software-
 * enabled, LINT0 = ExtINT, LINT1 = NMI, everything else masked. Not modelled: SMI, INIT and
 * start-up IPIs (one vCPU), CMCI, a writable APIC ID, moving the page.
 */
#ifndef HV_VDEV_VLAPIC_H
#define HV_VDEV_VLAPIC_H

#include "hv/vdev/vdev.h"
#include "lib/status.h"

#define VLAPIC_GPA UINT64_C(0xfee00000)
#define VLAPIC_SIZE UINT64_C(0x1000)

/* Input clock of the timer before its divider: what CPUID leaf 0x15 calls the crystal clock. */
#define VLAPIC_BUS_HZ UINT64_C(100000000)

/* Register numbers: xAPIC offset / 16, x2APIC MSR - 0x800. */
enum vlapic_register {
	VLAPIC_ID = 0x02,
	VLAPIC_VERSION = 0x03,
	VLAPIC_TPR = 0x08,
	VLAPIC_PPR = 0x0a,
	VLAPIC_EOI = 0x0b,
	VLAPIC_LDR = 0x0d,
	VLAPIC_DFR = 0x0e,
	VLAPIC_SVR = 0x0f,
	VLAPIC_ISR = 0x10, /* 8 of them, as the next two */
	VLAPIC_TMR = 0x18,
	VLAPIC_IRR = 0x20,
	VLAPIC_ESR = 0x28,
	VLAPIC_ICR = 0x30,
	VLAPIC_ICR_HIGH = 0x31,
	VLAPIC_LVT_TIMER = 0x32,
	VLAPIC_LVT_THERMAL = 0x33,
	VLAPIC_LVT_PERF = 0x34,
	VLAPIC_LVT_LINT0 = 0x35,
	VLAPIC_LVT_LINT1 = 0x36,
	VLAPIC_LVT_ERROR = 0x37,
	VLAPIC_INITIAL_COUNT = 0x38,
	VLAPIC_CURRENT_COUNT = 0x39,
	VLAPIC_DIVIDE = 0x3e,
	VLAPIC_SELF_IPI = 0x3f,
};

#define VLAPIC_LVT_COUNT 6

#define APIC_BASE_BSP BIT(8)
#define APIC_BASE_X2APIC BIT(10)
#define APIC_BASE_ENABLE BIT(11)

#define SVR_ENABLE BIT(8)
#define SVR_NO_EOI_BROADCAST BIT(12)

#define DFR_MODEL BITS(31, 28)
#define LDR_ID BITS(31, 24)
#define ICR_DESTINATION BITS(63, 32)

#define LVT_VECTOR BITS(7, 0)
#define LVT_DELIVERY BITS(10, 8)
#define LVT_MASKED BIT(16)
#define LVT_TIMER_MODE BITS(18, 17)
#define LVT_TIMER_DEADLINE_BIT BIT(18)

enum lvt_timer_mode {
	LVT_TIMER_ONE_SHOT = 0,
	LVT_TIMER_PERIODIC = 1,
	LVT_TIMER_TSC_DEADLINE = 2,
};

/* Delivery modes of messages, LVTs and the ICR. */
enum apic_delivery {
	APIC_FIXED = 0,
	APIC_LOWEST = 1,
	APIC_SMI = 2,
	APIC_NMI = 4,
	APIC_INIT = 5,
	APIC_STARTUP = 6,
	APIC_EXTINT = 7,
};

#define ESR_SEND_ILLEGAL_VECTOR BIT(5)
#define ESR_RECEIVE_ILLEGAL_VECTOR BIT(6)
#define ESR_ILLEGAL_REGISTER BIT(7)

/* 256 bits, and the number of the highest that is set (-1: none). */
struct vlapic_vectors {
	uint64_t words[4];
	int highest;
};

struct vlapic {
	struct vdev_host *host;
	uint64_t base; /* IA32_APIC_BASE */
	uint32_t id;
	uint8_t tpr;
	uint8_t ppr; /* follows from tpr and isr */
	struct vlapic_vectors irr;
	struct vlapic_vectors isr;
	struct vlapic_vectors tmr;
	uint32_t ldr; /* xAPIC only */
	uint32_t dfr;
	uint32_t svr;
	uint32_t esr;
	uint32_t esr_pending; /* shown by the next write to the ESR */
	uint64_t icr;
	uint32_t lvt[VLAPIC_LVT_COUNT];
	uint32_t divide;
	uint32_t initial;
	bool timer_running;   /* counting: one-shot and periodic mode */
	uint64_t timer_start; /* bus ticks at which the count was `initial` */
	uint64_t timer_next;  /* bus ticks of the next expiry */
	uint64_t deadline;    /* IA32_TSC_DEADLINE, 0: disarmed */
	bool lint0;	      /* level of the 8259's INTR */
	bool nmi;	      /* an NMI waits for the vCPU, which clears it */
};

void vlapic_init(struct vlapic *vlapic, struct vdev_host *host, uint32_t id);

/* The highest vector above the PPR, or -1. */
static inline int vlapic_pending(const struct vlapic *vlapic)
{
	/* Above in its class, which is bits 7:4. */
	return vlapic->irr.highest > (vlapic->ppr | 15) ? vlapic->irr.highest : -1;
}

static inline bool vlapic_hw_enabled(const struct vlapic *vlapic)
{
	return (vlapic->base & APIC_BASE_ENABLE) != 0;
}

static inline bool vlapic_x2apic(const struct vlapic *vlapic)
{
	return (vlapic->base & APIC_BASE_X2APIC) != 0;
}

/* x2APIC mode: the cluster in the upper half, one bit of sixteen in the lower. */
static inline uint32_t vlapic_x2apic_ldr(const struct vlapic *vlapic)
{
	return ((vlapic->id >> 4) << 16) | (UINT32_C(1) << (vlapic->id & 0xf));
}

/* CR8 is bits 7:4 of the TPR. */
static inline uint64_t vlapic_cr8(const struct vlapic *vlapic)
{
	return vlapic->tpr >> 4;
}

bool vlapic_take(struct vlapic *vlapic, int vector);
void vlapic_set_tpr(struct vlapic *vlapic, uint8_t tpr);
void vlapic_eoi(struct vlapic *vlapic);
void vlapic_accept(struct vlapic *vlapic, enum apic_delivery mode, uint8_t vector, bool level);
bool vlapic_matches(const struct vlapic *vlapic, uint32_t destination, bool logical);
void vlapic_set_lint0(struct vlapic *vlapic, bool level);
bool vlapic_takes_extint(const struct vlapic *vlapic);

/* bus_read_fn and bus_write_fn of the xAPIC page; the vLAPIC is the device. */
void vlapic_mmio_read(void *device, uint64_t offset, unsigned int size, uint64_t *value);
void vlapic_mmio_write(void *device, uint64_t offset, unsigned int size, uint64_t value);

/* x2APIC MSRs 0x800-0x8ff, IA32_APIC_BASE: nonzero (-EPERM) means #GP and no effect. */
int __must_check vlapic_msr_read(struct vlapic *vlapic, uint32_t msr, uint64_t *value);
int __must_check vlapic_msr_write(struct vlapic *vlapic, uint32_t msr, uint64_t value);
int __must_check vlapic_set_base(struct vlapic *vlapic, uint64_t value);

/* IA32_TSC_DEADLINE, in ticks of the guest's TSC. */
uint64_t vlapic_deadline(struct vlapic *vlapic);
void vlapic_set_deadline(struct vlapic *vlapic, uint64_t deadline);

/* VTIMER_LAPIC came due. */
void vlapic_timer(struct vlapic *vlapic);

/* Between the files of the vLAPIC. */
void vlapic_reset(struct vlapic *vlapic);
void vlapic_raise_error(struct vlapic *vlapic, uint64_t error);
bool vlapic_register_read(struct vlapic *vlapic, unsigned int number, uint32_t *value);
bool vlapic_register_write(struct vlapic *vlapic, unsigned int number, uint32_t value);
void vlapic_send_ipi(struct vlapic *vlapic);
void vlapic_self_ipi(struct vlapic *vlapic, uint8_t vector);
void vlapic_lvt_deliver(struct vlapic *vlapic, enum vlapic_register number);
void vlapic_timer_set_lvt(struct vlapic *vlapic, uint32_t value);
void vlapic_timer_set_initial(struct vlapic *vlapic, uint32_t initial);
void vlapic_timer_set_divide(struct vlapic *vlapic, uint32_t divide);
uint32_t vlapic_timer_current(const struct vlapic *vlapic);

#endif
