# SPDX-License-Identifier: Apache-2.0
"""libvramscope against a real daemon, and against servers that are none."""
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time

from follower import HEAD, Follower, Server, answer_of, follow, get, kinds
from harness import Daemon, Skip, free_port, run

OPTIONS = ("--gpu", "none", "--no-discover", "--interval", "100")
TOKEN = "first-token-0123456789abcdefghijklmnop"
OTHER = "other-token-0123456789abcdefghijklmnop"


def write_file(path, text):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def origin(daemon):
    return f"http://127.0.0.1:{daemon.port}"


def test_every_loop():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        with Daemon(*OPTIONS, "--listen", f"unix:{path}") as daemon:
            for url in (origin(daemon), f"http://localhost:{daemon.port}", f"unix:{path}"):
                for loop in ("wait", "fd", "timeout"):
                    for stream, kind in (("seed", "snapshot"), ("detail", "detail")):
                        lines = follow(url, stream=stream, loop=loop, events=6, seconds=10)
                        case = f"{url} {loop} {stream}: {lines}"
                        assert kinds(lines) == ["connected"] + [kind] * 5 + ["end"], case
                        assert "total" in lines[1] or "seq" in lines[1], case
                        gap = lines[5]["at"] - lines[2]["at"]
                        assert 0.2 < gap < 0.6, case
                        assert lines[-1]["processed"] < 40, case
            lines = follow(origin(daemon), stream="detail", undecoded=1, events=2)
            assert kinds(lines)[:2] == ["connected", "detail"] and "seq" not in lines[1]
            answer = get(f"unix:{path}", "/v1/detail", seconds=5)
            assert answer["status"] == 200 and answer["type"] == "application/json"
            assert answer["body"].startswith('{"schema":1'), answer
            assert get(origin(daemon), "/none", seconds=5)["status"] == 404


def test_restarts():
    """SIGTERM says bye; a kill does not. Both times the same stream goes on by itself."""
    address = f"127.0.0.2:{free_port()}" # where no other scene takes a port
    url = f"http://{address}"
    more = ("--listen", address)
    with Follower(url, stream="detail", loop="fd", seconds=60) as follower:
        refused = follower.until("disconnected")
        assert "refused" in refused["reason"] and refused["status"] == 0, refused
        with Daemon(*OPTIONS, *more):
            follower.until("detail")
        assert follower.until("bye")["name"] == "bye"
        gone = follower.until("disconnected")
        assert gone["reason"] == "the daemon ends" and 1500 <= gone["retry_ms"] <= 5000, gone
        with Daemon(*OPTIONS, *more) as daemon:
            follower.until("detail")
            daemon.process.kill()
            daemon.process.wait()
            gone = follower.until("disconnected")
            assert gone["reason"] == "the connection was cut off", gone
        with Daemon(*OPTIONS, *more):
            follower.until("connected")
            follower.until("detail")


def test_goes_on_after_the_last_id():
    with Daemon(*OPTIONS) as daemon:
        first = follow(origin(daemon), stream="detail", events=4)[1]
        time.sleep(0.5)
        lines = follow(origin(daemon), stream="detail", events=4, last_id=first["id"])
        assert [line["seq"] for line in lines[1:4]] == [first["seq"] + n for n in (1, 2, 3)]

    def answer(peer, n):
        peer.sendall(HEAD + b"retry: 1\nid: b-%d\ndata: {}\n\nid: never\ndata: torn" % n)

    with Server(answer) as server:
        lines = follow(server.url, undecoded=1, seconds=3, last_id="b-start")
        assert [server.field(n, "Last-Event-ID") for n in range(3)] == \
            ["b-start", "b-0", "b-1"], server.heads
        assert [line["id"] for line in lines if line["type"] == "snapshot"][:2] == \
            ["b-0", "b-1"]


