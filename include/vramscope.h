// SPDX-License-Identifier: Apache-2.0
/*
 * vramscope.h - read the streams of vramscoped
 *
 * One `struct vramscope` follows one stream of one daemon: it connects, reads server-sent
 * events, decodes them, and connects again when that breaks. It has no thread and keeps
 * nothing outside itself; several may be used at once, each by one thread at a time. After
 * fork() it is the parent's: a child neither uses nor closes it, and may open its own.
 * (libcurl, which carries the bytes, may look a host's name up in a thread of its own. It
 * is initialized by each vramscope_open() and vramscope_get(): where curl_version_info()
 * lacks CURL_VERSION_THREADSAFE, call curl_global_init() before there are threads.)
 *
 * In a program that waits for nothing else:
 *
 *     struct vramscope *scope;
 *     const struct vramscope_event *event;
 *
 *     if (vramscope_open("http://127.0.0.1:6767", NULL, &scope) < 0)
 *         return 1;
 *     while ((event = vramscope_wait(scope, -1)))
 *         if (event->type == VRAMSCOPE_SNAPSHOT)
 *             printf("%lld\n", (long long)event->snapshot->used_kv_cache_bytes);
 *     vramscope_close(scope);
 *
 * In a loop of any kind: poll vramscope_fd() for reading, for at most
 * vramscope_timeout_ms(); then call vramscope_process(), and vramscope_next() until it
 * returns NULL. None of the four ever waits.
 *
 * Strings are valid UTF-8, else as the daemon sent them: who writes them to a terminal has
 * to take control and bidirectional characters out first. What is not known is
 * VRAMSCOPE_UNKNOWN, NAN or NULL, never 0. Structs are made by the library alone and grow
 * at their ends, for which reason one refers to others by pointers; those held by value
 * (vramscope_figure, vramscope_hits) stay as they are.
 *
 * Functions that return int give 0 or more, or a negative errno.
 */
#ifndef VRAMSCOPE_H
#define VRAMSCOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

/* A number nobody could read. Of a double it is NAN: isnan() tells. */
#define VRAMSCOPE_UNKNOWN INT64_MIN

/* ---- The seed document: GET /vram/stream ---- */

/* A served model. Figures are int64 there: what is not known is 0. */
struct vramscope_row {
    const char *model_id;
    int64_t port;
    int64_t allocated_vram_bytes;
    int64_t used_kv_cache_bytes;
};

struct vramscope_snapshot {
    int64_t total_vram_bytes;
    int64_t allocated_vram_bytes;
    int64_t used_kv_cache_bytes;
    double prefix_cache_hit_rate; /* 0..100 */
    size_t n_models;
    const struct vramscope_row *const *models;
};

/* ---- The full document: GET /v1/detail/stream. Members are named as its keys are, and
 *      mean the same (docs/wire.md). A key that the daemon left out is not known. The
 *      document of a gateway is of all its nodes: `fleet` is there, and `nodes`. ---- */

enum vramscope_from {
    VRAMSCOPE_FROM_UNKNOWN, /* also a word that this library does not know */
    VRAMSCOPE_FROM_MEASURED,
    VRAMSCOPE_FROM_ENGINE,
    VRAMSCOPE_FROM_DERIVED,
    VRAMSCOPE_FROM_ESTIMATED
};

/* Bytes, where they come from, and how far they may be off. */
struct vramscope_figure {
    int64_t value;
    enum vramscope_from from;
    int64_t error;      /* at most; 0: exact; VRAMSCOPE_UNKNOWN: no bound */
    const char *reason; /* for people; NULL: nothing to say */
};

struct vramscope_source {
    const char *backend;
    const char *verdict; /* "ok", or a code */
    const char *driver_version;
    const char *reason;
};

struct vramscope_device {
    const char *backend;
    int64_t index;
    const char *uuid;
    const char *name;
    const char *parent_uuid;
    int64_t instance;
    bool unified;
    int64_t total_bytes;
    int64_t used_bytes;
    int64_t reserved_bytes;
    int64_t processes_bytes;
    const char *reason;
    /* used = models + other + orphan + unattributed, where the daemon tells them apart */
    int64_t models_bytes;
    struct vramscope_figure kv_pool; /* of models_bytes */
    struct vramscope_figure kv_used; /* of kv_pool */
    int64_t other_bytes;
    int64_t orphan_bytes;
    int64_t unattributed_bytes; /* may be negative */
};

/* Tokens looked up in the prefix cache, and found there. */
struct vramscope_hits {
    int64_t hits;
    int64_t queries;
    double hit_percent;
};

