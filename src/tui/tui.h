// SPDX-License-Identifier: Apache-2.0
/*
 * tui.h - the terminal UI: one loop over keys, streams and time, which never waits for the
 * network
 */
#ifndef TUI_TUI_H
#define TUI_TUI_H

#include "base/complaint.h"
#include "tui/theme.h"
#include "vramscope.h"

/*
 * Where documents come from: a daemon's stream or a recording. Readable on `fd`, or after
 * `timeout_ms`, means that `next` may have something; it returns NULL when it has nothing.
 */
struct tui_source {
    const char *url; // as shown
    void *ctx;
    int (*fd)(void *ctx); // -1: none
    int (*timeout_ms)(void *ctx);
    const struct vramscope_event *(*next)(void *ctx);

    /* Of a recording; NULL for a stream. */
    void (*hold)(void *ctx, bool held);
    void (*seek)(void *ctx, int64_t by_ms);
    void (*speed)(void *ctx, double factor); // times what it was
    int64_t (*unix_ms)(void *ctx);           // what time it is there
    bool (*over)(void *ctx);                 // nothing comes any more, unless sought back
};

struct tui_options {
    const struct tui_source *sources;
    size_t n_sources;
    const struct theme *theme;
    enum glyphs glyphs;
    bool colours;
    int refresh_ms; // at least so long between two drawings, but after a key; 0: 100

    /*
     * A source of one node of the gateway that `gateway` is of, until it is closed. NULL:
     * nodes are not opened. A negative errno: it cannot be made.
     */
    int (*open_node)(void *ctx, const struct tui_source *gateway, const char *node,
                     struct tui_source *ret);
    void (*close_node)(void *ctx, struct tui_source *source);
    void *ctx;
};

/*
 * Until the person leaves, by a key or a signal: 0. -EIO: the terminal is gone; -EINVAL:
 * there is none, or too many sources; -ENOTSUP: it is of a type that can show no screen.
 */
int tui_run(const struct tui_options *options, struct complaint *why) MUST_CHECK;

#endif
