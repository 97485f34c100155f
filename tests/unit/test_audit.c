/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The audit, whole and in slices. One machine with all there is: three views with two vCPUs, a
 * root on its way out, leaves of both sizes, chains, a log, pages elsewhere, MMIO SPTEs. Each
 * case damages one thing and names the words in which each way of looking must report it.
 */
/* sources: mm/[a-z]*.c lib/bug.c lib/status.c lib/printf.c tests/unit/harness.c */
#include <string.h>

#include "mm/prove.h"
#include "tests/unit/mmu_fixture.h"

#define RAM 0x40000 /* pfn, aligned to 1 GiB */
#define SMALL 0x401 /* gfns of the slots; not as RAM modulo 2 MiB: 4 KiB leaves */
#define LARGE 0x1000
#define READ_ONLY 0x2001
#define SPARSE 0x3001
#define LOGGED 0x4001
#define DEVICE 0x6123

static const struct spte_format *const formats[] = { &ept_format, &npt_format };

static struct fixture current;
static struct mmu_vcpu other; /* in view 1 */

static void map(struct mmu_vcpu *vcpu, uint64_t frame, unsigned int access)
{
	assert_int_equal(fixture_fault_of(vcpu, frame, access), MMU_FIXED);
}

static void start_slots(void)
{
	fixture_give(RAM, 0x8000, FIXTURE_OWNER);
	fixture_give(RAM + 0x8000, 0x10, FIXTURE_OWNER + 1);
	assert_int_equal(fixture_slot(&current, 0, SMALL, 0x1ff, RAM, 0), 0);
	assert_int_equal(fixture_slot(&current, 1, LARGE, 0x1000, RAM + 0x1000, 0), 0);
	assert_int_equal(
		fixture_slot(&current, 2, READ_ONLY, 0x10, RAM + 0x2000, MEMSLOT_READ_ONLY), 0);
	assert_int_equal(fixture_slot(&current, 3, SPARSE, 0x400, RAM + 0x3000, MEMSLOT_ABSENT), 0);
	assert_int_equal(fixture_slot(&current, 4, LOGGED, 0x10, RAM + 0x4000, MEMSLOT_LOG_DIRTY),
			 0);
	for (uint64_t i = 0; i < 4; i++) {
		assert_int_equal(mmu_page_insert(&current.mmu, gfn(SPARSE + i),
						 i < 2 ? PFN_LINEAR : pfn(RAM + 0x5000 + i)),
				 0);
	}
}

static void map_all(struct mmu_vcpu *vcpu)
{
	map(vcpu, SMALL, MMU_WRITE);
	map(vcpu, SMALL + 1, MMU_READ);
	map(vcpu, LARGE, MMU_WRITE);
	map(vcpu, LARGE + 0x200, MMU_WRITE);
	map(vcpu, READ_ONLY, MMU_READ);
	map(vcpu, SPARSE, MMU_WRITE);
	map(vcpu, SPARSE + 2, MMU_WRITE);
	map(vcpu, LOGGED, MMU_READ);
	map(vcpu, LOGGED + 1, MMU_WRITE);
}

static void start(const struct spte_format *format)
{
	struct error_text error;

	other = (struct mmu_vcpu){ 0 };
	fixture_start(&current, format);
	start_slots();
	assert_int_equal(mmu_vcpu_init(&other, &current.mmu), 0);
	map_all(&current.vcpu);
	mmu_zap_all(&current.mmu); /* what was mapped is on its way out, and stays for now */
	assert_int_equal(mmu_view_create(&current.mmu, 1, &error), 0);
	assert_int_equal(mmu_view_create(&current.mmu, 2, &error), 0);
	assert_int_equal(mmu_view_switch(&other, 1), 0);
	assert_int_equal(mmu_view_protect(&current.mmu, 1, gfn(SMALL + 8), 8, MMU_READ, &error), 0);
	assert_int_equal(
		mmu_view_protect(&current.mmu, 1, gfn(LARGE + 0x400), 0x200, MMU_READ, &error), 0);
	map_all(&current.vcpu);
	map_all(&other);
	map(&other, SMALL + 9, MMU_READ);
	map(&other, LARGE + 0x400, MMU_READ);
	assert_int_equal(fixture_fault(&current, DEVICE, MMU_READ), MMU_MMIO);
	assert_clean(&current);
}

