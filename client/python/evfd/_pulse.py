"""A pulse: a broadcast to all processes that have it open, counted for each of them."""

from __future__ import annotations

from evfd import _async_wait, _client
from evfd._client import Client, Lifetime, Opened
from evfd._descriptor import Descriptor, consume
from evfd._time import Seconds
from evfd._waitable import ClosingMixin, Consumption, check_kind, open_or_create


class PulseBase(ClosingMixin):
    """Base class of evfd.Pulse and evfd.asyncio.Pulse."""

    def __init__(
        self,
        name: str,
        *,
        create: bool = False,
        exist_ok: bool = True,
        permissions: int | None = None,
        lifetime: Lifetime = "permanent",
        client: Client | None = None,
    ) -> None:
        def create_object(at: Client, exist_ok: bool) -> None:
            at.create(
                name, "pulse", permissions=permissions, lifetime=lifetime, exist_ok=exist_ok
            )

        client, opened = open_or_create(name, client, create, exist_ok, create_object)
        check_kind(name, opened, "pulse")
        super().__init__(name, client, opened)

    def clear(self) -> None:
        """Discard the pulses that this object has received and that no wait has consumed."""
        consume(self._require_consumable()[1])

    def _consumption(self) -> Consumption:
        return "exclusive"

    def _consume(self, opened: Opened, descriptor: Descriptor) -> int:
        return consume(descriptor)


class Pulse(PulseBase):
    """A subscription to the pulse with this name; its count is private to this object.

    For `create`, `exist_ok`, `permissions`, `lifetime` and `client`, see Event.
    """

    def set(self, count: int = 1) -> None:
        """Add `count` to the count of every current subscriber.  Always calls the daemon."""
        _client.check_tokens(count)
        self._require_settable()
        self._require_client().set(self._name or "", count=count)

    def wait(self, timeout: Seconds | None = None) -> int:
        """Wait for a pulse; return the number of pulses since the last wait.

        Return 0 once `timeout` seconds have passed.
        """
        return self._wait(timeout)

    async def wait_async(self, timeout: Seconds | None = None) -> int:
        """Wait in an asyncio loop, like wait() of evfd.asyncio."""
        return await _async_wait.wait(self, timeout)
