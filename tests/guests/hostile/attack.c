/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attacks by single privileged instructions: control registers, MSRs, ports, virtualisation
 * and hypercalls, descriptor tables, and the ones that mostly end in the attacker's death.
 */
#include "lib/string.h"
#include "tests/guests/hostile/hostile.h"

#define CR3_SANE (UINT64_C(0xfff) | BIT(63))

static void some_exits(void)
{
	cpuid((uint32_t)rnd(), (uint32_t)rnd());
	in8(0x80);
}

/* Bits that only change how things behave: without them, and without dying at once. */
void attack_control(void)
{
	static const uint64_t cr0_bits[] = { BIT(1),  BIT(2),  BIT(3),	BIT(5),	 BIT(16),
					     BIT(18), BIT(29), BIT(30), BIT(32), BIT(63) };
	uint64_t value = odd_number();
	switch (below(9)) {
	case 0:
		write_cr0(read_cr0() ^ cr0_bits[below(ARRAY_COUNT(cr0_bits))]);
		break;
	case 1:
		write_cr2(value);
		break;
	case 2:
		write_cr3(read_cr3() | (value & 0x18));
		break;
	case 3:
		write_cr4(read_cr4() ^ (BIT(below(23)) & ~(BIT(5) | BIT(12))));
		break;
	case 4:
		write_cr8(value & (one_in(2) ? 15 : 255));
		break;
	case 5:
		write_cr4(read_cr4() | BIT(18));
		asm volatile("xsetbv"
			     :
			     : "c"(one_in(4) ? (uint32_t)value : 0),
			       "a"((uint32_t)(rnd() & below(16))),
			       "d"(one_in(8) ? (uint32_t)rnd() : 0));
		break;
	case 6:
		asm volatile("mov %0, %%dr7" : : "r"(value & 0xffffffff));
		break;
	case 7:
		asm volatile("mov %0, %%dr0; mov %1, %%dr3" : : "r"(value), "r"(rnd()));
		asm volatile("mov %0, %%dr6" : : "r"(value & 0xffffffff));
		break;
	default:
		asm volatile("lmsw %w0" : : "r"(value | 1));
		break;
	}
	some_exits();
}

static const uint32_t msrs[] = {
	0x1b,	    0x3a,	0x8b,	    0x9e,	0xc1,	    0xfe,	0x174,
	0x175,	    0x176,	0x179,	    0x17a,	0x186,	    0x199,	0x1a0,
	0x1d9,	    0x200,	0x201,	    0x20f,	0x250,	    0x26f,	0x277,
	0x2ff,	    0x309,	0x38d,	    0x38f,	0x3f1,	    0x400,	0x480,
	0x48b,	    0x48c,	0x490,	    0x560,	0x6e0,	    0x6a0,	0x6a2,
	0x802,	    0x808,	0x80b,	    0x830,	0x832,	    0x83f,	0xd90,
	0xda0,	    0x10,	0x3b,	    0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083,
	0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103, 0xc0000104, 0xc0010010,
	0xc0010015, 0xc001001a, 0xc0010114, 0xc0010115, 0xc0010117, 0xc001011a, 0xc0010130,
	0x4b564d00, 0x4b564d01, 0x40000000, 0x40000020, 0x40000070,
};

/* The TSC is put back: the time that we have left is counted by it. */
static void write_tsc(uint64_t value)
{
	uint64_t before = rdtsc();
	wrmsr(0x10, value);
	uint64_t after = rdtsc();
	wrmsr(0x10, before + (rdtsc() - after));
}

void attack_msr(void)
{
	uint32_t msr = one_in(3) ? (uint32_t)odd_number() : msrs[below(ARRAY_COUNT(msrs))];
	if (msr == 0x10) {
		write_tsc(odd_number());
		return;
	}
	if (msr == 0x3b) {
		wrmsr(msr, odd_number());
		wrmsr(msr, 0);
		return;
	}
	if (one_in(3)) {
		wrmsr(msr, odd_number());
	} else {
		wrmsr(msr, rdmsr(msr) ^ (one_in(4) ? 0 : BIT(below(64))));
	}
	some_exits();
}

