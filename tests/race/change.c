/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who changes the world while guests run: slots, pages, views and their rights, each by the
 * MMU's own functions, with the truth around it. What a change takes from the partition is the
 * neighbour's at once, with a mark in it that must still be there when it comes back.
 *
 * One change at a time, as in the MMU (its lock of slot changes); the keeper's log readings
 * are in the same order, for they need to know the slot that they read of.
 */
#include "tests/race/world.h"

/* The slot over a unit, or SLOTS; and for a small one the page of it. */
static unsigned int slot_over(uint64_t page)
{
	for (unsigned int id = 0; id < SLOTS; id++) {
		const struct memslot_config *config = &world.slot[id].config;

		if (world.slot[id].there && page - config->gfn.v < config->page_count) {
			return id;
		}
	}
	return SLOTS;
}

/* The frame behind a page of a small slot, or PAGE_ABSENT. */
static uint64_t frame_behind(const struct slot_model *slot, uint64_t index)
{
	return slot->page[index] == PAGE_LINEAR ? slot->config.pfn.v + index : slot->page[index];
}

static uint64_t truth_now(unsigned int view, uint32_t unit)
{
	uint64_t page = unit < LOW_PAGES ? unit : BIG_GFN + (unit - LOW_PAGES) * UINT64_C(512);
	unsigned int id = slot_over(page);
	const struct slot_model *slot = &world.slot[id % SLOTS];
	unsigned int rights =
		slot->config.flags & MEMSLOT_READ_ONLY ? SPTE_READ | SPTE_EXECUTE : SPTE_RIGHTS_ALL;
	uint64_t truth = FIELD_PREP(TRUTH_VIEW_RIGHTS, world.view_rights[view][unit]);
	uint64_t frame;

	if (id == SLOTS) {
		return truth | FIELD_PREP(TRUTH_KIND, TRUTH_NONE);
	}
	truth |= FIELD_PREP(TRUTH_SLOT_RIGHTS, rights);
	if (id == BIG_SLOT) {
		frame = BIG_PFN + (page - BIG_GFN);
		return truth | FIELD_PREP(TRUTH_PFN, frame) |
		       FIELD_PREP(TRUTH_KIND,
				  world.big_mixed[unit - LOW_PAGES] ? TRUTH_MIXED : TRUTH_MEMORY);
	}
	frame = frame_behind(slot, page - slot->config.gfn.v);
	if (frame == PAGE_ABSENT) {
		return truth | FIELD_PREP(TRUTH_KIND, TRUTH_ABSENT);
	}
	return truth | FIELD_PREP(TRUTH_PFN, frame) | FIELD_PREP(TRUTH_KIND, TRUTH_MEMORY);
}

/* Units [first, end) of views [0, VIEWS) or of one. */
struct region {
	uint32_t first;
	uint32_t end;
	unsigned int view; /* VIEWS: all */
};

static bool in_region(const struct region *region, unsigned int view)
{
	return region->view == VIEWS || region->view == view;
}

static void change_begin(const struct region *region)
{
	for (unsigned int view = 0; view < VIEWS; view++) {
		for (uint32_t unit = region->first; in_region(region, view) && unit < region->end;
		     unit++) {
			atomic_fetch_or_explicit(&world.truth[view][unit], TRUTH_CHANGING,
						 memory_order_seq_cst);
		}
	}
}

static void change_end(const struct region *region)
{
	for (unsigned int view = 0; view < VIEWS; view++) {
		for (uint32_t unit = region->first; in_region(region, view) && unit < region->end;
		     unit++) {
			_Atomic uint64_t *word = &world.truth[view][unit];
			uint64_t version = FIELD_GET(
				TRUTH_VERSION, atomic_load_explicit(word, memory_order_relaxed));

			atomic_store_explicit(word,
					      truth_now(view, unit) |
						      FIELD_PREP(TRUTH_VERSION, version + 1),
					      memory_order_seq_cst);
		}
	}
	count(FIGURE_CHANGES, 1);
}

static struct region slot_region(const struct memslot_config *config)
{
	uint32_t first = unit_of(config->gfn.v);

	return (struct region){ first, unit_of(config->gfn.v + config->page_count - 1) + 1, VIEWS };
}

