# SPDX-License-Identifier: Apache-2.0
"""Who may ask: names, pages of other sites, tokens, and addresses that others reach."""
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

from browser import Browser
from harness import DAEMON, Daemon, eventually, run

OPTIONS = ("--gpu", "none", "--no-discover")
TOKEN = "first-token-0123456789abcdefghijklmnop"
OTHER = "other-token-0123456789abcdefghijklmnop"
MARK = "r3flected"


@contextlib.contextmanager
def token_file(text=TOKEN):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "token")
        write_token(path, text)
        yield path


def write_token(path, text):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def ask(daemon, *fields, target="/vram", method="GET", version="1.1", host="localhost"):
    """Send a request as it stands: the status, the fields in lower case, the body."""
    lines = [f"{method} {target} HTTP/{version}", *fields, "Connection: close"]
    if host is not None:
        lines.insert(1, f"Host: {host}")
    with socket.create_connection(("127.0.0.1", daemon.port), 5) as peer:
        peer.sendall("\r\n".join(lines + ["", ""]).encode())
        answer = b"".join(iter(lambda: peer.recv(65536), b""))
    head, _, body = answer.decode().partition("\r\n\r\n")
    status, *rest = head.split("\r\n")
    pairs = (line.partition(": ")[::2] for line in rest)
    return int(status.split()[1]), {name.lower(): value for name, value in pairs}, body


def limited(daemon, **headers):
    return json.loads(daemon.get("/v1/detail", headers=headers)[2])["self"]["limited"]


def code(body):
    return json.loads(body)["error"]["code"]


def test_names():
    with Daemon(*OPTIONS, "--allow-host", "gpu1.example", "--allow-host",
                "proxy.example:8443", "--interval", "100") as daemon:
        for host in ("localhost", "LOCALHOST.:1", f"127.0.0.1:{daemon.port}", "127.1.2.3",
                     "[::1]:80", "gpu1.example:99", "GPU1.example", "proxy.example:8443"):
            assert ask(daemon, host=host)[0] == 200, host
        refused = ("evil.example", "localhost.evil.example", "127.1", "2130706433",
                   "10.0.0.1", "proxy.example", "0.0.0.0")
        for host in refused:
            status, _, body = ask(daemon, host=host)
            assert status == 421 and code(body) == "host-not-allowed", host
            assert "--allow-host" in json.loads(body)["error"]["remedy"]
        for host in ("", "me@localhost", "localhost:99999", "localhost:x", "a b"):
            status, _, body = ask(daemon, host=host)
            assert status == 400 and code(body) == "bad-host", host
        assert ask(daemon, target="http://evil.example/vram")[0] == 421
        assert ask(daemon, target="http://localhost:1/vram", host="evil.example")[0] == 200
        assert ask(daemon, host=None, version="1.0")[0] == 200
        for target in ("/", "/version", "/healthz", "/vram/stream", "*"):
            method = "OPTIONS" if target == "*" else "GET"
            assert ask(daemon, target=target, method=method, host="evil")[0] == 421, target

        def counted():
            return limited(daemon)["host"] == len(refused) + 6
        eventually("the refusals are counted", counted)
        assert limited(daemon)["malformed"] == 5


def test_names_on_a_unix_socket():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        with Daemon(*OPTIONS, "--listen", f"unix:{path}"):
            result = subprocess.run(["curl", "-s", "--unix-socket", path,
                                     "http://any.name/vram"], capture_output=True)
            assert json.loads(result.stdout)["models"] == [], result


def test_nothing_of_a_request_comes_back():
    with token_file() as path, Daemon(*OPTIONS, "--token-file", path) as daemon:
        answers = [ask(daemon, host=f"{MARK}.example"), ask(daemon, host=f"{MARK}@x"),
                   ask(daemon, f"Origin: http://{MARK}"),
                   ask(daemon, f"Authorization: Bearer {MARK}"),
                   ask(daemon, f"Authorization: Bearer {TOKEN}", target=f"/{MARK}%0d%0a"),
                   ask(daemon, f"Authorization: Bearer {TOKEN}", method=MARK.upper())]
        assert [a[0] for a in answers] == [421, 400, 403, 401, 404, 501], answers
        assert MARK not in repr(answers).lower()
        assert MARK not in daemon.log()


