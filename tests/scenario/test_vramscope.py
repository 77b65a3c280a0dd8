# SPDX-License-Identifier: Apache-2.0
"""The program vramscope: what it prints, how it ends, and what it lets nobody print."""
import contextlib
import csv
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unicodedata

from harness import (SIM, Daemon, Engine, Skip, Spawned, alone, eventually, free_port, run)

PROGRAM = os.environ.get("VRAMSCOPE", "build/release/src/vramscope")
COMPLETIONS = os.environ.get("COMPLETIONS", os.path.dirname(PROGRAM))
MANUAL = pathlib.Path(__file__).parents[2] / "man/vramscope.1"
COLUMNS = ("unix_ms,host,model,port,state,allocated_vram_bytes,used_kv_cache_bytes,"
           "kv_capacity_bytes,kv_usage_ratio,hit_percent_1m,running,waiting,preemptions,"
           "stale").split(",")
NOBODY = "127.0.0.1:1"


def vramscope(*arguments, env=None, **options):
    """The program, run to its end: status, stdout and stderr."""
    return subprocess.run([PROGRAM, *map(str, arguments)], text=True, timeout=20,
                          **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                             "stderr": subprocess.PIPE, **options},
                          env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})})


def prints(*arguments, status=0, err="", **options):
    result = vramscope(*arguments, **options)
    assert result.returncode == status, (arguments, result)
    assert result.stderr == err if err == "" else err in result.stderr, (arguments, result)
    return result.stdout


@contextlib.contextmanager
def demo():
    with Daemon("--demo") as daemon:
        url = f"127.0.0.1:{daemon.port}"
        eventually("all figures are there", lambda: all(
            m["age_ms"] is not None for m in detail(daemon)["models"]) or None)
        yield url


def detail(daemon):
    return json.loads(daemon.get("/v1/detail")[2])


@contextlib.contextmanager
def simulated(*arguments):
    """A simulated server, and a daemon that asks it and knows of no GPU."""
    port = free_port()
    with Spawned([SIM, "--port", port, "--model", "org/one", *arguments],
                 stdout=subprocess.DEVNULL) as server:
        with Daemon("--gpu", "none", "--no-discover", "--engine",
                    f"http://127.0.0.1:{port}") as daemon:
            eventually("its figures", lambda: [m for m in detail(daemon)["models"]
                                               if m["state"] == "ready"])
            yield server, daemon, f"127.0.0.1:{daemon.port}"


def usage_of(daemon):
    models = detail(daemon)["models"]
    return models[0]["kv_cache"]["usage_ratio"] or 0 if models else 0


# ---- What is printed of a daemon that is well ----

def look_at_once(url):
    text = prints("--url", url, "--once")
    for words in (url, "80.0 GiB", "Qwen/Qwen3-0.6B", " 8000 ", "ready", "vramscoped",
                  "26.0 GiB", "MODEL", "KV%"):
        assert words in text, (words, text)
    document = json.loads(prints("--url", url, "-1", "--json"))
    assert len(document["models"]) == 3 and document["schema"] == 1
    assert prints("--once", env={"VRAMSCOPE_URL": url}).startswith(url)
    if shutil.which("jq"):
        jq = subprocess.run(["jq", "-r", ".models[].port"], capture_output=True, text=True,
                            input=prints("--url", url, "--once", "--json"))
        assert jq.stdout.split() == ["8000", "8001", "8002"], jq


def look_at_streams(url):
    lines = prints("--url", url, "stream", "--count", 2).splitlines()
    assert len(lines) == 2 and all("VRAM 72.0 GiB of 80.0 GiB" in line for line in lines)
    lines = prints("stream", "--json", "--url", f"http://{url}/", "--count=2").splitlines()
    assert [d["seq"] for d in map(json.loads, lines)] == [
        json.loads(lines[0])["seq"] + i for i in range(2)]
    seed = json.loads(prints("--url", url, "stream", "--seed", "--count", 1))
    assert list(seed)[0] == "total_vram_bytes" and len(seed["models"]) == 3
    rows = list(csv.reader(prints("--url", url, "stream", "--csv", "--count", 1).splitlines()))
    assert rows[0] == COLUMNS and len(rows) == 4
    first = dict(zip(COLUMNS, rows[1]))
    assert (first["host"], first["model"], first["port"], first["stale"]) == (
        url, "Qwen/Qwen3-0.6B", "8000", "false"), first
    assert first["allocated_vram_bytes"] == str(26 << 30)
    assert 0 <= float(first["kv_usage_ratio"]) <= 1
    started = time.monotonic()
    assert len(prints("--url", url, "stream", "--interval", "1", "--count", "3").splitlines()) == 3
    assert 1.5 < time.monotonic() - started < 5


