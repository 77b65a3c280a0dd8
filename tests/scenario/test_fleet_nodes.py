# SPDX-License-Identifier: Apache-2.0
"""What a gateway makes of nodes that fall silent, whose clocks are wrong, that have one name
or one machine between them, and that are of another version."""
import contextlib
import json
import os
import pathlib
import struct
import time

import schema
from fleet import DOCUMENT, GIB, Dark, Follower, Gateway, Node, measured
from harness import Stream, alone, eventually, run
from nats import Broker, as_field, encode

SCHEMA = schema.Schema(json.loads(
    (pathlib.Path(__file__).resolve().parents[2] / "docs/detail.schema.json").read_text()))
HOUR, YEAR = 3600, 365 * 86400
TOTAL = 2 * 80 * GIB  # of a node


def total(gateway):
    document = gateway.vram()
    return document and document["total_vram_bytes"]


def counted(gateway, nodes):
    """Whether the sum is that of so many."""
    return total(gateway) == nodes * TOTAL


def wait_counted(gateway, nodes, seconds=5):
    eventually(f"{nodes} are counted", lambda: counted(gateway, nodes), seconds)


def code(gateway, path):
    status, document = gateway.json(path)
    return status, document.get("error", {}).get("code")


def test_silent_node():
    with Broker() as broker, Node(broker, "a") as a, Node(broker, "b"), \
            Gateway(broker) as gateway:
        gateway.wait_live("a", "b")
        with Follower(gateway) as reader, \
                Follower(gateway, "/vram/stream?node=a") as of_node, \
                Follower(gateway, "/v1/detail/stream?node=a") as details:
            assert of_node.status == details.status == 200
            a.pause()
            silent = time.monotonic()
            eventually("it is stale", lambda: gateway.state("a") == "stale", 5)
            stale = time.monotonic()
            assert 1.5 < stale - silent < 3.5, stale - silent
            row = gateway.nodes()["a"]
            assert row["counted"] and row["reason"] and row["age_ms"] >= 1500, row
            assert counted(gateway, 2) and gateway.fleet()["stale"] == 1
            assert gateway.nodes()["b"]["state"] == "live"
            eventually("its readers hear", lambda: of_node.comments(silent) and
                       details.comments(silent), 3)
            for path in ("/vram", "/vram/stream", "/v1/detail", "/vram/aggregated",
                         "/v1/detail/stream"):
                status, headers, body = gateway.get(f"{path}?node=a")
                assert status == 503 and int(headers["Retry-After"]) > 0, (path, status)
                assert json.loads(body)["error"]["code"] == "node-stale", body
            eventually("it is lost", lambda: gateway.state("a") == "lost", 12)
            took = time.monotonic() - silent
            assert 9 < took < 13, took
            eventually("it is left out", lambda: counted(gateway, 1), 3)
            row = gateway.nodes()["a"]
            assert not row["counted"] and row["reason"], row
            assert code(gateway, "/v1/detail?node=a") == (503, "node-lost")
            lost = eventually("it is told", lambda: gateway.events("node_lost"))
            assert [(e["node"], e["severity"]) for e in lost] == [("a", "critical")], lost
            found = b'vramscope_node_up{node="a"} 0\n'
            assert found in gateway.get("/metrics")[2]
            since = time.monotonic()
            a.resume()
            eventually("it is back", lambda: counted(gateway, 2))
            took = time.monotonic() - since
            assert took < 2, took
            gateway.wait_live("a")
            with Node(broker, "newcomer"):
                found = eventually("it is found", lambda: gateway.events("node_found"))
                assert [e["node"] for e in found] == ["newcomer"], found
            back = eventually("that is told", lambda: gateway.events("node_back"))
            assert [e["node"] for e in back] == ["a"], back
            eventually("its readers have it", lambda: of_node.events(since) and
                       details.events(since))
            for follower in (of_node, details):
                said = follower.comments(silent)
                assert len(said) > 20 and not follower.ended, said
                assert follower.longest_gap(stale) < 1, follower.longest_gap(stale)
            assert reader.longest_gap() < 1 and not reader.comments(), reader.longest_gap()


