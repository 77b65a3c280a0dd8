// SPDX-License-Identifier: Apache-2.0
#include "serve/board_view.h"

#include "serve/aggregated.h"

#include <stdatomic.h>

struct board_view {
    struct board_view_options options;
    struct outlet *outlets[CHANNELS]; // NULL: nobody has asked for that
    struct aggregated *aggregated;    // likewise
    atomic_bool due;                  // something lies in a tray
    bool draining;
};

int board_view_new(const struct board_view_options *options, struct board_view **ret)
{
    struct board_view *view = calloc(1, sizeof(*view));

    if (!view)
        return -ENOMEM;
    view->options = *options;
    *ret = view;
    return 0;
}

void board_view_drain(struct board_view *view)
{
    view->draining = true;
    for (size_t i = 0; i < CHANNELS; i++)
        if (view->outlets[i])
            outlet_drain(view->outlets[i]);
}

void board_view_close(struct board_view *view)
{
    if (!view)
        return;
    for (size_t i = 0; i < CHANNELS; i++)
        outlet_close(view->outlets[i]);
}

void board_view_free(struct board_view *view)
{
    if (!view)
        return;
    for (size_t i = 0; i < CHANNELS; i++)
        outlet_free(view->outlets[i]);
    aggregated_free(view->aggregated);
    free(view);
}

struct board *board_view_board(const struct board_view *view)
{
    return view->options.board;
}

/* On whichever thread publishes. */
static void on_posted(void *ctx)
{
    struct board_view *view = ctx;

    atomic_store(&view->due, true);
    view->options.wake(view->options.ctx);
}

int board_view_open(struct board_view *view, enum channel_kind kind)
{
    struct outlet **outlet = &view->outlets[kind];
    int r;

    if (*outlet)
        return 0;
    r = outlet_new(board_channel(view->options.board, kind), view->options.loop,
                   on_posted, view, outlet);
    if (r == 0 && view->draining)
        outlet_drain(*outlet);
    return r;
}

void board_view_deliver(struct board_view *view)
{
    if (!atomic_load_explicit(&view->due, memory_order_relaxed) ||
        !atomic_exchange(&view->due, false))
        return;
    for (size_t i = 0; i < CHANNELS; i++)
        if (view->outlets[i])
            outlet_deliver(view->outlets[i]);
}

int board_view_answer_stream(struct board_view *view, enum channel_kind kind,
                             struct http_conn *conn, const struct http_request *request)
{
    int r = board_view_open(view, kind);

    return r < 0 ? r : outlet_answer_stream(view->outlets[kind], conn, request);
}

int board_view_answer_once(struct board_view *view, enum channel_kind kind,
                           struct http_conn *conn)
{
    int r = board_view_open(view, kind);

    return r < 0 ? r : outlet_answer_once(view->outlets[kind], conn);
}

int board_view_write_aggregated(struct board_view *view, unsigned window_seconds,
                                uint64_t now_ns, struct buf *out)
{
    int r = 0;

    if (!view->aggregated)
        r = aggregated_new(view->options.board, &view->aggregated);
    return r < 0 ? r : aggregated_write(view->aggregated, window_seconds, now_ns, out);
}
