# SPDX-License-Identifier: BSD-2-Clause
"""A trace in the Trace Event Format, which chrome://tracing and https://ui.perfetto.dev open: a track for each physical CPU.

Slices, from outside to inside: the turn of a vCPU ("debian/0"), and in it the guest ("guest debian/0") and what Lintel does for it ("exit CPUID").
Injections, kicks and interrupts of virtio devices are instants."""

from typing import Any

from .dump import Dump, Event

PROCESS = 1
# Slots of the guest's PCI bus: docs/architecture.md.
DEVICES = {1: "virtio-console", **{2 + i: f"virtio-blk{i}" for i in range(4)}, **{6 + i: f"virtio-net{i}" for i in range(4)}, 14: "virtio-rng"}
# Types of events as VM entry knows them; the last one is the processor's own business.
TYPES = {0: "interrupt", 2: "NMI", 3: "exception", 4: "software interrupt", 5: "software exception", 6: "software exception", 8: "virtual interrupt"}
DETAILS = {"CPUID": "leaf", "RDMSR": "MSR", "WRMSR": "MSR", "I/O instruction": "port", "EPT violation": "address"}
PIN = 256


def device(slot: int) -> str:
    """By its slot."""
    return DEVICES.get(slot, f"slot {slot}")


class Track:
    """One physical CPU: events in order become slices that nest."""

    def __init__(self, dump: Dump, cpu: int, start: int):
        self.dump = dump
        self.cpu = cpu
        self.start = start
        self.open: list[str] = []
        self.out: list[dict[str, Any]] = []

    def emit(self, phase: str, tsc: int, name: str, **more: Any) -> None:
        """One event of the format; its times are microseconds."""
        self.out.append({"ph": phase, "pid": PROCESS, "tid": self.cpu, "ts": round((tsc - self.start) * 1e6 / self.dump.hz, 4), "name": name, **more})

    def begin(self, tsc: int, name: str, category: str, **args: Any) -> None:
        """A slice, inside of those that are open."""
        self.open.append(name)
        self.emit("B", tsc, name, cat=category, args=args)

    def end(self, tsc: int, leave: int = 0) -> None:
        """Of all slices but the `leave` outermost ones."""
        while len(self.open) > leave:
            self.emit("E", tsc, self.open.pop())

    def vcpu(self, event: Event) -> str:
        """Whose event it is."""
        return f"{self.dump.vms.get(event.vm, f'vm{event.vm}')}/{event.vcpu}"

    def turn(self, event: Event) -> None:
        """Within a turn, whose begin may have been overwritten, and nothing else."""
        name = self.vcpu(event)
        if self.open[:1] != [name]:
            self.end(event.tsc)
            self.begin(event.tsc, name, "turn")
        self.end(event.tsc, 1)

    def exit(self, event: Event) -> None:
        """Out of the guest."""
        reason = self.dump.reasons.get(event.what, f"reason {event.what}")
        self.turn(event)
        self.begin(event.tsc, f"exit {reason}", "exit", **({DETAILS[reason]: f"{event.arg:#x}"} if reason in DETAILS else {}))

    def instant(self, event: Event, name: str, category: str) -> None:
        """A mark."""
        self.emit("i", event.tsc, name, cat=category, s="t", args={"vm": self.dump.vms.get(event.vm, f"vm{event.vm}")})

    def add(self, event: Event) -> None:
        """One event."""
        slot, queue = event.what >> 8, event.what & 0xFF
        if event.kind == "in":
            self.end(event.tsc)
            self.turn(event)
        elif event.kind == "out":
            self.end(event.tsc)
        elif event.kind == "exit":
            self.exit(event)
        elif event.kind == "entry":
            self.turn(event)
            self.begin(event.tsc, f"guest {self.vcpu(event)}", "guest")
        elif event.kind == "inject":
            self.instant(event, f"inject {TYPES.get(event.arg, f'type {event.arg}')} {event.what:#x}", "inject")
        elif event.kind == "kick":
            self.instant(event, f"kick {device(slot)} queue {queue}", "virtio")
        else:
            self.instant(event, f"interrupt of {device(slot)}: " + ("pin" if event.arg == PIN else f"{event.arg:#x}"), "virtio")


def _name(kind: str, name: str, tid: int = 0) -> dict[str, Any]:
    return {"ph": "M", "pid": PROCESS, "tid": tid, "ts": 0, "name": kind, "args": {"name": name}}


def convert(dump: Dump) -> dict[str, Any]:
    """The whole file, for json.dump. Time begins with the oldest event that there is."""
    start = min((events[0].tsc for events in dump.cpus.values() if events), default=0)
    out = [_name("process_name", "Lintel: physical CPUs")]
    for cpu, events in sorted(dump.cpus.items()):
        track = Track(dump, cpu, start)
        out.append(_name("thread_name", f"CPU {cpu}", cpu))
        for event in events:
            track.add(event)
        if events:
            track.end(events[-1].tsc)
        out += track.out
    other = {"tsc_hz": dump.hz, "first_tsc": start, "overwritten": {f"CPU {cpu}": number for cpu, number in sorted(dump.overwritten.items())}}
    return {"traceEvents": out, "displayTimeUnit": "ns", "otherData": other}
