# SPDX-License-Identifier: Apache-2.0
"""The dashboard in a real browser when models, drivers, daemons and tokens come and go."""
import contextlib
import json
import os
import socket
import tempfile
import threading
import time

from harness import (Daemon, Engine, Stream, alone, config, eventually, free_port, page_answer,
                     run, vllm_page)
from tabs import chromium

OPTIONS = ("--gpu", "none", "--no-discover")
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
BLOCK = 1 << 20
TOKEN = "first-token-0123456789abcdefghijklmnop"
# The browser says so of itself, whatever the page makes of it.
REFUSED = "Failed to load resource"


class Trap:
    """Whoever connects; the browser's proxy for all that is not on this machine."""

    def __init__(self):
        self.seen = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                with peer:
                    self.seen.append(peer.recv(4096).split(b"\r\n")[0].decode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def hang(peer):
    time.sleep(60)


def refuse(peer):
    peer.sendall(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")


def said(daemon, path="/v1/detail"):
    return json.loads(daemon.get(path)[2])


def states(tab):
    return tab.data("#models-body tr", "model", "state", "stale")


def events(tab):
    """What the page tells to have happened, the oldest first."""
    return [name for name, in tab.data("#events li", "event")][::-1]


# A server that comes up, sleeps, hangs, and listens no longer.

SLEEPING = ('vllm:engine_sleep_state{engine="0",sleep_state="awake"} 0.0\n'
            'vllm:engine_sleep_state{engine="0",sleep_state="discard_all"} 1.0\n')


def test_the_life_of_a_model():
    state = {"answer": refuse}
    row = "#models-body tr"
    with Engine(lambda peer: state["answer"](peer)) as engine, config(
            f"engines:\n  - {{url: {engine.url}, gpus: 1, kv_bytes_per_block: {BLOCK}}}\n"
    ) as file, Daemon(*OPTIONS, "--interval", "200", "--config", file) as daemon, \
            CHROMIUM.tab(daemon.url("/"), viewport=DESK) as tab:
        key = f"org-model:{engine.port}"
        tab.wait_until_live()
        assert tab.is_visible("#models-empty") and states(tab) == []
        assert "vllm serve" in tab.text("#models-empty")
        assert tab.text('[data-figure="running"]') == "0"

        state["answer"] = page_answer(vllm_page(usage=0.9))
        eventually("it appears", lambda: states(tab) == [[key, "ready", None]])
        assert not tab.is_visible("#models-empty")
        assert tab.attribute(f'{row} [data-figure="kv-used"]', "data-bytes") == str(900 * BLOCK)
        assert tab.attribute('.tiles [data-figure="kv-used"]', "data-bytes") == str(900 * BLOCK)
        assert tab.attribute(f'{row} [data-column="kvp"]', "data-level") == "critical"
        assert "READY" in tab.text(row) and "▲" in tab.text(row)

        state["answer"] = page_answer(vllm_page(usage=0.0, extra=SLEEPING))
        eventually("it sleeps", lambda: states(tab) == [[key, "sleeping", None]])
        assert "SLEEPING" in tab.text(row)

        state["answer"] = hang
        eventually("it is stale", lambda: states(tab)[0][2] == "", 15)
        assert "STALE" in tab.text(row)
        tab.wait(f"parseInt(document.querySelector('{row} [data-column=age]').innerText) >= 2")

        engine.__exit__()
        eventually("nobody listens", lambda: states(tab)[0][1] == "unreachable", 20)
        assert "UNREACHABLE" in tab.text(row)
        seen = events(tab)
        assert seen[:3] == ["daemon_started", "engine_found", "engine_slept"], seen


# The daemon is stopped, started without a driver, and started again as it was.

def test_daemons_come_and_go():
    port = free_port()
    listen = ("--listen", f"127.0.0.1:{port}")
    with CHROMIUM.profile(viewport=DESK) as profile:
        with Daemon(*OPTIONS, *listen):
            tab = profile.open(f"http://127.0.0.1:{port}/")
            tab.expected = [REFUSED]
            tab.wait_until_live()
            assert not tab.is_visible("#notice")
            assert "--gpu none" in tab.text("#devices-empty")
        tab.wait_for_state("lost")
        assert tab.is_visible("#notice") and tab.is_visible("#figures")
        assert "cannot be reached" in tab.text("#notice-title")
        assert tab.text("#status") == "Reconnecting" and "old" in tab.text("#status-age")

        with Daemon("--gpu", "nvml", "--nvml-library", "/nonexistent/libnvidia-ml.so.1",
                    "--no-discover", *listen) as daemon:
            tab.wait("document.getElementById('notice').dataset.state === 'no-data'", 15)
            error = said(daemon)["error"]
            assert error["code"] == "no-library" and error["remedy"], error
            assert "library is not here" in tab.text("#notice-title")
            assert error["remedy"].rstrip(".").lower() in tab.text("#notice-remedy").lower()
            assert error["message"] in tab.text("#notice-reason"), tab.text("#notice")
            with CHROMIUM.tab(f"http://127.0.0.1:{port}/") as other:
                other.expected = [REFUSED]
                other.wait("!document.getElementById('notice').hidden")
                assert not other.is_visible("#figures"), "figures of which none is known"

        with Daemon(*OPTIONS, *listen) as daemon:
            if tab.is_visible("#retry"):
                tab.click("#retry")
            tab.wait_until_live(15)
            assert not tab.is_visible("#notice")
            tab.check()


def test_a_driver_that_is_lost_while_we_look():
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "nvml")

        def say(text):
            with open(script + ".new", "w") as file:
                file.write(text)
            os.rename(script + ".new", script)
        say("device GPU-0 Fake H100\nmemory 85899345920 629145600 10737418240\n")
        with Daemon("--gpu", "nvml", "--nvml-library", os.environ["FAKE_NVML"], "--no-discover",
                    env={"VRAMSCOPE_FAKE_NVML": script}) as daemon, \
                CHROMIUM.tab(daemon.url("/")) as tab:
            tab.expected = [REFUSED]
            tab.wait_until_live()
            assert tab.text('[data-figure="allocated"]') == "10.0"
            say("init 9\n")
            tab.wait("['stale', 'lost'].includes(document.body.dataset.state)", 15)
            say("device GPU-0 Fake H100\nmemory 85899345920 629145600 21474836480\n")
            tab.wait_until_live(20)
            tab.wait("document.querySelector('[data-figure=allocated]').innerText === '20.0'")


# Tokens.

def give(tab, token):
    tab.call("fill", "#token", token)
    tab.press("Enter")


def test_a_token():
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(TOKEN + "\n")
        file.flush()
        with Daemon(*OPTIONS, "--token-file", file.name) as daemon:
            with CHROMIUM.tab(daemon.url("/")) as tab:
                tab.expected = [REFUSED]
                tab.call("waitForSelector", "#token-form", {"state": "visible"})
                assert "asks for a token" in tab.text("#notice-title")
                assert not tab.is_visible("#figures")
                give(tab, "of-another-daemon-0123456789abcdef")
                tab.wait("document.querySelector('#notice-title')"
                         ".innerText.includes('not the token')")
                give(tab, f"  {TOKEN} ")
                tab.wait_until_live()
                assert not tab.is_visible("#token-form") and tab.is_visible("#figures")
                tab.call("reload")
                tab.wait_until_live()
                where = tab.evaluate(
                    "[document.documentElement.outerHTML, location.href, document.cookie, "
                    "JSON.stringify(localStorage)].join()")
                assert TOKEN not in where
                assert TOKEN not in daemon.log()
                assert not [url for url in tab.ask("watched")["requests"] if TOKEN in url]
            with CHROMIUM.tab(daemon.url("/")) as tab:
                tab.expected = [REFUSED]
                tab.call("waitForSelector", "#token-form", {"state": "visible"})


# Names that engines may give themselves.

NAMES = ["<img src=http://evil.example/a onerror=alert(1)>",
         "<script>alert(2)</script>", "\"><svg onload=fetch('http://evil.example/b')>",
         "' onmouseover='alert(3)' x='", "javascript:alert(4)", "{{7*7}}${alert(5)}",
         "</button></td></tr></table><h1>owned</h1>", "<style>*{display:none}</style>",
         "<link rel=stylesheet href=http://evil.example/c.css>",
         "<meta http-equiv=refresh content=0;url=http://evil.example/d>",
         "=HYPERLINK(\"http://evil.example/e\")", "\u202egnp.exe\u202c", "w" * 200,
         "many words " * 15, "A\u0301" * 60, "__proto__", "constructor", "😀漢字/عربي"]


def escaped(name):
    return name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


OUT_OF_PLACE = """[...document.querySelectorAll("#models-body tr")].flatMap((row) => {
  const boxes = [...row.querySelectorAll("*")]
    .filter((part) => part.textContent && !part.firstElementChild && part.checkVisibility())
    .map((part) => part.getBoundingClientRect());
  const cut = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  const over = boxes.some((a, i) => boxes.slice(i + 1).some((b) => cut(a, b)));
  return over || row.getBoundingClientRect().height > 400 ? [row.dataset.model] : [];
})"""
FOREIGN = "document.querySelectorAll('main :is(img, script, style, link, meta, svg, h1)').length"


def check_names(tab):
    for size in (DESK, PHONE):
        tab.call("setViewportSize", size)
        odd = tab.evaluate(OUT_OF_PLACE)
        assert odd == [], (size, odd)
        assert tab.evaluate("document.scrollingElement.scrollWidth") <= size["width"], size
        assert tab.evaluate("document.querySelector('.tiles').clientWidth") > 300
    assert tab.evaluate(FOREIGN) == 0


def test_names_are_text():
    with contextlib.ExitStack() as stack:
        engines = [stack.enter_context(Engine(page_answer(vllm_page(escaped(name)))))
                   for name in NAMES]
        arguments = [word for engine in engines for word in ("--engine", engine.url)]
        daemon = stack.enter_context(Daemon(*OPTIONS, *arguments))
        eventually("all are asked", lambda: len(daemon.vram()["models"]) == len(NAMES))
        told = sorted(model["model"] for model in said(daemon)["models"])
        assert sum(name in told for name in NAMES) >= len(NAMES) - 2, told
        tab = stack.enter_context(CHROMIUM.tab(daemon.url("/"), viewport=DESK))
        tab.wait_until_live()
        names = tab.evaluate("[...document.querySelectorAll('#models-body .model-name')]"
                             ".map((node) => node.textContent)")
        assert sorted(names) == told, (names, told)
        check_names(tab)
        for button in range(0, len(names), 4):
            tab.call("setViewportSize", DESK)
            for name in (".model-name", ".about-button"):
                tab.evaluate(f"document.querySelectorAll('{name}')[{button}].click()")
            assert tab.text("#about-title").strip() in " ".join(names).strip()
            tab.press("Escape")
        tab.click("#downloads")
        saved = tab.ask("download", selector="#download-csv")
        assert '"\'=HYPERLINK(""http://evil.example/e"")"' in saved["text"], saved["text"]
        assert "evil" not in " ".join(TRAP.seen), TRAP.seen
        link = tab.evaluate("location.href")
        stack.enter_context(CHROMIUM.tab(link)).wait_until_live()
    with CHROMIUM.tab("about:blank") as tab:  # what asks elsewhere is caught
        tab.evaluate("void fetch('http://evil.example/f', {mode: 'no-cors'}).catch(() => 0)")
        eventually("the trap works", lambda: any("evil.example/f" in s for s in TRAP.seen))
        tab.expected, tab.url = [REFUSED], "http://evil.example/"
    # The browser asks for things of its own.
    evil = [request for request in TRAP.seen if "evil" in request]
    assert all("evil.example/f" in request for request in evil), evil


alone()
with Trap() as TRAP, chromium(f"--proxy-server={TRAP.address}") as CHROMIUM:
    run(test_the_life_of_a_model, test_daemons_come_and_go,
        test_a_driver_that_is_lost_while_we_look, test_a_token, test_names_are_text)
