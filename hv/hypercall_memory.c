/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls about a partition's own memory: slots and their dirty logs, views, balloon. The
 * MMU says what is allowed; what is checked here is what its interface takes for granted.
 */
#include "hv/guest_memory.h"
#include "hv/hypercall.h"

static_assert(BULKHEAD_SLOT_READ_ONLY == MEMSLOT_READ_ONLY &&
		      BULKHEAD_SLOT_LOGGED == MEMSLOT_LOG_DIRTY &&
		      BULKHEAD_SLOT_ABSENT == MEMSLOT_ABSENT &&
		      BULKHEAD_SLOT_GRANTED == MEMSLOT_GRANTED,
	      "guests see the flags of slots as they are");
static_assert(BULKHEAD_READ == MMU_READ && BULKHEAD_WRITE == MMU_WRITE &&
		      BULKHEAD_EXECUTE == MMU_EXECUTE,
	      "guests name rights as the MMU does");
static_assert(BULKHEAD_BALLOON_MAX == BALLOON_PAGES_MAX, "as the ABI says");

/* Pages of a dirty log that are handled at a time, on the stack. */
#define DIRTY_STEP 4096

int64_t hypercall_slot_get(struct vcpu *vcpu, const uint64_t *arg)
{
	struct bulkhead_slot out = { .id = 0 };
	const struct memslots *slots;
	bool found;

	mmu_read_begin(&vcpu->mmu);
	/* Acquire: pairs with the publication of the array. */
	slots = atomic_load_explicit(&vcpu->partition->mmu.slots, memory_order_acquire);
	found = arg[0] < slots->count;
	if (found) {
		const struct memslot *slot = &slots->slot[arg[0]];

		out.id = slot->id;
		out.flags = slot->flags & (uint32_t)MEMSLOT_FLAGS;
		out.gfn = slot->gfn.v;
		out.page_count = slot->page_count;
	}
	mmu_read_end(&vcpu->mmu);
	return found ? hypercall_copy_out(vcpu, arg[1], &out, sizeof(out)) : -ENOENT;
}

int64_t hypercall_slot_log(struct vcpu *vcpu, const uint64_t *arg)
{
	const struct memslots *slots;
	const struct memslot *slot;
	uint32_t flags = 0;

	if (arg[1] > 1) {
		return -EINVAL;
	}
	mmu_read_begin(&vcpu->mmu);
	/* Acquire: pairs with the publication of the array. */
	slots = atomic_load_explicit(&vcpu->partition->mmu.slots, memory_order_acquire);
	slot = arg[0] < MEMSLOTS_MAX ? memslot_by_id(slots, (unsigned int)arg[0]) : NULL;
	if (slot) { /* it stays what else it is */
		flags = slot->flags & (uint32_t)(MEMSLOT_FLAGS & ~MEMSLOT_LOG_DIRTY);
	}
	mmu_read_end(&vcpu->mmu);
	if (!slot) {
		return -ENOENT;
	}
	flags |= arg[1] ? (uint32_t)MEMSLOT_LOG_DIRTY : 0;
	return mmu_slot_set_flags(&vcpu->partition->mmu, (unsigned int)arg[0], flags, NULL);
}

static unsigned int bits_set(uint64_t word)
{
	unsigned int count = 0;

	for (; word != 0; word &= word - 1) {
		count++;
	}
	return count;
}

/* Reads [first, first + count) into the guest's buffer. In a read section, all of it. */
static int64_t copy_log(struct vcpu *vcpu, const uint64_t *arg, bool clear)
{
	uint64_t words[DIRTY_STEP / 64];
	int64_t dirty = 0;

	for (uint64_t done = 0; done < arg[2]; done += DIRTY_STEP) {
		uint64_t count = MIN(arg[2] - done, (uint64_t)DIRTY_STEP);
		int status = mmu_dirty_read(&vcpu->partition->mmu, (unsigned int)arg[0],
					    arg[1] + done, count, words, clear);

		if (status) {
			return status;
		}
		for (uint64_t i = 0; i < count / 64; i++) {
			dirty += bits_set(words[i]);
		}
		if (guest_physical_write(vcpu->partition, gpa(arg[3] + done / 8), words,
					 (size_t)count / 8)) {
			return -EFAULT;
		}
	}
	return dirty;
}

