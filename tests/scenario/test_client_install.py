# SPDX-License-Identifier: Apache-2.0
"""libvramscope as somebody else's program finds it: installed, shared and static."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from harness import Daemon, Skip, eventually, run

BUILD = os.environ.get("BUILD_ROOT", "build/release")
SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
STRICT = ("-Wall", "-Wextra", "-pedantic", "-Werror")
OPTIONS = ("--gpu", "none", "--no-discover", "--interval", "100")
LANGUAGES = {"C99": ("cc", "-std=c99"), "C++11": ("c++", "-std=c++11", "-x", "c++"),
             "C++17": ("c++", "-std=c++17", "-x", "c++")}


def output_of(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


class Installed:
    """A tree that the build was installed into, and how to compile against it."""

    def __init__(self):
        for program in ("meson", "pkg-config", "cc", "c++", "nm"):
            if not shutil.which(program):
                raise Skip(f"no {program} on this machine")
        self.folder = tempfile.TemporaryDirectory()
        root = pathlib.Path(self.folder.name)
        output_of("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--tags",
                  "devel,runtime", "--destdir", root)
        self.pc = next(root.rglob("libvramscope.pc"))
        self.libraries = self.pc.parent.parent
        prefix = re.search(r"^prefix=(.*)$", self.pc.read_text(), re.M)[1]
        self.prefix = f"{root}{prefix}"

    def flags(self, *wanted, package="libvramscope"):
        return output_of(
            "pkg-config", f"--define-variable=prefix={self.prefix}", *wanted, package,
            env={**os.environ, "PKG_CONFIG_PATH": str(self.pc.parent)}).split()

    def compile(self, language, name, static):
        compiler, *options = LANGUAGES[language]
        program = os.path.join(self.folder.name, f"{name}-{language}-{static}")
        if static: # before what it needs, and by its name: -l would take the shared one
            libraries = ["-x", "none", self.libraries / "libvramscope.a"]
            for package in ("libcurl", "jansson"):
                libraries += self.flags("--libs", package=package)
        else:
            libraries = ["-x", "none", *self.flags("--libs"),
                         f"-Wl,-rpath,{self.libraries}"]
        output_of(compiler, *STRICT, *options, *self.flags("--cflags"), "-o", program,
                  SOURCE / "examples" / f"{name}.c", *libraries)
        return program

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


def declared():
    text = (SOURCE / "include/vramscope.h").read_text()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return set(re.findall(r"\b(vramscope_\w+)\(", text))


def test_symbols():
    """What the header declares is what can be seen, and nothing else."""
    with Installed() as installed:
        shared = output_of("nm", "-D", "--defined-only",
                           installed.libraries / "libvramscope.so.1")
        static = output_of("nm", "-g", "--defined-only",
                           installed.libraries / "libvramscope.a")
        assert "VRAMSCOPE_1" in shared
        assert set(re.findall(r" [A-Z] (\w+)@@VRAMSCOPE_1$", shared, re.M)) == declared()
        assert len(shared.splitlines()) == len(declared()) + 1, shared
        assert set(re.findall(r"^[0-9a-f]+ [A-Z] (\w+)$", static, re.M)) == declared()
        needed = output_of("readelf", "-d", installed.libraries / "libvramscope.so")
        assert "[libvramscope.so.1]" in needed, needed
        assert set(re.findall(r"NEEDED.*\[(\w+)\.", needed)) <= \
            {"libcurl", "libjansson", "libc", "libasan", "libubsan"}, needed


def lines_of(program, *arguments, until):
    """What the program prints, until that is true of it."""
    with tempfile.TemporaryFile("w+") as file:
        process = subprocess.Popen([program, *arguments], stdout=file)
        try:
            return eventually(
                f"{program} prints what it should",
                lambda: (lambda text: until(text) and text)(
                    os.pread(file.fileno(), 1 << 16, 0).decode()))
        finally:
            process.kill()
            process.wait()


def test_examples():
    with Installed() as installed, Daemon(*OPTIONS) as one, Daemon(*OPTIONS) as other:
        urls = [f"http://127.0.0.1:{daemon.port}" for daemon in (one, other)]
        for language in LANGUAGES:
            for static in (False, True):
                follow = installed.compile(language, "follow", static)
                needed = output_of("ldd", follow)
                assert ("libvramscope.so.1" in needed) != static, (follow, needed)
                text = lines_of(follow, urls[0], until=lambda text: text.count("\n") > 2)
                assert set(text.split()) == {"0"}, text
                loop = installed.compile(language, "poll_loop", static)
                text = lines_of(loop, *urls, until=lambda text: all(
                    text.count(f"{url}: seq ") > 2 for url in urls))
                assert "total 0 allocated 0" in text, text


def test_manual_agrees():
    """Each function of the header is in its manual."""
    manual = (SOURCE / "man/libvramscope.3").read_text()
    missing = [name for name in declared() if not re.search(rf"^\.Fn {name}\b|^\.Fo {name}$",
                                                            manual, re.M)]
    assert not missing, missing


run(test_symbols, test_examples, test_manual_agrees)
