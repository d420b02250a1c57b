# SPDX-License-Identifier: BSD-2-Clause
"""One running machine, for the command line and for tests.

    from lablib.machine import boot

    with boot(esp="build/esp", machine="auto", cpus=1, memory=1024, name="linux-shell") as m:
        m.console.expect("guest: shell ready", timeout=120)   # a pexpect object: expect, sendline, sendcontrol, before, match
        m.console.expect("debian# ")
        m.console.sendline("poweroff")
        m.wait_poweroff(timeout=60)
        assert "stopped: poweroff" in m.log_text()

`boot` takes the fields of lablib.options.Options by name (esp and image as str or Path, disks as a list of str or Disk, net as the text of --net or
Net, exclude_features as a list). It raises LabError when the machine cannot be started as asked. Waiting on the console and wait_poweroff raise
MachineFailed, with the reason, when Lintel panics, Bochs reports a triple fault or the emulator dies; pexpect.TIMEOUT and TimeoutError mean time.

  m.console          pexpect on COM1        m.kind            "kvm", "bochs", "tcg" or "nested"
  m.log_text()       the console so far, without escape sequences
  m.emulator_log()   bochs.log, or what QEMU printed, or L0's log
  m.folder           build/lab/NAME: console.log, command, bochsrc, bochs.log, emulator.out, host.log (L0's)
  m.failure()        why the machine has failed, or ""      m.stage   "firmware", "Lintel", "kernel", "shell"
  m.running()        is the emulator alive?                 m.kill()  ends it (leaving the with block does, too)
"""

import fcntl
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import bochs, choice, firmware, image, nested, qemu
from .console import Console, Sink
from .errors import LabError, MachineFailed
from .options import Disk, Net, Options
from .paths import RUNS
from .watch import Watcher, plain

ACCEPT_SECONDS = 30
# After a panic line the dump follows; after a power-off the last characters.
GRACE_SECONDS = 2.0


