#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long a fleet is without its figures when a part of it is killed, in seconds.

Real nats-servers, real gateways, nodes of fleet/nodes.c that connect again as vramscoped
does. Each scene is done several times; shown are the least and the most.

Usage: bench/fleet_faults.py [BUILD_DIR] [--nodes 100] [--times 3] [--scene NAME]
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench/fleet"))
from rig import GPU_BYTES, GPUS, INTERVAL_MS, Nodes, use_build  # noqa: E402

FRESH_MS = INTERVAL_MS + 200  # a figure that is no older has missed nothing
SETTLE_S, CUT_S, DOWN_S = 3, 30, 5

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("build", nargs="?", default=ROOT / "build/release", type=pathlib.Path)
parser.add_argument("--nodes", type=int, default=100)
parser.add_argument("--times", type=int, default=3)
parser.add_argument("--scene", help="only this one")
given = parser.parse_args()
given.build = given.build.resolve()
use_build(given.build)
from fleet import Follower, Gateway  # noqa: E402
from harness import Stream, eventually, free_port  # noqa: E402
from nats import Broker, Cluster  # noqa: E402


class Ages:
    """How old the oldest figure of any node is, by a thread that asks all the time:
    [(time, its age in ms, nodes that count), ...]."""

    def __init__(self, gateway):
        self.gateway, self.got, self.ended = gateway, [], False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.ended:
            with contextlib.suppress(OSError, ValueError):
                document = self.gateway.detail()
                if document:
                    ages = [node["age_ms"] for node in document["nodes"]]
                    self.got.append((time.monotonic(), max(ages), document["fleet"]["counted"]))
            time.sleep(0.05)

    def until_fresh(self, since):
        """Seconds from `since` until all are, and stay so for a second."""
        old = [when for when, age, _ in self.got if when >= since and age > FRESH_MS]
        if not old:
            return 0.0
        ends = [a for a, b in zip(old, old[1:] + [old[-1] + 2]) if b - a > 1]
        return next(when for when, _, _ in self.got if when > ends[0]) - since

    def oldest_s(self, since):
        return max(age for when, age, _ in self.got if when >= since) / 1000

    def fewest(self, since):
        return min(counted for when, _, counted in self.got if when >= since)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended = True
        self.thread.join(10)


