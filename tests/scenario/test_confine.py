# SPDX-License-Identifier: Apache-2.0
"""What the running processes may still do, asked of them: a call is made in their place."""
import contextlib
import ctypes
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import tempfile
import time

from harness import (SIM, Daemon, FakeDriver, Skip, children_of, config, eventually, free_port,
                     named, run, serve)

LIBRARY = os.environ.get("FAKE_NVML", "")
GIB = 1 << 30
SYS_PTRACE, DAC_READ_SEARCH, SETPCAP = 1 << 19, 1 << 2, 1 << 8
NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}
EPERM, EACCES, EFAULT, EAFNOSUPPORT = 1, 13, 14, 97


def status(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return dict(re.findall(r"^(\w+):\s+(\S+)$", text, re.M))


def capabilities(pid, name="CapEff"):
    return int(status(pid)[name], 16)


def historian(pid):
    """The thread that writes, and nothing else."""
    return next(int(task) for task in os.listdir(f"/proc/{pid}/task")
                if named(f"{pid}/task/{task}") == "historian")


def threads(pid):
    """Each is a pid to status() and capabilities(): what is given up is each thread's own."""
    return [f"{pid}/task/{task}" for task in os.listdir(f"/proc/{pid}/task")]


def readers_rights():
    """Of those that this script has: what a process that reads others' files keeps."""
    have = capabilities("self")
    return have & (SYS_PTRACE | DAC_READ_SEARCH) if have & SYS_PTRACE else have


def is_running(pid):
    try:
        return status(pid)["State"] != "Z"
    except (OSError, KeyError):
        return False


class Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in (
        "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags "
        "rsp ss fs_base gs_base ds es fs gs").split()]


class Tracee:
    """A process in which system calls are made for it, while it waits in one of its own."""

    SEIZE, INTERRUPT, GETREGS, SETREGS, SINGLESTEP, DETACH, POKEDATA = (
        0x4206, 0x4207, 12, 13, 9, 17, 5)
    WALL = 0x40000000  # other threads than the first, too

    def __init__(self, pid):
        if platform.machine() != "x86_64":
            raise Skip("registers are known for x86-64 only")
        self.pid = pid
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.restype = ctypes.c_long

    def _ptrace(self, request, address=0, data=0):
        if self.libc.ptrace(ctypes.c_long(request), ctypes.c_long(self.pid),
                            ctypes.c_void_p(address), data) < 0:
            raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")

    def __enter__(self):
        try:
            self._ptrace(self.SEIZE)
        except OSError as error:
            raise Skip(f"tracing is forbidden here: {error}")
        time.sleep(0.05)  # most likely it waits now; registers() makes sure
        self._ptrace(self.INTERRUPT)
        os.waitpid(self.pid, self.WALL)
        self.saved = Registers()
        self._ptrace(self.GETREGS, 0, ctypes.byref(self.saved))
        assert ctypes.c_longlong(self.saved.orig_rax).value >= 0, "not in a system call"
        return self

    def __exit__(self, *_):
        self._ptrace(self.SETREGS, 0, ctypes.byref(self.saved))
        self._ptrace(self.DETACH)

    def text(self, words):
        """Its address, below what the process has on its stack."""
        at = (self.saved.rsp - 4096) & ~7
        padded = words.encode() + b"\0" * (8 - len(words) % 8)
        for i in range(0, len(padded), 8):
            self._ptrace(self.POKEDATA, at + i,
                         ctypes.c_void_p(int.from_bytes(padded[i:i + 8], "little")))
        return at

    def call(self, number, *arguments):
        registers = Registers.from_buffer_copy(self.saved)
        for name, value in zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), (*arguments, 0, 0, 0)):
            setattr(registers, name, value % (1 << 64))
        registers.rax, registers.orig_rax = number, (1 << 64) - 1
        registers.rip -= 2  # the instruction that it waits in
        self._ptrace(self.SETREGS, 0, ctypes.byref(registers))
        self._ptrace(self.SINGLESTEP)
        os.waitpid(self.pid, self.WALL)
        self._ptrace(self.GETREGS, 0, ctypes.byref(registers))
        return ctypes.c_longlong(registers.rax).value


SOCKET, CLONE, EXECVE, PTRACE, SETUID, MOUNT, OPENAT, GETPID = (
    41, 56, 59, 101, 105, 165, 257, 39)
AT_FDCWD, O_RDONLY, O_RDWR, O_CREAT = -100, 0, 2, 0o100


