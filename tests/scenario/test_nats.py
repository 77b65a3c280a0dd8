# SPDX-License-Identifier: Apache-2.0
"""What is published to a NATS server: each tick's snapshot and each event, never what is
old, and nothing of ours waits for it."""
import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import threading
import time

from harness import (DAEMON, Daemon, Engine, FakeDriver, Stream, alone, eventually, free_port,
                     page_answer, run, vllm_page)
from nats import Broker, Certificates, Identity, Subscriber
from standstill import intervals

INTERVAL_MS = 100
QUIET = ("--no-discover", "--interval", INTERVAL_MS, "--history", "off")


class Node(Daemon):
    """A daemon that publishes as `name`, with one simulated device and one engine."""

    def __init__(self, broker, *arguments, name="gpu1", driver=None, **options):
        given = ("--gpu", "sim", "--sim-dir", driver.path) if driver else ("--gpu", "none")
        url = broker if isinstance(broker, str) else broker.url
        super().__init__(*QUIET, *given, "--nats", url, "--node", name, *arguments,
                         **options)

    def detail(self):
        return json.loads(self.get("/v1/detail")[2])

    def nats(self):
        return self.detail()["self"]["nats"]

    def is_connected(self):
        return self.nats()["connected"]


def figure_of(document, message):
    """The same figure in both."""
    names = ("unknown", "measured", "engine", "derived", "estimated")
    return (document["value"] == message["value"] and
            document["from"] == names[message["from"]] and
            (document["reason"] or "") == message["reason"] and
            document["error"] == message["error"])


def compare(document, message):
    head, totals, vram = message["head"], message["totals"], document["vram"]
    assert head["boot"] == document["boot"], head
    assert head["version"] == document["version"], head
    assert head["interval_ms"] == document["interval_ms"] == INTERVAL_MS, head
    assert head["unix_ms"] == document["unix_ms"], head
    assert re.fullmatch("[0-9a-f]{32}", head["machine"]), head
    for key in ("total_bytes", "allocated_bytes"):
        assert figure_of(vram[key], totals[key]), (vram[key], totals[key])
    for key in ("models_bytes", "other_bytes", "orphan_bytes", "unattributed_bytes"):
        assert vram[key] == totals[key], key
    assert document["kv_cache"]["used_bytes"] == totals["kv_used_bytes"]
    assert len(document["devices"]) == len(message["device"]) == 2
    for one, other in zip(document["devices"], message["device"]):
        for key in ("index", "uuid", "name", "total_bytes", "used_bytes", "reserved_bytes",
                    "processes_bytes", "models_bytes", "other_bytes", "unattributed_bytes",
                    "instance"):
            assert one[key] == other[key], (key, one, other)
        assert figure_of(one["kv_pool_bytes"], other["kv_pool_bytes"]), (one, other)
    assert len(document["models"]) == len(message["model"]) == 1
    compare_models(document["models"][0], message["model"][0])
    assert len(document["processes"]) == len(message["process"])
    assert len(document["events"]) == len(message["event"]) > 0
    for one, other in zip(document["events"], message["event"]):
        assert (one["id"], one["kind"], one["text"], one["unix_ms"]) == (
            other["id"], other["kind"], other["text"], other["unix_ms"]), (one, other)
    for one in message["limited"]:
        assert document["self"]["limited"][one["what"]] == one["total"], one


def compare_models(one, other):
    states = ("loading", "starting", "ready", "sleeping", "metrics-disabled", "unreachable")
    kv, requests = one["kv_cache"], one["requests"]
    assert (one["model"], one["model_id"], one["port"]) == (
        other["model"], other["model_id"], other["port"]), other
    assert one["state"] == states[other["state"]], other
    assert figure_of(one["vram"]["allocated_bytes"], other["allocated_bytes"]), other
    assert figure_of(kv["used_bytes"], other["kv_used_bytes"]), other
    assert figure_of(kv["capacity_bytes"], other["kv_pool_bytes"]), other
    assert (kv["usage_ratio"], kv["used_blocks"], kv["blocks"], kv["dtype"]) == (
        other["kv_usage_ratio"], other["kv_used_blocks"], other["kv_blocks"],
        other["kv_dtype"]), other
    assert requests["running"] == other["requests_running"] == 1
    assert requests["waiting"] == other["requests_waiting"] == 0  # which is not unknown
    assert requests["preemptions"] is other["preemptions"] is None
    assert one["prefix_cache"]["lifetime"]["queries"] == other["prefix_lifetime_queries"]


