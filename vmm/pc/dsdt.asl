/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's devices that it cannot find by itself. Compiled into dsdt.h, which is committed:
 *
 *	tools/dsdt-header vmm/pc/dsdt.asl > vmm/pc/dsdt.h
 *
 * Processors are left out on purpose: the MADT lists them, and objects for them would only bring in
 * Linux's ACPI idle driver. The PCI bus is in ssdt_pci.asl: where nothing is plugged in, no bus is
 * worth a scan.
 */
DefinitionBlock ("", "DSDT", 2, "LINTEL", "LINTELVM", 1)
{
	/* Soft off: SLP_TYP is VACPI_S5_TYPE of vacpi_pm.h. */
	Name (\_S5, Package (4) { 5, 5, 0, 0 })

	Scope (\_SB)
	{
		Device (COM1)
		{
			Name (_HID, EisaId ("PNP0501"))
			Name (_UID, 1)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x03F8, 0x03F8, 1, 8)
				IRQNoFlags () { 4 }
			})
		}

		Device (RTC)
		{
			Name (_HID, EisaId ("PNP0B00"))
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x0070, 0x0070, 1, 2)
				IRQNoFlags () { 8 }
			})
		}
	}
}
