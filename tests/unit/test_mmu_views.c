/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Views and roots (R1-R5, I6, I14): what a view allows against a model of it, who holds a
 * root and how long it lives, what the iteration promises while the lock is dropped, and that
 * no table of one root is taken for another's.
 */
/* sources: mm/[a-z]*.c lib/bug.c lib/status.c lib/printf.c tests/unit/harness.c */
#include "tests/unit/mmu_threads.h"

#define RAM 0x40000 /* pfn, aligned to 1 GiB */
#define PAGES 0x800
#define FIRST 0x10000 /* gfn, aligned to 2 MiB like RAM: large leaves are possible */
#define DEVICE 0x100

static struct fixture current;
static struct error_text error;

static void start(const struct spte_format *format)
{
	fixture_start(&current, format);
	fixture_give(RAM, PAGES, FIXTURE_OWNER);
	assert_int_equal(fixture_slot(&current, 0, FIRST, PAGES, RAM, 0), 0);
}

static void end(void)
{
	assert_clean(&current);
	fixture_end(&current);
}

static int protect(unsigned int view, uint64_t first, uint64_t count, unsigned int rights)
{
	return mmu_view_protect(&current.mmu, view, gfn(first), count, rights, &error);
}

static void test_a_view_hides_and_protects(void **state)
{
	const struct spte_format *const formats[] = { &ept_format, &npt_format };

	(void)state;
	for (unsigned int f = 0; f < ARRAY_COUNT(formats); f++) {
		struct mmu_rmap_entry entries[8];

		start(formats[f]);
		for (unsigned int view = 0; view < 3; view++) {
			assert_int_equal(fixture_fault_in(&current, view, FIRST + 7, MMU_WRITE),
					 MMU_FIXED);
		}
		assert_int_equal(mmu_rmap_list(&current.mmu, gfn(FIRST), entries, 8), 3);
		assert_int_equal(protect(1, FIRST + 7, 1, MMU_READ), 0);
		assert_int_equal(protect(2, FIRST, PAGES, 0), 0);
		assert_clean(&current);
		assert_int_equal(fixture_fault_in(&current, 0, FIRST + 7, MMU_WRITE), MMU_RETRY);
		assert_int_equal(fixture_walk(&current, 0, FIRST + 7).level, 2);
		assert_int_equal(fixture_fault_in(&current, 1, FIRST + 7, MMU_WRITE), MMU_DENIED);
		assert_int_equal(fixture_fault_in(&current, 1, FIRST + 7, MMU_EXECUTE), MMU_DENIED);
		assert_int_equal(fixture_fault_in(&current, 1, FIRST + 7, MMU_READ), MMU_FIXED);
		assert_int_equal(fixture_walk(&current, 1, FIRST + 7).level, 1);
		assert_int_equal(
			formats[f]->rights((spte_t){ fixture_walk(&current, 1, FIRST + 7).spte }),
			MMU_READ);
		assert_int_equal(fixture_fault_in(&current, 2, FIRST + 7, MMU_READ), MMU_DENIED);
		assert_false(fixture_walk(&current, 2, FIRST + 7).present);
		assert_clean(&current);
		/* A view allows no more than the slot. */
		assert_int_equal(protect(2, FIRST, PAGES, SPTE_RIGHTS_ALL), 0);
		assert_int_equal(mmu_slot_set_flags(&current.mmu, 0, MEMSLOT_READ_ONLY, &error), 0);
		assert_int_equal(fixture_fault_in(&current, 2, FIRST + 7, MMU_WRITE),
				 MMU_READ_ONLY);
		end();
	}
}

/* What each page of the model's range allows, in two views. */
#define MODEL_PAGES 96
static unsigned int model[2][MODEL_PAGES];
static uint64_t random_state;

static uint64_t random_below(uint64_t limit)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (random_state >> 33) % limit;
}

static void model_check(unsigned int view)
{
	for (uint64_t i = 0; i < MODEL_PAGES; i++) {
		unsigned int access = 1u << random_below(3);
		enum mmu_result result = fixture_fault_in(&current, view, FIRST + i, access);
		struct mmu_walk_step step = fixture_walk(&current, view, FIRST + i);
		unsigned int rights = step.leaf ? ept_format.rights((spte_t){ step.spte }) : 0;

		if (result != (access & model[view][i] ? MMU_FIXED : MMU_DENIED) &&
		    !(result == MMU_RETRY && (rights & access))) {
			fail_msg("view %u page %u access %u: %d", view, (unsigned int)i, access,
				 result);
		}
		assert_int_equal(rights & ~model[view][i], 0);
	}
}

