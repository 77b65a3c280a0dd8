# SPDX-License-Identifier: Apache-2.0
"""A gateway between real nodes and those who read: it serves their sum as a host serves its
own, and each node as that serves itself."""
import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import time

import schema
from exposition import series_of
from fleet import GIB, Follower, Gateway
from harness import (DAEMON, Daemon, Engine, FakeDriver, Stream, alone, eventually,
                     free_port, page_answer, run, serve, vllm_page)
from nats import Broker

SCHEMA = schema.Schema(json.loads(
    (pathlib.Path(__file__).resolve().parents[2] / "docs/detail.schema.json").read_text()))
INTERVAL_MS = 200
DOCUMENT_MAX = 4 << 20
TOTALS = ("total_vram_bytes", "allocated_vram_bytes", "used_kv_cache_bytes")


class Host(Daemon):
    """A daemon that watches the simulated GPUs and these engines, and publishes."""

    def __init__(self, broker, name, driver, *engines):
        super().__init__("--no-discover", "--interval", INTERVAL_MS, "--history", "off",
                         "--gpu", "sim", "--sim-dir", driver.path, "--nats", broker.url,
                         "--node", name, *(word for url in engines
                                           for word in ("--engine", url)))

    def detail(self):
        return json.loads(self.get("/v1/detail")[2])


class Fleet:
    """Two hosts, a and b, and a gateway. A model of one's own each, and one that both have
    under the same port; nothing of them changes."""

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            enter = stack.enter_context
            self.broker = enter(Broker())
            self.drivers = [enter(FakeDriver()), enter(FakeDriver(first=2))]
            shared = enter(Engine(page_answer(vllm_page("org/both", usage=0.25, queries=1000,
                                                        hits=400))))
            self.hosts, self.ports = {}, {}
            for name, driver, size in zip("ab", self.drivers, (30, 50)):
                self.ports[name] = free_port()
                enter(serve(f"org/{name}", self.ports[name], driver, "--load", "idle",
                            "--vram", size * GIB, "--kv-pool-bytes", 10 * GIB))
                self.hosts[name] = enter(Host(
                    self.broker, name, driver, f"http://127.0.0.1:{self.ports[name]}",
                    shared.url))
            self.ports["both"] = shared.port
            self.gateway = enter(Gateway(self.broker, interval=INTERVAL_MS))
            for host in self.hosts.values():
                eventually("models are ready", lambda host=host: [
                    m["state"] for m in host.detail()["models"]] == ["ready"] * 2, 20)
            self.gateway.wait_live("a", "b")
            eventually("it has what they have", self.is_settled)
            self.stack = stack.pop_all()
        return self

    def is_settled(self):
        rows = {m["model"]: m for m in self.gateway.detail()["models"]}
        return (set(rows) == {"org/a", "org/b", "org/both"} and
                rows["org/both"]["nodes_ready"] == 2 and
                all(m["state"] == "ready" for m in rows.values()))

    def __exit__(self, *arguments):
        return self.stack.__exit__(*arguments)


FLEET = Fleet()


def sum_of(documents):
    """Of several documents of /vram, but for the hit rate: what the fleet's must be."""
    rows = {}
    for document in documents:
        for row in document["models"]:
            said = rows.setdefault((row["port"], row["model_id"]), {
                **row, "allocated_vram_bytes": 0, "used_kv_cache_bytes": 0})
            for key in ("allocated_vram_bytes", "used_kv_cache_bytes"):
                said[key] += row[key]
    return {**{key: sum(d[key] for d in documents) for key in TOTALS},
            "models": [rows[key] for key in sorted(rows)]}


def test_stream_is_the_sum():
    parts = [host.vram() for host in FLEET.hosts.values()]
    with Stream(FLEET.gateway) as stream:
        assert stream.status == 200 and stream.headers["content-type"] == "text/event-stream"
        times = []
        for _ in range(10):
            event = stream.event()  # checks keys and their order
            times.append(time.monotonic())
            rate = event.pop("prefix_cache_hit_rate")
            assert event == sum_of(parts), (event, parts)
            assert rate == parts[0]["prefix_cache_hit_rate"], (rate, parts)
    assert event["total_vram_bytes"] == 4 * 80 * GIB, event
    assert event["allocated_vram_bytes"] == 80 * GIB, event
    assert len(event["models"]) == 3 and len(parts[0]["models"]) == 2
    assert 0.15 < (times[-1] - times[1]) / 8 < 0.3, times  # a busy machine's are uneven
    body = FLEET.gateway.get("/vram")[2]
    assert json.loads(body)["models"] == event["models"]


