// SPDX-License-Identifier: Apache-2.0
/*
 * engine_kind.h - for those who teach vramscope another inference engine
 *
 * An engine kind is one file, engine_<name>.c, with a `const struct engine_kind
 * engine_<name>` as its last lines, and one line in kinds.def. It sees wanted samples of
 * a metrics page and says what the page means; it knows no socket, no clock, no GPU.
 * Which kind a server is, the metric families on its page decide, never its name.
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
    ENGINE_ASK_VERSION,  // which release it is
    ENGINE_ASK_MODELS,   // what it serves, from which checkpoint
    ENGINE_ASK_SETTINGS, // everything it was started with; may be dear to answer
    ENGINE_QUESTIONS
};

struct engine_kind {
    const char *name;

    /* The sample names wanted from a page, exact. */
    const char *const *names;
    size_t n_names;

    /* Path that answers with the samples asked for by name[] alone; NULL: there is none. */
    const char *filter_path;

    /* Paths of those answers, beside "/metrics"; NULL: it has none. */
    const char *questions[ENGINE_QUESTIONS];

    /*
     * Size of the state that one page is gathered in. Its first bytes, so many, start
     * zeroed: what is never touched takes no memory.
     */
    size_t page_size;
    size_t page_zeroed;

    /*
     * A wanted sample, `name` indexing names. A negative result fails the page;
     * *ret_why (a literal) then says what is wrong with it.
     */
    int (*sample)(void *page, unsigned name, struct span labels, double value,
                  const char **ret_why);

    /* The page is complete. */
    void (*finish)(void *page, struct engine_page *ret);
};

/* Every field of `page` says "not known". */
void engine_page_clear(struct engine_page *page);

#define KIND(name) extern const struct engine_kind engine_##name;
#include "engine/kinds.def"
#undef KIND

#endif
