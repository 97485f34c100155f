/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A partition's MMU in a small machine of its own, for host tests: 16 MiB of memory that
 * exists (the pool lies in it), 3 GiB of frames that exist only in the frame table, a
 * bugged state that counts, and a flush hook that counts. The MMU never touches guest
 * memory, so guest frames need not be there. Tests start hundreds of these: what a test does
 * not touch costs nothing.
 */
#ifndef TESTS_UNIT_MMU_FIXTURE_H
#define TESTS_UNIT_MMU_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <sys/mman.h>

#include <cmocka.h>

#include "lib/string.h"
#include "mm/frame_words.h"
#include "mm/mmu.h"
#include "mm/table.h"
#include "tests/unit/harness.h"

#define FIXTURE_FRAMES (UINT64_C(3) << 18)
#define FIXTURE_ARENA ((size_t)16 << 20)
#define FIXTURE_OWNER 3
#define FIXTURE_POOL_BASE (UINT64_C(1) << 20)
#define FIXTURE_POOL_PAGES 1024

struct fixture {
	void *space; /* that the arena lies in */
	void *arena;
	void *frame_table;
	struct pool pool;
	struct bug_state bug;
	struct mmu mmu;
	struct mmu_vcpu vcpu; /* the one that faults, unless a test has more */
	unsigned int flush_count;
	unsigned int kick_count;
	struct mmu_flush last_flush;
	unsigned int report_count;
	unsigned int warn_count;
};

static inline unsigned int fixture_cpu(void)
{
	return 0;
}

static inline uint64_t fixture_now(void)
{
	return 42;
}

static inline void fixture_report(struct bug_state *state, const struct bug_record *record,
				  bool first, bool warn)
{
	struct fixture *fixture = container_of(state, struct fixture, bug);

	(void)record;
	(void)first;
	fixture->report_count++;
	fixture->warn_count += warn;
}

static inline void fixture_flush(void *context, const struct mmu_flush *what)
{
	struct fixture *fixture = context;

	fixture->flush_count++;
	fixture->last_flush = *what;
}

static inline void fixture_kick(void *context)
{
	((struct fixture *)context)->kick_count++;
}

static const struct bug_ops fixture_bug_ops = { fixture_cpu, fixture_now, fixture_report };
static const struct mmu_ops fixture_mmu_ops = { fixture_flush, fixture_kick };

/* Gives [start, start + count), the machine's until now, to `owner` as guest memory. */
static inline void fixture_give(uint64_t start, uint64_t count, owner_t owner)
{
	struct frame_info machine = { .owner = OWNER_MACHINE, .state = FRAME_HYPERVISOR };

	assert_true(frames_all(pfn(start), count, machine));
	words_set(start, start + count, word_make(owner, FRAME_PRIVATE));
}

/* Frames [0, end), all of them the machine's, instead of those of before. */
static inline void fixture_frames(struct fixture *fixture, uint64_t end)
{
	free(fixture->frame_table);
	fixture->frame_table = malloc(frames_table_size(pfn(end)));
	assert_non_null(fixture->frame_table);
	frames_init(fixture->frame_table, pfn(end), NULL, 0);
	words_set(0, end, word_make(OWNER_MACHINE, FRAME_HYPERVISOR));
}

#define FIXTURE_ALIGN ((size_t)2 << 20)
#define FIXTURE_SPACE (FIXTURE_ARENA + 2 * FIXTURE_ALIGN)