/* --- places to damage --- */

static struct memslots *slots(void)
{
	return current.mmu.slots;
}

static struct memslot *slot(unsigned int id)
{
	return &slots()->slot[slots()->position[id] - 1];
}

static struct table *table_over(unsigned int view, uint64_t frame)
{
	struct mmu_walk_step step = fixture_walk(&current, view, frame);

	return table_of(&current.mmu, hpa_to_pfn(step.sptep));
}

static void damage(unsigned int view, uint64_t frame, uint64_t value)
{
	struct mmu_walk_step step = fixture_walk(&current, view, frame);

	*(uint64_t *)hpa_to_ptr(step.sptep) = value;
}

static rmap_word_t *head_of(uint64_t frame)
{
	struct rmap_path path;

	assert_int_equal(rmap_find(&current.mmu.rmap, memslot_search(slots(), gfn(frame)),
				   gfn(frame), 1, &path),
			 RMAP_OK);
	assert_non_null(path.head);
	return path.head;
}

static struct rmap_line *line_of(uint64_t frame)
{
	assert_true(*head_of(frame) & RMAP_CHAIN);
	return (struct rmap_line *)(uintptr_t)(*head_of(frame) & ~RMAP_CHAIN);
}

/* The word of a page of SPARSE. */
static uint64_t *backing_word(uint64_t page)
{
	uint64_t key = page + (RAM + 0x3000) % 0x40000;
	uint64_t *node = (uint64_t *)(uintptr_t)(current.mmu.backing[3].root & PAGE_MASK);

	node = (uint64_t *)(uintptr_t)(node[key >> 18] & PAGE_MASK);
	node = (uint64_t *)(uintptr_t)(node[(key >> 9) % 512] & PAGE_MASK);
	return &node[key % 512];
}

static struct mmu_root *dying_root(void)
{
	struct mmu_root *root = list_entry(current.mmu.roots.next, struct mmu_root, node);

	assert_true(root->dying);
	return root;
}

static void give_away(uint64_t frame)
{
	struct frame_info ours = { .owner = FIXTURE_OWNER, .state = FRAME_PRIVATE };
	struct frame_info theirs = { .owner = FIXTURE_OWNER + 1, .state = FRAME_PRIVATE };

	assert_true(frame_change(pfn(frame), ours, theirs));
}

/* --- damage --- */

static void frozen(void)
{
	damage(0, SMALL, SPTE_FROZEN);
}

static void reserved(void)
{
	damage(0, SMALL, fixture_walk(&current, 0, SMALL).spte | BIT(45));
}

static void foreign_page(void)
{
	give_away(RAM);
}

static void foreign_under_large(void)
{
	give_away(RAM + 0x1000 + 0x155);
}

static void granted_for_less(void)
{
	struct frame_info theirs = { .owner = FIXTURE_OWNER + 1, .state = FRAME_PRIVATE };

	give_away(RAM);
	assert_true(frames_all(pfn(RAM), 1, theirs));
	assert_int_equal(frames_grant(pfn(RAM), 1, FIXTURE_OWNER + 1, FIXTURE_OWNER, SPTE_READ), 0);
}

static void slot_gone(void)
{
	slots()->slot[0].gfn.v += 0x400000;
}

static void other_slot_id(void)
{
	damage(0, SMALL, fixture_walk(&current, 0, SMALL).spte ^ FIELD_PREP(SPTE_SLOT, 5));
}

static void slot_shorter(void)
{
	slot(1)->page_count = 0x100;
}

static void leaf_shifted(void)
{
	damage(0, LARGE, fixture_walk(&current, 0, LARGE).spte + PAGE_SIZE * 2);
}

/* By one page: to NPT that bit is one of the memory type, to EPT it is reserved. */
static void leaf_misaligned(void)
{
	damage(0, LARGE, fixture_walk(&current, 0, LARGE).spte + PAGE_SIZE);
}

static void leaf_elsewhere(void)
{
	damage(0, SMALL, fixture_walk(&current, 0, SMALL).spte + PAGE_SIZE);
}

static void leaf_at_a_removed_page(void)
{
	*backing_word(2) = BACKING_ABSENT;
}

static void slot_read_only(void)
{
	slot(0)->flags |= (uint32_t)MEMSLOT_READ_ONLY;
}

