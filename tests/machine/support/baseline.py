#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The committed instruction counts (tests/machine/baseline.json), and what takes new ones over.

    tests/machine/support/baseline.py [--reason TEXT]

takes the counts that the last run of test_exit_counts.py has measured. Lower ones need no reason; for a higher one, or an operation that is new, the
file keeps the TEXT.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BASELINE = HERE.parent / "baseline.json"
MEASURED = HERE.parents[2] / "build/exit-counts.json"


def compiler() -> str:
    """Other compilers make other instructions of the same source."""
    return "gcc " + subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()


def load() -> dict[str, Any]:
    """The committed file."""
    return json.loads(BASELINE.read_text())


def higher(committed: dict[str, Any], measured: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Operation -> (committed, measured), of those that cost more than they may."""
    return {name: (entry["count"], measured[name]) for name, entry in committed.items() if measured.get(name, 0) > entry["count"]}


def lower(committed: dict[str, Any], measured: dict[str, int]) -> dict[str, tuple[int, int]]:
    """The same of those that cost less."""
    return {name: (entry["count"], measured[name]) for name, entry in committed.items() if name in measured and measured[name] < entry["count"]}


def updated(committed: dict[str, Any], measured: dict[str, int], reason: str) -> dict[str, Any]:
    """The new entries. ValueError: a reason is missing."""
    entries = {}
    for name, count in measured.items():
        old = committed.get(name)
        if old is not None and count <= old["count"]:
            entries[name] = {**old, "count": count}
        elif not reason:
            raise ValueError(f"{name}: {count} instead of {old['count'] if old else 'none'}: say why with --reason")
        else:
            entries[name] = {"count": count, "reason": f"{old['count']} before: {reason}" if old else reason}
    return entries


def main() -> int:
    """Takes over what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reason", default="")
    arguments = parser.parse_args()
    if not MEASURED.is_file():
        print(f"baseline: {MEASURED} is missing: run test_exit_counts.py first", file=sys.stderr)
        return 2
    measured = json.loads(MEASURED.read_text())
    old = load() if BASELINE.is_file() else {"operations": {}}
    if old.get("compiler", measured["compiler"]) != measured["compiler"]:
        print(f"baseline: the counts are those of {old['compiler']}, this is {measured['compiler']}", file=sys.stderr)
        return 2
    try:
        entries = updated(old["operations"], measured["operations"], arguments.reason.strip())
    except ValueError as error:
        print(f"baseline: {error}", file=sys.stderr)
        return 1
    new = {"units": "instructions (emulated)", "compiler": measured["compiler"], "machine": measured["machine"], "operations": entries}
    lines = [f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in new["operations"].items()]
    top = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in new.items() if key != "operations")
    BASELINE.write_text("{\n" + top + ',\n "operations": {\n' + ",\n".join(lines) + "\n }\n}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
