/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC by either of its doors. Both modes have the same registers; only the way
 * in, the layout of the ID and the ICR differ, and that is a table of four functions.
 * x2APIC is taken wherever the CPU has it.
 */
#include "arch/x86/lapic.h"

#include "arch/x86/cpu.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/host_map.h"
#include "arch/x86/interrupt.h"
#include "arch/x86/tsc.h"
#include "lib/panic.h"

/* Offsets of the xAPIC; the x2APIC's MSRs are these / 16. */
#define LAPIC_ID 0x20
#define LAPIC_VERSION 0x30
#define LAPIC_TPR 0x80
#define LAPIC_EOI 0xb0
#define LAPIC_SPURIOUS 0xf0
#define LAPIC_ESR 0x280
#define LAPIC_LVT_CMCI 0x2f0
#define LAPIC_ICR_LOW 0x300
#define LAPIC_ICR_HIGH 0x310
#define LAPIC_LVT_TIMER 0x320
#define LAPIC_LVT_THERMAL 0x330
#define LAPIC_LVT_PERFORMANCE 0x340
#define LAPIC_LVT_LINT0 0x350
#define LAPIC_LVT_LINT1 0x360
#define LAPIC_LVT_ERROR 0x370
#define LAPIC_INITIAL_COUNT 0x380
#define LAPIC_CURRENT_COUNT 0x390
#define LAPIC_DIVIDE 0x3e0

#define SPURIOUS_ENABLE BIT(8)
#define LVT_MASKED 0x10000u
#define LVT_TIMER_DEADLINE (2u << 17)
#define DIVIDE_BY_16 0x3
#define VERSION_MAX_LVT BITS(23, 16)
#define ICR_PENDING BIT(12)
#define APIC_BASE_ADDRESS BITS(51, 12)

struct lapic_mode {
	const char *name;
	uint32_t (*read)(uint32_t reg);
	void (*write)(uint32_t reg, uint32_t value);
	uint32_t (*id)(void);
	void (*send)(uint32_t apic_id, uint32_t icr);
};

static const struct lapic_mode *mode;
static volatile uint8_t *xapic_registers;
static bool deadline_mode;
static uint64_t timer_hz;

static uint32_t xapic_read(uint32_t reg)
{
	return *(volatile uint32_t *)(xapic_registers + reg);
}

static void xapic_write(uint32_t reg, uint32_t value)
{
	*(volatile uint32_t *)(xapic_registers + reg) = value;
}

static uint32_t xapic_id(void)
{
	return xapic_read(LAPIC_ID) >> 24;
}

static void xapic_send(uint32_t apic_id, uint32_t icr)
{
	xapic_write(LAPIC_ICR_HIGH, apic_id << 24);
	xapic_write(LAPIC_ICR_LOW, icr);
	while (xapic_read(LAPIC_ICR_LOW) & ICR_PENDING) {
		cpu_pause();
	}
}

static uint32_t x2apic_read(uint32_t reg)
{
	return (uint32_t)rdmsr(MSR_X2APIC_BASE + reg / 16);
}

static void x2apic_write(uint32_t reg, uint32_t value)
{
	wrmsr(MSR_X2APIC_BASE + reg / 16, value);
}

static uint32_t x2apic_id(void)
{
	return x2apic_read(LAPIC_ID);
}

static void x2apic_send(uint32_t apic_id, uint32_t icr)
{
	/* This write does not wait for earlier stores: what the other CPU is to see comes first. */
	__asm__ volatile("mfence\n\tlfence" : : : "memory");
	wrmsr(MSR_X2APIC_BASE + LAPIC_ICR_LOW / 16, (uint64_t)apic_id << 32 | icr);
}

static const struct lapic_mode xapic_mode = {
	.name = "xAPIC",
	.read = xapic_read,
	.write = xapic_write,
	.id = xapic_id,
	.send = xapic_send,
};

static const struct lapic_mode x2apic_mode = {
	.name = "x2APIC",
	.read = x2apic_read,
	.write = x2apic_write,
	.id = x2apic_id,
	.send = x2apic_send,
};

