# SPDX-License-Identifier: BSD-2-Clause
"""results.json, the table and the picture."""

import json
from pathlib import Path
from typing import Any

from .rounds import interval
from .sides import Outcome

# Up to so many ticks nobody has left the guest: a ratio of such numbers compares the guest with itself.
NO_EXIT = 30
RATIOS = (("lintel", "kvm"), ("lintel", "kvm-noapicv"), ("lintel-vid", "kvm"), ("lintel", "kvm-unmitigated"), ("lintel", "kvm-bare"))
COLOURS = {"lintel": "#0b6e4f", "lintel-vid": "#6bbf59", "kvm": "#c1440e", "kvm-noapicv": "#e8871e", "kvm-unmitigated": "#8d99ae", "kvm-bare": "#444444"}
# What was not measured, and what the guest itself does between the two reads of the TSC.
OWN = {"pause_loop": "12,288 of them the loop's own", "ept_violation": "first touch of 2 MiB of RAM"}


def medians(outcomes: list[Outcome]) -> dict[str, dict[str, int]]:
    """Operation -> side -> median, in the guest's order."""
    table: dict[str, dict[str, int]] = {}
    for outcome in outcomes:
        for name, values in outcome.parsed.operations.items():
            table.setdefault(name, {})[outcome.side.name] = values["median"]
    return table


def ratio(row: dict[str, int], mine: str, theirs: str) -> float | None:
    """Of two medians; None where one is missing or neither side has seen the operation."""
    if mine not in row or theirs not in row or not row[theirs] or max(row[mine], row[theirs]) <= NO_EXIT:
        return None
    return round(row[mine] / row[theirs], 3)


def results(outcomes: list[Outcome], head: dict[str, Any]) -> dict[str, Any]:
    """All of it, for results.json."""
    rows = []
    for name, row in medians(outcomes).items():
        sides = {outcome.side.name: outcome.parsed.operations[name] for outcome in outcomes if name in outcome.parsed.operations}
        ratios = {f"{mine}/{theirs}": value for mine, theirs in RATIOS if (value := ratio(row, mine, theirs)) is not None}
        spread = {pair: found for pair in ratios if (found := interval(*(sides[side].get("rounds", []) for side in pair.split("/"))))}
        rows.append({"op": name, **sides, "ratio": ratios.get("lintel/kvm"), "ratios": ratios, "confidence": {pair: [round(x, 4) for x in found] for pair, found in spread.items()}})
    complete = all(outcome.status == "complete" for outcome in outcomes)
    return {**head, "complete": complete, "sides": {outcome.side.name: outcome.as_json() for outcome in outcomes}, "operations": rows}


def _number(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"


def _ratio(row: dict[str, Any], pair: str) -> str:
    """With several rounds: their mean, and half of the 95 % confidence interval."""
    if pair in row["confidence"]:
        return "{:.2f} +- {:.2f}".format(*row["confidence"][pair])
    return _number(row["ratios"].get(pair))


def markdown(data: dict[str, Any]) -> str:
    """The table, with what it is about above it."""
    sides = {name: side for name, side in data["sides"].items() if side["status"] != "missing"}
    ratios = [(mine, theirs) for mine, theirs in RATIOS if mine in sides and theirs in sides]
    titles = [side["title"] for side in sides.values()] + [f"{data['sides'][mine]['title']} / {data['sides'][theirs]['title']}" for mine, theirs in ratios]
    lines = [
        f"Medians of {data['n']} single executions, in **{data['units']}**. Machine: {data['machine']} ({data['model']}), {data['cpus']} CPU(s).",
        "",
        *(f"- {side['title']}: {side['what']}. {side['status']}{': ' + side['reason'] if side['reason'] else ''}" for side in data["sides"].values()),
        "",
        f"A ratio is missing where neither side has left the guest (at most {NO_EXIT}), or one has no number.",
        "",
        "| operation | " + " | ".join(titles) + " |",
        "|---|" + "---:|" * len(titles),
    ]
    for row in data["operations"]:
        name = f"`{row['op']}`" + (f" ({OWN[row['op']]})" if row["op"] in OWN else "")
        cells = [_number(row[side]["median"] if side in row else None) for side in sides]
        cells += [_ratio(row, f"{mine}/{theirs}") for mine, theirs in ratios]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def picture(data: dict[str, Any], files: list[Path]) -> None:
    """Bars, by operation and side; logarithmic, since they differ by factors of ten thousand."""
    import matplotlib  # pylint: disable=import-outside-toplevel

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "lintel"
    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot  # pylint: disable=import-outside-toplevel

    sides = [name for name, side in data["sides"].items() if side["status"] != "missing"]
    rows = [row for row in data["operations"] if any(side in row and row[side]["median"] > NO_EXIT for side in sides)]
    height = 0.8 / max(1, len(sides))
    figure, axes = pyplot.subplots(figsize=(11, 1.6 + 0.17 * len(rows) * max(2, len(sides))))
    for index, side in enumerate(sides):
        places = [place + (index - (len(sides) - 1) / 2) * height for place in range(len(rows))]
        values = [max(1, row[side]["median"]) if side in row else 0 for row in rows]
        axes.barh(places, values, height, label=data["sides"][side]["title"] + ("" if data["sides"][side]["status"] == "complete" else " (partial)"), color=COLOURS[side])
    axes.set_yticks(range(len(rows)), [row["op"] for row in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.set_xlabel(f"{data['units']}, median")
    axes.set_title(f"What an operation costs in a guest: {data['machine']}, {data['model']}", fontsize=10)
    axes.set_xlim(left=1)
    axes.grid(axis="x", which="major", alpha=0.4)
    axes.legend(fontsize=8, loc="upper right")
    figure.tight_layout()
    for file in files:
        figure.savefig(file, dpi=110, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)


def write(data: dict[str, Any], output: Path) -> list[str]:
    """Writes all of them; the files, and what could not be made."""
    (output / "results.json").write_text(json.dumps(data, indent=1) + "\n")
    (output / "results.md").write_text(markdown(data))
    made = ["results.json", "results.md"]
    if not data["operations"]:
        return [*made, "no picture (nothing was measured)"]
    try:
        picture(data, [output / "results.svg", output / "results.png"])
        made += ["results.svg", "results.png"]
    except ImportError:
        made.append("no picture (python3-matplotlib is missing: run tools/setup bench)")
    return made
