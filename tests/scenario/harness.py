# SPDX-License-Identifier: Apache-2.0
"""What the scenarios share: a running daemon, engines of any manners, readers of streams.

Everything is on loopback and ends with the `with` block it was made in. A scenario is a
script that calls run() with its functions; each is one test, and says what it saw when it
fails.
"""
import concurrent.futures
import contextlib
import ctypes
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from standstill import stood_still, watch

DAEMON = os.environ.get("VRAMSCOPED", "build/release/src/vramscoped")
SIM = os.environ.get("VRAMSCOPE_SIM", "build/release/src/vramscope-sim")
FIXTURES = os.environ.get("FIXTURES_DIR", "")
SKIPPED = 77

EVENT = re.compile(
    rb'data: \{"total_vram_bytes":\d+,"allocated_vram_bytes":\d+,"used_kv_cache_bytes":\d+,'
    rb'"prefix_cache_hit_rate":(?:100|\d{1,2})\.\d{1,2},"models":\[('
    rb'\{"model_id":"[A-Za-z0-9-]+","port":\d+,"allocated_vram_bytes":\d+,'
    rb'"used_kv_cache_bytes":\d+\},?)*\]\}\n\n')


def eventually(what, condition, seconds=10.0, every=0.05):
    """Wait for a condition to become true; its value is returned. Seconds in which the
    machine stood still do not count."""
    started = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        now = time.monotonic()
        if now - started > seconds and now - started - stood_still(started, now) > seconds:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(every)


def children_of(pid):
    with contextlib.suppress(OSError):
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in text.split()]
    return []


