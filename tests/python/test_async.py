"""wait_async(): in an asyncio loop, beside all else that it does."""

from __future__ import annotations

import asyncio
import gc
from typing import Any, Callable, Coroutine, List

import pytest

import evfd
from evfd import aio
from running import (
    PATIENCE_S,
    Child,
    RunningDaemon,
    Worker,
    descriptors,
    need_descriptors,
)

Make = Callable[[], evfd.Event]


@pytest.fixture(params=["private", "named"])
def event(request: pytest.FixtureRequest, shared: evfd.Daemon, name: str) -> evfd.Event:
    return evfd.Event() if request.param == "private" else evfd.Event(name, daemon=shared)


@pytest.fixture(params=["aio", "the loop itself"])
def waits_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to hear of a descriptor."""
    if request.param != "aio":
        monkeypatch.setattr(aio, "take_context", lambda operations: None)
    return str(request.param)


def run(work: Coroutine[Any, Any, None]) -> None:
    async def in_time() -> None:
        await asyncio.wait_for(work, PATIENCE_S)

    asyncio.run(in_time())


async def let_them_begin(tasks: List["asyncio.Task[Any]"]) -> None:
    """All that can be done at once is done."""
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


def test_a_wait_is_released_by_a_set(event: evfd.Event, waits_by: str) -> None:
    async def work() -> None:
        tasks = [asyncio.create_task(event.wait_async()) for _ in range(10)]
        await let_them_begin(tasks)
        Worker(event.set).done()
        assert await asyncio.gather(*tasks) == [True] * 10
        assert await event.wait_async() is True
        event.clear()
        assert await event.wait_async(0) is False

    run(work())


def test_a_set_that_is_cleared_at_once_releases_all_who_wait(event: evfd.Event) -> None:
    async def work() -> None:
        for _ in range(20):
            tasks = [asyncio.create_task(event.wait_async()) for _ in range(10)]
            await let_them_begin(tasks)
            event.set()
            event.clear()
            assert await asyncio.gather(*tasks) == [True] * 10
            assert not event.is_set()

    run(work())


def test_a_wait_that_is_over_is_false(event: evfd.Event, waits_by: str) -> None:
    async def work() -> None:
        assert await event.wait_async(0.001) is False
        assert await event.wait_async(timeout=-1) is False
        with pytest.raises(TypeError):
            await event.wait_async("1")  # type: ignore[arg-type]
        with pytest.raises(OverflowError):
            await event.wait_async(float("inf"))

    run(work())


def test_a_cancelled_wait_leaves_nothing_behind(event: evfd.Event, waits_by: str) -> None:
    async def work() -> None:
        await event.wait_async(0.001)
        before = len(descriptors())
        for _ in range(100):
            tasks = [asyncio.create_task(event.wait_async()) for _ in range(5)]
            await let_them_begin(tasks)
            for task in tasks:
                task.cancel()
            for task in tasks:
                with pytest.raises(asyncio.CancelledError):
                    await task
        assert len(descriptors()) == before
        event.set()
        assert await event.wait_async() is True

    run(work())


def test_more_waits_at_a_time_than_the_kernel_takes(event: evfd.Event) -> None:
    need_descriptors(2_500)

    async def work() -> None:
        tasks = [asyncio.create_task(event.wait_async()) for _ in range(2_000)]
        await let_them_begin(tasks)
        event.set()
        assert all(await asyncio.gather(*tasks))

    run(work())


def test_the_loop_may_watch_the_descriptor_as_well(event: evfd.Event, waits_by: str) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        rang = asyncio.Event()
        loop.add_reader(event, rang.set)
        task = asyncio.create_task(event.wait_async())
        await let_them_begin([task])
        event.set()
        await rang.wait()
        assert await task
        assert loop.remove_reader(event)

    run(work())


def test_each_of_many_loops_waits_in_its_thread(event: evfd.Event) -> None:
    async def work() -> bool:
        return await event.wait_async(PATIENCE_S)

    threads = [Worker(lambda: asyncio.run(work())) for _ in range(6)]
    event.set()
    assert [thread.done() for thread in threads] == [True] * 6


def test_a_loop_that_ends_leaves_no_descriptor(event: evfd.Event, waits_by: str) -> None:
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


def test_what_is_taken_is_taken_once(shared: evfd.Daemon, name: str, waits_by: str) -> None:
    async def work() -> None:
        for semaphore in (evfd.Semaphore(value=0), evfd.Semaphore(name, 0, daemon=shared)):
            tasks = [asyncio.create_task(semaphore.wait_async()) for _ in range(10)]
            await let_them_begin(tasks)
            semaphore.release(7)
            left = set(tasks)
            while len(left) > 3:
                _, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            assert not semaphore.is_set() and len(left) == 3
            semaphore.release(3)
            await asyncio.wait(left)
            assert await semaphore.wait_async(0) is False

    run(work())


def test_pulses_and_timers_count(shared: evfd.Daemon, name: str, waits_by: str) -> None:
    async def work() -> None:
        pulse = evfd.Pulse(name + "/pulse", daemon=shared)
        timer = evfd.Timer(name + "/timer", after=3600, daemon=shared)
        tasks = [
            asyncio.create_task(pulse.wait_async()),
            asyncio.create_task(timer.wait_async()),
        ]
        await let_them_begin(tasks)
        pulse.set()
        timer.arm(after=0.001)
        assert await asyncio.gather(*tasks) == [1, 1]
        assert (await pulse.wait_async(0), await timer.wait_async(0)) == (0, 0)

    run(work())


def test_a_child_of_fork_runs_a_loop_of_its_own(event: evfd.Event) -> None:
    async def once() -> None:
        assert await event.wait_async(0.001) is False

    run(once())
    began = evfd.Event()

    async def wait() -> None:
        task = asyncio.create_task(event.wait_async(PATIENCE_S))
        await let_them_begin([task])
        began.set()
        assert await task

    child = Child(lambda: run(wait()))
    assert began.wait(PATIENCE_S)
    event.set()
    child.done()
