// SPDX-License-Identifier: Apache-2.0
#include "join/join.h"

#include "base/text.h"
#include "join/attribute.h"
#include "join/device_split.h"

#include <assert.h>
#include <math.h>

static void join_device(const struct gpu_device *device, uint64_t processes_bytes,
                        struct snapshot_device *ret)
{
    ret->source = device->source;
    ret->index = device->index;
    ret->instance = device->instance;
    ret->unified = device->unified;
    ret->used_is_estimate = device->used_is_estimate;
    memcpy(ret->uuid, device->uuid, sizeof(ret->uuid));
    memcpy(ret->parent_uuid, device->parent_uuid, sizeof(ret->parent_uuid));
    memcpy(ret->name, device->name, sizeof(ret->name));
    memcpy(ret->reason, device->reason, sizeof(ret->reason));
    ret->mem_total_bytes = device->mem_total_bytes;
    ret->mem_used_bytes = device->mem_used_bytes;
    ret->mem_reserved_bytes = device->mem_reserved_bytes;
    ret->processes_bytes = processes_bytes;
    ret->models_bytes = ret->other_bytes = ret->orphan_bytes = 0;
    ret->kv_pool_bytes = ret->kv_used_bytes = figure_of(0, DERIVED, NULL);
    ret->n_models = ret->kv_pool_unknown = ret->kv_used_unknown = 0;
}

/* Sums over the devices that tell both; -ENODATA when none does. */
static int join_devices(const struct join_facts *facts, const struct attributions *shares,
                        struct snapshot *ret)
{
    uint64_t total = 0, used = 0;
    uint32_t known = 0;
    bool is_estimate = false;

    if (!facts->gpu) {
        ret->total_bytes = figure_of(0, MEASURED, "no GPU on this host");
        ret->allocated_bytes = ret->total_bytes;
        return 0;
    }
    ret->gpu_taken_ns = facts->gpu->taken_ns;
    ret->n_sources = facts->gpu->n_sources;
    memcpy(ret->sources, facts->gpu->sources, sizeof(ret->sources));
    ret->n_devices = facts->gpu->n_devices;
    for (uint32_t i = 0; i < ret->n_devices; i++) {
        const struct gpu_device *device = &facts->gpu->devices[i];

        join_device(device, shares->devices_bytes[i], &ret->devices[i]);
        if (device->mem_total_bytes > ATTRIBUTE_BYTES_MAX ||
            device->mem_used_bytes > device->mem_total_bytes)
            continue; // UNKNOWN is among them
        known++;
        total += device->mem_total_bytes;
        used += device->mem_used_bytes;
        is_estimate = is_estimate || device->used_is_estimate;
    }
    if (known == 0)
        return -ENODATA;

    ret->total_bytes.value = total;
    ret->allocated_bytes.value = used;
    ret->total_bytes.how = ret->allocated_bytes.how = MEASURED;
    if (known < ret->n_devices)
        ret->total_bytes.why = ret->allocated_bytes.why =
            "without the devices whose memory is not known";
    if (is_estimate)
        ret->allocated_bytes =
            (struct figure){used, ESTIMATED,
                            "with what processes hold of a device whose driver does not "
                            "tell how much is in use",
                            UNKNOWN};
    return 0;
}

/* What it says counts more than what it was told. */
static const char *served_name_of(const struct join_engine *engine)
{
    const char *names[] = {engine->name, engine->engine->page.served_name,
                           engine->model ? engine->model->served_name : NULL,
                           engine->launch_name};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i] && names[i][0])
            return names[i];
    return "";
}

/* One server under two URLs, as localhost and as ::1: the first that is answered counts. */
static bool is_named_twice(const struct join_facts *facts,
                           const struct join_engine *engine)
{
    for (size_t i = 0; i < facts->n_engines; i++) {
        const struct join_engine *e = &facts->engines[i];
        bool silent = engine->engine->nobody_listens;

        if (e == engine || e->root_pid == 0 || e->root_pid != engine->root_pid ||
            e->engine->port != engine->engine->port)
            continue;
        if (e->engine->nobody_listens == silent ? e < engine : silent)
            return true;
    }
    return false;
}

/*
 * A model keeps its row while its process lives, whatever state it is in. Where the
 * process is not visible, a refused connection is the sign that it is gone.
 */
