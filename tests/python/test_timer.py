"""Tests of timers: schedules in seconds and in nanoseconds, and the subscribers' counts."""

from __future__ import annotations

import datetime
import errno
import itertools
import os
import select
import time
from typing import Any, List

import pytest

import evfd
from harness import TIMEOUT_S, DaemonProcess, Worker, all_wait, poll_until


def test_a_timer_expires_once_after_a_span(shared: evfd.Client, name: str) -> None:
    begin = time.monotonic()
    timer = evfd.Timer(name, after=0.02, create=True, client=shared)
    assert timer.wait(TIMEOUT_S) == 1
    assert time.monotonic() - begin >= 0.02
    assert timer.wait(0) == 0
    assert timer.gettime() == (0.0, 0.0)


def test_a_timer_expires_at_each_interval_and_counts(shared: evfd.Client, name: str) -> None:
    begin = time.monotonic()
    timer = evfd.Timer(name, interval=0.005, create=True, client=shared)
    count = 0
    while count < 10:
        count += timer.wait(TIMEOUT_S)
    assert time.monotonic() - begin >= 0.005 * count


def test_a_timer_expires_at_a_time(shared: evfd.Client, name: str) -> None:
    timer = evfd.Timer(name, at=time.time() + 0.02, create=True, client=shared)
    shown = shared.show(name).timer
    assert shown is not None
    assert (shown.clock, shown.moves_with_wall_clock) == ("realtime", True)
    assert timer.wait(TIMEOUT_S) == 1
    # The time is one second after the start of 1970, so the timer expires immediately.
    timer.arm(at=1.0)
    assert timer.wait(TIMEOUT_S) == 1


def test_nanoseconds_are_exact(shared: evfd.Client, name: str) -> None:
    first = time.monotonic_ns() + 3600 * 10**9 + 1
    shared.arm_ns(name, at=first, interval=86_400_000_000_001, clock="monotonic")
    shown = shared.show(name).timer
    assert shown is not None
    assert (shown.next_ns, shown.interval_ns) == (first, 86_400_000_000_001)
    timer = evfd.Timer(name, client=shared)
    left, interval = timer.gettime_ns()
    assert first - time.monotonic_ns() <= left <= 3600 * 10**9 + 1
    assert interval == 86_400_000_000_001
    assert timer.gettime()[1] == pytest.approx(86_400.0)
    timer.arm_ns(after=7 * 10**12 + 1, interval=3)
    assert timer.gettime_ns()[1] == 3


def test_seconds_are_rounded_up_to_nanoseconds(shared: evfd.Client, name: str) -> None:
    shared.arm(name, after=3600, interval=0.1)
    shown = shared.show(name).timer
    assert shown is not None and shown.interval_ns == 100_000_000
    shared.arm(name, after=3600, interval=1e-10)
    shown = shared.show(name).timer
    assert shown is not None and shown.interval_ns == 1


def test_a_new_schedule_applies_to_every_holder_of_a_descriptor(
    shared: evfd.Client, name: str
) -> None:
    timers = [evfd.Timer(name, after=3600, create=True, client=shared) for _ in range(3)]
    waiting = [Worker(timer.wait) for timer in timers]
    assert all_wait(timers[0], waiting)
    timers[1].arm(after=0.001)
    assert [one.result() for one in waiting] == [1] * 3
    timers[0].arm(interval=3600)
    timers[2].disarm()
    assert [timer.gettime() for timer in timers] == [(0.0, 0.0)] * 3


def test_another_process_can_arm_the_timer(
    running: DaemonProcess, shared: evfd.Client, name: str
) -> None:
    timer = evfd.Timer(name, after=3600, create=True, client=shared)
    waiting = Worker(timer.wait)
    assert all_wait(timer, [waiting])
    running.ctl("arm", name, "--in", "1ms")
    assert waiting.result() == 1


def test_a_timer_can_be_selected(shared: evfd.Client, name: str) -> None:
    timer = evfd.Timer(name, after=0.001, create=True, client=shared)
    assert select.select([timer], [], [], TIMEOUT_S)[0] == [timer]
    assert timer.is_set()
    assert timer.wait() == 1
    assert not timer.is_set()


def test_an_expiry_sets_an_event(shared: evfd.Client, name: str) -> None:
    event = evfd.Event(name + "/event", create=True, client=shared)
    evfd.Timer(name, after=0.001, sets=name + "/event", create=True, client=shared)
    assert event.wait(TIMEOUT_S)


