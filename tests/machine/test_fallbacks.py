# SPDX-License-Identifier: BSD-2-Clause
"""Linux to its shell and back without the VT-x features that Lintel would use: each fallback, and each processor model, in a boot of its own.

`make test` has all fallbacks at once; the long ones mask one thing each."""

import re

import pytest
from lablib.machine import boot
from support import tiny
from support.esp import linux, make_esp
from support.exits import Report, report_of
from support.linux_checks import check_exits, check_usable
from support.shell import Shell

INDEPENDENT = True

HASWELL, SKYLAKE = "corei7_haswell_4770", "corei7_skylake_x"


def features(log: str, title: str) -> set[str]:
    """The names in one line of Lintel's feature report."""
    found = re.search(rf"^lintel: vmx: {title}: (.*)$", log, re.MULTILINE)
    return set(found[1].split(", ")) if found else set()


def linux_boot(name: str, mask: str = "", cpu: str = "", **more) -> tuple[str, Report]:
    """Boots Linux with features masked, uses it, switches it off; the log and the VM's report."""
    config = "[lintel]\n" + (f"mask = {mask}\n" if mask else "") + linux()
    machine_options = {"machine": "bochs", "cpu": cpu} if cpu else {}
    with boot(esp=make_esp(name, config), name=f"test-{name}", **machine_options, **more) as machine:
        shell = Shell(machine).wait_ready()
        check_usable(shell)
        log = shell.poweroff()
    report = report_of(log, "debian")
    assert report.end == "poweroff"
    check_exits(report)
    return log, report


def check_masked(log: str, *names: str) -> None:
    """The report says that they are masked, and what that costs."""
    for name in names:
        assert name in features(log, "masked") and name not in features(log, "used")
        assert re.search(rf"^lintel: vmx: without {name}: \w+", log, re.MULTILINE)


@pytest.mark.long
def test_no_tpr_shadow():
    """`mask = tpr-shadow`: CR8 and the task priority are emulated, Linux boots; x2apic-mode, which needs the shadow, goes unused too."""
    log, report = linux_boot("no-tpr-shadow", "tpr-shadow")
    check_masked(log, "tpr-shadow")
    assert "x2apic-mode" not in features(log, "used")
    assert report.of("TPR below threshold") == 0


@pytest.mark.long
def test_no_vpid():
    """`mask = vpid`: Linux boots while every entry flushes the TLB."""
    log, _ = linux_boot("no-vpid", "vpid")
    check_masked(log, "vpid")


@pytest.mark.long
def test_no_large_ept_pages():
    """`mask = ept-2m, ept-1g`: Linux boots on an EPT of small pages, and still no access to RAM is an exit."""
    log, report = linux_boot("no-large-ept", "ept-2m, ept-1g")
    check_masked(log, "ept-2m", "ept-1g")
    assert report.of("EPT violation") == sum(count for name, count in report.devices.items() if name.startswith("mmio"))


# The dump has a line for each leaf: a small VM, so that it has thousands and not ten thousands.
@pytest.mark.parametrize("mask, size", [("", 2 << 20), pytest.param("ept-2m, ept-1g", 4 << 10, marks=pytest.mark.long)], ids=["large", "small"])
def test_ept_leaves(mask, size):
    """All leaves of a VM's EPT are as large as the features allow, and together they are its memory."""
    config = "[lintel]\nselftest = yes\n" + (f"mask = {mask}\n" if mask else "") + "[vm tiny]\nmemory = 16M\nkernel = guest\ndebug-exit = 0xf4\n"
    name = f"ept-leaves-{size:x}"
    with boot(esp=make_esp(name, config, {"guest": tiny.debug_exit(0)}), name=f"test-{name}") as machine:
        machine.wait_poweroff(180)
        log = machine.log_text()
    leaves = re.search(r"selftest: ept of vm tiny: (\d+) leaves, (\d+) tables, 16 MiB: all its own", log)
    sizes = re.findall(r"^lintel: ept: tiny: (\S+) -> \S+ size ([0-9a-f]+) ", log, re.MULTILINE)
    assert len(sizes) == int(leaves[1])
    assert sizes.pop() == ("0000fee00000", "1000"), "the page whose accesses are virtualized: the local APIC's"
    assert [leaf for _, leaf in sizes] == [f"{size:x}"] * ((16 << 20) // size)
    assert report_of(log, "tiny").end == "debug-exit 0x0"


@pytest.mark.long
@pytest.mark.parametrize("mask", ["apic-accesses", "apic-registers", "virtual-nmis"])
def test_no_part_of_apic_virtualization(mask):
    """Each part that Linux in x2APIC mode hardly needs, masked alone: it boots all the same."""
    log, _ = linux_boot(f"no-{mask}", mask)
    check_masked(log, mask)


@pytest.mark.long
def test_no_preemption_timer():
    """`mask = preemption-timer`: the host's own timer interrupt takes its place, and guest timers fire."""
    log, report = linux_boot("no-preemption-timer", "preemption-timer")
    check_masked(log, "preemption-timer")
    assert report.of("preemption timer") == 0 < report.of("external interrupt")


@pytest.mark.long
def test_like_nested_kvm():
    """`mask = profile:kvm-nested`: with what KVM gives its guests at the least, Linux boots."""
    log, _ = linux_boot("kvm-nested", "profile:kvm-nested")
    check_masked(log, "posted-interrupts", "pause-loop")
    assert "x2apic-mode" in features(log, "used")


def test_nothing_optional():
    """`mask = all`: Linux boots on what Lintel requires and nothing else."""
    log, _ = linux_boot("mask-all", "all")
    assert features(log, "used") == set()


def test_haswell():
    """A processor of 2013 (no posted interrupts, no XSAVES, no PML): what is missing is said to be missing, and Linux boots."""
    log, _ = linux_boot("haswell", cpu=HASWELL)
    assert {"posted-interrupts", "xsaves", "pml"} <= features(log, "missing")
    assert {"tpr-shadow", "vpid", "ept-2m"} <= features(log, "used")


def test_skylake():
    """A processor of 2017, the lab's default: what Lintel can use of it is used, its errata in Bochs are told, and Linux boots."""
    log, _ = linux_boot("skylake", cpu=SKYLAKE)
    assert {"tpr-shadow", "vpid", "ept-2m", "ept-1g", "preemption-timer", "x2apic-mode", "xsaves", "invpcid"} <= features(log, "used")
    assert {"vid", "posted-interrupts"} == features(log, "masked")
    assert re.search(r"^lintel: vmx: erratum of Bochs: ", log, re.MULTILINE)
