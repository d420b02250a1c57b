/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every micro-guest relies on: it runs in long mode at ring 0 with 4 GiB mapped one to one
 * (user-accessible), catches exceptions, and tells results on COM1 and by the debug exit.
 */
#ifndef MICRO_H
#define MICRO_H

#include "lib/types.h"
#include "lib/x86.h"

/* --- results --- */

extern const char guest_name[];
#ifdef GUEST /* set for the file that a guest is named after */
const char guest_name[] = GUEST;
#endif

/* The guest. Returning ends it with the number of failed reports as the status. */
void guest_main(void);

/* One claim: counted; told when it failed, or always with "verbose" on the command line. */
#define report(condition, ...)                   \
	do {                                     \
		bool ok_ = (condition);          \
		report_result(ok_, __VA_ARGS__); \
	} while (0) /* the condition comes first: it may change what the text tells */
void report_result(bool ok, const char *fmt, ...) __format(2, 3);

/* A line on COM1 that begins with the guest's name. */
void say(const char *fmt, ...) __format(1, 2);

/* End now. */
void finish(u32 status) __noreturn;
extern unsigned int passed, failed;

/* Is @word on the command line? The value of "@key=value" there, or NULL (the rest of the line). */
bool option(const char *word);
const char *option_value(const char *key);
u64 option_number(const char *key, u64 otherwise); /* decimal */

/* --- what Multiboot gave --- */

struct multiboot_info {
	u32 flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4];
	u32 mmap_length, mmap_addr, drives_length, drives_addr, config_table, loader_name;
};

extern const struct multiboot_info *multiboot;
extern u64 entry_regs[16]; /* rax rbx rcx rdx rsi rdi rbp rsp r8-r15 */
extern u32 entry_eflags, entry_cr0, entry_cr2, entry_cr3, entry_cr4;
extern u8 image_start[], image_end[];

/* --- exceptions --- */

struct frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error, rip, cs, rflags, rsp, ss;
};

#define NONE (-1)
enum {
	DE = 0,
	DB = 1,
	BP = 3,
	UD = 6,
	DF = 8,
	TS = 10,
	NP = 11,
	SS_FAULT = 12,
	GP = 13,
	PF = 14,
	AC = 17
};

/* The last exception: vector (NONE after TRY without one), and what came with it. */
struct trapped {
	int vector;
	u64 error, rip, cr2, rflags, rsp;
	bool user;
};

extern volatile struct trapped trapped;
extern volatile u64 trap_recover, trap_recover_rsp;

/*
 * Execute an instruction that may fault; the value is the exception's vector or NONE. After the
 * text come the operands of asm(): TRY("rdmsr", : "=a"(lo), "=d"(hi) : "c"(msr)).
 */
#define TRY(text, ...)                                                                      \
	({                                                                                  \
		trapped.vector = NONE;                                                      \
		__asm__ volatile(                                                           \
			"movq $771f, trap_recover\n\tmovq %%rsp, trap_recover_rsp\n\t" text \
			"\n771:\n\tmovq $0, trap_recover" __VA_ARGS__);                     \
		trapped.vector;                                                             \
	})

/* Called first for each exception and interrupt; true: it is dealt with. */
extern bool (*trap_hook)(struct frame *f);

/* Where the exceptions of @gate go; for guests that spoil it. */
void set_gate(u8 vector, u64 handler, u8 ist);
struct descriptor_pointer {
	u16 limit;
	u64 base;
} __packed;
extern u8 gdt[];
extern struct descriptor_pointer gdt_pointer;
extern u8 idt[4096];
extern u64 trap_entries[256];

/*
 * Machine code of a few bytes, from a buffer: with these registers, in ring 0 or 3, until it
 * returns (RET is appended; INT in ring 3) or traps. Registers are kept up to date unless it traps.
 */
struct code_regs {
	u64 rax, rbx, rcx, rdx, rsi, rdi;
};

extern u8 code_buffer[64];
int run_code(const void *bytes, size_t len, struct code_regs *regs);
int run_code_user(const void *bytes, size_t len, struct code_regs *regs);

/* --- ring 3 --- */

/* Run @code in ring 3 until it traps; the vector. INT $0x81 (USER_END) is its way to return. */
#define USER_END 0x81
int run_user(const void *code, u64 rflags);
#define USER_CODE(name, text)                                                            \
	__asm__(".pushsection .text\n" #name ":\n\t" text "\n\tint $0x81\n.popsection"); \
	extern const u8 name[]

/* --- memory --- */

extern u64 pml4[512], pdpt[512], page_dirs[4][512], window_pt[512];

/* 512 pages at WINDOW for tests: entry @i, 0 = not present. Returns its address. */
#define WINDOW (1ULL << 39)
u8 *window_map(unsigned int i, u64 entry);
#define PTE_P 1ULL
#define PTE_W 2ULL
#define PTE_U 4ULL

static inline void invlpg(const volatile void *p)
{
	__asm__ volatile("invlpg (%0)" : : "r"(p) : "memory");
}

/* --- interrupts and time --- */

/* How often each vector of 32 and above came, and in which order. */
extern volatile u32 irq_count[256];
extern volatile u8 irq_order[64];
extern volatile u32 irq_total;

/* Who is told that a handler has ended. */
enum irq_end { END_NOT, END_LAPIC, END_PIC };
extern volatile enum irq_end irq_end;
void irq_clear(void); /* forget all that came */

u32 lapic_read(u32 offset);
void lapic_write(u32 offset, u32 value);
bool lapic_is_x2apic(void);
u32 ioapic_read(u32 index);
void ioapic_write(u32 index, u32 value);

extern u64 tsc_hz; /* what CPUID says; 0: nothing */
static inline u64 microseconds(u64 us)
{
	return tsc_hz / 1000000 * us;
}

/* What an exit takes on this machine, in ticks: the shortest of a few CPUIDs. */
u64 exit_ticks(void);

/* Spin, with interrupts on, until vector came at least @n times or @us microseconds passed. */
bool wait_irq(u8 vector, u32 n, u64 us);

/* Halt for so long, by the LAPIC's timer, which is left masked. xAPIC mode, IF = 0 before and after. */
void sleep(u64 us);

/* Out of long mode and back (modes.asm); what was seen there. */
struct mode_result {
	u64 cpuid;  /* EAX of leaf 40000000H */
	u64 lapic;  /* its version register, by MMIO */
	u64 mapped; /* paging: from MODE_FRAME through the mode's mapping; real mode: see there */
	u64 efer;
	u64 vector; /* real mode: 13 of the IVT's #GP, 40 << 16 of INT 40H; PAE: read after MOV to CR3 */
	u64 copied; /* by MOVSD from the LAPIC to MODE_FRAME + 8 through the mapping */
};
#define MODE_FRAME 0xb50000
void modes_paging(struct mode_result *none, struct mode_result *legacy, struct mode_result *pae);
void modes_real(struct mode_result *real);

/* These do not return. */
void loop_ac(void);     /* #AC for ever, in 32-bit ring 3 */
void task_switch(void); /* a far jump to a TSS, in 32-bit mode */

/* Read and write MSRs that may not be there. False: #GP. */
bool msr_try_read(u32 msr, u64 *value);
bool msr_try_write(u32 msr, u64 value);

#endif
