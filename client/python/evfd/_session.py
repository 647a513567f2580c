"""A session: a client's conversation with the daemon, which outlives the daemon's crashes.

A session runs over one connection at a time.  The client names it by a random token (the call
Resume), and both ends count the calls that change something.  When the connection is lost, the
client connects again, resumes the session and sends the call in progress again.  The daemon
compares the client's sequence number with its own: it executes the call, or it only repeats the
cached reply.  So each call is executed exactly once, however often the daemon is killed.  The
session's subscriptions and temporary objects continue.

A daemon that lost its state does not know the session.  Then the client starts a new session, and a
call that may have been executed, and is not idempotent, fails with LostDaemonError.

What must hold:

- Every counted call that was sent is either replied to, and then counted (count_reply()), or the
  session ends: otherwise the next call would receive the cached reply of this one.
- A signal handler can raise out of any call.  If it is known how far the call came, the call is
  remembered (_AbandonedCall) and finished before the next one; otherwise the session ends.
- One-way calls are kept until the next reply proves that the daemon has read them.
- Only one thread at a time uses a session.
"""

from __future__ import annotations

import collections
import dataclasses
import secrets
import time
from typing import Any, Callable, Mapping, Optional

from evfd import errors
from evfd._address import Address, CloseOnForkSocket, connect_to
from evfd._connection import Connection, Parameters, Reply, encode_call
from evfd._credentials import Credentials, credentials_now
from evfd._session_handles import SessionHandles
from evfd._time import NS_PER_SECOND, deadline_after_ns

_INTERFACE = "io.evfdd"
# The calls that the session counts, so that each is executed exactly once.
_EXACTLY_ONCE = frozenset(
    "CreateEvent Arm Disarm Open Unsubscribe Acknowledge Set Clear Wait Delete "
    "SetPermissions".split()
)
# The calls that must not be executed twice by a daemon that does not know the session.
_NOT_IDEMPOTENT = frozenset("CreateEvent Arm Open Set Delete".split())
_RECONNECT_PAUSE_NS = 5 * 10**6
_MAX_UNACKNOWLEDGED = 1024


def full_name(method: str) -> str:
    """Return the method's name with its interface."""
    return f"{_INTERFACE}.{method}"


class _Attempt:
    """The attempts to execute one call."""

    def __init__(self, was_sent: bool = False) -> None:
        self.was_sent = was_sent  # The frame was sent, or may be at any moment.
        self._first_interruption = 0
        self._last_interruption = 0

    def is_repeated(self) -> bool:
        return self._last_interruption > 0

    def has_failed_too_long(self, timeout_ns: int) -> bool:
        """Record an interruption; return True if they have followed each other for `timeout_ns`.

        This happens with a daemon that crashes again and again before it can answer.
        """
        now = time.monotonic_ns()
        if now - self._last_interruption > timeout_ns:
            self._first_interruption = now
        self._last_interruption = now
        return now - self._first_interruption > timeout_ns


@dataclasses.dataclass(frozen=True)
class _AbandonedCall:
    """A call that a signal handler interrupted.

    `connection`: the connection on which it was sent; None if it must be sent again.
    """

    method: str
    frame: bytes
    connection: Optional[Connection]


