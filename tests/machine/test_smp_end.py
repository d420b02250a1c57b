# SPDX-License-Identifier: BSD-2-Clause
"""VMs with several vCPUs that end while their other vCPUs are busy on other CPUs: the reason is told, the memory comes back, and they start again."""

import pytest
from lablib.machine import boot
from support.exits import reports
from support.micro import Guest, ends, failures, lay_out

STARTS = 2
# name: (command line of smpend, how it ends). All are started again; of "big" two do not fit into memory.
CASES = {
    "triple-fault": ("case=triple-fault busy=spin", "crash: triple fault"),
    "all-at-once": ("case=triple-fault all", "crash: triple fault"),
    "exit": ("case=debug-exit busy=send first", "debug-exit 0x2a"),
    "reset": ("case=reset busy=devices", "reset"),
    "vector": ("case=vector busy=halt", "reset"),
    "poweroff": ("case=poweroff busy=halt-for-good", "poweroff"),
    "big": ("case=outside busy=halt", "crash: code at 0x20000000, where there is no memory"),
}


def guest(name: str) -> Guest:
    """The VM of a case: four vCPUs, more than there are CPUs."""
    made = Guest(name, "smpend", CASES[name][0], "cpus = 4\nrestart = always\nunknown-access = stop")
    if name == "big":
        made.memory = "450M"
    return made


@pytest.fixture(scope="module")
def log():
    """All cases beside each other on two CPUs, until each has started twice and ended, and a witness that works meanwhile."""
    guests = [Guest("witness", "smpwitness", "shared", "cpus = 2"), *map(guest, CASES)]
    waiting = {"witness": 1, **{name: STARTS for name in CASES}}
    with boot(esp=str(lay_out("smp-end", guests)), machine="bochs", name="test-smp-end", cpus=2) as m:
        while waiting:
            m.console.expect(r"lintel: vm (\S+): stopped: ", timeout=300)
            name = m.console.match[1]
            if name in waiting:
                waiting[name] -= 1
                if not waiting[name]:
                    del waiting[name]
        m.console.send("\x01x")
        m.wait_poweroff(120)
        return m.log_text()


@pytest.mark.parametrize("name", CASES)
def test_end(log, name):
    """The VM ends with its own reason, each time, and its report is whole. A start at which not all vCPUs came up would end otherwise."""
    told = [report.end for report in reports(log) if report.vm == name and report.end != "quit by the operator"]
    assert told and set(told) == {CASES[name][1]}
    assert len(told) >= STARTS


def test_memory_is_given_back(log):
    """The largest VM takes more than half of the machine's memory: its second start has the memory of its first."""
    assert log.count("vm big: started: 450 MiB") >= STARTS


def test_witness(log):
    """A VM beside them works on, and its vCPUs lose nothing."""
    assert ends(log)["witness"] == "debug-exit 0x0", failures(log, "smpwitness")
