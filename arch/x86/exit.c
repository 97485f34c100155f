/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of the exit kinds, for the shell's histogram and for messages. Nothing is decoded
 * here: that is the backends' business.
 */
#include "arch/x86/exit.h"

/* A short lower-case name; "?" for a value that is no kind. Constant string. */
const char *exit_kind_name(enum exit_kind kind)
{
	static const char *const names[EXIT_KIND_COUNT] = {
		[EXIT_HOST_INTERRUPT] = "host-interrupt",
		[EXIT_HOST_NMI] = "host-nmi",
		[EXIT_HOST_MACHINE_CHECK] = "host-machine-check",
		[EXIT_TIMER] = "timer",
		[EXIT_WINDOW] = "window",
		[EXIT_CPUID] = "cpuid",
		[EXIT_HLT] = "hlt",
		[EXIT_IO] = "io",
		[EXIT_MSR_READ] = "msr-read",
		[EXIT_MSR_WRITE] = "msr-write",
		[EXIT_CR_ACCESS] = "cr-access",
		[EXIT_XSETBV] = "xsetbv",
		[EXIT_HYPERCALL] = "hypercall",
		[EXIT_INVALIDATE_CACHE] = "invalidate-cache",
		[EXIT_PAUSE] = "pause",
		[EXIT_FORBIDDEN] = "forbidden",
		[EXIT_VMFUNC] = "vmfunc",
		[EXIT_PRIVILEGED] = "privileged",
		[EXIT_EXCEPTION] = "exception",
		[EXIT_NESTED_FAULT] = "nested-fault",
		[EXIT_MALFORMED] = "malformed",
		[EXIT_TASK_SWITCH] = "task-switch",
		[EXIT_TRIPLE_FAULT] = "triple-fault",
		[EXIT_INIT_SIGNAL] = "init-signal",
		[EXIT_ENTRY_FAILED] = "entry-failed",
		[EXIT_UNKNOWN] = "unknown",
	};

	return (unsigned int)kind < EXIT_KIND_COUNT && names[kind] ? names[kind] : "?";
}
