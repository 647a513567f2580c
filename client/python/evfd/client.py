"""The daemon, as one client sees it: one line for what belongs to it (descriptors that follow a
name, objects that last as long as it does), further ones for calls that take their time."""

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

from evfd import errors, names, objects, schedule
from evfd.address import Address
from evfd.channel import Channel, Parameters, Reply, frame_of
from evfd.clock import (
    NS_PER_MS,
    NS_PER_SECOND,
    Deadline,
    after_ns,
    deadline_after,
    left_until,
    to_ns,
)
from evfd.credentials import Credentials, credentials_now
from evfd.descriptor import Descriptor
from evfd.line import Line, full_name
from evfd.lookout import Look, Lookout
from evfd.turnstile import Turnstile

Mode = Literal["manual", "auto", "semaphore", "pulse"]
Lifetime = Literal["permanent", "connection", "process"]

_MAX_IDLE_LINES = 4
_MAX_FORMER_LINES = 64  # For users that the process was before. Each has a connection.
_MAX_TOKENS = 16_384  # That one set adds.
_MAX_INITIAL = 2**32 - 1  # eventfd(2) takes an unsigned int.
_SIGN_OF_LIFE_NS = 30 * NS_PER_SECOND  # How often it is asked for one during a wait without end.
# How long the look-out waits between attempts to reach a daemon that is gone.
_FAST_PAUSE_NS = 5 * NS_PER_MS
_SLOW_PAUSE_NS = NS_PER_SECOND

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class Opened:
    """What the daemon hands over for one name."""

    kind: str
    mode: Optional[str]
    may_wait: bool
    may_set: bool
    descriptor: Optional[Descriptor]
    subscription: Optional[Subscription]


class Subscription:
    """The daemon feeds a private descriptor until this object goes."""

    __slots__ = ("_daemon", "_token")

    def __init__(self, daemon: Daemon, token: str) -> None:
        self._daemon = daemon
        self._token = token

    def acknowledge(self) -> None:
        """That a timer's descriptor was cancelled: the kernel would let it go on."""
        self._daemon._tell("Acknowledge", {"subscription": self._token})

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if not is_finalizing():  # Else the connection goes at once, and modules may be gone.
            self._daemon._tell("Unsubscribe", {"subscription": self._token})


