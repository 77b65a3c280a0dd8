# SPDX-License-Identifier: Apache-2.0
"""A browser as people have it, driven over WebDriver."""
import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile

from harness import Skip, eventually

ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
             "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]


def program(*names):
    for name in names:
        if shutil.which(name):
            return name
    raise Skip(f"no {' or '.join(names)} on this machine")


class Browser:
    """A headless Chromium; `arguments` are further ones of its command line."""

    def __init__(self, *arguments):
        driver = program("chromedriver")
        binary = shutil.which(program("chromium", "chromium-browser", "google-chrome"))
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([driver, "--port=0"], stdout=self.log,
                                        stderr=subprocess.STDOUT)
        try:
            self._begin({"binary": binary, "args": ARGUMENTS + list(arguments)})
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def _begin(self, options):
        self.port = int(eventually("chromedriver's port", self._port, 30)[1])
        session = self.post("/session", {"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": options, "timeouts": {"script": 20000}}}})
        self.session = f"/session/{session['sessionId']}"

    def _port(self):
        text = os.pread(self.log.fileno(), 1 << 16, 0).decode()
        assert self.process.poll() is None, (self.process.returncode, text)
        return re.search(r"started successfully on port (\d+)", text)

    def post(self, path, body, method="POST"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, json.dumps(body))
        value = json.loads(connection.getresponse().read())["value"]
        connection.close()
        assert not isinstance(value, dict) or "error" not in value, value
        return value

    def open(self, url):
        self.post(self.session + "/url", {"url": url})

    def run(self, script, *arguments):
        """What the script hands to its last argument, a function."""
        return self.post(self.session + "/execute/async",
                         {"script": script, "args": arguments})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.post(self.session, {}, "DELETE")
        self.process.terminate()
        self.process.wait()
