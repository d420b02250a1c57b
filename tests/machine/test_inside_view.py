# SPDX-License-Identifier: BSD-2-Clause
"""The inside view: times of exits and the event trace, switched by configuration and by keys, agree with the table of exits and with each other."""

import json
import re
import shutil
import subprocess
from collections import Counter

import pytest
from lablib.machine import boot
from support import tiny
from support.esp import BUILD, REPOSITORY, make_esp
from support.exits import report_of
from support.times import times_of
from tracelib import chrome
from tracelib.dump import parse

LIFE = """
[lintel]
exit-times = yes
trace = 64K

[vm bench]
memory = 16M
kernel = exitbench.elf
cmdline = n=2 only=self_ipi_sti_nop,virtio_kick_port
debug-exit = 0xf4
"""
KEYS_RING = 4096
KEYS = f"""
[lintel]
trace = {KEYS_RING >> 10}K

[vm echo]
memory = 16M
kernel = echo
pin = 1
"""


@pytest.fixture(scope="module", name="life")
def fixture_life():
    """A VM that ends by itself, measured and traced from its start to its end: the log."""
    with boot(esp=make_esp("inside-life", LIFE, {"exitbench.elf": BUILD / "exitbench.elf"}), machine="bochs", name="test-inside-life") as m:
        m.wait_poweroff(120)
        return m.log_text()


@pytest.fixture(scope="module", name="keys")
def fixture_keys():
    """A VM that polls its serial port for ever on another CPU than the console's. The trace, on from the start, is stopped by a key; times and trace
    go on and off; both are on when the machine ends."""
    with boot(esp=make_esp("inside-keys", KEYS, {"echo": tiny.echo("echo is here\r\n")}), machine="bochs", cpus=2, name="test-inside-keys") as m:

        def press(key, *answers):
            m.console.send("\x01" + key)
            for answer in answers:
                m.console.expect(answer, timeout=60)

        m.console.expect("echo is here", timeout=120)
        press("t", "lintel: trace: off", "lintel: trace: end: ")
        press("s", "lintel: exits are measured from now on")
        press("t", "lintel: trace: on: the last 256 events of each CPU")
        m.console.send("typed")
        m.console.expect("typed", timeout=30)
        press("t", "lintel: trace: end: ")
        press("s", "lintel: exits are not measured any more", "lintel: vm echo: vcpu 0: TSC ticks", "I/O instruction.*\n")
        press("s", "lintel: exits are measured from now on")
        press("t", "lintel: trace: on: ")
        press("x")
        m.wait_poweroff(60)
        return m.log_text()


@pytest.fixture(scope="module", name="whole")
def fixture_whole(life):
    """The trace of a whole life."""
    [dump] = parse(life)
    return dump


@pytest.fixture(scope="module", name="dumps")
def fixture_dumps(keys):
    """Three traces of a while."""
    return parse(keys)


def handled(events):
    """Reason -> ticks of each exit that was followed by an entry within the same turn."""
    times, exit_event = {}, None
    for event in events:
        if event.kind == "exit":
            exit_event = event
        elif event.kind == "out":
            exit_event = None
        elif event.kind == "entry" and exit_event:
            times.setdefault(exit_event.what, []).append(event.tsc - exit_event.tsc)
            exit_event = None
    return times


def test_times_are_those_of_the_table(life):
    """Of each reason as many exits, and as many ticks, as the table of exits has; but for the exit that ended the VM, which no entry followed."""
    [times] = times_of(life, "bench")
    exits = report_of(life, "bench").exits
    ticks = {found[2]: int(found[1]) for found in re.finditer(r"^lintel: +\d+ +(\d+) +\d+  (\S.*)$", life, re.MULTILINE)}
    assert {reason: row.count for reason, row in times.items()} == {reason: count - (reason == "I/O instruction") for reason, count in exits.items() if reason != "total"}
    assert {reason: row.total for reason, row in times.items()} == {reason: ticks[reason] for reason in times}
    assert {"CPUID", "I/O instruction", "interrupt window"} <= set(times)


def test_each_row_agrees_with_itself(life, keys):
    """Buckets add up to the count; minimum and maximum lie in the first and the last of them, the total between their multiples."""
    tables = times_of(life, "bench") + times_of(keys, "echo")
    assert len(tables) == 3
    for reason, row in (item for table in tables for item in table.items()):
        assert sum(row.buckets.values()) == row.count > 0, reason
        assert (row.min.bit_length() - 1, row.max.bit_length() - 1) == (min(row.buckets), max(row.buckets)), reason
        assert row.count * row.min <= row.total <= row.count * row.max, reason
        assert row.min <= row.mean <= row.max, reason


def test_the_trace_of_a_whole_life_gives_the_same_times(life, whole):
    """Both are taken at the same places, and kept in different ways: of a life whose events are all in the ring, they have the same exits of each reason,
    and where no turn has ended after one of them, the same totals, limits and histograms."""
    [times] = times_of(life, "bench")
    events = whole.cpus[0]
    assert whole.overwritten == {0: 0} and len(events) > 1000
    exits = Counter(whole.reasons[event.what] for event in events if event.kind == "exit")
    assert exits == {reason: row.count + (reason == "I/O instruction") for reason, row in times.items()}
    compared = 0
    interrupted = {event.what for event, after in zip(events, events[1:]) if event.kind == "exit" and after.kind == "out"}
    for number, ticks in handled(events).items():
        row = times[whole.reasons[number]]
        if number in interrupted:
            continue
        assert (len(ticks), sum(ticks), min(ticks), max(ticks)) == (row.count, row.total, row.min, row.max)
        assert Counter(tick.bit_length() - 1 for tick in ticks) == row.buckets
        compared += 1
    assert compared >= 3


