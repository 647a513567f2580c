"""Three named timers and a socket in one select loop.  "stop" on the socket ends it:

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
        wanted = [*timers, server.listener]
        if server.connection is not None:
            wanted.append(server.connection)
        ready, _, _ = select.select(wanted, [], [], howto.TIMEOUT_S)
        for one in ready:
            if one is server.connection:
                server.read()
            elif one is server.listener:
                server.accept()
            elif not howto.read_timer(timers, one.fileno()):
                print(f"Unknown file descriptor {one.fileno()}")
        sys.stdout.flush()
    server.close()


if __name__ == "__main__":
    main()
