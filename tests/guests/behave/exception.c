/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions with their error codes and addresses, debug exceptions around instructions
 * that a hypervisor steps over in software, and the ways to ring 3 and back.
 */
#include "lib/string.h"
#include "tests/guests/behave/behave.h"

#define DR6_B0 BIT(0)
#define DR6_B1 BIT(1)
#define DR6_BS BIT(14)

extern const uint8_t step_after_cpuid[], step_after_out[], step_end[], breakpoint_here[];
void step_sequence(void);
void breakpoint_sequence(void);
void user_misaligned(void);
void user_hlt(void);
void user_in(void);
void user_cpuid(void);
void user_syscall(void);
void syscall_entry(void);

static enum verdict probe_divide(void)
{
	uint64_t rax = 1, rdx = 0;
	fault_clear();
	asm volatile(ATTEMPT("div %2") : "+a"(rax), "+d"(rdx) : "r"(UINT64_C(0)) : "cc");
	EXPECT(fault.vector == TRAP_DE, "vector %d", fault.vector);
	return PASS;
}

static volatile struct trap_frame seen;
static volatile unsigned int seen_count;

static void on_seen(struct trap_frame *frame)
{
	memcpy((void *)(uintptr_t)&seen, frame, sizeof(seen));
	seen_count++;
}

static enum verdict probe_breakpoint(void)
{
	uint64_t after;
	trap_handlers[TRAP_BP] = on_seen;
	seen_count = 0;
	asm volatile("int3\n\t1: lea 1b(%%rip), %0" : "=r"(after) : : "memory");
	EXPECT(seen_count == 1 && seen.rip == after, "rip 0x%llx, not 0x%llx", ull(seen.rip),
	       ull(after));
	trap_handlers[0x77] = on_seen;
	asm volatile("int $0x77\n\t1: lea 1b(%%rip), %0" : "=r"(after) : : "memory");
	EXPECT(seen_count == 2 && seen.rip == after, "INT n: rip 0x%llx", ull(seen.rip));
	return PASS;
}

static enum verdict probe_general_protection(void)
{
	fault_clear();
	asm volatile(ATTEMPT("mov %0, %%fs") : : "r"(0x1238));
	EXPECT(fault.vector == TRAP_GP && fault.error == 0x1238, "vector %d error 0x%llx",
	       fault.vector, ull(fault.error));
	uint64_t value = 0;
	fault_clear();
	asm volatile(ATTEMPT("mov (%1), %0") : "+r"(value) : "r"(BIT(63)));
	EXPECT_FAULT(fault.vector, TRAP_GP, "not canonical");
	trap_idt[0x78].flags &= 0x7fff;
	fault_clear();
	asm volatile(ATTEMPT("int $0x78"));
	EXPECT(fault.vector == TRAP_NP && (fault.error & 7) == 2,
	       "gate not present: vector %d error 0x%llx", fault.vector, ull(fault.error));
	return PASS;
}

static int touch(uint64_t address, bool write)
{
	fault_clear();
	if (write) {
		asm volatile(ATTEMPT("movb $1, (%0)") : : "r"(address) : "memory");
	} else {
		uint8_t byte = 0;
		asm volatile(ATTEMPT("movb (%1), %0") : "+r"(byte) : "r"(address) : "memory");
	}
	return fault.vector;
}

static enum verdict probe_page_fault(void)
{
	static const struct {
		uint64_t bits;
		bool write;
		uint64_t error;
	} cases[] = {
		{ 0, false, 0 },
		{ 0, true, 2 },
		{ PTE_P, true, 3 },
		{ PTE_P | PTE_W | BIT(51), false, 9 }, /* above MAXPHYADDR, if that is below 52 */
	};
	/* QEMU's CPU reports a reserved bit with P clear: that bit is not looked at then. */
	bool reserved = (cpuid(0x80000008, 0).eax & 0xff) < 52;
	for (unsigned int i = 0; i < ARRAY_COUNT(cases) - !reserved; i++) {
		window_map(0, (uintptr_t)window_frames[0] | cases[i].bits);
		uint64_t address = WINDOW_VA + 0x123;
		int vector = touch(address, cases[i].write);
		uint64_t error = fault.error | (fault.error & 8 ? 1 : 0);
		EXPECT(vector == TRAP_PF && error == cases[i].error && fault.cr2 == address,
		       "case %u: vector %d error 0x%llx cr2 0x%llx", i, vector, ull(fault.error),
		       ull(fault.cr2));
	}
	window_map_all();
	EXPECT(touch(WINDOW_VA, true) == NO_FAULT, "still faults");
	return PASS;
}

