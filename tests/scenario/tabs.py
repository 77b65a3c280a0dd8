# SPDX-License-Identifier: Apache-2.0
"""Tabs of a headless Chromium, several at a time, through playwright-core (node/tabs.mjs)."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

from harness import SKIPPED, Daemon, Skip, eventually

HERE = pathlib.Path(__file__).resolve().parent
MODULES = os.environ.get("NODE_MODULES", str(HERE / "node/node_modules"))
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic"]


def program(*names):
    for name in names:
        if shutil.which(name):
            return shutil.which(name)
    raise Skip(f"no {' or '.join(names)} on this machine")


class Tab:
    """A page of a profile; leaving it checks that nothing went wrong on it."""

    def __init__(self, profile, url):
        self.profile, self.url = profile, url
        self.number = profile.ask("tab", profile=profile.number)
        self.expected = []  # parts of faults that the scene is about
        if url:
            self.call("goto", url)

    def ask(self, action, **more):
        return self.profile.ask(action, tab=self.number, **more)

    def call(self, method, *values):
        return self.ask("call", method=method, values=values)

    def protocol(self, method, **values):
        return self.ask("protocol", method=method, values=values)

    def evaluate(self, expression):
        return self.call("evaluate", expression)

    def wait(self, expression, seconds=10):
        return eventually(expression, lambda: self.evaluate(expression), seconds)

    def wait_for_state(self, state, seconds=10):
        self.wait(f"document.body.dataset.state === '{state}'", seconds)

    def wait_until_live(self, seconds=10):
        """The badge may be a frame ahead of the figures."""
        self.wait_for_state("live", seconds)
        self.wait("document.querySelector('[data-figure=allocated]').dataset.bytes", seconds)

    def click(self, selector):
        self.call("click", selector)

    def press(self, *keys):
        for key in keys:
            self.call("keyboard.press", key)

    def text(self, selector):
        return self.call("innerText", selector)

    def texts(self, selector):
        return self.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})]"
                             ".map((node) => node.innerText)")

    def is_visible(self, selector):
        return self.call("isVisible", selector)

    def attribute(self, selector, name):
        return self.call("getAttribute", selector, name)

    def data(self, selector, *names):
        """A list of each node's data attributes of these names; None for one it lacks."""
        return self.evaluate(
            f"[...document.querySelectorAll({json.dumps(selector)})].map((node) => "
            f"{json.dumps(names)}.map((name) => node.getAttribute(`data-${{name}}`)))")

    def check(self):
        watched = self.ask("watched")
        faults = [fault for fault in watched["faults"]
                  if not any(part in fault for part in self.expected)]
        assert not faults, faults
        others = [url for url in watched["requests"]
                  if not url.startswith((self.profile.origin(self.url), "blob:"))]
        assert not others, others

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.check()
        self.call("close")


class Profile:
    """What the tabs of one browser share, and tabs of another profile do not."""

    def __init__(self, chromium, options):
        self.ask = chromium.ask
        self.number = self.ask("profile", options=options)

    @staticmethod
    def origin(url):
        return "/".join(url.split("/")[:3]) + "/"

    def open(self, url):
        return Tab(self, url)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ask("leave", profile=self.number)


class Chromium:
    """The browser; `arguments` are further ones of its command line."""

    def __init__(self, *arguments):
        node = program("node", "nodejs")
        binary = program("chromium", "chromium-browser", "google-chrome")
        if not os.path.exists(os.path.join(MODULES, "playwright-core")):
            raise Skip(f"no playwright-core in {MODULES} (tools/install-node-modules)")
        self.process = subprocess.Popen(
            [node, HERE / "node/tabs.mjs", binary, *ARGUMENTS, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "NODE_MODULES": MODULES})

    def ask(self, action, **more):
        self.process.stdin.write(json.dumps({"action": action, **more}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"node has ended: {self.process.wait()}"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def profile(self, **options):
        return Profile(self, options)

    @contextlib.contextmanager
    def tab(self, url, **options):
        """A tab in a profile of its own."""
        with self.profile(**options) as profile, profile.open(url) as tab:
            yield tab

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the browser did not end within 20 s")
        finally:
            self.process.stdout.close()


@contextlib.contextmanager
def chromium(*arguments):
    """One for all scenes of a script, which are skipped where there is none, or no page."""
    try:
        with Daemon("--gpu", "none", "--no-discover") as daemon:
            if daemon.get("/dashboard.js")[0] == 404:
                raise Skip("this vramscoped was built without its page")
        browser = Chromium(*arguments)
    except Skip as reason:
        print(f"skip all: {reason}", flush=True)
        sys.exit(SKIPPED)
    with browser:
        yield browser
