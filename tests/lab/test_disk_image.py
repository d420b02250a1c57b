# SPDX-License-Identifier: BSD-2-Clause
"""What `make image` and `make run` do with the default guest's disk: one image of all partitions; a disk that one run has at a time; ports that are free."""

import fcntl
import socket
import subprocess
import uuid

import pytest
from lablib import gpt
from lablib.errors import LabError
from lablib.image import make_disk
from lablib.paths import REPOSITORY
from lablib.ports import free_port
from support.disk import partition, run_tool

INDEPENDENT = True

KIND = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")


@pytest.fixture(name="esp")
def fixture_esp(tmp_path):
    """A folder that passes for an EFI system partition."""
    folder = tmp_path / "esp"
    (folder / "EFI/BOOT").mkdir(parents=True)
    (folder / "EFI/BOOT/BOOTX64.EFI").write_bytes(b"MZ")
    return folder


@pytest.fixture(name="disk")
def fixture_disk(tmp_path):
    """A disk of 4 MiB with two partitions, each with a mark in its first and last sector."""
    image = tmp_path / "disk.img"
    with open(image, "wb") as file:
        file.truncate(4 << 20)
    gpt.write(image, [gpt.Partition(KIND, uuid.UUID(int=number), name, start, length) for number, (name, start, length) in enumerate([("first", 2048, 2048), ("second", 4096, 1000)], 1)])
    with open(image, "r+b") as file:
        for start, length, mark in ((2048, 2048, b"one"), (4096, 1000, b"two")):
            for sector in (start, start + length - 1):
                file.seek(sector * gpt.SECTOR)
                file.write(mark)
    return image


def test_all_partitions_in_one_image(esp, disk, tmp_path):
    """The image has the EFI system partition first and copies of the others, with names, identities and content; sfdisk finds no fault in the table."""
    whole = tmp_path / "whole.img"
    make_disk(esp, disk, whole)
    assert "No errors detected" in run_tool("sfdisk", "--verify", str(whole)).stdout
    system, *others = gpt.read(whole)
    assert system.kind == gpt.EFI_SYSTEM
    assert [(part.name, part.kind, part.unique, part.sectors) for part in others] == [(part.name, part.kind, part.unique, part.sectors) for part in gpt.read(disk)]
    listed = subprocess.run(["mdir", "-i", f"{whole}@@{system.start * gpt.SECTOR}", "::/EFI/BOOT"], capture_output=True, text=True, check=True).stdout
    assert "BOOTX64" in listed
    data = whole.read_bytes()
    for label, mark in (("first", b"one"), ("second", b"two")):
        part = partition(whole, label)
        assert data[part.start :][:3] == mark and data[part.start + part.size - gpt.SECTOR :][:3] == mark


def test_no_table(esp, tmp_path):
    """A file without a partition table is refused by its name."""
    (tmp_path / "empty.img").write_bytes(bytes(1 << 20))
    with pytest.raises(LabError, match="empty.img has no GUID partition table"):
        make_disk(esp, tmp_path / "empty.img", tmp_path / "whole.img")


def test_disk_of_another_run(esp, disk):
    """Two runs cannot write to one disk: the second is refused, and told what to do."""
    with open(disk, "r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        run = subprocess.run([REPOSITORY / "tools/run", "--esp", esp, "--guest-disk", disk, "--name", "test-disk-taken"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 2 and "another run has it; give this one a copy of its own" in run.stderr


def test_ports():
    """The wanted port if it is free, else another one."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) not in (0, port)
    assert free_port(port) == port
