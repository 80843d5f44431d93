"""Two processes that want one lock of fasteners. contend.py <dir>"""
import mmap
import multiprocessing
import os
import statistics
import struct
import sys
import time

import fasteners

HANDOVERS = 40
HAMMER_SECONDS = 0.5
# wants[2], started, last: int32 each; freed: double
memory = mmap.mmap(-1, 4096)
words = memoryview(memory).cast("i")
times = memoryview(memory).cast("d")
WANTS, STARTED, LAST, FREED = 0, 2, 4, 4


def meet(me: int, stage: int) -> None:
    words[STARTED + me] = stage
    while words[STARTED + 1 - me] < stage:
        time.sleep(0.0001)


def wait_until(who: int, wants: int) -> None:
    for _ in range(400):
        if words[WANTS + who] == wants:
            return
        time.sleep(0.00005)


def hand_over(me: int, lock) -> list:
    delays = []
    for _ in range(HANDOVERS):
        words[WANTS + me] = 1
        lock.acquire_write_lock()
        if words[LAST] == 2 - me:
            delays.append(time.monotonic() - times[FREED])
        words[WANTS + me] = 0
        wait_until(1 - me, 1)
        time.sleep(0.0002)
        words[LAST] = me + 1
        times[FREED] = time.monotonic()
        lock.release_write_lock()
        wait_until(1 - me, 0)
    return delays


def hammer(lock) -> int:
    locks = 0
    end = time.monotonic() + HAMMER_SECONDS
    while time.monotonic() < end:
        lock.acquire_write_lock()
        lock.release_write_lock()
        locks += 1
    return locks


def work(me: int, path: str, results) -> None:
    os.sched_setaffinity(0, {me})
    lock = fasteners.InterProcessReaderWriterLock(path)
    meet(me, 1)
    locks = hammer(lock)
    meet(me, 2)
    results.put((hand_over(me, lock), locks))


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    path = os.path.join(sys.argv[1], "contend-py.lock")
    processes = [context.Process(target=work, args=(me, path, results)) for me in (0, 1)]
    for process in processes:
        process.start()
    (first, count), (second, other) = results.get(), results.get()
    for process in processes:
        process.join()
    p50 = statistics.median(first + second) * 1e9
    print('{"p50": %f, "ns": %f}' % (p50, HAMMER_SECONDS * 1e9 / (count + other)))
