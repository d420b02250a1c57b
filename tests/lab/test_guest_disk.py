# SPDX-License-Identifier: BSD-2-Clause
"""The default guest's disk by itself, in QEMU without Lintel: what its packages and scripts promise to the tests that run it under Lintel."""

import pytest
from support.direct import CMDLINE, direct_boot
from support.disk import check_clean, check_consistent, extract, fresh_disk, partition, recovered_copy
from support.durable import durable_lines, head, last_intact
from support.fio import fio
from support.network import curl, make_file, receive_from_guest, send_to_guest, ssh
from support.shell import Shell

FORWARDS = {"http": 80, "ssh": 22, "data": 5000}
MEGABYTES = 4


@pytest.fixture(scope="module", name="disk")
def fixture_disk():
    """A copy of the disk."""
    return fresh_disk("direct")


@pytest.fixture(scope="module", name="machine")
def fixture_machine(disk):
    """One boot for all of the file."""
    with direct_boot("test-direct", disk, FORWARDS) as running:
        yield running


@pytest.fixture(scope="module", name="shell")
def fixture_shell(machine):
    """The guest's bash."""
    return Shell(machine).wait_ready()


def test_root(shell):
    """The root file system is the disk's ext4, writable, and the shell is Debian's bash."""
    assert shell.output("findmnt -n -o FSTYPE,LABEL / | tr -s ' '") == "ext4 debian-root\n"
    shell.output("echo here > /root/here && sync")
    assert "GNU bash" in shell.output("bash --version")
    assert shell.output("hostname") == "debian\n"


def test_programs(shell):
    """The programs that the disk is for find their libraries."""
    for command in ("fio --version", "iperf3 --version", "nginx -v", "curl --version", "ip -V", "ps --version", "ethtool --version", "lsblk --version", "nc -h", "fsck.ext4 -V"):
        shell.output(f"{command} > /dev/null 2>&1")
    assert shell.output("find /usr/bin /usr/sbin -xtype l") == "", "links that lead nowhere"


def test_modules(shell):
    """The kernel's modules can be loaded by name, and are the kernel's."""
    shell.output("modprobe tcp_diag && modprobe loop")


def test_curl(machine, shell):
    """A client on the host gets a page from nginx."""
    assert shell.output("pidof nginx")
    assert "Debian under Lintel" in curl(f"http://127.0.0.1:{machine.ports['http']}/")


def test_ssh(machine, shell):
    """A login by the key works; the guest has no password that would."""
    assert shell.output("cut -d: -f2 /etc/passwd | sort -u") == "*\n"
    assert ssh(machine.ports["ssh"], "hostname; id -un").split() == ["debian", "root"]


def test_nc(machine, shell, tmp_path):
    """Bytes arrive as they were sent, in both directions."""
    digest = make_file(tmp_path / "data", MEGABYTES << 20)
    assert send_to_guest(shell, machine.ports["data"], 5000, tmp_path / "data") == digest
    digest = shell.output(f"head -c {MEGABYTES}M /dev/urandom > /root/data; sha256sum < /root/data", 120).split()[0]
    assert receive_from_guest(shell, machine.ports["data"], 5000, "/root/data") == digest


def test_iperf3(shell):
    """Server and client work."""
    shell.output("iperf3 -s -D -1 && until ss -H -l -t -n sport = :5201 | grep -q LISTEN; do sleep 0.1; done")
    assert "iperf Done" in shell.output("iperf3 -c 127.0.0.1 -n 4M")


def test_fio(shell):
    """fio writes, reads again, and compares."""
    fio(shell, "/dev/vda2", "randwrite", depth=8, size="1m")


def test_power_cut(disk, machine, shell):
    """What the guest was told to be durable is on the disk after the emulator is killed, and the file system recovers by its journal."""
    shell.output("mkdir /root/durable")
    shell.console.sendline("durable write /root/durable")
    shell.console.expect(r"durable 4\d\r\n", timeout=120)
    machine.kill()
    told = durable_lines(machine.log_text())[-1]
    part = recovered_copy(partition(disk, "debian-root"), disk.with_suffix(".copy"))
    check_consistent(part)
    folder = extract(part, "/root/durable", disk.with_suffix(".durable"))
    assert told <= last_intact(folder) <= told + 10
    assert head(folder) >= told // 16 * 16


def test_reboot_and_poweroff(disk):
    """The recovered disk boots again; a power-off leaves it unmounted and without a fault."""
    with direct_boot("test-direct-again", disk, FORWARDS) as machine:
        shell = Shell(machine).wait_ready()
        assert shell.output("cat /root/here") == "here\n"
        assert int(shell.output("durable check /root/durable").split()[1]) >= 40
        shell.console.sendline("poweroff")
        machine.wait_poweroff()
    check_clean(partition(disk, "debian-root"))


def test_no_such_root(disk):
    """A root file system that is not there is named, with the disks that are, and the initramfs's own shell is there to look around."""
    with direct_boot("test-direct-none", disk, FORWARDS, cmdline=CMDLINE.replace("LABEL=debian-root", "PARTLABEL=nowhere")) as machine:
        Shell(machine).wait_ready()
        assert "guest: root=PARTLABEL=nowhere: there is no such disk; those that are there: vda vda1 vda2" in machine.log_text()
