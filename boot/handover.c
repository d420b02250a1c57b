/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/handover.h"
#include "boot/efi.h"
#include "boot/memmap.h"
#include "lib/errno.h"
#include "lib/printk.h"
#include "lib/x86.h"

#define SLACK_DESCRIPTORS 64 /* the map grows by allocating memory for it, and while we wait */
#define EXIT_TRIES        8

static struct uefi_map last_map;

/* Memory for the map, with room to grow: none may be allocated once ExitBootServices has begun. */
static void *map_buffer(UINTN *size)
{
	EFI_PHYSICAL_ADDRESS base;
	UINTN key, desc_size = 0;
	u32 version;

	*size = 0;
	if (BS->GetMemoryMap(size, NULL, &key, &desc_size, &version) != EFI_BUFFER_TOO_SMALL)
		return NULL;
	*size = ALIGN_UP(*size + SLACK_DESCRIPTORS * desc_size, PAGE_SIZE);
	if (EFI_ERROR(BS->AllocatePages(AllocateAnyPages, EfiLoaderData, *size / PAGE_SIZE, &base)))
		return NULL;
	return (void *)base;
}

bool handover_exit(void)
{
	UINTN room;
	void *buffer = map_buffer(&room);
	EFI_STATUS status = EFI_OUT_OF_RESOURCES;

	/*
	 * The map's key is good for as long as nobody allocates: a timer of the firmware may, between
	 * the two calls, and the first try may itself. Only these two calls are allowed after it.
	 */
	for (unsigned int i = 0; buffer && i < EXIT_TRIES; i++) {
		UINTN size = room, key, desc_size;
		u32 version;

		status = BS->GetMemoryMap(&size, buffer, &key, &desc_size, &version);
		if (EFI_ERROR(status))
			break;
		last_map = (struct uefi_map){ buffer, size, desc_size };
		status = BS->ExitBootServices(efi_image, key);
		if (status != EFI_INVALID_PARAMETER)
			break;
	}
	if (EFI_ERROR(status)) {
		pr_err("boot: the firmware does not let go: ExitBootServices: status 0x%llx\n",
		       (unsigned long long)status);
		return false;
	}
	irq_disable();
	return true;
}

#define PT_PRESENT BIT(0)
#define PT_LARGE   BIT(7)
#define PT_ADDRESS GENMASK(51, 12)

/* Until the VMM has page tables of its own, it walks the firmware's, which may lie anywhere. */
static int claim_page_tables(struct memmap *map, hpa_t table, unsigned int level)
{
	const u64 *entry = (const u64 *)table;
	int err = memmap_add(map, table, PAGE_SIZE, MEM_FILES);

	for (unsigned int i = 0; level > 1 && i < 512 && !err; i++) {
		if ((entry[i] & PT_PRESENT) && !(level <= 3 && (entry[i] & PT_LARGE)))
			err = claim_page_tables(map, entry[i] & PT_ADDRESS, level - 1);
	}
	return err;
}

static int claim_file(struct memmap *map, const struct boot_file *file)
{
	return memmap_add(map, (hpa_t)file->data, file->size, MEM_FILES);
}

static int claim_files(struct memmap *map, const struct config *cfg)
{
	int err = 0;

	for (unsigned int i = 0; i < cfg->vms && !err; i++) {
		const struct vm_config *vm = &cfg->vm[i];

		err = claim_file(map, &vm->kernel_file);
		if (!err)
			err = claim_file(map, &vm->initrd_file);
		for (unsigned int m = 0; m < vm->modules && !err; m++)
			err = claim_file(map, &vm->module[m].file);
		for (unsigned int d = 0; d < vm->disks && !err; d++)
			err = claim_file(map, &vm->disk[d].file);
	}
	return err;
}

/* What is ours already; page 0 is nobody's, so that a NULL pointer can fault. */
static int claim_ours(struct memmap *map, const struct boot_info *info)
{
	const struct boot_image *image = &info->image;
	unsigned int levels = read_cr4() & CR4_LA57 ? 5 : 4;
	int err = memmap_add(map, image->text, image->data_end - image->text, MEM_IMAGE);

	if (!err)
		err = memmap_add(map, 0, PAGE_SIZE, MEM_RUNTIME);
	if (!err)
		err = claim_files(map, &info->config);
	if (!err)
		err = claim_page_tables(map, read_cr3() & PT_ADDRESS, levels);
	return err;
}

static int claim_all(struct memmap *map, const struct boot_info *info)
{
	int err = memmap_add(map, info->fb.base, info->fb.size, MEM_MMIO);

	if (!err)
		err = memmap_add_uefi(map, &last_map, MEM_MMIO);
	if (!err)
		err = memmap_add_uefi(map, &last_map, MEM_ACPI);
	if (!err)
		err = memmap_add_uefi(map, &last_map, MEM_RUNTIME);
	if (!err)
		err = claim_ours(map, info);
	if (!err)
		err = memmap_add_uefi(map, &last_map, MEM_FREE);
	return err;
}

bool handover_memory(struct boot_info *info)
{
	struct memmap map = { .range = info->range, .max = BOOT_MAX_RANGES };
	int err = claim_all(&map, info);

	if (err) {
		pr_err("boot: the firmware's memory map: %s\n",
		       err == -ENOSPC ? "too many ranges" : "its format is unknown");
		return false;
	}
	if (map.lost)
		pr_warn("boot: the memory map is in so many pieces that %llu KiB are left out\n",
			(unsigned long long)map.lost >> 10);
	info->ranges = map.ranges;
	return true;
}