def test_request():
    with Server(answer_of(HEAD, 2)) as server:
        follow(server.url, events=1, env={
            "http_proxy": "http://127.0.0.1:1", "all_proxy": "http://127.0.0.1:1"})
        lines = server.heads[0].split("\r\n")
        assert lines[0] == "GET /vram/stream HTTP/1.1", lines
        fields = {line.partition(": ")[0]: line.partition(": ")[2] for line in lines[1:]}
        assert fields["Accept"] == "text/event-stream", fields
        assert fields["Cache-Control"] == "no-store", fields
        assert fields["User-Agent"].startswith("vramscope/"), fields
        assert set(fields) == {"Host", "Accept", "Cache-Control", "User-Agent", ""}, fields


def test_token():
    with tempfile.TemporaryDirectory() as folder:
        served, ours = os.path.join(folder, "served"), os.path.join(folder, "ours")
        write_file(served, TOKEN + "\n")
        write_file(ours, OTHER + "\r\n")
        with Daemon(*OPTIONS, "--token-file", served) as daemon:
            assert kinds(follow(origin(daemon), token=TOKEN, events=2)) == \
                ["connected", "snapshot", "end"]
            assert get(origin(daemon), "/vram", token=TOKEN)["status"] == 200
            with Follower(origin(daemon), token_file=ours, seconds=20) as follower:
                refused = follower.until("disconnected")
                assert refused["status"] == 401, refused
                assert refused["code"] == "token-needed" and refused["reason"], refused
                write_file(ours, TOKEN) # read again: no line end this time
                follower.until("snapshot")
            write_file(ours, "two words\n")
            lines = follow(origin(daemon), token_file=ours, once=1)
            assert "token file" in lines[0]["reason"] and lines[0]["retry_ms"] < 0, lines
            lines = follow(origin(daemon), token_file=ours + "-not", once=1)
            assert "No such file" in lines[0]["reason"], lines


def make_certificate(folder, name):
    """A pair NAME.pem, NAME.key that is its own issuer."""
    if not shutil.which("openssl"):
        raise Skip("no openssl on this machine")
    path = os.path.join(folder, name)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", path + ".key", "-out", path + ".pem"], check=True, capture_output=True)
    return path + ".pem"


def test_tls():
    with tempfile.TemporaryDirectory() as folder:
        right, other = (make_certificate(folder, name) for name in ("right", "other"))
        served = ("--tls-cert", right, "--tls-key", right.replace(".pem", ".key"))
        with Daemon(*OPTIONS, *served) as daemon:
            url = f"https://127.0.0.1:{daemon.port}"
            for host in ("127.0.0.1", "localhost"):
                lines = follow(f"https://{host}:{daemon.port}", events=3,
                               ca_file=right)
                assert kinds(lines) == ["connected", "snapshot", "snapshot", "end"], lines
            for ca in ({"ca_file": other}, {}):
                lines = follow(url, once=1, **ca)
                assert "certificate" in lines[0]["reason"], lines
            answer = get(url, "/vram", ca_file=other)
            assert answer["error"] == "EPROTO" and "certificate" in answer["why"], answer
            lines = follow(origin(daemon), once=1) # plain HTTP to it
            assert kinds(lines) == ["disconnected", "end"], lines


