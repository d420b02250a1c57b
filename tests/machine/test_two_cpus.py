# SPDX-License-Identifier: BSD-2-Clause
"""A machine with two processors: VMs share them, and one that never rests takes nothing from the other."""

import pytest
from lablib.machine import boot
from support import tiny
from support.esp import linux, make_esp
from support.exits import reports
from support.linux_checks import check_usable
from support.shell import Shell

CONFIG = linux("debian") + "[vm busy]\nmemory = 16M\nkernel = spin\n"


@pytest.fixture(scope="module")
def shell():
    """Linux on the first processor."""
    with boot(esp=make_esp("two-cpus", CONFIG, {"spin": tiny.spin()}), name="test-two-cpus", cpus=2) as machine:
        yield Shell(machine).wait_ready(600)


def test_linux_beside_a_busy_vm(shell):
    """Linux boots, works, and has no complaint while the other processor's VM spins."""
    check_usable(shell)


def test_list(shell):
    """The list says what each VM has, and how it is."""
    shell.console.send("\x01l")
    shell.console.expect(r"lintel: 1 debian: running, 1 vCPU \(this console\)\r?\n", timeout=60)
    shell.console.expect(r"lintel: 2 busy: running, 1 vCPU\r?\n", timeout=60)


def test_end(shell):
    """The Linux powers off, the operator ends the other, both report, and the machine is off."""
    shell.console.sendline("poweroff")
    shell.console.expect(r"lintel: vm debian: stopped: poweroff\r?\n", timeout=120)
    shell.console.send("\x01x")
    shell.machine.wait_poweroff(60)
    assert sorted((report.vm, report.end) for report in reports(shell.machine.log_text())) == [("busy", "quit by the operator"), ("debian", "poweroff")]
