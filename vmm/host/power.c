/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/printk.h"
#include "lib/string.h"
#include "lib/x86.h"
#include "vmm/host/cpu.h"
#include "vmm/host/hostpt.h"
#include "vmm/host/power.h"

/* ACPI, "PM1 Control Registers". */
#define PM1_SCI_EN       BIT(0)
#define PM1_SLP_TYP_MASK (7u << 10)
#define PM1_SLP_TYP(v)   ((u32)(v) << 10)
#define PM1_SLP_EN       BIT(13)

/* What Bochs's chip set (PIIX4) has, for when its tables could not be read as far as \_S5_. */
#define BOCHS_PM1_CONTROL 0xb004
#define BOCHS_S5          0

/* Port reads: about 1 us each on real machines, so a tenth of a second and more. */
#define WAIT_READS 100000u

static const struct acpi_info *acpi;
static void (*drain)(void);

void power_init(const struct acpi_info *info)
{
	acpi = info;
}

void power_set_drain(void (*fn)(void))
{
	drain = fn;
}

void power_drain(void)
{
	if (drain)
		drain();
}

/* Some time for the machine to do what it was told; comes back if it does not. */
static void wait(void)
{
	for (unsigned int i = 0; i < WAIT_READS; i++)
		inb(0x80);
}

/* The sleep registers work only in ACPI mode. ACPI, "Legacy/ACPI Select and the SCI Interrupt". */
static void enter_acpi_mode(void)
{
	if (!acpi->smi_command || !acpi->acpi_enable || (inw(acpi->pm1a_control) & PM1_SCI_EN))
		return;
	outb(acpi->smi_command, acpi->acpi_enable);
	for (unsigned int i = 0; i < WAIT_READS; i++)
		if (inw(acpi->pm1a_control) & PM1_SCI_EN)
			return;
}

static void write_sleep(u16 port, u8 type)
{
	u32 value = inw(port) & ~(PM1_SLP_TYP_MASK | (u32)PM1_SLP_EN);

	outw(port, (u16)(value | PM1_SLP_TYP(type) | PM1_SLP_EN));
}

static void sleep_s5(void)
{
	if (!acpi || !acpi->has_s5 || !acpi->pm1a_control)
		return;
	enter_acpi_mode();
	write_sleep(acpi->pm1a_control, acpi->s5_a);
	if (acpi->pm1b_control)
		write_sleep(acpi->pm1b_control, acpi->s5_b);
	wait();
}

static void sleep_bochs(void)
{
	if (!acpi || strncmp(acpi->oem_id, "BOCHS", 5) != 0)
		return;
	outw(BOCHS_PM1_CONTROL, PM1_SLP_TYP(BOCHS_S5) | PM1_SLP_EN);
	wait();
}

void power_off(void)
{
	irq_disable();
	power_drain();
	sleep_s5();
	sleep_bochs();
	pr_info("it is now safe to turn off the machine\n");
	power_drain();
	cpu_halt();
}

static void reset_acpi(void)
{
	const struct acpi_register *r;

	if (!acpi || !acpi->reset.address)
		return;
	r = &acpi->reset;
	if (r->space == ACPI_SPACE_IO && r->address <= 0xffff)
		outb((u16)r->address, acpi->reset_value);
	else if (r->space == ACPI_SPACE_MEMORY && !hostpt_map(r->address, 1, HOSTPT_MMIO))
		*(volatile u8 *)r->address = acpi->reset_value;
	wait();
}

/* The reset control register of Intel's chip sets: hard reset prepared, then done. */
static void reset_cf9(void)
{
	outb(0xcf9, 0x02);
	outb(0xcf9, 0x06);
	wait();
}

/* The keyboard controller's pulse on the reset line, once it takes a command. */
static void reset_i8042(void)
{
	for (unsigned int i = 0; i < WAIT_READS && (inb(0x64) & 2); i++)
		;
	outb(0x64, 0xfe);
	wait();
}

/* An exception without an IDT. */
static void reset_triple_fault(void)
{
	struct {
		u16 limit;
		u64 base;
	} __packed none = { 0, 0 };

	__asm__ volatile("lidt %0; ud2" : : "m"(none) : "memory");
}

void power_reset(void)
{
	static void (*const ways[])(void) = {
		reset_acpi,
		reset_cf9,
		reset_i8042,
		reset_triple_fault,
	};

	irq_disable();
	power_drain();
	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++)
		ways[i]();
	cpu_halt();
}
