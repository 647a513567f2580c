"""threading.Event's documentation, and that of the eventfd package's EventFD, sentence by sentence,
over threading.Event itself where that can do it, over the private event, and over the named one."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import select
import selectors
import signal
import sys
import threading
import time
from functools import partial
from typing import Any, Callable, Iterator, List

import pytest

import evfd
from running import PATIENCE_S, Child, Worker, all_wait, descriptors, eventually

Make = Callable[[], Any]


@pytest.fixture(params=["threading", "private", "named"])
def make(request: pytest.FixtureRequest, shared: evfd.Daemon, name: str) -> Make:
    """Makes one of each kind; what must hold of all of them is threading.Event's."""
    return _maker(request.param, shared, name)


@pytest.fixture(params=["private", "named"])
def make_with_descriptor(request: pytest.FixtureRequest, shared: evfd.Daemon, name: str) -> Make:
    """The same of those that have a descriptor; what must hold of them is EventFD's."""
    return _maker(request.param, shared, name)


def _maker(kind: str, shared: evfd.Daemon, name: str) -> Make:
    if kind == "threading":
        return threading.Event
    if kind == "private":
        return evfd.Event
    return lambda: evfd.Event(name, daemon=shared)


@pytest.fixture
def event(make: Make) -> object:
    return make()


@pytest.fixture
def selectable(make_with_descriptor: Make) -> object:
    return make_with_descriptor()


# One thread signals an event and other threads wait for it.


def test_one_thread_signals_and_others_wait(event: Any) -> None:
    waiting = [Worker(event.wait) for _ in range(8)]
    assert all_wait(event, waiting)
    Worker(event.set).done()
    assert [one.done() for one in waiting] == [True] * 8


def test_the_flag_is_false_at_first(event: Any) -> None:
    assert event.is_set() is False
    assert event.wait(0) is False


# is_set()


def test_is_set_tells_whether_the_flag_is_true(event: Any) -> None:
    for _ in range(3):
        event.set()
        assert event.is_set() is True
        event.clear()
        assert event.is_set() is False


def test_is_set_changes_nothing(event: Any) -> None:
    event.set()
    assert [event.is_set() for _ in range(100)] == [True] * 100
    assert event.wait(0) is True


def test_isset_is_a_deprecated_alias(event: Any) -> None:
    with pytest.warns(DeprecationWarning, match="is_set"):
        assert event.isSet() is False
    event.set()
    with pytest.warns(DeprecationWarning):
        assert event.isSet() is True


# set()


def test_set_sets_the_flag_and_returns_none(event: Any) -> None:
    assert event.set() is None
    assert event.is_set()


def test_set_again_and_again_is_set(event: Any) -> None:
    for _ in range(1000):
        event.set()
    assert event.is_set()
    event.clear()
    assert not event.is_set()
    assert event.wait(0) is False


def test_all_who_wait_are_awakened(event: Any) -> None:
    waiting = [Worker(event.wait) for _ in range(32)]
    assert all_wait(event, waiting)
    event.set()
    assert all(one.done() is True for one in waiting)
    assert event.is_set()


def test_all_who_wait_are_awakened_even_if_it_is_cleared_at_once(event: Any) -> None:
    for _ in range(20):
        waiting = [Worker(event.wait) for _ in range(8)]
        assert all_wait(event, waiting)
        event.set()
        event.clear()
        assert all(one.done() is True for one in waiting)
        assert not event.is_set()


def test_who_waits_once_it_is_set_does_not_block(event: Any) -> None:
    event.set()
    for timeout in (None, 0, 0.0, 1, 0.5, -1, 10**6):
        assert event.wait(timeout) is True


def test_a_wait_takes_nothing(event: Any) -> None:
    event.set()
    assert [event.wait() for _ in range(100)] == [True] * 100
    assert event.is_set()


# clear()


def test_clear_resets_the_flag_and_returns_none(event: Any) -> None:
    event.set()
    assert event.clear() is None
    assert not event.is_set()


def test_clear_of_what_is_not_set_does_nothing(event: Any) -> None:
    for _ in range(100):
        event.clear()
    assert not event.is_set()
    event.set()
    assert event.is_set()


