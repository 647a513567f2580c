"""A threading.Event with a descriptor, and with a name if it is to be shared."""

from __future__ import annotations

import warnings

from evfd.daemon import Daemon, Lifetime, Opened
from evfd.descriptor import Descriptor, add, make_eventfd, take
from evfd.waitable import Closing, Taking, check_kind, open_or_make


class Event(Closing):
    """An event that is set until it is cleared.

    `name`: the daemon's event of that name; without one it is private, and needs no daemon: known
    to this process and the children that it forks.  `create`: None makes it if it is missing, False
    opens only (NoSuchNameError), True makes only (NameTakenError).  `daemon`: the usual one if
    None.

    For one that is made: `auto`: a wait takes the set, so each releases one (None: as it is, a new
    one does not); `initial`: it is set from the start; `rights` and `lifetime`: see
    Daemon.create().

    Wherever the rights allow, all happens on the descriptor, without the daemon.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        auto: bool | None = None,
        initial: bool = False,
        create: bool | None = None,
        rights: int | None = None,
        lifetime: Lifetime = "permanent",
        daemon: Daemon | None = None,
    ) -> None:
        mode = "auto" if auto else "manual"
        if name is None:
            eventfd = make_eventfd(int(initial))
            super().__init__(None, None, Opened("event", mode, True, True, eventfd, None))
            return

        def make(by: Daemon, exist_ok: bool) -> None:
            by.create(
                name or "",
                "auto" if auto else "manual",
                initial=int(initial),
                rights=rights,
                lifetime=lifetime,
                exist_ok=exist_ok,
            )

        daemon, opened = open_or_make(name, daemon, create, make)
        check_kind(name, opened, *(("manual", "auto") if auto is None else (mode,)))
        super().__init__(name, daemon, opened)

    @property
    def auto(self) -> bool:
        """Whether a wait takes the set."""
        return self._handle().mode == "auto"

    def set(self) -> None:
        """Set it.  Everyone who waits at this moment is released, even if it is cleared at once
        (see latches_waits()); of an auto event one is."""
        opened = self._to_set()
        if opened.descriptor is None:
            self._by_daemon().set(self._name or "")
        else:
            add(opened.descriptor, 1)  # If there is no room for more, it is set.

    def clear(self) -> None:
        """From now on who waits waits until it is set again."""
        opened = self._to_set()
        if opened.descriptor is None:
            self._by_daemon().clear(self._name or "")
        else:
            take(opened.descriptor)

    def isSet(self) -> bool:
        """As threading.Event has it: a deprecated alias of is_set()."""
        warnings.warn(
            "isSet() is deprecated, use is_set() instead", DeprecationWarning, stacklevel=2
        )
        return self.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set: True, or False once `timeout` seconds are over.  If it is set, it
        returns at once."""
        return self._wait(timeout) > 0

    async def wait_async(self, timeout: float | None = None) -> bool:
        """As wait(), in an asyncio loop."""
        return await self._wait_async(timeout) > 0

    def _taking(self) -> Taking:
        return "shared" if self._handle().mode == "auto" else "nothing"

    def _take(self, opened: Opened, descriptor: Descriptor) -> int:
        return min(take(descriptor), 1)

    def _put_back(self, descriptor: Descriptor, count: int) -> None:
        add(descriptor, count)
