/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VMCS for host tests: fields of the manual's widths, some of them read-only for VMWRITE. And the
 * instructions around it, which do nothing but count.
 */
#ifndef TESTS_UNIT_FAKE_VMCS_H
#define TESTS_UNIT_FAKE_VMCS_H

#include "vmx/vmcs.h"
#include "vmx/vmx.h"

/* All fields 0, nothing counted. */
void fake_vmcs_reset(void);

/* As the processor does: any field, and not counted as a VMWRITE. */
void fake_vmcs_set(enum vmcs_field field, u64 value);
u64 fake_vmcs_get(enum vmcs_field field);

/* VMWRITEs of @field, and of all fields, since the last reset or fake_vmcs_forget_writes. */
unsigned int fake_vmcs_writes(enum vmcs_field field);
unsigned int fake_vmcs_all_writes(void);
void fake_vmcs_forget_writes(void);

/* INVVPIDs since the last reset, and what the last one was for. */
extern unsigned int fake_invvpids;
extern u16 fake_invvpid_last;

/* The region that fields are read and written in: the one loaded last, unless it was cleared; NULL: none. */
const struct vmcs *fake_vmcs_current(void);

/* Was it loaded, and not cleared since? */
bool fake_vmcs_is_active(const struct vmcs *vmcs);

#endif
