# SPDX-License-Identifier: Apache-2.0
"""The terminal UI on terminals of many kinds: what is on them, and how they are left."""
import contextlib
import errno
import fcntl
import json
import os
import pathlib
import pty
import random
import re
import select
import signal
import struct
import subprocess
import tempfile
import termios
import threading
import time

from harness import eventually, run
from tmux import Tmux, Window

TUI = os.environ.get("TUI_MAIN", "build/release/tests/scenario/tui-main")
ENTER, LEAVE = b"\033[?1049h", b"\033[?1049l"
GIB = 1 << 30
HOSTILE = "evil\033]52;c;eA==\a\033[31m\u202e\u200b\u009b2J e\u0301\u0301\u0301\u0301 \u4e2d"


def figure(value):
    return {"value": value, "from": "measured", "error": 0, "reason": None}


def model(name, port, device, size):
    return {"model": name, "model_id": name.replace("/", "-"), "port": port, "pid": port,
            "state": "ready", "stale": False, "age_ms": 100, "scrape_interval_ms": 500,
            "devices": [device], "vram": {"allocated_bytes": figure(size)},
            "kv_cache": {"used_bytes": figure(size // 4), "capacity_bytes": figure(size // 2),
                         "usage_ratio": 0.5}}


def document(names):
    return {"schema": 1, "version": "0.1.0", "boot": "00", "seq": 1, "unix_ms": 1,
            "interval_ms": 500, "devices": [
                {"backend": "nvml", "index": 0, "uuid": "GPU-0", "name": "Fake",
                 "total_bytes": 80 * GIB, "used_bytes": 60 * GIB, "processes_bytes": 0}],
            "vram": {"total_bytes": figure(80 * GIB), "allocated_bytes": figure(60 * GIB)},
            "models": [model(name, 8000 + i, 0, GIB * (i + 1))
                       for i, name in enumerate(names)]}


folder = tempfile.TemporaryDirectory()
PAGE = os.path.join(folder.name, "page.json")
pathlib.Path(PAGE).write_text(json.dumps(document(["org/first", "org/second", HOSTILE])))


class Pty:
    """The program on a pseudo-terminal of its own, whose other end is read by a thread."""

    def __init__(self, *arguments, term="xterm-256color", controlling=True, read=True,
                 rows=30, columns=100, **environment):
        self.master, self.slave = pty.openpty()
        self.output = b""
        self.errors = tempfile.TemporaryFile()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)

        def take_terminal():
            if controlling:
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.process = subprocess.Popen(
            [TUI, *arguments, PAGE], stdin=self.slave, stdout=self.slave, cwd=folder.name,
            stderr=self.errors, start_new_session=True, preexec_fn=take_terminal,
            env={**os.environ, "LC_ALL": "C.UTF-8", "TERM": term, **environment})
        self.reader = threading.Thread(target=self._read) if read else None
        self.wanted = True
        if read:
            self.reader.start()

    def _read(self):
        with contextlib.suppress(OSError):
            while self.wanted:
                if select.select([self.master], [], [], 0.02)[0]:
                    self.output += os.read(self.master, 65536)

    def close(self):
        """As when its window is closed."""
        self.wanted = False
        if self.reader:
            self.reader.join()
        for fd in (self.slave, self.master):
            with contextlib.suppress(OSError):
                os.close(fd)
        self.slave = self.master = -1

    def resize(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text)

    def shows(self, text):
        eventually(f"{text!r} is shown", lambda: text in self.output, 5)

    def ends(self, *status, seconds=2):
        """With one of these (-n: by signal n), and the terminal as it was."""
        began = time.monotonic()
        assert self.process.wait(5) in status, (self.process.returncode, self.said())
        assert time.monotonic() - began < seconds, time.monotonic() - began
        assert termios.tcgetattr(self.slave) == self.before, "the modes are not as they were"

    def left(self):
        """The screen of before is shown again, with a cursor, in its colours."""
        eventually("the second screen is left", lambda: LEAVE in self.output)
        tail = self.output[self.output.rindex(LEAVE):]
        assert ENTER not in tail
        assert b"\033[?25h" in self.output[-200:] or b"\033[?12l" in self.output[-200:]

    def said(self):
        return os.pread(self.errors.fileno(), 4096, 0).decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.close()
        self.errors.close()


class Shell(Window):
    """An interactive shell, which knows the program as $TUI."""

    def __init__(self, tmux):
        opened = tmux.open("PS1='ready> ' exec bash --norc -i")
        super().__init__(tmux, opened.pane)
        self.shows("ready>")

    def read(self, name):
        """A file that the shell writes."""
        path = pathlib.Path(self.tmux.folder.name, name)
        return eventually(f"there is {name}", lambda: path.exists() and path.read_text())


@contextlib.contextmanager
def shell():
    with Tmux(TUI=f"{TUI} {PAGE}") as tmux:
        yield Shell(tmux)


