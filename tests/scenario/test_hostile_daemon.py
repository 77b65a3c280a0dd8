# SPDX-License-Identifier: Apache-2.0
"""A daemon that is none: what libvramscope makes of it, and what that costs.

Each row is a way to answer. The client names the reason, comes back seldom, and stays
small and idle, whatever it is sent.
"""
import concurrent.futures
import contextlib
import json
import os
import socket
import subprocess
import threading
import time

from follower import FOLLOW_EVENTS, HEAD
from harness import run

SECONDS = 5
ATTEMPTS_MAX = 6  # in that time: 0, 0.5, 1.5, 3.5 s, each a quarter earlier at most
APART = 0.45  # two attempts
RSS_KIB_MAX = 32 * 1024
CPU_SECONDS_MAX = 1.0
MIB = 1 << 20

SEED = (b'{"total_vram_bytes":1,"allocated_vram_bytes":1,"used_kv_cache_bytes":1,'
        b'"prefix_cache_hit_rate":1.0,"models":[%s]}')
ROW = b'{"model_id":"m","port":1,"allocated_vram_bytes":1,"used_kv_cache_bytes":1}'


def event(data):
    return HEAD + b"data: " + data + b"\n\n"


def chunked(body):
    return HEAD[:-2] + b"Transfer-Encoding: chunked\r\n\r\n" + body


def status(line, head=b"", body=b""):
    return b"HTTP/1.1 " + line + b"\r\n" + head + b"\r\n" + body


def error(message):
    body = json.dumps({"error": {"code": "c\x1b[2J", "message": message,
                                 "remedy": message}}).encode()
    return status(b"401 Unauthorized", b"Content-Type: application/json\r\nContent-Length: "
                  b"%d\r\n" % len(body), body)


ESCAPES = "a\x1b]52;c;eA==\x07\x9b31m‮b\r\nc"


class Row:
    """What is sent once, then again and again, or until the connection is closed."""

    def __init__(self, first, why, again=b"", limit=64 * MIB, kind="disconnected", hold=0,
                 pause=0, never=False, **options):
        self.first, self.why, self.again, self.limit = first, why, again, limit
        self.kind, self.hold, self.pause, self.never = kind, hold, pause, never
        self.options = options


