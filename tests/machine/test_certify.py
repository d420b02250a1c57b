# SPDX-License-Identifier: BSD-2-Clause
"""The stick that proves a machine (docs/certify.md): steps one after the other, each with a time-out, none able to spoil the next, and their summary."""

import re
import subprocess

import pytest
from lablib import certify
from lablib.machine import boot
from lablib.micro import Guest
from lablib.paths import REPOSITORY
from support.exits import report_of
from support.micro import SECONDS, ends, lay_out

NEXT = "timeout = 5\nafter = {}"
STEPS = [
    Guest("hangs", "faults", "case=spin", "timeout = 1"),
    Guest("crashes", "faults", "case=triple-fault", NEXT.format("hangs")),
    Guest("fails", "hello", "last=none", NEXT.format("crashes")),
    Guest("skipped", "ports", "", NEXT.format("fails") + "\nneeds = smp"),
    Guest("dead", "faults", "case=cli-hlt", "timeout = 1\nafter = skipped"),
    Guest("passes", "exitcost", "", NEXT.format("dead")),
    Guest("unstarted", "ports", "", "after = passes\ndisk = part:nowhere"),
    Guest("last", "ports", "", NEXT.format("unstarted")),
]


@pytest.fixture(name="log", scope="module")
def fixture_log():
    """One short boot of steps that end in every way, and a key that ends its summary; the log."""
    with boot(esp=str(lay_out("certify", STEPS, "summary = 600")), machine="bochs", name="certify") as m:
        m.console.expect_exact("until a key is pressed", timeout=SECONDS)
        m.console.send("\r")
        m.wait_poweroff(timeout=SECONDS)
        return m.log_text()


def test_each_ends_in_its_own_way(log):
    """A step that hangs, with interrupts on or off, is ended by its time-out; what others do to themselves ends them alone."""
    assert ends(log) == {
        "hangs": "timed out after 1 s",
        "crashes": "crash: triple fault",
        "fails": ends(log)["fails"],
        "dead": "timed out after 1 s",
        "passes": "debug-exit 0x0",
        "last": "debug-exit 0x0",
    }
    assert "lintel: vm skipped: skipped: the machine has no smp" in log
    assert "lintel: error: vm unstarted: not started" in log


def test_one_after_the_other(log):
    """No step starts before the one that it comes after has ended."""
    events = re.findall(r"^lintel: vm (\w+): (started|stopped)", log, re.MULTILINE)
    ran = ["hangs", "crashes", "fails", "dead", "passes", "last"]
    assert events == [(vm, what) for vm in ran for what in ("started", "stopped")]


def test_the_summary_says_so(log):
    """A verdict for each step, as it ends and in the summary, with what the benchmark has noted; nothing is too wide for a photograph."""
    summary = certify.read(log)
    assert {step.name: step.verdict for step in summary.steps} == {
        "hangs": "timeout",
        "crashes": "fail",
        "fails": "fail",
        "skipped": "skip",
        "dead": "timeout",
        "passes": "pass",
        "unstarted": "fail",
        "last": "pass",
    }
    assert not summary.good()
    steps = {step.name: step for step in summary.steps}
    assert steps["last"].exits == report_of(log, "last").total
    assert re.search(r"cpuid \d+", steps["passes"].note)
    assert len(re.findall(r"^lintel: \| passes +pass ", log, re.MULTILINE)) == 2
    lines = [line for line in log.splitlines() if line.startswith("lintel: | ")]
    assert max(map(len, lines)) <= 78


@pytest.mark.long
@pytest.mark.parametrize("machine", ["bochs", "nested"])
def test_the_image(machine):
    """The image itself, its command, its disk with a GPT: every step passes or says what the machine lacks."""
    made = subprocess.run(["make", "certify", f"CERTIFY=--machine {machine}"], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=False)
    summary = certify.read(made.stdout)
    assert made.returncode == 0 and summary.good(), made.stdout
    assert len(summary.steps) == 16 and summary.counts()["pass"] >= 14
