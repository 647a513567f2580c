"""After os.fork(): a connection of one's own, whatever the parent's threads were at."""

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
from running import PATIENCE_S, Child, RunningDaemon, Worker, all_wait, descriptors, eventually


@pytest.fixture
def alone(start: Callable[..., RunningDaemon]) -> RunningDaemon:
    """A daemon that nobody else is connected to."""
    return start()


def test_a_child_has_a_connection_of_its_own(alone: RunningDaemon, name: str) -> None:
    client = alone.client()
    event = evfd.Event(name, lifetime="connection", daemon=client)
    before = client.status().connections

    def work() -> None:
        assert client.status().connections == before + 1
        client.create(name + "/of/child")
        for _ in range(300):  # Beside its parent, whose replies are not its.
            assert client.show(name + "/of/child").name == name + "/of/child"

    child = Child(work)
    for _ in range(300):
        assert client.show(name).name == name
    child.done()
    # The end of the child ended nothing of ours.
    assert client.show(name).lifetime == "connection"
    assert not event.is_set()
    assert eventually(lambda: client.status().connections == before)


def test_what_ends_with_the_parent_does_so_while_the_child_lives(
    alone: RunningDaemon, name: str
) -> None:
    began = evfd.Event()
    may_end = evfd.Event()

    def grandchild() -> None:
        began.set()
        assert may_end.wait(PATIENCE_S)

    def parent() -> None:
        client = alone.client()
        evfd.Event(name + "/mine", lifetime="connection", daemon=client)
        pulse = evfd.Pulse(
            name + "/pulse", daemon=client
        )  # With a look-out, which has a duplicate.
        Worker(lambda: client.wait(name + "/never"))
        watching = alone.client()
        assert eventually(lambda: watching.status().waits > 0)
        Child(grandchild)  # It lives on.
        assert began.wait(PATIENCE_S)
        assert pulse.wait(0) == 0

    Child(parent).done()
    client = alone.client()
    assert eventually(lambda: list(client.list(name + "/mine")) == [])
    assert eventually(lambda: client.status().waits == 0)
    assert eventually(lambda: client.show(name + "/pulse").subscriptions == 0)
    may_end.set()


def test_a_child_keeps_no_descriptor_of_its_parents_connections(
    alone: RunningDaemon, name: str
) -> None:
    client = alone.client()
    pulse = evfd.Pulse(name, daemon=client)
    Worker(lambda: client.wait(name + "/never"))
    assert eventually(lambda: client.status().waits == 1)

    def work() -> None:
        assert not any(what.startswith("socket:") for what in descriptors().values())
        pulse.close()
        pulse.close()

    before = [what for what in descriptors().values() if what.startswith("socket:")]
    assert before
    Child(work).done()
    pulse.set()
    assert pulse.wait(PATIENCE_S) == 1
    client.create(name + "/never", initial=1)


def test_a_child_keeps_no_connection_that_was_being_made(directory: Path) -> None:
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
        calling = Worker(evfd.Daemon(listener.getsockname()).status)
        assert all_wait(None, [calling])
        assert len(sockets() - others) == 1

        def work() -> None:
            assert not sockets() - others

        Child(work).done()
    with pytest.raises(evfd.NoDaemonError):
        calling.done()


def test_a_child_that_never_calls_the_library_keeps_nothing_of_a_killed_parent(
    alone: RunningDaemon, name: str
) -> None:
    may_end = evfd.Event()
    to_parent, children = os.pipe()

    def maker() -> None:
        client = alone.client()
        evfd.Event(name + "/mine", lifetime="connection", daemon=client)
        Worker(lambda: client.wait(name + "/never"))
        watching = alone.client()
        assert eventually(lambda: watching.status().waits == 1)
        child = os.fork()
        if child == 0:
            select.select([may_end.fileno()], [], [])
            os._exit(0)
        os.write(children, b"%d\n" % child)
        os.kill(os.getpid(), signal.SIGKILL)

    made = Child(maker)
    ending = os.pidfd_open(int(os.read(to_parent, 32)))
    try:
        assert eventually(lambda: os.waitpid(made.pid, os.WNOHANG)[0] == made.pid)
        client = alone.client()
        assert eventually(lambda: list(client.list(name + "/mine")) == [])
        assert eventually(lambda: client.status().waits == 0)
        assert not select.select([ending], [], [], 0)[0]  # It lived meanwhile.
    finally:
        may_end.set()
        assert select.select([ending], [], [], PATIENCE_S)[0]
        for number in (ending, to_parent, children):
            os.close(number)


def test_a_fork_in_the_middle_of_other_threads_calls(running: RunningDaemon, name: str) -> None:
    client = running.client()
    event = evfd.Event(name, daemon=client)
    is_over = threading.Event()

    def disturb(call: Callable[[], object]) -> None:
        while not is_over.is_set():
            call()

    disturbing = [
        Worker(lambda: disturb(client.status)),
        Worker(lambda: disturb(lambda: evfd.Pulse(name + "/pulse", daemon=client).set())),
        Worker(lambda: disturb(lambda: event.wait(0.001))),
        Worker(lambda: disturb(lambda: list(client.list()))),
    ]

    def work() -> None:
        assert client.show(name).name == name
        evfd.Pulse(name + "/pulse", daemon=client).set()
        assert event.wait(0.001) is False
        assert evfd.wait_any([event], 0) is None

    for _ in range(30):
        Child(work).done()
    is_over.set()
    for disturbance in disturbing:
        disturbance.done()


def test_the_usual_daemon_of_a_child_is_its_own(alone: RunningDaemon, name: str) -> None:
    os.environ["EVFDD_SOCKET"] = alone.path
    try:
        event = evfd.Event(name)
        before = evfd.usual_daemon().status().connections

        def work() -> None:
            assert evfd.usual_daemon().status().connections == before + 1
            evfd.Event(name).set()

        Child(work).done()
        assert event.is_set()
        assert evfd.usual_daemon() is evfd.usual_daemon()
    finally:
        del os.environ["EVFDD_SOCKET"]
