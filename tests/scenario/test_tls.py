# SPDX-License-Identifier: Apache-2.0
"""HTTPS by real clients: curl, openssl s_client, Python's ssl; certificates that change."""
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

from harness import EVENT, Daemon, Skip, config, eventually, run

OPTIONS = ("--gpu", "none", "--no-discover")


class Certificates:
    """A folder with pairs NAME.pem, NAME.key, each its own issuer."""

    def __init__(self, *names):
        for program in ("openssl", "curl"):
            if not shutil.which(program):
                raise Skip(f"no {program} on this machine")
        self.folder = tempfile.TemporaryDirectory()
        for name in names:
            self.make(name)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def make(self, name):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.pem")],
            check=True, capture_output=True)

    def use(self, name, key=None):
        """Put the pair where the daemon reads it."""
        shutil.copy(self.path(f"{name}.pem"), self.path("used.pem"))
        shutil.copy(self.path(f"{key or name}.key"), self.path("used.key"))

    @property
    def options(self):
        return ("--tls-cert", self.path("used.pem"), "--tls-key", self.path("used.key"))

    def context(self, name):
        context = ssl.create_default_context(cafile=self.path(f"{name}.pem"))
        context.set_alpn_protocols(["http/1.1"])
        return context

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


@contextlib.contextmanager
def served():
    with Certificates("first", "second") as certificates:
        certificates.use("first")
        with Daemon(*OPTIONS, *certificates.options) as daemon:
            yield certificates, daemon


