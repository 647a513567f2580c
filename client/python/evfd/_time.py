"""Converts times: users pass seconds, and the package computes with integer nanoseconds."""

from __future__ import annotations

import math
import threading
import time
from typing import Optional

NS_PER_SECOND = 10**9
NS_PER_MS = 10**6

#: A time on the monotonic clock in nanoseconds, or None for no deadline.
Deadline = Optional[int]


def to_ns(seconds: float) -> int:
    """Convert seconds to nanoseconds, rounded up so that nothing happens early."""
    if isinstance(seconds, int):
        return seconds * NS_PER_SECOND
    return math.ceil(seconds * NS_PER_SECOND)


def deadline_after_ns(span: int) -> int:
    """Return the deadline `span` nanoseconds from now."""
    return time.monotonic_ns() + span


def deadline_after(timeout: float | None) -> Deadline:
    """Return the deadline for a timeout in seconds, by the rules of :mod:`threading`.

    A timeout of 0 or less has passed already.  A timeout above threading.TIMEOUT_MAX raises
    OverflowError.
    """
    if timeout is None:
        return None
    if not timeout > 0:
        return time.monotonic_ns()
    if timeout > threading.TIMEOUT_MAX:
        raise OverflowError("timeout value is too large")
    return deadline_after_ns(to_ns(timeout))


def time_until(deadline: int) -> int:
    """Return the nanoseconds until the deadline; 0 once it has passed."""
    return max(deadline - time.monotonic_ns(), 0)
