"""Moments in a time namespace, whose clocks have another zero than the daemon's."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

import evfd
from running import PATIENCE_S, Child, RunningDaemon

_UNSHARE = ["unshare", "--time", "--fork", "--monotonic", "1000"]


@pytest.fixture(autouse=True)
def need_namespace() -> None:
    try:
        done = subprocess.run([*_UNSHARE, "true"], stderr=subprocess.DEVNULL, timeout=PATIENCE_S)
    except FileNotFoundError:
        pytest.skip("unshare(1) is not installed")
    if done.returncode != 0:
        pytest.skip("no time namespace can be made here, which takes root")


def arm_there(running: RunningDaemon, name: str, *arguments: str) -> None:
    code = f"import evfd; evfd.Daemon({running.path!r}).arm({name!r}, {', '.join(arguments)})"
    subprocess.run(
        [*_UNSHARE, sys.executable, "-c", code],
        stderr=subprocess.PIPE,
        timeout=PATIENCE_S,
        check=True,
        text=True,
    )


def test_a_moment_that_means_something_else_to_the_daemon_is_refused(
    running: RunningDaemon, shared: evfd.Daemon, name: str
) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        arm_there(running, name, "at=9000", "clock='monotonic'")
    assert "InvalidError: a moment on the clock monotonic cannot be given" in refused.value.stderr
    assert list(shared.list(name)) == []


def test_spans_and_the_wall_clock_mean_the_same_everywhere(
    running: RunningDaemon, shared: evfd.Daemon, name: str
) -> None:
    arm_there(running, name + "/after", "after=9000", "clock='monotonic'")
    arm_there(running, name + "/wall", "at=4000000000", "clock='realtime'")
    arm_there(running, name + "/usual", "at=4000000000")
    arm_there(running, name + "/boottime", "at=1000000", "clock='boottime'")  # No offset there.
    assert len(list(shared.list(name + "/*"))) == 4
    timer = shared.show(name + "/after").timer
    assert timer is not None and timer.left_ns is not None and timer.left_ns <= 9000 * 10**9


_CLONE_NEWTIME = 0x80


def test_who_gave_its_children_another_zero_has_the_usual_one(
    running: RunningDaemon, shared: evfd.Daemon, name: str
) -> None:
    def be_child() -> None:
        with pytest.raises(evfd.InvalidError):
            running.client().arm(name, at=9_000_000, clock="monotonic")

    def work() -> None:
        client = running.client()
        assert ctypes.CDLL(None).unshare(_CLONE_NEWTIME) == 0
        with open("/proc/self/timens_offsets", "w", encoding="ascii") as offsets:
            offsets.write("monotonic 1000 0\n")
        client.arm(name, at=9_000_000, clock="monotonic")
        Child(be_child).done()

    Child(work).done()
    assert [one.name for one in shared.list(name)] == [name]
