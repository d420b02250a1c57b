# SPDX-License-Identifier: BSD-2-Clause
"""A trace as Lintel prints it (vmm/observe/trace_dump.c), as values. Lintel's lines alone count: no guest can print one that begins with "lintel:"."""

import re
from dataclasses import dataclass, field

LINE = re.compile(r"^lintel: trace: (.*?)\r*$", re.MULTILINE)
BEGIN = re.compile(r"begin: (\d+) CPUs, TSC (\d+) Hz")
VM = re.compile(r"vm (\d+): (\S+)")
CPU = re.compile(r"cpu (\d+): (\d+) events, (\d+) overwritten")
REASON = re.compile(r"reason (\d+): (\S.*)")
END = re.compile(r"end: (\d+) events")
EVENTS = re.compile(r"(\d+): ([0-9a-f]+)( [0-9a-f]+[g-z][0-9a-f]{2}:[0-9a-f]*(?:\.[0-9a-f]+)?(?: [0-9a-f]+[g-z](?:[0-9a-f]{2}:)?[0-9a-f]*(?:\.[0-9a-f]+)?)*)")
EVENT = re.compile(r" ([0-9a-f]+)([g-z])(?:([0-9a-f])([0-9a-f]):)?([0-9a-f]*)(?:\.([0-9a-f]+))?")
# What Lintel says about the trace beside the trace.
NEWS = re.compile(r"on: |off$|is being printed|no memory ")

KINDS = {"x": "exit", "n": "entry", "j": "inject", "s": "in", "o": "out", "k": "kick", "i": "interrupt"}


class TraceError(Exception):
    """What is wrong with a log, in words."""


@dataclass(frozen=True)
class Event:
    """One event; see vmm/observe/trace.h for what `what` and `arg` are."""

    tsc: int
    kind: str
    vm: int
    vcpu: int
    what: int
    arg: int


@dataclass
class Dump:
    """One trace."""

    hz: int
    cpus: dict[int, list[Event]] = field(default_factory=dict)
    overwritten: dict[int, int] = field(default_factory=dict)
    vms: dict[int, str] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)

    @property
    def events(self) -> int:
        """Of all CPUs."""
        return sum(len(events) for events in self.cpus.values())


def _events(dump: Dump, cpu: int, tsc: int, text: str) -> None:
    if cpu not in dump.cpus:
        raise TraceError(f"events of CPU {cpu}, which was not announced")
    vm = vcpu = 0
    for found in EVENT.finditer(text):
        if found[2] not in KINDS:
            raise TraceError(f"an event of an unknown kind, {found[2]!r}: this tool is older than that Lintel")
        tsc += int(found[1], 16)
        if found[3]:
            vm, vcpu = int(found[3], 16), int(found[4], 16)
        dump.cpus[cpu].append(Event(tsc, KINDS[found[2]], vm, vcpu, int(found[5] or "0", 16), int(found[6] or "0", 16)))


def _line(dump: Dump, text: str) -> bool:
    """One line after the first; True if it was the last one."""
    if found := EVENTS.fullmatch(text):
        _events(dump, int(found[1]), int(found[2], 16), found[3])
    elif found := CPU.fullmatch(text):
        dump.cpus[int(found[1])] = []
        dump.overwritten[int(found[1])] = int(found[3])
    elif found := VM.fullmatch(text):
        dump.vms[int(found[1])] = found[2]
    elif found := REASON.fullmatch(text):
        dump.reasons[int(found[1])] = found[2]
    elif found := END.fullmatch(text):
        if int(found[1]) != dump.events:
            raise TraceError(f"the trace is not complete: {dump.events} of {found[1]} events are there")
        return True
    elif not NEWS.match(text):
        raise TraceError(f"not understood: lintel: trace: {text[:80]}")
    return False


def parse(log: str) -> list[Dump]:
    """All traces of a log, in order. TraceError if there is none, or one that is not whole."""
    dumps: list[Dump] = []
    dump: Dump | None = None
    for found in LINE.finditer(log):
        if begin := BEGIN.fullmatch(found[1]):
            if dump is not None:
                raise TraceError(f"a trace begins before the last one has ended, after {dump.events} events")
            if int(begin[2]) == 0:
                raise TraceError("a TSC of 0 Hz")
            dump = Dump(int(begin[2]))
        elif dump is not None and _line(dump, found[1]):
            dumps.append(dump)
            dump = None
    if dump is not None:
        raise TraceError(f"the trace breaks off after {dump.events} events")
    if not dumps:
        raise TraceError("no trace in it: set `trace = 64K` in [lintel], or press Ctrl-a t, and again to have it printed")
    return dumps
