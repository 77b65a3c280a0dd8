// SPDX-License-Identifier: Apache-2.0
/*
 * A request changes hands: who asks has it until history_request_next(), the historian
 * until its piece is ready. Only the state is looked at under the lock.
 */
#include "history/bucket.h"
#include "history/historian_parts.h"

#include <assert.h>

enum { FRESH_MS = 1000 };

static void free_request(struct history_request *request)
{
    history_answer_free(request->answer);
    past_points_free(request->points);
    buf_done(&request->piece);
    free(request);
}

static struct history_request *new_request(struct historian *historian,
                                           const struct history_query *query,
                                           const struct history_asker *asker)
{
    struct history_request *request = calloc(1, sizeof(*request));

    if (!request)
        return NULL;
    *request = (struct history_request){.historian = historian,
                                        .query = *query,
                                        .ready = asker->ready,
                                        .ctx = asker->ctx,
                                        .has_client = asker->client.len > 0};
    assert(asker->client.len == 0 || asker->client.len == HISTORIAN_CLIENT_BYTES);
    if (request->has_client)
        memcpy(request->client, asker->client.at, HISTORIAN_CLIENT_BYTES);
    buf_init(&request->piece, HISTORY_PIECE_BYTES);
    return request;
}

/* With the lock held. Behind all others, if there is room. */
static int link_request(struct historian *historian, struct history_request *request)
{
    struct history_request **last = &historian->requests;
    size_t of_client = 0;

    if (historian->n_requests >= HISTORIAN_ANSWERS_MAX || historian->stopping)
        return -EBUSY;
    for (; *last; last = &(*last)->next)
        of_client +=
            request->has_client && (*last)->has_client &&
            memcmp((*last)->client, request->client, HISTORIAN_CLIENT_BYTES) == 0;
    if (of_client >= HISTORIAN_ANSWERS_OF_ONE)
        return -EUSERS;
    *last = request;
    historian->n_requests++;
    return 0;
}

int historian_ask(struct historian *historian, const struct history_query *query,
                  const struct history_asker *asker, struct history_request **ret)
{
    struct history_request *request = new_request(historian, query, asker);
    int r;

    if (!request)
        return -ENOMEM;
    (void)pthread_mutex_lock(&historian->lock);
    r = link_request(historian, request);
    if (r == 0) {
        *ret = request; // before it can be ready
        (void)pthread_cond_broadcast(&historian->changed);
    }
    (void)pthread_mutex_unlock(&historian->lock);
    if (r < 0)
        free_request(request);
    return r;
}

static void unlink_request(struct history_request *request)
{
    struct history_request **link = &request->historian->requests;

    while (*link != request)
        link = &(*link)->next;
    *link = request->next;
    request->historian->n_requests--;
}

void history_request_drop(struct history_request *request)
{
    struct historian *historian;
    bool making;

    if (!request)
        return;
    historian = request->historian;
    (void)pthread_mutex_lock(&historian->lock);
    making = request->state == REQUEST_MAKING;
    request->dropped = true;
    if (!making)
        unlink_request(request);
    (void)pthread_mutex_unlock(&historian->lock);
    if (!making)
        free_request(request);
}

int history_request_piece(struct history_request *request, struct span *ret,
                          struct complaint *why)
{
    struct historian *historian = request->historian;
    bool ready;

    (void)pthread_mutex_lock(&historian->lock);
    ready = request->state == REQUEST_READY;
    (void)pthread_mutex_unlock(&historian->lock);
    if (!ready)
        return -EAGAIN;
    if (request->result < 0)
        return complain(why, request->result == -EAGAIN ? -EIO : request->result, "%s",
                        request->result == -ECANCELED ? "the daemon ends"
                                                      : strerror(-request->result));
    *ret = buf_span(&request->piece);
    return request->result;
}