/* What a change may come to when the pool is short, besides what it should. */
static void expect(const char *what, int status, int expected)
{
	if (status != expected && !(expected == 0 && status == -ENOMEM)) {
		machine_fail("%s: status %d instead of %d", what, status, expected);
	}
}

/* The neighbour has it from now on, and writes to it. */
static void give_away(uint64_t frame)
{
	machine_hand_over(pfn(frame), MACHINE_OWNER, MACHINE_OTHER);
	atomic_store_explicit(machine_word(pfn(frame)), MARK ^ frame, memory_order_relaxed);
}

static void take_back(uint64_t frame)
{
	uint64_t mark = atomic_load_explicit(machine_word(pfn(frame)), memory_order_relaxed);

	if (mark != (MARK ^ frame)) {
		machine_fail("pfn 0x%llx: somebody wrote to it while it was the neighbour's",
			     (unsigned long long)frame);
	}
	atomic_store_explicit(machine_word(pfn(frame)), 0, memory_order_relaxed);
	machine_hand_over(pfn(frame), MACHINE_OTHER, MACHINE_OWNER);
}

/* A page of a slot is not the guest's any more: its frame goes to the neighbour or is spare. */
static void lose_frame(struct slot_model *slot, uint64_t index)
{
	if (slot->page[index] == PAGE_LINEAR && !slot->away[index]) {
		give_away(slot->config.pfn.v + index);
		slot->away[index] = true;
	} else if (slot->page[index] < PAGE_ABSENT) {
		world.spare[world.spare_count++] = slot->page[index];
		give_away(slot->page[index]);
	}
}

/* The slot's own frames [0, count) are the partition's. */
static void have_frames(struct slot_model *slot, uint64_t page_count)
{
	for (uint64_t i = 0; i < page_count; i++) {
		if (slot->away[i]) {
			take_back(slot->config.pfn.v + i);
			slot->away[i] = false;
		}
	}
}

static bool fits(unsigned int id, uint64_t first, uint64_t page_count)
{
	for (unsigned int other = 0; other < SMALL_SLOTS; other++) {
		const struct memslot_config *config = &world.slot[other].config;

		if (other != id && world.slot[other].there &&
		    first < config->gfn.v + config->page_count &&
		    config->gfn.v < first + page_count) {
			return false;
		}
	}
	return true;
}

static void choose_place(struct memslot_config *config, uint64_t *seed)
{
	config->page_count = chance(seed, 2) ? SMALL_PAGES : 1 + choose_below(seed, SMALL_PAGES);
	config->gfn = gfn(choose_below(seed, LOW_PAGES - SMALL_PAGES));
	if (chance(seed, 2)) {
		/* Aligned as the frames are: large leaves. */
		config->gfn = gfn(align_down(config->gfn.v, 512) + config->pfn.v % 512);
	}
}

static void start_log(struct slot_model *slot)
{
	slot->logged = true;
	for (uint64_t i = 0; i < slot->config.page_count; i++) {
		uint64_t frame = frame_behind(slot, i);

		slot->copy[i] = frame == PAGE_ABSENT
					? 0
					: atomic_load_explicit(machine_word(pfn(frame)),
							       memory_order_relaxed);
	}
}

static void create_slot(unsigned int id, uint64_t *seed)
{
	struct slot_model *slot = &world.slot[id];
	struct memslot_config config = { .id = id, .pfn = pfn(SMALL_PFN(id)) };
	struct error_text error;
	struct region region;
	int status;

	if (id == BIG_SLOT) {
		config = (struct memslot_config){ id, gfn(BIG_GFN), BIG_PAGES, pfn(BIG_PFN), 0 };
	} else {
		choose_place(&config, seed);
		config.flags = chance(seed, 4) ? MEMSLOT_READ_ONLY : 0;
		config.flags |= chance(seed, 4) ? MEMSLOT_LOG_DIRTY : 0;
		slot->config = config;
		have_frames(slot, config.page_count);
	}
	region = slot_region(&config);
	change_begin(&region);
	status = mmu_slot_create(&world.machine.mmu, &config, &error);
	expect("slot create", status,
	       id != BIG_SLOT && !fits(id, config.gfn.v, config.page_count) ? -EEXIST : 0);
	if (status == 0) {
		slot->there = true;
		slot->config = config;
		for (uint64_t i = 0; i < SMALL_PAGES; i++) {
			slot->page[i] = PAGE_LINEAR;
		}
		if (config.flags & MEMSLOT_LOG_DIRTY) {
			start_log(slot);
		}
	}
	change_end(&region);
}

