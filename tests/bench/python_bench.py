"""From a set in one process to the wake-up in another, in Python: evfd.Event against
os.eventfd_write() and select.select(), by turns.  usage: python_bench.py SOCKET PAIRS

Prints, for each pair, how many nanoseconds each time took: [[OURS, OTHER], ...]."""

import json
import os
import select
import sys
import time
from typing import Callable

import evfd

ROUNDS = 200  # In a turn.
TURNS = 5  # Of each in a pair.

Play = tuple[Callable[[], object], Callable[[], object]]  # Hits the other's, waits for one's own.


def ours(daemon: evfd.Daemon, own: str, others: str) -> Play:
    mine, its = evfd.Event(own, daemon=daemon), evfd.Event(others, daemon=daemon)
    return its.set, mine.wait


def bare(own: int, others: int) -> Play:
    def wait() -> None:
        select.select([own], [], [])
        os.eventfd_read(own)

    return lambda: os.eventfd_write(others, 1), wait


def serve(play: Play) -> list[int]:
    hit, wait = play
    times = []
    for _ in range(ROUNDS):
        begin = time.monotonic_ns()
        hit()
        wait()
        times.append((time.monotonic_ns() - begin) // 2)
    return times


def answer(plays: list[Play], orders: int, ready: int) -> None:
    while order := os.read(orders, 1):
        hit, wait = plays[order[0]]
        os.write(ready, b"!")
        for _ in range(ROUNDS):
            wait()
            hit()


def main(path: str, pairs: int) -> None:
    daemon = evfd.Daemon(path)
    for name in ("py/there", "py/back"):
        daemon.create(name, "auto", exist_ok=True)
    there, back = os.eventfd(0), os.eventfd(0)
    orders, order = os.pipe()
    readies, ready = os.pipe()
    if os.fork() == 0:
        os.close(order)
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        answer([ours(evfd.Daemon(path), "py/there", "py/back"), bare(there, back)], orders, ready)
        os._exit(0)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    plays = [ours(daemon, "py/back", "py/there"), bare(back, there)]
    told = []
    for pair in range(pairs + 1):
        times: list[list[int]] = [[], []]
        for _ in range(TURNS):
            for which in (0, 1) if pair % 2 else (1, 0):
                os.write(order, bytes([which]))
                os.read(readies, 1)
                times[which] += serve(plays[which])
        told.append(times)
    print(json.dumps(told[1:]))  # The first one warmed up.


main(sys.argv[1], int(sys.argv[2]))