class Daemon:
    """A connection that is made when it is needed and made again when the daemon was restarted.

    `address`: a path, an Address, or None for the usual one.  `patience`: how long the daemon may
    take to answer, or to be there again, in seconds.  May be used by several threads; a child of
    os.fork() gets a connection of its own.  All methods that take several names do all or nothing,
    with 1 to 253 of them.
    """

    def __init__(self, address: Address | str | None = None, *, patience: float = 10.0) -> None:
        if address is None:
            address = Address.usual()
        elif not isinstance(address, Address):
            address = Address(os.fspath(address))
        self.address = address
        self._patience_ns = to_ns(patience)
        self._begin_anew()
        _all.add(self)

    # In a child of fork(2) another thread of its parent may have had the lock.
    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._turns = Turnstile(self._lock)
        self._main = Line(self.address, self._patience_ns)
        self._idle: list[Line] = []
        # Main ones of who this process was, to which something belongs.
        self._former: list[Line] = []
        self._untold: collections.deque[tuple[str, Parameters]] = collections.deque()
        self._lookout: Optional[Lookout] = None
        self._hurry_until = 0

    def __repr__(self) -> str:
        return f"<evfd.Daemon at {self.address.path}>"

    def __enter__(self) -> Daemon:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up: what belongs to the connection ends.  The next call connects again."""
        with self._turns, self._lock:
            self._main.end()
            for line in (*self._idle, *self._former):
                line.end()
            self._idle.clear()
            self._former.clear()

    # Objects.

    def create(
        self,
        name: str,
        mode: Mode = "manual",
        *,
        initial: int = 0,
        rights: int | None = None,
        lifetime: Lifetime = "permanent",
        exist_ok: bool = False,
    ) -> bool:
        """Make an event.  Whether it was made: False if one of this mode was there already, which
        only `exist_ok` allows; else that is a NameTakenError.

        `initial`: its tokens, or 1 if it is set from the start.  `rights`: as os.chmod takes them,
        r = may look, poll, and wait where a wait takes nothing, w = may set and clear; a wait that
        takes (auto, semaphore) needs both; 0o666 less the umask if None.  `lifetime`: permanent is
        until it is deleted, process until this process has ended (execve(2) changes nothing, and
        children are others), connection as long as this connection.
        """
        if not 0 <= initial <= _MAX_INITIAL:
            raise errors.make(errors.InvalidError, f"an event starts with 0 to {_MAX_INITIAL}")
        reply = self._call(
            "CreateEvent",
            {
                "name": names.check(name),
                "mode": mode,
                "initial": initial,
                "rights": _rights_text(rights),
                "lifetime": lifetime,
                "ifMissing": exist_ok,
            },
        )
        if lifetime == "connection":
            self._look_after()
        return bool(reply.parameters["created"])

    def arm(
        self,
        name: str,
        *,
        after: float | None = None,
        at: float | None = None,
        interval: float = 0.0,
        clock: schedule.Clock | None = None,
        cancel_on_clock_change: bool = False,
        sets: str | None = None,
        rights: int | None = None,
        lifetime: Lifetime = "permanent",
    ) -> bool:
        """As arm_ns(), in seconds."""
        return self.arm_ns(
            name,
            after=None if after is None else to_ns(after),
            at=None if at is None else to_ns(at),
            interval=to_ns(interval),
            clock=clock,
            cancel_on_clock_change=cancel_on_clock_change,
            sets=sets,
            rights=rights,
            lifetime=lifetime,
        )

    def arm_ns(
        self,
        name: str,
        *,
        after: int | None = None,
        at: int | None = None,
        interval: int = 0,
        clock: schedule.Clock | None = None,
        cancel_on_clock_change: bool = False,
        sets: str | None = None,
        rights: int | None = None,
        lifetime: Lifetime = "permanent",
    ) -> bool:
        """Make the timer if it is missing, and arm it: for everybody who has it open, before this
        returns.  Whether it was made.

        It expires first `after` a span from now or `at` a moment (on its clock; realtime's zero is
        1970), without either after one interval, and then after each `interval`; 0: once.
        `clock`: realtime, monotonic, boottime, realtime_alarm or boottime_alarm; None: what it goes
        by already, for a new one realtime with `at` and else monotonic.  `cancel_on_clock_change`:
        it is disarmed when the wall clock is set.  `sets`: an event that is set at each expiry.
        `rights` and `lifetime`: of a new one, as for create().
        """
        request = schedule.request(
            names.check(name),
            after=after,
            at=at,
            interval=interval,
            clock=clock,
            cancel_on_clock_change=cancel_on_clock_change,
            sets=sets,
        )
        reply = self._call("Arm", {**request, "rights": _rights_text(rights), "lifetime": lifetime})
        if lifetime == "connection":
            self._look_after()
        return bool(reply.parameters["created"])

    def disarm(self, *timers: str) -> None:
        """None of them expires any more until it is armed again."""
        self._call("Disarm", {"names": names.check_all(timers)})

    def set(self, *events: str, count: int = 1) -> None:
        """Set events; a semaphore gets `count` tokens, a pulse is counted so often."""
        check_tokens(count)
        self._call("Set", {"names": names.check_all(events), "count": count})

    def clear(self, *events: str) -> None:
        """No longer set, no token left of those that there were."""
        frame = frame_of(full_name("Clear"), {"names": names.check_all(events)})
        self._call_late("Clear", lambda: frame, lambda _: None)

    def delete(self, *objects: str) -> None:
        """For their owner and root.  Who waits by name is told; who has a descriptor keeps it."""
        self._call("Delete", {"names": names.check_all(objects)})

    def set_rights(self, name: str, rights: int) -> None:
        """For its owner and root: as os.chmod takes them."""
        self._call("SetRights", {"name": names.check(name), "rights": _rights_text(rights)})

    def show(self, name: str) -> objects.Object:
        """What it is, and what state it is in."""
        return objects.object_of(
            self._call("Show", {"name": names.check(name)}).parameters["object"]
        )

    def list(self, pattern: str | None = None) -> Iterator[objects.Object]:
        """All objects whose name the glob matches, by name; * and ? stop at a slash."""
        told = self._stream("List", {"pattern": pattern or None}, "objects", "name")
        return (objects.object_of(one) for one in told)

    def status(self) -> objects.Status:
        """How the daemon is."""
        return objects.of(objects.Status, self._call("Status", {}).parameters)

    def quotas(self) -> Iterator[objects.User]:
        """What each user has and may have: for root and the daemon's own user of everybody, else
        of oneself."""
        return (objects.user_of(one) for one in self._stream("Quotas", {}, "users", "uid"))

    def metrics(self) -> str:
        """What the daemon counted of itself, as OpenMetrics text."""
        return str(self._call("Metrics", {}).parameters["text"])

    def monitor(self, pattern: str | None = None) -> Generator[objects.Change, None, None]:
        """The state of all objects whose name the glob matches, and then every change, without an
        end.  When the daemon was killed it tells ``resync``, and all anew."""
        while True:
            line = self._borrow()
            try:
                frame = frame_of(full_name("Monitor"), {"pattern": pattern or None}, "more")
                line.channel.send(frame, after_ns(self._patience_ns))
                while True:
                    yield objects.change_of(line.channel.receive(None).parameters)
            except errors.LostDaemonError:
                pass
            finally:
                line.end()  # With the line goes the rest of the stream.
            yield objects.Change("resync")

    def wait(
        self,
        *waited: str,
        gather: Literal["any", "all"] = "all",
        timeout: float | None = None,
        existing: bool = False,
        count: int = 1,
    ) -> Sequence[objects.Fired]:
        """Wait through the daemon, for names that may not be there yet; served in the order of
        arrival.  What ended it: one name for any; for all each, in the order of the names.

        TimedOutError after `timeout` seconds; 0 looks once.  `existing`: a name that is not there
        is a NoSuchNameError.  `count`: so many expirations or pulses, for timers and pulses.
        """
        if count < 1:
            raise errors.make(errors.InvalidError, "wait for at least one expiry")
        request = {
            "names": names.check_all(waited),
            "gather": gather,
            "existing": existing,
            "count": count,
        }
        return self._wait(request, deadline_after(timeout))

    # Within the package.

    def _open(self, name: str) -> Opened:
        """What the caller may have of it."""
        reply = self._call("Open", {"names": [names.check(name)]})
        opened = reply.parameters["objects"][0]
        token = opened.get("subscription")
        if token is not None:
            self._look_after()
        return Opened(
            opened["kind"],
            opened.get("mode"),
            opened["mayWait"],
            opened["maySet"],
            reply.descriptors[0] if reply.descriptors else None,
            None if token is None else Subscription(self, token),
        )

    def _call(self, method: str, parameters: Parameters) -> Reply:
        with self._turns, self._lock:
            self._be(credentials_now())
            reply = self._main.call(method, parameters)
            self._main.belongings.add(method, parameters, reply.parameters)
            self._note_end(method, parameters)
            return reply

    def _call_late(
        self,
        method: str,
        make_frame: Callable[[], bytes],
        read: Callable[[Reply], _T],
        deadline: Deadline = None,
    ) -> _T:
        """What `read` makes of the answer, on a line of its own, however late it comes; of a
        deadline the daemon knows."""
        line = self._borrow()
        try:
            return read(
                line.call_sending(
                    method, make_frame, lambda channel: self._wait_on(channel, deadline)
                )
            )
        except errors.SystemFailureError:
            line.end()  # Whatever comes next on it is as doubtful.
            raise
        finally:
            self._give_back(line)

    def _be(self, who: Credentials) -> None:
        """The main line is one of that user from now on.  What belongs to another's goes on."""
        self._tell_untold()  # To which less may belong then.
        if not all(line.is_of(who) for line in self._idle):
            self._idle = [line for line in self._idle if line.is_of(who)]
        before = self._main
        if before.is_of(who):
            return
        known = next((line for line in self._former if line.is_of(who)), None)
        lines = [line for line in self._former if line is not known]
        if before.belongings:
            if len(lines) == _MAX_FORMER_LINES:
                raise _no_room_for_user()
            lines.append(before)
        else:
            before.end()
        self._former = lines
        self._main = known or Line(self.address, self._patience_ns, before.was_connected)

    # Called by __del__ too, hence while this very thread is in a call: nothing waits here.
    def _tell(self, method: str, parameters: Parameters) -> None:
        self._untold.append((method, parameters))
        lookout = self._lookout
        if lookout is not None:
            lookout.ring()

    def _tell_untold(self) -> None:
        calls = []
        while self._untold:
            calls.append(self._untold.popleft())
        if not calls:
            return
        frames = [frame_of(full_name(method), about, "oneway") for method, about in calls]
        for line in (self._main, *self._former):
            line.tell(frames)
        for method, about in calls:
            self._note_end(method, about)

    def _note_end(self, method: str, parameters: Parameters) -> None:
        """A former line to which nothing belongs any more ends."""
        for line in (self._main, *self._former):
            line.belongings.take(method, parameters)
        needless = [line for line in self._former if not line.belongings]
        if needless:
            self._former = [line for line in self._former if line.belongings]
            for line in needless:
                line.end()

    def _borrow(self) -> Line:
        """A connected line for a call that may take long; give it back when the last reply is
        there."""
        with self._turns, self._lock:
            self._be(credentials_now())
            if self._idle:
                line = self._idle.pop()
            else:
                line = Line(self.address, self._patience_ns, self._main.was_connected)
            line.connect()
        return line

    def _give_back(self, line: Line) -> None:
        with self._turns, self._lock:
            if line.is_connected() and len(self._idle) < _MAX_IDLE_LINES:
                self._idle.append(line)
                return
        line.end()

    def _stream(
        self, method: str, parameters: Parameters, field: str, key: str
    ) -> Iterator[Mapping[str, Any]]:
        """What all replies have in that field, in the order of `key`.  With a daemon that goes away
        meanwhile it goes on where it was."""
        give_up: Deadline = None  # Since it went away, and told nothing new.
        last: Any = None
        while True:
            try:
                for reply in self._replies(method, parameters):
                    for one in reply.parameters[field]:
                        if last is None or one[key] > last:
                            last = one[key]
                            give_up = None
                            yield one
                return
            except errors.LostDaemonError:
                if give_up is None:
                    give_up = after_ns(self._patience_ns)
                elif left_until(give_up) == 0:
                    raise

    def _replies(self, method: str, parameters: Parameters) -> Iterator[Reply]:
        line = self._borrow()
        try:
            frame = frame_of(full_name(method), parameters, "more")
            line.channel.send(frame, after_ns(self._patience_ns))
            continues = True
            while continues:
                reply = line.receive(line.channel)
                continues = reply.continues
                yield reply
        except BaseException:  # Or nobody wants the rest: also where nothing may wait.
            line.end()
            raise
        self._give_back(line)

    def _wait(self, request: Parameters, deadline: Deadline) -> Sequence[objects.Fired]:
        """Wait, on a line of its own.  The request's timeout is set here."""
        return self._call_late(
            "Wait",
            lambda: wait_frame(request, deadline),
            lambda reply: fired_of(reply, request),
            deadline,
        )

    def _wait_on(self, channel: Channel, deadline: Deadline) -> Reply:
        """The daemon answers when the time is over, if not before; a stuck one is found out all
        the same."""
        while not channel.has_news_by(self._overdue(deadline)):
            self._ask_for_sign_of_life(channel, deadline)
        return channel.receive(after_ns(self._patience_ns))

    def _overdue(self, deadline: Deadline) -> int:
        """When to ask whether the daemon lives, if it did not answer such a wait until then."""
        if deadline is None:
            return after_ns(_SIGN_OF_LIFE_NS)
        return after_ns(left_until(deadline) + self._patience_ns)

    def _ask_for_sign_of_life(self, waiting: Channel, deadline: Deadline) -> None:
        """NoAnswerError, NoDaemonError or LostDaemonError if there is none."""
        try:
            if deadline is not None:
                raise errors.no_answer()
            self._call("Status", {})
        except (errors.NoDaemonError, errors.LostDaemonError):
            waiting.is_usable = False  # The answer may still come: to no call that we know of.
            raise
        except errors.Error:  # A refusal is one as well.
            pass

    # Looking after the main line.

    def _look_after(self) -> None:
        """Something belongs to the main line that must go on even if nobody calls anything: from
        now on, when the daemon is killed, a thread takes the line up again."""
        with self._turns, self._lock:
            if self._lookout is None:
                self._lookout = _start_lookout(self)
        if self._lookout is not None:
            self._lookout.ring()

    def _look(self) -> Look:
        with self._turns, self._lock:
            self._tell_untold()
            is_up = self._main.take_up_if_lost()
            if not self._main.has_session():
                return None, None, True
            if is_up and self._main.is_connected():
                # The line may be connected anew meanwhile, and its number be another's.
                self._hurry_until = after_ns(self._patience_ns)
                return self._main.channel.duplicate(), None, True
            is_urgent = time.monotonic_ns() < self._hurry_until
            return None, after_ns(_FAST_PAUSE_NS if is_urgent else _SLOW_PAUSE_NS), True


