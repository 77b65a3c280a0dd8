# SPDX-License-Identifier: Apache-2.0
"""Each option of the tables is in its manual, with default and limits, and no other."""
import pathlib
import re
import subprocess

from harness import Skip, run

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
MANUALS = {path.name: path.read_text() for path in sorted((SOURCE / "man").glob("*.[1-8]"))}
FOREIGN = {"kv-cache-memory-bytes", "uds"}  # options of vLLM that manuals speak of
NATURAL = {"INT64_MAX", "UINT64_MAX", "UINT16_MAX"}  # limits that nobody meets
NUMBERS = {"KIND_NUMBER", "KIND_COUNT", "KIND_DURATION", "KIND_PERCENT", "KIND_FACTOR"}
LISTS = {"KIND_LISTEN", "KIND_HOSTS", "KIND_ORIGINS", "KIND_URLS"}
TIMES = {3600000: "an hour", 31622400000: "366 days"}


def constant(name, folder):
    """The value of a constant of this layer's headers."""
    for path in sorted((SOURCE / "src" / folder).glob("*.h")):
        match = re.search(rf"\b{name} = (0x[0-9a-f]+|\d+)\b", path.read_text())
        if match:
            return int(match[1], 0)
    raise AssertionError(f"{name} is nowhere in src/{folder}")


def cells(text):
    """What stands between the commas of a call or an initializer."""
    found, depth, cell = [], 0, ""
    for token in re.findall(r'"(?:\\.|[^"\\])*"|//[^\n]*|.', text, re.S):
        if token.startswith("//"):
            continue
        depth += (token in "({") - (token in ")}") if len(token) == 1 else 0
        if token == "," and depth == 0:
            found.append(cell.strip())
            cell = ""
        else:
            cell += token
    return [value(cell) for cell in found + [cell.strip()]]


def value(cell):
    """A text as itself, NULL as None, else as it is written."""
    if cell.startswith('"'):
        return "".join(re.findall(r'"((?:\\.|[^"\\])*)"', cell))
    return None if cell == "NULL" else cell


def calls(path, name):
    text = re.sub(r"/\*.*?\*/", "", (SOURCE / path).read_text(), flags=re.S)
    rows = re.findall(rf"^{name}\((.*?)\)$", text, re.S | re.M)
    assert rows, (path, name)
    return [cells(row) for row in rows]


class Option:
    """What a table says of a flag; `limits` are those worth telling."""

    def __init__(self, flag, kind, low, high, default, commands, folder):
        self.flag, self.default, self.commands = flag, default, commands
        self.limits = []
        if kind in LISTS:
            self.limits = [high]
        elif kind in NUMBERS:
            self.limits = [low, high]
        elif kind == "KIND_MODE":
            self.limits = [high]
        elif kind == "KIND_TOKEN":
            self.limits = [low, high]
        if kind == "KIND_SWITCH":
            self.default = None
        self.limits = [self._spelled(limit, kind, folder) for limit in self.limits
                       if limit not in NATURAL]

    @staticmethod
    def _spelled(limit, kind, folder):
        if kind == "KIND_DURATION":
            return TIMES.get(int(limit), f"{int(limit) / 1000:g} s")
        shifted = re.fullmatch(r"(\d+) << (\d+)", limit)
        if shifted:
            return str(int(shifted[1]) << int(shifted[2]))
        return limit if re.fullmatch(r"[\d.]+", limit) else str(constant(limit, folder))


def daemon_options():
    options = [Option(flag, kind, low, high, default, None, "config") for
               _, kind, flag, _, _, _, low, high, default, _ in
               calls("src/config/options.def", "OPTION")]
    return options + [Option(row[2], "KIND_SWITCH", "0", "0", None, None, "config")
                      for row in calls("src/config/options.def", "ACTION")]


def client_options():
    return [Option(flag, kind, low, high, default, commands, "cli") for
            _, kind, _, flag, _, _, low, high, default, commands, _ in
            calls("src/cli/options.def", "OPTION")]


def sim_options():
    text = (SOURCE / "src/sim/sim_options.c").read_text()
    table = re.search(r"struct option table\[\] = \{\n(.*?)^\};", text, re.S | re.M)[1]
    options = []
    for row in re.findall(r"^ {4}\{(.*?)\},$", table, re.S | re.M):
        flag, _, help_, take, _, low, high = cells(row)
        default = re.search(r"\(([^()]+)\)$", help_)
        options.append(Option(
            flag[2:], "KIND_NUMBER" if take == "take_number" and low != "0" else "KIND_TEXT",
            low, high, default and default[1] != "required" and default[1], None, "sim"))
    return options


def plain(lines):
    """The words of mdoc lines, without the macros."""
    words = " ".join(re.sub(r"^\.(?:[A-Z][a-z]\b)?", "", line) for line in lines)
    words = re.sub(r"\b(?:Ar|Cm|Fl|Li|Ns|No|Pa|Xr|Sq|Ql|Dq|Dv|Ev|Op|Pq)\b", "", words)
    return re.sub(r"\s+([.,;:])", r"\1", re.sub(r"\s+", " ", words))


