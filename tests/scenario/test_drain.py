# SPDX-License-Identifier: Apache-2.0
"""How a daemon ends: readers see a proper end, nobody holds it up, the address is free."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from harness import DAEMON, EVENT, Daemon, Skip, Stream, eventually, run

HERE = pathlib.Path(__file__).parent
OPTIONS = ("--gpu", "none", "--no-discover")
BYE = b"retry: 2000\nevent: bye\ndata: {}\n\n"
DETAIL = "/v1/detail/stream"


def ending(daemon, number=signal.SIGTERM):
    daemon.process.send_signal(number)
    return time.monotonic()


def ended(daemon, since, within):
    """Its exit status is 0, and it has taken no longer than that."""
    status = daemon.process.wait(10)
    took = time.monotonic() - since
    assert status == 0, f"status {status}: {daemon.log()}"
    assert took <= within, f"took {took:.2f} s"
    return took


def rest_of(stream):
    """All pieces until the end of the body, which must be a proper one."""
    pieces = []
    while True:
        piece = stream.piece()
        if not piece:
            break
        pieces.append(piece)
    assert stream.raw.read() == b"", "something after the end"  # an error raises
    return pieces


def test_readers_see_a_proper_end():
    for number in (signal.SIGTERM, signal.SIGINT):
        with Daemon(*OPTIONS) as daemon, contextlib.ExitStack() as stack:
            seed, old = (stack.enter_context(Stream(daemon, version=v)) for v in ("1.1", "1.0"))
            detail, old_detail = (stack.enter_context(Stream(daemon, DETAIL, v))
                                  for v in ("1.1", "1.0"))
            seed.event()
            since = ending(daemon, number)
            for stream in (seed, old):
                pieces = rest_of(stream)
                assert all(EVENT.fullmatch(p) for p in pieces), pieces
            for stream in (detail, old_detail):
                pieces = rest_of(stream)
                assert pieces[-1] == BYE, pieces[-1]
                assert pieces.count(BYE) == 1
            for stream in (seed, old, detail, old_detail):
                stream.raw.close()
                stream.socket.close()
            took = ended(daemon, since, 1.0)
            assert took < 1.0, took


def test_curl_is_content():
    with Daemon(*OPTIONS) as daemon:
        curls = [subprocess.Popen(["curl", "-sSN", daemon.url(path)], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
                 for path in ("/vram/stream", DETAIL)]
        eventually("both are subscribed", lambda: b'"subscribers":2' in
                   daemon.get("/v1/detail")[2].replace(b" ", b""))
        since = ending(daemon)
        for curl, last in zip(curls, (b"}\n\n", BYE)):
            out, err = curl.communicate(timeout=10)
            assert curl.returncode == 0 and not err, (curl.returncode, err)
            assert out.endswith(last), out[-100:]
        ended(daemon, since, 1.0)


def test_go_sees_the_end():
    if not shutil.which("go"):
        raise Skip("no go on this machine")
    with tempfile.TemporaryDirectory() as folder, Daemon(*OPTIONS) as daemon:
        binary = os.path.join(folder, "stream")
        env = {**os.environ, "GOCACHE": os.path.join(folder, "cache"), "GO111MODULE": "off"}
        subprocess.run(["go", "build", "-o", binary, HERE / "go/stream.go"], check=True, env=env)
        client = subprocess.Popen([binary, daemon.url(), "1000000"], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        client.stdout.readline()
        ending(daemon)
        client.stdout.read()
        said = client.stderr.read()
        client.wait(10)
        assert "unexpected EOF" not in said and "reset" not in said, said


def test_node_sees_the_end():
    node = shutil.which("node") or shutil.which("nodejs")
    if not node:
        raise Skip("no node on this machine")
    script = """
        const response = await fetch(process.argv[1]);
        let text = "";
        for await (const part of response.body) {
            if (!text) console.log("begun");
            text += Buffer.from(part).toString();
        }
        console.log(text.endsWith("event: bye\\ndata: {}\\n\\n") ? "bye" : text.slice(-80));
    """
    with Daemon(*OPTIONS) as daemon:
        client = subprocess.Popen([node, "--input-type=module", "-e", script,
                                   daemon.url(DETAIL)], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        assert client.stdout.readline() == "begun\n"
        ending(daemon)
        out, err = client.communicate(timeout=10)
        assert out == "bye\n" and client.returncode == 0, (out, err)


def stalled(daemon, path=DETAIL):
    """A reader that takes nothing any more, with its window shut."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    peer.connect(("127.0.0.1", daemon.port))
    peer.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return peer


def test_a_slow_reader_is_waited_for_two_seconds():
    with Daemon(*OPTIONS, "--interval", "100") as daemon, stalled(daemon), Stream(daemon) as other:
        eventually("nothing fits any more", lambda: daemon.vram() is not None and
                   skipped(daemon) > 0, 60, 0.5)
        since = ending(daemon)
        rest_of(other)
        assert time.monotonic() - since < 1.0, "the slow one holds up the others"
        took = ended(daemon, since, 2.6)
        assert took > 1.5, f"it was not waited for: {took:.2f} s"


def skipped(daemon):
    text = daemon.get("/v1/detail")[2].decode()
    return int(text.split('"frames_skipped":')[1].split(",")[0].split("}")[0])