def test_virtio_and_injections_are_in_it(whole):
    """A kick by the port is seen on its way to the device, and an injected interrupt with its vector, before the entry that brings it."""
    events = whole.cpus[0]
    kicks = [i for i, event in enumerate(events) if event.kind == "kick"]
    assert len(kicks) >= 2 and all(events[i - 1].kind == "exit" and events[i - 1].arg == 0xC020 for i in kicks)
    injected = [i for i, event in enumerate(events) if event.kind == "inject"]
    assert len(injected) >= 2 and all(events[i].what >= 0x20 and events[i + 1].kind == "entry" for i in injected)


def test_an_overwritten_ring_holds_the_last_events(dumps):
    """The ring of the CPU that polls is full, and says how much it has lost; the CPU that does nothing has no event of that VM."""
    for dump in dumps:
        assert len(dump.cpus[1]) == KEYS_RING // 16 and dump.overwritten[1] > 0
        assert dump.cpus[1][-1].tsc - dump.cpus[1][0].tsc < dump.hz
        assert dump.cpus[0] == []


def test_switched_at_run_time(keys, dumps):
    """By keys both come for a while; each exit in the trace took no less and no more than the times say, which were taken for longer."""
    first, second = times_of(keys, "echo")
    assert first["I/O instruction"].count > 0 and second["I/O instruction"].count > 0
    for dump, times in ((dumps[1], first), (dumps[2], second)):
        ticks = handled(dump.cpus[1])
        assert ticks
        for number, values in ticks.items():
            row = times[dump.reasons[number]]
            assert row.min <= min(values) and max(values) <= row.max and len(values) <= row.count
    for before, after in zip(dumps, dumps[1:]):
        assert before.cpus[1][-1].tsc < after.cpus[1][0].tsc


def test_printed_when_lintel_ends(life, keys, dumps):
    """A trace that nobody has stopped is printed last, once; nothing of it is while it is off."""
    assert len(dumps) == 3
    for log in (life, keys):
        assert re.search(r"\nlintel: trace: end: \d+ events\nlintel: powering off\s*$", log)


@pytest.mark.parametrize("number", range(4))
def test_what_a_viewer_gets(whole, dumps, number):
    """The JSON: slices nest and end, time goes on in each track, and there is one slice for each exit."""
    dump = [whole, *dumps][number]
    converted = json.loads(json.dumps(chrome.convert(dump)))
    stacks, last = {cpu: [] for cpu in dump.cpus}, Counter()
    exits = Counter()
    for event in converted["traceEvents"]:
        if event["ph"] == "M":
            continue
        cpu = event["tid"]
        assert event["ts"] >= last[cpu] >= 0
        last[cpu] = event["ts"]
        if event["ph"] == "B":
            stacks[cpu].append(event["name"])
            assert len(stacks[cpu]) <= 2
            exits[event["name"]] += event["cat"] == "exit"
        elif event["ph"] == "E":
            assert stacks[cpu].pop() == event["name"]
        else:
            assert event["ph"] == "i"
    assert not any(stacks.values())
    assert +exits == Counter("exit " + dump.reasons[event.what] for events in dump.cpus.values() for event in events if event.kind == "exit")


@pytest.mark.long
def test_vmcs_accesses():
    """`make VMCS_COUNTS=1`: an image that counts VMREADs and VMWRITEs boots, and short exits take what docs/performance.md says."""
    subprocess.run(["make", "VMCS_COUNTS=1", "build/lintel-counts.efi"], cwd=REPOSITORY, check=True, capture_output=True)
    config = "[lintel]\nexit-times = yes\n[vm bench]\nmemory = 16M\nkernel = exitbench.elf\ncmdline = n=500 only=vmcall,wbinvd,xsetbv,inl_from_kernel\ndebug-exit = 0xf4\n"
    folder = make_esp("inside-counts", config, {"exitbench.elf": BUILD / "exitbench.elf"})
    image = folder / "EFI/BOOT/BOOTX64.EFI"
    image.unlink()  # it may be a link to the usual one
    shutil.copy(BUILD / "lintel-counts.efi", image)
    with boot(esp=folder, machine="bochs", name="test-inside-counts") as m:
        m.wait_poweroff(120)
        log = m.log_text()
    rows = {name: (int(exits), int(reads) + int(writes)) for name, exits, reads, writes in re.findall(r"lintel:   (\S.*?) +(\d+) +(\d+) +(\d+) +\d+\.\d\d\n", log)}
    for reason, each in (("VMCALL", 10), ("WBINVD or WBNOINVD", 7), ("XSETBV", 8)):
        exits, accesses = rows[reason]
        assert exits >= 500 and accesses / exits == pytest.approx(each, abs=0.2), (reason, rows)
    assert rows["all"] == tuple(sum(column) for column in zip(*(row for reason, row in rows.items() if reason != "all")))
