"""A line to the daemon: a session over one connection at a time.

When the daemon is killed, the session is taken up again on the next connection: what belongs to it
goes on, and the call that was under way is sent again, which the daemon does once.  One thread at a
time.
"""

from __future__ import annotations

import collections
import dataclasses
import secrets
import time
from typing import Any, Callable, Mapping, Optional

from evfd import errors
from evfd.address import Address, Connection, connect_to
from evfd.belongings import Belongings
from evfd.channel import Channel, Parameters, Reply, frame_of
from evfd.clock import NS_PER_SECOND, after_ns
from evfd.credentials import Credentials, credentials_now

_INTERFACE = "io.evfdd"
# What the session counts, so that it is done once.
_COUNTED = frozenset(
    "CreateEvent Arm Disarm Open Unsubscribe Acknowledge Set Clear Wait Delete SetRights".split()
)
# Where doing it twice is not as good as once, if nobody counts.
_ONCE = frozenset("CreateEvent Arm Open Set Delete".split())
_RECONNECT_PAUSE_NS = 5 * 10**6
_MAX_TOLD = 1024


def full_name(method: str) -> str:
    return f"{_INTERFACE}.{method}"


class _Attempt:
    """One call, which may take several."""

    def __init__(self, was_sent: bool = False) -> None:
        self.was_sent = was_sent  # Or is so at any moment.
        self._first_interruption = 0
        self._last_interruption = 0

    def is_repeated(self) -> bool:
        return self._last_interruption > 0

    def goes_on_too_long(self, patience_ns: int) -> bool:
        """A daemon that is killed again and again, faster than it can answer."""
        now = time.monotonic_ns()
        if now - self._last_interruption > patience_ns:
            self._first_interruption = now
        self._last_interruption = now
        return now - self._first_interruption > patience_ns


@dataclasses.dataclass(frozen=True)
class _Left:
    """A call that was sent there, and whose answer nobody waited for.  None: to be sent again."""

    method: str
    frame: bytes
    channel: Optional[Channel]


