# SPDX-License-Identifier: BSD-2-Clause
"""Two Linux guests at once, of which the second has an xAPIC, beside a guest that crashes again and again; with the self-test of page tables."""

import re
import struct

import pytest
from lablib.machine import boot
from support import tiny
from support.esp import IMAGE, linux, make_esp
from support.exits import reports
from support.linux_checks import alarming, check_exits
from support.shell import PROMPT, READY, Shell

PAGE = 4096
LAPIC = 0xFEE00000
CONFIG = (
    "[lintel]\nselftest = yes\n"
    + linux("one")
    + linux("two", memory="192M", more="hide = x2apic")
    + "[vm crasher]\nmemory = 16M\nkernel = crash\nrestart = on-crash\n"
)


@pytest.fixture(scope="module")
def machine():
    """All three VMs."""
    with boot(esp=make_esp("two-linux", CONFIG, {"crash": tiny.triple_fault()}), name="test-two-linux") as running:
        yield running


@pytest.fixture(scope="module")
def shell(machine):
    """The console of VM one."""
    return Shell(machine).wait_ready(600)


def without_reports(text: str) -> str:
    """The crashing VM's reports may come between two lines of a guest."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("lintel:"))


def sections() -> dict[str, tuple[int, int]]:
    """Of the image: address and size of each section, from its PE headers."""
    data = IMAGE.read_bytes()
    pe = struct.unpack_from("<I", data, 0x3C)[0]
    count, optional = struct.unpack_from("<H", data, pe + 6)[0], struct.unpack_from("<H", data, pe + 20)[0]
    table = {}
    for index in range(count):
        name, size, address = struct.unpack_from("<8sII", data, pe + 24 + optional + 40 * index)
        table[name.rstrip(b"\0").decode()] = (address, (size + PAGE - 1) // PAGE * PAGE)
    return table


@pytest.fixture(scope="module")
def page_tables(machine, shell):
    """What Lintel has mapped for itself: (start, end, rights)."""
    lines = re.findall(r"^lintel: pt: ([0-9a-f]{16})-([0-9a-f]{16}) (\S+) \S+$", machine.log_text(), re.MULTILINE)
    assert len(lines) > 5
    return [(int(start, 16), int(end, 16), rights) for start, end, rights in lines]


@pytest.fixture(scope="module")
def frames(machine, shell):
    """What each VM can reach: (guest address, host address, size, rights) by VM, of its first start."""
    found: dict[str, list[tuple[int, int, int, int]]] = {}
    log = machine.log_text()
    for vm in ("one", "two", "crasher"):
        text = log[: log.index(f"vm {vm}: started: ")]
        lines = re.findall(rf"^lintel: ept: {vm}: ([0-9a-f]+) -> ([0-9a-f]+) size ([0-9a-f]+) rights ([0-9a-f]+) type (\d)$", text, re.MULTILINE)
        found[vm] = [tuple(int(number, 16) for number in line[:4]) for line in lines]
    return found


def mapped(page_tables, start: int, end: int) -> set[str]:
    """The rights with which [start, end) is mapped; "" stands for not at all."""
    rights, covered = set(), 0
    for first, last, what in page_tables:
        overlap = min(end, last) - max(start, first)
        if overlap > 0:
            rights.add(what)
            covered += overlap
    return rights | ({""} if covered < end - start else set())


def image_base(page_tables) -> int:
    """Where the firmware has loaded Lintel: its text is all that can be executed."""
    executable = [(start, end) for start, end, rights in page_tables if "x" in rights]
    assert len(executable) == 1, f"not one executable range: {executable}"
    return executable[0][0] - sections()[".text"][0]


def test_both_shells(shell):
    """Both guests reach their shells, and each answers on its own console."""
    assert without_reports(shell.output("echo one; grep -o MemTotal /proc/meminfo")) == "one\nMemTotal\n"
    shell.console.send("\x012")
    shell.console.expect(r"lintel: console of vm two\r?\n", timeout=60)
    shell.console.expect(READY, timeout=300)
    shell.console.expect_exact(PROMPT, timeout=60)
    memory = without_reports(shell.output("cat /proc/meminfo"))
    assert int(re.search(r"MemTotal: +(\d+) kB", memory)[1]) < 192 << 10


def test_both_run_at_once(shell):
    """A guest without the console goes on: after two seconds in one, the other has aged as well."""
    shell.console.send("\x011")
    shell.console.expect(r"lintel: console of vm one\r?\n", timeout=60)
    shell.console.sendline("")
    shell.console.expect_exact(PROMPT, timeout=60)
    shell.output("(while :; do :; done) & echo $! > /tmp/busy; sleep 2")
    shell.console.send("\x012")
    shell.console.expect(r"lintel: console of vm two\r?\n", timeout=60)
    shell.console.sendline("")
    shell.console.expect_exact(PROMPT, timeout=60)
    before = float(without_reports(shell.output("cat /proc/uptime")).split()[0])
    shell.output("sleep 1")
    assert float(without_reports(shell.output("cat /proc/uptime")).split()[0]) < before + 10


def test_hidden_x2apic(shell):
    """`hide = x2apic`: Linux sees none and drives its APIC through memory, with interrupts that arrive."""
    flags = without_reports(shell.output("grep -m1 ^flags /proc/cpuinfo")).split()
    assert "apic" in flags and "x2apic" not in flags
    dmesg = without_reports(shell.output("dmesg"))
    assert "x2apic enabled" not in dmesg and "routing to physical x2apic" not in dmesg
    counts = without_reports(shell.output("cat /proc/interrupts"))
    assert int(re.search(r"LOC: +(\d+)", counts)[1]) > 100


def test_no_complaints(shell):
    """The kernel of the guest that shares the processor logs nothing that is wrong: no stall, no unstable clock."""
    assert alarming(without_reports(shell.output("dmesg -r"))) == []


def test_w_xor_x(page_tables):
    """No page of the VMM's is writable and executable, none is open to user mode."""
    assert [entry for entry in page_tables if "w" in entry[2] and "x" in entry[2] or "u" in entry[2]] == []


