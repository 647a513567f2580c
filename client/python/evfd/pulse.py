"""A pulse: news for everyone who follows it at that moment, counted for each."""

from __future__ import annotations

from evfd import daemon as _daemon
from evfd.daemon import Daemon, Lifetime, Opened
from evfd.descriptor import Descriptor, take
from evfd.waitable import Closing, Taking, check_kind, open_or_make


class Pulse(Closing):
    """Follows the pulse of that name as long as it is open: its count is its own.

    `create`, `rights`, `lifetime` and `daemon`: as for Event.
    """

    def __init__(
        self,
        name: str,
        *,
        create: bool | None = None,
        rights: int | None = None,
        lifetime: Lifetime = "permanent",
        daemon: Daemon | None = None,
    ) -> None:
        def make(by: Daemon, exist_ok: bool) -> None:
            by.create(name, "pulse", rights=rights, lifetime=lifetime, exist_ok=exist_ok)

        daemon, opened = open_or_make(name, daemon, create, make)
        check_kind(name, opened, "pulse")
        super().__init__(name, daemon, opened)

    def set(self, count: int = 1) -> None:
        """Reach all who follow it now, to be counted `count` times.  Through the daemon."""
        _daemon.check_tokens(count)
        self._to_set()
        self._by_daemon().set(self._name or "", count=count)

    def clear(self) -> None:
        """Forget those not waited for yet."""
        take(self._to_wait()[1])

    def wait(self, timeout: float | None = None) -> int:
        """How many came since the last wait, once there is one; 0 once `timeout` seconds are
        over."""
        return self._wait(timeout)

    async def wait_async(self, timeout: float | None = None) -> int:
        """As wait(), in an asyncio loop."""
        return await self._wait_async(timeout)

    def _taking(self) -> Taking:
        return "own"

    def _take(self, opened: Opened, descriptor: Descriptor) -> int:
        return take(descriptor)
