"""Tests that without free descriptors only those operations fail that need a descriptor."""

from __future__ import annotations

import asyncio
import errno
import threading
from typing import Callable, List

import pytest

import evfd
from evfd import _aio
from evfd._connection import Connection
from evfd._descriptor import Descriptor
from evfd._resume_thread import Step, ResumeThread
from harness import TIMEOUT_S, DaemonProcess, Worker, descriptors, poll_until, exhausted_descriptors


@pytest.fixture(autouse=True)
def no_resume_thread_of_an_earlier_test() -> None:
    """Wait until the resume threads of earlier tests have ended.

    If such a thread closed a descriptor during a test, the test would have a free descriptor.
    """
    assert poll_until(
        lambda: all(thread.name != "evfd-resume" for thread in threading.enumerate())
    )


def test_an_open_without_a_free_descriptor_fails_and_changes_nothing(
    running: DaemonProcess, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Prevents the start of a resume thread, which could open and close descriptors during the test.
    monkeypatch.setattr("evfd._client._start_resume_thread", lambda client: None)
    client = running.client()
    client.create(name, lifetime="session")
    pulse = evfd.Pulse(name + "/pulse", create=True, client=client)
    timer = evfd.Timer(name + "/timer", after=3600, create=True, client=client)
    opens: List[Callable[[], object]] = [
        lambda: evfd.Event(name, create=True, client=client),
        lambda: evfd.Pulse(name + "/pulse", create=True, client=client),
        lambda: evfd.Timer(name + "/timer", client=client),
    ]
    before = len(descriptors())
    for open_one in opens:
        with exhausted_descriptors(), pytest.raises(evfd.SystemFailureError) as raised:
            open_one()
        assert raised.value.errno == errno.EMFILE
        del raised
    assert len(descriptors()) == before
    assert client.show(name).lifetime == "session"
    assert client.show(name + "/pulse").subscribers == 1
    assert client.show(name + "/timer").subscribers == 1
    pulse.set()
    assert pulse.wait(TIMEOUT_S) == 1
    timer.arm(after=0.001)
    assert timer.wait(TIMEOUT_S) == 1


def test_a_connect_without_a_free_descriptor_raises_emfile(running: DaemonProcess) -> None:
    client = running.client()
    with exhausted_descriptors(), pytest.raises(evfd.SystemFailureError) as raised:
        client.status()
    assert raised.value.errno == errno.EMFILE
    client.status()
    calls: List[Callable[[], object]] = [lambda: client.wait("e"), lambda: list(client.list())]
    for call in calls:
        with exhausted_descriptors(), pytest.raises(evfd.SystemFailureError):
            call()
    assert client.status().pid == running.process.pid


def test_the_resume_thread_retries_when_it_has_no_descriptor(
    supervised: DaemonProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = supervised.client()
    client.create("p", "pulse")
    has_tried = threading.Event()
    duplicate = Connection.duplicate

    def try_to_duplicate(connection: Connection) -> Descriptor:
        try:
            return duplicate(connection)
        except OSError:
            has_tried.set()
            raise

    monkeypatch.setattr(Connection, "duplicate", try_to_duplicate)
    with exhausted_descriptors(but=2):
        # The Pulse object uses one of the two free descriptors, and the eventfd of the resume
        # thread uses the other. So no descriptor is free for the resume thread's duplicate of the
        # connection.
        pulse = evfd.Pulse("p", create=True, client=client)
        assert has_tried.wait(TIMEOUT_S)
    supervised.kill_supervised()
    waiting = Worker(lambda: pulse.wait(TIMEOUT_S))
    supervised.ctl("set", "p")
    assert waiting.result() == 1


def test_the_next_call_resumes_the_session_when_no_resume_thread_could_start(
    supervised: DaemonProcess,
) -> None:
    client = supervised.client()
    client.create("p", "pulse")
    with exhausted_descriptors(but=1):
        pulse = evfd.Pulse("p", create=True, client=client)
    supervised.kill_supervised()
    client.status()
    supervised.ctl("set", "p")
    assert pulse.wait(TIMEOUT_S) == 1


def test_waits_without_a_free_descriptor_fall_back_to_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_aio, "_free", {_aio.ONE: [], _aio.MANY: []})
    monkeypatch.setattr(_aio, "_poll_supported", None)
    event = evfd.Event()
    with exhausted_descriptors():
        assert evfd.wait_any([event], 0.001) is None
        assert event.wait(0.001) is False
    assert evfd.supports_latched_wait()


def test_a_wait_in_a_loop_without_a_free_descriptor_fails_and_can_be_repeated() -> None:
    event = evfd.Event()

    async def work() -> None:
        with exhausted_descriptors(), pytest.raises(OSError) as raised:
            await event.wait_async(0.001)
        assert raised.value.errno == errno.EMFILE
        del raised
        assert await event.wait_async(0.001) is False

    asyncio.run(work())


def test_the_resume_thread_survives_an_exception() -> None:
    steps: list[int] = []

    def look() -> Step:
        steps.append(1)
        if len(steps) == 1:
            raise MemoryError
        return None, None, False

    thread = ResumeThread(look)
    assert poll_until(lambda: len(steps) == 2)
    del thread
