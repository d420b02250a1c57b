# SPDX-License-Identifier: BSD-2-Clause
"""VMs that run micro-guests (guests/micro/README.md), and what they say."""

import re
from pathlib import Path

from lablib.micro import Guest

from .esp import MICRO, make_esp
from .exits import STOPPED

# The longest that a guest of a whole boot may take, several machines side by side.
SECONDS = 300


def lay_out(name: str, guests: list[Guest], lintel: str = "") -> Path:
    """An ESP with these VMs, in this order."""
    files = {f"{image}.elf": MICRO / f"{image}.elf" for image in {guest.image for guest in guests}}
    config = f"[lintel]\nidle = poweroff\n{lintel}\n" + "".join(guest.section() for guest in guests)
    return make_esp(name, config, {**files, "module": b"the module"})


def ends(log: str) -> dict[str, str]:
    """How each VM ended last."""
    return {found[1]: found[2] for found in STOPPED.finditer(log + "\n")}


def failures(log: str, image: str) -> list[str]:
    """The claims of a guest that did not hold, as it said itself, on its console or among its last words."""
    return re.findall(rf"^(?:lintel: vm \S+ said: )?{image}: (?:FAIL .*|.* FAIL .*)$", log, re.MULTILINE)
