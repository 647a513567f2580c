"""Finds the address of a daemon, connects to it, and starts a user's own daemon on demand."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
import socket
import stat
import struct
import subprocess
import time
import weakref

from evfd import errors
from evfd._time import NS_PER_MS, NS_PER_SECOND, deadline_after_ns

_SOCKET = "io.evfdd"
_IDLE_EXIT = "60s"  # A daemon started on demand exits after this idle time.
# The longest time from the first attempt to connect until a daemon answers.
_START_TIMEOUT_NS = 5 * NS_PER_SECOND
# The pause between attempts while another process starts the daemon.
_START_PAUSE_NS = 10 * NS_PER_MS
_CONNECT_TIMEOUT_S = 5
_ALREADY_RUNNING = 75  # The exit status of evfdd if another evfdd listens at the socket.
_DAEMON = "evfdd"
# The directories in which evfdd is searched after the directories in PATH.
_FALLBACK_DIRECTORIES = ("/usr/local/sbin", "/usr/sbin")


@dataclasses.dataclass(frozen=True)
class Address:
    """The socket of a daemon.

    `starts_on_demand` tells whether a client that finds no daemon at the socket starts a daemon.
    """

    path: str
    starts_on_demand: bool = False

    @staticmethod
    def system() -> Address:
        """Return the address of the system daemon."""
        return Address(f"/run/evfdd/{_SOCKET}")

    @staticmethod
    def user() -> Address:
        """Return the address of the user's own daemon, which is started on demand.

        The daemon's socket is in $XDG_RUNTIME_DIR, or in /tmp if that variable is not set.  Raise
        NoDaemonError if other users have access to the directory.
        """
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        directory = f"{runtime}/evfdd" if runtime.startswith("/") else f"/tmp/evfdd-{os.geteuid()}"
        _make_private(directory)
        return Address(f"{directory}/{_SOCKET}", starts_on_demand=True)

    @staticmethod
    def usual() -> Address:
        """Return the default address.

        The default is $EVFDD_SOCKET if that is set.  Else it is system() if the system daemon's
        socket exists, and user() if not.
        """
        path = os.environ.get("EVFDD_SOCKET")
        if path:
            return Address(path)
        system = Address.system()
        return system if os.path.exists(system.path) else Address.user()


def _make_private(directory: str) -> None:
    """Create the directory, and check that no other user can place a socket in it."""

    def refuse(why: str) -> errors.NoDaemonError:
        return errors.NoDaemonError(
            f"{directory} {why}; remove it, or name a socket with EVFDD_SOCKET"
        )

    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise refuse(f"cannot be created: {error.strerror}") from error
    try:
        status = os.lstat(directory)
    except OSError as error:
        raise refuse(f"cannot be examined: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode):
        raise refuse("is not a directory")
    if status.st_uid != os.geteuid():
        raise refuse("belongs to another user")
    if status.st_mode & 0o077:
        raise refuse("is open to others")


def _find_daemon() -> str:
    places = [os.environ.get("PATH", os.defpath), *_FALLBACK_DIRECTORIES]
    found = shutil.which(_DAEMON, path=os.pathsep.join(places))
    if found is None:
        raise errors.NoDaemonError(
            "there is no evfdd to start: install it, put it into PATH, or name a running one "
            "with EVFDD_SOCKET"
        )
    return found


def _open_null() -> int:
    """Open /dev/null.

    If /dev/null is missing, return a descriptor that can neither be read nor written.
    """
    try:
        return os.open(os.devnull, os.O_RDWR)
    except FileNotFoundError:
        return os.open("/", os.O_PATH)


def _start_daemon(path: str) -> None:
    """Start a daemon and return when clients can connect.

    Succeed even if another process has started a daemon first.
    """
    program = _find_daemon()
    command = [program, "--socket", path, "--idle-exit", _IDLE_EXIT, "--supervise", "--background"]
    command += ["--log-level", "error"]
    try:
        null = _open_null()
        try:
            completed = subprocess.run(command, stdin=null, stdout=null)
        finally:
            os.close(null)
    except OSError as error:
        raise errors.NoDaemonError(f"{program} cannot be started: {error.strerror}") from error
    if completed.returncode not in (0, _ALREADY_RUNNING):
        raise errors.NoDaemonError(
            f"{program} did not start; run it by hand with --socket {path} to see why"
        )


class CloseOnForkSocket(socket.socket):
    """A socket that is closed in a child of fork(2), even if the fork happens during connect(2).

    Like all descriptors of this package, the socket is also closed when the last reference to it is
    deleted, and Python issues no ResourceWarning for that.
    """

    def __init__(self) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        _sockets.add(self)

    def __del__(self) -> None:
        if self.fileno() >= 0:  # If socket(2) failed, there is nothing to close.
            self.close()


def _try_connect(path: str) -> CloseOnForkSocket:
    client_socket = CloseOnForkSocket()
    try:
        # connect(2) sleeps while the listener's queue is full. The timeout ends this sleep if the
        # daemon has stopped accepting connections.
        timeout = struct.pack("@ll", _CONNECT_TIMEOUT_S, 0)
        client_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        # Overrides the timeout that the program has perhaps set by socket.setdefaulttimeout().
        client_socket.setblocking(True)
        client_socket.connect(path)
        client_socket.setblocking(False)
    except BaseException:
        client_socket.close()
        raise
    return client_socket


def _connect_error(path: str, error: OSError) -> errors.Error:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return errors.out_of_descriptors()
    if error.errno == errno.EACCES:
        message = f"you may not connect to {path}; ask for access to it"
    elif error.errno == errno.EAGAIN:
        message = f"the daemon at {path} accepts no connections; see whether it is stuck"
    else:
        why = error.strerror or str(error)
        message = f"no evfdd answers at {path}: {why}; start it, or name another with EVFDD_SOCKET"
    return errors.NoDaemonError(message)


def connect_to(address: Address) -> CloseOnForkSocket:
    """Return a connected, non-blocking socket.

    Raise NoDaemonError if no daemon answers, and SystemFailureError if no descriptor is free.
    """
    give_up = deadline_after_ns(_START_TIMEOUT_NS)
    was_started = False
    while True:
        try:
            return _try_connect(address.path)
        except OSError as error:
            is_absent = error.errno in (errno.ENOENT, errno.ECONNREFUSED)
            is_over = was_started and time.monotonic_ns() > give_up
            if not is_absent or not address.starts_on_demand or is_over:
                raise _connect_error(address.path, error) from None
        if was_started:  # Another daemon is starting or exiting; this takes a moment.
            time.sleep(_START_PAUSE_NS / NS_PER_SECOND)
        _start_daemon(address.path)
        was_started = True


_sockets: weakref.WeakSet[CloseOnForkSocket] = weakref.WeakSet()


# If a child kept its parent's connections open, the parent's subscriptions and temporary objects
# would not end with the parent. So the child closes all sockets here. The child cannot leave this
# to the threads that use the sockets, because those threads do not exist in the child.
def _close_in_child() -> None:
    for client_socket in list(_sockets):
        client_socket.close()


os.register_at_fork(after_in_child=_close_in_child)
