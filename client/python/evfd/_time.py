"""Moments and spans of time: seconds as users give them, integer nanoseconds within."""

from __future__ import annotations

import math
import threading
import time
from typing import Optional

NS_PER_SECOND = 10**9
NS_PER_MS = 10**6

#: A moment on the monotonic clock in nanoseconds; None: never.
Deadline = Optional[int]


def to_ns(seconds: float) -> int:
    """Rounded up, so that nothing is ever early."""
    if isinstance(seconds, int):
        return seconds * NS_PER_SECOND
    return math.ceil(seconds * NS_PER_SECOND)


def after_ns(span: int) -> int:
    """The moment so many nanoseconds from now."""
    return time.monotonic_ns() + span


def deadline_after(timeout: float | None) -> Deadline:
    """As the timeouts of :mod:`threading`: what is not more than 0 is over at once, and one beyond
    threading.TIMEOUT_MAX is an OverflowError."""
    if timeout is None:
        return None
    if not timeout > 0:
        return time.monotonic_ns()
    if timeout > threading.TIMEOUT_MAX:
        raise OverflowError("timeout value is too large")
    return after_ns(to_ns(timeout))


def left_until(moment: int) -> int:
    """Nanoseconds; 0 once it has passed."""
    return max(moment - time.monotonic_ns(), 0)
