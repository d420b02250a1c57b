# SPDX-License-Identifier: BSD-2-Clause
"""The lab: boots Lintel in the best machine at hand. See docs/lab.md; tests start at lablib.machine."""
