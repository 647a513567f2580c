"""Tests of os.fork(): a child opens its own connection and never uses its parent's connection."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
from pathlib import Path
from typing import Callable

import pytest

import evfd
from harness import TIMEOUT_S, Child, DaemonProcess, Worker, all_wait, descriptors, poll_until


@pytest.fixture
def alone(start: Callable[..., DaemonProcess]) -> DaemonProcess:
    """Return a daemon without other clients."""
    return start()


def test_a_child_has_its_own_connection(alone: DaemonProcess, name: str) -> None:
    client = alone.client()
    event = evfd.Event(name, lifetime="session", create=True, client=client)
    before = client.status().connections

    def work() -> None:
        assert client.status().connections == before + 1
        client.create(name + "/of/child")
        # The parent makes calls at the same time, and the child must not receive replies to the
        # parent's calls.
        for _ in range(300):
            assert client.show(name + "/of/child").name == name + "/of/child"

    child = Child(work)
    for _ in range(300):
        assert client.show(name).name == name
    child.join()
    # The object has the lifetime "session" and belongs to the parent. So the object still exists
    # after the exit of the child.
    assert client.show(name).lifetime == "session"
    assert not event.is_set()
    assert poll_until(lambda: client.status().connections == before)


def test_temporary_objects_end_with_the_parent_while_a_child_lives(
    alone: DaemonProcess, name: str
) -> None:
    began = evfd.Event()
    may_end = evfd.Event()

    def grandchild() -> None:
        began.set()
        assert may_end.wait(TIMEOUT_S)

    def parent() -> None:
        client = alone.client()
        evfd.Event(name + "/mine", lifetime="session", create=True, client=client)
        # A subscription makes the client start its resume thread, which has a duplicate of the
        # connection's descriptor.
        pulse = evfd.Pulse(name + "/pulse", create=True, client=client)
        Worker(lambda: client.wait(name + "/never"))
        watching = alone.client()
        assert poll_until(lambda: watching.status().waits > 0)
        # The process that runs parent() ends while the grandchild still lives.
        Child(grandchild)
        assert began.wait(TIMEOUT_S)
        assert pulse.wait(0) == 0

    Child(parent).join()
    client = alone.client()
    assert poll_until(lambda: list(client.list(name + "/mine")) == [])
    assert poll_until(lambda: client.status().waits == 0)
    assert poll_until(lambda: client.show(name + "/pulse").subscribers == 0)
    may_end.set()


def test_a_child_inherits_no_descriptor_of_its_parents_connections(
    alone: DaemonProcess, name: str
) -> None:
    client = alone.client()
    pulse = evfd.Pulse(name, create=True, client=client)
    Worker(lambda: client.wait(name + "/never"))
    assert poll_until(lambda: client.status().waits == 1)

    def work() -> None:
        assert not any(what.startswith("socket:") for what in descriptors().values())
        pulse.close()
        pulse.close()

    before = [what for what in descriptors().values() if what.startswith("socket:")]
    assert before
    Child(work).join()
    pulse.set()
    assert pulse.wait(TIMEOUT_S) == 1
    client.create(name + "/never", initial=1)


def test_a_child_inherits_no_connection_that_was_being_made(directory: Path) -> None:
    def sockets() -> set[str]:
        return {what for what in descriptors().values() if what.startswith("socket:")}

    with contextlib.ExitStack() as closing:
        listener = closing.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(directory / "full"))
        listener.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                waiting = closing.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(listener.getsockname())
        others = sockets()
        calling = Worker(evfd.Client(listener.getsockname()).status)
        assert all_wait(None, [calling])
        assert len(sockets() - others) == 1

        def work() -> None:
            assert not sockets() - others

        Child(work).join()
    with pytest.raises(evfd.NoDaemonError):
        calling.result()


def test_a_child_that_never_calls_the_library_keeps_no_object_of_a_killed_parent(
    alone: DaemonProcess, name: str
) -> None:
    may_end = evfd.Event()
    to_parent, children = os.pipe()

    def create_and_die() -> None:
        client = alone.client()
        evfd.Event(name + "/mine", lifetime="session", create=True, client=client)
        Worker(lambda: client.wait(name + "/never"))
        watching = alone.client()
        assert poll_until(lambda: watching.status().waits == 1)
        child = os.fork()
        if child == 0:
            select.select([may_end.fileno()], [], [])
            os._exit(0)
        os.write(children, b"%d\n" % child)
        os.kill(os.getpid(), signal.SIGKILL)

    creating = Child(create_and_die)
    ending = os.pidfd_open(int(os.read(to_parent, 32)))
    try:
        assert poll_until(lambda: os.waitpid(creating.pid, os.WNOHANG)[0] == creating.pid)
        client = alone.client()
        assert poll_until(lambda: list(client.list(name + "/mine")) == [])
        assert poll_until(lambda: client.status().waits == 0)
        # The grandchild is still alive.
        assert not select.select([ending], [], [], 0)[0]
    finally:
        may_end.set()
        assert select.select([ending], [], [], TIMEOUT_S)[0]
        for number in (ending, to_parent, children):
            os.close(number)


def test_a_fork_during_calls_of_other_threads_leaves_a_working_child(
    running: DaemonProcess, name: str
) -> None:
    client = running.client()
    event = evfd.Event(name, create=True, client=client)
    pulse = name + "/pulse"
    is_over = threading.Event()

    def disturb(call: Callable[[], object]) -> None:
        while not is_over.is_set():
            call()

    disturbing = [
        Worker(lambda: disturb(client.status)),
        Worker(lambda: disturb(lambda: evfd.Pulse(pulse, create=True, client=client).set())),
        Worker(lambda: disturb(lambda: event.wait(0.001))),
        Worker(lambda: disturb(lambda: list(client.list()))),
    ]

    def work() -> None:
        assert client.show(name).name == name
        evfd.Pulse(pulse, create=True, client=client).set()
        assert event.wait(0.001) is False
        assert evfd.wait_any([event], 0) is None

    for _ in range(30):
        Child(work).join()
    is_over.set()
    for disturbance in disturbing:
        disturbance.result()


def test_the_default_client_of_a_child_has_its_own_connection(
    alone: DaemonProcess, name: str
) -> None:
    os.environ["EVFDD_SOCKET"] = alone.path
    try:
        event = evfd.Event(name, create=True)
        before = evfd.default_client().status().connections

        def work() -> None:
            assert evfd.default_client().status().connections == before + 1
            evfd.Event(name).set()

        Child(work).join()
        assert event.is_set()
        assert evfd.default_client() is evfd.default_client()
    finally:
        del os.environ["EVFDD_SOCKET"]