struct vramscope_model {
    const char *model;
    const char *model_id;
    const char *engine; /* "vllm", "sglang", ...; NULL where it is not known */
    int64_t port;
    int64_t pid;
    const char *container_id;
    const char *pod_uid;
    const char *state; /* "ready", "loading", "sleeping", ... */
    const char *reason;
    bool stale;
    int64_t age_ms;
    int64_t scrape_interval_ms;
    size_t n_devices;
    const int64_t *devices; /* indices of vramscope_detail.devices */

    struct vramscope_figure allocated;
    struct vramscope_figure kv_pool;
    struct vramscope_figure rest;
    struct vramscope_figure kv_used;
    struct vramscope_figure kv_capacity;
    struct vramscope_figure kv_retained;
    const char *kv_source;
    double kv_usage_ratio; /* 0..1 */
    int64_t kv_used_blocks;
    int64_t kv_blocks;
    int64_t kv_block_tokens;
    int64_t kv_capacity_tokens;
    int64_t kv_data_parallel_engines;
    const char *kv_dtype;
    const char *kv_reason;

    int64_t requests_running;
    int64_t requests_waiting;
    int64_t requests_preemptions;

    enum vramscope_from prefix_from;
    struct vramscope_hits prefix_minute;
    struct vramscope_hits prefix_five_minutes;
    struct vramscope_hits prefix_lifetime;

    int64_t max_model_len; /* tokens of the longest request */

    int64_t nodes;       /* of a gateway: on so many it is served, */
    int64_t nodes_ready; /* and on so many of them it is ready */
};

struct vramscope_process {
    int64_t pid;
    const char *comm;
    int64_t device;
    int64_t bytes;
    const char *owner; /* "engine", "orphan", "other" */
    int64_t port;
};

struct vramscope_limit {
    const char *name;
    int64_t total;
};

struct vramscope_self {
    int64_t rss_bytes;
    double cpu_seconds;
    double late_ms;
    int64_t subscribers;
    int64_t frames_sent;
    int64_t frames_skipped;
    int64_t worker_restarts;
    size_t n_limited;
    const struct vramscope_limit *const *limited;
    int64_t history_errors; /* that kept history off the disk */
};

enum vramscope_severity {
    VRAMSCOPE_SEVERITY_UNKNOWN, /* also a word that this library does not know */
    VRAMSCOPE_SEVERITY_INFO,
    VRAMSCOPE_SEVERITY_WARNING,
    VRAMSCOPE_SEVERITY_CRITICAL
};

/*
 * Something that happened on the daemon's host. The same one has the same id and time in
 * each document that tells of it; ids alone may begin anew with another `boot`.
 */
struct vramscope_host_event {
    int64_t id;
    int64_t unix_ms;
    const char *kind; /* "engine_lost", ... */
    enum vramscope_severity severity;
    const char *model; /* NULL: it is of none */
    const char *model_id;
    int64_t port;
    const char *device; /* its UUID; NULL: it is of none */
    const char *text;   /* for people */
    const char *node;   /* of a gateway: where it happened; NULL: not on a node */
};

/*
 * What a gateway knows of one of its nodes: what that said last. States, from what needs a
 * person to what does not: "lost", "unreadable", "outage", "stale", "live".
 */
struct vramscope_node {
    const char *node; /* its name */
    const char *state;
    const char *reason; /* of its state; NULL: nothing to say */
    bool counted;       /* its figures are in the sums */
    bool gateway;       /* with `nodes` of its own */
    int64_t nodes;
    bool name_taken; /* another publishes under its name */
    int64_t age_ms;  /* of its figures */
    int64_t interval_ms;
    int64_t clock_offset_ms; /* its clock less the gateway's; may be negative */
    const char *version;
    const char *machine;
    const char *boot;
    int64_t seq;
    int64_t started_unix_ms;
    int64_t messages;
    int64_t malformed;
    int64_t dropped;
    int64_t gpus;
    int64_t models;
    int64_t total_bytes;
    int64_t allocated_bytes;
    enum vramscope_from vram_from; /* of allocated_bytes */
    int64_t models_bytes;
    int64_t other_bytes;
    int64_t orphan_bytes;
    int64_t unattributed_bytes; /* may be negative */
    int64_t kv_used_bytes;
    int64_t kv_capacity_bytes;
    enum vramscope_from kv_from; /* of these two, the less certain */
    int64_t kv_unknown_models;
    double prefix_hit_percent;
    int64_t requests_running;
    int64_t requests_waiting;
};

/* All nodes of a gateway, counted by state; sums are of those that are `counted`. */
struct vramscope_fleet {
    int64_t nodes;
    int64_t live;
    int64_t stale;
    int64_t outage;
    int64_t unreadable;
    int64_t lost;
    int64_t counted;
    int64_t gpus;
    struct vramscope_figure kv_pool;
    int64_t kv_pool_unknown_models;
    int64_t requests_running;
    int64_t requests_waiting;
    /* With the server that nodes publish to; sums are since the gateway's start. */
    bool nats_connected;
    int64_t nats_reconnects;
    int64_t nats_messages;
    int64_t nats_bytes;
    int64_t nats_malformed;
    int64_t nats_dropped;
    int64_t nats_refused;
    int64_t nats_missed;
};

