"""What one can do with less than all rights: with root's help as another user, else as oneself."""

from __future__ import annotations

import asyncio
import os
import select
from typing import Callable, List

import pytest

import evfd
from running import PATIENCE_S, Child, RunningDaemon, Worker, all_wait, become_stranger

WAIT_ONLY = 0o444
SET_ONLY = 0o222


@pytest.fixture
def as_stranger(running: RunningDaemon) -> Callable[[Callable[[evfd.Daemon], None]], Child]:
    """Does it as somebody whom the rights bind, in a child."""

    def begin(work: Callable[[evfd.Daemon], None]) -> Child:
        def child() -> None:
            become_stranger()
            work(running.client())

        return Child(child)

    return begin


AsStranger = Callable[[Callable[[evfd.Daemon], None]], Child]


def test_who_may_only_wait_waits_and_selects(
    as_stranger: AsStranger, shared: evfd.Daemon, name: str
) -> None:
    event = evfd.Event(name, rights=WAIT_ONLY | 0o600, daemon=shared)
    shared.set_rights(name, WAIT_ONLY)
    began = evfd.Event()

    def work(client: evfd.Daemon) -> None:
        its = evfd.Event(name, daemon=client)
        assert (its.may_wait, its.may_set) == (True, False)
        waiting = [Worker(its.wait) for _ in range(4)]
        selecting = Worker(lambda: select.select([its], [], [])[0])
        assert all_wait(its, [*waiting, selecting])
        for change in (its.set, its.clear):
            with pytest.raises(PermissionError) as raised:
                change()
            assert isinstance(raised.value, evfd.NotPermittedError)
        began.set()
        assert all(one.done() is True for one in waiting)
        assert selecting.done() == [its]
        assert its.is_set()

    child = as_stranger(work)
    assert began.wait(PATIENCE_S)
    event.set()
    child.done()


def test_who_may_only_wait_is_released_by_a_set_that_is_cleared_at_once(
    as_stranger: AsStranger, shared: evfd.Daemon, name: str
) -> None:
    event = evfd.Event(name, daemon=shared)
    shared.set_rights(name, WAIT_ONLY)
    began = evfd.Event()

    def work(client: evfd.Daemon) -> None:
        its = evfd.Event(name, daemon=client)
        waiting = [Worker(its.wait) for _ in range(8)]
        assert all_wait(its, waiting)
        began.set()
        assert all(one.done() is True for one in waiting)

    child = as_stranger(work)
    assert began.wait(PATIENCE_S)
    event.set()
    event.clear()
    child.done()


def test_who_may_only_wait_looks_and_selects_but_takes_nothing(
    as_stranger: AsStranger, shared: evfd.Daemon, name: str
) -> None:
    semaphore = evfd.Semaphore(name, 3, daemon=shared)
    auto = evfd.Event(name + "/auto", auto=True, initial=True, daemon=shared)
    for one in (semaphore, auto):
        shared.set_rights(one.name or "", WAIT_ONLY)

    def work(client: evfd.Daemon) -> None:
        its = evfd.Semaphore(name, daemon=client)
        its_auto = evfd.Event(name + "/auto", daemon=client)
        private = evfd.Semaphore(value=1)
        for one in (its, its_auto):
            assert (one.may_wait, one.may_set) == (True, False)
            assert one.is_set()
            assert select.select([one], [], [], PATIENCE_S)[0] == [one]
        uses: List[Callable[[], object]] = [
            its.release,
            its.acquire,
            lambda: its.acquire(False),
            its.wait,
            its_auto.wait,
            lambda: evfd.wait_any([private, its]),
            lambda: evfd.wait_all([its_auto, private]),
            lambda: asyncio.run(its.wait_async()),
            lambda: client.wait(name),
        ]
        for use in uses:
            with pytest.raises(evfd.NotPermittedError) as raised:
                use()
            assert raised.value.filename == name or raised.value.filename == name + "/auto"
            assert "w right" in str(raised.value)
        assert private.is_set()

    as_stranger(work).done()
    assert shared.show(name).count == 3
    assert auto.is_set()


def test_who_may_only_set_does_it_through_the_daemon(
    as_stranger: AsStranger, shared: evfd.Daemon, name: str
) -> None:
    event = evfd.Event(name, daemon=shared)
    semaphore = evfd.Semaphore(name + "/s", 2, daemon=shared)
    for one in (event, semaphore):
        shared.set_rights(one.name or "", SET_ONLY)

    def work(client: evfd.Daemon) -> None:
        its = evfd.Event(name, daemon=client)
        assert (its.may_wait, its.may_set) == (False, True)
        uses: List[Callable[[], object]] = [its.wait, its.is_set, its.fileno]
        for use in uses:
            with pytest.raises(PermissionError):
                use()
        assert "unknown" in repr(its)
        its.set()
        its.clear()
        its.set()
        tokens = evfd.Semaphore(name + "/s", daemon=client)
        tokens.clear()
        tokens.release(5)

    as_stranger(work).done()
    assert event.is_set()
    assert [semaphore.acquire(False) for _ in range(6)] == [True] * 5 + [False]


def test_what_its_owner_gave_to_nobody_is_refused_to_him(
    as_stranger: AsStranger, name: str
) -> None:
    def work(client: evfd.Daemon) -> None:
        client.create(name, rights=0)
        with pytest.raises(PermissionError):
            client.set(name)

    as_stranger(work).done()


def test_what_is_not_ours_is_refused(
    as_stranger: AsStranger, shared: evfd.Daemon, name: str
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    shared.create(name, rights=0o600)

    def work(client: evfd.Daemon) -> None:
        refusals: List[Callable[[], object]] = [
            lambda: evfd.Event(name, daemon=client),
            lambda: client.set(name),
            lambda: client.wait(name),
            lambda: client.delete(name),
            lambda: client.set_rights(name, 0o666),
        ]
        for refusal in refusals:
            with pytest.raises(PermissionError) as raised:
                refusal()
            assert raised.value.filename == name

    as_stranger(work).done()
