/* SPDX-License-Identifier: BSD-2-Clause */
/* PCI Local Bus Specification 3.0, "MSI Capability and Table Structure"; SDM, "Message Signalled Interrupts". */
#include "vmm/host/hostdev_irq.h"
#include "drivers/lapic.h"
#include "lib/errno.h"
#include "lib/printk.h"
#include "vmm/host/host.h"
#include "vmm/host/hostpt.h"
#include "vmm/host/trap.h"

/* Offsets in the capability. */
#define MSI_CONTROL         2
#define MSI_ADDRESS         4
#define MSI_ADDRESS_HIGH    8
#define MSI_DATA_32         8
#define MSI_DATA_64         12

#define MSI_CONTROL_ENABLE  0x0001
#define MSI_CONTROL_COUNT   0x0070 /* log2 of the messages in use */
#define MSI_CONTROL_64      0x0080

#define MSIX_CONTROL        2
#define MSIX_TABLE          4

#define MSIX_CONTROL_SIZE   0x07ff /* entries, less one */
#define MSIX_CONTROL_MASK   0x4000 /* all of them */
#define MSIX_CONTROL_ENABLE 0x8000
#define MSIX_TABLE_BAR      0x7u

/* An entry of the MSI-X table, in 32-bit words. */
enum { ENTRY_ADDRESS, ENTRY_ADDRESS_HIGH, ENTRY_DATA, ENTRY_CONTROL, ENTRY_WORDS };
#define ENTRY_MASKED 1u

#define MSI_BASE     0xfee00000u /* a fixed interrupt, an edge, physical destination in bits 19:12 */

#define MAX_USERS    64
/*
 * A pin that asks again and again, because nobody knows how to calm the device that drives it, would keep
 * the CPU from ever going on. No device has that much to say between two ticks.
 */
#define STORM 20000

struct user {
	void (*fn)(void *arg);
	void *arg;
	struct user *next;
};

struct vector {
	struct user *first;
	bool pin;
	u32 gsi;
	u32 count; /* interrupts since the last tick */
	bool masked;
};

static struct vector vectors[HOST_DEVICE_VECTORS];
static unsigned int nr_vectors;
static struct user users[MAX_USERS];
static unsigned int nr_users;
static bool missing;
static const struct acpi_info *acpi;

void hostdev_irq_init(const struct acpi_info *info)
{
	acpi = info;
	nr_vectors = nr_users = 0;
	missing = false;
}

bool hostdev_irq_missing(void)
{
	return missing;
}

void hostdev_irq_tick(void)
{
	for (unsigned int i = 0; i < nr_vectors; i++)
		vectors[i].count = 0;
}

static void calm(struct vector *v)
{
	host_mask(v->gsi);
	v->masked = missing = true;
	pr_warn("irq: GSI %u does not come to rest: it is masked, its devices are polled\n",
		v->gsi);
}

static void on_irq(void *arg, struct trap_frame *frame)
{
	struct vector *v = arg;

	(void)frame;
	for (struct user *u = v->first; u; u = u->next)
		u->fn(u->arg);
	if (v->pin && ++v->count > STORM && !v->masked)
		calm(v);
	lapic_eoi();
}

static u8 number_of(const struct vector *v)
{
	return (u8)(HOST_DEVICE_VECTOR + (v - vectors));
}

/* Another one of @v's: it is set before the first interrupt can come. */
static bool add_user(struct vector *v, void (*fn)(void *arg), void *arg)
{
	struct user *u = &users[nr_users];

	if (nr_users == MAX_USERS)
		return false;
	nr_users++;
	*u = (struct user){ fn, arg, v->first };
	v->first = u;
	return true;
}

static struct vector *new_vector(void (*fn)(void *arg), void *arg)
{
	struct vector *v = &vectors[nr_vectors];

	if (nr_vectors == HOST_DEVICE_VECTORS)
		return NULL;
	*v = (struct vector){ NULL };
	if (!add_user(v, fn, arg))
		return NULL;
	nr_vectors++;
	trap_set_handler(number_of(v), on_irq, v);
	return v;
}

/* --- messages --- */

static u32 message_address(void)
{
	return MSI_BASE | (lapic_id() & 0xff) << 12;
}

/* The registers of @pci's table, which has entry @entry; NULL, and said why. */
static volatile u32 *msix_table(const struct pci_device *pci, unsigned int entries)
{
	u32 where = pci_read32(pci, (u16)(pci->msix + MSIX_TABLE));
	unsigned int n = where & MSIX_TABLE_BAR;
	u64 bytes = (u64)entries * ENTRY_WORDS * sizeof(u32), offset = where & ~MSIX_TABLE_BAR;
	const struct pci_bar *bar;
	char name[16];

	if (n < PCI_HOST_BARS) {
		bar = &pci->bar[n];
		if (bar->base && !bar->io && offset < bar->size && bytes <= bar->size - offset &&
		    !hostpt_map(bar->base + offset, bytes, HOSTPT_MMIO))
			return (volatile u32 *)(uintptr_t)(bar->base + offset);
	}
	pr_warn("pci: %s: its MSI-X table cannot be reached\n", pci_name(pci, name, sizeof(name)));
	return NULL;
}

