# SPDX-License-Identifier: BSD-2-Clause
"""Does this machine's KVM give VT-x to its guests? Asked of KVM itself, since module parameters may lie."""

import fcntl
import os
import struct

KVM_GET_SUPPORTED_CPUID = 0xC008AE05
ENTRY = struct.Struct("<7I12x")
MAX_ENTRIES = 256
VMX = 1 << 5


def why_not() -> str:
    """The reason why nested VT-x cannot be had here, or an empty string."""
    if not os.path.exists("/dev/kvm"):
        return "there is no /dev/kvm"
    try:
        device = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except PermissionError:
        return "/dev/kvm may not be opened by this user (add it to the group kvm)"
    except OSError as error:
        return f"/dev/kvm cannot be opened: {error.strerror}"
    try:
        table = bytearray(struct.pack("<II", MAX_ENTRIES, 0) + bytes(ENTRY.size * MAX_ENTRIES))
        fcntl.ioctl(device, KVM_GET_SUPPORTED_CPUID, table)
    except OSError as error:
        return f"/dev/kvm does not answer: {error.strerror}"
    finally:
        os.close(device)
    count = struct.unpack_from("<I", table)[0]
    for index in range(min(count, MAX_ENTRIES)):
        leaf, _, _, _, _, ecx, _ = ENTRY.unpack_from(table, 8 + index * ENTRY.size)
        if leaf == 1:
            return "" if ecx & VMX else "/dev/kvm offers no VMX to guests (Intel only; kvm_intel needs nested=1)"
    return "/dev/kvm names no CPUID leaf 1"
