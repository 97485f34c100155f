/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of partitions: the operator's verbs, what follows when one ends by itself, and
 * the restart policy. Core: runs in the CPU loop, never while a partition is served.
 */
#include "hv/partition.h"

#include "arch/x86/cpu.h"
#include "arch/x86/tsc.h"
#include "hv/background.h"
#include "hv/grant.h"
#include "hv/partition_hooks.h"
#include "hv/sched.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "lib/string.h"

#define BACKOFF_FIRST_US UINT64_C(1000000)
#define BACKOFF_LAST_US UINT64_C(60000000)
#define RESET_SHARE 20
#define RESET_LEAST_US UINT64_C(2000000)
#define RESET_BURST_US UINT64_C(10000000)

/* Table entries that a turn of the CPU loop may spend on a partition's waiting work. */
#define MMU_WORK_BUDGET 4096

static struct partition_entry entries[PARTITIONS_MAX];
static unsigned int entry_count;
static bool machine_can_run;

const char *partition_state_name(enum partition_state state)
{
	static const char *const names[] = {
		[PARTITION_STOPPED] = "stopped", [PARTITION_RUNNING] = "running",
		[PARTITION_PAUSED] = "paused",	 [PARTITION_OFF] = "off",
		[PARTITION_CRASHED] = "crashed", [PARTITION_BUGGED] = "bugged",
	};

	return names[state];
}

void partitions_init(const struct manifest *manifest, const struct boot_info *info, bool can_run)
{
	machine_can_run = can_run;
	partition_build_init(info);
	entry_count = manifest->partition_count;
	for (unsigned int i = 0; i < entry_count; i++) {
		struct partition_entry *entry = &entries[i];

		entry->id = (owner_t)(i + 1);
		entry->config = &manifest->partitions[i];
		entry->restart_at = UINT64_MAX;
		entry->audit_at = UINT64_MAX;
		for (unsigned int v = 0; v < VCPUS_MAX; v++) {
			list_init(&entry->sched[v].link);
			entry->sched[v].entry = entry;
			entry->sched[v].vcpu = v;
			entry->sched[v].wake_at = UINT64_MAX;
		}
		if (!entry->config->valid) {
			string_copy(entry->reason, sizeof(entry->reason),
				    "refused: see the manifest's errors in the log");
		}
	}
}

unsigned int partitions_count(void)
{
	return entry_count;
}

bool partition_asids_shared(void)
{
	return entry_count >= virt_caps.asid_count; /* 0 is the host's */
}

struct partition_entry *partition_at(unsigned int index)
{
	return &entries[index];
}

struct partition_entry *partition_find(const char *name)
{
	for (unsigned int i = 0; i < entry_count; i++) {
		if (strcmp(entries[i].config->name, name) == 0) {
			return &entries[i];
		}
	}
	return NULL;
}

struct partition_entry *partition_entry_of(const struct partition *partition)
{
	ASSERT(partition->id >= 1 && partition->id <= entry_count);
	return &entries[partition->id - 1];
}

static void set_state(struct partition_entry *entry, enum partition_state state, const char *reason)
{
	entry->state = state;
	string_copy(entry->reason, sizeof(entry->reason), reason);
	log_printf("%s: %s%s%s", entry->config->name, partition_state_name(state),
		   reason[0] ? ": " : "", reason);
}

static void wake_all(struct partition_entry *entry)
{
	for (unsigned int i = 0; i < entry->config->vcpus; i++) {
		sched_wake(&entry->sched[i]);
	}
}

static void remove_all(struct partition_entry *entry)
{
	for (unsigned int i = 0; i < VCPUS_MAX; i++) {
		sched_remove(&entry->sched[i]);
	}
	entry->restart_at = UINT64_MAX;
	entry->audit_at = UINT64_MAX;
}

/* Takes back everything that belongs to the partition, by the frame table alone (P4). */
static void release(struct partition_entry *entry)
{
	struct partition *partition = entry->partition;

	grants_end(entry); /* while there is an MMU to take them out of; may wake vCPUs */
	remove_all(entry);
	if (partition) {
		entry->past_exits = partition_exits(entry);
		for (unsigned int i = 0; i < partition->vcpu_count; i++) {
			/* I10: no CPU may use a translation of these frames from here on. */
			virt->flush_asid(partition->vcpus[i].virt.asid, 0);
		}
	}
	entry->partition = NULL;
	entry->serial_seen = 0;
	frames_release_owner(entry->id);
}

static int build_and_run(struct partition_entry *entry, struct error_text *error)
{
	struct error_text why = { "" };
	uint64_t start = rdtsc();
	int status;

	release(entry);
	status = partition_build(entry, &why);
	entry->build_ticks = rdtsc() - start;
	if (status) {
		release(entry);
		set_state(entry, PARTITION_STOPPED, why.text);
		return error_set(error, status, "%s: %s", entry->config->name, why.text);
	}
	entry->has_exit_status = false;
	entry->start_count++;
	set_state(entry, PARTITION_RUNNING, "");
	wake_all(entry);
	return 0;
}

