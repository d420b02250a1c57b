# SPDX-License-Identifier: BSD-2-Clause
"""Micro-guests (guests/micro/README.md): what one vCPU may and may not do, claim by claim."""

import re

import pexpect
import pytest
from lablib.machine import Machine, boot
from support.exits import report_of
from support.micro import SECONDS, Guest, ends, failures, lay_out

HIDDEN = "x2apic,tsc-deadline,pcid,fsgsbase,tsc-adjust,smep,smap,invpcid,umip,rdtscp,xsaves,mtrr,pge,avx512"

LEAK = Guest("leak", "leak")
# Every guest that ends by itself with the number of its failed claims as the status, 0 = none.
CLAIMS = [
    Guest("cpuid", "cpuid", "shared"),
    Guest("hidden", "cpuid", f"shared hidden={HIDDEN}", f"hide = {HIDDEN}"),
    Guest("plain", "cpuid", "shared hidden=xsave,avx,pv", "hide = xsave, pv"),
    Guest("msr", "msr"),
    Guest("ports", "ports"),
    Guest("insn", "insn"),
    Guest("cr", "cr"),
    Guest("mmio", "mmio"),
    Guest("apic", "apic", "shared"),
    Guest("irq", "irq", "shared"),
    Guest("debug", "debug"),
    Guest("state-a", "state", "seed=a"),
    Guest("state-b", "state", "seed=b sse-only"),
    Guest("state-f", "state", "seed=f", "hide = xsave"),
]
HELLO = Guest("hello", "hello", "module last=the-end", "initrd = module")


def show_all(m: Machine, count: int) -> None:
    """Through the consoles of all VMs, also of stopped ones: what they had to say is shown then."""
    for _ in range(count):
        m.console.send(b"\x01n")
        m.console.expect(r"lintel: console of vm \S+", timeout=30)


def leak_key(m: Machine, key: str, then: str) -> None:
    """Keys typed while a VM starts are dropped: again until it is obeyed."""
    for _ in range(20):
        m.console.send(key)
        if m.console.expect([then, pexpect.TIMEOUT], timeout=3) == 0:
            return
    raise AssertionError(f"leak does not obey {key}")


def run_claims(name: str, claims: list[Guest], lintel: str = "", **options) -> str:
    """All claims beside each other: the log."""
    guests = [LEAK, HELLO, *claims]
    with boot(esp=str(lay_out(name, guests, lintel)), machine="bochs", name=name, **options) as m:
        running = {guest.vm for guest in guests} - {"leak"}
        while running:
            m.console.expect(r"lintel: vm (\S+): stopped: ", timeout=SECONDS)
            running.discard(m.console.match[1])
        show_all(m, len(guests))
        leak_key(m, "p", "leak: .*waits for a key")
        leak_key(m, "p", "leak: .*waits for a key")
        leak_key(m, "q", "vm leak: stopped: debug-exit")
        m.wait_poweroff(timeout=60)
        return m.log_text()


@pytest.fixture(name="log", scope="module", params=["default", "fallbacks"])
def fixture_log(request):
    """One boot with every VT-x feature that there is, one with the way to do without each."""
    lintel = {"default": "selftest = yes", "fallbacks": "mask = tpr-shadow, vpid, ept-2m, ept-1g, x2apic-mode"}[request.param]
    return run_claims(f"micro-{request.param}", CLAIMS, lintel)


@pytest.mark.parametrize("guest", CLAIMS, ids=lambda guest: guest.vm)
def test_claims(log, guest):
    """Every claim of this guest holds, while 15 other VMs run; see guests/micro."""
    assert ends(log)[guest.vm] == "debug-exit 0x0", failures(log, guest.image)


def test_something_was_claimed(log):
    """A guest that claims nothing would pass: each says how much it has tried."""
    counts = {image: [int(found[1]) for found in re.finditer(rf"^{image}: (\d+) passed, \d+ failed", log, re.MULTILINE)] for image in {guest.image for guest in CLAIMS}}
    assert all(counts.values()), counts
    assert all(min(numbers) >= 20 for numbers in counts.values()), counts


def test_hello(log):
    """Multiboot's information is right, and the status of a debug exit is shown."""
    assert ends(log)["hello"] == "debug-exit 0x10", failures(log, "hello")


