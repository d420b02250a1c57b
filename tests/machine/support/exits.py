# SPDX-License-Identifier: BSD-2-Clause
"""Lintel's report on a VM that has stopped: how it ended, its table of exits, and how often it used which device."""

import re
from dataclasses import dataclass, field

STOPPED = re.compile(r"lintel: vm (\S+): stopped: (.*)\n")
EXITS = re.compile(r"lintel: vm (\S+): (\d+) vCPUs?: (\d+) exits\n")
TITLES = re.compile(r"lintel: +exits +.*reason\n")
EXIT_ROW = re.compile(r"lintel: +(\d+) +(\d+) +(\d+)  (\S.*)\n")
DEVICES = re.compile(r"lintel: vm (\S+): accesses to devices\n")
DEVICE_ROW = re.compile(r"lintel: +(\d+)  ((?:port|mmio|disk) \S.*)\n")
# What other CPUs may print meanwhile: a guest's output, and the news of another VM. Its table is not among that.
BETWEEN = re.compile(r"(?!lintel: ).*\n|lintel: vm (?P<vm>\S+): (?:started: |starts again |not started).*\n")


@dataclass
class Report:
    """One end of a VM; the exits are those of all its vCPUs."""

    vm: str
    end: str
    announced: int = 0
    exits: dict[str, int] = field(default_factory=dict)
    devices: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """The last row of the table of exits."""
        return self.exits["total"]

    def of(self, reason: str) -> int:
        """How many exits had this reason; 0 when the table does not name it."""
        return self.exits.get(reason, 0)

    def device(self, name: str) -> int:
        """How many accesses went to "port pit", "mmio lapic" ..., what is counted of "disk 0 requests" ...; 0 when the table does not name it."""
        return self.devices.get(name, 0)


def _report(log: str, stop: re.Match[str]) -> Report:
    """The lines follow each other, but for what other CPUs print."""
    report = Report(stop[1], stop[2])
    place = stop.end()

    def skip() -> None:
        nonlocal place
        while (between := BETWEEN.match(log, place)) and between["vm"] != report.vm and between.end() < len(log):
            place = between.end()

    def line(pattern: re.Pattern[str]) -> re.Match[str]:
        nonlocal place
        skip()
        found = pattern.match(log, place)
        assert found, f"expected {pattern.pattern!r} after '{stop[0].strip()}', not: {log[place : place + 100]!r}"
        place = found.end()
        return found

    header = line(EXITS)
    assert header[1] == report.vm
    report.announced = int(header[3])
    line(TITLES)
    while "total" not in report.exits:
        row = line(EXIT_ROW)
        report.exits[row[4]] = int(row[1])
    assert line(DEVICES)[1] == report.vm
    skip()
    while row := DEVICE_ROW.match(log, place):
        report.devices[row[2]] = int(row[1])
        place = row.end()
        skip()
    return report


def reports(log: str) -> list[Report]:
    """All reports in a log, in order."""
    # Another CPU, whose VM has ended too, may move the console's focus meanwhile, and says so.
    log = re.sub(r"^lintel: console of vm .*\n", "", log + "\n", flags=re.MULTILINE)
    return [_report(log, stop) for stop in STOPPED.finditer(log)]


def report_of(log: str, vm: str) -> Report:
    """The only report on a VM."""
    mine = [report for report in reports(log) if report.vm == vm]
    assert len(mine) == 1, f"{len(mine)} reports on vm {vm}"
    return mine[0]
