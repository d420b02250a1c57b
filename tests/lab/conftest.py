# SPDX-License-Identifier: BSD-2-Clause
"""The tests of the lab use its programs from beside themselves."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
# And what the tests in machines have for it.
sys.path.append(str(Path(__file__).resolve().parents[1] / "machine"))
