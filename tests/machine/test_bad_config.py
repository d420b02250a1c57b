# SPDX-License-Identifier: BSD-2-Clause
"""Every class of mistake in lintel.conf itself: each is told with file, line, key and reason, stops only its own VM, and another VM starts."""

from dataclasses import dataclass

import pytest
from lablib.machine import boot
from support import tiny
from support.esp import make_esp
from support.exits import report_of


@dataclass
class Case:
    """A section; the line that begins with "!" (which is taken away) is the wrong one. `message` follows "lintel.conf:LINE: "."""

    name: str
    section: str
    message: str
    # Is there a VM of that name, which must not be started?
    vm: bool = True


def of_vm(name: str, line: str, message: str) -> Case:
    """A VM that would start but for one line."""
    return Case(name, f"[vm {name}]\nmemory = 16M\nkernel = guest\n!{line}", message)


CASES = [
    of_vm("unknown-key", "memroy = 32M", "memroy: unknown key: did you mean memory?"),
    of_vm("foreign-key", "selftest = yes", "selftest: unknown key in this section: it belongs in [lintel]"),
    of_vm("no-value", "initrd =", "initrd: the value is empty"),
    of_vm("no-equals", "restart always", "restart always: expected KEY = VALUE or [SECTION]"),
    of_vm("twice", "memory = 32M", "memory: given twice, first in line {previous}"),
    of_vm("cpus-word", "cpus = many", "cpus = many: bad number: expected 1 to 16"),
    of_vm("cpus-many", "cpus = 17", "cpus = 17: bad number: expected 1 to 16"),
    of_vm("word", "restart = sometimes", "restart = sometimes: unknown word: expected never or on-crash or always"),
    of_vm("feature", "hide = x2apic, flux", "hide = x2apic, flux: unknown feature flux"),
    of_vm("port", "debug-exit = 0x12345", "debug-exit = 0x12345: bad port: expected a number from 0x1 to 0xffff"),
    of_vm("no-switch", "net = lan1", "net = lan1: there is no such switch: expected a section [switch lan1]"),
    of_vm("console", "console = ttyS0", "console = ttyS0: unknown word: expected virtio or uart"),
    of_vm("control", "cmdline = a\x07b", "control character 0x07 in the line: expected text"),
    Case("size", "[vm size]\nkernel = guest\n!memory = 12X", "memory = 12X: bad size: expected a number with K, M or G"),
    Case("no-kernel", "![vm no-kernel]\nmemory = 16M", "[vm no-kernel]: it has no kernel: expected kernel = FILE"),
    # No VM comes of these.
    Case("second", "![vm twice]\nkernel = guest", "[vm twice]: there is one already, in line {of_twice}", vm=False),
    Case("switch", "[switch lan0]\n!uplink = eth0", "uplink = eth0: no network card's name: expected auto, a PCI address as in 00:02.0, or a MAC address", vm=False),
    Case("kind", "![machine x]\nkernel = guest", "[machine]: unknown section: expected [lintel], [switch NAME] or [vm NAME]", vm=False),
    Case("bracket", "![vm open\nkernel = guest", "[vm open: expected ] at the end", vm=False),
    Case("bad-name", "![vm a/b]\nkernel = guest", "[vm a/b]: bad name: expected characters of A-Z a-z 0-9 _ . -", vm=False),
    Case("seventeenth", "![vm one-more]\nkernel = guest", "[vm one-more]: too many VMs: expected at most 16", vm=False),
]

LINTEL = [
    Case("idle", "!idle = sleep", "idle = sleep: unknown word: expected poweroff or reboot or stay", vm=False),
    Case("mask", "!mask = vpid, warp", "mask = vpid, warp: unknown feature warp", vm=False),
    Case("foreign", "!kernel = guest", "kernel: unknown key in this section: it belongs in [vm NAME]", vm=False),
]

OUTSIDE = Case("outside", "!early = 1", "early: outside of a section: expected [lintel], [switch NAME] or [vm NAME] above it", vm=False)
GOOD = "[vm good]\nmemory = 16M\nkernel = guest\ndebug-exit = 0xf4"


def layout() -> tuple[str, dict[str, str]]:
    """The file, and each case's whole message."""
    text, messages, of_twice = "", {}, 0
    good_at = len([case for case in CASES if case.vm])
    sections = [OUTSIDE, "[lintel]", *LINTEL, *CASES[:good_at], GOOD, *CASES[good_at:]]
    for section in sections:
        if isinstance(section, str):
            text += section + "\n"
            continue
        first = text.count("\n") + 1
        lines = section.section.split("\n")
        line = first + next(number for number, content in enumerate(lines) if content.startswith("!"))
        if section.name == "twice":
            of_twice = first
        message = section.message.format(previous=first + 1, of_twice=of_twice)
        messages[section.name] = f"lintel: error: lintel.conf:{line}: {message}"
        text += section.section.replace("!", "") + "\n"
    return text, messages


CONFIG, MESSAGES = layout()


@pytest.fixture(scope="module")
def log():
    """What Lintel says to all of them."""
    esp = make_esp("bad-config", CONFIG, {"guest": tiny.debug_exit(0x2A)})
    with boot(esp=esp, name="test-bad-config") as machine:
        machine.wait_poweroff(120)
        yield machine.log_text()


@pytest.mark.parametrize("case", [OUTSIDE, *LINTEL, *CASES], ids=lambda case: case.name)
def test_message(log, case):
    """The mistake is told once, by file, line, key and reason."""
    assert log.splitlines().count(MESSAGES[case.name]) == 1, MESSAGES[case.name]


@pytest.mark.parametrize("case", [case for case in CASES if case.vm], ids=lambda case: case.name)
def test_vm_is_not_started(log, case):
    """The VM that the mistake belongs to is not started, and Lintel says so."""
    assert log.splitlines().count(f"lintel: error: vm {case.name}: not started") == 1
    assert f"vm {case.name}: started" not in log


def test_other_vm_runs(log):
    """The one VM without a mistake is started, runs, and ends as it should."""
    assert log.count(": started: ") == 1
    assert report_of(log, "good").end == "debug-exit 0x2a"


def test_nothing_else_is_complained_about(log):
    """There is no error but those, each the consequence of its own mistake."""
    told = [line for line in log.splitlines() if line.startswith("lintel: error: lintel.conf")]
    assert sorted(told) == sorted(MESSAGES.values())