static bool has_row(const struct join_facts *facts, const struct join_engine *engine)
{
    if (!served_name_of(engine)[0] || is_named_twice(facts, engine))
        return false;
    return engine->root_pid || !engine->engine->nobody_listens ||
           engine_has_figures(engine->engine, facts->now_ns);
}

/* In tokens: as the server says, else as it was told when it was started. */
static uint64_t longest_request(const struct model_facts *model)
{
    if (!model)
        return UNKNOWN;
    if (model->max_model_len != UNKNOWN || !model->has_launch)
        return model->max_model_len;
    return model->launch.max_model_len;
}

/* What is known of its KV cache. */
static struct kv_bytes join_model(const struct join_facts *facts,
                                  const struct join_engine *from,
                                  const struct attribution *share, uint64_t limit_bytes,
                                  struct snapshot_model *ret)
{
    const struct engine *engine = from->engine;
    struct kv_holder holder = {
        .gpus = share->bytes.how == MEASURED
                    ? (uint32_t)__builtin_popcountll(share->devices)
                    : 0,
        .held_bytes =
            share->bytes.how == MEASURED && share->devices ? share->bytes.value : UNKNOWN,
        .limit_bytes = limit_bytes,
    };
    struct kv_bytes kv = kv_bytes_of(from, &holder, facts->now_ns);

    *ret = (struct snapshot_model){
        .port = engine->port,
        .engine = (uint32_t)(from - facts->engines),
        .pid = from->root_pid,
        .start_ticks = from->root_start_ticks,
        .engine_name = engine->kind ? engine->kind->name : NULL,
        .state = engine->state,
        .stale = engine_is_stale(engine, facts->now_ns),
        .page_ns = engine->page_ns,
        .pace_ns = engine->pace_ns,
        .max_model_len = longest_request(from->model),
        .scrapes = engine->scrapes,
        .devices = share->devices,
        .allocated_bytes = share->bytes,
        .kv_used_bytes = kv.used,
        .kv_pool_bytes = kv.pool,
        .kv_retained_bytes = kv.retained,
        .kv_source = kv.source,
        .kv_groups = kv.groups,
        .prefix_minute = hit_window_sum(&engine->minute, facts->now_ns),
        .prefix_five_minutes = hit_window_sum(&engine->five_minutes, facts->now_ns),
    };
    if (engine_has_figures(engine, facts->now_ns))
        ret->page = engine->page;
    else
        engine_page_clear(&ret->page);
    memcpy(ret->why, engine->why, sizeof(ret->why));
    if (from->cgroup) {
        memcpy(ret->container_id, from->cgroup->container_id, sizeof(ret->container_id));
        memcpy(ret->pod_uid, from->cgroup->pod_uid, sizeof(ret->pod_uid));
    }
    (void)text_clean(ret->served_name, sizeof(ret->served_name),
                     span_of(served_name_of(from)));
    snapshot_make_id(ret->served_name, ret->id);
    return kv;
}

static_assert((int)SNAPSHOT_CONTAINER_ID_SIZE == (int)HOST_CONTAINER_ID_SIZE &&
                  (int)SNAPSHOT_POD_UID_SIZE == (int)HOST_POD_UID_SIZE,
              "they are copied");

static bool comes_before(const struct snapshot_model *a, const struct snapshot_model *b)
{
    if (a->port != b->port)
        return a->port < b->port;
    return strcmp(a->id, b->id) < 0;
}

/* Put a row in its place; those behind it move. */
static void insert(struct snapshot *snapshot, const struct snapshot_model *model)
{
    uint32_t at = snapshot->n_models++;

    for (; at > 0 && comes_before(model, &snapshot->models[at - 1]); at--)
        snapshot->models[at] = snapshot->models[at - 1];
    snapshot->models[at] = *model;
}

/* What an engine's processes hold on each device. */
static void find_memory(const struct join_facts *facts, const struct attributions *shares,
                        size_t engine, struct model_memory *ret)
{
    const struct attribution *share = &shares->engines[engine];

    *ret = (struct model_memory){.bytes = share->bytes, .devices = share->devices};
    if (share->devices == 0 || share->bytes.how == FROM_NOWHERE)
        return;
    for (uint32_t i = 0; i < facts->gpu->n_processes; i++)
        if (shares->owner[i] == (int)engine)
            ret->held[facts->gpu->processes[i].device] +=
                facts->gpu->processes[i].used_bytes;
}

