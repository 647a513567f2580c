"""Common parts of the two timer programs: three named timers, and a server for one command.

The server listens on the loopback interface and understands the command "stop".  The programs do
the same as the examples of Python's timer file descriptor HOWTO, but other processes can show,
share and arm the timers by name.
"""

from __future__ import annotations

import os
import socket
import sys
import time

import evfd

TIMEOUT_S = 3.0  # The longest time of one iteration of the loop.


def arm_timers() -> list[evfd.Timer]:
    """Arm timers that expire every 0.25, 0.5 and 0.75 seconds.

    The timers are deleted when this program exits.
    """
    # All timers count from one start time, so that their expirations coincide, for example every
    # 1.5 s.
    start = time.monotonic_ns()
    timers = []
    for i in range(1, 4):
        name = f"howto/{os.getpid()}/{i}"
        period = i * 250_000_000
        evfd.default_client().arm_ns(
            name, at=start + period, interval=period, clock="monotonic", lifetime="session"
        )
        timers.append(evfd.Timer(name))
    return timers


def read_timer(timers: list[evfd.Timer], fd: int) -> bool:
    """Read from the timer with the descriptor `fd`.

    Return False if no timer has that descriptor.
    """
    for number, timer in enumerate(timers, start=1):
        if timer.fileno() == fd:
            print(f"Reading timer {fd}")
            print(f"Timer {number} expired {timer.wait(0)} times")
            return True
    return False


class Server:
    """Accepts one connection at a time, and reads commands from it."""

    def __init__(self) -> None:
        """Listen on the port in the program's argument, by default 1234.

        If the port is 0, listen on any free port and print its number.
        """
        port = int(sys.argv[1]) if sys.argv[1:] else 1234
        self.is_active = True
        self.listener = socket.create_server(("127.0.0.1", port), backlog=1)
        self.listener.setblocking(False)
        self.connection: socket.socket | None = None
        if port == 0:
            print(f"Listening on port {self.listener.getsockname()[1]}", flush=True)

    def accept(self) -> None:
        """Accept a connection and close the previous one."""
        print(f"Accepting connection {self.listener.fileno()}")
        if self.connection is not None:
            self.connection.close()
        self.connection, peer = self.listener.accept()
        self.connection.setblocking(False)
        print(f"Accepted connection {self.connection.fileno()} from {peer}")

    def read(self) -> None:
        """Read a command, or close the connection if the peer has closed it."""
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
