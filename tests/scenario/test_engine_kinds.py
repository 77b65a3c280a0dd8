# SPDX-License-Identifier: Apache-2.0
"""Engines beside vLLM: named and found, of several kinds on two vendors' GPUs at once."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from harness import (SIM, Daemon, Engine, FakeDriver, Spawned, Stream, alone, children_of,
                     config, eventually, free_port, page_answer, run)

LIBRARY = os.environ.get("FAKE_NVML", "")
GIB = 1 << 30
TOTAL, RESERVED = 80 * GIB, 600 << 20


def sim(words, *arguments, kind=None, env=None, **options):
    """A simulated server with that command line."""
    kind = ("--engine-kind", kind) if kind else ()
    return Spawned([*words, *kind, "--load", "steady", *arguments], executable=SIM,
                   stdout=subprocess.DEVNULL, env={**os.environ, **(env or {})}, **options)


def detail(daemon):
    return json.loads(daemon.get("/v1/detail")[2])


def models(daemon):
    """Ours by name; other servers may run on this machine."""
    return {m["model"]: m for m in detail(daemon)["models"] if "kinds-" in m["model"]}


def metrics_taken(port):
    """How often the simulated server's destructive page was read."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/sim/metrics_taken", timeout=2) as answer:
        return int(answer.read())


def listens(port):
    def connects():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=2):
            return True
    return lambda: attempt(connects)


def attempt(what):
    try:
        return what()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def ready(daemon, *names):
    """The rows of these models, once all are ready."""
    def all_ready():
        rows = models(daemon)
        return rows if all(n in rows and rows[n]["state"] == "ready" for n in names) else None
    return eventually(f"{names} are ready", all_ready, 15)


def test_named_servers_say_who_they_are():
    """By themselves, by the URL of their metrics, or by the operator's word."""
    kinds = {name: free_port() for name in ("sglang", "trtllm", "llamacpp", "triton", "ollama",
                                          "lmdeploy")}
    lines = "".join(f"  - {{url: 'http://127.0.0.1:{port}', gpus: 1}}\n"
                    for port in kinds.values())
    kinds["nim"], kinds["tgi"] = free_port(), free_port()
    lines += f"  - {{url: 'http://127.0.0.1:{kinds['tgi']}', kind: tgi, gpus: 1}}\n"
    lines += f"  - {{url: 'http://127.0.0.1:{kinds['nim']}/v1/metrics', gpus: 1}}\n"
    servers = [sim(["inference", "--model", f"kinds-{name}"], "--port", port, "--kv-pool-bytes",
                   10 * GIB, kind=name) for name, port in kinds.items()]
    try:
        for port in kinds.values():
            eventually("it listens", listens(port))
        with config("engines:\n" + lines) as file, \
                Daemon("--gpu", "none", "--no-discover", "--config", file) as daemon:
            rows = ready(daemon, *(f"kinds-{name}" for name in kinds))
            time.sleep(2)
            rows = models(daemon)
            for name in kinds:
                assert rows[f"kinds-{name}"]["engine"] == name, rows[f"kinds-{name}"]
            for name in ("sglang", "trtllm", "llamacpp", "triton", "nim", "lmdeploy"):
                kv = rows[f"kinds-{name}"]["kv_cache"]
                assert 0 < kv["usage_ratio"] < 1, (name, kv)
            for name in ("ollama", "tgi"):
                kv = rows[f"kinds-{name}"]["kv_cache"]
                assert kv["usage_ratio"] is None and kv["reason"], (name, kv)
            for name in ("sglang", "trtllm", "llamacpp"):
                assert rows[f"kinds-{name}"]["prefix_cache"]["lifetime"]["queries"] > 0, name
            assert rows["kinds-trtllm"]["kv_cache"]["blocks"] == 4095
            assert rows["kinds-trtllm"]["kv_cache"]["used_bytes"]["from"] == "unknown"
            sglang = rows["kinds-sglang"]["kv_cache"]
            assert sglang["capacity_bytes"]["from"] == "estimated", sglang
            assert sglang["capacity_bytes"]["value"] == 10 * GIB, sglang
            assert sglang["capacity_bytes"]["error"] == 5368710, sglang
            assert sglang["source"] == "server_memory", sglang
            assert metrics_taken(kinds["trtllm"]) == 0
            urllib.request.urlopen(f"http://127.0.0.1:{kinds['trtllm']}/metrics").read()
            assert metrics_taken(kinds["trtllm"]) == 1  # it would have been seen
    finally:
        for server in servers:
            server.end()


