# SPDX-License-Identifier: Apache-2.0
"""Engines of every manner beside a healthy one: its row stays exact, the beat holds."""
import os
import socket
import tempfile
import threading
import time

from harness import (Daemon, Engine, Skip, Stream, alone, config, eventually, page_answer,
                     run, vllm_page)

OPTIONS = ("--gpu", "none", "--no-discover")
SLOW_NAMES = os.environ.get("SLOW_NAMES", "")
BLOCK = 1000000
HEALTHY = vllm_page(model="healthy", usage=0.25, blocks=401)  # 100 blocks of BLOCK bytes


def hang(peer):
    time.sleep(60)


def drip(peer):
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(600):
        peer.sendall(b"x")
        time.sleep(0.1)


def flood(peer):
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
    for _ in range(100):
        peer.sendall(b"vllm:nothing 1\n" * 69905 + b"\n")


def redirect(peer):
    peer.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
                 b"Content-Length: 0\r\n\r\n")


def gzipped(peer):
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd")


def torn(peer):
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + HEALTHY.encode())
    peer.shutdown(socket.SHUT_RDWR)


def garbage(peer):
    peer.sendall(bytes(range(256)) * 64)
    peer.shutdown(socket.SHUT_RDWR)


def busy_port():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    return port


def test_hostile_engines_harm_only_themselves():
    hostile = {"hang": hang, "drip": drip, "flood": flood, "redirect": redirect,
               "gzipped": gzipped, "torn": torn, "garbage": garbage,
               "badlabels": page_answer("vllm:kv_cache_usage_perc{engine=\"0} 1\n"),
               "twice": page_answer('vllm:kv_cache_usage_perc{engine="0"} 0.1\n'
                                    'vllm:kv_cache_usage_perc{engine="0"} 0.2\n')}
    with Engine(page_answer(HEALTHY)) as healthy:
        engines = {name: Engine(answer) for name, answer in hostile.items()}
        urls = {name: engine.url for name, engine in engines.items()}
        urls["refused"] = f"http://127.0.0.1:{busy_port()}"
        lines = "".join(f"  - {{url: {url}, name: {name}, gpus: 1, "
                        f"kv_bytes_per_block: {BLOCK}}}\n" for name, url in urls.items())
        with config(f"engines:\n  - {{url: {healthy.url}, gpus: 1, "
                    f"kv_bytes_per_block: {BLOCK}}}\n{lines}") as file, \
                Daemon(*OPTIONS, "--config", file) as daemon, Stream(daemon) as stream:
            stream.event()
            gaps, last = [], time.monotonic()
            for _ in range(12):
                event = stream.event()
                gaps.append(time.monotonic() - last)
                last = time.monotonic()
                rows = {m["model_id"]: m for m in event["models"]}
                assert rows["healthy"]["used_kv_cache_bytes"] == 100 * BLOCK, event
                assert event["used_kv_cache_bytes"] == 100 * BLOCK, event
                assert "refused" not in rows, event
            assert max(gaps) < 0.95 and sorted(gaps)[6] < 0.6, gaps
            log = daemon.log()
            for name in ("drip", "flood", "redirect", "gzipped", "torn", "garbage",
                         "badlabels", "twice"):
                assert f"engine {urls[name]} unreachable" in log, (name, log)
            assert log.count(f"engine {urls['flood']} ") == 1, log  # on the edge, once
            assert f"engine {urls['hang']} starting" in log, log
            seconds = time.monotonic() - stream.started
            assert engines["redirect"].connections < 3 * seconds
        for engine in engines.values():
            engine.__exit__()


def test_recovery_is_quick():
    state = {"answer": torn}
    with Engine(lambda peer: state["answer"](peer)) as engine, \
            Daemon(*OPTIONS, "--engine", engine.url) as daemon:
        time.sleep(1)
        assert daemon.vram()["models"] == []
        state["answer"] = page_answer(HEALTHY)
        start = time.monotonic()
        eventually("its row", lambda: daemon.vram()["models"])
        assert time.monotonic() - start < 2
        assert "back after" in daemon.log(), daemon.log()


