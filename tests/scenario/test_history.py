# SPDX-License-Identifier: Apache-2.0
"""GET /v1/history: from memory and from disk, what the stream said; and a disk in trouble."""
import csv
import email.utils
import gzip
import io
import math
import random
import resource
import sqlite3

from harness import *
from standstill import intervals, wall_intervals

ROUTE = "/v1/history"
OPTIONS = ("--gpu", "none", "--no-discover", "--interval", "100")
MODELS = 6
BLOCK = 1000003  # bytes
COLUMNS = ["unix_ms", "count"] + [
    f"{name}_{part}" for name in ("allocated_vram_bytes", "used_kv_cache_bytes",
                                  "kv_pool_bytes", "prefix_cache_hit_rate",
                                  "num_requests_running", "num_requests_waiting")
    for part in ("avg", "min", "max")] + ["preemptions"]
SAMPLE = ("allocated_vram_bytes", "used_kv_cache_bytes", "kv_pool_bytes",
          "prefix_cache_hit_percent", "num_requests_running", "num_requests_waiting")
AT = {name: i for i, name in enumerate(COLUMNS)}


class Walking:
    """Servers whose figures go up and down, each in its own way."""

    def __init__(self, number):
        self.dice = random.Random(number)
        self.name = f"org/model-{number}"
        self.asked = self.preemptions = 0

    def page(self):
        self.asked += 1
        self.preemptions += self.dice.random() < 0.1
        page = vllm_page(model=self.name, usage=self.dice.random(), blocks=10001,
                         queries=1000 * self.asked, hits=self.dice.randrange(500 * self.asked))
        labels = f'engine="0",model_name="{self.name}"'
        return page + f"vllm:num_preemptions_total{{{labels}}} {self.preemptions}.0\n"


@contextlib.contextmanager
def engines(n=MODELS):
    """A config file that names them; they are asked as often as may be."""
    with contextlib.ExitStack() as stack:
        text = "engines:\n"
        for i in range(n):
            engine = stack.enter_context(Engine(page_answer(Walking(i).page)))
            text += (f"  - url: {engine.url}\n    kv_bytes_per_block: {BLOCK}\n    gpus: 1\n")
        yield stack.enter_context(config(text))


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory() as path:
        yield pathlib.Path(path)


def ask(daemon, query="", headers={}):
    status, answered, body = daemon.get(ROUTE + query, headers=headers)
    assert status == 200, (status, body)
    assert answered["Cache-Control"] == "no-store", answered
    return answered, body


def ask_json(daemon, query):
    headers, body = ask(daemon, query)
    assert headers["Content-Type"] == "application/json", headers
    document = json.loads(body)
    assert document["columns"] == COLUMNS, document["columns"]
    return document


def series_of(document):
    return {series["model"]: series["points"] for series in document["series"]}


def to_ms(text):
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text), text
    seconds = email.utils.parsedate_to_datetime(
        time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))
    return int(seconds.timestamp()) * 1000 + int(text[20:23])


def ask_csv(daemon, query, headers={}):
    """The same as series_of() gives of JSON."""
    answered, body = ask(daemon, query, headers)
    assert answered["Content-Type"].startswith("text/csv"), answered
    rows = csv.reader(io.StringIO(body.decode(), newline=""))
    head = next(rows)
    assert head == ["time", "model", "model_id", "port"] + COLUMNS[1:], head
    found = {}
    for row in rows:
        assert len(row) == len(head), row
        point = [to_ms(row[0])] + [None if cell == "" else float(cell) for cell in row[4:]]
        found.setdefault(row[1] or None, []).append(point)
    return found


