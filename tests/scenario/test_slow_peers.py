# SPDX-License-Identifier: Apache-2.0
"""Peers that are slow, silent, gone or too many: they go, and a healthy reader sees nothing.

The attacks of one test run side by side against one daemon, so that their waits overlap.
Whether a connection is gone is seen from the daemon's side: in the kernel's table, where
one that no process holds has no inode.
"""
import concurrent.futures
import contextlib
import ctypes
import os
import pathlib
import re
import resource
import select
import socket
import struct
import threading
import time

from harness import Daemon, Engine, Stream, eventually, page_answer, run, vllm_page
from watcher import Watcher

MAX_CLIENTS = 700
OPTIONS = ("--gpu", "none", "--no-discover", "--max-clients", MAX_CLIENTS,
           "--max-clients-per-ip", MAX_CLIENTS)
RSS_GROWTH_MAX = 14 << 20
HEAD_GONE = 8  # seconds: the deadline of a head is 5
SLOW_GONE = 20
HALF_OPEN_GONE = 30
SMALL_WINDOW = 2048
FLOOD_SECONDS = 8
FLOOD_RATE = 64 << 10  # bytes a second that are taken behind a stream's request
IDLE_SHARE = 0.2  # of a processor
KERNEL_BUFFERS = 2 << 20  # of one connection, both ends
SO_ATTACH_FILTER = 26
GET = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n"


def connect(daemon, window=None):
    peer = socket.socket()
    if window:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    peer.settimeout(10)
    peer.connect(("127.0.0.1", daemon.port))
    return peer


def port_of(peer):
    return peer.getsockname()[1]


def sockets_of(port):
    """Far port, bytes to be sent and inode of every connection of ours with that near port.

    By sock_diag, since other tests of this machine may fill /proc/net/tcp.
    """
    between = struct.pack("=BBHHHBBHHH", 2, 8, 20, 0, port, 3, 8, 12, 0, port)  # >=, <=
    states = 0xfff & ~(1 << 6 | 1 << 10)  # but TIME-WAIT and LISTEN
    body = struct.pack("=BBBBI48xHH", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, states,
                       4 + len(between), 1) + between
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as diag:
        diag.settimeout(5)
        diag.send(struct.pack("=IHHII", 16 + len(body), 20, 0x301, 1, 0) + body)
        while True:
            data = diag.recv(1 << 17)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind != 20:
                    assert kind == 3, f"sock_diag: message {kind}"
                    return
                far = struct.unpack_from("!H", data, 16 + 6)[0]
                unsent, _, inode = struct.unpack_from("=III", data, 16 + 60)
                yield far, unsent, inode
                data = data[(length + 3) & ~3:]


def held_ports(daemon):
    """The far ports of all connections that the daemon has open, with bytes to be sent."""
    return {far: unsent for far, unsent, inode in sockets_of(daemon.port) if inode}


def still_held(daemon, peers, seen):
    """How many the daemon has, or has not accepted yet; `seen` keeps those that it had."""
    ports = {port_of(peer): peer for peer in peers}
    held = ports.keys() & held_ports(daemon).keys()
    seen |= held
    return len(held) + sum(how_it_ended(peer) == "open"
                           for port, peer in ports.items() if port not in seen)


def wait_until_gone(daemon, peers, seconds, since=None):
    """How long it took until the daemon held none of them any more."""
    start, seen = since or time.monotonic(), set()
    while True:
        left, took = still_held(daemon, peers, seen), time.monotonic() - start
        if not left:
            return round(took, 1)
        assert took <= seconds, f"{left} of {len(peers)} are held after {took:.1f} s"
        time.sleep(0.25)


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def cpu_seconds(daemon):
    text = pathlib.Path(f"/proc/{daemon.process.pid}/stat").read_text()
    words = text.rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def highest_rss(daemon):
    status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024


def how_it_ended(peer):
    """What a peer that has not read since sees: 'reset', 'end', or 'open'."""
    poll = select.poll()
    poll.register(peer, select.POLLRDHUP)
    events = dict(poll.poll(0)).get(peer.fileno(), 0)
    if events & select.POLLERR:
        return "reset"
    return "end" if events & (select.POLLRDHUP | select.POLLHUP) else "open"


