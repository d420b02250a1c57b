# SPDX-License-Identifier: BSD-2-Clause
"""Copies of the tree, to spoil or to build elsewhere."""

import shutil
from pathlib import Path

from lablib.paths import REPOSITORY

MADE = shutil.ignore_patterns("build", ".git", "__pycache__", ".pytest_cache", "compile_commands.json*")


def copy_of_tree(to: Path) -> Path:
    """All of it but what is made from it; its folder."""
    shutil.copytree(REPOSITORY, to, ignore=MADE, symlinks=True)
    return to
