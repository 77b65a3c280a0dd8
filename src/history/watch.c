// SPDX-License-Identifier: Apache-2.0
#include "history/watch_parts.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define GIB ((double)(1 << 30))

int watch_new(struct journal *journal, struct watch **ret)
{
    struct watch *watch = calloc(1, sizeof(*watch));

    if (!watch)
        return -ENOMEM;
    watch->journal = journal;
    watch->room = WATCH_BURST;
    watch->alarm = EVENT_KINDS;
    *ret = watch;
    return 0;
}

void watch_free(struct watch *watch)
{
    free(watch);
}

/* ---- Conditions ---- */

bool condition_is_due(struct condition *condition, bool holds, uint64_t delay_ms,
                      uint64_t now_ns)
{
    if (holds == condition->told) {
        condition->since_ns = 0;
        return false;
    }
    if (condition->since_ns == 0)
        condition->since_ns = now_ns;
    return now_ns - MIN(condition->since_ns, now_ns) >= delay_ms * NS_PER_MS &&
           pause_is_over(condition->told_ns[holds], now_ns);
}

void condition_was_told(struct condition *condition, uint64_t now_ns)
{
    condition->told = !condition->told;
    condition->told_ns[condition->told] = now_ns;
    condition->since_ns = 0;
}

/* ---- Texts ---- */

/* Make the text end in "...", before `room`, without a torn character. */
static void end_in_dots(char *text, size_t room)
{
    size_t end = room - sizeof("...");

    while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--;
    memcpy(text + end, "...", sizeof("..."));
}

void watch_cut(char *ret, size_t room, const char *text)
{
    if ((size_t)snprintf(ret, room, "%s", text) >= room)
        end_in_dots(ret, room);
}

const char *watch_bytes(char ret[WATCH_BYTES_SIZE], uint64_t bytes)
{
    double gib = (double)bytes / GIB;

    if (bytes > 0 && gib < 0.05)
        (void)snprintf(ret, WATCH_BYTES_SIZE, "less than 0.1 GiB");
    else
        (void)snprintf(ret, WATCH_BYTES_SIZE, "%.1f GiB", gib);
    return ret;
}

const char *watch_time(char ret[WATCH_TIME_SIZE], uint64_t ns)
{
    uint64_t s = ns / NS_PER_S;

    if (s < 10)
        (void)snprintf(ret, WATCH_TIME_SIZE, "%.1f s", (double)ns / (double)NS_PER_S);
    else if (s < 120)
        (void)snprintf(ret, WATCH_TIME_SIZE, "%" PRIu64 " s", s);
    else if (s < 120 * 60)
        (void)snprintf(ret, WATCH_TIME_SIZE, "%" PRIu64 " min", s / 60);
    else
        (void)snprintf(ret, WATCH_TIME_SIZE, "%" PRIu64 " h", s / 3600);
    return ret;
}

/* ---- Telling ---- */

/* As much as came back since the last look. */
static void refill(struct watch *watch)
{
    uint64_t passed_ns = watch->now_ns - MIN(watch->room_ns, watch->now_ns);

    watch->room += (double)passed_ns / (double)NS_PER_S * WATCH_PER_SECOND;
    watch->room = MIN(watch->room, (double)WATCH_BURST);
    watch->room_ns = watch->now_ns;
}

/* What the minutes before it explain. */
static bool is_alarm(enum event_kind kind)
{
    return kind == EVENT_ENGINE_LOST || kind == EVENT_ENGINE_RESTARTED ||
           kind == EVENT_MEMORY_DROPPED || kind == EVENT_GPU_LOST;
}

static void raise_alarm(struct watch *watch, enum event_kind kind)
{
    if (is_alarm(kind) && (watch->alarm == EVENT_KINDS ||
                           event_severity(kind) > event_severity(watch->alarm)))
        watch->alarm = kind;
}

bool watch_tell(struct watch *watch, enum event_kind kind, struct watch_subject about,
                const char *format, ...)
{
    bool critical = event_severity(kind) == SEVERITY_CRITICAL;
    struct event event = {.kind = kind, .unix_ms = watch->unix_ms};
    va_list args;

    if (watch->room < 1 + (critical ? 0 : WATCH_RESERVE))
        return false;
    watch->room -= 1;
    if (about.model) {
        memcpy(event.served_name, about.model->served_name, sizeof(event.served_name));
        event.port = about.model->port;
    }
    if (about.device)
        (void)snprintf(event.device, sizeof(event.device), "%s", about.device);
    va_start(args, format);
    if (vsnprintf(event.text, sizeof(event.text), format, args) >=
        (int)sizeof(event.text))
        end_in_dots(event.text, sizeof(event.text));
    va_end(args);
    journal_add(watch->journal, &event);
    raise_alarm(watch, kind);
    return true;
}

static void begin_look(struct watch *watch, uint64_t now_ns, int64_t unix_ms)
{
    watch->now_ns = MAX(now_ns, watch->now_ns);
    watch->unix_ms = unix_ms;
    watch->alarm = EVENT_KINDS;
    refill(watch);
}

void watch_begin(struct watch *watch, const char *version, int64_t unix_ms)
{
    watch->unix_ms = unix_ms;
    (void)!watch_tell(watch, EVENT_DAEMON_STARTED, (struct watch_subject){NULL, NULL},
                      "vramscoped %s was started", version); // there is room at first
}

void watch_see(struct watch *watch, struct snapshot *snapshot)
{
    begin_look(watch, snapshot->taken_ns, (int64_t)snapshot->unix_ms);
    watch_see_host(watch, snapshot);
    watch_see_models(watch, snapshot);
    watch->begun = true;
    snapshot->n_events =
        (uint32_t)journal_copy(watch->journal, 0, snapshot->events, SNAPSHOT_EVENTS_MAX);
}

/* Where there never was a figure none is lost. */
void watch_see_outage(struct watch *watch, const char *reason, uint64_t now_ns,
                      int64_t unix_ms)
{
    char cut[WATCH_PLACE_SIZE];

    begin_look(watch, now_ns, unix_ms);
    watch->was_outage = true;
    if (!watch->begun ||
        !condition_is_due(&watch->outage, true, WATCH_GPU_MS, watch->now_ns))
        return;
    watch_cut(cut, sizeof(cut), reason);
    if (watch_tell(watch, EVENT_GPU_LOST, (struct watch_subject){NULL, NULL},
                   "no GPU's memory is known any more: %s", cut))
        condition_was_told(&watch->outage, watch->now_ns);
}

enum event_kind watch_alarm(const struct watch *watch)
{
    return watch->alarm;
}
