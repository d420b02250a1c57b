# SPDX-License-Identifier: BSD-2-Clause
"""The peer of a network card that machine tests use (support/ether.py), with a UDP socket in the card's place."""

import socket
import struct

import pytest
from support.ether import ARP, BROADCAST, CARD, EXPERIMENT, ICMP, IPV4, Peer, arp, checksum, frame, free_ports, icmp_echo, ipv4

INDEPENDENT = True
MY = "10.0.2.15"


@pytest.fixture(name="wire")
def fixture_wire():
    """(the card's socket, the peer)"""
    with socket.socket(type=socket.SOCK_DGRAM) as card:
        port = free_ports()
        card.bind(("127.0.0.1", port))
        card.connect(("127.0.0.1", port + 1))
        card.settimeout(10)
        with Peer(port) as peer:
            yield card, peer


def test_arp(wire):
    """Who has the peer's address is told, once; other questions are not answered."""
    card, peer = wire
    card.send(frame(BROADCAST, CARD, ARP, arp(1, (CARD, MY), (bytes(6), "10.0.2.3"))))
    card.send(frame(BROADCAST, CARD, ARP, arp(1, (CARD, MY), (bytes(6), "10.0.2.2"))))
    assert card.recv(2000) == frame(CARD, peer.mac, ARP, arp(2, (peer.mac, "10.0.2.2"), (CARD, MY)))
    assert (peer.received, peer.answered, len(peer.frames)) == (2, 1, 1)


@pytest.mark.parametrize("size", [0, 1, 56, 1472])
def test_ping(wire, size):
    """An echo request comes back with its data; one with a wrong checksum does not."""
    card, peer = wire
    data = bytes(number * 7 % 256 for number in range(size))
    good = frame(peer.mac, CARD, IPV4, ipv4(ICMP, MY, "10.0.2.2", icmp_echo(8, 1, 2, data)))
    card.send(good[:36] + bytes([good[36] ^ 1]) + good[37:])
    card.send(good)
    answer = card.recv(2000)
    assert answer == frame(CARD, peer.mac, IPV4, ipv4(ICMP, "10.0.2.2", MY, icmp_echo(0, 1, 2, data)))
    assert checksum(answer[14:34]) == 0 == checksum(answer[34 : 14 + 20 + 8 + size])
    assert (peer.answered, len(peer.frames)) == (1, 1)


def test_echo_and_expect(wire):
    """Experimental frames come back swapped, others are kept until they are asked for, malformed ones are counted."""
    card, peer = wire
    card.send(b"short")
    card.send(frame(peer.mac, CARD, EXPERIMENT, b"hello"))
    card.send(frame(peer.mac, CARD, 0x1234, b"keep me"))
    assert card.recv(2000) == frame(CARD, peer.mac, EXPERIMENT, b"hello".ljust(46, b"\0"))
    assert peer.expect(lambda data: b"keep me" in data, 10)[12:14] == b"\x12\x34"
    assert not peer.frames
    assert peer.malformed == 1
    with pytest.raises(TimeoutError):
        peer.expect(lambda data: True, 0.1)


def test_burst(wire):
    """All frames of a burst are sent, in order."""
    card, peer = wire
    assert peer.burst(peer.to_card(EXPERIMENT, struct.pack(">I", number)) for number in range(100)) == 100
    assert [struct.unpack(">I", card.recv(2000)[14:18])[0] for _ in range(100)] == list(range(100))


def test_noise(wire):
    """With noise, so many frames to everybody come before each answer."""
    card, peer = wire
    peer.noise = 30
    card.send(frame(peer.mac, CARD, EXPERIMENT, b"hello"))
    got = [card.recv(2000) for _ in range(31)]
    assert {data[:6] for data in got[:30]} == {BROADCAST}
    assert len({len(data) for data in got[:30]}) > 5 and all(60 <= len(data) <= 1518 for data in got)
    assert got[30] == frame(CARD, peer.mac, EXPERIMENT, b"hello".ljust(46, b"\0"))
