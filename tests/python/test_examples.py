"""The example programs in client/examples, as their users run them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Callable, Iterator

import pytest

import evfd
from running import CTL, PATIENCE_S, SOURCE, RunningDaemon, Worker, all_wait, eventually, lines_of

EXAMPLES = SOURCE / "client" / "examples"
Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run(running: RunningDaemon) -> Iterator[Run]:
    """Starts one of them, to be read from."""
    started = []

    def begin(name: str, *arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
            env={**os.environ, "EVFDD_SOCKET": running.path},
            stdout=subprocess.PIPE,
            bufsize=1,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def after(lines: Iterator[str], beginning: str) -> str:
    """Reads on until a line begins so; the rest of that line."""
    for line in lines:
        if line.startswith(beginning):
            return line[len(beginning) :]
    raise AssertionError(f"the program ended before it printed {beginning}")


def ask(port: int, *lines: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        connection.sendall(b"".join(lines))
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while data := connection.recv(4096):
            answer += data
        return answer


# The server that does not poll.


def test_the_server_answers_and_is_stopped_by_its_name_from_another_process(
    run: Run, running: RunningDaemon, name: str
) -> None:
    server = run("tcp_server.py", "0", name)
    lines = lines_of(server)
    port = int(after(lines, "Listening on port "))
    assert ask(port, b"hello\n", b"world\n") == b"HELLO\nWORLD\n"
    assert ask(port, b"again\n") == b"AGAIN\n"
    subprocess.run([CTL, "--socket", running.path, "set", name], check=True, timeout=PATIENCE_S)
    assert next(lines) == "Stopped"
    assert server.wait(PATIENCE_S) == 0


def test_the_server_is_stopped_by_a_shutdown_of_another_thread(
    monkeypatch: pytest.MonkeyPatch, shared: evfd.Daemon, name: str
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import tcp_server

    for stop in (None, evfd.Event(name, daemon=shared)):
        with tcp_server.NonPollingServer(("127.0.0.1", 0), tcp_server.InCapitals, stop) as server:
            for _ in range(3):  # It can serve again.
                serving = Worker(server.serve_forever)
                port = server.server_address[1]
                assert [ask(port, b"hello %d\n" % i) for i in range(3)] == [
                    b"HELLO %d\n" % i for i in range(3)
                ]
                server.shutdown()
                serving.done()


def test_the_server_sleeps_without_an_end_while_nobody_wants_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import tcp_server

    with tcp_server.NonPollingServer(("127.0.0.1", 0), tcp_server.InCapitals) as server:
        serving = Worker(server.serve_forever)
        assert all_wait(server, [serving])
        call = Path(f"/proc/self/task/{serving.native_id}/syscall").read_text().split()
        assert call[5] == "0x0"  # The timeout of select(2); TCPServer's is half a second.
        server.shutdown()
        serving.done()


# A C program and a Python program signal each other.


def test_a_program_in_c_and_one_in_python_signal_each_other_by_name(
    run: Run, running: RunningDaemon
) -> None:
    rounds = 200
    pong = run("pong.py", str(rounds))
    ping = subprocess.run(
        [os.environ["EVFD_PING"], str(rounds)],
        env={**os.environ, "EVFDD_SOCKET": running.path},
        stdout=subprocess.PIPE,
        timeout=PATIENCE_S,
        text=True,
        check=True,
    )
    assert ping.stdout.splitlines() == [f"pong {i}" for i in range(1, rounds + 1)]
    assert list(lines_of(pong)) == [f"ping {i}" for i in range(1, rounds + 1)]
    assert pong.wait(PATIENCE_S) == 0


# The HOWTO's loops.


@pytest.mark.parametrize("loop", ["epoll", "select"])
def test_three_timers_and_a_socket_in_one_loop_print_what_the_howtos_programs_print(
    run: Run, shared: evfd.Daemon, loop: str
) -> None:
    program = run(f"timers_{loop}.py", "0")
    lines = lines_of(program)
    port = int(after(lines, "Listening on port "))

    # Up to the twelfth quarter of a second: timer 1 is due 12 times, timer 2 6 times, timer 3 4
    # times. A turn that comes late reads several at once, and counts them.
    counts = {1: 0, 2: 0, 3: 0}
    descriptors: dict[int, str] = {}
    while counts[1] < 12 or counts[2] < 6 or counts[3] < 4:
        line = next(lines)
        if loop == "epoll" and line.startswith("Signaled events=["):
            line = next(lines)
        assert line.startswith("Reading timer ")
        fd = line.removeprefix("Reading timer ")
        _, timer, _, times, _ = next(lines).split()
        assert descriptors.setdefault(int(timer), fd) == fd
        counts[int(timer)] += int(times)
    assert len(list(shared.list(f"howto/{program.pid}/*"))) == 3

    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as visitor:
        after(lines, "Accepting connection ")
        assert "from ('127.0.0.1', " in after(lines, "Accepted connection ")
        visitor.sendall(b"dance")
        after(lines, "Reading data ")
        assert next(lines) == "Unknown command: dance"
    after(lines, "Closing connection ")
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as visitor:
        visitor.sendall(b"stop")
        after(lines, "Stopping server")
    assert program.wait(PATIENCE_S) == 0
    assert eventually(lambda: not list(shared.list(f"howto/{program.pid}/*")))
