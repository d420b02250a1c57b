# SPDX-License-Identifier: BSD-2-Clause
"""Lintel's drivers of disks and network cards, in a machine without VT-x that has all of them: `selftest = drivers`."""

import os
import re
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from lablib.machine import boot
from support import tiny
from support.esp import FOLDERS, make_esp
from support.qmp import WORDS, Monitor

CONFIG = "[lintel]\nselftest = drivers\n[vm idle]\nmemory = 16M\nkernel = guest\n"
MIB = 1 << 20
DISK_BYTES = 24 * MIB
SCRATCH_FIRST = 1 * MIB
SCRATCH_BYTES = 18 * MIB
SPAN = 16 * MIB  # what the self-test looks at


def make_disk(name: str, sector: int = 512) -> Path:
    """A disk of random bytes, with a scratch partition unless `sector` is 0."""
    path = FOLDERS / f"{name}.img"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(DISK_BYTES))
    if sector:
        table = f"g\nn\n1\n{SCRATCH_FIRST // sector}\n+{SCRATCH_BYTES // sector - 1}\nx\nn\nlintel-scratch\nr\nw\n"
        subprocess.run(["/sbin/fdisk", "-b", str(sector), "-w", "always", str(path)], input=table, text=True, check=True, capture_output=True)
    return path


@dataclass
class Device:
    """A disk of the machine, and what QEMU is to be told about it."""

    name: str
    device: str
    image: Path
    before: bytes = b""
    options: str = ""

    def words(self) -> list[str]:
        self.before = self.image.read_bytes()
        file = self.options or f"file={self.image}"
        return ["-drive", f"if=none,id={self.name},format=raw,discard=unmap,{file}", "-device", f"{self.device},drive={self.name}"]


def nic(number: int, model: str) -> list[str]:
    return ["-netdev", f"user,id=user{number}", "-device", f"{model},id=nic{number},netdev=user{number},mac=52:54:00:12:34:{number:02x},romfile="]


def run(name: str, disks: list[Device], nics: list[str], timeout: float) -> str:
    """One boot to the power-off; the console."""
    words = [word for disk in disks for word in disk.words()] + nics
    with boot(esp=make_esp(name, CONFIG, {"guest": tiny.hang()}), machine="tcg", name=f"test-{name}", qemu=tuple(words)) as machine:
        machine.wait_poweroff(timeout)
        return machine.log_text()


def verdicts(log: str) -> dict[str, str]:
    """What the self-test says, by device."""
    return dict(re.findall(r"^lintel: (?:error: )?selftest: (?:disk|nic) (.*?): (.*)$", log, re.MULTILINE))


@pytest.fixture(scope="module", name="good")
def fixture_good():
    """All devices as they should be, in one boot."""
    disks = [
        Device("nvme0", "nvme,serial=N512", make_disk("selftest-nvme")),
        Device("nvme1", "nvme,serial=N4K,logical_block_size=4096,physical_block_size=4096,mdts=3", make_disk("selftest-nvme4k", 4096)),
        Device("ahci0.1", "ide-hd,bus=ide.1,serial=AHCI", make_disk("selftest-ahci")),
        Device("ahci0.2", "ide-hd,bus=ide.2,serial=KEEP", make_disk("selftest-keep", 0)),
        Device("virtio1", "virtio-blk-pci,disable-legacy=on,serial=VIRTIO", make_disk("selftest-virtio")),
        Device("virtio2", "virtio-blk-pci,serial=PIN,vectors=0", make_disk("selftest-pin")),
    ]
    log = run("selftest-good", disks, nic(1, "virtio-net-pci") + nic(2, "virtio-net-pci,vectors=0"), 300)
    return {disk.name: disk for disk in disks}, verdicts(log), log


