"""Waits for any or all of several.  Each is waited for on its descriptor, but what the caller may
only take from through the daemon."""

from __future__ import annotations

import dataclasses
from typing import Optional, Sequence

from evfd import errors, names
from evfd.clock import Deadline, deadline_after, left_until
from evfd.daemon import Daemon, Opened
from evfd.descriptor import Descriptor
from evfd.objects import Fired
from evfd.pending_wait import PendingWait
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
    timer it is enough that it was set, or expired, since.  At most 253, none twice.  Where one of
    them may not be set, so that the daemon has to take from it, a private one among them must not
    be taken from by others meanwhile.
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
        self._here, self._there = self._places()

    def _places(self) -> tuple[list[int], list[int]]:
        """Which are waited for here and which through the daemon.  Where nothing has to be taken
        through it, or nothing is our own, all named are in one place.  Otherwise the daemon takes
        all that is shared: it can do so from all at once or from none."""
        needs_daemon = any(
            one._takes_by_daemon(opened) for one, opened in zip(self._all, self._opened)
        )
        has_own = any(one._taking() == "own" or one._daemon is None for one in self._all)
        here: list[int] = []
        there: list[int] = []
        for index, one in enumerate(self._all):
            is_for_daemon = (
                needs_daemon
                and one._daemon is not None
                and (not has_own or one._taking() == "shared")
            )
            (there if is_for_daemon else here).append(index)
        if len({id(self._all[index]._daemon) for index in there}) > 1:
            raise ValueError("cannot take from several daemons at once")
        return here, there

    # Through the daemon.

    def _daemon(self) -> Daemon:
        return self._all[self._there[0]]._by_daemon()

    def _request(self, gather: str) -> dict[str, object]:
        return {"names": [self._all[index].name for index in self._there], "gather": gather}

    def _woken(self, fired: Fired) -> Woken:
        which = next(self._all[i] for i in self._there if self._all[i].name == fired.name)
        return Woken(which, fired.count)

    def _take(self, index: int) -> int:
        one = self._all[index]
        if one._taking() == "nothing":
            return 1
        return one._take(self._opened[index], self._descriptors[index])

    # Any.

    def wait_any(self, deadline: Deadline) -> Optional[Woken]:
        if not self._there:
            return self._wait_any_here(deadline)
        if self._here:
            return self._wait_any_in_both(deadline)
        try:
            return self._woken(self._daemon()._wait(self._request("any"), deadline)[0])
        except errors.TimedOutError:
            return None

    def _wait_any_here(self, deadline: Deadline) -> Optional[Woken]:
        with Poller(len(self._all)) as poller:
            for index, descriptor in enumerate(self._descriptors):
                poller.arm(index, descriptor)
            while rung := poller.next(deadline):
                for index in rung:
                    if count := self._take(index):
                        return Woken(self._all[index], count)
                    poller.arm(index, self._descriptors[index])  # Another was faster.
        return None

    def _wait_any_in_both(self, deadline: Deadline) -> Optional[Woken]:
        pending: Optional[PendingWait] = None
        while True:
            if pending is None:
                pending = PendingWait(self._daemon(), self._request("any"), deadline)
            try:
                pending.ask()
                rung = self._ring_in_both(pending)
            except BaseException:
                if fired := pending.call_off():  # What was taken is told.
                    return self._woken(fired[0])
                raise
            if not rung:  # It answered, as it does when the time is over.
                try:
                    return self._woken(pending.finish()[0])
                except errors.TimedOutError:
                    return None
                except errors.LostDaemonError:
                    pending.connect_again()
                continue
            if fired := pending.call_off():  # What is here stays for the next wait.
                return self._woken(fired[0])
            pending = None
            for index in rung:
                if count := self._take(index):
                    return Woken(self._all[index], count)

    def _ring_in_both(self, pending: PendingWait) -> list[int]:
        """Those here that rang; none: the daemon's answer did."""
        answer = len(self._all)
        with Poller(len(self._here) + 1) as poller:
            for index in self._here:
                poller.arm(index, self._descriptors[index])
            poller.arm(answer, pending)
            while not (rung := poller.next(pending.overdue())):
                pending.look_for_sign_of_life()
            return [index for index in rung if index != answer]

    # All.

    def wait_all(self, deadline: Deadline) -> bool:
        self._refuse_twins()
        if not self._there:
            return self._wait_all_here(deadline)
        # What is here stays, once it is there, until the rest is there as well.
        with Poller(len(self._all)) as poller:
            if not self._latch(poller, self._here, deadline):
                return False
        try:
            self._daemon()._wait(self._request("all"), deadline)
        except errors.TimedOutError:
            return False
        for index in self._here:
            self._take(index)
        return True

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

    def _wait_all_here(self, deadline: Deadline) -> bool:
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