/* Why a gateway has no sums at present: none of its nodes counts. */
struct vramscope_outage {
    const char *code;    /* as "no-nodes", "nats-lost" */
    const char *message; /* a sentence for people */
    const char *remedy;  /* what would help; NULL: nothing to say */
};

struct vramscope_detail {
    int64_t schema;
    const char *version;
    const char *boot;
    int64_t seq;
    int64_t unix_ms;
    int64_t interval_ms;

    struct vramscope_figure total;
    struct vramscope_figure allocated;
    int64_t models_bytes;
    int64_t other_bytes;
    int64_t orphan_bytes;
    int64_t unattributed_bytes; /* may be negative */
    int64_t kv_used_bytes;
    int64_t kv_unknown_models;
    double prefix_hit_percent;
    bool prefix_in_window;

    int64_t gpu_age_ms;
    size_t n_sources;
    const struct vramscope_source *const *sources;
    size_t n_devices;
    const struct vramscope_device *const *devices;
    size_t n_models;
    const struct vramscope_model *const *models;
    size_t n_processes;
    const struct vramscope_process *const *processes;
    int64_t processes_left_out;
    const struct vramscope_self *self; /* never NULL */

    bool tells_events; /* false: a daemon that keeps none, and n_events is 0 */
    size_t n_events; /* the newest, oldest first: what else was missed is in /v1/events */
    const struct vramscope_host_event *const *events;

    const char *node; /* a gateway tells of this node alone; NULL: a host, or all nodes */
    const struct vramscope_fleet *fleet; /* NULL: a host, or one node */
    size_t n_nodes;
    const struct vramscope_node *const *nodes;
    int64_t nodes_left_out;  /* for want of room in the document */
    int64_t models_left_out; /* rows of a gateway: the smallest */

    /* NULL: there are figures. Else totals are not known, and `nodes` have their reasons. */
    const struct vramscope_outage *outage;
};

/*
 * Decode a document that was kept as JSON. -EBADMSG: not JSON, or not such a document;
 * -EFBIG: over a limit (depth 16, 1,024 models or devices, 4,096 processes or nodes, 262,144
 * values, 4 MiB); -ENOMEM. `why`, of `room` bytes, may be NULL with room 0; it gets a phrase.
 */
int vramscope_detail_parse(const char *json, size_t len,
                           const struct vramscope_detail **ret, char *why, size_t room);

/* Documents are counted and never change: who keeps one beyond its event takes a reference. */
const struct vramscope_detail *
vramscope_detail_ref(const struct vramscope_detail *detail);
void vramscope_detail_unref(const struct vramscope_detail *detail); /* takes NULL */

/* ---- Events ---- */

/*
 * What comes: CONNECTED, then what is on the stream, then DISCONNECTED with the reason;
 * after `retry_ms` the same again. An attempt that comes to no stream is DISCONNECTED
 * alone. When the daemon refuses the stream because it has no figures (503), that is
 * NO_DATA with `status` 503, `code`, `remedy` and `retry_ms`, in place of it; the attempts
 * after it are quiet until there is a stream or another reason. Within a stream NO_DATA
 * has `status` 200 and comes in place of each document. A gateway that has heard of nodes,
 * none of which counts, goes on to send documents: those have an `outage`.
 *
 * Between attempts are 0.5 s, or what the daemon asks for (`retry:`, Retry-After), at most
 * 60 s; it doubles with each failure up to 30 s, until a stream has held for 10 s.
 */
enum vramscope_event_type {
    VRAMSCOPE_CONNECTED, /* the stream has begun */
    VRAMSCOPE_SNAPSHOT,  /* `snapshot` */
    VRAMSCOPE_DETAIL,    /* `detail` */
    VRAMSCOPE_LAG,       /* `skipped` documents were left out: we read too slowly */
    VRAMSCOPE_NO_DATA,   /* the daemon has nothing honest to say: `reason` */
    VRAMSCOPE_BYE,       /* the daemon ends; DISCONNECTED is next */
    VRAMSCOPE_UNREADABLE, /* an event that could not be decoded: `reason`; the stream goes on */
    VRAMSCOPE_DISCONNECTED, /* `reason`; tried again in `retry_ms`, never if that is negative */
    VRAMSCOPE_OTHER         /* an event of a `name` that this library does not know */
};

