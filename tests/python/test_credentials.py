"""A process that becomes another user and goes on using what it has."""

from __future__ import annotations

import os
from typing import Callable, Iterator

import pytest

import evfd
from running import Child, RunningDaemon, eventually

_STRANGER = 60_700


@pytest.fixture(autouse=True)
def need_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")


@pytest.fixture
def reachable(start: Callable[..., RunningDaemon]) -> Iterator[RunningDaemon]:
    """A daemon beneath a guard, to which others may connect."""
    daemon = start("--guard")
    os.chmod(daemon.directory, 0o755)
    yield daemon


def test_a_call_is_of_who_the_process_is_now(reachable: RunningDaemon, name: str) -> None:
    def work() -> None:
        client = reachable.client()
        client.create(name, rights=0o600)
        os.setgroups([])
        os.setresgid(_STRANGER, _STRANGER, _STRANGER)
        os.setresuid(_STRANGER, _STRANGER, _STRANGER)
        with pytest.raises(evfd.NotPermittedError):
            client.delete(name)
        with pytest.raises(evfd.NotPermittedError):
            client.set(name)
        client.create(name + "/its")
        told = client.show(name + "/its")
        assert (told.owner_uid, told.group_gid) == (_STRANGER, _STRANGER)

    Child(work).done()
    client = reachable.client()
    assert client.show(name).owner_uid == 0
    assert client.show(name + "/its").owner_uid == _STRANGER


def test_a_wait_by_name_is_of_who_the_process_is_now(reachable: RunningDaemon, name: str) -> None:
    def work() -> None:
        client = reachable.client()
        client.create(name, "semaphore", initial=2, rights=0o600)
        client.wait(name)  # On a line of its own, which is kept for the next one.
        os.seteuid(_STRANGER)
        with pytest.raises(evfd.NotPermittedError):
            client.wait(name, timeout=0)

    Child(work).done()
    assert reachable.client().show(name).count == 1


def test_groups_count(reachable: RunningDaemon, name: str) -> None:
    def work() -> None:
        client = reachable.client()
        client.create(name, rights=0o660)
        os.setgroups([])
        os.setgid(_STRANGER)
        os.setuid(_STRANGER)
        with pytest.raises(evfd.NotPermittedError):
            client.set(name)

    def work_with_group() -> None:
        os.setgroups([0])
        os.setresuid(_STRANGER, _STRANGER, 0)
        client = reachable.client()
        client.set(name)
        os.seteuid(0)
        os.setgroups([])
        os.setegid(_STRANGER)
        os.seteuid(_STRANGER)
        with pytest.raises(evfd.NotPermittedError):
            client.set(name)

    Child(work).done()
    Child(work_with_group).done()


def test_what_began_before_goes_on(reachable: RunningDaemon, name: str) -> None:
    def work() -> None:
        client = reachable.client()
        client.create(name + "/pulse", "pulse", rights=0o622)
        pulse = evfd.Pulse(name + "/pulse", daemon=client)
        mine = evfd.Event(name + "/mine", rights=0o600, lifetime="connection", daemon=client)
        os.seteuid(_STRANGER)
        with pytest.raises(evfd.NotPermittedError):
            client.delete(name + "/mine")
        other = evfd.Event(name + "/other", lifetime="connection", daemon=client)
        mine.set()
        reachable.client().set(name + "/pulse")
        assert pulse.wait(0) == 1
        os.seteuid(0)
        client.delete(name + "/pulse")
        assert client.show(name + "/mine").is_set
        connections = client.status().connections
        for _ in range(3):  # Each has its connection, and no more are made.
            os.seteuid(_STRANGER)
            assert client.show(name + "/other").owner_uid == _STRANGER
            os.seteuid(0)
            client.set_rights(name + "/mine", 0o640)
        assert client.status().connections == connections
        assert not other.is_set()

    Child(work).done()
    client = reachable.client()
    assert eventually(lambda: list(client.list(name + "/*")) == [])


def test_former_credentials_that_nothing_needs_leave_no_connection(
    reachable: RunningDaemon, name: str
) -> None:
    def work() -> None:
        client = reachable.client()
        before = client.status().connections
        for _ in range(3):
            os.seteuid(_STRANGER)
            client.status()
            os.seteuid(0)
            client.status()
        assert eventually(lambda: client.status().connections == before)

    Child(work).done()


_FIRST_USER = 1_600_000_000


def _act_as(user: int, act: Callable[[], object]) -> None:
    os.seteuid(user)
    act()
    os.seteuid(0)


def test_what_was_opened_and_made_as_others_leaves_no_connection_once_it_is_gone(
    reachable: RunningDaemon, name: str
) -> None:
    def work() -> None:
        client = reachable.client()
        its = name + "/its"
        client.create(name, "pulse", rights=0o666)
        before = client.status().connections

        def open_and_close() -> None:
            evfd.Pulse(name, daemon=client).close()
            client.create(its, lifetime="connection")
            client.delete(its)

        def open_and_keep() -> None:
            opened.append(evfd.Pulse(name, daemon=client))
            client.create(its, lifetime="connection")

        opened: list[evfd.Pulse] = []
        for user in range(_FIRST_USER, _FIRST_USER + 5):
            _act_as(user, open_and_close)
            client.status()
            _act_as(user, open_and_keep)
            assert eventually(lambda: client.status().connections == before + 1)
            client.delete(its)
            opened.pop().close()
        assert eventually(lambda: client.status().connections == before)

    Child(work).done()


def test_a_client_keeps_what_was_opened_as_so_many_former_users(
    reachable: RunningDaemon, name: str
) -> None:
    most = evfd.daemon._MAX_FORMER_LINES

    def work() -> None:
        client = reachable.client()
        client.create(name, "pulse", rights=0o666)
        before = client.status().connections
        opened: list[evfd.Pulse] = []
        for i in range(most + 1):
            _act_as(_FIRST_USER + i, lambda: opened.append(evfd.Pulse(name, daemon=client)))
        with pytest.raises(evfd.LimitError, match="64 former users"):
            client.status()
        with pytest.raises(evfd.LimitError, match="64 former users"):
            client.wait(name, timeout=0)
        _act_as(_FIRST_USER, client.status)  # One of them it is, as before.
        opened.pop().close()
        assert eventually(lambda: client.status().connections == before + most)
        client.set(name)
        assert [pulse.wait(30) for pulse in opened] == [1] * most

    Child(work).done()


def test_what_is_temporary_outlives_the_daemon_for_who_comes_back(
    reachable: RunningDaemon, name: str
) -> None:
    def work() -> None:
        client = reachable.client()
        mine = evfd.Event(name, rights=0o600, lifetime="connection", daemon=client)
        os.seteuid(_STRANGER)
        client.status()
        reachable.kill_below_guard()
        client.status()
        os.seteuid(0)
        assert client.show(name).owner_uid == 0
        mine.set()

    Child(work).done()
    client = reachable.client()
    assert eventually(lambda: list(client.list(name)) == [])
