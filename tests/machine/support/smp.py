# SPDX-License-Identifier: BSD-2-Clause
"""What a Linux guest with several CPUs must do."""

import re
import subprocess
from pathlib import Path

from lablib.paths import REPOSITORY

from .esp import GUESTS
from .linux_checks import alarming
from .shell import Result, Shell

CPUS = "/sys/devices/system/cpu"
LOAD_SECONDS = 600


class SharedShell(Shell):
    """A shell beside VMs whose reports come between two lines of its output."""

    def run(self, command: str, timeout: float = 60) -> Result:
        """Without Lintel's own lines."""
        result = super().run(command, timeout)
        return Result(re.sub(r"^lintel: .*\n", "", result.output, flags=re.MULTILINE), result.status)


def stress_image() -> Path:
    """The initramfs with stress-ng; made when it is not there."""
    made = subprocess.run([str(REPOSITORY / "guests/linux/stress"), str(GUESTS)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert made.returncode == 0, made.stdout
    return GUESTS / "stress.img"


def per_cpu(shell: Shell) -> dict[str, list[int]]:
    """/proc/interrupts: the counts of each CPU by the line's name."""
    lines = shell.output("cat /proc/interrupts").splitlines()
    width = len(lines[0].split())
    counts = {}
    for line in lines[1:]:
        words = line.split()
        if all(word.isdigit() for word in words[1 : 1 + width]):
            counts[words[0].rstrip(":")] = [int(word) for word in words[1 : 1 + width]]
    return counts


def check_cpus(shell: Shell, vcpus: int, allowed: str = "") -> None:
    """All CPUs are online, each with an identity of its own and ticks and IPIs of its own; the log has no complaint."""
    assert int(shell.output("nproc")) == vcpus
    ids = re.findall(r"^apicid\s*: (\d+)$", shell.output("cat /proc/cpuinfo"), re.MULTILINE)
    assert len(set(ids)) == len(ids) == vcpus
    counts = per_cpu(shell)
    assert all(ticks > 0 for ticks in counts["LOC"]), counts["LOC"]
    if vcpus > 1:
        # Only programs that run on other CPUs than the first make IPIs.
        assert all(counts["RES"][n] + counts["CAL"][n] > 0 for n in range(vcpus)), (counts["RES"], counts["CAL"])
    assert counts["SPU"] == [0] * vcpus
    check_log(shell, allowed)


def check_log(shell: Shell, allowed: str = "") -> None:
    """The kernel has nothing to complain about: no lockup, no stall, no clock or APIC trouble. Lines that match @allowed are none, for a reason that the caller has."""
    dmesg = shell.output("dmesg -r")
    assert "Linux version" in dmesg
    assert [line for line in alarming(dmesg) if not (allowed and re.search(allowed, line))] == []
    assert not re.search(r"APIC error|timer (?:is )?not working|skipped synchronization|tsc: Marking|not responding|do_IRQ|No irq handler|NMI received for unknown", dmesg)


def load(shell: Shell, vcpus: int) -> None:
    """stress-ng on all CPUs: arithmetic, context switches, processes, pipes; all of it verifies what it computes."""
    command = f"stress-ng --verify --cpu {vcpus} --cpu-ops {12 * vcpus} --switch 2 --switch-ops 1000 --fork 2 --fork-ops 40 --pipe 2 --pipe-ops 4000"
    output = shell.output(command, timeout=LOAD_SECONDS)
    assert "successful run completed" in output and "fail" not in output


def small_load(shell: Shell, vcpus: int) -> None:
    """The same with busybox alone: as many loops as CPUs, that start processes and compute."""
    loop = "i=0; while [ $i -lt 40 ]; do echo $i | md5sum | grep -q - || echo bad; i=$((i+1)); done; echo done"
    output = shell.output(f"for n in $(seq {vcpus}); do ({loop}) & done; wait", timeout=LOAD_SECONDS)
    assert output.count("done") >= vcpus and "bad" not in output


def replug(shell: Shell, vcpus: int) -> None:
    """Takes all CPUs but the first away and brings them back."""
    others = " ".join(str(n) for n in range(1, vcpus))
    shell.output(f"for n in {others}; do echo 0 > {CPUS}/cpu$n/online || echo refused; done", timeout=LOAD_SECONDS)
    assert shell.output(f"cat {CPUS}/online") == "0\n"
    shell.output(f"for n in {others}; do echo 1 > {CPUS}/cpu$n/online || echo refused; done", timeout=LOAD_SECONDS)
    assert shell.output(f"cat {CPUS}/online") == (f"0-{vcpus - 1}\n" if vcpus > 1 else "0\n")
