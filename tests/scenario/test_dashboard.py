# SPDX-License-Identifier: Apache-2.0
"""The dashboard in a real browser: its figures are the streams', and how it is used."""
import contextlib
import csv
import gzip
import io
import json
import re
import threading
import time

from browser import Browser
from harness import (Daemon, FakeDriver, Spawned, Stream, alone, eventually, run,
                     serve)
from tabs import chromium

GIB = 1 << 30
DETAIL = "/v1/detail/stream"
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 800}
GIVEN = {"Qwen/Qwen3-0.6B": 8000, "org/steady": 8001, "org/unknown": 8002}
MODELS = [f"{re.sub('[^A-Za-z0-9]', '-', name)}:{port}" for name, port in GIVEN.items()]
BY_NAME = sorted(MODELS, key=str.lower)


class Documents(threading.Thread):
    """All that a daemon streams: its documents by their number, and what the seed's have."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.streams = Stream(daemon, DETAIL), Stream(daemon)
        self.by_number, self.totals = {}, set()
        self.start()
        threading.Thread(target=self._read_seed, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError, ValueError):
            while piece := self.streams[0].piece():
                document = json.loads(piece.split(b"data: ")[1])
                self.by_number[document["seq"]] = document

    def _read_seed(self):
        with contextlib.suppress(OSError, ValueError):
            while piece := self.streams[1].piece():
                self.totals.add(seed_figures(json.loads(piece[len(b"data: "):])))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for stream in self.streams:
            stream.socket.shutdown(2)


def seed_figures(event):
    return tuple(event[name] for name in ("total_vram_bytes", "allocated_vram_bytes",
                                          "used_kv_cache_bytes", "prefix_cache_hit_rate"))


# A host with a model whose figures move, one of which less is known, and somebody else.

class Host:
    def __init__(self):
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        self.driver = self.stack.enter_context(FakeDriver(2))
        for (name, port), more in zip(GIVEN.items(), (
                ("--load", "sine", "--kv-pool-bytes", 10 * GIB),
                ("--gpu-index", 1, "--kv-pool-bytes", 6 * GIB),
                ("--gpu-index", 1))):
            self.stack.enter_context(serve(name, port, self.driver, "--vram", 20 * GIB, *more))
        other = self.stack.enter_context(Spawned(["sleep", "600"]))
        self.driver.hold(other.pid, 1, 5 * GIB + 1)
        self.daemon = self.stack.enter_context(
            Daemon("--gpu", "sim", "--sim-dir", self.driver.path))
        eventually("the models are found", lambda: len(self.daemon.vram()["models"]) == 3)
        eventually("its memory is seen", lambda: self.detail()["vram"]["other_bytes"])
        return self

    def __exit__(self, *details):
        self.stack.__exit__(*details)

    def detail(self):
        return json.loads(self.daemon.get("/v1/detail")[2])

    def subscribers(self):
        return self.detail()["self"]["subscribers"]

    def url(self, place=""):
        return self.daemon.url("/" + place)


@contextlib.contextmanager
def page(place="", **options):
    options.setdefault("viewport", DESK)
    with CHROMIUM.tab(HOST.url(place), **options) as tab:
        tab.wait_until_live()
        yield tab


# What should be shown of a document.

def text_of(figure):
    if figure["value"] is None:
        return "--"
    about = "~" if figure["from"] in ("derived", "estimated") else ""
    return f"{about}{figure['value'] / GIB:.1f}"


def cell_of(name, figure):
    value = figure["value"]
    return [name, None if value is None else str(value), "" if value is None else None,
            text_of(figure)]


def known_sum(models, part):
    return sum(m["kv_cache"][part]["value"] or 0 for m in models)


def expected_row(model):
    kv = model["kv_cache"]
    numbers = (model["requests"]["running"], model["requests"]["waiting"])
    ratio = kv["usage_ratio"]
    return {"cells": [cell_of("vram", model["vram"]["allocated_bytes"]),
                      cell_of("kv-used", kv["used_bytes"]),
                      cell_of("kv-pool", kv["capacity_bytes"])],
            "kv-percent": "--" if ratio is None else f"{100 * ratio:.0f} %",
            "run": f"{numbers[0]:,}", "wait": f"{numbers[1]:,}"}


def shown_row(tab, key):
    row = f'#models-body tr[data-model="{key}"]'
    cells = [tab.data(f'{row} [data-figure="{name}"]', "figure", "bytes", "unknown")[0] +
             [tab.text(f'{row} [data-figure="{name}"]').strip()]
             for name in ("vram", "kv-used", "kv-pool")]
    return {"cells": cells, **{name: tab.text(f'{row} [data-figure="{name}"]').strip()
                               for name in ("kv-percent", "run", "wait")}}


def check_tiles(tab, document):
    models = document["models"]
    shown = {name: int(bytes_) for name, bytes_ in
             tab.data(".tiles [data-bytes]", "figure", "bytes")}
    assert shown == {"allocated": document["vram"]["allocated_bytes"]["value"],
                     "total": document["vram"]["total_bytes"]["value"],
                     "kv-used": document["kv_cache"]["used_bytes"],
                     "kv-capacity": known_sum(models, "capacity_bytes")}, shown
    shown = {name: float(value) for name, value in
             tab.data(".tiles [data-value]", "figure", "value")}
    assert shown == {"hit-percent": document["prefix_cache"]["hit_percent"],
                     "running": sum(m["requests"]["running"] for m in models),
                     "waiting": sum(m["requests"]["waiting"] for m in models)}, shown
    allocated = document["vram"]["allocated_bytes"]["value"]
    assert tab.text('[data-figure="allocated"]') == f"{allocated / GIB:.1f}"


def check_devices(tab, document):
    for device in document["devices"]:
        view = f'[data-device="sim:{device["index"]}"]'
        parts = {name: int(value)
                 for name, value in tab.data(f"{view} .part", "figure", "bytes")}
        assert sum(parts.values()) == device["total_bytes"], (parts, device)
        assert parts.get("other", 0) == device["other_bytes"], parts
        assert parts["free"] == device["total_bytes"] - device["used_bytes"], parts
        if device["kv_used_bytes"]["value"] is not None:
            assert parts["kv-used"] == device["kv_used_bytes"]["value"], parts


def still(tab):
    """The page, paused: the document that it shows, from its own download."""
    tab.click("#pause")
    tab.wait_for_state("paused")
    tab.click("#downloads")
    saved = tab.ask("download", selector="#download-json")
    tab.press("Escape")
    assert re.fullmatch(r"vramscope-[\dTZ-]+\.json", saved["name"]), saved["name"]
    return json.loads(saved["text"])


def test_figures_are_the_streams():
    used = set()
    with Documents(HOST.daemon) as documents, page() as tab:
        for _ in range(3):
            document = still(tab)
            assert document == documents.by_number[document["seq"]]
            check_tiles(tab, document)
            check_devices(tab, document)
            for model in document["models"]:
                key = f"{model['model_id']}:{model['port']}"
                shown, expected = shown_row(tab, key), expected_row(model)
                assert shown == expected, (shown, expected)
            seed = (document["vram"]["total_bytes"]["value"],
                    document["vram"]["allocated_bytes"]["value"],
                    document["kv_cache"]["used_bytes"], document["prefix_cache"]["hit_percent"])
            eventually(f"the seed's stream has {seed}", lambda: seed in documents.totals, 2)
            used.add(document["kv_cache"]["used_bytes"])
            tab.click("#pause")
            tab.wait_until_live()
            tab.wait(f"document.querySelector('[data-figure=kv-used]').dataset.bytes !== "
                     f"'{document['kv_cache']['used_bytes']}'")
        assert len(used) == 3, used
        other = tab.text("#others")
        assert other.startswith("sleep") and "5.0" in other, other


def told_of(tab, name):
    """The kinds of the events of a model, the oldest first."""
    kinds = tab.data("#events li", "event")[::-1]
    return [kind for (kind,), text in zip(kinds, tab.texts("#events .what")[::-1])
            if name in text]


def test_a_model_comes_and_goes():
    with page() as tab:
        with serve("org/guest", 8003, HOST.driver, "--gpu-index", 1, "--vram", 2 * GIB):
            eventually("it appears", lambda: "org-guest:8003" in rows(tab))
            tab.wait("document.querySelector('tr[data-model=\"org-guest:8003\"] "
                     f"[data-figure=vram]').dataset.bytes === '{2 * GIB}'")
            tab.click('tr[data-model="org-guest:8003"] .model-name')
        eventually("it is gone", lambda: sorted(rows(tab)) == MODELS)
        assert tab.text("#models-count") == "3"
        eventually("both are told", lambda: told_of(tab, "org/guest") == [
            "engine_found", "engine_lost"])
        assert "gone" in tab.text("#chart-model option:checked")


def test_the_table_as_a_file():
    with page() as tab:
        tab.click("#downloads")
        saved = tab.ask("download", selector="#download-csv")
        rows = list(csv.DictReader(io.StringIO(saved["text"])))
        assert [f"{row['model_id']}:{row['port']}" for row in rows] == MODELS, rows
        assert [row["vram_allocated_bytes"] for row in rows] == [str(20 * GIB)] * 3, rows
        assert rows[2]["kv_used_bytes"] == "" and rows[2]["kv_used_from"] == "unknown", rows


def check_subscribers(number):
    """So many from soon on; each document tells how many there were when it was made."""
    eventually(f"{number} subscribers", lambda: HOST.subscribers() == number)
    time.sleep(0.7)
    assert HOST.subscribers() == number, HOST.subscribers()


def test_eight_tabs_are_one_stream():
    check_subscribers(0)
    with CHROMIUM.profile() as profile:
        with contextlib.ExitStack() as stack:
            tabs = [stack.enter_context(profile.open(HOST.url())) for _ in range(8)]
            for tab in tabs:
                tab.wait_until_live()
            check_subscribers(1)
            before = [tab.data("[data-figure=running]", "value") for tab in tabs]
            for tab, value in zip(tabs, before):
                tab.wait("document.querySelector('[data-figure=running]').dataset.value !== "
                         f"{json.dumps(value[0][0])}")
            for tab in tabs[1:]:
                tab.call("close")
            check_subscribers(1)
            tabs[0].wait_until_live()
            tabs[0].check()
            del tab, tabs
            stack.pop_all()
    check_subscribers(0)


def test_a_page_that_nobody_sees_has_no_stream():
    check_subscribers(0)
    with Browser() as browser:
        window = browser.session + "/window"
        state = "arguments[0](document.body.dataset.state)"
        browser.open(HOST.url())
        eventually("it is live", lambda: browser.run(state) == "live")
        check_subscribers(1)
        browser.post(window + "/minimize", {})
        check_subscribers(0)
        browser.post(window + "/rect", {"x": 0, "y": 0, "width": 1000, "height": 700})
        check_subscribers(1)
        eventually("it is live", lambda: browser.run(state) == "live")


# How the page is used.

def rows(tab):
    return [key for key, in tab.data("#models-body tr", "model")]


def test_a_link_to_what_is_shown():
    link = f"#sort=model&filter=port%3C8002&range=1h&model={MODELS[1].replace(':', '%3A')}"
    with page(link) as tab:
        assert rows(tab) == [MODELS[1], MODELS[0]], rows(tab)
        assert tab.attribute('th[data-column="model"]', "aria-sort") == "ascending"
        assert tab.data("#models-body tr[data-selected]", "model") == [[MODELS[1]]]
        assert tab.data('[aria-pressed="true"][data-range]', "range") == [["1h"]]
        assert tab.call("inputValue", "#chart-model") == MODELS[1]
        assert tab.call("inputValue", "#filter") == "port<8002"
        assert tab.text("#models-count") == "2 of 3"
    with page("#sort=nothing&range=9y&filter=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E"
              "&model=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&constructor=1") as tab:
        assert rows(tab) == [] and tab.is_visible("#models-none")
        assert tab.evaluate("document.querySelectorAll('main img, main script').length") == 0
        tab.click("#filter-clear")
        assert sorted(rows(tab)) == MODELS


def check_rows(tab, keys, place):
    shown = rows(tab), tab.evaluate("location.hash")
    assert shown == (keys, place), (shown, keys, place)


def test_sorting_and_filtering():
    with page() as tab:
        tab.click('th[data-column="model"] button')
        check_rows(tab, BY_NAME, "#sort=model")
        tab.click('th[data-column="model"] button')
        check_rows(tab, BY_NAME[::-1], "#sort=-model")
        for place in ("#sort=-kv", "#sort=kv"):
            tab.click('th[data-column="kv"] button')
            assert tab.evaluate("location.hash") == place
            assert rows(tab)[2] == MODELS[2], f"{place}: what is not known is last: {rows(tab)}"
        tab.call("fill", "#filter", "8001")
        check_rows(tab, [MODELS[1]], "#sort=kv&filter=8001")
        tab.call("fill", "#filter", "nothing like it")
        check_rows(tab, [], "#sort=kv&filter=nothing+like+it")
        assert tab.is_visible("#models-none")
        tab.call("fill", "#filter", "")
        tab.click(f'tr[data-model="{MODELS[0]}"] .model-name')
        assert f"model={MODELS[0].replace(':', '%3A')}" in tab.evaluate("location.hash")
        tab.wait("document.querySelector('[data-chart=kvUsed] .plot').dataset.points > 0")
        link = tab.evaluate("location.href")
    with CHROMIUM.tab(link) as tab:
        tab.wait_until_live()
        assert tab.data("tr[data-selected]", "model") == [[MODELS[0]]]


def test_about_a_number():
    with page() as tab:
        models = still(tab)["models"]
        tab.click('tr[data-model="%s"] [data-figure="kv-used"]' % MODELS[0])
        figure, said = models[0]["kv_cache"]["used_bytes"], tab.text("#about")
        assert figure["from"] == "estimated" and "Estimated: off by" in said, said
        assert f"{figure['value']:,} bytes" in said, said
        assert f"({figure['error']:,} bytes)" in said, said
        assert "Measured by the GPU driver: exact." in said, said
        tab.press("Escape")
        assert not tab.is_visible("#about")
        tab.click('tr[data-model="%s"] .about-button' % MODELS[2])
        reason = models[2]["kv_cache"]["used_bytes"]["reason"]
        assert reason and f"Not known: {reason}" in tab.text("#about"), tab.text("#about")


FOCUSED = """(() => {
  const node = document.activeElement, style = getComputedStyle(node);
  return [reached.indexOf(node), style.outlineStyle];
})()"""
CAN_BE_REACHED = """(globalThis.reached =
  [...document.querySelectorAll("button, a[href], input, select, [tabindex]")]
  .filter((node) => node.checkVisibility() && !node.disabled && node.tabIndex >= 0)).length"""


def focus(tab, selector, most=80):
    for _ in range(most):
        tab.press("Tab")
        if tab.evaluate(f"document.activeElement.matches({json.dumps(selector)})"):
            return
    raise AssertionError(f"{selector} is not reached with Tab")


def test_the_keyboard_alone():
    with page() as tab:
        still(tab)
        tab.click("#pause")  # from the first button on
        tab.call("reload")
        tab.wait_until_live()
        tab.wait("document.querySelectorAll('#events li').length > 0")  # which can then be reached
        reached, seen = tab.evaluate(CAN_BE_REACHED), []
        for _ in range(reached):
            tab.press("Tab")
            at, outline = tab.evaluate(FOCUSED)
            assert outline != "none", (at, outline)
            seen.append(at)
        assert sorted(seen) == list(range(reached)), (seen, reached)
        tab.call("reload")
        tab.wait_until_live()
        tab.press("Tab", "Enter")
        assert tab.evaluate("document.activeElement.id") == "content"
        focus(tab, '[data-about="kv"]')
        tab.press("Enter")
        assert tab.is_visible("#about") and "KV cache" in tab.text("#about-title")
        tab.press("Escape")
        assert not tab.is_visible("#about")
        assert tab.evaluate("document.activeElement.matches('[data-about=kv]')")
        focus(tab, 'th[data-column="model"] button')
        tab.press("Enter")
        assert tab.evaluate("location.hash") == "#sort=model" and rows(tab) == BY_NAME


# How it looks.

def serious(tab):
    said = tab.ask("accessibility")
    assert said["passes"] > 20, said
    return [fault for fault in said["faults"] if fault["impact"] in ("serious", "critical")]


def test_no_serious_fault_of_accessibility():
    faults = {}
    for scheme in ("light", "dark"):
        for size in (DESK, PHONE):
            with page(colorScheme=scheme, viewport=size) as tab:
                tab.click('[data-about="kv"]')
                faults[f"{scheme} {size['width']}"] = serious(tab)
    assert not any(faults.values()), faults


NAMES_IN_ROWS = """[...document.querySelectorAll("#models-body tr")].every((row) =>
  row.querySelector(".model-name").getBoundingClientRect().width > 60 &&
  row.querySelector("[data-figure=vram]").checkVisibility() && row.clientHeight < 180)"""


def test_every_width():
    with page() as tab:
        for width in (320, 390, 600, 768, 1024, 1280, 1920, 3840):
            tab.call("setViewportSize", {"width": width, "height": 900})
            wide = tab.evaluate("document.scrollingElement.scrollWidth")
            assert wide <= width, (width, wide)
            assert tab.evaluate(NAMES_IN_ROWS), (width, tab.evaluate(NAMES_IN_ROWS))


def ground(tab):
    color = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", color)[:3])) / 3


def test_light_and_dark():
    with page(colorScheme="light") as tab:
        assert ground(tab) > 200
        tab.call("emulateMedia", {"colorScheme": "dark"})
        assert ground(tab) < 60
        tab.click("#theme")
        assert tab.text("#theme") == "Theme: light" and ground(tab) > 200
        tab.call("reload")
        assert tab.text("#theme") == "Theme: light" and ground(tab) > 200
        tab.click("#theme")
        tab.call("emulateMedia", {"colorScheme": "light"})
        assert tab.text("#theme") == "Theme: dark" and ground(tab) < 60


MOVING = """[...document.querySelectorAll("*")].filter((node) => {
  const { transitionDuration, animationDuration } = getComputedStyle(node);
  return [transitionDuration, animationDuration].some((text) => text.split(", ")
    .some((duration) => parseFloat(duration) > 0.001));
}).map((node) => node.className || node.localName)"""


def test_nothing_moves_for_who_asks_for_that():
    with page(reducedMotion="reduce") as tab:
        tab.click('[data-about="kv"]')
        assert tab.evaluate(MOVING) == []
        tab.evaluate("document.querySelector('footer').style.transition = 'opacity 1s'")
        assert tab.evaluate(MOVING) == ["quiet"]  # it would be seen


# The files, as any client gets them.

def test_the_files():
    paths = set(re.findall(r'(?:src|href)="(/[\w.]+)"', HOST.daemon.get("/")[2].decode()))
    assert {"/dashboard.js", "/dashboard.css"} <= paths, paths
    weight = 0
    for path in {"/", "/feed.js"} | paths - {"/v1/detail"}:
        status, fields, plain = HOST.daemon.get(path)
        assert status == 200 and "Content-Encoding" not in fields, (path, fields)
        policy = fields["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy, policy
        status, packed_fields, packed = HOST.daemon.get(
            path, headers={"Accept-Encoding": "br, gzip;q=0.5"})
        assert packed_fields["Content-Encoding"] == "gzip", packed_fields
        assert gzip.decompress(packed) == plain, path
        assert len(packed) < len(plain), (path, len(packed), len(plain))
        weight += len(packed)
        tag = {"If-None-Match": fields["ETag"]}
        status, fields, body = HOST.daemon.get(path, headers=tag)
        assert (status, body) == (304, b""), (path, status, fields)
    assert weight <= 60 * 1024, weight


def test_a_link_on_another_site_leads_to_the_page_alone():
    other = {"Sec-Fetch-Site": "cross-site"}
    link = {**other, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    frame = {**link, "Sec-Fetch-Dest": "iframe"}
    script = {**other, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}
    assert HOST.daemon.get("/", headers=link)[0] == 200
    for path, headers in (("/", frame), ("/", script), ("/dashboard.js", script),
                          ("/dashboard.js", link), ("/v1/detail", link), ("/vram", link)):
        assert HOST.daemon.get(path, headers=headers)[0] == 403, (path, headers)


alone()
with chromium() as CHROMIUM, Host() as HOST:
    run(test_figures_are_the_streams, test_a_model_comes_and_goes, test_the_table_as_a_file,
        test_eight_tabs_are_one_stream, test_a_page_that_nobody_sees_has_no_stream,
        test_a_link_to_what_is_shown, test_sorting_and_filtering, test_about_a_number,
        test_the_keyboard_alone, test_no_serious_fault_of_accessibility, test_every_width,
        test_light_and_dark, test_nothing_moves_for_who_asks_for_that, test_the_files,
        test_a_link_on_another_site_leads_to_the_page_alone)
