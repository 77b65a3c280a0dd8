#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What being watched costs a server: CPU of a scrape, whole and filtered by name.

Pairs of servers watched by one daemon in the same seconds: one answers name[] with the
samples named, its twin with an empty page, so that the daemon asks it for the whole page.
A third of each kind that nobody watches shows what the server does anyway; that is taken
off. One kind is prometheus_client with the families of PAGE, a captured vLLM page: what
vLLM itself runs (Debian: python3-prometheus-client). The other is vramscope-sim under
load, which writes its whole page before it filters, so its ratio says nothing of vLLM's.
Budget: watching takes at most 1 % of a core of the server.
Usage: bench/scrape_cost.py [BUILD_DIR] [SECONDS] [PAGE]
"""
import http.client
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/release").resolve()
SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 20
PAGE = sys.argv[3] if len(sys.argv) > 3 else ""
os.environ.update(VRAMSCOPED=str(BUILD / "src/vramscoped"),
                  VRAMSCOPE_SIM=str(BUILD / "src/vramscope-sim"))
sys.path.insert(0, str(ROOT / "tests/scenario"))
from harness import SIM, Daemon  # noqa: E402

WARM_S = 6  # until the filter was tried and the pace found
WATCHED = ("filtered", "whole")


def cpu_s(pid):
    """CPU of all threads a process ever had, to the nanosecond (/proc counts in 10 ms)."""
    return time.clock_gettime((~pid << 3) | 2)  # as clock_getcpuclockid() makes it


def sim_command(role):
    return [SIM, "--port", "0", "--model", f"org/{role}", "--load", "steady",
            "--die-with-parent"] + (["--no-filter"] if role == "whole" else [])


def python_with_client():
    """This Python, or Debian's beside it; None: neither has prometheus_client."""
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-c", "import prometheus_client"],
                          capture_output=True).returncode == 0:
            return python
    return None


def client_command(role):
    return [python_with_client(), ROOT / "bench/prometheus_server.py", PAGE,
            "whole" if role == "whole" else "filtered"]


class Server:
    """One server. `at` names it: its kind, and how it is watched."""

    def __init__(self, kind, role, command):
        self.at = (kind, role)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().split()[-1]

    def scrapes(self, daemon, started):
        """Pages asked for: as the server counts them, or by the pace the daemon keeps."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=5)
        connection.request("GET", "/count")
        response = connection.getresponse()
        body = response.read()
        if response.status == 200:
            return int(body)
        models = json.loads(daemon.get("/v1/detail")[2])["models"]
        pace_ms = {f"http://127.0.0.1:{m['port']}": m["scrape_interval_ms"] for m in models}
        return 1000 * (time.monotonic() - started) / pace_ms[self.url]


def measure(servers):
    """Seconds, and by server: CPU seconds spent, and scrapes."""
    watched = [s for s in servers if s.at[1] in WATCHED]
    arguments = [word for s in watched for word in ("--engine", s.url)]
    with Daemon("--gpu", "none", "--no-discover", *arguments) as daemon:
        time.sleep(WARM_S)
        started = time.monotonic()
        first = {s.at: s.scrapes(daemon, started) for s in watched}
        before = {s.at: cpu_s(s.process.pid) for s in servers}
        time.sleep(SECONDS)
        spent = {s.at: cpu_s(s.process.pid) - before[s.at] for s in servers}
        seconds = time.monotonic() - started
        scrapes = {s.at: s.scrapes(daemon, started) - first[s.at] for s in watched}
    return seconds, spent, scrapes


def report(kind, seconds, spent, scrapes):
    alone = spent[kind, "unwatched"]
    cost = {role: spent[kind, role] - alone for role in WATCHED}
    each = {role: cost[role] / scrapes[kind, role] for role in WATCHED}
    print(f"{kind}: {seconds:.0f} s, unwatched {100 * alone / seconds:.2f} % of a core")
    for role in WATCHED:
        print(f"  {role:9} {1000 * each[role]:6.3f} ms a scrape, every "
              f"{1000 * seconds / scrapes[kind, role]:.0f} ms: "
              f"{100 * cost[role] / seconds:.2f} % of a core (budget 1 %)")
    print(f"  a filtered scrape costs {each['filtered'] / each['whole']:.3f} of a whole one; "
          f"whole pages at 2 Hz would cost {200 * each['whole']:.2f} %")


def main():
    kinds = {"vramscope-sim": sim_command}
    if PAGE and python_with_client():
        kinds["prometheus_client"] = client_command
    else:
        print("prometheus_client is not measured: "
              + ("it is not installed" if PAGE else "no captured page was given"))
    servers = []
    try:
        for kind, command in kinds.items():
            for role in WATCHED + ("unwatched",):
                servers.append(Server(kind, role, command(role)))
        seconds, spent, scrapes = measure(servers)
    finally:
        for server in servers:
            server.process.terminate()
            server.process.wait()
    for kind in kinds:
        report(kind, seconds, spent, scrapes)


main()
