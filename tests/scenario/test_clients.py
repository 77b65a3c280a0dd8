# SPDX-License-Identifier: Apache-2.0
"""Clients as people have them: Go's read loop, npm's eventsource, a browser."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from browser import Browser, program
from harness import Daemon, Engine, Skip, page_answer, run, vllm_page

HERE = pathlib.Path(__file__).parent
OPTIONS = ("--gpu", "none", "--no-discover")
MODEL = "Qwen/Qwen3-0.6B"
EVENTS = 4


def check(events, port):
    assert len(events) >= EVENTS, events
    for event in events:
        assert list(event) == ["total_vram_bytes", "allocated_vram_bytes",
                               "used_kv_cache_bytes", "prefix_cache_hit_rate", "models"], event
        assert event["models"] == [{"model_id": "Qwen-Qwen3-0-6B", "port": port,
                                    "allocated_vram_bytes": 0, "used_kv_cache_bytes": 0}], event
        assert event["prefix_cache_hit_rate"] == 73.45, event


def served():
    """A daemon whose engine gives 73.45 % of hits."""
    engine = Engine(page_answer(vllm_page(model=MODEL, usage=0.0, queries=10000, hits=7345)))
    return engine, Daemon(*OPTIONS, "--engine", engine.url)


def test_go_read_loop():
    go = program("go")
    engine, daemon = served()
    with engine, daemon, tempfile.TemporaryDirectory() as folder:
        binary = os.path.join(folder, "stream")
        env = {**os.environ, "GOCACHE": os.path.join(folder, "cache"), "GOFLAGS": "-mod=mod",
               "GO111MODULE": "off"}
        subprocess.run([go, "build", "-o", binary, HERE / "go/stream.go"], check=True, env=env)
        result = subprocess.run([binary, daemon.url(), str(EVENTS)], capture_output=True,
                                text=True, timeout=20)
        assert result.returncode == 0, result
        check([json.loads(line) for line in result.stdout.splitlines()], engine.port)


def test_node_eventsource():
    node = program("node", "nodejs")
    modules = pathlib.Path(os.environ.get("NODE_MODULES", HERE / "node/node_modules"))
    if not (modules / "eventsource").exists():
        raise Skip(f"no eventsource in {modules} (tools/install-node-modules)")
    engine, daemon = served()
    with engine, daemon, tempfile.TemporaryDirectory() as folder:
        os.symlink(modules, os.path.join(folder, "node_modules"))
        shutil.copy(HERE / "node/stream.mjs", folder)
        result = subprocess.run([node, os.path.join(folder, "stream.mjs"), daemon.url(),
                                 str(EVENTS)], capture_output=True, text=True, timeout=20)
        assert result.returncode == 0, result
        check([json.loads(line) for line in result.stdout.splitlines()], engine.port)


SCRIPT = """
const done = arguments[0], events = [];
const source = new EventSource("/vram/stream");
source.onmessage = (event) => {
  events.push(event.data);
  if (events.length === %d) { source.close(); done(events); }
};
source.onerror = () => done("error, readyState " + source.readyState);
""" % EVENTS

def test_browser_eventsource():
    with Browser() as browser:
        engine, daemon = served()
        with engine, daemon:
            browser.open(daemon.url("/version"))
            events = browser.run(SCRIPT)
            assert isinstance(events, list), events
            check([json.loads(data) for data in events], engine.port)


run(test_go_read_loop, test_node_eventsource, test_browser_eventsource)
