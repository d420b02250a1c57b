/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PC that a guest finds: which devices there are, where, and how they are wired. (The interrupt controllers,
 * which vCPUs ask too, are in struct vm itself.)
 */
#ifndef VMM_VM_MACHINE_H
#define VMM_VM_MACHINE_H

#include "lib/types.h"
#include "vmm/vm/machine_console.h"
#include "vmm/vm/machine_disk.h"
#include "vmm/pc/vacpi_pm.h"
#include "vmm/pc/vpci.h"
#include "vmm/pc/vpit.h"
#include "vmm/pc/vreset.h"
#include "vmm/pc/vrtc.h"

#define MACHINE_PM_BASE   0x600
#define MACHINE_COM1      0x3f8
#define MACHINE_COM1_LINE 4
#define MACHINE_RTC_LINE  8

#define MACHINE_POLLED    (CONFIG_MAX_DISKS + CONFIG_MAX_NETS)

/* RAM below this, then a hole for device registers, and the rest from 4 GiB on. */
#define MACHINE_HOLE_START 0xc0000000ULL
#define MACHINE_HOLE_END   0x100000000ULL

struct machine {
	struct vpit pit;
	struct vrtc rtc;
	struct machine_console console;
	struct machine_disks disks;
	struct vacpi_pm pm;
	struct vreset reset;
	struct vpci pci;
	u16 lines; /* levels of the ISA lines as devices drive them */
	struct virtio_device
		*polled[MACHINE_POLLED]; /* what an I/O CPU looks at: disks and cards */
	unsigned int polleds;
	u32 pci_asserting[PCI_LINES]; /* of each line of the PCI pins: which slots */
};

struct vm;

/* Has its machine anything on a PCI bus? */
bool machine_has_pci(const struct vm_config *c);

/* @dev is one that an I/O CPU looks at, if there is one. Before the VM runs. */
void machine_polls(struct vm *vm, struct virtio_device *dev);

/*
 * Look at all of these, and keep drivers from kicking while @go_on, which is false for the last look. Was there
 * anything to do? With vm->lock.
 */
bool machine_poll(struct vm *vm, bool go_on);

/* Build @vm's devices, register their ports and reset them. -errno. */
int machine_init(struct vm *vm, u64 epoch) __must_check;

#endif
