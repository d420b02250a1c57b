# SPDX-License-Identifier: BSD-2-Clause
"""What the tools know of the house: its rooms, their floors, and who includes whom."""
