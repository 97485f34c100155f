/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt controllers and clocks of a PC as the guests use them: xAPIC at its reset
 * address, I/O APIC, 8259 pair, 8254. Time is measured in ticks of the TSC.
 */
#ifndef TESTS_GUESTS_COMMON_APIC_H
#define TESTS_GUESTS_COMMON_APIC_H

#include "lib/bits.h"

#define LAPIC_BASE 0xfee00000u
#define LAPIC_ID 0x20
#define LAPIC_VERSION 0x30
#define LAPIC_TPR 0x80
#define LAPIC_PPR 0xa0
#define LAPIC_EOI 0xb0
#define LAPIC_LDR 0xd0
#define LAPIC_DFR 0xe0
#define LAPIC_SVR 0xf0
#define LAPIC_ISR 0x100
#define LAPIC_IRR 0x200
#define LAPIC_ICR_LOW 0x300
#define LAPIC_ICR_HIGH 0x310
#define LAPIC_LVT_TIMER 0x320
#define LAPIC_LVT_LINT0 0x350
#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_CURRENT 0x390
#define LAPIC_TIMER_DIVIDE 0x3e0

#define LVT_MASKED BIT(16)
#define LVT_PERIODIC BIT(17)
#define LVT_TSC_DEADLINE BIT(18)
#define LVT_EXTINT 0x700u
#define ICR_SELF BIT(18)
#define SPURIOUS_VECTOR 0xff

#define PIT_HZ 1193182u

static inline uint32_t lapic_read(unsigned int offset)
{
	return *(volatile uint32_t *)(uintptr_t)(LAPIC_BASE + offset);
}

static inline void lapic_write(unsigned int offset, uint32_t value)
{
	*(volatile uint32_t *)(uintptr_t)(LAPIC_BASE + offset) = value;
}

static inline void lapic_eoi(void)
{
	lapic_write(LAPIC_EOI, 0);
}

/* Software-enables the local APIC: nothing masked by priority, LVTs masked. */
void lapic_enable(void);

/* Timer ticks a second at divide-by-1; measured once against the TSC. */
uint64_t lapic_timer_hz(void);
void lapic_timer_start(uint8_t vector, uint32_t mode, uint32_t count);
void lapic_timer_stop(void);
void lapic_self_ipi(uint8_t vector);

uint32_t ioapic_read(uint32_t index);
void ioapic_write(uint32_t index, uint32_t value);
/* Routes input `pin` to `vector` on APIC 0: edge, active high; or masks it. */
void ioapic_route(unsigned int pin, uint8_t vector, bool masked);

/* Sets both 8259s up at vectors 0x20-0x2f with everything masked. */
void pic_mask_all(void);
void pic_unmask(unsigned int irq);
void pic_eoi(void);

/* Channel 0, square wave or one-shot, `count` ticks of PIT_HZ. */
void pit_start(bool periodic, uint16_t count);

/*
 * TSC ticks during `ticks` (at most 65535) of the PIT's channel 2 behind its gate. Repeated
 * until nothing came in between at either end, or the best of some tries.
 */
uint64_t pit_measure_tsc(uint16_t ticks);

/*
 * TSC ticks a second: CPUID 0x15 or 0x40000010 when they say it, else measured against the
 * PIT. tsc_hz_measured() always measures.
 */
uint64_t tsc_hz(void);
uint64_t tsc_hz_measured(void);
uint64_t tsc_hz_cpuid15(void);
uint64_t tsc_hz_hypervisor(void);

/* Busy waiting. */
void delay_ticks(uint64_t ticks);
static inline uint64_t us_to_ticks(uint64_t us)
{
	return tsc_hz() / 1000 * us / 1000;
}

#endif
