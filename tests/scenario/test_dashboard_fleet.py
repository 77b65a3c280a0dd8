# SPDX-License-Identifier: Apache-2.0
"""The dashboard of a gateway in a real browser: the fleet, its nodes, and the way between."""
import contextlib
import json
import time

from fleet import Dark
from fleet_documents import GIB, Gateway, gone, node
from harness import Daemon, alone, eventually, run
from tabs import chromium

DESK = {"width": 1400, "height": 900}
PHONE = {"width": 400, "height": 850}
REFUSED = "Failed to load resource"  # the browser says so of itself
LOST = "nothing has come for 34 s"


def some_nodes():
    return [node(f"gpu{at}", at) for at in (1, 2, 9, 10, 11, 20)] + [
        node("gpu3", 3, state="stale", reason="no figures for 3 s", age_ms=3000),
        gone("gpu17", "lost", LOST), gone("gpu18", "outage", "driver-silent"),
        node("gpu8", 8, name_taken=True)]


@contextlib.contextmanager
def page(nodes, place="", live=True, **options):
    """A tab and the gateway that it shows."""
    options.setdefault("viewport", DESK)
    with Gateway(HOST, nodes) as gateway:
        with CHROMIUM.tab(gateway.url(place), **options) as tab:
            tab.expected = [] if live else [REFUSED]
            if live:
                tab.wait_until_live()
            yield tab, gateway


def names(tab):
    return [name for name, in tab.data("#nodes-body tr", "node")]


def text_of(tab, name, figure):
    return tab.text(f'#nodes-body tr[data-node="{name}"] [data-figure="{figure}"]').strip()


def place_of(tab):
    return tab.evaluate("location.hash")


# The fleet.

def test_the_sums():
    with page(some_nodes()) as (tab, gateway):
        shown = {name: int(value) for name, value in
                 tab.data(".tiles [data-bytes]", "figure", "bytes")}
        assert shown == {"allocated": gateway.sum("vram", "allocated_bytes"),
                         "total": gateway.sum("vram", "total_bytes"),
                         "kv-used": gateway.sum("kv_cache", "used_bytes"),
                         "kv-capacity": gateway.sum("kv_cache", "capacity_bytes")}, shown
        assert tab.text('.tiles [data-figure="running"]') == str(
            gateway.sum("requests", "running"))
        assert tab.text("#nodes-tile .big").split() == ["7", "of", "10", "live"]
        assert "1 lost, 1 without figures, 1 stale" in tab.text("#nodes-note")
        for hidden in ("#devices-section", "#others-section", "#advice-section", "#crumbs"):
            assert not tab.is_visible(hidden), hidden
        served = [text.strip() for text in tab.texts('#models-body td[data-column="nodes"]')]
        assert served and set(served) == {"8 / 10"}, served
        assert "GPU" not in tab.text("#models-body")


def test_who_needs_somebody_is_first():
    with page(some_nodes()) as (tab, _):
        assert names(tab) == ["gpu17", "gpu18", "gpu3", "gpu8", "gpu1", "gpu2", "gpu9",
                              "gpu10", "gpu11", "gpu20"], names(tab)
        lost = '#nodes-body tr[data-node="gpu17"]'
        assert tab.text(f"{lost} .badge") == "LOST"
        assert LOST in tab.text(f'{lost} [data-figure="state"]')
        assert text_of(tab, "gpu17", "vram") == text_of(tab, "gpu17", "run") == "--"
        assert text_of(tab, "gpu17", "age") == "34 s"
        assert text_of(tab, "gpu2", "vram") == "502.0 / 640.0"
        assert text_of(tab, "gpu2", "kv").endswith("~14.0 / ~100.0")
        assert "NAME TAKEN" in text_of(tab, "gpu8", "state")


