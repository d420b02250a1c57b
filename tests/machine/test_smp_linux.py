# SPDX-License-Identifier: BSD-2-Clause
"""Linux with several CPUs: it boots, works under load, gives CPUs up and takes them back, has nothing to complain about."""

import re

import pytest
from lablib.machine import boot
from support.esp import CMDLINE_POWEROFF, linux, make_esp
from support.exits import report_of, reports
from support.shell import Shell
from support.smp import check_cpus, check_log, load, replug, small_load, stress_image

INDEPENDENT = True
BOOT_SECONDS = 900


def check_linux(name: str, vcpus: int, cpus: int, lintel: str = "", more: str = "", stress: bool = False, rounds: int = 1, **machine) -> str:
    """One VM from start to end; the log."""
    config = f"[lintel]\n{lintel}\n" + linux(more=f"cpus = {vcpus}\n{more}")
    files = {"initrd.img": stress_image()} if stress else {}
    with boot(esp=make_esp(name, config, files), name=f"test-{name}", cpus=cpus, **machine) as m:
        shell = Shell(m).wait_ready(BOOT_SECONDS)
        # Linux that sees no hypervisor looks at the microcode's revision, which is the machine's.
        allowed = "TSC_DEADLINE disabled due to Errata" if more == "hide = pv" else ""
        check_cpus(shell, vcpus, allowed)
        for _ in range(rounds):
            replug(shell, vcpus)
        (load if stress else small_load)(shell, vcpus)
        check_log(shell, allowed)
        log = shell.poweroff(300)
    assert [report.end for report in reports(log)] == ["poweroff"]
    return log


def test_four_on_two():
    """Four vCPUs on two CPUs run stress-ng's load, and are unplugged and plugged again, without a complaint."""
    check_linux("smp-4-on-2", 4, 2, stress=True)


# On Bochs the preemption timer is all that bounds a vCPU that was entered with IF = 0 (docs/vt-x.md, "Errata"). It cannot go where a vCPU waits so for
# what only the VMM can do on that CPU: to let another vCPU run, as Linux' second CPU waits to be let in; or to empty the console's line, when two print
# at once and the one whose turn it is waits for room. test_fallbacks.py has one vCPU without it, test_nested.py two.
ALL_BUT_PREEMPTION_TIMER = """tpr-shadow, vpid, ept-2m, ept-1g, virtual-nmis, x2apic-mode, rdtscp, invpcid, xsaves, wbinvd-exiting,
apic-accesses, apic-registers, vid, posted-interrupts, pause-loop""".replace("\n", " ")


# In `make test` test_fallbacks.py boots Linux without each feature, on one CPU, and test_smp_micro.py micro-guests on several.
@pytest.mark.long
@pytest.mark.parametrize("cpus", [1, 2])
def test_two_without_features(cpus):
    """Two vCPUs on what Lintel requires, the preemption timer, and nothing else."""
    log = check_linux(f"smp-without-{cpus}", 2, cpus, lintel=f"mask = {ALL_BUT_PREEMPTION_TIMER}")
    assert "lintel: vmx: used: preemption-timer\n" in log


@pytest.mark.long
@pytest.mark.parametrize("cpus", [1, 2, 4])
@pytest.mark.parametrize("vcpus", [1, 2, 4, 8])
def test_matrix(vcpus, cpus):
    """Any number of vCPUs on any number of CPUs."""
    check_linux(f"smp-{vcpus}-on-{cpus}", vcpus, cpus, stress=True, rounds=3)


@pytest.mark.long
@pytest.mark.parametrize("mask", ["tpr-shadow", "x2apic-mode", "vpid", "profile:kvm-nested"])
def test_without(mask):
    """Four vCPUs without each of the features that Lintel can do without."""
    check_linux(f"smp-no-{mask.replace(':', '-')}", 4, 2, lintel=f"mask = {mask}")


@pytest.mark.long
@pytest.mark.parametrize("more", ["hide = x2apic", "hide = pv", "hide = x2apic, pv, tsc-deadline"])
def test_hidden(more):
    """Four vCPUs that see less: an xAPIC, no paravirtual interface, no TSC deadline."""
    check_linux("smp-hide-" + "-".join(re.findall(r"[\w-]+", more)[1:]), 4, 2, more=more)


@pytest.mark.long
def test_haswell():
    """Four vCPUs on a processor of 2013."""
    check_linux("smp-haswell", 4, 2, stress=True, machine="bochs", cpu="corei7_haswell_4770")


def run_once(number: int) -> str:
    """A boot with four vCPUs on one CPU that switches itself off; what the machine printed from Lintel's first line on."""
    esp = make_esp("smp-determinism", linux(cmdline=CMDLINE_POWEROFF, more="cpus = 4\nhide = rdrand, rdseed"))
    with boot(esp=esp, machine="bochs", name=f"test-smp-determinism-{number}") as machine:
        machine.wait_poweroff(BOOT_SECONDS)
        log = machine.log_text()
    return log[log.index("lintel:") :]


# That one run repeats is what test_exit_counts.py compares with each time.
@pytest.mark.long
def test_two_runs_are_the_same():
    """With one CPU, two boots of a VM with four vCPUs print the same, to the last exit of each."""
    first, second = run_once(1), run_once(2)
    assert report_of(first, "debian").end == "poweroff"
    assert first == second