def test_no_figures():
    """A 503 is told once; within a stream the comment says it."""
    missing = ("--gpu", "nvml", "--nvml-library", "/nonexistent.so", "--no-discover")
    with Daemon(*missing) as daemon:
        lines = follow(origin(daemon), seconds=5)
        assert kinds(lines) == ["no_data", "end"], lines
        told = lines[0]
        assert told["status"] == 503 and told["code"] == "no-library", told
        assert told["reason"] and told["remedy"] and 1000 <= told["retry_ms"] <= 1250, told
        lines = follow(origin(daemon), once=1)
        assert kinds(lines) == ["no_data", "end"] and lines[0]["retry_ms"] < 0, lines
        assert lines[1]["why"] == "never"

    def refuse(code, message):
        body = b'{"error":{"code":"%s","message":"%s"}}' % (code, message)
        return (b"HTTP/1.1 503 S\r\nRetry-After: 0\r\nContent-Length: %d\r\n\r\n" %
                len(body)) + body

    answers = [refuse(b"a", b"one"), refuse(b"a", b"one"), refuse(b"b", b"two"),
               HEAD + b": no data (gone (x))\n\n: no data\n\n", refuse(b"b", b"two")]

    def answer(peer, n):
        peer.sendall(answers[min(n, len(answers) - 1)])

    with Server(answer) as server, Follower(server.url, seconds=30) as follower:
        seen = []
        while len(seen) < 6:
            seen.append(follower.next())
        assert [(line["type"], line.get("reason")) for line in seen] == [
            ("no_data", "one"), ("no_data", "two"), ("connected", None),
            ("no_data", "gone (x)"), ("disconnected", "the stream ended"),
            ("no_data", "two")], seen
        assert [line["status"] for line in seen] == [503, 503, 200, 200, 200, 503]
    full = answer_of(refuse(b"too-many-streams", b"full"))
    with Server(full) as server:
        assert kinds(follow(server.url, once=1)) == ["disconnected", "end"]


