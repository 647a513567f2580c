"""What one can wait for: what events, semaphores, pulses and timers have in common in this
process."""

from __future__ import annotations

import abc
from types import TracebackType
from typing import Any, Callable, Literal, Optional, TypeVar

from evfd import errors, names
from evfd.bell import becomes_readable
from evfd.clock import deadline_after, left_until
from evfd.daemon import Daemon, Opened, usual_daemon
from evfd.descriptor import Descriptor, is_readable
from evfd.poller import Poller

#: What a wait takes when it is over: nothing; what another one could take as well; or what nobody
#: else has, so that it stays until it is taken.
Taking = Literal["nothing", "shared", "own"]

_W = TypeVar("_W", bound="Waitable")


class Waitable(abc.ABC):
    """An Event, a Semaphore, a Pulse or a Timer.  May be used by several threads.

    The descriptor is closed by close(), and when the last reference goes.  After os.fork() parent
    and child have the same event; each has a connection of its own.
    """

    _WHAT = ""  # For people.

    def __init__(self, name: str | None, daemon: Daemon | None, opened: Opened) -> None:
        self._name = name
        self._daemon = daemon
        self._opened: Optional[Opened] = opened

    @property
    def name(self) -> str | None:
        """None: it is private."""
        return self._name

    @property
    def may_wait(self) -> bool:
        """Whether our rights are enough to look, to poll, and to wait where a wait takes nothing
        that others could have.  To wait for an auto event or a semaphore takes may_set as well."""
        return self._handle().may_wait

    @property
    def may_set(self) -> bool:
        """Whether our rights are enough to set and clear, or to arm and disarm."""
        return self._handle().may_set

    @property
    def closed(self) -> bool:
        return self._opened is None

    def close(self) -> None:
        """It can be used no more here; the object goes on.  Who waits in another thread goes on
        waiting."""
        self._opened = None

    def fileno(self) -> int:
        """To select, poll or put into an event loop: readable while a wait would end at once.  It
        stays this object's."""
        return self._to_look()[1].number

    def is_set(self) -> bool:
        """Whether a wait would end at once.  It takes nothing."""
        return is_readable(self._to_look()[1])

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(f"cannot pickle an {type(self).__name__}; open it by name over there")

    def __repr__(self) -> str:
        name = "" if self._name is None else f" {self._name!r}"
        return f"<evfd.{type(self).__name__}{name} at {id(self):#x}: {self._state()}>"

    def _state(self) -> str:
        if self._opened is None:
            return "closed"
        if not self._opened.may_wait:
            return "unknown"
        return "set" if self.is_set() else "unset"

    # For those who wait.

    @abc.abstractmethod
    def _taking(self) -> Taking:
        ...

    @abc.abstractmethod
    def _take(self, opened: Opened, descriptor: Descriptor) -> int:
        """0 if there was nothing.  Never waits."""

    def _put_back(self, descriptor: Descriptor, count: int) -> None:
        """Of what is shared."""
        raise NotImplementedError

    def _handle(self) -> Opened:
        opened = self._opened
        if opened is None:
            raise ValueError(f"operation on a closed {type(self).__name__}")
        return opened

    def _to_look(self) -> tuple[Opened, Descriptor]:
        opened = self._handle()
        if not opened.may_wait or opened.descriptor is None:
            raise self._not_permitted("wait for", "r")
        return opened, opened.descriptor

    def _to_wait(self) -> tuple[Opened, Descriptor]:
        opened, descriptor = self._to_look()
        if self._taking() == "shared" and not opened.may_set:
            raise errors.make(
                errors.NotPermittedError,
                f"you may not take from '{self._name}': a wait that consumes needs r and w; ask "
                "its owner for the w right, or the administrator if the policy is against it",
                self._name,
            )
        return opened, descriptor

    def _to_set(self) -> Opened:
        opened = self._handle()
        if not opened.may_set:
            raise self._not_permitted("set, clear or arm", "w")
        return opened

    def _not_permitted(self, what: str, right: str) -> errors.Error:
        return errors.make(
            errors.NotPermittedError,
            f"you may not {what} '{self._name}'; ask its owner for the {right} right, or the "
            "administrator if the policy is against it",
            self._name,
        )

    def _by_daemon(self) -> Daemon:
        assert self._daemon is not None  # Who is private has all rights.
        return self._daemon

    def _look(self, opened: Opened, descriptor: Descriptor) -> int:
        """What a wait would give that does not wait."""
        if self._taking() == "nothing":
            return int(is_readable(descriptor))
        return self._take(opened, descriptor)

    def _wait(self, timeout: float | None) -> int:
        """What was taken, 1 if nothing is to be; 0: the time was over first."""
        opened, descriptor = self._to_wait()
        if count := self._look(opened, descriptor):
            return count
        deadline = deadline_after(timeout)
        if self._taking() == "nothing":
            with Poller(1) as poller:
                poller.arm(0, descriptor)
                return len(poller.next(deadline))
        # What is to be taken stays until it is taken: poll(2) cannot miss it.
        while is_readable(descriptor, deadline):
            if count := self._take(opened, descriptor):
                return count
        return 0

    async def _wait_async(self, timeout: float | None) -> int:
        opened, descriptor = self._to_wait()
        if count := self._look(opened, descriptor):
            return count
        deadline = deadline_after(timeout)
        while await becomes_readable(descriptor, deadline):
            if self._taking() == "nothing":
                return 1
            if count := self._take(opened, descriptor):
                return count
            if deadline is not None and left_until(deadline) == 0:
                break
        return 0


class Closing(Waitable):
    """Of those that are closed at the end of a ``with`` statement."""

    def __enter__(self: _W) -> _W:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_or_make(
    name: str, daemon: Daemon | None, create: bool | None, make: Callable[[Daemon, bool], object]
) -> tuple[Daemon, Opened]:
    """Opens what is there and else makes it, by `make(daemon, exist_ok)`; `create`: as for
    Event."""
    names.check(name)
    daemon = usual_daemon() if daemon is None else daemon
    if create:
        make(daemon, False)
        return daemon, daemon._open(name)
    while True:
        try:
            return daemon, daemon._open(name)
        except errors.NoSuchNameError:
            if create is False:
                raise
        make(daemon, True)  # Somebody may delete it again before it is opened.


_CLASSES = {
    "manual": "an event; use evfd.Event",
    "auto": "an event that a wait takes; use evfd.Event, and not auto=False",
    "semaphore": "a semaphore; use evfd.Semaphore",
    "pulse": "a pulse; use evfd.Pulse",
    "timer": "a timer; use evfd.Timer",
}


def check_kind(name: str, opened: Opened, *kinds: str) -> None:
    """WrongKindError if it is none of these: modes of events, or timer."""
    its = opened.mode if opened.kind == "event" and opened.mode is not None else opened.kind
    if its not in kinds:
        raise errors.make(
            errors.WrongKindError, f"'{name}' is {_CLASSES.get(its, 'unknown to us')}", name
        )
