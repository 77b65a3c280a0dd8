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
from harness import Daemon, Skip, Stream, alone, eventually, free_port, run

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


def check(url, port, *command, read=figures, expected=lambda event: event):
    """What is printed is what was streamed; and again after another start of the daemon."""
    with contextlib.ExitStack() as stack:
        with Demo(port) as daemon:
            seen = Seen(daemon)
            follower = stack.enter_context(Follower(*command, url))
            eventually(f"{command} prints", lambda: len(set(follower.lines())) > 2, 20)
        first = follower.lines()
        wanted = set(map(expected, seen.events))
        wrong = [line for line in first if read(line) not in wanted]
        assert not wrong, f"{command}: {wrong} were never streamed"
        eventually(f"{command} says that it broke", follower.complaints, 5)
        with Demo(port) as daemon:
            seen = Seen(daemon)
            eventually(f"{command} comes back: {follower.complaints()}",
                       lambda: len(follower.lines()) > len(first) + 2, 10)
        wanted = set(map(expected, seen.events))
        assert read(follower.lines()[-2]) in wanted, follower.lines()[-2]


def follow(*command, **how):
    if not shutil.which(str(command[0])):
        raise Skip(f"no {command[0]}")
    port = free_port()
    check(f"http://127.0.0.1:{port}", port, *command, **how)


def test_shell():
    if not shutil.which("jq"):
        raise Skip("no jq")
    follow("sh", SOURCE / "follow.sh")


def test_python():
    follow("python3", SOURCE / "follow.py")


def test_node():
    follow("node", SOURCE / "follow.mjs")


def test_go():
    if not shutil.which("go"):
        raise Skip("no go")
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "follow")
        subprocess.run(["go", "build", "-o", program, SOURCE / "follow.go"], check=True,
                       env={**os.environ, "GOCACHE": os.path.join(folder, "cache"),
                            "GO111MODULE": "off"})
        follow(program)


def test_uv_loop():
    follow(BUILD / "example_uv_loop")


def test_c():
    follow(BUILD / "example_follow", read=int, expected=lambda event: event[1])


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
run(test_short, test_shell, test_python, test_node, test_go, test_uv_loop, test_c,
    test_browser)
