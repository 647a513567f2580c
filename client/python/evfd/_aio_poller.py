"""Lets a thread wait for several descriptors. wait() reports a descriptor once per arm().

With kernel AIO a descriptor that became readable is reported even if it is no longer readable (see
:mod:`evfd._aio`).  Without kernel AIO, poll(2) is used.
"""

from __future__ import annotations

import select
import types
from typing import Protocol

from evfd import _aio
from evfd._poll import poll
from evfd._time import Deadline, time_until


class HasFileno(Protocol):
    """An object with a descriptor."""

    def fileno(self) -> int:
        """Return the descriptor's number."""
        ...


class Poller:
    """Polls up to `count` descriptors, identified by index.  Use it in a ``with`` statement."""

    def __init__(self, count: int) -> None:
        self._armed: dict[int, HasFileno] = {}
        self._operations: dict[int, _aio.Operation] = {}
        self._context = _aio.acquire_context(count)

    def __enter__(self) -> Poller:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        context, self._context = self._context, None
        if context is None:
            return
        # If a signal handler raised an exception, it is unknown which operations are in progress,
        # so the context is destroyed and not reused.
        if kind is not None:
            context.destroy()
            return
        try:
            for operation in self._operations.values():
                context.cancel(operation)
            while self._operations:
                self._reap(context, None)
        finally:
            if self._operations:  # A signal handler has interrupted the while loop.
                context.destroy()
            else:
                _aio.release_context(context)

    def arm(self, index: int, descriptor: HasFileno) -> None:
        """Poll the descriptor until wait() reports it."""
        self._armed[index] = descriptor
        if self._context is not None:
            self._operations[index] = self._context.begin_poll(descriptor.fileno(), index)

    def wait(self, deadline: Deadline) -> list[int]:
        """Wait until descriptors are ready; return their indices, or an empty list on timeout."""
        if self._context is None:
            return self._wait_by_poll(deadline)
        while True:
            left = None if deadline is None else time_until(deadline)
            ready = self._reap(self._context, left)
            if ready or left == 0:
                return ready

    def _reap(self, context: _aio.Context, timeout_ns: int | None) -> list[int]:
        ready = context.reap(1, timeout_ns)
        for index in ready:
            del self._operations[index]
            del self._armed[index]
        return ready

    def _wait_by_poll(self, deadline: Deadline) -> list[int]:
        indices: dict[int, list[int]] = {}
        for index, descriptor in self._armed.items():
            indices.setdefault(descriptor.fileno(), []).append(index)
        events = poll(dict.fromkeys(indices, select.POLLIN), deadline)
        ready = [index for number, _ in events for index in indices[number]]
        for index in ready:
            del self._armed[index]
        return ready


def supports_latched_wait() -> bool:
    """Return whether an event wakes every waiter even if it is set and at once cleared.

    This needs kernel AIO. Where it is not available (fs.aio-max-nr is used up, or AIO is
    forbidden), waits use poll(2), which can miss such an event.
    """
    context = _aio.acquire_context(_aio.ONE)
    if context is None:
        return False
    _aio.release_context(context)
    return True
