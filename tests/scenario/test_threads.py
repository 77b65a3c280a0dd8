# SPDX-License-Identifier: Apache-2.0
"""Clients served by several threads: the same events, and one set of limits."""
import collections
import time

from harness import *

BARE = ("--gpu", "none", "--no-discover", "--interval", "100")


def own_figures(daemon):
    return json.loads(daemon.get("/v1/detail")[2])["self"]


def threads(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/task"))


def close(stream):
    stream.raw.close()
    stream.socket.close()


def identity(piece):
    return re.match(rb"id: ([0-9a-f]+)-(\d+)\n", piece).groups()


def test_every_thread_sends_the_same():
    with Daemon(*BARE) as one, Daemon(*BARE, "--fanout-threads", 4) as daemon:
        assert threads(daemon) >= threads(one) + 4, (threads(daemon), threads(one))
        streams = [Stream(daemon) for _ in range(30)]
        details = [Stream(daemon, "/v1/detail/stream") for _ in range(30)]
        seen = [[identity(stream.piece()) for _ in range(8)] for stream in details]
        for row in seen:
            first = int(row[0][1])
            assert [int(n) for _, n in row] == list(range(first, first + 8)), row
            assert {boot for boot, _ in row} == {seen[0][0][0]}
        for stream in streams:
            for _ in range(8):
                stream.event()
        figures = own_figures(daemon)
        assert figures["subscribers"] == 60 and figures["frames_skipped"] == 0, figures
        for stream in streams + details:
            close(stream)
        eventually("all have left", lambda: own_figures(daemon)["subscribers"] == 0)


def test_the_past_is_the_same_on_every_thread():
    with Daemon(*BARE, "--fanout-threads", 4) as daemon, Stream(daemon) as stream:
        def ask(counts):
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                answer = json.loads(daemon.get("/vram/aggregated?window=60")[2])
                assert answer["allocated_vram_bytes"]["count"] == answer["sample_count"], answer
                counts.append(answer["sample_count"])
        series = [[] for _ in range(6)]
        askers = [threading.Thread(target=ask, args=(counts,)) for counts in series]
        for asker in askers:
            asker.start()
        for _ in range(10):
            stream.event()
        for asker in askers:
            asker.join()
        for counts in series:  # whoever answered, nothing that was published is missing
            assert len(counts) > 5 and counts == sorted(counts), counts
        late = []
        ask(late)
        assert min(late) >= 10 and late == sorted(late), late


def test_metrics_are_the_same_on_every_thread():
    stamp = re.compile(r"^vramscope_last_sample_timestamp_seconds (\S+)$", re.M)
    with Daemon(*BARE, "--fanout-threads", 4) as daemon:
        def ask(pages):
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                known = json.loads(daemon.get("/v1/detail")[2])["unix_ms"] / 1000
                for accept in ("text/plain", "application/openmetrics-text"):
                    text = daemon.get("/metrics", headers={"Accept": accept})[2].decode()
                    pages.append((float(stamp.search(text)[1]), accept, text, known))
        series = [[] for _ in range(6)]
        askers = [threading.Thread(target=ask, args=(pages,)) for pages in series]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
    seen = {}
    for pages in series:  # whoever answered, nobody is sent back in time
        stamps = [when for when, *_ in pages]
        assert len(set(stamps)) > 5 and stamps == sorted(stamps), stamps
        for when, accept, text, known in pages:
            assert seen.setdefault((when, accept), text) == text
            assert when >= known, (when, known)


def test_coming_back_to_whatever_thread():
    with Daemon(*BARE, "--fanout-threads", 3) as daemon:
        with Stream(daemon, "/v1/detail/stream") as stream:
            boot, first = identity(stream.piece())
            for _ in range(6):
                boot, last = identity(stream.piece())
        # Each thread keeps what was sent, whoever it was sent to.
        for _ in range(12):
            sock = socket.create_connection(("127.0.0.1", daemon.port), 5)
            sock.sendall(b"GET /v1/detail/stream HTTP/1.0\r\nHost: localhost\r\n"
                         b"Last-Event-ID: %s-%s\r\n\r\n" % (boot, first))
            raw = sock.makefile("rb")
            while raw.readline() != b"\r\n":
                pass
            numbers = []
            while len(numbers) < 6:
                line = raw.readline()
                if line.startswith(b"id: "):
                    numbers.append(int(line.rsplit(b"-", 1)[1]))
            raw.close()
            sock.close()
            assert numbers == list(range(int(first) + 1, int(first) + 7)), (first, numbers)


def test_limits_hold_over_all_threads():
    with Daemon(*BARE, "--fanout-threads", 4, "--max-clients", 20, "--max-clients-per-ip", 16,
                "--max-streams", 10) as daemon:
        streams = [Stream(daemon) for _ in range(15)]
        statuses = collections.Counter(stream.status for stream in streams)
        assert statuses == {200: 10, 503: 5}, statuses
        for stream in streams:
            close(stream)
        eventually("all have left", lambda: own_figures(daemon)["subscribers"] == 0)
        idle = [socket.create_connection(("127.0.0.1", daemon.port), 5) for _ in range(18)]
        refused = 0
        for peer in idle:
            peer.settimeout(0.1)
            with contextlib.suppress(TimeoutError):
                refused += peer.recv(100).startswith(b"HTTP/1.1 503 ")
        assert refused == 2, refused
        for peer in idle:
            peer.close()
        eventually("they are counted", lambda: daemon.get("/version")[0] == 200)
        limited = own_figures(daemon)["limited"]
        assert limited["streams"] == 5 and limited["per_ip"] >= 2, limited


def test_clients_come_and_go_while_events_are_sent():
    """For the race detector more than for what is asserted."""
    with Daemon(*BARE, "--fanout-threads", 4) as daemon:
        end = time.monotonic() + 4
        with Stream(daemon) as healthy:
            while time.monotonic() < end:
                batch = [Stream(daemon, path) for path in ("/vram/stream",
                                                           "/v1/detail/stream") * 8]
                assert all(stream.status == 200 for stream in batch)
                assert all(daemon.get(path)[0] == 200
                           for path in ("/vram", "/v1/detail", "/healthz", "/version"))
                healthy.event()
                for stream in batch:
                    close(stream)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.get("/healthz")
    assert daemon.process.returncode == 0, daemon.log()


def test_sigterm_ends_streams_of_every_thread():
    with Daemon(*BARE, "--fanout-threads", 3) as daemon:
        streams = [Stream(daemon, version=version) for version in ("1.1", "1.0") * 10]
        for stream in streams:
            stream.event()
        daemon.process.send_signal(signal.SIGTERM)
        for stream in streams:
            while stream.piece():
                pass
        assert daemon.process.wait(5) == 0


def test_nobody_else_takes_the_address():
    """Its own threads share it; another daemon of the same user may not."""
    with Daemon(*BARE, "--fanout-threads", 2) as daemon:
        other = subprocess.run(
            [DAEMON, "--listen", f"127.0.0.1:{daemon.port}", *BARE, "--fanout-threads", "2"],
            stderr=subprocess.PIPE, timeout=10)
        assert other.returncode == 1, other
        assert b"Address already in use" in other.stderr, other.stderr


def test_sigterm_before_the_first_snapshot():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with Daemon(*BARE, "--fanout-threads", 2, "--engine",
                    f"http://127.0.0.1:{silent.getsockname()[1]}", wait=False) as daemon:
            time.sleep(0.4)
            daemon.process.send_signal(signal.SIGTERM)
            since = time.monotonic()
            assert daemon.process.wait(5) == 0
            assert time.monotonic() - since < 1.5


def test_a_unix_socket_is_served_by_all():
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        with Daemon(*BARE, "--fanout-threads", 2, "--listen", f"unix:{path}") as daemon:
            for _ in range(10):
                with socket.socket(socket.AF_UNIX) as peer:
                    peer.settimeout(5)
                    peer.connect(path)
                    peer.sendall(b"GET /version HTTP/1.0\r\n\r\n")
                    assert peer.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
        assert not os.path.exists(path)


run(test_every_thread_sends_the_same, test_the_past_is_the_same_on_every_thread,
    test_metrics_are_the_same_on_every_thread, test_coming_back_to_whatever_thread,
    test_limits_hold_over_all_threads, test_clients_come_and_go_while_events_are_sent,
    test_sigterm_ends_streams_of_every_thread, test_nobody_else_takes_the_address,
    test_sigterm_before_the_first_snapshot, test_a_unix_socket_is_served_by_all)
