// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot.h - all that is known about the host, or a gateway's fleet, at one tick
 *
 * Filled by join/, then shared and never changed: whoever keeps one takes a reference.
 * Snapshots come from a pool, so that a warm tick allocates nothing. One thread.
 */
#ifndef SNAPSHOT_SNAPSHOT_H
#define SNAPSHOT_SNAPSHOT_H

#include "engine/engine.h"
#include "gpu/gpu.h"
#include "snapshot/fleet.h"

enum {
    SNAPSHOT_MODELS_MAX = 64,
    SNAPSHOT_CONTAINER_ID_SIZE = 65, // each with its NUL
    SNAPSHOT_POD_UID_SIZE = 37,
    SNAPSHOT_COMM_SIZE = 16,
    SNAPSHOT_PROCESSES_MAX = 128,
    SNAPSHOT_LIMITED_MAX = 32,
    SNAPSHOT_EVENTS_MAX = 16,
    EVENT_TEXT_SIZE = 200,
};

enum event_kind {
#define EVENT(kind, name, severity) EVENT_##kind,
#include "snapshot/events.def"
#undef EVENT
    EVENT_KINDS
};

enum event_severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_CRITICAL };

/* Something that happened on the host. */
struct event {
    uint64_t
        id; // rises by one; goes on after a restart of the daemon where history is kept
    int64_t unix_ms;
    enum event_kind kind;
    char served_name[ENGINE_NAME_MAX + 1]; // of the model; "": it is of none
    uint16_t port;                         // likewise; 0
    char device[GPU_UUID_MAX];             // "": it is of none
    char node[FLEET_NAME_SIZE];            // where it was; "": on this host
    char text[EVENT_TEXT_SIZE];            // for people, the words may change
};

const char *event_name(enum event_kind kind); // "engine_found", ...
enum event_severity event_severity(enum event_kind kind);
const char *event_severity_name(enum event_severity severity); // "info", "warning", ...

/* Does a gateway say it, of a node that its text names? */
bool event_is_of_fleet(enum event_kind kind);

/* Its text, with its node where it is of one, and the text does not name it itself. */
void event_say_where(const struct event *event, char ret[EVENT_TEXT_SIZE]);

struct snapshot_device {
    uint32_t source;       // index of `sources`
    uint32_t index;        // the driver's own number
    uint32_t instance;     // GPU instance (MIG) of that GPU; GPU_NO_INSTANCE: a whole GPU
    bool unified;          // its memory is the host's: so are total and used
    bool used_is_estimate; // and `reason` says of what
    char uuid[GPU_UUID_MAX];
    char parent_uuid[GPU_UUID_MAX]; // of the GPU that an instance is a part of; else ""
    char name[GPU_NAME_MAX];
    char reason[GPU_REASON_MAX]; // why figures are UNKNOWN, or what there is to say
    uint64_t mem_total_bytes;
    uint64_t mem_used_bytes;
    uint64_t mem_reserved_bytes;
    uint64_t processes_bytes; // of all processes on it

    /* used = models + other + orphan + unattributed bytes, where it is known. */
    uint64_t models_bytes;       // of rows of `models` whose memory is known
    struct figure kv_pool_bytes; // of it
    struct figure kv_used_bytes; // of that, held by live requests
    uint64_t other_bytes;
    uint64_t orphan_bytes;
    int64_t unattributed_bytes; // means nothing where mem_used_bytes is UNKNOWN
    uint32_t n_models;          // that hold memory on it
    uint32_t kv_pool_unknown;   // of them, those of which it is not known
    uint32_t kv_used_unknown;
};

/* One served model on one port. */
struct snapshot_model {
    char served_name[ENGINE_NAME_MAX + 1];
    char id[ENGINE_NAME_MAX + 1]; // identifier form: [A-Za-z0-9-]
    uint16_t port;
    uint32_t engine;      // index in the facts it was made from
    uint32_t pid;         // of the first process of its tree; 0: not known
    uint64_t start_ticks; // when that started, in clock ticks since boot; 0: not known
    char container_id[SNAPSHOT_CONTAINER_ID_SIZE]; // "": in none, or not known
    char pod_uid[SNAPSHOT_POD_UID_SIZE];           // of Kubernetes; likewise
    enum engine_state state;
    char why[ENGINE_WHY_MAX];
    bool stale;
    uint64_t page_ns; // when its figures came in; 0: there are none
    struct figure allocated_bytes;
    struct figure kv_used_bytes;
    struct figure kv_pool_bytes;     // over all its GPUs
    struct figure kv_pool_per_gpu;   // on each of them, where a block is the same on all
    struct figure kv_retained_bytes; // cached blocks that no request holds
    const char *engine_name;         // of its kind; a literal, NULL where it is not known
    const char *kv_source;           // who says how large a block is; a literal, or NULL
    uint64_t kv_groups;      // block ids that a token takes at most; UNKNOWN, also where
                             // the page tells kv_size_tokens
    struct engine_page page; // what it said last; everything unknown when that is too old
    uint64_t pace_ns;        // between two scrapes
    uint64_t max_model_len;  // tokens of the longest request; UNKNOWN
    struct engine_scrapes scrapes;
    uint64_t devices; // bit per index of `devices` that it holds memory on
    struct hit_counts prefix_minute;
    struct hit_counts prefix_five_minutes;
};