def rows_on_disk(path, since_ms=0):
    """What anybody reads there: model to unix_ms to its figures."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        found = {}
        for row in db.execute(
                f"SELECT model, unix_ms, {', '.join(SAMPLE)} FROM samples WHERE unix_ms >= ?"
                " ORDER BY unix_ms", (since_ms,)):
            found.setdefault(row[0], {})[row[1]] = row[2:]
        return found


def same(a, b):
    return a is None and b is None or (a is not None and b is not None and
                                       math.isclose(a, b, rel_tol=1e-6, abs_tol=0.51))


def same_points(a, b):
    assert len(a) == len(b), (len(a), len(b))
    for one, other in zip(a, b):
        assert all(map(same, one, other)), (one, other)


def follow(daemon, seconds):
    """What the stream says: for each time, the host's and the models' figures."""
    said = {}
    with Stream(daemon, "/v1/detail/stream") as stream:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            for line in stream.piece().split(b"\n"):
                if not line.startswith(b"data: {\"schema"):
                    continue
                document = json.loads(line[len(b"data: "):])
                said[document["unix_ms"]] = {
                    model["model"] if "model" in model else model["served_name"]:
                    (model["kv_cache"]["used_bytes"] or {}).get("value")
                    if model["kv_cache"] else None
                    for model in document["models"]}
    return said


def test_answers():
    with folder() as home, engines() as file, \
            Daemon(*OPTIONS, "--config", file, "--history", home / "history.db") as daemon:
        time.sleep(2)
        said = follow(daemon, 16)
        started_ms = min(said) - 5000
        whole = f"?from={started_ms / 1000:.3f}&to={max(said) / 1000:.3f}"
        over = f"?from={started_ms / 1000:.3f}&to={max(said) // 10000 * 10}"  # whole buckets

        # Every moment, from memory where that reaches back, else from disk: all are there.
        memory = series_of(ask_json(daemon, "?from=-12s&step=0"))
        disk = series_of(ask_json(daemon, whole + "&step=0"))
        names = [None] + [f"org/model-{i}" for i in range(MODELS)]
        assert set(memory) == set(disk) == set(names), (list(memory), list(disk))
        assert sum(map(len, disk.values())) > 900, {k: len(v) for k, v in disk.items()}
        for name in names:
            times = {point[0]: point for point in disk[name]}
            shared = [point for point in memory[name] if point[0] in times]
            assert len(shared) > 80, (name, len(shared))
            same_points(shared, [times[point[0]] for point in shared])

        # What the stream said.
        for unix_ms, models in said.items():
            if unix_ms >= max(said):
                continue
            for name, used in models.items():
                point = {p[0]: p for p in disk[name]}.get(unix_ms)
                assert point, f"{name} at {unix_ms} is missing"
                assert point[AT["count"]] == 1
                assert same(point[AT["used_kv_cache_bytes_avg"]], used), (point, used)

        # What is in the file, which is read while the daemon writes it.
        rows = rows_on_disk(home / "history.db")
        for name in names:
            for point in disk[name]:
                figures = rows[name][point[0]]
                wanted = [point[AT[f"{column.replace('percent', 'rate')}_avg"]]
                          for column in SAMPLE]
                assert all(map(same, figures, wanted)), (figures, wanted)
        words = subprocess.run(["sqlite3", "-readonly", home / "history.db",
                                "SELECT count(*) > 900 FROM sample; PRAGMA integrity_check"],
                               capture_output=True, text=True, check=True).stdout.split()
        assert words == ["1", "ok"], words

        # CSV says the same, asked for in either way.
        for query in (whole + "&step=0", over + "&step=2s", over + "&step=10s&model=org-model-1"):
            document = ask_json(daemon, query)
            found = ask_csv(daemon, query + "&format=csv")
            again = ask_csv(daemon, query, {"Accept": "text/csv, */*;q=0.1"})
            not_at_all, _ = ask(daemon, query, {"Accept": "text/csv;q=0"})
            assert not_at_all["Content-Type"] == "application/json", not_at_all
            assert found == again and set(found) == set(series_of(document)), query
            for name, points in series_of(document).items():
                same_points(points, found[name])
            if "model=" in query:
                assert list(found) == ["org/model-1"], list(found)

        # Buckets are what their samples say.
        buckets = series_of(ask_json(daemon, whole + "&step=1s"))
        for name in names:
            for bucket in buckets[name]:
                inside = [p for p in disk[name] if p[0] // 1000 == bucket[0] // 1000]
                if bucket[0] + 1000 > max(said) or bucket[0] < started_ms:
                    continue
                assert bucket[AT["count"]] == len(inside), (bucket, len(inside))
                used = [p[AT["used_kv_cache_bytes_avg"]] for p in inside]
                used = [value for value in used if value is not None]
                wanted = [sum(used) / len(used), min(used), max(used)] if used else [None] * 3
                got = bucket[AT["used_kv_cache_bytes_avg"]:][:3]
                assert all(map(same, got, wanted)), (got, wanted)
        # To now, though the last seconds are not on disk yet when it is asked.
        newest = series_of(ask_json(daemon, "?from=-1h&step=1s"))[None][-1][0]
        assert time.time() * 1000 - newest < 2500, newest


def test_what_is_refused():
    with engines(1) as file, Daemon(*OPTIONS, "--config", file) as daemon:
        for query, name in (("?from=yesterday", "from"), ("?to=1e3", "to"),
                            ("?from=-1h&to=-2h", "from"), ("?step=5x", "step"),
                            ("?from=-6h&step=1s", "step"), ("?model=%zz", "model"),
                            ("?format=xml", "format"), ("?from=-1h&from=-2h", "from"),
                            ("?step", "step")):
            status, _, body = daemon.get(ROUTE + query)
            error = json.loads(body)["error"]
            assert status == 400 and error["code"] == "bad-parameter", (query, body)
            assert f'"{name}"' in error["message"], (query, error)
        assert "step=2s" in json.loads(daemon.get(ROUTE + "?from=-6h&step=1s")[2])[
            "error"]["message"]
        status, headers, body = daemon.get(ROUTE + "?format=csv", "HEAD")
        assert status == 200 and body == b"" and headers["Content-Type"].startswith("text/csv")
        assert daemon.get(ROUTE + "?step=5x", "HEAD")[0] == 400
        assert daemon.get(ROUTE, "POST")[0] == 405
        # In memory alone: there is no file, and nothing of an hour ago.
        document = ask_json(daemon, "?from=-1h&step=10s")
        assert len(series_of(document)[None]) <= 3 and document["series"][0]["port"] is None
        assert ask_json(daemon, "?model=nobody")["series"] == []
        with Stream(daemon, ROUTE + "?from=-1h&format=csv", "1.0") as stream:
            assert not stream.chunked and stream.raw.read().count(b"\r\n") > 1


def fill(path, hours, models, step_ms=500):
    """Samples of hours before now, as a daemon before this one would have left them."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.executemany("INSERT INTO series(id, model, model_id, port) VALUES(?, ?, ?, ?)",
                       ((100 + i, f"old-{i}", f"old-{i}", 7000 + i)
                        for i in range(1, models + 1)))
        for i in [0, *range(101, 101 + models)]:
            db.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                f"INSERT OR IGNORE INTO sample(series, unix_ms, {', '.join(SAMPLE)}) "
                "SELECT ?, ? - i * ?, 1000000000000 + i, i, 100000000000, i % 100, i % 7, i % 3 "
                "FROM n", (int(hours * 3600000 / step_ms), i, int(time.time() * 1000) - 60000,
                           step_ms))