static void take_big_back(void)
{
	for (unsigned int unit = 0; unit < BIG_UNITS; unit++) {
		if (world.big_removed[unit]) {
			take_back(world.big_removed[unit]);
			world.big_removed[unit] = 0;
		}
		world.big_mixed[unit] = false;
	}
}

static void delete_slot(unsigned int id)
{
	struct slot_model *slot = &world.slot[id];
	struct region region = slot_region(&slot->config);
	struct error_text error;
	int status;

	change_begin(&region);
	status = mmu_slot_delete(&world.machine.mmu, id, &error);
	expect("slot delete", status, 0);
	if (status == 0) {
		slot->there = false;
		slot->logged = false;
		for (uint64_t i = 0; id != BIG_SLOT && i < slot->config.page_count; i++) {
			lose_frame(slot, i);
		}
		if (id == BIG_SLOT) {
			take_big_back();
		}
	}
	change_end(&region);
}

static void move_slot(unsigned int id, uint64_t *seed)
{
	struct slot_model *slot = &world.slot[id];
	struct region from = slot_region(&slot->config);
	struct memslot_config config = slot->config;
	struct error_text error;
	struct region to;
	int status;

	choose_place(&config, seed);
	config.page_count = slot->config.page_count;
	to = slot_region(&config);
	change_begin(&from);
	change_begin(&to);
	status = mmu_slot_move(&world.machine.mmu, id, config.gfn, &error);
	expect("slot move", status, fits(id, config.gfn.v, config.page_count) ? 0 : -EEXIST);
	if (status == 0) {
		slot->config = config;
	}
	change_end(&from);
	change_end(&to);
}

static void resize_slot(unsigned int id, uint64_t *seed)
{
	struct slot_model *slot = &world.slot[id];
	struct memslot_config config = slot->config;
	uint64_t before = config.page_count;
	struct error_text error;
	struct region region;
	int status;
	int expected;

	config.page_count = 1 + choose_below(seed, SMALL_PAGES);
	for (uint64_t i = before; i < config.page_count; i++) {
		slot->page[i] = PAGE_LINEAR;
		if (slot->away[i]) {
			take_back(config.pfn.v + i);
			slot->away[i] = false;
		}
	}
	if (config.page_count > before) {
		region = slot_region(&config);
	} else {
		region = slot_region(&slot->config);
	}
	expected = fits(id, config.gfn.v, config.page_count) ? 0 : -EEXIST;
	expected = slot->logged ? -EBUSY : expected;
	change_begin(&region);
	status = mmu_slot_resize(&world.machine.mmu, id, config.page_count, &error);
	expect("slot resize", status, expected);
	if (status == 0) {
		slot->config = config;
		for (uint64_t i = config.page_count; i < before; i++) {
			lose_frame(slot, i);
			slot->page[i] = PAGE_ABSENT;
		}
	}
	change_end(&region);
}

static void flag_slot(unsigned int id, uint64_t *seed)
{
	struct slot_model *slot = &world.slot[id];
	struct region region = slot_region(&slot->config);
	uint32_t flags = (uint32_t)choose_below(seed, 4) & (MEMSLOT_READ_ONLY | MEMSLOT_LOG_DIRTY);
	struct error_text error;
	int status;

	change_begin(&region);
	status = mmu_slot_set_flags(&world.machine.mmu, id, flags, &error);
	expect("slot flags", status, 0);
	if (status == 0) {
		slot->config.flags = flags;
		if (!(flags & MEMSLOT_LOG_DIRTY)) {
			slot->logged = false;
		} else if (!slot->logged) {
			start_log(slot);
		}
	}
	change_end(&region);
}

static void remove_page(unsigned int id, uint64_t *seed)
{
	struct slot_model *slot = &world.slot[id];
	uint64_t index = choose_below(seed, slot->config.page_count);
	uint64_t page = slot->config.gfn.v + index;
	struct region region = { unit_of(page), unit_of(page) + 1, VIEWS };
	uint64_t frame = frame_behind(slot, index);
	pfn_t found;
	int status;

	change_begin(&region);
	status = mmu_page_remove(&world.machine.mmu, gfn(page), &found);
	expect("page remove", status, frame == PAGE_ABSENT ? -ENODATA : 0);
	if (status == 0) {
		if (found.v != frame) {
			machine_fail("page remove: pfn 0x%llx instead of 0x%llx",
				     (unsigned long long)found.v, (unsigned long long)frame);
		}
		lose_frame(slot, index);
		slot->page[index] = PAGE_ABSENT;
	}
	change_end(&region);
}

