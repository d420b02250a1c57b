# SPDX-License-Identifier: BSD-2-Clause
"""Micro-guests that harm themselves: the VM ends with a reason, or keeps to its share; all others go on."""

import re

import pytest
from lablib.machine import boot
from support.exits import report_of
from support.micro import SECONDS, Guest, ends, failures, lay_out

# case: how the VM must end. The bytes of an instruction that is not known are named.
ENDS = {
    "triple-fault": r"crash: triple fault",
    "code-outside": r"crash: code at 0x20000000, where there is no memory",
    "tables-outside": r"crash: a page table or stack at 0x20000000, where there is no memory",
    "stack-outside": r"crash: a page table or stack at 0x200000[0-9a-f]{2}, where there is no memory",
    "idt-outside": r"crash: a page table or stack at 0x20000030, where there is no memory",
    "gdt-outside": r"crash: device access to 0x20000010 by an instruction not known: 8e d8 .*",
    "push-to-device": r"crash: device access to 0xfee00380 by an instruction not known: 50 .*",
    "shift-device": r"crash: device access to 0xfec00010 by an instruction not known: d1 20 .*",
    "sse-from-hole": r"crash: device access to 0x20000000 by an instruction not known: 0f 58 00 .*",
    "task-switch": r"crash: hardware task switch, which Lintel does not emulate",
    "canonical-end": r"debug-exit 0x0|crash: .*RIP.*",
    "noncanonical": r"debug-exit 0x0",
}

# case: a reason of exit that it must have had in plenty, if it makes exits at all.
LOOPS = {
    "loop-ac": "exception or NMI",
    "loop-db": "exception or NMI",
    "spin": None,
    "spin-cpuid": "CPUID",
    "ipi-storm": "APIC write",
    "timer-storm": "APIC write",
    "wbinvd": "WBINVD or WBNOINVD",
    "string-io": "I/O instruction",
    "console-flood": "I/O instruction",
}


def guests(cases) -> list[Guest]:
    """One VM for each case, and a witness before them."""
    return [Guest("witness", "witness"), *(Guest(case, "faults", f"case={case}", "unknown-access = stop") for case in cases)]


@pytest.fixture(name="faults", scope="module")
def fixture_faults():
    """All VMs that end by their own fault, in one boot: the log."""
    with boot(esp=str(lay_out("micro-faults", guests(ENDS))), machine="bochs", name="micro-faults") as m:
        m.wait_poweroff(timeout=SECONDS)
        return m.log_text()


@pytest.mark.parametrize("case", ENDS)
def test_fault_ends_the_vm_with_its_reason(faults, case):
    """The VM's last line names what it did."""
    assert re.fullmatch(ENDS[case], ends(faults)[case]), failures(faults, "faults")


def test_a_crash_comes_with_a_dump(faults):
    """Registers and code of the vCPU that crashed."""
    dump = faults[faults.index("vm triple-fault: vcpu 0: last exit") :]
    assert re.search(r"RIP  0000000000[0-9a-f]{6} RSP", dump)
    assert "  code 0f 0b" in dump


def test_witness_of_faults(faults):
    """The VM beside them has finished its work."""
    assert ends(faults)["witness"] == "debug-exit 0x0", failures(faults, "witness")


@pytest.fixture(name="loops", scope="module")
def fixture_loops():
    """All VMs that never end; the operator ends them when the witness is done: the log."""
    with boot(esp=str(lay_out("micro-loops", guests([*LOOPS, "cli-hlt"]))), machine="bochs", name="micro-loops") as m:
        m.console.expect("vm witness: stopped: ", timeout=SECONDS)
        m.console.send(b"\x01l")
        m.console.expect(r"console-flood: running", timeout=60)
        m.console.send(b"\x01x")
        m.wait_poweroff(timeout=60)
        return m.log_text()


@pytest.mark.parametrize("case", LOOPS)
def test_loop_leaves_the_cpu_to_others(loops, case):
    """It went on until the operator's Ctrl-a x, and every round of it was an exit."""
    assert ends(loops)[case] == "quit by the operator", failures(loops, "faults")
    if LOOPS[case]:
        assert report_of(loops, case).of(LOOPS[case]) > 50, report_of(loops, case).exits


def test_witness_of_loops(loops):
    """Beside ten of them, the witness has got its share and ended; it was never kept waiting longer than one slice each."""
    assert ends(loops)["witness"] == "debug-exit 0x0", failures(loops, "witness")


def test_a_masked_interrupt_does_not_end_a_halt(loops):
    """CLI; HLT with a timer interrupt pending: the VM sleeps and takes no time."""
    assert ends(loops)["cli-hlt"] == "quit by the operator"
    assert report_of(loops, "cli-hlt").of("HLT") == 1
    assert report_of(loops, "cli-hlt").total < 100
