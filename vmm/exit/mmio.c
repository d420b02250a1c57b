/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EPT violations. RAM never causes one: it is mapped whole and writable. So an access either
 * reached the registers of a device, or nothing at all.
 */
#include "lib/guest_mem.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "lib/x86.h"
#include "vmm/exit/exit.h"
#include "vmm/vcpu/gva.h"
#include "vmm/vcpu/insn.h"
#include "vmm/vcpu/vcpu_irq.h"
#include "vmm/vcpu/vcpus.h"
#include "vmm/vm/vm.h"
#include "vmx/controls.h"

/* An open bus: reads as ones. Counted, and told once a VM, as it may explain a guest's trouble. */
static u64 unclaimed(struct vm *vm, gpa_t gpa)
{
	if (!vm->mmio.unclaimed++)
		pr_info("vm %s: access to 0x%llx, where there is nothing (told once)\n",
			vm->config->name, (unsigned long long)gpa);
	return ~0ULL;
}

static bool in_page(gpa_t gpa, u8 size, gpa_t base)
{
	return base != VLAPIC_NO_MMIO && gpa >= base && gpa + size <= base + PAGE_SIZE;
}

static u64 mmio_read(struct vcpu *vcpu, gpa_t gpa, u8 size)
{
	struct vm *vm = vcpu->vm;
	gpa_t lapic = vlapic_mmio_base(&vcpu->lapic);
	u64 value;

	if (in_page(gpa, size, lapic)) {
		vcpu->lapic_accesses++;
		return vlapic_mmio_read(&vcpu->lapic, (u32)(gpa - lapic), size);
	}
	spin_lock(&vm->lock);
	if (!mmio_bus_read(&vm->mmio, gpa, size, &value))
		value = unclaimed(vm, gpa);
	spin_unlock(&vm->lock);
	return value;
}

static void mmio_write(struct vcpu *vcpu, gpa_t gpa, u8 size, u64 value)
{
	struct vm *vm = vcpu->vm;
	gpa_t lapic = vlapic_mmio_base(&vcpu->lapic);

	if (in_page(gpa, size, lapic)) {
		vcpu->lapic_accesses++;
		vlapic_mmio_write(&vcpu->lapic, (u32)(gpa - lapic), size, value);
		return;
	}
	spin_lock(&vm->lock);
	if (!mmio_bus_write(&vm->mmio, gpa, size, value))
		unclaimed(vm, gpa);
	if (unlikely(vm->console_refused))
		vcpu_hold(vcpu);
	spin_unlock(&vm->lock);
}

static enum outcome undecodable(struct vcpu *vcpu, gpa_t gpa, const struct insn_bytes *b)
{
	char hex[3 * INSN_MAX_LENGTH + 1] = "";
	size_t n = 0;

	for (size_t i = 0; i < b->len; i++)
		n += scnprintf(hex + n, sizeof(hex) - n, " %02x", b->byte[i]);
	vm_stop(vcpu->vm, VM_END_CRASH, "device access to 0x%llx by an instruction not known:%s",
		(unsigned long long)gpa, hex);
	return OUTCOME_STOP;
}

/* The other side of MOVS is RAM or, rarely, a device as well: mapped, but not RAM. */
static bool copy_in(struct vcpu *vcpu, u64 linear, u64 *value, u8 size, struct gva_fault *fault)
{
	gpa_t gpa;

	if (gva_read(vcpu, linear, gva_privilege(), value, size, fault))
		return true;
	if (fault->address != linear || !gva_translate(vcpu, linear, gva_privilege(), &gpa, fault))
		return false;
	*value = mmio_read(vcpu, gpa, size);
	return true;
}

static bool copy_out(struct vcpu *vcpu, u64 linear, u64 value, u8 size, struct gva_fault *fault)
{
	gpa_t gpa;

	if (gva_write(vcpu, linear, gva_privilege(), &value, size, fault))
		return true;
	if (fault->address != linear ||
	    !gva_translate(vcpu, linear, gva_privilege() | GVA_WRITE, &gpa, fault))
		return false;
	mmio_write(vcpu, gpa, size, value);
	return true;
}

static bool copy(struct vcpu *vcpu, const struct mmio_insn *insn, enum insn_mode mode, gpa_t gpa,
		 bool write)
{
	struct guest_regs *g = &vcpu->regs;
	u64 mask = insn->address_size == 8 ? ~0ULL : BIT(8 * insn->address_size) - 1;
	enum vmcs_segment seg = write ? (enum vmcs_segment)insn->segment : SEG_ES;
	u64 base = mode == INSN_MODE_64 && seg < SEG_FS
			   ? 0
			   : vmcs_read(GUEST_SEGMENT(GUEST_ES_BASE, seg));
	u64 linear = base + ((write ? g->rsi : g->rdi) & mask), value = 0;
	struct gva_fault fault;

	if (mode != INSN_MODE_64)
		linear = (u32)linear;
	if (write) {
		if (!copy_in(vcpu, linear, &value, insn->size, &fault)) {
			vcpu_inject_page_fault(vcpu, fault.address, fault.error);
			return false;
		}
		mmio_write(vcpu, gpa, insn->size, value);
		return true;
	}
	value = mmio_read(vcpu, gpa, insn->size);
	if (copy_out(vcpu, linear, value, insn->size, &fault))
		return true;
	vcpu_inject_page_fault(vcpu, fault.address, fault.error);
	return false;
}

