# SPDX-License-Identifier: Apache-2.0
"""The servers between nodes and a gateway: slow, cut off, gone, back, one of three. Readers
hear something at each tick throughout, and what it is, is true."""
import contextlib
import os
import pathlib
import re
import select
import signal
import socket
import tempfile
import threading
import time
import types

from fleet import GIB, Follower, Gateway, Node
from harness import alone, eventually, free_port, run
from nats import Broker, Certificates, Cluster, Subscriber

TOTAL = 2 * 80 * GIB  # of a node
NAMES = ("a", "b", "c")


class Proxy:
    """Between a client and a server; while `swallows`, what either says is kept from the
    other, and neither is told."""

    def __init__(self, port):
        self.to, self.swallows, self.open = port, False, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"nats://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                self.open.append(peer)
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        with contextlib.suppress(OSError), \
                socket.create_connection(("127.0.0.1", self.to)) as server:
            while True:
                for one in select.select([peer, server], [], [])[0]:
                    data = one.recv(65536)
                    if not data:
                        peer.close()
                        return
                    if not self.swallows:
                        (server if one is peer else peer).sendall(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for peer in self.open:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)


def is_whole(gateway, names=NAMES):
    document = gateway.vram()
    return (document is not None and document["total_vram_bytes"] == len(names) * TOTAL and
            gateway.is_live(*names))


def wait_whole(gateway, seconds, names=NAMES):
    """How long it took until all of them are live and counted."""
    start = time.monotonic()
    eventually(f"{names} are all there", lambda: is_whole(gateway, names), seconds)
    return time.monotonic() - start


@contextlib.contextmanager
def scene(through=None):
    """A broker, three nodes, a gateway, by way of `through` if that is given, and a reader of
    it, who is checked at the end."""
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Broker())
        for name in NAMES:
            stack.enter_context(Node(broker, name))
        way = stack.enter_context(through(broker.port)) if through else broker
        gateway = stack.enter_context(Gateway(way if not through else way.url))
        wait_whole(gateway, 5)
        with Follower(gateway) as reader:
            yield way, gateway, reader
            assert not reader.ended
            assert reader.longest_gap() < 1, reader.longest_gap()
            totals = {event["total_vram_bytes"] for event in reader.events()}
            assert totals <= {n * TOTAL for n in range(1, len(NAMES) + 1)}, totals


def states(gateway):
    return {name: row["state"] for name, row in gateway.nodes().items()}


def test_slow_broker():
    with scene() as (broker, gateway, reader):
        since = time.monotonic()
        broker.stop()
        eventually("they are stale", lambda: set(states(gateway).values()) == {"stale"}, 4)
        time.sleep(max(0, since + 5 - time.monotonic()))
        assert gateway.vram()["total_vram_bytes"] == 3 * TOTAL  # they still count
        broker.go_on()
        took = wait_whole(gateway, 3)
        assert took < 2, took
        assert not reader.comments() and not gateway.events("node_lost")


def test_broker_stops_for_long():
    with scene() as (broker, gateway, reader):
        since = time.monotonic()
        broker.stop()
        eventually("nothing is left", lambda: gateway.vram() is None, 14)
        took = time.monotonic() - since
        assert 9 < took < 13, took
        assert gateway.get("/vram")[0] == gateway.get("/vram?node=a")[0] == 503
        eventually("it is told", lambda: len(gateway.events("node_lost")) == 3, 2)
        time.sleep(max(0, since + 15 - time.monotonic()))
        assert reader.comments(since), "no word of it"
        broker.go_on()
        took = wait_whole(gateway, 8)
        assert took < 5, took


def test_cut_off():
    """Neither side is told that the other is gone."""
    with scene(Proxy) as (proxy, gateway, reader):
        proxy.swallows, since = True, time.monotonic()
        eventually("they are stale", lambda: set(states(gateway).values()) == {"stale"}, 4)
        eventually("they are lost", lambda: reader.comments(since), 12)
        proxy.swallows = False
        took = wait_whole(gateway, 10)
        assert took < 6, took


