"""A file descriptor that is closed with the last reference to it, and what one does with an
eventfd.

Whoever works on one holds a reference meanwhile, so that its number does not become another's.
"""

from __future__ import annotations

import errno
import os
import select
import struct
from typing import Callable

from evfd import errors
from evfd.clock import Deadline
from evfd.polling import poll

_COUNTER = struct.Struct("=Q")
_EFD_SEMAPHORE = 1
_MAX_COUNT = 2**64 - 2  # eventfd(2)
_eventfd: Callable[[int, int], int] = getattr(os, "eventfd")  # Not all of typeshed knows it.


class Descriptor:
    """``number`` is open as long as this object is there."""

    __slots__ = ("number", "__weakref__")

    def __init__(self, number: int) -> None:
        self.number = number

    # Also while the interpreter is ending, when modules are gone.
    def close(self, close: Callable[[int], None] = os.close) -> None:
        """Now; for who knows that nobody works on it."""
        number, self.number = self.number, -1
        try:
            if number >= 0:
                close(number)
        except OSError:  # Someone else closed it: there is nobody to be told.
            pass

    def __del__(self) -> None:
        self.close()

    def fileno(self) -> int:
        return self.number


def make_eventfd(initial: int = 0, *, is_semaphore: bool = False) -> Descriptor:
    flags = os.O_CLOEXEC | os.O_NONBLOCK | (_EFD_SEMAPHORE if is_semaphore else 0)
    try:
        return Descriptor(_eventfd(initial, flags))
    except OSError as error:
        raise errors.failed("eventfd(2)", error) from error


def add(eventfd: Descriptor, count: int) -> bool:
    """Add to its counter; False if there is no room for so many."""
    if count > _MAX_COUNT:
        return False
    try:
        os.write(eventfd.number, _COUNTER.pack(count))
    except BlockingIOError:
        return False
    except OSError as error:
        raise errors.failed("write(2)", error) from error
    return True


def take(eventfd: Descriptor) -> int:
    """The counter, which is 0 then; of a semaphore 1.  0: there was nothing."""
    into = bytearray(_COUNTER.size)
    try:
        # Even where another holder made the open file blocking, this never waits. preadv2(2)
        os.preadv(eventfd.number, [into], -1, os.RWF_NOWAIT)
    except BlockingIOError:
        return 0
    except OSError as error:
        raise errors.failed("preadv2(2)", error) from error
    return int(_COUNTER.unpack(into)[0])


def read_counter(descriptor: Descriptor) -> int:
    """As take(), of a timerfd that nobody else reads."""
    try:
        return int(_COUNTER.unpack(os.read(descriptor.number, _COUNTER.size))[0])
    except BlockingIOError:
        return 0
    except OSError as error:
        raise errors.failed("read(2)", error) from error


def counter(eventfd: Descriptor) -> int:
    """As take(), and nothing is taken; as much as there can be where that is not to be had."""
    try:
        with open(f"/proc/self/fdinfo/{eventfd.number}", encoding="ascii") as info:
            for line in info:
                if line.startswith("eventfd-count:"):
                    return int(line.split()[1], 16)
    except OSError:
        pass
    return _MAX_COUNT


def is_readable(descriptor: Descriptor, deadline: Deadline = 0) -> bool:
    """Whether it is, or becomes so before the deadline."""
    happened = poll({descriptor.number: select.POLLIN}, deadline)
    if happened and happened[0][1] & select.POLLNVAL:
        raise errors.failed("poll(2)", OSError(errno.EBADF, os.strerror(errno.EBADF)))
    return bool(happened)
