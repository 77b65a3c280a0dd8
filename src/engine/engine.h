// SPDX-License-Identifier: Apache-2.0
/*
 * engine.h - one inference server as we know it: state, figures, when to ask again
 *
 * Fed with what came of each scrape, it decides the server's state and pace. Time is
 * passed in (CLOCK_MONOTONIC, nanoseconds); there is no socket here.
 *
 * A scrape costs the server CPU on the threads that also stream tokens. So the time
 * between two is at least a hundred times the quickest of the last answers: at most 1 %
 * of a core, whatever the size of its page.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "engine/engine_kind.h"

#define ENGINE_PACE_FACTOR 100
#define ENGINE_PACE_MAX_NS 5000000000ULL
#define ENGINE_SILENT_MAX_NS 30000000000ULL // between two tries at one that says nothing

enum {
    ENGINE_URL_MAX = 1100,    // the longest that config/ lets through, and a little
    ENGINE_RECENT = 8,        // answers whose quickest sets the pace
    ENGINE_STALE_PACES = 3,   // figures older than this many paces are marked
    ENGINE_FORGET_PACES = 10, // and older than this are not known any more
    ENGINE_STRANGE_MAX = 5    // answers without metrics, and it is asked no more
};

enum engine_state {
    ENGINE_LOADING,  // its process is there, its port is not open yet
    ENGINE_STARTING, // its port is open, it does not answer yet
    ENGINE_READY,
    ENGINE_SLEEPING,         // answers; weights offloaded or dropped, KV pool unmapped
    ENGINE_METRICS_DISABLED, // answers, without any metric of an engine kind
    ENGINE_UNREACHABLE,
    ENGINE_STATES
};

const char *engine_state_name(enum engine_state state); // "starting", "ready", ...

/* How a scrape ended without figures. */
enum engine_failure {
    ENGINE_FAIL_UNRESOLVED, // its name has no address
    ENGINE_FAIL_REFUSED,    // nobody listens
    ENGINE_FAIL_SILENT,     // connected, not one byte
    ENGINE_FAIL_NOT_YET,    // answered that it is not ready (503)
    ENGINE_FAIL_DISABLED,   // a page without engine metrics
    ENGINE_FAIL_OTHER,
};

/* What we have asked of a server, and for how long, since it has been known here. */
struct engine_scrapes {
    uint64_t read;     // metrics pages that were
    uint64_t failed;   // that were not: no answer, or none that is such a page
    uint64_t last_ns;  // how long the last one took; 0: there was none
    uint64_t total_ns; // how long all requests took, those beside pages too
};

struct engine {
    char url[ENGINE_URL_MAX]; // as configured or found, without a path's trailing slash
    uint16_t port;
    const struct engine_kind *kind; // by its page, else as it was found; NULL: not known
    enum engine_state state;
    char why[ENGINE_WHY_MAX]; // a phrase; "" when ready, or not yet asked
    bool answered;            // since it was last (re)started
    bool nobody_listens;      // the last connection was refused
    struct engine_page page;  // the newest figures
    uint64_t page_ns;         // when they came in; 0: there are none
    uint64_t due_ns;          // of the next scrape
    uint64_t pace_ns;         // between two scrapes
    bool unnamed;             // the operator did not name it: it was found
    unsigned strange;         // its answers without metrics, before the first page
    uint64_t interval_ns;     // the least that pace may be
    uint64_t recent_ns[ENGINE_RECENT];
    uint32_t n_recent;
    struct engine_scrapes scrapes; // those of processes before this one, too
    struct hit_window minute;
    struct hit_window five_minutes;
};

void engine_init(struct engine *engine, const char *url, uint16_t port,
                 uint64_t interval_ns);

/* A scrape's page: it took `took_ns` and was complete at `now_ns`. */
void engine_take_page(struct engine *engine, const struct engine_page *page,
                      uint64_t took_ns, uint64_t now_ns);
void engine_take_failure(struct engine *engine, enum engine_failure failure,
                         const char *why, uint64_t now_ns);

/* Another process answers there now: nothing learned about the old one holds. */
void engine_restarted(struct engine *engine);

/* Time to ask again? The beat asks a little early rather than a whole beat late. */
bool engine_is_due(const struct engine *engine, uint64_t now_ns);

bool engine_has_figures(const struct engine *engine,
                        uint64_t now_ns); // not yet forgotten
bool engine_is_stale(const struct engine *engine, uint64_t now_ns);

#endif
