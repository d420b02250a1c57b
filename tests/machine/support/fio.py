# SPDX-License-Identifier: BSD-2-Clause
"""fio with verification in a guest: what is written is read again and compared, by its checksum, with what was meant to be there."""

import json

from .shell import Shell


def fio(shell: Shell, file: str, pattern: str, block: str = "4k", depth: int = 1, size: str = "4m", more: str = "", timeout: float = 600) -> dict:
    """One job; its result as fio tells it. Fails on the first byte that is not as it was written."""
    command = f"fio --name=job --filename={file} --rw={pattern} --bs={block} --iodepth={depth} --size={size} --ioengine=libaio --direct=1"
    command += f" --verify=crc32c --verify_fatal=1 --do_verify=1 --output-format=json --output=/tmp/fio.json {more}"
    result = shell.run(command, timeout)
    assert result.status == 0, f"{command}: {result.output}"
    job = json.loads(shell.output("cat /tmp/fio.json", timeout))["jobs"][0]
    assert job["error"] == 0, job
    assert job["write"]["total_ios"] > 0 and job["read"]["total_ios"] >= job["write"]["total_ios"], "nothing was verified"
    return job
