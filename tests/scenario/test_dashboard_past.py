# SPDX-License-Identifier: Apache-2.0
"""The dashboard and the past, in a real browser: events, history and advice as a daemon tells
them: a server that plays one, and at the end a real one."""
import contextlib
import csv
import http.server
import io
import json
import pathlib
import threading
import time
import urllib.parse

from harness import Daemon, Engine, alone, config, eventually, page_answer, run, vllm_page
from tabs import chromium

DESK = {"width": 1280, "height": 2000}  # charts that are not seen are not filled
REFUSED = "Failed to load resource"  # the browser says so of itself
RECORDING = pathlib.Path(__file__).parents[1] / "fixtures/recordings/host.ndjson"
MODEL = "Qwen-Qwen3-32B:8000"
COLUMNS = ["unix_ms", "count", *(f"{name}_{kind}" for name in (
    "allocated_vram_bytes", "used_kv_cache_bytes", "kv_pool_bytes", "prefix_cache_hit_rate",
    "num_requests_running", "num_requests_waiting") for kind in ("avg", "min", "max")),
    "preemptions"]
GIB = 1 << 30


def now_ms():
    return int(time.time() * 1000)


def event(number, at_ms, severity="info", **more):
    return {"id": number, "unix_ms": at_ms, "kind": "engine_found", "severity": severity,
            "model": None, "model_id": None, "port": None, "device": None,
            "text": f"event {number}", **more}


