"""The semaphore: as threading.Semaphore wherever both have the same, by name and private."""

from __future__ import annotations

import contextlib
import threading
from typing import Any, Callable

import pytest

import evfd
from running import PATIENCE_S, Child, RunningDaemon, Worker, all_wait, eventually

Make = Callable[[int], Any]


@pytest.fixture(params=["threading", "private", "named"])
def make(request: pytest.FixtureRequest, shared: evfd.Daemon, name: str) -> Make:
    """Makes one with so many tokens."""
    if request.param == "threading":
        return threading.Semaphore
    if request.param == "private":
        return lambda value: evfd.Semaphore(value=value)
    return lambda value: evfd.Semaphore(name, value, daemon=shared)


def all_acquire(semaphore: Any, workers: list[Worker[Any]]) -> bool:
    """Until all of them wait for a token."""
    if isinstance(semaphore, threading.Semaphore):
        waiters = semaphore._cond._waiters  # type: ignore[attr-defined]
        return eventually(lambda: len(waiters) == len(workers))
    return all_wait(semaphore, workers)


def test_it_begins_with_its_tokens_and_each_acquire_takes_one(make: Make) -> None:
    semaphore = make(3)
    assert [semaphore.acquire(blocking=False) for _ in range(4)] == [True, True, True, False]


def test_a_release_adds_tokens(make: Make) -> None:
    semaphore = make(0)
    assert semaphore.release() is None
    semaphore.release(2)
    semaphore.release(n=1)
    assert [semaphore.acquire(False) for _ in range(5)] == [True] * 4 + [False]


def test_a_release_wakes_as_many_as_it_adds(make: Make) -> None:
    semaphore = make(0)
    waiting = [Worker(lambda: semaphore.acquire(timeout=PATIENCE_S)) for _ in range(4)]
    assert all_acquire(semaphore, waiting)
    semaphore.release(3)
    assert eventually(lambda: sum(one.is_alive() for one in waiting) == 1)
    semaphore.release()
    assert all(one.done() is True for one in waiting)
    assert semaphore.acquire(False) is False


def test_an_acquire_without_a_token_in_time_is_false(make: Make) -> None:
    semaphore = make(0)
    assert semaphore.acquire(timeout=0.001) is False
    assert semaphore.acquire(True, 0) is False
    assert semaphore.acquire(blocking=False) is False


def test_a_timeout_of_an_acquire_that_does_not_block_is_a_value_error(make: Make) -> None:
    with pytest.raises(ValueError, match="timeout for non-blocking"):
        make(1).acquire(blocking=False, timeout=1)


@pytest.mark.parametrize("n", [0, -1])
def test_a_release_of_nothing_is_a_value_error(make: Make, n: int) -> None:
    with pytest.raises(ValueError, match="one or more"):
        make(1).release(n)


def test_a_negative_value_is_a_value_error(make: Make) -> None:
    with pytest.raises(ValueError, match="must be >= 0"):
        make(-1)


def test_with_it_one_has_a_token(make: Make) -> None:
    semaphore = make(1)
    with semaphore:
        assert semaphore.acquire(False) is False
    assert semaphore.acquire(False) is True
    semaphore.release()
    with pytest.raises(KeyError):
        with semaphore:
            raise KeyError
    assert semaphore.acquire(False) is True


def test_many_threads_take_each_token_once(make: Make) -> None:
    semaphore = make(5)
    taken = [Worker(lambda: sum(semaphore.acquire(False) for _ in range(100))) for _ in range(8)]
    assert sum(one.done() for one in taken) == 5
    given = [Worker(lambda: [semaphore.release() for _ in range(250)]) for _ in range(4)]
    acquired = [
        Worker(lambda: [semaphore.acquire(timeout=PATIENCE_S) for _ in range(250)])
        for _ in range(4)
    ]
    for giving in given:
        giving.done()
    for acquiring in acquired:
        assert all(acquiring.done())
    assert semaphore.acquire(False) is False


def test_what_is_ours_besides(shared: evfd.Daemon, name: str) -> None:
    for semaphore in (evfd.Semaphore(), evfd.Semaphore(name, daemon=shared)):
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


def test_there_is_room_for_so_many(shared: evfd.Daemon, name: str) -> None:
    for semaphore in (evfd.Semaphore(value=0), evfd.Semaphore(name, 0, daemon=shared)):
        semaphore.release(2**64 - 2)
        with pytest.raises(evfd.LimitError):
            semaphore.release()
        with pytest.raises(evfd.LimitError):
            semaphore.clear()


def test_a_clear_leaves_none_of_what_there_was(
    running: RunningDaemon, shared: evfd.Daemon, name: str
) -> None:
    backlog = 50_000
    shared.create(name, "semaphore", initial=backlog)
    shared.clear(name)
    assert shared.show(name).count == 0
    for semaphore in (evfd.Semaphore(value=0), evfd.Semaphore(name, daemon=shared)):
        semaphore.release(backlog)
        semaphore.clear()
        assert not semaphore.acquire(False)
    shared.set(name, count=10_000)
    running.ctl("clear", name)
    assert shared.show(name).count == 0


def test_its_tokens_are_everybodys(running: RunningDaemon, shared: evfd.Daemon, name: str) -> None:
    semaphore = evfd.Semaphore(name, 0, daemon=shared)
    running.ctl("set", name, "--count", "3")
    assert semaphore.acquire(False)
    running.ctl("wait", name, "--timeout", "0s")
    assert shared.show(name).count == 1
    Child(lambda: semaphore.acquire(timeout=PATIENCE_S)).done()
    assert not semaphore.acquire(False)


@pytest.mark.parametrize("count", [2**64 - 2, 2**64 - 1, 2**64, 2**100])
def test_more_tokens_than_there_is_room_for_are_a_limit_error(
    shared: evfd.Daemon, name: str, count: int
) -> None:
    for one in (evfd.Semaphore(value=1), evfd.Semaphore(name, 1, daemon=shared)):
        with pytest.raises(evfd.LimitError, match=one.name or "the semaphore has"):
            one.release(count)
        assert one.acquire(False) is True
        assert one.acquire(False) is False
