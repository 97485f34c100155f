/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMCB: the page that tells an AMD CPU how to run a guest, and in which it leaves what
 * happened (APM volume 2, appendix "Layout of VMCB"). Layout and numbers only, no policy.
 * Unlike a VMCS it is plain memory; what the CPU may keep in a cache of its own between two
 * VMRUNs is governed by the clean bits.
 */
#ifndef ARCH_X86_SVM_VMCB_H
#define ARCH_X86_SVM_VMCB_H

#include <assert.h>

#include "lib/bits.h"

/* One bit for each of CR0-15 or DR0-15; writes are 16 bits up. */
#define VMCB_CR_READ(n) (1u << (n))
#define VMCB_CR_WRITE(n) (1u << (16 + (n)))

/* Intercepts of the first word (offset 00Ch). */
#define VMCB_INTERCEPT_INTR (1u << 0)
#define VMCB_INTERCEPT_NMI (1u << 1)
#define VMCB_INTERCEPT_INIT (1u << 3)
#define VMCB_INTERCEPT_CR0_SEL_WRITE (1u << 5) /* a write to CR0 that changes more than TS, MP */
#define VMCB_INTERCEPT_RDPMC (1u << 15)
#define VMCB_INTERCEPT_CPUID (1u << 18)
#define VMCB_INTERCEPT_IRET (1u << 20)
#define VMCB_INTERCEPT_INVD (1u << 22)
#define VMCB_INTERCEPT_HLT (1u << 24)
#define VMCB_INTERCEPT_INVLPGA (1u << 26)
#define VMCB_INTERCEPT_IOIO_PROT (1u << 27)
#define VMCB_INTERCEPT_MSR_PROT (1u << 28)
#define VMCB_INTERCEPT_TASK_SWITCH (1u << 29)
#define VMCB_INTERCEPT_FERR_FREEZE (1u << 30)
#define VMCB_INTERCEPT_SHUTDOWN (1u << 31)

/* Intercepts of the second word (offset 010h). */
#define VMCB_INTERCEPT2_VMRUN (1u << 0)
#define VMCB_INTERCEPT2_VMMCALL (1u << 1)
#define VMCB_INTERCEPT2_VMLOAD (1u << 2)
#define VMCB_INTERCEPT2_VMSAVE (1u << 3)
#define VMCB_INTERCEPT2_STGI (1u << 4)
#define VMCB_INTERCEPT2_CLGI (1u << 5)
#define VMCB_INTERCEPT2_SKINIT (1u << 6)
#define VMCB_INTERCEPT2_WBINVD (1u << 9)
#define VMCB_INTERCEPT2_MONITOR (1u << 10)
#define VMCB_INTERCEPT2_MWAIT (1u << 11)
#define VMCB_INTERCEPT2_MWAIT_ARMED (1u << 12)
#define VMCB_INTERCEPT2_XSETBV (1u << 13)
#define VMCB_INTERCEPT2_RDPRU (1u << 14)

/* TLB_CONTROL */
#define VMCB_TLB_KEEP 0u
#define VMCB_TLB_FLUSH_ALL 1u  /* every ASID, the host's too */
#define VMCB_TLB_FLUSH_ASID 3u /* with CPUID's FlushByAsid only */

/* Virtual interrupts (offset 060h). */
#define VMCB_V_TPR BITS(7, 0)
#define VMCB_V_IRQ BIT(8)
#define VMCB_V_INTR_PRIO BITS(19, 16)
#define VMCB_V_IGN_TPR BIT(20)
#define VMCB_V_INTR_MASKING BIT(24)
#define VMCB_V_INTR_VECTOR BITS(39, 32)

#define VMCB_INTERRUPT_SHADOW BIT(0)
#define VMCB_NP_ENABLE BIT(0)

/* EVENTINJ and EXITINTINFO share a format. */
#define VMCB_EVENT_VECTOR BITS(7, 0)
#define VMCB_EVENT_TYPE BITS(10, 8)
#define VMCB_EVENT_EV BIT(11) /* the error code is valid */
#define VMCB_EVENT_V BIT(31)
#define VMCB_EVENT_ERROR BITS(63, 32)
#define VMCB_EVENT_INTR 0u
#define VMCB_EVENT_NMI 2u
#define VMCB_EVENT_EXCEPTION 3u
#define VMCB_EVENT_SOFTWARE 4u

