# SPDX-License-Identifier: BSD-2-Clause
"""tools/trace: what it makes of traces that are whole, overwritten, cut or forged, from files and over a line. No machine is booted."""

import json
import os
import socket
import subprocess
import sys
import threading

import pytest
from lablib.paths import REPOSITORY
from tracelib import chrome
from tracelib.dump import TraceError, parse

TRACE = REPOSITORY / "tools/trace"

# Two CPUs, TSC 1 MHz, so that a tick is a microsecond. CPU 0: a turn with an exit, an injection and a kick in it, whose time is over in the middle
# of an exit; CPU 1: its ring begins in the middle.
HEAD = "lintel: trace: begin: 2 CPUs, TSC 1000000 Hz\r\nlintel: trace: vm 0: one\r\nlintel: trace: vm 2: two\r\n"
CPU0 = "lintel: trace: cpu 0: 9 events, 0 overwritten\r\nlintel: trace: 0: 64 0s00: an axa.80000001 5jec 5n 5x1e.c040\r\n"
CPU0_MORE = "lintel: trace: 0: 87 0k00:201 1i200.31 7o\r\n"
CPU1 = "lintel: trace: cpu 1: 3 events, 1000 overwritten\r\nlintel: trace: 1: 70 0x21:c 0o1 10s\r\n"
TAIL = "lintel: trace: reason 10: CPUID\r\nlintel: trace: reason 30: I/O instruction\r\nlintel: trace: end: 12 events\r\n"
WHOLE = HEAD + CPU0 + CPU0_MORE + CPU1 + TAIL


def slices(converted, cpu):
    """(name, begin, end, depth) of a track's slices. Asserts that they nest and that time does not go back."""
    stack, found, last = [], [], 0.0
    for event in converted["traceEvents"]:
        if event["ph"] == "M" or event["tid"] != cpu:
            continue
        assert event["ts"] >= last
        last = event["ts"]
        if event["ph"] == "B":
            stack.append((event["name"], event["ts"]))
        elif event["ph"] == "E":
            name, begin = stack.pop()
            assert name == event["name"]
            found.append((name, begin, event["ts"], len(stack)))
    assert not stack
    return found


def run(*arguments, text=""):
    """The tool itself."""
    return subprocess.run([sys.executable, TRACE, *map(str, arguments)], input=text, capture_output=True, text=True, check=False)


def test_slices():
    """Turn, guest and exits nest, each from where it began to where it ended; an exit that the turn ends in ends with it."""
    assert slices(chrome.convert(parse(WHOLE)[0]), 0) == [
        ("guest one/0", 10, 20, 1),
        ("exit CPUID", 20, 30, 1),
        ("guest one/0", 30, 35, 1),
        ("exit I/O instruction", 35, 43, 1),
        ("one/0", 0, 43, 0),
    ]


def test_overwritten_begin():
    """A ring that begins in a turn, and ends in one, still gives slices that nest; an unnamed reason has its number."""
    dump = parse(WHOLE)[0]
    assert dump.overwritten == {0: 0, 1: 1000}
    assert slices(chrome.convert(dump), 1) == [("exit reason 12", 12, 12, 1), ("two/1", 12, 12, 0), ("two/1", 28, 28, 0)]


def test_instants_and_details():
    """Injections and virtio events are marks with vector, queue and device; exits say what they were about."""
    converted = chrome.convert(parse(WHOLE)[0])
    marks = [(event["ts"], event["name"]) for event in converted["traceEvents"] if event["ph"] == "i"]
    assert marks == [(25, "inject interrupt 0xec"), (35, "kick virtio-blk0 queue 1"), (36, "interrupt of virtio-blk0: 0x31")]
    details = [event["args"] for event in converted["traceEvents"] if event["ph"] == "B" and event["cat"] == "exit"]
    assert details == [{"leaf": "0x80000001"}, {"port": "0xc040"}, {}]
    names = {event["args"]["name"] for event in converted["traceEvents"] if event["ph"] == "M"}
    assert names == {"Lintel: physical CPUs", "CPU 0", "CPU 1"}