static void join_models(const struct join_facts *facts, const struct attributions *shares,
                        struct snapshot *ret)
{
    bool all_known = facts->gpu && !ret->total_bytes.why;
    uint64_t limit = all_known ? ret->total_bytes.value : UNKNOWN;

    for (size_t i = 0; i < facts->n_engines; i++) {
        const struct join_engine *engine = &facts->engines[i];
        struct snapshot_model model;
        struct model_memory memory;
        struct kv_bytes kv;

        if (!has_row(facts, engine))
            continue;
        kv = join_model(facts, engine, &shares->engines[i], limit, &model);
        find_memory(facts, shares, i, &memory);
        model.kv_pool_per_gpu = device_split_each(engine, &kv, &memory);
        insert(ret, &model);
        device_split_add(engine, &kv, &memory, ret->devices);
        if (model.allocated_bytes.how != FROM_NOWHERE)
            ret->models_bytes =
                add_saturating(ret->models_bytes, model.allocated_bytes.value);
        if (model.kv_used_bytes.how == FROM_NOWHERE)
            ret->kv_unknown++;
        else
            ret->kv_used_bytes =
                add_saturating(ret->kv_used_bytes, model.kv_used_bytes.value);
    }
}

/* The row of an engine; NULL: it has none. */
static const struct snapshot_model *row_of(const struct snapshot *snapshot, int engine)
{
    for (uint32_t i = 0; engine >= 0 && i < snapshot->n_models; i++)
        if (snapshot->models[i].engine == (uint32_t)engine)
            return &snapshot->models[i];
    return NULL;
}

static struct snapshot_process describe(const struct join_facts *facts,
                                        const struct snapshot *snapshot,
                                        const struct gpu_process *process, int owner)
{
    const struct snapshot_model *row = row_of(snapshot, owner);
    const struct host_process *known = host_tree_find(facts->tree, process->pid);
    struct snapshot_process ret = {
        .pid = process->pid, .device = process->device, .bytes = process->used_bytes};

    static_assert(sizeof(ret.comm) == sizeof(known->comm), "it is copied");
    if (process->used_bytes > ATTRIBUTE_BYTES_MAX)
        ret.bytes = UNKNOWN;
    if (known)
        memcpy(ret.comm, known->comm, sizeof(ret.comm));
    if (row) {
        ret.owner = OWNER_ENGINE;
        ret.port = row->port;
    } else if (owner == ATTRIBUTE_ORPHAN) {
        ret.owner = OWNER_ORPHAN;
    }
    return ret;
}

/* Put a process into its place; the smallest falls out when there is no room. */
static void insert_process(struct snapshot *snapshot,
                           const struct snapshot_process *process)
{
    uint32_t at = snapshot->n_processes;

    if (at == SNAPSHOT_PROCESSES_MAX) {
        snapshot->processes_left_out++;
        if (process->bytes <= snapshot->processes[--at].bytes)
            return;
    } else {
        snapshot->n_processes++;
    }
    for (; at > 0 && process->bytes > snapshot->processes[at - 1].bytes; at--)
        snapshot->processes[at] = snapshot->processes[at - 1];
    snapshot->processes[at] = *process;
}

/* Of processes that are no model's. */
static void add_to_device(struct snapshot_device *device,
                          const struct snapshot_process *process)
{
    if (process->bytes == UNKNOWN)
        return;
    if (process->owner == OWNER_OTHER)
        device->other_bytes += process->bytes;
    else if (process->owner == OWNER_ORPHAN)
        device->orphan_bytes += process->bytes;
}

static void join_processes(const struct join_facts *facts,
                           const struct attributions *shares, struct snapshot *ret)
{
    for (uint32_t i = 0; facts->gpu && i < facts->gpu->n_processes; i++) {
        struct snapshot_process process =
            describe(facts, ret, &facts->gpu->processes[i], shares->owner[i]);

        // Of an engine that has no row nobody would see them otherwise.
        if (shares->owner[i] >= 0 && process.owner == OWNER_OTHER &&
            process.bytes != UNKNOWN)
            ret->other_bytes += process.bytes;
        add_to_device(&ret->devices[process.device], &process);
        insert_process(ret, &process);
    }
}

