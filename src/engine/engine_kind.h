// SPDX-License-Identifier: Apache-2.0
/*
 * engine_kind.h - for those who teach vramscope another inference engine
 *
 * An engine kind is one file, engine_<name>.c, with a `const struct engine_kind
 * engine_<name>` as its last lines, and one line in kinds.def. It sees wanted samples of
 * what a server answers and says what they mean; it knows no socket, no clock, no GPU.
 *
 * Where a server is asked first, its command line decides, the operator, or what it calls
 * itself in /v1/models (`owner`), since asking in the wrong place can do harm: the
 * /metrics of one kind is used up by reading it. Which kind it then is, the metric
 * families on its page decide.
 */
#ifndef ENGINE_ENGINE_KIND_H
#define ENGINE_ENGINE_KIND_H

#include "engine/hit_window.h"

enum {
    ENGINE_NAME_MAX = 256,  // bytes of a served model name that are kept
    ENGINE_DTYPE_MAX = 23,  // likewise of a cache dtype
    ENGINE_SERIES_MAX = 64, // data-parallel engines behind one front end
    ENGINE_WHY_MAX = 160,
};

/*
 * What one page says, over all data-parallel engines of the server. Counts are UNKNOWN,
 * ratios NAN, where the page does not say; they are never guessed.
 */
struct engine_page {
    char served_name[ENGINE_NAME_MAX + 1]; // first served model name; "" when not given
    uint32_t engines;                      // data-parallel engines seen; 0: none yet
    bool asleep;                           // every engine sleeps: its KV pool is unmapped
    double kv_usage_ratio;                 // of all usable blocks, 0..1
    uint64_t kv_used_blocks;               // held by live requests, null blocks left out
    uint64_t kv_blocks;                  // of all engines, each one's null block included
    uint64_t kv_block_tokens;            // tokens in a block
    uint64_t kv_size_tokens;             // of one data-parallel engine's pool
    char kv_dtype[ENGINE_DTYPE_MAX + 1]; // "auto", "fp8", ...; "" when not given
    bool kv_skips_layers;                // some layers are exempt from kv_dtype
    bool kv_blocks_ordered;              // their number, whatever bytes were ordered
    uint64_t kv_memory_bytes;            // KV pool per GPU as the operator ordered it
    bool kv_memory_option;               // its release can be ordered a pool in bytes
    double gpu_memory_utilization;       // of each GPU's memory, as it was ordered; NAN
    uint64_t kv_told_bytes;              // KV pool per GPU, as the engine says it rounded
    uint64_t kv_told_error;              // by so much at most
    const char *kv_why;         // why one of the above is unknown; a literal, or NULL
    const char *kv_caveat;      // why they may be off; a literal, or NULL
    uint64_t kv_capacity_bytes; // of all engines' pools, by the engine's own count
    uint64_t kv_active_bytes;   // of it, held by live requests
    uint64_t kv_retained_bytes; // cached, held by nobody; of one GPU of each engine
    bool kv_bytes_per_rank;     // those two are of one GPU of each engine
    uint64_t requests_running;
    uint64_t requests_waiting;
    uint64_t preemptions;
    struct hit_counts prefix; // lifetime counters; NAN when not given
    bool prefix_from_ratio;   // worked out from a ratio: differences mean nothing
};

/* What a server can be asked beside its metrics, once in its life. */
enum engine_question {
    ENGINE_ASK_VERSION,      // which release it is
    ENGINE_ASK_MODELS,       // what it serves, from which checkpoint
    ENGINE_ASK_SETTINGS,     // everything it was started with; may be dear to answer
    ENGINE_ASK_SETTINGS_OLD, // likewise, where the other path is not there
    ENGINE_QUESTIONS
};

/* What a server answers, in parts. */
enum engine_part {
    ENGINE_PART_PAGE,     // its metrics
    ENGINE_PART_LIVE,     // asked after each page of metrics: figures that it has not
    ENGINE_PART_SETTINGS, // the answer to ENGINE_ASK_SETTINGS, looked at with each page
    ENGINE_PARTS
};

/* Samples wanted from a part: exact names, in JSON paths as json_walk() tells them. */
struct engine_names {
    const char *const *at;
    size_t n;
};

enum { ENGINE_PATHS = 2 };

struct engine_kind {
    const char *name;  // as it is published, and written in a config file
    const char *owner; // its "owned_by" in /v1/models; NULL: it has none of its own

    struct engine_names names[ENGINE_PARTS];

    /*
     * Where its metrics are. The second is tried where the first redirects, which is not
     * followed. NULL: "/metrics", or there is no second.
     */
    const char *paths[ENGINE_PATHS];
    bool is_json;          // what is there; else it is Prometheus text
    const char *live_path; // of ENGINE_PART_LIVE, in JSON; NULL: it has none

    /*
     * Why it would have no metrics, and what to do about it: a sentence for people. Where
     * `empty_is_off`, a page without a sample of its own says that they are off; else such
     * samples may only come with the first request, and 404 or 501 says so.
     */
    const char *off_why;
    bool empty_is_off;

    /* It also passes on, or goes before, others: their samples on its page count more. */
    bool yields;

    /* Why its blocks cannot be worked out from its model and its options; NULL: they can. */
    const char *shape_why;

    /* Path that answers with the samples asked for by name[] alone; NULL: there is none. */
    const char *filter_path;

    /* Paths of those answers; NULL: it has none. `asks` is a bit for each asked at first. */
    const char *questions[ENGINE_QUESTIONS];
    unsigned asks;

    /*
     * Size of the state that one page is gathered in. Its first bytes, so many, start
     * zeroed: what is never touched takes no memory.
     */
    size_t page_size;
    size_t page_zeroed;

    /*
     * A wanted sample, `name` counting through the names of all parts. Of JSON `text` is
     * a string, where it is one, else of a sample its labels. A negative result fails the
     * page, of other parts than it what else they say; *ret_why (a literal) then says
     * what is wrong with it.
     */
    int (*sample)(void *page, unsigned name, struct span text, double value,
                  const char **ret_why);

    /* All parts that are to be had have been read. */
    void (*finish)(void *page, struct engine_page *ret);
};

/* The kind of that name, or of that "owned_by"; NULL: there is none. */
const struct engine_kind *engine_kind_named(struct span name);
const struct engine_kind *engine_kind_owned_by(struct span owner);

/*
 * The length of the path of metrics that a URL ends with; 0: none. Where it is one of a
 * kind of its own, *ret is that kind, else it is not written.
 */
size_t engine_kind_url_tail(struct span url, const struct engine_kind **ret);

/* What its names of a part begin with, counting through all parts. */
unsigned engine_kind_first(const struct engine_kind *kind, enum engine_part part);

/* Every field of `page` says "not known". */
void engine_page_clear(struct engine_page *page);

extern const struct engine_kind *const engine_kinds[]; // all of them
extern const size_t engine_kinds_n;

#define KIND(name) extern const struct engine_kind engine_##name;
#include "engine/kinds.def"
#undef KIND

#endif