static void insert_page(unsigned int id, uint64_t *seed)
{
	struct slot_model *slot = &world.slot[id];
	uint64_t start = choose_below(seed, slot->config.page_count);
	uint64_t index = start;
	struct region region;
	pfn_t frame = PFN_LINEAR;
	int status;

	while (slot->page[index] != PAGE_ABSENT && ++index < slot->config.page_count) {
	}
	if (index == slot->config.page_count) {
		return;
	}
	region.first = unit_of(slot->config.gfn.v + index);
	region.end = region.first + 1;
	region.view = VIEWS;
	if (world.spare_count > 0 && chance(seed, 2)) {
		frame = pfn(world.spare[world.spare_count - 1]);
		take_back(frame.v);
	} else if (slot->away[index]) {
		take_back(slot->config.pfn.v + index);
		slot->away[index] = false;
	}
	if (slot->logged) {
		slot->copy[index] = 0;
	}
	change_begin(&region);
	status = mmu_page_insert(&world.machine.mmu, gfn(slot->config.gfn.v + index), frame);
	expect("page insert", status, 0);
	if (status == 0 && frame.v != PFN_LINEAR.v) {
		slot->page[index] = frame.v;
		world.spare_count--;
	} else if (status == 0) {
		slot->page[index] = PAGE_LINEAR;
	} else if (frame.v != PFN_LINEAR.v) {
		give_away(frame.v);
	}
	change_end(&region);
}

/* A page of the large slot goes, or comes back. */
static void change_big_page(uint64_t *seed)
{
	uint32_t unit = (uint32_t)choose_below(seed, 8) * 37;
	struct region region = { LOW_PAGES + unit, LOW_PAGES + unit + 1, VIEWS };
	uint64_t offset = unit * UINT64_C(512) + choose_below(seed, 512);
	pfn_t found;
	int status;

	world.big_mixed[unit] = true;
	change_begin(&region);
	if (world.big_removed[unit]) {
		take_back(world.big_removed[unit]);
		status = mmu_page_insert(&world.machine.mmu,
					 gfn(world.big_removed[unit] - BIG_PFN + BIG_GFN),
					 PFN_LINEAR);
		if (status == 0) {
			world.big_removed[unit] = 0;
			world.big_mixed[unit] = false;
		} else {
			give_away(world.big_removed[unit]);
		}
	} else {
		status = mmu_page_remove(&world.machine.mmu, gfn(BIG_GFN + offset), &found);
		if (status == 0) {
			world.big_removed[unit] = found.v;
			give_away(found.v);
		} else {
			world.big_mixed[unit] = false;
		}
	}
	expect("a page of the large slot", status, 0);
	change_end(&region);
}

/*
 * A change of backing that lasts: while an invalidation is in progress, frames of the large
 * slot are the neighbour's for a moment. Guests fault there, and must try again.
 */
static void lend_pages(uint64_t *seed)
{
	struct mmu *mmu = &world.machine.mmu;
	uint32_t unit = (uint32_t)choose_below(seed, 8) * 37;
	uint64_t offset = unit * UINT64_C(512);
	uint64_t pages = 1 + choose_below(seed, 512);
	int status;

	if (world.big_mixed[unit]) {
		return;
	}
	mmu_invalidate_begin(mmu, gfn(BIG_GFN + offset), pages);
	status = mmu_unmap(mmu, gfn(BIG_GFN + offset), pages);
	expect("unmap", status, 0);
	for (uint64_t i = 0; status == 0 && i < pages; i++) {
		give_away(BIG_PFN + offset + i);
	}
	for (uint64_t i = 0; status == 0 && i < pages; i++) {
		take_back(BIG_PFN + offset + i);
	}
	mmu_invalidate_end(mmu, gfn(BIG_GFN + offset), pages);
}

