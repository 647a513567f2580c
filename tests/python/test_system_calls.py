"""Tests of system calls that fail unexpectedly.

The package must raise an evfd.Error with the errno of the failed call.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import Callable

import pytest

import evfd
from harness import Child, DaemonProcess

_NUMBERS = {
    "x86_64": {"recvmsg": 47, "poll": 7, "preadv2": 327, "io_submit": 209, "write": 1},
    "aarch64": {"recvmsg": 212, "poll": 73, "preadv2": 286, "io_submit": 2, "write": 64},
}
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_FILTER_MODE = 2
_LOAD_NUMBER, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_FAIL, _ALLOW = 0x00050000, 0x7FFF0000


@pytest.fixture(autouse=True)
def require_numbers() -> None:
    if os.uname().machine not in _NUMBERS:
        pytest.skip("the numbers of this machine's system calls are not known here")


def fail(call: str, error: int) -> None:
    """Make all later system calls `call` of this thread fail with `error`, by seccomp(2)."""
    number = _NUMBERS[os.uname().machine][call]
    program = b"".join(
        struct.pack("=HBBI", operation, if_true, if_false, value)
        for operation, if_true, if_false, value in (
            (_LOAD_NUMBER, 0, 0, 0),
            (_JUMP_IF_EQUAL, 0, 1, number),
            (_RETURN, 0, 0, _FAIL | error),
            (_RETURN, 0, 0, _ALLOW),
        )
    )
    code = ctypes.create_string_buffer(program)
    filter_program = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(_PR_SET_SECCOMP, _FILTER_MODE, filter_program, 0, 0) == 0


def check_raises(error: int, work: Callable[[], object]) -> None:
    with pytest.raises(evfd.Error) as raised:
        work()
    assert isinstance(raised.value, OSError)
    assert raised.value.errno == error
    assert os.strerror(error) in str(raised.value)


@pytest.mark.parametrize(
    "call, use",
    [
        ("preadv2", lambda: evfd.Event(auto=True).wait(0)),
        ("preadv2", lambda: evfd.Semaphore(value=1).acquire()),
        ("preadv2", lambda: evfd.Semaphore(value=1).clear()),
        ("preadv2", lambda: evfd.Event(initial=True).clear()),
        ("write", lambda: evfd.Event().set()),
        ("write", lambda: evfd.Semaphore(value=0).release()),
        ("poll", lambda: evfd.Event().wait(0)),
        ("poll", lambda: evfd.Event().is_set()),
        ("poll", lambda: evfd.Event(auto=True).wait()),
        ("io_submit", lambda: evfd.Event().wait()),
        ("io_submit", lambda: evfd.wait_any([evfd.Event(auto=True)])),
        ("io_submit", lambda: evfd.wait_all([evfd.Event(), evfd.Event()])),
    ],
)
def test_a_failing_system_call_raises_an_evfd_error(call: str, use: Callable[[], object]) -> None:
    if call == "io_submit" and not evfd.supports_latched_wait():
        pytest.skip("there is no kernel AIO")

    def work() -> None:
        # Makes the package probe for kernel AIO now, before fail() makes system calls fail. The
        # package probes only once.
        evfd.supports_latched_wait()
        fail(call, errno.ENOMEM)
        check_raises(errno.ENOMEM, use)

    Child(work).join()


def test_a_descriptor_closed_by_the_program_raises_an_evfd_error() -> None:
    def work() -> None:
        kinds: tuple[evfd.Event | evfd.Semaphore, ...] = (
            evfd.Event(),
            evfd.Event(auto=True),
            evfd.Semaphore(value=1),
        )
        for event in kinds:
            os.close(event.fileno())
            check_raises(errno.EBADF, event.wait)
            check_raises(errno.EBADF, event.is_set)
            check_raises(errno.EBADF, event.set)
            check_raises(errno.EBADF, lambda: evfd.wait_any([event]))

    Child(work).join()


def test_a_call_whose_reply_cannot_be_received_is_not_repeated(
    running: DaemonProcess, shared: evfd.Client, name: str
) -> None:
    shared.create(name, "semaphore", initial=5)

    def work() -> None:
        client = running.client(timeout=2)
        client.status()
        fail("recvmsg", errno.ENOMEM)
        check_raises(errno.ENOMEM, lambda: client.wait(name))

    Child(work).join()
    assert shared.show(name).count == 4
    assert shared.show(name).waits == 0
