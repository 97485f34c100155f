/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM exit in neutral form. The backend (vmx/exit.c, svm/exit.c) decodes the raw fields
 * into it once; nothing above the backends knows which vendor it runs on. What a kind does
 * not name is not valid for it.
 */
#ifndef ARCH_X86_EXIT_H
#define ARCH_X86_EXIT_H

#include "lib/addr.h"

enum exit_kind {
	EXIT_HOST_INTERRUPT, /* pending, not acknowledged: taken when the core opens IF */
	EXIT_HOST_NMI,	     /* already handed to the host's NMI handler */
	EXIT_HOST_MACHINE_CHECK,
	EXIT_TIMER,  /* the deadline of virt_ops.set_deadline passed */
	EXIT_WINDOW, /* the guest can take an interrupt now */
	EXIT_CPUID,
	EXIT_HLT,
	EXIT_IO,	/* .io */
	EXIT_MSR_READ,	/* .msr */
	EXIT_MSR_WRITE, /* .msr */
	EXIT_CR_ACCESS, /* .cr */
	EXIT_XSETBV,
	EXIT_HYPERCALL,	       /* VMCALL or VMMCALL */
	EXIT_INVALIDATE_CACHE, /* INVD or WBINVD */
	EXIT_PAUSE,
	EXIT_FORBIDDEN,	   /* an instruction that the CPUID policy hides: #UD */
	EXIT_VMFUNC,	   /* EAX, ECX in the registers: no such function or view */
	EXIT_PRIVILEGED,   /* an instruction that is refused with #GP(0): RDPMC */
	EXIT_EXCEPTION,	   /* .exception: intercepted, to be handed back to the guest */
	EXIT_NESTED_FAULT, /* .fault: EPT violation, NPF */
	EXIT_MALFORMED,	   /* .fault: EPT misconfiguration, NPF with the reserved bit */
	EXIT_TASK_SWITCH,
	EXIT_TRIPLE_FAULT,
	EXIT_INIT_SIGNAL,  /* INIT or SIPI seen in guest mode: the guest's own never do this */
	EXIT_ENTRY_FAILED, /* the CPU refused the guest state; .raw_info says what it knows */
	EXIT_UNKNOWN,
	EXIT_KIND_COUNT,
};

/* Access of a nested fault and of an MMU request. */
#define ACCESS_READ 1u
#define ACCESS_WRITE 2u
#define ACCESS_EXECUTE 4u

struct exit_io {
	uint16_t port;
	uint8_t size; /* bytes: 1, 2, 4 */
	bool in;
	bool string; /* INS or OUTS */
	bool rep;
	uint8_t address_size; /* bytes: 2, 4, 8; for strings */
	uint8_t segment;      /* enum segment of the source of OUTS, SEGMENT_ES for INS */
	bool needs_decode;    /* string: address_size and segment are guesses, read the prefixes */
};

struct exit_cr {
	uint8_t number; /* 0, 3, 4, 8 */
	bool write;	/* mov to CR; else mov from CR */
	bool clts;	/* CLTS or LMSW: `value` is the whole new CR0 */
	uint8_t gpr;	/* source or destination; not for clts */
	uint64_t value; /* what is written: already fetched (RSP included) */
	/* Only number and write are valid: MOV, CLTS, LMSW or SMSW, look at the instruction. */
	bool needs_decode;
};

struct exit_fault {
	gpa_t address;
	uint32_t access;    /* ACCESS_..., more than one bit on VMX read-modify-write */
	uint32_t permitted; /* VMX: what the entries allowed; SVM: 0 or ACCESS_READ (present) */
	bool has_linear;    /* `linear` is valid */
	bool table_walk;    /* on the way through the guest's own page tables */
	gva_t linear;
};

struct exit_exception {
	uint8_t vector;
	bool has_error;
	uint32_t error;
	uint64_t dr6; /* #DB: the bits to be set in the guest's DR6 */
	uint64_t cr2; /* #PF that is injected: the guest's CR2 from then on */
};

struct exit {
	enum exit_kind kind;
	uint32_t raw_reason; /* basic exit reason, or EXITCODE */
	uint64_t raw_info;   /* exit qualification, or EXITINFO1 */
	uint64_t rip;
	/* Of the instruction that exited; 0 when the CPU does not tell (see hv/decoder.h). */
	uint8_t instruction_length;
	/* The interrupt that was offered (virt_vcpu.offer) was taken by the guest. */
	bool offer_taken;
	union {
		struct exit_io io;
		uint32_t msr; /* ECX; the value is in the registers */
		struct exit_cr cr;
		struct exit_fault fault;
		struct exit_exception exception;
	};
};

const char *exit_kind_name(enum exit_kind kind);

#endif