static void protect_view(uint64_t *seed)
{
	static const uint8_t kinds[] = { 0, 1, 3, 5, 7, 7, 7 };
	unsigned int view = (unsigned int)choose_below(seed, VIEWS);
	uint8_t rights = kinds[choose_below(seed, ARRAY_COUNT(kinds))];
	struct region region = { .view = view };
	struct error_text error;
	uint64_t start;
	uint64_t pages;
	int status;

	if (chance(seed, 4)) {
		region.first = LOW_PAGES + (uint32_t)choose_below(seed, BIG_UNITS);
		region.end = region.first + 1 +
			     (uint32_t)choose_below(seed, LOW_PAGES + BIG_UNITS - region.first);
		start = BIG_GFN + (region.first - LOW_PAGES) * UINT64_C(512);
		pages = (region.end - region.first) * UINT64_C(512);
	} else {
		region.first = (uint32_t)choose_below(seed, LOW_PAGES);
		region.end =
			region.first + 1 + (uint32_t)choose_below(seed, LOW_PAGES - region.first);
		start = region.first;
		pages = region.end - region.first;
	}
	change_begin(&region);
	status = mmu_view_protect(&world.machine.mmu, view, gfn(start), pages, rights, &error);
	if (status != -ENOSPC) {
		expect("view protect", status, world.view_there[view] ? 0 : -ENOENT);
	}
	if (status == 0) {
		memset(&world.view_rights[view][region.first], rights, region.end - region.first);
	}
	change_end(&region);
}

static void change_view(uint64_t *seed)
{
	unsigned int view = 1 + (unsigned int)choose_below(seed, VIEWS - 1);
	struct region region = { 0, UNITS, view };
	struct error_text error;
	int status;

	if (!world.view_there[view]) {
		status = mmu_view_create(&world.machine.mmu, view, &error);
		expect("view create", status, 0);
		world.view_there[view] = true;
		return;
	}
	change_begin(&region);
	status = mmu_view_destroy(&world.machine.mmu, view, &error);
	if (status != -EBUSY) {
		expect("view destroy", status, 0);
	}
	if (status == 0) {
		world.view_there[view] = false;
		memset(world.view_rights[view], SPTE_RIGHTS_ALL, UNITS);
	}
	change_end(&region);
}

/* See world.h. */
void change_something(uint64_t *seed)
{
	unsigned int id = (unsigned int)choose_below(seed, SMALL_SLOTS);
	bool there;

	pthread_mutex_lock(&world.lock);
	there = world.slot[id].there;
	if (chance(seed, 16)) {
		change_view(seed);
	} else if (chance(seed, 6)) {
		protect_view(seed);
	} else if (world.big && chance(seed, 12)) {
		if (!world.slot[BIG_SLOT].there) {
			create_slot(BIG_SLOT, seed);
		} else if (chance(seed, 8)) {
			delete_slot(BIG_SLOT);
		} else if (chance(seed, 4)) {
			lend_pages(seed);
		} else {
			change_big_page(seed);
		}
	} else if (!there) {
		create_slot(id, seed);
	} else if (chance(seed, 24)) {
		delete_slot(id);
	} else if (chance(seed, 16)) {
		move_slot(id, seed);
	} else if (chance(seed, 16)) {
		resize_slot(id, seed);
	} else if (chance(seed, 12)) {
		flag_slot(id, seed);
	} else if (chance(seed, 2)) {
		remove_page(id, seed);
	} else {
		insert_page(id, seed);
	}
	pthread_mutex_unlock(&world.lock);
}

/* Reads a part of a slot's log and copies what is dirty, as a migration does. */
static void read_log(struct slot_model *slot, uint64_t first, uint64_t pages)
{
	uint64_t bitmap[SMALL_PAGES / 64];
	int status =
		mmu_dirty_read(&world.machine.mmu, slot->config.id, first, pages, bitmap, true);

	expect("dirty read", status, 0);
	for (uint64_t i = first; i < MIN(first + pages, slot->config.page_count); i++) {
		uint64_t frame = frame_behind(slot, i);

		if ((bitmap[(i - first) / 64] & BIT(i % 64)) && frame != PAGE_ABSENT) {
			slot->copy[i] = atomic_load_explicit(machine_word(pfn(frame)),
							     memory_order_relaxed);
		}
	}
	count(FIGURE_READS, 1);
}

