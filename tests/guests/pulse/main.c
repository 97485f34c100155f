/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The heartbeat guest: proof that a partition lives and that its memory is its own. All of
 * its free memory holds a pattern made from address and generation; on each beat of the
 * local APIC's timer a slice of it is compared, then written again with the next
 * generation, so that a lost write is found as well as a foreign one; registers that hold a
 * known value are compared, too. HLT between beats.
 *
 * Options: beats=N (exit 0 after N), slice=KIB (64), hz=N (10), every=N (beats a line; hz),
 * seed=N, quiet. A byte `?` on the serial line asks for a status line.
 */
#include "lib/addr.h"
#include "tests/guests/common/apic.h"
#include "tests/guests/common/guest.h"
#include "tests/guests/common/io.h"

#define BEAT_VECTOR 0x40
#define MSR_STAR 0xc0000081u

struct pulse {
	uint64_t start, end; /* the checked memory: [start, end) */
	uint64_t next;	     /* where the next slice begins */
	uint64_t slice;	     /* in bytes */
	uint64_t seed;
	uint64_t generation; /* of the memory from `next` on; before it, one more */
	uint64_t passes;     /* times that all of the memory was compared */
	uint64_t checksum;   /* of the last slice */
};

static volatile uint64_t beats_due;

static void on_beat(struct trap_frame *frame)
{
	(void)frame;
	beats_due++;
	lapic_eoi();
}

/* The word that belongs at `address`: a finaliser in the manner of splitmix64. */
static uint64_t pattern(const struct pulse *pulse, uint64_t address, uint64_t generation)
{
	uint64_t x = address + pulse->seed + generation * UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static void fill(struct pulse *pulse)
{
	for (uint64_t address = pulse->start; address < pulse->end; address += 8) {
		*(volatile uint64_t *)address = pattern(pulse, address, 0);
	}
}

static void report_wrong(const struct pulse *pulse, uint64_t address, uint64_t found)
{
	print("pulse: CHECKSUM WRONG at gpa 0x%llx found 0x%llx expected 0x%llx\n",
	      (unsigned long long)address, (unsigned long long)found,
	      (unsigned long long)pattern(pulse, address, pulse->generation));
}

/* Compares a slice and writes its next generation; false after reporting a wrong word. */
static bool check_slice(struct pulse *pulse)
{
	uint64_t end = MIN(pulse->next + pulse->slice, pulse->end);
	uint64_t sum = 0;
	for (uint64_t address = pulse->next; address < end; address += 8) {
		uint64_t found = *(volatile uint64_t *)address;
		if (found != pattern(pulse, address, pulse->generation)) {
			report_wrong(pulse, address, found);
			return false;
		}
		sum += found;
		*(volatile uint64_t *)address = pattern(pulse, address, pulse->generation + 1);
	}
	pulse->checksum = sum;
	pulse->next = end;
	if (end == pulse->end) {
		pulse->next = pulse->start;
		pulse->generation++;
		pulse->passes++;
	}
	return true;
}

/*
 * Registers that nothing here uses: x87 control, an XMM register, a breakpoint address, an MSR
 * of SYSCALL. Whoever else runs on this CPU must leave them as they are.
 */
struct witness {
	uint64_t xmm[2];
	uint64_t dr0;
	uint64_t star;
	uint16_t fcw;
};

static const struct witness planted = {
	.xmm = { 0x0123456789abcdef, 0xfedcba9876543210 },
	.dr0 = 0x12345678,
	.star = 0x0013000800000000,
	.fcw = 0x127f,
};

static void plant_witness(void)
{
	asm volatile("fldcw %0" : : "m"(planted.fcw));
	asm volatile("movdqu %0, %%xmm15" : : "m"(planted.xmm));
	asm volatile("mov %0, %%dr0" : : "r"(planted.dr0));
	wrmsr(MSR_STAR, planted.star);
}

static bool check_witness(void)
{
	struct witness found = { .star = rdmsr(MSR_STAR) };
	asm volatile("fnstcw %0" : "=m"(found.fcw));
	asm volatile("movdqu %%xmm15, %0" : "=m"(found.xmm));
	asm volatile("mov %%dr0, %0" : "=r"(found.dr0));
	if (found.xmm[0] == planted.xmm[0] && found.xmm[1] == planted.xmm[1] &&
	    found.dr0 == planted.dr0 && found.star == planted.star && found.fcw == planted.fcw) {
		return true;
	}
	print("pulse: REGISTERS WRONG xmm15 0x%llx%016llx dr0 0x%llx star 0x%llx fcw 0x%x\n",
	      (unsigned long long)found.xmm[1], (unsigned long long)found.xmm[0],
	      (unsigned long long)found.dr0, (unsigned long long)found.star, found.fcw);
	return false;
}

static void answer(const struct pulse *pulse, uint64_t beat)
{
	if (serial_read() == '?') {
		print("pulse: status beat %llu passes %llu next 0x%llx of 0x%llx-0x%llx sum 0x%llx\n",
		      (unsigned long long)beat, (unsigned long long)pulse->passes,
		      (unsigned long long)pulse->next, (unsigned long long)pulse->start,
		      (unsigned long long)pulse->end, (unsigned long long)pulse->checksum);
	}
}

/* Waits for a beat without losing one that comes between the test and the HLT. */
static void wait_for(uint64_t beat)
{
	irq_off();
	while (beats_due < beat) {
		irq_wait();
	}
	irq_on();
}

static int run(struct pulse *pulse, uint64_t beats, uint64_t every, bool quiet)
{
	for (uint64_t beat = 1; !beats || beat <= beats; beat++) {
		wait_for(beat);
		if (!check_slice(pulse) || !check_witness()) {
			return 1;
		}
		if (!quiet && beat % every == 0) {
			print("pulse: beat %llu checksum ok\n", (unsigned long long)beat);
		}
		answer(pulse, beat);
	}
	print("pulse: done after %llu beats\n", (unsigned long long)beats);
	return 0;
}

int guest_main(void)
{
	struct pulse pulse = {
		.start = align_up((uintptr_t)image_end, PAGE_SIZE),
		.end = align_down(guest_boot.ram_end, PAGE_SIZE),
		.slice = 64,
		.seed = 1,
	};
	uint64_t beats = 0, hz = 10;
	option_u64("beats", &beats);
	option_u64("slice", &pulse.slice);
	option_u64("seed", &pulse.seed);
	option_u64("hz", &hz);
	hz = MIN(MAX(hz, 1u), 1000u);
	uint64_t every = hz;
	option_u64("every", &every);
	pulse.slice = MAX(pulse.slice, 1u) * KIB;
	pulse.next = pulse.start;

	lapic_enable();
	uint64_t rate = lapic_timer_hz();
	print("pulse: memory 0x%llx-0x%llx tsc %llu kHz timer %llu kHz\n",
	      (unsigned long long)pulse.start, (unsigned long long)pulse.end,
	      (unsigned long long)tsc_hz() / 1000, (unsigned long long)rate / 1000);
	fill(&pulse);
	plant_witness();
	trap_handlers[BEAT_VECTOR] = on_beat;
	lapic_timer_start(BEAT_VECTOR, LVT_PERIODIC, (uint32_t)(rate / hz));
	return run(&pulse, beats, MAX(every, 1u), option_flag("quiet"));
}
