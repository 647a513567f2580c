"""A thread that resumes the main session after a crash of the daemon.

It matters to a client that makes no calls: its subscriptions and temporary objects would end when
the daemon stops waiting for the session.  The thread has only a weak reference to its client, and
ends with it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
import weakref
from typing import Callable, Optional

from evfd._descriptor import Descriptor, add, consume, make_eventfd
from evfd._poll import poll
from evfd._time import Deadline

_ERROR_PAUSE_S = 1  # After an exception.

#: The result of a step: the connection whose end calls for the next step, or None; the deadline of
#: the next step if nothing happens; and whether the thread continues.
Step = tuple[Optional[Descriptor], Deadline, bool]


class ResumeThread:
    """Calls `step` at its start, when the watched connection ends, and after each wake()."""

    _wakeup = Descriptor(-1)  # Until __init__() has made one.

    def __init__(self, step: Callable[[], Step]) -> None:
        self._wakeup = make_eventfd()
        _instances.add(self)
        thread = threading.Thread(
            target=_run, args=(self._wakeup, step), name="evfd-resume", daemon=True
        )
        # Signals are delivered to the program's own threads.
        mask = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        try:
            thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def wake(self) -> None:
        """Request a step.  Never blocks, so ``__del__`` may call it."""
        add(self._wakeup, 1)

    def close(self) -> None:
        """Close the descriptor in a child of fork(2), which does not have the thread."""
        self._wakeup.close()

    def __del__(self) -> None:
        if self._wakeup.number >= 0:
            self.wake()


def _run(wakeup: Descriptor, step: Callable[[], Step]) -> None:
    while True:
        # No memory or no descriptor may be free now. A later step may find some.
        with contextlib.suppress(Exception):
            if not _run_once(wakeup, step):
                return
            continue
        time.sleep(_ERROR_PAUSE_S)  # Outside of the handler: a traceback would keep objects alive.


def _run_once(wakeup: Descriptor, step: Callable[[], Step]) -> bool:
    connection, deadline, continues = step()
    if continues:
        events = {wakeup.number: select.POLLIN}
        if connection is not None:
            events[connection.number] = 0  # POLLHUP is always reported.
        poll(events, deadline)
        consume(wakeup)
    return continues


_instances: weakref.WeakSet[ResumeThread] = weakref.WeakSet()


# A child of fork(2) does not have the threads.
def _close_in_child() -> None:
    for instance in list(_instances):
        instance.close()


os.register_at_fork(after_in_child=_close_in_child)
