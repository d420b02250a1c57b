/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/host/host.h"
#include "drivers/fbtext.h"
#include "drivers/i8259.h"
#include "drivers/ioapic.h"
#include "drivers/lapic.h"
#include "drivers/uart.h"
#include "lib/errno.h"
#include "lib/printk.h"
#include "lib/x86.h"
#include "vmm/host/console.h"
#include "vmm/host/cpu.h"
#include "vmm/host/hostpt.h"
#include "vmm/host/trap.h"
#include "vmm/host/vmm.h"

/* Vectors of the host's own. The 8259s are off, but may still raise spurious interrupts. */
enum {
	VECTOR_I8259 = 0x20,
	VECTOR_TIMER = 0x30,
	VECTOR_UART = 0x31,
	VECTOR_KICK = 0x32,
	VECTOR_POSTED = 0x33,
	VECTOR_SPURIOUS = 0xff,
};

static struct ioapic ioapics[ACPI_MAX_IOAPICS];
static struct uart *uart;
static struct fbtext *fbtext;

static void on_timer(void *arg, struct trap_frame *frame)
{
	(void)arg, (void)frame;
	this_cpu()->timer_deadline = ~0ULL;
	lapic_eoi();
}

/* That it has come is all: it has ended a HLT, or the guest's turn. */
static void on_kick(void *arg, struct trap_frame *frame)
{
	(void)arg, (void)frame;
	lapic_eoi();
}

/* A posted-interrupt notification that finds no guest on this CPU: what is posted is seen before the next entry. */
static void on_posted(void *arg, struct trap_frame *frame)
{
	(void)arg, (void)frame;
	lapic_eoi();
}

static void on_uart(void *arg, struct trap_frame *frame)
{
	(void)arg, (void)frame;
	uart_irq(uart);
	atomic_store(&this_cpu()->kicked, true); /* console_poll moves the bytes on */
	lapic_eoi();
}

/* --- the console's line: the UART, and the framebuffer beside it --- */

static size_t line_room(void *ctx)
{
	(void)ctx;
	return uart ? uart_tx_room(uart) : UART_TX_SIZE;
}

static size_t line_write(void *ctx, const void *data, size_t len)
{
	size_t n = uart ? uart_write(uart, data, len) : len;

	(void)ctx;
	if (fbtext)
		fbtext_write(fbtext, data, n);
	return n;
}

static size_t line_read(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	return uart ? uart_read(uart, buf, len) : 0;
}

const struct console_line host_line = { line_room, line_write, line_read, NULL };

/* MADT flags: polarity in bits 1:0, trigger mode in bits 3:2; 0 is the bus's own, which @line holds. */
static void apply_flags(struct ioapic_line *line, u16 flags)
{
	if (flags & 3)
		line->active_low = (flags & 3) == 3;
	if (flags >> 2 & 3)
		line->level = (flags >> 2 & 3) == 3;
}

u32 host_isa_gsi(const struct acpi_info *acpi, u8 irq, struct ioapic_line *line)
{
	u32 gsi = irq;

	for (unsigned int i = 0; i < acpi->overrides; i++) {
		if (acpi->override[i].irq == irq) {
			gsi = acpi->override[i].gsi;
			apply_flags(line, acpi->override[i].flags);
		}
	}
	return gsi;
}

static struct ioapic *ioapic_of(u32 gsi)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(ioapics); i++) {
		if (ioapics[i].mmio && ioapic_has(&ioapics[i], gsi))
			return &ioapics[i];
	}
	return NULL;
}

int host_route(u32 gsi, struct ioapic_line line, u8 vector)
{
	struct ioapic *ioapic = ioapic_of(gsi);

	if (!ioapic)
		return -ENODEV;
	ioapic_route(ioapic, gsi, line, vector, (u8)lapic_id());
	return 0;
}

void host_mask(u32 gsi)
{
	struct ioapic *ioapic = ioapic_of(gsi);

	if (ioapic)
		ioapic_mask(ioapic, gsi);
}

