"""One connection to the daemon: calls out, replies in, in order.  One thread at a time."""

from __future__ import annotations

import array
import collections
import dataclasses
import errno
import json
import os
import select
import socket
import weakref
from typing import Any, Mapping, Optional

from evfd import errors
from evfd.address import Connection
from evfd.clock import Deadline
from evfd.descriptor import Descriptor
from evfd.polling import poll

_MAX_REPLY_BYTES = 256 * 1024
_MAX_DESCRIPTORS = 253  # In one message. unix(7)
_CONTROL_BYTES = socket.CMSG_SPACE(_MAX_DESCRIPTORS * array.array("i").itemsize)
_CHUNK_BYTES = 16 * 1024
_RECEIVING = (_CHUNK_BYTES,), (_CONTROL_BYTES,), (int(socket.MSG_CMSG_CLOEXEC),)
_IS_CUT = int(socket.MSG_CTRUNC)

_NOT_OURS = (errno.EBADF, errno.ENOTSOCK)  # Someone closed our descriptor.

Parameters = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Reply:
    """`continues`: more replies to the same call follow."""

    parameters: Parameters
    descriptors: list[Descriptor]
    continues: bool


def frame_of(method: str, parameters: Parameters, flag: Optional[str] = None) -> bytes:
    """A call as it goes over the wire; what is None in it is left out.  `flag`: more or oneway."""
    given = {key: value for key, value in parameters.items() if value is not None}
    call: dict[str, Any] = {"method": method, "parameters": given}
    if flag is not None:
        call[flag] = True
    return json.dumps(call, separators=(",", ":")).encode() + b"\0"


