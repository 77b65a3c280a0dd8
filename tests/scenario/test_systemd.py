# SPDX-License-Identifier: Apache-2.0
"""The protocols of a service manager: passed sockets, readiness, status, watchdog, the end."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from harness import DAEMON, SIM, Daemon, Engine, Skip, Stream, alone, eventually, run

OPTIONS = ("--gpu", "none", "--no-discover")
VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID",
             "LISTEN_FDNAMES")


class Manager:
    """Who starts a daemon as systemd does, and hears what it says."""

    def __init__(self, *arguments, sockets=(), notify="path", watchdog_us=0, env={},
                 wrong_pid=False, program=DAEMON, full=False):
        self.folder = tempfile.TemporaryDirectory()
        self.heard = []  # (time, fields)
        self.socket = None
        self.log_path = os.path.join(self.folder.name, "log")
        more = {**os.environ, **env}
        if notify:
            name = os.path.join(self.folder.name, "notify")
            address = name if notify == "path" else "\0vramscope-test" + name
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.socket.bind(address)
            self.socket.setblocking(False)
            self.address = address
            if full:
                self.fill()
            more["NOTIFY_SOCKET"] = address.replace("\0", "@")
        self.pid = os.fork()
        if self.pid == 0:
            self._become(program, arguments, sockets, watchdog_us, more, wrong_pid)
        self.status = None

    def _become(self, program, arguments, sockets, watchdog_us, env, wrong_pid):
        try:
            log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 2)
            copies = [os.dup2(s.fileno(), 40 + i) for i, s in enumerate(sockets)]
            for i, fd in enumerate(copies):
                os.dup2(fd, 3 + i, inheritable=True)
                os.close(fd)
            pid = str(os.getpid() + wrong_pid)
            if sockets:
                env.update(LISTEN_FDS=str(len(sockets)), LISTEN_PID=pid)
            if watchdog_us:
                env.update(WATCHDOG_USEC=str(watchdog_us), WATCHDOG_PID=pid)
            os.execve(program, [program, *map(str, arguments)], env)
        finally:
            os._exit(99)

    def fill(self):
        """Leave no room for anything to be said."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as noise:
            noise.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    noise.sendto(b"NOISE=1", self.address)

    def log(self):
        with contextlib.suppress(FileNotFoundError):
            return pathlib.Path(self.log_path).read_text()
        return ""

    def listen(self):
        """All that was said until now, as (time, {name: value})."""
        while self.socket:
            try:
                text = self.socket.recv(4096).decode()
            except BlockingIOError:
                break
            self.heard.append((time.monotonic(),
                               dict(line.split("=", 1) for line in text.splitlines())))
        return self.heard

    def said(self, name, value=None, after=0.0):
        """When it first said so after that time; None: not yet."""
        for at, fields in self.listen():
            if at > after and fields.get(name) == (value or fields.get(name, "")) and \
                    name in fields:
                return at
        return None

    def await_said(self, name, value=None, after=0.0, seconds=10):
        return eventually(f"{name}={value or ''}", lambda: self.said(name, value, after),
                          seconds, 0.01)

    def ended(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def end(self, number=signal.SIGTERM, seconds=5):
        if not self.ended():
            os.kill(self.pid, number)
            eventually("it ends", self.ended, seconds, 0.01)
        return self.status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            eventually("it ends", self.ended)
        if self.socket:
            self.socket.close()
        self.folder.cleanup()


def get(address, path="/version", family=socket.AF_INET):
    with socket.socket(family) as peer:
        peer.settimeout(5)
        peer.connect(address)
        peer.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        with peer.makefile("rb") as answer:
            return answer.read()


def test_ready_is_said_when_it_serves():
    for notify in ("path", "abstract"):
        with socket.create_server(("127.0.0.1", 0)) as silent:  # an engine that is waited for
            engine = f"http://127.0.0.1:{silent.getsockname()[1]}"
            started = time.monotonic()
            with Manager("--listen", "127.0.0.1:0", *OPTIONS, "--engine", engine,
                         notify=notify) as manager:
                ready = manager.await_said("READY", "1")
                assert ready - started > 0.5, "before the first snapshot"
                assert "listening on" in manager.log()
                port = int(re.search(r"listening on http://127.0.0.1:(\d+)", manager.log())[1])
                assert b"200 OK" in get(("127.0.0.1", port), "/vram")
                assert manager.said("READY") == ready
                assert not manager.said("WATCHDOG")
                assert manager.end() == 0, manager.log()
                assert manager.said("STOPPING", "1")
                assert not manager.said("STOPPING", after=manager.said("STOPPING"))


def test_status_when_it_changes():
    with socket.create_server(("127.0.0.1", 0)) as passed, \
            Engine(lambda peer: None) as engine, \
            Manager(*OPTIONS, "--engine", engine.url, sockets=[passed]) as manager:
        manager.await_said("READY")
        first = manager.await_said("STATUS", "1 engine, 0 subscribers")
        with Stream(manager_port(passed)):
            second = manager.await_said("STATUS", "1 engine, 1 subscriber")
            assert second - first > 4, "sooner than after 5 s"
            time.sleep(6)
            statuses = [at for at, fields in manager.listen() if "STATUS" in fields]
            assert statuses == [first, second], "it was said again without a change"
        manager.await_said("STATUS", "1 engine, 0 subscribers", after=second)


class manager_port:
    """What a Stream asks of a daemon."""

    def __init__(self, passed):
        self.port = passed.getsockname()[1]


def test_status_names_an_outage():
    with Manager("--listen", "127.0.0.1:0", "--no-discover", "--gpu", "nvml",
                 "--nvml-library", "/nonexistent/lib.so") as manager:
        manager.await_said("READY")
        at = manager.await_said("STATUS")
        status = next(fields["STATUS"] for when, fields in manager.heard if when == at)
        assert re.fullmatch(r"0 engines, 0 subscribers; no GPU figures: [a-z-]+", status), status


def test_the_watchdog_hears_the_tick():
    with Manager("--listen", "127.0.0.1:0", *OPTIONS, "--interval", "100",
                 watchdog_us=1000000) as manager:
        manager.await_said("READY")
        time.sleep(3)
        beats = [at for at, fields in manager.listen() if "WATCHDOG" in fields]
        # Read late, all at once: counted. One each 400 ms, as 500 is half of the time.
        assert 5 <= len(beats) <= 9, len(beats)
        os.kill(manager.pid, signal.SIGSTOP)
        time.sleep(0.2)
        n = len(manager.listen())
        time.sleep(1.5)
        assert len(manager.listen()) == n, "it says that it lives, and does not"
        os.kill(manager.pid, signal.SIGCONT)
        manager.await_said("WATCHDOG", "1", after=time.monotonic() - 0.01, seconds=2)
        assert "watchdog" not in manager.log(), manager.log()


def test_a_watchdog_shorter_than_the_tick():
    with Manager("--listen", "127.0.0.1:0", *OPTIONS, "--interval", "1000",
                 watchdog_us=1000000) as manager:
        manager.await_said("READY")
        eventually("a warning", lambda: "the watchdog's 1000 ms" in manager.log())


def test_reloading():
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file, \
            Manager("--listen", "127.0.0.1:0", *OPTIONS, "--config", file.name) as manager:
        ready = manager.await_said("READY")
        for text, logged in (("log_level: debug\n", "configuration reloaded"),
                             ("log_levle: debug\n", "keeping the configuration")):
            pathlib.Path(file.name).write_text(text)
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            os.kill(manager.pid, signal.SIGHUP)
            eventually("it is read", lambda: logged in manager.log())
            eventually("both are said", lambda: len(since(manager, ready)) >= 2)
            first, second = since(manager, ready)[:2]
            assert first["RELOADING"] == "1" and second == {"READY": "1"}, (first, second)
            after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            assert before <= int(first["MONOTONIC_USEC"]) <= after
            ready = manager.heard[-1][0]


def since(manager, then):
    return [fields for at, fields in manager.listen() if at > then and "STATUS" not in fields]


def test_passed_sockets():
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = os.path.join(folder, "socket")
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        name = "\0vramscope-test-" + path
        unix.bind(path)
        abstract.bind(name)
        for listener in (unix, abstract):
            listener.listen()
        early = stack.enter_context(socket.create_connection(tcp.getsockname()))
        early.sendall(b"GET /version HTTP/1.0\r\n\r\n")  # before there is a daemon
        manager = stack.enter_context(Manager(*OPTIONS, sockets=[tcp, unix, abstract]))
        assert b"200 OK" in early.recv(4096)
        manager.await_said("READY")
        for address, family in ((tcp.getsockname(), socket.AF_INET), (path, socket.AF_UNIX),
                                (name, socket.AF_UNIX)):
            assert b"200 OK" in get(address, family=family), address
        listening = re.findall(r"listening on (\S+)", manager.log())
        assert listening == [f"http://127.0.0.1:{tcp.getsockname()[1]}", f"unix:{path}",
                             "unix:@" + name[1:]], listening
        assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert tcp.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert tcp.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 64 * 1024
        assert manager.end() == 0, manager.log()
        assert os.path.exists(path), "the file is the service manager's"
        # Its listening sockets live on: who connects now waits for the next daemon.
        late = stack.enter_context(socket.create_connection(tcp.getsockname()))
        late.sendall(b"GET /version HTTP/1.0\r\n\r\n")
        stack.enter_context(Manager(*OPTIONS, sockets=[tcp, unix, abstract]))
        assert b"200 OK" in late.recv(4096)


def test_passed_sockets_and_named_ones():
    with socket.create_server(("127.0.0.1", 0)) as passed, \
            Manager(*OPTIONS, "--listen", "127.0.0.1:0", sockets=[passed]) as manager:
        manager.await_said("READY")
        listening = re.findall(r"listening on http://127.0.0.1:(\d+)", manager.log())
        assert len(listening) == 2 and int(listening[0]) == passed.getsockname()[1], listening
        for port in listening:
            assert b"200 OK" in get(("127.0.0.1", int(port)))


def test_sockets_for_another_process_are_not_taken():
    with socket.create_server(("127.0.0.1", 0)) as passed, \
            Manager(*OPTIONS, "--listen", "127.0.0.1:0", sockets=[passed],
                    wrong_pid=True) as manager:
        manager.await_said("READY")
        assert len(re.findall("listening on", manager.log())) == 1, manager.log()


def refused(why, *sockets):
    with Manager(*OPTIONS, sockets=sockets, notify=None) as manager:
        eventually("it ends", manager.ended, 5)
        assert manager.status == 1 and why in manager.log(), (manager.status, manager.log())


def test_sockets_that_cannot_be():
    with contextlib.ExitStack() as stack:
        datagram = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        datagram.bind(("127.0.0.1", 0))
        deaf = stack.enter_context(socket.socket())
        deaf.bind(("127.0.0.1", 0))
        public = stack.enter_context(socket.create_server(("0.0.0.0", 0)))
        good = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(9)]
        refused("descriptor 3 of LISTEN_FDS is not a listening stream socket", datagram)
        refused("descriptor 4 of LISTEN_FDS is not a listening", good[0], deaf)
        refused("--allow-public", public)
        refused("more than 8", *good)
        with Manager(*OPTIONS, "--allow-public", sockets=[public]) as manager:
            manager.await_said("READY")


