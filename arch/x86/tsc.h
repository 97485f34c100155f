/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time: the TSC, and its frequency measured against a real timer at boot. All CPUs' TSCs
 * are taken to run together.
 */
#ifndef ARCH_X86_TSC_H
#define ARCH_X86_TSC_H

#include "arch/x86/cpu.h"

/*
 * Measures the TSC and the local APIC's timer against the ACPI PM timer at I/O port
 * `pm_timer_port`, or against PIT channel 2 when that is 0. About 20 ms. Needs lapic_init().
 */
void tsc_init(uint16_t pm_timer_port);

/* Ticks a second; 0 before tsc_init(). */
uint64_t tsc_hz(void);

/* What it was measured against, for a log line. */
const char *tsc_reference(void);

/* Conversions of durations; saturate. */
uint64_t tsc_to_ns(uint64_t ticks);
uint64_t tsc_to_us(uint64_t ticks);
uint64_t tsc_from_ns(uint64_t ns);
uint64_t tsc_from_us(uint64_t us);

/* Remembers when the hypervisor started, for tsc_uptime_us(). */
void tsc_start(void);

/* Microseconds since the hypervisor's first instruction in C: the log's clock. */
uint64_t tsc_uptime_us(void);

#endif
