# SPDX-License-Identifier: Apache-2.0
"""What happens is told: in each detail document, at /v1/events and in the log, the same."""
import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading

from harness import (Daemon, Engine, FakeDriver, Spawned, Stream, alone, eventually, free_port,
                     page_answer, run, serve, vllm_page)

VRAMSCOPE = os.environ.get("VRAMSCOPE", "build/release/src/vramscope")
LIBRARY = os.environ.get("FAKE_NVML", "")
GIB = 1 << 30
KEYS = ["id", "unix_ms", "kind", "severity", "model", "model_id", "port", "device", "text"]
SLEEPING = ('vllm:engine_sleep_state{engine="0",sleep_state="awake"} 0.0\n'
            'vllm:engine_sleep_state{engine="0",sleep_state="discard_all"} 1.0\n')


def answer(daemon, query=""):
    status, headers, body = daemon.get("/v1/events" + query)
    assert status == 200, (status, body)
    assert headers["Content-Type"] == "application/json", headers
    assert headers["Cache-Control"] == "no-store", headers
    return json.loads(body)


def events(daemon, query=""):
    return answer(daemon, query)["events"]


def told(daemon):
    """Kind and name of each."""
    return [(e["kind"], e["model"] or e["device"]) for e in events(daemon)]


def wait_for(daemon, *what, seconds=15):
    eventually(f"{what} is told: {told(daemon)}", lambda: what in told(daemon), seconds)


class Follower:
    """A reader of the detail stream that remembers the last id it was told."""

    def __init__(self, daemon):
        self.stream = Stream(daemon, "/v1/detail/stream")
        self.events, self.ended, self.wrong = [], False, None
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while not self.ended:
            piece = self.stream.piece()
            if b"\ndata: {" not in piece or b"event: " in piece:
                continue
            found = json.loads(piece.split(b"\ndata: ")[1])["events"]
            ids = [event["id"] for event in found]
            if ids != list(range(ids[0], ids[0] + len(ids))) or len(ids) > 16:
                self.wrong = ids
            last = self.events[-1]["id"] if self.events else 0
            self.events += [event for event in found if event["id"] > last]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended = True
        self.thread.join(5)
        self.stream.socket.close()


def check_all(daemon, follower):
    """Everybody was told the same, in order."""
    whole = answer(daemon)
    status, _, body = daemon.get("/v1/detail")
    if status == 200:
        assert json.loads(body)["boot"] == whole["boot"]
        assert json.loads(body)["events"] == whole["events"][-16:]
    eventually("the reader has all", lambda: follower.events == whole["events"])
    assert follower.wrong is None, follower.wrong
    for i, event in enumerate(whole["events"]):
        assert list(event) == KEYS, event
        assert event["id"] == i + 1, event
        assert f"{event['kind']}: {event['text']}\n" in daemon.log(), (event, daemon.log())
    log = [line for line in daemon.log().splitlines()
           if any(f"{event['kind']}: " in line for event in whole["events"])]
    assert len(log) == len(whole["events"]), log
    assert whole["events"][0]["kind"] == "daemon_started", whole["events"][0]


