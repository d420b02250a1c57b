/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vm/disks.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "lib/x86.h"
#include "vmm/host/gpt.h"
#include "vmm/host/hostdev.h"
#include "vmm/host/mem.h"
#include "vmm/vm/vm.h"
#include "vmm/vm/vm_memory.h"

#define MAX_PARTS    256 /* of the machine */
#define READ_SECONDS 100 /* drivers give up before that */

struct found {
	const struct block_device *disk;
	struct gpt_part part;
};

/* What a VM gets for a line of its section. */
struct vm_disk {
	const struct found *found; /* DISK_PART */
	struct block_part part;
	struct block_ram ram;
};

static struct found *found; /* of MAX_PARTS; for ever */
static unsigned int nr_found;
static struct vm_disk vm_disks[CONFIG_MAX_VMS][CONFIG_MAX_DISKS];
static bool impossible[CONFIG_MAX_VMS];
static const struct boot_info *boot;

/* --- what is there --- */

static const char *size_text(u64 sectors, char *text, size_t size)
{
	u64 kib = sectors / 2;

	if (kib < 10 * KIB(1))
		scnprintf(text, size, "%llu KiB", (unsigned long long)kib);
	else if (kib < 10 * MIB(1))
		scnprintf(text, size, "%llu MiB", (unsigned long long)(kib >> 10));
	else
		scnprintf(text, size, "%llu GiB", (unsigned long long)(kib >> 20));
	return text;
}

static void print_disk(const struct block_device *dev)
{
	const char *model = dev->model[0] ? dev->model : dev->serial;
	char size[24];

	pr_info("disk: %s: %s, %u-byte blocks%s%s%s\n", dev->name,
		size_text(dev->sectors, size, sizeof(size)), dev->block_size,
		dev->read_only ? ", read-only" : "", model[0] ? ", " : "", model);
}

static void print_part(const struct found *f)
{
	char guid[GPT_GUID_TEXT], size[24];

	pr_info("disk: %s part %u: %s, %s, %s%s\n", f->disk->name, f->part.number,
		f->part.label[0] ? f->part.label : "(no label)", gpt_guid_text(f->part.guid, guid),
		size_text(f->part.sectors, size, sizeof(size)),
		gpt_is_esp(&f->part) ? ", EFI system partition" : "");
}

static void add_parts(const struct block_device *dev, const struct gpt_part *part,
		      unsigned int parts)
{
	for (unsigned int i = 0; i < parts; i++) {
		if (nr_found == MAX_PARTS) {
			pr_warn("disk: %s: too many partitions: expected at most %d\n", dev->name,
				MAX_PARTS);
			return;
		}
		found[nr_found] = (struct found){ dev, part[i] };
		print_part(&found[nr_found++]);
	}
}

static void list_disk(const struct block_device *dev, const struct gpt_env *env,
		      struct gpt_part *part)
{
	static const char *const trouble[] = {
		[GPT_OK] = NULL,
		[GPT_NONE] = NULL,
		[GPT_BAD] = "its partition table is damaged, and so is the copy: not used",
		[GPT_BACKUP] = "its partition table is damaged: the copy at its end is used",
		[GPT_UNREADABLE] = "its partition table cannot be read",
	};
	enum gpt_result result;
	unsigned int parts;

	print_disk(dev);
	result = gpt_read(dev, env, part, &parts);
	if (trouble[result])
		pr_warn("disk: %s: %s\n", dev->name, trouble[result]);
	if (result == GPT_OK || result == GPT_BACKUP)
		add_parts(dev, part, parts);
}

static u64 now(void)
{
	return rdtsc();
}

static void list_disks(void)
{
	const u64 bytes = GPT_MAX_PARTS * sizeof(struct gpt_part);
	struct gpt_env env = { .now = now, .timeout = READ_SECONDS * vmm.tsc_hz };
	struct gpt_part *part = (void *)(uintptr_t)mem_alloc(bytes, 0, MEM_OWNER_VMM);

	env.buffer = (void *)(uintptr_t)mem_alloc_below(GPT_BUFFER, GIB(4), MEM_OWNER_VMM);
	found = (void *)(uintptr_t)mem_alloc(MAX_PARTS * sizeof(*found), 0, MEM_OWNER_VMM);
	if (!part || !env.buffer || !found) {
		pr_err("disk: no memory to read partition tables\n");
		return;
	}
	for (unsigned int i = 0; hostdev_disk(i); i++)
		list_disk(hostdev_disk(i), &env, part);
	mem_free((uintptr_t)part, bytes, MEM_OWNER_VMM);
	/* The buffer is kept: a disk that has not answered in time may do so yet. */
}

/* --- what is asked for --- */

static void __format(3, 4)
	refuse(unsigned int vm, const struct disk_config *disk, const char *fmt, ...)
{
	char text[200];
	va_list args;

	va_start(args, fmt);
	vscnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	pr_err("lintel.conf:%u: disk = part:%s: %s\n", disk->line, disk->what, text);
	impossible[vm] = true;
}

static bool overlap(const struct found *a, const struct found *b)
{
	return a->disk == b->disk && a->part.first < b->part.first + b->part.sectors &&
	       b->part.first < a->part.first + a->part.sectors;
}

