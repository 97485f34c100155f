/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls: the guests' side is include/bulkhead/hypercall.h. A call is served where it
 * belongs: at its exit, when it only looks at the vCPU; outside of the MMU's read section,
 * when it changes or copies guest memory; in the core, when it needs frames or another
 * partition. Registers change at its end alone, so a call that meets an absent page is simply
 * made again.
 */
#ifndef HV_HYPERCALL_H
#define HV_HYPERCALL_H

#include "arch/x86/cpuid.h"
#include "hv/partition.h"
#include "include/bulkhead/hypercall.h"

#define HYPERCALL_ARGS 4

/* What a handler returns when it annotated a memory fault: the vCPU is parked, nothing done. */
#define HYPERCALL_FAULTED INT64_MIN

/* The result for RAX: 0 or more, or a negative code of lib/status.h (or -EFAULT). */
typedef int64_t hypercall_fn(struct vcpu *vcpu, const uint64_t *arg);

#define EFAULT BULKHEAD_EFAULT /* of hypercalls alone: a buffer is not memory */

/* OUTCOME_LATER of exit_hypercall(): after the read section. OUTCOME_RESUME, CORE, FAULT. */
enum outcome hypercall_later(struct vcpu *vcpu);
/* At the gate: the call is one of the core's. */
void hypercall_core(struct vcpu *vcpu);

/* CPUID leaf BULKHEAD_CPUID_ABI: what this partition may call, and how. */
struct cpuid_result hypercall_leaf(const struct partition *partition);

/*
 * For handlers, outside of the read section: copies between the guest's buffer and ours. 0,
 * -EFAULT (not all of it is memory, or writable; nothing was written), HYPERCALL_FAULTED.
 */
int64_t hypercall_copy_in(struct vcpu *vcpu, uint64_t address, void *to, size_t size);
int64_t hypercall_copy_out(struct vcpu *vcpu, uint64_t address, const void *from, size_t size);

/* hv/hypercall_memory.c: a partition's own memory. */
hypercall_fn hypercall_slot_get;
hypercall_fn hypercall_slot_log;
hypercall_fn hypercall_dirty_read;
hypercall_fn hypercall_dirty_take;
hypercall_fn hypercall_view_create;
hypercall_fn hypercall_view_destroy;
hypercall_fn hypercall_view_switch;
hypercall_fn hypercall_view_protect;
hypercall_fn hypercall_view_vmfunc;
hypercall_fn hypercall_balloon_give;
hypercall_fn hypercall_balloon_take;

/* hv/hypercall_others.c: what concerns other partitions, too. */
hypercall_fn hypercall_find;
hypercall_fn hypercall_grant_offer;
hypercall_fn hypercall_grant_accept;
hypercall_fn hypercall_grant_release;
hypercall_fn hypercall_grant_revoke;
hypercall_fn hypercall_grant_next;
hypercall_fn hypercall_fault_next;
hypercall_fn hypercall_fault_resolve;
hypercall_fn hypercall_page_fill;

#endif
