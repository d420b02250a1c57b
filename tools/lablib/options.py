# SPDX-License-Identifier: BSD-2-Clause
"""What can be asked of a boot: the same fields for the command line and for tests."""

import argparse
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from .errors import LabError

MACHINES = ("auto", "kvm", "bochs", "tcg", "nested")
DISK_BUSES = ("virtio", "nvme", "ahci", "ide")


@dataclass
class Disk:
    """A disk image; the bus is a wish that only QEMU can fulfil (Bochs has IDE)."""

    path: Path
    bus: str = ""

    @staticmethod
    def parse(text: str) -> "Disk":
        """FILE or FILE,bus=BUS."""
        path, comma, bus = text.rpartition(",bus=")
        if not comma:
            return Disk(Path(text))
        if bus not in DISK_BUSES:
            raise LabError(f"--disk {text}: bus must be one of {', '.join(DISK_BUSES)}")
        return Disk(Path(path), bus)


@dataclass
class Net:
    """A network card. At its other end is a user-mode network, whose host is 10.0.2.2, with forwards as in QEMU's hostfwd; or, with `udp`,
    whoever exchanges bare Ethernet frames with it on 127.0.0.1: the card's end is that UDP port, the peer's the next one."""

    forwards: list[str] = field(default_factory=list)
    model: str = "e1000"
    udp: int = 0

    @staticmethod
    def parse(text: str) -> "Net":
        """user[,hostfwd=tcp:ADDRESS:PORT-:PORT]...[,model=NAME], or udp:PORT[,model=NAME]."""
        words = text.split(",")
        net = Net()
        kind, _, port = words[0].partition(":")
        if kind == "udp":
            if not port.isdecimal() or not 0 < int(port) < 65535:
                raise LabError(f"--net {text}: udp:PORT, where PORT is the card's, 1 to 65534; the peer's is the next one")
            net.udp = int(port)
        elif words[0] != "user":
            raise LabError(f"--net {text}: must be user[,...] or udp:PORT[,...]")
        for word in words[1:]:
            key, _, value = word.partition("=")
            if key == "hostfwd" and value and not net.udp:
                net.forwards.append(value)
            elif key == "model" and value:
                net.model = value
            else:
                raise LabError(f"--net {text}: '{word}' is {'not' if net.udp else 'neither hostfwd=... nor'} model=...")
        return net


@dataclass
class Options:
    """One boot."""

    machine: str = "auto"
    cpu: str = ""
    cpus: int = 1
    memory: int = 1024
    mhz: int | None = None  # the emulator's clock: instructions in a microsecond of the machine's own time; None: as the machine likes it
    esp: Path | None = None
    image: Path | None = None
    disks: list[Disk] = field(default_factory=list)
    net: Net | None = None
    exclude_features: list[str] = field(default_factory=list)
    bochs_log: tuple[str, ...] = ()
    qemu: tuple[str, ...] = ()  # further words of QEMU's command line: devices that the lab has no option for
    kvm_intel: dict[str, str] = field(default_factory=dict)  # parameters of the module in the machine `nested`
    firmware: tuple[Path, Path] | None = None  # QEMU's: code, and the template of the variables; None: what is found
    count_exits: bool = False  # KVM's there: L0's log has them
    name: str = ""

    def check(self) -> None:
        """Says what is wrong before anything is made or started."""
        if self.machine not in MACHINES:
            raise LabError(f"--machine {self.machine}: must be one of {', '.join(MACHINES)}")
        if (self.esp is None) == (self.image is None):
            raise LabError("name one of --esp DIR and --image FILE")
        if self.esp is not None and not (self.esp / "EFI/BOOT/BOOTX64.EFI").is_file():
            raise LabError(f"--esp {self.esp}: there is no EFI/BOOT/BOOTX64.EFI in it")
        if self.image is not None and not self.image.is_file():
            raise LabError(f"--image {self.image}: no such file")
        for disk in self.disks:
            if not disk.path.is_file():
                raise LabError(f"--disk {disk.path}: no such file")
        if self.machine == "nested" and len(self.disks) > 2:
            raise LabError("nested has room for two --disk: Bochs has four places, and two are taken by the boot disks of Lintel and of its host")
        self._check_firmware()
        if self.cpus < 1:
            raise LabError("--cpus: at least 1")
        if self.memory < 64:
            raise LabError("--memory: at least 64 (MiB)")
        if self.mhz is not None and not 1 <= self.mhz <= 4000:
            raise LabError("--mhz: 1 to 4000")
        if self.count_exits and self.machine != "nested":
            raise LabError("--count-exits: only the machine nested has a KVM that is the lab's own")
        if self.kvm_intel and self.machine != "nested":
            raise LabError("--kvm-intel: only --machine nested loads that module")
        if self.qemu and self.machine in ("auto", "bochs"):
            raise LabError(f"--qemu: --machine {self.machine} may be without QEMU: name kvm, tcg or nested")


    def _check_firmware(self) -> None:
        for file in self.firmware or ():
            if not file.is_file():
                raise LabError(f"--firmware {file}: no such file")
        if self.firmware and self.machine in ("auto", "bochs"):
            raise LabError(f"--firmware: --machine {self.machine} may be without QEMU: name kvm, tcg or nested")
        if self.firmware and self.machine == "nested" and len(self.disks) > 1:
            raise LabError("--firmware takes the place of a disk in nested, which has room for one --disk then")