def test_image_is_mapped_by_section(page_tables):
    """Text is executable and read-only, constants are read-only, data is writable: as the image's headers name them."""
    base, image = image_base(page_tables), sections()
    for name, rights in ((".text", {"r-x"}), (".rodata", {"r--"}), (".data", {"rw-"})):
        address, size = image[name]
        assert mapped(page_tables, base + address, base + address + size) == rights, name


def test_page_zero_and_guards(page_tables):
    """Page 0 is not mapped, and there are holes of one page in writable memory: the guards of the stacks."""
    assert mapped(page_tables, 0, PAGE) == {""}
    guards = [first[1] for first, second in zip(page_tables, page_tables[1:]) if second[0] - first[1] == PAGE and first[2] == second[2] == "rw-"]
    assert len(guards) >= 4, f"guard pages: {guards}"


def test_selftest_agrees(machine):
    """Lintel's own walk finds no violation of W^X and no entry of an EPT that leads out of its VM's memory."""
    log = machine.log_text()
    assert "lintel: selftest: page tables: 0 violations of W^X" in log
    for vm in ("one", "two", "crasher"):
        assert re.search(rf"^lintel: selftest: ept of vm {vm}: \d+ leaves, \d+ tables, \d+ MiB: all its own$", log, re.MULTILINE)


def test_ept_maps_all_ram_once(frames):
    """Each VM's guest addresses are its RAM, whole and once: as many bytes as it was given; and the page of its local APIC, whose accesses are virtualized."""
    for vm, size in (("one", 256 << 20), ("two", 192 << 20), ("crasher", 16 << 20)):
        place = 0
        *ram, last = sorted(frames[vm])
        for guest, _, length, _ in ram:
            assert guest == place, f"{vm}: a hole or an overlap at {place:#x}"
            place += length
        assert place == size
        assert (last[0], last[2]) == (LAPIC, PAGE), f"{vm}: {last}"


def test_ept_isolation(frames, page_tables):
    """No frame belongs to two VMs; none holds the VMM's image or anything that the VMM does not use as plain memory."""
    spans = sorted((host, host + size, vm) for vm, leaves in frames.items() for _, host, size, _ in leaves)
    for first, second in zip(spans, spans[1:]):
        assert first[1] <= second[0], f"{first} and {second} overlap"
    base = image_base(page_tables)
    end = base + max(address + size for address, size in sections().values())
    for start, stop, vm in spans:
        assert stop <= base or start >= end, f"{vm} reaches the VMM's image"
        assert mapped(page_tables, start, stop) == {"rw-"}, f"{vm}: {start:#x}-{stop:#x}"


def test_poweroff_one_by_one(shell, machine):
    """One guest's power-off leaves the other running; the operator ends the rest, and the machine is off."""
    shell.console.sendline("poweroff")
    shell.console.expect(r"lintel: vm two: stopped: poweroff\r?\n", timeout=120)
    shell.console.send("\x011\r")
    shell.console.expect_exact(PROMPT, timeout=60)
    assert without_reports(shell.output("echo still''here")) == "stillhere\n"
    shell.output("kill $(cat /tmp/busy)")
    shell.console.sendline("poweroff")
    shell.console.expect(r"lintel: vm one: stopped: poweroff\r?\n", timeout=120)
    shell.console.send("\x01x")
    machine.wait_poweroff(60)


def test_reports(machine):
    """Each VM's report is its own: the x2APIC guest has no access to a LAPIC page, the xAPIC guest has; the third crashed, again and again."""
    assert not machine.running(), "needs test_poweroff_one_by_one"
    found = reports(machine.log_text())
    one, two = (next(report for report in found if report.vm == vm) for vm in ("one", "two"))
    for report in (one, two):
        check_exits(report)
        assert report.of("EPT violation") + report.of("APIC access") == sum(count for name, count in report.devices.items() if name.startswith("mmio"))
        assert report.of("APIC access") == report.device("mmio lapic"), "every access to that page is known to be one"
    assert one.of("APIC write") == one.device("mmio lapic") == 0 < two.of("APIC write")
    crashes = [report.end for report in found if report.vm == "crasher"]
    assert crashes.count("crash: triple fault") >= 3 and set(crashes[:-1]) == {"crash: triple fault"}