static void page_clean(void)
{
	(void)dirty_take(&current.mmu.dirty[4], 0, true);
}

static void view_narrower(void)
{
	slots()->range[0].rights = 0;
}

static void rmap_forgets(void)
{
	*head_of(LOGGED) = *head_of(READ_ONLY);
}

static void rmap_doubles(void)
{
	line_of(SMALL)->sptep[1] = line_of(SMALL)->sptep[0];
}

static void table_of_another_role(void)
{
	table_over(0, SMALL)->role ^= (uint32_t)FIELD_PREP(ROLE_VIEW, 3);
}

static void table_without_a_role(void)
{
	table_over(0, SMALL)->role |= (uint32_t)ROLE_LEVEL;
}

/* In a second entry of its root. */
static void table_linked_twice(void)
{
	uint64_t *entries = hpa_to_ptr(mmu_view_root(&current.mmu, 0));

	entries[5] = entries[0];
}

static void table_with_a_wrong_parent(void)
{
	table_over(0, SMALL)->parent.v += sizeof(spte_t);
}

static void table_elsewhere(void)
{
	table_over(0, SMALL)->gfn.v += 0x200;
}

static void table_retired(void)
{
	table_over(0, SMALL)->state = TABLE_RETIRED;
}

static void table_from_the_future(void)
{
	table_over(0, SMALL)->generation += 100;
}

static void table_unlinked(void)
{
	struct mmu_walk walk;

	mmu_walk(&current.mmu, 0, gpa(SMALL * PAGE_SIZE), &walk);
	*(uint64_t *)hpa_to_ptr(walk.steps[2].sptep) = 0;
	table_of(&current.mmu, hpa_to_pfn(walk.steps[2].sptep))->count--;
}

static void count_off(void)
{
	table_over(0, SMALL)->count++;
}

static void mmio_elsewhere(void)
{
	damage(0, DEVICE, fixture_walk(&current, 0, DEVICE).spte ^ FIELD_PREP(SPTE_MMIO_GFN, 1));
}

static void mmio_in_a_slot(void)
{
	slot(4)->gfn.v = DEVICE - 3;
}

static void head_locked(void)
{
	*head_of(SMALL) |= RMAP_LOCKED;
}

static void chain_with_a_hole(void)
{
	line_of(SMALL)->sptep[5] = line_of(SMALL)->sptep[0];
}

static void chain_ring(void)
{
	line_of(SMALL)->next = line_of(SMALL);
}

static void lines_miscounted(void)
{
	current.mmu.rmap.line_count++;
}

static void entries_miscounted(void)
{
	current.mmu.rmap.entry_count++;
}

static void node_miscounted(void)
{
	current.mmu.rmap.tree[0][0].root++;
}

static void node_outside(void)
{
	current.mmu.rmap.tree[0][0].root = 0xfffffff001;
}

static void rmap_of_no_slot(void)
{
	current.mmu.rmap.tree[9][1] = current.mmu.rmap.tree[1][1];
}

static void entry_outside(void)
{
	*head_of(LOGGED) = 0xfffffff000;
}

static void entry_without_a_leaf(void)
{
	*head_of(LOGGED) = fixture_walk(&current, 0, LOGGED + 5).sptep.v;
}

static void entry_of_another_gfn(void)
{
	*head_of(SMALL) = (uintptr_t)line_of(SMALL + 1) | RMAP_CHAIN;
}

static void backing_outside(void)
{
	current.mmu.backing[3].root = 0xfffffff000;
}

/* The link to the next node of words, which is not there yet. */
static void backing_node_outside(void)
{
	uint64_t *node = (uint64_t *)(uintptr_t)(current.mmu.backing[3].root & PAGE_MASK);

	node = (uint64_t *)(uintptr_t)(node[0] & PAGE_MASK);
	node[(RAM + 0x3000) % 0x40000 / 512 + 1] = 0xfffffff000;
}

static void backing_of_no_kind(void)
{
	*backing_word(0x99) = 7;
}

static void backing_with_a_frame_too_many(void)
{
	*backing_word(0x99) = BACKING_ABSENT | RAM << PAGE_SHIFT;
}

static void backing_miscounted(void)
{
	*backing_word(0x99) = BACKING_LINEAR;
}

