"""A machine with two processors: VMs are spread over them, and one that never rests takes nothing from the other."""

import pytest
from lablib.machine import boot
from support import tiny
from support.esp import linux, make_esp
from support.exits import reports
from support.linux_checks import check_usable
from support.shell import Shell

CONFIG = linux("debian") + "[vm busy]\nmemory = 16M\nkernel = spin\n" + "[vm two-cpus]\nmemory = 16M\nkernel = spin\ncpus = 2\n"
TWO_CPUS_LINE = CONFIG.splitlines().index("cpus = 2") + 1


@pytest.fixture(scope="module")
def shell():
    """Linux on the first processor."""
    with boot(esp=make_esp("two-cpus", CONFIG, {"spin": tiny.spin()}), name="test-two-cpus", cpus=2) as machine:
        yield Shell(machine).wait_ready(600)


def test_linux_beside_a_busy_vm(shell):
    """Linux boots, works, and has no complaint while the other processor's VM spins."""
    check_usable(shell)


def test_spread(shell):
    """The list says which processor each VM has: not the same one."""
    shell.console.send("\x01l")
    shell.console.expect(r"lintel: 1 debian: running on CPU 0 \(this console\)\r?\n", timeout=60)
    shell.console.expect(r"lintel: 2 busy: running on CPU 1\r?\n", timeout=60)


def test_one_vcpu_only(shell):
    """More vCPUs than this version gives is an error of its own, although the machine has the processors; the VM is not started."""
    log = shell.machine.log_text()
    assert f"lintel: error: lintel.conf:{TWO_CPUS_LINE}: cpus = 2: this version gives a VM one vCPU\n" in log
    assert "lintel: error: vm two-cpus: not started\n" in log


def test_end(shell):
    """The Linux powers off, the operator ends the other, both report, and the machine is off."""
    shell.console.sendline("poweroff")
    shell.console.expect(r"lintel: vm debian: stopped: poweroff\r?\n", timeout=120)
    shell.console.send("\x01x")
    shell.machine.wait_poweroff(60)
    assert sorted((report.vm, report.end) for report in reports(shell.machine.log_text())) == [("busy", "quit by the operator"), ("debian", "poweroff")]
