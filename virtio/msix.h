/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MSI-X table and pending bits of an emulated PCI function. PCI Local Bus Specification 3.0,
 * "MSI-X Capability and Table Structures".
 */
#ifndef VIRTIO_MSIX_H
#define VIRTIO_MSIX_H

#include "lib/types.h"

#define MSIX_MAX        64 /* entries: the pending bits are one u64 */
#define MSIX_ENTRY_SIZE 16

struct msix_entry {
	u64 address;
	u32 data;
	u32 control; /* bit 0: masked */
};
_Static_assert(sizeof(struct msix_entry) == MSIX_ENTRY_SIZE, "MSI-X Table");

struct msix {
	struct msix_entry entry[MSIX_MAX];
	unsigned int entries;
	u64 pending;
	bool enabled, all_masked;
	void (*send)(void *ctx, u64 address, u32 data);
	void *ctx;
};

/* Disabled, and every entry masked, as after a reset. */
void msix_init(struct msix *m, unsigned int entries, void (*send)(void *ctx, u64 address, u32 data),
	       void *ctx);

/* The capability's message control was written. */
void msix_control(struct msix *m, bool enabled, bool all_masked);

/* Send the message of @entry, now or once it is unmasked. Entries that do not exist send none. */
void msix_raise(struct msix *m, unsigned int entry);

/*
 * The registers: 4 or 8 bytes on their own boundary, @off from the start of the table or of the
 * pending bits. Else reads are all ones, and writes nothing.
 */
u64 msix_table_read(const struct msix *m, u64 off, u8 size);
void msix_table_write(struct msix *m, u64 off, u8 size, u64 value);
u64 msix_pending_read(const struct msix *m, u64 off, u8 size);

#endif
