"""The lock of a client: threads get it in the order in which they came."""

from __future__ import annotations

import signal
import threading
from functools import partial
from typing import List

import pytest

from evfd.turnstile import Turnstile
from running import Worker, eventually


def test_threads_pass_in_the_order_in_which_they_came() -> None:
    lock = threading.Lock()
    turnstile = Turnstile(lock)
    passed: List[int] = []

    def go_through(number: int) -> None:
        with turnstile, lock:
            passed.append(number)

    with turnstile, lock:
        workers = []
        for i in range(10):
            workers.append(Worker(partial(go_through, i)))
            assert eventually(lambda: len(turnstile._gates) == len(workers))
    for worker in workers:
        worker.done()
    assert passed == list(range(10))


def test_who_comes_again_at_once_lets_the_others_pass_first() -> None:
    lock = threading.Lock()
    turnstile = Turnstile(lock)
    has_passed = threading.Event()

    def go_through() -> None:
        with turnstile, lock:
            has_passed.set()

    turnstile.__enter__()
    other = Worker(go_through)
    assert eventually(lambda: turnstile._gates)
    turnstile.__exit__(None, None, None)
    with turnstile, lock:
        assert has_passed.is_set()
    other.done()


def test_one_at_a_time() -> None:
    lock = threading.Lock()
    turnstile = Turnstile(lock)
    inside: List[int] = []

    def go_through() -> None:
        for _ in range(500):
            with turnstile, lock:
                inside.append(1)
                assert len(inside) == 1
                inside.pop()

    for worker in [Worker(go_through) for _ in range(8)]:
        worker.done()
    assert not turnstile._is_taken


def test_who_is_called_away_by_a_signal_leaves_the_others_their_turn() -> None:
    class Left(Exception):
        pass

    def leave(number: int, frame: object) -> None:
        raise Left

    lock = threading.Lock()
    turnstile = Turnstile(lock)
    may_go = threading.Event()
    is_inside = threading.Event()

    def hold() -> None:
        with turnstile, lock:
            is_inside.set()
            may_go.wait()

    def go_through() -> None:
        with turnstile, lock:
            pass

    holding = Worker(hold)
    is_inside.wait()
    before = signal.signal(signal.SIGALRM, leave)
    try:
        with pytest.raises(Left):
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            with turnstile, lock:
                raise AssertionError("it was not our turn")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not turnstile._gates
    behind = Worker(go_through)
    may_go.set()
    holding.done()
    behind.done()
    assert not turnstile._is_taken


def test_who_is_called_away_at_any_moment_keeps_nobody_out() -> None:
    class Left(Exception):
        pass

    lock = threading.Lock()
    turnstile = Turnstile(lock)
    is_at_it = False

    def leave(number: int, frame: object) -> None:
        nonlocal is_at_it
        if is_at_it:
            is_at_it = False
            raise Left

    def go_through() -> None:
        with turnstile, lock:
            pass

    left = 0
    before = signal.signal(signal.SIGALRM, leave)
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    try:
        while left < 1_000:
            try:
                is_at_it = True
                go_through()
                is_at_it = False
            except Left:
                left += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    for worker in [Worker(go_through) for _ in range(3)]:
        worker.done()
