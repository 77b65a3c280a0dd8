# SPDX-License-Identifier: Apache-2.0
"""What libraries that we never call do before main(): as little as they can be told to."""
import os
import re
import subprocess

from harness import DAEMON, Skip, run

CLIENT = os.environ.get("VRAMSCOPE", "build/release/src/vramscope")
SWITCH = "_gnutls_global_init_skip"


def bindings(program):
    """Which file each library's symbols are taken from, as the dynamic linker tells it."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "LD_DEBUG": "bindings"}, check=True)
    return re.findall(r"binding file (\S+) \[0\] to (\S+) \[0\]: \S+ symbol `(\w+)'",
                      done.stderr)


def test_gnutls_is_left_as_it_lies():
    """It comes with libcurl, and makes itself ready unless the program says not to."""
    for program in DAEMON, CLIENT:
        asked = [to for _, to, symbol in bindings(program) if symbol == SWITCH]
        if not asked:
            raise Skip("libcurl brings no GnuTLS along here")
        assert asked == [program], (program, asked)


run(test_gnutls_is_left_as_it_lies)
