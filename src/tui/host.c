// SPDX-License-Identifier: Apache-2.0
#include "tui/host.h"

#include "tui/host_changes.h"
#include "tui/model_value.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    INTERVAL_MS = 500, // where a document does not say it
    INTERVAL_MAX_MS = 60 * 1000,
    STALE_MIN_MS = 1000,
    RETRY_MAX_MS = 24 * 60 * 60 * 1000,
    STEP_BACK_MS = 2000, // by so much a clock may go back
};

static int64_t within(int64_t number, int64_t low, int64_t high)
{
    return number < low ? low : MIN(number, high);
}

void host_name(const char *url, char ret[HOST_NAME_SIZE])
{
    const char *scheme = strstr(url, "://"), *slash = strrchr(url, '/');
    const char *name = url, *at;
    int len = INT16_MAX;

    if (strncmp(url, "unix:", 5) == 0) {
        name = url + 5;
    } else if (scheme) {
        name = scheme + 3;
        len = (int)MIN(strcspn(name, "/?#"), (size_t)INT16_MAX);
        at = memrchr(name, '@', (size_t)len);
        if (at) {
            len -= (int)(at + 1 - name);
            name = at + 1;
        }
    } else if (slash && slash[1]) {
        name = slash + 1;
    }
    (void)snprintf(ret, HOST_NAME_SIZE, "%.*s", len, name);
}

static void free_host(struct host **host)
{
    tui_host_free(*host);
}

int tui_host_new(const char *url, struct host **ret)
{
    OWNED(free_host) struct host *host = calloc(1, sizeof(*host));

    if (!host)
        return -ENOMEM;
    host->tracks = calloc(HOST_TRACKS_MAX, sizeof(struct track *));
    if (!host->tracks)
        return -ENOMEM;
    host_name(url, host->name);
    *ret = TAKE(host);
    return 0;
}

void tui_host_free(struct host *host)
{
    if (!host)
        return;
    tracks_done(host);
    vramscope_detail_unref(host->detail);
    free(host);
}

static int64_t interval_of(const struct vramscope_detail *detail)
{
    return detail->interval_ms > 0 ? MIN(detail->interval_ms, (int64_t)INTERVAL_MAX_MS)
                                   : INTERVAL_MS;
}

bool host_is_stale(const struct host *host, int64_t now_unix_ms)
{
    int64_t limit_ms;

    if (!host->detail || host->state == HOST_LOST || host->state == HOST_GONE)
        return true;
    limit_ms = MAX(3 * interval_of(host->detail), (int64_t)STALE_MIN_MS);
    return now_unix_ms - host->last_detail_ms > limit_ms;
}

static void set_reason(struct host *host, const char *reason, const char *remedy)
{
    cut_text(host->reason, sizeof(host->reason), text_or_empty(reason));
    cut_text(host->remedy, sizeof(host->remedy), text_or_empty(remedy));
}

static bool is_connected(const struct host *host)
{
    return host->state == HOST_LIVE || host->state == HOST_NO_DATA;
}

static void set_state(struct host *host, enum host_state state, int64_t unix_ms)
{
    if (host->state != state)
        host->since_ms = unix_ms;
    host->state = state;
    host->retry_at_ms = 0;
    if (state == HOST_LIVE)
        host->reason[0] = host->remedy[0] = '\0';
}

/* The stream, or its first document where a recording has not kept the beginning. */
static void take_connected(struct host *host, int64_t unix_ms)
{
    char passed[DURATION_TEXT_SIZE];

    if (is_connected(host))
        return;
    duration_text(passed, unix_ms - host->since_ms);
    if (host->connected_once)
        host_tell(host, unix_ms, VRAMSCOPE_SEVERITY_INFO, "connected again after %s",
                  passed);
    else
        host_tell(host, unix_ms, VRAMSCOPE_SEVERITY_INFO, "connected");
    host->connected_once = true;
    set_state(host, HOST_LIVE, unix_ms);
}

static void take_no_data(struct host *host, const char *reason, const char *remedy,
                         int64_t unix_ms)
{
    if (host->state != HOST_NO_DATA)
        host_tell(host, unix_ms, VRAMSCOPE_SEVERITY_WARNING, "no data: %s",
                  text_or_empty(reason));
    host->connected_once = true;
    set_state(host, HOST_NO_DATA, unix_ms);
    set_reason(host, reason, remedy);
}

static void take_data(struct host *host, int64_t unix_ms)
{
    char passed[DURATION_TEXT_SIZE];

    if (host->state != HOST_NO_DATA)
        return;
    duration_text(passed, unix_ms - host->since_ms);
    host_tell(host, unix_ms, VRAMSCOPE_SEVERITY_INFO, "data is back after %s", passed);
    set_state(host, HOST_LIVE, unix_ms);
}

static void take_bye(struct host *host, int64_t unix_ms)
{
    if (is_connected(host))
        host_tell(host, unix_ms, VRAMSCOPE_SEVERITY_WARNING, "the daemon has ended");
    set_state(host, HOST_LOST, unix_ms);
    cut_text(host->reason, sizeof(host->reason), "the daemon has ended");
    host->remedy[0] = '\0';
}

