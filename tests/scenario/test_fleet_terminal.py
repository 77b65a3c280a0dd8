# SPDX-License-Identifier: Apache-2.0
"""vramscope with a gateway of 40 nodes, whose answers are files: commands and the screen."""
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import re
import subprocess
import threading
import time
import urllib.parse

from fleet import Dark
from harness import eventually, free_port, run
from tmux import Tmux

PROGRAM = os.path.abspath(os.environ.get("VRAMSCOPE", "build/release/src/vramscope"))
FIXTURES = pathlib.Path(__file__).parents[1] / "fixtures/fleet"
FLEET = json.loads((FIXTURES / "fleet.json").read_text())
NODE = json.loads((FIXTURES / "node.json").read_text())

# What the gateway says of a node that it cannot show.
REFUSED = {
    "gpu003": (503, "node-lost", "nothing has come from gpu003 for 65 s"),
    "gpu011": (409, "ambiguous-node", "two nodes are called gpu011"),
    "nosuch": (404, "no-such-node", "there is no node nosuch"),
}


class Gateway(http.server.ThreadingHTTPServer):
    """As a context: serves until its block ends. `asked` has the paths of all requests."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.ended = [], threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.shutdown()
        self.thread.join()
        self.server_close()

    def __call__(self, *arguments):
        return subprocess.run([PROGRAM, *arguments, "--url", self.url], timeout=20,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"})


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 503:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        node = urllib.parse.parse_qs(url.query).get("node", [None])[0]
        self.server.asked.append(self.path)
        if url.path == "/version":
            self.answer(200, {"name": "vramscoped", "version": "0.1.0"})
        elif url.path == "/v1/events":
            if node == "alone":  # which asks a host
                self.answer(404, {"error": {"code": "no-gateway", "message": "no gateway"}})
                return
            self.answer(200, {"events": [event for event in FLEET["events"]
                                         if node in (None, event.get("node"))]})
        elif node in REFUSED:
            status, code, message = REFUSED[node]
            self.answer(status, {"error": {"code": code, "message": message}})
        elif url.path == "/v1/detail/stream":
            self.stream({**NODE, "node": node} if node else FLEET)
        else:
            self.answer(404, {"error": {"code": "not-found", "message": "no such route"}})

    def stream(self, document):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for seq in range(1, 10000):
            now = {**document, "seq": seq, "unix_ms": int(time.time() * 1000)}
            try:
                self.wfile.write(f"id: b-{seq}\ndata: {json.dumps(now)}\n\n".encode())
            except OSError:
                return
            if self.server.ended.wait(0.5):
                return


def test_commands():
    with Gateway() as gateway:
        once = gateway("--once")
        assert once.returncode == 0, once
        assert "40 nodes: 29 live, 4 stale, 2 in an outage, 1 unreadable, 4 lost" in once.stdout
        needy = [line.split()[0] for line in once.stdout.split("REASON\n")[1].split("\n\n")[0]
                 .splitlines()]
        assert needy[:5] == ["gpu003", "gpu013", "gpu023", "gpu033", "gpu008"], needy
        assert len(needy) == 13, needy
        assert " 20/21 ready " in once.stdout, once.stdout

        check = gateway("check")
        assert check.returncode == 2, check
        assert check.stdout.startswith(
            "CRITICAL - 4 nodes are lost (gpu003, gpu013, gpu023, gpu033) |"), check.stdout
        assert " 'nodes_lost'=4;;;0;40" in check.stdout, check.stdout
        assert gateway("check", "--model", "BAAI/bge-m3").returncode == 0

        doctor = gateway("doctor")
        assert doctor.returncode == 2, doctor
        assert "FAIL  node gpu007" in doctor.stdout, doctor.stdout

        events = gateway("events")
        assert "gpu020: 90 % of the KV cache" in events.stdout, events.stdout
        assert "node_back           gpu004 is back" in events.stdout, events.stdout
        events = gateway("events", "--node", "gpu002", "--count", "1")
        assert len(events.stdout.splitlines()) == 1 and "engine_found" in events.stdout, events
        assert gateway.asked[-1] == "/v1/events?after=0&node=gpu002", gateway.asked
        events = gateway("events", "--node", "alone")
        assert events.returncode == 1 and ", node alone: no gateway" in events.stderr, events


def test_one_node():
    with Gateway() as gateway:
        once = gateway("--once", "--node", "gpu011@1a2b3c4d")
        assert once.returncode == 0 and "> gpu011@1a2b3c4d" in once.stdout, once
        assert gateway.asked == ["/v1/detail/stream?node=gpu011%401a2b3c4d"], gateway.asked
        assert json.loads(gateway("--once", "--json", "--node", "gpu17").stdout)["node"] \
            == "gpu17"
        line = gateway("stream", "--node", "gpu17", "--count", "1")
        assert "models 2" in line.stdout and "nodes" not in line.stdout, line
        assert gateway("check", "--node", "gpu17").returncode == 0
        for name, (_, _, message) in REFUSED.items():
            refused = gateway("--once", "--node", name)
            assert refused.returncode == 1, refused
            assert f"{gateway.url}, node {name}: {message}" in refused.stderr, refused
            assert f", node {name}: {message}" in gateway("check", "--node", name).stdout
        doctor = gateway("doctor", "--node", "gpu003").stdout
        assert "whether vramscoped runs on it with --nats" in doctor, doctor


def test_screen():
    with Gateway() as gateway, Tmux() as tmux:
        window = tmux.open(f"exec {PROGRAM} --url {gateway.url}")
        window.shows("40 nodes", "29 live", "gpu003", "LOST", "gateway")
        window.type_text("/node~gpu01 & state=live")
        window.type("Enter")
        window.shows("Nodes 8", "these 8, 7 counted", "gpu010", "gpu017")
        window.type("G", "Enter")
        window.shows(" > gpu019", "Models 2", "GPU 0", "Esc back to the fleet")
        assert "/v1/detail/stream?node=gpu019" in gateway.asked
        window.type("2")
        window.shows("GPU 1", " > gpu019")
        window.type("Escape")
        window.shows("Models 2")
        window.type("BSpace")
        window.shows("Nodes 8", "gpu019")
        window.type("Escape")
        window.shows("Nodes 40")
        window.type("g", "Enter")  # who is lost has no figures, which is said
        window.shows(" > gpu003", "There are no figures of this node",
                     "nothing has come from gpu003 for 65 s", "Esc goes back to the fleet")
        window.type("Escape")
        window.shows("Nodes 40")
        window.type("1")
        window.shows("20/21", "meta-llama")
        window.type("4")
        window.shows("gpu017", "the memory of GPU 3 is not known")
        window.type("n")
        window.shows("Nodes 40")
        window.type("q")
        eventually("the end", lambda: window.ask("#{pane_dead}") == "1", 5)


def test_recording():
    """What was recorded of a gateway is played; its nodes cannot be opened."""
    with Gateway() as gateway, Tmux() as tmux:
        path = os.path.join(tmux.folder.name, "fleet.ndjson")
        assert gateway("record", "--count", "3", path).returncode == 0
        window = tmux.open(f"exec {PROGRAM} replay {path}")
        window.shows("40 nodes", "gpu003", "LOST", "recording")
        window.type("Enter")
        window.shows("gpu003", "not in the sums", "nothing has come for 65 s")
        window.type("Escape")
        window.shows("Nodes 40")
        window.type("q")
        once = subprocess.run([PROGRAM, "replay", "--once", path], timeout=20, text=True,
                              capture_output=True, check=True)
        assert "40 nodes: 29 live" in once.stdout, once


def vramscope(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], timeout=20, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"})


def check_commands_of_nobody(url):
    once = vramscope("--once", "--url", url)
    assert once.returncode == 1, once
    assert "3 nodes: 1 in an outage, 2 lost" in once.stdout, once.stdout
    assert "no figures: none of 3 nodes has figures: 2 lost, 1 in an outage" in once.stdout
    table = once.stdout.split("REASON\n")[1].splitlines()[:3]
    assert [line.split()[:2] for line in table] == [
        ["a", "lost,"], ["b", "lost,"], ["c", "outage,"]], once.stdout
    assert "the driver says nothing" in table[2] and "no models" not in once.stdout
    json_of = vramscope("--once", "--json", "--url", url)
    assert json_of.returncode == 1 and json.loads(json_of.stdout)["outage"], json_of
    check = vramscope("check", "--url", url)
    assert check.returncode == 2, check
    assert check.stdout.startswith("CRITICAL - 2 nodes are lost (a, b) |"), check.stdout
    check = vramscope("check", "--url", url, "--model", "any")
    assert check.returncode == 3 and "none of 3 nodes has figures" in check.stdout, check
    doctor = vramscope("doctor", "--url", url)
    assert doctor.returncode == 2, doctor
    assert re.search("FAIL  figures +none of 3 nodes has figures.*(no-nodes)", doctor.stdout)
    assert "FAIL  node a" in doctor.stdout and "FAIL  node c" in doctor.stdout, doctor
    document = vramscope("stream", "--json", "--count", "1", "--url", url)
    assert json.loads(document.stdout)["outage"]["code"] == "no-nodes", document


def answer(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    return 0, None


def check_recording_of_nobody(url, path):
    """It has the nodes, and makes no figures of their absence."""
    assert vramscope("record", "--count", "2", "--url", url, path).returncode == 0
    once = vramscope("replay", "--once", path)
    assert "2 lost" in once.stdout and "no figures: none of 3" in once.stdout, once
    port = free_port()
    replay = subprocess.Popen([PROGRAM, "replay", path, "--listen", f"127.0.0.1:{port}",
                               "--speed", "0.1"], stderr=subprocess.DEVNULL)
    try:
        eventually("a document", lambda: answer(port, "/v1/detail")[0] == 200)
        document = answer(port, "/v1/detail")[1]
        assert document["outage"]["code"] == "no-nodes" and len(document["nodes"]) == 3
        for route in ("/vram", "/vram/aggregated", "/readyz"):
            status, said = answer(port, route)
            assert status == 503 and said["error"]["code"] == "no-nodes", (route, said)
    finally:
        replay.terminate()
        replay.wait(5)


def test_no_node_counts():
    DARK.wait()
    url = DARK.gateway.url("")
    with Tmux() as tmux:
        window = tmux.open(f"exec {PROGRAM} --url {url}")
        window.shows("NO DATA", "3 nodes", "2 lost", "1 in an outage", "none of 3 nodes has",
                     "LOST", "OUTAGE")
        window.type("e")
        window.shows("nothing", "not in the sums", "160.0 GiB")
        window.type("Escape")
        check_commands_of_nobody(url)
        check_recording_of_nobody(url, os.path.join(tmux.folder.name, "dark.ndjson"))
        lines = subprocess.Popen([PROGRAM, "stream", "--url", url, "--count", "2"], text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(0.5)
        DARK.nodes["a"].resume()
        window.shows("1 live", "data is back after", "160.0 GiB")
        said, told = lines.communicate(timeout=10)
        assert said.count("VRAM 30.0 GiB of 160.0 GiB") == 2, said  # none without figures
        assert "none of 3 nodes has figures" in told and "figures again" in told, told
        window.type("q")
        eventually("the end", lambda: window.ask("#{pane_dead}") == "1", 5)


with Dark() as DARK:
    run(test_commands, test_one_node, test_screen, test_recording, test_no_node_counts)
