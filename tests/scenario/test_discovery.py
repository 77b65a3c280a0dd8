# SPDX-License-Identifier: Apache-2.0
"""Servers found without being told: bare, in containers, behind proxies, hostile ones."""
import contextlib
import ctypes
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

from harness import (SIM, Container, Daemon, Engine, FakeDriver, Skip, Spawned, alone,
                     control_group, eventually, free_port, page_answer, run, serve, vllm_page)

GIB = 1 << 30
# One that any user may run.
PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable
NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}

# Takes the manner of each port from its environment; notes when somebody connects. Its
# child, if it has one, is a worker by its title.
FAKE = r"""
import ctypes, json, os, signal, socket, sys, threading, time
plan = json.loads(os.environ["PLAN"])
libc = ctypes.CDLL(None)
def note(port):
    with open(plan["log"], "a") as file:
        file.write(f"{port} {time.monotonic()}\n")
def serve(listener, manner):
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        note(listener.getsockname()[1])
        threading.Thread(target=speak, args=(peer, manner), daemon=True).start()
def speak(peer, manner):
    if manner == "banner":
        peer.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
    while peer.recv(65536) and manner != "banner":
        if manner != "silent":
            body = plan["page"].encode() if manner == "page" else b"<html>hello</html>\n"
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: "
                         + str(len(body)).encode() + b"\r\n\r\n" + body)
    peer.close()
def listen(ports):
    for port, manner in ports.items():
        listener = socket.create_server(("127.0.0.1", int(port)))
        listeners.append(listener)
        threading.Thread(target=serve, args=(listener, manner), daemon=True).start()
listeners = []
child = 0
if "child" in plan:
    child = os.fork()
    if child == 0:
        libc.prctl(15, b"VLLM::EngineCore", 0, 0, 0)
        listen(plan["child"])
        signal.pause()
if plan.get("comm"):
    libc.prctl(15, plan["comm"].encode(), 0, 0, 0)
if plan.get("leave"):
    print(os.getpid(), child, flush=True)
    os._exit(0)
def close(*_):
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
signal.signal(signal.SIGUSR1, close)
listen(plan["ports"])
print(os.getpid(), child, flush=True)
while True:
    signal.pause()
"""

# What Docker starts for a published port: shows its arguments in place of Python's.
PROXY = r"""
import ctypes, os, pathlib, socket, sys, threading
title = pathlib.Path(sys.argv[0]).with_suffix(".title").read_bytes()
start, end = map(int, pathlib.Path("/proc/self/stat").read_text().rsplit(")")[1].split()[45:47])
assert end - start == len(title), (end - start, len(title))
ctypes.memmove(start, title, len(title))
words = title.decode().split("\0")
value = lambda name: words[words.index(name) + 1]
listener = socket.create_server((value("-host-ip"), int(value("-host-port"))))
def copy(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass
while True:
    peer, _ = listener.accept()
    there = socket.create_connection((value("-container-ip"), int(value("-container-port"))))
    for pair in ((peer, there), (there, peer)):
        threading.Thread(target=copy, args=pair, daemon=True).start()
"""


def daemon_on(driver, *arguments, **options):
    return Daemon("--gpu", "sim", "--sim-dir", driver.path, *arguments, **options)


def detail(daemon):
    return json.loads(daemon.get("/v1/detail")[2])


def models(daemon):
    """Ours; other servers may run on this machine."""
    return [m for m in detail(daemon)["models"] if m["model"].startswith("scene/")]


def rows(daemon):
    return [(m["model_id"].removeprefix("scene-"), m["port"], m["allocated_vram_bytes"])
            for m in daemon.vram()["models"] if m["model_id"].startswith("scene-")]


def model_of(daemon, name):
    return next((m for m in models(daemon) if m["model"] == name), None)


def state_of(daemon, name):
    model = model_of(daemon, name)
    return model and model["state"]


