/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/lapic.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/x86.h"
#include "vmm/host/cpu.h"
#include "vmm/host/panic.h"
#include "vmm/host/trap.h"

/* In trap.asm. */
#define STUB_SIZE 16
extern const char trap_stubs[TRAP_VECTORS * STUB_SIZE];
void trap_handle(struct trap_frame *frame);

/* Distances from each field's own address; the last one is all 0. */
struct fixup {
	s32 insn, target;
};
extern const struct fixup trap_fixups[];

/* SDM volume 3, "64-Bit Mode IDT". */
struct gate {
	u16 offset_low;
	u16 selector;
	u8 ist;
	u8 type; /* 8EH: present, interrupt gate */
	u16 offset_mid;
	u32 offset_high;
	u32 reserved;
};
_Static_assert(sizeof(struct gate) == 16, "");

#define GATE_INTERRUPT 0x8e

static struct gate idt[TRAP_VECTORS] __attribute__((aligned(16)));

/* These must not depend on the stack that they interrupt. */
static const u8 ist_of_vector[TRAP_FIRST_INTERRUPT] = {
	[VECTOR_NMI] = CPU_STACK_NMI,
	[VECTOR_DF] = CPU_STACK_DF,
	[VECTOR_MC] = CPU_STACK_MC,
};

static struct {
	trap_fn *fn;
	void *arg;
} handlers[TRAP_VECTORS];

static u64 spurious;
static void (*nmi_hook)(struct trap_frame *frame);

static const char names[TRAP_FIRST_INTERRUPT][24] = {
	[0] = "divide error",
	[1] = "debug",
	[2] = "NMI",
	[3] = "breakpoint",
	[4] = "overflow",
	[5] = "bound range",
	[6] = "invalid opcode",
	[7] = "no FPU",
	[8] = "double fault",
	[10] = "invalid TSS",
	[11] = "segment not present",
	[12] = "stack segment",
	[13] = "general protection",
	[14] = "page fault",
	[16] = "x87 error",
	[17] = "alignment check",
	[18] = "machine check",
	[19] = "SIMD error",
	[20] = "virtualization",
	[21] = "control protection",
};

const char *trap_name(unsigned int vector)
{
	if (vector >= TRAP_FIRST_INTERRUPT)
		return "interrupt";
	return names[vector][0] ? names[vector] : "reserved exception";
}

void trap_load_idt(void)
{
	struct {
		u16 limit;
		u64 base;
	} __packed idtr = { sizeof(idt) - 1, (u64)idt };

	/* Each CPU writes the same values: no harm to one that uses them. */
	for (unsigned int v = 0; v < TRAP_VECTORS; v++) {
		u64 stub = (u64)trap_stubs + v * STUB_SIZE;

		idt[v] = (struct gate){
			.offset_low = (u16)stub,
			.selector = CPU_SEL_CODE,
			.ist = v < TRAP_FIRST_INTERRUPT ? ist_of_vector[v] : 0,
			.type = GATE_INTERRUPT,
			.offset_mid = (u16)(stub >> 16),
			.offset_high = upper_32(stub),
		};
	}
	__asm__ volatile("lidt %0" : : "m"(idtr) : "memory");
}

void trap_set_handler(unsigned int vector, trap_fn *fn, void *arg)
{
	if (vector < TRAP_FIRST_INTERRUPT || vector >= TRAP_VECTORS)
		panic("trap: vector %u is not an interrupt's", vector);
	handlers[vector].arg = arg;
	/* An interrupt that finds @fn also finds its @arg. */
	__atomic_store_n(&handlers[vector].fn, fn, __ATOMIC_RELEASE);
}

u64 trap_spurious(void)
{
	return __atomic_load_n(&spurious, __ATOMIC_RELAXED);
}

void trap_set_nmi_hook(void (*hook)(struct trap_frame *frame))
{
	__atomic_store_n(&nmi_hook, hook, __ATOMIC_RELEASE);
}

