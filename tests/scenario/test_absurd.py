# SPDX-License-Identifier: Apache-2.0
"""Pages with values that cannot be, through a running daemon, a healthy engine beside them.

Whatever they say, each output stays a valid document: bytes are int64 and not negative,
the rate is within 0 and 100, the healthy row is exact, and what an absurd value leaves
unknown is null with a reason.
"""
import contextlib
import json
import math
import pathlib
import random

import schema
from harness import (Daemon, Engine, Stream, alone, config, eventually, page_answer, run,
                     vllm_page)

OPTIONS = ("--gpu", "none", "--no-discover", "--interval", "100")
ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = schema.Schema(schema.loads((ROOT / "docs/detail.schema.json").read_text()))
BLOCK = 1000000
INT64_MAX = (1 << 63) - 1
HEALTHY = vllm_page(model="healthy", usage=0.25, blocks=401, queries=100, hits=50)
EVENTS = 12

USAGE = "no usable vllm:kv_cache_usage_perc"
BLOCKS = "no num_gpu_blocks"
NOT_BELIEVED = "not believed"
REFUSED = "it is not answered as a page"


def page(usage="0.5", labels='num_gpu_blocks="1001"', running="1", preemptions="0",
         queries="1000", hits="250", extra=""):
    each = 'engine="0",model_name="m"'
    return (f"vllm:num_requests_running{{{each}}} {running}\n"
            f"vllm:num_requests_waiting{{{each}}} 0\n"
            f"vllm:num_preemptions_total{{{each}}} {preemptions}\n"
            f"vllm:kv_cache_usage_perc{{{each}}} {usage}\n"
            f"vllm:prefix_cache_queries_total{{{each}}} {queries}\n"
            f"vllm:prefix_cache_hits_total{{{each}}} {hits}\n"
            f'vllm:cache_config_info{{engine="0",{labels}}} 1\n{extra}')


def sample(family, value, engine="0"):
    return f'vllm:{family}{{engine="{engine}",model_name="m"}} {value}\n'


def blocks(word, more=""):
    return page(labels=f'num_gpu_blocks="{word}"{more}')


PLAIN = {"used": 500 * BLOCK, "counts": (250, 1000), "running": 1}  # 0.5 x 1000 blocks
NO_KV = {**PLAIN, "used": None}


def no_usage(word):
    return page(usage=word), {**NO_KV, "why": USAGE}


def no_blocks(word):
    return blocks(word), {**NO_KV, "why": BLOCKS}


# What is wrong: the page, and what must be left of it.
ROWS = {
    "nothing": (page(), PLAIN),
    "usage NaN": no_usage("NaN"),
    "usage -1": no_usage("-1"),
    "usage 250": no_usage("250"),
    "usage 1e400": no_usage("1e400"),
    "usage -1e400": no_usage("-1e400"),
    "usage a little above 1": no_usage("1.0000000001"),
    "usage in words": no_usage("half"),
    "usage 1e-400": (page(usage="1e-400"), {**PLAIN, "used": 0}),
    "usage -0": (page(usage="-0.0"), {**PLAIN, "used": 0}),
    "blocks 2^63": no_blocks(1 << 63),
    "blocks 2^64 + 1001": no_blocks((1 << 64) + 1001),
    "blocks 10^9 + 1": no_blocks(10 ** 9 + 1),
    "blocks 1e30": no_blocks("1e30"),
    "blocks None": no_blocks("None"),
    "blocks -5": no_blocks("-5"),
    "blocks 0": no_blocks("0"),
    "blocks empty": no_blocks(""),
    "one block, the null one": (blocks("1"), {**PLAIN, "used": 0}),
    "10^9 blocks": (blocks(10 ** 9), {**PLAIN, "used": 500000000 * BLOCK}),
    "block size 2^62": (blocks(1001, f',block_size="{1 << 62}"'), PLAIN),
    "block size -1": (blocks(1001, ',block_size="-1"'), PLAIN),
    "tokens 2^64": (blocks(1001, f',kv_cache_size_tokens="{1 << 64}"'), PLAIN),
    "pool of 2^62 bytes": (blocks(1001, f',kv_cache_memory_bytes="{1 << 62}"'), PLAIN),
    "cache type of 5000 bytes": (blocks(1001, f',cache_dtype="{"x" * 5000}"'), PLAIN),
    "blocks that differ": (page(extra='vllm:cache_config_info{engine="1",'
                                      'num_gpu_blocks="1002"} 1\n'),
                           {**NO_KV, "why": "differs between engines"}),
    "capacity NaN": (page(extra=sample("kv_cache_capacity_bytes", "NaN")), PLAIN),
    "capacity 1e300": (page(extra=sample("kv_cache_capacity_bytes", "1e300")), PLAIN),
    "capacity -1": (page(extra=sample("kv_cache_capacity_bytes", "-1")), PLAIN),
    "running -3": (page(running="-3"), {**PLAIN, "running": None}),
    "running 1e30": (page(running="1e30"), {**PLAIN, "running": None}),
    "running NaN": (page(running="NaN"), {**PLAIN, "running": None}),
    "preemptions -1": (page(preemptions="-1"), PLAIN),
    "more hits than queries": (page(hits="1001"), {**PLAIN, "counts": (None, None)}),
    "hits -1": (page(hits="-1"), {**PLAIN, "counts": (None, None)}),
    "hits NaN": (page(hits="NaN"), {**PLAIN, "counts": (None, None)}),
    "queries Inf": (page(queries="+Inf"), {**PLAIN, "counts": (None, None)}),
    "queries 1e300": (page(queries="1e300"), {**PLAIN, "counts": (None, None)}),
    "a series twice, alike": (page(extra=sample("kv_cache_usage_perc", "0.5")), PLAIN),
    "a series twice": (page(extra=sample("kv_cache_usage_perc", "0.25")), REFUSED),
    "a counter twice": (page(extra=sample("prefix_cache_hits_total", "7")), REFUSED),
    "a label twice": (blocks(1001, ',num_gpu_blocks="7"'), REFUSED),
    "no value": (page(usage=""), REFUSED),
    "65 engines": (page(extra="".join(sample("kv_cache_usage_perc", "0.5", i)
                                      for i in range(1, 65))), REFUSED),
    "an engine's number of 100 bytes": (page(extra=sample("num_requests_running", 1,
                                                         "9" * 100)), REFUSED),
    "a line of 100 KB": (blocks("1" * 100000), REFUSED),
    "a block larger than can be": (page(), {**NO_KV, "why": NOT_BELIEVED, "block": 1 << 62}),
}


