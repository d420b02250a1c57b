# SPDX-License-Identifier: BSD-2-Clause
"""Programs and images that Debian packages, for guests: unpacked into the cache, not installed."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from lablib.paths import REPOSITORY

BUILD = REPOSITORY / "build"
UNPACK = 'set -euo pipefail; . tools/apt-private; say() { echo "packages: $*" >&2; }; unpack_suite "$@"'
LOADER = "lib64/ld-linux-x86-64.so.2"


@cache
def unpacked(name: str, proof: str, *packages: str, suite: str = "bookworm") -> Path:
    """The folder with these packages and all that they need; `proof` is a file in it."""
    run = subprocess.run(["bash", "-c", UNPACK, "bash", name, suite, proof, *packages], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return Path(run.stdout.splitlines()[-1])


@cache
def kernel(flavour: str, suite: str = "") -> Path:
    """A folder as build/guests/, with another of Debian's kernels: of that flavour, and of that suite unless it is the machine's own."""
    folder = BUILD / f"guests-{flavour}{'-' + suite if suite else ''}"
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "FLAVOUR": flavour, **({"SUITE": suite} if suite else {})}
    run = subprocess.run([str(REPOSITORY / "guests/linux/build"), str(folder)], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


def release(folder: Path) -> str:
    """What `uname -r` says of the kernel in such a folder."""
    package = (folder / "linux.stamp").read_text().splitlines()[1]
    return package.removeprefix("linux-image-").partition("_")[0]


def libraries(root: Path, program: str) -> list[Path]:
    """What it is linked with, within the folder, as its own loader finds them."""
    places = f"{root}/lib/x86_64-linux-gnu:{root}/usr/lib/x86_64-linux-gnu"
    output = subprocess.run([root / LOADER, "--library-path", places, "--list", root / program], capture_output=True, text=True, check=True).stdout
    return [Path(line.split()[2]) for line in output.splitlines() if "=> /" in line]


def archive(name: str, files: dict[str, Path], program: tuple[Path, str] | None = None) -> bytes:
    """A cpio of files by their names in it, to be put behind an initrd; and of a program with its loader and libraries: (folder, name)."""
    tree = BUILD / "test-archives" / name
    shutil.rmtree(tree, ignore_errors=True)
    wanted = dict(files)
    if program:
        root, path = program
        wanted |= {path: root / path, LOADER: root / LOADER}
        wanted |= {f"lib/x86_64-linux-gnu/{file.name}": file for file in libraries(root, path)}
    for target, source in wanted.items():
        (tree / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, tree / target)
    names = "\n".join(sorted(str(path.relative_to(tree)) for path in tree.rglob("*")))
    return subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=tree, input=names.encode(), capture_output=True, check=True).stdout