class Machine:
    """Prepared by the constructor, started by start()."""

    def __init__(self, options: Options):
        options.check()
        self.kind, self.why = choice.choose(options.machine)
        self.options = options
        options.machine = self.kind
        self.folder = RUNS / (options.name or str(os.getpid()))
        self.watcher = Watcher()
        self.sinks: list[Sink] = [self.watcher.feed]
        self.console: Console | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._listener = socket.socket()
        self._host_log: nested.HostLog | None = None
        self._fatal = ""
        self._log_place = 0
        self._log_pending = ""
        self._soft_off = False
        self._died_at = 0.0
        self._killed = False
        self.started = 0.0
        self._clean_folder()
        self.command = self._prepare()
        (self.folder / "command").write_text(shlex.join(self.command) + "\n")

    # --- before the start

    def _clean_folder(self) -> None:
        """A folder of the same name is a former run's: nothing of it may pass for this one's."""
        RUNS.mkdir(parents=True, exist_ok=True)
        self._lock = open(RUNS / f".{self.folder.name}.running", "w", encoding="ascii")  # pylint: disable=consider-using-with
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError(f"a run named {self.folder.name} is still going on: choose another --name") from None
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()

    def _prepare(self) -> list[str]:
        disk = self.folder / "boot.img"
        if self.options.esp is not None:
            image.make_esp(self.options.esp, disk)
        else:
            assert self.options.image is not None
            image.copy_image(self.options.image, disk)
        # The lab listens and the emulator connects: no character is lost and no start hangs.
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(1)
        serial = f"127.0.0.1:{self._listener.getsockname()[1]}"
        if self.kind in ("bochs", "nested"):
            return self._prepare_bochs(disk, serial)
        return self._prepare_qemu(disk, serial)

    def _prepare_bochs(self, disk: Path, serial: str) -> list[str]:
        for further in self.options.disks:
            Path(f"{further.path.resolve()}.lock").unlink(missing_ok=True)
        if self.kind == "nested":
            emulator = nested.prepare(self.folder, self.options, disk, serial)
            self._host_log = nested.HostLog(self.folder / nested.LOG)
        else:
            emulator = bochs.prepare()
            (self.folder / "bochsrc").write_text(bochs.configuration(emulator, self.options, disk, serial))
        self._environment = {**emulator.environment, "TERM": "linux"}
        if self.options.net and not self.options.net.udp:
            (self.folder / "slirp.conf").write_text(bochs.slirp(self.options.net))
        return bochs.argv(emulator)

    def _prepare_qemu(self, disk: Path, serial: str) -> list[str]:
        self._environment = dict(os.environ)
        pair = self.options.firmware or firmware.pair()
        if pair is None:
            raise LabError("no OVMF firmware for QEMU: install the package ovmf (tools/setup test does)")
        variables = self.folder / "OVMF_VARS.fd"
        shutil.copyfile(pair[1], variables)
        return qemu.argv(self.options, disk, pair[0], variables, qemu.to_socket(serial))

    # --- start and end

    def start(self) -> "Machine":
        """Starts the emulator and takes its serial line."""
        # The emulator must not outlive this process, however that ends.
        guard = [] if not shutil.which("setpriv") else ["setpriv", "--pdeathsig", "KILL", "--"]
        self.started = time.monotonic()
        with open(self.folder / "emulator.out", "wb") as out:
            self._process = subprocess.Popen(  # pylint: disable=consider-using-with
                guard + self.command, cwd=self.folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            self.console = Console(self._accept(), self.folder / "console.log", self.sinks, self.failure, self.last_words)
        except BaseException:
            self.kill()
            raise
        return self

    def _accept(self) -> socket.socket:
        self._listener.settimeout(0.1)
        while time.monotonic() < self.started + ACCEPT_SECONDS:
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                if not self.running():
                    break
                continue
            self._listener.close()
            connection.settimeout(None)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        raise LabError(f"the emulator did not start; the end of its log in {self.folder}:\n{self._last_lines(self.emulator_log())}")

    def running(self) -> bool:
        """Is the emulator's process alive?"""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Ends the emulator and everything that it started."""
        self._killed = True
        if self._process is not None:
            if self._process.poll() is None:
                try:
                    os.killpg(self._process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self._process.wait()
        if self.console is not None:
            self.console.close()
        self._listener.close()
        for disk in [Disk(self.folder / "boot.img"), Disk(self.folder / "host.img"), *self.options.disks]:
            Path(f"{disk.path.resolve()}.lock").unlink(missing_ok=True)
        self._lock.close()
        # The copies of boot disks are large and can be made again.
        for copy in ("boot.img", "host.img"):
            (self.folder / copy).unlink(missing_ok=True)

    # --- what has happened

    @property
    def stage(self) -> str:
        """How far the boot is."""
        if self._host_log is not None and self.watcher.stage in ("", "firmware"):
            self._host_log.read()
            return self._host_log.stage or self.watcher.stage
        return self.watcher.stage

    def log_text(self) -> str:
        """All of the console so far, as a reader sees it."""
        path = self.folder / "console.log"
        return plain(path.read_text("utf-8", "replace")) if path.exists() else ""

    def emulator_log(self) -> str:
        """What the emulator itself had to say."""
        paths = [self.folder / name for name in ("emulator.out", "bochs.log", nested.LOG)]
        texts = [path.read_text("utf-8", "replace") for path in paths if path.exists()]
        return "\n".join(texts)

    @staticmethod
    def _last_lines(text: str, count: int = 12) -> str:
        return "\n".join(text.rstrip().split("\n")[-count:])

    def last_words(self) -> str:
        """The ends of what the machine has said, L0 too, for who waited in vain."""
        ends = [self.watcher.tail(6)]
        if self.kind == "nested":
            ends.append(self._last_lines(self.emulator_log(), 3))
        return "\n".join(ends)

    def _read_bochs_log(self) -> None:
        """Looks at what was added to bochs.log since the last look."""
        path = self.folder / "bochs.log"
        if self._fatal or self.kind not in ("bochs", "nested") or not path.exists():
            return
        with open(path, "rb") as log:
            log.seek(self._log_place)
            fresh = log.read()
        self._log_place += len(fresh)
        text = self._log_pending + fresh.decode("utf-8", "replace")
        found = bochs.FATAL.search(text)
        if found:
            self._fatal = "bochs: " + found[0].strip()
        self._soft_off = self._soft_off or bool(bochs.POWER_OFF.search(text))
        self._log_pending = text[text.rfind("\n") + 1 :]

    def failure(self) -> str:
        """Why the machine has failed, or an empty string. A panic counts once its dump had time to be printed."""
        # First the status, then the log: a log read after the end is complete.
        status = self._process.poll() if self._process is not None else None
        self._read_bochs_log()
        reason = self.watcher.panic or self._fatal or (self._host_log.failure() if self._host_log is not None else "")
        if not reason and not self._killed:
            if status is not None and not (self._soft_off if self.kind in ("bochs", "nested") else status == 0):
                reason = f"the emulator ended with status {status}: {self._last_lines(self.emulator_log(), 3)}"
        if not reason:
            return ""
        self._died_at = self._died_at or time.monotonic()
        if self.running() and time.monotonic() < self._died_at + GRACE_SECONDS:
            return ""
        return reason

    def powered_off(self) -> bool:
        """Did the machine switch itself off, and nothing else?"""
        if self._process is None or self._killed or self.running():
            return False
        return not self.failure()

    def wait_poweroff(self, timeout: float = 120) -> None:
        """Returns when the machine has switched itself off; everything it printed is in the log then."""
        deadline = time.monotonic() + timeout
        while self.running():
            reason = self.failure()
            if reason:
                raise MachineFailed(reason)
            if time.monotonic() > deadline:
                raise TimeoutError(f"not powered off after {timeout:g} s; the console ends with:\n{self.watcher.tail()}")
            time.sleep(0.05)
        if self.console is not None:
            self.console.join(GRACE_SECONDS)
        reason = self.failure()
        if reason:
            raise MachineFailed(reason)


@contextmanager
def boot(**fields: Any) -> Iterator[Machine]:
    """A running machine for the length of a with block; see the top of this file."""
    for key in ("esp", "image"):
        if isinstance(fields.get(key), str):
            fields[key] = Path(fields[key])
    fields["disks"] = [disk if isinstance(disk, Disk) else Disk.parse(str(disk)) for disk in fields.get("disks", [])]
    if isinstance(fields.get("net"), str):
        fields["net"] = Net.parse(fields["net"])
    machine = Machine(Options(**fields))
    try:
        yield machine.start()
    finally:
        machine.kill()
