"""A lock that threads get in the order in which they came.

One of threading's goes to whoever asks at the right moment: a thread that lets go of it and asks
again at once gets it again and again, and the others wait for ever.
"""

from __future__ import annotations

import collections
import threading
from types import TracebackType


class Turnstile:
    """To be used in a ``with`` statement."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # Of what is below; held for a moment only.
        self._is_taken = False
        self._gates: collections.deque[threading.Lock] = collections.deque()

    def __enter__(self) -> None:
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return
            gate = threading.Lock()
            gate.acquire()
            self._gates.append(gate)
        try:
            gate.acquire()
        except BaseException:  # Out of a signal handler.
            self._leave(gate)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            if self._gates:
                self._gates.popleft().release()
            else:
                self._is_taken = False

    def _leave(self, gate: threading.Lock) -> None:
        with self._lock:
            is_waiting = gate in self._gates
            if is_waiting:
                self._gates.remove(gate)
        if not is_waiting:  # It was our turn already.
            self.__exit__(None, None, None)
