# SPDX-License-Identifier: Apache-2.0
"""A throw-away copy of a Debian tree: an overlay in namespaces of its own.

What is written goes to a tmpfs that is gone, with every mount and process, when the process
that made the tree ends, however it ends. Nothing of it reaches the tree below or a network.
"""
import os
import pathlib
import re
import stat
import subprocess
import tempfile

NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc")
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive",
               "LC_ALL": "C.UTF-8", "HOME": "/root", "TERM": "dumb", "PAGER": "cat"}

# What installing anything writes, and no package owns.
USUAL = re.compile(r"/(var/(lib/(dpkg|apt|systemd/deb-systemd-helper-\w+)|log|cache)(/.*)?"
                   r"|etc/((passwd|group|shadow|gshadow|subuid|subgid)-?|\.pwd\.lock"
                   r"|ld\.so\.cache)|etc|(dev|proc|run|sys|tmp|usr|var|root)|var/lib)")


def call(*command, **options):
    """The command's output; it must succeed."""
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, **options)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: status {done.returncode}\n"
                         f"{done.stdout[-4000:]}")
    return done.stdout


def can_have_trees():
    with tempfile.TemporaryDirectory() as work:
        return subprocess.run(
            [*NAMESPACES, "--net", "sh", "-ec", 'mount -t tmpfs tmpfs "$0"; cd "$0"; '
             "mkdir up work root; mount -t overlay overlay -o "
             "lowerdir=/,upperdir=up,workdir=work root; chroot root true", work],
            stderr=subprocess.DEVNULL, check=False).returncode == 0


class Tree:
    """To be made in namespaces of its own (NAMESPACES), of whose PIDs /proc then tells."""

    def __init__(self, lower, work):
        self.lower, self.work = pathlib.Path(lower), pathlib.Path(work)
        self.root = self.work / "root"
        self.upper = self.work / "upper"
        call("mount", "--make-rprivate", "/")
        call("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", work)
        for name in ("upper", "scratch", "root"):
            (self.work / name).mkdir()
        call("mount", "-t", "overlay", "overlay", "-o",
             f"lowerdir={lower},upperdir={self.upper},workdir={self.work}/scratch", self.root)
        call("mount", "-t", "proc", "proc", self.root / "proc")
        for name, mode in (("dev", 755), ("tmp", 1777), ("run", 755)):
            call("mount", "-t", "tmpfs", "-o", f"mode={mode}", "tmpfs", self.root / name)
        self._make_devices()

    def _make_devices(self):
        dev = self.root / "dev"
        for name in ("null", "zero", "full", "random", "urandom", "tty"):
            (dev / name).touch()
            call("mount", "--bind", f"/dev/{name}", dev / name)
        for name, kind in (("pts", "devpts"), ("shm", "tmpfs")):
            (dev / name).mkdir()
            call("mount", "-t", kind, kind, dev / name)
        (dev / "ptmx").symlink_to("pts/ptmx")
        (dev / "fd").symlink_to("/proc/self/fd")

    def call(self, *command, **options):
        return call("chroot", self.root, *command, env=ENVIRONMENT, **options)

    def start(self, *command, **options):
        return subprocess.Popen(["chroot", self.root, *command], env=ENVIRONMENT, **options)

    def changes(self):
        """Paths of what is there, or is otherwise, that was not so before."""
        for folder, folders, files in os.walk(self.upper):
            for name in folders + files:
                path = pathlib.Path(folder, name)
                inside = path.relative_to(self.upper)
                status = path.lstat()
                if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
                    yield f"/{inside} (removed)"
                elif not stat.S_ISDIR(status.st_mode) or not (self.lower / inside).exists():
                    yield f"/{inside}"

    def leftovers(self):
        return sorted(path for path in self.changes() if not USUAL.fullmatch(path))
