"""Run jobs in asyncio tasks, each time the timer "example/tick" expires, until an event is set.

Several of these programs share the timer, and the semaphore "example/jobs" bounds the jobs of all
of them together.  Stop them by ``evfdctl set example/stop``.

From a checkout: PYTHONPATH=client/python python3 client/examples/python/worker_asyncio.py
"""

from __future__ import annotations

import asyncio
import os

import evfd.asyncio


async def work(number: int, jobs: evfd.asyncio.Semaphore) -> None:
    async with jobs:  # A cancelled task does not consume a token.
        print(f"Job {number} of process {os.getpid()}", flush=True)


async def main() -> None:
    stop = evfd.asyncio.Event("example/stop", create=True)
    tick = evfd.asyncio.Timer("example/tick", interval=0.1, create=True)
    jobs = evfd.asyncio.Semaphore("example/jobs", 2, create=True)
    number = 0
    tasks: set["asyncio.Task[None]"] = set()
    while not stop.is_set():
        ready = await evfd.asyncio.wait_any([stop, tick])
        if ready is not None and ready.which is tick:
            number += 1
            task = asyncio.create_task(work(number, jobs))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    for task in list(tasks):
        await task
    print("Stopped")


if __name__ == "__main__":
    asyncio.run(main())