static void backing_lost(void)
{
	give_away(RAM + 0x5003); /* not mapped */
}

static void backing_of_no_slot(void)
{
	current.mmu.backing[9].root = current.mmu.backing[3].root;
}

static void root_without_reference(void)
{
	dying_root()->refcount = 0;
}

static void root_put_too_often(void)
{
	current.mmu.view_root[1]->refcount--;
}

static void root_got_too_often(void)
{
	current.mmu.view_root[1]->refcount++;
}

static void root_came_back(void)
{
	dying_root()->valid = true;
}

static void root_of_another_view(void)
{
	current.mmu.view_root[1]->view = 2;
}

static void root_of_another_role(void)
{
	dying_root()->table->role ^= (uint32_t)FIELD_PREP(ROLE_ROOT, 8);
}

static void root_not_on_the_list(void)
{
	list_remove(&dying_root()->node);
}

static void root_list_wild(void)
{
	current.mmu.roots.next = (struct list_node *)0x1000;
}

static void view_with_a_dead_root(void)
{
	current.mmu.view_root[1]->valid = false;
}

static void view_gone(void)
{
	current.mmu.views &= ~(UINT32_C(1) << 1);
}

static void vcpu_astray(void)
{
	other.root = &current.mmu.root_store[MMU_ROOTS_MAX - 1];
}

static void vcpu_in_no_view(void)
{
	current.vcpu.view = 6;
}

static void too_many_slots(void)
{
	slots()->count = MEMSLOTS_MAX + 1;
}

static void slots_in_disorder(void)
{
	slots()->position[2] = 200;
}

static void slot_of_no_id(void)
{
	slot(0)->id = MEMSLOTS_MAX;
}

static void slot_marked(void)
{
	slot(0)->flags |= (uint32_t)MEMSLOT_INVALID;
}

static void slot_with_other_leaves(void)
{
	slot(0)->leaf[2].v |= FIELD_PREP(SPTE_SLOT, 1);
}

static void slot_with_wide_large_range(void)
{
	slot(1)->large[0].count += 0x200;
}

static void slot_beyond_the_end(void)
{
	slot(2)->pfn.v = UINT64_C(1) << 40;
}

static void log_too_short(void)
{
	current.mmu.dirty[4].page_count--;
}

static void log_outside(void)
{
	current.mmu.dirty[4].map = (_Atomic uint64_t **)(uintptr_t)0x1000;
}

static void log_page_outside(void)
{
	current.mmu.dirty[4].map[0] = (_Atomic uint64_t *)(uintptr_t)0x1000;
}

static void range_of_no_view(void)
{
	slots()->limited_views = 0;
}

static void ranges_in_disorder(void)
{
	slots()->range[0].page_count = 0x10000;
}

static void flush_forgotten(void)
{
	current.mmu.flush_pending = true;
}

static void retired_forgotten(void)
{
	current.mmu.retired_tables = 7;
}

static void pool_refused(void)
{
	pool_free_page(&current.pool, NULL);
}

static void tables_miscounted(void)
{
	current.mmu.stats.tables++;
}

