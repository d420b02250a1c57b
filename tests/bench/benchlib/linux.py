# SPDX-License-Identifier: BSD-2-Clause
"""The same Linux image on the bare machine, under Lintel and under KVM: what its boot and its loads take, and what the VMM's part of that is."""

import json
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lablib.errors import LabError, MachineFailed
from lablib.machine import Machine, boot
from lablib.paths import REPOSITORY

from .lines import ERRORS, exit_table

BUILD = REPOSITORY / "build"
KVM_RUN = BUILD / "kvm-run"
INITRD = BUILD / "loads/initrd.img"
# The emulator draws them from its host, and Linux shuffles its memory by them: no two runs would be the same.
HIDDEN = ["rdrand", "rdseed"]
# The emulator counts each step of a REP as an instruction, and whether Linux clears and copies pages by REP depends on an MSR of the machine's: by
# the same loops on both sides, then.
CMDLINE = "console=ttyS0,115200 quiet cryptomgr.notests clearcpuid=erms,rep_good,fsrm rdinit=/loads"
NATIVE = "hpet=disable tsc=reliable"
# Linux chooses the size of its lists of free pages by that of its memory: the same on both sides. MiB.
MEMORY = 768
LINTEL_MEMORY = 1024
# Of KVM's machine, whose Linux has its guest's kernel in an initramfs of its own.
KVM_MEMORY = 2048

LOAD = re.compile(r"^loads: @load (\{.*\})\s*$", re.MULTILINE)
ERROR = re.compile(r"^loads: error: (.*?)\s*$", re.MULTILINE)
# kvm-run's: after each line of the loads, and at the end.
COUNTERS = re.compile(r"^kvm-run: @(counters|exits) (\{.*\})\s*$", re.MULTILINE)
REASON = re.compile(r"\bR\(\w+, (\d+), \"(.*?)\"\)")


@dataclass
class Run:
    """One boot."""

    name: str
    boot_ns: int = 0  # of the kernel's clock, when the first process starts
    loads: dict[str, int] = field(default_factory=dict)  # ticks
    life: int = 0  # TSC at the end; in a VM it starts with 0
    exits: dict[str, tuple[int, int]] = field(default_factory=dict)  # reason: number, VMM ticks
    # KVM's: of its own names ("counters") or by reason ("exits"), those of boot and end ("boot") and those between the first line of the loads and the last ("loads")
    counts: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    problem: str = ""
    seconds: float = 0


def reasons() -> dict[str, str]:
    """Number of a basic exit reason -> what Lintel calls it."""
    return dict(REASON.findall((REPOSITORY / "vmx/exit_reasons.h").read_text()))


def read_counts(log: str) -> dict[str, dict[str, dict[str, int]]]:
    """kvm-run's counts, which only grow, apart: what the loads have added, and the rest."""
    shown: dict[str, dict[str, list[dict[str, int]]]] = {}
    for kind, text in COUNTERS.findall(log):
        values = json.loads(text)
        shown.setdefault(kind, {}).setdefault(values.pop("when"), []).append(values)
    counts = {}
    for kind, by_time in shown.items():
        if "end" not in by_time or "line" not in by_time:
            continue
        whole, first, last = by_time["end"][-1], by_time["line"][0], by_time["line"][-1]
        loads = {key: last.get(key, 0) - first.get(key, 0) for key in whole}
        counts[kind] = {"boot": {key: whole[key] - loads[key] for key in whole}, "loads": loads}
    if "exits" in counts:
        names = reasons()
        counts["exits"] = {part: {names.get(key, f"reason {key}"): number for key, number in values.items()} for part, values in counts["exits"].items()}
    return counts


def read(name: str, log: str) -> Run:
    """What the loads, and Lintel or kvm-run, have printed."""
    run = Run(name)
    log = log.replace("\r", "")
    for found in LOAD.finditer(log):
        line: dict[str, Any] = json.loads(found[1])
        if line.get("load") == "boot":
            run.boot_ns = line["ns"]
        elif "load" in line:
            run.loads[line["load"]] = line["ticks"]
        else:
            run.life = line["tsc"]
    run.exits = exit_table(log)
    run.counts = read_counts(log)
    errors = [found[1] for pattern in (ERROR, *ERRORS) for found in pattern.finditer(log)]
    run.problem = "; ".join(errors) or ("" if run.life else "the loads did not come to their end")
    return run


