// SPDX-License-Identifier: Apache-2.0
#include "fleet/fleet_parts.h"

#include "base/text.h"

#include <assert.h>
#include <sys/random.h>

#define FULL_NS (FLEET_SECOND_NS / 10)

bool fleet_is_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!text_is_of_name(name.at[i]))
            return false;
    return name.len > 0 && name.len < FLEET_PLAIN_SIZE;
}

static int compare(const struct name *name, struct span text)
{
    size_t len = strlen(name->text);
    int order = memcmp(name->text, text.at, MIN(len, text.len));

    return order ? order : (len > text.len) - (len < text.len);
}

/* Of the first name that does not come before it. */
static size_t place_of(const struct fleet *fleet, struct span text)
{
    size_t low = 0, high = fleet->n_names;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare(fleet->names[middle], text) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct name *fleet_find(struct fleet *fleet, struct span name)
{
    size_t at = place_of(fleet, name);

    if (at == fleet->n_names || compare(fleet->names[at], name) != 0)
        return NULL;
    return fleet->names[at];
}

size_t fleet_count_shown(const struct fleet *fleet)
{
    struct run *shown[FLEET_RUNS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < fleet->n_names; i++)
        n += MAX(fleet_shown(fleet->names[i], shown), (size_t)1);
    return n;
}

/*
 * Whoever speaks is not lost, and so does not make room for itself. A table that was full
 * is, a moment later: not each message of the many that have no place has it searched.
 */
bool fleet_make_room(struct fleet *fleet, uint64_t now_ns)
{
    size_t oldest = fleet->n_names;

    if (fleet->full_ns && fleet_since(fleet->full_ns, now_ns) < FULL_NS)
        return false;
    if (fleet_count_shown(fleet) < FLEET_NODES_MAX)
        return true;
    for (size_t i = 0; i < fleet->n_names; i++) {
        const struct name *name = fleet->names[i];

        if (!fleet_name_is_lost(name, now_ns))
            continue;
        if (oldest == fleet->n_names || name->spoke_ns < fleet->names[oldest]->spoke_ns)
            oldest = i;
    }
    if (oldest == fleet->n_names) {
        fleet->full_ns = now_ns;
        return false;
    }
    fleet_remove(fleet, oldest);
    return true;
}

struct name *fleet_add(struct fleet *fleet, struct span text, uint64_t now_ns)
{
    struct name *name;
    size_t at;

    if (!fleet_make_room(fleet, now_ns))
        return NULL;
    name = calloc(1, sizeof(*name));
    if (!name)
        return NULL;
    memcpy(name->text, text.at, text.len);
    at = place_of(fleet, text);
    memmove(&fleet->names[at + 1], &fleet->names[at],
            (fleet->n_names++ - at) * sizeof(fleet->names[0]));
    fleet->names[at] = name;
    return name;
}

void fleet_empty_run(struct run *run)
{
    buf_done(&run->message);
    buf_done(&run->names);
    buf_done(&run->via);
    free(run->rows);
    run->rows = NULL;
    run->n_rows = run->rows_room = 0;
}

void fleet_drop_run(struct name *name, size_t at)
{
    fleet_empty_run(name->runs[at]);
    free(name->runs[at]);
    memmove(&name->runs[at], &name->runs[at + 1],
            (--name->n_runs - at) * sizeof(name->runs[0]));
}

static void free_name(struct name *name)
{
    while (name->n_runs)
        fleet_drop_run(name, name->n_runs - 1);
    free(name);
}

void fleet_remove(struct fleet *fleet, size_t at)
{
    free_name(fleet->names[at]);
    memmove(&fleet->names[at], &fleet->names[at + 1],
            (--fleet->n_names - at) * sizeof(fleet->names[0]));
}

/* One that another has replaced, and that has had time to speak again and has not. */
static bool may_go(const struct run *run, uint64_t now_ns)
{
    return run->superseded_ns &&
           fleet_since(run->superseded_ns, now_ns) > 2 * FLEET_SECOND_NS;
}

static bool make_room_for_run(struct name *name, uint64_t now_ns)
{
    for (size_t i = 0; i < name->n_runs && name->n_runs == FLEET_RUNS_MAX; i++)
        if (may_go(name->runs[i], now_ns))
            fleet_drop_run(name, i);
    return name->n_runs < FLEET_RUNS_MAX;
}

struct run *fleet_add_run(struct name *name, const struct compact_head *head,
                          uint64_t now_ns)
{
    struct run *run;

    if (!make_room_for_run(name, now_ns))
        return NULL;
    run = calloc(1, sizeof(*run));
    if (!run)
        return NULL;
    static_assert(sizeof(run->node.machine) == sizeof(head->machine) &&
                      sizeof(run->node.boot) == sizeof(head->boot),
                  "they are copied");
    memcpy(run->node.machine, head->machine, sizeof(head->machine));
    memcpy(run->node.boot, head->boot, sizeof(head->boot));
    run->node.started_unix_ms = head->started_unix_ms;
    name->runs[name->n_runs++] = run;
    return run;
}

int fleet_new(struct fleet **ret)
{
    struct fleet *fleet = calloc(1, sizeof(*fleet));

    if (!fleet)
        return -ENOMEM;
    fleet->sum.rows = calloc(FLEET_ROWS_MAX, sizeof(*fleet->sum.rows));
    fleet->sum.order = calloc(FLEET_ROWS_MAX, sizeof(*fleet->sum.order));
    if (!fleet->sum.rows || !fleet->sum.order) {
        free(fleet->sum.rows);
        free(fleet->sum.order);
        free(fleet);
        return -ENOMEM;
    }
    (void)!getrandom(&fleet->hash_seed, sizeof(fleet->hash_seed), GRND_NONBLOCK);
    (void)pthread_mutex_init(&fleet->lock, NULL); // it cannot fail
    *ret = fleet;
    return 0;
}

void fleet_free(struct fleet *fleet)
{
    if (!fleet)
        return;
    for (size_t i = 0; i < fleet->n_names; i++)
        free_name(fleet->names[i]);
    free(fleet->sum.rows);
    free(fleet->sum.order);
    (void)pthread_mutex_destroy(&fleet->lock); // nobody holds it
    free(fleet);
}