def test_after_a_clear_waits_block_until_the_next_set(event: Any) -> None:
    event.set()
    event.clear()
    waiting = Worker(event.wait)
    assert all_wait(event, [waiting])
    assert waiting.is_alive()
    event.set()
    assert waiting.done() is True


# wait()


def test_a_wait_blocks_until_the_flag_is_true(event: Any) -> None:
    order: List[str] = []

    def wait() -> None:
        event.wait()
        order.append("released")

    waiting = Worker(wait)
    assert all_wait(event, [waiting])
    order.append("set")
    event.set()
    waiting.done()
    assert order == ["set", "released"]


def test_a_wait_returns_false_once_the_timeout_is_over_and_not_before(event: Any) -> None:
    for timeout in (0.02, 0.0015, 0):
        begin = time.monotonic()
        assert event.wait(timeout) is False
        assert time.monotonic() - begin >= timeout


def test_a_wait_that_is_set_in_time_returns_true(event: Any) -> None:
    waiting = Worker(partial(event.wait, PATIENCE_S))
    assert all_wait(event, [waiting])
    event.set()
    assert waiting.done() is True


@pytest.mark.parametrize("timeout", [None, 3600, 3600.5, 1e6, 10**8])
def test_a_timeout_is_seconds_or_none(event: Any, timeout: Any) -> None:
    waiting = Worker(partial(event.wait, timeout=timeout))
    assert all_wait(event, [waiting])
    event.set()
    assert waiting.done() is True


@pytest.mark.parametrize("timeout", [0, 0.0, -1, -0.5, float("-inf"), float("nan"), False])
def test_a_timeout_of_no_time_looks_once(event: Any, timeout: Any) -> None:
    assert event.wait(timeout) is False
    event.set()
    assert event.wait(timeout) is True


@pytest.mark.parametrize("timeout", [float("inf"), threading.TIMEOUT_MAX * 2, 2**80])
def test_a_timeout_beyond_all_bounds_is_an_overflow(event: Any, timeout: Any) -> None:
    with pytest.raises(OverflowError):
        event.wait(timeout)


@pytest.mark.parametrize("timeout", ["1", b"", [], object(), 1j])
def test_a_timeout_that_is_no_number_is_a_type_error(event: Any, timeout: Any) -> None:
    with pytest.raises(TypeError):
        event.wait(timeout)
    event.set()
    assert event.wait(timeout) is True


def test_all_is_called_as_it_is_of_threading() -> None:
    for method in ("set", "clear", "is_set", "isSet", "wait"):
        its = inspect.signature(getattr(threading.Event, method)).parameters.values()
        ours = inspect.signature(getattr(evfd.Event, method)).parameters.values()
        assert [(one.name, one.kind, one.default) for one in ours] == [
            (one.name, one.kind, one.default) for one in its
        ]


def test_many_rounds_of_set_and_clear_lose_nobody(event: Any, make: Make) -> None:
    answer = evfd.Event()
    rounds = 200

    def follow() -> int:
        for _ in range(rounds):
            assert event.wait(PATIENCE_S)
            event.clear()
            answer.set()
        return rounds

    following = Worker(follow)
    for _ in range(rounds):
        event.set()
        assert answer.wait(PATIENCE_S)
        answer.clear()
    assert following.done() == rounds


def test_many_threads_set_clear_and_wait_at_once(event: Any) -> None:
    is_over = threading.Event()

    def disturb() -> None:
        while not is_over.is_set():
            event.set()
            event.clear()

    disturbing = [Worker(disturb) for _ in range(3)]
    waiting = [Worker(lambda: [event.wait(PATIENCE_S) for _ in range(50)]) for _ in range(6)]
    for one in waiting:
        assert one.done() == [True] * 50
    is_over.set()
    for disturbance in disturbing:
        disturbance.done()