def test_a_live_node_that_does_not_count():
    twin = node("gpu4", 4, counted=False, reason="gpu2 is the same machine")
    with page([node("gpu1", 1), node("gpu2", 2), twin]) as (tab, _):
        assert names(tab) == ["gpu4", "gpu1", "gpu2"], names(tab)
        assert "NOT COUNTED" in text_of(tab, "gpu4", "state")
        assert "same machine" in text_of(tab, "gpu4", "state")
        tab.call("fill", "#node-filter", "gpu")
        assert "VRAM 1003.0 of 1280.0 GiB" in tab.text("#nodes-sum"), tab.text("#nodes-sum")


def test_a_node_is_lost_and_found():
    with page(some_nodes()) as (tab, gateway):
        gateway.put(gone("gpu20", "lost", LOST))
        eventually("it is first", lambda: names(tab)[:2] == ["gpu17", "gpu20"])
        tab.wait("document.querySelector('#nodes-tile b').innerText === '6'")
        gateway.put(node("gpu20", 20))
        eventually("it is the last", lambda: names(tab)[-1] == "gpu20")


def test_sorting():
    with page(some_nodes()) as (tab, _):
        head = '#nodes th[data-column="%s"] button'
        tab.click(head % "node")
        assert names(tab)[:4] == ["gpu1", "gpu2", "gpu3", "gpu8"], names(tab)
        assert place_of(tab) == "#by=node"
        tab.click(head % "node")
        assert names(tab)[:3] == ["gpu20", "gpu18", "gpu17"], names(tab)
        tab.click(head % "kv")
        assert names(tab)[:3] == ["gpu11", "gpu10", "gpu9"], names(tab)
        assert set(names(tab)[-2:]) == {"gpu17", "gpu18"}, "what is not known is last"
        assert place_of(tab) == "#by=-kv"
        assert tab.attribute('#nodes th[data-column="kv"]', "aria-sort") == "descending"
        tab.call("reload")
        tab.wait_until_live()
        assert names(tab)[:3] == ["gpu11", "gpu10", "gpu9"], names(tab)


def test_filters_and_their_sums():
    with page(some_nodes()) as (tab, gateway):
        for given, expected in (("gpu1 run>9", ["gpu10", "gpu11"]), ("LOST", ["gpu17"]),
                                ("kv%>=70", ["gpu10", "gpu11"]), ("vram<502", ["gpu1"]),
                                ("vram>79.7% wait=2", ["gpu11", "gpu20"]),
                                ("age>2", ["gpu17", "gpu18", "gpu3"]), ("hit>50", []),
                                ("taken 0.1.0", ["gpu8"]), ("constructor>1", [])):
            tab.call("fill", "#node-filter", given)
            assert names(tab) == expected, (given, names(tab))
        assert tab.is_visible("#nodes-none") and not tab.is_visible("#nodes-frame")
        tab.click("#node-filter-clear")
        assert len(names(tab)) == 10 and tab.text("#nodes-sum") == ""
        tab.call("fill", "#node-filter", "gpu1")
        fit = [each for each in gateway.counted() if each["node"].startswith("gpu1")]
        used = sum(each["kv_cache"]["used_bytes"] for each in fit) / GIB
        allocated = sum(each["vram"]["allocated_bytes"] for each in fit) / GIB
        running = sum(each["requests"]["running"] for each in fit)
        said = tab.text("#nodes-sum")
        assert said.startswith(f"5 of 10 nodes: VRAM {allocated:.1f} of 1920.0 GiB, "
                               f"KV ~{used:.1f} of ~300.0 GiB, {running} running"), said
        assert "2 that do not count" in said, said
        assert place_of(tab) == "#find=gpu1"


# A node.

EVENTS = [{"id": 1, "unix_ms": 1790000000000, "kind": "node_lost", "severity": "critical",
           "node": "gpu17", "text": "gpu17 was lost: <b>nothing</b> has come for 10 s"},
          {"id": 2, "unix_ms": 1790000001000, "kind": "engine_found", "severity": "info",
           "node": "gpu2", "text": "org/model :8000 is served"}]


