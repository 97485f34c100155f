/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's local APIC: xAPIC through memory or x2APIC through MSRs, chosen once by
 * lapic_init(). All functions act on the CPU that calls them.
 */
#ifndef ARCH_X86_LAPIC_H
#define ARCH_X86_LAPIC_H

#include "lib/addr.h"

/* Interrupt Command Register, low word (SDM, "Issuing Interprocessor Interrupts"). */
#define ICR_FIXED (0u << 8)
#define ICR_NMI (4u << 8)
#define ICR_INIT (5u << 8)
#define ICR_STARTUP (6u << 8)
#define ICR_ASSERT (1u << 14)
#define ICR_LEVEL (1u << 15)

/*
 * Chooses the mode and enables the boot CPU's local APIC with every line masked. `base` is
 * the address from the MADT (0: as the CPU says), mapped for the xAPIC only.
 */
void lapic_init(hpa_t base);

/* The same for another CPU, in the mode that lapic_init() chose. */
void lapic_enable(void);

const char *lapic_mode_name(void); /* "xAPIC", "x2APIC" */
uint32_t lapic_id(void);
void lapic_eoi(void);

/* Sends `icr` (vector | ICR_...) to the CPU with that APIC id; waits until it was accepted. */
void lapic_send(uint32_t apic_id, uint32_t icr);

/*
 * One interrupt on VECTOR_TIMER at or soon after the host's TSC reaches `tsc_deadline`; at
 * once when that is past. Replaces the deadline before. Needs tsc_init(). A deadline that
 * is further than the counter reaches (minutes) comes early: the handler looks at the TSC.
 */
void lapic_timer_start(uint64_t tsc_deadline);
void lapic_timer_stop(void);

/* For tsc_init(): the free-running count (down from UINT32_MAX), masked, and its result. */
void lapic_timer_measure_begin(void);
uint32_t lapic_timer_measure_end(void);
void lapic_timer_set_hz(uint64_t hz);

#endif
