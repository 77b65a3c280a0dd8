# SPDX-License-Identifier: Apache-2.0
# Two commands do everything on a fresh Debian 12: `make run` and `make test`.
# Meson is the build system; this file only installs what is missing and calls it.

BUILD    := build/release
FIXTURES ?= $(wildcard ../shared/fixtures)
ARGS     ?=

.PHONY: all run test packages check-package bench clean

all:
	@tools/install run
	@tools/setup $(BUILD) gcc -Dbuildtype=release
	@ninja -C $(BUILD) src/vramscoped src/vramscope src/vramscope-sim

# On this host's GPUs when a driver answers, else the demo. make run ARGS='--engine URL'
run: all
	@tools/run $(BUILD) $(ARGS)

test:
	@tools/install run test package
	@tools/test $(FIXTURES)

# Debian packages, into build/packages.
packages:
	@tools/install run package
	@DEB_BUILD_OPTIONS=nocheck DEB_BUILD_PROFILES=nocheck tools/make-packages build/packages

# Those packages and the image in a fresh Debian 12, too: root, and minutes of downloads.
check-package:
	@tools/install run test package fresh
	@tools/check-package build/packages --fresh

bench:
	@tools/install run test bench
	@tools/setup $(BUILD) gcc -Dbuildtype=release
	@ninja -C $(BUILD)
	@for page in $(wildcard $(FIXTURES)/vllm_v1_0.25.1*loaded.txt); do \
	    $(BUILD)/bench/bench_prom $$page; done
	@$(BUILD)/bench/bench_metrics
	@$(BUILD)/bench/bench_fleet_documents
	@$(BUILD)/bench/bench_history
	@bench/daemon.py $(BUILD)
	@bench/discovery.py $(BUILD)
	@bench/cadence.py $(BUILD)
	@bench/data_age.py $(BUILD)
	@bench/nats.py $(BUILD) 24
	@bench/fleet.py $(BUILD)
	@bench/fleet_faults.py $(BUILD) --times 1
	@bench/terminal.py $(BUILD)
	@bench/scrape_cost.py $(BUILD) 20 $(wildcard $(FIXTURES)/vllm_v1_0.25.1*loaded.txt)
	@tools/install-node-modules build/node
	@bench/dashboard.py $(BUILD)
	@bench/fanout/fanout.py $(BUILD) --with-nchan --with-go

clean:
	rm -rf build
