"""Tests that every set of a pulse adds 1 to the count of each current subscriber."""

from __future__ import annotations

import gc
import select
from functools import partial

import pytest

import evfd
from harness import (
    TIMEOUT_S,
    DaemonProcess,
    Worker,
    all_wait,
    descriptors,
    poll_until,
    resume_threads_sleep,
)


def test_every_subscriber_counts_each_set(shared: evfd.Client, name: str) -> None:
    one = evfd.Pulse(name, create=True, client=shared)
    other = evfd.Pulse(name, create=True, client=shared)
    one.set()
    other.set(2)
    assert (one.wait(TIMEOUT_S), other.wait(TIMEOUT_S)) == (3, 3)
    assert (one.wait(0), other.wait(0)) == (0, 0)


def test_a_later_subscriber_counts_from_its_open_on(shared: evfd.Client, name: str) -> None:
    early = evfd.Pulse(name, create=True, client=shared)
    early.set()
    late = evfd.Pulse(name, create=True, client=shared)
    early.set()
    assert (early.wait(0), late.wait(0)) == (2, 1)


def test_a_set_releases_all_waiters(running: DaemonProcess, shared: evfd.Client, name: str) -> None:
    pulses = [evfd.Pulse(name, create=True, client=shared) for _ in range(8)]

    def count_to_four(pulse: evfd.Pulse) -> int:
        counted = 0
        # One wait can return fewer than four pulses, because the daemon can add the pulses to the
        # counter in several steps.
        while counted < 4:
            counted += pulse.wait(TIMEOUT_S)
        return counted

    waiting = [Worker(partial(count_to_four, pulse)) for pulse in pulses]
    assert all_wait(pulses[0], waiting)
    running.ctl("set", name, "--count", "4")
    assert [one.result() for one in waiting] == [4] * 8


def test_a_clear_discards_the_pulses_of_one_subscriber_only(shared: evfd.Client, name: str) -> None:
    one = evfd.Pulse(name, create=True, client=shared)
    other = evfd.Pulse(name, create=True, client=shared)
    one.set()
    assert one.is_set()
    one.clear()
    assert not one.is_set()
    assert (one.wait(0), other.wait(0)) == (0, 1)


def test_a_pulse_can_be_selected(shared: evfd.Client, name: str) -> None:
    pulse = evfd.Pulse(name, create=True, client=shared)
    assert select.select([pulse], [], [], 0)[0] == []
    selecting = Worker(lambda: select.select([pulse], [], [])[0])
    assert all_wait(pulse, [selecting])
    pulse.set()
    assert selecting.result() == [pulse]


def test_a_subscription_lasts_as_long_as_the_pulse_is_open(shared: evfd.Client, name: str) -> None:
    pulse = evfd.Pulse(name, create=True, client=shared)
    gc.collect()
    assert poll_until(resume_threads_sleep)
    before = sorted(descriptors().values())
    with evfd.Pulse(name, create=True, client=shared), evfd.Pulse(name, create=True, client=shared):
        assert shared.show(name).subscribers == 3
    assert poll_until(lambda: shared.show(name).subscribers == 1)
    dropped = [evfd.Pulse(name, create=True, client=shared) for _ in range(50)]
    assert shared.show(name).subscribers == 51
    del dropped
    assert poll_until(lambda: shared.show(name).subscribers == 1)
    assert poll_until(lambda: sorted(descriptors().values()) == before)
    pulse.set()
    assert pulse.wait(0) == 1


def test_a_set_adds_1_to_16384(shared: evfd.Client, name: str) -> None:
    pulse = evfd.Pulse(name, create=True, client=shared)
    for count in (0, -1, 16_385):
        with pytest.raises(ValueError, match="1 to 16384"):
            pulse.set(count)
    pulse.set(16_384)
    assert pulse.wait(0) == 16_384


def test_a_client_that_is_closed_right_after_the_open_ends_the_subscription(
    running: DaemonProcess, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = running.client()
    client.create(name, "pulse")
    monkeypatch.setattr(client, "_enable_auto_resume", client.close)
    pulse = evfd.Pulse(name, client=client)
    with pytest.raises(ValueError, match="client that was closed"):
        pulse.wait(0)


def test_opening_another_kind_as_a_pulse_names_the_right_class(
    shared: evfd.Client, name: str
) -> None:
    shared.create(name)
    with pytest.raises(evfd.WrongKindError, match="use evfd.Event"):
        evfd.Pulse(name, create=True, client=shared)