class Line:
    """`patience_ns`: how long the daemon may take to answer, or to be there again.
    `was_connected`: it was there once, so it is waited for."""

    def __init__(self, address: Address, patience_ns: int, was_connected: bool = False) -> None:
        self._address = address
        self._patience_ns = patience_ns
        self.was_connected = was_connected
        self._channel: Optional[Channel] = None
        self._session = ""  # Its token; empty before the first connection.
        self._calls = 0  # That were counted and answered.
        self._user: Optional[Credentials] = None  # With whose credentials the session began.
        #: What belongs to the session; nothing once it has ended.
        self.belongings = Belongings()
        self._left: Optional[_Left] = None
        # Since the last answer: the daemon may not have read it.
        self._told: collections.deque[bytes] = collections.deque(maxlen=_MAX_TOLD)

    def is_connected(self) -> bool:
        """Whether it can be used as it is."""
        return self._channel is not None and self._channel.is_usable

    def has_session(self) -> bool:
        """Whether something may belong to it."""
        return bool(self._session)

    def is_of(self, who: Credentials) -> bool:
        """Whether a call on it is one of a process that is `who`.  A session is its user's for
        good."""
        return not self._session or self._user == who

    @property
    def channel(self) -> Channel:
        """As long as is_connected()."""
        assert self._channel is not None
        return self._channel

    def connect(self) -> None:
        """Connects if it is not; takes the session up again."""
        self._begin(_Attempt(), is_repeatable=True)

    def take_up_if_lost(self) -> bool:
        """A session that has lost its connection gets one if the daemon is there now: without
        waiting for it, or starting it.  False if it is not."""
        if not self._session or (self.is_connected() and not self.channel.is_closed()):
            return True
        if not self.is_of(credentials_now()):  # But may be again, before the daemon gives it up.
            return False
        try:
            connected = connect_to(Address(self._address.path))
        except errors.Error:
            return False
        self._use(connected)
        try:
            is_certain = self._take_up()
        except errors.Error:
            if not self.is_connected():
                return False
            is_certain = False
        if not is_certain:  # Another daemon, which knows nothing of what belonged to us.
            self.end()
        return True

    def call(self, method: str, parameters: Parameters) -> Reply:
        """A call of io.evfdd and its answer.  What came to nothing because the daemon was killed is
        done again."""
        frame = frame_of(full_name(method), parameters)

        self._finish_left()
        try:
            return self._exchange(method, lambda: frame, self.receive, frame)
        except errors.SystemFailureError as error:
            self._forget_opened(error.parameters)
            raise

    def call_sending(
        self,
        method: str,
        make_frame: Callable[[], bytes],
        wait_for_reply: Callable[[Channel], Reply],
    ) -> Reply:
        """The same, where what is sent depends on the time, and how it is waited for is the
        caller's business."""
        self._finish_left()
        return self._exchange(method, make_frame, wait_for_reply)

    def _finish_left(self) -> None:
        """The call that a signal handler left, if there is one, before any other."""
        left = self._left
        if left is None:
            return
        frame = left.frame
        try:
            is_sent = self.is_connected() and left.channel is self._channel
            reply = self._exchange(left.method, lambda: frame, self.receive, frame, is_sent)
            self._forget_opened(reply.parameters)
        except errors.Error as error:  # Nobody wants to know any more.
            self._forget_opened(error.parameters)
        self._left = None

    def _forget_opened(self, parameters: Parameters) -> None:
        """What the daemon is to feed, and nobody has."""
        for opened in parameters.get("objects", []):
            if token := opened.get("subscription"):
                self.tell([frame_of(full_name("Unsubscribe"), {"subscription": token}, "oneway")])

    def _exchange(
        self,
        method: str,
        make_frame: Callable[[], bytes],
        wait_for_reply: Callable[[Channel], Reply],
        left: Optional[bytes] = None,
        is_sent: bool = False,
    ) -> Reply:
        """`left`: the frame of a call that is finished before the next one, if a signal handler
        leaves it."""
        attempt = _Attempt(is_sent)
        before = self._channel
        try:
            while True:
                if not is_sent:
                    self._begin_or_end(attempt, method not in _ONCE)
                try:
                    if not is_sent:
                        self.channel.send(make_frame(), after_ns(self._patience_ns))
                    is_sent = False
                    reply = wait_for_reply(self.channel)
                except errors.Error as error:
                    if self.is_connected():
                        self.note_answer(method)
                        raise
                    is_lost = isinstance(error, errors.LostDaemonError)
                    if is_lost and not attempt.goes_on_too_long(self._patience_ns):
                        continue
                    self.end()  # Nobody will know how it ended.
                    raise
                self.note_answer(method)
                return reply
        except errors.Error:
            raise
        except BaseException:  # Out of a signal handler.
            if attempt.was_sent:
                self._leave(method, left, attempt, is_sent)
            elif self._channel is not before:
                self._drop()  # Who knows whether it has taken the session up.
            raise

    def _leave(self, method: str, frame: Optional[bytes], attempt: _Attempt, is_sent: bool) -> None:
        """The session goes on if it is known how far the call came."""
        channel = self._channel
        if frame is None:
            self.end()  # An answer may come, to no call that we know of.
        elif channel is None or not channel.is_usable:
            self._left = _Left(method, frame, channel)
        elif channel.is_answered:
            self._left = None
            self.note_answer(method)
        elif (has_sent := channel.has_sent(frame)) is None:
            self.end()
        elif is_sent or has_sent:
            self._left = _Left(method, frame, channel)
        elif attempt.is_repeated():
            self._drop()
            self._left = _Left(method, frame, None)

    def receive(self, channel: Channel) -> Reply:
        """The next reply, if it comes in time."""
        return channel.receive(after_ns(self._patience_ns))

    def tell(self, frames: list[bytes]) -> None:
        """Calls whose answers are not awaited.  They reach the daemon once the line is connected,
        or have become meaningless with the end of the session."""
        if not self._session:  # It has nothing that these could be about.
            return
        self._told.extend(frames)
        if self.is_connected():
            self._try_to_send(frames)

    def note_answer(self, method: str) -> None:
        """To a call that was sent and awaited by hand, on a line that is still connected."""
        self._told.clear()  # It was read before.
        if self._channel is not None:
            self._channel.is_answered = False
        if method in _COUNTED:
            self._calls += 1

    def end(self) -> None:
        """The session is given up; with the next call another one begins."""
        if self._channel is not None:
            self._channel.hang_up()  # Someone may have a duplicate, which would keep it alive.
            self._channel.close()
        self._channel = None
        self._session = ""
        self.belongings = Belongings()
        self._calls = 0
        self._left = None
        self._told.clear()

    def _use(self, connected: Connection) -> None:
        self._drop()
        self._channel = Channel(connected)

    def _drop(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _reach(self) -> Connection:
        """At first someone must be there.  A daemon that was there is being restarted: that takes a
        moment."""
        give_up = after_ns(self._patience_ns)
        while True:
            try:
                return connect_to(self._address)
            except errors.NoDaemonError:
                if not self.was_connected or time.monotonic_ns() >= give_up:
                    raise
            time.sleep(_RECONNECT_PAUSE_NS / NS_PER_SECOND)

    def _begin_or_end(self, attempt: _Attempt, is_repeatable: bool) -> None:
        """A call that was sent, and is given up because no daemon comes, may have been done: in
        this session the next one would be answered in its place."""
        try:
            self._begin(attempt, is_repeatable)
        except errors.Error:
            if attempt.was_sent:
                self.end()
            raise

    def _begin(self, attempt: _Attempt, is_repeatable: bool) -> None:
        # What would go to a daemon that is gone would not be done: that is certain before it is
        # sent. A killed daemon may let us in once more before its listening socket is closed.
        give_up = after_ns(self._patience_ns)
        if self.is_connected() and self.channel.is_closed():
            self._drop()
        while not self.is_connected():
            self._use(self._reach())
            self.was_connected = True
            if not self._session:
                self._begin_session()
                break
            try:
                is_certain = self._take_up()
            except errors.Error:
                if not self.is_connected():
                    if time.monotonic_ns() < give_up:
                        continue
                    self.end()
                    raise
                is_certain = False
            if is_certain:
                break
            self.end()  # It is another one, with which all begins anew.
            if attempt.was_sent and not is_repeatable:
                raise errors.make(
                    errors.LostDaemonError,
                    "the daemon was started anew and does not know what it did before; whether "
                    "the last call was done is not known: look, and try again",
                )
        attempt.was_sent = True

    def _begin_session(self) -> None:
        self._session = secrets.token_hex(16)
        self._user = credentials_now()
        self._calls = 0
        # Nothing is known of it yet, so there is nothing to hear. That the daemon went is for the
        # call to find out.
        self._try_to_send([frame_of(full_name("Resume"), self._resumption(), "oneway")])

    def _take_up(self) -> bool:
        """Whether it is certain what was done before.  An Error without a connection: it went
        again."""
        deadline = after_ns(self._patience_ns)
        self.channel.send(frame_of(full_name("Resume"), self._resumption()), deadline)
        reply = self.channel.receive(deadline)
        for frame in self._told:
            self.channel.send(frame, deadline)
        return bool(reply.parameters["isCertain"])

    def _resumption(self) -> Mapping[str, Any]:
        return {"session": self._session, "calls": self._calls}

    def _try_to_send(self, frames: list[bytes]) -> None:
        try:
            for frame in frames:
                self.channel.send(frame, after_ns(self._patience_ns))
        except errors.Error:
            pass
