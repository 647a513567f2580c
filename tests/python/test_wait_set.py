"""Tests of waits for any or all of several events, semaphores, pulses and timers."""

from __future__ import annotations

from typing import Callable, List

import pytest

import evfd
from evfd import _aio
from harness import TIMEOUT_S, DaemonProcess, Worker, all_wait


@pytest.fixture(params=["private", "named"])
def make_event(
    request: pytest.FixtureRequest, shared: evfd.Client, name: str
) -> Callable[[str], evfd.Event]:
    if request.param == "private":
        return lambda suffix: evfd.Event()
    return lambda suffix: evfd.Event(name + "/" + suffix, create=True, client=shared)


def test_wait_any_returns_the_event_that_was_set(make_event: Callable[[str], evfd.Event]) -> None:
    events = [make_event(str(i)) for i in range(5)]
    for chosen in events:
        waiting = Worker(lambda: evfd.wait_any(events))
        assert all_wait(chosen, [waiting])
        chosen.set()
        result = waiting.result()
        assert result is not None
        assert (result.which, result.count) == (chosen, 1)
        chosen.clear()


def test_a_wait_that_times_out_returns_none_or_false(
    make_event: Callable[[str], evfd.Event]
) -> None:
    events = [make_event("a"), make_event("b")]
    events[0].set()
    assert evfd.wait_any(events[1:], 0.001) is None
    assert evfd.wait_any(events[1:], 0) is None
    assert evfd.wait_all(events, 0.001) is False
    assert evfd.wait_all(events, 0) is False
    events[1].set()
    assert evfd.wait_all(events, 0) is True
    assert evfd.wait_any(events, 0) is not None


def test_wait_all_counts_events_that_were_cleared_at_once(
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
    assert waiting.result() is True


def test_wait_any_consumes_from_one_object_only(shared: evfd.Client, name: str) -> None:
    for one, other in (
        (evfd.Semaphore(value=0), evfd.Event(auto=True)),
        (
            evfd.Semaphore(name, 0, create=True, client=shared),
            evfd.Event(name + "/e", auto=True, create=True, client=shared),
        ),
    ):
        one.release(2)
        other.set()
        result: List[evfd.Waitable] = []
        while ended := evfd.wait_any([one, other], 0):
            assert ended.count == 1
            result.append(ended.which)
        assert sorted(which is one for which in result) == [False, True, True]


def test_wait_all_consumes_from_all_objects_or_none(shared: evfd.Client, name: str) -> None:
    semaphore = evfd.Semaphore(name, 0, create=True, client=shared)
    auto = evfd.Event(name + "/auto", auto=True, create=True, client=shared)
    private = evfd.Semaphore(value=0)
    semaphore.release()
    auto.set()
    assert evfd.wait_all([semaphore, auto, private], 0.001) is False
    assert shared.show(name).count == 1 and auto.is_set()
    waiting = Worker(lambda: evfd.wait_all([semaphore, auto, private]))
    assert all_wait(private, [waiting])
    private.release()
    assert waiting.result() is True
    assert not (semaphore.is_set() or auto.is_set() or private.is_set())


def test_events_pulses_and_timers_can_be_mixed(shared: evfd.Client, name: str) -> None:
    event = evfd.Event()
    pulse = evfd.Pulse(name + "/pulse", create=True, client=shared)
    timer = evfd.Timer(name + "/timer", after=3600, create=True, client=shared)
    everything = [event, pulse, timer]
    pulse.set(3)
    result = evfd.wait_any(everything, TIMEOUT_S)
    assert result is not None and (result.which, result.count) == (pulse, 3)
    waiting = Worker(lambda: evfd.wait_all(everything))
    event.set()
    pulse.set()
    assert all_wait(timer, [waiting])
    timer.arm(after=0.001)
    assert waiting.result() is True
    assert (pulse.wait(0), timer.wait(0)) == (0, 0)


def test_a_wait_accepts_253_events(shared: evfd.Client) -> None:
    events = [evfd.Event() for _ in range(253)]
    for_any = Worker(lambda: evfd.wait_any(events))
    for_all = Worker(lambda: evfd.wait_all(events))
    assert all_wait(events[0], [for_any, for_all])
    events[200].set()
    result = for_any.result()
    assert result is not None and result.which is events[200]
    for event in events:
        event.set()
    assert for_all.result() is True


def test_duplicates_in_wait_all_are_a_value_error(
    running: DaemonProcess, shared: evfd.Client, name: str
) -> None:
    private = evfd.Event(auto=True, initial=True)
    one, other = (evfd.Event(name, auto=True, create=True, client=shared) for _ in range(2))
    from_another_client = evfd.Event(name, auto=True, create=True, client=running.client())
    one.set()
    for duplicates in ([private, private], [one, other], [one, private, from_another_client]):
        with pytest.raises(ValueError, match="once"):
            Worker(lambda: evfd.wait_all(duplicates, 0)).result()
    assert private.is_set() and one.is_set()


def test_wait_all_times_out_though_it_has_to_return_tokens(
    running: DaemonProcess, shared: evfd.Client, name: str
) -> None:
    link = running.directory / "link"
    # The two clients use different paths to one socket, so the library cannot detect that both
    # objects are the same semaphore.
    link.symlink_to(running.path)
    one = evfd.Semaphore(name, 1, create=True, client=shared)
    other = evfd.Semaphore(name, create=True, client=evfd.Client(str(link)))
    for timeout in (0, 0.001):
        assert Worker(lambda: evfd.wait_all([one, other], timeout)).result() is False
    assert shared.show(name).count == 1


@pytest.mark.parametrize("count", [0, 254])
def test_too_many_or_no_events_are_a_value_error(count: int) -> None:
    event = evfd.Event()
    for wait in (evfd.wait_any, evfd.wait_all):
        with pytest.raises(ValueError, match="1 to 253"):
            wait([event] * count)


def test_a_closed_event_is_a_value_error() -> None:
    event = evfd.Event()
    event.close()
    with pytest.raises(ValueError, match="closed"):
        evfd.wait_any([event])


def test_waits_work_by_poll_without_kernel_aio(
    monkeypatch: pytest.MonkeyPatch, make_event: Callable[[str], evfd.Event]
) -> None:
    assert evfd.supports_latched_wait()
    monkeypatch.setattr(_aio, "acquire_context", lambda operations: None)
    assert not evfd.supports_latched_wait()
    events = [make_event("a"), make_event("b")]
    for_one = Worker(events[0].wait)
    for_any = Worker(lambda: evfd.wait_any([events[1], events[0], events[0]]))
    for_all = Worker(lambda: evfd.wait_all(events))
    assert all_wait(events[0], [for_one, for_any, for_all])
    assert evfd.wait_any(events, 0.001) is None
    events[0].set()
    assert for_one.result() is True
    result = for_any.result()
    assert result is not None and result.which is events[0]
    events[1].set()
    assert for_all.result() is True
