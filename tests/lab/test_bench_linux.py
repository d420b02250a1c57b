# SPDX-License-Identifier: BSD-2-Clause
"""benchlib.linux: what it makes of the lines of a Linux' loads, of Lintel's table and of kvm-run. No machine is booted."""

from benchlib import linux, linux_report

NONE = """loads: @load {"load": "boot", "ns": 1500000000, "tsc": 190}\r
loads: @load {"end": 1, "tsc": 1000}\r
lintel: vm linux: stopped: poweroff\r
lintel: vm linux: 1 vCPU: 12 exits\r
lintel:        exits     VMM ticks      each  reason\r
lintel:           10            40         4  CPUID\r
lintel:            2            10         5  HLT\r
lintel:           12            50         4  total\r
"""
ALL = (
    NONE.replace('{"end": 1, "tsc": 1000}', '{"load": "cpu", "ticks": 600}\r\nloads: @load {"end": 1, "tsc": 3000}')
    .replace("2            10         5  HLT", "5            25         5  HLT")
    .replace("12            50         4  total", "15            65         4  total")
)
KVM = """host: linux 6.1.0\r
loads: @load {"load": "boot", "ns": 1800000000, "tsc": 300}\r\r
kvm-run: @counters {"when": "line", "exits": 30, "io_exits": 20}\r
kvm-run: @exits {"when": "line", "30": 20, "10": 10}\r
loads: @load {"load": "cpu", "ticks": 900}\r\r
kvm-run: @counters {"when": "line", "exits": 36, "io_exits": 22}\r
kvm-run: @exits {"when": "line", "30": 22, "10": 12, "49": 2}\r
loads: @load {"end": 1, "tsc": 4000}\r\r
kvm-run: @counters {"when": "line", "exits": 37, "io_exits": 23}\r
kvm-run: @exits {"when": "line", "30": 23, "10": 12, "49": 2}\r
kvm-run: @counters {"when": "end", "exits": 47, "io_exits": 33, "halt_exits": 1}\r
kvm-run: @exits {"when": "end", "30": 33, "10": 12, "49": 2, "999": 1}\r
kvm-run: came to user space: 33 ports, 0 MMIO\r
host: status 0\r
"""


def some_runs(**more):
    """As tests/bench/linux-loads has them."""
    runs = {"native": linux.Run("native", boot_ns=1000000000, loads={"cpu": 500}, life=9), "none": linux.read("none", NONE), "all": linux.read("all", ALL), "hide-pv": linux.read("hide-pv", ALL)}
    return {**runs, **more}


def test_a_run_is_read():
    """The loads' ticks, the kernel's time, and the table of exits."""
    run = linux.read("all", ALL)
    assert run.problem == "" and run.loads == {"cpu": 600} and run.life == 3000 and run.boot_ns == 1500000000
    assert run.exits == {"CPUID": (10, 40), "HLT": (5, 25), "total": (15, 65)}


def test_shares():
    """S is the VMM's ticks over the VM's life; of the loads alone, what they have added to a boot without them."""
    none, all_ = linux.read("none", NONE), linux.read("all", ALL)
    assert linux.share(none) == 0.05
    assert linux.share(all_, none) == 15 / 2000
    assert linux.share(none, outside=10) == (50 + 120) / 1000
    assert linux.added(all_, none)["HLT"] == (3, 15)


def test_what_went_wrong_is_said():
    """A load that fails, or that never ends, is no result."""
    assert linux.read("x", "loads: error: fork: no\r\n").problem == "fork: no"
    assert "end" in linux.read("x", ALL[: ALL.index('loads: @load {"end"')]).problem


def test_what_kvm_run_counts():
    """The loads' part is from the first line of the loads to the last; the rest is the boot's. Reasons have the names of Lintel's table."""
    run = linux.read("kvm", KVM)
    assert run.problem == "" and run.loads == {"cpu": 900} and run.boot_ns == 1800000000
    assert run.counts["counters"] == {"boot": {"exits": 40, "io_exits": 30, "halt_exits": 1}, "loads": {"exits": 7, "io_exits": 3, "halt_exits": 0}}
    assert run.counts["exits"]["loads"] == {"I/O instruction": 3, "CPUID": 2, "EPT misconfiguration": 2, "reason 999": 0}
    assert run.counts["exits"]["boot"] == {"I/O instruction": 30, "CPUID": 10, "EPT misconfiguration": 0, "reason 999": 1}


def test_what_went_wrong_in_kvms_machine_is_said():
    """What the host or kvm-run say is a problem of the run."""
    assert "triple fault" in linux.read("kvm", "kvm-run: error: vCPU 0: triple fault\r\nhost: status 125\r\n").problem
    assert linux.read("kvm", "host: no /dev/kvm\r\n").problem == "no /dev/kvm"
    assert "count" in linux.read("kvm-count", KVM.replace("host: linux", "host: cannot count exits\r\nhost: linux")).problem


def test_the_tables():
    """Each side has its column and G, KVM K too; its exits stand beside Lintel's, by the same names."""
    text = linux_report.markdown("ticks", some_runs(kvm=linux.read("kvm", KVM), **{"kvm-count": linux.read("kvm-count", KVM)}), 0)
    lines = text.split("\n")
    assert "| load | bare machine | Lintel | G | Lintel, `hide = pv` | G | KVM | G | K: Lintel / KVM |" in lines
    assert "| cpu | 500 | 600 | 1.2000 | 600 | 1.2000 | 900 | 1.8000 | 0.6667 |" in lines
    assert "| CPUID | 10 | 40 | 0 | 0 | 10 | 2 |" in lines and "| EPT misconfiguration | 0 | 0 | 0 | 0 | 0 | 2 |" in lines
    assert "| total | 12 | 50 | 3 | 15 | 41 | 7 |" in lines
    assert "| io_exits | 30 | 3 |" in lines


def test_the_tables_without_kvm():
    """A side that did not come to its end is named, and has no column."""
    text = linux_report.markdown("ticks", some_runs(kvm=linux.Run("kvm", problem="no /dev/kvm")), 10)
    assert "Missing: kvm: no /dev/kvm" in text and "| cpu | 500 | 600 | 1.2000 | 600 | 1.2000 |\n" in text
    assert "| total | 12 | 50 | 3 | 15 |\n" in text and "KVM's own" not in text