def check_node(tab, gateway, name):
    tab.wait_until_live()
    assert tab.text("#where") == name and tab.is_visible("#crumbs")
    expected = gateway.nodes[name]["vram"]["allocated_bytes"]
    assert tab.attribute('.tiles [data-figure="allocated"]', "data-bytes") == str(expected)
    assert tab.is_visible("#devices-section") and not tab.is_visible("#nodes-section")
    assert not tab.is_visible("#nodes-tile")
    assert not tab.is_visible('#models-head th[data-column="nodes"]')
    assert name in tab.evaluate("document.title")


def check_fleet(tab, place):
    tab.wait("!document.getElementById('nodes-section').hidden && "
             "!document.getElementById('figures').hidden")
    tab.wait_until_live()
    assert place_of(tab) == place and not tab.is_visible("#crumbs")
    assert not tab.is_visible("#devices-section")


def test_to_a_node_and_back():
    with page(some_nodes(), "#by=node&find=gpu") as (tab, gateway):
        gateway.events = EVENTS
        link = '#nodes-body tr[data-node="%s"] a'
        tab.wait("document.querySelectorAll('#events a').length === 2")
        assert tab.texts("#events .what") == [
            "gpu2: org/model :8000 is served", EVENTS[0]["text"]]
        tab.evaluate(f"document.querySelector('{link % 'gpu2'}').focus()")
        tab.press("Enter")
        check_node(tab, gateway, "gpu2")
        assert place_of(tab) == "#node=gpu2"
        eventually("its own events", lambda: tab.texts("#events .what") == [
            "org/model :8000 is served"])
        tab.wait("document.querySelector('[data-chart=allocated] .plot').dataset.points > 1")
        tab.press("Escape")
        check_fleet(tab, "#by=node&find=gpu")
        tab.click('#nodes-body tr[data-node="gpu9"] td[data-column="vram"]')
        check_node(tab, gateway, "gpu9")
        tab.call("goBack")
        check_fleet(tab, "#by=node&find=gpu")
        tab.call("goForward")
        check_node(tab, gateway, "gpu9")
        tab.call("reload")
        check_node(tab, gateway, "gpu9")
        tab.click("#up")
        check_fleet(tab, "")
        tab.expected = [REFUSED]  # it is lost
        tab.click("#events a[href='#node=gpu17']")
        tab.wait("document.getElementById('notice-title').innerText === 'This node is lost'")


def test_escape_closes_what_is_open_first():
    with page(some_nodes(), "#node=gpu2") as (tab, gateway):
        tab.click('[data-about="kv"]')
        tab.press("Escape")
        check_node(tab, gateway, "gpu2")
        tab.click("#filter")
        tab.press("x", "Escape")
        check_node(tab, gateway, "gpu2")
        tab.evaluate("document.activeElement.blur()")
        tab.press("Escape")
        check_fleet(tab, "")


def test_nodes_that_cannot_be_shown():
    with Gateway(HOST, some_nodes()) as gateway:
        gateway.errors = {"twice": (409, "ambiguous-node", "two nodes are named twice"),
                          "alone": (404, "no-gateway", "this daemon is no gateway")}
        for name, title in (("gpu17", "This node is lost"), ("twice", "Two nodes have this"),
                            ("nobody", "No such node"), ("alone", "has no nodes"),
                            ("gpu18", "no figures of its GPUs")):
            with CHROMIUM.tab(gateway.url(f"#node={name}"), viewport=DESK) as tab:
                tab.expected = [REFUSED]
                tab.wait("!document.getElementById('notice').hidden")
                assert title in tab.text("#notice-title"), tab.text("#notice")
                assert gateway.refusal(name)[2] in tab.text("#notice-reason")
                assert not tab.is_visible("#figures") and tab.is_visible("#crumbs")
                tab.click("#notice-back")
                check_fleet(tab, "")
                assert not tab.is_visible("#notice")


