# SPDX-License-Identifier: Apache-2.0
"""NATS servers, a client on a bare socket, and messages both ways, by docs/fleet.md."""
import base64
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

from harness import Skip, eventually, free_port

DOC = pathlib.Path(__file__).resolve().parent.parent.parent / "docs/fleet.md"
UNKNOWN = None


def tables():
    """Of the document: {"model": {3: ("port", "number"), ...}, ...}, and the parts."""
    text, found = DOC.read_text(), {}
    for name, section in re.findall(r"\n### `(\w+)`\n(.*?)(?=\n### |\Z)", text, re.S):
        rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (\w+) \|", section, re.M)
        found[name] = {int(number): (field, kind) for number, field, kind in rows}
    start = text.index("\n## The message\n")
    head = text[start:text.index("\n### ", start)]
    parts = {int(n): name for n, name in re.findall(r"^\| (\d+) \| `(\w+)` \|", head, re.M)}
    return parts, found


PARTS, FIELDS = tables()
REPEATED = {"source", "device", "model", "process", "event", "limited"}


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7f) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def fields(data):
    """(number, value) of each: an int, 8 or 4 bytes, or what has a length."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = varint(data, at)
        else:
            size, at = varint(data, at) if wire == 2 else ({1: 8, 5: 4}[wire], at)
            value, at = data[at:at + size], at + size
            assert len(value) == size, "cut"
        yield key >> 3, value


def row(part, data, texts):
    """What a part says; an absent count, real, figure's value or list is None."""
    absent = {"number": 0, "signed": 0, "text": "", "count": None, "real": None}
    said = {name: absent.get(kind) for name, kind in FIELDS[part].values()}
    for number, value in fields(data):
        if number not in FIELDS[part]:
            continue
        name, kind = FIELDS[part][number]
        if kind == "text":
            value = texts[value]
        elif kind == "signed":
            value = value >> 1 ^ -(value & 1)
        elif kind == "real":
            value = struct.unpack("<d", value)[0]
        elif kind == "figure":
            value = row("figure", value, texts)
        elif kind == "ids":
            value = list(struct.unpack(f"<{len(value) // 8}Q", value))
        said[name] = value
    return said


def decode(data):
    parts = list(fields(data))
    texts = [value.decode() for number, value in parts if PARTS.get(number) == "text"]
    said = {name: [] for name in REPEATED}
    for number, value in parts:
        name = PARTS.get(number)
        if name == "format":
            said[name] = value
        elif name in REPEATED:
            said[name].append(row(name, value, texts))
        elif name and name != "text":
            said[name] = row(name, value, texts)
    assert said["format"] == 1, said
    return said


def as_varint(value):
    data = bytearray()
    while value > 0x7f:
        data.append(value & 0x7f | 0x80)
        value >>= 7
    return bytes(data) + bytes([value])


def as_field(number, value):
    """A varint of an int, eight bytes of a float, else what has a length."""
    if isinstance(value, float):
        return as_varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return as_varint(number << 3) + as_varint(value)
    return as_varint(number << 3 | 2) + as_varint(len(value)) + value


def as_row(part, said, texts):
    """`said` may have "more": fields of a newer node, as they are."""
    data = b""
    for number, (name, kind) in FIELDS[part].items():
        value = said.get(name)
        if value is None or (not value and kind in ("number", "signed", "text")):
            continue
        if kind == "text":
            value = texts.setdefault(value, len(texts))
        elif kind == "signed":
            value = value << 1 if value >= 0 else -value * 2 - 1
        elif kind == "figure":
            value = as_row("figure", value, texts)
        elif kind == "ids":
            value = struct.pack(f"<{len(value)}Q", *value)
        data += as_field(number, float(value) if kind == "real" else value)
    return data + said.get("more", b"")


def encode(said):
    """The message of which decode() makes `said`."""
    texts, data, numbers = {}, b"", {name: number for number, name in PARTS.items()}
    for number, name in PARTS.items():
        if name == "format":
            data += as_field(number, said.get(name, 1))
        elif name != "text" and name in said:
            for row_said in said[name] if name in REPEATED else [said[name]]:
                data += as_field(number, as_row(name, row_said, texts))
    for text in texts:
        data += as_field(numbers["text"], text.encode())
    return data + said.get("more", b"")


