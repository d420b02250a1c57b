/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control registers. The guest owns most bits and writes them without an exit; what it does not
 * own it sees in the read shadow, and a write that would change such a bit comes here.
 */
#include "vmm/vcpu/cr.h"
#include "lib/guest_mem.h"
#include "vmm/vm/vm.h"
#include "vmx/controls.h"

/* Caches stay on, and numeric errors native, whatever the guest believes. */
#define CR0_HOST_OWNED (CR0_CD | CR0_NW | CR0_NE)
#define CR0_DEFINED                                                                                \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)
/* A machine check must find its handler, and VMX stays on. */
#define CR4_HOST_SET (CR4_VMXE | CR4_MCE)

static u64 cr0_in_vmcs(u64 value)
{
	return (value & ~(CR0_CD | CR0_NW)) | CR0_NE | CR0_ET;
}

static u64 cr4_in_vmcs(const struct vcpu *vcpu, u64 value)
{
	return (value & vcpu->cpuid.cr4_allowed) | CR4_HOST_SET;
}

void cr_init(const struct vcpu *vcpu, u64 cr0, u64 cr4)
{
	vmcs_write(CR0_GUEST_HOST_MASK, ~CR0_DEFINED | CR0_HOST_OWNED);
	vmcs_write(CR4_GUEST_HOST_MASK, ~vcpu->cpuid.cr4_allowed | CR4_HOST_SET);
	vmcs_write(CR0_READ_SHADOW, cr0);
	vmcs_write(CR4_READ_SHADOW, cr4);
	vmcs_write(GUEST_CR0, cr0_in_vmcs(cr0));
	vmcs_write(GUEST_CR4, cr4_in_vmcs(vcpu, cr4));
}

u64 cr0_seen(void)
{
	u64 mask = vmcs_read(CR0_GUEST_HOST_MASK);

	return (vmcs_read(GUEST_CR0) & ~mask) | (vmcs_read(CR0_READ_SHADOW) & mask);
}

u64 cr4_seen(void)
{
	u64 mask = vmcs_read(CR4_GUEST_HOST_MASK);

	return (vmcs_read(GUEST_CR4) & ~mask) | (vmcs_read(CR4_READ_SHADOW) & mask);
}

/* SDM, "PDPTE Registers": what has to be 0 in an entry that is present. */
static u64 pdpte_reserved(const struct vcpu *vcpu)
{
	u32 width =
		cpuid_find(&vcpu->cpuid, 0x80000008, 0)->regs.eax & 0xff; /* MAXPHYADDR: 32 to 52 */

	return GENMASK(2, 1) | GENMASK(8, 5) | GENMASK(63, width);
}

/* SDM, "PAE Paging": the four entries are loaded when the mode or CR3 changes. */
static bool load_pdptes(struct vcpu *vcpu, u64 cr0, u64 cr4)
{
	static const enum vmcs_field field[] = { GUEST_PDPTE0, GUEST_PDPTE1, GUEST_PDPTE2,
						 GUEST_PDPTE3 };
	u64 pdpte[4], reserved = pdpte_reserved(vcpu);

	if (!(cr0 & CR0_PG) || !(cr4 & CR4_PAE) || (vmcs_read(GUEST_IA32_EFER) & EFER_LMA))
		return true;
	if (!guest_read(&vcpu->vm->mem, vmcs_read(GUEST_CR3) & GENMASK(31, 5), pdpte,
			sizeof(pdpte)))
		return false;
	for (unsigned int i = 0; i < ARRAY_SIZE(pdpte); i++) {
		if ((pdpte[i] & BIT(0)) && (pdpte[i] & reserved))
			return false;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(pdpte); i++)
		vmcs_write(field[i], pdpte[i]);
	return true;
}

/* EFER.LMA, and the VM-entry control that has to agree with it, follow CR0.PG. */
static bool switch_long_mode(u64 cr0, u64 cr4)
{
	u64 efer = vmcs_read(GUEST_IA32_EFER);
	bool cs_long = vmcs_read(GUEST_CS_ACCESS_RIGHTS) & AR_L;
	u64 entry = vmcs_read(VM_ENTRY_CONTROLS);

	if ((cr0 & CR0_PG) && (efer & EFER_LME) && !(efer & EFER_LMA)) {
		if (!(cr4 & CR4_PAE) || cs_long)
			return false;
		vmcs_write(GUEST_IA32_EFER, efer | EFER_LMA);
		vmcs_write(VM_ENTRY_CONTROLS, entry | ENTRY_IA32E_MODE_GUEST);
	} else if (!(cr0 & CR0_PG) && (efer & EFER_LMA)) {
		if (cs_long)
			return false;
		vmcs_write(GUEST_IA32_EFER, efer & ~EFER_LMA);
		vmcs_write(VM_ENTRY_CONTROLS, entry & ~ENTRY_IA32E_MODE_GUEST);
	}
	return true;
}

