#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What history on disk costs: two daemons side by side, with --history and without.

Both ask the same 16 vramscope-sim servers at 2 Hz and have one reader of the detail stream.
Prints for each how late its beats were, when the reader had them after the beat before, CPU
as a share of a core, RSS, and what was written to disk. With QUERIES, one more who asks for
an hour of history again and again.
Usage: bench/history.py [BUILD_DIR] [SECONDS] [FOLDER] [QUERIES]
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/release").resolve()
SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 60
FOLDER = sys.argv[3] if len(sys.argv) > 3 else "/var/tmp"
QUERIES = len(sys.argv) > 4
os.environ.update(VRAMSCOPED=str(BUILD / "src/vramscoped"),
                  VRAMSCOPE_SIM=str(BUILD / "src/vramscope-sim"))
sys.path.insert(0, str(ROOT / "tests/scenario"))
from harness import SIM, Daemon, Stream  # noqa: E402

ENGINES, HERTZ = 16, os.sysconf("SC_CLK_TCK")


def start_engines():
    engines, urls = [], []
    for i in range(ENGINES):
        engine = subprocess.Popen([SIM, "--port", "0", "--model", f"org/model-{i}", "--load",
                                   "steady", "--seed", str(i), "--kv-pool-bytes", str(1 << 30)],
                                  stdout=subprocess.PIPE, text=True)
        urls += ["--engine", engine.stdout.readline().split()[-1]]
        engines.append(engine)
    return engines, urls


def cpu_of(pid):
    """Seconds of each thread, by its name."""
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        name = (task / "comm").read_text().strip()
        found[name] = found.get(name, 0) + (int(fields[11]) + int(fields[12])) / HERTZ
    return found


def written_by(pid):
    for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])


class Watched(threading.Thread):
    """One daemon, and what its reader sees of it."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.daemon_, self.late, self.gaps = daemon, [], []
        self.stream = Stream(daemon, "/v1/detail/stream")
        self.on = True

    def run(self):
        last = None
        while self.on:
            piece = self.stream.piece()
            now = time.monotonic()
            self.gaps += [1000 * (now - last)] if last else []
            last = now
            self.late += [json.loads(line[6:])["self"]["late_ms"]
                          for line in piece.split(b"\n") if line.startswith(b"data: {\"schema")]

    def begin(self):
        pid = self.daemon_.process.pid
        self.late, self.gaps = [], []
        self.begun = time.monotonic()
        self.cpu, self.written = cpu_of(pid), written_by(pid)

    def end(self):
        pid, seconds = self.daemon_.process.pid, time.monotonic() - self.begun
        self.on = False
        late, gaps = sorted(self.late), sorted(self.gaps)
        cpu = {name: 100 * (value - self.cpu.get(name, 0)) / seconds
               for name, value in cpu_of(pid).items()}
        print(f"  late: median {late[len(late) // 2]:.3f} ms, "
              f"p99 {late[len(late) * 99 // 100]:.3f}, max {late[-1]:.3f}; at the reader: "
              f"p99 {gaps[len(gaps) * 99 // 100]:.2f} ms, max {gaps[-1]:.2f} "
              f"({len(late)} beats)")
        print("  CPU " + ", ".join(f"{name} {value:.2f} %" for name, value in sorted(cpu.items()))
              + f"; RSS {self.daemon_.rss_bytes() / 2**20:.1f} MiB; written "
              f"{(written_by(pid) - self.written) * 3600 / seconds / 2**20:.1f} MiB/h")


def keep_asking(daemon):
    while True:
        try:
            daemon.get("/v1/history?from=-1h&step=0")
        except OSError:
            return


def main():
    engines, urls = start_engines()
    options = ["--gpu", "none", "--no-discover", *urls]
    try:
        with (tempfile.TemporaryDirectory(dir=FOLDER) as home,
              Daemon(*options, "--history", f"{home}/history.db") as on,
              Daemon(*options, "--history", "off") as off):
            both = [Watched(on), Watched(off)]
            for one in both:
                one.start()
            time.sleep(10)
            if QUERIES:
                for daemon in (on, off):
                    threading.Thread(target=keep_asking, args=[daemon], daemon=True).start()
            for one in both:
                one.begin()
            time.sleep(SECONDS)
            for one, name in zip(both, ("--history FILE", "--history off")):
                print(name)
                one.end()
            sizes = {path.name: path.stat().st_size for path in pathlib.Path(home).iterdir()}
            print(f"files after {SECONDS + 10} s: {sizes}")
    finally:
        for engine in engines:
            engine.terminate()
            engine.wait()


main()
