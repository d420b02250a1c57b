/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/errno.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "lib/x86.h"
#include "vmm/host/cpu.h"
#include "vmm/host/hostpt.h"
#include "vmm/host/mem.h"
#include "vmm/host/pagetable.h"

#define MAX_GUARDS (CPU_MAX * CPU_STACKS)

/* What hangs on the leaves of memory that is read, or read and written. */
#define RO (PT_PRESENT | PT_GLOBAL | PT_NX)
#define RW (PT_PRESENT | PT_GLOBAL | PT_NX | PT_WRITE)
#define RX (PT_PRESENT | PT_GLOBAL)

static struct pagetable pt;
static struct pagetable firmware; /* what is in use until ours is loaded, then root is NULL */
static const struct boot_image *image;
static bool loaded;

static hpa_t guards[MAX_GUARDS];
static unsigned int nr_guards;
static hpa_t code_page; /* 0: none yet */

/* Devices are not mapped from the firmware's list: each driver says what it needs. */
static const u64 rights_of_kind[] = {
	[MEM_FREE] = RW,    [MEM_IMAGE] = RO, [MEM_FILES] = RO,
	[MEM_RUNTIME] = RO, [MEM_ACPI] = RO,  [MEM_MMIO] = 0,
};

/*
 * Until our own map is loaded, a page that the firmware has made a guard of may come: it is free
 * memory, but not mapped. Such pages are passed over; they stay allocated, unused.
 */
static hpa_t alloc_table(void)
{
	hpa_t page;

	do {
		page = mem_alloc(PAGE_SIZE, PAGE_SIZE, MEM_OWNER_VMM);
	} while (page && firmware.root && !pagetable_get(&firmware, page));
	if (page)
		memset((void *)page, 0, PAGE_SIZE);
	return page;
}

/* Set, and say what failed: all of these are set-up. */
static int set(const char *what, hpa_t base, hpa_t end, u64 bits)
{
	int err = end < base ? -EINVAL : pagetable_set(&pt, base, end - base, bits);

	if (err)
		pr_err("page tables: cannot map %s 0x%llx-0x%llx: error %d\n", what,
		       (unsigned long long)base, (unsigned long long)end, err);
	return err;
}

static int map_memory(const struct boot_info *info)
{
	for (unsigned int i = 0; i < MIN(info->ranges, BOOT_MAX_RANGES); i++) {
		const struct mem_range *r = &info->range[i];
		u64 bits = r->kind < ARRAY_SIZE(rights_of_kind) ? rights_of_kind[r->kind] : 0;
		int err = bits ? set("memory", r->base, r->base + r->size, bits) : 0;

		if (err)
			return err;
	}
	return set("page 0", 0, PAGE_SIZE, 0); /* so that a NULL pointer faults */
}

static int map_image(void)
{
	int err = set("text", image->text, image->text_end, RX);

	if (!err)
		err = set("constants", image->rodata, image->rodata_end, RO);
	if (!err)
		err = set("data", image->data, image->data_end, RW);
	return err;
}

/* The log is drawn from the first moment on; no driver comes to ask for it. */
static int map_framebuffer(const struct boot_framebuffer *fb)
{
	if (!fb->base)
		return 0;
	return set("framebuffer", ALIGN_DOWN(fb->base, (u64)PAGE_SIZE),
		   ALIGN_UP(fb->base + fb->size, (u64)PAGE_SIZE), RW | PT_WC);
}

int hostpt_build(const struct boot_info *info, const struct hostpt_cpu *cpu)
{
	int err;

	pt = (struct pagetable){
		.root = (u64 *)alloc_table(),
		.levels = cpu->levels,
		.largest = cpu->gib_pages ? 3 : 2,
		.valid = cpu->nx ? ~0ULL : ~PT_NX,
		.alloc = alloc_table,
	};
	image = &info->image;
	nr_guards = 0;
	code_page = 0;
	if (!pt.root) {
		pr_err("page tables: no memory\n");
		return -ENOMEM;
	}
	err = map_memory(info);
	if (!err)
		err = map_framebuffer(&info->fb);
	return err ? err : map_image();
}

/* The tables that the CPU walks now; @table belongs to the firmware and is right. */
static int reserve_tables(hpa_t table, unsigned int level)
{
	const u64 *entry = (const u64 *)table;
	int err = mem_reserve(table, PAGE_SIZE, MEM_OWNER_BOOT);

	for (unsigned int i = 0; i < 512 && level > 1 && !err; i++)
		if ((entry[i] & PT_PRESENT) && !(entry[i] & PT_LARGE))
			err = reserve_tables(entry[i] & PT_ADDR, level - 1);
	return err;
}

struct descriptor_register {
	u16 limit;
	u64 base;
} __packed;

