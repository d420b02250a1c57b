# SPDX-License-Identifier: BSD-2-Clause
"""`lab boot` in the foreground: a machine, the user's terminal or script, and an exit status."""

import os
import re
import socket
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError
from .machine import Machine
from .options import Options
from .terminal import Filter, Keys, Progress, Stopped, raw_terminal, readable, stdin_has_input, stdin_is_terminal, stopping_signals, write_all

OK, FAILED, TIMED_OUT = 0, 1, 124
POLL_SECONDS = 0.05
STARTED = re.compile(rb"^lintel: vm \S+: started: .*\n\Z", re.MULTILINE)


@dataclass
class Attachment:
    """What `--serial`, `--until` and `--timeout` say."""

    serial: str = "stdio"
    until: str = ""
    timeout: float = 0.0
    show_firmware: bool = False


def say(text: str) -> None:
    """The lab's own words go to standard error: standard output is the console's."""
    end = "\r\n" if sys.stderr.isatty() else "\n"
    sys.stderr.write("lab: " + text.replace("\n", end) + end)
    sys.stderr.flush()


class UnixBridge:
    """The console at a Unix socket: one client at a time, who may come and go."""

    def __init__(self, path: Path):
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._client: socket.socket | None = None
        self._path = path

    def feed(self, chunk: bytes) -> None:
        """Console to client; without one the output is only in the log."""
        client = self._client
        if client is not None:
            try:
                client.sendall(chunk)
            except OSError:
                self._client = None

    def serve(self, machine: Machine) -> None:
        """Client to console, in a thread of its own."""
        threading.Thread(target=self._serve, args=(machine,), daemon=True).start()

    def _serve(self, machine: Machine) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._client = client
            try:
                while data := client.recv(4096):
                    if machine.console is not None:
                        machine.console.send(data)
            except OSError:
                pass
            self._client = None
            client.close()

    def close(self) -> None:
        """No more clients."""
        self._listener.close()
        self._path.unlink(missing_ok=True)


class Session:
    """Runs one machine until something ends it."""

    def __init__(self, machine: Machine, attachment: Attachment):
        self.machine = machine
        self.attachment = attachment
        self.progress = Progress()
        self._bridge: UnixBridge | None = None
        self._filter: Filter | None = None
        self._stdin_open = False
        self._last = b""  # of what was shown
        self._attach()

    def _attach(self) -> None:
        kind, _, place = self.attachment.serial.partition(":")
        if kind == "stdio" and not place:
            self._filter = Filter(self._show, self.attachment.show_firmware)
            self.machine.sinks.append(self._filter.feed)
            self._stdin_open = stdin_is_terminal() or stdin_has_input()
        elif kind == "file" and place:
            file = open(place, "wb", buffering=0)  # pylint: disable=consider-using-with
            self.machine.sinks.append(file.write)
        elif kind == "unix" and place:
            self._bridge = UnixBridge(Path(place))
            self.machine.sinks.append(self._bridge.feed)
        else:
            raise LabError(f"--serial {self.attachment.serial}: must be stdio, file:PATH or unix:PATH")
        if self.attachment.until:
            self.machine.watcher.expect(self.attachment.until)

    def _show(self, chunk: bytes) -> None:
        self.progress.clear()
        write_all(chunk)
        self._last = (self._last + chunk)[-200:]

    def run(self) -> int:
        """The exit status; see the contract in docs/lab.md."""
        interactive = self.attachment.serial == "stdio" and stdin_is_terminal()
        try:
            with stopping_signals():
                if interactive:
                    with raw_terminal():
                        return self._run()
                return self._run()
        except Stopped as stopped:
            return 128 + stopped.number
        except KeyboardInterrupt:
            return 130
        finally:
            self.machine.kill()
            self.progress.clear()
            if self._bridge:
                self._bridge.close()

    def _run(self) -> int:
        self.machine.start()
        if self._bridge:
            self._bridge.serve(self.machine)
        assert self.machine.console is not None
        keys = Keys(self.machine.console.send, lambda text: write_all(text.encode()))
        deadline = time.monotonic() + self.attachment.timeout if self.attachment.timeout else None
        while True:
            verdict = self._verdict(deadline)
            if verdict is not None:
                return verdict
            if self._filter is None or self._in_firmware() or self._quiet():
                self.progress.update("kernel" if self._quiet() else self.machine.stage)
            if self._poll_keys(keys):
                self._ended("ended with Ctrl-a x")
                return OK if not self.attachment.until else FAILED

    def _quiet(self) -> bool:
        """Has a VM been started that has said nothing yet, as the default guest's kernel does while it boots?"""
        return sys.stderr.isatty() and STARTED.search(self._last) is not None

    def _in_firmware(self) -> bool:
        """Has neither Lintel nor a kernel printed a line yet?"""
        return self._filter is not None and not self._filter.open

    def _poll_keys(self, keys: Keys) -> bool:
        """Waits a moment for a key. Before Lintel is there, keys would open the firmware's menus: only Ctrl-a commands count then,
        and a script's input waits in its pipe."""
        if not self._stdin_open or (self._in_firmware() and not stdin_is_terminal()):
            time.sleep(POLL_SECONDS)
            return False
        data = readable(POLL_SECONDS)
        if data == b"":
            self._stdin_open = False
        elif data:
            # Asked only now: the console's thread may have shown the first line during the wait, and who saw it may type.
            keys.muted = self._in_firmware()
            keys.typed(data)
        return keys.quit

    def _verdict(self, deadline: float | None) -> int | None:
        """The exit status as soon as there is one."""
        machine = self.machine
        if machine.watcher.matched.is_set():
            self._ended("")
            return OK
        running = machine.running()
        if not running and machine.console is not None:
            machine.console.join(2)
        reason = machine.failure()
        if reason:
            self._ended(reason)
            self._quote()
            return FAILED
        if not running:
            if machine.watcher.matched.is_set() or not self.attachment.until:
                self._ended("the machine has powered itself off")
                return OK
            self._ended(f"the machine has powered itself off without printing {self.attachment.until!r}")
            self._quote()
            return FAILED
        if deadline is not None and time.monotonic() > deadline:
            self._ended(f"time-out after {self.attachment.timeout:g} s (stage: {machine.stage or 'start'})")
            self._quote()
            return TIMED_OUT
        return None

    def _ended(self, text: str) -> None:
        self.progress.clear()
        if self._filter is not None and self._filter.open:
            write_all(b"\r\n" if sys.stdout.isatty() else b"")
        if text:
            say(text)

    def _quote(self) -> None:
        """What the console said last, if the user has not seen it."""
        folder = os.path.relpath(self.machine.folder)
        if self._filter is None or not self._filter.open:
            tail = self.machine.watcher.tail()
            if tail:
                say(f"the console ends with:\n{tail}")
        say(f"logs: {folder}/")


def run(options: Options, attachment: Attachment) -> int:
    """Boots and stays until the end."""
    machine = Machine(options)
    say(f"machine: {machine.kind} ({machine.why}); logs: {os.path.relpath(machine.folder)}/")
    try:
        session = Session(machine, attachment)
    except BaseException:
        machine.kill()
        raise
    return session.run()
