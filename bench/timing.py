"""Timing."""

import statistics
import time


def median(work, runs=5):
    """Seconds of the middle one of several runs, after two that are not timed."""
    times = []
    for _ in range(runs + 2):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return statistics.median(times[2:])
