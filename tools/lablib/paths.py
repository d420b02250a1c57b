# SPDX-License-Identifier: BSD-2-Clause
"""Where things are: the repository, the logs of runs, the cache of downloads."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = REPOSITORY / "tools"
RUNS = REPOSITORY / "build" / "lab"


def cache() -> Path:
    """The folder of downloads; outside build/, so that `make clean` keeps it."""
    chosen = os.environ.get("LINTEL_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lintel"