def test_outage_of_a_node():
    with Broker() as broker, Node(broker, "a") as a, Node(broker, "b") as b, \
            Gateway(broker) as gateway:
        gateway.wait_live("a", "b")
        wait_counted(gateway, 2)
        with Follower(gateway) as reader:
            a.outage = ("driver-silent", "the driver says nothing")
            eventually("it is known", lambda: gateway.state("a") == "outage")
            row = gateway.nodes()["a"]
            assert not row["counted"] and "the driver says nothing" in row["reason"], row
            assert counted(gateway, 1) and gateway.fleet()["outage"] == 1
            assert code(gateway, "/vram?node=a") == (503, "node-outage")
            a.outage = None
            wait_counted(gateway, 2, 2)
            assert gateway.json("/vram?node=a")[0] == 200
            since = time.monotonic()
            a.outage = b.outage = ("driver-silent", "the driver says nothing")
            eventually("nothing is left", lambda: reader.comments(since))
            assert gateway.get("/vram")[0] == 503
            assert gateway.detail() is None or gateway.fleet()["outage"] == 2
            a.outage = b.outage = None
            wait_counted(gateway, 2, 2)


def is_outage(status, headers, body, outage):
    """Whether an answer is the 503 that says the same as a document's `outage`."""
    assert status == 503 and headers["Retry-After"] == "1", (status, headers)
    return json.loads(body)["error"] == outage


def ids_of(pieces):
    """[(boot, seq, whether it tells of an outage), ...] of a detail stream."""
    found = [DOCUMENT.fullmatch(piece) for piece in pieces]
    assert all(found), pieces
    return [(m[1].decode(), int(m[2]), b'"outage":{' in m[3]) for m in found]


def check_nobody(gateway, document):
    """None of three nodes counts: all is told of them, and nothing is made of it."""
    SCHEMA.validate(document)
    assert not SCHEMA.undescribed(document), SCHEMA.undescribed(document)
    rows = {row["node"]: row for row in document["nodes"]}
    assert {name: row["state"] for name, row in rows.items()} == {
        "a": "lost", "b": "lost", "c": "outage"}, rows
    assert "nothing" in rows["a"]["reason"] and rows["c"]["reason"] == "the driver says nothing"
    assert rows["a"]["vram"]["total_bytes"] == TOTAL and not rows["a"]["counted"], rows["a"]
    assert document["models"] == document["devices"] == document["processes"] == []
    for figure in (document["vram"]["total_bytes"], document["vram"]["allocated_bytes"],
                   document["fleet"]["kv_pool_bytes"]):
        assert figure["value"] is None and figure["reason"], figure
    assert document["kv_cache"]["used_bytes"] is document["prefix_cache"]["hit_percent"] is None
    outage = document["outage"]
    assert outage["code"] == "no-nodes" and "2 lost, 1 in an outage" in outage["message"]
    assert {e["node"] for e in document["events"] if e["kind"] == "node_lost"} == {"a", "b"}
    for path in ("/vram", "/vram/stream", "/vram/aggregated", "/readyz", "/healthz"):
        assert is_outage(*gateway.get(path), outage), path
    assert code(gateway, "/v1/advice") == (404, "not-found")
    assert b"vramscope_up 0\n" in gateway.get("/metrics")[2]
    status, headers, body = gateway.get("/v1/detail", method="HEAD")
    assert status == 200 and body == b"" and "Retry-After" not in headers, headers


def check_streams(gateway, details, seeds):
    """Its documents are numbered on; who comes back gets what was missed."""
    with_ids = ids_of(details.pieces())
    assert with_ids[-1][2] and not with_ids[0][2], with_ids
    assert len({boot for boot, _, _ in with_ids}) == 1
    numbers = [number for _, number, _ in with_ids]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), numbers
    boot, number, _ = with_ids[-1]
    last_id = f"Last-Event-ID: {boot}-{number - 3}\r\n"
    with Stream(gateway, "/v1/detail/stream", fields=last_id) as stream:
        assert stream.status == 200
        found = ids_of([stream.piece() for _ in range(4)])
        assert found == [*with_ids[-3:], (boot, number + 1, True)], (with_ids[-4:], found)
    assert seeds.comments() and "2 lost" in seeds.comments()[-1], seeds.comments()[-1:]
    assert not details.comments() and not details.ended


