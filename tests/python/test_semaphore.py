"""Tests that in common operations named and private semaphores behave as threading.Semaphore."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import threading
from typing import Any, Callable

import pytest

import evfd
from harness import TIMEOUT_S, Child, DaemonProcess, Worker, all_wait, poll_until

Make = Callable[[int], Any]


@pytest.fixture(params=["threading", "private", "named"])
def make(request: pytest.FixtureRequest, shared: evfd.Client, name: str) -> Make:
    """Return a function that creates a semaphore with the given number of tokens."""
    if request.param == "threading":
        return threading.Semaphore
    if request.param == "private":
        return lambda value: evfd.Semaphore(value=value)
    return lambda value: evfd.Semaphore(name, value, create=True, client=shared)


def all_acquire(semaphore: Any, workers: list[Worker[Any]]) -> bool:
    """Wait until all workers block in a wait for a token. Return False at the deadline."""
    if isinstance(semaphore, threading.Semaphore):
        waiters = semaphore._cond._waiters  # type: ignore[attr-defined]
        return poll_until(lambda: len(waiters) == len(workers))
    return all_wait(semaphore, workers)


def test_a_new_semaphore_has_its_initial_tokens_and_each_acquire_consumes_one(make: Make) -> None:
    semaphore = make(3)
    assert [semaphore.acquire(blocking=False) for _ in range(4)] == [True, True, True, False]


def test_a_release_adds_tokens(make: Make) -> None:
    semaphore = make(0)
    assert semaphore.release() is None
    semaphore.release(2)
    semaphore.release(n=1)
    assert [semaphore.acquire(False) for _ in range(5)] == [True] * 4 + [False]


@pytest.mark.parametrize("kind", ["threading", "private", "named", "asyncio"])
def test_a_bounded_semaphore_refuses_a_release_beyond_its_bound(
    shared: evfd.Client, name: str, kind: str
) -> None:
    semaphores: dict[str, Callable[[], Any]] = {
        "threading": lambda: threading.BoundedSemaphore(2),
        "private": lambda: evfd.BoundedSemaphore(value=2),
        "named": lambda: evfd.BoundedSemaphore(name, 2, create=True, client=shared),
        "asyncio": lambda: evfd.asyncio.BoundedSemaphore(value=2),
    }
    semaphore = semaphores[kind]()

    def acquire() -> bool:
        return bool(asyncio.run(acquire_in_loop()) if kind == "asyncio" else semaphore.acquire())

    async def acquire_in_loop() -> bool:
        return bool(await semaphore.acquire())

    with pytest.raises(ValueError, match="released too many times"):
        semaphore.release()
    assert acquire() and acquire()
    with pytest.raises(ValueError, match="released too many times"):
        semaphore.release(3)
    with pytest.raises(ValueError, match="one or more"):
        semaphore.release(0)
    semaphore.release(2)
    with pytest.raises(ValueError, match="released too many times"):
        semaphore.release()
    if kind == "named":
        assert shared.show(name).count == 2
        copied = pickle.loads(pickle.dumps(semaphore))
        assert type(copied) is evfd.BoundedSemaphore
        with copied:
            copied.clear()
        with pytest.raises(ValueError, match="released too many times"):
            copied.release(2)


@pytest.mark.parametrize("kind", [evfd.BoundedSemaphore, evfd.asyncio.BoundedSemaphore])
def test_a_named_bounded_semaphore_needs_its_bound(
    shared: evfd.Client, name: str, kind: Any
) -> None:
    shared.create(name, "semaphore", initial=4)
    with pytest.raises(evfd.InvalidError, match="give it as the second argument"):
        kind(name, client=shared)
    with pytest.raises(ValueError, match="released too many times"):
        kind().release()


def test_without_proc_a_bounded_semaphore_has_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    semaphore = evfd.BoundedSemaphore(value=1)
    monkeypatch.setattr("evfd._semaphore.peek_counter", lambda eventfd: 2**64 - 2)
    semaphore.release()
    assert semaphore.acquire(False) and semaphore.acquire(False)


def test_a_release_wakes_as_many_waiters_as_it_adds_tokens(make: Make) -> None:
    semaphore = make(0)
    waiting = [Worker(lambda: semaphore.acquire(timeout=TIMEOUT_S)) for _ in range(4)]
    assert all_acquire(semaphore, waiting)
    semaphore.release(3)
    assert poll_until(lambda: sum(one.is_alive() for one in waiting) == 1)
    semaphore.release()
    assert all(one.result() is True for one in waiting)
    assert semaphore.acquire(False) is False


def test_an_acquire_that_times_out_returns_false(make: Make) -> None:
    semaphore = make(0)
    assert semaphore.acquire(timeout=0.001) is False
    assert semaphore.acquire(True, 0) is False
    assert semaphore.acquire(blocking=False) is False


def test_a_timeout_for_a_non_blocking_acquire_is_a_value_error(make: Make) -> None:
    with pytest.raises(ValueError, match="timeout for non-blocking"):
        make(1).acquire(blocking=False, timeout=1)


@pytest.mark.parametrize("n", [0, -1])
def test_a_release_of_no_tokens_is_a_value_error(make: Make, n: int) -> None:
    with pytest.raises(ValueError, match="one or more"):
        make(1).release(n)


def test_a_negative_value_is_a_value_error(make: Make) -> None:
    with pytest.raises(ValueError, match="must be >= 0"):
        make(-1)


def test_a_with_statement_holds_a_token(make: Make) -> None:
    semaphore = make(1)
    with semaphore:
        assert semaphore.acquire(False) is False
    assert semaphore.acquire(False) is True
    semaphore.release()
    with pytest.raises(KeyError):
        with semaphore:
            raise KeyError
    assert semaphore.acquire(False) is True


def test_many_threads_consume_each_token_once(make: Make) -> None:
    semaphore = make(5)
    consuming = [
        Worker(lambda: sum(semaphore.acquire(False) for _ in range(100))) for _ in range(8)
    ]
    assert sum(one.result() for one in consuming) == 5
    releasing = [Worker(lambda: [semaphore.release() for _ in range(250)]) for _ in range(4)]
    acquiring = [
        Worker(lambda: [semaphore.acquire(timeout=TIMEOUT_S) for _ in range(250)])
        for _ in range(4)
    ]
    for one in releasing:
        one.result()
    for other in acquiring:
        assert all(other.result())
    assert semaphore.acquire(False) is False


def test_wait_set_clear_and_close_work_beside_those_of_threading(
    shared: evfd.Client, name: str
) -> None:
    for semaphore in (evfd.Semaphore(), evfd.Semaphore(name, create=True, client=shared)):
        assert semaphore.is_set()
        assert semaphore.wait(0) is True
        assert not semaphore.is_set()
        semaphore.set(3)
        semaphore.clear()
        assert semaphore.wait(0) is False
        with contextlib.closing(semaphore):
            pass
        with pytest.raises(ValueError, match="closed"):
            semaphore.acquire()


def test_the_largest_counter_refuses_another_token(shared: evfd.Client, name: str) -> None:
    for semaphore in (evfd.Semaphore(value=0), evfd.Semaphore(name, 0, create=True, client=shared)):
        semaphore.release(2**64 - 2)
        with pytest.raises(evfd.LimitError):
            semaphore.release()
        with pytest.raises(evfd.LimitError):
            semaphore.clear()


def test_a_clear_consumes_all_tokens(
    running: DaemonProcess, shared: evfd.Client, name: str
) -> None:
    backlog = 50_000
    shared.create(name, "semaphore", initial=backlog)
    shared.clear(name)
    assert shared.show(name).count == 0
    for semaphore in (evfd.Semaphore(value=0), evfd.Semaphore(name, create=True, client=shared)):
        semaphore.release(backlog)
        semaphore.clear()
        assert not semaphore.acquire(False)
    shared.set(name, count=10_000)
    running.ctl("clear", name)
    assert shared.show(name).count == 0


def test_all_processes_share_the_tokens(
    running: DaemonProcess, shared: evfd.Client, name: str
) -> None:
    semaphore = evfd.Semaphore(name, 0, create=True, client=shared)
    running.ctl("set", name, "--count", "3")
    assert semaphore.acquire(False)
    running.ctl("wait", name, "--timeout", "0s")
    assert shared.show(name).count == 1
    Child(lambda: semaphore.acquire(timeout=TIMEOUT_S)).join()
    assert not semaphore.acquire(False)


@pytest.mark.parametrize("count", [2**64 - 2, 2**64 - 1, 2**64, 2**100])
def test_more_tokens_than_the_counter_can_hold_are_a_limit_error(
    shared: evfd.Client, name: str, count: int
) -> None:
    for one in (evfd.Semaphore(value=1), evfd.Semaphore(name, 1, create=True, client=shared)):
        with pytest.raises(evfd.LimitError, match=one.name or "the semaphore has"):
            one.release(count)
        assert one.acquire(False) is True
        assert one.acquire(False) is False
