# SPDX-License-Identifier: BSD-2-Clause
"""Small UEFI programs for testing the lab alone: each writes a text to COM1, then does one thing."""

import subprocess
from pathlib import Path

from lablib.paths import REPOSITORY

SOURCE = r"""
static void outb(unsigned short port, unsigned char value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static unsigned char inb(unsigned short port) { unsigned char value; __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port)); return value; }
static void say(const char *text)
{
	for (; *text; text++) {
		while (!(inb(0x3fd) & 0x20))
			;
		outb(0x3f8, (unsigned char)*text);
	}
	while (!(inb(0x3fd) & 0x40))
		;
}
static void off(void)
{
	__asm__ volatile("outw %0, %1" : : "a"((unsigned short)0x2000), "Nd"((unsigned short)PM1));
}
static void die(void)
{
	struct { unsigned short limit; unsigned long base; } __attribute__((packed)) none = { 0, 0 };
	__asm__ volatile("lidt %0; ud2" : : "m"(none));
}
static void hang(void) { for (;;) __asm__ volatile("cli; hlt"); }
static void echo(void)
{
	for (;;) {
		while (!(inb(0x3fd) & 1))
			;
		outb(0x3f8, inb(0x3f8));
	}
}
__attribute__((ms_abi)) long efi_main(void *image, void *table)
{
	(void)image, (void)table, (void)off, (void)die, (void)hang, (void)echo;
	say(TEXT);
	END();
	hang();
	return 0;
}
"""

# PM1a control of Bochs (i440fx) and of QEMU's q35.
PM1 = {"bochs": 0xB004, "tcg": 0x604}


def program(folder: Path, text: str, end: str, machine: str = "bochs") -> Path:
    """An ESP folder whose program prints `text`, then does `end`: off, die, hang or echo."""
    boot = folder / "EFI/BOOT"
    boot.mkdir(parents=True, exist_ok=True)
    escaped = text.replace("\\", "\\\\").replace("\n", "\\r\\n")
    defines = [f'-DTEXT="{escaped}"', f"-DEND={end}", f"-DPM1={PM1[machine]}"]
    flags = ["-O2", "-ffreestanding", "-fpie", "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-mno-red-zone", "-mgeneral-regs-only"]
    subprocess.run(["gcc", *flags, *defines, "-c", "-x", "c", "-", "-o", str(folder / "program.o")], input=SOURCE, text=True, check=True)
    link = ["-m", "i386pep", "-T", str(REPOSITORY / "boot/lintel.lds"), "--subsystem", "10", "--image-base", "0", "--dynamicbase", "--enable-reloc-section"]
    subprocess.run(["ld", *link, "-o", str(boot / "BOOTX64.EFI"), str(folder / "program.o")], check=True, capture_output=True)
    (folder / "program.o").unlink()
    return folder
