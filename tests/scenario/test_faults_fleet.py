# SPDX-License-Identifier: Apache-2.0
"""Any call may fail in a daemon that publishes, in a gateway, or while history is written:
nothing crashes, leaks or misleads, what is told goes on, and nothing is lost for good.

With VRAMSCOPE_FAULTS=all each call within a round is tried, not a few of them only, and
those of a new connection, too: that takes half an hour.
VRAMSCOPE_FAULTS_OF names the functions to try.
"""
import concurrent.futures
import contextlib
import itertools
import json
import os
import pathlib
import shutil
import sqlite3
import tempfile
import time

from faults import (ALL, CUT_OFF, DAEMON_ROLE, ERRORS, FUNCTIONS, HISTORIAN_ROLE, NATS_ROLE,
                    ONCE, Faults, Judge, Reader, Scene, learn_names)
from fleet import GIB, Node
from harness import Daemon, alone, eventually, run
from lanes import LANES, Lane, finish, lanes_of, run_in
from nats import Broker, Subscriber, decode
from standstill import wall_intervals

NODES = ("a", "b", "c")
TOTAL = 2 * 80 * GIB
AGAIN = 30.0  # seconds: a server of NATS that is silent is left after 15 s

# libnats (3.4) has locks of calloc(): without memory for one its first call waits for ever,
# and a new connection crashes. Nobody who calls it can help that.
OF_NATS = [function for function in FUNCTIONS if function != "calloc"]


def ids_of_events(daemon):
    return {event["id"] for event in json.loads(daemon.get("/v1/events")[2])["events"]}


def is_confined(daemon):
    """A thread that cannot give up its rights does nothing, and says so."""
    return "--no-confine goes without" not in daemon.log()


class Heard:
    """What a node publishes, judged as it comes; for a Subscriber to append to."""

    def __init__(self, judges):
        self.judges, self.true, self.wrong, self.events = judges, 0, [], set()

    def append(self, row):
        when, subject, payload = row
        try:
            if subject.endswith(".event"):
                self.events.update(event["id"] for event in json.loads(payload)["events"])
            elif subject.endswith(".snapshot") and self.judges.message(decode(payload)):
                self.true = when
        except Exception as error:
            self.wrong.append(f"{subject}: {error!r}: {payload[:2000]}")

    def take_wrong(self):
        wrong, self.wrong = self.wrong, []
        return wrong


class NodeJudge(Judge):
    def message(self, said):
        """True: it has all figures."""
        totals, truth = said.get("totals"), self.scene.truth
        if not totals:
            assert said["head"]["outage_reason"], said["head"]
            return False
        for key in ("total", "allocated"):
            assert totals[f"{key}_bytes"]["value"] == truth[f"{key}_vram_bytes"], totals
        rows = {row["port"]: row for row in truth["models"]}
        complete = len(said["model"]) == len(rows)
        for model in said["model"]:
            for ours, theirs in (("allocated_bytes", "allocated_vram_bytes"),
                                 ("kv_used_bytes", "used_kv_cache_bytes")):
                value, true = model[ours]["value"], rows[model["port"]][theirs]
                assert value in (true, None), (ours, model)
                complete = complete and value == true
        return complete


class NodeLane(Lane):
    """A daemon that publishes under a name of its own."""

    roles = (NATS_ROLE, DAEMON_ROLE)
    soon_s = AGAIN
    names = (f"n{i}" for i in itertools.count())

    def __init__(self, scene, broker):
        self.broker, self.name = broker, next(self.names)
        super().__init__(scene, "--history", "off", "--nats", broker.url, "--node", self.name)

    def judge(self):
        return NodeJudge(self.scene)

    def listen(self):
        subject = f"vramscope.v1.{self.name}.>"
        self.heard = Heard(self.judges)
        self.subscriber = Subscriber(self.broker, subject)
        self.subscriber.got, self.heard.end = self.heard, self.subscriber.__exit__
        assert self.subscriber.ready.wait(5), "no broker"
        return [*super().listen(), self.heard]

    def end(self):
        """What happened since somebody listens was told there, whatever failed."""
        first = min(self.heard.events, default=1 << 62)
        expected = {event for event in ids_of_events(self.daemon) if event >= first}
        eventually("events are published", lambda: expected <= self.heard.events, 5)
        super().end()