/* What no process explains, as a whole and on each device. */
static void join_rests(struct snapshot *ret)
{
    ret->unattributed_bytes = (int64_t)(ret->allocated_bytes.value - ret->models_bytes -
                                        ret->other_bytes - ret->orphan_bytes);
    for (uint32_t i = 0; i < ret->n_devices; i++) {
        struct snapshot_device *device = &ret->devices[i];

        device->unattributed_bytes =
            (int64_t)(device->mem_used_bytes - device->models_bytes -
                      device->other_bytes - device->orphan_bytes);
    }
}

static void add_counts(struct hit_counts *sum, struct hit_counts more)
{
    if (isnan(more.queries))
        return;
    sum->hits += more.hits;
    sum->queries += more.queries;
}

static double percent(struct hit_counts counts)
{
    return fmin(100.0 * counts.hits / counts.queries, 100.0);
}

/* Of the last minute; in a quiet one the value before it; at first that of all time. */
static void join_hit_rate(const struct join_facts *facts, struct snapshot *ret)
{
    struct hit_counts window = {0}, lifetime = {0};

    for (uint32_t i = 0; i < ret->n_models; i++) {
        add_counts(&window, ret->models[i].prefix_minute);
        add_counts(&lifetime, ret->models[i].page.prefix);
    }
    if (window.queries > 0) {
        ret->hit_percent = percent(window);
        ret->hit_percent_in_window = true;
    } else if (facts->previous && facts->previous->hit_percent_in_window) {
        ret->hit_percent = facts->previous->hit_percent;
        ret->hit_percent_in_window = true;
    } else if (lifetime.queries > 0) {
        ret->hit_percent = percent(lifetime);
    }
}

/* Counted anew from what is published: rows, and processes on the devices. */
static void check_invariant(const struct snapshot *snapshot)
{
    uint64_t rows = 0, processes = 0;

    for (uint32_t i = 0; i < snapshot->n_models; i++)
        if (snapshot->models[i].allocated_bytes.how != FROM_NOWHERE)
            rows += snapshot->models[i].allocated_bytes.value;
    for (uint32_t i = 0; i < snapshot->n_devices; i++)
        processes += snapshot->devices[i].processes_bytes;
    rows += snapshot->other_bytes + snapshot->orphan_bytes;
    assert(rows <= processes);
    assert(rows + (uint64_t)snapshot->unattributed_bytes ==
           snapshot->allocated_bytes.value);
    (void)rows, (void)processes; // without assertions
}

/* The same of the devices' parts. */
static void check_devices(const struct snapshot *snapshot)
{
    uint64_t models = 0, other = 0, orphan = 0;

    for (uint32_t i = 0; i < snapshot->n_devices; i++) {
        const struct snapshot_device *device = &snapshot->devices[i];

        models += device->models_bytes;
        other += device->other_bytes;
        orphan += device->orphan_bytes;
        assert(device->models_bytes + device->other_bytes + device->orphan_bytes <=
               device->processes_bytes);
        assert(device->kv_pool_unknown || device->kv_used_unknown ||
               device->kv_pool_bytes.value <= device->models_bytes);
    }
    assert(models == snapshot->models_bytes && other == snapshot->other_bytes &&
           orphan == snapshot->orphan_bytes);
    (void)models, (void)other, (void)orphan;
}

int join(const struct join_facts *facts, struct snapshot *ret)
{
    struct attributions shares;
    int r;

    assert(facts->n_engines <= SNAPSHOT_MODELS_MAX);
    ret->seq = facts->seq;
    ret->taken_ns = facts->now_ns;
    ret->unix_ms = facts->unix_ms;
    ret->self = facts->self;
    attribute(facts, &shares);
    r = join_devices(facts, &shares, ret);
    if (r < 0)
        return r;

    ret->other_bytes = shares.other_bytes;
    join_models(facts, &shares, ret);
    join_processes(facts, &shares, ret);
    ret->orphan_bytes = shares.orphan_bytes;
    join_rests(ret);
    join_hit_rate(facts, ret);
    check_invariant(ret);
    check_devices(ret);
    return 0;
}
