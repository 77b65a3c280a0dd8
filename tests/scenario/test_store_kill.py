# SPDX-License-Identifier: Apache-2.0
"""History on disk, killed at any instant, and on a full disk: nothing committed is lost.

store_writer writes batches with injected times and says each that is committed. After a
kill the file is read as anybody would, from a copy, so that the next writer finds it as it
was left.
"""
import collections
import contextlib
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time

from harness import eventually, run

WRITER = os.environ.get("STORE_WRITER", "build/release/tests/scenario/store_writer")
KILLS = 100
START_MS, STEP_MS, MOMENTS, SERIES, SLOT_MS = 1790000000000, 500, 10, 4, 10000
BATCH_MS = STEP_MS * MOMENTS


class Writer:
    def __init__(self, path, **settings):
        self.output = tempfile.TemporaryFile("w+")
        settings = {f"STORE_WRITER_{name.upper()}": str(n) for name, n in settings.items()}
        self.process = subprocess.Popen([WRITER, path], stdout=self.output,
                                        env={**os.environ, **settings})

    def lines(self):
        text = os.pread(self.output.fileno(), 64 << 20, 0).decode()
        return [line.split(" ", 1) for line in text.split("\n")[:-1]]

    def numbers(self, word):
        return [int(rest) for first, rest in self.lines() if first == word]

    def kill(self):
        assert self.process.poll() is None, f"ended by itself: {self.lines()[-3:]}"
        self.process.kill()
        return self.was_killed()

    def was_killed(self):
        assert self.process.wait(20) == -signal.SIGKILL, self.lines()[-3:]
        complaints = [rest for first, rest in self.lines() if first == "complaint"]
        assert not complaints, complaints
        return self.numbers("committed")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.output.close()


@contextlib.contextmanager
def copy_of(path):
    """The database as it lies there, with its log; whoever opens it mends the copy."""
    with tempfile.TemporaryDirectory() as folder:
        for file in path.parent.glob(path.name + "*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, folder)
        with contextlib.closing(sqlite3.connect(pathlib.Path(folder) / path.name)) as db:
            yield db


def rows(db, sql):
    return db.execute(sql).fetchall()


def check_batches(db):
    """Each batch is there whole, one behind the other; that of the oldest begins a slot."""
    batches = collections.Counter(
        dict(rows(db, f"select unix_ms / {BATCH_MS}, count(*) from sample group by 1")))
    assert batches, "there is nothing"
    first, last = min(batches), max(batches)
    assert first * BATCH_MS % SLOT_MS == 0, "half of a slot was trimmed"
    for batch in range(first, last + 1):
        assert batches[batch] == MOMENTS * SERIES, (batch - first, last - first, batches[batch])
    for unix_ms, series, running in rows(
            db, "select unix_ms, series, num_requests_running from sample order by random() limit 99"):
        assert running == (unix_ms // STEP_MS + series + 4) % 100000, (unix_ms, series, running)
    return first * BATCH_MS, last * BATCH_MS + BATCH_MS - STEP_MS


def check_slots(db):
    """Each row is in its slot once."""
    [(under_way, again)] = rows(db, "select slot_unix_ms, again from under_way")
    assert not again
    odd = rows(db, f"select * from slot where n <> {SLOT_MS // STEP_MS} or unix_ms >= {under_way}")
    assert not odd, odd[:3]
    [(slots, oldest, series)] = rows(
        db, "select count(*), min(unix_ms), count(distinct series) from slot")
    assert slots == 0 or slots == series * (under_way - oldest) // SLOT_MS, (slots, oldest)


def check_events(db, newest_ms):
    """An event a batch, with ids that go on."""
    [(first, last, n)] = rows(db, "select min(id), max(id), count(*) from event")
    assert last - first + 1 == n, (first, last, n)
    assert last == (newest_ms + STEP_MS - START_MS) // BATCH_MS, (last, newest_ms)


def check(path, committed):
    with copy_of(path) as db:
        tables = rows(db, "select count(*) from sqlite_master")
        assert tables != [(0,)], "made in part"
        assert rows(db, "pragma integrity_check") == [("ok",)]
        if not committed and rows(db, "select count(*) from sample") == [(0,)]:
            return
        _, newest_ms = check_batches(db)
        assert not committed or newest_ms >= committed[-1], (
            f"{committed[-1]} was committed, the newest is {newest_ms}")
        check_slots(db)
        check_events(db, newest_ms)


def killed_at_any_instant():
    random.seed(1)
    committed = []
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "history.db"
        for turn in range(KILLS):
            at_write = turn % 2 and random.randint(1, 500)
            with Writer(path, kill=at_write) as writer:
                if at_write:  # half of which was done
                    committed = writer.was_killed() or committed
                else:
                    time.sleep(random.uniform(0, 0.02 if turn % 4 == 0 else 0.25))
                    committed = writer.kill() or committed
            if committed:
                check(path, committed)
        simulated_ms = committed[-1] - START_MS
        assert simulated_ms > 3600 * 1000 * 5 // 4, simulated_ms  # so much was trimmed, too
        assert path.stat().st_size <= 3 << 20, path.stat().st_size
        assert not list(path.parent.glob("*.damaged"))


def killed_while_made():
    """There is a whole file or none."""
    made = 0
    for turn in range(30):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "history.db"
            with Writer(path, kill=turn + 1) as writer:
                committed = writer.was_killed()
            if path.exists():
                made += 1
                check(path, committed)
            with Writer(path) as writer:
                eventually("a batch after the kill", lambda: writer.numbers("committed"))
                check(path, writer.kill())
    assert 0 < made < 30, made


def full_disk():
    """Batches fail whole, and go on when there is room."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "history.db"
        with Writer(path, room=400000) as writer:
            eventually("it is full", lambda: len(writer.numbers("full")) == 3)
            full_ms = writer.numbers("full")[0]
            eventually("it goes on", lambda: writer.numbers("committed")[-1] > full_ms + 60000)
            committed = writer.kill()
        assert full_ms > START_MS + 10 * BATCH_MS, full_ms
        assert committed == list(range(START_MS + BATCH_MS - STEP_MS, committed[-1] + 1, BATCH_MS))
        check(path, committed)


def two_writers():
    """The second is told so, and the first goes on."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "history.db"
        with Writer(path) as writer:
            eventually("a batch", lambda: writer.numbers("committed"))
            with Writer(path) as other:
                assert other.process.wait(5) == 1
                assert "is in use: another process" in dict(other.lines())["complaint"]
            at_ms = writer.numbers("committed")[-1]
            eventually("it goes on", lambda: writer.numbers("committed")[-1] > at_ms)
            with contextlib.closing(sqlite3.connect(path)) as db:  # while it writes
                assert rows(db, "select count(*) > 0 from samples") == [(1,)]
            check(path, writer.kill())


run(killed_at_any_instant, killed_while_made, full_disk, two_writers)
