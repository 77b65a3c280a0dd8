// SPDX-License-Identifier: Apache-2.0
/*
 * watched.h - one engine being watched: who it is, who asks it, what is said of it
 *
 * Either the operator has named it (`config` is what was said), or it was found
 * (`found`). An engine that was named and is found too is one engine, by both.
 */
#ifndef DAEMON_WATCHED_H
#define DAEMON_WATCHED_H

#include "base/clock.h"
#include "config/config.h"
#include "daemon/discovery.h"
#include "daemon/inquiry.h"
#include "engine/scraper.h"

#define INQUIRE_AGAIN_NS (60 * NS_PER_S) // a model's files may still be on their way

struct watched {
    struct engine engine;
    struct scraper *scraper;            // NULL: there is nothing to ask yet
    const struct config_engine *config; // lent; NULL: nobody named it
    bool is_found;
    struct discovered found;   // as it was last seen
    struct host_process root;  // of its process tree; pid 0: not known
    struct model_facts *model; // NULL: not yet read
    uint64_t inquire_ns;       // when to find out (again)
    uint64_t inquire_pace_ns;  // after what came to nothing for the moment; 0: the first
    uint64_t ticket;           // of the inquiry about it; 0: there is none
    uint32_t rounds;           // of the scraper's answers, when last inquired
    bool settings_asked;
    bool local;       // on this host, as far as its address tells
    uint64_t look_ns; // when to look for the one who listens again
    uint64_t look_pace_ns;
    enum engine_state logged_state;
    bool logged;
    uint64_t lost_ns;            // when it became unreachable; 0: it is not
    const char *logged_kv_why;   // a literal
    const char *logged_vram_why; // likewise
};

/* One that the operator has named. */
int watched_new(struct fetcher *fetcher, const struct config_engine *config,
                uint64_t interval_ns, struct watched **ret) MUST_CHECK;

/* One that was found. */
int watched_new_found(struct fetcher *fetcher, const struct discovered *found,
                      uint64_t interval_ns, struct watched **ret) MUST_CHECK;

void watched_free(struct watched *watched);

/* Whether `found` is what the operator meant by its URL. */
bool watched_is_meant(const struct watched *watched, const struct discovered *found);

/* How it was seen now. A scraper is made, or another one, where it is to be asked. */
int watched_see(struct watched *watched, struct fetcher *fetcher,
                const struct discovered *found) MUST_CHECK;

/* It was not seen now. Where nobody else looks for its process, that is not known. */
void watched_lose(struct watched *watched);

/* Another process is its root from now on; pid 0: it is not known which. */
void watched_set_root(struct watched *watched, const struct host_process *root);

/* Ask it, when it is time. */
void watched_ask(struct watched *watched, uint64_t now_ns);

/* What was found out about it. `facts` is the callee's; NULL: nothing was. */
void watched_take_facts(struct watched *watched, struct model_facts *facts,
                        uint64_t now_ns);

/* Say in the log what has changed, once. `model` is its row, or NULL. */
void watched_log_state(struct watched *watched, uint64_t now_ns);
void watched_log_model(struct watched *watched, const struct snapshot_model *model);

#endif
