"""Tests with a daemon that is killed fifty times while threads set, wait and arm.

The tests check that no call fails and that no token is lost.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from functools import partial
from typing import List

import evfd
from harness import TIMEOUT_S, DaemonProcess, Worker, poll_until

KILLS = 50


class Ledger:
    """The number of tokens that one thread added, and the number that it consumed."""

    def __init__(self) -> None:
        self.added = 0
        self.consumed = 0


class Work:
    """The functions that the threads of the test run. Each returns when `is_over` is set."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self.daemon = daemon
        self.is_over = threading.Event()
        self.client = daemon.client()
        # The threads that have made each of their calls at least once.
        self.active_threads: set[object] = set()
        self.tokens = evfd.Semaphore("tokens", 0, create=True, client=self.client)

    def _mark_active(self) -> None:
        self.active_threads.add(threading.current_thread())

    def add_and_consume(self, seed: int) -> Ledger:
        """Add and consume tokens, both by name and by a descriptor opened before the first kill."""
        random_source = random.Random(seed)
        ledger = Ledger()
        client = self.daemon.client() if seed % 2 else self.client
        while not self.is_over.is_set():
            count = random_source.randint(1, 3)
            if random_source.random() < 0.25:
                client.set("tokens", count=count)
                ledger.added += count
            elif random_source.random() < 0.3:
                self.tokens.release(count)
                ledger.added += count
            elif random_source.random() < 0.5:
                try:
                    client.wait("tokens", timeout=0.005)
                    ledger.consumed += 1
                except TimeoutError:
                    pass
            else:
                ledger.consumed += self.tokens.acquire(timeout=0.001)
            if ledger.added and ledger.consumed:
                self._mark_active()
        return ledger

    def create_and_delete(self, number: int) -> int:
        """Create and delete objects again and again. Return the number of remaining objects."""
        random_source = random.Random(number)
        existing: set[str] = set()
        while not self.is_over.is_set():
            name = f"own/{number}/{random_source.randint(1, 40)}"
            if name in existing:
                self.client.delete(name)
                existing.remove(name)
            else:
                assert self.client.create(name, initial=1)
                existing.add(name)
                self._mark_active()
        assert {shown.name for shown in self.client.list(f"own/{number}/*")} == existing
        return len(existing)

    def pulse(self) -> int:
        """Set and clear a pulse again and again. Return the number of sets."""
        pulse = evfd.Pulse("pulse", create=True, client=self.client)
        count = 0
        while not self.is_over.is_set():
            pulse.set()
            count += 1
            pulse.clear()
            self._mark_active()
        return count

    def arm(self) -> int:
        """Arm a timer again and again. Return the number of repetitions.

        Check that each schedule takes effect on the timer's open descriptor.
        """
        timer = evfd.Timer("timer", after=3600, create=True, client=self.client)
        count = 0
        while not self.is_over.is_set():
            timer.arm(after=0.0005)
            assert timer.wait(TIMEOUT_S) == 1
            timer.arm_ns(interval=3600 * 10**9)
            assert timer.gettime_ns()[1] == 3600 * 10**9
            count += 1
            self._mark_active()
        return count

    def wait_in_asyncio_loop(self) -> int:
        """Set an event again and again. Return the number of sets.

        A task of an asyncio loop waits for the event, and must answer each set by another event.
        """
        event = evfd.Event("event", create=True, client=self.client)
        answer = evfd.Event("answer", auto=True, create=True, client=self.client)
        count = 0
        has_ended = False

        async def follow() -> None:
            while await event.wait_async(TIMEOUT_S) and not has_ended:
                event.clear()
                answer.set()

        following = Worker(lambda: asyncio.run(follow()))
        while not self.is_over.is_set():
            event.set()
            assert answer.wait(TIMEOUT_S)
            count += 1
            self._mark_active()
        has_ended = True
        event.set()
        following.result()
        return count


def test_fifty_kills_lose_no_token_and_raise_no_error(supervised: DaemonProcess) -> None:
    work = Work(supervised)
    subscriber = evfd.Pulse("pulse", create=True, client=supervised.client())
    signallers = [Worker(partial(work.add_and_consume, seed)) for seed in range(4)]
    owners = [Worker(partial(work.create_and_delete, number)) for number in range(2)]
    pulsing = Worker(work.pulse)
    others = [Worker(work.arm), Worker(work.wait_in_asyncio_loop)]

    random_source = random.Random()
    watching = supervised.client()
    for _ in range(KILLS):
        supervised.kill_supervised()
        # Lets each daemon run for a random time of at most 30 ms before the next kill.
        until = time.monotonic() + random_source.uniform(0, 0.03)
        while time.monotonic() < until:
            watching.status()
    assert poll_until(lambda: len(work.active_threads) == 9)
    work.is_over.set()

    ledgers = [worker.result() for worker in signallers]
    left = sum(ledger.added - ledger.consumed for ledger in ledgers)
    assert work.client.show("tokens").count == left
    consumed = 0
    while work.tokens.acquire(False):
        consumed += 1
    assert consumed == left
    created = sum(worker.result() for worker in owners)
    assert len(list(work.client.list("own/*/*"))) == created
    pulses = pulsing.result()
    counted: List[int] = [0]

    def has_received_all() -> bool:
        counted[0] += subscriber.wait(0)
        return counted[0] >= pulses

    assert poll_until(has_received_all)
    assert counted[0] == pulses
    assert all(worker.result() > 0 for worker in others)


def test_a_wait_across_kills_consumes_one_token(supervised: DaemonProcess) -> None:
    client = supervised.client()
    client.create("s", "semaphore")
    waiters: List[Worker[object]] = [
        Worker(lambda: client.wait("s", timeout=TIMEOUT_S)) for _ in range(6)
    ]
    assert poll_until(lambda: client.show("s").waits == 6)
    for _ in range(6):
        supervised.kill_supervised()
        client.set("s")
    for waiter in waiters:
        waiter.result()
    assert client.show("s").count == 0
