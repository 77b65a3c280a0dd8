// SPDX-License-Identifier: Apache-2.0
/*
 * advice.h - what size to give each model, worked out from what was observed
 *
 * Pure: observations and a snapshot in, advice with its arithmetic out. It never acts, and
 * says nothing where too little was observed (ADVICE_LEAST_MS) or a figure it rests on is
 * not known. docs/advice.md has the formulas. Texts are as text_clean() leaves them.
 */
#ifndef HISTORY_ADVICE_H
#define HISTORY_ADVICE_H

#include "history/past.h"

enum {
    ADVICE_MAX = 3 * SNAPSHOT_MODELS_MAX,
    ADVICE_TITLE_SIZE = 160,
    ADVICE_TEXT_SIZE = 800,
    ADVICE_LINES = 16,
    ADVICE_LINE_SIZE = 240,
    ADVICE_COMMAND_SIZE = 256,
    ADVICE_LEAST_MS = 15 * 60 * 1000,   // before that a model may not have met its load
    ADVICE_MEDIUM_MS = 6 * 3600 * 1000, // a part of a day
    ADVICE_HIGH_MS = 48 * 3600 * 1000,  // two whole days

    OBSERVATION_FULL_PERCENT = 98, // of the KV pool: a further request finds no room
};

/* What one model was seen to do, with its KV pool as it is now. */
struct observation {
    struct past_series of;
    int64_t from_ms, to_ms; // of the first and the last sample
    uint64_t observed_ms;   // of that, with samples
    uint64_t samples;       // whose pool and use of it are known
    uint64_t kv_pool_bytes; // the same all the while: it begins with the newest; UNKNOWN
    uint64_t kv_used_max;   // bytes; UNKNOWN
    uint64_t kv_used_p999; // the 99.9th percentile of the samples, or of the slots' most;
                           // UNKNOWN: likewise, or of more than OBSERVER_EXACT samples
    bool from_slots;       // some, of ten seconds each; then the most in them count
    uint64_t running_max, waiting_max; // UNKNOWN
    uint64_t waiting_ms;               // with requests waiting
    uint64_t full_ms; // of that, with OBSERVATION_FULL_PERCENT of the pool in use or more
    double preemptions; // that happened; NAN: not known
    double hit_percent; // mean, weighted by time; NAN
    uint64_t busy_ms;   // with requests running
};

enum advice_kind {
    ADVICE_SHRINK,          // the KV pool is larger than what was ever needed
    ADVICE_GROW,            // it is too small: preempting, or full with requests waiting
    ADVICE_LOW_HIT_RATE,    // with traffic
    ADVICE_START_COLLISION, // engines on one GPU whose shares do not fit together
    ADVICE_UNIFIED_MEMORY,  // the GPU's memory is the host's
    ADVICE_KINDS
};

const char *advice_kind_name(enum advice_kind kind); // "shrink", "grow", ...

/* By what was observed: below ADVICE_MEDIUM_MS, below ADVICE_HIGH_MS, and from there on. */
enum advice_confidence { CONFIDENCE_LOW, CONFIDENCE_MEDIUM, CONFIDENCE_HIGH };

const char *advice_confidence_name(enum advice_confidence confidence); // "low", ...

struct advice {
    enum advice_kind kind;
    enum event_severity severity;
    enum advice_confidence confidence;
    uint64_t observed_ms;
    char served_name[ENGINE_NAME_MAX + 1]; // "": of the host
    uint16_t port;
    char device[GPU_UUID_MAX]; // that it is of; "": of none
    char title[ADVICE_TITLE_SIZE];
    char text[ADVICE_TEXT_SIZE];
    uint32_t n_lines;
    char lines[ADVICE_LINES][ADVICE_LINE_SIZE]; // the arithmetic, a step each
    char command[ADVICE_COMMAND_SIZE];          // options to start with; ""
    uint64_t kv_bytes_per_gpu;     // --kv-cache-memory-bytes; UNKNOWN: no such advice
    double gpu_memory_utilization; // NAN: not known
    uint64_t freed_bytes;          // on each of its GPUs; UNKNOWN
};

/*
 * How many were written to `ret`, which has room for `max`: the most severe first. Of a
 * model whose pool in `snapshot` is another than the observed one nothing is said.
 */
size_t advise(const struct observation *observations, size_t n,
              const struct snapshot *snapshot, struct advice *ret, size_t max);

/*
 * What is being seen of one model: rows in the order of time. Every row counts once,
 * however long it stands for. Rows without a pool, as of an engine that is down or asleep,
 * are passed over. It keeps the highest values alone: the 99.9th percentile is exact up to
 * OBSERVER_EXACT rows, which are 23 days at 2 Hz, or 15 months of slots.
 */
struct observer;

enum { OBSERVER_HIGHEST = 4096, OBSERVER_EXACT = (OBSERVER_HIGHEST - 2) * 1000 };

int observer_new(struct observer **ret) MUST_CHECK;
void observer_free(struct observer *observer);
void observer_begin(struct observer *observer, const struct past_series *of);

/*
 * A sample, or a slot's most (`ms` long). A row whose pool is another than the one before
 * begins the observation anew: it is of the pool as it is now.
 */
struct observed_row {
    int64_t unix_ms;
    uint64_t ms;                    // how long it stands for
    uint64_t figures[PAST_FIGURES]; // of a slot the most; preemptions: those in it
    double hit_percent;             // NAN
    bool is_slot;
};

/* -ENOMEM: the row is left out. */
int observer_add(struct observer *observer, const struct observed_row *row) MUST_CHECK;
void observer_end(struct observer *observer, struct observation *ret);

#endif
