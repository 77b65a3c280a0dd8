# SPDX-License-Identifier: Apache-2.0
"""vramscope record and vramscope replay: what a daemon sent is sent again, byte for byte."""
import contextlib
import gzip
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
import time

from harness import (Daemon, Engine, Stream, alone, eventually, free_port, page_answer, run,
                     vllm_page)

PROGRAM = os.environ.get("VRAMSCOPE", "build/release/src/vramscope")
DETAIL = "/v1/detail/stream"
DOCUMENT = re.compile(rb"id: ([0-9a-f]{16}-\d+)\nretry: 2000\ndata: (\{[^\n]*\})\n\n")
BYE = b"retry: 2000\nevent: bye\ndata: {}\n\n"
HEAD = '{"vramscope_recording":1,"version":"0.1.0","url":"http://h:1","unix_ms":1}\n'
BOOTS = ("00000000000000aa", "00000000000000bb")


def vramscope(*arguments, **options):
    return subprocess.Popen([PROGRAM, *map(str, arguments)], stderr=subprocess.PIPE,
                            stdin=subprocess.DEVNULL, text=True, **options)


def finish(process, status=0, seconds=15):
    """What it said on stderr."""
    try:
        _, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"still running after {seconds} s: {process.args}")
    assert process.returncode == status, (process.returncode, said)
    return said


def once(path, status=0):
    process = vramscope("replay", path, "--once", stdout=subprocess.PIPE)
    out, said = process.communicate(timeout=15)
    assert process.returncode == status, (process.returncode, out, said)
    return out, said


class Replay:
    """vramscope replay FILE --listen ..., in the place of a daemon."""

    def __init__(self, path, *arguments, listen="127.0.0.1:0"):
        self.log_file = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [PROGRAM, "replay", str(path), "--listen", listen, *map(str, arguments)],
            stderr=self.log_file, stdin=subprocess.DEVNULL)
        self.url = eventually("the replay listens", self._listening, 10)
        port = re.search(r":(\d+)$", self.url)
        self.port = port and int(port[1])

    def _listening(self):
        match = re.search(r"listening on (\S+)", self.log())
        if not match and self.process.poll() is not None:
            raise AssertionError(f"ended with {self.process.returncode}: {self.log()}")
        return match and match[1]

    def log(self):
        return os.pread(self.log_file.fileno(), 1 << 20, 0).decode()

    get = Daemon.get

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("did not end within 5 s of SIGTERM")
        assert status == 0, (status, self.log())


class Reader(threading.Thread):
    """All pieces of a stream until its end, with their times."""

    def __init__(self, server, path):
        super().__init__(daemon=True)
        self.stream = Stream(server, path)
        assert self.stream.status == 200, (path, self.stream.status)
        self.pieces, self.times = [], []
        self.start()

    def run(self):
        with contextlib.suppress(OSError, ValueError):
            while True:
                piece = self.stream.piece()
                if not piece:
                    return
                self.pieces.append(piece)
                self.times.append(time.monotonic())


def read_to_end(replay, seconds=20):
    """Both streams: (seed, detail)."""
    readers = [Reader(replay, "/vram/stream"), Reader(replay, DETAIL)]
    for reader in readers:
        reader.join(seconds)
        assert not reader.is_alive(), "the stream goes on"
    return readers


def entries_of(path):
    data = pathlib.Path(path).read_bytes()
    lines = data.decode().splitlines()
    assert json.loads(lines[0])["vramscope_recording"] == 1
    return [json.loads(line) for line in lines[1:]]


def document(seq, boot=BOOTS[0], used=None, extra=""):
    """As little of a document as there may be, written as the daemon never would."""
    return (f'{{"schema":1 , "boot":"{boot}","seq":{seq},"interval_ms":500,'
            f'"vram":{{"total_bytes":{{"value":1000,"from":"measured"}},'
            f'"allocated_bytes":{{"value":null,"from":"unknown"}}}},'
            f'"kv_cache":{{"used_bytes":{seq if used is None else used}}},'
            f'"prefix_cache":{{"hit_percent":12.30}},"models":[{extra}]}}')


