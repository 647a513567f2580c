"""A threading.Semaphore with a descriptor, and with a name if it is to be shared."""

from __future__ import annotations

from types import TracebackType

from evfd import errors
from evfd.daemon import Daemon, Lifetime, Opened
from evfd.descriptor import Descriptor, add, counter, make_eventfd, take
from evfd.waitable import Taking, Waitable, check_kind, open_or_make

_TOKENS_BEFORE_LOOK = 1_000
_MAX_TOKENS_PER_CLEAR = 2**32 - 1  # The kernel gives one token a read.


def _drain(semaphore: Descriptor, most: int) -> bool:
    """Take so many tokens.  Whether there are no more."""
    return any(not take(semaphore) for _ in range(most))


class Semaphore(Waitable):
    """Tokens: a release adds some, an acquire takes one, and waits while there is none.

    `value`: with how many a new one begins.  All else as for Event.  In a ``with`` statement it is
    acquired and released, as threading.Semaphore is; contextlib.closing() closes it.
    """

    def __init__(
        self,
        name: str | None = None,
        value: int = 1,
        *,
        create: bool | None = None,
        rights: int | None = None,
        lifetime: Lifetime = "permanent",
        daemon: Daemon | None = None,
    ) -> None:
        if value < 0:
            raise ValueError("semaphore initial value must be >= 0")
        if name is None:
            eventfd = make_eventfd(value, is_semaphore=True)
            super().__init__(None, None, Opened("event", "semaphore", True, True, eventfd, None))
            return

        def make(by: Daemon, exist_ok: bool) -> None:
            by.create(
                name or "",
                "semaphore",
                initial=value,
                rights=rights,
                lifetime=lifetime,
                exist_ok=exist_ok,
            )

        daemon, opened = open_or_make(name, daemon, create, make)
        check_kind(name, opened, "semaphore")
        super().__init__(name, daemon, opened)

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take a token: True, or False if there was none in time.  `timeout`: in seconds."""
        if not blocking and timeout is not None:
            raise ValueError("can't specify timeout for non-blocking acquire")
        return self._wait(timeout if blocking else 0) > 0

    def release(self, n: int = 1) -> None:
        """Add `n` tokens; LimitError if there is no room for them."""
        if n < 1:
            raise ValueError("n must be one or more")
        opened = self._to_set()
        if opened.descriptor is None:
            self._by_daemon().set(self._name or "", count=n)
        elif not add(opened.descriptor, n):
            raise errors.make(
                errors.LimitError,
                f"{self._called()} has no room for {n} more tokens; take some first, or clear it",
                self._name,
            )

    def clear(self) -> None:
        """No token is left of those that there were, which are taken one by one.  LimitError: they
        are too many for that."""
        opened = self._to_set()
        if opened.descriptor is None:
            self._by_daemon().clear(self._name or "")
            return
        if _drain(opened.descriptor, _TOKENS_BEFORE_LOOK):
            return
        # Others may add as fast as we take: no more than there are now.
        left = counter(opened.descriptor)
        if left > _MAX_TOKENS_PER_CLEAR:
            raise errors.make(
                errors.LimitError,
                f"{self._called()} has more than {_MAX_TOKENS_PER_CLEAR} tokens, and they can only "
                "be taken one by one; delete it, and create it again",
                self._name,
            )
        _drain(opened.descriptor, left)

    def set(self, count: int = 1) -> None:
        """As release()."""
        self.release(count)

    def wait(self, timeout: float | None = None) -> bool:
        """As acquire()."""
        return self._wait(timeout) > 0

    async def wait_async(self, timeout: float | None = None) -> bool:
        """As acquire(), in an asyncio loop."""
        return await self._wait_async(timeout) > 0

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def _called(self) -> str:
        return "the semaphore" if self._name is None else f"'{self._name}'"

    def _taking(self) -> Taking:
        return "shared"

    def _take(self, opened: Opened, descriptor: Descriptor) -> int:
        return take(descriptor)

    def _put_back(self, descriptor: Descriptor, count: int) -> None:
        add(descriptor, count)
