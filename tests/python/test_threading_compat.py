"""Tests of the documented behaviour of threading.Event, and of EventFD of the package eventfd.

Each test runs with private events and with named events. If threading.Event has the tested feature,
the test runs with threading.Event too.
"""

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
from harness import (
    TIMEOUT_S,
    Child,
    Worker,
    all_wait,
    descriptors,
    poll_until,
    signal_main_until,
)

Make = Callable[[], Any]


@pytest.fixture(params=["threading", "private", "named"])
def make(request: pytest.FixtureRequest, shared: evfd.Client, name: str) -> Make:
    """Return a function that creates a threading.Event, a private event or a named event.

    The tests with this fixture check the behaviour that is documented for threading.Event.
    """
    return _maker(request.param, shared, name)


@pytest.fixture(params=["private", "named"])
def make_with_descriptor(request: pytest.FixtureRequest, shared: evfd.Client, name: str) -> Make:
    """Return a function that creates a private event or a named event. Both have a descriptor.

    The tests with this fixture check the behaviour that is documented for EventFD.
    """
    return _maker(request.param, shared, name)


def _maker(kind: str, shared: evfd.Client, name: str) -> Make:
    if kind == "threading":
        return threading.Event
    if kind == "private":
        return evfd.Event
    return lambda: evfd.Event(name, create=True, client=shared)


@pytest.fixture
def event(make: Make) -> object:
    return make()


@pytest.fixture
def selectable(make_with_descriptor: Make) -> object:
    return make_with_descriptor()



def test_a_set_in_one_thread_releases_waiters_in_others(event: Any) -> None:
    waiting = [Worker(event.wait) for _ in range(8)]
    assert all_wait(event, waiting)
    Worker(event.set).result()
    assert [one.result() for one in waiting] == [True] * 8


def test_the_flag_is_false_at_first(event: Any) -> None:
    assert event.is_set() is False
    assert event.wait(0) is False


# Tests of is_set().


def test_is_set_returns_the_flag(event: Any) -> None:
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


# Tests of set().


def test_set_sets_the_flag_and_returns_none(event: Any) -> None:
    assert event.set() is None
    assert event.is_set()


def test_repeated_sets_need_one_clear(event: Any) -> None:
    for _ in range(1000):
        event.set()
    assert event.is_set()
    event.clear()
    assert not event.is_set()
    assert event.wait(0) is False


def test_a_set_releases_all_waiters(event: Any) -> None:
    waiting = [Worker(event.wait) for _ in range(32)]
    assert all_wait(event, waiting)
    event.set()
    assert all(one.result() is True for one in waiting)
    assert event.is_set()


def test_a_set_that_is_cleared_at_once_releases_all_waiters(event: Any) -> None:
    for _ in range(20):
        waiting = [Worker(event.wait) for _ in range(8)]
        assert all_wait(event, waiting)
        event.set()
        event.clear()
        assert all(one.result() is True for one in waiting)
        assert not event.is_set()


def test_a_wait_for_a_set_event_does_not_block(event: Any) -> None:
    event.set()
    for timeout in (None, 0, 0.0, 1, 0.5, -1, 10**6):
        assert event.wait(timeout) is True


def test_a_wait_consumes_nothing(event: Any) -> None:
    event.set()
    assert [event.wait() for _ in range(100)] == [True] * 100
    assert event.is_set()


# Tests of clear().


def test_clear_resets_the_flag_and_returns_none(event: Any) -> None:
    event.set()
    assert event.clear() is None
    assert not event.is_set()


def test_a_clear_of_an_unset_event_does_nothing(event: Any) -> None:
    for _ in range(100):
        event.clear()
    assert not event.is_set()
    event.set()
    assert event.is_set()


def test_a_wait_after_a_clear_blocks_until_the_next_set(event: Any) -> None:
    event.set()
    event.clear()
    waiting = Worker(event.wait)
    assert all_wait(event, [waiting])
    assert waiting.is_alive()
    event.set()
    assert waiting.result() is True


