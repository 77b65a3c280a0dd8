// SPDX-License-Identifier: Apache-2.0
/*
 * name_filter.h - ask for the wanted samples alone, where a server can answer that
 *
 * prometheus_client's name[] filter is tried once and kept when the answer really holds
 * all that the whole page did. It does not on servers in several processes, which answer
 * with an empty page. Every now and then the whole page is asked for: a server may gain
 * families.
 */
#ifndef ENGINE_NAME_FILTER_H
#define ENGINE_NAME_FILTER_H

#include "base/buf.h"
#include "engine/engine_kind.h"

enum name_filter_state {
    NAME_FILTER_UNTRIED,
    NAME_FILTER_TRYING,
    NAME_FILTER_WORKS,
    NAME_FILTER_USELESS, // until the server is another
};

struct name_filter {
    enum name_filter_state state;
    unsigned pages; // filtered ones since the last whole one
    uint64_t whole; // names on that
    struct buf url; // that asks for these; ends with NUL
};

void name_filter_init(struct name_filter *filter);
void name_filter_done(struct name_filter *filter);

/* Is it to be used for the next page? */
bool name_filter_is_due(const struct name_filter *filter);

/* A whole page of `kind` came from `base`, with the names of `seen` (a bit each). */
void name_filter_take_whole(struct name_filter *filter, const struct engine_kind *kind,
                            const char *base, uint64_t seen);

/* A filtered page came; with less on it than the whole one it is none. */
bool name_filter_lacks(const struct name_filter *filter, uint64_t seen);
void name_filter_take(struct name_filter *filter);

/* What came was none. The whole page is to be asked for. */
void name_filter_fail(struct name_filter *filter);

#endif
