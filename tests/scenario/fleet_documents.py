# SPDX-License-Identifier: Apache-2.0
"""A gateway's page with documents of a fleet that a scene makes up: states and numbers of
nodes that a real fleet is in only for a moment, or when it has a thousand of them."""
import collections
import copy
import http.server
import json
import threading
import time
import urllib.parse

GIB = 1 << 30
PAGE = ("/", "/dashboard.js", "/feed.js", "/dashboard.css", "/icon.svg")
COUNTED = ("live", "stale")


def derived(value):
    return {"value": value, "from": "derived", "error": 0, "reason": None}


def node(name, at=0, **more):
    """As a gateway writes it; `at` makes its figures its own."""
    return {"node": name, "state": "live", "reason": None, "counted": True, "gateway": False,
            "nodes": 1, "name_taken": False, "age_ms": 120, "interval_ms": 500,
            "clock_offset_ms": 3, "version": "0.1.0", "machine": "00ff" * 8, "boot": "b" * 16,
            "seq": 7, "started_unix_ms": 1790000000000, "messages": 9, "malformed": 0,
            "dropped": 0, "gpus": 8, "models": 2,
            "vram": {"total_bytes": 640 * GIB, "allocated_bytes": (500 + at % 100) * GIB,
                     "from": "measured",
                     "models_bytes": 400 * GIB, "other_bytes": 0, "orphan_bytes": 0,
                     "unattributed_bytes": 0},
            "kv_cache": {"used_bytes": (at * 7 % 100) * GIB, "capacity_bytes": 100 * GIB,
                         "from": "derived", "unknown_models": 0},
            "prefix_cache": {"hit_percent": 40.0},
            "requests": {"running": at % 50, "waiting": at % 3}, **more}


def gone(name, state, reason):
    """One whose figures do not count."""
    nobody = {"total_bytes": None, "allocated_bytes": None, "from": "unknown",
              "models_bytes": None, "other_bytes": None, "orphan_bytes": None,
              "unattributed_bytes": None}
    return node(name, state=state, reason=reason, counted=False, age_ms=34000, vram=nobody,
                kv_cache={"used_bytes": None, "capacity_bytes": None, "from": "unknown",
                          "unknown_models": 0},
                prefix_cache={"hit_percent": None},
                requests={"running": None, "waiting": None})


