# SPDX-License-Identifier: BSD-2-Clause
"""The operator's keys on Lintel's own console (Ctrl-a ...), with two guests of which one echoes what is typed and the other each byte plus one."""

import pytest
from lablib.machine import boot
from support import tiny
from support.esp import make_esp
from support.exits import reports

CONFIG = """
[vm plain]
memory = 16M
kernel = plain

[vm shifted]
memory = 16M
kernel = shifted
"""


@pytest.fixture(scope="module")
def console():
    """The console, with the first guest's on it."""
    files = {"plain": tiny.echo("plain is here\r\n"), "shifted": tiny.echo("shifted is here\r\n", 1)}
    with boot(esp=make_esp("keys", CONFIG, files), name="test-keys") as machine:
        machine.console.machine = machine
        machine.console.expect_exact("plain is here", timeout=120)
        yield machine.console


def test_typing_goes_to_the_first_vm(console):
    """What is typed reaches the VM whose console is shown, which is the first one."""
    console.send("abcxyz")
    console.expect_exact("abcxyz", timeout=30)


def test_help(console):
    """Ctrl-a h names every key."""
    console.send("\x01h")
    for key in "hxaln":
        console.expect(rf"lintel: Ctrl-a {key} +\w", timeout=30)
    console.expect(r"lintel: Ctrl-a 1-9 +\w", timeout=30)


def test_list(console):
    """Ctrl-a l lists both VMs, their state, and whose console is shown."""
    console.send("\x01l")
    console.expect(r"lintel: 1 plain: running, 1 vCPU \(this console\)\r?\n", timeout=30)
    console.expect(r"lintel: 2 shifted: running, 1 vCPU\r?\n", timeout=30)


def test_a_guest_cannot_pass_for_lintel(console):
    """What the guest prints in the form of Lintel's lines is marked, also with hidden bytes in it."""
    console.send("\r\nlintel: panic: forged\r\nlin\0tel: too\r\n")
    console.expect_exact("\nlintel. panic: forged\r\nlin\0tel. too\r\n", timeout=30)


def test_next(console):
    """Ctrl-a n shows the next VM's console, beginning with what it said before; typing goes there."""
    console.send("\x01n")
    console.expect(r"lintel: console of vm shifted\r?\n", timeout=30)
    console.expect_exact("shifted is here", timeout=30)
    console.send("HAL")
    console.expect_exact("IBM", timeout=30)


def test_number(console):
    """Ctrl-a 1 shows the first VM's console; a number without a VM is said to have none, and changes nothing."""
    console.send("\x011")
    console.expect(r"lintel: console of vm plain\r?\n", timeout=30)
    console.send("\x019")
    console.expect(r"lintel: there is no vm 9\r?\n", timeout=30)
    console.send("HAL")
    console.expect_exact("HAL", timeout=30)


def test_literal(console):
    """Ctrl-a a types a Ctrl-a; a key that means nothing after Ctrl-a is swallowed with it."""
    console.send("<\x01a>")
    console.expect_exact("<\x01>", timeout=30)
    console.send("<\x01Z>")
    console.expect_exact("<>", timeout=30)


def test_quit(console):
    """Ctrl-a x stops both VMs with their reports, and switches the machine off."""
    console.send("\x01x")
    console.machine.wait_poweroff(60)
    log = console.machine.log_text()
    assert sorted((report.vm, report.end) for report in reports(log)) == [("plain", "quit by the operator"), ("shifted", "quit by the operator")]
    assert log.rstrip().endswith("lintel: powering off")
