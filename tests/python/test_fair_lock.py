"""Tests of the fair lock of a client, which threads acquire in the order of their arrival."""

from __future__ import annotations

import signal
import threading
from functools import partial
from typing import List

import pytest

from evfd._fair_lock import FairLock
from harness import Worker, poll_until


def test_threads_acquire_the_lock_in_the_order_of_their_arrival() -> None:
    lock = threading.Lock()
    fair_lock = FairLock(lock)
    acquired: List[int] = []

    def acquire(number: int) -> None:
        with fair_lock, lock:
            acquired.append(number)

    with fair_lock, lock:
        workers = []
        for i in range(10):
            workers.append(Worker(partial(acquire, i)))
            assert poll_until(lambda: len(fair_lock._waiters) == len(workers))
    for worker in workers:
        worker.result()
    assert acquired == list(range(10))


def test_a_thread_that_acquires_again_at_once_queues_behind_the_waiters() -> None:
    lock = threading.Lock()
    fair_lock = FairLock(lock)
    has_acquired = threading.Event()

    def acquire() -> None:
        with fair_lock, lock:
            has_acquired.set()

    fair_lock.__enter__()
    other = Worker(acquire)
    assert poll_until(lambda: fair_lock._waiters)
    fair_lock.__exit__(None, None, None)
    with fair_lock, lock:
        assert has_acquired.is_set()
    other.result()


def test_one_thread_at_a_time_holds_the_lock() -> None:
    lock = threading.Lock()
    fair_lock = FairLock(lock)
    inside: List[int] = []

    def acquire() -> None:
        for _ in range(500):
            with fair_lock, lock:
                inside.append(1)
                assert len(inside) == 1
                inside.pop()

    for worker in [Worker(acquire) for _ in range(8)]:
        worker.result()
    assert not fair_lock._is_taken


def test_a_waiter_interrupted_by_a_signal_leaves_the_queue() -> None:
    class Interrupted(Exception):
        pass

    def leave(number: int, frame: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise Interrupted

    lock = threading.Lock()
    fair_lock = FairLock(lock)
    may_release = threading.Event()
    is_inside = threading.Event()

    def hold() -> None:
        with fair_lock, lock:
            is_inside.set()
            may_release.wait()

    def acquire() -> None:
        with fair_lock, lock:
            pass

    holding = Worker(hold)
    is_inside.wait()
    before = signal.signal(signal.SIGALRM, leave)
    try:
        with pytest.raises(Interrupted):
            # Sends the signal every 20 ms, because a signal that arrives just before the thread
            # blocks in the lock does not interrupt the wait for the lock.
            signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
            with fair_lock, lock:
                raise AssertionError("the lock was held by another thread")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not fair_lock._waiters
    behind = Worker(acquire)
    may_release.set()
    holding.result()
    behind.result()
    assert not fair_lock._is_taken


def test_a_thread_interrupted_at_any_point_blocks_no_other() -> None:
    class Interrupted(Exception):
        pass

    lock = threading.Lock()
    fair_lock = FairLock(lock)
    is_acquiring = False

    def leave(number: int, frame: object) -> None:
        nonlocal is_acquiring
        if is_acquiring:
            is_acquiring = False
            raise Interrupted

    def acquire() -> None:
        with fair_lock, lock:
            pass

    interruptions = 0
    before = signal.signal(signal.SIGALRM, leave)
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    try:
        while interruptions < 1_000:
            try:
                is_acquiring = True
                acquire()
                is_acquiring = False
            except Interrupted:
                interruptions += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    for worker in [Worker(acquire) for _ in range(3)]:
        worker.result()
