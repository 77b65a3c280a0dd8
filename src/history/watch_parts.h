// SPDX-License-Identifier: Apache-2.0
/*
 * watch_parts.h - what watching is made of; private to watch.c and its parts, which are
 * watch_models.c (engines), watch_figures.c (what they say and hold) and watch_host.c
 * (devices and drivers)
 *
 * What is compared are levels, not steps: each part remembers what was told last, and as
 * long as what is there differs from it there is something to tell. So an event that the
 * pause or the flood limit holds back is told later, if it is still so, and what has gone
 * back to how it was meanwhile is not told at all.
 */
#ifndef HISTORY_WATCH_PARTS_H
#define HISTORY_WATCH_PARTS_H

#include "base/clock.h"
#include "history/watch.h"

enum {
    TRACKS_MAX = 2 * SNAPSHOT_MODELS_MAX, // those there, and as many that are gone
    DEVICE_TRACKS_MAX = 2 * GPU_DEVICES_MAX,
    WATCH_PLACE_SIZE = 128, // of a text that names an engine or a device
};

/* Something that holds or does not, and what was told of it. */
struct condition {
    bool told;           // that it holds
    uint64_t since_ns;   // it is otherwise than told, since then; 0: it is as told
    uint64_t told_ns[2]; // when it was last told that it does not, that it does; 0: never
};

/* Whose pause it is; WATCH_PAUSE_MS after `told_ns` there may be another event. */
static inline bool pause_is_over(uint64_t told_ns, uint64_t now_ns)
{
    return told_ns == 0 || now_ns - MIN(told_ns, now_ns) >= WATCH_PAUSE_MS * NS_PER_MS;
}

/* It `holds`, and that is to be told: it has been so for `delay_ms`, and may be told. */
bool condition_is_due(struct condition *condition, bool holds, uint64_t delay_ms,
                      uint64_t now_ns);

/* It was told that it holds, or no longer does. */
void condition_was_told(struct condition *condition, uint64_t now_ns);

/* An engine, there or gone. */
struct track {
    char served_name[ENGINE_NAME_MAX + 1];
    uint16_t port;
    const struct snapshot_model *row; // of the snapshot being looked at; NULL: it is gone
    uint64_t seen_ns;                 // when it was last there
    uint64_t lost_ns;                 // when it was, as it was told lost
    struct condition there;
    bool at_start; // it was there before we were

    uint32_t pid;         // of its process tree, as last known; 0
    uint64_t start_ticks; // of that process; 0
    uint32_t old_pid;     // before it was restarted
    bool restart_due;     // to be told
    uint64_t restart_told_ns;

    bool was_ready;     // since it was last (re)started
    uint64_t starts_ns; // it starts, seen to do so since then; 0: it does not
    struct condition collision;
    struct condition asleep;
    struct condition failing;

    uint64_t page_ns;      // of the figures last looked at
    uint32_t page_engines; // data-parallel engines in them
    uint64_t queries;      // counters of that page; UNKNOWN
    uint64_t preemptions;  // likewise
    uint64_t resting_at;   // what that counter was before it began to rise
    uint64_t resting_ns;   // and when
    uint64_t preempted_ns; // when it rose last; 0: it has not since then
    struct condition preempting;
    uint64_t kv_seen_ns; // when its usage was last known
    struct condition kv_high;

    struct figure pool; // as told, or as it was found
    const char *pool_source;
    uint64_t blocks;
    uint32_t pool_engines;  // 0: of whatever number the next page is
    bool pool_known;        // there was a page yet
    uint64_t other_pool_ns; // it is another since then; 0: it is not
    uint64_t capacity_told_ns;

    uint64_t held_bytes[2]; // at the two ticks before; UNKNOWN
    bool dropped;           // memory has, and it is to be told unless the engine sleeps
    uint64_t dropped_ns, dropped_from, dropped_to;
    uint64_t drop_told_ns;
};

/* A GPU, or an instance of one. */
struct device_track {
    struct gpu_device device; // who it is; its figures mean nothing here
    bool seen;
    bool known; // its memory is, or was when last seen
    struct condition lost;
    struct condition orphan;
    uint64_t orphan_bytes; // as last told
};

struct watch {
    struct journal *journal; // lent
    uint64_t now_ns;         // of the snapshot that is being looked at
    int64_t unix_ms;
    bool begun;  // there was a snapshot before this one
    double room; // events that may be told at once
    uint64_t room_ns;
    enum event_kind alarm;

    struct track tracks[TRACKS_MAX];
    uint32_t n_tracks;

    struct condition outage; // no device's memory is known
    bool was_outage;         // at the last tick
    bool steady;             // the same devices are known as at the tick before
    struct device_track devices[DEVICE_TRACKS_MAX];
    uint32_t n_devices;
    struct gpu_source_state drivers[GPU_SOURCES_MAX];
    uint64_t driver_told_ns[GPU_SOURCES_MAX];
    uint32_t n_drivers;
};

/* Whom an event is about. */
struct watch_subject {
    const struct track *model; // NULL: none
    const char *device;        // its UUID; "": none
};

/*
 * Into the journal; the text is cut where it is too long. False: there were too many of
 * late, it may be told later.
 */
bool watch_tell(struct watch *watch, enum event_kind kind, struct watch_subject about,
                const char *format, ...) PRINTF_LIKE(4, 5) MUST_CHECK;

/* Copy, and where it does not fit end in "...". */
void watch_cut(char *ret, size_t room, const char *text);

/* "10.0 GiB"; more than nothing never reads as nothing. */
enum { WATCH_BYTES_SIZE = 32, WATCH_TIME_SIZE = 32 };

const char *watch_bytes(char ret[WATCH_BYTES_SIZE], uint64_t bytes);

/* "0.5 s", "37 s", "4 min". */
const char *watch_time(char ret[WATCH_TIME_SIZE], uint64_t ns);

void watch_see_host(struct watch *watch, const struct snapshot *snapshot);
void watch_see_models(struct watch *watch, const struct snapshot *snapshot);

/* ---- Of engines ---- */

static inline struct watch_subject watch_about(const struct track *track)
{
    return (struct watch_subject){track, NULL};
}

/* "Qwen/Qwen3-8B on port 8000" */
const char *watch_place(char ret[WATCH_PLACE_SIZE], const struct track *track);

static inline uint64_t watch_passed_ms(const struct watch *watch, uint64_t since_ns)
{
    return (watch->now_ns - MIN(since_ns, watch->now_ns)) / NS_PER_MS;
}

static inline bool engine_starts(enum engine_state state)
{
    return state == ENGINE_LOADING || state == ENGINE_STARTING;
}

/* The counter of prefix-cache queries; UNKNOWN. */
uint64_t page_queries(const struct engine_page *page);

/* What its page says, once for each page. */
void watch_see_page(struct watch *watch, struct track *track);

/* What it holds, at each tick. */
void watch_see_memory(struct watch *watch, struct track *track);
void watch_tell_drop(struct watch *watch, struct track *track); // that was put off

#endif
