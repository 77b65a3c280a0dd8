# SPDX-License-Identifier: Apache-2.0
"""Nodes that flood a gateway, send it rubbish, or are too many: the others, its readers and
its memory are unharmed."""
import contextlib
import random
import re
import threading
import time

from fleet import GIB, Follower, Gateway, Node, machine_of
from harness import alone, eventually, run
from nats import Broker, Subscriber, as_field, as_varint, encode

NODES_MAX = 4096
TOTAL = 2 * 80 * GIB


@contextlib.contextmanager
def unharmed(*names):
    """A gateway with such nodes, whose figures and readers keep their pace in the block."""
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Broker("max_payload: 4194304\n"))
        nodes = [stack.enter_context(Node(broker, name)) for name in names]
        gateway = stack.enter_context(Gateway(broker))
        gateway.wait_live(*names)
        reader = stack.enter_context(Follower(gateway))
        of_node = stack.enter_context(Follower(gateway, f"/vram/stream?node={names[0]}"))
        since = time.monotonic()
        yield broker, gateway, nodes
        eventually("they are live", lambda: gateway.is_live(*names))
        for follower in (reader, of_node):
            assert not follower.ended and not follower.comments(), follower.comments()
            assert follower.longest_gap(since) < 1.5, follower.longest_gap(since)
        least = len(names) * TOTAL
        assert all(e["total_vram_bytes"] >= least for e in reader.events()), "less than all"
        for name in names:
            assert gateway.nodes()[name]["dropped"] == 0, gateway.nodes()[name]


