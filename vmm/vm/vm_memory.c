/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM's memory: where it comes from, and how the guest sees it. */
#include "lib/errno.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "vioapic/vlapic.h"
#include "vmm/vm/machine.h"
#include "vmm/host/mem.h"
#include "vmm/vm/vm.h"
#include "vmm/vm/vm_memory.h"
#include "vmx/vmx.h"

#define LARGE_PAGE MIB(2)

static hpa_t ept_page_alloc(void *ctx)
{
	const struct vm *vm = ctx;

	return mem_alloc_page(VM_OWNER_OVERHEAD(vm->id));
}

static void ept_page_free(void *ctx, hpa_t page)
{
	const struct vm *vm = ctx;

	mem_free(page, PAGE_SIZE, VM_OWNER_OVERHEAD(vm->id));
}

static void *ept_page_access(void *ctx, hpa_t page)
{
	(void)ctx;
	return (void *)(uintptr_t)page;
}

/* The types that the firmware's MTRRs give: RAM that it keeps uncached stays so. */
static int map_piece(struct vm *vm, gpa_t gpa, hpa_t hpa, u64 size)
{
	while (size) {
		enum memtype type;
		u64 run = mtrr_run(&vmm.mtrr, hpa, size, &type);
		int err = ept_map(&vm->ept, gpa, hpa, run, EPT_RWX, type);

		if (err)
			return err;
		gpa += run;
		hpa += run;
		size -= run;
	}
	return 0;
}

/*
 * RAM for [gpa, gpa + size), in as few pieces as there is memory for, aligned so that the EPT can
 * use large leaves.
 */
static int alloc_ram(struct vm *vm, gpa_t gpa, u64 size)
{
	while (size) {
		u64 piece = MIN(size, ALIGN_DOWN(mem_largest_free(LARGE_PAGE), LARGE_PAGE));
		u64 align =
			piece >= GIB(1) && mem_largest_free(GIB(1)) >= piece ? GIB(1) : LARGE_PAGE;
		hpa_t hpa = piece ? mem_alloc(piece, align, VM_OWNER_RAM(vm->id)) : 0;
		int err;

		if (!hpa)
			return -ENOMEM;
		err = guest_mem_add(&vm->mem, gpa, piece, (u8 *)(uintptr_t)hpa);
		if (err)
			return err;
		gpa += piece;
		size -= piece;
	}
	return 0;
}

static void print_no_memory(const struct vm_config *c, const char *why)
{
	pr_err("lintel.conf:%u: memory = %lluM: %s (%llu MiB free, %llu MiB in one piece): give vm "
	       "%s less\n",
	       c->memory_line ? c->memory_line : c->line, (unsigned long long)(c->memory >> 20),
	       why, (unsigned long long)(mem_free_bytes() >> 20),
	       (unsigned long long)(mem_largest_free(LARGE_PAGE) >> 20), c->name);
}

int vm_memory_alloc(struct vm *vm)
{
	const struct vm_config *c = vm->config;
	u64 low = MIN(c->memory, MACHINE_HOLE_START);
	int err;

	if (c->memory > mem_free_bytes()) {
		pr_err("lintel.conf:%u: memory = %lluM: the machine has %llu MiB free: give vm %s "
		       "less\n",
		       c->memory_line ? c->memory_line : c->line,
		       (unsigned long long)(c->memory >> 20),
		       (unsigned long long)(mem_free_bytes() >> 20), c->name);
		return -ENOMEM;
	}
	err = alloc_ram(vm, 0, low);
	if (!err && c->memory > low)
		err = alloc_ram(vm, MACHINE_HOLE_END, c->memory - low);
	if (err) {
		print_no_memory(c, "no such memory in large enough pieces");
		vm_memory_free(vm);
	}
	return err;
}

/*
 * Where the processor virtualizes the local APIC's page, it does so for accesses that lead to the
 * APIC-access page of the VM. To a vCPU whose APIC is not in xAPIC mode this is a page like any other,
 * of ones, as if there were nothing. SDM, "APIC-Access Page".
 */
static int map_apic_access(struct vm *vm)
{
	vm->apic_access = 0;
	if (!vmx_uses(&vmm.caps, VMX_APIC_ACCESSES))
		return 0;
	vm->apic_access = mem_alloc_page(VM_OWNER_RAM(vm->id));
	if (!vm->apic_access)
		return -ENOMEM;
	memset((void *)(uintptr_t)vm->apic_access, 0xff, PAGE_SIZE);
	return ept_map(&vm->ept, VLAPIC_MMIO_BASE, vm->apic_access, PAGE_SIZE, EPT_READ | EPT_WRITE,
		       MEMTYPE_WB);
}

