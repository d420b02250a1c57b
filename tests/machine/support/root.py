# SPDX-License-Identifier: BSD-2-Clause
"""The default guest from its disk, under Lintel in the lab: the configuration that `make run` boots, with a disk of the test's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lablib.machine import Machine, boot
from lablib.paths import REPOSITORY
from lablib.ports import free_port

from .esp import make_esp

CONFIG = REPOSITORY / "guests/linux/lintel.conf"
# Kernel, initramfs, and then programs from a disk.
BOOT_SECONDS = 600


def config(scratch: bool = False) -> str:
    """guests/linux/lintel.conf, which ends with the VM's section; with `scratch` the disk's second partition is the guest's second disk."""
    return CONFIG.read_text() + ("disk = part:lintel-scratch\n" if scratch else "")


@contextmanager
def root_boot(name: str, disk: Path, forwards: dict[str, int] | None = None, scratch: bool = False) -> Iterator[tuple[Machine, dict[str, int]]]:
    """A machine with the disk, and the host's ports that lead to the guest's, by the names in `forwards`."""
    ports = {service: free_port() for service in forwards or {}}
    net = "user" + "".join(f",hostfwd=tcp:127.0.0.1:{ports[service]}-:{port}" for service, port in (forwards or {}).items())
    with boot(esp=make_esp(name, config(scratch)), disks=[str(disk)], net=net, name=f"test-{name}") as machine:
        yield machine, ports
