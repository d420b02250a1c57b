# SPDX-License-Identifier: BSD-2-Clause
"""The machine `nested`, without booting it: what is written for its Linux and its QEMU, and in which words it fails."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from lablib import bochs, firmware, nested, qemu
from lablib.errors import LabError, MachineFailed
from lablib.machine import Machine
from lablib.options import Disk, Net, Options, parameters
from lablib.paths import REPOSITORY, cache

INDEPENDENT = True

LAB = REPOSITORY / "tools/lab"
# What passes for the emulator: it says in L0's log what is in the file `says`, takes the serial line, and stays.
EMULATOR = """
import re, socket, time
line = socket.create_connection(re.search(r"com1: .*dev=([\\d.]+):(\\d+)", open("bochsrc").read()).groups())
open("host.log", "w").write(open("says").read())
time.sleep(60)
"""


@pytest.fixture(name="esp")
def fixture_esp(tmp_path):
    """A folder that can be booted, as far as the lab can tell."""
    folder = tmp_path / "esp"
    (folder / "EFI/BOOT").mkdir(parents=True)
    (folder / "EFI/BOOT/BOOTX64.EFI").write_bytes(b"MZ")
    return folder


@pytest.fixture(name="own_cache")
def fixture_own_cache(tmp_path, monkeypatch):
    """A cache with the unpacked Bochs and the guest's packages in it, and nothing else."""
    real, own = cache(), tmp_path / "cache"
    own.mkdir()
    for name in ("bochs", "guests"):
        if (real / name).exists():
            (own / name).symlink_to(real / name)
    monkeypatch.setenv("LINTEL_CACHE", str(own))
    return own


def unpack(own: Path) -> None:
    """What passes for the unpacked QEMU."""
    (own / "qemu/usr/bin").mkdir(parents=True)
    (own / "qemu/usr/bin/qemu-system-x86_64").write_bytes(bytes(1 << 16))
    (own / "qemu/complete").write_text("qemu-system-x86.deb\n")


def program(folder: Path, name: str, script: str) -> None:
    """Something of that name for PATH."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def leftovers(own: Path) -> list[str]:
    """What a failure has left in the cache beside the unpacked packages."""
    return [entry.name for entry in own.iterdir() if entry.name not in ("bochs", "guests", "qemu", "qemu.lock", "bochs.lock", "nested.lock") and not entry.name.startswith("bochs-shim")]


# --- what is written


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"cpus": 2, "net": Net(["tcp::1-:2"], "virtio-net-pci")},
        {"disks": [Disk(Path("data"), "nvme"), Disk(Path("more"), "ahci")]},
        {"qemu": ("-device", "virtio-rng-pci", "-device", "intel-iommu,intremap=on,caching-mode=on", "-machine", "kernel-irqchip=split")},
        {"exclude_features": ["invtsc", "x2apic"]},
    ],
    ids=["plain", "net", "disks", "iommu", "features"],
)
def test_command(tmp_path, fields):
    """QEMU's own parser accepts the command for L0, with what is asked for: disks on their buses, the card, the IOMMU before what is behind it."""
    for name in ("boot", "data", "more", "code", "vars"):
        (tmp_path / name).write_bytes(bytes(1 << 20 if name in ("boot", "data", "more") else 1 << 16))
    options = Options(machine="nested", **fields)
    options.disks = [Disk(tmp_path / disk.path, disk.bus) for disk in options.disks]
    words = qemu.argv(options, tmp_path / "boot", tmp_path / "code", tmp_path / "vars", "stdio,id=com1,signal=off")
    assert qemu.check(words) == ""
    assert words[0] == "qemu-system-x86_64", "L0's, not this machine's"
    model = words[words.index("-cpu") + 1].split(",")
    assert model[0] == "host" and ("+invtsc" in model) == ("invtsc" not in options.exclude_features)
    assert {"-vmx-apicv-vid", "-vmx-posted-intr"} <= set(model)
    places = [place for place, word in enumerate(words) if word.startswith("intel-iommu")]
    assert not places or max(places) < min(place for place, word in enumerate(words) if word.startswith("virtio"))


def test_firmware(tmp_path):
    """Another firmware goes on a disk behind the others, code first, and L0 is told where; what is no flash is refused."""
    code, variables = tmp_path / "code", tmp_path / "vars"
    code.write_bytes(b"c" * 8192)
    variables.write_bytes(b"v" * 4096)
    options = Options(machine="nested", disks=[Disk(tmp_path / "data")], firmware=(code, variables))
    words = nested.host_words(options)
    assert "host_disks=3\n" in words and "host_firmware='2 2 1'\n" in words and "file=/tmp/CODE.fd" in words
    (disk,) = nested._flash(options, tmp_path)  # pylint: disable=protected-access
    data = disk.path.read_bytes()
    assert data.startswith(b"c" * 8192 + b"v" * 4096 + b"\0") and len(data) % (16 * 63 * 512) == 0
    assert "host_firmware=''\n" in nested.host_words(Options(machine="nested"))
    variables.write_bytes(b"v" * 5000)
    with pytest.raises(LabError, match="not whole sectors of flash"):
        nested.host_words(options)


