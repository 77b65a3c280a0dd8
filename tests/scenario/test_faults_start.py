# SPDX-License-Identifier: Apache-2.0
"""Any call may fail at start-up: the daemon serves what is true, or ends and says why.

With VRAMSCOPE_FAULTS=all each call is tried in every way that it can fail, not a choice of
them: that takes a quarter of an hour. VRAMSCOPE_FAULTS_OF names the functions to try.
"""
import concurrent.futures
import contextlib
import itertools
import signal

from faults import (ABORTS, ALL, ALWAYS, CUT_OFF, DAEMON_ROLE, ENDLESS, ERRORS, FUNCTIONS,
                    KEEPER_ROLE, ONCE, SHORT, WORKER_ROLE, Faults, Scene, honest,
                    learn_names)
from harness import alone, eventually, run

LANES = 8
SOON = 11.0  # seconds: a server that answers slowly is asked every 5 s
ROUND = 4  # calls that are tried before it is looked whether there are more


def ends_well(daemon, role):
    """It has ended with 1 or 2 and has said why, once; the keeper may have said why, too."""
    lines = daemon.log().splitlines()
    assert daemon.process.returncode in (1, 2), f"ended with {daemon.process.returncode}"
    errors = sum(": error: " in line for line in lines)
    assert errors == 1 or errors == 2 and role == KEEPER_ROLE, f"{errors} lines of errors"


def serves_well(daemon, scene, manner):
    """Serves nothing untrue, and soon all that is true; then ends as it should."""
    def says_what_it_can():
        assert daemon.process.poll() is None, f"ended with {daemon.process.returncode}"
        vram = None
        with contextlib.suppress(*CUT_OFF):
            vram = daemon.vram()
        if vram:
            honest(vram, scene, all_found=False)
        return vram == scene.truth or manner == ALWAYS
    eventually("all figures are true", says_what_it_can, SOON, 0.03)
    daemon.process.send_signal(signal.SIGTERM)
    status = daemon.process.wait(5)
    assert status == 0, f"ended with {status} after SIGTERM"


def settled(daemon):
    """Whether it listens, or has ended, be it between the two looks."""
    try:
        return daemon.process.poll() is not None or daemon._listening()
    except AssertionError:
        return daemon.process.poll() is not None


def start_with(scene, function, n, error, manner, *arguments, role=DAEMON_ROLE):
    """Start a daemon one of whose calls fails. Gives whether it did fail."""
    if (function, n) in ABORTS and role == DAEMON_ROLE:
        return True
    with Faults() as faults:
        faults.arm(function, n, error, manner, role)
        daemon = scene.daemon(faults, *arguments, wait=False)
        try:
            eventually("it listens or has ended", lambda: settled(daemon), 20, 0.01)
            if daemon.process.poll() is None:
                serves_well(daemon, scene, manner)
            else:
                ends_well(daemon, role)
            return faults.fired() > 0
        except Exception as failure:
            raise AssertionError(f"{function} {n} {error} {manner}: {failure!r}; "
                                 f"log: {daemon.log()}") from failure
        finally:
            daemon.process.kill()
            daemon.process.wait()
            daemon.log_file.close()


def numbers():
    """Which calls fail: each, or each of the first and then ever fewer."""
    return itertools.count(1) if ALL else itertools.chain(
        range(1, 41), range(41, 300, 11), range(307, 1 << 20, 101))


def result_of(future, failures):
    try:
        return future.result()
    except AssertionError as failure:
        failures.append(str(failure))
        return True


def start_with_each(scene, function, error, failures):
    """Each call of that function at the start, until there are no more of it."""
    tried, ns = 0, numbers()
    while True:
        fired = []
        for n in itertools.islice(ns, ROUND):
            try:
                fired.append(start_with(scene, function, n, error, ONCE))
            except AssertionError as failure:
                failures.append(str(failure))
                fired.append(True)
        tried += sum(fired)
        if not all(fired):
            return tried


def test_start_up():
    failures = []
    with Scene() as scene, concurrent.futures.ThreadPoolExecutor(LANES) as pool:
        series = [pool.submit(start_with_each, scene, function, error, failures)
                  for function in FUNCTIONS for error in ERRORS[function]
                  if ALL or error in (ERRORS[function][0], SHORT)]
        always = [pool.submit(start_with, scene, function, 1, ERRORS[function][0], ALWAYS)
                  for function in FUNCTIONS
                  if function not in ENDLESS and (function, 1) not in ABORTS]
        tried = sum(future.result() for future in series)
        for future in always:
            result_of(future, failures)
    print(f"     {tried} starts in which a call failed")
    assert not failures, f"{len(failures)}:\n" + "\n".join(failures)


def start_with_some(some, *arguments):
    """`some` gives role, function and number of the calls that fail in turn."""
    failures = []
    with Scene() as scene, concurrent.futures.ThreadPoolExecutor(LANES) as pool:
        started = [pool.submit(start_with, scene, function, n, ERRORS[function][0], ONCE,
                               *arguments, role=role) for role, function, n in some(scene)]
        tried = sum(result_of(future, failures) for future in started)
    print(f"     {tried} starts in which a call failed")
    assert not failures, f"{len(failures)}:\n" + "\n".join(failures)


def test_threads():
    """What is made for each thread that sends events."""
    def some(_):
        for function in ("pthread_create", "epoll_create1", "eventfd", "socket", "bind",
                         "listen", "epoll_ctl"):
            for n in range(1, 7):
                yield DAEMON_ROLE, function, n
    start_with_some(some, "--fanout-threads", "2")


def test_children():
    """What the keeper and the first worker do until all is said."""
    def some(scene):
        with Faults() as faults, scene.daemon(faults) as daemon:
            eventually("all is true", lambda: daemon.vram() == scene.truth)
            calls = {role: faults.calls(role) for role in (KEEPER_ROLE, WORKER_ROLE)}
        assert all(sum(made.values()) > 5 for made in calls.values()), calls
        for role, function in itertools.product(calls, FUNCTIONS):
            for n in range(1, 1 + min(calls[role][function], 6 if ALL else 2)):
                yield role, function, n
    start_with_some(some)


alone()
learn_names()
run(test_start_up, test_threads, test_children)
