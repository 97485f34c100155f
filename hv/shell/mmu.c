/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about the nested-page MMU: look, audit, and break on purpose. */
#include "arch/x86/host_map.h"
#include "arch/x86/tsc.h"
#include "hv/background.h"
#include "hv/shell/shell.h"
#include "lib/log.h"
#include "lib/string.h"

#define AUDIT_DELAY_US 300000 /* what nothing ran into by then is looked for */

extern const char __text_start[]; /* linker.ld: a frame that is nobody's but the machine's */

struct stat_row {
	const char *name;
	size_t offset;
};

static const struct stat_row rows[] = {
	{ "faults", offsetof(struct mmu_stats, faults) },
	{ "fixed_4k", offsetof(struct mmu_stats, fixed[0]) },
	{ "fixed_2m", offsetof(struct mmu_stats, fixed[1]) },
	{ "fixed_1g", offsetof(struct mmu_stats, fixed[2]) },
	{ "mmio_installed", offsetof(struct mmu_stats, mmio_installed) },
	{ "mmio_hits", offsetof(struct mmu_stats, mmio_hits) },
	{ "retries", offsetof(struct mmu_stats, retries) },
	{ "zaps", offsetof(struct mmu_stats, zaps) },
	{ "flushes", offsetof(struct mmu_stats, flushes) },
	{ "tables", offsetof(struct mmu_stats, tables) },
	{ "rmap_entries", offsetof(struct mmu_stats, rmap_entries) },
	{ "rmap_chains", offsetof(struct mmu_stats, rmap_chains) },
	{ "reclaimed", offsetof(struct mmu_stats, reclaimed) },
	{ "splits", offsetof(struct mmu_stats, splits) },
	{ "collapses", offsetof(struct mmu_stats, collapses) },
	{ "dirtied", offsetof(struct mmu_stats, dirtied) },
};

/* How far the audit in the background is. */
static void stat_audit(const struct shell_args *args, const struct partition_entry *entry)
{
	const struct mmu_audit_cursor *cursor = background_cursor(entry);

	if (args->json) {
		json_number("audit_passes", cursor->passes);
		json_number("audit_entries", cursor->entries);
		json_string("audit_phase", mmu_audit_phase(cursor));
		json_number("audit_place", cursor->place);
		return;
	}
	shell_print("%-16s %12llu\n%-16s %12llu\n", "audit_passes",
		    (unsigned long long)cursor->passes, "audit_entries",
		    (unsigned long long)cursor->entries);
	shell_print("%-16s %12llu of %s\n", "audit_place", (unsigned long long)cursor->place,
		    mmu_audit_phase(cursor));
}

static void stat(const struct shell_args *args, struct partition_entry *entry, uint64_t unused)
{
	struct mmu_stats stats;

	(void)unused;
	mmu_get_stats(&entry->partition->mmu, &stats);
	if (args->json) {
		json_open(NULL, '{');
	}
	for (unsigned int i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t value =
			*(const uint64_t *)(const void *)((const char *)&stats + rows[i].offset);

		if (args->json) {
			json_number(rows[i].name, value);
		} else {
			shell_print("%-16s %12llu\n", rows[i].name, (unsigned long long)value);
		}
	}
	stat_audit(args, entry);
	if (args->json) {
		json_close('}');
		json_end();
	}
}

static void slots(const struct shell_args *args, struct partition_entry *entry, uint64_t unused)
{
	const struct memslots *all = atomic_load(&entry->partition->mmu.slots);

	(void)unused;
	if (args->json) {
		json_open(NULL, '[');
	}
	for (unsigned int i = 0; i < all->count; i++) {
		const struct memslot *slot = &all->slot[i];

		if (args->json) {
			json_open(NULL, '{');
			json_number("id", slot->id);
			json_hex("gfn", slot->gfn.v);
			json_hex("pages", slot->page_count);
			json_hex("pfn", slot->pfn.v);
			json_bool("read_only", (slot->flags & MEMSLOT_READ_ONLY) != 0);
			json_close('}');
		} else {
			shell_print(
				"slot %-2u gpa 0x%010llx..0x%010llx -> hpa 0x%llx %s\n", slot->id,
				(unsigned long long)(slot->gfn.v * PAGE_SIZE),
				(unsigned long long)((slot->gfn.v + slot->page_count) * PAGE_SIZE),
				(unsigned long long)(slot->pfn.v * PAGE_SIZE),
				(slot->flags & MEMSLOT_READ_ONLY) ? "read-only" : "read-write");
		}
	}
	if (args->json) {
		json_close(']');
		json_end();
	}
}