def test_screen_and_keys():
    with shell() as window:
        window.enter("stty -g >before; $TUI; stty -g >after; echo 'le''ft'")
        window.shows("org/first", "org/second", "evil\ufffd]52;c;eA==\ufffd", "\u4e2d")
        screen = window.screen()
        assert "e\u0301\u0301 \u4e2d" in screen, "two combining signs"
        assert not re.search("[\u200b\u202e\u009b\a\033]", screen)

        window.shows("\u25b6evil")
        window.type("Down")
        window.shows("\u25b6org/second")
        window.type_text("\033[B")  # of the mode the terminal is not in
        window.shows("\u25b6org/first")
        window.type("w")
        window.shows("the screen is in vramscope-")
        files = list(pathlib.Path(window.tmux.folder.name).glob("vramscope-????????-??????.txt"))
        assert len(files) == 1 and files[0].stat().st_mode & 0o777 == 0o600
        written = files[0].read_text()
        assert "org/first" in written and HOSTILE[:5] not in written
        assert "the screen is in" not in written

        for _ in range(4):
            window.type("t")  # all themes
        window.type("c", "c", "?")
        window.shows("choose a model")
        window.type("F1", "Escape", "/")
        window.type_text("s\u00e9x")
        window.type("BSpace")
        eventually("\u00e9 is typed", lambda: re.search("s\u00e9\\W", window.screen()), 5)
        window.type("BSpace")
        window.enter("econd")
        eventually("the filter hides", lambda: "org/first" not in window.screen(), 5)
        window.type("q")
        window.shows("left")
        assert "org/second" not in window.screen(), "the screen of before"
        assert window.read("before") == window.read("after")


def test_any_keys():
    """Bytes by chance, sizes by chance; nothing but a key to leave ends it."""
    keys = [b"\033[A", b"\033OB", b"\033[6~", b"\033OP", b"\033[F", b"\033[200;1~", b"\033[I",
            b"\r", b"\t", b"\x7f", b"/kv%>5 & a\r",
            *b"e|?|1|2|3|4|s|S|t|c|p| |+|-|G|[|]|\x0c|\xc3\xa9|\xff".split(b"|")]
    dice = random.Random(7)
    with Pty("recording", PAGE) as terminal:
        terminal.shows(b"org/first")
        for _ in range(200):
            terminal.type(dice.choice(keys))
            if dice.random() < 0.2:
                terminal.resize(dice.randrange(60), dice.randrange(200))
            time.sleep(0.005)
        assert terminal.process.poll() is None, terminal.said()
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends(0)


def test_resize_storm():
    with shell() as window:
        window.enter("$TUI; echo left with $?")
        window.shows("org/first", "org/second")
        sizes = [(1, 1), (2, 1), (1, 2), (3, 3), (10, 5), (40, 10), (79, 23), (80, 24),
                 (1, 50), (300, 1), (400, 120), (1, 1)]
        for columns, rows in sizes * 3:
            window.resize(columns, rows)
        window.resize(120, 32)
        window.shows("org/first", "org/second")
        window.type("q")
        window.shows("left with 0")


def test_absurd_sizes():
    with Pty() as terminal:
        terminal.shows(ENTER)
        for rows, columns in ((0, 0), (1, 65535), (65535, 1), (1, 1), (65535, 65535),
                              (24, 80)):
            terminal.resize(rows, columns)
            time.sleep(0.1)
            assert terminal.process.poll() is None
        eventually("it is drawn once more", lambda: b"org/first" in terminal.output[-20000:])
        terminal.type(b"q")
        terminal.ends(0, seconds=4)
        terminal.left()


def test_stop_and_go_on():
    with shell() as window:
        window.enter("stty -g >before; $TUI; stty -g >after")
        window.shows("org/first")
        window.type("C-z")
        window.shows("Stopped")
        assert "org/first" not in window.screen()
        assert window.read("before") == window.read("after")
        window.enter("fg")
        window.shows("org/first", "org/second")
        window.type("C-z")
        window.shows("ready> ")
        window.enter("clear; kill %1; sleep 0.5; echo 'en''ded'")  # while it is stopped
        window.shows("tui-main: 0", "ended")
        assert "org/first" not in window.screen()
        window.enter("$TUI & sleep 0.5; kill -CONT $!; fg")  # it stops itself, in the background
        window.shows("org/first")
        window.type("q")
        eventually("it has left", lambda: "org/first" not in window.screen(), 5)


def test_signals_to_leave():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        with Pty() as terminal:
            terminal.shows(ENTER)
            terminal.process.send_signal(number)
            terminal.ends(0)
            terminal.left()
    for key in (b"\003", b"\034", b"q"):
        with Pty() as terminal:
            terminal.shows(b"org/first")
            terminal.type(key)
            terminal.ends(0)
            terminal.left()


def test_crashes():
    for arguments, number in ((["fault"], signal.SIGILL), ([], signal.SIGSEGV),
                              ([], signal.SIGABRT), ([], signal.SIGBUS)):
        with Pty(*arguments) as terminal:
            terminal.shows(b"org/first")
            if not arguments:
                terminal.process.send_signal(number)
            # A sanitizer, which had the signal before, aborts.
            terminal.ends(-number, -signal.SIGABRT, seconds=5)
            terminal.left()


