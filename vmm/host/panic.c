/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>

#include "lib/print.h"
#include "lib/printk.h"
#include "lib/x86.h"
#include "vmm/host/cpu.h"
#include "vmm/host/panic.h"
#include "vmm/host/power.h"

#define MAX_FRAMES 32

/* The stack of the firmware has bounds that we do not know: this much is looked at. */
#define UNKNOWN_STACK KIB(16)

/* Where the image's text begins, in memory and (image_text - base) in build/lintel.debug. */
extern const char image_text[], image_text_end[];
#define TEXT_OFFSET 0x1000

static void (*dump_hook)(void);
static void (*stop_hook)(void);

void panic_set_hook(void (*hook)(void))
{
	__atomic_store_n(&dump_hook, hook, __ATOMIC_RELEASE);
}

void panic_set_stop(void (*stop)(void))
{
	__atomic_store_n(&stop_hook, stop, __ATOMIC_RELEASE);
}

static void vpanic_print(const char *fmt, va_list args) __format(1, 0);

static void vpanic_print(const char *fmt, va_list args)
{
	char text[768];

	vscnprintf(text, sizeof(text), fmt, args);
	printk(LOG_PANIC, "%s\n", text);
}

void panic_print(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vpanic_print(fmt, args);
	va_end(args);
}

static u64 image_base(void)
{
	return (u64)image_text - TEXT_OFFSET;
}

static bool in_text(u64 addr)
{
	return addr >= (u64)image_text && addr < (u64)image_text_end;
}

static void print_code_address(const char *what, u64 addr)
{
	if (in_text(addr))
		panic_print("%s image+0x%llx", what, (unsigned long long)(addr - image_base()));
	else
		panic_print("%s 0x%llx (not in the image)", what, (unsigned long long)addr);
}

/* The general registers in the order of the dump, and where they are in the frame. */
static const struct {
	char name[6];
	u16 offset;
} registers[] = {
	{ "rax", offsetof(struct trap_frame, rax) }, { "rbx", offsetof(struct trap_frame, rbx) },
	{ "rcx", offsetof(struct trap_frame, rcx) }, { "rdx", offsetof(struct trap_frame, rdx) },
	{ "rsi", offsetof(struct trap_frame, rsi) }, { "rdi", offsetof(struct trap_frame, rdi) },
	{ "rbp", offsetof(struct trap_frame, rbp) }, { "rsp", offsetof(struct trap_frame, rsp) },
	{ "r8", offsetof(struct trap_frame, r8) },   { "r9", offsetof(struct trap_frame, r9) },
	{ "r10", offsetof(struct trap_frame, r10) }, { "r11", offsetof(struct trap_frame, r11) },
	{ "r12", offsetof(struct trap_frame, r12) }, { "r13", offsetof(struct trap_frame, r13) },
	{ "r14", offsetof(struct trap_frame, r14) }, { "r15", offsetof(struct trap_frame, r15) },
};
_Static_assert(ARRAY_SIZE(registers) % 4 == 0, "four in a line");

static u64 register_at(const struct trap_frame *frame, unsigned int i)
{
	return *(const u64 *)(const void *)((const char *)frame + registers[i].offset);
}

static void print_frame(const struct trap_frame *frame)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(registers); i += 4) {
		char line[128];
		size_t len = 0;

		for (unsigned int k = i; k < i + 4; k++)
			len += scnprintf(line + len, sizeof(line) - len, "%s%s %016llx",
					 k > i ? "  " : "", registers[k].name,
					 (unsigned long long)register_at(frame, k));
		panic_print("%s", line);
	}
	panic_print("rip %016llx  rflags %llx  cs %llx  ss %llx  %s, error 0x%llx",
		    (unsigned long long)frame->rip, (unsigned long long)frame->rflags,
		    (unsigned long long)frame->cs, (unsigned long long)frame->ss,
		    trap_name((unsigned int)frame->vector), (unsigned long long)frame->error);
}

