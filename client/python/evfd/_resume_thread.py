"""A thread that resumes the main session after a crash of the daemon.

The thread matters to a client that makes no calls.  Without it, the client's subscriptions and
temporary objects would end when the daemon stops waiting for the session.  The thread has only a
weak reference to its client, and ends when the client is deleted.
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

_ERROR_PAUSE_S = 1  # The pause after an exception, in seconds.

#: The result of one call of the function `step` of a ResumeThread. The first item is the connection
#: to watch, or None. The end of that connection causes the next call. The second item is the latest
#: time of the next call. The third item tells whether the thread continues.
Step = tuple[Optional[Descriptor], Deadline, bool]


class ResumeThread:
    """A thread that calls `step` at the start of the thread, and again after each wake().

    The thread also calls `step` when the watched connection ends, and at the latest time that the
    previous step returned.
    """

    _wakeup = Descriptor(-1)  # A placeholder until __init__() has made the eventfd.

    def __init__(self, step: Callable[[], Step]) -> None:
        self._wakeup = make_eventfd()
        _instances.add(self)
        thread = threading.Thread(
            target=_run, args=(self._wakeup, step), name="evfd-resume", daemon=True
        )
        # The new thread blocks all signals, so that they are delivered to the program's own
        # threads.
        mask = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        try:
            thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def wake(self) -> None:
        """Request a step.  Never blocks, so ``__del__`` can call it."""
        add(self._wakeup, 1)

    def close(self) -> None:
        """Close the descriptor in a child of fork(2), which does not have the thread."""
        self._wakeup.close()

    def __del__(self) -> None:
        if self._wakeup.number >= 0:
            self.wake()


def _run(wakeup: Descriptor, step: Callable[[], Step]) -> None:
    while True:
        # Ignores every exception, such as a lack of memory or descriptors, because a later step can
        # succeed.
        with contextlib.suppress(Exception):
            if not _run_once(wakeup, step):
                return
            continue
        # Sleeps after the exception was handled. During the handling, the traceback would keep
        # objects alive.
        time.sleep(_ERROR_PAUSE_S)


def _run_once(wakeup: Descriptor, step: Callable[[], Step]) -> bool:
    connection, deadline, continues = step()
    if continues:
        events = {wakeup.number: select.POLLIN}
        if connection is not None:
            events[connection.number] = 0  # poll(2) always reports POLLHUP.
        poll(events, deadline)
        consume(wakeup)
    return continues


_instances: weakref.WeakSet[ResumeThread] = weakref.WeakSet()


# A child of fork(2) does not have the resume threads, so it closes their descriptors.
def _close_in_child() -> None:
    for instance in list(_instances):
        instance.close()


os.register_at_fork(after_in_child=_close_in_child)
