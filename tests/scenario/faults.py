# SPDX-License-Identifier: Apache-2.0
"""Calls that fail (faults.c), a scene that is known to the byte, judges of what is said.

Whatever fails, a figure is true or said to be unknown.
"""
import contextlib
import errno
import http.client
import json
import mmap
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time

from harness import DAEMON, EVENT, SKIPPED, Daemon, FakeDriver, Stream, config, vllm_page
from test_detail import check

LIBRARY = os.environ.get("FAULTS", "")
GIB = 1 << 30
DAEMON_ROLE, WORKER_ROLE, KEEPER_ROLE, HISTORIAN_ROLE, NATS_ROLE = range(5)
ONCE, ALWAYS, SHORT = 0, 1, 2
ALL = os.environ.get("VRAMSCOPE_FAULTS") == "all"
CUT_OFF = (OSError, http.client.HTTPException)

# How each function can fail in the world; EINTR is for those that may be interrupted.
ERRORS = {
    "malloc": ["ENOMEM"], "calloc": ["ENOMEM"], "realloc": ["ENOMEM"],
    "read": ["EIO", "EINTR", SHORT], "pread": ["EIO", SHORT], "write": ["EIO"],
    "recv": ["ECONNRESET", "ENOMEM", "EINTR", SHORT], "recvfrom": ["ENOBUFS"],
    "recvmsg": ["ENOBUFS"], "send": ["ECONNRESET", "ENOBUFS", "EAGAIN", "EINTR", SHORT],
    "sendto": ["ENOBUFS"], "sendmsg": ["ENOBUFS", "ECONNRESET"],
    "accept4": ["EMFILE", "ECONNABORTED", "ENOMEM", "EINTR"],
    "open": ["EMFILE", "EACCES"], "openat": ["EMFILE", "ENOMEM"], "fopen": ["EMFILE"],
    "fgets": ["EIO"], "socket": ["EMFILE"], "connect": ["ECONNREFUSED"],
    "bind": ["EADDRINUSE"], "listen": ["EADDRINUSE"], "epoll_create1": ["EMFILE"],
    "epoll_ctl": ["ENOSPC"], "epoll_wait": ["EINTR"], "poll": ["EINTR", "ENOMEM"],
    "timerfd_create": ["EMFILE"], "timerfd_settime": ["EINVAL"], "eventfd": ["EMFILE"],
    "pipe2": ["EMFILE"], "opendir": ["EMFILE"], "fdopendir": ["ENOMEM"],
    "readdir": ["EIO"], "getdents64": ["EIO"], "readlink": ["EACCES"],
    "readlinkat": ["EACCES"], "getsockopt": ["ENOBUFS"], "setsockopt": ["ENOBUFS"],
    "getsockname": ["ENOBUFS"], "getpeername": ["ENOTCONN"], "fstat": ["EIO"],
    "stat": ["EACCES"], "fstatfs": ["EIO"], "fcntl": ["EINVAL"], "ioctl": ["ENOTTY"],
    "syscall": ["ENOSYS"], "getrandom": ["ENOSYS"], "getaddrinfo": ["ENOMEM"],
    "dlopen": ["ENOMEM"], "pthread_create": ["EAGAIN"], "fork": ["EAGAIN"],
    "posix_spawn": ["EAGAIN"], "socketpair": ["EMFILE"], "getrlimit": ["EINVAL"],
    "setrlimit": ["EPERM"], "lseek": ["EINVAL"], "faccessat": ["EACCES"],
    "writev": ["EIO"], "pwrite": ["ENOSPC", SHORT], "fdatasync": ["EIO"], "fsync": ["EIO"],
    "ftruncate": ["EIO"],
}

FUNCTIONS = os.environ.get("VRAMSCOPE_FAULTS_OF", "").split() or list(ERRORS)
ENDLESS = {"epoll_wait", "read", "write"}  # always interrupted, these wait for ever

# Where the n-th call at the start is libuv's own, which ends the program if it fails: the
# pipe of its signals, and the thread that one of ours has just shown to be possible.
ABORTS = {("pipe2", 1), ("pthread_create", 3)}


