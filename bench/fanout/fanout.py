#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a delivered event costs beyond a bare send() loop; README.md in this folder says how.

Usage: bench/fanout/fanout.py BUILD_DIR [--subscribers N,N,...] [--seconds S] [--repeat R]
       [--rows N] [--with-nchan] [--with-go] [--with-uring] [--stalled PERCENT]
"""
import argparse
import contextlib
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile

from servers import (INTERVAL_MS, READERS_ON, SERVER_ON, Floor, Go, Nchan, Vramscoped)

ALONE_SECONDS = 10  # with one subscriber
STALLED_SECONDS = 60


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", type=lambda text: pathlib.Path(text).resolve())
    parser.add_argument("--subscribers", default=None,
                        type=lambda text: [int(n) for n in text.split(",")],
                        help="100,1000,10000,19500; with --stalled 10000")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--rows", type=int, default=None,
                        help="engines in the event (0; with --stalled 12)")
    parser.add_argument("--with-nchan", action="store_true")
    parser.add_argument("--with-go", action="store_true")
    parser.add_argument("--with-uring", action="store_true")
    parser.add_argument("--stalled", type=float, default=0, metavar="PERCENT")
    given = parser.parse_args()
    if given.subscribers is None:
        given.subscribers = [10000] if given.stalled else [100, 1000, 10000, 19500]
    if given.rows is None:
        given.rows = 12 if given.stalled else 0
    return given


class Bench:
    def __init__(self, given, folder):
        self.given = given
        self.folder = folder
        with Vramscoped(given.build, given.rows) as server:
            self.size = server.event_bytes()
        self.makers = {
            "vramscoped": lambda phase: Vramscoped(given.build, given.rows),
            "floor": lambda phase: Floor(given.build, "send", self.size, phase),
            "floor, io_uring": lambda phase: Floor(given.build, "uring", self.size, phase),
            "floor, io_uring, fixed":
                lambda phase: Floor(given.build, "fixed", self.size, phase),
            "nginx + nchan": lambda phase: Nchan(folder, self.size, phase),
            "Go net/http": lambda phase: Go(folder, self.size, phase),
        }
        self.softirq = ["--softirq", pid] if (pid := softirq_thread()) else []
        self.compared = ["vramscoped"]
        if given.with_uring:
            self.compared += ["floor, io_uring", "floor, io_uring, fixed"]
        if given.with_nchan:
            self.compared.append("nginx + nchan")
        if given.with_go:
            self.compared.append("Go net/http")

    def readers(self, server, n, seconds, *more):
        """Start them; what communicate() gives is their report."""
        ticks = seconds * 1000 // INTERVAL_MS
        command = ["taskset", "-c", READERS_ON, self.given.build / "bench/fanout_readers",
                   "--readers", n, "--ticks", ticks, "--interval", INTERVAL_MS, "--pid",
                   server.pid, *self.softirq, *more, *(["--fields"] if server.fields else []), server.port,
                   "/vram/stream"]
        return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)

    def pair(self, name, n, seconds, other_first):
        """Both servers in the same seconds, their ticks half an interval apart."""
        with contextlib.ExitStack() as stack:
            other = stack.enter_context(self.makers[name](0))
            phase = (other.phase_ms() + INTERVAL_MS / 2) % INTERVAL_MS
            floor = stack.enter_context(self.makers["floor"](phase))
            order = (other, floor) if other_first else (floor, other)
            running = [(s, self.readers(s, n, seconds)) for s in order]
            reports = {s: report_of(process) for s, process in running}
        return reports[other], reports[floor]

    def compare(self, name):
        """For each number of subscribers, the pairs measured."""
        alone = self.pair(name, 1, ALONE_SECONDS, True)
        for n in self.given.subscribers:
            pairs = []
            for i in range(self.given.repeat):
                pairs.append(self.pair(name, n, self.given.seconds, i % 2 == 0))
                if sys.stderr.isatty():
                    print(".", end="", file=sys.stderr, flush=True)
            if sys.stderr.isatty():
                print("\r", end="", file=sys.stderr)
            yield n, [(cost_of(other, alone[0]), cost_of(floor, alone[1]))
                      for other, floor in pairs]

    def stall(self, name, n):
        """Without and with the stalled, on the same server."""
        stalled = round(n * self.given.stalled / 100)
        with self.makers[name](0) as server:
            calm = report_of(self.readers(server, n, STALLED_SECONDS // 3))
            return calm, report_of(self.readers(server, n, STALLED_SECONDS, "--stalled",
                                                stalled))


def softirq_thread():
    """The server processor's ksoftirqd; None: it is not seen from here."""
    result = subprocess.run(["pgrep", "-x", f"ksoftirqd/{SERVER_ON}"], capture_output=True,
                            text=True)
    return result.stdout.strip() or None


