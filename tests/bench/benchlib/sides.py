# SPDX-License-Identifier: BSD-2-Clause
"""The sides of the comparison: how each is laid out and run."""

import os
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pexpect
from lablib.errors import LabError, MachineFailed
from lablib.machine import Machine, boot
from lablib.paths import REPOSITORY

from .lines import Parsed, parse

BUILD = REPOSITORY / "build"
IMAGE = BUILD / "exitbench.elf"
KVM_RUN = BUILD / "kvm-run"
GUESTS = BUILD / "guests"
MEMORY = 256  # MiB, of the guest


@dataclass
class Side:
    """One column."""

    name: str
    title: str
    what: str
    lintel: str = ""  # lines of [lintel]
    host: str = ""  # words for the command line of KVM's Linux
    bare: bool = False  # on this machine itself

    @property
    def is_kvm(self) -> bool:
        """Is it KVM's?"""
        return self.name.startswith("kvm")


SIDES = (
    Side("lintel", "Lintel", "as it is by default on this machine"),
    Side("lintel-vid", "Lintel, VID", "`interrupts = quiet`: virtual-interrupt delivery in spite of the emulator's errata", lintel="interrupts = quiet"),
    Side("kvm", "KVM", "Debian's, as it is by default on this machine: APICv, mitigations"),
    Side("kvm-noapicv", "KVM, no APICv", "`kvm_intel.enable_apicv=0`: interrupts by software, as Lintel has them by default in Bochs", host="kvm_intel.enable_apicv=0"),
    Side("kvm-unmitigated", "KVM, no APICv, unmitigated", "the same with `mitigations=off`", host="kvm_intel.enable_apicv=0 mitigations=off"),
    Side("kvm-bare", "KVM, bare", "kvm-run on this machine itself, not in a virtual one", bare=True),
)


@dataclass
class Outcome:
    """What became of a side."""

    side: Side
    status: str  # complete, partial, missing
    reason: str = ""
    seconds: float = 0
    machine: str = ""
    parsed: Parsed = field(default_factory=Parsed)

    def as_json(self) -> dict[str, Any]:
        """For results.json."""
        return {
            "title": self.side.title,
            "what": self.side.what,
            "status": self.status,
            "reason": self.reason,
            "seconds": round(self.seconds, 1),
            "begin": self.parsed.begin,
            "host": self.parsed.host,
            "skipped": self.parsed.skipped,
            "exits": self.parsed.exits,
            "outside": self.parsed.outside,
        }


@dataclass
class Wish:
    """What is to be run, on what."""

    n: int
    only: str = ""
    machine: str = "auto"
    cpu: str = ""
    cpus: int = 1

    def cmdline(self) -> str:
        """The guest's."""
        words = [f"n={self.n}", f"only={self.only}" if self.only else "", "parallel" if self.cpus > 1 else ""]
        return " ".join(word for word in words if word)


def _lay_out_lintel(side: Side, wish: Wish, folder: Path) -> None:
    pin = "pin = 0,1\n" if wish.cpus > 1 else ""
    config = f"[lintel]\nidle = poweroff\n{side.lintel}\n[vm bench]\nmemory = {MEMORY}M\ncpus = 2\n{pin}kernel = {IMAGE.name}\ncmdline = {wish.cmdline()}\ndebug-exit = 0xf4\n"
    file = folder.with_suffix(".conf")
    file.write_text(config)
    subprocess.run([str(REPOSITORY / "tools/esp"), str(folder), str(BUILD / "lintel.efi"), str(file), str(IMAGE.parent)], check=True)


def _lay_out_kvm(side: Side, wish: Wish, folder: Path) -> None:
    arguments = ["--cpus", "2", "--memory", str(MEMORY), "--cmdline", wish.cmdline()]
    # The arguments travel on a kernel's command line: quotes keep blanks together there.
    words = [f'"{word}"' if " " in word else word for word in arguments]
    command = [str(REPOSITORY / "guests/kvm-host/build"), str(folder), str(GUESTS), str(KVM_RUN), str(IMAGE), *words]
    made = subprocess.run(command, env={**os.environ, "KVM_HOST_CMDLINE": side.host}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if made.returncode:
        raise LabError(made.stdout.strip())


def _finish(outcome: Outcome, log: str, reason: str) -> Outcome:
    outcome.parsed = parse(log)
    reasons = [reason, *outcome.parsed.problems]
    if not outcome.parsed.complete and not any(reasons):
        reasons.append("the guest did not come to its end")
    outcome.reason = "; ".join(word for word in reasons if word)
    outcome.status = "complete" if outcome.parsed.complete and not reason else "partial" if outcome.parsed.operations else "missing"
    return outcome


def _in_machine(side: Side, wish: Wish, folder: Path, seconds: float) -> Outcome:
    """In the lab's machine. What it has printed counts, whatever ends it."""
    outcome = Outcome(side, "missing")
    machine: Machine | None = None
    log, reason = "", ""
    try:
        with boot(esp=folder, machine=wish.machine, cpu=wish.cpu, cpus=wish.cpus, memory=1024, name=f"bench-{side.name}") as machine:
            outcome.machine = machine.kind
            machine.wait_poweroff(seconds)
    except (TimeoutError, pexpect.TIMEOUT):
        reason = f"time-out after {seconds:.0f} s"
    except MachineFailed as error:
        reason = f"the machine failed: {error}"
    if machine is not None:
        log = machine.log_text()
    return _finish(outcome, log, reason)


def _bare(side: Side, wish: Wish, seconds: float) -> Outcome:
    """On this machine. taskset: its two vCPUs on a CPU each, or both on one."""
    outcome = Outcome(side, "missing", machine="this machine")
    cpus = sorted(os.sched_getaffinity(0))[: max(1, wish.cpus)]
    pinned = ["taskset", "-c", ",".join(map(str, cpus))] if shutil.which("taskset") else []
    command = [*pinned, str(KVM_RUN), "--cpus", "2", "--memory", str(MEMORY), "--seconds", str(max(1, int(seconds))), "--cmdline", wish.cmdline(), str(IMAGE)]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    return _finish(outcome, ran.stdout, f"kvm-run ended with status {ran.returncode}" if ran.returncode else "")


def run(side: Side, wish: Wish, output: Path, seconds: float) -> Outcome:
    """Lays it out and runs it; a side that cannot be had is an outcome, too."""
    start = time.monotonic()
    folder = output / f"{side.name}.esp"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        if side.bare:
            outcome = _bare(side, wish, seconds)
        else:
            (_lay_out_kvm(side, wish, folder) if side.is_kvm else _lay_out_lintel(side, wish, folder))
            outcome = _in_machine(side, wish, folder, seconds)
    except LabError as error:
        outcome = Outcome(side, "missing", str(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    outcome.seconds = time.monotonic() - start
    return outcome
