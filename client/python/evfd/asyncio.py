"""Events, semaphores, pulses and timers for asyncio, with the classes of evfd as their pattern.

>>> import evfd
>>> ready = evfd.asyncio.Event("db/ready")
>>> await ready.wait()
>>> async with evfd.asyncio.Semaphore("jobs"):
...     ...
>>> async for expirations in evfd.asyncio.Timer("tick"):
...     ...

Methods that use only the descriptor never block, and are ordinary methods, as in asyncio: set(),
clear() of an event or a pulse, release(), is_set().  Methods that wait or call the daemon are
coroutines.

There are two exceptions.  A constructor with a name makes up to three calls to the daemon, and
blocks the loop for them; ``await asyncio.to_thread(evfd.asyncio.Event, "db/ready")`` does not.  A
caller who may set but not wait has no descriptor, so set(), clear() and release() call the daemon
and block.

A wait that succeeds at once does not suspend its task, as in asyncio.  A loop that only makes such
waits needs ``await asyncio.sleep(0)`` to let other tasks run.

Waits need no thread.  The tasks of one loop that wait for one object are served in the order of
their arrival; a manual event releases all of them.  A cancelled wait consumes nothing, and always
raises CancelledError.  A call to the daemon that is cancelled is executed all the same.

Several loops, in several threads, can use one object.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import AsyncGenerator

from evfd import _async_wait, _client, errors, types
from evfd._async_wait import wait_any
from evfd._client import Client, default_client
from evfd._event import EventBase
from evfd._lock import LockBase
from evfd._pulse import PulseBase
from evfd._readiness import wait_readable
from evfd._schedule import Clock
from evfd._scoped import AsyncScopedMixin
from evfd._semaphore import BoundedMixin, SemaphoreBase
from evfd._session import Session
from evfd._time import ClockTime, Seconds, is_negative
from evfd._timer import TimerBase
from evfd._wait_set import WaitResult

__all__ = [
    "BoundedSemaphore",
    "Event",
    "Lock",
    "Pulse",
    "Semaphore",
    "Timer",
    "WaitResult",
    "monitor",
    "wait_any",
]


def _check_no_bool(timeout: Seconds | None) -> None:
    """Raise TypeError for the argument `blocking` of acquire() of threading."""
    if isinstance(timeout, bool):
        raise TypeError("acquire() of evfd.asyncio takes a timeout, not a bool; give timeout=0")


class Event(EventBase):
    """An asyncio.Event with a descriptor, and with a name that other processes can open.

    For the arguments, see evfd.Event.
    """

    _module = "evfd.asyncio"

    async def wait(self, timeout: Seconds | None = None) -> bool:
        """Wait until the event is set; return False once `timeout` seconds have passed."""
        return await _async_wait.wait(self, timeout) > 0


class Lock(LockBase, AsyncScopedMixin):
    """An asyncio.Lock with a descriptor, and with a name that other processes can open.

    For the arguments, see evfd.Lock.  An ``async with`` statement acquires and releases the lock.
    """

    _module = "evfd.asyncio"

    async def acquire(self, timeout: Seconds | None = None) -> bool:
        """Lock the lock; return False once `timeout` seconds have passed.

        Raise ValueError if the timeout is negative.
        """
        _check_no_bool(timeout)
        if timeout is not None and is_negative(timeout):
            raise ValueError("timeout value must be a non-negative number")
        return await _async_wait.wait(self, timeout) > 0


class Semaphore(SemaphoreBase, AsyncScopedMixin):
    """An asyncio.Semaphore with a descriptor, and with a name that other processes can open.

    For the arguments, see evfd.Semaphore.  An ``async with`` statement acquires and releases the
    semaphore.
    """

    _module = "evfd.asyncio"

    async def acquire(self, timeout: Seconds | None = None) -> bool:
        """Wait for a token and consume it; return False once `timeout` seconds have passed.

        A timeout of 0 or less does not block.
        """
        _check_no_bool(timeout)
        return await _async_wait.wait(self, timeout) > 0

    async def wait(self, timeout: Seconds | None = None) -> bool:
        """Wait for a token and consume it, like acquire()."""
        return await self.acquire(timeout)

    def locked(self) -> bool:
        """Return whether acquire() would wait.

        It would wait if there is no token, or if other tasks of the running loop wait already.
        """
        return not self.is_set() or _async_wait.has_waits(self)

    async def clear(self) -> None:
        """Consume the tokens that exist at the time of the call, in a thread.

        Raise LimitError if there are too many tokens to consume one by one.
        """
        await asyncio.to_thread(self._clear)


class BoundedSemaphore(BoundedMixin, Semaphore):
    """A semaphore that refuses a release() beyond its bound, as asyncio.BoundedSemaphore does.

    For the arguments, see evfd.BoundedSemaphore.
    """


class Pulse(PulseBase):
    """A subscription to the pulse with this name; its count is private to this object.

    For the arguments, see evfd.Pulse.
    """

    _module = "evfd.asyncio"

    async def set(self, count: int = 1) -> None:
        """Add `count` to the count of every current subscriber."""
        _client.check_tokens(count)
        self._require_settable()
        await asyncio.to_thread(self._require_client().set, self._name or "", count=count)

    async def wait(self, timeout: Seconds | None = None) -> int:
        """Wait for a pulse; return the number of pulses since the last wait.

        Return 0 once `timeout` seconds have passed.
        """
        return await _async_wait.wait(self, timeout)


class Timer(TimerBase):
    """A subscription to the timer with this name.

    For the arguments, see evfd.Timer.  ``async for n in timer`` waits for the timer again and
    again, and yields the number of expirations since the last wait.
    """

    _module = "evfd.asyncio"

    async def arm(
        self,
        *,
        after: Seconds | None = None,
        at: ClockTime | None = None,
        interval: Seconds = 0.0,
        clock: Clock | int | None = None,
        cancel_on_clock_change: bool = False,
        sets: str | None = None,
    ) -> None:
        """Arm the timer with a new schedule; see Client.arm()."""
        self._require_settable()
        await asyncio.to_thread(
            self._require_client().arm,
            self._name or "",
            after=after,
            at=at,
            interval=interval,
            clock=clock,
            cancel_on_clock_change=cancel_on_clock_change,
            sets=sets,
        )

    async def arm_ns(
        self,
        *,
        after: int | None = None,
        at: int | None = None,
        interval: int = 0,
        clock: Clock | int | None = None,
        cancel_on_clock_change: bool = False,
        sets: str | None = None,
    ) -> None:
        """Arm the timer with a new schedule in nanoseconds; see Client.arm_ns()."""
        self._require_settable()
        await asyncio.to_thread(
            self._require_client().arm_ns,
            self._name or "",
            after=after,
            at=at,
            interval=interval,
            clock=clock,
            cancel_on_clock_change=cancel_on_clock_change,
            sets=sets,
        )

    async def disarm(self) -> None:
        """Disarm the timer for every process that has it open, until it is armed again."""
        self._require_settable()
        await asyncio.to_thread(self._require_client().disarm, self._name or "")

    async def wait(self, timeout: Seconds | None = None) -> int:
        """Wait for an expiry; return the number of expirations since the last wait.

        Return 0 once `timeout` seconds have passed.  Raise ClockChangedError if the wall clock was
        set, which cancelled the timer.
        """
        return await _async_wait.wait(self, timeout)

    def __aiter__(self) -> Timer:
        return self

    async def __anext__(self) -> int:
        return await self.wait()


class _MonitorStart:
    """Begins a monitor in a thread, and ends its session if the task has ended meanwhile."""

    def __init__(self, client: Client, pattern: str | None) -> None:
        self._client = client
        self._pattern = pattern
        self._is_abandoned = False
        self._begun: list[Session] = []

    async def session(self) -> Session:
        try:
            await asyncio.to_thread(self._begin)
        except BaseException:  # CancelledError, or GeneratorExit if the generator is closed.
            self._is_abandoned = True
            self._end()
            raise
        return self._begun.pop()

    def _begin(self) -> None:
        self._begun.append(self._client._begin_monitor(self._pattern))
        if self._is_abandoned:
            self._end()

    # Both the thread and the task call this method, and only one of them finds the session.
    def _end(self) -> None:
        with contextlib.suppress(IndexError):
            self._begun.pop().end()


async def monitor(
    pattern: str | None = None, *, client: Client | None = None
) -> AsyncGenerator[types.Change, None]:
    """Report the state of all objects whose name matches a glob, and then every change.

    The generator does not end.  After a restart of the daemon it reports ``resync``, and starts
    again with the state of all objects.  Use contextlib.aclosing() to end it at a known time.

    If `client` is None, default_client() is used.
    """
    client = default_client() if client is None else client
    while True:
        session = await _MonitorStart(client, pattern).session()
        try:
            while True:
                while not session.connection.has_whole_reply():
                    await wait_readable(session.connection, None)
                yield types.Change.from_wire(session.connection.receive(0).parameters)
                # Lets other tasks run even if changes always arrive faster than they are read.
                await asyncio.sleep(0)
        except errors.LostDaemonError:
            pass
        finally:
            session.end()
        yield types.Change("resync")
