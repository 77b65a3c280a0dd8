#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What publishing costs: two daemons side by side, with --nats and without.

Both have the same simulated driver of 8 GPUs and ask the same 4 vramscope-sim servers. The
interval is short, so that the difference is more than the noise; cost is told for each
snapshot, and as a share of a core at 2 Hz. Prints also bytes of a message, and RSS.
Usage: bench/nats.py [BUILD_DIR] [SECONDS]
"""
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/release").resolve()
SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 60
os.environ.update(VRAMSCOPED=str(BUILD / "src/vramscoped"),
                  VRAMSCOPE_SIM=str(BUILD / "src/vramscope-sim"))
sys.path.insert(0, str(ROOT / "tests/scenario"))
from harness import SIM, Daemon, FakeDriver, eventually  # noqa: E402
from nats import Broker, Subscriber, decode  # noqa: E402

ENGINES, GPUS, INTERVAL_MS, PIECES = 4, 8, 100, 6


def cpu_seconds(pid):
    """Of all threads, to the nanosecond; those of the library among them."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def start_engines(driver):
    engines, urls = [], []
    for i in range(ENGINES):
        engine = subprocess.Popen([SIM, "--port", "0", "--model", f"org/Model-{i}-70B-Instruct",
                                   "--load", "steady", "--seed", str(i)],
                                  stdout=subprocess.PIPE, text=True)
        urls += ["--engine", engine.stdout.readline().split()[-1]]
        engines.append(engine)
        driver.hold(engine.pid, 2 * i, 60 << 30)
    return engines, urls


def measure(nodes):
    """CPU seconds of each, piece by piece: they share whatever else the machine does."""
    pieces = []
    for _ in range(PIECES):
        before = [cpu_seconds(node.process.pid) for node in nodes]
        time.sleep(SECONDS / PIECES)
        pieces.append([cpu_seconds(node.process.pid) - cpu
                       for node, cpu in zip(nodes, before)])
    return pieces


def main():
    with Broker() as broker, Subscriber(broker) as reader, FakeDriver(GPUS) as driver:
        engines, urls = start_engines(driver)
        given = ["--no-discover", "--interval", INTERVAL_MS, "--gpu", "sim", "--sim-dir",
                 driver.path, "--history", "off", *urls]
        try:
            with Daemon(*given) as without, Daemon(*given, "--nats", broker.url) as with_nats:
                eventually("models", lambda: any(
                    len(m["model"]) == ENGINES for m in reader.snapshots()[-2:]))
                time.sleep(2)
                nodes = (without, with_nats)
                start = time.monotonic()
                pieces = measure(nodes)
                sizes = [len(payload) for _, payload in reader.of("snapshot", start)]
                last = decode(reader.of("snapshot")[-1][1])
                rss = [node.rss_bytes() / (1 << 20) for node in nodes]
        finally:
            for engine in engines:
                engine.kill()
                engine.wait()
    per_piece = len(sizes) / PIECES
    costs = [1e6 * (b - a) / per_piece for a, b in pieces]
    print(f"{len(sizes)} messages in {SECONDS} s, {len(last['device'])} GPUs, "
          f"{len(last['model'])} models: {statistics.median(sizes):.0f} bytes each")
    print("microseconds of CPU for each snapshot published: median "
          f"{statistics.median(costs):.0f} of {', '.join(f'{c:.0f}' for c in costs)}")
    print(f"at 2 Hz: {statistics.median(costs) * 2 / 1e4:.4f} % of a core")
    print(f"RSS without {rss[0]:.2f} MiB, with {rss[1]:.2f} MiB")


main()
