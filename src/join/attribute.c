// SPDX-License-Identifier: Apache-2.0
#include "join/attribute.h"

#include "model/server_launch.h"

#include <assert.h>

static_assert(GPU_PROCESSES_MAX <= INT64_MAX / ATTRIBUTE_BYTES_MAX,
              "the memory of all processes must be an int64");

/*
 * The engine whose root is `pid`, or ATTRIBUTE_NOBODY. Of two URLs of one server, as localhost
 * and as ::1, it is the one that is answered.
 */
static int engine_rooted_at(const struct join_facts *facts, uint32_t pid)
{
    int found = ATTRIBUTE_NOBODY;

    for (size_t i = 0; i < facts->n_engines; i++) {
        if (facts->engines[i].root_pid != pid)
            continue;
        if (!facts->engines[i].engine->nobody_listens)
            return (int)i;
        found = found < 0 ? (int)i : found;
    }
    return found;
}

/* The engine whose root is `pid` or one of its ancestors, or ATTRIBUTE_NOBODY. */
static int engine_of(const struct join_facts *facts, uint32_t pid)
{
    for (int depth = 0; pid && depth < HOST_DEPTH_MAX; depth++) {
        const struct host_process *process;

        int engine = engine_rooted_at(facts, pid);

        if (engine >= 0)
            return engine;
        process = host_tree_find(facts->tree, pid);
        pid = process ? process->parent_pid : 0;
    }
    return ATTRIBUTE_NOBODY;
}

/* The root of the server that a process of another tree belongs to; 0: none. */
static uint32_t adopted_by(const struct join_facts *facts, uint32_t pid)
{
    for (size_t i = 0; i < facts->n_adoptions; i++)
        if (facts->adoptions[i].pid == pid)
            return facts->adoptions[i].root_pid;
    return 0;
}

/*
 * A worker of vLLM (from 0.10.1 on they have titles) or SGLang in no server's tree, where
 * every server is known: its server has ended without it.
 */
static bool is_orphan(const struct join_facts *facts, uint32_t pid)
{
    const struct host_process *process = host_tree_find(facts->tree, pid);

    return facts->servers_known && process && server_launch_titled(process->comm);
}

static void add(struct attributions *ret, const struct gpu_process *process, int engine)
{
    bool known = process->used_bytes <= ATTRIBUTE_BYTES_MAX;
    uint64_t bytes = known ? process->used_bytes : 0;
    struct figure *sum;

    ret->devices_bytes[process->device] += bytes;
    if (engine == ATTRIBUTE_ORPHAN) {
        ret->orphan_bytes += bytes;
        return;
    }
    if (engine < 0) {
        ret->other_bytes += bytes;
        return;
    }

    ret->engines[engine].devices |= 1ULL << process->device;
    sum = &ret->engines[engine].bytes;
    if (!known) {
        *sum = figure_unknown("the driver does not tell the memory of its processes");
        return;
    }
    if (sum->how != FROM_NOWHERE)
        sum->value += bytes;
}

static const char HOLDS_NOTHING[] = "no process in the tree of the one that listens "
                                    "holds GPU memory: a proxy, or a build "
                                    "for the CPU?";

/* Why an engine without any process on a device need not be one without memory there. */
static const char *doubt(const struct join_facts *facts, bool hidden)
{
    if (facts->gpu->processes_taken_ns == 0)
        return "the driver has not listed its processes yet";
    if (facts->gpu->processes_incomplete)
        return "the driver's list of processes is not complete";
    if (facts->tree->incomplete)
        return "not every process could be looked at";
    if (hidden)
        return "the driver names processes that are hidden from here: run on the host "
               "or in a container with its pid namespace (--pid=host)";
    return NULL;
}

/* What is known about an engine before any process is looked at. */
static struct figure initial(const struct join_facts *facts,
                             const struct join_engine *engine)
{
    if (!facts->gpu)
        return figure_of(0, MEASURED, "no GPU on this host");
    if (engine->root_pid == 0)
        return figure_unknown("the process that listens on its port is not visible");
    return figure_of(0, MEASURED, NULL);
}

/* An engine, or ATTRIBUTE_NOBODY or ATTRIBUTE_ORPHAN. */
static int owner_of(const struct join_facts *facts, uint32_t pid)
{
    int engine = engine_of(facts, pid);
    uint32_t adopter = engine < 0 ? adopted_by(facts, pid) : 0;

    if (adopter)
        engine = engine_of(facts, adopter);
    return engine < 0 && is_orphan(facts, pid) ? ATTRIBUTE_ORPHAN : engine;
}

void attribute(const struct join_facts *facts, struct attributions *ret)
{
    bool hidden = false, some_missing;

    *ret = (struct attributions){0};
    for (size_t i = 0; i < facts->n_engines; i++)
        ret->engines[i].bytes = initial(facts, &facts->engines[i]);
    if (!facts->gpu)
        return;

    for (uint32_t i = 0; i < facts->gpu->n_processes; i++) {
        const struct gpu_process *process = &facts->gpu->processes[i];

        ret->owner[i] = (int16_t)owner_of(facts, process->pid);
        add(ret, process, ret->owner[i]);
        hidden = hidden || !host_tree_find(facts->tree, process->pid);
    }
    some_missing = facts->gpu->processes_incomplete || facts->tree->incomplete || hidden;
    for (size_t i = 0; i < facts->n_engines; i++) {
        struct attribution *engine = &ret->engines[i];
        const char *why = doubt(facts, hidden);

        if (engine->devices == 0 && engine->bytes.how == MEASURED)
            engine->bytes = figure_unknown(why ? why : HOLDS_NOTHING);
        else if (engine->bytes.how == MEASURED && some_missing)
            engine->bytes = (struct figure){engine->bytes.value, ESTIMATED, why, UNKNOWN};
    }
}
