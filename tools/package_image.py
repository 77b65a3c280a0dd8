# SPDX-License-Identifier: Apache-2.0
"""Do what dist/container/Containerfile says, without a container engine: each instruction
in a throw-away tree of the Debian that it begins with, and the image run as it would be."""
import ctypes
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import time

from package_tree import Tree, call

SOURCE = pathlib.Path(__file__).resolve().parent.parent
FILE = SOURCE / "dist/container/Containerfile"
CLONE_NEWNET = 0x40000000
URL = "http://127.0.0.1:6767"


def instructions():
    text = re.sub(r"^#.*\n", "", FILE.read_text(), flags=re.M).replace("\\\n", " ")
    return [line.split(None, 1) for line in text.splitlines() if line.strip()]


class Image:
    """What the last stage is made of."""

    def __init__(self, tree):
        self.tree, self.root = tree, None
        self.environment, self.user, self.entry = {}, None, None
        tree.call("mkdir", "-p", "/src")
        call("cp", "/etc/resolv.conf", tree.root / "etc/resolv.conf")
        # A network whose own certificate this machine's npm has to trust.
        self.network = ["env"]
        if os.path.exists(os.environ.get("NODE_EXTRA_CA_CERTS", "")):
            call("cp", os.environ["NODE_EXTRA_CA_CERTS"], tree.root / "tmp/ca.pem")
            self.network.append("NODE_EXTRA_CA_CERTS=/tmp/ca.pem")

    def do(self, name, rest):
        if name == "FROM":
            self.root = self.tree.work / "image" if rest == "scratch" else None
            if self.root:
                self.root.mkdir()
        elif name == "RUN" and not self.root:
            print(f"check-package: RUN {rest[:60].strip()}", flush=True)
            self.tree.call(*self.network, "sh", "-ec", rest)
        elif name == "COPY":
            self._copy(shlex.split(rest))
        elif name == "ENV":
            key, value = rest.split("=", 1)
            self.environment[key] = value
        elif name == "USER":
            self.user = rest
        elif name == "ENTRYPOINT":
            self.entry = json.loads(rest)
        elif name != "EXPOSE":
            raise SystemExit(f"Containerfile: {name}: not known here, or not in this stage")

    def _copy(self, words):
        options = dict(word[2:].split("=") for word in words if word.startswith("--"))
        source, target = [word for word in words if not word.startswith("--")]
        if "from" not in options:
            call("sh", "-c", f"git ls-files -z | tar -c --null -T - | tar -x -C "
                 f"{self.tree.root}{target}", cwd=SOURCE)
            return
        source, target = self.tree.root / source[1:], self.root / target[1:]
        target.mkdir(exist_ok=True)
        call("cp", "-a", f"{source}/.", target)
        owner = options.get("chown", "0:0")
        call("chown", "-R", owner, target)

    def start(self, *arguments, program=None):
        return subprocess.Popen(
            ["setpriv", "--no-new-privs", shutil.which("chroot"), f"--userspec={self.user}",
             self.root, *([program] if program else self.entry), *arguments],
            env=self.environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)


def check_contents(image):
    files = [path for path in image.root.rglob("*") if path.is_file() and not path.is_symlink()]
    shells = [path for path in files if re.fullmatch(r"(ba|da|z)?sh|busybox|apt|dpkg", path.name)]
    assert not shells, f"the image has {shells}"
    assert not [path for path in files if path.stat().st_mode & 0o6000], "set-id programs"
    size = sum(path.stat().st_size for path in files)
    print(f"check-package: the image: {len(files)} files, {size} bytes", flush=True)


def run_read_only(image):
    """With nothing but /tmp to write, as compose.yaml and the DaemonSet have it."""
    root = image.root
    call("mount", "--bind", root, root)
    call("mount", "-t", "proc", "proc", root / "proc")
    call("mount", "--rbind", image.tree.root / "dev", root / "dev")
    call("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", root / "tmp")
    call("mount", "-o", "remount,bind,ro", root)
    if ctypes.CDLL(None).unshare(CLONE_NEWNET) != 0:
        raise SystemExit("no network namespace")
    call("ip", "link", "set", "lo", "up")


def check_image(lower, work, folder):
    """In namespaces of its own, but with the network that `apt-get` and `npm` need."""
    del folder
    image = Image(Tree(lower, work))
    for name, rest in instructions():
        image.do(name, rest)
    check_contents(image)
    run_read_only(image)
    daemon = image.start("--demo")
    try:
        time.sleep(2)
        if daemon.poll() is not None:
            raise SystemExit(f"the image's daemon ended: {daemon.stdout.read()}")
        models = json.loads(call("curl", "-sf", f"{URL}/vram"))["models"]
        assert len(models) == 3, models
        assert "dashboard.js" in call("curl", "-sf", f"{URL}/"), "no page"
        once = image.start("--once", program="/usr/bin/vramscope")
        assert "Qwen/Qwen3-0.6B" in once.communicate(timeout=10)[0], "vramscope --once"
    finally:
        daemon.terminate()
    assert daemon.wait(10) == 0, daemon.stdout.read()
    print("check-package: the image serves, as its user, with a read-only root", flush=True)
