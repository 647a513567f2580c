"""Fixtures for all tests: a daemon that the tests of one file share, and private daemons."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

import evfd
from harness import DaemonProcess

_numbers = itertools.count()
_forbids_skips = os.environ.get("EVFDD_FORBID_SKIPS") == "1"
_reasons: set[str] = set()  # The reasons why tests were skipped so far.


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and isinstance(report.longrepr, tuple):
        _reasons.add(report.longrepr[2].removeprefix("Skipped: "))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _reasons and _forbids_skips:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int) -> None:
    """Print each reason for a skip in the form by which CTest recognizes a skipped test.

    If a test failed, CTest must count the file as failed, so nothing is printed.
    If skips are forbidden, print an error message for each reason instead.
    """
    for reason in sorted(_reasons):
        if _forbids_skips:
            terminalreporter.write_line(f"EVFDD_FORBID_SKIPS is set; a test is skipped: {reason}")
        elif exitstatus == 0:
            terminalreporter.write_line(f"SKIPPED: {reason}")


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """Return a new directory that other users can read.

    Its path is short, because the path of a Unix socket has at most 107 bytes.
    """
    path = Path(tempfile.mkdtemp(prefix="evfd-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def running(directory: Path) -> Iterator[DaemonProcess]:
    """Return the daemon that all tests of one file share. No test may kill it."""
    daemon = DaemonProcess(directory)
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module")
def shared(running: DaemonProcess) -> evfd.Client:
    """Return a client of the daemon that all tests of one file share."""
    return running.client()


@pytest.fixture
def name() -> str:
    """Return a name for an object, which no other test uses."""
    return f"test/{os.getpid()}/{next(_numbers)}"


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., DaemonProcess]]:
    """Return a function that starts a daemon for one test. The daemons end with the test."""
    started = []
    directories = []

    def begin(*options: str) -> DaemonProcess:
        path = Path(tempfile.mkdtemp(prefix="evfd-"))
        directories.append(path)
        started.append(DaemonProcess(path, *options))
        return started[-1]

    yield begin
    for daemon in started:
        daemon.stop()
    for path in directories:
        shutil.rmtree(path)


@pytest.fixture
def supervised(start: Callable[..., DaemonProcess]) -> DaemonProcess:
    """Start a daemon for one test, with a supervisor that restarts the daemon after a kill."""
    return start("--supervise")
