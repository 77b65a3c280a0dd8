#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a daemon with 8 GPUs and 16 engines costs: the budgets of one warm tick.

A real vramscoped on the fake NVML library with 8 devices, 16 vramscope-sim servers, one
subscriber. Prints CPU of daemon and worker as a share of a core, memory of each process,
allocations and forks per tick, and (with valgrind) user instructions per tick. What counts
from inside (a preloaded library, valgrind) writes files, which a confined daemon may not.
As root it runs in namespaces of its own, so that servers of others are not found.
Usage: bench/daemon.py [BUILD_DIR] [SECONDS]
"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/release").resolve()
SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 20
os.environ.update(VRAMSCOPED=str(BUILD / "src/vramscoped"),
                  VRAMSCOPE_SIM=str(BUILD / "src/vramscope-sim"))
sys.path.insert(0, str(ROOT / "tests/scenario"))
from harness import SIM, Daemon, Stream, alone  # noqa: E402

GPUS, ENGINES, GIB = 8, 16, 1 << 30
HERTZ = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / HERTZ, int(fields[11]) / HERTZ


def memory(pid):
    """RSS, and of it what nobody shares, in MiB."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = {name: int(size) for name, size in re.findall(r"(\w+): +(\d+) kB", text)}
    return kib["Rss"] / 1024, (kib["Private_Clean"] + kib["Private_Dirty"]) / 1024


def tree_of(pid):
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(c) for c in children] + [g for c in children for g in tree_of(int(c))]


def start_engines():
    engines, urls = [], []
    for i in range(ENGINES):
        engine = subprocess.Popen([SIM, "--port", "0", "--model", f"org/model-{i}", "--load",
                                   "steady", "--seed", str(i), "--kv-pool-bytes", str(GIB)],
                                  stdout=subprocess.PIPE, text=True)
        urls += ["--engine", engine.stdout.readline().split()[-1]]
        engines.append(engine)
    return engines, urls


def script_of(engines):
    text = ""
    for gpu in range(GPUS):
        text += f"device GPU-{gpu} Fake H100\nmemory {80 * GIB} {GIB} {70 * GIB}\n"
        for engine in engines[gpu * 2:gpu * 2 + 2]:
            for holder in tree_of(engine.pid):
                text += f"process compute {holder} {30 * GIB}\n"
    return text


def instructions(seconds, arguments, env):
    """User instructions of a run of so many seconds, start and end included. Without a GPU:
    valgrind cannot start /proc/self/exe, which the keeper of GPU workers is."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "callgrind")
        process = subprocess.Popen(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
             str(BUILD / "src/vramscoped"), "--listen", "127.0.0.1:0", "--no-confine",
             *arguments],
            stderr=subprocess.PIPE, text=True, env={**os.environ, **env})
        for line in process.stderr:
            if "listening" in line:
                break
        time.sleep(seconds)
        process.send_signal(signal.SIGTERM)
        text = process.communicate()[1]
        return int(re.search(r"Collected : (\d+)", text)[1])


def main():
    engines, urls = start_engines()
    folder = tempfile.TemporaryDirectory()
    script, counts = (os.path.join(folder.name, n) for n in ("nvml", "allocs"))
    pathlib.Path(script).write_text(script_of(engines))
    arguments = ["--gpu", "nvml", "--nvml-library",
                 str(BUILD / "tests/fake_nvml/libfake-nvml-now.so"), *urls]
    env = {"VRAMSCOPE_FAKE_NVML": script}
    try:
        preload = {**env, "LD_PRELOAD": str(BUILD / "bench/libcount-allocs.so"),
                   "COUNT_ALLOCS": counts}
        with (Daemon(*arguments, "--no-confine", env=preload) as daemon,
              Stream(daemon) as stream):
            for _ in range(20):  # warm: filters tried, memory grown
                event = stream.event()
            assert len(event["models"]) == ENGINES, event
            assert event["total_vram_bytes"] == GPUS * 80 * GIB, event
            marks = []
            for ticks in (0, 2 * SECONDS):
                for _ in range(ticks):
                    stream.event()
                daemon.process.send_signal(signal.SIGUSR2)
                time.sleep(0.1)
                marks.append(int(pathlib.Path(counts).read_text().split()[-1]))
            allocations = marks[1] - marks[0]
        with Daemon(*arguments, env=env) as daemon, Stream(daemon) as stream:
            for _ in range(20):
                stream.event()
            keeper, worker = daemon.keeper(), daemon.workers()[0]
            before = [cpu_seconds(p) for p in (daemon.process.pid, worker)]
            for _ in range(2 * SECONDS):
                stream.event()
            after = [cpu_seconds(p) for p in (daemon.process.pid, worker)]
            assert (daemon.children(), daemon.workers()) == ([keeper], [worker]), \
                "a process was started"
            memories = [(what, *memory(pid)) for what, pid in (
                ("daemon", daemon.process.pid), ("keeper", keeper), ("worker", worker))]
            whole, user = (sum(a[i] - b[i] for a, b in zip(after, before)) for i in (0, 1))
        print(f"{GPUS} GPUs, {ENGINES} engines, 2 Hz, 1 subscriber, {2 * SECONDS} ticks:")
        print(f"  allocations per tick      {allocations / (2 * SECONDS):.3f}")
        print("  forks per tick            0")
        print(f"  CPU, daemon and worker    {100 * whole / SECONDS:.2f} % of a core "
              f"(user {100 * user / SECONDS:.2f} %)")
        for what, rss, private in memories:
            print(f"  RSS of the {what}         {rss:.1f} MiB, {private:.1f} of it its own")
        if subprocess.run(["which", "valgrind"], capture_output=True).returncode == 0:
            short, long = (instructions(s, ["--gpu", "none", *urls], env) for s in (10, 20))
            print(f"  user instructions/tick    {(long - short) / 20 / 1e6:.3f} million")
    finally:
        for engine in engines:
            engine.terminate()
            engine.wait()


alone()
main()
