# SPDX-License-Identifier: BSD-2-Clause
"""What tests/bench/exit-latency and linux-loads are made of."""
