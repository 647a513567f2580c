"""One connection to the daemon, which sends calls and receives their replies in order.

Only one thread at a time is allowed to use a connection.  If a signal handler raises an exception
in any method, has_sent() and `has_reply` tell how far the call has come.
"""

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
from evfd._address import CloseOnForkSocket
from evfd._descriptor import Descriptor
from evfd._poll import poll
from evfd._time import Deadline

_MAX_REPLY_BYTES = 256 * 1024
_MAX_DESCRIPTORS = 253  # The most descriptors in one message. See unix(7).
_CONTROL_BYTES = socket.CMSG_SPACE(_MAX_DESCRIPTORS * array.array("i").itemsize)
_CHUNK_BYTES = 16 * 1024
_RECEIVING = (_CHUNK_BYTES,), (_CONTROL_BYTES,), (int(socket.MSG_CMSG_CLOEXEC),)
_TRUNCATED = int(socket.MSG_CTRUNC)

# EBADF and ENOTSOCK mean that the program itself has closed the descriptor of the connection.
_CLOSED_BY_PROGRAM = (errno.EBADF, errno.ENOTSOCK)

Parameters = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Reply:
    """A reply.  `continues` tells whether more replies to its call follow."""

    parameters: Parameters
    descriptors: list[Descriptor]
    continues: bool


def encode_call(method: str, parameters: Parameters, flag: Optional[str] = None) -> bytes:
    """Return the bytes of a call.

    Parameters that are None are left out.  `flag` is ``more`` or ``oneway``, if present.
    """
    present = {key: value for key, value in parameters.items() if value is not None}
    call: dict[str, Any] = {"method": method, "parameters": present}
    if flag is not None:
        call[flag] = True
    return json.dumps(call, separators=(",", ":")).encode() + b"\0"


