/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: a VM has the disks that it was given; and its memory stays as long as they use it, without anybody being told. */
#include "tests/unit/vcpu_rig.h"
#include "vmm/vm/disks.h"

#define REGS(slot) (0xe0000000ULL + 0x10000 * (slot))
#define RINGS      0x200000ULL
#define HEADER     0x210000ULL
#define DATA       0x211000ULL

static struct {
	struct block_device dev;
	struct block_request *pending[8];
	unsigned int count;
	unsigned int opened;
	int error;
} disk;

static enum block_result on_submit(void *ctx, struct block_request *r)
{
	(void)ctx;
	disk.pending[disk.count++] = r;
	return BLOCK_PENDING;
}

/* In place of the real one. */
int disks_open(struct vm *vm, unsigned int n, struct block_device **dev)
{
	assert_ptr_equal(vm, rig_vm);
	assert_int_equal(n, disk.opened++);
	*dev = &disk.dev;
	return disk.error;
}

static int setup(void **state)
{
	static const struct block_ops ops = { .submit = on_submit };

	(void)state;
	memset(&disk, 0, sizeof(disk));
	disk.dev = (struct block_device){ .ops = &ops,
					  .sectors = 1000,
					  .block_size = 512,
					  .physical_block_size = 512,
					  .max_sectors = 128 };
	rig_config.console = VM_CONSOLE_UART;
	rig_config.disks = 2;
	rig_config.cpus = 3;
	rig_start(NULL);
	rig_config.cpus = 1;
	rig_vm->state = VM_RUNNING;
	return 0;
}

static void put(unsigned int slot, u64 off, u8 size, u64 value)
{
	assert_true(mmio_bus_write(&rig_vm->mmio, REGS(slot) + off, size, value));
}

static u64 get(unsigned int slot, u64 off, u8 size)
{
	u64 value = 0;

	assert_true(mmio_bus_read(&rig_vm->mmio, REGS(slot) + off, size, &value));
	return value;
}

static void bring_up(unsigned int slot)
{
	put(slot, 20, 1, 0);
	put(slot, 20, 1, 3);
	put(slot, 8, 4, 1);
	put(slot, 12, 4, 1);
	put(slot, 20, 1, 11);
	put(slot, 22, 2, 0);
	put(slot, 32, 8, RINGS);
	put(slot, 40, 8, RINGS + 0x1000);
	put(slot, 48, 8, RINGS + 0x2000);
	put(slot, 28, 2, 1);
	put(slot, 20, 1, 15);
	assert_int_equal(get(slot, 20, 1), 15);
}

static void read_sector(unsigned int slot)
{
	struct virtio_blk_header header = { VIRTIO_BLK_T_IN, 0, 7 };
	struct virtq_desc desc[2] = { { HEADER, 16, VIRTQ_DESC_NEXT, 1 },
				      { DATA, 513, VIRTQ_DESC_WRITE, 0 } };
	u16 avail[3] = { 0, 1, 0 };

	assert_true(guest_write(&rig_vm->mem, HEADER, &header, sizeof(header)));
	assert_true(guest_write(&rig_vm->mem, RINGS, desc, sizeof(desc)));
	assert_true(guest_write(&rig_vm->mem, RINGS + 0x1000, avail, sizeof(avail)));
	put(slot, 0x200, 2, 0);
}

static u16 used(void)
{
	u16 idx;

	assert_true(guest_read(&rig_vm->mem, RINGS + 0x2002, &idx, 2));
	return idx;
}

/* The disk gives its request back, on whatever CPU, without a lock. */
static void give_back(void)
{
	struct block_request *r = disk.pending[--disk.count];

	assert_false(rig_vm->lock.taken);
	r->done(r, BLOCK_OK);
	assert_false(rig_vm->lock.taken);
}

/* Claim: each disk is in a slot of its own from 2 on, with a queue for each CPU, and a guest without more has a bus for them. */
static void slots(void **state)
{
	(void)state;
	assert_int_equal(disk.opened, 2);
	for (unsigned int slot = 2; slot < 4; slot++) {
		assert_int_equal(get(slot, 18, 2), 3);
		assert_int_equal(get(slot, 0x400, 4), 1000);
		assert_non_null(rig_vm->machine->pci.function[VPCI_DEVFN(slot, 0)]);
	}
	assert_null(rig_vm->machine->pci.function[VPCI_DEVFN(1, 0)]);
	assert_null(rig_vm->machine->pci.function[VPCI_DEVFN(14, 0)]);
	assert_true(machine_has_pci(&rig_config));
	rig_config.disks = 0;
	assert_false(machine_has_pci(&rig_config));
}

/* Claim: what the disk gives back is with the driver at once. */
static void completes(void **state)
{
	(void)state;
	bring_up(3);
	read_sector(3);
	assert_int_equal(used(), 0);
	give_back();
	assert_int_equal(used(), 1);
	assert_true(machine_disks_stop(rig_vm));
}

/* Claim: a VM that has ended is not told any more, and waits for its disks, the second one too. */
static void ends_in_flight(void **state)
{
	const struct virtio_blk *blk = &rig_vm->machine->disks.card[1]->blk;

	(void)state;
	bring_up(3);
	read_sector(3);
	rig_vm->state = VM_ENDED;
	assert_false(machine_disks_stop(rig_vm));
	assert_false(machine_disks_stop(rig_vm));
	give_back();
	assert_int_equal(used(), 0);
	assert_int_equal(blk->dev.interrupts, 0);
	assert_true(machine_disks_stop(rig_vm));
	assert_int_equal(get(3, 20, 1), 0);
}

/* Claim: so it is where the disk is faster than the CPU that ends the VM. */
static void ends_before_it_is_stopped(void **state)
{
	(void)state;
	bring_up(2);
	read_sector(2);
	rig_vm->state = VM_ENDED;
	give_back();
	assert_int_equal(used(), 0);
	assert_true(machine_disks_stop(rig_vm));
}

/* Claim: who comes late, when the cards are gone, touches nothing of them. */
static void comes_late(void **state)
{
	const struct virtio_blk_ops *ops = rig_vm->machine->disks.card[0]->blk.ops;

	(void)state;
	assert_true(machine_disks_stop(rig_vm));
	machine_disks_forget(rig_vm);
	rig_vm->machine->disks.card[0] = rig_vm->machine->disks.card[1] = NULL;
	ops->completed(rig_vm);
}

/* Claim: a disk that cannot be opened is a VM that is not made. */
static void not_opened(void **state)
{
	(void)state;
	disk.opened = 0;
	disk.error = -5;
	assert_int_equal(machine_disks_init(rig_vm), -5);
	assert_int_equal(disk.opened, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(slots, setup),
		cmocka_unit_test_setup(completes, setup),
		cmocka_unit_test_setup(ends_in_flight, setup),
		cmocka_unit_test_setup(ends_before_it_is_stopped, setup),
		cmocka_unit_test_setup(comes_late, setup),
		cmocka_unit_test_setup(not_opened, setup),
	};

	return cmocka_run_group_tests_name("machine_disk", tests, NULL, NULL);
}
