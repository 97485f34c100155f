/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU: guest mode with accesses to random places, and the exits between,
 * handled as the hypervisor's loop does it. Each access is held against the truth (world.h),
 * and against the frame table: what a guest reaches is its partition's, at any time.
 */
#include <sched.h>

#include "tests/race/world.h"

/* So often may one access fault although nothing changes and nothing forbids it. */
#define PATIENCE 20000

static uint64_t truth_of(const struct guest *guest, unsigned int view)
{
	uint32_t unit = unit_of(guest->page.v);

	if (unit == NO_UNIT) {
		return FIELD_PREP(TRUTH_KIND, TRUTH_NONE);
	}
	return atomic_load_explicit(&world.truth[view][unit], memory_order_seq_cst);
}

static unsigned int kind_of(uint64_t truth)
{
	return (unsigned int)FIELD_GET(TRUTH_KIND, truth);
}

static bool is_allowed(uint64_t truth, unsigned int access)
{
	unsigned int rights = (unsigned int)(FIELD_GET(TRUTH_SLOT_RIGHTS, truth) &
					     FIELD_GET(TRUTH_VIEW_RIGHTS, truth));

	return kind_of(truth) == TRUTH_MIXED ||
	       (kind_of(truth) == TRUTH_MEMORY && !(access & ~rights));
}

/* True when the truth did not change, so that the result can be judged by it. */
static bool is_known(uint64_t before, uint64_t after)
{
	return before == after && !(before & TRUTH_CHANGING);
}

/* What the guest reached: memory of its own, and what is there by the truth. In guest mode. */
static void check_access(const struct guest *guest, const struct fake_leaf *used, uint64_t before)
{
	uint64_t after = truth_of(guest, guest->view);
	pfn_t frame = fake_frame(used, guest->page);
	struct frame_info info = frame_get(frame);
	pfn_t expected = pfn(FIELD_GET(TRUTH_PFN, before));

	if (info.owner != MACHINE_OWNER || info.state != FRAME_PRIVATE) {
		machine_fail("gfn 0x%llx in view %u reaches pfn 0x%llx of owner %u, state %d",
			     (unsigned long long)guest->page.v, guest->view,
			     (unsigned long long)frame.v, info.owner, (int)info.state);
	}
	if (!is_known(before, after)) {
		return;
	}
	if (unit_of(guest->page.v) >= LOW_PAGES) {
		expected.v += guest->page.v % 512;
	}
	if (!is_allowed(before, guest->access)) {
		machine_fail(
			"gfn 0x%llx in view %u: access %u by a stale translation (truth 0x%llx)",
			(unsigned long long)guest->page.v, guest->view, guest->access,
			(unsigned long long)before);
	}
	if (kind_of(before) == TRUTH_MEMORY && frame.v != expected.v) {
		machine_fail(
			"gfn 0x%llx in view %u is behind pfn 0x%llx instead of 0x%llx (level %u, truth 0x%llx, now 0x%llx)",
			(unsigned long long)guest->page.v, guest->view, (unsigned long long)frame.v,
			(unsigned long long)expected.v, used->level, (unsigned long long)before,
			(unsigned long long)truth_of(guest, guest->view));
	}
}

static void choose(struct guest *guest)
{
	uint64_t dice = choose_below(&guest->seed, 64);

	guest->access = 1u << choose_below(&guest->seed, 3);
	if (dice == 0) {
		guest->page = gfn(LOW_PAGES + choose_below(&guest->seed, 8));
	} else if (dice < 6) {
		guest->page = gfn(BIG_GFN + choose_below(&guest->seed, 8) * 37 * 512 +
				  choose_below(&guest->seed, 4) * 85);
	} else if (dice < 16) {
		guest->page = gfn(choose_below(&guest->seed, LOW_PAGES));
	} else {
		guest->page = gfn((guest->base + choose_below(&guest->seed, 24)) % LOW_PAGES);
	}
}

