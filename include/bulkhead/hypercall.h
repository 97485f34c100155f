/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bulkhead's hypercalls, for guests: numbers, records and errors, and for 64-bit code the call
 * itself in an inline function. Plain C; needs <stdint.h> and nothing of Bulkhead's. What each
 * call does, and what it answers: docs/hypercalls.md.
 *
 *     RAX              number          VMCALL or VMMCALL, at CPL 0
 *     RBX RCX RDX RSI  arguments       what the call does not take is not looked at
 *     RAX              result          negative: -BULKHEAD_E...; nothing else changes
 */
#ifndef BULKHEAD_HYPERCALL_H
#define BULKHEAD_HYPERCALL_H

#include <stdint.h>

/* Raised when a call is added; what there is keeps its number and its meaning. */
#define BULKHEAD_ABI_VERSION 1

/*
 * CPUID leaf 0x40000000: EBX, ECX, EDX spell "BulkheadHv  ". Leaf 0x40000001: EAX the ABI's
 * version, EBX BULKHEAD_CAP_..., ECX this partition's number, EDX BULKHEAD_HOW_...
 */
#define BULKHEAD_CPUID_BASE 0x40000000u
#define BULKHEAD_CPUID_ABI 0x40000001u

#define BULKHEAD_CAP_CONSOLE (1u << 0)
#define BULKHEAD_CAP_EVENTS (1u << 1)
#define BULKHEAD_CAP_SLOTS (1u << 2) /* slots and their dirty logs */
#define BULKHEAD_CAP_VIEWS (1u << 3)
#define BULKHEAD_CAP_BALLOON (1u << 4)
#define BULKHEAD_CAP_GRANTS (1u << 5)
#define BULKHEAD_CAP_MANAGER (1u << 6) /* this partition manages the others' faults */
#define BULKHEAD_CAP_VMFUNC (1u << 7)  /* BULKHEAD_VIEW_VMFUNC turns VMFUNC on for a vCPU */

#define BULKHEAD_HOW_VMMCALL (1u << 0) /* this CPU has VMMCALL; else VMCALL */

enum bulkhead_call {
	/* General */
	BULKHEAD_VERSION = 0x42480000,	/* () -> BULKHEAD_ABI_VERSION */
	BULKHEAD_IDENTITY = 0x42480001, /* () -> this partition's number */
	BULKHEAD_FIND = 0x42480002,	/* (gpa of a name, its length) -> the partition's number */
	/* Console */
	BULKHEAD_CONSOLE_WRITE = 0x42480010, /* (gpa, length) -> length */
	/* Events */
	BULKHEAD_EVENT_POLL = 0x42480020,   /* () -> BULKHEAD_EVENT_..., which are clear then */
	BULKHEAD_EVENT_VECTOR = 0x42480021, /* (vector, 0: none) -> 0 */
	/* Slots */
	BULKHEAD_SLOT_GET = 0x42480030, /* (index, gpa of a bulkhead_slot) -> 0 */
	BULKHEAD_SLOT_LOG = 0x42480031, /* (slot, 1 or 0) -> 0 */
	/* (slot, first page, count, gpa of count / 64 words) -> dirty pages */
	BULKHEAD_DIRTY_READ = 0x42480032,
	BULKHEAD_DIRTY_TAKE = 0x42480033, /* and they are clean then */
	/* Views */
	BULKHEAD_VIEW_CREATE = 0x42480040,  /* (view) -> 0 */
	BULKHEAD_VIEW_DESTROY = 0x42480041, /* (view) -> 0 */
	BULKHEAD_VIEW_SWITCH = 0x42480042,  /* (view) -> the view it was in */
	BULKHEAD_VIEW_PROTECT = 0x42480043, /* (view, gfn, count, BULKHEAD_READ...) -> 0 */
	BULKHEAD_VIEW_VMFUNC = 0x42480044,  /* (1 or 0) -> 0 */
	/* Balloon */
	BULKHEAD_BALLOON_GIVE = 0x42480050, /* (gfn, count) -> pages done */
	BULKHEAD_BALLOON_TAKE = 0x42480051, /* (gfn, count) -> pages done */
	/* Grants */
	BULKHEAD_GRANT_OFFER = 0x42480060,   /* (gfn, count, partition, rights) -> grant */
	BULKHEAD_GRANT_ACCEPT = 0x42480061,  /* (grant, gfn) -> 0 */
	BULKHEAD_GRANT_RELEASE = 0x42480062, /* (grant) -> 0; by who was given it */
	BULKHEAD_GRANT_REVOKE = 0x42480063,  /* (grant) -> 0; by who gave it */
	BULKHEAD_GRANT_NEXT = 0x42480064,    /* (cursor, gpa of a bulkhead_grant) -> cursor */
	/* Memory faults of the others: for managers */
	BULKHEAD_FAULT_NEXT = 0x42480070, /* (cursor, gpa of a bulkhead_fault) -> cursor */
	/* (partition, vcpu, BULKHEAD_RESOLVE_..., the fault's number) -> 0 */
	BULKHEAD_FAULT_RESOLVE = 0x42480071,
	/* (partition, gpa there, gpa of a page here or BULKHEAD_ZERO) -> 0 */
	BULKHEAD_PAGE_FILL = 0x42480072,
};

