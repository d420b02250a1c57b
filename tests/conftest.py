"""For all tests that pytest runs; see tests/run-tests."""

import pytest


def pytest_addoption(parser):
    """--long: the slow tests as well."""
    parser.addoption("--long", action="store_true", help="run the tests marked `long`, too")


def pytest_collection_modifyitems(config, items):
    """Tests marked `long` are not skipped but left out: `make test` does not promise them."""
    if config.getoption("--long"):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session", autouse=True)
def built():
    """The tests need what `make esp` builds; without it they would all fail with riddles."""
    from lablib.paths import REPOSITORY

    if not (REPOSITORY / "build/lintel.efi").is_file():
        pytest.exit("build/lintel.efi is missing: run `make test`, or `make esp` first", returncode=4)