def test_broker_restarts():
    with scene() as (broker, gateway, reader):
        for i, seconds in enumerate((0, 3)):
            broker.kill()
            eventually("it is known", lambda: not gateway.fleet()["nats"]["connected"])
            time.sleep(seconds)
            broker.start()
            start = time.monotonic()
            eventually("it is connected", lambda i=i: gateway.fleet()["nats"][
                "reconnects"] == i + 1, 7)
            wait_whole(gateway, 2)
            took = time.monotonic() - start  # it tries each 4 s at least
            assert took < 5, took
            print(f"     again after {took:.2f} s, of {seconds}", flush=True)
        assert not reader.comments() and not gateway.events("node_lost")
        assert gateway.log().count("connection is lost") == 2, gateway.log()


def test_gateway_was_first():
    port = free_port()
    with Gateway(f"nats://127.0.0.1:{port}") as gateway:
        status, headers, _ = gateway.get("/vram")
        assert status == 503 and "Retry-After" in headers, (status, headers)
        assert gateway.get("/healthz")[0] in (200, 503) and gateway.get("/metrics")[0] == 200
        time.sleep(2)
        with Broker(port=port) as broker, contextlib.ExitStack() as stack:
            for name in NAMES:
                stack.enter_context(Node(broker, name))
            took = wait_whole(gateway, 8)
            assert took < 5, took
        assert gateway.log().count("cannot connect") == 1, gateway.log()


def test_gateway_is_stopped():
    with scene() as (_, gateway, reader):
        gateway.process.send_signal(signal.SIGSTOP)
        time.sleep(4)
        gateway.process.send_signal(signal.SIGCONT)
        took = wait_whole(gateway, 4)
        assert took < 2.5, took
        assert not reader.comments() and not gateway.events("node_lost"), gateway.events()
        del reader.got[:]  # the hole is ours
        eventually("it reads on", lambda: len(reader.got) > 3)


def test_credentials():
    with tempfile.TemporaryDirectory() as folder, \
            Broker('authorization { token: "s3cret" }') as broker:
        good, bad = pathlib.Path(folder, "good"), pathlib.Path(folder, "bad")
        for path, text in ((good, "s3cret\n"), (bad, "guess\n")):
            path.write_text(text)
            path.chmod(0o600)
        client = Subscriber(broker, "nobody", auth_token="s3cret")
        with client, Node(broker, "a", client=client):
            with Gateway(broker, "--nats-token-file", bad) as gateway:
                eventually("it is refused", lambda: "cannot connect" in gateway.log())
                assert re.search("(?i)authorization violation", gateway.log())
                assert gateway.get("/vram")[0] == 503
                time.sleep(1)
                assert gateway.log().count("cannot connect") == 1, gateway.log()
            with Gateway(broker, "--nats-token-file", good) as gateway:
                wait_whole(gateway, 5, ("a",))
                assert "s3cret" not in gateway.log()


def test_may_not_subscribe():
    users = ('authorization {{ users: [ {{ user: "node", password: "x" }}, '
             '{{ user: "gateway", password: "y", permissions: {{ subscribe: {{ '
             'allow: {} }} }} }} ] }}\nno_auth_user: "gateway"\n')
    with Broker(users.format('"elsewhere"')) as broker:
        login = {"user": "node", "pass": "x"}
        client = Subscriber(broker, "nobody", **login)
        with client, Node(broker, "a", client=client), Gateway(broker) as gateway:
            eventually("the log has it", lambda: re.search("(?i)permission", gateway.log()))
            assert gateway.get("/vram")[0] == 503
            time.sleep(1)
            assert len(re.findall("(?i)permission", gateway.log())) <= 3, gateway.log()
            broker.config.write_text(broker.config.read_text().replace(
                '"elsewhere"', '"vramscope.v1.*.snapshot"'))
            broker.kill()
            broker.start()
            wait_whole(gateway, 8, ("a",))  # that is all it needs


