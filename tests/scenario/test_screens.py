# SPDX-License-Identifier: Apache-2.0
"""The program on a real terminal, sign by sign and colour by colour: the screens at the end
of a recording are what tests/fixtures/screens/tmux has.

A file is what tmux says is on the screen, with ESC as \\e and the whole look anew wherever it
changes, so that each line stands for itself: printf %b "$(cat FILE)" shows it.
With WRITE_SCREENS set the files are written anew, to be looked at and committed:
    WRITE_SCREENS=1 meson test -C build/release screens
"""
import difflib
import os
import pathlib
import re
import shlex
import time

from harness import alone, eventually, run
from tmux import Tmux

PROGRAM = os.path.abspath(os.environ.get("VRAMSCOPE", "build/release/src/vramscope"))
FIXTURES = pathlib.Path(__file__).parents[1] / "fixtures"
RECORDING = FIXTURES / "recordings/host.ndjson"
SCREENS = FIXTURES / "screens/tmux"
SIZES, THEMES = ((120, 30), (80, 24), (40, 10)), ("dark", "light")

# Behind the end, on the screen in dark colours of this size: keys, and what they show.
SHOWN_BY_KEYS = (("120x30", ["e"], "explain"), ("120x30", ["Escape", "Tab"], "devices"),
                 ("80x24", ["Enter"], "detail"),
                 ("80x24", ["Escape", "/", *"kv>5"], "filter"),
                 ("40x10", ["?"], "help"))


def look_after(look, codes):
    """A look is its codes by kind; what it is after some more of them."""
    look, codes = dict(look), [code or "0" for code in codes.split(";")]
    while codes:
        code = codes.pop(0)
        if code == "0":
            look = {}
        elif code in ("38", "48"):
            n = 2 if codes[0] == "5" else 4
            look[code] = ";".join([code, *codes[:n]])
            del codes[:n]
        elif code in ("39", "49"):
            look.pop({"39": "38", "49": "48"}[code], None)
        elif code[0] in "39" and len(code) == 2:
            look["38"] = code
        else:
            look[code] = code
    return look


def seen_on_blanks(look):
    return any(code in look for code in ("4", "7", "48"))


def readable_line(line, look):
    text, shown = "", {}
    for codes, sign in re.findall(r"\033\[([0-9;]*)m|(.)", line):
        if not sign:
            look = look_after(look, codes)
            continue
        wanted = look
        if sign == " " and not seen_on_blanks(look):
            wanted = {} if seen_on_blanks(shown) else shown
        if wanted != shown:
            text += f"\\e[{';'.join(['0', *sorted(wanted.values(), key=len)])}m"
            shown = wanted
        text += sign.replace("\\", "\\\\")
    text = text if seen_on_blanks(shown) else text.rstrip()
    return text + ("\\e[0m" if shown else ""), look


def readable(screen):
    lines, look = [], {}
    for line in screen.splitlines():
        line, look = readable_line(line, look)
        lines.append(line + "\n")
    return "".join(lines)


def settled(window):
    """A screen that has been the same for a while."""
    before, since = None, time.monotonic()
    while time.monotonic() - since < 0.5:
        screen = readable(window.coloured_screen())
        if screen != before:
            before, since = screen, time.monotonic()
        time.sleep(0.05)
    return before


def difference(window, name):
    """Between what is on the screen, in a while, and the file; "": none."""
    path = SCREENS / f"{name}.txt"
    if "WRITE_SCREENS" in os.environ:
        SCREENS.mkdir(exist_ok=True)
        path.write_text(settled(window))
        return ""
    wanted = path.read_text() if path.exists() else ""
    try:
        eventually(name, lambda: readable(window.coloured_screen()) == wanted)
    except AssertionError:
        return "".join(difflib.unified_diff(
            wanted.splitlines(True), readable(window.coloured_screen()).splitlines(True),
            str(path), "on the screen", n=0))
    return ""


def test_screens():
    # No colours by value, whatever our own terminal can; and nothing of our own wishes.
    unset = dict.fromkeys(("COLORTERM", "NO_COLOR", "VRAMSCOPE_THEME", "VRAMSCOPE_GLYPHS"))
    differences = []
    with Tmux(TZ="UTC", LANG="C.UTF-8", **unset) as tmux:
        windows = {
            f"{columns}x{rows}_{theme}": tmux.open(shlex.join(
                ["exec", PROGRAM, "replay", "--speed", "1000", "--theme", theme,
                 str(RECORDING)]), columns, rows)
            for columns, rows in SIZES for theme in THEMES}
        for name, window in windows.items():
            window.shows("ENDED")
            differences.append(difference(window, name))
        for size, keys, shown in SHOWN_BY_KEYS:
            window = windows[f"{size}_dark"]
            for key in keys:
                window.type(key)
                time.sleep(0.1)  # an Escape and a key at once may be another key
            differences.append(difference(window, f"{size}_dark_{shown}"))
        back = windows["80x24_light"]
        back.type("Space", "Left")  # held, then ten seconds back: the end is left again
        back.shows("14:16:25", "HELD")
        assert "ENDED" not in back.screen(), back.screen()
    assert not any(differences), "\n" + "\n".join(filter(None, differences))


alone()
run(test_screens)