def test_one_that_never_comes_back():
    with Pty("stuck") as terminal:
        terminal.shows(b"org/first")
        time.sleep(2)
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends(-signal.SIGTERM)
        terminal.left()


def test_terminal_that_takes_nothing():
    """Ctrl-S, and one that nobody reads: neither is waited for in the end."""
    with Pty() as terminal:
        terminal.shows(b"org/first")
        terminal.type(b"\023")
        time.sleep(1.2)
        taken = len(terminal.output)
        terminal.type(b"\021")
        eventually("it goes on after Ctrl-Q", lambda: len(terminal.output) > taken)
        terminal.type(b"\023")
        time.sleep(0.2)
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends(0, -signal.SIGTERM, seconds=3)
        terminal.left()
    with Pty("flood", read=False, rows=500, columns=1000) as terminal:
        time.sleep(1)
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends(0, -signal.SIGTERM, seconds=3)


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_terminal_that_is_gone():
    for controlling in (True, False):
        with Pty(controlling=controlling) as terminal:
            terminal.shows(b"org/first")
            terminal.close()
            assert terminal.process.wait(2) in (0, errno.EIO), terminal.process.returncode


def test_idle_cost():
    with Pty() as terminal:
        terminal.shows(b"org/first")
        before, written = cpu_seconds(terminal.process.pid), len(terminal.output)
        time.sleep(2)
        used = cpu_seconds(terminal.process.pid) - before
        assert used < 0.4, f"{used} s of CPU in 2 s"
        assert len(terminal.output) - written < 4000, "only what has changed is written"


def test_types_of_terminals():
    for term in ("vt100", "linux", "xterm", "ansi", "vt52", "screen"):
        with Pty("ascii", term=term) as terminal:
            terminal.shows(b"org/first")
            terminal.type(b"q")
            terminal.ends(0)
    for term in ("dumb", "", "unknown", "no-such-terminal"):
        with Pty(term=term) as terminal:
            terminal.ends(errno.ENOTSUP)
            assert "TERM" in terminal.said() and "--once" in terminal.said(), terminal.said()
            assert b"\033" not in terminal.output
    with Pty("mono") as terminal:
        terminal.shows(b"org/first")
        terminal.type(b"q")
        terminal.ends(0)
        assert not re.search(rb"\033\[[0-9;]*[34][0-7]m", terminal.output), "a colour"


def test_true_colour():
    """Where terminfo says so; what the name promises is no promise of the terminal."""
    with tempfile.TemporaryDirectory() as types:
        source = os.path.join(types, "source")
        pathlib.Path(source).write_text(
            "direct|with colours by value, use=xterm-256color, RGB, colors#0x1000000,\n"
            "\tpairs#0x7fff, setaf=\\E[%?%p1%{8}%<%t3%p1%d%e38\\:2\\:\\:%p1%{65536}%/%d"
            "\\:%p1%{256}%/%{255}%&%d\\:%p1%{255}%&%d%;m,\n")
        made = subprocess.run(["tic", "-x", "-o", types, source], capture_output=True)
        assert made.returncode == 0, made.stderr
        with Pty(term="direct", TERMINFO=types) as terminal:
            terminal.shows(b"\033[38:2::135:175:215m")  # a heading of the dark theme
            terminal.type(b"q")
            terminal.ends(0)
    with Pty(COLORTERM="truecolor") as terminal:
        terminal.shows(b"\033[38;5;110m")
        terminal.type(b"q")
        terminal.ends(0)


def test_locale_without_signs():
    with Pty(LC_ALL="C") as terminal:
        terminal.shows(b"evil?]52;c;eA==?")
        terminal.type(b"c")
        time.sleep(0.2)
        terminal.type(b"q")
        terminal.ends(0)
        assert not re.search(rb"[\x80-\xff]", terminal.output)


def test_key_behind_what_is_no_character():
    with Pty(PAGE) as terminal:
        terminal.shows(b"org/first")
        terminal.type(b"\xff\033OP")
        terminal.shows(b"Help")
        terminal.type(b"q")
        terminal.ends(0)


def test_no_terminal():
    result = subprocess.run([TUI, PAGE], stdin=subprocess.DEVNULL, capture_output=True,
                            timeout=5)
    assert result.returncode == errno.EINVAL and result.stdout == b""
    assert b"--once" in result.stderr, result.stderr


def test_recording_is_held():
    with Pty("recording") as terminal:
        terminal.shows(b"org/first")
        terminal.type(b" ")
        terminal.shows(b"HELD")
        terminal.shows(b" held")
        terminal.type(b"+")
        terminal.shows(b"drawn every 0.2 s")
        terminal.type(b" ")
        terminal.shows(b"played on")
        terminal.type(b"q")
        terminal.ends(0)


run(test_screen_and_keys, test_any_keys, test_resize_storm, test_absurd_sizes,
    test_stop_and_go_on, test_signals_to_leave, test_crashes, test_one_that_never_comes_back,
    test_terminal_that_takes_nothing, test_terminal_that_is_gone, test_idle_cost,
    test_types_of_terminals, test_true_colour, test_locale_without_signs, test_no_terminal,
    test_key_behind_what_is_no_character, test_recording_is_held)
