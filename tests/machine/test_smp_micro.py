# SPDX-License-Identifier: BSD-2-Clause
"""Micro-guests with several CPUs (guests/micro/README.md): IPIs, INIT and SIPI, timers, storms, shared memory, on fewer and on more physical CPUs."""

import re
from dataclasses import dataclass, field

import pytest
from lablib.machine import boot
from support.micro import Guest, ends, failures, lay_out

INDEPENDENT = True

HASWELL = "corei7_haswell_4770"
SECONDS = 900


@dataclass
class Arrangement:
    """A machine, and what its VMs are given."""

    cpus: int
    vcpus: list[int]
    lintel: str = ""
    more: str = ""
    cmdline: str = "shared"
    machine: dict[str, str] = field(default_factory=dict)
    images: tuple[str, ...] = ("ipi", "lifecycle", "timers", "storm", "smpwitness")

    def guests(self) -> list[Guest]:
        """A VM for each guest and number of vCPUs."""
        return [Guest(f"{image}-{n}", image, self.cmdline, f"cpus = {n}\n{self.more}") for n in self.vcpus for image in self.images]


def check(name: str, arrangement: Arrangement) -> str:
    """All its guests beside each other, each with every claim; the log."""
    guests = arrangement.guests()
    esp = lay_out(f"smp-{name}", guests, arrangement.lintel)
    with boot(esp=str(esp), machine="bochs", name=f"test-smp-{name}", cpus=arrangement.cpus, **arrangement.machine) as m:
        m.wait_poweroff(timeout=SECONDS)
        log = m.log_text()
    bad = {vm: end for vm, end in ends(log).items() if end != "debug-exit 0x0"}
    assert not bad, (bad, [line for image in arrangement.images for line in failures(log, image)])
    assert set(ends(log)) == {guest.vm for guest in guests}
    return log


def claims(log: str) -> list[int]:
    """How much each guest whose last line was shown has claimed."""
    return [int(found[1]) for found in re.finditer(r"^\w+: (\d+) passed, 0 failed", log, re.MULTILINE)]


# Without a preemption timer Bochs lets a guest that was entered with IF = 0 have the CPU for as long as it likes (docs/vt-x.md).
NO_SLICES = "shared no-slices"

# In `make test`: more vCPUs than CPUs, as many and fewer; every feature, none of the optional ones; both processor models.
SHORT = {
    "1-cpu": Arrangement(1, [1, 4]),
    "2-cpus-fallbacks": Arrangement(2, [4], lintel="mask = all", cmdline=NO_SLICES, machine={"cpu": HASWELL}),
    "4-cpus": Arrangement(4, [2, 8]),
}


@pytest.mark.parametrize("name", SHORT)
def test_smp(name):
    """Every claim of every guest holds."""
    log = check(name, SHORT[name])
    assert any(count > 40 for count in claims(log))


MASKS = ["tpr-shadow", "preemption-timer", "x2apic-mode", "vpid", "virtual-nmis", "profile:kvm-nested"]
LONG = {
    f"without-{mask.replace(':', '-')}-{cpus}": Arrangement(cpus, [4], lintel=f"mask = {mask}", cmdline=NO_SLICES if mask == "preemption-timer" else "shared")
    for mask in MASKS
    for cpus in (1, 2)
}
LONG |= {f"no-x2apic-{cpus}": Arrangement(cpus, [2, 4], more="hide = x2apic") for cpus in (1, 4)}
LONG |= {
    "16-vcpus": Arrangement(2, [16]),
    "8-on-1": Arrangement(1, [8]),
    "8-cpus": Arrangement(8, [8, 4]),
    "haswell-4": Arrangement(4, [4], machine={"cpu": HASWELL}),
    "icelake-4": Arrangement(4, [4], machine={"cpu": "corei7_icelake_u"}),
}


@pytest.mark.long
@pytest.mark.parametrize("name", LONG)
def test_smp_further(name):
    """Every claim of every guest holds on other machines, and without each feature that Lintel can do without."""
    check(name, LONG[name])


@pytest.mark.long
@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_smp_alone(cpus):
    """A VM that has the machine to itself: its vCPUs share it evenly, and where each has a CPU no tick of a timer is lost."""
    for image, cmdline in (("timers", "" if cpus == 4 else "shared"), ("smpwitness", "")):
        guests = [Guest(image, image, cmdline, "cpus = 4")]
        with boot(esp=str(lay_out(f"smp-alone-{cpus}", guests)), machine="bochs", name=f"test-smp-alone-{cpus}", cpus=cpus) as m:
            m.wait_poweroff(timeout=SECONDS)
            assert ends(m.log_text()) == {image: "debug-exit 0x0"}, failures(m.log_text(), image)
