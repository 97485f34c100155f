/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The architectural state of a virtual CPU, in neutral form. `struct vcpu_regs` is what the
 * entry stubs save and load on every exit; `struct vcpu_state` is everything, read and
 * written as a whole only by loaders, the shell and the reset path (never on an exit path).
 */
#ifndef ARCH_X86_VCPU_STATE_H
#define ARCH_X86_VCPU_STATE_H

#include <stdbool.h>
#include <stdint.h>

/* In the order of the register numbers of ModRM and REX: regs.gpr[n] is register n. */
enum gpr {
	GPR_RAX,
	GPR_RCX,
	GPR_RDX,
	GPR_RBX,
	GPR_RSP, /* not kept here while the vCPU is loaded: see virt_ops.get_rsp */
	GPR_RBP,
	GPR_RSI,
	GPR_RDI,
	GPR_R8,
	GPR_R9,
	GPR_R10,
	GPR_R11,
	GPR_R12,
	GPR_R13,
	GPR_R14,
	GPR_R15,
	GPR_COUNT,
};

struct vcpu_regs {
	uint64_t gpr[GPR_COUNT];
};

/* In the order of the segment numbers of the instruction set (mov Sreg). */
enum segment {
	SEGMENT_ES,
	SEGMENT_CS,
	SEGMENT_SS,
	SEGMENT_DS,
	SEGMENT_FS,
	SEGMENT_GS,
	SEGMENT_LDTR,
	SEGMENT_TR,
	SEGMENT_COUNT,
};

/*
 * Segment access rights as VMX has them (SDM, "Guest Register State"): bits 3:0 type, 4 S,
 * 6:5 DPL, 7 P, 12 AVL, 13 L, 14 D/B, 15 G, 16 unusable. The SVM backend converts.
 */
#define SEGMENT_RIGHTS_TYPE 0xfu
#define SEGMENT_RIGHTS_S (1u << 4)
#define SEGMENT_RIGHTS_DPL (3u << 5)
#define SEGMENT_RIGHTS_P (1u << 7)
#define SEGMENT_RIGHTS_L (1u << 13)
#define SEGMENT_RIGHTS_DB (1u << 14)
#define SEGMENT_RIGHTS_G (1u << 15)
#define SEGMENT_RIGHTS_UNUSABLE (1u << 16)

struct segment_state {
	uint16_t selector;
	uint32_t rights;
	uint32_t limit; /* in bytes, expanded */
	uint64_t base;
};

struct table_state {
	uint16_t limit;
	uint64_t base;
};

struct vcpu_state {
	struct vcpu_regs regs; /* gpr[GPR_RSP] is rsp here */
	uint64_t rip;
	uint64_t rflags;
	uint64_t cr0;
	uint64_t cr2;
	uint64_t cr3;
	uint64_t cr4;
	uint64_t efer; /* as the guest sees it: never SVME */
	uint64_t dr7;
	uint64_t pat;
	uint64_t sysenter_cs;
	uint64_t sysenter_esp;
	uint64_t sysenter_eip;
	uint64_t star;
	uint64_t lstar;
	uint64_t cstar;
	uint64_t sfmask;
	uint64_t kernel_gs_base;
	struct segment_state segment[SEGMENT_COUNT];
	struct table_state gdtr;
	struct table_state idtr;
};

/* Sets `state` to what the CPU has after INIT (SDM, "Processor State After Reset"). */
void vcpu_state_reset(struct vcpu_state *state);

#endif