def test_nobody_is_asked_for_metrics_before_it_has_said_who_it_is():
    state = {"answer": page_answer("later", "503 Service Unavailable")}
    models_of_trtllm = ('{"object":"list","data":[{"id":"y","owned_by":"vllm"},'
                        '{"id":"x","owned_by":"tensorrt_llm"}]}')
    with Engine(lambda peer: state["answer"](peer)) as engine, \
            Daemon("--gpu", "none", "--no-discover", "--engine", engine.url,
                   "--interval", "100") as daemon:
        def asked():
            return {request.split()[1] for request in engine.requests}
        eventually("it is asked", lambda: len(engine.requests) > 3)
        assert asked() == {"/v1/models"}, asked()
        state["answer"] = lambda peer: time.sleep(60)  # silence is no answer
        time.sleep(2.5)
        assert asked() == {"/v1/models"}, asked()
        for peer in engine.open:
            peer.close()
        state["answer"] = page_answer("slow down", "429 Too Many Requests")
        time.sleep(0.5)
        assert asked() == {"/v1/models"}, asked()
        state["answer"] = page_answer(models_of_trtllm)
        eventually("its own page is asked for", lambda: "/prometheus/metrics" in asked(), 5)
        time.sleep(0.5)
        assert "/metrics" not in asked() and "/metrics/" not in asked(), asked()
        assert daemon.process.poll() is None


def test_metrics_behind_a_redirect():
    """Older releases of SGLang send /metrics to /metrics/: no redirect is followed."""
    page = ('sglang:num_used_tokens{model_name="kinds-slash"} 10.0\n'
            'sglang:max_total_num_tokens{model_name="kinds-slash"} 100.0\n')
    owner = '{"object":"list","data":[{"id":"x","owned_by":"sglang"}]}'
    redirect = (b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\n"
                b"Content-Length: 0\r\n\r\n")

    def answer(peer):
        path = engine.requests[-1].split()[1]
        if path == "/metrics":
            peer.sendall(redirect)
        elif path == "/get_server_info":
            page_answer('{"internal_states":[{"memory_usage":{"kvcache":4.0}}]}')(peer)
        else:
            pages = {"/metrics/": page, "/v1/models": owner}
            page_answer(pages.get(path, ""), "200 OK" if path in pages else "404 Not Found")(peer)

    with Engine(answer) as engine, \
            config(f"engines:\n  - {{url: '{engine.url}', gpus: 1}}\n") as file, \
            Daemon("--gpu", "none", "--no-discover", "--config", file) as daemon:
        row = ready(daemon, "kinds-slash")["kinds-slash"]
        assert row["kv_cache"]["usage_ratio"] == 0.1, row["kv_cache"]
        row = eventually("the older path of its settings", lambda: (
            lambda kv: kv["capacity_bytes"]["value"] == 4 * GIB and kv)(
                models(daemon)["kinds-slash"]["kv_cache"]))
        assert row["used_bytes"]["value"] == 4 * GIB // 10 + (4 * GIB % 10 > 4), row
        asked = [request.split()[1] for request in engine.requests]
        assert asked.count("/metrics") == 1, asked  # the path that works is kept
        assert "/server_info" in asked, asked


def test_metrics_that_are_off_have_their_remedy():
    ports = {name: free_port() for name in ("llamacpp", "sglang", "trtllm")}
    servers = [
        sim(["llama-server", "--model", "kinds-llamacpp"], "--port", ports["llamacpp"],
            "--no-metrics", kind="llamacpp"),
        sim(["sglang", "serve", "kinds-sglang"], "--port", ports["sglang"], "--no-metrics",
            kind="sglang"),
        sim(["trtllm-serve", "serve", "kinds-trtllm"], "--port", ports["trtllm"], "--no-metrics",
            kind="trtllm"),
    ]
    remedies = {"llamacpp": "--metrics", "sglang": "--enable-metrics",
                "trtllm": "return_perf_metrics"}
    try:
        with FakeDriver() as driver, \
                Daemon("--gpu", "sim", "--sim-dir", driver.path) as daemon:
            def all_off():
                rows = models(daemon)
                return all(f"kinds-{n}" in rows and
                           rows[f"kinds-{n}"]["state"] == "metrics-disabled"
                           for n in ports) and rows
            rows = eventually("all are without metrics", all_off, 15)
            for name, remedy in remedies.items():
                row = rows[f"kinds-{name}"]
                assert remedy in row["reason"], row
                assert row["engine"] == name, row
                assert row["port"] == ports[name], row
            assert metrics_taken(ports["trtllm"]) == 0
    finally:
        for server in servers:
            server.end()


