# SPDX-License-Identifier: BSD-2-Clause
"""Watches the console's text: how far the boot is, whether something expected or fatal has been printed."""

import re
import threading

# Firmware draws its screen: a cursor move stands for a new line, the rest of the sequences for nothing.
CURSOR_MOVE = re.compile(r"\x1b\[[0-9;]*[Hf]")
SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?=]*[ -/]*[@-~]|[()][A-Z0-9]|[=>78cDEHM])")
UNFINISHED = re.compile(r"\x1b(?:\[[0-9;?=]*)?$")

PANIC = re.compile(r"^lintel: panic.*", re.MULTILINE)
STAGES = (
    ("shell", re.compile(r"^guest: shell ready", re.MULTILINE)),
    ("kernel", re.compile(r"^(?:\[ +\d+\.\d+\] .*|.*)Linux version \d", re.MULTILINE)),
    ("Lintel", re.compile(r"^lintel:", re.MULTILINE)),
)
# Enough for any pattern that spans lines; searching all of a long log at each character would take quadratic time.
WINDOW = 1 << 16


def plain(text: str) -> str:
    """The text as a reader sees it: no escape sequences, no carriage returns."""
    return SEQUENCE.sub("", CURSOR_MOVE.sub("\n", text)).replace("\r", "").replace("\0", "")


class Watcher:
    """Fed with raw bytes by the console's thread; asked by others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending = ""
        self._text = ""
        self._until: re.Pattern[str] | None = None
        self.stage = ""
        self.panic = ""
        self.matched = threading.Event()

    def expect(self, pattern: str) -> None:
        """Sets `matched` once this has been printed."""
        self._until = re.compile(pattern, re.MULTILINE)

    def feed(self, chunk: bytes) -> None:
        """More of the console."""
        with self._lock:
            raw = self._pending + chunk.decode("utf-8", "replace")
            unfinished = UNFINISHED.search(raw)
            self._pending = raw[unfinished.start() :] if unfinished else ""
            fresh = plain(raw[: len(raw) - len(self._pending)])
            if not fresh:
                self.stage = self.stage or "firmware"
                return
            self._text = (self._text[-WINDOW:]) + fresh
            self._judge()

    def _judge(self) -> None:
        if self._until and self._until.search(self._text):
            self.matched.set()
        found = PANIC.search(self._text)
        if found:
            # Again and again: the line may have been cut short when its beginning was seen.
            self.panic = found[0]
        reached = [name for name, pattern in STAGES if pattern.search(self._text)]
        order = ["", "firmware", "Lintel", "kernel", "shell"]
        best = reached[0] if reached else "firmware"
        if order.index(best) > order.index(self.stage):
            self.stage = best

    def tail(self, lines: int = 15) -> str:
        """The last lines, for an error message."""
        with self._lock:
            return "\n".join(self._text.rstrip().split("\n")[-lines:])
