# SPDX-License-Identifier: Apache-2.0
"""KV bytes from config.json, with several data-parallel engines: all of it as on a host.

Processes with the command line of `vllm serve`, a model in a cache of the Hugging Face
hub or in a folder, pages of one or two engines, and a driver that sees the processes on
some GPUs. Nobody configures anything; the bytes must be exact, or unknown with a reason.
"""
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from harness import Daemon, Skip, eventually, run

LIBRARY = os.environ.get("FAKE_NVML", "")
GIB = 1 << 30
HUB_NAME = "org/qwen"

# Of Qwen3-0.6B: 28 layers x 8 heads x (128 + 128) x 2 bytes x 16 tokens.
CONFIG = {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "head_dim": 128,
          "hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": 8,
          "num_hidden_layers": 28, "torch_dtype": "bfloat16", "use_sliding_window": False,
          "max_position_embeddings": 40960, "vocab_size": 151936}
BLOCK = 1835008

# Named as the program is, for it is found by its command line.
SERVER = """
import http.server, os, pathlib
page = pathlib.Path(os.environ["PAGE"]).read_bytes()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = page if self.path == "/metrics" else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def page(usages, tokens="None", dtype="auto"):
    """Engines of 1001 blocks, their sum on each; `usages` by engine label."""
    text = ""
    for engine, usage in usages.items():
        each = f'engine="{engine}",model_name="served"'
        text += (f"vllm:num_requests_running{{{each}}} 1.0\n"
                 f"vllm:kv_cache_usage_perc{{{each}}} {usage}\n"
                 f'vllm:cache_config_info{{block_size="16",cache_dtype="{dtype}",'
                 f'engine="{engine}",kv_cache_memory_bytes="None",'
                 f'kv_cache_size_tokens="{tokens}",'
                 f'num_gpu_blocks="{1001 * len(usages)}"}} 1.0\n')
    return text


TWO = {0: 0.25, 1: 0.5}  # 250 and 500 of 1000 usable blocks each: 750
DP = ("--data-parallel-size", "2")
USED, POOL = 750 * BLOCK, 2002 * BLOCK  # 1,376,256,000 and 3,673,686,016
UNKNOWN = (None, None)

# What is told, options, the page, on how many GPUs, used and pool, words of the reason
ROWS = (
    ("two engines", DP, page(TWO), 2, (USED, POOL), None),
    ("by its brief name", ("-dp", "2"), page(TWO), 2, (USED, POOL), None),
    # 4 of 8 heads on each GPU, so half a block, on twice the GPUs.
    ("each on two GPUs", DP + ("--tensor-parallel-size", "2"), page(TWO), 4, (USED, POOL),
     None),
    # 16 ranks for 8 heads: each head is kept twice.
    ("heads kept twice", DP + ("-tp=16",), page(TWO), 32, (2 * USED, 2 * POOL), None),
    # 14 of 28 layers on each GPU.
    ("a pipeline of two", DP + ("--pipeline-parallel-size=2",), page(TWO), 4, (USED, POOL),
     None),
    ("one byte an element", DP + ("--kv-cache-dtype", "fp8"), page(TWO, dtype="fp8"), 2,
     (USED // 2, POOL // 2), None),
    # Tokens are of one engine: 1001 x 16.
    ("the capacity in tokens agrees", DP + ("--max-model-len", "16016"), page(TWO, "16016"), 2,
     (USED, POOL), None),
    ("it does not", DP + ("--max-model-len", "16016"), page(TWO, "8008"), 2, UNKNOWN,
     "capacity in tokens"),
    ("one engine of two", DP + ("--data-parallel-rank", "1"), page({1: 0.5}), 1,
     (500 * BLOCK, 1001 * BLOCK), None),
    ("idle", DP, page({0: 0.0, 1: 0.0}), 2, (0, POOL), None),
    ("GPUs that do not divide", DP, page(TWO), 3, UNKNOWN, "divide evenly"),
    ("more GPUs than it says", DP, page(TWO), 4, UNKNOWN, "another number of GPUs"),
)


class Server:
    def __init__(self, folder, number, options, text):
        path = folder / f"page-{number}"
        path.write_text(text)
        # By name from the hub's cache, and by path, in turn.
        model = HUB_NAME if number % 2 == 0 else str(folder / "model")
        self.process = subprocess.Popen(
            [sys.executable, folder / "vllm", "serve", model, *options],
            stdout=subprocess.PIPE, text=True,
            env={**os.environ, "HF_HOME": str(folder / "hf"), "PAGE": str(path)})
        self.port = 0

    def wait(self):
        self.port = int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def write_model(folder):
    hub = folder / "hf/hub/models--org--qwen"
    for place in (hub / "snapshots/0123abcd", hub / "refs", folder / "model"):
        place.mkdir(parents=True)
    (hub / "refs/main").write_text("0123abcd")
    for place in (hub / "snapshots/0123abcd", folder / "model"):
        (place / "config.json").write_text(json.dumps(CONFIG))
    (folder / "vllm").write_text(SERVER)


def driver_script(servers):
    """Each server alone on its GPUs, with 20 GiB on each."""
    text, number = "", 0
    for server, (_, _, _, gpus, _, _) in zip(servers, ROWS):
        for _ in range(gpus):
            text += (f"device GPU-{number} Fake H100\nmemory {80 * GIB} {GIB} {21 * GIB}\n"
                     f"process compute {server.process.pid} {20 * GIB}\n")
            number += 1
    return text


def check(row, short, full):
    what, _, _, gpus, (used, pool), words = row
    kv = full["kv_cache"]
    seen = (what, json.dumps(kv))
    assert len(full["devices"]) == gpus, (what, full["devices"])
    assert (kv["used_bytes"]["value"], kv["capacity_bytes"]["value"]) == (used, pool), seen
    assert short["used_kv_cache_bytes"] == (used or 0), (seen, short)
    if used is None:
        assert words in kv["used_bytes"]["reason"] and kv["source"] is None, seen
        assert full["vram"]["rest_bytes"]["value"] is None, seen
        return
    for figure in (kv["used_bytes"], kv["capacity_bytes"]):
        assert figure["from"] == "derived" and figure["error"] == 0, seen
    assert kv["source"] == "config.json", seen
    assert full["vram"]["rest_bytes"]["value"] == gpus * 20 * GIB - pool, seen


def test_bytes_of_data_parallel_engines():
    if not LIBRARY:
        raise Skip("no library that stands in for NVML")
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_model(folder)
        servers = [stack.enter_context(Server(folder, number, row[1], row[2]))
                   for number, row in enumerate(ROWS)]
        for server in servers:
            server.wait()
        (folder / "nvml").write_text(driver_script(servers))
        urls = [w for s in servers for w in ("--engine", f"http://127.0.0.1:{s.port}")]
        daemon = stack.enter_context(Daemon(
            "--gpu", "nvml", "--nvml-library", LIBRARY, "--no-discover", *urls,
            env={"VRAMSCOPE_FAKE_NVML": str(folder / "nvml")}))

        def rows():
            return {m["port"]: m for m in json.loads(daemon.get("/v1/detail")[2])["models"]}

        def settled():
            caches = [m["kv_cache"] for m in rows().values()]
            return len(caches) == len(ROWS) and not any(
                kv["from"] == "unknown"
                or "is not visible" in (kv["capacity_bytes"]["reason"] or "") for kv in caches)
        eventually("the models have been read", settled, 20)
        full, short = rows(), {m["port"]: m for m in daemon.vram()["models"]}
        for server, row in zip(servers, ROWS):
            check(row, short[server.port], full[server.port])
        total = sum(row[4][0] or 0 for row in ROWS)
        assert daemon.vram()["used_kv_cache_bytes"] == total, (daemon.vram(), total)


run(test_bytes_of_data_parallel_engines)
