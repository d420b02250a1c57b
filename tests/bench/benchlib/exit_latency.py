#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What operations cost under Lintel and under KVM: the same guest, on the same machine, one after the other.

Has make build what is needed, which takes minutes from a clean clone, runs each side in the machine at hand, and prints the table. Writes OUTPUT/results.json,
results.md, results.svg and results.png after each side, so that what was measured is kept whatever happens to the rest. Status 0: every side that was asked
for is complete; 1: some are partial or missing, as the results say; 2: it was asked for what there is not, or it cannot be built. See docs/performance.md.
"""

import argparse
import hashlib
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TESTS / "bench"), str(TESTS.parent / "tools")]
sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
try:
    import pexpect  # noqa: F401
except ImportError:
    sys.exit("exit-latency: Debian's python3-pexpect is missing: run tools/setup lab")

from benchlib import report, rounds, sides
from lablib import bochs, choice, kvm, qemu
from lablib.errors import LabError

MOST = 100000


def say(text: str) -> None:
    """The tool's own words."""
    print(f"exit-latency: {text}", flush=True)


def units(machine: str, cpus: int) -> str:
    """What a tick is: never cycles where nothing has any."""
    if machine == "kvm":
        return "TSC ticks"
    return "instructions (emulated)" if cpus == 1 else "emulated TSC ticks (several CPUs: not instructions)"


def names() -> list[str]:
    """The operations, out of the guest's tables: known before it is built."""
    return [name for file in sorted((sides.REPOSITORY / "guests/exitbench").glob("*_ops.c")) for name in re.findall(r'^\t\{ "(\w+)",', file.read_text(), re.MULTILINE)]


def known_names() -> str:
    """All of them, for people."""
    return textwrap.fill(" ".join(names()), 100, initial_indent="  ", subsequent_indent="  ")


# What each machine is, for the table's head, and its CPU model.
MACHINES = {
    "bochs": ("Bochs {version}", bochs.MODEL),
    "nested": ("QEMU with KVM (nested), on a Linux in Bochs {version}", ",".join(["host", *qemu.NOT_NESTED])),
    "kvm": ("QEMU with KVM (nested)", "host"),
}


def head(wish: sides.Wish) -> dict[str, Any]:
    """Machine, model, versions."""
    version = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=sides.REPOSITORY, capture_output=True, text=True, check=False).stdout.strip()
    stamp = sides.GUESTS / "linux.stamp"
    packages = stamp.read_text().split("\n")[1:3] if stamp.is_file() else []
    machine, model = MACHINES[wish.machine]
    return {
        "machine": machine.format(version=bochs.prepare().version) if "{" in machine else machine,
        "model": wish.cpu or model,
        "cpus": wish.cpus,
        "units": units(wish.machine, wish.cpus),
        "n": wish.n,
        "versions": {"lintel": version, "guest": hashlib.sha256(sides.IMAGE.read_bytes()).hexdigest()[:16], "packages": packages},
    }


def chosen_sides(text: str, machine: str) -> list[sides.Side]:
    """By name, in the order of the table; all that can be had here by default. In the nested machine the two that users compare."""
    known = {side.name: side for side in sides.SIDES}
    if not text and machine == "nested":
        return [known["lintel"], known["kvm"]]
    if not text:
        return [side for side in sides.SIDES if not side.bare or not kvm.why_not()]
    for word in text.split(","):
        if word not in known:
            raise LabError(f"--sides {word}: must be one of {', '.join(known)}")
    return [side for side in sides.SIDES if side.name in text.split(",")]


def check(arguments: argparse.Namespace) -> None:
    """What is wrong is said before anything is built; the guest checks its own names and numbers, too."""
    if arguments.rounds < 1:
        raise LabError(f"--rounds {arguments.rounds}: at least 1")
    if not 1 <= arguments.n <= MOST:
        raise LabError(f"--n {arguments.n}: a number from 1 to {MOST} is expected")
    known = names()
    for word in filter(None, arguments.only.split(",")):
        if word not in known:
            raise LabError(f"--only {word}: there is no such operation; there are:\n{known_names()}")


def needs(chosen: list[sides.Side]) -> dict[str, Path]:
    """make's targets, and the file that each is for. Only KVM's Linux needs a kernel of Debian's."""
    targets = {"build/lintel.efi": sides.BUILD / "lintel.efi", "exitbench": sides.IMAGE}
    if any(side.is_kvm for side in chosen):
        targets["kvm-run"] = sides.KVM_RUN
    if any(side.is_kvm and not side.bare for side in chosen):
        targets["guests"] = sides.GUESTS / "vmlinuz"
    return targets


