/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a vCPU begins: at a loader's entry point, or by INIT and a start-up IPI of another vCPU.
 * SDM, "Processor State After Reset", "MP Initialization Protocol Algorithm".
 */
#include "lib/string.h"
#include "vmm/vcpu/cr.h"
#include "vmm/vcpu/vcpu_irq.h"
#include "vmm/vm/vm.h"
#include "vmx/controls.h"

#define DR7_AT_RESET    0x400
#define RFLAGS_AT_RESET RFLAGS_FIXED

static void set_segment(enum vmcs_segment seg, u16 selector, u64 base, u32 limit, u32 rights)
{
	vmcs_write(GUEST_SEGMENT(GUEST_ES_SELECTOR, seg), selector);
	vmcs_write(GUEST_SEGMENT(GUEST_ES_BASE, seg), base);
	vmcs_write(GUEST_SEGMENT(GUEST_ES_LIMIT, seg), limit);
	vmcs_write(GUEST_SEGMENT(GUEST_ES_ACCESS_RIGHTS, seg), rights);
}

static void set_segments(const struct guest_entry *entry)
{
	static const enum vmcs_segment data[] = { SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS };
	bool real = entry->mode == GUEST_REAL16;
	u32 limit = real ? 0xffff : 0xffffffff, rights = AR_S | AR_P | (real ? 0 : AR_G);
	u32 size = entry->mode == GUEST_LONG64 ? AR_L : real ? 0 : AR_DB;

	set_segment(SEG_CS, entry->cs, real ? (u64)entry->cs << 4 : 0, limit,
		    rights | AR_TYPE_CODE_RA | size);
	for (unsigned int i = 0; i < ARRAY_SIZE(data); i++)
		set_segment(data[i], real ? 0 : entry->ds, 0, limit,
			    rights | AR_TYPE_DATA_WA | (real ? 0 : AR_DB));
	set_segment(SEG_LDTR, 0, 0, 0xffff, AR_UNUSABLE | AR_TYPE_LDT);
	set_segment(SEG_TR, 0, 0, 0xffff, AR_P | AR_TYPE_TSS_BUSY);
	vmcs_write(GUEST_GDTR_BASE, entry->gdt_base);
	vmcs_write(GUEST_GDTR_LIMIT, real ? 0xffff : entry->gdt_limit);
	vmcs_write(GUEST_IDTR_BASE, 0);
	vmcs_write(GUEST_IDTR_LIMIT, real ? 0xffff : 0);
}

static void set_control_registers(struct vcpu *vcpu, const struct guest_entry *entry)
{
	bool long64 = entry->mode == GUEST_LONG64;
	u64 controls = vmm.controls.word[VMX_ENTRY];

	/* INIT leaves the caches as they are: CD and NW, which a power-up would set, stay clear. */
	if (entry->mode == GUEST_REAL16)
		cr_init(vcpu, CR0_ET, 0);
	else
		cr_init(vcpu, CR0_PE | CR0_ET | (long64 ? CR0_PG : 0), long64 ? CR4_PAE : 0);
	vmcs_write(GUEST_CR3, entry->cr3);
	vmcs_write(GUEST_IA32_EFER, long64 ? EFER_LME | EFER_LMA : 0);
	vmcs_write(VM_ENTRY_CONTROLS, controls | (long64 ? ENTRY_IA32E_MODE_GUEST : 0));
}

void vcpu_reset(struct vcpu *vcpu, const struct guest_entry *entry)
{
	struct guest_regs *g = &vcpu->regs;

	set_segments(entry);
	set_control_registers(vcpu, entry);
	vmcs_write(GUEST_DR7, DR7_AT_RESET);
	vmcs_write(GUEST_RSP, 0);
	vmcs_write(GUEST_RIP, entry->rip);
	vmcs_write(GUEST_RFLAGS, RFLAGS_AT_RESET);
	vmcs_write(GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
	vmcs_write(GUEST_INTERRUPTIBILITY_STATE, 0);
	vmcs_write(GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	vmcs_write(VM_ENTRY_INTERRUPTION_INFO, 0);
	vmcs_write(VMCS_LINK_POINTER, ~0ULL);
	*g = (struct guest_regs){ .rax = entry->rax,
				  .rbx = entry->rbx,
				  .rdx = entry->rdx,
				  .rsi = entry->rsi,
				  .host_rsp = g->host_rsp,
				  .on_exit = g->on_exit };
	vcpu_state_reset(vcpu);
	vcpu->event.info = 0;
	vcpu->halted = false;
	vcpu->wait_sipi = false;
	vcpu_flush_tlb(vcpu);
}

/* The bootstrap processor would begin at the reset vector, where a PC has its firmware. */
static void obey_init(struct vcpu *vcpu)
{
	if (vlapic_base(&vcpu->lapic) & APIC_BASE_BSP) {
		vm_stop(vcpu->vm, VM_END_RESET, "reset (INIT of the bootstrap processor)");
		return;
	}
	vlapic_init_reset(&vcpu->lapic);
	pv_reset(vcpu);
	vcpu->event.info = 0;
	vcpu_nmi_forget(vcpu);
	vcpu->halted = false;
	vcpu->wait_sipi = true;
}

static void obey_sipi(struct vcpu *vcpu)
{
	u8 vector = atomic_load(&vcpu->sipi_vector);
	struct guest_entry entry = {
		.mode = GUEST_REAL16,
		.cs = (u16)(vector << 8),
		.rdx = cpuid_find(&vcpu->cpuid, 1, 0)->regs.eax, /* what a reset leaves there */
	};

	if (vcpu->wait_sipi)
		vcpu_reset(vcpu, &entry);
}

/* It need not be halted yet: who kicks may be ahead of a HLT that has been decided on. */
static void obey_unhalt(struct vcpu *vcpu)
{
	vcpu->pv.unhalted = !vcpu->halted;
	vcpu->halted = false;
}

void vcpu_obey_requests(struct vcpu *vcpu)
{
	unsigned int requests = atomic_exchange(&vcpu->requests, 0);

	if (requests & VCPU_REQ_INIT)
		obey_init(vcpu);
	if (requests & VCPU_REQ_SIPI)
		obey_sipi(vcpu);
	if (requests & VCPU_REQ_UNHALT)
		obey_unhalt(vcpu);
	if ((requests & (VCPU_REQ_NMI | VCPU_REQ_NMI_2)) && !vcpu->wait_sipi)
		vcpu_nmi(vcpu,
			 (requests & VCPU_REQ_NMI ? 1u : 0) + (requests & VCPU_REQ_NMI_2 ? 1u : 0));
}
