"""Descriptors that a thread waits for together; each rings once, until it is armed again.

With kernel AIO a descriptor that became readable has rung, even if it no longer is (see
:mod:`evfd.aio`).  Where AIO cannot be had, poll(2) it is.
"""

from __future__ import annotations

import select
import types
from typing import Protocol

from evfd import aio
from evfd.clock import Deadline, left_until
from evfd.polling import poll


class HasFileno(Protocol):
    def fileno(self) -> int:
        ...


class Poller:
    """For `count` descriptors, known by their index.  To be used in a ``with`` statement."""

    def __init__(self, count: int) -> None:
        self._armed: dict[int, HasFileno] = {}
        self._operations: dict[int, aio.Operation] = {}
        self._context = aio.take_context(count)

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
        if kind is not None:  # Perhaps out of a signal handler: who knows what is under way.
            context.destroy()
            return
        try:
            for operation in self._operations.values():
                context.cancel(operation)
            while self._operations:
                self._reap(context, None)
        finally:
            if self._operations:  # A signal handler threw.
                context.destroy()
            else:
                aio.give_context(context)

    def arm(self, index: int, descriptor: HasFileno) -> None:
        """Until it rings."""
        self._armed[index] = descriptor
        if self._context is not None:
            self._operations[index] = self._context.begin_poll(descriptor.fileno(), index)

    def next(self, deadline: Deadline) -> list[int]:
        """Which rang, at least one; none if the time was over."""
        if self._context is None:
            return self._next_by_poll(deadline)
        while True:
            left = None if deadline is None else left_until(deadline)
            rung = self._reap(self._context, left)
            if rung or left == 0:
                return rung

    def _reap(self, context: aio.Context, timeout_ns: int | None) -> list[int]:
        rung = context.reap(1, timeout_ns)
        for index in rung:
            del self._operations[index]
            del self._armed[index]
        return rung

    def _next_by_poll(self, deadline: Deadline) -> list[int]:
        indices: dict[int, list[int]] = {}
        for index, descriptor in self._armed.items():
            indices.setdefault(descriptor.fileno(), []).append(index)
        happened = poll(dict.fromkeys(indices, select.POLLIN), deadline)
        rung = [index for number, _ in happened for index in indices[number]]
        for index in rung:
            del self._armed[index]
        return rung


def latches_waits() -> bool:
    """Whether no wait can miss an event that is set and cleared at once.

    That takes kernel AIO.  Where it cannot be had (fs.aio-max-nr is used up, or it is forbidden)
    waits look by poll(2), which can.
    """
    context = aio.take_context(aio.ONE)
    if context is None:
        return False
    aio.give_context(context)
    return True
