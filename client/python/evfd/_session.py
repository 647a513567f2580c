"""A session: a client's conversation with the daemon, which outlives the daemon's crashes.

A session runs over one connection at a time.  The client identifies the session by a random token
(the call Resume), and both ends count the calls that change something.  When the connection is
lost, the client connects again, resumes the session and sends the call in progress again.  The
daemon compares the client's sequence number with its own.  If the daemon has already executed the
call, it only sends the cached reply again.  Else it executes the call.  So each call is executed
exactly once, however often the daemon is killed.  The session's subscriptions and temporary objects
continue.

A daemon that lost its state does not know the session.  In that case the client starts a new
session.  A call that has possibly been executed and is not idempotent fails with LostDaemonError.

Invariants:

- Every counted call that was sent either gets a reply, which is counted (count_reply()), or ends
  the session.  Without this rule, the next call would receive the cached reply to the unanswered
  call.
- A signal handler can raise an exception during any call.  If it is known how far the call has
  come, the call is remembered (_AbandonedCall) and finished before the next call.  If the progress
  of the call is unknown, the session ends.
- The calls of send_oneway() are kept until the next reply proves that the daemon has read them.  A
  call of send_once() is not kept: the daemon does not count a one-way call, so a repeated one could
  be executed twice.
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
# The calls that advance the session's sequence number. Each of them is executed exactly once.
_EXACTLY_ONCE = frozenset(
    "CreateEvent Arm Disarm Open Unsubscribe Acknowledge Set Clear Wait Delete "
    "SetPermissions".split()
)
# The calls that must not be executed twice. If a daemon does not know the session, such a call is
# not sent to it again, because it is unknown whether the call was executed.
_NOT_IDEMPOTENT = frozenset("CreateEvent Arm Open Set Delete".split())
_RECONNECT_PAUSE_NS = 5 * 10**6
_MAX_UNACKNOWLEDGED = 1024


def full_name(method: str) -> str:
    """Return the method's name with its interface."""
    return f"{_INTERFACE}.{method}"


class _Attempt:
    """The attempts to execute one call."""

    def __init__(self, was_sent: bool = False) -> None:
        self.was_sent = was_sent  # True once the call was possibly sent.
        self._first_interruption = 0
        self._last_interruption = 0

    def is_repeated(self) -> bool:
        return self._last_interruption > 0

    def has_failed_too_long(self, timeout_ns: int) -> bool:
        """Record an interruption of the call.

        Return True if interruptions have recurred for longer than `timeout_ns`, for example because
        the daemon crashes again and again before it can answer.
        """
        now = time.monotonic_ns()
        if now - self._last_interruption > timeout_ns:
            self._first_interruption = now
        self._last_interruption = now
        return now - self._first_interruption > timeout_ns


@dataclasses.dataclass(frozen=True)
class _AbandonedCall:
    """A call that a signal handler interrupted.

    `connection` is the connection on which the call was sent, or None if the call must be sent
    again.
    """

    method: str
    frame: bytes
    connection: Optional[Connection]


