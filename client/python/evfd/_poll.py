"""Calls poll(2) with a deadline, which can exceed the longest timeout of poll(2)."""

from __future__ import annotations

import select
from typing import Mapping

from evfd import errors
from evfd._time import NS_PER_MS, Deadline, time_until

_MAX_TIMEOUT_MS = 24 * 60 * 60 * 1000  # The longest timeout of one poll(2): its argument is an int.


def poll(events_by_fd: Mapping[int, int], deadline: Deadline) -> list[tuple[int, int]]:
    """Wait for events on descriptors; return pairs (descriptor, events), or [] on timeout.

    If the deadline has already passed, poll once.  A deadline of None waits indefinitely.
    """
    polled = select.poll()
    for number, events in events_by_fd.items():
        polled.register(number, events)
    while True:
        left_ms = None if deadline is None else time_until(deadline) / NS_PER_MS
        try:
            ready = polled.poll(None if left_ms is None else min(left_ms, _MAX_TIMEOUT_MS))
        except OSError as error:
            raise errors.failed("poll(2)", error) from error
        if ready or (left_ms is not None and left_ms <= _MAX_TIMEOUT_MS):
            return ready
