# SPDX-License-Identifier: BSD-2-Clause
"""tools/certify without a machine: its configuration, and what it reads out of a captured console."""

import subprocess

import pytest
from lablib import certify
from lablib.errors import LabError
from lablib.paths import REPOSITORY

CAPTURED = """\
BdsDxe: starting Boot0001
lintel: Lintel 0.1, a hypervisor on Intel VT-x
lintel: | cpuid        pass        0.5 s    1234 exits debug-exit 0x0
lintel: | --- summary of Lintel 0.1 ---
lintel: | cpu: 000306c3 A processor | of a kind
lintel: | cpus: 4 in use; microcode 0x28
lintel: | tsc: 2904.000 MHz, the PM timer
lintel: | firmware: EDK II 0x10000; ACPI: BOCHS
lintel: | memory: 1900 MiB free, 4 MiB the firmware's, 2016 KiB the VMM's
lintel: | disks: none
lintel: | vmx used: vpid ept-2m
lintel: | vmx used: rdtscp
lintel: | vmx missing: vid
lintel: | cpuid        pass        0.5 s    1234 exits debug-exit 0x0
lintel: | exitcost     pass        0.1 s     777 exits debug-exit 0x0
lintel: |   cycles cpuid 1200 vmcall 1100
lintel: | ipi          skip        0.0 s       0 exits no smp
lintel: | verdicts: 2 pass, 0 fail, 0 timeout, 1 skip, 0 not run
lintel: | --- end of the summary ---
lintel: powering off
"""


def test_reads_a_capture():
    """What a serial line gave, with CRs and whatever else there was, becomes a row: a bar in a name is none of the table's, a long field is one."""
    summary = certify.read("noise\n" + CAPTURED.replace("\n", "\r\n"))
    assert summary.good()
    assert summary.fields["vmx used"] == "vpid ept-2m rdtscp"
    assert [(step.name, step.verdict, step.exits) for step in summary.steps] == [("cpuid", "pass", 1234), ("exitcost", "pass", 777), ("ipi", "skip", 0)]
    row = summary.row("mine")
    assert row.count("|") == 9 and "A processor" not in row
    assert "| mine | 000306c3 | EDK II 0x10000; ACPI: BOCHS |" in row
    assert "missing vid" in row and "2 of 3 pass (ipi: skip)" in row and "cycles cpuid 1200 vmcall 1100" in row
    assert summary.row().startswith("| A processor / of a kind | ")


def test_what_is_of_kvm():
    """Two steps find out what KVM does otherwise than a processor: no fault where the machine is KVM's, and just these; a fault anywhere else."""
    kvm = CAPTURED.replace("ACPI: BOCHS", "ACPI: BOCHS; virtual").replace("cpuid        pass        0.5 s    1234 exits debug-exit 0x0", "cr           fail        0.2 s     494 exits debug-exit 0x4")
    kvm = kvm.replace("2 pass, 0 fail", "1 pass, 1 fail")
    assert certify.read(kvm).good() and "cr: fail, of KVM" in certify.read(kvm).row()
    assert not certify.read(kvm.replace("; virtual", "")).good()
    assert not certify.read(kvm.replace("debug-exit 0x4", "debug-exit 0x5")).good()


def test_a_photograph_typed_in():
    """Without the word that begins Lintel's lines it is read, too; and so is what has been read and printed again."""
    summary = certify.read(CAPTURED.replace("lintel: ", ""))
    assert summary.good()
    again = certify.read("\n".join(f"| {line}" for line in summary.lines))
    assert again == summary


def test_the_last_of_several():
    """A stick that was booted twice: the last boot counts."""
    second = CAPTURED.replace("ipi          skip        0.0 s       0 exits no smp", "ipi          fail        0.0 s       9 exits debug-exit 0x1")
    second = second.replace("0 fail, 0 timeout, 1 skip", "1 fail, 0 timeout, 0 skip")
    assert not certify.read(CAPTURED + second).good()
    assert certify.read(second + CAPTURED).good()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("--- summary of Lintel 0.1 ---", "", "there is no summary"),
        ("--- end of the summary ---", "", "cut off"),
        ("lintel: | tsc: 2904.000 MHz, the PM timer\n", "", "no line 'tsc: ...'"),
        ("exitcost     pass", "exitcost     good", "none of its kinds"),
        ("2 pass, 0 fail", "3 pass, 0 fail", "not what it says itself"),
        ("lintel: | ipi          skip        0.0 s       0 exits no smp\n", "", "2 steps are not what it says itself"),
        ("cpu: 000306c3 A processor | of a kind", "cpu: 000306c3", "not a processor"),
    ],
)
def test_refuses_what_is_not_whole(old, new, why):
    """A summary in which something is missing or does not add up is refused with the reason."""
    assert old in CAPTURED
    with pytest.raises(LabError, match=why):
        certify.read(CAPTURED.replace(old, new))


def test_configuration():
    """Each step comes after the one above, has a time-out, and all fit a configuration; the last is Linux."""
    text = certify.configuration(7)
    sections = text.split("[vm ")[1:]
    names = [section.split("]")[0] for section in sections]
    assert "summary = 7" in text and names[-1] == "linux" and len(set(names)) == len(names) <= 16
    assert "after = " not in sections[0]
    for before, section in zip(names, sections[1:]):
        assert f"after = {before}\n" in section
    assert all("timeout = " in section for section in sections)


def run(*words):
    """The tool."""
    return subprocess.run([str(REPOSITORY / "tools/certify"), *words], capture_output=True, text=True, check=False)


def test_tool_reads_a_file(tmp_path):
    """--read prints the row; what cannot be read is said in a line, with status 2."""
    (tmp_path / "log").write_text(CAPTURED)
    done = run("--read", str(tmp_path / "log"), "--name", "mine")
    assert done.returncode == 0 and done.stdout.startswith("| mine | 000306c3 |")
    (tmp_path / "log").write_text("nothing\n")
    for file in ("log", "absent"):
        done = run("--read", str(tmp_path / file))
        assert done.returncode == 2 and done.stderr.startswith("certify: ") and done.stderr.count("\n") == 1
