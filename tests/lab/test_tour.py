# SPDX-License-Identifier: BSD-2-Clause
"""`make run` without a terminal: tools/run boots, takes its tour through the guest, and powers off; and what it does when the guest is no good."""

import subprocess

from lablib.paths import REPOSITORY
from support import tiny
from support.esp import make_esp

INDEPENDENT = True


def tour(name: str, esp) -> subprocess.CompletedProcess:
    """tools/run as a script calls it."""
    command = [REPOSITORY / "tools/run", "--esp", esp, "--name", f"test-{name}"]
    return subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=500, check=False)


def test_tour():
    """Status 0; the output has the guest's answers and its table of exits; the machine and the reason for it are told."""
    run = tour("tour", make_esp("tour", (REPOSITORY / "guests/linux/minimal.conf").read_text()))
    assert run.returncode == 0, run.stderr
    for words in ("Linux debian 6.", "vendor_id", "hvc0", "lintel: vm debian: stopped: poweroff", "I/O instruction", "lintel: powering off"):
        assert words in run.stdout, words
    assert run.stderr.startswith("run: machine: ") and "powered off" in run.stderr.splitlines()[-1]


def test_tour_fails():
    """Status 1 at once when the VM ends before there is a shell, with the reason that Lintel gave."""
    run = tour("tour-fails", make_esp("tour-fails", "[vm short]\nmemory = 16M\nkernel = guest\ndebug-exit = 0xf4\n", {"guest": tiny.debug_exit(7)}))
    assert run.returncode == 1
    assert "run: failed: vm short stopped (debug-exit 0x7) before the guest's shell" in run.stderr