def differences(one, other, path=""):
    """Places where two documents are not the same, order of keys included."""
    if isinstance(one, dict) and isinstance(other, dict) and list(one) == list(other):
        return [d for key in one for d in differences(one[key], other[key], f"{path}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [d for i, pair in enumerate(zip(one, other))
                for d in differences(*pair, f"{path}[{i}]")]
    return [] if one == other else [(path, one, other)]


def test_node_is_as_the_node_says():
    gateway = FLEET.gateway
    for name, host in FLEET.hosts.items():
        for path in ("/vram", "/vram/aggregated"):
            status, headers, body = gateway.get(f"{path}?node={name}")
            assert status == 200, (path, status, body)
            if path == "/vram":
                assert body == host.get(path)[2], (body, host.get(path)[2])
            else:
                found, wanted = json.loads(body), json.loads(host.get(path)[2])
                assert list(found) == list(wanted) and found["models"] == wanted["models"]
                assert found["sample_count"] >= 1, found

        def both():
            wanted, found = host.detail(), gateway.detail(name)
            return found and found["seq"] == wanted["seq"] and (wanted, found)
        wanted, found = eventually("the same snapshot of both", both, every=0.01)
        assert list(found)[:list(found).index("boot") + 2][-1] == "node", list(found)
        assert found.pop("node") == name
        unlike = [d for d in differences(wanted, found) if not d[0].startswith(".self.")]
        assert not unlike, unlike
        unlike = {d[0] for d in differences(wanted, found)}
        assert unlike <= {".self.tick_late_ms", ".self.late_ms", ".self.cpu_seconds"}, unlike


def test_streams_of_a_node():
    host, gateway = FLEET.hosts["a"], FLEET.gateway
    with Follower(gateway, "/vram/stream?node=a") as sums, \
            Follower(gateway, "/v1/detail/stream?node=a") as details, \
            Follower(host, "/v1/detail/stream") as own:
        time.sleep(2.5)
        assert sums.status == details.status == 200
        rows = [event["models"] for event in sums.events()]
        assert len(rows) >= 8 and all(row == host.vram()["models"] for row in rows), rows
        found, wanted = details.events(), {d["seq"]: d for d in own.events()}
    seqs = [document["seq"] for document in found]
    assert seqs == sorted(set(seqs)) and len(seqs) >= 8, seqs
    assert seqs[-1] - seqs[0] <= len(seqs) + 1, seqs  # each of them, or nearly
    assert {d["boot"] for d in found} == {host.detail()["boot"]}
    for document in found:
        if document["seq"] in wanted:
            assert document["unix_ms"] == wanted[document["seq"]]["unix_ms"]
    ids = [piece.split(b"\n")[0] for piece in details.pieces() if piece.startswith(b"id: ")]
    assert ids[0] == f"id: {found[0]['boot']}-{found[0]['seq']}".encode(), ids[0]


def test_detail():
    status, _, body = FLEET.gateway.get("/v1/detail")
    assert status == 200 and len(body) <= DOCUMENT_MAX
    document = schema.loads(body)
    SCHEMA.validate(document)
    assert not SCHEMA.undescribed(document), SCHEMA.undescribed(document)
    for name, host in FLEET.hosts.items():  # a host's is not touched
        own = host.detail()
        assert not {"fleet", "nodes", "models_left_out", "node"} & set(own), list(own)
        SCHEMA.validate(own)
        of_node = schema.loads(FLEET.gateway.get(f"/v1/detail?node={name}")[2])
        SCHEMA.validate(of_node)
        assert not SCHEMA.undescribed(of_node), SCHEMA.undescribed(of_node)
    assert document["devices"] == document["processes"] == document["gpu"]["sources"] == []
    assert document["gpu"]["age_ms"] is None and document["models_left_out"] == 0
    fleet, nodes = document["fleet"], {row["node"]: row for row in document["nodes"]}
    assert list(nodes) == ["a", "b"], list(nodes)
    assert (fleet["nodes"], fleet["live"], fleet["counted"], fleet["gpus"]) == (2, 2, 2, 4)
    assert fleet["nats"]["connected"] and fleet["nats"]["malformed"] == 0, fleet["nats"]
    assert sum(fleet[state] for state in ("stale", "outage", "unreadable", "lost")) == 0
    for name, host in FLEET.hosts.items():
        check_node(nodes[name], host.detail())
    check_vram(document, [host.detail() for host in FLEET.hosts.values()])
    models = {(m["model"], m["port"]): m for m in document["models"]}
    assert [(m["port"], m["model_id"]) for m in document["models"]] == sorted(
        (m["port"], m["model_id"]) for m in document["models"])
    assert (models["org/both", FLEET.ports["both"]]["nodes"], models[
        "org/a", FLEET.ports["a"]]["nodes"]) == (2, 1)
    assert models["org/both", FLEET.ports["both"]]["requests"]["running"] == 2
    assert list(document["models"][0])[-2:] == ["nodes", "nodes_ready"]
    assert document["models"][0]["devices"] == []


def check_node(row, own):
    assert (row["state"], row["reason"], row["counted"], row["gateway"], row["nodes"]) == (
        "live", None, True, False, 1), row
    assert not row["name_taken"] and row["age_ms"] < 1000, row
    assert abs(row["clock_offset_ms"]) < 500 and row["interval_ms"] == INTERVAL_MS, row
    assert (row["version"], row["boot"]) == (own["version"], own["boot"]), row
    assert abs(row["seq"] - own["seq"]) <= 5 and row["messages"] > 3, row
    assert re.fullmatch("[0-9a-f]{32}", row["machine"]), row
    assert (row["gpus"], row["models"], row["malformed"], row["dropped"]) == (2, 2, 0, 0), row
    vram = {**own["vram"], "from": own["vram"]["allocated_bytes"]["from"]}
    assert row["vram"] == {key: vram[key]["value"] if isinstance(vram[key], dict)
                           else vram[key] for key in row["vram"]}, (row, vram)
    assert row["kv_cache"]["used_bytes"] == own["kv_cache"]["used_bytes"], row
    assert row["kv_cache"]["from"] in {m["kv_cache"]["used_bytes"]["from"]
                                       for m in own["models"]}, row
    assert row["requests"]["running"] == sum(m["requests"]["running"] for m in own["models"])
    assert row["requests"]["waiting"] == sum(m["requests"]["waiting"] for m in own["models"])


def check_vram(document, owns):
    for key in ("total_bytes", "allocated_bytes"):
        assert document["vram"][key]["value"] == sum(o["vram"][key]["value"] for o in owns), key
    for key in ("models_bytes", "other_bytes", "orphan_bytes", "unattributed_bytes"):
        assert document["vram"][key] == sum(o["vram"][key] for o in owns), key
    for key in ("used_bytes", "unknown_models"):
        assert document["kv_cache"][key] == sum(o["kv_cache"][key] for o in owns), key
    pools = [m["kv_cache"]["capacity_bytes"]["value"] for o in owns for m in o["models"]]
    assert document["fleet"]["kv_pool_bytes"]["value"] == sum(p for p in pools if p), pools
    assert document["fleet"]["kv_pool_unknown_models"] == pools.count(None), pools


def label(**labels):
    return frozenset(labels.items())


def test_metrics():
    text = FLEET.gateway.get("/metrics")[2].decode()
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text.encode(),
                              capture_output=True, check=False)
        assert done.returncode == 0 and not done.stderr, done.stderr
    found, document = series_of(text), FLEET.gateway.detail()
    assert not [name for name, _ in found if name.startswith("vramscope_gpu_memory")]
    for row in document["nodes"]:
        node = label(node=row["node"])
        assert found["vramscope_node_up", node] == 1
        assert found["vramscope_node_gpus", node] == row["gpus"]
        assert found["vramscope_node_models", node] == row["models"]
        for key in ("total", "allocated"):
            assert found[f"vramscope_node_vram_{key}_bytes", node] == \
                row["vram"][f"{key}_bytes"]
        assert found["vramscope_node_age_seconds", node] < 1
        assert abs(found["vramscope_node_clock_offset_seconds", node]) < 0.5
        assert found["vramscope_node_requests_running", node] == row["requests"]["running"]
        assert found["vramscope_node_info", label(
            node=row["node"], version=row["version"], machine=row["machine"])] == 1
        assert 0 < found["vramscope_node_messages_total", node] <= row["messages"]
    for state in ("live", "stale", "outage", "unreadable", "lost"):
        assert found["vramscope_fleet_nodes", label(state=state)] == document["fleet"][state]
    assert found["vramscope_fleet_connected", frozenset()] == 1
    assert found["vramscope_vram_total_bytes", frozenset()] == \
        document["vram"]["total_bytes"]["value"]
    for model in document["models"]:
        labels = label(model=model["model"], model_id=model["model_id"],
                       port=str(model["port"]))
        value = model["vram"]["allocated_bytes"]["value"]
        if value is not None:
            assert found["vramscope_model_allocated_bytes", labels] == value


