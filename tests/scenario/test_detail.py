# SPDX-License-Identifier: Apache-2.0
"""GET /v1/detail and its stream: every document against the schema, and resuming."""
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import tempfile
import time

import schema
from harness import (Daemon, Engine, Stream, alone, config, eventually, page_answer, run,
                     vllm_page)

OPTIONS = ("--gpu", "none", "--no-discover")
ROUTE = "/v1/detail/stream"
LIBRARY = os.environ.get("FAKE_NVML", "")
SCHEMA_FILE = pathlib.Path(__file__).resolve().parents[2] / "docs/detail.schema.json"
SCHEMA = schema.Schema(schema.loads(SCHEMA_FILE.read_text()))
DOCUMENT_MAX = 512 * 1024
KEPT = 60
GIB = 1 << 30

DOCUMENT = re.compile(rb"id: ([0-9a-f]{16})-([1-9]\d*)\nretry: 2000\ndata: (\{[^\n]*\})\n\n")
LAG = re.compile(rb'event: lag\ndata: \{"skipped":([1-9]\d*)\}\n\n')
COMMENT = re.compile(rb": no data \([^\n]+\)\n\n")


# What holds in every document.

def value(figure):
    return figure["value"] or 0


def check_totals(document):
    vram, models = document["vram"], document["models"]
    assert vram["allocated_bytes"]["value"] == (
        vram["models_bytes"] + vram["other_bytes"] + vram["orphan_bytes"] +
        vram["unattributed_bytes"]), vram
    rows = [model["vram"]["allocated_bytes"] for model in models]
    assert vram["models_bytes"] == sum(map(value, rows)), (vram, rows)
    used = [model["kv_cache"]["used_bytes"] for model in models]
    assert document["kv_cache"]["used_bytes"] == sum(map(value, used)), document["kv_cache"]
    assert document["kv_cache"]["unknown_models"] == sum(f["value"] is None for f in used)


def check_parts(device):
    pool, used = device["kv_pool_bytes"]["value"], device["kv_used_bytes"]["value"]
    held = device["models_bytes"] + device["other_bytes"] + device["orphan_bytes"]
    assert held <= device["processes_bytes"], device
    if device["used_bytes"] is None:
        assert device["unattributed_bytes"] is None, device
    else:
        assert device["used_bytes"] == held + device["unattributed_bytes"], device
    assert pool is None or pool <= device["models_bytes"], device
    assert None in (pool, used) or used <= pool, device


def check_devices(document):
    known = [d for d in document["devices"]
             if d["total_bytes"] is not None and d["used_bytes"] is not None]
    assert document["vram"]["total_bytes"]["value"] == sum(d["total_bytes"] for d in known)
    assert document["vram"]["allocated_bytes"]["value"] == sum(d["used_bytes"] for d in known)
    for device in document["devices"]:
        assert device["instance"] is None or not device["unified"], device
        assert (device["used_bytes"] is None) == (device["from"] == "unknown"), device
        assert device["used_bytes"] is not None or device["reason"], device
        check_parts(device)
    for part in ("models_bytes", "other_bytes", "orphan_bytes"):
        assert document["vram"][part] == sum(d[part] for d in document["devices"]), part
    unseen = sum(d["models_bytes"] + d["other_bytes"] + d["orphan_bytes"]
                 for d in document["devices"] if d not in known)
    rests = sum(d["unattributed_bytes"] for d in known)
    assert document["vram"]["unattributed_bytes"] == rests - unseen, document
    assert (document["gpu"]["age_ms"] is None) == (document["gpu"]["sources"] == [])


def check_processes(document):
    processes = document["processes"]
    sizes = [1 << 64 if p["bytes"] is None else p["bytes"] for p in processes]
    assert sizes == sorted(sizes, reverse=True), sizes
    ports = {model["port"] for model in document["models"]}
    for process in processes:
        assert process["device"] < len(document["devices"]), process
        assert (process["port"] in ports) == (process["owner"] == "engine"), process
    if document["processes_left_out"] == 0:
        for i, device in enumerate(document["devices"]):
            on_it = sum(p["bytes"] or 0 for p in processes if p["device"] == i)
            assert on_it == device["processes_bytes"], (device, processes)
        for owner in ("other", "orphan"):
            held = sum(p["bytes"] or 0 for p in processes if p["owner"] == owner)
            assert held == document["vram"][owner + "_bytes"], (owner, processes)