@contextlib.contextmanager
def worker_of_vllm():
    """A process with the title of a worker, whose server is gone."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "VLLM::Worker_TP")
        os.symlink(shutil.which("sleep"), path)
        with Spawned(["sh", "-c", f"'{path}' 600 & echo $!"], text=True,
                     stdout=subprocess.PIPE) as shell:
            worker = int(shell.stdout.readline())
            shell.wait()
            yield worker
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)


def test_engines_come_and_go():
    a, b = free_port(), free_port()
    with FakeDriver() as driver, serve("scene/a", a, driver), worker_of_vllm() as worker, \
            contextlib.ExitStack() as stack, \
            Daemon("--gpu", "sim", "--sim-dir", driver.path) as daemon, \
            Follower(daemon) as follower:
        wait_for(daemon, "engine_found", "scene/a")
        second = stack.enter_context(serve("scene/b", b, driver))
        wait_for(daemon, "engine_found", "scene/b")
        eventually("b is ready", lambda: "ready" in [
            m["state"] for m in json.loads(daemon.get("/v1/detail")[2])["models"]
            if m["model"] == "scene/b"])
        second.end()
        second = stack.enter_context(serve("scene/b", b, driver))
        wait_for(daemon, "engine_restarted", "scene/b")
        second.end()
        driver.hold(worker, 1, 4 * GIB)
        wait_for(daemon, "engine_lost", "scene/b")
        wait_for(daemon, "orphan_appeared", "GPU-00000001-0000-0000-0000-000000000000")
        os.kill(worker, signal.SIGKILL)
        driver.free(worker)
        wait_for(daemon, "orphan_gone", "GPU-00000001-0000-0000-0000-000000000000")
        check_all(daemon, follower)
        kinds = [kind for kind, name in told(daemon) if name == "scene/b"]
        assert kinds == ["engine_found", "engine_restarted", "engine_lost"], told(daemon)
        by_kind = {event["kind"]: event for event in events(daemon) }
        assert by_kind["engine_lost"]["severity"] == "warning"
        assert by_kind["engine_lost"]["port"] == b, by_kind
        assert by_kind["engine_lost"]["model_id"] == "scene-b", by_kind
        assert "held 16.0 GiB" in by_kind["engine_lost"]["text"], by_kind
        assert "4.0 GiB on GPU 1" in by_kind["orphan_appeared"]["text"], by_kind


def test_a_lost_gpu_and_an_outage():
    with FakeDriver() as driver:
        script = os.path.join(driver.path, "nvml")

        def say(text):
            with open(script + ".new", "w") as file:
                file.write(text)
            os.rename(script + ".new", script)

        whole = f"device GPU-0 H100\nmemory {80 * GIB} 0 {GIB}\n"
        other = f"device GPU-1 H100\nmemory {80 * GIB} 0 {GIB}\n"
        say(whole + other)
        with Daemon("--gpu", "nvml", "--nvml-library", LIBRARY, "--no-discover",
                    env={"VRAMSCOPE_FAKE_NVML": script}) as daemon, Follower(daemon) as follower:
            say(whole + other + "lost\n")
            wait_for(daemon, "gpu_lost", "GPU-1")
            say(whole + other)
            wait_for(daemon, "gpu_back", "GPU-1")
            say(whole + "lost\n" + other + "lost\n")
            wait_for(daemon, "gpu_lost", None)
            assert daemon.get("/v1/detail")[0] == 503  # and the events are still told
            say("driver 560.1\n" + whole + other)
            wait_for(daemon, "gpu_back", None)
            os.kill(daemon.workers()[0], signal.SIGKILL)  # the next one asks for the version
            wait_for(daemon, "driver_changed", None)
            check_all(daemon, follower)
            assert told(daemon) == [
                ("daemon_started", None), ("gpu_lost", "GPU-1"), ("gpu_back", "GPU-1"),
                ("gpu_lost", None), ("gpu_back", None), ("driver_changed", None)], told(daemon)
            assert "error: gpu_lost: GPU 1 (H100)" in daemon.log(), daemon.log()


def test_what_an_engine_says():
    page = [vllm_page("scene/c")]
    with Engine(page_answer(lambda: page[0])) as engine, \
            Daemon("--gpu", "none", "--no-discover", "--engine", engine.url) as daemon, \
            Follower(daemon) as follower:
        wait_for(daemon, "engine_found", "scene/c")
        preempted = 'vllm:num_preemptions_total{engine="0",model_name="scene/c"} '
        page[0] = vllm_page("scene/c", extra=preempted + "3.0\n")
        eventually("it is asked", lambda: b'"preemptions":3' in daemon.get("/v1/detail")[2])
        page[0] = vllm_page("scene/c", extra=preempted + "7.0\n", blocks=2001)
        wait_for(daemon, "preempting", "scene/c")
        wait_for(daemon, "kv_capacity_changed", "scene/c")
        page[0] = vllm_page("scene/c", extra=preempted + "7.0\n" + SLEEPING)
        wait_for(daemon, "engine_slept", "scene/c")
        page[0] = vllm_page("scene/c", extra=preempted + "7.0\n", blocks=2001)
        wait_for(daemon, "engine_woke", "scene/c")
        check_all(daemon, follower)
        assert [kind for kind, _ in told(daemon)] == [
            "daemon_started", "engine_found", "preempting", "kv_capacity_changed",
            "engine_slept", "engine_woke"], told(daemon)
        texts = {event["kind"]: event["text"] for event in events(daemon)}
        assert "preempts requests: 4 in " in texts["preempting"], texts
        assert "1001 blocks -> 2001 blocks" in texts["kv_capacity_changed"], texts


def test_asking_for_them():
    with Engine(page_answer(vllm_page("scene/d"))) as engine, \
            Daemon("--gpu", "none", "--no-discover", "--engine", engine.url) as daemon:
        wait_for(daemon, "engine_found", "scene/d")
        assert [e["id"] for e in events(daemon)] == [1, 2]
        assert [e["id"] for e in events(daemon, "?after=1")] == [2]
        assert [e["id"] for e in events(daemon, "?limit=1")] == [2]
        assert events(daemon, "?after=2&limit=256&other=1") == []
        assert events(daemon, "?after=9223372036854775807") == []
        for query in ("?limit=0", "?limit=257", "?after=-1", "?after=x", "?after=1&after=1",
                      "?limit"):
            status, _, body = daemon.get("/v1/events" + query)
            error = json.loads(body)["error"]
            assert (status, error["code"]) == (400, "bad-parameter"), (query, status, body)
            assert query[1:6] in error["message"], (query, error)
        status, headers, body = daemon.get("/v1/events", "HEAD")
        assert (status, body) == (200, b"") and int(headers["Content-Length"]) > 100
        assert daemon.get("/v1/events", "POST")[0] == 405


def test_a_recording_has_none_of_its_own():
    with tempfile.NamedTemporaryFile("w", suffix=".ndjson") as file:
        with Daemon("--gpu", "none", "--no-discover") as daemon:
            document = json.loads(daemon.get("/v1/detail")[2])
        for line in ({"vramscope_recording": 1, "version": "0.1.0", "url": "", "unix_ms": 1},
                     {"unix_ms": 1, "detail": document}, {"unix_ms": 60000, "no_data": "gone"}):
            print(json.dumps(line), file=file, flush=True)
        with Spawned([VRAMSCOPE, "replay", file.name, "--listen", "127.0.0.1:0"], text=True,
                     stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as replay:
            port = int(replay.stderr.readline().rpartition(":")[2])
            ask = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            with contextlib.closing(ask):
                ask.request("GET", "/v1/events")
                response = ask.getresponse()
                error = json.loads(response.read())["error"]
            assert (response.status, error["code"]) == (404, "not-found"), error
            assert "recording" in error["message"], error
            replay.stderr.close()


alone()
run(test_engines_come_and_go, at_once=(test_a_lost_gpu_and_an_outage,
                                       test_what_an_engine_says, test_asking_for_them,
                                       test_a_recording_has_none_of_its_own))
