# SPDX-License-Identifier: BSD-2-Clause
"""The floors of the house are kept: tools/check-layers finds an arrow that points up, names the file, and ends with status 1."""

import re
import shutil
import subprocess

import pytest
from houselib.rooms import FLOOR_OF, FOLDERS, ROOMS, components, sources
from lablib.paths import REPOSITORY

CHECK = REPOSITORY / "tools/check-layers"


@pytest.fixture(name="house")
def fixture_house(tmp_path):
    """A copy of the sources to spoil."""
    for folder in FOLDERS:
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    return tmp_path


def check(root, *arguments):
    """(status, standard output, standard error)."""
    done = subprocess.run([CHECK, *arguments, root], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_house_as_it_is():
    """No arrow up, none that is not named, and no circle through two rooms; every room has sources, and every source a room."""
    status, out, err = check(REPOSITORY, "--objects", REPOSITORY / "build/image")
    assert (status, err) == (0, "")
    assert "no arrow up; circles across rooms: none" in out
    assert re.findall(r"^ ?\d+  (\S+) ", out, re.MULTILINE) == [r for r in sorted(ROOMS, key=lambda r: -FLOOR_OF[r])]


@pytest.mark.parametrize(
    "file, include, why",
    [
        ("lib/math.h", "vmm/vm/vm.h", "lib may not use vmm/vm, which lies above it"),
        ("vmm/host/mem.c", "vmm/sched/sched.h", "vmm/host does not use vmm/sched"),
        ("vmm/vm/vm.h", "vmm/vcpu/vcpu.h", "vmm/vm may not use vmm/vcpu, which lies above it"),
        ("vmm/vcpu/msr.c", "vmm/exit/exit.h", "vmm/vcpu may not use vmm/exit, which lies above it"),
        ("vmm/config.h", "vmm/host/mem.h", "vmm/*.h may not use vmm/host, which lies above it"),
        ("vmm/pc/vuart.c", "vmx/vmcs.h", "vmm/pc does not use vmx"),
        ("vmm/run/run.c", "vmm/sched/nothing.h", "no such file, as seen from the top of the tree"),
    ],
)
def test_an_include_that_is_not_allowed(house, file, include, why):
    """It fails with the file and its line named."""
    (house / file).write_text(f'#include "{include}"\n' + (house / file).read_text())
    status, out, err = check(house)
    assert (status, out) == (1, "")
    assert f"check-layers: {file}:1: " in err and why in err


def test_a_source_outside_all_rooms(house):
    """A new folder is not silently above the law."""
    (house / "vmm/attic").mkdir()
    (house / "vmm/attic/box.c").write_text('#include "lib/types.h"\n')
    status, _, err = check(house)
    assert status == 1 and "vmm/attic/box.c:1: in no room" in err


def test_a_function_that_is_promised_below_and_kept_above(house, tmp_path):
    """What a header of a lower room declares and a source of a higher one defines is an arrow up without an include."""
    (house / "lib/math.h").write_text((house / "lib/math.h").read_text().replace("#endif", "void vm_kept_above(void);\n#endif"))
    (house / "lib/crc32.c").write_text((house / "lib/crc32.c").read_text() + '\n#include "lib/math.h"\nvoid promised(void);\nvoid promised(void)\n{\n\tvm_kept_above();\n}\n')
    (house / "vmm/vm/vm.c").write_text((house / "vmm/vm/vm.c").read_text() + "\nvoid vm_kept_above(void);\nvoid vm_kept_above(void)\n{\n}\n")
    objects = tmp_path / "objects"
    shutil.copytree(REPOSITORY / "build/image", objects, ignore=lambda _, names: [n for n in names if n.endswith(".d")])
    for source in ("lib/crc32.c", "vmm/vm/vm.c"):
        subprocess.run(["gcc", "-ffreestanding", "-c", "-I.", "-o", objects / source.replace(".c", ".o"), source], cwd=house, check=True)
    status, _, err = check(house, "--objects", objects)
    assert status == 1 and "lib/crc32.c: vm_kept_above() is defined in vmm/vm/vm.c: lib may not use vmm/vm" in err


def test_the_order_of_the_floors():
    """What a room may use lies below it: so there can be no circle, whatever is included."""
    for name, room in ROOMS.items():
        assert all(FLOOR_OF[used] < FLOOR_OF[name] for used in room.uses), name
    assert len(sources(REPOSITORY)) > 300


def test_components():
    """The circles are those of the graph: two rings that share no node, and what hangs on them."""
    edges = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert sorted(sorted(c) for c in components(edges)) == [["a", "b", "c"], ["d", "e"], ["f"]]
