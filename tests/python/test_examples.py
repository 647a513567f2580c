"""Tests of the example programs in client/examples/python, run as a user runs them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Callable, Iterator

import pytest

import evfd
from harness import CTL, TIMEOUT_S, SOURCE, DaemonProcess, Worker, all_wait, poll_until, read_lines

EXAMPLES = SOURCE / "client" / "examples" / "python"
Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run(running: DaemonProcess) -> Iterator[Run]:
    """Return a function that starts an example program. The test reads the program's output."""
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


def read_after(lines: Iterator[str], beginning: str) -> str:
    """Read lines until a line begins with `beginning`. Return the rest of that line."""
    for line in lines:
        if line.startswith(beginning):
            return line[len(beginning) :]
    raise AssertionError(f"the program ended before it printed {beginning}")


def request(port: int, *lines: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        connection.sendall(b"".join(lines))
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while data := connection.recv(4096):
            answer += data
        return answer



def test_the_server_answers_and_another_process_stops_it_by_name(
    run: Run, running: DaemonProcess, name: str
) -> None:
    server = run("tcp_server.py", "0", name)
    lines = read_lines(server)
    port = int(read_after(lines, "Listening on port "))
    assert request(port, b"hello\n", b"world\n") == b"HELLO\nWORLD\n"
    assert request(port, b"again\n") == b"AGAIN\n"
    subprocess.run([CTL, "--socket", running.path, "set", name], check=True, timeout=TIMEOUT_S)
    assert next(lines) == "Stopped"
    assert server.wait(TIMEOUT_S) == 0


def test_shutdown_from_another_thread_stops_the_server(
    monkeypatch: pytest.MonkeyPatch, shared: evfd.Client, name: str
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import tcp_server

    for stop in (None, evfd.Event(name, create=True, client=shared)):
        with tcp_server.NonPollingServer(("127.0.0.1", 0), tcp_server.InCapitals, stop) as server:
            # Starts and stops the server three times, to check that a stopped server can be started
            # again.
            for _ in range(3):
                serving = Worker(server.serve_forever)
                port = server.server_address[1]
                assert [request(port, b"hello %d\n" % i) for i in range(3)] == [
                    b"HELLO %d\n" % i for i in range(3)
                ]
                server.shutdown()
                serving.result()


def test_the_idle_server_sleeps_without_a_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import tcp_server

    with tcp_server.NonPollingServer(("127.0.0.1", 0), tcp_server.InCapitals) as server:
        serving = Worker(server.serve_forever)
        assert all_wait(server, [serving])
        call = Path(f"/proc/self/task/{serving.native_id}/syscall").read_text().split()
        # The fifth argument of select(2), the timeout, is a null pointer: the server waits without
        # a timeout. socketserver.TCPServer would wait for half a second at a time.
        assert call[5] == "0x0"
        server.shutdown()
        serving.result()



def test_a_c_program_and_a_python_program_signal_each_other_by_name(
    run: Run, running: DaemonProcess
) -> None:
    rounds = 200
    pong = run("pong.py", str(rounds))
    ping = subprocess.run(
        [os.environ["EVFD_PING"], str(rounds)],
        env={**os.environ, "EVFDD_SOCKET": running.path},
        stdout=subprocess.PIPE,
        timeout=TIMEOUT_S,
        text=True,
        check=True,
    )
    assert ping.stdout.splitlines() == [f"pong {i}" for i in range(1, rounds + 1)]
    assert list(read_lines(pong)) == [f"ping {i}" for i in range(1, rounds + 1)]
    assert pong.wait(TIMEOUT_S) == 0



def test_workers_in_asyncio_share_a_timer_and_stop_together(
    run: Run, running: DaemonProcess
) -> None:
    workers = [run("worker_asyncio.py") for _ in range(2)]
    outputs = [read_lines(worker) for worker in workers]
    for worker, lines in zip(workers, outputs):
        assert next(lines) == f"Job 1 of process {worker.pid}"
    running.ctl("set", "example/stop")
    for worker, lines in zip(workers, outputs):
        assert list(lines)[-1] == "Stopped"
        assert worker.wait(TIMEOUT_S) == 0
    assert running.client().show("example/jobs").count == 2


@pytest.mark.parametrize("loop", ["epoll", "select"])
def test_three_timers_and_a_socket_in_one_loop_print_the_output_of_the_howto(
    run: Run, shared: evfd.Client, loop: str
) -> None:
    program = run(f"timers_{loop}.py", "0")
    lines = read_lines(program)
    port = int(read_after(lines, "Listening on port "))

    # In three seconds timer 1 expires 12 times, timer 2 expires 6 times and timer 3 expires 4
    # times. If the program is late, it reads several expirations at once, and prints their number.
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

    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as visitor:
        read_after(lines, "Accepting connection ")
        assert "from ('127.0.0.1', " in read_after(lines, "Accepted connection ")
        visitor.sendall(b"dance")
        read_after(lines, "Reading data ")
        assert next(lines) == "Unknown command: dance"
    read_after(lines, "Closing connection ")
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as visitor:
        visitor.sendall(b"stop")
        read_after(lines, "Stopping server")
    assert program.wait(TIMEOUT_S) == 0
    assert poll_until(lambda: not list(shared.list(f"howto/{program.pid}/*")))
