# SPDX-License-Identifier: BSD-2-Clause
"""tests/bench/exit-latency: what it makes of runs that end well, badly or not at all, and of wrong words on its command line; what it builds. No machine is booted."""

import json
import os
import subprocess

import pytest
from benchlib import exit_latency, report, rounds, sides
from lablib.errors import LabError
from lablib.paths import REPOSITORY

BENCH = REPOSITORY / "tests/bench/exit-latency"


def machine_line(name: str, median: int) -> str:
    """As the guest prints it."""
    return f'exitbench: @bench {{"op": "{name}", "n": 9, "min": {median - 1}, "median": {median}, "p99": {median}, "max": {median + 5}, "empty": 9}}\r\n'


WHOLE = (
    'exitbench: @bench {"begin": 1, "n": 9}\r\n'
    + machine_line("cpuid", 400)
    + machine_line("mov_from_cr8", 5)
    + 'exitbench: @bench {"op": "ipi", "skipped": "one CPU"}\r\nexitbench: @bench {"end": 1, "failed": 0}\r\n'
)
KVM = "host: linux 6.1.0\r\nhost: kvm_intel.ept Y\r\n" + WHOLE.replace("400", "1200").replace("399", "1199").replace("405", "1205")


def outcome(name: str, log: str, reason: str = "") -> sides.Outcome:
    """A side with this console."""
    side = next(side for side in sides.SIDES if side.name == name)
    return sides._finish(sides.Outcome(side, "missing"), log, reason)  # pylint: disable=protected-access


HEAD = {"machine": "Bochs 3.1", "model": "m", "cpus": 1, "units": "instructions (emulated)", "n": 9, "versions": {}}


def test_a_whole_run():
    """Numbers, what was left out, and the host's own lines."""
    whole = outcome("kvm", KVM)
    assert whole.status == "complete" and whole.reason == ""
    assert whole.parsed.operations["cpuid"] == {"n": 9, "min": 1199, "median": 1200, "p99": 1200, "max": 1205}
    assert whole.parsed.skipped == {"ipi": "one CPU"}
    assert whole.parsed.host == {"linux": "6.1.0", "kvm_intel.ept": "Y"}


@pytest.mark.parametrize(
    "log, reason, status, said",
    [
        (WHOLE[: WHOLE.index("exitbench: @bench {\"op\": \"ipi\"")], "time-out after 5 s", "partial", "time-out after 5 s"),
        (WHOLE[: WHOLE.index("exitbench: @bench {\"op\": \"ipi\"")], "", "partial", "the guest did not come to its end"),
        ("host: linux 6.1.0\r\nhost: no /dev/kvm\r\n", "", "missing", "no /dev/kvm"),
        ("kvm-run: error: vCPU 0: triple fault\r\n", "", "missing", "kvm-run: error"),
        (WHOLE.replace('"failed": 0', '"failed": 1') + "exitbench: FAIL eoi_edge: not one interrupt for each\r\n", "", "partial", "not one interrupt for each"),
        (WHOLE.replace('"min": 399', '"min": 3[   4.0] a kernel message'), "", "complete", "not understood"),
        ("", "the machine failed: it died", "missing", "it died"),
    ],
)
def test_what_was_measured_is_kept_and_marked(log, reason, status, said):
    """A time-out, no KVM, a crash, a wrong result: what there is stays, with the status and the reason."""
    result = outcome("kvm", log, reason)
    assert result.status == status
    assert said.removeprefix("kvm-run: error") in result.reason
    data = report.results([outcome("lintel", WHOLE), result], HEAD)
    assert data["complete"] == (status == "complete")
    assert data["sides"]["kvm"]["status"] == status and data["operations"][0]["lintel"]["median"] == 400
    assert result.reason in report.markdown(data)


def test_ratios():
    """A ratio is of medians, and only of operations that somebody has seen."""
    data = report.results([outcome("lintel", WHOLE), outcome("kvm", KVM)], HEAD)
    rows = {row["op"]: row for row in data["operations"]}
    assert rows["cpuid"]["ratio"] == pytest.approx(400 / 1200, abs=0.001)
    assert rows["mov_from_cr8"]["ratio"] is None
    table = report.markdown(data)
    assert "| `cpuid` | 400 | 1,200 | 0.33 |" in table and "instructions (emulated)" in table and "cycles" not in table
    json.dumps(data)


def test_rounds():
    """A B B A; medians of medians, the worst status, and a confidence interval that holds what the rounds say."""
    a, b = sides.SIDES[0], sides.SIDES[2]
    assert [side for number in range(2) for side in rounds.order([a, b], number)] == [a, b, b, a]
    mine = rounds.merge([outcome("lintel", WHOLE), outcome("lintel", WHOLE.replace('"median": 400', '"median": 440'))])
    theirs = rounds.merge([outcome("kvm", KVM), outcome("kvm", KVM)])
    assert mine.parsed.operations["cpuid"]["median"] == 420 and mine.parsed.operations["cpuid"]["rounds"] == [400, 440]
    data = report.results([mine, theirs], HEAD)
    # Ratios 1/3 and 0.3667: mean 0.35, standard error 1/60, t of one degree of freedom 12.71.
    assert data["operations"][0]["confidence"]["lintel/kvm"] == [pytest.approx(0.35, abs=1e-4), pytest.approx(12.71 / 60, abs=1e-4)]
    assert "0.35 +- 0.21" in report.markdown(data)
    assert rounds.merge([outcome("kvm", KVM), outcome("kvm", "", "time-out")]).status == "partial"


