/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about a partition's own memory while it runs: views, slots, dirty logs. */
#include "hv/grant.h"
#include "hv/shell/memory.h"
#include "lib/string.h"

/* A word of rwx-, or "none". */
static bool to_rights(const char *word, unsigned int *rights)
{
	*rights = 0;
	if (strcmp(word, "none") == 0) {
		return true;
	}
	for (; *word; word++) {
		if (*word == 'r') {
			*rights |= MMU_READ;
		} else if (*word == 'w') {
			*rights |= MMU_WRITE;
		} else if (*word == 'x') {
			*rights |= MMU_EXECUTE;
		} else if (*word != '-') {
			return false;
		}
	}
	return *rights != 0;
}

/* Views. */

static void view_line(const struct shell_args *args, const struct partition *partition,
		      unsigned int view)
{
	unsigned int vcpus = 0;

	for (unsigned int i = 0; i < partition->vcpu_count; i++) {
		vcpus += atomic_load(&partition->vcpus[i].mmu.view) == view;
	}
	if (args->json) {
		json_open(NULL, '{');
		json_number("view", view);
		json_number("vcpus", vcpus);
		json_close('}');
	} else {
		shell_print("view %u     %u vCPUs are in it\n", view, vcpus);
	}
}

static void range_lines(const struct memslots *slots)
{
	for (unsigned int i = 0; i < slots->range_count; i++) {
		const struct view_range *range = &slots->range[i];

		shell_print("view %u     gpa 0x%010llx..0x%010llx at most %s\n", range->view,
			    ADDR_ARG(gfn_to_gpa(range->gfn)),
			    ADDR_ARG(gfn_to_gpa(gfn(range->gfn.v + range->page_count))),
			    shell_rights(range->rights));
	}
}

static void cmd_views(const struct shell_args *args)
{
	struct partition_entry *entry = shell_built(args, 0);

	if (!entry) {
		return;
	}
	shell_list_open(args);
	for (unsigned int view = 0; view < MMU_VIEWS_MAX; view++) {
		if (entry->partition->mmu.views & BIT(view)) {
			view_line(args, entry->partition, view);
		}
	}
	shell_list_close(args);
	if (!args->json) {
		mmu_read_begin(&entry->partition->core_reads);
		range_lines(atomic_load(&entry->partition->mmu.slots));
		mmu_read_end(&entry->partition->core_reads);
	}
}

static void view_protect(const struct shell_args *args, struct partition_entry *entry)
{
	struct error_text error = { "" };
	unsigned int rights;
	unsigned int view;
	uint64_t address;
	uint64_t size;

	if (!shell_small_number(args, 2, "view", MMU_VIEWS_MAX, &view) ||
	    !shell_number(args, 3, "guest-physical address", &address) ||
	    !shell_number(args, 4, "length", &size)) {
		return;
	}
	if (!to_rights(args->word[5], &rights)) {
		shell_error(args, "\"%s\": expected letters of rwx, or none", args->word[5]);
		return;
	}
	if (!is_aligned(address | size, PAGE_SIZE)) {
		shell_error(args, "address and length are multiples of 0x1000");
		return;
	}
	shell_report(args,
		     mmu_view_protect(&entry->partition->mmu, view, gpa_to_gfn(gpa(address)),
				      size / PAGE_SIZE, rights, &error),
		     &error);
}

static void view_switch(const struct shell_args *args, struct partition_entry *entry)
{
	unsigned int vcpu;
	unsigned int view;

	if (!shell_small_number(args, 1, "vCPU", entry->partition->vcpu_count, &vcpu) ||
	    !shell_small_number(args, 2, "view", MMU_VIEWS_MAX, &view)) {
		return;
	}
	if (mmu_view_switch(&entry->partition->vcpus[vcpu].mmu, view)) {
		shell_error(args, "%s has no view %u", entry->config->name, view);
	}
}

/* view NAME VCPU N, or view NAME create|destroy N, or view NAME protect N GPA LEN RIGHTS */
static void cmd_view(const struct shell_args *args)
{
	struct partition_entry *entry = shell_built(args, 0);
	bool creates = strcmp(args->word[1], "create") == 0;
	struct error_text error = { "" };
	unsigned int view;

	if (!entry) {
		return;
	}
	if (strcmp(args->word[1], "protect") == 0 && args->count == 6) {
		view_protect(args, entry);
		return;
	}
	if (args->count != 3) {
		shell_error(args, "expected: view NAME VCPU N, view NAME create|destroy N, or "
				  "view NAME protect N GPA LEN RIGHTS");
		return;
	}
	if (!creates && strcmp(args->word[1], "destroy") != 0) {
		view_switch(args, entry);
		return;
	}
	if (shell_small_number(args, 2, "view", MMU_VIEWS_MAX, &view)) {
		struct mmu *mmu = &entry->partition->mmu;

		shell_report(args,
			     creates ? mmu_view_create(mmu, view, &error)
				     : mmu_view_destroy(mmu, view, &error),
			     &error);
	}
}