/* Accessed and dirty bits are set by the walk, and only when due. */
static enum verdict probe_accessed_dirty(void)
{
	extern uint64_t boot_pdpt[512];
	window_map_all();
	uint64_t *table = (uint64_t *)(uintptr_t)(boot_pdpt[WINDOW_VA / GIB] & PAGE_MASK);
	table = (uint64_t *)(uintptr_t)(table[0] & PAGE_MASK);
	EXPECT(!(table[2] & 0x60), "set before any access: 0x%llx", ull(table[2]));
	touch(WINDOW_VA + 2 * PAGE_SIZE, false);
	EXPECT((table[2] & 0x60) == 0x20, "after a read: 0x%llx", ull(table[2]));
	touch(WINDOW_VA + 2 * PAGE_SIZE, true);
	EXPECT((table[2] & 0x60) == 0x60, "after a write: 0x%llx", ull(table[2]));
	return PASS;
}

static void *double_fault_checkpoint[5];

static void on_double_fault(struct trap_frame *frame)
{
	on_seen(frame);
	__builtin_longjmp(double_fault_checkpoint, 1);
}

/* A page fault whose gate is not present: #NP while delivering #PF makes #DF. */
static enum verdict probe_double_fault(void)
{
	trap_handlers[TRAP_DF] = on_double_fault;
	seen_count = 0;
	window_map(0, 0);
	if (__builtin_setjmp(double_fault_checkpoint) == 0) {
		trap_idt[TRAP_PF].flags &= 0x7fff;
		*(volatile uint8_t *)WINDOW_VA = 1;
	}
	trap_init(0);
	window_map_all();
	EXPECT(seen_count == 1 && seen.error == 0, "%u #DF, error 0x%llx", seen_count,
	       ull(seen.error));
	return PASS;
}

static volatile uint64_t step_rips[32];
static volatile uint64_t step_dr6;

static uint64_t take_dr6(void)
{
	uint64_t dr6;
	asm volatile("mov %%dr6, %0" : "=r"(dr6));
	asm volatile("mov %0, %%dr6" : : "r"(UINT64_C(0xffff0ff0)));
	return dr6;
}

static void on_step(struct trap_frame *frame)
{
	step_rips[seen_count++ & 31] = frame->rip;
	step_dr6 = take_dr6();
}

static bool stepped_to(const uint8_t *rip)
{
	for (unsigned int i = 0; i < MIN(seen_count, 32u); i++) {
		if (step_rips[i] == (uintptr_t)rip) {
			return true;
		}
	}
	return false;
}

/* One #DB after each instruction, also after those that the hypervisor does itself. */
static enum verdict probe_single_step(void)
{
	trap_handlers[TRAP_DB] = on_step;
	seen_count = 0;
	asm volatile("call step_sequence" : : : "rax", "rcx", "rdx", "cc", "memory");
	EXPECT(step_dr6 & DR6_BS, "DR6 0x%llx", ull(step_dr6));
	EXPECT(stepped_to(step_after_cpuid), "no #DB after CPUID");
	EXPECT(stepped_to(step_after_out), "no #DB after OUT");
	EXPECT(stepped_to(step_end), "no #DB after POPF");
	EXPECT(seen_count == 11, "%u steps", seen_count);
	return PASS;
}

static void on_breakpoint(struct trap_frame *frame)
{
	on_seen(frame);
	step_dr6 = take_dr6();
	frame->rflags |= RFLAGS_RF;
}

static enum verdict probe_hardware_breakpoint(void)
{
	trap_handlers[TRAP_DB] = on_breakpoint;
	seen_count = 0;
	take_dr6();
	asm volatile("mov %0, %%dr0" : : "r"(breakpoint_here));
	asm volatile("mov %0, %%dr7" : : "r"(UINT64_C(0x402)));
	cpuid(0, 0);
	breakpoint_sequence();
	asm volatile("mov %0, %%dr7" : : "r"(UINT64_C(0x400)));
	EXPECT(seen_count == 1, "%u hits", seen_count);
	EXPECT(seen.rip == (uintptr_t)breakpoint_here && (step_dr6 & DR6_B0),
	       "rip 0x%llx dr6 0x%llx", ull(seen.rip), ull(step_dr6));
	return PASS;
}

static enum verdict probe_watchpoint(void)
{
	static volatile uint64_t word;
	trap_handlers[TRAP_DB] = on_breakpoint;
	seen_count = 0;
	take_dr6();
	asm volatile("mov %0, %%dr1" : : "r"(&word));
	asm volatile("mov %0, %%dr7" : : "r"(UINT64_C(0x908) | UINT64_C(0x00900000)));
	word = 7;
	asm volatile("mov %0, %%dr7" : : "r"(UINT64_C(0x400)));
	EXPECT(seen_count == 1 && (step_dr6 & DR6_B1), "%u hits, dr6 0x%llx", seen_count,
	       ull(step_dr6));
	return PASS;
}

