# SPDX-License-Identifier: Apache-2.0
"""Any call may fail in a running daemon: nothing crashes, leaks or misleads.

With VRAMSCOPE_FAULTS=all each call within some ticks is tried, not the first of them only.
VRAMSCOPE_FAULTS_OF names the functions to try.
"""
import contextlib
import json
import os
import resource
import signal
import time

from faults import ALL, DAEMON_ROLE, Scene, learn_names
from harness import alone, run
from lanes import Lane, lanes_of, run_in
from standstill import intervals


def run_with(choose, *arguments):
    """Let each fault chosen happen in some running daemon."""
    with Scene() as scene:
        run_in(lanes_of(lambda: Lane(scene, *arguments)), choose)


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
