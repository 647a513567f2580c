"""wait_async(): in an asyncio loop, beside all else that it does."""

from __future__ import annotations

import asyncio
import concurrent.futures
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
    become_stranger,
    descriptors,
    eventually,
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


def test_who_may_not_set_takes_through_the_daemon(running: RunningDaemon, name: str) -> None:
    client = running.client()
    mine = evfd.Semaphore(name, 0, daemon=client)
    client.set_rights(name, 0o444)
    cancelled = evfd.Event()

    def work() -> None:
        become_stranger()
        its = evfd.Semaphore(name, create=False, daemon=running.client())

        async def wait() -> None:
            assert (its.may_wait, its.may_set) == (True, False)
            assert await its.wait_async(0.001) is False
            tasks = [asyncio.create_task(its.wait_async()) for _ in range(4)]
            while running.client().show(name).waits < 4:
                await asyncio.sleep(0)
            tasks[2].cancel()
            with pytest.raises(asyncio.CancelledError):
                await tasks.pop(2)
            cancelled.set()
            assert all(await asyncio.gather(*tasks))

        run(wait())

    child = Child(work)
    assert cancelled.wait(PATIENCE_S)
    for _ in range(3):
        mine.release()
    child.done()
    assert mine.acquire(False) is False


def test_who_may_not_set_and_cancels_at_the_start_takes_nothing(
    running: RunningDaemon, name: str
) -> None:
    client = running.client()
    evfd.Semaphore(name, 1, daemon=client)
    client.set_rights(name, 0o444)

    def work() -> None:
        become_stranger()
        watching = running.client()
        its = evfd.Semaphore(name, create=False, daemon=running.client())

        async def cancel() -> None:
            executor = concurrent.futures.ThreadPoolExecutor(1)
            asyncio.get_running_loop().set_default_executor(executor)
            task = asyncio.create_task(its.wait_async())
            await asyncio.sleep(0)  # It begins.
            executor.submit(int).result(PATIENCE_S)  # The loop is busy; what it gave away is done.
            watching.status()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        for _ in range(5):
            run(cancel())
            assert watching.show(name).count == 1

    Child(work).done()


def test_who_may_not_set_and_cancels_too_late_is_told_what_was_taken(
    running: RunningDaemon, name: str
) -> None:
    client = running.client()
    mine = evfd.Semaphore(name, 0, daemon=client)
    client.set_rights(name, 0o444)
    began = evfd.Event()
    was_set = evfd.Event()

    def work() -> None:
        become_stranger()
        watching = running.client()
        its = evfd.Semaphore(name, create=False, daemon=running.client())

        async def cancel() -> None:
            task = asyncio.create_task(its.wait_async())
            while watching.show(name).waits < 1:
                await asyncio.sleep(0)
            began.set()
            assert was_set.wait(PATIENCE_S)  # Without the loop.
            task.cancel()
            assert await task is True

        run(cancel())

    child = Child(work)
    assert began.wait(PATIENCE_S)
    mine.release()  # By its name only root might.
    assert eventually(lambda: client.show(name).waits == 0)
    was_set.set()
    child.done()
    assert client.show(name).count == 0
