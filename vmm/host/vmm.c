/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/host/vmm.h"
#include "lib/x86.h"

struct vmm vmm;

/* SDM, "Branch Predictors": CPUID.07H:EDX[26]. */
static bool has_ibpb(void)
{
	return cpuid(0, 0).eax >= 7 && (cpuid(7, 0).edx & BIT(26));
}

static void read_mtrrs(struct mtrr *mtrr)
{
	*mtrr = (struct mtrr){ 0 };
	if (!(cpuid(1, 0).edx & BIT(12)))
		return;
	mtrr->cap = rdmsr(IA32_MTRRCAP);
	mtrr->def_type = rdmsr(IA32_MTRR_DEF_TYPE);
	for (unsigned int i = 0; mtrr_has_fixed(mtrr) && i < MTRR_FIXED; i++)
		mtrr->fixed[i] = rdmsr(mtrr_fixed_msr[i]);
	for (unsigned int i = 0; i < mtrr_variable_count(mtrr); i++) {
		mtrr->variable[i].base = rdmsr(IA32_MTRR_PHYSBASE(i));
		mtrr->variable[i].mask = rdmsr(IA32_MTRR_PHYSMASK(i));
	}
}

void vmm_read_cpu(void)
{
	vmm.ibpb = has_ibpb();
	read_mtrrs(&vmm.mtrr);
}