def test_safe_fields():
    expected = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer",
                "cross-origin-resource-policy": "same-origin",
                "content-security-policy":
                "default-src 'none'; connect-src 'self'; frame-ancestors 'none'"}
    with Daemon(*OPTIONS) as daemon:
        for target, host in (("/vram", "localhost"), ("/none", "localhost"),
                             ("/vram", "evil"), ("/vram", "")):
            fields = ask(daemon, target=target, host=host)[1]
            assert expected.items() <= fields.items(), (target, host, fields)
        fields = {k.lower(): v for k, v in daemon.get("/vram/stream", "HEAD")[1].items()}
        assert expected.items() <= fields.items(), fields
        with_origin = ask(daemon, "Origin: http://localhost")
        assert with_origin[0] == 200
        assert not any("access-control" in name for name in with_origin[1]), with_origin


def test_origins():
    own = "Origin: http://localhost"
    site = "https://dash.example"
    with Daemon(*OPTIONS, "--allow-origin", site) as daemon:
        for fields in ([], [own], [own, "Sec-Fetch-Site: same-origin"],
                       ["Sec-Fetch-Site: none"]):
            status, answer, _ = ask(daemon, *fields)
            assert status == 200 and "access-control-allow-origin" not in answer, fields
        refused = (["Origin: https://evil.example"], ["Origin: null"],
                   ["Origin: http://localhost:3000"], ["Sec-Fetch-Site: cross-site"],
                   ["Sec-Fetch-Site: same-site"], [f"Origin: {site}.evil.example"])
        for fields in refused:
            status, answer, body = ask(daemon, *fields)
            assert status == 403 and code(body) == "origin-not-allowed", fields
            assert not any("access-control" in name for name in answer), fields
        for target in ("/vram", "/none", "/v1/detail"):
            status, answer, _ = ask(daemon, f"Origin: {site}", "Sec-Fetch-Site: cross-site",
                                    target=target)
            assert status == (404 if target == "/none" else 200)
            assert answer["access-control-allow-origin"] == site
            assert answer["vary"] == "Origin"
            assert "cross-origin-resource-policy" not in answer
        status, answer, body = ask(daemon, f"Origin: {site}", method="OPTIONS",
                                   target="/vram/stream")
        assert status == 204 and body == ""
        assert answer["access-control-allow-methods"] == "GET"
        assert answer["access-control-allow-headers"] == "authorization, last-event-id"
        eventually("the refusals are counted",
                   lambda: limited(daemon)["origin"] == len(refused))


def test_token():
    with token_file() as path, Daemon(*OPTIONS, "--token-file", path) as daemon:
        wrong = [ask(daemon), ask(daemon, f"Authorization: Bearer {OTHER}"),
                 ask(daemon, f"Authorization: Basic {TOKEN}"), ask(daemon, target="/none")]
        for status, fields, body in wrong:
            assert status == 401 and body == wrong[0][2] and code(body) == "token-needed"
            assert fields["www-authenticate"] == 'Bearer realm="vramscope"'
        for target in ("/vram", "/v1/detail", "/version"):
            assert ask(daemon, f"authorization: bearer   {TOKEN}", target=target)[0] == 200
            assert ask(daemon, target=target)[0] == 401, target
        for target in ("/healthz", "/readyz"):
            assert ask(daemon, target=target)[0] == 200, target
        result = subprocess.run(["curl", "-sN", "-m", "1.2", "-H",
                                 f"Authorization: Bearer {TOKEN}", daemon.url()],
                                capture_output=True)
        assert result.stdout.count(b"data: ") >= 2, result
        assert daemon.get("/vram/stream")[0] == 401
        eventually("the refusals are counted",
                   lambda: limited(daemon, **bearer(TOKEN))["token"] == 8)


