/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * State that must survive many exits and other partitions' turns on the CPU: general,
 * floating-point, vector and debug registers, and memory.
 */
#include "lib/string.h"
#include "tests/guests/behave/behave.h"

#define ROUNDS 5000u
#define TICK_VECTOR 0x44

void registers_general(const void *pattern, void *result, uint64_t count);
void registers_sse(const void *pattern, void *result, uint64_t count);
void registers_avx(const void *pattern, void *result, uint64_t count);
void registers_x87(const void *pattern, void *result, uint64_t count);

static void on_tick(struct trap_frame *frame)
{
	(void)frame;
	lapic_eoi();
}

/* Runs `code` under a 1 kHz timer; true when pattern and result are equal. */
static bool survives(void (*code)(const void *, void *, uint64_t), void *pattern, void *result,
		     size_t size)
{
	memset(result, 0, size);
	trap_handlers[TICK_VECTOR] = on_tick;
	lapic_timer_start(TICK_VECTOR, LVT_PERIODIC, (uint32_t)(lapic_timer_hz() / 1000));
	irq_on();
	code(pattern, result, ROUNDS);
	irq_off();
	lapic_timer_stop();
	return memcmp(pattern, result, size) == 0;
}

static void fill(uint8_t *pattern, size_t size)
{
	uint64_t state = 0x5eed;
	for (size_t i = 0; i < size; i++) {
		pattern[i] = (uint8_t)random_next(&state);
	}
}

static uint8_t pattern[512], result[512];

static enum verdict probe_general(void)
{
	fill(pattern, 80);
	EXPECT(survives(registers_general, pattern, result, 80), "a register changed");
	return PASS;
}

static enum verdict probe_sse(void)
{
	uint32_t mxcsr = 0x7f80, now;
	asm volatile("ldmxcsr %0" : : "m"(mxcsr));
	fill(pattern, 256);
	EXPECT(survives(registers_sse, pattern, result, 256), "a register changed");
	asm volatile("stmxcsr %0" : "=m"(now));
	EXPECT(now == mxcsr, "MXCSR 0x%x", now);
	mxcsr = 0x1f80;
	asm volatile("ldmxcsr %0" : : "m"(mxcsr));
	return PASS;
}

static enum verdict probe_avx(void)
{
	if (!has_leaf1_ecx(CPUID_ECX_XSAVE) || !has_leaf1_ecx(28)) {
		return skipped("no AVX");
	}
	uint64_t cr4 = read_cr4();
	write_cr4(cr4 | BIT(18));
	asm volatile("xsetbv" : : "c"(0), "a"(7), "d"(0));
	fill(pattern, 512);
	bool good = survives(registers_avx, pattern, result, 512);
	asm volatile("xsetbv" : : "c"(0), "a"(1), "d"(0));
	write_cr4(cr4);
	EXPECT(good, "a register changed");
	return PASS;
}

/* XSAVE areas in the standard format: offsets and sizes are CPUID's. */
#define XSAVE_AREA 4096
#define XSAVE_BV 512 /* which components it holds */
static uint8_t xsave_area[4][XSAVE_AREA] __attribute__((aligned(64)));

enum xsave_form { FORM_XSAVE, FORM_XSAVEOPT, FORM_XSAVEC, FORM_COUNT };
static const char *const form_names[] = { "XSAVE", "XSAVEOPT", "XSAVEC" };

static void xsave_by(enum xsave_form form, void *area, uint64_t mask)
{
	if (form == FORM_XSAVE) {
		asm volatile("xsave64 (%0)"
			     :
			     : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
			     : "memory");
	} else if (form == FORM_XSAVEOPT) {
		asm volatile("xsaveopt64 (%0)"
			     :
			     : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
			     : "memory");
	} else {
		asm volatile("xsavec64 (%0)"
			     :
			     : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
			     : "memory");
	}
}

static void xrstor(const void *area, uint64_t mask)
{
	asm volatile("xrstor64 (%0)"
		     :
		     : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
		     : "memory");
}

/* An image whose components of `in_use` hold random bytes; the others are initial. */
static void xsave_image(uint8_t *area, uint64_t in_use, uint64_t seed)
{
	memset(area, 0, XSAVE_AREA);
	*(uint32_t *)(area + 24) = 0x1f80; /* MXCSR */
	*(uint64_t *)(area + XSAVE_BV) = in_use;
	for (uint32_t i = 2; i < 63; i++) {
		if (in_use & BIT(i)) {
			struct cpuid_result part = cpuid(0xd, i);
			for (uint32_t n = 0; n < part.eax; n++) {
				area[part.ebx + n] = (uint8_t)random_next(&seed);
			}
		}
	}
}

/* True when the registers, saved in `now`, hold what `image` does: initial is as good as 0. */
static bool xsave_equal(const uint8_t *image, const uint8_t *now, uint64_t all, uint32_t *wrong)
{
	static const uint8_t zeroes[XSAVE_AREA];
	for (uint32_t i = 2; i < 63; i++) {
		struct cpuid_result part = cpuid(0xd, i);
		if (!(all & BIT(i))) {
			continue;
		}
		bool live = (*(const uint64_t *)(now + XSAVE_BV) & BIT(i)) != 0;
		*wrong = i;
		if (memcmp(image + part.ebx, live ? now + part.ebx : zeroes, part.eax) != 0) {
			return false;
		}
	}
	return true;
}