def test_hit_rate_is_of_the_last_minute_and_survives_a_restart():
    state = {"queries": 1000, "hits": 100}
    with Engine(page_answer(lambda: vllm_page(**state))) as engine, \
            Daemon(*OPTIONS, "--engine", engine.url, "--interval", "100") as daemon:
        assert daemon.vram()["prefix_cache_hit_rate"] == 10.0  # lifetime, nothing newer
        state.update(queries=1400, hits=400)
        eventually("the window's rate", lambda: daemon.vram()["prefix_cache_hit_rate"] == 75.0)
        state.update(queries=10, hits=10)  # another server
        time.sleep(0.5)
        assert daemon.vram()["prefix_cache_hit_rate"] == 75.0
        state.update(queries=110, hits=35)
        eventually("the new server's alone",
                   lambda: daemon.vram()["prefix_cache_hit_rate"] == 25.0)


def test_states():
    sleeping = ('vllm:engine_sleep_state{engine="0",sleep_state="awake"} 0.0\n'
                'vllm:engine_sleep_state{engine="0",sleep_state="discard_all"} 1.0\n')
    state = {"page": vllm_page()}
    with Engine(page_answer(lambda: state["page"])) as engine, \
            config(f"engines:\n  - {{url: {engine.url}, gpus: 1, "
                   f"kv_bytes_per_block: {BLOCK}}}\n") as file, \
            Daemon(*OPTIONS, "--config", file) as daemon:
        def used():
            return daemon.vram()["models"][0]["used_kv_cache_bytes"]
        assert used() == 500 * BLOCK
        state["page"] = vllm_page(extra=sleeping)
        eventually("asleep: nothing used", lambda: used() == 0)
        state["page"] = vllm_page()
        eventually("awake again", lambda: used() == 500 * BLOCK)
        state["page"] = "http_requests_total 1\n"
        eventually("the log says so", lambda: "metrics-disabled" in daemon.log())
        assert len(daemon.vram()["models"]) == 1  # its process lives


def scrapes(engine):
    return [request for request in engine.requests if "/metrics" in request]


def filtering(page, works):
    """prometheus_client's /metrics/?name[]=...: those samples alone, or nothing at all."""
    def answer(peer, target):
        text = page
        if target.startswith("/metrics/?"):
            names = [w.split("=")[1] for w in target.split("?")[1].split("&")]
            text = "".join(line + "\n" for line in page.splitlines()
                           if works and line.split("{")[0] in names)
        page_answer(text)(peer)
    return answer


def test_filtered_scrape_is_used_where_it_works_only():
    page = vllm_page(extra="".join(f"other_{i} 1\n" for i in range(100)))
    for works in (True, False):
        answer = filtering(page, works)
        with Engine(lambda peer: answer(peer, engine.requests[-1].split()[1])) as engine, \
                Daemon(*OPTIONS, "--engine", engine.url, "--interval", "100") as daemon:
            eventually("ten scrapes", lambda: len(scrapes(engine)) > 10)
            filtered = ["/metrics/?" in r for r in scrapes(engine)]
            if works:
                assert not filtered[0] and all(filtered[1:]), engine.requests
            else:
                assert filtered.count(True) == 1, engine.requests
            assert engine.connections <= 2, engine.connections  # kept alive
            assert len(daemon.vram()["models"]) == 1
            assert "unreachable" not in daemon.log(), daemon.log()


def test_pace_follows_what_a_scrape_costs():
    def slow(peer):
        time.sleep(0.02)
        page_answer(HEALTHY)(peer)
    with Engine(slow) as engine, Daemon(*OPTIONS, "--engine", engine.url):
        time.sleep(6.5)
        assert 3 <= len(scrapes(engine)) <= 6, engine.requests  # every 2 s, not 0.5


def test_one_request_in_flight():
    inside, most, lock = [0], [0], threading.Lock()

    def answer(peer):
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        time.sleep(0.4)
        page_answer(HEALTHY)(peer)
        with lock:
            inside[0] -= 1
    with Engine(answer) as engine, \
            Daemon(*OPTIONS, "--engine", engine.url, "--interval", "100"):
        time.sleep(3)
        assert most[0] == 1 and engine.requests, (most, engine.requests)