static int64_t read_log(struct vcpu *vcpu, const uint64_t *arg, bool clear)
{
	uint64_t count = arg[2];
	size_t size = (size_t)count / 8;
	int64_t result;

	if (arg[0] >= MEMSLOTS_MAX) {
		return -ENOENT;
	}
	if (count > BULKHEAD_DIRTY_MAX) {
		return -E2BIG;
	}
	if (count == 0 || count % 64 != 0 || arg[1] % 64 != 0 || arg[3] % 8 != 0) {
		return -EINVAL;
	}
	mmu_read_begin(&vcpu->mmu);
	/* The buffer first: what is cleared must have a place to go. */
	if (memory_fault_absent(vcpu, gpa(arg[3]), size, ACCESS_WRITE)) {
		result = HYPERCALL_FAULTED;
	} else if (guest_physical_zero(vcpu->partition, gpa(arg[3]), size)) {
		result = -EFAULT;
	} else {
		result = copy_log(vcpu, arg, clear);
	}
	mmu_read_end(&vcpu->mmu);
	return result;
}

int64_t hypercall_dirty_read(struct vcpu *vcpu, const uint64_t *arg)
{
	return read_log(vcpu, arg, false);
}

int64_t hypercall_dirty_take(struct vcpu *vcpu, const uint64_t *arg)
{
	return read_log(vcpu, arg, true);
}

int64_t hypercall_view_create(struct vcpu *vcpu, const uint64_t *arg)
{
	if (arg[0] >= MMU_VIEWS_MAX) {
		return -EINVAL;
	}
	return mmu_view_create(&vcpu->partition->mmu, (unsigned int)arg[0], NULL);
}

int64_t hypercall_view_destroy(struct vcpu *vcpu, const uint64_t *arg)
{
	if (arg[0] >= MMU_VIEWS_MAX) {
		return -EINVAL;
	}
	return mmu_view_destroy(&vcpu->partition->mmu, (unsigned int)arg[0], NULL);
}

int64_t hypercall_view_switch(struct vcpu *vcpu, const uint64_t *arg)
{
	unsigned int before;
	int status;

	if (arg[0] >= MMU_VIEWS_MAX) {
		return -EINVAL;
	}
	vcpu_sync_view(vcpu);
	before = atomic_load_explicit(&vcpu->mmu.view, memory_order_relaxed);
	status = mmu_view_switch(&vcpu->mmu, (unsigned int)arg[0]);
	return status ? status : (int64_t)before;
}

int64_t hypercall_view_protect(struct vcpu *vcpu, const uint64_t *arg)
{
	if (arg[0] >= MMU_VIEWS_MAX || arg[3] > (MMU_READ | MMU_WRITE | MMU_EXECUTE)) {
		return -EINVAL;
	}
	return mmu_view_protect(&vcpu->partition->mmu, (unsigned int)arg[0], gfn(arg[1]), arg[2],
				(unsigned int)arg[3], NULL);
}

int64_t hypercall_view_vmfunc(struct vcpu *vcpu, const uint64_t *arg)
{
	if (arg[0] > 1) {
		return -EINVAL;
	}
	if (!virt_caps.vmfunc_eptp) {
		return -ENOSYS;
	}
	vcpu_sync_view(vcpu);
	vcpu->vmfunc = arg[0] == 1;
	if (!vcpu->vmfunc) {
		virt->set_view_list(&vcpu->virt, NULL, 0);
	}
	/* Relaxed: this vCPU's own, and it is not entered before it asks. */
	atomic_store_explicit(&vcpu->mmu.stale, true, memory_order_relaxed);
	return 0;
}

int64_t hypercall_balloon_give(struct vcpu *vcpu, const uint64_t *arg)
{
	return balloon_give(vcpu->partition, gfn(arg[0]), arg[1]);
}

int64_t hypercall_balloon_take(struct vcpu *vcpu, const uint64_t *arg)
{
	return balloon_take(vcpu->partition, gfn(arg[0]), arg[1]);
}
