// SPDX-License-Identifier: Apache-2.0
#include "history/advice_case.h"

#include <math.h>

static bool is_count(uint64_t value)
{
    return value != UNKNOWN && value > 0 && value < (uint64_t)1 << 52;
}

/* a * b / c, rounded up; UNKNOWN where that is no uint64_t. */
static uint64_t scale_up(uint64_t a, uint64_t b, uint64_t c)
{
    unsigned __int128 product = (unsigned __int128)a * b, up = (product + c - 1) / c;

    return up >= UNKNOWN ? UNKNOWN : (uint64_t)up;
}

/* Of two that are called the same, in containers, it cannot be told which was observed. */
static const struct snapshot_model *find_model(const struct snapshot *snapshot,
                                               const struct past_series *of)
{
    const struct snapshot_model *found = NULL;

    for (uint32_t i = 0; i < snapshot->n_models; i++) {
        const struct snapshot_model *model = &snapshot->models[i];

        if (model->port != of->port || strcmp(model->served_name, of->served_name) != 0)
            continue;
        if (found)
            return NULL;
        found = model;
    }
    return found;
}

/*
 * Bytes of all engines as blocks. They were whole blocks before they were bytes, rounded
 * to the nearest byte where a block has no whole number of them: one byte is no block.
 */
static uint64_t blocks_of(const struct advice_case *it, uint64_t bytes)
{
    uint64_t all = it->model->kv_pool_bytes.value;

    if (bytes == UNKNOWN)
        return UNKNOWN;
    return bytes == 0 ? 0 : scale_up(bytes - 1, it->model->page.kv_blocks, all);
}

/*
 * vLLM's kv_cache_size_tokens is blocks / blocks of the longest request * its tokens, cut
 * to a whole number: so the quotient the other way is rounded up again where it is just
 * that. Of releases that do not tell it is the blocks that its tokens fill, and where its
 * unlike layers take blocks of their own (a window's one more), those of each group full.
 */
static uint64_t request_blocks(const struct advice_case *it)
{
    const struct engine_page *page = &it->model->page;
    uint64_t tokens = it->model->max_model_len, exact;

    if (tokens == UNKNOWN || tokens == 0)
        return UNKNOWN;
    if (page->kv_size_tokens != UNKNOWN && page->kv_size_tokens > 0) {
        exact = (uint64_t)((unsigned __int128)it->blocks * tokens / page->kv_size_tokens);
        return MAX(exact, scale_up(it->blocks, tokens, page->kv_size_tokens + 1));
    }
    if (!is_count(page->kv_block_tokens) || !is_count(it->model->kv_groups))
        return UNKNOWN;
    exact = scale_up(tokens, 1, page->kv_block_tokens);
    return it->model->kv_groups == 1 ? exact
                                     : scale_up(exact + 1, it->model->kv_groups, 1);
}

static uint64_t need_blocks(const struct advice_case *it)
{
    uint64_t used = MIN(it->used_blocks, it->blocks);

    if (it->request_blocks == UNKNOWN)
        return UNKNOWN;
    used = scale_up(used, 100 + ADVICE_MARGIN_PERCENT, 100);
    return MAX(used, it->request_blocks) + 1;
}

/* On one device; the rows of that port are all there only where their sum is the model's. */
static uint64_t held_on(const struct snapshot *snapshot, uint16_t port, uint32_t device)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < snapshot->n_processes; i++) {
        const struct snapshot_process *process = &snapshot->processes[i];

        if (process->owner == OWNER_ENGINE && process->port == port &&
            process->device == device)
            sum = add_saturating(sum, process->bytes);
    }
    return sum;
}

static bool is_held_known(const struct snapshot *snapshot,
                          const struct snapshot_model *model)
{
    uint64_t sum = 0;

    if (model->allocated_bytes.how != MEASURED)
        return false;
    for (uint64_t left = model->devices; left; left &= left - 1)
        sum = add_saturating(
            sum, held_on(snapshot, model->port, (uint32_t)__builtin_ctzll(left)));
    return sum == model->allocated_bytes.value;
}

/* The most on one of its GPUs; UNKNOWN. */
static uint64_t held_most(const struct snapshot *snapshot,
                          const struct snapshot_model *model)
{
    uint64_t most = 0;

    if (!is_held_known(snapshot, model))
        return UNKNOWN;
    for (uint64_t left = model->devices; left; left &= left - 1) {
        uint64_t held = held_on(snapshot, model->port, (uint32_t)__builtin_ctzll(left));

        most = MAX(most, held);
    }
    return most;
}

/* Is the size of a block known on each GPU, with a bound of its error? */
static bool size_up(struct advice_case *it)
{
    const struct snapshot_model *model = it->model;
    const struct engine_page *page = &model->page;
    const struct figure *each = &model->kv_pool_per_gpu;

    if (each->how == FROM_NOWHERE || !is_count(each->value) ||
        each->error > each->value || model->kv_used_bytes.how == FROM_NOWHERE ||
        model->kv_used_bytes.error == UNKNOWN)
        return false;
    if (page->engines == 0 || !is_count(page->kv_blocks) ||
        page->kv_blocks % page->engines != 0 || !is_count(model->kv_pool_bytes.value))
        return false;
    it->engines = page->engines;
    it->gpus = (uint64_t)__builtin_popcountll(model->devices);
    it->blocks = page->kv_blocks / page->engines;
    it->pool = each->value;
    it->error = each->error;
    it->used_blocks = blocks_of(it, it->seen->kv_used_max);
    it->p999_blocks = blocks_of(it, it->seen->kv_used_p999);
    it->request_blocks = request_blocks(it);
    it->need_blocks = need_blocks(it);
    it->held = held_most(it->snapshot, model);
    return it->gpus > 0;
}

