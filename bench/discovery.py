#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What finding the servers costs, on a host with 2,000 processes and 16 vLLM servers.

Two daemons on the same simulated GPUs: one finds the servers, the other is told all of them
and looks for none. Prints for both CPU, system calls and allocations of a warm tick, and RSS;
the user instructions of discovery alone, tick by tick (with valgrind: its own functions are
counted and nothing else); and how soon a server that comes or goes is seen.
Budgets: finding costs <= 1 ms of CPU a tick, nothing is allocated in a warm one; a server is
seen 2 s after it has come, and is off 1 s after it has gone.
Usage: bench/discovery.py [BUILD_DIR] [SECONDS] [PROCESSES]
"""
import collections
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/release").resolve()
SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 20
PROCESSES = int(sys.argv[3]) if len(sys.argv) > 3 else 2000
os.environ.update(VRAMSCOPED=str(BUILD / "src/vramscoped"),
                  VRAMSCOPE_SIM=str(BUILD / "src/vramscope-sim"))
sys.path.insert(0, str(ROOT / "tests/scenario"))
from harness import SIM, Daemon, Stream, alone, eventually  # noqa: E402

GPUS, ENGINES, GIB = 8, 16, 1 << 30
TICKS = 2 * SECONDS
WARM = 24  # ticks, until all processes were told twice and the folder was swept twice
COMINGS = 5
FUNCTIONS = ("discovery_run", "engines_follow")  # what a tick with discovery has besides


def cpu_s(pid):
    """CPU of all threads a process ever had, to the nanosecond (/proc counts in 10 ms)."""
    return time.clock_gettime((~pid << 3) | 2)  # as clock_getcpuclockid() makes it


@contextlib.contextmanager
def idle_processes(n):
    """So many that sleep, in a group of their own."""
    shell = subprocess.Popen(
        ["sh", "-c", f"i=0; while [ $i -lt {n} ]; do sleep 3600 & i=$((i+1)); done; "
         "echo; wait"], stdout=subprocess.PIPE, start_new_session=True)
    try:
        shell.stdout.readline()
        yield
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()


@contextlib.contextmanager
def engine(folder, i):
    """A server whose command line is vLLM's. Yields its URL."""
    process = subprocess.Popen(
        ["vllm", "serve", f"org/model-{i}", "--port", "0", "--load", "steady", "--seed", str(i),
         "--vram", str(30 * GIB), "--kv-pool-bytes", str(GIB), "--gpu-dir", folder,
         "--gpu-index", str(i // 2 % GPUS), "--die-with-parent"],
        executable=SIM, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait()


def warm(stream):
    for _ in range(WARM):
        event = stream.event()
    assert len(event["models"]) == ENGINES, event
    assert event["total_vram_bytes"] == GPUS * 80 * GIB, event


def pass_ticks(stream):
    for _ in range(TICKS):
        stream.event()


def allocations(arguments, folder):
    """Of a warm tick."""
    counts = pathlib.Path(folder, "allocations")
    counts.unlink(missing_ok=True)
    preload = {"LD_PRELOAD": str(BUILD / "bench/libcount-allocs.so"),
               "COUNT_ALLOCS": str(counts)}
    marks = []
    with (Daemon(*arguments, "--no-confine", env=preload) as daemon,
          Stream(daemon) as stream):
        warm(stream)
        for measure in (lambda _: None, pass_ticks):
            measure(stream)
            daemon.process.send_signal(signal.SIGUSR2)
            time.sleep(0.1)
            marks.append(int(counts.read_text().split()[-1]))
    return (marks[1] - marks[0]) / TICKS


def system_calls(daemon, stream, folder):
    """Of a warm tick, by name."""
    if not shutil.which("strace"):
        return collections.Counter()
    out = pathlib.Path(folder, "strace")
    strace = subprocess.Popen(["strace", "-c", "-f", "-o", out, "-p", str(daemon.process.pid)],
                              stderr=subprocess.PIPE, text=True)
    strace.stderr.readline()  # attached
    pass_ticks(stream)
    strace.send_signal(signal.SIGINT)
    strace.wait()
    rows = (line.split() for line in out.read_text().splitlines())
    return collections.Counter({row[-1]: int(row[3]) / TICKS for row in rows
                                if row and row[-1] != "total" and re.match(r"[\d.]+$", row[0])})


class Warm:
    """What a warm tick of a daemon with these arguments costs."""

    def __init__(self, arguments, folder):
        self.allocations = allocations(arguments, folder)
        with Daemon(*arguments) as daemon, Stream(daemon) as stream:
            self.start_ms = 1000 * cpu_s(daemon.process.pid)
            warm(stream)
            before = cpu_s(daemon.process.pid)
            pass_ticks(stream)
            self.cpu_ms = 1000 * (cpu_s(daemon.process.pid) - before) / TICKS
            self.rss = daemon.rss_bytes()
            self.calls = system_calls(daemon, stream, folder)


def instructions():
    """User instructions of discovery in each tick, from the first one on. Without a GPU and
    unconfined, as in daemon.py."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "tick")
        daemon = subprocess.Popen(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
             *(f"--toggle-collect={f}" for f in FUNCTIONS), f"--dump-after={FUNCTIONS[-1]}",
             str(BUILD / "src/vramscoped"), "--listen", "127.0.0.1:0", "--gpu", "none",
             "--no-confine"], stderr=subprocess.DEVNULL)
        time.sleep(10 + (WARM + TICKS) / 2)  # it is slow to start
        daemon.terminate()
        daemon.wait()
        ticks = []
        while os.path.exists(f"{out}.{len(ticks) + 1}"):
            text = pathlib.Path(f"{out}.{len(ticks) + 1}").read_text()
            ticks.append(int(re.search(r"^(?:totals|summary): (\d+)", text, re.M)[1]))
        return ticks


def comings_and_goings(arguments, folder):
    """The most seconds until one that came has a row, and until one that went has none."""
    came, went = [], []
    with Daemon(*arguments) as daemon, Stream(daemon) as stream:
        warm(stream)
        for i in range(COMINGS):
            time.sleep(0.1 * i)  # at another place between two ticks
            started = time.monotonic()
            with engine(folder, ENGINES + i):
                eventually("its row", lambda: len(stream.event()["models"]) > ENGINES)
                came.append(time.monotonic() - started)
                started = time.monotonic()
            eventually("none", lambda: len(stream.event()["models"]) == ENGINES)
            went.append(time.monotonic() - started)
    return max(came), max(went)


def report_calls(found, told):
    if not found:
        print("  system calls              not counted: strace is not installed")
        return
    print(f"  system calls           {sum(found.values()):10.1f} {sum(told.values()):10.1f} "
          f"{sum(found.values()) - sum(told.values()):10.1f}")
    for name in sorted({*found, *told}, key=lambda n: told[n] - found[n]):
        if abs(found[name] - told[name]) >= 0.5:
            print(f"    {name:20} {found[name]:10.1f} {told[name]:10.1f} "
                  f"{found[name] - told[name]:10.1f}")


def report_instructions(ticks):
    rest = ticks[WARM:]
    print("  user instructions of discovery, in millions: first tick "
          f"{ticks[0] / 1e6:.3f}, next {WARM - 1} {sum(ticks[1:WARM]) / (WARM - 1) / 1e6:.3f} "
          f"each, warm {sum(rest) / len(rest) / 1e6:.3f} (most {max(rest) / 1e6:.3f})")


def main():
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        pathlib.Path(folder, "devices").write_text(
            "".join(f"GPU-{i} {80 * GIB} {GIB} Simulated GPU\n" for i in range(GPUS)))
        stack.enter_context(idle_processes(PROCESSES))
        urls = [stack.enter_context(engine(folder, i)) for i in range(ENGINES)]
        finding = ["--gpu", "sim", "--sim-dir", folder]
        telling = [*finding, "--no-discover", *(word for u in urls for word in ("--engine", u))]
        found, told = (Warm(arguments, folder) for arguments in (finding, telling))
        print(f"{PROCESSES} processes and {ENGINES} servers, 2 Hz, 1 subscriber, {TICKS} warm "
              "ticks; of a tick:")
        print("                              found       told difference")
        print(f"  CPU of the daemon, ms  {found.cpu_ms:10.3f} {told.cpu_ms:10.3f} "
              f"{found.cpu_ms - told.cpu_ms:10.3f}")
        print(f"  allocations            {found.allocations:10.3f} {told.allocations:10.3f} "
              f"{found.allocations - told.allocations:10.3f}")
        report_calls(found.calls, told.calls)
        print(f"  start, CPU ms          {found.start_ms:10.1f} {told.start_ms:10.1f} "
              f"{found.start_ms - told.start_ms:10.1f}")
        print(f"  RSS, MiB               {found.rss / 2**20:10.1f} {told.rss / 2**20:10.1f} "
              f"{(found.rss - told.rss) / 2**20:10.1f}")
        if shutil.which("valgrind"):
            report_instructions(instructions())
        came, went = comings_and_goings(finding, folder)
        print(f"  of {COMINGS} servers each was seen within {came:.2f} s (budget 2), and off "
              f"within {went:.2f} s of its end (budget 1)")


alone()  # servers that run on this machine would be found, too
main()
