# SPDX-License-Identifier: BSD-2-Clause
"""Lintel's console at the other end of a line: a serial port of this machine, or a Unix socket."""

import os
import select
import socket
import stat
import termios
import time
import tty

from .dump import TraceError

KEYS = b"\x01t"
END = b"lintel: trace: end: "
STARTED = b"lintel: trace: on: "


def connect(path: str) -> int:
    """A file descriptor. OSError if it cannot be opened."""
    if stat.S_ISSOCK(os.stat(path).st_mode):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(path)
        return connection.detach()
    line = os.open(path, os.O_RDWR | os.O_NOCTTY)
    if os.isatty(line):
        tty.setraw(line)
        attributes = termios.tcgetattr(line)
        attributes[4] = attributes[5] = termios.B115200
        termios.tcsetattr(line, termios.TCSANOW, attributes)
    return line


def fetch(path: str, silence: float) -> str:
    """Presses the key that stops the trace, and takes what is printed; TraceError if there was none, and after so many seconds without a byte."""
    line = connect(path)
    taken = b""
    end = time.monotonic() + silence
    try:
        os.write(line, KEYS)
        while END not in taken or not taken.endswith(b"\n"):
            if not select.select([line], [], [], max(0, end - time.monotonic()))[0]:
                raise TraceError(f"nothing more for {silence:g} s, and no end of a trace")
            piece = os.read(line, 65536)
            if not piece:
                raise TraceError("closed at the other end before the end of the trace")
            taken += piece
            end = time.monotonic() + silence
            if STARTED in taken:
                raise TraceError("tracing has begun just now: once more, when there is something to see")
    finally:
        os.close(line)
    return taken.decode("utf-8", "replace")
