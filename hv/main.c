/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a machine that is up to partitions that run: the manifest among the boot modules,
 * then each partition in the manifest's order, then the CPU loop. A partition that is
 * refused says why and the others start.
 */
#include "hv/hv.h"

#include "arch/x86/virt.h"
#include "drivers/rtc.h"
#include "hv/cpuid_policy.h"
#include "hv/operator.h"
#include "hv/partition.h"
#include "hv/sched.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mm/prove.h"

static struct manifest manifest; /* constant after hv_main() */

static void report(void *context, const char *message)
{
	(void)context;
	log_printf("manifest: %s", message);
}

static const struct boot_module *find_manifest(const struct boot_info *info)
{
	for (unsigned int i = 0; i < info->module_count; i++) {
		if (strcmp(info->modules[i].name, MANIFEST_FILE) == 0) {
			return &info->modules[i];
		}
	}
	return NULL;
}

static void read_manifest(const struct boot_info *info)
{
	const struct boot_module *module = find_manifest(info);
	int errors;

	if (!module) {
		log_printf("manifest: the boot loader gave no module named %s (%u modules): "
			   "there are no partitions",
			   MANIFEST_FILE, info->module_count);
		return;
	}
	errors = manifest_parse(&manifest, MANIFEST_FILE, hpa_to_ptr(module->start),
				(size_t)(module->end.v - module->start.v), report, NULL);
	if (errors < 0) {
		log_printf("manifest: nothing of %s can be used", MANIFEST_FILE);
		manifest.partition_count = 0;
	} else {
		log_printf("manifest: %u partitions, %d errors", manifest.partition_count, errors);
	}
}

/* The boot command line outranks the manifest where it speaks: data-corruption=... */
static void apply_policy(const struct boot_info *info)
{
	const char *line = info->command_line;
	bool stops = manifest.machine.data_corruption_stops_machine;

	for (const char *word = line; word; word = strchr(word, ' ')) {
		while (*word == ' ') {
			word++;
		}
		if (string_starts_with(word, "data-corruption=machine")) {
			stops = true;
		} else if (string_starts_with(word, "data-corruption=partition")) {
			stops = false;
		}
	}
	bugged_set_policy(stops);
}

static void start_partitions(void)
{
	for (unsigned int i = 0; i < partitions_count(); i++) {
		struct partition_entry *entry = partition_at(i);
		struct error_text error;

		if (entry->config->valid && entry->config->start) {
			(void)!partition_start(entry, &error); /* which logs why, too */
		}
	}
}

/*
 * Turns on VMX or SVM. Without it the machine goes on to the shell, which can say what is
 * missing; partitions then refuse to start.
 */
static bool start_virtualisation(void)
{
	struct error_text error;
	pfn_t page;

	if (!virt_select(&error)) {
		log_printf("virt: no partition can run: %s", error.text);
		return false;
	}
	if (frames_alloc(1, 1, OWNER_MACHINE, FRAME_HYPERVISOR, &page)) {
		error_set(&error, -ENOMEM, "no memory");
	} else if (virt->cpu_enable(hpa_to_ptr(pfn_to_hpa(page)), &error) == 0) {
		log_printf("virt: %s%s%s%s%s%s%s", virt->name,
			   virt_caps.nested_large_1g ? ", 1 GiB pages" : "",
			   virt_caps.nested_accessed_dirty ? ", accessed and dirty bits" : "",
			   virt_caps.pml ? ", page-modification log" : "",
			   virt_caps.vmfunc_eptp ? ", VMFUNC" : "",
			   virt_caps.deadline_timer ? ", preemption timer" : "",
			   virt_caps.instruction_length ? "" : ", software instruction lengths");
		return true;
	}
	log_printf("virt: no partition can run: %s", error.text);
	return false;
}

_Noreturn void hv_main(const struct boot_info *info)
{
	bool can_run;

	rtc_init();
	sched_init();
	can_run = start_virtualisation();
	if (PROVE_MMU_ON) {
		log_printf("mmu: this build audits after each operation (PROVE_MMU=1), slowly");
	}
	cpuid_policy_init();
	read_manifest(info);
	apply_policy(info);
	partitions_init(&manifest, info, can_run);
	start_partitions();
	operator_init();
	sched_loop();
}
