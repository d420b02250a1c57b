# SPDX-License-Identifier: BSD-2-Clause
"""The virtio console of Linux: it is what the default configuration uses, it loses nothing, and it is cheap. Goal: an exit for 16 bytes."""

import re

import pytest
from lablib.machine import boot
from support.esp import CMDLINE, linux, make_esp
from support.exits import report_of
from support.linux_checks import check_output, interrupts
from support.shell import BOOT_SECONDS, Shell

KILOBYTES = 200


@pytest.fixture(scope="module")
def machine():
    """One Linux."""
    with boot(esp=make_esp("virtio-console", linux()), name="test-virtio-console") as running:
        yield running


@pytest.fixture(scope="module")
def shell(machine):
    """Its shell."""
    return Shell(machine).wait_ready()


def test_hvc0_is_the_console(shell):
    """The shell runs on hvc0, which is /dev/console; the serial port is the console of what comes before, and nobody has it open."""
    assert shell.output("tty").strip() == "/dev/hvc0"
    assert shell.output("cat /sys/class/tty/console/active").split()[-1] == "hvc0"


def test_device(shell):
    """Linux finds the device on a PCI bus that it has nothing to move on, drives it with MSI-X, and notifies by the port."""
    assert shell.output("cat /sys/bus/virtio/devices/virtio0/status") == "0x0000000f\n"
    lines = shell.output("cat /proc/interrupts")
    for name in ("config", "input", "output"):
        assert re.search(rf"PCI-MSI.* virtio0-{name}$", lines, re.MULTILINE)
    assert not re.search(r"pci.*(?:can't claim|no space|failed to assign|BAR \d+: assigned)", shell.output("dmesg"))
    assert re.search(r"^ *c02[0-9a-f]-c02[0-9a-f] : virtio-pci-modern$", shell.output("cat /proc/ioports"), re.MULTILINE)


def test_long_output(shell):
    """200 KB of text arrive whole, and no interrupt tells the driver what it has seen by itself."""
    before = interrupts(shell)["virtio0-output"]
    check_output(shell, KILOBYTES)
    assert interrupts(shell)["virtio0-output"] - before <= 10


def test_exits(machine, shell):
    """All in all, with each key echoed by itself, there is an access to the device for 16 bytes or more: two for a line, one for a key."""
    start = machine.log_text().index(" started: ")
    log = shell.poweroff()
    report = report_of(log, "debian")
    printed = log.index(" stopped: poweroff") - start
    accesses = report.device("port virtio-console") + report.device("mmio virtio-console") + report.device("mmio msix")
    print(f"{accesses} accesses to the virtio console, {report.device('port com1')} to the serial port, {printed} bytes: {printed / accesses:.1f} bytes an exit")
    assert printed > KILOBYTES << 10
    assert accesses * 16 <= printed
    assert report.device("port com1") < 1000


def test_early_panic_is_seen():
    """A kernel that panics before there is an hvc0 says so, on the serial port that is a console for that; and little else."""
    cmdline = CMDLINE.replace("rdinit=/init", "rdinit=/none")
    with boot(esp=make_esp("early-panic", linux(cmdline=cmdline)), name="test-early-panic") as machine:
        machine.console.expect("Kernel panic - not syncing: .*", timeout=BOOT_SECONDS)
        log = machine.log_text()
    assert "Linux version" not in log[log.index(" started: ") :]
