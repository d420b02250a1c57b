# SPDX-License-Identifier: BSD-2-Clause
"""What make offers to people and their editors: the list of targets, and how each source is compiled; and what tools/size counts."""

import json
import re
import subprocess

import pytest
from copies import copy_of_tree
from houselib.rooms import sources
from lablib.paths import REPOSITORY


def make(*arguments, cwd=REPOSITORY):
    """Standard output of a run that must succeed."""
    return subprocess.run(["make", "--no-print-directory", *arguments], cwd=cwd, capture_output=True, text=True, check=True).stdout


def test_help():
    """It lists each target that people call, with a word on it, and none that is not there."""
    listed = re.findall(r"^  (\S+) +\S", make("help"), re.MULTILINE)
    text = (REPOSITORY / "Makefile").read_text()
    phony = set(" ".join(re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)).split())
    assert listed[0] == "(without)" and set(listed[1:]) == phony
    assert len(listed) == len(set(listed))


@pytest.fixture(scope="module", name="database")
def fixture_database(tmp_path_factory):
    """That of a copy, where nothing has been built: by file."""
    tree = copy_of_tree(tmp_path_factory.mktemp("commands") / "tree")
    make("compile_commands.json", cwd=tree)
    return tree, {entry["file"]: entry for entry in json.loads((tree / "compile_commands.json").read_text())}


def test_compile_commands_name_all(database):
    """Each C source of the image has its entry, as the image has it; tests and guests have theirs."""
    tree, entries = database
    for source in sources(tree):
        if source.endswith(".c"):
            assert f"build/image/{source[:-2]}.o" in entries[source]["arguments"], source
    assert {"tests/unit/test_ept.c", "tests/fuzz/fuzz_config.c", "guests/micro/msr.c", "guests/exitbench/main.c"} <= set(entries)
    assert all(entry["directory"] == str(tree) for entry in entries.values())


@pytest.mark.parametrize("source", ["boot/main.c", "vmm/exit/reenter.c", "tests/unit/test_ept.c", "guests/micro/msr.c"])
def test_compile_commands_compile(database, source):
    """What an entry says compiles: in the folder that it names, with all of its words."""
    _, entries = database
    words = [word for word in entries[source]["arguments"] if word not in ("-MMD", "-MP")]
    subprocess.run([*words, "-fsyntax-only"], cwd=entries[source]["directory"], check=True)


def test_size_adds_up():
    """The rooms' figures are those of the whole house: no source is forgotten, none counted twice."""
    out = subprocess.run([REPOSITORY / "tools/size"], capture_output=True, text=True, check=True).stdout
    rows = {name: (int(files), int(lines), int(code)) for name, files, lines, code in re.findall(r"^(\S.*?) +(\d+) files? +(\d+) lines, +(\d+) of them code", out, re.MULTILINE)}
    total = rows.pop("all")
    parts = [rows.pop(part) for part in ("way of an exit", "core", "drivers, devices")]
    assert total == tuple(map(sum, zip(*rows.values())))
    assert total[0] == len(sources(REPOSITORY))
    assert total[1] == sum((REPOSITORY / source).read_text().count("\n") for source in sources(REPOSITORY))
    assert parts[0][0] == 7 and all(part < total for part in parts)