def held_by(daemon, name):
    model = model_of(daemon, name)
    return model and model["vram"]["allocated_bytes"]["value"]


def parts_of(daemon):
    """What all the memory is, by kind; the sum holds each time it is looked at."""
    vram = detail(daemon)["vram"]
    parts = {kind: vram[kind + "_bytes"]
             for kind in ("models", "other", "orphan", "unattributed")}
    assert sum(parts.values()) == vram["allocated_bytes"]["value"], vram
    return parts


def needs_root():
    if os.geteuid() != 0:
        raise Skip("only root may do this")


class Fake(Spawned):
    """A server that is none, with the command line of one, or of a program of its own."""

    def __init__(self, *arguments, ports={}, script="vllm", title=None, options={}, **plan):
        self.folder = tempfile.TemporaryDirectory()
        os.chmod(self.folder.name, 0o755)
        path = os.path.join(self.folder.name, script)
        self.log = os.path.join(self.folder.name, "connections")
        pathlib.Path(path).write_text(FAKE)
        pathlib.Path(self.log).touch()
        os.chmod(self.log, 0o666)
        plan.update(ports=ports, log=self.log)
        super().__init__([title or PYTHON, path, *arguments],
                         executable=PYTHON, stdout=subprocess.PIPE,
                         env={**os.environ, "PLAN": json.dumps(plan)}, **options)
        _, self.child = map(int, self.stdout.readline().split())

    def connections(self, port):
        """When each of them came."""
        lines = pathlib.Path(self.log).read_text().splitlines()
        return [float(line.split()[1]) for line in lines if int(line.split()[0]) == port]

    def __exit__(self, *_):
        super().__exit__()
        self.folder.cleanup()


@contextlib.contextmanager
def proxy(host_port, address, port):
    with tempfile.TemporaryDirectory(prefix="p", dir="/tmp") as folder:
        script = os.path.join(folder, "p.py")
        title = (f"docker-proxy\0-proto\0tcp\0-host-ip\0" f"127.0.0.1\0-host-port\0{host_port}"
                 f"\0-container-ip\0{address}\0-container-port\0{port}\0").encode()
        pathlib.Path(script).write_text(PROXY)
        pathlib.Path(folder, "p.title").write_bytes(title)
        start = [PYTHON, script]
        room = len(title) - sum(len(word) + 1 for word in start) - 1
        with Spawned([*start, "x" * room]) as process:
            yield process


def test_bare_in_a_container_and_with_two_workers():
    needs_root()
    bare, inner, outer, tp = free_port(), 8000, free_port(), free_port()
    docker, podman, pod = "d0" * 32, "bb" * 32, "c1" * 32
    uid = "0a1b2c3d-1111-2222-3333-444455556666"
    pods = f"kubepods.slice/kubepods-pod{uid.replace('-', '_')}.slice"
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        driver, container = enter(FakeDriver()), enter(Container())
        groups = [enter(control_group(path)) for path in
                  (f"{pods}/cri-containerd-{pod}.scope", f"docker/{docker}",
                   f"machine.slice/libpod-{podman}.scope")]
        enter(serve("scene/bare", bare, driver, "--vram", 5 * GIB, inside=groups[0]))
        enter(serve("scene/boxed", inner, driver, "--host", "0.0.0.0", "--vram", 7 * GIB,
                    inside=lambda: (groups[1](), container.enter())))
        enter(serve("scene/tp", tp, driver, "--tensor-parallel-size", "2", "--vram", 9 * GIB,
                    inside=groups[2]))
        daemon = enter(daemon_on(driver))
        eventually("all are ready", lambda: [m["state"] for m in models(daemon)]
                   == ["ready"] * 3)
        enter(proxy(outer, container.address, inner))
        eventually("the port of the host", lambda: model_of(daemon, "scene/boxed")["port"] == outer)
        time.sleep(3)  # processes are told twice
        assert sorted(rows(daemon)) == [("bare", bare, 5 * GIB), ("boxed", outer, 7 * GIB),
                                        ("tp", tp, 18 * GIB)], rows(daemon)
        assert parts_of(daemon) == {"models": 30 * GIB, "other": 0, "orphan": 0,
                                    "unattributed": 0}
        found = {m["model"]: m for m in models(daemon)}
        assert [(found[name]["container_id"], found[name]["pod_uid"]) for name in
                ("scene/bare", "scene/boxed", "scene/tp")] == [
                    (pod, uid), (docker, None), (podman, None)], found
        assert found["scene/tp"]["devices"] == [0, 1]