def daemon_on(driver, *arguments, **options):
    return Daemon("--gpu", "nvml", "--nvml-library", LIBRARY, "--no-discover", *arguments,
                  env={"VRAMSCOPE_FAKE_NVML": driver}, **options)


class Script:
    """What the fake library follows: one device."""

    def __enter__(self):
        self.file = tempfile.NamedTemporaryFile("w")
        self.file.write(f"device GPU-0 H100\nmemory {80 * GIB} 0 {10 * GIB}\n")
        self.file.flush()
        return self.file.name

    def __exit__(self, *_):
        self.file.close()


def test_rights_of_each_process():
    with Script() as script, daemon_on(script) as daemon:
        (worker,) = daemon.workers()
        main, keeper = daemon.process.pid, daemon.keeper()
        for pid in (main, keeper, worker):
            assert status(pid)["NoNewPrivs"] == "1" and status(pid)["Seccomp"] == "2", pid
            limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
            assert re.search(r"Max core file size +0 +0", limits), limits
            assert capabilities(pid, "CapInh") == capabilities(pid, "CapAmb") == 0
        assert len(threads(main)) > 1
        for thread in threads(main):
            assert status(thread)["NoNewPrivs"] == "1" and status(thread)["Seccomp"] == "2"
            if named(thread) == "historian":
                assert capabilities(thread) == capabilities(thread, "CapPrm") == 0
                continue
            assert capabilities(thread) == capabilities(thread, "CapPrm") == readers_rights()
            if capabilities("self") & SETPCAP:
                assert capabilities(thread, "CapBnd") == readers_rights()
        for pid in (keeper, worker):  # this driver needs none
            for name in ("CapEff", "CapPrm"):
                assert capabilities(pid, name) == 0, (pid, name)


def expect(tracee, calls):
    for number, arguments, error in calls:
        result = tracee.call(number, *arguments)
        assert result == -error, f"call {number}{arguments} gives {result}, not {-error}"


DENIED_TO_ALL = [(PTRACE, (0, 0, 0, 0), EPERM), (SETUID, (0,), EPERM),
                 (MOUNT, (0, 0, 0, 0, 0), EPERM)]
STARTING = [(EXECVE, (1, 0, 0), EPERM), (CLONE, (signal.SIGCHLD, 0, 0, 0, 0), EPERM)]


def test_the_daemon_starts_and_writes_nothing():
    with Script() as script, daemon_on(script) as daemon:
        with Tracee(daemon.process.pid) as tracee:
            assert tracee.call(GETPID) == daemon.process.pid
            # What the filter lets through fails by its bad address.
            expect(tracee, DENIED_TO_ALL + STARTING + [
                (OPENAT, (AT_FDCWD, 1, O_RDONLY), EFAULT),
                (OPENAT, (AT_FDCWD, 1, O_RDWR), EPERM),
                (OPENAT, (AT_FDCWD, 1, O_CREAT), EPERM),
                (SOCKET, (17, 3, 0), EAFNOSUPPORT)])
        time.sleep(1)
        assert daemon.vram()["allocated_vram_bytes"] == 10 * GIB  # and it goes on


def test_the_historian_writes_below_its_folder_alone():
    with Script() as script, tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory(
            ) as elsewhere, daemon_on(script, "--history", f"{home}/history.db") as daemon:
        with Tracee(historian(daemon.process.pid)) as tracee:
            expect(tracee, DENIED_TO_ALL + STARTING + [
                (SOCKET, (1, 1, 0), EAFNOSUPPORT), (SOCKET, (2, 1, 0), EAFNOSUPPORT)])
            fd = tracee.call(OPENAT, AT_FDCWD, tracee.text(f"{home}/made"), O_RDWR | O_CREAT,
                             0o600)
            assert fd > 0 and os.path.exists(f"{home}/made"), fd
            if tracee.call(444, 0, 0, 1) > 0:  # Landlock
                for path in (f"{elsewhere}/made", "/dev/null", "/proc/self/comm"):
                    assert tracee.call(OPENAT, AT_FDCWD, tracee.text(path), O_RDWR | O_CREAT,
                                       0o600) == -EACCES, path
        with Tracee(daemon.process.pid) as tracee:
            for path in (f"{home}/main", f"{home}/history.db"):
                assert tracee.call(OPENAT, AT_FDCWD, tracee.text(path), O_RDWR | O_CREAT,
                                   0o600) == -EPERM, path
        assert os.listdir(elsewhere) == [] and not os.path.exists(f"{home}/main")
        time.sleep(6)
        document = json.loads(daemon.get("/v1/detail")[2])
        assert document["self"]["history_errors"] == 0, daemon.log()  # and both go on


