/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual-processor identifiers: which are in use on this machine. 0 is the VMM's own. SDM, "Virtual-Processor
 * Identifiers (VPIDs)".
 */
#ifndef VMX_VPID_H
#define VMX_VPID_H

#include "lib/types.h"

#define VPID_NONE 0
#define VPID_COUNT \
	1024 /* of the 65,536 that there are: 16 VMs of 16 vCPUs, each in four contexts */

/*
 * One that nobody has, or VPID_NONE when there is none left. Any CPU, takes a lock. Translations of its last owner
 * may still be cached: whoever uses it on a CPU for the first time drops them (vmx_invvpid).
 */
u16 vpid_alloc(void);

/* Give @vpid back; VPID_NONE: nothing happens. No CPU enters a guest with it any more. */
void vpid_free(u16 vpid);

#endif
