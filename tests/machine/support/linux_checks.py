# SPDX-License-Identifier: BSD-2-Clause
"""What every Linux under Lintel must do, whatever the machine and the configuration."""

import base64
import hashlib
import random
import re

from .exits import Report
from .shell import PROMPT, Shell

# Levels 0 to 4 of dmesg, and words that are bad at any level; each harmless line with its reason.
ALARMING = re.compile(r"^<[0-4]>|\bWARNING\b|\bBUG\b|\bOops\b|unstable|lockup|Call Trace|\bstall(?:s|ed)?\b|general protection|unchecked MSR")
HARMLESS = {
    r"RETBleed: WARNING: Spectre v2 mitigation leaves CPU vulnerable": "a processor of 2017 without IBRS for the guest: true, and not Lintel's doing",
    r"Spectre V2 : WARNING: ": "the same",
    r"MDS CPU bug present and SMT on": "the same",
    r"fail to add MMCONFIG information": "the PCI bus has no extended configuration space, which nothing on it needs",
}


def alarming(dmesg: str) -> list[str]:
    """The lines of `dmesg -r` that a user would worry about."""
    lines = [line for line in dmesg.splitlines() if ALARMING.search(line)]
    return [line for line in lines if not any(re.search(pattern, line) for pattern in HARMLESS)]


def check_usable(shell: Shell) -> None:
    """The kernel came up without a complaint, programs run, and time goes on."""
    assert "Linux version" in shell.output("dmesg"), "dmesg is not the kernel's log"
    assert alarming(shell.output("dmesg -r")) == []
    before = float(shell.output("cat /proc/uptime").split()[0])
    shell.output("sleep 1")
    assert float(shell.output("cat /proc/uptime").split()[0]) >= before + 1
    assert "kvm" not in shell.output("ls /dev").split()


def check_paste(shell: Shell) -> None:
    """20 KB pasted in one go, with the terminal echoing, lose no byte."""
    data = base64.encodebytes(random.Random(1).randbytes(15000))
    assert len(data) > 20000
    shell.start("cat > /tmp/paste; echo pas''ted")
    shell.console.send(data)
    shell.console.sendcontrol("d")
    shell.console.expect(r"pasted\r\n", timeout=120)
    shell.console.expect_exact(PROMPT)
    assert shell.output("sha256sum < /tmp/paste").split()[0] == hashlib.sha256(data).hexdigest()


def check_output(shell: Shell, kilobytes: int) -> None:
    """So much printed in one go, in lines of 64 bytes, loses no byte."""
    expected = "".join(f"{number:063}\n" for number in range(16 * kilobytes))
    shell.output(f"i=0; while [ $i -lt {16 * kilobytes} ]; do printf '%063d\\n' $i; i=$((i + 1)); done > /tmp/lines", timeout=120)
    output = shell.output("cat /tmp/lines", timeout=120)
    assert hashlib.sha256(output.encode()).hexdigest() == hashlib.sha256(expected.encode()).hexdigest()


def interrupts(shell: Shell) -> dict[str, int]:
    """/proc/interrupts of a guest with one CPU, by the first and the last word of each line."""
    counts = {}
    for line in shell.output("cat /proc/interrupts").splitlines():
        found = re.match(r" *(\w+): +(\d+)(?: .*?(\S+))?$", line)
        if found:
            counts[found[1]] = int(found[2])
            counts[found[3] or found[1]] = int(found[2])
    return counts


# Why an unmodified Linux with one CPU comes to the VMM at all.
REASONS = {
    "external interrupt": "the host's own: the operator's console",
    "interrupt window": "an interrupt waited for IF",
    "CPUID": "always exits",
    "HLT": "the guest is idle",
    "APIC access": "a register of the xAPIC whose value is computed",
    "APIC write": "a register of the xAPIC whose write does something",
    "virtualized EOI": "of a level-triggered interrupt",
    "VMCALL": "Linux's probe for hypercalls",
    "control-register access": "bits of CR0 and CR4 that are the host's; CR8 without TPR shadow",
    "I/O instruction": "emulated devices",
    "RDMSR": "MSRs that are emulated",
    "WRMSR": "x2APIC registers, TSC deadline",
    "TPR below threshold": "an interrupt waited for the task priority",
    "EPT violation": "device memory",
    "PAUSE": "a vCPU waited for a lock, for long",
    "preemption timer": "the guest's timer, and the time slice",
    "WBINVD or WBNOINVD": "Linux flushes caches when it changes MTRRs or page attributes",
    "XSETBV": "always exits",
    "NMI window": "an NMI waited for the end of another",
    "exception or NMI": "debug and alignment exceptions",
}


def check_exits(report: Report) -> None:
    """The table is whole, and names nothing that a Linux guest should not cause."""
    rows = {reason: count for reason, count in report.exits.items() if reason != "total"}
    assert sum(rows.values()) == report.total == report.announced
    assert not rows.keys() - REASONS.keys()
    for reason in ("CPUID", "I/O instruction", "HLT", "WRMSR"):
        assert rows.get(reason), f"a Linux boot without a {reason} exit? {rows}"
