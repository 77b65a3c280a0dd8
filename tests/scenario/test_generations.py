# SPDX-License-Identifier: Apache-2.0
"""A page of each generation of vLLM through a running daemon: the KV bytes it ends up with.

Captured pages where they are at hand, and pages of our own. Each with what an operator
may say about it, and without: then a right figure, or none with a reason. The arithmetic
is by hand: used = usage x (blocks - 1) x bytes of a block x GPUs, of each engine.
"""
import contextlib
import json
import pathlib

import schema
from harness import Daemon, Engine, Skip, config, eventually, fixture, page_answer, run

OPTIONS = ("--gpu", "none", "--no-discover")
ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = schema.Schema(schema.loads((ROOT / "docs/detail.schema.json").read_text()))
OPT = 294912    # bytes of a block of opt-125m on one of two GPUs: 16 x 6 x (64 + 64) x 2 x 12
QWEN = 1835008  # of Qwen3-0.6B: 16 tokens x 8 heads x (128 + 128) x 2 bytes x 28 layers
NOBODY = "was not started as a vLLM server"
NO_BLOCKS = "no num_gpu_blocks"
NO_GPUS = "on how many GPUs"


def exactly(value):
    return value, "derived", 0


def about(value, error):
    return value, "estimated", error


UNKNOWN = (None, "unknown", None)
NOTHING_HELD = exactly(0)


