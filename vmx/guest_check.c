/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why the processor would not enter a guest: the checks of SDM, "Checks on the Guest State Area",
 * in the manual's order, done again on the current VMCS. They run after a failure only.
 */
#include "lib/x86.h"
#include "vmx/controls.h"
#include "vmx/vmx.h"

static u64 controls_entry(void)
{
	return vmcs_read(VM_ENTRY_CONTROLS);
}

static u32 rights(enum vmcs_segment seg)
{
	return vmcs_read32(GUEST_SEGMENT(GUEST_ES_ACCESS_RIGHTS, seg));
}

static bool is_v86(void)
{
	return vmcs_read(GUEST_RFLAGS) & RFLAGS_VM;
}

static bool ia32e(void)
{
	return controls_entry() & ENTRY_IA32E_MODE_GUEST;
}

/* --- "Checks on Guest Control Registers, Debug Registers, and MSRs" --- */

static bool cr0_fixed(const struct vmx_caps *caps)
{
	u64 cr0 = vmcs_read(GUEST_CR0);
	u64 must = caps->cr0_fixed0 & ~(CR0_PE | CR0_PG); /* free for an unrestricted guest */

	return (cr0 & must) == must && !(cr0 & ~caps->cr0_fixed1 & 0xffffffff);
}

static bool cr0_paging(const struct vmx_caps *caps)
{
	u64 cr0 = vmcs_read(GUEST_CR0);

	(void)caps;
	return !(cr0 & CR0_PG) || (cr0 & CR0_PE);
}

static bool cr4_fixed(const struct vmx_caps *caps)
{
	u64 cr4 = vmcs_read(GUEST_CR4);

	return (cr4 & caps->cr4_fixed0) == caps->cr4_fixed0 && !(cr4 & ~caps->cr4_fixed1);
}

static bool ia32e_paging(const struct vmx_caps *caps)
{
	(void)caps;
	return !ia32e() || ((vmcs_read(GUEST_CR0) & CR0_PG) && (vmcs_read(GUEST_CR4) & CR4_PAE));
}

static bool pcide_ia32e(const struct vmx_caps *caps)
{
	(void)caps;
	return ia32e() || !(vmcs_read(GUEST_CR4) & CR4_PCIDE);
}

static bool cr3_width(const struct vmx_caps *caps)
{
	(void)caps;
	return !(vmcs_read(GUEST_CR3) >> (cpuid(0x80000008, 0).eax & 0xff));
}

static bool sysenter(const struct vmx_caps *caps)
{
	(void)caps;
	return is_canonical(vmcs_read(GUEST_IA32_SYSENTER_ESP)) &&
	       is_canonical(vmcs_read(GUEST_IA32_SYSENTER_EIP));
}

static bool pat(const struct vmx_caps *caps)
{
	u64 v = vmcs_read(GUEST_IA32_PAT);

	(void)caps;
	for (; v; v >>= 8) {
		if ((v & 0xff) > 7 || (v & 0xff) == 2 || (v & 0xff) == 3)
			return false;
	}
	return true;
}

static bool efer(const struct vmx_caps *caps)
{
	u64 v = vmcs_read(GUEST_IA32_EFER);
	bool lma = v & EFER_LMA;

	(void)caps;
	if (v & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE) || lma != ia32e())
		return false;
	return !(vmcs_read(GUEST_CR0) & CR0_PG) || lma == !!(v & EFER_LME);
}

/* --- "Checks on Guest Segment Registers" --- */

static bool selectors(const struct vmx_caps *caps)
{
	(void)caps;
	return !(vmcs_read(GUEST_TR_SELECTOR) & BIT(2)) &&
	       ((rights(SEG_LDTR) & AR_UNUSABLE) || !(vmcs_read(GUEST_LDTR_SELECTOR) & BIT(2)));
}

static bool bases(const struct vmx_caps *caps)
{
	(void)caps;
	if (!is_canonical(vmcs_read(GUEST_TR_BASE)) || !is_canonical(vmcs_read(GUEST_FS_BASE)) ||
	    !is_canonical(vmcs_read(GUEST_GS_BASE)) || vmcs_read(GUEST_CS_BASE) >> 32)
		return false;
	for (unsigned int seg = SEG_ES; seg <= SEG_DS; seg++) {
		if (seg != SEG_CS && !(rights(seg) & AR_UNUSABLE) &&
		    vmcs_read(GUEST_SEGMENT(GUEST_ES_BASE, seg)) >> 32)
			return false;
	}
	return true;
}

