/* SPDX-License-Identifier: BSD-2-Clause */
/* Setting the machine up and checking what is left of it; see machine.h. */
#include "tests/mmu/machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "lib/log.h"
#include "lib/panic.h"

uintptr_t direct_map_base;

_Noreturn void machine_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fflush(stdout);
	fputs("FAILED: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	abort();
}

/* Who spins waits for a thread that may have no CPU. */
void host_pause(void)
{
	sched_yield();
}

_Noreturn void panic(const char *format, ...)
{
	machine_fail("panic: %s", format);
}

void log_printf(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static unsigned int cpu_number(void)
{
	return 0;
}

static uint64_t now(void)
{
	return 0;
}

static void report(struct bug_state *state, const struct bug_record *record, bool first, bool warn)
{
	const struct bug_detail *detail = &record->detail;

	(void)state;
	(void)first;
	(void)warn;
	machine_fail("%s at %s:%u %s(): %s (view %u level %u gfn 0x%llx spte 0x%llx at 0x%llx)",
		     rule_name(record->site->rule), record->site->file, record->site->line,
		     record->site->function, detail->text ? detail->text : "", detail->view,
		     detail->level, (unsigned long long)detail->gfn,
		     (unsigned long long)detail->spte, (unsigned long long)detail->sptep);
}

static const struct bug_ops bug_ops = { cpu_number, now, report };

static void flush(void *context, const struct mmu_flush *what)
{
	struct machine *machine = context;

	fake_flush(machine->cpu, machine->cpu_count, what);
}

static void kick(void *context)
{
	struct machine *machine = context;

	fake_kick(machine->cpu, machine->cpu_count);
}

static const struct mmu_ops mmu_ops = { flush, kick };

/* See machine.h. */
void machine_boot(void)
{
	struct frame_range all = { pfn(0), pfn(MACHINE_FRAMES) };
	size_t size = (MACHINE_FRAMES << PAGE_SHIFT) + (1 << 30);
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED) {
		machine_fail("no room for the machine's memory");
	}
	direct_map_base = align_up((uintptr_t)memory, UINT64_C(1) << 30);
	frames_init(malloc(frames_table_size(all.end)), all.end, &all, 1);
	frames_reserve(all.start, all.end);
}

/* See machine.h. */
void machine_start(struct machine *machine, const struct machine_options *options)
{
	memset(machine, 0, sizeof(*machine));
	machine->config = (struct mmu_config){
		.format = options->format,
		.maxphyaddr = 40,
		.large_1g = options->large_1g,
		.accessed_dirty = options->accessed_dirty,
		.pool = &machine->pool,
		.bug = &machine->bug,
		.owner = MACHINE_OWNER,
		.ops = &mmu_ops,
		.context = machine,
	};
	bug_state_init(&machine->bug, &bug_ops);
	pool_init(&machine->pool, hpa_to_ptr(hpa(MACHINE_POOL)), options->pool_pages);
	if (mmu_init(&machine->mmu, &machine->config)) {
		machine_fail("no memory for the MMU itself");
	}
	machine->pool_pages = machine->pool.used_count - 1; /* but for the first root */
	for (unsigned int i = 0; i < options->cpu_count; i++) {
		fake_init(&machine->cpu[i], &machine->config);
		if (mmu_vcpu_init(&machine->cpu[i].vcpu, &machine->mmu)) {
			machine_fail("no memory for a vCPU");
		}
	}
	machine->cpu_count = options->cpu_count;
}

/* Pages of chain lines stay cut up; all of their lines must be spare by now. */
static size_t spare_pages(const struct mmu *mmu)
{
	size_t lines = mmu->cache.line ? 1 : 0;

	for (const struct rmap_line *line = mmu->rmap.spare; line; line = line->next) {
		lines++;
	}
	if (lines % (PAGE_SIZE / sizeof(struct rmap_line)) != 0) {
		machine_fail("%zu chain lines are back, which are no whole pages", lines);
	}
	return lines / (PAGE_SIZE / sizeof(struct rmap_line));
}

/* See machine.h. */
void machine_end(struct machine *machine)
{
	struct mmu *mmu = &machine->mmu;
	struct error_text error;
	size_t expected;

	for (unsigned int i = 0; i < machine->cpu_count; i++) {
		mmu_vcpu_leave(&machine->cpu[i].vcpu);
	}
	machine->pool.fail_at = 0;
	for (unsigned int id = 0; id < MEMSLOTS_MAX; id++) {
		int status = mmu_slot_delete(mmu, id, &error);

		if (status != 0 && status != -ENOENT) {
			machine_fail("slot %u cannot be deleted: %d", id, status);
		}
	}
	for (unsigned int view = 1; view < MMU_VIEWS_MAX; view++) {
		int status = mmu_view_destroy(mmu, view, &error);

		if (status != 0 && status != -ENOENT) {
			machine_fail("view %u cannot be destroyed: %d", view, status);
		}
	}
	mmu_zap_all(mmu);
	while (mmu_work(mmu, 1 << 16)) {
	}
	machine_audit(machine);
	expected = machine->pool_pages + spare_pages(mmu) + mmu->cache.count;
	if (machine->pool.used_count != expected || machine->pool.refused_count != 0) {
		machine_fail("%zu pages of the pool are in use at the end instead of %zu",
			     machine->pool.used_count, expected);
	}
	memset(machine->pool.base, 0, machine->pool.next * PAGE_SIZE);
}

/* See machine.h. A finding ends the program by the report. */
void machine_audit(struct machine *machine)
{
	struct mmu_audit audit;

	if (mmu_audit(&machine->mmu, &audit) != 0) {
		machine_fail("the audit finds %llu violations",
			     (unsigned long long)audit.violations);
	}
}

/* See machine.h. */
void machine_hand_over(pfn_t frame, owner_t from, owner_t to)
{
	struct frame_info before = { .owner = from, .state = FRAME_PRIVATE };
	struct frame_info after = { .owner = to, .state = FRAME_PRIVATE };

	before.state = from == OWNER_MACHINE ? FRAME_HYPERVISOR : FRAME_PRIVATE;
	after.state = to == OWNER_MACHINE ? FRAME_HYPERVISOR : FRAME_PRIVATE;
	if (!frame_change(frame, before, after)) {
		machine_fail("pfn 0x%llx is not owner %u's", (unsigned long long)frame.v, from);
	}
}

/* See machine.h. */
void *machine_ptr(hpa_t address)
{
	if (address.v >= MACHINE_FRAMES << PAGE_SHIFT) {
		machine_fail("a CPU reads at hpa 0x%llx, where no memory is",
			     (unsigned long long)address.v);
	}
	return hpa_to_ptr(address);
}

/* The first word of a frame. */
_Atomic uint64_t *machine_word(pfn_t frame)
{
	return machine_ptr(pfn_to_hpa(frame));
}
