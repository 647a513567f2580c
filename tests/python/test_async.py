"""Tests of wait_async(), which waits in an asyncio loop while the loop runs other tasks."""

from __future__ import annotations

import asyncio
import gc
from typing import Any, Callable, Coroutine, List

import pytest

import evfd
from evfd import _aio
from harness import (
    TIMEOUT_S,
    Child,
    DaemonProcess,
    Worker,
    descriptors,
    require_descriptors,
)

Make = Callable[[], evfd.Event]


@pytest.fixture(params=["private", "named"])
def event(request: pytest.FixtureRequest, shared: evfd.Client, name: str) -> evfd.Event:
    if request.param == "private":
        return evfd.Event()
    return evfd.Event(name, create=True, client=shared)


@pytest.fixture(params=["aio", "the loop itself"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Select how wait_async() learns that an event is set: by kernel AIO, or by add_reader()."""
    if request.param != "aio":
        monkeypatch.setattr(_aio, "acquire_context", lambda operations: None)
    return str(request.param)


def run(work: Coroutine[Any, Any, None]) -> None:
    async def in_time() -> None:
        await asyncio.wait_for(work, TIMEOUT_S)

    asyncio.run(in_time())


async def let_begin(tasks: List["asyncio.Task[Any]"]) -> None:
    """Let all tasks run until each task waits. Require that no task is done."""
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


def test_a_wait_is_released_by_a_set(event: evfd.Event, backend: str) -> None:
    async def work() -> None:
        tasks = [asyncio.create_task(event.wait_async()) for _ in range(10)]
        await let_begin(tasks)
        Worker(event.set).result()
        assert [await task for task in tasks] == [True] * 10
        assert await event.wait_async() is True
        event.clear()
        assert await event.wait_async(0) is False

    run(work())


def test_a_set_that_is_cleared_at_once_releases_all_waiters(event: evfd.Event) -> None:
    async def work() -> None:
        for _ in range(20):
            tasks = [asyncio.create_task(event.wait_async()) for _ in range(10)]
            await let_begin(tasks)
            event.set()
            event.clear()
            assert [await task for task in tasks] == [True] * 10
            assert not event.is_set()

    run(work())


def test_a_wait_that_times_out_returns_false(event: evfd.Event, backend: str) -> None:
    async def work() -> None:
        assert await event.wait_async(0.001) is False
        assert await event.wait_async(timeout=-1) is False
        with pytest.raises(TypeError):
            await event.wait_async("1")  # type: ignore[arg-type]
        with pytest.raises(OverflowError):
            await event.wait_async(float("inf"))

    run(work())


def test_a_cancelled_wait_leaks_no_descriptor_and_consumes_nothing(
    event: evfd.Event, backend: str
) -> None:
    async def work() -> None:
        await event.wait_async(0.001)
        before = len(descriptors())
        for _ in range(100):
            tasks = [asyncio.create_task(event.wait_async()) for _ in range(5)]
            await let_begin(tasks)
            for task in tasks:
                task.cancel()
            for task in tasks:
                with pytest.raises(asyncio.CancelledError):
                    await task
        assert len(descriptors()) == before
        event.set()
        assert await event.wait_async() is True

    run(work())


def test_more_concurrent_waits_than_the_kernel_accepts_are_all_released(event: evfd.Event) -> None:
    require_descriptors(2_500)

    async def work() -> None:
        tasks = [asyncio.create_task(event.wait_async()) for _ in range(2_000)]
        await let_begin(tasks)
        event.set()
        assert all([await task for task in tasks])

    run(work())


def test_a_loop_can_watch_the_descriptor_at_the_same_time(event: evfd.Event, backend: str) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        was_read = asyncio.Event()
        loop.add_reader(event, was_read.set)
        task = asyncio.create_task(event.wait_async())
        await let_begin([task])
        event.set()
        await was_read.wait()
        assert await task
        assert loop.remove_reader(event)

    run(work())


def test_loops_in_several_threads_wait_for_one_event(event: evfd.Event) -> None:
    async def work() -> bool:
        return await event.wait_async(TIMEOUT_S)

    threads = [Worker(lambda: asyncio.run(work())) for _ in range(6)]
    event.set()
    assert [thread.result() for thread in threads] == [True] * 6


def test_a_closed_loop_leaks_no_descriptor(event: evfd.Event, backend: str) -> None:
    async def work() -> None:
        asyncio.create_task(event.wait_async())
        await event.wait_async(0.001)

    run(work())
    gc.collect()
    before = descriptors()
    for _ in range(20):
        run(work())
        gc.collect()
    assert descriptors() == before


def test_concurrent_waits_consume_each_token_once(
    shared: evfd.Client, name: str, backend: str
) -> None:
    async def work() -> None:
        named = evfd.Semaphore(name, 0, create=True, client=shared)
        for semaphore in (evfd.Semaphore(value=0), named):
            tasks = [asyncio.create_task(semaphore.wait_async()) for _ in range(10)]
            await let_begin(tasks)
            semaphore.release(7)
            left = set(tasks)
            while len(left) > 3:
                _, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            assert not semaphore.is_set() and len(left) == 3
            semaphore.release(3)
            await asyncio.wait(left)
            assert await semaphore.wait_async(0) is False

    run(work())


def test_waits_for_pulses_and_timers_return_counts(
    shared: evfd.Client, name: str, backend: str
) -> None:
    async def work() -> None:
        pulse = evfd.Pulse(name + "/pulse", create=True, client=shared)
        timer = evfd.Timer(name + "/timer", after=3600, create=True, client=shared)
        tasks = [
            asyncio.create_task(pulse.wait_async()),
            asyncio.create_task(timer.wait_async()),
        ]
        await let_begin(tasks)
        pulse.set()
        timer.arm(after=0.001)
        assert [await task for task in tasks] == [1, 1]
        assert (await pulse.wait_async(0), await timer.wait_async(0)) == (0, 0)

    run(work())


def test_a_child_of_fork_can_run_its_own_loop(event: evfd.Event) -> None:
    async def once() -> None:
        assert await event.wait_async(0.001) is False

    run(once())
    began = evfd.Event()

    async def wait() -> None:
        task = asyncio.create_task(event.wait_async(TIMEOUT_S))
        await let_begin([task])
        began.set()
        assert await task

    child = Child(lambda: run(wait()))
    assert began.wait(TIMEOUT_S)
    event.set()
    child.join()
