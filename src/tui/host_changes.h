// SPDX-License-Identifier: Apache-2.0
/*
 * host_changes.h - what is told of a host: its daemon's events, and of the connection
 *
 * Shared by host.c, host_changes.c and host_tracks.c alone.
 */
#ifndef TUI_HOST_CHANGES_H
#define TUI_HOST_CHANGES_H

#include "tui/host.h"

/* Two successive documents of a host. */
struct look {
    struct host *host;
    const struct vramscope_detail *before; // NULL: `now` is the first
    const struct vramscope_detail *now;
    int64_t unix_ms;     // when it came in
    int64_t document_ms; // when it was put together
    int64_t interval_ms;
    bool went_back; // a recording: what differs has not happened
};

enum { DURATION_TEXT_SIZE = 24 };

void duration_text(char ret[DURATION_TEXT_SIZE], int64_t ms);

/* Copy; what is too long ends in "...", cut between characters. */
void cut_text(char *ret, size_t room, const char *text);

void host_tell(struct host *host, int64_t unix_ms, enum vramscope_severity severity,
               const char *format, ...) PRINTF_LIKE(4, 5);

void burst_add(struct burst *burst, int64_t count);

/*
 * What there is to tell: the count, with in `ret` how long it took, as " in 30 s", or ""
 * for the first. 0: nothing, or not yet.
 */
int64_t burst_due(struct burst *burst, int64_t unix_ms, char ret[DURATION_TEXT_SIZE + 8]);

/* The daemon itself is another one. */
void changes_of_daemon(const struct look *look);

/* The events of a document that have not been told. */
void changes_told(const struct look *look);

/* The histories of models. -ENOMEM: some have none. */
int tracks_follow(const struct look *look) MUST_CHECK;
void tracks_done(struct host *host);

#endif
