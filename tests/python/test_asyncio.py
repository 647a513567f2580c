"""Tests of evfd.asyncio: the classes of evfd, with coroutines instead of blocking waits."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
import weakref
from typing import Any, AsyncGenerator, Callable, Coroutine, Sequence

import pytest

import evfd
from evfd import _aio
from evfd.asyncio import _MonitorStart
from harness import TIMEOUT_S, Child, DaemonProcess, Worker, descriptors, poll_until

Start = Callable[..., DaemonProcess]


@pytest.fixture(params=["aio", "the loop itself"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Select how a wait learns that an object is set: by kernel AIO, or by add_reader()."""
    if request.param != "aio":
        monkeypatch.setattr(_aio, "acquire_context", lambda operations: None)
    return str(request.param)


@pytest.fixture(params=["private", "named"])
def semaphore(
    request: pytest.FixtureRequest, shared: evfd.Client, name: str
) -> evfd.asyncio.Semaphore:
    if request.param == "private":
        return evfd.asyncio.Semaphore(value=0)
    return evfd.asyncio.Semaphore(name, 0, create=True, client=shared)


def run(work: Coroutine[Any, Any, None]) -> None:
    async def in_time() -> None:
        await asyncio.wait_for(work, TIMEOUT_S)

    asyncio.run(in_time())


