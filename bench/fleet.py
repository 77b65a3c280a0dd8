#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a gateway costs, and how old its sum is: simulated nodes on a real nats-server.

Each node has 8 GPUs and 4 models and publishes 2 times a second at a phase of its own; so
many readers follow the sum. One node tells the time (fleet/nodes.c), so that readers know
how long ago a figure was published. On the sum that is the time under way and what the
figure waited for the gateway's tick, up to 500 ms; on ?node= it is the time under way.
All runs on this machine: 2 cores are shared by nodes, server, gateway and readers.

Usage: bench/fleet.py [BUILD_DIR] [--nodes 100,300,1000] [--seconds 30] [--readers 100]
       [--detail-readers N] [--gateways N] [--distinct]
"""
import argparse
import contextlib
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench/fleet"))
from rig import (GPU_BYTES, GPUS, INTERVAL_MS, MODELS, PROBE_INTERVAL_MS, Nodes,  # noqa: E402
                 Readers, cpu_seconds, memory_mib, use_build)

WARM_UP_S = 5
LATE_US = 1500 * INTERVAL_MS  # between two events: half an interval late


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", nargs="?", default=ROOT / "build/release", type=pathlib.Path)
    parser.add_argument("--nodes", default=[100, 300, 1000],
                        type=lambda text: [int(n) for n in text.split(",")])
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--readers", type=int, default=100, help="of the sum, at each gateway")
    parser.add_argument("--detail-readers", type=int, default=0,
                        help="of /v1/detail/stream, at the first gateway")
    parser.add_argument("--gateways", type=int, default=1)
    parser.add_argument("--distinct", action="store_true",
                        help="no two nodes serve the same model")
    return parser.parse_args()


given = arguments()
given.build = given.build.resolve()
use_build(given.build)
from fleet import Gateway  # noqa: E402
from harness import Daemon, eventually  # noqa: E402
from nats import Broker  # noqa: E402


LIMITS = ("--max-clients", 10000, "--max-clients-per-ip", 10000, "--max-streams", 10000)


class Installed(Gateway):
    """With the interval and the history that it has unless told otherwise."""

    def __init__(self, broker):
        Daemon.__init__(self, "--gateway", "--nats", broker.url, *LIMITS)


def is_whole(gateway, n):
    fleet = gateway.fleet()
    return fleet and fleet["live"] == fleet["counted"] == n


class Watched:
    """Processes, by name: CPU as percent of a core over the time between start and stop."""

    def __init__(self, pids):
        self.pids = pids
        self.since, self.before = time.monotonic(), self._read()

    def _read(self):
        return {name: cpu_seconds(pid) for name, pid in self.pids.items()}

    def stop(self):
        after, seconds = self._read(), time.monotonic() - self.since
        self.cpu = {name: 100 * (after[name] - self.before[name]) / seconds
                    for name in self.pids}
        self.rss, self.peak = {}, {}
        for name, pid in self.pids.items():
            self.rss[name], self.peak[name] = memory_mib(pid)
        return self


def start_readers(stack, gateways):
    def readers(gateway, path, n, *options, interval=INTERVAL_MS):
        return stack.enter_context(Readers(given.build, gateway.port, path, n, given.seconds,
                                           *options, interval=interval))
    found = {f"sum {i}": readers(gateway, "/vram/stream", given.readers)
             for i, gateway in enumerate(gateways)}
    found["node"] = readers(gateways[0], "/vram/stream?node=probe", 1,
                            interval=PROBE_INTERVAL_MS)
    if given.detail_readers:
        found["detail"] = readers(gateways[0], "/v1/detail/stream", given.detail_readers,
                                  "--fields")
    return found


def measure(n):
    """One column: what was seen with so many nodes."""
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Broker())
        gateways = [stack.enter_context(Installed(broker)) for _ in range(given.gateways)]
        nodes = stack.enter_context(
            Nodes(given.build, broker.url, n, *(["--distinct"] if given.distinct else [])))
        nodes.wait_connected()
        for gateway in gateways:
            eventually("all nodes are live", lambda: is_whole(gateway, n), 30, 0.5)
        readers = start_readers(stack, gateways)
        time.sleep(WARM_UP_S)
        pids = {"nats": broker.process.pid, "nodes": nodes.pid, "readers": readers["sum 0"].pid}
        pids |= {f"gateway {i}": gateway.process.pid for i, gateway in enumerate(gateways)}
        watched = Watched(pids)
        time.sleep(given.seconds - WARM_UP_S - 2)
        watched.stop()
        reports = {name: one.report() for name, one in readers.items()}
        load = os.getloadavg()[0]
        whole = [is_whole(gateway, n) for gateway in gateways]
        sums = [gateway.vram()["total_vram_bytes"] == n * GPUS * GPU_BYTES
                for gateway in gateways]
        sent = nodes.stop()
        time.sleep(0.5)
        fleets = [gateway.fleet() for gateway in gateways]
        sizes = [len(gateways[0].get(path)[2]) for path in ("/vram", "/v1/detail", "/metrics")]
    return {"n": n, "watched": watched, "readers": reports, "sent": sent, "fleets": fleets,
            "whole": all(whole) and all(sums), "sizes": sizes, "load": load}


def ms(quantiles, *names):
    return " / ".join(f"{quantiles[name] / 1000:.1f}" for name in names)


def reader_rows(name, report):
    missed = report["missed"] + report["closed"]
    return {
        f"{name}: readers, events each": f"{report['readers']}, {report['ticks']}",
        f"{name}: events that came, missed, extra":
            f"{report['events']}, {missed}, {report['extra']}",
        f"{name}: between two of a reader, p50 / p99 / max ms":
            ms(report["gap_us"], "p50", "p99", "max"),
        f"{name}: from the first reader to the others, p99 ms": ms(report["skew_us"], "p99"),
        f"{name}: age of the figure, least / p50 / p99 / max ms":
            ms(report["probe_age_us"], "min", "p50", "p99", "max"),
        f"{name}: events without a newer figure, or with none":
            f"{report['probe_repeated']}, {report['probe_missing']}",
        f"{name}: bytes of an event": f"{report['bytes_max']}"}


def of_all(values, digits):
    return " / ".join(f"{value:.{digits}f}" for value in values)


def cost_rows(seen):
    watched, sent = seen["watched"], seen["sent"]
    rate = sent["sent"] / sent["seconds"]
    names = [name for name in watched.pids if name.startswith("gateway")]
    rows = {"messages a second, bytes each":
            f"{rate:.0f}, {sent['bytes'] / max(1, sent['sent']):.0f}"}
    rows["gateway: CPU, % of a core"] = of_all([watched.cpu[name] for name in names], 1)
    rows["gateway: CPU us a message (all it does)"] = of_all(
        [1e4 * watched.cpu[name] / rate for name in names], 1)
    rows["gateway: RSS now, at most, MiB"] = ", ".join(
        f"{watched.rss[name]:.1f}, {watched.peak[name]:.1f}" for name in names)
    rows["nats-server: CPU, % of a core"] = f"{watched.cpu['nats']:.1f}"
    rows["nats-server: RSS now, at most, MiB"] = (
        f"{watched.rss['nats']:.1f}, {watched.peak['nats']:.1f}")
    rows["load: nodes, readers, % of a core"] = (
        f"{watched.cpu['nodes']:.1f}, {watched.cpu['readers']:.1f}")
    rows["bytes of /vram, /v1/detail, /metrics"] = ", ".join(map(str, seen["sizes"]))
    return rows


def truth_rows(seen):
    sent, fleets = seen["sent"], seen["fleets"]

    def counts(*names):
        return " / ".join(", ".join(str(fleet["nats"][name]) for name in names)
                          for fleet in fleets)
    return {
        "nodes: sends late by, p50 / p99 / max ms": ms(sent["late_us"], "p50", "p99", "max"),
        "nodes: until the server has it, p50 / p99 / max ms":
            ms(sent["answer_us"], "p50", "p99", "max"),
        "nodes: sent, confirmed, not sent":
            f"{sent['sent']}, {sent['confirmed']}, {sent['skipped'] + sent['unsent']}",
        "gateway: messages that came": counts("messages"),
        "gateway: missed, dropped, malformed, refused":
            counts("missed", "dropped", "malformed", "refused"),
        "reconnects: nodes, gateway":
            f"{sent['connections'] - sent['nodes']}, {counts('reconnects')}",
        "all nodes counted, the sum is right": "yes" if seen["whole"] else "NO",
        "load of the machine": f"{seen['load']:.1f}"}


def lost(seen):
    """What must not be, in words; [] where all is well."""
    found = [] if seen["whole"] else ["not all nodes were counted"]
    for fleet in seen["fleets"]:
        if fleet["nats"]["messages"] != seen["sent"]["sent"]:
            found.append(f"{seen['sent']['sent'] - fleet['nats']['messages']} messages")
        found += [f"{fleet['nats'][name]} {name}" for name in ("missed", "dropped", "malformed",
                                                               "refused")
                  if fleet["nats"][name]]
    for name, report in seen["readers"].items():
        bad = sum(report[key] for key in ("missed", "closed", "malformed"))
        if bad:
            found.append(f"{bad} events of {name}")
        if report["probe_repeated"] or report["gap_us"]["max"] > LATE_US:
            found.append(f"{name}: {report['probe_repeated']} events with nothing newer, "
                         f"{report['gap_us']['max'] / 1000:.0f} ms between two")
    return found


def column(seen):
    rows = cost_rows(seen)
    for name, report in seen["readers"].items():
        rows |= reader_rows(name.replace("sum 0", "sum"), report)
    return rows | truth_rows(seen)


def main():
    columns = []
    for n in given.nodes:
        columns.append(measure(n))
        if sys.stderr.isatty():
            print(f"{n} nodes measured", file=sys.stderr)
    tables = [column(seen) for seen in columns]
    print(f"{GPUS} GPUs and {MODELS} models a node, {1000 / INTERVAL_MS:g} Hz, "
          f"{given.seconds} s, {os.cpu_count()} processors\n")
    print("| nodes | " + " | ".join(str(seen["n"]) for seen in columns) + " |")
    print("|---|" + "---|" * len(columns))
    for name in tables[0]:
        print(f"| {name} | " + " | ".join(table[name] for table in tables) + " |")
    print()
    for seen in columns:
        print(f"{seen['n']} nodes: lost or delayed: {', '.join(lost(seen)) or 'nothing'}")
    sys.exit(any(map(lost, columns)))


main()
