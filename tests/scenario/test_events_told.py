# SPDX-License-Identifier: Apache-2.0
"""vramscope events: what a daemon keeps, and with --follow each event once, whatever becomes
of the connection, of documents on the way, or of the daemon."""
import contextlib
import json
import os
import queue
import signal
import subprocess
import threading

from harness import Daemon, Engine, alone, eventually, page_answer, run, vllm_page

PROGRAM = os.environ.get("VRAMSCOPE", "build/release/src/vramscope")
START = 1790000000000


def event(number, at=None, severity="info", **more):
    return {"id": number, "unix_ms": START + (number if at is None else at) * 1000,
            "kind": "engine_found", "severity": severity, "model": "org/a",
            "model_id": "org-a", "port": 8000, "device": None, "text": f"event {number}", **more}


class Keeper(Engine):
    """A daemon that keeps `kept`; its stream is what is put into `documents`."""

    def __init__(self, kept, status="200 OK", port=0):
        self.kept, self.status, self.documents = kept, status, queue.Queue()
        super().__init__(self._answer, port)

    def _answer(self, peer):
        path = self.requests[-1].split()[1]
        if path == "/v1/detail/stream":
            return self._stream(peer)
        after = int(path.partition("?after=")[2].partition("&")[0] or 0)
        body = json.dumps({"boot": "b", "events": [
            e for e in self.kept if e["id"] > after][-256:]}).encode()
        peer.sendall(f"HTTP/1.1 {self.status}\r\nContent-Type: application/json\r\n"
                     f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return None

    def _stream(self, peer):
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 500\n\n")
        while (document := self.documents.get()) is not None:
            text = json.dumps({"schema": 1, "unix_ms": START + 99000, "interval_ms": 500,
                               **document})
            peer.sendall(f"data: {text}\n\n".encode())
        peer.close()

    def say(self, boot, *events):
        """A document, which tells the newest of them."""
        self.documents.put({"boot": boot, "events": list(events)[-16:]})


def told(*arguments, status=0):
    result = subprocess.run([PROGRAM, "events", *arguments], text=True, timeout=20,
                            capture_output=True, check=False, stdin=subprocess.DEVNULL,
                            env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"})
    assert result.returncode == status, result
    return result.stdout, result.stderr


class Following:
    """vramscope events --follow --json; what it prints, line by line."""

    def __init__(self, *urls, more=()):
        arguments = [word for url in urls for word in ("--url", url)]
        self.process = subprocess.Popen(
            [PROGRAM, *arguments, "events", "--follow", "--json", *more], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def tells(self, *wanted):
        for number in wanted:
            line = self.lines.get(timeout=10)
            assert line["id"] == number, (line, wanted)
        return line

    def is_quiet(self):
        with contextlib.suppress(queue.Empty):
            raise AssertionError(self.lines.get(timeout=0.7))

    def end(self, status=0):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(10) == status
        return self.process.stderr.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def test_what_is_kept():
    kept = [event(1), event(2, severity="warning"), event(3, kind="of_tomorrow", new=[1])]
    with Keeper(kept) as keeper:
        lines = told("--url", keeper.url)[0].splitlines()
        assert lines[1] == ("2026-09-21 14:13:22.000 warning  engine_found        event 2"), lines
        assert [line.split()[-1] for line in lines] == ["1", "2", "3"], lines
        host = f"127.0.0.1:{keeper.port}"
        lines = [json.loads(line) for line in told("--url", keeper.url, "--json")[0].splitlines()]
        assert lines == [{**e, "host": host} for e in kept], lines
        newest = told("--url", keeper.url, "--count", "2")[0].splitlines()
        assert [line.split()[-1] for line in newest] == ["2", "3"], newest
        with Keeper([event(7)]) as other:
            lines = told("--url", keeper.url, "--url", other.url)[0].splitlines()
            assert len(lines) == 4 and f"127.0.0.1:{other.port}" in lines[3], lines
            out, err = told("--url", "127.0.0.1:1", "--url", other.url, status=1)
            assert "event 7" in out and "127.0.0.1:1" in err, (out, err)
    with Keeper([]) as keeper:
        assert told("--url", keeper.url) == ("", "")


def test_of_a_real_daemon():
    with Engine(page_answer(vllm_page())) as engine, Daemon(
            "--gpu", "none", "--no-discover", "--engine", engine.url) as daemon:
        def kept():
            return json.loads(daemon.get("/v1/events")[2])["events"]
        eventually("its engine is found", lambda: len(kept()) >= 2)
        url = daemon.url("")
        lines = [json.loads(line) for line in told("--url", url, "--json")[0].splitlines()]
        assert [{**e, "host": url.split("//")[1].strip("/")} for e in kept()] == lines, lines
        with Following(url) as following:
            assert following.tells(1)["kind"] == "daemon_started"
            assert following.tells(2)["kind"] == "engine_found"
            following.is_quiet()


def test_a_daemon_that_keeps_none():
    with Keeper([], "404 Not Found") as keeper:
        assert "keeps no events" in told("--url", keeper.url, status=1)[1]
        # A replay has no such route, but its documents tell.
        with Following(keeper.url) as following:
            keeper.say("b", event(1), event(2))
            following.tells(1, 2)
            assert "keeps no events" in following.end()
    with Keeper([], "404 Not Found") as keeper:
        with Following(keeper.url) as following:
            keeper.documents.put({"boot": "b"})
            assert following.process.wait(10) == 1
            assert "tells no events" in following.process.stderr.read()


def test_each_once():
    with Keeper([event(1), event(2)]) as keeper, Following(keeper.url) as following:
        following.tells(1, 2)
        keeper.say("b", event(1), event(2))
        keeper.say("b", event(1), event(2), event(3))
        keeper.say("b", event(1), event(2), event(3))
        following.tells(3)
        following.is_quiet()

        # Documents were skipped: there is more than one of them tells.
        keeper.kept = [event(n) for n in range(1, 41)]
        keeper.say("b", *keeper.kept)
        following.tells(*range(4, 41))

        # The connection breaks, and comes back.
        keeper.documents.put(None)
        keeper.say("b", *keeper.kept)
        keeper.say("b", *keeper.kept, event(41))
        following.tells(41)

        # A daemon that keeps nothing begins its ids anew, one that does goes on.
        keeper.say("c", event(1, 60), event(2, 61))
        assert following.tells(1, 2)["unix_ms"] == START + 61000
        keeper.say("d", event(1, 60), event(2, 61), event(3, 70))
        following.tells(3)
        following.is_quiet()
        following.end()


def test_over_a_restart():
    """More has happened meanwhile than a document tells."""
    with Keeper([event(1), event(2)]) as keeper, Following(keeper.url) as following:
        following.tells(1, 2)
        keeper.say("b", event(1), event(2))
        keeper.kept = [event(n) for n in range(1, 41)]
        keeper.say("c", *keeper.kept)  # with a history its ids go on
        following.tells(*range(3, 41))
        keeper.kept = [event(n, 100 + n) for n in range(1, 31)]
        keeper.say("d", *keeper.kept)  # without they do not
        following.tells(*range(1, 31))
        following.is_quiet()
        following.end()


def test_as_many_as_are_wanted():
    with Keeper([event(1), event(2)]) as keeper:
        with Following(keeper.url, more=("--count", "4")) as following:
            keeper.say("b", event(1), event(2), event(3))
            following.tells(1, 2, 3)
            assert following.process.poll() is None
            keeper.say("b", event(1), event(2), event(3), event(4))
            following.tells(4)
            assert following.process.wait(10) == 0
    out, err = told("--url", "127.0.0.1:1", "--follow", status=1)
    assert out == "" and "127.0.0.1:1" in err, (out, err)


alone()
run(test_what_is_kept, test_of_a_real_daemon, test_a_daemon_that_keeps_none, test_each_once,
    test_over_a_restart, test_as_many_as_are_wanted)
