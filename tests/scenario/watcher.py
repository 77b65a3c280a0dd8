# SPDX-License-Identifier: Apache-2.0
"""A healthy subscriber in a process of its own: `python3 watcher.py PORT`.

It reads /vram/stream until its standard input ends, then prints as JSON how many events it
had, the longest wait for one, and what else it saw. In a process of its own, since the
interpreter of a test that attacks is too busy to tell the time.
"""
import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time

from harness import EVENT

GAP_SECONDS = 0.6


class Watcher:
    """Watches a daemon for as long as the `with` block lasts."""

    def __init__(self, daemon):
        with contextlib.suppress(OSError):  # a busy machine is not what is measured
            os.setpriority(os.PRIO_PROCESS, daemon.process.pid, -10)
        self.process = subprocess.Popen([sys.executable, __file__, str(daemon.port)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "reading\n", "the stream has not begun"

    def report(self):
        text, _ = self.process.communicate(timeout=10)
        return json.loads(text)

    def check(self, least):
        """At least so many events, all valid, none late."""
        report = self.report()
        assert not report["wrong"], report
        assert report["events"] >= least, report
        assert report["gap"] <= GAP_SECONDS, report
        return report

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def events_of(data):
    """Whole chunks at the start of `data`, and what is left."""
    events = []
    while b"\r\n" in data:
        size, _, rest = data.partition(b"\r\n")
        length = int(size, 16)
        if len(rest) < length + 2:
            break
        events.append(rest[:length])
        assert rest[length:length + 2] == b"\r\n", data
        data = rest[length + 2:]
    return events, data


def watch(port):
    report = {"events": 0, "gap": 0.0, "wrong": ""}
    stream = socket.create_connection(("127.0.0.1", port), 5)
    stream.sendall(b"GET /vram/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    data = b""
    while b"\r\n\r\n" not in data:
        more = stream.recv(65536)
        assert more, f"ended within its head: {data!r}"
        data += more
    head, _, data = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
    print("reading", flush=True)
    last = None
    while not report["wrong"]:
        ready, _, _ = select.select([stream, sys.stdin], [], [], 2)
        now = time.clock_gettime(time.CLOCK_MONOTONIC)
        if sys.stdin in ready:
            break
        more = stream.recv(65536) if ready else b""
        if not more:
            report["wrong"] = "the stream has ended" if ready else "nothing for 2 s"
        events, data = events_of(data + more)
        for event in events:
            if not EVENT.fullmatch(event):
                report["wrong"] = f"not an event: {event!r}"
            report["gap"] = max(report["gap"], round(now - (last or now), 4))
            report["events"] += 1
            last = now
    print(json.dumps(report))


if __name__ == "__main__":
    with contextlib.suppress(OSError):  # likewise
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    watch(int(sys.argv[1]))