/* ISA: active high, and edges. */
static void route_uart(const struct acpi_info *acpi, u8 irq)
{
	struct ioapic_line line = { .active_low = false };
	u32 gsi = host_isa_gsi(acpi, irq, &line);

	if (host_route(gsi, line, VECTOR_UART))
		pr_warn("no I/O APIC has GSI %u: the serial line is polled\n", gsi);
}

static int map_controllers(const struct acpi_info *acpi)
{
	int err = hostpt_map(lapic_base(), PAGE_SIZE, HOSTPT_MMIO);

	for (unsigned int i = 0; i < acpi->ioapics && !err; i++) {
		err = hostpt_map(acpi->ioapic[i].address, PAGE_SIZE, HOSTPT_MMIO);
		if (!err)
			ioapic_init(&ioapics[i], (void *)(uintptr_t)acpi->ioapic[i].address,
				    acpi->ioapic[i].gsi_base);
	}
	return err;
}

/* The APIC timer's own rate, for CPUs without TSC-deadline mode: counted for 10 ms. */
static u64 measure_lapic_timer(u64 tsc_hz)
{
	u64 start, end;

	if (lapic_has_tsc_deadline())
		return 0;
	lapic_timer_count_start();
	start = rdtsc();
	do {
		cpu_pause();
		end = rdtsc();
	} while (end - start < tsc_hz / 100);
	return (u64)lapic_timer_count() * tsc_hz / (end - start);
}

void host_init_cpu(u64 tsc_hz)
{
	lapic_init((void *)(uintptr_t)lapic_base(), VECTOR_SPURIOUS);
	this_cpu()->timer_deadline = ~0ULL;
	lapic_timer_init(VECTOR_TIMER, tsc_hz, measure_lapic_timer(tsc_hz));
}

int host_init(const struct boot_info *info, const struct acpi_info *acpi, u64 tsc_hz)
{
	int err = map_controllers(acpi);

	if (err)
		return err;
	if (vmx_erratum_no_deadline(&vmm.platform))
		lapic_avoid_tsc_deadline();
	uart = info->uart;
	fbtext = info->fbtext;
	i8259_disable(VECTOR_I8259);
	trap_set_handler(VECTOR_TIMER, on_timer, NULL);
	trap_set_handler(VECTOR_KICK, on_kick, NULL);
	trap_set_handler(VECTOR_POSTED, on_posted, NULL);
	host_init_cpu(tsc_hz);
	if (uart) {
		trap_set_handler(VECTOR_UART, on_uart, NULL);
		route_uart(acpi, info->uart_port == UART_COM1 ? 4 : 3);
		uart_enable_irq(uart);
	}
	return 0;
}

void host_interrupt(struct cpu *cpu)
{
	if (cpu != this_cpu())
		lapic_send_ipi(cpu->apic_id, VECTOR_KICK);
}

void host_kick(struct cpu *cpu)
{
	if (!atomic_exchange(&cpu->kicked, true))
		host_interrupt(cpu);
}

u8 host_posted_vector(void)
{
	return VECTOR_POSTED;
}

void host_post(const struct cpu *cpu)
{
	lapic_send_ipi(cpu->apic_id, VECTOR_POSTED);
}

bool host_key(void)
{
	bool typed = false;
	u8 byte;

	if (!uart)
		return false;
	uart_poll(uart);
	while (uart_read(uart, &byte, 1)) /* not more than its ring holds: nobody else polls */
		typed = true;
	return typed;
}

void host_poll(void)
{
	__asm__ volatile("sti; nop; cli" : : : "memory");
	if (this_cpu()->id)
		return;
	if (uart)
		uart_poll(uart);
	console_poll();
}

void host_timer(u64 deadline)
{
	struct cpu *cpu = this_cpu();

	if (deadline == cpu->timer_deadline)
		return;
	cpu->timer_deadline = deadline;
	if (deadline == ~0ULL)
		lapic_timer_stop();
	else
		lapic_timer_arm(deadline);
}

void host_idle(u64 deadline)
{
	host_timer(deadline);
	/* STI takes effect after HLT has begun: what is pending ends it at once. */
	__asm__ volatile("sti; hlt; cli" : : : "memory");
	host_timer(~0ULL);
}

void host_drain(void)
{
	if (uart)
		uart_flush(uart);
}