# By name: what is sent, and what the client then says of it.
ROWS = {
    "a line of 64 MB": Row(HEAD + b"data: ", "larger than 8388608 bytes", b"x" * 65536),
    "a comment of 64 MB": Row(HEAD + b":", "larger than 8388608 bytes", b"x" * 65536),
    "a field of 64 MB": Row(HEAD, "larger than 8388608 bytes", b"x" * 65536),
    "an event that never ends": Row(HEAD, "larger than 8388608 bytes", b"data: x\n" * 4096),
    "an event that begins again and again": Row(
        HEAD, "larger than 8388608 bytes", b"event: x\n: y\ndata\n" * 4096),
    "a name without end": Row(HEAD, "name or id is too long", b"event: " + b"n" * 65536 + b"\n"),
    "an id without end": Row(HEAD, "name or id is too long", b"id: " + b"i" * 65536 + b"\n"),
    "deep JSON": Row(event(b"[" * 100000), "nested deeper than 16", kind="unreadable"),
    "deep objects": Row(event(b'{"a":' * 100000), "nested deeper than 16",
                        kind="unreadable"),
    "10,000 models": Row(event(SEED % b",".join([ROW] * 10000)), "more than 1024",
                         kind="unreadable"),
    "a million values": Row(event(b'{"a":[' + b"0," * 500000 + b"0]}"),
                            "more than 262144 values", kind="unreadable"),
    "65,000 objects": Row(event(b'{"a":[' + b"{}," * 65000 + b"{}]}"), "it is missing",
                          kind="unreadable"),
    "the same key again and again": Row(
        event(b'{' + b'"a":0,' * 100000 + b'"a":0}'), "given twice", kind="unreadable"),
    "no JSON": Row(event(b"\x1b[31mhello"), "no JSON", kind="unreadable"),
    "an array": Row(event(b"[]"), "not a JSON object", kind="unreadable"),
    "text for a number": Row(event((SEED % b"").replace(b":1,", b':"1",')),
                             "total_vram_bytes: a number is due", kind="unreadable"),
    "less than nothing": Row(event((SEED % b"").replace(b":1,", b":-1,")),
                             "total_vram_bytes: 0 or more is due", kind="unreadable"),
    "past int64": Row(event((SEED % b"").replace(b":1,", b":9223372036854775808,")),
                      "too large", kind="unreadable"),
    "infinite": Row(event((SEED % b"").replace(b"1.0", b"1e999")), "too large",
                    kind="unreadable"),
    "no number": Row(event((SEED % b"").replace(b"1.0", b"NaN")), "no JSON",
                     kind="unreadable"),
    "NUL in a text": Row(event(SEED % ROW.replace(b'"m"', b'"m\\u0000n"')), "NUL",
                         kind="unreadable"),
    "text for a port": Row(event(b'{"models":[{},{"port":"8000"}]}'),
                           "models[1].port: a number is due", kind="unreadable",
                           stream="detail"),
    "a device that is not there": Row(event(b'{"models":[{"devices":[0]}]}'),
                                      "models[0].devices[0]: no such device",
                                      kind="unreadable", stream="detail"),
    "documents faster than they are taken": Row(
        HEAD, "it is missing", b"data: {}\n\n" * 4096, kind="unreadable", loop="slow"),
    "comments without end": Row(HEAD, "the stream ended", b": x\n" * 16384, limit=16 * MIB),
    "ids without end": Row(HEAD, "the stream ended", b"id: 1\n\n" * 8192,
                           limit=16 * MIB),
    "retry: 0, and closed": Row(HEAD + b"retry: 0\ndata: {}\n\n", "the stream ended"),
    "retry: -1": Row(HEAD + b"retry: -1\n\n", "the stream ended"),
    "closed at once": Row(b"", "Empty reply"),
    "closed after the head": Row(HEAD, "the stream ended"),
    "a redirect": Row(status(b"302 Found", b"Location: /elsewhere\r\nContent-Length: 0\r\n"),
                      "redirects are not followed"),
    "a redirect to itself": Row(status(b"307 Temporary Redirect", b"Location: /vram/stream\r\n"
                                       b"Content-Length: 0\r\n"), "redirects are not followed"),
    "not to come back": Row(status(b"204 No Content"), "not to come back", never=True),
    "to come back at once": Row(
        status(b"503 Service Unavailable", b"Retry-After: 0\r\nContent-Length: 0\r\n"),
        "status 503"),
    "an error with escapes": Row(error(ESCAPES), "52;c;eA=="),
    "an error without end": Row(status(b"500 Internal Server Error"), "status 500",
                                b"x" * 65536),
    "another type": Row(status(b"200 OK", b"Content-Type: text/html\r\n"), "text/html",
                        b"<p>" * 4096),
    "a type with escapes": Row(status(b"200 OK", b"Content-Type: \x1b[31m/x\x9b\r\n"),
                               "no event stream"),
    "no type": Row(status(b"200 OK"), "no event stream"),
    "compressed": Row(HEAD[:-2] + b"Content-Encoding: gzip\r\n\r\n", "encoded"),
    "a flood of fields": Row(b"HTTP/1.1 200 OK\r\n", "the answer", b"a: b\r\n" * 4096),
    "a field without end": Row(b"HTTP/1.1 200 OK\r\na: ", "head is larger", b"x" * 65536),
    "a status line without end": Row(b"HTTP/1.1 200 ", "head is larger", b"x" * 65536),
    "an id that grows": Row(HEAD + b"id: " + b"\xff" * 400 + b"\n\n",
                            "name or id is too long"),
    "another protocol": Row(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
                            "another protocol", b"data: x\n\n" * 4096),
    "interim answers": Row(b"", "too many interim", b"HTTP/1.1 100 Continue\r\n\r\n" * 99),
    "a chunk past 64 bits": Row(chunked(b"fffffffffffffffff\r\ndata: x"), ""),
    "a chunk of no number": Row(chunked(b"x\r\ndata: x\n\n"), ""),
    "a chunk size without end": Row(chunked(b""), "", b"0" * 65536),
    "a chunk extension without end": Row(chunked(b"1;"), "", b"x" * 65536, limit=MIB),
    "a negative chunk": Row(chunked(b"-1\r\ndata: x\n\n"), ""),
    "trailers without end": Row(chunked(b"0\r\n"), "", b"a: b\r\n" * 4096),
    "no HTTP": Row(b"SSH-2.0-OpenSSH_9.2\r\n", ""),
    "bytes of chance": Row(os.urandom(4096), ""),
    "a head byte by byte": Row(b"HTTP/1.1 200 OK\r\n", "no answer within 2 s", b"a",
                               pause=0.05, connect_timeout=2000),
    "no answer": Row(b"", "no answer within 2 s", hold=9, connect_timeout=2000),
    "silence": Row(HEAD, "not one byte for 1.5 s", hold=9, silence_timeout=1500),
}


