/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the MMU costs, by the size of a partition: bytes of metadata, and instructions of a
 * first-touch fault. mm/ itself, compiled as for the machine, in a Linux program; frames are
 * there in the frame table only. Instructions are counted by single-stepping a child over
 * each mmu_fault(), so the figures repeat exactly. Run by scripts/mmu-table.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/panic.h"
#include "mm/frame_words.h"
#include "mm/mmu.h"
#include "mm/table.h"

#define OWNER 3
#define GIB_FRAMES (UINT64_C(1) << (30 - PAGE_SHIFT)) /* in frames */
#define LARGE_FRAMES UINT64_C(512)
#define RAM GIB_FRAMES /* pfn and gfn of the partition's memory */
#define POOL_BASE UINT64_C(0x100000)
#define POOL_PAGES_MAX (GIB_FRAMES / 2)
#define SAMPLES 256    /* faults that are stepped over, in a row */
#define BEFORE_END 640 /* leaves: in the row, a table is full and the next one begins */
#define SPREAD 2048    /* pages touched all over the partition before */

static const uint64_t sizes[] = { 1, 32, 1024 }; /* GiB */

uintptr_t direct_map_base;

_Noreturn void panic(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

void log_printf(const char *format, ...)
{
	(void)format;
}

static unsigned int which_cpu(void)
{
	return 0;
}

static uint64_t no_time(void)
{
	return 0;
}

static void report(struct bug_state *state, const struct bug_record *record, bool first, bool warn)
{
	(void)state;
	(void)first;
	(void)warn;
	panic("a rule is broken: %s", record->detail.text);
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

/* A partition; its structures are in its pool, as on the machine. */
struct world {
	struct pool pool;
	struct bug_state bug;
	struct mmu *mmu;
	struct mmu_vcpu *vcpu;
};

static struct world world;

static void *map(uint64_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED) {
		panic("out of memory");
	}
	return memory;
}

static void *take(size_t size)
{
	void *memory = pool_alloc_run(&world.pool, align_up(size, PAGE_SIZE) / PAGE_SIZE);

	if (!memory) {
		panic("the pool is too small");
	}
	return memory;
}

/* A frame table for `frames` of guest memory, all of them the partition's. */
static void start_machine(uint64_t frames)
{
	pfn_t end = pfn(RAM + frames + GIB_FRAMES);
	struct frame_range all = { pfn(0), end };

	frames_init(map(frames_table_size(end)), end, &all, 1);
	frames_reserve(all.start, all.end);
	words_set(RAM, end.v, word_make(OWNER, FRAME_PRIVATE));
}

/* One slot of `frames`; `shift` keeps gfn and pfn from being aligned alike. */
static void start(uint64_t frames, uint64_t shift, bool large_1g, size_t pool_pages)
{
	static const struct bug_ops bug_ops = { which_cpu, no_time, report };
	static const struct mmu_ops ops = { flush, kick };
	struct mmu_config config = { .format = &ept_format,
				     .maxphyaddr = 46,
				     .large_1g = large_1g,
				     .accessed_dirty = true,
				     .pool = &world.pool,
				     .bug = &world.bug,
				     .owner = OWNER,
				     .ops = &ops };
	struct memslot_config slot = { 0, gfn(RAM), frames, pfn(RAM + shift), 0 };
	struct error_text error = { "" };

	direct_map_base = (uintptr_t)map(POOL_BASE + pool_pages * PAGE_SIZE);
	pool_init(&world.pool, (void *)(direct_map_base + POOL_BASE), pool_pages);
	bug_state_init(&world.bug, &bug_ops);
	world.mmu = take(sizeof(struct mmu));
	world.vcpu = take(sizeof(struct mmu_vcpu));
	if (mmu_init(world.mmu, &config) || mmu_vcpu_init(world.vcpu, world.mmu) ||
	    mmu_slot_create(world.mmu, &slot, &error) || mmu_vcpu_root(world.vcpu).v == 0) {
		panic("no partition: %s", error.text);
	}
}

static void end(size_t pool_pages)
{
	munmap((void *)direct_map_base, POOL_BASE + pool_pages * PAGE_SIZE);
}

static void touch(uint64_t page)
{
	mmu_read_begin(world.vcpu);
	if (mmu_fault(world.vcpu, gfn_to_gpa(gfn(RAM + page)), MMU_WRITE) != MMU_FIXED) {
		panic("page 0x%llx is not mapped", (unsigned long long)page);
	}
	mmu_read_end(world.vcpu);
}

/* Pages of the pool that a partition needs when all its memory is mapped by such leaves. */
static size_t fill(uint64_t frames, uint64_t leaf, size_t pool_pages)
{
	size_t used;

	start(frames, 0, leaf == GIB_FRAMES, pool_pages);
	for (uint64_t page = 0; page < frames; page += leaf) {
		touch(page);
	}
	used = world.pool.used_count;
	end(pool_pages);
	return used;
}

/* The headers of the pool's pages are part of it, so it is filled twice, the second time tight. */
static uint64_t metadata(uint64_t frames, uint64_t leaf)
{
	const uint64_t share = PAGE_SIZE / sizeof(struct table);
	size_t loose = 65536;
	size_t need = fill(frames, leaf, loose) - loose / share;

	need += need / (share - 1) + 1;
	return fill(frames, leaf, need) * PAGE_SIZE;
}

static void print_metadata(void)
{
	printf("Metadata of a partition all of whose memory is mapped\n\n");
	printf("| memory | leaves | metadata | of the memory |\n|---|---|---|---|\n");
	for (unsigned int i = 0; i < ARRAY_COUNT(sizes) * 2; i++) {
		uint64_t gib = sizes[i / 2];
		uint64_t leaf = i % 2 ? LARGE_FRAMES : GIB_FRAMES;
		uint64_t bytes = metadata(gib * GIB_FRAMES, leaf);
		uint64_t millionths =
			bytes * 100000 / (gib << 30) * 10 + bytes * 1000000 / (gib << 30) % 10;

		printf("| %llu GiB | %s | %llu KiB | %llu.%04llu %% |\n", (unsigned long long)gib,
		       i % 2 ? "2 MiB" : "1 GiB", (unsigned long long)bytes / 1024,
		       (unsigned long long)millionths / 10000,
		       (unsigned long long)millionths % 10000);
		fflush(stdout);
	}
}

/* --- instructions --- */

/* What the child is stepped over: from one marker to the next. */
static __attribute__((noinline)) void marked_fault(uint64_t page)
{
	gpa_t address = gfn_to_gpa(gfn(RAM + page));
	enum mmu_result result;

	mmu_read_begin(world.vcpu);
	__asm__ volatile("int3" ::: "memory");
	result = mmu_fault(world.vcpu, address, MMU_WRITE);
	__asm__ volatile("int3" ::: "memory");
	mmu_read_end(world.vcpu);
	if (result != MMU_FIXED) {
		panic("page 0x%llx is not mapped", (unsigned long long)page);
	}
}

static _Noreturn void child(const uint64_t *pages)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL)) {
		panic("no ptrace");
	}
	for (unsigned int i = 0; i < SAMPLES; i++) {
		marked_fault(pages[i]);
	}
	_exit(0);
}

