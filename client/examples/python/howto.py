"""What the two timer programs share: three named timers, and a socket on the loopback that takes
"stop".

They do what the two in Python's timer file descriptor HOWTO do, on timers that other processes can
see, share and arm anew by name.
"""

from __future__ import annotations

import os
import socket
import sys
import time

import evfd

TIMEOUT_S = 3.0  # Of one turn of the loop.


def arm_timers() -> list[evfd.Timer]:
    """Timer 1 expires every 0.25 seconds, timer 2 every 0.5 seconds, timer 3 every 0.75 seconds.
    They go when this program goes."""
    # From one moment on, so that those that are to expire together do.
    start = time.monotonic_ns()
    timers = []
    for i in range(1, 4):
        name = f"howto/{os.getpid()}/{i}"
        period = i * 250_000_000
        evfd.usual_daemon().arm_ns(
            name, at=start + period, interval=period, clock="monotonic", lifetime="connection"
        )
        timers.append(evfd.Timer(name))
    return timers


def read_timer(timers: list[evfd.Timer], fd: int) -> bool:
    """The one that has this descriptor; False if none has."""
    for number, timer in enumerate(timers, start=1):
        if timer.fileno() == fd:
            print(f"Reading timer {fd}")
            print(f"Timer {number} expired {timer.wait(0)} times")
            return True
    return False


class Server:
    """Takes one connection at a time, and commands from it."""

    def __init__(self) -> None:
        """On the port that the program's argument names; 1234 without one; on any free one, which
        is printed, with 0."""
        port = int(sys.argv[1]) if sys.argv[1:] else 1234
        self.is_active = True
        self.listener = socket.create_server(("127.0.0.1", port), backlog=1)
        self.listener.setblocking(False)
        self.connection: socket.socket | None = None
        if port == 0:
            print(f"Listening on port {self.listener.getsockname()[1]}", flush=True)

    def accept(self) -> None:
        """A connection request; the last connection ends."""
        print(f"Accepting connection {self.listener.fileno()}")
        if self.connection is not None:
            self.connection.close()
        self.connection, peer = self.listener.accept()
        self.connection.setblocking(False)
        print(f"Accepted connection {self.connection.fileno()} from {peer}")

    def read(self) -> None:
        """Something to read; the connection may be closed then."""
        assert self.connection is not None
        print(f"Reading data {self.connection.fileno()}")
        data = self.connection.recv(1024)
        if not data:
            print(f"Closing connection {self.connection.fileno()}")
            self.connection.close()
            self.connection = None
            return
        command = data.decode(errors="replace")
        if command.startswith("stop"):
            print("Stopping server")
            self.is_active = False
        else:
            print(f"Unknown command: {command}")

    def close(self) -> None:
        self.listener.close()
        if self.connection is not None:
            self.connection.close()