static int check_startable(const struct partition_entry *entry, struct error_text *error)
{
	if (!entry->config->valid) {
		return error_set(error, -EINVAL, "%s: %s", entry->config->name, entry->reason);
	}
	if (!machine_can_run) {
		return error_set(error, -ENODEV,
				 "%s: this machine offers no virtualisation (see the log)",
				 entry->config->name);
	}
	return 0;
}

int partition_start(struct partition_entry *entry, struct error_text *error)
{
	int status = check_startable(entry, error);

	if (status) {
		return status;
	}
	if (entry->state == PARTITION_RUNNING || entry->state == PARTITION_PAUSED) {
		return error_set(error, -EBUSY, "%s is %s: stop it first, or use restart",
				 entry->config->name, partition_state_name(entry->state));
	}
	return build_and_run(entry, error);
}

/* The common refusal: the verb needs one of two states. */
static int wrong_state(const struct partition_entry *entry, const char *expected,
		       struct error_text *error)
{
	return error_set(error, -EINVAL, "%s is %s, expected %s", entry->config->name,
			 partition_state_name(entry->state), expected);
}

int partition_stop(struct partition_entry *entry, struct error_text *error)
{
	bool restart_pending = entry->restart_at != UINT64_MAX;

	if (entry->state != PARTITION_RUNNING && entry->state != PARTITION_PAUSED &&
	    !restart_pending) {
		return wrong_state(entry, "running or paused", error);
	}
	remove_all(entry);
	set_state(entry, PARTITION_STOPPED, "by the operator");
	return 0;
}

int partition_pause(struct partition_entry *entry, struct error_text *error)
{
	if (entry->state != PARTITION_RUNNING) {
		return wrong_state(entry, "running", error);
	}
	for (unsigned int i = 0; i < VCPUS_MAX; i++) {
		sched_remove(&entry->sched[i]);
	}
	set_state(entry, PARTITION_PAUSED, "");
	return 0;
}

int partition_resume(struct partition_entry *entry, struct error_text *error)
{
	if (entry->state != PARTITION_PAUSED) {
		return wrong_state(entry, "paused", error);
	}
	set_state(entry, PARTITION_RUNNING, "");
	wake_all(entry);
	return 0;
}

int partition_restart(struct partition_entry *entry, struct error_text *error)
{
	int status = check_startable(entry, error);

	return status ? status : build_and_run(entry, error);
}

void partition_destroy(struct partition_entry *entry)
{
	release(entry);
	if (entry->config->valid) {
		set_state(entry, PARTITION_STOPPED, "destroyed by the operator");
	}
}

/* P8: the same cause again and again is one fingerprint with a count. */
static void count_fingerprint(struct partition_entry *entry)
{
	const struct bug_record *record = bug_first(&entry->partition->bug);
	char fingerprint[FINGERPRINT_MAX];

	if (!record) {
		return;
	}
	string_format(fingerprint, sizeof(fingerprint), "%s@%s:%u", rule_name(record->site->rule),
		      record->site->file, record->site->line);
	if (strcmp(fingerprint, entry->fingerprint) != 0) {
		string_copy(entry->fingerprint, sizeof(entry->fingerprint), fingerprint);
		entry->fingerprint_count = 0;
	}
	entry->fingerprint_count++;
}

static void apply_bug_policy(struct partition_entry *entry)
{
	uint64_t delay = BACKOFF_FIRST_US;

	if (entry->config->on_bug != ON_BUG_RESTART) {
		return;
	}
	if (entry->bug_restarts >= entry->config->max_restarts) {
		log_printf("%s: all %u restarts after a bug are used up, it stays halted",
			   entry->config->name, entry->config->max_restarts);
		return;
	}
	for (unsigned int i = 0; i < entry->bug_restarts && delay < BACKOFF_LAST_US; i++) {
		delay *= 2;
	}
	delay = MIN(delay, BACKOFF_LAST_US);
	entry->bug_restarts++;
	entry->restart_at = rdtsc() + tsc_from_us(delay);
	log_printf("%s: restart %u of %u in %llu ms", entry->config->name, entry->bug_restarts,
		   entry->config->max_restarts, (unsigned long long)(delay / 1000));
}

static void restart_now(struct partition_entry *entry)
{
	struct error_text error;

	entry->restart_at = UINT64_MAX;
	(void)!build_and_run(entry, &error); /* which logs why, too */
}

/*
 * A guest's reset is a fresh boot. Building a partition is work that the others pay for, so
 * each reset costs RESET_SHARE times what the last building took, and who has run up more
 * than one reset (or RESET_BURST_US) at a time waits for it to pass: over time no guest
 * makes the machine spend more than that share on rebuilding it.
 */
