"""Validates a timer's schedule before a call is sent; the daemon validates it again."""

from __future__ import annotations

import datetime
import os
import time
from typing import Any, Literal, Mapping, Optional

from evfd import _validation, errors
from evfd._time import NS_PER_MS, ClockTime, Seconds, clock_time_to_ns, to_ns

Clock = Literal["realtime", "monotonic", "boottime", "realtime_alarm", "boottime_alarm"]

# The clocks of timerfd_create(2).  The module time has no names for the numbers of the last two.
_CLOCKS: Mapping[int, Clock] = {
    time.CLOCK_REALTIME: "realtime",
    time.CLOCK_MONOTONIC: "monotonic",
    time.CLOCK_BOOTTIME: "boottime",
    8: "realtime_alarm",
    9: "boottime_alarm",
}

_LATEST_NS = 2**63 - 1  # The latest time of an expiry, which is in the year 2262.
_MIN_INTERVAL_WITH_TARGET_NS = NS_PER_MS


def _find_error(
    after: int | None, at: int | None, interval: int, clock: str | None, cancels: bool
) -> Optional[str]:
    """Return the first reason why the schedule is invalid, or None."""
    if (after is not None and after < 0) or interval < 0:
        return "a span of time cannot be negative; give one of 0 or more"
    if at is not None and at < 0:
        return "a time cannot be before the clock's zero, which is 1970 for the wall clock"
    if after is not None and at is not None:
        return "a first expiry is a span from now or a time, not both; give one of them"
    if after is None and at is None and interval == 0:
        return "a timer needs a first expiry or an interval; give one, or disarm it to stop it"
    first = after if after is not None else at if at is not None else interval
    if first == 0 and interval == 0:
        return "a first expiry at 0 with no interval means never; give one, or disarm it"
    if at is None and first > _LATEST_NS - time.time_ns() or max(first, interval) > _LATEST_NS:
        return "a timer cannot expire after the year 2262; give a shorter span"
    if cancels and (at is None or clock not in (None, "realtime", "realtime_alarm")):
        return (
            "only a time on the realtime clock is cancelled by a change of the clock; give a time, "
            "or leave that out"
        )
    if at is not None and clock is not None and _has_own_zero(clock):
        return (
            f"a time on the clock {clock} cannot be given in a time namespace with an offset, as "
            "it is another one outside; give a span from now, or a time on the realtime clock"
        )
    return None


def _has_own_zero(clock: str) -> bool:
    """Return whether this process's time namespace offsets the clock.  See time_namespaces(7).

    A time on an offset clock means another instant to other processes.  The wall clock has no
    offset.
    """
    try:
        # After unshare(2), timens_offsets describes the time namespace of future children, and not
        # the time namespace of this process.
        if os.readlink("/proc/self/ns/time") != os.readlink("/proc/self/ns/time_for_children"):
            return False
        with open("/proc/self/timens_offsets", encoding="ascii") as offsets:
            for name, *offset in map(str.split, offsets):
                if name == clock.removesuffix("_alarm"):
                    return any(map(int, offset))
    except OSError:  # The kernel has no time namespaces.
        pass
    return False


def _clock_word(clock: Clock | int | None) -> Optional[Clock]:
    """Return the clock's name on the wire; raise InvalidError if there is no such clock."""
    for number, word in _CLOCKS.items():
        if clock == word or (clock == number and type(clock) is int):
            return word
    if clock is not None:
        raise errors.InvalidError(
            f"{clock!r} is not a clock of timers; give {', '.join(_CLOCKS.values())}, or the "
            "number of one of them, such as time.CLOCK_MONOTONIC"
        )
    return None


def arm_parameters_in_seconds(
    name: str,
    *,
    after: Seconds | None,
    at: ClockTime | None,
    interval: Seconds,
    clock: Clock | int | None,
    cancel_on_clock_change: bool,
    sets: str | None,
) -> Mapping[str, Any]:
    """Like arm_parameters(), with times as users pass them."""
    if isinstance(at, datetime.datetime):
        # A clock must be given, because the existing timer can have another one.
        clock = "realtime" if clock is None else _clock_word(clock)
        if clock not in ("realtime", "realtime_alarm"):
            raise errors.InvalidError(
                f"a datetime cannot be a time on the clock {clock}; give a number of seconds, or "
                "choose realtime",
                name,
            )
    return arm_parameters(
        name,
        after=None if after is None else to_ns(after),
        at=None if at is None else clock_time_to_ns(at),
        interval=to_ns(interval),
        clock=clock,
        cancel_on_clock_change=cancel_on_clock_change,
        sets=sets,
    )


def arm_parameters(
    name: str,
    *,
    after: int | None,
    at: int | None,
    interval: int,
    clock: Clock | int | None,
    cancel_on_clock_change: bool,
    sets: str | None,
) -> Mapping[str, Any]:
    """Return the parameters of the call Arm; times are in nanoseconds.

    Raise InvalidError, with the reason as message, if the schedule is invalid.
    """
    _validation.check_name(name)
    clock = _clock_word(clock)
    for span in (after, at, interval):
        if span is not None and not isinstance(span, int):
            raise TypeError(f"nanoseconds are an int, not {type(span).__name__}")
    error = _find_error(after, at, interval, clock, cancel_on_clock_change)
    if sets is not None:
        _validation.check_name(sets)
        if sets == name:
            error = f"'{name}' cannot set itself; name an event that it is to set"
        elif 0 < interval < _MIN_INTERVAL_WITH_TARGET_NS:
            error = "a timer can set an event every 1 ms at most; give a longer interval"
    if error is not None:
        raise errors.InvalidError(error, name)
    return {
        "name": name,
        "clock": clock,
        "firstNSec": at,
        "afterNSec": after,
        "intervalNSec": interval,
        "cancelOnClockChange": cancel_on_clock_change,
        "sets": sets,
    }
