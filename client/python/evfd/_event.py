"""A threading.Event with a descriptor, and with a name that other processes can open."""

from __future__ import annotations

import warnings

from evfd import _async_wait
from evfd._client import Client, Lifetime, Mode, Opened
from evfd._descriptor import Descriptor, add, consume, make_eventfd
from evfd._time import Seconds
from evfd._waitable import ClosingMixin, Consumption, check_kind, open_or_create


class EventBase(ClosingMixin):
    """Base class of evfd.Event and evfd.asyncio.Event."""

    def __init__(
        self,
        name: str | None = None,
        *,
        auto: bool | None = None,
        initial: bool = False,
        create: bool = False,
        exist_ok: bool = True,
        permissions: int | None = None,
        lifetime: Lifetime = "permanent",
        client: Client | None = None,
    ) -> None:
        mode: Mode = "auto" if auto else "manual"
        if name is None:
            eventfd = make_eventfd(int(initial))
            super().__init__(None, None, Opened("event", mode, True, True, eventfd, None))
            return

        def create_object(at: Client, exist_ok: bool) -> None:
            at.create(
                name or "",
                mode,
                initial=int(initial),
                permissions=permissions,
                lifetime=lifetime,
                exist_ok=exist_ok,
            )

        client, opened = open_or_create(name, client, create, exist_ok, create_object)
        check_kind(name, opened, *(("manual", "auto") if auto is None else (mode,)))
        super().__init__(name, client, opened)

    @property
    def auto(self) -> bool:
        """True if the event is an auto event: a wait clears it, so each set releases one waiter."""
        return self._handle().mode == "auto"

    def set(self) -> None:
        """Set the event and release all waiters, or one waiter of an auto event.

        Waiters are released even if the event is cleared at once (see supports_latched_wait()).
        """
        opened = self._require_settable()
        if opened.descriptor is None:
            self._require_client().set(self._name or "")
        else:
            add(opened.descriptor, 1)  # A full counter is no error, because the event is set.

    def clear(self) -> None:
        """Reset the event; later calls to wait() block until it is set again."""
        opened = self._require_settable()
        if opened.descriptor is None:
            self._require_client().clear(self._name or "")
        else:
            consume(opened.descriptor)

    def _consumption(self) -> Consumption:
        return "shared" if self._handle().mode == "auto" else "none"

    def _consume(self, opened: Opened, descriptor: Descriptor) -> int:
        return min(consume(descriptor), 1)

    def _restore(self, descriptor: Descriptor, count: int) -> None:
        add(descriptor, count)


class Event(EventBase):
    """An event that stays set until it is cleared.

    `name` is the name at the daemon.  An event without a name is private to this process and the
    children that it forks, and needs no daemon.  If `client` is None, default_client() is used.

    `create`: if true, create the event if it does not exist.  If false, raise NoSuchNameError if it
    does not exist.  `exist_ok`: if false, `create` must be true; raise NameTakenError if the event
    exists.

    `auto`: if true, each wait clears the event, so each set releases one waiter.  If None, an
    existing event can have the mode manual or auto, and a new event is manual.  `initial`: whether
    a new event is set.  For `permissions` and `lifetime` of a new event, see Client.create().

    Where the permissions allow it, all operations work on the descriptor, without the daemon.
    """

    def isSet(self) -> bool:
        """Return is_set().  This alias is deprecated, as it is in threading.Event."""
        warnings.warn(
            "isSet() is deprecated, use is_set() instead", DeprecationWarning, stacklevel=2
        )
        return self.is_set()

    def wait(self, timeout: Seconds | None = None) -> bool:
        """Wait until the event is set; return False once `timeout` seconds have passed.

        Return at once if the event is already set.
        """
        return self._wait(timeout) > 0

    async def wait_async(self, timeout: Seconds | None = None) -> bool:
        """Wait in an asyncio loop, like wait() of evfd.asyncio."""
        return await _async_wait.wait(self, timeout) > 0
