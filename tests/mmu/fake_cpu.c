/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walk, what is cached of it, and how it is forgotten; see fake_cpu.h. Sources: SDM,
 * "Caching Translation Information" in "VMX Support for Address Translation"; APM volume 2,
 * "TLB Management". An access that a cached translation does not allow makes the CPU drop it
 * and walk again, as an EPT violation does.
 */
#include "tests/mmu/fake_cpu.h"

#include "tests/mmu/machine.h"

void fake_init(struct fake_cpu *cpu, const struct mmu_config *config)
{
	*cpu = (struct fake_cpu){ .config = config };
	spinlock_init(&cpu->wanted_lock);
}

static struct fake_leaf *leaf_slot(struct fake_cpu *cpu, gfn_t page, unsigned int level)
{
	uint64_t tag = (page.v >> (SPTE_INDEX_BITS * (level - 1))) ^ (cpu->root.v >> PAGE_SHIFT);

	return &cpu->leaf[level - 1][tag % FAKE_LEAVES];
}

static struct fake_link *link_slot(struct fake_cpu *cpu, gfn_t page)
{
	uint64_t tag = (page.v >> SPTE_INDEX_BITS) ^ (cpu->root.v >> PAGE_SHIFT);

	return &cpu->link[tag % FAKE_LINKS];
}

/* Drops what is cached of `root` in [start, end). */
static void forget(struct fake_cpu *cpu, hpa_t root, gfn_t start, gfn_t end)
{
	for (unsigned int level = 1; level <= SPTE_LEAF_LEVELS; level++) {
		for (unsigned int i = 0; i < FAKE_LEAVES; i++) {
			struct fake_leaf *leaf = &cpu->leaf[level - 1][i];

			if (leaf->root.v == root.v && leaf->gfn.v < end.v &&
			    leaf->gfn.v + level_frames(level) > start.v) {
				leaf->level = 0;
			}
		}
	}
	for (unsigned int i = 0; i < FAKE_LINKS; i++) {
		struct fake_link *link = &cpu->link[i];

		if (link->root.v == root.v && link->gfn.v < end.v &&
		    link->gfn.v + level_frames(2) > start.v) {
			link->table = hpa(0);
		}
	}
}

static void forget_everything(struct fake_cpu *cpu)
{
	memset(cpu->leaf, 0, sizeof(cpu->leaf));
	memset(cpu->link, 0, sizeof(cpu->link));
}

/* See fake_cpu.h. */
void fake_forget_root(struct fake_cpu *cpu, hpa_t root)
{
	forget(cpu, root, gfn(0), gfn(UINT64_MAX));
}

/* See fake_cpu.h. */
void fake_set_root(struct fake_cpu *cpu, hpa_t root)
{
	cpu->root = root;
	fake_forget_root(cpu, root);
}

/* Does what others wanted; out of guest mode. */
static void answer(struct fake_cpu *cpu)
{
	spin_lock(&cpu->wanted_lock);
	if (cpu->wanted_count > FAKE_FLUSHES) {
		forget_everything(cpu);
		cpu->wanted_count = 0;
	}
	for (unsigned int i = 0; i < cpu->wanted_count; i++) {
		const struct mmu_flush *what = &cpu->wanted[i];

		for (unsigned int n = 0; n < what->root_count; n++) {
			forget(cpu, what->root[n], what->start, what->end);
		}
	}
	cpu->wanted_count = 0;
	atomic_store_explicit(&cpu->interrupted, false, memory_order_seq_cst);
	spin_unlock(&cpu->wanted_lock);
}

/* See fake_cpu.h. The order of the two is what fake_flush() relies on. */
bool fake_enter(struct fake_cpu *cpu)
{
	atomic_store_explicit(&cpu->in_guest, true, memory_order_seq_cst);
	if (!fake_is_interrupted(cpu)) {
		return true;
	}
	fake_leave(cpu);
	answer(cpu);
	return false;
}

void fake_leave(struct fake_cpu *cpu)
{
	atomic_store_explicit(&cpu->in_guest, false, memory_order_seq_cst);
}

static void interrupt(struct fake_cpu *cpu, const struct mmu_flush *what)
{
	spin_lock(&cpu->wanted_lock);
	if (what && cpu->wanted_count < FAKE_FLUSHES) {
		cpu->wanted[cpu->wanted_count++] = *what;
	} else if (what) {
		cpu->wanted_count = FAKE_FLUSHES + 1;
	}
	atomic_store_explicit(&cpu->interrupted, true, memory_order_seq_cst);
	spin_unlock(&cpu->wanted_lock);
}

/* See fake_cpu.h. */
void fake_flush(struct fake_cpu *cpus, unsigned int count, const struct mmu_flush *what)
{
	for (unsigned int i = 0; i < count; i++) {
		interrupt(&cpus[i], what);
	}
	for (unsigned int i = 0; i < count; i++) {
		/* Out of guest mode it answers before it enters again. */
		while (atomic_load_explicit(&cpus[i].in_guest, memory_order_seq_cst) &&
		       fake_is_interrupted(&cpus[i])) {
			__builtin_ia32_pause();
		}
	}
}

