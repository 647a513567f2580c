"""A threading.Lock with a descriptor, and with a name that other processes can open."""

from __future__ import annotations

from evfd._client import Client, Lifetime, Opened
from evfd._descriptor import Descriptor, add, consume, make_eventfd
from evfd._scoped import ScopedMixin
from evfd._time import Seconds, is_negative
from evfd._waitable import Consumption, Waitable, check_kind, open_or_create


class LockBase(Waitable):
    """Base class of evfd.Lock and evfd.asyncio.Lock."""

    def __init__(
        self,
        name: str | None = None,
        *,
        create: bool = False,
        exist_ok: bool = True,
        permissions: int | None = None,
        lifetime: Lifetime = "permanent",
        client: Client | None = None,
    ) -> None:
        if name is None:
            super().__init__(
                None, None, Opened("event", "auto", True, True, make_eventfd(1), None)
            )
            return

        def create_object(at: Client, exist_ok: bool) -> None:
            at.create(
                name or "",
                "auto",
                initial=1,
                permissions=permissions,
                lifetime=lifetime,
                exist_ok=exist_ok,
            )

        client, opened = open_or_create(name, client, create, exist_ok, create_object)
        check_kind(name, opened, "auto")
        super().__init__(name, client, opened)

    def locked(self) -> bool:
        """Return True if the lock is locked, so that acquire() would wait."""
        return not self.is_set()

    def release(self) -> None:
        """Unlock the lock; raise RuntimeError if it is not locked.

        Any thread or process may release a lock.  If two of them release it at the same time, it
        is possible that neither gets the error.
        """
        opened = self._require_settable()
        if opened.descriptor is None:
            self._require_client().set(self._name or "")
            return
        if self.is_set():
            raise RuntimeError("release unlocked lock")
        add(opened.descriptor, 1)

    def _state(self) -> str:
        state = super()._state()
        return {"set": "unlocked", "unset": "locked"}.get(state, state)

    def _consumption(self) -> Consumption:
        return "shared"

    def _consume(self, opened: Opened, descriptor: Descriptor) -> int:
        return min(consume(descriptor), 1)

    def _restore(self, descriptor: Descriptor, count: int) -> None:
        add(descriptor, count)


class Lock(LockBase, ScopedMixin):
    """A lock, which is an auto event that starts set.

    For the arguments, see Event.  A ``with`` statement acquires and releases the lock, as for
    threading.Lock; contextlib.closing() closes it.

    An existing auto event keeps its state, so a lock on an event that is not set is locked.

    A lock stays locked if the process that acquired it is killed; ``evfdctl hold`` releases it even
    then.
    """

    def acquire(self, blocking: bool = True, timeout: Seconds = -1) -> bool:
        """Lock the lock; return False if that was not possible within `timeout` seconds.

        A timeout of -1 waits indefinitely, and another negative one raises ValueError, as for
        threading.Lock.
        """
        if timeout == -1:
            return self._wait(None if blocking else 0) > 0
        if not blocking:
            raise ValueError("can't specify a timeout for a non-blocking call")
        if is_negative(timeout):
            raise ValueError("timeout value must be a non-negative number")
        return self._wait(timeout) > 0
