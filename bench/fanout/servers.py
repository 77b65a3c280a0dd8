# SPDX-License-Identifier: Apache-2.0
"""The servers that bench/fanout compares, each started the same way on one processor.

A server is made from (bytes of an event, phase of its ticks in ms, folder for its files) and
ends with the `with` block. Its ticks are 500 ms apart.
"""
import contextlib
import http.client
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tests/scenario"))
from harness import Engine, eventually, free_port, page_answer, vllm_page  # noqa: E402

INTERVAL_MS = 500
CLIENTS_MAX = 19800  # descriptors are often limited to 20,000 a process
PROCESSORS = sorted(os.sched_getaffinity(0))
SERVER_ON, READERS_ON = str(PROCESSORS[0]), str(PROCESSORS[-1])


class Server:
    """A process, pinned, that answers on a port; `pid` is the one that is measured."""

    fields = False  # whether its events have more lines than data

    def __init__(self, command, port):
        self.port = port
        self.process = subprocess.Popen(["taskset", "-c", SERVER_ON, *map(str, command)],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        start_new_session=True)
        self.pid = self.process.pid  # taskset becomes it
        self.log = b""
        threading.Thread(target=self._read_log, daemon=True).start()
        eventually("it listens", self._listening, 20)

    def _read_log(self):
        for line in self.process.stderr:
            self.log = (self.log + line)[-2000:]

    def _listening(self):
        if self.process.poll() is not None:
            time.sleep(0.1)
            raise OSError(f"it ended: {self.log.decode().strip()}")
        with contextlib.suppress(OSError), socket.create_connection(
                ("127.0.0.1", self.port), 1):
            return True

    def stream(self):
        """A reader's socket, after the head."""
        peer = socket.create_connection(("127.0.0.1", self.port), 5)
        peer.sendall(b"GET /vram/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                     b"Accept: text/event-stream\r\n\r\n")
        raw = peer.makefile("rb")
        while raw.readline() != b"\r\n":
            pass
        return peer, raw

    def phase_ms(self):
        """When in an interval its ticks are; a first event may come between two."""
        peer, raw = self.stream()
        with peer:
            for _ in range(3):
                while not raw.readline().startswith(b"data: "):
                    pass
            return time.monotonic() * 1000 % INTERVAL_MS

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(20)


class Floor(Server):
    def __init__(self, build, how, size, phase_ms):
        port = free_port()
        super().__init__([build / "bench/fanout_floor", "--port", port, "--bytes", size,
                          "--interval", INTERVAL_MS, "--phase", int(phase_ms), "--how", how],
                         port)


class Vramscoped(Server):
    """Ours, without GPUs; `rows` simulated engines make its event larger."""

    def __init__(self, build, rows):
        port = free_port()
        page = page_answer(vllm_page(model="m" * 250))
        self.engines = [Engine(page) for _ in range(rows)]
        urls = [word for engine in self.engines for word in ("--engine", engine.url)]
        super().__init__([build / "src/vramscoped", "--gpu", "none", "--no-discover",
                          "--listen", f"127.0.0.1:{port}", "--max-clients", CLIENTS_MAX,
                          "--max-clients-per-ip", CLIENTS_MAX, *urls], port)

    def event_bytes(self):
        peer, raw = self.stream()
        sizes = []
        with peer:
            while len(sizes) < 4 or sizes[-1] != sizes[-4]:
                line = raw.readline()
                if line.startswith(b"data: "):
                    sizes.append(len(line) + 1)
        return sizes[-1]

    def __exit__(self, *_):
        super().__exit__()
        for engine in self.engines:
            engine.__exit__()


class Go(Server):
    def __init__(self, folder, size, phase_ms):
        port = free_port()
        program = pathlib.Path(folder) / "peer"
        if not program.exists():
            subprocess.run(["go", "build", "-o", program, HERE / "peer.go"], check=True,
                           env={**os.environ, "GOFLAGS": "-mod=mod", "GO111MODULE": "off"})
        super().__init__([program, port, size, INTERVAL_MS, int(phase_ms)], port)


class Nchan(Server):
    """nginx with nchan as its manual sets it up, and a publisher on the readers' processor."""

    fields = True

    def __init__(self, folder, size, phase_ms):
        port = free_port()
        folder = pathlib.Path(folder)
        configuration = folder / "nchan.conf"
        configuration.write_text(
            "load_module /usr/lib/nginx/modules/ngx_nchan_module.so;\n"
            "daemon off; worker_processes 1; worker_rlimit_nofile 20000;\n"
            f"pid {folder}/nginx.pid; error_log stderr warn;\n"
            "events { worker_connections 19950; }\n"
            "http { access_log off; nchan_shared_memory_size 128M; "
            f"server {{ listen 127.0.0.1:{port} backlog=4096;\n"
            "location = /publish { nchan_publisher; nchan_channel_id live; "
            "nchan_message_buffer_length 5; client_max_body_size 1m; }\n"
            "location / { nchan_subscriber eventsource; nchan_channel_id live; "
            "nchan_subscriber_first_message newest; } } }\n")
        super().__init__(["nginx", "-p", folder, "-c", configuration], port)
        children = f"/proc/{self.pid}/task/{self.pid}/children"
        self.pid = int(eventually("its worker", pathlib.Path(children).read_text).split()[0])
        self.body = b'{"pad":"' + b"x" * (size - 18) + b'"}'
        self.ended = False
        threading.Thread(target=self._publish, args=(phase_ms,), daemon=True).start()

    def _publish(self, phase_ms):
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        due = (time.monotonic() * 1000 // INTERVAL_MS + 2) * INTERVAL_MS + phase_ms
        with contextlib.suppress(OSError, http.client.HTTPException):
            while not self.ended:
                time.sleep(max(0, due / 1000 - time.monotonic()))
                connection.request("POST", "/publish", self.body)
                connection.getresponse().read()
                due += INTERVAL_MS

    def __exit__(self, *_):
        self.ended = True
        super().__exit__()
