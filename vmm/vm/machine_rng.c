/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vm/machine_rng.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "vmm/host/mem.h"
#include "vmm/vm/vm.h"
#include "vmm/vm/vm_memory.h"

#define RNG_SLOT 14 /* behind disks and network cards */

#define TRIES    10 /* SDM, "Guidelines for Using RDRAND/RDSEED": it may fail while others drain it */

/* Which instruction there is: the better one, or none. */
typedef bool source_fn(u64 *value);

static bool rdseed(u64 *value)
{
	bool ok;

	__asm__ volatile("rdseed %0" : "=r"(*value), "=@ccc"(ok));
	return ok;
}

static bool rdrand(u64 *value)
{
	bool ok;

	__asm__ volatile("rdrand %0" : "=r"(*value), "=@ccc"(ok));
	return ok;
}

static source_fn *source(void)
{
	if (cpuid(0, 0).eax >= 7 && cpuid(7, 0).ebx & BIT(18))
		return rdseed;
	return cpuid(1, 0).ecx & BIT(30) ? rdrand : NULL;
}

static bool draw(source_fn *from, u64 *value)
{
	for (unsigned int i = 0; i < TRIES; i++) {
		if (from(value))
			return true;
		cpu_pause();
	}
	return false;
}

static size_t on_fill(void *ctx, u8 *data, size_t len)
{
	source_fn *from = source();
	size_t done = 0;
	u64 value;

	(void)ctx;
	while (done < len && draw(from, &value)) {
		size_t n = MIN(len - done, sizeof(value));

		memcpy(data + done, &value, n);
		done += n;
	}
	return done;
}

int machine_rng_init(struct vm *vm)
{
	static const struct virtio_rng_ops ops = { .fill = on_fill };
	struct virtio_rng_card *card;

	if (vm->config->console == VM_CONSOLE_UART || !source())
		return 0;
	card = (void *)(uintptr_t)mem_alloc(sizeof(*card), PAGE_SIZE, VM_OWNER_OVERHEAD(vm->id));
	if (!card)
		return -ENOMEM;
	virtio_slot_init(&card->slot, vm, RNG_SLOT);
	virtio_rng_init(&card->rng, &card->slot.host, &ops, vm);
	virtio_slot_plug(&card->slot, &card->rng.dev, "virtio-rng");
	return 0;
}