class Faults:
    """What shall fail in a process, shared with it while it runs."""

    HEAD = struct.Struct("=IiiIIIII")
    SEEN = struct.Struct("=24s5Q")
    names = []

    def __init__(self):
        self.file = tempfile.NamedTemporaryFile()
        self.file.truncate(65536)
        self.map = mmap.mmap(self.file.fileno(), 65536)
        self.env = {"LD_PRELOAD": LIBRARY, "FAULTS_FILE": self.file.name}

    def arm(self, function, n, error, manner=ONCE, role=DAEMON_ROLE):
        if error == SHORT:
            error, manner = "EIO", SHORT
        self.disarm()
        number = Faults.names.index(function) + 1
        head = self.HEAD.pack(0, n, getattr(errno, error), manner, role, 0, 0, 0)
        self.map[4:20] = head[4:20]  # what has fired is counted on
        self.map[0:4] = struct.pack("=I", number)

    def disarm(self):
        self.map[0:4] = b"\0\0\0\0"

    def fired(self):
        return struct.unpack_from("=I", self.map, 20)[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.map.close()
        self.file.close()

    def calls(self, role=DAEMON_ROLE):
        rows = (self.SEEN.unpack_from(self.map, self.HEAD.size + i * self.SEEN.size)
                for i in range(struct.unpack_from("=I", self.map, 24)[0]))
        return {row[0].rstrip(b"\0").decode(): row[1 + role] for row in rows}


def learn_names():
    if not LIBRARY:
        print("skip: no library that makes calls fail")
        sys.exit(SKIPPED)
    faults = Faults()
    subprocess.run([DAEMON, "--version"], env={**os.environ, **faults.env}, check=True,
                   stdout=subprocess.DEVNULL)
    Faults.names = list(faults.calls())
    assert set(Faults.names) == set(ERRORS), set(Faults.names) ^ set(ERRORS)


SERVER = """
import http.server, os, sys, time
ROOT = os.getpid()
children = [os.fork() for _ in range(2) if os.getpid() == ROOT]
if os.getpid() != ROOT:
    time.sleep(600)
page = os.environ["PAGE"].encode()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = os.environ["PROTOCOL"]
    wbufsize = -1
    def do_GET(self):
        self.send_response(200 if self.path.startswith("/metrics") else 404)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[-1])), Handler)
server.daemon_threads = True
print(*children, flush=True)
server.serve_forever()
"""

MODEL = {"model_type": "opt", "hidden_size": 768, "num_attention_heads": 12,
         "num_hidden_layers": 12, "max_position_embeddings": 2048,
         "torch_dtype": "float16"}
MODEL_BLOCK = 2 * 16 * 12 * 768 * 2  # keys and values, tokens, layers, hidden size, float16


class Server:
    """A process that serves a page, with two children that hold device memory."""

    def __init__(self, folder, port, page, protocol, model):
        script = pathlib.Path(folder) / f"{port}" / "vllm"
        script.parent.mkdir()
        script.write_text(SERVER)
        self.process = subprocess.Popen(
            [sys.executable, script, "serve", model, "--tensor-parallel-size", "2",
             "--port", str(port)], text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "PAGE": page, "PROTOCOL": protocol})
        self.children = list(map(int, self.process.stdout.readline().split()))

    def end(self):
        for child in self.children:
            os.kill(child, 9)
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Scene:
    """Two servers on two devices, whose figures never change, and what is true of them."""

    NAMED, FOUND = 18000, 18001

    def __init__(self):
        self.stack = contextlib.ExitStack()
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        model = pathlib.Path(folder) / "model"
        model.mkdir()
        (model / "config.json").write_text(json.dumps(MODEL))
        self.driver = self.stack.enter_context(FakeDriver())
        pages = (vllm_page(model="org/named", usage=0.25, blocks=401, queries=1000, hits=500),
                 vllm_page(model="org/found", usage=0.5, blocks=2001, queries=200, hits=100))
        named = Server(folder, self.NAMED, pages[0], "HTTP/1.1", str(model))
        self.stack.callback(named.end)
        found = Server(folder, self.FOUND, pages[1], "HTTP/1.0", str(model))
        self.stack.callback(found.end)
        for i in range(2):
            self.driver.hold(named.children[i], i, 8 * GIB)
            self.driver.hold(found.children[i], i, 4 * GIB)
        self.driver.hold(os.getpid(), 1, 3 * GIB)
        url = f"http://127.0.0.1:{self.NAMED}"
        self.config = self.stack.enter_context(config(
            f"engines:\n  - url: {url}\n    kv_bytes_per_block: {MODEL_BLOCK // 2}\n"))
        rows = [("org-named", self.NAMED, 16 * GIB, 100 * MODEL_BLOCK),
                ("org-found", self.FOUND, 8 * GIB, 1000 * MODEL_BLOCK)]
        self.truth = {
            "total_vram_bytes": 160 * GIB, "allocated_vram_bytes": 27 * GIB,
            "used_kv_cache_bytes": sum(row[3] for row in rows),
            "prefix_cache_hit_rate": 50.0,
            "models": [dict(zip(("model_id", "port", "allocated_vram_bytes",
                                 "used_kv_cache_bytes"), row)) for row in rows]}
        self.arguments = ("--gpu", "sim", "--sim-dir", self.driver.path, "--interval", "100",
                          "--config", self.config)

    def daemon(self, faults, *arguments, wait=True):
        return Daemon(*self.arguments, *arguments, env=faults.env, wait=wait)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()