def test_no_node_counts():
    paths = ("/v1/detail/stream", "/vram/stream")
    with Dark(*paths) as dark:
        gateway, (details, seeds) = dark.gateway, (dark.readers[path] for path in paths)
        document = dark.wait()
        assert 9 < time.monotonic() - dark.silent < 14
        check_nobody(gateway, document)
        check_streams(gateway, details, seeds)
        since = time.monotonic()
        dark.nodes["a"].resume()
        eventually("figures on both streams", lambda: seeds.events(since) and
                   "outage" not in details.events(since)[-1], 3)
        time.sleep(0.3)
        document = details.events()[-1]
        assert document["vram"]["total_bytes"]["value"] == TOTAL, document["vram"]
        assert seeds.events()[-1]["total_vram_bytes"] == TOTAL
        assert document["fleet"]["counted"] == 1 and len(document["models"]) == 1
        assert details.longest_gap() < 1.5 and not details.ended and not seeds.ended
        assert "nodes' figures are back" in gateway.log()


def test_no_node_was_heard():
    """There is nothing to tell: who asks is asked to come back, or goes to another gateway."""
    with Broker() as broker, Gateway(broker) as gateway:
        eventually("it says so", lambda: code(gateway, "/v1/detail") == (503, "no-nodes"))
        for path in ("/vram", "/v1/detail", "/v1/detail/stream"):
            status, headers, _ = gateway.get(path)
            assert status == 503 and headers["Retry-After"] == "1", (path, headers)
        assert code(gateway, "/v1/advice") == (404, "not-found")
        with Node(broker, "a"):
            gateway.wait_live("a", seconds=3)
            broker.kill()
            eventually("it is cut off", lambda: "outage" in (gateway.detail() or {}), 14)
            document = gateway.detail()
            SCHEMA.validate(document)
            assert document["outage"]["code"] == "nats-lost", document["outage"]
            assert not document["fleet"]["nats"]["connected"]
            assert gateway.state("a") == "lost"


def test_clocks():
    hours = {"true": 0, "early": -9 * HOUR, "late": 5 * HOUR, "old": -20 * YEAR,
             "new": 100 * YEAR}
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Broker())
        for i, (name, offset) in enumerate(hours.items()):
            stack.enter_context(Node(broker, name, offset_s=offset,
                                     skew_ns=-time.monotonic_ns() + i * 10 ** 16))
        gateway = stack.enter_context(Gateway(broker))
        gateway.wait_live(*hours)
        time.sleep(3)
        nodes = gateway.nodes()
        for name, offset in hours.items():
            row = nodes[name]
            assert row["state"] == "live" and row["age_ms"] < 1000, row
            assert abs(row["clock_offset_ms"] - offset * 1000) < 1000, row
        assert counted(gateway, len(hours))
        assert not gateway.events("node_lost")


def test_what_waited_on_the_way():
    """It is as old as its node's own clock says, though it comes each 250 ms."""
    with Broker() as broker, Node(broker, "five") as five, Node(broker, "twelve") as twelve, \
            Node(broker, "quick"), Gateway(broker) as gateway:
        gateway.wait_live("five", "twelve", "quick")
        five.delay_s, twelve.delay_s, start = 5, 12, time.monotonic()
        before = gateway.nodes()
        time.sleep(6)
        for _ in range(8):
            row = gateway.nodes()["five"]
            assert row["state"] == "stale" and 4500 < row["age_ms"] < 6500, row
            assert row["counted"], row
            time.sleep(0.1)
        assert row["messages"] >= before["five"]["messages"] + 4, row
        time.sleep(max(0, start + 13.5 - time.monotonic()))
        row = gateway.nodes()["twelve"]
        assert row["state"] == "lost" and not row["counted"] and row["age_ms"] > 11500, row
        assert row["messages"] >= before["twelve"]["messages"] + 4, row
        assert not gateway.events("node_back"), gateway.events()
        wait_counted(gateway, 2, 1)
        for node in (five, twelve):
            node.be_prompt()
        gateway.wait_live("five", "twelve", "quick", seconds=2)
        wait_counted(gateway, 3, 1)


def test_one_name_of_two_machines():
    machines = ["1" * 32, "2" * 32]
    with Broker() as broker, Node(broker, "same", machine=machines[0], gpu_of="x"), \
            Node(broker, "other") as other, Gateway(broker) as gateway:
        gateway.wait_live("same", "other")
        time.sleep(0.3)
        names = [f"same@{machine[:8]}" for machine in machines]
        with Follower(gateway) as reader:
            with Node(broker, "same", machine=machines[1], gpu_of="y"):
                eventually("both are shown", lambda: gateway.is_live(*names), 6)
                assert "same" not in gateway.nodes(), list(gateway.nodes())
                wait_counted(gateway, 3, 2)
                time.sleep(1)
                assert counted(gateway, 3)
                for name, machine in zip(names, machines):
                    row = gateway.nodes()[name]
                    assert row["name_taken"] and row["machine"] == machine, row
                    own = gateway.detail(name)
                    assert own["boot"] == row["boot"], (own["boot"], row)
                assert code(gateway, "/v1/detail?node=same") == (409, "ambiguous-node")
                message = gateway.json("/vram?node=same")[1]["error"]
                assert all(name in str(message) for name in names), message
                told = gateway.events("node_name_taken")
                assert told and told[0]["severity"] == "warning", told
                assert not gateway.nodes()["other"]["name_taken"]
            eventually("one is left", lambda: "same" in gateway.nodes(), 14)
            wait_counted(gateway, 2, 2)
            sums = {event["total_vram_bytes"] for event in reader.events()}
            assert sums <= {2 * TOTAL, 3 * TOTAL}, sums
        del other


