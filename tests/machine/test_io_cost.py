# SPDX-License-Identifier: BSD-2-Clause
"""What I/O costs a guest in exits and interrupts (docs/performance.md: P16, P18): requests of a virtio disk one at a time and 32 at once, with
and without a CPU that polls, with and without the event index."""

import pytest
from lablib.machine import boot
from support.disk import fresh_disk
from support.esp import make_esp
from support.exits import Report, report_of
from support.root import BOOT_SECONDS, config
from support.shell import Shell

# A disk for each depth, so that the counts of Lintel's report are apart: /dev/vdb is disk 1, in RAM, which answers at once; /dev/vdc is disk 2, a
# partition of the machine's, which takes its time.
DISKS = "disk = ram:8M\ndisk = part:lintel-scratch\n"
DEPTHS = {1: 1, 32: 2}
REQUESTS = 800

EVENT_INDEX = pytest.mark.parametrize("event_index", [True, pytest.param(False, marks=pytest.mark.long)], ids=["event-index", "flags"])


def run(name: str, lintel: str, cpus: int, event_index: bool) -> Report:
    """The guest from its disk; REQUESTS random reads of 4 KiB of each disk. Its report."""
    name += "" if event_index else "-flags"
    text = config().replace("[lintel]\n", f"[lintel]\n{lintel}\n", 1) + DISKS + ("" if event_index else "hide = virtio-event-idx\n")
    with boot(esp=make_esp(name, text), disks=[str(fresh_disk(name))], net="user", name=f"test-{name}", cpus=cpus) as machine:
        shell = Shell(machine).wait_ready(BOOT_SECONDS)
        # Bit 29 of what Linux has agreed to, whose first is bit 0.
        assert shell.output("cut -c30 /sys/block/vdb/device/features") == f"{int(event_index)}\n"
        for depth, disk in DEPTHS.items():
            device = "/dev/vd" + "abc"[disk]
            # As programs do that have much to ask for: half of the depth at a time, in one system call.
            batch = f"--iodepth_batch={depth // 2} --iodepth_batch_complete_min={depth // 2}" if depth > 1 else ""
            command = f"fio --name=job --filename={device} --rw=randread --bs=4k --iodepth={depth} --number_ios={REQUESTS} --size=8m --io_size=64m --ioengine=libaio --direct=1 --randrepeat=1 {batch} --output-format=terse"
            result = shell.run(command, 600)
            assert result.status == 0, result.output
        return report_of(shell.poweroff(), "debian")


def costs(report: Report) -> dict[int, tuple[float, float]]:
    """By depth: kicks and interrupts for each request."""
    found = {}
    for depth, disk in DEPTHS.items():
        requests = report.device(f"disk {disk} requests")
        assert requests >= 0.9 * REQUESTS, "some of them are merged by Linux, no more"
        found[depth] = (report.device(f"port virtio-blk{disk}") / requests, report.device(f"disk {disk} interrupts") / requests)
        assert report.device(f"disk {disk} sectors copied") == 0, "data goes straight to guest memory"
        print(f"depth {depth}: {found[depth][0]:.3f} kicks and {found[depth][1]:.3f} interrupts for each of {requests} requests")
    return found


@EVENT_INDEX
def test_kicks(event_index):
    """Without a CPU that polls, a request alone costs one kick; of 32 at once many share one, and with the event index an interrupt."""
    found = costs(run("io-kicks", "", 1, event_index))
    assert found[1][0] <= 1.1 and found[1][1] <= 1.1
    assert found[32][0] <= 0.1 and found[32][1] <= (0.3 if event_index else 1.0)


@pytest.mark.long
@EVENT_INDEX
def test_io_cpu(event_index):
    """`io-cpu = 1`: the guest need not kick."""
    found = costs(run("io-cpu", "io-cpu = 1", 2, event_index))
    assert found[1][0] <= 0.02 and found[32][0] <= 0.02
