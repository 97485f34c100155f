/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Balloon: a partition gives pages of its memory back to the machine, and asks for them
 * again. A page that was given is absent; its frame is scrubbed and anybody's. What comes
 * back is another frame, zeroed, if the machine has one. Nobody can get more than the slots
 * that the manifest gave it.
 */
#ifndef HV_BALLOON_H
#define HV_BALLOON_H

#include "lib/addr.h"

struct partition;
struct partition_entry;

#define BALLOON_PAGES_MAX 512 /* a call: bounded work in the core */

/* Partition-owned. */
struct balloon {
	uint64_t given; /* pages out now */
	uint64_t gave;	/* all that were ever given, */
	uint64_t took;	/* and taken back or filled again */
};

/*
 * Pages [start, start + count), in order, until one cannot be done: how many were, or, when
 * the first cannot, why. Core; not in a read section.
 *   give: -ENOENT (no memory there), -ENODATA (absent already), -EPERM (not its own),
 *         -EBUSY (granted to somebody)
 *   take: -ENOENT, -EEXIST (it is there), -EPERM (absent from the start: a manager fills it),
 *         -ENOMEM (the machine has no frame)
 * both: -EINVAL, -E2BIG, -EIO, -ENOMEM.
 */
int64_t __attribute__((warn_unused_result))
balloon_give(struct partition *partition, gfn_t start, uint64_t count);
int64_t __attribute__((warn_unused_result))
balloon_take(struct partition *partition, gfn_t start, uint64_t count);

/*
 * Puts `frame`, new and the partition's own, behind a page that had been given; it is freed
 * when that fails: -ENOENT, -EEXIST, -ENOMEM, -EIO. Core; not in a read section.
 */
int __attribute__((warn_unused_result))
balloon_fill(struct partition *partition, gfn_t page, pfn_t frame);

#endif
