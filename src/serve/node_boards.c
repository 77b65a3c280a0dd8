// SPDX-License-Identifier: Apache-2.0
#include "serve/node_boards.h"

#include "base/clock.h"
#include "encode/detail.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define KEPT_NS (60 * NS_PER_S) // a board stays its node's after it was last of use
#define LENT_NS NS_PER_S        // and so long where another node has need of it

enum {
    NODE_PAST_BYTES = 128 * 1024, // a minute of 64 models at 2 Hz (/vram/aggregated)
    INTERVAL_MS = 500,            // of a node that does not say
};

/* What a snapshot's document says of whose it is, and the texts that it points at. */
struct shown {
    _Atomic(const struct snapshot *) snapshot; // NULL: none
    char node[FLEET_NAME_SIZE];
    char boot[COMPACT_BOOT_SIZE];
    char version[COMPACT_VERSION_SIZE];
    uint64_t interval_ms;
    char literals[COMPACT_LITERALS_MAX];
};

/* Of the two that are shown one is published, the other is about to be. */
struct node_board {
    struct board *board;
    struct past *past;
    char name[FLEET_NAME_SIZE];   // "": it is no node's
    char boot[COMPACT_BOOT_SIZE]; // of what was published last; "": nothing yet
    uint64_t seq;                 // likewise
    uint64_t message;             // as fleet_status has it; 0: none, or it is out
    uint64_t used_ns;             // when it last had a reader
    const char *code;             // of the outage; NULL: there is none
    unsigned newest;              // of `shown`
    struct shown shown[2];
};

struct node_boards {
    struct node_boards_options options;
    pthread_mutex_t lock; // of all below, and of whoever publishes
    struct snapshot_pool *pool;
    struct compact_reader reader;
    struct compact_message message;
    size_t n;
    struct node_board *boards[NODE_BOARDS_MAX];
};

int node_boards_new(const struct node_boards_options *options, struct node_boards **ret)
{
    struct node_boards *boards = calloc(1, sizeof(*boards));

    if (!boards)
        return -ENOMEM;
    boards->options = *options;
    (void)pthread_mutex_init(&boards->lock, NULL); // cannot fail
    if (snapshot_pool_new(&boards->pool) < 0) {
        node_boards_free(boards);
        return -ENOMEM;
    }
    *ret = boards;
    return 0;
}

static void free_board(struct node_board *b)
{
    board_free(b->board);
    past_free(b->past);
    free(b);
}

void node_boards_free(struct node_boards *boards)
{
    if (!boards)
        return;
    for (size_t i = 0; i < boards->n; i++)
        free_board(boards->boards[i]);
    snapshot_pool_free(boards->pool);
    (void)pthread_mutex_destroy(&boards->lock);
    free(boards);
}

/* ---- Publishing ---- */

/* By whoever makes the document, which may be a reader while the next is published. */
static void write_document(void *ctx, struct buf *out, const struct snapshot *snapshot)
{
    struct node_board *b = ctx;
    const struct shown *shown = &b->shown[b->shown[0].snapshot != snapshot];
    const struct detail_origin origin = {.boot = shown->boot,
                                         .version = shown->version,
                                         .interval_ms = shown->interval_ms,
                                         .node = shown->node};

    assert(shown->snapshot == snapshot);
    detail_write(out, snapshot, &origin);
}

/* Of our clock, and as long before `now_ns` as it was before the snapshot; 0 stays 0. */
static uint64_t shift(uint64_t then_ns, uint64_t taken_ns, uint64_t now_ns)
{
    uint64_t age_ns = taken_ns - MIN(then_ns, taken_ns);

    if (then_ns == 0)
        return 0;
    return now_ns > age_ns ? now_ns - age_ns : 1; // we run for less than that
}

/* Ages in the document stay; whoever asks for the age of the board is told ours. */
static void take_our_time(struct snapshot *snapshot, uint64_t now_ns)
{
    uint64_t taken_ns = snapshot->taken_ns;

    snapshot->taken_ns = now_ns;
    snapshot->gpu_taken_ns = shift(snapshot->gpu_taken_ns, taken_ns, now_ns);
    for (uint32_t i = 0; i < snapshot->n_models; i++)
        snapshot->models[i].page_ns =
            shift(snapshot->models[i].page_ns, taken_ns, now_ns);
}

static void fill_shown(struct shown *shown, const struct node_board *b,
                       const struct compact_head *head)
{
    (void)snprintf(shown->node, sizeof(shown->node), "%s", b->name);
    (void)snprintf(shown->boot, sizeof(shown->boot), "%s", head->boot);
    (void)snprintf(shown->version, sizeof(shown->version), "%s", head->version);
    shown->interval_ms = head->interval_ms ? head->interval_ms : INTERVAL_MS;
}

