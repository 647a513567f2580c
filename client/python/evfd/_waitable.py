"""The common base of events, semaphores, pulses and timers."""

from __future__ import annotations

import abc
import itertools
from types import TracebackType
from typing import Any, Callable, Iterable, Literal, Optional, TypeVar

from evfd import _validation, errors
from evfd._address import Address
from evfd._aio_poller import Poller
from evfd._client import Client, Opened, client_of, default_client
from evfd._descriptor import Descriptor, is_readable
from evfd._time import Seconds, deadline_after

#: Tells what a completed wait consumes.  none: nothing; shared: tokens for which other waiters
#: compete; exclusive: the count of a private descriptor, which stays until it is consumed.
Consumption = Literal["none", "shared", "exclusive"]

_W = TypeVar("_W", bound="Waitable")


class Waitable(abc.ABC):
    """An Event, a Lock, a Semaphore, a Pulse or a Timer.  Several threads can use it.

    close() closes the descriptor.  The descriptor also closes when the last reference to the object
    is deleted.  After os.fork(), parent and child share the event, but each process has its own
    connection to the daemon.

    A pickled object has its name and the address of its daemon, and is opened by them where it is
    unpickled.
    """

    _module = "evfd"  # The public module of the class; "evfd.asyncio" if wait() is a coroutine.

    def __init__(self, name: str | None, client: Client | None, opened: Opened) -> None:
        self._name = name
        self._client = client
        self._opened: Optional[Opened] = opened

    @property
    def name(self) -> str | None:
        """The name, or None if the object is private to this process and its children."""
        return self._name

    @property
    def may_wait(self) -> bool:
        """True if the permissions allow is_set(), polling, and waits that consume no shared token.

        A wait for an auto event or a semaphore also needs `may_set`.
        """
        return self._handle().may_wait

    @property
    def may_set(self) -> bool:
        """True if the permissions allow to set and clear, or to arm and disarm."""
        return self._handle().may_set

    @property
    def closed(self) -> bool:
        """True after close()."""
        return self._opened is None

    def close(self) -> None:
        """Close the descriptor.

        The named object continues to exist, and threads that already wait are not woken.
        """
        self._opened = None

    def fileno(self) -> int:
        """Return the descriptor, which polls readable whenever a wait would succeed immediately.

        This object continues to own the descriptor.
        """
        return self._require_readable()[1].number

    def is_set(self) -> bool:
        """Return whether a wait would succeed immediately.  Consumes nothing."""
        return is_readable(self._require_readable()[1])

    def __reduce__(self) -> Any:
        self._handle()
        if self._name is None:
            raise TypeError(
                f"cannot pickle a private {type(self).__name__}; give it a name, by which the "
                "other process opens it"
            )
        return open_pickled, (type(self), self._name, self._require_client().address)

    def __repr__(self) -> str:
        name = "" if self._name is None else f" {self._name!r}"
        return f"<{self._module}.{type(self).__name__}{name} at {id(self):#x}: {self._state()}>"

    def _state(self) -> str:
        if self._opened is None:
            return "closed"
        if not self._opened.may_wait:
            return "unknown"
        if self._has_lost_client(self._opened):
            return "its client is closed"
        return "set" if self.is_set() else "unset"

    # The waits of this package use the following methods.

    @abc.abstractmethod
    def _consumption(self) -> Consumption:
        ...

    @abc.abstractmethod
    def _consume(self, opened: Opened, descriptor: Descriptor) -> int:
        """Consume without blocking; return the consumed count, or 0 if nothing was consumed."""

    def _restore(self, descriptor: Descriptor, count: int) -> None:
        """Give `count` tokens, which a wait consumed, back to the event or the semaphore.

        Called only if the consumption is shared.
        """
        raise NotImplementedError

    def _handle(self) -> Opened:
        opened = self._opened
        if opened is None:
            raise ValueError(f"operation on a closed {type(self).__name__}")
        return opened

    def _require_readable(self) -> tuple[Opened, Descriptor]:
        """Return the handle and its descriptor; raise NotPermittedError without read permission."""
        opened = self._handle()
        if not opened.may_wait or opened.descriptor is None:
            raise self._not_permitted("wait for", "r")
        if self._has_lost_client(opened):
            raise ValueError(
                f"'{self._name}' was opened by a client that was closed, so its subscription "
                "has ended; open it again"
            )
        return opened, opened.descriptor

    @staticmethod
    def _has_lost_client(opened: Opened) -> bool:
        return opened.subscription is not None and opened.subscription.has_ended()

    def _require_consumable(self) -> tuple[Opened, Descriptor]:
        """Like _require_readable(), but also raise NotPermittedError if a wait is not permitted."""
        opened, descriptor = self._require_readable()
        if self._consumption() == "shared" and not opened.may_set:
            raise errors.NotPermittedError(
                f"you may not consume from '{self._name}': a wait that consumes needs r and w; ask "
                "its owner for the w permission, or the administrator if the policy denies it",
                self._name,
            )
        return opened, descriptor

    def _require_settable(self) -> Opened:
        """Return the handle; raise NotPermittedError without write permission."""
        opened = self._handle()
        if not opened.may_set:
            raise self._not_permitted("set, clear or arm", "w")
        return opened

    def _not_permitted(self, operation: str, permission: str) -> errors.Error:
        return errors.NotPermittedError(
            f"you may not {operation} '{self._name}'; ask its owner for the {permission} "
            "permission, or the administrator if the policy denies it",
            self._name,
        )

    def _require_client(self) -> Client:
        # Every object without a client is private to this process and its children. This process
        # has all permissions and the descriptor of a private object, so no operation on it needs a
        # client.
        assert self._client is not None
        return self._client

    def _try_wait(self, opened: Opened, descriptor: Descriptor) -> int:
        """Return the result of a wait that does not block."""
        if self._consumption() == "none":
            return int(is_readable(descriptor))
        return self._consume(opened, descriptor)

    def _wait(self, timeout: Seconds | None) -> int:
        """Wait until the object is set; return 0 on timeout.

        If the wait was successful, return the consumed count, or 1 if the wait consumes nothing.
        """
        opened, descriptor = self._require_consumable()
        if count := self._try_wait(opened, descriptor):
            return count
        deadline = deadline_after(timeout)
        if self._consumption() == "none":
            with Poller(1) as poller:
                poller.arm(0, descriptor)
                return len(poller.wait(deadline))
        # A token stays until a wait consumes the token, so a sleep in poll(2) cannot miss it.
        while is_readable(descriptor, deadline):
            if count := self._consume(opened, descriptor):
                return count
        return 0


