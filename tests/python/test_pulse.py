"""Pulses: every set reaches everyone who follows at that moment, once, and is counted for each."""

from __future__ import annotations

import gc
import select
from functools import partial

import pytest

import evfd
from running import PATIENCE_S, RunningDaemon, Worker, all_wait, descriptors, eventually


def test_all_who_follow_count_each_set(shared: evfd.Daemon, name: str) -> None:
    one = evfd.Pulse(name, daemon=shared)
    other = evfd.Pulse(name, daemon=shared)
    one.set()
    other.set(2)
    assert (one.wait(PATIENCE_S), other.wait(PATIENCE_S)) == (3, 3)
    assert (one.wait(0), other.wait(0)) == (0, 0)


def test_who_follows_later_counts_from_then_on(shared: evfd.Daemon, name: str) -> None:
    early = evfd.Pulse(name, daemon=shared)
    early.set()
    late = evfd.Pulse(name, daemon=shared)
    early.set()
    assert (early.wait(0), late.wait(0)) == (2, 1)


def test_all_who_wait_are_released(running: RunningDaemon, shared: evfd.Daemon, name: str) -> None:
    pulses = [evfd.Pulse(name, daemon=shared) for _ in range(8)]

    def count_to_four(pulse: evfd.Pulse) -> int:
        counted = 0
        while counted < 4:  # The daemon adds one by one.
            counted += pulse.wait(PATIENCE_S)
        return counted

    waiting = [Worker(partial(count_to_four, pulse)) for pulse in pulses]
    assert all_wait(pulses[0], waiting)
    running.ctl("set", name, "--count", "4")
    assert [one.done() for one in waiting] == [4] * 8


def test_a_clear_forgets_what_came_for_this_one(shared: evfd.Daemon, name: str) -> None:
    one = evfd.Pulse(name, daemon=shared)
    other = evfd.Pulse(name, daemon=shared)
    one.set()
    assert one.is_set()
    one.clear()
    assert not one.is_set()
    assert (one.wait(0), other.wait(0)) == (0, 1)


def test_it_can_be_selected(shared: evfd.Daemon, name: str) -> None:
    pulse = evfd.Pulse(name, daemon=shared)
    assert select.select([pulse], [], [], 0)[0] == []
    selecting = Worker(lambda: select.select([pulse], [], [])[0])
    assert all_wait(pulse, [selecting])
    pulse.set()
    assert selecting.done() == [pulse]


def test_the_daemon_feeds_it_as_long_as_it_is_open(shared: evfd.Daemon, name: str) -> None:
    pulse = evfd.Pulse(name, daemon=shared)
    gc.collect()
    before = sorted(descriptors().values())
    with evfd.Pulse(name, daemon=shared), evfd.Pulse(name, daemon=shared):
        assert shared.show(name).subscriptions == 3
    assert eventually(lambda: shared.show(name).subscriptions == 1)
    dropped = [evfd.Pulse(name, daemon=shared) for _ in range(50)]
    assert shared.show(name).subscriptions == 51
    del dropped
    assert eventually(lambda: shared.show(name).subscriptions == 1)
    assert eventually(lambda: sorted(descriptors().values()) == before)
    pulse.set()
    assert pulse.wait(0) == 1


def test_how_often_it_can_be_set_at_once(shared: evfd.Daemon, name: str) -> None:
    pulse = evfd.Pulse(name, daemon=shared)
    for count in (0, -1, 16_385):
        with pytest.raises(ValueError, match="1 to 16384"):
            pulse.set(count)
    pulse.set(16_384)
    assert pulse.wait(0) == 16_384


def test_what_is_no_pulse_says_what_opens_it(shared: evfd.Daemon, name: str) -> None:
    shared.create(name)
    with pytest.raises(evfd.WrongKindError, match="use evfd.Event"):
        evfd.Pulse(name, daemon=shared)
