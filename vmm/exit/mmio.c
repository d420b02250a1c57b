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
#include "vmm/vcpu/vector.h"
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

/* How many accesses of a VM's that cannot be done are told. */
#define REFUSED_TOLD 8

static bool tell_refused(struct vm *vm)
{
	u64 before;

	spin_lock(&vm->lock);
	before = vm->mmio.refused++;
	spin_unlock(&vm->lock);
	return before < REFUSED_TOLD;
}

/*
 * What no PC refuses and we cannot do: the guest's kernel is told by #UD, as that of a processor without this
 * instruction, and can end the process that did it; or the VM ends, if its configuration says so.
 */
static enum outcome refuse(struct vcpu *vcpu, const char *what)
{
	const struct vm_config *config = vcpu->vm->config;

	if (config->unknown_access == UNKNOWN_ACCESS_STOP) {
		vm_stop(vcpu->vm, VM_END_CRASH, "%s", what);
		return OUTCOME_STOP;
	}
	if (tell_refused(vcpu->vm))
		pr_warn("vm %s: %s, at 0x%llx: #UD\n", config->name, what,
			(unsigned long long)vmcs_read(GUEST_RIP));
	vcpu_inject_ud(vcpu);
	return OUTCOME_RESUME;
}

static enum outcome undecodable(struct vcpu *vcpu, gpa_t gpa, const struct insn_bytes *b)
{
	char what[128];
	size_t n = scnprintf(
		what, sizeof(what),
		"device access to 0x%llx by an instruction not known:", (unsigned long long)gpa);