def check_window(window):
    hits, queries, percent = window["hits"], window["queries"], window["hit_percent"]
    assert (hits is None) == (queries is None), window
    assert (percent is None) == (not queries), window
    if queries:
        assert abs(percent - 100 * hits / queries) <= 0.0051, window


def check_model(model, document):
    vram, kv, prefix = model["vram"], model["kv_cache"], model["prefix_cache"]
    assert vram["kv_pool_bytes"] == kv["capacity_bytes"], model
    whole, pool, rest = (vram[k]["value"] for k in (
        "allocated_bytes", "kv_pool_bytes", "rest_bytes"))
    if rest is not None:
        assert rest == whole - pool, vram
    elif whole is not None and pool is not None:
        assert pool > whole, vram
    if kv["capacity_bytes"]["value"] is not None:
        assert kv["used_bytes"]["value"] <= kv["capacity_bytes"]["value"], kv
    if kv["used_blocks"] is not None:
        assert kv["used_blocks"] <= kv["blocks"], kv
    assert model["devices"] == sorted(set(model["devices"])), model
    assert all(i < len(document["devices"]) for i in model["devices"]), model
    assert re.sub("[^A-Za-z0-9]", "-", model["model"]) == model["model_id"], model
    assert model["state"] != "ready" or model["reason"] is None, model
    assert model["age_ms"] is not None or model["stale"], model
    for name in ("minute", "five_minutes", "lifetime"):
        check_window(prefix[name])
    assert (prefix["lifetime"]["queries"] is None) == (prefix["from"] == "unknown"), prefix
    if prefix["from"] != "engine":  # a window nobody counted in is no window of nothing
        assert prefix["minute"]["queries"] is prefix["five_minutes"]["queries"] is None, prefix


def check(text):
    """A document, from its bytes: valid, described, and true to itself."""
    assert len(text) <= DOCUMENT_MAX, len(text)
    document = schema.loads(text)
    SCHEMA.validate(document)
    undescribed = SCHEMA.undescribed(document)
    assert not undescribed, f"{undescribed}: say in {SCHEMA_FILE.name} what it is"
    check_totals(document)
    check_devices(document)
    check_processes(document)
    order = [(model["port"], model["model_id"]) for model in document["models"]]
    assert order == sorted(order), order
    for model in document["models"]:
        check_model(model, document)
    return document


def detail(daemon):
    status, headers, body = daemon.get("/v1/detail")
    if status != 200:
        return None
    assert headers["Content-Type"] == "application/json" and body.endswith(b"}\n"), headers
    assert headers["Cache-Control"] == "no-store", headers
    return check(body)


def models_of(daemon):
    document = detail(daemon)
    return {model["model"]: model for model in document["models"]} if document else {}


class Reader(Stream):
    """A reader of the detail stream, who may come back, and may have little room."""

    def __init__(self, daemon, last_id=None, room=None, version="1.1"):
        self.started = time.monotonic()
        self.socket = socket.socket()
        self.socket.settimeout(20)
        if room:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.socket.connect(("127.0.0.1", daemon.port))
        field = "" if last_id is None else f"Last-Event-ID: {last_id}\r\n"
        self.socket.sendall(f"GET {ROUTE} HTTP/{version}\r\nHost: localhost\r\n{field}\r\n"
                            .encode())
        self.raw = self.socket.makefile("rb")
        head = iter(self.raw.readline, b"\r\n")
        self.status = int(next(head).split()[1])
        fields = (line.decode().strip().split(": ", 1) for line in head)
        self.headers = {name.lower(): content for name, content in fields}
        self.chunked = self.headers.get("transfer-encoding") == "chunked"

    def event(self):
        """The next one: ("lag", skipped), ("comment", None) or (seq, document)."""
        return self.checked(self.piece())

    def checked(self, piece):
        lag, document = LAG.fullmatch(piece), DOCUMENT.fullmatch(piece)
        if lag:
            return "lag", int(lag[1])
        if COMMENT.fullmatch(piece):
            return "comment", None
        assert document, f"not an event of the contract: {piece[:300]!r}"
        self.last_id = f"{document[1].decode()}-{document[2].decode()}"
        content = check(document[3])
        assert f"{content['boot']}-{content['seq']}" == self.last_id, self.last_id
        return content["seq"], content

    def sequence(self, n):
        """Numbers of the next n documents; nothing else may come between them."""
        pieces = [self.piece() for _ in range(n)]  # a check may take longer than a beat
        return [self.checked(piece)[0] for piece in pieces]

    def __exit__(self, *_):
        self.raw.close()
        self.socket.close()


