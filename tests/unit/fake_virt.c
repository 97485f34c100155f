/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_virt.h. */
#include "tests/unit/fake_virt.h"

#include <stdlib.h>

#include "arch/x86/tsc.h"
#include "hv/cpuid_policy.h"
#include "hv/hypercall.h"
#include "tests/unit/harness.h"

#define ARENA_SIZE (UINT64_C(32) << 20)
#define POOL_BASE (UINT64_C(1) << 20)
#define POOL_PAGES 1024
#define GUEST_BASE (UINT64_C(8) << 20) /* host-physical: RAM, then ROM */
#define EXTRA_PAGES 64
#define EXTRA_BASE (ARENA_SIZE - EXTRA_PAGES * PAGE_SIZE) /* slots that tests add */
#define OWNER 3

struct fake_machine machine;
struct virt_caps virt_caps;
static uint64_t random_state;

static void set_rip(struct virt_vcpu *vcpu, uint64_t rip)
{
	(void)vcpu;
	machine.rip = rip;
}

static uint64_t get_rsp(struct virt_vcpu *vcpu)
{
	(void)vcpu;
	return machine.rsp;
}

static void set_rsp(struct virt_vcpu *vcpu, uint64_t rsp)
{
	(void)vcpu;
	machine.rsp = rsp;
}

static uint64_t get_rflags(struct virt_vcpu *vcpu)
{
	(void)vcpu;
	return machine.paging.rflags;
}

static void set_rflags(struct virt_vcpu *vcpu, uint64_t rflags)
{
	(void)vcpu;
	machine.paging.rflags = rflags;
}

static void get_paging(struct virt_vcpu *vcpu, struct virt_paging *paging)
{
	(void)vcpu;
	*paging = machine.paging;
}

static void get_segment(struct virt_vcpu *vcpu, enum segment which, struct segment_state *out)
{
	(void)vcpu;
	assert_true(which < SEGMENT_COUNT);
	*out = machine.segment[which];
}

static void set_crs(struct virt_vcpu *vcpu, const struct virt_paging *paging, const uint64_t *pdpte)
{
	(void)vcpu;
	machine.paging = *paging;
	machine.crs_set++;
	machine.pdpte_set = pdpte != NULL;
	if (pdpte) {
		memcpy(machine.pdpte, pdpte, sizeof(machine.pdpte));
	}
}

static void set_pat(struct virt_vcpu *vcpu, uint64_t pat)
{
	(void)vcpu;
	machine.pat = pat;
}

static void set_tsc_offset(struct virt_vcpu *vcpu, uint64_t offset)
{
	(void)vcpu;
	machine.tsc_offset = offset;
}

static void inject_exception(struct virt_vcpu *vcpu, const struct exit_exception *exception)
{
	(void)vcpu;
	machine.injected++;
	machine.exception = *exception;
}

/* What handlers of exits do not call stays NULL. */
static const struct virt_ops fake_ops = {
	.name = "fake",
	.set_rip = set_rip,
	.get_rsp = get_rsp,
	.set_rsp = set_rsp,
	.get_rflags = get_rflags,
	.set_rflags = set_rflags,
	.get_paging = get_paging,
	.get_segment = get_segment,
	.set_crs = set_crs,
	.set_pat = set_pat,
	.set_tsc_offset = set_tsc_offset,
	.inject_exception = inject_exception,
};
const struct virt_ops *virt = &fake_ops;

uint64_t virt_xcr0_mask(void)
{
	return machine.xcr0_mask;
}

bool virt_xsavec_works(void)
{
	return machine.xsavec_works;
}

uint64_t virt_get_xcr0(void)
{
	return machine.xcr0;
}

void virt_set_xcr0(uint64_t value)
{
	machine.xcr0 = value;
}

uint64_t tsc_hz(void)
{
	return machine.tsc_hz;
}

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
	fail_msg("the partition is bugged: %s", rule_name(record->site->rule));
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
static const struct mmu_ops mmu_ops = { flush, kick };