def test_a_historian_in_memory_writes_nothing():
    with Script() as script, daemon_on(script) as daemon:
        with Tracee(historian(daemon.process.pid)) as tracee:
            expect(tracee, DENIED_TO_ALL + STARTING + [
                (OPENAT, (AT_FDCWD, 1, O_RDWR), EPERM), (OPENAT, (AT_FDCWD, 1, O_CREAT), EPERM),
                (SOCKET, (1, 1, 0), EAFNOSUPPORT)])
        assert json.loads(daemon.get("/v1/history")[2])["series"]


def test_a_disk_that_hangs_does_not_hold_the_end():
    """The historian is held in a system call, as a file system that is gone would hold it."""
    with Script() as script, tempfile.TemporaryDirectory() as home, \
            daemon_on(script, "--history", f"{home}/history.db") as daemon:
        tid = historian(daemon.process.pid)
        with contextlib.suppress(ProcessLookupError), Tracee(tid):
            time.sleep(1.5)  # it goes on without it
            seq = json.loads(daemon.get("/v1/detail")[2])["seq"]
            time.sleep(1.2)
            assert json.loads(daemon.get("/v1/detail")[2])["seq"] >= seq + 2
            daemon.process.send_signal(signal.SIGTERM)
            # The process is gone once the thread is, of which we are told first.
            assert eventually("the end", lambda: os.waitpid(tid, Tracee.WALL | os.WNOHANG)[0],
                              4.5) == tid
        assert daemon.process.wait(2) == 0


def test_the_worker_writes_to_devices_alone():
    with Script() as script, daemon_on(script) as daemon:
        (worker,) = daemon.workers()
        with Tracee(worker) as tracee:
            expect(tracee, DENIED_TO_ALL + STARTING + [
                (SOCKET, (2, 1, 0), EAFNOSUPPORT), (SOCKET, (16, 3, 0), EAFNOSUPPORT),
                (OPENAT, (AT_FDCWD, 1, O_RDWR), EFAULT)])
            assert tracee.call(OPENAT, AT_FDCWD, tracee.text("/dev/null"), O_RDWR) > 0
            if tracee.call(444, 0, 0, 1) > 0:  # Landlock
                for path in ("/tmp/made", "/proc/self/comm"):
                    assert tracee.call(OPENAT, AT_FDCWD, tracee.text(path), O_RDWR | O_CREAT,
                                       0o600) == -EACCES, path
        time.sleep(1)
        assert daemon.workers() == [worker]
        assert daemon.vram()["allocated_vram_bytes"] == 10 * GIB


def test_the_keeper_can_start_but_not_connect():
    with Script() as script, daemon_on(script) as daemon:
        with Tracee(daemon.keeper()) as tracee:
            expect(tracee, DENIED_TO_ALL + [(EXECVE, (1, 0, 0), EFAULT),
                                            (SOCKET, (2, 1, 0), EAFNOSUPPORT)])


def amd_card(folder):
    device = folder / "class/drm/card0/device"
    device.mkdir(parents=True)
    for name, text in (("vendor", "0x1002"), ("mem_info_vram_total", 192 * GIB),
                       ("mem_info_vram_used", 20 * GIB)):
        (device / name).write_text(f"{text}\n")


def test_a_worker_keeps_what_the_host_s_driver_needs():
    """Nothing for NVIDIA's. What AMD's takes, once there is a card: by another worker."""
    with tempfile.TemporaryDirectory() as folder, Daemon(
            "--gpu", "auto", "--nvml-library", "/nonexistent.so", "--sys", folder,
            "--no-discover", "--log-level", "debug") as daemon:
        (first,) = daemon.workers()
        assert capabilities(first) == capabilities(first, "CapPrm") == 0
        assert capabilities(daemon.keeper()) == 0
        amd_card(pathlib.Path(folder))
        eventually("the card", lambda: (daemon.vram() or {}).get(
            "total_vram_bytes") == 192 * GIB, 30)
        eventually("another worker", lambda: daemon.workers() not in ([], [first]))
        eventually("with the rights", lambda: capabilities(daemon.workers()[0]) ==
                   readers_rights())
        with Tracee(daemon.workers()[0]) as tracee:
            expect(tracee, DENIED_TO_ALL + STARTING)
            if readers_rights() & SYS_PTRACE:  # it sees others, which Landlock would hide
                path = tracee.text(f"/proc/{os.getpid()}/environ")
                assert tracee.call(OPENAT, AT_FDCWD, path, O_RDONLY) > 0