@pytest.mark.parametrize("name", ["nvme0", "nvme1", "ahci0.1", "virtio1", "virtio2"])
def test_disk_is_written(good, name):
    """Writes at depth 32 are on the disk as they were asked for, discards and zeroes do what they say, and nothing outside of the scratch partition changes."""
    disks, said, _ = good
    assert re.fullmatch(r"\d{4} requests, ok \(written, \d+ by interrupt\)", said[name]), said[name]
    before, after = disks[name].before, disks[name].image.read_bytes()
    assert after[:SCRATCH_FIRST] == before[:SCRATCH_FIRST]
    assert after[SCRATCH_FIRST + SPAN :] == before[SCRATCH_FIRST + SPAN :]
    words = struct.unpack(f"<{SPAN // 8}Q", after[SCRATCH_FIRST : SCRATCH_FIRST + SPAN])
    wrong = [n for n, word in enumerate(words) if word != ((n + 1) * 0x9E3779B97F4A7C15 & (1 << 64) - 1) ^ n >> 7]
    assert not wrong, f"{len(wrong)} words, the first {wrong[0]}"


@pytest.mark.parametrize("name", ["virtio0", "ahci0.2"])
def test_disk_is_kept(good, name):
    """A disk without a scratch partition (the one that was booted from, and one of random bytes) is read, and stays as it was."""
    disks, said, _ = good
    assert re.fullmatch(r"\d+ requests, ok \(read only, \d+ by interrupt\)", said[name]), said[name]
    if name in disks:
        assert disks[name].image.read_bytes() == disks[name].before


@pytest.mark.parametrize("name", ["nvme0", "nvme1", "ahci0.1", "ahci0.2", "virtio0", "virtio1", "virtio2"])
def test_disk_interrupts(good, name):
    """Requests end by interrupts (MSI-X, MSI, and the pin where there is neither), not by being polled."""
    requests, interrupts = re.findall(r"\d+", good[1][name])[:2]
    assert int(interrupts) > int(requests) * 9 // 10


@pytest.mark.parametrize("vector", ["MSI-X", "pin"])
def test_nic(good, vector):
    """A network card finds the gateway, and gets back what it sends, in frames of all lengths, by interrupts."""
    _, said, log = good
    name = re.findall(r"^lintel: (virtio-net \S+): 52:54:00:12:34:0" + {"MSI-X": "1", "pin": "2"}[vector], log, re.MULTILINE)[0]
    match = re.fullmatch(r"echo ok \((\d+) frames received, (\d+) by interrupt\)", said[name])
    assert match, said[name]
    assert int(match[1]) >= 65 and int(match[2]) > int(match[1]) // 2


def test_geometry(good):
    """What the disks say of themselves has arrived."""
    log = good[2]
    assert "nvme1: QEMU_NVMe_Ctrl, 24 MiB, blocks of 4096 bytes, write cache" in log
    assert "ahci0.1: QEMU_HARDDISK, 24 MiB, blocks of 512 bytes, write cache, queue of 32" in log
    assert "virtio1: VIRTIO, 24 MiB" in log


BAD_SECTOR = 5000

# What QEMU does at a block driver's event "a read begins": it fails there, every time.
BLKDEBUG = f"""[inject-error]
event = "read_aio"
iotype = "read"
errno = "5"
sector = "{BAD_SECTOR}"
once = "off"
"""


@pytest.fixture(scope="module", name="bad")
def fixture_bad():
    """Disks with a sector that cannot be read, and one that answers twice a second at most, which is too slow for 32 requests in 10 seconds."""
    rules = FOLDERS / "selftest-blkdebug.conf"
    FOLDERS.mkdir(parents=True, exist_ok=True)
    rules.write_text(BLKDEBUG)
    devices = {"nvme0": "nvme,serial=BAD", "ahci0.1": "ide-hd,bus=ide.1", "virtio1": "virtio-blk-pci"}
    disks = []
    for name, device in devices.items():
        image = make_disk(f"selftest-bad-{name}")
        disks.append(Device(name, device, image, options=f"file.driver=blkdebug,file.config={rules},file.image.driver=file,file.image.filename={image}"))
    slow = make_disk("selftest-slow")
    disks.append(Device("nvme1", "nvme,serial=SLOW", slow, options=f"file={slow},throttling.iops-total=2"))
    log = run("selftest-bad", disks, nic(1, "virtio-net-pci"), 400)
    return verdicts(log), log


