# SPDX-License-Identifier: Apache-2.0
"""Every case of http_corpus.py against a daemon, each followed by a healthy request."""
import concurrent.futures
import os
import re
import socket
import struct
import subprocess
import time

from harness import DAEMON, EVENT, Daemon, run
from http_corpus import CANARY, CASES, FIN, MUST_CLOSE, MUST_STAY, RESET, WRITTEN
from watcher import Watcher

OPTIONS = ("--gpu", "none", "--no-discover", "--max-clients-per-ip", "400")
SIDE_BY_SIDE = 24
PATIENCE = 7.0  # for an answer: a head's deadline of 5 s, and some
PROMPT = 1.0  # for a healthy request
STREAM_SECONDS = 1.3
EVENTS = 3  # of a stream within that time: at once, and two beats
LAST = b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
CHUNK = re.compile(rb"([0-9a-f]{1,8})\r\n")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)")
STATUS = re.compile(rb"HTTP/1\.1 ([2-5]\d\d) ([A-Za-z -]+)")
DATE = re.compile(rb"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} "
                  rb"\d\d:\d\d:\d\d GMT")
ONCE = {b"content-length", b"transfer-encoding", b"content-type", b"connection", b"date",
        b"allow", b"retry-after"}


class Peer:
    """A connection, read strictly: every byte must belong to an answer."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""
        self.seen = b""
        self.ended = False
        self.gone = False  # we have reset it

    def send(self, pieces):
        for piece in pieces:
            if isinstance(piece, float):
                time.sleep(piece)
            elif piece is FIN:
                self.socket.shutdown(socket.SHUT_WR)
            elif piece is RESET:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
                self.socket.close()
                self.gone = True
            elif not self._send(piece):
                break

    def _send(self, piece):
        try:
            self.socket.sendall(piece)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False  # it need not hear us out, once it has answered

    def more(self, until):
        """Wait for bytes; False at the end of the connection."""
        left = until - time.monotonic()
        assert left > 0, f"nothing more came behind {self.seen[-300:]!r}"
        self.socket.settimeout(left)
        try:
            got = self.socket.recv(65536)
        except TimeoutError:
            return self.more(0)
        except ConnectionResetError:
            assert not self.seen, f"reset behind {self.seen[-300:]!r}"
            got = b""
        self.data += got
        self.seen += got
        self.ended = not got
        return bool(got)

    def take(self, size, until):
        while len(self.data) < size:
            assert self.more(until), f"ended within an answer: {self.seen[-300:]!r}"
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def head(self, until):
        """Status and fields, or None when the connection ends instead."""
        while b"\r\n\r\n" not in self.data:
            if not self.more(until):
                assert not self.data, f"half a head: {self.data!r}"
                return None
        text, self.data = self.data.split(b"\r\n\r\n", 1)
        return read_head(text)

    def answer(self, head_only):
        until = time.monotonic() + PATIENCE
        found = self.head(until)
        if not found:
            return None
        status, fields = found
        if not head_only and status != 204:
            assert b"content-length" in fields, f"no end: {self.seen!r}"
            body = self.take(int(fields[b"content-length"]), until)
            assert status < 400 or body.startswith(b"{\"error\":{"), body
        return status, fields

    def events(self, until):
        """What a stream sends until then: events, and nothing beside them."""
        status, fields = self.head(until)
        assert status == 200 and fields[b"content-type"] == b"text/event-stream", self.seen
        assert b"content-length" not in fields, fields
        chunked = fields.get(b"transfer-encoding") == b"chunked"
        assert chunked or fields.get(b"connection") == b"close", fields
        while time.monotonic() < until:
            self.socket.settimeout(max(0.01, until - time.monotonic()))
            try:
                got = self.socket.recv(65536)
            except TimeoutError:
                break
            assert got, "the stream has ended"
            self.data += got
            self.seen += got
        return whole_events(self.data, chunked)

    def nothing_more(self, seconds=2 * PROMPT):
        until = time.monotonic() + seconds
        while not self.ended:
            self.more(until)
        assert not self.data, f"an answer too many: {self.data[:300]!r}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def read_head(text):
    line, *lines = text.split(b"\r\n")
    match = STATUS.fullmatch(line)
    assert match, f"no status line: {text!r}"
    status, fields = int(match[1]), {}
    for line in lines:
        field = FIELD.fullmatch(line)
        assert field, f"no field: {line!r} in {text!r}"
        name = field[1].lower()
        assert name not in fields or name not in ONCE, f"{name} twice: {text!r}"
        fields[name] = field[2]
    check_fields(status, fields, text)
    return status, fields


def check_fields(status, fields, text):
    assert DATE.fullmatch(fields.get(b"date", b"")), f"no date: {text!r}"
    assert b"content-length" not in fields or b"transfer-encoding" not in fields, text
    assert re.fullmatch(rb"\d{1,9}", fields.get(b"content-length", b"0")), text
    assert status != 204 or not {b"content-length", b"transfer-encoding"} & set(fields), text
    assert status != 405 or b"allow" in fields, text
    assert not any(name.startswith(b"access-control-") for name in fields), text
    assert fields.get(b"connection") in (None, b"close", b"keep-alive"), text
    assert fields.get(b"x-content-type-options") == b"nosniff", text


def whole_events(data, chunked):
    if not chunked:
        pieces = [piece + b"\n\n" for piece in data.split(b"\n\n")]
        assert pieces.pop() == b"\n\n", data
        return pieces
    pieces, at = [], 0
    while at < len(data):
        size = CHUNK.match(data, at)
        assert size, f"no chunk: {data[at:at + 100]!r}"
        end = size.end() + int(size[1], 16)
        pieces.append(data[size.end():end])
        assert data[end:end + 2] == b"\r\n", f"a chunk without its end: {data[at:]!r}"
        at = end + 2
    return pieces


def check_stream(peer):
    until = time.monotonic() + STREAM_SECONDS
    events = peer.events(until)
    assert len(events) >= EVENTS, f"{len(events)} events"
    for event in events:
        assert EVENT.fullmatch(event), f"no event: {event!r}"


def check_end(case, peer, fields):
    """Who says that it closes does; who does not serves one more request."""
    if fields.get(b"connection") == b"close":
        assert case.end != MUST_STAY, "it closed the connection"
    else:
        assert case.end != MUST_CLOSE, f"it would go on: {peer.seen[-300:]!r}"
        if FIN not in case.pieces:
            peer.send([LAST])
            last = peer.answer(False)
            assert last and last[0] == 200, f"the next answer: {last}"
            assert last[1].get(b"connection") == b"close", last
    peer.nothing_more()


def try_answers(case, peer):
    fields = {}
    for i, expected in enumerate(case.answers):
        if expected.stream:
            check_stream(peer)
            return
        found = peer.answer(expected.head)
        if not found and case.silence and i + 1 == len(case.answers):
            return
        assert found, f"it closed before answer {i + 1}"
        status, fields = found
        assert status in expected.statuses, f"answer {i + 1} is {status}"
        assert i + 1 == len(case.answers) or fields.get(b"connection") != b"close", \
            f"it closes with answer {i + 1}"
    if not case.answers or FIN in case.pieces:
        peer.nothing_more(PATIENCE)
    else:
        check_end(case, peer, fields)


def try_case(daemon, case):
    """None, or what is wrong with what the daemon did."""
    port = str(daemon.port).encode()
    pieces = [p.replace(b"@PORT@", port) if isinstance(p, bytes) else p for p in case.pieces]
    try:
        with Peer(daemon.port) as peer:
            peer.send(pieces)
            if not peer.gone:
                try_answers(case, peer)
            assert CANARY not in peer.seen, f"it repeats what was sent: {peer.seen!r}"
        check_alive(daemon)
    except (AssertionError, OSError) as error:
        return f"{case.name} [{case.section}]: {type(error).__name__} {error}"


def check_alive(daemon):
    start = time.monotonic()
    with Peer(daemon.port) as peer:
        peer.send([LAST])
        found = peer.answer(False)
        assert found and found[0] == 200, f"the request behind it: {found}"
        peer.nothing_more()
    took = time.monotonic() - start
    assert took < PROMPT, f"the request behind it took {took:.2f} s"


def known_options():
    return subprocess.run([DAEMON, "--help"], capture_output=True, text=True).stdout


def may_take_long(case):
    """Those that wait for a deadline begin first."""
    return case.silence or any(408 in answer.statuses for answer in case.answers)


def test_there_are_many_cases():
    assert WRITTEN >= 264, WRITTEN
    assert len({case.name for case in CASES}) == len(CASES)


def test_every_case():
    options = known_options()
    cases = [case for case in CASES if not case.needs or f"--{case.needs}" in options]
    cases.sort(key=may_take_long, reverse=True)
    with Daemon(*OPTIONS) as daemon, Watcher(daemon) as watcher:
        os.nice(5)  # what is measured is the daemon beside us, not a busy machine
        with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            wrong = [w for w in pool.map(lambda case: try_case(daemon, case), cases) if w]
        report = watcher.check(least=2)
        assert daemon.process.poll() is None
    print(f"     {len(cases)} cases of {len(CASES)}, {len(wrong)} wrong, beside them {report}")
    assert not wrong, "\n".join(["", *wrong])


run(test_there_are_many_cases, test_every_case)
