"""Micro-guests (guests/micro/README.md): what one vCPU may and may not do, claim by claim."""

import re
from dataclasses import dataclass

import pytest
from lablib.machine import Machine, boot
from support.esp import MICRO, make_esp
from support.exits import STOPPED, report_of

STARTED = re.compile(r"lintel: vm (\S+): started: ")
PASSED = re.compile(r"(\d+) passed, (\d+) failed")
SECONDS = 300


@dataclass
class Guest:
    """One VM that runs a micro-guest."""

    vm: str
    image: str
    cmdline: str = ""
    more: str = ""

    def section(self) -> str:
        """Its part of lintel.conf."""
        return f"[vm {self.vm}]\nmemory = 16M\nkernel = {self.image}.elf\ncmdline = {self.cmdline}\ndebug-exit = 0xf4\n{self.more}\n"


def lay_out(name: str, guests: list[Guest], lintel: str = ""):
    """An ESP with these VMs, in this order."""
    files = {f"{image}.elf": MICRO / f"{image}.elf" for image in {guest.image for guest in guests}}
    config = f"[lintel]\nidle = poweroff\n{lintel}\n" + "".join(guest.section() for guest in guests)
    return make_esp(name, config, {**files, "module": b"the module"})


def ends(log: str) -> dict[str, str]:
    """How each VM ended last."""
    return {found[1]: found[2] for found in STOPPED.finditer(log + "\n")}


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


def end_leak(m: Machine) -> None:
    """A key that comes between two starts is dropped: type until it has ended."""
    for _ in range(20):
        m.console.send("q")
        if m.console.expect([r"vm leak: stopped: debug-exit", r"vm leak: started"], timeout=60) == 0:
            return
    raise AssertionError("leak does not end")


def run_claims(name: str, lintel: str = "", **options) -> str:
    """All claims beside each other: the log."""
    guests = [LEAK, HELLO, *CLAIMS]
    with boot(esp=str(lay_out(name, guests, lintel)), machine="bochs", name=name, **options) as m:
        running = {guest.vm for guest in guests} - {"leak"}
        while running:
            m.console.expect(r"lintel: vm (\S+): stopped: ", timeout=SECONDS)
            running.discard(m.console.match[1])
        show_all(m, len(guests))
        end_leak(m)
        m.wait_poweroff(timeout=60)
        return m.log_text()


@pytest.fixture(name="log", scope="module", params=["default", "fallbacks"])
def fixture_log(request):
    """One boot with every VT-x feature that there is, one with the way to do without each."""
    lintel = {"default": "selftest = yes", "fallbacks": "mask = tpr-shadow, vpid, ept-2m, ept-1g, x2apic-mode"}[request.param]
    return run_claims(f"micro-{request.param}", lintel)


def failures(log: str, image: str) -> list[str]:
    """The claims of a guest that did not hold, as it said itself."""
    return re.findall(rf"^{image}: (?:FAIL .*|.* FAIL .*)$", log, re.MULTILINE)


@pytest.mark.parametrize("guest", CLAIMS, ids=lambda guest: guest.vm)
def test_claims(log, guest):
    """Every claim of this guest holds, while 15 other VMs run; see guests/micro."""
    assert ends(log)[guest.vm] == "debug-exit 0x0", failures(log, guest.image)


def test_something_was_claimed(log):
    """A guest that claims nothing would pass: each says how much it has tried."""
    counts = {image: [int(found[1]) for found in re.finditer(rf"^{image}: (\d+) passed, 0 failed", log, re.MULTILINE)] for image in {guest.image for guest in CLAIMS}}
    assert all(counts.values()), counts
    assert all(min(numbers) >= 20 for numbers in counts.values()), counts


def test_hello(log):
    """Multiboot's information is right, and the status of a debug exit is shown."""
    assert ends(log)["hello"] == "debug-exit 0x10", failures(log, "hello")


def test_leaks(log):
    """A VM that starts where another one has poisoned memory and registers finds neither."""
    assert failures(log, "leak") == []
    assert re.search(r"leak: \d+ passed, 0 failed, now poisons[\s\S]*vm leak: stopped: reset", log)
    assert ends(log)["leak"] == "debug-exit 0x0"


def test_an_unclaimed_access_is_told_once(log):
    """A guest that reads where nothing is cannot fill the log."""
    told = re.findall(r"lintel: vm mmio: access to ", log)
    assert len(told) == 1


@pytest.mark.long
@pytest.mark.parametrize("cpu", ["corei7_haswell_4770", "broadwell_ult", "corei7_icelake_u"])
def test_other_processors(cpu):
    """The same claims hold on processors with less and with more."""
    log = run_claims(f"micro-{cpu}", cpu=cpu)
    bad = {vm: end for vm, end in ends(log).items() if end not in ("debug-exit 0x0", "debug-exit 0x10", "reset")}
    assert not bad, [line for guest in [LEAK, HELLO, *CLAIMS] for line in failures(log, guest.image)]


@pytest.mark.parametrize("image", ["cpuid", "apic", "irq"])
def test_time_alone(image):
    """A guest that has the CPU to itself gets its interrupts in time."""
    name = f"micro-alone-{image}"
    with boot(esp=str(lay_out(name, [Guest(image, image)])), machine="bochs", name=name) as m:
        m.wait_poweroff(timeout=SECONDS)
        log = m.log_text()
    assert ends(log)[image] == "debug-exit 0x0", failures(log, image)


def exit_costs(name: str) -> tuple[dict[str, int], str]:
    """Ticks for each kind of exit, as the guest has measured them."""
    with boot(esp=str(lay_out(name, [Guest("exitcost", "exitcost")])), machine="bochs", name=name) as m:
        m.wait_poweroff(timeout=SECONDS)
        log = m.log_text()
    return {found[1]: int(found[2]) for found in re.finditer(r"^exitcost: (\w+) (\d+)$", log, re.MULTILINE)}, log


def test_exit_costs_repeat():
    """What an exit costs is a number: the same in every run, and within what a straight path can cost."""
    first, log = exit_costs("micro-exitcost")
    second, _ = exit_costs("micro-exitcost-again")
    assert first == second
    assert set(first) == {"nothing", "cpuid", "vmcall", "rdmsr", "wrmsr", "out", "in", "mmio", "xsetbv"}
    assert first["nothing"] <= 4
    for kind, ticks in first.items():
        assert kind == "nothing" or 50 < ticks < 3000, first
    exits = report_of(log, "exitcost").exits
    assert exits["CPUID"] >= 1000 and exits["VMCALL"] >= 1000 and exits["RDMSR"] >= 1000
