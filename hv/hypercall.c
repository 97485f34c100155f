/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls: the table of calls, who may make them and where they are served, and the calls
 * that concern the vCPU alone. A guest's arguments are numbers that anybody may have written:
 * each handler checks its own, and what is wrong is an error code, never a log line.
 */
#include "hv/hypercall.h"

#include "arch/x86/cpu.h"
#include "hv/events.h"
#include "hv/gate.h"
#include "hv/guest_memory.h"
#include "hv/sched.h"
#include "lib/string.h"

static_assert(BULKHEAD_EPERM == EPERM && BULKHEAD_ENOENT == ENOENT && BULKHEAD_EIO == EIO &&
		      BULKHEAD_E2BIG == E2BIG && BULKHEAD_EAGAIN == EAGAIN &&
		      BULKHEAD_ENOMEM == ENOMEM && BULKHEAD_EBUSY == EBUSY &&
		      BULKHEAD_EEXIST == EEXIST && BULKHEAD_EINVAL == EINVAL &&
		      BULKHEAD_ENOSPC == ENOSPC && BULKHEAD_ERANGE == ERANGE &&
		      BULKHEAD_ENODATA == ENODATA,
	      "guests get the codes of lib/status.h");

enum place {
	PLACE_EXIT,  /* at once, in the MMU's read section */
	PLACE_LATER, /* outside of it */
	PLACE_CORE,
};

struct call {
	enum place place;
	bool managers_only;
	hypercall_fn *run;
};

static int64_t version(struct vcpu *vcpu, const uint64_t *arg)
{
	(void)vcpu;
	(void)arg;
	return BULKHEAD_ABI_VERSION;
}

static int64_t identity(struct vcpu *vcpu, const uint64_t *arg)
{
	(void)arg;
	return vcpu->partition->id;
}

/* Bytes go where those of COM1 go. */
static int64_t console_write(struct vcpu *vcpu, const uint64_t *arg)
{
	struct vdev_host *host = &vcpu->partition->devices.host;
	uint8_t text[BULKHEAD_CONSOLE_MAX];
	uint64_t length = arg[1];
	int64_t status;

	if (length > sizeof(text)) {
		return -E2BIG;
	}
	status = hypercall_copy_in(vcpu, arg[0], text, (size_t)length);
	for (uint64_t i = 0; status == 0 && i < length; i++) {
		host->serial_output(host, text[i]);
	}
	return status ? status : (int64_t)length;
}

static int64_t event_poll(struct vcpu *vcpu, const uint64_t *arg)
{
	(void)arg;
	return events_poll(vcpu->partition);
}

static int64_t event_vector(struct vcpu *vcpu, const uint64_t *arg)
{
	return events_set_vector(vcpu->partition, arg[0]) ? 0 : -EINVAL;
}

/* By number, without what all numbers begin with. */
#define AT(number) ((number)-BULKHEAD_VERSION)
static const struct call calls[] = {
	[AT(BULKHEAD_VERSION)] = { PLACE_EXIT, false, version },
	[AT(BULKHEAD_IDENTITY)] = { PLACE_EXIT, false, identity },
	[AT(BULKHEAD_FIND)] = { PLACE_CORE, false, hypercall_find },
	[AT(BULKHEAD_CONSOLE_WRITE)] = { PLACE_LATER, false, console_write },
	[AT(BULKHEAD_EVENT_POLL)] = { PLACE_EXIT, false, event_poll },
	[AT(BULKHEAD_EVENT_VECTOR)] = { PLACE_EXIT, false, event_vector },
	[AT(BULKHEAD_SLOT_GET)] = { PLACE_LATER, false, hypercall_slot_get },
	[AT(BULKHEAD_SLOT_LOG)] = { PLACE_LATER, false, hypercall_slot_log },
	[AT(BULKHEAD_DIRTY_READ)] = { PLACE_LATER, false, hypercall_dirty_read },
	[AT(BULKHEAD_DIRTY_TAKE)] = { PLACE_LATER, false, hypercall_dirty_take },
	[AT(BULKHEAD_VIEW_CREATE)] = { PLACE_LATER, false, hypercall_view_create },
	[AT(BULKHEAD_VIEW_DESTROY)] = { PLACE_LATER, false, hypercall_view_destroy },
	[AT(BULKHEAD_VIEW_SWITCH)] = { PLACE_LATER, false, hypercall_view_switch },
	[AT(BULKHEAD_VIEW_PROTECT)] = { PLACE_LATER, false, hypercall_view_protect },
	[AT(BULKHEAD_VIEW_VMFUNC)] = { PLACE_LATER, false, hypercall_view_vmfunc },
	[AT(BULKHEAD_BALLOON_GIVE)] = { PLACE_CORE, false, hypercall_balloon_give },
	[AT(BULKHEAD_BALLOON_TAKE)] = { PLACE_CORE, false, hypercall_balloon_take },
	[AT(BULKHEAD_GRANT_OFFER)] = { PLACE_CORE, false, hypercall_grant_offer },
	[AT(BULKHEAD_GRANT_ACCEPT)] = { PLACE_CORE, false, hypercall_grant_accept },
	[AT(BULKHEAD_GRANT_RELEASE)] = { PLACE_CORE, false, hypercall_grant_release },
	[AT(BULKHEAD_GRANT_REVOKE)] = { PLACE_CORE, false, hypercall_grant_revoke },
	[AT(BULKHEAD_GRANT_NEXT)] = { PLACE_CORE, false, hypercall_grant_next },
	[AT(BULKHEAD_FAULT_NEXT)] = { PLACE_CORE, true, hypercall_fault_next },
	[AT(BULKHEAD_FAULT_RESOLVE)] = { PLACE_CORE, true, hypercall_fault_resolve },
	[AT(BULKHEAD_PAGE_FILL)] = { PLACE_CORE, true, hypercall_page_fill },
};

