# SPDX-License-Identifier: BSD-2-Clause
"""Lintel under KVM: the lab's machine `nested`, whose VT-x is kvm_intel's and whose devices are QEMU's. Debian from an NVMe disk, in a network behind a virtio card.

The long ones: each driver of disks and cards, an IOMMU, two CPUs, kvm_intel's parameters, features masked, VMs that start again, two VMs.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from lablib.machine import Machine, boot
from lablib.ports import free_port
from support import efi_programs, tiny
from support.disk import check_clean, fresh_disk, partition
from support.esp import BUILD, linux, make_esp
from support.exits import report_of
from support.linux_checks import alarming
from support.network import curl
from support.packages import unpacked
from support.root import config
from support.shell import READY, Shell, boot_lines

INDEPENDENT = True

# Some 60 s on a free core, as a whole; up to ten times that where cores are shared.
BOOT_SECONDS = 900
STEP_SECONDS = 300
# The packed kernel is a quarter of the other one: the firmware reads it through three layers.
KERNEL = ("kernel = vmlinux\n", "kernel = vmlinuz\n")
# All that KVM offers, with what the lab leaves out (tools/lablib/qemu.py): for tests in which Lintel does not use it.
ALL = "host,+invtsc"
# What profile:kvm-nested masks, as in tests/unit/test_features.c.
PROFILE = {"posted-interrupts", "pause-loop"}
# What profile:kvm-nested-apicv masks.
PROFILE_APICV = {"pause-loop"}
IOMMU = ("-machine", "kernel-irqchip=split", "-device", "intel-iommu,intremap=on,caching-mode=on")


@contextmanager
def nested(name: str, text: str, files=None, **fields) -> Iterator[Machine]:
    """The machine, with a configuration. Its console waits as long as that machine may take for an answer."""
    with boot(esp=make_esp(name, text.replace(*KERNEL), files), machine="nested", name=f"test-{name}", **fields) as machine:
        machine.console.timeout = STEP_SECONDS
        yield machine


def debian(name: str, bus: str, model: str, more: str = "", **fields) -> str:
    """Boots Debian from its disk on that bus, asks its web server for a page from here through that card, switches it off; the log. What was written is on the disk."""
    disk, port = fresh_disk(name), free_port()
    text = config().replace("[lintel]\n", f"[lintel]\n{more}")
    with nested(name, text, disks=[f"{disk},bus={bus}"], net=f"user,hostfwd=tcp:127.0.0.1:{port}-:80,model={model}", **fields) as machine:
        shell = Shell(machine).wait_ready(BOOT_SECONDS)
        assert shell.output("findmnt -n -o FSTYPE /", STEP_SECONDS) == "ext4\n"
        assert alarming(shell.output("dmesg -r", STEP_SECONDS)) == []
        assert "Debian under Lintel" in curl(f"http://127.0.0.1:{port}/", STEP_SECONDS)
        shell.output("echo kept > /root/kept", STEP_SECONDS)
        log = shell.poweroff(STEP_SECONDS)
    assert report_of(log, "debian").end == "poweroff"
    assert "host: QEMU ended with status 0" in machine.emulator_log()
    check_clean(partition(disk, "debian-root"))
    disk.unlink()
    return log


def minimal(name: str, more: str = "", section: str = "", **fields) -> str:
    """Boots the guest that needs no disk, uses it, switches it off; the log."""
    with nested(name, f"[lintel]\n{more}{linux(more=section)}", **fields) as machine:
        shell = Shell(machine).wait_ready(BOOT_SECONDS)
        assert alarming(shell.output("dmesg -r", STEP_SECONDS)) == []
        log = shell.poweroff(STEP_SECONDS)
    assert report_of(log, "debian").end == "poweroff"
    return log


def features(log: str, title: str) -> set[str]:
    """The names in one line of Lintel's feature report."""
    found = re.search(rf"^lintel: vmx: {title}: (.*)$", log, re.MULTILINE)
    return set(found[1].split(", ")) if found else set()


def used(log: str) -> set[str]:
    """The features that Lintel says it uses."""
    return features(log, "used")


def test_debian():
    """Debian's disk is NVMe's, its card virtio's, its web server answers this machine, and its power-off is the machine's. The TSC's frequency is QEMU's word."""
    log = debian("nested", "nvme", "virtio-net-pci")
    assert re.search(r"^lintel: disk: nvme\d+\S* part 1: debian-root", log, re.MULTILINE)
    assert "(the hypervisor's CPUID leaf)" in log


# --- the matrix


