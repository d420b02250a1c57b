# SPDX-License-Identifier: BSD-2-Clause
"""In Bochs, with one CPU and nothing typed, a run repeats to the last exit: the ground that exact counters stand on."""

import pytest
from lablib.machine import boot
from support.esp import CMDLINE_POWEROFF, linux, make_esp
from support.exits import report_of


def run(number: int) -> str:
    """A boot of Linux that switches itself off; what the machine printed from Lintel's first line on."""
    # Bochs draws RDRAND and RDSEED from the host, and Linux shuffles its memory by them.
    esp = make_esp("determinism", linux(cmdline=CMDLINE_POWEROFF, more="hide = rdrand, rdseed"))
    with boot(esp=esp, machine="bochs", name=f"test-determinism-{number}") as machine:
        machine.wait_poweroff(300)
        log = machine.log_text()
    return log[log.index("lintel:") :]


# With four vCPUs on one CPU: test_smp_linux.py.
@pytest.mark.long
def test_two_runs_are_the_same():
    """Two runs print the same, to the byte: each kernel message with its time, each row of the table of exits."""
    first, second = run(1), run(2)
    assert report_of(first, "debian").end == "poweroff"
    assert report_of(first, "debian") == report_of(second, "debian")
    assert first == second