def test_the_port_that_docker_publishes():
    """Without a proxy nobody but Docker's API tells; it is asked only where told to."""
    needs_root()
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        driver, container = enter(FakeDriver()), enter(Container())
        folder = enter(tempfile.TemporaryDirectory())
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{folder}/docker.sock")
        listener.listen()
        listing = [{"Id": "d0" * 32, "Ports": [
            {"IP": "0.0.0.0", "PrivatePort": 8000, "PublicPort": 18000, "Type": "tcp"}],
            "NetworkSettings": {"Networks": {"bridge": {"IPAddress": container.address}}}}]
        docker = enter(Engine(page_answer(lambda: json.dumps(listing)), listener=listener))
        enter(serve("scene/boxed", 8000, driver, "--host", "0.0.0.0",
                    inside=container.enter))
        with daemon_on(driver) as daemon:
            eventually("its row", lambda: state_of(daemon, "scene/boxed") == "ready")
            assert model_of(daemon, "scene/boxed")["port"] == 8000
            assert docker.requests == [], docker.requests
        with daemon_on(driver, "--docker-socket", f"{folder}/docker.sock") as daemon:
            eventually("the port of the host", lambda: model_of(daemon, "scene/boxed") and
                       model_of(daemon, "scene/boxed")["port"] == 18000)
            assert state_of(daemon, "scene/boxed") == "ready"
            assert docker.requests == ["GET /containers/json HTTP/1.1"], docker.requests
            listing.clear()
            eventually("it is not published any more", lambda: model_of(
                daemon, "scene/boxed")["port"] == 8000, 10)
            docker.answer = page_answer("{", "500 Internal Server Error")
            eventually("the log says so", lambda: "Docker does not tell" in daemon.log(), 10)
            assert state_of(daemon, "scene/boxed") == "ready"


def test_a_server_on_a_unix_socket():
    with FakeDriver() as driver, tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = f"{folder}/vllm.sock"
        with Fake("serve", "scene/unix", "--uds", path) as fake, daemon_on(driver) as daemon:
            eventually("its row", lambda: state_of(daemon, "scene/unix") == "loading")
            driver.hold(fake.pid, 0, GIB)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            listener.listen()
            with Engine(page_answer(vllm_page("scene/unix")), listener=listener):
                eventually("it answers", lambda: state_of(daemon, "scene/unix") == "ready")
                assert model_of(daemon, "scene/unix")["port"] == 0
                eventually("its memory", lambda: held_by(daemon, "scene/unix") == GIB)
            os.unlink(path)
            eventually("it is not asked there any more", lambda:
                       state_of(daemon, "scene/unix") == "unreachable", 4)


def test_a_container_with_loopback_alone_is_shown_and_not_asked():
    needs_root()
    with FakeDriver() as driver, Container() as container, \
            serve("scene/inner", 8000, driver, inside=container.enter), \
            daemon_on(driver) as daemon:
        eventually("its row", lambda: held_by(daemon, "scene/inner") == 16 * GIB)
        time.sleep(3)
        model = model_of(daemon, "scene/inner")
        assert model["state"] == "loading" and "loopback" in model["reason"], model


def own_namespaces():
    """Of users and networks, as anybody may make them."""
    if ctypes.CDLL(None, use_errno=True).unshare(0x50000000):
        raise OSError(ctypes.get_errno(), "unshare")