def test_two_hundred_streams():
    with Daemon(*OPTIONS, "--max-clients-per-ip", "400") as daemon, \
            contextlib.ExitStack() as stack:
        streams = [stack.enter_context(Stream(daemon, DETAIL if i % 2 else "/vram/stream"))
                   for i in range(200)]
        since = ending(daemon)
        for i, stream in enumerate(streams):
            pieces = rest_of(stream)
            assert (BYE in pieces) == (i % 2 == 1), pieces[-1]
            stream.raw.close()
            stream.socket.close()
        ended(daemon, since, 2.5)


def test_an_answer_under_way_is_finished():
    """Asked before the signal, read after it; and a connection that idles is just closed."""
    with Daemon(*OPTIONS) as daemon:
        idle = socket.create_connection(("127.0.0.1", daemon.port), 5)
        asked = socket.create_connection(("127.0.0.1", daemon.port), 5)
        idle.sendall(b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in idle.recv(4096)
        daemon.process.send_signal(signal.SIGSTOP)
        time.sleep(0.1)
        asked.sendall(b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        daemon.process.send_signal(signal.SIGTERM)
        since = time.monotonic()
        daemon.process.send_signal(signal.SIGCONT)
        with idle, asked, asked.makefile("rb") as answer:
            text = answer.read()
            assert b"200 OK" in text and b"vramscoped" in text, text
            assert idle.recv(1) == b""
        ended(daemon, since, 1.5)


def test_a_second_signal_ends_it_at_once():
    for second in (signal.SIGTERM, signal.SIGINT):
        # A peer that neither closes nor has a reason to be reset keeps the drain going.
        with Daemon(*OPTIONS) as daemon, Stream(daemon) as stream:
            stream.event()
            ending(daemon)
            rest_of(stream)  # the drain has begun, and waits for us to close
            assert daemon.process.poll() is None
            since = ending(daemon, second)
            ended(daemon, since, 0.5)


def test_a_hung_driver_does_not_hold_it_up():
    library = os.environ.get("FAKE_NVML")
    if not library:
        raise Skip("no fake NVML library")
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "nvml")
        text = "device GPU-0 Fake\nmemory 1000000 0 500000\n"
        pathlib.Path(script).write_text(text)
        with Daemon("--gpu", "nvml", "--nvml-library", library, "--no-discover",
                    env={"VRAMSCOPE_FAKE_NVML": script}) as daemon:
            pathlib.Path(script + ".new").write_text(text + "hang DeviceGetMemoryInfo_v2 60\n")
            os.rename(script + ".new", script)
            eventually("the figures are stale", lambda: daemon.get("/healthz")[0] == 503, 15)
            worker = daemon.children()
            since = ending(daemon)
            ended(daemon, since, 1.5)
            eventually("the worker is gone", lambda: not any(
                os.path.exists(f"/proc/{pid}") for pid in worker), 3)


def test_a_signal_during_start_up():
    """Whenever it comes after the program has begun, the exit status is 0."""
    for delay in (0.0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3):
        # Its engine answers late, so that the first snapshot is waited for.
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            process = subprocess.Popen(
                [DAEMON, "--listen", "127.0.0.1:0", *OPTIONS, "--engine",
                 f"http://127.0.0.1:{port}"], stderr=subprocess.PIPE)
            # Before that it is not the daemon yet, but the loader of its libraries.
            eventually("main() has begun", lambda: catches(process.pid), 5, 0.001)
            time.sleep(delay)
            process.send_signal(signal.SIGTERM)
            since = time.monotonic()
            said = process.communicate(timeout=5)[1]
            assert process.returncode == 0, (delay, process.returncode, said)
            assert time.monotonic() - since < 1.0, delay


def catches(pid):
    """Is SIGTERM caught?"""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1
    raise AssertionError("no SigCgt")


def test_the_next_daemon_takes_the_address():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        with Daemon(*OPTIONS, "--listen", f"unix:{path}") as old, Stream(old) as stream:
            stream.event()
            ending(old)
            rest_of(stream)
            assert old.process.poll() is None, "there is no drain to bind in"
            with Daemon(*OPTIONS, "--listen", f"127.0.0.1:{old.port}", "--listen",
                        f"unix:{path}") as new:
                assert old.process.poll() is None, "the old one has ended meanwhile"
                with socket.socket(socket.AF_UNIX) as peer:
                    peer.connect(path)
                with socket.create_connection(("127.0.0.1", old.port), 5) as peer:
                    peer.sendall(b"GET /version HTTP/1.0\r\n\r\n")
                    assert b"200 OK" in peer.recv(4096)
                ended(old, time.monotonic(), 2.5)
                assert os.path.exists(path), "the old one has removed the new one's socket"
                assert new.process.poll() is None


run(test_readers_see_a_proper_end, test_curl_is_content, test_go_sees_the_end,
    test_node_sees_the_end, test_a_slow_reader_is_waited_for_two_seconds,
    test_two_hundred_streams, test_an_answer_under_way_is_finished,
    test_a_second_signal_ends_it_at_once, test_a_hung_driver_does_not_hold_it_up,
    test_a_signal_during_start_up, test_the_next_daemon_takes_the_address)
