// SPDX-License-Identifier: Apache-2.0
#include "serve/board.h"

#include "encode/detail.h"
#include "version.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/random.h>

enum {
    DETAIL_PAST = 60,    // documents kept for those who come back: half a minute of them
    DETAIL_PAST_FEW = 8, // where they are large or many: just more than `retry` waits
    FRAMING_MAX = 128,   // what an event of the stream has beside its document
};

struct board {
    struct board_options options;
    struct channel *channels[CHANNELS];
    struct metrics_page *metrics; // NULL: none
    struct board_tap tap;         // zeroed: none
    struct past *past;            // lent, or `own_past`
    struct past *own_past;        // NULL: another's is lent
    const struct snapshot *nodes; // of the last outage of a gateway; NULL: there was none
    char boot[17];                // of this run: 16 hexadecimal digits
    pthread_mutex_t lock;         // of all below
    struct board_state state;
    const struct snapshot *snapshot; // the newest; NULL before the first and in an outage
};

static void write_seed(void *ctx, struct buf *out, const struct snapshot *snapshot)
{
    const struct board *board = ctx;

    seed_write(out, snapshot, board->options.model_id);
}

static void write_detail(void *ctx, struct buf *out, const struct snapshot *snapshot)
{
    const struct board *board = ctx;
    struct detail_origin origin = {.boot = board->boot,
                                   .version = VRAMSCOPE_VERSION,
                                   .interval_ms = board->options.interval_ms};

    detail_write(out, snapshot, &origin);
}

static void make_boot(struct board *board)
{
    uint64_t number = board->options.now_ns();

    (void)!getrandom(&number, sizeof(number), GRND_NONBLOCK); // the time will do as well
    (void)snprintf(board->boot, sizeof(board->boot), "%016llx",
                   (unsigned long long)number);
}

static size_t detail_event_max(const struct board *board)
{
    return FRAMING_MAX + (board->options.fleet ? (size_t)FLEET_DETAIL_MAX : DETAIL_MAX);
}

static int open_channels(struct board *board)
{
    bool few = board->options.fleet || board->options.one_of_many;
    const struct channel_options seed = {.write = write_seed,
                                         .ctx = board,
                                         .event_max = SEED_EVENT_MAX,
                                         .lazy = board->options.one_of_many,
                                         .now_ns = board->options.now_ns};
    struct channel_options detail = {.write = write_detail,
                                     .ctx = board,
                                     .event_max = detail_event_max(board),
                                     .past = few ? DETAIL_PAST_FEW : DETAIL_PAST,
                                     .lazy = !board->options.tap,
                                     .boot = board->boot,
                                     .now_ns = board->options.now_ns};
    const struct board_documents *documents = board->options.documents;
    int r;

    if (documents) {
        detail.write = documents->write;
        detail.ctx = documents->ctx;
        detail.boot = documents->boot;
    }
    r = channel_new(&seed, &board->channels[CHANNEL_SEED]);
    return r < 0 ? r : channel_new(&detail, &board->channels[CHANNEL_DETAIL]);
}

static int open_past(struct board *board)
{
    board->past = board->options.past;
    if (board->past)
        return 0;
    if (past_new(PAST_BYTES, &board->own_past) < 0)
        return -ENOMEM;
    board->past = board->own_past;
    return 0;
}

static void set_outage(struct board *board, const struct outage *outage)
{
    struct board_state *state = &board->state;

    (void)pthread_mutex_lock(&board->lock);
    state->out = true;
    (void)snprintf(state->code, sizeof(state->code), "%s", outage->code);
    (void)snprintf(state->reason, sizeof(state->reason), "%s", outage->reason);
    (void)snprintf(state->remedy, sizeof(state->remedy), "%s", outage->remedy);
    (void)pthread_mutex_unlock(&board->lock);
}

/* The newest from now on, NULL: there is none; the one before is the caller's. */
static const struct snapshot *replace_snapshot(struct board *board,
                                               const struct snapshot *snapshot)
{
    const struct snapshot *last;

    (void)pthread_mutex_lock(&board->lock);
    last = board->snapshot;
    board->snapshot = snapshot;
    (void)pthread_mutex_unlock(&board->lock);
    return last;
}

static void set_times(struct board *board, const struct snapshot *snapshot)
{
    (void)pthread_mutex_lock(&board->lock);
    board->state.out = false;
    board->state.taken_ns = snapshot->taken_ns;
    board->state.gpu_taken_ns = snapshot->gpu_taken_ns;
    (void)pthread_mutex_unlock(&board->lock);
}

