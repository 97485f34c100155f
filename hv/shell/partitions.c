/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands that list partitions and drive their lives. */
#include "arch/x86/tsc.h"
#include "hv/operator.h"
#include "hv/shell/shell.h"

static uint64_t cpu_time_us(const struct partition_entry *entry)
{
	uint64_t ticks = 0;

	for (unsigned int i = 0; i < VCPUS_MAX; i++) {
		ticks += entry->sched[i].cpu_ticks;
	}
	return tsc_to_us(ticks);
}

/* What `ps` and `show` say: running, but for a vCPU that waits for memory. */
static const char *state_text(const struct partition_entry *entry)
{
	return partition_is_parked(entry) ? "fault" : partition_state_name(entry->state);
}

static void ps_json(const struct partition_entry *entry)
{
	json_open(NULL, '{');
	json_string("name", entry->config->name);
	json_string("state", state_text(entry));
	json_number("vcpus", entry->config->vcpus);
	json_number("memory", entry->config->memory);
	json_number("exits", partition_exits(entry));
	json_number("cpu_us", cpu_time_us(entry));
	json_string("reason", entry->reason);
	json_close('}');
}

static void ps_line(const struct partition_entry *entry)
{
	uint64_t us = cpu_time_us(entry);

	shell_print("%-16s %-8s %5u %7llu M %12llu %8llu.%03llu s  %s\n", entry->config->name,
		    state_text(entry), entry->config->vcpus,
		    (unsigned long long)(entry->config->memory / MIB),
		    (unsigned long long)partition_exits(entry), (unsigned long long)(us / 1000000),
		    (unsigned long long)(us / 1000 % 1000), entry->reason);
}

static void cmd_ps(const struct shell_args *args)
{
	if (args->json) {
		json_open(NULL, '[');
	} else {
		shell_print("%-16s %-8s %5s %9s %12s %14s\n", "NAME", "STATE", "VCPUS", "MEMORY",
			    "EXITS", "CPU TIME");
	}
	for (unsigned int i = 0; i < partitions_count(); i++) {
		if (args->json) {
			ps_json(partition_at(i));
		} else {
			ps_line(partition_at(i));
		}
	}
	if (args->json) {
		json_close(']');
		json_end();
	}
}

static void show_bug_json(const struct partition_entry *entry)
{
	const struct bug_record *record = bug_first(&entry->partition->bug);

	if (!record) {
		return;
	}
	json_open("bug", '{');
	json_string("rule", rule_name(record->site->rule));
	json_string("text", record->detail.text ? record->detail.text : record->site->condition);
	json_string("file", record->site->file);
	json_number("line", record->site->line);
	json_string("function", record->site->function);
	json_number("cpu", record->cpu);
	json_number("vcpu", record->detail.vcpu);
	json_number("view", record->detail.view);
	json_number("level", record->detail.level);
	json_hex("gfn", record->detail.gfn);
	json_hex("sptep", record->detail.sptep);
	json_hex("spte", record->detail.spte);
	json_hex("rmap_head", record->detail.rmap_head);
	json_number("tsc", record->tsc);
	json_number("violations", atomic_load(&entry->partition->bug.violations));
	json_close('}');
}

static void show_bug(const struct partition_entry *entry)
{
	const struct bug_record *record = bug_first(&entry->partition->bug);

	if (!record) {
		return;
	}
	shell_print("bug        rule %s: %s\n", rule_name(record->site->rule),
		    rule_text(record->site->rule));
	shell_print("           %s:%u %s(): %s\n", record->site->file, record->site->line,
		    record->site->function,
		    record->detail.text ? record->detail.text : record->site->condition);
	shell_print("           cpu %u vcpu %u view %u level %u gfn 0x%llx sptep 0x%llx\n",
		    record->cpu, record->detail.vcpu, record->detail.view, record->detail.level,
		    (unsigned long long)record->detail.gfn,
		    (unsigned long long)record->detail.sptep);
	shell_print("           spte 0x%016llx rmap head 0x%llx, %llu violations in all\n",
		    (unsigned long long)record->detail.spte,
		    (unsigned long long)record->detail.rmap_head,
		    (unsigned long long)atomic_load(&entry->partition->bug.violations));
}

