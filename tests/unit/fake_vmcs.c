/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/fake_vmcs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENCODINGS 0x8000u

/* Of each region that was loaded its own fields. The first one is for tests that load none. */
#define REGIONS 6
static struct region {
	const struct vmcs *vmcs;
	bool active; /* loaded, and not cleared since */
	u64 values[ENCODINGS];
} regions[REGIONS];
static struct region *current = regions;

static unsigned int writes[ENCODINGS], all_writes;
unsigned int fake_invvpids;
u16 fake_invvpid_last;
const char vmx_exit[1];

static unsigned int checked(enum vmcs_field field)
{
	if ((unsigned int)field >= ENCODINGS || vmcs_field_name(field)[0] == '?') {
		fprintf(stderr, "there is no VMCS field 0x%x\n", (unsigned int)field);
		abort();
	}
	return field;
}

/* SDM, "VMCS Component Encoding": bits 14:13 are the width, 11:10 the type. */
static u64 width_mask(enum vmcs_field field)
{
	switch ((unsigned int)field >> 13 & 3) {
	case 0: return 0xffff;
	case 2: return 0xffffffff;
	}
	return ~0ULL;
}

void fake_vmcs_reset(void)
{
	memset(regions, 0, sizeof(regions));
	current = regions;
	fake_invvpids = 0;
	fake_invvpid_last = 0;
	fake_vmcs_forget_writes();
}

void fake_vmcs_forget_writes(void)
{
	memset(writes, 0, sizeof(writes));
	all_writes = 0;
}

unsigned int fake_vmcs_writes(enum vmcs_field field)
{
	return writes[checked(field)];
}

unsigned int fake_vmcs_all_writes(void)
{
	return all_writes;
}

void fake_vmcs_set(enum vmcs_field field, u64 value)
{
	current->values[checked(field)] = value & width_mask(field);
}

u64 fake_vmcs_get(enum vmcs_field field)
{
	return current->values[checked(field)];
}

u64 vmcs_read(enum vmcs_field field)
{
	return current->values[checked(field)];
}

void vmcs_write(enum vmcs_field field, u64 value)
{
	if (((unsigned int)field >> 10 & 3) == 1) {
		fprintf(stderr, "VMWRITE to the read-only field %s\n", vmcs_field_name(field));
		abort();
	}
	writes[checked(field)]++;
	all_writes++;
	fake_vmcs_set(field, value);
}

void vmcs_init(struct vmcs *vmcs, u32 revision)
{
	vmcs->revision = revision;
}

static struct region *region_of(const struct vmcs *vmcs)
{
	for (struct region *r = regions + 1; r < regions + REGIONS; r++) {
		if (r->vmcs == vmcs)
			return r;
		if (!r->vmcs) {
			r->vmcs = vmcs;
			return r;
		}
	}
	fprintf(stderr, "more than %d VMCSs\n", REGIONS - 1);
	abort();
}

void vmcs_load(struct vmcs *vmcs)
{
	current = region_of(vmcs);
	current->active = true;
}

void vmcs_clear(struct vmcs *vmcs)
{
	struct region *r = region_of(vmcs);

	r->active = false;
	if (current == r)
		current = regions;
}

const struct vmcs *fake_vmcs_current(void)
{
	return current->vmcs;
}

bool fake_vmcs_is_active(const struct vmcs *vmcs)
{
	return region_of(vmcs)->active;
}

void vmx_invvpid(const struct vmx_caps *caps, u16 vpid)
{
	(void)caps;
	fake_invvpids++;
	fake_invvpid_last = vpid;
}

void vmx_invept(const struct vmx_caps *caps, u64 eptp)
{
	(void)caps, (void)eptp;
}
