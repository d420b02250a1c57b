/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/msix.h"
#include "lib/string.h"

#define ENTRY_MASKED 1u

void msix_init(struct msix *m, unsigned int entries, void (*send)(void *ctx, u64 address, u32 data),
	       void *ctx)
{
	*m = (struct msix){ .entries = entries, .send = send, .ctx = ctx };
	for (unsigned int i = 0; i < entries; i++)
		m->entry[i].control = ENTRY_MASKED;
}

static bool deliverable(const struct msix *m, unsigned int entry)
{
	return m->enabled && !m->all_masked && !(m->entry[entry].control & ENTRY_MASKED);
}

void msix_raise(struct msix *m, unsigned int entry)
{
	if (entry >= m->entries || !m->enabled)
		return;
	if (deliverable(m, entry))
		m->send(m->ctx, m->entry[entry].address, m->entry[entry].data);
	else
		m->pending |= BIT(entry);
}

static void send_pending(struct msix *m)
{
	for (u64 left = m->pending; left; left &= left - 1) {
		unsigned int entry = (unsigned int)__builtin_ctzll(left);

		if (!deliverable(m, entry))
			continue;
		m->pending &= ~BIT(entry);
		m->send(m->ctx, m->entry[entry].address, m->entry[entry].data);
	}
}

void msix_control(struct msix *m, bool enabled, bool all_masked)
{
	m->enabled = enabled;
	m->all_masked = all_masked;
	if (!enabled)
		m->pending = 0;
	send_pending(m);
}

static bool regular(u64 off, u8 size)
{
	return (size == 4 || size == 8) && IS_ALIGNED(off, size);
}

u64 msix_table_read(const struct msix *m, u64 off, u8 size)
{
	u64 value = 0;

	if (!regular(off, size) || off >= (u64)m->entries * MSIX_ENTRY_SIZE)
		return ~0ULL;
	memcpy(&value, (const u8 *)m->entry + off, size);
	return value;
}

void msix_table_write(struct msix *m, u64 off, u8 size, u64 value)
{
	struct msix_entry *entry;

	if (!regular(off, size) || off >= (u64)m->entries * MSIX_ENTRY_SIZE)
		return;
	memcpy((u8 *)m->entry + off, &value, size);
	entry = &m->entry[off / MSIX_ENTRY_SIZE];
	entry->control &= ENTRY_MASKED;
	send_pending(m);
}

u64 msix_pending_read(const struct msix *m, u64 off, u8 size)
{
	if (!regular(off, size) || off >= sizeof(m->pending))
		return ~0ULL;
	return m->pending >> 8 * off;
}
