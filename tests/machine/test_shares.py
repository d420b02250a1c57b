# SPDX-License-Identifier: BSD-2-Clause
"""Who gets how much of the machine: by weight, by cap, by pin. Micro-guests count what they can do in the same seconds."""

import re
from dataclasses import dataclass

import pytest
from lablib.machine import boot
from support.micro import SECONDS, Guest, ends, failures, lay_out

WORK = re.compile(r"share: work (\d+), of each CPU (\d+) to (\d+)")
TOLERANCE = 0.05
SLICES = 100  # of the scheduler's, in the second that is counted

LATE = re.compile(r"clock: CPU 0: deadline: 100 ticks, latest by (\d+) us")


@dataclass
class Share:
    """A VM, and how much of one CPU is due to it."""

    due: float
    keys: str

    def guest(self, name: str, cmdline: str) -> Guest:
        """The VM that counts."""
        return Guest(name, "share", cmdline, self.keys)


@dataclass
class Machine:
    """Some of them on a machine."""

    cpus: int
    vms: dict[str, Share]
    begin: int = 1500  # milliseconds; until then all must have started their CPUs


MACHINES = {
    # Four VMs of four CPUs on four.
    "weights": Machine(4, {f"w{n}": Share(n * 0.4, f"cpus = 4\nweight = {n}00") for n in range(1, 5)}, begin=2000),
    # One CPU is pinned; of the other, one VM may use a fifth, and two share the rest.
    "mixed": Machine(
        2,
        {
            "pinned": Share(1, "pin = 1"),
            "capped": Share(0.2, "cpus = 2\nweight = 10000\ncap = 20"),
            "light": Share(0.2, "weight = 1000"),
            "heavy": Share(0.6, "cpus = 2\nweight = 3000"),
        },
    ),
}


def run(name: str, machine: Machine) -> dict[str, tuple[int, int, int]]:
    """What each VM says: its work, and the least and the most of its CPUs."""
    guests = [
        share.guest(vm, f"begin={machine.begin} wait={300 * n}") for n, (vm, share) in enumerate(machine.vms.items())
    ]
    with boot(esp=str(lay_out(f"shares-{name}", guests)), machine="bochs", name=f"test-shares-{name}", cpus=machine.cpus) as m:
        m.wait_poweroff(timeout=SECONDS)
        log = m.log_text()
    assert ends(log) == dict.fromkeys(machine.vms, "debug-exit 0x0"), failures(log, "share")
    works = [tuple(map(int, work)) for work in WORK.findall(log)]
    return dict(zip(machine.vms, works, strict=True))


@pytest.mark.parametrize("name", [pytest.param("weights", marks=pytest.mark.long), "mixed"])
def test_shares(name):
    """Each VM gets what is due to it within 5 %; its CPUs get the same of that but for two slices: one each may lie across an end of the second."""
    machine = MACHINES[name]
    works = run(name, machine)
    pool = [vm for vm, share in machine.vms.items() if "pin" not in share.keys]
    total, due = sum(works[vm][0] for vm in pool), sum(machine.vms[vm].due for vm in pool)
    parts = {vm: work / total * due for vm, (work, _, _) in works.items()}
    work_of_slice = total / due / SLICES
    print(parts, works)
    for vm, share in machine.vms.items():
        _, least, most = works[vm]
        # A processor that is interrupted more executes less in the lab: one that is pinned, more.
        assert parts[vm] == pytest.approx(share.due, rel=TOLERANCE if vm in pool else 2 * TOLERANCE), parts
        assert most - least <= 2 * work_of_slice, works


def test_sleep_under_a_cap():
    """A pinned VM that sleeps does not use up its cap: no tick waits for the cap's next period."""
    esp = lay_out("shares-sleep", [Guest("sleeper", "clock", "seconds=2", "pin = 0\ncap = 10")])
    with boot(esp=str(esp), machine="bochs", name="test-shares-sleep") as m:
        m.wait_poweroff(timeout=SECONDS)
        log = m.log_text()
    assert ends(log) == {"sleeper": "debug-exit 0x0"}, failures(log, "clock")
    assert int(LATE.search(log)[1]) < 5000
