# SPDX-License-Identifier: BSD-2-Clause
"""virtio-net and the virtual switch, between VMs and between cards of one VM (guests/micro/net.c)."""

import re

import pytest
from lablib.machine import boot
from support.exits import report_of
from support.micro import SECONDS, Guest, ends, failures, lay_out

# Two cards on one switch.
ALONE = "net = lan0\nnet = lan0"
PING = "net = lan1,mac=02:00:00:00:00:01"
PONG = "net = lan1,mac=02:00:00:00:00:02"
VLAN = "net = lan2,vlan=7,mac=02:00:00:00:01:{},rate=100M"
GUESTS = [
    Guest("net", "net", "verbose", ALONE),
    Guest("queues", "net", "", f"cpus = 2\n{ALONE.replace('lan0', 'lan3')}"),
    Guest("pong", "net", "case=pong", PONG),
    Guest("ping", "net", "case=ping", PING),
    Guest("vlan-pong", "net", "case=pong", VLAN.format("02")),
    Guest("vlan-ping", "net", "case=ping", VLAN.format("01")),
]
SWITCHES = "".join(f"[switch lan{n}]\n" for n in range(4)) + "[switch wide]\nuplink = 00:1f.6\n"


def run(name: str, cpus: int) -> str:
    """All of them beside each other; the log."""
    esp = lay_out(name, GUESTS, f"[switch none]\n{SWITCHES}")
    with boot(esp=str(esp), machine="bochs", name=f"test-{name}", cpus=cpus) as m:
        m.wait_poweroff(timeout=SECONDS)
        return m.log_text()


@pytest.fixture(name="log", scope="module", params=[1, 2], ids=["1-cpu", "2-cpus"])
def fixture_log(request):
    """With one CPU nobody is ever busy; with two, VMs send to each other at the same time."""
    return run(f"virtio-net-{request.param}", request.param)


def test_claims(log):
    """Every claim of each guest holds."""
    bad = {vm: end for vm, end in ends(log).items() if end != "debug-exit 0x0"}
    assert not bad, (bad, failures(log, "net"))
    assert set(ends(log)) == {guest.vm for guest in GUESTS}


def test_switches(log):
    """What there is is told; an uplink that is not there is an error with its line, and the switch goes on without."""
    assert re.search(r"lintel: switch lan0: uplink none, ports: net\.0, net\.1\n", log)
    assert re.search(r"lintel: switch lan1: uplink none, ports: pong\.0, ping\.0\n", log)
    assert re.search(r"lintel: error: lintel\.conf:\d+: uplink = 00:1f\.6: there is no such network card: switch wide has no uplink\n", log)
    assert re.search(r"lintel: switch wide: uplink none, ports: none\n", log)


def test_counters(log):
    """At its end a VM's table says what its cards have sent and received, and why frames were dropped."""
    report_of(log, "net")
    sent, received = (re.search(rf"lintel: vm net: net {n}: lan0: sent (\d+) frames, (\d+) bytes; received (\d+), (\d+) bytes\n", log) for n in (0, 1))
    assert int(sent[1]) > 1600
    assert 1600 < int(received[3])
    assert re.search(r"lintel: vm net: net 0: dropped: 2 spoofed, \d+ malformed\n", log)
    assert re.search(r"lintel: vm net: net 1: dropped: \d+ no buffer, \d+ not wanted\n", log)
    ping, pong = (re.search(rf"lintel: vm p{x}ng: net 0: lan1: sent (\d+) frames, .* received (\d+), .*\n", log) for x in "io")
    assert int(ping[2]) == int(pong[1])