def environment_of(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/environ").read_bytes()
    return b""


def children_of(pid):
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def test_no_child_inherits_it():
    with socket.create_server(("127.0.0.1", 0)) as passed, \
            Manager("--demo", sockets=[passed], watchdog_us=10000000,
                    env={"PATH": os.path.dirname(SIM) + ":" + os.environ["PATH"]}) as manager:
        manager.await_said("READY", seconds=20)
        children = children_of(manager.pid)
        assert len(children) >= 4, children  # the worker and three servers
        for child in children:
            environment = environment_of(child)
            assert b"PATH=" in environment
            for name in VARIABLES:
                assert name.encode() not in environment, (child, name)
            links = [os.readlink(f"/proc/{child}/fd/{fd}")
                     for fd in os.listdir(f"/proc/{child}/fd")]
            assert f"socket:[{os.fstat(passed.fileno()).st_ino}]" not in links
        assert manager.end() == 0, manager.log()


def test_the_library_is_loaded_for_it_alone():
    with Daemon(*OPTIONS) as daemon, Manager("--listen", "127.0.0.1:0", *OPTIONS) as manager:
        manager.await_said("READY")
        assert "libsystemd" in pathlib.Path(f"/proc/{manager.pid}/maps").read_text()
        maps = pathlib.Path(f"/proc/{daemon.process.pid}/maps").read_text()
        assert "libsystemd" not in maps


def test_nobody_listens_to_it():
    """A path that is gone is said once, and is no reason not to serve."""
    with Daemon(*OPTIONS, env={"NOTIFY_SOCKET": "/nonexistent/notify"}) as daemon:
        with Stream(daemon) as stream:
            for _ in range(3):
                stream.event()
        assert daemon.log().count("cannot be told") == 1, daemon.log()


def test_a_manager_that_reads_nothing():
    """Its queue is full after a few words: the stream goes on, READY is said when it can."""
    with socket.create_server(("127.0.0.1", 0)) as passed, \
            Manager(*OPTIONS, "--interval", "100", sockets=[passed], watchdog_us=300000,
                    full=True) as manager:
        eventually("it serves", lambda: "listening on" in manager.log())
        with Stream(manager_port(passed)) as stream:
            for _ in range(30):
                stream.event()
            last = time.monotonic()
            for _ in range(10):
                stream.event()
            assert time.monotonic() - last < 2
        assert not any("READY" in fields for _, fields in manager.listen())
        manager.await_said("READY", seconds=2)
        manager.fill()
        assert manager.end(seconds=3) == 0, manager.log()


def test_systemd_socket_activate():
    """The real thing: it listens, and starts the daemon for the first who connects."""
    program = shutil.which("systemd-socket-activate")
    if not program:
        raise Skip("no systemd-socket-activate on this machine")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        process = subprocess.Popen([program, "-l", path, DAEMON, *OPTIONS],
                                   stderr=subprocess.PIPE)
        try:
            eventually("it listens", lambda: os.path.exists(path))
            assert b"200 OK" in get(path, family=socket.AF_UNIX)
            process.send_signal(signal.SIGTERM)  # it is the daemon by now
            said = process.communicate(timeout=5)[1].decode()
            assert process.returncode == 0, said
            assert f"listening on unix:{path}" in said, said
            assert os.path.exists(path)
        finally:
            process.kill()
            process.wait()


alone()
run(test_ready_is_said_when_it_serves, test_status_when_it_changes, test_status_names_an_outage,
    test_the_watchdog_hears_the_tick, test_a_watchdog_shorter_than_the_tick, test_reloading,
    test_passed_sockets, test_passed_sockets_and_named_ones,
    test_sockets_for_another_process_are_not_taken, test_sockets_that_cannot_be,
    test_no_child_inherits_it, test_the_library_is_loaded_for_it_alone, test_nobody_listens_to_it,
    test_a_manager_that_reads_nothing,
    test_systemd_socket_activate)
