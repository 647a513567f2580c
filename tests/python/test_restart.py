"""Tests of a daemon that is killed, restarted, missing or hanging.

If the daemon comes back with its state, the only effect on a caller is a delay.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Callable, Iterator

import pytest

import evfd
from evfd._connection import Connection
from harness import TIMEOUT_S, DaemonProcess, Worker, all_wait, poll_until

Start = Callable[..., DaemonProcess]


def test_a_call_after_a_kill_is_answered(supervised: DaemonProcess) -> None:
    client = supervised.client()
    client.create("e")
    before = client.status().pid
    supervised.kill_supervised()
    assert client.status().pid != before
    assert client.show("e").name == "e"


def test_an_object_of_the_session_survives_a_kill(supervised: DaemonProcess) -> None:
    client = supervised.client()
    client.create("mine", lifetime="session")
    for _ in range(3):
        supervised.kill_supervised()
        assert client.show("mine").lifetime == "session"
    client.close()
    assert poll_until(lambda: list(supervised.client().list()) == [])


def test_a_kill_during_a_commit_loses_nothing(supervised: DaemonProcess) -> None:
    client = supervised.client()
    pulse = evfd.Pulse("p", create=True, client=client)
    client.create("mine", lifetime="session")
    mine = evfd.Event("mine", client=client)
    supervised.begin_next_commit()
    supervised.kill_supervised()
    assert poll_until(lambda: supervised.client().status().orphaned_sessions == 0)
    assert client.show("mine").lifetime == "session"
    mine.set()
    client.set("p")
    assert pulse.wait(TIMEOUT_S) == 1


def test_an_object_of_a_process_survives_execve_and_a_kill(
    supervised: DaemonProcess,
) -> None:
    client = supervised.client()
    make = "import evfd, os, sys; evfd.Client(sys.argv[1]).create('mine', lifetime='process')"
    become = "os.execv('/bin/cat', ['cat'])"
    with subprocess.Popen(
        [sys.executable, "-c", f"{make}; {become}", supervised.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin and process.stdout
        process.stdin.write(b"x")
        process.stdin.flush()
        assert process.stdout.read(1) == b"x"  # The echo shows that cat(1) is running.
        supervised.kill_supervised()
        assert client.show("mine").lifetime == "process"
    assert poll_until(lambda: list(client.list()) == [])


def test_a_subscription_to_a_pulse_is_resumed_without_a_call(supervised: DaemonProcess) -> None:
    pulse = evfd.Pulse("p", create=True, client=supervised.client())
    for _ in range(3):
        supervised.kill_supervised()
        waiting = Worker(lambda: pulse.wait(TIMEOUT_S))
        supervised.ctl("set", "p")
        assert waiting.result() == 1


def test_a_timer_expires_without_a_daemon_and_obeys_the_next_one(
    supervised: DaemonProcess,
) -> None:
    timer = evfd.Timer("t", interval=0.001, create=True, client=supervised.client())
    supervised.kill_supervised()
    assert timer.wait(TIMEOUT_S) > 0
    supervised.ctl("disarm", "t")
    assert timer.gettime_ns() == (0, 0)
    assert timer.wait(0) == 0


def test_a_wait_by_name_continues_after_a_kill(supervised: DaemonProcess) -> None:
    client = supervised.client()
    waiting = Worker(lambda: client.wait("later", timeout=TIMEOUT_S))
    assert poll_until(lambda: client.status().waits == 1)
    supervised.kill_supervised()
    assert poll_until(lambda: client.status().waits == 1)
    client.create("later", initial=1)
    assert waiting.result() == [evfd.Fired("later", 1, 0, client.show("later").id)]


def test_a_monitor_reports_resync_after_a_kill(supervised: DaemonProcess) -> None:
    client = supervised.client()
    client.create("e")
    changes = client.monitor()
    assert [next(changes).change, next(changes).change] == ["present", "ready"]
    supervised.kill_supervised()
    assert [next(changes).change for _ in range(3)] == ["resync", "present", "ready"]
    client.set("e")
    assert next(changes).change == "changed"


def test_a_list_continues_after_a_kill(supervised: DaemonProcess) -> None:
    client = supervised.client()
    names = [f"e/{i:04}" for i in range(1500)]
    for one in names:
        client.create(one)
    listed = []
    for shown in client.list():
        listed.append(shown.name)
        if len(listed) in (1, 700):
            supervised.kill_supervised()
    assert listed == names


def test_a_wait_on_a_descriptor_is_unaffected_by_a_kill(supervised: DaemonProcess) -> None:
    client = supervised.client()
    event = evfd.Event("e", create=True, client=client)
    waiting = Worker(event.wait)
    assert all_wait(event, [waiting])
    supervised.kill_supervised()
    # The next daemon has recovered the eventfd for which the thread waits.
    client.set("e")
    assert waiting.result() is True


def test_a_daemon_that_does_not_restart_is_an_error(start: Start) -> None:
    daemon = start()
    client = daemon.client(0.3)
    client.status()
    daemon.kill()
    calls: list[Callable[[], object]] = [
        client.status,
        lambda: client.create("e"),
        lambda: client.wait("e"),
    ]
    for call in calls:
        with pytest.raises(evfd.NoDaemonError) as raised:
            call()
        assert isinstance(raised.value, ConnectionError)


def test_a_daemon_without_the_old_state_is_accepted(start: Start) -> None:
    daemon = start()
    client = daemon.client()
    client.create("e")
    daemon.kill()
    calling = Worker(client.status)
    daemon.restart()
    assert calling.result().objects == 0
    assert client.create("e")


def test_a_daemon_that_hangs_is_an_error(start: Start) -> None:
    daemon = start()
    client = daemon.client(0.3)
    client.create("e", "semaphore")
    semaphore = evfd.Semaphore("e", create=True, client=client)
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        calls: list[Callable[[], object]] = [
            client.status,
            lambda: client.create("f"),
            lambda: client.wait("e", timeout=0.01),
            lambda: list(client.list()),
        ]
        for call in calls:
            with pytest.raises(TimeoutError) as raised:
                call()
            assert isinstance(raised.value, evfd.NoAnswerError)
        # The library adds the token by write(2), without a call to the daemon.
        semaphore.release()
        assert semaphore.acquire(timeout=TIMEOUT_S)
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
    assert client.status().pid == daemon.process.pid


def test_the_reply_to_an_abandoned_wait_reaches_no_other_wait(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evfd._client, "_KEEPALIVE_INTERVAL_NS", 10**6)
    daemon = start()
    client = daemon.client(0.5)
    client.create("one")
    waiting = Worker(lambda: client.wait("one"))
    assert poll_until(lambda: client.status().waits == 1)
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(evfd.NoAnswerError):
            waiting.result()
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
    client.set("one")
    with pytest.raises(evfd.TimedOutError):
        client.wait("two", timeout=0.001)
    assert poll_until(lambda: client.status().waits == 0)


def test_a_call_that_may_have_been_executed_is_an_error(start: Start) -> None:
    # The daemon has no supervisor. So its state is lost, and the next daemon does not know whether
    # the call was executed.
    daemon = start()
    client = daemon.client()
    client.status()
    os.kill(daemon.process.pid, signal.SIGSTOP)
    calling = Worker(lambda: client.create("e"))
    repeating = Worker(daemon.client().status)
    assert all_wait(None, [calling, repeating])
    daemon.kill()
    daemon.restart()
    with pytest.raises(ConnectionResetError) as raised:
        calling.result()
    assert isinstance(raised.value, evfd.LostDaemonError)
    assert repeating.result().objects == 0
    assert client.create("e")


class Interrupted(Exception):
    """The exception that a signal handler raises to interrupt a call."""


@contextlib.contextmanager
def stopped_and_interrupted(daemon: int) -> Iterator[None]:
    """Stop the daemon by SIGSTOP, and interrupt the call that the body of the with statement makes.

    A signal handler raises Interrupted when the call blocks.
    """

    def leave(number: int, frame: object) -> None:
        raise Interrupted

    def wake() -> None:
        assert all_wait(None, [threading.main_thread()])
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, leave)
    os.kill(daemon, signal.SIGSTOP)
    try:
        signalling = Worker(wake)
        with pytest.raises(Interrupted):
            yield
        signalling.result()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_call_interrupted_by_a_signal_handler_breaks_no_other(start: Start) -> None:
    daemon = start()
    pid = daemon.process.pid
    client = daemon.client()
    client.create("e", "semaphore", lifetime="session")
    pulse = evfd.Pulse("p", create=True, client=client)
    calls: list[Callable[[], object]] = [
        lambda: client.show("e"),
        lambda: client.set("e"),
        lambda: evfd.Pulse("p", create=True, client=client),
        lambda: client.wait("p"),
        lambda: next(client.list()),
        lambda: client.show("missing"),
    ]
    for call in calls:
        with stopped_and_interrupted(pid):
            call()
        os.kill(pid, signal.SIGCONT)
        assert client.status().pid == pid
        assert client.show("e").name == "e"
    assert client.show("e").count == 1
    assert poll_until(lambda: client.status().waits == 0)
    assert poll_until(lambda: client.show("p").subscribers == 1)
    client.set("p")
    assert pulse.wait(TIMEOUT_S) == 1


@pytest.mark.parametrize("where", ["is_closed", "send", "receive"])
@pytest.mark.parametrize("is_done", [False, True])
def test_a_call_interrupted_at_any_point_keeps_the_session(
    running: DaemonProcess, name: str, monkeypatch: pytest.MonkeyPatch, where: str, is_done: bool
) -> None:
    client = running.client()
    client.create(name, "semaphore", lifetime="session")
    before = getattr(Connection, where)

    def leave(*arguments: object) -> None:
        if is_done:
            before(*arguments)
        raise Interrupted

    with monkeypatch.context() as patching:
        patching.setattr(Connection, where, leave)
        with pytest.raises(Interrupted):
            client.set(name)
    assert client.show(name).count == int(where == "receive" or (where == "send" and is_done))
    client.set(name)
    assert client.show(name).lifetime == "session"


def test_a_oneway_set_interrupted_by_a_signal_handler_breaks_no_other_call(start: Start) -> None:
    daemon = start()
    client = daemon.client()
    client.create("e", "semaphore", lifetime="session")
    sets = 0
    with stopped_and_interrupted(daemon.process.pid):
        while True:  # The last set blocks, because the socket is full.
            client.set_oneway("e")
            sets += 1
    os.kill(daemon.process.pid, signal.SIGCONT)
    # The signal can arrive just before the last set is counted here.
    assert client.show("e").count in (sets, sets + 1)
    client.set("e")
    assert client.show("e").count in (sets + 1, sets + 2)


def test_a_call_interrupted_twice_is_executed_once(start: Start) -> None:
    daemon = start()
    client = daemon.client()
    client.create("e", "semaphore")
    with stopped_and_interrupted(daemon.process.pid):
        client.set("e")
    with stopped_and_interrupted(daemon.process.pid):
        # The client never sends this call. It first waits for the answer to the first call, and the
        # signal interrupts this wait.
        client.set("e", count=10)
    os.kill(daemon.process.pid, signal.SIGCONT)
    assert client.show("e").count == 1


def test_an_interrupted_call_is_executed_once_though_the_daemon_is_killed(
    supervised: DaemonProcess,
) -> None:
    client = supervised.client()
    client.create("e", "semaphore")
    for count in range(1, 4):
        with stopped_and_interrupted(client.status().pid):
            client.set("e")
        supervised.kill_supervised()
        assert client.show("e").count == count


def test_the_resume_thread_ends_with_its_client(supervised: DaemonProcess) -> None:
    def resume_threads() -> int:
        return sum(thread.name == "evfd-resume" for thread in threading.enumerate())

    before = resume_threads()
    client = supervised.client()
    pulses = [evfd.Pulse(f"p/{i}", create=True, client=client) for i in range(3)]
    assert resume_threads() == before + 1
    del pulses, client
    assert poll_until(lambda: resume_threads() == before)


def test_a_call_waits_for_a_restart_until_the_timeout(start: Start) -> None:
    daemon = start()
    client = daemon.client(0.2)
    client.status()
    daemon.kill()
    begin = time.monotonic()
    with pytest.raises(ConnectionError):
        client.status()
    assert time.monotonic() - begin >= 0.2