/* Clean bits: set, the CPU may use what it has cached of these fields. */
#define VMCB_CLEAN_I BIT(0)    /* intercepts, TSC offset */
#define VMCB_CLEAN_IOPM BIT(1) /* addresses of the two permission maps */
#define VMCB_CLEAN_ASID BIT(2)
#define VMCB_CLEAN_TPR BIT(3) /* virtual interrupts */
#define VMCB_CLEAN_NP BIT(4)  /* nCR3, G_PAT */
#define VMCB_CLEAN_CRX BIT(5) /* CR0, CR3, CR4, EFER */
#define VMCB_CLEAN_DRX BIT(6) /* DR6, DR7 */
#define VMCB_CLEAN_DT BIT(7)  /* GDTR, IDTR */
#define VMCB_CLEAN_SEG BIT(8) /* CS, DS, SS, ES, CPL */
#define VMCB_CLEAN_CR2 BIT(9)
#define VMCB_CLEAN_LBR BIT(10)
#define VMCB_CLEAN_ALL BITS(10, 0)

/* Segment attributes: descriptor bits 55:52 and 47:40, next to each other. */
#define VMCB_ATTRIB_LOW BITS(7, 0)
#define VMCB_ATTRIB_P BIT(7)
#define VMCB_ATTRIB_HIGH BITS(11, 8)
#define VMCB_ATTRIB_L BIT(9)
#define VMCB_ATTRIB_DB BIT(10)

/* APM, appendix "SVM Intercept Exit Codes". */
enum vmexit {
	VMEXIT_CR0_READ = 0x00, /* to CR15_READ, 0x0f */
	VMEXIT_CR15_READ = 0x0f,
	VMEXIT_CR0_WRITE = 0x10, /* to CR15_WRITE, 0x1f */
	VMEXIT_CR15_WRITE = 0x1f,
	VMEXIT_EXCP0 = 0x40, /* plus the vector */
	VMEXIT_EXCP_DB = 0x41,
	VMEXIT_EXCP_AC = 0x51,
	VMEXIT_EXCP_MC = 0x52,
	VMEXIT_INTR = 0x60,
	VMEXIT_NMI = 0x61,
	VMEXIT_INIT = 0x63,
	VMEXIT_CR0_SEL_WRITE = 0x65,
	VMEXIT_RDPMC = 0x6f,
	VMEXIT_CPUID = 0x72,
	VMEXIT_IRET = 0x74,
	VMEXIT_INVD = 0x76,
	VMEXIT_HLT = 0x78,
	VMEXIT_INVLPGA = 0x7a,
	VMEXIT_IOIO = 0x7b,
	VMEXIT_MSR = 0x7c,
	VMEXIT_TASK_SWITCH = 0x7d,
	VMEXIT_FERR_FREEZE = 0x7e,
	VMEXIT_SHUTDOWN = 0x7f,
	VMEXIT_VMRUN = 0x80,
	VMEXIT_VMMCALL = 0x81,
	VMEXIT_VMLOAD = 0x82,
	VMEXIT_VMSAVE = 0x83,
	VMEXIT_STGI = 0x84,
	VMEXIT_CLGI = 0x85,
	VMEXIT_SKINIT = 0x86,
	VMEXIT_WBINVD = 0x89,
	VMEXIT_MONITOR = 0x8a,
	VMEXIT_MWAIT = 0x8b,
	VMEXIT_MWAIT_CONDITIONAL = 0x8c,
	VMEXIT_XSETBV = 0x8d,
	VMEXIT_RDPRU = 0x8e,
	VMEXIT_NPF = 0x400,
};
/* The 64-bit code is -1; QEMU's TCG stores only its low half, so that half is compared. */
#define VMEXIT_INVALID_LOW UINT32_MAX

/* EXITINFO1 of VMEXIT_IOIO */
#define IOIO_IN BIT(0)
#define IOIO_STR BIT(2)
#define IOIO_REP BIT(3)
#define IOIO_SIZE BITS(6, 4)	     /* one bit each for 8, 16, 32: so it is the bytes */
#define IOIO_ADDRESS_SIZE BITS(9, 7) /* one bit each for 16, 32, 64 */
#define IOIO_SEGMENT BITS(12, 10)    /* with decode assists */
#define IOIO_PORT BITS(31, 16)

/* EXITINFO1 of VMEXIT_CRx, with decode assists */
#define CR_INFO_MOV BIT(63) /* a MOV: the register is valid */
#define CR_INFO_GPR BITS(3, 0)

/* EXITINFO1 of VMEXIT_NPF: the page-fault error code, and */
#define NPF_FINAL BIT(32)
#define NPF_TABLE_WALK BIT(33)

struct vmcb_segment {
	uint16_t selector;
	uint16_t attrib;
	uint32_t limit;
	uint64_t base;
};