def test_a_network_of_a_user_is_not_asked():
    with FakeDriver() as driver:
        try:
            server = serve("scene/user", 8000, driver, "--host", "0.0.0.0",
                           inside=own_namespaces)
        except subprocess.SubprocessError:
            raise Skip("no user namespace can be made")
        with server, daemon_on(driver) as daemon:
            eventually("why", lambda: "user namespace" in
                       ((model_of(daemon, "scene/user") or {}).get("reason") or ""))
            assert held_by(daemon, "scene/user") == 16 * GIB


def test_loading_ready_killed_restarted_moved():
    port, other = free_port(), free_port()
    with FakeDriver() as driver, daemon_on(driver) as daemon:
        with serve("scene/a", port, driver, "--load-seconds", "3") as process:
            start = time.monotonic()
            eventually("its row, with its memory", lambda: held_by(daemon, "scene/a"), 2)
            assert state_of(daemon, "scene/a") == "loading", detail(daemon)
            assert rows(daemon)[0][1] == port
            eventually("ready", lambda: state_of(daemon, "scene/a") == "ready", 8)
            assert 2.5 < time.monotonic() - start < 7, time.monotonic() - start
            os.killpg(process.pid, signal.SIGKILL)  # and nobody waits for it
            eventually("its row is gone", lambda: not rows(daemon), 3)
            eventually("its memory, too", lambda: daemon.vram()["allocated_vram_bytes"] == 0)
            with serve("scene/b", port, driver) as second:
                eventually("another on its port", lambda: state_of(daemon, "scene/b") == "ready")
                assert not model_of(daemon, "scene/a")
                second.end()
                with serve("scene/b", port, driver) as third:
                    eventually("restarted", lambda: (model_of(daemon, "scene/b") or {}).get("pid")
                               == third.pid and state_of(daemon, "scene/b") == "ready")
                    assert len(models(daemon)) == 1
            with serve("scene/b", other, driver):
                eventually("moved", lambda: [(m["model"], m["port"], m["state"])
                           for m in models(daemon)] == [("scene/b", other, "ready")], 4)


def test_a_port_that_is_closed_is_not_asked_any_more():
    port = free_port()
    with FakeDriver() as driver, Fake("serve", "scene/c", "--port", str(port),
                                      ports={port: "page"}, page=vllm_page("scene/c")) as fake, \
            daemon_on(driver) as daemon:
        eventually("ready", lambda: state_of(daemon, "scene/c") == "ready")
        fake.send_signal(signal.SIGUSR1)
        eventually("closed", lambda: state_of(daemon, "scene/c") == "unreachable")
        with Engine(page_answer(vllm_page("scene/stranger")), port) as stranger:
            time.sleep(3)
            assert stranger.connections == 0
            assert [m["model"] for m in models(daemon)] == ["scene/c"]


def test_an_orphan():
    with FakeDriver() as driver, Fake(leave=True, child={}) as fake:
        fake.wait()
        driver.hold(fake.child, 0, 6 * GIB)
        driver.hold(os.getpid(), 1, 2 * GIB)
        with daemon_on(driver) as daemon:
            eventually("it is one", lambda: parts_of(daemon)["orphan"] == 6 * GIB)
            assert parts_of(daemon) == {"models": 0, "other": 2 * GIB, "orphan": 6 * GIB,
                                        "unattributed": 0}
            os.kill(fake.child, signal.SIGKILL)
            eventually("it is gone", lambda: parts_of(daemon)["orphan"] == 0)