def flood(client, subject, payload, until, rate):
    """So many messages a second, in bunches."""
    bunch = max(1, rate // 100)
    data = f"PUB {subject} {len(payload)}\r\n".encode() + payload + b"\r\n"
    sent = 0
    while time.monotonic() < until:
        client._send(data * bunch)
        sent += bunch
        time.sleep(bunch / rate)
    return sent


def test_flood():
    with unharmed("a", "b") as (broker, gateway, _), Subscriber(broker, "nobody") as client, \
            Node(broker, "loud", models=8) as loud:
        gateway.wait_live("loud")
        rss = gateway.rss_bytes()
        stop = time.monotonic() + 5
        sent = flood(client, "vramscope.v1.loud.snapshot", encode(loud.message()), stop, 5000)
        assert sent > 8000, sent
        row = eventually("it is counted", lambda: gateway.nodes()["loud"])
        fleet = gateway.fleet()["nats"]
        assert row["dropped"] > sent / 2, (row, sent)
        assert fleet["dropped"] + fleet["missed"] >= sent - 400, (fleet, sent)
        assert row["counted"] and gateway.state("a") == "live", row
        assert gateway.rss_bytes() - rss < 8 << 20, (rss, gateway.rss_bytes())
        gateway.wait_live("loud")
        assert gateway.log().count("\n") < 40, gateway.log()


CHANCE = random.Random(5)
GOOD = encode(Node(None, "rubbish", client=object()).message())


def unreadable():
    """What no reader can make sense of."""
    for size in (0, 1, 2, 100, 4096, 1 << 20):
        yield CHANCE.randbytes(size)
    for cut in range(1, len(GOOD), 7):
        yield GOOD[:cut]
    yield GOOD + as_varint(2 << 3 | 2) + as_varint(1 << 62) + b"x"
    yield GOOD + bytes([0x0b] * 1000)  # groups
    yield GOOD + as_field(1, b"x" * 200) * 5000
    yield b"\xff" * 1000
    yield b"\x00" * 1000


def rubbish():
    """What no node says, and the names to say it by."""
    yield from ((payload, "bad") for payload in unreadable())
    for place in range(0, len(GOOD), 3):
        bad = bytes([GOOD[place] ^ 1 << place % 8])
        yield GOOD[:place] + bad + GOOD[place + 1:], "bits"
    for name in ("another", "\u00fc", "x" * 65, "x" * 3000, "a~b", "%s%n", "<script>", '"',
                 "a\\b", "\x1b[31m", "\x01", "\u202e"):
        yield GOOD, name


def test_rubbish():
    with unharmed("a", "b") as (broker, gateway, _), Subscriber(broker, "nobody") as client:
        rss = gateway.rss_bytes()
        for payload, name in rubbish():
            client.publish(f"vramscope.v1.{name}.snapshot", payload)
            time.sleep(0.01)
        for subject in ("vramscope.v1.snapshot", "vramscope.v1.a.b.snapshot",
                        "vramscope.v1.a.event", "vramscope.v2.a.snapshot"):
            client.publish(subject, b"rubbish")
        eventually("they are counted", lambda: gateway.fleet()["nats"]["malformed"] > 50)
        time.sleep(1)
        rows = gateway.nodes()
        row = rows["bad"]
        assert row["state"] == "unreadable" and row["reason"] and not row["counted"], row
        for name in rows:
            assert re.fullmatch("[A-Za-z0-9_-]{1,64}(@[0-9a-f]{8})?", name), name
        assert rows["a"]["malformed"] == rows["b"]["malformed"] == 0
        assert gateway.rss_bytes() - rss < 8 << 20, (rss, gateway.rss_bytes())
        assert "\x1b" not in gateway.log() and gateway.log().count("\n") < 60, gateway.log()
        assert gateway.get("/metrics")[0] == gateway.get("/v1/detail")[0] == 200


def test_rubbish_under_a_good_name():
    """Somebody else's messages by its name are counted there, and it goes on."""
    with unharmed("a", "b") as (broker, gateway, _), Subscriber(broker, "nobody") as client:
        for payload in unreadable():
            client.publish("vramscope.v1.a.snapshot", payload)
            time.sleep(0.1)  # within what it may send
        row = eventually("it is counted", lambda: (
            lambda row: row["malformed"] > 50 and row)(gateway.nodes()["a"]))
        gateway.wait_live("a")
        assert row["counted"] and not gateway.events("node_lost"), row


def said_by_thousands(n, seq=1):
    """Whole messages of that many nodes, of one GPU each."""
    nodes = Node(None, "n", models=1, devices=1, client=object())
    for i in range(n):
        nodes.name = nodes.gpu_of = f"n{i:05}"
        nodes.seq = seq
        nodes.machine, nodes.boot = machine_of(nodes.name), machine_of(nodes.name)[:16]
        yield nodes.name, encode(nodes.message())


def test_too_many():
    """Those that were there stay; of the others so many as there is room for are taken."""
    thousands = list(said_by_thousands(5000))
    with unharmed("a", "b") as (broker, gateway, _), Subscriber(broker, "nobody") as client:
        rss, ended = gateway.rss_bytes(), threading.Event()

        def say():
            with contextlib.suppress(OSError):
                while not ended.is_set():
                    for i, (name, payload) in enumerate(thousands):
                        client.publish(f"vramscope.v1.{name}.snapshot", payload)
                        if i % 50 == 49:
                            time.sleep(0.01)
        thread = threading.Thread(target=say, daemon=True)
        thread.start()
        eventually("it is full", lambda: gateway.fleet().get("nodes") == NODES_MAX, 15)
        eventually("others are refused", lambda: gateway.fleet()["nats"]["refused"] > 500, 5)
        body = gateway.get("/v1/detail")[2]
        assert len(body) <= 4 << 20, len(body)
        names = list(gateway.nodes())
        assert names == sorted(names) and {"a", "b"} < set(names) and len(names) == NODES_MAX
        for path in ("/vram", "/metrics", "/v1/events", "/vram?node=a"):
            assert gateway.get(path)[0] == 200, path
        assert len(gateway.get("/vram")[2]) < 64 << 10
        full = gateway.rss_bytes()
        assert full - rss < 256 << 20, (rss, full)
        time.sleep(2)
        assert gateway.rss_bytes() - full < 16 << 20, (full, gateway.rss_bytes())
        assert gateway.log().count("\n") < 60, gateway.log()[:4000]
        ended.set()
        thread.join(10)


def test_rows_have_a_limit():
    """600 models on as many ports: the largest have rows, sums have all."""
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Broker())
        for i in range(12):
            stack.enter_context(Node(broker, f"n{i}", models=50, port=1000 + 50 * i,
                                     allocated=(i + 1) << 27, interval=1))
        gateway = stack.enter_context(Gateway(broker))
        gateway.wait_live(*(f"n{i}" for i in range(12)))
        time.sleep(0.5)
        document = gateway.detail()
        assert len(document["models"]) == 512 and document["models_left_out"] == 88
        least = min(m["vram"]["allocated_bytes"]["value"] for m in document["models"])
        assert least == 2 << 27, least
        assert document["vram"]["allocated_bytes"]["value"] == 50 * 78 << 27
        body = gateway.get("/vram")[2]
        assert len(body) < 64 << 10, len(body)
        event = gateway.vram()
        assert event["allocated_vram_bytes"] == 50 * 78 << 27 and len(event["models"]) > 200
        order = [(m["port"], m["model_id"]) for m in event["models"]]
        assert order == sorted(order)


alone()
run(test_flood, test_too_many, at_once=(
    test_rubbish, test_rubbish_under_a_good_name, test_rows_have_a_limit))