/* One access in guest mode; false: it faulted. */
static bool access_once(struct guest *guest)
{
	struct fake_leaf used;
	uint64_t before;

	if (!guest->again) {
		choose(guest);
		guest->faults = 0;
	}
	before = truth_of(guest, guest->view);
	guest->fault = fake_access(guest->cpu, guest->page, guest->access, &used);
	count(FIGURE_ACCESSES, 1);
	guest->again = guest->fault != FAKE_DONE;
	if (guest->again) {
		return false;
	}
	if (guest->access & MMU_WRITE) {
		atomic_fetch_add_explicit(machine_word(fake_frame(&used, guest->page)), 1,
					  memory_order_relaxed);
	} else {
		(void)atomic_load_explicit(machine_word(fake_frame(&used, guest->page)),
					   memory_order_relaxed);
	}
	check_access(guest, &used, before);
	return true;
}

/* Guest mode: until a fault, an interruption, or for a while. False: there was no fault. */
static bool run(struct guest *guest)
{
	unsigned int accesses = 1 + (unsigned int)choose_below(&guest->seed, 64);
	bool faulted = false;

	while (accesses-- > 0 && !faulted && !fake_is_interrupted(guest->cpu)) {
		unsigned int view = (unsigned int)choose_below(&guest->seed, 64);

		if (world.vmfunc && view < VIEWS && guest->list[view].v != 0) {
			guest->cpu->root = guest->list[view];
			guest->view = view;
			guest->again = false;
			count(FIGURE_SWITCHES, 1);
		}
		faulted = !access_once(guest);
	}
	return faulted;
}

/* What the MMU must have said, by a truth that did not change meanwhile. */
static bool is_right(const struct guest *guest, enum mmu_result result, uint64_t truth)
{
	bool slot_allows = !(guest->access & ~FIELD_GET(TRUTH_SLOT_RIGHTS, truth));
	bool allowed = is_allowed(truth, guest->access);

	switch (result) {
	case MMU_RETRY:
	case MMU_NO_MEMORY:
		return true;
	case MMU_FIXED:
		return allowed;
	case MMU_MMIO:
		return kind_of(truth) == TRUTH_NONE;
	case MMU_READ_ONLY:
		return kind_of(truth) != TRUTH_NONE && !slot_allows;
	case MMU_ABSENT:
		return kind_of(truth) == TRUTH_MIXED || (kind_of(truth) == TRUTH_ABSENT);
	case MMU_DENIED:
		return kind_of(truth) == TRUTH_MEMORY || kind_of(truth) == TRUTH_MIXED
			       ? slot_allows && !(kind_of(truth) == TRUTH_MEMORY && allowed)
			       : false;
	case MMU_STUCK:
	case MMU_BUGGED:
		return false;
	}
	return false;
}

/* The fault of this exit. In a read section. */
static void handle(struct guest *guest)
{
	unsigned int view = atomic_load_explicit(&guest->cpu->vcpu.view, memory_order_relaxed);
	uint64_t before = truth_of(guest, view);
	enum mmu_result result;
	uint64_t after;

	if (guest->fault == FAKE_MALFORMED) {
		result = mmu_fault_malformed(&guest->cpu->vcpu, gfn_to_gpa(guest->page));
	} else {
		result = mmu_fault(&guest->cpu->vcpu, gfn_to_gpa(guest->page), guest->access);
	}
	after = truth_of(guest, view);
	count(FIGURE_FAULTS, 1);
	count(FIGURE_INSTALLS, result == MMU_FIXED);
	count(FIGURE_RETRIES, result == MMU_RETRY);
	count(FIGURE_NO_MEMORY, result == MMU_NO_MEMORY);
	guest->again = result == MMU_FIXED || result == MMU_RETRY || result == MMU_NO_MEMORY;
	if (is_known(before, after) && !is_right(guest, result, before)) {
		machine_fail("gfn 0x%llx in view %u, access %u: result %d (truth 0x%llx)",
			     (unsigned long long)guest->page.v, view, guest->access, (int)result,
			     (unsigned long long)before);
	}
	if (guest->again && ++guest->faults > PATIENCE) {
		machine_fail("gfn 0x%llx in view %u, access %u: no end of faults (result %d)",
			     (unsigned long long)guest->page.v, view, guest->access, (int)result);
	}
}

