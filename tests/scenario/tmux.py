# SPDX-License-Identifier: Apache-2.0
"""Programs in windows of tmux, a terminal that knows what is on its screen."""
import os
import pathlib
import shutil
import subprocess
import tempfile

from harness import Skip, children_of, eventually


class Tmux:
    """A tmux server of its own, which ends with its windows after the `with` block.

    What is in its windows has our environment and the variables that are given; None: unset.
    """

    def __init__(self, term="tmux-256color", **environment):
        if not shutil.which("tmux"):
            raise Skip("no tmux")
        self.folder = tempfile.TemporaryDirectory()
        self.command = ["tmux", "-S", os.path.join(self.folder.name, "socket"), "-f",
                        "/dev/null"]
        wanted = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color", "TMUX": None,
                  **environment}
        self.env = {name: text for name, text in wanted.items() if text is not None}
        # A window whose program has ended stays and says so.
        self("start-server", ";", "set-option", "-g", "exit-empty", "off", ";",
             "set-option", "-g", "remain-on-exit", "on", ";",
             "set-option", "-g", "default-terminal", term)

    def __call__(self, *arguments):
        return subprocess.run([*self.command, *map(str, arguments)], env=self.env, check=True,
                              capture_output=True, timeout=5).stdout.decode()

    def open(self, command, columns=120, rows=32):
        """A window with what a shell makes of this command."""
        return Window(self, self(
            "new-session", "-d", "-P", "-F", "#{pane_id}", "-c", self.folder.name,
            "-x", columns, "-y", rows, command).strip())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run([*self.command, "kill-server"], capture_output=True)
        self.folder.cleanup()


class Window:
    def __init__(self, tmux, pane):
        self.tmux = tmux
        self.pane = pane

    def ask(self, what):
        return self.tmux("display-message", "-p", "-t", self.pane, what).strip()

    def pid(self):
        """Of the program, whether the shell has become it or has started it."""
        shell = int(self.ask("#{pane_pid}"))
        return next(iter(children_of(shell)), shell)

    def screen(self):
        return self.tmux("capture-pane", "-p", "-t", self.pane)

    def coloured_screen(self):
        """With its colours, as escape sequences, and blanks up to the ends of lines."""
        return self.tmux("capture-pane", "-e", "-N", "-p", "-t", self.pane)

    def resize(self, columns, rows):
        self.tmux("resize-window", "-t", self.pane, "-x", columns, "-y", rows)

    def type(self, *keys):
        """Keys by the names that tmux has for them."""
        self.tmux("send-keys", "-t", self.pane, *keys)

    def type_text(self, text):
        self.tmux("send-keys", "-t", self.pane, "-l", text)

    def enter(self, command):
        self.type_text(command)
        self.type("Enter")

    def shows(self, *texts):
        def all_shown():
            screen = self.screen()
            return all(text in screen for text in texts)
        try:
            eventually(f"{texts} on the screen", all_shown, 5)
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.screen()}") from None
