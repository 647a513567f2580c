"""The values that the daemon reports.

The fields have the names of the interface io.evfdd in Python's spelling: ``createdNSec`` is
``created_ns``.  Times are in nanoseconds; None stands for an absent value.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Mapping, Optional, TypeVar

from evfd import errors

_T = TypeVar("_T", bound="_WireValue")


def _snake_case(key: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), key.replace("NSec", "Ns"))


@dataclasses.dataclass(frozen=True)
class _WireValue:
    @classmethod
    def from_wire(cls: type[_T], fields: Mapping[str, Any]) -> _T:
        """Decode a value; fields that only a newer daemon knows are ignored."""
        known = {field.name for field in dataclasses.fields(cls)}
        values = {_snake_case(key): value for key, value in fields.items()}
        try:
            return cls(**{key: value for key, value in values.items() if key in known})
        except TypeError as error:
            raise errors.protocol_error(str(error)) from error


@dataclasses.dataclass(frozen=True)
class TimerState(_WireValue):
    """The current state of a timer.

    `state`: disarmed, armed, expired or cancelled.  `left_ns`: time until the next expiry.  `sets`:
    the event that each expiry sets.
    """

    clock: str
    state: str
    moves_with_wall_clock: bool
    interval_ns: int
    expirations: int
    first_was_past: bool
    cancel_on_clock_change: bool
    next_ns: Optional[int] = None
    left_ns: Optional[int] = None
    sets: Optional[str] = None
    is_target_deleted: Optional[bool] = None
    is_target_denied: Optional[bool] = None


@dataclasses.dataclass(frozen=True)
class LastSet(_WireValue):
    """The last set of an event that the daemon executed since it started.

    `at_ns`: wall-clock time.  `uid`: the user of the process that set the event, or the user who
    armed the timer that set it.  `pid`: the process; None for a timer.
    """

    at_ns: int
    uid: int
    pid: Optional[int] = None


@dataclasses.dataclass(frozen=True)
class Object(_WireValue):
    """A snapshot of an event or a timer.

    The state of the object (`is_set`, `count`, `timer` and so on) is None if the caller has no
    permission to wait for the object.

    `id`: the daemon never gives an id twice, so an object that is created again under the same
    name has another id.  `kind`: event or timer.  `mode`: manual, auto, semaphore or pulse.
    `permissions`: as for os.chmod().  `waits`: the number of waits by name.  `last_set`: see
    LastSet.
    """

    name: str
    id: int
    kind: str
    owner_uid: int
    group_gid: int
    creator_pid: int
    created_ns: int
    permissions: int
    lifetime: str
    waits: int
    mode: Optional[str] = None
    is_set: Optional[bool] = None
    count: Optional[int] = None
    last_set: Optional[LastSet] = None
    pulses: Optional[int] = None
    subscribers: Optional[int] = None
    timer: Optional[TimerState] = None

    def __repr__(self) -> str:
        """Return the usual representation of a dataclass, with the permissions in octal."""
        values = {field.name: repr(getattr(self, field.name)) for field in dataclasses.fields(self)}
        values["permissions"] = f"0o{self.permissions:o}"
        return f"Object({', '.join(f'{name}={value}' for name, value in values.items())})"

    @classmethod
    def from_wire(cls, fields: Mapping[str, Any]) -> Object:
        """Decode an object as the daemon describes it."""
        values = dict(fields)
        values["permissions"] = int(fields["permissions"], 8)
        if fields.get("largeCount") is not None:
            values["count"] = int(fields["largeCount"])
        if fields.get("lastSet") is not None:
            values["lastSet"] = LastSet.from_wire(fields["lastSet"])
        if fields.get("timer") is not None:
            values["timer"] = TimerState.from_wire(fields["timer"])
        return super().from_wire(values)


@dataclasses.dataclass(frozen=True)
class Fired(_WireValue):
    """An object that completed a wait.

    `count`: the pulses or expirations since the wait began; 1 for every other event.  `index`: the
    position of the object's name in the call, from 0.  `id`: the object's id, see Object.
    """

    name: str
    count: int
    index: int
    id: int


@dataclasses.dataclass(frozen=True)
class Change(_WireValue):
    """One report of a monitor.

    `change`: the kind of the report.  A monitor first reports ``present`` for each existing object,
    and ``ready`` once.  After that it reports ``created``, ``changed`` and ``deleted``; before that
    only if many objects change meanwhile.  ``resync`` means that all earlier reports are void;
    ``present`` and ``ready`` follow again.
    """

    change: str
    name: Optional[str] = None
    object: Optional[Object] = None

    @classmethod
    def from_wire(cls, fields: Mapping[str, Any]) -> Change:
        """Decode one report of a monitor."""
        shown = fields.get("object")
        return Change(
            fields["change"], fields.get("name"), None if shown is None else Object.from_wire(shown)
        )


@dataclasses.dataclass(frozen=True)
class Status(_WireValue):
    """The status of the daemon.

    `fd_store`: what keeps the daemon's state while it is down: none, supervisor (evfdd's own) or
    systemd.
    """

    version: str
    pid: int
    started_ns: int
    objects: int
    connections: int
    waits: int
    monitors: int
    subscriptions: int
    descriptors: int
    descriptor_limit: int
    fd_store: str
    orphaned_sessions: int
    stashed_descriptors: int
    journal_bytes: int
    is_journal_writable: bool


@dataclasses.dataclass(frozen=True)
class Quota(_WireValue):
    """A user's current use of one resource, and the limit."""

    quota: str
    used: int
    limit: int


@dataclasses.dataclass(frozen=True)
class User(_WireValue):
    """A user with any resource in use, with one quota for each resource."""

    uid: int
    quotas: tuple[Quota, ...]

    @classmethod
    def from_wire(cls, fields: Mapping[str, Any]) -> User:
        """Decode one user's quotas."""
        return User(fields["uid"], tuple(Quota.from_wire(quota) for quota in fields["quotas"]))
