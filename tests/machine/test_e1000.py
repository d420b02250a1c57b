# SPDX-License-Identifier: BSD-2-Clause
"""Intel's network cards, driven by Lintel's self-test: the peer is on this side, so that frames can be counted, and more of them sent than were asked for."""

import re

import pytest
from lablib.machine import boot
from support.esp import make_esp
from support.ether import Peer, free_ports

INDEPENDENT = True

CONFIG = "[lintel]\nselftest = drivers\nidle = poweroff\n"
# ARP and 64 echoes.
EXCHANGES = 65
NOISE = 50


@pytest.mark.parametrize(
    "kind, model, chip, how",
    [
        pytest.param("bochs", "e1000", "82540EM", "interrupts", id="bochs-82540EM"),
        pytest.param("tcg", "e1000", "82540EM", "interrupts", id="qemu-82540EM"),
        pytest.param("tcg", "e1000e", "82574L", "MSI-X", id="qemu-82574L"),
    ],
)
def test_selftest(kind, model, chip, how):
    """The card is found and has its address. Echoes of all lengths come back, each behind a burst of frames for everybody of which none is lost, many
    times around the ring; by interrupts, and polling finds little that they have left. No frame leaves that is not one of the questions."""
    with Peer(free_ports(), noise=NOISE) as peer:
        name = f"e1000-{kind}-{model}"
        with boot(esp=make_esp(name, CONFIG), machine=kind, net=f"udp:{peer.card_port},model={model}", name=f"test-{name}") as machine:
            machine.console.expect(r"selftest: nic [^\r\n]*: (?:echo|FAILED)[^\r\n]*\r?\n", timeout=300)
            log = machine.log_text()
    assert re.search(rf"lintel: e1000 \S+: {chip}, 52:54:00:12:34:56, {how}, link up\n", log)
    result = re.search(r"selftest: nic (.*: (?:echo|FAILED).*)\n", log)[1]
    counts = re.search(r"echo ok \((\d+) frames received, (\d+) by interrupt\)", result)
    assert counts, result
    received, by_interrupt = int(counts[1]), int(counts[2])
    # A question is asked again when the answer takes long on a busy host.
    assert EXCHANGES * (NOISE + 1) <= received <= peer.answered * (NOISE + 1)
    assert by_interrupt > received * 0.9
    assert (peer.answered, peer.malformed) == (peer.received, 0)
