/* Between ahci.c, which brings controller and ports up and keeps them going, and ahci_command.c. */
#ifndef DRIVERS_AHCI_PRIVATE_H
#define DRIVERS_AHCI_PRIVATE_H

#include "drivers/ahci_regs.h"
#include "drivers/disk_request.h"
#include "drivers/hostdev.h"
#include "lib/spinlock.h"

#define AHCI_SLOTS 32u

struct ahci_port;

/* What a disk has said of itself. */
struct ahci_identity {
	char serial[BLOCK_SERIAL_LEN + 1];
	char model[BLOCK_MODEL_LEN + 1];
	u64 sectors; /* of 512 bytes */
	u32 block_size, physical_block_size;
	unsigned int depth; /* of its queue; 0: no queued commands */
	bool trim, write_cache;
};

/* NULL, or what is wrong with @words. */
const char *ahci_identity(const u16 words[ATA_ID_WORDS], struct ahci_identity *id);

/* Fill @table for (a part of) @r; @tag is its slot. Returns the sectors, and the PRDs used. */
struct ahci_built {
	u64 sectors;
	u16 prds;
	bool write;
};

struct ahci_built ahci_build(struct block_request *r, struct ahci_table *table, u32 block_size,
			     bool queued, unsigned int tag, u64 *ranges);
struct ahci_built ahci_build_identify(struct ahci_table *table, void *words);

#endif
