# SPDX-License-Identifier: Apache-2.0
"""What a server says of itself beside its metrics: /version, /v1/models, /server_info."""
import json
import time

from harness import Daemon, Engine, Stream, alone, eventually, page_answer, run, vllm_page

OPTIONS = ("--gpu", "none", "--no-discover")

# 28 layers x 8 KV heads x (128 + 128) x 2 bytes = 114,688 a token, 16 tokens a block.
CONFIG = {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "dtype": "bfloat16",
          "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8,
          "head_dim": 128, "hidden_size": 1024}
BLOCK = 1835008
BLOCKS = 1001
USED = 500  # half of the usable ones


def settings(tp=1, dp=1, **model):
    return {"vllm_config": {
        "model_config": {"model": "Qwen/Qwen3-0.6B", "dtype": "torch.bfloat16",
                         "hf_config": "Qwen3Config " + json.dumps(CONFIG, indent=2) + "\n",
                         **model},
        "cache_config": {"block_size": 16, "cache_dtype": "auto"},
        "parallel_config": {"tensor_parallel_size": tp, "pipeline_parallel_size": 1,
                            "data_parallel_size": dp},
        "scheduler_config": {"disable_hybrid_kv_cache_manager": False},
        "speculative_config": None, "kv_transfer_config": None},
        "vllm_env": {"VLLM_MLA_DISABLE": False}}


class Server(Engine):
    """A server with pages of its own; `pages` maps paths to texts, or to functions."""

    def __init__(self, pages, port=0):
        self.pages = pages
        super().__init__(self._route, port)

    def _route(self, peer):
        page = self.pages.get(self.requests[-1].split()[1])
        if callable(page):
            page(peer)
        elif page is None:
            page_answer("not found", "404 Not Found")(peer)
        else:
            page_answer(page)(peer)

    def asked(self, path):
        return sum(request.split()[1] == path for request in self.requests)


INFO = "/server_info?config_format=json"


def server(info=None, page=None, port=0, version="0.25.1", max_model_len=4096):
    pages = {"/metrics": page or vllm_page(model="Qwen/Qwen3-0.6B", blocks=BLOCKS),
             "/version": json.dumps({"version": version}),
             "/v1/models": json.dumps({"object": "list", "data": [
                 {"id": "Qwen/Qwen3-0.6B", "root": "Qwen/Qwen3-0.6B", "parent": None,
                  "max_model_len": max_model_len}]})}
    if info:
        pages[INFO] = info if callable(info) else json.dumps(info)
    return Server(pages, port)


def kv(daemon):
    status, _, body = daemon.get("/v1/detail")
    models = json.loads(body)["models"] if status == 200 else []
    return models[0]["kv_cache"] if models else None


def test_settings_make_the_bytes_known():
    with server(settings()) as engine, Daemon(*OPTIONS, "--engine", engine.url) as daemon:
        eventually("used bytes", lambda: kv(daemon)["used_bytes"]["value"] == USED * BLOCK)
        assert kv(daemon)["source"] == "server_info", kv(daemon)
        assert kv(daemon)["used_bytes"]["from"] == "derived", kv(daemon)
        assert kv(daemon)["capacity_bytes"]["value"] == BLOCKS * BLOCK, kv(daemon)
        assert daemon.vram()["used_kv_cache_bytes"] == USED * BLOCK
        time.sleep(1.5)
        for path in ("/version", "/v1/models", INFO):
            assert engine.asked(path) == 1, (path, engine.requests)


def test_tensor_parallel_ranks_are_summed():
    with server(settings(tp=2)) as engine, Daemon(*OPTIONS, "--engine", engine.url) as daemon:
        # Half of the heads on each GPU: over both the same.
        eventually("used bytes", lambda: kv(daemon)["used_bytes"]["value"] == USED * BLOCK)


def test_data_parallel_engines_have_a_null_block_each():
    page = (vllm_page(model="Qwen/Qwen3-0.6B", blocks=2002) +
            vllm_page(model="Qwen/Qwen3-0.6B", blocks=2002, engine="1", usage=0.25))
    with server(settings(dp=2), page) as engine, \
            Daemon(*OPTIONS, "--engine", engine.url) as daemon:
        # 0.5 x 1000 and 0.25 x 1000 blocks.
        eventually("used bytes", lambda: kv(daemon)["used_bytes"]["value"] == 750 * BLOCK)
        assert kv(daemon)["capacity_bytes"]["value"] == 2002 * BLOCK, kv(daemon)


