# SPDX-License-Identifier: BSD-2-Clause
"""The paravirtual interface that Linux knows from KVM: all of it by micro-guests, and a stock Linux that uses it, or cannot."""

import re

import pytest
from lablib.machine import boot
from support.esp import CMDLINE, linux, make_esp
from support.exits import report_of
from support.linux_checks import alarming
from support.micro import SECONDS, Guest, ends, failures, lay_out
from support.shell import READY, Shell

TICKS, BROADCASTS, OTHERS = 500, 100, 3  # guests/micro/pvcost.c, with four vCPUs

CLAIMS = [
    Guest("pv", "pv", "processors=1", "cpus = 2"),
    Guest("pinned", "pv", "after=9 pinned", "pin = 1"),  # the last to end: then the others get its processor
    Guest("native", "pvcost", "", f"cpus = {1 + OTHERS}"),
    Guest("cheap", "pvcost", "pv", f"cpus = {1 + OTHERS}"),
]


def run(name: str, guests: list[Guest], cpus: int, seconds: int = SECONDS) -> str:
    """One boot of these VMs, to their end: the log."""
    with boot(esp=str(lay_out(name, guests)), machine="bochs", name=name, cpus=cpus) as m:
        for _ in guests:
            m.console.expect(r"lintel: vm (\S+): stopped: ", timeout=seconds)
        m.wait_poweroff(timeout=60)
        return m.log_text()


@pytest.fixture(name="log", scope="module")
def fixture_log():
    """The micro-guests beside each other: one with a processor to itself, the others share one."""
    return run("pv-micro", CLAIMS, 2)


@pytest.mark.parametrize("guest", CLAIMS, ids=lambda guest: guest.vm)
def test_claims(log, guest):
    """Every claim of guests/micro/pv.c and pvcost.c holds."""
    assert ends(log)[guest.vm] == "debug-exit 0x0", failures(log, guest.image)


def test_exits(log):
    """EOIs by memory: two exits a tick of the timer, not three. One hypercall: one exit for an interrupt to three vCPUs, not six."""
    native, cheap = report_of(log, "native"), report_of(log, "cheap")
    interrupts = BROADCASTS * OTHERS
    print("WRMSR without:", native.of("WRMSR"), "with:", cheap.of("WRMSR"), "VMCALL with:", cheap.of("VMCALL"))
    assert native.of("WRMSR") >= 2 * TICKS + 2 * interrupts
    assert native.of("VMCALL") == 0
    # What is left is to arm the timer, and what the guest needs to start; an EOI by the register only where one interrupt waited for another.
    assert TICKS <= cheap.of("WRMSR") <= TICKS * 1.15
    assert cheap.of("VMCALL") == BROADCASTS


def clocks(seconds: int) -> list[Guest]:
    """Four VMs that keep time; two of them never rest."""
    return [Guest(f"clock-{n}", "clock", f"{'busy ' if n % 2 else ''}seconds={seconds}", "cpus = 2" if n else "cpus = 3") for n in range(4)]


def check_clocks(name: str, seconds: int, cpus: int, limit: int) -> None:
    """All four agree with the VMM's time to 0.01 %, lose no tick, and none of their nine vCPUs sees its clock go back."""
    log = run(name, clocks(seconds), cpus, limit)
    print("\n".join(re.findall(r"^clock: .*", log, re.MULTILINE)))
    assert ends(log) == {guest.vm: "debug-exit 0x0" for guest in clocks(seconds)}, failures(log, "clock")


def test_clocks():
    """Five seconds on two processors, between which vCPUs move."""
    check_clocks("pv-clocks", 5, 2, SECONDS)


@pytest.mark.long
@pytest.mark.parametrize("cpus", [1, 2])
def test_clocks_for_a_minute(cpus):
    """Sixty seconds of guest time."""
    check_clocks(f"pv-minute-{cpus}", 60, cpus, 1800)


# --- Linux ---


