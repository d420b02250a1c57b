# SPDX-License-Identifier: BSD-2-Clause
"""The rooms of the house and their order. docs/architecture.md says what lives in each.

A room is a folder with sources in it, but for vmm/ itself, which is two: its headers are the contract with boot/, on the ground; its
only source, main.c, is above all others. What a room may use is named here and nowhere else."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Room:
    """A folder; what others it may use (itself always), all of them on floors below; what it is, in a few words."""

    name: str
    uses: tuple[str, ...]
    what: str


BASE = "lib"
DEVICES = ("vioapic", "virtio", "vswitch")
CONTRACT = "vmm/*.h"
TOP = "vmm/main.c"

# From the ground up. A room uses rooms further up in this list only: those of its own floor are its neighbours, not its tools.
FLOORS: tuple[tuple[Room, ...], ...] = (
    (Room(BASE, (), "freestanding basics"),),
    (
        Room("ept", (BASE,), "extended page tables, as data"),
        Room("vmx", (BASE,), "VT-x itself"),
        Room("drivers", (BASE,), "physical devices"),
        Room("vioapic", (BASE,), "the guest's interrupt controllers"),
        Room("virtio", (BASE,), "the guest's virtio devices"),
        Room("vswitch", (BASE,), "the virtual switch"),
        Room(CONTRACT, (BASE,), "the contract with boot/"),
    ),
    (
        Room("vmm/host", (BASE, CONTRACT, "ept", "vmx", "drivers"), "the machine Lintel stands on"),
        Room("vmm/sched", (BASE, CONTRACT), "who runs where"),
        Room("vmm/load", (BASE, CONTRACT), "guest images"),
        Room("vmm/pc", (BASE,), "the guest's PC"),
    ),
    (Room("vmm/vm", (BASE, CONTRACT, "ept", "vmx", "drivers", *DEVICES, "vmm/host", "vmm/sched", "vmm/pc"), "a VM: memory, machine, disks, cards"),),
    (Room("vmm/vcpu", (BASE, CONTRACT, "vmx", *DEVICES, "vmm/host", "vmm/sched", "vmm/load", "vmm/vm"), "a vCPU: state, events, policy"),),
    (Room("vmm/observe", (BASE, CONTRACT, "vmx", "virtio", "vmm/host", "vmm/vm", "vmm/vcpu"), "what people look at"),),
    (Room("vmm/exit", (BASE, "vmx", "vioapic", "vmm/host", "vmm/sched", "vmm/pc", "vmm/vm", "vmm/vcpu", "vmm/observe"), "the way of an exit"),),
    (Room("vmm/run", (BASE, "vmx", "vmm/host", "vmm/sched", "vmm/load", "vmm/pc", "vmm/vm", "vmm/vcpu", "vmm/observe", "vmm/exit"), "lives of VMs, the loop of a CPU"),),
    (Room(TOP, (BASE, CONTRACT, "vmx", "drivers", "vmm/host", "vmm/vm", "vmm/vcpu", "vmm/observe", "vmm/exit", "vmm/run"), "from the hand-over to the run loop"),),
    (Room("boot", (BASE, CONTRACT, "drivers", TOP), "the UEFI application"),),
)

ROOMS = {room.name: room for floor in FLOORS for room in floor}
FLOOR_OF = {room.name: number for number, floor in enumerate(FLOORS) for room in floor}
# Folders of the tree that hold them.
FOLDERS = tuple(dict.fromkeys(name.split("/")[0] for name in ROOMS))
SOURCES = {".c", ".h", ".asm", ".inc"}

# Symbols that a room needs of one above it, each with its reason. Aim: none.
UPWARD_SYMBOLS = {
    "panic": "declared in lib/printk.h: whoever finds that we are wrong has to be able to say so, and what a panic prints only vmm/host knows",
}


def room_of(file: str) -> str | None:
    """The room of a source, by its path from the top of the tree; None: no room is there."""
    folder, _, name = file.rpartition("/")
    if folder == "vmm":
        folder = CONTRACT if name.endswith(".h") else f"vmm/{name}"
    return folder if folder in ROOMS else None


def sources(root: Path) -> list[str]:
    """All sources of the house, sorted."""
    return sorted(p.relative_to(root).as_posix() for folder in FOLDERS for p in (root / folder).rglob("*") if p.suffix in SOURCES)


INCLUDE = re.compile(r'\s*[#%]\s*include\b\s*(?:"([^"]*)"|<([^>]*)>)?')


def includes_of(root: Path, file: str) -> Iterator[tuple[int, str | None, str | None]]:
    """Each include of a source: line, what is named in quotes, what in angle brackets (neither: a macro)."""
    for number, line in enumerate((root / file).read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match[1], match[2]


@dataclass
class Graph:
    """Who includes whom."""

    includes: list[tuple[str, str]] = field(default_factory=list)  # file, file

    @classmethod
    def of(cls, root: Path) -> "Graph":
        """That of a tree, whether what it shows is allowed or not."""
        return cls([(file, quoted) for file in sources(root) for _, quoted, _ in includes_of(root, file) if quoted])

    def between_rooms(self) -> dict[tuple[str, str], int]:
        """How many includes lead from one room to another."""
        count: dict[tuple[str, str], int] = {}
        for user, used in self.includes:
            pair = (room_of(user), room_of(used))
            if None not in pair and pair[0] != pair[1]:
                count[pair] = count.get(pair, 0) + 1
        return dict(sorted(count.items()))

    def circles(self) -> list[list[str]]:
        """Modules (a source and its header are one) that include each other in a circle, largest first: strongly connected components."""
        edges: dict[str, set[str]] = {}
        for user, used in self.includes:
            a, b = user.rsplit(".", 1)[0], used.rsplit(".", 1)[0]
            edges.setdefault(a, set()).add(b)
            edges.setdefault(b, set())
        return sorted((sorted(c) for c in components(edges) if len(c) > 1), key=len, reverse=True)


def components(edges: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components: two passes of depth-first search (Kosaraju), without recursion."""
    order: list[str] = []
    seen: set[str] = set()
    for start in sorted(edges):
        stack = [(start, iter(sorted(edges[start])))] if start not in seen else []
        seen.add(start)
        while stack:
            node, rest = stack[-1]
            following = next((n for n in rest if n not in seen), None)
            if following is None:
                order.append(node)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(sorted(edges[following]))))
    back: dict[str, set[str]] = {node: set() for node in edges}
    for node, targets in edges.items():
        for target in targets:
            back[target].add(node)
    found, seen = [], set()
    for start in reversed(order):
        group, todo = [], [start] if start not in seen else []
        seen.add(start)
        while todo:
            node = todo.pop()
            group.append(node)
            fresh = back[node] - seen
            seen |= fresh
            todo += fresh
        if group:
            found.append(group)
    return found
