# SPDX-License-Identifier: BSD-2-Clause
"""Guests in a network: a switch, the machine's own card behind it, and real clients and servers on this side."""

import hashlib
import http.server
import json
import re
import subprocess
import threading
from functools import partial

import pytest
from lablib.machine import boot
from lablib.ports import free_port
from support.disk import fresh_disk
from support.esp import CMDLINE, linux, make_esp
from support.ether import ARP, CARD, IPV4, Peer, free_ports
from support.exits import report_of, reports
from support.linux_checks import alarming
from support.network import make_file
from support.shell import PROMPT, READY, Shell

CARD_MAC = ":".join(f"{byte:02x}" for byte in CARD)
ADDRESSES = {"one": "10.0.2.15", "two": "10.0.2.16"}
TRANSFER = 900
FILE = 2 << 20  # bytes: some 1,500 frames from outside, and more than any queue or window holds
PIECE = 4  # MiB
LARGE = pytest.mark.parametrize("megabytes", [PIECE, pytest.param(25 * PIECE, marks=pytest.mark.long)])


class Guests:
    """The consoles of several VMs, of which one is shown; `on` shows another."""

    def __init__(self, machine, names):
        self.shell = Shell(machine)
        self.names = list(names)
        self.now = self.names[0]
        self.kicks_a_megabyte = 0
        self.shell.wait_ready(600)
        for name in self.names[1:]:
            self.show(name)
            self.shell.console.expect(READY, timeout=600)
            self.shell.console.expect_exact(PROMPT, timeout=60)

    def show(self, name):
        """Ctrl-a and the VM's number."""
        self.shell.console.send(f"\x01{self.names.index(name) + 1}")
        self.shell.console.expect(rf"lintel: console of vm {name}\r?\n", timeout=60)
        self.now = name

    def on(self, name):
        """The shell of a VM."""
        if name != self.now:
            self.show(name)
            self.shell.console.sendline("")
            self.shell.console.expect_exact(PROMPT, timeout=60)
        return self.shell


def network(shell, address, card="eth0"):
    """Gives the guest's card an address in the lab's network."""
    shell.output(f"ip link set lo up; ip addr add {address}/24 dev {card} && ip link set {card} up && ip route add default via 10.0.2.2")


def sent(shell, card="eth0"):
    """Frames and bytes that the guest's card has sent."""
    return [int(word) for word in shell.output(f"cd /sys/class/net/{card}/statistics && cat tx_packets tx_bytes").split()]


def power_off(guests):
    """All of them, and with them the machine; its console."""
    machine = guests.shell.machine
    for vm in guests.names:
        guests.on(vm).console.sendline("poweroff")
        guests.shell.console.expect(rf"lintel: vm {vm}: stopped: poweroff\r?\n", timeout=120)
    machine.wait_poweroff(120)
    return machine.log_text()


def net_counts(log, vm, switch):
    """Of the VM's card: frames and bytes sent, frames and bytes received."""
    counts = re.search(rf"lintel: vm {vm}: net 0: {switch}: sent (\d+) frames, (\d+) bytes; received (\d+), (\d+) bytes", log)
    assert counts, f"no counters of vm {vm}"
    return [int(count) for count in counts.groups()]


# --- two busybox guests, one switch, the uplink


@pytest.fixture(scope="module", name="ports")
def fixture_ports():
    """The host's ports that lead to port 80 of each guest, and to nc in each."""
    return {(vm, port): free_port() for vm in ADDRESSES for port in (80, 5000)}


@pytest.fixture(scope="module", name="guests")
def fixture_guests(ports):
    """Both guests, with addresses."""
    config = "[switch lan0]\nuplink = auto\n" + "".join(linux(vm, memory="192M", more="net = lan0") for vm in ADDRESSES)
    net = "user" + "".join(f",hostfwd=tcp:127.0.0.1:{ports[vm, port]}-{ADDRESSES[vm]}:{port}" for vm, port in ports)
    with boot(esp=make_esp("network", config), net=net, name="test-network") as machine:
        guests = Guests(machine, ADDRESSES)
        for vm, address in ADDRESSES.items():
            network(guests.on(vm), address)
        yield guests


