/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the data of an NVMe command lie: NVM Express Base Specification, "Physical Region Page Entry and List". */
#ifndef DRIVERS_NVME_PRP_H
#define DRIVERS_NVME_PRP_H

#include "drivers/disk_request.h"

#define NVME_PAGE         4096u /* as set in CC.MPS */
#define NVME_LIST_ENTRIES 128u  /* a list of these lies within a page */

struct nvme_prps {
	u64 prp1, prp2;
};

/*
 * As much of what is left of @r's data as one command can name: at most @max_bytes, and whole blocks of @block_size.
 * Pages from the second one on go to @list, on a boundary of its own size. Returns the bytes; 0: not even
 * a block, since pages but the first begin, and but the last end, on their boundaries.
 */
u32 nvme_prp_build(struct block_request *r, u32 max_bytes, u32 block_size, u64 *list,
		   struct nvme_prps *prps);

#endif