/* MOV to CR0; false = #GP. SDM, "MOV--Move to/from Control Registers". */
static bool set_cr0(struct vcpu *vcpu, u64 value)
{
	u64 cr4 = cr4_seen();

	value |= CR0_ET;
	if (value >> 32)
		return false;
	value &= CR0_DEFINED;
	if ((value & CR0_PG) && !(value & CR0_PE))
		return false;
	if ((value & CR0_NW) && !(value & CR0_CD))
		return false;
	if (!(value & CR0_PG) && (cr4 & CR4_PCIDE))
		return false;
	if (!switch_long_mode(value, cr4) || !load_pdptes(vcpu, value, cr4))
		return false;
	vmcs_write(CR0_READ_SHADOW, value);
	vmcs_write(GUEST_CR0, cr0_in_vmcs(value));
	vcpu_flush_tlb(vcpu);
	return true;
}

static bool set_cr4(struct vcpu *vcpu, u64 value)
{
	bool lma = vmcs_read(GUEST_IA32_EFER) & EFER_LMA;
	u64 old = cr4_seen();

	if (value & ~vcpu->cpuid.cr4_allowed)
		return false;
	if (lma && !(value & CR4_PAE))
		return false;
	if ((value & ~old & CR4_PCIDE) && (!lma || (vmcs_read(GUEST_CR3) & 0xfff)))
		return false;
	if (!load_pdptes(vcpu, cr0_seen(), value))
		return false;
	vmcs_write(CR4_READ_SHADOW, value);
	vmcs_write(GUEST_CR4, cr4_in_vmcs(vcpu, value));
	vcpu_flush_tlb(vcpu);
	return true;
}

static bool set_cr8(struct vcpu *vcpu, u64 value)
{
	if (value > 15)
		return false;
	vlapic_set_cr8(&vcpu->lapic, (u8)value);
	return true;
}

static bool write_cr(struct vcpu *vcpu, unsigned int cr, u64 value)
{
	switch (cr) {
	case 0: return set_cr0(vcpu, value);
	case 4: return set_cr4(vcpu, value);
	case 8: return set_cr8(vcpu, value);
	}
	return false;
}

/* Exit qualification: SDM, "Exit Qualification for Control-Register Accesses". */
enum cr_access { CR_MOV_TO, CR_MOV_FROM, CR_CLTS, CR_LMSW };

enum outcome exit_cr_access(struct vcpu *vcpu)
{
	u64 q = vcpu->exit_qualification;
	unsigned int cr = q & 0xf, reg = (unsigned int)(q >> 8 & 0xf);
	bool ok = false;

	switch ((enum cr_access)(q >> 4 & 3)) {
	case CR_MOV_TO:
		/* Outside 64-bit mode the operand has 32 bits. */
		ok = write_cr(vcpu, cr,
			      vcpu_long_mode() ? vcpu_reg(vcpu, reg) : (u32)vcpu_reg(vcpu, reg));
		break;
	case CR_MOV_FROM: /* only CR8 reads exit, and only without the TPR shadow */
		ok = cr == 8;
		if (ok)
			vcpu_set_reg(vcpu, reg, vlapic_cr8(&vcpu->lapic));
		break;
	case CR_CLTS: ok = set_cr0(vcpu, cr0_seen() & ~CR0_TS); break;
	case CR_LMSW: /* sets PE, never clears it */
		ok = set_cr0(vcpu, (cr0_seen() & ~(CR0_MP | CR0_EM | CR0_TS)) | (q >> 16 & 0xf));
		break;
	}
	if (ok)
		return OUTCOME_ADVANCE;
	vcpu_inject_gp(vcpu);
	return OUTCOME_RESUME;
}

/* XSETBV: SDM, "XSAVE-Supported Features and State-Component Bitmaps". */
static bool xcr0_valid(u64 value, u64 allowed)
{
	u64 avx512 = GENMASK(7, 5);

	if (!(value & BIT(0)) || (value & ~allowed))
		return false;
	if ((value & BIT(2)) && !(value & BIT(1)))
		return false;
	if ((value & avx512) && ((value & avx512) != avx512 || !(value & BIT(2))))
		return false;
	return true;
}

enum outcome exit_xsetbv(struct vcpu *vcpu)
{
	const struct guest_regs *g = &vcpu->regs;
	u64 value = make_64((u32)g->rdx, (u32)g->rax);

	/* The manual leaves open whether the exit comes before the check of the privilege level. */
	if (vcpu_cpl() || (u32)g->rcx != 0 || !xcr0_valid(value, vcpu->cpuid.xcr0_allowed)) {
		vcpu_inject_gp(vcpu);
		return OUTCOME_RESUME;
	}
	vcpu->xcr0 = value;
	xsetbv(0, value); /* the VMM uses none of that state: the guest's XCR0 stays in force */
	return OUTCOME_DONE;
}
