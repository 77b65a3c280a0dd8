#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What readers cost a gateway of many nodes in memory, the worst of them above all.

A real gateway with the limits that it has unless told otherwise, on a real nats-server with
simulated nodes (fleet/nodes.c). Each scene brings readers from many addresses, as many as
may be: some read, some read a little each second, some nothing at all. Meanwhile 10 readers
of /vram/stream tell how long they waited between two events.

Usage: bench/fleet_memory.py [BUILD_DIR] [--nodes 4000] [--interval 500] [--seconds 25]
       [--scene NAME]... [--limit MIB]
"""
import argparse
import contextlib
import os
import pathlib
import selectors
import socket
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench/fleet"))
from rig import Nodes, Readers, cpu_seconds, memory_mib, use_build  # noqa: E402

PER_ADDRESS = 60  # of the 64 that one may have
MIB = 1 << 20
MEMORY = pathlib.Path("/sys/fs/cgroup/memory")

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("build", nargs="?", default=ROOT / "build/release", type=pathlib.Path)
parser.add_argument("--nodes", type=int, default=4000)
parser.add_argument("--seconds", type=int, default=25, help="that each scene lasts")
parser.add_argument("--interval", type=int, default=500, help="of the nodes, in ms")
parser.add_argument("--scene", action="append", help="only this one")
parser.add_argument("--limit", type=int, help="of the daemon's memory, in MiB")
given = parser.parse_args()
given.build = given.build.resolve()
use_build(given.build)
from fleet import Gateway  # noqa: E402
from harness import Daemon, eventually  # noqa: E402
from nats import Broker  # noqa: E402


class Crowd:
    """Connections, each asking for a path; each reads `rate` bytes a second, 0: nothing,
    None: all that comes. Whoever is parted from comes back at once."""

    def __init__(self, port, paths, rate, apart=0.0, net=0):
        self.port, self.rate, self.net, self.ended = port, rate, net, False
        self.selector, self.statuses, self.taken = selectors.DefaultSelector(), {}, 0
        self.waiting = [(time.monotonic() + i * apart, i, path)
                        for i, path in enumerate(paths)]
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _connect(self, i, path):
        one = socket.socket()
        if self.rate is not None:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.bind((f"127.0.{1 + self.net}.{1 + i // PER_ADDRESS}", 0))
        one.settimeout(5)
        try:
            one.connect(("127.0.0.1", self.port))
            one.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        except OSError:
            one.close()
            self.waiting.append((time.monotonic() + 1, i, path))
            return
        one.setblocking(False)
        self.selector.register(one, selectors.EVENT_READ, [i, path, False, time.monotonic()])

    def _read(self, one, said):
        try:
            data = one.recv(MIB if self.rate is None else max(512, self.rate))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data and not said[2]:
            said[2] = True
            status = data[9:12].decode()
            self.statuses[status] = self.statuses.get(status, 0) + 1
        self.taken += len(data)
        if not data:
            self.selector.unregister(one)
            one.close()
            self.waiting.append((time.monotonic() + 0.2, said[0], said[1]))

    def _turn(self):
        now = time.monotonic()
        due = [one for one in self.waiting if one[0] <= now]
        self.waiting = [one for one in self.waiting if one[0] > now]
        for _, i, path in due:
            self._connect(i, path)
        if self.rate is None:
            for key, _ in self.selector.select(0.01):
                self._read(key.fileobj, key.data)
            return
        for key in list(self.selector.get_map().values()):
            said = key.data
            if (not said[2] or self.rate) and said[3] <= now:
                said[3] = now + 1
                self._read(key.fileobj, said)
        time.sleep(0.02)

    def _run(self):
        while not self.ended:
            self._turn()

    def stop(self):
        self.ended = True
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()


class Group:
    """A group of the kernel's, where it can be had: what it charges, sockets included."""

    def __init__(self, pid):
        self.path = MEMORY / f"vramscope-bench-{pid}"
        try:
            self.path.mkdir()
            (self.path / "memory.kmem.tcp.limit_in_bytes").write_text(str(1 << 40))
            if given.limit:
                (self.path / "memory.limit_in_bytes").write_text(str(given.limit * MIB))
            (self.path / "cgroup.procs").write_text(str(pid))
        except OSError:
            self.path = None

    def mib(self):
        """(memory, sockets)"""
        if not self.path:
            return 0.0, 0.0
        return tuple(int((self.path / name).read_text()) / MIB for name in
                     ("memory.usage_in_bytes", "memory.kmem.tcp.usage_in_bytes"))

    def done(self):
        with contextlib.suppress(OSError):
            if self.path:
                self.path.rmdir()


