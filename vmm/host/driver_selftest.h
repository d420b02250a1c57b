/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `selftest = drivers`: the drivers of the machine's disks and network cards, tried. Disks are written to in a GPT
 * partition labelled `lintel-scratch` only, and merely read without one; network cards have to be on the lab's
 * network, whose gateway 10.0.2.2 answers.
 */
#ifndef VMM_HOST_DRIVER_SELFTEST_H
#define VMM_HOST_DRIVER_SELFTEST_H

#include "drivers/hostdev.h"
#include "lib/block.h"

#define SELFTEST_SCRATCH "lintel-scratch"

/* All that hostdev_init has found. On the boot CPU, before VMs run; a line for each. */
void driver_selftest(void);

/* One disk, or its scratch partition if @write; @name is the disk's. */
void driver_selftest_disk(const char *name, const struct block_device *dev, bool write);
void driver_selftest_nic(struct nic *nic);

/*
 * Let interrupts in, and poll some ten times a second: so that what does not come by interrupt still comes, and
 * can be told apart. *@next_poll is the caller's, 0 at first. True while this polls: of what ends then.
 */
void driver_selftest_wait(void (*poll)(void *ctx), void *ctx, u64 *next_poll);
bool driver_selftest_polls(void);

#endif
