# SPDX-License-Identifier: Apache-2.0
"""Running daemons with readers, in which one call after the other fails (faults.py): nothing
crashes, leaks or misleads, and all is well again soon."""
import concurrent.futures
import contextlib
import itertools
import json
import os
import queue
import time

from faults import (ALL, ALWAYS, CUT_OFF, DAEMON_ROLE, ENDLESS, ERRORS, FUNCTIONS, ONCE,
                    SHORT, WORKER_ROLE, Faults, Judge, Reader, honest)
from harness import Stream, eventually

LANES = 8
SOON = 9.0  # seconds: a server that answers slowly is asked every 5 s


class Lane:
    """A running daemon with readers, in which one call after the other fails."""

    roles = (DAEMON_ROLE, WORKER_ROLE)
    round_s = 1.1  # within it all is done once that is not done in each tick
    soon_s = SOON

    def __init__(self, scene, *arguments):
        self.scene, self.arguments = scene, arguments
        self.failures, self.tried, self.forgotten = [], 0, 0
        self.open()

    def start(self):
        return self.scene.daemon(self.faults, *self.arguments)

    def judge(self):
        return Judge(self.scene)

    def listen(self):
        """To all that it says."""
        return [Reader(self.daemon, "/vram/stream", self.judges.vram),
                Reader(self.daemon, "/v1/detail/stream", self.judges.detail)]

    def says_all(self, since):
        """Has all been said since then, and is it true?"""
        return all(reader.true > since for reader in self.readers)

    def open(self):
        self.faults = Faults()
        self.daemon = self.start()
        eventually("all figures are true", lambda: self.daemon.vram() == self.scene.truth)
        self.descriptors = self.lasting_descriptors()
        self.judges = self.judge()
        self.readers = self.listen()
        self.wait_until_true()
        self.rss = self.daemon.rss_bytes()

    def count_descriptors(self):
        return len(os.listdir(f"/proc/{self.daemon.process.pid}/fd"))

    def lasting_descriptors(self):
        """Without those that are open for a moment only, as to a server that keeps none."""
        time.sleep(0.4)  # what a first round opens is open
        counts = []
        for _ in range(30):
            counts.append(self.count_descriptors())
            time.sleep(0.02)
        return min(counts)

    def open_files(self):
        """What is open, for people."""
        folder = f"/proc/{self.daemon.process.pid}/fd"
        for number in os.listdir(folder):
            with contextlib.suppress(OSError):
                yield f"{number}: {os.readlink(os.path.join(folder, number))}"

    def come_and_go(self):
        """What new clients see while a call may fail: what is honest, or nothing."""
        with contextlib.suppress(*CUT_OFF):
            status, _, body = self.daemon.get("/vram")
            assert status in (200, 500, 503), status
            if status == 200:
                self.judges.honest(json.loads(body))
        with contextlib.suppress(OSError, ValueError, IndexError), \
                Stream(self.daemon) as stream:
            stream.socket.settimeout(1)
            piece = stream.piece() if stream.status == 200 else b""
            if piece:
                self.judges.vram(piece)

    def fail(self, function, n, error, role, manner):
        """A call fails; what is sent meanwhile is judged, and all is well again soon."""
        before = self.faults.fired()
        self.faults.arm(function, n, error, manner, role)
        deadline = time.monotonic() + (self.round_s + 0.1 if manner == ONCE else 0.5)
        while time.monotonic() < deadline and (
                manner == ALWAYS or self.faults.fired() == before):
            self.come_and_go()
            time.sleep(0.005)
        self.faults.disarm()
        fired = self.faults.fired() != before
        self.tried += fired
        if fired or self.daemon.process.poll() is not None:
            self.wait_until_true()

    def wait_until_true(self):
        """Nothing untrue was said since the last time, and all is said again."""
        since = time.monotonic()
        eventually("all is true again", lambda: self.daemon.process.poll() is not None
                   or self.says_all(since), self.soon_s, 0.01)
        status = self.daemon.process.poll()
        assert status is None, f"ended with {status}"
        wrong = sum((reader.take_wrong() for reader in self.readers), [])
        assert not wrong, wrong[0]

    def has_ended_for_libuv(self, function):
        """libuv cannot go on when its table of descriptors cannot grow, which it does when
        more are open than ever before: then the daemon says so, and ends."""
        return (function == "realloc" and self.daemon.process.poll() == 1
                and self.daemon.log().endswith(": error: out of memory\n"))

    def try_all(self, faults):
        """Take one fault after the other, until none is left."""
        with contextlib.suppress(queue.Empty):
            while True:
                fault = faults.get_nowait()
                try:
                    self.fail(*fault)
                except Exception as failure:
                    if not self.has_ended_for_libuv(fault[0]):
                        self.failures.append(
                            f"{fault}: {failure!r}; {self.daemon.log()[-1500:]}")
                    self.close()
                    self.open()

    def close(self):
        for reader in self.readers:
            reader.end()
        self.daemon.process.kill()
        self.daemon.process.wait()

    def end(self):
        """Nothing has leaked, and it ends as it should."""
        for reader in self.readers:
            reader.end()
        status = self.daemon.process.poll()
        assert status is None, f"ended with {status}: {self.daemon.log()[-1500:]}"
        try:
            eventually(f"{self.descriptors} descriptors are open, or less",
                       lambda: self.count_descriptors() <= self.descriptors, 15, 0.01)
        except AssertionError as failure:
            raise AssertionError(f"{failure}, but {list(self.open_files())}") from failure
        grown = self.daemon.rss_bytes() - self.rss
        assert grown < 2 << 20, f"grew by {grown} bytes"
        self.daemon.__exit__()


def faults_of(lane):
    """Calls that are made in a round, by what the counters say."""
    before = {role: lane.faults.calls(role) for role in lane.roles}
    until = time.monotonic() + lane.round_s
    while time.monotonic() < until:
        lane.come_and_go()
        time.sleep(0.1)
    after = {role: lane.faults.calls(role) for role in lane.roles}
    for role, function in itertools.product(lane.roles, FUNCTIONS):
        n = after[role][function] - before[role][function]
        for error in ERRORS[function]:
            for i in range(1, n + 1, 1 + n // 60 if ALL or n < 10 else 2 + n // 14):
                yield function, i, error, role, ONCE
            if n and role != WORKER_ROLE and function not in ENDLESS and error != SHORT:
                yield function, 1, error, role, ALWAYS


def lanes_of(make, number=LANES):
    """So many, opened side by side."""
    with concurrent.futures.ThreadPoolExecutor(number) as pool:
        return [one.result() for one in [pool.submit(make) for _ in range(number)]]


def finish(lanes):
    for lane in lanes:
        lane.end()
    failures = sum((lane.failures for lane in lanes), [])
    print(f"     {sum(lane.tried for lane in lanes)} calls failed")
    assert not failures, f"{len(failures)}:\n" + "\n".join(failures)


def run_in(lanes, choose=lambda *_: True):
    """Let each fault chosen happen in one of these."""
    faults = queue.Queue()
    for fault in faults_of(lanes[0]):
        if choose(*fault):
            faults.put(fault)
    with concurrent.futures.ThreadPoolExecutor(len(lanes)) as pool:
        list(pool.map(lambda lane: lane.try_all(faults), lanes))
    finish(lanes)