class Scrapers:
    """Ten that ask for /metrics twice a second, and read it at once."""

    def __init__(self, port):
        self.port, self.ended, self.statuses, self.taken = port, False, {}, 0
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True)
                        for i in range(10)]
        for thread in self.threads:
            thread.start()

    def _run(self, i):
        time.sleep(i * 0.05)
        while not self.ended:
            with socket.create_connection(("127.0.0.1", self.port), 5) as one:
                one.sendall(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
                while data := one.recv(MIB):
                    self.taken += len(data)
            time.sleep(0.5)

    def stop(self):
        self.ended = True
        for thread in self.threads:
            thread.join()


class Together:
    def __init__(self, *crowds):
        self.crowds = crowds

    def stop(self):
        for crowd in self.crowds:
            crowd.stop()
        self.taken = sum(crowd.taken for crowd in self.crowds)
        self.statuses = {}
        for crowd in self.crowds:
            for status, n in crowd.statuses.items():
                self.statuses[status] = self.statuses.get(status, 0) + n


def of_nodes(n):
    return [f"/v1/detail/stream?node=gpu{i:04}" for i in range(1, n + 1)]


def of(path, n, rate, apart=0.0):
    return lambda port: Crowd(port, [path] * n, rate, apart)


def everybody(port):
    paths = ["/v1/detail", "/metrics"] * 60 + ["/v1/detail/stream"] * 120
    return Together(Crowd(port, paths, 0, 0.05), Crowd(port, of_nodes(120), None, 0.01, 1),
                    Crowd(port, ["/metrics", "/v1/detail"] * 50, 4096, 0.1, 2))


SCENES = {
    "nobody": ("nobody else", of("/vram", 0, None)),
    "read-10": ("10 read /v1/detail/stream", of("/v1/detail/stream", 10, None)),
    "read-100": ("100 read it", of("/v1/detail/stream", 100, None)),
    "read-245": ("245 read it", of("/v1/detail/stream", 245, None)),
    "slow": ("245 read 64 kB of it a second", of("/v1/detail/stream", 245, 65536, 0.05)),
    "shut": ("245 read nothing of it", of("/v1/detail/stream", 245, 0, 0.05)),
    "ask-shut": ("480 ask for /v1/detail and read nothing", of("/v1/detail", 480, 0, 0.02)),
    "ask-slow": ("480 ask for /metrics and read 4 kB a second",
                 of("/metrics", 480, 4096, 0.02)),
    "nodes": ("245 read ?node=, each another", lambda port: Crowd(port, of_nodes(245), None)),
    "scrape": ("10 ask for /metrics twice a second", Scrapers),
    "all": ("all of it at once, 460 in all", everybody),
}


class Installed(Gateway):
    """With the limits, the interval and the history that it has unless told otherwise."""

    def __init__(self, broker):
        Daemon.__init__(self, "--gateway", "--nats", broker.url)


def watch(gateway, group):
    """For as long as a scene lasts: (CPU percent, most MiB of the group, of its sockets)."""
    pid, began, most = gateway.process.pid, time.monotonic(), (0.0, 0.0)
    before = cpu_seconds(pid)
    while time.monotonic() < began + given.seconds - 1:
        if gateway.process.poll() is not None:
            raise SystemExit(f"the gateway ended with {gateway.process.returncode}")
        most = tuple(map(max, most, group.mib()))
        time.sleep(0.2)
    return 100 * (cpu_seconds(pid) - before) / (time.monotonic() - began), *most


def measure(broker, name):
    title, start = SCENES[name]
    with contextlib.ExitStack() as afterwards, Installed(broker) as gateway:
        group = Group(gateway.process.pid)
        afterwards.callback(group.done)
        eventually("all nodes are live", lambda: gateway.fleet().get("live") == given.nodes,
                   120, 2)
        with Readers(given.build, gateway.port, "/vram/stream", 10, given.seconds) as readers:
            crowd = start(gateway.port)
            cpu, most, sockets = watch(gateway, group)
            gap = readers.report()["gap_us"]
            now, peak = memory_mib(gateway.process.pid)
            crowd.stop()
    said = ", ".join(f"{n} x {status}" for status, n in sorted(crowd.statuses.items()))
    print(f"| {title} | {now:.0f}, {peak:.0f} | {most:.0f}, {sockets:.0f} | {cpu:.0f} | "
          f"{gap['p50'] / 1000:.0f} / {gap['p99'] / 1000:.0f} / {gap['max'] / 1000:.0f} | "
          f"{crowd.taken / MIB / given.seconds:.0f} | {said} |", flush=True)


def main():
    with Broker() as broker, Nodes(
            given.build, broker.url, given.nodes, "--interval-ms", given.interval) as nodes:
        nodes.wait_connected()
        print("| readers | RSS now, at most, MiB | charged at most, of that sockets, MiB | "
              "CPU, % of a core | between two events of /vram/stream, p50 / p99 / max ms | "
              "MiB/s | answers |\n|---|---|---|---|---|---|---|", flush=True)
        for name in SCENES:
            if not given.scene or name in given.scene:
                measure(broker, name)


main()
