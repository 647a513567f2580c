"""Which daemon, and how one's own is started on demand."""

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
from evfd.clock import NS_PER_MS, NS_PER_SECOND, after_ns

_SOCKET = "io.evfdd"
_IDLE_EXIT = "60s"  # Of a daemon started on demand.
_START_PATIENCE_NS = 5 * NS_PER_SECOND  # From the first attempt to an answering daemon.
_START_PAUSE_NS = 10 * NS_PER_MS  # Between attempts, while another one is starting it.
_CONNECT_PATIENCE_S = 5
_ALREADY_RUNNING = 75  # evfdd's exit status when another one has the socket.
_DAEMON = "evfdd"
_ELSEWHERE = ("/usr/local/sbin", "/usr/sbin")  # Where it is installed, if it is not in PATH.


@dataclasses.dataclass(frozen=True)
class Address:
    """The socket of a daemon.  `starts_on_demand`: if nobody answers there, one is started."""

    path: str
    starts_on_demand: bool = False

    @staticmethod
    def system() -> Address:
        """The machine's."""
        return Address(f"/run/evfdd/{_SOCKET}")

    @staticmethod
    def user() -> Address:
        """One's own, started on demand: in $XDG_RUNTIME_DIR, else in /tmp.  NoDaemonError if the
        directory is not ours alone."""
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        directory = f"{runtime}/evfdd" if runtime.startswith("/") else f"/tmp/evfdd-{os.geteuid()}"
        _make_private(directory)
        return Address(f"{directory}/{_SOCKET}", starts_on_demand=True)

    @staticmethod
    def usual() -> Address:
        """$EVFDD_SOCKET, else the machine's where it is there, else one's own."""
        path = os.environ.get("EVFDD_SOCKET")
        if path:
            return Address(path)
        system = Address.system()
        return system if os.path.exists(system.path) else Address.user()


def _make_private(directory: str) -> None:
    """Ours alone, so that nobody else can put a socket there."""

    def refuse(why: str) -> errors.NoDaemonError:
        return errors.make(
            errors.NoDaemonError,
            f"{directory} {why}; remove it, or name a socket with EVFDD_SOCKET",
        )

    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise refuse(f"cannot be made: {error.strerror}") from error
    try:
        there = os.lstat(directory)
    except OSError as error:
        raise refuse(f"cannot be looked at: {error.strerror}") from error
    if not stat.S_ISDIR(there.st_mode):
        raise refuse("is no directory")
    if there.st_uid != os.geteuid():
        raise refuse("belongs to another user")
    if there.st_mode & 0o077:
        raise refuse("is open to others")


def _find_daemon() -> str:
    places = [os.environ.get("PATH", os.defpath), *_ELSEWHERE]
    found = shutil.which(_DAEMON, path=os.pathsep.join(places))
    if found is None:
        raise errors.make(
            errors.NoDaemonError,
            "there is no evfdd to start: install it, put it into PATH, or name a running one "
            "with EVFDD_SOCKET",
        )
    return found


def _open_null() -> int:
    """/dev/null; where that file is missing, what can be neither read nor written."""
    try:
        return os.open(os.devnull, os.O_RDWR)
    except FileNotFoundError:
        return os.open("/", os.O_PATH)


def _start_daemon(path: str) -> None:
    """Returns once clients can connect.  It may well find that another one was faster: then that
    one is as good."""
    program = _find_daemon()
    words = [program, "--socket", path, "--idle-exit", _IDLE_EXIT, "--guard", "--background"]
    words += ["--log-level", "error"]
    try:
        null = _open_null()
        try:
            done = subprocess.run(words, stdin=null, stdout=null)
        finally:
            os.close(null)
    except OSError as error:
        raise errors.make(
            errors.NoDaemonError, f"{program} cannot be started: {error.strerror}"
        ) from error
    if done.returncode not in (0, _ALREADY_RUNNING):
        raise errors.make(
            errors.NoDaemonError,
            f"{program} did not start; run it by hand with --socket {path} to see why",
        )


class Connection(socket.socket):
    """Closed with the last reference, as all descriptors of this package are, and without the
    warning that nobody did; and in a child of fork(2), also where a thread was just making it."""

    def __init__(self) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        _all.add(self)

    def __del__(self) -> None:
        if self.fileno() >= 0:  # Else there may have been no descriptor for it.
            self.close()


def _try_connect(path: str) -> Connection:
    connected = Connection()
    try:
        # connect(2) sleeps while the queue is full; a daemon that does not accept must not keep us.
        patience = struct.pack("@ll", _CONNECT_PATIENCE_S, 0)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
        connected.setblocking(True)  # Also where the program has a default timeout.
        connected.connect(path)
        connected.setblocking(False)
    except BaseException:
        connected.close()
        raise
    return connected


def _nobody_at(path: str, error: OSError) -> errors.Error:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return errors.out_of_descriptors()
    if error.errno == errno.EACCES:
        message = f"you may not connect to {path}; ask for access to it"
    elif error.errno == errno.EAGAIN:
        message = f"the daemon at {path} lets nobody in; see whether it is stuck"
    else:
        why = error.strerror or str(error)
        message = f"no evfdd answers at {path}: {why}; start it, or name another with EVFDD_SOCKET"
    return errors.make(errors.NoDaemonError, message)


def connect_to(address: Address) -> Connection:
    """A connected, non-blocking socket; NoDaemonError if nobody is there, SystemFailureError if
    there is no descriptor left for it."""
    give_up = after_ns(_START_PATIENCE_NS)
    was_started = False
    while True:
        try:
            return _try_connect(address.path)
        except OSError as error:
            is_absent = error.errno in (errno.ENOENT, errno.ECONNREFUSED)
            is_over = was_started and time.monotonic_ns() > give_up
            if not is_absent or not address.starts_on_demand or is_over:
                raise _nobody_at(address.path, error) from None
        if was_started:  # One that is just starting or ending: it answers or is gone in a moment.
            time.sleep(_START_PAUSE_NS / NS_PER_SECOND)
        _start_daemon(address.path)
        was_started = True


_all: weakref.WeakSet[Connection] = weakref.WeakSet()


# A child that kept its parent's connections would keep alive at the daemon what is to end with the
# parent. Those of threads that the child does not have are referenced for ever there.
def _leave_to_parent() -> None:
    for connected in list(_all):
        connected.close()


os.register_at_fork(after_in_child=_leave_to_parent)