static bool v86_segments(const struct vmx_caps *caps)
{
	(void)caps;
	if (!is_v86())
		return true;
	for (unsigned int seg = SEG_ES; seg <= SEG_GS; seg++) {
		if (vmcs_read(GUEST_SEGMENT(GUEST_ES_BASE, seg)) !=
			    vmcs_read(GUEST_SEGMENT(GUEST_ES_SELECTOR, seg)) << 4 ||
		    vmcs_read(GUEST_SEGMENT(GUEST_ES_LIMIT, seg)) != 0xffff || rights(seg) != 0xf3)
			return false;
	}
	return true;
}

static bool cs_rights(const struct vmx_caps *caps)
{
	u32 cs = rights(SEG_CS), type = cs & 0xf;
	unsigned int dpl = cs >> 5 & 3, ss_dpl = rights(SEG_SS) >> 5 & 3;

	(void)caps;
	if (is_v86())
		return true;
	if (!(cs & AR_S) || !(cs & AR_P) || (ia32e() && (cs & AR_L) && (cs & AR_DB)))
		return false;
	switch (type) {
	case 3: return dpl == 0; /* unrestricted guest: read/write data, as real mode has it */
	case 9:
	case 11: return dpl == ss_dpl;
	case 13:
	case 15: return dpl <= ss_dpl;
	}
	return false;
}

static bool ss_rights(const struct vmx_caps *caps)
{
	u32 ss = rights(SEG_SS), type = ss & 0xf;

	(void)caps;
	if (is_v86() || (ss & AR_UNUSABLE))
		return true;
	return (ss & AR_S) && (ss & AR_P) && (type == 3 || type == 7);
}

static bool data_rights(const struct vmx_caps *caps)
{
	static const enum vmcs_segment data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };

	(void)caps;
	for (unsigned int i = 0; i < ARRAY_SIZE(data) && !is_v86(); i++) {
		u32 r = rights(data[i]);

		if (r & AR_UNUSABLE)
			continue;
		if (!(r & AR_S) || !(r & AR_P) || !(r & 1) || ((r & 8) && !(r & 2)))
			return false;
	}
	return true;
}

static bool tr_rights(const struct vmx_caps *caps)
{
	u32 tr = rights(SEG_TR), type = tr & 0xf;

	(void)caps;
	return !(tr & (AR_UNUSABLE | AR_S)) && (tr & AR_P) &&
	       (type == 11 || (type == 3 && !ia32e()));
}

static bool ldtr_rights(const struct vmx_caps *caps)
{
	u32 ldtr = rights(SEG_LDTR);

	(void)caps;
	return (ldtr & AR_UNUSABLE) || ((ldtr & 0xf) == 2 && !(ldtr & AR_S) && (ldtr & AR_P));
}

/* --- "Checks on Guest Descriptor-Table Registers", "RIP, RFLAGS and SSP" --- */

static bool descriptor_tables(const struct vmx_caps *caps)
{
	(void)caps;
	return is_canonical(vmcs_read(GUEST_GDTR_BASE)) &&
	       is_canonical(vmcs_read(GUEST_IDTR_BASE)) && !(vmcs_read(GUEST_GDTR_LIMIT) >> 16) &&
	       !(vmcs_read(GUEST_IDTR_LIMIT) >> 16);
}

static bool rip(const struct vmx_caps *caps)
{
	u64 v = vmcs_read(GUEST_RIP);

	(void)caps;
	return ia32e() && (rights(SEG_CS) & AR_L) ? is_canonical(v) : !(v >> 32);
}

static bool rflags(const struct vmx_caps *caps)
{
	u64 v = vmcs_read(GUEST_RFLAGS), info = vmcs_read(VM_ENTRY_INTERRUPTION_INFO);

	(void)caps;
	if (!(v & RFLAGS_FIXED) || (v & (GENMASK(63, 22) | BIT(15) | BIT(5) | BIT(3))))
		return false;
	if ((v & RFLAGS_VM) && (ia32e() || !(vmcs_read(GUEST_CR0) & CR0_PE)))
		return false;
	return !((info & INTR_INFO_VALID) && (info & INTR_INFO_TYPE) == INTR_TYPE_EXTERNAL) ||
	       (v & RFLAGS_IF);
}

