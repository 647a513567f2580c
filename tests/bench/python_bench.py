"""Measure the time from a set in one process to the wake-up in another process, in Python.

It compares evfd.Event with os.eventfd_write() and select.select(), in alternating batches.

usage: python_bench.py SOCKET PAIRS

Prints a JSON list: [[OURS, BASELINE], ...]. Each pair has the times of evfd and the times of the
baseline, in nanoseconds."""

import json
import os
import select
import sys
import time
from typing import Callable

import evfd

ROUNDS = 200  # The number of rounds in a batch.
# A pair is one sample of evfd and one sample of the baseline. Each sample has the times of this
# many batches.
BATCHES = 5

# Two functions of a process: the first signals the other process, and the second waits for a signal
# from the other process.
Peer = tuple[Callable[[], object], Callable[[], object]]


def ours(client: evfd.Client, own: str, remote: str) -> Peer:
    own_event, remote_event = evfd.Event(own, client=client), evfd.Event(remote, client=client)
    return remote_event.set, own_event.wait


def bare(own: int, remote: int) -> Peer:
    def wait() -> None:
        select.select([own], [], [])
        os.eventfd_read(own)

    return lambda: os.eventfd_write(remote, 1), wait


def initiate(peer: Peer) -> list[int]:
    signal, wait = peer
    times = []
    for _ in range(ROUNDS):
        begin = time.monotonic_ns()
        signal()
        wait()
        times.append((time.monotonic_ns() - begin) // 2)
    return times


def respond(peers: list[Peer], commands: int, ready: int) -> None:
    while command := os.read(commands, 1):
        signal, wait = peers[command[0]]
        os.write(ready, b"!")
        for _ in range(ROUNDS):
            wait()
            signal()


def main(path: str, pairs: int) -> None:
    client = evfd.Client(path)
    for name in ("py/request", "py/reply"):
        client.create(name, "auto", exist_ok=True)
    request, reply = os.eventfd(0), os.eventfd(0)
    commands, command = os.pipe()
    readies, ready = os.pipe()
    if os.fork() == 0:
        os.close(command)
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        child_client = evfd.Client(path)
        peers = [ours(child_client, "py/request", "py/reply"), bare(request, reply)]
        respond(peers, commands, ready)
        os._exit(0)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    peers = [ours(client, "py/reply", "py/request"), bare(reply, request)]
    results = []
    for pair in range(pairs + 1):
        times: list[list[int]] = [[], []]
        for _ in range(BATCHES):
            for side in (0, 1) if pair % 2 else (1, 0):
                os.write(command, bytes([side]))
                os.read(readies, 1)
                times[side] += initiate(peers[side])
        results.append(times)
    print(json.dumps(results[1:]))  # The first pair only warms up the caches.


main(sys.argv[1], int(sys.argv[2]))
