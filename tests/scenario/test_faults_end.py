# SPDX-License-Identifier: Apache-2.0
"""Any call may fail while a daemon ends, or while it gets another GPU worker.

VRAMSCOPE_FAULTS_OF names the functions to try.
"""
import concurrent.futures
import contextlib
import os
import signal
import subprocess

from faults import (ALL, ALWAYS, CUT_OFF, DAEMON_ROLE, ENDLESS, ERRORS, FUNCTIONS,
                    KEEPER_ROLE, ONCE, SHORT, Faults, Scene, learn_names)
from harness import Stream, alone, eventually, run

LANES = 8


@contextlib.contextmanager
def all_true(scene, *arguments):
    """A daemon that says all that is true, and what may fail in it."""
    with Faults() as faults:
        daemon = scene.daemon(faults, *arguments)
        try:
            eventually("all figures are true", lambda: daemon.vram() == scene.truth)
            yield faults, daemon
        finally:
            daemon.process.kill()
            daemon.process.wait()
            daemon.log_file.close()


def try_all(what, scene, some):
    failures, tried = [], 0
    with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
        for future in [pool.submit(what, scene, *fault) for fault in some]:
            try:
                tried += future.result()
            except AssertionError as failure:
                failures.append(str(failure))
    print(f"     {tried} calls failed")
    assert not failures, f"{len(failures)}:\n" + "\n".join(failures)


def said(daemon, fault, failure):
    return AssertionError(f"{fault}: {failure!r}; log: {daemon.log()[-1500:]}")


def end(daemon, arm):
    """With a reader of each stream. Gives its exit status."""
    with contextlib.ExitStack() as stack:
        for path in ("/vram/stream", "/v1/detail/stream"):
            stack.enter_context(Stream(daemon, path)).piece()
        arm()
        daemon.process.send_signal(signal.SIGTERM)
        return daemon.process.wait(5)


def end_with(scene, function, n, error, manner, *arguments):
    """A call fails while SIGTERM ends it: it is over in time all the same."""
    fault = function, n, error, manner, arguments
    with all_true(scene, *arguments) as (faults, daemon):
        try:
            status = end(daemon, lambda: faults.arm(function, n, error, manner))
            assert status in (0, 1), f"ended with {status}"
            return faults.fired() > 0
        except (AssertionError, subprocess.TimeoutExpired, *CUT_OFF) as failure:
            raise said(daemon, fault, failure) from failure


def ways_to_end(scene, *arguments):
    with all_true(scene, *arguments) as (faults, daemon):
        before = {}
        end(daemon, lambda: before.update(faults.calls(DAEMON_ROLE)))
        calls = {name: n - before[name] for name, n in faults.calls(DAEMON_ROLE).items()}
    for function in FUNCTIONS:
        for error in ERRORS[function] if ALL else ERRORS[function][:1]:
            for n in range(1, 1 + min(calls[function], 20 if ALL else 10)):
                yield function, n, error, ONCE, *arguments
            if calls[function] and function not in ENDLESS and error != SHORT:
                yield function, 1, error, ALWAYS, *arguments


def test_ending():
    with Scene() as scene:
        try_all(end_with, scene, ways_to_end(scene))


def test_ending_with_threads():
    with Scene() as scene:
        try_all(end_with, scene, ways_to_end(scene, "--fanout-threads", "2"))


def replace_worker(daemon):
    """Kill the worker. Another is there at last, or the daemon has ended."""
    (worker,) = daemon.workers()
    os.kill(worker, signal.SIGKILL)

    def other():
        return daemon.process.poll() is not None or daemon.workers() not in ([], [worker])
    eventually("another worker", other, 8)


def is_settled(scene, daemon):
    """All is true, or it has ended, maybe while it was asked."""
    with contextlib.suppress(*CUT_OFF):
        return daemon.process.poll() is not None or daemon.vram() == scene.truth
    return False


def replace_with(scene, function, n, error):
    """A call of the keeper fails: there is a worker in the end, or the daemon ends to be
    started again, and says so."""
    with all_true(scene) as (faults, daemon):
        try:
            faults.arm(function, n, error, role=KEEPER_ROLE)
            replace_worker(daemon)
            eventually("all is true", lambda: is_settled(scene, daemon))
            if daemon.process.poll() is not None:
                assert daemon.process.returncode == 1, daemon.process.returncode
                assert daemon.log().count(": error: ") == 1, "not one line of an error"
            return faults.fired() > 0
        except (AssertionError, *CUT_OFF) as failure:
            raise said(daemon, (function, n, error), failure) from failure


def test_keeper():
    def some(scene):
        with all_true(scene) as (faults, daemon):
            before = faults.calls(KEEPER_ROLE)
            replace_worker(daemon)
            after = faults.calls(KEEPER_ROLE)
        calls = {name: after[name] - before[name] for name in after}
        assert sum(calls.values()) > 3, calls
        for function in FUNCTIONS:
            for error in ERRORS[function]:
                for n in range(1, 1 + calls[function]):
                    yield function, n, error
    with Scene() as scene:
        try_all(replace_with, scene, some(scene))


alone()
learn_names()
run(test_ending, test_ending_with_threads, test_keeper)
