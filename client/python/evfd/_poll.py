"""poll(2) with a deadline that may be any time away."""

from __future__ import annotations

import select
from typing import Mapping

from evfd import errors
from evfd.clock import NS_PER_MS, Deadline, left_until

_LONGEST_MS = 24 * 60 * 60 * 1000  # poll(2) takes an int.


def poll(wanted: Mapping[int, int], deadline: Deadline) -> list[tuple[int, int]]:
    """Descriptors and what happened to them, of descriptors and what is wanted of them; nothing if
    the time was over.  A deadline that has passed looks once; None: it waits without an end."""
    polled = select.poll()
    for number, events in wanted.items():
        polled.register(number, events)
    while True:
        left_ms = None if deadline is None else left_until(deadline) / NS_PER_MS
        try:
            happened = polled.poll(None if left_ms is None else min(left_ms, _LONGEST_MS))
        except OSError as error:
            raise errors.failed("poll(2)", error) from error
        if happened or (left_ms is not None and left_ms <= _LONGEST_MS):
            return happened
