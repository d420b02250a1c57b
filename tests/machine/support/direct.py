# SPDX-License-Identifier: BSD-2-Clause
"""The default guest's disk in QEMU, without Lintel: kernel and initramfs are QEMU's to load, the processor is emulated. What fails here is the guest's own fault."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lablib.console import Console
from lablib.errors import LabError
from lablib.paths import RUNS
from lablib.ports import free_port
from lablib.watch import plain

from .esp import GUESTS

CMDLINE = "console=ttyS0 console=hvc0 quiet rdinit=/init cryptomgr.notests root=LABEL=debian-root lintel.ip=10.0.2.15/24 lintel.gw=10.0.2.2"


class Direct:
    """As much of lablib.machine.Machine as Shell needs."""

    kind = "tcg"

    def __init__(self, name: str, disk: Path, forwards: dict[str, int], cmdline: str = CMDLINE):
        self.folder = RUNS / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ports = {service: free_port() for service in forwards}
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        net = "user,id=n" + "".join(f",hostfwd=tcp:127.0.0.1:{self.ports[service]}-:{port}" for service, port in forwards.items())
        command = ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", "max", "-m", "512", "-display", "none", "-nodefaults", "-no-reboot"]
        command += ["-kernel", str(GUESTS / "vmlinuz"), "-initrd", str(GUESTS / "initrd.img"), "-append", cmdline]
        command += ["-drive", f"if=virtio,format=raw,file={disk}", "-netdev", net, "-device", "virtio-net-pci,netdev=n"]
        command += ["-serial", f"file:{self.folder / 'serial.log'}"]
        command += ["-chardev", f"socket,id=c,host=127.0.0.1,port={listener.getsockname()[1]}", "-device", "virtio-serial-pci", "-device", "virtconsole,chardev=c"]
        with open(self.folder / "emulator.out", "wb") as out:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)  # pylint: disable=consider-using-with
        listener.settimeout(30)
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            self.kill()
            raise LabError(f"QEMU did not start: {(self.folder / 'emulator.out').read_text()}") from None
        finally:
            listener.close()
        connection.settimeout(None)
        self.console = Console(connection, self.folder / "console.log", [], lambda: "")

    def kill(self) -> None:
        """As if the power failed."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if hasattr(self, "console"):
            self.console.close()

    def wait_poweroff(self, timeout: float = 120) -> None:
        """Until the emulator has ended by itself."""
        deadline = time.monotonic() + timeout
        while self._process.poll() is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"not powered off after {timeout:g} s: {self.log_text()[-1000:]}")
            time.sleep(0.05)
        assert self._process.returncode == 0

    def log_text(self) -> str:
        """The console so far."""
        return plain((self.folder / "console.log").read_text("utf-8", "replace"))


@contextmanager
def direct_boot(name: str, disk: Path, forwards: dict[str, int], **more: str) -> Iterator[Direct]:
    """A running guest for the length of a with block."""
    machine = Direct(name, disk, forwards, **more)
    try:
        yield machine
    finally:
        machine.kill()
