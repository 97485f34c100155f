/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one interface of the two backends, VMX (Intel) and SVM (AMD): a const table, chosen
 * at boot by virt_select(). A backend knows the CPU and `struct virt_vcpu`; it knows no
 * partition, no device and no policy but what virt_config says.
 *
 * Calling rules: host interrupts are off in every function. A vCPU is used by one CPU at a
 * time; functions from `enter` on need it loaded on this CPU (vcpu_load).
 */
#ifndef ARCH_X86_VIRT_H
#define ARCH_X86_VIRT_H

#include "arch/x86/exit.h"
#include "arch/x86/vcpu_state.h"
#include "lib/status.h"

/* What this machine's CPU offers, beyond what is required: filled by cpu_probe. */
struct virt_caps {
	bool nested_execute_only;
	bool nested_large_1g;
	bool nested_accessed_dirty;
	bool vmfunc_eptp;	 /* the guest can switch views itself: set_view_list is there */
	bool pml;		 /* page-modification logging */
	bool deadline_timer;	 /* set_deadline works (VMX-preemption timer) */
	bool instruction_length; /* VMX always; SVM: NRIPS */
	bool tagged_tlb;	 /* VPID; more than one ASID */
	uint32_t asid_count;
};

#define VIRT_NO_OFFER (-1)

/* Per-vCPU memory that the owner gives the backend: whole zeroed pages from its pool. */
#define VIRT_VCPU_PAGES 2 /* VMX: VMCS, EPTP list; SVM: VMCB, the host's save page */

/* Roots that set_view_list takes: what a page of EPTPs holds. */
#define VIRT_VIEWS_MAX 512

/* Bitmaps shared by the vCPUs of one partition, from its pool; filled by partition_init. */
#define VIRT_PARTITION_PAGES 5 /* I/O bitmap: 3 pages contiguous; MSR bitmap: 2 contiguous */

struct virt_partition {
	void *io_bitmap;  /* 3 pages: 1 bit a port, set = exit */
	void *msr_bitmap; /* 2 pages, in the vendor's layout */
};

/*
 * Partition-owned. The entry stubs know the offsets of the first members (tied by
 * static_assert in the backends): keep regs first.
 */
struct virt_vcpu {
	struct vcpu_regs regs;
	struct virt_partition *partition;
	void *page[VIRT_VCPU_PAGES];
	uint32_t asid;	      /* VPID or ASID, chosen by the owner; never 0 */
	int offer;	      /* set before enter: vector of an interrupt, or VIRT_NO_OFFER */
	bool launched;	      /* VMX: VMRESUME instead of VMLAUNCH */
	bool flush;	      /* set by anybody who needs it: flush before the next entry */
	bool nmi_pending;     /* set to have an NMI injected */
	uint64_t nested_root; /* EPTP or nCR3 as set last; VMFUNC may have changed it (get_root) */
	uint64_t cr2;	      /* VMX: while not loaded */
	uint64_t dr[4];	      /* DR0-3 while not loaded */
	uint64_t dr6;	      /* while not loaded (VMX) */
	uint64_t tsc_aux;     /* while not loaded */
	uint64_t xcr0;	      /* the guest's; loaded by vcpu_load, saved by vcpu_put */
	void *xsave_area;     /* from the pool, 64-byte aligned, virt_xsave_size() bytes */
	uint64_t reinject;    /* backend's own: event to deliver again, 0 if none */
	uint64_t reinject_error;
	/* VMX: while not loaded */
	uint64_t msr_kernel_gs_base, msr_star, msr_lstar, msr_cstar, msr_sfmask;
	uint64_t scratch[5]; /* backend's own */
};

/* What paging and mode the guest is in: enough to walk its tables and to decode. */
struct virt_paging {
	uint64_t cr0;
	uint64_t cr3;
	uint64_t cr4;
	uint64_t efer;
	uint64_t rflags;
	uint64_t cs_base;
	uint32_t cs_rights;
	uint8_t cpl;
};

struct virt_ops {
	const char *name; /* "VMX", "SVM" */

	/*
	 * Looks at CPUID and capability MSRs, changes nothing. -ENODEV with a message that names
	 * the first missing control (required: nested paging; VMX: unrestricted guest, MSR and
	 * I/O bitmaps, EPT 4-level WB, load/save EFER and PAT; FEATURE_CONTROL not locked out).
	 */
	int (*cpu_probe)(struct virt_caps *caps, struct error_text *error);

	/* Turns virtualisation on, on this CPU; `page` is 4 KiB for VMXON or HSAVE. */
	int (*cpu_enable)(void *page, struct error_text *error);
	void (*cpu_disable)(void);

	/* Fills the bitmaps: every port exits; every MSR exits but those in the pass list. */
	void (*partition_init)(struct virt_partition *partition);

	/* Sets up a vCPU in reset state. -EIO with a message when the CPU refuses a field. */
	int (*vcpu_init)(struct virt_vcpu *vcpu, struct error_text *error);

	/* Makes the vCPU current here (VMPTRLD; FPU, debug, TSC_AUX, XCR0, syscall MSRs). */
	void (*vcpu_load)(struct virt_vcpu *vcpu);
	void (*vcpu_put)(struct virt_vcpu *vcpu);