@pytest.mark.parametrize("name", ["nvme0", "ahci0.1", "virtio1"])
def test_read_error(bad, name):
    """A sector that cannot be read is an I/O error of the request that it belongs to: at most 64 KiB before it, and no time-out, no hang."""
    match = re.fullmatch(r"\d+ requests, FAILED: I/O error at sector (\d+)", bad[0][name])
    assert match, bad[0][name]
    at = int(match[1]) + SCRATCH_FIRST // 512
    # QEMU's virtio-blk makes one request of neighbours that are under way at once, and an error is all of theirs.
    reach = 32 * 128 if name == "virtio1" else 128
    assert BAD_SECTOR - reach < at <= BAD_SECTOR
    assert f"{name}: a command has taken too long" not in bad[1]


def test_slow_disk(bad):
    """Requests that take too long become I/O errors after a reset of the controller, and the machine goes on."""
    said, log = bad
    assert "nvme1: a command has taken too long: reset" in log
    assert "FAILED: I/O error" in said["nvme1"]
    assert "echo ok" in said[re.findall(r"^lintel: (virtio-net \S+): 52", log, re.MULTILINE)[0]]
    assert log.rstrip().endswith("lintel: powering off")


# What the gateway sends is held back, and comes ten times a second: 64 echoes one after the other take seconds.
SLOW = "filter-buffer,id=slow{0},netdev=user{0},queue=rx,interval=100000"
MODELS = ["e1000", "e1000e", "virtio-net-pci"]


@pytest.fixture(scope="module", name="pulled")
def fixture_pulled():
    """A card of each kind, whose link is pulled in the midst of its echoes, and put back when it waits for it."""
    words = list(WORDS)
    for number, model in enumerate(MODELS):
        words += nic(number, model) + ["-object", SLOW.format(number)]
    with boot(esp=make_esp("selftest-pulled", CONFIG, {"guest": tiny.hang()}), machine="tcg", name="test-selftest-pulled", qemu=tuple(words)) as machine:
        for number in range(len(MODELS)):
            machine.console.expect(r"lintel: selftest: nic (\S+ \S+): the gateway has answered\r?\n", timeout=300)
            name = re.escape(machine.console.match[1])
            monitor = Monitor(machine.folder)
            monitor.set_link(f"nic{number}", False)
            machine.console.expect(rf"lintel: selftest: nic {name}: waits for its link\r?\n", timeout=60)
            monitor.set_link(f"nic{number}", True)
            monitor.close()
            machine.console.expect(rf"lintel: (?:error: )?selftest: nic {name}: (?:echo|FAILED).*\n", timeout=120)
        machine.wait_poweroff(120)
        return machine.log_text()


@pytest.mark.parametrize("number", range(len(MODELS)), ids=MODELS)
def test_link_down_and_up(pulled, number):
    """A link that goes down in the midst of echoes, and up again: what is sent meanwhile is refused, what was on its way is sent again, and all of them are answered once it is up."""
    name = re.search(rf"lintel: (\S+ \S+): .*52:54:00:12:34:0{number}, ", pulled)[1]
    lost = re.search(rf"selftest: nic {name}: link lost (\d+) times, (\d+) frames refused, (\d+) sent again\n", pulled)
    assert lost, "nobody has said that the link was down"
    assert int(lost[1]) == 1 and int(lost[2]) >= 1 and int(lost[3]) >= 1
    assert f"selftest: nic {name}: echo ok" in pulled
    assert re.findall(rf"lintel: {name}: link (up|down)\n", pulled) == ["down", "up"]