class FleetScene:
    """Nodes that say the same for ever, and what is true of them all."""

    def __init__(self):
        self.stack = contextlib.ExitStack()
        self.broker = self.stack.enter_context(Broker())
        for name in NODES:
            self.stack.enter_context(Node(self.broker, name))
        self.truth = {
            "total_vram_bytes": len(NODES) * TOTAL,
            "allocated_vram_bytes": len(NODES) * 30 * GIB,
            "used_kv_cache_bytes": len(NODES) * GIB, "prefix_cache_hit_rate": 40.0,
            "models": [{"model_id": "org-model-0", "port": 8000,
                        "allocated_vram_bytes": len(NODES) * 30 * GIB,
                        "used_kv_cache_bytes": len(NODES) * GIB}]}

    def daemon(self, faults):
        return Daemon("--gateway", "--interval", "100", "--history", "off", "--nats",
                      self.broker.url, env=faults.env)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()


class FleetJudge(Judge):
    """Each figure is of as many nodes, of those that were heard of lately."""

    def honest(self, vram, most=len(NODES)):
        number, rest = divmod(vram["total_vram_bytes"], TOTAL)
        assert rest == 0 and 1 <= number <= most, vram
        assert vram["allocated_vram_bytes"] == number * 30 * GIB, vram
        assert vram["used_kv_cache_bytes"] == number * GIB, vram
        assert vram["prefix_cache_hit_rate"] == 40.0, vram
        assert len(vram["models"]) == 1, vram

    def of_node(self, piece):
        if self.COMMENT.fullmatch(piece):
            return False
        self.honest(json.loads(piece[len(b"data: "):]), 1)
        return True

    def detail(self, piece):
        if self.COMMENT.fullmatch(piece) or self.LAG.fullmatch(piece):
            return False
        match = self.DOCUMENT.fullmatch(piece)
        assert match, "not an event of the contract"
        document = json.loads(match[1])
        nodes = {node["node"]: node for node in document["nodes"]}
        assert set(nodes) == set(NODES), nodes
        for node in nodes.values():
            assert node["state"] in ("live", "stale", "lost") or (
                node["state"] == "outage" and "no memory" in node["reason"]), node
            assert node["malformed"] == 0, node
        return all(node["state"] == "live" for node in nodes.values())


class GatewayLane(Lane):
    roles = (NATS_ROLE, DAEMON_ROLE)
    soon_s = AGAIN

    def judge(self):
        return FleetJudge(self.scene)

    def listen(self):
        return [*super().listen(),
                Reader(self.daemon, "/vram/stream?node=a", self.judges.of_node)]

    def messages(self):
        with contextlib.suppress(OSError, ValueError, KeyError):
            return json.loads(self.daemon.get("/v1/detail")[2])["fleet"]["nats"]["messages"]

    def wait_until_true(self):
        """What was heard before stays for a while: it hears more, too."""
        begin = eventually("what it has heard", self.messages, self.soon_s)
        eventually("it hears more", lambda: self.daemon.process.poll() is not None or
                   (self.messages() or 0) > begin, self.soon_s)
        super().wait_until_true()