struct cpuid_result hypercall_leaf(const struct partition *partition)
{
	uint32_t can = BULKHEAD_CAP_CONSOLE | BULKHEAD_CAP_EVENTS | BULKHEAD_CAP_SLOTS |
		       BULKHEAD_CAP_VIEWS | BULKHEAD_CAP_BALLOON | BULKHEAD_CAP_GRANTS;

	if (partition->manager) {
		can |= BULKHEAD_CAP_MANAGER;
	}
	if (virt_caps.vmfunc_eptp) {
		can |= BULKHEAD_CAP_VMFUNC;
	}
	return (struct cpuid_result){ BULKHEAD_ABI_VERSION, can, partition->id,
				      strcmp(virt->name, "SVM") == 0 ? BULKHEAD_HOW_VMMCALL : 0 };
}

int64_t hypercall_copy_in(struct vcpu *vcpu, uint64_t address, void *to, size_t size)
{
	int64_t status = 0;

	mmu_read_begin(&vcpu->mmu);
	if (memory_fault_absent(vcpu, gpa(address), size, ACCESS_READ)) {
		status = HYPERCALL_FAULTED;
	} else if (guest_physical_read(vcpu->partition, gpa(address), to, size)) {
		status = -EFAULT;
	}
	mmu_read_end(&vcpu->mmu);
	return status;
}

int64_t hypercall_copy_out(struct vcpu *vcpu, uint64_t address, const void *from, size_t size)
{
	int64_t status = 0;

	mmu_read_begin(&vcpu->mmu);
	if (memory_fault_absent(vcpu, gpa(address), size, ACCESS_WRITE)) {
		status = HYPERCALL_FAULTED;
	} else if (guest_physical_write(vcpu->partition, gpa(address), from, size)) {
		status = -EFAULT;
	}
	mmu_read_end(&vcpu->mmu);
	return status;
}

static const struct call *find_call(uint64_t number)
{
	uint64_t at = AT(number);

	return at < ARRAY_COUNT(calls) && calls[at].run ? &calls[at] : NULL;
}

static bool in_64_bit_code(const struct virt_paging *paging)
{
	return (paging->efer & EFER_LMA) && (paging->cs_rights & SEGMENT_RIGHTS_L);
}

/* The call that exited with its arguments, cut to what the code that made it can say. */
static const struct call *read_call(struct vcpu *vcpu, uint64_t *arg, int64_t *error)
{
	const uint64_t *gpr = vcpu->virt.regs.gpr;
	struct virt_paging paging;
	const struct call *call;
	uint64_t mask;

	virt->get_paging(&vcpu->virt, &paging);
	mask = in_64_bit_code(&paging) ? ~UINT64_C(0) : BITS(31, 0);
	arg[0] = gpr[GPR_RBX] & mask;
	arg[1] = gpr[GPR_RCX] & mask;
	arg[2] = gpr[GPR_RDX] & mask;
	arg[3] = gpr[GPR_RSI] & mask;
	if (paging.cpl != 0) { /* first: user mode learns nothing */
		*error = -BULKHEAD_EPERM;
		return NULL;
	}
	call = find_call(gpr[GPR_RAX] & mask);
	if (!call) {
		*error = -BULKHEAD_ENOSYS;
	} else if (call->managers_only && !vcpu->partition->manager) {
		*error = -BULKHEAD_EPERM;
		call = NULL;
	}
	return call;
}

/* Nobody below lets another code through than those of the ABI. */
static uint64_t result_for_guest(int64_t result)
{
	return (uint64_t)(result == -ENOSYS ? -BULKHEAD_ENOSYS : result);
}

enum outcome exit_hypercall(struct vcpu *vcpu)
{
	uint64_t arg[HYPERCALL_ARGS];
	int64_t result = 0;
	const struct call *call = read_call(vcpu, arg, &result);

	if (call && call->place != PLACE_EXIT) {
		return OUTCOME_LATER;
	}
	if (call) {
		result = call->run(vcpu, arg);
	}
	vcpu->virt.regs.gpr[GPR_RAX] = result_for_guest(result);
	return OUTCOME_NEXT;
}

/* The call is over, or parked: as exit_handle() does it for handlers of exits. */
static enum outcome finish(struct vcpu *vcpu, int64_t result)
{
	if (result == HYPERCALL_FAULTED) {
		return OUTCOME_FAULT;
	}
	vcpu->virt.regs.gpr[GPR_RAX] = result_for_guest(result);
	return exit_finish_instruction(vcpu);
}

enum outcome hypercall_later(struct vcpu *vcpu)
{
	uint64_t arg[HYPERCALL_ARGS];
	int64_t result = 0;
	const struct call *call = read_call(vcpu, arg, &result);

	if (call && call->place == PLACE_CORE) {
		vcpu->gate = GATE_HYPERCALL;
		return OUTCOME_CORE;
	}
	return finish(vcpu, call ? call->run(vcpu, arg) : result);
}

void hypercall_core(struct vcpu *vcpu)
{
	struct partition_entry *entry = partition_entry_of(vcpu->partition);
	uint64_t arg[HYPERCALL_ARGS];
	int64_t result = 0;
	const struct call *call = read_call(vcpu, arg, &result);

	if (call) {
		result = call->run(vcpu, arg);
	}
	sched_load(&entry->sched[vcpu->id]); /* another one may have been needed meanwhile */
	if (finish(vcpu, result) == OUTCOME_FAULT) {
		memory_fault_park(vcpu);
		vcpu->gate = GATE_NONE;
		memory_fault_announce(vcpu);
	}
}
