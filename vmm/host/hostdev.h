/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's disks and network cards: which PCI functions are whose, what drivers get from the machine
 * (struct hostdev_env), and what they have found.
 */
#ifndef VMM_HOST_HOSTDEV_H
#define VMM_HOST_HOSTDEV_H

#include "drivers/hostdev.h"
#include "lib/block.h"
#include "vmm/host/acpi.h"

#define HOSTDEV_MAX_DISKS 32
#define HOSTDEV_MAX_NICS  8

/*
 * Find all devices and start their drivers. Once, on the boot CPU, before other CPUs are: needs host_init. Waits
 * for disks that have to spin up, with time-outs. Prints what it has found.
 */
void hostdev_init(const struct acpi_info *acpi);

/* What was found, in the order of their PCI addresses; NULL beyond the last. Any CPU, for ever. */
const struct block_device *hostdev_disk(unsigned int index);
struct nic *hostdev_nic(unsigned int index);

/*
 * Poll all of them some ten times a second, and some thousand times if one has no interrupt: as long as a disk has
 * something to do (two minutes, if its driver does not tell: block_ops.busy), or a NIC is in use. For the boot
 * CPU's run loop, which comes along when it has a reason to; returns the host TSC at which it has to, or TSC_NEVER.
 */
u64 hostdev_tend(void);

/* All requests so far have ended, as their users know: nothing is to be polled for them. */
void hostdev_settle(void);

/* The same at once, on any CPU: for one who waits, and for a CPU that does nothing else. */
void hostdev_poll(void);

#endif
