# SPDX-License-Identifier: Apache-2.0
"""A daemon that is none, seen through the program vramscope: nothing that it sends comes
onto the terminal but as text, on any screen, and the terminal is left as it was."""
import concurrent.futures
import contextlib
import copy
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
import unicodedata

from follower import HEAD
from harness import run
from test_hostile_daemon import CPU_SECONDS_MAX, ROWS, Hostile

PROGRAM = os.environ.get("VRAMSCOPE", "build/release/src/vramscope")
RSS_KIB_MAX = 48 * 1024
FIGURE = {"value": 1 << 30, "from": "measured", "error": 0, "reason": None}
ROUGH = {"value": None, "from": "unknown", "error": None, "reason": "why"}
HITS = {"hits": 1, "queries": 4, "hit_percent": 25.0}

DETAIL = {
    "schema": 1, "version": "0.1.0", "boot": "00", "seq": 1, "unix_ms": 1, "interval_ms": 500,
    "vram": {"total_bytes": FIGURE, "allocated_bytes": FIGURE, "models_bytes": 1,
             "other_bytes": 2, "orphan_bytes": 3, "unattributed_bytes": -4},
    "kv_cache": {"used_bytes": 1, "unknown_models": 1},
    "prefix_cache": {"hit_percent": 12.5, "in_window": True},
    "gpu": {"age_ms": 1, "sources": [{"backend": "nvml", "verdict": "ok",
                                      "driver_version": "550", "reason": "why"}]},
    "devices": [{"backend": "nvml", "index": 0, "uuid": "GPU-0", "name": "A device",
                 "parent_uuid": "GPU-1", "instance": 1, "unified": False,
                 "total_bytes": 1 << 34, "used_bytes": 1 << 33, "reserved_bytes": 1,
                 "processes_bytes": 1, "reason": "why", "models_bytes": 1 << 32,
                 "kv_pool_bytes": ROUGH, "kv_used_bytes": ROUGH, "other_bytes": 1,
                 "orphan_bytes": 1, "unattributed_bytes": 1}],
    "models": [{"model": "org/name", "model_id": "org-name", "port": 8000, "pid": 7,
                "container_id": "c0", "pod_uid": "p0", "state": "ready", "reason": "why",
                "stale": False, "age_ms": 1, "scrape_interval_ms": 500, "devices": [0],
                "vram": {"allocated_bytes": FIGURE, "kv_pool_bytes": FIGURE,
                         "rest_bytes": ROUGH},
                "kv_cache": {"used_bytes": FIGURE, "capacity_bytes": FIGURE,
                             "retained_bytes": ROUGH, "source": "config.json",
                             "usage_ratio": 0.5, "used_blocks": 1, "blocks": 2,
                             "block_tokens": 16, "capacity_tokens": 32,
                             "data_parallel_engines": 1, "dtype": "fp8", "reason": "why"},
                "requests": {"running": 1, "waiting": 2, "preemptions": 3},
                "prefix_cache": {"from": "engine", "minute": HITS, "five_minutes": HITS,
                                 "lifetime": HITS}}],
    "processes": [{"pid": 7, "comm": "python3", "device": 0, "bytes": 5, "owner": "other",
                   "port": None}],
    "processes_left_out": 0,
    "self": {"rss_bytes": 1, "cpu_seconds": 1.0, "late_ms": 0.1, "subscribers": 1,
             "frames_sent": 1, "frames_skipped": 0, "worker_restarts": 0,
             "limited": {"heads": 1}},
}

# What a text may try. Each is put where a document has a text.
TEXTS = {
    "clipboard": "a\x1b]52;c;eA==\x07b",
    "title": "a\x1b]0;owned\x1b\\b",
    "answers": "a\x1b[6n\x1b[c\x1bZ\x1b[21tb",
    "device control": "a\x1bPq#0\x1b\\\x1b_x\x1b\\\x1b^y\x1b\\b",
    "modes": "a\x1b[?1003h\x1b[?69h\x1b[20h\x1bcb",
    "C1": "a\x9b31m\x9d0;x\x9c\x90b\x85c",
    "line ends": "a\r\nb\x0b\x0cc\u2028d\u2029e",
    "backspaces": "a\x08\x08\x7f\tb",
    "shifts": "a\x0e\x0f\x1b(0b",
    "bidirectional": "a\u202eb\u2066c\u200fd\u061ce",
    "nothing to see": "a\u200b\ufeff\u00ad\u2060\u180eb",
    "tags": "a\U000e0041\U000e007fb",
    "private use": "a\ue000\U000f0000\U0010fffdb",
    "no characters": "a\ufffe\uffff\ufdd0b",
    "combining": "a" + "\u0301" * 400 + "b" + "\u20e0" * 40,
    "only combining": "\u0301\u0302\u0303",
    "wide": "中" * 200,
    "joined": "👨\u200d👩\u200d👧\u200d👦" * 20,
    "variations": "❤\ufe0f☎\ufe0e" * 20,
    "right to left": "שלום עולם " * 20,
    "long": "x" * 4000,
    "empty": "",
    "blanks": " " * 300,
    "formats": "%s%n%99999d $(id) `id` '\"\\",
}

