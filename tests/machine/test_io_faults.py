# SPDX-License-Identifier: BSD-2-Clause
"""Disks that take their time, and guests that do not wait for them: resets of the driver and VMs that die, with requests at a physical disk.
Nobody hangs, nothing is lost of the VMM's memory, and another VM goes on."""

import re
import subprocess
from pathlib import Path

import pytest
from lablib.machine import boot
from lablib.paths import REPOSITORY
from support.exits import reports
from support.micro import SECONDS, Guest, ends, failures, lay_out

DEATHS = 5
MANY = 1000


def guests(resets: int) -> list[Guest]:
    """One resets its driver so often, one dies each time, one must not notice."""
    return [
        Guest("resets", "blk", f"part resets={resets}", "disk = part:one", memory="16M"),
        Guest("dies", "blk", "die", "disk = part:two\nrestart = always", memory="16M"),
        Guest("witness", "blk", "", "disk = ram:8M\ndisk = ram:1M,ro", memory="16M"),
    ]


def two_partitions() -> Path:
    """A disk of 16 MiB with two partitions."""
    image = REPOSITORY / "build/test-disks/faults.img"
    image.parent.mkdir(parents=True, exist_ok=True)
    image.unlink(missing_ok=True)
    with open(image, "wb") as file:
        file.truncate(16 << 20)
    script = "label: gpt\nsize=4MiB, name=one\nsize=4MiB, name=two\n"
    subprocess.run(["/sbin/sfdisk", "--quiet", str(image)], input=script, text=True, check=True, capture_output=True)
    return image


def run(name: str, resets: int) -> str:
    """All of them beside each other, until one has died often enough."""
    with boot(esp=str(lay_out(name, guests(resets))), machine="bochs", name=f"test-{name}", disks=[str(two_partitions())]) as m:
        stopped = {"resets": 0, "witness": 0, "dies": 0}
        while not (stopped["resets"] and stopped["witness"] and stopped["dies"] >= DEATHS):
            m.console.expect(r"lintel: vm (\w+): stopped: ", timeout=SECONDS)
            stopped[m.console.match[1]] += 1
        m.console.send("\x01x")
        m.wait_poweroff(timeout=120)
        return m.log_text()


@pytest.fixture(name="log", scope="module")
def fixture_log():
    """What the tests below look at."""
    return run("io-faults", 200)


def test_resets(log):
    """Memory is the driver's again as soon as the status reads 0, each time; the requests in between are answered."""
    assert ends(log)["resets"] == "debug-exit 0x0", failures(log, "blk")


@pytest.mark.long
def test_many_resets():
    """The same a thousand times."""
    log = run("io-faults-many", MANY)
    assert ends(log)["resets"] == "debug-exit 0x0", failures(log, "blk")
    assert f"of {MANY} resets had to wait" in log


def test_deaths(log):
    """A VM that dies with requests at the disk is reported each time, with the same amount of them, and starts again."""
    deaths = [report for report in reports(log) if report.vm == "dies"]
    assert len([d for d in deaths if d.end == "crash: triple fault"]) >= DEATHS
    assert log.count("lintel: vm dies: started: ") >= DEATHS


def test_memory_is_given_back(log):
    """What a VM that died had is free again: each start finds as much as the one before."""
    assert "not started" not in log
    assert log.count("lintel: vm dies: started: 16 MiB") >= DEATHS


def test_witness(log):
    """A VM beside them, on the same CPU, has every claim of its own."""
    assert ends(log)["witness"] == "debug-exit 0x0", failures(log, "blk")
