"""A file descriptor that closes with the last reference to it, and operations on eventfds.

A thread that works on a descriptor keeps a reference to its object, so that the descriptor's number
is not reused meanwhile.
"""

from __future__ import annotations

import errno
import os
import select
import struct
from typing import Callable

from evfd import errors
from evfd._poll import poll
from evfd._time import Deadline

_COUNTER = struct.Struct("=Q")
_EFD_SEMAPHORE = 1
MAX_COUNT = 2**64 - 2  # The largest counter of an eventfd. See eventfd(2).
# getattr() satisfies type checkers, whose older stubs (typeshed) lack os.eventfd.
_eventfd: Callable[[int, int], int] = getattr(os, "eventfd")


class Descriptor:
    """An owned file descriptor: ``number`` stays open while this object exists."""

    __slots__ = ("number", "__weakref__")

    def __init__(self, number: int) -> None:
        self.number = number

    # The default argument keeps os.close reachable while the interpreter shuts down.
    def close(self, close: Callable[[int], None] = os.close) -> None:
        """Close the descriptor now.  No other thread is allowed to be using the descriptor."""
        number, self.number = self.number, -1
        try:
            if number >= 0:
                close(number)
        except OSError:
            # The program itself has closed the descriptor. The error is ignored, because close()
            # often runs in __del__(), which has no caller to whom to report the error.
            pass

    def __del__(self) -> None:
        self.close()

    def fileno(self) -> int:
        """Return the descriptor's number."""
        return self.number


def make_eventfd(initial: int = 0, *, is_semaphore: bool = False) -> Descriptor:
    """Create a non-blocking eventfd whose counter is `initial`."""
    flags = os.O_CLOEXEC | os.O_NONBLOCK | (_EFD_SEMAPHORE if is_semaphore else 0)
    try:
        return Descriptor(_eventfd(initial, flags))
    except OSError as error:
        raise errors.failed("eventfd(2)", error) from error


def add(eventfd: Descriptor, count: int) -> bool:
    """Add to the counter; return False if the counter would exceed its maximum."""
    if count > MAX_COUNT:
        return False
    try:
        os.write(eventfd.number, _COUNTER.pack(count))
    except BlockingIOError:
        return False
    except OSError as error:
        raise errors.failed("write(2)", error) from error
    return True


def consume(eventfd: Descriptor) -> int:
    """Read and reset the counter, or consume one token of a semaphore.

    Return the consumed count, or 0 if the counter was 0.
    """
    into = bytearray(_COUNTER.size)
    try:
        # RWF_NOWAIT prevents a sleep even if another process has switched O_NONBLOCK off. See
        # preadv2(2).
        os.preadv(eventfd.number, [into], -1, os.RWF_NOWAIT)
    except BlockingIOError:
        return 0
    except OSError as error:
        raise errors.failed("preadv2(2)", error) from error
    return int(_COUNTER.unpack(into)[0])


def read_counter(descriptor: Descriptor) -> int:
    """Read and reset the expiration count of a timerfd; return 0 if it has not expired.

    The timerfd must have no other reader.
    """
    try:
        return int(_COUNTER.unpack(os.read(descriptor.number, _COUNTER.size))[0])
    except BlockingIOError:
        return 0
    except OSError as error:
        raise errors.failed("read(2)", error) from error


def peek_counter(eventfd: Descriptor) -> int:
    """Return the counter without consuming it.

    If /proc is not available, return the maximum that a counter can have.
    """
    try:
        with open(f"/proc/self/fdinfo/{eventfd.number}", encoding="ascii") as info:
            for line in info:
                if line.startswith("eventfd-count:"):
                    return int(line.split()[1], 16)
    except OSError:
        pass
    return MAX_COUNT


def is_readable(descriptor: Descriptor, deadline: Deadline = 0) -> bool:
    """Return whether the descriptor is readable, or becomes readable before the deadline."""
    ready = poll({descriptor.number: select.POLLIN}, deadline)
    if ready and ready[0][1] & select.POLLNVAL:
        raise errors.failed("poll(2)", OSError(errno.EBADF, os.strerror(errno.EBADF)))
    return bool(ready)