def test_wrong_tokens_are_told_to_slow_down():
    with token_file() as path, Daemon(*OPTIONS, "--token-file", path) as daemon:
        def statuses(seconds=1.5):
            seen, end = [], time.monotonic() + seconds
            while time.monotonic() < end and 429 not in seen:
                seen.append(ask(daemon)[0])
            return seen
        seen = statuses()
        assert set(seen) == {401, 429}, seen
        status, fields, _ = ask(daemon)
        assert status == 429 and fields["retry-after"] == "1", status
        assert daemon.get("/vram", headers=bearer(TOKEN))[0] == 200
        eventually("another chance", lambda: ask(daemon)[0] == 401, 3, 0.3)
        eventually("they are counted",
                   lambda: limited(daemon, **bearer(TOKEN))["token_rate"] >= 2)


def holds(process, secret):
    """Is the text anywhere in the memory that the process may write?"""
    with open(f"/proc/{process.pid}/maps") as maps, \
            open(f"/proc/{process.pid}/mem", "rb", 0) as memory:
        for line in maps:
            start, end, rights = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
            if not rights.startswith("rw"):
                continue
            memory.seek(int(start, 16))
            with contextlib.suppress(OSError):
                if secret.encode() in memory.read(int(end, 16) - int(start, 16)):
                    return True
    return False


def test_the_token_is_nowhere_to_be_seen():
    with token_file() as path, Daemon(*OPTIONS, "--token-file", path,
                                      "--log-level", "debug") as daemon:
        pid = daemon.process.pid
        for name in ("cmdline", "environ"):
            assert TOKEN.encode() not in pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
        with contextlib.suppress(PermissionError):
            assert holds(daemon.process, path), "the search finds what is there"
            assert not holds(daemon.process, TOKEN)
        assert daemon.get("/vram", headers=bearer(TOKEN))[0] == 200
        assert daemon.get("/vram", headers=bearer(OTHER))[0] == 401
        assert TOKEN not in daemon.log() and OTHER not in daemon.log()
    with token_file() as path:
        os.chmod(path, 0o644)
        result = subprocess.run([DAEMON, "--token-file", path, "--check-config"],
                                capture_output=True, text=True, timeout=10)
        assert result.returncode == 2 and path in result.stderr, result
        assert "chmod o-rwx" in result.stderr and TOKEN not in result.stderr, result


def test_sighup_takes_a_new_token():
    with token_file() as path, tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "c.yaml"
        file.write_text(f"token_file: {path}\n")
        with Daemon(*OPTIONS, "--config", file) as daemon:
            def status(token, host="localhost"):
                return ask(daemon, f"Authorization: Bearer {token}", host=host)[0]

            def reload(answer):
                seen = daemon.log().count(answer)
                daemon.process.send_signal(signal.SIGHUP)
                eventually(answer, lambda: daemon.log().count(answer) > seen)
            assert (status(TOKEN), status(OTHER)) == (200, 401)
            stream = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=5)
            stream.request("GET", "/vram/stream", headers=bearer(TOKEN))
            events = stream.getresponse()

            write_token(path, OTHER)
            reload("configuration reloaded")
            assert (status(TOKEN), status(OTHER)) == (401, 200)
            assert b"data: " in events.read(200), "who streams goes on"
            stream.close()

            write_token(path, "short")
            reload("keeping the configuration as it was")
            assert f"{file}:1:13: token_file: '{path}' does not hold" in daemon.log()
            assert (status(TOKEN), status(OTHER)) == (401, 200)

            file.write_text("allow_hosts: [gpu1.example]\n")
            reload("configuration reloaded")
            assert (status("none"), status("none", "gpu1.example")) == (200, 200)


def refusal(*arguments):
    result = subprocess.run([DAEMON, *OPTIONS, "--listen", "0.0.0.0:0", *arguments],
                            capture_output=True, text=True, timeout=10)
    assert result.returncode == 1, result
    for words in ("0.0.0.0:0", "loopback", "--token-file", "--tls-cert", "--tls-key",
                  "--allow-public"):
        assert words in result.stderr, (words, result)


