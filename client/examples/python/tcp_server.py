"""A socketserver.TCPServer that does not poll: select waits for its socket and for an event.

    tcp_server.py [PORT [NAME]]

Without a port, the server listens on any free port, and prints it.  The server answers each line in
capital letters.  With a name, the daemon's event with this name stops the server: run
``evfdctl set NAME``.
"""

from __future__ import annotations

import select
import socketserver
import sys
import threading

import evfd


class NonPollingServer(socketserver.TCPServer):
    """A server that sleeps until a request or the stop event arrives.

    `stop` is the event that ends serve_forever() when it is set.  By default it is a private event.
    """

    allow_reuse_address = True

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[socketserver.BaseRequestHandler],
        stop: evfd.Event | None = None,
    ) -> None:
        super().__init__(address, handler)
        self._stop = evfd.Event() if stop is None else stop
        self._is_shut_down = evfd.Event(initial=True)

    def serve_forever(self, poll_interval: float = 0) -> None:
        """Serve requests until shutdown() is called, or until the stop event is set.

        Only a request or the stop event wakes the thread; `poll_interval` is ignored.
        """
        self._is_shut_down.clear()
        try:
            while True:
                ready, _, _ = select.select([self._stop, self], [], [])
                if self._stop in ready:
                    return
                self._handle_request_noblock()  # type: ignore[attr-defined]
                self.service_actions()
        finally:
            self._stop.clear()
            self._is_shut_down.set()

    def shutdown(self) -> None:
        """Stop serve_forever(), which runs in another thread, and wait until it has returned."""
        self._stop.set()
        self._is_shut_down.wait()


class InCapitals(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line.upper())


def main(arguments: list[str]) -> None:
    port = int(arguments[0]) if arguments else 0
    stop = evfd.Event(arguments[1], create=True) if arguments[1:] else None
    with NonPollingServer(("127.0.0.1", port), InCapitals, stop) as server:
        print(f"Listening on port {server.server_address[1]}", flush=True)
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            serving.join()
        except KeyboardInterrupt:
            server.shutdown()
        print("Stopped", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
