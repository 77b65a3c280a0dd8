# SPDX-License-Identifier: Apache-2.0
"""vramscoped --demo: simulated servers, and everything else real."""
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

from harness import SIM, Daemon, Stream, alone, eventually, run

GIB = 1 << 30
IDS = ["Qwen-Qwen3-0-6B", "meta-llama-Llama-3-1-8B-Instruct", "Qwen-Qwen2-5-0-5B-Instruct"]


def simulated():
    """Processes of vramscope-sim that run now."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/exe"):
        with contextlib.suppress(OSError):
            if os.readlink(path) == os.path.realpath(SIM):
                found.append(int(path.parent.name))
    return found


def test_three_models_on_one_gpu():
    with tempfile.TemporaryDirectory() as runtime:
        with Daemon("--demo", env={"XDG_RUNTIME_DIR": runtime}) as daemon:
            with Stream(daemon) as stream:
                used = set()
                for _ in range(6):
                    event = stream.event()
                    assert event["total_vram_bytes"] == 85899345920
                    assert [m["model_id"] for m in event["models"]] == IDS
                    assert [m["port"] for m in event["models"]] == [8000, 8001, 8002]
                    held = [m["allocated_vram_bytes"] for m in event["models"]]
                    assert held == [26 * GIB, 36 * GIB, 10 * GIB]
                    assert event["allocated_vram_bytes"] == sum(held)
                    assert event["used_kv_cache_bytes"] == sum(
                        m["used_kv_cache_bytes"] for m in event["models"])
                    for model, bytes_per_block in zip(event["models"],
                                                      (1835008, 2097152, 196608)):
                        assert model["used_kv_cache_bytes"] % bytes_per_block == 0
                    used.add(event["used_kv_cache_bytes"])
                assert len(used) > 1, "nothing happens"
                assert 0 < event["prefix_cache_hit_rate"] <= 100
            assert os.listdir(runtime)
        eventually("no server is left", lambda: not simulated())
        assert os.listdir(runtime) == []


def test_an_engine_that_dies_loses_its_row():
    with Daemon("--demo") as daemon:
        assert len(daemon.vram()["models"]) == 3
        roots = [pid for pid in daemon.children()
                 if b"--port\x008001" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(roots[0], signal.SIGKILL)

        def left():
            vram = daemon.vram()
            return [m["port"] for m in vram["models"]], vram["allocated_vram_bytes"]
        eventually("its row and its memory are gone",
                   lambda: left() == ([8000, 8002], 36 * GIB), 20)
        assert "8001" in daemon.log()


def test_a_taken_port():
    with socket.create_server(("127.0.0.1", 8000)), Daemon("--demo") as daemon:
        ports = [m["port"] for m in daemon.vram()["models"]]
        assert len(ports) == 3 and ports[:2] == [8001, 8002] and ports[2] != 8000, ports
        assert "port 8000 is taken" in daemon.log(), daemon.log()


def test_servers_end_with_a_killed_daemon():
    daemon = Daemon("--demo")
    daemon.process.kill()
    daemon.process.wait()
    eventually("no server is left", lambda: not simulated())


def test_the_simulator_alone():
    process = subprocess.Popen([SIM, "--port", "0", "--model", "org/alone", "--load", "idle"],
                               stdout=subprocess.PIPE, text=True)
    url = process.stdout.readline().split()[-1]
    with Daemon("--gpu", "none", "--no-discover", "--engine", url) as daemon:
        vram = daemon.vram()
        assert [m["model_id"] for m in vram["models"]] == ["org-alone"], vram
        assert vram["used_kv_cache_bytes"] == 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0


alone()
run(test_three_models_on_one_gpu, test_an_engine_that_dies_loses_its_row, test_a_taken_port,
    test_servers_end_with_a_killed_daemon, test_the_simulator_alone)
