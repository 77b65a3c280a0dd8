// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_fleet.c - what a hostile node publishes, to a gateway
 *
 * Whatever it says, the sums hold, and everything that is said of it can be published.
 */
#include "fleet/fleet.h"

#include <assert.h>

#define SECOND UINT64_C(1000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct compact_reader reader;
static struct compact_message message;

static void check(const struct snapshot *snapshot)
{
    const struct snapshot_fleet *fleet = snapshot->fleet;

    assert(fleet->n_nodes == 1 && fleet->n_counted <= 1);
    assert(fleet->nodes[0].state < NODE_STATES);
    assert(fleet->nodes[0].reason[0] || fleet->nodes[0].state == NODE_LIVE);
    assert(fleet->n_models <= SNAPSHOT_MODELS_MAX);
    for (uint32_t i = 0; i < fleet->n_models; i++)
        assert(fleet->models[i].nodes == 1 && fleet->models[i].ready <= 1 &&
               (unsigned)fleet->models[i].state < ENGINE_STATES);
    if (snapshot->allocated_bytes.how == FROM_NOWHERE)
        return;
    assert(snapshot->allocated_bytes.value <= snapshot->total_bytes.value);
    assert(snapshot->models_bytes + snapshot->other_bytes + snapshot->orphan_bytes +
               (uint64_t)snapshot->unattributed_bytes ==
           snapshot->allocated_bytes.value);
    assert(snapshot->hit_percent >= 0 && snapshot->hit_percent <= 100);
}

static void publish(const struct snapshot *snapshot)
{
    static struct compact_writer writer;
    static struct buf out = {.max = COMPACT_MAX};
    struct compact_head head = {
        .node = "fleet", .boot = "0123456789abcdef", .gateway = true, .nodes = 1};

    assert(compact_write(&writer, &out, &head, snapshot, &snapshot->self, COMPACT_MAX) ==
           0);
    assert(compact_read(&reader, buf_span(&out), &message) == 0);
}

/* As the tick does, and those who ask for one node. */
static void look(struct fleet *fleet, struct span name, uint64_t now_ns)
{
    static struct snapshot_pool *pool;
    struct snapshot *snapshot;
    struct fleet_status status;
    struct event event;

    assert(pool || snapshot_pool_new(&pool) == 0);
    snapshot = snapshot_new(pool);
    assert(snapshot);
    if (fleet_sum(fleet, now_ns, 1800000000000, snapshot) == 0)
        publish(snapshot);
    check(snapshot);
    snapshot_unref(snapshot);
    assert(fleet_status(fleet, name, now_ns, &status) == 0);
    (void)!fleet_read(fleet, name, &reader, &message, &status);
    while (fleet_next_event(fleet, &event))
        assert(event.kind < EVENT_KINDS && event.node[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = {(const char *)data, size}, name = {"gpu1", 4};
    static struct compact_message said;
    struct fleet_status status;
    struct fleet *fleet;

    assert(fleet_new(&fleet) == 0);
    if (compact_read(&reader, bytes, &said) == 0)
        name = span_of(said.head.node);
    (void)fleet_take(fleet, name, bytes, SECOND, 1800000000000);
    if (fleet_status(fleet, name, SECOND, &status) == 0) { // else nobody can be called so
        look(fleet, name, SECOND);
        (void)fleet_take(fleet, name, bytes, 2 * SECOND, 1800000001000);
        look(fleet, name, 20 * SECOND);
    }
    fleet_free(fleet);
    return 0;
}