def test_guests_cannot_forge():
    """Only lines that begin as Lintel's do count: what a guest prints between them, and in their form as the console shows it, is passed over."""
    noise = "lintel. trace: 0: 64 0x000\r\n  lintel: trace: 0: 64 0x000\r\nlogin: lintel. trace: end: 1 events\r\nlintel: vm one: started\r\n"
    assert parse(HEAD + noise + CPU0 + noise + CPU0_MORE + CPU1 + noise + TAIL)[0] == parse(WHOLE)[0]


@pytest.mark.parametrize(
    "log, said",
    [
        ("", "no trace in it"),
        (TAIL, "no trace in it"),
        (HEAD + CPU0, "breaks off after 6 events"),
        (HEAD + CPU0 + CPU1 + TAIL, "not complete: 9 of 12 events"),
        (HEAD + CPU0 + WHOLE, "begins before the last one has ended"),
        (HEAD + CPU0.replace("an ", "an. "), "not understood: lintel: trace: 0: 64"),
        (HEAD + CPU0.replace("an ", "az "), "unknown kind, 'z'"),
        (HEAD + CPU0_MORE, "CPU 0, which was not announced"),
        (HEAD + "lintel: trace: what is this\r\n", "not understood: lintel: trace: what is this"),
        (WHOLE.replace("1000000 Hz", "0 Hz"), "0 Hz"),
    ],
)
def test_what_is_not_whole(log, said):
    """A trace that is cut, damaged or not there is an error that says so, and nothing is written."""
    with pytest.raises(TraceError, match=said):
        parse(log)


def test_program(tmp_path):
    """The last trace of a file or of standard input, or another one by its number, becomes a file; errors have a status."""
    log, out = tmp_path / "log", tmp_path / "out.json"
    log.write_text(WHOLE + "lintel: trace: on: the last 4096 events of each CPU\n" + WHOLE.replace("vm 0: one", "vm 0: later"))
    done = run(log, "-o", out)
    assert done.returncode == 0, done.stderr
    assert "12 events of 2 CPUs, 1000 older ones" in done.stderr
    assert "later/0" in {event["name"] for event in json.loads(out.read_text())["traceEvents"]}
    done = run("-", "-o", "-", "--dump", "1", text=log.read_text())
    assert "one/0" in {event["name"] for event in json.loads(done.stdout)["traceEvents"]}
    out.unlink()
    for arguments, status, said in (
        ((log, "--dump", "3"), 1, "--dump 3: there are 2 in it"),
        ((tmp_path / "none",), 1, "none: No such file"),
        (("no-such-run",), 1, "no-such-run: No such file"),
        ((), 2, "either LOG or --line"),
        ((log, "--dump", "0"), 2, "invalid count value"),
    ):
        done = run(*arguments, "-o", out)
        assert (done.returncode, said in done.stderr, out.exists()) == (status, True, False), done


def answer(path, pieces, keys):
    """A console at a Unix socket, which answers to what is typed."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)

    def serve():
        connection, _ = listener.accept()
        keys.append(connection.recv(16))
        for piece in pieces:
            connection.sendall(piece.encode())
        connection.recv(1)
        connection.close()

    threading.Thread(target=serve, daemon=True).start()


def test_over_a_line(tmp_path):
    """It presses Ctrl-a t, once, and takes what comes, in whatever pieces."""
    keys = []
    answer(tmp_path / "line", ["lintel: trace: off\r\n", WHOLE[:100], WHOLE[100:-3], WHOLE[-3:]], keys)
    done = run("--line", tmp_path / "line", "-o", tmp_path / "out.json")
    assert done.returncode == 0, done.stderr
    assert keys == [b"\x01t"]
    assert len(json.loads((tmp_path / "out.json").read_text())["traceEvents"]) == len(chrome.convert(parse(WHOLE)[0])["traceEvents"])


@pytest.mark.parametrize("pieces, said", [(["lintel: trace: on: the last 9 events of each CPU\r\n"], "tracing has begun just now"), ([WHOLE[:90]], "nothing more for 0.5 s")])
def test_no_trace_over_a_line(tmp_path, pieces, said):
    """A key that has started the trace, and a line that falls silent, are said."""
    answer(tmp_path / "line", pieces, [])
    done = run("--line", tmp_path / "line", "--silence", "0.5", "-o", tmp_path / "out.json")
    assert done.returncode == 1 and said in done.stderr
    assert not os.path.exists(tmp_path / "out.json")