static const char *step_kind(const struct mmu_walk_step *step)
{
	if (step->mmio) {
		return "mmio";
	}
	if (!step->present) {
		return "not present";
	}
	return step->leaf ? "leaf" : "table";
}

static void walk(const struct shell_args *args, struct partition_entry *entry, uint64_t address)
{
	struct mmu_walk result;

	mmu_walk(&entry->partition->mmu, 0, gpa(address), &result);
	if (args->json) {
		json_open(NULL, '[');
	}
	for (unsigned int i = 0; i < result.count; i++) {
		const struct mmu_walk_step *step = &result.steps[i];

		if (args->json) {
			json_open(NULL, '{');
			json_number("level", step->level);
			json_hex("sptep", step->sptep.v);
			json_hex("spte", step->spte);
			json_string("kind", step_kind(step));
			json_string("breaks", step->broken ? rule_name(step->broken) : "");
			json_close('}');
		} else {
			shell_print("level %u sptep 0x%010llx spte 0x%016llx %s%s%s\n", step->level,
				    (unsigned long long)step->sptep.v,
				    (unsigned long long)step->spte, step_kind(step),
				    step->broken ? ", breaks " : "",
				    step->broken ? rule_name(step->broken) : "");
		}
	}
	if (args->json) {
		json_close(']');
		json_end();
	}
}

static void rmap(const struct shell_args *args, struct partition_entry *entry, uint64_t frame)
{
	struct mmu_rmap_entry found[16];
	unsigned int count =
		mmu_rmap_list(&entry->partition->mmu, gfn(frame), found, ARRAY_COUNT(found));

	if (args->json) {
		json_open(NULL, '[');
	} else {
		shell_print("gfn 0x%llx: %u SPTEs\n", (unsigned long long)frame, count);
	}
	for (unsigned int i = 0; i < MIN(count, (unsigned int)ARRAY_COUNT(found)); i++) {
		if (args->json) {
			json_open(NULL, '{');
			json_number("level", found[i].level);
			json_hex("sptep", found[i].sptep.v);
			json_hex("spte", found[i].spte);
			json_close('}');
		} else {
			shell_print("level %u sptep 0x%010llx spte 0x%016llx\n", found[i].level,
				    (unsigned long long)found[i].sptep.v,
				    (unsigned long long)found[i].spte);
		}
	}
	if (args->json) {
		json_close(']');
		json_end();
	}
}

static void audit_findings(const struct mmu_audit *result)
{
	for (unsigned int i = 0; i < result->finding_count; i++) {
		const struct mmu_audit_finding *finding = &result->findings[i];

		shell_print("  %s: %s: gfn 0x%llx level %u sptep 0x%llx spte 0x%016llx\n",
			    rule_name(finding->rule),
			    finding->detail.text ? finding->detail.text : rule_text(finding->rule),
			    (unsigned long long)finding->detail.gfn, finding->detail.level,
			    (unsigned long long)finding->detail.sptep,
			    (unsigned long long)finding->detail.spte);
	}
}

static void audit(const struct shell_args *args, struct partition_entry *entry, uint64_t unused)
{
	struct mmu_audit result;
	bool was_bugged = bug_is_set(&entry->partition->bug);
	uint64_t violations = mmu_audit(&entry->partition->mmu, &result);

	(void)unused;
	if (args->json) {
		json_open(NULL, '{');
		json_number("violations", violations);
		json_number("tables", result.tables);
		json_number("leaves", result.leaves);
		json_number("rmap_entries", result.rmap_entries);
		json_open("findings", '[');
		for (unsigned int i = 0; i < result.finding_count; i++) {
			json_open(NULL, '{');
			json_string("rule", rule_name(result.findings[i].rule));
			json_hex("gfn", result.findings[i].detail.gfn);
			json_hex("spte", result.findings[i].detail.spte);
			json_close('}');
		}
		json_close(']');
		json_close('}');
		json_end();
	} else {
		shell_print("%llu tables, %llu leaves, %llu rmap entries: %llu violations\n",
			    (unsigned long long)result.tables, (unsigned long long)result.leaves,
			    (unsigned long long)result.rmap_entries,
			    (unsigned long long)violations);
		audit_findings(&result);
	}
	if (!was_bugged && bug_is_set(&entry->partition->bug)) {
		partition_ended(entry);
	}
}