class Reader:
    """One who asks for much and reads nothing until told to."""

    def __init__(self, daemon, query, address="127.0.0.1"):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(40)
        self.socket.bind((address, 0))
        self.socket.connect(("127.0.0.1", daemon.port))
        self.socket.sendall(f"GET {ROUTE}{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.head = b""
        while b"\r\n\r\n" not in self.head:
            self.head += self.socket.recv(1)

    def rest(self):
        """The body's end, as far as it comes."""
        last = b""
        with contextlib.suppress(OSError):
            while True:
                data = self.socket.recv(1 << 16)
                if not data:
                    break
                last = (last + data)[-64:]
        return last

    def close(self):
        self.socket.close()


def with_past(home, hours=1.4, models=30):
    path = home / "history.db"
    with Daemon(*OPTIONS, "--history", path):
        pass
    fill(path, hours, models)
    return path


def test_many_readers():
    """Eight answers at a time, six of one address; who does not read loses his."""
    with folder() as home:
        path = with_past(home)
        with Daemon("--gpu", "none", "--no-discover", "--history", path, "--stall-timeout",
                    3000) as daemon:
            query = "?from=-5000s&to=-70s&step=0"
            rss = daemon.rss_bytes()
            readers = [Reader(daemon, query) for _ in range(6)]
            late = Reader(daemon, query)
            assert b" 503 " in late.head and b"Retry-After" in late.head, late.head
            assert b"as one address may have" in late.socket.recv(1 << 16)
            readers += [Reader(daemon, query, "127.0.0.2") for _ in range(2)]
            assert all(b" 200 " in reader.head for reader in readers)
            late = Reader(daemon, query, "127.0.0.3")
            assert b" 503 " in late.head and b"Retry-After" in late.head, late.head
            assert daemon.rss_bytes() - rss < 8 << 20, daemon.rss_bytes() - rss
            readers[0].close()  # who leaves makes room
            eventually("there is room", lambda: daemon.get(ROUTE + "?from=-1m")[0] == 200)
            assert readers[1].rest().endswith(b"]}\n\r\n0\r\n\r\n")  # who reads gets it all
            time.sleep(5)
            for reader in readers[2:]:
                assert not reader.rest().endswith(b"0\r\n\r\n")
                reader.close()
            limited = json.loads(daemon.get("/v1/detail")[2])["self"]["limited"]
            assert limited["stall_time"] == 6 and limited["history"] >= 2, limited
            begin = time.monotonic()
            document = ask_json(daemon, query)
            assert sum(len(s["points"]) for s in document["series"]) > 250000
            print(f"  {31 * 9860} points in {time.monotonic() - begin:.1f} s")


def test_a_slow_reader():
    """Who takes a little all the time loses the answer after 30 seconds."""
    with folder() as home:
        path = with_past(home)
        with Daemon("--gpu", "none", "--no-discover", "--history", path) as daemon, \
                socket.create_connection(("127.0.0.1", daemon.port)) as reader:
            def limited():
                return json.loads(daemon.get("/v1/detail")[2])["self"]["limited"]
            reader.sendall(f"GET {ROUTE}?from=-5000s&to=-70s&step=0 HTTP/1.1\r\n"
                           "Host: localhost\r\n\r\n".encode())
            begin = time.monotonic()
            while reader.recv(1 << 14) and limited()["history_time"] == 0:
                time.sleep(0.1)
            # A document is as old as the last tick.
            eventually("it is counted", lambda: limited()["history_time"] == 1)
            assert 29 < time.monotonic() - begin < 35, time.monotonic() - begin
            assert limited()["stall_time"] == 0, limited()
            assert "broken off" not in daemon.log(), daemon.log()  # it is the reader's doing


def test_the_end_with_readers():
    for threads in (0, 2):
        with folder() as home:
            path = with_past(home, 1, 10)
            with Daemon("--gpu", "none", "--no-discover", "--history", path,
                        "--fanout-threads", threads) as daemon:
                readers = [Reader(daemon, "?from=-3000s&step=0", f"127.0.0.{1 + i % 2}")
                           for i in range(8)]
                daemon.process.send_signal(signal.SIGTERM)
                assert daemon.process.wait(6) == 0
            for reader in readers:
                reader.close()


def integrity(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute("PRAGMA integrity_check").fetchall()


def test_killed():
    """What was committed is there; ids of events go on."""
    with folder() as home, engines(2) as file:
        path, ids, newest = home / "history.db", 0, 0
        for _ in range(4):
            with Daemon(*OPTIONS, "--config", file, "--history", path) as daemon:
                events = json.loads(daemon.get("/v1/events")[2])["events"]
                assert [e["id"] for e in events] == sorted({e["id"] for e in events})
                assert events[-1]["id"] > ids and events[0]["id"] <= max(ids, 1), events
                assert daemon.log().count("daemon_started") == 1, daemon.log()
                ids = events[-1]["id"]
                time.sleep(random.uniform(5.5, 7))
                daemon.process.kill()
                killed_ms = time.time() * 1000
                daemon.process.wait()
            assert integrity(path) == [("ok",)]
            rows = rows_on_disk(path)[None]
            assert max(rows) > newest and killed_ms - max(rows) < 7000, killed_ms - max(rows)
            newest = max(rows)


class Beat(threading.Thread):
    """How far apart events come, while something else goes on."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.stream = Stream(daemon)
        self.times, self.on = [], True
        self.start()

    def run(self):
        while self.on and self.stream.piece():
            self.times.append(time.monotonic())

    def steady(self):
        self.on = False
        self.join(2)
        self.stream.socket.close()
        gaps = sorted(intervals(self.times))
        assert len(gaps) > 20, len(gaps)
        assert gaps[len(gaps) * 9 // 10] < 0.13, gaps[-10:]
        assert gaps[-1] < 0.35, gaps[-10:]


def none_is_missing(times_ms):
    gaps = wall_intervals([ms / 1000 for ms in sorted(times_ms)])
    assert max(gaps) < 0.4, f"moments are missing: {sorted(gaps)[-10:]}"


def errors(daemon):
    return json.loads(daemon.get("/v1/detail")[2])["self"]["history_errors"]


def troubled(daemon):
    return daemon.log().count("history is kept in memory alone for now")


def test_no_room():
    """Live goes on, one message, a counter; with room again nothing is missing."""
    with folder() as home, engines(2) as file, \
            Daemon(*OPTIONS, "--config", file, "--history", home / "history.db") as daemon:
        path = home / "history.db"
        eventually("rows", lambda: len(rows_on_disk(path).get(None, {})) > 20, 15)
        assert errors(daemon) == 0
        beat = Beat(daemon)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE,
                         (4096, resource.RLIM_INFINITY))
        eventually("an error", lambda: errors(daemon) >= 2, 30)
        assert troubled(daemon) == 1, daemon.log()
        beat.steady()
        assert len(series_of(ask_json(daemon, "?from=-5s&step=0"))[None]) > 40
        assert ask(daemon, "?from=-1h")[1]
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE,
                         (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        eventually("again", lambda: "history is kept on disk again" in daemon.log(), 30)
        none_is_missing(rows_on_disk(path)[None])


def test_another_file():
    """What is damaged is put aside, what is not ours is left as it is."""
    with folder() as home, engines(2) as file, \
            Daemon(*OPTIONS, "--config", file, "--history", home / "history.db") as daemon:
        path = home / "history.db"
        eventually("rows", lambda: len(rows_on_disk(path).get(None, {})) > 20, 15)
        beat = Beat(daemon)
        damaged = bytearray(path.read_bytes())
        damaged[4096:] = bytes(random.Random(1).randrange(256) for _ in damaged[4096:])
        (home / "new").write_bytes(damaged)
        os.truncate(f"{path}-wal", 0)  # which has whole pages in place of the damaged ones
        os.rename(home / "new", path)
        eventually("seen", lambda: troubled(daemon) == 1, 10)
        assert "it is another file now, or gone" in daemon.log(), daemon.log()
        eventually("put aside", lambda: (home / "history.db.damaged").exists(), 20)
        eventually("again", lambda: "history is kept on disk again" in daemon.log(), 10)
        assert integrity(path) == [("ok",)]
        none_is_missing(rows_on_disk(path)[None])

        (home / "new").write_text("somebody's letter\n" * 1000)
        os.rename(home / "new", path)
        eventually("seen", lambda: errors(daemon) >= 3, 25)
        assert "is not a history of this program" in daemon.log(), daemon.log()
        assert path.read_text().startswith("somebody's letter")
        os.unlink(path)
        eventually("again", lambda: daemon.log().count("on disk again") == 2, 25)
        beat.steady()


def test_read_only():
    """A file system that takes nothing, and one that is full."""
    if os.geteuid() != 0 or "ALONE" not in os.environ:
        raise Skip("needs root and a mount namespace")
    with folder() as home, engines(2) as file:
        def mount(*options):
            return subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", home],
                                  check=False).returncode == 0
        if not mount("-o", "size=200k"):
            raise Skip("nothing can be mounted")
        try:
            with Daemon(*OPTIONS, "--config", file, "--history", home / "history.db") as daemon:
                beat = Beat(daemon)
                eventually("full", lambda: troubled(daemon) == 1, 40)
                beat.steady()
                assert re.search("No space left|full", daemon.log()), daemon.log()
            subprocess.run(["mount", "-o", "remount,ro", home], check=True)
            with Daemon(*OPTIONS, "--config", file, "--history", home / "history.db") as daemon:
                beat = Beat(daemon)
                assert troubled(daemon) == 1, daemon.log()
                assert len(series_of(ask_json(daemon, "?from=-1h"))[None]) >= 0
                eventually("an error more", lambda: errors(daemon) >= 2, 10)
                beat.steady()
                assert troubled(daemon) == 1, daemon.log()
        finally:
            subprocess.run(["umount", home], check=False)


def record_a_loss(ends_with_it):
    with folder() as home, FakeDriver() as driver:
        port = free_port()
        with serve("org/model", port, driver) as server, Daemon(
                "--gpu", "sim", "--sim-dir", driver.path, "--interval", 100, "--history",
                home / "history.db") as daemon:
            eventually("figures", lambda: f"127.0.0.1:{port} ready" in daemon.log())
            time.sleep(3)
            server.end()
            eventually("it is lost", lambda: "engine_lost" in daemon.log(), 20)
            recordings = (home / "flight").glob
            if ends_with_it:
                daemon.process.terminate()
                assert daemon.process.wait(6) == 0
            (path,) = eventually("a recording", lambda: list(
                recordings("flight-*.ndjson.gz")), 1 if ends_with_it else 30)
            eventually("the log tells", lambda: str(path) in daemon.log(), 5)
        lines = [json.loads(line) for line in gzip.open(path)]
        kinds = [event["kind"] for line in lines if "detail" in line
                 for event in line["detail"]["events"]]
        assert "engine_lost" in kinds, set(kinds)
        assert len(lines) > (30 if ends_with_it else 100), len(lines)
        assert lines[1]["detail"]["models"] and lines[0]["vramscope_recording"] == 1


def test_recorded():
    """An engine is lost: the seconds before and after it can be replayed."""
    record_a_loss(False)


def test_recorded_at_the_end():
    """So can those before, where the daemon is told to end with the engine."""
    record_a_loss(True)


def test_where_it_is_kept():
    def refused(*arguments):
        result = subprocess.run([DAEMON, "--listen", "127.0.0.1:0", *OPTIONS, *arguments],
                                capture_output=True, text=True, timeout=10, check=False)
        return result.returncode, result.stderr
    with folder() as home:
        for check in ([], ["--check-config"]):
            code, words = refused("--history", str(home / "none/history.db"), *check)
            assert code and "there is no folder" in words, words
            code, words = refused("--history", str(home), *check)
            assert code and f"such as {home}/history.db" in words, words
        state = {"STATE_DIRECTORY": f"{home}:/elsewhere"}
        with Daemon(*OPTIONS, env=state) as daemon:
            eventually("by the service manager", lambda: (home / "history.db").exists())
            assert errors(daemon) == 0
            assert f"history is kept in {home}/history.db" in daemon.log()
        os.unlink(home / "history.db")
        for off in (["--history", "off"], ["--demo"]):
            options = [] if "--demo" in off else OPTIONS
            with Daemon(*options, *off, env=state) as daemon:
                eventually("figures", daemon.vram)
                assert not (home / "history.db").exists() and errors(daemon) is None
                assert "history is kept in memory alone" in daemon.log()


alone()
run(test_many_readers, at_once=(
    test_answers, test_what_is_refused, test_the_end_with_readers, test_killed, test_no_room,
    test_another_file, test_read_only, test_recorded, test_recorded_at_the_end,
    test_where_it_is_kept, test_a_slow_reader))