/* Ranges laid over each other, split and merged: as a page by page model says. */
static void test_ranges_against_a_model(void **state)
{
	static const unsigned int rights_of[] = { 0, 1, 3, 5, 7 };
	unsigned int full = 0;

	(void)state;
	start(&ept_format);
	random_state = 1;
	for (unsigned int view = 0; view < 2; view++) {
		for (unsigned int i = 0; i < MODEL_PAGES; i++) {
			model[view][i] = SPTE_RIGHTS_ALL;
		}
	}
	assert_int_equal(mmu_view_create(&current.mmu, 1, &error), 0);
	for (unsigned int round = 0; round < 400; round++) {
		unsigned int view = (unsigned int)random_below(2);
		uint64_t first = random_below(MODEL_PAGES);
		uint64_t count = 1 + random_below(MIN(MODEL_PAGES - first, UINT64_C(3)));
		unsigned int rights = rights_of[random_below(ARRAY_COUNT(rights_of))];
		const struct memslots *before = atomic_load(&current.mmu.slots);
		int status = protect(view, FIRST + first, count, rights);

		if (status == -ENOSPC) {
			assert_ptr_equal(atomic_load(&current.mmu.slots), before);
			full++;
			assert_int_equal(protect(view, FIRST, MODEL_PAGES, 3), 0);
			first = 0;
			count = MODEL_PAGES;
			rights = 3;
			status = 0;
		}
		assert_int_equal(status, 0);
		for (uint64_t i = first; i < first + count; i++) {
			model[view][i] = rights;
		}
		model_check(view);
		assert_clean(&current);
	}
	assert_true(full > 0);
	end();
}

static void test_view_requests_are_checked(void **state)
{
	static const struct {
		unsigned int view;
		uint64_t first, count;
		unsigned int rights;
		int status;
	} cases[] = {
		{ 8, 0, 1, 1, -EINVAL },
		{ 3, 0, 1, 1, -ENOENT },
		{ 1, 0, 1, 2, -EINVAL },
		{ 1, 0, 1, 4, -EINVAL },
		{ 1, 0, 1, 8, -EINVAL },
		{ 1, 0, 0, 1, -ERANGE },
		{ 1, UINT64_C(1) << 28, 1, 1, -ERANGE },
		{ 1, 1, UINT64_MAX, 1, -ERANGE },
	};

	(void)state;
	start(&ept_format);
	assert_int_equal(mmu_view_create(&current.mmu, 1, &error), 0);
	assert_int_equal(mmu_view_create(&current.mmu, 1, &error), -EEXIST);
	assert_int_equal(mmu_view_create(&current.mmu, 0, &error), -EEXIST);
	assert_int_equal(mmu_view_create(&current.mmu, 8, &error), -EINVAL);
	for (unsigned int i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct memslots *before = atomic_load(&current.mmu.slots);
		int status =
			protect(cases[i].view, cases[i].first, cases[i].count, cases[i].rights);

		if (status != cases[i].status) {
			fail_msg("case %u: %d", i, status);
		}
		assert_ptr_equal(atomic_load(&current.mmu.slots), before);
	}
	assert_int_equal(mmu_view_destroy(&current.mmu, 0, &error), -EINVAL);
	assert_int_equal(mmu_view_destroy(&current.mmu, 2, &error), -ENOENT);
	assert_int_equal(mmu_view_destroy(&current.mmu, 8, &error), -EINVAL);
	assert_int_equal(mmu_view_switch(&current.vcpu, 2), -ENOENT);
	assert_int_equal(mmu_view_switch(&current.vcpu, 8), -ENOENT);
	assert_int_equal(mmu_view_root(&current.mmu, 2).v, 0);
	assert_int_equal(mmu_view_root(&current.mmu, 99).v, 0);
	assert_int_equal(fixture_fault_in(&current, 1, FIRST, MMU_READ), MMU_FIXED);
	assert_int_equal(mmu_view_destroy(&current.mmu, 1, &error), -EBUSY);
	assert_int_equal(mmu_view_switch(&current.vcpu, 0), 0);
	assert_int_equal(mmu_view_destroy(&current.mmu, 1, &error), 0);
	end();
}

