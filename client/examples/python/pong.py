"""Wait for the event "example/ping" and set "example/pong", ROUNDS times.

The other program is ping.c, which sets "example/ping" and waits for "example/pong".

From a checkout: PYTHONPATH=client/python python3 client/examples/python/pong.py [ROUNDS]
"""

from __future__ import annotations

import sys

import evfd


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with (
        evfd.Event("example/ping", auto=True, create=True, permissions=0o600) as ping,
        evfd.Event("example/pong", auto=True, create=True, permissions=0o600) as pong,
    ):
        for i in range(1, rounds + 1):
            if not ping.wait(timeout=30):
                sys.exit("example/ping was not set within 30 seconds")
            print(f"ping {i}")
            pong.set()


if __name__ == "__main__":
    main()