def test_a_killed_worker_is_replaced_by_one_as_confined():
    with Script() as script, daemon_on(script) as daemon:
        (worker,) = daemon.workers()
        os.kill(worker, signal.SIGKILL)
        eventually("another", lambda: daemon.workers() not in ([], [worker]), 5)
        eventually("is confined", lambda: status(daemon.workers()[0])["Seccomp"] == "2")
        time.sleep(1)
        assert daemon.vram()["allocated_vram_bytes"] == 10 * GIB


def test_without_the_keeper_it_ends_to_be_started_again():
    with Script() as script, daemon_on(script) as daemon:
        (worker,) = daemon.workers()
        os.kill(daemon.keeper(), signal.SIGKILL)
        assert daemon.process.wait(5) == 1
        assert "the process that starts GPU workers has ended" in daemon.log(), daemon.log()
        eventually("no worker is left", lambda: not is_running(worker))


def test_nobody_outlives_a_killed_daemon():
    with Script() as script:
        daemon = daemon_on(script)
        others = [daemon.keeper(), *daemon.workers()]
        assert len(others) == 2
        daemon.process.kill()
        daemon.process.wait()
        eventually("nobody is left", lambda: not any(map(is_running, others)))


def test_the_switch():
    with Script() as script, daemon_on(script, "--no-confine") as daemon:
        for pid in (daemon.process.pid, daemon.keeper(), *daemon.workers()):
            assert status(pid)["Seccomp"] == status(pid)["NoNewPrivs"] == "0", pid
        assert "not confined" in daemon.log()
        eventually("figures", lambda: daemon.vram()["allocated_vram_bytes"] == 10 * GIB)


def test_who_has_read_a_key_is_hidden_and_still_works():
    """A user's daemon whose /proc/self belongs to root: servers and their files are found."""
    if os.geteuid() != 0:
        raise Skip("needs root, to be another user")
    port = free_port()
    shape = {"model_type": "opt", "hidden_size": 768, "num_attention_heads": 12,
             "num_hidden_layers": 12, "max_position_embeddings": 2048,
             "torch_dtype": "float16"}
    with tempfile.TemporaryDirectory() as folder, FakeDriver() as driver:
        model = pathlib.Path(folder) / "opt-125m"
        model.mkdir()
        (model / "config.json").write_text(json.dumps(shape))
        for path in (folder, model):
            os.chmod(path, 0o755)
        # Where another user can reach it, whatever folder it was built in.
        program = shutil.copy(SIM, folder)
        key, file = model / "key", model / "vramscope.yaml"
        file.write_text(f"engines:\n  - url: http://127.0.0.1:{free_port()}\n")
        key.write_text("a-secret\n")
        for path in (driver.path, os.path.join(driver.path, "processes")):
            os.chown(path, 65534, 65534)
        with serve(model, port, driver, program=program, **NOBODY), \
                Daemon("--gpu", "sim", "--sim-dir", driver.path, "--config", file,
                       as_user=NOBODY) as daemon:
            proc = pathlib.Path(f"/proc/{daemon.process.pid}/status")
            assert proc.stat().st_uid == 65534
            file.write_text(file.read_text() + f"    api_key_file: {key}\n")
            daemon.process.send_signal(signal.SIGHUP)
            eventually("reloaded", lambda: "configuration reloaded" in daemon.log())
            eventually("hidden", lambda: proc.stat().st_uid == 0)
            file.write_text("engines: []\n")  # again: files are still read
            daemon.process.send_signal(signal.SIGHUP)
            eventually("again", lambda: daemon.log().count("configuration reloaded") == 2)
            other = free_port()
            with serve(model, other, driver, program=program, **NOBODY):
                def sources():
                    rows = json.loads(daemon.get("/v1/detail")[2])["models"]
                    return {row["port"]: (row["kv_cache"] or {}).get("source")
                            for row in rows if row["port"] in (port, other)}
                eventually("what config.json says", lambda: sources().get(other) ==
                           "config.json", 20)


run(test_rights_of_each_process, test_the_daemon_starts_and_writes_nothing,
    test_the_historian_writes_below_its_folder_alone, test_a_historian_in_memory_writes_nothing,
    test_a_disk_that_hangs_does_not_hold_the_end,
    test_the_worker_writes_to_devices_alone, test_the_keeper_can_start_but_not_connect,
    test_a_worker_keeps_what_the_host_s_driver_needs,
    test_a_killed_worker_is_replaced_by_one_as_confined,
    test_without_the_keeper_it_ends_to_be_started_again, test_nobody_outlives_a_killed_daemon,
    test_the_switch, test_who_has_read_a_key_is_hidden_and_still_works)