/* Runs the child until it stops; false: it has ended. */
static bool resume(pid_t pid, bool step, siginfo_t *info)
{
	int status;

	if (ptrace(step ? PTRACE_SINGLESTEP : PTRACE_CONT, pid, NULL, NULL) ||
	    waitpid(pid, &status, 0) != pid) {
		panic("the child is lost");
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		return false;
	}
	if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP ||
	    ptrace(PTRACE_GETSIGINFO, pid, NULL, info)) {
		panic("the child failed");
	}
	return true;
}

static int compare(const void *a, const void *b)
{
	unsigned int x = *(const unsigned int *)a;
	unsigned int y = *(const unsigned int *)b;

	return (x > y) - (x < y);
}

/* Instructions of the faults on `pages`, sorted. The fault itself is in a child. */
static void count(const uint64_t *pages, unsigned int *instructions)
{
	pid_t pid = fork();
	siginfo_t info;
	int status;

	if (pid == 0) {
		child(pages);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
		panic("the child did not start");
	}
	for (unsigned int i = 0; i < SAMPLES; i++) {
		unsigned int steps = 0;

		if (i > 0 && !resume(pid, false, &info)) {
			panic("the child ended too soon");
		}
		/* It stands behind the first marker; the kernel says which trap is the second. */
		while (resume(pid, true, &info) && info.si_code != SI_KERNEL) {
			steps++;
		}
		instructions[i] = steps;
	}
	if (resume(pid, false, &info)) {
		panic("the child does not end");
	}
	qsort(instructions, SAMPLES, sizeof(*instructions), compare);
}

/* Faults at the end of a partition that was touched all over: a leaf next to another. */
static void print_faults(uint64_t gib, uint64_t leaf)
{
	uint64_t frames = gib * GIB_FRAMES;
	uint64_t first = frames - MIN(frames, BEFORE_END * leaf);
	static unsigned int instructions[SAMPLES];
	static uint64_t pages[SAMPLES];

	start(frames, leaf == 1, false, POOL_PAGES_MAX);
	for (uint64_t i = 0; i < SPREAD; i++) {
		uint64_t page = align_down(frames / SPREAD * i, leaf);

		if (page < first &&
		    (i == 0 || page != align_down(frames / SPREAD * (i - 1), leaf))) {
			touch(page);
		}
	}
	for (unsigned int i = 0; i < SAMPLES; i++) {
		pages[i] = first + i * leaf;
	}
	count(pages, instructions);
	printf("| %llu GiB | %s | %u | %u | %u |\n", (unsigned long long)gib,
	       leaf == 1 ? "4 KiB" : "2 MiB", instructions[0], instructions[SAMPLES / 2],
	       instructions[SAMPLES - 1]);
	fflush(stdout);
	end(POOL_PAGES_MAX);
}

int main(void)
{
	start_machine(sizes[ARRAY_COUNT(sizes) - 1] * GIB_FRAMES);
	print_metadata();
	printf("\nInstructions of mmu_fault() on the first touch of a page, %u in a row\n\n",
	       SAMPLES);
	printf("| memory | leaf | least | median | most |\n|---|---|---|---|---|\n");
	for (unsigned int i = 0; i < ARRAY_COUNT(sizes) * 2; i++) {
		print_faults(sizes[i % ARRAY_COUNT(sizes)],
			     i / ARRAY_COUNT(sizes) ? LARGE_FRAMES : 1);
	}
	return 0;
}
