# SPDX-License-Identifier: BSD-2-Clause
"""Which machine to boot in, and why."""

from . import bochs, firmware, kvm, nested, qemu
from .errors import LabError


def _kvm_why_not() -> str:
    reason = kvm.why_not()
    if reason:
        return reason
    return _tcg_why_not()


def _tcg_why_not() -> str:
    if not qemu.find():
        return f"{qemu.PROGRAM} is not installed (tools/setup test installs it)"
    if not firmware.pair():
        return "there is no OVMF firmware (package ovmf)"
    return ""


def survey() -> list[tuple[str, str, str]]:
    """(machine, why not or "", what it is) for each, best first."""
    return [
        ("kvm", _kvm_why_not(), "QEMU with KVM: VT-x of the processor, nested"),
        ("bochs", bochs.why_not(), f"Bochs: VT-x emulated, deterministic; {bochs.describe()}"),
        ("tcg", _tcg_why_not(), "QEMU without KVM: no VT-x, for drivers and the boot path"),
        ("nested", nested.why_not(), "Bochs with a Linux whose KVM and QEMU run Lintel: " + nested.describe()),
    ]


def choose(wish: str) -> tuple[str, str]:
    """(machine, the reason in words). `auto` never means tcg: nothing that needs VT-x runs there."""
    if wish in ("kvm", "tcg"):
        return wish, "asked for"
    if wish == "nested":
        reason = nested.why_not()
        if reason:
            raise LabError(f"--machine nested cannot be had here: {reason}")
        return wish, "asked for"
    reasons = {"kvm": "" if wish == "auto" else "not asked for", "bochs": ""}
    if wish == "auto":
        reasons["kvm"] = _kvm_why_not()
        if not reasons["kvm"]:
            return "kvm", "KVM offers VT-x to guests here"
    reasons["bochs"] = bochs.why_not()
    if reasons["bochs"]:
        kvm_line = f"\n  kvm:   {reasons['kvm']}" if wish == "auto" else ""
        raise LabError(f"no machine with VT-x can be had here:{kvm_line}\n  bochs: {reasons['bochs']}\nChoices: QEMU on a machine whose KVM offers VMX to guests, Bochs >= 3.1 in PATH, or a Debian 12 (or newer) machine")
    return "bochs", "asked for" if wish == "bochs" else reasons["kvm"]