/* See fake_cpu.h. Does not wait. */
void fake_kick(struct fake_cpu *cpus, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		interrupt(&cpus[i], NULL);
	}
}

/* The entry with `bits` set, as the CPU's locked write leaves it; false: it changed. */
static bool set_bits(_Atomic uint64_t *entry, uint64_t *value, uint64_t bits)
{
	uint64_t seen = *value;

	if ((seen & bits) == bits) {
		return true;
	}
	if (!atomic_compare_exchange_strong_explicit(entry, &seen, seen | bits,
						     memory_order_acq_rel, memory_order_acquire)) {
		return false;
	}
	*value |= bits;
	return true;
}

/* What the CPU makes of one entry. */
static enum fake_result judge(const struct mmu_config *config, spte_t spte, unsigned int level)
{
	const struct spte_format *format = config->format;
	bool leaf = format->is_leaf(spte, level);
	uint64_t reserved = format->reserved(level, leaf, config->maxphyaddr);

	if (level == 3 && !config->large_1g) {
		reserved |= SPTE_LARGE;
	}
	if (!format->is_present(spte)) {
		return FAKE_VIOLATION;
	}
	return (spte.v & reserved) || format->is_malformed(spte, leaf) ? FAKE_MALFORMED : FAKE_DONE;
}

/* A walk from `table` at `level` down to a leaf, which it describes. */
static enum fake_result walk_from(struct fake_cpu *cpu, hpa_t table, unsigned int level, gfn_t page,
				  unsigned int access, struct fake_leaf *found)
{
	const struct spte_format *format = cpu->config->format;
	uint64_t accessed = cpu->config->accessed_dirty ? format->accessed : 0;
	uint64_t dirty = cpu->config->accessed_dirty ? format->dirty : 0;

	for (;;) {
		_Atomic uint64_t *entry =
			(_Atomic uint64_t *)machine_ptr(table) + level_index(page, level);
		spte_t spte = { atomic_load_explicit(entry, memory_order_acquire) };
		enum fake_result result = judge(cpu->config, spte, level);
		unsigned int rights = format->rights(spte);
		bool leaf = format->is_leaf(spte, level);

		if (result != FAKE_DONE) {
			return result;
		}
		if (access & ~rights) {
			return FAKE_VIOLATION;
		}
		if (!set_bits(entry, &spte.v,
			      accessed | (leaf && (access & MMU_WRITE) ? dirty : 0))) {
			continue;
		}
		if (leaf) {
			*found = (struct fake_leaf){
				.root = cpu->root,
				.gfn = level_align(page, level),
				.pfn = pfn(align_down(spte_pfn(spte).v, level_frames(level))),
				.level = level,
				.rights = rights,
				.dirty = dirty == 0 || (spte.v & dirty),
			};
			return FAKE_DONE;
		}
		table = pfn_to_hpa(spte_pfn(spte));
		level--;
		if (level == 1) {
			*link_slot(cpu, page) =
				(struct fake_link){ cpu->root, level_align(page, 2), table };
		}
	}
}

/* By the cached way to the lowest table if there is one, else from the root. */
static enum fake_result walk(struct fake_cpu *cpu, gfn_t page, unsigned int access,
			     struct fake_leaf *found)
{
	struct fake_link *link = link_slot(cpu, page);

	cpu->walks++;
	if (link->table.v != 0 && link->root.v == cpu->root.v &&
	    link->gfn.v == level_align(page, 2).v) {
		enum fake_result result = walk_from(cpu, link->table, 1, page, access, found);

		if (result == FAKE_DONE) {
			return result;
		}
		link->table = hpa(0); /* as every fault does it */
	}
	return walk_from(cpu, cpu->root, SPTE_LEVELS, page, access, found);
}

/* See fake_cpu.h. */
enum fake_result fake_access(struct fake_cpu *cpu, gfn_t page, unsigned int access,
			     struct fake_leaf *used)
{
	enum fake_result result;

	for (unsigned int level = 1; level <= SPTE_LEAF_LEVELS; level++) {
		struct fake_leaf *leaf = leaf_slot(cpu, page, level);

		if (leaf->level != level || leaf->root.v != cpu->root.v ||
		    leaf->gfn.v != level_align(page, level).v) {
			continue;
		}
		if (!(access & ~leaf->rights) && (leaf->dirty || !(access & MMU_WRITE))) {
			cpu->hits++;
			*used = *leaf;
			return FAKE_DONE;
		}
		leaf->level = 0;
	}
	result = walk(cpu, page, access, used);
	if (result == FAKE_DONE) {
		*leaf_slot(cpu, page, used->level) = *used;
	}
	return result;
}
