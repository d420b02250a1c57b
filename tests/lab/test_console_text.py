# SPDX-License-Identifier: BSD-2-Clause
"""How the lab reads a console: across chunks, through escape sequences, and what it takes for a panic."""

import pytest
from lablib.session import STARTED
from lablib.terminal import Filter, Keys
from lablib.watch import Watcher, plain

INDEPENDENT = True


def fed(text: bytes, size: int, until: str = "") -> Watcher:
    """A watcher that was fed in chunks."""
    watcher = Watcher()
    if until:
        watcher.expect(until)
    for place in range(0, len(text), size):
        watcher.feed(text[place : place + size])
    return watcher


@pytest.mark.parametrize("size", [1, 2, 7, 4096])
def test_until_across_chunks(size):
    """A pattern is found however the line was cut, with colours in it, at the beginning and end of a line."""
    watcher = fed(b"\x1b[2J\x1b[1;1Hgu\x1b[32mest: shell re\x1b[0mady\r\nnext", size, r"^guest: shell ready$")
    assert watcher.matched.is_set() and watcher.stage == "shell"


def test_until_not_seen():
    """What has not been printed is not seen."""
    assert not fed(b"guest: shell read\r\n", 3, r"shell ready").matched.is_set()


@pytest.mark.parametrize("size", [1, 5, 4096])
def test_panic(size):
    """A line that begins as a panic does is one, whole; a guest's talk about one is none."""
    assert fed(b"a\r\nlintel: panic: out of luck\r\nmore\r\n", size).panic == "lintel: panic: out of luck"
    assert fed(b"echo lintel: panic: not me\r\n", size).panic == ""


def test_stages():
    """The stages follow each other, and never go back."""
    watcher = Watcher()
    seen = []
    for text in (b"\x1b[2J", b"BdsDxe: loading\r\n", b"lintel: hello\r\n", b"[    0.000000] Linux version 6.1\r\n", b"guest: shell ready\r\n", b"lintel: vm x: stopped\r\n"):
        watcher.feed(text)
        seen.append(watcher.stage)
    assert seen == ["firmware", "firmware", "Lintel", "kernel", "shell", "shell"]


def test_started():
    """A VM that was started is quiet until it says something: progress is shown meanwhile."""
    line = b"lintel: vm debian: started: 256 MiB, 1 vCPU, vmlinux\r\n"
    assert STARTED.search(b"lintel: hello\r\n" + line)
    assert not STARTED.search(line + b"[    0.7")
    assert not STARTED.search(line[:30])


def test_plain():
    """Cursor moves are line ends, other sequences are nothing."""
    assert plain("a\x1b[3;1Hb\x1b[1;31mc\x1b[0m\r\n") == "a\nbc\n"


@pytest.mark.parametrize("size", [1, 6, 4096])
def test_filter(size):
    """The firmware's drawing is held back up to Lintel's first line, of which nothing is lost."""
    shown = bytearray()
    screen = Filter(shown.extend)
    text = b"\x1b[2JTianoCore\r\nlintel: first\r\n\x1b[1mbold\r\n"
    for place in range(0, len(text), size):
        screen.feed(text[place : place + size])
    assert bytes(shown) == b"lintel: first\r\n\x1b[1mbold\r\n"


def test_filter_everything():
    """--show-firmware shows all of it."""
    shown = bytearray()
    Filter(shown.extend, everything=True).feed(b"\x1b[2JTianoCore")
    assert bytes(shown) == b"\x1b[2JTianoCore"


def typed(*chunks: bytes) -> tuple[bytes, str, bool]:
    """(what the machine gets, what the user is shown, was it the end?)"""
    sent, shown = bytearray(), []
    keys = Keys(sent.extend, shown.append)
    for chunk in chunks:
        keys.typed(chunk)
    return bytes(sent), "".join(shown), keys.quit


def test_keys():
    """Ctrl-a x ends, h helps, a and Ctrl-a send one, other keys go to the machine with their Ctrl-a; also when a read ends between the two."""
    assert typed(b"ls\r") == (b"ls\r", "", False)
    assert typed(b"a\x01", b"xb") == (b"a", "", True)
    assert typed(b"\x01a\x01\x01") == (b"\x01\x01", "", False)
    assert typed(b"\x01", b"2") == (b"\x012", "", False)
    sent, shown, ended = typed(b"\x01h")
    assert sent == b"" and "Ctrl-a x" in shown and not ended


def test_muted_keys():
    """While the firmware runs, keys would open its menus: nothing is sent, but Ctrl-a x still ends."""
    sent = bytearray()
    keys = Keys(sent.extend, lambda text: None)
    keys.muted = True
    keys.typed(b"\x1b\r\x01x")
    assert bytes(sent) == b"" and keys.quit