KEYS = (b"\r", b"\x1b", b"e", b"e", b"2", b"3", b"4", b"1", b"j", b"\r", b"G", b"\r", b"?",
        b"\x1b", b"/a\r", b"/\x1b", b"s", b"r", b"p", b"p", b"c", b"t", b"c", b"4", b"k")


def fill(value, text, key=None):
    """The document with that text in every place that holds one."""
    if isinstance(value, dict):
        return {(text if key == "limited" else name): fill(item, text, name)
                for name, item in value.items()}
    if isinstance(value, list):
        return [fill(item, text, key) for item in value]
    return text if isinstance(value, str) and key != "from" else value


def documents(text):
    """Models come and go, so that what happens is told too."""
    full = fill(DETAIL, text)
    gone, back = copy.deepcopy(full), copy.deepcopy(full)
    gone["models"] = []
    back["models"] = [dict(back["models"][0], port=8000 + i) for i in range(3)]
    return [json.dumps(dict(document, seq=seq)).encode()
            for seq, document in enumerate([full, gone, back] * 8)]


def stream(text):
    """A document each 100 ms, and what else a stream may say."""
    one_line = re.sub(r"[\r\n]", " ", text).encode()
    said = [HEAD]
    for number, document in enumerate(documents(text)):
        said.append(b"id: %s\ndata: %s\n\n" % (one_line[:900], document))
        if number % 8 == 3:
            said.append(b": no data (%s)\n\nevent: %s\ndata: %s\n\n" % (
                one_line, one_line[:80], one_line))
    return said


class Talker(Hostile):
    """Answers with the stream, piece by piece."""

    def __init__(self, pieces):
        self.pieces = pieces
        super().__init__(None)

    def _serve(self, peer):
        with contextlib.suppress(OSError), peer:
            peer.recv(4096)
            for piece in self.pieces:
                peer.sendall(piece)
                if self.ended.wait(0.1):
                    return
            self.ended.wait(30)


