"""Kernel AIO, used for one purpose: to learn that a descriptor *became* readable.

The kernel completes an operation IOCB_CMD_POLL during the wake-up itself. poll(2), select(2) and
epoll(7) check the descriptor again when the thread runs, and miss an event that was set and at once
cleared.  See io_submit(2).
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
from evfd._descriptor import make_eventfd
from evfd._time import NS_PER_SECOND

# The numbers of the system calls io_setup, io_destroy, io_getevents, io_submit and io_cancel, in
# this order.
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
    """A little-endian struct iocb, which must stay at its address until the operation completes."""

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
    """An AIO context for up to `operations` concurrent operations.

    The constructor raises SystemFailureError if the kernel grants no context.
    """

    def __init__(self, operations: int) -> None:
        self.operations = operations
        self._completions = (_Completion * min(operations, 64))()
        id_ = ctypes.c_uint64(0)
        self._call(0, operations, ctypes.addressof(id_))
        self._id = ctypes.c_long(id_.value).value

    def _call(self, which: int, *arguments: int) -> int:
        assert _numbers is not None
        padded = arguments + (0,) * (5 - len(arguments))
        result = int(_syscall(_numbers[which], *padded))
        if result < 0:
            error = ctypes.get_errno()
            raise errors.failed(_NAMES[which], OSError(error, os.strerror(error)))
        return result

    def begin_poll(self, fd: int, data: int, eventfd: int | None = None) -> Operation:
        """Submit an operation that completes when `fd` is readable.

        reap() returns `data` for the completed operation.  The completion also adds 1 to `eventfd`,
        if an eventfd is given.
        """
        operation = Operation(data=data, opcode=_IOCB_CMD_POLL, descriptor=fd, buffer=select.POLLIN)
        if eventfd is not None:
            operation.flags = _IOCB_FLAG_RESFD
            operation.result_eventfd = eventfd
        pointer = ctypes.c_uint64(ctypes.addressof(operation))
        self._call(3, self._id, 1, ctypes.addressof(pointer))
        return operation

    def cancel(self, operation: Operation) -> None:
        """Cancel an operation.  The operation completes soon, if it has not completed already."""
        unused = _Completion()
        try:
            self._call(4, self._id, ctypes.addressof(operation), ctypes.addressof(unused))
        except OSError:
            # EINPROGRESS is the usual result of io_cancel(2). EINVAL means that the operation has
            # completed.
            pass

    def reap(self, min_count: int, timeout_ns: int | None) -> list[int]:
        """Wait for at least `min_count` completions; return the `data` of each.

        On timeout, or when a signal interrupts the wait, fewer completions are returned.  A timeout
        of None waits indefinitely.
        """
        timeout = None if timeout_ns is None else _Timespec(*divmod(timeout_ns, NS_PER_SECOND))
        try:
            count = self._call(
                2,
                self._id,
                min_count,
                len(self._completions),
                ctypes.addressof(self._completions),
                0 if timeout is None else ctypes.addressof(timeout),
            )
        except errors.SystemFailureError as error:
            if error.errno != errno.EINTR:
                raise
            return []
        return [int(self._completions[i].data) for i in range(count)]

    def destroy(self) -> None:
        """Destroy the context and cancel its operations."""
        try:
            self._call(1, self._id)
        except OSError:
            pass


def _syscall_numbers() -> tuple[int, int, int, int, int] | None:
    if sys.byteorder != "little" or struct.calcsize("P") != 8:
        return None
    return _NUMBERS.get(os.uname().machine)


_numbers = _syscall_numbers()

# The two sizes of AIO contexts, as numbers of operations. A context for one operation suffices for
# most waits, and uses little of the machine's limit fs.aio-max-nr. All other waits get a context of
# the size MANY. _free keeps the idle contexts, because io_destroy(2) takes tens of milliseconds.
ONE = 1
MANY = 256
_free: dict[int, list[Context]] = {ONE: [], MANY: []}


def acquire_context(operations: int) -> Optional[Context]:
    """Return a context for exclusive use until release_context().

    Return None if kernel AIO is not available.
    """
    if _numbers is None:
        return None
    size = ONE if operations <= ONE else MANY
    try:
        return _free[size].pop()
    except IndexError:
        pass
    try:
        context = Context(size)
    except OSError:  # fs.aio-max-nr is used up, or AIO is forbidden.
        return None
    if _can_poll(context):
        return context
    context.destroy()
    return None


def release_context(context: Context) -> None:
    """Keep a context for reuse; the context must have no operation in progress."""
    _free[context.operations].append(context)


# Whether the kernel has IOCB_CMD_POLL; None if that is not known yet.
_poll_supported: bool | None = None
_probe_lock = threading.Lock()


# Tests once whether the kernel has IOCB_CMD_POLL. Kernels before 4.18 lack it.
def _can_poll(context: Context) -> bool:
    global _poll_supported
    with _probe_lock:
        if _poll_supported is None:
            try:
                ready = make_eventfd(1)
                probe = context.begin_poll(ready.number, 0)
                while not context.reap(1, None):
                    pass
                del probe
                _poll_supported = True
            except OSError as error:
                _poll_supported = False if error.errno == errno.EINVAL else None
    return _poll_supported is not False


# A child of fork(2) drops the inherited contexts, because AIO contexts do not survive a fork. In
# the child, the address that identifies a context belongs to no context, or to another context.
def _reset_after_fork() -> None:
    global _probe_lock
    _probe_lock = threading.Lock()
    for contexts in _free.values():
        contexts.clear()


os.register_at_fork(after_in_child=_reset_after_fork)
