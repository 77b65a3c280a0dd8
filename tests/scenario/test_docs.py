# SPDX-License-Identifier: Apache-2.0
"""The documentation is true: each command runs, each snippet is read, each link leads on.

Pages are found by themselves, and each indented or fenced block is held to be commands
unless it is told apart in pages.py. A command is run as it stands, beside a demo on the
default address, in a folder that looks like the sources'. One whose program is in CANNOT is
not run here, and what it names is looked for instead; a program that there is not fails.
"""
import contextlib
import json
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
import urllib.error
import urllib.request

from harness import DAEMON, Skip, Spawned, alone, config, eventually, run
from pages import PAGES, SOURCE, anchors, blocks, prose

BUILD = pathlib.Path(os.environ.get("BUILD_ROOT", "build/release")).resolve()
URL = "http://127.0.0.1:6767"
# What comes with other parts of the project and is linked to; nothing, once they are there.
PROMISED = {"docs/install.md", "docs/engines.md", "docs/history.md", "docs/advice.md"}
INSIDE = {"adding.md", "style.md"}
ENDS_IN, LIVES_FOR = 20, 1.2  # seconds
STATUSES = {"vramscope check": {0, 1, 2}, "vramscope doctor": {0, 1}, "vramscope advise": {0, 1}}
FOREIGN_FLAGS = {  # of vLLM, docker, meson, git and others, where pages speak of them
    "--gpu-memory-utilization", "--kv-cache-memory-bytes", "--disable-log-stats", "--gpus",
    "--device", "--pid", "--hf-overrides", "--max-num-seqs", "--max-model-len", "--uds",
    "--api-key", "--num-gpu-blocks-override", "--tensor-parallel-size", "--served-model-name",
    "--no-enable-prefix-caching"}
INSTALLED = {"/etc/vramscope/": "dist/config/"}  # where the sources have what is there
PAGE_FILES = {"/dashboard.js", "/feed.js", "/dashboard.css", "/icon.svg"}
FOREIGN_ROUTES = {"/v1/models", "/server_info"}


# ---- Commands that cannot run here: what they name is looked for ----

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
    assert re.search(rf"^{re.escape(target)}:", (SOURCE / "Makefile").read_text(), re.M), target


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
    for word in words[1:]:
        if re.fullmatch(r"[a-z-]+", word):
            assert f"alias_target('{word}'" in (SOURCE / "src/meson.build").read_text(), word


def manual_exists(words):
    for word in words[1:]:
        assert list((SOURCE / "man").glob(word.removeprefix("man/") + "*")), f"no manual {word}"


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
    "tools/make-packages": ("builds for minutes", lambda words: exists("tools/make-packages")),
}


# ---- Commands that run ----

def fields(command):
    """Its words, and the first of each part of a pipeline or list."""
    words = shlex.split(command, comments=False)
    return words, [shlex.split(part)[0] for part in re.split(r"\s(?:\||&&|;)\s", command)]


