# SPDX-License-Identifier: BSD-2-Clause
"""TCP ports of the host, for forwards into a guest."""

import socket


def is_free(port: int) -> bool:
    """Can something listen on this port of the loopback address?"""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(wanted: int = 0) -> int:
    """The wanted port if it is free, else any other. It may be taken by somebody else before it is used, but seldom is."""
    if wanted and is_free(wanted):
        return wanted
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
