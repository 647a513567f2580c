"""The exceptions of this package.

Every exception is an :class:`Error`, hence an :class:`OSError`, and also the built-in exception
that a Python program catches for the same case: :class:`FileNotFoundError` for a missing name, and
so on.  ``str(error)`` is one sentence: the cause and a hint.  ``errno`` is set, and
``filename`` is the name of the object that the error is about, if there is one.
"""

from __future__ import annotations

import errno
import unicodedata
from typing import Any, Mapping


class Error(OSError):
    """The base class of all exceptions of this package.

    `parameters` has the parameters of the daemon's error reply, under the names of its interface.
    """

    code = errno.EIO
    parameters: Mapping[str, Any] = {}

    def __init__(self, message: str, name: str | None = None, number: int | None = None) -> None:
        """Set the message, the object's name and the errno (the class's `code` by default)."""
        number = self.code if number is None else number
        if name is None:
            super().__init__(number, message)
        else:
            super().__init__(number, message, name)

    def __str__(self) -> str:
        return str(self.strerror)

    def __reduce__(self) -> Any:
        return type(self), (self.strerror, self.filename, self.errno), self.__dict__


class InvalidError(Error, ValueError):
    """An argument is invalid, for example a malformed name."""

    code = errno.EINVAL


class NoSuchNameError(Error, FileNotFoundError):
    """No object has this name."""

    code = errno.ENOENT


class NameTakenError(Error, FileExistsError):
    """An object with this name already exists."""

    code = errno.EEXIST


class WrongKindError(NameTakenError):
    """The object with this name has another kind or mode."""


class NotPermittedError(Error, PermissionError):
    """The object's permissions or the machine's policy deny the operation."""

    code = errno.EACCES


class LimitError(Error):
    """A quota or a limit is reached; `parameters` has the name and the value of the limit."""

    code = errno.EDQUOT


class DeletedError(Error, FileNotFoundError):
    """The object was deleted while a caller waited for it."""

    code = errno.EIDRM


class ReplacedError(DeletedError):
    """The object was deleted, and another object has its name now."""


class ClockChangedError(Error):
    """The wall clock was set, which cancelled the timer."""

    code = errno.ECANCELED


class TimedOutError(Error, TimeoutError):
    """A wait by name timed out."""

    code = errno.ETIMEDOUT


class NoDaemonError(Error, ConnectionError):
    """No daemon is running, and none could be started."""

    code = errno.ECONNREFUSED


class NoAnswerError(NoDaemonError, TimeoutError):
    """The daemon did not answer within the client's timeout."""

    code = errno.ETIMEDOUT


class LostDaemonError(Error, ConnectionResetError):
    """The connection was lost before the reply, so it is unknown whether the call was executed."""

    code = errno.ECONNRESET


class SystemFailureError(Error):
    """A system call or the daemon failed unexpectedly."""


def protocol_error(reason: str) -> SystemFailureError:
    """Return the error for a reply that this package cannot decode."""
    return SystemFailureError(
        f"the daemon's answer cannot be understood ({reason}); is it newer than this package?"
    )


def no_answer() -> NoAnswerError:
    """Return the error for a daemon that exceeded the client's timeout."""
    return NoAnswerError("the daemon does not answer; see whether it is stuck, or restart it")


def failed(call: str, error: OSError) -> SystemFailureError:
    """Return the error for the system call `call`, which failed unexpectedly with `error`."""
    return SystemFailureError(
        f"{call} failed: {error.strerror}; see whether this process has the memory and the "
        "descriptors that it needs, and try again",
        number=error.errno,
    )


def out_of_descriptors(parameters: Mapping[str, Any] = {}) -> SystemFailureError:
    """Return the error for a descriptor that could not be received or made.

    `parameters` are the parameters of the reply whose descriptors are missing.
    """
    error = SystemFailureError(
        "this process, or the machine, has no descriptor left; close some, or raise the limit "
        "(ulimit -n)",
        number=errno.EMFILE,
    )
    error.parameters = parameters
    return error


_CLASSES: Mapping[str, type[Error]] = {
    "io.evfdd.NoSuchName": NoSuchNameError,
    "io.evfdd.NameTaken": NameTakenError,
    "io.evfdd.Replaced": ReplacedError,
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


# Replaces control characters, so that they do not reach a terminal: programs print error messages,
# and the sender of a reply can be any process that listens at the socket.
def _printable(text: object) -> str:
    return "".join("?" if unicodedata.category(c) == "Cc" else c for c in str(text))


def from_reply(error: str, parameters: Mapping[str, Any]) -> Error:
    """Return the exception for an error reply of the daemon."""
    message = parameters.get("message")
    if message is None and "parameter" in parameters:
        message = (
            f"the daemon does not accept the value of '{parameters['parameter']}'; see its "
            "interface for valid values"
        )
    if message is None:
        message = f"the daemon answered {error}; is it older than this package?"
    raised = _CLASSES.get(error, SystemFailureError)(_printable(message), parameters.get("name"))
    raised.parameters = dict(parameters)
    return raised
