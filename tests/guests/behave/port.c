/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Port I/O: a port that nobody claims reads all ones and swallows writes; string forms move
 * the bytes and registers that the manuals say, across pages and up to a page fault.
 */
#include "lib/string.h"
#include "tests/guests/behave/behave.h"

#define FREE_PORT 0x1230
#define UART_SCRATCH (COM1 + 7)
#define UART_MCR (COM1 + 4)
#define UART_LSR (COM1 + 5)
#define UART_FCR (COM1 + 2)

static enum verdict probe_unclaimed(void)
{
	static const uint16_t ports[] = { 0x1230, 0x2f00, 0x5678, 0xe0, 0x9100, 0xfffc };
	for (unsigned int i = 0; i < ARRAY_COUNT(ports); i++) {
		uint16_t port = ports[i];
		out8(port, 0);
		out16(port, 0);
		out32(port, 0);
		EXPECT(in8(port) == 0xff, "0x%x byte 0x%x", port, in8(port));
		EXPECT(in16(port) == 0xffff, "0x%x word 0x%x", port, in16(port));
		EXPECT(in32(port) == 0xffffffff, "0x%x doubleword 0x%x", port, in32(port));
	}
	return PASS;
}

/* IN of a byte or word keeps the rest of rax; of a doubleword clears the upper half. */
static enum verdict probe_register(void)
{
	uint64_t rax = UINT64_C(0x1122334455667788), wide = rax, word = rax, imm = rax;
	asm volatile("inb %%dx, %%al" : "+a"(rax) : "d"(FREE_PORT));
	asm volatile("inw %%dx, %%ax" : "+a"(word) : "d"(FREE_PORT));
	asm volatile("inl %%dx, %%eax" : "+a"(wide) : "d"(FREE_PORT));
	asm volatile("inb $0xe0, %%al" : "+a"(imm));
	EXPECT(rax == UINT64_C(0x11223344556677ff), "byte: 0x%llx", ull(rax));
	EXPECT(word == UINT64_C(0x112233445566ffff), "word: 0x%llx", ull(word));
	EXPECT(wide == 0xffffffff, "doubleword: 0x%llx", ull(wide));
	EXPECT(imm == UINT64_C(0x11223344556677ff), "immediate: 0x%llx", ull(imm));
	return PASS;
}

/* Prefixes in front of IN and OUT are part of them. */
static enum verdict probe_prefixes(void)
{
	uint64_t mark = 0, rax = 0;
	asm volatile(".byte 0x48, 0xed\n\t"	  /* rex.w in eax, dx */
		     ".byte 0x2e, 0x3e, 0xec\n\t" /* cs ds in al, dx */
		     ".byte 0xf3, 0xee\n\t"	  /* rep out dx, al: the prefix means nothing */
		     ".byte 0x66, 0x40, 0xef\n\t" /* out dx, ax */
		     "add $5, %0"
		     : "+S"(mark), "+a"(rax)
		     : "d"(FREE_PORT));
	EXPECT(mark == 5 && rax == 0xffffffff, "mark %llu rax 0x%llx", ull(mark), ull(rax));
	return PASS;
}

/* The flags as they were: an exit may not touch them. */
static enum verdict probe_flags(void)
{
	uint64_t before, after;
	asm volatile("mov $0x8d5, %%eax\n\tpush %%rax\n\tpopfq\n\tpushfq\n\tpop %0\n\t"
		     "in %%dx, %%al\n\tout %%al, %%dx\n\tpushfq\n\tpop %1"
		     : "=&r"(before), "=&r"(after)
		     : "d"(FREE_PORT)
		     : "rax", "cc", "memory");
	EXPECT(before == after, "0x%llx became 0x%llx", ull(before), ull(after));
	return PASS;
}

/* Checks that exactly [start, start + size) of the window is ones and the rest is 0x33. */
static bool window_is(uint64_t start, uint64_t size)
{
	for (uint64_t i = 0; i < 3 * PAGE_SIZE; i++) {
		uint8_t wanted = i >= start && i < start + size ? 0xff : 0x33;
		if (((volatile uint8_t *)WINDOW_VA)[i] != wanted) {
			detail("byte 0x%llx is 0x%x, not 0x%x", ull(i),
			       ((volatile uint8_t *)WINDOW_VA)[i], wanted);
			return false;
		}
	}
	return true;
}

#define INS_CASE(instruction, count, start, size, step)                                \
	do {                                                                           \
		memset(window_frames, 0x33, sizeof(window_frames));                    \
		uint64_t rdi_ = WINDOW_VA + (start), rcx_ = (count);                   \
		asm volatile(instruction "\n\tcld"                                     \
			     : "+D"(rdi_), "+c"(rcx_)                                  \
			     : "d"(FREE_PORT)                                          \
			     : "memory");                                              \
		uint64_t low_ = (step) < 0 ? (start) + 4 - (uint64_t)(size) : (start); \
		if (!window_is(low_, (size))) {                                        \
			return FAIL;                                                   \
		}                                                                      \
		EXPECT(rcx_ == 0, instruction " leaves rcx %llu", ull(rcx_));          \
		EXPECT(rdi_ == WINDOW_VA + (start) + (uint64_t)(int64_t)(step),        \
		       instruction " leaves rdi 0x%llx", ull(rdi_));                   \
	} while (0)

/* Frames in reverse order, so that a copy that follows gpas instead of gvas is seen. */
static void window_reversed(void)
{
	for (unsigned int page = 0; page < WINDOW_PAGES; page++) {
		window_map(page, (uintptr_t)window_frames[WINDOW_PAGES - 1 - page] | PTE_P | PTE_W);
	}
}

