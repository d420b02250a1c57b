# SPDX-License-Identifier: BSD-2-Clause
"""The machine's disks: Lintel finds an IDE disk and its partitions, and refuses what no VM may have of them, with the line of lintel.conf."""

import re
import shutil
import subprocess

import pytest
from lablib.machine import boot
from support import tiny
from support.esp import BUILD, make_esp
from support.exits import report_of

SFDISK = shutil.which("sfdisk", path="/usr/sbin:/sbin:/usr/bin:/bin")
# name, line behind "disk = ", reason; a VM each, which is not started. {other}: the line of the one VM that has the partition already.
REFUSED = [
    ("absent", "part:nowhere", "there is no such partition: expected the label or PARTUUID of one"),
    ("twin", "part:twin", "ide0.1 part 4 and ide0.1 part 5 are both called so: expected a PARTUUID"),
    ("esp", "part:firmware,ro", "ide0.1 part 3 is the firmware's and Lintel's: expected another one"),
    ("writer", "part:{uuid}", "it is good's already, by line {other}: expected another one, or ,ro in both"),
    ("gone-file", "file:gone.img,ro", None),
]
PARTITIONS = 'label: gpt\nsize=8M, name="first"\nsize=16M, name="debian-root"\nsize=4M, type=uefi, name="firmware"\nsize=2M, name="twin"\nsize=3M, name="twin"\n'


def section(name: str, disk: str) -> str:
    """A VM that ends at once, with a disk."""
    return f"[vm {name}]\nmemory = 16M\nkernel = guest\ndebug-exit = 0xf4\ndisk = {disk}\n"


@pytest.fixture(scope="module", name="disk")
def fixture_disk():
    """A disk of 64 MiB with five partitions, made by Debian's own tool; what that says about them, by number."""
    image = BUILD / "test-disks.img"
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run([SFDISK, "-q", image], input=PARTITIONS, text=True, check=True)
    listed = subprocess.run([SFDISK, "-d", image], capture_output=True, text=True, check=True).stdout
    uuids = [uuid.lower() for uuid in re.findall(r"uuid=([0-9A-Fa-f-]{36}), name=", listed)]
    assert len(uuids) == 5
    yield image, uuids
    image.unlink()


@pytest.fixture(scope="module", name="run")
def fixture_run(disk):
    """One boot: what Lintel said, the PARTUUIDs, and the line of each VM's disk."""
    image, uuids = disk
    config, lines = "", {}
    good = section("good", "part:debian-root") + "disk = part:first,ro\n" + section("reader", f"part:{uuids[0].upper()},ro")
    for name, what, _ in [("", "", None), *REFUSED]:
        config += section(name, what.format(uuid=uuids[1])) if name else good
        lines[name or "good"] = 5 if not name else config.count("\n")
    esp = make_esp("disks", config, {"guest": tiny.debug_exit(0x2A)})
    with boot(esp=esp, name="test-disks", disks=[str(image)]) as machine:
        machine.wait_poweroff(180)
        yield machine.log_text(), uuids, lines


def test_disk_is_listed(run):
    """The disk is found, with its size, its block size and its model."""
    assert re.search(r"^lintel: disk: ide0\.1: 64 MiB, 512-byte blocks, \S.*$", run[0], re.MULTILINE)


def test_partitions_are_listed(run):
    """All partitions, with the labels, PARTUUIDs and sizes that sfdisk gave them."""
    log, uuids, _ = run
    for number, (label, size) in enumerate([("first", "8192 KiB"), ("debian-root", "16 MiB"), ("firmware", "4096 KiB"), ("twin", "2048 KiB"), ("twin", "3072 KiB")], 1):
        esp = ", EFI system partition" if label == "firmware" else ""
        assert f"lintel: disk: ide0.1 part {number}: {label}, {uuids[number - 1]}, {size}{esp}" in log.splitlines()


def test_vms_with_good_disks_run(run):
    """A label, and a PARTUUID in capitals: both are found. Two readers share a partition."""
    for vm in ("good", "reader"):
        assert report_of(run[0], vm).end == "debug-exit 0x2a"


@pytest.mark.parametrize("name, what, reason", REFUSED, ids=lambda value: value if value in [case[0] for case in REFUSED] else "")
def test_refused(run, name, what, reason):
    """What a VM may not have is told with file, line, key and reason; the VM is not started."""
    log, uuids, lines = run
    what = what.format(uuid=uuids[1])
    text = "disk = file:gone.img: there is no such file" if reason is None else f"disk = {what.removesuffix(',ro')}: {reason.format(other=lines['good'])}"
    assert log.splitlines().count(f"lintel: error: lintel.conf:{lines[name]}: {text}") == 1
    assert f"lintel: error: vm {name}: not started" in log.splitlines()
    assert f"vm {name}: started" not in log


def test_nothing_else_is_wrong(run):
    """There is no error or warning but those."""
    told = [line for line in run[0].splitlines() if re.match(r"lintel: (error|warning): (lintel\.conf|disk|pci|irq)", line)]
    assert len(told) == len(REFUSED), told