def look_at_several(url):
    lines = prints("--url", url, "--url", NOBODY, "--once", "--json", status=1,
                   err=f"http://{NOBODY}: ").splitlines()
    assert [json.loads(line)["url"] for line in lines] == [f"http://{url}"]
    assert len(json.loads(lines[0])["detail"]["models"]) == 3
    both = prints("--url", url, "--url", f"localhost:{url.split(':')[1]}", "stream", "--csv",
                  "--count", "4")
    assert {row["host"].split(":")[0] for row in csv.DictReader(both.splitlines())} == {
        "127.0.0.1", "localhost"}


def look_at_doctor(url):
    text = prints("--url", url, "doctor")
    assert "PASS  driver sim" in text and "FAIL" not in text and "WARN" not in text, text
    checks = json.loads(prints("--url", url, "doctor", "--json"))["checks"]
    assert {c["status"] for c in checks} == {"pass"}
    assert "Qwen/Qwen3-0.6B port 8000" in [c["what"] for c in checks], checks
    assert set(checks[0]) == {"status", "url", "what", "found", "remedy"}
    text = prints("--url", url, "--url", NOBODY, "doctor", status=2)
    assert "FAIL  daemon" in text and "systemctl status vramscoped" in text, text


def look_at_pipes(url):
    command = f'"{PROGRAM}" --url {url} stream --json'
    shell = ["bash", "-c", f"{command} | head -n 1; echo ${{PIPESTATUS[0]}}"]
    result = subprocess.run(shell, capture_output=True, text=True, timeout=10)
    assert result.stdout.splitlines()[1:] == ["0"] and result.stderr == "", result
    for arguments in (["--once"], ["stream"], ["doctor"], ["doctor", "--json"], ["--help"]):
        with open("/dev/full", "w") as full:
            result = vramscope("--url", url, *arguments, stdout=full)
        assert result.returncode == 1 and "No space left" in result.stderr, (arguments, result)
        assert result.stderr.count("\n") == 1, result
    with open("/dev/full", "w") as full:
        assert vramscope("check", "--url", url, stdout=full).returncode == 3
    shell = ["bash", "-c", f'"{PROGRAM}" --url {url} --once >&-']
    assert subprocess.run(shell, timeout=10).returncode == 0


