/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/nvme_prp.h"

static u32 in_page(hpa_t hpa)
{
	return (u32)(hpa % NVME_PAGE);
}

/* Of @bytes from @prp1 on. */
static unsigned int pages_of(hpa_t prp1, u32 bytes)
{
	return (in_page(prp1) + bytes + NVME_PAGE - 1) / NVME_PAGE;
}

u32 nvme_prp_build(struct block_request *r, u32 max_bytes, u32 block_size, u64 *list,
		   struct nvme_prps *prps)
{
	struct disk_cursor at = disk_cursor(r);
	unsigned int entries = 0;
	hpa_t hpa, end = 0;
	u32 total = 0, run, here;

	while (total < max_bytes && (run = disk_run(r, &at, &hpa))) {
		bool same_page = total && hpa == end && in_page(end);

		if (!same_page) {
			if (total && (in_page(end) || in_page(hpa)))
				break;
			if (entries > NVME_LIST_ENTRIES)
				break;
			if (entries)
				list[entries - 1] = hpa;
			else
				prps->prp1 = hpa;
			entries++;
		}
		here = MIN(run, NVME_PAGE - in_page(hpa));
		disk_skip(r, &at, here);
		total += here;
		end = hpa + here;
	}
	total = ALIGN_DOWN(MIN(total, max_bytes), block_size);
	if (!total)
		return 0;
	switch (pages_of(prps->prp1, total)) {
	case 1: prps->prp2 = 0; break;
	case 2: prps->prp2 = list[0]; break;
	default: prps->prp2 = (u64)(uintptr_t)list; break;
	}
	return total;
}
