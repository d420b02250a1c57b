# SPDX-License-Identifier: BSD-2-Clause
"""What the machine tests share: ESP folders, the guest's shell, small guests, and what Lintel prints."""