def test_a_signal_handler_that_throws_ends_a_wait(event: Any) -> None:
    class Rang(Exception):
        pass

    def throw(number: int, frame: object) -> None:
        raise Rang

    def ring() -> None:
        assert all_wait(event, [threading.main_thread()])
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, throw)
    try:
        ringing = Worker(ring)
        with pytest.raises(Rang):
            event.wait()
        ringing.done()
    finally:
        signal.signal(signal.SIGUSR1, before)
    event.set()
    assert event.wait() is True


def test_a_signal_handler_that_returns_does_not_end_a_wait(event: Any) -> None:
    rang = 0

    def note(number: int, frame: object) -> None:
        nonlocal rang
        rang += 1

    def ring() -> None:
        for heard in range(5):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
            assert eventually(lambda: rang > heard)
        event.set()

    before = signal.signal(signal.SIGUSR1, note)
    try:
        ringing = Worker(ring)
        assert event.wait(PATIENCE_S) is True
        ringing.done()
        assert rang == 5
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_the_representation_says_whether_it_is_set(selectable: Any) -> None:
    assert "unset" in repr(selectable)
    selectable.set()
    assert "unset" not in repr(selectable)
    assert "set" in repr(selectable)


def test_it_is_equal_to_itself_only_and_can_be_a_key(make: Make) -> None:
    one, other = make(), make()
    assert one == one
    assert one != other
    assert len({one, other, one}) == 2


# EventFD


def test_it_does_what_an_event_does() -> None:
    of_event = {method for method in dir(threading.Event) if not method.startswith("_")}
    assert of_event | {"fileno"} <= set(dir(evfd.Event))


def test_fileno_is_a_descriptor_that_can_be_selected(selectable: Any) -> None:
    assert isinstance(selectable.fileno(), int)
    assert select.select([selectable.fileno()], [], [], 0)[0] == []
    selectable.set()
    assert select.select([selectable.fileno()], [], [], 0)[0] == [selectable.fileno()]


def test_the_object_itself_can_be_selected(selectable: Any) -> None:
    assert select.select([selectable], [], [], 0) == ([], [], [])
    selectable.set()
    assert select.select([selectable], [], [], 0) == ([selectable], [], [])
    selectable.clear()
    assert select.select([selectable], [], [], 0) == ([], [], [])


def test_a_select_blocks_until_it_is_set(selectable: Any) -> None:
    selecting = Worker(lambda: select.select([selectable], [], [])[0])
    assert all_wait(selectable, [selecting])
    selectable.set()
    assert selecting.done() == [selectable]
    assert selectable.is_set()  # It took nothing.


def _by_poll(event: Any) -> bool:
    poll = select.poll()
    poll.register(event, select.POLLIN)
    return poll.poll() == [(event.fileno(), select.POLLIN)]


def _by_epoll(event: Any) -> bool:
    with select.epoll() as epoll:
        epoll.register(event, select.EPOLLIN)
        return epoll.poll() == [(event.fileno(), select.EPOLLIN)]


def _by_selectors(event: Any) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(event, selectors.EVENT_READ, "it")
        return [key.data for key, _ in selector.select()] == ["it"]


def _by_asyncio(event: Any) -> bool:
    async def wait() -> bool:
        rang = asyncio.Event()
        asyncio.get_running_loop().add_reader(event, rang.set)
        try:
            return await rang.wait()
        finally:
            asyncio.get_running_loop().remove_reader(event)

    return asyncio.run(wait())


@pytest.mark.parametrize("wait", [_by_poll, _by_epoll, _by_selectors, _by_asyncio])
def test_whatever_polls_blocks_until_it_is_set(
    selectable: Any, wait: Callable[[Any], bool]
) -> None:
    polling = Worker(lambda: wait(selectable))
    if wait is _by_poll:
        assert all_wait(selectable, [polling])
    selectable.set()
    assert polling.done() is True


def test_a_thread_that_waits_for_another_event_by_select_is_signalled(selectable: Any) -> None:
    reader, writer = os.pipe()
    try:
        polling = Worker(lambda: select.select([reader, selectable], [], [])[0])
        assert all_wait(selectable, [polling])
        selectable.set()
        assert polling.done() == [selectable]
    finally:
        os.close(reader)
        os.close(writer)