def rising(first, n):
    return list(range(first, first + n))


def documents(daemon, n, reader=Reader):
    with reader(daemon) as stream:
        assert stream.status == 200
        numbers = [stream.event() for _ in range(n)]
    assert [seq for seq, _ in numbers] == rising(numbers[0][0], n), numbers
    return [document for _, document in numbers]


# The schema and its validator.

def test_the_validator_itself():
    def refused(text, document):
        try:
            schema.Schema(schema.loads(text)).validate(document)
        except schema.Invalid:
            return True
        return False
    rows = (  # schema, what fits, what does not
        ('{"type": "integer"}', (0, -1), (1.0, True, "1", None)),
        ('{"type": ["number", "null"]}', (1, 1.5, None), (False, "")),
        ('{"enum": [1, "a"]}', (1, "a"), (True, 1.0, "b")),
        ('{"minimum": 0, "maximum": 2}', (0, 2, "x"), (-1, 3)),
        ('{"pattern": "^a$"}', ("a", 1), ("a\n", "ab")),
        ('{"required": ["a"], "properties": {"a": {"type": "null"}}}',
         ({"a": None}, {"a": None, "b": 1}, 3), ({}, {"a": 1})),
        ('{"properties": {"a": {}}, "additionalProperties": false}', ({"a": 1},), ({"b": 1},)),
        ('{"additionalProperties": {"type": "null"}}', ({"b": None},), ({"b": 1},)),
        ('{"items": {"type": "null"}}', ([], [None], {}), ([1], [None, 1])),
        ('{"anyOf": [{"type": "null"}, {"minimum": 3}]}', (None, 3), (2,)),
        ('{"$ref": "#/$defs/x", "minimum": 1, "$defs": {"x": {"maximum": 2}}}', (1,), (0, 3)))
    for text, good, bad in rows:
        for document in good:
            assert not refused(text, document), (text, document)
        for document in bad:
            assert refused(text, document), (text, document)
    for text in ('{"minimun": 1}', '{"properties": {"a": {"const": 1}}}', '{"type": "int"}',
                 '{"required": ["a"]}', '{"$ref": "#/$defs/no"}', '{"pattern": "("}',
                 '{"anyOf": []}', '{"items": []}'):
        try:
            schema.Schema(schema.loads(text))
        except schema.BadSchema:
            continue
        raise AssertionError(f"taken: {text}")
    for text in ("NaN", "[Infinity]", '{"a":1,"a":1}', b'"\xff"'):
        try:
            schema.loads(text)
        except ValueError:
            continue
        raise AssertionError(f"taken: {text}")


def test_every_key_is_described():
    def walk(node, where):
        for name, child in node.get("properties", {}).items():
            is_case = "enum" in child and "type" not in child or set(child) == {"type"}
            assert child.get("description") or set(child) == {"$ref"} or is_case, \
                f"{where}.{name}"
            walk(child, f"{where}.{name}")
        for child in node.get("$defs", {}).values():
            walk(child, where)
        if "items" in node:
            walk(node["items"], where)
    walk(SCHEMA.root, "$")