def test_each_tick():
    page = vllm_page(model="org/M\u00fcller", usage=0.25, queries=100, hits=40)
    with Broker() as broker, Subscriber(broker) as reader, FakeDriver() as driver, \
            Engine(page_answer(page)) as engine, \
            Node(broker, "--engine", engine.url, driver=driver) as node:
        driver.hold(os.getpid(), 1, 5 << 30)
        eventually("snapshots with the engine", lambda: any(
            m["model"] and m["process"] and m["model"][0]["state"] == 2
            for m in reader.snapshots()[-2:]))

        def both():
            document = node.detail()
            same = [m for m in reader.snapshots() if m["totals"]["seq"] == document["seq"]]
            return same and (document, same[0])
        compare(*eventually("the same snapshot twice", both))

        start = time.monotonic()
        time.sleep(2)
        seqs = [m["totals"]["seq"] for m in reader.snapshots(start)]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs))), seqs
        assert 18 <= len(seqs) <= 22, seqs
        assert {subject for _, subject, _ in reader.got} == {
            "vramscope.v1.gpu1.snapshot", "vramscope.v1.gpu1.event",
            "vramscope.v1.gpu1.claim"}, reader.got
        told = json.loads(node.get("/v1/events")[2])
        published = reader.events()
        assert [e for m in published for e in m["events"]] == told["events"], published
        assert {m["boot"] for m in published} == {told["boot"]}
        assert node.nats()["published"] >= len(seqs), node.nats()
        page = node.get("/metrics")[2].decode()
        assert "\nvramscope_nats_connected 1\n" in page, page
        assert f"\nvramscope_nats_events_total {len(published)}\n" in page, page


def test_outage_is_told():
    with Broker() as broker, Subscriber(broker) as reader, FakeDriver() as driver, \
            Node(broker, driver=driver) as node:
        eventually("snapshots", reader.snapshots)
        pathlib.Path(driver.path, "devices").unlink()
        said = eventually("the outage", lambda: [
            m for m in reader.snapshots() if "totals" not in m])[0]
        assert said["head"]["outage_code"] and said["head"]["outage_reason"], said
        assert not said["device"] and not said["model"], said
        assert said["self"]["rss_bytes"] > 0, said
        del node


def test_broker_restarts():
    with FakeDriver() as driver, Broker() as broker, Subscriber(broker) as reader:
        port = free_port()
        with Node(broker, "--engine", f"http://127.0.0.1:{port}", driver=driver) as node:
            eventually("snapshots", reader.snapshots)
            broker.kill()
            eventually("it is known", lambda: not node.is_connected())
            before = node.nats()
            with Engine(page_answer(vllm_page()), port):  # an event while nobody hears
                eventually("it is found", lambda: b"engine_found" in node.get("/v1/events")[2],
                           15)
                eventually("it skips", lambda: node.nats()["skipped"] > before["skipped"])
                down = node.detail()["seq"]
                back = time.monotonic()
                broker.start()
                eventually("snapshots again", lambda: reader.snapshots(back), 15)
                first = reader.snapshots(back)[0]["totals"]["seq"]
                assert first > down, (first, down)  # none of those before
                eventually("that is told", lambda: node.nats()["reconnects"] == 1)
                eventually("the event", lambda: "engine_found" in str(reader.events()))
                time.sleep(0.3)
                # One that was not confirmed before the server went is sent again.
                ids = list(dict.fromkeys(e["id"] for m in reader.events() for e in m["events"]))
                assert ids == list(range(ids[0], ids[0] + len(ids))), ids
        log = node.log()
        assert log.count("the connection is lost") == 1, log
        assert log.count("publishing to") == 2, log


