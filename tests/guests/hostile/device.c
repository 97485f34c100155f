/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attacks by memory accesses: random guest-physical addresses with every kind of
 * instruction, device registers with random values, and storms of interrupts.
 */
#include "tests/guests/hostile/hostile.h"

#define IOAPIC_BASE 0xfec00000u

static void touch_once(uint64_t place)
{
	uint64_t value = rnd(), other = SANDBOX + below(SANDBOX_SIZE / 2), count = below(100);
	switch (below(12)) {
	case 0:
		asm volatile("movb (%1), %%al" : "+a"(value) : "r"(place) : "memory");
		break;
	case 1:
		asm volatile("movq (%1), %0" : "+a"(value) : "r"(place) : "memory");
		break;
	case 2:
		asm volatile("movl %k0, (%1)" : : "a"(value), "r"(place) : "memory");
		break;
	case 3:
		asm volatile("movq %0, (%1)" : : "a"(value), "r"(place) : "memory");
		break;
	case 4:
		asm volatile("xchgw %w0, (%1)" : "+a"(value) : "r"(place) : "memory");
		break;
	case 5:
		asm volatile("lock cmpxchgq %1, (%2)"
			     : "+a"(value)
			     : "r"(other), "r"(place)
			     : "memory", "cc");
		break;
	case 6:
		asm volatile("rep movsb" : "+S"(place), "+D"(other), "+c"(count) : : "memory");
		break;
	case 7:
		asm volatile("rep stosl" : "+D"(place), "+c"(count) : "a"(value) : "memory");
		break;
	case 8:
		asm volatile("movups (%0), %%xmm0; movups %%xmm0, (%0)" : : "r"(place) : "memory");
		break;
	case 9:
		asm volatile("orl %k0, (%1); notb (%1)"
			     :
			     : "a"(value), "r"(place)
			     : "memory", "cc");
		break;
	case 10:
		asm volatile(
			"mov %%rsp, %%rbx; mov %0, %%rsp; push %%rax; pop %%rax; mov %%rbx, %%rsp"
			:
			: "r"(place)
			: "rbx", "memory");
		break;
	default:
		asm volatile("fxsave (%0)" : : "r"(place & ~UINT64_C(15)) : "memory");
		break;
	}
}

/* Writes go anywhere but into our own first 2 MiB. */
void attack_memory(void)
{
	for (unsigned int i = 0; i < 8; i++) {
		uint64_t gpa = odd_address();
		if (gpa >= SANDBOX - PAGE_SIZE) {
			touch_once(map_anywhere(gpa));
		}
	}
}

/* Neither INIT nor SIPI: those are attack_fatal()'s. */
static uint32_t mild(uint32_t value)
{
	uint32_t delivery = value >> 8 & 7;
	return delivery == 5 || delivery == 6 || delivery == 2 ? value & ~0x700u : value;
}

static void write_lapic(void)
{
	unsigned int offset = (unsigned int)below(0x40) * 16;
	uint32_t value = (uint32_t)odd_number();
	bool delivers = offset == LAPIC_ICR_LOW ||
			(offset >= LAPIC_LVT_TIMER && offset < LAPIC_TIMER_INITIAL);
	volatile uint8_t *byte = (volatile uint8_t *)(uintptr_t)(LAPIC_BASE + below(0x1000));
	switch (below(8)) {
	case 0:
		(void)*(volatile uint64_t *)(uintptr_t)(LAPIC_BASE + offset);
		break;
	case 1:
		(void)*byte;
		break;
	case 2:
		(void)lapic_read(offset);
		break;
	default:
		lapic_write(offset, delivers ? mild(value) : value);
		break;
	}
}

static void write_ioapic(void)
{
	uint32_t index = one_in(4) ? (uint32_t)rnd() : (uint32_t)below(0x44);
	if (one_in(3)) {
		ioapic_read(index);
	} else if (one_in(8)) {
		*(volatile uint32_t *)(uintptr_t)(IOAPIC_BASE + below(0x400) * 4) =
			mild((uint32_t)rnd());
	} else {
		ioapic_write(index, mild((uint32_t)odd_number()));
	}
}

void attack_device(void)
{
	static const uint16_t ports[] = { 0x20,	 0x21,	0xa0,  0xa1,  0x40,  0x41,
					  0x42,	 0x43,	0x61,  0x70,  0x71,  0x3f8,
					  0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3ff };
	for (unsigned int i = 0; i < 24; i++) {
		switch (below(4)) {
		case 0:
			write_lapic();
			break;
		case 1:
			write_ioapic();
			break;
		case 2:
			out8(ports[below(ARRAY_COUNT(ports))], (uint8_t)rnd());
			break;
		default:
			in8(ports[below(ARRAY_COUNT(ports))]);
			break;
		}
		if (one_in(4)) {
			asm volatile("sti; nop; nop; cli" : : : "memory");
		}
	}
}

/* Self-IPIs of all priorities, timers of a few ticks, HLT in between. */
void attack_storm(void)
{
	uint32_t vector = STORM_FIRST + (uint32_t)below(STORM_COUNT);
	lapic_timer_start((uint8_t)vector, LVT_PERIODIC,
			  (uint32_t)(one_in(16) ? 1 + below(10) : 3000 + below(50000)));
	for (unsigned int i = 0; i < 50; i++) {
		for (uint64_t n = below(6); n; n--) {
			lapic_self_ipi((uint8_t)(STORM_FIRST + below(STORM_COUNT)));
		}
		if (one_in(2)) {
			irq_wait();
		} else {
			asm volatile("sti; nop; nop; cli" : : : "memory");
		}
		if (one_in(8)) {
			write_cr8(below(16));
			write_cr8(0);
		}
	}
}