static void print_control_registers(void)
{
	panic_print("cr0 %llx  cr2 %llx  cr3 %llx  cr4 %llx  efer %llx",
		    (unsigned long long)read_cr0(), (unsigned long long)read_cr2(),
		    (unsigned long long)read_cr3(), (unsigned long long)read_cr4(),
		    (unsigned long long)rdmsr(IA32_EFER));
}

/*
 * Follow the chain of frame pointers from @rbp. Whatever was wrong may have overwritten it: each
 * link must lie on the same stack and above the last, and there are at most MAX_FRAMES.
 */
static void print_backtrace(u64 rip, u64 rbp)
{
	hpa_t bottom, top;

	panic_print("image base %llx; addr2line -f -e build/lintel.debug ADDRESS",
		    (unsigned long long)image_base());
	print_code_address("at", rip);
	if (!cpu_stack_bounds(rbp, &bottom, &top)) {
		bottom = (u64)__builtin_frame_address(0);
		top = bottom + UNKNOWN_STACK;
	}
	for (unsigned int i = 0; i < MAX_FRAMES; i++) {
		const u64 *link = (const u64 *)rbp;

		if (!IS_ALIGNED(rbp, 8UL) || rbp < bottom || rbp > top - 16 || !link[1])
			return;
		print_code_address("from", link[1]);
		bottom = rbp + 16;
		rbp = link[0];
	}
	panic_print("(more)");
}

/* A call of what is no code has pushed where it came from, and made no frame yet. */
static void print_wild_call(const struct trap_frame *frame)
{
	hpa_t bottom, top;

	if (!in_text(frame->rip) && cpu_stack_bounds(frame->rsp, &bottom, &top) &&
	    IS_ALIGNED(frame->rsp, 8UL))
		print_code_address("top of the stack:", *(const u64 *)frame->rsp);
}

/* The CPU that panics, so that a fault in the dump is not taken for a panic of another one. */
static u64 panicking; /* 0 = none, otherwise its apic id + 1 */
static unsigned int depth;

/*
 * The first panic prints everything; a second one on the same CPU came out of the dump and ends it
 * with one line; a third came out of the console. Other CPUs just stop.
 */
static unsigned int enter(void)
{
	u64 none = 0, self = (u64)cpu_read_apic_id() + 1;

	irq_disable();
	if (!__atomic_compare_exchange_n(&panicking, &none, self, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE) &&
	    none != self)
		cpu_halt();
	return depth++;
}

bool panic_is_on(void)
{
	return __atomic_load_n(&panicking, __ATOMIC_ACQUIRE);
}

static void stop_others(void)
{
	void (*stop)(void) = __atomic_load_n(&stop_hook, __ATOMIC_ACQUIRE);

	if (stop)
		stop();
}

static void vpanic(const struct trap_frame *frame, const char *fmt, va_list args)
	__attribute__((noinline)) __noreturn __format(2, 0);

static void vpanic(const struct trap_frame *frame, const char *fmt, va_list args)
{
	void (*hook)(void) = __atomic_load_n(&dump_hook, __ATOMIC_ACQUIRE);
	unsigned int level = enter();
	u64 rbp = (u64)__builtin_frame_address(0);

	if (level == 0)
		stop_others();
	if (level <= 1)
		vpanic_print(fmt, args);
	if (level == 0) {
		if (frame) {
			print_frame(frame);
			print_wild_call(frame);
		}
		print_control_registers();
		print_backtrace(frame ? frame->rip : (u64)__builtin_return_address(0),
				frame ? frame->rbp : *(const u64 *)rbp);
		if (hook)
			hook();
	}
	if (level <= 1)
		panic_print("%sthe machine has stopped", level ? "in the dump itself; " : "");
	if (level <= 2)
		power_drain();
	cpu_halt();
}

void panic(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vpanic(NULL, fmt, args);
}

void panic_at(const struct trap_frame *frame, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vpanic(frame, fmt, args);
}
