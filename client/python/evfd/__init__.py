"""Named events and timers: threading.Event with a descriptor, and a name that others can open.

>>> import evfd
>>> ready = evfd.Event("db/ready", create=True)    # evfd.Event() is private, and has no name.
>>> ready.wait(timeout=30)              # In another process: evfd.Event("db/ready").set()
>>> tick = evfd.Timer("tick", interval=0.02, create=True)
>>> tick.wait()                         # Returns the number of expirations since the last wait.

Every object that can be waited for has a fileno() for select, selectors and asyncio, and a
wait_async().  evfd.asyncio has the same classes for asyncio.
"""

from evfd import asyncio as asyncio
from evfd._address import Address
from evfd._aio_poller import supports_latched_wait
from evfd._client import Client, default_client
from evfd._event import Event
from evfd._lock import Lock
from evfd._pulse import Pulse
from evfd._semaphore import BoundedSemaphore, Semaphore
from evfd._timer import Timer
from evfd._wait_set import WaitResult, wait_all, wait_any
from evfd._waitable import Waitable
from evfd._waitable import open_pickled as _open_pickled
from evfd.errors import (
    ClockChangedError,
    DeletedError,
    Error,
    InvalidError,
    LimitError,
    LostDaemonError,
    NameTakenError,
    NoAnswerError,
    NoDaemonError,
    NoSuchNameError,
    NotPermittedError,
    ReplacedError,
    SystemFailureError,
    TimedOutError,
    WrongKindError,
)
from evfd.types import Change, Fired, LastSet, Object, Quota, Status, TimerState, User

__version__ = "0.1.0"

# A pickle has the modules of its classes and functions. These modules are the public ones, so that
# a pickle does not depend on the private modules of the version that made it.
for _public in (
    Address,
    BoundedSemaphore,
    Client,
    Event,
    Lock,
    Pulse,
    Semaphore,
    Timer,
    WaitResult,
    Waitable,
):
    _public.__module__ = __name__
_open_pickled.__module__ = __name__
_open_pickled.__name__ = _open_pickled.__qualname__ = "_open_pickled"

__all__ = [
    "Address",
    "BoundedSemaphore",
    "Change",
    "Client",
    "ClockChangedError",
    "DeletedError",
    "Error",
    "Event",
    "Fired",
    "InvalidError",
    "LastSet",
    "LimitError",
    "Lock",
    "LostDaemonError",
    "NameTakenError",
    "NoAnswerError",
    "NoDaemonError",
    "NoSuchNameError",
    "NotPermittedError",
    "Object",
    "Pulse",
    "Quota",
    "ReplacedError",
    "Semaphore",
    "Status",
    "SystemFailureError",
    "TimedOutError",
    "Timer",
    "TimerState",
    "User",
    "WaitResult",
    "Waitable",
    "WrongKindError",
    "default_client",
    "supports_latched_wait",
    "wait_all",
    "wait_any",
]
