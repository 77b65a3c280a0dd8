// SPDX-License-Identifier: Apache-2.0
#include "fleet/fleet_parts.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    MINUTE_MS = 60000,
    OF_HOST = 1,           // events a second, as its own daemon tells them,
    OF_GATEWAY = 10,       // which tells those of others,
    SECONDS_AT_ONCE = 128, // and those of so many seconds at once
};

/* The oldest gives way. */
static struct event *add(struct fleet *fleet)
{
    struct event *event = &fleet->events[fleet->next_event++ % FLEET_EVENTS];

    if (fleet->next_event - fleet->first_event > FLEET_EVENTS)
        fleet->first_event++;
    return event;
}

bool fleet_next_event(struct fleet *fleet, struct event *ret)
{
    bool there;

    (void)pthread_mutex_lock(&fleet->lock);
    there = fleet->first_event < fleet->next_event;
    if (there)
        *ret = fleet->events[fleet->first_event++ % FLEET_EVENTS];
    (void)pthread_mutex_unlock(&fleet->lock);
    return there;
}

void fleet_tell(struct fleet *fleet, enum event_kind kind, const char *node,
                uint64_t unix_ms, const char *format, ...)
{
    struct event *event;
    va_list args;

    if (++fleet->told_now[kind] > FLEET_TOLD_SINGLY)
        return;
    event = add(fleet);
    *event = (struct event){.unix_ms = (int64_t)unix_ms, .kind = kind};
    (void)snprintf(event->node, sizeof(event->node), "%s", node);
    va_start(args, format);
    (void)vsnprintf(event->text, sizeof(event->text), format, args);
    va_end(args);
}

void fleet_tell_rest(struct fleet *fleet, uint64_t unix_ms)
{
    static const struct {
        enum event_kind kind;
        const char *what;
    } kinds[] = {
        {EVENT_NODE_FOUND, "publish"},
        {EVENT_NODE_LOST, "are lost"},
        {EVENT_NODE_BACK, "are back"},
        {EVENT_NODE_NAME_TAKEN, "share their names with others"},
    };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        uint32_t n = fleet->told_now[kinds[i].kind];

        fleet->told_now[kinds[i].kind] = 0;
        if (n > FLEET_TOLD_SINGLY)
            fleet_tell(fleet, kinds[i].kind, "", unix_ms, "%" PRIu32 " more nodes %s",
                       n - FLEET_TOLD_SINGLY, kinds[i].what);
        fleet->told_now[kinds[i].kind] = 0;
    }
}

/* Before its message was written; both are told by the same clock. */
static uint64_t age_ms(const struct event *event, uint64_t message_ms)
{
    int64_t age;

    if (__builtin_sub_overflow((int64_t)message_ms, event->unix_ms, &age))
        return event->unix_ms < 0 ? UNKNOWN : 0;
    return age > 0 ? (uint64_t)age : 0;
}

/* A run that has only begun may have been told of before, by the one that it follows. */
static bool is_new(const struct run *run, const struct event *event, uint64_t message_ms)
{
    bool first = run->node.messages == 0;

    if (event->kind >= EVENT_KINDS)
        return false;
    if (!first)
        return event->id > run->event;
    if (age_ms(event, message_ms) > MINUTE_MS)
        return false;
    return event->id > run->event || event->unix_ms > run->event_unix_ms;
}

/* Each costs its share of a second: nobody pushes out what the others have to tell. */
static bool may_tell(struct name *name, const struct compact_head *head, uint64_t now_ns)
{
    uint64_t cost = FLEET_SECOND_NS / (head->gateway ? OF_GATEWAY : OF_HOST);
    uint64_t paid = MAX(name->events_paid_until_ns, now_ns) + cost;

    if (paid - now_ns > SECONDS_AT_ONCE * FLEET_SECOND_NS)
        return false;
    name->events_paid_until_ns = paid;
    return true;
}

/* By our clock; its own may be years off. */
static int64_t our_time(const struct run *run, const struct event *event,
                        uint64_t message_ms, uint64_t unix_ms)
{
    uint64_t ago = add_saturating(age_ms(event, message_ms), run->delay.ns / 1000000);

    return (int64_t)(unix_ms - MIN(ago, unix_ms));
}

/*
 * With its own node, of a gateway's. What it says of its nodes is told as said by it: a
 * node of ours is another, of whatever name.
 */
static void say_where(const struct event *said, const char *called,
                      char ret[EVENT_TEXT_SIZE])
{
    char text[FLEET_NAME_SIZE + EVENT_TEXT_SIZE + 2];

    if (!event_is_of_fleet(said->kind)) {
        event_say_where(said, ret);
        return;
    }
    (void)snprintf(text, sizeof(text), "%s: %s", called, said->text);
    (void)text_clean(ret, EVENT_TEXT_SIZE, span_of(text));
}

void fleet_take_events(struct fleet *fleet, struct name *name, struct run *run,
                       const struct compact_message *message, uint64_t unix_ms)
{
    const struct snapshot *snapshot = &message->snapshot;
    uint64_t newest = run->node.messages == 0 ? 0 : run->event;
    int64_t newest_ms = run->event_unix_ms;
    const struct run *best = fleet_best_gateway(name, fleet->now_ns);
    bool others_tell = best && best != run;
    char called[FLEET_NAME_SIZE];

    fleet_call(name, run, called);
    if (best)
        (void)snprintf(called, sizeof(called), "%s", name->text);
    for (uint32_t i = 0; message->has_figures && i < snapshot->n_events; i++) {
        const struct event *said = &snapshot->events[i];
        struct event *event;

        if (said->id > newest) {
            newest = said->id;
            newest_ms = said->unix_ms;
        }
        if (others_tell || !is_new(run, said, message->head.unix_ms) ||
            !may_tell(name, &message->head, fleet->now_ns))
            continue;
        event = add(fleet);
        *event = *said;
        event->id = 0;
        say_where(said, called, event->text);
        event->unix_ms = our_time(run, said, message->head.unix_ms, unix_ms);
        memcpy(event->node, called, sizeof(event->node));
    }
    run->event = newest;
    run->event_unix_ms = newest_ms;
}
