#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How old are an engine's figures when they go out? age_ms of each event of the full stream.

A real vramscoped with one vramscope-sim, whose page is cheap. Prints median, p99 and the
largest over SECONDS. The budget for p99 is 50 ms.
Usage: bench/data_age.py [BUILD_DIR] [SECONDS]
"""
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/release").resolve()
SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 32
os.environ.update(VRAMSCOPED=str(BUILD / "src/vramscoped"),
                  VRAMSCOPE_SIM=str(BUILD / "src/vramscope-sim"))
sys.path.insert(0, str(ROOT / "tests/scenario"))
from harness import SIM, Daemon, Stream  # noqa: E402

WARM = 6  # events, until the filter is tried and the scrapes have found their beat


def documents(stream):
    while True:
        for line in stream.piece().splitlines():
            if line.startswith(b"data: {"):
                yield json.loads(line[len(b"data: "):])


sim = subprocess.Popen([SIM, "--port", "0", "--model", "org/model", "--load", "steady",
                        "--die-with-parent"], stdout=subprocess.PIPE, text=True)
try:
    url = sim.stdout.readline().split()[-1]
    with Daemon("--gpu", "none", "--no-discover", "--engine", url) as daemon, \
            Stream(daemon, "/v1/detail/stream") as stream:
        events = documents(stream)
        for _ in range(WARM):
            next(events)
        models = [next(events)["models"][0] for _ in range(2 * SECONDS)]
finally:
    sim.terminate()
    sim.wait()
assert {m["scrape_interval_ms"] for m in models} == {500}, "the page was not cheap"
ages = sorted(m["age_ms"] for m in models)
print(f"{len(ages)} events over {SECONDS} s: engine figures {ages[len(ages) // 2]} ms old "
      f"(median), p99 {ages[len(ages) * 99 // 100]}, max {ages[-1]}; budget: p99 <= 50")
