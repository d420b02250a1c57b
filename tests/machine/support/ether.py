# SPDX-License-Identifier: BSD-2-Clause
"""The other end of a network card that the lab has started with `--net udp:PORT`: bare Ethernet frames in UDP datagrams on 127.0.0.1.

    with Peer(free_ports()) as peer:
        with boot(esp=..., net=f"udp:{peer.card_port}") as machine:
            ...

A Peer answers ARP for its address and ICMP echo requests to it, and returns frames of the types that IEEE 802 sets aside for experiments
(0x88b5, 0x88b6), addresses swapped. All else that comes is kept for the test, up to a limit. With `noise` each answer comes behind so many frames of all lengths
to everybody: a flood at the pace of who asks, so that none of it need be lost. As a program it does that until it is killed:

    ether.py PORT

Bochs passes on only frames to the card's own address and to all, one for each millisecond of the machine's time; what comes faster waits in
the socket, and is lost once that is full. QEMU passes on everything at once.
"""

import random
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

BROADCAST = b"\xff" * 6
CARD = bytes.fromhex("525400123456")  # as tools/lablib gives it to the card
IPV4, ARP, EXPERIMENT, EXPERIMENT_2 = 0x0800, 0x0806, 0x88B5, 0x88B6
ICMP_ECHO_REPLY, ICMP_ECHO = 0, 8
ICMP = 1
HEADER, MINIMUM, LONGEST = 14, 60, 1518
KEPT = 65536