static uint16_t some_port(void)
{
	static const uint16_t known[] = { 0x20,	 0x21,	0xa0,  0xa1,  0x40,  0x42,  0x43,  0x61,
					  0x70,	 0x71,	0x60,  0x3f8, 0x3f9, 0x3fd, 0x4d0, 0x4d1,
					  0xcf8, 0xcfc, 0x510, 0x511, 0x608, 0x92,  0xb2,  0x402 };
	for (;;) {
		uint16_t port = one_in(2) ? known[below(ARRAY_COUNT(known))] : (uint16_t)rnd();
		if (!port_is_deadly(port)) {
			return port;
		}
	}
}

/* String I/O from and to the sandbox, holes, devices and nothing at all; up and down. */
static void string_port(void)
{
	uint64_t count = one_in(8) ? below(5000) : below(70);
	uint64_t place = one_in(3) ? map_anywhere(odd_address()) : SANDBOX + below(SANDBOX_SIZE);
	uint64_t rsi = place, rdi = place, rcx = count;
	uint16_t port = some_port();
	if (one_in(4)) {
		asm volatile("std");
	}
	switch (below(6)) {
	case 0:
		asm volatile("rep insb" : "+D"(rdi), "+c"(rcx) : "d"(port) : "memory");
		break;
	case 1:
		asm volatile("rep insw" : "+D"(rdi), "+c"(rcx) : "d"(port) : "memory");
		break;
	case 2:
		asm volatile("rep insl" : "+D"(rdi), "+c"(rcx) : "d"(port) : "memory");
		break;
	case 3:
		asm volatile("rep outsb" : "+S"(rsi), "+c"(rcx) : "d"(port) : "memory");
		break;
	case 4:
		asm volatile(".byte 0x67; rep outsw" : "+S"(rsi), "+c"(rcx) : "d"(port) : "memory");
		break;
	default:
		asm volatile("rep outsl" : "+S"(rsi), "+c"(rcx) : "d"(port) : "memory");
		break;
	}
	asm volatile("cld");
}

void attack_port(void)
{
	if (one_in(4)) {
		string_port();
		return;
	}
	for (unsigned int i = 0; i < 16; i++) {
		uint16_t port = some_port();
		switch (below(6)) {
		case 0:
			in8(port);
			break;
		case 1:
			in16(port);
			break;
		case 2:
			in32(port);
			break;
		case 3:
			out8(port, (uint8_t)rnd());
			break;
		case 4:
			out16(port, (uint16_t)rnd());
			break;
		default:
			out32(port, (uint32_t)odd_number());
			break;
		}
	}
}

/* One instruction with a 64-byte operand of random bytes and random registers. */
#define ODD(instruction)                                  \
	asm volatile(instruction                          \
		     : "+a"(a), "+c"(c), "+d"(d), "+S"(s) \
		     : "b"(b), "D"(operand)               \
		     : "memory", "cc")

void attack_virtualisation(void)
{
	static uint8_t operand[64] __attribute__((aligned(64)));
	uint64_t a = odd_number(), b = odd_number(), c = odd_number(), d = odd_number(), s = rnd();
	for (unsigned int i = 0; i < sizeof(operand); i++) {
		operand[i] = (uint8_t)rnd();
	}
	switch (below(16)) {
	case 0:
		ODD("vmxon (%%rdi)");
		break;
	case 1:
		ODD("vmptrld (%%rdi)");
		break;
	case 2:
		ODD("vmclear (%%rdi)");
		break;
	case 3:
		ODD("vmlaunch");
		break;
	case 4:
		ODD("vmread %%rax, %%rcx");
		break;
	case 5:
		ODD("vmwrite %%rax, %%rcx");
		break;
	case 6:
		ODD("invept (%%rdi), %%rax");
		break;
	case 7:
		ODD("invvpid (%%rdi), %%rax");
		break;
	case 8:
		ODD("vmrun");
		break;
	case 9:
		ODD("vmload");
		break;
	case 10:
		ODD("vmsave");
		break;
	case 11:
		ODD("clgi");
		break;
	case 12:
		ODD("vmfunc");
		break;
	case 13:
		ODD("invlpga");
		break;
	case 14:
		ODD("vmcall");
		break;
	default:
		ODD("vmmcall");
		break;
	}
}

