"""A named timer: a timerfd of one's own on the timer's grid."""

from __future__ import annotations

import ctypes
import errno
import os

from evfd import errors, names
from evfd.clock import NS_PER_SECOND
from evfd.daemon import Daemon, Lifetime, Opened, usual_daemon
from evfd.descriptor import Descriptor, read_counter
from evfd.schedule import Clock
from evfd.waitable import Closing, Taking, check_kind


class _Itimerspec(ctypes.Structure):
    _fields_ = [
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("left_s", ctypes.c_long),
        ("left_ns", ctypes.c_long),
    ]


_libc = ctypes.CDLL(None, use_errno=True)


class Timer(Closing):
    """Its descriptor is a timerfd that nobody else reads: its count is this opener's own, and goes
    on while the daemon is away.  It follows the name when that is armed anew or disarmed.

    Given a schedule (`after`, `at` or `interval`, in seconds; see Daemon.arm_ns()) it is armed so,
    and made if it is missing, with `rights` and `lifetime`; otherwise it must be there.  `daemon`:
    the usual one if None.
    """

    def __init__(
        self,
        name: str,
        *,
        after: float | None = None,
        at: float | None = None,
        interval: float = 0.0,
        clock: Clock | None = None,
        cancel_on_clock_change: bool = False,
        sets: str | None = None,
        rights: int | None = None,
        lifetime: Lifetime = "permanent",
        daemon: Daemon | None = None,
    ) -> None:
        names.check(name)
        daemon = usual_daemon() if daemon is None else daemon
        if after is not None or at is not None or interval != 0:
            daemon.arm(
                name,
                after=after,
                at=at,
                interval=interval,
                clock=clock,
                cancel_on_clock_change=cancel_on_clock_change,
                sets=sets,
                rights=rights,
                lifetime=lifetime,
            )
        opened = daemon._open(name)
        check_kind(name, opened, "timer")
        super().__init__(name, daemon, opened)

    def arm(
        self,
        *,
        after: float | None = None,
        at: float | None = None,
        interval: float = 0.0,
        clock: Clock | None = None,
        cancel_on_clock_change: bool = False,
        sets: str | None = None,
    ) -> None:
        """With a new schedule, in seconds: for everybody who has it open, before this returns.  See
        Daemon.arm_ns()."""
        self._to_set()
        self._by_daemon().arm(
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
        clock: Clock | None = None,
        cancel_on_clock_change: bool = False,
        sets: str | None = None,
    ) -> None:
        """As arm(), in nanoseconds."""
        self._to_set()
        self._by_daemon().arm_ns(
            self._name or "",
            after=after,
            at=at,
            interval=interval,
            clock=clock,
            cancel_on_clock_change=cancel_on_clock_change,
            sets=sets,
        )

    def disarm(self) -> None:
        """For everybody who has it open: it expires no more, until it is armed again."""
        self._to_set()
        self._by_daemon().disarm(self._name or "")

    def gettime_ns(self) -> tuple[int, int]:
        """As os.timerfd_gettime_ns(): how long until it expires next, 0 if it does not; and the
        interval, 0 if it expires once."""
        _, descriptor = self._to_wait()
        spec = _Itimerspec()
        if _libc.timerfd_gettime(descriptor.number, ctypes.byref(spec)) < 0:
            error = ctypes.get_errno()
            raise errors.failed("timerfd_gettime(2)", OSError(error, os.strerror(error)))
        left = spec.left_s * NS_PER_SECOND + spec.left_ns
        interval = spec.interval_s * NS_PER_SECOND + spec.interval_ns
        return (
            max(left, 1) if interval else left
        ), interval  # At the very point the kernel says 0.

    def gettime(self) -> tuple[float, float]:
        """As gettime_ns(), in seconds."""
        left, interval = self.gettime_ns()
        return left / NS_PER_SECOND, interval / NS_PER_SECOND

    def wait(self, timeout: float | None = None) -> int:
        """How often it expired since the last wait (or since it was opened or armed), once it did;
        0 once `timeout` seconds are over.  ClockChangedError: the wall clock was set, and it was to
        be cancelled by that."""
        return self._wait(timeout)

    async def wait_async(self, timeout: float | None = None) -> int:
        """As wait(), in an asyncio loop."""
        return await self._wait_async(timeout)

    def _taking(self) -> Taking:
        return "own"

    def _take(self, opened: Opened, descriptor: Descriptor) -> int:
        try:
            return read_counter(descriptor)
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
        if opened.subscription is not None:
            opened.subscription.acknowledge()
        raise errors.make(
            errors.ClockChangedError,
            f"the wall clock was set, which cancels '{self._name}'; arm it anew",
            self._name,
        )
