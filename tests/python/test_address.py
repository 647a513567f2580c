"""Which daemon: what the environment says, and one's own, which is started when it is not there."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Callable, Iterator

import pytest

import evfd
from running import DAEMON, PATIENCE_S, RunningDaemon, Worker


@pytest.fixture
def home(directory: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[Path]:
    """A user's own place, and evfdd in PATH.  What is started there is nobody's child: it is ended
    in the end."""
    runtime = directory / name.replace("/", "-")
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.delenv("EVFDD_SOCKET", raising=False)
    monkeypatch.setenv("PATH", f"{Path(DAEMON).parent}:{os.environ['PATH']}")
    yield runtime
    try:
        pid = evfd.Daemon(str(runtime / "evfdd" / "io.evfdd"), patience=5).status().pid
    except ConnectionError:
        return
    guard = os.getsid(pid)  # It is the first of its session.
    over = os.pidfd_open(guard)
    try:
        os.kill(guard, signal.SIGTERM)
        assert select.select([over], [], [], PATIENCE_S)[0]
    finally:
        os.close(over)


def test_the_environment_names_the_daemon(
    running: RunningDaemon, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("EVFDD_SOCKET", running.path)
    assert evfd.Address.usual() == evfd.Address(running.path)
    evfd.Event(name).set()
    assert evfd.Event(name).is_set()
    assert evfd.Daemon().status().pid == running.process.pid
    assert evfd.usual_daemon().status().pid == running.process.pid
    assert evfd.usual_daemon() is evfd.usual_daemon()
    monkeypatch.setenv("EVFDD_SOCKET", running.path + ".other")
    assert evfd.usual_daemon().address.path == running.path + ".other"


def test_a_daemon_that_was_named_is_not_started(directory: Path, name: str) -> None:
    for path in (directory / "nobody", directory / "not" / "there"):
        with pytest.raises(ConnectionError, match="no evfdd answers") as raised:
            evfd.Event(name, daemon=evfd.Daemon(str(path)))
        assert isinstance(raised.value, evfd.NoDaemonError)
    with pytest.raises(ConnectionError):
        evfd.Daemon("/tmp/" + "x" * 200).status()


def test_the_system_s_comes_before_one_s_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert evfd.Address.system().path == "/run/evfdd/io.evfdd"
    monkeypatch.setattr(os.path, "exists", lambda path: path == "/run/evfdd/io.evfdd")
    assert evfd.Address.usual() == evfd.Address.system()
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    assert evfd.Address.usual() == evfd.Address.user()


def test_one_s_own_is_in_the_runtime_directory_or_in_tmp(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = evfd.Address.user()
    assert own == evfd.Address(str(home / "evfdd" / "io.evfdd"), starts_on_demand=True)
    assert (home / "evfdd").stat().st_mode & 0o7777 == 0o700
    monkeypatch.setattr(evfd.address, "_make_private", lambda directory: None)
    for none in ("", "relative"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", none)
        assert evfd.Address.user().path == f"/tmp/evfdd-{os.geteuid()}/io.evfdd"


def test_a_place_that_is_not_ours_alone_is_refused(home: Path) -> None:
    place = home / "evfdd"
    place.mkdir(mode=0o700)
    place.chmod(0o750)
    with pytest.raises(evfd.NoDaemonError, match="open to others"):
        evfd.Address.user()
    place.rmdir()
    place.symlink_to(home)
    with pytest.raises(evfd.NoDaemonError, match="is no directory"):
        evfd.Address.user()
    place.unlink()
    place.touch()
    with pytest.raises(evfd.NoDaemonError, match="is no directory"):
        evfd.Address.user()


def test_a_place_that_belongs_to_another_user_is_refused(home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory to another user")
    place = home / "evfdd"
    place.mkdir(mode=0o700)
    os.chown(place, 60_500, 60_500)
    with pytest.raises(evfd.NoDaemonError, match="belongs to another user"):
        evfd.Address.user()


def test_one_s_own_is_started_and_outlives_who_started_it(home: Path, name: str) -> None:
    program = f"import evfd; evfd.Event({name!r}, daemon=evfd.Daemon(evfd.Address.user())).set()"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE_S)
    assert evfd.Event(name, create=False, daemon=evfd.Daemon(evfd.Address.user())).is_set()


def test_many_at_once_start_one(home: Path) -> None:
    address = evfd.Address.user()
    workers = [Worker(lambda: evfd.Daemon(address).status().pid) for _ in range(12)]
    assert len({worker.done() for worker in workers}) == 1


def test_one_s_own_has_a_guard_and_may_be_killed(home: Path, name: str) -> None:
    client = evfd.Daemon(evfd.Address.user())
    pulse = evfd.Pulse(name, daemon=client)
    status = client.status()
    assert status.guardian == "guard"
    os.kill(status.pid, signal.SIGKILL)
    pulse.set()
    assert pulse.wait(PATIENCE_S) == 1


def test_one_s_own_is_started_again_whatever_who_started_it_ignores(home: Path, name: str) -> None:
    program = (
        "import evfd, os, signal\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "os.closerange(0, 3)\n"
        f"evfd.Event({name!r}, daemon=evfd.Daemon(evfd.Address.user())).set()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE_S)
    client = evfd.Daemon(evfd.Address.user())
    os.kill(client.status().pid, signal.SIGKILL)
    assert evfd.Event(name, create=False, daemon=client).is_set()


def test_one_s_own_is_started_where_there_is_no_device(home: Path, name: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can hide devices")
    program = f"import evfd; evfd.Event({name!r}, daemon=evfd.Daemon(evfd.Address.user())).set()"
    script = 'mount -t tmpfs none /dev && exec "$0" -c "$1"'
    subprocess.run(
        ["unshare", "-m", "sh", "-c", script, sys.executable, program],
        check=True,
        timeout=PATIENCE_S,
    )
    assert evfd.Event(name, create=False, daemon=evfd.Daemon(evfd.Address.user())).is_set()


def test_without_evfdd_there_is_none_to_start(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("PATH", str(home))
    monkeypatch.setattr(evfd.address, "_ELSEWHERE", ())
    with pytest.raises(evfd.NoDaemonError, match="no evfdd to start"):
        evfd.Event(name, daemon=evfd.Daemon(evfd.Address.user()))


def test_one_that_does_not_start_is_told_with_what_to_try(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = home / "evfdd-that-fails" / "evfdd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    with pytest.raises(evfd.NoDaemonError, match="run it by hand"):
        evfd.Daemon(evfd.Address.user()).status()


def test_a_private_event_needs_no_daemon(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    monkeypatch.setenv("EVFDD_SOCKET", str(directory / "nobody"))
    events: list[Callable[[], evfd.Waitable]] = [evfd.Event, evfd.Semaphore]
    for make in events:
        assert make().name is None
