# SPDX-License-Identifier: Apache-2.0
"""Any call may fail in a running daemon: nothing crashes, leaks or misleads.

With VRAMSCOPE_FAULTS=all each call within some ticks is tried, not the first of them only.
VRAMSCOPE_FAULTS_OF names the functions to try.
"""
import concurrent.futures
import contextlib
import itertools
import json
import os
import queue
import resource
import signal
import time

from faults import (ALL, ALWAYS, CUT_OFF, DAEMON_ROLE, ENDLESS, ERRORS, FUNCTIONS, ONCE,
                    SHORT, WORKER_ROLE, Faults, Judge, Reader, Scene, honest, learn_names)
from harness import Stream, alone, eventually, run
from standstill import intervals

LANES = 8


class Lane:
    """A running daemon with readers, in which one call after the other fails."""

    def __init__(self, scene, *arguments):
        self.scene, self.arguments = scene, arguments
        self.failures, self.tried = [], 0
        self.open()

    def open(self):
        self.faults = Faults()
        self.daemon = self.scene.daemon(self.faults, *self.arguments)
        eventually("all figures are true", lambda: self.daemon.vram() == self.scene.truth)
        self.descriptors = self.lasting_descriptors()
        self.judge = Judge(self.scene)
        self.readers = [Reader(self.daemon, "/vram/stream", self.judge.vram),
                        Reader(self.daemon, "/v1/detail/stream", self.judge.detail)]
        self.wait_until_true()
        self.rss = self.daemon.rss_bytes()

    def count_descriptors(self):
        return len(os.listdir(f"/proc/{self.daemon.process.pid}/fd"))

    def lasting_descriptors(self):
        """Without those that are open for a moment only, as to a server that keeps none."""
        time.sleep(0.4)  # what a first round opens is open
        counts = []
        for _ in range(10):
            counts.append(self.count_descriptors())
            time.sleep(0.01)
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
                honest(json.loads(body), self.scene)
        with contextlib.suppress(OSError, ValueError, IndexError), \
                Stream(self.daemon) as stream:
            stream.socket.settimeout(1)
            piece = stream.piece() if stream.status == 200 else b""
            if piece:
                self.judge.vram(piece)

    def fail(self, function, n, error, role, manner):
        """A call fails; what is sent meanwhile is judged, and all is well again soon."""
        before = self.faults.fired()
        self.faults.arm(function, n, error, manner, role)
        deadline = time.monotonic() + (1.2 if manner == ONCE else 0.5)
        while time.monotonic() < deadline and (
                manner == ALWAYS or self.faults.fired() == before):
            self.come_and_go()
            time.sleep(0.005)
        fired = self.faults.fired() != before
        self.faults.disarm()
        self.tried += fired
        if fired:
            self.wait_until_true()

    def wait_until_true(self):
        """Nothing untrue was said since the last time, and all is said again."""
        since = time.monotonic()
        eventually("all is true again", lambda: self.daemon.process.poll() is not None or all(
            reader.true > since for reader in self.readers), 4, 0.01)
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
        try:
            eventually(f"{self.descriptors} descriptors are open",
                       lambda: self.count_descriptors() == self.descriptors, 15, 0.01)
        except AssertionError as failure:
            raise AssertionError(f"{failure}, but {list(self.open_files())}") from failure
        grown = self.daemon.rss_bytes() - self.rss
        assert grown < 2 << 20, f"grew by {grown} bytes"
        self.daemon.__exit__()


