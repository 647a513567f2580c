"""Waits of asyncio tasks for events, semaphores, pulses and timers.

The tasks of one loop that wait for one object form a queue.  Only the first task polls the
descriptor and consumes.  When it leaves the queue, the next task is first.  So the tasks are served
in the order of their arrival.  A wait that consumes nothing does not join a queue.

wait_any() joins the queues of all its objects, and polls each of them in a task of its own.  These
tasks only poll; wait_any() itself consumes.

Invariants:

- A wait consumes in the step in which it returns.  A cancellation reaches a task only while it is
  suspended, so a cancelled wait has consumed nothing.
- A wait that leaves a queue, for whatever reason, makes the next one first.
- A queue has strong references to the futures of its waits, so a task without another reference is
  kept while it waits.  Only the waits have strong references to their queue, because a future
  refers to its loop, and a reference from this module would keep a dropped loop alive.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import weakref
from types import TracebackType
from typing import Iterable, Optional

from evfd._readiness import wait_readable
from evfd._time import NS_PER_SECOND, Deadline, Seconds, deadline_after, time_until
from evfd._wait_set import WaitResult
from evfd._waitable import Waitable, check_waitables

_Turn = asyncio.Future[bool]
# An OrderedDict finds its first key, and deletes any key, in constant time.
_Queue = collections.OrderedDict[_Turn, None]
_Queues = weakref.WeakKeyDictionary[Waitable, "weakref.ref[_Queue]"]

_queues: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, _Queues
] = weakref.WeakKeyDictionary()


class _Wait:
    """A wait of the running loop for one object.  In a ``with`` statement, it is in the queue."""

    def __init__(self, waitable: Waitable) -> None:
        self.waitable = waitable
        self._opened, self._descriptor = waitable._require_consumable()
        # Stored, because another task can close the object during the wait.
        self._consumes = waitable._consumption() != "none"
        self._loop = asyncio.get_running_loop()
        # Resolved with True when this wait is the first of the queue; None outside of a queue.
        self._turn: Optional[_Turn] = None
        self._joined: Optional[_Queue] = None

    def try_now(self) -> int:
        """Consume without blocking, unless other waits are in the queue.

        Return the consumed count, or 0 if nothing was consumed.
        """
        if self._queue():
            return 0
        return self.waitable._try_wait(self._opened, self._descriptor)

    def __enter__(self) -> _Wait:
        if not self._consumes:
            return self
        queue = self._queue()
        if queue is None:
            queue = collections.OrderedDict()
            queues = _queues.setdefault(self._loop, weakref.WeakKeyDictionary())
            queues[self.waitable] = weakref.ref(queue)
        self._joined = queue
        self._turn = self._loop.create_future()
        queue[self._turn] = None
        _advance(queue)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        turn, self._turn = self._turn, None
        queue, self._joined = self._joined, None
        if turn is None or queue is None:
            return
        del queue[turn]
        if queue and not self._loop.is_closed():
            _advance(queue)

    async def ready(self, deadline: Deadline) -> bool:
        """Wait until it makes sense to consume; return False on timeout.

        A wait that becomes the first of the queue does not know yet whether it can consume.
        """
        if self._turn is None or self._turn.done():
            return await wait_readable(self._descriptor, deadline)
        if deadline is None:
            return await self._turn
        seconds = time_until(deadline) / NS_PER_SECOND
        timeout = self._loop.call_later(seconds, _resolve, self._turn, False)
        try:
            return await self._turn
        finally:
            timeout.cancel()

    def consume(self) -> int:
        """Consume without blocking; return the count, which is 1 if the wait consumes nothing."""
        if not self._consumes:
            return 1
        return self.waitable._consume(self._opened, self._descriptor)

    def _queue(self) -> Optional[_Queue]:
        return _queue_of(self._loop, self.waitable)


def _queue_of(loop: asyncio.AbstractEventLoop, waitable: Waitable) -> Optional[_Queue]:
    queues = _queues.get(loop)
    reference = None if queues is None else queues.get(waitable)
    return None if reference is None else reference()


def _advance(queue: _Queue) -> None:
    """Tell the first wait of the queue that it is the first."""
    _resolve(next(iter(queue)), True)


def _resolve(turn: _Turn, value: bool) -> None:
    if not turn.done():
        turn.set_result(value)


def _has_passed(deadline: Deadline) -> bool:
    return deadline is not None and time_until(deadline) == 0


def has_waits(waitable: Waitable) -> bool:
    """Return whether tasks of the running loop wait in the queue of this object."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return False
    return bool(_queue_of(loop, waitable))


async def wait(waitable: Waitable, timeout: Seconds | None) -> int:
    """Wait until the object is set; return 0 on timeout.

    If the wait was successful, return the consumed count, or 1 if the wait consumes nothing.
    """
    waiting = _Wait(waitable)
    if count := waiting.try_now():
        return count
    deadline = deadline_after(timeout)
    with waiting:
        while await waiting.ready(deadline):
            if count := waiting.consume():
                return count
            if _has_passed(deadline):
                break
    return 0


async def wait_any(
    waitables: Iterable[Waitable], timeout: Seconds | None = None
) -> Optional[WaitResult]:
    """Wait for one of up to 253 objects, and consume only from that object.

    Return None once `timeout` seconds have passed; a timeout of None waits indefinitely.  The
    objects can be of evfd and of evfd.asyncio.
    """
    waits = [_Wait(waitable) for waitable in check_waitables(waitables)]
    for waiting in waits:
        if count := waiting.try_now():
            return WaitResult(waiting.waitable, count)
    deadline = deadline_after(timeout)
    with contextlib.ExitStack() as queues:
        for waiting in waits:
            queues.enter_context(waiting)
        result = await _first_of(waits, deadline)
    return result


async def _first_of(waits: list[_Wait], deadline: Deadline) -> Optional[WaitResult]:
    loop = asyncio.get_running_loop()
    polling = {loop.create_task(waiting.ready(None)): waiting for waiting in waits}
    try:
        while True:
            seconds = None if deadline is None else time_until(deadline) / NS_PER_SECOND
            done, _ = await asyncio.wait(
                polling, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            for task in [task for task in polling if task in done]:
                waiting = polling.pop(task)
                task.result()
                if count := waiting.consume():
                    return WaitResult(waiting.waitable, count)
                polling[loop.create_task(waiting.ready(None))] = waiting
            if _has_passed(deadline):
                return None
    finally:
        # If the loop was closed and dropped, this block runs in a finalizer. The tasks of a closed
        # loop cannot be cancelled, and end with the loop.
        if not loop.is_closed():
            for task in polling:
                task.cancel()
