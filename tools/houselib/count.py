# SPDX-License-Identifier: BSD-2-Clause
"""Lines of sources, and the functions in them."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Size:
    """Files, their lines, and the lines that are neither blank nor wholly comment."""

    files: int = 0
    lines: int = 0
    code: int = 0

    def __add__(self, other: "Size") -> "Size":
        return Size(self.files + other.files, self.lines + other.lines, self.code + other.code)


def size_of(file: Path) -> Size:
    """Of one source in C or for NASM."""
    lines = code = 0
    comment = False
    for line in file.read_text(encoding="utf-8").splitlines():
        lines += 1
        text = line.strip()
        if comment:
            comment = "*/" not in text
        elif text.startswith("/*"):
            comment = "*/" not in text
        elif text and not text.startswith(";"):
            code += 1
    return Size(1, lines, code)


def size_of_all(root: Path, files: Iterable[str]) -> Size:
    """Of several, by their paths from @root."""
    return sum((size_of(root / file) for file in files), Size())


@dataclass(frozen=True)
class Function:
    """A function of C, from the line of its name to its last one."""

    lines: int
    name: str
    file: str


def functions(root: Path, files: Iterable[str]) -> list[Function] | None:
    """Those that sources (not headers) define, shortest first. None: there is no universal-ctags here to find them."""
    if not shutil.which("ctags"):
        return None
    command = ["ctags", "-L", "-", "--languages=C", "--kinds-C=f", "--fields=+ne", "-f", "-"]
    done = subprocess.run(command, cwd=root, input="\n".join(f for f in files if f.endswith(".c")), capture_output=True, text=True, check=False)
    found = []
    for line in done.stdout.splitlines():
        match = re.search(r"\tline:(\d+)\b.*\tend:(\d+)", line)
        if match:
            name, file = line.split("\t")[:2]
            found.append(Function(int(match[2]) - int(match[1]) + 1, name, file))
    return sorted(found, key=lambda f: (f.lines, f.name)) or None