/* The hypervisor's own access to guest memory: its pointer holds as long as the section. */
static void use_pointer(struct guest *guest)
{
	bool write = choose_below(&guest->seed, 2) == 0;
	gpa_t address = gfn_to_gpa(gfn(choose_below(&guest->seed, LOW_PAGES)));
	size_t size;
	_Atomic uint64_t *word = mmu_guest_ptr(&world.machine.mmu, address, &size, write);
	struct frame_info info;

	if (!word) {
		return;
	}
	count(FIGURE_POINTERS, 1);
	if (choose_below(&guest->seed, 4) == 0) {
		sched_yield();
	}
	if (write) {
		atomic_fetch_add_explicit(word, 1, memory_order_relaxed);
		mmu_mark_dirty(&world.machine.mmu, address, sizeof(*word));
	} else {
		(void)atomic_load_explicit(word, memory_order_relaxed);
	}
	info = frame_get(hpa_to_pfn(ptr_to_hpa((const void *)word)));
	if (info.owner != MACHINE_OWNER) {
		machine_fail("a pointer to gpa 0x%llx leads to a frame of owner %u",
			     (unsigned long long)address.v, info.owner);
	}
}

/* hv/vcpu.c: vcpu_sync_view(). */
static void sync_view(struct guest *guest)
{
	if (world.vmfunc) {
		(void)!mmu_view_found(&guest->cpu->vcpu, guest->cpu->root);
	}
}

/* hv/vcpu.c: refresh_root(). False: no memory for it now. */
static bool refresh_root(struct guest *guest)
{
	hpa_t root;

	sync_view(guest);
	root = mmu_vcpu_root(&guest->cpu->vcpu);
	if (root.v == 0) {
		atomic_store_explicit(&guest->cpu->vcpu.stale, true, memory_order_relaxed);
		count(FIGURE_NO_MEMORY, 1);
		return false;
	}
	fake_set_root(guest->cpu, root);
	guest->view = atomic_load_explicit(&guest->cpu->vcpu.view, memory_order_relaxed);
	for (unsigned int view = 0; view < VIEWS && world.vmfunc; view++) {
		guest->list[view] = mmu_view_root(&world.machine.mmu, view);
		fake_forget_root(guest->cpu, guest->list[view]);
	}
	return true;
}

/* What happens between two entries: the fault, or something else that asks for an exit. */
static void handle_exit(struct guest *guest, bool faulted)
{
	mmu_read_begin(&guest->cpu->vcpu);
	sync_view(guest);
	if (faulted) {
		handle(guest);
	} else {
		use_pointer(guest);
	}
	mmu_read_end(&guest->cpu->vcpu);
	if (choose_below(&guest->seed, 256) == 0) {
		guest->base = choose_below(&guest->seed, LOW_PAGES);
	}
	if (choose_below(&guest->seed, 64) == 0) {
		(void)!mmu_view_switch(&guest->cpu->vcpu,
				       (unsigned int)choose_below(&guest->seed, VIEWS));
		guest->again = false;
		count(FIGURE_SWITCHES, 1);
	}
}

/* See world.h. As vcpu_run() of hv/vcpu.c has it. */
void guest_step(struct guest *guest)
{
	if (mmu_vcpu_is_stale(&guest->cpu->vcpu) && !refresh_root(guest)) {
		sched_yield();
		return;
	}
	if (fake_enter(guest->cpu)) {
		bool faulted = run(guest);

		fake_leave(guest->cpu);
		handle_exit(guest, faulted);
	}
}
