"""Daemon: objects made, deleted, listed, shown, watched and waited for by name."""

from __future__ import annotations

import copy
import os
import pickle
import time
from typing import Any, Callable, List

import pytest

import evfd
from running import PATIENCE_S, RunningDaemon, Worker, eventually


def test_objects_come_and_go(shared: evfd.Daemon, name: str) -> None:
    assert shared.create(name) is True
    with pytest.raises(FileExistsError):
        shared.create(name)
    assert shared.create(name, exist_ok=True) is False
    with pytest.raises(evfd.WrongKindError):
        shared.create(name, "auto", exist_ok=True)
    shared.delete(name)
    with pytest.raises(FileNotFoundError):
        shared.delete(name)


def test_a_list_is_of_what_matches_by_name(shared: evfd.Daemon, name: str) -> None:
    names = [f"{name}/{i:03}" for i in range(300)]
    for one in reversed(names):
        shared.create(one, "semaphore", initial=7)
    assert [told.name for told in shared.list(name + "/*")] == names
    assert [told.name for told in shared.list(name + "/00?")] == names[:10]
    assert {told.count for told in shared.list(name + "/*")} == {7}
    assert set(names) <= {told.name for told in shared.list()}
    first = next(iter(shared.list()))  # And the rest is not asked for.
    assert isinstance(first, evfd.Object)
    for i in range(0, 300, 100):
        shared.delete(*names[i : i + 100])
    assert list(shared.list(name + "/*")) == []


def test_what_is_shown_is_what_was_made(shared: evfd.Daemon, name: str) -> None:
    shared.create(name, "auto", initial=1, rights=0o600, lifetime="connection")
    told = shared.show(name)
    assert (told.name, told.kind, told.mode, told.rights) == (name, "event", "auto", 0o600)
    assert (told.lifetime, told.is_set, told.count, told.waits) == ("connection", True, 1, 0)
    assert told.timer is None and told.pulses is None
    shared.arm(name + "/t", interval=60, clock="boottime", sets=name)
    timer = shared.show(name + "/t").timer
    assert timer is not None
    assert (timer.clock, timer.state, timer.interval_ns) == ("boottime", "armed", 60 * 10**9)
    assert (timer.sets, timer.is_link_broken, timer.is_link_denied) == (name, False, False)
    shared.delete(name)
    timer = shared.show(name + "/t").timer
    assert timer is not None and timer.is_link_broken is True
    shared.disarm(name + "/t")
    timer = shared.show(name + "/t").timer
    assert timer is not None and timer.state == "disarmed" and timer.next_ns is None


def test_who_set_an_event_last_is_shown(shared: evfd.Daemon, name: str) -> None:
    shared.create(name)
    assert shared.show(name).last_set is None
    before = time.time_ns()
    shared.set(name)
    last = shared.show(name).last_set
    assert last is not None
    assert (last.uid, last.pid) == (os.getuid(), os.getpid())
    assert before <= last.at_ns <= time.time_ns()


def test_several_are_set_and_cleared_or_none(shared: evfd.Daemon, name: str) -> None:
    names = [name + "/a", name + "/b"]
    for one in names:
        shared.create(one)
    shared.set(*names)
    assert all(shared.show(one).is_set for one in names)
    shared.clear(names[0])
    with pytest.raises(FileNotFoundError) as raised:
        shared.set(names[0], name + "/missing")
    assert raised.value.filename == name + "/missing"
    assert not shared.show(names[0]).is_set


def test_rights_are_changed(shared: evfd.Daemon, name: str) -> None:
    shared.create(name)
    shared.set_rights(name, 0o640)
    assert shared.show(name).rights == 0o640
    shared.set_rights(name, 0o777)
    assert shared.show(name).rights == 0o666
    with pytest.raises(ValueError):
        shared.set_rights(name, 0o1777)


def test_a_wait_by_name_is_for_what_is_not_there_yet(running: RunningDaemon, name: str) -> None:
    client = running.client()
    waiting = Worker(lambda: client.wait(name))
    assert eventually(lambda: client.status().waits == 1)
    client.create(name)
    client.set(name)
    assert waiting.done() == [evfd.Fired(name, 1)]
    with pytest.raises(FileNotFoundError):
        client.wait(name + "/missing", existing=True)


def test_a_wait_by_name_is_for_any_or_all(shared: evfd.Daemon, name: str) -> None:
    names = [name + "/a", name + "/b"]
    for one in names:
        shared.create(one)
    shared.set(names[1])
    assert shared.wait(*names, gather="any", timeout=0) == [evfd.Fired(names[1], 1)]
    with pytest.raises(TimeoutError) as raised:
        shared.wait(*names, timeout=0.001)
    assert isinstance(raised.value, evfd.TimedOutError)
    shared.set(names[0])
    assert [fired.name for fired in shared.wait(*names)] == names


def test_a_wait_by_name_counts_expirations(shared: evfd.Daemon, name: str) -> None:
    shared.arm(name, interval=0.001)
    assert shared.wait(name, count=3, timeout=PATIENCE_S)[0].count >= 3
    with pytest.raises(ValueError):
        shared.wait(name, count=0)


def test_a_wait_ends_when_its_object_is_deleted(shared: evfd.Daemon, name: str) -> None:
    shared.create(name)
    waiting = Worker(lambda: shared.wait(name))
    assert eventually(lambda: shared.show(name).waits == 1)
    shared.delete(name)
    with pytest.raises(evfd.DeletedError):
        waiting.done()


