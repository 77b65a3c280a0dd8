# SPDX-License-Identifier: Apache-2.0
"""Intel's cards end to end: files with the kernel's names, and a kernel that is preloaded."""
import contextlib
import ctypes
import json
import os
import pathlib
import signal
import subprocess
import tempfile

import schema
from harness import Daemon, Engine, Skip, alone, eventually, page_answer, run, vllm_page

VRAMSCOPE = os.environ.get("VRAMSCOPE", "build/release/src/vramscope")
LIBRARY, NVML = os.environ.get("INTEL_KERNEL", ""), os.environ.get("FAKE_NVML", "")
SCHEMA_FILE = pathlib.Path(__file__).resolve().parents[2] / "docs/detail.schema.json"
SCHEMA = schema.Schema(schema.loads(SCHEMA_FILE.read_text()))
GIB = 1 << 30
PERFMON = 38
A770 = 17028874240


class Cards:
    """class/drm and render nodes, as xe and i915 make them."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        root = pathlib.Path(self.folder.name)
        self.sys, self.nodes = root / "sys", root / "nodes"
        (self.sys / "class/drm").mkdir(parents=True)
        (self.nodes / "clients").mkdir(parents=True)
        self.env = {"LD_PRELOAD": LIBRARY, "INTEL_NODES": str(self.nodes)}

    def add(self, n, address, driver, device, regions):
        folder = self.sys / "devices/pci0000:00" / address
        (folder / f"drm/card{n}").mkdir(parents=True)
        (folder / f"drm/renderD{128 + n}").mkdir()
        for name, text in (("vendor", "0x8086"), ("device", device), ("class", "0x030000"),
                           ("uevent", f"DRIVER={driver}\nPCI_SLOT_NAME={address}")):
            (folder / name).write_text(f"{text}\n")
        (folder / "driver").symlink_to(f"../../../bus/pci/drivers/{driver}")
        (folder / f"drm/card{n}/device").symlink_to(f"../../../{address}")
        (self.sys / f"class/drm/card{n}").symlink_to(
            f"../../devices/pci0000:00/{address}/drm/card{n}")
        self.say(n, driver, regions)

    def say(self, n, driver, regions):
        """In one piece, in the file that the worker has open."""
        text = driver + "".join(f"\n{' '.join(map(str, region))}" for region in regions)
        node = os.open(self.nodes / f"renderD{128 + n}", os.O_WRONLY | os.O_CREAT)
        os.pwrite(node, f"{text:<512}".encode(), 0)
        os.close(node)

    def client(self, number, driver, address, **resident):
        """A file that is a client's: what is in it is what fdinfo says of who has it open."""
        file = self.nodes / "clients" / str(number) / "renderD129"
        file.parent.mkdir()
        file.write_text(f"pos:\t0\nflags:\t0100002\ndrm-driver:\t{driver}\n"
                        f"drm-client-id:\t{number}\ndrm-pdev:\t{address}\n"
                        "drm-total-gtt:\t192 KiB\ndrm-resident-gtt:\t192 KiB\n"
                        + "".join(f"drm-total-{region}:\t9999 MiB\n"
                                  f"drm-resident-{region}:\t{size // 1024} KiB\n"
                                  for region, size in resident.items()))
        return file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


