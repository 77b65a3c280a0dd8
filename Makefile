# SPDX-License-Identifier: Apache-2.0
# Two commands do everything on a fresh Debian 12: `make run` and `make test`.
# Meson is the build system; this file only installs what is missing and calls it.

BUILD    := build/release
FIXTURES ?= $(wildcard ../shared/fixtures)
ARGS     ?=

.PHONY: all run test bench clean

all:
	@tools/install run
	@test -d $(BUILD) || meson setup $(BUILD) -Dbuildtype=release -Dwerror=true >/dev/null
	@ninja -C $(BUILD) src/vramscoped src/vramscope-sim

# On this host's GPUs when a driver answers, else the demo. make run ARGS='--engine URL'
run: all
	@tools/run $(BUILD) $(ARGS)

test:
	@tools/install run test
	@tools/test $(FIXTURES)

clean:
	rm -rf build
