# SPDX-License-Identifier: BSD-2-Clause
"""Lintel's tables of what exits took: exit-times in [lintel], or Ctrl-a s."""

import re
from dataclasses import dataclass

ROW = re.compile(r"lintel:   (\S.*?) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)  ((?:\d+: \d+(?:, )?)+)$")


@dataclass
class Times:
    """Of one reason; buckets: n -> exits of 2^n to 2^(n+1)-1 ticks."""

    count: int
    total: int
    min: int
    mean: int
    max: int
    buckets: dict[int, int]


def times_of(log: str, vm: str, vcpu: int = 0) -> list[dict[str, Times]]:
    """All tables of a vCPU, in order: reason -> times."""
    tables: list[dict[str, Times]] = []
    lines = log.replace("\r", "").split("\n")
    for i, line in enumerate(lines):
        if not line.startswith(f"lintel: vm {vm}: vcpu {vcpu}: TSC ticks from exit to entry"):
            continue
        table = {}
        for row in lines[i + 2 :]:
            found = ROW.fullmatch(row)
            if found:
                buckets = {int(n): int(count) for n, count in re.findall(r"(\d+): (\d+)", found[7])}
                table[found[1]] = Times(*(int(found[n]) for n in range(2, 7)), buckets)
            elif row.startswith("lintel:"):
                break
        tables.append(table)
    return tables