def honest(vram, scene, all_found=True):
    """Is each figure that is here true, or 0 for a KV figure that is unknown?"""
    truth = scene.truth
    for key in ("total_vram_bytes", "allocated_vram_bytes"):
        assert vram[key] == truth[key], f"{key}: {vram}"
    assert vram["prefix_cache_hit_rate"] in (truth["prefix_cache_hit_rate"], 0.0), vram
    rows = {row["port"]: row for row in truth["models"]}
    if all_found:  # a row stays as long as its process lives
        assert {row["port"] for row in vram["models"]} == set(rows), f"rows: {vram}"
    for row in vram["models"]:
        true = rows[row["port"]]
        assert row["allocated_vram_bytes"] in (true["allocated_vram_bytes"], 0), vram
        assert row["used_kv_cache_bytes"] in (true["used_kv_cache_bytes"], 0), vram
    assert vram["used_kv_cache_bytes"] == sum(
        row["used_kv_cache_bytes"] for row in vram["models"]), vram


class Reader(threading.Thread):
    """Reads a stream as long as there is one, and judges each event."""

    def __init__(self, daemon, path, judge):
        super().__init__(daemon=True)
        self.at, self.path, self.judge = daemon, path, judge
        self.wrong = []  # what was said that is not true
        self.true = 0  # when all was true the last time
        self.events = []  # when they came
        self.ended = False
        self.start()

    def run(self):
        while not self.ended:
            with contextlib.suppress(OSError, ValueError, IndexError):  # cut off: once more
                with Stream(self.at, self.path) as stream:
                    self._read(stream)
            time.sleep(0.02)

    def _read(self, stream):
        if stream.status != 200:
            if stream.status != 503:
                self.wrong.append(f"status {stream.status}")
            return
        stream.socket.settimeout(5)
        while not self.ended:
            piece = stream.piece()
            if not piece:
                return
            now = time.monotonic()
            self.events.append(now)
            try:
                if self.judge(piece):
                    self.true = now
            except Exception as error:
                self.wrong.append(f"{self.path}: {error!r}: {piece[:2000]}")

    def take_wrong(self):
        wrong, self.wrong = self.wrong, []
        return wrong

    def end(self):
        self.ended = True
        self.join(6)


class Judge:
    """Is an event well-formed and nothing in it untrue? True: it says all that is true."""

    COMMENT = re.compile(rb": no data \([^\n]+\)\n\n")
    DOCUMENT = re.compile(rb"(?:id: [0-9a-f]{16}-\d+\nretry: 2000\n)data: (\{[^\n]*\})\n\n")
    LAG = re.compile(rb'event: lag\ndata: \{"skipped":[1-9]\d*\}\n\n')

    def __init__(self, scene):
        self.scene = scene

    def honest(self, vram):
        honest(vram, self.scene)

    def vram(self, piece):
        if self.COMMENT.fullmatch(piece):
            return False
        assert EVENT.fullmatch(piece), "not an event of the contract"
        vram = json.loads(piece[len(b"data: "):])
        self.honest(vram)
        return vram == self.scene.truth

    def detail(self, piece):
        if self.COMMENT.fullmatch(piece) or self.LAG.fullmatch(piece):
            return False
        match = self.DOCUMENT.fullmatch(piece)
        assert match, "not an event of the contract"
        document = check(match[1])
        truth = self.scene.truth
        vram = document["vram"]
        assert vram["total_bytes"]["value"] == truth["total_vram_bytes"], vram
        assert vram["allocated_bytes"]["value"] == truth["allocated_vram_bytes"], vram
        complete = len(document["models"]) == len(truth["models"])
        rows = {row["port"]: row for row in truth["models"]}
        for model in document["models"]:
            row = rows[model["port"]]
            for figure, true in ((model["vram"]["allocated_bytes"], "allocated_vram_bytes"),
                                 (model["kv_cache"]["used_bytes"], "used_kv_cache_bytes")):
                assert figure["value"] in (row[true], None), (row, figure)
                assert figure["value"] is not None or figure["reason"], (row, figure)
                complete = complete and figure["value"] == row[true]
            for key, true in (("lifetime", 50.0),):
                assert model["prefix_cache"][key]["hit_percent"] in (true, None), model
        return complete
