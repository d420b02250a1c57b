# SPDX-License-Identifier: BSD-2-Clause
"""`tools/lab boot` from start to end with small UEFI programs: its exit status, its words, where the console goes."""

import socket
import subprocess
import time

import pytest
from support.efi_programs import program
from lablib.paths import REPOSITORY

INDEPENDENT = True

LAB = REPOSITORY / "tools/lab"


def lab(name: str, esp, *words, machine: str = "bochs", **more) -> subprocess.CompletedProcess:
    """One boot without a terminal."""
    command = [LAB, "boot", "--machine", machine, "--esp", esp, "--memory", "256", "--name", f"test-status-{name}", *words]
    more.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, check=False, **more)


@pytest.mark.parametrize("machine", ["bochs", "tcg"])
def test_seen(tmp_path, machine):
    """Status 0 when the pattern was seen; the console is on standard output, the lab's own words are not."""
    run = lab(f"seen-{machine}", program(tmp_path, "lintel: hello\nlintel: 42 things\n", "hang", machine), "--until", r"^lintel: \d+ things$", "--timeout", 200, machine=machine)
    assert run.returncode == 0, run.stderr
    assert run.stdout.replace("\r", "").startswith("lintel: hello\nlintel: 42 things")
    assert run.stderr.startswith(f"lab: machine: {machine} (asked for)")


@pytest.mark.parametrize("machine", ["bochs", "tcg"])
def test_power_off(tmp_path, machine):
    """Status 0 without --until when the machine switches itself off, with all that it printed shown."""
    run = lab(f"off-{machine}", program(tmp_path, "lintel: the end\n", "off", machine), "--timeout", 200, machine=machine)
    assert run.returncode == 0, run.stderr
    assert "lintel: the end" in run.stdout and "powered itself off" in run.stderr


def test_power_off_without_the_pattern(tmp_path):
    """Status 1 when the machine ends without having printed the pattern, which is named."""
    run = lab("unseen", program(tmp_path, "lintel: something else\n", "off"), "--until", "the right words", "--timeout", 200)
    assert run.returncode == 1
    assert "without printing 'the right words'" in run.stderr


@pytest.mark.parametrize("machine", ["bochs", "tcg"])
def test_panic(tmp_path, machine):
    """Status 1 on a panic, at once and not after the time-out; the panic's line is told, and what follows it is shown."""
    start = time.monotonic()
    run = lab(f"panic-{machine}", program(tmp_path, "lintel: panic: out of luck\nlintel: panic: dump\n", "hang", machine), "--until", "never", "--timeout", 200, machine=machine)
    assert run.returncode == 1 and "lab: lintel: panic: out of luck" in run.stderr
    assert "lintel: panic: dump" in run.stdout
    assert time.monotonic() < start + 120


def test_triple_fault(tmp_path):
    """Status 1 when the processor itself triple-faults, which Bochs outlives: only its log says so."""
    run = lab("triple", program(tmp_path, "lintel: watch this\n", "die"), "--timeout", 200)
    assert run.returncode == 1 and "exception with no resolution" in run.stderr


@pytest.mark.parametrize("machine", ["bochs", "tcg"])
def test_port_taken(tmp_path, machine):
    """Status 1 when a port that is to be forwarded is taken: the reason names it, and nothing boots without its network."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        rule = f"tcp:127.0.0.1:{other.getsockname()[1]}-:80"
        run = lab(f"port-{machine}", program(tmp_path, "lintel: hello\n", "hang", machine), "--timeout", 200, "--net", f"user,hostfwd={rule}", machine=machine)
    assert run.returncode == 1, run.stderr
    assert rule in run.stderr and "forwarding rule" in run.stderr
    assert "lintel: hello" not in run.stdout


def test_time_out(tmp_path):
    """Status 124 after the time given, with the stage that was reached."""
    run = lab("timeout", program(tmp_path, "lintel: hello\n", "hang"), "--until", "never", "--timeout", 25)
    assert run.returncode == 124 and "time-out after 25 s (stage: Lintel)" in run.stderr


def test_serial_file(tmp_path):
    """--serial file: the whole console, from the firmware on, and nothing on standard output."""
    run = lab("file", program(tmp_path / "esp", "lintel: hello\n", "hang"), "--until", "hello", "--timeout", 200, "--serial", f"file:{tmp_path}/console")
    assert run.returncode == 0 and run.stdout == ""
    text = (tmp_path / "console").read_bytes()
    assert b"BdsDxe" in text and b"lintel: hello" in text


def test_serial_socket(tmp_path):
    """--serial unix: a client can type and read; when it has gone the next one can."""
    path = tmp_path / "line"
    esp = program(tmp_path / "esp", "lintel: hello\n", "echo")
    command = [LAB, "boot", "--machine", "bochs", "--esp", esp, "--memory", "256", "--name", "test-status-unix", "--serial", f"unix:{path}", "--until", "good bye", "--timeout", "200"]
    log = REPOSITORY / "build/lab/test-status-unix/console.log"
    log.unlink(missing_ok=True)
    process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        while not (log.exists() and b"hello" in log.read_bytes()):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.2)
        for words in (b"first client", b"good bye"):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(30)
                client.connect(str(path))
                client.sendall(words)
                answer = b""
                while words not in answer and (chunk := client.recv(100)):
                    answer += chunk
                assert words in answer
        assert process.wait(30) == 0
        assert not path.exists()
    finally:
        process.kill()
        process.wait()


def test_typed_from_a_pipe(tmp_path):
    """What stands on a pipe is typed once the machine's own program speaks, not into the firmware's menus."""
    run = lab("pipe", program(tmp_path, "lintel: hello\n", "echo"), "--until", "all of it", "--timeout", 200, input="this is all of it", stdin=None)
    assert run.returncode == 0, run.stderr
    assert "this is all of it" in run.stdout
