# SPDX-License-Identifier: BSD-2-Clause
"""Real clients on the host for servers in a guest."""

import hashlib
import os
import socket
import subprocess
from pathlib import Path

from .disk import KEY
from .shell import Shell

SSH_OPTIONS = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"]
TRANSFER_SECONDS = 900


def curl(url: str, timeout: float = 60) -> str:
    """The body of an answer that must be good."""
    run = subprocess.run(["curl", "-sS", "-f", "--max-time", f"{timeout:g}", url], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def ssh(port: int, command: str, timeout: float = 120) -> str:
    """What a command prints that runs in the guest by ssh."""
    words = ["ssh", "-i", str(KEY), "-p", str(port), *SSH_OPTIONS, "root@127.0.0.1", command]
    run = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def make_file(path: Path, size: int) -> str:
    """Random bytes; their SHA-256."""
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        while size > 0:
            chunk = os.urandom(min(size, 1 << 20))
            file.write(chunk)
            digest.update(chunk)
            size -= len(chunk)
    return digest.hexdigest()


def _serve(shell: Shell, guest_port: int, command: str) -> None:
    """Starts a server in the background of the guest's shell, and waits until it listens: a forward takes connections in any case."""
    shell.output(f"{{ {command} & }} 2>/dev/null")
    shell.output(f"until ss -H -l -t -n sport = :{guest_port} | grep -q LISTEN; do sleep 0.1; done")


def send_to_guest(shell: Shell, port: int, guest_port: int, source: Path) -> str:
    """Sends a file to nc in the guest through a forwarded port; the SHA-256 of what arrived, as the guest computes it."""
    _serve(shell, guest_port, f"nc -l -p {guest_port} < /dev/null | sha256sum > /tmp/received")
    with open(source, "rb") as file, socket.create_connection(("127.0.0.1", port), TRANSFER_SECONDS) as connection:
        connection.sendfile(file)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
    return shell.output("wait; cat /tmp/received", TRANSFER_SECONDS).split()[-2]


def receive_from_guest(shell: Shell, port: int, guest_port: int, path: str) -> str:
    """Takes a file from nc in the guest; the SHA-256 of what arrived here."""
    _serve(shell, guest_port, f"nc -N -l -p {guest_port} < {path}")
    digest = hashlib.sha256()
    with socket.create_connection(("127.0.0.1", port), TRANSFER_SECONDS) as connection:
        while chunk := connection.recv(1 << 16):
            digest.update(chunk)
    shell.output("wait")
    return digest.hexdigest()
