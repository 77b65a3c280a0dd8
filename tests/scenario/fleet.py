# SPDX-License-Identifier: Apache-2.0
"""A gateway, nodes that say whatever a scene wants, and readers that keep the time."""
import collections
import contextlib
import hashlib
import json
import os
import re
import threading
import time
import urllib.parse

from harness import Daemon, Skip, Stream, eventually
from nats import Broker, Subscriber, encode, row
from standstill import intervals

GIB = 1 << 30
READY = 2
COMMENT = re.compile(rb": no data \((.*)\)\n\n")
DOCUMENT = re.compile(rb"id: ([0-9a-f]{16})-(\d+)\nretry: 2000\ndata: (\{.*\})\n\n")


def blank(part, **said):
    """A row that says nothing but what is given."""
    return {**row(part, b"", []), **said}


def measured(value):
    return {"value": value, "from": 1, "reason": "", "error": 0}


def machine_of(name):
    return hashlib.md5(name.encode()).hexdigest()


class Node:
    """Publishes as vramscoped would: 2 GPUs of 80 GiB and one model, if nothing else is
    given. Members may be set at any time: what they say is in the next message; `change`
    is called with it as decode() would give it, `send` with what it became."""

    def __init__(self, broker, name="gpu1", machine=None, interval=0.25, models=1, devices=2,
                 prefix="vramscope", port=8000, client=None, **options):
        self.name, self.machine, self.interval = name, machine or machine_of(name), interval
        self.models, self.devices, self.prefix, self.port = models, devices, prefix, port
        self.version, self.offset_s, self.skew_ns, self.delay_s = "0.1.0", 0, 0, 0
        self.allocated, self.kv_used, self.running, self.events = 30 * GIB, GIB, 3, []
        self.outage, self.head, self.change, self.gpu_of = None, {}, lambda said: None, name
        self.seq, self.paused, self.ended, self.waiting = 0, False, False, collections.deque()
        self.is_prompt = False
        for option, value in options.items():
            assert hasattr(self, option), option
            setattr(self, option, value)
        self.own_client = client is None
        self.client = client or Subscriber(broker, "nobody")
        self.restart()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def restart(self, boot=None):
        self.boot, self.seq = boot or os.urandom(8).hex(), 0
        self.started_unix_ms = self.unix_ms()

    def unix_ms(self):
        return int((time.time() + self.offset_s) * 1000)

    def clock_ns(self):
        return time.monotonic_ns() + self.skew_ns

    def model(self, i):
        name = f"org/model-{i}"
        return blank(
            "model", model=name, model_id=name.replace("/", "-"), port=self.port + i,
            state=READY, devices=1, engine="vllm", allocated_bytes=measured(self.allocated),
            kv_used_bytes=measured(self.kv_used), kv_pool_bytes=measured(10 * GIB),
            requests_running=self.running, requests_waiting=1, figures_ns=self.clock_ns(),
            prefix_minute_hits=40.0, prefix_minute_queries=100.0, data_parallel_engines=1,
            kv_used_blocks=100, kv_blocks=1001, kv_usage_ratio=0.1)

    def device(self, i):
        uuid = f"GPU-{machine_of(self.gpu_of)[:8]}-0000-0000-0000-{i:012}"
        used = self.models * self.allocated if i == 0 else 0
        return blank("device", index=i, uuid=uuid, name="Fake GPU", total_bytes=80 * GIB,
                     used_bytes=used, processes_bytes=used, models_bytes=used, other_bytes=0,
                     orphan_bytes=0)

    def message(self):
        head = blank("head", node=self.name, machine=self.machine, boot=self.boot,
                     version=self.version, started_unix_ms=self.started_unix_ms,
                     interval_ms=int(self.interval * 1000), unix_ms=self.unix_ms())
        said = {"format": 1, "head": head, "self": blank("self", rss_bytes=8 << 20)}
        if self.outage:
            head["outage_code"], head["outage_reason"] = self.outage
        else:
            used = self.models * self.allocated
            said["totals"] = blank(
                "totals", seq=self.seq, taken_ns=self.clock_ns(), gpu_taken_ns=self.clock_ns(),
                total_bytes=measured(self.devices * 80 * GIB), allocated_bytes=measured(used),
                models_bytes=used, other_bytes=0, orphan_bytes=0,
                kv_used_bytes=self.models * self.kv_used, hit_percent=40.0,
                hit_percent_in_window=1)
            said["source"] = [blank("source", backend="nvml", verdict=1)]
            said["device"] = [self.device(i) for i in range(self.devices)]
            said["model"] = [self.model(i) for i in range(self.models)]
            said["event"] = list(self.events)
        head.update(self.head)
        self.change(said)
        return said

    def tell(self, kind, text, **more):
        number = self.events[-1]["id"] + 1 if self.events else 1
        self.events = [*self.events, blank("event", id=number, unix_ms=self.unix_ms(),
                                           kind=kind, text=text, **more)][-16:]

    def publish(self, payload=None, name=None):
        """Now, whatever its pace; by default what it has to say."""
        payload = encode(self.message()) if payload is None else payload
        with contextlib.suppress(OSError, AttributeError):  # no connection now
            self.client.publish(f"{self.prefix}.v1.{name or self.name}.snapshot", payload)

    def _run(self):
        due = time.monotonic()
        while not self.ended:
            if self.is_prompt:
                self.delay_s, self.is_prompt = 0, False
                self.waiting.clear()
            if not self.paused:
                self.seq += 1
                self.waiting.append((due + self.delay_s, encode(self.message())))
            while self.waiting and self.waiting[0][0] <= time.monotonic():
                self.publish(self.waiting.popleft()[1])
            due = max(due + self.interval, time.monotonic() - self.interval)
            time.sleep(max(0, due - time.monotonic()))

    def be_prompt(self):
        """What waits is lost, and nothing waits from now on."""
        self.is_prompt = True

    def pause(self):
        self.paused = True

    def resume(self):
        self.paused = False

    def __enter__(self):
        if self.own_client:
            self.client.__enter__()
        self.thread.start()
        return self

    def __exit__(self, *arguments):
        self.ended = True
        self.thread.join(5)
        if self.own_client:
            self.client.__exit__(*arguments)


