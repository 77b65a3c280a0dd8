# SPDX-License-Identifier: Apache-2.0
"""Each example prints the figures that the daemon streams, and comes back to it."""
import contextlib
import functools
import http.server
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading

from browser import Browser
from harness import Daemon, Stream, alone, eventually, free_port, run

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent / "examples"
BUILD = pathlib.Path(os.environ.get("BUILD_ROOT", "build/release")) / "examples"
LINE = re.compile(r"allocated=(\d+) kv=(\d+) hit=([\d.]+)((?: \S+:\d+=\d+)+)")
LINES_MAX = 40


def figures(line):
    """What a line of an example says."""
    match = LINE.fullmatch(line)
    assert match, f"not as it should be: {line!r}"
    return int(match[1]), int(match[2]), float(match[3]), tuple(match[4].split())


def shown(event):
    """What it should say of this event."""
    return (event["allocated_vram_bytes"], event["used_kv_cache_bytes"],
            event["prefix_cache_hit_rate"],
            tuple(f"{model['model_id']}:{model['port']}={model['used_kv_cache_bytes']}"
                  for model in event["models"]))


class Seen(threading.Thread):
    """All events of a daemon, as examples show them, and the KV bytes alone."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.stream, self.events = Stream(daemon), set()
        self.start()

    def run(self):
        with contextlib.suppress(OSError, ValueError, AssertionError):
            while True:
                self.events.add(shown(self.stream.event()))


class Demo(Daemon):
    def __init__(self, port, *arguments):
        super().__init__("--demo", "--interval", 200, "--listen", f"127.0.0.1:{port}", *arguments)


class Follower:
    """A program that is given the daemon's URL, and what it has printed."""

    def __init__(self, *command):
        self.file, self.errors = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        # Of its own session: a script's pipes end with it.
        self.process = subprocess.Popen(list(map(str, command)), stdout=self.file,
                                        stderr=self.errors, start_new_session=True)

    def lines(self):
        text = os.pread(self.file.fileno(), 1 << 20, 0).decode()
        return text[:text.rfind("\n") + 1].splitlines()

    def complaints(self):
        return os.pread(self.errors.fileno(), 1 << 16, 0).decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, 9)
        self.process.wait()


class Example:
    """A program, how a line of it is read, and what that is of an event."""

    def __init__(self, name, *command, read=figures, expected=lambda event: event):
        self.name, self.command, self.read, self.expected = name, command, read, expected
        self.first = None

    def start(self, url):
        self.follower = Follower(*self.command, url)
        return self.follower

    def new_lines(self):
        return self.follower.lines()[len(self.first or ()):]

    def check(self, lines, seen):
        seen.join(5)  # the stream has ended with its daemon
        wanted = set(map(self.expected, seen.events))
        wrong = [line for line in lines if self.read(line) not in wanted]
        assert not wrong, f"{self.name}: {wrong} were never streamed"


def go_program(folder):
    program = os.path.join(folder, "follow")
    subprocess.run(["go", "build", "-o", program, SOURCE / "follow.go"], check=True,
                   env={**os.environ, "GOCACHE": os.path.join(folder, "cache"),
                        "GO111MODULE": "off"})
    return program


def examples(folder):
    """Those whose programs are on this machine."""
    if shutil.which("jq") and shutil.which("curl"):
        yield Example("shell", "sh", SOURCE / "follow.sh")
    yield Example("Python", "python3", SOURCE / "follow.py")
    if shutil.which("node"):
        yield Example("Node", "node", SOURCE / "follow.mjs")
    if shutil.which("go"):
        yield Example("Go", go_program(folder))
    yield Example("libuv", BUILD / "example_uv_loop")
    yield Example("C", BUILD / "example_follow", read=int, expected=lambda event: event[1])


def test_programs():
    """What they print is what was streamed; and again after another start of the daemon."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        some = list(examples(folder))
        with Demo(port) as daemon:
            seen = Seen(daemon)
            for example in some:
                stack.enter_context(example.start(f"http://127.0.0.1:{port}"))
            for example in some:
                eventually(f"{example.name} prints what changes",
                           lambda: len(set(example.new_lines())) > 2, 20)
        for example in some:
            eventually(f"{example.name} says that it broke", example.follower.complaints)
            example.first = example.new_lines()
            example.check(example.first, seen)
        with Demo(port) as daemon:
            seen = Seen(daemon)
            for example in some:
                eventually(f"{example.name} comes back: {example.follower.complaints()}",
                           lambda: len(example.new_lines()) > 2, 15)
        for example in some:
            example.check(example.new_lines(), seen)
        print(f"     {', '.join(example.name for example in some)}")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_browser():
    """A page of another site, which the daemon lets in."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=SOURCE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site = f"http://127.0.0.1:{server.server_port}"
    script = ("const done = arguments[arguments.length - 1];"
              "done([document.getElementById('state').textContent,"
              " document.getElementById('lines').textContent])")
    port = free_port()
    with Browser() as browser:
        def text():
            state, lines = browser.run(script)
            return state == "live" and lines.count("\n") > 3 and lines

        with Demo(port, "--allow-origin", site) as daemon:
            seen = Seen(daemon)
            browser.open(f"{site}/follow.html?url=http://127.0.0.1:{port}")
            lines = eventually("the page shows lines", text, 15).splitlines()
            wrong = [line for line in lines if figures(line) not in seen.events]
            assert not wrong, wrong
        eventually("the page says that it broke", lambda: browser.run(script)[0] != "live")
        with Demo(port, "--allow-origin", site) as daemon:
            seen = Seen(daemon)
            eventually("the page comes back", lambda: text() and
                       figures(text().splitlines()[0]) in seen.events, 15)
    server.shutdown()


def test_short():
    """They are to be read: few lines, but for comments and those that are empty."""
    for path in SOURCE.glob("*.*"):
        lines = [line for line in path.read_text().splitlines()
                 if not re.fullmatch(r"\s*(|//.*|#(?!include).*|/\*.*| \*.*|<!--.*)", line)]
        most = 90 if path.name == "poll_loop.c" else LINES_MAX + 2
        assert len(lines) <= most or path.suffix in (".md", ".build"), (path.name, len(lines))


alone()
run(test_short, test_programs, test_browser)
