# SPDX-License-Identifier: BSD-2-Clause
"""Virtio disks (guests/micro/blk.c): requests in every form come out right, on one CPU and several; what no driver may do costs it a reset and nobody else anything."""

import re

import pytest
from lablib.machine import boot
from support.exits import report_of
from support.micro import SECONDS, Guest, ends, failures, lay_out

DISKS = "disk = ram:8M\ndisk = ram:1M,ro"
GUESTS = [
    Guest("one", "blk", "", DISKS, memory="16M"),
    Guest("two", "blk", "smp", f"cpus = 2\n{DISKS}", memory="16M"),
    Guest("uart", "blk", "", f"console = uart\n{DISKS}", memory="16M"),
]


@pytest.fixture(name="log", scope="module")
def fixture_log():
    """All guests beside each other: the log."""
    with boot(esp=str(lay_out("virtio-blk", GUESTS)), machine="bochs", name="test-virtio-blk") as m:
        m.wait_poweroff(timeout=SECONDS)
        return m.log_text()


@pytest.mark.parametrize("vm", [guest.vm for guest in GUESTS])
def test_claims(log, vm):
    """Every claim of the guest holds, also where the bus has nothing but its disks, and while another CPU changes what the VMM reads."""
    assert ends(log)[vm] == "debug-exit 0x0", failures(log, "blk")


def test_counters(log):
    """What the disks have done is counted: requests and sectors of both, and no more interrupts than were asked for."""
    report = report_of(log, "one")
    requests = report.device("disk 0 requests")
    print(f"{requests} requests, {report.device('disk 0 sectors')} sectors, {report.device('disk 0 sectors copied')} of them copied, {report.device('disk 0 interrupts')} interrupts")
    assert requests > 2000
    assert report.device("disk 0 sectors") > 8 * 2000
    assert report.device("disk 0 sectors copied") < report.device("disk 0 sectors")
    assert report.device("disk 1 requests") == 3
    assert report.device("disk 1 sectors") == 1


def test_something_was_claimed(log):
    """A guest that claims nothing would pass."""
    counts = [int(found[1]) for found in re.finditer(r"^blk: (\d+) passed, 0 failed", log, re.MULTILINE)]
    assert counts and min(counts) >= 50, counts
