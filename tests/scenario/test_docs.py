# SPDX-License-Identifier: Apache-2.0
"""The documentation is true: each command runs, each snippet is read, each link leads on.

Pages are found by themselves, and each indented or fenced block is held to be commands
unless it is told apart in pages.py. A command is run as it stands, beside a demo on the
default address, in a folder that looks like the sources'. One whose program is in CANNOT of
commands.py is not run here, and what it names is looked for instead; a program that there is
not fails.
"""
import contextlib
import json
import os
import re
import sqlite3
import subprocess
import tempfile
import urllib.error
import urllib.request

from commands import CANNOT, RUN, Workplace
from harness import DAEMON, Skip, Spawned, alone, config, eventually, run
from pages import PAGES, SOURCE, anchors, blocks, prose

URL = "http://127.0.0.1:6767"
INSIDE = {"adding.md", "style.md"}
FOREIGN_FLAGS = {  # of engines and of container engines, where pages speak of them
    "--enable-metrics", "--extra_llm_api_options", "--allow-metrics", "--no-slots",
    "--gpu-memory-utilization", "--kv-cache-memory-bytes", "--disable-log-stats", "--uds",
    "--hf-overrides", "--max-num-seqs", "--max-model-len", "--num-gpu-blocks-override",
    "--api-key", "--tensor-parallel-size", "--served-model-name", "--gpus", "--device",
    "--pid", "--network", "--runtime"}
PAGE_FILES = {"/dashboard.js", "/feed.js", "/dashboard.css", "/icon.svg"}
ROUTE = re.compile(r"(?:`(?:GET )?|127\.0\.0\.1:6767)(/[a-z0-9_/.]*)"
                   r"(\?[a-z0-9_=&-]+(?=[`\s]))?")
OURS = re.compile(r"/(?:vram|v1|metrics|healthz|readyz|version|dashboard|feed)\b")
FOREIGN_ROUTES = {"/v1/models", "/server_info"}


# ---- Commands ----

@contextlib.contextmanager
def demo():
    """On the default address, as `make run` starts it; gives the file of its history."""
    keeps = '"history"' in (SOURCE / "src/config/options.def").read_text()
    with tempfile.TemporaryFile() as log, tempfile.TemporaryDirectory() as folder:
        history = os.path.join(folder, "history") if keeps else None
        more = ["--history", history] if keeps else []
        with Spawned([DAEMON, "--demo", *more], stderr=log):
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
    """Each route that a page names is there, and both references have all that are."""
    if "ALONE" not in os.environ:
        raise Skip("no namespaces: the default address may be somebody else's")
    with demo():
        message = json.loads(answer("/none")[1])["error"]["message"]  # names them all
        for page in PAGES:
            if page.name == "engines.md":
                continue  # it speaks of engines' routes
            for route, query in ROUTE.findall(page.read_text()):
                if not OURS.match(route) or route in FOREIGN_ROUTES:
                    continue
                if route in PAGE_FILES and answer("/dashboard.js")[0] == 404:
                    continue  # built without its page
                status, _ = answer(route + query)
                assert status == 200, f"{page.name}: {route}{query} gives {status}"
    manual = (SOURCE / "man/vramscope-wire.7").read_text()
    wire = (SOURCE / "docs/wire.md").read_text()
    for route in re.findall(r"/[\w/]*", message):
        assert re.search(rf"^\.It Pa {route}(?: |$)", manual, re.M), f"no {route} in the manual"
        assert f"GET {route}`" in wire or f"GET {route}?" in wire, f"no {route} in wire.md"


# ---- Snippets ----

def parse_json(text):
    """With `...` for what is left out."""
    text = re.sub(r"([{\[])\.\.\.([}\]])", r"\1\2", text)
    return json.loads(re.sub(r",\.\.\.", "", text))


def check_config(text, place):
    with config(text) as path:
        done = subprocess.run([DAEMON, "--check-config", "--config", path],
                              capture_output=True, text=True)
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
        subprocess.run(["cc", "-std=c99", "-fsyntax-only", "-Wall", "-Werror",
                        f"-I{SOURCE}/include", "-xc", "-"],
                       input=block.text, text=True, check=True)


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
    unknown = []
    known = set(FOREIGN_FLAGS)
    for path in ("src/config/options.def", "src/cli/options.def"):
        words = re.findall(r'"([a-z][a-z-]+)"', (SOURCE / path).read_text())
        known |= {"--" + word for word in words}
    sim = (SOURCE / "src/sim/sim_options.c").read_text()
    known |= set(re.findall(r'"(--[a-z-]+)"', sim))
    for page in PAGES:
        spans = re.findall(r"`([^`\n]+)`", prose(page))
        for span in spans + [block.text for block in blocks(page) if block.kind == "shell"]:
            words = re.split(r"[\s|]+", span)
            if words[0] in CANNOT or words[0] in ("openssl", "sqlite3", "cc", "jq"):
                continue
            for flag in re.findall(r"(?<![\w-])--[a-z][a-z_-]+", span):
                ours = flag in known or flag.replace("--", "--no-", 1) in known
                other = any(f"{program} " in span for program in CANNOT)
                if not ours and not other:
                    unknown.append(f"{page.name}: {flag} in `{span}`")
    assert not unknown, unknown


def test_commands_in_text():
    """A command of vramscope that is named within a sentence is one."""
    table = (SOURCE / "src/cli/options.def").read_text()
    known = set(re.findall(r'^COMMAND\(\w+, "(\w+)"', table, re.M))
    for page in PAGES:
        for word in re.findall(r"`vramscope ([a-z]+)", prose(page)):
            assert word in known, f"{page.name}: there is no vramscope {word}"


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
            assert path.exists(), f"{page.name}: {target} leads nowhere"
            assert not anchor or anchor in anchors(path), f"{page.name}: no {target}"


def test_tables():
    """A table begins with a head and a line below it; else its rows are shown as text."""
    for page in PAGES:
        lines = prose(page).splitlines()
        for number, line in enumerate(lines):
            begins = line.startswith("|") and not lines[number - 1].startswith("|")
            assert not begins or re.match(r"\|[-|: ]+\|$", lines[number + 1]), \
                f"{page.name}: no head of the table at '{line}'"


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
    """Reasons that are explained are in the code, and the code's codes are explained."""
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
run(test_snippets, test_flags, test_commands_in_text, test_links, test_tables, test_installed,
    test_short_readme, test_reasons, test_routes, test_commands)