static struct ept_features ept_choice(void)
{
	return (struct ept_features){
		.leaf_2m = vmx_uses(&vmm.caps, VMX_EPT_2M),
		.leaf_1g = vmx_uses(&vmm.caps, VMX_EPT_1G),
		.phys_bits = (u8)(cpuid(0x80000008, 0).eax & 0xff),
	};
}

int vm_memory_init(struct vm *vm)
{
	struct ept_features features = ept_choice();
	int err = vm->mem.slots ? 0 : vm_memory_alloc(vm);

	if (err)
		return err;
	vm->ept_pages = (struct ept_pages){ vm, ept_page_alloc, ept_page_free, ept_page_access };
	err = ept_init(&vm->ept, &features, &vm->ept_pages);
	for (unsigned int i = 0; i < vm->mem.slots && !err; i++) {
		const struct guest_mem_slot *s = &vm->mem.slot[i];

		memset(s->host, 0, s->size);
		err = map_piece(vm, s->gpa, (hpa_t)(uintptr_t)s->host, s->size);
	}
	if (!err)
		err = map_apic_access(vm);
	if (err)
		print_no_memory(vm->config, "no memory for its page tables");
	vm->eptp = ept_eptp(&vm->ept);
	return err;
}

void *vm_pages(struct vm *vm, u64 bytes)
{
	hpa_t hpa = mem_alloc(bytes, PAGE_SIZE, VM_OWNER_OVERHEAD(vm->id));

	if (hpa)
		memset((void *)(uintptr_t)hpa, 0, ALIGN_UP(bytes, PAGE_SIZE));
	return (void *)(uintptr_t)hpa;
}

int vm_bitmaps_init(struct vm *vm)
{
	vm->io_bitmap = vm_pages(vm, 2 * PAGE_SIZE);
	if (!vm->io_bitmap)
		return -ENOMEM;
	memset(vm->io_bitmap, 0xff, 2 * PAGE_SIZE); /* no port of the host is a guest's */
	for (unsigned int i = 0; i < MSR_BITMAPS; i++) {
		vm->msr_bitmap[i] = vm_pages(vm, PAGE_SIZE);
		if (!vm->msr_bitmap[i])
			return -ENOMEM;
	}
	return 0;
}

void vm_memory_free(struct vm *vm)
{
	/* The EPT goes first: nothing may map what is free. No CPU runs the VM any more. */
	if (vm->ept.root)
		vmx_invept(&vmm.caps, vm->eptp);
	mem_free_owner(VM_OWNER_RAM(vm->id));
	mem_free_owner(VM_OWNER_OVERHEAD(vm->id));
	vm->mem = (struct guest_mem){ 0 };
	vm->ept = (struct ept){ 0 };
	vm->vcpus = 0;
	vm->apic_access = 0;
}

/* --- self-test: every entry of the EPT leads to memory of this VM, and to nothing else --- */

struct isolation {
	const struct vm *vm;
	u64 leaves, tables, bytes, faults;
};

static int check_entry(void *ctx, const struct ept_visit *v)
{
	struct isolation *t = ctx;
	bool ok = false;

	switch (v->kind) {
	case EPT_KIND_LEAF:
		t->leaves++;
		t->bytes += v->leaf.size;
		ok = mem_owned(v->leaf.hpa, v->leaf.size, VM_OWNER_RAM(t->vm->id));
		pr_info("ept: %s: %012llx -> %012llx size %llx rights %x type %u\n",
			t->vm->config->name, (unsigned long long)v->leaf.gpa,
			(unsigned long long)v->leaf.hpa, (unsigned long long)v->leaf.size,
			v->leaf.rights, v->leaf.type);
		break;
	case EPT_KIND_TABLE:
		t->tables++;
		ok = mem_owned(v->leaf.hpa, PAGE_SIZE, VM_OWNER_OVERHEAD(t->vm->id));
		break;
	case EPT_KIND_FAULT: break;
	}
	if (ok)
		return 0;
	t->faults++;
	pr_err("ept: %s: entry %llx at level %u leads to memory that is not the VM's\n",
	       t->vm->config->name, (unsigned long long)v->entry, v->level);
	return 0;
}

bool vm_memory_selftest(const struct vm *vm)
{
	struct isolation t = { .vm = vm };
	bool ok;

	(void)ept_walk(&vm->ept, check_entry, &t);
	ok = !t.faults && t.bytes == guest_mem_size(&vm->mem) + (vm->apic_access ? PAGE_SIZE : 0);
	pr_info("selftest: ept of vm %s: %llu leaves, %llu tables, %llu MiB: %s\n",
		vm->config->name, (unsigned long long)t.leaves, (unsigned long long)t.tables,
		(unsigned long long)(t.bytes >> 20), ok ? "all its own" : "FAILED");
	return ok;
}
