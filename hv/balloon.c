/* SPDX-License-Identifier: BSD-2-Clause */
/* Giving pages back and taking them again; hv/balloon.h says what that is. Core. */
#include "hv/balloon.h"

#include "hv/memory_fault.h"
#include "hv/partition.h"

static int lookup(struct partition *partition, gfn_t page, pfn_t *frame)
{
	int status;

	mmu_read_begin(&partition->core_reads);
	status = mmu_page_lookup(&partition->mmu, page, frame);
	mmu_read_end(&partition->core_reads);
	return status;
}

static int give_page(struct partition *partition, gfn_t page)
{
	struct frame_info info;
	pfn_t frame;
	int status = lookup(partition, page, &frame);

	if (status) {
		return status;
	}
	info = frame_get(frame);
	if (info.owner != partition->id) {
		return -EPERM;
	}
	if (info.state != FRAME_PRIVATE) {
		return -EBUSY;
	}
	status = mmu_page_remove(&partition->mmu, page, &frame);
	if (status) {
		return status;
	}
	/* I10: no CPU can use a translation of it any more. */
	if (PARTITION_DATA_BUG_ON(&partition->bug, frames_free(frame, 1, partition->id) != 0,
				  RULE_I4, .has_gfn = true, .gfn = page.v,
				  .text = "a frame to be given back is not the partition's")) {
		return -EIO;
	}
	partition->balloon.given++;
	partition->balloon.gave++;
	return 0;
}

int balloon_fill(struct partition *partition, gfn_t page, pfn_t frame)
{
	int status = mmu_page_insert(&partition->mmu, page, frame);

	if (status) {
		(void)PARTITION_DATA_BUG_ON(
			&partition->bug, frames_free(frame, 1, partition->id) != 0, RULE_I4,
			.has_gfn = true, .gfn = page.v, .text = "a new frame changed its owner");
		return status;
	}
	if (partition->balloon.given > 0) {
		partition->balloon.given--;
	}
	partition->balloon.took++;
	return 0;
}

static int take_page(struct partition *partition, gfn_t page)
{
	pfn_t frame;
	int status = lookup(partition, page, &frame);

	if (status != -ENODATA) {
		return status ? status : -EEXIST;
	}
	if (memory_fault_is_held(partition, page, &frame)) {
		return -EPERM;
	}
	status = frames_alloc(1, 1, partition->id, FRAME_PRIVATE, &frame);
	return status ? status : balloon_fill(partition, page, frame);
}

static int64_t each_page(struct partition *partition, gfn_t start, uint64_t count,
			 int (*do_page)(struct partition *partition, gfn_t page))
{
	if (count == 0) {
		return -EINVAL;
	}
	if (count > BALLOON_PAGES_MAX) {
		return -E2BIG;
	}
	for (uint64_t i = 0; i < count; i++) {
		int status = do_page(partition, gfn(start.v + i));

		if (status) {
			return i == 0 ? status : (int64_t)i;
		}
	}
	return (int64_t)count;
}

int64_t balloon_give(struct partition *partition, gfn_t start, uint64_t count)
{
	return each_page(partition, start, count, give_page);
}

int64_t balloon_take(struct partition *partition, gfn_t start, uint64_t count)
{
	return each_page(partition, start, count, take_page);
}
