"""A daemon that is killed, restarted, gone or stuck: who calls notices a delay, if anything."""

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
from evfd.channel import Channel
from running import PATIENCE_S, RunningDaemon, Worker, all_wait, eventually

Start = Callable[..., RunningDaemon]


def test_a_call_after_a_kill_is_answered(guarded: RunningDaemon) -> None:
    client = guarded.client()
    client.create("e")
    before = client.status().pid
    guarded.kill_below_guard()
    assert client.status().pid != before
    assert client.show("e").name == "e"


def test_what_ends_with_the_connection_outlives_a_kill(guarded: RunningDaemon) -> None:
    client = guarded.client()
    client.create("mine", lifetime="connection")
    for _ in range(3):
        guarded.kill_below_guard()
        assert client.show("mine").lifetime == "connection"
    client.close()
    assert eventually(lambda: list(guarded.client().list()) == [])


def test_a_kill_in_the_midst_of_a_commit_costs_nothing(guarded: RunningDaemon) -> None:
    client = guarded.client()
    pulse = evfd.Pulse("p", daemon=client)
    client.create("mine", lifetime="connection")
    mine = evfd.Event("mine", create=False, daemon=client)
    guarded.begin_next_commit()
    guarded.kill_below_guard()
    assert eventually(lambda: guarded.client().status().waits_for_sessions == 0)
    assert client.show("mine").lifetime == "connection"
    mine.set()
    client.set("p")
    assert pulse.wait(PATIENCE_S) == 1