def _boot(name: str, folder: Path, machine: str, cpu: str, memory: int, seconds: float) -> Run:  # pylint: disable=too-many-arguments
    log, reason, start = "", "", time.monotonic()
    booted: Machine | None = None
    try:
        with boot(esp=folder, machine=machine, cpu=cpu, memory=memory, exclude_features=HIDDEN if machine == "bochs" else [], name=f"bench-{name}") as booted:
            booted.wait_poweroff(seconds)
    except TimeoutError:
        reason = f"time-out after {seconds:.0f} s"
    except MachineFailed as error:
        reason = f"the machine failed: {error}"
    if booted is not None:
        log = booted.log_text()
    run = read(name, log)
    run.problem = reason or run.problem
    run.seconds = round(time.monotonic() - start, 1)
    return run


def _run(command: list[str], **environment: str) -> None:
    made = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if made.returncode:
        raise LabError(made.stdout.strip())


def native(output: Path, machine: str, cpu: str, seconds: float) -> Run:
    """On the bare machine, all loads."""
    folder = output / "linux-native.esp"
    try:
        _run([str(REPOSITORY / "tools/uki"), str(folder / "EFI/BOOT/BOOTX64.EFI"), str(BUILD / "guests/vmlinuz"), str(INITRD), f"{CMDLINE} {NATIVE}"])
        return _boot("linux-native", folder, machine, cpu, MEMORY, seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def lintel(output: Path, machine: str, cpu: str, loads: str, seconds: float, more: str = "") -> Run:  # pylint: disable=too-many-arguments
    """In a VM, with these loads (all of them without a name), and further lines of its section."""
    name = f"linux-{loads or 'all'}" + ("-" + re.sub(r"\W+", "-", more) if more else "")
    folder = output / f"{name}.esp"
    config = folder.with_suffix(".conf")
    words = f"{CMDLINE} -- {loads}" if loads else CMDLINE
    config.write_text(f"[lintel]\nidle = poweroff\n[vm linux]\nmemory = {MEMORY}M\nkernel = vmlinux\ninitrd = initrd.img\nconsole = uart\ncmdline = {words}\n{more}\n")
    files = output / f"{name}.files"
    try:
        shutil.rmtree(files, ignore_errors=True)
        files.mkdir(parents=True)
        (files / "vmlinux").symlink_to(BUILD / "guests/vmlinux")
        (files / "initrd.img").symlink_to(INITRD)
        _run([str(REPOSITORY / "tools/esp"), str(folder), str(BUILD / "lintel.efi"), str(config), str(files)])
        return _boot(name, folder, machine, cpu, LINTEL_MEMORY, seconds)
    finally:
        for place in (folder, files):
            shutil.rmtree(place, ignore_errors=True)


def kvm(output: Path, name: str, machine: str, cpu: str, seconds: float, host: str) -> Run:  # pylint: disable=too-many-arguments
    """Under KVM, all loads; `host`: words for the command line of KVM's Linux. That Linux looks for clearcpuid in all of its command line, its guest's words included: it clears pages by the same loops, too."""
    folder = output / f"linux-{name}.esp"
    # Quotes keep blanks together on a kernel's command line.
    words = ["--memory", str(MEMORY), "--initrd", f"/{INITRD.name}", "--count-at", '"loads: @load"', "--cmdline", f'"{CMDLINE}"']
    try:
        _run([str(REPOSITORY / "guests/kvm-host/build"), str(folder), str(BUILD / "guests"), str(KVM_RUN), str(BUILD / "guests/vmlinux"), *words], KVM_HOST_CMDLINE=host, KVM_HOST_FILES=str(INITRD))
        return _boot(f"linux-{name}", folder, machine, cpu, KVM_MEMORY, seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def share(run: Run, less: Run | None = None, outside: float = 0) -> float:
    """S: the VMM's ticks, by its own table, over the VM's life; of what came after `less`, if given. `outside`: what the table leaves out of each exit."""
    exits = run.exits["total"] if less is None else added(run, less)["total"]
    life = run.life if less is None else run.life - less.life
    return (exits[1] + outside * exits[0]) / life


def added(run: Run, less: Run) -> dict[str, tuple[int, int]]:
    """The exits that one run has had and the other not, by reason."""
    return {reason: (number - less.exits.get(reason, (0, 0))[0], ticks - less.exits.get(reason, (0, 0))[1]) for reason, (number, ticks) in run.exits.items()}