/* Whose a process with device memory is. */
enum snapshot_owner {
    OWNER_OTHER,  // of no engine
    OWNER_ENGINE, // in the tree of a model's server
    OWNER_ORPHAN, // an engine's worker whose server is gone
};

/* A process on one device. */
struct snapshot_process {
    uint32_t pid;
    uint32_t device;               // index of `devices`
    uint64_t bytes;                // UNKNOWN where the driver hides it
    char comm[SNAPSHOT_COMM_SIZE]; // "": it is hidden from here
    enum snapshot_owner owner;
    uint16_t port; // of the engine
};

/* How often somebody was refused or ended by a limit of that name, a constant text. */
struct snapshot_limited {
    const char *what;
    uint64_t total;
};

/* What is published elsewhere (publish/); all of it 0 where nothing is. */
struct snapshot_nats {
    bool used;
    bool connected;
    bool name_taken;     // another publishes under this node's name
    uint64_t published;  // snapshots that the server has taken
    uint64_t skipped;    // that a newer one has replaced, or for which nobody was there
    uint64_t too_large;  // that were more than the server takes, even cut
    uint64_t events;     // that the server has taken
    uint64_t reconnects; // connections made, but for the first
};

/* What watching costs the host. Sums since the start of the program. */
struct snapshot_self {
    uint64_t rss_bytes;
    double
        cpu_seconds; // of this process, and of GPU workers that have ended with their keeper
    uint64_t subscribers;
    uint64_t frames_sent;
    uint64_t frames_skipped;
    uint64_t worker_restarts;
    uint64_t history_errors; // that kept history off the disk; UNKNOWN: memory alone
    double late_seconds;     // of this tick
    struct snapshot_nats nats;
    struct snapshot_limited limited[SNAPSHOT_LIMITED_MAX];
    size_t n_limited;
};

struct snapshot {
    uint64_t seq;
    uint64_t taken_ns;     // CLOCK_MONOTONIC
    uint64_t unix_ms;      // the same instant by the wall clock, for people
    uint64_t gpu_taken_ns; // of the driver's figures; 0: no GPU on purpose

    /* Over all devices whose memory is known. `why` tells of devices left out. */
    struct figure total_bytes;
    struct figure allocated_bytes;

    /* allocated = models + other + orphan + unattributed bytes, always. */
    uint64_t models_bytes;      // of all rows of `models` where it is known
    uint64_t other_bytes;       // of processes that belong to no engine
    uint64_t orphan_bytes;      // of an engine's workers whose server is gone
    int64_t unattributed_bytes; // the rest; negative when the driver's lists claim more

    uint64_t kv_used_bytes; // of all models where it is known
    uint32_t kv_unknown;    // models where it is not

    double hit_percent;         // 0..100
    bool hit_percent_in_window; // it was, at some time, that of the last minute

    struct snapshot_fleet *fleet; // a gateway's; NULL: these are facts of a host
    struct snapshot_self self;
    uint32_t n_sources;
    uint32_t n_devices;
    uint32_t n_models;
    uint32_t n_processes;
    uint32_t n_events;
    uint32_t processes_left_out; // there was no room for them
    struct gpu_source_state sources[GPU_SOURCES_MAX];
    struct snapshot_device devices[GPU_DEVICES_MAX];
    struct snapshot_model models[SNAPSHOT_MODELS_MAX]; // by port, then id

    /* The largest ones, by falling bytes; those of unknown size first. */
    struct snapshot_process processes[SNAPSHOT_PROCESSES_MAX];

    struct event events[SNAPSHOT_EVENTS_MAX]; // the newest, oldest first
};

struct snapshot_pool;

int snapshot_pool_new(struct snapshot_pool **ret) MUST_CHECK;
void snapshot_pool_free(struct snapshot_pool *pool); // every snapshot must be given back

/* An empty one with one reference, to be filled before it is shared; NULL: no memory. */
struct snapshot *snapshot_new(struct snapshot_pool *pool);
const struct snapshot *snapshot_ref(const struct snapshot *snapshot);
void snapshot_unref(const struct snapshot *snapshot); // takes NULL

/*
 * Room for so many nodes and rows of a fleet in one that is to be filled: `fleet` is then
 * there, and zeroed but for its rows. Its memory stays with the pool. -ENOMEM.
 */
int snapshot_make_fleet(struct snapshot *snapshot, size_t nodes,
                        size_t models) MUST_CHECK;

/* Every character of `served_name` outside [A-Za-z0-9], however many bytes, becomes '-'. */
void snapshot_make_id(const char *served_name, char id[ENGINE_NAME_MAX + 1]);

#endif