/* What `mmu` can be asked; the number comes before or after the name. */
struct mmu_verb {
	const char *name;
	const char *number; /* NULL: takes none */
	void (*run)(const struct shell_args *args, struct partition_entry *entry, uint64_t number);
};

static const struct mmu_verb verbs[] = {
	{ "stat", NULL, stat },	 { "slots", NULL, slots }, { "audit", NULL, audit },
	{ "walk", "GPA", walk }, { "rmap", "GFN", rmap },
};

static void cmd_mmu(const struct shell_args *args)
{
	const struct mmu_verb *verb = NULL;
	struct partition_entry *entry;
	unsigned int name_at = 1;
	uint64_t number = 0;

	for (unsigned int i = 0; i < ARRAY_COUNT(verbs); i++) {
		if (strcmp(args->word[0], verbs[i].name) == 0) {
			verb = &verbs[i];
		}
	}
	if (!verb) {
		shell_error(args, "mmu %s: expected stat, slots, audit, walk or rmap",
			    args->word[0]);
		return;
	}
	if (args->count != (verb->number ? 3u : 2u)) {
		shell_error(args, "expected: mmu %s %s%sNAME", verb->name,
			    verb->number ? verb->number : "", verb->number ? " " : "");
		return;
	}
	if (verb->number && !partition_find(args->word[1])) {
		name_at = 2;
	}
	if (verb->number && !shell_number(args, 3 - name_at, verb->number, &number)) {
		return;
	}
	entry = shell_built(args, name_at);
	if (entry) {
		verb->run(args, entry, number);
	}
}

static void list_kinds(const struct shell_args *args)
{
	shell_error(args, "no such kind \"%s\"; expected one of:", args->word[1]);
	for (unsigned int i = 0; !args->json && i < MMU_INJECT_COUNT; i++) {
		shell_print("  %-15s %s\n", mmu_inject_name((enum mmu_inject)i),
			    mmu_inject_text((enum mmu_inject)i));
	}
}

static void cmd_inject(const struct shell_args *args)
{
	struct partition_entry *entry = shell_built(args, 0);
	pfn_t foreign = hpa_to_pfn(image_to_hpa(__text_start));
	struct error_text error;
	gfn_t frame = gfn(0);
	unsigned int kind = 0;

	if (!entry) {
		return;
	}
	while (kind < MMU_INJECT_COUNT &&
	       strcmp(args->word[1], mmu_inject_name((enum mmu_inject)kind)) != 0) {
		kind++;
	}
	if (kind == MMU_INJECT_COUNT) {
		list_kinds(args);
		return;
	}
	if (bug_is_set(&entry->partition->bug)) {
		shell_error(args, "%s is bugged already", entry->config->name);
		return;
	}
	if (args->count == 3) {
		if (!shell_number(args, 2, "gfn", &frame.v)) {
			return;
		}
	} else if (mmu_inject_gfn(&entry->partition->mmu, &frame)) {
		shell_error(args, "%s has no mapped page yet", entry->config->name);
		return;
	}
	if (mmu_inject(&entry->partition->mmu, (enum mmu_inject)kind, frame, foreign, &error)) {
		shell_error(args, "%s", error.text);
		return;
	}
	log_printf("%s: injected %s at gfn 0x%llx", entry->config->name, args->word[1],
		   (unsigned long long)frame.v);
	/*
	 * What the CPU itself reports may be met by the guest first. The rest could let it out
	 * of its compartment, so it is looked for before it runs again.
	 */
	entry->audit_at = rdtsc();
	if (kind == MMU_INJECT_SPTE_RESERVED) {
		entry->audit_at += tsc_from_us(AUDIT_DELAY_US);
	} else {
		partition_do_due_work(entry->audit_at);
	}
}

static const struct shell_command commands[] = {
	{ "mmu", "stat|slots|audit NAME [-j]",
	  "its counters, its memory slots, a check of every invariant;\n"
	  "            walk GPA NAME [-j]         the nested tables on the way to an address;\n"
	  "            rmap GFN NAME [-j]         every SPTE that maps a frame",
	  2, 3, true, cmd_mmu },
	{ "inject", "NAME KIND [GFN]", "break its MMU on purpose; a wrong KIND lists them", 2, 3,
	  false, cmd_inject },
};

const struct shell_family shell_mmu = { "Nested-page MMU", commands, ARRAY_COUNT(commands) };