class TlsStream:
    """A subscriber; events as they come."""

    def __init__(self, daemon, context):
        plain = socket.create_connection(("127.0.0.1", daemon.port), 5)
        self.socket = context.wrap_socket(plain, server_hostname="localhost")
        self.socket.sendall(b"GET /vram/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.file = self.socket.makefile("rb")
        assert b" 200 " in self.file.readline()
        while self.file.readline().strip():
            pass

    def event(self):
        piece = self.file.read(int(self.file.readline(), 16))
        self.file.readline()
        assert EVENT.fullmatch(piece), piece
        return json.loads(piece[len(b"data: "):])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()


def curl(daemon, *arguments, path="/vram", scheme="https"):
    return subprocess.run(
        ["curl", "-sS", "-m", "5", *arguments, f"{scheme}://localhost:{daemon.port}{path}"],
        capture_output=True, timeout=20)


def shown_by(daemon):
    """The common name in the certificate that newcomers get."""
    certificate = ssl.get_server_certificate(("127.0.0.1", daemon.port))
    answer = subprocess.run(["openssl", "x509", "-noout", "-subject"], text=True,
                            input=certificate, capture_output=True, check=True)
    return answer.stdout.strip().split(" = ")[-1]


def limited(certificates, daemon):
    answer = curl(daemon, "--cacert", certificates.path("first.pem"), path="/v1/detail")
    return json.loads(answer.stdout)["self"]["limited"]


def test_curl():
    with served() as (certificates, daemon):
        trust = ("--cacert", certificates.path("first.pem"))
        for version in (("--tlsv1.2", "--tls-max", "1.2"), ("--tlsv1.3",), ("--http2",)):
            answer = curl(daemon, *trust, *version)
            assert answer.returncode == 0, answer
            assert list(json.loads(answer.stdout))[0] == "total_vram_bytes", answer
        answer = curl(daemon, *trust, "-N", "-m", "2", path="/vram/stream")
        assert answer.returncode == 28, answer  # until its time is over
        assert answer.stdout.count(b"data: {") >= 3, answer

        assert curl(daemon).returncode == 60  # it does not know the certificate
        answer = curl(daemon, "-i", scheme="http")
        assert answer.stdout.startswith(b"HTTP/1.1 400 "), answer
        assert b"HTTPS" in answer.stdout, answer


def s_client(daemon, *arguments):
    return subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{daemon.port}", *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)


def test_what_is_refused():
    with served() as (certificates, daemon):
        weak = ("-cipher", "ALL:@SECLEVEL=0")
        for arguments, alert in (
                (("-tls1_1", *weak), "protocol version"), (("-tls1", *weak), "protocol version"),
                (("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"), "handshake failure"),
                (("-alpn", "h2"), "no application protocol")):
            answer = s_client(daemon, *arguments)
            assert answer.returncode != 0 and alert in answer.stderr, (arguments, answer)
        answer = s_client(daemon, "-tls1_2")
        assert "Cipher is ECDHE-ECDSA-AES256-GCM-SHA384" in answer.stdout, answer
        assert "Compression: NONE" in answer.stdout, answer
        answer = s_client(daemon, "-tls1_3")
        assert "New, TLSv1.3" in answer.stdout and "session ticket" not in answer.stdout, answer
        eventually("four are counted",
                   lambda: limited(certificates, daemon)["handshake"] == 4)


def test_python_stream():
    with served() as (certificates, daemon):
        with TlsStream(daemon, certificates.context("first")) as stream:
            assert stream.socket.version() == "TLSv1.3"
            assert stream.socket.selected_alpn_protocol() == "http/1.1"
            times = []
            for _ in range(5):
                stream.event()
                times.append(time.monotonic())
            beats = [b - a for a, b in zip(times[1:], times[2:])]
            assert all(0.3 < beat < 0.8 for beat in beats), beats
            daemon.process.send_signal(signal.SIGTERM)
            while stream.file.readline() not in (b"0\r\n", b""):
                pass  # ended properly: the ssl module would complain about a cut
            assert stream.file.read() == b"\r\n"


def reloaded(daemon, text):
    """Send SIGHUP; the line of the log that has `text`."""
    before = len(daemon.log())
    daemon.process.send_signal(signal.SIGHUP)
    return eventually(f"'{text}' in the log",
                      lambda: [line for line in daemon.log()[before:].splitlines()
                               if text in line])[0]


def test_certificates_change():
    with served() as (certificates, daemon):
        with TlsStream(daemon, certificates.context("first")) as old:
            old.event()
            assert shown_by(daemon) == "first"

            certificates.use("second", key="first")
            line = reloaded(daemon, "keeping")
            assert "used.key" in line and "not the key of" in line, line
            assert shown_by(daemon) == "first"
            pathlib.Path(certificates.path("used.pem")).write_text("")
            line = reloaded(daemon, "keeping")
            assert "used.pem" in line and "no certificate" in line, line
            assert shown_by(daemon) == "first"

            certificates.use("second")
            reloaded(daemon, "configuration reloaded")
            assert shown_by(daemon) == "second"
            with TlsStream(daemon, certificates.context("second")) as new:
                for _ in range(3):
                    old.event()
                    new.event()


def test_the_file_names_another():
    with Certificates("first", "second") as certificates, \
            config(f"tls_cert: {certificates.path('first.pem')}\n"
                   f"tls_key: {certificates.path('first.key')}\n") as file, \
            Daemon(*OPTIONS, "--config", file) as daemon:
        assert shown_by(daemon) == "first"
        text = pathlib.Path(file).read_text().replace("first", "second")
        pathlib.Path(file).write_text(text)
        reloaded(daemon, "configuration reloaded")
        assert shown_by(daemon) == "second"


def started_with(*arguments):
    """Exit status and log of a daemon that is not to start."""
    daemon = Daemon(*OPTIONS, *arguments, wait=False)
    with daemon:
        return daemon.process.wait(10), daemon.log()


def test_mistakes():
    with Certificates("first", "second") as certificates:
        certificates.use("first")
        cert, key = certificates.path("used.pem"), certificates.path("used.key")
        for arguments, status, text in (
                (("--tls-cert", cert), 2, "--tls-cert is given without --tls-key"),
                (("--tls-key", key), 2, "--tls-key is given without --tls-cert"),
                (("--tls-cert", cert, "--tls-key", cert), 1, "used.pem: a key that any user"),
                (("--tls-cert", key, "--tls-key", key), 1, "used.key: no certificate"),
                (("--tls-cert", "/none", "--tls-key", key), 1, "/none: No such file"),
                (("--check-config", "--tls-cert", key, "--tls-key", key), 2,
                 "used.key: no certificate"),
                (("--check-config", *certificates.options), 0, "configuration is good")):
            got, log = started_with(*arguments)
            assert got == status and text in log, (arguments, got, log)

        locked = certificates.path("locked.key")
        subprocess.run(["openssl", "ec", "-aes128", "-passout", "pass:x", "-in", key, "-out",
                        locked], check=True, capture_output=True)
        got, log = started_with("--tls-cert", cert, "--tls-key", locked)
        assert got == 1 and "locked.key: the key has a passphrase" in log, (got, log)


def test_unix_sockets_stay_plain():
    with Certificates("first") as certificates:
        certificates.use("first")
        path = certificates.path("socket")
        with Daemon(*OPTIONS, *certificates.options, "--listen", f"unix:{path}"):
            answer = subprocess.run(["curl", "-sS", "-m", "5", "--unix-socket", path,
                                     "http://localhost/vram"], capture_output=True, timeout=20)
            assert answer.returncode == 0 and b"total_vram_bytes" in answer.stdout, answer


def test_many_streams():
    """Some dozen at a time, each at its beat; what they cost is given back."""
    with served() as (certificates, daemon), contextlib.ExitStack() as stack:
        context = certificates.context("first")
        streams = [stack.enter_context(TlsStream(daemon, context)) for _ in range(50)]
        before = daemon.rss_bytes()
        for _ in range(4):
            for stream in streams:
                stream.event()
        assert daemon.rss_bytes() - before < 1 << 20, (before, daemon.rss_bytes())
        counted = limited(certificates, daemon)
        assert counted["handshake"] == 0, counted


run(test_curl, test_what_is_refused, test_python_stream, test_certificates_change,
    test_the_file_names_another, test_mistakes, test_unix_sockets_stay_plain, test_many_streams)
