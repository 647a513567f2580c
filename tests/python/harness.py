"""Functions and classes by which the tests use daemons, evfdctl, threads and child processes.

No function here sleeps for a fixed time. A function polls a condition or waits for a descriptor,
and always has a deadline.
"""

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

# The longest time, in seconds, that a test waits for one condition.
TIMEOUT_S = float(os.environ.get("EVFDD_PATIENCE_S", "60"))
SOURCE = Path(__file__).resolve().parents[2]
DAEMON = os.environ["EVFDD_DAEMON"]
CTL = os.environ["EVFDD_CTL"]

_PR_SET_DUMPABLE = 4

T = TypeVar("T")


def poll_until(condition: Callable[[], object]) -> bool:
    """Evaluate the condition again and again until it is true. Return False at the deadline."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        os.sched_yield()
    return True


class DaemonProcess:
    """An evfdd process with its socket in `directory`.

    With the option --supervise, `process` is the supervisor of the daemon, and the daemon's state
    survives a kill of the daemon.
    """

    def __init__(self, directory: Path, *options: str, path: str | None = None) -> None:
        self.directory = directory
        self.path = path or str(directory / "io.evfdd")
        self._options = options
        self._start()

    def _start(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
            notify = self.directory / "notify"
            notify.unlink(missing_ok=True)
            notifications.bind(str(notify))
            notifications.settimeout(TIMEOUT_S)
            with open(self.directory / "log", "ab") as log:
                self.process = subprocess.Popen(
                    [DAEMON, "--socket", self.path, *self._options],
                    env={**os.environ, "NOTIFY_SOCKET": str(notify)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            while b"READY=1" not in notifications.recv(4096):
                pass
            notify.unlink()

    def client(self, timeout: float = TIMEOUT_S) -> evfd.Client:
        """Return a new client of this daemon."""
        return evfd.Client(self.path, timeout=timeout)

    def ctl(self, *words: str) -> str:
        """Run evfdctl with this daemon's socket, require success and return the output."""
        completed = subprocess.run(
            [CTL, "--socket", self.path, *words],
            stdout=subprocess.PIPE,
            timeout=TIMEOUT_S,
            check=True,
            text=True,
        )
        return completed.stdout

    def has_waits(self, name: str, count: int) -> bool:
        """Wait until `count` waits by name are pending for an existing object.

        Return False at the deadline.
        """
        client = self.client()
        return poll_until(lambda: client.show(name).waits == count)

    def kill(self) -> None:
        """Kill `process`: the supervisor with the option --supervise, the daemon without it."""
        self.process.kill()
        self.process.wait(TIMEOUT_S)

    def restart(self) -> None:
        """Start `process` again after kill()."""
        self._start()

    def kill_supervised(self) -> None:
        """Kill the daemon below the supervisor, and return when the daemon is dead.

        The supervisor then starts another daemon.
        """
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pid = 0
        while not pid:
            pid = int((children.read_text().split() or ["0"])[0])
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            assert select.select([pidfd], [], [], TIMEOUT_S)[0]
        finally:
            os.close(pidfd)

    def begin_next_commit(self) -> None:
        """Stop the supervised daemon and write the first bytes of a commit into its journal.

        A kill of the daemon during a commit leaves a journal in this state.
        """
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        os.kill(int(children.read_text()), signal.SIGSTOP)
        descriptors = Path(f"/proc/{self.process.pid}/fd").iterdir()
        journal = next(fd for fd in descriptors if "evfdd-journal" in os.readlink(fd))
        # The head of a frame in the journal has a magic number, the size of the content, a sequence
        # number and a checksum.
        frame = struct.Struct("<4sIQQ")
        with open(journal, "r+b", buffering=0) as file:
            content = file.readall()
            at, last = 4096, 0
            while content[at : at + 4] == b"fram":
                _, size, last, _ = frame.unpack_from(content, at)
                at += frame.size + size
            file.seek(at)
            file.write(frame.pack(b"fram", 88, last + 1, 0x1234567))

    def stop(self) -> None:
        """Terminate `process`, unless it was killed.

        A terminated process must exit with status 0. The log must have no report of a sanitizer.
        """
        was_killed = self.process.poll() is not None
        if not was_killed:
            self.process.terminate()
        status = self.process.wait(TIMEOUT_S)
        log = (self.directory / "log").read_text(errors="replace")
        assert was_killed or status == 0, log
        assert "Sanitizer" not in log and "runtime error" not in log, log


class Worker(threading.Thread, Generic[T]):
    """A thread that calls `work`. result() returns the result of `work` or raises its exception."""

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

    def result(self) -> T:
        """Wait for the end of the thread. Return the result of `work` or raise its exception."""
        self.join(TIMEOUT_S)
        assert not self.is_alive(), "the thread does not end"
        if self._error is not None:
            raise self._error
        return self._result


