"""Waits for any and for all of several."""

from __future__ import annotations

from typing import Callable, List

import pytest

import evfd
from evfd import aio
from running import PATIENCE_S, RunningDaemon, Worker, all_wait


@pytest.fixture(params=["private", "named"])
def make_event(
    request: pytest.FixtureRequest, shared: evfd.Daemon, name: str
) -> Callable[[str], evfd.Event]:
    if request.param == "private":
        return lambda suffix: evfd.Event()
    return lambda suffix: evfd.Event(name + "/" + suffix, daemon=shared)


def test_any_of_several_ends_the_wait(make_event: Callable[[str], evfd.Event]) -> None:
    events = [make_event(str(i)) for i in range(5)]
    for chosen in events:
        waiting = Worker(lambda: evfd.wait_any(events))
        assert all_wait(chosen, [waiting])
        chosen.set()
        woken = waiting.done()
        assert woken is not None
        assert (woken.which, woken.count) == (chosen, 1)
        chosen.clear()


def test_none_in_time_is_none_or_false(make_event: Callable[[str], evfd.Event]) -> None:
    events = [make_event("a"), make_event("b")]
    events[0].set()
    assert evfd.wait_any(events[1:], 0.001) is None
    assert evfd.wait_any(events[1:], 0) is None
    assert evfd.wait_all(events, 0.001) is False
    assert evfd.wait_all(events, 0) is False
    events[1].set()
    assert evfd.wait_all(events, 0) is True
    assert evfd.wait_any(events, 0) is not None


def test_all_were_set_since_even_if_each_is_cleared_at_once(
    make_event: Callable[[str], evfd.Event]
) -> None:
    events = [make_event("a"), make_event("b")]
    waiting = Worker(lambda: evfd.wait_all(events))
    assert all_wait(events[0], [waiting])
    events[0].set()
    events[0].clear()
    assert all_wait(events[1], [waiting])
    events[1].set()
    events[1].clear()
    assert waiting.done() is True


def test_any_takes_from_one_only(shared: evfd.Daemon, name: str) -> None:
    for one, other in (
        (evfd.Semaphore(value=0), evfd.Event(auto=True)),
        (evfd.Semaphore(name, 0, daemon=shared), evfd.Event(name + "/e", auto=True, daemon=shared)),
    ):
        one.release(2)
        other.set()
        woken: List[evfd.Waitable] = []
        while ended := evfd.wait_any([one, other], 0):
            assert ended.count == 1
            woken.append(ended.which)
        assert sorted(which is one for which in woken) == [False, True, True]


def test_all_takes_from_all_or_from_none(shared: evfd.Daemon, name: str) -> None:
    semaphore = evfd.Semaphore(name, 0, daemon=shared)
    auto = evfd.Event(name + "/auto", auto=True, daemon=shared)
    private = evfd.Semaphore(value=0)
    semaphore.release()
    auto.set()
    assert evfd.wait_all([semaphore, auto, private], 0.001) is False
    assert shared.show(name).count == 1 and auto.is_set()
    waiting = Worker(lambda: evfd.wait_all([semaphore, auto, private]))
    assert all_wait(private, [waiting])
    private.release()
    assert waiting.done() is True
    assert not (semaphore.is_set() or auto.is_set() or private.is_set())


def test_events_pulses_and_timers_together(shared: evfd.Daemon, name: str) -> None:
    event = evfd.Event()
    pulse = evfd.Pulse(name + "/pulse", daemon=shared)
    timer = evfd.Timer(name + "/timer", after=3600, daemon=shared)
    everything = [event, pulse, timer]
    pulse.set(3)
    woken = evfd.wait_any(everything, PATIENCE_S)
    assert woken is not None and (woken.which, woken.count) == (pulse, 3)
    waiting = Worker(lambda: evfd.wait_all(everything))
    event.set()
    pulse.set()
    assert all_wait(timer, [waiting])
    timer.arm(after=0.001)
    assert waiting.done() is True
    assert (pulse.wait(0), timer.wait(0)) == (0, 0)


def test_many_at_once(shared: evfd.Daemon) -> None:
    events = [evfd.Event() for _ in range(253)]
    for_any = Worker(lambda: evfd.wait_any(events))
    for_all = Worker(lambda: evfd.wait_all(events))
    assert all_wait(events[0], [for_any, for_all])
    events[200].set()
    woken = for_any.done()
    assert woken is not None and woken.which is events[200]
    for event in events:
        event.set()
    assert for_all.done() is True


def test_twins_in_a_wait_for_all_are_a_value_error(
    running: RunningDaemon, shared: evfd.Daemon, name: str
) -> None:
    private = evfd.Event(auto=True, initial=True)
    one, other = (evfd.Event(name, auto=True, daemon=shared) for _ in range(2))
    of_another_client = evfd.Event(name, auto=True, daemon=running.client())
    one.set()
    for twins in ([private, private], [one, other], [one, private, of_another_client]):
        with pytest.raises(ValueError, match="once"):
            Worker(lambda: evfd.wait_all(twins, 0)).done()
    assert private.is_set() and one.is_set()


def test_a_wait_for_all_that_takes_in_vain_ends_in_time(
    running: RunningDaemon, shared: evfd.Daemon, name: str
) -> None:
    elsewhere = running.directory / "elsewhere"
    elsewhere.symlink_to(running.path)  # So nobody can tell that they are twins.
    one = evfd.Semaphore(name, 1, daemon=shared)
    other = evfd.Semaphore(name, daemon=evfd.Daemon(str(elsewhere)))
    for timeout in (0, 0.001):
        assert Worker(lambda: evfd.wait_all([one, other], timeout)).done() is False
    assert shared.show(name).count == 1


@pytest.mark.parametrize("count", [0, 254])
def test_too_many_or_none_are_a_value_error(count: int) -> None:
    event = evfd.Event()
    for wait in (evfd.wait_any, evfd.wait_all):
        with pytest.raises(ValueError, match="1 to 253"):
            wait([event] * count)


def test_what_is_closed_is_a_value_error() -> None:
    event = evfd.Event()
    event.close()
    with pytest.raises(ValueError, match="closed"):
        evfd.wait_any([event])


def test_without_kernel_aio_waits_are_by_poll(
    monkeypatch: pytest.MonkeyPatch, make_event: Callable[[str], evfd.Event]
) -> None:
    assert evfd.latches_waits()
    monkeypatch.setattr(aio, "take_context", lambda operations: None)
    assert not evfd.latches_waits()
    events = [make_event("a"), make_event("b")]
    for_one = Worker(events[0].wait)
    for_any = Worker(lambda: evfd.wait_any([events[1], events[0], events[0]]))
    for_all = Worker(lambda: evfd.wait_all(events))
    assert all_wait(events[0], [for_one, for_any, for_all])
    assert evfd.wait_any(events, 0.001) is None
    events[0].set()
    assert for_one.done() is True
    woken = for_any.done()
    assert woken is not None and woken.which is events[0]
    events[1].set()
    assert for_all.done() is True
