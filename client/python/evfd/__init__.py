"""Named events and timers: threading.Event with a descriptor, a name, and a life of its own.

>>> import evfd
>>> ready = evfd.Event("db/ready")      # Made if it is missing; evfd.Event() is private.
>>> ready.wait(timeout=30)              # In another process: evfd.Event("db/ready").set()
>>> tick = evfd.Timer("tick", interval=0.02)
>>> tick.wait()                         # How often it expired since.

Everything here that can be waited for has a fileno() for select, selectors and asyncio, and a
wait_async().
"""

from evfd.address import Address
from evfd.daemon import Daemon, usual_daemon
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
    SystemFailureError,
    TimedOutError,
    WrongKindError,
)
from evfd.event import Event
from evfd.gathering import Woken, wait_all, wait_any
from evfd.objects import Change, Fired, LastSet, Object, Quota, Status, TimerState, User
from evfd.poller import latches_waits
from evfd.pulse import Pulse
from evfd.semaphore import Semaphore
from evfd.timer import Timer
from evfd.waitable import Waitable

__all__ = [
    "Address",
    "Change",
    "ClockChangedError",
    "Daemon",
    "DeletedError",
    "Error",
    "Event",
    "Fired",
    "InvalidError",
    "LastSet",
    "LimitError",
    "LostDaemonError",
    "NameTakenError",
    "NoAnswerError",
    "NoDaemonError",
    "NoSuchNameError",
    "NotPermittedError",
    "Object",
    "Pulse",
    "Quota",
    "Semaphore",
    "Status",
    "SystemFailureError",
    "TimedOutError",
    "Timer",
    "TimerState",
    "User",
    "Waitable",
    "Woken",
    "WrongKindError",
    "latches_waits",
    "usual_daemon",
    "wait_all",
    "wait_any",
]
