/* SPDX-License-Identifier: BSD-2-Clause */
/* NVM Express: registers, commands and what they return. NVM Express Base Specification 1.4. */
#ifndef DRIVERS_NVME_REGS_H
#define DRIVERS_NVME_REGS_H

#include "lib/types.h"

/* "Controller Registers". */
#define NVME_CAP             0x00
#define NVME_INTMS           0x0c
#define NVME_CC              0x14
#define NVME_CSTS            0x1c
#define NVME_AQA             0x24
#define NVME_ASQ             0x28
#define NVME_ACQ             0x30
#define NVME_DOORBELLS       0x1000

#define NVME_CAP_MQES(cap)   ((u32)((cap)&0xffff) + 1)   /* entries of a queue, at most */
#define NVME_CAP_TO(cap)     ((u32)((cap) >> 24) & 0xff) /* for a change of CC.EN; 500 ms */
#define NVME_CAP_DSTRD(cap)  ((u32)((cap) >> 32) & 0xf)
#define NVME_CAP_CSS_NVM     BIT(37)
#define NVME_CAP_MPSMIN(cap) ((u32)((cap) >> 48) & 0xf) /* pages of 4 KiB << this */

#define NVME_CC_EN           0x1u
#define NVME_CC_IOSQES(n)    ((u32)(n) << 16)
#define NVME_CC_IOCQES(n)    ((u32)(n) << 20)

#define NVME_CSTS_RDY        0x1u
#define NVME_CSTS_CFS        0x2u
#define NVME_GONE            0xffffffffu /* what is read where no device answers */

/* "Submission Queue Entry - Command Format". */
struct nvme_command {
	u8 opcode, flags;
	u16 cid;
	u32 nsid;
	u32 cdw2, cdw3;
	u64 metadata;
	u64 prp1, prp2;
	u32 cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

/* "Completion Queue Entry". */
struct nvme_completion {
	u32 result, reserved;
	u16 sq_head, sq_id;
	u16 cid;
	u16 status; /* bit 0: the phase */
};

_Static_assert(sizeof(struct nvme_command) == 64, "a command has 64 bytes");
_Static_assert(sizeof(struct nvme_completion) == 16, "a completion has 16 bytes");

#define NVME_STATUS_PHASE          0x0001
#define NVME_STATUS_CODE(s)        (((s) >> 1) & 0x7ff) /* type and code */
#define NVME_STATUS_NO_RETRY       0x8000
#define NVME_STATUS_INVALID_OPCODE 0x001

/* "Admin Command Set". */
#define NVME_ADMIN_CREATE_SQ     0x01
#define NVME_ADMIN_CREATE_CQ     0x05
#define NVME_ADMIN_IDENTIFY      0x06
#define NVME_ADMIN_SET_FEATURES  0x09
#define NVME_IDENTIFY_NAMESPACE  0
#define NVME_IDENTIFY_CONTROLLER 1
#define NVME_FEATURE_QUEUES      7
#define NVME_QUEUE_CONTIGUOUS    0x1u
#define NVME_QUEUE_INTERRUPTS    0x2u

/* "NVM Command Set". */
#define NVME_FLUSH             0x00
#define NVME_WRITE             0x01
#define NVME_READ              0x02
#define NVME_WRITE_ZEROES      0x08
#define NVME_DSM               0x09
#define NVME_WRITE_ZEROES_DEAC BIT(25) /* CDW12 */
#define NVME_DSM_DEALLOCATE    0x4u    /* CDW11 */

struct nvme_dsm_range {
	u32 attributes;
	u32 blocks;
	u64 block;
};

/* "Identify Controller Data Structure": offsets. */
#define NVME_CTRL_SERIAL       4
#define NVME_CTRL_SERIAL_LEN   20
#define NVME_CTRL_MODEL        24
#define NVME_CTRL_MODEL_LEN    40
#define NVME_CTRL_MDTS         77
#define NVME_CTRL_NAMESPACES   516
#define NVME_CTRL_ONCS         520
#define NVME_CTRL_VWC          525
#define NVME_ONCS_DSM          0x4
#define NVME_ONCS_WRITE_ZEROES 0x8

/* "Identify Namespace Data Structure": offsets. */
#define NVME_NS_SIZE            0
#define NVME_NS_FEATURES        24
#define NVME_NS_FORMAT          26
#define NVME_NS_PROTECTION      29
#define NVME_NS_WRITE_GRANULE   64
#define NVME_NS_ATTRIBUTES      99
#define NVME_NS_FORMATS         128 /* of 4 bytes each */
#define NVME_NS_HAS_GRANULE     0x10
#define NVME_NS_WRITE_PROTECTED 0x1

#endif