/* Words of the whole audit, and of one in slices; NULL: not to be seen that way. */
static const struct {
	void (*damage)(void);
	enum rule rule;
	const char *whole;
	const char *sliced;
	const struct spte_format *only; /* NULL: both */
} cases[] = {
#define BOTH(damage, rule, text)               \
	{                                      \
		damage, rule, text, text, NULL \
	}
	BOTH(frozen, RULE_I3, "an SPTE is frozen and nobody works on it"),
	BOTH(reserved, RULE_I3, "an SPTE has a reserved bit"),
	BOTH(foreign_page, RULE_I4, "a leaf maps a frame that is not the partition's"),
	BOTH(foreign_under_large, RULE_I4, "a leaf maps a frame that is not the partition's"),
	BOTH(granted_for_less, RULE_I4, "a leaf maps a frame that is not the partition's"),
	BOTH(slot_gone, RULE_I1, "a leaf outlived its slot"),
	BOTH(other_slot_id, RULE_I13, "a leaf carries the id of another slot"),
	BOTH(slot_shorter, RULE_I12, "a leaf reaches out of its slot"),
	{ leaf_misaligned, RULE_I12, "a large leaf whose gfn or pfn is not aligned",
	  "a large leaf whose gfn or pfn is not aligned", &npt_format },
	BOTH(leaf_shifted, RULE_I3, "an SPTE has a reserved bit"),
	BOTH(leaf_elsewhere, RULE_I2, "a leaf does not map the slot's frame"),
	BOTH(leaf_elsewhere, RULE_I2, "an rmap entry points at a leaf of another pfn"),
	BOTH(leaf_at_a_removed_page, RULE_I2, "a leaf does not map the slot's frame"),
	BOTH(slot_read_only, RULE_I11, "a writable SPTE in a read-only slot"),
	BOTH(page_clean, RULE_I11, "a writable SPTE over a page that is clean in the log"),
	BOTH(view_narrower, RULE_I11, "an SPTE with more rights than its view allows"),
	BOTH(rmap_forgets, RULE_I1, "a leaf is not in its slot's rmap"),
	BOTH(rmap_doubles, RULE_I1, "a leaf is in its slot's rmap more than once"),
	BOTH(table_of_another_role, RULE_I14, "a table of another role is linked"),
	{ table_without_a_role, RULE_I14, "a table of another role is linked",
	  "a live table has no role", NULL },
	{ table_linked_twice, RULE_I14, "a table is linked twice",
	  "a table does not know the SPTE that links it", NULL },
	{ table_with_a_wrong_parent, RULE_I13, "a table does not know the SPTE that links it",
	  "a live table that no table above it links", NULL },
	BOTH(table_elsewhere, RULE_I13, "a table of another gfn is linked"),
	BOTH(table_retired, RULE_I14, "an SPTE points at something that is not a live table"),
	BOTH(table_from_the_future, RULE_I13, "a table from a generation that is yet to come"),
	{ table_unlinked, RULE_I5, "a live table that no root leads to",
	  "a live table that no table above it links", NULL },
	BOTH(count_off, RULE_I5, "a table's count is not the number of its entries"),
	BOTH(mmio_elsewhere, RULE_I8, "an MMIO SPTE of another gfn"),
	BOTH(mmio_in_a_slot, RULE_I8, "a current MMIO SPTE in a memslot's range"),
	BOTH(head_locked, RULE_I2, "an rmap head is locked and nobody adds to it"),
	BOTH(chain_with_a_hole, RULE_I2, "an rmap chain has a hole"),
	BOTH(chain_ring, RULE_I2, "an rmap chain is damaged"),
	{ lines_miscounted, RULE_I2, "the number of lines in chains is not what was counted", NULL,
	  NULL },
	{ entries_miscounted, RULE_I1, "the number of rmap entries is not what was counted", NULL,
	  NULL },
	BOTH(node_miscounted, RULE_I2, "an rmap node's count is not the number of its words"),
	BOTH(node_outside, RULE_I2, "rmap storage leads out of the pool"),
	BOTH(node_outside, RULE_I2, "a leaf's rmap leads out of the pool"),
	BOTH(rmap_of_no_slot, RULE_I2, "an rmap without a slot"),
	BOTH(entry_outside, RULE_I2,
	     "an rmap entry points at something that is not in a live table"),
	BOTH(entry_without_a_leaf, RULE_I2,
	     "an rmap entry points at an SPTE that is no leaf of its level"),
	BOTH(entry_of_another_gfn, RULE_I2, "an rmap entry points at a leaf of another gfn"),
	{ backing_outside, RULE_I2, "a leaf does not map the slot's frame",
	  "the backing of a slot leads out of the pool", NULL },
	BOTH(backing_node_outside, RULE_I2, "a node of a slot's backing is not in the pool"),
	BOTH(backing_of_no_kind, RULE_I2, "a page's backing is of no kind"),
	BOTH(backing_with_a_frame_too_many, RULE_I2, "a page's backing is of no kind"),
	BOTH(backing_miscounted, RULE_I12, "the number of pages elsewhere is not what was counted"),
	BOTH(backing_lost, RULE_I4, "a page's frame is not the partition's"),
	BOTH(backing_of_no_slot, RULE_I13, "pages without a slot"),
	BOTH(root_without_reference, RULE_I6, "a root on the list has no reference"),
	BOTH(root_put_too_often, RULE_I6, "a root has more holders than references"),
	BOTH(root_got_too_often, RULE_R1, "a root has a reference that nobody holds"),
	BOTH(root_came_back, RULE_I6, "a valid root that is not its view's"),
	BOTH(root_of_another_view, RULE_I14, "a root's table is not a root's table"),
	BOTH(root_of_another_role, RULE_I14, "a root's table is another root's"),
	BOTH(root_not_on_the_list, RULE_I6, "a root in use is not on the list"),
	BOTH(root_list_wild, RULE_I6, "the list of roots is damaged"),
	BOTH(view_with_a_dead_root, RULE_I6, "a view's root is not a valid one of its own"),
	BOTH(view_gone, RULE_I6, "a view's root is not a valid one of its own"),
	BOTH(vcpu_astray, RULE_I6, "a vCPU is in a root that is not on the list"),
	BOTH(vcpu_in_no_view, RULE_I6, "a vCPU is in a view that does not exist"),
	BOTH(too_many_slots, RULE_I13, "the array of slots is damaged"),
	BOTH(slots_in_disorder, RULE_I13, "the slots are not in order"),
	BOTH(slot_of_no_id, RULE_I13, "the slots are not in order"),
	BOTH(slot_marked, RULE_I9, "a slot is marked and nobody deletes it"),
	BOTH(slot_with_other_leaves, RULE_I13,
	     "a slot's leaves are not what its shape and flags say"),
	BOTH(slot_with_wide_large_range, RULE_I13,
	     "a slot's leaves are not what its shape and flags say"),
	BOTH(slot_beyond_the_end, RULE_I13, "a slot's leaves are not what its shape and flags say"),
	BOTH(log_too_short, RULE_I11, "a logged slot without a whole log"),
	BOTH(log_outside, RULE_I11, "a logged slot without a whole log"),
	BOTH(log_page_outside, RULE_I11, "a logged slot without a whole log"),
	BOTH(range_of_no_view, RULE_I11, "a range of a view that cannot be"),
	BOTH(ranges_in_disorder, RULE_I11, "the ranges of the views are not in order"),
	BOTH(flush_forgotten, RULE_I10, "the MMU lock was let go with a flush pending"),
	BOTH(retired_forgotten, RULE_I10, "a retired table outlived its flush"),
	BOTH(pool_refused, RULE_I13, "the pool was given a page that is not its own"),
	{ tables_miscounted, RULE_I5, "the number of tables is not what was counted", NULL, NULL },
#undef BOTH
};

