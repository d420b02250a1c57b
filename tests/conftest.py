"""For all tests that pytest runs; see tests/run-tests."""

import pytest


def pytest_addoption(parser):
    """--long: the slow tests as well."""
    parser.addoption("--long", action="store_true", help="run the tests marked `long`, too")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Tests of a file share its machine, so one worker runs them all; a file that says INDEPENDENT boots once per test, wherever.
    Tests marked `long` are not skipped but left out: `make test` does not promise them."""
    for item in items:
        if not getattr(item.module, "INDEPENDENT", False):
            item.add_marker(pytest.mark.xdist_group(item.module.__name__))
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
