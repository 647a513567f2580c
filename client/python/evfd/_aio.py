"""Kernel AIO, of which we want one thing: to hear that a descriptor *became* readable.

An operation IOCB_CMD_POLL is completed by the wake-up itself.  poll(2), select(2) and epoll(7) look
again once they run, and miss an event that was set and cleared at once.  See io_submit(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import struct
import sys
import threading
from typing import Optional

from evfd import errors
from evfd.clock import NS_PER_SECOND
from evfd.descriptor import make_eventfd

# io_setup, io_destroy, io_getevents, io_submit, io_cancel.
_GENERIC = (0, 1, 4, 2, 3)
_NUMBERS = {
    "x86_64": (206, 207, 208, 209, 210),
    "aarch64": _GENERIC,
    "riscv64": _GENERIC,
    "loongarch64": _GENERIC,
}

_NAMES = ("io_setup(2)", "io_destroy(2)", "io_getevents(2)", "io_submit(2)", "io_cancel(2)")

_IOCB_CMD_POLL = 5
_IOCB_FLAG_RESFD = 1

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = [ctypes.c_long] * 6


class Operation(ctypes.Structure):
    """A struct iocb, little-endian.  It must stay where it is until it is completed."""

    _fields_ = [
        ("data", ctypes.c_uint64),
        ("key", ctypes.c_uint32),
        ("rw_flags", ctypes.c_int32),
        ("opcode", ctypes.c_uint16),
        ("priority", ctypes.c_int16),
        ("descriptor", ctypes.c_uint32),
        ("buffer", ctypes.c_uint64),
        ("bytes", ctypes.c_uint64),
        ("offset", ctypes.c_int64),
        ("reserved", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("result_eventfd", ctypes.c_uint32),
    ]


class _Completion(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_uint64),
        ("operation", ctypes.c_uint64),
        ("result", ctypes.c_int64),
        ("result2", ctypes.c_int64),
    ]


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_int64), ("nanoseconds", ctypes.c_int64)]


class Context:
    """A context for so many operations at a time.  SystemFailureError where none can be had."""

    def __init__(self, operations: int) -> None:
        self.operations = operations
        self._completions = (_Completion * min(operations, 64))()
        place = ctypes.c_uint64(0)
        self._call(0, operations, ctypes.addressof(place))
        self._id = ctypes.c_long(place.value).value

    def _call(self, which: int, *arguments: int) -> int:
        assert _numbers is not None
        padded = arguments + (0,) * (5 - len(arguments))
        done = int(_syscall(_numbers[which], *padded))
        if done < 0:
            error = ctypes.get_errno()
            raise errors.failed(_NAMES[which], OSError(error, os.strerror(error)))
        return done

    def begin_poll(self, fd: int, data: int, bell: int | None = None) -> Operation:
        """Completed once it is readable; `bell`: an eventfd that is set then."""
        operation = Operation(data=data, opcode=_IOCB_CMD_POLL, descriptor=fd, buffer=select.POLLIN)
        if bell is not None:
            operation.flags = _IOCB_FLAG_RESFD
            operation.result_eventfd = bell
        place = ctypes.c_uint64(ctypes.addressof(operation))
        self._call(3, self._id, 1, ctypes.addressof(place))
        return operation

    def cancel(self, operation: Operation) -> None:
        """It is completed soon, if it was not yet."""
        unused = _Completion()
        try:
            self._call(4, self._id, ctypes.addressof(operation), ctypes.addressof(unused))
        except OSError:  # EINPROGRESS is as it should be; EINVAL: it was completed.
            pass

    def reap(self, least: int, timeout_ns: int | None) -> list[int]:
        """The `data` of what was completed: at least so many, fewer if the time is over or a signal
        came.  None: it is waited for without an end."""
        span = None if timeout_ns is None else _Timespec(*divmod(timeout_ns, NS_PER_SECOND))
        try:
            count = self._call(
                2,
                self._id,
                least,
                len(self._completions),
                ctypes.addressof(self._completions),
                0 if span is None else ctypes.addressof(span),
            )
        except errors.SystemFailureError as error:
            if error.errno != errno.EINTR:
                raise
            return []
        return [int(self._completions[i].data) for i in range(count)]

    def destroy(self) -> None:
        """What is under way is cancelled."""
        try:
            self._call(1, self._id)
        except OSError:
            pass


def _numbers_here() -> tuple[int, int, int, int, int] | None:
    if sys.byteorder != "little" or struct.calcsize("P") != 8:
        return None
    return _NUMBERS.get(os.uname().machine)


_numbers = _numbers_here()

# Contexts that nobody uses at the moment: giving one up takes the kernel tens of milliseconds.
# Those for one operation are most of them, and count as one against fs.aio-max-nr; the others do
# for all.
ONE = 1
MANY = 256
_free: dict[int, list[Context]] = {ONE: [], MANY: []}


def take_context(operations: int) -> Optional[Context]:
    """One of our own until give_context(); None where AIO cannot be had."""
    if _numbers is None:
        return None
    size = ONE if operations <= ONE else MANY
    try:
        return _free[size].pop()
    except IndexError:
        pass
    try:
        context = Context(size)
    except OSError:  # fs.aio-max-nr is used up, or it is forbidden.
        return None
    if _can_poll(context):
        return context
    context.destroy()
    return None


def give_context(context: Context) -> None:
    """In which nothing is under way."""
    _free[context.operations].append(context)


_can_poll_here: bool | None = None
_probing = threading.Lock()


# Kernels before 4.18 have no IOCB_CMD_POLL.
def _can_poll(context: Context) -> bool:
    global _can_poll_here
    with _probing:
        if _can_poll_here is None:
            try:
                ready = make_eventfd(1)
                probe = context.begin_poll(ready.number, 0)
                while not context.reap(1, None):
                    pass
                del probe
                _can_poll_here = True
            except OSError as error:
                _can_poll_here = False if error.errno == errno.EINVAL else None
    return _can_poll_here is not False


# Contexts do not survive fork(2): the child would find nothing at their addresses, or another one.
def _begin_anew() -> None:
    global _probing
    _probing = threading.Lock()
    for contexts in _free.values():
        contexts.clear()


os.register_at_fork(after_in_child=_begin_anew)