static void on_user_int(struct trap_frame *frame)
{
	user_leave(frame->rax);
}

static void on_user_fault(struct trap_frame *frame)
{
	on_seen(frame);
	user_leave(UINT64_C(0xfa17) << 32 | frame->vector);
}

uint64_t user_call(void (*code)(void))
{
	static const unsigned int vectors[] = { TRAP_UD, TRAP_GP, TRAP_PF, TRAP_AC };
	trap_handlers[0x80] = on_user_int;
	for (unsigned int i = 0; i < ARRAY_COUNT(vectors); i++) {
		trap_handlers[vectors[i]] = on_user_fault;
	}
	uint64_t value = user_enter(code);
	for (unsigned int i = 0; i < ARRAY_COUNT(vectors); i++) {
		trap_handlers[vectors[i]] = NULL;
	}
	return value;
}

#define USER_FAULT(vector) (UINT64_C(0xfa17) << 32 | (vector))

static enum verdict probe_ring3(void)
{
	uint64_t value = user_call(user_cpuid);
	EXPECT(value == cpuid(0, 0).ebx, "CPUID: 0x%llx", ull(value));
	value = user_call(user_hlt);
	EXPECT(value == USER_FAULT(TRAP_GP) && seen.cs == USER_CS, "HLT: 0x%llx", ull(value));
	value = user_call(user_in);
	EXPECT(value == USER_FAULT(TRAP_GP), "IN: 0x%llx", ull(value));
	return PASS;
}

static enum verdict probe_alignment(void)
{
	uint64_t cr0 = read_cr0();
	write_cr0(cr0 | BIT(18));
	seen_count = 0;
	uint64_t value = user_call(user_misaligned);
	write_cr0(cr0);
	if (seen_count == 0) {
		return skipped("this CPU has no alignment check");
	}
	EXPECT(value == USER_FAULT(TRAP_AC) && seen.error == 0, "0x%llx error 0x%llx", ull(value),
	       ull(seen.error));
	return PASS;
}

static enum verdict probe_syscall(void)
{
	uint64_t efer = rdmsr(0xc0000080);
	wrmsr(0xc0000081, UINT64_C(0x33) << 48 | (uint64_t)KERNEL_CS << 32);
	wrmsr(0xc0000082, (uintptr_t)syscall_entry);
	wrmsr(0xc0000084, RFLAGS_IF | RFLAGS_TF);
	wrmsr(0xc0000080, efer | 1);
	uint64_t value = user_call(user_syscall);
	wrmsr(0xc0000080, efer & ~UINT64_C(1));
	uint64_t off = user_call(user_syscall);
	wrmsr(0xc0000080, efer);
	EXPECT(value == 42, "0x%llx", ull(value));
	EXPECT(off == USER_FAULT(TRAP_UD), "with EFER.SCE clear: 0x%llx", ull(off));
	return PASS;
}

/* Code that is written and then run at once, with an exit in it. */
static enum verdict probe_self_modifying(void)
{
	static uint8_t code[16] __attribute__((aligned(4096)));
	static const uint8_t bytes[] = { 0x53, 0x31, 0xc0, 0x31, 0xc9, 0x0f, 0xa2,
					 0xb8, 0,    0,	   0,	 0,    0x5b, 0xc3 };
	memcpy(code, bytes, sizeof(bytes)); /* push rbx; cpuid; mov eax, n; pop rbx; ret */
	for (uint32_t n = 1; n < 2000; n++) {
		memcpy(code + 8, &n, 4);
		uint32_t got;
		asm volatile("call *%1"
			     : "=a"(got)
			     : "r"((uintptr_t)code)
			     : "rcx", "rdx", "cc", "memory");
		EXPECT(got == n, "%u, not %u", got, n);
	}
	return PASS;
}

const struct probe exception_probes[] = {
	{ "exception-divide", probe_divide },
	{ "exception-breakpoint", probe_breakpoint },
	{ "exception-general-protection", probe_general_protection },
	{ "exception-page-fault", probe_page_fault },
	{ "exception-accessed-dirty", probe_accessed_dirty },
	{ "exception-double-fault", probe_double_fault },
	{ "debug-single-step", probe_single_step },
	{ "debug-breakpoint", probe_hardware_breakpoint },
	{ "debug-watchpoint", probe_watchpoint },
	{ "ring3", probe_ring3 },
	{ "exception-alignment", probe_alignment },
	{ "syscall", probe_syscall },
	{ "self-modifying-code", probe_self_modifying },
	{ NULL, NULL },
};