/* Slots. */

static void slot_line(const struct shell_args *args, const struct memslot *slot)
{
	if (args->json) {
		json_open(NULL, '{');
		json_number("id", slot->id);
		json_hex("gpa", gfn_to_gpa(slot->gfn).v);
		json_hex("size", slot->page_count * PAGE_SIZE);
		json_bool("read_only", (slot->flags & MEMSLOT_READ_ONLY) != 0);
		json_bool("logged", (slot->flags & MEMSLOT_LOG_DIRTY) != 0);
		json_bool("absent", (slot->flags & MEMSLOT_ABSENT) != 0);
		json_bool("granted", (slot->flags & MEMSLOT_GRANTED) != 0);
		json_close('}');
		return;
	}
	shell_print("slot %-2u gpa 0x%010llx..0x%010llx %s%s%s%s\n", slot->id,
		    ADDR_ARG(gfn_to_gpa(slot->gfn)),
		    ADDR_ARG(gfn_to_gpa(gfn(slot->gfn.v + slot->page_count))),
		    (slot->flags & MEMSLOT_READ_ONLY) ? "read-only" : "read-write",
		    (slot->flags & MEMSLOT_LOG_DIRTY) ? ", dirty log" : "",
		    (slot->flags & MEMSLOT_ABSENT) ? ", filled on demand" : "",
		    (slot->flags & MEMSLOT_GRANTED) ? ", granted to it" : "");
}

static void slot_list(const struct shell_args *args, struct partition_entry *entry)
{
	const struct memslots *slots;

	mmu_read_begin(&entry->partition->core_reads);
	slots = atomic_load(&entry->partition->mmu.slots);
	shell_list_open(args);
	for (unsigned int i = 0; i < slots->count; i++) {
		slot_line(args, &slots->slot[i]);
	}
	shell_list_close(args);
	mmu_read_end(&entry->partition->core_reads);
}

static void slot_flags(const struct shell_args *args, struct partition_entry *entry,
		       unsigned int id)
{
	static const struct {
		const char *name;
		uint64_t set;
		uint64_t clear;
	} words[] = {
		{ "ro", MEMSLOT_READ_ONLY, 0 },
		{ "rw", 0, MEMSLOT_READ_ONLY },
		{ "log", MEMSLOT_LOG_DIRTY, 0 },
		{ "nolog", 0, MEMSLOT_LOG_DIRTY },
	};
	struct error_text error = { "" };
	const struct memslot *slot;
	unsigned int i = 0;
	uint64_t flags = 0;

	while (i < ARRAY_COUNT(words) && strcmp(args->word[3], words[i].name) != 0) {
		i++;
	}
	if (i == ARRAY_COUNT(words)) {
		shell_error(args, "\"%s\": expected ro, rw, log or nolog", args->word[3]);
		return;
	}
	mmu_read_begin(&entry->partition->core_reads);
	slot = memslot_by_id(atomic_load(&entry->partition->mmu.slots), id);
	if (slot) {
		flags = ((slot->flags & MEMSLOT_FLAGS) | words[i].set) & ~words[i].clear;
	}
	mmu_read_end(&entry->partition->core_reads);
	shell_report(args, mmu_slot_set_flags(&entry->partition->mmu, id, (uint32_t)flags, &error),
		     &error);
}

/* move, resize: with a number more. */
static void slot_change(const struct shell_args *args, struct partition_entry *entry,
			unsigned int id)
{
	struct mmu *mmu = &entry->partition->mmu;
	bool moves = strcmp(args->word[1], "move") == 0;
	struct error_text error = { "" };
	uint64_t value;

	if (!shell_number(args, 3, moves ? "guest-physical address" : "length", &value)) {
		return;
	}
	if (!is_aligned(value, PAGE_SIZE)) {
		shell_error(args, "0x%llx: expected a multiple of 0x1000",
			    (unsigned long long)value);
		return;
	}
	shell_report(args,
		     moves ? mmu_slot_move(mmu, id, gpa_to_gfn(gpa(value)), &error)
			   : mmu_slot_resize(mmu, id, value / PAGE_SIZE, &error),
		     &error);
}

