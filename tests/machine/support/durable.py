# SPDX-License-Identifier: BSD-2-Clause
"""What guests/linux/durable.c has written, read on the host; the format is described there."""

import re
import struct
import zlib
from pathlib import Path

HEADER = struct.Struct("<IIQII")
MAGIC = 0x4C425244
RECORDS_PER_FILE = 64
MAX_PAYLOAD = 16384
TOLD = re.compile(r"^durable (\d+)\n", re.MULTILINE)


def _scan(path: Path, first: int) -> int:
    """The number of the last good record in the file that begins with `first`; first - 1 if there is none."""
    number = first
    data = path.read_bytes() if path.exists() else b""
    place = 0
    while number < first + RECORDS_PER_FILE and place + HEADER.size <= len(data):
        magic, size, found, crc, _ = HEADER.unpack_from(data, place)
        payload = data[place + HEADER.size : place + HEADER.size + size]
        if magic != MAGIC or found != number or size > MAX_PAYLOAD or len(payload) != size or zlib.crc32(payload) != crc:
            break
        place += HEADER.size + size
        number += 1
    return number - 1


def last_intact(folder: Path) -> int:
    """Records 1 to this one are there, without a gap."""
    last = 0
    while (found := _scan(folder / f"log-{last + 1:08}", last + 1)) > last:
        last = found
    return last


def head(folder: Path) -> int:
    """The number in the file `head`; 0 when there is none yet."""
    path = folder / "head"
    return int(path.read_text()) if path.exists() else 0


def durable_lines(log: str) -> list[int]:
    """The numbers that were told; a line that was cut short tells nothing."""
    return [int(number) for number in TOLD.findall(log)]
