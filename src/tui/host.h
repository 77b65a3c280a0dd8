// SPDX-License-Identifier: Apache-2.0
/*
 * host.h - one daemon that is followed: what it last said, and what happened there
 *
 * Fed with the library's events and nothing else, so that a recording can take a daemon's
 * place. `detail` is kept by reference and never changed.
 */
#ifndef TUI_HOST_H
#define TUI_HOST_H

#include "tui/history.h"
#include "tui/told_events.h"
#include "vramscope.h"

enum {
    HOST_NAME_SIZE = 96, // also of a node, of 79 bytes at most
    HOST_REASON_SIZE = 256,
    HOST_TRACKS_MAX = 1024, // models with a history
    HOST_CHANGES_MAX = 512, // the newest are kept
    CHANGE_TEXT_SIZE = 256,
    CHANGE_NODE_SIZE = 80,
    TRACK_ID_MAX = 511, // bytes of a model id; a model with a longer one has no track
    TRACK_KEPT_MS = 10 * 60 * 1000, // after it was last seen
};

enum host_state {
    HOST_CONNECTING,
    HOST_LIVE,
    HOST_NO_DATA, // connected; there are no figures, though documents may come (`outage`)
    HOST_LOST,    // not connected; tried again at `retry_at_ms`
    HOST_GONE,    // not connected, and it will not be tried again
};

/* Happenings that are told at most once in 30 s, with how many there were. */
struct burst {
    int64_t count;   // not told yet
    int64_t told_ms; // unix time; 0: never
};

/* The past of a model; its identity is port and model id. */
struct track {
    char *model_id;
    int64_t port;
    int64_t restarted_unix_ms; // its daemon tells that it was, then; 0: it does not
    int64_t seen_unix_ms;      // when the last document with it came in
    uint64_t seen_look;        // host->look at that document
    struct history history;
};

/* Something that happened: told by the daemon, or to the connection with it. */
struct change {
    int64_t unix_ms;  // by the clock of who tells it
    int64_t order_ms; // by ours: they are in this order
    enum vramscope_severity severity;
    char text[CHANGE_TEXT_SIZE];
    char node[CHANGE_NODE_SIZE]; // of a gateway, on which it happened; "": on none
};

struct host {
    char name[HOST_NAME_SIZE]; // HOST:PORT, path of the socket, name of the recording
    enum host_state state;
    char reason[HOST_REASON_SIZE]; // why it is not live
    char remedy[HOST_REASON_SIZE];
    int64_t retry_at_ms;                   // unix time
    int64_t last_detail_ms;                // unix time when `detail` came in
    const struct vramscope_detail *detail; // a reference; NULL: none yet
    struct track **tracks;                 // by rising port, then model_id
    size_t n_tracks;
    uint64_t look;       // documents taken in
    int64_t since_ms;    // unix time when `state` began; 0: not told
    bool connected_once; // a document or a stream has been there
    struct burst lag, unreadable;
    struct told_events told;                 // by the daemon
    struct change changes[HOST_CHANGES_MAX]; // a ring, by order_ms
    uint32_t next_change, n_changes;
};

/* Not host_new(), which is of host/host.h: the machine's own /proc. */
int tui_host_new(const char *url, struct host **ret) MUST_CHECK;
void tui_host_free(struct host *host);

/* Take an event in. -ENOMEM: its document is shown, its history is not kept. */
int host_take(struct host *host, const struct vramscope_event *event) MUST_CHECK;

/* NULL: no such model has been seen. */
const struct track *host_track(const struct host *host,
                               const struct vramscope_model *model);

/* Change `i` of n_changes, 0 the newest. */
const struct change *host_change(const struct host *host, uint32_t i);

/* HOST:PORT without scheme and credentials; the path of a socket; a file's base name. */
void host_name(const char *url, char ret[HOST_NAME_SIZE]);

/* Older than three of its intervals and than 1 s, or the connection is gone. */
bool host_is_stale(const struct host *host, int64_t now_unix_ms);

#endif