class Terminal:
    """The program on a terminal of its own, all that it writes there kept."""

    def __init__(self, url, *arguments):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 40, 132, 0, 0))
        self.slave, self.before = slave, termios.tcgetattr(slave)
        self.written, self.usage = b"", None
        self.process = subprocess.Popen(
            [PROGRAM, "--url", url, *arguments], stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True,
            env={**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"})

    def runs(self):
        """False once it has ended; then `usage` says what it cost."""
        if self.usage is None:
            pid, code, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                self.process.returncode, self.usage = code, usage
        return self.usage is None

    def read(self, seconds):
        """What comes in that time, or until it ends."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.master], [], [], min(left, 0.05))[0]:
                self.written += os.read(self.master, 65536)
            elif not self.runs():
                return

    def type(self, keys):
        os.write(self.master, keys)

    def end(self):
        """By SIGTERM, if it has not ended by itself; the seconds that took, and CPU time."""
        began = time.monotonic()
        if self.runs():
            self.process.send_signal(signal.SIGTERM)
        self.read(5)
        assert not self.runs(), "it does not end"
        after = termios.tcgetattr(self.slave)
        assert after == self.before, "the terminal's modes are not as they were"
        return time.monotonic() - began, self.usage.ru_utime + self.usage.ru_stime

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.runs():
            self.process.kill()
            self.process.wait()
        os.close(self.slave)
        os.close(self.master)


# One sequence of the terminal's; what is between ESC and the end of an OSC or DCS, too.
SEQUENCE = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|[]P_^X].*?(?:\x07|\x1b\\\\)|[ -/]+[0-~]|[0-~])",
                      re.DOTALL)
# Moving and colouring may have any figures; all else is as it is for a daemon that is one.
FREE = re.compile("\x1b(?:\\[[0-9;]*[ABCDGHJKLMPXdmrST@]|[78M])")


def own_sequences(text):
    return {sequence for sequence in SEQUENCE.findall(text) if not FREE.fullmatch(sequence)}


def check_written(written, own):
    text = written.decode()  # which is UTF-8, or this fails
    foreign = own_sequences(text) - own
    assert not foreign, f"sequences that are not the program's: {foreign}"
    rest = SEQUENCE.sub("", text)
    assert "\x1b" not in rest, "half a sequence"
    bad = {c for c in rest if c not in "\r\n\t\b" and
           unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")}
    assert not bad, f"characters that do harm: {bad}"
    run_length = 0
    for c in rest:
        run_length = run_length + 1 if unicodedata.combining(c) or \
            unicodedata.category(c) in ("Mn", "Me") else 0
        assert run_length <= 2, "a cell with a flood of combining characters"


def look(pieces):
    """What the program writes while its keys are pressed."""
    with Talker(pieces) as talker, Terminal(talker.url) as terminal:
        terminal.read(0.6)
        assert terminal.runs(), terminal.written
        for key in KEYS:
            terminal.type(key)
            terminal.read(0.12)
        took, _ = terminal.end()
        assert took < 2, f"SIGTERM took {took:.1f} s"
        assert b"\x1b[?1049l" in terminal.written[-300:], "the screen is not left"
        return terminal.written


def own():
    """The program's sequences, as a daemon that is one makes it write them."""
    written = look(stream("a text"))
    assert b"a text" in written, written[-3000:]
    return own_sequences(written.decode())


def each(function, names):
    """Side by side; every fault is printed."""
    def guarded(name):
        try:
            return name, None, function(name)
        except (AssertionError, UnicodeDecodeError) as fault:
            return name, fault, None

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        results = list(pool.map(guarded, names))
    for name, fault, said in results:
        print(f"  {'bad' if fault else 'ok ':3} {name}: {str(fault)[:500] if fault else said}",
              flush=True)
    assert not any(fault for _, fault, _ in results)


def test_screens():
    known = own()

    def check(name):
        written = look(stream(TEXTS[name]))
        check_written(written, known)
        if "\x1b" in TEXTS[name]:
            assert "\ufffd".encode() in written, "what was sent is not shown at all"
        return f"{len(written)} bytes"

    each(check, TEXTS)


COMMANDS = (("--once",), ("stream", "--count", "3"), ("stream", "--csv", "--count", "3"),
            ("doctor",), ("check",), ("events", "--count", "2"), ("advise",))


def test_commands():
    """On a terminal, where colours are: nothing else of a sequence, nothing of theirs."""
    def check(name):
        for command in COMMANDS:
            with Talker(stream(TEXTS[name])) as talker:
                with Terminal(talker.url, *command) as terminal:
                    terminal.read(3)
                    terminal.end()
                    check_written(terminal.written, set())
        return f"{len(COMMANDS)} commands"

    each(check, [name for name in TEXTS if any(
        unicodedata.category(c)[0] == "C" for c in TEXTS[name])])


HARD = ("a line of 64 MB", "an event that never ends", "deep JSON", "10,000 models",
        "65,000 objects", "retry: 0, and closed", "closed at once", "comments without end",
        "an error with escapes", "a type with escapes", "a redirect", "a flood of fields",
        "a chunk past 64 bits", "bytes of chance", "no JSON")


def watch_memory(pid, peaks):
    """The most it ever had; what wait4() says counts the script it was forked from."""
    with contextlib.suppress(OSError, TypeError):
        while True:
            status_file = pathlib.Path(f"/proc/{pid}/status").read_text()
            peaks.append(int(re.search(r"VmHWM:\s+(\d+)", status_file)[1]))
            time.sleep(0.05)


def test_ways_to_answer():
    """The terminal as test_hostile_daemon has the library: small, idle, and it ends."""
    known = own()

    def check(name):
        peaks = []
        with Hostile(ROWS[name]) as hostile, Terminal(hostile.url) as terminal:
            watcher = threading.Thread(target=watch_memory,
                                       args=(terminal.process.pid, peaks))
            watcher.start()
            terminal.read(4)
            took, cpu = terminal.end()
            watcher.join()
            attempts = len(hostile.times)
        check_written(terminal.written, known)
        assert took < 2, f"SIGTERM took {took:.1f} s"
        assert 2 <= attempts <= 5, f"{attempts} attempts in 4 s"
        assert max(peaks) < RSS_KIB_MAX, f"{max(peaks)} KiB"
        assert cpu < CPU_SECONDS_MAX, f"{cpu:.2f} s of CPU"
        return f"{attempts} attempts, {max(peaks)} KiB, {cpu:.2f} s of CPU"

    each(check, HARD)


if __name__ == "__main__":
    run(test_screens, test_commands, test_ways_to_answer)
