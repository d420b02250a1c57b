# SPDX-License-Identifier: BSD-2-Clause
"""The power fails while the guest writes: everything that a completed fsync covered is on the disk, and the file system recovers by its journal."""

import random
import shutil
import time

import pytest
from support.disk import check_clean, check_consistent, extract, fresh_disk, partition, recovered_copy
from support.durable import durable_lines, head, last_intact
from support.root import BOOT_SECONDS, root_boot
from support.shell import Shell

FOLDER = "/root/durable"
RECORDS_PER_HEAD = 16


def run_and_kill(disk, known: int, chance: random.Random) -> int:
    """Boots, lets the writer go on, and kills the machine at some moment. The number of records that were told to be durable."""
    with root_boot("crash", disk) as (machine, _):
        shell = Shell(machine).wait_ready(BOOT_SECONDS)
        shell.output(f"mkdir -p {FOLDER}")
        # What was durable before the last crash is still there for the guest itself.
        assert int(shell.output(f"durable check {FOLDER}", 300).split()[1]) >= known
        shell.console.sendline(f"durable write {FOLDER}")
        shell.console.expect(r"intact (\d+)\r\n", timeout=300)
        target = int(shell.console.match[1]) + chance.randrange(1, 100)
        shell.console.expect(rf"durable {target}\r\n", timeout=600, searchwindowsize=4096)
        time.sleep(chance.random() / 2)
        machine.kill()
        return durable_lines(machine.log_text())[-1]


def check_on_host(disk, told: int) -> int:
    """On a copy, since the guest shall recover the disk by itself: how many records are intact."""
    part = recovered_copy(partition(disk, "debian-root"), disk.with_suffix(".copy"))
    check_consistent(part)
    folder = extract(part, FOLDER, disk.with_suffix(".files"))
    intact = last_intact(folder)
    assert intact >= told, f"{told} records were durable, {intact} are there"
    assert told // RECORDS_PER_HEAD * RECORDS_PER_HEAD <= head(folder) <= intact + RECORDS_PER_HEAD
    shutil.rmtree(folder.parent)
    part.image.unlink()
    return intact


def crash(name: str, times: int) -> None:
    """So many lives of one disk, and an orderly one at the end."""
    disk = fresh_disk(name)
    chance = random.Random(times)
    intact = 0
    for life in range(times):
        told = run_and_kill(disk, intact, chance)
        assert told > intact, f"life {life}: nothing was written"
        intact = check_on_host(disk, told)
    with root_boot("crash", disk) as (machine, _):
        shell = Shell(machine).wait_ready(BOOT_SECONDS)
        assert int(shell.output(f"durable check {FOLDER}", 300).split()[1]) >= intact
        shell.poweroff(timeout=300)
    check_clean(partition(disk, "debian-root"))


def test_crash():
    """Once: a machine that loses its power while a program writes, and the disk it leaves."""
    crash("crash", 1)


@pytest.mark.long
def test_fifty_crashes():
    """Fifty in a row, on one disk."""
    crash("crash-fifty", 50)
