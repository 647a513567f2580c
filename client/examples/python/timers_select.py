"""Serves three named timers and a TCP socket in one select loop.

The word "stop" on the socket ends the loop:

    timers_select.py & printf stop | nc 127.0.0.1 1234
"""

from __future__ import annotations

import select
import sys

import howto


def main() -> None:
    server = howto.Server()
    timers = howto.arm_timers()
    while server.is_active:
        inputs = [*timers, server.listener]
        if server.connection is not None:
            inputs.append(server.connection)
        ready, _, _ = select.select(inputs, [], [], howto.TIMEOUT_S)
        for source in ready:
            if source is server.connection:
                server.read()
            elif source is server.listener:
                server.accept()
            elif not howto.read_timer(timers, source.fileno()):
                print(f"Unknown file descriptor {source.fileno()}")
        sys.stdout.flush()
    server.close()


if __name__ == "__main__":
    main()