async def let_begin(tasks: Sequence["asyncio.Task[Any]"]) -> None:
    """Let all tasks run until each task waits. Require that no task is done."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


async def cancel(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def served(order: "asyncio.Queue[int]") -> int:
    return await asyncio.wait_for(order.get(), TIMEOUT_S)


def test_an_event_has_the_interface_of_asyncio_event(
    shared: evfd.Client, name: str, backend: str
) -> None:
    async def work() -> None:
        named = evfd.asyncio.Event(name, create=True, client=shared)
        events: list[Any] = [asyncio.Event(), evfd.asyncio.Event(), named]
        for event in events:
            assert not event.is_set()
            tasks = [asyncio.create_task(event.wait()) for _ in range(5)]
            await let_begin(tasks)
            event.set()
            assert [await task for task in tasks] == [True] * 5
            assert event.is_set() and await event.wait() is True
            event.clear()
            assert not event.is_set()
        assert await named.wait(0.001) is False
        assert evfd.Event(name, client=shared).is_set() is False
        assert repr(named).startswith(f"<evfd.asyncio.Event '{name}' at ")

    run(work())


def test_a_semaphore_has_the_interface_of_asyncio_semaphore(
    shared: evfd.Client, name: str, backend: str
) -> None:
    async def work() -> None:
        named = evfd.asyncio.Semaphore(name, 1, create=True, client=shared)
        semaphores: list[Any] = [asyncio.Semaphore(), evfd.asyncio.Semaphore(), named]
        for semaphore in semaphores:
            assert not semaphore.locked()
            async with semaphore:
                assert semaphore.locked()
                waiting = asyncio.create_task(semaphore.acquire())
                await let_begin([waiting])
            assert await waiting is True
            semaphore.release()
            with pytest.raises(KeyError):
                async with semaphore:
                    raise KeyError
            assert not semaphore.locked()
        named.release(3)
        await named.clear()
        assert await named.acquire(0) is False
        assert await named.wait(timeout=0.001) is False
        with pytest.raises(TypeError):
            with named:  # type: ignore[attr-defined]
                pass

    run(work())


def test_a_semaphore_for_which_tasks_wait_is_locked() -> None:
    async def work() -> None:
        semaphores: list[Any] = [asyncio.Semaphore(0), evfd.asyncio.Semaphore(value=0)]
        # Before Python 3.11 the semaphores of asyncio did not consider their waiters.
        for semaphore in semaphores[sys.version_info < (3, 11) :]:
            task = asyncio.create_task(semaphore.acquire())
            await let_begin([task])
            semaphore.release(*([2] if semaphore is semaphores[1] else []))
            assert semaphore.locked()
            await task

    run(work())
    semaphore = evfd.asyncio.Semaphore()
    assert not semaphore.locked()


@pytest.mark.parametrize("kind", [evfd.asyncio.Lock, evfd.asyncio.Semaphore])
def test_a_bool_as_the_timeout_of_an_acquire_is_a_type_error(kind: Any) -> None:
    async def work() -> None:
        one = kind()
        for blocking in (True, False):
            with pytest.raises(TypeError, match="give timeout=0"):
                await one.acquire(blocking)
        assert await one.acquire(0) is True

    run(work())


def test_a_negative_timeout_of_a_lock_is_a_value_error() -> None:
    async def work() -> None:
        with pytest.raises(ValueError, match="non-negative"):
            await evfd.asyncio.Lock().acquire(-1)

    run(work())


def test_tasks_are_served_in_the_order_of_their_arrival(
    semaphore: evfd.asyncio.Semaphore, backend: str
) -> None:
    async def work() -> None:
        order: "asyncio.Queue[int]" = asyncio.Queue()

        async def acquire(number: int) -> None:
            assert await semaphore.acquire()
            order.put_nowait(number)

        tasks = [asyncio.create_task(acquire(number)) for number in range(20)]
        await let_begin(tasks)
        for number in range(5):
            Worker(semaphore.release).result()
            assert await served(order) == number
        await cancel(tasks[5])  # The first of the queue, and one in the middle.
        await cancel(tasks[8])
        tasks.append(asyncio.create_task(acquire(20)))
        await let_begin(tasks[6:8] + tasks[9:])
        semaphore.release(14)
        assert [await served(order) for _ in range(14)] == [6, 7, *range(9, 21)]
        assert not semaphore.is_set()

    run(work())


def test_a_task_that_comes_later_does_not_overtake(semaphore: evfd.asyncio.Semaphore) -> None:
    async def work() -> None:
        first = asyncio.create_task(semaphore.acquire())
        await let_begin([first])
        semaphore.release()
        assert await semaphore.acquire(0) is False
        assert await first
        assert await semaphore.acquire(0) is False
        semaphore.release()
        assert await semaphore.acquire(0) is True

    run(work())


def test_a_timeout_of_the_first_task_lets_the_next_one_be_first(
    semaphore: evfd.asyncio.Semaphore, backend: str
) -> None:
    async def work() -> None:
        first = asyncio.create_task(semaphore.acquire(0.001))
        second = asyncio.create_task(semaphore.acquire(0.001))
        third = asyncio.create_task(semaphore.acquire())
        assert (await first, await second) == (False, False)
        await let_begin([third])
        semaphore.release()
        assert await third

    run(work())


def test_a_cancelled_wait_raises_and_loses_no_token(
    semaphore: evfd.asyncio.Semaphore, backend: str
) -> None:
    async def work() -> None:
        for steps in range(8):
            for use_wait_any in (False, True):
                wait = (
                    evfd.asyncio.wait_any([semaphore, evfd.asyncio.Event()])
                    if use_wait_any
                    else semaphore.acquire()
                )
                task = asyncio.ensure_future(wait)
                await let_begin([task])
                semaphore.release()
                # The cancellation comes before, while or after the token arrives.
                for _ in range(steps):
                    await asyncio.sleep(0)
                was_cancelled = task.cancel()
                if was_cancelled:
                    with pytest.raises(asyncio.CancelledError):
                        await task
                assert semaphore.is_set() is was_cancelled
                if was_cancelled:
                    assert await semaphore.acquire(0)

    run(work())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout() is of Python 3.11")
@pytest.mark.parametrize("kind", ["acquire", "wait", "wait_any"])
def test_timeout_and_task_group_of_asyncio_end_waits(
    semaphore: evfd.asyncio.Semaphore, backend: str, kind: str
) -> None:
    event = evfd.asyncio.Event()
    waits: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "acquire": semaphore.acquire,
        "wait": event.wait,
        "wait_any": lambda: evfd.asyncio.wait_any([semaphore, event]),
    }

    async def fail() -> None:
        raise KeyError

    async def work() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await waits[kind]()
        with pytest.raises(Exception) as raised:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(waits[kind]()) for _ in range(3)]
                group.create_task(fail())
        assert isinstance(getattr(raised.value, "exceptions")[0], KeyError)
        assert all(task.cancelled() for task in tasks)
        semaphore.release()
        assert await semaphore.acquire(0)

    run(work())


def test_waits_need_no_thread(semaphore: evfd.asyncio.Semaphore) -> None:
    async def work() -> None:
        before = threading.active_count()
        tasks = [asyncio.create_task(semaphore.acquire()) for _ in range(100)]
        tasks += [asyncio.create_task(evfd.asyncio.Event().wait()) for _ in range(10)]
        await let_begin(tasks)
        assert threading.active_count() <= before  # Threads of earlier tests can end.
        for task in tasks:
            await cancel(task)

    run(work())


def test_loops_in_several_threads_consume_each_token_once(
    semaphore: evfd.asyncio.Semaphore,
) -> None:
    async def consume() -> int:
        tasks = [asyncio.create_task(semaphore.acquire(TIMEOUT_S)) for _ in range(50)]
        return sum([await task for task in tasks])

    threads = [Worker(lambda: asyncio.run(consume())) for _ in range(4)]
    for _ in range(20):
        semaphore.release(10)
    assert [thread.result() for thread in threads] == [50] * 4
    assert not semaphore.is_set()


def test_a_loop_that_is_dropped_during_waits_is_collected(
    semaphore: evfd.asyncio.Semaphore, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)

    def use_and_drop() -> "weakref.ref[asyncio.AbstractEventLoop]":
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda loop, context: None)
        tasks: list["asyncio.Task[Any]"] = []
        for _ in range(3):
            tasks.append(loop.create_task(semaphore.acquire()))
            objects = [evfd.asyncio.Event(), semaphore]
            tasks.append(loop.create_task(evfd.asyncio.wait_any(objects)))
        loop.run_until_complete(let_begin(tasks))
        loop.close()
        return weakref.ref(loop)

    dropped = use_and_drop()
    gc.collect()
    assert dropped() is None
    assert unraisable == []
    semaphore.release()
    run(acquire_now(semaphore))


@pytest.mark.parametrize("kind", ["event", "acquire", "wait_any"])
def test_a_task_without_a_reference_is_served(
    semaphore: evfd.asyncio.Semaphore, backend: str, kind: str
) -> None:
    event = evfd.asyncio.Event()
    waits: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "event": event.wait,
        "acquire": semaphore.acquire,
        "wait_any": lambda: evfd.asyncio.wait_any([semaphore, evfd.asyncio.Event()]),
    }

    async def work() -> None:
        order: "asyncio.Queue[int]" = asyncio.Queue()

        async def wait(number: int) -> None:
            await waits[kind]()
            order.put_nowait(number)

        for number in range(3):
            asyncio.create_task(wait(number))
            await let_begin([])
        gc.collect()
        event.set()
        semaphore.release(3)
        numbers = [await served(order) for _ in range(3)]
        assert (sorted(numbers) if kind == "event" else numbers) == [0, 1, 2]
        assert semaphore.is_set() is (kind == "event")
        semaphore.release()
        assert await asyncio.wait_for(semaphore.acquire(), TIMEOUT_S)

    run(work())


async def acquire_now(semaphore: evfd.asyncio.Semaphore) -> None:
    assert await semaphore.acquire(0)


def test_a_child_of_fork_waits_in_its_own_loop(semaphore: evfd.asyncio.Semaphore) -> None:
    began = evfd.Event()

    async def wait() -> None:
        task = asyncio.create_task(semaphore.acquire(TIMEOUT_S))
        await let_begin([task])
        began.set()
        assert await task

    async def time_out() -> None:
        assert await semaphore.acquire(0.001) is False

    run(time_out())
    child = Child(lambda: run(wait()))
    assert began.wait(TIMEOUT_S)
    semaphore.release()
    child.join()


def test_a_timer_is_iterated(shared: evfd.Client, name: str, backend: str) -> None:
    async def work() -> None:
        timer = evfd.asyncio.Timer(name, interval=0.001, create=True, client=shared)
        counts = []
        async for count in timer:
            counts.append(count)
            if len(counts) == 5:
                break
        assert all(count >= 1 for count in counts)
        await timer.disarm()
        assert timer.gettime_ns() == (0, 0)
        await timer.arm(after=0.001)
        assert await timer.wait() == 1
        await timer.arm_ns(after=10**6)
        assert await timer.wait() == 1
        with pytest.raises(ValueError, match="not both"):
            await timer.arm(after=1, at=1)

    run(work())


def test_a_pulse_is_counted(shared: evfd.Client, name: str, backend: str) -> None:
    async def work() -> None:
        pulse = evfd.asyncio.Pulse(name, create=True, client=shared)
        waiting = asyncio.create_task(pulse.wait())
        await let_begin([waiting])
        await pulse.set()
        assert await waiting == 1
        await pulse.set(3)
        assert await pulse.wait() == 3
        await pulse.set()
        pulse.clear()
        assert await pulse.wait(0) == 0
        with pytest.raises(ValueError, match="1 to 16384"):
            await pulse.set(0)

    run(work())


def test_a_call_to_a_daemon_that_does_not_answer_blocks_no_other_task(
    start: Start, name: str
) -> None:
    daemon = start()
    client = daemon.client()

    async def work() -> None:
        pulse = evfd.asyncio.Pulse(name, create=True, client=client)
        os.kill(daemon.process.pid, signal.SIGSTOP)
        try:
            calling = asyncio.create_task(pulse.set())
            opening = asyncio.create_task(
                asyncio.to_thread(evfd.asyncio.Pulse, name, client=client)
            )
            event = evfd.asyncio.Event()
            event.set()
            assert await event.wait()
            await let_begin([calling, opening])
        finally:
            os.kill(daemon.process.pid, signal.SIGCONT)
        await calling
        assert await pulse.wait() == 1
        await opening

    run(work())


# Tests of wait_any().


def test_wait_any_consumes_from_the_object_that_is_set(
    shared: evfd.Client, name: str, backend: str
) -> None:
    async def work() -> None:
        event = evfd.asyncio.Event(auto=True)
        semaphore = evfd.asyncio.Semaphore(name, 0, create=True, client=shared)
        pulse = evfd.asyncio.Pulse(name + "/pulse", create=True, client=shared)
        blocking = evfd.Event()
        objects = (event, semaphore, pulse, blocking)
        assert await evfd.asyncio.wait_any(objects, 0.001) is None

        async def result_of(act: Callable[[], object]) -> evfd.WaitResult:
            task = asyncio.create_task(evfd.asyncio.wait_any(one for one in objects))
            await let_begin([task])
            act()
            result = await task
            assert result is not None
            return result

        def pulse_twice() -> None:
            shared.set(name + "/pulse", count=2)

        assert await result_of(event.set) == evfd.WaitResult(event, 1)
        assert await result_of(semaphore.release) == evfd.WaitResult(semaphore, 1)
        assert await result_of(pulse_twice) == evfd.WaitResult(pulse, 2)
        assert await result_of(blocking.set) == evfd.WaitResult(blocking, 1)
        event.set()
        semaphore.release()
        assert await evfd.asyncio.wait_any(objects) == evfd.WaitResult(event, 1)
        assert semaphore.is_set()
        assert await evfd.asyncio.wait_any([semaphore, semaphore]) is not None
        assert not semaphore.is_set()

    run(work())


def test_wait_any_sees_an_event_that_is_set_and_at_once_cleared() -> None:
    async def work() -> None:
        event = evfd.asyncio.Event()
        for _ in range(20):
            task = asyncio.create_task(evfd.asyncio.wait_any([event, evfd.asyncio.Event()]))
            await let_begin([task])
            event.set()
            event.clear()
            assert await task == evfd.WaitResult(event, 1)

    run(work())


def test_wait_any_and_acquire_are_served_in_the_order_of_their_arrival(
    semaphore: evfd.asyncio.Semaphore, backend: str
) -> None:
    async def work() -> None:
        other = evfd.asyncio.Semaphore(value=0)
        tasks: list["asyncio.Task[Any]"] = []
        for _ in range(4):
            tasks.append(asyncio.create_task(evfd.asyncio.wait_any([other, semaphore])))
            await let_begin(tasks)
            tasks.append(asyncio.create_task(semaphore.acquire()))
            await let_begin(tasks)
        for i, task in enumerate(tasks):
            semaphore.release()
            await task
            await let_begin(tasks[i + 1 :])
        other.release()
        assert await other.acquire(0)

    run(work())


@pytest.mark.parametrize(
    "wrong, error, reason",
    [
        (evfd.asyncio.Event(), TypeError, "takes a list of them, not one Event"),
        ([], ValueError, "1 to 253"),
        ([evfd.Event()] * 254, ValueError, "1 to 253"),
        ([1], TypeError, "cannot wait for a int"),
        (3, TypeError, "iterable"),
    ],
)
def test_wrong_objects_of_wait_any_are_errors(wrong: Any, error: Any, reason: str) -> None:
    async def work() -> None:
        with pytest.raises(error, match=reason):
            await evfd.asyncio.wait_any(wrong)

    run(work())
    for wait in (evfd.wait_any, evfd.wait_all):
        with pytest.raises(error, match=reason):
            wait(wrong)


def test_a_blocking_wait_for_an_object_of_asyncio_is_a_type_error() -> None:
    for wait in (evfd.wait_any, evfd.wait_all):
        with pytest.raises(TypeError, match="use evfd.asyncio.wait_any"):
            wait([evfd.asyncio.Event(initial=True)])


def test_a_closed_object_is_a_value_error(shared: evfd.Client, name: str) -> None:
    async def work() -> None:
        event = evfd.asyncio.Event()
        semaphore = evfd.asyncio.Semaphore()
        pulse = evfd.asyncio.Pulse(name, create=True, client=shared)
        timer = evfd.asyncio.Timer(name + "/t", after=3600, create=True, client=shared)
        for one in (event, semaphore, pulse, timer):
            one.close()
        uses: list[Callable[[], Coroutine[Any, Any, object]]] = [
            event.wait,
            semaphore.acquire,
            semaphore.clear,
            semaphore.__aenter__,
            pulse.set,
            pulse.wait,
            timer.wait,
            timer.disarm,
            timer.__anext__,
            lambda: evfd.asyncio.wait_any([event]),
        ]
        for use in uses:
            with pytest.raises(ValueError, match="closed"):
                await use()

    run(work())


def test_a_wait_continues_when_the_object_is_closed() -> None:
    async def work() -> None:
        auto = evfd.asyncio.Event(auto=True)
        number = os.dup(auto.fileno())
        try:
            task = asyncio.create_task(auto.wait())
            await let_begin([task])
            auto.close()
            os.write(number, (1).to_bytes(8, sys.byteorder))
            assert await task
        finally:
            os.close(number)

    run(work())


def test_a_missing_name_is_an_error(shared: evfd.Client, name: str) -> None:
    kinds = (evfd.asyncio.Event, evfd.asyncio.Semaphore, evfd.asyncio.Pulse, evfd.asyncio.Timer)
    for kind in kinds:
        with pytest.raises(FileNotFoundError, match="give create=True"):
            kind(name, client=shared)


def test_a_wait_outside_of_a_loop_is_a_runtime_error() -> None:
    waiting = evfd.asyncio.Event().wait()
    with pytest.raises(RuntimeError, match="no running event loop"):
        waiting.send(None)


# Tests of monitor().


@contextlib.asynccontextmanager
async def monitoring(
    client: evfd.Client, pattern: str
) -> AsyncGenerator[Callable[[], "asyncio.Future[evfd.Change]"], None]:
    """Begin a monitor, and end it. Yield a function that returns the next report."""
    changes = evfd.asyncio.monitor(pattern, client=client)

    def next_change() -> "asyncio.Future[evfd.Change]":
        return asyncio.ensure_future(changes.__anext__())

    try:
        yield next_change
    finally:
        await changes.aclose()


def test_a_monitor_reports_existing_objects_and_changes(
    running: DaemonProcess, shared: evfd.Client, name: str
) -> None:
    async def work() -> None:
        shared.create(name)
        async with monitoring(running.client(), name + "**") as next_change:
            change = await next_change()
            assert (change.change, change.name) == ("present", name)
            assert (await next_change()).change == "ready"
            waiting = next_change()
            await asyncio.sleep(0)
            assert not waiting.done()
            shared.create(name + "/new")
            change = await waiting
            assert (change.change, change.name) == ("created", name + "/new")
            shared.delete(name)
            assert (await next_change()).change == "deleted"
        assert poll_until(lambda: shared.status().monitors == 0)

    run(work())


def test_a_monitor_reports_more_objects_than_one_read_returns(
    running: DaemonProcess, shared: evfd.Client, name: str
) -> None:
    async def work() -> None:
        names = {f"{name}/{'x' * 150}/{i}" for i in range(1000)}
        for one in names:
            shared.create(one)
        async with monitoring(running.client(), name + "/**") as next_change:
            reported = {(await next_change()).name for _ in range(1000)}
            assert reported == names
            assert (await next_change()).change == "ready"

    run(work())


def test_a_monitor_lets_other_tasks_run_between_its_reports(
    running: DaemonProcess, shared: evfd.Client, name: str
) -> None:
    async def work() -> None:
        for i in range(200):
            shared.create(f"{name}/{i}")
        iterations = 0

        async def count() -> None:
            nonlocal iterations
            while True:
                iterations += 1
                await asyncio.sleep(0)

        async with contextlib.aclosing(
            evfd.asyncio.monitor(name + "/*", client=running.client())
        ) as changes:
            assert (await changes.__anext__()).change == "present"
            counting = asyncio.create_task(count())
            async for change in changes:
                if change.change == "ready":
                    break
        assert iterations >= 200
        await cancel(counting)

    run(work())


def test_a_cancelled_monitor_ends_its_session(running: DaemonProcess, shared: evfd.Client) -> None:
    client = running.client()
    client.status()
    gc.collect()
    before = len(descriptors())

    async def read() -> None:
        async for _ in evfd.asyncio.monitor("none", client=client):
            pass

    async def work() -> None:
        for steps in range(20):
            task = asyncio.create_task(read())
            for _ in range(steps):
                await asyncio.sleep(0)
            await cancel(task)

    run(work())
    gc.collect()
    assert poll_until(lambda: shared.status().monitors == 0)
    assert poll_until(lambda: len(descriptors()) == before)


def test_a_monitor_that_is_closed_while_it_begins_ends_its_session(
    running: DaemonProcess, shared: evfd.Client
) -> None:
    start = _MonitorStart(running.client(), "none")

    async def work() -> None:
        beginning = start.session()
        beginning.send(None)
        beginning.close()

    run(work())  # Joins the thread that begins the monitor.
    assert poll_until(lambda: shared.status().monitors == 0)


def test_a_monitor_resumes_after_a_restart(supervised: DaemonProcess, name: str) -> None:
    client = supervised.client()
    client.create(name)

    async def work() -> None:
        async with monitoring(client, name) as next_change:
            assert [(await next_change()).change for _ in range(2)] == ["present", "ready"]
            supervised.kill_supervised()
            kinds = [(await next_change()).change for _ in range(3)]
            assert kinds == ["resync", "present", "ready"]

    run(work())


def test_an_invalid_pattern_of_a_monitor_is_a_value_error(shared: evfd.Client) -> None:
    async def work() -> None:
        async with monitoring(shared, "[[:alpha:]]") as next_change:
            with pytest.raises(ValueError):
                await next_change()

    run(work())
