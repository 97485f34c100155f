/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fetching instructions. A walk of the guest's page tables costs hundreds of instructions,
 * and a CPU without next-RIP save needs one per exit, so the last code page is kept together
 * with the page-table entries that led to it. They are compared on each use: what the guest
 * changed is seen, with or without an INVLPG of its own.
 */
#include "hv/fetch.h"

#include "arch/x86/cpu.h"
#include "hv/guest_memory.h"
#include "lib/string.h"

static enum decoder_mode mode_of(const struct virt_paging *paging)
{
	if ((paging->efer & EFER_LMA) && (paging->cs_rights & SEGMENT_RIGHTS_L)) {
		return DECODER_64;
	}
	return (paging->cs_rights & SEGMENT_RIGHTS_DB) ? DECODER_32 : DECODER_16;
}

static uint64_t linear_rip(const struct vcpu *vcpu, const struct virt_paging *paging)
{
	uint64_t rip = vcpu->exit.rip;

	return mode_of(paging) == DECODER_64 ? rip : (rip + paging->cs_base) & BITS(31, 0);
}

/*
 * The kept code page if it is that of `linear` and nothing that led to it has changed. All is
 * compared without a branch: the usual answer is yes.
 */
static inline const uint8_t *cached_page(struct vcpu *vcpu, const struct virt_paging *paging,
					 uint64_t linear)
{
	const struct fetch_cache *cache = &vcpu->fetch;
	uint64_t difference = (cache->page ^ (linear & PAGE_MASK)) | (cache->cr0 ^ paging->cr0) |
			      (cache->cr3 ^ paging->cr3) | (cache->cr4 ^ paging->cr4) |
			      (cache->efer ^ paging->efer) | (cache->cpl ^ paging->cpl);

	if (difference || cache->stamp != mmu_memory_stamp(&vcpu->partition->mmu)) {
		return NULL;
	}
#pragma GCC unroll 4
	for (unsigned int i = 0; i < GUEST_PATH_MAX; i++) {
		difference |= __atomic_load_n(cache->entry[i], __ATOMIC_RELAXED) ^ cache->value[i];
	}
	return difference ? NULL : cache->code;
}

static void keep(struct vcpu *vcpu, const struct virt_paging *paging, uint64_t linear,
		 const struct guest_path *path, const uint8_t *page, uint64_t stamp)
{
	struct fetch_cache *cache = &vcpu->fetch;

	if (path->count == 0) { /* no paging, or 4-byte entries: the walk is short anyway */
		cache->page = FETCH_CACHE_EMPTY;
		return;
	}
	cache->page = linear & PAGE_MASK;
	cache->cr0 = paging->cr0;
	cache->cr3 = paging->cr3;
	cache->cr4 = paging->cr4;
	cache->efer = paging->efer;
	cache->cpl = paging->cpl;
	cache->stamp = stamp;
	for (unsigned int i = 0; i < GUEST_PATH_MAX; i++) { /* a short way repeats its last entry */
		unsigned int from = MIN(i, path->count - 1);

		cache->entry[i] = path->entry[from];
		cache->value[i] = path->value[from];
	}
	cache->code = page;
}

/* The page of the code at `linear`, by a walk; NULL and *outcome when there is none to execute. */
static __attribute__((noinline)) const uint8_t *find_page(struct vcpu *vcpu,
							  const struct guest_access *access,
							  uint64_t linear, enum outcome *outcome)
{
	uint64_t stamp = mmu_memory_stamp(&vcpu->partition->mmu);
	struct guest_path path = { .count = 0 };
	const uint8_t *page;
	gpa_t address;
	uint32_t fault;
	size_t size;
	int status;

	status = guest_translate_path(vcpu, access, linear, &address, &fault, &path);
	if (status) {
		*outcome = guest_translate_failed(vcpu, status, linear, fault);
		return NULL;
	}
	address.v &= PAGE_MASK;
	page = mmu_guest_ptr(&vcpu->partition->mmu, address, &size, false);
	if (!page) { /* no memory: all ones, which is no instruction */
		address.v |= linear & ~PAGE_MASK;
		*outcome = memory_fault_absent(vcpu, address, 1, ACCESS_EXECUTE) ? OUTCOME_FAULT
										 : inject_ud(vcpu);
		return NULL;
	}
	keep(vcpu, &access->paging, linear, &path, page, stamp);
	return page;
}

