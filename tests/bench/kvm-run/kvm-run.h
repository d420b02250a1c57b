/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a Multiboot image, or a Linux, under KVM, with as little around it as the benchmarks' guests
 * need: the other side of a comparison, so what KVM does in the kernel is left to the kernel.
 */
#ifndef KVM_RUN_H
#define KVM_RUN_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOST_CPUS 16

/* What is where, beside what every PC has. ACPI's registers are where Lintel has them. */
#define PM1_EVENT_PORT   0x600
#define PM1_CONTROL_PORT 0x604
#define PM_TIMER_PORT    0x608
#define SCI_LINE         9
#define SOFT_OFF         5 /* SLP_TYP of S5 */
#define DEBUG_EXIT_PORT  0xf4
#define KICK_PORT        0xc000
#define KICK_MEMORY      0xe0010000u

struct machine {
	int kvm, vm;
	unsigned int cpus;
	bool is_linux; /* else Multiboot */
	uint8_t *memory;
	size_t memory_size; /* bytes */
};

/* Status of the program when it is not the guest's. */
enum { STATUS_FAILED = 125, STATUS_TIME = 124 };

/* Says why, with errno's text if @number is not 0, and ends the program. */
void fail(int number, const char *fmt, ...) __attribute__((noreturn, format(printf, 2, 3)));

/* load.c: a file in memory of its own, which the caller frees. */
uint8_t *read_file(const char *path, size_t *size);

/* A segment of an ELF file of either class: bytes in the file, bytes in memory from @address on. */
struct segment {
	uint64_t offset, file_size, memory_size, address;
};
/* Put @s of the file @path, whose @size bytes are @data, where it belongs, if that is not below @lowest. */
void load_segment(struct machine *m, const char *path, const uint8_t *data, size_t size,
		  const struct segment *s, uint64_t lowest);

/* load.c: the image into memory, and what Multiboot says with it; the entry point. */
#define MULTIBOOT_LOADED 0x2badb002
#define MULTIBOOT_INFO   0x9000
uint32_t load_image(struct machine *m, const char *path, const char *cmdline);

/* linux.c: kernel, RAM disk and what the boot protocol says with them; the entry point. */
uint64_t load_linux(struct machine *m, const char *path, const char *initrd, const char *cmdline);
void linux_registers(uint64_t entry, struct kvm_sregs *sregs, struct kvm_regs *regs);

/* acpi.c: the RSDP is at the beginning. */
#define ACPI_TABLES 0xe0000u
void make_acpi(struct machine *m);

/* devices.c: one access of @size bytes; one vCPU at a time. The debug exit and soft-off end the program. */
void port_write(struct machine *m, uint16_t port, unsigned int size, uint32_t value);
uint32_t port_read(struct machine *m, uint16_t port, unsigned int size);

/*
 * count.c: counts are shown after each line of the guest's that begins with @line (if it is not empty),
 * and at its end. @file: the histogram of exits, or NULL.
 */
void count_when(const char *line, const char *file);
void count_cpu(int cpu);
void count_show(const char *when);
void count_output(uint8_t byte);

/* cpu.c */
void make_cpu(struct machine *m, unsigned int index, uint64_t entry);
void run_cpus(struct machine *m);
void show_exits(void); /* how often they came to user space */

#endif
