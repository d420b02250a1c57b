# SPDX-License-Identifier: BSD-2-Clause
"""Machines on which no VM can run: Lintel says exactly why, and ends cleanly."""

import subprocess

from lablib.machine import boot
from lablib.paths import REPOSITORY
from support import tiny
from support.esp import make_esp

INDEPENDENT = True

CONFIG = "[vm idle]\nmemory = 16M\nkernel = guest\n"


def check(log: str, reason: str) -> None:
    """The reason, then that nothing can run, then the end; no VM was tried, nothing panicked."""
    lines = [line for line in log.splitlines() if line.startswith("lintel: ")]
    errors = [line for line in lines if line.startswith("lintel: error: ")]
    assert errors == [f"lintel: error: vmx: {reason}", "lintel: error: no VM can run on this machine"]
    assert lines[-1] == "lintel: powering off"
    assert "started" not in log and "panic" not in log


def test_tcg():
    """QEMU without KVM: the hypervisor offers no VMX, and the way out for KVM is told; the machine switches itself off."""
    esp = make_esp("no-vtx-tcg", CONFIG, {"guest": tiny.hang()})
    with boot(esp=esp, machine="tcg", name="test-no-vtx-tcg") as machine:
        machine.wait_poweroff(180)
        log = machine.log_text()
    check(log, "no VT-x: CPUID.1:ECX.VMX is 0, and this is a virtual machine: its hypervisor does not offer VMX (for KVM: kvm_intel nested=1 and -cpu host)")


def test_cpu_without_vmx():
    """A processor without VT-x: said so; the machine switches itself off."""
    esp = make_esp("no-vtx-bochs", CONFIG, {"guest": tiny.hang()})
    with boot(esp=esp, machine="bochs", exclude_features=["vmx"], name="test-no-vtx-bochs") as machine:
        machine.wait_poweroff(180)
        log = machine.log_text()
    check(log, "no VT-x: CPUID.1:ECX.VMX is 0: this processor has none")


def test_exit_status():
    """`tools/lab boot --until` ends with status 0 on that report, so that a script can tell."""
    esp = make_esp("no-vtx-status", CONFIG, {"guest": tiny.hang()})
    command = [REPOSITORY / "tools/lab", "boot", "--machine", "tcg", "--esp", esp, "--until", "no VM can run on this machine", "--timeout", "180", "--name", "test-no-vtx-status"]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "lab: machine: tcg (asked for)" in run.stderr
