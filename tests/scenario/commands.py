# SPDX-License-Identifier: Apache-2.0
"""The commands of the documentation, run as they stand where they can be."""
import contextlib
import os
import pathlib
import pty
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time

from harness import Spawned, eventually
from pages import SOURCE, blocks

BUILD = pathlib.Path(os.environ.get("BUILD_ROOT", "build/release")).resolve()
ENDS_IN, LIVES_FOR = 20, 1.2  # seconds
STATUSES = {"vramscope check": {0, 1, 2}, "vramscope doctor": {0, 1},
            "vramscope advise": {0, 1}}  # of others 0 alone
INSTALLED = {"/etc/vramscope/": "dist/config/"}  # where the sources have what is there


# ---- Those that cannot run here: what they name is looked for ----

def exists(path):
    assert list(SOURCE.glob(path)), f"there is no {path}"


def unit_exists(words):
    for word in words:
        if word.startswith("vramscope"):
            unit = word if "." in word else word + ".service"
            in_text = f"/{unit}`" in (SOURCE / "docs/systemd.md").read_text()
            assert in_text or list(SOURCE.glob(f"dist/systemd/{unit}*")), f"no unit {unit}"


def target_exists(words):
    target = next((word for word in words[1:] if "=" not in word), "all")
    makefile = (SOURCE / "Makefile").read_text()
    assert re.search(rf"^{re.escape(target)}:", makefile, re.M), f"no target {target}"


def meson_knows(words):
    options = (SOURCE / "meson_options.txt").read_text()
    tests = "".join(path.read_text() for path in (SOURCE / "tests").glob("*/meson.build"))
    for word in words[2:]:
        name = re.match(r"-D(\w+)=", word)
        built_in = name and (name[1].startswith("b_") or name[1] in ("prefix", "buildtype"))
        assert not name or built_in or f"option('{name[1]}'" in options, word
        if words[1] == "test" and re.fullmatch(r"[a-z_]+", word):
            assert f"'{word}'" in tests, f"no test {word}"


def ninja_knows(words):
    targets = (SOURCE / "src/meson.build").read_text()
    for word in words[1:]:
        if re.fullmatch(r"[a-z-]+", word):
            assert f"alias_target('{word}'" in targets, f"no target {word}"


def manual_exists(words):
    for word in words[1:]:
        exists(f"man/{word.removeprefix('man/')}*")


def files_exist(words):
    """Files of ours that are named, and what is taken from where they are installed."""
    for word in words[1:]:
        if word.startswith("/usr/share/doc/vramscope/examples/"):
            exists("**/" + word.rsplit("/", 1)[1])
        elif word.startswith(("dist/", "tools/", "docs/", "examples/")):
            exists(word)


def packages_exist(words):
    files_exist(words)
    for word in words:
        name = re.match(r"\./build/packages/([\w-]+)_", word)
        if name and (SOURCE / "debian/control").exists():
            assert f"Package: {name[1]}\n" in (SOURCE / "debian/control").read_text(), word


CANNOT = {  # program: (why it is not run, what is looked at instead)
    "make": ("installs packages and builds", target_exists),
    "meson": ("builds and installs", meson_knows),
    "ninja": ("builds", ninja_knows),
    "man": ("needs its database", manual_exists),
    "apt-get": ("changes this host", packages_exist),
    "systemctl": ("there may be no systemd", unit_exists),
    "journalctl": ("there may be no journal", unit_exists),
    "systemd-sysusers": ("changes this host", files_exist),
    "ldconfig": ("changes this host", files_exist),
    "install": ("writes into /etc", files_exist),
    "podman": ("there is no container engine", files_exist),
    "docker": ("there is no container engine", files_exist),
    "kubectl": ("there is no cluster", files_exist),
    "tools/make-packages": ("builds for minutes", lambda words: exists(words[0])),
}


# ---- Those that run ----

def fields(command):
    """Its words, and the first of each part of a pipeline or list."""
    words = shlex.split(command, comments=False)
    return words, [shlex.split(part)[0] for part in re.split(r"\s(?:\||&&|;)\s", command)]


def is_daemon(words):
    ending = {"--check-config", "--help", "--version"}
    return words[0].endswith("vramscoped") and not ending & set(words)


def goes_on(words):
    """Until it is told to end."""
    if words[0] == "curl":
        return any(re.fullmatch(r"-\w*N\w*", word) for word in words)
    if words[0].endswith("vramscope"):
        what = [word for word in words[1:] if not word.startswith("-")]
        ending = {"--once", "--help", "--version", "--count"} & set(words)
        return not ending and (not what or what[0] not in (
            "check", "doctor", "advise", "help", "events") or "--follow" in words)
    return is_daemon(words)


