"""Daemons, evfdctl, threads and children for the tests.  Nothing here sleeps for a time that is to
be long enough: whatever is awaited is asked for, with a deadline."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import Any, Callable, Generic, Iterator, Sequence, TypeVar

import pytest

import evfd

# After so long something that was awaited will not come any more.
PATIENCE_S = float(os.environ.get("EVFDD_PATIENCE_S", "60"))
SOURCE = Path(__file__).resolve().parents[2]
DAEMON = os.environ["EVFDD_DAEMON"]
CTL = os.environ["EVFDD_CTL"]

_PR_SET_DUMPABLE = 4

T = TypeVar("T")


def eventually(holds: Callable[[], object]) -> bool:
    """Asks again and again, for what nothing rings for."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            return False
        os.sched_yield()
    return True


class RunningDaemon:
    """evfdd at a socket in that directory; with a guard, if it is to outlive being killed."""

    def __init__(self, directory: Path, *options: str, path: str | None = None) -> None:
        self.directory = directory
        self.path = path or str(directory / "io.evfdd")
        self._options = options
        self._start()

    def _start(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            notify = self.directory / "notify"
            notify.unlink(missing_ok=True)
            told.bind(str(notify))
            told.settimeout(PATIENCE_S)
            with open(self.directory / "log", "ab") as log:
                self.process = subprocess.Popen(
                    [DAEMON, "--socket", self.path, *self._options],
                    env={**os.environ, "NOTIFY_SOCKET": str(notify)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            while b"READY=1" not in told.recv(4096):
                pass
            notify.unlink()

    def client(self, patience: float = PATIENCE_S) -> evfd.Daemon:
        return evfd.Daemon(self.path, patience=patience)

    def ctl(self, *words: str) -> str:
        """What evfdctl printed, which must succeed."""
        done = subprocess.run(
            [CTL, "--socket", self.path, *words],
            stdout=subprocess.PIPE,
            timeout=PATIENCE_S,
            check=True,
            text=True,
        )
        return done.stdout

    def has_waits(self, name: str, count: int) -> bool:
        """Waits until so many Wait calls wait for the name, which must be there."""
        client = self.client()
        return eventually(lambda: client.show(name).waits == count)

    def kill(self) -> None:
        """What we started: the daemon, or its guard."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def restart(self) -> None:
        self._start()

    def kill_below_guard(self) -> None:
        """The daemon, which its guard starts again; returns when it is gone."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pid = 0
        while not pid:
            pid = int((children.read_text().split() or ["0"])[0])
        try:
            gone = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            signal.pidfd_send_signal(gone, signal.SIGKILL)
            assert select.select([gone], [], [], PATIENCE_S)[0]
        finally:
            os.close(gone)

    def begin_next_commit(self) -> None:
        """Writes the first bytes of one into the journal, as a daemon does that is killed meanwhile: it
        is stopped by then."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        os.kill(int(children.read_text()), signal.SIGSTOP)
        held = Path(f"/proc/{self.process.pid}/fd").iterdir()
        journal = next(fd for fd in held if "evfdd-journal" in os.readlink(fd))
        frame = struct.Struct("<4sIQQ")  # And so many bytes.
        with open(journal, "r+b", buffering=0) as file:
            content = file.readall()
            at, last = 4096, 0
            while content[at : at + 4] == b"fram":
                _, size, last, _ = frame.unpack_from(content, at)
                at += frame.size + size
            file.seek(at)
            file.write(frame.pack(b"fram", 88, last + 1, 0x1234567))

    def stop(self) -> None:
        """It ends well, and no sanitizer that it was built with had anything to say."""
        was_killed = self.process.poll() is not None
        if not was_killed:
            self.process.terminate()
        status = self.process.wait(PATIENCE_S)
        log = (self.directory / "log").read_text(errors="replace")
        assert was_killed or status == 0, log
        assert "Sanitizer" not in log and "runtime error" not in log, log


class Worker(threading.Thread, Generic[T]):
    """A thread, whose result or exception is given by done()."""

    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:
            self._error = error

    def done(self) -> T:
        self.join(PATIENCE_S)
        assert not self.is_alive(), "it goes on and on"
        if self._error is not None:
            raise self._error
        return self._result


_WAITING = {  # Those of x86-64, and of all newer machines.
    "x86_64": {
        "7": "poll", "208": "io_getevents", "271": "ppoll", "270": "pselect6", "42": "connect",
    },
}  # fmt: skip
_GENERIC = {"73": "ppoll", "4": "io_getevents", "72": "pselect6", "203": "connect"}


def sleeps(thread: threading.Thread) -> bool:
    """Whether it sleeps in a system call that waits for descriptors."""
    try:
        now = Path(f"/proc/self/task/{thread.native_id}/syscall").read_text().split()
    except OSError:
        return False
    return now[0] in _WAITING.get(os.uname().machine, _GENERIC)


def all_wait(event: Any, workers: Sequence[threading.Thread]) -> bool:
    """Until all of them are in its wait()."""
    if isinstance(event, threading.Event):
        waiters = event._cond._waiters  # type: ignore[attr-defined]
        return eventually(lambda: len(waiters) == len(workers))
    return eventually(lambda: all(sleeps(worker) for worker in workers))


class Child:
    """Of os.fork(): does the work, and ends."""

    def __init__(self, work: Callable[[], object]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._output, its = os.pipe()
        with warnings.catch_warnings():
            # From Python 3.12 on: our threads are what this is about.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(self._output)
                work()
                status = 0
            except BaseException:
                os.write(its, traceback.format_exc().encode()[-65536:])
            finally:
                os._exit(status)
        os.close(its)

    def done(self) -> None:
        """It did so without an exception."""
        over = os.pidfd_open(self.pid)
        try:
            is_over = select.select([over], [], [], PATIENCE_S)[0]
        finally:
            os.close(over)
        if not is_over:
            os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        os.set_blocking(self._output, False)  # Children of its own may have the other end.
        told = ""
        with contextlib.suppress(BlockingIOError):
            told = os.read(self._output, 65536).decode()
        os.close(self._output)
        assert is_over, "it went on and on"
        assert os.waitstatus_to_exitcode(status) == 0, told


@contextlib.contextmanager
def no_descriptor_left(but: int = 0) -> Iterator[None]:
    """This process can open so many more, and then none."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(descriptors()) + 8, before[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        for _ in range(but):
            os.close(taken.pop())
        yield
    finally:
        for number in taken:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def need_descriptors(many: int) -> None:
    """From here on this process may have as many as its hard limit allows: so many at least."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < many:
        pytest.skip(f"the hard limit of open files (RLIMIT_NOFILE) is below {many}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def become_stranger() -> None:
    """As root, from here on this process is a user whom nobody else is."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(60_500)
        os.setuid(60_500)
        # So that we may look into our own /proc all the same.
        assert ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0) == 0


def descriptors() -> dict[int, str]:
    """Those that are open in this process, and what they are."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # That of the listing itself.
            found[int(number)] = os.readlink(f"/proc/self/fd/{number}")
    return found


def lines_of(process: subprocess.Popen[str]) -> Iterator[str]:
    """What it prints, as it comes."""
    assert process.stdout is not None
    while select.select([process.stdout], [], [], PATIENCE_S)[0]:
        line = process.stdout.readline()
        if not line:
            return
        yield line.rstrip("\n")
    raise AssertionError("it prints nothing")