def test_the_files(tmp_path):
    """JSON, table and, where Debian's matplotlib is, both pictures; else it says what is missing."""
    made = report.write(report.results([outcome("lintel", WHOLE), outcome("kvm", KVM)], HEAD), tmp_path)
    assert made[:2] == ["results.json", "results.md"]
    if "results.svg" in made:
        assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG") and "instructions (emulated)" in (tmp_path / "results.svg").read_text()
    else:
        assert "python3-matplotlib" in made[2]


def test_nothing_was_measured(tmp_path):
    """No side came to anything: the files say so, and there is no empty picture."""
    made = report.write(report.results([outcome("kvm", "", "time-out after 5 s")], HEAD), tmp_path)
    assert "nothing was measured" in made[-1] and "time-out after 5 s" in (tmp_path / "results.md").read_text()
    assert not (tmp_path / "results.svg").exists()


@pytest.mark.parametrize("arguments, said", [(["--n", "0"], "--n 0"), (["--n", "x"], "invalid int"), (["--rounds", "0"], "--rounds 0"), (["--sides", "kvn"], "--sides kvn"), (["--only", "cpuid,cpiud"], "--only cpiud")])
def test_wrong_words(arguments, said):
    """Unknown operations and sides, no repetitions: a message, status 2, and nothing is built or started."""
    ran = subprocess.run([str(BENCH), *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 2 and said in ran.stderr and ran.stdout == ""


def test_what_there_is_to_choose():
    """--help, and the refusal of an operation that there is not, name all that there are; whoever looks stands anywhere."""
    told = subprocess.run([str(BENCH), "--help"], cwd="/", capture_output=True, text=True, check=False, timeout=60)
    refused = subprocess.run([str(BENCH), "--only", "cpiud"], cwd="/", capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 0 and refused.returncode == 2
    known = set(exit_latency.names())
    assert known <= set(told.stdout.split()) and known <= set(refused.stderr.split())


def test_the_operations_are_the_guests():
    """What is read out of its sources are the names in its image, and none is missed whose count is committed."""
    known = exit_latency.names()
    assert len(known) == len(set(known)) and set(known) >= set(json.loads((REPOSITORY / "tests/machine/baseline.json").read_text())["operations"])
    if not sides.IMAGE.is_file():
        pytest.skip("needs what make exitbench builds")
    # A name may be the end of another one's: the linker keeps such strings once.
    image = sides.IMAGE.read_bytes()
    assert [name for name in known if name.encode() + b"\0" not in image] == []


@pytest.mark.parametrize(
    "names, targets",
    [
        ("lintel,lintel-vid", ["build/lintel.efi", "exitbench"]),
        ("lintel,kvm-bare", ["build/lintel.efi", "exitbench", "kvm-run"]),
        ("lintel,kvm", ["build/lintel.efi", "exitbench", "kvm-run", "guests"]),
    ],
)
def test_only_what_is_needed_is_built(names, targets):
    """A Linux is fetched for KVM's side in the machine, and for nobody else."""
    assert list(exit_latency.needs(exit_latency.chosen_sides(names, "bochs"))) == targets


def test_nested():
    """In the nested machine the two sides are those that its users compare, numbers are instructions with one CPU, and the table names the CPU as QEMU makes it."""
    assert [side.name for side in exit_latency.chosen_sides("", "nested")] == ["lintel", "kvm"]
    assert exit_latency.units("nested", 1).startswith("instructions") and not exit_latency.units("nested", 2).startswith("instructions")
    about = exit_latency.head(sides.Wish(1, machine="nested")) if sides.IMAGE.is_file() else {"machine": "nested", "model": "-vmx-apicv-vid"}
    assert "nested" in about["machine"] and "-vmx-apicv-vid" in about["model"]


def test_it_builds(tmp_path, monkeypatch):
    """What is missing is installed, then make is called; what fails is said."""
    (tmp_path / "tools").mkdir()
    setup = tmp_path / "tools/setup"
    setup.write_text('#!/bin/sh\necho "$@" > groups\n')
    setup.chmod(0o755)
    (tmp_path / "Makefile").write_text("good: groups\n\t@cp groups $@\nbad:\n\t@false\n")
    monkeypatch.setattr(sides, "REPOSITORY", tmp_path)
    exit_latency.build(["good"])
    assert (tmp_path / "good").read_text().split() == ["build", "lab", "bench"]
    with pytest.raises(LabError, match="make .*bad.*: status 2"):
        exit_latency.build(["bad"])
    setup.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(LabError, match="tools/setup build lab bench: status 1"):
        exit_latency.build(["good"])


def test_make_bench_calls_it():
    """With the words of BENCH, and without building twice."""
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    ran = subprocess.run(["make", "-n", "bench", "BENCH=--n 7 --only cpuid"], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0 and "tests/bench/exit-latency --no-build --n 7 --only cpuid" in ran.stdout


def test_the_runner_refuses(tmp_path):
    """kvm-run without KVM, without an image, with nonsense: a message and status 125."""
    if not sides.KVM_RUN.is_file():
        pytest.skip("needs what make kvm-run builds")
    for arguments in ([], ["--cpus", "0", "x"], ["--cpus", "17", "x"], ["--memory", "1", "x"], ["--count-at", "a", "x"], ["--exits", "a", "x"], [str(tmp_path / "nothing")], ["--initrd", "x", str(tmp_path / "nothing")]):
        ran = subprocess.run([str(sides.KVM_RUN), *arguments], capture_output=True, text=True, check=False, timeout=60)
        assert ran.returncode == 125 and ("kvm-run: error" in ran.stderr or "usage" in ran.stderr), arguments
