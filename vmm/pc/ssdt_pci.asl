/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PCI bus, for guests that have a device on it. Compiled into ssdt_pci.h, which is committed:
 *
 *	tools/dsdt-header vmm/pc/ssdt_pci.asl > vmm/pc/ssdt_pci.h
 *
 * Windows and lines are those of vmm/vm/virtio_slot.h. INTA of slot n is ISA line 10 or 11, which no
 * other device has, and which are the same with and without I/O APIC.
 */
DefinitionBlock ("", "SSDT", 2, "LINTEL", "LINTELVM", 1)
{
	Scope (\_SB)
	{
		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A03"))
			Name (_UID, 0)
			Name (_BBN, 0)

			Name (_CRS, ResourceTemplate ()
			{
				WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
					0, 0, 0, 0, 1)
				IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0, 0xC000, 0xCFFF, 0, 0x1000)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
					NonCacheable, ReadWrite,
					0, 0xE0000000, 0xEFFFFFFF, 0, 0x10000000)
			})

			Name (_PRT, Package ()
			{
				Package () { 0x0001FFFF, 0, 0, 11 },
				Package () { 0x0002FFFF, 0, 0, 10 },
				Package () { 0x0003FFFF, 0, 0, 11 },
				Package () { 0x0004FFFF, 0, 0, 10 },
				Package () { 0x0005FFFF, 0, 0, 11 },
				Package () { 0x0006FFFF, 0, 0, 10 },
				Package () { 0x0007FFFF, 0, 0, 11 },
				Package () { 0x0008FFFF, 0, 0, 10 },
				Package () { 0x0009FFFF, 0, 0, 11 },
				Package () { 0x000AFFFF, 0, 0, 10 },
				Package () { 0x000BFFFF, 0, 0, 11 },
				Package () { 0x000CFFFF, 0, 0, 10 },
				Package () { 0x000DFFFF, 0, 0, 11 },
				Package () { 0x000EFFFF, 0, 0, 10 },
				Package () { 0x000FFFFF, 0, 0, 11 },
				Package () { 0x0010FFFF, 0, 0, 10 },
			})
		}
	}
}