/* Each set of components from 2 up goes out and in again, by each form of XSAVE. */
static enum verdict xsave_round_trips(uint64_t all)
{
	uint32_t offered = cpuid(0xd, 1).eax << 1 | 1;
	uint64_t vectors = all & ~UINT64_C(3);
	uint64_t in_use = 0;
	uint32_t wrong = 0;
	do {
		for (enum xsave_form form = FORM_XSAVE; form < FORM_COUNT; form++) {
			if (!(offered & BIT(form))) {
				continue;
			}
			xsave_image(xsave_area[0], in_use, 0x5eed + in_use);
			xsave_image(xsave_area[1], vectors, 0xbad);
			memset(xsave_area[2], 0, XSAVE_AREA);
			memset(xsave_area[3], 0, XSAVE_AREA);
			xrstor(xsave_area[0], all);
			xsave_by(form, xsave_area[2], all);
			xrstor(xsave_area[1], all);
			xrstor(xsave_area[2], all);
			xsave_by(FORM_XSAVE, xsave_area[3], all);
			EXPECT(xsave_equal(xsave_area[0], xsave_area[3], all, &wrong),
			       "%s with 0x%llx in use lost component %u", form_names[form],
			       ull(in_use), wrong);
		}
		in_use = (in_use - vectors) & vectors; /* the next subset */
	} while (in_use != 0);
	return PASS;
}

static enum verdict probe_xsave(void)
{
	if (!has_leaf1_ecx(CPUID_ECX_XSAVE)) {
		return skipped("no XSAVE");
	}
	uint64_t cr4 = read_cr4();
	write_cr4(cr4 | BIT(18));
	struct cpuid_result leaf = cpuid(0xd, 0);
	asm volatile("xsetbv" : : "c"(0), "a"(leaf.eax), "d"(leaf.edx));
	enum verdict verdict = xsave_round_trips((uint64_t)leaf.edx << 32 | leaf.eax);
	asm volatile("xsetbv" : : "c"(0), "a"(1), "d"(0));
	write_cr4(cr4);
	return verdict;
}

static enum verdict probe_x87(void)
{
	static uint64_t doubles[8];
	for (unsigned int i = 0; i < 8; i++) {
		doubles[i] = UINT64_C(0x400921fb54442d18) + i * UINT64_C(0x0010010001000100);
	}
	uint16_t control = 0x027f, now;
	EXPECT(survives(registers_x87, doubles, result, sizeof(doubles)), "a register changed");
	asm volatile("fldcw %0" : : "m"(control));
	cpuid(0, 0);
	asm volatile("fnstcw %0; fninit" : "=m"(now));
	EXPECT(now == control, "control word 0x%x", now);
	return PASS;
}

static enum verdict probe_debug(void)
{
	uint64_t value[4];
	asm volatile("mov %0, %%dr0; mov %1, %%dr1; mov %2, %%dr2; mov %3, %%dr3"
		     :
		     : "r"(UINT64_C(0x1111)), "r"(UINT64_C(0x2222)),
		       "r"(UINT64_C(0xffff800000003333)), "r"(UINT64_C(0x4444)));
	for (unsigned int i = 0; i < ROUNDS; i++) {
		cpuid(0, 0);
		in8(0x80);
	}
	delay_ticks(us_to_ticks(50000));
	asm volatile("mov %%dr0, %0; mov %%dr1, %1; mov %%dr2, %2; mov %%dr3, %3"
		     : "=r"(value[0]), "=r"(value[1]), "=r"(value[2]), "=r"(value[3]));
	EXPECT(value[0] == 0x1111 && value[1] == 0x2222 &&
		       value[2] == UINT64_C(0xffff800000003333) && value[3] == 0x4444,
	       "0x%llx 0x%llx 0x%llx 0x%llx", ull(value[0]), ull(value[1]), ull(value[2]),
	       ull(value[3]));
	return PASS;
}

/* TS set by the guest stays the guest's affair: #NM on use, none after CLTS. */
static enum verdict probe_task_switched(void)
{
	uint64_t cr0 = read_cr0();
	write_cr0(cr0 | BIT(3));
	cpuid(0, 0);
	fault_clear();
	asm volatile(ATTEMPT("fwait; fld1"));
	int vector = fault.vector;
	asm volatile("clts");
	write_cr0(cr0);
	EXPECT(vector == 7, "vector %d, not 7", vector);
	fault_clear();
	asm volatile(ATTEMPT("fld1"));
	asm volatile("fninit");
	EXPECT(fault.vector == NO_FAULT, "vector %d after CLTS", fault.vector);
	return PASS;
}

/* A word in each free page, written in one pass and read in another. */
static enum verdict probe_memory(void)
{
	uint64_t start = align_up((uintptr_t)image_end, PAGE_SIZE);
	uint64_t end = align_down(guest_boot.ram_end, PAGE_SIZE);
	for (uint64_t page = start; page < end; page += PAGE_SIZE) {
		*(volatile uint64_t *)(page + (page >> 12 & 0x1ff) * 8) = ~page;
	}
	for (uint64_t page = start; page < end; page += PAGE_SIZE) {
		uint64_t value = *(volatile uint64_t *)(page + (page >> 12 & 0x1ff) * 8);
		EXPECT(value == ~page, "0x%llx holds 0x%llx", ull(page), ull(value));
	}
	detail("%llu MiB", ull((end - start) / MIB));
	return PASS;
}

const struct probe state_probes[] = {
	{ "state-general", probe_general },
	{ "state-sse", probe_sse },
	{ "state-avx", probe_avx },
	{ "state-xsave", probe_xsave },
	{ "state-x87", probe_x87 },
	{ "state-debug", probe_debug },
	{ "state-task-switched", probe_task_switched },
	{ "state-memory", probe_memory },
	{ NULL, NULL },
};
