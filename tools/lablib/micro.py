# SPDX-License-Identifier: BSD-2-Clause
"""VMs that run micro-guests (guests/micro/README.md): what one needs in lintel.conf, for tests and for the image that proves a machine."""

from dataclasses import dataclass


@dataclass
class Guest:
    """One VM that runs a micro-guest."""

    vm: str
    image: str
    cmdline: str = ""
    more: str = ""
    memory: str = "16M"

    def section(self) -> str:
        """Its part of lintel.conf."""
        return f"[vm {self.vm}]\nmemory = {self.memory}\nkernel = {self.image}.elf\ncmdline = {self.cmdline}\ndebug-exit = 0xf4\n{self.more}\n"


# What a guest needs beside its image to make all its claims, wherever it runs.
BLK = "disk = ram:8M\ndisk = ram:1M,ro"