class Hostile:
    """Answers each connection as the row says, and notes when it came."""

    def __init__(self, row):
        self.row, self.times, self.sent = row, [], 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.ended = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                self.times.append(time.monotonic())
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        row = self.row
        with contextlib.suppress(OSError), peer:
            peer.settimeout(SECONDS)
            head = b""
            while b"\r\n\r\n" not in head:
                head += peer.recv(4096) or b"\r\n\r\n"
            peer.sendall(row.first)
            sent = 0
            while row.again and sent < row.limit and not self.ended.wait(row.pause):
                peer.sendall(row.again)
                sent += len(row.again)
                self.sent = max(self.sent, sent)
            self.ended.wait(row.hold)
            if not row.again:
                peer.shutdown(socket.SHUT_WR)  # no reset may overtake what was sent
                while peer.recv(4096):
                    pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def options_of(row):
    for name, value in {"seconds": SECONDS, **row.options}.items():
        yield "--" + name.replace("_", "-")
        yield str(value)


def follow(row):
    """Lines of the client, the server with when it came, its peak memory and CPU time."""
    with Hostile(row) as hostile:
        process = subprocess.Popen([FOLLOW_EVENTS, *options_of(row), hostile.url],
                                   stdout=subprocess.PIPE)
        with process.stdout:
            lines = [json.loads(line) for line in process.stdout]
        _, code, usage = os.wait4(process.pid, 0)
        process.returncode = code
        assert code == 0, f"ended with {code}"
        return lines, hostile, (lines[-1]["peak_kib"], usage.ru_utime + usage.ru_stime)


def check_reasons(row, lines):
    told = [line for line in lines if line["type"] == row.kind]
    assert told, f"no {row.kind} in {lines}"
    for line in told:
        assert line.get("reason"), f"no reason: {line}"
        assert row.why in line["reason"], f"'{row.why}' is not in {line}"
        for key in ("reason", "code", "remedy"):
            text = line.get(key) or ""
            assert text.isprintable() or "\u202e" in text, (
                f"{key} has control characters: {text!r}")
    assert not any(line["type"] in ("snapshot", "detail") for line in lines), lines


def check_rate(row, lines, times):
    assert len(times) >= (1 if row.never or row.options else 2), times
    assert len(times) <= (1 if row.never else ATTEMPTS_MAX), times
    for earlier, later in zip(times, times[1:]):
        assert later - earlier >= APART, f"came back after {later - earlier:.3f} s"
    assert lines[-1]["why"] == ("never" if row.never else "time"), lines[-1]


def check_cost(lines, rss_kib, cpu):
    assert rss_kib <= RSS_KIB_MAX, f"{rss_kib} KiB"
    assert cpu <= CPU_SECONDS_MAX, f"{cpu:.2f} s of CPU"
    return f"{len(lines)} lines, {rss_kib} KiB, {cpu:.3f} s of CPU"


def check(name):
    row = ROWS[name]
    try:
        lines, hostile, cost = follow(row)
        check_reasons(row, lines)
        check_rate(row, lines, hostile.times)
        assert hostile.sent < 32 * MIB, f"{hostile.sent} bytes were taken"
        return name, None, check_cost(lines, *cost)
    except AssertionError as fault:
        return name, fault, ""


def test_answers():
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        results = list(pool.map(check, ROWS))
    for name, fault, cost in results:
        print(f"  {'bad' if fault else 'ok ':3} {name}: {str(fault)[:600] if fault else cost}",
              flush=True)
    assert not any(fault for _, fault, _ in results)


if __name__ == "__main__":
    run(test_answers)
