/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions that a partition does not have (#UD, #GP), and privileged ones that it has
 * and that must do no harm.
 */
#include "tests/guests/behave/behave.h"

/* Runs one instruction whose memory operand and registers can do no harm. */
#define MUST_FAULT_RCX(instruction, rcx, wanted)                                          \
	do {                                                                              \
		uint64_t memory_[4] = { 0 }, *pointer_ = memory_, rax_ = 0, rcx_ = (rcx), \
			 rdx_ = 0;                                                        \
		fault_clear();                                                            \
		asm volatile(ATTEMPT(instruction)                                         \
			     : "+a"(rax_), "+c"(rcx_), "+d"(rdx_)                         \
			     : "D"(pointer_)                                              \
			     : "memory", "cc");                                           \
		EXPECT_FAULT(fault.vector, wanted, instruction);                          \
	} while (0)
#define MUST_FAULT(instruction, wanted) MUST_FAULT_RCX(instruction, 0, wanted)

static enum verdict probe_vmx(void)
{
	MUST_FAULT("vmxon (%%rdi)", TRAP_UD);
	MUST_FAULT("vmclear (%%rdi)", TRAP_UD);
	MUST_FAULT("vmptrld (%%rdi)", TRAP_UD);
	MUST_FAULT("vmptrst (%%rdi)", TRAP_UD);
	MUST_FAULT("vmread %%rax, %%rcx", TRAP_UD);
	MUST_FAULT("vmwrite %%rax, %%rcx", TRAP_UD);
	MUST_FAULT("vmlaunch", TRAP_UD);
	MUST_FAULT("vmresume", TRAP_UD);
	MUST_FAULT("vmxoff", TRAP_UD);
	MUST_FAULT("invept (%%rdi), %%rax", TRAP_UD);
	MUST_FAULT("invvpid (%%rdi), %%rax", TRAP_UD);
	return PASS;
}

static enum verdict probe_svm(void)
{
	MUST_FAULT("vmrun", TRAP_UD);
	MUST_FAULT("vmload", TRAP_UD);
	MUST_FAULT("vmsave", TRAP_UD);
	MUST_FAULT("stgi", TRAP_UD);
	MUST_FAULT("clgi", TRAP_UD);
	MUST_FAULT("invlpga", TRAP_UD);
	return PASS;
}

static enum verdict probe_monitor(void)
{
	MUST_FAULT("monitor", TRAP_UD);
	MUST_FAULT("mwait", TRAP_UD);
	return PASS;
}

static enum verdict probe_undefined(void)
{
	MUST_FAULT("ud2", TRAP_UD);
	MUST_FAULT("rsm", TRAP_UD);
	MUST_FAULT("getsec", TRAP_UD);
	MUST_FAULT(".byte 0x0f, 0xff, 0xc0", TRAP_UD);
	return PASS;
}

static enum verdict probe_rdpmc(void)
{
	MUST_FAULT_RCX("rdpmc", 0x3fffffff, TRAP_GP);
	MUST_FAULT("rdpmc", TRAP_GP);
	return PASS;
}

/* INVD would lose what a real machine's cache holds: what is written first is flushed first. */
static enum verdict probe_cache(void)
{
	volatile uint32_t word = 0x600dcafe;
	asm volatile("wbinvd; invd" : : : "memory");
	EXPECT(word == 0x600dcafe, "memory lost: 0x%x", word);
	asm volatile("wbinvd" : : : "memory");
	EXPECT(word == 0x600dcafe, "memory lost: 0x%x", word);
	return PASS;
}

static enum verdict probe_tables(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idt, again;
	uint16_t tr, ldt;
	asm volatile("sidt %0" : "=m"(idt));
	EXPECT(idt.base == (uintptr_t)trap_idt && idt.limit == 4095, "IDT 0x%llx limit 0x%x",
	       ull(idt.base), idt.limit);
	asm volatile("lidt %1; cpuid; sidt %0"
		     : "=m"(again)
		     : "m"(idt), "a"(0), "c"(0)
		     : "rbx", "rdx", "memory");
	EXPECT(again.base == idt.base && again.limit == idt.limit, "IDT changed");
	asm volatile("str %0; sldt %1" : "=r"(tr), "=r"(ldt));
	EXPECT(tr == TSS_SELECTOR && ldt == 0, "TR 0x%x LDTR 0x%x", tr, ldt);
	return PASS;
}

/* Offered, they work. Not offered, not every CPU lets a hypervisor take them away. */
static enum verdict probe_random(void)
{
	bool rdrand = has_leaf1_ecx(30);
	bool rdseed = cpuid(0, 0).eax >= 7 && (cpuid(7, 0).ebx & BIT(18));
	uint64_t value = 0;
	fault_clear();
	asm volatile(ATTEMPT("rdrand %0") : "+r"(value) : : "cc");
	EXPECT(fault.vector == NO_FAULT || (!rdrand && fault.vector == TRAP_UD),
	       "RDRAND: vector %d", fault.vector);
	fault_clear();
	asm volatile(ATTEMPT("rdseed %0") : "+r"(value) : : "cc");
	EXPECT(fault.vector == NO_FAULT || (!rdseed && fault.vector == TRAP_UD),
	       "RDSEED: vector %d", fault.vector);
	return PASS;
}

/* What is not offered must fault; what is offered must not. */
static enum verdict probe_offered(void)
{
	bool rdtscp = cpuid(0x80000001, 0).edx & BIT(27);
	bool invpcid = cpuid(0, 0).eax >= 7 && (cpuid(7, 0).ebx & BIT(10));
	uint64_t descriptor[2] = { 0 }, rax = 0, rdx = 0, rcx = 0;
	fault_clear();
	asm volatile(ATTEMPT("rdtscp") : "+a"(rax), "+d"(rdx), "+c"(rcx));
	EXPECT_FAULT(fault.vector, rdtscp ? NO_FAULT : TRAP_UD, "RDTSCP");
	fault_clear();
	asm volatile(ATTEMPT("invpcid %0, %1") : : "m"(descriptor), "r"(UINT64_C(2)) : "memory");
	EXPECT_FAULT(fault.vector, invpcid ? NO_FAULT : TRAP_UD, "INVPCID");
	return PASS;
}

/* An INVLPG drops what the CPU keeps of a page: the new mapping shows. */
static enum verdict probe_invlpg(void)
{
	window_map_all();
	volatile uint64_t *word = (volatile uint64_t *)WINDOW_VA;
	*(volatile uint64_t *)(WINDOW_VA + PAGE_SIZE) = 22;
	*word = 11;
	EXPECT(*word == 11, "reads %llu", ull(*word));
	window_map(0, (uintptr_t)window_frames[1] | PTE_P);
	EXPECT(*word == 22, "old mapping: reads %llu", ull(*word));
	window_map_all();
	EXPECT(*word == 11, "reads %llu", ull(*word));
	return PASS;
}

const struct probe instruction_probes[] = {
	{ "vmx-instructions", probe_vmx },
	{ "svm-instructions", probe_svm },
	{ "monitor-instructions", probe_monitor },
	{ "undefined-instructions", probe_undefined },
	{ "rdpmc", probe_rdpmc },
	{ "cache-instructions", probe_cache },
	{ "descriptor-tables", probe_tables },
	{ "rdrand", probe_random },
	{ "offered-instructions", probe_offered },
	{ "invlpg", probe_invlpg },
	{ NULL, NULL },
};
