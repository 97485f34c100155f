/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Measures the TSC against a timer of known frequency. A sample is taken at an edge of that
 * timer and carries its own error: the ticks that passed while the timer was read. Of
 * several short runs the one whose two samples have the least error wins, so that one
 * hiccup (an SMI, a busy emulator host) does not spoil it. CPUID's own figures are not used:
 * emulators get them wrong.
 */
#include "arch/x86/tsc.h"

#include "arch/x86/lapic.h"
#include "lib/panic.h"

#define RUNS 4
#define RUNS_PER_SECOND 200 /* each takes 5 ms */
#define POLLS_MAX 10000000

#define PM_TIMER_HZ 3579545
#define PM_TIMER_MASK 0xffffffu /* 24 bits are there always */

#define PIT_HZ 1193182
#define PIT_CHANNEL2 0x42
#define PIT_COMMAND 0x43
#define PIT_CHANNEL2_ONE_SHOT 0xb0 /* both bytes, mode 0, binary */
#define PIT_CHANNEL2_LATCH 0x80
#define PIT_GATE_PORT 0x61
#define PIT_GATE BIT(0)
#define PIT_SPEAKER BIT(1)

/* A timer that counts up, modulo its mask. */
struct reference {
	const char *name;
	uint64_t hz;
	uint32_t mask;
	void (*start)(void);
	uint32_t (*read)(void);
};

struct sample {
	uint32_t ticks;
	uint64_t tsc;
	uint64_t error; /* in TSC ticks */
};

struct run {
	uint64_t tsc_hz;
	uint64_t timer_hz; /* the local APIC's */
	uint64_t error;
};

static uint16_t pm_port;
static uint64_t start_tsc;
static uint64_t frequency;
static const char *measured_against = "nothing";

static void pm_timer_start(void)
{
}

static uint32_t pm_timer_read(void)
{
	return inl(pm_port) & PM_TIMER_MASK;
}

/* Channel 2 counts down from 0xffff once, silently: 54 ms. */
static void pit_start(void)
{
	uint8_t gate = inb(PIT_GATE_PORT);

	outb(PIT_GATE_PORT, (uint8_t)((gate & ~PIT_SPEAKER) | PIT_GATE));
	outb(PIT_COMMAND, PIT_CHANNEL2_ONE_SHOT);
	outb(PIT_CHANNEL2, 0xff);
	outb(PIT_CHANNEL2, 0xff);
}

static uint32_t pit_read(void)
{
	uint32_t low;
	uint32_t high;

	outb(PIT_COMMAND, PIT_CHANNEL2_LATCH);
	low = inb(PIT_CHANNEL2);
	high = inb(PIT_CHANNEL2);
	return 0xffff - (high << 8 | low);
}

static const struct reference pm_timer = {
	"ACPI PM timer", PM_TIMER_HZ, PM_TIMER_MASK, pm_timer_start, pm_timer_read,
};

static const struct reference pit = {
	"PIT", PIT_HZ, 0xffff, pit_start, pit_read,
};

/* Waits for the next edge. False when the timer stands still. */
static bool sample_take(const struct reference *ref, struct sample *sample)
{
	uint32_t first = ref->read();

	for (unsigned int i = 0; i < POLLS_MAX; i++) {
		uint64_t before = rdtsc();
		uint32_t ticks = ref->read();
		uint64_t after = rdtsc();

		if (ticks != first) {
			sample->ticks = ticks;
			sample->tsc = before + (after - before) / 2;
			sample->error = after - before;
			return true;
		}
	}
	return false;
}

/* Waits until `ticks` of the timer have passed since `begin`; false when it stands still. */
static bool wait_ticks(const struct reference *ref, const struct sample *begin, uint64_t ticks)
{
	for (unsigned int i = 0; i < POLLS_MAX; i++) {
		if (((ref->read() - begin->ticks) & ref->mask) >= ticks) {
			return true;
		}
	}
	return false;
}

static bool run_measure(const struct reference *ref, struct run *run)
{
	struct sample begin;
	struct sample end;
	uint32_t timer_count;
	uint64_t ticks;

	ref->start();
	if (!sample_take(ref, &begin)) {
		return false;
	}
	lapic_timer_measure_begin();
	if (!wait_ticks(ref, &begin, ref->hz / RUNS_PER_SECOND) || !sample_take(ref, &end)) {
		return false;
	}
	timer_count = lapic_timer_measure_end();
	ticks = (end.ticks - begin.ticks) & ref->mask;
	run->tsc_hz = mul_div(end.tsc - begin.tsc, ref->hz, ticks);
	run->timer_hz = mul_div(timer_count, ref->hz, ticks);
	run->error = begin.error + end.error;
	return true;
}

/* The best of several runs; false when the timer does not work. */
static bool measure(const struct reference *ref, struct run *best)
{
	best->error = UINT64_MAX;
	for (unsigned int i = 0; i < RUNS; i++) {
		struct run run;

		if (!run_measure(ref, &run) || run.tsc_hz == 0) {
			return false;
		}
		if (run.error < best->error) {
			*best = run;
		}
	}
	return true;
}

void tsc_init(uint16_t pm_timer_port)
{
	struct run best;

	pm_port = pm_timer_port;
	if (pm_port != 0 && measure(&pm_timer, &best)) {
		measured_against = pm_timer.name;
	} else if (measure(&pit, &best)) {
		measured_against = pit.name;
	} else {
		panic("tsc: neither the ACPI PM timer (port 0x%x) nor the PIT counts", pm_port);
	}
	frequency = best.tsc_hz;
	lapic_timer_set_hz(best.timer_hz);
}

uint64_t tsc_hz(void)
{
	return frequency;
}

const char *tsc_reference(void)
{
	return measured_against;
}

uint64_t tsc_to_ns(uint64_t ticks)
{
	return frequency ? mul_div(ticks, 1000000000, frequency) : 0;
}

uint64_t tsc_to_us(uint64_t ticks)
{
	return frequency ? mul_div(ticks, 1000000, frequency) : 0;
}

uint64_t tsc_from_ns(uint64_t ns)
{
	return mul_div(ns, frequency, 1000000000);
}

uint64_t tsc_from_us(uint64_t us)
{
	return mul_div(us, frequency, 1000000);
}

void tsc_start(void)
{
	start_tsc = rdtsc();
}

uint64_t tsc_uptime_us(void)
{
	return tsc_to_us(rdtsc() - start_tsc);
}
