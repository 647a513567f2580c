#!/usr/bin/env python3
"""Measure the call latency of one user while many others flood the server with calls.

It compares evfdd with a server that answers in the order of arrival (bare_server.c), in alternating
rounds under the same load.

usage, as root: fairness.py EVFDD BARE_SERVER [USERS [SECONDS]]
"""
import json, os, resource, select, signal, socket, subprocess, sys, tempfile, time
from pathlib import Path
from typing import Any

DAEMON, MEASURED_USER, FIRST_FLOODING = 61_000, 61_001, 62_000  # Uids that belong to no user.
# The number of connections of each flooding user, and the number of calls in each send(2).
CONNECTIONS, CALLS = 6, 64
ROUNDS = 3
# The nice value of the servers and of the measured user. With this value, they seldom wait for a
# processor that a flooding user occupies.
NICE = -15


def call(method: str, **parameters: Any) -> bytes:
    return json.dumps({"method": "io.evfdd." + method, "parameters": parameters}).encode() + b"\0"


def connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    return connection


def request(connection: socket.socket, message: bytes) -> bytes:
    connection.sendall(message)
    reply = b""
    while not reply.endswith(b"\0"):
        reply += connection.recv(65536)
    if "error" in json.loads(reply[:-1]):
        raise OSError(f"{message.decode()} was refused: {reply.decode()}")
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


def flood(path: Path, has_flooded: int) -> None:
    """Keep the send buffers of all connections full of calls.

    Write a byte to has_flooded as soon as each send buffer has been full once.
    """
    connections = {c.fileno(): c for c in (connect(path) for _ in range(CONNECTIONS))}
    name = f"flood/{os.getuid()}"
    request(next(iter(connections.values())), call("CreateEvent", name=name, mode="semaphore"))
    calls = call("Set", items=[{"name": name}]) * CALLS
    poll = select.poll()
    for descriptor, connection in connections.items():
        connection.setblocking(False)
        poll.register(descriptor, select.POLLIN | select.POLLOUT)
    unsent = dict.fromkeys(connections, b"")  # The bytes that each connection must still send.
    never_full = set(connections)
    while True:
        ready = poll.poll()
        writable = {descriptor for descriptor, events in ready if events & select.POLLOUT}
        if never_full and not (never_full := never_full & writable):
            os.write(has_flooded, b"\0")
        for descriptor, events in ready:
            if events & select.POLLIN:
                connections[descriptor].recv(1 << 20)
            if events & select.POLLOUT:
                text = unsent[descriptor] or calls
                unsent[descriptor] = text[connections[descriptor].send(text):]


def measure(path: Path, seconds: float, output: int) -> None:
    connection = connect(path)
    request(connection, call("CreateEvent", name="measured", mode="semaphore"))
    times = []
    end = time.monotonic() + seconds
    while (begin := time.monotonic()) < end:
        request(connection, call("Set", items=[{"name": "measured"}]))
        request(connection, call("Wait", items=[{"name": "measured"}], timeoutNSec=10**9))
        times.append(time.monotonic() - begin)
        # The measured user makes calls only from time to time, so this process pauses between them.
        time.sleep(0.002)
    os.write(output, json.dumps(times).encode())


def run_measured_user(path: Path, seconds: float) -> list[float]:
    output, input_ = os.pipe()
    child = as_user(MEASURED_USER, lambda: measure(path, seconds, input_), NICE)
    os.close(input_)
    text = b""
    while part := os.read(output, 65536):
        text += part
    os.close(output)
    os.waitpid(child, 0)
    return [float(seconds) for seconds in json.loads(text or b"[]")]


def start_server(server: list[str], path: Path) -> subprocess.Popen[bytes]:
    """Start a server, and return after it has sent READY=1, as in sd_notify(3)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
        address = str(path.with_name("notify"))
        notifications.bind(address)
        os.chmod(address, 0o666)
        command = ["nice", f"--adjustment={NICE}"]
        command += ["setpriv", f"--reuid={DAEMON}", f"--regid={DAEMON}", "--clear-groups"]
        process = subprocess.Popen(command + server, env={**os.environ, "NOTIFY_SOCKET": address})
        notifications.settimeout(10)
        while b"READY=1" not in notifications.recv(4096).split(b"\n"):
            pass
        os.unlink(address)
    return process


def measure_under_load(server: list[str], path: Path, users: int, seconds: float) -> list[float]:
    process = start_server(server, path)
    wait_end, flood_end = os.pipe()
    flood_processes = [
        as_user(FIRST_FLOODING + i, lambda: flood(path, flood_end)) for i in range(users)
    ]
    os.close(flood_end)
    flooding = 0
    while flooding < users and (part := os.read(wait_end, users)):
        flooding += len(part)
    os.close(wait_end)
    try:
        return run_measured_user(path, seconds)
    finally:
        for child in flood_processes:
            os.kill(child, signal.SIGKILL)
        for child in flood_processes:
            os.waitpid(child, 0)
        process.kill()
        process.wait()
        path.unlink()


def report(name: str, times: list[float]) -> None:
    times.sort()
    p50, p99, maximum = (times[int(share * (len(times) - 1))] * 1e3 for share in (0.5, 0.99, 1.0))
    print(f"{name}: {len(times)} sets and waits, "
          f"p50 {p50:.2f} ms, p99 {p99:.2f} ms, maximum {maximum:.1f} ms", flush=True)


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
        all_times: dict[str, list[float]] = {name: [] for name in servers}
        for _ in range(ROUNDS):
            for name, server in servers.items():
                all_times[name] += measure_under_load(server, path, users, seconds / ROUNDS)
                report(name, all_times[name])


if __name__ == "__main__":
    main()
