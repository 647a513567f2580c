"""A queue in front of a lock: threads acquire the lock in the order of their arrival.

A threading.Lock goes to any thread that asks at the right moment.  A thread that again and again
releases the lock and acquires it at once can starve all other threads.
"""

from __future__ import annotations

import collections
import threading
from types import TracebackType

_CHECK_INTERVAL_S = 0.1  # How often a waiter checks whether any thread holds the lock at all.


class FairLock:
    """A queue in front of `lock`, used as ``with fair_lock, lock:``.

    Only `lock` excludes other threads.  If a signal handler raises an exception inside the
    statement, `lock` is unlocked in any case.  But the exception can leave the queue, which is
    plain Python, in an inconsistent state.  After that, threads acquire the lock out of order for
    a moment.
    """

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._queue_lock = threading.Lock()  # Guards the fields below. No thread holds it for long.
        self._is_taken = False
        self._waiters: collections.deque[threading.Lock] = collections.deque()

    def __enter__(self) -> None:
        with self._queue_lock:
            if not self._is_taken:
                self._is_taken = True
                return
            waiter = threading.Lock()
            waiter.acquire()
            self._waiters.append(waiter)
        try:
            while not waiter.acquire(timeout=_CHECK_INTERVAL_S):
                if self._enter_if_abandoned(waiter):
                    return
        except BaseException:  # A signal handler raised this exception.
            self._give_up(waiter)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._queue_lock:
            if self._waiters:
                self._waiters.popleft().release()
            else:
                self._is_taken = False

    def _enter_if_abandoned(self, waiter: threading.Lock) -> bool:
        """Leave the queue if no thread holds the lock; return whether this thread can enter.

        If the lock is free although this thread still waits, a signal handler has interrupted the
        thread that had to release this waiter.
        """
        if self._lock.locked():
            return False
        with self._queue_lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        return True

    def _give_up(self, waiter: threading.Lock) -> None:
        with self._queue_lock:
            is_waiting = waiter in self._waiters
            if is_waiting:
                self._waiters.remove(waiter)
        if not is_waiting:  # This waiter was released already, so it releases the next waiter.
            self.__exit__(None, None, None)
