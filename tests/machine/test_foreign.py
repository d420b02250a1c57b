# SPDX-License-Identifier: BSD-2-Clause
"""What people boot besides the default guest: other kernels, other command lines, every way to reboot, kexec and kdump, Xen and memtest86+. docs/guests.md has them as a table."""

import gzip
import re

import pytest
from lablib.machine import boot
from support.esp import CMDLINE_UART, GUESTS, linux, make_esp
from support.exits import report_of, reports
from support.linux_checks import alarming, check_exits, check_usable
from support.packages import archive, kernel, release, unpacked
from support.shell import PROMPT, READY, Shell

INDEPENDENT = True
pytestmark = pytest.mark.long

BOOT_SECONDS = 600
KERNELS = {"6.12": ("6.12-cloud-amd64", ""), "6.12-full": ("6.12-amd64", ""), "newest": ("cloud-amd64", "sid")}


@pytest.mark.parametrize("name", KERNELS)
def test_kernel(name):
    """Newer kernels of Debian's than its stable release has."""
    guests = kernel(*KERNELS[name])
    with boot(esp=make_esp(f"foreign-{name}", linux(memory="512M"), guests=guests), name=f"test-foreign-{name}") as machine:
        shell = Shell(machine).wait_ready(BOOT_SECONDS)
        check_usable(shell)
        assert shell.output("uname -r").strip() == release(guests)
        report = report_of(shell.poweroff(), "debian")
    assert report.end == "poweroff"
    check_exits(report)


# What Linux says when it is told so: no more than that it was.
EXPECTED = r"MPS support code is not built-in|ACPI: setting ELCR|boot CPU \(#0\) not listed by the BIOS|due to boot parameter notsc|No config space access function|System does not support PCI"


@pytest.mark.parametrize("words", ["acpi=off", "acpi=noirq", "nolapic", "noapic", "pci=off", "nox2apic", "hpet=disable notsc", "clocksource=acpi_pm", "nopti nosmep nosmap"])
def test_command_line(words):
    """A kernel that is told to do without a part of the machine comes up all the same, and time goes on."""
    name = "foreign-" + re.sub(r"\W+", "-", words)
    with boot(esp=make_esp(name, linux(cmdline=f"{CMDLINE_UART} {words}", more="console = uart")), name=f"test-{name}") as machine:
        shell = Shell(machine).wait_ready(BOOT_SECONDS)
        bad = [line for line in alarming(shell.output("dmesg -r")) if not re.search(EXPECTED, line)]
        assert bad == []
        shell.output("sleep 1")
        # Without ACPI there is no power to switch off: Linux halts.
        shell.console.send("\x01x")
        machine.wait_poweroff(60)


def test_rtcwake():
    """A guest that sleeps (suspend to idle) is woken by the alarm of its clock, through ACPI's fixed hardware."""
    with boot(esp=make_esp("foreign-rtcwake", linux()), name="test-foreign-rtcwake") as machine:
        shell = Shell(machine).wait_ready(BOOT_SECONDS)
        shell.output("echo +5 > /sys/class/rtc/rtc0/wakealarm && echo freeze > /sys/power/state", 120)
        assert "PM: suspend exit" in shell.output("dmesg")
        shell.output("sleep 1")
        shell.poweroff()


def test_reboot_types():
    """Each way in which Linux resets a PC resets the VM, and it comes up again: by ACPI's register, the keyboard controller, port CF9H, a triple fault, and the jump to the BIOS."""
    kinds = ["acpi", "kbd", "pci", "triple", "bios"]
    with boot(esp=make_esp("foreign-reboot", linux(more="on-triple-fault = reset")), name="test-foreign-reboot") as machine:
        shell = Shell(machine).wait_ready(BOOT_SECONDS)
        for kind in kinds:
            shell.output(f"echo {kind} > /sys/kernel/reboot/type && grep -q {kind} /sys/kernel/reboot/type")
            shell.console.sendline("reboot -f")
            shell.console.expect(r"lintel: vm debian: stopped: reset[^\r\n]*", timeout=120)
            shell.console.expect(READY, timeout=BOOT_SECONDS)
            shell.console.expect_exact(PROMPT, timeout=60)
        log = shell.poweroff()
    ends = [report.end for report in reports(log)]
    assert len(ends) == len(kinds) + 1 and ends[-1] == "poweroff" and all(end.startswith("reset") for end in ends[:-1])