# Looks like a worker of Dynamo: its words are those of a command line, and it only waits.
WAITS = "import signal; signal.pause()"


def test_a_worker_of_dynamo_needs_a_port():
    """It is told by its environment, and without it nothing of it is asked."""
    with FakeDriver() as driver, tempfile.TemporaryDirectory() as folder:
        package = pathlib.Path(folder, "dynamo")
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "vllm.py").write_text(WAITS)
        silent = Spawned([sys.executable, "-m", "dynamo.vllm", "--model", "kinds-silent"],
                         cwd=folder)
        try:
            with Daemon("--gpu", "sim", "--sim-dir", driver.path) as daemon:
                row = eventually("its row", lambda: models(daemon).get("kinds-silent"))
                assert row["state"] == "metrics-disabled", row
                assert "DYN_SYSTEM_PORT" in row["reason"], row
                assert row["engine"] == "dynamo", row
        finally:
            silent.end()


def test_a_port_that_the_environment_tells():
    port = free_port()
    server = sim(["ollama", "serve", "--port", port, "--model", "kinds-ollama"], kind="ollama",
                 env={"OLLAMA_HOST": f"127.0.0.1:{port}"})
    try:
        with FakeDriver() as driver:
            driver.hold(child_of(server), 0, 5 * GIB)
            with Daemon("--gpu", "sim", "--sim-dir", driver.path) as daemon:
                row = ready(daemon, "kinds-ollama")["kinds-ollama"]
                assert row["port"] == port and row["engine"] == "ollama", row
                assert row["vram"]["allocated_bytes"]["value"] == 5 * GIB, row["vram"]
    finally:
        server.end()