	for (size_t i = 0; i < b->len; i++)
		n += scnprintf(what + n, sizeof(what) - n, " %02x", b->byte[i]);
	return refuse(vcpu, what);
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

/* Where rSI (with @seg) or rDI (ES) of a string instruction points to. */
static u64 string_linear(const struct mmio_insn *insn, enum insn_mode mode, enum vmcs_segment seg,
			 u64 reg)
{
	u64 mask = insn->address_size == 8 ? ~0ULL : BIT(8 * insn->address_size) - 1;
	u64 base = mode == INSN_MODE_64 && seg < SEG_FS
			   ? 0
			   : vmcs_read(GUEST_SEGMENT(GUEST_ES_BASE, seg));
	u64 linear = base + (reg & mask);

	return mode == INSN_MODE_64 ? linear : (u32)linear;
}

static bool copy(struct vcpu *vcpu, const struct mmio_insn *insn, enum insn_mode mode, gpa_t gpa,
		 bool write)
{
	struct guest_regs *g = &vcpu->regs;
	enum vmcs_segment seg = write ? (enum vmcs_segment)insn->segment : SEG_ES;
	u64 linear = string_linear(insn, mode, seg, write ? g->rsi : g->rdi), value = 0;
	struct gva_fault fault;

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

/* CMPS: either side may be the device, or both. */
static bool compare(struct vcpu *vcpu, const struct mmio_insn *insn, enum insn_mode mode)
{
	struct guest_regs *g = &vcpu->regs;
	u64 first = 0, second = 0, rflags = vmcs_read(GUEST_RFLAGS);
	struct gva_fault fault;

	if (!copy_in(vcpu, string_linear(insn, mode, (enum vmcs_segment)insn->segment, g->rsi),
		     &first, insn->size, &fault) ||
	    !copy_in(vcpu, string_linear(insn, mode, SEG_ES, g->rdi), &second, insn->size,
		     &fault)) {
		vcpu_inject_page_fault(vcpu, fault.address, fault.error);
		return false;
	}
	(void)mmio_alu(INSN_CMP, insn->size, first, second, &rflags);
	vmcs_write(GUEST_RFLAGS, rflags);
	return true;
}

/*
 * Between memory and a vector register, 8 bytes at a time: no device here has registers that are wider. False: the
 * guest's XCR0 does not allow it, so this is not the instruction that caused the exit.
 */
static bool move_vector(struct vcpu *vcpu, const struct mmio_insn *insn, gpa_t gpa)
{
	u8 bytes[INSN_MAX_SIZE] = { 0 }, *at = bytes + insn->reg_offset;
	const u8 step = MIN(insn->size, 8);
	u64 value = 0;

	if (!vector_usable(insn->regs, vcpu->xcr0))
		return false;
	if (!insn->to_reg || insn->merge)
		vector_read(insn->regs, insn->reg, bytes);
	for (unsigned int i = 0; i < insn->size; i += step) {
		if (insn->to_reg) {
			value = mmio_read(vcpu, gpa + i, step);
			memcpy(at + i, &value, step);
		} else {
			memcpy(&value, at + i, step);
			mmio_write(vcpu, gpa + i, step, value);
		}
	}
	if (insn->to_reg)
		vector_write(insn->regs, insn->reg, bytes);
	return true;
}

/* What nearly all accesses are: mmio_apply has nothing to compute. */
static void move(struct vcpu *vcpu, const struct mmio_insn *insn, gpa_t gpa)
{
	u64 mask = ~0ULL >> insn->above;

	if (insn->access == INSN_READ)
		vcpu_set_reg(vcpu, insn->reg, mmio_read(vcpu, gpa, insn->size) & mask);
	else
		mmio_write(vcpu, gpa, insn->size,
			   (insn->has_imm ? insn->imm : vcpu_reg(vcpu, insn->reg)) & mask);
}

static void access(struct vcpu *vcpu, const struct mmio_insn *insn, gpa_t gpa)
{
	const u64 old = vmcs_read(GUEST_RFLAGS);
	struct insn_values v = { .reg = vcpu_reg(vcpu, insn->reg),
				 .rax = vcpu->regs.rax,
				 .rflags = old };

	if (insn->access == INSN_READ || insn->access == INSN_RMW)
		v.mem = mmio_read(vcpu, gpa, insn->size);
	mmio_apply(insn, &v);
	if (insn->access == INSN_WRITE || insn->access == INSN_RMW)
		mmio_write(vcpu, gpa, insn->size, v.mem);
	if (insn->op == INSN_CMPXCHG)
		vcpu->regs.rax = v.rax;
	else if (!insn->has_imm)
		vcpu_set_reg(vcpu, insn->reg, v.reg);
	if (v.rflags != old)
		vmcs_write(GUEST_RFLAGS, v.rflags);
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

/* False: the instruction is not done. The guest has a page fault, or its bytes have changed since. */
static bool emulate(struct vcpu *vcpu, const struct mmio_insn *insn, enum insn_mode mode, gpa_t gpa,
		    bool write)
{
	if (insn->regs != INSN_GENERAL)
		return move_vector(vcpu, insn, gpa);
	if (insn->access == INSN_COPY)
		return copy(vcpu, insn, mode, gpa, write);
	if (insn->access == INSN_COMPARE)
		return compare(vcpu, insn, mode);
	access(vcpu, insn, gpa);
	return true;
}

/* More than a move. */
static __noinline enum outcome emulate_other(struct vcpu *vcpu, const struct mmio_insn *insn,
					     enum insn_mode mode, gpa_t gpa, bool write)
{
	if (write != (insn->access == INSN_WRITE) && insn->access != INSN_COPY &&
	    insn->access != INSN_RMW)
		return OUTCOME_RESUME; /* the bytes have changed since: what the exit says counts */
	if (!emulate(vcpu, insn, mode, gpa, write))
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

/* Where a processor begins after a reset. Firmware would be there; whoever jumps to it wants one. */
#define RESET_VECTOR 0xfffffff0

/* Fetched from where there is no memory: ones, on a PC, which are no instruction. */
static enum outcome code_outside(struct vcpu *vcpu, gpa_t gpa)
{
	char what[64];

	if (gpa == RESET_VECTOR) {
		vm_stop(vcpu->vm, VM_END_RESET, "reset");
		return OUTCOME_STOP;
	}
	scnprintf(what, sizeof(what), "code at 0x%llx, where there is no memory",
		  (unsigned long long)gpa);
	return refuse(vcpu, what);
}

enum outcome exit_ept_violation(struct vcpu *vcpu)
{
	gpa_t gpa = vmcs_read(GUEST_PHYSICAL_ADDRESS);
	bool write = vcpu->exit_qualification & EPT_VIOLATION_WRITE;

	if (vcpu->exit_qualification & EPT_VIOLATION_NMI_UNBLOCKING)
		vcpu_nmi_reblock(vcpu);
	if (!(vcpu->exit_qualification & EPT_VIOLATION_TRANSLATED) ||
	    (vcpu->event.info & INTR_INFO_VALID)) {
		/* Page tables, a stack or an IDT where there is no memory: there is no telling the guest. */
		vm_stop(vcpu->vm, VM_END_CRASH,
			"a page table or stack at 0x%llx, where there is no memory",
			(unsigned long long)gpa);
		return OUTCOME_STOP;
	}
	if (unlikely(vcpu->exit_qualification & EPT_VIOLATION_FETCH))
		return code_outside(vcpu, gpa);
	return mmio_emulate(vcpu, gpa, write);
}
