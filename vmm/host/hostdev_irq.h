/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts of the machine's devices: each gets a vector of the boot CPU's, by a message (MSI-X, MSI) or
 * through the I/O APIC, where functions may share a pin. Start-up only, on the boot CPU.
 */
#ifndef VMM_HOST_HOSTDEV_IRQ_H
#define VMM_HOST_HOSTDEV_IRQ_H

#include "drivers/pci.h"
#include "vmm/host/acpi.h"

void hostdev_irq_init(const struct acpi_info *acpi);

/* As struct hostdev_env says. */
int hostdev_irq(const struct pci_device *pci, unsigned int entry, void (*fn)(void *arg),
		void *arg) __must_check;
int hostdev_isa_irq(unsigned int irq, void (*fn)(void *arg), void *arg) __must_check;

/*
 * Is there a device without a working interrupt? One that cannot have any; or one on a pin that would not come
 * to rest, and was masked.
 */
bool hostdev_irq_missing(void);

/* To be called some ten times a second: a pin may ask for so many interrupts meanwhile, and no more. */
void hostdev_irq_tick(void);

#endif
