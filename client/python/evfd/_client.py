"""The client of a daemon.

A Client has one main session, which executes most calls, one at a time.  All that outlives a call
belongs to the main session: subscriptions (descriptors that the daemon signals for this client) and
temporary objects.  A call that can take long (a wait by name, a list, a monitor) uses a session of
its own, from a pool, so that it does not block other calls.

When the main session has handles and the daemon is restarted while the program makes no calls, a
thread resumes the session (ResumeThread).

The daemon authorizes a call by the credentials of its connection.  When the process changes its
user or its groups, the main session is replaced by one with the new credentials.  A former session
stays open while handles belong to it.

Invariants:

- `_lock` guards every field.  Threads acquire it through `_fair_lock`, in the order of their
  arrival.
- A finalizer (Subscription.__del__) can run in any thread at any point, even inside a call.  So the
  finalizer only appends to `_unsent`, and never blocks.
- A child of fork(2) starts with new sessions, and closes its copies of its parent's connections.
- If a reply can still arrive after its caller has given up, the session ends and is never used for
  another call.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import sys
import threading
import time
import weakref
from types import TracebackType
from typing import Any, Callable, Generator, Iterator, Literal, Mapping, Optional, Sequence, TypeVar

from evfd import _schedule, _validation, errors, types
from evfd._address import Address
from evfd._connection import Connection, Parameters, Reply, encode_call
from evfd._credentials import Credentials, credentials_now
from evfd._descriptor import Descriptor
from evfd._fair_lock import FairLock
from evfd._resume_thread import ResumeThread, Step
from evfd._session import Session, full_name
from evfd._time import (
    NS_PER_MS,
    NS_PER_SECOND,
    ClockTime,
    Deadline,
    Seconds,
    deadline_after,
    deadline_after_ns,
    time_until,
    to_ns,
)

Mode = Literal["manual", "auto", "semaphore", "pulse"]
Lifetime = Literal["permanent", "session", "process"]

_MAX_IDLE_SESSIONS = 4
# The maximum number of former sessions. A former session began when the process ran as another
# user. Each former session keeps a connection open.
_MAX_FORMER_SESSIONS = 64
_MAX_TOKENS = 16_384  # The most tokens that one set adds.
_MAX_INITIAL = 2**32 - 1  # The largest initial count: eventfd(2) takes an unsigned int.
# The time between two Status calls during a wait without a timeout. The calls check that the daemon
# still answers.
_KEEPALIVE_INTERVAL_NS = 30 * NS_PER_SECOND
# The pauses of the resume thread between two attempts to reach a daemon. The slow pause is for a
# daemon that has been down for longer than the client's timeout.
_FAST_PAUSE_NS = 5 * NS_PER_MS
_SLOW_PAUSE_NS = NS_PER_SECOND

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class Opened:
    """The daemon's reply to an Open of one name."""

    kind: str
    mode: Optional[str]
    may_wait: bool
    may_set: bool
    descriptor: Optional[Descriptor]
    subscription: Optional[Subscription]


class _ClientState:
    """Records whether the client was closed.  Its subscriptions have a reference."""

    is_closed = False


class Subscription:
    """A private descriptor that the daemon signals until this object is deleted."""

    __slots__ = ("_client", "_token", "_state")

    def __init__(self, client: Client, token: str, state: _ClientState) -> None:
        self._client = client
        self._token = token
        self._state = state

    def has_ended(self) -> bool:
        """Return whether Client.close() has ended the subscription."""
        return self._state.is_closed

    def acknowledge(self) -> None:
        """Report that the kernel cancelled the timerfd, so that the daemon disarms it."""
        self._client._send_oneway("Acknowledge", {"subscription": self._token})

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # At the exit of the interpreter, nothing is sent, because Python modules are possibly
        # deleted already. The connection closes then, which ends the subscription.
        if not is_finalizing():
            self._client._send_oneway("Unsubscribe", {"subscription": self._token})


