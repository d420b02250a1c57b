/* SPDX-License-Identifier: BSD-2-Clause */
/* The physical machine's interrupts, clock and console line, as the run loop needs them. */
#ifndef VMM_HOST_HOST_H
#define VMM_HOST_HOST_H

#include "drivers/ioapic.h"
#include "lib/types.h"
#include "vmm/host/acpi.h"
#include "vmm/boot_info.h"
#include "vmm/host/console.h"
#include "vmm/host/cpu.h"

/* Interrupt controllers, timer and the UART's interrupt. -errno, and said why. */
int host_init(const struct boot_info *info, const struct acpi_info *acpi, u64 tsc_hz) __must_check;

/* Vectors of the machine's devices, which hostdev_irq.c gives away. */
#define HOST_DEVICE_VECTOR  0x40
#define HOST_DEVICE_VECTORS 48

/*
 * Interrupts of devices, which the boot CPU gets. host_isa_gsi: where ISA interrupt @irq arrives, and in
 * *@line how, which is left alone where the firmware has nothing to say. host_route: -ENODEV when
 * no I/O APIC has @gsi.
 */
u32 host_isa_gsi(const struct acpi_info *acpi, u8 irq, struct ioapic_line *line);
int host_route(u32 gsi, struct ioapic_line line, u8 vector) __must_check;
void host_mask(u32 gsi);

/* host_init for another CPU, on that CPU: its local APIC. */
void host_init_cpu(u64 tsc_hz);

/* Have @cpu's run loop look around soon. Any CPU may call it. */
void host_kick(struct cpu *cpu);

/* Have the guest that runs on @cpu exit, if one does, and no more. Any CPU may call it. */
void host_interrupt(struct cpu *cpu);

/*
 * The posted-interrupt notification: its vector, and the interrupt itself, for @cpu which seems to run
 * a guest that something was posted to. Without effect when it does not. Any CPU may call it.
 */
u8 host_posted_vector(void);
void host_post(const struct cpu *cpu);

/* Has anything been typed on the UART? It is taken away. On the boot CPU, when no VM is there to have it. */
bool host_key(void);

/*
 * Let pending interrupts in and, on the boot CPU, which has the console's line, move its bytes in both
 * directions. Interrupts are off after.
 */
void host_poll(void);

/* Interrupt this CPU at host TSC @deadline; ~0 = never. */
void host_timer(u64 deadline);

/* The console: the UART if there is one, and the framebuffer. */
extern const struct console_line host_line;

/* Sleep until an interrupt comes, at @deadline at the latest. */
void host_idle(u64 deadline);

/* Wait until everything that was printed has left the machine. */
void host_drain(void);

#endif