def test_the_schema_notices():
    """A document with one thing wrong; if it passed, the other tests would mean nothing."""
    with Engine(page_answer(vllm_page())) as engine, \
            Daemon(*OPTIONS, "--engine", engine.url) as daemon:
        body = daemon.get("/v1/detail")[2]
        check(body)
        for path, wrong in (
                (("boot",), "ABC"), (("seq",), 1.0), (("vram", "models_bytes"), None),
                (("vram", "models_bytes"), 1), (("vram", "total_bytes", "from"), "guessed"),
                (("vram", "total_bytes", "value"), None), (("models",), None),
                (("vram", "total_bytes", "error"), 1), (("models", 0, "state"), "dead"),
                (("models", 0, "port"), -1), (("models", 0, "model_id"), "a/b"),
                (("models", 0, "kv_cache", "used_bytes", "value"), 0),
                (("models", 0, "kv_cache", "used_bytes", "reason"), None),
                (("models", 0, "stale"), 0), (("models", 0, "model"), "a\nb"),
                (("prefix_cache", "hit_percent"), 100.01), (("self", "surprise"), 1)):
            document = json.loads(body)
            place = document
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = wrong
            try:
                check(json.dumps(document).encode())
            except AssertionError:
                continue
            raise AssertionError(f"{path} may be {wrong!r}")


# Scenes.

def test_demo():
    with Daemon("--demo") as daemon:
        for document in [detail(daemon)] + documents(daemon, 6):
            assert [m["state"] for m in document["models"]] == ["ready"] * 3
            assert [m["devices"] for m in document["models"]] == [[0]] * 3
            assert document["gpu"]["sources"][0]["verdict"] == "ok"
            assert document["vram"]["unattributed_bytes"] == 0
            for model in document["models"]:
                assert model["kv_cache"]["used_bytes"]["from"] == "estimated", model
                assert model["vram"]["rest_bytes"]["value"] > 0, model
            device = document["devices"][0]  # all three are on it, and nobody else
            assert device["models_bytes"] == document["vram"]["models_bytes"], document
            assert device["kv_pool_bytes"]["value"] == sum(
                m["vram"]["kv_pool_bytes"]["value"] for m in document["models"]), document
            used = document["kv_cache"]["used_bytes"]
            assert device["kv_used_bytes"]["value"] == used, document
        assert len({document["boot"] for document in documents(daemon, 2)}) == 1


SLEEPING = ('vllm:engine_sleep_state{engine="0",sleep_state="awake"} 0.0\n'
            'vllm:engine_sleep_state{engine="0",sleep_state="discard_all"} 1.0\n')


def hang(_):
    time.sleep(60)


def torn(peer):
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nvllm:")
    peer.shutdown(socket.SHUT_RDWR)