class Vendors:
    """A fake libnvidia-ml and a tree of amdgpu's files, with one device each."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        self.script = self.root / "nvml"
        self.sys = self.root / "sys"
        device = self.sys / "devices/pci0000:00/0000:03:00.0"
        (device / "drm/card0").mkdir(parents=True)
        (device / "drm/renderD128").mkdir()
        (self.sys / "class/drm").mkdir(parents=True)
        for name, text in (("vendor", "0x1002"), ("device", "0x74a1"),
                           ("uevent", "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:03:00.0"),
                           ("mem_info_vram_total", 192 * GIB),
                           ("mem_info_vram_used", 50 * GIB)):
            (device / name).write_text(f"{text}\n")
        (device / "drm/card0/device").symlink_to("../../../0000:03:00.0")
        (self.sys / "class/drm/card0").symlink_to(
            "../../devices/pci0000:00/0000:03:00.0/drm/card0")
        self.kfd = self.sys / "devices/virtual/kfd/kfd"
        (self.sys / "class/kfd").mkdir()
        (self.sys / "class/kfd/kfd").symlink_to("../../devices/virtual/kfd/kfd")
        node = self.kfd / "topology/nodes/1"
        node.mkdir(parents=True)
        (node / "gpu_id").write_text("34567\n")
        (node / "properties").write_text("domain 0\nlocation_id 768\ndrm_render_minor 128\n")
        (self.kfd / "proc").mkdir()

    def nvidia(self, used, holders):
        text = f"device GPU-0 Fake H100\nmemory {TOTAL} {RESERVED} {used}\n"
        text += "".join(f"process compute {pid} {size}\n" for pid, size in holders.items())
        pathlib.Path(f"{self.script}.new").write_text(text)
        os.rename(f"{self.script}.new", self.script)

    def amd(self, pid, size):
        folder = self.kfd / f"proc/{pid}"
        folder.mkdir()
        (folder / "vram_34567").write_text(f"{size}\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


def child_of(process):
    """The simulated engine core below the server."""
    return eventually("its child", lambda: children_of(process.pid))[0]


def test_four_kinds_on_two_vendors_in_one_stream():
    names = {"vllm": free_port(), "sglang": free_port(), "trtllm": free_port(),
             "llamacpp": free_port()}
    servers = {
        "vllm": sim(["vllm", "serve", "kinds-vllm", "--port", names["vllm"]], "--kv-pool-bytes",
                    6 * GIB),
        "sglang": sim(["sglang", "serve", "kinds-sglang", "--port", names["sglang"]],
                      "--kv-pool-bytes", 4 * GIB, kind="sglang"),
        "trtllm": sim(["trtllm-serve", "serve", "kinds-trtllm", "--port", names["trtllm"]],
                      kind="trtllm"),
        "llamacpp": sim(["llama-server", "--port", names["llamacpp"], "--model",
                         "kinds-llamacpp"], kind="llamacpp"),
    }
    held = {"vllm": 20 * GIB, "sglang": 12 * GIB, "trtllm": 10 * GIB, "llamacpp": 40 * GIB}
    try:
        children = {name: child_of(servers[name]) for name in names}
        with Vendors() as vendors:
            vendors.nvidia(45 * GIB, {children[name]: held[name]
                                      for name in ("vllm", "sglang", "trtllm")})
            vendors.amd(children["llamacpp"], held["llamacpp"])
            with Daemon("--gpu", "auto", "--nvml-library", LIBRARY, "--sys", vendors.sys,
                        env={"VRAMSCOPE_FAKE_NVML": str(vendors.script)}) as daemon:
                rows = ready(daemon, *(f"kinds-{name}" for name in names))
                time.sleep(2)  # settings have come
                rows = models(daemon)
                with Stream(daemon) as stream:
                    event = stream.event()
                seen = {m["model_id"]: m for m in event["models"]}
                for name, port in names.items():
                    row = seen[f"kinds-{name}"]
                    assert row["port"] == port, row
                    assert row["allocated_vram_bytes"] == held[name], row
                    assert rows[f"kinds-{name}"]["engine"] == name
                assert event["total_vram_bytes"] == TOTAL + 192 * GIB, event
                assert event["allocated_vram_bytes"] == 95 * GIB, event
                for name in ("vllm", "sglang"):  # bytes are known
                    assert 0 < seen[f"kinds-{name}"]["used_kv_cache_bytes"] < 6 * GIB, seen
                for name in ("trtllm", "llamacpp"):  # and here not
                    assert seen[f"kinds-{name}"]["used_kv_cache_bytes"] == 0, seen
                    used = rows[f"kinds-{name}"]["kv_cache"]["used_bytes"]
                    assert used["from"] == "unknown" and "config file" in used["reason"], used
                parts = detail(daemon)["vram"]
                assert parts["models_bytes"] == sum(held.values()), parts
                assert parts["orphan_bytes"] == 0 and parts["other_bytes"] == 0, parts
                assert metrics_taken(names["trtllm"]) == 0
    finally:
        for server in servers.values():
            server.end()


def test_a_worker_of_sglang_without_its_server_is_an_orphan():
    """Known by its title, as the kernel keeps it: sglang::scheduler_TP0."""
    script = "import ctypes, signal; ctypes.CDLL(None).prctl(15, b'sglang::scheduler_TP0'); " \
             "print(flush=True); signal.pause()"
    worker = Spawned([sys.executable, "-c", script], stdout=subprocess.PIPE)
    worker.stdout.readline()
    try:
        with FakeDriver() as driver:
            driver.hold(worker.pid, 0, 6 * GIB)
            with Daemon("--gpu", "sim", "--sim-dir", driver.path) as daemon:
                eventually("it is an orphan",
                           lambda: detail(daemon)["vram"]["orphan_bytes"] == 6 * GIB)
    finally:
        worker.end()


alone()
run(test_named_servers_say_who_they_are,
    test_nobody_is_asked_for_metrics_before_it_has_said_who_it_is,
    test_metrics_behind_a_redirect, test_metrics_that_are_off_have_their_remedy,
    test_a_worker_of_dynamo_needs_a_port, test_a_port_that_the_environment_tells,
    test_four_kinds_on_two_vendors_in_one_stream,
    test_a_worker_of_sglang_without_its_server_is_an_orphan)
