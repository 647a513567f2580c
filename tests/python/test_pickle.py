"""Tests of pickled objects, which are opened by name where they are unpickled."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import multiprocessing
import operator
import pickle
import pickletools
from typing import Any

import pytest

import evfd
from harness import TIMEOUT_S, poll_until

_ARGUMENTS: dict[Any, dict[str, Any]] = {
    evfd.Event: {},
    evfd.Semaphore: {"value": 0},
    evfd.Lock: {},
    evfd.Pulse: {},
    evfd.Timer: {"after": 3600},
    evfd.asyncio.Event: {},
    evfd.asyncio.Semaphore: {"value": 0},
    evfd.asyncio.Lock: {},
    evfd.asyncio.Pulse: {},
    evfd.asyncio.Timer: {"after": 3600},
}


@pytest.fixture(params=list(_ARGUMENTS))
def waitable(request: pytest.FixtureRequest, shared: evfd.Client, name: str) -> Any:
    return request.param(name, create=True, client=shared, **_ARGUMENTS[request.param])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_unpickled_object_is_the_same_object_of_the_daemon(
    shared: evfd.Client, waitable: Any, protocol: int
) -> None:
    other = pickle.loads(pickle.dumps(waitable, protocol))
    assert type(other) is type(waitable)
    assert (other.name, other.closed) == (waitable.name, False)
    assert other.fileno() != waitable.fileno()
    if shared.show(waitable.name).kind == "timer":
        shared.arm(waitable.name, after=0.001)
    else:
        shared.set(waitable.name)
    assert poll_until(other.is_set)


def test_a_pickle_names_no_private_module(waitable: Any) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for pickled in (waitable, evfd.Address.usual()):
            used = {
                argument
                for _, argument, _ in pickletools.genops(pickle.dumps(pickled, protocol))
                if isinstance(argument, str) and argument.startswith("evfd")
            }
            modules = {text.split()[0] for text in used}
            assert modules and modules <= {"evfd", "evfd.asyncio"}


def test_an_unpickled_object_uses_the_default_client_of_its_daemon(waitable: Any) -> None:
    pickled = pickle.dumps(waitable)
    clients = {pickle.loads(pickled)._client for _ in range(2)}
    assert len(clients) == 1
    assert clients.pop().address == waitable._client.address


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_another_process_gets_an_event_as_an_argument(
    shared: evfd.Client, name: str, method: Any
) -> None:
    event = evfd.Event(name, create=True, client=shared)
    context = multiprocessing.get_context(method)
    process = context.Process(target=operator.methodcaller("set"), args=(event,))
    process.start()
    assert event.wait(TIMEOUT_S)
    process.join(TIMEOUT_S)
    assert process.exitcode == 0


def test_a_process_pool_gets_objects(shared: evfd.Client, name: str) -> None:
    semaphore = evfd.Semaphore(name, 0, create=True, client=shared)
    event = evfd.asyncio.Event(name + "/done", create=True, client=shared)
    context = multiprocessing.get_context("spawn")

    async def work() -> None:
        with concurrent.futures.ProcessPoolExecutor(2, context) as pool:
            acquired = [
                pool.submit(operator.methodcaller("acquire", timeout=TIMEOUT_S), semaphore)
                for _ in range(4)
            ]
            semaphore.release(4)
            assert [one.result() for one in acquired] == [True] * 4
            setting = pool.submit(operator.methodcaller("set"), event)
            assert await event.wait(TIMEOUT_S)
            setting.result()

    asyncio.run(work())
    assert not semaphore.is_set()


def test_a_copy_is_another_handle(shared: evfd.Client, name: str) -> None:
    pulse = evfd.Pulse(name, create=True, client=shared)
    copied = copy.copy(pulse)
    pulse.set()
    assert (pulse.wait(0), copied.wait(0)) == (1, 1)


def test_a_private_object_cannot_be_pickled() -> None:
    for private in (evfd.Event(), evfd.Lock(), evfd.Semaphore(), evfd.asyncio.Event()):
        with pytest.raises(TypeError, match="give it a name"):
            pickle.dumps(private)


def test_a_closed_object_cannot_be_pickled(waitable: Any) -> None:
    waitable.close()
    with pytest.raises(ValueError, match="closed"):
        pickle.dumps(waitable)


def test_unpickling_a_deleted_object_is_an_error(shared: evfd.Client, waitable: Any) -> None:
    pickled = pickle.dumps(waitable)
    shared.delete(waitable.name)
    with pytest.raises(FileNotFoundError, match="no object named"):
        pickle.loads(pickled)
    assert list(shared.list(waitable.name)) == []
