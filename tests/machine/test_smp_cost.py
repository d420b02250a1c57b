# SPDX-License-Identifier: BSD-2-Clause
"""What ticks, wake-ups, interrupts, IPIs and computing VMs cost in exits, in Bochs with one CPU: numbers, and the limits that they keep.

The limits are what this version reaches, rounded up; docs/performance.md says what they mean."""

import re

import pytest
from lablib.machine import boot
from support.exits import Report, report_of
from support.micro import Guest, ends, lay_out

COUNT = 4000
SECONDS = 600
# Reasons that belong to the thing that is counted, and not to the guest's start and its messages.
COUNTED = {"external interrupt", "interrupt window", "HLT", "WRMSR", "VMCALL", "preemption timer", "TPR below threshold", "PAUSE", "NMI window", "virtualized EOI", "APIC write"}
# How often a running vCPU comes out whatever it does: LOOK_HZ of vmm/run/run.c, 100 a second, for each tick of 250 us.
LOOKS = 0.03

# name: (work, vCPUs, most exits for each)
WORKS = {
    "tick": ("tick", 1, 3 + LOOKS),  # WRMSR of the deadline, preemption timer, EOI
    "tick-pv-eoi": ("tick pv-eoi", 1, 2 + LOOKS),
    "tick-periodic-pv-eoi": ("tick-periodic pv-eoi", 1, 1 + LOOKS),
    "wakeup-pv-eoi": ("idle pv-eoi", 1, 2),  # WRMSR of the deadline, HLT
    "wakeup-periodic": ("idle-periodic", 1, 2),
    "wakeup-periodic-pv-eoi": ("idle-periodic pv-eoi", 1, 1),
    "interrupt": ("interrupt", 1, 2),  # the exit that makes it, and its EOI
    "interrupt-pv-eoi": ("interrupt pv-eoi", 1, 1),
    "ipi": ("ipi", 2, 1),  # the sender's; WRMSR
}
# The guests' own share of the CPU while their vCPUs compute: at least.
SHARE = {1: 0.998, 4: 0.997}
SLACK = 0.06  # the guest's start, and how it waits for its turn


def counted(report: Report) -> int:
    """The exits that count."""
    return sum(number for reason, number in report.exits.items() if reason in COUNTED)


def computed(log: str) -> list[float]:
    """Of each guest that has computed: its share."""
    return [int(work) / int(ticks) for work, ticks in re.findall(r"^smpcost: computed (\d+) in (\d+) ticks$", log, re.MULTILINE)]


@pytest.fixture(scope="module")
def log():
    """One after the other: each has the CPU to itself."""
    guests = []
    for name, (work, vcpus, _) in WORKS.items():
        guests.append(Guest(name, "smpcost", f"work={work} n={COUNT} after={3 * len(guests)}", f"cpus = {vcpus}"))
    for vcpus in SHARE:
        guests.append(Guest(f"compute-{vcpus}", "smpcost", f"work=compute n=4000 after={3 * len(guests) + vcpus}", f"cpus = {vcpus}"))
    with boot(esp=str(lay_out("smp-cost", guests)), machine="bochs", name="test-smp-cost") as m:
        m.wait_poweroff(timeout=SECONDS)
        text = m.log_text()
    assert set(ends(text).values()) == {"debug-exit 0x0"}
    return text


@pytest.mark.parametrize("name", WORKS)
def test_exits(log, name):
    """Exits for each tick, wake-up, interrupt, IPI: no more than the limit, and no fewer than there must be."""
    most = WORKS[name][2]
    each = counted(report_of(log, name)) / COUNT
    print(f"{name}: {each:.3f} exits each, limit {most}")
    assert most - 1 <= each <= most + SLACK


@pytest.mark.parametrize("vcpus", SHARE)
def test_computing(log, vcpus):
    """A VM that computes on one CPU has it nearly for itself, also with four vCPUs that take turns."""
    share = computed(log)[list(SHARE).index(vcpus)]
    print(f"1 VM x {vcpus} vCPUs: {100 * (1 - share):.3f} % is not the guest's")
    assert share >= SHARE[vcpus]


@pytest.mark.long
@pytest.mark.parametrize("vcpus, most", [(2, 0.005), (4, 0.007)])
def test_computing_vms(vcpus, most):
    """Four VMs that compute on one CPU have it nearly for themselves, each a quarter."""
    # They end one after the other, so that each is shown when it says what it has computed; half of their time is measured, and all of them compute then. At first Lintel still polls the
    # disk that it has loaded them from, some thousand times a second: that must not be part of what they find their work to take.
    guests = [Guest(f"vm{number}", "smpcost", f"work=compute after=5 n={20000 + 1500 * number}", f"cpus = {vcpus}") for number in range(4)]
    with boot(esp=str(lay_out(f"smp-compute-{vcpus}", guests)), machine="bochs", name=f"test-smp-compute-{vcpus}") as m:
        m.wait_poweroff(timeout=1200)
        text = m.log_text()
    shares = computed(text)
    print(f"4 VMs x {vcpus} vCPUs: shares {shares}, {100 * (1 - sum(shares)):.3f} % is not the guests'")
    assert len(shares) == 4 and all(0.2375 < share < 0.2625 for share in shares)
    assert 1 - most <= sum(shares) <= 1
