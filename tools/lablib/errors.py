# SPDX-License-Identifier: BSD-2-Clause
"""The two ways in which a boot can go wrong before or after the machine runs."""


class LabError(Exception):
    """The machine cannot be started as asked: the text says what to change."""


class MachineFailed(Exception):
    """The machine ran and ended badly: panic, triple fault, or the emulator died."""