def test_broker_stalls():
    with FakeDriver() as driver, Broker() as broker, Subscriber(broker) as reader, \
            Node(broker, driver=driver) as node:
        eventually("snapshots", reader.snapshots)
        time.sleep(1)
        times, rss = [], node.rss_bytes()
        broker.stop()
        stalled = time.monotonic()
        with Stream(node) as stream:
            while time.monotonic() < stalled + 4:
                stream.event()
                times.append(time.monotonic())
        seq, state = node.detail()["seq"], node.nats()
        broker.go_on()
        eventually("a new one", lambda: any(
            m["totals"]["seq"] >= seq for m in reader.snapshots(stalled)))
        longest = max(intervals(times))
        assert 36 <= len(times) <= 44 and longest < 0.3, (len(times), longest)
        assert state["skipped"] >= 30, state
        assert node.rss_bytes() - rss < 512 * 1024, (node.rss_bytes(), rss)
        late = [m["totals"]["seq"] for m in reader.snapshots(stalled + 0.2)
                if m["totals"]["seq"] < seq - 2]
        assert len(late) <= 1, (late, seq)  # what was under way when it stopped
        assert node.nats()["reconnects"] == 0, node.nats()


def claim(machine, boot):
    return f"1 {machine} {boot}".encode()


def test_one_name():
    with Broker() as broker, Subscriber(broker) as reader, \
            Node(broker, name="same.name") as one:
        eventually("the first is there", one.is_connected)
        assert not one.nats()["name_taken"]
        with Node(broker, name="same-name") as two:
            for node in (one, two):
                eventually("it hears of the other", lambda node=node: node.nats()["name_taken"],
                           4)
                assert "another vramscoped of this machine publishes as node 'same-name'" in \
                    node.log(), node.log()
                assert node.log().count("publishes as node 'same-name', too") == 1
            start = time.monotonic()
            time.sleep(0.5)
            boots = {m["head"]["boot"] for m in reader.snapshots(start)}
            machines = {m["head"]["machine"] for m in reader.snapshots(start)}
            assert len(boots) == 2 and len(machines) == 1, (boots, machines)
        assert "becomes 'same-name'" in one.log(), one.log()

        with Node(broker, name="other") as node:
            eventually("it is there", node.is_connected)
            for strange in (b"", b"1 ", b"2 " + b"0" * 49, claim("x" * 32, "0" * 16),
                            b"\xff" * 4096, claim("0" * 32, "0" * 15)):
                reader.publish("vramscope.v1.other.claim", strange)
            time.sleep(0.4)
            assert not node.nats()["name_taken"], node.log()
            reader.publish("vramscope.v1.other.claim", claim("0" * 32, "0" * 16) + b" more")
            eventually("it hears", lambda: node.nats()["name_taken"])
            assert "another machine publishes as node 'other'" in node.log(), node.log()


def refusal(*arguments):
    done = subprocess.run([DAEMON, "--check-config", *arguments], capture_output=True,
                          text=True, check=False)
    assert done.returncode, arguments
    return done.stderr


def test_urls_have_no_secrets():
    assert "is refused" in refusal("--nats", "nats://me:secret@localhost")
    assert "secret" not in refusal("--nats", "nats://me:secret@localhost")
    assert "some servers are tls://" in refusal("--nats", "tls://a,nats://b")
    assert "not tls://" in refusal("--nats", "nats://a", "--nats-ca", "/x")


def test_token():
    with tempfile.TemporaryDirectory() as folder, \
            Broker('authorization { token: "s3cret" }') as broker:
        good, bad = pathlib.Path(folder, "good"), pathlib.Path(folder, "bad")
        for path, text in ((good, "s3cret\n"), (bad, "guess\n")):
            path.write_text(text)
            path.chmod(0o600)
        with Node(broker, "--nats-token-file", bad) as node:
            eventually("it is refused", lambda: "cannot connect: " in node.log())
            assert re.search("(?i)authorization violation", node.log()), node.log()
            time.sleep(1)
            assert node.log().count("nats: cannot") == 1, node.log()
            assert not node.is_connected()
            eventually("it goes on", lambda: node.detail()["seq"] > 5)
        with Node(broker, "--nats-token-file", good) as node:
            eventually("it is let in", lambda: node.nats()["published"] > 2)
            assert "the token goes over the network as it is" in node.log(), node.log()
            command = pathlib.Path(f"/proc/{node.process.pid}/cmdline").read_text()
            assert "s3cret" not in command + node.log()
        good.chmod(0o644)
        assert "open to every user" in refusal("--nats-token-file", str(good))
        assert "open to every user" in refusal("--nats-creds", str(good))


