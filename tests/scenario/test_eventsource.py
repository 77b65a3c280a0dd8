# SPDX-License-Identifier: Apache-2.0
"""Our reader of server-sent events and a browser's EventSource see the same events."""
import contextlib
import json
import os
import socket
import subprocess
import threading
import time

from browser import Browser
from harness import run

SSE_EVENTS = os.environ.get("SSE_EVENTS", "build/release/tests/scenario/sse_events")
BOM = b"\xef\xbb\xbf"
PIECES = (0, 1, 7)  # bytes; 0: all at once
OUR_PIECES = (0, 1, 2, 3, 7, 64)
PAUSE = 0.03  # between the parts of a stream that has several

# Parts of a stream: where it is torn is where a reader might stumble.
STREAMS = {
    "empty": [b""],
    "a line end alone": [b"\n"],
    "many empty lines": [b"\n\r\n\r\n\n\r\r"],
    "as the daemon writes": [b'data: {"a":1}\n\n'],
    "with id and retry": [b'id: eb6d-1\nretry: 2000\ndata: {}\n\n'],
    "lag and bye": [b'id: b-1\ndata: {}\n\nevent: lag\ndata: {"skipped":7}\n\n'
                    b'retry: 2000\nevent: bye\ndata: {}\n\n'],
    "BOM": [BOM + b"data: a\n\n"],
    "BOM torn": [BOM[:1], BOM[1:2], BOM[2:] + b"data: a\n\n"],
    "BOM alone": [BOM, b"data: a\n\n"],
    "BOM on a line of its own": [BOM + b"\ndata: a\n\n"],
    "BOM, then CR": [BOM + b"\rdata: a\r\r"],
    "BOM twice": [BOM + BOM + b"data: a\n\ndata: b\n\n"],
    "BOM later": [b"data: a\n\n" + BOM + b"data: b\n\ndata: c\n\n"],
    "BOM after a line end": [b"\n" + BOM + b"data: b\n\ndata: c\n\n"],
    "BOM in data": [b"data: " + BOM + b"a\n\n"],
    "half a BOM": [BOM[:2] + b"data: a\n\ndata: b\n\n"],
    "BOM of UTF-16": [b"\xff\xfedata: a\n\ndata: b\n\n"],
    "BOM before a comment": [BOM + b": x\ndata: a\n\n"],
    "LF": [b"data: a\ndata: b\n\n"],
    "CR": [b"data: a\rdata: b\r\rdata: c\r\r"],
    "CRLF": [b"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n"],
    "line ends mixed": [b"data: a\r\n\rdata: b\n\r\ndata: c\r\r\ndata: d\n\n"],
    "LF before CR": [b"data: a\n\rdata: b\n\r"],
    "CR torn from LF": [b"data: a\r", b"\ndata: b\r", b"\n\r", b"\ndata: c\r\n\r\n"],
    "CR, then LF that ends the event": [b"data: a\r\n", b"\r", b"\ndata: b\n\n"],
    "CR at the end": [b"data: a\r\r"],
    "CR at the end of a line, no more": [b"data: a\r"],
    "CR LF LF": [b"data: a\r\n\ndata: b\r\n\n"],
    "other line ends are none": [b"data: a\x0bb\x0cc\xc2\x85d\xe2\x80\xa8e\n\n"],
    "comment": [b": a comment\n\ndata: a\n\n"],
    "comment in an event": [b"data: a\n: x\ndata: b\n\n"],
    "empty comment": [b":\n:\n\ndata: a\n:\n\n"],
    "comment like data": [b":data: x\ndata: a\n\n"],
    "no colon": [b"data\n\n"],
    "no colon twice": [b"data\ndata\n\n"],
    "colon alone": [b"data:\n\n"],
    "colon and a space": [b"data: \n\n"],
    "two spaces": [b"data:  a\n\n"],
    "spaces at the end": [b"data: a  \n\n"],
    "tab": [b"data:\ta\n\n"],
    "space and tab": [b"data: \ta\t\n\n"],
    "no-break space": [b"data:\xc2\xa0a\n\n"],
    "no space": [b"data:a\n\n"],
    "more colons": [b"data: a: b:c::\n\n"],
    "data lines that are empty": [b"data: a\ndata:\ndata: b\n\n"],
    "last data lines empty": [b"data: a\ndata\ndata:\n\n"],
    "first data lines empty": [b"data\ndata:\ndata: a\n\n"],
    "only empty lines of data": [b"data\ndata\ndata\n\n"],
    "space before the field": [b" data: a\n\ndata: b\n\n"],
    "space before the colon": [b"data : a\n\ndata: b\n\n"],
    "tab before the field": [b"\tdata: a\n\ndata: b\n\n"],
    "fields are small letters": [b"Data: a\nDATA: b\ndata: c\nID: 1\nEvent: x\n\n"],
    "unknown fields": [b"foo: a\ndataa: b\ndat: c\nbar\ndata: d\n\n"],
    "unknown fields alone": [b"foo: a\n\ndata: d\n\n"],
    "name": [b"event: x\ndata: a\n\n"],
    "name of one event": [b"event: x\ndata: a\n\ndata: b\n\n"],
    "name without data": [b"event: x\n\ndata: a\n\n"],
    "name after data": [b"data: a\nevent: x\n\n"],
    "name twice": [b"event: x\nevent: y\ndata: a\n\n"],
    "name taken back": [b"event: x\nevent:\ndata: a\n\n"],
    "name taken back without colon": [b"event: x\nevent\ndata: a\n\n"],
    "name empty": [b"event: \ndata: a\n\n"],
    "name with spaces": [b"event:  two words \ndata: a\n\n"],
    "name message": [b"event: message\ndata: a\n\n"],
    "name error": [b"event: error\ndata: a\n\ndata: b\n\n"],
    "name open": [b"event: open\ndata: a\n\n"],
    "name not ASCII": ["event: naïve\ndata: a\n\n".encode()],
    "name no UTF-8": [b"event: \xff\ndata: a\n\n"],
    "name with NUL": [b"event: a\0b\ndata: a\n\n"],
    "id": [b"id: 1\ndata: a\n\n"],
    "id persists": [b"id: 1\ndata: a\n\ndata: b\n\nid: 2\ndata: c\n\nevent: x\ndata: d\n\n"],
    "id of an event without data": [b"id: 1\n\ndata: a\n\n"],
    "id after data": [b"data: a\nid: 1\n\n"],
    "id twice": [b"id: 1\nid: 2\ndata: a\n\n"],
    "id taken back": [b"id: 1\ndata: a\n\nid\ndata: b\n\nid: 2\ndata: c\n\nid:\ndata: d\n\n"],
    "id empty": [b"id: 1\ndata: a\n\nid: \ndata: b\n\n"],
    "id with NUL": [b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\nid: \0\ndata: c\n\n"],
    "id with spaces": [b"id:  a b \ndata: a\n\n"],
    "id not ASCII": ["id: ï\ndata: a\n\n".encode()],
    "id no UTF-8": [b"id: \xff\xfe\ndata: a\n\n"],
    "id of a whole kilobyte": [b"id: " + b"i" * 1024 + b"\ndata: a\n\n"],
    "retry": [b"retry: 1000\ndata: a\n\n"],
    "retry alone": [b"retry: 1000\n\ndata: a\n\n"],
    "retry 0": [b"retry: 0\ndata: a\n\n"],
    "retry no number": [b"retry: 10x\nretry: -1\nretry: 1.5\nretry\nretry:\ndata: a\n\n"],
    "retry huge": [b"retry: 99999999999999999999999999\ndata: a\n\n"],
    "last event not ended": [b"data: a\n\ndata: b\n"],
    "last line not ended": [b"data: a\n\ndata: b"],
    "last line end missing": [b"data: a\n\nid: 2\ndata: b\n"],
    "never ended": [b"data: a"],
    "cut within a character": [b"data: a\n\ndata: \xe2\x82"],
    "NUL in data": [b"data: a\0b\0\n\n"],
    "NUL alone": [b"\0\n\ndata: a\n\n"],
    "NUL in a field": [b"da\0ta: a\ndata: b\n\n"],
    "NUL in a comment": [b":\0\ndata: a\n\n"],
    "control characters": [b"data: \x01\x1b[31m\x7f\n\n"],
    "UTF-8": ["data: é€😀\u0301\n\n".encode()],
    "UTF-8 torn": [b"data: \xf0", b"\x9f", b"\x98", b"\x80\n\n"],
    "stray continuation": [b"data: a\x80b\xbf\xbfc\n\n"],
    "overlong of 2": [b"data: \xc0\x80\xc1\xbf\n\n"],
    "overlong of 3": [b"data: \xe0\x80\x80\xe0\x9f\xbf\n\n"],
    "overlong of 4": [b"data: \xf0\x80\x80\x80\xf0\x8f\xbf\xbf\n\n"],
    "surrogates": [b"data: \xed\xa0\x80\xed\xbf\xbf\n\n"],
    "surrogate pair": [b"data: \xed\xa0\xbd\xed\xb8\x80\n\n"],
    "past the last": [b"data: \xf4\x90\x80\x80\xf5\x80\x80\x80\n\n"],
    "bytes that never are": [b"data: \xf8\x88\x80\x80\x80\xfe\xff\n\n"],
    "cut after 1 of 2": [b"data: \xc3\ndata: b\n\n"],
    "cut after 1 of 3": [b"data: \xe2\ndata: b\n\n"],
    "cut after 2 of 3": [b"data: \xe2\x82\ndata: b\n\n"],
    "cut after 1 of 4": [b"data: \xf0\r\ndata: b\r\n\r\n"],
    "cut after 2 of 4": [b"data: \xf0\x9f\rdata: b\r\r"],
    "cut after 3 of 4": [b"data: \xf0\x9f\x98\ndata: b\n\n"],
    "cut by a letter": [b"data: \xf0\x9f\x98a\xe2\x82b\xc3c\n\n"],
    "cut by another": [b"data: \xf0\x9f\xe2\x82\xac\xe2\xc3\xa9\n\n"],
    "characters that are none": [b"data: \xef\xbf\xbe\xef\xbf\xbf\xef\xb7\x90\n\n"],
    "no UTF-8 in a field": [b"da\xffta: a\ndata: b\n\n"],
    "no UTF-8 in a comment": [b":\xff\ndata: b\n\n"],
    "no-break space as field": [b"\xc2\xa0data: a\ndata: b\n\n"],
    "long line": [b"data: " + b"x" * 70000 + b"\n\n"],
    "many lines": [b"data: x\n" * 3000 + b"\n"],
    "many events": [b"".join(b"id: %d\ndata: %d\n\n" % (i, i) for i in range(300))],
    "long comment": [b":" + b"x" * 70000 + b"\ndata: a\n\n"],
    "long unknown field": [b"x" * 70000 + b"\ndata: a\n\n"],
    "line ends over the edges of blocks": [b"data: " + b"x" * 4089 + b"\r\n\r\n" +
                                           b"data: " + b"y" * 4085 + b"\r\n\r\n"],
    "many CRs": [b"data: a" + b"\r" * 9 + b"data: b" + b"\n" * 9],
}

# What the standard has, where the browser does not keep to it: Blink takes a line end
# that comes right behind a byte order mark as a part of the next line.
STANDARD = {
    "BOM on a line of its own": [["message", "a", ""]],
    "BOM, then CR": [["message", "a", ""]],
}

# Every name that an event of the table has: a page hears only those it asks for.
NAMES = ["message", "x", "y", "error", "open", "lag", "bye", " two words ", "naïve", "�",
         "a\0b", "a�b"]

PAGE = b"<!DOCTYPE html><title>events</title>"

SCRIPT = """
const [paths, names, done] = arguments, results = {};
const read = (path) => new Promise((resolve) => {
  const source = new EventSource(path), events = [];
  const take = (event) => events.push([event.type, event.data, event.lastEventId]);
  let opened = false;
  for (const name of names)
    source.addEventListener(name, (event) => {
      if (event instanceof MessageEvent) return take(event);
      if (event.type === "open") { opened = true; return; }
      source.close();  // the stream has ended: it would come back
      resolve(opened ? events : "it could not be opened");
    });
});
const next = paths.values();
const work = async () => { for (const path of next) results[path] = await read(path); };
Promise.all([work(), work(), work(), work()]).then(() => done(results));
"""


class Server:
    """The page, and each stream at /NUMBER/BYTES; a connection takes many requests."""

    def __init__(self):
        self.streams = list(STREAMS.values())
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                self.connections += 1
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        with contextlib.suppress(OSError), peer, peer.makefile("rb") as requests:
            while True:
                path = requests.readline().decode().split(" ")[1:2]
                while requests.readline() not in (b"\r\n", b""):
                    pass
                if not path:
                    return
                self._answer(peer, path[0].strip("/").split("/"))

    def _answer(self, peer, words):
        stream = len(words) == 2
        parts = self.streams[int(words[0])] if stream else [PAGE]
        kind = "text/event-stream" if stream else "text/html"
        peer.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nCache-Control: no-store\r\n"
                     f"Content-Length: {sum(map(len, parts))}\r\n\r\n".encode())
        for number, part in enumerate(parts):
            if number > 0:
                time.sleep(PAUSE)
            size = stream and int(words[1]) or len(part) or 1
            for at in range(0, len(part), size):
                peer.sendall(part[at:at + size])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def paths():
    """Where the browser reads: long streams not byte by byte, which would take long."""
    return [f"/{number}/{size}" for number, parts in enumerate(STREAMS.values())
            for size in PIECES if size != 1 or sum(map(len, parts)) < 1000]