def test_vllm_inside_another_program():
    """Known by its worker's title; until it has a name its memory is others'."""
    port, second = free_port(), free_port()
    with FakeDriver() as driver, \
            Fake(script="app.py", ports={port: "page"}, child={}, page=vllm_page("scene/mine")) as fake, \
            Fake(script="app.py", ports={second: "page"}, child={}, page=vllm_page("scene/torch"),
                 comm="pt_main_thread") as torch, \
            Fake(script="batch.py", child={}) as batch:
        driver.hold(fake.child, 0, 6 * GIB)
        driver.hold(torch.child, 0, 7 * GIB)
        driver.hold(batch.child, 1, 3 * GIB)
        with daemon_on(driver) as daemon:
            eventually("both", lambda: held_by(daemon, "scene/mine") == 6 * GIB
                       and held_by(daemon, "scene/torch") == 7 * GIB)
            assert [port for _, port, _ in rows(daemon)] == sorted([port, second])
            assert parts_of(daemon) == {"models": 13 * GIB, "other": 3 * GIB, "orphan": 0,
                                        "unattributed": 0}


def test_what_becomes_a_server_by_exec_late():
    port = free_port()
    with FakeDriver() as driver, daemon_on(driver) as daemon:
        words = ["vllm", "serve", "scene/late", "--port", str(port), "--gpu-dir", driver.path]
        script = (f"import os, time; time.sleep(4); "
                  f"os.execv({os.path.realpath(SIM)!r}, {words!r})")
        with Spawned([PYTHON, "-c", script], stdout=subprocess.DEVNULL):
            eventually("found by its memory",
                       lambda: state_of(daemon, "scene/late") == "ready", 9)
            assert rows(daemon) == [("late", port, 16 * GIB)], rows(daemon)


def test_dangers():
    """Nobody is bothered: not the hostile, and not who only stands beside them."""
    ports = {manner: free_port() for manner in ("banner", "silent", "http")}
    hidden = free_port()
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        driver, beside = enter(FakeDriver()), enter(Engine(page_answer(vllm_page("scene/beside"))))
        fakes = {manner: enter(Fake("serve", "scene/" + manner, "--port", str(port),
                                    ports={port: manner}, child={hidden: "page"}
                                    if manner == "http" else {}, page=vllm_page("scene/no")))
                 for manner, port in ports.items()}
        driver.hold(fakes["http"].child, 0, GIB)
        wrapped = enter(Fake("vllm", "serve", "scene/elsewhere", title="ssh", script="host",
                             ports={}))
        daemon = enter(daemon_on(driver))
        time.sleep(20)
        for manner, port in ports.items():
            times = fakes[manner].connections(port)
            gaps = [b - a for a, b in zip(times, times[1:])]
            assert 1 <= len(times) <= 5, (manner, times)
            assert all(gap > wait for gap, wait in zip(gaps, (1.4, 6, 25))), (manner, gaps)
            model = model_of(daemon, "scene/" + manner)
            assert model["state"] != "ready" and model["kv_cache"]["usage_ratio"] is None, model
        assert fakes["http"].connections(hidden) == [] and beside.connections == 0
        assert held_by(daemon, "scene/http") == GIB
        assert not model_of(daemon, "scene/elsewhere") and wrapped.poll() is None
        assert len(models(daemon)) == 3


def test_a_server_of_another_user_needs_memory():
    needs_root()
    port = free_port()
    with FakeDriver() as driver, Fake("serve", "scene/d", "--port", str(port), child={},
                                      ports={port: "page"}, page=vllm_page("scene/d"),
                                      options=NOBODY) as fake, daemon_on(driver) as daemon:
        time.sleep(3)
        assert rows(daemon) == [] and fake.connections(port) == []
        driver.hold(fake.child, 0, GIB)
        eventually("its row", lambda: state_of(daemon, "scene/d") == "ready")
        assert held_by(daemon, "scene/d") == GIB


def test_a_server_of_a_user_that_is_named():
    needs_root()
    port = free_port()
    with FakeDriver() as driver, Fake("serve", "scene/d", "--port", str(port), child={},
                                      ports={port: "page"}, page=vllm_page("scene/d"),
                                      options=NOBODY), \
            daemon_on(driver, "--discover-users", "daemon,nobody") as daemon:
        eventually("its row", lambda: state_of(daemon, "scene/d") == "ready")


