# SPDX-License-Identifier: BSD-2-Clause
"""Lintel's event trace: out of a log, and into what a viewer opens."""
