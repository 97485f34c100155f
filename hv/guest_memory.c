/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest memory by guest-physical and by linear address. The walk follows SDM "Paging" for
 * the four modes with one loop over levels; each step goes through the memslots, so a guest
 * whose tables point anywhere at all reads ones there, as on a machine without that memory.
 */
#include "hv/guest_memory.h"

#include "arch/x86/cpu.h"
#include "hv/cpuid_policy.h"
#include "lib/string.h"

#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_U BIT(2)
#define PTE_A BIT(5)
#define PTE_D BIT(6)
#define PTE_PS BIT(7)
#define PTE_NX BIT(63)
#define PTE_ADDRESS BITS(51, 12)

int guest_physical_read(struct partition *partition, gpa_t address, void *buffer, size_t size)
{
	uint8_t *to = buffer;

	while (size > 0) {
		size_t chunk;
		const void *from = mmu_guest_ptr(&partition->mmu, address, &chunk, false);

		if (!from) {
			return -ERANGE;
		}
		chunk = MIN(chunk, size);
		memcpy(to, from, chunk);
		to += chunk;
		address.v += chunk;
		size -= chunk;
	}
	return 0;
}

/* Writes `data` (NULL: zeros) to [address, address + size), all of it or nothing. */
static int write_range(struct partition *partition, gpa_t address, size_t size, const uint8_t *data)
{
	for (unsigned int pass = 0; pass < 2; pass++) {
		size_t done = 0;

		while (done < size) {
			size_t chunk;
			void *to =
				mmu_guest_ptr(&partition->mmu, gpa(address.v + done), &chunk, true);

			if (!to) {
				return -ERANGE;
			}
			chunk = MIN(chunk, size - done);
			if (pass == 1 && data) {
				memcpy(to, data + done, chunk);
			} else if (pass == 1) {
				memset(to, 0, chunk);
			}
			if (pass == 1) {
				mmu_mark_dirty(&partition->mmu, gpa(address.v + done), chunk);
			}
			done += chunk;
		}
	}
	return 0;
}

int guest_physical_write(struct partition *partition, gpa_t address, const void *data, size_t size)
{
	return write_range(partition, address, size, data);
}

int guest_physical_zero(struct partition *partition, gpa_t address, size_t size)
{
	return write_range(partition, address, size, NULL);
}

void guest_access_init(struct guest_access *access, struct vcpu *vcpu, uint32_t kind)
{
	virt->get_paging(&vcpu->virt, &access->paging);
	access->kind = kind;
	access->user = access->paging.cpl == 3;
}

/* How a paging mode is laid out: from the top level down. */
struct walk_mode {
	unsigned int levels;
	unsigned int entry_size; /* bytes */
	unsigned int index_bits;
	bool nx;
};

static struct walk_mode walk_mode(const struct virt_paging *paging)
{
	if (!(paging->cr4 & CR4_PAE)) {
		return (struct walk_mode){ 2, 4, 10, false };
	}
	if (paging->efer & EFER_LMA) {
		return (struct walk_mode){ 4, 8, 9, (paging->efer & EFER_NXE) != 0 };
	}
	return (struct walk_mode){ 3, 8, 9, (paging->efer & EFER_NXE) != 0 };
}

/* Host pointer to an entry of the guest's tables, NULL when it is not in writable RAM. */
static void *entry_ptr(struct vcpu *vcpu, gpa_t address, unsigned int size)
{
	size_t chunk = 0;
	void *ptr = mmu_guest_ptr(&vcpu->partition->mmu, address, &chunk, true);

	return chunk >= size ? ptr : NULL;
}

static uint64_t entry_read(const void *ptr, unsigned int size)
{
	if (size == 4) {
		return __atomic_load_n((const uint32_t *)ptr, __ATOMIC_RELAXED);
	}
	return __atomic_load_n((const uint64_t *)ptr, __ATOMIC_RELAXED);
}

/* Sets bits of an entry as the CPU's own walker does: atomically, other bits kept. */
static void entry_mark(struct vcpu *vcpu, gpa_t address, void *ptr, unsigned int size,
		       uint64_t bits)
{
	if ((entry_read(ptr, size) & bits) == bits) {
		return;
	}
	if (size == 4) {
		__atomic_or_fetch((uint32_t *)ptr, (uint32_t)bits, __ATOMIC_RELAXED);
	} else {
		__atomic_or_fetch((uint64_t *)ptr, bits, __ATOMIC_RELAXED);
	}
	mmu_mark_dirty(&vcpu->partition->mmu, address, size);
}

