/* SPDX-License-Identifier: BSD-2-Clause */
/* AHCI: registers and structures in memory. Serial ATA AHCI Specification 1.3.1. */
#ifndef DRIVERS_AHCI_REGS_H
#define DRIVERS_AHCI_REGS_H

#include "lib/types.h"

/* "Generic Host Control". */
#define AHCI_CAP          0x00
#define AHCI_GHC          0x04
#define AHCI_IS           0x08
#define AHCI_PI           0x0c
#define AHCI_CAP2         0x24
#define AHCI_BOHC         0x28

#define AHCI_CAP_SLOTS(c) (((c) >> 8 & 31) + 1)
#define AHCI_CAP_NCQ      0x40000000u
#define AHCI_CAP_64BIT    0x80000000u
#define AHCI_GHC_RESET    0x00000001u
#define AHCI_GHC_IRQ      0x00000002u
#define AHCI_GHC_ENABLE   0x80000000u
#define AHCI_CAP2_BOH     0x1u
#define AHCI_BOHC_BIOS    0x01u
#define AHCI_BOHC_OS      0x02u
#define AHCI_BOHC_BUSY    0x10u
#define AHCI_GONE         0xffffffffu /* what is read where no device answers */

/* "Port Registers (one set per port)". */
#define AHCI_PORTS         32u
#define AHCI_PORT(n)       (0x100u + 0x80u * (n))
#define AHCI_PxCLB         0x00
#define AHCI_PxFB          0x08
#define AHCI_PxIS          0x10
#define AHCI_PxIE          0x14
#define AHCI_PxCMD         0x18
#define AHCI_PxTFD         0x20
#define AHCI_PxSIG         0x24
#define AHCI_PxSSTS        0x28
#define AHCI_PxSCTL        0x2c
#define AHCI_PxSERR        0x30
#define AHCI_PxSACT        0x34
#define AHCI_PxCI          0x38

#define AHCI_CMD_START     0x0001u
#define AHCI_CMD_SPIN_UP   0x0002u
#define AHCI_CMD_POWER     0x0004u
#define AHCI_CMD_FIS       0x0010u /* receive them */
#define AHCI_CMD_RUNNING   0x8000u
#define AHCI_CMD_ACTIVE    0x10000000u /* ICC: bring the link up */

#define AHCI_TFD_ERR       0x01u
#define AHCI_TFD_DRQ       0x08u
#define AHCI_TFD_BSY       0x80u

#define AHCI_SSTS_DET(s)   ((s)&15)
#define AHCI_DET_NONE      0u
#define AHCI_DET_DEVICE    1u /* a device, and not yet talking to it */
#define AHCI_DET_LINK      3u /* a device, and talking to it */
#define AHCI_SCTL_RESET    0x1u
#define AHCI_SCTL_NO_SLEEP 0x300u /* the link keeps out of its power-saving states */
#define AHCI_SIG_DISK      0x00000101u

/* PxIS and PxIE. */
#define AHCI_INT_D2H       0x00000001u
#define AHCI_INT_PIO       0x00000002u
#define AHCI_INT_DMA       0x00000004u
#define AHCI_INT_SDB       0x00000008u
#define AHCI_INT_CONNECT   0x00000040u
#define AHCI_INT_PHY       0x00400000u
#define AHCI_INT_LINK      (AHCI_INT_CONNECT | AHCI_INT_PHY)
#define AHCI_INT_FATAL     0x79000000u /* overflow, interface, host bus (data and other), task file */
#define AHCI_INT_TASK_FILE 0x40000000u
#define AHCI_INT_WANTED \
	(AHCI_INT_D2H | AHCI_INT_PIO | AHCI_INT_DMA | AHCI_INT_SDB | AHCI_INT_LINK | AHCI_INT_FATAL)

/* "Command List Structure". */
struct ahci_header {
	u16 flags;
	u16 prdt_entries;
	u32 bytes; /* moved, as the HBA says */
	u64 table;
	u32 reserved[4];
};

#define AHCI_HEADER_FIS_DWORDS 5
#define AHCI_HEADER_WRITE      0x40

struct ahci_prd {
	u64 base;
	u32 reserved;
	u32 bytes_less_one; /* up to 4 MiB */
};

/* "Register - Host to Device FIS" of Serial ATA. */
struct ahci_fis {
	u8 type, flags, command, feature;
	u8 lba0, lba1, lba2, device;
	u8 lba3, lba4, lba5, feature_high;
	u16 count;
	u8 icc, control;
	u32 aux;
};

#define AHCI_FIS_H2D     0x27
#define AHCI_FIS_COMMAND 0x80
#define AHCI_PRDS        64u

struct ahci_table {
	struct ahci_fis fis;
	u8 rest_of_fis[44], atapi[16], reserved[48];
	struct ahci_prd prd[AHCI_PRDS];
};

_Static_assert(sizeof(struct ahci_header) == 32, "a command header has 32 bytes");
_Static_assert(sizeof(struct ahci_fis) == 20, "the FIS has 5 words");
_Static_assert(offsetof(struct ahci_table, prd) == 128, "the PRDT is behind 128 bytes");
_Static_assert(sizeof(struct ahci_table) % 128 == 0, "tables in a row are on boundaries of 128");

/* ATA commands: ATA/ATAPI Command Set. */
#define ATA_DSM             0x06
#define ATA_READ_DMA_EXT    0x25
#define ATA_WRITE_DMA_EXT   0x35
#define ATA_READ_FPDMA      0x60
#define ATA_WRITE_FPDMA     0x61
#define ATA_FLUSH_CACHE_EXT 0xea
#define ATA_IDENTIFY        0xec
#define ATA_DSM_TRIM        0x01
#define ATA_DEVICE_LBA      0x40
#define ATA_TRIM_RANGES     64u /* of one block of 512 bytes */
#define ATA_TRIM_MAX        0xffffu

/* Words of IDENTIFY DEVICE data. */
#define ATA_ID_WORDS        256u
#define ATA_ID_SERIAL       10
#define ATA_ID_SERIAL_LEN   20
#define ATA_ID_MODEL        27
#define ATA_ID_MODEL_LEN    40
#define ATA_ID_QUEUE_DEPTH  75
#define ATA_ID_SATA         76
#define ATA_ID_COMMANDS     83
#define ATA_ID_ENABLED      85
#define ATA_ID_SECTORS      100
#define ATA_ID_SIZES        106
#define ATA_ID_LOGICAL_SIZE 117
#define ATA_ID_DSM          169

#endif