def checksum(data: bytes) -> int:
    """The Internet's: the complement of the one's complement sum."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(to: bytes, source: bytes, ethertype: int, payload: bytes) -> bytes:
    """An Ethernet frame, padded to its least length, without its check sequence."""
    return (to + source + struct.pack(">H", ethertype) + payload).ljust(MINIMUM, b"\0")


def arp(operation: int, sender: tuple[bytes, str], target: tuple[bytes, str]) -> bytes:
    """An ARP packet: operation 1 asks, 2 answers. Each side is (MAC, IPv4)."""
    sides = b"".join(mac + socket.inet_aton(address) for mac, address in (sender, target))
    return struct.pack(">HHBBH", 1, IPV4, 6, 4, operation) + sides


def ipv4(protocol: int, source: str, to: str, payload: bytes) -> bytes:
    """An IPv4 packet, of one piece."""
    addresses = socket.inet_aton(source) + socket.inet_aton(to)
    start = struct.pack(">BBHHHBB", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol)
    return start + struct.pack(">H", checksum(start + b"\0\0" + addresses)) + addresses + payload


def icmp_echo(kind: int, identifier: int, sequence: int, data: bytes) -> bytes:
    """An ICMP echo request (8) or reply (0)."""
    rest = struct.pack(">HH", identifier, sequence) + data
    return struct.pack(">BBH", kind, 0, checksum(struct.pack(">BBH", kind, 0, 0) + rest)) + rest


def free_ports() -> int:
    """A UDP port of 127.0.0.1 that is free and whose successor is, too: the card's and the peer's."""
    for _ in range(100):
        port = random.randrange(20000, 60000)
        try:
            with socket.socket(type=socket.SOCK_DGRAM) as first, socket.socket(type=socket.SOCK_DGRAM) as second:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
                return port
        except OSError:
            continue
    raise OSError("no two free UDP ports in a row")


class Peer:
    """See above. Its methods may be called while it answers; `frames` are the frames that nobody has answered."""

    def __init__(self, card_port: int, mac: bytes = bytes.fromhex("525400000202"), address: str = "10.0.2.2", noise: int = 0):
        self.card_port = card_port
        self.mac = mac
        self.address = address
        self.noise = noise
        self.frames: deque[bytes] = deque(maxlen=KEPT)
        self.received = self.answered = self.echoed = self.malformed = 0
        self._news = threading.Condition()
        self._stop = False
        self._socket = socket.socket(type=socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind(("127.0.0.1", card_port + 1))
        self._socket.settimeout(0.1)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Peer":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop = True
        self._thread.join()
        self._socket.close()

    # --- what the test says

    def send(self, data: bytes) -> None:
        """One frame to the card; lost, as on a wire, if nobody is there to take it."""
        try:
            self._socket.sendto(data, ("127.0.0.1", self.card_port))
        except ConnectionRefusedError:
            pass

    def burst(self, frames: Iterable[bytes], per_second: float = 0) -> int:
        """Many frames, as fast as it goes or at a rate; returns how many."""
        start, count = time.monotonic(), 0
        for count, data in enumerate(frames, 1):
            self.send(data)
            if per_second:
                time.sleep(max(0.0, start + count / per_second - time.monotonic()))
        return count

    def to_card(self, ethertype: int, payload: bytes, to: bytes = CARD) -> bytes:
        """A frame from here."""
        return frame(to, self.mac, ethertype, payload)

    def ask_arp(self, address: str) -> None:
        """Who has `address`? The answer is among `frames`."""
        self.send(self.to_card(ARP, arp(1, (self.mac, self.address), (bytes(6), address)), BROADCAST))

    def ping(self, mac: bytes, address: str, sequence: int = 1, data: bytes = b"") -> None:
        """An echo request; its reply is among `frames`."""
        self.send(self.to_card(IPV4, ipv4(ICMP, self.address, address, icmp_echo(ICMP_ECHO, 0x4C49, sequence, data)), mac))

    # --- and hears

    def wait(self, condition: Callable[["Peer"], bool], timeout: float = 60) -> bool:
        """Until `condition` holds; looked at after each frame."""
        with self._news:
            return self._news.wait_for(lambda: condition(self), timeout)

    def expect(self, wanted: Callable[[bytes], bool], timeout: float = 60) -> bytes:
        """Waits for a frame among `frames`, takes it out, and returns it."""
        found: list[bytes] = []
        if not self.wait(lambda _: bool(found.extend(data for data in self.frames if wanted(data)) or found), timeout):
            raise TimeoutError(f"no such frame in {timeout:g} s; {self.received} came, {len(self.frames)} are kept")
        with self._news:
            self.frames.remove(found[0])
        return found[0]

    # --- the wire

    def _serve(self) -> None:
        while not self._stop:
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            except ConnectionRefusedError:
                continue  # the card is not there yet, or not any more
            with self._news:
                self._take(data)
                self._news.notify_all()

    def _take(self, data: bytes) -> None:
        self.received += 1
        if not HEADER <= len(data) <= LONGEST:
            self.malformed += 1
            return
        to, ethertype = data[:6], int.from_bytes(data[12:14], "big")
        for_me = to in (self.mac, BROADCAST)
        if ethertype in (EXPERIMENT, EXPERIMENT_2) and for_me:
            self.echoed += 1
            self._reply(frame(data[6:12], self.mac, ethertype, data[HEADER:]))
        elif for_me and (answer := self._answer(ethertype, data[HEADER:])):
            self.answered += 1
            self._reply(frame(data[6:12], self.mac, ethertype, answer))
        else:
            self.frames.append(data)

    def _reply(self, data: bytes) -> None:
        for _ in range(self.noise):
            self.send(frame(BROADCAST, self.mac, EXPERIMENT_2, bytes(random.randrange(LONGEST - HEADER - 3))))
        self.send(data)

    def _answer(self, ethertype: int, payload: bytes) -> bytes:
        """To a question that is for this address; else nothing."""
        mine = socket.inet_aton(self.address)
        if ethertype == ARP and len(payload) >= 28 and payload[6:8] == b"\0\1" and payload[24:28] == mine:
            return arp(2, (self.mac, self.address), (payload[8:14], socket.inet_ntoa(payload[14:18])))
        if ethertype == IPV4 and len(payload) >= 28 and payload[0] == 0x45 and payload[9] == ICMP and payload[16:20] == mine and payload[20] == ICMP_ECHO:
            total = int.from_bytes(payload[2:4], "big")
            identifier, sequence = struct.unpack(">HH", payload[24:28])
            if 28 <= total <= len(payload) and checksum(payload[:20]) == checksum(payload[20:total]) == 0:
                reply = icmp_echo(ICMP_ECHO_REPLY, identifier, sequence, payload[28:total])
                return ipv4(ICMP, self.address, socket.inet_ntoa(payload[12:16]), reply)
        return b""


if __name__ == "__main__":
    with Peer(int(sys.argv[1])) as _peer:
        while True:
            time.sleep(10)
            print(f"{_peer.received} frames, {_peer.answered} answered, {_peer.echoed} returned, {_peer.malformed} malformed", flush=True)