/* A view that comes again has nothing of the one before. */
static void test_a_view_comes_again(void **state)
{
	unsigned int kicks;

	(void)state;
	start(&npt_format);
	assert_int_equal(fixture_fault_in(&current, 4, FIRST, MMU_WRITE), MMU_FIXED);
	assert_int_equal(protect(4, FIRST, 1, 0), 0);
	assert_int_equal(fixture_fault_in(&current, 4, FIRST, MMU_READ), MMU_DENIED);
	assert_int_equal(fixture_fault_in(&current, 0, FIRST, MMU_READ), MMU_FIXED);
	kicks = current.kick_count;
	assert_int_equal(mmu_view_destroy(&current.mmu, 4, &error), 0);
	assert_int_equal(current.kick_count, kicks + 1);
	assert_int_equal(atomic_load(&current.mmu.slots)->range_count, 0);
	assert_clean(&current);
	assert_int_equal(fixture_fault_in(&current, 4, FIRST, MMU_WRITE), MMU_FIXED);
	end();
}

static unsigned int root_count(void)
{
	unsigned int count = 0;

	for (struct list_node *node = current.mmu.roots.next; node != &current.mmu.roots;
	     node = node->next) {
		count++;
	}
	return count;
}

/* R1: the view, each vCPU in it, and nobody else. The last one to leave frees it. */
static void test_references(void **state)
{
	struct mmu_vcpu other = { 0 };
	struct mmu_root *root;
	hpa_t address;

	(void)state;
	start(&ept_format);
	assert_int_equal(mmu_vcpu_init(&other, &current.mmu), 0);
	root = current.mmu.view_root[0];
	assert_int_equal(root->refcount, 1);
	address = mmu_vcpu_root(&current.vcpu);
	assert_int_equal(root->refcount, 2);
	assert_int_equal(mmu_vcpu_root(&other).v, address.v);
	assert_int_equal(mmu_vcpu_root(&other).v, address.v);
	assert_int_equal(root->refcount, 3);
	assert_int_equal(fixture_fault(&current, FIRST, MMU_READ), MMU_FIXED);
	mmu_zap_all(&current.mmu);
	assert_false(root->valid);
	assert_false(root->dying);
	assert_int_equal(root->refcount, 2);
	/* Still in use by two, so the freer leaves it alone. */
	assert_false(mmu_work(&current.mmu, 4096));
	assert_int_equal(root_count(), 1);
	assert_true(mmu_vcpu_is_stale(&current.vcpu) && mmu_vcpu_is_stale(&other));
	/* I6: not entered any more. */
	assert_int_not_equal(mmu_vcpu_root(&current.vcpu).v, address.v);
	assert_int_equal(root->refcount, 1);
	assert_int_equal(root_count(), 2);
	mmu_vcpu_leave(&other);
	assert_true(root->dying);
	assert_int_equal(root_count(), 2);
	assert_clean(&current);
	assert_false(mmu_work(&current.mmu, 4096));
	assert_int_equal(root_count(), 1);
	assert_null(root->table);
	end();
}

/* R5: the caller does nothing that grows with what is mapped, and the freer works in slices. */
static void test_zap_everything(void **state)
{
	unsigned int turns = 0;
	uint64_t zaps;

	(void)state;
	start(&ept_format);
	assert_int_equal(mmu_slot_set_flags(&current.mmu, 0, MEMSLOT_LOG_DIRTY, &error), 0);
	for (uint64_t i = 0; i < PAGES; i++) {
		assert_int_equal(fixture_fault_in(&current, i & 1, FIRST + i, MMU_READ), MMU_FIXED);
	}
	zaps = atomic_load(&current.mmu.stats.zaps);
	current.kick_count = 0;
	mmu_zap_all(&current.mmu);
	assert_int_equal(atomic_load(&current.mmu.stats.zaps), zaps);
	assert_int_equal(current.kick_count, 1);
	assert_int_equal(current.mmu.rmap.entry_count, PAGES);
	assert_int_equal(fixture_fault(&current, FIRST, MMU_READ), MMU_FIXED);
	assert_clean(&current);
	while (mmu_work(&current.mmu, SPTE_PER_TABLE)) {
		assert_true(atomic_load(&current.mmu.stats.zaps) - zaps <= 2 * SPTE_PER_TABLE);
		zaps = atomic_load(&current.mmu.stats.zaps);
		assert_clean(&current);
		turns++;
	}
	assert_in_range(turns, PAGES / SPTE_PER_TABLE - 1, 4 * PAGES / SPTE_PER_TABLE);
	assert_int_equal(current.mmu.rmap.entry_count, 1);
	assert_int_equal(root_count(), 1);
	end();
}

