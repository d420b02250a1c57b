# SPDX-License-Identifier: BSD-2-Clause
"""Several VMs with several vCPUs each, on the CPUs that they share."""

import re

import pytest
from lablib.machine import boot
from support import tiny
from support.esp import linux, make_esp
from support.exits import reports
from support.shell import PROMPT, Shell
from support.smp import SharedShell, check_cpus, replug, small_load

INDEPENDENT = True


def on_console(shell: Shell, number: int) -> None:
    """The operator looks at the console of VM `number`."""
    shell.console.send(f"\x01{number}")
    shell.console.expect(r"lintel: console of vm \S+\r?\n", timeout=60)


def check_four(name: str, cpus: int) -> None:
    """Four Linux VMs of two vCPUs each, and one that crashes again and again."""
    names = ["one", "two", "three", "four"]
    config = "".join(linux(vm, memory="160M", more="cpus = 2") for vm in names)
    config += "[vm crasher]\nmemory = 16M\ncpus = 2\nkernel = crash\nrestart = always\n"
    with boot(esp=make_esp(name, config, {"crash": tiny.triple_fault()}), name=f"test-{name}", cpus=cpus) as machine:
        shell = SharedShell(machine)
        shell.wait_ready(1200)
        for number in range(2, 5):
            on_console(shell, number)
            # What the guest has said before is shown again: its shell may have been ready for long.
            shell.console.sendline("")
            shell.console.expect_exact(PROMPT, timeout=600)
        for number in (1, 4, 2, 3):
            on_console(shell, number)
            shell.console.sendline("")
            shell.console.expect_exact(PROMPT, timeout=60)
            # With nine vCPUs on one CPU Linux may find out that others had it for a while.
            check_cpus(shell, 2, r"hrtimer: interrupt took \d+ ns" if cpus == 1 else "")
            replug(shell, 2)
            small_load(shell, 2)
        for number in range(1, 5):
            on_console(shell, number)
            shell.console.sendline("")
            shell.console.expect_exact(PROMPT, timeout=60)
            shell.console.sendline("poweroff")
            shell.console.expect(rf"lintel: vm {names[number - 1]}: stopped: poweroff\r?\n", timeout=300)
        shell.console.send("\x01x")
        machine.wait_poweroff(120)
        log = machine.log_text()
    ended = {vm: [report.end for report in reports(log) if report.vm == vm] for vm in [*names, "crasher"]}
    assert all(ended[vm] == ["poweroff"] for vm in names), ended
    crashes = ended["crasher"]
    assert crashes.count("crash: triple fault") >= 3 and set(crashes[:-1]) == {"crash: triple fault"}
    assert re.search(r"vm crasher: starts again in \d+ s", log)


# In `make test` micro-guests do so: test_smp_micro.py.
@pytest.mark.long
@pytest.mark.parametrize("cpus", [1, 2, 4, 8])
def test_four_vms(cpus):
    """4 VMs x 2 vCPUs work, beside one that crashes and is always started again: on few CPUs, and on as many as there are vCPUs."""
    check_four(f"smp-4x2-on-{cpus}", cpus)
