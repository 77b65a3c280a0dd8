#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is the beat steady? Intervals between events at one subscriber, and the first event's delay.

A real vramscoped --demo. Prints median, p1 and p99 of the interval over SECONDS, the largest,
and the largest delay of a first event over 20 connections.
Usage: bench/cadence.py [BUILD_DIR] [SECONDS]
"""
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/release").resolve()
SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 30
os.environ.update(VRAMSCOPED=str(BUILD / "src/vramscoped"),
                  VRAMSCOPE_SIM=str(BUILD / "src/vramscope-sim"))
sys.path.insert(0, str(ROOT / "tests/scenario"))
from harness import Daemon, Stream  # noqa: E402

with Daemon("--demo") as daemon:
    firsts = []
    for _ in range(20):
        with Stream(daemon) as stream:
            stream.event()
            firsts.append(time.monotonic() - stream.started)
    with Stream(daemon) as stream:
        stream.event(), stream.event()  # the first comes between two beats
        gaps, last = [], time.monotonic()
        for _ in range(2 * SECONDS):
            stream.event()
            now = time.monotonic()
            gaps.append(1000 * (now - last))
            last = now
gaps.sort()
print(f"{len(gaps)} intervals over {SECONDS} s: median {gaps[len(gaps) // 2]:.2f} ms, "
      f"p1 {gaps[len(gaps) // 100]:.2f}, p99 {gaps[len(gaps) * 99 // 100]:.2f}, "
      f"max {gaps[-1]:.2f}; first event within {1000 * max(firsts):.1f} ms (of 20)")