def browser_reads():
    with Server() as server, Browser() as browser:
        browser.open(server.url)
        results = browser.run(SCRIPT, paths(), NAMES)
        assert server.connections <= 12, server.connections
        return results


def we_read(stream, size):
    result = subprocess.run([SSE_EVENTS, str(size)], input=stream, capture_output=True,
                            timeout=20)
    assert result.returncode == 0, result
    return [json.loads(line) for line in result.stdout.splitlines()]


def short(events):
    text = json.dumps(events)
    return text if len(text) < 500 else f"{text[:240]} ... {text[-240:]}"


def test_same_events():
    started = time.monotonic()
    browser = browser_reads()
    took = time.monotonic() - started
    differ, events = [], 0
    for number, (name, parts) in enumerate(STREAMS.items()):
        ours = {size: we_read(b"".join(parts), size) for size in OUR_PIECES}
        for size in PIECES:
            theirs = STANDARD.get(name) or browser.get(f"/{number}/{size}", ours[0])
            events += len(theirs)
            for piece, read in ours.items():
                if read != theirs:
                    differ.append(f"[{name}] in pieces of {size} the browser reads "
                                  f"{short(theirs)}, we in pieces of {piece} {short(read)}")
    assert not differ, "\n".join(differ)
    assert events > 300, events
    print(f"{len(STREAMS)} streams, {len(browser)} times read in {took:.1f} s", flush=True)


run(test_same_events)
