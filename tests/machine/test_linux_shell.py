# SPDX-License-Identifier: BSD-2-Clause
"""The minimal configuration, Linux with a console alone, from the firmware to the power-off: one boot, used as a person would use it, from top to bottom."""

import hashlib
import random
import re
import time

import pytest
from lablib.machine import boot
from lablib.paths import REPOSITORY
from support.esp import make_esp
from support.exits import reports
from support.linux_checks import alarming, check_exits, check_paste, interrupts
from support.shell import PROMPT, READY, Shell

CONFIG = REPOSITORY / "guests/linux/minimal.conf"
LAB_EPOCH = 1000000000  # the lab's clock starts here (2001-09-09)


@pytest.fixture(scope="module")
def machine():
    """Lintel with the minimal configuration."""
    with boot(esp=make_esp("shell", CONFIG.read_text()), name="test-shell") as running:
        yield running


@pytest.fixture(scope="module")
def shell(machine):
    """The guest's shell."""
    return Shell(machine).wait_ready()


@pytest.fixture(scope="module")
def dmesg(shell):
    """The kernel's log after the boot, with levels."""
    return shell.output("dmesg -r")


def test_uname(shell):
    """The guest is the unmodified Debian kernel that the guest's recipe downloaded."""
    package = (REPOSITORY / "build/guests/linux.stamp").read_text().splitlines()[1]
    release = re.match(r"linux-image-([^_]*)_", package)[1]
    assert shell.output("uname -r").strip() == release


def test_cpuinfo(shell):
    """The guest sees one processor that says it is virtual, has x2APIC and the TSC-deadline timer, and offers neither VMX nor MONITOR."""
    text = shell.output("cat /proc/cpuinfo")
    assert re.findall(r"^processor\t: (\d+)$", text, re.MULTILINE) == ["0"]
    flags = set(re.search(r"^flags\t+: (.*)$", text, re.MULTILINE)[1].split())
    assert {"hypervisor", "x2apic", "tsc_deadline_timer", "constant_tsc", "lm", "nx"} <= flags
    assert not flags & {"vmx", "monitor", "smx", "sgx"}


def test_memory(shell):
    """The guest has the 256 MiB that the configuration gives it, less what the kernel itself takes."""
    total = int(re.search(r"MemTotal: +(\d+) kB", shell.output("cat /proc/meminfo"))[1])
    assert 200 << 10 < total <= 256 << 10


def test_dmesg_has_no_complaint(dmesg):
    """The kernel logs no warning, BUG, unstable clock or lockup during the boot."""
    assert "Linux version" in dmesg
    assert alarming(dmesg) == []


def test_alarming_lines_are_found():
    """The search that the last test relies on finds what it is to find."""
    bad = [
        "<4>[    1.0] clocksource: timekeeping watchdog on CPU0: Marking clocksource 'tsc' as unstable because the skew is too large:",
        "<6>[    1.0] watchdog: BUG: soft lockup - CPU#0 stuck for 22s!",
        "<6>[    1.0] WARNING: CPU: 0 PID: 1 at kernel/foo.c:1",
        "<3>[    1.0] unchecked MSR access error: RDMSR from 0x123",
    ]
    assert alarming("\n".join(bad + ["<6>[    1.0] fine"])) == bad


def test_nothing_was_calibrated(shell, dmesg):
    """Lintel tells the frequencies: the kernel took the TSC's as known, as its clock, and calibrated no delay loop."""
    assert "clocksource: Switched to clocksource tsc" in dmesg
    assert "Calibrating delay loop (skipped)" in dmesg
    assert not re.search(r"calibrat\w+ (?:using|failed)|refined TSC|Fast TSC", dmesg)
    assert shell.output("cat /sys/devices/system/clocksource/clocksource0/current_clocksource") == "tsc\n"


def test_x2apic_is_in_use(dmesg):
    """The kernel has switched its APIC to x2APIC mode, and drives its timer by TSC deadline."""
    assert "x2apic enabled" in dmesg
    assert re.search(r"(?:Setting|Switched) APIC routing to \w+ x2apic", dmesg)
    assert "TSC deadline timer available" in dmesg


def test_interrupts_arrive(shell):
    """Console and timer interrupts are counted, and grow with use; there is no spurious one and no error."""
    first = interrupts(shell)
    shell.output("sleep 1")
    second = interrupts(shell)
    assert second["virtio0-input"] > first["virtio0-input"] > 0
    assert second["LOC"] > first["LOC"] > 0
    assert second["SPU"] == second["ERR"] == second["MIS"] == 0


def test_date(shell):
    """The guest's date is the machine's clock, and goes on in steps of a second."""
    seconds = int(shell.output("date +%s"))
    if shell.machine.kind == "bochs":
        assert LAB_EPOCH <= seconds < LAB_EPOCH + 86400
    else:
        assert abs(seconds - time.time()) < 86400
    shell.output("sleep 3")
    assert int(shell.output("date +%s")) >= seconds + 3


@pytest.mark.parametrize("length", [200, 800])
def test_long_line(shell, length):
    """A long typed line reaches the shell as it was typed."""
    text = "".join(random.Random(length).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=length))
    assert shell.output(f"echo {text}") == text + "\n"