def _start_lookout(daemon: Daemon) -> Optional[Lookout]:
    served = weakref.ref(daemon)

    def look() -> Look:
        there = served()
        return (None, None, False) if there is None else there._look()

    try:
        return Lookout(look)
    except (OSError, RuntimeError):  # No thread is to be had: it is taken up with the next call.
        return None


def _no_room_for_user() -> errors.Error:
    return errors.make(
        errors.LimitError,
        f"a client keeps what was opened and made as {_MAX_FORMER_LINES} former users at most; "
        "close some of it, or use a client for each user",
    )


def check_tokens(count: int) -> None:
    if not 1 <= count <= _MAX_TOKENS:
        raise errors.make(errors.InvalidError, f"a set adds 1 to {_MAX_TOKENS} tokens")


def wait_frame(request: Parameters, deadline: Deadline) -> bytes:
    """The call Wait, with the time that is left now."""
    timeout = None if deadline is None else left_until(deadline)
    return frame_of(full_name("Wait"), {**request, "timeoutNSec": timeout})


def fired_of(reply: Reply, request: Parameters) -> Sequence[objects.Fired]:
    """What ended the wait, if it can have ended that one."""
    fired = [objects.of(objects.Fired, one) for one in reply.parameters["fired"]]
    told = [one.name for one in fired]
    waited: Sequence[str] = request["names"]
    fits = told == waited if request["gather"] == "all" else len(told) == 1 and told[0] in waited
    if not fits:
        raise errors.garbled("it is to another wait")
    return fired


def _rights_text(rights: int | None) -> str:
    return f"{0o666 & ~_umask() if rights is None else rights:04o}"


def _umask() -> int:
    """umask(2) can only be read by setting it, which other threads would see."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
    except OSError:
        pass
    return 0o077  # All that others could do.


_all: weakref.WeakSet[Daemon] = weakref.WeakSet()
_usual: dict[Address, Daemon] = {}
_usual_lock = threading.Lock()


def usual_daemon() -> Daemon:
    """The one that this process uses where none is given: at the usual address, and connected until
    the process ends."""
    address = Address.usual()
    with _usual_lock:
        if address not in _usual:
            _usual[address] = Daemon(address)
        return _usual[address]


# The channels left the child already: see evfd.channel.
def _begin_all_anew() -> None:
    global _usual_lock
    _usual_lock = threading.Lock()
    for daemon in list(_all):
        daemon._begin_anew()


os.register_at_fork(after_in_child=_begin_all_anew)
