"""Serves three named timers and a TCP socket in one epoll loop.

The word "stop" on the socket ends the loop:

    timers_epoll.py & printf stop | nc 127.0.0.1 1234
"""

from __future__ import annotations

import select
import sys

import howto


def main() -> None:
    server = howto.Server()
    timers = howto.arm_timers()
    with select.epoll() as epoll:
        epoll.register(server.listener, select.EPOLLIN)
        for timer in timers:
            epoll.register(timer, select.EPOLLIN)

        while server.is_active:
            events = epoll.poll(howto.TIMEOUT_S)
            print(f"Signaled events={events}")
            for fd, _ in events:
                if fd == server.listener.fileno():
                    server.accept()
                    if server.connection is not None:
                        epoll.register(server.connection, select.EPOLLIN)
                elif server.connection is not None and fd == server.connection.fileno():
                    server.read()  # close(2) also removes the descriptor from the epoll set.
                elif not howto.read_timer(timers, fd):
                    print(f"Unknown file descriptor {fd}")
            sys.stdout.flush()
    server.close()


if __name__ == "__main__":
    main()