def test_a_crowd_of_others_hides_no_server():
    needs_root()
    port = free_port()
    with FakeDriver() as driver, tempfile.TemporaryDirectory() as folder, \
            contextlib.ExitStack() as stack:
        os.chmod(folder, 0o755)
        pathlib.Path(folder, "serve").write_text("read line\n")
        for i in range(80):
            stack.enter_context(Spawned(["vllm", "serve", f"scene/{i}"], executable="/bin/sh",
                                        cwd=folder, stdin=subprocess.PIPE, **NOBODY))
        daemon = stack.enter_context(daemon_on(driver))
        stack.enter_context(serve("scene/true", port, driver))
        eventually("it is seen", lambda: state_of(daemon, "scene/true") == "ready")
        assert len(rows(daemon)) == 1


def test_among_two_thousand_processes():
    port = free_port()
    script = "i=0; while [ $i -lt 2000 ]; do sleep 60 & i=$((i+1)); done; echo all; wait"
    with FakeDriver() as driver, Spawned(["sh", "-c", script], stdout=subprocess.PIPE) as crowd, \
            daemon_on(driver) as daemon:
        assert crowd.stdout.readline() == b"all\n"
        time.sleep(1)
        with serve("scene/one", port, driver):
            eventually("it is seen", lambda: model_of(daemon, "scene/one"), 4)


def test_named_and_found_is_one():
    port = free_port()
    with FakeDriver() as driver, serve("scene/a", port, driver):
        with daemon_on(driver, "--no-discover") as daemon:
            time.sleep(2)
            assert rows(daemon) == []
            assert parts_of(daemon)["other"] == 16 * GIB
        with daemon_on(driver, "--engine", f"http://localhost:{port}") as daemon:
            eventually("ready", lambda: state_of(daemon, "scene/a") == "ready")
            time.sleep(3)
            assert rows(daemon) == [("a", port, 16 * GIB)], rows(daemon)


def test_named_by_the_port_of_a_proxy():
    needs_root()
    outer = free_port()
    with FakeDriver() as driver, Container() as container, \
            serve("scene/boxed", 8000, driver, "--host", "0.0.0.0", inside=container.enter), \
            proxy(outer, container.address, 8000), \
            daemon_on(driver, "--engine", f"http://127.0.0.1:{outer}") as daemon:
        eventually("its memory", lambda: held_by(daemon, "scene/boxed") == 16 * GIB)
        time.sleep(3)
        assert rows(daemon) == [("boxed", outer, 16 * GIB)], rows(daemon)


def test_without_rights():
    """As nobody: no descriptors are seen, but whose socket it is, and on which port."""
    needs_root()
    port = free_port()
    with FakeDriver() as driver, serve("scene/root", port, driver), \
            daemon_on(driver, as_user=NOBODY) as daemon:
        eventually("ready", lambda: state_of(daemon, "scene/root") == "ready")
        assert held_by(daemon, "scene/root") == 16 * GIB
        assert rows(daemon)[0][1] == port


alone()
run(test_bare_in_a_container_and_with_two_workers, test_the_port_that_docker_publishes,
    test_a_server_on_a_unix_socket,
    test_a_container_with_loopback_alone_is_shown_and_not_asked,
    test_a_network_of_a_user_is_not_asked, test_loading_ready_killed_restarted_moved,
    test_a_port_that_is_closed_is_not_asked_any_more, test_an_orphan,
    test_vllm_inside_another_program, test_what_becomes_a_server_by_exec_late, test_dangers,
    test_a_server_of_another_user_needs_memory, test_a_server_of_a_user_that_is_named,
    test_a_crowd_of_others_hides_no_server,
    test_among_two_thousand_processes, test_named_and_found_is_one,
    test_named_by_the_port_of_a_proxy, test_without_rights)