# Tests of wait().


def test_a_wait_blocks_until_the_flag_is_true(event: Any) -> None:
    order: List[str] = []

    def wait() -> None:
        event.wait()
        order.append("released")

    waiting = Worker(wait)
    assert all_wait(event, [waiting])
    order.append("set")
    event.set()
    waiting.result()
    assert order == ["set", "released"]


def test_a_wait_returns_false_after_the_timeout_and_not_before(event: Any) -> None:
    for timeout in (0.02, 0.0015, 0):
        begin = time.monotonic()
        assert event.wait(timeout) is False
        assert time.monotonic() - begin >= timeout


def test_a_wait_returns_true_if_the_event_is_set_in_time(event: Any) -> None:
    waiting = Worker(partial(event.wait, TIMEOUT_S))
    assert all_wait(event, [waiting])
    event.set()
    assert waiting.result() is True


@pytest.mark.parametrize("timeout", [None, 3600, 3600.5, 1e6, 10**8])
def test_a_timeout_may_be_seconds_or_none(event: Any, timeout: Any) -> None:
    waiting = Worker(partial(event.wait, timeout=timeout))
    assert all_wait(event, [waiting])
    event.set()
    assert waiting.result() is True


@pytest.mark.parametrize("timeout", [0, 0.0, -1, -0.5, float("-inf"), float("nan"), False])
def test_a_timeout_of_zero_or_less_does_not_block(event: Any, timeout: Any) -> None:
    assert event.wait(timeout) is False
    event.set()
    assert event.wait(timeout) is True


@pytest.mark.parametrize("timeout", [float("inf"), threading.TIMEOUT_MAX * 2, 2**80])
def test_a_timeout_beyond_timeout_max_is_an_overflow(event: Any, timeout: Any) -> None:
    with pytest.raises(OverflowError):
        event.wait(timeout)


@pytest.mark.parametrize("timeout", ["1", b"", [], object(), 1j])
def test_a_timeout_that_is_not_a_number_is_a_type_error(event: Any, timeout: Any) -> None:
    with pytest.raises(TypeError):
        event.wait(timeout)
    event.set()
    assert event.wait(timeout) is True


def test_the_signatures_are_those_of_threading() -> None:
    for method in ("set", "clear", "is_set", "isSet", "wait"):
        expected = inspect.signature(getattr(threading.Event, method)).parameters.values()
        actual = inspect.signature(getattr(evfd.Event, method)).parameters.values()
        assert [(one.name, one.kind, one.default) for one in actual] == [
            (one.name, one.kind, one.default) for one in expected
        ]


def test_many_rounds_of_set_and_clear_lose_no_set(event: Any, make: Make) -> None:
    answer = evfd.Event()
    rounds = 200

    def follow() -> int:
        for _ in range(rounds):
            assert event.wait(TIMEOUT_S)
            event.clear()
            answer.set()
        return rounds

    following = Worker(follow)
    for _ in range(rounds):
        event.set()
        assert answer.wait(TIMEOUT_S)
        answer.clear()
    assert following.result() == rounds


def test_many_threads_can_set_clear_and_wait_at_once(event: Any) -> None:
    is_over = threading.Event()

    def disturb() -> None:
        while not is_over.is_set():
            event.set()
            event.clear()

    disturbing = [Worker(disturb) for _ in range(3)]
    waiting = [Worker(lambda: [event.wait(TIMEOUT_S) for _ in range(50)]) for _ in range(6)]
    for one in waiting:
        assert one.result() == [True] * 50
    is_over.set()
    for disturbance in disturbing:
        disturbance.result()


