// SPDX-License-Identifier: Apache-2.0
#include "tui/host_changes.h"
#include "tui/model_value.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { BURST_MS = 30 * 1000 };

void duration_text(char ret[DURATION_TEXT_SIZE], int64_t ms)
{
    if (ms < 0)
        ms = 0;
    if (ms < 10 * 1000)
        (void)snprintf(ret, DURATION_TEXT_SIZE, "%.1f s", (double)ms / 1e3);
    else if (ms < 120 * 1000)
        (void)snprintf(ret, DURATION_TEXT_SIZE, "%" PRId64 " s", ms / 1000);
    else if (ms < 120 * 60 * 1000)
        (void)snprintf(ret, DURATION_TEXT_SIZE, "%" PRId64 " min", ms / 60000);
    else
        (void)snprintf(ret, DURATION_TEXT_SIZE, "%" PRId64 " h", ms / 3600000);
}

/* Make the text end in "...", before `room`, without a torn character. */
static void end_in_dots(char *text, size_t room)
{
    size_t end = room - sizeof("...");

    while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--;
    memcpy(text + end, "...", sizeof("..."));
}

void cut_text(char *ret, size_t room, const char *text)
{
    if ((size_t)snprintf(ret, room, "%s", text) >= room)
        end_in_dots(ret, room);
}

static struct change *change_at(struct host *host, uint32_t i)
{
    return &host->changes[(host->next_change + 2 * HOST_CHANGES_MAX - 1 - i) %
                          HOST_CHANGES_MAX];
}

const struct change *host_change(const struct host *host, uint32_t i)
{
    // It is ours, and not const: only those who look at it may not change it.
    return change_at((struct host *)(uintptr_t)host, i);
}

/*
 * In the order of time: what a daemon tells at the first sight of it is older than that.
 * What is older than all that is kept is left out.
 */
static void keep_change(struct host *host, const struct change *change)
{
    uint32_t i = 0;

    if (host->n_changes == HOST_CHANGES_MAX &&
        change->order_ms < change_at(host, HOST_CHANGES_MAX - 1)->order_ms)
        return;
    host->next_change = (host->next_change + 1) % HOST_CHANGES_MAX;
    if (host->n_changes < HOST_CHANGES_MAX)
        host->n_changes++;
    for (; i + 1 < host->n_changes; i++) {
        const struct change *older = change_at(host, i + 1);

        if (older->order_ms <= change->order_ms)
            break;
        *change_at(host, i) = *older;
    }
    *change_at(host, i) = *change;
}

void host_tell(struct host *host, int64_t unix_ms, enum vramscope_severity severity,
               const char *format, ...)
{
    struct change change = {unix_ms, unix_ms, severity, "", ""};
    va_list args;

    va_start(args, format);
    if (vsnprintf(change.text, sizeof(change.text), format, args) >=
        (int)sizeof(change.text))
        end_in_dots(change.text, sizeof(change.text));
    va_end(args);
    keep_change(host, &change);
}

void burst_add(struct burst *burst, int64_t count)
{
    if (count <= 0)
        return;
    if (__builtin_add_overflow(burst->count, count, &burst->count))
        burst->count = INT64_MAX;
}

int64_t burst_due(struct burst *burst, int64_t unix_ms, char ret[DURATION_TEXT_SIZE + 8])
{
    int64_t count = burst->count, passed_ms = unix_ms - burst->told_ms;
    char passed[DURATION_TEXT_SIZE];

    if (!count || (burst->told_ms && passed_ms >= 0 && passed_ms < BURST_MS))
        return 0;
    ret[0] = '\0';
    if (burst->told_ms && passed_ms >= 0 && passed_ms < 2 * (int64_t)BURST_MS) {
        duration_text(passed, passed_ms);
        (void)snprintf(ret, DURATION_TEXT_SIZE + 8, " in %s", passed);
    }
    *burst = (struct burst){.told_ms = unix_ms};
    return count;
}

void changes_of_daemon(const struct look *look)
{
    const char *boot = look->now->boot, *before;
    const char *version = text_or_empty(look->now->version), *version_before;

    if (!look->before || look->went_back)
        return;
    before = look->before->boot;
    version_before = text_or_empty(look->before->version);
    if (!boot || !before || strcmp(boot, before) == 0)
        return;
    if (strcmp(version, version_before) == 0)
        host_tell(look->host, look->unix_ms, VRAMSCOPE_SEVERITY_INFO,
                  "the daemon was restarted");
    else
        host_tell(look->host, look->unix_ms, VRAMSCOPE_SEVERITY_INFO,
                  "the daemon was restarted: version %.40s -> %.40s", version_before,
                  version);
}

/* Nothing has happened later than its document, whatever that says. */
static void tell_event(const struct look *look, const struct vramscope_host_event *event)
{
    int64_t unix_ms =
        event->unix_ms < 0 ? look->document_ms : MIN(event->unix_ms, look->document_ms);
    const char *text = text_or_empty(event->text);
    struct change change = {
        .unix_ms = unix_ms,
        .order_ms = look->unix_ms - (look->document_ms - unix_ms),
        .severity = event->severity,
    };

    cut_text(change.text, sizeof(change.text), *text ? text : text_or_empty(event->kind));
    cut_text(change.node, sizeof(change.node), text_or_empty(event->node));
    keep_change(look->host, &change);
}

void changes_told(const struct look *look)
{
    for (size_t i = 0; i < look->now->n_events; i++) {
        const struct vramscope_host_event *event = look->now->events[i];

        if (told_events_add(&look->host->told, event->id, event->unix_ms))
            tell_event(look, event);
    }
}