class Connection:
    """A connected socket, and the bytes and descriptors that are buffered on it."""

    def __init__(self, client_socket: CloseOnForkSocket) -> None:
        self._socket = client_socket
        self._buffer = bytearray()
        # The received descriptors that belong to replies that the client has not read yet. They
        # are in the order of their arrival.
        self._descriptors: collections.deque[Descriptor] = collections.deque()
        # Whether the kernel has truncated a control message, so that descriptors are missing.
        self._lost_descriptors = False
        self._sending = b""
        # The number of bytes of `_sending` that each send(2) accepted.
        self._sent: list[int] = []
        # The unprocessed results of recvmsg(2).
        self._received: list[tuple[bytes, list[tuple[int, int, bytes]], int, Any]] = []
        self._has_failed = False  # Whether recvmsg(2) has failed since data last arrived.
        # Whether received descriptors can be lost if a signal handler raises an exception now.
        self._is_collecting = False
        #: Whether a reply was read since the last call was sent.
        self.has_reply = False
        #: False once the daemon has exited, exceeded the timeout, or violated the protocol.
        self.is_usable = True
        _instances.add(self)

    def close(self) -> None:
        """Close the socket."""
        self.is_usable = False
        self._socket.close()

    def duplicate(self) -> Descriptor:
        """Duplicate the descriptor for a thread that watches it.

        The thread needs its own descriptor: a call can close the original, and the kernel can give
        the number to another file.
        """
        copy = Descriptor(os.dup(self._socket.fileno()))
        _duplicates.add(copy)
        return copy

    def fileno(self) -> int:
        """Return the descriptor, which polls readable if a reply or a hang-up has arrived."""
        return self._socket.fileno()

    def send(self, frame: bytes, deadline: Deadline) -> bool:
        """Send a call; return False if the daemon has closed the connection.

        The daemon has perhaps sent an error reply with the reason first, and receive() raises that
        error.
        """
        self._sent = []
        self.has_reply = False
        self._sending = frame
        rest = memoryview(frame)
        while rest:
            try:
                # map() appends the result of send(2) before a signal handler can run, so no result
                # is lost.
                self._sent.extend(map(self._socket.send, (rest,), (socket.MSG_NOSIGNAL,)))
                rest = rest[self._sent[-1] :]
            except BlockingIOError:
                self._wait_for(select.POLLOUT, deadline)
            except (BrokenPipeError, ConnectionResetError):
                return False
            except OSError as error:
                raise self._transport_error("send(2)", error) from error
        return True

    def has_sent(self, frame: bytes) -> Optional[bool]:
        """Return whether the frame was sent.

        Return None if only a part of the frame was sent, or if received descriptors can be lost.
        """
        sent = sum(self._sent) if self._sending is frame else 0
        if self._is_collecting or 0 < sent < len(frame):
            return None
        return sent > 0

    def receive(self, deadline: Deadline) -> Reply:
        """Return the next reply; raise an Error if it is an error reply.

        The connection stays usable after an error reply, and also if this process had no free
        descriptor for the descriptors of a reply.  LostDaemonError makes the connection unusable.
        So does NoAnswerError, because the reply can still arrive.
        """
        frame = self._next_frame(deadline)
        try:
            reply = json.loads(frame, object_hook=_StrictDict)
            parameters = reply.get("parameters")
            parameters = _StrictDict() if parameters is None else parameters
            error = reply.get("error")
            if not isinstance(parameters, _StrictDict):
                raise ValueError("its parameters are not an object")
            continues = bool(reply.get("continues", False))
            descriptors = self._take_descriptors(parameters)
        except (ValueError, AttributeError, IndexError, RecursionError) as reason:
            self.is_usable = False
            raise errors.protocol_error(str(reason)) from reason
        if error is not None:
            raise errors.from_reply(error, parameters)
        return Reply(parameters, descriptors, continues)

    def _take_descriptors(self, parameters: Parameters) -> list[Descriptor]:
        count = _count_descriptors(parameters)
        if self._lost_descriptors and len(self._descriptors) < count:
            self._lost_descriptors = False
            self._descriptors.clear()
            raise errors.out_of_descriptors(parameters)
        return [self._descriptors.popleft() for _ in range(count)]

    def has_input_by(self, deadline: Deadline) -> bool:
        """Wait for a reply or for the end of the connection; return False on timeout."""
        return bool(self._buffer or self._received) or self._poll(select.POLLIN, deadline)

    def has_whole_reply(self) -> bool:
        """Read what has arrived; return whether receive() would return or raise at once.

        Never blocks.
        """
        searched = 0
        while self._buffer.find(b"\0", searched) < 0:
            searched = len(self._buffer)
            if searched > _MAX_REPLY_BYTES:
                return True
            if not self._received and not self._poll(select.POLLIN, 0):
                return False
            self._fill(0)
        return True

    def is_closed(self) -> bool:
        """Return whether the daemon has closed the connection; unread replies can remain."""
        ready = poll({self.fileno(): 0}, 0)
        return any(
            events & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, events in ready
        )

    def shut_down(self) -> None:
        """Shut down both directions; replies that have arrived can still be received."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:  # The daemon has closed the connection already.
            pass

    def _next_frame(self, deadline: Deadline) -> bytes:
        searched = 0
        while (end := self._buffer.find(b"\0", searched)) < 0:
            searched = len(self._buffer)
            if searched > _MAX_REPLY_BYTES:
                self.is_usable = False
                raise errors.protocol_error("it is too long")
            self._fill(deadline)
        frame = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self.has_reply = True
        return frame

    def _fill(self, deadline: Deadline) -> None:
        while not self._received:
            try:
                # No signal handler runs between recvmsg(2) and the storing of its result, because
                # extend() and map() are C functions. A handler that raises loses no result.
                self._received.extend(map(self._socket.recvmsg, *_RECEIVING))
            except BlockingIOError:
                self._wait_for(select.POLLIN, deadline)
            except OSError as error:
                if self._has_failed or self.is_closed():
                    raise self._transport_error("recvmsg(2)", error) from error
                # The loop tries once more, because received data is possibly still in the socket.
                self._has_failed = True
        data, ancillary, flags, _ = self._received[0]
        if ancillary:
            self._is_collecting = True
            self._collect(ancillary)
        if not data:
            raise self._connection_lost("it closed the connection")
        # The assignments below call no function, so no signal handler runs between them.
        self._buffer += data
        self._lost_descriptors |= flags & _TRUNCATED != 0
        self._is_collecting = False
        self._has_failed = False
        self._received = []

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

    def _transport_error(self, call: str, error: OSError) -> errors.Error:
        """Return the error for a failed system call.

        If the daemon still runs, it has possibly executed the call, so the call is not repeated.
        """
        if error.errno in _CLOSED_BY_PROGRAM or self.is_closed():
            return self._connection_lost(str(error.strerror))
        self.is_usable = False
        return errors.SystemFailureError(
            f"the connection to the daemon failed ({call}: {error.strerror}); the call may or may "
            "not have been executed: check, and try again",
            number=error.errno,
        )

    def _connection_lost(self, reason: str) -> errors.Error:
        self.is_usable = False
        return errors.LostDaemonError(
            f"the connection was lost before the daemon answered ({reason}); the call may or may "
            "not have been executed: check, and try again"
        )


class _StrictDict(dict[str, Any]):
    """A JSON object that reports a missing member as a protocol error."""

    def __missing__(self, key: str) -> Any:
        raise errors.protocol_error(f"there is no {key}")


def _count_descriptors(value: Any) -> int:
    """Return the number of descriptors to which the parameters of a reply refer."""
    if isinstance(value, dict):
        return sum(
            1 if key.lower().endswith("filedescriptor") else _count_descriptors(inner)
            for key, inner in value.items()
        )
    if isinstance(value, list):
        return sum(_count_descriptors(inner) for inner in value)
    return 0


_instances: weakref.WeakSet[Connection] = weakref.WeakSet()
_duplicates: weakref.WeakSet[Descriptor] = weakref.WeakSet()


# In a child of fork(2) the sockets are closed already: see evfd._address. This function marks the
# connections unusable and closes the duplicates of their sockets.
def _close_in_child() -> None:
    for connection in list(_instances):
        connection.close()
    for copy in list(_duplicates):
        copy.close()


os.register_at_fork(after_in_child=_close_in_child)