def test_creds():
    with tempfile.TemporaryDirectory() as folder:
        operator, account, user, stranger = (Identity(folder, kind)
                                             for kind in (14, 0, 20, 20))
        allowed = {"type": "account", "limits": {
            "subs": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "data": -1,
            "payload": -1, "wildcards": True}}
        may = {"type": "user", "subs": -1, "data": -1, "payload": -1,
               "pub": {"allow": ["vramscope.v1.gpu1.>"]},
               "sub": {"allow": ["vramscope.v1.gpu1.claim"]}}
        creds = pathlib.Path(folder, "creds")

        def write(token, seed):
            creds.write_text(f"-----BEGIN NATS USER JWT-----\n{token}\n"
                             "------END NATS USER JWT------\n\n"
                             f"-----BEGIN USER NKEY SEED-----\n{seed}\n"
                             "------END USER NKEY SEED------\n")
            creds.chmod(0o600)
        config = (f'operator: "{operator.token(operator, {"type": "operator"})}"\n'
                  f'resolver: MEMORY\nresolver_preload: {{ {account.public}: '
                  f'"{account.token(operator, allowed)}" }}\n')
        write(user.token(account, may), stranger.seed)
        with Broker(config) as broker, Node(broker, "--nats-creds", creds) as node:
            eventually("it is refused", lambda: "nats: cannot connect" in node.log())
            write(user.token(account, may), user.seed)  # they are read at each connection
            eventually("it is let in", lambda: node.nats()["published"] > 2)
            assert user.seed not in node.log()
            with Node(broker, "--nats-creds", creds, name="gpu2") as other:
                eventually("it may not", lambda: "the server says: " in other.log())
                assert "gpu2" in other.log() and "ermission" in other.log(), other.log()


def test_tls():
    with tempfile.TemporaryDirectory() as folder:
        made = Certificates(folder)
        made.make("server", "DNS:localhost,IP:127.0.0.1")
        made.make("elsewhere", "DNS:elsewhere.example")
        made.make("node", "DNS:node")
        config = ('tls {{ cert_file: "{0}/{1}.pem", key_file: "{0}/{1}.key", '
                  'ca_file: "{0}/ca.pem", verify: {2} }}')
        own = ("--nats-cert", made.path("node.pem"), "--nats-key", made.path("node.key"))
        ca = ("--nats-ca", made.path("ca.pem"))
        with Broker(config.format(folder, "server", "true")) as broker:
            url = f"tls://localhost:{broker.port}"
            with Node(url, *ca, *own) as node:
                eventually("it is let in", lambda: node.nats()["published"] > 2)
            for arguments in (own, ca):
                with Node(url, *arguments) as node:  # not trusted; not known
                    eventually("it is refused", lambda: re.search(
                        "nats: (cannot connect|the connection is lost)", node.log()))
                    time.sleep(0.3)
                    assert node.nats()["published"] == 0, node.log()
        with Broker(config.format(folder, "elsewhere", "false")) as broker, \
                Node(f"tls://localhost:{broker.port}", *ca) as node:
            eventually("another name", lambda: "nats: cannot connect" in node.log())
            assert node.nats()["published"] == 0
        with Broker() as broker, Node(f"tls://localhost:{broker.port}", *ca) as node:
            eventually("no TLS there", lambda: "nats: cannot connect" in node.log())
            assert node.nats()["published"] == 0


def test_cluster_loses_one():
    ports, routes = [free_port() for _ in range(3)], [free_port() for _ in range(3)]
    urls = ",".join(f'"nats://127.0.0.1:{route}"' for route in routes)
    with contextlib.ExitStack() as stack:
        brokers = [stack.enter_context(Broker(
            f'cluster {{ name: "c", listen: "127.0.0.1:{route}", routes: [{urls}] }}', port))
            for port, route in zip(ports, routes)]
        node = stack.enter_context(Node(",".join(broker.url for broker in brokers)))
        eventually("it publishes", lambda: node.nats()["published"] > 2)
        port = int(re.search(r"publishing to nats://127\.0\.0\.1:(\d+)", node.log())[1])
        lost = next(broker for broker in brokers if broker.port == port)
        other = next(broker for broker in brokers if broker is not lost)
        reader = stack.enter_context(Subscriber(other))
        eventually("through the cluster", reader.snapshots, 5)
        lost.kill()
        start = time.monotonic()
        eventually("by another", lambda: reader.snapshots(start + 0.3), 10)
        eventually("that is told", lambda: node.nats()["reconnects"] == 1)


