# SPDX-License-Identifier: BSD-2-Clause
"""ESP folders for tests: Lintel, a configuration and the files that it names."""

import os
import shutil
from pathlib import Path

from lablib.paths import REPOSITORY

BUILD = REPOSITORY / "build"
IMAGE = BUILD / "lintel.efi"
GUESTS = BUILD / "guests"
AMD64_GUESTS = BUILD / "guests-amd64"
MICRO = BUILD / "micro"
FOLDERS = BUILD / "test-esp"

CMDLINE = "console=ttyS0 console=hvc0 quiet rdinit=/init cryptomgr.notests"
# On the serial port alone, with all that the kernel says: `console = uart` in the VM's section goes with it.
CMDLINE_UART = "console=ttyS0,115200 rdinit=/init cryptomgr.notests"
# The guest switches itself off as soon as it has a user mode: for boots where nobody needs a shell.
CMDLINE_POWEROFF = "console=ttyS0,115200 rdinit=/bin/busybox cryptomgr.notests -- poweroff -f"


def linux(name: str = "debian", kernel: str = "vmlinux", cmdline: str = CMDLINE, memory: str = "256M", more: str = "") -> str:
    """A section that boots the Linux guest."""
    return f"[vm {name}]\nmemory = {memory}\nkernel = {kernel}\ninitrd = initrd.img\ncmdline = {cmdline}\n{more}\n"


def _place(source: Path, target: Path) -> None:
    """A hard link where possible: kernels are large."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def make_esp(name: str, config: str | bytes, files: dict[str, bytes | Path] | None = None, guests: Path = GUESTS) -> Path:
    """A fresh folder build/test-esp/NAME. `files` are placed beside lintel.conf: as bytes, or as the path of a file. Files of the default
    guest come by themselves when the configuration names them."""
    folder = FOLDERS / name
    shutil.rmtree(folder, ignore_errors=True)
    lintel = folder / "EFI/lintel"
    lintel.mkdir(parents=True)
    (folder / "EFI/BOOT").mkdir()
    _place(IMAGE, folder / "EFI/BOOT/BOOTX64.EFI")
    text = config.encode() if isinstance(config, str) else config
    (lintel / "lintel.conf").write_bytes(text)
    for file, content in (files or {}).items():
        if isinstance(content, bytes):
            (lintel / file).write_bytes(content)
        else:
            _place(content, lintel / file)
    for file in ("vmlinux", "vmlinuz", "initrd.img"):
        if f"= {file}".encode() in text and not (lintel / file).exists():
            _place(guests / file, lintel / file)
    return folder