static int msix(const struct pci_device *pci, unsigned int entry, void (*fn)(void *arg), void *arg)
{
	u16 reg = (u16)(pci->msix + MSIX_CONTROL), control = pci_read16(pci, reg);
	unsigned int entries = (control & MSIX_CONTROL_SIZE) + 1u;
	volatile u32 *table;
	struct vector *v;

	if (entry >= entries)
		return -ENODEV;
	table = msix_table(pci, entries);
	v = table ? new_vector(fn, arg) : NULL;
	if (!v)
		return -ENODEV;
	if (!(control &
	      MSIX_CONTROL_ENABLE)) { /* the first time: none but those that are asked for */
		pci_write16(pci, reg, control | MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK);
		for (unsigned int i = 0; i < entries; i++)
			table[i * ENTRY_WORDS + ENTRY_CONTROL] = ENTRY_MASKED;
	}
	table += entry * ENTRY_WORDS;
	table[ENTRY_ADDRESS] = message_address();
	table[ENTRY_ADDRESS_HIGH] = 0;
	table[ENTRY_DATA] = number_of(v);
	table[ENTRY_CONTROL] = 0;
	control &= (u16)~MSIX_CONTROL_MASK;
	pci_write16(pci, reg, control | MSIX_CONTROL_ENABLE);
	return 0;
}

static int msi(const struct pci_device *pci, void (*fn)(void *arg), void *arg)
{
	u16 cap = pci->msi, control = pci_read16(pci, (u16)(cap + MSI_CONTROL));
	struct vector *v = new_vector(fn, arg);
	bool wide = control & MSI_CONTROL_64;

	if (!v)
		return -ENODEV;
	control &= (u16) ~(MSI_CONTROL_COUNT | MSI_CONTROL_ENABLE);
	pci_write16(pci, (u16)(cap + MSI_CONTROL), control);
	pci_write32(pci, (u16)(cap + MSI_ADDRESS), message_address());
	if (wide)
		pci_write32(pci, (u16)(cap + MSI_ADDRESS_HIGH), 0);
	pci_write16(pci, (u16)(cap + (wide ? MSI_DATA_64 : MSI_DATA_32)), number_of(v));
	pci_write16(pci, (u16)(cap + MSI_CONTROL), control | MSI_CONTROL_ENABLE);
	return 0;
}

/* --- pins --- */

static int share_gsi(u32 gsi, struct ioapic_line line, void (*fn)(void *arg), void *arg)
{
	struct vector *v;
	int err;

	for (unsigned int i = 0; i < nr_vectors; i++) {
		v = &vectors[i];
		if (v->pin && v->gsi == gsi)
			return add_user(v, fn, arg) ? 0 : -ENODEV;
	}
	v = new_vector(fn, arg);
	if (!v)
		return -ENODEV;
	err = host_route(gsi, line, number_of(v));
	v->gsi = gsi;
	v->pin = !err;
	return err;
}

/*
 * The line register is what the firmware has routed the pin to, an ISA interrupt, as far as it says so at all.
 * (Which pin of which I/O APIC it is in APIC mode is told by methods in ACPI's AML, which nobody here
 * can run. On the machines of the lab both work; elsewhere devices have MSI.)
 */
static int pin(const struct pci_device *pci, void (*fn)(void *arg), void *arg)
{
	struct ioapic_line line = { .active_low = true, .level = true };

	if (!pci->irq_pin || !pci->irq_line || pci->irq_line >= 16)
		return -ENODEV;
	return share_gsi(host_isa_gsi(acpi, pci->irq_line, &line), line, fn, arg);
}

int hostdev_irq(const struct pci_device *pci, unsigned int entry, void (*fn)(void *arg), void *arg)
{
	int err = -ENODEV;

	/* A message names a CPU by 8 bits. */
	if (pci->msix && lapic_id() <= 0xff)
		err = msix(pci, entry, fn, arg);
	if (err && !entry && pci->msi && lapic_id() <= 0xff)
		err = msi(pci, fn, arg);
	if (err && !entry)
		err = pin(pci, fn, arg);
	if (err && !entry)
		missing = true;
	return err;
}

int hostdev_isa_irq(unsigned int irq, void (*fn)(void *arg), void *arg)
{
	struct ioapic_line line = { .active_low = false };
	int err = -ENODEV;

	if (irq < 16)
		err = share_gsi(host_isa_gsi(acpi, (u8)irq, &line), line, fn, arg);
	if (err)
		missing = true;
	return err;
}