/* I6: a root is put once too often, or taken when nobody has it. */
static void test_references_are_checked(void **state)
{
	struct mmu_held held;
	struct mmu_root *root;

	(void)state;
	start(&ept_format);
	held = mmu_lock(&current.mmu);
	root = current.mmu.view_root[0];
	root->refcount = 0;
	assert_int_equal(root_put(held, root), -EIO);
	mmu_unlock(held);
	assert_int_equal(fixture_rule(&current), RULE_I6);
	fixture_end(&current);
	start(&ept_format);
	held = mmu_lock(&current.mmu);
	root = current.mmu.view_root[0];
	root->refcount = 0;
	root_get(held, root);
	assert_int_equal(root->refcount, 0);
	mmu_unlock(held);
	assert_int_equal(fixture_rule(&current), RULE_I6);
	fixture_end(&current);
}

/* vCPUs that sleep in old roots use up the structures; who asks gives its own back first. */
static void test_roots_run_out(void **state)
{
	static struct mmu_vcpu sleeper[MMU_ROOTS_MAX];

	(void)state;
	start(&npt_format);
	for (unsigned int i = 0; i < MMU_ROOTS_MAX; i++) {
		sleeper[i] = (struct mmu_vcpu){ 0 };
		assert_int_equal(mmu_vcpu_init(&sleeper[i], &current.mmu), 0);
		mmu_zap_all(&current.mmu);
		assert_int_equal(fixture_fault_of(&sleeper[i], FIRST, MMU_READ), MMU_FIXED);
	}
	mmu_zap_all(&current.mmu);
	assert_int_equal(root_count(), MMU_ROOTS_MAX);
	assert_int_equal(mmu_vcpu_root(&current.vcpu).v, 0);
	assert_int_equal(fixture_rule(&current), RULE_NONE);
	assert_int_not_equal(mmu_vcpu_root(&sleeper[3]).v, 0);
	assert_int_not_equal(mmu_vcpu_root(&current.vcpu).v, 0);
	for (unsigned int i = 0; i < MMU_ROOTS_MAX; i++) {
		mmu_vcpu_leave(&sleeper[i]);
	}
	end();
}

/* VMFUNC: the CPU has switched by itself, and the reference follows. */
static void test_view_is_found(void **state)
{
	struct mmu_vcpu other = { 0 };
	hpa_t root;

	(void)state;
	start(&ept_format);
	assert_int_equal(mmu_view_create(&current.mmu, 3, &error), 0);
	assert_int_not_equal(mmu_vcpu_root(&current.vcpu).v, 0);
	root = mmu_view_root(&current.mmu, 3);
	assert_int_not_equal(root.v, 0);
	assert_int_equal(mmu_view_root(&current.mmu, 3).v, root.v);
	assert_int_equal(mmu_view_found(&current.vcpu, root), 0);
	assert_int_equal(atomic_load(&current.vcpu.view), 3);
	assert_ptr_equal(current.vcpu.root, current.mmu.view_root[3]);
	assert_int_equal(current.mmu.view_root[3]->refcount, 2);
	assert_int_equal(current.mmu.view_root[0]->refcount, 1);
	assert_int_equal(fixture_fault(&current, FIRST, MMU_READ), MMU_FIXED);
	assert_true(fixture_walk(&current, 3, FIRST).leaf);
	assert_false(fixture_walk(&current, 0, FIRST).present);
	/* It is in a root that is invalid by now: it may stay, but must ask. */
	mmu_zap_all(&current.mmu);
	assert_int_equal(mmu_view_found(&current.vcpu, root), 0);
	assert_true(mmu_vcpu_is_stale(&current.vcpu));
	assert_int_not_equal(mmu_vcpu_root(&current.vcpu).v, root.v);
	/* No root of any view. */
	assert_int_equal(mmu_view_found(&current.vcpu, hpa(0)), -ENOENT);
	assert_true(mmu_vcpu_is_stale(&current.vcpu));
	assert_int_equal(atomic_load(&current.vcpu.view), 3);
	/* One that another vCPU was left behind in: its view, but not that root (I6). */
	assert_int_equal(mmu_vcpu_init(&other, &current.mmu), 0);
	root = mmu_vcpu_root(&other);
	mmu_zap_all(&current.mmu);
	assert_int_not_equal(mmu_vcpu_root(&current.vcpu).v, 0);
	assert_int_equal(mmu_view_found(&current.vcpu, root), -ENOENT);
	assert_true(mmu_vcpu_is_stale(&current.vcpu));
	assert_int_equal(atomic_load(&current.vcpu.view), 0);
	mmu_vcpu_leave(&other);
	end();
}