def entry(ms, seq, boot=BOOTS[0], **options):
    return f'{{"unix_ms":{ms},"id":"{boot}-{seq}","detail":{document(seq, boot, **options)}}}\n'


@contextlib.contextmanager
def recording(text):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "recording.jsonl")
        pathlib.Path(path).write_bytes(text if isinstance(text, bytes) else text.encode())
        yield path


# A daemon whose figures move, recorded three times at once while we read it, too.

def check_whole(path, live_seed, live_detail):
    recorded = entries_of(path)
    assert all("detail" in e for e in recorded), recorded
    assert len(recorded) >= 10, len(recorded)
    sent = {DOCUMENT.fullmatch(p)[1].decode(): p for p in live_detail.pieces}
    with Replay(path) as replay:
        started = time.monotonic()
        seed, detail = read_to_end(replay)
    assert detail.pieces.pop() == BYE
    ids = [e["id"] for e in recorded]
    got = [DOCUMENT.fullmatch(p)[1].decode() for p in detail.pieces]
    assert got == ids[-len(got):] and len(got) >= len(ids) - 1, (got, ids)
    for name, piece in zip(got, detail.pieces):
        assert piece == sent[name], (piece, sent[name])

    n = len(seed.pieces)
    assert n >= len(ids) - 1, (n, ids)
    # Two events that follow each other may be equal: any place will do.
    live = live_seed.pieces
    assert any(live[begin:begin + n] == seed.pieces for begin in range(len(live) - n + 1)), \
        ("not what the daemon sent", seed.pieces, live)
    assert len(set(seed.pieces)) > n // 2, "the figures do not move"
    for one, other in zip(reversed(seed.pieces), reversed(detail.pieces)):
        figures = json.loads(one[len(b"data: "):])
        facts = json.loads(DOCUMENT.fullmatch(other)[2])
        assert figures["used_kv_cache_bytes"] == facts["kv_cache"]["used_bytes"]
    return recorded, detail.times, started


def check_pace(recorded, times, started, speed):
    took = times[-1] - started
    recorded_s = (recorded[-1]["unix_ms"] - recorded[0]["unix_ms"]) / 1000 / speed
    assert recorded_s - 0.1 <= took <= recorded_s + 2, (took, recorded_s)


def check_killed(path, live_detail):
    """Killed after six seconds: what was flushed after five is there, whole."""
    out, said = once(path)
    assert "org/hidden" in out and said == "", (out, said)
    with Replay(path, "--speed", 10) as replay:
        started = time.monotonic()
        _, detail = read_to_end(replay)
        assert time.monotonic() - started < 3, "not ten times as fast"
    assert detail.pieces.pop() == BYE
    ids = [DOCUMENT.fullmatch(p)[1] for p in detail.pieces]
    live = [DOCUMENT.fullmatch(p)[1] for p in live_detail.pieces]
    assert len(ids) >= 9, ids
    assert ids == live[live.index(ids[0]):][:len(ids)], (ids, live)
    assert set(detail.pieces) <= set(live_detail.pieces)


