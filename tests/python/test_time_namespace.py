"""Tests of a client in a time namespace in which a clock is offset from the daemon's clock."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

import evfd
from harness import TIMEOUT_S, Child, DaemonProcess

_UNSHARE = ["unshare", "--time", "--fork", "--monotonic", "1000"]


@pytest.fixture(autouse=True)
def require_namespace() -> None:
    try:
        done = subprocess.run([*_UNSHARE, "true"], stderr=subprocess.DEVNULL, timeout=TIMEOUT_S)
    except FileNotFoundError:
        pytest.skip("unshare(1) is not installed")
    if done.returncode != 0:
        pytest.skip("no time namespace can be made here, which takes root")


def arm_in_namespace(running: DaemonProcess, name: str, *arguments: str) -> None:
    code = f"import evfd; evfd.Client({running.path!r}).arm({name!r}, {', '.join(arguments)})"
    subprocess.run(
        [*_UNSHARE, sys.executable, "-c", code],
        stderr=subprocess.PIPE,
        timeout=TIMEOUT_S,
        check=True,
        text=True,
    )


def test_a_time_on_an_offset_clock_is_refused(
    running: DaemonProcess, shared: evfd.Client, name: str
) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        arm_in_namespace(running, name, "at=9000", "clock='monotonic'")
    assert "InvalidError: a time on the clock monotonic cannot be given" in refused.value.stderr
    assert list(shared.list(name)) == []


def test_spans_and_the_wall_clock_are_the_same_in_every_namespace(
    running: DaemonProcess, shared: evfd.Client, name: str
) -> None:
    arm_in_namespace(running, name + "/after", "after=9000", "clock='monotonic'")
    arm_in_namespace(running, name + "/wall", "at=4000000000", "clock='realtime'")
    arm_in_namespace(running, name + "/default", "at=4000000000")
    # The test's time namespace has no offset for CLOCK_BOOTTIME.
    arm_in_namespace(running, name + "/boottime", "at=1000000", "clock='boottime'")
    assert len(list(shared.list(name + "/*"))) == 4
    timer = shared.show(name + "/after").timer
    assert timer is not None and timer.left_ns is not None and timer.left_ns <= 9000 * 10**9


_CLONE_NEWTIME = 0x80


def test_a_process_that_offsets_its_childrens_clocks_keeps_its_own(
    running: DaemonProcess, shared: evfd.Client, name: str
) -> None:
    def check_child() -> None:
        with pytest.raises(evfd.InvalidError):
            running.client().arm(name, at=9_000_000, clock="monotonic")

    def work() -> None:
        client = running.client()
        assert ctypes.CDLL(None).unshare(_CLONE_NEWTIME) == 0
        with open("/proc/self/timens_offsets", "w", encoding="ascii") as offsets:
            offsets.write("monotonic 1000 0\n")
        client.arm(name, at=9_000_000, clock="monotonic")
        Child(check_child).join()

    Child(work).join()
    assert [one.name for one in shared.list(name)] == [name]
