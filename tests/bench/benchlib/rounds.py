# SPDX-License-Identifier: BSD-2-Clause
"""Several rounds of all sides: on processors whose clock and caches have moods, one run is no measurement."""

from statistics import mean, median, stdev
from typing import Any

from .sides import Outcome, Side

# Student's t, two-sided 95 %, by degrees of freedom; from there on nearly the normal distribution's.
T95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10, 2.09)
NORMAL = 2.0


def order(sides: list[Side], number: int) -> list[Side]:
    """A B, B A, A B ...: whatever drifts with time falls on both alike."""
    return sides if number % 2 == 0 else sides[::-1]


def _merged(values: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "n": sum(value["n"] for value in values),
        "min": min(value["min"] for value in values),
        "median": round(median(value["median"] for value in values)),
        "p99": round(median(value["p99"] for value in values)),
        "max": max(value["max"] for value in values),
        "rounds": [value["median"] for value in values],
    }


def merge(runs: list[Outcome]) -> Outcome:
    """All rounds of a side as one: it is as complete as its worst."""
    if len(runs) == 1:
        return runs[0]
    worst = max(runs, key=lambda run: ("complete", "partial", "missing").index(run.status))
    merged = Outcome(worst.side, worst.status, worst.reason, sum(run.seconds for run in runs), worst.machine, worst.parsed)
    if merged.status == "missing" and any(run.parsed.operations for run in runs):
        merged.status = "partial"
    names = list(dict.fromkeys(name for run in runs for name in run.parsed.operations))
    merged.parsed.operations = {name: _merged([run.parsed.operations[name] for run in runs if name in run.parsed.operations]) for name in names}
    return merged


def interval(mine: list[int], theirs: list[int]) -> tuple[float, float] | None:
    """The ratio of two sides' medians, round by round: mean, and half of its 95 % confidence interval. None: there are not two rounds of both."""
    ratios = [a / b for a, b in zip(mine, theirs) if b]
    if len(ratios) < 2 or len(mine) != len(theirs):
        return None
    free = len(ratios) - 1
    t = T95[free - 1] if free <= len(T95) else NORMAL
    return mean(ratios), t * stdev(ratios) / len(ratios) ** 0.5