@pytest.mark.parametrize("vm", ADDRESSES)
def test_ping(guests, vm):
    """Each guest reaches the gateway beyond the uplink, and the other guest."""
    other = next(address for name, address in ADDRESSES.items() if name != vm)
    for address in ("10.0.2.2", other):
        assert "3 packets transmitted, 3 packets received, 0% packet loss" in guests.on(vm).output(f"ping -c 3 {address}", 120)


@pytest.mark.parametrize("vm", ADDRESSES)
def test_curl(guests, ports, vm):
    """curl on the host gets a large file from busybox httpd in the guest, as it is there."""
    shell = guests.on(vm)
    digest = shell.output(f"mkdir -p /tmp/www && head -c {FILE} /dev/urandom > /tmp/www/big && sha256sum < /tmp/www/big && httpd -h /tmp/www -p 80", 300).split()[0]
    run = subprocess.run(
        ["curl", "-sS", "-f", "--max-time", f"{TRANSFER}", f"http://127.0.0.1:{ports[vm, 80]}/big"], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert len(run.stdout) == FILE and hashlib.sha256(run.stdout).hexdigest() == digest


def test_both_at_once(guests, ports):
    """Clients of both guests at the same time each get what is theirs."""
    digests = {vm: guests.on(vm).output("sha256sum < /tmp/www/big", 120).split()[0] for vm in ADDRESSES}
    assert len(set(digests.values())) == 2
    clients = {
        vm: subprocess.Popen(["curl", "-sS", "-f", "--max-time", f"{TRANSFER}", f"http://127.0.0.1:{ports[vm, 80]}/big"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        for vm in ADDRESSES
    }
    outputs: dict[str, bytes] = {}
    threads = [threading.Thread(target=lambda vm=vm, client=client: outputs.update({vm: client.communicate()[0]})) for vm, client in clients.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {vm: hashlib.sha256(output).hexdigest() for vm, output in outputs.items()} == digests


def test_wget(guests, tmp_path):
    """A guest gets a large file from a server on the host's loopback address, through the gateway."""
    digest = make_file(tmp_path / "big", FILE)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            for vm in ADDRESSES:
                got = guests.on(vm).output(f"wget -q -O - http://10.0.2.2:{server.server_address[1]}/big | sha256sum", TRANSFER)
                assert got.split()[0] == digest
        finally:
            server.shutdown()


@LARGE
def test_nc_between_guests(guests, megabytes):
    """Bytes that one guest sends to the other arrive as they were, in TCP segments that are larger than a frame: nobody between them cuts or sums them."""
    two = guests.on("two")
    two.output("rm -f /tmp/got; { sleep 100000 | nc -l -p 6000 | sha256sum > /tmp/got & } 2>/dev/null")
    one = guests.on("one")
    before = sent(one)
    # busybox's seq would write it line by line; random bytes are made once, and sent as often as it takes.
    one.output(f"head -c {PIECE << 20} /dev/urandom > /tmp/data", TRANSFER)
    stream = f"for n in $(seq {megabytes // PIECE}); do cat /tmp/data; done"
    expected = one.output(f"{stream} | sha256sum", TRANSFER).split()[0]
    one.output(f"{stream} | nc -w 60 {ADDRESSES['two']} 6000", TRANSFER)
    frames, size = (after - start for start, after in zip(before, sent(one)))
    assert size >= megabytes << 20
    assert size / frames > 3000, f"{frames} frames of {size / frames:.0f} bytes: not segmented by the receiver"
    assert guests.on("two").output("until [ -s /tmp/got ]; do sleep 0.2; done; cat /tmp/got", TRANSFER).split()[0] == expected


def test_no_complaint(guests):
    """The kernels have nothing to complain about, and no card of theirs has seen an error."""
    for vm in ADDRESSES:
        shell = guests.on(vm)
        assert alarming(shell.output("dmesg -r")) == []
        assert set(shell.output("cat /sys/class/net/eth0/statistics/*_errors").split()) == {"0"}


def test_counters(guests):
    """At their ends the VMs' reports tell what their cards have sent and received."""
    log = power_off(guests)
    assert {report.vm for report in reports(log)} == set(ADDRESSES)
    for vm in ADDRESSES:
        frames, sent_bytes, _, received_bytes = net_counts(log, vm, "lan0")
        assert sent_bytes > FILE and received_bytes > FILE
        kicks = report_of(log, vm).device("port virtio-net")
        assert 0 < kicks <= frames + 100, "no more kicks than frames, but for buffers and control"


# --- the uplink, with bare frames


@pytest.fixture(scope="module", name="peer")
def fixture_peer():
    """The other end of the machine's card."""
    with Peer(free_ports()) as peer:
        yield peer


@pytest.fixture(scope="module", name="guest")
def fixture_guest(peer):
    """A guest whose address is the card's: Bochs passes on no other (and frames to everybody)."""
    config = "[switch lan0]\nuplink = auto\n" + linux("one", memory="192M", more=f"net = lan0,mac={CARD_MAC}")
    with boot(esp=make_esp("uplink", config), net=f"udp:{peer.card_port}", name="test-uplink") as machine:
        shell = Shell(machine).wait_ready()
        network(shell, ADDRESSES["one"])
        yield shell


def test_guest_asks(guest, peer):
    """What the guest sends comes out of the card, and the answers reach it."""
    assert "5 packets transmitted, 5 packets received, 0% packet loss" in guest.output("ping -c 5 -s 1472 10.0.2.2", 120)
    assert peer.answered >= 6 and peer.malformed == 0


def test_peer_asks(guest, peer):
    """The guest is found by ARP and answers echo requests that come from outside, of all lengths."""
    guest.output("true")
    peer.ask_arp(ADDRESSES["one"])
    answer = peer.expect(lambda data: data[12:14] == ARP.to_bytes(2, "big") and data[20:22] == b"\0\2")
    assert answer[22:28] == CARD
    for size in (0, 1, 17, 18, 500, 1472):
        data = bytes(number * 7 % 256 for number in range(size))
        peer.ping(CARD, ADDRESSES["one"], size, data)
        reply = peer.expect(lambda data, size=size: data[12:14] == IPV4.to_bytes(2, "big") and data[34] == 0 and data[40:42] == size.to_bytes(2, "big"))
        assert reply[42 : 42 + size] == data


def test_noise(guest, peer):
    """A burst of frames to everybody before each answer, of types that nobody knows: the guest drops them, and loses no answer."""
    dropped = "cat /sys/class/net/eth0/statistics/rx_packets"
    before = int(guest.output(dropped))
    peer.noise = 50
    assert "20 packets transmitted, 20 packets received, 0% packet loss" in guest.output("ping -c 20 -i 0.2 10.0.2.2", 300)
    peer.noise = 0
    assert int(guest.output(dropped)) - before >= 20 * 51


def test_flood(guest, peer):
    """Far more than the machine can take: frames are lost, on the wire; the guest is still there, and so is the network."""
    sender = threading.Thread(target=lambda: peer.burst((peer.to_card(0x88B6, bytes(1400)) for _ in range(20000)), per_second=4000))
    sender.start()
    assert guest.output("echo still''here", 300) == "stillhere\n"
    sender.join()
    guest.output("sleep 1")
    assert ", 0% packet loss" in guest.output("ping -c 3 10.0.2.2", 120)
    assert alarming(guest.output("dmesg -r")) == []


def test_address_is_fixed(guest, peer):
    """The guest cannot take another address than the configuration's, and goes on with that. (Frames with a false one are guests/micro/net.c's.)"""
    assert guest.run("ip link set eth0 down; ip link set eth0 address 52:54:00:99:99:99").status != 0
    guest.output("ip link set eth0 up; ip route add default via 10.0.2.2 2>/dev/null; true")
    assert CARD_MAC in guest.output("cat /sys/class/net/eth0/address")
    assert ", 0% packet loss" in guest.output("ping -c 3 10.0.2.2", 120)


# --- iperf3, which needs more than busybox


# Kicks for each MB from one VM to another, at most, by what the machine is like. A segment of TCP has 64 KiB at most, and is a kick, unless a CPU
# polls; and so is each answer.
KICKS_A_MEGABYTE = {"event-index": 80, "flags": 80, "io-cpu": 4, "io-cpu-flags": 4}


@pytest.fixture(scope="module", name="debians", params=["event-index"] + [pytest.param(how, marks=pytest.mark.long) for how in KICKS_A_MEGABYTE if how != "event-index"])
def fixture_debians(request):
    """Two Debian guests that share a root file system which neither can write to; a switch without an uplink. With and without the event index, and a
    CPU that polls."""
    polled = request.param.startswith("io-cpu")
    config = ("[lintel]\nio-cpu = 1\n" if polled else "") + "[switch lan1]\n"
    hide = "hide = virtio-event-idx\n" if "flags" in request.param else ""
    for number, vm in enumerate(("one", "two"), 1):
        cmdline = f"{CMDLINE} root=LABEL=debian-root ro lintel.ip=192.168.7.{number}/24 lintel.host={vm}"
        config += linux(vm, cmdline=cmdline, more="disk = part:debian-root,ro\nnet = lan1\n" + hide)
    name = f"iperf3-{request.param}"
    with boot(esp=make_esp(name, config), disks=[str(fresh_disk(name))], name=f"test-{name}", cpus=1 + polled) as machine:
        guests = Guests(machine, ("one", "two"))
        # Bit 29 of what Linux has agreed to, whose first is bit 0.
        assert guests.on("two").output("cut -c30 /sys/class/net/eth0/device/features") == ("0\n" if hide else "1\n")
        guests.kicks_a_megabyte = KICKS_A_MEGABYTE[request.param]
        yield guests


@pytest.mark.long
@pytest.mark.parametrize("more", ["", "--reverse"], ids=["there", "back"])
def test_iperf3(debians, more):
    """iperf3 between two VMs, in both directions: the bytes come through, at a rate that is told. (That each arrives as it was is nc's to show: iperf3's
    receiver counts until the sender is through, and what is in the sockets' buffers then is not in its number.)"""
    debians.on("two").output("pgrep -x iperf3 >/dev/null || iperf3 --server --daemon")
    text = debians.on("one").output(f"iperf3 --client 192.168.7.2 --bytes 20M --json {more}", TRANSFER)
    end = json.loads(text[text.index("{") :])["end"]
    assert end["sum_sent"]["bytes"] >= 20 << 20
    assert end["sum_received"]["bytes"] >= 16 << 20
    print(f"iperf3 {more}: {end['sum_received']['bits_per_second'] / 1e6:.0f} Mbit/s of the guests' time, {end['sum_sent'].get('retransmits', 0)} retransmits")


@pytest.mark.long
def test_kicks(debians):
    """Bytes between two VMs cost no more kicks than that, of sender and receiver together (docs/performance.md: P17)."""
    log = power_off(debians)
    counts = [net_counts(log, vm, "lan1") for vm in ("one", "two")]
    kicks = sum(report_of(log, vm).device("port virtio-net") for vm in ("one", "two"))
    megabytes = sum(sent_bytes for _, sent_bytes, _, _ in counts) / (1 << 20)
    print(f"P17: {kicks / megabytes:.2f} kicks for each of {megabytes:.0f} MB from VM to VM, {sum(frames for frames, _, _, _ in counts)} frames")
    assert megabytes >= 20
    assert kicks / megabytes <= debians.kicks_a_megabyte
