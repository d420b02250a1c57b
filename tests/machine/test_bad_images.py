# SPDX-License-Identifier: BSD-2-Clause
"""Kernels and machines that do not fit: each is told by file, line and key, stops only its own VM, and another VM starts."""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

import pytest
from lablib.machine import boot
from support import tiny
from support.esp import GUESTS, make_esp
from support.exits import report_of

MEBIBYTE = 1 << 20


@dataclass
class Case:
    """A VM whose line with `key` is told to be wrong, with a message that matches `reason`."""

    name: str
    kernel: str
    key: str
    reason: str
    memory: str = "32M"
    more: str = ""


def damaged(data: bytes, offset: int, fmt: str, value: int) -> bytes:
    """The file with one field changed."""
    copy = bytearray(data)
    struct.pack_into(fmt, copy, offset, value)
    return bytes(copy)


def head(path: Path, size: int) -> bytes:
    """A file's beginning."""
    with open(path, "rb") as file:
        return file.read(size)


def bzimage_shape() -> tuple[int, int]:
    """(where the protected-mode code begins, its size), from the setup header: Linux, "The Linux/x86 Boot Protocol"."""
    setup = head(GUESTS / "vmlinuz", 1024)
    return 512 * (setup[0x1F1] + 1), 16 * struct.unpack_from("<I", setup, 0x1F4)[0]


def files() -> dict[str, bytes | Path]:
    """Spoiled kernels, made of the real ones."""
    elf, bz = head(GUESTS / "vmlinux", MEBIBYTE), head(GUESTS / "vmlinuz", MEBIBYTE)
    return {
        "guest": tiny.debug_exit(0x2A),
        "good-bz": GUESTS / "vmlinuz",
        "elf-cut": elf,
        "elf-machine": damaged(elf, 18, "<H", 40),
        "elf-type": damaged(elf, 16, "<H", 3),
        "elf-phent": damaged(elf, 54, "<H", 17),
        "bz-cut": bz,
        "bz-flag": damaged(bz, 0x1FE, "<H", 0x1234),
        "bz-version": damaged(bz, 0x206, "<H", 0x0203),
        "bz-32bit": damaged(bz, 0x236, "<H", 0),
        "garbage": bytes(range(256)) * 16,
        "empty": b"",
    }


CASES = [
    Case("missing", "nowhere", "kernel = nowhere", "there is no such file"),
    Case("empty", "empty", "kernel = empty", "the file is empty"),
    Case("garbage", "garbage", "kernel = garbage", "not a Linux bzImage, ELF vmlinux or Multiboot image"),
    Case("no-module", "guest", "module = nowhere", "there is no such file", more="module = nowhere with arguments"),
    Case("no-initrd", "guest", "initrd = nowhere", "there is no such file", more="initrd = nowhere"),
    Case("elf-cut", "elf-cut", "kernel = elf-cut", r"truncated: segment \d+ has \d+ bytes at \d+, the file has 1048576 bytes"),
    Case("elf-machine", "elf-machine", "kernel = elf-machine", r"an ELF for machine 40, expected x86-64 \(62\)"),
    Case("elf-type", "elf-type", "kernel = elf-type", r"an ELF of type 3, expected an executable \(2\)"),
    Case("elf-phent", "elf-phent", "kernel = elf-phent", "ELF program headers of 17 bytes, expected 56"),
    Case("bz-cut", "bz-cut", "kernel = bz-cut", r"truncated: header says (\d+) bytes of protected-mode code from byte (\d+), the file has 1048576"),
    Case("bz-flag", "bz-flag", "kernel = bz-flag", "bzImage boot flag 0x1234, expected 0xaa55"),
    Case("bz-version", "bz-version", "kernel = bz-version", r"boot protocol 2\.03, expected 2\.12 or newer \(Linux 3\.8\)"),
    Case("bz-32bit", "bz-32bit", "kernel = bz-32bit", r"a 32-bit kernel \(xloadflags 0\), expected one for x86-64"),
    Case("too-large", "good-bz", "memory = 32M", r"the kernel needs (\d+) bytes at 0x[0-9a-f]+, that is (\d+) MiB of memory; the VM has 32 MiB \(32 MiB below the PCI hole\)"),
    Case("greedy", "guest", "memory = 65536M", r"the machine has (\d+) MiB free: give vm greedy less", memory="64G"),
]


@pytest.fixture(scope="module")
def config() -> str:
    """All of them, and a VM that is right."""
    text = ""
    for case in CASES:
        text += f"[vm {case.name}]\nmemory = {case.memory}\nkernel = {case.kernel}\n{case.more}\n"
    return text + "[vm good]\nmemory = 32M\nkernel = guest\ndebug-exit = 0xf4\n"


@pytest.fixture(scope="module")
def log(config):
    """What Lintel says to all of them."""
    with boot(esp=make_esp("bad-images", config, files()), name="test-bad-images") as machine:
        machine.wait_poweroff(180)
        yield machine.log_text()


def message(log: str, case: Case) -> re.Match[str] | None:
    """The one line that says it."""
    return re.search(rf"^lintel: error: lintel\.conf:(\d+): {case.key}: {case.reason}$", log, re.MULTILINE)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_message(log, config, case):
    """The reason is told, with the line of the key that it is about, and the VM is not started."""
    found = message(log, case)
    assert found, f"no message of {case.name}: {[line for line in log.splitlines() if 'error' in line]}"
    lines = config.splitlines()
    first = lines.index(f"[vm {case.name}]")
    assert first < int(found[1]) - 1 <= first + 4 and lines[int(found[1]) - 1].split()[0] == case.key.split()[0]
    assert f"\nlintel: error: vm {case.name}: not started\n" in log
    assert f"vm {case.name}: started" not in log


def test_other_vm_runs(log):
    """The one VM that is right is started after all of them, runs, and ends as it should."""
    assert log.count(": started: ") == 1
    assert report_of(log, "good").end == "debug-exit 0x2a"


def test_truncated_sizes(log):
    """A truncated bzImage is told with the sizes that its header really names."""
    found = message(log, next(case for case in CASES if case.name == "bz-cut"))
    begins, size = bzimage_shape()
    assert (int(found[2]), int(found[3])) == (size, begins)


def test_needed_memory(log):
    """A kernel that is larger than its VM is told with a size that would do: as many MiB, rounded up."""
    found = message(log, next(case for case in CASES if case.name == "too-large"))
    assert int(found[3]) > 32
    assert int(found[3]) * MEBIBYTE >= int(found[2])


def test_free_memory(log):
    """What the machine has free is what the lab gave it, less what the VMs before it in the configuration ask for, and not much less."""
    found = message(log, next(case for case in CASES if case.name == "greedy"))
    before = 32 * len([case for case in CASES if case.name not in ("greedy", "missing", "empty", "no-initrd", "no-module")])
    assert 950 - before < int(found[2]) < 1024 - before


def test_memory_is_given_back(log):
    """VMs that were not started have given their memory back: the last one finds as much as the first."""
    assert not re.search(r"vm good: not started|give vm good less", log)