int board_new(const struct board_options *options, struct board **ret)
{
    static const struct outage starting = {"starting", "no snapshot has been taken yet",
                                           ""};
    struct board *board = calloc(1, sizeof(*board));
    int r;

    if (!board)
        return -ENOMEM;
    board->options = *options;
    if (options->tap)
        board->tap = *options->tap;
    (void)pthread_mutex_init(&board->lock, NULL); // cannot fail
    set_outage(board, &starting);
    make_boot(board);
    r = open_channels(board);
    if (r == 0 && !options->documents)
        r = metrics_page_new(options->fleet, &board->metrics);
    if (r == 0)
        r = open_past(board);
    if (r < 0) {
        board_free(board);
        return r;
    }
    *ret = board;
    return 0;
}

void board_free(struct board *board)
{
    if (!board)
        return;
    for (size_t i = 0; i < CHANNELS; i++)
        channel_free(board->channels[i]);
    metrics_page_free(board->metrics);
    snapshot_unref(board->snapshot);
    snapshot_unref(board->nodes);
    past_free(board->own_past);
    (void)pthread_mutex_destroy(&board->lock);
    free(board);
}

struct channel *board_channel(struct board *board, enum channel_kind kind)
{
    return board->channels[kind];
}

struct metrics_page *board_metrics_page(struct board *board)
{
    return board->metrics;
}

static void tell_tap(const struct board *board, const struct snapshot *snapshot)
{
    struct span id, document;

    if (board->tap.document &&
        channel_newest(board->channels[CHANNEL_DETAIL], &id, &document))
        board->tap.document(board->tap.ctx, (int64_t)snapshot->unix_ms, id, document);
}

const char *board_boot(const struct board *board)
{
    return board->boot;
}

int board_publish(struct board *board, const struct snapshot *snapshot)
{
    const struct snapshot *last;
    int ret = 0;

    past_add(board->past, snapshot); // before anybody can find that it is the newest
    last = replace_snapshot(board, snapshot_ref(snapshot));
    if (board->metrics) // before whoever is told by a stream can ask for them
        metrics_page_publish(board->metrics, snapshot);
    for (size_t i = 0; i < CHANNELS; i++) {
        int r = channel_publish(board->channels[i], snapshot);

        ret = ret < 0 ? ret : r;
    }
    set_times(board, snapshot);
    tell_tap(board, snapshot);
    snapshot_unref(last); // nobody looks at it any more
    return ret;
}

/* Without any node it would say no more than the reason does. */
static bool is_document(const struct board *board, const struct snapshot *nodes)
{
    return nodes && (board->options.documents || nodes->fleet->n_nodes > 0);
}

/* The past and the tap are told of no figures, whatever document there is. */
int board_publish_outage(struct board *board, const struct outage *outage,
                         const struct snapshot *nodes)
{
    const struct snapshot *last_nodes = board->nodes;
    struct channel *detail = board->channels[CHANNEL_DETAIL];
    int ret, r;

    set_outage(board, outage);
    board->nodes = nodes ? snapshot_ref(nodes) : NULL;
    ret = channel_publish_outage(board->channels[CHANNEL_SEED], outage->reason);
    r = is_document(board, nodes) ? channel_publish(detail, nodes)
                                  : channel_publish_outage(detail, outage->reason);
    ret = ret < 0 ? ret : r;
    if (board->metrics)
        metrics_page_publish_outage(board->metrics, nodes ? nodes->fleet : NULL);
    snapshot_unref(replace_snapshot(board, NULL));
    snapshot_unref(last_nodes);
    if (board->tap.outage)
        board->tap.outage(board->tap.ctx, outage->reason);
    return ret;
}

void board_begin_anew(struct board *board)
{
    for (size_t i = 0; i < CHANNELS; i++)
        channel_forget(board->channels[i]);
    past_clear(board->past);
}

int board_newest(struct board *board, struct buf *models, struct board_newest *ret)
{
    const struct snapshot *snapshot;

    (void)pthread_mutex_lock(&board->lock);
    snapshot = board->snapshot;
    if (snapshot) {
        ret->taken_ns = snapshot->taken_ns;
        ret->total_bytes = snapshot->total_bytes.value;
        seed_write_models(models, snapshot, board->options.model_id);
    }
    (void)pthread_mutex_unlock(&board->lock);
    return snapshot ? 0 : -ENODATA;
}

struct past *board_past(struct board *board)
{
    return board->past;
}

int board_copy_snapshot(struct board *board, struct snapshot *ret)
{
    const struct snapshot *snapshot;

    (void)pthread_mutex_lock(&board->lock);
    snapshot = board->snapshot;
    if (snapshot)
        *ret = *snapshot;
    (void)pthread_mutex_unlock(&board->lock);
    return snapshot ? 0 : -ENODATA;
}

bool board_is_out(struct board *board)
{
    bool out;

    (void)pthread_mutex_lock(&board->lock);
    out = board->state.out;
    (void)pthread_mutex_unlock(&board->lock);
    return out;
}

struct board_state board_state(struct board *board)
{
    struct board_state state;

    (void)pthread_mutex_lock(&board->lock);
    state = board->state;
    (void)pthread_mutex_unlock(&board->lock);
    return state;
}