/* More of the stack than set-up uses; what lies above belongs to callers that we never return to. */
#define BOOT_STACK KIB(32)

static int reserve_boot_state(unsigned int levels)
{
	struct descriptor_register gdtr, idtr;
	hpa_t frame = (hpa_t)__builtin_frame_address(0);
	int err;

	__asm__ volatile("sgdt %0" : "=m"(gdtr));
	__asm__ volatile("sidt %0" : "=m"(idtr));
	err = reserve_tables(read_cr3() & PT_ADDR, levels);
	if (!err)
		err = mem_reserve(gdtr.base, gdtr.limit + 1u, MEM_OWNER_BOOT);
	if (!err)
		err = mem_reserve(idtr.base, idtr.limit + 1u, MEM_OWNER_BOOT);
	if (!err)
		err = mem_reserve(frame - BOOT_STACK, 2 * BOOT_STACK, MEM_OWNER_BOOT);
	if (err)
		pr_err("page tables: the firmware's are too scattered to be kept\n");
	return err;
}

#define CPUID_NX        BIT(20) /* 80000001H EDX */
#define CPUID_GIB_PAGES BIT(26)
#define CPUID_SMEP      BIT(7) /* 7 EBX */
#define CPUID_SMAP      BIT(20)
#define CPUID_XSAVE     BIT(26) /* 1 ECX */

int hostpt_init(const struct boot_info *info)
{
	u32 edx = cpuid(0x80000001, 0).edx;
	struct hostpt_cpu cpu = {
		/* The number of levels cannot be changed while paging is on. */
		.levels = read_cr4() & CR4_LA57 ? 5 : 4,
		.gib_pages = edx & CPUID_GIB_PAGES,
		.nx = edx & CPUID_NX,
	};
	int err = reserve_boot_state(cpu.levels);

	if (err)
		return err;
	if (!cpu.nx)
		pr_warn("this CPU (or its firmware's setting) has no NX: data is executable\n");
	/* The firmware may have what is free now read-only. CR0.WP cannot be clear while CET is on. */
	firmware = (struct pagetable){ (u64 *)(read_cr3() & PT_ADDR), .levels = cpu.levels };
	write_cr4(read_cr4() & ~CR4_CET);
	write_cr0(read_cr0() & ~CR0_WP);
	return hostpt_build(info, &cpu);
}

/* All of CR4 is ours: what the firmware had set besides (CET, PCID, ...) goes. */
static u64 wanted_cr4(void)
{
	u64 cr4 = CR4_PAE | CR4_MCE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	u32 features = cpuid(0, 0).eax >= 7 ? cpuid(7, 0).ebx : 0;

	cr4 |= read_cr4() & CR4_LA57;
	cr4 |= features & CPUID_SMEP ? CR4_SMEP : 0;
	cr4 |= features & CPUID_SMAP ? CR4_SMAP : 0;
	cr4 |= cpuid(1, 0).ecx & CPUID_XSAVE ? CR4_OSXSAVE : 0;
	return cr4;
}

/* Global entries survive a load of CR3; a change of CR4.PGE takes all of the TLB. */
static void flush(void)
{
	u64 cr4 = read_cr4();

	write_cr4(cr4 & ~CR4_PGE);
	write_cr4(cr4);
}

void hostpt_load(void)
{
	/* Leaves with NX need EFER.NXE first. SCE stays with whoever uses SYSCALL: nobody. */
	wrmsr(IA32_EFER, EFER_LME | EFER_LMA | (pt.valid & PT_NX ? EFER_NXE : 0));
	/* No mapping in use has the one type that changes (WC for WT): no cache needs flushing. */
	wrmsr(IA32_PAT, PAGETABLE_PAT);
	write_cr0(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG);
	/*
	 * Without PGE and PCIDE the load of CR3 takes all of the TLB. SMEP and SMAP have to wait for
	 * our tables: the firmware's may be open to user mode.
	 */
	write_cr4(read_cr4() & ~(CR4_PCIDE | CR4_CET | CR4_PGE));
	write_cr3((u64)pt.root);
	write_cr4(wanted_cr4());
	firmware.root = NULL;
	loaded = true;
}

/* Others' memory stays as it is mapped; devices lie outside of the boot map, or reserved in it. */
static bool may_remap(hpa_t hpa)
{
	u32 owner = mem_owner(hpa);

	return owner == MEM_OWNER_NONE || owner == MEM_OWNER_MMIO || owner == MEM_OWNER_FIRMWARE;
}