def test_a_signal_handler_that_raises_ends_a_wait(event: Any) -> None:
    class Raised(Exception):
        pass

    has_raised = False

    def raise_once(number: int, frame: object) -> None:
        nonlocal has_raised
        if not has_raised:
            has_raised = True
            raise Raised

    def wake() -> None:
        assert all_wait(event, [threading.main_thread()])
        assert signal_main_until(signal.SIGUSR1, lambda: has_raised)

    before = signal.signal(signal.SIGUSR1, raise_once)
    try:
        signalling = Worker(wake)
        with pytest.raises(Raised):
            event.wait()
        signalling.result()
    finally:
        signal.signal(signal.SIGUSR1, before)
    event.set()
    assert event.wait() is True


def test_a_signal_handler_that_returns_does_not_end_a_wait(event: Any) -> None:
    count = 0

    def count_signal(number: int, frame: object) -> None:
        nonlocal count
        count += 1

    def wake() -> None:
        for handled in range(5):
            assert signal_main_until(signal.SIGUSR1, lambda: count > handled)
        event.set()

    before = signal.signal(signal.SIGUSR1, count_signal)
    try:
        signalling = Worker(wake)
        assert event.wait(TIMEOUT_S) is True
        signalling.result()
        assert count >= 5
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_the_representation_has_the_state(selectable: Any) -> None:
    assert "unset" in repr(selectable)
    selectable.set()
    assert "unset" not in repr(selectable)
    assert "set" in repr(selectable)


def test_an_event_equals_only_itself_and_can_be_a_key(make: Make) -> None:
    one, other = make(), make()
    assert one == one
    assert one != other
    assert len({one, other, one}) == 2


# Tests of the behaviour of EventFD.


def test_an_event_has_all_methods_of_threading_event() -> None:
    of_event = {method for method in dir(threading.Event) if not method.startswith("_")}
    assert of_event | {"fileno"} <= set(dir(evfd.Event))


def test_the_result_of_fileno_can_be_selected(selectable: Any) -> None:
    assert isinstance(selectable.fileno(), int)
    assert select.select([selectable.fileno()], [], [], 0)[0] == []
    selectable.set()
    assert select.select([selectable.fileno()], [], [], 0)[0] == [selectable.fileno()]


def test_an_event_can_be_selected(selectable: Any) -> None:
    assert select.select([selectable], [], [], 0) == ([], [], [])
    selectable.set()
    assert select.select([selectable], [], [], 0) == ([selectable], [], [])
    selectable.clear()
    assert select.select([selectable], [], [], 0) == ([], [], [])


def test_a_select_blocks_until_the_event_is_set(selectable: Any) -> None:
    selecting = Worker(lambda: select.select([selectable], [], [])[0])
    assert all_wait(selectable, [selecting])
    selectable.set()
    assert selecting.result() == [selectable]
    assert selectable.is_set()  # select() has not cleared the event.


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
        count = asyncio.Event()
        asyncio.get_running_loop().add_reader(event, count.set)
        try:
            return await count.wait()
        finally:
            asyncio.get_running_loop().remove_reader(event)

    return asyncio.run(wait())


@pytest.mark.parametrize("wait", [_by_poll, _by_epoll, _by_selectors, _by_asyncio])
def test_all_pollers_block_until_the_event_is_set(
    selectable: Any, wait: Callable[[Any], bool]
) -> None:
    polling = Worker(lambda: wait(selectable))
    if wait is _by_poll:
        assert all_wait(selectable, [polling])
    selectable.set()
    assert polling.result() is True


def test_a_select_on_a_pipe_and_an_event_returns_the_event(selectable: Any) -> None:
    reader, writer = os.pipe()
    try:
        polling = Worker(lambda: select.select([reader, selectable], [], [])[0])
        assert all_wait(selectable, [polling])
        selectable.set()
        assert polling.result() == [selectable]
    finally:
        os.close(reader)
        os.close(writer)


def test_a_set_releases_selects_and_waits(selectable: Any) -> None:
    selecting = [Worker(lambda: select.select([selectable], [], [])[0]) for _ in range(4)]
    waiting = [Worker(selectable.wait) for _ in range(4)]
    assert all_wait(selectable, [*selecting, *waiting])
    selectable.set()
    assert all(one.result() == [selectable] for one in selecting)
    assert all(one.result() is True for one in waiting)


