/* SPDX-License-Identifier: BSD-2-Clause */
/* See cells.h. */
#include "tests/unit/cells.h"

#include <stdlib.h>

#include "hv/cpuid_policy.h"
#include "hv/gate.h"
#include "hv/sched.h"
#include "tests/unit/harness.h"

#define ARENA_SIZE (UINT64_C(32) << 20)
#define POOL_PAGES 512
#define SPARE_FRAMES 64 /* free ones, beyond what the cells have */

struct cells cells;
struct virt_caps virt_caps;
static const char *const names[CELLS] = { "one", "two", "three" };

/* The CPU. */

static void set_rip(struct virt_vcpu *vcpu, uint64_t rip)
{
	(void)vcpu;
	cells.rip = rip;
}

static uint64_t get_rflags(struct virt_vcpu *vcpu)
{
	(void)vcpu;
	return cells.paging.rflags;
}

static void get_paging(struct virt_vcpu *vcpu, struct virt_paging *paging)
{
	(void)vcpu;
	*paging = cells.paging;
}

static void inject_exception(struct virt_vcpu *vcpu, const struct exit_exception *exception)
{
	(void)vcpu;
	cells.injected++;
	cells.exception = *exception;
}

static void flush_asid(uint32_t asid, uint64_t root)
{
	(void)asid;
	(void)root;
	cells.flushes++;
}

static hpa_t get_root(struct virt_vcpu *vcpu)
{
	(void)vcpu;
	return cells.root;
}

static void set_view_list(struct virt_vcpu *vcpu, const hpa_t *roots, unsigned int count)
{
	(void)vcpu;
	assert_null(roots);
	assert_int_equal(count, 0);
	cells.lists++;
}

static const struct virt_ops ops = {
	.name = "SVM",
	.set_rip = set_rip,
	.get_rflags = get_rflags,
	.get_paging = get_paging,
	.inject_exception = inject_exception,
	.flush_asid = flush_asid,
	.get_root = get_root,
	.set_view_list = set_view_list,
};
const struct virt_ops *virt = &ops;

/* The rest of the hypervisor. */

unsigned int partitions_count(void)
{
	return CELLS;
}

struct partition_entry *partition_at(unsigned int index)
{
	assert_true(index < CELLS);
	return &cells.entry[index];
}

struct partition_entry *partition_entry_of(const struct partition *partition)
{
	return partition_at(partition->id - 1u);
}

struct partition_entry *partition_find(const char *name)
{
	for (unsigned int i = 0; i < CELLS; i++) {
		if (strcmp(name, names[i]) == 0) {
			return &cells.entry[i];
		}
	}
	return NULL;
}

void partition_end(struct partition *partition, enum stop_cause cause, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	string_vformat(partition->stop_reason, sizeof(partition->stop_reason), format, args);
	va_end(args);
	partition->stop = cause;
}

void sched_wake(struct sched_entity *entity)
{
	cells.wakes[entity->entry->id - 1]++;
}

void sched_load(struct sched_entity *entity)
{
	(void)entity;
}

void vlapic_accept(struct vlapic *vlapic, enum apic_delivery mode, uint8_t vector, bool level)
{
	assert_int_equal(mode, APIC_FIXED);
	assert_false(level);
	for (unsigned int i = 0; i < CELLS; i++) {
		cells.interrupts[i] += vlapic == &cells.partition[i].devices.vlapic;
	}
	cells.vector = vector;
}

static void serial_output(struct vdev_host *host, uint8_t byte)
{
	(void)host;
	assert_true(cells.output_length < sizeof(cells.output));
	cells.output[cells.output_length++] = (char)byte;
}

unsigned int cpuid_policy_maxphyaddr(void)
{
	return 40;
}

