#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the terminal UI costs beside htop: CPU and memory in the same run.

A real vramscoped with 8 devices and 16 vramscope-sim servers at 2 Hz; vramscope and htop
(with the same pace) each in a tmux window of 120 x 30. Prints for both: share of a core,
RSS, private memory, and bytes written to the terminal a second.
As root it runs in namespaces of its own, so that servers of others are not found; htop then
has few processes to show.
Usage: bench/terminal.py [BUILD_DIR] [SECONDS]
"""
import contextlib
import os
import pathlib
import re
import shutil
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/release").resolve()
SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 30
os.environ.update(VRAMSCOPED=str(BUILD / "src/vramscoped"),
                  VRAMSCOPE_SIM=str(BUILD / "src/vramscope-sim"))
sys.path.insert(0, str(ROOT / "tests/scenario"))
from harness import (Daemon, FakeDriver, Stream, alone, eventually, free_port,  # noqa: E402
                     serve)
from tmux import Tmux  # noqa: E402

GPUS, ENGINES, GIB = 8, 16, 1 << 30
HERTZ = os.sysconf("SC_CLK_TCK")


class Cost:
    """What the program in a window has cost so far."""

    def __init__(self, window):
        self.pid = window.pid()

    def cpu_seconds(self):
        stat = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / HERTZ

    def written(self):
        return int(re.search(r"wchar: (\d+)",
                             pathlib.Path(f"/proc/{self.pid}/io").read_text())[1])

    def memory(self):
        """RSS, and of it what nobody shares, in MiB."""
        text = pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        kib = {name: int(size) for name, size in re.findall(r"(\w+): +(\d+) kB", text)}
        return kib["Rss"] / 1024, (kib["Private_Clean"] + kib["Private_Dirty"]) / 1024


def measure(costs):
    before = [(cost.cpu_seconds(), cost.written()) for cost in costs]
    time.sleep(SECONDS)
    for cost, (cpu, written) in zip(costs, before):
        rss, private = cost.memory()
        yield (100 * (cost.cpu_seconds() - cpu) / SECONDS, rss, private,
               (cost.written() - written) / SECONDS)


def main():
    if not shutil.which("htop") or not shutil.which("tmux"):
        sys.exit("htop and tmux are needed")
    with contextlib.ExitStack() as stack:
        tmux = stack.enter_context(Tmux())
        driver = stack.enter_context(FakeDriver(GPUS))
        for i in range(ENGINES):
            stack.enter_context(serve(f"org/model-{i}", free_port(), driver, "--gpu-index", i // 2,
                                      "--vram", 30 * GIB, "--load", "sine"))
        daemon = stack.enter_context(Daemon("--gpu", "sim", "--sim-dir", driver.path))
        stream = stack.enter_context(Stream(daemon))
        eventually("all engines are found",
                   lambda: len(stream.event()["models"]) == ENGINES, 30, every=0)
        url = f"http://127.0.0.1:{daemon.port}"
        windows = [tmux.open(command, 120, 30) for command in (
            f"exec {BUILD}/src/vramscope --url {url}", "exec htop -d 5")]
        time.sleep(5)
        windows[0].shows("model-1")
        processes = sum(name.isdigit() for name in os.listdir("/proc"))
        print(f"{ENGINES} models, {GPUS} GPUs, {processes} processes, 2 Hz, 120 x 30, "
              f"{SECONDS} s:")
        print("             CPU %    RSS MiB    private MiB    bytes/s to the terminal")
        for name, row in zip(("vramscope", "htop"), measure([Cost(w) for w in windows])):
            print("  {:10} {:6.2f} {:10.1f} {:14.1f} {:14.0f}".format(name, *row))


alone()
main()