# The numbers of the system calls in which a thread waits for a descriptor, for each architecture.
# _GENERIC has the numbers for all architectures that _WAITING does not list.
_WAITING = {
    "x86_64": {
        "7": "poll", "208": "io_getevents", "271": "ppoll", "270": "pselect6", "42": "connect",
    },
}  # fmt: skip
_GENERIC = {"73": "ppoll", "4": "io_getevents", "72": "pselect6", "203": "connect"}


def sleeps(thread: int | None) -> bool:
    """Return whether the thread sleeps in a system call that waits for descriptors.

    `thread` is a thread id. The thread can belong to any process.
    """
    try:
        call = Path(f"/proc/{thread}/syscall").read_text().split()
    except OSError:
        return False
    return call[0] in _WAITING.get(os.uname().machine, _GENERIC)


def resume_threads_sleep() -> bool:
    """Return whether all resume threads of this process's clients sleep.

    A resume thread that is awake can close and open descriptors, which would disturb a test that
    counts descriptors. A resume thread wakes when a pulse or a timer is opened, and when a
    subscription ends.
    """
    threads = (thread for thread in threading.enumerate() if thread.name == "evfd-resume")
    return all(sleeps(thread.native_id) for thread in threads)


def signal_main_until(number: int, has_effect: Callable[[], object]) -> bool:
    """Send a signal to the main thread again and again until has_effect() returns true.

    Return False at the deadline. One signal is not enough: if a signal arrives just before a system
    call blocks, Python runs the signal's handler only after another signal interrupts the call.
    """

    def send() -> object:
        signal.pthread_kill(threading.main_thread().ident or 0, number)
        return has_effect()

    return poll_until(lambda: has_effect() or send())


def all_wait(event: Any, workers: Sequence[threading.Thread]) -> bool:
    """Wait until all `workers` block in a wait for the event. Return False at the deadline."""
    if isinstance(event, threading.Event):
        waiters = event._cond._waiters  # type: ignore[attr-defined]
        return poll_until(lambda: len(waiters) == len(workers))
    return poll_until(lambda: all(sleeps(worker.native_id) for worker in workers))


class Child:
    """A child process, created by os.fork(), that calls `work` and exits."""

    def __init__(self, work: Callable[[], object]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._output, errors = os.pipe()
        with warnings.catch_warnings():
            # Since Python 3.12, os.fork() warns if the process has several threads. These tests
            # fork such a process on purpose.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(self._output)
                work()
                status = 0
            except BaseException:
                os.write(errors, traceback.format_exc().encode()[-65536:])
            finally:
                os._exit(status)
        os.close(errors)

    def join(self) -> None:
        """Wait until the child exits. Fail if `work` raised an exception in the child."""
        pidfd = os.pidfd_open(self.pid)
        try:
            has_exited = select.select([pidfd], [], [], TIMEOUT_S)[0]
        finally:
            os.close(pidfd)
        if not has_exited:
            os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        # The read must not wait for end of file, because a child of this child can still have the
        # other end of the pipe open.
        os.set_blocking(self._output, False)
        output = ""
        with contextlib.suppress(BlockingIOError):
            output = os.read(self._output, 65536).decode()
        os.close(self._output)
        assert has_exited, "the child does not exit"
        assert os.waitstatus_to_exitcode(status) == 0, output


@contextlib.contextmanager
def exhausted_descriptors(but: int = 0) -> Iterator[None]:
    """Let this process open only `but` more descriptors inside the with statement."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    fillers: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(descriptors()) + 8, limit[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                fillers.append(os.dup(0))
        for _ in range(but):
            os.close(fillers.pop())
        yield
    finally:
        for number in fillers:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


def require_descriptors(count: int) -> None:
    """Raise the soft limit of open files to the hard limit.

    Skip the test if the hard limit is below `count`.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count:
        pytest.skip(f"the hard limit of open files (RLIMIT_NOFILE) is below {count}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def become_unprivileged() -> None:
    """If this process is root, change its user to a uid that no other process has."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(60_500)
        os.setuid(60_500)
        # Lets this process read its own files in /proc. The change of the uid has made these files
        # unreadable.
        assert ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0) == 0


def descriptors() -> dict[int, str]:
    """Return all open descriptors of this process, each with the name of its file."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        # The list contains the descriptor that os.listdir() itself opened, which is already closed.
        with contextlib.suppress(FileNotFoundError):
            found[int(number)] = os.readlink(f"/proc/self/fd/{number}")
    return found


def read_lines(process: subprocess.Popen[str]) -> Iterator[str]:
    """Yield the lines of the process's standard output as they arrive."""
    assert process.stdout is not None
    while select.select([process.stdout], [], [], TIMEOUT_S)[0]:
        line = process.stdout.readline()
        if not line:
            return
        yield line.rstrip("\n")
    raise AssertionError("the process prints nothing")
