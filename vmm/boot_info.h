/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything that the UEFI application hands to the VMM, in plain C: from here on there is no
 * firmware. All addresses are physical, and mapped one to one.
 */
#ifndef VMM_BOOT_INFO_H
#define VMM_BOOT_INFO_H

#include "lib/types.h"
#include "vmm/config.h"

/* What a range of physical memory is; the order is the order of precedence where ranges touch. */
enum mem_kind {
	MEM_FREE,    /* ours to use from now on */
	MEM_IMAGE,   /* lintel.efi itself */
	MEM_FILES,   /* guest images and boot data: kept */
	MEM_RUNTIME, /* the firmware's, reserved, NVS: RAM, but not ours */
	MEM_ACPI,    /* ACPI tables: read by us, kept */
	MEM_MMIO,    /* device registers that the firmware's map names */
};

struct mem_range {
	hpa_t base; /* page-aligned */
	u64 size;   /* bytes, page-aligned */
	enum mem_kind kind;
};

#define BOOT_MAX_RANGES 512

struct boot_framebuffer {
	hpa_t base;                /* 0 = none */
	u64 size;                  /* bytes */
	u32 width, height, stride; /* pixels */
	bool bgr;                  /* blue in the lowest byte; otherwise red */
};

/* The image's own sections, page-aligned, for page tables of our own. */
struct boot_image {
	hpa_t text, text_end;     /* R-X */
	hpa_t rodata, rodata_end; /* R-- (relocated constants included) */
	hpa_t data, data_end;     /* RW- (bss included) */
};

struct fbtext;
struct uart;

struct boot_info {
	struct mem_range range[BOOT_MAX_RANGES]; /* sorted, no overlap, like neighbours merged */
	unsigned int ranges;
	hpa_t acpi_rsdp; /* 0 = none */
	struct boot_framebuffer fb;
	struct boot_image image;
	struct config config;
	u64 start_tsc; /* RDTSC at the start of the application */
	bool secure_boot;
	char firmware[44]; /* its maker and revision, in ASCII */
	/* The GPT partition that lintel.efi and lintel.conf were read from: its GUID, as on the disk; or zeroes. */
	u8 boot_part[16];
	/*
	 * The console: set up, already sinks of printk, and the only drivers of their devices that
	 * may exist. NULL = there is none, or lintel.conf does not want it.
	 */
	struct uart *uart;
	u16 uart_port; /* UART_COM1 or UART_COM2 */
	struct fbtext *fbtext;
};

/*
 * The VMM's entry, called once by boot/ after ExitBootServices with interrupts off, on a stack in
 * the image's data and on the firmware's page tables; neither is MEM_FREE. The firmware's GDT and
 * IDT may be. @info stays valid for ever (it lies in the image's data).
 */
void vmm_main(struct boot_info *info) __attribute__((noreturn));

/* boot/ asks the VMM for the words of its configuration. */
extern const struct config_names vmm_config_names;

#endif
