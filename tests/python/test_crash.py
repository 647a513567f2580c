"""A daemon that is killed fifty times while threads set, wait and arm: nobody sees an error, and
what they counted is what there is, to the last token."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from functools import partial
from typing import List

import evfd
from running import PATIENCE_S, RunningDaemon, Worker, eventually

KILLS = 50


class Ledger:
    """Of one thread: what it was told is done."""

    def __init__(self) -> None:
        self.given = 0
        self.taken = 0


class Work:
    """What the threads do until it is over."""

    def __init__(self, daemon: RunningDaemon) -> None:
        self.daemon = daemon
        self.is_over = threading.Event()
        self.client = daemon.client()
        self.has_done_some: set[object] = set()  # Of the threads.
        self.tokens = evfd.Semaphore("tokens", 0, daemon=self.client)

    def _note(self) -> None:
        self.has_done_some.add(threading.current_thread())

    def give_and_take(self, seed: int) -> Ledger:
        """By name and by a descriptor of before the first kill."""
        dice = random.Random(seed)
        ledger = Ledger()
        client = self.daemon.client() if seed % 2 else self.client
        while not self.is_over.is_set():
            count = dice.randint(1, 3)
            if dice.random() < 0.25:
                client.set("tokens", count=count)
                ledger.given += count
            elif dice.random() < 0.3:
                self.tokens.release(count)
                ledger.given += count
            elif dice.random() < 0.5:
                try:
                    client.wait("tokens", timeout=0.005)
                    ledger.taken += 1
                except TimeoutError:
                    pass
            else:
                ledger.taken += self.tokens.acquire(timeout=0.001)
            if ledger.given and ledger.taken:
                self._note()
        return ledger

    def make_and_delete(self, number: int) -> int:
        dice = random.Random(number)
        there: set[str] = set()
        while not self.is_over.is_set():
            name = f"own/{number}/{dice.randint(1, 40)}"
            if name in there:
                self.client.delete(name)
                there.remove(name)
            else:
                assert self.client.create(name, initial=1)
                there.add(name)
                self._note()
        assert {told.name for told in self.client.list(f"own/{number}/*")} == there
        return len(there)

    def pulse(self) -> int:
        """How often."""
        pulse = evfd.Pulse("pulse", daemon=self.client)
        count = 0
        while not self.is_over.is_set():
            pulse.set()
            count += 1
            pulse.clear()
            self._note()
        return count

    def arm(self) -> int:
        """Each schedule is heard of by who has the timer open."""
        timer = evfd.Timer("timer", after=3600, daemon=self.client)
        count = 0
        while not self.is_over.is_set():
            timer.arm(after=0.0005)
            assert timer.wait(PATIENCE_S) == 1
            timer.arm_ns(interval=3600 * 10**9)
            assert timer.gettime_ns()[1] == 3600 * 10**9
            count += 1
            self._note()
        return count

    def wait_in_a_loop(self) -> int:
        """Each set of an event is heard by a task and answered."""
        event = evfd.Event("event", daemon=self.client)
        answer = evfd.Event("answer", auto=True, daemon=self.client)
        count = 0
        has_ended = False

        async def follow() -> None:
            while await event.wait_async(PATIENCE_S) and not has_ended:
                event.clear()
                answer.set()

        following = Worker(lambda: asyncio.run(follow()))
        while not self.is_over.is_set():
            event.set()
            assert answer.wait(PATIENCE_S)
            count += 1
            self._note()
        has_ended = True
        event.set()
        following.done()
        return count


def test_fifty_kills_are_seen_by_nobody(guarded: RunningDaemon) -> None:
    work = Work(guarded)
    heard = evfd.Pulse("pulse", daemon=guarded.client())
    signallers = [Worker(partial(work.give_and_take, seed)) for seed in range(4)]
    owners = [Worker(partial(work.make_and_delete, number)) for number in range(2)]
    pulsing = Worker(work.pulse)
    others = [Worker(work.arm), Worker(work.wait_in_a_loop)]

    dice = random.Random()
    watching = guarded.client()
    for _ in range(KILLS):
        guarded.kill_below_guard()
        # A daemon of every age dies.
        until = time.monotonic() + dice.uniform(0, 0.03)
        while time.monotonic() < until:
            watching.status()
    assert eventually(lambda: len(work.has_done_some) == 9)
    work.is_over.set()

    ledgers = [worker.done() for worker in signallers]
    left = sum(ledger.given - ledger.taken for ledger in ledgers)
    assert work.client.show("tokens").count == left
    taken = 0
    while work.tokens.acquire(False):
        taken += 1
    assert taken == left
    made = sum(worker.done() for worker in owners)
    assert len(list(work.client.list("own/*/*"))) == made
    pulses = pulsing.done()
    counted: List[int] = [0]

    def hears_all() -> bool:
        counted[0] += heard.wait(0)
        return counted[0] >= pulses

    assert eventually(hears_all)
    assert counted[0] == pulses
    assert all(worker.done() > 0 for worker in others)


def test_a_token_that_is_waited_for_through_kills_comes_once(guarded: RunningDaemon) -> None:
    client = guarded.client()
    client.create("s", "semaphore")
    takers: List[Worker[object]] = [
        Worker(lambda: client.wait("s", timeout=PATIENCE_S)) for _ in range(6)
    ]
    assert eventually(lambda: client.show("s").waits == 6)
    for _ in range(6):
        guarded.kill_below_guard()
        client.set("s")
    for taker in takers:
        taker.done()
    assert client.show("s").count == 0
