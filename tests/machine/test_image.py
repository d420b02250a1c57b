# SPDX-License-Identifier: BSD-2-Clause
"""The built image itself: what the firmware is asked to map, how large it is, and that the check of its objects finds what must not be there."""

import struct
import subprocess
from dataclasses import dataclass

import pytest
from lablib.paths import REPOSITORY
from support.esp import IMAGE

PAGE = 4096
EXECUTE, READ, WRITE = 0x20000000, 0x40000000, 0x80000000
EFI_APPLICATION, NX_COMPATIBLE, DYNAMIC_BASE = 10, 0x100, 0x40
CHECK_OBJECTS = REPOSITORY / "tools/check-objects"
FLAGS = ["-O2", "-ffreestanding", "-fno-stack-protector", "-c", "-x", "c", "-"]


@dataclass
class Section:
    """One line of the section table."""

    name: str
    size: int
    address: int
    flags: int


@dataclass
class Image:
    """The PE headers. Microsoft, "PE Format"."""

    alignment: int
    size: int
    subsystem: int
    characteristics: int
    sections: list[Section]


@pytest.fixture(scope="module")
def image():
    """build/lintel.efi"""
    data = IMAGE.read_bytes()
    pe = struct.unpack_from("<I", data, 0x3C)[0]
    assert data[:2] == b"MZ" and data[pe : pe + 4] == b"PE\0\0"
    machine, count = struct.unpack_from("<HH", data, pe + 4)
    optional_size = struct.unpack_from("<H", data, pe + 20)[0]
    optional = pe + 24
    assert machine == 0x8664 and struct.unpack_from("<H", data, optional)[0] == 0x20B
    sections = []
    for index in range(count):
        name, size, address = struct.unpack_from("<8sII", data, optional + optional_size + 40 * index)
        flags = struct.unpack_from("<I", data, optional + optional_size + 40 * index + 36)[0]
        sections.append(Section(name.rstrip(b"\0").decode(), size, address, flags))
    alignment = struct.unpack_from("<I", data, optional + 32)[0]
    total = struct.unpack_from("<I", data, optional + 56)[0]
    subsystem, characteristics = struct.unpack_from("<HH", data, optional + 68)
    return Image(alignment, total, subsystem, characteristics, sections)


def test_application(image):
    """It is an EFI application that says that it can be loaded anywhere and run with data that is not executable."""
    assert image.subsystem == EFI_APPLICATION
    assert image.characteristics & NX_COMPATIBLE and image.characteristics & DYNAMIC_BASE


def test_no_section_is_writable_and_executable(image):
    """Secure firmware maps each section with its own rights: W^X, and one section alone is code."""
    assert [section.name for section in image.sections if section.flags & WRITE and section.flags & EXECUTE] == []
    assert [section.name for section in image.sections if section.flags & EXECUTE] == [".text"]
    rights = {section.name: section.flags & (READ | WRITE | EXECUTE) for section in image.sections}
    assert rights[".rodata"] == READ and rights[".data"] == READ | WRITE


def test_sections_are_pages_of_their_own(image):
    """Each section begins a page, so that rights can be set page by page; none overlaps another."""
    assert image.alignment == PAGE
    place = 0
    for section in sorted(image.sections, key=lambda section: section.address):
        assert section.address % PAGE == 0 and section.address >= place, section.name
        place = section.address + section.size
    assert image.size >= place


def test_size(image):
    """Code and data of the VMM, as they lie in memory, stay below 1 MiB."""
    assert sum(section.size for section in image.sections) < 1 << 20
    assert image.size < 1 << 20


def check_objects(tmp_path, source: str, *flags: str) -> subprocess.CompletedProcess:
    """What tools/check-objects says to an object that is compiled from `source`."""
    target = tmp_path / "planted.o"
    subprocess.run(["gcc", *flags, *FLAGS, "-o", str(target)], input=source, text=True, check=True)
    return subprocess.run([CHECK_OBJECTS, target], capture_output=True, text=True, check=False)


PLAIN = "int twice(int x) { return 2 * x; }"
# A leaf function that needs memory below its stack pointer.
RED_ZONE = "int pick(int i) { volatile int a[8] = { 0 }; a[i & 7] = i; return a[3]; }"


def test_check_accepts_plain_code(tmp_path):
    """The project's own flags and plain code pass."""
    run = check_objects(tmp_path, PLAIN + RED_ZONE, "-fpie", "-mno-red-zone", "-mgeneral-regs-only")
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    "source, flags, complaint",
    [
        ("double half(double x) { return x / 2; }", ["-mno-red-zone"], "vector or x87 registers"),
        ("long double half(long double x) { return x / 2; }", ["-mno-red-zone"], "vector or x87 registers"),
        (RED_ZONE, ["-mred-zone", "-mgeneral-regs-only"], "red zone"),
        ("extern int far; int get(void) { return far; }", ["-fPIC", "-mno-red-zone", "-mgeneral-regs-only"], "global offset table"),
    ],
    ids=["sse", "x87", "red-zone", "got"],
)
def test_check_refuses(tmp_path, source, flags, complaint):
    """Vector and x87 registers, the red zone and a global offset table are each found, and named."""
    run = check_objects(tmp_path, source, *flags)
    assert run.returncode != 0 and complaint in run.stderr
