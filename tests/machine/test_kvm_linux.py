# SPDX-License-Identifier: BSD-2-Clause
"""The other side of tests/bench/linux-loads: kvm-run boots the loads' Linux under the KVM of a Linux in Bochs, and KVM's exits are counted."""

import pytest
from benchlib import linux

SECONDS = 400


@pytest.mark.long
def test_a_linux_under_kvm(tmp_path):
    """All loads come to their end; what KVM counts by itself and what its trace event counts by reason is the same number."""
    for file in (linux.INITRD, linux.KVM_RUN, linux.BUILD / "guests/vmlinux", linux.BUILD / "guests/vmlinuz"):
        if not file.is_file():
            pytest.skip("needs what make guests kvm-run loads builds")
    run = linux.kvm(tmp_path, "kvm-test", "bochs", "", SECONDS, "host.count")
    assert run.problem == ""
    assert list(run.loads) == ["cpu", "fork_exec", "page_fault", "pipe", "timer", "file", "network"] and all(run.loads.values())
    counters, exits = run.counts["counters"], run.counts["exits"]
    for part in ("boot", "loads"):
        assert sum(exits[part].values()) == counters[part]["exits"] > 0
        assert exits[part]["I/O instruction"] >= counters[part]["io_exits"] > 0