/* Zeroed memory behind the direct map, and nothing around it. */
static inline void fixture_map(struct fixture *fixture)
{
	uint8_t *space = mmap(NULL, FIXTURE_SPACE, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *arena = (uint8_t *)align_up((uintptr_t)space + 1, FIXTURE_ALIGN);

	assert_true(space != MAP_FAILED);
	assert_int_equal(mprotect(arena, FIXTURE_ARENA, PROT_READ | PROT_WRITE), 0);
	fixture->space = space;
	fixture->arena = arena;
	direct_map_base = (uintptr_t)arena;
}

struct fixture_options {
	const struct spte_format *format;
	unsigned int maxphyaddr; /* 0: 40 */
	bool no_1g;
	size_t pool_pages; /* 0: FIXTURE_POOL_PAGES */
	uint64_t fail_at;
};

static inline int fixture_try(struct fixture *fixture, const struct fixture_options *options)
{
	struct mmu_config config = {
		.format = options->format,
		.maxphyaddr = options->maxphyaddr ? options->maxphyaddr : 40,
		.large_1g = !options->no_1g,
		.accessed_dirty = true,
		.pool = &fixture->pool,
		.bug = &fixture->bug,
		.owner = FIXTURE_OWNER,
		.ops = &fixture_mmu_ops,
		.context = fixture,
	};

	*fixture = (struct fixture){ .arena = NULL };
	fixture_map(fixture);
	fixture_frames(fixture, FIXTURE_FRAMES);
	pool_init(&fixture->pool, (uint8_t *)fixture->arena + FIXTURE_POOL_BASE,
		  options->pool_pages ? options->pool_pages : FIXTURE_POOL_PAGES);
	fixture->pool.fail_at = options->fail_at;
	bug_state_init(&fixture->bug, &fixture_bug_ops);
	if (mmu_init(&fixture->mmu, &config)) {
		return -ENOMEM;
	}
	return mmu_vcpu_init(&fixture->vcpu, &fixture->mmu);
}

static inline void fixture_start(struct fixture *fixture, const struct spte_format *format)
{
	assert_int_equal(fixture_try(fixture, &(struct fixture_options){ .format = format }), 0);
}

static inline void fixture_end(struct fixture *fixture)
{
	free(fixture->frame_table);
	assert_int_equal(munmap(fixture->space, FIXTURE_SPACE), 0);
}

/* The rule that bugged the partition, or RULE_NONE. */
static inline enum rule fixture_rule(struct fixture *fixture)
{
	const struct bug_record *first = bug_first(&fixture->bug);

	return first ? first->site->rule : RULE_NONE;
}

/* Whatever was asked for, no rule broke on the way. */
static inline void assert_not_bugged(struct fixture *fixture)
{
	const struct bug_record *first = bug_first(&fixture->bug);

	if (first) {
		fail_msg("%s: %s (gfn 0x%llx)", rule_name(first->site->rule), first->detail.text,
			 (unsigned long long)first->detail.gfn);
	}
}

static inline void assert_clean(struct fixture *fixture)
{
	struct mmu_audit audit;

	if (mmu_audit(&fixture->mmu, &audit) != 0) {
		fail_msg("%s: %s (gfn 0x%llx)", rule_name(audit.findings[0].rule),
			 audit.findings[0].detail.text,
			 (unsigned long long)audit.findings[0].detail.gfn);
	}
	assert_int_equal(fixture_rule(fixture), RULE_NONE);
}

static inline int fixture_slot(struct fixture *fixture, unsigned int id, uint64_t first_gfn,
			       uint64_t count, uint64_t first_pfn, uint32_t flags)
{
	struct memslot_config config = { id, gfn(first_gfn), count, pfn(first_pfn), flags };
	struct error_text error;

	return mmu_slot_create(&fixture->mmu, &config, &error);
}

/* A fault of one vCPU in the view that it is in, as the hypervisor's loop does it. */
static inline enum mmu_result fixture_fault_of(struct mmu_vcpu *vcpu, uint64_t frame,
					       unsigned int access)
{
	enum mmu_result result;

	if (mmu_vcpu_is_stale(vcpu)) {
		(void)mmu_vcpu_root(vcpu);
	}
	mmu_read_begin(vcpu);
	result = mmu_fault(vcpu, gfn_to_gpa(gfn(frame)), access);
	mmu_read_end(vcpu);
	return result;
}

static inline enum mmu_result fixture_fault(struct fixture *fixture, uint64_t frame,
					    unsigned int access)
{
	return fixture_fault_of(&fixture->vcpu, frame, access);
}

/* A fault in a view, which is made if it does not exist. */
static inline enum mmu_result fixture_fault_in(struct fixture *fixture, unsigned int view,
					       uint64_t frame, unsigned int access)
{
	struct error_text error;
	int status = mmu_view_create(&fixture->mmu, view, &error);

	assert_true(status == 0 || status == -EEXIST || status == -EIO);
	(void)!mmu_view_switch(&fixture->vcpu, view);
	return fixture_fault(fixture, frame, access);
}

static inline enum mmu_result fixture_malformed(struct fixture *fixture, uint64_t frame)
{
	enum mmu_result result;

	if (mmu_vcpu_is_stale(&fixture->vcpu)) {
		(void)mmu_vcpu_root(&fixture->vcpu);
	}
	mmu_read_begin(&fixture->vcpu);
	result = mmu_fault_malformed(&fixture->vcpu, gfn_to_gpa(gfn(frame)));
	mmu_read_end(&fixture->vcpu);
	return result;
}

static inline int fixture_delete(struct fixture *fixture, unsigned int id)
{
	struct error_text error;

	return mmu_slot_delete(&fixture->mmu, id, &error);
}

/* The last entry on the way to a gfn. */
static inline struct mmu_walk_step fixture_walk(struct fixture *fixture, unsigned int view,
						uint64_t frame)
{
	struct mmu_walk walk;

	mmu_walk(&fixture->mmu, view, gfn_to_gpa(gfn(frame)), &walk);
	assert_in_range(walk.count, 1, MMU_LEVELS);
	return walk.steps[walk.count - 1];
}

#endif
