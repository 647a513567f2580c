"""A thread that takes the main line up again when the daemon was killed and nobody calls anything.

It has only a weak reference to what it serves, and ends with it.
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

from evfd.clock import Deadline
from evfd.descriptor import Descriptor, add, make_eventfd, take
from evfd.polling import poll

_PAUSE_S = 1  # After something went wrong.

#: What a look gives: the line to watch for its end, or None; when to look again if nothing happens;
#: and whether to go on at all.
Look = tuple[Optional[Descriptor], Deadline, bool]


class Lookout:
    """`look` is called at first, whenever what it told to watch ends, and after each ring()."""

    _bell = Descriptor(-1)  # Until there is one.

    def __init__(self, look: Callable[[], Look]) -> None:
        self._bell = make_eventfd()
        _all.add(self)
        thread = threading.Thread(
            target=_watch, args=(self._bell, look), name="evfd-lookout", daemon=True
        )
        # Signals are for the threads of whoever uses us.
        before = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        try:
            thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def ring(self) -> None:
        """There is news for it.  Never waits; also good in ``__del__``."""
        add(self._bell, 1)

    def close(self) -> None:
        """In a child of fork(2), which has no such thread."""
        self._bell.close()

    def __del__(self) -> None:
        if self._bell.number >= 0:
            self.ring()


def _watch(bell: Descriptor, look: Callable[[], Look]) -> None:
    while True:
        with contextlib.suppress(
            Exception
        ):  # No memory, or no descriptor; there may be some later.
            if not _watch_once(bell, look):
                return
            continue
        time.sleep(_PAUSE_S)  # Here, where nothing is kept by what was raised.


def _watch_once(bell: Descriptor, look: Callable[[], Look]) -> bool:
    line, look_again, goes_on = look()
    if goes_on:
        wanted = {bell.number: select.POLLIN}
        if line is not None:
            wanted[line.number] = 0  # POLLHUP comes.
        poll(wanted, look_again)
        take(bell)
    return goes_on


_all: weakref.WeakSet[Lookout] = weakref.WeakSet()


# The bell is the parent's, whose thread is not here.
def _leave_to_parent() -> None:
    for lookout in list(_all):
        lookout.close()


os.register_at_fork(after_in_child=_leave_to_parent)
