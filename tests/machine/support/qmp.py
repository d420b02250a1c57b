# SPDX-License-Identifier: BSD-2-Clause
"""QEMU's monitor, for what is done to a machine while it runs. Its words of the command line are WORDS; the machine is to be QEMU's."""

import json
import socket
from pathlib import Path
from typing import Any

SOCKET = "qmp.sock"
# QEMU runs in the machine's folder, and so a short path is enough: a socket's name has 107 characters at most.
WORDS = ["-qmp", f"unix:{SOCKET},server=on,wait=off"]


class Monitor:
    """One client, which asks and waits for the answer."""

    def __init__(self, folder: Path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(str(folder / SOCKET))
        self._lines = self._socket.makefile("r", encoding="utf-8")
        assert "QMP" in json.loads(self._lines.readline())
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: Any) -> Any:
        """The answer; what QEMU has to tell meanwhile is passed over."""
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = json.loads(self._lines.readline())
            if "event" not in answer:
                assert "return" in answer, answer
                return answer["return"]

    def set_link(self, device: str, up: bool) -> None:
        """Pull the cable of a network card, or put it back."""
        self.ask("set_link", name=device, up=up)

    def close(self) -> None:
        """No more questions."""
        self._lines.close()
        self._socket.close()
