"""How a call that did not do what was asked says so.

Everything here is an :class:`Error`, hence an :class:`OSError`, and at the same time what a Python
program catches anyway: :class:`FileNotFoundError` for a name that is not there, and so on.
``str()`` of it is one sentence that says what is the matter and what to do; ``errno`` and
``filename`` (the object's name, where there is one) are set as usual.
"""

from __future__ import annotations

import errno
import unicodedata
from typing import Any, Mapping, TypeVar


class Error(OSError):
    """Any of them.  ``parameters``: what the daemon said besides, under the names of its
    interface."""

    code = errno.EIO
    parameters: Mapping[str, Any] = {}

    def __str__(self) -> str:
        return str(self.strerror)


class InvalidError(Error, ValueError):
    """What was asked makes no sense, as a malformed name does."""

    code = errno.EINVAL


class NoSuchNameError(Error, FileNotFoundError):
    """There is no object of that name."""

    code = errno.ENOENT


class NameTakenError(Error, FileExistsError):
    """An object of that name is there already."""

    code = errno.EEXIST


class WrongKindError(NameTakenError):
    """The object of that name is of another kind or mode."""


class NotPermittedError(Error, PermissionError):
    """A right is missing, or the machine's policy is against it."""

    code = errno.EACCES


class LimitError(Error):
    """There is as much of something as may be; ``parameters`` tell of what, and the limit."""

    code = errno.EDQUOT


class DeletedError(Error, FileNotFoundError):
    """The object was deleted during the wait for it."""

    code = errno.EIDRM


class ClockChangedError(Error):
    """The wall clock was set, and the timer was to be cancelled by that."""

    code = errno.ECANCELED


class TimedOutError(Error, TimeoutError):
    """A wait by name was not over in time."""

    code = errno.ETIMEDOUT


class NoDaemonError(Error, ConnectionError):
    """There is no daemon, and none could be started."""

    code = errno.ECONNREFUSED


class NoAnswerError(NoDaemonError, TimeoutError):
    """The daemon does not answer."""

    code = errno.ETIMEDOUT


class LostDaemonError(Error, ConnectionResetError):
    """The daemon went away before it answered: whether the call was done is not known."""

    code = errno.ECONNRESET


class SystemFailureError(Error):
    """Something failed that should not."""


_E = TypeVar("_E", bound=Error)


def make(kind: type[_E], message: str, name: str | None = None) -> _E:
    """One of that kind, about the object of that name if it is about one."""
    if name is None:
        return kind(kind.code, message)
    return kind(kind.code, message, name)


def garbled(what: str) -> SystemFailureError:
    """The daemon answered, and that makes no sense."""
    return make(
        SystemFailureError,
        f"the daemon's answer cannot be understood ({what}); is it newer than this package?",
    )


def no_answer() -> NoAnswerError:
    """It was waited for long enough."""
    return make(
        NoAnswerError, "the daemon does not answer; see whether it is stuck, or restart it"
    )


def failed(call: str, error: OSError) -> SystemFailureError:
    """A system call that should not have, with its errno."""
    return SystemFailureError(
        error.errno,
        f"{call} failed: {error.strerror}; see whether this process has the memory and the "
        "descriptors that it needs, and try again",
    )


def out_of_descriptors(parameters: Mapping[str, Any] = {}) -> SystemFailureError:
    """`parameters`: of the answer that came without all of its own."""
    made = SystemFailureError(
        errno.EMFILE,
        "this process, or the machine, has no descriptor left; close some, or raise the limit "
        "(ulimit -n)",
    )
    made.parameters = parameters
    return made


_KINDS: Mapping[str, type[Error]] = {
    "io.evfdd.NoSuchName": NoSuchNameError,
    "io.evfdd.NameTaken": NameTakenError,
    "io.evfdd.WrongKind": WrongKindError,
    "io.evfdd.NotPermitted": NotPermittedError,
    "io.evfdd.NoCapability": NotPermittedError,
    "org.varlink.service.PermissionDenied": NotPermittedError,
    "io.evfdd.QuotaExceeded": LimitError,
    "io.evfdd.OutOfDescriptors": LimitError,
    "io.evfdd.TooManyTokens": LimitError,
    "io.evfdd.TimedOut": TimedOutError,
    "io.evfdd.Deleted": DeletedError,
    "io.evfdd.Cancelled": ClockChangedError,
    "io.evfdd.NoSuchSession": LostDaemonError,
    "io.evfdd.NoSuchHold": LostDaemonError,
    "io.evfdd.NoSuchProcess": NotPermittedError,
    "org.varlink.service.InvalidParameter": InvalidError,
}


# Whoever has a socket can answer: programs print what is said here.
def _printable(text: object) -> str:
    return "".join("?" if unicodedata.category(c) == "Cc" else c for c in str(text))


def from_reply(error: str, parameters: Mapping[str, Any]) -> Error:
    """What the daemon answered, as an exception."""
    message = parameters.get("message")
    if message is None and "parameter" in parameters:
        message = (
            f"the daemon does not take what was given as '{parameters['parameter']}'; "
            "see its interface for what it takes"
        )
    if message is None:
        message = f"the daemon answered {error}; is it older than this package?"
    made = make(_KINDS.get(error, SystemFailureError), _printable(message), parameters.get("name"))
    made.parameters = dict(parameters)
    return made
