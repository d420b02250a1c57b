# SPDX-License-Identifier: BSD-2-Clause
"""Debian from a real disk: the guest's root file system is a GPT partition of the machine's disk, and what the guest writes is there afterwards."""

import re

import pytest
from support.disk import check_clean, extract, fresh_disk, partition
from support.exits import report_of
from support.fio import fio
from support.linux_checks import alarming
from support.network import curl, make_file, receive_from_guest, send_to_guest, ssh
from support.root import BOOT_SECONDS, root_boot
from support.shell import READY, Shell

FORWARDS = {"http": 80, "ssh": 22, "data": 5000}
SCRATCH = "/dev/vdb"


@pytest.fixture(scope="module", name="disk")
def fixture_disk():
    """A copy of the disk."""
    return fresh_disk("root")


@pytest.fixture(scope="module", name="booted")
def fixture_booted(disk):
    """One boot for all of the file: the machine, and the host's ports."""
    with root_boot("root", disk, FORWARDS, scratch=True) as booted:
        yield booted


@pytest.fixture(scope="module", name="shell")
def fixture_shell(booted):
    """The guest's bash."""
    return Shell(booted[0]).wait_ready(BOOT_SECONDS)


def test_root_is_on_the_disk(shell):
    """/ is ext4 on a virtio disk, writable; the kernel has no complaint."""
    source, kind, options = shell.output("findmnt -n -o SOURCE,FSTYPE,OPTIONS /").split()
    assert re.fullmatch(r"/dev/vda\d*", source) and kind == "ext4" and "rw" in options.split(",")
    assert alarming(shell.output("dmesg -r")) == []


def test_disks(shell, disk):
    """The guest's disks are the partitions, of their sizes, and nothing else of the machine's disk can be seen."""
    sizes = dict(line.split() for line in shell.output("lsblk -n -b -d -o NAME,SIZE /dev/vd?").splitlines())
    assert sizes == {"vda": str(partition(disk, "debian-root").size), "vdb": str(partition(disk, "lintel-scratch").size)}


def test_file_is_on_the_disk(shell):
    """A file is the same when it is read from the disk and not from the page cache."""
    before = shell.output("head -c 2M /dev/urandom > /root/data; sync; sha256sum /root/data", 300)
    reads = "awk '{ print $3 }' /sys/block/vda/stat"
    shell.output("echo 3 > /proc/sys/vm/drop_caches")
    start = int(shell.output(reads))
    assert shell.output("sha256sum /root/data", 300) == before
    assert int(shell.output(reads)) - start >= 2 << 11, "the file did not come from the disk"


LONG = pytest.mark.long


@pytest.mark.parametrize("depth", [pytest.param(1, marks=LONG), pytest.param(4, marks=LONG), 32, pytest.param(128, marks=LONG)])
@pytest.mark.parametrize("pattern", ["write", "randwrite"])
def test_fio(shell, pattern, depth):
    """What fio writes, sequentially and randomly, with so many requests at a time, it reads again as it was."""
    fio(shell, SCRATCH, pattern, depth=depth)


@pytest.mark.parametrize("block", ["512", pytest.param("64k", marks=LONG), "1m"])
def test_fio_blocks(shell, block):
    """The same with small and with large requests, which are split."""
    fio(shell, SCRATCH, "randwrite", block=block, depth=8, size="512k" if block == "512" else "8m")


def test_fio_file(shell):
    """The same in a file of the root file system, with a flush after every 16 writes."""
    fio(shell, "/root/fio", "randrw", depth=16, size="8m", more="--fsync=16")


def test_scratch_reaches_the_disk(shell, disk):
    """What the guest has written to its second disk is in that partition of the image, from its first byte to its last."""
    part = partition(disk, "lintel-scratch")
    shell.output(f"printf first | dd of={SCRATCH} bs=512 conv=sync,fsync status=none")
    shell.output(f"printf last | dd of={SCRATCH} bs=512 seek={part.size // 512 - 1} conv=sync,fsync status=none")
    with open(disk, "rb") as image:
        image.seek(part.start)
        assert image.read(512) == b"first".ljust(512, b"\0")
        image.seek(part.start + part.size - 512)
        assert image.read(512) == b"last".ljust(512, b"\0")


def test_curl(booted, shell):
    """A client on the host gets a page from the guest's nginx, through the switch and the machine's network card."""
    assert shell.output("pidof nginx")
    assert "Debian under Lintel" in curl(f"http://127.0.0.1:{booted[1]['http']}/")


def test_ssh(booted, shell):
    """A login from the host works."""
    assert shell.output("hostname") == "debian\n"
    assert ssh(booted[1]["ssh"], "hostname; findmnt -n -o FSTYPE /").split() == ["debian", "ext4"]


@pytest.mark.parametrize("megabytes", [1, pytest.param(100, marks=pytest.mark.long)])
def test_nc(booted, shell, tmp_path, megabytes):
    """Bytes arrive as they were sent, in both directions."""
    digest = make_file(tmp_path / "data", megabytes << 20)
    assert send_to_guest(shell, booted[1]["data"], 5000, tmp_path / "data") == digest
    digest = shell.output(f"head -c {megabytes}M /dev/urandom > /root/sent; sha256sum < /root/sent", 900).split()[0]
    assert receive_from_guest(shell, booted[1]["data"], 5000, "/root/sent") == digest
    shell.output("rm /root/sent")


def test_reboot(shell):
    """After `reboot` the disk is the same."""
    shell.output("echo kept > /root/kept")
    shell.console.sendline("reboot")
    shell.console.expect(r"lintel: vm debian: stopped: reset\r?\n", timeout=120)
    shell.console.expect(READY, timeout=BOOT_SECONDS)
    shell.console.expect_exact("debian# ")
    assert shell.output("cat /root/kept") == "kept\n"
    assert "recover" not in shell.output("dmesg | grep EXT4-fs || true"), "it was not unmounted"


def test_poweroff(shell, disk):
    """A power-off leaves the file system unmounted and without a fault, with the guest's files in it."""
    log = shell.poweroff(timeout=300)
    assert report_of(log[log.index("stopped: reset") + 1 :], "debian").end == "poweroff"
    root = partition(disk, "debian-root")
    check_clean(root)
    assert extract(root, "/root/kept", disk.with_suffix(".files")).read_text() == "kept\n"