def test_small_max_payload():
    with Broker("max_payload: 1000\n") as broker, Node(broker, "a"), \
            Gateway(broker) as gateway:
        wait_whole(gateway, 5, ("a",))


def test_tls():
    with tempfile.TemporaryDirectory() as folder:
        made = Certificates(folder)
        made.make("server", "DNS:localhost,IP:127.0.0.1")
        made.make("gateway", "DNS:gateway")
        config = (f'tls {{ cert_file: "{folder}/server.pem", key_file: "{folder}/server.key", '
                  f'ca_file: "{folder}/ca.pem", verify: true }}')
        own = ("--nats-cert", made.path("gateway.pem"), "--nats-key",
               made.path("gateway.key"))
        context = made.context()
        context.load_cert_chain(made.path("gateway.pem"), made.path("gateway.key"))
        with Broker(config) as broker:
            url = f"tls://localhost:{broker.port}"
            client = Subscriber(broker, "nobody", tls=context)
            with client, Node(broker, "a", client=client):
                with Gateway(url, "--nats-ca", made.path("ca.pem"), *own) as gateway:
                    wait_whole(gateway, 5, ("a",))
                with Gateway(url, "--nats-ca", made.path("ca.pem")) as gateway:
                    eventually("it is refused", lambda: re.search(
                        "cannot connect|connection is lost", gateway.log()))
                    assert gateway.get("/vram")[0] == 503


def server_of(gateway):
    """Port of the one that it has a connection to, as the kernel has it."""
    sockets = set()
    for entry in os.scandir(f"/proc/{gateway.process.pid}/fd"):
        with contextlib.suppress(OSError):
            sockets.add(os.readlink(entry.path)[8:-1])
    for line in pathlib.Path(f"/proc/{gateway.process.pid}/net/tcp").read_text().splitlines():
        words = line.split()
        if len(words) > 9 and words[9] in sockets and words[3] == "01":
            yield int(words[2].split(":")[1], 16)


def in_cluster(cluster, stack, name, i):
    """A node whose first server is that."""
    ports = cluster.ports[i:] + cluster.ports[:i]
    return stack.enter_context(Node(types.SimpleNamespace(ports=ports), name))


def test_cluster_loses_one():
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(Cluster())
        for i, name in enumerate(NAMES):
            in_cluster(cluster, stack, name, i)
        gateway = stack.enter_context(Gateway(cluster))
        wait_whole(gateway, 8)
        reader = stack.enter_context(Follower(gateway))
        port = next(port for port in server_of(gateway) if port in cluster.ports)
        for lost in (port, None):  # its own, and the node's there; then one that it has not
            if lost is None:
                now = next(p for p in server_of(gateway) if p in cluster.ports)
                lost = next(p for p in cluster.ports if p not in (now, port))
            cluster.of_port(lost).kill()
            heard = {name: row["messages"] for name, row in gateway.nodes().items()}
            start = time.monotonic()
            eventually("all speak again", lambda heard=heard: is_whole(gateway) and all(
                row["messages"] > heard[name] + 2
                for name, row in gateway.nodes().items()), 8)
            took = time.monotonic() - start
            assert took < 5, took
            print(f"     whole again after {took:.1f} s", flush=True)
            cluster.of_port(lost).start()
            time.sleep(1)
        assert not reader.comments() and reader.longest_gap() < 1, reader.longest_gap()
        assert not gateway.events("node_lost"), gateway.events()
        assert list(gateway.nodes()) == list(NAMES)


alone()
run(at_once=(test_slow_broker, test_broker_stops_for_long, test_cut_off, test_broker_restarts,
             test_gateway_was_first, test_gateway_is_stopped, test_credentials,
             test_may_not_subscribe, test_small_max_payload, test_tls, test_cluster_loses_one))
