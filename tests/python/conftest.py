"""What the tests are given: a daemon for those of one file, one of its own for who kills it."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from pathlib import Path
from typing import Callable, Iterator

import pytest

import evfd
from running import RunningDaemon

_numbers = itertools.count()


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
