#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the dashboard costs the browser that shows it.

A real vramscoped with 8 devices and 16 vramscope-sim servers at 2 Hz, and the page in a
headless Chromium. Prints the bytes that come over the wire, the time to the first paint and
to the first figures, the processor time that an open tab takes, and, from a recording that
is played fast, the heap of page and feed after 1,000 documents and after 10,000.
Usage: bench/dashboard.py [BUILD_DIR] [SECONDS]
"""
import contextlib
import gzip
import json
import math
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/release").resolve()
SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 60
os.environ.update(VRAMSCOPED=str(BUILD / "src/vramscoped"),
                  VRAMSCOPE_SIM=str(BUILD / "src/vramscope-sim"))
os.environ.setdefault("NODE_MODULES", str(ROOT / "build/node/node_modules"))
sys.path.insert(0, str(ROOT / "tests/scenario"))
from harness import (Daemon, FakeDriver, Skip, Stream, alone, eventually, free_port,  # noqa: E402
                     serve)
from tabs import Chromium  # noqa: E402

GPUS, ENGINES, GIB = 8, 16, 1 << 30
DOCUMENTS, EARLY, SPEED = 10_000, 1000, 50
LOADS = 5
SIZE = {"width": 1440, "height": 900}
FIRST_FIGURES = """new Promise((resolve) => {
  const look = () => document.body.dataset.state === "live" ? resolve(performance.now())
    : requestAnimationFrame(look);
  look();
})"""
FIRST_PAINT = ("performance.getEntriesByType('paint')"
               ".find(({ name }) => name === 'first-contentful-paint')?.startTime")


def weight(daemon):
    document = daemon.get("/")[2].decode()
    paths = {"/", "/feed.js", *re.findall(r'(?:src|href)="(/[\w.]+\.[a-z]+)"', document)}
    plain = packed = 0
    for path in sorted(paths):
        plain += len(daemon.get(path)[2])
        packed += len(daemon.get(path, headers={"Accept-Encoding": "gzip"})[2])
    print(f"weight: {len(paths)} files, {packed} bytes compressed, {plain} plain")


def load_times(chromium, url):
    paints, figures = [], []
    for _ in range(LOADS):
        with chromium.tab(url, viewport=SIZE) as tab:
            figures.append(tab.evaluate(FIRST_FIGURES))
            paints.append(tab.evaluate(FIRST_PAINT))
    print(f"nothing cached, median of {LOADS}: first paint {statistics.median(paints):.0f} ms, "
          f"first figures {statistics.median(figures):.0f} ms")


def metrics(tab):
    return {m["name"]: m["value"] for m in tab.protocol("Performance.getMetrics")["metrics"]}


def processor_seconds(chromium):
    """Of the processes that run pages and workers, and of those that draw."""
    seconds = {"renderer": 0.0, "GPU": 0.0, "browser": 0.0}
    for process in chromium.ask("processes"):
        if process["type"] in seconds:
            seconds[process["type"]] += process["cpuTime"]
    return seconds


def open_tab_cost(chromium, url):
    with chromium.tab(url, viewport=SIZE) as tab:
        tab.wait_until_live()
        tab.protocol("Performance.enable")
        time.sleep(5)
        task, all_before = metrics(tab)["TaskDuration"], processor_seconds(chromium)
        script = metrics(tab)["ScriptDuration"]
        time.sleep(SECONDS)
        after, all_after = metrics(tab), processor_seconds(chromium)
        share = {name: 100 * (all_after[name] - all_before[name]) / SECONDS
                 for name in all_after}
        print(f"an open tab, {ENGINES} models, {GPUS} GPUs, 2 Hz, {SECONDS} s, of one core: "
              f"page's thread {100 * (after['TaskDuration'] - task) / SECONDS:.2f} % (its "
              f"scripts {100 * (after['ScriptDuration'] - script) / SECONDS:.2f} %), renderer "
              f"with feed {share['renderer']:.2f} %, drawing {share['GPU']:.2f} %, browser "
              f"{share['browser']:.2f} %")


def write_recording(path, document):
    """As many documents as will be played, each half a second on, with figures that move."""
    boot, begin = document["boot"], document["unix_ms"]
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write('{"vramscope_recording":1,"version":"0","url":"http://h:1","unix_ms":1}\n')
        for i in range(DOCUMENTS + DOCUMENTS // 10):
            document["seq"], document["unix_ms"] = i + 1, begin + 500 * i
            document["prefix_cache"]["hit_percent"] = round(50 + 40 * math.sin(i / 50), 2)
            for model in document["models"]:
                blocks = int(2000 + 1900 * math.sin(i / 40 + model["port"]))
                model["kv_cache"]["usage_ratio"] = blocks / 4096
                model["requests"]["running"] = blocks % 97
            text = json.dumps(document, separators=(",", ":"))
            file.write(f'{{"unix_ms":{begin + 500 * i},"id":"{boot}-{i + 1}",'
                       f'"detail":{text}}}\n')


@contextlib.contextmanager
def played(path):
    port = free_port()
    with subprocess.Popen([BUILD / "src/vramscope", "replay", path, "--speed", str(SPEED),
                           "--listen", f"127.0.0.1:{port}"],
                          stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as process:
        try:
            yield port
        finally:
            process.terminate()


class Counter(threading.Thread):
    """How many documents have been sent."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.seen = port, 0
        self.stream = Stream(self, "/v1/detail/stream")
        self.start()

    def run(self):
        with contextlib.suppress(OSError, ValueError):
            while self.stream.piece():
                self.seen += 1