def test_what_was_sent_is_sent_again():
    with tempfile.TemporaryDirectory() as folder, \
            Engine(page_answer(vllm_page("org/hidden"))) as engine, \
            Daemon("--demo", "--engine", engine.url,
                   env={"XDG_RUNTIME_DIR": folder}) as daemon:
        plain, packed, killed = (os.path.join(folder, name)
                                 for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.gz"))
        url = ("--url", daemon.url(""))
        seed, detail = Reader(daemon, "/vram/stream"), Reader(daemon, DETAIL)
        time.sleep(0.6)
        recorders = [vramscope("record", plain, *url, "--duration", "6"),
                     vramscope("record", packed, *url),
                     vramscope("record", killed, *url)]
        assert finish(recorders[0]) == ""
        recorders[1].send_signal(signal.SIGINT)
        recorders[2].kill()
        assert finish(recorders[1]) == ""
        finish(recorders[2], -signal.SIGKILL)
        time.sleep(0.6)
        for reader in (seed, detail):
            reader.stream.socket.shutdown(2)
            reader.join(5)
        check_killed(killed, detail)
        with gzip.open(packed, "rt") as file:  # to its end: the checksum is right
            ids = [json.loads(line)["id"] for line in list(file)[1:]]
        assert len(ids) >= 11 and len(set(ids)) == len(ids), ids
        check_pace(*check_whole(plain, seed, detail), 1)


def test_a_daemon_that_is_started_again():
    port = free_port()
    options = ("--gpu", "none", "--no-discover", "--interval", "200",
               "--listen", f"127.0.0.1:{port}")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "r.jsonl")
        with Daemon(*options):
            recorder = vramscope("record", path, "--url", f"127.0.0.1:{port}")
            eventually("some are recorded", lambda: os.path.exists(path) and len(
                entries_of(path)) >= 3)
        with Daemon(*options):
            eventually("and some of the next", lambda: len(
                {e["detail"]["boot"] for e in entries_of(path) if "detail" in e}) == 2)
            time.sleep(0.5)
            recorder.send_signal(signal.SIGTERM)
            said = finish(recorder)
        assert said.count("figures again") == 1, said
        recorded = entries_of(path)
        assert any("disconnected" in e for e in recorded), recorded
        with Replay(path, "--speed", 2) as replay:
            _, detail = read_to_end(replay)
    kinds = [p.split(b"-")[0] if p.startswith(b"id: ") else p[:9] for p in detail.pieces]
    boots = [e["detail"]["boot"] for e in recorded if "detail" in e]
    seen = [b"id: " + boot.encode() for boot in (boots[0], boots[-1])]
    change = kinds.index(seen[1])
    assert kinds[0] == seen[0] and kinds.count(seen[1]) >= 2, kinds
    assert b": no data" in kinds[:change] and seen[0] not in kinds[change:], kinds


# Recordings of our own making, so that what is in them is known.

def test_outages_and_ids():
    text = HEAD + "".join((
        entry(1000, 7), entry(4000, 8), entry(4100, 9),  # readers come before the second
        '{"unix_ms":4200,"no_data":"the NVIDIA kernel driver is not loaded"}\n',
        '{"unix_ms":6200,"disconnected":"connection reset"}\n',
        '{"unix_ms":6300,"skipped":4}\n',
        entry(6400, 1, BOOTS[1]), entry(6500, 2, BOOTS[1]), entry(6600, 3, BOOTS[1]),
        entry(46600, 4, BOOTS[1])))
    with recording(text) as path, Replay(path) as replay:
        readers = [Reader(replay, route) for route in ("/vram/stream", DETAIL)]
        eventually("an outage", lambda: replay.get("/vram")[0] == 503)
        assert replay.get("/metrics")[0] == 404  # a store would take them for those of now
        status, headers, body = replay.get("/v1/detail")
        assert status == 503 and headers["Retry-After"] == "1", (status, headers)
        assert json.loads(body)["error"]["code"] == "no-data", body
        eventually("the last one", lambda: replay.get("/v1/detail")[2] == document(
            3, BOOTS[1]).encode() + b"\n")
        seed, detail = (list(reader.pieces) for reader in readers)
        reasons = [b": no data (the NVIDIA kernel driver is not loaded)\n\n",
                   b": no data (connection reset)\n\n"]
        events = [f"id: {boot}-{seq}\nretry: 2000\ndata: {document(seq, boot)}\n\n".encode()
                  for boot, seqs in zip(BOOTS, ((7, 8, 9), (1, 2, 3))) for seq in seqs]
        wanted = events[:3] + reasons + events[3:]
        assert detail == wanted[-len(detail):] and len(detail) >= 7, detail
        for i, piece in enumerate(reversed(seed)):
            if wanted[-1 - i].startswith(b":"):
                assert piece == wanted[-1 - i]
            else:
                used = json.loads(DOCUMENT.fullmatch(wanted[-1 - i])[2])["seq"]
                assert piece == (
                    b'data: {"total_vram_bytes":1000,"allocated_vram_bytes":0,'
                    b'"used_kv_cache_bytes":%d,"prefix_cache_hit_rate":12.3,'
                    b'"models":[]}\n\n' % used), piece
        come_back(replay)