def refusal(info=None, page=None, **options):
    with server(info, page, **options) as engine, \
            Daemon(*OPTIONS, "--engine", engine.url) as daemon:
        eventually("it was asked", lambda: engine.asked(INFO) == 1)
        time.sleep(1.2)
        figure = kv(daemon)["used_bytes"]
        assert figure["value"] is None and figure["from"] == "unknown", figure
        assert daemon.vram()["used_kv_cache_bytes"] == 0
        return figure["reason"]


def test_where_it_does_not_say_nothing_is_guessed():
    assert "not started as a vLLM server" in refusal()
    assert "not started as a vLLM server" in refusal(lambda peer: page_answer("{")(peer))
    overridden = settings()
    overridden["vllm_env"]["VLLM_MLA_DISABLE"] = True
    assert "unknown ways" in refusal(overridden)


def test_layers_exempt_from_the_cache_type():
    def page(layers):
        return vllm_page(model="Qwen/Qwen3-0.6B", blocks=BLOCKS).replace(
            'cache_dtype="auto"',
            f'cache_dtype="fp8",kv_cache_dtype_skip_layers="{layers}"')

    with server(settings(), page("[]")) as engine, \
            Daemon(*OPTIONS, "--engine", engine.url) as daemon:
        eventually("half a block", lambda: kv(daemon)["used_bytes"]["value"] ==
                   USED * BLOCK // 2)
    assert refusal(settings(), page("['0', '27']"))


def test_capacity_in_tokens_is_checked_to_the_token():
    def page(tokens):
        return vllm_page(model="Qwen/Qwen3-0.6B", blocks=BLOCKS).replace(
            'cache_dtype=', f'kv_cache_size_tokens="{tokens}",cache_dtype=')

    # 4096 tokens are 256 blocks: 1001 / 256 x 4096 = 16016.
    with server(settings(), page(16016)) as engine, \
            Daemon(*OPTIONS, "--engine", engine.url) as daemon:
        eventually("used bytes", lambda: kv(daemon)["used_bytes"]["value"] == USED * BLOCK)
    assert "capacity in tokens" in refusal(settings(), page(16014))


def test_a_server_that_keeps_us_waiting_stays_fresh():
    def hang(_):
        time.sleep(20)

    with server(hang) as engine, Daemon(*OPTIONS, "--engine", engine.url) as daemon:
        engine.pages["/v1/models"] = hang
        eventually("its settings are asked for", lambda: engine.asked(INFO) == 1, 15)
        time.sleep(3)
        document = json.loads(daemon.get("/v1/detail")[2])
        assert document["models"][0]["stale"] is False, document["models"]
        assert document["models"][0]["age_ms"] < 600, document["models"]
        with Stream(daemon) as stream:
            assert stream.event()["models"][0]["port"] == engine.port


def test_another_server_on_the_port_is_asked_anew():
    with server(settings()) as engine, Daemon(*OPTIONS, "--engine", engine.url) as daemon:
        eventually("used bytes", lambda: kv(daemon)["used_bytes"]["value"] == USED * BLOCK)
        engine.__exit__()
        eventually("it is gone", lambda: "refused" in daemon.log() or "nobody" in daemon.log())
        other = settings()
        other["vllm_config"]["model_config"]["hf_config"] = "Qwen3Config " + json.dumps(
            {**CONFIG, "num_hidden_layers": 14})
        with server(other, port=engine.port):
            eventually("used bytes of the other", lambda: kv(daemon) and
                       kv(daemon)["used_bytes"]["value"] == USED * BLOCK // 2)


alone()
run(test_settings_make_the_bytes_known, test_tensor_parallel_ranks_are_summed,
    test_data_parallel_engines_have_a_null_block_each,
    test_where_it_does_not_say_nothing_is_guessed, test_layers_exempt_from_the_cache_type,
    test_capacity_in_tokens_is_checked_to_the_token,
    test_a_server_that_keeps_us_waiting_stays_fresh,
    test_another_server_on_the_port_is_asked_anew)
