# SPDX-License-Identifier: Apache-2.0
"""GET /vram/aggregated: what it says of the last seconds is what the stream sent in them."""
from harness import *

ROUTE = "/vram/aggregated"
OPTIONS = ("--gpu", "none", "--no-discover")
STATISTICS = ["min", "max", "avg", "p95", "p99", "count"]
BLOCK = 1000003  # bytes


class Growing:
    """A server whose figures are larger each time it is asked: no two windows are alike."""

    def __init__(self):
        self.asked = 0

    def page(self):
        self.asked += 1
        page = vllm_page(usage=self.asked / 10000, blocks=10001, queries=1000 * self.asked,
                         hits=self.asked ** 2)
        return page.replace("running{engine=\"0\",model_name=\"org/model\"} 1.0",
                            f"running{{engine=\"0\",model_name=\"org/model\"}} {self.asked}.0")


@contextlib.contextmanager
def growing(*options):
    server = Growing()
    with Engine(page_answer(server.page)) as engine, \
            config(f"engines:\n  - url: {engine.url}\n    kv_bytes_per_block: {BLOCK}\n"
                   "    gpus: 1\n") as file, \
            Daemon(*OPTIONS, "--config", file, *options) as daemon:
        yield daemon


def aggregated(daemon, query=""):
    status, headers, body = daemon.get(ROUTE + query)
    assert status == 200, (status, body)
    assert headers["Content-Type"] == "application/json", headers
    assert headers["Cache-Control"] == "no-store", headers
    assert body.endswith(b"]}\n") and body.count(b"\n") == 1, body
    return json.loads(body)


def percentile(values, percent):
    values = sorted(values)
    place = (len(values) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (place - below) * (values[above] - values[below])


def statistics_of(values):
    return {"min": min(values), "max": max(values), "avg": sum(values) / len(values),
            "p95": percentile(values, 95), "p99": percentile(values, 99), "count": len(values)}


def agrees(document, events):
    """Is it that of the last events that were read, as many as it counts?"""
    window = events[-document["sample_count"]:]
    for key, off in (("allocated_vram_bytes", 0.51), ("used_kv_cache_bytes", 0.51),
                     ("prefix_cache_hit_rate", 0.011)):
        wanted = statistics_of([event[key] for event in window])
        got = document[key]
        assert list(got) == STATISTICS, got
        for exact in ("min", "max", "count"):
            if got[exact] != wanted[exact]:
                return False
        if any(abs(got[name] - wanted[name]) > off for name in STATISTICS):
            return False
    running = document["num_requests_running"]
    used = document["used_kv_cache_bytes"]
    # Of the same page: a ten-thousandth of the blocks for each request.
    assert [running["min"] * BLOCK, running["max"] * BLOCK] == [used["min"], used["max"]], \
        document
    return document["models"] == window[-1]["models"]


def test_it_is_what_the_stream_sent():
    with growing("--interval", 100) as daemon, Stream(daemon) as stream:
        events = []
        for window, least in (("?window=1", 8), ("?window=2", 16), ("", 40), ("?window=5", 40)):
            while len(events) < 10 * int(window[-1:] or 5) + 4:
                events.append(stream.event())
            for attempt in range(10):  # another event may come between the two
                events.append(stream.event())
                document = aggregated(daemon, window)
                if agrees(document, events):
                    break
            else:
                raise AssertionError(f"{window}: {document}, not of {events[-60:]}")
            seconds = int(window[-1:] or 5)
            assert document["window_seconds"] == seconds, document
            assert least <= document["sample_count"] <= 10 * seconds + 1, document
        used = document["used_kv_cache_bytes"]
        assert used["min"] < used["avg"] < used["p95"] < used["p99"] < used["max"], used


def test_document():
    with growing() as daemon:
        eventually("three samples", lambda: aggregated(daemon)["sample_count"] >= 3)
        document = aggregated(daemon, "?x=1&window=60&y")
        assert list(document) == [
            "total_vram_bytes", "allocated_vram_bytes", "used_kv_cache_bytes",
            "prefix_cache_hit_rate", "num_requests_running", "num_requests_waiting",
            "window_seconds", "sample_count", "models"], document
        assert document["window_seconds"] == 60
        assert 3 <= document["sample_count"] <= 8, document  # since it runs
        assert document["num_requests_waiting"] == {
            "min": 0, "max": 0, "avg": 0, "p95": 0, "p99": 0,
            "count": document["num_requests_running"]["count"]}, document
        assert document["models"][0]["model_id"] == "org-model", document


def test_what_is_not_known_is_not_counted():
    # The size of a block is not known, nor how many requests there are.
    page = "".join(line for line in vllm_page().splitlines(True) if "num_requests" not in line)
    with Engine(page_answer(page)) as engine, \
            Daemon(*OPTIONS, "--engine", engine.url) as daemon:
        document = eventually("a row", lambda: (d := aggregated(daemon))["models"] and d)
        nothing = dict.fromkeys(STATISTICS, None) | {"count": 0}
        for key in ("num_requests_running", "num_requests_waiting"):
            assert document[key]["count"] < document["sample_count"], document
        eventually("a second of it", lambda: all(
            aggregated(daemon, "?window=1")[key] == nothing
            for key in ("num_requests_running", "num_requests_waiting", "used_kv_cache_bytes")))
        assert document["allocated_vram_bytes"]["count"] == document["sample_count"], document
        assert daemon.vram()["used_kv_cache_bytes"] == 0  # its types leave it no other way


def test_windows_that_are_none():
    with Daemon(*OPTIONS) as daemon:
        for query in ("window=0", "window=61", "window=abc", "window=", "window", "window=-1",
                      "window=5.5", "window=99999999999999999999", "window=5&window=5",
                      "window=%35", "a=1&window=0"):
            status, headers, body = daemon.get(f"{ROUTE}?{query}")
            error = json.loads(body)["error"]
            assert status == 400 and error["code"] == "bad-parameter", (query, status, body)
            assert '"window"' in error["message"] and "1 to 60" in error["message"], error
            assert headers["Content-Type"] == "application/json", headers
            assert daemon.get(f"{ROUTE}?{query}", "HEAD")[0::2] == (400, b""), query
        for query in ("", "?", "?windows=0", "?window=1", "?window=60"):
            assert aggregated(daemon, query)["models"] == [], query


def test_methods():
    with Daemon(*OPTIONS) as daemon:
        status, headers, body = daemon.get(ROUTE, "HEAD")
        assert status == 200 and int(headers["Content-Length"]) > 300 and body == b""
        status, headers, _ = daemon.get(ROUTE, "OPTIONS")
        assert status == 204 and headers["Allow"] == "GET, HEAD, OPTIONS", headers
        status, headers, _ = daemon.get(ROUTE, "POST")
        assert status == 405 and headers["Allow"] == "GET, HEAD, OPTIONS", headers
        assert daemon.get(ROUTE + "/")[0] == 404
        assert ROUTE.encode() in daemon.get("/nothing")[2]


def test_outage():
    with Daemon("--gpu", "nvml", "--nvml-library", "/nonexistent.so", "--no-discover") as daemon:
        status, headers, body = daemon.get(ROUTE)
        assert status == 503 and headers["Retry-After"] == "1", (status, headers)
        assert json.loads(body)["error"]["code"] == "no-library", body
        assert daemon.get(ROUTE + "?window=0")[0] == 503


alone()
run(test_it_is_what_the_stream_sent, test_document, test_what_is_not_known_is_not_counted,
    test_windows_that_are_none, test_methods, test_outage)