static void give(uint64_t start, uint64_t end)
{
	struct frame_info ours = { .owner = OWNER, .state = FRAME_PRIVATE };
	struct frame_info free_frame = { .owner = OWNER_MACHINE, .state = FRAME_HYPERVISOR };

	for (uint64_t at = start; at < end; at += PAGE_SIZE) {
		assert_true(frame_change(hpa_to_pfn(hpa(at)), free_frame, ours));
	}
}

static void slot(unsigned int id, uint64_t address, uint64_t pages, uint64_t host, uint32_t flags)
{
	struct memslot_config config = { id, gpa_to_gfn(gpa(address)), pages, hpa_to_pfn(hpa(host)),
					 flags };
	struct error_text error;

	assert_int_equal(mmu_slot_create(&machine.partition.mmu, &config, &error), 0);
}

static void start_mmu(struct partition *partition)
{
	struct frame_range all = { pfn(0), hpa_to_pfn(hpa(ARENA_SIZE)) };
	struct mmu_config config = {
		.format = &npt_format,
		.maxphyaddr = FAKE_MAXPHYADDR,
		.large_1g = true,
		.accessed_dirty = true,
		.pool = &partition->pool,
		.bug = &partition->bug,
		.owner = OWNER,
		.ops = &mmu_ops,
	};

	machine.frame_table = malloc(frames_table_size(all.end));
	frames_init(machine.frame_table, all.end, &all, 1);
	frames_reserve(all.start, all.end);
	pool_init(&partition->pool, (uint8_t *)machine.arena + POOL_BASE, POOL_PAGES);
	bug_state_init(&partition->bug, &bug_ops);
	assert_int_equal(mmu_init(&partition->mmu, &config), 0);
	give(GUEST_BASE, GUEST_BASE + FAKE_ROM_END);
	give(EXTRA_BASE, EXTRA_BASE + EXTRA_PAGES * PAGE_SIZE);
	slot(0, 0, FAKE_RAM / PAGE_SIZE, GUEST_BASE, 0);
	slot(1, FAKE_ROM, (FAKE_ROM_END - FAKE_ROM) / PAGE_SIZE, GUEST_BASE + FAKE_ROM,
	     (uint32_t)MEMSLOT_READ_ONLY);
}

int fake_start(void **state)
{
	struct partition *partition = &machine.partition;

	(void)state;
	test_log_clear();
	memset(&machine, 0, sizeof(machine));
	random_state = UINT64_C(0x9e3779b97f4a7c15);
	machine.arena = test_arena(ARENA_SIZE);
	partition->id = OWNER;
	memcpy(partition->name, "cell", 5);
	start_mmu(partition);
	machine.vcpu = &partition->vcpus[0];
	machine.vcpu->partition = partition;
	assert_int_equal(mmu_vcpu_init(&machine.vcpu->mmu, &partition->mmu), 0);
	assert_true(mmu_vcpu_root(&machine.vcpu->mmu).v != 0);
	machine.vcpu->fetch.page = FETCH_CACHE_EMPTY;
	partition->vcpu_count = 1;
	machine.tsc_hz = FAKE_TSC_HZ;
	machine.xcr0 = XCR0_X87;
	machine.xcr0_mask = XCR0_X87 | XCR0_SSE | XCR0_AVX;
	machine.xsavec_works = true;
	machine.rip = 0x1000;
	machine.rsp = 0x8000;
	machine.tables_next = FAKE_TABLES + PAGE_SIZE;
	fake_set_mode(FAKE_LONG);
	return 0;
}

int fake_end(void **state)
{
	(void)state;
	free(machine.frame_table);
	free(machine.arena);
	return 0;
}

void fake_set_mode(enum fake_mode mode)
{
	struct virt_paging *paging = &machine.paging;

	*paging = (struct virt_paging){ .cr0 = CR0_ET | CR0_NE, .rflags = RFLAGS_FIXED };
	if (mode >= FAKE_PROTECTED) {
		paging->cr0 |= CR0_PE;
		paging->cs_rights |= SEGMENT_RIGHTS_DB;
	}
	if (mode >= FAKE_PAGED) {
		paging->cr0 |= CR0_PG | CR0_WP;
		paging->cr3 = FAKE_TABLES;
	}
	if (mode >= FAKE_PAE) {
		paging->cr4 |= CR4_PAE;
		paging->efer |= EFER_NXE;
	}
	if (mode >= FAKE_COMPATIBILITY) {
		paging->efer |= EFER_LME | EFER_LMA;
	}
	if (mode == FAKE_LONG) {
		paging->cs_rights = SEGMENT_RIGHTS_L;
	}
}

