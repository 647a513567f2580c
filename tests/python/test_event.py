"""The named event: how it is made and opened, its modes, and other processes that know its name."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import Optional

import pytest

import evfd
from running import PATIENCE_S, RunningDaemon, Worker, all_wait


def test_it_is_made_if_it_is_missing_and_else_opened(shared: evfd.Daemon, name: str) -> None:
    one = evfd.Event(name, daemon=shared)
    assert shared.show(name).mode == "manual"
    one.set()
    other = evfd.Event(name, daemon=shared)
    assert other.is_set()
    assert (one.name, other.name) == (name, name)


def test_it_is_not_made_if_it_is_only_to_be_opened(shared: evfd.Daemon, name: str) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        evfd.Event(name, create=False, daemon=shared)
    assert isinstance(raised.value, evfd.NoSuchNameError)
    assert raised.value.filename == name
    evfd.Event(name, daemon=shared)
    assert not evfd.Event(name, create=False, daemon=shared).is_set()


def test_it_is_not_opened_if_it_is_only_to_be_made(shared: evfd.Daemon, name: str) -> None:
    evfd.Event(name, create=True, daemon=shared)
    with pytest.raises(FileExistsError) as raised:
        evfd.Event(name, create=True, daemon=shared)
    assert isinstance(raised.value, evfd.NameTakenError)


def test_it_is_made_as_was_asked(shared: evfd.Daemon, name: str) -> None:
    event = evfd.Event(
        name, auto=True, initial=True, rights=0o640, lifetime="connection", daemon=shared
    )
    told = shared.show(name)
    assert (told.mode, told.rights, told.lifetime) == ("auto", 0o640, "connection")
    assert event.auto
    assert event.wait(0) is True
    assert event.wait(0) is False


def test_without_rights_they_are_0666_less_the_umask(shared: evfd.Daemon, name: str) -> None:
    before = os.umask(0o027)
    try:
        evfd.Event(name, daemon=shared)
    finally:
        os.umask(before)
    assert shared.show(name).rights == 0o640


@pytest.mark.parametrize("initial", [True, False])
@pytest.mark.parametrize("auto", [None, True, False])
def test_a_private_one_is_made_alike(initial: bool, auto: Optional[bool]) -> None:
    event = evfd.Event(auto=auto, initial=initial)
    assert event.name is None
    assert event.auto is bool(auto)
    assert event.is_set() is initial
    assert event.wait(0) is initial
    assert event.is_set() is (initial and not auto)


def test_what_is_of_another_kind_says_what_opens_it(shared: evfd.Daemon, name: str) -> None:
    shared.create(name + "/auto", "auto")
    shared.create(name + "/semaphore", "semaphore")
    shared.create(name + "/pulse", "pulse")
    shared.arm(name + "/timer", after=3600)
    assert evfd.Event(name + "/auto", daemon=shared).auto
    for kind, opens in (("semaphore", "Semaphore"), ("pulse", "Pulse"), ("timer", "Timer")):
        with pytest.raises(evfd.WrongKindError, match=f"use evfd.{opens}"):
            evfd.Event(f"{name}/{kind}", daemon=shared)
    with pytest.raises(evfd.WrongKindError):
        evfd.Event(name + "/auto", auto=False, daemon=shared)
    with pytest.raises(FileExistsError, match="use evfd.Event"):
        evfd.Semaphore(name + "/auto", daemon=shared)
    assert shared.status().subscriptions == 0 or shared.show(name + "/pulse").subscriptions == 0


@pytest.mark.parametrize(
    "bad", ["", "/", "a//b", "a/", "/a", ".", "a/..", "ä", "a b", "a\n", "x" * 256]
)
def test_a_malformed_name_is_a_value_error(shared: evfd.Daemon, bad: str) -> None:
    with pytest.raises(ValueError) as raised:
        evfd.Event(bad, daemon=shared)
    assert isinstance(raised.value, evfd.InvalidError)


def test_a_name_that_is_no_text_is_a_type_error(shared: evfd.Daemon) -> None:
    with pytest.raises(TypeError):
        evfd.Event(b"name", daemon=shared)  # type: ignore[arg-type]


@pytest.mark.parametrize("is_private", [True, False])
def test_each_set_of_an_auto_event_releases_one(
    shared: evfd.Daemon, name: str, is_private: bool
) -> None:
    event = evfd.Event(auto=True) if is_private else evfd.Event(name, auto=True, daemon=shared)
    waiting = [Worker(lambda: event.wait(PATIENCE_S)) for _ in range(5)]
    assert all_wait(event, waiting)
    for left in range(4, -1, -1):
        event.set()
        while event.is_set() or sum(one.is_alive() for one in waiting) > left:
            os.sched_yield()
        assert sum(one.is_alive() for one in waiting) == left
    assert all(one.done() is True for one in waiting)
    event.set()
    event.set()
    assert event.wait(0) is True
    assert event.wait(0) is False


def test_another_process_sets_it_by_name(
    running: RunningDaemon, shared: evfd.Daemon, name: str
) -> None:
    event = evfd.Event(name, daemon=shared)
    waiting = Worker(event.wait)
    assert all_wait(event, [waiting])
    running.ctl("set", name)
    assert waiting.done() is True
    running.ctl("clear", name)
    assert not event.is_set()


def test_another_python_sets_it_by_name(
    running: RunningDaemon, shared: evfd.Daemon, name: str
) -> None:
    event = evfd.Event(name, daemon=shared)
    waiting = Worker(event.wait)
    assert all_wait(event, [waiting])
    subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import evfd; evfd.Event({name!r}).set()"],
        env={**os.environ, "EVFDD_SOCKET": running.path},
        check=True,
        timeout=PATIENCE_S,
    )
    assert waiting.done() is True


def test_what_a_shell_waits_for_is_set_here(
    running: RunningDaemon, shared: evfd.Daemon, name: str
) -> None:
    event = evfd.Event(name, daemon=shared)
    script = Worker(lambda: running.ctl("wait", name))
    assert running.has_waits(name, 1)
    event.set()
    script.done()


def test_it_goes_on_when_its_name_is_deleted(shared: evfd.Daemon, name: str) -> None:
    event = evfd.Event(name, daemon=shared)
    waiting = Worker(event.wait)
    assert all_wait(event, [waiting])
    shared.delete(name)
    event.set()
    assert waiting.done() is True
    assert not evfd.Event(name, daemon=shared).is_set()


def test_what_a_descriptor_can_do_needs_no_daemon(running: RunningDaemon, name: str) -> None:
    client = running.client(0.2)
    event = evfd.Event(name, daemon=client)
    client.close()
    gone = evfd.Daemon(running.path + ".gone")
    event.set()
    assert event.wait(0) and event.is_set()
    event.clear()
    assert not event.is_set()
    with pytest.raises(ConnectionError):
        evfd.Event(name, daemon=gone)


def test_it_cannot_be_pickled_and_says_what_to_do(shared: evfd.Daemon, name: str) -> None:
    for event in (evfd.Event(), evfd.Event(name, daemon=shared)):
        with pytest.raises(TypeError, match="by name"):
            pickle.dumps(event)


def test_its_representation_has_its_name_and_state(shared: evfd.Daemon, name: str) -> None:
    event = evfd.Event(name, daemon=shared)
    assert name in repr(event) and "unset" in repr(event)
    event.close()
    assert "closed" in repr(event)