def test_engines_of_all_states():
    answers = {"full": page_answer(vllm_page(usage=0.25, blocks=401, queries=1000, hits=250)),
               "bare": page_answer('vllm:num_requests_running{engine="0"} 2.0\n'),
               "asleep": page_answer(vllm_page(extra=SLEEPING)),
               "disabled": page_answer("http_requests_total 1\n"),
               "torn": torn, "hang": hang}
    states = {"full": "ready", "bare": "ready", "asleep": "sleeping", "torn": "unreachable",
              "disabled": "metrics-disabled", "hang": "starting"}
    with contextlib.ExitStack() as stack:
        engines = {n: stack.enter_context(Engine(a)) for n, a in answers.items()}
        lines = "".join(f"  - {{url: {engine.url}, name: {name}, gpus: 1, "
                        "kv_bytes_per_block: 1000000}\n" for name, engine in engines.items())
        file = stack.enter_context(config(f"engines:\n{lines}"))
        daemon = stack.enter_context(Daemon(*OPTIONS, "--config", file))

        def settled():
            return {n: m["state"] for n, m in models_of(daemon).items()} == states
        eventually("each its state", settled, 15)
        for document in documents(daemon, 4):
            rows = {model["model"]: model for model in document["models"]}
            assert {name: row["state"] for name, row in rows.items()} == states, rows
            assert document["devices"] == [] and document["vram"]["total_bytes"]["value"] == 0
            assert document["kv_cache"] == {"used_bytes": 100000000, "unknown_models": 4}
            full = rows["full"]
            assert full["kv_cache"]["used_bytes"] == {
                "value": 100000000, "from": "derived", "error": 0, "reason": None}, full
            assert full["kv_cache"]["capacity_bytes"]["value"] == 401000000, full
            assert full["kv_cache"]["usage_ratio"] == 0.25, full
            assert full["requests"] == {"from": "engine", "running": 1, "waiting": 0,
                                        "preemptions": None}, full
            assert full["prefix_cache"]["lifetime"] == {
                "hits": 250, "queries": 1000, "hit_percent": 25.0}, full
            assert full["prefix_cache"]["minute"] == {
                "hits": 0, "queries": 0, "hit_percent": None}, full
            assert full["pid"] == os.getpid(), full
            assert rows["asleep"]["kv_cache"]["used_bytes"]["value"] == 0
            for name in ("bare", "torn", "disabled", "hang"):
                row = rows[name]
                assert row["kv_cache"]["used_bytes"]["from"] == "unknown", row
                assert row["kv_cache"]["usage_ratio"] is None, row
                assert row["prefix_cache"]["from"] == "unknown", row
            assert rows["bare"]["requests"]["running"] == 2
            for name in ("torn", "disabled"):
                assert rows[name]["reason"] and rows[name]["age_ms"] is None, rows[name]
                assert rows[name]["requests"]["from"] == "unknown", rows[name]


def test_figures_of_an_engine_that_falls_silent():
    """They are marked, then not known any more; the row stays as long as its process."""
    state = {"answer": page_answer(vllm_page(queries=100, hits=10))}
    with Engine(lambda peer: state["answer"](peer)) as engine, \
            Daemon(*OPTIONS, "--engine", engine.url, "--interval", "100") as daemon:
        assert models_of(daemon)["org/model"]["stale"] is False
        state["answer"] = torn
        row = eventually("they are marked", lambda: [
            m for m in models_of(daemon).values() if m["stale"]])[0]
        assert row["state"] == "unreachable" and row["reason"], row
        eventually("and forgotten", lambda: [
            m for m in models_of(daemon).values() if m["kv_cache"]["usage_ratio"] is None], 30)


