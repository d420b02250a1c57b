# SPDX-License-Identifier: BSD-2-Clause
"""What an exit costs does not rise unnoticed: instructions of one operation each, in Bochs with one CPU, against the committed ones.

A tick of the emulated TSC is one instruction there, so these are counts, the same in every run; nothing timed is asserted. They belong to one compiler:
another one makes other instructions of the same source."""

import json
import warnings

import pytest
from benchlib.lines import parse
from lablib.bochs import MODEL
from lablib.machine import boot
from support import baseline, tiny
from support.esp import BUILD, IMAGE, make_esp
from support.exits import report_of, reports

N = 1000
SECONDS = 300
ELF = BUILD / "exitbench.elf"

# The least of N executions each: no end of a time slice is in it. What waits for a time (tscdeadline, hlt_wake) is no count.
OPERATIONS = (
    "cpuid vmcall rdmsr_pass rdmsr_emulated rdmsr_refused wr_kernel_gs_base wrmsr_emulated wrmsr_refused wr_tsc_adjust_msr "
    "mov_from_cr8 mov_to_cr8 mov_dr toggle_cr0_wp toggle_cr4_pge xsetbv wbinvd "
    "inl_from_pmtimer inl_from_kernel outl_to_kernel outs_64_bytes mmio_read mmio_write ept_violation virtio_kick_port virtio_kick_mmio "
    "self_ipi_sti_nop self_ipi_sti_hlt self_ipi_tpr self_ipi_tpr_sti_nop self_ipi_tpr_sti_hlt eoi_edge_xapic "
    "x2apic_self_ipi_sti_nop x2apic_self_ipi_sti_hlt x2apic_self_ipi_tpr x2apic_self_ipi_tpr_sti_nop x2apic_self_ipi_tpr_sti_hlt "
    "eoi_edge eoi_level irq_from_device tscdeadline_immed"
).split()
# Of these, the ones that never leave the guest: more than the guest's own few instructions is an exit.
WITHOUT_EXIT = "rdmsr_pass wr_kernel_gs_base mov_from_cr8 mov_to_cr8 mov_dr toggle_cr0_wp toggle_cr4_pge ept_violation".split()

# name: (command line, seconds to wait, exit status, what it says)
BAD_CALLS = {
    "unknown": ("n=10 only=cpuid,nothing", 3, "debug-exit 0x2", "only=nothing: there is no such operation"),
    "zero": ("n=0", 5, "debug-exit 0x2", "n=0: zero repetitions measure nothing"),
    "letters": ("n=ten", 7, "debug-exit 0x2", "n: a number from 1 to 100000 is expected"),
    "empty": ("n=1 only=", 9, "debug-exit 0x2", "only=: there is no such operation"),
}


@pytest.fixture(scope="module", name="log")
def fixture_log():
    """One VM that measures while it has the CPU to itself; then those that are called wrongly. When one stops, the console goes to the next one that
    lives, and what that has said is shown; so that there is one in the end, the last one only sleeps."""
    config = f"[lintel]\nidle = poweroff\n[vm bench]\nmemory = 256M\nkernel = exitbench.elf\ncmdline = n={N} only={','.join(OPERATIONS)}\ndebug-exit = 0xf4\n"
    for name, (cmdline, after, _, _) in BAD_CALLS.items():
        config += f"[vm {name}]\nmemory = 16M\nkernel = exitbench.elf\ncmdline = {cmdline} after={after}\ndebug-exit = 0xf4\n"
    config += "[vm asleep]\nmemory = 16M\nkernel = asleep.elf\n"
    assert IMAGE.is_file() and ELF.is_file(), "make esp micro exitbench"
    with boot(esp=make_esp("exit-counts", config, {"exitbench.elf": ELF, "asleep.elf": tiny.hang()}), machine="bochs", name="test-exit-counts") as m:
        m.console.expect("lintel: console of vm asleep", timeout=SECONDS)
        return m.log_text()