/* The error code of a fault on this access, without the P and RSVD bits. */
static uint32_t fault_code(const struct guest_access *access, const struct walk_mode *mode)
{
	bool fetch = access->kind == ACCESS_EXECUTE;
	bool fetch_shown = mode->nx || (access->paging.cr4 & CR4_SMEP);

	return (uint32_t)((access->kind == ACCESS_WRITE ? PF_W : 0) | (access->user ? PF_U : 0) |
			  (fetch && fetch_shown ? PF_I : 0));
}

/* SDM, "Determination of Access Rights": `rights` is the AND of U and W, OR of NX, on the way. */
static bool access_allowed(const struct guest_access *access, const struct walk_mode *mode,
			   uint64_t rights)
{
	const struct virt_paging *paging = &access->paging;
	bool user_page = (rights & PTE_U) != 0;

	if (access->user && !user_page) {
		return false;
	}
	if (access->kind == ACCESS_EXECUTE) {
		if (mode->nx && (rights & PTE_NX)) {
			return false;
		}
		return access->user || !user_page || !(paging->cr4 & CR4_SMEP);
	}
	if (!access->user && user_page && (paging->cr4 & CR4_SMAP) &&
	    !(paging->rflags & RFLAGS_AC)) {
		return false;
	}
	if (access->kind == ACCESS_WRITE && !(rights & PTE_W)) {
		return !access->user && !(paging->cr0 & CR0_WP);
	}
	return true;
}

static bool entry_is_large(const struct walk_mode *mode, const struct virt_paging *paging,
			   unsigned int level, uint64_t entry)
{
	if (!(entry & PTE_PS) || level == 1 || level > 3) {
		return false;
	}
	if (mode->entry_size == 4) {
		return (paging->cr4 & CR4_PSE) != 0;
	}
	return level == 2 || mode->levels == 4;
}

/* Bits that must be clear in a present entry (SDM, "Paging", the formats by mode). */
static uint64_t reserved_bits(const struct walk_mode *mode, unsigned int level, bool leaf)
{
	unsigned int width = cpuid_policy_maxphyaddr();
	unsigned int shift = PAGE_SHIFT + (level - 1) * mode->index_bits;
	uint64_t reserved;

	if (mode->entry_size == 4) { /* of PSE-36, the address bits that the CPU does not have */
		return leaf && level == 2 ? BITS(21, MIN(width, 40u) - 19) : 0;
	}
	reserved = BITS(51, width) | (mode->nx ? 0 : PTE_NX);
	if (mode->levels == 3) {
		reserved |= BITS(62, 52);
	}
	if (mode->levels == 3 && level == 3) {
		return 0; /* PDPTEs were checked when they were loaded, if at all (hv/cr.c) */
	}
	if (level == 4) {
		reserved |= PTE_PS;
	}
	return leaf && level > 1 ? reserved | BITS(shift - 1, PAGE_SHIFT + 1) : reserved;
}

/* The address that a leaf of `level` gives for `linear`; PSE-36 bits of a 4 MiB page included. */
static gpa_t leaf_address(const struct walk_mode *mode, unsigned int level, uint64_t entry,
			  uint64_t linear)
{
	unsigned int shift = PAGE_SHIFT + (level - 1) * mode->index_bits;
	uint64_t offset = linear & (BIT(shift) - 1);
	uint64_t base = entry & PTE_ADDRESS & ~(BIT(shift) - 1);

	if (mode->entry_size == 4) {
		base = entry & BITS(31, 0) & ~(BIT(shift) - 1);
		if (level == 2) {
			base |= FIELD_GET(BITS(20, 13), entry) << 32;
		}
	}
	return gpa(base | offset);
}

/* Notes an entry of the way, as it is now, for whoever wants to know whether it changed. */
static void note(struct guest_path *path, const void *ptr, unsigned int size)
{
	if (path && size == 8) {
		path->entry[path->count] = ptr;
		path->value[path->count] = entry_read(ptr, size);
		path->count++;
	}
}

/* Bits of CR3 that say where the top table is. */
static uint64_t root_mask(const struct walk_mode *mode)
{
	return mode->levels == 2 ? BITS(31, 12) : mode->levels == 3 ? BITS(31, 5) : PTE_ADDRESS;
}