/* Whether an audit says it under this rule, unless it has more to say than it lists. */
static bool found(const struct mmu_audit *audit, const char *text, enum rule rule)
{
	for (unsigned int i = 0; i < audit->finding_count; i++) {
		if (strcmp(audit->findings[i].detail.text, text) == 0) {
			return rule == RULE_NONE || audit->findings[i].rule == rule;
		}
	}
	return false;
}

static void test_whole_audit_finds_it(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(cases) * ARRAY_COUNT(formats); i++) {
		unsigned int n = i / ARRAY_COUNT(formats);
		const struct spte_format *format = formats[i % ARRAY_COUNT(formats)];
		struct mmu_audit audit;

		if (cases[n].only && cases[n].only != format) {
			continue;
		}
		start(format);
		cases[n].damage();
		assert_true(mmu_audit(&current.mmu, &audit) > 0);
		if (!found(&audit, cases[n].whole, cases[n].rule)) {
			fail_msg("case %u: not found: %s; but: %s", n, cases[n].whole,
				 audit.findings[0].detail.text);
		}
		assert_int_equal(fixture_rule(&current), audit.findings[0].rule);
		fixture_end(&current);
	}
}

/*
 * In slices, the partition bugs at the first violation, and is left alone then. Damage may show
 * in several ways: looking goes on as if it had not been noticed, until the words come up.
 */
