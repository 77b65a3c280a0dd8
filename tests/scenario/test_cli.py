# SPDX-License-Identifier: Apache-2.0
"""The command line, the config file, and what is said when they are wrong."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time

from harness import (DAEMON, Daemon, Engine, alone, config, eventually, page_answer, run,
                     vllm_page)


def refuse(arguments, status, *words, env=None):
    """The daemon ends with `status` and one line that holds all the words."""
    result = subprocess.run([DAEMON, *arguments], capture_output=True, text=True, timeout=10,
                            env={**os.environ, **(env or {})})
    lines = result.stderr.splitlines()
    assert result.returncode == status, (arguments, result)
    assert len(lines) == 1 and result.stdout == "", (arguments, result)
    for word in words:
        assert word in lines[0], (arguments, word, lines)


def test_wrong_flags():
    refuse(["--intervall", "500"], 2, "--intervall", "--interval")
    refuse(["--interval"], 2, "--interval")
    refuse(["--interval", "50"], 2, "--interval", "50", "100..60000")
    refuse(["--interval", "half"], 2, "--interval", "half")
    refuse(["--gpu", "voodoo"], 2, "--gpu", "voodoo", "nvml")
    refuse(["--engine", "ftp://x"], 2, "--engine", "ftp://x")
    refuse(["--listen", "nowhere"], 2, "--listen", "nowhere")
    refuse(["stray"], 2, "stray")
    refuse(["--gpu", "none"], 2, "VRAMSCOPE_INTERVAL", env={"VRAMSCOPE_INTERVAL": "x"})


def test_bad_config():
    cases = [("interval: 50\n", ":1:11:", "interval", "100..60000"),
             ("gpu: none\nintervall: 500\n", ":2:1:", "intervall"),
             ("interval: [1]\n", ":1:11:", "interval"),
             ("engines:\n  - url: http://127.0.0.1:1\n    gpus: many\n", ":3:11:", "gpus"),
             ("engines:\n  - name: x\n", ":2:5:", "url"),
             ("gpu: none\ngpu: auto\n", ":2:1:", "gpu"),
             ("gpu: 'none\n", ".yaml:"),
             ("- a\n", ":1:1:")]
    for text, *words in cases:
        with config(text) as file:
            refuse(["--config", file], 2, file, *words)
            refuse(["--config", file, "--check-config"], 2, file, *words)
    refuse(["--config", "/nonexistent.yaml"], 2, "/nonexistent.yaml", "No such file")


def test_good_config_is_checked_without_serving():
    with config("interval: 250\n") as file:
        result = subprocess.run([DAEMON, "--config", file, "--check-config"], timeout=10)
        assert result.returncode == 0


def test_busy_port_and_public_address():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refuse(["--gpu", "none", "--listen", f"127.0.0.1:{port}"], 1,
               f"127.0.0.1:{port}", "Address already in use")
    refuse(["--gpu", "none", "--listen", "0.0.0.0:0"], 1, "0.0.0.0:0", "--allow-public")


def test_help_and_version():
    result = subprocess.run([DAEMON, "--help"], capture_output=True, text=True)
    assert result.returncode == 0 and result.stderr == ""
    for flag in ("--listen", "--engine", "--no-discover", "--gpu", "--nvml-library", "--proc",
                 "--sys", "--interval", "--config", "--check-config", "--demo",
                 "--allow-public", "--token-file", "--allow-host", "--allow-origin", "--max-clients", "--max-clients-per-ip", "--log-level",
                 "--version", "--help"):
        assert flag in result.stdout, flag
    assert max(map(len, result.stdout.splitlines())) <= 90
    result = subprocess.run([DAEMON, "--version"], capture_output=True, text=True)
    assert result.returncode == 0 and result.stdout.startswith("vramscoped "), result


def test_the_manual_knows_every_option():
    manual = (pathlib.Path(__file__).parents[2] / "man/vramscoped.8").read_text()
    flags = re.findall(r"--([a-z-]+)", subprocess.run(
        [DAEMON, "--help"], capture_output=True, text=True).stdout)
    assert len(flags) > 15
    for flag in flags:
        assert f"Fl -{flag}" in manual, flag


def test_precedence():
    with config("interval: 100\n") as file:
        def events(*arguments, env=None):
            with Daemon("--gpu", "none", *arguments, env=env) as daemon:
                result = subprocess.run(["curl", "-sN", "-m", "2", daemon.url()],
                                        capture_output=True)
                return result.stdout.count(b"data: ")
        assert events() <= 6
        assert events("--config", file) >= 15
        assert events("--config", file, env={"VRAMSCOPE_INTERVAL": "1000"}) <= 4
        assert events("--config", file, "--interval", "100",
                      env={"VRAMSCOPE_INTERVAL": "1000"}) >= 15


def test_more_clients_than_descriptors():
    command = f"ulimit -n 256; exec {DAEMON} --gpu none --max-clients 1000"
    result = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=10)
    assert result.returncode == 1 and "--max-clients 1000" in result.stderr, result


def test_reload():
    with Engine(page_answer(vllm_page(model="one"))) as one, \
            Engine(page_answer(vllm_page(model="two"))) as two, \
            tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "c.yaml")

        def write(text):
            with open(path, "w") as file:
                file.write(text)
        write(f"engines:\n  - url: {one.url}\n")
        with Daemon("--gpu", "none", "--no-discover", "--config", path) as daemon:
            def names():
                return [m["model_id"] for m in daemon.vram()["models"]]
            assert names() == ["one"]
            write(f"engines:\n  - url: {one.url}\n  - url: {two.url}\n")
            daemon.process.send_signal(signal.SIGHUP)
            eventually("both", lambda: sorted(names()) == ["one", "two"])
            write("engines: nonsense\n")
            daemon.process.send_signal(signal.SIGHUP)
            eventually("the refusal", lambda: f"{path}:1:10:" in daemon.log())
            time.sleep(0.6)
            assert sorted(names()) == ["one", "two"]
            key = os.path.join(folder, "key")
            with open(key, "w") as file:
                file.write("k" * 4000)  # as long as it may be
            write(f"engines:\n  - url: {one.url}\n  - url: {two.url}\n"
                  f"    api_key_file: {key}\n")
            daemon.process.send_signal(signal.SIGHUP)
            time.sleep(1)
            assert sorted(names()) == ["one", "two"], daemon.log()
            write(f"engines:\n  - url: {two.url}\n")
            daemon.process.send_signal(signal.SIGHUP)
            eventually("only the second", lambda: names() == ["two"])


def test_limits_of_clients():
    with Daemon("--gpu", "none", "--no-discover", "--max-clients", "5",
                "--max-clients-per-ip", "3") as daemon:
        peers = [socket.create_connection(("127.0.0.1", daemon.port), 5) for _ in range(3)]
        time.sleep(0.2)
        fourth = socket.create_connection(("127.0.0.1", daemon.port), 5)
        assert fourth.recv(4096).startswith(b"HTTP/1.1 503 "), "over the limit of one address"
        assert fourth.recv(4096) == b""
        for peer in peers:
            peer.close()
        eventually("room again", lambda: daemon.get("/vram")[0] == 200)


alone()
run(test_wrong_flags, test_bad_config, test_good_config_is_checked_without_serving,
    test_busy_port_and_public_address, test_help_and_version,
    test_the_manual_knows_every_option, test_precedence,
    test_more_clients_than_descriptors, test_reload, test_limits_of_clients)
