# SPDX-License-Identifier: BSD-2-Clause
"""What the benchmark guest and its hosts print, as values."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

MACHINE_LINE = re.compile(r"^exitbench: @bench (\{.*\})\s*$", re.MULTILINE)
ERRORS = (
    re.compile(r"^kvm-run: error: (.*?)\s*$", re.MULTILINE),
    re.compile(r"^host: (no /dev/kvm|cannot .*?)\s*$", re.MULTILINE),
    re.compile(r"^exitbench: (FAIL .*?)\s*$", re.MULTILINE),
)
HOST = re.compile(r"^host: (linux|kvm(?:_intel)?\.\w+|mitigation \w+:|thp) (.*?)\s*$", re.MULTILINE)
# Lintel's table of exits: number, VMM ticks, each, reason.
EXIT_ROW = re.compile(r"^lintel: +(\d+) +(\d+) +(\d+)  (\S.*?)\s*$", re.MULTILINE)
VALUES = ("n", "min", "median", "p99", "max")


@dataclass
class Parsed:
    """One run's lines."""

    operations: dict[str, dict[str, int]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    begin: dict[str, Any] = field(default_factory=dict)
    host: dict[str, str] = field(default_factory=dict)
    exits: dict[str, tuple[int, int]] = field(default_factory=dict)  # reason: number, VMM ticks
    complete: bool = False

    @property
    def outside(self) -> float | None:
        """What an exit takes beside what Lintel's table has: entry, exit, registers. Seen by an operation that is the only one with its reason and no
        work to speak of; the guest's own instruction is in it. (Of an exit that is followed by a look around it is some ten instructions more.)"""
        number, ticks = self.exits.get("WBINVD or WBNOINVD", (0, 0))
        if not number or "wbinvd" not in self.operations:
            return None
        return self.operations["wbinvd"]["median"] - ticks / number


def exit_table(log: str) -> dict[str, tuple[int, int]]:
    """Of the VM that has stopped last."""
    table = log.rpartition(": stopped: ")[2]
    return {found[4]: (int(found[1]), int(found[2])) for found in EXIT_ROW.finditer(table)}


def _take(parsed: Parsed, line: dict[str, Any]) -> None:
    name = line.get("op", "")
    if "error" in line:
        parsed.problems.append(f"{name}: {line['error']}" if name else line["error"])
    elif "begin" in line:
        parsed.begin = line
    elif "end" in line:
        parsed.complete = not line["failed"]
    elif "skipped" in line:
        parsed.skipped[name] = line["skipped"]
    elif name:
        parsed.operations[name] = {key: int(line[key]) for key in VALUES}


def parse(log: str) -> Parsed:
    """All that a console log says. A line that something else was printed into is a problem of its own, not the end."""
    log = log.replace("\r", "")
    parsed = Parsed()
    for found in MACHINE_LINE.finditer(log):
        try:
            _take(parsed, json.loads(found[1]))
        except (ValueError, KeyError):
            parsed.problems.append(f"not understood: {found[1][:80]}")
    for pattern in ERRORS:
        parsed.problems += [found[1] for found in pattern.finditer(log)]
    parsed.host = {found[1].rstrip(":"): found[2] for found in HOST.finditer(log)}
    parsed.exits = exit_table(log)
    return parsed
