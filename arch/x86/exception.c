/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Host exceptions. An instruction with an entry in the fixup table is let off; an NMI is
 * counted; everything else is a fault of the hypervisor itself: registers, the address, a
 * backtrace, and the end of the machine. Uses no lock and no log: it may interrupt both.
 */
#include "arch/x86/cpu.h"
#include "arch/x86/host_map.h"
#include "arch/x86/interrupt.h"
#include "arch/x86/panic.h"

/* One line of FIXUP_ENTRY(). */
struct fixup {
	uint64_t at;
	uint64_t to;
};

extern const struct fixup __start_fixups[];
extern const struct fixup __stop_fixups[];

static const char *const exception_names[VECTOR_FIRST] = {
	[VECTOR_DE] = "#DE divide error",	  [VECTOR_DB] = "#DB debug",
	[VECTOR_BP] = "#BP breakpoint",		  [VECTOR_OF] = "#OF overflow",
	[VECTOR_BR] = "#BR bound range exceeded", [VECTOR_UD] = "#UD invalid opcode",
	[VECTOR_NM] = "#NM device not available", [VECTOR_DF] = "#DF double fault",
	[VECTOR_TS] = "#TS invalid TSS",	  [VECTOR_NP] = "#NP segment not present",
	[VECTOR_SS] = "#SS stack-segment fault",  [VECTOR_GP] = "#GP general protection",
	[VECTOR_PF] = "#PF page fault",		  [VECTOR_MF] = "#MF x87 floating point",
	[VECTOR_AC] = "#AC alignment check",	  [VECTOR_MC] = "#MC machine check",
	[VECTOR_XM] = "#XM SIMD floating point",  [VECTOR_VE] = "#VE virtualization",
	[VECTOR_CP] = "#CP control protection",	  [VECTOR_HV] = "#HV hypervisor injection",
	[VECTOR_VC] = "#VC VMM communication",	  [VECTOR_SX] = "#SX security",
};

/* Only for the faults that FIXUP_ENTRY() names. */
static bool fixup_apply(struct trap_frame *frame)
{
	if (frame->vector != VECTOR_GP && frame->vector != VECTOR_UD &&
	    frame->vector != VECTOR_PF) {
		return false;
	}
	for (const struct fixup *f = __start_fixups; f < __stop_fixups; f++) {
		if (f->at == frame->rip) {
			frame->rip = f->to;
			frame->rflags |= RFLAGS_CF;
			return true;
		}
	}
	return false;
}

static void print_registers(const struct trap_frame *f)
{
	panic_line("  rip %016lx  rsp %016lx  rflags %08lx  cs %04lx  ss %04lx", f->rip, f->rsp,
		   f->rflags, f->cs, f->ss);
	panic_line("  rax %016lx  rbx %016lx  rcx %016lx", f->rax, f->rbx, f->rcx);
	panic_line("  rdx %016lx  rsi %016lx  rdi %016lx", f->rdx, f->rsi, f->rdi);
	panic_line("  rbp %016lx  r8  %016lx  r9  %016lx", f->rbp, f->r8, f->r9);
	panic_line("  r10 %016lx  r11 %016lx  r12 %016lx", f->r10, f->r11, f->r12);
	panic_line("  r13 %016lx  r14 %016lx  r15 %016lx", f->r13, f->r14, f->r15);
	panic_line("  cr0 %016lx  cr2 %016lx  cr3 %016lx  cr4 %08lx", read_cr0(), read_cr2(),
		   read_cr3(), read_cr4());
}

static void print_page_fault(const struct trap_frame *frame)
{
	uint64_t address = read_cr2();
	const char *access = frame->error & PF_W ? "write" : "read";
	const char *found = frame->error & PF_P ? "not allowed" : "not mapped";

	if (frame->error & PF_I) {
		access = "fetch";
	}
	if (frame->error & PF_RSVD) {
		found = "a reserved bit is set in its tables";
	} else if (host_map_is_guard(address)) {
		found = "the guard page of a stack";
	}
	panic_line("  %s of address %016lx: %s", access, address, found);
}

/* The report of a fault of the hypervisor itself. Does not return. */
static _Noreturn void exception_fatal(const struct trap_frame *frame)
{
	const char *name = exception_names[frame->vector];

	if (panic_enter()) {
		panic_line("\nbulkhead: exception %lu (%s) in the hypervisor, CPU %u, error 0x%lx",
			   frame->vector, name ? name : "reserved", this_cpu()->id, frame->error);
		if (frame->vector == VECTOR_PF) {
			print_page_fault(frame);
		}
		print_registers(frame);
		panic_backtrace(frame->rip, frame->rbp);
	}
	panic_stop();
}

void exception_handle(struct trap_frame *frame)
{
	if (frame->vector == VECTOR_NMI) {
		this_cpu()->nmi_count++;
		return;
	}
	if (fixup_apply(frame)) {
		return;
	}
	exception_fatal(frame);
}