def test_leaks(log):
    """A VM that starts where another one has poisoned memory and registers finds neither."""
    assert failures(log, "leak") == []
    assert re.search(r"leak: \d+ passed, 0 failed, waits for a key[\s\S]*vm leak: stopped: reset[\s\S]*vm leak: stopped: reset", log)
    assert ends(log)["leak"] == "debug-exit 0x0"


def test_an_unclaimed_access_is_told_once(log):
    """A guest that reads where nothing is cannot fill the log."""
    told = re.findall(r"lintel: vm mmio: access to ", log)
    assert len(told) == 1


@pytest.mark.long
@pytest.mark.parametrize("cpu", ["corei7_haswell_4770", "broadwell_ult", "corei7_icelake_u"])
def test_other_processors(cpu):
    """The same claims hold on processors with less and with more."""
    log = run_claims(f"micro-{cpu}", CLAIMS, cpu=cpu)
    bad = {vm: end for vm, end in ends(log).items() if end not in ("debug-exit 0x0", "debug-exit 0x10", "reset")}
    assert not bad, [line for guest in [LEAK, HELLO, *CLAIMS] for line in failures(log, guest.image)]


@pytest.mark.long
def test_programs_of_many_seeds():
    """A VM dies of nothing that its programs do: half a million instructions made at random."""
    guests = [Guest(f"seed-{seed}", "user", f"seed={seed} rounds=100000") for seed in range(2, 7)]
    with boot(esp=str(lay_out("micro-user", guests)), machine="bochs", name="micro-user") as m:
        m.wait_poweroff(timeout=4 * SECONDS)
        log = m.log_text()
    assert set(ends(log).values()) == {"debug-exit 0x0"}, failures(log, "user")


# One after the other: each has the CPU to itself.
ALONE = [Guest("apic", "apic"), Guest("irq", "irq", "after=1"), Guest("cpuid", "cpuid", "after=2"), Guest("first", "exitcost", "after=3"), Guest("second", "exitcost", "after=4"), Guest("virtio", "virtio", "after=5"), Guest("user", "user", "after=6")]


@pytest.fixture(name="alone", scope="module")
def fixture_alone():
    """The guests whose claims on time hold only without neighbours: the log."""
    with boot(esp=str(lay_out("micro-alone", ALONE)), machine="bochs", name="micro-alone") as m:
        m.wait_poweroff(timeout=SECONDS)
        return m.log_text()


@pytest.mark.parametrize("vm", ["apic", "irq", "cpuid", "virtio"])
def test_time_alone(alone, vm):
    """A guest that has the CPU to itself gets its interrupts in time, and the TSC runs as CPUID says."""
    assert ends(alone)[vm] == "debug-exit 0x0", failures(alone, vm)


def test_programs(alone):
    """A VM dies of nothing that its programs do: 20,000 instructions made at random, with device registers mapped."""
    assert ends(alone)["user"] == "debug-exit 0x0", failures(alone, "user")
    rounds, *kinds = (int(word) for word in re.search(r"^user: (\d+) rounds: (\d+) steps, (\d+) undefined, (\d+) protection, (\d+) page faults", alone, re.MULTILINE).groups())
    assert rounds == 20000 and min(kinds) > 1000


def test_a_port_is_the_cheaper_kick(alone):
    """Why virtio devices offer a port first: an OUT costs half of a store that has to be fetched and decoded."""
    cost = dict(re.findall(r"^virtio: kick by (\w+) (\d+)$", alone, re.MULTILINE))
    assert 50 < int(cost["port"]) < 0.55 * int(cost["memory"])


def test_exit_costs_repeat(alone):
    """What an exit costs is a number: the same in every run, and within what a straight path can cost."""
    told = re.findall(r"^exitcost: (\w+) (\d+)$", alone, re.MULTILINE)
    first, second = dict(told[: len(told) // 2]), dict(told[len(told) // 2 :])
    assert set(first) == {"nothing", "cpuid", "vmcall", "rdmsr", "wrmsr", "out", "in", "mmio", "xsetbv"}
    assert first == second
    assert int(first["nothing"]) <= 4
    for kind, ticks in first.items():
        assert kind == "nothing" or 50 < int(ticks) < 3000, first
    exits = report_of(alone, "first").exits
    assert all(exits[reason] >= 1000 for reason in ("CPUID", "VMCALL", "RDMSR", "WRMSR", "I/O instruction", "XSETBV"))
