#!/usr/bin/env python3
"""How long a neighbour's calls take beside a crowd of users who send more calls than can be answered: at evfdd, and at
a server that answers in the order of arrival (bare_server.c), by turns and under the same load.

usage, as root: crowd.py EVFDD BARE_SERVER [USERS [SECONDS]]
"""
import json, os, resource, signal, socket, subprocess, sys, tempfile, time
from pathlib import Path
from typing import Any

DAEMON, NEIGHBOUR, FIRST = 61_000, 61_001, 62_000  # Uids that nobody has.
CONNECTIONS, CALLS = 6, 64  # Of each user, and on each in one go.
ROUNDS = 3
NICE = -15  # The servers and the neighbour: it is they who are measured, not how the crowd takes the processors.


def call(method: str, **parameters: Any) -> bytes:
    return json.dumps({"method": "io.evfdd." + method, "parameters": parameters}).encode() + b"\0"


def connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    return connection


def ask(connection: socket.socket, request: bytes) -> bytes:
    connection.sendall(request)
    reply = b""
    while not reply.endswith(b"\0"):
        reply += connection.recv(65536)
    return reply


def as_user(uid: int, work: Any, nice: int = 0) -> int:
    child = os.fork()
    if child:
        return child
    try:
        os.nice(nice)
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        work()
    except (OSError, KeyboardInterrupt) as error:
        os.write(2, f"uid {uid}: {error}\n".encode())
    finally:
        os._exit(0)


def flood(path: Path) -> None:
    connections = [connect(path) for _ in range(CONNECTIONS)]
    name = f"crowd/{os.getuid()}"
    ask(connections[0], call("CreateEvent", name=name, mode="semaphore"))
    calls = call("Set", names=[name]) * CALLS
    for connection in connections:
        connection.setblocking(False)
    while True:
        for connection in connections:
            try:
                connection.send(calls)
            except BlockingIOError:
                pass
            try:
                connection.recv(1 << 20)
            except BlockingIOError:
                pass
        time.sleep(0.05)


def measure(path: Path, seconds: float, output: int) -> None:
    connection = connect(path)
    ask(connection, call("CreateEvent", name="neighbour", mode="semaphore"))
    took = []
    end = time.monotonic() + seconds
    while (begin := time.monotonic()) < end:
        ask(connection, call("Set", names=["neighbour"]))
        ask(connection, call("Wait", names=["neighbour"], timeoutNSec=10**9))
        took.append(time.monotonic() - begin)
        time.sleep(0.002)
    os.write(output, json.dumps(took).encode())


def neighbour(path: Path, seconds: float) -> list[float]:
    mine, its = os.pipe()
    child = as_user(NEIGHBOUR, lambda: measure(path, seconds, its), NICE)
    os.close(its)
    text = b""
    while part := os.read(mine, 65536):
        text += part
    os.close(mine)
    os.waitpid(child, 0)
    return [float(one) for one in json.loads(text or b"[]")]


def beside_crowd(server: list[str], path: Path, users: int, seconds: float) -> list[float]:
    process = subprocess.Popen(["nice", f"--adjustment={NICE}", "setpriv", f"--reuid={DAEMON}", f"--regid={DAEMON}",
                                "--clear-groups", *server])
    while True:
        try:
            connect(path).close()
            break
        except (FileNotFoundError, ConnectionRefusedError):
            time.sleep(0.01)
    crowd = [as_user(FIRST + i, lambda: flood(path)) for i in range(users)]
    time.sleep(min(5, users / 60))
    try:
        return neighbour(path, seconds)
    finally:
        for child in crowd:
            os.kill(child, signal.SIGKILL)
        for child in crowd:
            os.waitpid(child, 0)
        process.kill()
        process.wait()
        path.unlink()


def report(name: str, took: list[float]) -> None:
    took.sort()
    half, most, worst = (took[int(part * (len(took) - 1))] * 1e3 for part in (0.5, 0.99, 1.0))
    print(f"{name}: {len(took)} times set and waited for, "
          f"p50 {half:.2f} ms, p99 {most:.2f} ms, at most {worst:.1f} ms", flush=True)


def main() -> None:
    evfdd, bare = sys.argv[1:3]
    users = int(sys.argv[3]) if len(sys.argv) > 3 else 300
    seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 6
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        path = Path(directory) / "socket"
        servers = {"evfdd": [evfdd, "--socket", str(path)], "bare server": [bare, str(path)]}
        all_took: dict[str, list[float]] = {name: [] for name in servers}
        for _ in range(ROUNDS):
            for name, server in servers.items():
                all_took[name] += beside_crowd(server, path, users, seconds / ROUNDS)
                report(name, all_took[name])


if __name__ == "__main__":
    main()
