"""A process that has as many descriptors open as it may: what needs one more is an error, and nothing
else ends."""

from __future__ import annotations

import asyncio
import errno
import threading
from typing import Callable, List

import pytest

import evfd
from evfd import aio
from evfd.channel import Channel
from evfd.descriptor import Descriptor
from evfd.lookout import Look, Lookout
from running import PATIENCE_S, RunningDaemon, Worker, descriptors, eventually, no_descriptor_left


@pytest.fixture(autouse=True)
def no_lookout_of_an_earlier_test() -> None:
    """Such a thread closes its descriptors when it ends, and a test would find them free."""
    assert eventually(
        lambda: all(thread.name != "evfd-lookout" for thread in threading.enumerate())
    )


def test_an_open_without_a_descriptor_is_an_error_and_no_more(
    running: RunningDaemon, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A look-out closes its duplicate of the connection and makes the next one, at any time.
    monkeypatch.setattr("evfd.daemon._start_lookout", lambda daemon: None)
    client = running.client()
    client.create(name, lifetime="connection")
    pulse = evfd.Pulse(name + "/pulse", daemon=client)
    timer = evfd.Timer(name + "/timer", after=3600, daemon=client)
    opens: List[Callable[[], object]] = [
        lambda: evfd.Event(name, daemon=client),
        lambda: evfd.Pulse(name + "/pulse", daemon=client),
        lambda: evfd.Timer(name + "/timer", daemon=client),
    ]
    before = len(descriptors())
    for open_one in opens:
        with no_descriptor_left(), pytest.raises(evfd.SystemFailureError) as raised:
            open_one()
        assert raised.value.errno == errno.EMFILE
        del raised
    assert len(descriptors()) == before
    assert client.show(name).lifetime == "connection"
    assert client.show(name + "/pulse").subscriptions == 1
    assert client.show(name + "/timer").subscriptions == 1
    pulse.set()
    assert pulse.wait(PATIENCE_S) == 1
    timer.arm(after=0.001)
    assert timer.wait(PATIENCE_S) == 1


def test_what_cannot_connect_without_a_descriptor_says_so(running: RunningDaemon) -> None:
    client = running.client()
    with no_descriptor_left(), pytest.raises(evfd.SystemFailureError) as raised:
        client.status()
    assert raised.value.errno == errno.EMFILE
    client.status()
    calls: List[Callable[[], object]] = [lambda: client.wait("e"), lambda: list(client.list())]
    for call in calls:
        with no_descriptor_left(), pytest.raises(evfd.SystemFailureError):
            call()
    assert client.status().pid == running.process.pid


def test_a_look_out_without_a_descriptor_looks_again(
    guarded: RunningDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = guarded.client()
    client.create("p", "pulse")
    has_tried = threading.Event()
    duplicate = Channel.duplicate

    def try_to_duplicate(channel: Channel) -> Descriptor:
        try:
            return duplicate(channel)
        except OSError:
            has_tried.set()
            raise

    monkeypatch.setattr(Channel, "duplicate", try_to_duplicate)
    with no_descriptor_left(but=2):
        pulse = evfd.Pulse("p", daemon=client)  # Its own one, and the look-out's bell.
        assert has_tried.wait(PATIENCE_S)
    guarded.kill_below_guard()
    waiting = Worker(lambda: pulse.wait(PATIENCE_S))
    guarded.ctl("set", "p")
    assert waiting.done() == 1


def test_without_a_descriptor_for_a_look_out_the_next_call_takes_all_up(
    guarded: RunningDaemon,
) -> None:
    client = guarded.client()
    client.create("p", "pulse")
    with no_descriptor_left(but=1):
        pulse = evfd.Pulse("p", daemon=client)
    guarded.kill_below_guard()
    client.status()
    guarded.ctl("set", "p")
    assert pulse.wait(PATIENCE_S) == 1


def test_waits_without_a_descriptor_do_without_kernel_aio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aio, "_free", {aio.ONE: [], aio.MANY: []})
    monkeypatch.setattr(aio, "_can_poll_here", None)
    event = evfd.Event()
    with no_descriptor_left():
        assert evfd.wait_any([event], 0.001) is None
        assert event.wait(0.001) is False
    assert evfd.latches_waits()


def test_a_wait_in_a_loop_without_a_descriptor_is_an_error_and_no_more() -> None:
    event = evfd.Event()

    async def work() -> None:
        with no_descriptor_left(), pytest.raises(OSError) as raised:
            await event.wait_async(0.001)
        assert raised.value.errno == errno.EMFILE
        del raised
        assert await event.wait_async(0.001) is False

    asyncio.run(work())


def test_a_look_out_survives_what_goes_wrong_in_a_look() -> None:
    looks: list[int] = []

    def look() -> Look:
        looks.append(1)
        if len(looks) == 1:
            raise MemoryError
        return None, None, False

    lookout = Lookout(look)
    assert eventually(lambda: len(looks) == 2)
    del lookout