def heap_mib(chromium, tab):
    """After collecting garbage: the page's, and the feed's."""
    tab.protocol("HeapProfiler.collectGarbage")
    chromium.ask("workers", type="shared_worker", method="HeapProfiler.collectGarbage", values={})
    feeds = chromium.ask("workers", type="shared_worker", method="Runtime.getHeapUsage", values={})
    assert len(feeds) == 1, feeds
    feed = feeds[0]["usedSize"] + feeds[0]["backingStorageSize"]
    return metrics(tab)["JSHeapUsedSize"] / 1048576, feed / 1048576


def connected(port):
    with contextlib.suppress(OSError):
        return Counter(port)


def heap_over_time(chromium, document):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "recording.jsonl.gz")
        write_recording(path, document)
        with played(path) as port:
            counter = eventually("the replay listens", lambda: connected(port))
            with chromium.tab(f"http://127.0.0.1:{port}/", viewport=SIZE) as tab:
                tab.wait_until_live()
                tab.protocol("Performance.enable")
                for number in (EARLY, DOCUMENTS // 2, DOCUMENTS):
                    eventually("the documents", lambda: counter.seen >= number, 400, every=0.2)
                    page, feed = heap_mib(chromium, tab)
                    nodes = metrics(tab)["Nodes"]
                    print(f"after {number} documents: heap of the page {page:.2f} MiB, of the "
                          f"feed {feed:.2f} MiB, {nodes:.0f} nodes")


def main():
    with contextlib.ExitStack() as stack:
        chromium = stack.enter_context(Chromium())
        driver = stack.enter_context(FakeDriver(GPUS))
        for i in range(ENGINES):
            stack.enter_context(serve(f"org/model-{i}", free_port(), driver, "--gpu-index", i // 2,
                                      "--vram", 30 * GIB, "--kv-pool-bytes", 20 * GIB,
                                      "--load", "sine", "--seed", i + 1))
        daemon = stack.enter_context(Daemon("--gpu", "sim", "--sim-dir", driver.path))
        eventually("all engines are found", lambda: len(daemon.vram()["models"]) == ENGINES, 30)
        weight(daemon)
        load_times(chromium, daemon.url("/"))
        open_tab_cost(chromium, daemon.url("/"))
        heap_over_time(chromium, json.loads(daemon.get("/v1/detail")[2]))


alone()
try:
    main()
except Skip as reason:
    sys.exit(f"nothing is measured: {reason}")
