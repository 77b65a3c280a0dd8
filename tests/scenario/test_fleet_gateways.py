# SPDX-License-Identifier: Apache-2.0
"""Several gateways: one beside another, of which one dies, and one of gateways."""
import contextlib
import json
import pathlib
import time

import schema

from fleet import DOCUMENT, GIB, Follower, Gateway, Node
from harness import Stream, alone, eventually, run
from nats import Broker, Subscriber, decode

SCHEMA = schema.Schema(json.loads(
    (pathlib.Path(__file__).resolve().parents[2] / "docs/detail.schema.json").read_text()))
TOTAL = 2 * 80 * GIB
NAMES = ("a", "b", "c")


class Returning(Stream):
    """A reader of /v1/detail/stream of a node who has seen a document."""

    def __init__(self, daemon, node, last_id):
        super().__init__(daemon, f"/v1/detail/stream?node={node}",
                         fields=f"Last-Event-ID: {last_id}\r\n")

    def document(self):
        while True:
            match = DOCUMENT.fullmatch(self.piece())
            if match:
                return json.loads(match[3])


def comparable(document):
    """What two gateways must say alike: not whose it is, when, or what watching cost."""
    kept = {key: value for key, value in document.items()
            if key in ("vram", "kv_cache", "prefix_cache", "models", "nodes", "fleet")}
    kept = json.loads(json.dumps(kept))
    kept["fleet"].pop("nats")
    for row in kept["nodes"]:
        for key in ("age_ms", "seq", "messages", "clock_offset_ms"):
            row.pop(key)
    for row in kept["models"]:
        row.pop("age_ms", None)
    return kept


def test_one_of_two_dies():
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Broker())
        nodes = [stack.enter_context(Node(broker, name)) for name in NAMES]
        one, two = (stack.enter_context(Gateway(broker)) for _ in range(2))
        for gateway in (one, two):
            gateway.wait_live(*NAMES)
        time.sleep(0.5)
        assert comparable(one.detail()) == comparable(two.detail())
        boots = {one.detail()["boot"], two.detail()["boot"]}
        assert len(boots) == 2, boots
        reader = stack.enter_context(Follower(two))
        of_node = stack.enter_context(Follower(one, "/v1/detail/stream?node=a"))
        stack.enter_context(Follower(two, "/v1/detail/stream?node=a"))  # it keeps a few
        eventually("documents", lambda: len(of_node.events()) >= 4)
        since = time.monotonic()
        one.process.kill()
        one.process.wait()
        last = of_node.events()[-1]
        with Returning(two, "a", f"{last['boot']}-{last['seq']}") as stream:
            assert stream.status == 200
            seqs = [stream.document()["seq"] for _ in range(4)]
        assert seqs == sorted(set(seqs)) and 0 < seqs[0] - last["seq"] <= 3, (last, seqs)
        time.sleep(1)
        assert reader.longest_gap() < 0.8 and not reader.comments(), reader.longest_gap()
        assert {e["total_vram_bytes"] for e in reader.events(since)} == {3 * TOTAL}
        assert not two.events("node_lost")
        del nodes


def world(stack, broker, nodes=None):
    """Two regions with nodes of their own, and a gateway of their gateways."""
    regions = {}
    for region, names in (("eu", ("a", "b")), ("us", ("a", "c", "d"))):
        prefix = f"vramscope.{region}"
        for name in names:
            node = stack.enter_context(Node(broker, name, prefix=prefix, machine=(
                region + name).encode().hex().rjust(32, "0"), gpu_of=region + name))
            if nodes is not None:
                nodes[region, name] = node
        regions[region] = stack.enter_context(region_gateway(broker, region))
    for region, names in (("eu", ("a", "b")), ("us", ("a", "c", "d"))):
        regions[region].wait_live(*names)
    top = stack.enter_context(Gateway(broker, "--nats-prefix", "vramscope.world"))
    top.wait_live("eu", "us")
    return regions, top


def region_gateway(broker, region):
    return Gateway(broker, "--nats-prefix", f"vramscope.{region}", "--uplink",
                   "vramscope.world", "--node", region)


def has_total(gateway, n):
    document = gateway.vram()
    return document is not None and document["total_vram_bytes"] == n * TOTAL