/* --- "Checks on Guest Non-Register State" --- */

static bool activity(const struct vmx_caps *caps)
{
	u64 v = vmcs_read(GUEST_ACTIVITY_STATE);
	u64 blocking = vmcs_read(GUEST_INTERRUPTIBILITY_STATE);

	(void)caps;
	if (v > 3 || (v == ACTIVITY_HLT && (rights(SEG_SS) >> 5 & 3)))
		return false;
	return v == ACTIVITY_ACTIVE || !(blocking & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS));
}

static bool interruptibility(const struct vmx_caps *caps)
{
	u64 v = vmcs_read(GUEST_INTERRUPTIBILITY_STATE),
	    info = vmcs_read(VM_ENTRY_INTERRUPTION_INFO);
	bool both = (v & BLOCKING_BY_STI) && (v & BLOCKING_BY_MOV_SS);

	(void)caps;
	if ((v >> 5) || both || ((v & BLOCKING_BY_STI) && !(vmcs_read(GUEST_RFLAGS) & RFLAGS_IF)))
		return false;
	return !((info & INTR_INFO_VALID) && (info & INTR_INFO_TYPE) == INTR_TYPE_EXTERNAL) ||
	       !(v & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS));
}

static bool pending_debug(const struct vmx_caps *caps)
{
	u64 v = vmcs_read(GUEST_PENDING_DEBUG_EXCEPTIONS);
	u64 blocking = vmcs_read(GUEST_INTERRUPTIBILITY_STATE);
	bool shadow = (blocking & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)) ||
		      vmcs_read(GUEST_ACTIVITY_STATE) == ACTIVITY_HLT;
	bool step =
		(vmcs_read(GUEST_RFLAGS) & RFLAGS_TF) && !(vmcs_read(GUEST_IA32_DEBUGCTL) & BIT(1));

	(void)caps;
	return !shadow || step == !!(v & BIT(14)); /* BS */
}

static bool link_pointer(const struct vmx_caps *caps)
{
	(void)caps;
	return vmcs_read(VMCS_LINK_POINTER) == ~0ULL;
}

static const struct {
	bool (*passes)(const struct vmx_caps *caps);
	const char *what;
} checks[] = {
	{ cr0_fixed, "CR0 has a bit that VMX fixes the other way" },
	{ cr0_paging, "CR0.PG without CR0.PE" },
	{ cr4_fixed, "CR4 has a bit that VMX fixes the other way" },
	{ ia32e_paging, "IA-32e mode without CR0.PG and CR4.PAE" },
	{ pcide_ia32e, "CR4.PCIDE outside of IA-32e mode" },
	{ cr3_width, "CR3 beyond the physical-address width" },
	{ sysenter, "IA32_SYSENTER_ESP or _EIP not canonical" },
	{ pat, "IA32_PAT with an undefined memory type" },
	{ efer, "IA32_EFER reserved bits, or LMA against the IA-32e mode control" },
	{ selectors, "TR or LDTR selector with TI set" },
	{ bases, "a segment base not canonical or above 4 GiB" },
	{ v86_segments, "segments not as virtual-8086 mode has them" },
	{ cs_rights, "CS access rights" },
	{ ss_rights, "SS access rights" },
	{ data_rights, "access rights of DS, ES, FS or GS" },
	{ tr_rights, "TR access rights" },
	{ ldtr_rights, "LDTR access rights" },
	{ descriptor_tables, "GDTR or IDTR" },
	{ rip, "RIP not canonical, or above 4 GiB outside of 64-bit mode" },
	{ rflags, "RFLAGS" },
	{ activity, "activity state" },
	{ interruptibility, "interruptibility state" },
	{ pending_debug, "pending debug exceptions against RFLAGS.TF" },
	{ link_pointer, "VMCS link pointer" },
};

const char *vmx_guest_state_fault(const struct vmx_caps *caps)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(checks); i++) {
		if (!checks[i].passes(caps))
			return checks[i].what;
	}
	return "no check that Lintel knows";
}
