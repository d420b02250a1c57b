# SPDX-License-Identifier: BSD-2-Clause
"""The image that proves a machine: the steps of its lintel.conf, and what its summary says (docs/certify.md)."""

import re
from dataclasses import dataclass, field

from .errors import LabError
from .micro import BLK, Guest

TWO = "cpus = 2"

# Of what a single machine can run, each alone, what depends most on its processor: a configuration has 16 VMs (CONFIG_MAX_VMS). The benchmark and Linux come last: theirs are the figures nearest to the end.
MICRO = [
    Guest("cpuid", "cpuid"),
    Guest("msr", "msr"),
    Guest("insn", "insn"),
    Guest("cr", "cr"),
    Guest("mmio", "mmio"),
    Guest("apic", "apic"),
    Guest("irq", "irq"),
    Guest("debug", "debug"),
    Guest("state", "state", "seed=a alone"),
    Guest("virtio", "virtio"),
    Guest("blk", "blk", "", BLK),
    Guest("pv", "pv", "", TWO),
    Guest("ipi", "ipi", "shared", TWO),
    Guest("storm", "storm", "shared", TWO),
    Guest("exitcost", "exitcost"),
]
LINUX = """[vm linux]
memory = 256M
kernel = vmlinuz
initrd = initrd.img
cmdline = console=ttyS0,115200 quiet rdinit=/bin/busybox cryptomgr.notests -- poweroff -f
console = uart
"""


def configuration(summary: int = 600, step_seconds: int = 120, linux_seconds: int = 600) -> str:
    """Its lintel.conf."""
    sections, before = [], ""
    for guest in MICRO:
        sections.append(guest.section().rstrip() + f"\ntimeout = {step_seconds}\n" + (f"after = {before}\n" if before else ""))
        before = guest.vm
    sections.append(LINUX + f"timeout = {linux_seconds}\nafter = {before}\n")
    return f"# Made by tools/certify; docs/certify.md.\n[lintel]\nidle = poweroff\nsummary = {summary}\n\n" + "\n".join(sections)


def files() -> set[str]:
    """Those of the micro-guests that it names."""
    return {f"{guest.image}.elf" for guest in MICRO}


# --- the summary ---

LINE = re.compile(r"^(?:lintel: )?\| ?(.*?)\s*$")
BEGIN = re.compile(r"--- summary of Lintel (\S+) ---")
END = "--- end of the summary ---"
STEP = re.compile(r"(\S+) +(pass|fail|timeout|skip|not run) +(\d+\.\d) s +(\d+) exits *(.*)")
FIELD = re.compile(r"(cpu|cpus|tsc|firmware|memory|disks|nics|vmx used|vmx masked|vmx missing|verdicts): (.*)")
VERDICTS = re.compile(r"(\d+) pass, (\d+) fail, (\d+) timeout, (\d+) skip, (\d+) not run")
NEEDED = ("cpu", "cpus", "tsc", "firmware", "memory", "verdicts")


# What kvm_intel does otherwise than a processor, and guests find out (docs/lab.md): SYSENTER's addresses; LMSW and CR0.ET. So, and no otherwise, two
# steps end where the machine is KVM's.
OF_KVM = {("msr", "debug-exit 0x2"), ("cr", "debug-exit 0x4")}


@dataclass
class Step:
    """How one VM has ended."""

    name: str
    verdict: str
    seconds: float
    exits: int
    end: str
    note: str = ""


@dataclass
class Summary:
    """What a machine has said of itself."""

    version: str
    fields: dict[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def good(self) -> bool:
        """Has every step passed, been skipped for a reason, or found what is KVM's?"""
        return bool(self.steps) and all(step.verdict in ("pass", "skip") or self.is_of_kvm(step) for step in self.steps)

    def is_of_kvm(self, step: Step) -> bool:
        """Did it fail for what KVM does, and for nothing else?"""
        return "virtual" in self.fields.get("firmware", "").split("; ") and (step.name, step.end) in OF_KVM

    def counts(self) -> dict[str, int]:
        """How many steps have which verdict, of those that any has."""
        count: dict[str, int] = {}
        for step in self.steps:
            count[step.verdict] = count.get(step.verdict, 0) + 1
        return count

    def row(self, machine: str = "") -> str:
        """A row of the support table in docs/certify.md."""
        cpu = self.fields["cpu"].split(maxsplit=1)
        bad = [f"{step.name}: {step.verdict}{', of KVM' if self.is_of_kvm(step) else ''}" for step in self.steps if step.verdict != "pass"]
        verdicts = f"{self.counts().get('pass', 0)} of {len(self.steps)} pass" + (f" ({', '.join(bad)})" if bad else "")
        without = "; ".join(f"{kind} {self.fields[key]}" for kind in ("missing", "masked") if (key := f"vmx {kind}") in self.fields)
        cost = next((step.note for step in self.steps if step.note), "")
        cells = [machine or cpu[1], cpu[0], self.fields["firmware"], self.fields["cpus"], self.fields["tsc"], without or "none", verdicts, cost]
        return "| " + " | ".join(cell.replace("|", "/").strip() for cell in cells) + " |"


def _last_summary(text: str) -> list[str]:
    """The lines between the last beginning and its end: what was captured may hold several boots."""
    lines = [match[1] for raw in text.splitlines() if (match := LINE.match(raw.strip("\r")))]
    begins = [n for n, line in enumerate(lines) if BEGIN.fullmatch(line)]
    if not begins:
        raise LabError("there is no summary: no line 'lintel: | --- summary of Lintel ... ---'")
    rest = lines[begins[-1] :]
    if END not in rest:
        raise LabError(f"the summary is cut off: there is no line 'lintel: | {END}'")
    return rest[: rest.index(END)]


def _take(summary: Summary, line: str, last: str) -> str:
    """One line; `last` is the field that the line before belongs to."""
    if match := STEP.fullmatch(line):
        summary.steps.append(Step(match[1], match[2], float(match[3]), int(match[4]), match[5]))
    elif match := FIELD.fullmatch(line):
        known = summary.fields.get(match[1])
        summary.fields[match[1]] = f"{known} {match[2]}" if known and match[1] == last else match[2]
        return match[1]
    elif line.startswith("  ") and summary.steps:
        summary.steps[-1].note = line.strip()
    else:
        raise LabError(f"a line of the summary that is none of its kinds: '{line[:78]}'")
    return ""


def read(text: str) -> Summary:
    """The last summary in what was captured of a console. LabError: there is none, or it is not whole."""
    lines = _last_summary(text)
    begin = BEGIN.fullmatch(lines[0])
    assert begin
    summary = Summary(begin[1], lines=[*lines, END])
    last = ""
    for line in lines[1:]:
        last = _take(summary, line, last)
    missing = [name for name in NEEDED if name not in summary.fields]
    if missing:
        raise LabError(f"the summary has no line '{missing[0]}: ...'")
    if len(summary.fields["cpu"].split(maxsplit=1)) != 2:
        raise LabError(f"not a processor: 'cpu: {summary.fields['cpu'][:60]}'")
    told = VERDICTS.fullmatch(summary.fields["verdicts"])
    found = [sum(step.verdict == verdict for step in summary.steps) for verdict in ("pass", "fail", "timeout", "skip", "not run")]
    if not told or [int(number) for number in told.groups()] != found:
        raise LabError(f"its {len(summary.steps)} steps are not what it says itself: '{summary.fields['verdicts'][:60]}'")
    return summary
