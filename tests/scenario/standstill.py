# SPDX-License-Identifier: Apache-2.0
"""When the machine let nobody run: what is late then is not the daemon's fault.

A virtual machine may stand still for half a second, one of its processors or all of them.
A thread on each processor sleeps for moments and notes when it comes back late. Intervals
are judged without what they have of that.
"""
import contextlib
import os
import threading
import time

MOMENT, LATE = 0.02, 0.03  # seconds: asleep, and so much more is noted


class Processor(threading.Thread):
    """Notes when this processor did not let it run."""

    def __init__(self, number):
        super().__init__(daemon=True)
        self.number, self.spans = number, []
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(threading.get_native_id(), {self.number})
        last = time.monotonic()
        while True:
            time.sleep(MOMENT)
            now = time.monotonic()
            if now - last > MOMENT + LATE:
                self.spans.append((last + MOMENT, now))
            last = now

    def stood_still(self, since, until):
        return sum(max(0.0, min(until, end) - max(since, start))
                   for start, end in list(self.spans))


PROCESSORS = []


def watch():
    """From now on it is noted."""
    if not PROCESSORS:
        PROCESSORS.extend(map(Processor, sorted(os.sched_getaffinity(0))[:4]))


def stood_still(since, until):
    """Seconds of that span of time.monotonic() in which a processor let nobody run."""
    return max((processor.stood_still(since, until) for processor in PROCESSORS), default=0.0)


def intervals(times):
    """Between each two of these, without standstills."""
    return [b - a - stood_still(a, b) for a, b in zip(times, times[1:])]


def wall_intervals(times):
    """The same of times of the wall clock."""
    ahead = time.time() - time.monotonic()
    return intervals([at - ahead for at in times])
