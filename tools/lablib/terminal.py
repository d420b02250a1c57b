# SPDX-License-Identifier: BSD-2-Clause
"""The user's terminal: raw mode with a sure way back, QEMU's key habits, what is shown of the console, progress."""

import os
import select
import signal
import stat
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .watch import SEQUENCE, CURSOR_MOVE

ESCAPE = 0x01  # Ctrl-a
HELP = "\r\nlab: Ctrl-a x  ends the machine\r\n     Ctrl-a h  this help\r\n     Ctrl-a a  sends Ctrl-a\r\n     any other key after Ctrl-a goes to the machine with its Ctrl-a\r\n"


class Keys:
    """Finds Ctrl-a commands in what is typed, also across reads."""

    def __init__(self, send: Callable[[bytes], object], show: Callable[[str], None]):
        self._send = send
        self._show = show
        self._escaped = False
        self.muted = False
        self.quit = False

    def typed(self, data: bytes) -> None:
        """Passes on what is meant for the machine, unless muted."""
        for_machine = bytearray()
        for byte in data:
            if not self._escaped:
                if byte == ESCAPE:
                    self._escaped = True
                else:
                    for_machine.append(byte)
                continue
            self._escaped = False
            if byte in b"xX":
                self.quit = True
                break
            if byte in b"hH?":
                self._show(HELP)
            elif byte in (ord("a"), ESCAPE):
                for_machine.append(ESCAPE)
            else:
                for_machine += bytes([ESCAPE, byte])
        if for_machine and not self.muted:
            self._send(bytes(for_machine))


class Filter:
    """Holds back the firmware's screen drawing: bytes are passed on from the first line on that Lintel (or a kernel) has printed."""

    START = (b"lintel:", b"[    0.0", b"Linux version")

    def __init__(self, passed: Callable[[bytes], None], everything: bool = False):
        self._passed = passed
        self.open = everything
        self._held = b""

    def feed(self, chunk: bytes) -> None:
        """More of the console."""
        if self.open:
            self._passed(chunk)
            return
        self._held = (self._held + chunk)[-8192:]
        # Sequences become line ends, since a line may start after a cursor move; lengths stay, so that places do.
        text = self._held.decode("latin-1")
        for pattern in (CURSOR_MOVE, SEQUENCE):
            text = pattern.sub(lambda found: "\n" * len(found[0]), text)
        flat = text.encode("latin-1").replace(b"\r", b"\n")
        places = [0 if flat.startswith(start) else flat.find(b"\n" + start) + 1 for start in self.START if flat.startswith(start) or b"\n" + start in flat]
        if places:
            self.open = True
            self._passed(self._held[min(places) :])
            self._held = b""


class Progress:
    """What is happening and for how long: one line that changes on a terminal, else a line per stage."""

    NAMES = {"": "machine starts", "firmware": "firmware", "host": "Linux that is KVM's host", "QEMU": "QEMU and its firmware", "Lintel": "Lintel", "kernel": "kernel boots", "shell": "shell"}
    SPOKEN_EVERY = 15.0

    def __init__(self) -> None:
        self._tty = sys.stderr.isatty()
        self._start = time.monotonic()
        self._stage: str | None = None
        self._spoken = 0.0
        self._drawn = False

    def update(self, stage: str) -> None:
        """Called often."""
        now = time.monotonic()
        text = f"{self.NAMES[stage]} ... {now - self._start:.0f} s"
        if self._tty:
            if stage != self._stage or now - self._spoken >= 0.5:
                sys.stderr.write(f"\r\x1b[Klab: {text}")
                sys.stderr.flush()
                self._spoken, self._drawn = now, True
        elif stage != self._stage or now - self._spoken >= self.SPOKEN_EVERY:
            print(f"lab: {text}", file=sys.stderr, flush=True)
            self._spoken = now
        self._stage = stage

    def clear(self) -> None:
        """Takes the changing line away before something else is printed."""
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._drawn = False


def stdin_is_terminal() -> bool:
    """Is there a user at the keyboard?"""
    return sys.stdin is not None and not sys.stdin.closed and os.isatty(0)


def stdin_has_input() -> bool:
    """A pipe or a file may hold something to type; /dev/null and a closed stdin hold nothing."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def write_all(data: bytes) -> None:
    """To standard output, past its buffer. A reader (or terminal) that has gone is no error here."""
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        pass


@contextmanager
def raw_terminal() -> Iterator[None]:
    """Keys reach the machine as they are typed; output is still translated, so a bare line feed does no harm. The settings
    come back however the block ends; what was typed (or answered by the terminal) after the end is thrown away."""
    if not stdin_is_terminal():
        yield
        return
    before = termios.tcgetattr(0)
    raw = termios.tcgetattr(0)
    raw[0] &= ~(termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON)
    raw[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    raw[2] = (raw[2] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
    raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
    try:
        termios.tcsetattr(0, termios.TCSADRAIN, raw)
        yield
    finally:
        if sys.stdout.isatty():
            # The guest may have left colours, a hidden cursor or no line wrap behind.
            write_all(b"\x1b[0m\x1b[?25h\x1b[?7h")
        termios.tcsetattr(0, termios.TCSAFLUSH, before)


class Stopped(BaseException):
    """A signal asks to end; raised so that every finally block runs."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


@contextmanager
def stopping_signals() -> Iterator[None]:
    """Turns the signals that would end this process silently into an exception."""

    def stop(number: int, _frame: object) -> None:
        raise Stopped(number)

    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before):
            signal.signal(number, handler)


def readable(timeout: float) -> bytes | None:
    """What was typed within the time: None for nothing, b"" for the end of the input."""
    ready, _, _ = select.select([0], [], [], timeout)
    return os.read(0, 4096) if ready else None