class Channel:
    def __init__(self, connected: Connection) -> None:
        self._socket = connected
        self._incoming = bytearray()
        # Of replies that were not read yet, in order.
        self._descriptors: collections.deque[Descriptor] = collections.deque()
        self._was_cut = False  # Some did not come.
        self._sending = b""
        self._sent: list[int] = []  # In bytes, of that.
        # What recvmsg(2) gave, and nobody looked at yet.
        self._read: list[tuple[bytes, list[tuple[int, int, bytes]], int, Any]] = []
        self._has_failed = False  # recvmsg(2), since something came.
        self._is_collecting = False  # Descriptors, of which some may be lost on the way.
        #: Whether a reply was read since the last call was sent.
        self.is_answered = False
        #: False once it lost its way: the daemon is gone, too late, or not to be understood.
        self.is_usable = True
        _all.add(self)

    def close(self) -> None:
        self.is_usable = False
        self._socket.close()

    def duplicate(self) -> Descriptor:
        """Of its descriptor, to be watched for its end: the number stays this connection's."""
        copy = Descriptor(os.dup(self._socket.fileno()))
        _copies.add(copy)
        return copy

    def fileno(self) -> int:
        """Readable when something came, or the daemon went."""
        return self._socket.fileno()

    def send(self, frame: bytes, deadline: Deadline) -> None:
        """That the daemon is gone is for receive() to tell, for it may have said why."""
        self._sent = []
        self.is_answered = False
        self._sending = frame
        rest = memoryview(frame)
        while rest:
            try:
                # No signal handler gets between what is sent and the note of it.
                self._sent.extend(map(self._socket.send, (rest,), (socket.MSG_NOSIGNAL,)))
                rest = rest[self._sent[-1] :]
            except BlockingIOError:
                self._wait_for(select.POLLOUT, deadline)
            except (BrokenPipeError, ConnectionResetError):
                return
            except OSError as error:
                raise self._broken("send(2)", error) from error

    def has_sent(self, frame: bytes) -> Optional[bool]:
        """Whether all of it is out, or nothing; None: a part, or it cannot be told what came."""
        sent = sum(self._sent) if self._sending is frame else 0
        if self._is_collecting or 0 < sent < len(frame):
            return None
        return sent > 0

    def receive(self, deadline: Deadline) -> Reply:
        """The next one; what the daemon refused is an Error, and the channel goes on, as it does if
        there was no descriptor left for those of the reply.  It is of no use any more after
        LostDaemonError, and NoAnswerError: the answer may still come."""
        text = self._next_frame(deadline)
        try:
            whole = json.loads(text, object_hook=_Told)
            parameters = whole.get("parameters")
            parameters = _Told() if parameters is None else parameters
            error = whole.get("error")
            if not isinstance(parameters, _Told):
                raise ValueError("its parameters are no object")
            continues = bool(whole.get("continues", False))
            descriptors = self._take_descriptors(parameters)
        except (ValueError, AttributeError, IndexError, RecursionError) as what:
            self.is_usable = False
            raise errors.garbled(str(what)) from what
        if error is not None:
            raise errors.from_reply(error, parameters)
        return Reply(parameters, descriptors, continues)

    def _take_descriptors(self, parameters: Parameters) -> list[Descriptor]:
        count = _declared(parameters)
        if self._was_cut and len(self._descriptors) < count:
            self._was_cut = False
            self._descriptors.clear()
            raise errors.out_of_descriptors(parameters)
        return [self._descriptors.popleft() for _ in range(count)]

    def has_news_by(self, deadline: Deadline) -> bool:
        """Whether something came, or the daemon went, before that moment."""
        return bool(self._incoming or self._read) or self._poll(select.POLLIN, deadline)

    def is_closed(self) -> bool:
        """Whether the daemon has closed it; answers of before may still be there."""
        happened = poll({self.fileno(): 0}, 0)
        return any(
            news & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, news in happened
        )

    def hang_up(self) -> None:
        """Nothing goes either way any more; what came until now can still be received."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:  # It is gone.
            pass

    def _next_frame(self, deadline: Deadline) -> bytes:
        searched = 0
        while (end := self._incoming.find(b"\0", searched)) < 0:
            searched = len(self._incoming)
            if searched > _MAX_REPLY_BYTES:
                self.is_usable = False
                raise errors.garbled("it is too long")
            self._fill(deadline)
        frame = bytes(self._incoming[:end])
        del self._incoming[: end + 1]
        self.is_answered = True
        return frame

    def _fill(self, deadline: Deadline) -> None:
        while not self._read:
            try:
                # No signal handler gets between what came and the note of it.
                self._read.extend(map(self._socket.recvmsg, *_RECEIVING))
            except BlockingIOError:
                self._wait_for(select.POLLIN, deadline)
            except OSError as error:
                if self._has_failed or self.is_closed():
                    raise self._broken("recvmsg(2)", error) from error
                self._has_failed = True  # Once, and what came is still there.
        data, ancillary, flags, _ = self._read[0]
        if ancillary:
            self._is_collecting = True
            self._collect(ancillary)
        if not data:
            raise self._gone("it closed the connection")
        # Without a call, so that no signal handler runs in the midst of it.
        self._incoming += data
        self._was_cut |= flags & _IS_CUT != 0
        self._is_collecting = False
        self._has_failed = False
        self._read = []

    def _collect(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
                self._descriptors.extend(Descriptor(number) for number in numbers)

    def _poll(self, events: int, deadline: Deadline) -> bool:
        return bool(poll({self.fileno(): events}, deadline))

    def _wait_for(self, events: int, deadline: Deadline) -> None:
        if self._poll(events, deadline):
            return
        self.is_usable = False
        raise errors.no_answer()

    def _broken(self, call: str, error: OSError) -> errors.Error:
        """What failed here is nothing that the daemon, if it is there, should be asked twice for:
        it may have answered."""
        if error.errno in _NOT_OURS or self.is_closed():
            return self._gone(str(error.strerror))
        self.is_usable = False
        return errors.SystemFailureError(
            error.errno,
            f"the daemon cannot be talked to ({call}: {error.strerror}); whether it did what was "
            "asked is not known: look, and try again",
        )

    def _gone(self, how: str) -> errors.Error:
        self.is_usable = False
        return errors.make(
            errors.LostDaemonError,
            f"the daemon went away before it answered ({how}); whether it did what was asked is "
            "not known: look, and try again",
        )


class _Told(dict[str, Any]):
    """What must be there and is not makes the answer one that cannot be understood."""

    def __missing__(self, key: str) -> Any:
        raise errors.garbled(f"there is no {key}")


def _declared(value: Any) -> int:
    """How many descriptors a reply says are its own."""
    if isinstance(value, dict):
        return sum(
            1 if key.lower().endswith("filedescriptor") else _declared(inner)
            for key, inner in value.items()
        )
    if isinstance(value, list):
        return sum(_declared(inner) for inner in value)
    return 0


_all: weakref.WeakSet[Channel] = weakref.WeakSet()
_copies: weakref.WeakSet[Descriptor] = weakref.WeakSet()


# The connections left the child already: see evfd.address.
def _leave_to_parent() -> None:
    for channel in list(_all):
        channel.close()
    for copy in list(_copies):
        copy.close()


os.register_at_fork(after_in_child=_leave_to_parent)
