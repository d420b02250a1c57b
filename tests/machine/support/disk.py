# SPDX-License-Identifier: BSD-2-Clause
"""Disk images of guests on the host: copies, partitions, and what e2fsprogs says about the file system in one."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lablib.image import copy_image, copy_range
from lablib.paths import REPOSITORY

from .esp import GUESTS

SECTOR = 512
KEY = GUESTS / "debian.key"
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"


@dataclass
class Partition:
    """A partition of an image, for e2fsprogs and for reading."""

    image: Path
    label: str
    start: int  # bytes
    size: int

    @property
    def place(self) -> str:
        """As e2fsprogs spell it."""
        return f"{self.image}?offset={self.start}" if self.start else str(self.image)


def run_tool(*words: str) -> subprocess.CompletedProcess:
    """One of the tools that Debian has in sbin; its output and errors together."""
    return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env={**os.environ, "PATH": PATH})


def guest_disk() -> Path:
    """build/guests/debian.img, as new as its recipe."""
    made = run_tool(str(REPOSITORY / "guests/linux/rootfs"), str(GUESTS))
    assert made.returncode == 0, made.stdout
    return GUESTS / "debian.img"


def fresh_disk(name: str) -> Path:
    """A copy of the default guest's disk, which a test may write to."""
    copy = REPOSITORY / "build/test-disks" / f"{name}.img"
    copy.parent.mkdir(parents=True, exist_ok=True)
    source = guest_disk()
    copy_image(source, copy)
    return copy


def partition(image: Path, label: str) -> Partition:
    """By the label in the GPT."""
    listed = run_tool("sfdisk", "--json", str(image))
    assert listed.returncode == 0, listed.stdout
    for entry in json.loads(listed.stdout)["partitiontable"]["partitions"]:
        if entry.get("name") == label:
            return Partition(image, label, entry["start"] * SECTOR, entry["size"] * SECTOR)
    raise AssertionError(f"{image} has no partition {label}")


def check_clean(part: Partition) -> None:
    """The file system was unmounted, and a full check finds nothing to complain about."""
    state = run_tool("dumpe2fs", "-h", part.place)
    assert re.search(r"^Filesystem state: +clean$", state.stdout, re.MULTILINE), state.stdout
    assert "needs_recovery" not in state.stdout, "the journal holds something: it was not unmounted"
    check_consistent(part)


def check_consistent(part: Partition) -> None:
    """A full check finds nothing to complain about."""
    check = run_tool("e2fsck", "-f", "-n", part.place)
    assert check.returncode == 0, check.stdout


def recovered_copy(part: Partition, target: Path) -> Partition:
    """A copy of the partition alone, after what mounting does when the power has failed: the journal is replayed, and nothing else is mended."""
    with open(target, "wb") as file:
        file.truncate(part.size)
    copy_range(part.image, part.start, target, 0, part.size)
    copy = Partition(target, part.label, 0, part.size)
    replay = run_tool("e2fsck", "-y", "-E", "journal_only", copy.place)
    assert replay.returncode in (0, 1), replay.stdout
    return copy


def extract(part: Partition, path: str, target: Path) -> Path:
    """A folder or file of the file system, as a copy below `target`."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    dump = run_tool("debugfs", "-R", f"rdump {path} {target}", part.place)
    found = target / Path(path).name
    assert found.exists(), dump.stdout
    return found
