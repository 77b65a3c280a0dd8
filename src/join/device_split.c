// SPDX-License-Identifier: Apache-2.0
#include "join/device_split.h"

/* Whose KV cache is divided, and among how many. */
struct division {
    const struct join_engine *engine;
    const struct kv_bytes *kv;
    const struct model_memory *memory;
    uint32_t engines; // data-parallel ones
    uint64_t seen;    // devices that its memory is on
};

/* a * b / c, rounded down; it is no more than `a`, for b <= c. */
static uint64_t part_of(uint64_t a, uint64_t b, uint64_t c)
{
    return c ? (uint64_t)((unsigned __int128)a * b / c) : 0;
}

static uint64_t subtract_down_to_0(uint64_t a, uint64_t b)
{
    return a - MIN(a, b);
}

/* Nothing that could not be read can say otherwise about its degrees of parallelism. */
static bool is_launch_settled(const struct model_facts *model)
{
    if (!model)
        return false;
    return model->has_settings ||
           (model->has_launch && !model->launch.unclear && !model->launch.config_file[0]);
}

/* The number of GPUs that it was started on; 0: not known. */
static uint64_t gpus_told(const struct division *d)
{
    const struct model_facts *model = d->engine->model;

    if (d->engine->gpus != UNKNOWN)
        return d->engine->gpus;
    if (!is_launch_settled(model))
        return 0;
    return degree_or_one(model->launch.tp) * degree_or_one(model->launch.pp) *
           degree_or_one(model->launch.pcp) * d->engines;
}

/* NULL, or why its KV cache may be elsewhere than on the devices it is seen on. */
static const char *doubt_devices(const struct division *d)
{
    uint64_t told = gpus_told(d);

    if (d->memory->bytes.how == FROM_NOWHERE)
        return d->memory->bytes.why;
    if (told && told != d->seen)
        return "the driver sees it on another number of GPUs than it was started on";
    if (!told && d->memory->bytes.how != MEASURED)
        return d->memory->bytes.why;
    return NULL;
}

/*
 * Each GPU has as much of the pool as any other: so it was told, or these are the ranks of
 * one tensor-parallel engine, which have the same blocks and the same heads of each layer.
 */
static bool is_even(const struct division *d)
{
    const struct model_facts *model = d->engine->model;

    if (d->seen == 1 || d->kv->same_on_each_gpu)
        return true;
    if (d->engines != 1 || !is_launch_settled(model) ||
        (model->launch.draft_tp != UNKNOWN &&
         model->launch.draft_tp != degree_or_one(model->launch.tp)))
        return false;
    return degree_or_one(model->launch.tp) == d->seen &&
           degree_or_one(model->launch.pp) == 1 && degree_or_one(model->launch.pcp) == 1;
}

/* Of one data-parallel engine, a block takes as much on each GPU as on any other. */
static bool has_even_blocks(const struct division *d)
{
    struct division one = *d;

    if (d->engines == 0 || d->seen == 0 || d->seen % d->engines != 0)
        return false;
    one.engines = 1;
    one.seen = d->seen / d->engines;
    return is_even(&one);
}

static struct figure even_share(struct figure whole, uint64_t gpus)
{
    struct figure share = whole;
    bool rounded = whole.value % gpus != 0;

    share.value = whole.value / gpus;
    if (whole.error != UNKNOWN)
        share.error = whole.error / gpus + (whole.error % gpus != 0) + rounded;
    if (rounded && whole.how != ESTIMATED) {
        share.how = ESTIMATED;
        share.why = "it does not divide evenly among its GPUs";
    }
    return share;
}

static struct figure between(uint64_t low, uint64_t value, uint64_t high,
                             struct figure whole, const char *why)
{
    uint64_t error = MAX(subtract_down_to_0(value, low), subtract_down_to_0(high, value));

    if (error == 0)
        return (struct figure){value, whole.how, whole.why, 0};
    return (struct figure){value, ESTIMATED, why, error};
}

static const char *why_not_even(const struct division *d)
{
    if (d->engines > 1)
        return "each of its data-parallel engines has a pool of its own: taken in "
               "proportion to what they hold";
    if (is_launch_settled(d->engine->model))
        return "its GPUs may hold unlike numbers of layers: taken in proportion to what "
               "they hold";
    return "how it is spread over its GPUs is not known: taken in proportion to what "
           "they "
           "hold";
}

/* In proportion to what is held on each: that is always within the bounds. */
static struct figure share_by_memory(const struct division *d, unsigned device)
{
    struct figure whole = d->kv->pool;
    uint64_t all = d->memory->bytes.value, here = d->memory->held[device];
    uint64_t most = add_saturating(whole.value, whole.error);
    uint64_t least = subtract_down_to_0(whole.value, whole.error);

    if (d->memory->bytes.how != MEASURED) // there may be more on each
        return figure_unknown(d->memory->bytes.why);
    return between(subtract_down_to_0(least, all - here), part_of(whole.value, here, all),
                   MIN(here, most), whole, why_not_even(d));
}

