"""Waits for any or for all of several events, semaphores, pulses and timers.

The caller's thread waits on the descriptors themselves; the daemon is not involved, and the objects
can belong to several daemons.

wait_any() polls all descriptors and consumes from the first descriptor that is ready.  If another
waiter was faster, the descriptor is polled again.

wait_all() polls until each descriptor was ready once, so a manual event only needs to have been set
at some time during the wait (see supports_latched_wait()).  After that, wait_all() consumes from
all objects: first from auto events and semaphores, for which other waiters compete, then from the
private descriptors of pulses and timers.  If an auto event or a semaphore is empty, wait_all()
gives the tokens consumed so far back to their objects, and continues to wait for the empty object.

Invariants:

- wait_all() consumes from all objects or from none, even if a signal handler raises an exception.
- No object occurs twice in wait_all(), because a single token would be needed twice.
- The set keeps a reference to each descriptor, so that another thread cannot close a descriptor
  during the wait and the number cannot be given to another file.
"""

from __future__ import annotations

import dataclasses
from typing import Iterable, Optional, Sequence

from evfd import errors
from evfd._aio_poller import Poller
from evfd._client import Opened
from evfd._descriptor import Descriptor
from evfd._time import Deadline, Seconds, deadline_after, time_until
from evfd._waitable import Consumption, Waitable, check_waitables


@dataclasses.dataclass(frozen=True)
class WaitResult:
    """The object that completed a wait_any().

    `count`: the return value of Pulse.wait() or Timer.wait(); 1 for all other objects.
    """

    which: Waitable
    count: int


def wait_any(
    waitables: Iterable[Waitable], timeout: Seconds | None = None
) -> Optional[WaitResult]:
    """Wait for one of up to 253 objects, and consume only from that object.

    Return None once `timeout` seconds have passed; a timeout of None waits indefinitely.
    """
    return _WaitSet(waitables).wait_any(deadline_after(timeout))


def wait_all(waitables: Iterable[Waitable], timeout: Seconds | None = None) -> bool:
    """Wait for all of up to 253 different objects.

    Consume from all auto events and semaphores or from none.  A manual event, a pulse or a timer
    counts if it was set, or expired, at any time during the wait.

    Return False once `timeout` seconds have passed; a timeout of None waits indefinitely.
    """
    return _WaitSet(waitables).wait_all(deadline_after(timeout))


class _WaitSet:
    """The objects of one wait, with their descriptors."""

    def __init__(self, waitables: Iterable[Waitable]) -> None:
        self._waitables = check_waitables(waitables)
        if any(waitable._module == "evfd.asyncio" for waitable in self._waitables):
            raise TypeError(
                "this wait would block the loop of an evfd.asyncio object; use "
                "evfd.asyncio.wait_any()"
            )
        handles = [waitable._require_consumable() for waitable in self._waitables]
        self._opened: list[Opened] = [opened for opened, _ in handles]
        self._descriptors: list[Descriptor] = [descriptor for _, descriptor in handles]

    def _consume(self, index: int) -> int:
        waitable = self._waitables[index]
        if waitable._consumption() == "none":
            return 1
        return waitable._consume(self._opened[index], self._descriptors[index])

    # The following method implements wait_any().

    def wait_any(self, deadline: Deadline) -> Optional[WaitResult]:
        with Poller(len(self._waitables)) as poller:
            for index, descriptor in enumerate(self._descriptors):
                poller.arm(index, descriptor)
            while ready := poller.wait(deadline):
                for index in ready:
                    if count := self._consume(index):
                        return WaitResult(self._waitables[index], count)
                    # Another waiter has consumed the token, so the descriptor is polled again.
                    poller.arm(index, self._descriptors[index])
        return None

    # The following methods implement wait_all().

    def wait_all(self, deadline: Deadline) -> bool:
        self._reject_duplicates()
        indices: Sequence[int] = range(len(self._waitables))
        with Poller(len(self._waitables)) as poller:
            while self._await_each(poller, indices, deadline):
                empty_index = self._consume_all()
                if empty_index is None:
                    return True
                if deadline is not None and time_until(deadline) == 0:
                    break
                indices = [empty_index]
        return False

    def _reject_duplicates(self) -> None:
        identities = {
            id(waitable)
            if waitable._client is None
            else (waitable._client.address.path, waitable.name)
            for waitable in self._waitables
        }
        if len(identities) < len(self._waitables):
            raise errors.InvalidError("give each event and timer once")

    def _await_each(self, poller: Poller, indices: Sequence[int], deadline: Deadline) -> bool:
        """Wait until each descriptor in `indices` was ready once; return False on timeout."""
        for index in indices:
            poller.arm(index, self._descriptors[index])
        left = len(indices)
        while left > 0:
            ready = poller.wait(deadline)
            if not ready:
                return False
            left -= len(ready)
        return True

    def _consume_all(self) -> Optional[int]:
        """Consume from all objects and return None.

        If an auto event or a semaphore is empty because another waiter was faster, give the
        consumed tokens back to their objects and return the index of the empty object.
        """
        consumed: list[tuple[int, int]] = []
        # Consumes shared tokens first, because other waiters compete for them. No other waiter can
        # consume private counts, so the private counts remain available.
        kinds: tuple[Consumption, ...] = ("shared", "exclusive")
        try:
            for kind in kinds:
                for index, waitable in enumerate(self._waitables):
                    if waitable._consumption() != kind:
                        continue
                    count = self._consume(index)
                    if count and kind == "shared":
                        consumed.append((index, count))
                    elif not count and kind == "shared":
                        self._restore(consumed)
                        return index
        except BaseException:
            self._restore(consumed)
            raise
        return None

    def _restore(self, consumed: Sequence[tuple[int, int]]) -> None:
        for index, count in consumed:
            self._waitables[index]._restore(self._descriptors[index], count)