def test_addresses_that_others_reach():
    refusal()
    with token_file() as path, tempfile.TemporaryDirectory() as folder:
        refusal("--token-file", path)
        file = pathlib.Path(folder) / "c.yaml"
        file.write_text("allow_public: true\n")
        with Daemon(*OPTIONS, "--config", file, "--listen", "0.0.0.0:0") as daemon:
            assert daemon.log().count("other hosts can reach http://0.0.0.0:") == 1
            assert "anyone there can read all figures" in daemon.log()
            assert ask(daemon, host="192.0.2.1:80")[0] == 200, "no page owns an address"
            assert ask(daemon, host="evil.example")[0] == 421
            file.write_text(f"token_file: {path}\n")
            daemon.process.send_signal(signal.SIGHUP)
            eventually("a refusal", lambda: "that needs --token-file" in daemon.log())
            assert ask(daemon)[0] == 200, "the old configuration stays, whole"
        with Daemon(*OPTIONS, "--allow-public", "--token-file", path, "--listen",
                    "0.0.0.0:0") as daemon:
            assert "the token and all figures cross the network" in daemon.log()


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>a page</title>")

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def page():
    """A site of its own; gives its port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


STREAM = """
const [url, done] = arguments, source = new EventSource(url);
source.onmessage = (event) => { source.close(); done(event.data); };
source.onerror = () => { source.close(); done("error"); };
"""
FETCH = """
const [url, token, done] = arguments;
fetch(url, token ? {headers: {Authorization: "Bearer " + token}} : {})
  .then((answer) => answer.text()).then(done, (error) => done(error.name));
"""
IMAGE = """
const [url, done] = arguments, image = new Image();
image.onload = () => done("loaded");
image.onerror = () => done("error");
image.src = url;
"""
TEXT = "arguments[0](document.body.innerText)"


def test_pages_of_other_sites():
    rules = "--host-resolver-rules=MAP rebound.example 127.0.0.1"
    with Browser(rules) as browser, page() as port, token_file() as path:
        origin = f"http://localhost:{port}"
        with Daemon(*OPTIONS) as daemon:
            browser.open(origin)
            assert browser.run(STREAM, daemon.url()) == "error"
            assert browser.run(FETCH, daemon.url("/vram"), "") == "TypeError"
            assert browser.run(IMAGE, daemon.url("/vram")) == "error"
            eventually("three are counted", lambda: limited(daemon)["origin"] == 3)
            assert limited(daemon)["host"] == 0
            browser.open(f"http://rebound.example:{daemon.port}/vram")
            assert "host-not-allowed" in browser.run(TEXT)
            eventually("it is counted", lambda: limited(daemon)["host"] >= 1)
        with Daemon(*OPTIONS, "--allow-origin", origin) as daemon:
            browser.open(origin)
            assert json.loads(browser.run(STREAM, daemon.url()))["models"] == []
            assert json.loads(browser.run(FETCH, daemon.url("/vram"), ""))["models"] == []
            browser.open(f"http://127.0.0.1:{port}")
            assert browser.run(STREAM, daemon.url()) == "error"
        with Daemon(*OPTIONS, "--allow-origin", origin, "--token-file", path) as daemon:
            browser.open(origin)
            text = browser.run(FETCH, daemon.url("/vram"), TOKEN)
            assert json.loads(text)["models"] == [], text
            assert code(browser.run(FETCH, daemon.url("/vram"), OTHER)) == "token-needed"
            assert browser.run(STREAM, daemon.url()) == "error"


run(test_names, test_names_on_a_unix_socket, test_nothing_of_a_request_comes_back,
    test_safe_fields, test_origins, test_token, test_wrong_tokens_are_told_to_slow_down,
    test_the_token_is_nowhere_to_be_seen, test_sighup_takes_a_new_token,
    test_addresses_that_others_reach, test_pages_of_other_sites)