def kexec_initrd(name: str) -> bytes:
    """The guest's initrd with kexec, and with the kernel and the initrd that it is to load."""
    tools = unpacked("kexec", "sbin/kexec", "kexec-tools")
    return (GUESTS / "initrd.img").read_bytes() + archive(name, {"boot/vmlinuz": GUESTS / "vmlinuz", "boot/initrd.img": GUESTS / "initrd.img"}, (tools, "sbin/kexec"))


def test_kexec():
    """A kernel that Linux itself loads takes over from it, twice: the paravirtual clock, the virtio devices, the APIC and two CPUs work again."""
    files = {"with-kexec.img": kexec_initrd("kexec")}
    config = linux(memory="512M", more="cpus = 2").replace("initrd.img", "with-kexec.img")
    with boot(esp=make_esp("foreign-kexec", config, files), name="test-foreign-kexec", cpus=2) as machine:
        shell = Shell(machine).wait_ready(BOOT_SECONDS)
        shell.output("kexec -s -l /boot/vmlinuz --initrd=/boot/initrd.img --reuse-cmdline --append=again", 300)
        shell.start("kexec -e")
        shell.wait_ready(BOOT_SECONDS)
        assert "again" in shell.output("cat /proc/cmdline").split() and shell.output("nproc") == "2\n"
        check_usable(shell)
        log = shell.poweroff()
    assert [report.end for report in reports(log)] == ["poweroff"]


def test_kdump():
    """A kernel that panics is followed by the one that waits for that, in the memory set aside; the dead one's memory is there to be saved."""
    files = {"with-kexec.img": kexec_initrd("kdump")}
    config = linux(memory="512M").replace("initrd.img", "with-kexec.img").replace("quiet", "quiet crashkernel=160M")
    with boot(esp=make_esp("foreign-kdump", config, files), name="test-foreign-kdump") as machine:
        shell = Shell(machine).wait_ready(BOOT_SECONDS)
        shell.output("kexec -s -p /boot/vmlinuz --initrd=/boot/initrd.img --reuse-cmdline --append=dumping", 300)
        shell.start("echo c > /proc/sysrq-trigger")
        shell.wait_ready(BOOT_SECONDS)
        assert "dumping" in shell.output("cat /proc/cmdline").split()
        assert shell.output("head -c 4 /proc/vmcore | tail -c 3") == "ELF"
        assert int(shell.output("stat -c %s /proc/vmcore")) > 256 << 20
        log = shell.poweroff()
    assert [report.end for report in reports(log)] == ["poweroff"]


def test_memtest():
    """memtest86+ finds the VM's memory and tests it."""
    root = unpacked("memtest", "boot/memtest86+x64.bin", "memtest86+")
    config = "[vm memtest]\nmemory = 64M\nkernel = memtest\ncmdline = console=ttyS0,115200\n"
    with boot(esp=make_esp("foreign-memtest", config, {"memtest": root / "boot/memtest86+x64.bin"}), name="test-foreign-memtest") as machine:
        machine.console.expect(r"Memtest86\+", timeout=300)
        machine.console.expect(r"Pass +\d+%|Test #\d+|\[Moving inversions", timeout=300)
        machine.console.send("\x01x")
        machine.wait_poweroff(60)


def test_xen():
    """Xen starts as a Multiboot image with a Linux and its initrd as modules: it finds memory, ACPI and the APICs, builds its first domain, whose shell works, and switches the VM off."""
    root, guests = unpacked("xen", "boot/xen-4.17-amd64.gz", "xen-hypervisor-4.17-amd64"), kernel("amd64")
    modules = "module = dom0 console=hvc0 quiet rdinit=/init\nmodule = dom0.img\n"
    config = f"[vm xen]\nmemory = 640M\nkernel = xen\nconsole = uart\ncmdline = xen console=com1 com1=115200,8n1 loglvl=all noreboot\n{modules}"
    files = {"xen": gzip.decompress((root / "boot/xen-4.17-amd64.gz").read_bytes()), "dom0": guests / "vmlinux", "dom0.img": guests / "initrd.img"}
    with boot(esp=make_esp("foreign-xen", config, files), name="test-foreign-xen") as machine:
        machine.console.expect(r"\(XEN\) Xen version 4\.17", timeout=BOOT_SECONDS)
        machine.console.expect(r"\(XEN\) \*\*\* Building a PV Dom0 \*\*\*", timeout=BOOT_SECONDS)
        shell = Shell(machine).wait_ready(BOOT_SECONDS)
        # Xen's own console makes CR LF of what is CR LF already.
        shell.console.sendline("cat /sys/hypervisor/type")
        shell.console.expect(r"type\r+\nxen\r+\n", timeout=120)
        log = shell.poweroff(300)
    assert report_of(log, "xen").end == "poweroff"