class Gateway:
    """Serves the page of `daemon`; its documents are what the daemon says of its host, with
    the nodes in `self.nodes`, by name."""

    def __init__(self, daemon, nodes, interval=0.2):
        self.files = {path: daemon.get(path) for path in PAGE}
        self.host = json.loads(daemon.get("/v1/detail")[2])
        self.nodes = {each["node"]: each for each in nodes}
        self.errors = {}  # of a node: status, code, message
        self.events = []
        self.interval, self.seq = interval, 0
        self.streams = collections.Counter()  # open ones, by node
        self.ended = False
        handler = type("Handler", (Handler,), {"gateway": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.ended = True
        self.server.shutdown()
        self.server.server_close()

    def url(self, place=""):
        return f"{self.origin}/{place}"

    def put(self, *nodes):
        self.nodes = {**self.nodes, **{each["node"]: each for each in nodes}}

    def counted(self):
        return [each for each in self.nodes.values() if each["counted"]]

    def sum(self, part, name):
        return sum(each[part][name] or 0 for each in self.counted())

    def _stamped(self):
        self.seq += 1
        return {**copy.deepcopy(self.host), "seq": self.seq,
                "unix_ms": int(time.time() * 1000), "interval_ms": int(1000 * self.interval)}

    def _fleet(self):
        states = collections.Counter(each["state"] for each in self.nodes.values())
        return {"nodes": len(self.nodes),
                **{state: states[state]
                   for state in ("live", "stale", "outage", "unreadable", "lost")},
                "counted": len(self.counted()), "gpus": 8 * len(self.nodes),
                "kv_pool_bytes": derived(self.sum("kv_cache", "capacity_bytes")),
                "kv_pool_unknown_models": 0,
                "requests": {"running": self.sum("requests", "running"),
                             "waiting": self.sum("requests", "waiting")},
                "nats": {"connected": True, "reconnects": 0, "messages": 90, "bytes": 9000,
                         "malformed": 0, "dropped": 0, "refused": 0, "missed": 0}}

    def fleet(self):
        document = self._stamped()
        document.update(devices=[], processes=[], gpu={"age_ms": None, "sources": []})
        document["vram"].update(total_bytes=derived(self.sum("vram", "total_bytes")),
                                allocated_bytes=derived(self.sum("vram", "allocated_bytes")))
        document["kv_cache"] = {"used_bytes": self.sum("kv_cache", "used_bytes"),
                                "unknown_models": 0}
        for row in document["models"]:
            row.update(devices=[], pid=None, nodes=len(self.nodes),
                       nodes_ready=len(self.counted()))
        nodes = sorted(self.nodes.values(), key=lambda each: each["node"])
        return {**document, "models_left_out": 0, "fleet": self._fleet(), "nodes": nodes,
                "nodes_left_out": 0, "events": self.events}

    def one(self, name):
        told = [event for event in self.events if event["node"] == name]
        # A node numbers its events by itself.
        own = [{**event, "id": event["id"] + 100, "unix_ms": event["unix_ms"] - 1}
               for event in told]
        document = {**self._stamped(), "node": name, "events": own}
        allocated = self.nodes[name]["vram"]["allocated_bytes"]
        document["vram"]["allocated_bytes"] = derived(allocated)
        return document

    def refusal(self, name):
        """Status, code and message, or None: there is something to tell."""
        if name is None:
            nothing = (503, "no-nodes", "no node has been heard yet")
            return None if self.nodes else nothing
        if name in self.errors:
            return self.errors[name]
        each = self.nodes.get(name)
        if each is None:
            return 404, "no-such-node", f"no node is named {name}"
        if each["state"] != "live":
            return 503, "node-" + each["state"], each["reason"]
        return None

    def document(self, name):
        return self.fleet() if name is None else self.one(name)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def say(self, status, document):
        self.answer(status, json.dumps(document).encode(),
                    {"Content-Type": "application/json"})

    def stream(self, name):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"retry: 500\n\n")
        while not self.gateway.ended:
            refusal = self.gateway.refusal(name)
            document = None if refusal else self.gateway.document(name)
            text = (f": no data ({refusal[2]})\n\n" if refusal else
                    f"id: b-{document['seq']}\ndata: {json.dumps(document)}\n\n")
            self.wfile.write(text.encode())
            time.sleep(self.gateway.interval)

    def do_GET(self):
        place = urllib.parse.urlsplit(self.path)
        name = dict(urllib.parse.parse_qsl(place.query)).get("node")
        if place.path in self.gateway.files:
            status, headers, body = self.gateway.files[place.path]
            kept = ("Content-Type", "Content-Security-Policy", "Cache-Control")
            return self.answer(status, body, {key: headers[key] for key in kept})
        if place.path == "/v1/events":
            told = [event for event in self.gateway.events if name in (None, event["node"])]
            return self.say(200, {"events": told})
        if place.path not in ("/v1/detail", "/v1/detail/stream"):
            return self.say(404, {"error": {"code": "not-found", "message": "no such path"}})
        refusal = self.gateway.refusal(name)
        if refusal:
            status, code, message = refusal
            return self.say(status, {"error": {"code": code, "message": message}})
        if place.path == "/v1/detail":
            return self.say(200, self.gateway.document(name))
        self.gateway.streams[name] += 1
        try:
            return self.stream(name)
        except OSError:
            return None  # nobody reads it any longer
        finally:
            self.close_connection = True
            self.gateway.streams[name] -= 1