class Played:
    """A daemon that serves the page and says what it is told to; None: it has no such route."""

    def __init__(self, daemon):
        self.daemon, self.asked, self.tokens = daemon, [], set()
        self.document = json.loads(RECORDING.read_text().splitlines()[-1])["detail"]
        self.boot, self.seq, self.events, self.kept = "b", 0, [], None
        self.history = self.advice = None
        self.is_down = False
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                with contextlib.suppress(OSError):
                    outer.answer(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"

    def told(self):
        self.seq += 1
        said = {**self.document, "boot": self.boot, "seq": self.seq, "unix_ms": now_ms(),
                "interval_ms": 200}
        said.pop("events")
        return said if self.events is None else {**said, "events": self.events[-16:]}

    def answer(self, request):
        path, _, query = request.path.partition("?")
        routes = {"/v1/events": self.kept, "/v1/history": self.history,
                  "/v1/advice": self.advice}
        if path == "/v1/detail/stream":
            return self.stream(request)
        if path not in routes:
            return self.send(request, *self.daemon.get(path))
        self.asked.append((path, dict(urllib.parse.parse_qsl(query))))
        self.tokens.add(request.headers["Authorization"])
        said = routes[path](self.asked[-1][1]) if routes[path] else None
        if said is None:
            return self.send(request, 404, {}, b"{}")
        kind = "text/csv" if isinstance(said, str) else "application/json"
        body = said if isinstance(said, str) else json.dumps(said)
        return self.send(request, 200, {"Content-Type": kind}, body.encode())

    @staticmethod
    def send(request, status, fields, body):
        request.send_response(status)
        for name in ("Content-Type", "Content-Security-Policy"):
            if name in fields:
                request.send_header(name, fields[name])
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def stream(self, request):
        if self.is_down:
            return self.send(request, 500, {}, b"{}")
        request.send_response(200)
        request.send_header("Content-Type", "text/event-stream")
        request.end_headers()
        request.wfile.write(b"retry: 500\n\n")
        while not self.is_down:
            said = self.told()
            request.wfile.write(f"id: {self.boot}-{said['seq']}\n"
                                f"data: {json.dumps(said)}\n\n".encode())
            time.sleep(0.2)
        return None

    def paths(self):
        return [path for path, _ in self.asked]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_down = True
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def played(place="", prepare=lambda daemon: None, **options):
    with Played(DAEMON) as daemon:
        prepare(daemon)
        with CHROMIUM.tab(daemon.url + place, viewport=DESK, **options) as tab:
            tab.wait_until_live()
            yield daemon, tab


def shown(tab):
    return tab.texts("#events .what")


def numbers(*ranges):
    return [f"event {n}" for begin, end in ranges for n in range(begin, end, -1)]


def keep(daemon, *events):
    """The newest are in each document, all of them in /v1/events."""
    daemon.events = list(events)
    daemon.kept = lambda _: {"boot": daemon.boot, "events": list(events)}


# ---- Events ----

def test_events_are_the_daemons():
    begin = now_ms() - 3_600_000
    some = [event(n, begin + n * 1000) for n in range(1, 41)]
    with played(prepare=lambda daemon: keep(daemon, *some)) as (daemon, tab):
        eventually("what was kept", lambda: shown(tab) == numbers((40, 0)))
        # Its own words and severity; what is new alone comes from the documents.
        lost = event(41, begin + 41_000, "critical", kind="gpu_lost",
                     text="<img src=x onerror=alert(1)> is lost")
        daemon.events = [*some, lost]
        eventually("one more", lambda: len(shown(tab)) == 41)
        assert shown(tab)[0] == lost["text"] and tab.evaluate(
            "document.querySelectorAll('main img').length") == 0
        assert tab.data("#events li:first-child", "event", "severity") == [
            ["gpu_lost", "critical"]]
        assert daemon.paths().count("/v1/events") == 1

        # While nobody listened more happened than a document tells.
        daemon.is_down = True
        tab.expected = [REFUSED]
        tab.wait_for_state("lost")
        keep(daemon, *some, lost, *(event(n, begin + n * 1000) for n in range(42, 81)))
        daemon.is_down = False
        tab.wait_until_live(15)
        eventually("what was missed", lambda: len(shown(tab)) == 82)
        kinds = [kind for kind, in tab.data("#events li", "event")]
        assert kinds[:2] == ["back", "lost"] and kinds.count("gpu_lost") == 1, kinds
        assert shown(tab)[2:] == [*numbers((80, 41)), lost["text"], *numbers((40, 0))]

        # Another run of it, whose ids begin anew.
        daemon.boot, daemon.events = "c", [event(1, now_ms() - 120_000, text="begun anew")]
        eventually("another run", lambda: shown(tab)[2] == "begun anew")
        assert len(shown(tab)) == 83


def test_a_daemon_without_events():
    def prepare(daemon):
        daemon.events = None
    with played(prepare=prepare) as (daemon, tab):
        tab.wait("document.querySelector('#events-empty').innerText.includes('keeps no events')")
        assert shown(tab) == [] and "/v1/events" not in daemon.paths()


# ---- History ----

def history(asked):
    """All of what is asked for, but for a quarter of an hour in which nothing ran."""
    seconds, step = int(asked["from"][1:-1]), int(asked["step"][:-1])
    to = now_ms()
    begin = (to - seconds * 1000) // (step * 1000) * step * 1000
    points = []
    for at in range(begin, to, step * 1000):
        if to - 2_700_000 < at <= to - 1_800_000:
            continue
        points.append([at, step * 2] + [GIB, GIB, GIB] * 3 + [61.5, 61, 62] + [1, 0, 2] * 2 + [0])
    names = [(None, None, None), ("Qwen/Qwen3-32B", *MODEL.split(":"))]
    return {"from_ms": begin, "to_ms": to, "step_ms": step * 1000, "columns": COLUMNS,
            "series": [{"model": name, "model_id": key, "port": port and int(port),
                        "points": points} for name, key, port in names
                       if "model" not in asked or key == asked["model"]]}


def points(tab, chart="kvUsed"):
    return int(tab.attribute(f"[data-chart={chart}] .plot", "data-points") or 0)


def histories(daemon):
    return [asked for path, asked in daemon.asked if path == "/v1/history"]


def test_the_past_is_there_at_once():
    def prepare(daemon):
        daemon.history = history
    with played("#range=1h", prepare) as (daemon, tab):
        # An hour in steps of ten seconds, less a quarter of it.
        eventually("an hour", lambda: 265 <= points(tab) <= 275, 5)
        assert histories(daemon) == [{"from": "-3600s", "step": "10s"}], histories(daemon)
        label = tab.attribute("[data-chart=hitPercent] .plot", "aria-label")
        assert "between" in label and "61.5 %" in label, label
        # It came with that of the host.
        tab.call("selectOption", "#chart-model", MODEL)
        eventually("the model's", lambda: 265 <= points(tab) <= 275, 5)
        for seconds, step, most in ((21600, 60, 346), (86400, 180, 476)):
            tab.click(f'[data-range="{seconds // 3600}h"]')
            eventually("a longer one", lambda: most - 10 <= points(tab) <= most + 5, 5)
            assert histories(daemon)[-1] == {
                "from": f"-{seconds}s", "step": f"{step}s", "model": MODEL.split(":")[0]}
        tab.click('[data-range="5m"]')
        eventually("the feed's own", lambda: 0 < points(tab) < 200, 5)
        tab.click('[data-range="1h"]')
        eventually("an hour again", lambda: 265 <= points(tab) <= 280, 5)
        assert len(histories(daemon)) == 3, histories(daemon)

        # What happened while nobody listened is asked for.
        daemon.is_down = True
        tab.expected = [REFUSED]
        tab.wait_for_state("lost")
        daemon.is_down = False
        tab.wait_until_live(15)
        eventually("asked again", lambda: len(histories(daemon)) == 4)


def test_without_a_history():
    with played("#range=6h") as (daemon, tab):
        eventually("what the feed remembers", lambda: points(tab) >= 1, 5)
        tab.call("selectOption", "#chart-model", MODEL)
        eventually("and of a model", lambda: points(tab) >= 1, 5)
        tab.click('[data-range="1h"]')
        tab.wait("document.querySelector('[data-range=\"1h\"]').ariaPressed === 'true'")
        time.sleep(1)
        assert len(histories(daemon)) == 1, "it has no such route, and is not asked again"
        assert points(tab) >= 1


def test_the_past_as_a_file():
    def prepare(daemon):
        daemon.history = lambda asked: "time,model\r\n" if "format" in asked else history(asked)
    with played(f"#range=6h&model={urllib.parse.quote(MODEL)}", prepare) as (daemon, tab):
        tab.click("#downloads")
        saved = tab.ask("download", selector="#download-past")
        assert saved["name"].startswith("vramscope-past-") and saved["name"].endswith(".csv")
        assert saved["text"] == "time,model\r\n", saved
        assert {"format": "csv", "from": "-21600s", "step": "60s",
                "model": MODEL.split(":")[0]} in histories(daemon)
        assert not tab.is_visible("#past-fault")
        tab.expected, daemon.history = [REFUSED], None
        tab.click("#downloads")
        tab.click("#download-past")
        tab.wait("document.querySelector('#past-fault').innerText.includes('keeps no history')")


# ---- Advice ----

ADVICE = [
    {"id": "shrink:Qwen-Qwen3-32B:8000", "kind": "shrink", "severity": "warning",
     "confidence": "medium", "observed_ms": 3 * 3_600_000, "model": "Qwen/Qwen3-32B",
     "model_id": "Qwen-Qwen3-32B", "port": 8000, "title": "The KV cache is larger than needed",
     "text": "It never held <b>more</b>.", "arithmetic": ["1 + 1", "= 2"],
     "command": "--kv-cache-memory-bytes=21474836480", "kv_cache_memory_bytes": 21474836480,
     "gpu_memory_utilization": None, "freed_bytes_per_gpu": 1},
    {"id": "unified", "kind": "unified_memory", "severity": "info", "confidence": "high",
     "observed_ms": 0, "model": None, "model_id": None, "port": None,
     "title": "Memory is the host's", "text": None, "arithmetic": [], "command": None,
     "kv_cache_memory_bytes": None, "gpu_memory_utilization": None, "freed_bytes_per_gpu": None}]


def test_advice():
    def prepare(daemon):
        daemon.advice = lambda _: {"unix_ms": now_ms(), "least_ms": 900000, "observed": [],
                                   "advice": ADVICE}
    with played("", prepare, permissions=["clipboard-read", "clipboard-write"]) as (_, tab):
        tab.call("waitForSelector", "#advice-section", {"state": "visible"})
        first, second = tab.texts("#advice .card")
        for part in ("The KV cache is larger than needed", "Qwen/Qwen3-32B :8000",
                     "observed for 3 h", "confidence: medium", "It never held <b>more</b>.",
                     "1 + 1", "= 2", ADVICE[0]["command"]):
            assert part in first, (part, first)
        assert "confidence: high" in second, second
        assert "observed" not in second and "null" not in second, second
        assert tab.data("#advice .card", "severity", "model") == [
            ["warning", MODEL], ["info", None]]
        assert tab.evaluate("document.querySelectorAll('#advice button').length") == 1
        tab.click("#advice button")
        tab.wait("document.querySelector('#advice button').innerText === 'Copied'")
        copied = tab.evaluate("navigator.clipboard.readText()")
        assert copied == ADVICE[0]["command"], copied


# ---- A real daemon ----

def real(path):
    return json.loads(DAEMON.get(path)[2])


def test_of_a_real_daemon():
    key = f"org-model:{ENGINE.port}"
    eventually("half a minute of history", lambda: len(
        real("/v1/history?from=-1h&step=10s")["series"][0]["points"]) > 3, 45)
    for model in ("", key):
        place = f"#range=1h&model={model.replace(':', '%3A')}"
        with CHROMIUM.tab(DAEMON.url("/") + place, viewport=DESK) as tab:
            tab.wait_until_live()
            eventually("what was before", lambda: points(tab) > 3, 5)
            assert "0.5 GiB" in tab.text("[data-chart=kvUsed] h3 b"), place
    with CHROMIUM.tab(DAEMON.url(f"/#model={key.replace(':', '%3A')}"), viewport=DESK) as tab:
        tab.wait_until_live()
        kinds = [kind for kind, in tab.data("#events li", "event")]
        assert kinds == [e["kind"] for e in real("/v1/events")["events"]][::-1], kinds
        assert kinds[-2:] == ["engine_found", "daemon_started"], kinds
        tab.click("#downloads")
        text = tab.ask("download", selector="#download-past")["text"]
        rows = list(csv.DictReader(io.StringIO(text)))
        assert {f"{row['model_id']}:{row['port']}" for row in rows} == {key}, rows
        assert rows[-1]["used_kv_cache_bytes_max"] == str(500 * (GIB // 1000)), rows[-1]


alone()
with chromium() as CHROMIUM, Engine(page_answer(vllm_page())) as ENGINE, config(
        f"engines:\n  - {{url: {ENGINE.url}, gpus: 1, kv_bytes_per_block: {GIB // 1000}}}\n"
) as FILE, Daemon("--gpu", "none", "--no-discover", "--config", FILE) as DAEMON:
    run(test_events_are_the_daemons, test_a_daemon_without_events,
        test_the_past_is_there_at_once, test_without_a_history, test_the_past_as_a_file,
        test_advice, test_of_a_real_daemon)
