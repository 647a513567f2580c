"""Tests of the methods of Client that create, delete, list, show, monitor and await by name."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import time
from typing import Any, Callable, List

import pytest

import evfd
from harness import TIMEOUT_S, Child, DaemonProcess, Worker, poll_until


def test_objects_are_created_and_deleted(shared: evfd.Client, name: str) -> None:
    assert shared.create(name) is True
    with pytest.raises(FileExistsError):
        shared.create(name)
    assert shared.create(name, exist_ok=True) is False
    with pytest.raises(evfd.WrongKindError):
        shared.create(name, "auto", exist_ok=True)
    shared.delete(name)
    with pytest.raises(FileNotFoundError):
        shared.delete(name)


def test_a_list_has_the_matching_objects_in_the_order_of_their_names(
    shared: evfd.Client, name: str
) -> None:
    names = [f"{name}/{i:03}" for i in range(300)]
    for one in reversed(names):
        shared.create(one, "semaphore", initial=7)
    assert [shown.name for shown in shared.list(name + "/*")] == names
    assert [shown.name for shown in shared.list(name + "/00?")] == names[:10]
    assert {shown.count for shown in shared.list(name + "/*")} == {7}
    assert set(names) <= {shown.name for shown in shared.list()}
    # Reads only the first object of the list. The client then does not request the other objects.
    first = next(iter(shared.list()))
    assert isinstance(first, evfd.Object)
    for i in range(0, 300, 100):
        shared.delete(*names[i : i + 100])
    assert list(shared.list(name + "/*")) == []


def test_show_reports_the_properties_of_an_object(shared: evfd.Client, name: str) -> None:
    shared.create(name, "auto", initial=1, permissions=0o600, lifetime="session")
    shown = shared.show(name)
    assert (shown.name, shown.kind, shown.mode, shown.permissions) == (name, "event", "auto", 0o600)
    assert (shown.lifetime, shown.is_set, shown.count, shown.waits) == ("session", True, 1, 0)
    assert shown.timer is None and shown.pulses is None
    shared.arm(name + "/t", interval=60, clock="boottime", sets=name)
    timer = shared.show(name + "/t").timer
    assert timer is not None
    assert (timer.clock, timer.state, timer.interval_ns) == ("boottime", "armed", 60 * 10**9)
    assert (timer.sets, timer.is_target_deleted, timer.is_target_denied) == (name, False, False)
    shared.delete(name)
    timer = shared.show(name + "/t").timer
    assert timer is not None and timer.is_target_deleted is True
    shared.disarm(name + "/t")
    timer = shared.show(name + "/t").timer
    assert timer is not None and timer.state == "disarmed" and timer.next_ns is None


def test_show_reports_the_last_set(shared: evfd.Client, name: str) -> None:
    shared.create(name)
    assert shared.show(name).last_set is None
    before = time.time_ns()
    shared.set(name)
    last = shared.show(name).last_set
    assert last is not None
    assert (last.uid, last.pid) == (os.getuid(), os.getpid())
    assert before <= last.at_ns <= time.time_ns()


def test_a_call_with_several_names_applies_to_all_or_none(shared: evfd.Client, name: str) -> None:
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


def test_a_oneway_set_precedes_the_next_call_and_reports_no_refusal(
    shared: evfd.Client, name: str
) -> None:
    shared.create(name, "semaphore")
    for _ in range(1_000):
        shared.set_oneway(name)
    shared.set_oneway(name, count=7)
    shared.set_oneway(name + "/missing")
    assert shared.show(name).count == 1_007
    for count in (0, 16_385):
        with pytest.raises(ValueError):
            shared.set_oneway(name, count=count)
    with pytest.raises(ValueError):
        shared.set_oneway("a//b")
    with pytest.raises(ValueError):
        shared.set_oneway()


def test_chmod_changes_the_permissions(shared: evfd.Client, name: str) -> None:
    shared.create(name)
    shared.chmod(name, 0o640)
    assert shared.show(name).permissions == 0o640
    shared.chmod(name, 0o777)
    assert shared.show(name).permissions == 0o666
    with pytest.raises(ValueError):
        shared.chmod(name, 0o1777)


def test_a_wait_by_name_may_precede_the_creation_of_the_object(
    running: DaemonProcess, name: str
) -> None:
    client = running.client()
    waiting = Worker(lambda: client.wait(name))
    assert poll_until(lambda: client.status().waits == 1)
    client.create(name)
    client.set(name)
    assert waiting.result() == [evfd.Fired(name, 1, 0, client.show(name).id)]
    with pytest.raises(FileNotFoundError):
        client.wait(name + "/missing", existing=True)


def test_a_wait_by_name_requires_any_or_all_names(shared: evfd.Client, name: str) -> None:
    names = [name + "/a", name + "/b"]
    for one in names:
        shared.create(one)
    shared.set(names[1])
    fired = evfd.Fired(names[1], 1, 1, shared.show(names[1]).id)
    assert shared.wait(*names, require="any", timeout=0) == [fired]
    with pytest.raises(TimeoutError) as raised:
        shared.wait(*names, timeout=0.001)
    assert isinstance(raised.value, evfd.TimedOutError)
    shared.set(names[0])
    assert [fired.name for fired in shared.wait(*names)] == names


def test_a_wait_by_name_counts_expirations(shared: evfd.Client, name: str) -> None:
    shared.arm(name, interval=0.001)
    assert shared.wait(name, count=3, timeout=TIMEOUT_S)[0].count >= 3
    with pytest.raises(ValueError):
        shared.wait(name, count=0)


def test_a_wait_by_name_fails_when_its_object_is_deleted(shared: evfd.Client, name: str) -> None:
    shared.create(name)
    waiting = Worker(lambda: shared.wait(name))
    assert poll_until(lambda: shared.show(name).waits == 1)
    shared.delete(name)
    with pytest.raises(evfd.DeletedError):
        waiting.result()


def test_a_monitor_reports_the_state_and_then_each_change(
    running: DaemonProcess, shared: evfd.Client, name: str
) -> None:
    shared.create(name + "/old")
    changes = shared.monitor(name + "/*")
    first = next(changes)
    assert (first.change, first.name) == ("present", name + "/old")
    assert first.object == shared.show(name + "/old")
    assert next(changes) == evfd.Change("ready")
    event = evfd.Event(name + "/new", create=True, client=shared)
    change = next(changes)
    assert (change.change, change.name) == ("created", name + "/new")
    # The library sets the event by write(2), without a call to the daemon.
    event.set()
    change = next(changes)
    assert change.change == "changed"
    assert change.object is not None and change.object.is_set
    shared.delete(name + "/new")
    change = next(changes)
    assert change == evfd.Change("deleted", name + "/new")
    before = shared.status().monitors
    changes.close()
    assert poll_until(lambda: shared.status().monitors == before - 1)


def test_status_quotas_and_metrics_are_reported(
    running: DaemonProcess, shared: evfd.Client
) -> None:
    status = shared.status()
    assert status.pid == running.process.pid
    assert (status.fd_store, status.is_journal_writable) == ("none", True)
    users = list(shared.quotas())
    assert users and all(quota.used <= quota.limit for user in users for quota in user.quotas)
    assert shared.metrics().endswith("# EOF\n")


def test_names_are_validated_before_a_call_is_sent(shared: evfd.Client, name: str) -> None:
    calls: List[Callable[..., object]] = [shared.set, shared.clear, shared.delete]
    calls += [shared.disarm, shared.wait]
    for call in calls:
        with pytest.raises(ValueError, match="1 to 253 objects"):
            call()
        with pytest.raises(ValueError, match="1 to 253 objects"):
            call(*(f"{name}/{i}" for i in range(254)))
        with pytest.raises(ValueError, match="each object once"):
            call(name, name)
        with pytest.raises(ValueError, match="is not a valid name"):
            call("no name")


@pytest.mark.parametrize("count", [0, 16_385])
def test_a_count_out_of_range_is_a_value_error(shared: evfd.Client, name: str, count: int) -> None:
    shared.create(name, "semaphore")
    with pytest.raises(ValueError, match="1 to 16384"):
        shared.set(name, count=count)


@pytest.mark.parametrize("initial", [-1, 2**32])
def test_an_initial_count_out_of_range_is_a_value_error(
    shared: evfd.Client, name: str, initial: int
) -> None:
    with pytest.raises(ValueError, match="starts with"):
        shared.create(name, "semaphore", initial=initial)


def test_a_limit_error_has_the_limit(running: DaemonProcess, name: str) -> None:
    with running.client() as client:
        client.create(name, "semaphore")
        client.create(name + "/b", "semaphore")
        # The daemon adds the tokens of an opened event one by one.
        opened = [evfd.Semaphore(each, create=True, client=client) for each in (name, name + "/b")]
        assert not any(each.is_set() for each in opened)
        with pytest.raises(evfd.LimitError) as raised:
            client.set(name, name + "/b", count=16_384)
        assert raised.value.parameters["limit"] > 0


def test_an_object_whose_client_was_closed_is_an_error_and_no_endless_wait(
    running: DaemonProcess, shared: evfd.Client, name: str
) -> None:
    client = running.client()
    pulse = evfd.Pulse(name, create=True, client=client)
    timer = evfd.Timer(name + "/timer", after=3600, create=True, client=client)
    in_loop = evfd.asyncio.Pulse(name, client=client)
    event = evfd.Event(name + "/event", create=True, client=client)
    Child(client.close).join()
    pulse.set()
    assert (pulse.wait(0), in_loop.is_set(), timer.wait(0)) == (1, True, 0)
    client.close()
    uses: list[Callable[[], object]] = [
        pulse.wait,
        pulse.is_set,
        pulse.fileno,
        timer.wait,
        timer.gettime,
        lambda: evfd.wait_any([event, pulse]),
        lambda: asyncio.run(in_loop.wait()),
    ]
    for use in uses:
        with pytest.raises(ValueError, match="open it again"):
            use()
    assert "its client is closed" in repr(pulse)
    event.set()
    assert event.wait(0)
    again = evfd.Pulse(name, client=client)
    pulse.set()
    assert again.wait(TIMEOUT_S) == 1


def test_a_representation_has_the_permissions_in_octal(shared: evfd.Client, name: str) -> None:
    shared.create(name, permissions=0o604)
    shown = shared.show(name)
    assert "permissions=0o604, " in repr(shown) and f"Object(name='{name}', id=" in repr(shown)
    assert shown.permissions == 0o604
    assert eval(repr(shown), vars(evfd)) == shown


def test_an_error_is_one_sentence_and_can_be_pickled(shared: evfd.Client, name: str) -> None:
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
        (evfd.ReplacedError, FileNotFoundError),
        (evfd.TimedOutError, TimeoutError),
        (evfd.NoDaemonError, ConnectionError),
        (evfd.NoAnswerError, (ConnectionError, TimeoutError)),
        (evfd.LostDaemonError, ConnectionError),
    ],
)
def test_each_error_is_the_matching_built_in_exception(kind: Any, caught: Any) -> None:
    for base in caught if isinstance(caught, tuple) else (caught,):
        assert issubclass(kind, base)
    assert issubclass(kind, evfd.Error) and issubclass(kind, OSError)


def test_many_threads_can_share_one_client(running: DaemonProcess, name: str) -> None:
    client = running.client()

    def work(own: str) -> None:
        client.create(own)
        for _ in range(50):
            event = evfd.Event(own, create=True, client=client)
            event.set()
            assert client.wait(own)[0].name == own
            assert client.show(own).name == own
            client.clear(own)
            evfd.Pulse(own + "/pulse", create=True, client=client).set()

    workers = [Worker(lambda i=i: work(f"{name}/{i}")) for i in range(8)]  # type: ignore[misc]
    for worker in workers:
        worker.result()
    assert poll_until(
        lambda: all(shown.subscribers == 0 for shown in client.list(name + "/*/pulse"))
    )


def test_a_dropped_client_closes_its_connection(
    start: Callable[..., DaemonProcess], name: str
) -> None:
    daemon = start()
    watching = daemon.client()
    before = watching.status().connections
    client = daemon.client()
    client.create(name, lifetime="session")
    evfd.Pulse(name + "/pulse", create=True, client=client)
    assert watching.status().connections > before
    del client
    assert poll_until(lambda: watching.status().connections == before)
    assert poll_until(lambda: list(watching.list(name)) == [])