/* Every local source masked; those that this APIC does not have are left alone. */
static void lines_mask(void)
{
	uint64_t max_lvt = FIELD_GET(VERSION_MAX_LVT, mode->read(LAPIC_VERSION));

	mode->write(LAPIC_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
	mode->write(LAPIC_LVT_LINT0, LVT_MASKED);
	mode->write(LAPIC_LVT_LINT1, LVT_MASKED);
	mode->write(LAPIC_LVT_ERROR, LVT_MASKED | VECTOR_APIC_ERROR);
	if (max_lvt >= 4) {
		mode->write(LAPIC_LVT_PERFORMANCE, LVT_MASKED);
	}
	if (max_lvt >= 5) {
		mode->write(LAPIC_LVT_THERMAL, LVT_MASKED);
	}
	if (max_lvt >= 6) {
		mode->write(LAPIC_LVT_CMCI, LVT_MASKED);
	}
}

void lapic_enable(void)
{
	uint64_t base = rdmsr(MSR_IA32_APIC_BASE);

	/* From disabled straight to x2APIC is not allowed: xAPIC comes first. */
	wrmsr(MSR_IA32_APIC_BASE, base | APIC_BASE_EN);
	if (mode == &x2apic_mode) {
		wrmsr(MSR_IA32_APIC_BASE, base | APIC_BASE_EN | APIC_BASE_EXTD);
	}
	lines_mask();
	mode->write(LAPIC_TPR, 0);
	mode->write(LAPIC_SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
	mode->write(LAPIC_ESR, 0);
	mode->write(LAPIC_DIVIDE, DIVIDE_BY_16);
	mode->write(LAPIC_LVT_TIMER, VECTOR_TIMER | (deadline_mode ? LVT_TIMER_DEADLINE : 0));
	this_cpu()->apic_id = mode->id();
}

void lapic_init(hpa_t base)
{
	uint64_t msr = rdmsr(MSR_IA32_APIC_BASE);

	deadline_mode = cpuid_has(CPUID_TSC_DEADLINE);
	if (cpuid_has(CPUID_X2APIC) || (msr & APIC_BASE_EXTD)) {
		mode = &x2apic_mode;
	} else {
		mode = &xapic_mode;
		if (base.v == 0) {
			base = hpa(msr & APIC_BASE_ADDRESS);
		}
		xapic_registers = host_map_mmio(base, PAGE_SIZE);
	}
	lapic_enable();
}

const char *lapic_mode_name(void)
{
	return mode->name;
}

uint32_t lapic_id(void)
{
	return mode->id();
}

void lapic_eoi(void)
{
	if (mode) {
		mode->write(LAPIC_EOI, 0);
	}
}

void lapic_send(uint32_t apic_id, uint32_t icr)
{
	mode->send(apic_id, icr);
}

void lapic_timer_start(uint64_t tsc_deadline)
{
	uint64_t now;
	uint64_t count = 1;

	if (deadline_mode) {
		/* 0 would disarm; a deadline that is past fires at once. */
		wrmsr(MSR_IA32_TSC_DEADLINE, MAX(tsc_deadline, 1));
		return;
	}
	ASSERT(timer_hz);
	now = rdtsc();
	if (tsc_deadline > now) {
		count += mul_div(tsc_deadline - now, timer_hz, tsc_hz());
	}
	mode->write(LAPIC_INITIAL_COUNT, (uint32_t)MIN(count, UINT32_MAX));
}

void lapic_timer_stop(void)
{
	if (deadline_mode) {
		wrmsr(MSR_IA32_TSC_DEADLINE, 0);
	} else {
		mode->write(LAPIC_INITIAL_COUNT, 0);
	}
}

void lapic_timer_measure_begin(void)
{
	mode->write(LAPIC_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
	mode->write(LAPIC_INITIAL_COUNT, UINT32_MAX);
}

uint32_t lapic_timer_measure_end(void)
{
	uint32_t count = UINT32_MAX - mode->read(LAPIC_CURRENT_COUNT);

	mode->write(LAPIC_INITIAL_COUNT, 0);
	mode->write(LAPIC_LVT_TIMER, VECTOR_TIMER | (deadline_mode ? LVT_TIMER_DEADLINE : 0));
	/* In xAPIC mode the LVT is memory: it must be written before the deadline's MSR is. */
	__asm__ volatile("mfence" : : : "memory");
	return count;
}

void lapic_timer_set_hz(uint64_t hz)
{
	timer_hz = hz;
}