def test_who_selects_and_who_waits_are_both_released(selectable: Any) -> None:
    selecting = [Worker(lambda: select.select([selectable], [], [])[0]) for _ in range(4)]
    waiting = [Worker(selectable.wait) for _ in range(4)]
    assert all_wait(selectable, [*selecting, *waiting])
    selectable.set()
    assert all(one.done() == [selectable] for one in selecting)
    assert all(one.done() is True for one in waiting)


def test_the_descriptor_stays_the_same(selectable: Any) -> None:
    number = selectable.fileno()
    for _ in range(10):
        selectable.set()
        selectable.wait()
        selectable.clear()
        assert selectable.fileno() == number


def test_the_descriptor_is_not_inherited_by_programs(selectable: Any) -> None:
    assert os.get_inheritable(selectable.fileno()) is False


def test_the_descriptor_is_closed_by_close(make_with_descriptor: Make) -> None:
    event = make_with_descriptor()
    number = event.fileno()
    is_what = descriptors()[number]
    event.close()
    assert event.closed
    assert descriptors().get(number) != is_what or number not in descriptors()
    event.close()  # Again is as good.
    for use in (event.set, event.clear, event.is_set, event.wait, event.fileno):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_the_descriptor_is_closed_by_the_end_of_a_with_statement(
    make_with_descriptor: Make,
) -> None:
    with make_with_descriptor() as event:
        event.set()
        assert event.is_set()
    assert event.closed


def test_the_descriptor_is_closed_when_nobody_has_the_event(make_with_descriptor: Make) -> None:
    kept = make_with_descriptor()  # What is there once: a connection.
    gc.collect()
    before = descriptors()
    made = [make_with_descriptor() for _ in range(20)]
    assert len(descriptors()) == len(before) + 20
    made.append(made)  # A cycle.
    del made
    gc.collect()
    assert descriptors() == before
    assert not kept.closed


def test_the_descriptor_stays_open_as_long_as_somebody_waits(make_with_descriptor: Make) -> None:
    event = make_with_descriptor()
    other = make_with_descriptor() if event.name else event
    duplicate = os.dup(event.fileno())
    try:
        waiting = Worker(event.wait)
        assert all_wait(event, [waiting])
        event.close()
        del event
        os.write(duplicate, (1).to_bytes(8, sys.byteorder))
        assert waiting.done() is True
        assert other.closed or other.is_set()
    finally:
        os.close(duplicate)


# After a fork: EventFD's is a descriptor, and shared as descriptors are.


def test_a_child_of_fork_sets_it_for_its_parent(selectable: Any) -> None:
    waiting = Worker(selectable.wait)
    assert all_wait(selectable, [waiting])
    Child(selectable.set).done()
    assert waiting.done() is True
    Child(selectable.clear).done()
    assert not selectable.is_set()


def test_a_parent_sets_it_for_its_child(selectable: Any) -> None:
    began, ready = os.pipe()

    def wait() -> None:
        os.write(ready, b"!")
        assert selectable.wait(PATIENCE_S) is True

    child = Child(wait)
    os.read(began, 1)
    selectable.set()
    child.done()
    os.close(began)
    os.close(ready)


def test_a_child_of_fork_is_a_parent_of_threads_of_its_own(selectable: Any) -> None:
    waiting = [Worker(selectable.wait) for _ in range(4)]
    assert all_wait(selectable, waiting)  # With them AIO contexts, which a child does not have.

    def use() -> None:
        its = [Worker(lambda: selectable.wait(PATIENCE_S)) for _ in range(4)]
        assert all_wait(selectable, its)
        selectable.set()
        assert all(one.done() is True for one in its)

    Child(use).done()
    assert all(one.done() is True for one in waiting)


def test_a_child_that_closes_it_closes_it_for_itself(selectable: Any) -> None:
    Child(selectable.close).done()
    selectable.set()
    assert selectable.wait() is True


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = {thread for thread in threading.enumerate()}
    yield
    assert eventually(
        lambda: all(
            thread in before or thread.name == "evfd-lookout" for thread in threading.enumerate()
        )
    )