int hostpt_map(hpa_t hpa, u64 size, enum hostpt_flags flags)
{
	hpa_t base = ALIGN_DOWN(hpa, (u64)PAGE_SIZE);
	hpa_t end = ALIGN_UP(hpa + size, (u64)PAGE_SIZE);
	u64 bits = RO;
	int err;

	if (end <= base || base == 0 || ((flags & HOSTPT_W) && (flags & HOSTPT_X)))
		return -EINVAL;
	for (hpa_t page = base; page < end; page += PAGE_SIZE)
		if (!may_remap(page))
			return -EINVAL;

	bits |= flags & HOSTPT_W ? PT_WRITE : 0;
	bits |= flags & HOSTPT_UC ? PT_UC : flags & HOSTPT_WC ? PT_WC : PT_WB;
	bits &= flags & HOSTPT_X ? ~PT_NX : ~0ULL;
	err = pagetable_set(&pt, base, end - base, bits);
	if (loaded)
		flush();
	return err;
}

int hostpt_guard(hpa_t hpa)
{
	int err;

	if (nr_guards == MAX_GUARDS)
		return -ENOSPC;
	err = pagetable_set(&pt, hpa, PAGE_SIZE, 0);
	if (!err)
		guards[nr_guards++] = hpa;
	if (loaded)
		flush();
	return err;
}

int hostpt_set_code(hpa_t hpa)
{
	int err;

	if (hpa >= MIB(1) || mem_owner(hpa) != MEM_OWNER_LOW)
		return -EINVAL;
	err = set("start code", hpa, hpa + PAGE_SIZE, RX);
	code_page = err ? 0 : hpa;
	if (loaded)
		flush();
	return err;
}

bool hostpt_readable(hpa_t hpa, u64 size)
{
	if (size > ~0ULL - hpa)
		return false;
	for (hpa_t page = ALIGN_DOWN(hpa, (u64)PAGE_SIZE); page < hpa + size; page += PAGE_SIZE)
		if (!pagetable_get(&pt, page))
			return false;
	return true;
}

static bool overlaps(u64 addr, u64 size, hpa_t base, hpa_t end)
{
	return addr < end && base < addr + size;
}

static bool covers_guard(u64 addr, u64 size)
{
	for (unsigned int i = 0; i < nr_guards; i++)
		if (overlaps(addr, size, guards[i], guards[i] + PAGE_SIZE))
			return true;
	return false;
}

/* Why the leaf must not be, or NULL. */
static const char *fault_of(u64 addr, u64 size, u64 entry)
{
	bool w = entry & PT_WRITE, x = !(entry & PT_NX);

	if (w && x && (pt.valid & PT_NX))
		return "writable and executable";
	if (entry & PT_USER)
		return "open to user mode";
	if (addr == 0)
		return "page 0 is mapped";
	if (w && overlaps(addr, size, image->text, image->text_end))
		return "text is writable";
	if (w && overlaps(addr, size, image->rodata, image->rodata_end))
		return "constants are writable";
	if (x && (pt.valid & PT_NX) && (addr < image->text || addr + size > image->text_end) &&
	    (addr != code_page || size != PAGE_SIZE))
		return "executable outside of the image's text";
	if (covers_guard(addr, size))
		return "a guard page is mapped";
	return NULL;
}

static void check_leaf(void *ctx, u64 addr, u64 size, u64 entry)
{
	unsigned int *violations = ctx;
	const char *fault = fault_of(addr, size, entry);

	if (!fault)
		return;
	pr_err("pt: %016llx-%016llx: %s\n", (unsigned long long)addr,
	       (unsigned long long)(addr + size), fault);
	++*violations;
}

unsigned int hostpt_check(void)
{
	unsigned int violations = 0;

	pagetable_walk(&pt, check_leaf, &violations);
	return violations;
}

/* Neighbours with the same rights are one line. */
struct dump {
	u64 start, end, rights;
};

#define RIGHTS (PT_WRITE | PT_NX | PT_USER | PT_TYPE)

static const char *type_name(u64 rights)
{
	switch (rights & PT_TYPE) {
	case PT_WB: return "wb";
	case PT_WC: return "wc";
	case PT_UC: return "uc";
	default: return "uc-";
	}
}

static void dump_line(const struct dump *d)
{
	if (d->start == d->end)
		return;
	pr_info("pt: %016llx-%016llx r%c%c%s %s\n", (unsigned long long)d->start,
		(unsigned long long)d->end, d->rights & PT_WRITE ? 'w' : '-',
		d->rights & PT_NX ? '-' : 'x', d->rights & PT_USER ? "u" : "",
		type_name(d->rights));
}

static void dump_leaf(void *ctx, u64 addr, u64 size, u64 entry)
{
	struct dump *d = ctx;

	if (addr != d->end || (entry & RIGHTS) != d->rights) {
		dump_line(d);
		*d = (struct dump){ .start = addr, .rights = entry & RIGHTS };
	}
	d->end = addr + size;
}

void hostpt_dump(void)
{
	struct dump d = { 0 };

	pagetable_walk(&pt, dump_leaf, &d);
	dump_line(&d);
}