# page, what the operator says, used, capacity, source, words of the reason for `used` (or of
# that for the capacity), tokens hit and looked up
CAPTURED = (
    # V0: no null block. 7281 x 16 x 12 heads x (64 + 64) x 2 bytes x 12 layers.
    ("vllm_v0_0.4_opt125m.txt", {"gpus": 1, "kv_bytes_per_block": 2 * OPT},
     exactly(0), exactly(4294508544), "kv_bytes_per_block", None, (None, None)),
    ("vllm_v0_0.4_opt125m.txt", {}, NOTHING_HELD, UNKNOWN, None, NOBODY, (None, None)),
    # No cache_config_info: a block's bytes are of no use, the pool's are: 5.88...e-05 x 4e10.
    ("vllm_v0_ray_excerpt.txt", {"gpus": 1, "kv_bytes_per_block": QWEN},
     UNKNOWN, UNKNOWN, None, NO_BLOCKS, (None, None)),
    ("vllm_v0_ray_excerpt.txt", {"gpus": 1, "kv_pool_bytes_per_gpu": 40000000000},
     about(2353080, None), about(40000000000, None), "kv_pool_bytes_per_gpu",
     "one block of error", (None, None)),
    # 0.2509765625 x 4096 = 1028 blocks; 4097 in all.
    ("GEN_vllm_v0.8.5_v1_engine.txt", {"gpus": 1, "kv_bytes_per_block": QWEN},
     exactly(1886388224), exactly(7518027776), "kv_bytes_per_block", None, (250, 1000)),
    ("GEN_vllm_v0.8.5_v1_engine.txt", {}, UNKNOWN, UNKNOWN, None, NOBODY, (250, 1000)),
    # The same under two names: not twice that.
    ("GEN_vllm_v0.9.2_both_names.txt", {"gpus": 1, "kv_bytes_per_block": QWEN},
     exactly(1886388224), exactly(7518027776), "kv_bytes_per_block", None, (250, 1000)),
    ("GEN_vllm_v0.9.2_both_names.txt", {}, UNKNOWN, UNKNOWN, None, NOBODY, (250, 1000)),
    # 25028 blocks x 294912 x 2 GPUs; 0.11223878211531546 x 25027 = 2809 of them in use.
    ("vllm_v1_0.25.1_opt125m_tp2_idle.txt", {"gpus": 2, "kv_bytes_per_block": OPT},
     exactly(0), exactly(14762115072), "kv_bytes_per_block", None, (0, 0)),
    ("vllm_v1_0.25.1_opt125m_tp2_idle.txt", {}, NOTHING_HELD, UNKNOWN, None, NOBODY, (0, 0)),
    ("vllm_v1_0.25.1_opt125m_tp2_loaded.txt", {"gpus": 2, "kv_bytes_per_block": OPT},
     exactly(1656815616), exactly(14762115072), "kv_bytes_per_block", None, (2480, 339968)),
    ("vllm_v1_0.25.1_opt125m_tp2_loaded.txt", {"kv_bytes_per_block": OPT},
     UNKNOWN, UNKNOWN, None, NO_GPUS, (2480, 339968)),
    ("vllm_v1_0.25.1_opt125m_tp2_loaded.txt", {"gpus": 2}, UNKNOWN, UNKNOWN, None, NOBODY,
     (2480, 339968)),
    # Ordered in bytes per GPU; off by less than a block: 10737418240 / 208 = 51622203.08.
    ("vllm_v1_0.28_qwen3.8_27b_hybrid_lines.txt", {"gpus": 1},
     about(0, 0), about(10737418240, 51622203), "kv_cache_memory_bytes",
     "one block of error", (7840, 16681)),
    ("vllm_v1_0.28_qwen3.8_27b_hybrid_lines.txt", {}, NOTHING_HELD, UNKNOWN, None, NO_GPUS,
     (7840, 16681)),
    # A line without any series of an engine, not even its name; no cache_config_info.
    ("vllm_v1_0.29_kvbytes_label_line.txt", {"gpus": 1, "name": "nameless"}, UNKNOWN, UNKNOWN,
     None, "has not told", (None, None)),
    ("vllm_v1_0.30_qwen25_0.5b_cpu_lines.txt", {"gpus": 1, "kv_bytes_per_block": 196608},
     NOTHING_HELD, UNKNOWN, None, NO_BLOCKS, (None, None)),
    ("vllm_v1_2026_overload_lines.txt", {"gpus": 1, "kv_bytes_per_block": QWEN},
     UNKNOWN, UNKNOWN, None, NO_BLOCKS, (None, None)),
    # 4 engines of 4097 blocks; 1028 + 2052 + 0 + 4088 = 7168 of them in use.
    ("GEN_vllm_2026-08_dp4_single_apiserver.txt", {"gpus": 4, "kv_bytes_per_block": QWEN},
     exactly(13153337344), exactly(30072111104), "kv_bytes_per_block", None, (2500, 10000)),
    ("GEN_vllm_2026-08_dp4_single_apiserver.txt", {"gpus": 8, "kv_bytes_per_block": QWEN // 2},
     exactly(13153337344), exactly(30072111104), "kv_bytes_per_block", None, (2500, 10000)),
    ("GEN_vllm_2026-08_dp4_single_apiserver.txt", {"gpus": 6, "kv_bytes_per_block": QWEN},
     UNKNOWN, UNKNOWN, None, "divide evenly", (2500, 10000)),
    ("GEN_vllm_2026-08_dp4_single_apiserver.txt", {}, UNKNOWN, UNKNOWN, None, NOBODY,
     (2500, 10000)),
    # Eight API servers' values, one of them not stale: 0.6530455880475035 x 10^10.
    ("vllm_v1_pid_label_multiproc_lines.txt",
     {"gpus": 1, "kv_pool_bytes_per_gpu": 10000000000}, about(6530455880, None),
     about(10000000000, None), "kv_pool_bytes_per_gpu", "perhaps stale", (None, None)),
    ("vllm_v1_pid_label_multiproc_lines.txt", {"gpus": 1, "kv_bytes_per_block": QWEN},
     UNKNOWN, UNKNOWN, None, NO_BLOCKS, (None, None)),
)

OURS = (
    # V0: 0.75 x 1000 blocks, no null block; 0.25 of 400 prompt tokens hit.
    ("v0.txt", {"gpus": 1, "kv_bytes_per_block": 1000},
     exactly(750000), exactly(1000000), "kv_bytes_per_block", None, (100, 400)),
    ("v0.txt", {}, UNKNOWN, UNKNOWN, None, NOBODY, (100, 400)),
    # 0.5 x 400 blocks.
    ("old_names.txt", {"gpus": 2, "kv_bytes_per_block": 1000},
     exactly(400000), exactly(802000), "kv_bytes_per_block", None, (20, 50)),
    # The new name's 0.25 x 400, neither the old one's 0.5 nor 0.75.
    ("both_names.txt", {"gpus": 1, "kv_bytes_per_block": 1000},
     exactly(100000), exactly(401000), "kv_bytes_per_block", None, (320, 800)),
    # 0.25 x 1000 blocks.
    ("v1_plain.txt", {"gpus": 4, "kv_bytes_per_block": 1000},
     exactly(1000000), exactly(4004000), "kv_bytes_per_block", None, (1500000, 2000000)),
    ("v1_plain.txt", {}, UNKNOWN, UNKNOWN, None, NOBODY, (1500000, 2000000)),
    # 103 of 207 usable blocks: 103 x 10737418240 / 208 = 5317086916.92 on one GPU, twice on
    # two; off by one block at most, used by its 0.4975... (rounded up).
    ("v1_hybrid.txt", {"gpus": 1}, about(5317086917, 25686411),
     about(10737418240, 51622203), "kv_cache_memory_bytes", "one block of error",
     (7840, 16000)),
    ("v1_hybrid.txt", {"gpus": 2}, about(10634173834, None),
     about(21474836480, None), "kv_cache_memory_bytes", "unlike numbers of layers",
     (7840, 16000)),
    ("v1_hybrid.txt", {}, UNKNOWN, UNKNOWN, None, NO_GPUS, (7840, 16000)),
    # 400 of 799 usable blocks: 400 x 8589934592 / 800; a block has 10737418.24 bytes.
    ("v029_fp8.txt", {"gpus": 1}, about(4294967296, 5375429),
     about(8589934592, 10737418), "kv_cache_memory_bytes", "one block of error", (0, 0)),
    # 0.75 x 2048 blocks; only the prefix cache's own hits.
    ("v030_prefix_hit.txt", {"gpus": 1, "kv_bytes_per_block": 196608},
     exactly(301989888), exactly(402849792), "kv_bytes_per_block", None, (1024, 4096)),
    # 3 engines of 1001 blocks: 1000 + 500 + 0 in use; the label is of one GPU.
    ("dp_sum.txt", {"gpus": 3, "kv_bytes_per_block": 1000},
     exactly(1500000), exactly(3003000), "kv_bytes_per_block", None, (60, 600)),
    # 1500 x 1048576 x 3 / 3003; a block has 1048576 / 1001 = 1047.5 bytes, three engines'.
    ("dp_sum.txt", {"gpus": 3}, about(1571293, 1572), about(3145728, 3144),
     "kv_cache_memory_bytes", "one block of error", (60, 600)),
    # Several API servers: the largest value of each engine, 0.25 x 400 + 0.75 x 400.
    ("pid_stale.txt", {"gpus": 2, "kv_bytes_per_block": 1000},
     about(400000, None), exactly(802000), "kv_bytes_per_block", "perhaps stale",
     (None, None)),
    # Here the old name tells the newest: 0.25 x 400.
    ("pid_with_old_name.txt", {"gpus": 1, "kv_bytes_per_block": 1000},
     exactly(100000), exactly(401000), "kv_bytes_per_block", None, (None, None)),
    # One of two engines asleep, holding nothing: 0.5 x 200 + 0.
    ("dp_one_asleep.txt", {"gpus": 2, "kv_bytes_per_block": 1000},
     exactly(100000), exactly(402000), "kv_bytes_per_block", None, (None, None)),
    # Bytes that the engine tells: 300 of 802 blocks of its 802000000 bytes; the label's 7
    # bytes per GPU are not asked for. Of one rank with the sister metric: twice that on two.
    ("capacity_bytes.txt", {"gpus": 2}, (300000000, "engine", 0), (802000000, "engine", 0),
     "engine", None, (None, None)),
    ("capacity_per_rank.txt", {"gpus": 2}, (200000002, "engine", 0), (802000000, "engine", 0),
     "engine", None, (None, None)),
    ("capacity_per_rank.txt", {}, UNKNOWN, UNKNOWN, None, NO_GPUS, (None, None)),
    # The Rust front end has no cache_config_info.
    ("openmetrics.txt", {"gpus": 1, "kv_bytes_per_block": 1000}, UNKNOWN, UNKNOWN, None,
     NO_BLOCKS, (5, 10)),
)


def documents(daemon):
    """Both documents, of the same models."""
    detail = schema.loads(daemon.get("/v1/detail")[2])
    SCHEMA.validate(detail)
    return {m["port"]: m for m in daemon.vram()["models"]}, \
        {m["port"]: m for m in detail["models"]}, detail


def same(figure, expected):
    return (figure["value"], figure["from"], figure["error"]) == expected


def check(row, short, full):
    page, says, used, capacity, source, words, counts = row
    kv = full["kv_cache"]
    seen = (page, says, json.dumps(kv))
    assert same(kv["used_bytes"], used), seen
    assert same(kv["capacity_bytes"], capacity), seen
    assert kv["source"] == source, seen
    assert full["vram"]["kv_pool_bytes"] == kv["capacity_bytes"], seen
    assert short["used_kv_cache_bytes"] == (used[0] or 0), (seen, short)
    why = kv["used_bytes" if used != NOTHING_HELD or not words else "capacity_bytes"]["reason"]
    assert words in why if words else why is None or used == NOTHING_HELD, seen
    lifetime = full["prefix_cache"]["lifetime"]
    assert (lifetime["hits"], lifetime["queries"]) == counts, (page, lifetime)


def through_a_daemon(rows, load):
    """All rows at once, an engine each."""
    with contextlib.ExitStack() as stack:
        engines = [stack.enter_context(Engine(page_answer(load(row[0])))) for row in rows]
        lines = "".join(
            f"  - {{url: {engine.url}"
            + "".join(f", {name}: {value}" for name, value in row[1].items()) + "}\n"
            for engine, row in zip(engines, rows))
        file = stack.enter_context(config(f"engines:\n{lines}"))
        daemon = stack.enter_context(Daemon(*OPTIONS, "--config", file))

        def settled():
            # How the process was started is looked up beside the beat.
            _, full, _ = documents(daemon)
            reasons = [full[e.port]["kv_cache"][k]["reason"] or "" for e in engines
                       if e.port in full for k in ("used_bytes", "capacity_bytes")]
            return len(reasons) == 2 * len(engines) and \
                "how it was started is not visible" not in reasons
        eventually("every engine has its row", settled)
        short, full, whole = documents(daemon)
        for engine, row in zip(engines, rows):
            check(row, short[engine.port], full[engine.port])
        total = sum(row[2][0] or 0 for row in rows)
        assert whole["kv_cache"]["used_bytes"] == total, whole["kv_cache"]
        assert daemon.vram()["used_kv_cache_bytes"] == total, daemon.vram()
        unknown = sum(row[2][0] is None for row in rows)
        assert whole["kv_cache"]["unknown_models"] == unknown, whole["kv_cache"]


def test_pages_of_our_own():
    through_a_daemon(OURS, lambda name: (ROOT / "tests/fixtures" / name).read_text())


def test_captured_pages():
    there, missing = [], []
    for row in CAPTURED:
        try:
            fixture(row[0])
            there.append(row)
        except Skip:
            missing.append(row[0])
    if not there:
        raise Skip("no folder of captured pages (meson -Dfixtures=)")
    for name in sorted(set(missing)):
        print(f"     {name} is not there")
    through_a_daemon(there, fixture)


run(test_pages_of_our_own, test_captured_pages)
