/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that nobody claims, read and written with many instructions. It must read all
 * ones; the forms are then judged against what a plain load reads, so that they can be
 * tried on machines where it reads something else.
 */
#include "lib/string.h"
#include "tests/guests/behave/behave.h"

#define HOLE UINT64_C(0xd0000000)

static uint64_t hole_reads(void)
{
	return *(volatile uint32_t *)HOLE ? ~UINT64_C(0) : 0;
}

static enum verdict probe_unclaimed(void)
{
	static const uint64_t places[] = { HOLE, HOLE + 0xff8, 0xfed10000, 0xc8001000 };
	for (unsigned int i = 0; i < ARRAY_COUNT(places); i++) {
		uint64_t place = places[i];
		*(volatile uint64_t *)place = UINT64_C(0x0123456789abcdef);
		EXPECT(*(volatile uint8_t *)place == 0xff, "byte at 0x%llx", ull(place));
		EXPECT(*(volatile uint16_t *)place == 0xffff, "word at 0x%llx", ull(place));
		EXPECT(*(volatile uint32_t *)place == 0xffffffff, "32 bits at 0x%llx", ull(place));
		EXPECT(*(volatile uint64_t *)place == ~UINT64_C(0), "64 bits at 0x%llx",
		       ull(place));
	}
	return PASS;
}

/* rax = start before `instruction`, which may use (%rdi); must be `wanted` after it. */
#define LOAD(instruction, wanted)                                                           \
	do {                                                                                \
		uint64_t rax_ = UINT64_C(0x1122334455667788), wanted_ = (wanted);           \
		asm volatile(instruction : "+a"(rax_) : "D"(HOLE) : "cc", "memory", "r15"); \
		EXPECT(rax_ == wanted_, instruction ": rax 0x%llx, not 0x%llx", ull(rax_),  \
		       ull(wanted_));                                                       \
	} while (0)

static enum verdict probe_loads(void)
{
	uint64_t v = hole_reads();
	LOAD("movb (%%rdi), %%al", UINT64_C(0x1122334455667700) | (v & 0xff));
	LOAD("movb (%%rdi), %%ah", UINT64_C(0x1122334455660088) | (v & 0xff00));
	LOAD("movw (%%rdi), %%ax", UINT64_C(0x1122334455660000) | (v & 0xffff));
	LOAD("movl (%%rdi), %%eax", v & 0xffffffff);
	LOAD("movq (%%rdi), %%rax", v);
	LOAD("movl 0x40(%%rdi), %%eax", v & 0xffffffff);
	LOAD("movabsl 0xd0000000, %%eax", v & 0xffffffff);
	LOAD("movabsb 0xd0000008, %%al", UINT64_C(0x1122334455667700) | (v & 0xff));
	LOAD("movq (%%rdi), %%r15; mov %%r15, %%rax", v);
	LOAD(".byte 0x67; movl (%%rdi), %%eax", v & 0xffffffff);
	return PASS;
}

static enum verdict probe_extending_loads(void)
{
	uint64_t v = hole_reads();
	LOAD("movzbl (%%rdi), %%eax", v & 0xff);
	LOAD("movzbq (%%rdi), %%rax", v & 0xff);
	LOAD("movzbw (%%rdi), %%ax", UINT64_C(0x1122334455660000) | (v & 0xff));
	LOAD("movzwl (%%rdi), %%eax", v & 0xffff);
	LOAD("movzwq (%%rdi), %%rax", v & 0xffff);
	LOAD("movsbl (%%rdi), %%eax", v & 0xffffffff);
	LOAD("movsbq (%%rdi), %%rax", v);
	LOAD("movswq (%%rdi), %%rax", v);
	LOAD("movslq (%%rdi), %%rax", v);
	return PASS;
}

static enum verdict probe_alu(void)
{
	uint64_t v = hole_reads(), a = UINT64_C(0x1122334455667788);
	LOAD("andl (%%rdi), %%eax", a & v & 0xffffffff);
	LOAD("orq (%%rdi), %%rax", a | v);
	LOAD("xorq (%%rdi), %%rax", a ^ v);
	LOAD("addq (%%rdi), %%rax", a + v);
	LOAD("subl (%%rdi), %%eax", (a - v) & 0xffffffff);
	LOAD("cmpb $0x7f, (%%rdi); mov $0, %%eax; setb %%al", v ? 0 : 1);
	LOAD("cmpl $-1, (%%rdi); mov $0, %%eax; sete %%al", v ? 1 : 0);
	LOAD("cmpq (%%rdi), %%rax; mov $0, %%eax; setc %%al", v ? 1 : 0);
	LOAD("testb $1, (%%rdi); mov $0, %%eax; setz %%al", v ? 0 : 1);
	LOAD("testl %%eax, (%%rdi); mov $0, %%eax; setz %%al", v ? 0 : 1);
	return PASS;
}

/* What is written is swallowed; flags and registers must still be right. */
static enum verdict probe_stores(void)
{
	uint64_t v = hole_reads(), a = UINT64_C(0x1122334455667788);
	LOAD("movb %%al, (%%rdi)", a);
	LOAD("movb %%ah, 1(%%rdi)", a);
	LOAD("movw %%ax, (%%rdi)", a);
	LOAD("movl %%eax, (%%rdi)", a);
	LOAD("movq %%rax, (%%rdi)", a);
	LOAD("movb $1, (%%rdi); movw $2, (%%rdi); movl $3, (%%rdi); movq $-4, (%%rdi)", a);
	LOAD("movl $5, 0x12345(%%rdi)", a);
	LOAD("movabsl %%eax, 0xd0000000", a);
	LOAD("xchgl %%eax, (%%rdi)", v & 0xffffffff);
	LOAD("xchgb %%al, (%%rdi)", UINT64_C(0x1122334455667700) | (v & 0xff));
	EXPECT(hole_reads() == v, "a store was kept");
	return PASS;
}

