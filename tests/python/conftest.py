"""Fixtures: a daemon that the tests of one file share, and private daemons for tests that kill."""

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
_reasons: set[str] = set()  # The reasons of the tests skipped so far.


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and isinstance(report.longrepr, tuple):
        _reasons.add(report.longrepr[2].removeprefix("Skipped: "))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _reasons and _forbids_skips:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int) -> None:
    """Print the line by which CTest recognizes a skipped file, unless a test failed."""
    for reason in sorted(_reasons):
        if _forbids_skips:
            terminalreporter.write_line(f"EVFDD_FORBID_SKIPS is set; a test is skipped: {reason}")
        elif exitstatus == 0:
            terminalreporter.write_line(f"SKIPPED: {reason}")


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """Return a directory that other users can read, with a path short enough for a socket."""
    path = Path(tempfile.mkdtemp(prefix="evfd-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def running(directory: Path) -> Iterator[DaemonProcess]:
    """Return the daemon that the tests of one file share, and that no test kills."""
    daemon = DaemonProcess(directory)
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module")
def shared(running: DaemonProcess) -> evfd.Client:
    """Return a client of the daemon that the tests of one file share."""
    return running.client()


@pytest.fixture
def name() -> str:
    """Return a name that no other test uses."""
    return f"test/{os.getpid()}/{next(_numbers)}"


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., DaemonProcess]]:
    """Return a function that starts private daemons, which are stopped at the end of the test."""
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
    """Return a private daemon whose supervisor restarts it after a kill."""
    return start("--supervise")