def test_a_node_that_is_lost_while_we_look():
    with page(some_nodes(), "#node=gpu2", live=False) as (tab, gateway):
        check_node(tab, gateway, "gpu2")
        gateway.put(gone("gpu2", "stale", "it has said nothing for 2 s"))
        tab.wait("document.getElementById('notice-title').innerText.includes('are old')")
        for second in range(10, 15):  # the reason is another all the time
            gateway.put(gone("gpu2", "lost", f"it has said nothing for {second} s"))
            time.sleep(0.3)
            assert tab.text("#notice-title") != "No figures of the GPUs"
        gateway.put(gone("gpu2", "lost", LOST))
        tab.wait("document.getElementById('notice-title').innerText === 'This node is lost'")
        assert tab.is_visible("#figures") and tab.text("#status") == "No figures"
        assert LOST in tab.text("#notice-reason")
        gateway.put(node("gpu2", 2))
        check_node(tab, gateway, "gpu2")
        assert not tab.is_visible("#notice")


def test_tabs_share_streams():
    with Gateway(HOST, some_nodes()) as gateway, CHROMIUM.profile(viewport=DESK) as profile:
        streams = lambda: +gateway.streams
        with contextlib.ExitStack() as stack:
            places = ("", "", "#node=gpu1", "#node=gpu1", "#node=gpu2")
            tabs = [stack.enter_context(profile.open(gateway.url(place))) for place in places]
            for tab in tabs:
                tab.wait_until_live()
            assert streams() == {None: 1, "gpu1": 1, "gpu2": 1}, streams()
            check_node(tabs[3], gateway, "gpu1")
            tabs[4].press("Escape")
            eventually("nobody looks at it", lambda: streams() == {None: 1, "gpu1": 1})
            check_fleet(tabs[4], "")
            # A browser has few connections with a server: some are left for questions.
            for name in ("gpu2", "gpu9", "gpu10"):
                tabs.append(stack.enter_context(profile.open(gateway.url(f"#node={name}"))))
            tabs[-1].wait("document.getElementById('notice-title').innerText.includes("
                          "'Too many')")
            eventually("no more than four", lambda: sum(streams().values()) == 4)
            tabs[-2].press("Escape")
            check_node(tabs[-1], gateway, "gpu10")
            eventually("no more than four", lambda: sum(streams().values()) == 4)
        eventually("nobody looks", lambda: not streams())


# Many of them, none of them, and odd ones.

DRAWN = """new Promise((done) => {
  let times = 0;
  const seen = new MutationObserver(() => times++);
  seen.observe(document.querySelector("#nodes-tile b"), {characterData: true, subtree: true});
  setTimeout(() => done(times), 4000);
})"""


def test_a_thousand_nodes():
    many = [node(f"gpu{at}", at) for at in range(1000)]
    with page(many) as (tab, gateway):
        assert tab.text("#nodes-count") == "1,000"
        assert tab.attribute("#nodes", "aria-rowcount") == "1001"
        rows = names(tab)
        assert rows == [f"gpu{at}" for at in range(len(rows))] and 10 < len(rows) < 50, rows
        tab.evaluate("void document.getElementById('nodes-frame').scrollTo(0, 1e6)")
        eventually("its end", lambda: names(tab)[-1:] == ["gpu999"])
        assert 10 < len(names(tab)) < 50
        last = '#nodes-body tr[data-node="gpu999"]'
        assert tab.attribute(last, "aria-rowindex") == "1001"
        inside = tab.evaluate(
            f"[document.querySelector('{last}'), document.getElementById('nodes-frame')]"
            ".map((part) => Math.round(part.getBoundingClientRect().bottom))")
        assert abs(inside[0] - inside[1]) <= 2, f"the frame ends with it: {inside}"
        tab.evaluate("void document.getElementById('nodes-frame').scrollTo(0, 0)")
        eventually("its start", lambda: names(tab)[0] == "gpu0")
        tab.evaluate("document.querySelector('#nodes-body a').focus()")
        for _ in range(40):
            tab.press("ArrowDown")
        tab.wait("document.activeElement.textContent === 'gpu40'")

        # Each document is another, five a second.
        gateway.__class__ = Restless
        drawn = tab.evaluate(DRAWN)
        assert 2 <= drawn <= 5, f"{drawn} times in 4 s"
        tab.click('#nodes-body tr[data-node="gpu45"] a')
        check_node(tab, gateway, "gpu45")


