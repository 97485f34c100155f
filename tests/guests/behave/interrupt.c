/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts: the local APIC's priorities, IF, the shadow of STI, HLT, NMI, and the 8254
 * through the 8259 and through the I/O APIC (SDM, "Advanced Programmable Interrupt
 * Controller").
 */
#include "tests/guests/behave/behave.h"

#define LOW 0x51
#define MIDDLE 0x72
#define HIGH 0x93
#define PIT_VECTOR 0x61
#define WINDOW "sti; nop; nop; cli" /* long enough for all that is pending */

extern const uint8_t hlt_after[];
void hlt_sequence(void);

static volatile unsigned int order[16];
static volatile unsigned int order_count;
static volatile uint64_t last_rip;

static void on_interrupt(struct trap_frame *frame)
{
	if (order_count < ARRAY_COUNT(order)) {
		order[order_count++] = (unsigned int)frame->vector;
	}
	last_rip = frame->rip;
	lapic_eoi();
}

static void listen(void)
{
	order_count = 0;
	trap_handlers[LOW] = on_interrupt;
	trap_handlers[MIDDLE] = on_interrupt;
	trap_handlers[HIGH] = on_interrupt;
	trap_handlers[PIT_VECTOR] = on_interrupt;
}

static bool lapic_bit(unsigned int base, unsigned int vector)
{
	return lapic_read(base + (vector / 32) * 0x10) >> (vector & 31) & 1;
}

static enum verdict probe_self_ipi(void)
{
	listen();
	lapic_self_ipi(MIDDLE);
	EXPECT(order_count == 0, "delivered with IF clear");
	EXPECT(lapic_bit(LAPIC_IRR, MIDDLE), "not in IRR");
	delay_ticks(us_to_ticks(2000));
	cpuid(0, 0);
	EXPECT(order_count == 0, "delivered with IF clear, late");
	asm volatile(WINDOW : : : "memory");
	EXPECT(order_count == 1, "delivered %u times", order_count);
	EXPECT(!lapic_bit(LAPIC_IRR, MIDDLE) && !lapic_bit(LAPIC_ISR, MIDDLE), "left behind");
	return PASS;
}

static enum verdict probe_sti_cli(void)
{
	listen();
	lapic_self_ipi(MIDDLE);
	for (unsigned int i = 0; i < 100; i++) {
		asm volatile("sti; cli" : : : "memory");
	}
	EXPECT(order_count == 0, "delivered between STI and CLI");
	asm volatile(WINDOW : : : "memory");
	EXPECT(order_count == 1, "delivered %u times", order_count);
	return PASS;
}

static enum verdict probe_priorities(void)
{
	listen();
	lapic_self_ipi(LOW);
	lapic_self_ipi(HIGH);
	lapic_self_ipi(MIDDLE);
	lapic_self_ipi(MIDDLE); /* one bit in IRR: no second delivery */
	asm volatile(WINDOW : : : "memory");
	EXPECT(order_count == 3, "%u delivered", order_count);
	EXPECT(order[0] == HIGH && order[1] == MIDDLE && order[2] == LOW, "0x%x 0x%x 0x%x",
	       order[0], order[1], order[2]);
	return PASS;
}

static enum verdict probe_tpr(void)
{
	listen();
	write_cr8(8);
	lapic_self_ipi(MIDDLE);
	lapic_self_ipi(HIGH);
	asm volatile(WINDOW : : : "memory");
	EXPECT(order_count == 1 && order[0] == HIGH, "%u delivered, first 0x%x", order_count,
	       order[0]);
	asm volatile("sti; nop; nop" : : : "memory");
	write_cr8(0); /* opens it with interrupts on */
	cpuid(0, 0);
	irq_off();
	EXPECT(order_count == 2 && order[1] == MIDDLE, "%u delivered after CR8 0", order_count);
	lapic_write(LAPIC_TPR, 0x90);
	lapic_self_ipi(HIGH);
	asm volatile(WINDOW : : : "memory");
	EXPECT(order_count == 2, "delivered against TPR 0x90");
	EXPECT(lapic_read(LAPIC_PPR) == 0x90, "PPR 0x%x", lapic_read(LAPIC_PPR));
	lapic_write(LAPIC_TPR, 0);
	asm volatile(WINDOW : : : "memory");
	EXPECT(order_count == 3, "not delivered after TPR 0");
	return PASS;
}

/* A handler of LOW that opens interrupts is itself interrupted by HIGH but not by LOW. */
static void on_low(struct trap_frame *frame)
{
	(void)frame;
	order[order_count++] = LOW;
	if (order_count == 1) {
		lapic_self_ipi(LOW);
		lapic_self_ipi(HIGH);
		asm volatile(WINDOW : : : "memory");
	}
	order[order_count++] = 0x1000;
	lapic_eoi();
}

static enum verdict probe_nesting(void)
{
	listen();
	trap_handlers[LOW] = on_low;
	lapic_self_ipi(LOW);
	asm volatile(WINDOW : : : "memory");
	EXPECT(order_count == 5, "%u steps", order_count);
	EXPECT(order[0] == LOW && order[1] == HIGH && order[2] == 0x1000 && order[3] == LOW &&
		       order[4] == 0x1000,
	       "0x%x 0x%x 0x%x 0x%x 0x%x", order[0], order[1], order[2], order[3], order[4]);
	return PASS;
}

static enum verdict probe_hlt(void)
{
	listen();
	uint64_t start = rdtsc(); /* before the timer: this vCPU may lose the CPU in between */
	lapic_timer_start(MIDDLE, 0, (uint32_t)(lapic_timer_hz() / 200));
	irq_wait();
	uint64_t ticks = rdtsc() - start;
	EXPECT(order_count == 1, "%u delivered", order_count);
	EXPECT(ticks >= tsc_hz() / 250, "woke after %llu us", ull(ticks / (tsc_hz() / 1000000)));
	return PASS;
}

/* Pending at STI, taken after the HLT: a second tick saves the probe when it was lost. */
static enum verdict probe_sti_hlt(void)
{
	listen();
	lapic_timer_start(LOW, LVT_PERIODIC, (uint32_t)(lapic_timer_hz() / 5));
	for (unsigned int i = 0; i < 50; i++) {
		order_count = 0;
		lapic_self_ipi(HIGH);
		hlt_sequence();
		EXPECT(order_count >= 1 && order[0] == HIGH, "woken by 0x%x", order[0]);
		EXPECT(order_count > 1 || last_rip == (uintptr_t)hlt_after,
		       "taken at 0x%llx, not 0x%llx", ull(last_rip), ull((uintptr_t)hlt_after));
	}
	lapic_timer_stop();
	return PASS;
}

/* MOV SS holds interrupts off for one instruction: here, the CLI. */
static enum verdict probe_mov_ss(void)
{
	listen();
	lapic_self_ipi(MIDDLE);
	asm volatile("sti; mov %0, %%ss; cli" : : "r"(KERNEL_DS) : "memory");
	unsigned int early = order_count;
	asm volatile(WINDOW : : : "memory");
	EXPECT(order_count == 1, "%u delivered", order_count);
	detail("%s", early ? "taken between" : "held");
	return PASS;
}

static volatile unsigned int nmi_count;

static void on_nmi(struct trap_frame *frame)
{
	(void)frame;
	nmi_count++;
}

static enum verdict probe_nmi(void)
{
	nmi_count = 0;
	trap_handlers[TRAP_NMI] = on_nmi;
	lapic_write(LAPIC_ICR_HIGH, lapic_read(LAPIC_ID));
	lapic_write(LAPIC_ICR_LOW, 0x4400);
	delay_ticks(us_to_ticks(1000));
	EXPECT(nmi_count == 1, "%u NMIs with IF clear", nmi_count);
	lapic_write(LAPIC_ICR_LOW, 0x4400);
	delay_ticks(us_to_ticks(1000));
	EXPECT(nmi_count == 2, "%u NMIs after a second one: is IRET unblocking?", nmi_count);
	return PASS;
}

static enum verdict probe_lapic(void)
{
	uint32_t version = lapic_read(LAPIC_VERSION);
	EXPECT((version & 0xff) >= 0x10 && (version & 0xff) < 0x20, "version 0x%x", version);
	EXPECT((version >> 16 & 0xff) >= 3, "%u LVTs", (version >> 16 & 0xff) + 1);
	lapic_write(LAPIC_VERSION, 0);
	EXPECT(lapic_read(LAPIC_VERSION) == version, "the version can be written");
	lapic_write(LAPIC_LVT_LINT0, 0xff | LVT_MASKED);
	EXPECT((lapic_read(LAPIC_LVT_LINT0) & ~0x1000u) == (0xff | LVT_MASKED), "LINT0 0x%x",
	       lapic_read(LAPIC_LVT_LINT0));
	lapic_write(LAPIC_SVR, SPURIOUS_VECTOR); /* software-disabled: all LVTs masked */
	lapic_write(LAPIC_LVT_LINT0, 0x61);
	EXPECT(lapic_read(LAPIC_LVT_LINT0) & LVT_MASKED, "unmasked while disabled");
	return PASS;
}

static enum verdict probe_ioapic(void)
{
	uint32_t version = ioapic_read(1);
	unsigned int pins = (version >> 16 & 0xff) + 1;
	EXPECT(pins >= 16 && pins <= 240, "%u pins", pins);
	uint32_t old_low = ioapic_read(0x10 + 2 * 9), old_high = ioapic_read(0x11 + 2 * 9);
	ioapic_write(0x10 + 2 * 9, 0x1a9ff);
	ioapic_write(0x11 + 2 * 9, 0x05000000);
	uint32_t low = ioapic_read(0x10 + 2 * 9), high = ioapic_read(0x11 + 2 * 9);
	ioapic_write(0x11 + 2 * 9, old_high);
	ioapic_write(0x10 + 2 * 9, old_low);
	EXPECT((low & ~0x5000u) == 0x1a9ff, "low 0x%x", low);
	EXPECT(high == 0x05000000, "high 0x%x", high);
	detail("%u pins, version 0x%x", pins, version & 0xff);
	return PASS;
}

/* Waits with interrupts on until one came; true when in time. */
static bool wait_interrupt(uint64_t us)
{
	uint64_t start = rdtsc();
	irq_on();
	while (order_count == 0 && rdtsc() - start < us_to_ticks(us)) {
		pause();
	}
	irq_off();
	return order_count != 0;
}

static void on_pic(struct trap_frame *frame)
{
	order[order_count++ & 15] = (unsigned int)frame->vector;
	pic_eoi();
}

static enum verdict probe_pit_pic(void)
{
	listen();
	trap_handlers[0x20] = on_pic;
	lapic_write(LAPIC_LVT_LINT0, LVT_EXTINT);
	pic_unmask(0);
	for (unsigned int i = 0; i < 3; i++) {
		order_count = 0;
		uint64_t start = rdtsc();
		pit_start(false, PIT_HZ / 100);
		EXPECT(wait_interrupt(2000000), "no interrupt %u", i);
		EXPECT(rdtsc() - start >= tsc_hz() / 110, "too early");
		EXPECT(order[0] == 0x20, "vector 0x%x", order[0]);
	}
	order_count = 0;
	pit_start(true, PIT_HZ / 100);
	uint64_t start = rdtsc();
	irq_on();
	while (order_count < 5 && rdtsc() - start < tsc_hz() * 2) {
		pause();
	}
	irq_off();
	unsigned int count = order_count;
	pit_start(false, 1);
	irq_on(); /* takes what is still to come, before LINT0 is masked again */
	delay_ticks(us_to_ticks(2000));
	irq_off();
	EXPECT(count >= 5, "periodic: %u", count);
	return PASS;
}

/* The I/O APIC input of IRQ 0, by the MADT's interrupt source override. */
static unsigned int pit_pin(void)
{
	const uint8_t *madt = acpi_find("APIC");
	if (!madt) {
		return 2;
	}
	unsigned int length = (unsigned int)(madt[4] | madt[5] << 8);
	for (unsigned int offset = 44; offset + 2 <= length && madt[offset + 1];
	     offset += madt[offset + 1]) {
		if (madt[offset] == 2 && madt[offset + 3] == 0) {
			return madt[offset + 4];
		}
	}
	return 0;
}

static enum verdict probe_pit_ioapic(void)
{
	listen();
	unsigned int pin = pit_pin();
	pit_start(false, 1);
	delay_ticks(us_to_ticks(1000));
	ioapic_route(pin, PIT_VECTOR, false);
	for (unsigned int i = 0; i < 3; i++) {
		order_count = 0;
		pit_start(false, PIT_HZ / 100);
		bool came = wait_interrupt(2000000);
		EXPECT(came && order[0] == PIT_VECTOR, "pin %u: %u interrupts", pin, order_count);
	}
	ioapic_route(pin, PIT_VECTOR, true);
	order_count = 0;
	pit_start(false, PIT_HZ / 1000);
	EXPECT(!wait_interrupt(20000), "delivered although masked");
	detail("pin %u", pin);
	return PASS;
}

const struct probe interrupt_probes[] = {
	{ "lapic-registers", probe_lapic },
	{ "ioapic-registers", probe_ioapic },
	{ "interrupt-self-ipi", probe_self_ipi },
	{ "interrupt-sti-cli", probe_sti_cli },
	{ "interrupt-priorities", probe_priorities },
	{ "interrupt-tpr", probe_tpr },
	{ "interrupt-nesting", probe_nesting },
	{ "interrupt-hlt", probe_hlt },
	{ "interrupt-sti-hlt", probe_sti_hlt },
	{ "interrupt-mov-ss", probe_mov_ss },
	{ "interrupt-nmi", probe_nmi },
	{ "interrupt-pit-pic", probe_pit_pic },
	{ "interrupt-pit-ioapic", probe_pit_ioapic },
	{ NULL, NULL },
};