def come_back(replay):
    """Who has seen one of this run gets those after it; one of the run before, the newest."""
    for last, first in ((f"{BOOTS[1]}-1", 2), (f"{BOOTS[0]}-8", 3), ("nonsense", 3)):
        stream = subprocess.Popen(["curl", "-sN", "-m", "2", "-H", f"Last-Event-ID: {last}",
                                   f"{replay.url}{DETAIL}"], stdout=subprocess.PIPE)
        with stream:
            body = stream.stdout.readline()
            stream.kill()
        assert body == f"id: {BOOTS[1]}-{first}\n".encode(), (last, body)


def test_once_and_again():
    text = HEAD + entry(1000, 1) + entry(1100, 2) + entry(1200, 3)
    with recording(text) as path, Replay(path, "--loop", "--speed", 10) as replay:
        detail = Reader(replay, DETAIL)
        eventually("three rounds", lambda: len(detail.pieces) >= 9)
        seqs = [int(DOCUMENT.fullmatch(p)[1].split(b"-")[1]) for p in detail.pieces]
        start = seqs.index(1)
        assert seqs[start:start + 6] == [1, 2, 3, 1, 2, 3], seqs


def test_it_is_a_server_like_the_daemon():
    model = ('{"model":"a/b\\"c","model_id":"a-b-c","port":9,"vram":{"allocated_bytes":'
             '{"value":5,"from":"measured"}},"kv_cache":{"used_bytes":{"value":null,'
             '"from":"unknown"}},"requests":{"from":"engine","running":3,"waiting":null}}')
    text = HEAD + entry(1000, 1, extra=model) + entry(60000, 2)
    with recording(text) as path:
        with Replay(path) as replay:
            assert replay.get("/healthz")[0] == 200
            assert replay.get("/readyz")[0] == 200
            assert replay.get("/version")[0] == 200
            assert replay.get("/nothing")[0] == 404
            assert replay.get("/vram", "POST")[0] == 405
            assert replay.get("/vram", headers={"Host": "evil.example"})[0] == 421
            assert replay.get("/vram", headers={"Origin": "http://evil.example"})[0] == 403
            assert json.loads(replay.get("/vram")[2])["models"] == [
                {"model_id": "a-b-c", "port": 9, "allocated_vram_bytes": 5,
                 "used_kv_cache_bytes": 0}]
            past = json.loads(replay.get("/vram/aggregated")[2])
            assert past["sample_count"] == 1 and past["window_seconds"] == 5, past
            assert past["num_requests_running"]["max"] == 3, past
            assert past["num_requests_waiting"] == past["used_kv_cache_bytes"] == {
                **dict.fromkeys(("min", "max", "avg", "p95", "p99")), "count": 0}, past
            assert past["models"] == json.loads(replay.get("/vram")[2])["models"], past
            assert replay.get("/vram/aggregated?window=0")[0] == 400
        with Replay(path, "--model-id", "served") as replay:
            for route in ("/vram", "/vram/aggregated"):
                assert json.loads(replay.get(route)[2])["models"][0]["model_id"] == 'a/b"c'
        place = os.path.join(os.path.dirname(path), "socket")
        with Replay(path, listen=f"unix:{place}") as replay:
            answer = subprocess.run(["curl", "-s", "--unix-socket", place,
                                     "http://localhost/v1/detail"], capture_output=True)
            assert answer.stdout == document(1, extra=model).encode() + b"\n", answer
        assert not os.path.exists(place)
        said = finish(vramscope("replay", path, "--listen", "0.0.0.0:0"), 1)
        assert "--allow-public" in said and "token" not in said, said
        with Replay(path, "--allow-public", listen="0.0.0.0:0") as replay:
            assert replay.get("/vram")[0] == 200