def test_the_descriptor_does_not_change(selectable: Any) -> None:
    number = selectable.fileno()
    for _ in range(10):
        selectable.set()
        selectable.wait()
        selectable.clear()
        assert selectable.fileno() == number


def test_the_descriptor_is_not_inherited_across_execve(selectable: Any) -> None:
    assert os.get_inheritable(selectable.fileno()) is False


def test_close_closes_the_descriptor(make_with_descriptor: Make) -> None:
    event = make_with_descriptor()
    number = event.fileno()
    file = descriptors()[number]
    event.close()
    assert event.closed
    assert descriptors().get(number) != file or number not in descriptors()
    event.close()  # A second close() is allowed and has no effect.
    for use in (event.set, event.clear, event.is_set, event.wait, event.fileno):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_the_end_of_a_with_statement_closes_the_descriptor(
    make_with_descriptor: Make,
) -> None:
    with make_with_descriptor() as event:
        event.set()
        assert event.is_set()
    assert event.closed


def test_the_last_reference_closes_the_descriptor(make_with_descriptor: Make) -> None:
    # Creates a first event before counting descriptors, because the client opens descriptors of its
    # own when it connects.
    kept = make_with_descriptor()
    gc.collect()
    before = descriptors()
    made = [make_with_descriptor() for _ in range(20)]
    assert len(descriptors()) == len(before) + 20
    # The list contains itself, so only the garbage collector can delete the list and its events.
    made.append(made)
    del made
    gc.collect()
    assert descriptors() == before
    assert not kept.closed


def test_the_descriptor_stays_open_during_a_wait(make_with_descriptor: Make) -> None:
    event = make_with_descriptor()
    other = make_with_descriptor() if event.name else event
    duplicate = os.dup(event.fileno())
    try:
        waiting = Worker(event.wait)
        assert all_wait(event, [waiting])
        event.close()
        del event
        os.write(duplicate, (1).to_bytes(8, sys.byteorder))
        assert waiting.result() is True
        assert other.closed or other.is_set()
    finally:
        os.close(duplicate)


# Tests of an event whose descriptor a parent and its child share after a fork.


def test_a_child_of_fork_can_set_the_event_for_its_parent(selectable: Any) -> None:
    waiting = Worker(selectable.wait)
    assert all_wait(selectable, [waiting])
    Child(selectable.set).join()
    assert waiting.result() is True
    Child(selectable.clear).join()
    assert not selectable.is_set()


def test_a_parent_can_set_the_event_for_its_child(selectable: Any) -> None:
    began, ready = os.pipe()

    def wait() -> None:
        os.write(ready, b"!")
        assert selectable.wait(TIMEOUT_S) is True

    child = Child(wait)
    os.read(began, 1)
    selectable.set()
    child.join()
    os.close(began)
    os.close(ready)


def test_threads_of_a_child_of_fork_can_wait(selectable: Any) -> None:
    waiting = [Worker(selectable.wait) for _ in range(4)]
    # The waits of the parent use AIO contexts, which a child does not inherit.
    assert all_wait(selectable, waiting)

    def use() -> None:
        waiting_here = [Worker(lambda: selectable.wait(TIMEOUT_S)) for _ in range(4)]
        assert all_wait(selectable, waiting_here)
        selectable.set()
        assert all(one.result() is True for one in waiting_here)

    Child(use).join()
    assert all(one.result() is True for one in waiting)


def test_a_close_in_a_child_does_not_affect_the_parent(selectable: Any) -> None:
    Child(selectable.close).join()
    selectable.set()
    assert selectable.wait() is True


@pytest.fixture(autouse=True)
def no_thread_remains() -> Iterator[None]:
    before = {thread for thread in threading.enumerate()}
    yield
    assert poll_until(
        lambda: all(
            thread in before or thread.name == "evfd-resume" for thread in threading.enumerate()
        )
    )