def test_aggregated():
    document = json.loads(FLEET.gateway.get("/vram/aggregated?window=2")[2])
    event = FLEET.gateway.vram()
    assert document["total_vram_bytes"] == event["total_vram_bytes"]
    assert document["models"] == event["models"] and 5 <= document["sample_count"] <= 11
    assert document["allocated_vram_bytes"]["avg"] == event["allocated_vram_bytes"]
    assert document["num_requests_running"]["max"] == 2.0, document


def test_events():
    events = FLEET.gateway.events()
    found = {name: [e for e in events if e.get("node") == name] for name in "ab"}
    for name, host in FLEET.hosts.items():
        own = json.loads(host.get("/v1/events")[2])["events"]
        kinds = [e["kind"] for e in found[name]]
        assert "node_found" not in kinds, kinds  # it was there when the gateway began
        assert "engine_found" in kinds, (kinds, events)
        for event in own:
            same = [e for e in found[name]
                    if (e["kind"], e["text"]) == (event["kind"], event["text"]) and
                    abs(e["unix_ms"] - event["unix_ms"]) < 500]  # by the gateway's clock
            assert len(same) == 1, (event, found[name])
            assert list(same[0]).index("node") == list(same[0]).index("device") + 1, same
        assert all("node" not in event for event in own)
    ids = [event["id"] for event in events]
    assert ids == sorted(set(ids)), ids
    document = FLEET.gateway.detail()
    assert [e["id"] for e in document["events"]] == ids[-16:]


