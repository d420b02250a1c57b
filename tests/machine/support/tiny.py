# SPDX-License-Identifier: BSD-2-Clause
"""Guests of a few bytes of machine code, as Multiboot images: for tests that need a VM and not what runs in it."""

import struct

MAGIC = 0x1BADB002
HAS_ADDRESSES = 1 << 16
LOAD = 0x100000
HEADER = 32
DEBUG_EXIT_PORT = 0xF4


def image(code: bytes) -> bytes:
    """A Multiboot image whose 32-bit entry is `code`. Multiboot specification, "The address fields of Multiboot header"."""
    head = struct.pack("<IIi", MAGIC, HAS_ADDRESSES, -(MAGIC + HAS_ADDRESSES))
    end = LOAD + HEADER + len(code)
    return head + struct.pack("<IIIII", LOAD, LOAD, end, end, LOAD + HEADER) + code


def debug_exit(status: int, loops: int = 1) -> bytes:
    """mov ecx, LOOPS; loop $; mov al, STATUS; out 0xf4, al; hlt"""
    return image(b"\xb9" + struct.pack("<I", loops) + b"\xe2\xfe" + bytes([0xB0, status, 0xE6, DEBUG_EXIT_PORT, 0xF4]))


def triple_fault() -> bytes:
    """An empty IDT, then an exception: mov esp, 0x200000; push 0; push 0; lidt [esp]; ud2"""
    return image(bytes.fromhex("bc00002000 6a00 6a00 0f011c24 0f0b"))


# Where the guest of triple_fault() stops.
TRIPLE_FAULT_RIP = LOAD + HEADER + 13


def hang() -> bytes:
    """cli; hlt: waits for ever"""
    return image(b"\xfa\xf4\xeb\xfd")


def spin() -> bytes:
    """jmp $: takes all the time that it is given"""
    return image(b"\xeb\xfe")


def says(text: str, then: bytes = b"\xfa\xf4\xeb\xfd") -> bytes:
    """Writes a text to its serial port, waiting for room, then runs `then`."""
    data = text.encode() + b"\0"
    # mov esi, TEXT; next: mov dx, 0x3fd; wait: in al, dx; test al, 0x20; jz wait; lodsb; test al, al; jz done;
    # mov dx, 0x3f8; out dx, al; jmp next; done:
    loop = bytes.fromhex("66bafd03 ec a820 74fb ac 84c0 7407 66baf803 ee ebeb")
    code = b"\xfc\xbe" + struct.pack("<I", LOAD + HEADER + 6 + len(loop) + len(then)) + loop + then
    return image(code + data)


def echo(text: str, add: int = 0) -> bytes:
    """Writes a text, then sends back each byte that it receives, with `add` added to it."""
    # next: mov dx, 0x3fd; wait: in al, dx; test al, 1; jz wait; mov dx, 0x3f8; in al, dx; add al, ADD; out dx, al; jmp next
    return says(text, bytes.fromhex("66bafd03 ec a801 74fb 66baf803 ec 04") + bytes([add]) + bytes.fromhex("ee ebed"))
