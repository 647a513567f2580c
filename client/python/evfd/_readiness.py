"""Tells a task of an asyncio loop that a descriptor became readable, even if only for a moment.

An asyncio loop polls descriptors with epoll(7), which checks the descriptors only when the loop
runs, and misses an event that was set and at once cleared.  So this module submits an operation of
kernel AIO for each awaited descriptor (see :mod:`evfd._aio`).  The kernel completes the operation
during the wake-up itself.

Each loop has one AIO context and one eventfd (:class:`_LoopPoller`).  The kernel sets the eventfd
when an operation completes; the loop then reaps all completions and resolves their futures.  The
loop reads the eventfd only while an operation is in progress.

Invariants:

- The loop has the strong references to the futures, in an argument of its reader, so a task that
  waits is kept even without another reference.  A poller has no reference to its loop, and only a
  weak reference to the futures.  So a loop that the program drops is collected, and its poller with
  it.
- An operation object exists until the operation completes, even if the wait was cancelled, because
  the kernel has the object's address.
- A child of fork(2) must not touch its parent's contexts, and must not wait for their operations.

Without kernel AIO, or when the context is full, the loop watches a duplicate of the descriptor.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from typing import Callable, Optional

from evfd import _aio, errors
from evfd._aio_poller import HasFileno
from evfd._descriptor import Descriptor, consume, make_eventfd
from evfd._time import NS_PER_SECOND, Deadline, time_until


class _Futures(dict[int, "asyncio.Future[bool]"]):
    """The futures of the operations in progress, by key."""


class _LoopPoller:
    """The AIO context of one loop.  A poller has no reference to its loop."""

    def __init__(self, context: _aio.Context, eventfd: Descriptor) -> None:
        self._context = context
        self._eventfd = eventfd
        self._next_key = 0
        self._pending: dict[int, _aio.Operation] = {}
        # The reference is weak, because a future refers to its loop. While an operation is in
        # progress, the loop's reader has a strong reference.
        self._futures: Callable[[], Optional[_Futures]] = _no_futures

    def arm(self, loop: asyncio.AbstractEventLoop, fd: int, future: asyncio.Future[bool]) -> int:
        """Resolve the future when `fd` is readable; return a key for disarm().

        Raise OSError if the context is full.
        """
        key = self._next_key
        self._next_key += 1
        operation = self._context.begin_poll(fd, key, self._eventfd.number)
        futures = self._futures() if self._pending else None
        if futures is None:
            futures = _Futures()
            self._futures = weakref.ref(futures)
            loop.add_reader(self._eventfd.number, self._on_completions, futures)
        self._pending[key] = operation
        futures[key] = future
        return key

    def disarm(self, key: int) -> None:
        """Cancel the operation with this key.  _on_completions() removes the operation later."""
        if key in self._pending:
            self._context.cancel(self._pending[key])

    def _on_completions(self, futures: _Futures) -> None:
        consume(self._eventfd)
        while completed := self._context.reap(0, 0):
            for key in completed:
                del self._pending[key]
                _resolve(futures.pop(key), True)
        if not self._pending:
            asyncio.get_running_loop().remove_reader(self._eventfd.number)

    def __del__(self) -> None:
        for operation in self._pending.values():
            self._context.cancel(operation)
        left = len(self._pending)
        while left > 0:
            left -= len(self._context.reap(1, None))
        _aio.release_context(self._context)


def _no_futures() -> None:
    return None


def _resolve(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)


_pollers: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, _LoopPoller
] = weakref.WeakKeyDictionary()
_inherited: list[_LoopPoller] = []


def _poller_for(loop: asyncio.AbstractEventLoop) -> Optional[_LoopPoller]:
    poller = _pollers.get(loop)
    if poller is None:
        try:
            eventfd = make_eventfd()
        except OSError:  # This process has no free descriptor.
            return None
        context = _aio.acquire_context(_aio.MANY)
        if context is None:
            return None
        poller = _pollers[loop] = _LoopPoller(context, eventfd)
    return poller


async def wait_readable(descriptor: HasFileno, deadline: Deadline) -> bool:
    """Wait until the descriptor becomes readable; return False on timeout.

    It is possible that the descriptor is no longer readable when this function returns True.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[bool] = loop.create_future()
    timeout = None
    if deadline is not None:
        seconds = time_until(deadline) / NS_PER_SECOND
        timeout = loop.call_later(seconds, _resolve, future, False)
    poller = _poller_for(loop)
    try:
        key = None if poller is None else poller.arm(loop, descriptor.fileno(), future)
    except OSError:  # The AIO context is full.
        key = None
    try:
        if poller is not None and key is not None:
            return await _await_and_disarm(poller, key, future)
        return await _await_reader(loop, descriptor, future)
    finally:
        if timeout is not None:
            timeout.cancel()


async def _await_and_disarm(poller: _LoopPoller, key: int, future: asyncio.Future[bool]) -> bool:
    try:
        return await future
    finally:
        poller.disarm(key)


async def _await_reader(
    loop: asyncio.AbstractEventLoop, descriptor: HasFileno, future: asyncio.Future[bool]
) -> bool:
    # Watches a duplicate: a loop has only one reader for each descriptor, and the program has
    # perhaps registered a reader for the original.
    try:
        duplicate = Descriptor(os.dup(descriptor.fileno()))
        loop.add_reader(duplicate.number, _resolve, future, True)
    except OSError as error:
        raise errors.failed("dup(2) or epoll_ctl(2)", error) from error
    try:
        return await future
    finally:
        loop.remove_reader(duplicate.number)
        # Closes the duplicate here and not in its __del__(), because a traceback can keep this
        # frame, and with it the duplicate, alive for a while.
        duplicate.close()


# In a child of fork(2), the inherited pollers still refer to the AIO contexts of the parent. The
# child never deletes these pollers, because their __del__() would wait for operations of the
# parent.
def _keep_inherited() -> None:
    _inherited.extend(_pollers.values())
    _pollers.clear()


os.register_at_fork(after_in_child=_keep_inherited)