def times_of(path):
    """What is on disk, in seconds."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return [ms / 1000 for ms, in db.execute(
            "SELECT unix_ms FROM samples WHERE model IS NULL ORDER BY unix_ms")]


def none_is_missing(times):
    gaps = wall_intervals(times)  # a batch is of 5 s
    assert max(gaps) < 2, f"moments are missing: {sorted(gaps)[-10:]}"


class HistoryLane(Lane):
    """A daemon that writes its history to a file."""

    roles = (HISTORIAN_ROLE,)
    round_s = 5.5  # it writes every 5 s
    soon_s = AGAIN  # after an error it tries again 4 s later

    def __init__(self, scene, folder):
        self.folder = folder
        super().__init__(scene)

    def start(self):
        self.path = os.path.join(tempfile.mkdtemp(dir=self.folder), "history.db")
        return self.scene.daemon(self.faults, "--history", self.path)

    def come_and_go(self):
        time.sleep(0.2)  # what clients see is the same with and without a file

    def says_all(self, since):
        if not super().says_all(since):
            return False
        time.sleep(0.3)  # it takes seconds, and each look reads the file
        with contextlib.suppress(sqlite3.OperationalError):
            return max(times_of(self.path), default=0) > since + time.time() - time.monotonic()
        return False

    def end(self):
        """None is missing of what was seen, whatever failed while it was written."""
        super().end()
        none_is_missing(times_of(self.path))


def reconnect(lanes, broker):
    """The server goes and comes back."""
    broker.kill()
    broker.start()
    with concurrent.futures.ThreadPoolExecutor(len(lanes)) as pool:
        list(pool.map(Lane.wait_until_true, lanes))


def forgive(lane):
    """libnats (3.4) forgets its socket when there is no memory for what it would write to
    it, which takes two calls: of that nobody else knows."""
    most = lane.descriptors + sum(isinstance(reader, Reader) for reader in lane.readers)
    try:
        eventually("none is", lambda: lane.count_descriptors() <= most, 3, 0.01)
    except AssertionError:
        lane.forgotten += 1
        lane.descriptors += 1


def fail_connecting(lane, fault):
    function, n, error, role, manner = fault
    before = lane.faults.fired()
    lane.faults.arm(function, n, error, manner, role)
    yield
    with contextlib.suppress(AssertionError):
        eventually("it fails", lambda: lane.faults.fired() > before, 3)
    lane.faults.disarm()
    lane.tried += lane.faults.fired() > before
    try:
        lane.wait_until_true()
        if function == "malloc":
            forgive(lane)
    except AssertionError as failure:
        lane.failures.append(f"{fault}: {failure!r}; {lane.daemon.log()[-1500:]}")
        lane.close()
        lane.open()
    yield


def run_connecting(lanes, broker):
    """Each call fails that is made until there is a connection again."""
    before = lanes[0].faults.calls(NATS_ROLE)
    reconnect(lanes, broker)
    after = lanes[0].faults.calls(NATS_ROLE)
    faults = [(function, n, error, NATS_ROLE, ONCE) for function in OF_NATS
              for error in (ERRORS[function] if ALL else ERRORS[function][:1])
              for n in range(1, 1 + min(after[function] - before[function], 60))
              if ALL or n in (1, 3, 9)]
    with concurrent.futures.ThreadPoolExecutor(len(lanes)) as pool:
        while faults:
            tries = [fail_connecting(lane, faults.pop()) for lane in lanes[:len(faults)]]
            for one in tries:
                next(one)
            broker.kill()
            broker.start()
            list(pool.map(next, tries))
    finish(lanes)
    assert sum(lane.forgotten for lane in lanes) <= 2, "more is forgotten than by libnats"


def some(function, n, error, role, manner):
    """In a test that everybody runs: a few of each of the thread's."""
    if role == NATS_ROLE and function not in OF_NATS:
        return False
    return ALL or (role != DAEMON_ROLE and manner == ONCE and n in (1, 3)
                   and error == ERRORS[function][0])


def test_publishing():
    with Scene() as scene, Broker() as broker:
        run_in(lanes_of(lambda: NodeLane(scene, broker)), some)


def test_connecting():
    with Scene() as scene, Broker() as broker:
        run_connecting(lanes_of(lambda: NodeLane(scene, broker)), broker)


def publishes_all(daemon, heard):
    """What it says, and what happened since it began."""
    if not is_confined(daemon):
        return True
    with contextlib.suppress(*CUT_OFF):
        return heard.true and ids_of_events(daemon) <= heard.events
    return daemon.process.poll() is not None


def start_with(scene, broker, number, fault):
    """A call of the publisher's fails from the start on. Gives whether it did."""
    function, n, error, role, manner = fault
    heard = Heard(NodeJudge(scene))
    with Faults() as faults, Subscriber(broker, f"vramscope.v1.s{number}.>") as subscriber:
        subscriber.got = heard
        faults.arm(function, n, error, manner, role)
        daemon = scene.daemon(faults, "--history", "off", "--nats", broker.url, "--node",
                              f"s{number}", wait=False)
        try:
            with daemon:
                eventually("it listens", daemon._listening, 20)
                eventually("all is published", lambda: publishes_all(daemon, heard), AGAIN)
                assert daemon.process.poll() is None and not heard.wrong, heard.wrong
        except AssertionError as failure:
            raise AssertionError(f"{fault}: {failure}; {daemon.log()}") from failure
        return faults.fired() > 0