class Session:
    """A resumable session.

    `timeout_ns` is the longest time for the daemon to answer, or to restart.  `was_connected` tells
    whether a daemon has run at the address.  If so, the first attempt to connect waits for the
    daemon to restart.
    """

    def __init__(self, address: Address, timeout_ns: int, was_connected: bool = False) -> None:
        self._address = address
        self._timeout_ns = timeout_ns
        self.was_connected = was_connected
        self._connection: Optional[Connection] = None
        self._token = ""  # The token of the session; empty if there is no session.
        self._sequence = 0  # The number of counted calls that were answered.
        # The credentials of the process when the session began.
        self._credentials: Optional[Credentials] = None
        #: The session's temporary objects and subscriptions; empty after the session's end.
        self.handles = SessionHandles()
        self._abandoned: Optional[_AbandonedCall] = None
        # The one-way calls since the last reply. It is unknown whether the daemon has read them.
        self._unacknowledged: collections.deque[bytes] = collections.deque(
            maxlen=_MAX_UNACKNOWLEDGED
        )

    def is_connected(self) -> bool:
        """Return whether there is a usable connection."""
        return self._connection is not None and self._connection.is_usable

    def exists(self) -> bool:
        """Return whether a session exists; without a session there are no handles."""
        return bool(self._token)

    def belongs_to(self, credentials: Credentials) -> bool:
        """Return whether a process with these credentials is allowed to use this session.

        A session keeps the credentials with which it began.
        """
        return not self._token or self._credentials == credentials

    @property
    def connection(self) -> Connection:
        """The connection; it exists only while is_connected() returns True."""
        assert self._connection is not None
        return self._connection

    def connect(self) -> None:
        """Connect, if not connected, and resume the session."""
        self._ensure_connected(_Attempt(), is_repeatable=True)

    def resume_if_lost(self) -> bool:
        """Resume a session that lost its connection, if the daemon runs now.

        Do not wait for the daemon, and do not start a daemon.  Return False if the session still
        has no connection.
        """
        if not self._token or (self.is_connected() and not self.connection.is_closed()):
            return True
        # The session is kept, because the process can change back to the session's user before the
        # session ends.
        if not self.belongs_to(credentials_now()):
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
        if not is_certain:  # The daemon that answered does not know this session.
            self.end()
        return True

    def call(self, method: str, parameters: Parameters) -> Reply:
        """Execute a call of io.evfdd and return the reply.

        Repeat the call if the daemon crashes before it replies.
        """
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
        """Execute a call whose frame depends on the time, and return the reply.

        `make_frame()` returns the frame for one attempt.  `wait_for_reply(connection)` waits for
        the reply and returns it.
        """
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
        except errors.Error as error:
            # The error is not raised, because the caller no longer waits for the result.
            self._unsubscribe_opened(error.parameters)
        self._abandoned = None

    def _unsubscribe_opened(self, parameters: Parameters) -> None:
        """End the subscriptions that an Open created, because no caller receives their descriptors.

        `parameters` are the parameters of the reply to the Open.
        """
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

        `finishable` is the frame of a call that must be finished before the next call if a signal
        handler interrupts it, or None for other calls.  `is_sent` tells whether the frame was sent
        already.
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
                    self.end()  # The session ends, because the result of this call stays unknown.
                    raise
                self.count_reply(method)
                return reply
        except errors.Error:
            raise
        except BaseException:  # A signal handler raised this exception.
            if attempt.was_sent:
                self._abandon(method, finishable, attempt, is_sent)
            elif self._connection is not initial_connection:
                # Closes the new connection, because it is unknown whether the daemon has resumed
                # the session on this connection.
                self._disconnect()
            raise

    def _abandon(
        self, method: str, frame: Optional[bytes], attempt: _Attempt, is_sent: bool
    ) -> None:
        """Remember an interrupted call if its progress is known; else end the session."""
        connection = self._connection
        if frame is None:
            # The reply to this call is possibly still unread. The session ends, so that its next
            # call does not read this reply by mistake.
            self.end()
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
        """Return the next reply; raise NoAnswerError if the timeout passes first."""
        return connection.receive(deadline_after_ns(self._timeout_ns))

    def send_oneway(self, frames: list[bytes]) -> None:
        """Send calls that have no reply.

        The calls reach the daemon as soon as the session is connected.  If the session ends first,
        the calls are dropped, because the subscriptions that the calls name have ended with the
        session.
        """
        if not self._token:
            return
        self._unacknowledged.extend(frames)
        if self.is_connected():
            self._try_to_send(frames)

    def send_once(self, frame: bytes) -> None:
        """Send a one-way call at most once.

        Connect again if the daemon has closed the connection before the socket had the whole call.
        An error means that the call was not sent, so the daemon does not execute it.
        """
        self._finish_abandoned()
        attempt = _Attempt()
        while True:
            # Each attempt is like the first one, because the daemon executes no part of a call.
            attempt.was_sent = False
            initial_connection = self._connection
            try:
                self._ensure_connected(attempt, is_repeatable=True)
                return self._send_whole(frame)
            except errors.LostDaemonError:
                if not attempt.was_sent or attempt.has_failed_too_long(self._timeout_ns):
                    self.end()
                    raise
            except errors.Error:
                raise
            except BaseException:  # A signal handler raised this exception.
                if not attempt.was_sent:
                    if self._connection is not initial_connection:
                        self._disconnect()
                elif self.connection.has_sent(frame) is None:
                    self.end()
                raise

    def _send_whole(self, frame: bytes) -> None:
        """Send a one-way call, or raise the error with which the daemon closed the connection."""
        connection = self.connection
        try:
            if connection.send(frame, deadline_after_ns(self._timeout_ns)):
                return
        except errors.NoAnswerError:
            if connection.has_sent(frame) is None:
                self.end()
            else:  # The socket had no room for any byte, so the connection is good for other calls.
                connection.is_usable = True
            raise
        self.receive(connection)
        raise errors.protocol_error("it answers no call")

    def count_reply(self, method: str) -> None:
        """Count the reply to a call on the current connection."""
        # The daemon reads calls in their order, so it has read the one-way calls sent before this
        # call.
        self._unacknowledged.clear()
        if self._connection is not None:
            self._connection.has_reply = False
        if method in _EXACTLY_ONCE:
            self._sequence += 1

    def end(self) -> None:
        """End the session; the next call starts another one."""
        if self._connection is not None:
            # Closing the socket is not enough, because a duplicate of the socket would keep the
            # connection open.
            self._connection.shut_down()
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
        """Connect to the daemon.

        A daemon that ran before is possibly restarting.  So try again until the timeout in that
        case.
        """
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

        The daemon has possibly executed the call.  If so, the next call of the session would get
        the reply to this call.
        """
        try:
            self._ensure_connected(attempt, is_repeatable)
        except errors.Error:
            if attempt.was_sent:
                self.end()
            raise

    def _ensure_connected(self, attempt: _Attempt, is_repeatable: bool) -> None:
        # Checks before the call is sent whether the daemon has exited. After the call was sent, it
        # would be unknown whether that daemon executed the call. The loop is needed because the
        # listening socket of a killed daemon can still take a connection until the kernel closes
        # the socket.
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
            # The daemon does not know the session: the next iteration starts a new session.
            self.end()
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
        # This Resume needs no reply. The reply to a Resume says whether the daemon knows which
        # calls of the session were executed, but a new session has made no call yet. If the daemon
        # exits now, the next call detects the exit.
        self._try_to_send([encode_call(full_name("Resume"), self._resume_parameters(), "oneway")])

    def _resume(self) -> bool:
        """Resume the session; return whether the daemon knows which calls it executed.

        If this method raises an Error and is_connected() returns False, the daemon has exited
        again.
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