class Restless(Gateway):
    def _fleet(self):
        return {**super()._fleet(), "live": self.seq}


def test_no_node_yet():
    with page([], live=False) as (tab, gateway):
        tab.wait("!document.getElementById('notice').hidden")
        assert "No node has been heard" in tab.text("#notice-title")
        assert "vramscoped --nats URL" in tab.text("#notice-text")
        assert not tab.is_visible("#figures") and not tab.is_visible("#notice-back")
        gateway.put(node("gpu1"))
        tab.click("#retry")
        tab.wait_until_live()
        assert names(tab) == ["gpu1"]


def test_no_node_counts():
    """Of a real gateway: its table stays, with what is known of each, and why nothing counts."""
    DARK.wait()
    with CHROMIUM.tab(DARK.gateway.url("/"), viewport=DESK) as tab:
        tab.wait("!document.getElementById('notice').hidden")
        assert tab.text("#notice-title") == "No node has figures"
        assert "2 lost, 1 in an outage" in tab.text("#notice-reason")
        assert "logs of the nodes" in tab.text("#notice-remedy")
        assert tab.text("#status") == "No figures" and not tab.is_visible("#retry")
        eventually("the table", lambda: names(tab) == ["a", "b", "c"])
        assert tab.text('#nodes-body tr[data-node="a"] .badge') == "LOST"
        assert "nothing" in text_of(tab, "a", "state")
        assert "the driver says nothing" in text_of(tab, "c", "state")
        assert text_of(tab, "a", "vram") == "30.0 / 160.0"
        assert "2 lost, 1 without figures" in tab.text("#nodes-note")
        shown = dict(tab.data(".tiles [data-figure]", "figure", "unknown"))
        unknown = {"allocated", "total", "kv-used", "kv-capacity", "hit-percent", "running"}
        assert all(shown[name] == "" for name in unknown), shown
        assert tab.text("#requests-note") == tab.text("#kv-note") == "not known"
        assert tab.text("#models-empty-title") == "No node has figures"
        opacity = "getComputedStyle(document.getElementById('figures')).opacity"
        time.sleep(1)  # it fades late
        assert tab.evaluate(opacity) == "1"
        assert serious(tab) == []
        DARK.nodes["a"].resume()
        tab.wait_until_live()
        eventually("it counts", lambda: tab.text("#nodes-tile .big").split()[0] == "1")
        assert tab.text('.tiles [data-figure="total"]') == "160.0"
        assert not tab.is_visible("#notice") and "back after" in tab.text("#events")


MARKUP = "<b>owned</b><img src=x onerror=alert(1)>"
FOREIGN = "document.querySelectorAll(':is(#nodes, #models, #events, #notice) :is(img, td b)').length"


