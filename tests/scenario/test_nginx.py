# SPDX-License-Identifier: Apache-2.0
"""docs/nginx.conf.example, as it stands there, in a real nginx; curl reads over HTTP/2.

Only what its text says is yours is replaced: name, ports, addresses, certificate.
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

from harness import (DAEMON, EVENT, Daemon, Engine, Skip, alone, eventually, free_port,
                     page_answer, run, vllm_page)

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "docs/nginx.conf.example"
NAME = "vramscope.example.org"
NOBODY = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
TEMPORARY = "client_body proxy fastcgi uwsgi scgi"
MAIN = """
daemon off;
worker_processes 1;
worker_shutdown_timeout 2s;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 1024; }}
http {{
    log_format lines "$connection $server_protocol $status $request_uri";
    access_log {folder}/access.log lines;
    {paths}
    include {folder}/vramscope.conf;
}}
"""


def daemon(*arguments):
    """As the example tells to start it."""
    options = ["--gpu", "none", "--no-discover", "--max-clients-per-ip", "512"]
    help_text = subprocess.run([DAEMON, "--help"], capture_output=True, text=True).stdout
    if "--allow-host" in help_text:
        options += ["--allow-host", NAME]
    return Daemon(*options, *arguments)


def replaced(text, changes):
    for old, new in changes.items():
        assert old in text, f"the example no longer has {old!r}"
        text = text.replace(old, new)
    return text


class Nginx:
    """nginx with the example, as a user without rights, in a folder of its own."""

    def __init__(self, daemon_port):
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if not program or not shutil.which("openssl"):
            raise Skip("nginx or openssl is not installed")
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = self.temporary.name
        os.chmod(self.folder, 0o755)
        if NOBODY:
            os.chown(self.folder, NOBODY["user"], NOBODY["group"])
        self.port = free_port()
        self.certificate = f"{self.folder}/certificate.pem"
        self._certify()
        paths = "".join(f"{name}_temp_path {self.folder}/{name};" for name in TEMPORARY.split())
        self._write("nginx.conf", MAIN.format(folder=self.folder, paths=paths))
        self._write("vramscope.conf", replaced(EXAMPLE.read_text(), {
            "listen [::]:443 ssl": f"listen [::1]:{self.port} ssl",
            "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
            "/etc/ssl/vramscope/fullchain.pem": self.certificate,
            "/etc/ssl/vramscope/key.pem": f"{self.folder}/key.pem",
            "http://127.0.0.1:6767": f"http://127.0.0.1:{daemon_port}"}))
        self.process = subprocess.Popen(
            [program, "-p", self.folder, "-e", "stderr", "-c", f"{self.folder}/nginx.conf"],
            stderr=subprocess.DEVNULL, **NOBODY)
        eventually("nginx listens", self._listening)

    def _write(self, name, text):
        pathlib.Path(self.folder, name).write_text(text)

    def _certify(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj",
                        f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-keyout",
                        f"{self.folder}/key.pem", "-out", self.certificate],
                       check=True, capture_output=True)
        os.chmod(f"{self.folder}/key.pem", 0o644)  # it lives as long as this test

    def _listening(self):
        assert self.process.poll() is None, self.log()
        with contextlib.suppress(OSError), socket.create_connection(
                ("127.0.0.1", self.port), 1):
            return True

    def log(self):
        path = pathlib.Path(self.folder, "error.log")
        return path.read_text() if path.exists() else ""

    def workers(self):
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        return [int(pid) for pid in pathlib.Path(path).read_text().split()]

    def curl(self, path, *arguments):
        """The command: HTTP/2, the certificate checked, nothing collected."""
        return ["curl", "--silent", "--show-error", "--http2", "--no-buffer", "--cacert",
                self.certificate, "--resolve", f"{NAME}:{self.port}:127.0.0.1", *arguments,
                f"https://{NAME}:{self.port}{path}"]

    def status(self, path, *arguments):
        """Of an answer, and curl's exit status."""
        result = subprocess.run(
            self.curl(path, "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", *arguments),
            capture_output=True, text=True)
        return int(result.stdout or 0), result.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGQUIT)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(5)
        self.temporary.cleanup()


