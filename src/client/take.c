// SPDX-License-Identifier: Apache-2.0
/* Hand events out, decoded. */
#include "client/scope.h"

#include "wire/json.h"

#include <poll.h>

void take_back(struct vramscope *scope)
{
    decode_snapshot_free(scope->snapshot);
    vramscope_detail_unref(scope->detail);
    free(scope->lent);
    scope->snapshot = NULL;
    scope->detail = NULL;
    scope->lent = NULL;
}

/* {"skipped":7} */
static int decode_lag(struct span json, int64_t *ret, struct complaint *why)
{
    static const struct json_limits limits = {.bytes = 4096, .depth = 4, .values = 64};
    json_t *root = NULL, *skipped;
    int r = json_read(json, &limits, &root, why);

    if (r < 0)
        return r;
    skipped = json_object_get(root, "skipped");
    if (json_is_integer(skipped) && json_integer_value(skipped) >= 0)
        *ret = json_integer_value(skipped);
    else
        r = complain(why, -EBADMSG, "'skipped' is no count");
    json_decref(root);
    return r;
}

static int decode(struct vramscope *scope, struct vramscope_event *event)
{
    struct span json = {event->data, event->data_len};
    int r = 0;

    if (event->type == VRAMSCOPE_LAG)
        return decode_lag(json, &event->skipped, &scope->why);
    if (scope->settings.undecoded)
        return 0;
    if (event->type == VRAMSCOPE_SNAPSHOT) {
        r = decode_snapshot(json, &scope->snapshot, &scope->why);
        event->snapshot = scope->snapshot;
    } else if (event->type == VRAMSCOPE_DETAIL) {
        r = decode_detail(json, &scope->detail, &scope->why);
        event->detail = scope->detail;
    }
    return r;
}

const struct vramscope_event *vramscope_next(struct vramscope *scope)
{
    bool full = event_queue_is_full(&scope->queue);
    struct vramscope_event *event;
    int r;

    take_back(scope);
    scope->lent = event_queue_take(&scope->queue);
    if (!scope->lent)
        return NULL;
    if (full) // there is room: reading, or connecting, may be due now
        poller_arm(&scope->poller, follow_due_ns(scope));
    event = &scope->lent->event;
    r = decode(scope, event);
    if (r < 0) {
        event->type = VRAMSCOPE_UNREADABLE;
        event->reason = r == -ENOMEM ? "out of memory" : scope->why.text;
    }
    return event;
}

int vramscope_fd(const struct vramscope *scope)
{
    return scope->poller.fd;
}

/* In whole milliseconds, not to come a little too early. */
static int ms_until(int64_t due_ns)
{
    int64_t ms;

    if (due_ns == POLLER_NEVER)
        return -1;
    ms = (due_ns - poller_now_ns() + NS_PER_MS - 1) / NS_PER_MS;
    ms = MAX(ms, INT64_C(0));
    return (int)MIN(ms, (int64_t)INT32_MAX);
}

int vramscope_timeout_ms(const struct vramscope *scope)
{
    return ms_until(MIN(follow_due_ns(scope), scope->poller.curl_due_ns));
}

/* Until the descriptor is readable; false: the time has come, or a signal. */
static bool wait_until(const struct vramscope *scope, int64_t deadline_ns)
{
    struct pollfd fd = {.fd = scope->poller.fd, .events = POLLIN};
    int n = poll(&fd, 1, ms_until(deadline_ns));

    if (n == 0)
        errno = ETIMEDOUT;
    return n > 0;
}

const struct vramscope_event *vramscope_wait(struct vramscope *scope, int timeout_ms)
{
    int64_t deadline_ns =
        timeout_ms < 0 ? POLLER_NEVER : poller_now_ns() + timeout_ms * NS_PER_MS;
    bool late = false; // a server that sends only what is no event keeps us at work

    for (;;) {
        const struct vramscope_event *event = vramscope_next(scope);

        if (event)
            return event;
        if (late || scope->stage == STAGE_ENDED) {
            errno = scope->stage == STAGE_ENDED ? ENOTCONN : ETIMEDOUT;
            return NULL;
        }
        if (!wait_until(scope, deadline_ns))
            return NULL;
        (void)vramscope_process(scope); // for want of memory it is tried again in time
        late = scope->now_ns >= deadline_ns;
    }
}
