# SPDX-License-Identifier: BSD-2-Clause
"""Finds UEFI firmware (OVMF) for QEMU and Bochs among the places where distributions put it."""

from pathlib import Path

from .paths import cache

# Code and variables as two flash chips: QEMU.
PAIRS = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
)


def pair(unpacked_first: bool = False) -> tuple[Path, Path] | None:
    """The code and the template of the variables, from the machine or from the unpacked packages of Bochs. Those are newer."""
    places = [Path("/"), cache() / "bochs"]
    for root in reversed(places) if unpacked_first else places:
        for code, variables in PAIRS:
            found = root / code.lstrip("/"), root / variables.lstrip("/")
            if found[0].is_file() and found[1].is_file():
                return found
    return None


def combined() -> Path | None:
    """Both in one file, as Bochs wants it (4 MiB)."""
    for root in (Path("/"), cache() / "bochs"):
        found = root / "usr/share/ovmf/OVMF.fd"
        if found.is_file():
            return found
    return None
