# SPDX-License-Identifier: BSD-2-Clause
"""What newcomers read is true of the tree: the files that CONTRIBUTING.md and its like name are there, and so are the things in them."""

import re

import pytest
from lablib.paths import REPOSITORY

DOCUMENTS = ["CONTRIBUTING.md", "CHANGELOG.md", "README.md", "SECURITY.md", *sorted(f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md"))]
FOLDERS = {path.name for path in REPOSITORY.iterdir() if path.is_dir()} - {"build", ".git"}
FILES = {path.name for path in REPOSITORY.iterdir() if path.is_file()}
# A name that is still to be given; several files in one word.
PATTERN = re.compile(r"NAME|[*\[]")


def paths(text):
    """What is in backticks and looks like a file or folder of the tree; a program's first word, too."""
    for quoted in re.findall(r"`([^`\n]+)`", text):
        word = quoted.split()[0].rstrip(":")
        if re.fullmatch(r"[\w./*\[\]+-]+", word) and (word.split("/")[0] in FOLDERS and "/" in word or word in FILES):
            yield word


def is_there(word):
    """A file or folder; of several, any; of one with NAME in it, the folder before that."""
    if "NAME" in word:
        return (REPOSITORY / word.partition("NAME")[0].rpartition("/")[0]).is_dir()
    return any(REPOSITORY.glob(word)) if PATTERN.search(word) else (REPOSITORY / word).exists()


def missing(text):
    """Those that are not there."""
    return [word for word in paths(text) if not is_there(word)]


def links(document, text):
    """Files that a document links to, as paths in the tree, and anchors in them."""
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http:", "https:")):
            file, _, anchor = target.partition("#")
            yield (REPOSITORY / document).parent / file if file else REPOSITORY / document, anchor


def recipes():
    """(heading, text) of each."""
    text = (REPOSITORY / "CONTRIBUTING.md").read_text().split("\n## Recipes\n")[1].split("\n## ")[0]
    return [part.split("\n", 1) for part in text.split("\n### ")[1:]]


@pytest.mark.parametrize("document", [document for document in DOCUMENTS if document != "CHANGELOG.md"])
def test_files_are_there(document):
    """Each file and folder that a document names exists. (What has changed names what is gone.)"""
    assert missing((REPOSITORY / document).read_text()) == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    """So does each that it links to, with its heading."""
    for file, anchor in links(document, (REPOSITORY / document).read_text()):
        assert file.exists(), file
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, f"{file}#{anchor}"


@pytest.mark.parametrize("heading, text", recipes(), ids=[heading for heading, _ in recipes()])
def test_recipe(heading, text):
    """Each recipe names files that are there, among them a test; and what it calls by name in a file is in that file."""
    named = list(paths(text))
    assert [word for word in named if not PATTERN.search(word)], heading
    assert any(word.startswith("tests/") or word.startswith("tools/") for word in named), heading
    for inside, file in re.findall(r"`(\w+)(?:\[\])?` (?:in|of) `([\w./]+)`", text):
        assert re.search(rf"\b{inside}\b", (REPOSITORY / file).read_text()), f"{inside} in {file}"
    for inside, file in re.findall(r"`(?:struct )?(\w+)` \(`([\w./]+)`\)", text):
        assert re.search(rf"\b{inside}\b", (REPOSITORY / file).read_text()), f"{inside} in {file}"


def test_there_are_recipes():
    """For all that people add: at least what the project promises to tell."""
    told = " ".join(heading.lower() for heading, _ in recipes())
    for subject in ("exit handler", "msr", "device", "virtio device", "driver", "configuration key", "key of the console", "test"):
        assert subject in told


def test_a_name_that_is_not_there():
    """The check itself: what is gone is found, also several; of a name to be given the folder counts; prose is left alone."""
    text = "`vmm/nothing.c`, `vmm/pc/vNAME.[ch]`, `nowhere/a.c`, `make test`, `vmm/none/vNAME.c`, `tools/lab boot`, `vmm/zzz*.c`, `vmm/pc/vp*.c`, `tools/gone it`"
    assert missing(text) == ["vmm/nothing.c", "vmm/none/vNAME.c", "vmm/zzz*.c", "tools/gone"]
