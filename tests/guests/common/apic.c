/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Drivers of the PC's interrupt controllers and of its clocks, as small as guests need
 * them. See apic.h for the contracts; no state but two measured frequencies.
 */
#include "tests/guests/common/apic.h"
#include "tests/guests/common/io.h"

#define MSR_APIC_BASE 0x1b
#define IOAPIC_SELECT ((volatile uint32_t *)0xfec00000)
#define IOAPIC_WINDOW ((volatile uint32_t *)0xfec00010)
#define PIC1 0x20
#define PIC2 0xa0
#define PIT_COMMAND 0x43
#define PIT_SPEAKER_PORT 0x61
#define MEASURE_TICKS 29830 /* 25 ms */
#define MEASURE_TRIES 10

void lapic_enable(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BIT(11));
	lapic_write(LAPIC_TPR, 0);
	lapic_write(LAPIC_DFR, 0xffffffff);
	lapic_write(LAPIC_LDR, 1u << 24);
	lapic_write(LAPIC_SVR, BIT(8) | SPURIOUS_VECTOR);
	lapic_write(LAPIC_LVT_LINT0, LVT_MASKED);
	lapic_timer_stop();
}

void lapic_timer_start(uint8_t vector, uint32_t mode, uint32_t count)
{
	lapic_write(LAPIC_LVT_TIMER, mode | vector);
	lapic_write(LAPIC_TIMER_DIVIDE, 0xb); /* by 1 */
	lapic_write(LAPIC_TIMER_INITIAL, count);
}

void lapic_timer_stop(void)
{
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED | SPURIOUS_VECTOR);
	lapic_write(LAPIC_TIMER_INITIAL, 0);
}

uint64_t lapic_timer_hz(void)
{
	static uint64_t hz;
	if (!hz) {
		uint64_t wait = tsc_hz() / 40;
		lapic_timer_start(SPURIOUS_VECTOR, LVT_MASKED, UINT32_MAX);
		uint64_t start = rdtsc();
		uint32_t first = lapic_read(LAPIC_TIMER_CURRENT);
		delay_ticks(wait);
		uint32_t last = lapic_read(LAPIC_TIMER_CURRENT);
		uint64_t ticks = rdtsc() - start;
		lapic_timer_stop();
		hz = mul_div(first - last, tsc_hz(), ticks);
	}
	return hz;
}

void lapic_self_ipi(uint8_t vector)
{
	lapic_write(LAPIC_ICR_LOW, (uint32_t)ICR_SELF | BIT(14) | vector);
}

uint32_t ioapic_read(uint32_t index)
{
	*IOAPIC_SELECT = index;
	return *IOAPIC_WINDOW;
}

void ioapic_write(uint32_t index, uint32_t value)
{
	*IOAPIC_SELECT = index;
	*IOAPIC_WINDOW = value;
}

void ioapic_route(unsigned int pin, uint8_t vector, bool masked)
{
	ioapic_write(0x11 + 2 * pin, 0);
	ioapic_write(0x10 + 2 * pin, vector | (masked ? (uint32_t)BIT(16) : 0));
}

void pic_mask_all(void)
{
	out8(PIC1, 0x11);
	out8(PIC2, 0x11);
	out8(PIC1 + 1, 0x20);
	out8(PIC2 + 1, 0x28);
	out8(PIC1 + 1, 4);
	out8(PIC2 + 1, 2);
	out8(PIC1 + 1, 1);
	out8(PIC2 + 1, 1);
	out8(PIC1 + 1, 0xff);
	out8(PIC2 + 1, 0xff);
}

void pic_unmask(unsigned int irq)
{
	uint16_t port = irq < 8 ? PIC1 + 1 : PIC2 + 1;
	out8(port, (uint8_t)(in8(port) & ~(1u << (irq & 7))));
}

void pic_eoi(void)
{
	out8(PIC1, 0x20);
}

void pit_start(bool periodic, uint16_t count)
{
	out8(PIT_COMMAND, periodic ? 0x34 : 0x30);
	out8(0x40, (uint8_t)count);
	out8(0x40, (uint8_t)(count >> 8));
}

/* One measurement: its length, and how much of that is not certain. */
struct measurement {
	uint64_t ticks, slack;
};

static struct measurement measure_once(uint16_t ticks)
{
	out8(PIT_SPEAKER_PORT, (uint8_t)((in8(PIT_SPEAKER_PORT) & ~2u) | 1u));
	out8(PIT_COMMAND, 0xb0); /* channel 2, both bytes, mode 0 */
	out8(0x42, (uint8_t)ticks);
	uint64_t before = rdtsc();
	out8(0x42, (uint8_t)(ticks >> 8));
	uint64_t start = rdtsc(), last = start, now = start;
	while (!(in8(PIT_SPEAKER_PORT) & 0x20)) {
		last = now;
		now = rdtsc();
		if (now - start > UINT64_C(1) << 36) {
			break; /* no PIT: give up after some seconds */
		}
	}
	now = rdtsc();
	return (struct measurement){ now - start, (start - before) + (now - last) };
}

uint64_t pit_measure_tsc(uint16_t ticks)
{
	struct measurement best = { 0, UINT64_MAX };
	for (unsigned int i = 0; i < MEASURE_TRIES; i++) {
		struct measurement m = measure_once(ticks);
		if (m.slack < best.slack) {
			best = m;
		}
		if (best.slack < best.ticks / 256) {
			break;
		}
	}
	return best.ticks;
}

uint64_t tsc_hz_measured(void)
{
	return mul_div(pit_measure_tsc(MEASURE_TICKS), PIT_HZ, MEASURE_TICKS);
}

uint64_t tsc_hz_cpuid15(void)
{
	if (cpuid(0, 0).eax < 0x15) {
		return 0;
	}
	struct cpuid_result r = cpuid(0x15, 0);
	return r.eax && r.ebx ? mul_div(r.ecx, r.ebx, r.eax) : 0;
}

uint64_t tsc_hz_hypervisor(void)
{
	if (!(cpuid(1, 0).ecx & BIT(31)) || cpuid(0x40000000, 0).eax < 0x40000010) {
		return 0;
	}
	return (uint64_t)cpuid(0x40000010, 0).eax * 1000;
}

uint64_t tsc_hz(void)
{
	static uint64_t hz;
	if (!hz) {
		hz = tsc_hz_hypervisor();
		hz = hz ? hz : tsc_hz_cpuid15();
		hz = hz ? hz : tsc_hz_measured();
	}
	return hz;
}

void delay_ticks(uint64_t ticks)
{
	uint64_t start = rdtsc();
	while (rdtsc() - start < ticks) {
		pause();
	}
}
