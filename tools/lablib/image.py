# SPDX-License-Identifier: BSD-2-Clause
"""Disk images: an EFI system partition made from a folder, with mtools, without root."""

import os
import shutil
import struct
import subprocess
import uuid
from dataclasses import replace
from pathlib import Path

from . import gpt
from .errors import LabError

SECTOR = 512
PARTITION_START = 1 << 20
# Bochs derives the disk's geometry from 16 heads of 63 sectors and cannot reach a partial cylinder.
CYLINDER = 16 * 63 * SECTOR
CLUSTER_SLACK = 32 << 10
EFI_SYSTEM = 0xEF
LINUX = 0x83
ESP_UUID = uuid.UUID("4c494e54-454c-4000-8000-000000000010")


def _content_size(folder: Path) -> int:
    """Bytes that the files take, each with a cluster to spare."""
    total = 0
    for parent, folders, files in os.walk(folder, followlinks=True):
        total += CLUSTER_SLACK * (len(folders) + len(files))
        total += sum(os.path.getsize(os.path.join(parent, name)) for name in files)
    return total


def _partition_table(sectors: int) -> bytes:
    """An MBR with one EFI system partition."""
    entry = struct.pack("<B3sB3sII", 0, b"\x00\x02\x00", EFI_SYSTEM, b"\xfe\xff\xff", PARTITION_START // SECTOR, sectors)
    # A signature of its own: OVMF names boot options after it, and one of zero is the same as no disk.
    return bytes(440) + struct.pack("<IH", 0x4C494E54, 0) + entry + bytes(48) + b"\x55\xaa"


def _mtools(*words: str) -> None:
    try:
        run = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env={**os.environ, "MTOOLS_SKIP_CHECK": "1"})
    except FileNotFoundError:
        raise LabError(f"{words[0]} is missing: run tools/setup lab") from None
    if run.returncode != 0:
        raise LabError(f"{' '.join(words[:3])}: {run.stderr.strip() or run.stdout.strip()}")


def _esp_size(folder: Path, spare: int) -> int:
    return max(_content_size(folder) * 65 // 64 + spare, 40 << 20)


def _fill_esp(image: Path, start: int, sectors: int, folder: Path) -> None:
    """A FAT file system with the folder's content, from the byte `start` of the image."""
    place = f"{image}@@{start}"
    _mtools("mformat", "-i", place, "-T", str(sectors), "-h", "16", "-s", "63", "-H", str(start // SECTOR), "-N", "4c494e54", "-v", "LINTEL", "::")
    _mtools("mcopy", "-i", place, "-s", "-Q", "-m", *sorted(str(entry) for entry in folder.iterdir()), "::")


def make_esp(folder: Path, target: Path, spare: int = 16 << 20) -> None:
    """Writes a disk image with one FAT partition that holds the folder's content and some space to spare."""
    size = PARTITION_START + _esp_size(folder, spare)
    size = (size + CYLINDER - 1) // CYLINDER * CYLINDER
    sectors = (size - PARTITION_START) // SECTOR
    with open(target, "wb") as image:
        image.write(_partition_table(sectors))
        image.truncate(size)
    _fill_esp(target, PARTITION_START, sectors, folder)


def append_partition(disk: Path, content: Path) -> None:
    """Puts a file behind the partition of an image that make_esp has made, as its second one."""
    start = disk.stat().st_size
    size = content.stat().st_size
    end = (start + size + CYLINDER - 1) // CYLINDER * CYLINDER
    os.truncate(disk, end)
    copy_range(content, 0, disk, start, size)
    entry = struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", LINUX, b"\xfe\xff\xff", start // SECTOR, (size + SECTOR - 1) // SECTOR)
    with open(disk, "r+b") as file:
        file.seek(446 + 16)
        file.write(entry)


def make_disk(folder: Path, further: Path | None, target: Path, spare: int = 16 << 20) -> None:
    """Writes a disk image with GPT: an EFI system partition as above, and copies of all partitions of another image, if there is one, with
    their names."""
    mib = 1 << 20
    esp_sectors = (_esp_size(folder, spare) + mib - 1) // mib * mib // SECTOR
    partitions = [gpt.Partition(gpt.EFI_SYSTEM, ESP_UUID, "EFI system", PARTITION_START // SECTOR, esp_sectors)]
    place = PARTITION_START // SECTOR + esp_sectors
    sources = gpt.read(further) if further else []
    for source in sources:
        partitions.append(replace(source, start=place))
        place += (source.sectors * SECTOR + mib - 1) // mib * mib // SECTOR
    size = ((place + gpt.TAIL_SECTORS) * SECTOR + CYLINDER - 1) // CYLINDER * CYLINDER
    with open(target, "wb") as image:
        image.truncate(size)
    gpt.write(target, partitions)
    _fill_esp(target, PARTITION_START, esp_sectors, folder)
    for source, copy in zip(sources, partitions[1:]):
        assert further
        copy_range(further, source.start * SECTOR, target, copy.start * SECTOR, source.sectors * SECTOR)


def copy_image(source: Path, target: Path) -> None:
    """A private copy of a disk image, padded to whole cylinders; holes stay holes where cp can keep them."""
    if subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(source), str(target)], check=False, capture_output=True).returncode != 0:
        shutil.copyfile(source, target)
    target.chmod(0o644)
    size = target.stat().st_size
    if size % CYLINDER:
        os.truncate(target, (size + CYLINDER - 1) // CYLINDER * CYLINDER)


def copy_range(source: Path, source_start: int, target: Path, target_start: int, size: int) -> None:
    """Bytes of one file into another, which is empty there: what is zero is not written."""
    chunk = 1 << 20
    with open(source, "rb") as reader, open(target, "r+b") as writer:
        for offset in range(0, size, chunk):
            reader.seek(source_start + offset)
            data = reader.read(min(chunk, size - offset))
            if data.count(0) != len(data):
                writer.seek(target_start + offset)
                writer.write(data)