def test_lines_that_are_none():
    text = HEAD + "".join((
        "hello\n", entry(1000, 1), '{"unix_ms":1100,"detail":{"a":1,\r\rdata: evil}}\n',
        entry(1200, 2).replace('"seq":2,', '"seq":2,,'), entry(1300, 3).replace("aa-3", "aa-03"),
        entry(1400, 4, extra='{"port":99999}'), entry(1500, 5, extra=",".join(['{"port":1}'] * 65)),
        "\x00" * 100 + "\n", entry(1600, 6), entry(1700, 7)[:200]))
    with recording(text) as path:
        with Replay(path) as replay:
            _, detail = read_to_end(replay)
        name = os.path.basename(path)
        assert f"{name}: line 2: it is no JSON" in replay.log(), replay.log()
        assert "8 lines in all are left out" in replay.log(), replay.log()
        assert detail.pieces.pop() == BYE
        seqs = [int(DOCUMENT.fullmatch(p)[1].split(b"-")[1]) for p in detail.pieces]
        assert seqs == [1, 6], seqs
        out, said = once(path)
        assert "recording.jsonl" in out and f"{name}: line 2:" in said, (out, said)


def test_no_recordings():
    hostile = {
        b"": "it is empty",
        b"\x7fELF\x02\x01" + bytes(1000): "line 1: not a recording",
        b'{"vramscope_recording":9}\n': "line 1: not a recording of vramscope: it is of format 9",
        b"[" * 100000: "line 1: not a recording",
        b"\x1f\x8b\x08\x00" + bytes(100): "line 1: not a recording",
        HEAD.encode(): "there is no document in it",
        HEAD.encode() + b'{"unix_ms":1,"no_data":"no driver"}\n': "no driver",
    }
    for content, fault in hostile.items():
        with recording(content) as path:
            out, said = once(path, 1)
            assert out == "" and path in said and fault in said, (content[:50], out, said)
    whole = gzip.compress((HEAD + "".join(entry(i, i) for i in range(1, 2000))).encode())
    with recording(whole[:2000] + bytes([whole[2000] ^ 0x55]) * 30 + whole[2030:]) as path:
        _, said = once(path, 1)
        assert re.search(r"recording\.jsonl: line \d+: damaged gzip at byte \d+", said), said
    _, said = once("/no/such", 1)
    assert "/no/such: cannot be read: No such file" in said, said


def test_files_and_pipes():
    with tempfile.TemporaryDirectory() as folder, \
            Daemon("--gpu", "none", "--no-discover", "--interval", "100") as daemon:
        path = os.path.join(folder, "r.jsonl")
        url = ("--url", daemon.url(""))
        assert finish(vramscope("record", path, *url, "--count", "3")) == ""
        before = pathlib.Path(path).read_bytes()
        assert before.count(b"\n") == 4, before
        said = finish(vramscope("record", path, *url, "--count", "3"), 1)
        assert path in said and "--replace" in said, said
        assert pathlib.Path(path).read_bytes() == before
        finish(vramscope("record", path, *url, "--count", "2", "--replace"))
        assert pathlib.Path(path).read_bytes().count(b"\n") == 3
        piped = vramscope("record", "-", *url, "--count", "2", stdout=subprocess.PIPE)
        table = subprocess.run([PROGRAM, "replay", "-"], stdin=piped.stdout, text=True,
                               capture_output=True, timeout=10)
        finish(piped)
        assert table.returncode == 0 and "VRAM" in table.stdout, table
        if os.path.exists("/dev/full"):
            full = open("/dev/full", "w")
            said = finish(vramscope("record", "-", *url, stdout=full), 1)
            assert "stdout: cannot be written: No space left" in said, said
    assert finish(vramscope("record", os.path.join("/tmp", "never"), "--url", "a:1", "--url",
                            "b:2"), 2)


alone()
run(test_what_was_sent_is_sent_again, test_a_daemon_that_is_started_again,
    test_outages_and_ids, test_once_and_again, test_it_is_a_server_like_the_daemon,
    test_lines_that_are_none, test_no_recordings, test_files_and_pipes)