def faults_at_start(scene, broker):
    with Faults() as faults, scene.daemon(faults, "--history", "off", "--nats", broker.url,
                                          "--node", "first") as daemon:
        eventually("it publishes", lambda: json.loads(
            daemon.get("/v1/detail")[2])["self"]["nats"]["published"] > 5)
        calls = faults.calls(NATS_ROLE)
    for function in OF_NATS:
        for n in range(1, 1 + min(calls[function], 60)):
            if ALL or function in ("realloc", "send") or n == 4:
                yield function, n, ERRORS[function][0], NATS_ROLE, ONCE


def try_each(what, faults, lanes):
    with concurrent.futures.ThreadPoolExecutor(lanes) as pool:
        tries = [pool.submit(what, number, fault) for number, fault in enumerate(faults)]
    failures = [f"{one.exception()!s}" for one in tries if one.exception()]
    print(f"     {sum(one.result() for one in tries if not one.exception())} calls failed")
    assert not failures, f"{len(failures)}:\n" + "\n".join(failures)


def test_starting():
    with Scene() as scene, Broker() as broker:
        try_each(lambda *fault: start_with(scene, broker, *fault),
                 faults_at_start(scene, broker), LANES)


def test_gateway():
    with FleetScene() as scene:
        run_in(lanes_of(lambda: GatewayLane(scene)), some)


def test_gateway_connecting():
    with FleetScene() as scene:
        run_connecting(lanes_of(lambda: GatewayLane(scene)), scene.broker)


def test_history():
    with Scene() as scene, tempfile.TemporaryDirectory() as folder:
        run_in(lanes_of(lambda: HistoryLane(scene, folder), 2 * LANES), some)


def open_with(scene, made, number, fault):
    """A call fails while a history is opened that was there: it is read, and goes on."""
    function, n, error, role, manner = fault
    before, started = times_of(made / "history.db"), time.time()
    path = shutil.copytree(made, made.parent / str(number)) / "history.db"
    with Faults() as faults:
        faults.arm(function, n, error, manner, role)
        with scene.daemon(faults, "--history", path) as daemon:
            try:
                eventually("it is written", lambda: opened(path, started) or
                           not is_confined(daemon), AGAIN, 0.3)
                if not is_confined(daemon):
                    return True
            except AssertionError as failure:
                raise AssertionError(f"{fault}: {failure}; {daemon.log()}") from failure
        times = times_of(path)
        assert set(before) <= set(times), f"{fault}: what was there is lost: {daemon.log()}"
        none_is_missing([at for at in times if at > started])
        left = [file.name for file in path.parent.iterdir() if "damaged" in file.name]
        assert not left, f"{fault}: {left}: {daemon.log()}"
        return faults.fired() > 0


def opened(path, started):
    with contextlib.suppress(sqlite3.OperationalError):
        return max(times_of(path), default=0) > started
    return False


def faults_of_opening(scene, path):
    """Makes a history there, and opens it: the end writes what there is."""
    for _ in range(2):
        with Faults() as faults, scene.daemon(faults, "--history", path) as daemon:
            eventually("it is open", lambda: "history is kept in" in daemon.log())
            time.sleep(1)
            calls = faults.calls(HISTORIAN_ROLE)
            assert daemon.process.poll() is None
    assert times_of(path), "nothing was written"
    for function, error in ((f, e) for f in FUNCTIONS for e in ERRORS[f]):
        most = calls[function]
        for n in range(1, 1 + most, 1 + most // 40) if ALL else {1 + most // 2} & {*range(most)}:
            if ALL or error == ERRORS[function][0]:
                yield function, n, error, HISTORIAN_ROLE, ONCE


def test_history_opening():
    with Scene() as scene, tempfile.TemporaryDirectory() as folder:
        made = pathlib.Path(folder, "made")
        made.mkdir()
        faults = list(faults_of_opening(scene, made / "history.db"))
        try_each(lambda *fault: open_with(scene, made, *fault), faults, 2 * LANES)


alone()
learn_names()
run(test_starting, test_publishing, test_gateway, test_history_opening,
    *((test_connecting, test_gateway_connecting, test_history) if ALL else ()))