static void show_json(struct partition_entry *entry)
{
	const struct partition *partition = entry->partition;

	json_open(NULL, '{');
	json_string("name", entry->config->name);
	json_string("state", state_text(entry));
	json_string("reason", entry->reason);
	json_string("kernel", entry->config->kernel);
	json_string("initrd", entry->config->initrd);
	json_string("cmdline", entry->config->cmdline);
	json_number("memory", entry->config->memory);
	json_number("vcpus", entry->config->vcpus);
	json_number("starts", entry->start_count);
	json_number("bug_restarts", entry->bug_restarts);
	json_number("max_restarts", entry->config->max_restarts);
	json_string("fingerprint", entry->fingerprint);
	json_number("fingerprint_count", entry->fingerprint_count);
	if (entry->has_exit_status) {
		json_number("exit_status", entry->exit_status);
	}
	if (partition) {
		json_number("host_memory", partition_memory(entry));
		json_number("pool_pages", partition->pool.page_count);
		json_number("pool_used", partition->pool.used_count);
		json_number("ports_unclaimed_reads", partition->devices.ports.unclaimed_reads);
		json_number("ports_unclaimed_writes", partition->devices.ports.unclaimed_writes);
		json_number("mmio_unclaimed_reads", partition->devices.mmio.unclaimed_reads);
		json_number("mmio_unclaimed_writes", partition->devices.mmio.unclaimed_writes);
		json_number("msr_denied", partition->msrs.denied_accesses);
		json_bool("halted", partition->vcpus[0].halted);
		show_bug_json(entry);
	}
	json_close('}');
	json_end();
}

static void show_life(const struct partition_entry *entry)
{
	const struct partition *partition = entry->partition;

	shell_print(
		"pool       %llu of %llu pages used, peak %llu; %llu KiB of host memory in all\n",
		(unsigned long long)partition->pool.used_count,
		(unsigned long long)partition->pool.page_count,
		(unsigned long long)partition->pool.peak_count,
		(unsigned long long)(partition_memory(entry) / KIB));
	shell_print(
		"unclaimed  ports: %llu reads, %llu writes; addresses: %llu reads, %llu writes\n",
		(unsigned long long)partition->devices.ports.unclaimed_reads,
		(unsigned long long)partition->devices.ports.unclaimed_writes,
		(unsigned long long)partition->devices.mmio.unclaimed_reads,
		(unsigned long long)partition->devices.mmio.unclaimed_writes);
	shell_print("           the last ones: port 0x%llx, address 0x%llx\n",
		    (unsigned long long)partition->devices.ports.last_unclaimed,
		    (unsigned long long)partition->devices.mmio.last_unclaimed);
	shell_print("msr        %llu accesses to unknown ones refused:",
		    (unsigned long long)partition->msrs.denied_accesses);
	for (unsigned int i = 0; i < partition->msrs.denied_count; i++) {
		shell_print(" 0x%x", partition->msrs.denied[i]);
	}
	shell_print("\nvcpu 0     %s, %llu exits\n",
		    partition->vcpus[0].fault.parked ? "parked: fault list"
		    : partition->vcpus[0].halted     ? "halted"
						     : "running",
		    (unsigned long long)partition->vcpus[0].loops);
}

