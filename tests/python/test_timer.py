"""Timers: seconds and nanoseconds, everybody's grid and one's own count."""

from __future__ import annotations

import errno
import os
import select
import time
from typing import Any, List

import pytest

import evfd
from running import PATIENCE_S, RunningDaemon, Worker, all_wait, eventually


def test_it_expires_once_after_a_span(shared: evfd.Daemon, name: str) -> None:
    begin = time.monotonic()
    timer = evfd.Timer(name, after=0.02, daemon=shared)
    assert timer.wait(PATIENCE_S) == 1
    assert time.monotonic() - begin >= 0.02
    assert timer.wait(0) == 0
    assert timer.gettime() == (0.0, 0.0)


def test_it_expires_at_each_interval_and_counts(shared: evfd.Daemon, name: str) -> None:
    begin = time.monotonic()
    timer = evfd.Timer(name, interval=0.005, daemon=shared)
    count = 0
    while count < 10:
        count += timer.wait(PATIENCE_S)
    assert time.monotonic() - begin >= 0.005 * count


def test_it_expires_at_a_moment(shared: evfd.Daemon, name: str) -> None:
    timer = evfd.Timer(name, at=time.time() + 0.02, daemon=shared)
    told = shared.show(name).timer
    assert told is not None
    assert (told.clock, told.moves_with_wall_clock) == ("realtime", True)
    assert timer.wait(PATIENCE_S) == 1
    timer.arm(at=1.0)  # In 1970: at once.
    assert timer.wait(PATIENCE_S) == 1


def test_nanoseconds_are_exact(shared: evfd.Daemon, name: str) -> None:
    first = time.monotonic_ns() + 3600 * 10**9 + 1
    shared.arm_ns(name, at=first, interval=86_400_000_000_001, clock="monotonic")
    told = shared.show(name).timer
    assert told is not None
    assert (told.next_ns, told.interval_ns) == (first, 86_400_000_000_001)
    timer = evfd.Timer(name, daemon=shared)
    left, interval = timer.gettime_ns()
    assert first - time.monotonic_ns() <= left <= 3600 * 10**9 + 1
    assert interval == 86_400_000_000_001
    assert timer.gettime()[1] == pytest.approx(86_400.0)
    timer.arm_ns(after=7 * 10**12 + 1, interval=3)
    assert timer.gettime_ns()[1] == 3


def test_seconds_are_rounded_up_to_nanoseconds(shared: evfd.Daemon, name: str) -> None:
    shared.arm(name, after=3600, interval=0.1)
    told = shared.show(name).timer
    assert told is not None and told.interval_ns == 100_000_000
    shared.arm(name, after=3600, interval=1e-10)
    told = shared.show(name).timer
    assert told is not None and told.interval_ns == 1


def test_all_who_have_it_open_follow_a_new_schedule(shared: evfd.Daemon, name: str) -> None:
    timers = [evfd.Timer(name, after=3600, daemon=shared) for _ in range(3)]
    waiting = [Worker(timer.wait) for timer in timers]
    assert all_wait(timers[0], waiting)
    timers[1].arm(after=0.001)
    assert [one.done() for one in waiting] == [1] * 3
    timers[0].arm(interval=3600)
    timers[2].disarm()
    assert [timer.gettime() for timer in timers] == [(0.0, 0.0)] * 3


def test_another_process_arms_it(running: RunningDaemon, shared: evfd.Daemon, name: str) -> None:
    timer = evfd.Timer(name, after=3600, daemon=shared)
    waiting = Worker(timer.wait)
    assert all_wait(timer, [waiting])
    running.ctl("arm", name, "--in", "1ms")
    assert waiting.done() == 1


def test_it_can_be_selected(shared: evfd.Daemon, name: str) -> None:
    timer = evfd.Timer(name, after=0.001, daemon=shared)
    assert select.select([timer], [], [], PATIENCE_S)[0] == [timer]
    assert timer.is_set()
    assert timer.wait() == 1
    assert not timer.is_set()


def test_it_sets_an_event(shared: evfd.Daemon, name: str) -> None:
    event = evfd.Event(name + "/event", daemon=shared)
    evfd.Timer(name, after=0.001, sets=name + "/event", daemon=shared)
    assert event.wait(PATIENCE_S)


def test_without_a_schedule_it_must_be_there(shared: evfd.Daemon, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        evfd.Timer(name, daemon=shared)
    shared.create(name)
    with pytest.raises(evfd.WrongKindError, match="use evfd.Event"):
        evfd.Timer(name, daemon=shared)


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
        ({"after": 1, "cancel_on_clock_change": True}, "only a moment"),
        ({"at": 1, "clock": "monotonic", "cancel_on_clock_change": True}, "only a moment"),
        ({"interval": 999_999, "sets": "e"}, "every 1 ms at most"),
        ({"interval": 10**9, "sets": "no name"}, "is no name"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_a_value_error(
    shared: evfd.Daemon, name: str, schedule: Any, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        shared.arm_ns(name, **schedule)
    with pytest.raises(FileNotFoundError):
        shared.show(name)


def test_a_timer_cannot_set_itself(shared: evfd.Daemon, name: str) -> None:
    with pytest.raises(ValueError, match="cannot set itself"):
        shared.arm(name, after=1, sets=name)


def test_nanoseconds_that_are_no_integer_are_a_type_error(shared: evfd.Daemon, name: str) -> None:
    with pytest.raises(TypeError, match="an int, not float"):
        shared.arm_ns(name, after=1.5)  # type: ignore[arg-type]


def test_a_changed_wall_clock_cancels_it_if_it_is_to(
    shared: evfd.Daemon, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    timer = evfd.Timer(name, at=time.time() + 3600, cancel_on_clock_change=True, daemon=shared)
    told = shared.show(name).timer
    assert told is not None and told.cancel_on_clock_change

    def cancelled(descriptor: object) -> int:  # As read(2) says it, once.
        raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))

    told_of: List[object] = []
    with monkeypatch.context() as patched:
        patched.setattr(evfd.timer, "read_counter", cancelled)
        patched.setattr(evfd.daemon.Subscription, "acknowledge", lambda its: told_of.append(its))
        with pytest.raises(evfd.ClockChangedError, match="arm it anew") as raised:
            timer.wait()
    assert (raised.value.errno, raised.value.filename) == (errno.ECANCELED, name)
    assert len(told_of) == 1
    timer.arm(after=0.001)
    assert timer.wait(PATIENCE_S) == 1


def test_a_timer_ends_with_its_connection_if_it_is_to(running: RunningDaemon, name: str) -> None:
    with running.client() as client:
        assert client.arm(name, interval=1, lifetime="connection")
        assert not client.arm(name, interval=2)
        evfd.Timer(name, daemon=client)
    later = running.client()
    assert eventually(lambda: list(later.list(name)) == [])
