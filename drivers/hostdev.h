/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What drivers of physical devices ask of the machine that they run on: memory for DMA, registers,
 * interrupts, time. Physical addresses are addresses here: memory is mapped one to one.
 *
 * Interrupts are off wherever a driver runs. Its interrupt handler is called between two instructions of
 * code that holds no lock; it may take the driver's own lock, which submit and poll take as well, and has to
 * release it before it calls anybody back.
 */
#ifndef DRIVERS_HOSTDEV_H
#define DRIVERS_HOSTDEV_H

#include "lib/types.h"

struct block_device;
struct nic;
struct pci_device;

struct hostdev_env {
	u64 tsc_hz;
	u64 (*now)(void); /* TSC */
	/* @bytes of zeroed memory below 4 GiB, page-aligned, for ever (drivers do not go away); NULL: none left. */
	void *(*dma_alloc)(u64 bytes);
	/* Device registers [base, base + bytes), uncached; NULL, and said why. */
	void *(*map)(hpa_t base, u64 bytes);
	/*
	 * Have @fn called, on the boot CPU, for each interrupt of @pci: its MSI-X table's @entry, else MSI (entry 0
	 * only), else its pin (likewise; shared, so that @fn may be called in vain). Returns 0, or -ENODEV
	 * when it cannot be had: poll is called often enough for a device without interrupts.
	 */
	int (*irq)(const struct pci_device *pci, unsigned int entry, void (*fn)(void *arg),
		   void *arg);
	/* The same for an interrupt of the ISA bus: that of an IDE channel in compatibility mode. */
	int (*isa_irq)(unsigned int irq, void (*fn)(void *arg), void *arg);
	/* What a probe has found: the driver's, and there for ever. From within the probe. */
	void (*add_disk)(struct block_device *disk);
	void (*add_nic)(struct nic *nic);
};

/*
 * A driver's probe: look after @pci, which is of its kind, and add what is there. 0, or -errno, and said
 * why. Waits for devices here, with time-outs.
 */
typedef int hostdev_probe_fn(const struct pci_device *pci, const struct hostdev_env *env);

/* A network card, as its driver shows it. */
struct nic {
	char name[40]; /* for messages: "e1000 00:02.0" */
	u8 mac[6];
	u16 mtu;
	bool link; /* up? the driver keeps it current, and calls link_changed */
	void *driver;
	/* Send a frame of @len bytes: @data is copied. False: the ring is full, or the link is down. Any CPU. */
	bool (*transmit)(void *driver, const void *data, u32 len);
	/* As block_ops.poll: what was received or sent, the link, a device that hangs. Without locks. */
	void (*poll)(void *driver);

	/* Its user's; set before nic_start. Called without locks, with interrupts off. */
	void *user;
	void (*receive)(void *user, const void *frame,
			u32 len); /* @frame is valid during the call */
	void (*link_changed)(void *user);
};

#endif