class Broker:
    """nats-server on loopback, in a folder of its own, with this configuration added."""

    def __init__(self, text="", port=None, wait=True):
        if not shutil.which("nats-server"):
            raise Skip("no nats-server on this machine")
        self.folder = tempfile.TemporaryDirectory()
        self.port = port or free_port()
        self.ports = [self.port]
        self.url = f"nats://127.0.0.1:{self.port}"
        self.config = pathlib.Path(self.folder.name, "server.conf")
        self.config.write_text(f'host: "127.0.0.1"\nport: {self.port}\n'
                               f'server_name: "s{self.port}"\n{text}')
        self.process = None
        self.start(wait)

    def start(self, wait=True):
        with open(os.path.join(self.folder.name, "log"), "w") as log:
            self.process = subprocess.Popen(["nats-server", "-c", self.config],
                                            stdout=log, stderr=log)
        if wait:
            eventually("the broker listens", self.listens)

    def listens(self):
        if self.process.poll() is not None:
            raise AssertionError(pathlib.Path(self.folder.name, "log").read_text())
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        return False

    def kill(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.folder.cleanup()


class Cluster:
    """Servers that know of each other; cluster[0] is the first of them."""

    def __init__(self, n=3):
        self.ports, routes = [free_port() for _ in range(n)], [free_port() for _ in range(n)]
        urls = ",".join(f'"nats://127.0.0.1:{route}"' for route in routes)
        self.brokers = [Broker(
            f'cluster {{ name: "c", listen: "127.0.0.1:{route}", routes: [{urls}] }}', port)
            for port, route in zip(self.ports, routes)]
        self.url = ",".join(broker.url for broker in self.brokers)

    def __getitem__(self, i):
        return self.brokers[i]

    def of_port(self, port):
        return self.brokers[self.ports.index(port)]

    def __enter__(self):
        return self

    def __exit__(self, *arguments):
        for broker in self.brokers:
            broker.__exit__(*arguments)


class Subscriber:
    """What is published: [(time, subject, payload), ...], by a thread. Connects again, to
    the next server if there are several."""

    def __init__(self, broker, subject="vramscope.v1.>", tls=None, **connect):
        self.ports = list(broker.ports)
        self.port, self.subject, self.tls = self.ports[0], subject, tls
        self.writing = threading.Lock()
        self.connect = json.dumps({"verbose": False, "pedantic": False, **connect})
        self.got, self.ended, self.socket, self.ready = [], False, None, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.ended:
            with contextlib.suppress(OSError, ValueError):
                self._follow()
            self.ready.clear()
            self.ports.append(self.ports.pop(0))
            self.port = self.ports[0]
            time.sleep(0.01)

    def _follow(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port), 5)
        file = self.socket.makefile("rb")
        file.readline()
        if self.tls:
            self.socket = self.tls.wrap_socket(self.socket, server_hostname="localhost")
            file = self.socket.makefile("rb")
        self.socket.settimeout(None)
        self.socket.sendall(f"CONNECT {self.connect}\r\nSUB {self.subject} 1\r\n"
                            "PING\r\n".encode())
        while True:
            line = file.readline()
            if not line:
                raise OSError("closed")
            if line == b"PING\r\n":
                self._send(b"PONG\r\n")
            elif line == b"PONG\r\n":
                self.ready.set()
            elif line.startswith(b"MSG "):
                words = line.split()
                payload = file.read(int(words[-1]) + 2)[:-2]
                self.got.append((time.monotonic(), words[1].decode(), payload))

    def _send(self, data):
        with self.writing:
            self.socket.sendall(data)

    def publish(self, subject, payload):
        self._send(f"PUB {subject} {len(payload)}\r\n".encode() + payload + b"\r\n")

    def of(self, what, since=0.0):
        """Payloads of subjects that end in `what`, with when they came."""
        return [(when, payload) for when, subject, payload in list(self.got)
                if subject.endswith("." + what) and when >= since]

    def snapshots(self, since=0.0):
        return [decode(payload) for _, payload in self.of("snapshot", since)]

    def events(self):
        return [json.loads(payload) for _, payload in self.of("event")]

    def __enter__(self):
        assert self.ready.wait(5), "no broker"
        return self

    def __exit__(self, *_):
        self.ended = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def openssl(folder, *arguments, **options):
    done = subprocess.run(["openssl", *arguments], cwd=folder, check=False,
                          capture_output=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Certificates:
    """ca.pem, and NAME.pem with NAME.key of it, in `folder`."""

    def __init__(self, folder):
        self.folder = folder
        self._key_and("ca", "-x509", "-subj", "/CN=CA", "-days", "2")

    def _key_and(self, name, *arguments):
        openssl(self.folder, "req", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", "-out",
                name + ".pem", *arguments)
        os.chmod(os.path.join(self.folder, name + ".key"), 0o600)

    def make(self, name, alternative):
        self._key_and(name, "-subj", f"/CN={name}")
        pathlib.Path(self.folder, "names").write_text(f"subjectAltName={alternative}\n")
        openssl(self.folder, "x509", "-req", "-in", name + ".pem", "-CA", "ca.pem", "-CAkey",
                "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names", "-out",
                name + ".pem")

    def path(self, name):
        return os.path.join(self.folder, name)

    def context(self):
        return ssl.create_default_context(cafile=self.path("ca.pem"))


def checksum(data):
    """CRC-16 of XMODEM, as in the keys of NATS."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xffff
    return struct.pack("<H", crc)


def base32(data):
    return base64.b32encode(data + checksum(data)).decode().rstrip("=")


def base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Identity:
    """A key pair of NATS: of an operator (14), an account (0) or a user (20)."""

    def __init__(self, folder, kind):
        self.folder, self.kind = folder, kind
        self.key = f"{kind}-{os.urandom(4).hex()}.pem"
        openssl(folder, "genpkey", "-algorithm", "ed25519", "-out", self.key)
        private = openssl(folder, "pkey", "-in", self.key, "-outform", "DER")[-32:]
        public = openssl(folder, "pkey", "-in", self.key, "-pubout", "-outform", "DER")[-32:]
        self.public = base32(bytes([kind << 3]) + public)
        prefix = bytes([18 << 3 | kind >> 2, (kind << 3 & 31) << 3])  # S, then of what
        self.seed = base32(prefix + private)

    def token(self, issuer, nats):
        """What says of this identity what `issuer` lets it do."""
        claims = {"iat": int(time.time()), "iss": issuer.public, "sub": self.public,
                  "name": "test", "nats": {"version": 2, **nats}}
        claims["jti"] = base64.b32encode(
            hashlib.sha512(json.dumps(claims).encode()).digest()[:32]).decode().rstrip("=")
        head = base64url(b'{"typ":"JWT","alg":"ed25519-nkey"}')
        text = f"{head}.{base64url(json.dumps(claims).encode())}"
        place = pathlib.Path(self.folder, "signed")
        place.write_text(text)
        signature = openssl(self.folder, "pkeyutl", "-sign", "-inkey", issuer.key, "-rawin",
                            "-in", place)
        return f"{text}.{base64url(signature)}"
