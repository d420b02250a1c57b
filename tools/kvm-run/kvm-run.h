/*
 * Runs a Multiboot image under KVM, with as little around it as the benchmark guest needs: the other
 * side of a comparison, so what KVM does in the kernel is left to the kernel.
 */
#ifndef KVM_RUN_H
#define KVM_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOST_CPUS 16

/* What is where, beside what every PC has. The PM timer is where Lintel has it. */
#define PM_TIMER_PORT   0x608
#define DEBUG_EXIT_PORT 0xf4
#define KICK_PORT       0xc000
#define KICK_MEMORY     0xe0010000u

struct machine {
	int kvm, vm;
	unsigned int cpus;
	uint8_t *memory;
	size_t memory_size; /* bytes */
};

/* Status of the program when it is not the guest's. */
enum { STATUS_FAILED = 125, STATUS_TIME = 124 };

/* Says why, with errno's text if @number is not 0, and ends the program. */
void fail(int number, const char *fmt, ...) __attribute__((noreturn, format(printf, 2, 3)));

/* load.c: the image into memory, and what Multiboot says with it; the entry point. */
#define MULTIBOOT_LOADED 0x2badb002
#define MULTIBOOT_INFO   0x9000
uint32_t load_image(struct machine *m, const char *path, const char *cmdline);

/* acpi.c: RSDP, XSDT, FADT and MADT at 0xe0000. */
void make_acpi(struct machine *m);

/* devices.c: one access of @size bytes; one vCPU at a time. The debug exit ends the program. */
void port_write(struct machine *m, uint16_t port, unsigned int size, uint32_t value);
uint32_t port_read(struct machine *m, uint16_t port, unsigned int size);

/* cpu.c */
void make_cpu(struct machine *m, unsigned int index, uint32_t entry);
void run_cpus(struct machine *m);

#endif
