// SPDX-License-Identifier: Apache-2.0
#include "fleet/fleet_parts.h"

#include <stdio.h>

#define MESSAGE_NS (FLEET_SECOND_NS / FLEET_MESSAGES_PER_SECOND)
#define AT_ONCE_NS (2 * FLEET_SECOND_NS)

enum { SPARE_TIMES = 8 }; // so much more memory than a message needs is given back

static const char MALFORMED[] = "its messages are malformed";
static const char ALIKE[] = "they cannot be told from another's of its name";
static const char STRANGE[] = "it speaks a message format that is not known here";

/* Each message costs its share of a second; two seconds can be spent at once. */
static bool may_speak(struct name *name, uint64_t now_ns)
{
    uint64_t paid = MAX(name->paid_until_ns, now_ns) + MESSAGE_NS;

    if (paid - now_ns > AT_ONCE_NS)
        return false;
    name->paid_until_ns = paid;
    return true;
}

/* What stands in names and addresses later is no free text. */
static bool is_of(const struct compact_head *head, struct span node)
{
    return span_is(node, head->node) && fleet_is_name(span_of(head->boot)) &&
           (!head->machine[0] || fleet_is_name(span_of(head->machine)));
}

static void complain_of(struct fleet *fleet, struct span node, const char *what)
{
    fleet->link.malformed++;
    (void)snprintf(fleet->complaint, sizeof(fleet->complaint),
                   "a message of node %.*s cannot be read: %s", (int)node.len, node.at,
                   what);
}

/* Cheap things first: what does not pass here is not looked at. */
static bool may_be_read(struct fleet *fleet, struct span node, uint64_t now_ns)
{
    struct name *name;

    if (!fleet_is_name(node)) {
        fleet->link.malformed++;
        (void)snprintf(fleet->complaint, sizeof(fleet->complaint),
                       "a message came under a subject that names no node");
        return false;
    }
    if (!fleet->began_ns)
        fleet->began_ns = now_ns;
    name = fleet_find(fleet, node);
    if (name && !may_speak(name, now_ns)) {
        name->dropped++;
        fleet->link.dropped++;
        return false;
    }
    if (!name && !fleet_make_room(fleet, now_ns)) {
        fleet->link.refused++;
        return false;
    }
    return true;
}

/*
 * It came before, or was overtaken. An outage has no number, but a time: of a wall clock,
 * which was set back if the node says nothing else for long.
 */
static bool is_old(const struct run *run, const struct compact_message *message,
                   uint64_t now_ns)
{
    if (message->has_figures)
        return run->has_seq && message->snapshot.seq <= run->node.seq;
    return message->head.unix_ms < run->unix_ms &&
           fleet_since(run->node.heard_ns, now_ns) < FLEET_STALE_NS;
}

/* Of one that another has replaced no more is kept than that it spoke. */
static void note(struct run *run, const struct compact_message *message, uint64_t now_ns,
                 uint64_t unix_ms)
{
    run->node.heard_ns = now_ns;
    run->unix_ms = message->head.unix_ms;
    run->node.clock_offset_ms = (int64_t)(message->head.unix_ms - unix_ms);
    if (message->has_figures) {
        run->has_seq = true;
        run->node.seq = message->snapshot.seq;
        run->figures_ns = now_ns;
        fleet_measure_delay(&run->delay, &message->snapshot, now_ns);
    }
}

/* Of nodes that say much, or are many, not all that they say is kept: figures are. */
static struct span what_fits(struct fleet *fleet, struct run *run, struct span bytes)
{
    static const struct span nothing = {"", 0};

    if (run->message.room > SPARE_TIMES * bytes.len)
        buf_done(&run->message);
    if (bytes.len > run->message.room && fleet->kept_bytes + bytes.len > FLEET_KEPT_MAX)
        return nothing;
    return bytes;
}

static bool keep(struct fleet *fleet, struct name *name, struct run *run,
                 struct span bytes, uint64_t unix_ms)
{
    const struct compact_message *message = &fleet->taker.message;
    size_t before = run->message.room;

    if (fleet_keep(run, what_fits(fleet, run, bytes), message) < 0)
        (void)snprintf(run->outage, sizeof(run->outage),
                       "there was no memory for what it says");
    fleet->kept_bytes += run->message.room - before;
    fleet_take_events(fleet, name, run, message, unix_ms);
    run->node.messages++;
    run->serial = ++name->messages;
    return name->watched || run->watched;
}

static void note_unreadable(struct fleet *fleet, struct name *name, const char *what)
{
    name->unreadable = what;
    name->malformed++;
    complain_of(fleet, span_of(name->text), what);
}

/* What has been read, of a node of that name. */
static bool store(struct fleet *fleet, struct name *name, struct span bytes,
                  uint64_t now_ns, uint64_t unix_ms)
{
    const struct compact_message *message = &fleet->taker.message;
    struct run *run = fleet_find_run(name, &message->head);
    bool refused;

    name->unreadable = NULL;
    if (run && is_old(run, message, now_ns))
        return false;
    if (!run && !fleet_is_distinct(name, &message->head)) {
        note_unreadable(fleet, name, ALIKE);
        return false;
    }
    run = fleet_place(fleet, name, &message->head, now_ns, &refused);
    fleet->link.refused += refused;
    if (!run)
        return false;
    note(run, message, now_ns, unix_ms);
    return !run->superseded_ns && keep(fleet, name, run, bytes, unix_ms);
}

static bool take_read(struct fleet *fleet, struct span node, struct span bytes, int error,
                      uint64_t now_ns, uint64_t unix_ms)
{
    struct name *name = fleet_find(fleet, node);

    if (!name) {
        name = fleet_add(fleet, node, now_ns);
        if (!name) {
            fleet->link.refused++;
            return false;
        }
        (void)may_speak(name, now_ns); // the first always may
    }
    name->spoke_ns = now_ns;
    if (error == 0)
        return store(fleet, name, bytes, now_ns, unix_ms);
    note_unreadable(fleet, name, error == -EPROTONOSUPPORT ? STRANGE : MALFORMED);
    return false;
}

int fleet_take(struct fleet *fleet, struct span node, struct span message,
               uint64_t now_ns, uint64_t unix_ms)
{
    bool pass, news;
    int r;

    (void)pthread_mutex_lock(&fleet->lock);
    fleet->now_ns = MAX(fleet->now_ns, now_ns);
    pass = may_be_read(fleet, node, now_ns);
    (void)pthread_mutex_unlock(&fleet->lock);
    if (!pass)
        return 0;
    r = compact_read(&fleet->taker.reader, message, &fleet->taker.message);
    if (r == 0 && !is_of(&fleet->taker.message.head, node))
        r = -EBADMSG;

    (void)pthread_mutex_lock(&fleet->lock);
    news = take_read(fleet, node, message, r, now_ns, unix_ms);
    (void)pthread_mutex_unlock(&fleet->lock);
    return news;
}
