# SPDX-License-Identifier: BSD-2-Clause
"""The machine `nested`: Bochs boots a Linux (L0), whose KVM and QEMU run Lintel. So a second VT-x judges Lintel, and QEMU's devices are there with it.

Bochs' first disk holds L0 and, in a second partition, QEMU; what L0 is to do is written behind the first disk's table of partitions. Lintel's own disks are
Bochs' further ones, its serial line Bochs' first one, and its network card's frames come and go by Bochs' card (guests/nested-host).
"""

import fcntl
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from . import bochs, firmware, image, qemu
from .errors import LabError
from .options import Disk, Net, Options
from .paths import REPOSITORY, TOOLS, cache

GUESTS = REPOSITORY / "build/guests"
HOST = REPOSITORY / "guests/nested-host"
# What waits for real time takes longer with more; guests' ticks take most of the time with less; above 429 kvm_intel has no preemption timer.
MHZ = 250
# For L0 and QEMU, beside Lintel's machine. MiB.
HOST_MEMORY = 1024
# Bochs delivers virtual interrupts by rules of its own (docs/lab.md).
KVM_INTEL = {"nested": "1", "enable_apicv": "0", "enable_shadow_vmcs": "1"}
WORDS_AT, WORDS_END = 32 << 10, 1 << 20
NET_PORT = 4000
LOG = "host.log"
# Download, what is unpacked, the image, and the copy that a run has.
ROOM = 700 << 20
MIB = 1 << 20
FLASH_SECTOR = 4096  # QEMU's


# --- can it be had?


def _unpacked() -> Path:
    return cache() / "qemu"


def why_not() -> str:
    """The reason why this machine cannot be had here, or an empty string. Starts no download."""
    reason = bochs.why_not()
    if reason:
        return reason
    if not (_unpacked() / "complete").is_file() and not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return "there is no apt-get to fetch Debian's QEMU"
    return ""


def describe() -> str:
    """For `lab machines`."""
    if (_unpacked() / "complete").is_file():
        return f"Debian's QEMU, unpacked in {_unpacked()}"
    return "Debian's QEMU, to be downloaded once (42 MB) and unpacked, not installed"


# --- the disk with L0 and QEMU


def _run(what: str, *words: str) -> str:
    try:
        run = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=_environment())
    except FileNotFoundError:
        raise LabError(f"nested: {words[0]} is missing: run tools/setup nested") from None
    if run.returncode != 0:
        raise LabError(f"nested: {what}: {run.stdout.strip()}")
    return run.stdout


def _environment() -> dict[str, str]:
    """mke2fs is in sbin, which is not in every user's PATH."""
    return {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}


def _need_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < ROOM:
        raise LabError(f"nested: its images need {ROOM // MIB} MiB in {folder}, and {free // MIB} MiB are free there; LINTEL_CACHE names another folder")


def _fetch() -> Path:
    if not (_unpacked() / "complete").is_file():
        run = subprocess.run([str(TOOLS / "fetch-qemu")], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=False)
        if run.returncode != 0:
            raise LabError("nested: Debian's QEMU could not be fetched: see the lines above. The other machines do without")
    return _unpacked()


def _identity(root: Path, flash: tuple[Path, Path]) -> str:
    """Of all that the disk is made of."""
    stamp = GUESTS / "linux.stamp"
    if not stamp.is_file():
        raise LabError("nested: its Linux is the default guest's kernel: run `make guests` first")
    digest = hashlib.sha256()
    for file in (stamp, root / "complete", *sorted(HOST.iterdir()), TOOLS / "uki", Path(__file__)):
        digest.update(file.read_bytes())
    digest.update(f"{flash[0]} {flash[0].stat().st_mtime_ns}".encode())
    return digest.hexdigest()[:12]


def _tree_size(folder: Path) -> int:
    """As `du` counts, in KiB."""
    return int(_run("du", "du", "-s", "-k", str(folder)).split()[0])


def _root_partition(root: Path, flash: tuple[Path, Path], work: Path) -> Path:
    """An ext4 file system with QEMU, its firmware, and what L0 has for it. It is only read: no journal."""
    extra = work / "extra"
    (extra / "ovmf").mkdir()
    for folder in ("dev", "proc", "sys", "tmp"):
        (extra / folder).mkdir()
    shutil.copyfile(flash[0], extra / "ovmf/CODE.fd")
    shutil.copyfile(flash[1], extra / "ovmf/VARS.fd")
    tree = work / "tree"
    _run("copying QEMU", "cp", "-a", "--reflink=auto", str(root), str(tree))
    _run("copying its firmware", "cp", "-a", f"{extra}/.", str(tree))
    target = work / "root.img"
    blocks = _tree_size(tree) * 9 // 8 + 8192
    _run("mke2fs", "mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-L", "qemu", "-d", str(tree), str(target), f"{blocks}k")
    return target


