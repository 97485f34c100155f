/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens when a partition is bugged: the line on the console at the place that found
 * it, and the full report (record, walk, rmap) once its vCPUs are out. The machine goes on,
 * unless the operator asked for data-corruption=machine (P5).
 */
#include "arch/x86/cpu.h"
#include "hv/partition.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "lib/string.h"

static bool corruption_stops_machine;

void bugged_set_policy(bool stops_machine)
{
	corruption_stops_machine = stops_machine;
}

static unsigned int hook_cpu(void)
{
	return this_cpu()->id;
}

static uint64_t hook_now(void)
{
	return rdtsc();
}

static void hook_report(struct bug_state *state, const struct bug_record *record, bool first,
			bool warn)
{
	struct partition *partition = container_of(state, struct partition, bug);
	const struct bug_site *site = record->site;

	if (warn) {
		log_printf("%s: rule %s violated at %s:%u %s(): %s", partition->name,
			   rule_name(site->rule), site->file, site->line, site->function,
			   record->detail.text ? record->detail.text : site->condition);
	}
	if (first && corruption_stops_machine && site->bug_class == BUG_DATA_CORRUPTION) {
		panic("data-corruption=machine: partition %s broke rule %s", partition->name,
		      rule_name(site->rule));
	}
}

const struct bug_ops partition_bug_ops = {
	.cpu = hook_cpu,
	.now = hook_now,
	.report = hook_report,
};

static void report_walk(struct partition_entry *entry, const struct bug_detail *detail)
{
	struct mmu_rmap_entry rmap[4];
	struct mmu_walk walk;
	unsigned int count;

	mmu_walk(&entry->partition->mmu, detail->view, gfn_to_gpa(gfn(detail->gfn)), &walk);
	for (unsigned int i = 0; i < walk.count; i++) {
		const struct mmu_walk_step *step = &walk.steps[i];

		log_printf("%s:   walk level %u sptep " PRIhpa " spte 0x%016llx%s%s%s",
			   entry->config->name, step->level, ADDR_ARG(step->sptep),
			   (unsigned long long)step->spte,
			   step->mmio	   ? " mmio"
			   : step->leaf	   ? " leaf"
			   : step->present ? " table"
					   : " not present",
			   step->broken ? " breaks " : "",
			   step->broken ? rule_name(step->broken) : "");
	}
	count = mmu_rmap_list(&entry->partition->mmu, gfn(detail->gfn), rmap, ARRAY_COUNT(rmap));
	log_printf("%s:   rmap of gfn 0x%llx: %u entr%s%s", entry->config->name,
		   (unsigned long long)detail->gfn, count, count == 1 ? "y" : "ies",
		   count > ARRAY_COUNT(rmap) ? ", the first:" : "");
	for (unsigned int i = 0; i < MIN(count, (unsigned int)ARRAY_COUNT(rmap)); i++) {
		log_printf("%s:   rmap sptep " PRIhpa " spte 0x%016llx level %u",
			   entry->config->name, ADDR_ARG(rmap[i].sptep),
			   (unsigned long long)rmap[i].spte, rmap[i].level);
	}
}

void bugged_report(struct partition_entry *entry)
{
	const struct bug_record *record = bug_first(&entry->partition->bug);
	const struct bug_detail *detail;

	if (!record) {
		return;
	}
	detail = &record->detail;
	log_printf("%s: BUGGED by rule %s: %s", entry->config->name, rule_name(record->site->rule),
		   rule_text(record->site->rule));
	log_printf("%s:   found at %s:%u %s(), CPU %u, vCPU %u, view %u, level %u",
		   entry->config->name, record->site->file, record->site->line,
		   record->site->function, record->cpu, detail->vcpu, detail->view, detail->level);
	log_printf("%s:   gfn 0x%llx sptep 0x%llx spte 0x%016llx rmap head 0x%llx: %s",
		   entry->config->name, (unsigned long long)detail->gfn,
		   (unsigned long long)detail->sptep, (unsigned long long)detail->spte,
		   (unsigned long long)detail->rmap_head,
		   detail->text ? detail->text : record->site->condition);
	if (detail->has_gfn) {
		report_walk(entry, detail);
	}
}
