# SPDX-License-Identifier: BSD-2-Clause
"""The tables of tests/bench/linux-loads."""

from . import linux

# Runs of all loads, by name, with their titles; those of KVM may be missing.
TITLES = {"all": "Lintel", "hide-pv": "Lintel, `hide = pv`", "kvm": "KVM", "kvm-noapicv": "KVM, no APICv"}
KVMS = ("kvm", "kvm-noapicv")


def usable(runs: dict[str, linux.Run], name: str) -> bool:
    """Has it come to its end?"""
    return name in runs and not runs[name].problem


def row(name: str, values: dict[str, float], digits: str = ",") -> str:
    """One line: the bare machine, of each other side its number and G, and K."""
    native = values["native"]
    cells = [f"{native:{digits}}"]
    for side in TITLES:
        if side in values:
            cells += [f"{values[side]:{digits}}", f"{values[side] / native:.4f}"]
    cells += [f"{values['all'] / values[side]:.4f}" for side in KVMS if side in values]
    return f"| {name} | " + " | ".join(cells) + " |"


def sides_table(runs: dict[str, linux.Run]) -> list[str]:
    """Load by load, all of them, and the boot."""
    sides = ["native", *(side for side in TITLES if usable(runs, side))]
    heads = [head for side in sides[1:] for head in (TITLES[side], "G")] + [f"K: Lintel / {TITLES[side]}" for side in KVMS if side in sides]
    lines = ["| load | bare machine | " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) + 1)]
    for name in runs["native"].loads:
        lines.append(row(name, {side: runs[side].loads[name] for side in sides}))
    lines.append(row("all of these", {side: sum(runs[side].loads.values()) for side in sides}))
    lines.append(row("kernel's start to first process, ms of its clock", {side: runs[side].boot_ns / 1e6 for side in sides}, ",.0f"))
    return lines


def shares(runs: dict[str, linux.Run], outside: float) -> list[str]:
    """S of Lintel by its own table; of all sides by what they take longer than the bare machine."""
    none, all_ = runs["none"], runs["all"]
    lines = [f"S by Lintel's table of exits: boot {100 * linux.share(none):.3f} %, loads {100 * linux.share(all_, none):.3f} %."]
    if outside:
        boot, loads = (100 * linux.share(*pair, outside=outside) for pair in ((none, None), (all_, none)))
        lines.append(f"With the {outside:.0f} of each exit that the table leaves out: boot {boot:.3f} %, loads {loads:.3f} %.")
    native = sum(runs["native"].loads.values())
    whole = {side: sum(runs[side].loads.values()) for side in TITLES if usable(runs, side)}
    told = ", ".join(f"{TITLES[side]} {100 * (1 - native / ticks):.3f} %" for side, ticks in whole.items())
    return [*lines, f"By the difference to the bare machine, of the time of all loads: {told}."]


def exits_table(runs: dict[str, linux.Run]) -> list[str]:
    """Lintel's exits by reason, until the first process and at the end, and what the loads have added; KVM's beside them if they were counted."""
    loads = linux.added(runs["all"], runs["none"])
    counts = runs["kvm-count"].counts.get("exits") if usable(runs, "kvm-count") else None
    names = [name for name in loads if name != "total"] + [name for name in (counts["boot"] if counts else {}) if name not in loads] + ["total"]
    lines = ["| exits | boot | VMM ticks | loads | VMM ticks |" + (" KVM, boot | KVM, loads |" if counts else ""), "|---|" + "---:|" * (6 if counts else 4)]
    for name in names:
        boot, more = runs["none"].exits.get(name, (0, 0)), loads.get(name, (0, 0))
        line = f"| {name} | {boot[0]:,} | {boot[1]:,} | {more[0]:,} | {more[1]:,} |"
        if counts:
            line += "".join(f" {sum(counts[part].values()) if name == 'total' else counts[part].get(name, 0):,} |" for part in ("boot", "loads"))
        lines.append(line)
    return lines


def statistics_table(runs: dict[str, linux.Run]) -> list[str]:
    """KVM's own counters, of the runs that are timed."""
    sides = {side: runs[side].counts["counters"] for side in KVMS if usable(runs, side) and "counters" in runs[side].counts}
    if not sides:
        return []
    heads = [f"{TITLES[side]}: {part}" for side in sides for part in ("boot", "loads")]
    lines = ["| KVM's own counter | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for name in dict.fromkeys(name for counts in sides.values() for name in counts["boot"]):
        lines.append(f"| {name} | " + " | ".join(f"{counts[part].get(name, 0):,}" for counts in sides.values() for part in ("boot", "loads")) + " |")
    return lines


def markdown(unit: str, runs: dict[str, linux.Run], outside: float) -> str:
    """All of it. What did not come to its end is named."""
    blocks = [[f"In **{unit}** of the TSC, whatever passes while the CPU idles included."]]
    blocks += [[f"Missing: {name}: {run.problem}" for name, run in runs.items() if run.problem]]
    blocks += [sides_table(runs), shares(runs, outside), exits_table(runs), statistics_table(runs)]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"