@pytest.mark.long
@pytest.mark.parametrize("model", ["virtio-net-pci", "e1000e", "e1000"])
@pytest.mark.parametrize("bus", ["nvme", "ahci", "virtio"])
def test_drivers(bus, model):
    """The same with each kind of disk and card."""
    debian(f"nested-{bus}-{model}", bus, model)


@pytest.mark.long
@pytest.mark.parametrize("bus, model", [("nvme", "e1000e"), ("virtio", "virtio-net-pci")])
def test_iommu(bus, model):
    """The same on a machine with an IOMMU that remaps interrupts."""
    debian(f"nested-iommu-{bus}", bus, model, qemu=IOMMU)


@pytest.mark.long
def test_empty_ahci_ports():
    """A controller with nothing at its six ports, as QEMU's q35 has by itself, takes the fifth of a second that its driver waits, not the machine's patience."""
    log = minimal("nested-empty-ahci", "log = debug\n", qemu=("-device", "ich9-ahci,id=empty"))
    assert re.search(r"^lintel: pci: \d+ functions, 1 disk", log, re.MULTILINE) and "lintel: error: ahci" not in log


@pytest.mark.long
@pytest.mark.parametrize("shadow", ["0", "1"])
@pytest.mark.parametrize("apicv", ["0", "1"])
def test_kvm_intel(apicv, shadow):
    """KVM with and without the processor's virtual APIC and its shadow VMCS. What it does not offer is the profile that stands for it: no more and no less."""
    log = minimal(f"nested-apicv{apicv}-shadow{shadow}", "interrupts = software\n", cpu=ALL, kvm_intel={"enable_apicv": apicv, "enable_shadow_vmcs": shadow})
    assert "vid" in features(log, "masked") and features(log, "missing") == (PROFILE if apicv == "0" else PROFILE_APICV)


@pytest.mark.long
def test_old_firmware():
    """With bookworm's OVMF, of 2022, which looks for more and takes longer."""
    root = unpacked("ovmf", "usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf")
    flash = root / "usr/share/OVMF/OVMF_CODE_4M.fd", root / "usr/share/OVMF/OVMF_VARS_4M.fd"
    log = minimal("nested-ovmf", firmware=flash)
    assert "lintel: boot: files from" in log


@pytest.mark.long
def test_no_invariant_tsc():
    """Without the invariant TSC QEMU does not tell its frequency either: it is measured."""
    log = minimal("nested-no-invtsc", exclude_features=["invtsc"])
    assert "(the hypervisor's CPUID leaf)" not in log and re.search(r"^lintel: tsc: \d+\.\d+ MHz", log, re.MULTILINE)


@pytest.mark.long
@pytest.mark.parametrize("mask", ["all", "profile:minimal", "profile:kvm-nested", "vid", "tpr-shadow", "vpid", "ept-2m, ept-1g", "preemption-timer", "virtual-nmis"])
def test_masked(mask):
    """What Lintel can do without, it can do without here; so with each profile."""
    # What that one masks KVM offers only so.
    parameters = {"enable_apicv": "1"} if mask == "profile:kvm-nested" else {}
    text = f"mask = {mask}\n" + ("" if "vid" in mask or mask == "all" else "interrupts = software\n")
    log = minimal("nested-mask-" + re.sub(r"\W+", "-", mask), text, cpu=ALL, kvm_intel=parameters)
    assert not used(log) & (PROFILE if parameters else set(mask.split(", "))) and re.search(r"^lintel: vmx: masked: \S", log, re.MULTILINE)


@pytest.mark.long
@pytest.mark.parametrize("mask", ["", "preemption-timer"])
def test_two_cpus(mask):
    """A guest on two CPUs, each a thread of QEMU on a CPU of its own."""
    with nested("nested-smp" + ("-masked" if mask else ""), "[lintel]\n" + (f"mask = {mask}\n" if mask else "") + linux(more="cpus = 2"), cpus=2) as machine:
        shell = Shell(machine).wait_ready(BOOT_SECONDS)
        assert shell.output("nproc", STEP_SECONDS) == "2\n"
        assert alarming(shell.output("dmesg -r", STEP_SECONDS)) == []
        log = shell.poweroff(STEP_SECONDS)
    assert report_of(log, "debian").end == "poweroff"
    assert all(f"host: CPU {number} is thread" in machine.emulator_log() for number in (0, 1))


@pytest.mark.long
def test_restarts():
    """A VM that reboots starts again, time after time, and is usable."""
    with nested("nested-restarts", "[lintel]\n" + linux()) as machine:
        shell = Shell(machine).wait_ready(BOOT_SECONDS)
        for _ in range(20):
            shell.console.sendline("reboot")
            shell.console.expect(r"lintel: vm debian: stopped: reset\r?\n", timeout=STEP_SECONDS)
            shell.console.expect(READY, timeout=STEP_SECONDS)
            shell.console.expect_exact("debian# ")
        assert shell.output("echo up", STEP_SECONDS) == "up\n"
        shell.poweroff(STEP_SECONDS)