@pytest.fixture(scope="module", name="counts")
def fixture_counts(log):
    """Operation -> instructions."""
    parsed = parse(log[: log.index("lintel: vm bench: stopped")])
    assert parsed.problems == [] and parsed.skipped == {}
    counts = {name: parsed.operations[name]["min"] for name in OPERATIONS}
    measured = {"compiler": baseline.compiler(), "machine": f"bochs {MODEL}, 1 CPU", "operations": counts}
    baseline.MEASURED.write_text(json.dumps(measured, indent=1) + "\n")
    return counts


def test_all_is_measured(log, counts):
    """Every operation was executed as often as asked for: the table of exits says so, too."""
    exits = report_of(log, "bench").exits
    assert set(counts) == set(OPERATIONS)
    for reason in ("CPUID", "VMCALL", "XSETBV", "WBINVD or WBNOINVD"):
        assert exits[reason] >= N, (reason, exits)


def test_what_needs_no_exit_has_none(counts):
    """Masks, pass-through MSRs, the TPR shadow and mapped RAM: the guest is left alone, whatever compiled this."""
    assert {name: counts[name] for name in WITHOUT_EXIT if counts[name] > 20} == {}


def test_no_count_has_risen(counts):
    """No operation costs more than what is committed; a higher number needs a reason."""
    committed = baseline.load()
    if committed["compiler"] != baseline.compiler():
        pytest.skip(f"the counts are those of {committed['compiler']}, this is {baseline.compiler()}; Debian 12 has the former")
    assert set(committed["operations"]) == set(OPERATIONS), "tests/machine/baseline.json has other operations"
    better = baseline.lower(committed["operations"], counts)
    if better:
        warnings.warn("lower than committed (take them over by tests/machine/support/baseline.py): " + ", ".join(f"{name} {was} -> {now}" for name, (was, now) in better.items()))
    worse = baseline.higher(committed["operations"], counts)
    assert not worse, (
        "more instructions than committed: "
        + ", ".join(f"{name} {was} -> {now} (+{now - was})" for name, (was, now) in worse.items())
        + '. If that is meant: tests/machine/support/baseline.py --reason "why", and commit tests/machine/baseline.json'
    )


def test_every_number_has_a_reason():
    """baseline.json says of each number why it is what it is; a raised one keeps the reason for it."""
    for name, entry in baseline.load()["operations"].items():
        assert entry["count"] > 0 and entry["reason"].strip(), name


def test_a_higher_number_is_refused_without_a_reason():
    """The guard itself: it sees what is higher and what is lower, and takes over nothing higher in silence."""
    old = {"a": {"count": 10, "reason": "first"}, "b": {"count": 10, "reason": "first"}}
    assert baseline.higher(old, {"a": 11, "b": 9}) == {"a": (10, 11)}
    assert baseline.lower(old, {"a": 11, "b": 9}) == {"b": (10, 9)}
    with pytest.raises(ValueError, match="a: 11 instead of 10"):
        baseline.updated(old, {"a": 11, "b": 9}, "")
    assert baseline.updated(old, {"a": 11, "b": 9}, "safer") == {"a": {"count": 11, "reason": "10 before: safer"}, "b": {"count": 9, "reason": "first"}}


def test_the_sum_agrees_with_the_measurement(log, counts):
    """Exits times what the table says each takes, plus what the table leaves out of every exit, is what the guest sees pass: within 1 %. What is left
    out is taken from one operation, and holds for others; which load up to three registers for their instruction."""
    parsed = parse(log[: log.index("lintel: vm unknown: stopped")])
    outside = parsed.outside
    assert outside is not None and 0 < outside < 200
    for name, reason in (("cpuid", "CPUID"), ("vmcall", "VMCALL"), ("xsetbv", "XSETBV")):
        number, ticks = parsed.exits[reason]
        own = counts[name] - (ticks / number + outside)
        assert -0.01 * counts[name] <= own <= 3 + 0.01 * counts[name], (name, outside, own)


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_calls(log, name):
    """An unknown operation and no repetitions are refused: said in words, with a status, and nothing is measured."""
    _, _, end, message = BAD_CALLS[name]
    ends = {report.vm: report.end for report in reports(log)}
    assert ends[name] == end
    assert f"exitbench: error: {message}" in log