def test_paste(shell):
    """20 KB pasted in one go lose no byte."""
    check_paste(shell)


def test_output(shell):
    """More than 100 KB printed in one go, in very short lines, lose no byte."""
    expected = "".join(f"{number}\n" for number in range(1, 19001))
    assert len(expected) > 100 << 10
    output = shell.output("seq 1 19000", timeout=120)
    assert hashlib.sha256(output.encode()).hexdigest() == hashlib.sha256(expected.encode()).hexdigest()


def test_binary_output(shell):
    """All byte values but the terminal's own come through: an octal dump here and there agree."""
    assert shell.output("for i in 1 2 3; do printf '\\001\\002\\033\\177\\176~'; done; echo") == "\x01\x02\x1b\x7f~~" * 3 + "\n"


def interrupt_sleep(shell, then: str = ""):
    """One Ctrl-C for `sleep 1000`, which has the terminal: what says so is the process that becomes it. Until the prompt is back."""
    shell.console.sendline(f"sh -c 'echo at\"\"work; exec sleep 1000'{then}")
    shell.console.expect_exact("atwork\r\n", timeout=60)
    shell.console.sendcontrol("c")
    shell.console.expect_exact(PROMPT, timeout=60)


def test_ctrl_c(shell):
    """Ctrl-C ends `sleep 1000` long before its time, with the status of SIGINT."""
    before = float(shell.output("cat /proc/uptime").split()[0])
    interrupt_sleep(shell, "; echo never''reached")
    assert "neverreached" not in shell.console.before
    assert float(shell.output("cat /proc/uptime").split()[0]) < before + 900
    interrupt_sleep(shell)
    shell.console.sendline("echo stat''us=$?")
    shell.console.expect(r"status=(\d+)\r\n")
    assert int(shell.console.match[1]) == 130
    shell.console.expect_exact(PROMPT)


def test_ctrl_d(shell):
    """Ctrl-D ends a program that reads the terminal, and at the prompt the shell itself, which init starts again."""
    shell.start("cat; echo cat''ended")
    shell.console.sendcontrol("d")
    shell.console.expect_exact("catended\r\n", timeout=60)
    shell.console.expect_exact(PROMPT)
    first = shell.output("echo $$")
    shell.console.sendcontrol("d")
    shell.console.expect_exact(PROMPT, timeout=60)
    assert shell.output("echo $$") != first


def test_exec_and_fork(shell):
    """A loop of 200 processes works, and the guest's CPU time goes to them and not to a storm of interrupts."""
    before = interrupts(shell)["LOC"]
    assert shell.output("i=0; while [ $i -lt 200 ]; do /bin/true || echo bad; i=$((i+1)); done; echo $i", timeout=120) == "200\n"
    assert interrupts(shell)["LOC"] - before < 100000


def test_no_stall_of_the_guests_time(shell):
    """After all this the clock is still the TSC, and the kernel's log still has no complaint."""
    assert shell.output("cat /sys/devices/system/clocksource/clocksource0/current_clocksource") == "tsc\n"
    assert alarming(shell.output("dmesg -r")) == []


def test_reboot(shell):
    """`reboot` ends the VM with "reset" and its report, and starts it again, to a shell that works as well."""
    shell.console.sendline("reboot")
    shell.console.expect(r"lintel: vm debian: stopped: reset\r?\n", timeout=60)
    shell.console.expect(r"lintel: vm debian: started: ", timeout=60)
    shell.console.expect(READY, timeout=300)
    shell.console.expect_exact(PROMPT)
    assert float(shell.output("cat /proc/uptime").split()[0]) < 120
    assert alarming(shell.output("dmesg -r")) == []
    assert shell.output("echo $((6 * 7))") == "42\n"
    assert shell.output("ls /tmp/paste 2>/dev/null || echo gone") == "gone\n"


def test_poweroff(shell):
    """`poweroff` ends the VM, prints its report, and switches the machine off."""
    log = shell.poweroff()
    assert [report.end for report in reports(log)] == ["reset", "poweroff"]
    assert log.rstrip().endswith("lintel: powering off")
    assert not re.search(r"lintel: (?:error|warning|panic)", log)


def test_report_adds_up(machine):
    """Both runs' tables of exits add up to the number that is announced, and name only what a Linux guest causes."""
    assert not machine.running(), "needs test_poweroff"
    for report in reports(machine.log_text()):
        check_exits(report)


def test_figures(machine):
    """No EPT violation in RAM (each one is a device's), no LAPIC MMIO access (x2APIC mode comes before the first that would be an exit), at most 10 PIT accesses."""
    assert not machine.running(), "needs test_poweroff"
    for report in reports(machine.log_text()):
        of_devices = sum(count for name, count in report.devices.items() if name.startswith("mmio"))
        assert report.of("EPT violation") == of_devices
        assert report.device("mmio lapic") == 0
        assert report.device("port pit") + report.device("port pit-control") <= 10
        assert report.device("port com1") > 0, "the devices are not counted"


def test_second_run_is_as_good(machine):
    """The run after the reboot, which did little but boot and power off, took fewer exits than the first: nothing is left over that costs."""
    assert not machine.running(), "needs test_poweroff"
    first, second = reports(machine.log_text())
    assert second.total < first.total
