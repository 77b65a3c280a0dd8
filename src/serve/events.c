// SPDX-License-Identifier: Apache-2.0
#include "serve/events.h"

#include "encode/json.h"
#include "serve/parameters.h"

int events_read_query(struct span query, struct events_query *ret, const char **ret_why)
{
    uint64_t after = 0, limit = JOURNAL_EVENTS;

    *ret_why = "\"after\" is the id of an event, a whole number, once";
    if (parameter_read_u64(query, "after", 0, INT64_MAX, &after) < 0)
        return -EINVAL;
    *ret_why = "\"limit\" is a whole number of events from 1 to 256, once";
    if (parameter_read_u64(query, "limit", 1, JOURNAL_EVENTS, &limit) < 0)
        return -EINVAL;
    *ret = (struct events_query){after, (size_t)limit};
    return 0;
}

/* The newest `max` of those that are of the node: where they begin, of `n` in all. */
static size_t keep_node(struct event *events, size_t *n, const char *node, size_t max)
{
    size_t kept = 0;

    for (size_t i = 0; i < *n; i++)
        if (!node[0] || strcmp(events[i].node, node) == 0)
            memmove(&events[kept++], &events[i], sizeof(*events));
    *n = MIN(kept, max);
    return kept - *n;
}

/* They are copied first, so that nobody waits for us who has something to add. */
int events_write(struct journal *journal, const struct events_query *query,
                 const char *node, const char *boot, struct buf *out)
{
    size_t max = node[0] ? JOURNAL_EVENTS : query->limit, n, first;
    struct event *events = malloc(max * sizeof(*events));

    if (!events)
        return -ENOMEM;
    n = journal_copy(journal, query->after, events, max);
    first = keep_node(events, &n, node, query->limit);
    buf_add_str(out, "{\"boot\":");
    json_quote(out, boot);
    buf_add_str(out, ",\"events\":");
    event_list_write(out, events + first, n);
    buf_add_str(out, "}\n");
    free(events);
    return 0;
}