class Session:
    """A resumable session.

    `timeout_ns`: how long the daemon may take to answer, or to restart.  `was_connected`: a daemon
    has run at the address, so the first connection attempt waits for its restart.
    """

    def __init__(self, address: Address, timeout_ns: int, was_connected: bool = False) -> None:
        self._address = address
        self._timeout_ns = timeout_ns
        self.was_connected = was_connected
        self._connection: Optional[Connection] = None
        self._token = ""  # Empty before the first connection.
        self._sequence = 0  # The number of counted calls that were answered.
        self._credentials: Optional[Credentials] = None  # At the beginning of the session.
        #: The session's temporary objects and subscriptions; empty after its end.
        self.handles = SessionHandles()
        self._abandoned: Optional[_AbandonedCall] = None
        # The one-way calls since the last reply: the daemon may not have read them.
        self._unacknowledged: collections.deque[bytes] = collections.deque(
            maxlen=_MAX_UNACKNOWLEDGED
        )

    def is_connected(self) -> bool:
        """Return whether there is a usable connection."""
        return self._connection is not None and self._connection.is_usable

    def exists(self) -> bool:
        """Return whether the session has begun, and may have handles."""
        return bool(self._token)

    def belongs_to(self, credentials: Credentials) -> bool:
        """Return whether a process with these credentials may call in this session.

        A session keeps the credentials with which it began.
        """
        return not self._token or self._credentials == credentials

    @property
    def connection(self) -> Connection:
        """The connection, while is_connected()."""
        assert self._connection is not None
        return self._connection

    def connect(self) -> None:
        """Connect, if not connected, and resume the session."""
        self._ensure_connected(_Attempt(), is_repeatable=True)

    def resume_if_lost(self) -> bool:
        """Resume a session that lost its connection, if the daemon runs now.

        It neither waits for the daemon nor starts it.  Returns False if the session stays lost.
        """
        if not self._token or (self.is_connected() and not self.connection.is_closed()):
            return True
        if not self.belongs_to(credentials_now()):  # The process may change its user back in time.
            return False
        try:
            client_socket = connect_to(Address(self._address.path))
        except errors.Error:
            return False
        self._use(client_socket)
        try:
            is_certain = self._resume()
        except errors.Error:
            if not self.is_connected():
                return False
            is_certain = False
        if not is_certain:  # This daemon does not know the session.
            self.end()
        return True

    def call(self, method: str, parameters: Parameters) -> Reply:
        """Execute a call of io.evfdd and return its reply, repeating it across daemon crashes."""
        frame = encode_call(full_name(method), parameters)

        self._finish_abandoned()
        try:
            return self._exchange(method, lambda: frame, self.receive, frame)
        except errors.SystemFailureError as error:
            self._unsubscribe_opened(error.parameters)
            raise

    def call_sending(
        self,
        method: str,
        make_frame: Callable[[], bytes],
        wait_for_reply: Callable[[Connection], Reply],
    ) -> Reply:
        """Execute a call whose frame depends on the time, and whose reply the caller awaits."""
        self._finish_abandoned()
        return self._exchange(method, make_frame, wait_for_reply)

    def _finish_abandoned(self) -> None:
        """Finish the call that a signal handler interrupted, if there is one."""
        abandoned = self._abandoned
        if abandoned is None:
            return
        frame = abandoned.frame
        try:
            is_sent = self.is_connected() and abandoned.connection is self._connection
            reply = self._exchange(abandoned.method, lambda: frame, self.receive, frame, is_sent)
            self._unsubscribe_opened(reply.parameters)
        except errors.Error as error:  # Its caller no longer waits for the result.
            self._unsubscribe_opened(error.parameters)
        self._abandoned = None

    def _unsubscribe_opened(self, parameters: Parameters) -> None:
        """End the subscriptions of a reply whose descriptors have no owner."""
        for opened in parameters.get("objects", []):
            if token := opened.get("subscription"):
                frame = encode_call(full_name("Unsubscribe"), {"subscription": token}, "oneway")
                self.send_oneway([frame])

    def _exchange(
        self,
        method: str,
        make_frame: Callable[[], bytes],
        wait_for_reply: Callable[[Connection], Reply],
        finishable: Optional[bytes] = None,
        is_sent: bool = False,
    ) -> Reply:
        """Send a call and return its reply.

        `finishable`: the frame, if the call is to be finished before the next one after a signal
        handler interrupted it.  `is_sent`: the frame was sent already.
        """
        attempt = _Attempt(is_sent)
        initial_connection = self._connection
        try:
            while True:
                if not is_sent:
                    self._ensure_connected_or_end(attempt, method not in _NOT_IDEMPOTENT)
                try:
                    if not is_sent:
                        self.connection.send(make_frame(), deadline_after_ns(self._timeout_ns))
                    is_sent = False
                    reply = wait_for_reply(self.connection)
                except errors.Error as error:
                    if self.is_connected():
                        self.count_reply(method)
                        raise
                    is_lost = isinstance(error, errors.LostDaemonError)
                    if is_lost and not attempt.has_failed_too_long(self._timeout_ns):
                        continue
                    self.end()  # The result of this call stays unknown.
                    raise
                self.count_reply(method)
                return reply
        except errors.Error:
            raise
        except BaseException:  # Raised by a signal handler.
            if attempt.was_sent:
                self._abandon(method, finishable, attempt, is_sent)
            elif self._connection is not initial_connection:
                # The daemon may or may not have resumed the session on this connection.
                self._disconnect()
            raise

    def _abandon(
        self, method: str, frame: Optional[bytes], attempt: _Attempt, is_sent: bool
    ) -> None:
        """Remember an interrupted call if it is known how far it came; else end the session."""
        connection = self._connection
        if frame is None:
            self.end()  # Its reply would be taken for the reply to another call.
        elif connection is None or not connection.is_usable:
            self._abandoned = _AbandonedCall(method, frame, connection)
        elif connection.has_reply:
            self._abandoned = None
            self.count_reply(method)
        elif (has_sent := connection.has_sent(frame)) is None:
            self.end()
        elif is_sent or has_sent:
            self._abandoned = _AbandonedCall(method, frame, connection)
        elif attempt.is_repeated():
            self._disconnect()
            self._abandoned = _AbandonedCall(method, frame, None)

    def receive(self, connection: Connection) -> Reply:
        """Return the next reply; NoAnswerError: the timeout has passed."""
        return connection.receive(deadline_after_ns(self._timeout_ns))

    def send_oneway(self, frames: list[bytes]) -> None:
        """Send calls that have no reply.

        They reach the daemon as soon as the session is connected.  The end of the session makes
        them void.
        """
        if not self._token:  # No session: these calls cannot refer to anything in it.
            return
        self._unacknowledged.extend(frames)
        if self.is_connected():
            self._try_to_send(frames)

    def count_reply(self, method: str) -> None:
        """Count the reply to a call on the current connection."""
        self._unacknowledged.clear()  # The daemon read them before this call.
        if self._connection is not None:
            self._connection.has_reply = False
        if method in _EXACTLY_ONCE:
            self._sequence += 1

    def end(self) -> None:
        """End the session; the next call starts another one."""
        if self._connection is not None:
            self._connection.shut_down()  # A duplicate would keep the connection open.
            self._connection.close()
        self._connection = None
        self._token = ""
        self.handles = SessionHandles()
        self._sequence = 0
        self._abandoned = None
        self._unacknowledged.clear()

    def _use(self, client_socket: CloseOnForkSocket) -> None:
        self._disconnect()
        self._connection = Connection(client_socket)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect_with_retry(self) -> CloseOnForkSocket:
        """Connect.  A daemon that ran before may be restarting, which takes a moment."""
        deadline = deadline_after_ns(self._timeout_ns)
        while True:
            try:
                return connect_to(self._address)
            except errors.NoDaemonError:
                if not self.was_connected or time.monotonic_ns() >= deadline:
                    raise
            time.sleep(_RECONNECT_PAUSE_NS / NS_PER_SECOND)

    def _ensure_connected_or_end(self, attempt: _Attempt, is_repeatable: bool) -> None:
        """Connect; on failure, end the session if the call was sent before.

        The call may have been executed: the next call of this session would get its reply.
        """
        try:
            self._ensure_connected(attempt, is_repeatable)
        except errors.Error:
            if attempt.was_sent:
                self.end()
            raise

    def _ensure_connected(self, attempt: _Attempt, is_repeatable: bool) -> None:
        # A call sent to a daemon that has exited is not executed, and that is certain only before
        # it is sent: so check first. A killed daemon may still accept a connection before the
        # kernel closes its listening socket.
        deadline = deadline_after_ns(self._timeout_ns)
        if self.is_connected() and self.connection.is_closed():
            self._disconnect()
        while not self.is_connected():
            self._use(self._connect_with_retry())
            self.was_connected = True
            if not self._token:
                self._start()
                break
            try:
                is_certain = self._resume()
            except errors.Error:
                if not self.is_connected():
                    if time.monotonic_ns() < deadline:
                        continue
                    self.end()
                    raise
                is_certain = False
            if is_certain:
                break
            self.end()  # This daemon does not know the session: start a new one.
            if attempt.was_sent and not is_repeatable:
                raise errors.LostDaemonError(
                    "the daemon was restarted and lost its state; the last call may or may not "
                    "have been executed: check, and try again"
                )
        attempt.was_sent = True

    def _start(self) -> None:
        self._token = secrets.token_hex(16)
        self._credentials = credentials_now()
        self._sequence = 0
        # A new session has no cached reply to ask for. If the daemon exits now, the call that
        # follows finds out.
        self._try_to_send([encode_call(full_name("Resume"), self._resume_parameters(), "oneway")])

    def _resume(self) -> bool:
        """Resume the session; return whether the daemon knows which calls it executed.

        An Error that leaves no usable connection: the daemon has exited again.
        """
        deadline = deadline_after_ns(self._timeout_ns)
        self.connection.send(encode_call(full_name("Resume"), self._resume_parameters()), deadline)
        reply = self.connection.receive(deadline)
        for frame in self._unacknowledged:
            self.connection.send(frame, deadline)
        return bool(reply.parameters["isHistoryComplete"])

    def _resume_parameters(self) -> Mapping[str, Any]:
        return {"session": self._token, "sequence": self._sequence}

    def _try_to_send(self, frames: list[bytes]) -> None:
        try:
            for frame in frames:
                self.connection.send(frame, deadline_after_ns(self._timeout_ns))
        except errors.Error:
            pass