static void test_slices_find_it(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(cases) * ARRAY_COUNT(formats); i++) {
		unsigned int n = i / ARRAY_COUNT(formats);
		const struct spte_format *format = formats[i % ARRAY_COUNT(formats)];
		struct mmu_audit_cursor cursor = { 0 };
		struct mmu_audit audit = { 0 };
		bool seen = false;

		if (cases[n].only && cases[n].only != format) {
			continue;
		}
		start(format);
		cases[n].damage();
		while (cursor.passes == 0 && !seen) {
			bool ended = mmu_audit_step(&current.mmu, &cursor, 600, &audit);

			seen = cases[n].sliced && found(&audit, cases[n].sliced, RULE_NONE);
			assert_int_equal(fixture_rule(&current) != RULE_NONE,
					 audit.violations != 0);
			if (audit.violations != 0) {
				assert_int_equal(fixture_rule(&current), audit.findings[0].rule);
				assert_false(mmu_audit_step(&current.mmu, &cursor, 600, &audit));
				assert_int_equal(audit.violations, 0);
				bug_state_init(&current.bug, &fixture_bug_ops);
			}
			assert_int_equal(ended, cursor.passes == 1);
			if (cursor.violations > 1000) {
				break; /* the pass cannot end where the slots cannot be read */
			}
		}
		if (seen != (cases[n].sliced != NULL)) {
			fail_msg("case %u: %s", n, cases[n].sliced);
		}
		assert_int_equal(cursor.violations != 0, seen);
		fixture_end(&current);
	}
}

/* While slots or views change, more may be mapped than they give, and a slot may be marked. */
static void test_changes_are_let_be(void **state)
{
	void (*const allowed[])(void) = { slot_read_only, page_clean, view_narrower, slot_marked,
					  backing_of_no_slot };
	struct mmu_audit audit;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(allowed); i++) {
		start(&ept_format);
		allowed[i]();
		spin_lock(&current.mmu.slots_lock);
		mmu_audit(&current.mmu, &audit);
		spin_unlock(&current.mmu.slots_lock);
		/* What the slot itself was made of does not change under it. */
		assert_int_equal(audit.violations, i == 0);
		fixture_end(&current);
	}
	start(&ept_format);
	backing_lost();
	mmu_invalidate_begin(&current.mmu, gfn(SPARSE), 1);
	assert_int_equal(mmu_audit(&current.mmu, &audit), 0);
	mmu_invalidate_end(&current.mmu, gfn(SPARSE), 1);
	assert_int_not_equal(mmu_audit(&current.mmu, &audit), 0);
	fixture_end(&current);
}

/* What slices see in a pass is what a whole audit sees; and a slice is short. */
static void test_slices_add_up(void **state)
{
	static const unsigned int budgets[] = { 0, 512, 600, 1000, 4096, 1000000 };

	(void)state;
	for (unsigned int b = 0; b < ARRAY_COUNT(budgets); b++) {
		uint64_t budget = MAX(budgets[b], 512u);
		struct mmu_audit_cursor cursor = { 0 };
		struct mmu_audit whole;
		uint64_t tables = 0;
		uint64_t leaves = 0;
		uint64_t entries = 0;
		unsigned int slices = 0;
		bool ended;

		start(formats[b % 2]);
		assert_int_equal(mmu_audit(&current.mmu, &whole), 0);
		do {
			struct mmu_audit audit;

			ended = mmu_audit_step(&current.mmu, &cursor, budgets[b], &audit);
			assert_int_equal(audit.violations, 0);
			assert_true(audit.leaves <= budget && audit.rmap_entries <= budget &&
				    audit.tables <= budget / 64);
			tables += audit.tables;
			leaves += audit.leaves;
			entries += audit.rmap_entries;
			slices++;
		} while (!ended);
		assert_int_equal(tables, whole.tables);
		assert_int_equal(leaves, whole.leaves);
		assert_int_equal(entries, whole.rmap_entries);
		assert_int_equal(cursor.passes, 1);
		assert_true(slices * budget >= cursor.entries);
		assert_true(budget == 1000000 ? slices == 1 : slices > 2);
		assert_string_equal(mmu_audit_phase(&cursor), "roots and slots");
		fixture_end(&current);
	}
}

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (random_state >> 33) % below;
}

