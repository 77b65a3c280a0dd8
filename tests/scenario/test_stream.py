# SPDX-License-Identifier: Apache-2.0
"""GET /vram/stream byte by byte, and the other routes."""
import contextlib
import json
import signal
import socket
import subprocess
import time

from harness import (DAEMON, Daemon, Engine, Stream, config, eventually, fixture, page_answer, run,
                     vllm_page)

OPTIONS = ("--gpu", "none", "--no-discover")


def test_loaded_page_gives_exact_bytes():
    page = fixture("vllm_v1_0.25.1_opt125m_tp2_loaded.txt")
    with Engine(page_answer(page)) as engine, \
            config(f"engines:\n  - url: {engine.url}\n    kv_bytes_per_block: 294912\n"
                   "    gpus: 2\n") as file, \
            Daemon(*OPTIONS, "--config", file) as daemon, Stream(daemon) as stream:
        for _ in range(3):
            event = stream.event()
            assert event["used_kv_cache_bytes"] == 1656815616, event
            assert event["prefix_cache_hit_rate"] == 0.73, event
            assert event["models"] == [{"model_id": "opt-125m-tp2", "port": engine.port,
                                        "allocated_vram_bytes": 0,
                                        "used_kv_cache_bytes": 1656815616}], event


def test_head_of_the_stream():
    with Daemon(*OPTIONS) as daemon:
        with Stream(daemon) as stream:
            assert stream.status == 200
            assert stream.headers["content-type"] == "text/event-stream", stream.headers
            assert stream.headers["cache-control"] == "no-cache, no-transform"
            assert stream.headers["x-accel-buffering"] == "no"
            assert "content-length" not in stream.headers
            assert "content-encoding" not in stream.headers
            assert stream.chunked
            assert stream.event()["models"] == []
        with Stream(daemon, version="1.0") as stream:
            assert not stream.chunked and stream.headers["connection"] == "close"
            stream.event(), stream.event()


def test_first_event_at_once_then_every_half_second():
    with Daemon(*OPTIONS) as daemon:
        for _ in range(5):
            with Stream(daemon) as stream:
                stream.event()
                assert time.monotonic() - stream.started < 0.25  # 50 ms: bench/cadence
        with Stream(daemon) as stream:
            stream.event(), stream.event()
            start = time.monotonic()
            for _ in range(4):
                stream.event()
            assert 1.5 < time.monotonic() - start < 3


