"""What the daemon tells of objects and of itself, as values.

The fields are those of its interface, io.evfdd, in Python's spelling: ``createdNSec`` is
``created_ns``. Times are nanoseconds; one that is not there is None.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any, ClassVar, Mapping, Optional, Protocol, TypeVar

from evfd import errors


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


_T = TypeVar("_T", bound=_Dataclass)


@dataclasses.dataclass(frozen=True)
class TimerState:
    """What a timer does now.  `state`: disarmed, armed, expired or cancelled."""

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
    is_link_broken: Optional[bool] = None
    is_link_denied: Optional[bool] = None


@dataclasses.dataclass(frozen=True)
class LastSet:
    """Who set an event, and when.  `uid`: whose process it was, or who had armed the timer; `pid`:
    None if it was a timer."""

    at_ns: int
    uid: int
    pid: Optional[int] = None


@dataclasses.dataclass(frozen=True)
class Object:
    """An object as it is now.  Its state is there only for those who may wait for it.  `kind`:
    event or timer; `mode`: manual, auto, semaphore or pulse; `rights`: as os.chmod takes them;
    `last_set`: the last set of an event that the daemon did itself, since it started."""

    name: str
    kind: str
    owner_uid: int
    group_gid: int
    creator_pid: int
    created_ns: int
    rights: int
    lifetime: str
    waits: int
    mode: Optional[str] = None
    is_set: Optional[bool] = None
    count: Optional[int] = None
    last_set: Optional[LastSet] = None
    pulses: Optional[int] = None
    subscriptions: Optional[int] = None
    timer: Optional[TimerState] = None


@dataclasses.dataclass(frozen=True)
class Fired:
    """A name that a wait was released by.  `count`: how many pulses came, or how often the timer
    expired, since the wait began; 1 for every other event."""

    name: str
    count: int


@dataclasses.dataclass(frozen=True)
class Change:
    """What a monitor is told.

    `change`: ``present``, for each object at first, then ``ready``, then ``created``, ``changed``
    and ``deleted``; ``resync``: forget all that was told, present and ready follow again.
    """

    change: str
    name: Optional[str] = None
    object: Optional[Object] = None


@dataclasses.dataclass(frozen=True)
class Status:
    """How the daemon is.  `guardian`: who keeps what is to outlive it: none, guard or systemd."""

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
    guardian: str
    waits_for_sessions: int
    parked: int
    journal_bytes: int
    can_keep: bool


@dataclasses.dataclass(frozen=True)
class Quota:
    """What one user has of one thing, and may have."""

    quota: str
    used: int
    limit: int


@dataclasses.dataclass(frozen=True)
class User:
    """A user who has anything of the daemon."""

    uid: int
    quotas: tuple[Quota, ...]


def _snake(key: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), key.replace("NSec", "Ns"))


def of(kind: type[_T], told: Mapping[str, Any]) -> _T:
    """What was told, as a value of that kind; what a newer daemon says besides is left out."""
    fields = {field.name for field in dataclasses.fields(kind)}
    named = {_snake(key): value for key, value in told.items()}
    try:
        return kind(**{key: value for key, value in named.items() if key in fields})
    except TypeError as what:
        raise errors.garbled(str(what)) from what


def object_of(told: Mapping[str, Any]) -> Object:
    """An Object."""
    fields = dict(told)
    fields["rights"] = int(told["rights"], 8)
    if told.get("largeCount") is not None:
        fields["count"] = int(told["largeCount"])
    if told.get("lastSet") is not None:
        fields["lastSet"] = of(LastSet, told["lastSet"])
    if told.get("timer") is not None:
        fields["timer"] = of(TimerState, told["timer"])
    return of(Object, fields)


def change_of(told: Mapping[str, Any]) -> Change:
    """A Change."""
    now = told.get("object")
    return Change(told["change"], told.get("name"), None if now is None else object_of(now))


def user_of(told: Mapping[str, Any]) -> User:
    """A User."""
    return User(told["uid"], tuple(of(Quota, quota) for quota in told["quotas"]))
