# SPDX-License-Identifier: BSD-2-Clause
"""GUID partition tables, read and written. UEFI Specification, "GUID Partition Table (GPT) Disk Layout"."""

import struct
import uuid
import zlib
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError

SECTOR = 512
ENTRIES = 128
ENTRY = struct.Struct("<16s16sQQQ72s")
HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
SIGNATURE, REVISION = b"EFI PART", 0x10000
TABLE_SECTORS = ENTRIES * ENTRY.size // SECTOR
# At the end of the disk: the second copy of table and header.
TAIL_SECTORS = TABLE_SECTORS + 1
EFI_SYSTEM = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
DISK = uuid.UUID("4c494e54-454c-4000-8000-00000000000f")


@dataclass(frozen=True)
class Partition:
    """One entry; start and length in sectors."""

    kind: uuid.UUID
    unique: uuid.UUID
    name: str
    start: int
    sectors: int

    def packed(self) -> bytes:
        """As it lies on the disk."""
        return ENTRY.pack(self.kind.bytes_le, self.unique.bytes_le, self.start, self.start + self.sectors - 1, 0, self.name.encode("utf-16-le"))


def read(image: Path) -> list[Partition]:
    """The partitions of a disk image, in the order of the table."""
    with open(image, "rb") as file:
        file.seek(SECTOR)
        header = HEADER.unpack(file.read(HEADER.size))
        if header[0] != SIGNATURE or header[12] != ENTRY.size or header[11] > 1024:
            raise LabError(f"{image} has no GUID partition table")
        file.seek(header[10] * SECTOR)
        table = file.read(header[11] * ENTRY.size)
    found = []
    for kind, unique, first, last, _, name in ENTRY.iter_unpack(table):
        if any(kind):
            found.append(Partition(uuid.UUID(bytes_le=kind), uuid.UUID(bytes_le=unique), name.decode("utf-16-le").rstrip("\0"), first, last - first + 1))
    return found


def _header(own: int, other: int, table: int, sectors: int, entries: bytes) -> bytes:
    first, last = 2 + TABLE_SECTORS, sectors - TAIL_SECTORS - 1
    fields = [SIGNATURE, REVISION, HEADER.size, 0, 0, own, other, first, last, DISK.bytes_le, table, ENTRIES, ENTRY.size, zlib.crc32(entries)]
    fields[3] = zlib.crc32(HEADER.pack(*fields))
    return HEADER.pack(*fields)


def write(image: Path, partitions: list[Partition]) -> None:
    """Both copies of the table, and the MBR that protects them, into an image that has its size already."""
    sectors = image.stat().st_size // SECTOR
    entries = b"".join(partition.packed() for partition in partitions).ljust(ENTRIES * ENTRY.size, b"\0")
    protective = struct.pack("<B3sB3sII", 0, b"\x00\x02\x00", 0xEE, b"\xff\xff\xff", 1, min(sectors - 1, 0xFFFFFFFF))
    with open(image, "r+b") as file:
        file.write(bytes(440) + struct.pack("<IH", 0x4C494E54, 0) + protective + bytes(48) + b"\x55\xaa")
        file.write(_header(1, sectors - 1, 2, sectors, entries))
        file.seek(2 * SECTOR)
        file.write(entries)
        file.seek((sectors - TAIL_SECTORS) * SECTOR)
        file.write(entries)
        file.write(_header(sectors - 1, 1, sectors - TAIL_SECTORS, sectors, entries))