def open_pickled(kind: Callable[..., _W], name: str, address: Address, *more: object) -> _W:
    """Open the object of a pickle, which refers to this function as ``evfd._open_pickled``."""
    return kind(name, *more, client=client_of(address))


class ClosingMixin(Waitable):
    """A waitable that closes at the end of a ``with`` statement."""

    def __enter__(self: _W) -> _W:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def check_waitables(waitables: Iterable[Waitable]) -> list[Waitable]:
    """Return the objects of a wait for several; raise an error if they are not valid."""
    if isinstance(waitables, Waitable):
        raise TypeError(
            f"a wait for several objects takes a list of them, not one {type(waitables).__name__}; "
            "call its wait(), or give a list"
        )
    most = _validation.MAX_NAMES
    given = list(itertools.islice(waitables, most + 1))
    for one in given:
        if not isinstance(one, Waitable):
            raise TypeError(
                f"cannot wait for a {type(one).__name__}; give events, semaphores, pulses and "
                "timers of this package"
            )
    if not 1 <= len(given) <= most:
        raise errors.InvalidError(f"wait for 1 to {most} events and timers")
    return given


def open_or_create(
    name: str,
    client: Client | None,
    create: bool,
    exist_ok: bool,
    create_object: Callable[[Client, bool], object],
) -> tuple[Client, Opened]:
    """Open an object, or create it by `create_object(client, exist_ok)`.

    For `create`, `exist_ok` and the default of `client`, see Event.
    """
    client = check_creation(name, client, create, exist_ok)
    if not exist_ok:
        create_object(client, False)
        return client, client._open(name)
    while True:
        try:
            return client, client._open(name)
        except errors.NoSuchNameError as error:
            if not create:
                raise missing(name, error) from None
        # Another client can delete the object before the loop opens it.
        create_object(client, True)


def check_creation(name: str, client: Client | None, create: bool, exist_ok: bool) -> Client:
    """Check the arguments that all constructors have; return the client to use."""
    _validation.check_name(name)
    if not create and not exist_ok:
        raise errors.InvalidError("exist_ok=False needs create=True; give both", name)
    if client is not None and not isinstance(client, Client):
        raise TypeError(
            f"client is an evfd.Client, not {type(client).__name__}; give evfd.Client(address)"
        )
    return default_client() if client is None else client


def missing(name: str, error: errors.NoSuchNameError) -> errors.NoSuchNameError:
    """Return the error of a constructor that was not asked to create a missing object."""
    raised = errors.NoSuchNameError(
        f"there is no object named '{name}'; give create=True to create it, or choose one of the "
        "names that exist",
        name,
    )
    raised.parameters = error.parameters
    return raised


_DESCRIPTIONS = {
    "manual": "a manual event; use evfd.Event",
    "auto": "an auto event; use evfd.Event without auto=False, or evfd.Lock",
    "semaphore": "a semaphore; use evfd.Semaphore",
    "pulse": "a pulse; use evfd.Pulse",
    "timer": "a timer; use evfd.Timer",
}


def check_kind(name: str, opened: Opened, *kinds: str) -> None:
    """Raise WrongKindError unless the object's kind is in `kinds`.

    For an event, the kind is the mode of the event.  For a timer, the kind is "timer".
    """
    actual = opened.mode if opened.kind == "event" and opened.mode is not None else opened.kind
    if actual not in kinds:
        raise errors.WrongKindError(
            f"'{name}' is {_DESCRIPTIONS.get(actual, 'of a kind that this package does not know')}",
            name,
        )
