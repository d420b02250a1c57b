/* SPDX-License-Identifier: BSD-2-Clause */
/* I/O instructions. SDM, "Exit Qualification for I/O Instructions". */
#include "vmm/exit/exit.h"
#include "vmm/vcpu/gva.h"
#include "vmm/pc/pio.h"
#include "vmm/vcpu/vcpus.h"
#include "vmm/vm/vm.h"
#include "vmx/controls.h"

struct io_access {
	u16 port;
	u8 size;
	bool in;
	bool string;
	bool rep;
};

static struct io_access io_decode(u64 q)
{
	return (struct io_access){
		.port = (u16)(q >> 16),
		.size = (u8)((q & 7) + 1),
		.in = q & BIT(3),
		.string = q & BIT(4),
		.rep = q & BIT(5),
	};
}

/* IN to AL or AX keeps the rest of RAX; to EAX it clears the upper half. */
static u64 merge_rax(u64 rax, u32 value, u8 size)
{
	if (size == 4)
		return value;
	return (rax & ~(BIT(8 * size) - 1)) | value;
}

/* Elements of a string instruction that one exit does at most; the rest comes back as an exit. */
#define IO_STRING_BURST 64

/* Add @delta to a register that is used with @address_size bytes. */
static void add_to(u64 *reg, s64 delta, u8 address_size)
{
	if (address_size == 8)
		*reg += (u64)delta;
	else if (address_size == 4)
		*reg = (u32)(*reg + (u64)delta);
	else
		*reg = (*reg & ~0xffffULL) | (u16)(*reg + (u64)delta);
}

static u64 truncate(u64 reg, u8 address_size)
{
	return address_size == 8 ? reg : reg & (BIT(8 * address_size) - 1);
}

/* Can an element be stored at all? To be asked before a device is read: that may change it. */
static bool can_store(struct vcpu *vcpu, u64 linear, u8 size, struct gva_fault *fault)
{
	u64 last_page = ALIGN_DOWN(linear + size - 1, PAGE_SIZE);
	u32 access = gva_privilege() | GVA_WRITE;
	gpa_t gpa;

	return gva_translate(vcpu, linear, access, &gpa, fault) &&
	       (last_page <= linear || gva_translate(vcpu, last_page, access, &gpa, fault));
}

/* One access, with the devices locked. */
static u32 port_read(struct vm *vm, u16 port, u8 size)
{
	u32 value;

	spin_lock(&vm->lock);
	value = pio_read(&vm->pio, port, size);
	spin_unlock(&vm->lock);
	return value;
}

static void port_write(struct vcpu *vcpu, u16 port, u8 size, u32 value)
{
	struct vm *vm = vcpu->vm;

	spin_lock(&vm->lock);
	pio_write(&vm->pio, port, size, value);
	if (unlikely(vm->console_refused))
		vcpu_hold(vcpu);
	spin_unlock(&vm->lock);
}

static bool io_element(struct vcpu *vcpu, const struct io_access *io, u64 linear,
		       struct gva_fault *fault)
{
	u32 value = 0;

	if (io->in) {
		if (!can_store(vcpu, linear, io->size, fault))
			return false;
		value = port_read(vcpu->vm, io->port, io->size);
		return gva_write(vcpu, linear, gva_privilege(), &value, io->size, fault);
	}
	if (!gva_read(vcpu, linear, gva_privilege(), &value, io->size, fault))
		return false;
	port_write(vcpu, io->port, io->size, value);
	return true;
}

/* What a non-canonical address raises: of OUTS the segment can be the stack's, INS writes ES. */
static u8 io_fault_vector(const struct io_access *io)
{
	u64 segment = vmcs_read(VM_EXIT_INSTRUCTION_INFO) >> 15 & 7;

	return !io->in && segment == SEG_SS ? VECTOR_SS : VECTOR_GP;
}

/* INS, OUTS: the linear address of the first element is the processor's. */
static enum outcome io_string(struct vcpu *vcpu, const struct io_access *io)
{
	static const u8 address_sizes[8] = { 2, 4, 8, 8, 8, 8, 8, 8 };
	struct guest_regs *g = &vcpu->regs;
	u8 address_size = address_sizes[vmcs_read(VM_EXIT_INSTRUCTION_INFO) >> 7 & 7];
	u64 rflags = vmcs_read(GUEST_RFLAGS);
	s64 step = rflags & BIT(10) ? -(s64)io->size : io->size;
	unsigned int burst = rflags & RFLAGS_TF ? 1 : IO_STRING_BURST;
	u64 linear = vmcs_read(GUEST_LINEAR_ADDRESS);
	u64 *index = io->in ? &g->rdi : &g->rsi, before;
	struct gva_fault fault;

	for (unsigned int n = 0; n < burst; n++) {
		if (io->rep && !truncate(g->rcx, address_size))
			return OUTCOME_ADVANCE;
		if (unlikely(!is_canonical(linear))) {
			vcpu_inject_exception(vcpu, io_fault_vector(io), 0);
			return OUTCOME_RESUME;
		}
		if (!io_element(vcpu, io, linear, &fault)) {
			vcpu_inject_page_fault(vcpu, fault.address, fault.error);
			return OUTCOME_RESUME;
		}
		linear += (u64)step;
		before = truncate(*index, address_size);
		add_to(index, step, address_size);
		if (!io->rep)
			return OUTCOME_ADVANCE;
		add_to(&g->rcx, -1, address_size);
		if (vcpu->vm->state != VM_RUNNING)
			return OUTCOME_STOP;
		if (atomic_load_explicit(&vcpu->held, memory_order_relaxed))
			break;
		/* The index has wrapped: the processor knows where in the segment that is. */
		if ((truncate(*index, address_size) > before) != (step > 0))
			break;
	}
	if (!truncate(g->rcx, address_size))
		return OUTCOME_ADVANCE;
	vcpu_iteration_done(vcpu);
	return OUTCOME_RESUME;
}

enum outcome exit_io(struct vcpu *vcpu)
{
	struct io_access io = io_decode(vcpu->exit_qualification);
	struct guest_regs *g = &vcpu->regs;

	if (io.string)
		return io_string(vcpu, &io);
	if (io.in)
		g->rax = merge_rax(g->rax, port_read(vcpu->vm, io.port, io.size), io.size);
	else
		port_write(vcpu, io.port, io.size, (u32)g->rax);
	return unlikely(atomic_load_explicit(&vcpu->held, memory_order_relaxed)) ? OUTCOME_ADVANCE
										 : OUTCOME_DONE;
}