class Driver:
    """A script that the fake driver follows."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "nvml")
        self.env = {"VRAMSCOPE_FAKE_NVML": self.path}

    def say(self, text):
        pathlib.Path(self.path + ".new").write_text(text)
        os.rename(self.path + ".new", self.path)

    def daemon(self, *arguments):
        return Daemon("--gpu", "nvml", "--nvml-library", LIBRARY, "--no-discover", *arguments,
                      env=self.env)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


def device(number, used, *lines):
    return (f"device GPU-{number} Fake H100\nmemory {80 * GIB} {600 << 20} {used}\n"
            + "".join(line + "\n" for line in lines))


def parts(document):
    return [(d["models_bytes"], d["other_bytes"], d["unattributed_bytes"])
            for d in document["devices"]]


def test_two_devices_of_which_one_is_lost():
    with Engine(page_answer(vllm_page())) as engine, Driver() as driver:
        mine, other = f"process compute {os.getpid()}", "process compute 1"
        script = device(0, 20 * GIB, f"{mine} {8 * GIB}", f"{other} {3 * GIB}")
        driver.say(script + device(1, 9 * GIB, f"{mine} {8 * GIB}"))
        with driver.daemon("--engine", engine.url) as daemon:
            for document in documents(daemon, 2):
                assert document["vram"]["models_bytes"] == 16 * GIB, document
                assert document["vram"]["other_bytes"] == 3 * GIB, document
                assert document["vram"]["unattributed_bytes"] == 10 * GIB, document
                assert document["models"][0]["devices"] == [0, 1], document
                assert document["devices"][1]["processes_bytes"] == 8 * GIB, document
                assert parts(document) == [(8 * GIB, 3 * GIB, 9 * GIB),
                                           (8 * GIB, 0, GIB)], document
            driver.say(script + device(1, 9 * GIB, f"{mine} {8 * GIB}", "lost"))
            eventually("one device is left", lambda: detail(daemon)["vram"]["total_bytes"]
                       ["value"] == 80 * GIB)
            document = detail(daemon)
            assert [d["from"] for d in document["devices"]] == ["measured", "unknown"]
            assert parts(document)[0] == (8 * GIB, 3 * GIB, 9 * GIB), document
            assert parts(document)[1][2] is None, document
            assert document["vram"]["total_bytes"]["reason"], document["vram"]


def test_instances_of_a_partitioned_device_and_one_of_the_hosts_memory():
    mine = f"process compute {os.getpid()}"
    with Engine(page_answer(vllm_page())) as engine, Driver() as driver:
        driver.say(device(0, 9 * GIB, "mig on", "instance 0 1 MIG-1 Fake 3g.40gb",
                          f"memory {40 * GIB} 0 {5 * GIB}", f"{mine} {4 * GIB}",
                          "instance 2 5 MIG-5 Fake 1g.10gb", f"memory {10 * GIB} 0 {GIB}")
                   + f"device GPU-1 Fake GB10\nunified\n{mine} {2 * GIB}\n")
        with driver.daemon("--engine", engine.url) as daemon:
            document = documents(daemon, 2)[1]
            first, second, shared = document["devices"]
            told = [(d["index"], d["uuid"], d["parent_uuid"], d["instance"], d["unified"])
                    for d in document["devices"]]
            assert told == [(0, "MIG-1", "GPU-0", 1, False), (0, "MIG-5", "GPU-0", 5, False),
                            (1, "GPU-1", None, None, True)], told
            assert (first["total_bytes"], first["used_bytes"]) == (40 * GIB, 5 * GIB), first
            assert (second["processes_bytes"], second["reason"]) == (0, None), second
            with open("/proc/meminfo") as meminfo:
                total = int(meminfo.readline().split()[1]) << 10
            assert shared["total_bytes"] == total and "host" in shared["reason"], shared
            assert document["vram"]["total_bytes"]["value"] == 50 * GIB + total, document
            assert document["models"][0]["devices"] == [0, 2], document
            assert document["vram"]["models_bytes"] == 6 * GIB, document
            assert [d["models_bytes"] for d in document["devices"]] == [4 * GIB, 0, 2 * GIB]


def test_what_the_driver_hides_and_what_it_claims_twice():
    with Engine(page_answer(vllm_page())) as engine, Driver() as driver:
        mine, other = f"process compute {os.getpid()}", "process compute 1"
        driver.say(device(0, 20 * GIB, f"{mine} none", f"{other} {3 * GIB}"))
        with driver.daemon("--engine", engine.url) as daemon:
            document = documents(daemon, 2)[1]
            held = document["models"][0]["vram"]["allocated_bytes"]
            assert held["from"] == "unknown" and "driver" in held["reason"], held
            assert document["models"][0]["devices"] == [0], document
            assert document["vram"]["unattributed_bytes"] == 17 * GIB, document["vram"]
            assert parts(document) == [(0, 3 * GIB, 17 * GIB)], document
            used = document["devices"][0]["kv_used_bytes"]
            assert used["from"] == "unknown" and "driver" in used["reason"], used

            driver.say(device(0, 20 * GIB, f"{mine} {8 * GIB}", f"{other} none",
                              f"process compute 4194303 {1 * GIB}"))
            eventually("those that nobody knows are other processes", lambda: detail(daemon)
                       ["vram"]["other_bytes"] == GIB)
            assert detail(daemon)["vram"]["unattributed_bytes"] == 11 * GIB

            driver.say(device(0, 5 * GIB, f"{mine} {8 * GIB}"))
            eventually("less than nothing is left", lambda: detail(daemon)["vram"]
                       ["unattributed_bytes"] == -3 * GIB)

            driver.say(device(0, 20 * GIB, f"process compute 4194303 {1 * GIB}"))
            eventually("hidden from here: not 0", lambda: detail(daemon)["models"][0]["vram"]
                       ["allocated_bytes"]["from"] == "unknown")


def test_outage():
    with Driver() as driver:
        driver.say("error Init_v2 9\n")
        with driver.daemon("--interval", "200") as daemon:
            for path in ("/v1/detail", ROUTE):
                status, headers, body = daemon.get(path)
                assert status == 503 and headers["Retry-After"] == "1", (path, headers)
                assert json.loads(body)["error"]["code"] == "no-driver", body
            driver.say(device(0, GIB))
            eventually("the driver is found", lambda: detail(daemon), 15)
            with Reader(daemon) as stream:
                before = stream.event()[0]
                driver.say("error DeviceGetCount_v2 18\n")
                while True:
                    kind, _ = stream.event()
                    if kind == "comment":
                        break
                    assert kind == before + 1, (kind, before)
                    before = kind
                assert daemon.get("/v1/detail")[0] == 503
                assert daemon.get(ROUTE, headers={"Last-Event-ID": stream.last_id})[0] == 503
                assert [stream.event()[0] for _ in range(3)] == ["comment"] * 3
                driver.say(device(0, 2 * GIB))
                deadline = time.monotonic() + 20
                while kind == "comment":
                    kind, document = stream.event()
                    assert time.monotonic() < deadline
                assert kind > before + 3, (kind, before)  # the beats without one have theirs
                assert document["vram"]["allocated_bytes"]["value"] == 2 * GIB
                assert stream.sequence(3) == rising(kind + 1, 3)
                with Reader(daemon, f"{document['boot']}-{before}") as back:
                    assert back.event()[0] == kind


# The stream.

def test_head_and_methods():
    with Daemon(*OPTIONS) as daemon:
        with Reader(daemon) as stream:
            assert stream.status == 200 and stream.chunked
            assert stream.headers["content-type"] == "text/event-stream", stream.headers
            assert stream.headers["cache-control"] == "no-cache, no-transform"
            assert stream.headers["x-accel-buffering"] == "no"
            assert "content-length" not in stream.headers
            first = stream.event()[0]
            assert stream.sequence(2) == rising(first + 1, 2)
        with Reader(daemon, version="1.0") as stream:
            assert not stream.chunked and stream.headers["connection"] == "close"
            first = stream.event()[0]
            assert stream.event()[0] == first + 1
        status, headers, body = daemon.get(ROUTE, "HEAD")
        assert status == 200 and headers["Content-Type"] == "text/event-stream"
        assert "Content-Length" not in headers and body == b""
        status, headers, body = daemon.get("/v1/detail", "HEAD")
        assert status == 200 and int(headers["Content-Length"]) > 300 and body == b""
        for path in ("/v1/detail", ROUTE):
            status, headers, _ = daemon.get(path, "OPTIONS")
            assert status == 204 and headers["Allow"] == "GET, HEAD, OPTIONS", path
            assert daemon.get(path, "POST")[0] == 405, path
            assert daemon.get(path + "/")[0] == 404, path


def test_coming_back():
    with Daemon(*OPTIONS, "--interval", "100") as daemon:
        seen = []
        with Reader(daemon) as stream:
            seen += stream.sequence(5)
        for pause in (0, 0.05, 1, 0.3):
            time.sleep(pause)
            with Reader(daemon, stream.last_id) as stream:
                seen += stream.sequence(7)
        assert seen == rising(seen[0], len(seen)), seen

        # Who has seen the newest gets nothing old; two at once see the same.
        with Reader(daemon) as one:
            first = one.event()[0]
            with Reader(daemon, one.last_id) as other:
                mine, theirs = {}, {}
                for stream, got in ((one, mine), (other, theirs)) * 5:
                    seq, document = stream.event()
                    got[seq] = document
                assert min(theirs) == min(mine) == first + 1, (first, mine.keys(), theirs.keys())
                assert mine == theirs


def test_coming_back_late():
    """The last 60 are kept; a stream begins with the oldest that was not seen."""
    with Daemon(*OPTIONS, "--interval", "100") as daemon:
        with Reader(daemon) as stream:
            last = stream.sequence(3)[2]
        eventually("more than are kept", lambda: detail(daemon)["seq"] > last + KEPT + 5, 30)
        with Reader(daemon, stream.last_id) as stream:
            numbers = stream.sequence(KEPT + 5)
        assert numbers == rising(numbers[0], KEPT + 5), numbers
        assert last + 5 < numbers[0], (last, numbers)


def test_ids_of_nobody():
    """An id that is not of this run: the newest at once, not after the next beat."""
    with Daemon(*OPTIONS) as daemon, Daemon(*OPTIONS, "--interval", "5000") as slow:
        with Reader(daemon) as stream:
            stream.event()
        boot = detail(slow)["boot"]
        for last_id in (stream.last_id, "", "x", "-", f"{boot}", f"{boot}-", f"{boot}-x",
                        f"{boot}-1x", f"{boot}--1", f"{boot}-99999999999999999999999",
                        f"{boot.upper()}x-1", "0" * 16 + "-1", "a" * 500, "%00"):
            newest = detail(slow)["seq"]
            with Reader(slow, last_id) as back:
                assert back.event()[0] >= newest, last_id
                assert time.monotonic() - back.started < 2, last_id


def test_nothing_is_made_for_nobody():
    """Nobody has ever streamed: there is nothing to come back to."""
    with Daemon(*OPTIONS, "--interval", "100") as daemon:
        boot = detail(daemon)["boot"]
        daemon.get(ROUTE, "HEAD")
        eventually("some beats", lambda: daemon.get("/v1/detail") and detail(daemon)["seq"] > 12)
        newest = detail(daemon)["seq"]
        with Reader(daemon, f"{boot}-1") as stream:
            first = stream.event()[0]
            assert first >= newest, (first, newest)
            assert stream.sequence(3) == rising(first + 1, 3)


def test_a_slow_reader_is_told_what_was_left_out():
    page = vllm_page(model=r"\"" * 120)
    with contextlib.ExitStack() as stack:
        engines = [stack.enter_context(Engine(page_answer(page))) for _ in range(30)]
        urls = [arg for engine in engines for arg in ("--engine", engine.url)]
        daemon = stack.enter_context(Daemon(*OPTIONS, *urls, "--interval", "100"))
        eventually("all rows", lambda: len(detail(daemon)["models"]) == 30)
        slow = stack.enter_context(Reader(daemon, room=4096))
        quick = stack.enter_context(Reader(daemon))
        expected = slow.event()[0] + 1
        numbers = quick.sequence(40)  # nothing is left out for one who reads
        assert numbers == rising(numbers[0], 40), numbers
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        skipped, told, after = 0, 0, 0  # since the last document; in all; documents then
        while after < 5:
            kind, content = slow.event()
            if kind == "lag":
                skipped += content
                told += content
                continue
            # Each gap in the numbers was told, and just before it.
            assert kind == expected + skipped, (kind, expected, skipped)
            expected, skipped = kind + 1, 0
            after += told > 0
        assert expected > numbers[-1], (expected, numbers)  # it has caught up
        assert detail(daemon)["self"]["frames_skipped"] >= told


def test_sigterm_ends_the_stream_properly():
    with Daemon(*OPTIONS) as daemon, Reader(daemon) as stream:
        stream.event()
        daemon.process.send_signal(signal.SIGTERM)
        while stream.piece():
            pass
        assert daemon.process.wait(5) == 0


if __name__ == "__main__":
    alone()
    run(test_the_validator_itself, test_every_key_is_described, test_the_schema_notices, test_demo,
        test_engines_of_all_states, test_figures_of_an_engine_that_falls_silent,
        test_two_devices_of_which_one_is_lost,
        test_instances_of_a_partitioned_device_and_one_of_the_hosts_memory,
        test_what_the_driver_hides_and_what_it_claims_twice,
        test_outage, test_head_and_methods, test_coming_back, test_coming_back_late,
        test_ids_of_nobody, test_nothing_is_made_for_nobody,
        test_a_slow_reader_is_told_what_was_left_out, test_sigterm_ends_the_stream_properly)
