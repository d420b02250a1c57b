#include "tests/unit/fake_vmcs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENCODINGS 0x8000u

static u64 values[ENCODINGS];
static unsigned int writes[ENCODINGS], all_writes;
unsigned int fake_invvpids;
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
	memset(values, 0, sizeof(values));
	fake_invvpids = 0;
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
	values[checked(field)] = value & width_mask(field);
}

u64 fake_vmcs_get(enum vmcs_field field)
{
	return values[checked(field)];
}

u64 vmcs_read(enum vmcs_field field)
{
	return values[checked(field)];
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

void vmcs_load(struct vmcs *vmcs)
{
	(void)vmcs;
}

void vmcs_clear(struct vmcs *vmcs)
{
	(void)vmcs;
}

void vmx_invvpid(const struct vmx_caps *caps, u16 vpid)
{
	(void)caps, (void)vpid;
	fake_invvpids++;
}

void vmx_invept(const struct vmx_caps *caps, u64 eptp)
{
	(void)caps, (void)eptp;
}
