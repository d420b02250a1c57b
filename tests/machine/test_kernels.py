# SPDX-License-Identifier: BSD-2-Clause
"""The kernels that Debian ships, in both forms that Lintel loads."""

import os
import re
import subprocess

import pytest
from lablib.machine import boot
from lablib.paths import REPOSITORY
from support.esp import AMD64_GUESTS, CMDLINE, CMDLINE_UART, GUESTS, linux, make_esp
from support.exits import report_of
from support.linux_checks import check_exits, check_output, check_paste, check_usable
from support.shell import Shell

INDEPENDENT = True


def boot_kernel(name: str, kernel: str, guests=GUESTS, seconds: float = 300, check=check_usable, **section) -> str:
    """Boots it, uses it, switches it off; returns its release."""
    with boot(esp=make_esp(name, linux(kernel=kernel, **section), guests=guests), name=f"test-{name}") as machine:
        shell = Shell(machine).wait_ready(seconds)
        check(shell)
        release = shell.output("uname -r").strip()
        report = report_of(shell.poweroff(), "debian")
    assert report.end == "poweroff"
    check_exits(report)
    return release


def release_of(guests) -> str:
    """The release that the recipe downloaded."""
    return re.match(r"linux-image-([^_]*)_", (guests / "linux.stamp").read_text().splitlines()[1])[1]


@pytest.fixture(scope="session")
def amd64_guests():
    """Debian's kernel for all machines, made by the guest's own recipe."""
    AMD64_GUESTS.mkdir(parents=True, exist_ok=True)
    recipe = [str(REPOSITORY / "guests/linux/build"), str(AMD64_GUESTS)]
    run = subprocess.run(recipe, env={**os.environ, "FLAVOUR": "amd64"}, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return AMD64_GUESTS


def check_uart(shell: Shell) -> None:
    """On the serial port, with neither a PCI bus nor a virtio console."""
    check_usable(shell)
    assert shell.output("cat /sys/class/tty/console/active") == "ttyS0\n"
    assert shell.output("ls /sys/bus/pci/devices") == ""
    check_paste(shell)
    check_output(shell, 20)


# In `make test` a bzImage is booted by the machine `nested`: test_nested.py.
@pytest.mark.long
def test_bzimage():
    """The kernel as packaged, a bzImage that decompresses itself, boots to the shell; on the serial port, which loses no byte either."""
    assert boot_kernel("bzimage", "vmlinuz", check=check_uart, cmdline=CMDLINE_UART, more="console = uart") == release_of(GUESTS)


def check_pin(shell: Shell) -> None:
    """Without MSI-X the virtio console interrupts by its pin, which the I/O APIC has as a level."""
    check_usable(shell)
    assert re.search(r"IO-APIC +11-fasteoi +virtio0$", shell.output("cat /proc/interrupts"), re.MULTILINE)
    check_paste(shell)


@pytest.mark.long
def test_amd64_vmlinux(amd64_guests):
    """linux-image-amd64, Debian's kernel for all machines, decompressed beforehand, boots to the shell; with a virtio console that may not use MSI-X."""
    release = boot_kernel("amd64-vmlinux", "vmlinux", amd64_guests, check=check_pin, cmdline=f"{CMDLINE} pci=nomsi")
    assert release == release_of(amd64_guests) and "cloud" not in release


@pytest.mark.long
def test_amd64_bzimage(amd64_guests):
    """linux-image-amd64 as packaged boots: its XZ decompression alone is some four billion instructions."""
    assert boot_kernel("amd64-bzimage", "vmlinuz", amd64_guests, 1200, memory="512M") == release_of(amd64_guests)