def test_bearer_token_is_sent():
    import tempfile
    heads = []

    class Recording(Engine):
        def _serve(self, peer):
            heads.append(peer.recv(65536))
            page_answer(HEALTHY)(peer)
    with tempfile.NamedTemporaryFile("w") as key, Recording(None) as engine:
        key.write("secret-key\n")
        key.flush()
        with config(f"engines:\n  - {{url: {engine.url}, api_key_file: {key.name}}}\n") as file, \
                Daemon(*OPTIONS, "--config", file) as daemon:
            eventually("a scrape", lambda: heads)
            assert b"\r\nAuthorization: Bearer secret-key\r\n" in heads[0], heads[0]
            assert "secret" not in daemon.log()


def test_one_server_under_two_urls_is_one_row():
    with Engine(page_answer(HEALTHY)) as engine, \
            Daemon(*OPTIONS, "--engine", engine.url, "--engine",
                   engine.url.replace("127.0.0.1", "localhost")) as daemon:
        assert len(daemon.vram()["models"]) == 1, daemon.vram()


def test_a_twin_that_nobody_answers_takes_no_row():
    with Engine(page_answer(HEALTHY)) as engine, \
            Daemon(*OPTIONS, "--engine", engine.url.replace("127.0.0.1", "[::1]"), "--engine",
                   engine.url) as daemon:
        assert [m["model_id"] for m in daemon.vram()["models"]] == ["healthy"], daemon.vram()


def test_a_page_that_is_cut_off_gives_no_figures():
    with Engine(page_answer(HEALTHY.rstrip("\n"))) as engine, \
            Daemon(*OPTIONS, "--engine", engine.url) as daemon:
        assert daemon.vram()["models"] == [] and "cut off" in daemon.log(), daemon.log()


def test_a_slow_name_server_is_not_waited_for():
    if not SLOW_NAMES:
        raise Skip("no library that makes names slow")
    with Engine(page_answer(HEALTHY)) as engine, \
            Daemon(*OPTIONS, "--engine", engine.url, "--engine", "http://slow.example:8000",
                   env={"LD_PRELOAD": SLOW_NAMES}) as daemon, Stream(daemon) as stream:
        stream.event()
        last = time.monotonic()
        for _ in range(8):
            assert len(stream.event()["models"]) == 1
            now = time.monotonic()
            assert now - last < 1.2, now - last
            last = now
        assert "not resolved" in daemon.log(), daemon.log()


def test_an_engine_on_a_unix_socket():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "vllm.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        with Engine(page_answer(HEALTHY), listener=listener), \
                Daemon(*OPTIONS, "--engine", f"unix:{path}") as daemon:
            row = eventually("its row", lambda: daemon.vram()["models"])[0]
            assert row["port"] == 0 and row["model_id"] == "healthy", row
            assert f"engine unix:{path} ready" in daemon.log(), daemon.log()


def test_model_id_served():
    with Engine(page_answer(vllm_page(model='we"ird/Näme'))) as engine, \
            Daemon(*OPTIONS, "--engine", engine.url, "--model-id", "served") as daemon:
        # In the page the quote ends the value early: the page is malformed.
        assert daemon.vram()["models"] == [], daemon.vram()
    with Engine(page_answer(vllm_page(model='we\\"ird/Näme'))) as engine:
        with Daemon(*OPTIONS, "--engine", engine.url, "--model-id", "served") as daemon:
            assert daemon.vram()["models"][0]["model_id"] == 'we"ird/Näme', daemon.vram()
        with Daemon(*OPTIONS, "--engine", engine.url) as daemon:
            assert daemon.vram()["models"][0]["model_id"] == "we-ird-N-me", daemon.vram()


alone()
run(test_hostile_engines_harm_only_themselves, test_recovery_is_quick,
    test_hit_rate_is_of_the_last_minute_and_survives_a_restart, test_states,
    test_filtered_scrape_is_used_where_it_works_only, test_pace_follows_what_a_scrape_costs,
    test_one_request_in_flight, test_bearer_token_is_sent,
    test_one_server_under_two_urls_is_one_row,
    test_a_twin_that_nobody_answers_takes_no_row,
    test_a_page_that_is_cut_off_gives_no_figures,
    test_a_slow_name_server_is_not_waited_for, test_an_engine_on_a_unix_socket,
    test_model_id_served)