static void cmd_show(const struct shell_args *args)
{
	struct partition_entry *entry = shell_partition(args, 0);

	if (!entry) {
		return;
	}
	if (args->json) {
		show_json(entry);
		return;
	}
	shell_print("name       %s (partition %u)\n", entry->config->name, entry->id);
	shell_print("state      %s%s%s\n", state_text(entry), entry->reason[0] ? ": " : "",
		    entry->reason);
	if (entry->has_exit_status) {
		shell_print("status     %u\n", entry->exit_status);
	}
	shell_print("kernel     %s", entry->config->kernel);
	shell_print("%s%s\n", entry->config->initrd[0] ? ", initrd " : "", entry->config->initrd);
	shell_print("cmdline    %.400s\n", entry->config->cmdline);
	shell_print("memory     %llu MiB, %u vCPU\n",
		    (unsigned long long)(entry->config->memory / MIB), entry->config->vcpus);
	shell_print("lives      %u starts, %u of %u restarts after a bug used\n",
		    entry->start_count, entry->bug_restarts, entry->config->max_restarts);
	if (entry->fingerprint[0]) {
		shell_print("last bug   %s, %u times\n", entry->fingerprint,
			    entry->fingerprint_count);
	}
	if (entry->partition) {
		show_life(entry);
		show_bug(entry);
	}
}

typedef int verb_fn(struct partition_entry *entry, struct error_text *error);

static void run_verb(const struct shell_args *args, verb_fn *verb)
{
	struct partition_entry *entry = shell_partition(args, 0);
	struct error_text error;

	if (entry && verb(entry, &error)) {
		shell_error(args, "%s", error.text);
	}
}

static void cmd_start(const struct shell_args *args)
{
	run_verb(args, partition_start);
}

static void cmd_stop(const struct shell_args *args)
{
	run_verb(args, partition_stop);
}

static void cmd_pause(const struct shell_args *args)
{
	run_verb(args, partition_pause);
}

static void cmd_resume(const struct shell_args *args)
{
	run_verb(args, partition_resume);
}

static void cmd_restart(const struct shell_args *args)
{
	run_verb(args, partition_restart);
}

static void cmd_destroy(const struct shell_args *args)
{
	struct partition_entry *entry = shell_partition(args, 0);

	if (entry) {
		partition_destroy(entry);
	}
}

static void cmd_console(const struct shell_args *args)
{
	struct partition_entry *entry = shell_built(args, 0);

	if (entry) {
		operator_attach(entry);
	}
}

static void cmd_output(const struct shell_args *args)
{
	struct partition_entry *entry = shell_built(args, 0);
	uint64_t bytes = 2048;
	uint64_t cursor;
	uint8_t byte;

	if (!entry || (args->count == 2 && !shell_number(args, 1, "count of bytes", &bytes))) {
		return;
	}
	cursor = entry->partition->serial.head;
	cursor -= MIN(MIN(bytes, (uint64_t)SERIAL_RING_SIZE), cursor);
	while (ring_get(&entry->partition->serial, &cursor, &byte, NULL)) {
		/* The keyboard is the shell's: no sequence that a terminal would answer. */
		if (byte == '\n' || byte == '\t' || (byte >= 0x20 && byte < 0x7f)) {
			shell_print("%c", byte);
		} else if (byte != '\r') {
			shell_print(".");
		}
	}
	shell_print("\n");
}

static const struct shell_command commands[] = {
	{ "ps", "[-j]", "all partitions: state, vCPUs, memory, exits, CPU time", 0, 0, true,
	  cmd_ps },
	{ "show", "NAME [-j]", "everything about one partition", 1, 1, true, cmd_show },
	{ "console", "NAME", "attach to its serial console; Ctrl-] detaches", 1, 1, false,
	  cmd_console },
	{ "output", "NAME [BYTES]", "the last bytes of its console, without attaching", 1, 2, false,
	  cmd_output },
	{ "start", "NAME", "boot it", 1, 1, false, cmd_start },
	{ "stop", "NAME", "take it off its CPUs; memory stays to be inspected", 1, 1, false,
	  cmd_stop },
	{ "pause", "NAME", "hold it", 1, 1, false, cmd_pause },
	{ "resume", "NAME", "let a paused one go on", 1, 1, false, cmd_resume },
	{ "restart", "NAME", "boot it afresh, whatever its state", 1, 1, false, cmd_restart },
	{ "destroy", "NAME", "give its memory back; start builds it anew", 1, 1, false,
	  cmd_destroy },
};

const struct shell_family shell_partitions = { "Partitions", commands, ARRAY_COUNT(commands) };