static void cmd_slot(const struct shell_args *args)
{
	static const char usage[] = "expected: slot NAME list, delete ID, move ID GPA, "
				    "resize ID LEN, or flags ID ro|rw|log|nolog";
	struct partition_entry *entry = shell_built(args, 0);
	const char *verb = args->word[1];
	struct error_text error = { "" };
	unsigned int id;

	if (!entry) {
		return;
	}
	if (strcmp(verb, "list") == 0 && args->count == 2) {
		slot_list(args, entry);
		return;
	}
	if (args->count < 3 || !shell_small_number(args, 2, "slot", MEMSLOTS_MAX, &id)) {
		if (args->count < 3) {
			shell_error(args, "%s", usage);
		}
		return;
	}
	if (grant_of_slot(entry->id, id) && strcmp(verb, "flags") != 0 &&
	    strcmp(verb, "move") != 0) {
		shell_error(args, "slot %u is granted to %s; grants revoke takes it back", id,
			    entry->config->name);
	} else if (strcmp(verb, "delete") == 0 && args->count == 3) {
		shell_report(args, mmu_slot_delete(&entry->partition->mmu, id, &error), &error);
	} else if ((strcmp(verb, "move") == 0 || strcmp(verb, "resize") == 0) && args->count == 4) {
		slot_change(args, entry, id);
	} else if (strcmp(verb, "flags") == 0 && args->count == 4) {
		slot_flags(args, entry, id);
	} else {
		shell_error(args, "%s", usage);
	}
}

/* Dirty logs. */

#define DIRTY_STEP 4096
#define DIRTY_LINES_MAX 16

/* Runs of dirty pages, as they come. */
struct dirty_runs {
	uint64_t dirty;
	uint64_t lines;
	uint64_t start; /* of the run under way */
	uint64_t length;
};

static void dirty_run_ends(const struct shell_args *args, struct dirty_runs *runs)
{
	if (runs->length == 0) {
		return;
	}
	if (!args->json && runs->lines < DIRTY_LINES_MAX) {
		shell_print("  pages 0x%llx..0x%llx of the slot\n", (unsigned long long)runs->start,
			    (unsigned long long)(runs->start + runs->length));
	}
	runs->lines++;
	runs->length = 0;
}

static void dirty_step(const struct shell_args *args, struct dirty_runs *runs,
		       const uint64_t *words, uint64_t first, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		if (!(words[i / 64] >> (i % 64) & 1)) {
			dirty_run_ends(args, runs);
			continue;
		}
		if (runs->length == 0) {
			runs->start = first + i;
		}
		runs->length++;
		runs->dirty++;
	}
}

static void cmd_dirty(const struct shell_args *args)
{
	static uint64_t words[DIRTY_STEP / 64]; /* the core's */
	struct partition_entry *entry = shell_built(args, 0);
	struct dirty_runs runs = { 0 };
	const struct memslot *slot;
	uint64_t pages;
	unsigned int id;
	int status = 0;

	if (!entry || !shell_small_number(args, 1, "slot", MEMSLOTS_MAX, &id)) {
		return;
	}
	mmu_read_begin(&entry->partition->core_reads);
	slot = memslot_by_id(atomic_load(&entry->partition->mmu.slots), id);
	pages = slot ? slot->page_count : 0;
	mmu_read_end(&entry->partition->core_reads);
	for (uint64_t first = 0; first < pages && !status; first += DIRTY_STEP) {
		uint64_t count = align_up(MIN(pages - first, (uint64_t)DIRTY_STEP), 64);

		status = mmu_dirty_read(&entry->partition->mmu, id, first, count, words, false);
		if (!status) {
			dirty_step(args, &runs, words, first, count);
		}
	}
	dirty_run_ends(args, &runs);
	if (status || pages == 0) {
		shell_error(args, "%s: slot %u %s", entry->config->name, id,
			    pages == 0 ? "does not exist" : "has no dirty log");
	} else if (args->json) {
		json_open(NULL, '{');
		json_number("dirty", runs.dirty);
		json_number("pages", pages);
		json_close('}');
		json_end();
	} else {
		shell_print("%llu of %llu pages are dirty\n", (unsigned long long)runs.dirty,
			    (unsigned long long)pages);
	}
}

static const struct shell_command commands[] = {
	{ "views", "NAME [-j]", "its views, and what each hides", 1, 1, true, cmd_views },
	{ "view", "NAME VCPU N",
	  "switch a vCPU to a view; NAME create|destroy N;\n"
	  "            NAME protect N GPA LEN RIGHTS   (of rwx, or none)",
	  3, 6, false, cmd_view },
	{ "slot", "NAME list [-j]",
	  "its memory slots; while it runs: delete ID, move ID GPA,\n"
	  "            resize ID LEN, flags ID ro|rw|log|nolog",
	  2, 4, true, cmd_slot },
	{ "dirty", "NAME SLOT [-j]", "pages written since they were last read", 2, 2, true,
	  cmd_dirty },
};

const struct shell_family shell_slots = { "Slots and views", commands, ARRAY_COUNT(commands) };