ERROR = '{"error":{"code":"host-not-allowed","message":"not here \\u0007","remedy":"ask"}}'
# What the server says, and what of it must be in the reason.
REFUSALS = {
    "401": ("HTTP/1.1 401 U\r\nContent-Length: 0\r\n\r\n", 401, "status 401"),
    "421 with words": (f"HTTP/1.1 421 M\r\nContent-Length: {len(ERROR)}\r\n\r\n{ERROR}", 421,
                       "not here \ufffd"),
    "404 that is HTML": ("HTTP/1.1 404 N\r\n\r\n<p>", 404, "status 404"),
    "500, endless": ("HTTP/1.1 500 E\r\n\r\n" + "x" * 100000, 500, "status 500"),
    "206": ("HTTP/1.1 206 P\r\nContent-Type: text/event-stream\r\n\r\n", 206, "status 206"),
    "no type": ("HTTP/1.1 200 OK\r\n\r\ndata: {}\n\n", 200, "no type"),
    "wrong type": ("HTTP/1.1 200 OK\r\nContent-Type: text/html\x1b[2J\r\n\r\n", 200,
                   "text/html"),
    "wrong type that begins alike": (
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-streams\r\n\r\n", 200, "no event stream"),
    "encoded": ("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                "Content-Encoding: gzip\r\n\r\n", 0, "encoded"),
    "large head": ("HTTP/1.1 200 OK\r\n" + "A: b\r\n" * 50 + f"X: {'y' * 17000}\r\n\r\n", 0,
                   "16 KiB"),
    "very large line": (f"HTTP/1.1 200 OK\r\nX: {'y' * 200000}\r\n\r\n", 0, "16 KiB"),
    "many fields": ("HTTP/1.1 200 OK\r\n" + "A: b\r\n" * 101 + "\r\n", 0, "100 fields"),
    "many interim": ("HTTP/1.1 100 C\r\n\r\n" * 6, 0, "interim"),
    "torn head": ("HTTP/1.1 200 OK\r\nContent-Type: text/event-st", 0, ""),
    "not HTTP": ("SSH-2.0-OpenSSH_9.2\r\n", 0, ""),
    "nothing": ("", 0, "Empty reply"),
}


def test_refusals():
    for name, (text, status, reason) in REFUSALS.items():
        with Server(answer_of(text, 0.2)) as server:
            lines = follow(server.url, once=1, token=TOKEN)
        case = f"{name}: {lines}"
        assert kinds(lines) == ["disconnected", "end"], case
        assert lines[0]["status"] == status and lines[0]["retry_ms"] < 0, case
        assert lines[0]["reason"] and reason in lines[0]["reason"], case
        assert not any(c < " " for c in lines[0]["reason"]), case
        if name == "421 with words":
            assert lines[0]["code"] == "host-not-allowed" and lines[0]["remedy"] == "ask", case


def test_never_again():
    with Server(answer_of("HTTP/1.1 204 N\r\n\r\n")) as server:
        lines = follow(server.url, seconds=20)
        assert kinds(lines) == ["disconnected", "end"] and lines[0]["status"] == 204, lines
        assert lines[1]["why"] == "never" and lines[1]["at"] < 5, lines
        assert len(server.heads) == 1


def test_redirects():
    """Not followed, not even to itself; the token goes nowhere else."""
    with Server(answer_of(HEAD)) as other:
        there = f"HTTP/1.1 302 F\r\nLocation: {other.url}/x\r\nContent-Length: 0\r\n\r\n"
        with Server(answer_of(there)) as server:
            lines = follow(server.url, once=1, token=TOKEN)
            assert lines[0]["status"] == 302 and "redirect" in lines[0]["reason"], lines
            assert server.field(0, "Authorization") == f"Bearer {TOKEN}"
            assert get(server.url, "/vram")["status"] == 302
        assert other.connections == 0


def test_every_split():
    """Chunks of one byte, with all that the standard allows in them."""
    stream = ("\ufeffid: 1\r\ndata: a\rdata: é€😀\n\n: no data (x)\r\n\r\nevent: new\n"
              "data\n\nevent: lag\ndata: {\"skipped\":7}\n\nevent: lag\ndata: {}\n\n"
              "data: \ud800\n\n").encode(errors="surrogatepass")

    def answer(peer, _):
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.sendall(HEAD[:-2] + b"Transfer-Encoding: chunked\r\n\r\n")
        for byte in stream:
            peer.sendall(b"1\r\n%c\r\n" % byte)
            time.sleep(0.001)
        peer.sendall(b"0\r\n\r\n")

    with Server(answer) as server:
        lines = follow(server.url, undecoded=1, once=1)
    assert [(line["type"], line.get("data")) for line in lines[:-1]] == [
        ("connected", ""), ("snapshot", "a\né€😀"), ("no_data", ""), ("other", ""),
        ("lag", '{"skipped":7}'), ("unreadable", "{}"), ("snapshot", "\ufffd" * 3),
        ("disconnected", "")], lines
    assert lines[1]["id"] == "1" and lines[3]["name"] == "new" and lines[4]["skipped"] == 7
    assert lines[7]["reason"] == "the stream ended" and lines[7]["status"] == 200


def test_unreadable():
    """What is no document does not end the stream."""
    stream = HEAD + b"data: {\n\ndata: [1]\n\ndata: {}\n\n" + \
        b'data: {"total_vram_bytes":1,"allocated_vram_bytes":1,"used_kv_cache_bytes":0,' + \
        b'"prefix_cache_hit_rate":0.0,"models":[]}\n\n'
    with Server(answer_of(stream)) as server:
        lines = follow(server.url, once=1)
    assert kinds(lines)[1:3] == ["unreadable"] * 2 and lines[1]["reason"], lines
    assert lines[1]["data"] == "{" and kinds(lines)[-3] == "snapshot", lines


def flood(piece):
    def answer(peer, _):
        peer.sendall(HEAD)
        while True:
            peer.sendall(piece)
    return answer


def test_endless():
    """A line without an end, an event without an end: cut at the limit."""
    for piece in (b"data: " + b"x" * 60000, b"x" * 60000, b"data: x\n" * 8000):
        with Server(flood(piece)) as server:
            lines = follow(server.url, once=1)
            assert kinds(lines) == ["connected", "disconnected", "end"], lines
            assert "larger than 8388608" in lines[1]["reason"], lines
            assert lines[-1]["rss_kib"] < 40000, lines
            lines = follow(server.url, once=1, event_max=1000)
            assert "larger than 1000" in lines[1]["reason"], lines
        # The body of a plain answer, too.
        with Server(answer_of(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (9 << 20))) as server:
            assert get(server.url, "/vram")["error"] == "EFBIG"


def test_reader_in_arrears():
    """Who takes slowly makes us read slowly: nothing is lost, and memory is bounded."""
    count = 15000

    def answer(peer, _):
        peer.sendall(HEAD)
        for n in range(count):
            peer.sendall(b"id: %d\nevent: n\ndata: %s\n\n" % (n, b"x" * (n % 100)))

    with Server(answer) as server:
        lines = follow(server.url, loop="slow", once=1, seconds=60)
    ids = [line["id"] for line in lines if line["type"] == "other"]
    assert ids == [str(n) for n in range(count)], (len(ids), ids[-3:])
    assert lines[-1]["rss_kib"] < 30000, lines[-1]
    with Server(flood(b"data: {}\n\n" * 1000)) as server:
        end = follow(server.url, loop="slow", seconds=4)[-1]
        assert end["rss_kib"] < 30000, end


def test_flood_of_nothing():
    """A stream of comments is no event; who waits gets away in time."""
    with Server(flood(b":\n" * 10000)) as server:
        lines = follow(server.url, seconds=2)
        assert kinds(lines) == ["connected", "end"] and lines[-1]["at"] < 3, lines
        assert lines[-1]["rss_kib"] < 30000, lines


def test_silence():
    interval = b'data: {"schema":1,"interval_ms":%d}\n\n'
    with Server(answer_of(HEAD + b":\n", 30)) as server:
        lines = follow(server.url, once=1, silence_timeout=1000)
        assert "not one byte for 1 s" in lines[1]["reason"], lines
        assert 1.0 <= lines[1]["at"] < 2.5, lines
    with Server(answer_of(b"HTTP/1.1 200 OK\r\n", 30)) as server:
        lines = follow(server.url, once=1, connect_timeout=700)
        assert "connected, but no answer within 0.7 s" in lines[0]["reason"], lines
        assert 0.7 <= lines[0]["at"] < 2, lines
        answer = get(server.url, "/vram", seconds=1)
        assert answer["error"] == "ETIMEDOUT" and answer["at"] < 3, answer
    # Not sooner than three intervals: at 6 s, that is 18 s.
    with Server(answer_of(HEAD + interval % 6000, 40)) as long, \
            Server(answer_of(HEAD + interval % 500, 40)) as short:
        with Follower(long.url, stream="detail", once=1) as slow, \
                Follower(short.url, stream="detail", once=1, undecoded=1) as quick:
            quick, slow = quick.until("disconnected"), slow.until("disconnected")
    assert 15 <= quick["at"] < 17.5 and "for 15 s" in quick["reason"], quick
    assert 18 <= slow["at"] < 20.5 and "for 18 s" in slow["reason"], slow


def test_no_storm():
    """A server that hangs up at once is asked ever less often, whatever it says."""
    said = (b"", HEAD + b"retry: 0\n", HEAD + b"event: bye\ndata: {}\n\n",
            b"HTTP/1.1 503 S\r\nRetry-After: 0\r\n\r\n")
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(Server(answer_of(text))) for text in said]
        followers = [stack.enter_context(Follower(server.url, loop="fd", seconds=7))
                     for server in servers]
        ends = [follower.rest()[-1] for follower in followers]
        for text, server, end in zip(said, servers, ends):
            gaps = [b - a for a, b in zip(server.times, server.times[1:])]
            assert 3 <= len(server.times) <= 5, (text, server.times)
            assert gaps[0] > 0.49 and gaps[1] > 0.74 and gaps[2] > 1.49, (text, gaps)
            assert end["processed"] < 200 and end["descriptors"] <= 9, (text, end)


def test_good_stream():
    """What held for ten seconds makes the waits short again; what held for nine does not."""
    def holding(seconds):
        def answer(peer, n):
            if n == 2:
                peer.sendall(HEAD)
                for _ in range(int(seconds / 0.1)):
                    peer.sendall(b":\n\n")
                    time.sleep(0.1)
        return answer

    with Server(holding(10.5)) as good, Server(holding(9)) as short:
        with Follower(good.url, seconds=60) as one, Follower(short.url, seconds=60) as other:
            for follower, least, most in ((one, 500, 625), (other, 1500, 2500)):
                follower.until("connected")
                gone = follower.until("disconnected")
                assert least <= gone["retry_ms"] <= most, gone


def test_retry():
    """The daemon's word counts, between 0.5 s and a minute."""
    for said, least, most in ((b"900", 675, 1125), (b"3000", 2250, 3750),
                              (b"999999999", 45000, 75000), (b"1", 500, 625)):
        with Server(answer_of(HEAD + b"retry: " + said + b"\n\n")) as server:
            gone = follow(server.url, events=2)[1]
            assert gone["type"] == "disconnected", gone
            assert least <= gone["retry_ms"] <= most, (said, gone)
    for said, least, most in (("7", 7000, 7000), ("90", 60000, 60000), ("x", 500, 625)):
        text = f"HTTP/1.1 429 T\r\nRetry-After: {said}\r\nContent-Length: 0\r\n\r\n"
        with Server(answer_of(text)) as server:
            gone = follow(server.url, events=1)[0]
            assert least <= gone["retry_ms"] <= most, (said, gone)


def test_nobody_there():
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        for url in (f"http://127.0.0.1:{port}", f"unix:{folder}/none"):
            lines = follow(url, once=1)
            assert kinds(lines) == ["disconnected", "end"] and lines[0]["status"] == 0, lines
            assert get(url, "/vram")["error"] == "ECONNREFUSED", get(url, "/vram")
    lines = follow("http://name.invalid:1", once=1)
    assert "resolve" in lines[0]["reason"], lines
    assert get("http://name.invalid:1", "/vram")["error"] == "EHOSTUNREACH"


def test_slow_names():
    """Who answers for names is waited for no longer than for anybody else."""
    slow = os.environ.get("SLOW_NAMES")
    if not slow:
        raise Skip("no SLOW_NAMES")
    for loop in ("wait", "fd"):
        began = time.monotonic()
        lines = follow("http://slow.example:1", loop=loop, once=1, connect_timeout=700,
                       env={"LD_PRELOAD": slow})
        assert "no connection within 0.7 s" in lines[0]["reason"], lines
        assert time.monotonic() - began < 3, lines
    began = time.monotonic()
    answer = get("http://slow.example:1", "/vram", seconds=1, env={"LD_PRELOAD": slow})
    assert answer["error"] == "ETIMEDOUT" and time.monotonic() - began < 3, answer


def test_memory_stays():
    """A thousand connections' worth of events leave nothing behind."""
    def answer(peer, n):
        peer.sendall(HEAD)
        for _ in range(20000):
            peer.sendall(b'data: {"total_vram_bytes":1,"allocated_vram_bytes":1,'
                         b'"used_kv_cache_bytes":0,"prefix_cache_hit_rate":0.0,"models":[]}\n\n')

    with Server(answer) as server:
        few = follow(server.url, loop="fd", events=100)[-1]
        many = follow(server.url, loop="fd", events=15000)[-1]
    assert many["rss_kib"] - few["rss_kib"] < 1500, (few, many)


run(test_every_loop, test_request, test_token, test_tls, test_refusals, test_never_again,
    test_redirects, test_every_split, test_unreadable, test_endless, test_flood_of_nothing,
    test_retry, test_nobody_there, test_slow_names, test_memory_stays,
    at_once=(test_restarts, test_goes_on_after_the_last_id, test_no_figures,
             test_reader_in_arrears, test_silence, test_no_storm, test_good_stream))
