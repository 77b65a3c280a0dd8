# SPDX-License-Identifier: Apache-2.0
"""GPU drivers end to end: a fake libnvidia-ml.so.1 that follows a script; files of amdgpu."""
import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

from harness import Daemon, Engine, Stream, alone, eventually, page_answer, run, vllm_page

LIBRARY = os.environ.get("FAKE_NVML", "")
GIB = 1 << 30
TOTAL, RESERVED = 80 * GIB, 600 << 20


class Driver:
    """The script that the fake library follows; say() replaces it at once."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "nvml")
        self.env = {"VRAMSCOPE_FAKE_NVML": self.path}

    def say(self, text):
        with open(self.path + ".new", "w") as file:
            file.write(text)
        os.rename(self.path + ".new", self.path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


def device(number, used, *lines):
    return (f"device GPU-{number} Fake H100\nmemory {TOTAL} {RESERVED} {used}\n"
            + "".join(line + "\n" for line in lines))


def daemon_on(driver, *arguments):
    return Daemon("--gpu", "nvml", "--nvml-library", LIBRARY, "--no-discover", *arguments,
                  env=driver.env)


SERVER = """
import http.server, os, sys, time
child = os.fork()
if child == 0:
    time.sleep(600)
page = os.environ["PAGE"].encode()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, child, flush=True)
server.serve_forever()
"""


@contextlib.contextmanager
def serving_process(page, *arguments):
    """A process that listens and serves a page, with a child that holds GPU memory. Its
    command line is `python3 .../vllm ARGUMENTS`, like that of a server in a venv."""
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "vllm")
        with open(script, "w") as file:
            file.write(SERVER)
        process = subprocess.Popen([sys.executable, script, *arguments], text=True,
                                   stdout=subprocess.PIPE, env={**os.environ, "PAGE": page})
        port, child = map(int, process.stdout.readline().split())
        try:
            yield process.pid, child, port
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, 9)
            process.kill()
            process.wait()


def test_figures_of_two_devices():
    with Driver() as driver:
        driver.say(device(0, 10 * GIB) + device(1, 20 * GIB))
        with daemon_on(driver) as daemon:
            vram = daemon.vram()
            assert vram["total_vram_bytes"] == 2 * TOTAL, vram
            assert vram["allocated_vram_bytes"] == 30 * GIB, vram  # the reserve left out
            driver.say(device(0, 11 * GIB) + device(1, 20 * GIB))
            eventually("the new figure",
                       lambda: daemon.vram()["allocated_vram_bytes"] == 31 * GIB)


def test_memory_of_the_tree_on_all_devices():
    with serving_process(vllm_page(model="tp2")) as (root, worker, port), Driver() as driver:
        mine = f"process compute {worker} {8 * GIB}"
        driver.say(device(0, 12 * GIB, mine, f"process compute {os.getpid()} {3 * GIB}")
                   + device(1, 9 * GIB, mine, f"process mps {worker} {8 * GIB}"))
        with daemon_on(driver, "--engine", f"http://127.0.0.1:{port}") as daemon:
            vram = daemon.vram()
            assert vram["allocated_vram_bytes"] == 21 * GIB
            assert vram["models"] == [{"model_id": "tp2", "port": port,
                                       "allocated_vram_bytes": 16 * GIB,
                                       "used_kv_cache_bytes": 0}], vram
            driver.say(device(0, 12 * GIB, f"process compute {root} {1 * GIB}", mine)
                       + device(1, 9 * GIB))
            eventually("the root's own context counts", lambda: daemon.vram()["models"][0]
                       ["allocated_vram_bytes"] == 9 * GIB)


OPT_125M = {"model_type": "opt", "hidden_size": 768, "num_attention_heads": 12,
            "num_hidden_layers": 12, "max_position_embeddings": 2048,
            "torch_dtype": "float16"}


def test_kv_bytes_from_the_model_s_own_config():
    """Nothing configured: config.json, command line and page give the bytes exactly."""
    page = vllm_page(model="opt-125m", usage=2809 / 25027, blocks=25028)
    with tempfile.TemporaryDirectory() as model, Driver() as driver:
        with open(os.path.join(model, "config.json"), "w") as file:
            json.dump(OPT_125M, file)
        with serving_process(page, "serve", model, "--tensor-parallel-size", "2") as \
                (root, worker, port):
            mine = f"process compute {worker} {8 * GIB}"
            both = device(0, 8 * GIB, mine) + device(1, 8 * GIB, mine)
            driver.say(both)
            with daemon_on(driver, "--engine", f"http://127.0.0.1:{port}") as daemon:
                eventually("the bytes", lambda: daemon.vram()["used_kv_cache_bytes"]
                           == 2809 * 294912 * 2)
                document = json.loads(daemon.get("/v1/detail")[2])
                for gpu in document["devices"]:  # the same on each rank
                    pool, used = gpu["kv_pool_bytes"], gpu["kv_used_bytes"]
                    assert (pool["value"], used["value"]) == (7381057536, 828407808), gpu
                    assert pool["from"] == used["from"] == "derived", gpu
                kv = document["models"][0]["kv_cache"]
                assert kv["used_bytes"] == {"value": 1656815616, "from": "derived",
                                            "error": 0, "reason": None}, kv
                assert kv["source"] == "config.json", kv
                # Seen on one GPU only, the command line is contradicted: not believed.
                driver.say(device(0, 8 * GIB, mine) + device(1, 8 * GIB))
                eventually("unknown", lambda: daemon.vram()["used_kv_cache_bytes"] == 0)
                document = json.loads(daemon.get("/v1/detail")[2])
                kv = document["models"][0]["kv_cache"]
                assert "another number of GPUs" in kv["used_bytes"]["reason"], kv
                kv = document["devices"][0]["kv_used_bytes"]
                assert kv["value"] is None and "another number of GPUs" in kv["reason"], kv
                # Processes that hold less than the pool contradict it too.
                less = f"process compute {worker} {2 * GIB}"
                driver.say(device(0, 8 * GIB, less) + device(1, 8 * GIB, less))
                eventually("the reason", lambda: "what its processes hold" in str(json.loads(
                    daemon.get("/v1/detail")[2])["models"][0]["kv_cache"]["used_bytes"]))


def test_a_gpu_that_hides_its_processes_is_no_half():
    """TP 2, one GPU does not list its processes: the rest is a minimum, KV is unknown."""
    with serving_process(vllm_page(model="tp2")) as (root, worker, port), Driver() as driver:
        mine = f"process compute {worker} {8 * GIB}"
        both = device(0, 9 * GIB, mine) + device(1, 9 * GIB, mine)
        driver.say(both)
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(f"engines:\n  - url: http://127.0.0.1:{port}\n"
                       "    kv_bytes_per_block: 1000000\n")
            file.flush()
            with daemon_on(driver, "--config", file.name) as daemon:
                assert daemon.vram()["used_kv_cache_bytes"] == 500 * 2 * 1000000
                driver.say(both + "error DeviceGetComputeRunningProcesses_v3 999 1\n")
                eventually("unknown", lambda: daemon.vram()["used_kv_cache_bytes"] == 0)
                eventually("and said so", lambda: "a minimum" in daemon.log())


def test_a_proxy_holds_nothing_that_is_known():
    with Driver() as driver, Engine(page_answer(vllm_page())) as engine:
        driver.say(device(0, 10 * GIB))
        with daemon_on(driver, "--engine", engine.url) as daemon:
            model = json.loads(daemon.get("/v1/detail")[2])["models"][0]
            assert model["vram"]["allocated_bytes"]["value"] is None, model
            assert "proxy" in model["vram"]["allocated_bytes"]["reason"], model


def test_a_driver_that_starts_slowly():
    with Driver() as driver:
        driver.say(device(0, 10 * GIB) + "hang Init_v2 12\n")
        with daemon_on(driver) as daemon:
            assert daemon.vram() is None
            eventually("its figures", lambda: daemon.vram(), 15)


def test_a_lost_device_leaves_the_others():
    with Driver() as driver:
        driver.say(device(0, 10 * GIB) + device(1, 20 * GIB))
        with daemon_on(driver) as daemon:
            assert daemon.vram()["allocated_vram_bytes"] == 30 * GIB
            driver.say(device(0, 10 * GIB) + device(1, 20 * GIB, "lost"))
            eventually("the rest alone",
                       lambda: daemon.vram()["allocated_vram_bytes"] == 10 * GIB)
            assert daemon.vram()["total_vram_bytes"] == TOTAL
            assert "GPU 1 (GPU-1)" in daemon.log(), daemon.log()
            driver.say(device(0, 10 * GIB) + device(1, 20 * GIB))
            eventually("both again", lambda: daemon.vram()["allocated_vram_bytes"] == 30 * GIB,
                       20)


def test_a_hung_driver():
    """The stream goes on, the worker is replaced, the figures come back."""
    with Driver() as driver, Engine(page_answer(vllm_page())) as engine:
        driver.say(device(0, 10 * GIB))
        with daemon_on(driver, "--engine", engine.url) as daemon, Stream(daemon) as stream:
            stream.event()
            workers = daemon.workers()
            driver.say(device(0, 10 * GIB) + "hang DeviceGetMemoryInfo_v2 60\n")
            start, last, kinds = time.monotonic(), time.monotonic(), []
            while daemon.workers() == workers or time.monotonic() - start < 11.5:
                piece = stream.piece()
                now = time.monotonic()
                assert now - last < 1.5, "the beat was lost"
                last = now
                kinds.append(piece[:6])
                assert piece.startswith((b"data: {", b": no data (")), piece
                assert now - start < 20, "the worker was not replaced"
            assert kinds[0] == b"data: " and kinds[-1] == b": no d", kinds
            assert daemon.get("/healthz")[0] == 503
            assert len(engine.requests) > 15  # engines are asked all the same
            driver.say(device(0, 12 * GIB))
            eventually("figures again", lambda: (daemon.vram() or {}).get(
                "allocated_vram_bytes") == 12 * GIB, 30)
            assert daemon.get("/healthz")[0] == 200


def test_no_library():
    with Daemon("--gpu", "nvml", "--nvml-library", "/nonexistent.so") as daemon:
        for path in ("/vram/stream", "/vram", "/readyz", "/healthz"):
            status, headers, body = daemon.get(path)
            error = json.loads(body)["error"]
            assert status == 503 and headers["Retry-After"] == "1", (path, status, headers)
            assert error["code"] == "no-library" and "/nonexistent.so" in error["message"], error
            assert "--gpu none" in error["remedy"] and "--demo" in error["remedy"], error
        assert daemon.get("/version")[0] == 200


def test_driver_loaded_later():
    with Driver() as driver:
        driver.say("error Init_v2 9\n")
        with daemon_on(driver) as daemon:
            error = json.loads(daemon.get("/vram/stream")[2])["error"]
            assert error["code"] == "no-driver", error
            driver.say(device(0, 10 * GIB))
            eventually("the driver is found", lambda: daemon.vram(), 10)
            with Stream(daemon) as stream:
                assert stream.event()["total_vram_bytes"] == TOTAL
                driver.say("error DeviceGetCount_v2 18\n")
                start = time.monotonic()
                while not stream.piece().startswith(b": no data ("):
                    assert time.monotonic() - start < 20


def test_a_killed_worker_is_replaced():
    with Driver() as driver:
        driver.say(device(0, 10 * GIB))
        with daemon_on(driver) as daemon:
            worker = daemon.workers()[0]
            os.kill(worker, 9)
            eventually("another worker",
                       lambda: daemon.workers() and daemon.workers()[0] != worker)
            driver.say(device(0, 11 * GIB))
            eventually("its figures", lambda: daemon.vram()["allocated_vram_bytes"] == 11 * GIB)


def test_the_daemon_never_loads_the_library():
    with Driver() as driver:
        driver.say(device(0, 10 * GIB))
        with daemon_on(driver) as daemon:
            maps = pathlib.Path(f"/proc/{daemon.process.pid}/maps").read_text()
            assert "nvml" not in maps
            worker = daemon.workers()[0]
            assert LIBRARY in pathlib.Path(f"/proc/{worker}/maps").read_text()
            links = [os.readlink(p) for p in pathlib.Path(f"/proc/{worker}/fd").iterdir()]
            assert sum(link.startswith("socket:") for link in links) == 1, links


def amd_card(folder, n, address, total, used):
    """class/drm/card<n>, as amdgpu makes it."""
    device = folder / "devices/pci0000:00" / address
    (device / f"drm/card{n}").mkdir(parents=True)
    (folder / "class/drm").mkdir(parents=True, exist_ok=True)
    for name, text in (("vendor", "0x1002"), ("device", "0x74a1"),
                       ("uevent", f"DRIVER=amdgpu\nPCI_SLOT_NAME={address}"),
                       ("mem_info_vram_total", total), ("mem_info_vram_used", used)):
        (device / name).write_text(f"{text}\n")
    (device / f"drm/card{n}/device").symlink_to(f"../../../{address}")
    (folder / f"class/drm/card{n}").symlink_to(
        f"../../devices/pci0000:00/{address}/drm/card{n}")
    return device


def test_amd_cards():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        first = amd_card(folder, 0, "0000:03:00.0", 192 * GIB, 20 * GIB)
        amd_card(folder, 1, "0000:83:00.0", 192 * GIB, 1 * GIB)
        with Daemon("--gpu", "amdgpu", "--sys", name, "--no-discover") as daemon:
            with Stream(daemon) as stream:
                event = stream.event()
                assert event["total_vram_bytes"] == 384 * GIB, event
                assert event["allocated_vram_bytes"] == 21 * GIB, event
                (first / "mem_info_vram_used").write_text(f"{30 * GIB}\n")
                eventually("the new figure",
                           lambda: stream.event()["allocated_vram_bytes"] == 31 * GIB)


alone()
run(test_figures_of_two_devices, test_memory_of_the_tree_on_all_devices,
    test_kv_bytes_from_the_model_s_own_config,
    test_a_gpu_that_hides_its_processes_is_no_half,
    test_a_proxy_holds_nothing_that_is_known, test_a_driver_that_starts_slowly,
    test_a_lost_device_leaves_the_others, test_a_hung_driver, test_no_library,
    test_driver_loaded_later, test_amd_cards, test_a_killed_worker_is_replaced,
    test_the_daemon_never_loads_the_library)
