# SPDX-License-Identifier: BSD-2-Clause
"""The image is reproducible: the same sources give the same bytes, wherever they lie."""

import subprocess

import pytest
from copies import copy_of_tree
from lablib.paths import REPOSITORY

IMAGE = "build/lintel.efi"


def build(folder):
    """By one `make`, as people do it."""
    done = subprocess.run(["make", "--no-print-directory", "-j2", IMAGE], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def built_here():
    """Is the image in the tree made of the sources in the tree?"""
    return subprocess.run(["make", "--question", IMAGE], cwd=REPOSITORY, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module", name="two")
def fixture_two(tmp_path_factory):
    """Two folders of different depth with the image in them. One is the tree itself, where that is up to date: it saves half the time."""
    there = build(copy_of_tree(tmp_path_factory.mktemp("one") / "three/floors/down"))
    return there, REPOSITORY if built_here() else build(copy_of_tree(tmp_path_factory.mktemp("other") / "tree"))


def test_the_image(two):
    """lintel.efi is the same, byte by byte."""
    assert (two[0] / IMAGE).read_bytes() == (two[1] / IMAGE).read_bytes()


def test_the_objects(two):
    """So are all objects of C with their debug information; those of NASM name the folder in theirs, and it has no switch against that."""
    objects = [path.relative_to(two[0]) for path in sorted((two[0] / "build/image").rglob("*.o"))]
    different = [str(path) for path in objects if (two[0] / path).read_bytes() != (two[1] / path).read_bytes()]
    assert len(objects) > 100
    assert [path for path in different if not path.endswith(".asm.o")] == []
