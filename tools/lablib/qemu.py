# SPDX-License-Identifier: BSD-2-Clause
"""QEMU's command line, for the machines kvm, tcg and nested. Only `check` runs anything."""

import re
import shutil
import subprocess
from pathlib import Path

from .errors import LabError
from .options import Disk, Net, Options

PROGRAM = "qemu-system-x86_64"

# Features that QEMU calls otherwise than Bochs; for the rest underscores are as good as dashes.
FEATURES = {"1g_pages": "pdpe1gb", "mwait": "monitor", "longmode": "lm", "tsc_adjust": "tsc-adjust"}

# What KVM offers in the machine nested is done by Bochs, and that delivers a virtual interrupt to a guest with IF = 0 when one of the host's own
# comes at that moment (docs/vt-x.md). Lintel, which masks it in Bochs, sees a QEMU there: a guest's kernel dies of it once in some minutes.
NOT_NESTED = ["-vmx-apicv-vid", "-vmx-posted-intr"]


def find() -> str | None:
    """QEMU's path, if it is installed."""
    return shutil.which(PROGRAM)


def _cpu(options: Options) -> str:
    # With the invariant TSC QEMU tells how fast it is, too (CPUID 40000010H). Whoever names a model says all of it.
    like_host = ["host"] + (["+invtsc"] if "invtsc" not in options.exclude_features else []) + (NOT_NESTED if options.machine == "nested" else [])
    model = options.cpu or ("max" if options.machine == "tcg" else ",".join(like_host))
    return ",".join([model] + ["-" + FEATURES.get(name, name.replace("_", "-")) for name in options.exclude_features])


def _escape(path: Path) -> str:
    """A comma in an option's value is doubled."""
    return str(path).replace(",", ",,")


def _disk(disk: Disk, number: int) -> list[str]:
    drive = f"if=none,id=disk{number},format=raw,file={_escape(disk.path)}"
    device = {
        "nvme": f"nvme,drive=disk{number},serial=lintel{number}",
        "ahci": f"ide-hd,drive=disk{number},bus=ide.{number % 6}",
        "ide": f"ide-hd,drive=disk{number},bus=ide.{number % 6}",
    }.get(disk.bus, f"virtio-blk-pci,drive=disk{number}")
    return ["-drive", drive, "-device", device + (",bootindex=0" if number == 0 else "")]


def _netdev(net: Net) -> str:
    if net.udp:
        return f"socket,id=net0,udp=127.0.0.1:{net.udp + 1},localaddr=127.0.0.1:{net.udp}"
    return ",".join(["user,id=net0"] + ["hostfwd=" + forward for forward in net.forwards])


def _split_iommu(words: list[str]) -> tuple[list[str], list[str]]:
    """An IOMMU has to be made before what is behind it: those pairs of words, and the rest."""
    first = [place for place, word in enumerate(words[:-1]) if word == "-device" and words[place + 1].startswith("intel-iommu")]
    early = {place + more for place in first for more in (0, 1)}
    return [word for place, word in enumerate(words) if place in early], [word for place, word in enumerate(words) if place not in early]


def argv(options: Options, boot_image: Path, code: Path, variables: Path, console: str) -> list[str]:
    """The whole command. `console`: a character device for COM1; disk 0 is the one to boot."""
    further_first, further = _split_iommu(list(options.qemu))
    disks = [Disk(boot_image), *options.disks]
    nested = options.machine == "nested"
    # There time is dear: what nobody uses is left out, since the firmware would look for it.
    without_sata = nested and not any(disk.bus in ("ahci", "ide") for disk in disks)
    words = [PROGRAM if nested else find() or PROGRAM]
    words += ["-name", "lintel,debug-threads=on", "-nodefaults", "-no-user-config"]
    words += ["-machine", "q35,accel=" + ("tcg" if options.machine == "tcg" else "kvm") + (",sata=off" if without_sata else "")]
    words += ["-cpu", _cpu(options), "-smp", str(options.cpus), "-m", str(options.memory)]
    words += further_first
    words += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={_escape(code)}"]
    words += ["-drive", f"if=pflash,unit=1,format=raw,file={_escape(variables)}"]
    for number, disk in enumerate(disks):
        words += _disk(disk, number)
    if options.net:
        words += ["-netdev", _netdev(options.net)]
        words += ["-device", f"{options.net.model},netdev=net0,mac=52:54:00:12:34:56,romfile="]
    words += ["-chardev", console, "-serial", "chardev:com1"]
    words += ["-display", "none", "-vga", "none" if nested else "std", "-monitor", "none"]
    return words + further


def to_socket(serial: str) -> str:
    """The character device for COM1 of who listens at HOST:PORT."""
    host, _, port = serial.rpartition(":")
    return f"socket,id=com1,host={host},port={port}"


def check(words: list[str]) -> str:
    """Lets QEMU's own parser judge a command made for KVM on a machine that has none: the accelerator and what listens at the
    serial line are replaced, the machine is made, not started, and told to quit. Returns QEMU's complaint, or an empty string."""
    program = find()
    if not program:
        raise LabError(f"{PROGRAM} is missing: run tools/setup test")
    changed = [program]
    for word in words[1:]:
        word = re.sub(r"^(q35,accel=)kvm", r"\1tcg", word)
        word = re.sub(r"^host(,|$)", r"max\1", word)
        word = re.sub(r"^(?:socket|stdio),id=com1,.*", "null,id=com1", word)
        changed.append("stdio" if changed[-1] == "-monitor" else word)
    run = subprocess.run(changed + ["-S"], input="quit\n", capture_output=True, text=True, timeout=60, check=False)
    return "" if run.returncode == 0 else run.stderr.strip() or f"status {run.returncode}"