/* Numbers of another run, or that step back within one, are no continuation. */
static void take_number(struct node_board *b, const struct compact_message *message)
{
    if (strcmp(b->boot, message->head.boot) != 0 || message->snapshot.seq < b->seq) {
        (void)snprintf(b->boot, sizeof(b->boot), "%s", message->head.boot);
        board_begin_anew(b->board);
    }
    b->seq = message->snapshot.seq;
}

static bool is_known(const struct node_board *b, const struct compact_message *message)
{
    return !b->code && strcmp(b->boot, message->head.boot) == 0 &&
           message->snapshot.seq == b->seq;
}

static int publish(struct node_boards *boards, struct node_board *b, uint64_t now_ns)
{
    const struct compact_message *message = &boards->message;
    struct shown *shown = &b->shown[!b->newest];
    struct snapshot *snapshot;

    if (is_known(b, message))
        return 0;
    snapshot = snapshot_new(boards->pool);
    if (!snapshot)
        return -ENOMEM;
    compact_copy(message, snapshot, shown->literals);
    take_our_time(snapshot, now_ns);
    take_number(b, message);
    fill_shown(shown, b, &message->head);
    shown->snapshot = snapshot;
    (void)!board_publish(b->board, snapshot); // who asks for what cannot be made is told
    b->shown[b->newest].snapshot = NULL;
    b->newest = !b->newest;
    b->code = NULL;
    snapshot_unref(snapshot);
    return 0;
}

/* `code` is a literal. On the edge, and at each tick. */
static void publish_outage(struct node_board *b, const char *code, const char *reason,
                           bool tick)
{
    const struct outage outage = {code, reason, ""};

    if (b->code == code && !tick)
        return;
    b->code = code;
    b->message = 0;
    (void)!board_publish_outage(b->board, &outage,
                                NULL); // want of memory: the next tick tells
    b->shown[0].snapshot = b->shown[1].snapshot = NULL;
}

static void tell_why_not(struct node_board *b, int r, const struct fleet_status *status,
                         bool tick)
{
    static const struct {
        const char *code;
        const char *reason; // where the fleet has none
    } of_states[NODE_STATES] = {
        [NODE_LOST] = {"node-lost", "nothing has been heard of it for long"},
        [NODE_UNREADABLE] = {"node-unreadable", "its messages cannot be read here"},
        [NODE_OUTAGE] = {"node-outage", "it says that it has no figures"},
        [NODE_STALE] = {"node-stale", "nothing new has been heard of it"},
        [NODE_LIVE] = {"node-outage", "there is no room for what it says of itself"},
    };

    if (r == -ENOENT)
        publish_outage(b, "no-such-node", "there is no such node any more", tick);
    else if (r == -ENOTUNIQ)
        publish_outage(b, "ambiguous-node", status->reason, tick);
    else
        publish_outage(
            b, of_states[status->state].code,
            status->reason[0] ? status->reason : of_states[status->state].reason, tick);
}

/* Its newest message, where it is not published yet. False: it has no figures. */
static bool refresh_live(struct node_boards *boards, struct node_board *b,
                         uint64_t message, uint64_t now_ns)
{
    struct fleet_status read;

    if (!b->code && message == b->message)
        return true;
    if (fleet_read(boards->options.fleet, span_of(b->name), &boards->reader,
                   &boards->message, &read) < 0 ||
        !boards->message.has_figures)
        return false;
    if (publish(boards, b, now_ns) < 0)
        return true; // the next message will do
    b->message = read.message;
    return true;
}

/* A question, a message or a tick has come: publish what is new of its node. */
static void refresh(struct node_boards *boards, struct node_board *b, bool tick)
{
    struct fleet *fleet = boards->options.fleet;
    uint64_t now_ns = boards->options.now_ns();
    struct fleet_status status;
    int r = fleet_status(fleet, span_of(b->name), now_ns, &status);

    if (r == 0 && b->code) // it may have been away for so long that it was forgotten
        fleet_watch(fleet, span_of(b->name), true);
    if (r == 0 && status.state == NODE_LIVE &&
        refresh_live(boards, b, status.message, now_ns))
        return;
    tell_why_not(b, r, &status, tick);
}

/* ---- Whose a board is ---- */

static struct node_board *find(const struct node_boards *boards, struct span name)
{
    for (size_t i = 0; i < boards->n; i++)
        if (span_is(name, boards->boards[i]->name))
            return boards->boards[i];
    return NULL;
}

static bool has_reader(const struct node_board *b)
{
    for (size_t i = 0; i < CHANNELS; i++)
        if (channel_stats(board_channel(b->board, (enum channel_kind)i)).subscribers)
            return true;
    return false;
}