def test_a_timer_without_a_schedule_must_exist(shared: evfd.Client, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        evfd.Timer(name, client=shared)
    shared.create(name)
    with pytest.raises(evfd.WrongKindError, match="use evfd.Event"):
        evfd.Timer(name, client=shared)


def test_a_schedule_without_create_arms_an_existing_timer_only(
    shared: evfd.Client, name: str
) -> None:
    with pytest.raises(FileNotFoundError, match="give create=True"):
        evfd.Timer(name, after=3600, client=shared)
    assert list(shared.list(name)) == []
    first = evfd.Timer(name, after=3600, clock="monotonic", create=True, client=shared)
    assert evfd.Timer(name, interval=3600, client=shared).gettime()[1] == 3600
    first.close()
    assert poll_until(lambda: shared.show(name).subscribers == 0)
    evfd.Timer(name, after=1800, clock="boottime", client=shared)
    shown = shared.show(name).timer
    assert shown is not None and shown.clock == "boottime"


def test_a_timer_that_is_replaced_before_it_is_armed_is_not_armed(
    shared: evfd.Client, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.arm(name, after=3600)
    arm = shared._arm

    def replace_and_arm(*arguments: Any) -> bool:
        shared.delete(name)
        with monkeypatch.context() as original:
            original.setattr(shared, "_arm", arm)
            shared.arm(name, after=7200)
        return arm(*arguments)

    monkeypatch.setattr(shared, "_arm", replace_and_arm)
    with pytest.raises(evfd.ReplacedError):
        evfd.Timer(name, interval=1, client=shared)
    shown = shared.show(name).timer
    assert shown is not None and shown.interval_ns == 0


def test_an_exclusive_creation_leaves_an_existing_timer_as_it_is(
    shared: evfd.Client, name: str
) -> None:
    shared.arm(name, interval=3600)
    with pytest.raises(FileExistsError):
        evfd.Timer(name, after=1, create=True, exist_ok=False, client=shared)
    shown = shared.show(name).timer
    assert shown is not None and shown.interval_ns == 3600 * 10**9
    with pytest.raises(ValueError, match="needs a first expiry"):
        evfd.Timer(name + "/new", create=True, client=shared)


def test_a_schedule_of_timedelta_and_datetime_is_exact(shared: evfd.Client, name: str) -> None:
    second = datetime.timedelta(seconds=1)
    shared.arm(name, after=3600 * second, interval=2 * second + datetime.timedelta(microseconds=1))
    shown = shared.show(name).timer
    assert shown is not None and shown.interval_ns == 2_000_001_000
    assert shown.left_ns is not None and 0 < shown.left_ns <= 3600 * 10**9

    zone = datetime.timezone(datetime.timedelta(hours=2))
    moment = datetime.datetime(2100, 1, 1, 2, 0, 0, 123_456, tzinfo=zone)
    timer = evfd.Timer(name + "/at", at=moment, create=True, client=shared)
    shown = shared.show(name + "/at").timer
    assert shown is not None and shown.clock == "realtime"
    assert shown.next_ns == 4_102_444_800_123_456_000
    timer.arm(at=datetime.datetime.now(zone) + datetime.timedelta(milliseconds=1))
    assert timer.wait(datetime.timedelta(seconds=TIMEOUT_S)) == 1


def test_a_datetime_is_not_taken_for_a_time_on_the_clock_of_an_existing_timer(
    shared: evfd.Client, name: str
) -> None:
    shared.arm(name, after=3600, clock="monotonic")
    shared.arm(name, at=datetime.datetime.now(datetime.timezone.utc))
    shown = shared.show(name).timer
    assert shown is not None and shown.clock == "realtime"


@pytest.mark.parametrize(
    "number, word",
    [
        (time.CLOCK_REALTIME, "realtime"),
        (time.CLOCK_MONOTONIC, "monotonic"),
        (time.CLOCK_BOOTTIME, "boottime"),
    ],
)
def test_a_clock_can_be_given_by_its_number(
    shared: evfd.Client, name: str, number: int, word: str
) -> None:
    shared.arm(name, after=3600, clock=number)
    shown = shared.show(name).timer
    assert shown is not None and shown.clock == word


_DATE = datetime.datetime(2100, 1, 1)
_UTC = datetime.timezone.utc


@pytest.mark.parametrize(
    "schedule, error, reason",
    [
        ({"after": 1, "clock": "lunar"}, ValueError, "realtime, monotonic, boottime, realtime_al"),
        ({"after": 1, "clock": time.CLOCK_TAI}, ValueError, "11 is not a clock of timers"),
        ({"after": 1, "clock": True}, ValueError, "True is not a clock"),
        ({"after": 1, "clock": []}, ValueError, "is not a clock"),
        ({"at": _DATE}, ValueError, "give an aware one"),
        ({"at": _DATE.date()}, TypeError, "datetime.datetime, not date"),
        ({"at": _DATE.replace(tzinfo=_UTC), "clock": "boottime"}, ValueError, "choose realtime"),
        ({"at": _DATE.replace(year=1900, tzinfo=_UTC)}, ValueError, "before the clock's zero"),
        ({"at": datetime.timedelta(1)}, TypeError, "datetime.datetime, not timedelta"),
        ({"after": "1"}, TypeError, "datetime.timedelta, not str"),
        ({"interval": _DATE}, TypeError, "datetime.timedelta, not datetime"),
        ({"after": datetime.timedelta(-1)}, ValueError, "cannot be negative"),
        ({"interval": datetime.timedelta(0)}, ValueError, "needs a first expiry"),
    ],
)
def test_a_wrong_type_or_clock_of_a_schedule_is_an_error(
    shared: evfd.Client, name: str, schedule: Any, error: Any, reason: str
) -> None:
    for arm in (evfd.Timer, evfd.asyncio.Timer):
        with pytest.raises(error, match=reason):
            arm(name, create=True, client=shared, **schedule)
    with pytest.raises(error, match=reason):
        shared.arm(name, **schedule)
    assert list(shared.list(name)) == []


def test_a_timer_is_iterated(shared: evfd.Client, name: str) -> None:
    timer = evfd.Timer(name, interval=0.001, create=True, client=shared)
    counts = list(itertools.islice(timer, 5))
    assert len(counts) == 5 and all(count >= 1 for count in counts)
    timer.close()
    with pytest.raises(ValueError, match="closed"):
        next(timer)


def test_a_timeout_may_be_a_timedelta(shared: evfd.Client, name: str) -> None:
    event = evfd.Event(name, create=True, client=shared)
    for span in (datetime.timedelta(milliseconds=20), datetime.timedelta(0)):
        begin = time.monotonic()
        assert event.wait(span) is False
        assert evfd.wait_any((one for one in [event]), span) is None
        assert time.monotonic() - begin >= 2 * span.total_seconds()
        with pytest.raises(TimeoutError):
            shared.wait(name, timeout=span)
    assert event.wait(datetime.timedelta(-1)) is False
    with pytest.raises(OverflowError):
        event.wait(datetime.timedelta.max)
    event.set()
    assert event.wait(datetime.timedelta(1)) is True


@pytest.mark.parametrize(
    "schedule, reason",
    [
        ({}, "needs a first expiry or an interval"),
        ({"after": -1}, "cannot be negative"),
        ({"interval": -1}, "cannot be negative"),
        ({"at": -1}, "before the clock's zero"),
        ({"after": 1, "at": 1}, "not both"),
        ({"after": 0}, "means never"),
        ({"after": 2**63}, "2262"),
        ({"interval": 2**63}, "2262"),
        ({"after": 1, "cancel_on_clock_change": True}, "only a time"),
        ({"at": 1, "clock": "monotonic", "cancel_on_clock_change": True}, "only a time"),
        ({"interval": 999_999, "sets": "e"}, "every 1 ms at most"),
        ({"interval": 10**9, "sets": "no name"}, "is not a valid name"),
    ],
)
def test_an_invalid_schedule_is_a_value_error(
    shared: evfd.Client, name: str, schedule: Any, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        shared.arm_ns(name, **schedule)
    with pytest.raises(FileNotFoundError):
        shared.show(name)


def test_a_timer_cannot_set_itself(shared: evfd.Client, name: str) -> None:
    with pytest.raises(ValueError, match="cannot set itself"):
        shared.arm(name, after=1, sets=name)


def test_nanoseconds_that_are_not_an_integer_are_a_type_error(
    shared: evfd.Client, name: str
) -> None:
    with pytest.raises(TypeError, match="an int, not float"):
        shared.arm_ns(name, after=1.5)  # type: ignore[arg-type]


def test_a_change_of_the_wall_clock_cancels_a_timer_that_asked_for_it(
    shared: evfd.Client, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    timer = evfd.Timer(
        name, at=time.time() + 3600, cancel_on_clock_change=True, create=True, client=shared
    )
    shown = shared.show(name).timer
    assert shown is not None and shown.cancel_on_clock_change

    # Raises ECANCELED, the error by which a read(2) of a timerfd reports a change of the wall
    # clock.
    def cancelled(descriptor: object) -> int:
        raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))

    acknowledged: List[object] = []
    with monkeypatch.context() as patched:
        patched.setattr(evfd._timer, "read_counter", cancelled)
        patched.setattr(
            evfd._client.Subscription,
            "acknowledge",
            lambda subscription: acknowledged.append(subscription),
        )
        with pytest.raises(evfd.ClockChangedError, match="arm it again") as raised:
            timer.wait()
    assert (raised.value.errno, raised.value.filename) == (errno.ECANCELED, name)
    assert len(acknowledged) == 1
    timer.arm(after=0.001)
    assert timer.wait(TIMEOUT_S) == 1


def test_a_temporary_timer_ends_with_its_connection(running: DaemonProcess, name: str) -> None:
    with running.client() as client:
        assert client.arm(name, interval=1, lifetime="session")
        assert not client.arm(name, interval=2)
        evfd.Timer(name, client=client)
    later = running.client()
    assert poll_until(lambda: list(later.list(name)) == [])