#define ABSENT_HANDLER(name)                                      \
	enum outcome name(struct vcpu *vcpu)                      \
	{                                                         \
		(void)vcpu;                                       \
		fail_msg("%s() is not part of this test", #name); \
		return OUTCOME_STOP;                              \
	}

ABSENT_HANDLER(exit_cpuid)
ABSENT_HANDLER(exit_msr_read)
ABSENT_HANDLER(exit_msr_write)
ABSENT_HANDLER(exit_cr_access)
ABSENT_HANDLER(exit_xsetbv)
ABSENT_HANDLER(exit_io)
ABSENT_HANDLER(exit_mmio)

static unsigned int bug_cpu(void)
{
	return 0;
}

static uint64_t bug_now(void)
{
	return 0;
}

static void bug_report(struct bug_state *state, const struct bug_record *record, bool first,
		       bool warn)
{
	(void)state;
	(void)first;
	(void)warn;
	cells.bugs++;
	if (!cells.bugs_expected) {
		fail_msg("rule %s: %s", rule_name(record->site->rule),
			 record->detail.text ? record->detail.text : record->site->condition);
	}
}

static void flush(void *context, const struct mmu_flush *what)
{
	(void)context;
	(void)what;
}

static void kick(void *context)
{
	(void)context;
}

static const struct bug_ops bug_ops = { bug_cpu, bug_now, bug_report };
static const struct mmu_ops mmu_ops = { .flush = flush, .kick = kick };

/* Partitions. */

static void slot(struct partition *partition, unsigned int id, uint64_t first, uint64_t count,
		 uint32_t flags)
{
	struct memslot_config config = {
		.id = id, .gfn = gfn(first), .page_count = count, .flags = flags
	};
	struct error_text error;

	assert_int_equal(frames_alloc(count, 1, partition->id, FRAME_PRIVATE, &config.pfn), 0);
	assert_int_equal(mmu_slot_create(&partition->mmu, &config, &error), 0);
	if (flags & MEMSLOT_ABSENT) {
		assert_int_equal(memory_fault_hold(partition, config.pfn, count), 0);
	}
}

static void build(unsigned int index)
{
	struct partition_entry *entry = &cells.entry[index];
	struct partition *partition = &cells.partition[index];
	struct vcpu *vcpu = &partition->vcpus[0];
	struct mmu_config config = {
		.format = &npt_format,
		.maxphyaddr = 40,
		.large_1g = true,
		.accessed_dirty = true,
		.pool = &partition->pool,
		.bug = &partition->bug,
		.owner = (owner_t)(index + 1),
		.ops = &mmu_ops,
	};
	pfn_t pool;

	string_copy(cells.config[index].name, PARTITION_NAME_MAX, names[index]);
	entry->id = (owner_t)(index + 1);
	entry->config = &cells.config[index];
	entry->state = PARTITION_RUNNING;
	entry->partition = partition;
	entry->sched[0].entry = entry;
	partition->id = entry->id;
	partition->vcpu_count = 1;
	partition->devices.host.serial_output = serial_output;
	assert_int_equal(frames_alloc(POOL_PAGES, 1, entry->id, FRAME_POOL, &pool), 0);
	pool_init(&partition->pool, hpa_to_ptr(pfn_to_hpa(pool)), POOL_PAGES);
	bug_state_init(&partition->bug, &bug_ops);
	assert_int_equal(mmu_init(&partition->mmu, &config), 0);
	assert_int_equal(mmu_vcpu_init(&partition->core_reads, &partition->mmu), 0);
	assert_int_equal(mmu_vcpu_init(&vcpu->mmu, &partition->mmu), 0);
	slot(partition, 0, 0, CELL_PAGES, 0);
	slot(partition, 1, CELL_LAZY, CELL_LAZY_PAGES, (uint32_t)MEMSLOT_ABSENT);
	slot(partition, 2, CELL_ROM, 4, (uint32_t)MEMSLOT_READ_ONLY);
	vcpu->partition = partition;
	vcpu->fetch.page = FETCH_CACHE_EMPTY;
	vcpu->loops = 1;
}

int cells_start(void **state)
{
	struct frame_range all = { pfn(0), hpa_to_pfn(hpa(ARENA_SIZE)) };
	uint64_t used = CELLS * (POOL_PAGES + CELL_PAGES + CELL_LAZY_PAGES + 4) + 1;

	(void)state;
	test_log_clear();
	memset(&cells, 0, sizeof(cells));
	cells.arena = test_arena(ARENA_SIZE);
	cells.frame_table = aligned_alloc(64, align_up(frames_table_size(all.end), 64));
	frames_init(cells.frame_table, all.end, &all, 1);
	frames_reserve(pfn(0), pfn(1));
	frames_reserve(pfn(used + SPARE_FRAMES), all.end);
	cells.paging = (struct virt_paging){ .cr0 = CR0_PE | CR0_ET,
					     .efer = EFER_LMA | EFER_LME,
					     .cs_rights = SEGMENT_RIGHTS_L,
					     .rflags = RFLAGS_FIXED };
	for (unsigned int i = 0; i < CELLS; i++) {
		build(i);
	}
	return 0;
}

int cells_end(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < CELLS; i++) {
		grants_end(&cells.entry[i]);
	}
	free(cells.frame_table);
	free(cells.arena);
	return 0;
}

