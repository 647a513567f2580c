"""What the tests are given: a daemon for those of one file, one of its own for who kills it."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

import evfd
from running import RunningDaemon

_numbers = itertools.count()
_forbids_skips = os.environ.get("EVFDD_FORBID_SKIPS") == "1"
_reasons: set[str] = set()  # Of the tests that were skipped.


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and isinstance(report.longrepr, tuple):
        _reasons.add(report.longrepr[2].removeprefix("Skipped: "))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _reasons and _forbids_skips:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int) -> None:
    """CTest takes the whole file for skipped by such a line, so there is none if a test failed."""
    for reason in sorted(_reasons):
        if _forbids_skips:
            terminalreporter.write_line(f"EVFDD_FORBID_SKIPS is set; a test is skipped: {reason}")
        elif exitstatus == 0:
            terminalreporter.write_line(f"SKIPPED: {reason}")


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """Where others may look in; its path is short enough for a socket's."""
    path = Path(tempfile.mkdtemp(prefix="evfd-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def running(directory: Path) -> Iterator[RunningDaemon]:
    """A daemon that nobody kills."""
    daemon = RunningDaemon(directory)
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module")
def shared(running: RunningDaemon) -> evfd.Daemon:
    """A client of it."""
    return running.client()


@pytest.fixture
def name() -> str:
    """That nobody else uses."""
    return f"test/{os.getpid()}/{next(_numbers)}"


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RunningDaemon]]:
    """Starts daemons of one's own; they end with the test."""
    started = []
    directories = []

    def begin(*options: str) -> RunningDaemon:
        path = Path(tempfile.mkdtemp(prefix="evfd-"))
        directories.append(path)
        started.append(RunningDaemon(path, *options))
        return started[-1]

    yield begin
    for daemon in started:
        daemon.stop()
    for path in directories:
        shutil.rmtree(path)


@pytest.fixture
def guarded(start: Callable[..., RunningDaemon]) -> RunningDaemon:
    """A daemon that may be killed."""
    return start("--guard")
