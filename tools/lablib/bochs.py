# SPDX-License-Identifier: BSD-2-Clause
"""Bochs: finds or unpacks it, checks it for the known fault, writes its configuration."""

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import firmware
from .errors import LabError
from .options import Net, Options
from .paths import TOOLS, cache

MODEL = "corei7_skylake_x"
MHZ = 100
OLDEST = (3, 1)
MAX_FORWARDS = 5
# What the log says when the machine has ended badly, or has not got what it was to have, while the process, perhaps, lives on.
FATAL = re.compile(r".*(?:\(13\) exception with no resolution|could not set up host forwarding rule|>>PANIC<<(?! ACPI control: soft power off| Shutdown port)).*")
# A power-off ends Bochs like a panic, with status 1; only this tells them apart.
POWER_OFF = re.compile(r">>PANIC<< (?:ACPI control: soft power off|Shutdown port)")


@dataclass
class Bochs:
    """An emulator ready to be started."""

    command: list[str]
    environment: dict[str, str]
    share: Path
    vgabios: Path
    firmware: Path
    version: str
    shimmed: bool = False


def _version(command: list[str], environment: dict[str, str]) -> tuple[int, int] | None:
    try:
        run = subprocess.run([*command, "--help"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=environment, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"Bochs x86 Emulator (\d+)\.(\d+)", run.stdout + run.stderr)
    return (int(found[1]), int(found[2])) if found else None


def in_path() -> tuple[str, str]:
    """(path, why it is of no use): a Bochs of the system, if it is new enough."""
    found = shutil.which("bochs-bin") or shutil.which("bochs")
    if not found:
        return "", "no bochs in PATH"
    version = _version([found], dict(os.environ))
    if version is None:
        return "", f"{found} does not tell its version"
    if version < OLDEST:
        return "", f"{found} is version {version[0]}.{version[1]}; 3.1 is the oldest that starts OVMF"
    return found, ""


def _unpacked() -> Path:
    return cache() / "bochs"


def why_not() -> str:
    """The reason why Bochs cannot be had here, or an empty string. Starts no download."""
    reason = in_path()[1]
    if not reason or (_unpacked() / "complete").is_file():
        return ""
    if shutil.which("apt-get") and shutil.which("dpkg-deb"):
        return ""
    return f"{reason}, and no apt-get to fetch Debian's"


def describe() -> str:
    """Where Bochs comes from, for `lab machines`."""
    found, _ = in_path()
    if found:
        return found
    if (_unpacked() / "complete").is_file():
        return f"Debian's, unpacked in {_unpacked()}"
    return "Debian's, to be downloaded once (75 MB) and unpacked, not installed"


def _fetch() -> Path:
    """The folder of the unpacked packages; downloads them the first time."""
    if not (_unpacked() / "complete").is_file():
        run = subprocess.run([str(TOOLS / "fetch-bochs")], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=False)
        if run.returncode != 0:
            raise LabError("Bochs could not be fetched: see the lines above. Choices: a machine whose KVM offers VMX to guests, or Bochs >= 3.1 in PATH")
    return _unpacked()


def _from_cache() -> Bochs:
    """The unpacked Bochs, started by the loader it came with since its C library is newer than the machine's."""
    root = _fetch()
    libraries = root / "usr/lib/x86_64-linux-gnu"
    plugins = libraries / "bochs/plugins"
    share = root / "usr/share/bochs"
    loader = root / "usr/lib64/ld-linux-x86-64.so.2"
    command = [str(loader), "--library-path", f"{libraries}:{plugins}", str(root / "usr/bin/bochs-bin")]
    environment = {**os.environ, "LTDL_LIBRARY_PATH": str(plugins), "BXSHARE": str(share)}
    return Bochs(command, environment, share, _vgabios(root, share), root / "usr/share/ovmf/OVMF.fd", "3.1")


def _vgabios(root: Path, share: Path) -> Path:
    for candidate in (root / "usr/share/vgabios/vgabios.bin", share / "VGABIOS-lgpl-latest.bin", share / "VGABIOS-lgpl-latest"):
        if candidate.is_file():
            return candidate
    raise LabError(f"Bochs has no VGA BIOS below {root}")


def _from_path(found: str) -> Bochs:
    share = Path(os.environ.get("BXSHARE") or Path(found).resolve().parents[1] / "share/bochs")
    code = firmware.combined() or _fetch() / "usr/share/ovmf/OVMF.fd"
    return Bochs([found], dict(os.environ), share, _vgabios(Path("/"), share), code, ">= 3.1")


def _shim() -> Path:
    """The preload library, compiled once per version of its source."""
    source = TOOLS / "bochs-shim.c"
    target = cache() / f"bochs-shim-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}.so"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_suffix(f".{os.getpid()}")
        try:
            run = subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", str(new), str(source), "-ldl"], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise LabError("gcc is missing: run tools/setup lab") from None
        if run.returncode != 0:
            raise LabError(f"gcc cannot compile {source}: {run.stderr.strip()}")
        new.rename(target)
    return target


def _preload(bochs: Bochs, library: Path) -> tuple[list[str], dict[str, str]]:
    """Command and environment with a library preloaded: the loader's option, or the variable for a system's Bochs."""
    if len(bochs.command) > 1:
        return [bochs.command[0], "--preload", str(library), *bochs.command[1:]], bochs.environment
    return bochs.command, {**bochs.environment, "LD_PRELOAD": str(library)}


def _faults(bochs: Bochs, library: Path) -> list[str]:
    """Which of the faults that tools/bochs-shim.c mends this emulator has, as the library finds itself."""
    command, environment = _preload(bochs, library)
    run = subprocess.run(command, env={**environment, "LINTEL_SHIM": "check"}, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=30)
    answer = re.fullmatch(r"idiv=(\w+) resume=(\w+) count=(\w+)", run.stdout.strip())
    if not answer:
        raise LabError(f"Bochs does not start: {(run.stderr or run.stdout).strip()[-500:]}")
    # Absent: built otherwise, so that nothing can be said and nothing mended.
    return [name for name, finding in zip(("idiv", "resume", "count"), answer.groups()) if finding == "wrong"]


def prepare() -> Bochs:
    """A Bochs whose known faults are mended."""
    found, _ = in_path()
    bochs = _from_path(found) if found else _from_cache()
    library = _shim()
    if _faults(bochs, library):
        bochs.command, bochs.environment = _preload(bochs, library)
        bochs.shimmed = True
    return bochs


def _silenced(options: Options, chips: tuple[str, ...]) -> str:
    """Bochs writes a line per EPT violation and per evaluation of a virtual interrupt: gigabytes, unless told not to."""
    quiet = [chip for chip in chips if chip not in options.bochs_log]
    return "".join(f", {chip}{number:x}=ignore" for number in range(options.cpus) for chip in quiet)


def _ata(options: Options, boot_image: Path) -> list[str]:
    """IDE has four places; the first is the disk to boot."""
    places = ("ata0-master", "ata0-slave", "ata1-master", "ata1-slave")
    images = [boot_image, *(disk.path for disk in options.disks)]
    if len(images) > len(places):
        raise LabError("Bochs has room for three --disk")
    lines = ["ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14"]
    if len(images) > 2:
        lines.append("ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15")
    for place, image in zip(places, images):
        lines.append(f'{place}: type=disk, path="{image.resolve()}", mode=flat')
    return lines


def _card(net: Net) -> str:
    """The network card. A user-mode network is described in a file of its own."""
    if net.model != "e1000":
        raise LabError(f"--net: Bochs has no {net.model}, only e1000")
    if len(net.forwards) > MAX_FORWARDS:
        raise LabError(f"--net: Bochs has room for {MAX_FORWARDS} hostfwd")
    return "e1000: enabled=1, mac=52:54:00:12:34:56, " + (f"ethmod=socket, ethdev={net.udp}" if net.udp else "ethmod=slirp, script=slirp.conf")


def slirp(net: Net) -> str:
    """The file that describes the user-mode network; its first line is mandatory."""
    return "# slirp config\n" + "".join(f"hostfwd = {forward}\n" for forward in net.forwards)


def configuration(bochs: Bochs, options: Options, boot_image: Path, serial: str, second_serial: str = "") -> str:
    """The bochsrc. Fixed time and no tie to the host's clock: with one CPU and no typed input, a run repeats exactly.
    `second_serial`: a file for what COM2 says."""
    features = ",".join(options.exclude_features)
    exclude = f', exclude_features="{features}"' if features else ""
    lines = [
        "plugin_ctrl: unmapped=true, biosdev=true, speaker=false, parallel=false, serial=true" + (", e1000=true" if options.net else ""),
        "config_interface: textconfig",
        "display_library: term",
        f"memory: guest={options.memory}, host={min(options.memory, 4096)}",
        f'romimage: file="{bochs.firmware}"',
        f'vgaromimage: file="{bochs.vgabios}"',
        "fw_cfg: enabled=1",
        f"cpu: model={options.cpu or MODEL}, count={options.cpus}, ips={options.mhz or MHZ}000000, cpuid_freq=ips, reset_on_triple_fault=0, ignore_bad_msrs=1{exclude}",
        "clock: sync=none, time0=1000000000",
        "vga: extension=vbe, realtime=0, update_freq=5",
        "sound: driver=dummy",
        "pci: enabled=1, chipset=i440fx",
        *_ata(options, boot_image),
        f"com1: enabled=1, mode=socket-client, dev={serial}",
        *([f'com2: enabled=1, mode=file, dev="{second_serial}"'] if second_serial else []),
        "port_e9_hack: enabled=1",
        "log: bochs.log",
        "panic: action=fatal",
        "error: action=report" + _silenced(options, ("cpu",)),
        "info: action=report" + _silenced(options, ("cpu", "apic")),
        "debug: action=ignore",
    ]
    if options.net:
        lines.append(_card(options.net))
    return "\n".join(lines) + "\n"


def argv(bochs: Bochs) -> list[str]:
    """The command; it runs in the folder that holds bochsrc."""
    return [*bochs.command, "-q", "-f", "bochsrc"]