void *fake_ram(uint64_t address)
{
	assert_true(address < FAKE_ROM_END);
	return hpa_to_ptr(hpa(GUEST_BASE + address));
}

uint64_t *fake_map(uint64_t linear, uint64_t address, uint64_t flags)
{
	uint64_t *entry = NULL;
	uint64_t table = FAKE_TABLES;

	for (unsigned int level = 4; level > 0; level--) {
		entry = (uint64_t *)fake_ram(table) + (linear >> (3 + 9 * level) & 0x1ff);
		if (level > 1 && *entry == 0) {
			assert_true(machine.tables_next < FAKE_TABLES_END);
			*entry = machine.tables_next | PTE_P | PTE_W | PTE_U;
			machine.tables_next += PAGE_SIZE;
		}
		table = *entry & BITS(51, 12);
	}
	*entry = (address & PAGE_MASK) | flags;
	return entry;
}

void fake_slot_add(unsigned int id, uint64_t address, uint64_t pages)
{
	slot(id, address, pages, ptr_to_hpa(fake_slot_memory(id)).v, 0);
}

void fake_slot_remove(unsigned int id)
{
	struct error_text error;

	assert_int_equal(mmu_slot_delete(&machine.partition.mmu, id, &error), 0);
}

void *fake_slot_memory(unsigned int id)
{
	assert_in_range(id, 2, FAKE_LAST_SLOT); /* 8 pages each */
	return hpa_to_ptr(hpa(EXTRA_BASE + (id - 2) * 8 * PAGE_SIZE));
}

void fake_code(uint64_t address, const void *code, size_t size)
{
	memcpy(fake_ram(address), code, size);
}

enum outcome fake_exit(void)
{
	machine.injected = 0;
	machine.vcpu->exit.rip = machine.rip;
	return exit_handle(machine.vcpu);
}

void assert_next(uint64_t rip)
{
	assert_int_equal(machine.injected, 0);
	assert_int_equal(machine.rip, rip);
}

void assert_resumed(uint64_t rip)
{
	assert_next(rip);
}

void assert_injected(unsigned int vector, uint32_t error)
{
	assert_int_equal(machine.injected, 1);
	assert_int_equal(machine.exception.vector, vector);
	assert_int_equal(machine.exception.error, error);
	assert_int_equal(machine.rip, machine.vcpu->exit.rip);
}

void assert_page_fault(uint64_t linear, uint32_t error)
{
	assert_injected(VECTOR_PF, error);
	assert_int_equal(machine.exception.cr2, linear);
}

uint64_t fake_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * UINT64_C(0x2545f4914f6cdd1d);
}

void partition_end(struct partition *partition, enum stop_cause cause, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	string_vformat(partition->stop_reason, sizeof(partition->stop_reason), format, args);
	va_end(args);
	partition->stop = cause;
}

/* What a test leaves out gives way to the real one where it is linked. */
#define ABSENT __attribute__((weak))
#define ABSENT_HANDLER(name)                                      \
	ABSENT enum outcome name(struct vcpu *vcpu)               \
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
ABSENT_HANDLER(exit_hypercall)

ABSENT enum outcome memory_fault_exit(struct vcpu *vcpu, enum memory_fault_reason reason)
{
	(void)vcpu;
	fail_msg("a memory fault (%d) is not part of this test", reason);
	return OUTCOME_FAULT;
}

/* No page is absent here. */
ABSENT bool memory_fault_absent(struct vcpu *vcpu, gpa_t address, size_t size, uint32_t access)
{
	(void)vcpu;
	(void)address;
	(void)size;
	(void)access;
	return false;
}

ABSENT struct cpuid_result hypercall_leaf(const struct partition *partition)
{
	return (struct cpuid_result){ 1, 2, partition->id, 4 };
}

ABSENT unsigned int cpuid_policy_maxphyaddr(void)
{
	return FAKE_MAXPHYADDR;
}