def test_words_for_the_host(tmp_path):
    """What L0's first process reads is shell that means what was asked for, however odd: as bash understands it, too."""
    odd = "$(touch gone) 'x' \"y\" \\ ;&|"
    options = Options(machine="nested", cpus=2, disks=[Disk(tmp_path, "ahci")], net=Net([], "e1000e"), qemu=("-name", odd), kvm_intel=parameters("enable_apicv=1,ept=0"))
    (tmp_path / "words").write_text(nested.host_words(options))
    script = '. ./words; printf "%s\\n" "$host_kvm_intel" "$host_cpus" "$host_disks" "$host_net"; host_qemu printf "%s\\n"'
    for shell in ("sh", "bash"):
        run = subprocess.run([shell, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
        lines = run.stdout.splitlines()
        assert lines[:4] == ["nested=1 enable_apicv=1 enable_shadow_vmcs=1 ept=0", "2", "2", str(nested.NET_PORT)]
        assert lines[4] == "qemu-system-x86_64" and odd in lines and "-no-reboot" in lines
        assert any("file=/dev/lintel/disk1" in line for line in lines) and any(line.startswith("ide-hd,drive=disk1") for line in lines)
        assert any(line.startswith("e1000e,netdev=net0,mac=52:54:00:12:34:56") for line in lines)
    assert not (tmp_path / "gone").exists()


def test_run_folder(tmp_path, monkeypatch):
    """Bochs' first disk is L0's, with the words behind its table; Lintel's follow; the card is Bochs' own with the forwards; COM2 is a file."""
    monkeypatch.setattr(bochs, "prepare", lambda: bochs.Bochs([], {}, tmp_path, tmp_path / "vga", tmp_path / "ovmf", "3.1"))
    (tmp_path / "made").write_bytes(bytes(2 << 20))
    monkeypatch.setattr(nested, "host_disk", lambda: tmp_path / "made")
    run = tmp_path / "run"
    run.mkdir()
    options = Options(machine="nested", cpus=2, memory=512, disks=[Disk(tmp_path / "data", "nvme")], net=Net(["tcp::1-:2"], "virtio-net-pci"), exclude_features=["x2apic"])
    nested.prepare(run, options, run / "boot.img", "127.0.0.1:5")
    lines = (run / "bochsrc").read_text().splitlines()
    assert [line.partition("path=")[2] for line in lines if line.startswith("ata") and "path" in line] == [f'"{path}", mode=flat' for path in (run / "host.img", run / "boot.img", tmp_path / "data")]
    assert f"memory: guest={512 + nested.HOST_MEMORY}, host={512 + nested.HOST_MEMORY}" in lines
    assert any("model=corei7_skylake_x, count=2, ips=250000000" in line for line in lines) and not any("x2apic" in line for line in lines)
    assert 'com2: enabled=1, mode=file, dev="host.log"' in lines
    assert "e1000: enabled=1, mac=52:54:00:12:34:56, ethmod=slirp, script=slirp.conf" in lines
    data = (run / "host.img").read_bytes()
    assert data[nested.WORDS_AT : nested.WORDS_END].rstrip(b"\0").decode() == nested.host_words(options)
    assert b"-x2apic" in data, "what is hidden is hidden from Lintel's machine"


# --- what can go wrong


def test_no_room(own_cache, monkeypatch):
    """Too little room for the images is said before anything is fetched, with how much it takes, where, and what to do."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1 << 30, 1 << 30, 3 << 20))
    with pytest.raises(LabError, match=f"its images need 700 MiB in {own_cache}, and 3 MiB are free there; LINTEL_CACHE"):
        nested.host_disk()
    assert leftovers(own_cache) == []


def test_disk_full(own_cache, tmp_path, monkeypatch):
    """A disk that fills up all the same: the tool's own words, and no half of an image stays."""
    unpack(own_cache)
    program(tmp_path / "bin", "mke2fs", "echo 'mke2fs: No space left on device' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    with pytest.raises(LabError, match="nested: mke2fs: mke2fs: No space left on device"):
        nested.host_disk()
    assert leftovers(own_cache) == []


def test_image_is_made_once(own_cache):
    """The image holds two partitions; it is made once, and anew when what it is made of is another one, whose predecessor goes."""
    unpack(own_cache)
    first = nested.host_disk()
    table = subprocess.run(["/usr/sbin/sfdisk", "-d", first], capture_output=True, text=True, check=True).stdout
    assert "type=ef" in table and "type=83" in table
    before = first.stat().st_mtime_ns
    assert nested.host_disk() == first and first.stat().st_mtime_ns == before
    (own_cache / "qemu/complete").write_text("a newer one\n")
    second = nested.host_disk()
    assert second != first and leftovers(own_cache) == [second.name]


def test_no_packages(own_cache, esp, tmp_path):
    """No mirror: the reason, what cannot be had, and status 2."""
    (tmp_path / "etc").mkdir()
    environment = {**os.environ, "LINTEL_APT_ETC": str(tmp_path / "etc")}
    run = subprocess.run([LAB, "boot", "--machine", "nested", "--esp", esp, "--name", "test-nested-no-packages"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 2, run.stderr
    assert "no Debian mirror among this machine's apt sources" in run.stderr
    assert "lab: nested: Debian's QEMU could not be fetched: see the lines above" in run.stderr and "Traceback" not in run.stderr
    assert leftovers(own_cache) == []


def test_no_guests(own_cache, tmp_path, monkeypatch):
    """Without the default guest's kernel there is no L0."""
    unpack(own_cache)
    monkeypatch.setattr(nested, "GUESTS", tmp_path)
    with pytest.raises(LabError, match="run `make guests` first"):
        nested.host_disk()


def test_no_kvm_intel(own_cache, tmp_path, monkeypatch):
    """A kernel without the module: its package and the module are named."""
    unpack(own_cache)
    guests = tmp_path / "guests"
    guests.mkdir()
    (guests / "linux.stamp").write_text("cloud x\nlinux-image-none.deb\n")
    package = tmp_path / "package"
    modules = package / "lib/modules/6.1/kernel"
    modules.mkdir(parents=True)
    for name in ("scsi_common", "scsi_mod", "libata", "sd_mod", "ata_piix", "irqbypass", "kvm"):
        (modules / f"{name}.ko").write_bytes(b"")
    (package / "DEBIAN").mkdir()
    (package / "DEBIAN/control").write_text("Package: linux-image-none\nVersion: 1\nArchitecture: amd64\nMaintainer: none\nDescription: none\n")
    (own_cache / "guests").unlink()
    (own_cache / "guests").mkdir()
    subprocess.run(["dpkg-deb", "--build", package, own_cache / "guests/linux-image-none.deb"], check=True, capture_output=True)
    monkeypatch.setattr(nested, "GUESTS", guests)
    with pytest.raises(LabError, match="nested: L0: nested-host: linux-image-none.deb holds no module kvm-intel"):
        nested.host_disk()
    assert leftovers(own_cache) == []


def machine_that_says(esp: Path, tmp_path: Path, monkeypatch, name: str, says: str) -> Machine:
    """The machine `nested` with an emulator that writes this to L0's log."""
    (tmp_path / "emulator").write_text(EMULATOR)
    monkeypatch.setattr(bochs, "prepare", lambda: bochs.Bochs([], dict(os.environ), tmp_path, tmp_path / "vga", tmp_path / "ovmf", "3.1"))
    monkeypatch.setattr(bochs, "argv", lambda emulator: [sys.executable, str(tmp_path / "emulator")])
    (tmp_path / "made").write_bytes(bytes(2 << 20))
    monkeypatch.setattr(nested, "host_disk", lambda: tmp_path / "made")
    machine = Machine(Options(esp=esp, machine="nested", name=f"test-nested-{name}"))
    (machine.folder / "says").write_text(says)
    return machine


@pytest.mark.parametrize(
    "says, reason",
    [
        ("host: QEMU starts\nqemu-system-x86_64: -device flux: 'flux' is not a valid device model name\nhost: QEMU ended with status 1\n", "nested: QEMU ended with status 1\n.*'flux' is not a valid"),
        ("host: linux 6.1\nhost: failed: kvm_intel makes no /dev/kvm\n", "nested: failed: kvm_intel makes no /dev/kvm"),
        ("[    1.0] Kernel panic - not syncing: VFS\n", "Kernel panic - not syncing: VFS"),
    ],
    ids=["qemu", "kvm", "panic"],
)
def test_host_fails(esp, tmp_path, monkeypatch, request, says, reason):
    """What fails in L0 fails the machine, at once, in L0's words."""
    machine = machine_that_says(esp, tmp_path, monkeypatch, request.node.callspec.id, says)
    try:
        machine.start()
        with pytest.raises(MachineFailed, match="(?s)" + reason):
            machine.wait_poweroff(30)
    finally:
        machine.kill()


def test_stages(esp, tmp_path, monkeypatch):
    """How far the boot is, is read from L0's log until Lintel speaks."""
    machine = machine_that_says(esp, tmp_path, monkeypatch, "stages", "")
    try:
        log = machine.folder / "host.log"
        for text, stage in (("", ""), ("host: linux 6.1\r\n", "host"), ("host: QEMU starts\r\n", "QEMU")):
            with open(log, "a", encoding="ascii") as file:
                file.write(text)
            assert machine.stage == stage
        machine.watcher.feed(b"BdsDxe: starting\r\n")
        assert machine.stage == "QEMU"
        machine.watcher.feed(b"lintel: 1.0\r\n")
        assert machine.stage == "Lintel" and not machine.failure()
    finally:
        machine.kill()


def test_newer_firmware_is_taken():
    """L0's QEMU gets the firmware that came with Bochs, when there is one; other machines keep what the machine has."""
    pairs = firmware.pair(), firmware.pair(unpacked_first=True)
    assert all(pairs)
    if (cache() / "bochs/usr/share/OVMF/OVMF_CODE_4M.fd").is_file():
        assert pairs[1] is not None and str(pairs[1][0]).startswith(str(cache()))
