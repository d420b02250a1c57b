# SPDX-License-Identifier: BSD-2-Clause
"""The lab's options: what is taken, what is refused and in which words, and with which status."""

import subprocess
from pathlib import Path

import pytest
from lablib import options
from lablib.errors import LabError
from lablib.options import Disk, Net, Options
from lablib.paths import REPOSITORY

INDEPENDENT = True

LAB = REPOSITORY / "tools/lab"


@pytest.fixture
def esp(tmp_path):
    """A folder that can be booted, as far as the options can tell."""
    (tmp_path / "EFI/BOOT").mkdir(parents=True)
    (tmp_path / "EFI/BOOT/BOOTX64.EFI").write_bytes(b"MZ")
    return tmp_path


def lab(*words) -> subprocess.CompletedProcess:
    """The command line."""
    return subprocess.run([LAB, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "words, complaint",
    [
        ([], "name one of --esp DIR and --image FILE"),
        (["--esp", "{esp}", "--image", "{esp}/x"], "name one of --esp DIR and --image FILE"),
        (["--esp", "/nowhere"], "--esp /nowhere: there is no EFI/BOOT/BOOTX64.EFI in it"),
        (["--image", "/nowhere"], "--image /nowhere: no such file"),
        (["--esp", "{esp}", "--disk", "/nowhere"], "--disk /nowhere: no such file"),
        (["--esp", "{esp}", "--disk", "/dev/null,bus=scsi"], "bus must be one of virtio, nvme, ahci, ide"),
        (["--esp", "{esp}", "--net", "tap"], "--net tap: must be user[,...] or udp:PORT[,...]"),
        (["--esp", "{esp}", "--net", "udp:65535"], "the card's, 1 to 65534"),
        (["--esp", "{esp}", "--net", "udp:x"], "the card's, 1 to 65534"),
        (["--esp", "{esp}", "--net", "udp:9,hostfwd=tcp::1-:2"], "'hostfwd=tcp::1-:2' is not model=..."),
        (["--esp", "{esp}", "--net", "user,speed=1"], "'speed=1' is neither hostfwd=... nor model=..."),
        (["--esp", "{esp}", "--cpus", "0"], "--cpus: at least 1"),
        (["--esp", "{esp}", "--memory", "1"], "--memory: at least 64 (MiB)"),
        (["--esp", "{esp}", "--mhz", "0"], "--mhz: 1 to 4000"),
        (["--esp", "{esp}", "--qemu", "-device x"], "--machine auto may be without QEMU: name kvm, tcg or nested"),
        (["--esp", "{esp}", "--machine", "tcg", "--qemu", "'"], "--qemu ': No closing quotation"),
        (["--esp", "{esp}", "--machine", "tcg", "--kvm-intel", "ept=1"], "--kvm-intel: only --machine nested loads that module"),
        (["--esp", "{esp}", "--machine", "nested", "--kvm-intel", "ept"], "'ept' is not NAME=VALUE"),
        (["--esp", "{esp}", "--machine", "nested", "--kvm-intel", "ept=1;x"], "'ept=1;x' is not NAME=VALUE"),
        (["--esp", "{esp}", "--machine", "nested", *["--disk", "{esp}/EFI/BOOT/BOOTX64.EFI"] * 3], "nested has room for two --disk"),
        (["--esp", "{esp}", "--count-exits"], "--count-exits: only the machine nested has a KVM that is the lab's own"),
        (["--esp", "{esp}", "--machine", "tcg", "--firmware", "one"], "--firmware one: expected CODE,VARS"),
        (["--esp", "{esp}", "--machine", "tcg", "--firmware", "none,{esp}/EFI/BOOT/BOOTX64.EFI"], "--firmware none: no such file"),
        (["--esp", "{esp}", "--firmware", "{esp}/EFI/BOOT/BOOTX64.EFI,{esp}/EFI/BOOT/BOOTX64.EFI"], "--firmware: --machine auto may be without QEMU"),
        (["--esp", "{esp}", "--until", "("], "--until (: "),
        (["--esp", "{esp}", "--serial", "tape"], "--serial tape: must be stdio, file:PATH or unix:PATH"),
        (["--esp", "{esp}", "--machine", "abacus"], "invalid choice: 'abacus'"),
        (["--esp", "{esp}", "--cpus", "many"], "invalid int value: 'many'"),
        (["--esp", "{esp}", "--machne", "tcg"], "unrecognized arguments: --machne tcg"),
    ],
)
def test_refused(esp, words, complaint):
    """What cannot be started as asked ends with status 2 and names the option; nothing is started."""
    run = lab("boot", "--name", "test-options-refused", *[word.format(esp=esp) for word in words])
    assert run.returncode == 2, run.stderr
    assert complaint in run.stderr
    assert "Traceback" not in run.stderr


def test_help():
    """Every option of the contract is in the help."""
    text = lab("boot", "--help").stdout
    for option in ("--machine", "--cpu", "--cpus", "--memory", "--esp", "--image", "--disk", "--net", "--qemu", "--kvm-intel", "--count-exits", "--firmware", "--serial", "--until", "--timeout"):
        assert option + " " in text


def test_net():
    """--net: forwards in their order, a model, the model by default, a port for bare frames."""
    net = Net.parse("user,hostfwd=tcp:127.0.0.1:1-:2,hostfwd=udp::3-:4,model=virtio-net-pci")
    assert net == Net(["tcp:127.0.0.1:1-:2", "udp::3-:4"], "virtio-net-pci")
    assert Net.parse("user") == Net([], "e1000")
    assert Net.parse("udp:4000,model=e1000e") == Net([], "e1000e", 4000)


def test_disk():
    """--disk: the bus after the last comma; a name with a comma is a name."""
    assert Disk.parse("a.img") == Disk(Path("a.img"), "")
    assert Disk.parse("a,b.img,bus=nvme") == Disk(Path("a,b.img"), "nvme")
    assert Disk.parse("a,b.img") == Disk(Path("a,b.img"), "")


def test_fields_and_words_agree(esp):
    """The command line and the Python interface have the same defaults."""
    import argparse

    parser = argparse.ArgumentParser()
    options.add_arguments(parser)
    assert options.from_arguments(parser.parse_args(["--esp", str(esp)])) == Options(esp=esp)


def test_a_name_runs_once(esp):
    """Two runs of one name would share a folder of logs: the second is refused."""
    from lablib.machine import Machine

    first = Machine(Options(esp=esp, machine="tcg", name="test-options-once"))
    try:
        with pytest.raises(LabError, match="still going on"):
            Machine(Options(esp=esp, machine="tcg", name="test-options-once"))
    finally:
        first.kill()
    Machine(Options(esp=esp, machine="tcg", name="test-options-once")).kill()
