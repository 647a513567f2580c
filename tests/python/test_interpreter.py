"""Tests that an exiting interpreter prints nothing and leaves nothing in the daemon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import evfd
from harness import TIMEOUT_S, DaemonProcess, poll_until, sleeps

EVERYTHING = """
import asyncio, evfd, threading
event = evfd.Event({name!r} + "/event", create=True)
private = evfd.Event()
semaphore = evfd.Semaphore({name!r} + "/semaphore", create=True)
pulse = evfd.Pulse({name!r} + "/pulse", create=True)
timer = evfd.Timer({name!r} + "/timer", interval=3600, create=True)
mine = evfd.Event({name!r} + "/mine", lifetime="session", create=True)
other = evfd.Client({path!r})
monitor = other.monitor()
next(monitor)
listing = other.list()
next(listing)
cycle = [evfd.Pulse({name!r} + "/pulse", create=True, client=other)]
cycle.append(cycle)
threading.Thread(target=private.wait, daemon=True).start()
threading.Thread(target=pulse.wait, daemon=True).start()
threading.Thread(target=other.wait, args=({name!r} + "/never",), daemon=True).start()
async def work():
    asyncio.create_task(event.wait_async())
    await pulse.wait_async(0.001)
asyncio.run(work())
"""

# A program that waits for an event. The program enables SIGINT, because SIGINT is ignored if a
# shell without job control started the tests in the background.
WAIT = """
import evfd, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
print(1, flush=True)
evfd.Event("e", create=True).wait()
"""


def run(running: DaemonProcess, program: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        env={**os.environ, "EVFDD_SOCKET": running.path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT_S,
        text=True,
    )


def test_an_interpreter_that_exits_with_everything_in_use_prints_nothing(
    running: DaemonProcess, name: str
) -> None:
    watching = running.client()
    before = watching.status()
    done = run(running, EVERYTHING.format(name=name, path=running.path))
    assert (done.returncode, done.stdout) == (0, "")
    assert poll_until(lambda: watching.status().connections == before.connections)
    after = watching.status()
    assert (after.subscriptions, after.waits, after.monitors) == (0, 0, 0)
    assert list(watching.list(name + "/mine")) == []
    assert watching.show(name + "/event").name == name + "/event"


def test_an_interpreter_interrupted_in_a_wait_raises_keyboardinterrupt(
    running: DaemonProcess
) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", WAIT],
        env={**os.environ, "EVFDD_SOCKET": running.path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "1\n"
    assert poll_until(lambda: list(running.client().list("e")) and sleeps(program.pid))
    program.send_signal(signal.SIGINT)
    _, errors = program.communicate(timeout=TIMEOUT_S)
    assert program.returncode == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")


def test_dropped_objects_leak_no_descriptor(running: DaemonProcess) -> None:
    done = run(
        running,
        "import evfd, os\n"
        "kept = evfd.Pulse('p', create=True)\n"
        "before = len(os.listdir('/proc/self/fd'))\n"
        "for _ in range(200):\n"
        "    evfd.Event('e'); evfd.Event(); evfd.Pulse('p', create=True); evfd.Client().status()\n"
        "assert len(os.listdir('/proc/self/fd')) <= before + 1\n",
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_an_import_opens_no_descriptor_and_starts_no_thread(running: DaemonProcess) -> None:
    done = run(
        running,
        "import os, threading\n"
        "before = os.listdir('/proc/self/fd')\n"
        "import evfd\n"
        "assert os.listdir('/proc/self/fd') == before\n"
        "assert threading.active_count() == 1\n"
        "assert set(evfd.__all__) <= set(dir(evfd))\n",
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert evfd.__doc__
