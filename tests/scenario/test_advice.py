# SPDX-License-Identifier: Apache-2.0
"""Advice from end to end: a day of history on disk, a server whose geometry is known, and
what the daemon says and `vramscope advise` prints is right within one block."""
import contextlib
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

from harness import Daemon, FakeDriver, Spawned, alone, eventually, free_port, run, serve

PROGRAM = os.environ.get("VRAMSCOPE", "build/release/src/vramscope")
WRITE_HISTORY = os.environ["WRITE_HISTORY"]
GIB = 1 << 30

BLOCKS, BLOCK = 10000, 2 << 20
POOL = BLOCKS * BLOCK
USUAL, PEAK = 900, 3000
REST = 8 * GIB
NEED = 3300 + 1  # 10 % more, and the block that vLLM keeps back
HOURS = 24


def vramscope(*arguments, status=0):
    result = subprocess.run([PROGRAM, *map(str, arguments)], text=True, timeout=20,
                            capture_output=True)
    assert result.returncode == status, result
    return result.stdout + result.stderr


def write_history(path, name, port):
    started = time.monotonic()
    subprocess.run([WRITE_HISTORY, path, name, str(port), str(POOL), str(HOURS),
                    str(int((time.time() - 60) * 1000)), str(USUAL * BLOCK),
                    str(PEAK * BLOCK)], check=True, timeout=60)
    print(f"     {HOURS} hours at 2 Hz written in {time.monotonic() - started:.1f} s")


def ask(daemon):
    status, headers, body = daemon.get("/v1/advice")
    assert (status, headers["Content-Type"], headers["Cache-Control"]) == (
        200, "application/json", "no-store"), (status, headers, body)
    return json.loads(body)


def test_a_day_of_history():
    name, port = "scene/one", free_port()
    with tempfile.TemporaryDirectory() as folder, FakeDriver() as driver:
        path = pathlib.Path(folder) / "history.db"
        write_history(path, name, port)
        with (serve(name, port, driver, "--load", "idle", "--kv-blocks", BLOCKS,
                    "--kv-pool-bytes", POOL, "--vram", POOL + REST),
              Daemon("--gpu", "sim", "--sim-dir", driver.path, "--history", path) as daemon):
            assert set(ask(daemon)) == {"unix_ms", "least_ms", "observed", "advice"}
            document = eventually("it has been observed",
                                  lambda: (d := ask(daemon))["observed"] and d, 100, 1)
            assert len(document["advice"]) == 1, document
            check_observed(document["observed"][0], name, port)
            check(document["advice"][0], port)
            text = vramscope("--url", daemon.url(""), "advise")
            for line in (document["advice"][0]["title"], document["advice"][0]["command"]):
                assert f"\n{line}\n" in "\n" + text, text


def check_observed(seen, name, port):
    assert (seen["model"], seen["port"], seen["kv_pool_bytes"]) == (name, port, POOL), seen
    assert seen["kv_used_max_bytes"] == PEAK * BLOCK, seen
    assert seen["kv_used_p999_bytes"] == USUAL * BLOCK, seen
    assert HOURS * 3600e3 - 20e3 <= seen["observed_ms"] <= HOURS * 3600e3 + 120e3, seen


def check(advice, port):
    assert advice["id"] == f"shrink:scene-one:{port}" and advice["confidence"] == "medium"
    size = advice["kv_cache_memory_bytes"]
    assert NEED <= size // BLOCK <= NEED + 1, (size / BLOCK, NEED, advice)
    assert POOL - size - BLOCK <= advice["freed_bytes_per_gpu"] <= POOL - size, advice
    share = (REST + size) / (80 * GIB)
    assert share <= advice["gpu_memory_utilization"] < share + 0.002, advice
    assert advice["command"] == (f"--kv-cache-memory-bytes={size} --gpu-memory-utilization="
                                 f"{advice['gpu_memory_utilization']:.3f}"), advice


def test_nothing_to_advise_on():
    with Daemon("--gpu", "none", "--no-discover") as daemon:
        assert ask(daemon)["observed"] == [] and ask(daemon)["advice"] == []
        assert daemon.get("/v1/advice", "HEAD")[2] == b""
        assert daemon.get("/v1/advice", "POST")[0] == 405
        assert vramscope("--url", daemon.url(""), "advise") == (
            "nothing to advise yet: no model has been observed\n")
    with Daemon("--gpu", "nvml", "--nvml-library", "/nonexistent.so") as daemon:
        status, headers, body = daemon.get("/v1/advice")
        assert status == 503 and headers["Retry-After"] == "1", (status, headers)
        assert json.loads(body)["error"]["code"] == "no-library", body


@contextlib.contextmanager
def replay(path):
    with Spawned([PROGRAM, "replay", path, "--listen", "127.0.0.1:0", "--loop"],
                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        yield re.search(r"listening on (\S+)", process.stderr.readline())[1]


def test_a_recording_has_none():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "recording")
        with Daemon("--gpu", "none", "--no-discover") as daemon:
            vramscope("--url", daemon.url(""), "record", "--count", 2, path)
        with replay(path) as url:
            text = eventually("it plays", lambda: (
                t := vramscope("--url", url, "advise", status=1)) and "404" in t and t)
            assert "does not offer advice: nothing is observed here" in text, text


alone()
run(test_a_day_of_history, at_once=(test_nothing_to_advise_on, test_a_recording_has_none))