def flash(text: str) -> tuple[Path, Path] | None:
    """CODE,VARS"""
    if not text:
        return None
    code, comma, variables = text.partition(",")
    if not comma or not code or not variables:
        raise LabError(f"--firmware {text}: expected CODE,VARS, two files of OVMF")
    return Path(code), Path(variables)


def parameters(text: str) -> dict[str, str]:
    """NAME=VALUE[,NAME=VALUE]..., as a module takes them."""
    found = {}
    for word in text.split(",") if text else []:
        if not re.fullmatch(r"[a-z0-9_]+=[A-Za-z0-9_-]+", word):
            raise LabError(f"--kvm-intel {text}: '{word}' is not NAME=VALUE")
        name, _, value = word.partition("=")
        found[name] = value
    return found


def words(text: str) -> tuple[str, ...]:
    """Split as a shell does."""
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise LabError(f"--qemu {text}: {error}") from None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a boot, as the command line spells them."""
    parser.add_argument("--machine", choices=MACHINES, default="auto", help="default: KVM with VT-x if there, else Bochs")
    parser.add_argument("--cpu", default="", metavar="MODEL", help="CPU model in the words of the machine (bochs: corei7_skylake_x, kvm: host,+invtsc, nested: the same without virtual-interrupt delivery, tcg: max)")
    parser.add_argument("--cpus", type=int, default=1, metavar="N")
    parser.add_argument("--memory", type=int, default=1024, metavar="MIB")
    parser.add_argument("--mhz", type=int, metavar="N", help="clock of the emulated processor (Bochs): instructions in a microsecond of the machine's time (bochs: 100, nested: 250)")
    parser.add_argument("--esp", type=Path, metavar="DIR", help="folder to boot as an EFI system partition")
    parser.add_argument("--image", type=Path, metavar="FILE", help="disk image to boot (a copy is)")
    parser.add_argument("--disk", action="append", default=[], metavar="FILE[,bus=BUS]", help="further disk; written in place; BUS (QEMU only): virtio, nvme, ahci, ide")
    parser.add_argument("--net", metavar="user[,hostfwd=...]|udp:PORT", help="a network card; hostfwd=tcp:127.0.0.1:8080-:80")
    parser.add_argument("--exclude-features", default="", metavar="LIST", help="CPU features to hide from the machine, e.g. x2apic,pcid")
    parser.add_argument("--qemu", default="", metavar="WORDS", help="further words of QEMU's command line, e.g. '-device nvme,...' (kvm, tcg, nested)")
    parser.add_argument("--kvm-intel", default="", metavar="NAME=VALUE,...", help="parameters of kvm_intel (nested), e.g. enable_apicv=1,enable_shadow_vmcs=0")
    parser.add_argument("--firmware", default="", metavar="CODE,VARS", help="another OVMF than the one that is found (kvm, tcg, nested)")
    parser.add_argument("--count-exits", action="store_true", help="count KVM's exits by reason, into host.log (nested)")
    parser.add_argument("--bochs-log", default="", metavar="LIST", help="keep Bochs' own messages of: cpu, apic")
    parser.add_argument("--name", default="", metavar="NAME", help="folder of the logs below build/lab/ (default: the process number)")


def from_arguments(arguments: argparse.Namespace) -> Options:
    """The checked options of a parsed command line."""
    options = Options(
        machine=arguments.machine,
        cpu=arguments.cpu,
        cpus=arguments.cpus,
        memory=arguments.memory,
        mhz=arguments.mhz,
        esp=arguments.esp,
        image=arguments.image,
        disks=[Disk.parse(text) for text in arguments.disk],
        net=Net.parse(arguments.net) if arguments.net else None,
        exclude_features=[word.strip() for word in arguments.exclude_features.split(",") if word.strip()],
        bochs_log=tuple(word for word in arguments.bochs_log.split(",") if word),
        qemu=words(arguments.qemu),
        kvm_intel=parameters(arguments.kvm_intel),
        firmware=flash(arguments.firmware),
        count_exits=arguments.count_exits,
        name=arguments.name,
    )
    options.check()
    return options

