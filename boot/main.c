/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The UEFI application: collects what the VMM needs to know while there is a firmware to ask, ends
 * the firmware, and hands over.
 */
#include "boot/config.h"
#include "boot/efi.h"
#include "boot/handover.h"
#include "boot/images.h"
#include "boot/messages.h"
#include "boot/platform.h"
#include "boot/volume.h"
#include "lib/printk.h"
#include "lib/version.h"
#include "lib/x86.h"
#include "vmm/boot_info.h"

EFI_HANDLE efi_image;
EFI_SYSTEM_TABLE *efi;

static struct boot_info info;
static u8 stack[KIB(64)] __attribute__((aligned(16)));

/* boot/lintel.lds */
extern u8 image_text[], image_text_end[];
extern u8 image_rodata[], image_rodata_end[];
extern u8 image_data[], image_data_end[];

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

static struct boot_image image_bounds(void)
{
	return (struct boot_image){
		.text = (hpa_t)image_text,
		.text_end = (hpa_t)image_text_end,
		.rodata = (hpa_t)image_rodata,
		.rodata_end = (hpa_t)image_rodata_end,
		.data = (hpa_t)image_data,
		.data_end = (hpa_t)image_data_end,
	};
}

/* The guests' configuration and files. False when there is no lintel.conf to start from. */
static bool read_configuration(void)
{
	struct boot_file text = { NULL, 0 };
	const char *problem;

	if (!volume_open())
		return false;
	volume_partition(info.boot_part);
	problem = volume_read(NULL, CONFIG_FILE, CONFIG_MAX_SIZE, &text);
	if (problem) {
		pr_err(CONFIG_FILE ": %s\n", problem);
		return false;
	}
	config_parse(&info.config, (const char *)text.data, text.size, &vmm_config_names);
	volume_free(&text);
	messages_configure(&info);
	images_load(&info.config);
	return true;
}

static void __noreturn stop(void)
{
	messages_flush();
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* The firmware's stack is free memory by now: leave it. The frame of 0 ends a backtrace. */
static void __noreturn enter_vmm(void)
{
	__asm__ volatile("mov %0, %%rsp\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "call *%1\n\t"
			 "ud2"
			 :
			 : "r"(stack + sizeof(stack)), "r"(vmm_main), "D"(&info)
			 : "memory");
	__builtin_unreachable();
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	info.start_tsc = rdtsc();
	efi_image = image;
	efi = table;
	BS->SetWatchdogTimer(0, 0, 0, NULL); /* reading the files may take longer than it allows */
	info.image = image_bounds();
	info.fb = platform_framebuffer();
	messages_start(&info);
	pr_info("Lintel " LINTEL_VERSION ", a hypervisor on Intel VT-x\n");
	info.acpi_rsdp = platform_acpi_rsdp();
	info.secure_boot = platform_secure_boot();
	platform_firmware(info.firmware, sizeof(info.firmware));
	if (!read_configuration()) {
		messages_flush();
		return EFI_NOT_FOUND;
	}
	messages_leave_firmware();
	messages_flush();
	if (!handover_exit() || !handover_memory(&info))
		stop();
	enter_vmm();
}