/* It is nobody's from now on. */
static void release(struct node_boards *boards, struct node_board *b)
{
    fleet_watch(boards->options.fleet, span_of(b->name), false);
    publish_outage(b, "no-such-node", "nobody has asked for it", false);
    board_begin_anew(b->board);
    b->name[0] = b->boot[0] = '\0';
    b->seq = 0;
    b->code = NULL;
}

/* For how long it has been of no use. */
static uint64_t idle_ns(struct node_board *b, uint64_t now_ns)
{
    if (has_reader(b))
        b->used_ns = now_ns;
    return now_ns - MIN(b->used_ns, now_ns);
}

static void release_idle(struct node_boards *boards, uint64_t now_ns)
{
    for (size_t i = 0; i < boards->n; i++) {
        struct node_board *b = boards->boards[i];

        if (b->name[0] && idle_ns(b, now_ns) > KEPT_NS)
            release(boards, b);
    }
}

/* Whoever was given it has made use of it by then: they are not interrupted for so long. */
static struct node_board *release_one(struct node_boards *boards, uint64_t now_ns)
{
    struct node_board *idlest = NULL;
    uint64_t longest_ns = LENT_NS;

    for (size_t i = 0; i < boards->n; i++) {
        uint64_t idle = idle_ns(boards->boards[i], now_ns);

        if (idle > longest_ns) {
            longest_ns = idle;
            idlest = boards->boards[i];
        }
    }
    if (idlest)
        release(boards, idlest);
    return idlest;
}

static int make(struct node_boards *boards, struct node_board **ret)
{
    struct node_board *b = calloc(1, sizeof(*b));
    const struct board_documents documents = {
        .write = write_document, .ctx = b, .boot = b ? b->boot : NULL};
    struct board_options options = {.model_id = boards->options.model_id,
                                    .documents = &documents,
                                    .one_of_many = true,
                                    .interval_ms = INTERVAL_MS,
                                    .now_ns = boards->options.now_ns};

    if (!b)
        return -ENOMEM;
    if (past_new(NODE_PAST_BYTES, &b->past) < 0) {
        free_board(b);
        return -ENOMEM;
    }
    options.past = b->past;
    if (board_new(&options, &b->board) < 0) {
        free_board(b);
        return -ENOMEM;
    }
    boards->boards[boards->n++] = b;
    *ret = b;
    return 0;
}

/* One that is no node's. */
static int take_free(struct node_boards *boards, struct node_board **ret)
{
    struct node_board *b = find(boards, span_of(""));

    if (!b && boards->n < NODE_BOARDS_MAX)
        return make(boards, ret);
    if (!b)
        b = release_one(boards, boards->options.now_ns());
    if (!b)
        return -EBUSY;
    *ret = b;
    return 0;
}

static int assign(struct node_boards *boards, struct span name, struct node_board **ret)
{
    int r = take_free(boards, ret);

    if (r < 0)
        return r;
    (void)snprintf((*ret)->name, sizeof((*ret)->name), "%.*s", (int)name.len, name.at);
    fleet_watch(boards->options.fleet, name, true); // before its newest message is taken
    return 0;
}

/* Under the lock. */
static int get(struct node_boards *boards, struct span name, struct board **ret,
               char *why)
{
    uint64_t now_ns = boards->options.now_ns();
    struct fleet_status status;
    struct node_board *b;
    int r = fleet_status(boards->options.fleet, name, now_ns, &status);

    if (r == -ENOTUNIQ)
        (void)snprintf(why, FLEET_REASON_SIZE, "%s", status.reason);
    if (r < 0)
        return r;
    b = find(boards, name);
    if (!b)
        r = assign(boards, name, &b);
    if (r < 0)
        return r;
    b->used_ns = now_ns;
    refresh(boards, b, false);
    *ret = b->board;
    return 0;
}

int node_boards_get(struct node_boards *boards, struct span name, struct board **ret,
                    char *why)
{
    int r;

    if (name.len == 0 || name.len >= FLEET_NAME_SIZE)
        return -ENOENT;
    (void)pthread_mutex_lock(&boards->lock);
    r = get(boards, name, ret, why);
    (void)pthread_mutex_unlock(&boards->lock);
    return r;
}

static void refresh_all(struct node_boards *boards, bool tick)
{
    for (size_t i = 0; i < boards->n; i++)
        if (boards->boards[i]->name[0])
            refresh(boards, boards->boards[i], tick);
}

void node_boards_deliver(struct node_boards *boards)
{
    (void)pthread_mutex_lock(&boards->lock);
    refresh_all(boards, false);
    (void)pthread_mutex_unlock(&boards->lock);
}

void node_boards_tick(struct node_boards *boards)
{
    (void)pthread_mutex_lock(&boards->lock);
    release_idle(boards, boards->options.now_ns());
    refresh_all(boards, true);
    (void)pthread_mutex_unlock(&boards->lock);
}