static enum verdict probe_modify(void)
{
	uint64_t v = hole_reads();
	LOAD("orl $1, (%%rdi); mov $0, %%eax; sets %%al", v ? 1 : 0);
	LOAD("andl $0, (%%rdi); mov $0, %%eax; setz %%al", 1);
	LOAD("xorl $-1, (%%rdi); mov $0, %%eax; setz %%al", v ? 1 : 0);
	LOAD("addl $1, (%%rdi); mov $0, %%eax; setc %%al", v ? 1 : 0);
	LOAD("subb $1, (%%rdi); mov $0, %%eax; setc %%al", v ? 0 : 1);
	LOAD("andb %%al, (%%rdi); mov $0, %%eax; sets %%al", v ? 1 : 0);
	LOAD("lock orl %%eax, (%%rdi)", UINT64_C(0x1122334455667788));
	LOAD("incl (%%rdi); mov $0, %%eax; setz %%al", v ? 1 : 0);
	LOAD("decl (%%rdi); mov $0, %%eax; sets %%al", 1);
	LOAD("notl (%%rdi)", UINT64_C(0x1122334455667788));
	EXPECT(hole_reads() == v, "a store was kept");
	return PASS;
}

static enum verdict probe_strings(void)
{
	static uint64_t buffer[16];
	uint64_t v = hole_reads(), rsi = HOLE, rdi = (uintptr_t)buffer, rcx = 8;
	memset(buffer, 0x5a, sizeof(buffer));
	asm volatile("rep movsl" : "+S"(rsi), "+D"(rdi), "+c"(rcx) : : "memory");
	EXPECT(buffer[0] == v && buffer[3] == v && buffer[4] == UINT64_C(0x5a5a5a5a5a5a5a5a),
	       "from: 0x%llx 0x%llx", ull(buffer[3]), ull(buffer[4]));
	EXPECT(rsi == HOLE + 32 && rdi == (uintptr_t)buffer + 32 && rcx == 0,
	       "from: rsi 0x%llx rcx %llu", ull(rsi), ull(rcx));
	rsi = (uintptr_t)buffer;
	rdi = HOLE;
	rcx = 100;
	asm volatile("rep movsb" : "+S"(rsi), "+D"(rdi), "+c"(rcx) : : "memory");
	EXPECT(rsi == (uintptr_t)buffer + 100 && rdi == HOLE + 100 && rcx == 0,
	       "to: rdi 0x%llx rcx %llu", ull(rdi), ull(rcx));
	rdi = HOLE;
	rcx = 50;
	asm volatile("rep stosw" : "+D"(rdi), "+c"(rcx) : "a"(0) : "memory");
	EXPECT(rdi == HOLE + 100 && rcx == 0, "rep stos: rdi 0x%llx rcx %llu", ull(rdi), ull(rcx));
	uint64_t rax = 0;
	rsi = HOLE;
	asm volatile("lodsq" : "+S"(rsi), "+a"(rax) : : "memory");
	EXPECT(rax == v && rsi == HOLE + 8, "lods: rax 0x%llx rsi 0x%llx", ull(rax), ull(rsi));
	rdi = HOLE + 0x100;
	asm volatile("std; stosl; cld" : "+D"(rdi) : "a"(0) : "memory");
	EXPECT(rdi == HOLE + 0xfc, "stos down: rdi 0x%llx", ull(rdi));
	EXPECT(hole_reads() == v, "a store was kept");
	return PASS;
}

/* Through a page table that is not one to one: the walk is the guest's, not gva = gpa. */
static enum verdict probe_mapped(void)
{
	uint64_t v = hole_reads();
	window_map_all();
	window_map(0, (HOLE + PAGE_SIZE) | PTE_P | PTE_W);
	window_map(1, (uintptr_t)window_frames[1] | PTE_P | PTE_W);
	*(volatile uint32_t *)(WINDOW_VA + PAGE_SIZE) = 0x12345678;
	uint32_t hole = *(volatile uint32_t *)(WINDOW_VA + 0xffc);
	uint32_t memory = *(volatile uint32_t *)(WINDOW_VA + 0x1000);
	window_map_all();
	EXPECT(hole == (uint32_t)v && memory == 0x12345678, "0x%x 0x%x", hole, memory);
	return PASS;
}

/* Code and accesses of a moved-about kind: far above RAM, below 4 GiB and beyond. */
static enum verdict probe_high(void)
{
	uint64_t v = hole_reads();
	unsigned int bits = MIN(cpuid(0x80000008, 0).eax & 0xff, 46u);
	for (unsigned int bit = 33; bit < bits; bit++) {
		window_map(0, BIT(bit) | PTE_P | PTE_W);
		uint64_t value = *(volatile uint32_t *)WINDOW_VA;
		*(volatile uint32_t *)WINDOW_VA = 0;
		EXPECT(value == (uint32_t)v || value == 0, "bit %u: 0x%llx", bit, ull(value));
	}
	window_map_all();
	return PASS;
}

const struct probe mmio_probes[] = {
	{ "mmio-unclaimed", probe_unclaimed },
	{ "mmio-loads", probe_loads },
	{ "mmio-extending-loads", probe_extending_loads },
	{ "mmio-alu", probe_alu },
	{ "mmio-stores", probe_stores },
	{ "mmio-modify", probe_modify },
	{ "mmio-strings", probe_strings },
	{ "mmio-mapped", probe_mapped },
	{ "mmio-high", probe_high },
	{ NULL, NULL },
};
