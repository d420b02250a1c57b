"""benchlib.linux: what it makes of the lines of a Linux' loads and of Lintel's table. No machine is booted."""

from benchlib import linux

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