static int walk(struct vcpu *vcpu, const struct guest_access *access, uint64_t linear,
		gpa_t *address, uint32_t *fault, struct guest_path *path)
{
	const struct virt_paging *paging = &access->paging;
	struct walk_mode mode = walk_mode(paging);
	uint64_t rights = PTE_U | PTE_W;
	uint64_t table = paging->cr3 & root_mask(&mode);

	*fault = fault_code(access, &mode);
	for (unsigned int level = mode.levels;; level--) {
		bool pae_root = mode.levels == 3 && level == 3;
		unsigned int shift = PAGE_SHIFT + (level - 1) * mode.index_bits;
		uint64_t index = (linear >> shift) & (BIT(pae_root ? 2 : mode.index_bits) - 1);
		gpa_t at = gpa(table + index * mode.entry_size);
		void *ptr = entry_ptr(vcpu, at, mode.entry_size);
		/* Outside RAM: all ones, so reserved bits are set. */
		uint64_t entry = ptr ? entry_read(ptr, mode.entry_size) : ~UINT64_C(0);
		bool leaf = level == 1 || entry_is_large(&mode, paging, level, entry);

		if (!ptr && memory_fault_absent(vcpu, at, mode.entry_size, ACCESS_WRITE)) {
			return -ENODATA;
		}
		if (!(entry & PTE_P)) {
			return -EINVAL;
		}
		if (!ptr || (entry & reserved_bits(&mode, level, leaf))) {
			*fault |= (uint32_t)(PF_P | PF_RSVD);
			return -EINVAL;
		}
		if (!pae_root) {
			rights = (rights & entry & (PTE_U | PTE_W)) | ((rights | entry) & PTE_NX);
		}
		if (leaf) {
			if (!access_allowed(access, &mode, rights)) {
				*fault |= (uint32_t)PF_P;
				return -EINVAL;
			}
			entry_mark(vcpu, at, ptr, mode.entry_size,
				   PTE_A | (access->kind == ACCESS_WRITE ? PTE_D : 0));
			note(path, ptr, mode.entry_size);
			*address = leaf_address(&mode, level, entry, linear);
			return 0;
		}
		if (!pae_root) {
			entry_mark(vcpu, at, ptr, mode.entry_size, PTE_A);
		}
		note(path, ptr, mode.entry_size);
		table = entry & PTE_ADDRESS;
	}
}

static bool in_64_bit_code(const struct virt_paging *paging)
{
	return (paging->efer & EFER_LMA) && (paging->cs_rights & SEGMENT_RIGHTS_L);
}

/* Bits 63:48 are copies of bit 47 (four levels of tables). */
static bool is_canonical(uint64_t linear)
{
	return (uint64_t)((int64_t)(linear << 16) >> 16) == linear;
}

int guest_translate(struct vcpu *vcpu, const struct guest_access *access, uint64_t linear,
		    gpa_t *address, uint32_t *fault)
{
	return guest_translate_path(vcpu, access, linear, address, fault, NULL);
}

int guest_translate_path(struct vcpu *vcpu, const struct guest_access *access, uint64_t linear,
			 gpa_t *address, uint32_t *fault, struct guest_path *path)
{
	if (!(access->paging.cr0 & CR0_PG)) {
		*address = gpa(linear & BITS(31, 0));
		return 0;
	}
	if (!is_canonical(linear)) {
		return -ERANGE;
	}
	return walk(vcpu, access, linear, address, fault, path);
}

uint64_t guest_linear(struct vcpu *vcpu, const struct virt_paging *paging, enum segment which,
		      uint64_t offset)
{
	struct segment_state segment;

	if (in_64_bit_code(paging) && which < SEGMENT_FS) {
		return offset;
	}
	virt->get_segment(&vcpu->virt, which, &segment);
	return guest_linear_add(paging, segment.base, offset);
}

uint64_t guest_linear_add(const struct virt_paging *paging, uint64_t linear, uint64_t count)
{
	return in_64_bit_code(paging) ? linear + count : (linear + count) & BITS(31, 0);
}

enum outcome guest_translate_failed(struct vcpu *vcpu, int status, uint64_t linear, uint32_t fault)
{
	if (status == -ENODATA) {
		return OUTCOME_FAULT;
	}
	return status == -ERANGE ? inject_gp(vcpu) : inject_pf(vcpu, linear, fault);
}

enum outcome guest_locate(struct vcpu *vcpu, const struct guest_access *access, uint64_t linear,
			  size_t size, struct guest_operand *operand)
{
	size_t in_page = (size_t)(PAGE_SIZE - (linear & ~PAGE_MASK));

	for (operand->count = 0; size > 0; operand->count++) {
		gpa_t *address = &operand->part[operand->count].address;
		uint32_t fault;
		int status = guest_translate(vcpu, access, linear, address, &fault);

		if (status) {
			return guest_translate_failed(vcpu, status, linear, fault);
		}
		in_page = MIN(in_page, size);
		if (memory_fault_absent(vcpu, *address, in_page, access->kind)) {
			return OUTCOME_FAULT;
		}
		operand->part[operand->count].size = in_page;
		linear = guest_linear_add(&access->paging, linear, in_page);
		size -= in_page;
		in_page = size; /* the rest is at the start of the next page */
	}
	return OUTCOME_NEXT;
}