static void make_roots(unsigned int count)
{
	for (unsigned int view = 0; view < count; view++) {
		enum mmu_result result = fixture_fault_in(&current, view, FIRST, MMU_READ);

		assert_true(result == MMU_FIXED || (view == 0 && result == MMU_RETRY));
	}
	assert_int_equal(mmu_view_switch(&current.vcpu, 0), 0);
	assert_int_not_equal(mmu_vcpu_root(&current.vcpu).v, 0);
}

static void work(void)
{
	while (mmu_work(&current.mmu, 4096)) {
	}
}

/* What the body of a loop does with the lock dropped, when it stands on the root of a view. */
static void change_roots_at(unsigned int view)
{
	switch (view) {
	case 1:
		/* It is the lazy freer's already. The next one goes, a new one comes at the tail.
		 */
		assert_int_equal(mmu_view_destroy(&current.mmu, 2, &error), 0);
		assert_int_equal(fixture_fault_in(&current, 6, FIRST, MMU_READ), MMU_FIXED);
		work();
		break;
	case 3:
		/* Its view goes. */
		assert_int_equal(mmu_view_destroy(&current.mmu, 3, &error), 0);
		work();
		break;
	default:
		break;
	}
}

/* R2, with the lock dropped at each step. */
static void test_iteration_promises(void **state)
{
	static const unsigned int expected[MMU_VIEWS_MAX] = { 1, 1, 0, 1, 0, 0, 1, 0 };
	unsigned int visits[MMU_VIEWS_MAX] = { 0 };
	struct mmu_root *root = NULL;
	struct mmu_held held;

	(void)state;
	start(&ept_format);
	make_roots(4);
	assert_int_equal(mmu_view_destroy(&current.mmu, 1, &error), 0);
	held = mmu_lock(&current.mmu);
	while ((root = root_next(held, root)) != NULL) {
		struct table *table = root->table;
		unsigned int view = root->view;

		visits[view]++;
		mmu_unlock(held);
		change_roots_at(view);
		/* It is still what it was. */
		assert_ptr_equal(root->table, table);
		assert_int_equal(root->view, view);
		assert_int_equal(table->state, TABLE_LINKED);
		assert_true(table_count(table) > 0);
		assert_int_equal(root->valid, view != 1 && view != 3);
		held = mmu_lock(&current.mmu);
	}
	mmu_unlock(held);
	assert_memory_equal(visits, expected, sizeof(visits));
	work();
	assert_int_equal(root_count(), 2);
	assert_int_equal(current.mmu.view_root[0]->refcount, 1);
	assert_int_equal(current.mmu.view_root[6]->refcount, 2);
	end();
}

/* R1: after an early end and its root_put() nothing is held. */
static void test_early_exit(void **state)
{
	struct mmu_root *root;
	struct mmu_held held;

	(void)state;
	start(&ept_format);
	make_roots(3);
	held = mmu_lock(&current.mmu);
	root = root_next(held, root_next(held, NULL));
	assert_int_equal(root->view, 1);
	assert_int_equal(root->refcount, 2);
	assert_int_equal(current.mmu.view_root[0]->refcount, 2);
	assert_int_equal(root_put(held, root), 0);
	assert_int_equal(root->refcount, 1);
	mmu_unlock(held);
	end();
}

/* R3. */
static void test_iteration_in_one_view(void **state)
{
	struct mmu_root *old;
	struct mmu_root *root;
	struct mmu_held held;

	(void)state;
	start(&ept_format);
	make_roots(3);
	assert_int_equal(mmu_view_switch(&current.vcpu, 1), 0);
	assert_int_not_equal(mmu_vcpu_root(&current.vcpu).v, 0);
	old = current.vcpu.root;
	mmu_zap_all(&current.mmu);
	assert_int_not_equal(mmu_view_root(&current.mmu, 1).v, 0);
	assert_int_not_equal(mmu_view_root(&current.mmu, 2).v, 0);
	held = mmu_lock(&current.mmu);
	root = root_next_in(held, NULL, 1, false);
	assert_ptr_equal(root, old);
	root = root_next_in(held, root, 1, false);
	assert_ptr_equal(root, current.mmu.view_root[1]);
	assert_null(root_next_in(held, root, 1, false));
	root = root_next_in(held, NULL, 1, true);
	assert_ptr_equal(root, current.mmu.view_root[1]);
	assert_null(root_next_in(held, root, 1, true));
	assert_null(root_next_in(held, NULL, 5, false));
	mmu_unlock(held);
	work();
	end();
}

