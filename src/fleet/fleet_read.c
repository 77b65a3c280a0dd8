// SPDX-License-Identifier: Apache-2.0
#include "fleet/fleet_parts.h"

#include <stdio.h>

/* Who is asked for. */
struct found {
    struct name *name;
    struct run *run; // NULL: nothing that it said could be read
};

/* Of several under one name. */
static int say_ambiguous(const struct name *name, struct run *const shown[], size_t n,
                         struct fleet_status *ret)
{
    size_t len = (size_t)snprintf(ret->reason, sizeof(ret->reason), "say which:");

    for (size_t i = 0; i < n && len < sizeof(ret->reason); i++) {
        char called[FLEET_NAME_SIZE];

        fleet_call(name, shown[i], called);
        len += (size_t)snprintf(ret->reason + len, sizeof(ret->reason) - len, "%s%s",
                                i ? ", " : " ", called);
    }
    return -ENOTUNIQ;
}

/* The qualified name goes on to work when it is not needed any more. */
static bool answers_to(const struct name *name, const struct run *run, struct span called)
{
    const char *parts[] = {run->node.machine, run->node.boot};
    char own[FLEET_NAME_SIZE];
    bool is_plain;

    fleet_call(name, run, own);
    is_plain = strcmp(own, name->text) == 0;
    if (!is_plain)
        return span_is(called, own);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        (void)snprintf(own, sizeof(own), "%s@%.*s", name->text, FLEET_TELLING_DIGITS,
                       parts[i]);
        if (parts[i][0] && span_is(called, own))
            return true;
    }
    return false;
}

static int find(struct fleet *fleet, struct span called, struct found *ret,
                struct fleet_status *ret_status)
{
    const char *at = called.len ? memchr(called.at, '@', called.len) : NULL;
    struct span plain = {called.at, at ? (size_t)(at - called.at) : called.len};
    struct run *shown[FLEET_RUNS_MAX];
    size_t n;

    ret->run = NULL;
    ret->name = fleet_is_name(plain) ? fleet_find(fleet, plain) : NULL;
    if (!ret->name)
        return -ENOENT;
    n = fleet_shown(ret->name, shown);
    if (!at) {
        ret->run = n > 1 ? fleet_best_gateway(ret->name, fleet->now_ns)
                   : n   ? shown[0]
                         : NULL;
        return n > 1 && !ret->run ? say_ambiguous(ret->name, shown, n, ret_status) : 0;
    }
    for (size_t i = 0; i < n && !ret->run; i++)
        if (answers_to(ret->name, shown[i], called))
            ret->run = shown[i];
    return ret->run ? 0 : -ENOENT;
}

static int find_status(struct fleet *fleet, struct span called, uint64_t now_ns,
                       struct found *ret, struct fleet_status *ret_status)
{
    int r = find(fleet, called, ret, ret_status);

    if (r < 0)
        return r;
    ret_status->state = fleet_state(ret->name, ret->run, now_ns);
    ret_status->message = ret->run ? ret->run->serial : 0;
    fleet_explain(ret->name, ret->run, ret_status->state, now_ns, ret_status->reason);
    return 0;
}

int fleet_status(struct fleet *fleet, struct span name, uint64_t now_ns,
                 struct fleet_status *ret)
{
    struct found found;
    int r;

    (void)pthread_mutex_lock(&fleet->lock);
    fleet->now_ns = MAX(fleet->now_ns, now_ns);
    r = find_status(fleet, name, now_ns, &found, ret);
    (void)pthread_mutex_unlock(&fleet->lock);
    return r;
}

static int read_newest(const struct run *run, struct compact_reader *reader,
                       struct compact_message *ret)
{
    if (!run || !run->message.len)
        return -ENODATA;
    return compact_read(reader, buf_span(&run->message), ret) < 0 ? -ENODATA : 0;
}

int fleet_read(struct fleet *fleet, struct span name, struct compact_reader *reader,
               struct compact_message *ret, struct fleet_status *ret_status)
{
    struct found found;
    int r;

    (void)pthread_mutex_lock(&fleet->lock);
    r = find_status(fleet, name, fleet->now_ns, &found, ret_status);
    if (r == 0)
        r = read_newest(found.run, reader, ret);
    (void)pthread_mutex_unlock(&fleet->lock);
    return r;
}

void fleet_watch(struct fleet *fleet, struct span name, bool watched)
{
    struct fleet_status unused;
    struct found found;
    int r;

    (void)pthread_mutex_lock(&fleet->lock);
    r = find(fleet, name, &found, &unused);
    if (found.name && !memchr(name.at, '@', name.len))
        found.name->watched = watched;
    else if (r == 0)
        found.run->watched = watched;
    (void)pthread_mutex_unlock(&fleet->lock);
}

bool fleet_complaint(struct fleet *fleet, char *ret, size_t room)
{
    char *complaint;
    bool there;

    (void)pthread_mutex_lock(&fleet->lock);
    complaint = fleet->loop_complaint[0] ? fleet->loop_complaint : fleet->complaint;
    there = complaint[0] && room;
    if (there)
        (void)snprintf(ret, room, "%s", complaint);
    complaint[0] = '\0';
    (void)pthread_mutex_unlock(&fleet->lock);
    return there;
}
