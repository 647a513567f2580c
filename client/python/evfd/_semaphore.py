"""A threading.Semaphore with a descriptor, and with a name that other processes can open."""

from __future__ import annotations

from typing import Any

from evfd import _async_wait, errors
from evfd._client import Client, Lifetime, Opened
from evfd._descriptor import MAX_COUNT, Descriptor, add, consume, make_eventfd, peek_counter
from evfd._scoped import ScopedMixin
from evfd._time import Seconds
from evfd._waitable import Consumption, Waitable, check_kind, open_or_create

# clear() first consumes up to this many tokens. It reads the counter only if tokens are left.
_TOKENS_BEFORE_COUNT = 1_000
# The most tokens that clear() consumes. There is a limit because each read(2) consumes only one
# token.
_MAX_TOKENS_PER_CLEAR = 2**32 - 1


def _drain(semaphore: Descriptor, max_count: int) -> bool:
    """Consume up to `max_count` tokens; return whether the semaphore became empty."""
    return any(not consume(semaphore) for _ in range(max_count))


class SemaphoreBase(Waitable):
    """Base class of evfd.Semaphore and evfd.asyncio.Semaphore."""

    def __init__(
        self,
        name: str | None = None,
        value: int = 1,
        *,
        create: bool = False,
        exist_ok: bool = True,
        permissions: int | None = None,
        lifetime: Lifetime = "permanent",
        client: Client | None = None,
    ) -> None:
        if value < 0:
            raise ValueError("semaphore initial value must be >= 0")
        if name is None:
            eventfd = make_eventfd(value, is_semaphore=True)
            super().__init__(None, None, Opened("event", "semaphore", True, True, eventfd, None))
            return

        def create_object(at: Client, exist_ok: bool) -> None:
            at.create(
                name or "",
                "semaphore",
                initial=value,
                permissions=permissions,
                lifetime=lifetime,
                exist_ok=exist_ok,
            )

        client, opened = open_or_create(name, client, create, exist_ok, create_object)
        check_kind(name, opened, "semaphore")
        super().__init__(name, client, opened)

    def release(self, n: int = 1) -> None:
        """Add `n` tokens; raise LimitError if the counter cannot hold them."""
        if n < 1:
            raise ValueError("n must be one or more")
        opened = self._require_settable()
        if opened.descriptor is None:
            self._require_client().set(self._name or "", count=n)
        elif not add(opened.descriptor, n):
            raise errors.LimitError(
                f"{self._display_name()} has no room for {n} more tokens; consume some first, or "
                "clear it",
                self._name,
            )

    def _clear(self) -> None:
        opened = self._require_settable()
        if opened.descriptor is None:
            self._require_client().clear(self._name or "")
            return
        if _drain(opened.descriptor, _TOKENS_BEFORE_COUNT):
            return
        # Consumes only as many tokens as exist now, because another process can add tokens as fast
        # as _drain() consumes them.
        left = peek_counter(opened.descriptor)
        if left > _MAX_TOKENS_PER_CLEAR:
            raise errors.LimitError(
                f"{self._display_name()} has more than {_MAX_TOKENS_PER_CLEAR} tokens, and they "
                "can only be consumed one by one; delete it, and create it again",
                self._name,
            )
        _drain(opened.descriptor, left)

    def set(self, count: int = 1) -> None:
        """Add tokens, like release()."""
        self.release(count)

    def _display_name(self) -> str:
        return "the semaphore" if self._name is None else f"'{self._name}'"

    def _consumption(self) -> Consumption:
        return "shared"

    def _consume(self, opened: Opened, descriptor: Descriptor) -> int:
        return consume(descriptor)

    def _restore(self, descriptor: Descriptor, count: int) -> None:
        add(descriptor, count)


class Semaphore(SemaphoreBase, ScopedMixin):
    """A semaphore: release() adds tokens, acquire() waits for a token and consumes it.

    `value` is the initial number of tokens of a new semaphore.  For the other arguments, see Event.
    A ``with`` statement acquires and releases the semaphore, as for threading.Semaphore;
    contextlib.closing() closes it.
    """

    def acquire(self, blocking: bool = True, timeout: Seconds | None = None) -> bool:
        """Consume a token; return False if there was no token within `timeout` seconds."""
        if not blocking and timeout is not None:
            raise ValueError("can't specify timeout for non-blocking acquire")
        return self._wait(timeout if blocking else 0) > 0

    def clear(self) -> None:
        """Consume the tokens that exist at the time of the call, one by one.

        Raise LimitError if there are too many tokens to consume one by one.
        """
        self._clear()

    def wait(self, timeout: Seconds | None = None) -> bool:
        """Consume a token, like acquire()."""
        return self._wait(timeout) > 0

    async def wait_async(self, timeout: Seconds | None = None) -> bool:
        """Consume a token in an asyncio loop, like acquire() of evfd.asyncio."""
        return await _async_wait.wait(self, timeout) > 0


class BoundedMixin(SemaphoreBase):
    """A semaphore that refuses a release() beyond its bound."""

    def __init__(
        self,
        name: str | None = None,
        value: int | None = None,
        *,
        create: bool = False,
        exist_ok: bool = True,
        permissions: int | None = None,
        lifetime: Lifetime = "permanent",
        client: Client | None = None,
    ) -> None:
        if value is None:
            if name is not None:
                raise errors.InvalidError(
                    f"the daemon does not store the bound of '{name}'; give it as the second "
                    "argument",
                    name,
                )
            value = 1
        super().__init__(
            name,
            value,
            create=create,
            exist_ok=exist_ok,
            permissions=permissions,
            lifetime=lifetime,
            client=client,
        )
        self._bound = value

    def release(self, n: int = 1) -> None:
        """Add `n` tokens; raise ValueError if the semaphore would have more than its bound.

        Two processes that release at the same time can exceed the bound without an error.
        """
        opened = self._require_settable()
        if n >= 1 and opened.descriptor is not None:
            count = peek_counter(opened.descriptor)
            if count != MAX_COUNT and count + n > self._bound:
                raise ValueError("Semaphore released too many times")
        super().release(n)

    def __reduce__(self) -> Any:
        open_pickled, arguments = super().__reduce__()
        return open_pickled, (*arguments, self._bound)


class BoundedSemaphore(BoundedMixin, Semaphore):
    """A semaphore that refuses a release() beyond its bound, as threading.BoundedSemaphore does.

    `value` is the bound, and the initial number of tokens of a new semaphore.  The daemon does not
    store the bound, so a semaphore with a name needs it, and the same one wherever it is opened.
    Without a name the bound is 1 by default.

    A caller who may only set the semaphore has no descriptor, so its release() checks no bound.
    """