/* Errors. A number that is no call gives BULKHEAD_ENOSYS. */
#define BULKHEAD_EPERM 1    /* not from CPL 0, not a manager, not yours */
#define BULKHEAD_ENOENT 2   /* no such partition, slot, view, grant, fault */
#define BULKHEAD_EIO 5	    /* that partition is bugged */
#define BULKHEAD_E2BIG 7    /* more than one call takes */
#define BULKHEAD_EAGAIN 11  /* not this one any more: look again */
#define BULKHEAD_ENOMEM 12  /* no memory, here or in the machine */
#define BULKHEAD_EFAULT 14  /* the address given is not memory (or not writable) */
#define BULKHEAD_EBUSY 16   /* in use */
#define BULKHEAD_EEXIST 17  /* there already */
#define BULKHEAD_EINVAL 22  /* an argument is not allowed */
#define BULKHEAD_ENOSPC 28  /* the table is full */
#define BULKHEAD_ERANGE 34  /* beyond what there is */
#define BULKHEAD_ENODATA 61 /* the page is absent; the slot is not logged */
#define BULKHEAD_ENOSYS 1000

/* Bits of BULKHEAD_EVENT_POLL. */
#define BULKHEAD_EVENT_FAULT (1u << 0)		/* managers: BULKHEAD_FAULT_NEXT has news */
#define BULKHEAD_EVENT_GRANT_OFFERED (1u << 1)	/* to you */
#define BULKHEAD_EVENT_GRANT_ACCEPTED (1u << 2) /* of yours */
#define BULKHEAD_EVENT_GRANT_RELEASED (1u << 3) /* of yours; or who had it is gone */
#define BULKHEAD_EVENT_GRANT_REVOKED (1u << 4)	/* from you; the memory is not there any more */

#define BULKHEAD_READ 1u
#define BULKHEAD_WRITE 2u
#define BULKHEAD_EXECUTE 4u

/* Most that one call takes. */
#define BULKHEAD_CONSOLE_MAX 256 /* bytes */
#define BULKHEAD_BALLOON_MAX 512 /* pages */
#define BULKHEAD_DIRTY_MAX 32768 /* pages: a page of bits */
#define BULKHEAD_GRANT_MAX 4096	 /* pages */

#define BULKHEAD_SLOT_READ_ONLY (1u << 0)
#define BULKHEAD_SLOT_LOGGED (1u << 1)
#define BULKHEAD_SLOT_ABSENT (1u << 2) /* its pages come when a manager fills them */
#define BULKHEAD_SLOT_GRANTED (1u << 3)

struct bulkhead_slot {
	uint32_t id;
	uint32_t flags; /* BULKHEAD_SLOT_... */
	uint64_t gfn;
	uint64_t page_count;
};

enum bulkhead_grant_state {
	BULKHEAD_GRANT_IS_OFFERED = 1,
	BULKHEAD_GRANT_IS_ACTIVE = 2,
};

struct bulkhead_grant {
	uint32_t id;
	uint32_t state; /* enum bulkhead_grant_state */
	uint32_t owner; /* numbers of partitions */
	uint32_t grantee;
	uint64_t gfn; /* where you have it: the owner's, or the grantee's (0 until accepted) */
	uint64_t page_count;
	uint32_t rights; /* BULKHEAD_READ, or BULKHEAD_READ | BULKHEAD_WRITE */
	uint32_t reserved;
};

enum bulkhead_fault_reason {
	BULKHEAD_FAULT_ABSENT = 1, /* the page is not there */
	BULKHEAD_FAULT_DENIED = 2, /* its view forbids it */
	BULKHEAD_FAULT_STUCK = 3,  /* again and again the same, without progress */
};

struct bulkhead_fault {
	uint32_t partition;
	uint32_t vcpu;
	uint32_t number; /* of this vCPU's faults: to be given back when it is resolved */
	uint32_t reason; /* enum bulkhead_fault_reason */
	uint64_t gpa;
	uint64_t rip;
	uint32_t length; /* of the access, within the page; 1 when it is not known */
	uint32_t access; /* BULKHEAD_READ | WRITE | EXECUTE */
};

enum bulkhead_resolve {
	BULKHEAD_RESOLVE_RETRY = 0,  /* run it again: the page was filled, the view changed */
	BULKHEAD_RESOLVE_INJECT = 1, /* #GP(0) instead of the access */
	BULKHEAD_RESOLVE_KILL = 2,   /* the partition ends as crashed */
};

#define BULKHEAD_ZERO 1u /* source of BULKHEAD_PAGE_FILL: zeros; no page starts there */

#if defined(__x86_64__) && !defined(BULKHEAD_NO_CALL)
/* `vmmcall`: BULKHEAD_HOW_VMMCALL is set. The hypervisor may read and write memory. */
static inline int64_t bulkhead_call(int vmmcall, enum bulkhead_call number, uint64_t a, uint64_t b,
				    uint64_t c, uint64_t d)
{
	int64_t result;

	if (vmmcall) {
		__asm__ volatile("vmmcall"
				 : "=a"(result)
				 : "a"((uint64_t)number), "b"(a), "c"(b), "d"(c), "S"(d)
				 : "memory");
	} else {
		__asm__ volatile("vmcall"
				 : "=a"(result)
				 : "a"((uint64_t)number), "b"(a), "c"(b), "d"(c), "S"(d)
				 : "memory");
	}
	return result;
}
#endif

#endif
