"""What tells an asyncio loop that descriptors became readable, even if they no longer are.

An operation of kernel AIO for each of them (see :mod:`evfd.aio`), and one eventfd that the kernel
sets when any is completed.  Where AIO cannot be had the loop watches the descriptors themselves.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from typing import Optional

from evfd import aio, errors
from evfd.clock import NS_PER_SECOND, Deadline, left_until
from evfd.descriptor import Descriptor, make_eventfd, take
from evfd.poller import HasFileno


class _Bell:
    """Of one loop; of which it knows nothing that would keep it."""

    def __init__(self, context: aio.Context, eventfd: Descriptor) -> None:
        self._context = context
        self._eventfd = eventfd
        self._next = 0
        # A future has its loop; it is there as long as somebody awaits it.
        self._rings: dict[int, tuple[aio.Operation, weakref.ref[asyncio.Future[bool]]]] = {}

    def arm(self, loop: asyncio.AbstractEventLoop, fd: int, rings: asyncio.Future[bool]) -> int:
        """OSError if there is no room for more."""
        key = self._next
        self._next += 1
        operation = self._context.begin_poll(fd, key, self._eventfd.number)
        if not self._rings:
            loop.add_reader(self._eventfd.number, self._hear)
        self._rings[key] = operation, weakref.ref(rings)
        return key

    def disarm(self, key: int) -> None:
        if key in self._rings:  # It is completed soon, and goes then.
            self._context.cancel(self._rings[key][0])

    def _hear(self) -> None:
        take(self._eventfd)
        while completed := self._context.reap(0, 0):
            for key in completed:
                rings = self._rings.pop(key)[1]()
                if rings is not None:
                    _resolve(rings, True)
        if not self._rings:
            asyncio.get_running_loop().remove_reader(self._eventfd.number)

    def __del__(self) -> None:
        for operation, _ in self._rings.values():
            self._context.cancel(operation)
        left = len(self._rings)
        while left > 0:
            left -= len(self._context.reap(1, None))
        aio.give_context(self._context)


def _resolve(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)


_bells: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Bell] = weakref.WeakKeyDictionary()
_forked: list[_Bell] = []


def _bell_of(loop: asyncio.AbstractEventLoop) -> Optional[_Bell]:
    bell = _bells.get(loop)
    if bell is None:
        try:
            eventfd = make_eventfd()
        except OSError:  # No descriptor is left.
            return None
        context = aio.take_context(aio.MANY)
        if context is None:
            return None
        bell = _bells[loop] = _Bell(context, eventfd)
    return bell


async def becomes_readable(descriptor: HasFileno, deadline: Deadline) -> bool:
    """Whether it does before that moment; it may no longer be then."""
    loop = asyncio.get_running_loop()
    rings: asyncio.Future[bool] = loop.create_future()
    alarm = None
    if deadline is not None:
        seconds = left_until(deadline) / NS_PER_SECOND
        alarm = loop.call_later(seconds, _resolve, rings, False)
    bell = _bell_of(loop)
    try:
        key = None if bell is None else bell.arm(loop, descriptor.fileno(), rings)
    except OSError:  # So many waits at a time.
        key = None
    try:
        if bell is not None and key is not None:
            return await _and_disarm(bell, key, rings)
        return await _watch(loop, descriptor, rings)
    finally:
        if alarm is not None:
            alarm.cancel()


async def _and_disarm(bell: _Bell, key: int, rings: asyncio.Future[bool]) -> bool:
    try:
        return await rings
    finally:
        bell.disarm(key)


async def _watch(
    loop: asyncio.AbstractEventLoop, descriptor: HasFileno, rings: asyncio.Future[bool]
) -> bool:
    # A loop has one reader for a descriptor, and that may be somebody else's.
    try:
        own = Descriptor(os.dup(descriptor.fileno()))
        loop.add_reader(own.number, _resolve, rings, True)
    except OSError as error:
        raise errors.failed("dup(2) or epoll_ctl(2)", error) from error
    try:
        return await rings
    finally:
        loop.remove_reader(own.number)
        own.close()  # What was raised may keep us for a while.


# The contexts are the parent's. Kept, so that nobody waits for what they had under way.
def _leave_to_parent() -> None:
    _forked.extend(_bells.values())
    _bells.clear()


os.register_at_fork(after_in_child=_leave_to_parent)