/* The one partition of that name: its PARTUUID, or its label. NULL, and said why. */
static const struct found *find(unsigned int vm, const struct disk_config *disk)
{
	const struct found *f = NULL;

	for (unsigned int i = 0; i < nr_found; i++) {
		if (strcmp(found[i].part.label, disk->what) != 0 &&
		    !gpt_guid_is(found[i].part.guid, disk->what))
			continue;
		if (f) {
			refuse(vm, disk,
			       "%s part %u and %s part %u are both called so: expected a PARTUUID",
			       f->disk->name, f->part.number, found[i].disk->name,
			       found[i].part.number);
			return NULL;
		}
		f = &found[i];
	}
	if (!f)
		refuse(vm, disk,
		       "there is no such partition: expected the label or PARTUUID of one");
	return f;
}

/* The firmware's, or the one that lintel.conf is on; or, in a table that somebody has made up, what lies across them. */
static bool is_ours(const struct found *f)
{
	static const u8 none[16];

	for (unsigned int i = 0; i < nr_found; i++) {
		bool ours = gpt_is_esp(&found[i].part) ||
			    (memcmp(boot->boot_part, none, sizeof(none)) != 0 &&
			     !memcmp(boot->boot_part, found[i].part.guid, sizeof(none)));

		if (ours && overlap(&found[i], f))
			return true;
	}
	return false;
}

/* The line before disk @n of VM @vm that has @f, or a part of it, and cannot share it; NULL: none. */
static const struct disk_config *other_user(unsigned int vm, unsigned int n, const struct found *f,
					    const struct vm_config **owner)
{
	for (unsigned int v = 0; v <= vm; v++) {
		const struct vm_config *c = &boot->config.vm[v];

		for (unsigned int i = 0; i < (v == vm ? n : c->disks); i++) {
			const struct found *o = vm_disks[v][i].found;

			*owner = c;
			if (o && overlap(o, f) &&
			    !(c->disk[i].read_only && boot->config.vm[vm].disk[n].read_only))
				return &c->disk[i];
		}
	}
	return NULL;
}

static void resolve(unsigned int vm, unsigned int n)
{
	const struct disk_config *disk = &boot->config.vm[vm].disk[n], *other;
	struct vm_disk *d = &vm_disks[vm][n];
	const struct found *f = find(vm, disk);
	const struct vm_config *owner;

	if (!f)
		return;
	other = other_user(vm, n, f, &owner);
	if (is_ours(f)) {
		refuse(vm, disk, "%s part %u is the firmware's and Lintel's: expected another one",
		       f->disk->name, f->part.number);
	} else if (f->disk->read_only && !disk->read_only) {
		refuse(vm, disk, "%s is read-only: expected ,ro", f->disk->name);
	} else if (other) {
		refuse(vm, disk,
		       "it is %s's already, by line %u: expected another one, or ,ro in both",
		       owner->name, other->line);
	} else {
		d->found = f;
		block_part_init(&d->part, f->disk, f->part.first, f->part.sectors);
		d->part.dev.read_only = disk->read_only;
	}
}

void disks_init(const struct boot_info *info)
{
	boot = info;
	list_disks();
	hostdev_settle(); /* so that a VM without disks does not notice the machine's */
	for (unsigned int vm = 0; vm < info->config.vms; vm++) {
		const struct vm_config *c = &info->config.vm[vm];

		for (unsigned int n = 0; n < c->disks && !c->bad; n++) {
			if (c->disk[n].kind == DISK_PART)
				resolve(vm, n);
		}
	}
}

bool disks_possible(const struct vm *vm)
{
	return !impossible[vm->id];
}

/* --- memory --- */

static void *take_memory(const struct vm *vm, const struct disk_config *disk, u64 size)
{
	hpa_t hpa = mem_alloc(size, 0, VM_OWNER_OVERHEAD(vm->id));

	if (!hpa)
		pr_err("lintel.conf:%u: disk = %s%s: no memory for its %llu KiB (%llu MiB free, "
		       "%llu "
		       "MiB in one piece): expected a smaller one\n",
		       disk->line, disk->kind == DISK_RAM ? "ram" : "file:", disk->what,
		       (unsigned long long)(size >> 10),
		       (unsigned long long)(mem_free_bytes() >> 20),
		       (unsigned long long)(mem_largest_free(PAGE_SIZE) >> 20));
	return (void *)(uintptr_t)hpa;
}

int disks_open(struct vm *vm, unsigned int n, struct block_device **dev)
{
	const struct disk_config *disk = &vm->config->disk[n];
	struct vm_disk *d = &vm_disks[vm->id][n];
	/* The rest of a file's last page is zeroes. */
	u64 size =
		disk->kind == DISK_FILE ? ALIGN_UP(disk->file.size, (u64)BLOCK_SECTOR) : disk->size;
	u8 *data;

	if (disk->kind == DISK_PART) {
		*dev = &d->part.dev;
		return 0;
	}
	if (disk->kind == DISK_FILE && disk->read_only) {
		data = (u8 *)(uintptr_t)disk->file.data; /* nobody writes to it */
	} else {
		data = take_memory(vm, disk, size);
		if (!data)
			return -ENOMEM;
		if (disk->kind == DISK_FILE)
			memcpy(data, disk->file.data, size);
		else
			memset(data, 0, size);
	}
	block_ram_init(&d->ram, data, size, disk->read_only);
	*dev = &d->ram.dev;
	return 0;
}
