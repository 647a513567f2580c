"""Waits for any or all of several, each on its descriptor."""

from __future__ import annotations

import dataclasses
from typing import Optional, Sequence

from evfd import errors, names
from evfd.clock import Deadline, deadline_after, left_until
from evfd.daemon import Opened
from evfd.descriptor import Descriptor
from evfd.poller import Poller
from evfd.waitable import Taking, Waitable


@dataclasses.dataclass(frozen=True)
class Woken:
    """What ended a wait for any of several.  `count`: as Pulse.wait() and Timer.wait(); 1 for all
    others."""

    which: Waitable
    count: int


def wait_any(waited: Sequence[Waitable], timeout: float | None = None) -> Optional[Woken]:
    """Wait for one of them, and take from that one only; None once `timeout` seconds are over.  At
    most 253."""
    return _Gathering(waited).wait_any(deadline_after(timeout))


def wait_all(waited: Sequence[Waitable], timeout: float | None = None) -> bool:
    """Wait for all of them: True, or False once `timeout` seconds are over.

    It takes from all auto events and semaphores or from none; for a manual event, a pulse and a
    timer it is enough that it was set, or expired, since.  At most 253, none twice.
    """
    return _Gathering(waited).wait_all(deadline_after(timeout))


class _Gathering:
    def __init__(self, waited: Sequence[Waitable]) -> None:
        if not 1 <= len(waited) <= names.MOST_PER_CALL:
            raise errors.make(
                errors.InvalidError, f"wait for 1 to {names.MOST_PER_CALL} events and timers"
            )
        self._all = list(waited)
        opened = [one._to_wait() for one in self._all]
        self._opened: list[Opened] = [both[0] for both in opened]
        self._descriptors: list[Descriptor] = [both[1] for both in opened]

    def _take(self, index: int) -> int:
        one = self._all[index]
        if one._taking() == "nothing":
            return 1
        return one._take(self._opened[index], self._descriptors[index])

    # Any.

    def wait_any(self, deadline: Deadline) -> Optional[Woken]:
        with Poller(len(self._all)) as poller:
            for index, descriptor in enumerate(self._descriptors):
                poller.arm(index, descriptor)
            while rung := poller.next(deadline):
                for index in rung:
                    if count := self._take(index):
                        return Woken(self._all[index], count)
                    poller.arm(index, self._descriptors[index])  # Another was faster.
        return None

    # All.

    def wait_all(self, deadline: Deadline) -> bool:
        self._refuse_twins()
        which: Sequence[int] = range(len(self._all))
        with Poller(len(self._all)) as poller:
            while self._latch(poller, which, deadline):
                emptied = self._take_all()
                if emptied is None:
                    return True
                if deadline is not None and left_until(deadline) == 0:
                    break
                which = [emptied]
        return False

    def _refuse_twins(self) -> None:
        known = {
            id(one) if one._daemon is None else (one._daemon.address.path, one.name)
            for one in self._all
        }
        if len(known) < len(self._all):
            raise errors.make(errors.InvalidError, "give each event and timer once")

    def _latch(self, poller: Poller, which: Sequence[int], deadline: Deadline) -> bool:
        """Waits until each of them has rung."""
        for index in which:
            poller.arm(index, self._descriptors[index])
        left = len(which)
        while left > 0:
            rung = poller.next(deadline)
            if not rung:
                return False
            left -= len(rung)
        return True

    def _take_all(self) -> Optional[int]:
        """Takes from each that is to be taken from; if others were faster at one, from none: that
        one."""
        taken: list[tuple[int, int]] = []
        kinds: tuple[Taking, ...] = ("shared", "own")  # Nobody else is at what is our own.
        try:
            for kind in kinds:
                for index, one in enumerate(self._all):
                    if one._taking() != kind:
                        continue
                    count = self._take(index)
                    if count and kind == "shared":
                        taken.append((index, count))
                    elif not count and kind == "shared":
                        self._put_back(taken)
                        return index
        except BaseException:
            self._put_back(taken)
            raise
        return None

    def _put_back(self, taken: Sequence[tuple[int, int]]) -> None:
        for index, count in taken:
            self._all[index]._put_back(self._descriptors[index], count)