def test_gateway_of_gateways():
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Broker())
        nodes = {}
        regions, top = world(stack, broker, nodes)
        eventually("all five", lambda: has_total(top, 5), 3)
        assert has_total(regions["eu"], 2) and has_total(regions["us"], 3)
        rows = top.nodes()
        assert {(n, r["gateway"], r["nodes"], r["gpus"]) for n, r in rows.items()} == {
            ("eu", True, 2, 4), ("us", True, 3, 6)}, rows
        for query in ("", "?node=eu"):
            SCHEMA.validate(schema.loads(top.get(f"/v1/detail{query}")[2]))
        fleet = top.fleet()
        assert fleet["gpus"] == 10 and fleet["requests"]["running"] == 15, fleet
        event, own = top.vram(), [gateway.vram() for gateway in regions.values()]
        for key in ("allocated_vram_bytes", "used_kv_cache_bytes"):
            assert event[key] == sum(part[key] for part in own), (key, event, own)
        assert event["models"][0]["allocated_vram_bytes"] == 5 * 30 * GIB, event
        assert event["prefix_cache_hit_rate"] == 40.0, event
        row = next(iter(top.detail()["models"]))
        assert row["requests"]["running"] == 15 and row["kv_cache"]["used_bytes"][
            "value"] == 5 * GIB, row
        assert top.json("/vram?node=eu")[1]["total_vram_bytes"] == 2 * TOTAL

        # Another of eu, as it should be: the same sum, which counts once.
        reader = stack.enter_context(Follower(top))
        second = stack.enter_context(region_gateway(broker, "eu"))
        second.wait_live("a", "b")
        time.sleep(4)
        assert has_total(top, 5), top.nodes()
        assert not top.events("node_name_taken"), top.events()
        assert top.json("/vram?node=eu")[1]["total_vram_bytes"] == 2 * TOTAL
        nodes["eu", "b"].tell("gpu_lost", "it fell off the bus")
        lost = eventually("the event", lambda: top.events("gpu_lost"), 3)
        time.sleep(1)
        assert top.events("gpu_lost") == lost and len(lost) == 1, top.events()
        assert (lost[0]["node"], lost[0]["text"]) == ("eu", "b: it fell off the bus"), lost
        regions["eu"].process.kill()
        regions["eu"].process.wait()
        time.sleep(2)
        assert has_total(top, 5), top.nodes()
        eventually("one eu is left", lambda: top.fleet()["counted"] == 2 and [
            r["state"] for r in top.nodes().values() if r["counted"]] == ["live"] * 2, 12)
        time.sleep(9.5)
        totals = {e["total_vram_bytes"] for e in reader.events()}
        assert totals == {5 * TOTAL} and not reader.comments(), totals
        assert reader.longest_gap() < 1, reader.longest_gap()


def test_a_region_is_lost():
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Broker())
        regions, top = world(stack, broker)
        heard = stack.enter_context(Subscriber(broker, "vramscope.>"))
        eventually("all five", lambda: has_total(top, 5), 3)
        time.sleep(1)
        subjects = {subject.rsplit(".", 1)[0] for _, subject, _ in heard.got}
        assert subjects == {"vramscope.eu.v1.a", "vramscope.eu.v1.b", "vramscope.us.v1.a",
                            "vramscope.us.v1.c", "vramscope.us.v1.d", "vramscope.world.v1.eu",
                            "vramscope.world.v1.us"}, subjects
        regions["us"].process.kill()
        regions["us"].process.wait()
        eventually("its nodes are left out", lambda: has_total(top, 2), 13)
        assert [e["node"] for e in top.events("node_lost")] == ["us"], top.events()
        again = stack.enter_context(region_gateway(broker, "us"))
        again.wait_live("a", "c", "d")
        eventually("all five again", lambda: has_total(top, 5), 3)


def is_in_loop(gateway, name):
    """All that go by that name are."""
    rows = [row for called, row in gateway.nodes().items() if called.split("@")[0] == name]
    return rows and all(not row["counted"] and "loop of uplinks" in (row["reason"] or "")
                        for row in rows)


def test_a_loop_by_mistake():
    """Regions eu, of two gateways, and world, which sums up eu and publishes to it."""
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Broker())
        for region in ("eu", "world"):
            stack.enter_context(Node(broker, f"{region}1", prefix=f"vramscope.{region}"))
        prefix = ("--nats-prefix", "vramscope.world")
        looped = [stack.enter_context(gateway) for gateway in (
            region_gateway(broker, "eu"), region_gateway(broker, "eu"),
            Gateway(broker, *prefix, "--uplink", "vramscope.eu", "--node", "top"))]
        heard = stack.enter_context(Subscriber(broker, "vramscope.>"))
        for gateway, name in zip(looped, ("top", "top", "eu")):
            eventually("the loop is seen", lambda: is_in_loop(gateway, name), 5)
        time.sleep(0.5)
        readers = [stack.enter_context(Follower(gateway)) for gateway in looped]
        time.sleep(3)
        for gateway, reader, name in zip(looped, readers, ("top", "top", "eu")):
            totals = {e["total_vram_bytes"] for e in reader.events()}
            assert totals == {TOTAL} and not reader.comments(), (name, totals)
            row = gateway.nodes()[name] if name == "top" else next(
                r for n, r in gateway.nodes().items() if n.startswith("eu@"))
            assert (row["state"], row["counted"]) == ("live", False), row
            assert row["reason"] == "it sums up this gateway: a loop of uplinks", row
            assert gateway.log().count("a loop of uplinks") in (1, 2), gateway.log()
        vias = {subject: decode(payload)["head"]["via"] for _, subject, payload in heard.got
                if subject.endswith(".snapshot")}
        assert vias["vramscope.world.v1.eu.snapshot"] == vias["vramscope.eu.v1.top.snapshot"]
        assert len(vias["vramscope.eu.v1.top.snapshot"]) == 2, vias
        assert vias["vramscope.eu.v1.eu1.snapshot"] is None, vias

        # The mistake is mended.
        looped[2].process.kill()
        looped[2].process.wait()
        top = stack.enter_context(Gateway(broker, *prefix))
        eventually("both regions", lambda: has_total(top, 2), 5)
        assert all(row["reason"] is None or "same fleet" in row["reason"]
                   for row in top.nodes().values()), top.nodes()
        assert all(has_total(gateway, 1) for gateway in looped[:2])


alone()
run(at_once=(test_one_of_two_dies, test_gateway_of_gateways, test_a_region_is_lost,
             test_a_loop_by_mistake))