def report_of(process):
    report = json.loads(process.communicate()[0] or "null")
    if process.returncode or not report:
        raise OSError(f"the readers ended with {process.returncode}")
    return report


def cost_of(report, alone):
    """What is shown of one server in one pair. Marginal: less what one subscriber costs."""
    rate = alone["cpu_s"] / alone["seconds"]
    beyond = report["cpu_s"] - rate * report["seconds"]
    return {"us": 1e6 * report["cpu_s"] / report["events"],
            "marginal_us": 1e6 * beyond / max(1, report["events"] - report["ticks"]),
            "softirq": report["softirq_s"] / report["cpu_s"],
            "skew_ms": report["skew_us"]["p99"] / 1000,
            "jitter_ms": report["jitter_us"]["p99"] / 1000,
            "bytes": 1024 * (report["open_kb"] - report["idle_kb"]) / report["readers"],
            "lost": report["missed"] + report["closed"],
            "broken": report["malformed"] + report["extra"] + (not report["quiet"])}


def spread(values):
    return f"{statistics.median(values):.3f} ({min(values):.3f}-{max(values):.3f})"


def print_comparison(name, n, pairs):
    def middle(which, key):
        return statistics.median(pair[which][key] for pair in pairs)
    ratios = {key: spread([other[key] / floor[key] for other, floor in pairs])
              for key in ("us", "marginal_us")}
    print(f"| {name} | {n} | {middle(0, 'us'):.2f} / {middle(1, 'us'):.2f} | {ratios['us']} "
          f"| {ratios['marginal_us']} | {middle(0, 'skew_ms'):.1f} / "
          f"{middle(1, 'skew_ms'):.1f} | {middle(0, 'jitter_ms'):.1f} / "
          f"{middle(1, 'jitter_ms'):.1f} | {middle(0, 'bytes'):.0f} "
          f"| {100 * middle(0, 'softirq'):.1f} | {sum(p[0]['lost'] for p in pairs)} / {sum(p[1]['lost'] for p in pairs)} "
          f"| {sum(p[0]['broken'] for p in pairs)} / {sum(p[1]['broken'] for p in pairs)} "
          f"| {os.getloadavg()[0]:.1f} |", flush=True)


def compare_all(bench):
    given = bench.given
    print(f"events of {bench.size} bytes each {INTERVAL_MS} ms; {given.repeat} pairs of "
          f"{given.seconds} s each; medians, A / B: the server / the floor beside it\n\n"
          "| server | subscribers | CPU us an event | ratio (least-most) | marginal ratio "
          "| skew p99 ms | jitter p99 ms | bytes a subscriber | ksoftirqd % | lost | broken | load |\n"
          "|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name in bench.compared:
        try:
            for n, pairs in bench.compare(name):
                print_comparison(name, n, pairs)
        except OSError as error:
            print(f"| {name} | not measured: {error} |")


def stall_all(bench):
    print(f"events of {bench.size} bytes each {INTERVAL_MS} ms; {bench.given.stalled:g} % "
          f"read nothing for {STALLED_SECONDS} s\n\n"
          "| server | subscribers | stalled, of them closed | memory of the server: before, "
          "most, after (KiB) | jitter p99 of the others: without, with (ms) | missed by them "
          "| load |\n|---|---|---|---|---|---|---|")
    for name in bench.compared:
        for n in bench.given.subscribers:
            calm, with_stalled = bench.stall(name, n)
            print(f"| {name} | {n} | {with_stalled['stalled']}, "
                  f"{with_stalled['stalled_closed']} | {with_stalled['open_kb']}, "
                  f"{with_stalled['most_kb']}, {with_stalled['end_kb']} "
                  f"| {calm['jitter_us']['p99'] / 1000:.1f}, "
                  f"{with_stalled['jitter_us']['p99'] / 1000:.1f} "
                  f"| {with_stalled['missed']} | {os.getloadavg()[0]:.1f} |", flush=True)


def main():
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # servers end with their blocks
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # nginx's worker is another user
        bench = Bench(given, folder)
        (stall_all if given.stalled else compare_all)(bench)


main()
