# SPDX-License-Identifier: BSD-2-Clause
"""The machine's serial line: always drained, logged, watched, and readable through pexpect."""

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
from pexpect.spawnbase import SpawnBase

from .errors import MachineFailed

Sink = Callable[[bytes], None]


class Console(SpawnBase):
    """pexpect on the serial line. A thread empties the socket whether or not anybody reads, since Bochs stands still otherwise.

    Reading raises MachineFailed when the machine has panicked, so that a test ends at once and says why. Who waits in vain is told what `last_words` gives.
    """

    def __init__(self, connection: socket.socket, log: Path, sinks: list[Sink], failure: Callable[[], str], last_words: Callable[[], str] = str):
        super().__init__(timeout=120, encoding="utf-8", codec_errors="replace")
        self.delaybeforesend = None
        self.name = "console"
        self._connection = connection
        self._sinks = sinks
        self._failure = failure
        self._last_words = last_words
        self._chunks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._log = open(log, "wb", buffering=0)  # pylint: disable=consider-using-with
        self._ended = False
        self.closed = False
        self._thread = threading.Thread(target=self._pump, name="console", daemon=True)
        self._thread.start()

    def _pump(self) -> None:
        while True:
            try:
                chunk = self._connection.recv(65536)
            except OSError:
                chunk = b""
            if not chunk:
                self._chunks.put(None)
                return
            self._log.write(chunk)
            for sink in self._sinks:
                sink(chunk)
            self._chunks.put(chunk)

    def read_nonblocking(self, size: int = 1, timeout: float | None = -1) -> str:
        """What pexpect reads through. Waits in short steps in order to notice a panic."""
        if timeout == -1:
            timeout = self.timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._ended:
            try:
                wait = 0.25 if deadline is None else min(0.25, max(0.0, deadline - time.monotonic()))
                chunk = self._chunks.get(timeout=wait) if wait else self._chunks.get_nowait()
            except queue.Empty:
                reason = self._failure()
                if reason:
                    raise MachineFailed(reason) from None
                if deadline is not None and time.monotonic() >= deadline:
                    raise pexpect.TIMEOUT("Timeout exceeded.") from None
                continue
            if chunk is None:
                self._ended = True
                break
            text = self._decoder.decode(chunk, final=False)
            return text
        self.flag_eof = True
        raise pexpect.EOF("The machine has closed its serial line.")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """The last lines of an error are what a list of failed tests shows of it."""
        try:
            yield
        except pexpect.TIMEOUT as error:
            raise pexpect.TIMEOUT(f"{error.value}\nin vain; the machine's last words:\n{self._last_words()}") from None

    def expect_list(self, *arguments: Any, **more: Any) -> Any:
        """What expect() comes to."""
        with self._told():
            return super().expect_list(*arguments, **more)

    def expect_exact(self, *arguments: Any, **more: Any) -> Any:
        """Waits for a string, or for one of several."""
        with self._told():
            return super().expect_exact(*arguments, **more)

    def send(self, text: str | bytes) -> int:
        """Types something. The serial line has flow control of its own: this may wait for the guest."""
        data = text if isinstance(text, bytes) else text.encode()
        self._connection.sendall(data)
        return len(data)

    def sendline(self, text: str = "") -> int:
        """Types a line: a terminal's Enter key is a carriage return."""
        return self.send(text + "\r")

    def sendcontrol(self, key: str) -> int:
        """Types Ctrl-KEY."""
        return self.send(bytes([ord(key.upper()) & 0x1F]))

    def join(self, timeout: float) -> None:
        """Waits until everything that the machine has sent has been passed on."""
        self._thread.join(timeout)

    def close(self) -> None:
        """Ends the line. A running Bochs dies of it."""
        if not self.closed:
            self.closed = True
            try:
                self._connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self._thread.join(2)
            self._connection.close()
            self._log.close()