@pytest.mark.long
def test_crashing_vm():
    """A VM that triple-faults again and again starts again each time: its end is no end of QEMU's machine."""
    text = "[vm bystander]\nmemory = 16M\nkernel = says\n[vm crasher]\nmemory = 16M\nkernel = crash\nrestart = on-crash\n"
    with nested("nested-crash", text, {"crash": tiny.triple_fault(), "says": tiny.says("bystander is alive\r\n")}) as machine:
        machine.console.expect(r"(?s)(?:vm crasher: starts again in .*){3}", timeout=BOOT_SECONDS)


@pytest.mark.long
def test_two_vms():
    """Two Linux guests at the same time, each with its console."""
    with nested("nested-two", "[lintel]\n" + linux("one", memory="192M") + linux("two", memory="192M")) as machine:
        shell = Shell(machine).wait_ready(BOOT_SECONDS)
        shell.console.send("\x012")
        shell.console.expect(r"lintel: console of vm two\r?\n", timeout=STEP_SECONDS)
        shell.console.expect(READY, timeout=BOOT_SECONDS)
        shell.console.expect_exact("debian# ", timeout=STEP_SECONDS)
        shell.console.sendline("poweroff")
        shell.console.expect(r"lintel: vm two: stopped: poweroff\r?\n", timeout=STEP_SECONDS)
        shell.console.send("\x011")
        shell.console.expect(r"lintel: console of vm one\r?\n", timeout=STEP_SECONDS)
        shell.console.sendline("")
        shell.console.expect_exact("debian# ", timeout=STEP_SECONDS)
        log = shell.poweroff(STEP_SECONDS)
    assert {report_of(log, vm).end for vm in ("one", "two")} == {"poweroff"}


# --- what it costs: KVM's own counts


def counts(machine: Machine, word: str) -> dict[int, int]:
    """How often each exit came: `exit` of them all, by the SDM's numbers; `user` of those that went to QEMU, by KVM's."""
    found = {int(reason): int(times) for reason, times in re.findall(rf"^host: {word} (\d+): (\d+)$", machine.emulator_log().replace("\r", ""), re.MULTILINE)}
    assert found, "L0 has counted nothing"
    return found


VMREAD, VMRESUME, VMWRITE = 23, 24, 25


@pytest.mark.long
def test_no_unshadowed_field():
    """With a shadow VMCS no exit of a guest in x2APIC mode makes Lintel read or write a field that KVM does not shadow, each of which would be an exit of its own. Such there are when a
    vCPU is made; and one for each write to an xAPIC that an exit carries out, which may have a debug trap pending."""
    operations = "cpuid,vmcall,rdmsr_emulated,wrmsr_emulated,inl_from_kernel,mmio_read,mmio_write,x2apic_self_ipi_sti_nop,eoi_level,tscdeadline,hlt_wake"
    text = f"[lintel]\nidle = poweroff\n[vm bench]\nmemory = 64M\ncpus = 2\nkernel = exitbench.elf\ncmdline = n=500 only={operations}\ndebug-exit = 0xf4\n"
    with nested("nested-shadow", text, {"exitbench.elf": BUILD / "exitbench.elf"}, count_exits=True) as machine:
        machine.wait_poweroff(BOOT_SECONDS)
    exits = counts(machine, "exit")
    assert exits[VMRESUME] > 500 * len(operations.split(","))
    assert exits.get(VMREAD, 0) + exits.get(VMWRITE, 0) < 300, exits


@pytest.mark.long
def test_start(tmp_path):
    """From the firmware to the first VM, and to the end of a VM that ends at once, Lintel goes to QEMU at most 5,000 times: with the devices that QEMU has by default."""
    with boot(esp=efi_programs.program(tmp_path, "off\n", "off", "tcg"), machine="nested", name="test-nested-off", count_exits=True) as machine:
        machine.wait_poweroff(BOOT_SECONDS)
    firmware = sum(counts(machine, "user").values())
    with nested("nested-start", "[lintel]\nidle = poweroff\n[vm t]\nmemory = 16M\nkernel = t\ndebug-exit = 0xf4\n", {"t": tiny.debug_exit(0)}, count_exits=True) as machine:
        machine.wait_poweroff(BOOT_SECONDS)
    lintel = sum(counts(machine, "user").values()) - firmware
    print(f"{firmware} exits to QEMU for the firmware, {lintel} for Lintel")
    assert 0 < lintel <= 5000