def test_what_ends_with_a_process_outlives_its_connection_and_a_kill(
    guarded: RunningDaemon,
) -> None:
    client = guarded.client()
    make = "import evfd, os, sys; evfd.Daemon(sys.argv[1]).create('mine', lifetime='process')"
    become = "os.execv('/bin/cat', ['cat'])"
    with subprocess.Popen(
        [sys.executable, "-c", f"{make}; {become}", guarded.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin and process.stdout
        process.stdin.write(b"x")
        process.stdin.flush()
        assert process.stdout.read(1) == b"x"  # It is another program by now.
        guarded.kill_below_guard()
        assert client.show("mine").lifetime == "process"
    assert eventually(lambda: list(client.list()) == [])


def test_a_pulse_is_followed_on_though_nobody_calls(guarded: RunningDaemon) -> None:
    pulse = evfd.Pulse("p", daemon=guarded.client())
    for _ in range(3):
        guarded.kill_below_guard()
        waiting = Worker(lambda: pulse.wait(PATIENCE_S))
        guarded.ctl("set", "p")
        assert waiting.done() == 1


def test_a_timer_ticks_while_there_is_no_daemon_and_follows_the_next(
    guarded: RunningDaemon,
) -> None:
    timer = evfd.Timer("t", interval=0.001, daemon=guarded.client())
    guarded.kill_below_guard()
    assert timer.wait(PATIENCE_S) > 0
    guarded.ctl("disarm", "t")
    assert timer.gettime_ns() == (0, 0)
    assert timer.wait(0) == 0


def test_a_wait_by_name_goes_on(guarded: RunningDaemon) -> None:
    client = guarded.client()
    waiting = Worker(lambda: client.wait("later", timeout=PATIENCE_S))
    assert eventually(lambda: client.status().waits == 1)
    guarded.kill_below_guard()
    assert eventually(lambda: client.status().waits == 1)
    client.create("later", initial=1)
    assert waiting.done() == [evfd.Fired("later", 1)]


def test_a_monitor_goes_on_from_a_new_start(guarded: RunningDaemon) -> None:
    client = guarded.client()
    client.create("e")
    told = client.monitor()
    assert [next(told).change, next(told).change] == ["present", "ready"]
    guarded.kill_below_guard()
    assert [next(told).change for _ in range(3)] == ["resync", "present", "ready"]
    client.set("e")
    assert next(told).change == "changed"


def test_a_list_goes_on_where_it_was(guarded: RunningDaemon) -> None:
    client = guarded.client()
    names = [f"e/{i:04}" for i in range(1500)]
    for one in names:
        client.create(one)
    listed = []
    for told in client.list():
        listed.append(told.name)
        if len(listed) in (1, 700):
            guarded.kill_below_guard()
    assert listed == names


def test_a_wait_on_a_descriptor_notices_nothing(guarded: RunningDaemon) -> None:
    client = guarded.client()
    event = evfd.Event("e", daemon=client)
    waiting = Worker(event.wait)
    assert all_wait(event, [waiting])
    guarded.kill_below_guard()
    client.set("e")  # The same kernel object.
    assert waiting.done() is True


def test_a_daemon_that_is_gone_for_good_is_an_error(start: Start) -> None:
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


def test_a_daemon_that_knows_nothing_takes_the_place_of_one_that_is_gone(start: Start) -> None:
    daemon = start()
    client = daemon.client()
    client.create("e")
    daemon.kill()
    calling = Worker(client.status)
    daemon.restart()
    assert calling.done().objects == 0
    assert client.create("e")


def test_a_daemon_that_is_stuck_is_an_error_and_no_hang(start: Start) -> None:
    daemon = start()
    client = daemon.client(0.3)
    client.create("e", "semaphore")
    semaphore = evfd.Semaphore("e", daemon=client)
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
        semaphore.release()  # On the descriptor.
        assert semaphore.acquire(timeout=PATIENCE_S)
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
    assert client.status().pid == daemon.process.pid


def test_a_wait_given_up_leaves_its_answer_to_no_other(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evfd.daemon, "_SIGN_OF_LIFE_NS", 10**6)
    daemon = start()
    client = daemon.client(0.5)
    client.create("one")
    waiting = Worker(lambda: client.wait("one"))
    assert eventually(lambda: client.status().waits == 1)
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(evfd.NoAnswerError):
            waiting.done()
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
    client.set("one")
    with pytest.raises(evfd.TimedOutError):
        client.wait("two", timeout=0.001)
    assert eventually(lambda: client.status().waits == 0)


def test_a_call_whose_end_nobody_knows_is_an_error(start: Start) -> None:
    daemon = start()  # Without a guard: the next one knows nothing.
    client = daemon.client()
    client.status()
    os.kill(daemon.process.pid, signal.SIGSTOP)
    calling = Worker(lambda: client.create("e"))
    repeating = Worker(daemon.client().status)
    assert all_wait(None, [calling, repeating])
    daemon.kill()
    daemon.restart()
    with pytest.raises(ConnectionResetError) as raised:
        calling.done()
    assert isinstance(raised.value, evfd.LostDaemonError)
    assert repeating.done().objects == 0
    assert client.create("e")


class Left(Exception):
    """What a signal handler throws."""


@contextlib.contextmanager
def stopped_and_left(daemon: int) -> Iterator[None]:
    """A call that does not return, and a signal handler that leaves it."""

    def leave(number: int, frame: object) -> None:
        raise Left

    def ring() -> None:
        assert all_wait(None, [threading.main_thread()])
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, leave)
    os.kill(daemon, signal.SIGSTOP)
    try:
        ringing = Worker(ring)
        with pytest.raises(Left):
            yield
        ringing.done()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_call_that_a_signal_handler_left_does_no_harm(start: Start) -> None:
    daemon = start()
    pid = daemon.process.pid
    client = daemon.client()
    client.create("e", "semaphore", lifetime="connection")
    pulse = evfd.Pulse("p", daemon=client)
    calls: list[Callable[[], object]] = [
        lambda: client.show("e"),
        lambda: client.set("e"),
        lambda: evfd.Pulse("p", daemon=client),
        lambda: client.wait("p"),
        lambda: next(client.list()),
        lambda: client.show("missing"),
    ]
    for call in calls:
        with stopped_and_left(pid):
            call()
        os.kill(pid, signal.SIGCONT)
        assert client.status().pid == pid
        assert client.show("e").name == "e"
    assert client.show("e").count == 1
    assert eventually(lambda: client.status().waits == 0)
    assert eventually(lambda: client.show("p").subscriptions == 1)
    client.set("p")
    assert pulse.wait(PATIENCE_S) == 1


@pytest.mark.parametrize("where", ["is_closed", "send", "receive"])
@pytest.mark.parametrize("is_done", [False, True])
def test_a_call_that_is_left_at_any_point_ends_nothing_else(
    running: RunningDaemon, name: str, monkeypatch: pytest.MonkeyPatch, where: str, is_done: bool
) -> None:
    client = running.client()
    client.create(name, "semaphore", lifetime="connection")
    before = getattr(Channel, where)

    def leave(*arguments: object) -> None:
        if is_done:
            before(*arguments)
        raise Left

    with monkeypatch.context() as patching:
        patching.setattr(Channel, where, leave)
        with pytest.raises(Left):
            client.set(name)
    assert client.show(name).count == int(where == "receive" or (where == "send" and is_done))
    client.set(name)
    assert client.show(name).lifetime == "connection"


def test_a_call_that_was_left_twice_is_done_once(start: Start) -> None:
    daemon = start()
    client = daemon.client()
    client.create("e", "semaphore")
    with stopped_and_left(daemon.process.pid):
        client.set("e")
    with stopped_and_left(daemon.process.pid):
        client.set("e", count=10)  # It is not even sent before the other one is answered.
    os.kill(daemon.process.pid, signal.SIGCONT)
    assert client.show("e").count == 1


def test_a_call_that_was_left_is_done_once_though_the_daemon_is_killed(
    guarded: RunningDaemon,
) -> None:
    client = guarded.client()
    client.create("e", "semaphore")
    for count in range(1, 4):
        with stopped_and_left(client.status().pid):
            client.set("e")
        guarded.kill_below_guard()
        assert client.show("e").count == count


def test_the_look_out_ends_with_its_client(guarded: RunningDaemon) -> None:
    def look_outs() -> int:
        return sum(thread.name == "evfd-lookout" for thread in threading.enumerate())

    before = look_outs()
    client = guarded.client()
    pulses = [evfd.Pulse(f"p/{i}", daemon=client) for i in range(3)]
    assert look_outs() == before + 1
    del pulses, client
    assert eventually(lambda: look_outs() == before)


def test_a_daemon_that_does_not_come_is_waited_for_that_long(start: Start) -> None:
    daemon = start()
    client = daemon.client(0.2)
    client.status()
    daemon.kill()
    begin = time.monotonic()
    with pytest.raises(ConnectionError):
        client.status()
    assert time.monotonic() - begin >= 0.2