static struct figure split_pool(const struct division *d, unsigned device)
{
    struct figure whole = d->kv->pool, share;

    if (whole.how == FROM_NOWHERE)
        return whole;
    share = is_even(d) ? even_share(whole, d->seen) : share_by_memory(d, device);
    if (share.how != FROM_NOWHERE && share.value > d->memory->held[device])
        return figure_unknown("its part of the KV pool would be larger than what its "
                              "processes hold there: not believed");
    return share;
}

/*
 * Where requests are in several engines, or how the pool is spread is an estimate: any
 * device may have what the others have no room for, up to its part of the pool.
 */
static struct figure used_by_pool(const struct division *d, struct figure pool,
                                  uint64_t held)
{
    struct figure whole = d->kv->used, all = d->kv->pool;
    uint64_t pool_least = subtract_down_to_0(pool.value, pool.error);
    uint64_t pool_most = MIN(add_saturating(pool.value, pool.error), held);
    uint64_t value = part_of(whole.value, pool.value, all.value), others, low, high;

    if (d->engines == 1 && whole.error != UNKNOWN) // the same part of each GPU's blocks
        return between(part_of(whole.value, pool_least, all.value), value,
                       part_of(whole.value, pool_most, all.value) + 1, whole,
                       why_not_even(d));
    others = subtract_down_to_0(add_saturating(all.value, all.error), pool_least);
    low = subtract_down_to_0(subtract_down_to_0(whole.value, whole.error), others);
    high = MIN(pool_most, add_saturating(whole.value, whole.error));
    return between(low, value, high, whole,
                   d->engines > 1
                       ? "which of its data-parallel engines the requests are in is not "
                         "told"
                       : why_not_even(d));
}

static struct figure split_used(const struct division *d, struct figure pool,
                                unsigned device)
{
    struct figure whole = d->kv->used;

    if (whole.how == FROM_NOWHERE || (whole.value == 0 && whole.error == 0))
        return whole;
    if (pool.how == FROM_NOWHERE)
        return figure_unknown(pool.why);
    if (is_even(d) && (d->engines == 1 || d->seen == 1))
        return even_share(whole, d->seen);
    return used_by_pool(d, pool, d->memory->held[device]);
}

static struct division division_of(const struct join_engine *engine,
                                   const struct kv_bytes *kv,
                                   const struct model_memory *memory)
{
    return (struct division){
        .engine = engine,
        .kv = kv,
        .memory = memory,
        .engines = engine->engine->page.engines,
        .seen = (uint64_t)__builtin_popcountll(memory->devices),
    };
}

struct kv_share device_split_kv(const struct join_engine *engine,
                                const struct kv_bytes *kv,
                                const struct model_memory *memory, unsigned device)
{
    struct division d = division_of(engine, kv, memory);
    const char *why = doubt_devices(&d);
    struct kv_share share;

    if (why)
        return (struct kv_share){figure_unknown(why), figure_unknown(why)};
    share.pool = split_pool(&d, device);
    share.used = split_used(&d, share.pool, device);
    return share;
}

struct figure device_split_each(const struct join_engine *engine,
                                const struct kv_bytes *kv,
                                const struct model_memory *memory)
{
    struct division d = division_of(engine, kv, memory);
    const char *why = doubt_devices(&d);

    if (why || kv->pool.how == FROM_NOWHERE)
        return figure_unknown(why ? why : kv->pool.why);
    if (!has_even_blocks(&d))
        return figure_unknown("its GPUs may hold unlike parts of the KV pool");
    return even_share(kv->pool, d.seen);
}

/* As exact as the less exact of the two; one unknown makes the sum unknown. */
static void add_figure(struct figure *sum, struct figure more, uint32_t *unknown)
{
    bool counts_more = more.how == ESTIMATED && sum->how != ESTIMATED;

    if (more.how == FROM_NOWHERE) {
        if ((*unknown)++ == 0)
            *sum = more;
    } else if (*unknown == 0) {
        *sum = (struct figure){
            .value = add_saturating(sum->value, more.value),
            .how = MAX(sum->how, more.how),
            .why = counts_more || !sum->why ? more.why : sum->why,
            .error = add_saturating(sum->error, more.error),
        };
    }
}

void device_split_add(const struct join_engine *engine, const struct kv_bytes *kv,
                      const struct model_memory *memory, struct snapshot_device *devices)
{
    for (uint64_t left = memory->devices; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        struct kv_share share = device_split_kv(engine, kv, memory, i);
        struct snapshot_device *device = &devices[i];

        if (device->n_models++ == 0)
            device->kv_pool_bytes.how = device->kv_used_bytes.how = MEASURED; // the least
        device->models_bytes += memory->held[i];
        add_figure(&device->kv_pool_bytes, share.pool, &device->kv_pool_unknown);
        add_figure(&device->kv_used_bytes, share.used, &device->kv_used_unknown);
    }
}
