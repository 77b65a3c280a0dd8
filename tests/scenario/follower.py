# SPDX-License-Identifier: Apache-2.0
"""follow_events, and servers that answer as a daemon would never."""
import json
import os
import subprocess
import time

from harness import Engine

FOLLOW_EVENTS = os.environ.get("FOLLOW_EVENTS",
                               "build/release/tests/scenario/follow_events")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def options_of(options):
    for name, value in options.items():
        yield "--" + name.replace("_", "-")
        yield str(value)


def follow(url, wrapper=(), env=None, **options):
    """All that is said until the end: events, and the last line with "end"."""
    with Follower(url, wrapper, env, **options) as follower:
        return follower.rest()


def get(url, path, **options):
    return follow(url, get=path, **options)[0]


class Follower:
    """follow_events while it runs; its lines are read as they come."""

    def __init__(self, url, wrapper=(), env=None, **options):
        self.process = subprocess.Popen(
            [*wrapper, FOLLOW_EVENTS, *options_of(options), url], stdout=subprocess.PIPE,
            text=True, env={**os.environ, **(env or {})})

    def next(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def until(self, kind):
        """The next line of that kind; those before it are passed over."""
        while True:
            line = self.next()
            assert line, f"ended before '{kind}' came"
            assert line.get("ends", True), f"text without an end: {line}"
            if line["type"] == kind:
                return line

    def rest(self):
        lines = [json.loads(line) for line in self.process.stdout]
        code = self.process.wait(10)
        assert code == 0, f"follow_events ended with {code}"
        return lines

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Server(Engine):
    """A server that does `answer(peer, n)` with its n-th connection, then closes it."""

    def __init__(self, answer, **options):
        self.heads, self.times = [], []
        super().__init__(answer, **options)

    def _serve(self, peer):
        self.times.append(time.monotonic())
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                more = peer.recv(4096)
                if not more:
                    return
                head += more
            self.heads.append(head.decode())
            self.answer(peer, len(self.heads) - 1)
        except OSError:
            pass
        finally:
            peer.close()

    def field(self, n, name):
        """A field of the n-th request; None: there is none."""
        for line in self.heads[n].split("\r\n")[1:]:
            key, _, value = line.partition(": ")
            if key.lower() == name.lower():
                return value
        return None


def answer_of(text, hold=0.0):
    """An answer that is these bytes, with the connection kept open for so long."""
    def answer(peer, _):
        peer.sendall(text if isinstance(text, bytes) else text.encode())
        time.sleep(hold)
    return answer


def kinds(lines):
    return [line["type"] for line in lines]