def check_numbers(node, key=""):
    """No number anywhere that its type cannot hold, and no bytes below 0."""
    if isinstance(node, dict):
        for name, child in node.items():
            check_numbers(child, name)
    elif isinstance(node, list):
        for child in node:
            check_numbers(child, key)
    elif isinstance(node, float):
        assert math.isfinite(node) and "bytes" not in key, (key, node)
    elif isinstance(node, int):
        assert -INT64_MAX - 1 <= node <= INT64_MAX, (key, node)
        if "bytes" in key or key in ("value", "error"):
            assert node >= 0, (key, node)
    if "percent" in key or key == "prefix_cache_hit_rate":
        assert node is None or 0 <= node <= 100, (key, node)


def check_reasons(model):
    kv = model["kv_cache"]
    for figure in (kv["used_bytes"], kv["capacity_bytes"], *model["vram"].values()):
        assert figure["value"] is not None or figure["reason"], model
    if kv["from"] == "engine":
        assert kv["reason"] or None not in (kv["usage_ratio"], kv["blocks"]), kv


def read(text):
    """Any output: valid JSON, without a number that cannot be."""
    document = schema.loads(text)
    check_numbers(document)
    if "models" in document and "schema" in document:
        SCHEMA.validate(document)
        for model in document["models"]:
            check_reasons(model)
    return document


def check_row(what, expected, short, full):
    seen = (what, json.dumps(full))
    used = full["kv_cache"]["used_bytes"]
    if expected == REFUSED:
        assert full["state"] == "unreachable" and full["reason"], seen
        assert used["value"] is None and full["requests"]["running"] is None, seen
        assert short["used_kv_cache_bytes"] == 0, seen
        return
    assert used["value"] == expected["used"], seen
    assert short["used_kv_cache_bytes"] == (expected["used"] or 0), seen
    assert expected.get("why", "") in (used["reason"] or ""), seen
    assert full["requests"]["running"] == expected["running"], seen
    lifetime = full["prefix_cache"]["lifetime"]
    assert (lifetime["hits"], lifetime["queries"]) == expected["counts"], seen
    assert (full["prefix_cache"]["from"] == "unknown") == (lifetime["hits"] is None), seen