static void take_disconnected(struct host *host, const struct vramscope_event *event,
                              int64_t unix_ms)
{
    const char *reason = text_or_empty(event->reason);

    if (event->retry_ms < 0 && host->state != HOST_GONE)
        host_tell(host, unix_ms, VRAMSCOPE_SEVERITY_WARNING,
                  "connection lost, and not tried again: %s", reason);
    else if (event->retry_ms >= 0 && is_connected(host))
        host_tell(host, unix_ms, VRAMSCOPE_SEVERITY_WARNING, "connection lost: %s",
                  reason);
    else if (event->retry_ms >= 0 && host->state == HOST_CONNECTING)
        host_tell(host, unix_ms, VRAMSCOPE_SEVERITY_WARNING, "no connection: %s", reason);
    set_state(host, event->retry_ms < 0 ? HOST_GONE : HOST_LOST, unix_ms);
    if (event->retry_ms >= 0)
        host->retry_at_ms = unix_ms + MIN(event->retry_ms, (int64_t)RETRY_MAX_MS);
    set_reason(host, event->reason, event->remedy);
}

static void take_lag(struct host *host, const struct vramscope_event *event,
                     int64_t unix_ms)
{
    char passed[DURATION_TEXT_SIZE + 8];
    int64_t count;

    burst_add(&host->lag, event->skipped);
    count = burst_due(&host->lag, unix_ms, passed);
    if (count)
        host_tell(host, unix_ms, VRAMSCOPE_SEVERITY_WARNING,
                  "%" PRId64 " document%s left out%s: they were read too slowly", count,
                  count == 1 ? "" : "s", passed);
}

static void take_unreadable(struct host *host, const struct vramscope_event *event,
                            int64_t unix_ms)
{
    char passed[DURATION_TEXT_SIZE + 8];
    int64_t count;

    burst_add(&host->unreadable, 1);
    count = burst_due(&host->unreadable, unix_ms, passed);
    if (count)
        host_tell(host, unix_ms, VRAMSCOPE_SEVERITY_WARNING,
                  "%" PRId64 " event%s not understood%s: %s", count,
                  count == 1 ? "" : "s", passed, text_or_empty(event->reason));
}

/* Within one run of the daemon documents are numbered; else there are only the clocks. */
static bool went_back(const struct vramscope_detail *before,
                      const struct vramscope_detail *now)
{
    if (before->boot && now->boot && strcmp(before->boot, now->boot) == 0)
        return now->seq < before->seq;
    return within(now->unix_ms, 0, HISTORY_TIME_MAX) + STEP_BACK_MS <
           within(before->unix_ms, 0, HISTORY_TIME_MAX);
}

static int take_detail(struct host *host, const struct vramscope_detail *detail,
                       int64_t unix_ms)
{
    const struct vramscope_detail *before = host->detail;
    struct look look = {
        .host = host,
        .before = before,
        .now = detail,
        .unix_ms = unix_ms,
        .document_ms = detail->unix_ms,
        .interval_ms = interval_of(detail),
        .went_back = before && went_back(before, detail),
    };
    const struct vramscope_outage *outage = detail->outage;
    int r;

    if (detail->unix_ms <= 0 || detail->unix_ms > HISTORY_TIME_MAX)
        look.document_ms = unix_ms;
    take_connected(host, unix_ms);
    if (outage)
        take_no_data(host, outage->message, outage->remedy, unix_ms);
    else
        take_data(host, unix_ms);
    changes_of_daemon(&look);
    changes_told(&look);
    r = tracks_follow(&look);
    host->detail = vramscope_detail_ref(detail);
    host->last_detail_ms = unix_ms;
    vramscope_detail_unref(before);
    return r;
}

int host_take(struct host *host, const struct vramscope_event *event)
{
    int64_t unix_ms = within(event->unix_ms, 0, HISTORY_TIME_MAX);

    switch (event->type) {
    case VRAMSCOPE_CONNECTED:
        take_connected(host, unix_ms);
        return 0;
    case VRAMSCOPE_DETAIL:
        return event->detail ? take_detail(host, event->detail, unix_ms) : 0;
    case VRAMSCOPE_LAG:
        take_lag(host, event, unix_ms);
        return 0;
    case VRAMSCOPE_NO_DATA:
        take_no_data(host, event->reason, event->remedy, unix_ms);
        return 0;
    case VRAMSCOPE_BYE:
        take_bye(host, unix_ms);
        return 0;
    case VRAMSCOPE_UNREADABLE:
        take_unreadable(host, event, unix_ms);
        return 0;
    case VRAMSCOPE_DISCONNECTED:
        take_disconnected(host, event, unix_ms);
        return 0;
    case VRAMSCOPE_SNAPSHOT: // has not what is shown
    case VRAMSCOPE_OTHER:
        return 0;
    }
    return 0;
}