def answer_of(peer):
    """All that comes until the end; a reset is none."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while more := peer.recv(65536):
            got += more
    return got


@contextlib.contextmanager
def closing(peers):
    try:
        yield peers
    finally:
        for peer in peers:
            peer.close()


def vanish(peer):
    """From now on its kernel drops what arrives for it unseen: power loss, from afar."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))  # return 0
    peer.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                    struct.pack("HP", 1, ctypes.addressof(program)))


def slow_heads(daemon):
    """Heads that come byte by byte, a byte a second."""
    with closing([connect(daemon) for _ in range(200)]) as peers:
        start, seen = time.monotonic(), set()
        for byte in GET % b"/version":
            for peer in peers:
                with contextlib.suppress(OSError):
                    peer.send(bytes([byte]))
            time.sleep(1)
            left, took = still_held(daemon, peers, seen), time.monotonic() - start
            if not left:
                break
            assert took <= HEAD_GONE, f"{left} are held after {took:.1f} s"
        answers = [answer_of(peer) for peer in peers]
        told = sum(answer.startswith(b"HTTP/1.1 408 ") for answer in answers)
        assert told == len(peers), f"{told} of {len(peers)} were told: {answers[0]!r}"
    return round(took, 1)


def slow_lines(daemon):
    """Empty lines before a request, for ever, are no reason to wait longer."""
    with closing([connect(daemon) for _ in range(20)]) as peers:
        start, ended = time.monotonic(), set()
        while len(ended) < len(peers):
            for peer in peers:
                try:
                    peer.send(b"\r\n")
                except OSError:
                    ended.add(peer)
            time.sleep(0.5)
            assert time.monotonic() - start < HEAD_GONE, f"{len(ended)} of {len(peers)} ended"
        return wait_until_gone(daemon, peers, HEAD_GONE, start)


def silent_peers(daemon):
    with closing([connect(daemon) for _ in range(50)]) as peers:
        return wait_until_gone(daemon, peers, HEAD_GONE)


def idle_peers(daemon):
    """One request, and nothing more."""
    with closing([connect(daemon) for _ in range(20)]) as peers:
        for peer in peers:
            peer.sendall(GET % b"/version")
            assert peer.recv(65536).startswith(b"HTTP/1.1 200 ")
        return wait_until_gone(daemon, peers, SLOW_GONE)


def unread_answers(daemon):
    """Request upon request, and none of the answers is read."""
    request = (GET % b"/v1/detail") * 90
    with closing([connect(daemon, SMALL_WINDOW) for _ in range(20)]) as peers:
        start, sent = time.monotonic(), [0] * len(peers)
        for peer in peers:
            peer.setblocking(False)
        most = 0
        while time.monotonic() - start < 5:
            for i, peer in enumerate(peers):
                with contextlib.suppress(OSError):
                    sent[i] += peer.send(request)
            held = held_ports(daemon)
            most = max([most, *(held.get(port_of(peer), 0) for peer in peers)])
            time.sleep(0.2)
        assert max(sent) < KERNEL_BUFFERS, f"{max(sent)} bytes of requests were taken"
        assert most < 96 << 10, f"{most} bytes wait to be sent to one of them"
        took = wait_until_gone(daemon, peers, SLOW_GONE, start)
        assert {how_it_ended(peer) for peer in peers} == {"reset"}
    return took, max(sent), most


def unread_streams(daemon):
    """Streams whose window is shut: reset after 15 s without progress."""
    with closing([connect(daemon, SMALL_WINDOW) for _ in range(50)]) as peers:
        for i, peer in enumerate(peers):
            peer.sendall(GET % (b"/v1/detail/stream" if i % 2 else b"/vram/stream"))
        took = wait_until_gone(daemon, peers, SLOW_GONE)
        for peer in peers:  # who reads on then sees no proper end of the stream
            got, ended = b"", False
            with contextlib.suppress(ConnectionResetError):
                while not ended and len(got) < KERNEL_BUFFERS:
                    more = peer.recv(65536)
                    got, ended = got + more, not more
            assert not ended and got.startswith(b"HTTP/1.1 200 "), (ended, got[-100:])
    return took