static enum verdict probe_ins(void)
{
	window_reversed();
	INS_CASE("rep insb", 100, 10, 100, 100);
	INS_CASE("rep insw", 50, 10, 100, 100);
	INS_CASE("rep insl", 25, 10, 100, 100);
	INS_CASE("rep insb", 0, 10, 0, 0);
	INS_CASE("insl; xor %%ecx, %%ecx", 7, 10, 4, 4);
	INS_CASE("std; rep insl", 8, 100, 32, -32);
	window_map_all();
	return PASS;
}

static enum verdict probe_ins_pages(void)
{
	window_reversed();
	INS_CASE("rep insb", 200, 4000, 200, 200);
	INS_CASE("rep insw", 2100, 4095, 4200, 4200);
	INS_CASE("rep insl", 1050, 4093, 4200, 4200);
	INS_CASE("insl; xor %%ecx, %%ecx", 1, 4094, 4, 4);
	window_map_all();
	return PASS;
}

/* Fills up to the missing page, then #PF with the registers at the point reached. */
static enum verdict probe_ins_fault(void)
{
	window_map_all();
	memset(window_frames, 0x33, sizeof(window_frames));
	window_map(1, 0);
	uint64_t rdi = WINDOW_VA + 4080, rcx = 40;
	fault_clear();
	asm volatile(ATTEMPT("rep insb") : "+D"(rdi), "+c"(rcx) : "d"(FREE_PORT) : "memory");
	EXPECT(fault.vector == TRAP_PF, "vector %d", fault.vector);
	EXPECT(fault.cr2 == WINDOW_VA + PAGE_SIZE, "cr2 0x%llx", ull(fault.cr2));
	EXPECT(fault.error == 2, "error 0x%llx", ull(fault.error));
	EXPECT(rdi == WINDOW_VA + PAGE_SIZE && rcx == 24, "rdi 0x%llx rcx %llu", ull(rdi),
	       ull(rcx));
	window_map_all();
	EXPECT(window_is(4080, 16), "memory");
	return PASS;
}

/* OUTS: to the scratch register of the UART, whose last byte can be read again. */
static enum verdict probe_outs(void)
{
	static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 0x5c };
	uint64_t rsi = (uintptr_t)bytes, rcx = sizeof(bytes);
	asm volatile("rep outsb" : "+S"(rsi), "+c"(rcx) : "d"(UART_SCRATCH) : "memory");
	EXPECT(rsi == (uintptr_t)bytes + 6 && rcx == 0, "rsi 0x%llx rcx %llu", ull(rsi), ull(rcx));
	EXPECT(in8(UART_SCRATCH) == 0x5c, "scratch 0x%x", in8(UART_SCRATCH));
	rsi = (uintptr_t)bytes + 2;
	asm volatile("outsb" : "+S"(rsi) : "d"(UART_SCRATCH) : "memory");
	EXPECT(in8(UART_SCRATCH) == 3, "scratch 0x%x", in8(UART_SCRATCH));
	rsi = (uintptr_t)bytes;
	rcx = 3;
	asm volatile("rep outsw" : "+S"(rsi), "+c"(rcx) : "d"(FREE_PORT) : "memory");
	EXPECT(rsi == (uintptr_t)bytes + 6 && rcx == 0, "words: rcx %llu", ull(rcx));
	return PASS;
}

/* OUTS takes a segment override (FS has a base here), INS does not; both take 67h. */
static enum verdict probe_string_prefixes(void)
{
	static uint8_t bytes[16] = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x2b };
	wrmsr(0xc0000100, 7); /* FS base */
	uint64_t rsi = (uintptr_t)bytes, rdi = (uintptr_t)bytes + 8, rcx = BIT(40) | 3;
	asm volatile(".byte 0x64; outsb" : "+S"(rsi) : "d"(UART_SCRATCH) : "memory");
	EXPECT(in8(UART_SCRATCH) == 0x2b, "FS: 0x%x", in8(UART_SCRATCH));
	wrmsr(0xc0000100, 0);
	asm volatile(".byte 0x67; rep insb" : "+D"(rdi), "+c"(rcx) : "d"(UART_SCRATCH) : "memory");
	EXPECT(rdi == (uintptr_t)bytes + 11, "67h: rdi 0x%llx", ull(rdi));
	EXPECT((uint32_t)rcx == 0, "67h: rcx 0x%llx", ull(rcx));
	EXPECT(bytes[8] == 0x2b && bytes[10] == 0x2b && bytes[11] == 0, "memory 0x%x 0x%x",
	       bytes[8], bytes[11]);
	return PASS;
}

/* The UART's own loop: what is sent comes back, and nothing goes out. */
static enum verdict probe_serial_loopback(void)
{
	uint64_t start = rdtsc();
	out8(UART_MCR, 0x10);
	out8(UART_FCR, 7);
	bool good = true;
	uint8_t seen = 0;
	for (unsigned int byte = 0; byte < 256 && good; byte += 5) {
		out8(COM1, (uint8_t)byte);
		while (!(in8(UART_LSR) & 1) && rdtsc() - start < tsc_hz()) {
			pause();
		}
		seen = in8(COM1);
		good = seen == byte;
	}
	serial_init();
	EXPECT(good, "got 0x%x", seen);
	return PASS;
}

const struct probe port_probes[] = {
	{ "port-unclaimed", probe_unclaimed },
	{ "port-register", probe_register },
	{ "port-prefixes", probe_prefixes },
	{ "port-flags", probe_flags },
	{ "port-ins", probe_ins },
	{ "port-ins-pages", probe_ins_pages },
	{ "port-ins-fault", probe_ins_fault },
	{ "port-outs", probe_outs },
	{ "port-string-prefixes", probe_string_prefixes },
	{ "serial-loopback", probe_serial_loopback },
	{ NULL, NULL },
};
