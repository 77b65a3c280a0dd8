# SPDX-License-Identifier: Apache-2.0
"""What bench/fleet.py and bench/fleet_faults.py start, and what they read of processes."""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/scenario"))

INTERVAL_MS = 500
PROBE_INTERVAL_MS = INTERVAL_MS - INTERVAL_MS // 37  # as nodes.c has it
GPUS, MODELS, GPU_BYTES = 8, 4, 80 << 30


def use_build(build):
    """Before the harness is imported."""
    os.environ["VRAMSCOPED"] = str(build / "src/vramscoped")


def cpu_seconds(pid):
    """Of all threads, to the nanosecond; those of a library among them."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def memory_mib(pid):
    """(now, at most)."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return tuple(int(re.search(rf"{key}:\s+(\d+)", text)[1]) / 1024
                 for key in ("VmRSS", "VmHWM"))


class Nodes:
    """nodes.c; stop() gives its report. Node 0 is called "probe", node 17 "gpu0017"."""

    def __init__(self, build, url, n, *options, seconds=3600):
        urls = [word for one in url.split(",") for word in ("--url", one)]
        self.process = subprocess.Popen(
            [str(build / "bench/fleet_nodes"), "--nodes", str(n), "--interval-ms",
             str(INTERVAL_MS), "--seconds", str(seconds), *urls, *map(str, options)],
            stdout=subprocess.PIPE, text=True)
        self.pid, self.report = self.process.pid, None

    def wait_connected(self):
        """When it was started, on the clock of time.monotonic()."""
        line = self.process.stdout.readline()
        assert line, "the nodes ended"
        return json.loads(line)["start_ns"] / 1e9

    def stop(self):
        if self.report is None:
            self.process.send_signal(signal.SIGTERM)
            self.report = json.loads(self.process.communicate()[0].splitlines()[-1])
        return self.report

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Readers:
    """bench/fanout's readers of one path; report() waits for their end."""

    def __init__(self, build, port, path, n, seconds, *options, interval=INTERVAL_MS):
        self.process = subprocess.Popen(
            [str(build / "bench/fanout_readers"), "--readers", str(n), "--ticks",
             str(seconds * 1000 // interval), "--interval", str(interval), "--probe",
             *options, str(port), path], stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid

    def report(self):
        text = self.process.communicate()[0]
        assert self.process.returncode == 0, "the readers failed"
        return json.loads(text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