def half_open(daemon):
    """Streams whose peers have lost power."""
    with closing([connect(daemon) for _ in range(60)]) as peers:
        for peer in peers:
            peer.sendall(GET % b"/vram/stream")
            assert peer.recv(65536)
        for peer in peers:
            vanish(peer)
        return wait_until_gone(daemon, peers, HALF_OPEN_GONE)


def half_open_idle(daemon):
    """Peers that lose power before a request, between two, and in the middle of one."""
    with closing([connect(daemon) for _ in range(60)]) as peers:
        for i, peer in enumerate(peers):
            if i % 3 == 1:
                peer.sendall(GET % b"/version")
                assert peer.recv(65536)
            elif i % 3 == 2:
                peer.sendall(b"GET /ver")
        for peer in peers:
            vanish(peer)
        return wait_until_gone(daemon, peers, HALF_OPEN_GONE)


def resets(daemon):
    """Connections that are reset at once, with a request in them or without."""
    until, n = time.monotonic() + 6, 0
    reset = struct.pack("ii", 1, 0)
    while time.monotonic() < until:
        peer = connect(daemon)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        if n % 2:
            peer.send(GET % (b"/vram/stream" if n % 4 == 1 else b"/vram"))
        peer.close()
        n += 1
    return n


def flood(daemon):
    """Bytes without end behind a stream's request: dropped, and not at any speed."""
    with Stream(daemon) as stream:
        stream.event()
        sending, sent, start = True, 0, time.monotonic()
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)

        def send():
            nonlocal sent
            while sending:
                if select.select([], [stream.socket], [], 0.2)[1]:
                    sent += stream.socket.send(b"a" * 65536)
        sender = threading.Thread(target=send)
        sender.start()
        while time.monotonic() - start < FLOOD_SECONDS:
            stream.event()  # it goes on for the flooder, too
        sending = False
        sender.join()
    return sent


def endless_line(daemon):
    """A line without an end, as fast as it is taken: answered and closed at its 8 KB."""
    start = time.monotonic()
    with closing([connect(daemon) for _ in range(10)]) as peers:
        for peer in peers:
            peer.setblocking(False)
        left = set(peers)
        while left:
            for peer in list(left):
                try:
                    peer.send(b"a" * 65536)
                except BlockingIOError:
                    pass
                except OSError:
                    left.discard(peer)
            assert time.monotonic() - start < HEAD_GONE, f"{len(left)} are still heard"
            time.sleep(0.01)
    return round(time.monotonic() - start, 1)


ATTACKS = (slow_heads, slow_lines, silent_peers, idle_peers, unread_answers, unread_streams,
           half_open, half_open_idle, resets, endless_line)


@contextlib.contextmanager
def watched(daemon):
    """A healthy reader meanwhile; at the end all is as it was."""
    with Watcher(daemon) as watcher:
        time.sleep(1)
        fds, rss, start = descriptors(daemon), highest_rss(daemon), time.monotonic()
        yield
        eventually(f"{fds} descriptors again", lambda: descriptors(daemon) <= fds, 5)
        took, grown = time.monotonic() - start, highest_rss(daemon) - rss
        report = watcher.check(least=int(took * 1.8))
        print(f"     {took:.0f} s, beside it {report}, {grown >> 10} KiB more")
        assert grown <= RSS_GROWTH_MAX, f"{grown} bytes more than before"


def pages():
    """A page of a dozen models with long names, so that events are some KB."""
    return "".join(vllm_page(model=f"{i}-{'x' * 200}", engine=str(i)) for i in range(12))


def attack(daemon, attacks):
    with concurrent.futures.ThreadPoolExecutor(len(attacks)) as pool:
        running = {one.__name__: pool.submit(one, daemon) for one in attacks}
        concurrent.futures.wait(running.values())
    failed = {name: one.exception() for name, one in running.items() if one.exception()}
    print("    ", {name: one.result() for name, one in running.items() if name not in failed})
    assert not failed, failed


