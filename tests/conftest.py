# SPDX-License-Identifier: BSD-2-Clause
"""For all tests that pytest runs; see tests/run-tests."""

import json

import pytest


def pytest_addoption(parser):
    """What tests/run-tests passes."""
    parser.addoption("--long", action="store_true", help="run the tests marked `long`, too")
    parser.addoption("--results-to-stdout", action="store_true", help="a line of JSON for each test, instead of dots: for tests/run-tests")


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


class Results:
    """Adds up set-up, test and tear-down of each test to one result."""

    def __init__(self):
        self._reports = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report):
        """No dots between the lines."""
        category = "error" if report.failed and report.when != "call" else report.outcome
        return category, "", ""

    def pytest_runtest_logreport(self, report):
        """One phase of a test."""
        phases = self._reports.setdefault(report.nodeid, [])
        phases.append(report)
        if report.when != "teardown":
            return
        outcomes = [phase.outcome for phase in phases]
        outcome = next((bad for bad in ("failed", "skipped") if bad in outcomes), "passed")
        detail = ""
        if outcome == "skipped":
            detail = next(str(phase.longrepr[2]) for phase in phases if phase.skipped).removeprefix("Skipped: ")
        elif outcome == "failed":
            detail = "see build/test-logs/pytest.log\n" + "\n".join("      " + line for line in next(phase.longreprtext for phase in phases if phase.failed).splitlines()[-12:])
        name = report.nodeid.partition("@")[0]
        print("@result " + json.dumps({"name": name, "outcome": outcome, "seconds": sum(phase.duration for phase in phases), "detail": detail}), flush=True)
        del self._reports[report.nodeid]


def pytest_configure(config):
    """Results are told once, by the process that hears of all of them."""
    if config.getoption("--results-to-stdout") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Results(), "lintel-results")


@pytest.fixture(scope="session", autouse=True)
def built():
    """The tests need what `make esp` builds; without it they would all fail with riddles."""
    from lablib.paths import REPOSITORY

    if not (REPOSITORY / "build/lintel.efi").is_file():
        pytest.exit("build/lintel.efi is missing: run `make test`, or `make esp` first", returncode=4)
