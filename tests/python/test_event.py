"""Tests of named events: their creation, their modes, and their use by several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any, Optional

import pytest

import evfd
from harness import TIMEOUT_S, DaemonProcess, Worker, all_wait


def test_create_creates_an_event_if_it_does_not_exist_and_opens_it_otherwise(
    shared: evfd.Client, name: str
) -> None:
    one = evfd.Event(name, create=True, client=shared)
    assert shared.show(name).mode == "manual"
    one.set()
    other = evfd.Event(name, create=True, client=shared)
    assert other.is_set()
    assert (one.name, other.name) == (name, name)


def test_a_missing_name_is_an_error_and_creates_nothing(shared: evfd.Client, name: str) -> None:
    for kind in (evfd.Event, evfd.Semaphore, evfd.Pulse, evfd.Timer):
        with pytest.raises(FileNotFoundError, match="give create=True") as raised:
            kind(name, client=shared)
        assert isinstance(raised.value, evfd.NoSuchNameError)
        assert raised.value.filename == name
        assert list(shared.list(name)) == []
    evfd.Event(name, create=True, client=shared)
    assert not evfd.Event(name, client=shared).is_set()


@pytest.mark.parametrize(
    "wrong, error, reason",
    [
        ({"client": "/run/evfdd/io.evfdd"}, TypeError, "give evfd.Client"),
        ({"permissions": "640"}, TypeError, "an int such as 0o640, not str"),
        ({"permissions": 640}, ValueError, "with 0o in front"),
        ({"permissions": -1}, ValueError, "are not valid permissions"),
        ({"lifetime": "eternal"}, ValueError, "'lifetime'"),
    ],
)
def test_a_wrong_argument_is_an_error_that_says_what_to_give(
    shared: evfd.Client, name: str, wrong: Any, error: Any, reason: str
) -> None:
    for kind in (evfd.Event, evfd.Lock, evfd.Semaphore, evfd.Pulse, evfd.asyncio.Event):
        with pytest.raises(error, match=reason):
            kind(name, **{"create": True, "client": shared, **wrong})
    assert list(shared.list(name)) == []


@pytest.mark.parametrize("kind", [evfd.Event, evfd.Semaphore, evfd.Pulse, evfd.Timer])
def test_without_exist_ok_an_existing_object_is_an_error(
    shared: evfd.Client, name: str, kind: Any
) -> None:
    schedule = {"after": 3600} if kind is evfd.Timer else {}
    kind(name, create=True, exist_ok=False, client=shared, **schedule)
    with pytest.raises(FileExistsError) as raised:
        kind(name, create=True, exist_ok=False, client=shared, **schedule)
    assert isinstance(raised.value, evfd.NameTakenError)
    assert raised.value.filename == name
    kind(name, create=True, client=shared, **schedule)
    with pytest.raises(ValueError, match="needs create=True"):
        kind(name, exist_ok=False, client=shared, **schedule)


def test_a_new_event_has_the_requested_properties(shared: evfd.Client, name: str) -> None:
    event = evfd.Event(
        name,
        auto=True,
        initial=True,
        create=True,
        permissions=0o640,
        lifetime="session",
        client=shared,
    )
    shown = shared.show(name)
    assert (shown.mode, shown.permissions, shown.lifetime) == ("auto", 0o640, "session")
    assert event.auto
    assert event.wait(0) is True
    assert event.wait(0) is False


def test_default_permissions_are_0666_minus_the_umask(shared: evfd.Client, name: str) -> None:
    before = os.umask(0o027)
    try:
        evfd.Event(name, create=True, client=shared)
    finally:
        os.umask(before)
    assert shared.show(name).permissions == 0o640


@pytest.mark.parametrize("initial", [True, False])
@pytest.mark.parametrize("auto", [None, True, False])
def test_a_private_event_has_the_requested_properties(initial: bool, auto: Optional[bool]) -> None:
    event = evfd.Event(auto=auto, initial=initial)
    assert event.name is None
    assert event.auto is bool(auto)
    assert event.is_set() is initial
    assert event.wait(0) is initial
    assert event.is_set() is (initial and not auto)


def test_opening_another_kind_as_an_event_names_the_right_class(
    shared: evfd.Client, name: str
) -> None:
    shared.create(name + "/auto", "auto")
    shared.create(name + "/semaphore", "semaphore")
    shared.create(name + "/pulse", "pulse")
    shared.arm(name + "/timer", after=3600)
    assert evfd.Event(name + "/auto", create=True, client=shared).auto
    for kind, opens in (("semaphore", "Semaphore"), ("pulse", "Pulse"), ("timer", "Timer")):
        with pytest.raises(evfd.WrongKindError, match=f"use evfd.{opens}"):
            evfd.Event(f"{name}/{kind}", create=True, client=shared)
    with pytest.raises(evfd.WrongKindError):
        evfd.Event(name + "/auto", auto=False, create=True, client=shared)
    with pytest.raises(FileExistsError, match="use evfd.Event"):
        evfd.Semaphore(name + "/auto", create=True, client=shared)
    assert shared.status().subscriptions == 0 or shared.show(name + "/pulse").subscribers == 0


@pytest.mark.parametrize(
    "bad", ["", "/", "a//b", "a/", "/a", ".", "a/..", "ä", "a b", "a\n", "x" * 256]
)
def test_a_malformed_name_is_a_value_error(shared: evfd.Client, bad: str) -> None:
    with pytest.raises(ValueError) as raised:
        evfd.Event(bad, create=True, client=shared)
    assert isinstance(raised.value, evfd.InvalidError)


def test_a_name_that_is_not_a_str_is_a_type_error(shared: evfd.Client) -> None:
    with pytest.raises(TypeError):
        evfd.Event(b"name", create=True, client=shared)  # type: ignore[arg-type]


@pytest.mark.parametrize("is_private", [True, False])
def test_each_set_of_an_auto_event_releases_one_waiter(
    shared: evfd.Client, name: str, is_private: bool
) -> None:
    named = {} if is_private else {"name": name, "create": True, "client": shared}
    event = evfd.Event(auto=True, **named)  # type: ignore[arg-type]
    waiting = [Worker(lambda: event.wait(TIMEOUT_S)) for _ in range(5)]
    assert all_wait(event, waiting)
    for left in range(4, -1, -1):
        event.set()
        while event.is_set() or sum(one.is_alive() for one in waiting) > left:
            os.sched_yield()
        assert sum(one.is_alive() for one in waiting) == left
    assert all(one.result() is True for one in waiting)
    event.set()
    event.set()
    assert event.wait(0) is True
    assert event.wait(0) is False


def test_another_process_can_set_and_clear_the_event_by_name(
    running: DaemonProcess, shared: evfd.Client, name: str
) -> None:
    event = evfd.Event(name, create=True, client=shared)
    waiting = Worker(event.wait)
    assert all_wait(event, [waiting])
    running.ctl("set", name)
    assert waiting.result() is True
    running.ctl("clear", name)
    assert not event.is_set()


def test_another_python_process_can_set_the_event_by_name(
    running: DaemonProcess, shared: evfd.Client, name: str
) -> None:
    event = evfd.Event(name, create=True, client=shared)
    waiting = Worker(event.wait)
    assert all_wait(event, [waiting])
    subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import evfd; evfd.Event({name!r}).set()"],
        env={**os.environ, "EVFDD_SOCKET": running.path},
        check=True,
        timeout=TIMEOUT_S,
    )
    assert waiting.result() is True


def test_a_set_on_the_descriptor_ends_a_wait_by_name_in_a_shell(
    running: DaemonProcess, shared: evfd.Client, name: str
) -> None:
    event = evfd.Event(name, create=True, client=shared)
    script = Worker(lambda: running.ctl("wait", name))
    assert running.has_waits(name, 1)
    event.set()
    script.result()


def test_an_open_event_keeps_working_after_its_name_is_deleted(
    shared: evfd.Client, name: str
) -> None:
    event = evfd.Event(name, create=True, client=shared)
    waiting = Worker(event.wait)
    assert all_wait(event, [waiting])
    shared.delete(name)
    event.set()
    assert waiting.result() is True
    assert not evfd.Event(name, create=True, client=shared).is_set()


def test_operations_on_the_descriptor_need_no_daemon(running: DaemonProcess, name: str) -> None:
    client = running.client(0.2)
    event = evfd.Event(name, create=True, client=client)
    client.close()
    unreachable = evfd.Client(running.path + ".missing")
    event.set()
    assert event.wait(0) and event.is_set()
    event.clear()
    assert not event.is_set()
    with pytest.raises(ConnectionError):
        evfd.Event(name, create=True, client=unreachable)


def test_the_representation_has_the_name_and_the_state(shared: evfd.Client, name: str) -> None:
    event = evfd.Event(name, create=True, client=shared)
    assert name in repr(event) and "unset" in repr(event)
    event.close()
    assert "closed" in repr(event)
