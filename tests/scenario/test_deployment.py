# SPDX-License-Identifier: Apache-2.0
"""What dist/ and debian/ tell others about the daemon: it takes it, and they agree."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from harness import DAEMON, Skip, run

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
DIST = SOURCE / "dist"
EXAMPLE = DIST / "config/vramscoped.yaml"
EXPOSURE_MAX = 1.8  # as the unit has it: a line less, and it is more
# What the figure does not see, or hardly.
DENIED = {"AmbientCapabilities=", "KeyringMode=private", "LockPersonality=yes", "LimitCORE=0",
          "MemoryDenyWriteExecute=yes", "MemoryMax=256M", "NoExecPaths=/", "PrivateIPC=yes",
          "ProtectHostname=yes", "RemoveIPC=yes", "SecureBits=noroot noroot-locked",
          "SocketBindDeny=any", "SystemCallErrorNumber=EPERM", "TasksMax=64", "UMask=0077",
          "SystemCallFilter=~process_vm_readv process_vm_writev kcmp userfaultfd",
          "SystemCallFilter=~io_uring_setup io_uring_enter io_uring_register memfd_secret"}
# What it does at its start and no filter must take from it.
ALLOWED = {"capset", "seccomp", "setpriority", "landlock_create_ruleset", "landlock_add_rule",
           "landlock_restrict_self"}
MODULES = os.environ.get("NODE_MODULES", "build/node/node_modules")


def output_of(*command, status=0, **options):
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, **options)
    assert done.returncode == status, f"{command}: {done.returncode}: {done.stdout}"
    return done.stdout


def refusal(text="", **variables):
    """What the daemon has against this configuration; "" for nothing."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        done = subprocess.run([DAEMON, "--check-config", "--config", file.name],
                              env={**os.environ, **variables}, capture_output=True, text=True,
                              check=False)
        return done.stderr if done.returncode else ""


def settings():
    """The example's settings, without their comment signs, those of one paragraph together."""
    paragraph = r"^#[a-z_]+:.*\n(?:#(?:[a-z_]+:|  ).*\n)*"
    for block in re.findall(paragraph, EXAMPLE.read_text(), re.M):
        yield re.sub(r"^#", "", block, flags=re.M)


class Secrets:
    """A folder in place of /etc/vramscope, with what the example names there."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        for name, text in (("token", "0" * 64), ("key", "secret"), ("nats.creds", "-")):
            path = pathlib.Path(self.folder.name, name)
            path.write_text(text)
            path.chmod(0o600)
        output_of("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                  "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                  "-keyout", self.folder.name + "/tls.key", "-out", self.folder.name + "/tls.pem")
        os.chmod(self.folder.name + "/tls.key", 0o600)
        shutil.copy(self.folder.name + "/tls.pem", self.folder.name + "/ca.pem")
        return self

    def put_into(self, text):
        for place in "/etc/vramscope", "/var/lib/vramscope":
            text = text.replace(place, self.folder.name)
        return text

    def __exit__(self, *_):
        self.folder.cleanup()


def test_example_is_good():
    with Secrets() as secrets:
        assert not refusal(EXAMPLE.read_text())
        blocks = list(settings())
        assert len(blocks) > 15, blocks
        for block in blocks:
            wrong = refusal(secrets.put_into(block))
            assert not wrong, f"{block}{wrong}"


def test_example_has_every_option():
    table = (SOURCE / "src/config/options.def").read_text()
    keys = set(re.findall(r'^OPTION\(\w+, \w+, "[\w-]+", "(\w+)"', table, re.M))
    shown = set(re.findall(r"^#([a-z_]+):", EXAMPLE.read_text(), re.M))
    assert len(keys) > 20, table
    assert shown == keys, f"not shown: {keys - shown}; no options: {shown - keys}"


def unit():
    return pathlib.Path(os.environ["BUILD_ROOT"], "dist/systemd/vramscoped.service")


def exposure(path):
    table = output_of("systemd-analyze", "security", "--offline=yes", "--no-pager", path)
    return float(re.search(r"exposure level for \S+: ([0-9.]+)", table)[1]), table


def test_unit_is_hardened():
    if not shutil.which("systemd-analyze"):
        raise Skip("no systemd-analyze on this machine")
    figure, table = exposure(unit())
    assert figure <= EXPOSURE_MAX, table
    lines = unit().read_text().splitlines()
    assert not DENIED - set(lines), DENIED - set(lines)
    allowed = {call for line in lines if re.match("SystemCallFilter=[a-z]", line)
               for call in line.partition("=")[2].split()}
    assert ALLOWED == allowed, allowed ^ ALLOWED


def test_systemd_understands_the_units():
    if not shutil.which("systemd-analyze"):
        raise Skip("no systemd-analyze on this machine")
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder, "vramscoped.service")
        text = unit().read_text()
        sbin = pathlib.Path(re.search(r"^ExecStart=(\S+)/vramscoped", text, re.M)[1])
        copy.write_text(text.replace(f"{sbin}/vramscoped", DAEMON))
        shutil.copy(DIST / "systemd/vramscoped.socket", folder)
        for name in ("", *sorted(os.listdir(DIST / "systemd/vramscoped.service.d"))):
            drop_ins = pathlib.Path(folder, "vramscoped.service.d")
            shutil.rmtree(drop_ins, ignore_errors=True)
            drop_ins.mkdir()
            if name:
                shutil.copy(DIST / "systemd/vramscoped.service.d" / name, drop_ins)
            said = output_of("systemd-analyze", "verify", "--man=no", copy,
                             pathlib.Path(folder, "vramscoped.socket"))
            assert not said, f"{name}: {said}"


def test_manifests():
    if not pathlib.Path(MODULES, "kubernetes-models").is_dir() or not shutil.which("node"):
        raise Skip(f"no node, or no schemas in {MODULES}")
    script = pathlib.Path(__file__).parent / "node/manifests.mjs"
    started = json.loads(output_of("node", script, DIST, MODULES))
    image = (DIST / "container/Containerfile").read_text()
    user = int(re.search(r"^USER (\d+):\d+$", image, re.M)[1])
    with Secrets() as secrets:
        for place, how in started.items():
            assert how["user"] == user, f"{place}: user {how['user']}, the image's is {user}"
            variables = {name: secrets.put_into(value).replace("$(NAMESPACE)", "default")
                         for name, value in how["env"].items()}
            wrong = refusal(**variables)
            assert not wrong, f"{place}: {wrong}"
            flags = output_of(DAEMON, "--help")
            for name in variables:
                assert name in flags or not name.startswith("VRAMSCOPE_"), f"{place}: {name}"


def test_versions_agree():
    version = re.search(r"version: '(\S+)'", (SOURCE / "meson.build").read_text())[1]
    changes = (SOURCE / "debian/changelog").read_text().splitlines()[0]
    assert changes.startswith(f"vramscope ({version})"), changes
    for path in sorted(DIST.rglob("*")):
        text = path.read_text() if path.is_file() else ""
        for tag in re.findall(r"\bvramscope:(\d[\w.]*)", text):
            assert tag == version, f"{path}: {tag}"


def test_prometheus_rule():
    if not (DIST / "prometheus/vramscope.rules.yml").exists():
        raise Skip("no alert rules")
    output_of(SOURCE / "tools/make-prometheus-rule", "--check")


run(test_example_is_good, test_example_has_every_option, test_unit_is_hardened,
    test_systemd_understands_the_units, test_manifests, test_versions_agree,
    test_prometheus_rule)
