"""What makes threads get a lock in the order in which they came.

One of threading's goes to whoever asks at the right moment: a thread that lets go of it and asks
again at once gets it again and again, and the others wait for ever.
"""

from __future__ import annotations

import collections
import threading
from types import TracebackType

_LOOK_S = 0.1  # How often who waits looks whether anybody is inside at all.


class Turnstile:
    """In front of a lock: ``with turnstile, lock:``.

    It is the lock that keeps the others out: nothing of it is left when a signal handler leaves the
    statement by an exception.  Of what is written in Python something may be, and then the order is
    lost for a moment.
    """

    def __init__(self, lock: threading.Lock) -> None:
        self._inside = lock
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
            while not gate.acquire(timeout=_LOOK_S):
                if self._goes_on_unasked(gate):
                    return
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

    def _goes_on_unasked(self, gate: threading.Lock) -> bool:
        """Who was to open it was called away."""
        if self._inside.locked():
            return False
        with self._lock:
            if gate in self._gates:
                self._gates.remove(gate)
        return True

    def _leave(self, gate: threading.Lock) -> None:
        with self._lock:
            is_waiting = gate in self._gates
            if is_waiting:
                self._gates.remove(gate)
        if not is_waiting:  # It was our turn already.
            self.__exit__(None, None, None)