def test_a_monitor_is_told_the_state_and_then_each_change(
    running: RunningDaemon, shared: evfd.Daemon, name: str
) -> None:
    shared.create(name + "/old")
    told = shared.monitor(name + "/*")
    first = next(told)
    assert (first.change, first.name) == ("present", name + "/old")
    assert first.object == shared.show(name + "/old")
    assert next(told) == evfd.Change("ready")
    event = evfd.Event(name + "/new", daemon=shared)
    change = next(told)
    assert (change.change, change.name) == ("created", name + "/new")
    event.set()  # On the descriptor.
    change = next(told)
    assert change.change == "changed"
    assert change.object is not None and change.object.is_set
    shared.delete(name + "/new")
    change = next(told)
    assert change == evfd.Change("deleted", name + "/new")
    before = shared.status().monitors
    told.close()
    assert eventually(lambda: shared.status().monitors == before - 1)


def test_status_quotas_and_metrics(running: RunningDaemon, shared: evfd.Daemon) -> None:
    status = shared.status()
    assert status.pid == running.process.pid
    assert (status.guardian, status.can_keep) == ("none", True)
    users = list(shared.quotas())
    assert users and all(quota.used <= quota.limit for user in users for quota in user.quotas)
    assert shared.metrics().endswith("# EOF\n")


def test_names_are_checked_before_they_go_out(shared: evfd.Daemon, name: str) -> None:
    calls: List[Callable[..., object]] = [shared.set, shared.clear, shared.delete]
    calls += [shared.disarm, shared.wait]
    for call in calls:
        with pytest.raises(ValueError, match="1 to 253 objects"):
            call()
        with pytest.raises(ValueError, match="1 to 253 objects"):
            call(*(f"{name}/{i}" for i in range(254)))
        with pytest.raises(ValueError, match="each object once"):
            call(name, name)
        with pytest.raises(ValueError, match="is no name"):
            call("no name")


@pytest.mark.parametrize("count", [0, 16_385])
def test_so_many_tokens_are_a_value_error(shared: evfd.Daemon, name: str, count: int) -> None:
    shared.create(name, "semaphore")
    with pytest.raises(ValueError, match="1 to 16384"):
        shared.set(name, count=count)


@pytest.mark.parametrize("initial", [-1, 2**32])
def test_so_many_to_begin_with_are_a_value_error(
    shared: evfd.Daemon, name: str, initial: int
) -> None:
    with pytest.raises(ValueError, match="starts with"):
        shared.create(name, "semaphore", initial=initial)


def test_a_limit_is_told_with_what_it_is_of(running: RunningDaemon, name: str) -> None:
    with running.client() as client:
        client.create(name, "semaphore")
        client.create(name + "/b", "semaphore")
        with pytest.raises(evfd.LimitError) as raised:
            client.set(name, name + "/b", count=16_384)
        assert raised.value.parameters["limit"] > 0


def test_an_error_is_what_python_catches_and_one_sentence(shared: evfd.Daemon, name: str) -> None:
    with pytest.raises(OSError) as raised:
        shared.show(name)
    error = raised.value
    assert isinstance(error, (evfd.Error, FileNotFoundError))
    assert str(error) == error.strerror and name in str(error) and "\n" not in str(error)
    assert error.filename == name
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is type(error)
        assert (str(other), other.errno, other.filename) == (str(error), error.errno, name)


@pytest.mark.parametrize(
    "kind, caught",
    [
        (evfd.InvalidError, ValueError),
        (evfd.NoSuchNameError, FileNotFoundError),
        (evfd.NameTakenError, FileExistsError),
        (evfd.WrongKindError, FileExistsError),
        (evfd.NotPermittedError, PermissionError),
        (evfd.DeletedError, FileNotFoundError),
        (evfd.TimedOutError, TimeoutError),
        (evfd.NoDaemonError, ConnectionError),
        (evfd.NoAnswerError, (ConnectionError, TimeoutError)),
        (evfd.LostDaemonError, ConnectionError),
    ],
)
def test_each_error_is_caught_as_what_it_is(kind: Any, caught: Any) -> None:
    for base in caught if isinstance(caught, tuple) else (caught,):
        assert issubclass(kind, base)
    assert issubclass(kind, evfd.Error) and issubclass(kind, OSError)


def test_many_threads_share_one_client(running: RunningDaemon, name: str) -> None:
    client = running.client()

    def work(its: str) -> None:
        client.create(its)
        for _ in range(50):
            event = evfd.Event(its, daemon=client)
            event.set()
            assert client.wait(its)[0].name == its
            assert client.show(its).name == its
            client.clear(its)
            evfd.Pulse(its + "/pulse", daemon=client).set()

    workers = [Worker(lambda i=i: work(f"{name}/{i}")) for i in range(8)]  # type: ignore[misc]
    for worker in workers:
        worker.done()
    assert eventually(
        lambda: all(told.subscriptions == 0 for told in client.list(name + "/*/pulse"))
    )


def test_a_client_that_goes_closes_its_connection(
    start: Callable[..., RunningDaemon], name: str
) -> None:
    daemon = start()
    watching = daemon.client()
    before = watching.status().connections
    client = daemon.client()
    client.create(name, lifetime="connection")
    evfd.Pulse(name + "/pulse", daemon=client)
    assert watching.status().connections > before
    del client
    assert eventually(lambda: watching.status().connections == before)
    assert eventually(lambda: list(watching.list(name)) == [])
