# SPDX-License-Identifier: BSD-2-Clause
"""Which CPUs VMs get: what lintel.conf or the machine does not allow is told with its line, and stops only its own VM."""

import pytest
from lablib.machine import boot
from support import tiny
from support.esp import make_esp
from support.exits import reports

# A VM's keys, and what is said of the last of them (of its header, if there is none); None: it runs.
VMS = {
    "pinned": (["pin = 1"], None),
    "pool": (["cpus = 3", "weight = 10000", "cap = 300"], None),
    "absent": (["cpus = 2", "pin = 3,2"], "pin = 3,2: there is no CPU 3: expected 0 to 1"),
    "taken": (["pin = 1"], "pin = 1: CPU 1 is pinned's already, by line {pinned}: expected another one"),
    "few": (["cpus = 2", "pin = 0"], "pin = 0: 1 for 2 vCPUs: expected a CPU for each"),
    "twice": (["cpus = 2", "pin = 0,0"], "pin = 0,0: a CPU is named twice: expected one for each vCPU"),
    "syntax": (["pin = one"], "pin = one: bad list: expected CPUs from 0 to 63, as in 1-2 or 1,3"),
    "heavy": (["weight = 10001"], "weight = 10001: bad number: expected 1 to 10000"),
    "light": (["weight = 0"], "weight = 0: bad number: expected 1 to 10000"),
    "cap": (["cpus = 2", "cap = 201"], "cap = 201: more than 2 vCPUs can use: expected at most 200"),
}

COMMON = ["memory = 16M", "kernel = guest", "debug-exit = 0xf4"]

# On a machine of one CPU, nothing is left for the second of these.
ALL_PINNED = {
    "owner": (["pin = 0"], None),
    "homeless": ([], "[vm homeless]: no CPU is left for it, all 1 are pinned (line {owner}): expected one without a pin"),
}


def layout(vms):
    """The file, and the messages that are to come of it."""
    text, messages, lines = "", [], {}
    for name, (keys, message) in vms.items():
        head = text.count("\n") + 1
        text += "".join(line + "\n" for line in [f"[vm {name}]", *COMMON, *keys])
        lines[name] = text.count("\n") if keys else head
        if message:
            messages.append(f"lintel: error: lintel.conf:{lines[name]}: {message.format(**lines)}")
    return text, messages


def check(vms, cpus):
    """Boot them all: who may run ends as it should, of the others all that is told is why."""
    text, messages = layout(vms)
    with boot(esp=make_esp("placement", text, {"guest": tiny.debug_exit(0x2A)}), name=f"test-placement-{cpus}", cpus=cpus) as machine:
        machine.wait_poweroff(180)
        log = machine.log_text()
    told = [line for line in log.splitlines() if line.startswith("lintel: error: lintel.conf")]
    assert sorted(told) == sorted(messages)
    good = {name for name, (_, message) in vms.items() if message is None}
    assert {report.vm: report.end for report in reports(log)} == dict.fromkeys(good, "debug-exit 0x2a")
    for name in set(vms) - good:
        assert log.splitlines().count(f"lintel: error: vm {name}: not started") == 1


@pytest.mark.parametrize(("vms", "cpus"), [(VMS, 2), (ALL_PINNED, 1)], ids=["two-cpus", "all-pinned"])
def test_placement(vms, cpus):
    """Good VMs run on the CPUs that they ask for; each of the others is told where, which key, why, and what to write."""
    check(vms, cpus)
