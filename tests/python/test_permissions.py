"""Tests of objects that grant the caller only some permissions.

If the tests run as root, the caller is another user. If not, the caller is the owner.
"""

from __future__ import annotations

import asyncio
import os
import select
from typing import Callable, List

import pytest

import evfd
from harness import TIMEOUT_S, Child, DaemonProcess, Worker, all_wait, become_unprivileged

WAIT_ONLY = 0o444
SET_ONLY = 0o222


@pytest.fixture
def as_unprivileged(running: DaemonProcess) -> Callable[[Callable[[evfd.Client], None]], Child]:
    """Return a function that runs a given function in a child process that is not root."""

    def begin(work: Callable[[evfd.Client], None]) -> Child:
        def child() -> None:
            become_unprivileged()
            work(running.client())

        return Child(child)

    return begin


AsUnprivileged = Callable[[Callable[[evfd.Client], None]], Child]


def test_wait_permission_allows_to_wait_and_to_select(
    as_unprivileged: AsUnprivileged, shared: evfd.Client, name: str
) -> None:
    event = evfd.Event(name, permissions=WAIT_ONLY | 0o600, create=True, client=shared)
    shared.chmod(name, WAIT_ONLY)
    began = evfd.Event()

    def work(client: evfd.Client) -> None:
        opened = evfd.Event(name, client=client)
        assert (opened.may_wait, opened.may_set) == (True, False)
        waiting = [Worker(opened.wait) for _ in range(4)]
        selecting = Worker(lambda: select.select([opened], [], [])[0])
        assert all_wait(opened, [*waiting, selecting])
        for change in (opened.set, opened.clear):
            with pytest.raises(PermissionError) as raised:
                change()
            assert isinstance(raised.value, evfd.NotPermittedError)
        began.set()
        assert all(one.result() is True for one in waiting)
        assert selecting.result() == [opened]
        assert opened.is_set()

    child = as_unprivileged(work)
    assert began.wait(TIMEOUT_S)
    event.set()
    child.join()


def test_wait_permission_suffices_to_be_released_by_a_set_that_is_cleared_at_once(
    as_unprivileged: AsUnprivileged, shared: evfd.Client, name: str
) -> None:
    event = evfd.Event(name, create=True, client=shared)
    shared.chmod(name, WAIT_ONLY)
    began = evfd.Event()

    def work(client: evfd.Client) -> None:
        opened = evfd.Event(name, client=client)
        waiting = [Worker(opened.wait) for _ in range(8)]
        assert all_wait(opened, waiting)
        began.set()
        assert all(one.result() is True for one in waiting)

    child = as_unprivileged(work)
    assert began.wait(TIMEOUT_S)
    event.set()
    event.clear()
    child.join()


def test_wait_permission_allows_to_poll_but_not_to_consume(
    as_unprivileged: AsUnprivileged, shared: evfd.Client, name: str
) -> None:
    semaphore = evfd.Semaphore(name, 3, create=True, client=shared)
    auto = evfd.Event(name + "/auto", auto=True, initial=True, create=True, client=shared)
    for one in (semaphore, auto):
        shared.chmod(one.name or "", WAIT_ONLY)

    def work(client: evfd.Client) -> None:
        opened = evfd.Semaphore(name, client=client)
        opened_auto = evfd.Event(name + "/auto", client=client)
        private = evfd.Semaphore(value=1)
        for one in (opened, opened_auto):
            assert (one.may_wait, one.may_set) == (True, False)
            assert one.is_set()
            assert select.select([one], [], [], TIMEOUT_S)[0] == [one]
        uses: List[Callable[[], object]] = [
            opened.release,
            opened.acquire,
            lambda: opened.acquire(False),
            opened.wait,
            opened_auto.wait,
            lambda: evfd.wait_any([private, opened]),
            lambda: evfd.wait_all([opened_auto, private]),
            lambda: asyncio.run(opened.wait_async()),
            lambda: client.wait(name),
        ]
        for use in uses:
            with pytest.raises(evfd.NotPermittedError) as raised:
                use()
            assert raised.value.filename == name or raised.value.filename == name + "/auto"
            assert "ask its owner for the w permission" in str(raised.value)
        assert private.is_set()

    as_unprivileged(work).join()
    assert shared.show(name).count == 3
    assert auto.is_set()


def test_set_permission_allows_to_set_and_clear_through_the_daemon(
    as_unprivileged: AsUnprivileged, shared: evfd.Client, name: str
) -> None:
    event = evfd.Event(name, create=True, client=shared)
    semaphore = evfd.Semaphore(name + "/s", 2, create=True, client=shared)
    for one in (event, semaphore):
        shared.chmod(one.name or "", SET_ONLY)

    def work(client: evfd.Client) -> None:
        opened = evfd.Event(name, client=client)
        assert (opened.may_wait, opened.may_set) == (False, True)
        uses: List[Callable[[], object]] = [opened.wait, opened.is_set, opened.fileno]
        for use in uses:
            with pytest.raises(PermissionError):
                use()
        assert "unknown" in repr(opened)
        opened.set()
        opened.clear()
        opened.set()
        tokens = evfd.Semaphore(name + "/s", client=client)
        tokens.clear()
        tokens.release(5)

    as_unprivileged(work).join()
    assert event.is_set()
    assert [semaphore.acquire(False) for _ in range(6)] == [True] * 5 + [False]


def test_an_object_without_permissions_is_refused_to_its_owner(
    as_unprivileged: AsUnprivileged, name: str
) -> None:
    def work(client: evfd.Client) -> None:
        client.create(name, permissions=0)
        with pytest.raises(PermissionError):
            client.set(name)

    as_unprivileged(work).join()


def test_an_object_of_another_user_is_refused(
    as_unprivileged: AsUnprivileged, shared: evfd.Client, name: str
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    shared.create(name, permissions=0o600)

    def work(client: evfd.Client) -> None:
        refusals: List[Callable[[], object]] = [
            lambda: evfd.Event(name, client=client),
            lambda: client.set(name),
            lambda: client.wait(name),
            lambda: client.delete(name),
            lambda: client.chmod(name, 0o666),
        ]
        for refusal in refusals:
            with pytest.raises(PermissionError) as raised:
                refusal()
            assert raised.value.filename == name

    as_unprivileged(work).join()