def test_max_payload():
    page = page_answer(vllm_page(model="org/model" + "x" * 100))
    with contextlib.ExitStack() as stack:
        driver = stack.enter_context(FakeDriver())
        engines = [stack.enter_context(Engine(page)) for _ in range(8)]
        flags = [flag for engine in engines for flag in ("--engine", engine.url)]
        broker = stack.enter_context(Broker("max_payload: 2000\n"))
        reader = stack.enter_context(Subscriber(broker))
        node = stack.enter_context(Node(broker, *flags, driver=driver))
        said = eventually("some are left out", lambda: next(
            (m for m in reader.snapshots() if m["head"]["models_left_out"]), None))
        assert len(said["model"]) + said["head"]["models_left_out"] == 8, said["head"]
        assert len(said["device"]) == 2 and not said["event"], said
        assert max(len(payload) for _, payload in reader.of("snapshot")) <= 2000
        assert node.nats()["reconnects"] == 0

        tiny = stack.enter_context(Broker("max_payload: 300\n"))
        node = stack.enter_context(Node(tiny, driver=driver))
        eventually("it is too much", lambda: node.nats()["too_large"] > 5)
        assert node.log().count("raise its max_payload") == 1, node.log()
        assert node.nats()["published"] == 0 and node.is_connected()


HOSTILE = [
    b"",  # nothing, and the connection stays
    b"\r\n", b"INFO {\r\n", b"INFO \r\n", b"PING\r\n" * 1000, b"\x00" * 100000,
    b"INFO " + b"[" * 100000 + b"\r\n", b"INFO {" + b'"a":1,' * 100000,
    b'INFO {"max_payload":-1}\r\nPONG\r\n', b'INFO {"max_payload":0}\r\nPONG\r\n',
    b'INFO {"max_payload":99999999999999999999}\r\nPONG\r\n' * 3,
    b'INFO {"max_payload":1048576}\r\nPONG\r\nMSG x 1 99999999999\r\n',
    b'INFO {"max_payload":1048576}\r\nPONG\r\nMSG vramscope.v1.gpu1.claim 1 10\r\n0123456789\r\n',
    b"INFO {}\r\nPONG\r\n-ERR '" + b"\x1b[31m" * 50 + b"'\r\n",
    b"INFO {}\r\nPONG\r\n" * 10000,
]


def hostile_broker(listener, number):
    """Say something strange to each who comes, and something else to the next."""
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        with contextlib.suppress(OSError), contextlib.closing(peer):
            peer.settimeout(0.3)
            peer.sendall(HOSTILE[number[0] % len(HOSTILE)])
            number[0] += 1
            with contextlib.suppress(OSError):
                while peer.recv(4096):
                    pass


def test_hostile_broker():
    numbers, listeners = [], []
    for start in range(5):  # one has all of it too slowly, as tries become rare
        listeners.append(socket.create_server(("127.0.0.1", 0)))
        numbers.append([start * 3])
        threading.Thread(target=hostile_broker, args=(listeners[-1], numbers[-1]),
                         daemon=True).start()
    urls = ",".join(f"nats://127.0.0.1:{each.getsockname()[1]}" for each in listeners)
    with Node(urls) as node:
        eventually("all was said", lambda: all(
            n[0] >= start * 3 + 3 for start, n in enumerate(numbers)), 12)
        assert node.rss_bytes() < 24 << 20, node.rss_bytes()
        assert "\x1b" not in node.log()
        seq = node.detail()["seq"]
        time.sleep(0.5)
        assert node.detail()["seq"] >= seq + 4
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def test_ends_at_once_and_reloads():
    with Broker() as broker, Subscriber(broker) as reader, Node(broker) as node:
        eventually("snapshots", reader.snapshots)
        os.kill(node.process.pid, 1)
        eventually("reloaded", lambda: "configuration reloaded" in node.log())
        broker.kill()
        broker.start()  # what it connects with is not the old configuration's
        start = time.monotonic()
        eventually("snapshots again", lambda: reader.snapshots(start))
        broker.stop()
        time.sleep(0.3)
        began = time.monotonic()
        node.process.terminate()
        assert node.process.wait(5) == 0
        assert time.monotonic() - began < 3, "a server that takes nothing held it up"


alone()
run(test_each_tick, test_broker_stalls, test_urls_have_no_secrets,
    at_once=(test_outage_is_told, test_broker_restarts, test_one_name, test_token,
             test_creds, test_tls, test_cluster_loses_one, test_max_payload,
             test_hostile_broker, test_ends_at_once_and_reloads))