/* The vCPU's last table is of another view, of a dead root, or a page that is something else. */
static void test_last_table_is_compared(void **state)
{
	(void)state;
	start(&ept_format);
	assert_int_equal(protect(0, FIRST, 1, MMU_READ), 0);
	assert_int_equal(fixture_fault(&current, FIRST + 1, MMU_READ), MMU_FIXED);
	assert_int_equal(fixture_fault(&current, FIRST + 2, MMU_READ), MMU_FIXED);
	assert_non_null(current.vcpu.last_table);
	/* Another view. */
	assert_int_equal(mmu_view_create(&current.mmu, 1, &error), 0);
	assert_int_equal(protect(1, FIRST, 1, 0), 0);
	assert_int_equal(fixture_fault_in(&current, 1, FIRST + 3, MMU_READ), MMU_FIXED);
	assert_false(fixture_walk(&current, 0, FIRST + 3).present);
	assert_true(fixture_walk(&current, 1, FIRST + 3).present);
	assert_clean(&current);
	/* The same view, another root. */
	assert_int_equal(fixture_fault_in(&current, 0, FIRST + 4, MMU_READ), MMU_FIXED);
	assert_int_equal(fixture_fault(&current, FIRST + 5, MMU_READ), MMU_FIXED);
	mmu_zap_all(&current.mmu);
	assert_int_equal(fixture_fault(&current, FIRST + 6, MMU_READ), MMU_FIXED);
	assert_true(fixture_walk(&current, 0, FIRST + 6).present);
	assert_false(fixture_walk(&current, 0, FIRST + 4).present);
	assert_clean(&current);
	/* Its page has gone back, and is another table now. */
	assert_int_equal(fixture_fault(&current, FIRST + 7, MMU_READ), MMU_FIXED);
	mmu_zap_all(&current.mmu);
	assert_int_not_equal(mmu_vcpu_root(&current.vcpu).v, 0);
	work();
	for (uint64_t i = 0; i < 64; i++) {
		assert_int_equal(fixture_fault(&current, DEVICE + i * SPTE_PER_TABLE, MMU_READ),
				 i * SPTE_PER_TABLE + DEVICE - FIRST < PAGES ? MMU_FIXED
									     : MMU_MMIO);
	}
	assert_int_equal(fixture_fault(&current, FIRST + 8, MMU_READ), MMU_FIXED);
	assert_true(fixture_walk(&current, 0, FIRST + 8).present);
	end();
}

/* A chain of SPTEs with eight views, taken out view by view and page by page. */
static void test_chains_are_real(void **state)
{
	struct mmu_rmap_entry entries[MMU_VIEWS_MAX];

	(void)state;
	start(&npt_format);
	make_roots(MMU_VIEWS_MAX);
	assert_int_equal(mmu_rmap_list(&current.mmu, gfn(FIRST), entries, MMU_VIEWS_MAX), 8);
	assert_true(current.mmu.rmap.line_count > 0);
	assert_clean(&current);
	for (unsigned int view = 1; view < MMU_VIEWS_MAX; view++) {
		assert_int_equal(mmu_view_destroy(&current.mmu, view, &error), 0);
		work();
		assert_int_equal(mmu_rmap_list(&current.mmu, gfn(FIRST), entries, 8),
				 MMU_VIEWS_MAX - view);
		assert_clean(&current);
	}
	assert_int_equal(current.mmu.rmap.line_count, 0);
	make_roots(MMU_VIEWS_MAX);
	assert_int_equal(fixture_delete(&current, 0), 0);
	assert_int_equal(current.mmu.rmap.entry_count, 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_view_hides_and_protects),
		cmocka_unit_test(test_ranges_against_a_model),
		cmocka_unit_test(test_view_requests_are_checked),
		cmocka_unit_test(test_a_view_comes_again),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_zap_everything),
		cmocka_unit_test(test_references_are_checked),
		cmocka_unit_test(test_roots_run_out),
		cmocka_unit_test(test_view_is_found),
		cmocka_unit_test(test_iteration_promises),
		cmocka_unit_test(test_early_exit),
		cmocka_unit_test(test_iteration_in_one_view),
		cmocka_unit_test(test_last_table_is_compared),
		cmocka_unit_test(test_chains_are_real),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