struct vmcb_control {
	uint32_t intercept_cr;
	uint32_t intercept_dr;
	uint32_t intercept_exception;
	uint32_t intercept;
	uint32_t intercept2;
	uint32_t intercept3;
	uint8_t reserved018[0x3c - 0x18];
	uint16_t pause_filter_threshold;
	uint16_t pause_filter_count;
	uint64_t iopm_base_pa;
	uint64_t msrpm_base_pa;
	uint64_t tsc_offset;
	uint32_t guest_asid;
	uint32_t tlb_control;
	uint64_t v_intr;
	uint64_t interrupt_shadow;
	uint64_t exitcode;
	uint64_t exitinfo1;
	uint64_t exitinfo2;
	uint64_t exitintinfo;
	uint64_t np_enable;
	uint8_t reserved098[0xa8 - 0x98];
	uint64_t eventinj;
	uint64_t n_cr3;
	uint64_t lbr_virtualization;
	uint64_t clean;
	uint64_t nrip;
	uint8_t fetched_count;
	uint8_t fetched[15];
	uint8_t reserved0e0[0x400 - 0xe0];
};

struct vmcb_save {
	struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t reserved0a0[0xcb - 0xa0];
	uint8_t cpl;
	uint32_t reserved0cc;
	uint64_t efer;
	uint8_t reserved0d8[0x148 - 0xd8];
	uint64_t cr4;
	uint64_t cr3;
	uint64_t cr0;
	uint64_t dr7;
	uint64_t dr6;
	uint64_t rflags;
	uint64_t rip;
	uint8_t reserved180[0x1d8 - 0x180];
	uint64_t rsp;
	uint64_t s_cet;
	uint64_t ssp;
	uint64_t isst_addr;
	uint64_t rax;
	uint64_t star;
	uint64_t lstar;
	uint64_t cstar;
	uint64_t sfmask;
	uint64_t kernel_gs_base;
	uint64_t sysenter_cs;
	uint64_t sysenter_esp;
	uint64_t sysenter_eip;
	uint64_t cr2;
	uint8_t reserved248[0x268 - 0x248];
	uint64_t g_pat;
	uint8_t reserved270[0xc00 - 0x270];
};

struct vmcb {
	struct vmcb_control control;
	struct vmcb_save save;
};

#define VMCB_AT(type, member, offset) static_assert(offsetof(type, member) == (offset), "APM")
static_assert(sizeof(struct vmcb_segment) == 16, "APM");
VMCB_AT(struct vmcb_control, intercept, 0x00c);
VMCB_AT(struct vmcb_control, intercept2, 0x010);
VMCB_AT(struct vmcb_control, pause_filter_threshold, 0x03c);
VMCB_AT(struct vmcb_control, iopm_base_pa, 0x040);
VMCB_AT(struct vmcb_control, msrpm_base_pa, 0x048);
VMCB_AT(struct vmcb_control, tsc_offset, 0x050);
VMCB_AT(struct vmcb_control, guest_asid, 0x058);
VMCB_AT(struct vmcb_control, tlb_control, 0x05c);
VMCB_AT(struct vmcb_control, v_intr, 0x060);
VMCB_AT(struct vmcb_control, interrupt_shadow, 0x068);
VMCB_AT(struct vmcb_control, exitcode, 0x070);
VMCB_AT(struct vmcb_control, exitintinfo, 0x088);
VMCB_AT(struct vmcb_control, np_enable, 0x090);
VMCB_AT(struct vmcb_control, eventinj, 0x0a8);
VMCB_AT(struct vmcb_control, n_cr3, 0x0b0);
VMCB_AT(struct vmcb_control, clean, 0x0c0);
VMCB_AT(struct vmcb_control, nrip, 0x0c8);
VMCB_AT(struct vmcb_control, fetched, 0x0d1);
VMCB_AT(struct vmcb_save, gdtr, 0x060);
VMCB_AT(struct vmcb_save, tr, 0x090);
VMCB_AT(struct vmcb_save, cpl, 0x0cb);
VMCB_AT(struct vmcb_save, efer, 0x0d0);
VMCB_AT(struct vmcb_save, cr4, 0x148);
VMCB_AT(struct vmcb_save, rip, 0x178);
VMCB_AT(struct vmcb_save, rsp, 0x1d8);
VMCB_AT(struct vmcb_save, rax, 0x1f8);
VMCB_AT(struct vmcb_save, kernel_gs_base, 0x220);
VMCB_AT(struct vmcb_save, sysenter_cs, 0x228);
VMCB_AT(struct vmcb_save, cr2, 0x240);
VMCB_AT(struct vmcb_save, g_pat, 0x268);
VMCB_AT(struct vmcb, save, 0x400);
static_assert(sizeof(struct vmcb) == 0x1000, "APM");

#endif
