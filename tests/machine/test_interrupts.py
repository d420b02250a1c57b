# SPDX-License-Identifier: BSD-2-Clause
"""How interrupts get into guests (docs/vt-x.md): by software, by virtual-interrupt delivery in the quiet arrangement, by posted interrupts.

Not claimed, because Bochs gets it wrong (its virtual interrupts are delivered with IF = 0 when a physical one comes, and lost when their
delivery exits; an empty notification delivers vector 255; HLT and an entry in HLT do not see them): several vectors posted at once to a
guest with interrupts off, exits in mid-delivery, and a Linux boot outside the quiet arrangement. A real processor would run these.
"""

import re

import pytest
from lablib.machine import boot
from support.esp import linux, make_esp
from support.exits import Report, report_of
from support.linux_checks import check_exits, check_usable
from support.micro import SECONDS, Guest, ends, failures, lay_out
from support.shell import Shell

INDEPENDENT = True

QUIET = "interrupts = quiet"
IPIS = 500  # that guests/micro/posted.c sends


def features(log: str, title: str) -> set[str]:
    """The names in one line of Lintel's feature report."""
    found = re.search(rf"^lintel: vmx: {title}: (.*)$", log, re.MULTILINE)
    return set(found[1].split(", ")) if found else set()


def run(name: str, guests: list[Guest], lintel: str, cpus: int = 1) -> str:
    """One boot with these guests, all of whose claims hold: the log."""
    with boot(esp=str(lay_out(name, guests, lintel)), machine="bochs", name=f"test-{name}", cpus=cpus) as m:
        m.wait_poweroff(timeout=SECONDS)
        log = m.log_text()
    bad = {vm: end for vm, end in ends(log).items() if end != "debug-exit 0x0"}
    assert not bad, (bad, [line for guest in guests for line in failures(log, guest.image)])
    assert set(ends(log)) == {guest.vm for guest in guests}
    return log


def alone(*guests: tuple[str, str]) -> list[Guest]:
    """One after the other: each has the CPU to itself."""
    return [Guest(image, image, f"{cmdline} after={i}".strip() if i else cmdline) for i, (image, cmdline) in enumerate(guests)]


def test_software():
    """NMIs, and every place where an interrupt is taken, with injection by software: what Bochs' erratum chooses."""
    log = run("irq-software", alone(("nmi", ""), ("vid", "")), "")
    assert "vid" in features(log, "masked")
    assert report_of(log, "vid").of("interrupt window")
    assert report_of(log, "vid").of("APIC write"), "xAPIC writes need no decoding"


def test_software_chosen():
    """`interrupts = software` says so, and the processor's own delivery stays off even where errata are ignored."""
    log = run("irq-chosen", alone(("nmi", "")), "interrupts = software\nerrata-ignore = vid, posted-interrupts")
    assert {"vid", "posted-interrupts"} <= features(log, "masked")


def test_no_virtual_nmis():
    """Without virtual NMIs an NMI's handler is not interrupted by another one, and its end is noticed."""
    run("irq-no-virtual-nmis", [Guest("nmi", "nmi", "no-virtual-nmis")], "mask = virtual-nmis")


def check_quiet(log: str) -> None:
    """No EOI, self-IPI or TPR access was an exit; level-triggered interrupts' ends were: of their own kind, where the processor sees the EOI at all."""
    assert "vid" in features(log, "used") and "posted-interrupts" in features(log, "masked")
    for vm in ends(log):
        assert report_of(log, vm).of("TPR below threshold") == 0
    assert report_of(log, "irq").of("virtualized EOI") == (2 if "apic-accesses" in features(log, "used") else 0)


def test_quiet():
    """Virtual-interrupt delivery: the same claims as by software, and interrupts and their ends cost no exit."""
    log = run("irq-quiet", alone(("apic", ""), ("irq", ""), ("nmi", ""), ("vid", "vid")), QUIET)
    check_quiet(log)
    assert report_of(log, "vid").of("interrupt window") == 0


@pytest.mark.long
@pytest.mark.parametrize("mask", ["apic-accesses", "apic-registers", "x2apic-mode", "virtual-nmis", "apic-accesses, apic-registers, x2apic-mode"])
def test_quiet_without(mask):
    """Virtual-interrupt delivery without what goes with it: registers that are not virtualized exit, and the processor's state follows."""
    nmi = "no-virtual-nmis" if "nmis" in mask else ""
    check_quiet(run(f"irq-quiet-without-{mask.replace(', ', '-')}", alone(("apic", ""), ("irq", ""), ("nmi", nmi), ("vid", "")), f"{QUIET}\nmask = {mask}"))


def test_quiet_needs_the_preemption_timer():
    """Where nothing would end a guest that holds interrupts off, `quiet` is refused by name, and guests run all the same."""
    log = run("irq-not-quiet", alone(("vid", "")), f"{QUIET}\nmask = preemption-timer")
    assert "interrupts = quiet: needs vid and preemption-timer" in log
    assert "vid" not in features(log, "used")


def posted(name: str, lintel: str) -> Report:
    """The exits of two vCPUs with CPUs of their own, one of which sends IPIs to the other. (A receiver that exits all the time, for its PAUSEs, loses one
    now and then in Bochs.)"""
    return report_of(run(f"irq-{name}", [Guest("posted", "posted", "", "cpus = 2\npin = 0-1")], lintel, cpus=2), "posted")


def test_posted():
    """An IPI to a running vCPU is the sender's one exit, and none of the receiver's; by software each costs it at least two."""
    by_processor, by_software = posted("posted", "errata-ignore = vid, posted-interrupts"), posted("not-posted", "")
    assert IPIS <= by_processor.of("WRMSR") < IPIS + 50
    assert by_processor.of("external interrupt") + by_processor.of("interrupt window") < 20
    assert by_software.of("external interrupt") >= IPIS * 0.9
    assert by_software.of("WRMSR") >= 2 * IPIS


def quiet_linux(vcpus: int, cpus: int) -> Report:
    """Linux to its shell and back."""
    name = f"quiet-linux-{vcpus}-{cpus}"
    with boot(esp=make_esp(name, f"[lintel]\n{QUIET}\n" + linux(more=f"cpus = {vcpus}")), name=f"test-{name}", machine="bochs", cpus=cpus) as machine:
        shell = Shell(machine).wait_ready()
        check_usable(shell)
        assert shell.output("nproc").strip() == str(vcpus)
        log = shell.poweroff()
    report = report_of(log, "debian")
    assert report.end == "poweroff"
    assert "vid" in features(log, "used")
    assert report.of("interrupt window") == report.of("TPR below threshold") == 0
    check_exits(report)
    return report


@pytest.mark.long
def test_quiet_linux():
    """Linux with two vCPUs by virtual-interrupt delivery, on one CPU."""
    quiet_linux(2, 1)


@pytest.mark.long
@pytest.mark.parametrize("vcpus, cpus", [(1, 1), (2, 2)])
def test_more_quiet_linux(vcpus, cpus):
    """The same with one vCPU, and with two on two CPUs."""
    quiet_linux(vcpus, cpus)
