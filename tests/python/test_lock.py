"""Tests that in common operations locks behave as threading.Lock and asyncio.Lock."""

from __future__ import annotations

import asyncio
import datetime
import threading
from typing import Any, Callable

import pytest

import evfd
from harness import TIMEOUT_S, Child, Worker, poll_until

Make = Callable[[], Any]


@pytest.fixture(params=["threading", "private", "named"])
def lock(request: pytest.FixtureRequest, shared: evfd.Client, name: str) -> Any:
    if request.param == "threading":
        return threading.Lock()
    if request.param == "private":
        return evfd.Lock()
    return evfd.Lock(name, create=True, client=shared)


def test_a_lock_is_locked_once(lock: Any) -> None:
    assert lock.locked() is False
    assert lock.acquire() is True
    assert lock.locked() is True
    assert lock.acquire(False) is False
    assert lock.acquire(blocking=False) is False
    assert lock.acquire(True, 0.001) is False
    assert lock.acquire(timeout=0) is False
    lock.release()
    assert lock.locked() is False
    with lock as acquired:
        assert acquired is True and lock.locked()
    assert not lock.locked()


def test_a_release_of_an_unlocked_lock_is_a_runtime_error(lock: Any) -> None:
    with pytest.raises(RuntimeError):
        lock.release()
    assert lock.acquire(timeout=TIMEOUT_S)
    lock.release()
    with pytest.raises(RuntimeError):
        lock.release()
    assert lock.acquire(False) is True
    assert lock.acquire(False) is False


def test_a_timeout_of_a_non_blocking_acquire_is_a_value_error(lock: Any) -> None:
    with pytest.raises(ValueError):
        lock.acquire(False, 1)


@pytest.mark.parametrize("timeout", [-5, -0.5, -2])
def test_a_negative_timeout_but_minus_1_is_a_value_error(lock: Any, timeout: float) -> None:
    with pytest.raises(ValueError):
        lock.acquire(timeout=timeout)
    assert lock.acquire(timeout=-1) is True


def test_a_negative_timedelta_is_a_value_error() -> None:
    locks: list[Any] = [evfd.Lock(), evfd.asyncio.Lock()]
    for lock in locks:
        with pytest.raises(ValueError, match="non-negative"):
            asyncio.run(lock.acquire(timeout=datetime.timedelta(seconds=-1)))


def test_a_lock_excludes_other_threads(lock: Any) -> None:
    value = 0

    def increment() -> None:
        nonlocal value
        for _ in range(200):
            with lock:
                before = value
                lock.locked()
                value = before + 1

    for worker in [Worker(increment) for _ in range(4)]:
        worker.result()
    assert value == 800


def test_a_condition_can_use_a_lock(lock: Any) -> None:
    condition = threading.Condition(lock)
    is_waiting = was_notified = False

    def wait() -> bool:
        nonlocal is_waiting
        with condition:
            is_waiting = True
            return condition.wait_for(lambda: was_notified, TIMEOUT_S)

    waiting = Worker(wait)
    assert poll_until(lambda: is_waiting)
    with condition:  # The wait has released the lock.
        was_notified = True
        condition.notify_all()
    assert waiting.result()


def test_a_named_lock_excludes_other_processes(shared: evfd.Client, name: str) -> None:
    lock = evfd.Lock(name, create=True, client=shared)
    assert shared.show(name).mode == "auto" and shared.show(name).is_set
    other = evfd.Lock(name, client=shared)
    has_tried = evfd.Event()
    assert lock.acquire()

    def acquire_and_release() -> None:
        assert evfd.Lock(name, client=shared).acquire(False) is False
        has_tried.set()
        with lock:
            pass

    child = Child(acquire_and_release)
    assert has_tried.wait(TIMEOUT_S)
    assert repr(other).endswith(": locked>") and other.locked()
    other.release()
    child.join()
    assert repr(other).endswith(": unlocked>")
    assert lock.acquire(timeout=datetime.timedelta(seconds=TIMEOUT_S))


def test_opening_another_kind_as_a_lock_names_the_right_class(
    shared: evfd.Client, name: str
) -> None:
    with pytest.raises(FileNotFoundError, match="give create=True"):
        evfd.Lock(name, client=shared)
    shared.create(name)
    with pytest.raises(evfd.WrongKindError, match="use evfd.Event"):
        evfd.Lock(name, create=True, client=shared)
    assert evfd.Event(name + "/auto", auto=True, create=True, client=shared).auto
    with pytest.raises(evfd.WrongKindError, match="or evfd.Lock"):
        evfd.Semaphore(name + "/auto", client=shared)


def test_a_closed_lock_is_a_value_error() -> None:
    for lock in (evfd.Lock(), evfd.asyncio.Lock()):
        lock.close()
        for use in (lock.release, lock.locked):
            with pytest.raises(ValueError, match="closed"):
                use()
    with pytest.raises(ValueError, match="closed"):
        asyncio.run(evfd_acquire(lock))


async def evfd_acquire(lock: Any) -> None:
    await lock.acquire()


def test_a_lock_of_asyncio_serves_tasks_in_the_order_of_their_arrival(
    shared: evfd.Client, name: str
) -> None:
    async def work(lock: Any) -> None:
        order = []

        async def use(number: int) -> None:
            async with lock:
                order.append(number)
                await asyncio.sleep(0)

        assert await lock.acquire() is True
        tasks = [asyncio.create_task(use(number)) for number in range(10)]
        await asyncio.sleep(0)
        assert lock.locked()
        tasks[3].cancel()
        lock.release()
        done, _ = await asyncio.wait(tasks, timeout=TIMEOUT_S)
        assert len(done) == 10 and tasks[3].cancelled()
        assert order == [0, 1, 2, 4, 5, 6, 7, 8, 9]
        assert not lock.locked()
        with pytest.raises(RuntimeError):
            lock.release()

    for lock in (
        asyncio.Lock(),
        evfd.asyncio.Lock(),
        evfd.asyncio.Lock(name, create=True, client=shared),
    ):
        asyncio.run(work(lock))