class Client:
    """A client of one daemon, which connects when needed and reconnects after a restart.

    `address` is a path, an Address, or None for Address.usual().  `timeout` is the longest time for
    the daemon to answer, or to restart, in seconds.

    Several threads can use a client at the same time; a child of os.fork() gets its own connection.
    Each method that accepts several names accepts 1 to 253, and applies to all of them or to none.
    """

    def __init__(self, address: Address | str | None = None, *, timeout: Seconds = 10.0) -> None:
        if address is None:
            address = Address.usual()
        elif not isinstance(address, Address):
            address = Address(os.fspath(address))
        self.address = address
        self._timeout_ns = to_ns(timeout)
        self._reset_after_fork()
        _instances.add(self)

    # Sets all fields for a new client, and again in a child of fork(2). If a thread of the parent
    # had the lock locked at the fork, no thread of the child would unlock the inherited lock.
    def _reset_after_fork(self) -> None:
        self._lock = threading.Lock()
        self._fair_lock = FairLock(self._lock)
        self._main = Session(self.address, self._timeout_ns)
        self._idle: list[Session] = []
        # The sessions that were replaced as `_main` but still have handles. Each of them began when
        # the process had another user or other groups.
        self._former: list[Session] = []
        # One-way calls that will be sent before the next call.
        self._unsent: collections.deque[tuple[str, Parameters]] = collections.deque()
        self._resume_thread: Optional[ResumeThread] = None
        self._fast_retry_until = 0
        # The subscriptions that a child of fork(2) inherits are of its parent's client, which the
        # child cannot close. So the child gets another object.
        self._state = _ClientState()

    def __repr__(self) -> str:
        return f"<evfd.Client of {self.address.path}>"

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect, and end the subscriptions of this client.

        Pulses and timers that were opened by this client must be opened again.  Waits that have
        begun are not woken.  Objects that this client created with the lifetime session end as
        well.  The next call connects again.
        """
        with self._fair_lock, self._lock:
            self._state.is_closed = True
            self._state = _ClientState()
            self._main.end()
            for session in (*self._idle, *self._former):
                session.end()
            self._idle.clear()
            self._former.clear()

    # The following methods work on objects.

    def create(
        self,
        name: str,
        mode: Mode = "manual",
        *,
        initial: int = 0,
        permissions: int | None = None,
        lifetime: Lifetime = "permanent",
        exist_ok: bool = False,
    ) -> bool:
        """Create an event; return False if `exist_ok` is true and the event existed with this mode.

        `initial`: the number of tokens; 1 creates an event that is set.

        `permissions`: as for os.chmod(); None means 0o666 minus the umask.  `r` allows a user to
        show and poll the event, and to wait if the wait consumes nothing.  `w` allows a user to set
        and clear the event.  A wait that consumes (modes auto and semaphore) needs r and w.

        `lifetime`: a permanent event exists until it is deleted.  An event with the lifetime
        process ends when this process ends, even if children of the process still run; execve(2)
        does not end the process.  An event with the lifetime session ends with this client's
        session.

        Raise NameTakenError if the name exists, and `exist_ok` is false or the mode differs.
        """
        if not 0 <= initial <= _MAX_INITIAL:
            raise errors.InvalidError(f"an event starts with 0 to {_MAX_INITIAL}")
        reply = self._call(
            "CreateEvent",
            {
                "name": _validation.check_name(name),
                "mode": mode,
                "initial": initial,
                "permissions": _permissions_text(permissions),
                "lifetime": lifetime,
                "ifMissing": exist_ok,
            },
        )
        if lifetime == "session":
            self._enable_auto_resume()
        return bool(reply.parameters["created"])

    def arm(
        self,
        name: str,
        *,
        after: Seconds | None = None,
        at: ClockTime | None = None,
        interval: Seconds = 0.0,
        clock: _schedule.Clock | int | None = None,
        cancel_on_clock_change: bool = False,
        sets: str | None = None,
        permissions: int | None = None,
        lifetime: Lifetime = "permanent",
    ) -> bool:
        """Create the timer if it does not exist, and arm it; see arm_ns().

        `after` and `interval` are in seconds, or a timedelta.  `at` is in seconds since the clock's
        zero, or an aware datetime, which is a time on the realtime clock.
        """
        request = _schedule.arm_parameters_in_seconds(
            name,
            after=after,
            at=at,
            interval=interval,
            clock=clock,
            cancel_on_clock_change=cancel_on_clock_change,
            sets=sets,
        )
        return self._arm(request, permissions, lifetime)

    def arm_ns(
        self,
        name: str,
        *,
        after: int | None = None,
        at: int | None = None,
        interval: int = 0,
        clock: _schedule.Clock | int | None = None,
        cancel_on_clock_change: bool = False,
        sets: str | None = None,
        permissions: int | None = None,
        lifetime: Lifetime = "permanent",
    ) -> bool:
        """Create the timer if it does not exist, and arm it; return whether it was created.

        When this method returns, the new schedule already applies in every process that has the
        timer open.  Times are in nanoseconds.

        `after`: the time from now until the first expiry.  `at`: the first expiry, as a time on the
        timer's clock (realtime counts from 1970).  Without `after` and `at`, the first expiry is
        one interval from now.  `interval`: the time between further expirations, or 0 to expire
        once.

        `clock`: realtime, monotonic, boottime, realtime_alarm or boottime_alarm, or the number of
        such a clock, for example time.CLOCK_MONOTONIC.  With None, an existing timer keeps its
        clock, and a new timer gets realtime if `at` is given, else monotonic.

        `cancel_on_clock_change`: disarm the timer when the wall clock is set.  `sets`: an event
        that each expiry sets.  For `permissions` and `lifetime` of a new timer, see create().
        """
        request = _schedule.arm_parameters(
            name,
            after=after,
            at=at,
            interval=interval,
            clock=clock,
            cancel_on_clock_change=cancel_on_clock_change,
            sets=sets,
        )
        return self._arm(request, permissions, lifetime)

    def disarm(self, *timers: str) -> None:
        """Disarm timers: they do not expire until they are armed again."""
        self._call("Disarm", {"items": make_items(timers)})

    def set(self, *events: str, count: int = 1) -> None:
        """Set events; a semaphore gets `count` tokens, and a pulse is counted `count` times."""
        check_tokens(count)
        self._call("Set", {"items": make_items(events, count=count)})

    def set_oneway(self, *events: str, count: int = 1) -> None:
        """Set events as set() does, but only send the call, and do not wait for the daemon.

        For a caller that needs no answer: a refusal, such as NoSuchNameError, is not reported.
        Raise an error only if the call cannot be sent; if the socket stays full for the timeout of
        the client, raise NoAnswerError.

        The daemon executes the call at most once.  The call is lost if the daemon or the connection
        ends before the daemon has read the call, and it is not repeated after a restart of the
        daemon.  A daemon that is killed meanwhile adds perhaps only a part of many tokens.  The
        daemon executes this call before a later set(), create() or show() of this client.
        Operations on descriptors, and the methods clear(), wait(), list(), quotas() and monitor(),
        do not use the same connection, and can overtake this call.
        """
        check_tokens(count)
        self._send_once("Set", {"items": make_items(events, count=count)})

    def clear(self, *events: str) -> None:
        """Reset events, and consume all tokens that semaphores have at the time of the call."""
        frame = encode_call(full_name("Clear"), {"items": make_items(events)})
        self._call_long("Clear", lambda: frame, lambda _: None)

    def delete(self, *objects: str) -> None:
        """Delete objects.  Only their owner and root are allowed to do so.

        Waits by name fail with DeletedError.  Open descriptors stay usable.
        """
        self._call("Delete", {"items": make_items(objects)})

    def chmod(self, name: str, permissions: int) -> None:
        """Change an object's permissions, as os.chmod() does.  Only owner and root may do so."""
        parameters = {"name": _validation.check_name(name)}
        self._call("SetPermissions", {**parameters, "permissions": _permissions_text(permissions)})

    def show(self, name: str) -> types.Object:
        """Return the current state of an object."""
        reply = self._call("Show", {"name": _validation.check_name(name)})
        return types.Object.from_wire(reply.parameters["object"])

    def list(self, pattern: str | None = None) -> Iterator[types.Object]:
        """Return all objects whose name matches a glob, sorted by name.

        * and ? do not match a slash, ** does.  A character class such as [:alpha:] is invalid.
        """
        listed = self._stream("List", {"pattern": pattern or None}, "objects", "name")
        return (types.Object.from_wire(fields) for fields in listed)

    def status(self) -> types.Status:
        """Return the daemon's status."""
        return types.Status.from_wire(self._call("Status", {}).parameters)

    def quotas(self) -> Iterator[types.User]:
        """Return the resource usage and the limits of the caller.

        Root and the daemon's own user get the usage and the limits of all users.
        """
        return (types.User.from_wire(user) for user in self._stream("Quotas", {}, "users", "uid"))

    def metrics(self) -> str:
        """Return the daemon's metrics as OpenMetrics text."""
        return str(self._call("Metrics", {}).parameters["text"])

    def monitor(self, pattern: str | None = None) -> Generator[types.Change, None, None]:
        """Report the state of all objects whose name matches a glob, and then every change.

        The generator does not end.  After a restart of the daemon it reports ``resync``, and starts
        again with the state of all objects.
        """
        while True:
            session = self._begin_monitor(pattern)
            try:
                while True:
                    yield types.Change.from_wire(session.connection.receive(None).parameters)
            except errors.LostDaemonError:
                pass
            finally:
                session.end()  # The end of the session also ends the stream.
            yield types.Change("resync")

    def wait(
        self,
        *names: str,
        require: Literal["any", "all"] = "all",
        timeout: Seconds | None = None,
        existing: bool = False,
        count: int = 1,
    ) -> Sequence[types.Fired]:
        """Wait through the daemon for names, which need not exist yet.

        Waiters are served in the order of their arrival.  A wait for any name returns the name that
        completed the wait.  A wait for all names returns all of them, in the order of the
        arguments.

        `timeout` is in seconds: raise TimedOutError once it has passed; a timeout of 0 does not
        block.  If `existing` is true, raise NoSuchNameError if a name does not exist.  `count` is
        the number of expirations or pulses for which to wait.
        """
        if count < 1:
            raise errors.InvalidError("wait for at least one expiry")
        request = {
            "items": make_items(names, existing=existing, count=count),
            "require": require,
        }
        return self._wait(request, deadline_after(timeout))

    # The other modules of this package use some of the following methods.

    def _open(self, name: str) -> Opened:
        """Open an object with the access that the caller's permissions allow."""
        reply, state = self._call_with_state("Open", {"items": make_items([name])})
        opened = reply.parameters["objects"][0]
        token = opened.get("subscription")
        if token is not None:
            self._enable_auto_resume()
        return Opened(
            opened["kind"],
            opened.get("mode"),
            opened["canWait"],
            opened["canSet"],
            reply.descriptors[0] if reply.descriptors else None,
            None if token is None else Subscription(self, token, state),
        )

    def _arm(self, request: Parameters, permissions: int | None, lifetime: Lifetime) -> bool:
        """Execute a call Arm; return whether it created the timer."""
        reply = self._call(
            "Arm", {**request, "permissions": _permissions_text(permissions), "lifetime": lifetime}
        )
        if lifetime == "session":
            self._enable_auto_resume()
        return bool(reply.parameters["created"])

    def _begin_monitor(self, pattern: str | None) -> Session:
        """Return a session of its own, to which the daemon sends the replies of a monitor."""
        session = self._acquire_session()
        try:
            frame = encode_call(full_name("Monitor"), {"pattern": pattern or None}, "more")
            session.connection.send(frame, deadline_after_ns(self._timeout_ns))
        except BaseException:
            session.end()
            raise
        return session

    def _call(self, method: str, parameters: Parameters) -> Reply:
        """Execute a call in the main session."""
        return self._call_with_state(method, parameters)[0]

    def _call_with_state(self, method: str, parameters: Parameters) -> tuple[Reply, _ClientState]:
        """Like _call(), but also return the state of the client during the call.

        Another thread can close the client as soon as the call has ended.
        """
        with self._fair_lock, self._lock:
            self._switch_user(credentials_now())
            reply = self._main.call(method, parameters)
            self._main.handles.add(method, parameters, reply.parameters)
            self._forget_handles(method, parameters)
            return reply, self._state

    def _send_once(self, method: str, parameters: Parameters) -> None:
        """Send a one-way call at most once, in the main session."""
        frame = encode_call(full_name(method), parameters, "oneway")
        with self._fair_lock, self._lock:
            self._switch_user(credentials_now())
            self._main.send_once(frame)

    def _call_long(
        self,
        method: str,
        make_frame: Callable[[], bytes],
        read: Callable[[Reply], _T],
        deadline: Deadline = None,
    ) -> _T:
        """Execute a call that can take long in a session of its own; return `read(reply)`.

        `deadline` is the time at which the daemon itself ends the call.
        """
        session = self._acquire_session()
        try:
            return read(
                session.call_sending(
                    method,
                    make_frame,
                    lambda connection: self._receive_late_reply(connection, deadline),
                )
            )
        except errors.SystemFailureError:
            session.end()  # After this error, later replies in the session are not reliable.
            raise
        finally:
            self._release_session(session)

    def _switch_user(self, credentials: Credentials) -> None:
        """Replace the main session if it does not have these credentials.

        Keep the replaced session in `_former` if it has handles.
        """
        # One-way calls are sent first, because they can end the last handle of a session. A former
        # session without handles is not kept.
        self._flush_oneway()
        if not all(session.belongs_to(credentials) for session in self._idle):
            self._idle = [session for session in self._idle if session.belongs_to(credentials)]
        previous = self._main
        if previous.belongs_to(credentials):
            return
        matching = (session for session in self._former if session.belongs_to(credentials))
        known = next(matching, None)
        sessions = [session for session in self._former if session is not known]
        if previous.handles:
            if len(sessions) == _MAX_FORMER_SESSIONS:
                raise _too_many_former_users()
            sessions.append(previous)
        else:
            previous.end()
        self._former = sessions
        self._main = known or Session(self.address, self._timeout_ns, previous.was_connected)

    # This method must not block, because __del__() calls it, possibly while the same thread is
    # inside another method of this client.
    def _send_oneway(self, method: str, parameters: Parameters) -> None:
        self._unsent.append((method, parameters))
        thread = self._resume_thread
        if thread is not None:
            thread.wake()

    def _flush_oneway(self) -> None:
        calls = []
        while self._unsent:
            calls.append(self._unsent.popleft())
        if not calls:
            return
        frames = [
            encode_call(full_name(method), parameters, "oneway") for method, parameters in calls
        ]
        for session in (self._main, *self._former):
            session.send_oneway(frames)
        for method, parameters in calls:
            self._forget_handles(method, parameters)

    def _forget_handles(self, method: str, parameters: Parameters) -> None:
        """Forget the handles that a call ended, and end the former sessions without handles."""
        for session in (self._main, *self._former):
            session.handles.remove(method, parameters)
        needless = [session for session in self._former if not session.handles]
        if needless:
            self._former = [session for session in self._former if session.handles]
            for session in needless:
                session.end()

    def _acquire_session(self) -> Session:
        """Return a connected session for a call that can take long, for exclusive use.

        The caller releases the session when the last reply has arrived.
        """
        with self._fair_lock, self._lock:
            self._switch_user(credentials_now())
            if self._idle:
                session = self._idle.pop()
            else:
                session = Session(self.address, self._timeout_ns, self._main.was_connected)
            session.connect()
        return session

    def _release_session(self, session: Session) -> None:
        with self._fair_lock, self._lock:
            if session.is_connected() and len(self._idle) < _MAX_IDLE_SESSIONS:
                self._idle.append(session)
                return
        session.end()

    def _stream(
        self, method: str, parameters: Parameters, field: str, key: str
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the entries in `field` of all replies; the daemon orders the entries by `key`.

        After a restart of the daemon the call is repeated and the entries already yielded are
        skipped.
        """
        # The time after which the call is not sent again. The time is set when the connection is
        # lost, and reset to None when a reply has a new entry.
        retry_until: Deadline = None
        last: Any = None
        while True:
            try:
                for reply in self._replies(method, parameters):
                    for entry in reply.parameters[field]:
                        if last is None or entry[key] > last:
                            last = entry[key]
                            retry_until = None
                            yield entry
                return
            except errors.LostDaemonError:
                if retry_until is None:
                    retry_until = deadline_after_ns(self._timeout_ns)
                elif time_until(retry_until) == 0:
                    raise

    def _replies(self, method: str, parameters: Parameters) -> Iterator[Reply]:
        session = self._acquire_session()
        try:
            frame = encode_call(full_name(method), parameters, "more")
            session.connection.send(frame, deadline_after_ns(self._timeout_ns))
            continues = True
            while continues:
                reply = session.receive(session.connection)
                continues = reply.continues
                yield reply
        except BaseException:
            # Ends the session instead of reading the replies that are left. A caller that drops the
            # generator causes GeneratorExit here, and this code must not block in that case.
            session.end()
            raise
        self._release_session(session)

    def _wait(self, request: Parameters, deadline: Deadline) -> Sequence[types.Fired]:
        """Execute a Wait whose parameters are `request` and the time left until the deadline."""
        return self._call_long(
            "Wait",
            lambda: wait_frame(request, deadline),
            lambda reply: parse_fired(reply, request),
            deadline,
        )

    def _receive_late_reply(self, connection: Connection, deadline: Deadline) -> Reply:
        """Receive the reply to a long call; raise an error if the daemon no longer answers."""
        while not connection.has_input_by(self._keepalive_deadline(deadline)):
            self._check_daemon_alive(connection, deadline)
        return connection.receive(deadline_after_ns(self._timeout_ns))

    def _keepalive_deadline(self, deadline: Deadline) -> int:
        """Return the time at which to check the daemon if it has not replied to a long call."""
        if deadline is None:
            return deadline_after_ns(_KEEPALIVE_INTERVAL_NS)
        return deadline_after_ns(time_until(deadline) + self._timeout_ns)

    def _check_daemon_alive(self, waiting: Connection, deadline: Deadline) -> None:
        """Raise NoAnswerError, NoDaemonError or LostDaemonError unless the daemon answers.

        If the call has a deadline, raise NoAnswerError at once, because the daemon had to reply to
        the call at the deadline at the latest.
        """
        try:
            if deadline is not None:
                raise errors.no_answer()
            self._call("Status", {})
        except (errors.NoDaemonError, errors.LostDaemonError):
            waiting.is_usable = False  # The reply can still arrive later.
            raise
        except errors.Error:  # An error reply proves that the daemon is alive.
            pass

    # The following methods serve the resume thread.

    def _enable_auto_resume(self) -> None:
        """Start or wake the resume thread, because the main session has a handle now."""
        with self._fair_lock, self._lock:
            if self._resume_thread is None:
                self._resume_thread = _start_resume_thread(self)
        if self._resume_thread is not None:
            self._resume_thread.wake()

    def _resume_step(self) -> Step:
        with self._fair_lock, self._lock:
            self._flush_oneway()
            is_up = self._main.resume_if_lost()
            if not self._main.exists():
                return None, None, True
            if is_up and self._main.is_connected():
                self._fast_retry_until = deadline_after_ns(self._timeout_ns)
                # The thread gets a duplicate of the socket: a call can reconnect and close the
                # original socket, whose number can then be given to another file.
                return self._main.connection.duplicate(), None, True
            is_urgent = time.monotonic_ns() < self._fast_retry_until
            pause = _FAST_PAUSE_NS if is_urgent else _SLOW_PAUSE_NS
            return None, deadline_after_ns(pause), True


def _start_resume_thread(client: Client) -> Optional[ResumeThread]:
    reference = weakref.ref(client)

    def step() -> Step:
        served = reference()
        return (None, None, False) if served is None else served._resume_step()

    try:
        return ResumeThread(step)
    except (OSError, RuntimeError):  # No thread can be started: the next call resumes the session.
        return None


def _too_many_former_users() -> errors.Error:
    return errors.LimitError(
        f"a client keeps what was opened and created as {_MAX_FORMER_SESSIONS} former users at "
        "most; close some of it, or use a client for each user"
    )


def check_tokens(count: int) -> None:
    """Raise InvalidError unless one set can add `count` tokens."""
    if not 1 <= count <= _MAX_TOKENS:
        raise errors.InvalidError(f"a set adds 1 to {_MAX_TOKENS} tokens")


def make_items(names: Sequence[str], **fields: Any) -> Sequence[Parameters]:
    """Check the names; return the items of a call, each with a name and `fields`."""
    return [{"name": name, **fields} for name in _validation.check_names(names)]


def wait_frame(request: Parameters, deadline: Deadline) -> bytes:
    """Return the call Wait with the time left until the deadline."""
    timeout = None if deadline is None else time_until(deadline)
    return encode_call(full_name("Wait"), {**request, "timeoutNSec": timeout})


def parse_fired(reply: Reply, request: Parameters) -> Sequence[types.Fired]:
    """Decode the reply to a Wait; raise an error if it does not match the request."""
    fired = [types.Fired.from_wire(fields) for fields in reply.parameters["fired"]]
    reported = [(one.index, one.name) for one in fired]
    requested = list(enumerate(item["name"] for item in request["items"]))
    if request["require"] == "all":
        fits = reported == requested
    else:
        fits = len(reported) == 1 and reported[0] in requested
    if not fits:
        raise errors.protocol_error("it is to another wait")
    return fired


def _permissions_text(permissions: int | None) -> str:
    if permissions is None:
        permissions = 0o666 & ~_read_umask()
    if not isinstance(permissions, int):
        raise TypeError(
            f"permissions are an int such as 0o640, not {type(permissions).__name__}"
        )
    if not 0 <= permissions <= 0o777:
        raise errors.InvalidError(
            f"{permissions} are not valid permissions; give 0 to 0o777, with 0o in front of octal "
            "digits"
        )
    return f"{permissions:04o}"


def _read_umask() -> int:
    """Return the umask.  umask(2) can read it only by setting it, which other threads would see."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
    except OSError:
        pass
    return 0o077  # The umask is unknown, so other users get no permission.


_instances: weakref.WeakSet[Client] = weakref.WeakSet()
_defaults: dict[Address, Client] = {}
_defaults_lock = threading.Lock()


def default_client() -> Client:
    """Return the client that this process uses by default.

    Its address is Address.usual().  It stays connected until the process ends.
    """
    return client_of(Address.usual())


def client_of(address: Address) -> Client:
    """Return the client that this process uses by default for a daemon at this address."""
    with _defaults_lock:
        if address not in _defaults:
            _defaults[address] = Client(address)
        return _defaults[address]


# In a child of fork(2) the connections are closed already: see evfd._connection. This function
# replaces the clients' sessions.
def _reset_all_after_fork() -> None:
    global _defaults_lock
    _defaults_lock = threading.Lock()
    for client in list(_instances):
        client._reset_after_fork()


os.register_at_fork(after_in_child=_reset_all_after_fork)