def flags(line):
    """Long flags that a line of mdoc names: a short one is `Fl V`."""
    return re.findall(r"\bFl -([a-z][a-z-]*)", line) + re.findall(
        r"(?:^\.It|,) -([a-z][a-z-]*)", line)


def section(manual, title):
    return re.search(rf"^\.Sh {title}\n(.*?)(?=^\.Sh )", MANUALS[manual], re.S | re.M)[1]


def entries(manual, title):
    """The entries of a section that are of flags: {flag: lines}."""
    found, body = {}, None
    for line in section(manual, title).splitlines():
        if line.startswith(".It ") and flags(line):
            body = []
            found.update({flag: body for flag in flags(line)})
        elif line.startswith(".Ss"):
            body = None
        elif body is not None:
            body.append(line)
    return found


def faults(option, lines):
    text = plain(lines).replace(",", "")
    if option.default is not None and option.default is not False:
        if not re.search(rf"(?<![\w.]){re.escape(option.default)}(?![\w])", text) or \
                not re.search(r"default", text):
            yield f"--{option.flag}: the default, {option.default}, is not told: {text}"
    for limit in option.limits:
        if not re.search(rf"(?<![\w.]){re.escape(limit)}(?![\w])", text):
            yield f"--{option.flag}: the limit {limit} is not told: {text}"


def compare(manual, title, options):
    table, page = {option.flag: option for option in options}, entries(manual, title)
    found = [f"--{flag} is not in it" for flag in table if flag not in page]
    found += [f"--{flag} is no option" for flag in page if flag not in table]
    for flag in table.keys() & page.keys():
        found += faults(table[flag], page[flag])
    assert not found, f"{manual}: " + "\n".join(found)


def test_daemon():
    compare("vramscoped.8", "OPTIONS", daemon_options())


def test_client():
    compare("vramscope.1", "OPTIONS", client_options())


def test_sim():
    compare("vramscope-sim.1", "DESCRIPTION", sim_options())
    synopsis = {flag for line in section("vramscope-sim.1", "SYNOPSIS").splitlines()
                for flag in flags(line)}
    aliases = {"data-parallel-size", "tensor-parallel-size", "metrics-port", "model-id"}
    table = {option.flag for option in sim_options()} - aliases
    assert synopsis | {"help", "version"} == table, synopsis ^ table


def test_commands():
    """Commands of vramscope, the options that each takes, and the environment."""
    words = {row[1] for row in calls("src/cli/options.def", "COMMAND")} - {""}
    page = set(re.findall(r"^\.It Cm (\w+)", section("vramscope.1", "COMMANDS"), re.M))
    assert page == words, page ^ words
    told = entries("vramscope.1", "OPTIONS")
    for option in client_options():
        taken = set(re.findall(r"IN\((\w+)\)", option.commands))
        if "TUI" in taken or not taken:
            continue  # of all, or of several and the screen: told in words
        first = told[option.flag][0]
        assert first.startswith(".Pq Cm "), (option.flag, first)
        assert {word.upper() for word in re.findall(r"\w+", first[7:])} == taken, \
            (option.flag, first, taken)
    variables = {row[4] for row in calls("src/cli/options.def", "OPTION")} - {None}
    page = set(re.findall(r"VRAMSCOPE_\w+", section("vramscope.1", "ENVIRONMENT")))
    assert page == variables, page ^ variables


def test_no_other_flag():
    """Wherever a manual names a flag, there is one."""
    known = {option.flag for options in (daemon_options(), client_options(), sim_options())
             for option in options} | FOREIGN | {"option", "flag"}
    for manual, text in MANUALS.items():
        for line in text.splitlines():
            unknown = set(flags(line)) - known
            assert not unknown, (manual, line)


def test_cross_references():
    """A manual that sends a reader to another is named there; and all are installed."""
    installed = re.findall(r"man/([\w.-]+\.\d)'", (SOURCE / "meson.build").read_text())
    assert set(installed) == set(MANUALS), set(installed) ^ set(MANUALS)
    also = {name: set(".".join(pair) for pair in re.findall(
        r"^\.Xr (\S+) (\d)", text[text.index(".Sh SEE ALSO"):], re.M))
            for name, text in MANUALS.items()}
    for name, others in also.items():
        for other in others & MANUALS.keys():
            assert name in also[other], f"{other} does not name {name}"
        for other in re.findall(r"^\.Xr (\S+ \d)", MANUALS[name], re.M):
            other = other.replace(" ", ".")
            assert other in MANUALS or not other.startswith(("vramscope", "libvramscope")), \
                f"{name} names {other}, which there is not"


def test_lint():
    try:
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *MANUALS],
                              cwd=SOURCE / "man", capture_output=True, text=True)
    except FileNotFoundError:
        raise Skip("no mandoc")
    assert done.returncode == 0, done.stdout


run(test_daemon, test_client, test_sim, test_commands, test_no_other_flag,
    test_cross_references, test_lint)