bool advice_case_open(const struct observation *seen, const struct snapshot *snapshot,
                      struct advice_case *ret)
{
    const struct snapshot_model *model = find_model(snapshot, &seen->of);

    if (!model || seen->observed_ms < ADVICE_LEAST_MS || seen->kv_used_max == UNKNOWN ||
        model->kv_pool_bytes.how == FROM_NOWHERE ||
        model->kv_pool_bytes.value != seen->kv_pool_bytes)
        return false;
    *ret = (struct advice_case){.seen = seen, .snapshot = snapshot, .model = model};
    ret->is_sized = size_up(ret);
    return true;
}

bool advice_is_short(const struct advice_case *it)
{
    return it->seen->preemptions > 0 || // NAN is not
           it->seen->full_ms >= ADVICE_FULL_LEAST_MS;
}

uint64_t advice_size_bytes(const struct advice_case *it, uint64_t blocks)
{
    return scale_up(blocks, it->pool + it->error, it->blocks);
}

uint64_t advice_size_frees(const struct advice_case *it, uint64_t blocks)
{
    uint64_t least = it->pool - it->error, size = advice_size_bytes(it, blocks);

    return least - MIN(least, size);
}

uint64_t advice_size_takes(const struct advice_case *it, uint64_t blocks)
{
    uint64_t least = it->pool - it->error, size = advice_size_bytes(it, blocks);

    return size - MIN(least, size);
}

uint64_t advice_shrunk_blocks(const struct advice_case *it)
{
    uint64_t frees;

    if (!it->is_sized || it->need_blocks == UNKNOWN || it->need_blocks >= it->blocks ||
        advice_is_short(it))
        return UNKNOWN;
    if (it->seen->kv_used_max == 0 && it->seen->observed_ms < ADVICE_IDLE_MS)
        return UNKNOWN;
    frees = advice_size_frees(it, it->need_blocks);
    if (frees < ADVICE_FREES_LEAST ||
        frees < scale_up(it->pool, ADVICE_FREES_LEAST_PERCENT, 100))
        return UNKNOWN;
    return it->need_blocks;
}

uint64_t advice_device_total(const struct snapshot_device *device)
{
    uint64_t total = device->mem_total_bytes, reserved = device->mem_reserved_bytes;

    if (total == UNKNOWN || reserved == UNKNOWN)
        return total;
    return total - MIN(reserved, total);
}

uint64_t advice_device_free(const struct snapshot_device *device)
{
    uint64_t total = advice_device_total(device);

    if (total == UNKNOWN || device->mem_used_bytes == UNKNOWN)
        return UNKNOWN;
    return total - MIN(device->mem_used_bytes, total);
}

uint64_t advice_device_slack(const struct snapshot_device *device)
{
    return scale_up(advice_device_total(device), ADVICE_SLACK_PERCENT, 100);
}

uint64_t advice_device_room(const struct snapshot_device *device)
{
    uint64_t free = advice_device_free(device);

    return free == UNKNOWN ? UNKNOWN : free - MIN(advice_device_slack(device), free);
}

const struct snapshot_device *advice_tightest(const struct advice_case *it)
{
    const struct snapshot_device *tightest = NULL;

    for (uint64_t left = it->model->devices; left; left &= left - 1) {
        const struct snapshot_device *device =
            &it->snapshot->devices[__builtin_ctzll(left)];
        uint64_t room = advice_device_room(device);

        if (room == UNKNOWN)
            return NULL;
        if (!tightest || room < advice_device_room(tightest))
            tightest = device;
    }
    return tightest;
}

/* What is held there with a pool of another size, as a part; UNKNOWN. */
static uint64_t held_part(const struct advice_case *it, uint64_t held, uint64_t size,
                          uint64_t total)
{
    if (it->held == UNKNOWN || held < it->pool || held > total)
        return UNKNOWN;
    return scale_up(held - (it->pool - it->error) + size, ADVICE_THOUSAND, total);
}

/* The share that was ordered, with a pool of another size; UNKNOWN. */
static uint64_t ordered_part(const struct advice_case *it, uint64_t size, uint64_t total)
{
    double more = (double)size - (double)(it->pool - it->error);
    double part = it->model->page.gpu_memory_utilization + more / (double)total;

    if (!(part > 0)) // nor is NAN
        return UNKNOWN;
    return (uint64_t)ceil(part * ADVICE_THOUSAND - 1e-9); // a share of 0.9 is just that
}

struct advice_share advice_utilization(const struct advice_case *it, uint64_t blocks)
{
    const struct engine_page *page = &it->model->page;
    uint64_t size = advice_size_bytes(it, blocks);
    struct advice_share share = {0, !page->kv_memory_option && !page->kv_blocks_ordered,
                                 NULL, UNKNOWN};

    for (uint64_t left = it->model->devices; left; left &= left - 1) {
        uint32_t at = (uint32_t)__builtin_ctzll(left);
        const struct snapshot_device *device = &it->snapshot->devices[at];
        uint64_t held = held_on(it->snapshot, it->model->port, at);
        uint64_t total = advice_device_total(device), part = UNKNOWN;

        if (is_count(total))
            part = share.sizes_the_pool ? ordered_part(it, size, total)
                                        : held_part(it, held, size, total);
        if (part > share.thousandths) {
            share.thousandths = part;
            share.device = device;
            share.held = held;
        }
    }
    if (share.thousandths == 0 || share.thousandths >= ADVICE_THOUSAND)
        share.thousandths = UNKNOWN;
    return share;
}
