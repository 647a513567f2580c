"""Converts times: users pass seconds, and the package computes with integer nanoseconds."""

from __future__ import annotations

import datetime
import math
import numbers
import threading
import time
from typing import Optional, Union

from evfd import errors

NS_PER_SECOND = 10**9
NS_PER_MS = 10**6

#: A span of time that users pass: a number of seconds, or a timedelta.
Seconds = Union[float, datetime.timedelta]
#: A time on a clock that users pass: seconds since the clock's zero, or an aware datetime.
ClockTime = Union[float, datetime.datetime]

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MAX_TIMEOUT_NS = int(threading.TIMEOUT_MAX) * NS_PER_SECOND

#: A time on the monotonic clock in nanoseconds, or None for no deadline.
Deadline = Optional[int]


def to_ns(span: Seconds) -> int:
    """Convert a span to nanoseconds, rounded up so that nothing happens early."""
    if isinstance(span, int):
        return span * NS_PER_SECOND
    if isinstance(span, datetime.timedelta):
        return span // datetime.timedelta(microseconds=1) * 1000
    if not isinstance(span, numbers.Number):
        raise TypeError(
            f"a span is a number of seconds or a datetime.timedelta, not {type(span).__name__}"
        )
    return math.ceil(span * NS_PER_SECOND)


def is_negative(span: Seconds) -> bool:
    """Return whether the span is less than 0."""
    if isinstance(span, datetime.timedelta):
        return span < datetime.timedelta()
    return span < 0


def clock_time_to_ns(time_: ClockTime) -> int:
    """Convert a time on a clock to nanoseconds since the clock's zero."""
    if isinstance(time_, datetime.datetime):
        if time_.utcoffset() is None:
            raise errors.InvalidError(
                "a datetime without a time zone is ambiguous; give an aware one, such as "
                "datetime.now(timezone.utc)"
            )
        return to_ns(time_ - _EPOCH)
    if not isinstance(time_, numbers.Number):
        raise TypeError(
            f"a time is a number of seconds or a datetime.datetime, not {type(time_).__name__}"
        )
    return to_ns(time_)


def deadline_after_ns(span: int) -> int:
    """Return the deadline `span` nanoseconds from now."""
    return time.monotonic_ns() + span


def deadline_after(timeout: Seconds | None) -> Deadline:
    """Return the deadline for a timeout, by the rules of :mod:`threading`.

    A timeout of 0 or less has passed already.  A timeout above threading.TIMEOUT_MAX raises
    OverflowError.
    """
    if timeout is None:
        return None
    if isinstance(timeout, datetime.timedelta):
        return _deadline_after_ns(to_ns(timeout))
    if not timeout > 0:
        return time.monotonic_ns()
    if timeout > threading.TIMEOUT_MAX:
        raise OverflowError("timeout value is too large")
    return deadline_after_ns(to_ns(timeout))


def _deadline_after_ns(span: int) -> int:
    if span > _MAX_TIMEOUT_NS:
        raise OverflowError("timeout value is too large")
    return deadline_after_ns(max(span, 0))


def time_until(deadline: int) -> int:
    """Return the nanoseconds until the deadline; 0 once it has passed."""
    return max(deadline - time.monotonic_ns(), 0)