class Workplace:
    """A folder as the sources' is, with what pages take for granted, and the programs."""

    def __init__(self, page, history=None):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        for name in ("docs", "man", "examples", "tools", "dist"):
            shutil.copytree(SOURCE / name, self.path / name)
        (self.path / "build").mkdir()
        if history:
            (self.path / "FILE").symlink_to(history)
        (self.path / "build/release").symlink_to(BUILD)
        snippets = [block.text for block in blocks(page) if block.kind == "yaml"]
        (self.path / "vramscope.yaml").write_text(snippets[0] if snippets else "{}\n")
        (self.path / "token").write_text("0123456789abcdef" * 4 + "\n")
        os.chmod(self.path / "token", 0o600)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
                        "-keyout", "key.pem", "-out", "cert.pem"],
                       cwd=self.path, check=True, capture_output=True)
        os.chmod(self.path / "key.pem", 0o600)
        subprocess.run([BUILD / "src/vramscope", "record", "FILE.gz", "--count", "2"],
                       cwd=self.path, check=True, capture_output=True)
        (self.path / "libvramscope.pc").write_text(
            f"Name: libvramscope\nDescription: as it was built\nVersion: 0\n"
            f"Cflags: -I{SOURCE}/include\nLibs: -L{BUILD}/src/client -lvramscope\n")
        self.env = {**os.environ, "PATH": f"{BUILD}/src:{os.environ['PATH']}",
                    "PKG_CONFIG_PATH": self.folder.name, "TERM": "xterm", "LC_ALL": "C.UTF-8"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


class Network(Spawned):
    """A network of its own for the commands of a block that starts a daemon."""

    def __init__(self):
        super().__init__(["unshare", "--net", "sh", "-c",
                          "ip link set lo up; exec sleep 600"])
        self.inside = ["nsenter", f"--net=/proc/{self.pid}/ns/net"]
        eventually("the network is up", lambda: subprocess.run(
            [*self.inside, "ip", "-o", "link", "show", "up", "lo"],
            capture_output=True).stdout)


class Running:
    """A command on a terminal, and what it has written there."""

    def __init__(self, command, place, inside, env):
        self.terminal, end = pty.openpty()
        self.text = b""
        self.process = subprocess.Popen(
            [*inside, "bash", "-c", command], stdin=end, stdout=end, stderr=end,
            start_new_session=True, cwd=place.path, env=env)
        os.close(end)
        os.set_blocking(self.terminal, False)

    def read(self):
        with contextlib.suppress(OSError):  # nothing more, or nobody there
            while more := os.read(self.terminal, 1 << 16):
                self.text += more
        return self.text

    def ended(self):
        self.read()
        return self.process.poll() is not None

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.terminal)


def program_exists(name, place):
    if name.startswith("("):
        return True
    return shutil.which(name, path=place.env["PATH"]) or (place.path / name).exists()


def run_command(command, place, inside, env):
    """Run it to its end, or for as long as it takes to see that it goes on."""
    for there, here in INSTALLED.items():
        command = command.replace(there, here)
    words, programs = fields(command)
    for program in programs:
        assert program_exists(program, place), f"what is '{program}'?"
    running = Running(command, place, inside, env)
    try:
        if goes_on(words):
            eventually("it writes something", running.read, ENDS_IN)
            time.sleep(LIVES_FOR)
            assert not running.ended() or running.process.returncode == 0, running.text
            return
        eventually(f"it ends: {running.text}", running.ended, ENDS_IN)
        allowed = STATUSES.get(" ".join(words[:2]), {0})
        assert running.process.returncode in allowed, \
            f"ended with {running.process.returncode}: {running.text.decode()}"
    finally:
        running.end()


def run_queries(block, place):
    """Those of a page on the history, if it is kept."""
    if (place.path / "FILE").exists():
        file = sqlite3.connect(f"file:{place.path}/FILE?mode=ro", uri=True)
        with contextlib.closing(file):
            for statement in re.split(r";\n", block.text):
                file.execute(statement).fetchall()


def run_block(block, place):
    """Its commands, one after the other; a daemon of its own lives as long as the block."""
    with contextlib.ExitStack() as stack:
        inside, env, daemon = [], place.env, None
        for command in block.commands():
            words, _ = fields(command)
            if words[0] in CANNOT:
                CANNOT[words[0]][1](words)
                continue
            if not is_daemon(words):
                run_command(command, place, inside, env)
                continue
            if daemon:
                daemon.end()
            inside = inside or stack.enter_context(Network()).inside
            # No driver, and nobody else's servers: it is to stream.
            daemon = Running(command, place, inside, {**env, "VRAMSCOPE_GPU": "none",
                                                      "VRAMSCOPE_DISCOVER": "false"})
            stack.callback(lambda daemon=daemon: daemon.ended() or daemon.end())
            eventually(f"it listens: {daemon.text}", lambda:
                       b"listening on" in daemon.read() or daemon.ended(), ENDS_IN)
            assert not daemon.ended(), daemon.text.decode()


RUN = {"shell": run_block, "sql": run_queries}
