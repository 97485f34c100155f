/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations of the local APIC: its registers as memory and as MSRs, and two sequences that
 * end in a handler. For these the ticks are those of everything on the way, the guest's own
 * entry code (some forty instructions) too.
 */
#include "tests/guests/common/apic.h"
#include "tests/guests/common/io.h"
#include "tests/guests/cost/cost.h"
#include "tests/guests/cost/sequence.h"

#define MSR_APIC_BASE 0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC_VERSION 0x803
#define MSR_X2APIC_EOI 0x80b
#define MSR_X2APIC_SELF_IPI 0x83f
#define APIC_BASE_X2APIC BIT(10)
#define IPI_VECTOR 0x50
#define TIMER_VECTOR 0x51

/* Long enough to be in HLT, short of a second on the slowest clock. */
#define SLEEP_TICKS 100000
#define FAR_TICKS (UINT64_C(1) << 40)

static volatile uint64_t taken; /* interrupts that the handlers saw */
static volatile uint64_t taken_at;
static bool x2apic;

static bool leaf1_ecx(unsigned int bit)
{
	return (cpuid(1, 0).ecx & BIT(bit)) != 0;
}

bool has_x2apic(void)
{
	return leaf1_ecx(21);
}

static void on_interrupt(struct trap_frame *frame)
{
	(void)frame;
	taken_at = rdtsc();
	taken++;
	if (x2apic) {
		wrmsr(MSR_X2APIC_EOI, 0);
	} else {
		lapic_eoi();
	}
}

void interrupts_init(void)
{
	lapic_enable();
	trap_handlers[IPI_VECTOR] = on_interrupt;
	trap_handlers[TIMER_VECTOR] = on_interrupt;
}

void enter_x2apic(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_X2APIC);
	x2apic = true;
}

static SAMPLE(read_mmio, "movl (%%rdx), %%eax", 0, 0, LAPIC_BASE + LAPIC_VERSION);
static SAMPLE(read_msr, "rdmsr", 0, MSR_X2APIC_VERSION, 0);

/* A page of code by itself: mov (%rdi), %eax; ret. Writable memory is executable here. */
static uint8_t other_page[4096] __attribute__((aligned(4096))) = { 0x8b, 0x07, 0xc3 };

/* As read_mmio, when the last access came from another page of code. */
static uint64_t read_mmio_elsewhere(unsigned int i)
{
	void (*read)(uint64_t) = (void (*)(uint64_t))(uintptr_t)other_page;

	read(LAPIC_BASE + LAPIC_VERSION);
	return read_mmio(i);
}

/* Nothing is in service: the write alone. */
static SAMPLE(eoi_mmio, "movl %%eax, (%%rdx)", 0, 0, LAPIC_BASE + LAPIC_EOI);
static SAMPLE(eoi_msr, "wrmsr", 0, MSR_X2APIC_EOI, 0);

/* From the write to the instruction behind it, with the handler and its EOI in between. */
static uint64_t self_ipi(unsigned int i)
{
	uint64_t before = taken;

	(void)i;
	irq_on();
	uint64_t start = rdtsc();
	if (x2apic) {
		wrmsr(MSR_X2APIC_SELF_IPI, IPI_VECTOR);
	} else {
		lapic_write(LAPIC_ICR_LOW, (uint32_t)ICR_SELF | BIT(14) | IPI_VECTOR);
	}
	while (taken == before) {
		/* A real APIC may take some instructions. */
	}
	uint64_t end = rdtsc();
	irq_off();
	return end - start;
}

static unsigned int deadlines(void)
{
	return leaf1_ecx(24) ? SAMPLES_MAX : 0;
}

/* The timer is put into deadline mode by whoever comes first. */
static void deadline_mode(void)
{
	lapic_write(LAPIC_LVT_TIMER, LVT_TSC_DEADLINE | TIMER_VECTOR);
	asm volatile("mfence" : : : "memory");
}

static SAMPLE(arm_far, "wrmsr", (uint32_t)(rdtsc() + FAR_TICKS), MSR_TSC_DEADLINE,
	      (rdtsc() + FAR_TICKS) >> 32);

static uint64_t arm_deadline(unsigned int i)
{
	deadline_mode();
	uint64_t ticks = arm_far(i);
	wrmsr(MSR_TSC_DEADLINE, 0);
	return ticks;
}

/* How long after the deadline the handler runs, from HLT. */
static uint64_t wake(unsigned int i)
{
	uint64_t before = taken;

	(void)i;
	deadline_mode();
	uint64_t deadline = rdtsc() + SLEEP_TICKS;
	wrmsr(MSR_TSC_DEADLINE, deadline);
	while (taken == before) {
		irq_wait();
	}
	return taken_at - deadline;
}

const struct operation xapic_operations[] = {
	{ "lapic-read-mmio", read_mmio, NULL },
	{ "lapic-read-mmio-elsewhere", read_mmio_elsewhere, NULL },
	{ "lapic-eoi-mmio", eoi_mmio, NULL },
	{ "self-ipi-mmio", self_ipi, NULL },
	{ "tsc-deadline-write", arm_deadline, deadlines },
	{ "hlt-wake", wake, deadlines },
	{ NULL, NULL, NULL },
};

const struct operation x2apic_operations[] = {
	{ "lapic-read-x2apic", read_msr, NULL },
	{ "lapic-eoi-x2apic", eoi_msr, NULL },
	{ "self-ipi-x2apic", self_ipi, NULL },
	{ NULL, NULL, NULL },
};