def build(targets: list[str]) -> None:
    """By make, after what it needs has been installed; both say what they do."""
    say(f"building {', '.join(targets)} ...")
    # Without a guest's disk, which no side has.
    make = ["make", "--no-print-directory", *targets, "CONFIG=guests/linux/minimal.conf"]
    for command in (["tools/setup", "build", "lab", "bench"], make):
        try:
            status = subprocess.run(command, cwd=sides.REPOSITORY, check=False).returncode
        except OSError as error:
            raise LabError(f"{command[0]}: {error.strerror}") from None
        if status:
            raise LabError(f"{' '.join(command)}: status {status}; the reason is above")


def attempt(side: sides.Side, wish: sides.Wish, arguments: argparse.Namespace, end: float) -> sides.Outcome:
    """One run of a side, if there is time for it."""
    seconds = min(arguments.timeout, end - time.monotonic())
    if seconds < 10:
        outcome = sides.Outcome(side, "missing", f"no time left of {arguments.budget:.0f} s")
    else:
        say(f"{side.title} ({side.what}) ...")
        outcome = sides.run(side, wish, arguments.output, seconds)
    say(f"{side.title}: {outcome.status}, {len(outcome.parsed.operations)} operations, {outcome.seconds:.0f} s" + (f": {outcome.reason}" if outcome.reason else ""))
    return outcome


def compare(arguments: argparse.Namespace) -> int:
    """Runs all sides and says what came out."""
    check(arguments)
    chosen = chosen_sides(arguments.sides, arguments.machine)
    targets = needs(chosen)
    if arguments.build:
        build(list(targets))
    for target, file in targets.items():
        if not file.is_file():
            raise LabError(f"{file} is missing: make {target} builds it")
    arguments.output.mkdir(parents=True, exist_ok=True)
    kind, why = choice.choose(arguments.machine)
    wish = sides.Wish(arguments.n, arguments.only, kind, arguments.cpu, arguments.cpus)
    about = head(wish)
    say(f"machine: {about['machine']}, {about['model']} ({why}); numbers are {about['units']}")
    end = time.monotonic() + arguments.budget
    runs: dict[str, list[sides.Outcome]] = {}
    outcomes: list[sides.Outcome] = []
    made: list[str] = []
    for side in (side for number in range(arguments.rounds) for side in rounds.order(chosen, number)):
        runs.setdefault(side.name, []).append(attempt(side, wish, arguments, end))
        outcomes = [rounds.merge(runs[one.name]) for one in chosen if one.name in runs]
        made = report.write(report.results(outcomes, about), arguments.output)
    print("\n" + (arguments.output / "results.md").read_text())
    say(f"in {arguments.output}: {', '.join(made)}")
    return 0 if all(outcome.status == "complete" for outcome in outcomes) else 1


def main() -> int:
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="exit-latency", description=__doc__, epilog=f"operations:\n{known_names()}", allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1000, help="repetitions of each operation (default: 1000)")
    parser.add_argument("--rounds", type=int, default=1, metavar="R", help="all sides R times, every other time in reverse order (A B B A), with confidence intervals; for real processors (default: 1)")
    parser.add_argument("--only", default="", metavar="A,B", help="these operations alone (default: all of them)")
    parser.add_argument("--sides", default="", metavar="A,B", help="of " + ", ".join(side.name for side in sides.SIDES) + " (default: all that can be had here)")
    parser.add_argument("--machine", choices=("auto", "kvm", "bochs", "nested"), default="auto", help="as in tools/lab boot; nested: what users of nested KVM pay, Lintel and KVM as the guest of another KVM")
    parser.add_argument("--cpu", default="", metavar="MODEL", help="as in tools/lab boot")
    parser.add_argument("--cpus", type=int, choices=(1, 2), default=1, help="of the machine. 2: IPIs between CPUs that run at once, but Bochs then counts no instructions")
    parser.add_argument("--timeout", type=float, default=300, metavar="S", help="for one side (default: 300)")
    parser.add_argument("--budget", type=float, default=780, metavar="S", help="for all of them (default: 780)")
    parser.add_argument("--output", type=Path, default=sides.BUILD / "bench", metavar="DIR")
    parser.add_argument("--no-build", dest="build", action="store_false", help="take what is in build/ as it is")
    arguments = parser.parse_args()
    try:
        return compare(arguments)
    except LabError as error:
        print(f"exit-latency: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