def test_one_machine_twice():
    """The same GPUs under two names, as of a daemon in a container beside another."""
    machine = "3" * 32
    with Broker() as broker, Node(broker, "first", machine=machine, gpu_of="m") as first, \
            Gateway(broker) as gateway:
        gateway.wait_live("first")
        time.sleep(0.05)  # who began later is told by milliseconds
        with Follower(gateway) as reader, \
                Node(broker, "second", machine=machine, gpu_of="m") as second:
            gateway.wait_live("first", "second")
            time.sleep(1)
            rows = gateway.nodes()
            assert rows["second"]["counted"] and not rows["first"]["counted"], rows
            assert rows["first"]["reason"], rows["first"]
            assert counted(gateway, 1) and gateway.fleet()["counted"] == 1
            assert gateway.json("/vram?node=first")[0] == 200
            second.pause()
            eventually("the other takes its place",
                       lambda: gateway.nodes()["first"]["counted"], 13)
            assert {e["total_vram_bytes"] for e in reader.events()} == {TOTAL}
        del first
    with Broker() as broker, Node(broker, "one", machine=machine, gpu_of="m1"), \
            Node(broker, "two", machine=machine, gpu_of="m2"), Gateway(broker) as gateway:
        gateway.wait_live("one", "two")  # a cloned machine id, or half of the GPUs each
        time.sleep(1)
        assert counted(gateway, 2), gateway.nodes()


def test_restart():
    with Broker() as broker, Node(broker, "a") as a, Node(broker, "b"), \
            Gateway(broker) as gateway:
        gateway.wait_live("a", "b")
        a.seq = 1000
        eventually("it counts", lambda: gateway.detail("a")["seq"] > 1000)
        with Follower(gateway) as reader, \
                Follower(gateway, "/v1/detail/stream?node=a") as details:
            eventually("documents", lambda: len(details.events()) > 2)
            boots = [a.boot]
            for _ in range(3):
                a.restart()
                boots.append(a.boot)
                eventually("the new run", lambda: gateway.nodes()["a"]["boot"] == a.boot)
                assert gateway.nodes()["a"]["seq"] < 1000
                time.sleep(0.5)
            time.sleep(0.5)
            found = details.events()
            assert list(dict.fromkeys(d["boot"] for d in found)) == boots, boots
            for boot in boots:
                seqs = [d["seq"] for d in found if d["boot"] == boot]
                assert seqs == sorted(set(seqs)), seqs
            assert not details.ended and details.longest_gap() < 1.5
            assert {e["total_vram_bytes"] for e in reader.events()} == {2 * TOTAL}
        nodes = gateway.nodes()
        assert list(nodes) == ["a", "b"] and not nodes["a"]["name_taken"], nodes
        assert not gateway.events("node_name_taken") and not gateway.events("node_lost")


def strange_fields():
    """Of all wire types that may still come, with numbers that nobody knows."""
    return (as_field(900, 7) + as_field(901, b"new" * 50) + as_field(902, 2.5) +
            bytes([0xb5, 0x38]) + struct.pack("<I", 5) +  # a fixed32
            as_field(100000, 1 << 63))


def newer(said):
    said["more"] = strange_fields()
    for part in ("head", "totals", "self"):
        said[part]["more"] = strange_fields()
    for part in ("source", "device", "model", "event"):
        for one in said[part]:
            one["more"] = strange_fields()
    said["model"][0]["state"] = 77
    said["totals"]["total_bytes"]["more"] = strange_fields()
    said["event"].append({**said["event"][-1], "kind": "gpu_melted", "id": 2})


