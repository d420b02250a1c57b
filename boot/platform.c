/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/platform.h"
#include "boot/efi.h"
#include "lib/print.h"
#include "lib/string.h"

/* Where is the blue byte? False for a layout that is neither RGB nor BGR with 32 bits. */
static bool pixel_layout(const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *mode, bool *bgr)
{
	const EFI_PIXEL_BITMASK *mask = &mode->PixelInformation;
	u32 red = mask->RedMask, green = mask->GreenMask, blue = mask->BlueMask;

	switch (mode->PixelFormat) {
	case PixelRedGreenBlueReserved8BitPerColor: *bgr = false; return true;
	case PixelBlueGreenRedReserved8BitPerColor: *bgr = true; return true;
	case PixelBitMask:
		*bgr = blue == 0xff;
		return green == 0xff00 && (red | blue) == 0xff00ff && !(red & blue) &&
		       (red == 0xff || blue == 0xff);
	default: return false;
	}
}

struct boot_framebuffer platform_framebuffer(void)
{
	EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
	const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *mode;
	struct boot_framebuffer fb = { 0 }, none = { 0 };
	EFI_GRAPHICS_OUTPUT_PROTOCOL *gop;

	if (EFI_ERROR(BS->LocateProtocol(&guid, NULL, (void **)&gop)) || !gop->Mode ||
	    !gop->Mode->Info)
		return none;
	mode = gop->Mode->Info;
	fb.base = gop->Mode->FrameBufferBase;
	fb.size = gop->Mode->FrameBufferSize;
	fb.width = mode->HorizontalResolution;
	fb.height = mode->VerticalResolution;
	fb.stride = mode->PixelsPerScanLine;
	if (!pixel_layout(mode, &fb.bgr) || fb.stride < fb.width)
		return none;
	/* Some firmware gives a size that is too small for the mode. */
	fb.height = (u32)MIN(fb.height, fb.stride ? fb.size / 4 / fb.stride : 0);
	return fb.base && fb.width && fb.height ? fb : none;
}

static hpa_t configuration_table(EFI_GUID guid)
{
	for (UINTN i = 0; i < efi->NumberOfTableEntries; i++) {
		const EFI_CONFIGURATION_TABLE *t = &efi->ConfigurationTable[i];

		if (!memcmp(&t->VendorGuid, &guid, sizeof(guid)))
			return (hpa_t)t->VendorTable;
	}
	return 0;
}

hpa_t platform_acpi_rsdp(void)
{
	hpa_t rsdp = configuration_table((EFI_GUID)ACPI_20_TABLE_GUID);

	return rsdp ? rsdp : configuration_table((EFI_GUID)ACPI_TABLE_GUID);
}

static u8 global_byte(CHAR16 *name)
{
	EFI_GUID guid = EFI_GLOBAL_VARIABLE;
	UINTN size = 1;
	u8 value = 0;

	if (EFI_ERROR(RT->GetVariable(name, &guid, NULL, &size, &value)) || size != 1)
		return 0;
	return value;
}

bool platform_secure_boot(void)
{
	return global_byte(EFI_STRING("SecureBoot")) && !global_byte(EFI_STRING("SetupMode"));
}

/* UTF-16 becomes ASCII: what is none is left out. */
void platform_firmware(char *text, size_t size)
{
	char revision[12];
	size_t room, len = 0;

	room = size - 1 - scnprintf(revision, sizeof(revision), " 0x%x", efi->FirmwareRevision);
	for (const CHAR16 *c = efi->FirmwareVendor; c && *c && len < room; c++) {
		if (*c >= ' ' && *c < 0x7f)
			text[len++] = (char)*c;
	}
	str_copy(text + len, revision, size - len);
}