def is_daemon(words):
    return words[0].endswith("vramscoped") and not {"--check-config", "--help", "--version"} & set(words)


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
                        "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-keyout",
                        "key.pem", "-out", "cert.pem"], cwd=self.path, check=True,
                       capture_output=True)
        os.chmod(self.path / "key.pem", 0o600)
        subprocess.run([BUILD / "src/vramscope", "record", "FILE.gz", "--count", "2"],
                       cwd=self.path, check=True, capture_output=True)
        (self.path / "libvramscope.pc").write_text(
            f"Name: libvramscope\nDescription: as it was built\nVersion: 0\n"
            f"Cflags: -I{SOURCE}/include\nLibs: -L{BUILD}/src/client -lvramscope\n")
        self.env = {**os.environ, "PATH": f"{BUILD}/src:{os.environ['PATH']}", "TERM": "xterm",
                    "PKG_CONFIG_PATH": self.folder.name, "LC_ALL": "C.UTF-8"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


class Network(Spawned):
    """A network of its own for the commands of a block that starts a daemon."""

    def __init__(self):
        super().__init__(["unshare", "--net", "sh", "-c", "ip link set lo up; exec sleep 600"])
        self.inside = ["nsenter", f"--net=/proc/{self.pid}/ns/net"]
        eventually("the network is up", lambda: subprocess.run(
            [*self.inside, "ip", "-o", "link", "show", "up", "lo"], capture_output=True).stdout)


class Running:
    """A command on a terminal, and what it has written there."""

    def __init__(self, command, place, inside, env):
        self.terminal, end = pty.openpty()
        self.text = b""
        self.process = subprocess.Popen([*inside, "bash", "-c", command], stdin=end, stdout=end,
                                        stderr=end, start_new_session=True, cwd=place.path, env=env)
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
            assert not running.ended() or running.process.returncode == 0, running.text.decode()
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
        with contextlib.closing(sqlite3.connect(f"file:{place.path}/FILE?mode=ro", uri=True)) as db:
            for statement in re.split(r";\n", block.text):
                db.execute(statement).fetchall()


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
            eventually(f"it listens: {daemon.text}", lambda: b"listening on" in daemon.read()
                       or daemon.ended(), ENDS_IN)
            assert not daemon.ended(), daemon.text.decode()


@contextlib.contextmanager
def demo():
    """On the default address, as `make run` starts it; gives the file of its history."""
    keeps = '"history"' in (SOURCE / "src/config/options.def").read_text()
    with tempfile.TemporaryFile() as log, tempfile.TemporaryDirectory() as folder:
        history = os.path.join(folder, "history") if keeps else None
        with Spawned([DAEMON, "--demo", *(["--history", history] if keeps else [])], stderr=log):
            eventually("the demo has models", lambda: answer("/vram")[0] == 200, 15)
            yield history


def answer(path):
    try:
        with urllib.request.urlopen(URL + path, timeout=5) as response:
            return response.status, response.read(1 << 16) if "stream" not in path else b""
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


RUN = {"shell": run_block, "sql": run_queries}


def test_commands():
    if "ALONE" not in os.environ:
        raise Skip("no namespaces: the default address may be somebody else's")
    count, faults = 0, []
    with demo() as history:
        for page in PAGES:
            some = [block for block in blocks(page) if block.kind in RUN]
            if not some:
                continue
            with Workplace(page, history) as place:
                for block in some:
                    count += len(block.commands())
                    try:
                        RUN[block.kind](block, place)
                    except (AssertionError, OSError, ValueError, sqlite3.Error) as error:
                        faults.append(f"{block.place}: {block.text}\n    {error}")
    assert not faults, "\n".join(faults)
    assert count > 20, count


def test_routes():
    """Each route that a page names is there, and each that is there is in both references."""
    if "ALONE" not in os.environ:
        raise Skip("no namespaces: the default address may be somebody else's")
    with demo():
        all_routes = re.findall(r"/[\w/]*", json.loads(answer("/none")[1])["error"]["message"])
        for page in PAGES:
            text = page.read_text()
            named = re.findall(r"(?:`(?:GET )?|127\.0\.0\.1:6767)(/[a-z0-9_/.]*)(\?[a-z0-9_=&]+(?=[`\s]))?", text)
            for route, query in named:
                if not re.match(r"/(?:vram|v1|metrics|healthz|readyz|version|dashboard|feed)\b",
                                route) or route in FOREIGN_ROUTES:
                    continue
                if route in PAGE_FILES and answer("/dashboard.js")[0] == 404:
                    continue  # built without its page
                status, _ = answer(route + query)
                assert status == 200, f"{page.name}: {route}{query} is answered with {status}"
    manual = (SOURCE / "man/vramscope-wire.7").read_text()
    wire = (SOURCE / "docs/wire.md").read_text()
    for route in all_routes:
        assert re.search(rf"^\.It Pa {route}(?: |$)", manual, re.M), f"{route} is not in the manual"
        assert f"GET {route}`" in wire or f"GET {route}?" in wire, f"{route} is not in wire.md"


# ---- Snippets ----

def parse_json(text):
    """With `...` for what is left out."""
    text = re.sub(r"([{\[])\.\.\.([}\]])", r"\1\2", text)
    return json.loads(re.sub(r",\.\.\.", "", text))


def check_config(text, place):
    with config(text) as path:
        done = subprocess.run([DAEMON, "--check-config", "--config", path], capture_output=True,
                              text=True)
        assert done.returncode == 0, f"{place}: {done.stderr}"


def check_snippet(block):
    if block.kind == "json":
        try:
            parse_json(block.text)
        except ValueError:  # it is of a document on each line, then
            for line in block.lines:
                parse_json(line)
    elif block.kind == "sse":
        for line in block.lines:
            if line.startswith("data: "):
                parse_json(line[len("data: "):])
    elif block.kind == "yaml" and not re.search(
            r"^(?:apiVersion|services|scrape_configs|global|groups):", block.text, re.M):
        check_config(block.text, block.place)
    elif block.kind == "sql":
        for statement in re.split(r";\n", block.text.rstrip(";")):
            assert sqlite3.complete_statement(statement + ";"), block.place
    elif block.kind == "c":
        subprocess.run(["cc", "-std=c99", "-fsyntax-only", "-Wall", "-Werror", f"-I{SOURCE}/include",
                        "-xc", "-"], input=block.text, text=True, check=True)


def test_snippets():
    seen = set()
    for page in PAGES:
        for block in blocks(page):
            try:
                check_snippet(block)
            except (ValueError, subprocess.CalledProcessError) as error:
                raise AssertionError(f"{block.place}: {error}: {block.text}") from None
            seen.add(block.kind)
    assert {"json", "sse", "yaml", "shell"} <= seen, seen


# ---- Prose ----

def test_flags():
    """An option that is named in a page is one of a program of ours, or a known other's."""
    known = set(FOREIGN_FLAGS)
    for path in ("src/config/options.def", "src/cli/options.def"):
        known |= {"--" + flag for flag in re.findall(r'"([a-z][a-z-]+)"', (SOURCE / path).read_text())}
    known |= set(re.findall(r'"(--[a-z-]+)"', (SOURCE / "src/sim/sim_options.c").read_text()))
    for page in PAGES:
        spans = re.findall(r"`([^`\n]+)`", prose(page))
        for span in spans + [block.text for block in blocks(page) if block.kind == "shell"]:
            words = re.split(r"[\s|]+", span)
            if words[0] in CANNOT or words[0] in ("openssl", "sqlite3", "cc", "jq"):
                continue
            for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", span):
                ours = flag in known or flag.replace("--", "--no-", 1) in known
                other = any(f"{program} " in span for program in CANNOT)
                assert ours or other, f"{page.name}: {flag} in `{span}`"


def test_links():
    for page in [*PAGES, SOURCE / "ARCHITECTURE.md", SOURCE / "SECURITY.md"]:
        text = prose(page)
        targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(
            r"\b(?:src|srcset)=\"([^\"]+)\"", text)
        for target in targets:
            if re.match(r"https?://|mailto:", target):
                continue
            name, _, anchor = target.partition("#")
            path = (page.parent / name).resolve() if name else page
            if not path.exists() and str(path.relative_to(SOURCE)) in PROMISED:
                continue
            assert path.exists(), f"{page.name}: {target} leads nowhere"
            assert not anchor or anchor in anchors(path), f"{page.name}: no heading for {target}"


def test_installed():
    """Each page is installed, but those for who changes the sources; and each example."""
    pages = (SOURCE / "docs/meson.build").read_text()
    for page in {path.name for path in PAGES if path.parent == SOURCE / "docs"} - INSIDE:
        assert f"'{page}'" in pages, f"docs/meson.build does not install {page}"
    examples = (SOURCE / "examples/meson.build").read_text()
    for path in SOURCE.glob("examples/*.*"):
        assert f"'{path.name}'" in examples or path.suffix == ".build", path.name


def test_short_readme():
    assert len((SOURCE / "README.md").read_text().splitlines()) < 120


# ---- Troubleshooting ----

def literals():
    """All texts of the code, as one."""
    text = ""
    for path in (SOURCE / "src").rglob("*.c"):
        code = re.sub(r'"\s*\n\s*"', "", path.read_text())
        text += "\n".join(re.findall(r'"((?:[^"\\]|\\.)*)"', code)) + "\n"
    return text


def column(page, title):
    """The first cells of the tables below that heading."""
    part = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^##? |\Z)", page, re.S | re.M)
    assert part, title
    return [cell.strip() for cell in re.findall(r"^\| ([^|]+) \|", part[1], re.M)]


def test_reasons():
    """Reasons that are explained are those that the code has, and its codes are explained."""
    page = (SOURCE / "docs/troubleshooting.md").read_text()
    code = literals()
    found = 0
    for title in ("`--` in place of a number", "A found server is not asked"):
        for reason in column(page, title):
            if reason not in ("reason", "---"):
                assert reason in code, f"no code says '{reason}'"
                found += 1
    assert found > 25, found
    verdicts = re.findall(r'^    \[GPU_\w+\] = \{"([a-z-]+)"',
                          (SOURCE / "src/gpu/gpu.c").read_text(), re.M)
    assert len(verdicts) > 5, verdicts
    for verdict in set(verdicts) - {"ok"} | {"driver-silent", "no-device-memory"}:
        assert f"| `{verdict}` |" in page, f"{verdict} is not explained"
    schema = (SOURCE / "docs/detail.schema.json").read_text()
    states = re.search(r'"enum":\s*\[("loading"[^\]]*)\]', schema)
    assert states, "no states in the schema"
    for state in json.loads(f"[{states[1]}]"):
        assert f"| `{state}` |" in page, f"{state} is not explained"


alone()
run(test_snippets, test_flags, test_links, test_installed, test_short_readme, test_reasons,
    test_routes, test_commands)
