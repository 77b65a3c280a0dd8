# SPDX-License-Identifier: Apache-2.0
"""Engines behind TLS: which certificates are trusted, and what is said of the others."""
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import tempfile

from harness import (Daemon, Engine, Skip, alone, config, eventually, page_answer, run,
                     vllm_page)

OPTIONS = ("--gpu", "none", "--no-discover")
SYSTEM = "/etc/ssl/certs"


class Authorities:
    """A folder with pairs NAME.pem, NAME.key, each its own issuer, for the hosts given."""

    def __init__(self):
        if not shutil.which("openssl"):
            raise Skip("no openssl on this machine")
        self.folder = tempfile.TemporaryDirectory()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def make(self, name, hosts="DNS:localhost,IP:127.0.0.1"):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
             "-addext", f"subjectAltName={hosts}",
             "-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.pem")],
            check=True, capture_output=True)
        return name

    def serve(self, name):
        """A vLLM server that shows this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path(f"{name}.pem"), self.path(f"{name}.key"))
        # The handshake is made where a request is read, in a thread of its own.
        listener = context.wrap_socket(socket.create_server(("127.0.0.1", 0)),
                                       server_side=True, do_handshake_on_connect=False)
        engine = Engine(page_answer(vllm_page()), listener=listener)
        engine.url = f"https://127.0.0.1:{engine.port}"
        return engine

    def trust_system_wide(self, name):
        """As the only certificate that this host's folder of authorities has."""
        if os.geteuid() or "ALONE" not in os.environ:
            raise Skip("no folder of authorities of our own can be mounted")
        subprocess.run(["mount", "-t", "tmpfs", "none", SYSTEM], check=True)
        digest = subprocess.run(["openssl", "x509", "-hash", "-noout", "-in",
                                 self.path(f"{name}.pem")],
                                check=True, capture_output=True, text=True).stdout.strip()
        text = pathlib.Path(self.path(f"{name}.pem")).read_text()
        pathlib.Path(SYSTEM, f"{digest}.0").write_text(text)
        pathlib.Path(SYSTEM, "ca-certificates.crt").write_text(text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "--quiet", SYSTEM], capture_output=True, check=False)
        self.folder.cleanup()


def say_of(engine, settings):
    """What a daemon's first word on that engine is. A handshake that takes longer than it
    may, where this machine is busy, says nothing of certificates: then of another daemon."""
    text = f"engines:\n  - url: https://127.0.0.1:{engine.port}\n"
    text += "".join(f"    {setting}\n" for setting in settings)
    for _ in range(10):
        with config(text) as file, Daemon("--config", file, *OPTIONS) as daemon:
            word = eventually("the daemon says how it fares", lambda: re.search(
                f"engine {re.escape(engine.url)} (.*)", daemon.log()))[1]
        if not re.search("timeout|within", word):
            break
    return word


def check(authorities, rows):
    """Rows of a server's certificate, what the file says of it, and what comes of it."""
    for name, settings, said in rows:
        with authorities.serve(name) as engine:
            word = say_of(engine, settings)
            assert word.startswith(said), (name, settings, word)
            trusted = said == "ready"
            assert bool(engine.requests) == trusted, (name, settings, engine.requests)


def test_named_authorities():
    with Authorities() as authorities:
        right, other = (f"ca_file: {authorities.path(name + '.pem')}" for name in
                        ("right", "other"))
        for name in ("right", "other"):
            authorities.make(name)
        authorities.make("elsewhere", "DNS:elsewhere.example")
        elsewhere = f"ca_file: {authorities.path('elsewhere.pem')}"
        pathlib.Path(authorities.path("garbage.pem")).write_text("none\n")
        check(authorities, [
            ("right", [right], "ready"),
            ("right", ["insecure: true"], "ready"),
            ("elsewhere", ["insecure: true"], "ready"),
            ("right", [other], "unreachable: SSL certificate problem"),
            ("right", [], "unreachable: SSL certificate problem"),
            ("elsewhere", [elsewhere], "unreachable: SSL: no alternative certificate"),
            ("right", [f"ca_file: {authorities.path('none.pem')}"], "unreachable: error"),
            ("right", [f"ca_file: {authorities.path('garbage.pem')}"], "unreachable: error"),
        ])


def test_named_authorities_are_the_only_ones():
    """A file named for an engine is trusted in place of the system's folder, not beside."""
    with Authorities() as authorities:
        for name in ("right", "other"):
            authorities.make(name)
        authorities.trust_system_wide("right")
        check(authorities, [
            ("right", [], "ready"),
            ("right", [f"ca_file: {authorities.path('other.pem')}"],
             "unreachable: SSL certificate problem"),
        ])


alone()
run(test_named_authorities, test_named_authorities_are_the_only_ones)
