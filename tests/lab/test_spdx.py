# SPDX-License-Identifier: BSD-2-Clause
"""Each source says its licence: tools/check-spdx names the one that does not, whatever kind it is, and ends with status 1."""

import subprocess

import pytest
from lablib.paths import REPOSITORY

CHECK = REPOSITORY / "tools/check-spdx"
TAG = "SPDX-License-Identifier: BSD-2-Clause"

# A name, what is before the line, and the line.
KINDS = [
    ("vmm/a.c", "", f"/* {TAG} */"),
    ("lib/a.h", "", f"/* {TAG} */"),
    ("vmm/pc/a.asl", "", f"/* {TAG} */"),
    ("boot/a.lds", "", f"/* {TAG} */"),
    ("vmx/a.asm", "", f"; {TAG}"),
    ("lib/a.inc", "", f"; {TAG}"),
    ("tests/lab/a.py", "", f"# {TAG}"),
    ("guests/a.mk", "", f"# {TAG}"),
    ("Makefile", "", f"# {TAG}"),
    ("guests/linux/packages", "", f"# {TAG}"),
    ("tools/a", "#!/usr/bin/python3\n", f"# {TAG}"),
    ("guests/a/init", "#!/bin/sh\n", f"# {TAG}"),
]


def check(*arguments):
    """(status, standard output, standard error)."""
    done = subprocess.run([CHECK, *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_tree():
    """No source of the project lacks its line."""
    assert check() == (0, "", "")


def test_the_licence():
    """The line names the licence that the tree has."""
    assert (REPOSITORY / "LICENSE").read_text().startswith("BSD 2-Clause License\n\nCopyright (c) 2026, The Lintel authors\n")


@pytest.mark.parametrize("table", ["dsdt", "ssdt_pci"])
def test_what_a_tool_makes(table):
    """A source that is made gets its line from the tool that makes it: it is what that tool prints today."""
    made = subprocess.run(["tools/dsdt-header", f"vmm/pc/{table}.asl"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert made == (REPOSITORY / f"vmm/pc/{table}.h").read_text()


@pytest.mark.parametrize("name, before, line", KINDS, ids=[kind[0] for kind in KINDS])
def test_one_source(tmp_path, name, before, line):
    """With its line it passes; without it, with another licence or with the line elsewhere it is named."""
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{before}{line}\nrest\n")
    assert check(tmp_path) == (0, "", "")
    for spoiled in ("", "rest\n", f"\n{line}\n", f"{line.replace('BSD-2-Clause', 'MIT')}\n"):
        file.write_text(before + spoiled)
        status, _, err = check(tmp_path)
        assert status == 1 and f"check-spdx: {name}:{1 + bool(before)}: the licence is missing" in err


def test_what_is_no_source(tmp_path):
    """Documents, data and what is made need no line."""
    for name in ("README.md", "docs/a.svg", "a/lintel.conf", "build/a.c", "__pycache__/a.py", "etc/inittab"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text\n")
    assert check(tmp_path) == (0, "", "")