def named(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


class Daemon:
    """vramscoped with the arguments given, listening on a free port."""

    def __init__(self, *arguments, env=None, wait=True, as_user={}):
        self.log_file = tempfile.TemporaryFile("w+")
        self.folder = tempfile.TemporaryDirectory() if as_user else None
        program = self._copy() if as_user else DAEMON
        self.process = subprocess.Popen(
            [program, "--listen", "127.0.0.1:0", *map(str, arguments)], stderr=self.log_file,
            env={**os.environ, **(env or {})}, **as_user)
        self.port = None
        if wait:
            self._wait()

    def _wait(self):
        try:
            eventually("the daemon listens", self._listening, 15)
        except BaseException:
            self.process.kill()  # nobody else will
            self.process.wait()
            raise

    def _copy(self):
        """The program where another user can reach it, whatever folder it was built in."""
        os.chmod(self.folder.name, 0o755)
        return shutil.copy(DAEMON, self.folder.name)

    def _listening(self):
        if self.process.poll() is not None:
            raise AssertionError(f"ended with {self.process.returncode}: {self.log()}")
        match = re.search(r"listening on https?://127\.0\.0\.1:(\d+)", self.log())
        self.port = match and int(match[1])
        return match

    def log(self):
        # Not through the shared offset: the daemon writes where it stands.
        return os.pread(self.log_file.fileno(), 1 << 20, 0).decode()

    def url(self, path="/vram/stream"):
        return f"http://127.0.0.1:{self.port}{path}"

    def get(self, path, method="GET", headers={}):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.closing(connection):
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()

    def vram(self):
        status, _, body = self.get("/vram")
        return json.loads(body) if status == 200 else None

    def rss_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024

    def children(self):
        return children_of(self.process.pid)

    def keeper(self):
        """The process that starts GPU workers."""
        return next((pid for pid in self.children() if named(pid) == "vramscope-keep"), None)

    def workers(self):
        """The GPU worker; none while another is about to be started."""
        return children_of(self.keeper())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("did not end within 5 s of SIGTERM")


class Stream:
    """A subscriber on a bare socket: what arrives, byte for byte, chunks undone."""

    def __init__(self, daemon, path="/vram/stream", version="1.1", fields=""):
        self.started = time.monotonic()
        self.socket = socket.create_connection(("127.0.0.1", daemon.port), 5)
        self.socket.sendall(
            f"GET {path} HTTP/{version}\r\nHost: localhost\r\n{fields}\r\n".encode())
        self.raw = self.socket.makefile("rb")
        self.status = int(self.raw.readline().split()[1])
        self.headers = {}
        while True:
            line = self.raw.readline().strip()
            if not line:
                break
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()
        self.chunked = self.headers.get("transfer-encoding") == "chunked"

    def piece(self):
        """The next event or comment, with its line ends. b'' at the end."""
        if self.chunked:
            size = int(self.raw.readline() or b"0", 16)
            piece = self.raw.read(size)
            self.raw.readline()
            return piece
        lines = []
        while True:
            line = self.raw.readline()
            lines.append(line)
            if line in (b"\n", b""):
                return b"".join(lines)

    def event(self):
        piece = self.piece()
        assert EVENT.fullmatch(piece), f"not an event of the contract: {piece!r}"
        return json.loads(piece[len(b"data: "):])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


class Engine:
    """A server on a free port; `answer(socket)` is called for each request head read."""

    def __init__(self, answer, port=0, listener=None):
        self.answer = answer
        self.requests = []
        self.connections = 0
        self.listener = listener or socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.open = []
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        with contextlib.suppress(OSError):
            while True:
                head = b""
                while b"\r\n\r\n" not in head:
                    more = peer.recv(4096)
                    if not more:
                        return
                    head += more
                self.requests.append(head.split(b"\r\n")[0].decode())
                self.answer(peer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for peer in self.open:
            peer.close()


def page_answer(text, status="200 OK"):
    """An answer that is a whole page; `text` may be a function."""
    def answer(peer):
        body = (text() if callable(text) else text).encode()
        peer.sendall(f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\n"
                     f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return answer


def vllm_page(model="org/model", usage=0.5, blocks=1001, queries=0, hits=0, engine="0",
              extra=""):
    """A small page with what is wanted of vLLM's."""
    labels = f'engine="{engine}",model_name="{model}"'
    return (f'vllm:num_requests_running{{{labels}}} 1.0\n'
            f'vllm:num_requests_waiting{{{labels}}} 0.0\n'
            f'vllm:kv_cache_usage_perc{{{labels}}} {usage!r}\n'
            f'vllm:prefix_cache_queries_total{{{labels}}} {float(queries)!r}\n'
            f'vllm:prefix_cache_hits_total{{{labels}}} {float(hits)!r}\n'
            f'vllm:cache_config_info{{block_size="16",engine="{engine}",'
            f'num_gpu_blocks="{blocks}",cache_dtype="auto"}} 1.0\n{extra}')


@contextlib.contextmanager
def config(text):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        yield file.name


given_ports = set()


def free_port():
    """One that has not been given before: the kernel may well offer it again."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        if port not in given_ports:
            given_ports.add(port)
            return port


class FakeDriver:
    """The folder of the simulated driver: devices, and what processes hold. Those of two
    hosts are told apart by their UUIDs, so `first` is of another."""

    def __init__(self, devices=2, total=80 << 30, first=0):
        self.folder = tempfile.TemporaryDirectory()
        self.path = self.folder.name
        os.chmod(self.path, 0o755)
        os.mkdir(os.path.join(self.path, "processes"))
        with open(os.path.join(self.path, "devices"), "w") as file:
            for i in range(first, first + devices):
                file.write(f"GPU-{i:08}-0000-0000-0000-000000000000 {total} 0 Fake GPU\n")

    def hold(self, pid, device, size):
        path = os.path.join(self.path, f".process-{pid}")
        with open(path, "w") as file:
            file.write(f"{device} {size}\n")
        os.rename(path, os.path.join(self.path, "processes", str(pid)))

    def free(self, pid):
        os.unlink(os.path.join(self.path, "processes", str(pid)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


class Spawned(subprocess.Popen):
    """A process that ends with the `with` block, and all of its session."""

    def __init__(self, arguments, **options):
        super().__init__(list(map(str, arguments)), start_new_session=True, **options)

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()

    def __exit__(self, *_):
        self.end()
        for file in (self.stdin, self.stdout):
            if file:
                file.close()


def serve(name, port, driver, *arguments, inside=None, program=SIM, **options):
    """A simulated server that looks like `vllm serve NAME --port PORT ...`."""
    return Spawned(["vllm", "serve", name, "--port", port, "--gpu-dir", driver.path,
                    *arguments], executable=program, stdout=subprocess.DEVNULL,
                   preexec_fn=inside, **options)


@contextlib.contextmanager
def control_group(path):
    """A real control group of that path. Gives a function that moves the caller into it."""
    root = pathlib.Path("/sys/fs/cgroup")
    if not (root / "cgroup.controllers").exists():
        root = root / "memory"
    made, at = [], root
    try:
        for name in path.strip("/").split("/"):
            at = at / name
            if not at.exists():
                at.mkdir()
                made.append(at)
    except OSError as error:
        for folder in reversed(made):
            folder.rmdir()
        raise Skip(f"no control groups can be made: {error}")
    try:
        yield lambda: (at / "cgroup.procs").write_text(str(os.getpid()))
    finally:
        for folder in reversed(made):
            eventually(f"{folder} is empty", lambda: not remove_group(folder))


def remove_group(folder):
    """Whether it is still there: those who ended may not be out of it yet."""
    with contextlib.suppress(OSError):
        folder.rmdir()
    return folder.exists()


class Container:
    """A network namespace of its own, with an address that the host reaches."""

    made = 0

    def __init__(self):
        Container.made += 1
        number = (os.getpid() * 8 + Container.made) % 16384  # of the networks in 10.213/16
        # Its name is in a folder of all: elsewhere there may be another of our pid.
        self.name = f"vramscope-{os.stat('/proc/self/ns/net').st_ino}-{number}"
        network, low = f"10.213.{number // 64}", number % 64 * 4
        self.host, self.address = f"{network}.{low + 1}", f"{network}.{low + 2}"
        try:
            self._ip("netns", "add", self.name)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Skip(f"no network namespace can be made: {error}")
        try:
            outer, inner = f"vs{number}h", f"vs{number}c"
            self._ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns",
                     self.name)
            self._ip("addr", "add", self.host + "/30", "dev", outer)
            self._ip("link", "set", outer, "up")
            for line in ("link set lo up", f"addr add {self.address}/30 dev {inner}",
                         f"link set {inner} up"):
                self._ip("-n", self.name, *line.split())
        except (OSError, subprocess.CalledProcessError) as error:
            self.__exit__()
            raise Skip(f"no pair of network devices can be made: {error}")

    @staticmethod
    def _ip(*arguments):
        subprocess.run(["ip", *arguments], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def enter(self):
        with open(f"/run/netns/{self.name}") as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0x40000000):
                raise OSError(ctypes.get_errno(), "setns")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ip("netns", "del", self.name)


def fixture(name):
    path = pathlib.Path(FIXTURES) / name
    if not FIXTURES or not path.exists():
        raise Skip(f"no folder of captured pages with {name} (meson -Dfixtures=)")
    return path.read_text()


class Skip(Exception):
    pass


def alone():
    """Go on in namespaces of our own, where that may be: other daemons would find our
    servers too, and ask them, and ours would find theirs. Scripts that do so may run side
    by side, whatever ports they take (meson.build asks the same question)."""
    if os.geteuid() != 0 or "ALONE" in os.environ:
        return
    namespaces = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with contextlib.suppress(OSError):
        if subprocess.run([*namespaces, "ip", "link", "set", "lo", "up"],
                          check=False).returncode == 0:
            os.environ["ALONE"] = "1"
            os.execvp(namespaces[0], [*namespaces, "sh", "-c", 'ip link set lo up; "$@" & '
                                      "wait $!", "sh", sys.executable, *sys.argv])


def attempt(test):
    """Call the test: "ok", "skip" or "FAIL"."""
    started = time.monotonic()
    try:
        test()
    except Skip as reason:
        print(f"skip {test.__name__}: {reason}", flush=True)
        return "skip"
    except Exception:
        print(f"FAIL {test.__name__}\n{traceback.format_exc()}", flush=True)
        return "FAIL"
    print(f"ok   {test.__name__} {time.monotonic() - started:.1f} s", flush=True)
    return "ok"


def run(*tests, at_once=()):
    """Call the tests, then those that wait more than they work, all at once; exit 0 when
    all passed, 77 when all were skipped, else 1."""
    watch()
    results = [attempt(test) for test in tests]
    with concurrent.futures.ThreadPoolExecutor(len(at_once) or 1) as pool:
        results += pool.map(attempt, at_once)
    sys.exit(1 if "FAIL" in results else SKIPPED if set(results) == {"skip"} else 0)