def remote_ports(pid):
    """Of its connections over IPv4."""
    inodes = set()
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.update(re.findall(r"socket:\[(\d+)\]", os.readlink(fd)))
    rows = [line.split() for line in
            pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return [int(row[2].split(":")[1], 16) for row in rows if row[9] in inodes]


def server_of(cluster, pid):
    ports = [port for port in remote_ports(pid) if port in cluster.ports]
    assert len(ports) == 1, ports
    return cluster.of_port(ports[0])


def on_server(pid, broker):
    return remote_ports(pid).count(broker.port)


def wait_whole(gateway, n=None):
    eventually("all nodes are live", lambda: gateway.fleet().get("live") == (n or given.nodes),
               30, 0.2)
    time.sleep(SETTLE_S)


def kill_server(with_gateway):
    with (Cluster() as cluster, Gateway(cluster, interval=INTERVAL_MS) as gateway,
          Nodes(given.build, cluster.url, given.nodes) as nodes):
        nodes.wait_connected()
        wait_whole(gateway)
        own = server_of(cluster, gateway.process.pid)
        victim = own if with_gateway else next(b for b in cluster.brokers if b is not own)
        moved = on_server(nodes.pid, victim)
        with Ages(gateway) as ages, Follower(gateway) as reader:
            time.sleep(1)
            since = time.monotonic()
            victim.kill()
            time.sleep(10)
        reconnects = gateway.fleet()["nats"]["reconnects"]
        return {"nodes that were on it": moved, "gateway's reconnects": reconnects,
                "s until every figure is fresh again": ages.until_fresh(since),
                "age of the oldest figure meanwhile, s": ages.oldest_s(since),
                "fewest nodes in the sum": ages.fewest(since),
                "longest time between events, s": reader.longest_gap(since)}


class Reconnecting:
    """A reader of several addresses: when one fails it tries the next. When events came."""

    def __init__(self, ports, retry_s=0.0):
        self.ports, self.retry_s, self.got, self.ended = ports, retry_s, [], False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        turn = 0
        while not self.ended:
            self.port = self.ports[turn % len(self.ports)]
            turn += 1
            with contextlib.suppress(OSError, ValueError, IndexError):
                with Stream(self) as stream:
                    while not self.ended and stream.status == 200:
                        piece = stream.piece()
                        if not piece.endswith(b"}\n\n"):
                            break
                        self.got.append((time.monotonic(), json.loads(piece[6:])))
            time.sleep(max(self.retry_s, 0.01))

    def longest_gap(self, since):
        times = [when for when, _ in self.got if when >= since - 1]
        return max(b - a for a, b in zip(times, times[1:]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended = True
        self.thread.join(10)


class Nginx:
    """In front of several gateways, as docs/fleet.md has it."""

    def __init__(self, ports):
        self.folder = tempfile.TemporaryDirectory()
        os.chmod(self.folder.name, 0o755)
        self.port = free_port()
        servers = " ".join(f"server 127.0.0.1:{port} max_fails=1 fail_timeout=2s;"
                           for port in ports)
        config = pathlib.Path(self.folder.name, "nginx.conf")
        config.write_text(
            "daemon off; worker_processes 1; error_log stderr crit;\n"
            f"pid {self.folder.name}/pid;\nevents {{ worker_connections 512; }}\n"
            f"http {{ access_log off; upstream gateways {{ {servers} }}\n"
            f"server {{ listen 127.0.0.1:{self.port}; location / {{\n"
            "proxy_pass http://gateways; proxy_http_version 1.1; proxy_buffering off;\n"
            'proxy_set_header Connection ""; proxy_set_header Host localhost;\n'
            "proxy_connect_timeout 1s; proxy_read_timeout 5s; } } }\n")
        self.process = subprocess.Popen(["nginx", "-c", config], stderr=subprocess.DEVNULL)
        eventually("nginx listens", self._listens)

    def _listens(self):
        with contextlib.suppress(OSError):
            Stream(self, "/healthz").socket.close()
            return True
        return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        self.folder.cleanup()


def kill_gateway(by_nginx, retry_s=0.0):
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Broker())
        gateways = [stack.enter_context(Gateway(broker, interval=INTERVAL_MS))
                    for _ in range(2)]
        nodes = stack.enter_context(Nodes(given.build, broker.url, given.nodes))
        nodes.wait_connected()
        for gateway in gateways:
            wait_whole(gateway)
        ports = [gateway.port for gateway in gateways]
        if by_nginx:
            ports = [stack.enter_context(Nginx(ports)).port]
        reader = stack.enter_context(Reconnecting(ports, retry_s))
        eventually("an event", lambda: len(reader.got) > 4)
        victim = next((gateway for gateway in gateways
                       if (json.loads(gateway.get("/v1/detail")[2])["self"]["subscribers"])),
                      gateways[0])
        since = time.monotonic()
        victim.process.kill()
        victim.process.wait()
        time.sleep(6)
        fewest = min(event["total_vram_bytes"] for when, event in reader.got if when >= since)
        return {"longest time between events, s": reader.longest_gap(since),
                "fewest nodes in the sum": fewest // (GPUS * GPU_BYTES)}


def restart_broker():
    """The only one there is."""
    with (Broker() as broker, Gateway(broker, interval=INTERVAL_MS) as gateway,
          Nodes(given.build, broker.url, given.nodes) as nodes):
        nodes.wait_connected()
        wait_whole(gateway)
        with Ages(gateway) as ages, Follower(gateway) as reader:
            begin = time.monotonic()
            broker.kill()
            time.sleep(DOWN_S)
            broker.start()
            since = time.monotonic()
            time.sleep(15)
        return {"s until every figure is fresh again": ages.until_fresh(since),
                "age of the oldest figure meanwhile, s": ages.oldest_s(begin),
                "fewest nodes in the sum": ages.fewest(begin),
                "longest time between events, s": reader.longest_gap(begin)}


def start_gateway():
    """While the nodes publish."""
    whole = given.nodes * GPUS * GPU_BYTES
    with Broker() as broker, Nodes(given.build, broker.url, given.nodes) as nodes:
        nodes.wait_connected()
        time.sleep(SETTLE_S)
        since = time.monotonic()
        with Gateway(broker, interval=INTERVAL_MS) as gateway:
            listens, totals = time.monotonic() - since, []
            while not totals or totals[-1][1] != whole:
                sums = gateway.vram()
                if sums:
                    totals.append((time.monotonic() - since, sums["total_vram_bytes"]))
                time.sleep(0.01)
                assert time.monotonic() - since < 30, "the sum is never whole"
        return {"s until it listens": listens, "s until it gives a sum": totals[0][0],
                "s until that is whole": totals[-1][0],
                "nodes in the first sum": totals[0][1] // (GPUS * GPU_BYTES)}


def cut_node():
    """One node says nothing for 30 s; its connection is there."""
    from_s = 10
    with (Broker() as broker, Gateway(broker, interval=INTERVAL_MS) as gateway,
          Nodes(given.build, broker.url, given.nodes, "--cut",
                f"5:{from_s}:{from_s + CUT_S}") as nodes):
        start = nodes.wait_connected()
        begin, end = start + from_s, start + from_s + CUT_S
        wait_whole(gateway)
        states = {}
        with Follower(gateway) as reader:
            while time.monotonic() < end + 3:
                state = gateway.state("gpu0005")
                states.setdefault((state, time.monotonic() > end), time.monotonic())
                time.sleep(0.05)
        whole = given.nodes * GPUS * GPU_BYTES
        events = [(when, json.loads(piece[6:])["total_vram_bytes"])
                  for when, piece in reader.got if piece.startswith(b"data: ")]
        without = [when for when, total in events if total < whole]
        back = [when for when, total in events if when > without[-1] and total == whole]
        return {"s after the cut it is shown as stale": states["stale", False] - begin,
                "s after the cut its figures leave the sum": without[0] - begin,
                "s after it speaks again they are back": back[0] - end,
                "fewest nodes in the sum": min(total for _, total in events) //
                (GPUS * GPU_BYTES),
                "longest time between events, s": reader.longest_gap(begin)}


SCENES = {
    "nats-of-gateway": ("the gateway's server of three is killed",
                        lambda: kill_server(True), given.times),
    "nats-of-nodes": ("another server of three is killed",
                      lambda: kill_server(False), given.times),
    "gateway": ("one of two gateways is killed; a reader that knows both",
                lambda: kill_gateway(False), given.times),
    "gateway-nginx": ("the same behind nginx; a reader that connects again at once",
                      lambda: kill_gateway(True), given.times),
    "gateway-browser": ("the same; a reader that waits 2 s first, as a browser",
                        lambda: kill_gateway(True, 2.0), given.times),
    "nats": (f"the only server is killed, and started again after {DOWN_S} s",
             restart_broker, given.times),
    "start": ("a gateway is started", start_gateway, given.times),
    "node": (f"a node is silent for {CUT_S} s", cut_node, 1),
}


def spread(values):
    least, most = min(values), max(values)
    if isinstance(most, float):
        return f"{least:.2f}" if most - least < 0.01 else f"{least:.2f} to {most:.2f}"
    return f"{least}" if least == most else f"{least} to {most}"


def main():
    print(f"{given.nodes} nodes, {1000 / INTERVAL_MS:g} Hz\n\n| what | times | seen |\n|---|---|---|")
    for name, (title, scene, times) in SCENES.items():
        if given.scene and given.scene != name:
            continue
        if "nginx" in title and not shutil.which("nginx"):
            print(f"| {title} | 0 | no nginx on this machine |")
            continue
        found = [scene() for _ in range(times)]
        seen = "; ".join(f"{key}: {spread([one[key] for one in found])}" for key in found[0])
        print(f"| {title} | {times} | {seen} |", flush=True)


main()