def test_names_are_text():
    odd = [node(MARKUP, 5, version=MARKUP), gone("javascript:alert(2)", "lost", MARKUP),
           node("&node=gpu1#%20" + "w" * 150), node("__proto__"), node(("many words " * 20).strip())]
    with Gateway(HOST, odd) as gateway:
        gateway.host["models"][0]["model"] = MARKUP
        gateway.events = [{**EVENTS[0], "node": MARKUP, "text": f"{MARKUP} was found"}]
        with CHROMIUM.tab(gateway.url(), viewport=DESK) as tab:
            tab.wait_until_live()
            assert set(names(tab)) == set(gateway.nodes)
            assert MARKUP in tab.text("#models-body") and MARKUP in tab.text("#events")
            for size in (DESK, PHONE):
                tab.call("setViewportSize", size)
                wide = tab.evaluate("document.scrollingElement.scrollWidth")
                assert wide <= size["width"], (size, wide)
            tab.call("setViewportSize", DESK)
            for each in odd[:1] + odd[2:]:
                name = json.dumps(each["node"])
                tab.evaluate(f"[...document.querySelectorAll('.node-name')].find((link) => "
                             f"link.textContent === {name}).click()")
                tab.wait(f"document.getElementById('where').textContent === {name}")
                check_node(tab, gateway, each["node"])
                assert tab.evaluate(FOREIGN) == 0
                tab.press("Escape")
                check_fleet(tab, "")
            assert tab.evaluate(FOREIGN) == 0


# How it looks.

def serious(tab):
    said = tab.ask("accessibility")
    assert said["passes"] > 20, said
    return [fault for fault in said["faults"] if fault["impact"] in ("serious", "critical")]


def test_no_serious_fault_of_accessibility():
    faults = {}
    for scheme in ("light", "dark"):
        for size in (DESK, PHONE):
            with page(some_nodes(), viewport=size, colorScheme=scheme) as (tab, _):
                faults[f"{scheme} {size['width']}"] = serious(tab)
    assert not any(faults.values()), faults


CUT = """[...document.querySelectorAll(".tile, #nodes-body .value")]
  .filter((part) => part.scrollWidth > part.clientWidth + 1).map((part) => part.innerText)"""


def test_every_width():
    many = [node(f"gpu{at}", at, requests={"running": 120, "waiting": 3}) for at in range(900)]
    with page(many + [gone("gpu900", "lost", LOST)]) as (tab, _):
        for width in (320, 400, 600, 768, 1024, 1280, 1400, 1920, 3840):
            tab.call("setViewportSize", {"width": width, "height": 900})
            wide = tab.evaluate("document.scrollingElement.scrollWidth")
            assert wide <= width, (width, wide)
            assert tab.evaluate(CUT) == [], (width, tab.evaluate(CUT))
            narrow = tab.evaluate("Math.min(...[...document.querySelectorAll('.node-name')]"
                                  ".map((name) => name.clientWidth))")
            assert narrow > 80, (width, narrow)
            heights = tab.evaluate("[...new Set([...document.querySelectorAll('#nodes-body tr')]"
                                   ".map((row) => Math.round(row.offsetHeight)))]")
            assert len(heights) == 1, (width, heights)


def test_a_host_has_nothing_of_it():
    with CHROMIUM.tab(HOST.url("/"), viewport=DESK) as tab:
        tab.wait_until_live()
        for hidden in ("#nodes-section", "#nodes-tile", "#crumbs", "#download-nodes",
                       '#models th[data-column="nodes"]'):
            assert not tab.is_visible(hidden), hidden
        assert tab.is_visible("#devices-section")


alone()
with chromium() as CHROMIUM, Dark() as DARK, Daemon("--demo") as HOST:
    eventually("it has figures", lambda: HOST.get("/v1/detail")[0] == 200)
    run(test_the_sums, test_who_needs_somebody_is_first,
        test_a_live_node_that_does_not_count, test_a_node_is_lost_and_found, test_sorting,
        test_filters_and_their_sums, test_to_a_node_and_back,
        test_escape_closes_what_is_open_first, test_nodes_that_cannot_be_shown,
        test_a_node_that_is_lost_while_we_look, test_tabs_share_streams,
        test_a_thousand_nodes, test_no_node_yet, test_no_node_counts, test_names_are_text,
        test_no_serious_fault_of_accessibility, test_every_width,
        test_a_host_has_nothing_of_it)
