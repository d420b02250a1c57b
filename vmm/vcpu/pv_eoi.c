/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vcpu/pv_eoi.h"
#include "lib/guest_mem.h"
#include "vmm/vcpu/pv.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vm/vm.h"

static bool exchange_bit(const struct vcpu *vcpu, u64 *bit)
{
	return guest_xchg(&vcpu->vm->mem, vcpu->pv.eoi & ~PV_ENABLE, bit, 1);
}

/*
 * Not when an I/O APIC waits for the EOI, nor when another request waits in the IRR: the EOI is
 * what lets it in, and without an exit nobody would.
 */
void pv_eoi_offer(struct vcpu *vcpu, u8 vector)
{
	u64 bit = PV_EOI_BIT;

	if (!(vcpu->pv.eoi & PV_ENABLE) || vlapic_is_level(&vcpu->lapic, vector) ||
	    vlapic_highest_irr(&vcpu->lapic) >= 0)
		return;
	vcpu->pv.eoi_offered = exchange_bit(vcpu, &bit);
}

void pv_eoi_collect(struct vcpu *vcpu)
{
	u64 bit = 0;

	vcpu->pv.eoi_offered = false;
	if (exchange_bit(vcpu, &bit) && !(bit & PV_EOI_BIT))
		vlapic_eoi(&vcpu->lapic);
}

bool pv_read_eoi(struct vcpu *vcpu, u32 msr, u64 *value)
{
	(void)msr;
	*value = vcpu->pv.eoi;
	return true;
}

bool pv_write_eoi(struct vcpu *vcpu, u32 msr, u64 value)
{
	(void)msr;
	pv_eoi_settle(vcpu); /* by the old address */
	/* Bit 1 is reserved: part of an address that is not on a boundary of 4. */
	if ((value & PV_ENABLE) &&
	    !pv_is_ram(vcpu->vm, value & ~PV_ENABLE, sizeof(u32), sizeof(u32)))
		return false;
	vcpu->pv.eoi = value;
	return true;
}