def test_slow_peers_go_and_harm_nobody():
    with Engine(page_answer(pages())) as engine, \
            Daemon(*OPTIONS, "--engine", engine.url) as daemon, watched(daemon):
        attack(daemon, ATTACKS)
        assert daemon.get("/version")[0] == 200


def test_floods_behind_streams():
    with Daemon(*OPTIONS) as daemon, watched(daemon):
        before = cpu_seconds(daemon)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            sent = [one.result() for one in [pool.submit(flood, daemon) for _ in range(3)]]
        used = cpu_seconds(daemon) - before
        print(f"     {sent} bytes, {used:.2f} s of a processor")
        most = FLOOD_RATE * (FLOOD_SECONDS + 1) + KERNEL_BUFFERS
        assert max(sent) <= most, f"{max(sent)} bytes were taken, not {most}"


def crowd(daemon, n):
    peers = []
    with contextlib.suppress(OSError):
        for _ in range(n):
            peers.append(connect(daemon))
    return peers


def test_more_connections_than_may_be():
    with Daemon(*OPTIONS) as daemon, watched(daemon), closing(crowd(daemon, 2000)) as peers:
        assert len(peers) == 2000
        # One that is being turned away is there for a moment.
        eventually("no more than may be", lambda: len(held_ports(daemon)) <= MAX_CLIENTS, 5)
        def refused():
            return [peer for peer in peers if how_it_ended(peer) == "end"]
        eventually("most of them are refused", lambda: len(refused()) >= 1000)
        for peer in refused():
            answer = answer_of(peer)
            assert answer.startswith(b"HTTP/1.1 503 ") and b"\r\nRetry-After: " in answer, answer
        wait_until_gone(daemon, peers, HEAD_GONE)
        assert daemon.get("/version")[0] == 200


def check_closed(peers, room):
    """All but those that there was room for are closed within a second."""
    eventually("the others are closed", lambda: sum(
        how_it_ended(peer) != "open" for peer in peers) >= len(peers) - room, 1)


def set_limit(daemon, soft):
    hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (soft, hard))


def idle_cpu(daemon):
    """The share of a processor that it takes while nobody asks anything new."""
    before = cpu_seconds(daemon)
    time.sleep(1.5)
    return (cpu_seconds(daemon) - before) / 1.5


def test_no_descriptor_left():
    """The backlog is drained, at no great cost, and all is well once there are some again."""
    room = 5
    with Daemon(*OPTIONS) as daemon, watched(daemon):
        soft = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)[0]
        for _ in range(2):
            set_limit(daemon, descriptors(daemon) + room)
            with closing(crowd(daemon, 300)) as peers:
                check_closed(peers, room)
                share = idle_cpu(daemon)
                assert share < IDLE_SHARE, f"it takes {share:.2f} of a processor"
                wait_until_gone(daemon, peers, HEAD_GONE)
                set_limit(daemon, soft)
                assert daemon.get("/version")[0] == 200


def test_not_even_the_reserved_descriptor():
    """Where the backlog cannot even be drained, the daemon does not spin, and recovers."""
    with Daemon(*OPTIONS) as daemon, watched(daemon):
        fds = descriptors(daemon)
        soft = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)[0]
        set_limit(daemon, 3)
        with closing(crowd(daemon, 50)):
            share = idle_cpu(daemon)
            set_limit(daemon, soft)
            assert daemon.get("/version")[0] == 200
        eventually("they are gone", lambda: descriptors(daemon) <= fds)
        set_limit(daemon, fds + 2)
        with closing(crowd(daemon, 50)) as peers:
            check_closed(peers, 5)  # as above: the reserved one is back
            set_limit(daemon, soft)
            assert daemon.get("/version")[0] == 200
        assert share < IDLE_SHARE, f"it took {share:.2f} of a processor"


if __name__ == "__main__":
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    run(test_slow_peers_go_and_harm_nobody, test_floods_behind_streams,
        test_more_connections_than_may_be, test_no_descriptor_left,
        test_not_even_the_reserved_descriptor)
