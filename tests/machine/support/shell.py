# SPDX-License-Identifier: BSD-2-Clause
"""The guest's busybox shell, used through the console as a person would."""

import re
from dataclasses import dataclass

import pexpect
from lablib.machine import Machine

PROMPT = "debian# "
READY = "guest: shell ready"
# Firmware, Lintel, Linux: about 20 s on a free core, and the tests may have to share it.
BOOT_SECONDS = 300
WINDOW = 4096


@dataclass
class Result:
    """What a command printed (lines end in \\n) and its status."""

    output: str
    status: int


class Shell:
    """Runs commands. The words that mark a command's beginning and end are typed in two halves, so that their echo is no mark."""

    def __init__(self, machine: Machine):
        assert machine.console is not None
        self.machine = machine
        self.console = machine.console

    def wait_ready(self, timeout: float = BOOT_SECONDS) -> "Shell":
        """Until there is a prompt."""
        self.console.expect(READY, timeout=timeout)
        self.console.expect_exact(PROMPT, timeout=60)
        return self

    def run(self, command: str, timeout: float = 60) -> Result:
        """Types a command line and waits for its end."""
        self.console.sendline(f'echo "be""gin:"; {command}; echo "en""d:$?:"')
        # Only the newest part of a long output is searched: all of it each time would take quadratic time.
        self.console.expect(r"begin:\r\n", timeout=timeout, searchwindowsize=WINDOW)
        self.console.expect(r"end:(\d+):\r\n", timeout=timeout, searchwindowsize=WINDOW)
        output, status = self.console.before, int(self.console.match[1])
        self.console.expect_exact(PROMPT, timeout=timeout)
        return Result(output.replace("\r", ""), status)

    def start(self, command: str, timeout: float = 60) -> None:
        """Types a command line and waits until it runs: what is typed before that is still the line editor's, and no signal and no end of file."""
        self.console.sendline(f'echo "run""ning:"; {command}')
        self.console.expect_exact("running:\r\n", timeout=timeout)

    def output(self, command: str, timeout: float = 60) -> str:
        """What a command prints that must succeed."""
        result = self.run(command, timeout)
        assert result.status == 0, f"{command}: status {result.status}: {result.output}"
        return result.output

    def quiet(self) -> None:
        """Everything printed so far is read."""
        while True:
            try:
                self.console.read_nonblocking(65536, timeout=0.3)
            except pexpect.TIMEOUT:
                break
        self.console.buffer = ""

    def poweroff(self, timeout: float = 120) -> str:
        """Switches the guest off and returns the whole log when the machine is off, too."""
        self.console.sendline("poweroff")
        self.machine.wait_poweroff(timeout)
        return self.machine.log_text()


def boot_lines(log: str) -> list[str]:
    """What Lintel itself has printed, without its "lintel: "."""
    return re.findall(r"^lintel: (.*)$", log, re.MULTILINE)