def _disk(work: Path, root: Path, flash: tuple[Path, Path]) -> Path:
    """L0's EFI system partition, and the file system as a second one."""
    esp = work / "esp"
    (esp / "EFI/BOOT").mkdir(parents=True)
    (work / "extra").mkdir()
    _run("L0", str(HOST / "build"), str(esp / "EFI/BOOT/BOOTX64.EFI"), str(work / "extra/host"), str(GUESTS))
    disk = work / "disk.img"
    image.make_esp(esp, disk, spare=1 << 20)
    second = _root_partition(root, flash, work)
    image.append_partition(disk, second)
    return disk


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Another run may be making the disk, or taking an old one away."""
    cache().mkdir(parents=True, exist_ok=True)
    with open(cache() / "nested.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def host_disk() -> Path:
    """The disk, made once for each version of what it is made of."""
    known = (_unpacked() / "complete").is_file() and any(cache().glob("nested-*.img"))
    if not known:
        _need_room(cache())
    root = _fetch()
    flash = firmware.pair(unpacked_first=True)
    if flash is None:
        raise LabError("nested: there is no OVMF firmware for QEMU: install the package ovmf")
    target = cache() / f"nested-{_identity(root, flash)}.img"
    if target.is_file():
        return target
    _need_room(cache())
    with tempfile.TemporaryDirectory(prefix="nested.", dir=cache()) as work:
        made = _disk(Path(work), root, flash)
        for old in cache().glob("nested-*.img"):
            old.unlink()
        made.rename(target)
    return target


# --- one run


def _flash(options: Options, folder: Path) -> list[Disk]:
    """The firmware that was asked for, as a disk: both files, one behind the other."""
    if not options.firmware:
        return []
    disk = folder / "firmware.img"
    data = b"".join(part.read_bytes() for part in options.firmware)
    # Bochs knows whole cylinders alone.
    disk.write_bytes(data.ljust(-(-len(data) // image.CYLINDER) * image.CYLINDER, b"\0"))
    return [Disk(disk)]


def _flash_words(options: Options) -> str:
    """Where it is, for L0: the number of the disk, and the pages of each file."""
    if not options.firmware:
        return ""
    sizes = [part.stat().st_size for part in options.firmware]
    if any(size % FLASH_SECTOR for size in sizes):
        raise LabError(f"--firmware: sizes {sizes} are not whole sectors of flash, {FLASH_SECTOR} bytes")
    return " ".join(str(number) for number in [1 + len(options.disks), *(size // FLASH_SECTOR for size in sizes)])


def _qemu_options(options: Options) -> Options:
    """What QEMU gets: the disks by their places, the card's frames at a port."""
    net = Net([], options.net.model, NET_PORT) if options.net else None
    return replace(options, disks=[Disk(Path(f"/dev/lintel/disk{number}"), disk.bus) for number, disk in enumerate(options.disks, 1)], net=net)


def host_words(options: Options) -> str:
    """What L0's first process is to do; see guests/nested-host/init."""
    command = qemu.argv(_qemu_options(options), Path("/dev/lintel/disk0"), Path("/tmp/CODE.fd" if options.firmware else "/ovmf/CODE.fd"), Path("/tmp/VARS.fd"), "stdio,id=com1,signal=off")
    parameters = {**KVM_INTEL, **options.kvm_intel}
    return "\n".join(
        [
            f"host_kvm_intel={shlex.quote(' '.join(f'{name}={value}' for name, value in parameters.items()))}",
            f"host_cpus={options.cpus}",
            f"host_count={'yes' if options.count_exits else ''}",
            f"host_disks={1 + len(options.disks) + bool(options.firmware)}",
            f"host_firmware={shlex.quote(_flash_words(options))}",
            f"host_net={NET_PORT if options.net else ''}",
            f'host_qemu() {{ exec "$@" {shlex.join([*command, "-no-reboot"])}; }}',
            "",
        ]
    )


def prepare(folder: Path, options: Options, boot_image: Path, serial: str) -> bochs.Bochs:
    """Writes the run's bochsrc and disk; returns the emulator."""
    disk = folder / "host.img"
    with _one_at_a_time():
        image.copy_image(host_disk(), disk)
    emulator = bochs.prepare()
    words = host_words(options).encode()
    if len(words) > WORDS_END - WORDS_AT:
        raise LabError("--qemu: too many words")
    with open(disk, "r+b") as file:
        file.seek(WORDS_AT)
        file.write(words)
    outer = replace(
        options,
        cpu="",
        memory=options.memory + HOST_MEMORY,
        mhz=options.mhz or MHZ,
        disks=[Disk(boot_image), *options.disks, *_flash(options, folder)],
        firmware=None,
        exclude_features=[],
        net=replace(options.net, model="e1000") if options.net else None,
    )
    (folder / LOG).touch()
    (folder / "bochsrc").write_text(bochs.configuration(emulator, outer, disk, serial, LOG))
    return emulator


class HostLog:
    """L0's own words: how far it is, and what has gone wrong."""

    STAGES = (("QEMU", "host: QEMU starts"), ("host", "host: linux"))
    FATAL = re.compile(r"^(?:.*Kernel panic - .*|host: failed: .*|host: QEMU ended with status [1-9].*)$", re.MULTILINE)

    def __init__(self, path: Path):
        self._path = path
        self._place = 0
        self._text = ""
        self._lock = threading.Lock()
        self.stage = ""

    def read(self) -> None:
        """What was added since the last look."""
        with self._lock:
            with open(self._path, "rb") as log:
                log.seek(self._place)
                fresh = log.read()
            if not fresh:
                return
            self._place += len(fresh)
            self._text += fresh.decode("utf-8", "replace").replace("\r", "")
            self.stage = next((name for name, mark in self.STAGES if mark in self._text), "")

    def failure(self) -> str:
        """Why the machine has failed, with what was said before, or an empty string."""
        self.read()
        found = self.FATAL.search(self._text)
        if not found:
            return ""
        before = self._text[: found.start()].rstrip().splitlines()[-5:]
        return "\n".join([f"nested: {found[0].removeprefix('host: ')}", *before])
