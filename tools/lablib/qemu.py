# SPDX-License-Identifier: BSD-2-Clause
"""QEMU's command line, for the machines kvm and tcg. Only `check` runs anything."""

import re
import shutil
import subprocess
from pathlib import Path

from .errors import LabError
from .options import Disk, Net, Options

PROGRAM = "qemu-system-x86_64"

# Features that QEMU calls otherwise than Bochs; for the rest underscores are as good as dashes.
FEATURES = {"1g_pages": "pdpe1gb", "mwait": "monitor", "longmode": "lm", "tsc_adjust": "tsc-adjust"}


def find() -> str | None:
    """QEMU's path, if it is installed."""
    return shutil.which(PROGRAM)


def _cpu(options: Options) -> str:
    model = options.cpu or ("host" if options.machine == "kvm" else "max")
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


def argv(options: Options, boot_image: Path, code: Path, variables: Path, serial: str) -> list[str]:
    """The whole command. `serial` is HOST:PORT, where the lab listens; disk 0 is the one to boot."""
    words = [find() or PROGRAM]
    words += ["-name", "lintel", "-nodefaults", "-no-user-config"]
    words += ["-machine", "q35,accel=" + ("kvm" if options.machine == "kvm" else "tcg")]
    words += ["-cpu", _cpu(options), "-smp", str(options.cpus), "-m", str(options.memory)]
    words += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={_escape(code)}"]
    words += ["-drive", f"if=pflash,unit=1,format=raw,file={_escape(variables)}"]
    for number, disk in enumerate([Disk(boot_image), *options.disks]):
        words += _disk(disk, number)
    if options.net:
        words += ["-netdev", _netdev(options.net)]
        words += ["-device", f"{options.net.model},netdev=net0,mac=52:54:00:12:34:56,romfile="]
    host, _, port = serial.rpartition(":")
    words += ["-chardev", f"socket,id=com1,host={host},port={port}", "-serial", "chardev:com1"]
    words += ["-display", "none", "-vga", "std", "-monitor", "none"]
    return words + list(options.qemu)


def check(words: list[str]) -> str:
    """Lets QEMU's own parser judge a command made for KVM on a machine that has none: the accelerator and what listens at the
    serial line are replaced, the machine is made, not started, and told to quit. Returns QEMU's complaint, or an empty string."""
    program = find()
    if not program:
        raise LabError(f"{PROGRAM} is missing: run tools/setup test")
    changed = [program]
    for word in words[1:]:
        word = re.sub(r"^(q35,accel=)kvm$", r"\1tcg", word)
        word = re.sub(r"^host(,|$)", r"max\1", word)
        word = re.sub(r"^socket,id=com1,.*", "null,id=com1", word)
        changed.append("stdio" if changed[-1] == "-monitor" else word)
    run = subprocess.run(changed + ["-S"], input="quit\n", capture_output=True, text=True, timeout=60, check=False)
    return "" if run.returncode == 0 else run.stderr.strip() or f"status {run.returncode}"
