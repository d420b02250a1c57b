# SPDX-License-Identifier: BSD-2-Clause
"""How VMs end, and which of them start again: one boot with a VM for each case."""

import pytest
from lablib.machine import boot
from support import tiny
from support.esp import make_esp
from support.exits import reports

# name: (guest, restart =, how it ends)
CASES = {
    "exits": ("exit", "never", "debug-exit 0x2a"),
    "exits-on-crash": ("exit", "on-crash", "debug-exit 0x2a"),
    "exits-always": ("exit", "always", "debug-exit 0x2a"),
    "crashes": ("crash", "never", "crash: triple fault"),
    "crashes-on-crash": ("crash", "on-crash", "crash: triple fault"),
    "crashes-always": ("crash", "always", "crash: triple fault"),
    "resets": ("crash", "never\non-triple-fault = reset", "reset: triple fault"),
}
RESTARTING = {"exits-always", "crashes-on-crash", "crashes-always", "resets"}


@pytest.fixture(scope="module")
def log():
    """The log up to the third restart of the VM that crashes."""
    # The first VM only waits: its console is shown, and the machine stays on between the others' restarts.
    config = "[vm bystander]\nmemory = 16M\nkernel = says\n"
    config += "".join(f"[vm {name}]\nmemory = 16M\nkernel = {guest}\nrestart = {restart}\ndebug-exit = 0xf4\n" for name, (guest, restart, _) in CASES.items())
    files = {"exit": tiny.debug_exit(0x2A, loops=20_000_000), "crash": tiny.triple_fault(), "says": tiny.says("bystander is alive\r\n")}
    with boot(esp=make_esp("restart", config, files), name="test-restart") as machine:
        machine.console.expect(r"(?s)(?:vm crashes-on-crash: starts again in .*){3}", timeout=120)
        machine.console.send("\x01x")
        machine.wait_poweroff(60)
        yield machine.log_text()


@pytest.mark.parametrize("name", CASES)
def test_end(log, name):
    """A VM stops with the reason that is its own, each time, with a whole report."""
    ends = [report.end for report in reports(log) if report.vm == name and report.end != "quit by the operator"]
    assert ends and set(ends) == {CASES[name][2]}


@pytest.mark.parametrize("name", CASES)
def test_restart(log, name):
    """`restart` decides whether the VM is started again."""
    starts = log.count(f"vm {name}: started: ")
    if name in RESTARTING:
        assert starts >= 3
    else:
        assert starts == 1


def test_crash_is_dumped(log):
    """A crash prints the registers at the fault: RIP is the address of the guest's UD2, CR0 has no paging."""
    dump = log.split("vm crashes: stopped")[0]
    assert "vm crashes: vcpu 0: last exit 2 (triple fault)" in dump
    assert f"RIP  {tiny.TRIPLE_FAULT_RIP:016x}" in dump


def test_backoff(log):
    """A VM that crashes again and again waits twice as long each time."""
    waits = [line.rpartition("in ")[2] for line in log.splitlines() if "vm crashes-on-crash: starts again" in line]
    assert waits[:3] == ["1 s", "2 s", "4 s"]


def test_bystander(log):
    """Another VM's crashes do not touch a VM: it ran until the operator ended it."""
    assert [report.end for report in reports(log) if report.vm == "bystander"] == ["quit by the operator"]
    assert log.count("vm bystander: started: ") == log.count("bystander is alive") == 1
