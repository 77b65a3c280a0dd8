// SPDX-License-Identifier: Apache-2.0
/*
 * parts.h - what the daemon is made of; private to daemon.c, its life, and tick.c, its work
 */
#ifndef DAEMON_PARTS_H
#define DAEMON_PARTS_H

#include "base/clock.h"
#include "daemon/archive.h"
#include "daemon/daemon.h"
#include "daemon/demo.h"
#include "daemon/discovery.h"
#include "daemon/docker.h"
#include "daemon/engines.h"
#include "daemon/event_log.h"
#include "daemon/front.h"
#include "daemon/gateway.h"
#include "daemon/gpu_feed.h"
#include "daemon/gpu_log.h"
#include "daemon/publishing.h"
#include "daemon/self_cost.h"
#include "daemon/service_manager.h"
#include "history/past.h"
#include "history/watch.h"
#include "net/ticker.h"

enum { SIGNALS = 3 };

struct daemon {
    uv_loop_t loop;
    struct config *config;
    struct daemon_arguments arguments;
    struct host *host;
    struct engines *engines;
    struct discovery *discovery; // NULL: --no-discover
    struct docker *docker;       // NULL: no --docker-socket
    struct gpu_feed *gpu_feed;   // NULL: --gpu none
    struct gpu_link *gpu;        // the feed's, lent
    struct demo *demo;           // NULL: no --demo
    struct snapshot_pool *snapshots;
    const struct snapshot *newest;
    struct past *past; // of what the front publishes
    struct journal *journal;
    struct archive *archive;
    struct watch *watch;
    struct event_log log; // of what is in the journal
    struct front *front;
    struct gateway *gateway;          // NULL: no --gateway
    struct publisher *publisher;      // NULL: nothing is published elsewhere
    struct service_manager *manager;  // NULL: none has started us
    uint32_t pids[GPU_PROCESSES_MAX]; // whose tree is being read
    struct host_tree tree;
    uint64_t tree_of_ns; // processes_taken_ns of the sample the tree was read for
    uint64_t seq;
    struct ticker collect;
    struct ticker publish;
    uv_timer_t first;
    uint64_t started_ns;
    uint64_t first_beat_ns;
    struct self_cost cost;
    struct snapshot_self self; // as of the newest tick
    uv_signal_t signals[SIGNALS];
    char logged_outage[256];
    struct gpu_log gpu_log;
    uv_timer_t drain;
    bool draining;
    bool hurried;         // told to end a second time
    uint64_t interval_ms; // as at the start: a reload does not change the beat
    int status;           // to exit with
};

/* The first event of the run: what is watched from now on goes into the journal. */
int tick_watch(struct daemon *daemon) MUST_CHECK;

/* The first beat of a tick: ask the sources. */
void tick_collect(struct daemon *daemon, uint64_t now_ns);

/* The second: join what has come in, and send it. */
void tick_publish(struct daemon *daemon, uint64_t now_ns);

#endif