/* A device that the firmware had set up, say. What is not ended keeps all interrupts of its class and below back. */
static void nobodys(unsigned int vector)
{
	static bool said;

	__atomic_fetch_add(&spurious, 1, __ATOMIC_RELAXED);
	if (!lapic_in_service((u8)vector))
		return;
	lapic_eoi();
	if (!__atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
		pr_warn("irq: vector 0x%x on CPU %u has no handler: ended, and not said again\n",
			vector, this_cpu()->id);
}

static void handle_interrupt(unsigned int vector, struct trap_frame *frame)
{
	trap_fn *fn = __atomic_load_n(&handlers[vector].fn, __ATOMIC_ACQUIRE);

	if (fn)
		fn(handlers[vector].arg, frame);
	else
		nobodys(vector);
}

void trap_acknowledged(unsigned int vector)
{
	handle_interrupt(vector % TRAP_VECTORS, NULL);
}

static void handle_nmi(struct trap_frame *frame)
{
	void (*hook)(struct trap_frame *) = __atomic_load_n(&nmi_hook, __ATOMIC_ACQUIRE);

	this_cpu()->nmis++;
	if (hook)
		hook(frame);
}

/* Was it one of the instructions that may fault? Then go on where it says. */
static bool fix_up(struct trap_frame *frame)
{
	if (frame->vector != VECTOR_GP && frame->vector != VECTOR_UD)
		return false;
	for (const struct fixup *f = trap_fixups; f->insn; f++) {
		if (frame->rip == (u64)&f->insn + (u64)(s64)f->insn) {
			frame->rip = (u64)&f->target + (u64)(s64)f->target;
			return true;
		}
	}
	return false;
}

/* SDM volume 3, "Error-Reporting Register Banks". */
#define MC_STATUS(bank) (0x401u + 4 * (bank))
#define MC_ADDR(bank)   (0x402u + 4 * (bank))
#define MC_VALID        BIT(63)
#define MC_ADDRV        BIT(58)

static void handle_machine_check(struct trap_frame *frame) __noreturn;

static void handle_machine_check(struct trap_frame *frame)
{
	u64 mcg_status = 0, mcg_cap = 0, status, addr;
	char text[512] = "";
	size_t len = 0;

	if (!rdmsr_safe(IA32_MCG_STATUS, &mcg_status) || !rdmsr_safe(IA32_MCG_CAP, &mcg_cap))
		mcg_cap = 0;
	for (unsigned int bank = 0; bank < (mcg_cap & 0xff); bank++) {
		if (!rdmsr_safe(MC_STATUS(bank), &status) || !(status & MC_VALID))
			continue;
		if (!(status & MC_ADDRV) || !rdmsr_safe(MC_ADDR(bank), &addr))
			addr = 0;
		len += scnprintf(text + len, sizeof(text) - len,
				 "; bank %u: status %016llx address %llx", bank,
				 (unsigned long long)status, (unsigned long long)addr);
	}
	panic_at(frame, "machine check: the hardware is at fault: status %llx%s",
		 (unsigned long long)mcg_status, len ? text : "; no bank says more");
}

/* A push onto a full stack faults, and so does the push of that fault: it ends as a double fault. */
static void handle_double_fault(struct trap_frame *frame) __noreturn;

static void handle_double_fault(struct trap_frame *frame)
{
	const char *stack = cpu_guard_name(read_cr2());

	if (stack)
		panic_at(frame, "stack overflow of CPU %u (its %s stack)", this_cpu()->id, stack);
	panic_at(frame, "double fault");
}

static void handle_page_fault(struct trap_frame *frame) __noreturn;

static void handle_page_fault(struct trap_frame *frame)
{
	u64 error = frame->error;

	panic_at(frame, "page fault: %s at 0x%llx (%s)",
		 error & 16  ? "execution"
		 : error & 2 ? "write"
			     : "read",
		 (unsigned long long)read_cr2(), error & 1 ? "not allowed" : "not mapped");
}

/* Called by the stubs. What it changes in @frame is what the interrupted code finds. */
void trap_handle(struct trap_frame *frame)
{
	if (frame->vector >= TRAP_FIRST_INTERRUPT)
		handle_interrupt((unsigned int)frame->vector, frame);
	else if (frame->vector == VECTOR_NMI)
		handle_nmi(frame);
	else if (frame->vector == VECTOR_MC)
		handle_machine_check(frame);
	else if (frame->vector == VECTOR_DF)
		handle_double_fault(frame);
	else if (frame->vector == VECTOR_PF)
		handle_page_fault(frame);
	else if (!fix_up(frame))
		panic_at(frame, "%s (vector %u, error 0x%llx)",
			 trap_name((unsigned int)frame->vector), (unsigned int)frame->vector,
			 (unsigned long long)frame->error);
}
