# SPDX-License-Identifier: BSD-2-Clause
"""Which machine the lab takes, and the command lines that it makes for each."""

import re
import subprocess

import pytest
from lablib import bochs, choice, kvm, nested, qemu
from lablib.errors import LabError
from lablib.options import Disk, Net, Options
from lablib.paths import REPOSITORY

INDEPENDENT = True


@pytest.fixture
def files(tmp_path):
    """Disk images and flash for QEMU's parser, which opens them."""
    names = {}
    for name, size in (("boot", 1 << 20), ("data", 1 << 20), ("more", 1 << 20), ("code", 1 << 16), ("vars", 1 << 16)):
        names[name] = tmp_path / f"{name}.img"
        names[name].write_bytes(bytes(size))
    return names


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"cpus": 4, "memory": 4096},
        {"cpu": "Skylake-Server-IBRS", "exclude_features": ["x2apic", "pcid", "1g_pages", "mwait", "tsc_adjust", "longmode"]},
        {"net": Net(["tcp:127.0.0.1:0-:80"], "e1000e")},
        {"net": Net([], "virtio-net-pci")},
        {"net": Net([], "e1000e", 4000)},
        {"disks": ["data,nvme", "more,ahci"]},
        {"disks": ["data,virtio", "more,ide"]},
    ],
    ids=["plain", "size", "features", "net", "virtio-net", "udp", "nvme-ahci", "virtio-ide"],
)
def test_kvm_command(files, fields):
    """QEMU's own parser accepts the command made for KVM, and builds the machine of it."""
    fields["disks"] = [Disk(files[name], bus) for name, bus in (text.split(",") for text in fields.get("disks", []))]
    words = qemu.argv(Options(machine="kvm", **fields), files["boot"], files["code"], files["vars"], qemu.to_socket("127.0.0.1:9"))
    assert "q35,accel=kvm" in words and "host,+invtsc" in words[words.index("-cpu") + 1] or fields.get("cpu")
    assert qemu.check(words) == ""


def test_check_finds_faults(files):
    """The parser that the last test relies on does refuse what is wrong."""
    words = qemu.argv(Options(machine="kvm"), files["boot"], files["code"], files["vars"], qemu.to_socket("127.0.0.1:9"))
    assert "flux" in qemu.check(words + ["-device", "flux-capacitor"])
    assert qemu.check([word.replace("virtio-blk-pci", "virtio-blk-pcj") for word in words])


def reasons(monkeypatch, kvm_reason: str, bochs_reason: str) -> None:
    """Machines as they might be."""
    monkeypatch.setattr(kvm, "why_not", lambda: kvm_reason)
    monkeypatch.setattr(bochs, "why_not", lambda: bochs_reason)
    monkeypatch.setattr(choice, "_tcg_why_not", lambda: "")


def test_auto_takes_kvm(monkeypatch):
    """KVM that offers VMX is taken before Bochs, and the reason says so."""
    reasons(monkeypatch, "", "")
    assert choice.choose("auto") == ("kvm", "KVM offers VT-x to guests here")


def test_auto_takes_bochs(monkeypatch):
    """Without it Bochs is, and the reason is why KVM was not."""
    reasons(monkeypatch, "there is no /dev/kvm", "")
    assert choice.choose("auto") == ("bochs", "there is no /dev/kvm")


def test_nothing_at_hand(monkeypatch):
    """With neither there is an error with both reasons and the choices; a machine without VT-x is never taken unasked."""
    reasons(monkeypatch, "no KVM here", "no Bochs here")
    with pytest.raises(LabError) as error:
        choice.choose("auto")
    assert all(words in str(error.value) for words in ("no KVM here", "no Bochs here", "Choices"))
    assert choice.choose("tcg") == ("tcg", "asked for")


def test_nested_is_asked_for(monkeypatch):
    """The machine `nested` is never taken unasked; when it cannot be had, that is said, and the other machines are as they were."""
    reasons(monkeypatch, "no KVM here", "")
    monkeypatch.setattr(nested, "why_not", lambda: "")
    assert choice.choose("auto")[0] == "bochs"
    assert choice.choose("nested") == ("nested", "asked for")
    monkeypatch.setattr(nested, "why_not", lambda: "no QEMU here")
    with pytest.raises(LabError, match="--machine nested cannot be had here: no QEMU here"):
        choice.choose("nested")
    assert choice.choose("bochs") == ("bochs", "asked for")


def test_survey():
    """`tools/lab machines` lists all of them, each available or with a reason."""
    run = subprocess.run([REPOSITORY / "tools/lab", "machines"], capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["kvm", "bochs", "tcg", "nested"]
    assert all(re.match(r"\w+ +(?:available|not available): \S", line) for line in lines)


def test_bochs_configuration(tmp_path):
    """The bochsrc: what makes runs repeat, the processor asked for, disks in their places, and a serial line to the lab."""
    machine = bochs.Bochs([], {}, tmp_path, tmp_path / "vga", tmp_path / "ovmf", "3.1")
    options = Options(cpus=2, memory=512, cpu="corei7_haswell_4770", exclude_features=["x2apic", "pcid"], disks=[Disk(tmp_path / "a"), Disk(tmp_path / "b")])
    text = bochs.configuration(machine, options, tmp_path / "boot", "127.0.0.1:5")
    assert "model=corei7_haswell_4770, count=2" in text and 'exclude_features="x2apic,pcid"' in text
    assert "clock: sync=none, time0=1000000000" in text and "cpuid_freq=ips" in text
    assert f'ata0-slave: type=disk, path="{tmp_path}/a"' in text and f'ata1-master: type=disk, path="{tmp_path}/b"' in text
    assert "com1: enabled=1, mode=socket-client, dev=127.0.0.1:5" in text
    assert "cpu1=ignore" in text and "cpu2=ignore" not in text


def test_bochs_net(tmp_path):
    """The card, in a user-mode network or with a peer at the next UDP port; without --net there is none."""
    machine = bochs.Bochs([], {}, tmp_path, tmp_path / "vga", tmp_path / "ovmf", "3.1")
    cards = [bochs.configuration(machine, Options(net=net), tmp_path / "boot", "x:1").splitlines() for net in (None, Net(["tcp::1-:2"]), Net(udp=4000))]
    assert [line for line in cards[0] if "e1000" in line] == []
    assert "e1000: enabled=1, mac=52:54:00:12:34:56, ethmod=slirp, script=slirp.conf" in cards[1]
    assert "e1000: enabled=1, mac=52:54:00:12:34:56, ethmod=socket, ethdev=4000" in cards[2]
    assert bochs.slirp(Net(["tcp::1-:2", "udp::3-:4"])) == "# slirp config\nhostfwd = tcp::1-:2\nhostfwd = udp::3-:4\n"


def test_bochs_limits(tmp_path):
    """What Bochs has not is refused by name, not left out."""
    machine = bochs.Bochs([], {}, tmp_path, tmp_path / "vga", tmp_path / "ovmf", "3.1")
    with pytest.raises(LabError, match="three --disk"):
        bochs.configuration(machine, Options(disks=[Disk(tmp_path / str(n)) for n in range(4)]), tmp_path / "boot", "x:1")
    with pytest.raises(LabError, match="Bochs has no virtio-net-pci"):
        bochs.configuration(machine, Options(net=Net([], "virtio-net-pci")), tmp_path / "boot", "x:1")
    with pytest.raises(LabError, match="room for 5 hostfwd"):
        bochs.configuration(machine, Options(net=Net(["tcp::1-:2"] * 6)), tmp_path / "boot", "x:1")