class Gateway(Daemon):
    """vramscoped that sums up what is published to the broker, or broker's URL, given."""

    def __init__(self, broker, *arguments, interval=200, **options):
        url = broker if isinstance(broker, str) else broker.url
        super().__init__("--gateway", "--interval", interval, "--history", "off", "--nats", url,
                         *arguments, **options)

    def json(self, path="/v1/detail", node=None):
        """(status, document) of a path, of a node if one is named."""
        query = "" if node is None else "?node=" + urllib.parse.quote(node, safe="")
        status, _, body = self.get(path + query)
        return status, json.loads(body)

    def detail(self, node=None):
        status, document = self.json(node=node)
        return document if status == 200 else None

    def nodes(self):
        """{name: row}; none before there is a document."""
        document = self.detail()
        return {one["node"]: one for one in document["nodes"]} if document else {}

    def fleet(self):
        document = self.detail()
        return document["fleet"] if document else {}

    def state(self, name):
        return self.nodes().get(name, {}).get("state")

    def is_live(self, *names):
        nodes = self.nodes()
        return all(nodes.get(name, {}).get("state") == "live" for name in names)

    def wait_live(self, *names, seconds=5):
        eventually(f"{names} are live", lambda: self.is_live(*names), seconds)

    def events(self, kind=None):
        found = json.loads(self.get("/v1/events")[2])["events"]
        return [event for event in found if kind in (None, event["kind"])]


class Dark:
    """A gateway none of whose nodes counts: "a" and "b" are silent from the start, and lost
    10 s later, while others may be tested; "c" says that it has no figures. `readers` follow
    from before, by path."""

    def __init__(self, *paths):
        self.paths, self.missing = paths, None

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            try:
                broker = stack.enter_context(Broker())
            except Skip as reason:  # for who needs it: see wait()
                self.missing, self.stack = reason, stack.pop_all()
                return self
            self.nodes = {name: stack.enter_context(Node(broker, name)) for name in "abc"}
            self.gateway = stack.enter_context(Gateway(broker))
            self.gateway.wait_live(*self.nodes)
            self.readers = {path: stack.enter_context(Follower(self.gateway, path))
                            for path in self.paths}
            for reader in self.readers.values():
                eventually("a first event", reader.events)
            self.silent = time.monotonic()
            self.nodes["a"].pause()
            self.nodes["b"].pause()
            self.nodes["c"].outage = ("driver-silent", "the driver says nothing")
            self.stack = stack.pop_all()
        return self

    def wait(self):
        """The document, when none counts any more."""
        if self.missing:
            raise self.missing
        eventually("none counts", lambda: self.gateway.fleet()["counted"] == 0, 14)
        return self.gateway.detail()

    def __exit__(self, *arguments):
        return self.stack.__exit__(*arguments)


class Follower:
    """A reader of a stream, in a thread: [(time, piece), ...]."""

    def __init__(self, daemon, path="/vram/stream"):
        self.stream = Stream(daemon, path)
        self.status, self.got, self.ended = self.stream.status, [], False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        with contextlib.suppress(OSError, ValueError):
            while not self.ended:
                piece = self.stream.piece()
                if not piece:
                    break
                self.got.append((time.monotonic(), piece))
        self.ended = True

    def longest_gap(self, since=0.0, until=None):
        """Between two pieces, or the last and now, while the machine ran."""
        times = [when for when, _ in list(self.got) if when >= since]
        times = [since or times[0], *times, until or time.monotonic()]
        return max(intervals(times))

    def pieces(self, since=0.0):
        return [piece for when, piece in list(self.got) if when >= since]

    def events(self, since=0.0):
        """Documents of /vram/stream or of /v1/detail/stream; comments are left out."""
        found = []
        for piece in self.pieces(since):
            if not piece.startswith((b":", b"event: ")):
                found.append(json.loads(piece[piece.index(b"data: ") + 6:]))
        return found

    def comments(self, since=0.0):
        found = (COMMENT.fullmatch(piece) for piece in self.pieces(since))
        return [match[1].decode() for match in found if match]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended = True
        with contextlib.suppress(OSError):
            self.stream.socket.shutdown(2)
        self.thread.join(5)
        self.stream.socket.close()
