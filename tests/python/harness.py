"""Daemons, evfdctl, threads and child processes for the tests.

Nothing here sleeps for a fixed time: a test polls a condition or waits on a descriptor, always with
a deadline.
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

# The time limit, in seconds, of each wait of a test.
TIMEOUT_S = float(os.environ.get("EVFDD_PATIENCE_S", "60"))
SOURCE = Path(__file__).resolve().parents[2]
DAEMON = os.environ["EVFDD_DAEMON"]
CTL = os.environ["EVFDD_CTL"]

_PR_SET_DUMPABLE = 4

T = TypeVar("T")


def poll_until(condition: Callable[[], object]) -> bool:
    """Poll the condition until it holds; return False on timeout."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        os.sched_yield()
    return True


class DaemonProcess:
    """An evfdd process with its socket in `directory`.

    With the option --supervise, `process` is its supervisor, and the daemon's state survives a
    kill.
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
        """Run evfdctl with this daemon's socket, require success and return its output."""
        completed = subprocess.run(
            [CTL, "--socket", self.path, *words],
            stdout=subprocess.PIPE,
            timeout=TIMEOUT_S,
            check=True,
            text=True,
        )
        return completed.stdout

    def has_waits(self, name: str, count: int) -> bool:
        """Poll until an existing object has `count` waits by name; return False on timeout."""
        client = self.client()
        return poll_until(lambda: client.show(name).waits == count)

    def kill(self) -> None:
        """Kill `process`, which is the daemon or its supervisor."""
        self.process.kill()
        self.process.wait(TIMEOUT_S)

    def restart(self) -> None:
        """Start the daemon, or its supervisor, again after kill()."""
        self._start()

    def kill_supervised(self) -> None:
        """Kill the daemon of the supervisor, and return when it has exited.

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

        This is the state that a kill during a commit leaves.
        """
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        os.kill(int(children.read_text()), signal.SIGSTOP)
        descriptors = Path(f"/proc/{self.process.pid}/fd").iterdir()
        journal = next(fd for fd in descriptors if "evfdd-journal" in os.readlink(fd))
        # The head of a frame: magic number, size of the content, sequence number, checksum.
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

        It must exit with status 0, and its sanitizers must have reported nothing.
        """
        was_killed = self.process.poll() is not None
        if not was_killed:
            self.process.terminate()
        status = self.process.wait(TIMEOUT_S)
        log = (self.directory / "log").read_text(errors="replace")
        assert was_killed or status == 0, log
        assert "Sanitizer" not in log and "runtime error" not in log, log


class Worker(threading.Thread, Generic[T]):
    """A thread that calls `work`; result() returns its result or raises its exception."""

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
        """Join the thread; return its result or raise its exception."""
        self.join(TIMEOUT_S)
        assert not self.is_alive(), "the thread does not end"
        if self._error is not None:
            raise self._error
        return self._result


# The numbers of the system calls in which a thread waits for descriptors: on x86-64, and in
# _GENERIC on all newer machines.
_WAITING = {
    "x86_64": {
        "7": "poll", "208": "io_getevents", "271": "ppoll", "270": "pselect6", "42": "connect",
    },
}  # fmt: skip
_GENERIC = {"73": "ppoll", "4": "io_getevents", "72": "pselect6", "203": "connect"}


def sleeps(thread: int | None) -> bool:
    """Return whether a thread, of any process, sleeps in a call that waits for descriptors."""
    try:
        call = Path(f"/proc/{thread}/syscall").read_text().split()
    except OSError:
        return False
    return call[0] in _WAITING.get(os.uname().machine, _GENERIC)


def resume_threads_sleep() -> bool:
    """Return whether all resume threads of this process's clients sleep.

    A resume thread that is awake can replace its duplicate of a connection. It wakes when a pulse
    or a timer is opened, and when a subscription ends.
    """
    threads = (thread for thread in threading.enumerate() if thread.name == "evfd-resume")
    return all(sleeps(thread.native_id) for thread in threads)


def signal_main_until(number: int, has_effect: Callable[[], object]) -> bool:
    """Send a signal to the main thread until has_effect() is true; return False on timeout.

    One signal is not enough: Python runs a handler between two byte codes, so a signal that comes
    just before a call blocks stays without effect until another signal interrupts that call.
    """

    def send() -> object:
        signal.pthread_kill(threading.main_thread().ident or 0, number)
        return has_effect()

    return poll_until(lambda: has_effect() or send())


def all_wait(event: Any, workers: Sequence[threading.Thread]) -> bool:
    """Poll until all threads are in the event's wait(); return False on timeout."""
    if isinstance(event, threading.Event):
        waiters = event._cond._waiters  # type: ignore[attr-defined]
        return poll_until(lambda: len(waiters) == len(workers))
    return poll_until(lambda: all(sleeps(worker.native_id) for worker in workers))


class Child:
    """A child of os.fork() that calls `work` and exits."""

    def __init__(self, work: Callable[[], object]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._output, errors = os.pipe()
        with warnings.catch_warnings():
            # Since Python 3.12, fork() warns if the process has threads. These tests fork with
            # threads on purpose.
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
        """Wait until the child exits; fail if it raised an exception."""
        pidfd = os.pidfd_open(self.pid)
        try:
            has_exited = select.select([pidfd], [], [], TIMEOUT_S)[0]
        finally:
            os.close(pidfd)
        if not has_exited:
            os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        # A child of this child can hold the other end open, so read(2) must not block.
        os.set_blocking(self._output, False)
        output = ""
        with contextlib.suppress(BlockingIOError):
            output = os.read(self._output, 65536).decode()
        os.close(self._output)
        assert has_exited, "the child does not exit"
        assert os.waitstatus_to_exitcode(status) == 0, output


@contextlib.contextmanager
def exhausted_descriptors(but: int = 0) -> Iterator[None]:
    """Let this process open only `but` more descriptors in the body of the with statement."""
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
    """If this process is root, switch to a uid that no other process has."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(60_500)
        os.setuid(60_500)
        # Without this call, a process that has changed its uid cannot read its own files in /proc.
        assert ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0) == 0


def descriptors() -> dict[int, str]:
    """Return the open descriptors of this process and the files that they refer to."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        # The list contains the descriptor of os.listdir() itself, which is closed by now.
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
