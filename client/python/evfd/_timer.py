"""A named timer: a private timerfd that expires at the times of the timer."""

from __future__ import annotations

import ctypes
import errno
import os

from evfd import _async_wait, _schedule, errors
from evfd._client import Client, Lifetime, Opened
from evfd._descriptor import Descriptor, read_counter
from evfd._schedule import Clock
from evfd._time import NS_PER_SECOND, ClockTime, Seconds, to_ns
from evfd._waitable import (
    ClosingMixin,
    Consumption,
    check_creation,
    check_kind,
    missing,
    open_or_create,
)


class _Itimerspec(ctypes.Structure):
    _fields_ = [
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("left_s", ctypes.c_long),
        ("left_ns", ctypes.c_long),
    ]


_libc = ctypes.CDLL(None, use_errno=True)


class TimerBase(ClosingMixin):
    """Base class of evfd.Timer and evfd.asyncio.Timer."""

    def __init__(
        self,
        name: str,
        *,
        after: Seconds | None = None,
        at: ClockTime | None = None,
        interval: Seconds = 0.0,
        clock: Clock | int | None = None,
        cancel_on_clock_change: bool = False,
        sets: str | None = None,
        create: bool = False,
        exist_ok: bool = True,
        permissions: int | None = None,
        lifetime: Lifetime = "permanent",
        client: Client | None = None,
    ) -> None:
        client = check_creation(name, client, create, exist_ok)

        def arm(at_client: Client, may_exist: bool, object_id: int | None = None) -> None:
            request = _schedule.arm_parameters_in_seconds(
                name,
                after=after,
                at=at,
                interval=interval,
                clock=clock,
                cancel_on_clock_change=cancel_on_clock_change,
                sets=sets,
            )
            if not may_exist:
                _require_missing(at_client, name)
            created = at_client._arm({**request, "id": object_id}, permissions, lifetime)
            if not created and not may_exist:
                raise _taken(name)

        if exist_ok and (after is not None or at is not None or to_ns(interval) != 0):
            # A timer that must exist is armed by its id. Arm creates a timer if there is no id.
            arm(client, True, None if create else _id_of(client, name))
        client, opened = open_or_create(name, client, create, exist_ok, arm)
        check_kind(name, opened, "timer")
        super().__init__(name, client, opened)

    def gettime_ns(self) -> tuple[int, int]:
        """Return the time until the next expiry and the interval, like os.timerfd_gettime_ns().

        The time is 0 if the timer is not armed.  The interval is 0 if the timer expires once.
        """
        _, descriptor = self._require_consumable()
        spec = _Itimerspec()
        if _libc.timerfd_gettime(descriptor.number, ctypes.byref(spec)) < 0:
            error = ctypes.get_errno()
            raise errors.failed("timerfd_gettime(2)", OSError(error, os.strerror(error)))
        left = spec.left_s * NS_PER_SECOND + spec.left_ns
        interval = spec.interval_s * NS_PER_SECOND + spec.interval_ns
        if interval:
            # The kernel reports 0 at the very instant of an expiry, although the timer is armed.
            left = max(left, 1)
        return left, interval

    def gettime(self) -> tuple[float, float]:
        """Return the result of gettime_ns() in seconds."""
        left, interval = self.gettime_ns()
        return left / NS_PER_SECOND, interval / NS_PER_SECOND

    def _consumption(self) -> Consumption:
        return "exclusive"

    def _consume(self, opened: Opened, descriptor: Descriptor) -> int:
        try:
            return read_counter(descriptor)
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
        if opened.subscription is not None:
            opened.subscription.acknowledge()
        raise errors.ClockChangedError(
            f"the wall clock was set, which cancelled '{self._name}'; arm it again",
            self._name,
        )


class Timer(TimerBase):
    """A subscription to the timer with this name.

    The descriptor is a private timerfd, whose count belongs to this object.  The timerfd continues
    to expire while the daemon is down.  The daemon programs the timerfd again when the timer is
    armed or disarmed.

    A schedule consists of `after`, `at` or `interval`, in seconds, or as timedelta and datetime;
    see Client.arm().  With a schedule, the timer is armed.  A new timer needs a schedule, and has
    `permissions` and `lifetime`.

    ``for n in timer`` waits for the timer again and again, and yields the number of expirations
    since the last wait.

    Without `create`, a schedule is for the timer that exists now: its id is read first, which needs
    the r permission, and ReplacedError is raised if another timer gets the name before the timer is
    armed.

    For `create`, `exist_ok` and `client`, see Event.  If `exist_ok` is false, the check and the
    creation are two calls: a timer that another client creates between them is armed with this
    schedule before NameTakenError is raised.
    """

    def arm(
        self,
        *,
        after: Seconds | None = None,
        at: ClockTime | None = None,
        interval: Seconds = 0.0,
        clock: Clock | int | None = None,
        cancel_on_clock_change: bool = False,
        sets: str | None = None,
    ) -> None:
        """Arm the timer with a new schedule; see Client.arm().

        When this method returns, the schedule already applies in every process that has the timer
        open.
        """
        self._require_settable()
        self._require_client().arm(
            self._name or "",
            after=after,
            at=at,
            interval=interval,
            clock=clock,
            cancel_on_clock_change=cancel_on_clock_change,
            sets=sets,
        )

    def arm_ns(
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
        self._require_client().arm_ns(
            self._name or "",
            after=after,
            at=at,
            interval=interval,
            clock=clock,
            cancel_on_clock_change=cancel_on_clock_change,
            sets=sets,
        )

    def disarm(self) -> None:
        """Disarm the timer for every process that has it open, until it is armed again."""
        self._require_settable()
        self._require_client().disarm(self._name or "")

    def wait(self, timeout: Seconds | None = None) -> int:
        """Wait for an expiry; return the number of expirations since the last wait.

        If the timer was opened or armed since the last wait, the count begins at that moment.
        Return 0 once `timeout` seconds have passed.  Raise ClockChangedError if the wall clock was
        set, which cancelled the timer.
        """
        return self._wait(timeout)

    def __iter__(self) -> Timer:
        return self

    def __next__(self) -> int:
        return self.wait()

    async def wait_async(self, timeout: Seconds | None = None) -> int:
        """Wait in an asyncio loop, like wait() of evfd.asyncio."""
        return await _async_wait.wait(self, timeout)


def _id_of(client: Client, name: str) -> int:
    """Return the id of the object with this name; raise NoSuchNameError if there is none."""
    try:
        return client.show(name).id
    except errors.NoSuchNameError as error:
        raise missing(name, error) from None


def _require_missing(client: Client, name: str) -> None:
    """Raise NameTakenError if an object has this name."""
    try:
        client.show(name)
    except errors.NoSuchNameError:
        return
    raise _taken(name)


def _taken(name: str) -> errors.NameTakenError:
    return errors.NameTakenError(
        f"an object named '{name}' exists already; choose another name, or open it without "
        "exist_ok=False",
        name,
    )