def faults_of(lane):
    """Calls that are made in a second, by what the counters say: then all that is not done
    in each tick has been done once."""
    roles = (DAEMON_ROLE, WORKER_ROLE)
    before = [lane.faults.calls(role) for role in roles]
    until = time.monotonic() + 1.1
    while time.monotonic() < until:
        lane.come_and_go()
        time.sleep(0.1)
    after = [lane.faults.calls(role) for role in roles]
    for role, function in itertools.product(roles, FUNCTIONS):
        n = after[role][function] - before[role][function]
        for error in ERRORS[function]:
            for i in range(1, n + 1, 1 if ALL or n < 10 else 2 + n // 14):
                yield function, i, error, role, ONCE
            if n and role == DAEMON_ROLE and function not in ENDLESS and error != SHORT:
                yield function, 1, error, role, ALWAYS


def run_with(choose, *arguments):
    """Let each fault chosen happen in some running daemon."""
    with Scene() as scene, concurrent.futures.ThreadPoolExecutor(LANES) as pool:
        lanes = [Lane(scene, *arguments) for _ in range(LANES)]
        faults = queue.Queue()
        for fault in faults_of(lanes[0]):
            if choose(*fault):
                faults.put(fault)
        list(pool.map(lambda lane: lane.try_all(faults), lanes))
        for lane in lanes:
            lane.end()
        failures = sum((lane.failures for lane in lanes), [])
        print(f"     {sum(lane.tried for lane in lanes)} calls failed")
        assert not failures, f"{len(failures)}:\n" + "\n".join(failures)


def test_running():
    run_with(lambda *_: True)


def test_running_with_threads():
    """What the threads do that send events."""
    theirs = ("send", "recv", "accept4", "epoll_wait", "epoll_ctl", "write", "read",
              "setsockopt", "malloc", "calloc")
    run_with(lambda function, n, error, role, manner: role == DAEMON_ROLE and (
        ALL or function in theirs and n <= 4), "--fanout-threads", "2")


@contextlib.contextmanager
def lane_of(scene):
    lane = Lane(scene)
    try:
        yield lane
        lane.end()
    except BaseException:
        lane.close()
        raise


def test_limits_lowered():
    """As by `prlimit` on a running daemon: no descriptor, no memory for a second."""
    with Scene() as scene, lane_of(scene) as lane:
        pid = lane.daemon.process.pid
        status = open(f"/proc/{pid}/statm").read().split()
        for limit, value in ((resource.RLIMIT_NOFILE, 0),
                             (resource.RLIMIT_NOFILE, lane.count_descriptors()),
                             (resource.RLIMIT_AS, int(status[0]) * resource.getpagesize())):
            old = resource.prlimit(pid, limit)
            resource.prlimit(pid, limit, (value, old[1]))
            until = time.monotonic() + 1
            while time.monotonic() < until:
                lane.come_and_go()
                time.sleep(0.05)
            resource.prlimit(pid, limit, old)
            lane.wait_until_true()


def gaps(reader, since):
    return intervals([at for at in reader.events if at > since])


def test_stopped_and_continued():
    """Three seconds without the daemon are left out, not made up for."""
    with Scene() as scene, lane_of(scene) as lane:
        lane.daemon.process.send_signal(signal.SIGSTOP)
        time.sleep(3)
        lane.daemon.process.send_signal(signal.SIGCONT)
        since = time.monotonic()
        time.sleep(1)
        for reader in lane.readers:
            came = sum(at > since for at in reader.events)
            assert 6 <= came <= 13, f"{came} events in the second after 3 s of none"
        lane.wait_until_true()


def test_worker_stopped_and_killed():
    """The beat goes on without the driver; what is known of it stays, and says its age."""
    with Scene() as scene, lane_of(scene) as lane:
        for number, seconds in ((signal.SIGSTOP, 3), (signal.SIGKILL, 3)):
            (worker,) = lane.daemon.workers()
            since = time.monotonic()
            os.kill(worker, number)
            time.sleep(seconds)
            gpu = json.loads(lane.daemon.get("/v1/detail")[2])["gpu"]
            if number == signal.SIGSTOP:
                assert gpu["age_ms"] > 2000, gpu
                os.kill(worker, signal.SIGCONT)
            else:
                assert gpu["age_ms"] < 1000, gpu
                assert lane.daemon.workers() != [worker]
            for reader in lane.readers:
                assert max(gaps(reader, since)) < 0.35, gaps(reader, since)
            lane.wait_until_true()


alone()
learn_names()
run(test_running, test_running_with_threads, test_limits_lowered,
    test_stopped_and_continued, test_worker_stopped_and_killed)
