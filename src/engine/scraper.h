// SPDX-License-Identifier: Apache-2.0
/*
 * scraper.h - keep one engine's figures fresh over HTTP
 *
 * Where its metrics are, its kind says. Who is of no known kind is asked who it is before
 * anything else (/v1/models): to ask for metrics in the wrong place can do harm. The first
 * page is fetched whole; its families tell the kind that it really is of. Where that kind's
 * server can send the wanted samples alone (prometheus_client's name[] filter), this is
 * tried once and kept when the answer really holds them all: servers in multi-process
 * mode answer such a request with an empty page.
 *
 * Between pages the server is asked, once in its life, what its kind has to ask: which
 * release it is, what it serves. The answers are kept as they came: what they mean is not this layer's business.
 */
#ifndef ENGINE_SCRAPER_H
#define ENGINE_SCRAPER_H

#include "engine/engine.h"
#include "net/fetch.h"

struct scraper;

struct scraper_options {
    struct fetcher *fetcher;        // must outlive the scraper
    struct engine *engine;          // must outlive the scraper; written by it alone
    const struct engine_kind *kind; // as it was found, or the operator says; may be NULL
    const char *bearer;             // may be NULL
    const char *ca_file;            // may be NULL
    bool insecure;
    const char *unix_path; // where its socket is, if it is one of Unix; may be NULL
    uint64_t (*now_ns)(void);
};

/* The engine's url names the server, or its metrics page by the path that a kind has it at. */
int scraper_new(const struct scraper_options *options, struct scraper **ret) MUST_CHECK;
void scraper_free(struct scraper *scraper);

/* Ask if the engine is due at now_ns and nothing is in flight. */
void scraper_run(struct scraper *scraper, uint64_t now_ns);

/* Another process answers there now: forget what was learned about the old one. */
void scraper_restarted(struct scraper *scraper);

/* Ask this too (again), between two pages. */
void scraper_ask(struct scraper *scraper, enum engine_question question);

/*
 * How often all that was to be asked has been: another count, other answers. 0: not yet,
 * or not since nobody listened.
 */
uint32_t scraper_rounds(const struct scraper *scraper);

/* Lent until the next scraper_run() or restart. Empty: it did not say. */
struct span scraper_answer(const struct scraper *scraper, enum engine_question question);

bool scraper_waiting(const struct scraper *scraper); // a request is in flight

#endif