/* What nearly all accesses are: mmio_apply has nothing to compute. */
static void move(struct vcpu *vcpu, const struct mmio_insn *insn, gpa_t gpa)
{
	u64 mask = insn->size == 4 ? 0xffffffff : ~0ULL;

	if (insn->access == INSN_READ)
		vcpu_set_reg(vcpu, insn->reg, mmio_read(vcpu, gpa, insn->size) & mask);
	else
		mmio_write(vcpu, gpa, insn->size,
			   (insn->has_imm ? insn->imm : vcpu_reg(vcpu, insn->reg)) & mask);
}

static void access(struct vcpu *vcpu, const struct mmio_insn *insn, gpa_t gpa)
{
	u64 reg = vcpu_reg(vcpu, insn->reg), rflags = vmcs_read(GUEST_RFLAGS), old = rflags,
	    mem = 0;

	if (insn->access == INSN_READ || insn->access == INSN_RMW)
		mem = mmio_read(vcpu, gpa, insn->size);
	mmio_apply(insn, &mem, &reg, &rflags);
	if (insn->access == INSN_WRITE || insn->access == INSN_RMW)
		mmio_write(vcpu, gpa, insn->size, mem);
	if (!insn->has_imm)
		vcpu_set_reg(vcpu, insn->reg, reg);
	if (rflags != old)
		vmcs_write(GUEST_RFLAGS, rflags);
}

/* True when the instruction is finished. */
static bool string_step(struct vcpu *vcpu, const struct mmio_insn *insn)
{
	struct guest_regs *g = &vcpu->regs;
	struct insn_string_regs r = { g->rsi, g->rdi, g->rcx };
	bool done = mmio_string_step(insn, vmcs_read(GUEST_RFLAGS), &r);

	g->rsi = r.rsi;
	g->rdi = r.rdi;
	g->rcx = r.rcx;
	return done;
}

/* The local APIC is the run loop's to look after, and so is a vCPU that is held up. */
static enum outcome finished(const struct vcpu *vcpu, gpa_t gpa)
{
	if (in_page(gpa, 1, vlapic_mmio_base(&vcpu->lapic)) ||
	    unlikely(atomic_load_explicit(&vcpu->held, memory_order_relaxed)))
		return OUTCOME_RESUME;
	return OUTCOME_REENTER;
}

/* More than a move. */
static __noinline enum outcome emulate_other(struct vcpu *vcpu, const struct mmio_insn *insn,
					     enum insn_mode mode, gpa_t gpa, bool write)
{
	if (write != (insn->access == INSN_WRITE) && insn->access != INSN_COPY &&
	    insn->access != INSN_RMW)
		return OUTCOME_RESUME; /* the bytes have changed since: what the exit says counts */
	if (insn->access != INSN_COPY)
		access(vcpu, insn, gpa);
	else if (!copy(vcpu, insn, mode, gpa, write))
		return OUTCOME_RESUME;
	if (insn->is_string && !string_step(vcpu, insn))
		return OUTCOME_RESUME;
	exit_advance(insn->length);
	return finished(vcpu, gpa);
}

enum outcome mmio_emulate(struct vcpu *vcpu, gpa_t gpa, bool write)
{
	enum insn_mode mode = insn_mode();
	struct insn_bytes bytes;
	const struct mmio_insn *insn = insn_current(vcpu, mode, &bytes);

	if (unlikely(!insn))
		return undecodable(vcpu, gpa, &bytes);
	if (unlikely(!insn->plain))
		return emulate_other(vcpu, insn, mode, gpa, write);
	if (unlikely(write != (insn->access == INSN_WRITE)))
		return OUTCOME_RESUME; /* the bytes have changed since: what the exit says counts */
	move(vcpu, insn, gpa);
	/* The length of the instruction is undefined in the VMCS: ours counts. */
	exit_advance(insn->length);
	return finished(vcpu, gpa);
}

enum outcome exit_ept_violation(struct vcpu *vcpu)
{
	gpa_t gpa = vmcs_read(GUEST_PHYSICAL_ADDRESS);
	bool write = vcpu->exit_qualification & EPT_VIOLATION_WRITE;

	if (vcpu->exit_qualification & EPT_VIOLATION_NMI_UNBLOCKING)
		vcpu_nmi_reblock(vcpu);
	if ((vcpu->exit_qualification & EPT_VIOLATION_FETCH) ||
	    !(vcpu->exit_qualification & EPT_VIOLATION_TRANSLATED) ||
	    (vcpu->event.info & INTR_INFO_VALID)) {
		/* Code, page tables, a stack or an IDT where there is no memory. */
		vm_stop(vcpu->vm, VM_END_CRASH, "%s at 0x%llx, where there is no memory",
			vcpu->exit_qualification & EPT_VIOLATION_FETCH ? "code"
								       : "a page table or stack",
			(unsigned long long)gpa);
		return OUTCOME_STOP;
	}
	return mmio_emulate(vcpu, gpa, write);
}