/*
 * Host address of the code at `linear` and in *size how much of it there is, to the end of
 * its page. NULL and *outcome when the guest cannot execute there.
 */
static inline const uint8_t *code_at(struct vcpu *vcpu, const struct guest_access *access,
				     uint64_t linear, size_t *size, enum outcome *outcome)
{
	const uint8_t *page = cached_page(vcpu, &access->paging, linear);
	uint64_t offset = linear & ~PAGE_MASK;

	*size = (size_t)(PAGE_SIZE - offset);
	if (unlikely(!page)) {
		page = find_page(vcpu, access, linear, outcome);
	}
	return page ? page + offset : NULL;
}

static enum outcome decode(struct vcpu *vcpu, const struct guest_access *access,
			   struct decoded *decoded)
{
	uint64_t linear = linear_rip(vcpu, &access->paging);
	uint8_t bytes[INSTRUCTION_MAX];
	enum outcome outcome;
	const uint8_t *code;
	size_t first;
	size_t rest;
	int status;

	code = code_at(vcpu, access, linear, &first, &outcome);
	if (!code) {
		return outcome;
	}
	first = MIN(first, sizeof(bytes));
	memcpy(bytes, code, first);
	status = decoder_decode(decoded, mode_of(&access->paging), bytes, first);
	if (status == -EAGAIN && first < sizeof(bytes)) { /* goes on in the next page */
		linear = guest_linear_add(&access->paging, linear, first);
		code = code_at(vcpu, access, linear, &rest, &outcome);
		if (!code) {
			return outcome;
		}
		memcpy(bytes + first, code, sizeof(bytes) - first);
		status = decoder_decode(decoded, mode_of(&access->paging), bytes, sizeof(bytes));
	}
	return status == 0 ? OUTCOME_NEXT : inject_ud(vcpu);
}

enum outcome fetch_decode(struct vcpu *vcpu, struct decoded *decoded)
{
	struct guest_access access;

	guest_access_init(&access, vcpu, ACCESS_EXECUTE);
	return decode(vcpu, &access, decoded);
}

/* How the instructions that exit most look without prefixes, alike in every mode. */
struct plain_instruction {
	uint8_t length;
	uint8_t bytes[3];
};

static const struct plain_instruction plain[EXIT_KIND_COUNT] = {
	[EXIT_CPUID] = { 2, { 0x0f, 0xa2 } },		[EXIT_HLT] = { 1, { 0xf4 } },
	[EXIT_MSR_READ] = { 2, { 0x0f, 0x32 } },	[EXIT_MSR_WRITE] = { 2, { 0x0f, 0x30 } },
	[EXIT_HYPERCALL] = { 3, { 0x0f, 0x01, 0xd9 } },
};

static bool is_plain(enum exit_kind kind, const uint8_t *code, size_t size)
{
	const struct plain_instruction *expected = &plain[kind];

	if (expected->length == 0 || size < sizeof(expected->bytes) ||
	    code[0] != expected->bytes[0]) {
		return false;
	}
	return expected->length == 1 || (code[1] == expected->bytes[1] &&
					 (expected->length == 2 || code[2] == expected->bytes[2]));
}

enum outcome fetch_length(struct vcpu *vcpu)
{
	struct exit *exit = &vcpu->exit;
	struct guest_access access;
	struct decoded decoded;
	enum outcome outcome;
	const uint8_t *code;
	size_t size;

	guest_access_init(&access, vcpu, ACCESS_EXECUTE);
	code = code_at(vcpu, &access, linear_rip(vcpu, &access.paging), &size, &outcome);
	if (!code) {
		return outcome;
	}
	if (likely(is_plain(exit->kind, code, size))) {
		exit->instruction_length = plain[exit->kind].length;
		return OUTCOME_NEXT;
	}
	outcome = decode(vcpu, &access, &decoded);
	exit->instruction_length = decoded.length;
	return outcome;
}
