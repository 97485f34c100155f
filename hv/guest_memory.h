/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest memory by guest-physical and by linear address, for handlers that must look at what
 * the guest sees: instruction bytes, string operands. Follows the guest's own page tables,
 * with its rights and accessed/dirty bits. A guest can give any address: nothing here
 * trusts one.
 */
#ifndef HV_GUEST_MEMORY_H
#define HV_GUEST_MEMORY_H

#include "hv/decoder.h"
#include "hv/partition.h"

/*
 * Copies between guest-physical memory and a buffer. -ERANGE when part of the range is not
 * RAM (or not writable): nothing was written then.
 */
int __must_check guest_physical_read(struct partition *partition, gpa_t address, void *buffer,
				     size_t size);
int __must_check guest_physical_write(struct partition *partition, gpa_t address, const void *data,
				      size_t size);
int __must_check guest_physical_zero(struct partition *partition, gpa_t address, size_t size);

/* A linear address with the paging state it is used under. */
struct guest_access {
	struct virt_paging paging; /* filled by guest_access_init() */
	uint32_t kind;		   /* ACCESS_READ, ACCESS_WRITE or ACCESS_EXECUTE */
	bool user;		   /* CPL 3 */
};

void guest_access_init(struct guest_access *access, struct vcpu *vcpu, uint32_t kind);

/*
 * Translates `linear`. 0 and *address; -EINVAL and the page-fault error code in *fault when
 * the guest's tables say no (a table outside RAM reads as all ones: reserved bits); -ERANGE
 * when the address is not canonical, which is no page fault but #GP; -ENODATA when a table is
 * in an absent page, which is annotated: the handler returns OUTCOME_FAULT.
 */
int __must_check guest_translate(struct vcpu *vcpu, const struct guest_access *access,
				 uint64_t linear, gpa_t *address, uint32_t *fault);

/*
 * The entries of the guest's tables that a translation came from, with their values: as long
 * as these are unchanged, so is the translation. Only tables with 8-byte entries.
 */
#define GUEST_PATH_MAX 4
struct guest_path {
	unsigned int count;
	const uint64_t *entry[GUEST_PATH_MAX];
	uint64_t value[GUEST_PATH_MAX];
};

/* As guest_translate(), and fills *path (may be NULL), whose count must be 0. */
int __must_check guest_translate_path(struct vcpu *vcpu, const struct guest_access *access,
				      uint64_t linear, gpa_t *address, uint32_t *fault,
				      struct guest_path *path);

/*
 * The linear address of `offset` in a segment: in 64-bit code only FS and GS have a base,
 * elsewhere the sum has 32 bits.
 */
uint64_t guest_linear(struct vcpu *vcpu, const struct virt_paging *paging, enum segment which,
		      uint64_t offset);

/* `count` bytes after `linear`, around 4 GiB outside of 64-bit code. */
uint64_t guest_linear_add(const struct virt_paging *paging, uint64_t linear, uint64_t count);

/* What a handler returns when guest_translate() of `linear` gave `status`, not 0. */
enum outcome guest_translate_failed(struct vcpu *vcpu, int status, uint64_t linear, uint32_t fault);

/* Where an operand of up to a page lies: in one piece, or in two that meet at a page's end. */
struct guest_operand {
	unsigned int count;
	struct {
		gpa_t address;
		size_t size;
	} part[2];
};

/*
 * Translates all of an operand. OUTCOME_NEXT, or what the handler returns: for the guest's
 * fault, or OUTCOME_FAULT when part of it is an absent page.
 */
enum outcome guest_locate(struct vcpu *vcpu, const struct guest_access *access, uint64_t linear,
			  size_t size, struct guest_operand *operand);

#endif