def xe(used, n_tiles=2, size=60 * GIB):
    """Regions of xe's: system memory, then a tile each; `used` of all tiles."""
    return [(0, 64 * GIB, 0)] + [(1, size, used // n_tiles) for _ in range(n_tiles)]


def i915(used):
    return [(0, 64 * GIB, 0), (1, A770, used)]


@contextlib.contextmanager
def holder(file):
    """A process of ours that has the file open."""
    with file.open() as node:
        process = subprocess.Popen(["sleep", "600"], stdin=node)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def stranger(file):
    """Likewise, but nobody's child."""
    with file.open() as node:
        shell = subprocess.run(["sh", "-c", "exec 3<&0; sleep 600 <&3 >/dev/null & echo $!"], text=True,
                               stdin=node, stdout=subprocess.PIPE, check=True)
    try:
        yield int(shell.stdout)
    finally:
        os.kill(int(shell.stdout), signal.SIGKILL)


def daemon_on(cards, *arguments, gpu="xe", env={}, **options):
    return Daemon("--gpu", gpu, "--sys", cards.sys, "--no-discover", *arguments,
                  env={**cards.env, **env}, **options)


def detail(daemon):
    status, _, body = daemon.get("/v1/detail")
    assert status == 200, (status, body)
    document = schema.loads(body.decode())
    SCHEMA.validate(document)
    vram = document["vram"]
    assert vram["allocated_bytes"]["value"] == sum(
        vram[part] for part in ("models_bytes", "other_bytes", "orphan_bytes",
                                "unattributed_bytes")), vram
    for device in document["devices"]:
        assert device["used_bytes"] is None or device["used_bytes"] == sum(
            device[part] for part in ("models_bytes", "other_bytes", "orphan_bytes",
                                      "unattributed_bytes")), device
    return document


def rows(document):
    """Of the processes: (pid, device) -> (bytes, owner)."""
    return {(p["pid"], p["device"]): (p["bytes"], p["owner"]) for p in document["processes"]}


def capabilities(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    raise AssertionError(f"no capabilities of {pid}")


def need_perfmon():
    if not capabilities("self") >> PERFMON & 1:
        raise Skip("needs CAP_PERFMON")


def doctor(daemon):
    return " ".join(subprocess.run(
        [VRAMSCOPE, "doctor", "--url", f"http://127.0.0.1:{daemon.port}"], text=True,
        stdout=subprocess.PIPE, timeout=20, check=False).stdout.split())


def test_two_cards_and_their_processes():
    need_perfmon()
    with Cards() as cards, Engine(page_answer(vllm_page(model="m"))) as engine:
        cards.add(0, "0000:00:02.0", "i915", "0x4680", [(0, 64 * GIB, 0)])
        cards.add(1, "0000:03:00.0", "i915", "0x56a0", i915(9 * GIB))
        cards.add(2, "0000:83:00.0", "xe", "0x0bd5", xe(80 * GIB))
        mine = cards.client(7, "xe", "0000:83:00.0", vram0=40 * GIB, vram1=30 * GIB)
        other = cards.client(8, "i915", "0000:03:00.0", local0=5 * GIB, system0=GIB)
        with holder(mine) as worker, stranger(other) as desktop, \
                daemon_on(cards, "--engine", engine.url) as daemon:
            expected = {(worker, 1): (70 * GIB, "engine"), (desktop, 0): (5 * GIB, "other")}
            eventually("both processes", lambda: rows(detail(daemon)) == expected)
            vram = daemon.vram()
            assert vram["total_vram_bytes"] == A770 + 120 * GIB, vram
            assert vram["allocated_vram_bytes"] == 89 * GIB, vram
            assert vram["models"][0]["allocated_vram_bytes"] == 70 * GIB, vram
            document = detail(daemon)
            names = [(d["backend"], d["index"], d["uuid"], d["name"], d["from"], d["reason"])
                     for d in document["devices"]]
            assert names == [
                ("xe", 1, "0000:03:00.0", "Intel GPU 0x56a0", "measured", None),
                ("xe", 2, "0000:83:00.0", "Intel GPU 0x0bd5", "measured", None)], names
            assert document["devices"][0]["unattributed_bytes"] == 4 * GIB, document
            cards.say(2, "xe", xe(82 * GIB))
            eventually("the new figure", lambda: daemon.vram()["allocated_vram_bytes"]
                       == 91 * GIB)


def test_rights_of_each_process():
    need_perfmon()
    with Cards() as cards:
        cards.add(1, "0000:03:00.0", "i915", "0x56a0", i915(9 * GIB))
        with daemon_on(cards) as daemon:
            (worker,) = daemon.workers()
            assert daemon.vram()["allocated_vram_bytes"] == 9 * GIB
            mine = capabilities("self")
            kept = mine & (1 << PERFMON | 1 << 19 | 1 << 2) if mine >> 19 & 1 else mine
            assert capabilities(worker) == kept, hex(capabilities(worker))
            if mine >> 19 & 1:
                assert not capabilities(daemon.process.pid) >> PERFMON & 1
            assert capabilities(daemon.keeper()) == 0


def without_perfmon():
    PR_CAPBSET_DROP = 24
    assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, PERFMON, 0, 0, 0) == 0


def test_what_is_in_use_is_not_told():
    """An estimate where all processes are seen, and said to be one."""
    if not capabilities("self") >> 19 & 1:
        raise Skip("needs CAP_SYS_PTRACE")
    with Cards() as cards:
        cards.add(1, "0000:03:00.0", "i915", "0x56a0", i915(9 * GIB))
        cards.add(2, "0000:83:00.0", "xe", "0x0bd5", xe(80 * GIB))
        mine = cards.client(7, "xe", "0000:83:00.0", vram0=40 * GIB, vram1=30 * GIB)
        with holder(mine), \
                daemon_on(cards, as_user={"preexec_fn": without_perfmon}) as daemon:
            eventually("the process is seen", lambda: daemon.vram()
                       and daemon.vram()["allocated_vram_bytes"] == 70 * GIB)
            assert daemon.vram()["total_vram_bytes"] == A770 + 120 * GIB, daemon.vram()
            document = detail(daemon)
            assert document["vram"]["total_bytes"]["from"] == "measured", document["vram"]
            assert document["vram"]["allocated_bytes"]["from"] == "estimated", document["vram"]
            for device, used in zip(document["devices"], (0, 70 * GIB)):
                assert device["from"] == "estimated" and device["used_bytes"] == used, device
                assert "CAP_PERFMON" in device["reason"], device
            said = doctor(daemon)
            assert "70.0 GiB" in said and "tells only CAP_PERFMON how much" in said, said


def test_beside_nvidia():
    need_perfmon()
    with Cards() as cards, tempfile.NamedTemporaryFile("w") as script:
        cards.add(0, "0000:83:00.0", "xe", "0x0bd5", xe(80 * GIB))
        mine = cards.client(7, "xe", "0000:83:00.0", vram0=40 * GIB, vram1=30 * GIB)
        with holder(mine) as pid:
            script.write(f"device GPU-0 H100\nmemory {80 * GIB} {GIB} {20 * GIB}\n"
                         f"process compute {pid} {15 * GIB}\n")
            script.flush()
            with daemon_on(cards, "--nvml-library", NVML, gpu="auto",
                           env={"VRAMSCOPE_FAKE_NVML": script.name}) as daemon:
                both = {(pid, 0): (15 * GIB, "other"), (pid, 1): (70 * GIB, "other")}
                eventually("the process on both", lambda: rows(detail(daemon)) == both)
                vram = daemon.vram()
                assert vram["total_vram_bytes"] == 200 * GIB, vram
                assert vram["allocated_vram_bytes"] == 100 * GIB, vram
                document = detail(daemon)
                found = [(d["backend"], d["index"], d["used_bytes"])
                         for d in document["devices"]]
                assert found == [("nvml", 0, 20 * GIB), ("xe", 0, 80 * GIB)], found
                assert [s["backend"] for s in document["gpu"]["sources"]] == ["nvml", "xe"]
                (cards.nodes / "renderD128").unlink()  # no longer ours to open
                os.rename(cards.sys / "class/drm/card0", cards.sys / "gone")
                eventually("the other is still told", lambda: daemon.vram()
                           ["total_vram_bytes"] == 80 * GIB, 15)


def test_closed_node():
    with Cards() as cards:
        cards.add(1, "0000:03:00.0", "i915", "0x56a0", i915(9 * GIB))
        cards.add(2, "0000:83:00.0", "xe", "0x0bd5", xe(80 * GIB))
        (cards.nodes / "renderD129").unlink()  # as in a container that was not given it
        with daemon_on(cards) as daemon:
            assert daemon.vram()["total_vram_bytes"] == 120 * GIB, daemon.vram()
            device = detail(daemon)["devices"][0]
            assert device["total_bytes"] is None and device["from"] == "unknown", device
            assert "/dev/dri/renderD129 cannot be opened: No such file" in device["reason"]
            said = doctor(daemon)
            assert "renderD129 cannot be opened" in said and "a file of /dev" in said, said
    with Cards() as cards:
        cards.add(1, "0000:03:00.0", "i915", "0x56a0", i915(9 * GIB))
        (cards.nodes / "renderD129").unlink()
        with daemon_on(cards) as daemon:
            status, _, body = daemon.get("/vram")
            assert status == 503 and b"renderD129" in body, body


def test_integrated_only():
    with Cards() as cards:
        cards.add(0, "0000:00:02.0", "i915", "0x4680", [(0, 64 * GIB, 0)])
        with daemon_on(cards) as daemon:
            status, _, body = daemon.get("/vram")
            answer = json.loads(body)
            assert status == 503 and "memory of its own" in json.dumps(answer), answer


alone()
run(test_two_cards_and_their_processes, test_rights_of_each_process,
    test_what_is_in_use_is_not_told, test_closed_node, test_beside_nvidia,
    test_integrated_only)
