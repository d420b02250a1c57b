/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/host/driver_selftest.h"
#include "lib/string.h"
#include "lib/x86.h"
#include "vmm/host/gpt.h"
#include "vmm/host/hostdev.h"
#include "vmm/host/mem.h"
#include "vmm/host/tsc.h"

#define POLLS_A_SECOND 10
#define READ_SECONDS   60

static bool polls;

static u64 now(void)
{
	return rdtsc();
}

void driver_selftest_wait(void (*poll)(void *ctx), void *ctx, u64 *next_poll)
{
	u64 tsc = rdtsc();

	irq_window();
	if (!*next_poll)
		*next_poll = tsc + tsc_hz() / POLLS_A_SECOND;
	if (tsc < *next_poll)
		return;
	*next_poll = tsc + tsc_hz() / POLLS_A_SECOND;
	polls = true;
	poll(ctx);
	polls = false;
}

bool driver_selftest_polls(void)
{
	return polls;
}

struct reader {
	u8 buffer[GPT_BUFFER]; /* on a page */
	struct gpt_part part[GPT_MAX_PARTS];
};

/* The first partition of @disk with our label in @part. */
static bool find_scratch(struct reader *r, const struct block_device *disk, struct block_part *part)
{
	const struct gpt_env env = { r->buffer, now, READ_SECONDS * tsc_hz() };
	unsigned int parts = 0;
	enum gpt_result result = gpt_read(disk, &env, r->part, &parts);

	if (result != GPT_OK && result != GPT_BACKUP)
		return false;
	for (unsigned int i = 0; i < parts; i++) {
		if (strcmp(r->part[i].label, SELFTEST_SCRATCH))
			continue;
		block_part_init(part, disk, r->part[i].first, r->part[i].sectors);
		return true;
	}
	return false;
}

void driver_selftest(void)
{
	const u64 bytes = ALIGN_UP(sizeof(struct reader), PAGE_SIZE);
	hpa_t memory = mem_alloc_below(bytes, GIB(4), MEM_OWNER_VMM);
	const struct block_device *disk;
	struct block_part part;
	struct nic *nic;

	for (unsigned int i = 0; memory && (disk = hostdev_disk(i)); i++) {
		bool scratch = !disk->read_only &&
			       find_scratch((struct reader *)(uintptr_t)memory, disk, &part);

		driver_selftest_disk(disk->name, scratch ? &part.dev : disk, scratch);
	}
	if (memory)
		mem_free(memory, bytes, MEM_OWNER_VMM);
	for (unsigned int i = 0; (nic = hostdev_nic(i)); i++)
		driver_selftest_nic(nic);
}
