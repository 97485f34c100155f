/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time: every clock of the machine against the TSC. Early is always wrong; late may be the
 * scheduler of a shared CPU, so the limits above are wide.
 */
#include "lib/string.h"
#include "tests/guests/behave/behave.h"

#define TIMER_VECTOR 0x83
#define MSR_TSC_DEADLINE 0x6e0
#define PM_TIMER_HZ 3579545

static volatile unsigned int fired;
static volatile uint64_t fired_at[32];

static void on_timer(struct trap_frame *frame)
{
	(void)frame;
	fired_at[fired & 31] = rdtsc();
	fired++;
	lapic_eoi();
}

/* Busy with interrupts on until `count` ticks came or `us` went by. */
static void wait_fired(unsigned int count, uint64_t us)
{
	uint64_t start = rdtsc();
	irq_on();
	while (fired < count && rdtsc() - start < us_to_ticks(us)) {
		pause();
	}
	irq_off();
}

static uint64_t ticks_to_us(uint64_t ticks)
{
	return mul_div(ticks, 1000000, tsc_hz());
}

static bool within(uint64_t value, uint64_t wanted, unsigned int percent)
{
	uint64_t slack = wanted * percent / 100;
	return value + slack >= wanted && value <= wanted + slack;
}

static enum verdict probe_tsc_monotonic(void)
{
	uint64_t last = rdtsc();
	for (unsigned int i = 0; i < 200000; i++) {
		uint64_t now = rdtsc();
		EXPECT(now >= last, "went back by %llu", ull(last - now));
		last = now;
		if (i % 1000 == 0) {
			cpuid(0, 0);
		}
	}
	return PASS;
}

static enum verdict probe_tsc_frequency(void)
{
	uint64_t measured = tsc_hz_measured(), cpuid15 = tsc_hz_cpuid15();
	uint64_t hypervisor = tsc_hz_hypervisor();
	detail("PIT %llu kHz, 0x15 %llu kHz, 0x40000010 %llu kHz", ull(measured / 1000),
	       ull(cpuid15 / 1000), ull(hypervisor / 1000));
	EXPECT(measured > 1000000, "%llu Hz", ull(measured));
	if (cpuid15 && !within(cpuid15, measured, 2)) {
		return FAIL;
	}
	return !hypervisor || within(hypervisor, measured, 2) ? PASS : FAIL;
}

/* Three calibrations of different length agree. */
static enum verdict probe_pit_linear(void)
{
	uint64_t rates[3];
	static const uint16_t lengths[] = { 11932, 29830, 59659 };
	for (unsigned int i = 0; i < 3; i++) {
		rates[i] = mul_div(pit_measure_tsc(lengths[i]), PIT_HZ, lengths[i]);
	}
	detail("%llu %llu %llu kHz", ull(rates[0] / 1000), ull(rates[1] / 1000),
	       ull(rates[2] / 1000));
	return within(rates[0], rates[2], 4) && within(rates[1], rates[2], 2) ? PASS : FAIL;
}

static enum verdict probe_lapic_one_shot(void)
{
	uint64_t hz = lapic_timer_hz();
	trap_handlers[TIMER_VECTOR] = on_timer;
	for (unsigned int ms = 1; ms <= 40; ms *= 3) {
		fired = 0;
		uint64_t start = rdtsc();
		lapic_timer_start(TIMER_VECTOR, 0, (uint32_t)(hz / 1000 * ms));
		wait_fired(1, 2000000);
		uint64_t us = ticks_to_us(fired_at[0] - start);
		EXPECT(fired == 1, "%u ms: fired %u times", ms, fired);
		EXPECT(us * 100 >= ms * UINT64_C(97000), "%u ms: after %llu us", ms, ull(us));
		EXPECT(us < ms * UINT64_C(2000) + 100000, "%u ms: after %llu us", ms, ull(us));
		EXPECT(lapic_read(LAPIC_TIMER_CURRENT) == 0, "%u ms: count 0x%x after it", ms,
		       lapic_read(LAPIC_TIMER_CURRENT));
	}
	fired = 0;
	wait_fired(1, 50000);
	EXPECT(fired == 0, "fired again");
	return PASS;
}

static enum verdict probe_lapic_periodic(void)
{
	trap_handlers[TIMER_VECTOR] = on_timer;
	fired = 0;
	uint64_t start = rdtsc();
	lapic_timer_start(TIMER_VECTOR, LVT_PERIODIC, (uint32_t)(lapic_timer_hz() / 100));
	wait_fired(20, 4000000);
	lapic_timer_stop();
	EXPECT(fired == 20, "fired %u times", fired);
	uint64_t us = ticks_to_us(fired_at[19] - start);
	EXPECT(us > 194000 && us < 1000000, "20 periods of 10 ms took %llu us", ull(us));
	fired = 0;
	wait_fired(1, 30000);
	EXPECT(fired == 0, "fired after it was stopped");
	detail("20 x 10 ms in %llu us", ull(us));
	return PASS;
}