@pytest.fixture(scope="module", name="shell")
def fixture_shell():
    """A guest with two vCPUs that share one processor, and one that cannot see the interface."""
    config = linux(more="cpus = 2") + linux("plain", cmdline=CMDLINE, more="hide = pv")
    with boot(esp=make_esp("pv-linux", config), name="pv-linux") as machine:
        yield Shell(machine).wait_ready(600)


def test_linux_uses_it(shell):
    """The kernel finds the clock, steal time, hypercalls for IPIs and for spinlocks, and TLB flushes for vCPUs that have no processor; and keeps the x2APIC."""
    dmesg = shell.output("dmesg")
    for line in (
        "Hypervisor detected: KVM",
        "kvm-clock: Using msrs 4b564d01 and 4b564d00",
        "kvm-guest: KVM setup pv remote TLB flush",
        "kvm-guest: setup PV sched yield",
        "kvm-guest: PV spinlocks enabled",
        "kvm-guest: setup PV IPIs",
        "x2apic enabled",
    ):
        assert line in dmesg
    assert alarming(shell.output("dmesg -r")) == []
    assert "kvm-clock" in shell.output("cat /sys/devices/system/clocksource/clocksource0/available_clocksource").split()


def steal(shell: Shell) -> list[int]:
    """Hundredths of a second that each CPU had no processor."""
    return [int(line.split()[8]) for line in re.findall(r"^cpu\d.*", shell.output("cat /proc/stat"), re.MULTILINE)]


def busy(shell: Shell) -> None:
    """A second of work on both CPUs."""
    shell.output("for c in 0 1; do timeout 2 taskset -c $c sh -c 'while :; do :; done' & done; wait", timeout=300)


def test_steal_time(shell):
    """With both vCPUs busy on one processor, Linux accounts a good part of their time as stolen."""
    before = steal(shell)
    busy(shell)
    after = steal(shell)
    assert len(after) == 2
    stolen = [b - a for a, b in zip(before, after)]
    assert sum(stolen) > 80, stolen  # of 200 hundredths, twice; the other VM may be idle
    assert all(0 <= part < 400 for part in stolen), stolen


def test_steal_time_after_hotplug(shell):
    """A CPU that is taken off and on again goes on with its steal time: no jump, no way back."""
    before = steal(shell)
    for _ in range(2):
        shell.output("echo 0 > /sys/devices/system/cpu/cpu1/online; echo 1 > /sys/devices/system/cpu/cpu1/online", timeout=120)
    busy(shell)
    after = steal(shell)
    assert len(after) == 2
    assert all(0 <= b - a < 600 for a, b in zip(before, after)), (before, after)
    assert alarming(shell.output("dmesg -r")) == []


def test_clock_is_the_machines(shell):
    """As a clock source of its own, too, kvm-clock keeps the pace of the RTC over ten seconds."""
    shell.output("echo kvm-clock > /sys/devices/system/clocksource/clocksource0/current_clocksource")
    assert shell.output("cat /sys/devices/system/clocksource/clocksource0/current_clocksource") == "kvm-clock\n"
    command = "a=$(cat /sys/class/rtc/rtc0/since_epoch); u=$(cut -d. -f1 /proc/uptime); echo $((a - u))"
    first = int(shell.output(command))
    shell.output("sleep 10", timeout=120)
    assert abs(int(shell.output(command)) - first) <= 1
    shell.output("echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource")


def test_hidden(shell):
    """With `hide = pv` Linux finds no hypervisor, and works."""
    shell.console.send("\x01n")
    shell.console.expect("lintel: console of vm plain", timeout=60)
    shell.console.sendline("")
    shell.console.expect(f"{READY}|debian# ", timeout=600)
    shell.quiet()
    dmesg = shell.output("dmesg")
    assert "Linux version" in dmesg
    assert not re.search(r"(?i)hypervisor detected|kvm", dmesg)
    # Without a hypervisor it looks for the microcode that this processor would need for its deadline timer.
    assert [line for line in alarming(shell.output("dmesg -r")) if "TSC_DEADLINE disabled due to Errata" not in line] == []
    shell.console.sendline("poweroff")
    shell.console.expect(r"lintel: vm plain: stopped: poweroff", timeout=120)