class Reader:
    """A curl on the stream; when each event arrived."""

    def __init__(self, nginx, *arguments):
        self.process = subprocess.Popen(nginx.curl("/vram/stream", *arguments),
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.rest = b""

    def event(self):
        """Its bytes and when they were there. (b'', time): the end."""
        while b"\n\n" not in self.rest:
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                assert not self.rest, f"cut off: {self.rest!r}"
                return b"", time.monotonic()
            self.rest += more
        event, _, self.rest = self.rest.partition(b"\n\n")
        assert EVENT.fullmatch(event + b"\n\n"), f"not an event of the contract: {event!r}"
        return event, time.monotonic()

    def read_to_the_end(self):
        while self.event()[0]:
            pass
        return self.process.wait(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


def subscribers(daemon):
    return json.loads(daemon.get("/v1/detail")[2])["self"]["subscribers"]


def test_events_come_one_by_one_over_http2():
    with daemon() as server, Nginx(server.port) as nginx:
        with Reader(nginx, "-D", f"{nginx.folder}/head") as reader:
            started = time.monotonic()
            _, first = reader.event()
            assert first - started < 1, first - started
            _, last = reader.event()  # the first came between two beats
            for _ in range(6):
                _, at = reader.event()
                assert 0.3 < at - last < 0.75, at - last
                last = at
            head = pathlib.Path(nginx.folder, "head").read_text()
            assert head.startswith("HTTP/2 200"), head
            assert "content-type: text/event-stream" in head, head
            assert "content-encoding" not in head and "content-length" not in head, head
            eventually("it is counted", lambda: subscribers(server) == 1)
        eventually("it is counted no more", lambda: subscribers(server) == 0)
        for path in ("/vram", "/v1/detail", "/healthz", "/version"):
            assert nginx.status(path) == (200, 0), path
        assert nginx.status("/nothing") == (404, 0)


def test_many_streams_on_one_connection():
    def start(nginx, n, name):
        return subprocess.Popen(nginx.curl(
            f"/vram/stream?[1-{n}]", "-Z", "--parallel-max", str(n), "-m", "5", "-o",
            f"{nginx.folder}/{name}-#1"), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)

    with daemon() as server, Nginx(server.port) as nginx:
        first = start(nginx, 100, "a")
        eventually("100 subscribers", lambda: subscribers(server) == 100)
        second = start(nginx, 40, "b")  # 12 more than one address may have
        eventually("the limit", lambda: subscribers(server) == 128)
        first.wait(20), second.wait(20)
        for i in range(1, 101):
            taken = pathlib.Path(nginx.folder, f"a-{i}").read_bytes()
            events = taken.split(b"\n\n")[:-1]
            assert len(events) >= 6, (i, taken)
            assert all(EVENT.fullmatch(event + b"\n\n") for event in events), (i, taken)
        refused = [i for i in range(1, 41) if b"429 Too Many" in
                   pathlib.Path(nginx.folder, f"b-{i}").read_bytes()]
        assert len(refused) == 12, refused
        eventually("all have left", lambda: subscribers(server) == 0)
        lines = pathlib.Path(nginx.folder, "access.log").read_text().splitlines()
        connections = {line.split()[0] for line in lines}
        assert len(lines) == 140 and len(connections) == 2, lines
        assert all(" HTTP/2.0 " in line for line in lines), lines


def test_reload_ends_streams_and_takes_new_ones():
    with daemon() as server, Nginx(server.port) as nginx, Reader(nginx) as reader:
        reader.event()
        old = nginx.workers()
        nginx.process.send_signal(signal.SIGHUP)
        eventually("a new worker", lambda: set(nginx.workers()) - set(old))
        with Reader(nginx) as newcomer:
            newcomer.event(), newcomer.event()
            reader.read_to_the_end()  # worker_shutdown_timeout
            eventually("the old worker has ended",
                       lambda: not set(nginx.workers()) & set(old))
            newcomer.event()


def test_restart_of_the_daemon():
    with contextlib.ExitStack() as stack:
        port = free_port()
        first = stack.enter_context(daemon("--listen", f"127.0.0.1:{port}"))
        nginx = stack.enter_context(Nginx(port))
        with Reader(nginx) as reader:
            reader.event()
            first.process.send_signal(signal.SIGTERM)
            assert reader.read_to_the_end() == 0, reader.process.stderr.read()
        first.process.wait(5)
        assert nginx.status("/vram/stream") == (502, 0)
        second = stack.enter_context(daemon("--listen", f"127.0.0.1:{port}"))
        with Reader(nginx) as reader:
            reader.event()
            second.process.kill()
            assert reader.read_to_the_end() != 0  # no last chunk: curl can tell


def frame(kind, flags, stream, payload=b""):
    return (len(payload).to_bytes(3, "big") + bytes([kind, flags]) +
            stream.to_bytes(4, "big") + payload)


def silent_reader(nginx):
    """Asks for the stream over HTTP/2 and never takes more than the first 64 KB: no program
    of that kind opens its window further unless it reads."""
    trust = ssl.create_default_context(cafile=nginx.certificate)
    trust.set_alpn_protocols(["h2"])
    peer = trust.wrap_socket(socket.create_connection(("127.0.0.1", nginx.port), 5),
                             server_hostname=NAME)
    fields = {b":method": b"GET", b":scheme": b"https", b":path": b"/vram/stream",
              b":authority": NAME.encode()}
    block = b"".join(b"\x10" + bytes([len(name)]) + name + bytes([len(value)]) + value
                     for name, value in fields.items())  # as they are, into no table
    peer.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + frame(1, 5, 1, block))
    return peer


def test_a_reader_that_takes_nothing_harms_nobody():
    page = vllm_page(model="m" * 250)
    with contextlib.ExitStack() as stack:
        engines = [stack.enter_context(Engine(page_answer(page))) for _ in range(40)]
        urls = [arg for engine in engines for arg in ("--engine", engine.url)]
        server = stack.enter_context(daemon(*urls, "--interval", "100"))
        nginx = stack.enter_context(Nginx(server.port))
        healthy = stack.enter_context(Reader(nginx))
        eventually("all rows", lambda: healthy.event()[0].count(b"model_id") == 40)
        stack.enter_context(silent_reader(nginx))
        eventually("both are there", lambda: subscribers(server) == 2)
        _, last = healthy.event()
        started, gaps = last, []
        while last - started < 30 and subscribers(server) == 2:
            _, at = healthy.event()
            gaps.append(at - last)
            last = at
        assert 10 < last - started < 30, f"given up after {last - started} s"
        assert max(gaps) < 1 and len(gaps) > 7 * (last - started), (max(gaps), len(gaps))


def test_what_is_no_request_of_ours_is_refused():
    with daemon() as server, Nginx(server.port) as nginx:
        refusals = {
            413: [("-d", "hello"), ("-d", "x"), ("-X", "GET", "-d", "x"),
                  ("-H", "Transfer-Encoding: chunked", "--http1.1", "-d", "hello")],
            405: [("-X", "DELETE"), ("-X", "POST")],
            421: [("-H", "Host: evil.example"), ("-H", "Host: 127.0.0.1"),
                  ("-H", "Host: evil.example", "--http1.1")],
            400: [("-H", "Host: a b")]}
        for status, requests in refusals.items():
            for request in requests:
                assert nginx.status("/vram", *request) == (status, 0), (status, request)
        other = nginx.curl("/vram", "--resolve", f"evil.example:{nginx.port}:127.0.0.1", "-k")
        other[-1] = f"https://evil.example:{nginx.port}/vram"
        assert subprocess.run(other, capture_output=True).returncode == 35  # no TLS
        assert nginx.status("/vram", "--tlsv1.3") == (200, 0)
        assert nginx.status("/vram", "--tls-max", "1.1", "--ciphers", "ALL@SECLEVEL=0")[1] == 35
        plain = subprocess.run(["curl", "-s", f"http://127.0.0.1:{nginx.port}/vram"],
                               capture_output=True, text=True)
        assert "400" in plain.stdout, plain.stdout
        assert server.get("/healthz")[0] == 200


alone()
run(test_events_come_one_by_one_over_http2, test_many_streams_on_one_connection,
    test_reload_ends_streams_and_takes_new_ones, test_restart_of_the_daemon,
    test_a_reader_that_takes_nothing_harms_nobody,
    test_what_is_no_request_of_ours_is_refused)
