// SPDX-License-Identifier: Apache-2.0
/*
 * fleet.h - what a gateway knows of its nodes: part of each of its snapshots
 *
 * Sums are over the nodes that are `counted`. A row of `models` is what all of them serve
 * under one model id on one port. Times are of the gateway's clocks.
 */
#ifndef SNAPSHOT_FLEET_H
#define SNAPSHOT_FLEET_H

#include "engine/engine.h"

#include "snapshot/figure.h"

enum {
    FLEET_NODES_MAX = 4096,
    FLEET_MODELS_MAX = 512, // rows: the largest
    FLEET_NAME_SIZE = 80,   // "gpu17"; "gpu17@1a2b3c4d" where two publish under one name
    FLEET_MACHINE_SIZE = 33,
    FLEET_BOOT_SIZE = 17,
    FLEET_VERSION_SIZE = 32,
    FLEET_REASON_SIZE = 160,
    FLEET_VIA_MAX = 256, // gateways that a sum is made of
};

#define FLEET_STALE_NS UINT64_C(2000000000) // or three of the node's intervals if longer
#define FLEET_LOST_NS UINT64_C(10000000000) // or ten

/* In this order they are shown: what needs a person comes first. */
enum node_state {
    NODE_LOST,       // nothing new for so long that its figures are left out
    NODE_UNREADABLE, // its messages cannot be read here: `reason`
    NODE_OUTAGE,     // it says that it has no figures: `reason`
    NODE_STALE,      // its figures are old; they still count
    NODE_LIVE,
    NODE_STATES
};

const char *node_state_name(enum node_state state); // "lost", "unreadable", ...

/* One host, or one gateway with all of its own. Figures are those it said last. */
struct fleet_node {
    char name[FLEET_NAME_SIZE];
    char machine[FLEET_MACHINE_SIZE]; // "": it has said nothing that can be read
    char boot[FLEET_BOOT_SIZE];
    char version[FLEET_VERSION_SIZE];
    char reason[FLEET_REASON_SIZE]; // of its state, or why it is not counted; "": nothing
    enum node_state state;
    bool counted;         // its figures are in the sums
    bool name_taken;      // another publishes under its name, and goes on to
    bool is_gateway;      // and `nodes` are summed up in it
    uint32_t nodes;       // 1 of a host
    uint64_t interval_ms; // between its messages, as it says; 0: not known
    uint64_t seq;         // of its figures
    uint64_t started_unix_ms;
    uint64_t
        heard_ns; // CLOCK_MONOTONIC, when its newest message came; 0: none could be read
    uint64_t age_ns;         // of its figures, now; UNKNOWN: there are none
    int64_t clock_offset_ms; // its wall clock less ours, as its newest message came
    uint64_t messages;       // that were read
    uint64_t malformed;      // that could not be
    uint64_t dropped;        // unread, as too many came

    uint32_t n_devices;
    uint32_t n_models; // that it serves, those left out of its messages among them
    struct figure total_bytes;
    struct figure allocated_bytes;
    uint64_t models_bytes; // UNKNOWN like the others where there are no figures
    uint64_t other_bytes;
    uint64_t orphan_bytes;
    int64_t unattributed_bytes;  // 0 likewise
    uint64_t kv_used_bytes;      // UNKNOWN also where it is of none of its models
    enum provenance kv_used_how; // the least certain of what it is made of
    uint32_t kv_unknown;         // models of which it is not known
    struct figure kv_pool_bytes; // of its models where it is known; `error` as in figure
    double hit_percent;          // NAN: not known
    uint64_t requests_running;   // UNKNOWN where no model tells it
    uint64_t requests_waiting;
};

/* What the nodes serve under one model id on one port. */
struct fleet_model {
    char served_name[ENGINE_NAME_MAX + 1]; // of several, the first by bytes
    char id[ENGINE_NAME_MAX + 1];
    uint16_t port;
    const char *engine_name; // a literal; NULL: not known, or not the same on all
    uint32_t nodes;          // on which it is
    uint32_t ready;          // of them, on which its state is that
    uint32_t
        allocated_unknown; // of them, those of which it is not known; sums leave them out
    uint32_t kv_used_unknown;
    uint32_t kv_pool_unknown;
    enum engine_state state;       // the best of them
    bool stale;                    // figures of any of them are
    struct figure allocated_bytes; // FROM_NOWHERE: it is known of none
    struct figure kv_used_bytes;
    struct figure kv_pool_bytes;
    uint64_t kv_used_blocks; // UNKNOWN likewise
    uint64_t kv_blocks;
    uint64_t requests_running;
    uint64_t requests_waiting;
    uint64_t preemptions;
    struct hit_counts prefix_minute; // NAN likewise
    struct hit_counts prefix_five_minutes;
    struct hit_counts prefix_lifetime;
    bool in_seed; // it has room in the document of /vram/stream
};

/* How it goes with the server that the nodes publish to. Sums since the start. */
struct fleet_link {
    bool connected;
    uint64_t reconnects; // connections made, but for the first
    uint64_t messages;   // that came
    uint64_t bytes;      // of them
    uint64_t malformed;  // could not be read, or were of no subject of ours
    uint64_t dropped;    // were not read, as their node sent too many
    uint64_t refused;    // were of more nodes than there may be
    uint64_t missed;     // did not get through: we were too slow for the server
};

/* Gateways that a sum is made of, itself among them, by where they publish (docs/fleet.md). */
struct fleet_via {
    uint32_t n; // of a message that was read: as many as it has, which may be more
    uint64_t ids[FLEET_VIA_MAX];
};

/* Why there are no sums, as the error of a 503 has it. */
struct fleet_outage {
    const char *code;   // a literal; NULL: there are sums
    const char *remedy; // likewise; "": none
    char reason[FLEET_REASON_SIZE];
};

struct snapshot_fleet {
    struct fleet_outage outage;
    uint32_t by_state[NODE_STATES];
    uint32_t n_counted;
    uint32_t n_devices; // of nodes that are counted
    uint32_t n_nodes;
    uint32_t n_models;
    uint32_t n_looped;           // gateways that would be counted, but for a loop
    uint32_t models_left_out;    // the smallest, here and by nodes; totals have them
    struct figure kv_pool_bytes; // of all models where it is known
    uint32_t kv_pool_unknown;    // models where it is not
    uint64_t requests_running;   // UNKNOWN where no model tells it
    uint64_t requests_waiting;
    struct hit_counts prefix_minute; // of all models where they are known
    struct hit_counts prefix_five_minutes;
    struct hit_counts prefix_lifetime;
    struct fleet_via via; // none: the sum is published nowhere
    struct fleet_link link;
    struct fleet_node *nodes;   // by name
    struct fleet_model *models; // by port, then id
    size_t nodes_room;
    size_t models_room;
};

struct snapshot_model;

/* A row as a host has them, for those who know no other. */
void fleet_model_to_row(const struct fleet_model *model, struct snapshot_model *ret);

#endif
