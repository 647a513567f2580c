"""The ``with`` statements that acquire a lock or a semaphore, and release it at their end."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING


class ScopedMixin:
    """Acquires the object for the time of a ``with`` statement."""

    if TYPE_CHECKING:

        def acquire(self) -> bool: ...

        def release(self) -> None: ...

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


class AsyncScopedMixin:
    """Acquires the object for the time of an ``async with`` statement."""

    if TYPE_CHECKING:

        async def acquire(self) -> bool: ...

        def release(self) -> None: ...

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