def older(said):
    """Without what came to be known later."""
    for key in ("gateway", "nodes", "started_unix_ms", "interval_ms"):
        said["head"][key] = 0
    said.pop("self")
    for model in said["model"]:
        for key in ("engine", "kv_groups", "data_parallel_engines", "kv_pool_bytes"):
            model[key] = None


def another_format(said):
    said["format"] = 2


def test_versions():
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Broker())
        nodes = {name: stack.enter_context(Node(broker, name))
                 for name in ("now", "newer", "older", "future")}
        for name, change in (("newer", newer), ("older", older), ("future", another_format)):
            nodes[name].change = change
        nodes["newer"].tell("engine_found", "a model was found")
        gateway = stack.enter_context(Gateway(broker))
        gateway.wait_live("now", "newer", "older")
        eventually("it cannot be read", lambda: gateway.state("future") == "unreadable")
        wait_counted(gateway, 3)
        rows = gateway.nodes()
        row = rows["future"]
        assert not row["counted"] and row["malformed"] > 0 and "format" in row["reason"], row
        assert row["gpus"] is None and row["vram"]["total_bytes"] is None, row
        assert all(rows[name]["malformed"] == 0 for name in ("now", "newer", "older")), rows
        states = {m["state"] for m in gateway.detail("newer")["models"]}
        assert states == {"unreachable"}, states
        assert gateway.detail("older")["devices"][0]["total_bytes"] == 80 * GIB
        assert code(gateway, "/vram?node=future")[0] == 503
        told = [e["kind"] for e in gateway.events() if e.get("node") == "newer"]
        assert "engine_found" in told and "gpu_melted" not in told, told
        assert gateway.log().count("future") in (1, 2, 3), gateway.log()
        nodes["future"].change = lambda said: None
        gateway.wait_live("future")
        wait_counted(gateway, 4)
        nodes["now"].change = another_format  # of one that could be read before
        eventually("it is lost", lambda: gateway.state("now") == "lost", 14)
        wait_counted(gateway, 3)
        assert gateway.nodes()["now"]["malformed"] > 30, gateway.nodes()["now"]


def test_figures_that_no_host_has():
    """Sums stay sums: nothing wraps around, and what one does not know is not 0 of all."""
    huge = measured((1 << 63) - 1)
    with Broker() as broker, Node(broker, "a"), Node(broker, "liar") as liar, \
            Node(broker, "blind") as blind, Gateway(broker) as gateway:
        gateway.wait_live("a", "liar", "blind")

        def lie(said):
            said["totals"]["total_bytes"] = said["totals"]["allocated_bytes"] = huge
            said["totals"]["kv_used_bytes"] = (1 << 64) - 2
            said["model"][0]["allocated_bytes"] = huge
            said["model"][0]["requests_running"] = (1 << 64) - 2
        liar.change = lie

        def hide(said):
            unknown = {"value": None, "from": 0, "reason": "hidden", "error": None}
            said["totals"]["kv_used_bytes"], said["totals"]["kv_unknown"] = None, 1
            said["model"][0]["kv_used_bytes"] = said["model"][0]["kv_pool_bytes"] = unknown
            said["model"][0]["requests_running"] = None
        blind.change = hide
        time.sleep(1)
        with Follower(gateway) as reader:
            time.sleep(1.5)
            for event in reader.events():
                numbers = [v for v in event.values() if isinstance(v, (int, float))]
                assert all(0 <= v < 1 << 63 for v in numbers), event
                for row in event["models"]:
                    assert 0 <= row["allocated_vram_bytes"] < 1 << 63, row
            assert reader.longest_gap() < 1
        gateway.detail()
        liar.change = lambda said: None
        eventually("all is well", lambda: gateway.fleet()["requests"]["running"] == 6, 5)
        document = gateway.detail()
        assert document["kv_cache"]["unknown_models"] == 1, document["kv_cache"]
        assert document["kv_cache"]["used_bytes"] == 2 * GIB, document["kv_cache"]
        assert document["fleet"]["kv_pool_unknown_models"] == 1, document["fleet"]
        assert document["fleet"]["kv_pool_bytes"]["value"] == 20 * GIB
        row = gateway.nodes()["blind"]
        assert row["requests"]["running"] is None, row


alone()
run(at_once=(test_silent_node, test_outage_of_a_node, test_no_node_counts,
             test_no_node_was_heard, test_clocks,
             test_what_waited_on_the_way, test_one_name_of_two_machines,
             test_one_machine_twice, test_restart, test_versions,
             test_figures_that_no_host_has))