struct vcpu *cell_vcpu(unsigned int cell)
{
	return &cells.partition[cell].vcpus[0];
}

uint64_t cell_frame(unsigned int cell, uint64_t page)
{
	struct partition *partition = &cells.partition[cell];
	pfn_t frame;
	int status;

	mmu_read_begin(&partition->core_reads);
	status = mmu_page_lookup(&partition->mmu, gfn(page), &frame);
	mmu_read_end(&partition->core_reads);
	return status ? UINT64_MAX : frame.v;
}

uint8_t *cell_memory(unsigned int cell, uint64_t address)
{
	uint64_t frame = cell_frame(cell, address / PAGE_SIZE);

	assert_true(frame != UINT64_MAX);
	return (uint8_t *)hpa_to_ptr(pfn_to_hpa(pfn(frame))) + address % PAGE_SIZE;
}

enum mmu_result cell_touch(unsigned int cell, uint64_t address, unsigned int access)
{
	struct vcpu *vcpu = cell_vcpu(cell);
	enum mmu_result result;

	assert_true(mmu_vcpu_root(&vcpu->mmu).v != 0);
	mmu_read_begin(&vcpu->mmu);
	result = mmu_fault(&vcpu->mmu, gpa(address), access);
	mmu_read_end(&vcpu->mmu);
	return result;
}

enum outcome cell_try(unsigned int cell, enum bulkhead_call number, uint64_t a, uint64_t b,
		      uint64_t c, uint64_t d)
{
	struct vcpu *vcpu = cell_vcpu(cell);
	uint64_t *gpr = vcpu->virt.regs.gpr;
	enum outcome outcome;

	vcpu->loops++;
	vcpu->exit =
		(struct exit){ .kind = EXIT_HYPERCALL, .rip = CELL_RIP, .instruction_length = 3 };
	cells.rip = CELL_RIP;
	gpr[GPR_RAX] = (uint64_t)number;
	gpr[GPR_RBX] = a;
	gpr[GPR_RCX] = b;
	gpr[GPR_RDX] = c;
	gpr[GPR_RSI] = d;
	mmu_read_begin(&vcpu->mmu);
	outcome = exit_handle(vcpu);
	mmu_read_end(&vcpu->mmu);
	if (outcome == OUTCOME_LATER) {
		outcome = hypercall_later(vcpu);
	}
	if (outcome == OUTCOME_FAULT) {
		memory_fault_park(vcpu);
	}
	if (vcpu->gate != GATE_NONE) {
		gate_serve(vcpu);
	}
	assert_int_equal(vcpu->gate, GATE_NONE);
	return vcpu->fault.parked ? OUTCOME_FAULT : outcome;
}

int64_t cell_call(unsigned int cell, enum bulkhead_call number, uint64_t a, uint64_t b, uint64_t c,
		  uint64_t d)
{
	assert_int_not_equal(cell_try(cell, number, a, b, c, d), OUTCOME_FAULT);
	assert_true(cells.rip == CELL_RIP + 3);
	return (int64_t)cell_vcpu(cell)->virt.regs.gpr[GPR_RAX];
}