	/*
	 * Runs the guest until its next exit. Before: reinjects what an exit interrupted, else
	 * an NMI, else offers `vcpu->offer`. After: `exit` is complete, host state is restored.
	 */
	void (*enter)(struct virt_vcpu *vcpu, struct exit *exit);

	/* The next entry delivers this exception (#DB: DR6 bits in `dr6`). */
	void (*inject_exception)(struct virt_vcpu *vcpu, const struct exit_exception *exception);

	/* Sets RIP, and ends the interrupt shadow of an STI or MOV SS: an instruction was done. */
	void (*set_rip)(struct virt_vcpu *vcpu, uint64_t rip);

	/*
	 * RFLAGS.IF and no shadow: an interrupt could be taken right now. For HLT: the wake-up
	 * decision; while halted an STI shadow does not count.
	 */
	bool (*interrupts_enabled)(struct virt_vcpu *vcpu);

	/* Parts of the state that handlers need on exit paths. */
	uint64_t (*get_rsp)(struct virt_vcpu *vcpu);
	uint64_t (*get_rflags)(struct virt_vcpu *vcpu);
	void (*set_rsp)(struct virt_vcpu *vcpu, uint64_t rsp);
	void (*set_rflags)(struct virt_vcpu *vcpu, uint64_t rflags); /* emulated arithmetic flags */
	void (*get_paging)(struct virt_vcpu *vcpu, struct virt_paging *paging);
	void (*get_segment)(struct virt_vcpu *vcpu, enum segment which, struct segment_state *out);

	/*
	 * Control registers as the guest sees them. set_crs takes the new values whole (already
	 * checked), keeps EFER.LMA and the entry controls right and flushes what it must.
	 * `pdpte` is the four entries for PAE paging outside long mode, else NULL.
	 */
	void (*set_crs)(struct virt_vcpu *vcpu, const struct virt_paging *paging,
			const uint64_t *pdpte);

	/* All of it; for loaders and the shell. set_state is for a vCPU that does not run. */
	void (*get_state)(struct virt_vcpu *vcpu, struct vcpu_state *state);
	void (*set_state)(struct virt_vcpu *vcpu, const struct vcpu_state *state);

	/* Kept in hardware by VMX and SVM alike: the guest's IA32_PAT. */
	void (*set_pat)(struct virt_vcpu *vcpu, uint64_t pat);

	/*
	 * EPTP or nCR3 for the root table at `root`; takes effect at the next entry, which uses
	 * nothing that was cached of this table before.
	 */
	void (*set_root)(struct virt_vcpu *vcpu, hpa_t root);

	/* The root that the guest is in: that of set_root, or where VMFUNC took it since. */
	hpa_t (*get_root)(struct virt_vcpu *vcpu);

	/*
	 * The roots among which the guest can switch by VMFUNC leaf 0 (EPTP switching), by index,
	 * at any privilege level; replaces the list before. 0 in it, or an index beyond it:
	 * EXIT_VMFUNC. `count` 0: no VMFUNC at all (#UD). The root that the guest is in stays:
	 * one that is to go away has to be changed by set_root. All of them are flushed together
	 * (virt_vcpu.flush). Only with virt_caps.vmfunc_eptp.
	 */
	void (*set_view_list)(struct virt_vcpu *vcpu, const hpa_t *roots, unsigned int count);

	/* Guest TSC = host TSC + offset, from the next entry on. */
	void (*set_tsc_offset)(struct virt_vcpu *vcpu, uint64_t offset);

	/* EXIT_TIMER at or soon after this host TSC; UINT64_MAX: never. Only with the cap. */
	void (*set_deadline)(struct virt_vcpu *vcpu, uint64_t tsc);

	/*
	 * Drops every translation of `asid`, and through the nested root (as in virt_vcpu; 0: all
	 * that there are), on this CPU: none is used by a guest any more.
	 */
	void (*flush_asid)(uint32_t asid, uint64_t nested_root);

	/* The same for all translations through the root table at `root`, whatever the ASID. */
	void (*flush_root)(hpa_t root);
};

extern const struct virt_ops vmx_ops;
extern const struct virt_ops svm_ops;

/*
 * The backend for this CPU, probed; NULL and a message when there is none. After it,
 * `virt` and `virt_caps` are constant.
 */
const struct virt_ops *virt_select(struct error_text *error);
extern const struct virt_ops *virt;
extern struct virt_caps virt_caps;

/* The XCR0 bits that guests may set (x87, SSE, AVX, AVX-512 where the host has them). */
uint64_t virt_xcr0_mask(void);
/* Bytes of an XSAVE area for that mask, rounded up to 64. */
uint32_t virt_xsave_size(void);
/* XSAVEC is there and was seen to follow the manual: guests may be told of it. */
bool virt_xsavec_works(void);
/* XCR0 of the vCPU that is loaded on this CPU; a value to be set was checked by the caller. */
uint64_t virt_get_xcr0(void);
void virt_set_xcr0(uint64_t value);
/* FPU, XCR0, DR0-3, DR6, TSC_AUX of a vCPU that is not loaded, as after INIT. */
void virt_extended_reset(struct virt_vcpu *vcpu);
/* Shared by the backends' vcpu_load/vcpu_put: FPU, XCR0, DR0-3, TSC_AUX. */
void virt_extended_load(struct virt_vcpu *vcpu);
void virt_extended_put(struct virt_vcpu *vcpu);

#endif