/* See world.h. Sometimes only looks, with nothing known about the slot. */
void read_some_log(uint64_t *seed)
{
	unsigned int id = (unsigned int)choose_below(seed, SMALL_SLOTS);
	struct slot_model *slot = &world.slot[id];
	uint64_t bitmap[SMALL_PAGES / 64];

	if (chance(seed, 2)) {
		(void)!mmu_dirty_read(&world.machine.mmu, id, 0, 64, bitmap, false);
		return;
	}
	pthread_mutex_lock(&world.lock);
	if (slot->there && slot->logged) {
		uint64_t end = align_up(slot->config.page_count, 64);
		uint64_t first = align_down(choose_below(seed, end), 64);

		read_log(slot, first, align_up(1 + choose_below(seed, end - first), 64));
	}
	pthread_mutex_unlock(&world.lock);
}

/* With everybody stopped: the copies are what the pages are, after one reading more. */
void world_check_logs(void)
{
	for (unsigned int id = 0; id < SMALL_SLOTS; id++) {
		struct slot_model *slot = &world.slot[id];

		if (!slot->there || !slot->logged) {
			continue;
		}
		read_log(slot, 0, align_up(slot->config.page_count, 64));
		for (uint64_t i = 0; i < slot->config.page_count; i++) {
			uint64_t frame = frame_behind(slot, i);
			uint64_t word = frame == PAGE_ABSENT
						? slot->copy[i]
						: atomic_load_explicit(machine_word(pfn(frame)),
								       memory_order_relaxed);

			if (slot->copy[i] != word) {
				machine_fail("slot %u page 0x%llx: %llu writes are not in the log",
					     id, (unsigned long long)i,
					     (unsigned long long)(word - slot->copy[i]));
			}
		}
	}
}

/* See world.h. Who has which frame at the beginning of each life. */
void world_boot(void)
{
	machine_boot();
	pthread_mutex_init(&world.lock, NULL);
	for (unsigned int id = 0; id < SMALL_SLOTS; id++) {
		for (uint64_t i = 0; i < SMALL_PAGES; i++) {
			machine_hand_over(pfn(SMALL_PFN(id) + i), OWNER_MACHINE, MACHINE_OWNER);
		}
	}
	for (uint64_t i = 0; i < BIG_PAGES; i++) {
		machine_hand_over(pfn(BIG_PFN + i), OWNER_MACHINE, MACHINE_OWNER);
	}
	for (uint64_t i = 0; i < SPARES; i++) {
		machine_hand_over(pfn(SPARE_PFN + i), OWNER_MACHINE, MACHINE_OWNER);
	}
}

/* See world.h. Without slots. */
void world_start(const struct machine_options *options)
{
	machine_start(&world.machine, options);
	memset(world.view_rights, SPTE_RIGHTS_ALL, sizeof(world.view_rights));
	memset(world.view_there, 0, sizeof(world.view_there));
	world.view_there[0] = true;
	for (unsigned int id = 0; id < SMALL_SLOTS; id++) {
		world.slot[id].config =
			(struct memslot_config){ .id = id, .pfn = pfn(SMALL_PFN(id)) };
	}
	world.spare_count = 0;
	for (uint64_t i = 0; i < SPARES; i++) {
		world.spare[world.spare_count++] = SPARE_PFN + i;
		give_away(SPARE_PFN + i);
	}
	for (uint32_t i = 0; i < VIEWS * UNITS; i++) {
		atomic_store_explicit(&world.truth[i / UNITS][i % UNITS],
				      FIELD_PREP(TRUTH_VIEW_RIGHTS, SPTE_RIGHTS_ALL),
				      memory_order_relaxed);
	}
}

void world_create_slots(uint64_t *seed)
{
	for (unsigned int id = 0; id < SLOTS - !world.big; id++) {
		create_slot(id, seed);
	}
}

/* See world.h: nothing is left of the partition, and its frames are where they were. */
void world_end(void)
{
	machine_end(&world.machine);
	for (unsigned int i = 0; i < world.spare_count; i++) {
		take_back(world.spare[i]);
	}
	for (unsigned int id = 0; id < SMALL_SLOTS; id++) {
		have_frames(&world.slot[id], SMALL_PAGES);
	}
	take_big_back();
	memset(world.slot, 0, sizeof(world.slot));
}
