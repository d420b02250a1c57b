# SPDX-License-Identifier: BSD-2-Clause
"""The lab on a terminal: keys, and the terminal's settings, which come back whatever ends the run."""

import os
import pty
import re
import signal
import termios
import time

import pytest
from support.efi_programs import program
from lablib.paths import REPOSITORY

INDEPENDENT = True


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *words):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.text = ""
        self.pid = os.fork()
        if self.pid == 0:
            os.login_tty(self.slave)
            os.execv(str(words[0]), list(map(str, words)))
        os.set_blocking(self.master, False)

    def read(self) -> None:
        """What there is."""
        try:
            self.text += os.read(self.master, 65536).decode("utf-8", "replace")
        except BlockingIOError:
            time.sleep(0.1)

    def expect(self, pattern: str, seconds: float = 120) -> None:
        """Waits for it, and drops what stands before it."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text)):
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.text[-2000:]!r}"
            self.read()
        self.text = self.text[found.end() :]

    def type(self, keys: bytes) -> None:
        """Presses keys."""
        os.write(self.master, keys)

    def wait(self, seconds: float = 60) -> int:
        """The exit status."""
        deadline = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, "it does not end"
            self.read()

    def settings(self):
        """As they are now."""
        return termios.tcgetattr(self.slave)

    def close(self) -> None:
        """Whatever happened."""
        if self.pid:
            os.kill(self.pid, signal.SIGTERM)
            os.waitpid(self.pid, 0)
        os.close(self.slave)
        os.close(self.master)


@pytest.fixture
def terminal(tmp_path, request):
    """The lab with a machine that echoes."""
    esp = program(tmp_path, "lintel: hello\n", "echo")
    running = Terminal(REPOSITORY / "tools/lab", "boot", "--machine", "bochs", "--memory", "256", "--esp", esp, "--name", request.node.name)
    yield running
    running.close()


def test_keys_and_end(terminal):
    """Typing reaches the machine (Ctrl-C, too), Ctrl-a h helps, Ctrl-a x ends with status 0 and the terminal as it was."""
    terminal.expect(r"lintel: hello")
    assert not terminal.settings()[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
    terminal.type(b"abc\x03def")
    terminal.expect("abc\x03def")
    terminal.type(b"\x01h")
    terminal.expect(r"Ctrl-a x +ends the machine")
    terminal.type(b"\x01x")
    assert terminal.wait() == 0
    assert terminal.settings() == terminal.before


def test_end_during_the_firmware(terminal):
    """Ctrl-a x works before there is anything to see; the firmware's drawing is never shown, what is being waited for is."""
    terminal.expect(r"lab: firmware \.\.\. \d+ s")
    terminal.type(b"\x01x")
    assert terminal.wait() == 0
    assert "Tiano" not in terminal.text and "BdsDxe" not in terminal.text
    assert terminal.settings() == terminal.before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals(terminal, number):
    """A signal ends the machine, and the terminal comes back."""
    terminal.expect(r"lintel: hello")
    os.kill(terminal.pid, number)
    assert terminal.wait() == 128 + number
    assert terminal.settings() == terminal.before
