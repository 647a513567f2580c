"""Tests of how a client finds its daemon, and starts the user's own daemon on demand."""

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
from harness import DAEMON, TIMEOUT_S, DaemonProcess, Worker


@pytest.fixture
def home(directory: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[Path]:
    """Set up an empty runtime directory, with evfdd in PATH.

    If a test starts a daemon in this directory, the fixture terminates the daemon after the test.
    The daemon is not a child of this process.
    """
    runtime = directory / name.replace("/", "-")
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.delenv("EVFDD_SOCKET", raising=False)
    monkeypatch.setenv("PATH", f"{Path(DAEMON).parent}:{os.environ['PATH']}")
    yield runtime
    try:
        pid = evfd.Client(str(runtime / "evfdd" / "io.evfdd"), timeout=5).status().pid
    except ConnectionError:
        return
    # The supervisor is the leader of the daemon's process session, so the session id is the
    # supervisor's pid.
    supervisor = os.getsid(pid)
    pidfd = os.pidfd_open(supervisor)
    try:
        os.kill(supervisor, signal.SIGTERM)
        assert select.select([pidfd], [], [], TIMEOUT_S)[0]
    finally:
        os.close(pidfd)


def test_the_environment_selects_the_daemon(
    running: DaemonProcess, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("EVFDD_SOCKET", running.path)
    assert evfd.Address.usual() == evfd.Address(running.path)
    evfd.Event(name, create=True).set()
    assert evfd.Event(name).is_set()
    assert evfd.Client().status().pid == running.process.pid
    assert evfd.default_client().status().pid == running.process.pid
    assert evfd.default_client() is evfd.default_client()
    monkeypatch.setenv("EVFDD_SOCKET", running.path + ".other")
    assert evfd.default_client().address.path == running.path + ".other"


def test_a_daemon_at_a_given_address_is_not_started(directory: Path, name: str) -> None:
    for path in (directory / "nobody", directory / "not" / "there"):
        with pytest.raises(ConnectionError, match="no evfdd answers") as raised:
            evfd.Event(name, create=True, client=evfd.Client(str(path)))
        assert isinstance(raised.value, evfd.NoDaemonError)
    with pytest.raises(ConnectionError):
        evfd.Client("/tmp/" + "x" * 200).status()


def test_the_system_daemon_precedes_the_users_own(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert evfd.Address.system().path == "/run/evfdd/io.evfdd"
    monkeypatch.setattr(os.path, "exists", lambda path: path == "/run/evfdd/io.evfdd")
    assert evfd.Address.usual() == evfd.Address.system()
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    assert evfd.Address.usual() == evfd.Address.user()


def test_the_users_socket_is_in_the_runtime_directory_or_in_tmp(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = evfd.Address.user()
    assert own == evfd.Address(str(home / "evfdd" / "io.evfdd"), starts_on_demand=True)
    assert (home / "evfdd").stat().st_mode & 0o7777 == 0o700
    monkeypatch.setattr(evfd._address, "_make_private", lambda directory: None)
    for none in ("", "relative"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", none)
        assert evfd.Address.user().path == f"/tmp/evfdd-{os.geteuid()}/io.evfdd"


def test_a_directory_open_to_other_users_is_refused(home: Path) -> None:
    place = home / "evfdd"
    place.mkdir(mode=0o700)
    place.chmod(0o750)
    with pytest.raises(evfd.NoDaemonError, match="open to others"):
        evfd.Address.user()
    place.rmdir()
    place.symlink_to(home)
    with pytest.raises(evfd.NoDaemonError, match="is not a directory"):
        evfd.Address.user()
    place.unlink()
    place.touch()
    with pytest.raises(evfd.NoDaemonError, match="is not a directory"):
        evfd.Address.user()


def test_a_directory_owned_by_another_user_is_refused(home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory to another user")
    place = home / "evfdd"
    place.mkdir(mode=0o700)
    os.chown(place, 60_500, 60_500)
    with pytest.raises(evfd.NoDaemonError, match="belongs to another user"):
        evfd.Address.user()


def test_the_users_daemon_is_started_on_demand_and_outlives_the_starter(
    home: Path, name: str
) -> None:
    program = (
        "import evfd; client = evfd.Client(evfd.Address.user()); "
        f"evfd.Event({name!r}, create=True, client=client).set()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=TIMEOUT_S)
    assert evfd.Event(name, client=evfd.Client(evfd.Address.user())).is_set()


def test_concurrent_clients_start_one_daemon(home: Path) -> None:
    address = evfd.Address.user()
    workers = [Worker(lambda: evfd.Client(address).status().pid) for _ in range(12)]
    assert len({worker.result() for worker in workers}) == 1


def test_the_users_daemon_has_a_supervisor_and_survives_a_kill(home: Path, name: str) -> None:
    client = evfd.Client(evfd.Address.user())
    pulse = evfd.Pulse(name, create=True, client=client)
    status = client.status()
    assert status.fd_store == "supervisor"
    os.kill(status.pid, signal.SIGKILL)
    pulse.set()
    assert pulse.wait(TIMEOUT_S) == 1


def test_the_users_daemon_is_restarted_though_its_starter_ignored_sigchld(
    home: Path, name: str
) -> None:
    program = (
        "import evfd, os, signal\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "os.closerange(0, 3)\n"
        f"evfd.Event({name!r}, create=True, client=evfd.Client(evfd.Address.user())).set()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=TIMEOUT_S)
    client = evfd.Client(evfd.Address.user())
    os.kill(client.status().pid, signal.SIGKILL)
    assert evfd.Event(name, client=client).is_set()


def test_the_users_daemon_starts_without_dev_null(home: Path, name: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can hide devices")
    program = (
        "import evfd; client = evfd.Client(evfd.Address.user()); "
        f"evfd.Event({name!r}, create=True, client=client).set()"
    )
    script = 'mount -t tmpfs none /dev && exec "$0" -c "$1"'
    subprocess.run(
        ["unshare", "-m", "sh", "-c", script, sys.executable, program],
        check=True,
        timeout=TIMEOUT_S,
    )
    assert evfd.Event(name, client=evfd.Client(evfd.Address.user())).is_set()


def test_a_missing_evfdd_program_is_reported(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("PATH", str(home))
    monkeypatch.setattr(evfd._address, "_FALLBACK_DIRECTORIES", ())
    with pytest.raises(evfd.NoDaemonError, match="no evfdd to start"):
        evfd.Event(name, create=True, client=evfd.Client(evfd.Address.user()))


def test_a_failing_evfdd_program_is_reported_with_a_hint(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = home / "evfdd-that-fails" / "evfdd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    with pytest.raises(evfd.NoDaemonError, match="run it by hand"):
        evfd.Client(evfd.Address.user()).status()


def test_a_private_event_needs_no_daemon(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    monkeypatch.setenv("EVFDD_SOCKET", str(directory / "nobody"))
    events: list[Callable[[], evfd.Waitable]] = [evfd.Event, evfd.Semaphore]
    for make in events:
        assert make().name is None