void history_request_next(struct history_request *request)
{
    struct historian *historian = request->historian;

    (void)pthread_mutex_lock(&historian->lock);
    if (historian->stopping) {
        request->result = -ECANCELED;
        request->ready(request->ctx);
    } else {
        request->state = REQUEST_WANTED;
        (void)pthread_cond_broadcast(&historian->changed);
    }
    (void)pthread_mutex_unlock(&historian->lock);
}

/* Does memory reach back to the beginning of the span? */
static bool is_in_past(struct historian *historian, const struct history_span *span)
{
    uint64_t oldest_ns, newest_ns, age_ms;

    past_span(historian->options.past, &oldest_ns, &newest_ns);
    age_ms = (clock_now_ns() - oldest_ns) / NS_PER_MS;
    return oldest_ns && historian_unix_ms() - (int64_t)age_ms <=
                            bucket_of(span->from_ms, span->step_ms);
}

static ssize_t series_on_disk(void *ctx, const struct history_span *span,
                              struct history_series *ret, size_t max)
{
    const struct historian *historian = ctx;

    return historian->disk.store ? store_series(historian->disk.store, span, ret, max)
                                 : -EIO;
}

static ssize_t points_on_disk(void *ctx, const struct history_span *span, int64_t number,
                              int64_t *from_ms, struct history_point *ret, size_t max)
{
    const struct historian *historian = ctx;

    return historian->disk.store
               ? store_points(historian->disk.store, span, number, from_ms, ret, max)
               : -EIO;
}

/*
 * The answer reaches to now, or nearly: a commit costs pages of every series, and whoever
 * asks all the time must not make us write all the time.
 */
static void write_what_is_new(struct historian *historian)
{
    if (clock_now_ns() >= historian->disk.tried_ns + FRESH_MS * NS_PER_MS)
        disk_write(historian);
}

/* Of memory where that will do, or there is nothing else. */
static int begin_answer(struct history_request *request)
{
    struct historian *historian = request->historian;
    struct history_source source = {series_on_disk, points_on_disk, historian};
    bool from_memory = is_in_past(historian, &request->query.span);

    if (!from_memory) {
        write_what_is_new(historian);
        from_memory = !historian->disk.store;
    }
    if (from_memory) {
        int r = past_points_new(historian->options.past, &request->points);

        if (r < 0)
            return r;
        source = past_points_source(request->points);
    }
    return history_answer_new(&request->query, &source, &request->answer);
}

static int make_piece(struct history_request *request)
{
    int r = request->answer ? 0 : begin_answer(request);

    buf_clear(&request->piece);
    if (r == 0)
        r = history_answer_next(request->answer, &request->piece);
    if (r == -EBADMSG && request->historian->disk.store)
        disk_fail(request->historian, r, ""); // to be put aside
    return r;
}

/* Whose turn it is; behind all others then. */
static struct history_request *take_turn(struct historian *historian)
{
    struct history_request **link = &historian->requests, **last, *request;

    while (*link && (*link)->state != REQUEST_WANTED)
        link = &(*link)->next;
    request = *link;
    if (!request)
        return NULL;
    *link = request->next;
    request->next = NULL;
    last = &historian->requests;
    while (*last)
        last = &(*last)->next;
    *last = request;
    return request;
}

bool requests_serve(struct historian *historian)
{
    struct history_request *request = take_turn(historian);
    int result;

    if (!request)
        return false;
    request->state = REQUEST_MAKING;
    (void)pthread_mutex_unlock(&historian->lock);
    result = make_piece(request);
    (void)pthread_mutex_lock(&historian->lock);
    if (request->dropped) {
        unlink_request(request);
        free_request(request);
        return true;
    }
    request->result = result;
    request->state = REQUEST_READY;
    request->ready(request->ctx);
    return true;
}

void requests_fail(struct historian *historian)
{
    for (struct history_request *one = historian->requests; one; one = one->next) {
        if (one->state != REQUEST_WANTED)
            continue;
        one->result = -ECANCELED;
        one->state = REQUEST_READY;
        one->ready(one->ctx);
    }
}