void attack_instruction(void)
{
	static uint8_t operand[4096] __attribute__((aligned(64)));
	uint64_t a = odd_number(), b = odd_number(), c = odd_number(), d = odd_number(), s = rnd();
	for (unsigned int i = 0; i < 64; i++) {
		operand[below(one_in(2) ? 64 : 576)] = (uint8_t)rnd();
	}
	switch (below(16)) {
	case 0:
		ODD("push %%rbx; cpuid; pop %%rbx");
		break;
	case 1:
		ODD("invlpg (%%rax)");
		break;
	case 2:
		ODD("invpcid (%%rdi), %%rax");
		break;
	case 3:
		ODD("monitor");
		break;
	case 4:
		ODD("xor %%ecx, %%ecx; mwait");
		break;
	case 5:
		ODD("rdpmc");
		break;
	case 6:
		ODD("wbinvd");
		break;
	case 7:
		ODD("swapgs; swapgs");
		break;
	case 8:
		ODD("fxrstor (%%rdi)");
		break;
	case 9:
		write_cr4(read_cr4() | BIT(18));
		ODD("xrstor (%%rdi)");
		break;
	case 10:
		write_cr4(read_cr4() | BIT(18));
		ODD("xsave (%%rdi)");
		break;
	case 11:
		ODD("push %%rax; push %%rcx; push %%rdx; push %%rbx; push %%rsi; iretq");
		break;
	case 12:
		ODD("rdtscp; lfence; rdtsc");
		break;
	case 13:
		ODD("int3; int $0x2; int $0x80");
		break;
	case 14:
		ODD("clts; rdrand %%rax; rdseed %%rcx");
		break;
	default:
		ODD("mov %%ax, %%fs; mov %%cx, %%gs");
		break;
	}
}

void attack_tables(void)
{
	static struct {
		uint16_t limit;
		uint64_t base;
		uint8_t pad[6];
	} __attribute__((packed)) descriptors[2];
	uint16_t selector = (uint16_t)(one_in(2) ? below(16) * 8 : rnd());
	uint32_t word = 0;
	switch (below(5)) {
	case 0:
	case 1:
		memset(descriptors, 0, sizeof(descriptors));
		for (unsigned int i = 0; i < 2; i++) {
			descriptors[i].limit = (uint16_t)rnd();
			descriptors[i].base = (uint64_t)((int64_t)(odd_number() << 16) >> 16);
		}
		tables_nonsense(descriptors);
		break;
	case 2:
		asm volatile("ltr %w0" : : "r"((uint32_t)selector | 8)); /* not null: see tame() */
		break;
	case 3:
		asm volatile("lldt %w0; mov %w1, %%fs"
			     :
			     : "r"((uint32_t)(one_in(2) ? SANDBOX_LDT : selector)),
			       "r"((uint32_t)(rnd() & 0xff) | 4));
		break;
	default:
		asm volatile("lar %1, %0; lsl %1, %0; verr %w1; verw %w1"
			     : "+r"(word)
			     : "r"((uint32_t)selector)
			     : "cc");
		break;
	}
	some_exits();
}

/* The ways to an end of one's own. */
void attack_fatal(void)
{
	static const uint16_t empty[5] = { 0 };
	uint64_t place = map_anywhere(odd_address());
	switch (below(8)) {
	case 0:
		write_cr3(rnd() & ~CR3_SANE);
		break;
	case 1:
		write_cr3(read_cr3() | BIT(40 + below(24)));
		break;
	case 2:
		write_cr0(read_cr0() ^ (one_in(2) ? BIT(0) : BIT(31)));
		break;
	case 3:
		write_cr4(read_cr4() ^ BIT(below(64)));
		break;
	case 4:
		asm volatile("lidt %0; int3" : : "m"(empty));
		break;
	case 5:
		asm volatile("call *%0" : : "r"(place) : "memory"); /* code from anywhere */
		break;
	case 6:
		lapic_write(LAPIC_ICR_HIGH, (uint32_t)rnd() & 0xff000000);
		lapic_write(LAPIC_ICR_LOW, (uint32_t)rnd());
		break;
	default:
		asm volatile("mov %0, %%rsp; push %%rax; cli; hlt" : : "r"(rnd()) : "memory");
		break;
	}
	some_exits();
}
