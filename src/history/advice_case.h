// SPDX-License-Identifier: Apache-2.0
/*
 * advice_case.h - what is known of one model, in blocks and in bytes per GPU
 *
 * Private to the advice. A size is a number of blocks of one data-parallel engine, the
 * block that vLLM keeps back included, as its num_gpu_blocks is; bytes are those on each
 * of its GPUs. Where the pool is an estimate, every size in bytes has the error added.
 */
#ifndef HISTORY_ADVICE_CASE_H
#define HISTORY_ADVICE_CASE_H

#include "history/advice.h"

enum {
    /*
     * To spare above the most that was seen. Samples are half a second apart and more, so
     * that a peak between two is missed; and tomorrow is not today.
     */
    ADVICE_MARGIN_PERCENT = 10,

    ADVICE_STEP_PERCENT = 25,        // more, where demand is cut off at the pool's size
    ADVICE_STEP_LEAST_PERCENT = 5,   // less than that is not worth a restart
    ADVICE_FREES_LEAST_PERCENT = 10, // of the pool; likewise
    ADVICE_SLACK_PERCENT = 2, // of a GPU, left alone: activations of a larger batch, and
                              // what the allocator loses between its pieces
    ADVICE_THOUSAND = 1000,   // --gpu-memory-utilization is advised in thousandths
};

#define ADVICE_GIB (UINT64_C(1) << 30)
#define ADVICE_FREES_LEAST ADVICE_GIB   // on each GPU
#define ADVICE_IDLE_MS ADVICE_MEDIUM_MS // nobody's need is known before

/* With requests waiting: each does for a moment, and in a slot it may not be the same. */
#define ADVICE_FULL_LEAST_MS 60000

/* Less often, and the pool is what it should be: larger ones are idle all the other time. */
#define ADVICE_PREEMPTIONS_AN_HOUR 1
#define ADVICE_FULL_LEAST_PART 1000 // of the time

struct advice_case {
    const struct observation *seen;
    const struct snapshot *snapshot;
    const struct snapshot_model *model;

    /* Sizes can be worked out. All below is known then, but for what says UNKNOWN. */
    bool is_sized;
    uint64_t engines;        // data-parallel
    uint64_t gpus;           // of all of them
    uint64_t blocks;         // as they are now
    uint64_t pool;           // bytes
    uint64_t error;          // of `pool`, at most
    uint64_t used_blocks;    // at most, of all engines: one may have held all of them
    uint64_t p999_blocks;    // likewise; UNKNOWN
    uint64_t request_blocks; // of a request of the greatest length; UNKNOWN
    uint64_t need_blocks;    // UNKNOWN
    uint64_t held;           // the most that its processes hold on a GPU; UNKNOWN
};

/* False: too little was observed, or what it rests on is not known. */
bool advice_case_open(const struct observation *seen, const struct snapshot *snapshot,
                      struct advice_case *ret);

/* The demand was cut off: requests were preempted, or waited before a full pool. */
bool advice_is_short(const struct advice_case *it);

uint64_t advice_size_bytes(const struct advice_case *it, uint64_t blocks);

/* What a pool of so many blocks would free at least; 0: nothing. */
uint64_t advice_size_frees(const struct advice_case *it, uint64_t blocks);

/* What it would take more, at most. */
uint64_t advice_size_takes(const struct advice_case *it, uint64_t blocks);

/* Blocks to shrink to; UNKNOWN: there is not enough to gain, or it is not known. */
uint64_t advice_shrunk_blocks(const struct advice_case *it);

/* Of a device. What vLLM takes for its total: without what the driver keeps. UNKNOWN. */
uint64_t advice_device_total(const struct snapshot_device *device);
uint64_t advice_device_free(const struct snapshot_device *device);
uint64_t advice_device_slack(const struct snapshot_device *device);

/* The model's device with the least room, which is free less slack; NULL: not known. */
const struct snapshot_device *advice_tightest(const struct advice_case *it);
uint64_t advice_device_room(const struct snapshot_device *device);

/* --gpu-memory-utilization for another pool, on the device where it is the most. */
struct advice_share {
    uint64_t thousandths; // rounded up; UNKNOWN: there is none, or it cannot be told
    bool sizes_the_pool;  // else it only has to be free when the server starts
    const struct snapshot_device *device;
    uint64_t held; // there, by its processes; UNKNOWN: not asked for
};

/*
 * Where it sizes the pool it is the share of now, less what the pool is smaller by: what
 * vLLM keeps free of it for activations was measured at its start, and need not be held
 * now. Elsewhere it is what is held now, with a pool of so many blocks.
 */
struct advice_share advice_utilization(const struct advice_case *it, uint64_t blocks);

/* ---- Words ---- */

/* Whose it is, how sure it is; nothing is advised in it yet. */
void advice_begin(const struct advice_case *it, enum advice_kind kind,
                  enum event_severity severity, struct advice *ret);
enum advice_confidence advice_confidence_of(uint64_t observed_ms);

/* Cut to the room there is, between characters. */
void advice_title(struct advice *ret, const char *format, ...) PRINTF_LIKE(2, 3);
void advice_text(struct advice *ret, const char *format, ...) PRINTF_LIKE(2, 3); // more
void advice_line(struct advice *ret, const char *format, ...) PRINTF_LIKE(2, 3);

enum { ADVICE_NAME_SIZE = 64 };

struct advice_words {
    char text[ADVICE_NAME_SIZE];
};

struct advice_words advice_name(const struct snapshot_model *model); // perhaps cut
struct advice_words advice_gib(uint64_t bytes);                      // "11.27 GiB"
struct advice_words advice_time(uint64_t ms);                        // "26.3 hours"

/* "P", or "(P - E)" where the pool may be smaller by the error. */
struct advice_words advice_least_pool(const struct advice_case *it);

/* The lines that every size begins with. */
void advice_tell_observed(const struct advice_case *it, struct advice *ret);
void advice_tell_pool(const struct advice_case *it, struct advice *ret);

/* The line, the options and the figures of a pool of so many blocks. */
void advice_tell_size(const struct advice_case *it, uint64_t blocks, struct advice *ret);
void advice_tell_command(const struct advice_case *it, uint64_t blocks,
                         struct advice *ret);

/* ---- Each kind: true where there is something to say ---- */

/* All cases of the moment, in the order of the observations. */
struct advice_cases {
    const struct snapshot *snapshot;
    size_t n;
    struct advice_case at[SNAPSHOT_MODELS_MAX];
};

bool advise_shrink(const struct advice_cases *all, const struct advice_case *it,
                   struct advice *ret);
bool advise_grow(const struct advice_cases *all, const struct advice_case *it,
                 struct advice *ret);
bool advise_hit_rate(const struct advice_case *it, struct advice *ret);
bool advise_start(const struct advice_cases *all, uint32_t device, struct advice *ret);
bool advise_unified(const struct advice_cases *all, uint32_t device, struct advice *ret);

#endif
