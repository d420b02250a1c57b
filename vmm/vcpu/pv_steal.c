/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vcpu/pv_steal.h"
#include "lib/guest_mem.h"
#include "vmm/vcpu/pv.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vm/vm.h"

#define STEAL_ADDRESS  (~GENMASK(5, 0))
#define STEAL_RESERVED GENMASK(5, 1)

static gpa_t field(const struct vcpu *vcpu, size_t offset)
{
	return (vcpu->pv.steal & STEAL_ADDRESS) + offset;
}

static void publish_steal(struct vcpu *vcpu)
{
	struct vcpu_pv *pv = &vcpu->pv;
	u64 steal = pv->steal_base + pv_scale_ns(&vcpu->vm->pv.scale, pv->waited - pv->steal_from);

	pv_publish(vcpu->vm, field(vcpu, offsetof(struct pv_steal_area, version)),
		   field(vcpu, offsetof(struct pv_steal_area, steal)), &steal, sizeof(steal));
	pv->steal_told = pv->waited;
}

/*
 * The flags of the vCPU, in exchange for @flags. By an exchange, because others add
 * PV_FLUSH_TLB as long as they see PV_PREEMPTED: either it is in what comes back, or they have
 * seen that it is too late.
 */
static u64 exchange_flags(const struct vcpu *vcpu, u64 flags)
{
	if (!guest_xchg(&vcpu->vm->mem, field(vcpu, offsetof(struct pv_steal_area, preempted)),
			&flags, 1))
		return 0;
	return flags;
}

void pv_steal_preempted(struct vcpu *vcpu)
{
	(void)exchange_flags(vcpu, PV_PREEMPTED);
	vcpu->pv.preempted = true;
}

void pv_steal_loaded(struct vcpu *vcpu)
{
	struct vcpu_pv *pv = &vcpu->pv;

	if (pv->preempted) {
		pv->preempted = false;
		if (exchange_flags(vcpu, 0) & PV_FLUSH_TLB)
			vcpu_flush_tlb(vcpu);
	}
	if (pv->waited != pv->steal_told)
		publish_steal(vcpu);
}

bool pv_read_steal(struct vcpu *vcpu, u32 msr, u64 *value)
{
	(void)msr;
	*value = vcpu->pv.steal;
	return true;
}

/*
 * What the area says is added to: a CPU that Linux takes off and on again registers the same
 * area, and must not see its steal time go back; another kernel brings one that is zero.
 */
bool pv_write_steal(struct vcpu *vcpu, u32 msr, u64 value)
{
	struct vcpu_pv *pv = &vcpu->pv;
	u64 base = 0;

	(void)msr;
	if (value & STEAL_RESERVED)
		return false;
	if (value & PV_ENABLE) {
		gpa_t gpa = value & STEAL_ADDRESS;

		if (!pv_is_ram(vcpu->vm, gpa, sizeof(struct pv_steal_area), 64) ||
		    !guest_read(&vcpu->vm->mem, gpa + offsetof(struct pv_steal_area, steal), &base,
				sizeof(base)))
			return false;
	}
	pv->steal = value;
	pv->preempted = false;
	pv->steal_base = base;
	pv->steal_from = pv->waited;
	if (!(value & PV_ENABLE))
		return true;
	(void)exchange_flags(vcpu, 0);
	publish_steal(vcpu);
	return true;
}