static void reset_by_guest(struct partition_entry *entry)
{
	uint64_t now = rdtsc();
	uint64_t cost = MAX(entry->build_ticks * RESET_SHARE, tsc_from_us(RESET_LEAST_US));
	uint64_t burst = MAX(cost, tsc_from_us(RESET_BURST_US));

	log_printf("%s: restarting: %s", entry->config->name, entry->partition->stop_reason);
	entry->reset_debt = MAX(entry->reset_debt, now) + cost;
	if (entry->reset_debt - now <= burst) {
		restart_now(entry);
		return;
	}
	set_state(entry, PARTITION_OFF, "resets itself too often; restarts in a while");
	entry->restart_at = entry->reset_debt - burst;
}

static void ended_by_guest(struct partition_entry *entry)
{
	const struct partition *partition = entry->partition;

	switch (partition->stop) {
	case STOP_DEBUG_EXIT:
		entry->has_exit_status = true;
		entry->exit_status = partition->stop_status;
		set_state(entry, PARTITION_OFF, partition->stop_reason);
		return;
	case STOP_POWER_OFF:
		set_state(entry, PARTITION_OFF, partition->stop_reason);
		return;
	case STOP_RESET:
		reset_by_guest(entry);
		return;
	case STOP_CRASH:
	case STOP_NONE:
		break;
	}
	set_state(entry, PARTITION_CRASHED, partition->stop_reason);
}

/* An injection that nothing has run into yet is looked for. */
static void audit_after_injection(struct partition_entry *entry)
{
	struct mmu_audit audit;
	uint64_t violations;

	entry->audit_at = UINT64_MAX;
	if (!entry->partition || bug_is_set(&entry->partition->bug)) {
		return;
	}
	violations = mmu_audit(&entry->partition->mmu, &audit);
	log_printf("%s: audit after the injection: %llu violations", entry->config->name,
		   (unsigned long long)violations);
}

void partition_ended(struct partition_entry *entry)
{
	bool was_alive = entry->state == PARTITION_RUNNING || entry->state == PARTITION_PAUSED;

	if (entry->audit_at != UINT64_MAX) { /* it ended of what was injected? */
		audit_after_injection(entry);
	}
	if (bug_is_set(&entry->partition->bug)) {
		grants_end(entry); /* before its vCPUs are taken off: it may wake them */
	}
	remove_all(entry);
	if (!bug_is_set(&entry->partition->bug)) {
		ended_by_guest(entry);
		return;
	}
	bugged_report(entry);
	count_fingerprint(entry);
	set_state(entry, PARTITION_BUGGED, entry->fingerprint);
	if (was_alive) { /* what the operator stopped stays stopped */
		apply_bug_policy(entry);
	}
}

void partition_do_due_work(uint64_t now)
{
	for (unsigned int i = 0; i < entry_count; i++) {
		struct partition_entry *entry = &entries[i];

		if (entry->audit_at <= now) {
			audit_after_injection(entry);
			if (entry->partition && entry->state != PARTITION_BUGGED &&
			    bug_is_set(&entry->partition->bug)) {
				partition_ended(entry);
			}
		}
		if (entry->restart_at <= now) {
			restart_now(entry);
		}
		if (entry->partition) {
			(void)mmu_work(&entry->partition->mmu, MMU_WORK_BUDGET);
		}
		background_audit(entry, now);
	}
}

uint64_t partition_next_work(void)
{
	uint64_t earliest = UINT64_MAX;

	for (unsigned int i = 0; i < entry_count; i++) {
		uint64_t audit = background_next(&entries[i]);

		earliest = MIN(earliest, MIN(entries[i].audit_at, entries[i].restart_at));
		earliest = MIN(earliest, audit);
	}
	return earliest;
}

bool partition_is_parked(const struct partition_entry *entry)
{
	bool parked = false;

	for (unsigned int i = 0; entry->partition && i < entry->partition->vcpu_count; i++) {
		parked |= entry->partition->vcpus[i].fault.parked;
	}
	return parked && entry->state == PARTITION_RUNNING;
}

uint64_t partition_exits(const struct partition_entry *entry)
{
	uint64_t exits = entry->past_exits;

	for (unsigned int i = 0; entry->partition && i < entry->partition->vcpu_count; i++) {
		exits += entry->partition->vcpus[i].loops;
	}
	return exits;
}

uint64_t partition_memory(const struct partition_entry *entry)
{
	return entry->partition ? frames_count_owner(entry->id) * PAGE_SIZE : 0;
}

bool partition_serial_input(struct partition_entry *entry, uint8_t byte)
{
	if (!entry->partition ||
	    (entry->state != PARTITION_RUNNING && entry->state != PARTITION_PAUSED)) {
		return true; /* nobody is there to read it: dropped, as on an unplugged line */
	}
	if (!vdevs_serial_input(&entry->partition->devices, byte)) {
		return false;
	}
	if (entry->state == PARTITION_RUNNING) {
		sched_wake(&entry->sched[0]);
	}
	return true;
}
