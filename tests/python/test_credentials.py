"""Tests of a process that creates a client, changes its user and then uses the client."""

from __future__ import annotations

import os
from typing import Callable, Iterator

import pytest

import evfd
from harness import Child, DaemonProcess, poll_until

_OTHER_UID = 60_700


@pytest.fixture(autouse=True)
def require_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")


@pytest.fixture
def reachable(start: Callable[..., DaemonProcess]) -> Iterator[DaemonProcess]:
    """Return a supervised daemon to which other users can connect."""
    daemon = start("--supervise")
    os.chmod(daemon.directory, 0o755)
    yield daemon


def test_a_call_uses_the_current_credentials(reachable: DaemonProcess, name: str) -> None:
    def work() -> None:
        client = reachable.client()
        client.create(name, permissions=0o600)
        os.setgroups([])
        os.setresgid(_OTHER_UID, _OTHER_UID, _OTHER_UID)
        os.setresuid(_OTHER_UID, _OTHER_UID, _OTHER_UID)
        with pytest.raises(evfd.NotPermittedError):
            client.delete(name)
        with pytest.raises(evfd.NotPermittedError):
            client.set(name)
        client.create(name + "/its")
        shown = client.show(name + "/its")
        assert (shown.owner_uid, shown.group_gid) == (_OTHER_UID, _OTHER_UID)

    Child(work).join()
    client = reachable.client()
    assert client.show(name).owner_uid == 0
    assert client.show(name + "/its").owner_uid == _OTHER_UID


def test_a_wait_by_name_uses_the_current_credentials(reachable: DaemonProcess, name: str) -> None:
    def work() -> None:
        client = reachable.client()
        client.create(name, "semaphore", initial=2, permissions=0o600)
        # A wait by name uses a separate session. The first wait leaves a session of root open. The
        # test fails if the client uses this session for the second wait, which is a wait of another
        # user.
        client.wait(name)
        os.seteuid(_OTHER_UID)
        with pytest.raises(evfd.NotPermittedError):
            client.wait(name, timeout=0)

    Child(work).join()
    assert reachable.client().show(name).count == 1


def test_a_call_uses_the_current_groups(reachable: DaemonProcess, name: str) -> None:
    def work() -> None:
        client = reachable.client()
        client.create(name, permissions=0o660)
        os.setgroups([])
        os.setgid(_OTHER_UID)
        os.setuid(_OTHER_UID)
        with pytest.raises(evfd.NotPermittedError):
            client.set(name)

    def work_with_group() -> None:
        os.setgroups([0])
        os.setresuid(_OTHER_UID, _OTHER_UID, 0)
        client = reachable.client()
        client.set(name)
        os.seteuid(0)
        os.setgroups([])
        os.setegid(_OTHER_UID)
        os.seteuid(_OTHER_UID)
        with pytest.raises(evfd.NotPermittedError):
            client.set(name)

    Child(work).join()
    Child(work_with_group).join()


def test_open_descriptors_and_temporary_objects_survive_a_change_of_the_user(
    reachable: DaemonProcess, name: str
) -> None:
    def work() -> None:
        client = reachable.client()
        client.create(name + "/pulse", "pulse", permissions=0o622)
        pulse = evfd.Pulse(name + "/pulse", create=True, client=client)
        mine = evfd.Event(
            name + "/mine", permissions=0o600, lifetime="session", create=True, client=client
        )
        os.seteuid(_OTHER_UID)
        with pytest.raises(evfd.NotPermittedError):
            client.delete(name + "/mine")
        other = evfd.Event(name + "/other", lifetime="session", create=True, client=client)
        mine.set()
        reachable.client().set(name + "/pulse")
        assert pulse.wait(0) == 1
        os.seteuid(0)
        client.delete(name + "/pulse")
        assert client.show(name + "/mine").is_set
        connections = client.status().connections
        # The client already has one session for each of the two users. Each session has a
        # connection. So the client opens no other connection when the process changes its user.
        for _ in range(3):
            os.seteuid(_OTHER_UID)
            assert client.show(name + "/other").owner_uid == _OTHER_UID
            os.seteuid(0)
            client.chmod(name + "/mine", 0o640)
        assert client.status().connections == connections
        assert not other.is_set()

    Child(work).join()
    client = reachable.client()
    assert poll_until(lambda: list(client.list(name + "/*")) == [])


def test_former_credentials_without_handles_keep_no_connection(
    reachable: DaemonProcess, name: str
) -> None:
    def work() -> None:
        client = reachable.client()
        before = client.status().connections
        for _ in range(3):
            os.seteuid(_OTHER_UID)
            client.status()
            os.seteuid(0)
            client.status()
        assert poll_until(lambda: client.status().connections == before)

    Child(work).join()


_FIRST_USER = 1_600_000_000


def _act_as(user: int, act: Callable[[], object]) -> None:
    os.seteuid(user)
    act()
    os.seteuid(0)


def test_a_former_session_ends_with_its_last_handle(
    reachable: DaemonProcess, name: str
) -> None:
    def work() -> None:
        client = reachable.client()
        its = name + "/its"
        client.create(name, "pulse", permissions=0o666)
        before = client.status().connections

        def open_and_close() -> None:
            evfd.Pulse(name, create=True, client=client).close()
            client.create(its, lifetime="session")
            client.delete(its)

        def open_and_keep() -> None:
            opened.append(evfd.Pulse(name, create=True, client=client))
            client.create(its, lifetime="session")

        opened: list[evfd.Pulse] = []
        for user in range(_FIRST_USER, _FIRST_USER + 5):
            _act_as(user, open_and_close)
            client.status()
            _act_as(user, open_and_keep)
            assert poll_until(lambda: client.status().connections == before + 1)
            client.delete(its)
            opened.pop().close()
        assert poll_until(lambda: client.status().connections == before)

    Child(work).join()


def test_a_client_keeps_the_handles_of_64_former_users(
    reachable: DaemonProcess, name: str
) -> None:
    most = evfd._client._MAX_FORMER_SESSIONS

    def work() -> None:
        client = reachable.client()
        client.create(name, "pulse", permissions=0o666)
        before = client.status().connections
        opened: list[evfd.Pulse] = []
        for i in range(most + 1):
            _act_as(_FIRST_USER + i, lambda: opened.append(evfd.Pulse(name, client=client)))
        with pytest.raises(evfd.LimitError, match="64 former users"):
            client.status()
        with pytest.raises(evfd.LimitError, match="64 former users"):
            client.wait(name, timeout=0)
        # The client keeps at most 64 sessions of former users. This call needs no additional
        # session, because one of the 64 sessions belongs to _FIRST_USER.
        _act_as(_FIRST_USER, client.status)
        opened.pop().close()
        assert poll_until(lambda: client.status().connections == before + most)
        client.set(name)
        assert [pulse.wait(30) for pulse in opened] == [1] * most

    Child(work).join()


def test_a_temporary_object_of_a_former_user_survives_a_kill(
    reachable: DaemonProcess, name: str
) -> None:
    def work() -> None:
        client = reachable.client()
        mine = evfd.Event(name, permissions=0o600, lifetime="session", create=True, client=client)
        os.seteuid(_OTHER_UID)
        client.status()
        reachable.kill_supervised()
        client.status()
        os.seteuid(0)
        assert client.show(name).owner_uid == 0
        mine.set()

    Child(work).join()
    client = reachable.client()
    assert poll_until(lambda: list(client.list(name)) == [])