def test_names_that_are_none():
    gateway, host = FLEET.gateway, FLEET.hosts["a"]
    for path in ("/vram", "/vram/stream", "/vram/aggregated", "/v1/detail",
                 "/v1/detail/stream"):
        for name in ("c", "", "a" * 100, "a%00", "a%2fb", "%ff"):
            status, _, body = gateway.get(f"{path}?node={name}")
            assert status in (400, 404), (path, name, status, body)
            assert status == 400 or json.loads(body)["error"]["code"] == "no-such-node", body
        status, _, body = host.get(f"{path}?node=a")
        assert status == 404 and json.loads(body)["error"]["code"] == "no-gateway", body


def begin_another():
    """How long it takes from its start to an event with all nodes."""
    started = time.monotonic()
    with Gateway(FLEET.broker, interval=500) as second:
        def event():
            with Stream(second) as stream:
                return stream.status == 200 and stream.event()
        said = eventually("an event", event, 5, every=0.02)
        took = time.monotonic() - started
        assert said["models"] == FLEET.gateway.vram()["models"], said  # the first has all
        eventually("both are live", lambda: second.is_live("a", "b"))
    return took


def test_second_gateway_knows_at_once():
    """It keeps nothing on a disk: what nodes say next is all it needs."""
    took = min(begin_another() for _ in range(3))
    assert took < 1, took
    print(f"     {took:.2f} s", flush=True)


def refusal(*arguments):
    done = subprocess.run([DAEMON, "--check-config", *arguments], capture_output=True,
                          text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode, (arguments, done)
    return done.stderr


def test_refused_options():
    assert "--nats" in refusal("--gateway")
    nats = ("--nats", "nats://localhost", "--gateway")
    for more in (("--engine", "http://localhost:8000"), ("--demo",), ("--gpu", "sim"),
                 ("--docker-socket", "/run/docker.sock")):
        said = refusal(*nats, *more)
        assert more[0] in said and "--gateway" in said, said
    said = refusal("--nats", "nats://localhost", "--uplink", "world")
    assert "--uplink" in said and "--gateway" in said, said
    for prefix in ("", ".", "a..b", "a.*", "a.>", "a b", "a.", ".a", "a\n", "x" * 1000,
                   "\u00fc"):
        said = refusal(*nats, "--nats-prefix", prefix)
        assert "--nats-prefix" in said, (prefix, said)
    assert "--uplink" in refusal(*nats, "--uplink", "vramscope")  # which is its own
    assert "--node is given with --gateway" in refusal(*nats, "--node", "eu")
    done = subprocess.run([DAEMON, "--check-config", *nats, "--nats-prefix", "vramscope.eu",
                           "--uplink", "vramscope.world", "--node", "eu"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_scene():
    with FLEET:
        for test in (test_stream_is_the_sum, test_node_is_as_the_node_says, test_detail,
                     test_metrics, test_aggregated, test_events, test_names_that_are_none,
                     test_second_gateway_knows_at_once, test_streams_of_a_node):
            test()
            print(f"     {test.__name__}", flush=True)


if __name__ == "__main__":
    alone()
    run(test_refused_options, test_scene)