static enum verdict probe_lapic_divide(void)
{
	static const uint8_t codes[] = { 0xb, 0, 1, 2, 3, 8, 9, 0xa }; /* by 1, 2, ... 128 */
	uint64_t hz = lapic_timer_hz();
	for (unsigned int i = 0; i < ARRAY_COUNT(codes); i++) {
		lapic_timer_start(TIMER_VECTOR, LVT_MASKED, UINT32_MAX);
		lapic_write(LAPIC_TIMER_DIVIDE, codes[i]);
		lapic_write(LAPIC_TIMER_INITIAL, UINT32_MAX);
		uint64_t start = rdtsc();
		delay_ticks(us_to_ticks(20000));
		uint64_t counted = (uint64_t)(UINT32_MAX - lapic_read(LAPIC_TIMER_CURRENT)) << i;
		uint64_t wanted = mul_div(rdtsc() - start, hz, tsc_hz());
		EXPECT(within(counted, wanted, 10), "divide 2^%u: %llu, not %llu", i, ull(counted),
		       ull(wanted));
	}
	return PASS;
}

static enum verdict probe_tsc_deadline(void)
{
	if (!has_leaf1_ecx(24)) {
		return skipped("no TSC deadline");
	}
	trap_handlers[TIMER_VECTOR] = on_timer;
	lapic_write(LAPIC_LVT_TIMER, LVT_TSC_DEADLINE | TIMER_VECTOR);
	asm volatile("mfence" : : : "memory");
	for (unsigned int i = 0; i < 5; i++) {
		fired = 0;
		uint64_t deadline = rdtsc() + us_to_ticks(5000);
		wrmsr(MSR_TSC_DEADLINE, deadline);
		wait_fired(1, 2000000);
		EXPECT(fired == 1, "fired %u times", fired);
		EXPECT(fired_at[0] >= deadline, "%llu us early",
		       ull(ticks_to_us(deadline - fired_at[0])));
		EXPECT(fired_at[0] - deadline < us_to_ticks(100000), "%llu us late",
		       ull(ticks_to_us(fired_at[0] - deadline)));
		EXPECT(rdmsr(MSR_TSC_DEADLINE) == 0, "still armed");
	}
	fired = 0;
	wrmsr(MSR_TSC_DEADLINE, 1); /* long ago: at once */
	wait_fired(1, 100000);
	EXPECT(fired == 1, "a deadline in the past fired %u times", fired);
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + us_to_ticks(5000));
	wrmsr(MSR_TSC_DEADLINE, 0);
	fired = 0;
	wait_fired(1, 20000);
	EXPECT(fired == 0, "fired although disarmed");
	return PASS;
}

static enum verdict probe_pm_timer(void)
{
	const uint8_t *fadt = acpi_find("FACP");
	if (!fadt) {
		return skipped("no FADT");
	}
	uint32_t port = 0;
	memcpy(&port, fadt + 76, 4);
	if (!port) {
		return skipped("no PM timer");
	}
	uint64_t start = rdtsc();
	uint32_t first = in32((uint16_t)port);
	delay_ticks(us_to_ticks(100000));
	uint32_t last = in32((uint16_t)port);
	uint64_t ticks = rdtsc() - start;
	uint64_t counted = (last - first) & 0xffffff;
	uint64_t wanted = mul_div(ticks, PM_TIMER_HZ, tsc_hz());
	detail("port 0x%x: %llu in %llu us", port, ull(counted), ull(ticks_to_us(ticks)));
	return within(counted, wanted, 2) ? PASS : FAIL;
}

static uint8_t rtc_read(uint8_t index)
{
	out8(0x70, index);
	return in8(0x71);
}

static uint8_t rtc_second(void)
{
	while (rtc_read(0xa) & 0x80) {
		pause();
	}
	uint8_t second = rtc_read(0);
	return rtc_read(0xb) & 4 ? second : (uint8_t)((second >> 4) * 10 + (second & 15));
}

static enum verdict probe_rtc(void)
{
	uint8_t month = rtc_read(8), day = rtc_read(7);
	EXPECT(month >= 1 && month <= 0x12 && day >= 1 && day <= 0x31, "month 0x%x day 0x%x", month,
	       day);
	uint8_t first = rtc_second();
	EXPECT(first < 60, "second %u", first);
	uint64_t start = rdtsc();
	while (rtc_second() == first && rdtsc() - start < 3 * tsc_hz()) {
		pause();
	}
	uint64_t edge = rdtsc();
	uint8_t second = rtc_second();
	EXPECT(second == (first + 1) % 60, "%u after %u", second, first);
	while (rtc_second() == second && rdtsc() - edge < 3 * tsc_hz()) {
		pause();
	}
	uint64_t ms = ticks_to_us(rdtsc() - edge) / 1000;
	EXPECT(ms > 900 && ms < 1200, "a second lasts %llu ms", ull(ms));
	return PASS;
}

const struct probe timer_probes[] = {
	{ "tsc-monotonic", probe_tsc_monotonic },
	{ "tsc-frequency", probe_tsc_frequency },
	{ "pit-linear", probe_pit_linear },
	{ "lapic-one-shot", probe_lapic_one_shot },
	{ "lapic-periodic", probe_lapic_periodic },
	{ "lapic-divide", probe_lapic_divide },
	{ "tsc-deadline", probe_tsc_deadline },
	{ "pm-timer", probe_pm_timer },
	{ "rtc", probe_rtc },
	{ NULL, NULL },
};