def look_at_signals(url):
    for number in (signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen([PROGRAM, "--url", url, "stream"], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.readline()
            process.send_signal(number)
            assert process.wait(2) == 0
            assert process.stderr.read() == ""


def on_a_terminal(*arguments, env=None):
    """What a terminal of 80 columns is given."""
    leader, follower = pty.openpty()
    try:
        vramscope(*arguments, stdout=follower, env={"TERM": "xterm", **(env or {})})
    finally:
        os.close(follower)
    text = b""
    with contextlib.suppress(OSError):  # EIO: the end
        while more := os.read(leader, 65536):
            text += more
    os.close(leader)
    return text.decode()


def look_at_colours(url):
    arguments = ("--url", url, "doctor")
    assert "\33[32mPASS\33[0m" in on_a_terminal(*arguments, env={"NO_COLOR": ""})
    for quiet in ({"NO_COLOR": "0"}, {"TERM": "dumb"}, {"TERM": ""}):
        assert "\33" not in on_a_terminal(*arguments, env=quiet), quiet
    assert "\33" not in on_a_terminal(*arguments, "--no-color")
    assert "\33" not in prints(*arguments)


def test_a_daemon_that_is_well():
    with demo() as url:
        for look in (look_at_once, look_at_streams, look_at_several, look_at_doctor,
                     look_at_pipes, look_at_signals, look_at_colours):
            look(url)
        prints("--url", url, status=2, err="--once")  # no terminal


# ---- check and doctor: each answer for its reason ----

def test_check_ok_warning_critical():
    with simulated("--load", "steady") as (_, daemon, url):
        eventually("some is in use", lambda: usage_of(daemon) > 0.25, 20)
        line = prints("check", "--url", url)
        assert line.startswith("OK - 1 model, most KV cache in use: "), line
        assert re.search(r" \| 'org-one:\d+'=\d+\.\d%;80;90;0;100\n$", line), line
        line = prints("check", "--url", url, "--kv-warn", "5", status=1)
        assert line.startswith("WARNING - org-one:") and ";5;90;0;100" in line, line
        line = prints("check", "--url", url, "--kv-warn", "1%", "--kv-crit", "5", status=2)
        assert line.startswith("CRITICAL - org-one:"), line
        assert prints("check", "--url", url, "--url", NOBODY, "--kv-warn", "5",
                      status=1).startswith("WARNING"), "what is known outweighs"
        assert "OK - 1 model" in prints("check", "--url", url, "--model", "org/one")
        line = prints("check", "--url", url, "--model", "org/two", status=3)
        assert line == "UNKNOWN - there is no model org/two\n", line
        line = prints("check", "--url", url, "--url", NOBODY, status=3)
        assert line.startswith(f"UNKNOWN - http://{NOBODY}: "), line


def test_check_burst_is_critical_and_a_stopped_server_unknown():
    with simulated("--load", "burst") as (server, daemon, url):
        eventually("it is full", lambda: usage_of(daemon) > 0.95, 20)
        assert prints("check", "--url", url, status=2).startswith("CRITICAL")
        server.send_signal(signal.SIGSTOP)
        eventually("its figures are stale",
                   lambda: detail(daemon)["models"][0]["stale"], 20)
        assert "old" in prints("check", "--url", url, status=3)
        result = vramscope("doctor", "--url", url)  # stale at first, then unreachable
        assert result.returncode in (1, 2) and "org/one port" in result.stdout, result


def test_check_without_models_or_figures():
    with Daemon("--gpu", "none", "--no-discover") as daemon:
        assert prints("check", "--url", daemon.url("")) == "OK - no models\n"
        text = prints("doctor", "--url", daemon.url(""), status=1)
        assert "--engine" in text and "WARN  models" in text, text
    with Daemon("--gpu", "nvml", "--nvml-library", "/nonexistent.so") as daemon:
        line = prints("check", "--url", daemon.url(""), status=3)
        assert line.startswith("UNKNOWN") and "nonexistent" in line, line
        prints("--url", daemon.url(""), "--once", status=1, err="--nvml-library")
        text = prints("doctor", "--url", daemon.url(""), status=2)
        assert "no-library" in text and "--nvml-library" in text, text
    line = prints("check", "--url", NOBODY, status=3)
    assert line.startswith("UNKNOWN"), line


def test_doctor_says_what_helps():
    with simulated("--load", "steady") as (_, daemon, url):
        eventually("some is in use", lambda: usage_of(daemon) > 0.01, 20)
        checks = json.loads(prints("--url", url, "doctor", "--json", status=1))["checks"]
        warning = [c for c in checks if c["status"] == "warn"]
        assert "kv_bytes_per_block" in warning[0]["remedy"], warning
        assert "KV cache in use is not known" in warning[0]["found"], warning
    with tempfile.TemporaryDirectory() as folder:
        files = {name: os.path.join(folder, name) for name in ("right", "wrong")}
        for name, path in files.items():
            with open(path, "w") as file:
                file.write(("r" if name == "right" else "w") * 40 + "\n")
            os.chmod(path, 0o600)
        with Daemon("--gpu", "none", "--token-file", files["right"]) as daemon:
            url = daemon.url("")
            assert "--token-file" in prints("doctor", "--url", url, status=2)
            assert "401" in prints("doctor", "--url", url, "--token-file", files["wrong"],
                                   status=2)
            prints("--url", url, "--once", status=1, err="token")
            assert "PASS  token file" in prints(
                "doctor", "--url", url, "--token-file", files["right"], status=1)
            prints("--url", url, "--once", env={"VRAMSCOPE_TOKEN_FILE": files["right"]})
            missing = prints("doctor", "--url", url, "--token-file", "/nonexistent", status=2)
            assert "FAIL  token file" in missing, missing
            for flag, what in (("--token-file", "token file"), ("--ca-file", "CA file")):
                with open(os.path.join(folder, "empty"), "w") as file:
                    empty = prints("doctor", "--url", url, flag, file.name, status=2)
                assert f"FAIL  {what}" in empty and "is empty" in empty, empty


# ---- advise ----

ADVICE = {
    "unix_ms": 1790000000000, "least_ms": 900000,
    "observed": [
        {"model": "org/one", "port": 8000, "observed_ms": 86400000, "kv_pool_bytes": 5},
        {"model": "org/two", "port": 8001, "observed_ms": 180000, "kv_pool_bytes": 5},
        {"model": "org/three", "port": 8002, "observed_ms": 86400000, "kv_pool_bytes": 5},
        {"model": "org/four", "port": 8003, "observed_ms": 0, "kv_pool_bytes": None}],
    "advice": [
        {"id": "shrink:org-one:8000", "kind": "shrink", "severity": "info",
         "confidence": "medium", "observed_ms": 86400000, "model": "org/one", "port": 8000,
         "title": "A smaller pool would do", "text": ("word " * 40).strip(),
         "arithmetic": ["most: 5 + 5 = 10 blocks", "more: 1 + 1 = 2 blocks"],
         "command": "--kv-cache-memory-bytes=10"},
        {"id": "start_collision:GPU-1", "kind": "start_collision", "severity": "warning",
         "confidence": "low", "observed_ms": 1200000, "model": None, "port": None,
         "device": "GPU-1", "title": "Shares add up to 1.1", "text": "Too much.",
         "arithmetic": [], "command": None}]}


def test_advice_is_printed():
    def answer(document):
        return lambda peer, path: send(peer, "200 OK", "application/json",
                                       json.dumps(document) + "\n")
    with fake(answer(ADVICE)) as url:
        text = prints("--url", url, "advise")
        words = "  " + ("word " * 17).strip() + "\n"
        assert text == (
            "A smaller pool would do\n"
            "  org/one, port 8000; medium confidence, 24.0 hours observed\n"
            + words * 2 + "  " + ("word " * 6).strip() + "\n"
            "    most: 5 + 5 = 10 blocks\n"
            "    more: 1 + 1 = 2 blocks\n"
            "--kv-cache-memory-bytes=10\n\n"
            "Shares add up to 1.1\n"
            "  GPU-1; low confidence, 20 minutes observed\n"
            "  Too much.\n\n"
            "org/two, port 8001: nothing to advise yet: 3 of 15 minutes observed\n"
            "org/three, port 8002: nothing to advise: 24.0 hours observed\n"
            "org/four, port 8003: nothing to advise: the size of its KV pool is not known\n"
        ), text
        assert json.loads(prints("--url", url, "advise", "--json")) == ADVICE
        text = prints("--url", url, "--url", url, "advise")
        assert text.count(f"{url}\nA smaller pool would do\n") == 2, text
    with fake(answer({"observed": [], "advice": []})) as url:
        assert prints("--url", url, "advise") == (
            "nothing to advise yet: no model has been observed\n")
    for other in [], {"events": [{"text": "no advice"}]}:
        with fake(answer(other)) as url:
            prints("--url", url, "advise", status=1, err="not understood")


def test_advice_that_is_not_given():
    def answer(peer, path):
        if path == "/version":
            send(peer, "200 OK", "application/json", '{"version":"1.2.3"}')
        else:
            send(peer, "404 Not Found", "application/json",
                 '{"error":{"code":"not-found","message":"this is a recording"}}')
    with fake(answer) as url:
        prints("--url", url, "advise", status=1, err="(version 1.2.3) does not offer")
        prints("--url", url, "advise", "--json", status=1, err="this is a recording")


# ---- A server that is not the daemon ----

HOSTILE = ("\33]52;c;aGk=\7\33[2J\x9b31m\x90q\x9c\u202eevil\u2066\u200b\u2028\ue000"
           "o\u0301\u0301\u0301\u0301|'=\"@\u2603")
HARMFUL = {"Cc", "Cf", "Zl", "Zp", "Co", "Cs", "Cn"}


def hostile_document():
    figure = {"value": None, "from": "unknown", "error": None, "reason": HOSTILE}
    return {
        "schema": 1, "version": HOSTILE, "boot": HOSTILE, "seq": 1, "unix_ms": 1790000000000,
        "interval_ms": 500,
        "vram": {"total_bytes": figure, "allocated_bytes": figure, "models_bytes": 0,
                 "other_bytes": 0, "orphan_bytes": 5, "unattributed_bytes": 0},
        "kv_cache": {"used_bytes": None, "unknown_models": 1},
        "prefix_cache": {"hit_percent": None, "in_window": False},
        "gpu": {"age_ms": 1, "sources": [{"backend": HOSTILE, "verdict": HOSTILE,
                                          "driver_version": HOSTILE, "reason": HOSTILE}]},
        "devices": [{"backend": HOSTILE, "index": 0, "uuid": HOSTILE, "name": HOSTILE,
                     "total_bytes": None, "used_bytes": None, "from": "unknown",
                     "processes_bytes": 0, "reason": HOSTILE}],
        "models": [{"model": HOSTILE, "model_id": HOSTILE, "port": 1, "state": state,
                    "reason": HOSTILE, "stale": False, "age_ms": 1, "devices": [0],
                    "vram": {"allocated_bytes": figure, "kv_pool_bytes": figure,
                             "rest_bytes": figure},
                    "kv_cache": {"used_bytes": figure, "capacity_bytes": figure,
                                 "usage_ratio": ratio, "reason": HOSTILE}}
                   for state, ratio in ((HOSTILE, 0.95), ("ready", None))],
        "processes": [{"pid": 1, "comm": HOSTILE, "device": 0, "bytes": None,
                       "owner": "orphan", "port": None}],
        "processes_left_out": 0,
        "self": {"rss_bytes": 1, "limited": {HOSTILE: 3}, "late_ms": 0}}


def hostile_answer(peer, path):
    text = json.dumps(hostile_document(), ensure_ascii=False)
    body, status, kind = text, "200 OK", "application/json"
    if path == "/v1/detail/stream":
        body, kind = f"id: {HOSTILE}\n".replace("\0", "") + f"data: {text}\n\n", "text/event-stream"
    elif path == "/vram/stream":
        row = {"model_id": HOSTILE, "port": 1, "allocated_vram_bytes": 1,
               "used_kv_cache_bytes": 1}
        body, kind = "data: " + json.dumps({
            "total_vram_bytes": 1, "allocated_vram_bytes": 1, "used_kv_cache_bytes": 1,
            "prefix_cache_hit_rate": 1.0, "models": [row]},
            ensure_ascii=False) + "\n\n", "text/event-stream"
    elif path == "/version":
        body = json.dumps({"name": "vramscoped", "version": HOSTILE}, ensure_ascii=False)
    elif path in ("/v1/events", "/v1/advice"):
        key = path.split("/")[-1]
        advice = {name: HOSTILE for name in ("title", "text", "model", "confidence", "command")}
        seen = {"model": HOSTILE, "port": 1, "observed_ms": 1, "kv_pool_bytes": 1}
        body = json.dumps({key: [{"unix_ms": 1, "kind": HOSTILE, "text": HOSTILE},
                                 {"other": HOSTILE}, HOSTILE,
                                 {**advice, "arithmetic": [HOSTILE, 1, None]}],
                           "observed": [seen, HOSTILE]}, ensure_ascii=False)
    send(peer, status, kind, body)


def send(peer, status, kind, body):
    body = body.encode()
    peer.sendall(f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nConnection: close\r\n"
                 f"Content-Length: {len(body)}\r\n\r\n".encode("latin-1", "replace") + body)
    peer.close()


def refusing_answer(peer, path):
    error = {"error": {"code": HOSTILE, "message": HOSTILE, "remedy": HOSTILE}}
    send(peer, f"503 {HOSTILE}", "application/json", json.dumps(error, ensure_ascii=False))


@contextlib.contextmanager
def fake(answer):
    server = Engine(lambda peer: answer(peer, server.requests[-1].split()[1]))
    with server:
        yield f"127.0.0.1:{server.port}"


def assert_harmless(text, what):
    for sign in text:
        if sign != "\n":
            assert unicodedata.category(sign) not in HARMFUL, (what, sign, text)
    assert "o\u0301\u0301\u0301" not in text, what


COMMANDS = (["--once"], ["--once", "--json"], ["stream", "--count", "1"],
            ["stream", "--count", "1", "--json"], ["stream", "--count", "1", "--csv"],
            ["stream", "--count", "1", "--seed"], ["check"], ["check", "--model", HOSTILE],
            ["doctor"], ["doctor", "--json"], ["events"], ["events", "--json"], ["advise"],
            ["advise", "--json"])


def test_nobody_writes_to_our_terminal():
    shown = []
    with fake(hostile_answer) as url:
        for command in COMMANDS:
            result = vramscope("--url", url, *command)
            assert_harmless(result.stdout, command)
            assert_harmless(result.stderr, command)
            assert result.returncode >= 0, result  # no signal
            shown.append("evil" in result.stdout)
        document = json.loads(prints("--url", url, "--once", "--json"))
        assert document == json.loads(json.dumps(hostile_document())), "JSON stays as it is"
    assert shown.count(True) >= 11, list(zip(COMMANDS, shown))
    with fake(refusing_answer) as url:
        for command in (["--once"], ["check"], ["doctor"], ["events"], ["advise"]):
            result = vramscope("--url", url, *command)
            assert_harmless(result.stdout + result.stderr, command)
            assert "evil" in result.stdout + result.stderr, (command, result)
            assert result.returncode > 0, result
    result = vramscope("--url", NOBODY, "--model", HOSTILE)
    assert_harmless(result.stderr, "usage")


def test_formulas_and_quotes_in_csv():
    def answer(peer, path):
        document = hostile_document()
        document["models"] = [dict(document["models"][0], model=name) for name in (
            "=1+1", "+1", "-1", "@x", 'a"b,c', "plain/name")]
        send(peer, "200 OK", "text/event-stream",
             "data: " + json.dumps(document) + "\n\n")
    with fake(answer) as url:
        text = prints("--url", url, "stream", "--csv", "--count", "1")
    rows = list(csv.DictReader(text.splitlines()))
    assert [r["model"] for r in rows] == ["'=1+1", "'+1", "'-1", "'@x", 'a"b,c', "plain/name"]
    assert rows[0]["used_kv_cache_bytes"] == "", "unknown is empty"


def test_a_terminal_without_utf8():
    with fake(hostile_answer) as url:
        for options in ({"env": {"LC_ALL": "C"}}, {}):
            text = prints("--url", url, "--once", *([] if options else ["--ascii"]), **options)
            assert text.isascii() and "evil" in text, text


def test_a_terminal_that_can_show_no_screen():
    leader, follower = pty.openpty()
    result = vramscope("--url", NOBODY, stdin=follower, stdout=follower,
                       env={"TERM": "dumb"})
    os.close(follower)
    os.close(leader)
    assert result.returncode == 2 and "--once" in result.stderr, result


# ---- The command line ----

def test_wrong_command_lines():
    for arguments, words in ((["--intervall", "5"], ("--intervall", "--interval")),
                             (["strem"], ("strem", "stream")),
                             (["stream", "--csv", "--json"], ("--csv", "--json")),
                             (["doctor", "--count", "1"], ("--count", "doctor")),
                             (["--interval", "1ms"], ("--interval", "1ms")),
                             (["record"], ("FILE",)),
                             (["help", "nothing"], ("nothing",)),
                             (["--url", "ftp://x", "--once"], ("--url", "ftp://x"))):
        result = vramscope(*arguments)
        assert result.returncode == 2 and result.stdout == "", result
        assert result.stderr.count("\n") == 1, result
        for word in words:
            assert word in result.stderr, (word, result)
    for arguments in (["--kv-warn", "95"], ["--bad"], ["--url", "ftp://x"]):
        line = prints("check", *arguments, status=3)
        assert line.startswith("UNKNOWN - ") and line.count("\n") == 1, line
    prints("--once", status=2, err="VRAMSCOPE_URL", env={"VRAMSCOPE_URL": "ftp://x"})


def words_of_help():
    text = prints("--help")
    commands = re.findall(r"^  ([a-z]+)", text.split("Commands")[1], re.M)
    flags = set(re.findall(r"--([a-z-]+)", text))
    for command in commands:
        explained = prints("help", command)
        assert explained == prints(command, "--help"), command
        assert max(map(len, explained.splitlines())) <= 90
        flags |= set(re.findall(r"--([a-z-]+)", explained.split("\n\n")[1]))
    assert max(map(len, text.splitlines())) <= 90
    assert len(commands) == 8 and len(flags) > 20, (commands, flags)
    return commands, flags


def test_help_manual_and_completions_agree():
    commands, flags = words_of_help()
    manual = MANUAL.read_text()
    for flag in flags:
        assert f"Fl -{flag}" in manual or f", -{flag}" in manual, flag
    for command in commands:
        assert f".Cm {command}" in manual, command
    for name in re.findall(r"(?:VRAMSCOPE_[A-Z_]+|NO_COLOR)", prints("--help")):
        assert name in manual, name
    for name, form in (("vramscope.bash", "--{}"), ("_vramscope", "--{}"),
                       ("vramscope.fish", "-l {}")):
        text = pathlib.Path(COMPLETIONS, name).read_text()
        for flag in flags:
            assert re.search(re.escape(form.format(flag)) + r"\b", text), (name, flag)
        for command in commands:
            assert re.search(rf"\b{command}\b", text), (name, command)
    assert prints("--version").startswith("vramscope "), "its version"


def complete(shell, script):
    if not shutil.which(shell[0]):
        raise Skip(f"no {shell[0]} here")
    result = subprocess.run([*shell, script], capture_output=True, text=True, timeout=20,
                            cwd=COMPLETIONS, env={**os.environ, "TERM": "dumb"})
    assert result.returncode == 0 and result.stderr == "", result
    return result.stdout.split()


def test_bash_completes():
    def words(*typed):
        quoted = " ".join(f"'{word}'" for word in typed)
        return complete(
            ["bash", "--norc", "-c"], "source ./vramscope.bash\n"
            f"COMP_WORDS=(vramscope {quoted}) COMP_CWORD={len(typed)}\n"
            "_vramscope; printf '%s\\n' \"${COMPREPLY[@]}\"")
    assert words("st") == ["stream"]
    assert words("stream", "--c") == ["--ca-file", "--csv", "--count"]
    assert words("--url", "h:1", "check", "--kv") == ["--kv-warn", "--kv-crit"]
    assert words("--theme", "l") == ["light"]
    assert words("help", "re") == ["record", "replay"]
    assert words("record", "") == [], "files are bash's own"


def test_zsh_loads_its_completion():
    script = ("fpath=($PWD $fpath); autoload -Uz compinit && compinit -u -D && "
              "print $_comps[vramscope] && autoload +X _vramscope && zsh -n ./_vramscope")
    assert complete(["zsh", "-f", "-c"], script) == ["_vramscope"]


def test_fish_completes():
    def words(line):
        return {word for word in complete(
            ["fish", "--no-config", "-c"],
            f"source ./vramscope.fish; complete -C '{line}' | cut -f 1")}
    assert words("vramscope stream --c") == {"--count", "--csv", "--ca-file"}
    assert {"stream", "check", "doctor"} <= words("vramscope ")
    assert words("vramscope --theme l") == {"light"}


alone()
run(test_a_daemon_that_is_well, test_check_ok_warning_critical,
    test_check_burst_is_critical_and_a_stopped_server_unknown,
    test_check_without_models_or_figures, test_doctor_says_what_helps,
    test_advice_is_printed, test_advice_that_is_not_given,
    test_nobody_writes_to_our_terminal, test_formulas_and_quotes_in_csv,
    test_a_terminal_without_utf8, test_a_terminal_that_can_show_no_screen,
    test_wrong_command_lines, test_help_manual_and_completions_agree, test_bash_completes,
    test_zsh_loads_its_completion, test_fish_completes)