class Table:
    """A daemon with an engine for each row, and a healthy one."""

    def __init__(self, stack, rows):
        self.rows = rows
        self.healthy = stack.enter_context(Engine(page_answer(HEALTHY)))
        self.engines = {what: stack.enter_context(Engine(answer))
                        for what, (answer, _, _) in rows.items()}
        lines = "".join(self.line(self.engines[what], f"row {n}", block)
                        for n, (what, (_, _, block)) in enumerate(rows.items()))
        file = stack.enter_context(config(
            f"engines:\n{self.line(self.healthy, 'healthy', BLOCK)}{lines}"))
        self.daemon = stack.enter_context(Daemon(*OPTIONS, "--config", file))

    @staticmethod
    def line(engine, name, block):
        return (f"  - {{url: {engine.url}, name: {name}, gpus: 1, "
                f"kv_bytes_per_block: {block}}}\n")

    def check_short(self, document):
        rows = {m["port"]: m for m in document["models"]}
        assert rows[self.healthy.port]["used_kv_cache_bytes"] == 100 * BLOCK, document
        assert document["used_kv_cache_bytes"] == sum(
            m["used_kv_cache_bytes"] for m in document["models"]), document
        return rows

    def check_full(self, document):
        rows = {m["port"]: m for m in document["models"]}
        healthy = rows[self.healthy.port]["kv_cache"]
        assert healthy["used_bytes"]["value"] == 100 * BLOCK, healthy
        assert healthy["used_bytes"]["error"] == 0 and healthy["blocks"] == 401, healthy
        return rows

    def settled(self):
        document = read(self.daemon.get("/v1/detail")[2])
        return len(document["models"]) == len(self.rows) + 1 and all(
            m["state"] != "starting" for m in document["models"])


def document_of(full):
    """The next one; all this checking may be slower than the beat, which is then said."""
    while (piece := full.piece()).startswith(b"event: lag\n"):
        pass
    return piece.split(b"data: ")[1]


def test_absurd_values():
    rows = {what: (page_answer(text), expected,
                   BLOCK if expected == REFUSED else expected.get("block", BLOCK))
            for what, (text, expected) in ROWS.items()}
    with contextlib.ExitStack() as stack:
        table = Table(stack, rows)
        eventually("every engine has been asked", table.settled)
        short = stack.enter_context(Stream(table.daemon))
        full = stack.enter_context(Stream(table.daemon, "/v1/detail/stream"))
        for _ in range(EVENTS):
            brief = table.check_short(short.event())
            table.check_short(read(table.daemon.get("/vram")[2]))
            data = document_of(full)
            for text in (data, table.daemon.get("/v1/detail")[2]):
                long = table.check_full(read(text))
                for what, (_, expected) in ROWS.items():
                    port = table.engines[what].port
                    check_row(what, expected, brief[port], long[port])


def random_page(chance):
    """Something else each time it is asked for, most of it absurd."""
    words = ("0", "0.5", "1", "-1", "250", "NaN", "+Inf", "1e400", "1e15", "9e15", "-0.0",
             "1e-400", "18446744073709551616", "100", "1000", "half", "")

    def text():
        return page(**{name: chance.choice(words) for name in (
            "usage", "running", "preemptions", "queries", "hits")},
            labels=f'num_gpu_blocks="{chance.choice(words)}",'
                   f'kv_cache_memory_bytes="{chance.choice(words)}"',
            extra="".join(sample(family, chance.choice(words)) for family in (
                "kv_cache_capacity_bytes", "kv_cache_active_bytes") if chance.random() < 0.3))
    return page_answer(text)


def in_turn(*counters):
    """Counters that change with each scrape, over and over."""
    turn = [0]

    def text():
        queries, hits = counters[turn[0] % len(counters)]
        turn[0] += 1
        return page(queries=str(queries), hits=str(hits))
    return page_answer(text)


def test_values_that_change_absurdly():
    rows = {"back": in_turn((1000, 250), (1100, 300), (10, 10), (0, 0), (5000, 1)),
            # Each page is possible, the step from one to the next is not.
            "more hits than queries between": in_turn((1000, 0), (1010, 900), (1020, 1000)),
            "hits go back alone": in_turn((1000, 900), (1100, 100), (1200, 1100)),
            "huge steps": in_turn((0, 0), (1 << 53, 1 << 53), (1 << 53, 1 << 53)),
            "with and without": in_turn((1000, 250), ("NaN", 250), (1100, 300))}
    rows.update({f"random {seed}": random_page(random.Random(seed)) for seed in range(12)})
    with contextlib.ExitStack() as stack:
        table = Table(stack, {what: (answer, None, BLOCK) for what, answer in rows.items()})
        eventually("every engine has been asked", table.settled)
        short = stack.enter_context(Stream(table.daemon))
        full = stack.enter_context(Stream(table.daemon, "/v1/detail/stream"))
        for _ in range(60):
            table.check_short(short.event())
            table.check_full(read(document_of(full)))


alone()
run(test_absurd_values, test_values_that_change_absurdly)