def test_who_connects_early_waits_for_the_first_snapshot():
    """A server that is named is asked who it is, and then for its metrics, within a second."""
    def slow(peer):
        time.sleep(0.35)
        page_answer(vllm_page())(peer)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with Engine(slow) as engine:
        process = subprocess.Popen([DAEMON, *OPTIONS, "--engine", engine.url, "--listen",
                                    f"127.0.0.1:{port}"], stderr=subprocess.DEVNULL)

        def connect():
            try:
                return socket.create_connection(("127.0.0.1", port), 5)
            except OSError:
                return None
        try:
            peer = eventually("its port", connect, every=0.005)
            peer.sendall(b"GET /vram HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: peer.recv(65536), b""))
            assert answer.startswith(b"HTTP/1.1 200 ") and b"org-model" in answer, answer
        finally:
            process.terminate()
            process.wait()


def test_curl_reads_the_stream():
    with Daemon(*OPTIONS) as daemon:
        result = subprocess.run(["curl", "-sN", "--max-time", "2", daemon.url()],
                                capture_output=True)
        assert result.returncode == 28, result  # curl's: the time was up
        assert result.stdout.count(b"data: {") >= 4, result.stdout
        assert result.stdout.endswith(b"\n\n")


def test_routes():
    with Daemon(*OPTIONS) as daemon:
        status, headers, body = daemon.get("/vram?x=1")
        assert status == 200 and headers["Content-Type"] == "application/json"
        assert list(json.loads(body)) == ["total_vram_bytes", "allocated_vram_bytes",
                                          "used_kv_cache_bytes", "prefix_cache_hit_rate",
                                          "models"]
        assert daemon.get("/healthz")[0] == 200
        assert daemon.get("/readyz")[0] == 200
        assert json.loads(daemon.get("/version")[2])["name"] == "vramscoped"
        status, headers, body = daemon.get("/")
        assert status == 200 and headers["Content-Type"].startswith("text/html"), body
        for path in ("/vram/", "/vram/streamX", "/VRAM"):
            status, _, body = daemon.get(path)
            assert status == 404 and json.loads(body)["error"]["code"] == "not-found", path
        for method in ("POST", "PUT", "DELETE"):
            status, headers, _ = daemon.get("/vram", method)
            assert status == 405 and headers["Allow"] == "GET, HEAD, OPTIONS", method
        status, headers, body = daemon.get("/vram/stream", "HEAD")
        assert status == 200 and headers["Content-Type"] == "text/event-stream"
        assert "Content-Length" not in headers and body == b""
        status, headers, body = daemon.get("/vram", "HEAD")
        assert status == 200 and int(headers["Content-Length"]) > 80 and body == b""
        assert daemon.get("/vram", "OPTIONS")[0] == 204


def test_one_connection_many_requests():
    with Daemon(*OPTIONS) as daemon:
        peer = socket.create_connection(("127.0.0.1", daemon.port), 5)
        request = b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"
        peer.sendall(request * 9 + request.replace(b"\r\n\r\n",
                                                   b"\r\nConnection: close\r\n\r\n"))
        answer = b"".join(iter(lambda: peer.recv(65536), b""))
        assert answer.count(b"HTTP/1.1 200 OK\r\n") == 10, answer


def test_bad_requests_are_refused():
    cases = {
        b"GET /vram HTTP/1.1\r\n\r\n": b"400",
        b"GET /vram HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n": b"400",
        b"GET /vram HTTP/1.1\nHost: a\n\n": b"400",
        b"GET /vram HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n": b"400",
        b"GET /vram HTTP/2.0\r\nHost: a\r\n\r\n": b"505",
        b"POST /vram HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello": b"413",
        b"POST /vram HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n": b"400",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n": b"414",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 200 + b"\r\n": b"431",
        b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"y" * 20000 + b"\r\n\r\n": b"431",
    }
    with Daemon(*OPTIONS) as daemon:
        for request, status in cases.items():
            peer = socket.create_connection(("127.0.0.1", daemon.port), 5)
            peer.sendall(request)
            answer = b"".join(iter(lambda: peer.recv(65536), b""))
            assert answer.split(b" ")[1:2] == [status], (request[:60], answer)
            assert answer.count(b"HTTP/1.1") == 1, (request[:60], answer)
        assert daemon.get("/healthz")[0] == 200


def test_a_reader_that_takes_nothing_harms_nobody():
    page = vllm_page(model="m" * 250)
    with contextlib.ExitStack() as stack:
        engines = [stack.enter_context(Engine(page_answer(page))) for _ in range(40)]
        urls = [arg for engine in engines for arg in ("--engine", engine.url)]
        with Daemon(*OPTIONS, *urls, "--interval", "100") as daemon:
            idle = []
            for _ in range(20):
                peer = socket.socket()
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                peer.connect(("127.0.0.1", daemon.port))
                peer.sendall(b"GET /vram/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
                idle.append(peer)
            with Stream(daemon) as healthy:
                eventually("all rows", lambda: len(healthy.event()["models"]) == 40)
                before = daemon.rss_bytes()
                for _ in range(60):  # of 15 KB: more than the kernel holds for the idle
                    healthy.event()
                assert daemon.rss_bytes() - before < 1 << 20
            # What an idle reader missed is left out, not queued: its next whole event is
            # at most one that waited, then the present.
            peer = idle[0]
            peer.settimeout(2)
            taken, start = b"", time.monotonic()
            while time.monotonic() - start < 1:
                taken += peer.recv(1 << 20)
            assert taken.count(b"data: ") < 40, taken.count(b"data: ")
            for peer in idle:
                peer.close()


def test_sigterm_ends_the_stream_properly():
    with Daemon(*OPTIONS) as daemon, Stream(daemon) as stream:
        stream.event()
        daemon.process.send_signal(signal.SIGTERM)
        while stream.piece():
            pass  # the last chunk has length 0: nothing was cut off
        assert daemon.process.wait(5) == 0


def test_unix_socket():
    import os
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        with Daemon(*OPTIONS, "--listen", f"unix:{path}"):
            eventually("the socket is there", lambda: os.path.exists(path))
            assert os.stat(path).st_mode & 0o777 == 0o660
            result = subprocess.run(["curl", "-s", "--unix-socket", path,
                                     "http://localhost/vram"], capture_output=True)
            assert json.loads(result.stdout)["models"] == []
        assert not os.path.exists(path)


run(test_loaded_page_gives_exact_bytes, test_head_of_the_stream,
    test_who_connects_early_waits_for_the_first_snapshot,
    test_first_event_at_once_then_every_half_second, test_curl_reads_the_stream, test_routes,
    test_one_connection_many_requests, test_bad_requests_are_refused,
    test_a_reader_that_takes_nothing_harms_nobody, test_sigterm_ends_the_stream_properly,
    test_unix_socket)
