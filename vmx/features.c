/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/features.h"
#include "lib/string.h"
#include "vmx/caps.h"
#include "vmx/controls.h"

const struct vmx_feature_info vmx_feature_info[VMX_FEATURES] = {
	[VMX_TPR_SHADOW] = { "tpr-shadow", VMX_CPU, CPU_TPR_SHADOW, false,
			     "every CR8 access of a guest is an exit" },
	[VMX_VPID] = { "vpid", VMX_CPU2, CPU2_ENABLE_VPID, false,
		       "every entry and exit flushes the TLB" },
	[VMX_EPT_2M] = { "ept-2m", VMX_EPT_VPID, EPT_CAP_2M, false,
			 "guest RAM is mapped by 4K pages: longer page walks, 2 MiB of tables per "
			 "GiB" },
	[VMX_EPT_1G] = { "ept-1g", VMX_EPT_VPID, EPT_CAP_1G, false,
			 "guest RAM is mapped by 2M pages at most" },
	[VMX_EPT_AD] = { "ept-ad", VMX_EPT_VPID, EPT_CAP_AD, true,
			 "no accessed and dirty bits: nothing today" },
	[VMX_PREEMPTION_TIMER] = { "preemption-timer", VMX_PIN, PIN_PREEMPTION_TIMER, false,
				   "guest timers cost a host interrupt each" },
	[VMX_VIRTUAL_NMIS] = { "virtual-nmis", VMX_PIN, PIN_VIRTUAL_NMIS, false,
			       "a guest's NMI waits until its interrupts are on" },
	[VMX_X2APIC_MODE] = { "x2apic-mode", VMX_CPU2, CPU2_VIRTUALIZE_X2APIC_MODE, false,
			      "a guest's access to the TPR MSR is an exit" },
	[VMX_RDTSCP] = { "rdtscp", VMX_CPU2, CPU2_ENABLE_RDTSCP, false,
			 "guests have no RDTSCP and no RDPID" },
	[VMX_INVPCID] = { "invpcid", VMX_CPU2, CPU2_ENABLE_INVPCID, false,
			  "guests have no INVPCID" },
	[VMX_XSAVES] = { "xsaves", VMX_CPU2, CPU2_ENABLE_XSAVES, false, "guests have no XSAVES" },
	[VMX_WBINVD_EXITING] = { "wbinvd-exiting", VMX_CPU2, CPU2_WBINVD_EXITING, false,
				 "a guest's WBINVD flushes everybody's caches" },
	[VMX_DESCRIPTOR_TABLE_EXITING] = { "descriptor-table-exiting", VMX_CPU2,
					   CPU2_DESCRIPTOR_TABLE_EXITING, true, "nothing today" },
	[VMX_APIC_ACCESSES] = { "apic-accesses", VMX_CPU2, CPU2_VIRTUALIZE_APIC_ACCESSES, false,
				"xAPIC accesses of a guest are decoded EPT violations" },
	[VMX_APIC_REGISTERS] = { "apic-registers", VMX_CPU2, CPU2_APIC_REGISTER_VIRTUALIZATION,
				 false, "APIC register reads are exits" },
	[VMX_VID] = { "vid", VMX_CPU2, CPU2_VIRTUAL_INTERRUPT_DELIVERY, false,
		      "interrupts are injected by software, an EOI is an exit" },
	[VMX_POSTED_INTERRUPTS] = { "posted-interrupts", VMX_PIN, PIN_POSTED_INTERRUPTS, false,
				    "an interrupt for a running vCPU is an exit" },
	[VMX_PAUSE_LOOP] = { "pause-loop", VMX_CPU2, CPU2_PAUSE_LOOP_EXITING, false,
			     "a spinning vCPU is not noticed before its time slice ends" },
	[VMX_PML] = { "pml", VMX_CPU2, CPU2_ENABLE_PML, true, "nothing today" },
	[VMX_SHADOWING] = { "vmcs-shadowing", VMX_CPU2, CPU2_VMCS_SHADOWING, true,
			    "nothing today" },
	[VMX_TSC_SCALING] = { "tsc-scaling", VMX_CPU2, CPU2_USE_TSC_SCALING, true,
			      "nothing today" },
};

static const struct {
	const char *name;
	u64 mask;
} profiles[] = {
	/*
	 * What kvm_intel with enable_apicv=0 withholds from its guests on a processor that has it. All else of APIC
	 * virtualization it offers even so.
	 */
	{ "profile:kvm-nested", BIT(VMX_POSTED_INTERRUPTS) | BIT(VMX_PAUSE_LOOP) },
	/* And with enable_apicv=1. */
	{ "profile:kvm-nested-apicv", BIT(VMX_PAUSE_LOOP) },
	/* As little as Lintel runs on. */
	{ "profile:minimal", BIT(VMX_FEATURES) - 1 },
	{ "all", BIT(VMX_FEATURES) - 1 },
};

u64 vmx_mask_bits(const char *name)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(profiles); i++) {
		if (!strcmp(name, profiles[i].name))
			return profiles[i].mask;
	}
	for (unsigned int i = 0; i < VMX_FEATURES; i++) {
		if (!strcmp(name, vmx_feature_info[i].name))
			return BIT(i);
	}
	return 0;
}