struct vramscope_event {
    enum vramscope_event_type type;
    int64_t unix_ms;  /* when it came in, by the wall clock */
    const char *name; /* of the server-sent event: "message", "lag", ...; else "" */
    const char *id;   /* the last event id at that point; "": none */
    const char *data; /* what came, NUL-terminated; valid UTF-8 */
    size_t data_len;
    const struct vramscope_snapshot *snapshot;
    const struct vramscope_detail *detail;
    int64_t skipped;
    int status;         /* HTTP status of the answer; 0: there was none */
    const char *reason; /* a sentence for people */
    const char *code;   /* of the daemon's error, as "no-driver"; NULL: none */
    const char *remedy; /* what the daemon says would help; NULL: nothing */
    int64_t retry_ms;
};

/* ---- Following a stream ---- */

enum vramscope_stream {
    VRAMSCOPE_STREAM_SEED,  /* /vram/stream: VRAMSCOPE_SNAPSHOT */
    VRAMSCOPE_STREAM_DETAIL /* /v1/detail/stream: VRAMSCOPE_DETAIL */
};

/*
 * Zero everything but `size`, then set what is wanted:
 *
 *     struct vramscope_options options = {0}; // in C++: = {}
 *     options.size = sizeof(options);
 *
 * Texts are copied.
 */
struct vramscope_options {
    size_t size; /* sizeof(struct vramscope_options) */
    enum vramscope_stream stream;
    const char *token; /* Authorization: Bearer; NULL: none */
    const char
        *token_file;     /* read at each connection, its line end left out; NULL: none */
    const char *ca_file; /* PEM, in place of the system's; NULL: those */
    const char *last_event_id; /* go on after this one; NULL: begin with the newest */
    bool undecoded; /* leave `snapshot` and `detail` NULL: `data` is all that is wanted */
    bool once;      /* do not connect again */
    size_t event_max; /* bytes of one event; 0: 8 MiB, as a gateway's document may have 4;
                         a larger one ends the connection */
    int connect_timeout_ms; /* until the answer's head is there; 0: 5,000 */
    int silence_timeout_ms; /* without one byte; 0: 15,000, or three intervals if longer */
    const char
        *node; /* ask a gateway for this node of its own, as for a host, by ?node= in
                         each request; NULL: for all of them */
};

struct vramscope;

/*
 * Follow the daemon at `url`: http://HOST:PORT, https://HOST:PORT or unix:PATH. The
 * connection is made later, by vramscope_process(). `options` may be NULL. -EINVAL: that
 * is no such URL, or an option is out of range; -ENOMEM, -EMFILE, ... otherwise.
 */
int vramscope_open(const char *url, const struct vramscope_options *options,
                   struct vramscope **ret);
void vramscope_close(struct vramscope *scope); /* takes NULL */

/* Readable when vramscope_process() is due; stays the same until vramscope_close(). */
int vramscope_fd(const struct vramscope *scope);

/* vramscope_process() is due in so many milliseconds at the latest; -1: only by the fd. */
int vramscope_timeout_ms(const struct vramscope *scope);

/* Take in what has come and do what is due. -ENOMEM: try again. Never waits. */
int vramscope_process(struct vramscope *scope);

/*
 * The next event, valid until the next vramscope_next(), vramscope_wait() or
 * vramscope_close() for this scope; NULL: none has come.
 */
const struct vramscope_event *vramscope_next(struct vramscope *scope);

/*
 * Wait for the next event for at most `timeout_ms` (-1: as long as it takes). NULL: none
 * came (errno is ETIMEDOUT, or EINTR after a signal), or none will: with `once` after the
 * end, or when the daemon has said not to come back with status 204 (ENOTCONN).
 */
const struct vramscope_event *vramscope_wait(struct vramscope *scope, int timeout_ms);

/* ---- One answer ---- */

struct vramscope_answer {
    int status;       /* of HTTP */
    const char *type; /* Content-Type; "": none */
    const char *body; /* NUL-terminated; valid UTF-8 */
    size_t body_len;
};

/*
 * GET `path` once, waiting for it at most `timeout_ms`, which is 1 or more. Of the options
 * those of the connection count; the body may have 8 MiB. -EINVAL as vramscope_open(), or
 * by the path, the timeout or the token file; -ECONNREFUSED, -EHOSTUNREACH, -ETIMEDOUT,
 * -EPROTO (not HTTP, or TLS failed), -EFBIG, -ENOMEM. Each time `why` gets a sentence.
 */
int vramscope_get(const char *url, const struct vramscope_options *options,
                  const char *path, int timeout_ms, struct vramscope_answer **ret,
                  char *why, size_t room);
void vramscope_answer_free(struct vramscope_answer *answer); /* takes NULL */

/* "0.1.0", of the library that is running. */
const char *vramscope_version(void);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
