"""A process that has as many descriptors open as it may: what needs one more is an error, and nothing
else ends."""

from __future__ import annotations

import threading

import pytest

import evfd
from evfd.channel import Channel
from evfd.descriptor import Descriptor
from evfd.lookout import Look, Lookout
from running import PATIENCE_S, RunningDaemon, Worker, eventually, no_descriptor_left


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