/* Something that moves, frees or fills what the cursor may stand on. */
static void change_something(void)
{
	static const uint64_t places[] = { SMALL, LARGE, SPARSE, LOGGED, READ_ONLY, DEVICE };
	struct mmu_vcpu *vcpu = draw(2) ? &current.vcpu : &other;
	uint64_t place = places[draw(ARRAY_COUNT(places))];
	struct error_text error;
	uint64_t bits;
	pfn_t page;

	switch (draw(10)) {
	case 0:
		mmu_zap_all(&current.mmu);
		break;
	case 1:
		(void)mmu_work(&current.mmu, (unsigned int)draw(3000));
		break;
	case 2:
		(void)!mmu_slot_move(&current.mmu, 0, gfn(SMALL + draw(2) * 0x10000), &error);
		break;
	case 3:
		(void)!mmu_slot_set_flags(&current.mmu, 1,
					  draw(2) ? (uint32_t)MEMSLOT_LOG_DIRTY : 0, &error);
		break;
	case 4:
		(void)!mmu_page_remove(&current.mmu, gfn(SPARSE + draw(0x400)), &page);
		break;
	case 5:
		(void)!mmu_page_insert(&current.mmu, gfn(SPARSE + draw(0x400)), PFN_LINEAR);
		break;
	case 6:
		(void)!mmu_view_protect(&current.mmu, 1, gfn(LARGE + draw(0x800)), 1 + draw(0x300),
					(unsigned int)draw(4) * 2 | MMU_READ, &error);
		break;
	case 7:
		(void)!mmu_dirty_read(&current.mmu, 4, 0, 64, &bits, true);
		break;
	default:
		(void)fixture_fault_of(vcpu, place + draw(0x200), draw(2) ? MMU_READ : MMU_WRITE);
		break;
	}
}

/* Whatever changes between two slices, nothing is reported, and passes end. */
static void test_changes_between_slices(void **state)
{
	(void)state;
	for (unsigned int seed = 0; seed < 6; seed++) {
		struct mmu_audit_cursor cursor = { 0 };
		struct mmu_audit audit;

		random_state = seed;
		start(formats[seed % 2]);
		for (unsigned int i = 0; i < 2000; i++) {
			change_something();
			(void)mmu_audit_step(&current.mmu, &cursor, 512 + (unsigned int)draw(600),
					     &audit);
			if (audit.violations != 0) {
				fail_msg("seed %u step %u: %s", seed, i,
					 audit.findings[0].detail.text);
			}
		}
		assert_clean(&current);
		assert_true(cursor.passes > 5);
		/* A cursor with anything in it does no harm. */
		for (unsigned int i = 0; i < 1000; i++) {
			cursor.phase = (unsigned int)draw(8);
			cursor.place = draw(2) ? draw(64) : draw(UINT64_C(1) << 31) << 30;
			cursor.index = draw(2) ? draw(2000) : draw(UINT64_C(1) << 31) << 30;
			(void)mmu_audit_step(&current.mmu, &cursor, 512, &audit);
			assert_int_equal(audit.violations, 0);
		}
		fixture_end(&current);
	}
}

/* PROVE_MMU=1: the audit after an operation, when the partition is small and healthy. */
static void test_proof(void **state)
{
	const uint64_t wide = UINT64_C(1) << 32;
	uint64_t tables;

	(void)state;
	start(&ept_format);
	mmu_prove_whole(&current.mmu);
	assert_int_equal(fixture_rule(&current), RULE_NONE);
	tables = current.mmu.stats.tables;
	count_off();
	current.mmu.stats.tables = PROVE_TABLES_MAX + 1;
	mmu_prove_whole(&current.mmu);
	assert_int_equal(fixture_rule(&current), RULE_NONE);
	current.mmu.stats.tables = tables;
	mmu_prove_whole(&current.mmu);
	assert_int_equal(fixture_rule(&current), RULE_I5);
	assert_int_equal(current.report_count, 1);
	mmu_prove_whole(&current.mmu);
	assert_int_equal(current.report_count, 1);
	fixture_end(&current);

	start(&ept_format);
	assert_false(PROVE_BUG_ON(&current.bug, current.report_count > 5, RULE_M6, .level = 1));
	assert_int_equal(fixture_rule(&current), RULE_NONE);
	assert_true(PROVE_BUG_ON(&current.bug, wide, RULE_M6, .level = 1));
	assert_int_equal(fixture_rule(&current), PROVE_MMU_ON ? RULE_M6 : RULE_NONE);
	fixture_end(&current);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_audit_finds_it),
		cmocka_unit_test(test_slices_find_it),
		cmocka_unit_test(test_changes_are_let_be),
		cmocka_unit_test(test_slices_add_up),
		cmocka_unit_test(test_changes_between_slices),
		cmocka_unit_test(test_proof),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
