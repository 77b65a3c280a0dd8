// SPDX-License-Identifier: Apache-2.0
#include "join/kv_sources.h"

#define GIB (UINT64_C(1) << 30)

/* What is told per rank is told of the usable blocks: the pool has one more. */
static void add_null_blocks(const struct kv_question *q, struct kv_answer *answer)
{
    uint64_t engines = q->page->engines, blocks = q->page->kv_blocks;

    if (blocks != UNKNOWN && blocks > engines) {
        answer->pool_bytes = kv_scale(answer->pool_bytes, blocks, 1, blocks - engines);
        return;
    }
    answer->how = ESTIMATED;
    answer->caveat = "without the null block, whose size is not known";
    answer->error = UNKNOWN;
}

/*
 * The engine's own byte metrics. Two builds export kv_cache_capacity_bytes: one for the
 * whole engine; the other, told by kv_cache_active_bytes beside it, for one rank.
 */
static bool ask_engine(const struct kv_question *q, struct kv_answer *ret,
                       const char **ret_why)
{
    uint64_t ranks = q->page->kv_bytes_per_rank ? q->gpus : 1;

    if (q->page->kv_capacity_bytes == UNKNOWN)
        return false;
    *ret_why = ranks ? "its count of the bytes in use cannot be" : q->gpus_why;
    if (ranks == 0 || (q->page->kv_bytes_per_rank && q->page->kv_active_bytes == UNKNOWN))
        return false;
    *ret_why = NULL;
    ret->how = BY_ENGINE;
    ret->pool_bytes = kv_scale(q->page->kv_capacity_bytes, ranks, 1, q->page->engines);
    if (q->page->kv_bytes_per_rank) {
        ret->used_bytes = kv_scale(q->page->kv_active_bytes, ranks, 1, 1);
        add_null_blocks(q, ret);
    }
    return true;
}

static bool ask_operator_block(const struct kv_question *q, struct kv_answer *ret,
                               const char **ret_why)
{
    if (q->engine->kv_bytes_per_block == UNKNOWN)
        return false;
    *ret_why = q->gpus ? q->page->kv_why : q->gpus_why;
    if (q->gpus == 0 || !kv_are_counted(q->page))
        return false;
    ret->block_bytes = kv_scale(q->engine->kv_bytes_per_block, q->gpus, 1, 1);
    ret->same_on_each_gpu = q->page->engines == 1; // of engines each has its own blocks
    return true;
}

/* A pool of so many bytes on each GPU, of which whole blocks were made. */
static bool pool_per_gpu(const struct kv_question *q, uint64_t bytes,
                         struct kv_answer *ret, const char **ret_why)
{
    if (bytes == UNKNOWN)
        return false;
    if (q->gpus == 0) {
        *ret_why = q->gpus_why;
        return false;
    }
    ret->pool_bytes = kv_scale(bytes, q->gpus, 1, 1);
    ret->how = ESTIMATED;
    ret->caveat = "less than one block of error: the pool is given, not the block";
    ret->error = q->page->kv_blocks == UNKNOWN
                     ? UNKNOWN
                     : kv_scale(ret->pool_bytes, q->page->engines, 1, q->page->kv_blocks);
    return true;
}

static bool ask_operator_pool(const struct kv_question *q, struct kv_answer *ret,
                              const char **ret_why)
{
    ret->same_on_each_gpu = true;
    return pool_per_gpu(q, q->engine->kv_pool_bytes_per_gpu, ret, ret_why);
}

static bool is_launch_known(const struct model_facts *model)
{
    return model && (model->has_launch || model->has_settings);
}

/* NULL, or why the GPUs seen, and the bytes on them, are not all of the engine's. */
static const char *doubt_gpus(const struct kv_question *q)
{
    const struct model_facts *model = q->engine->model;

    if (is_launch_known(model) &&
        degree_or_one(model->launch.tp) * degree_or_one(model->launch.pp) != q->gpus)
        return "the driver sees it on another number of GPUs than its command line says";
    return NULL;
}

/*
 * A pool per GPU that vLLM made: the same number of blocks on each, as many as fit on the
 * one with the most layers. Only without pipeline stages are these equal.
 */
static bool pool_as_made(const struct kv_question *q, uint64_t bytes,
                         struct kv_answer *ret, const char **ret_why)
{
    const struct model_facts *model = q->engine->model;

    if (bytes == UNKNOWN)
        return false;
    *ret_why = "the number of its blocks was ordered, not their bytes alone";
    if (q->page->kv_blocks_ordered ||
        (is_launch_known(model) && model->launch.num_gpu_blocks_override != UNKNOWN))
        return false;
    *ret_why = q->gpus ? doubt_gpus(q) : NULL;
    if (*ret_why || !pool_per_gpu(q, bytes, ret, ret_why))
        return false;
    if (q->gpus > 1 && (!is_launch_known(model) || degree_or_one(model->launch.pp) > 1)) {
        ret->error = UNKNOWN;
        ret->caveat =
            "its GPUs may hold unlike numbers of layers: the pool is at most that";
    }
    return true;
}

/* --kv-cache-memory-bytes, by the engine's label or by the command line itself. */
static bool ask_order(const struct kv_question *q, struct kv_answer *ret,
                      const char **ret_why)
{
    const struct model_facts *model = q->engine->model;
    uint64_t bytes = q->page->kv_memory_bytes;

    if (bytes == UNKNOWN && is_launch_known(model))
        bytes = model->launch.kv_cache_memory_bytes;
    ret->same_on_each_gpu =
        is_launch_known(model) && degree_or_one(model->launch.pp) == 1;
    return pool_as_made(q, bytes, ret, ret_why);
}

/* NULL, or why the command line does not settle how the model is placed. */
static const char *doubt_launch(const struct model_facts *model)
{
    if (!model)
        return "how it was started is not visible";
    if (!model->has_settings && !model->has_launch)
        return "the process that listens was not started as a vLLM server";
    if (!model->config_told && model->launch.config_file[0])
        return "it was started with --config, whose file cannot be read";
    if (model->env_unclear || (!model->config_told && model->launch.unclear))
        return "it was started with options that change its KV cache in unknown ways";
    if (model->launch.hf_overrides && !model->config_told)
        return "it was started with --hf-overrides: config.json is not the last word";
    if (degree_or_one(model->launch.pcp) > 1)
        return "how prefill-context parallelism spreads the KV cache is not known";
    if (!model->has_config)
        return "its config.json cannot be read (run as its user or as root, or set "
               "`kv_bytes_per_block` in the config file)";
    return NULL;
}

static struct kv_placement placement_of(const struct kv_question *q)
{
    const struct launch *launch = &q->engine->model->launch;

    return (struct kv_placement){
        .tp = degree_or_one(launch->tp),
        .pp = degree_or_one(launch->pp),
        .dcp = degree_or_one(launch->dcp),
        .block_size = q->page->kv_block_tokens,
        .cache_dtype = span_of(q->page->kv_dtype),
        .dtype = span_of(launch->dtype),
        .skips_layers = launch->skips_layers || q->page->kv_skips_layers,
        .rule = q->engine->model->rule,
        .hybrid = launch_hybrid(launch),
        .draft_kind = launch_draft(launch),
        .draft = q->engine->model->has_draft ? &q->engine->model->draft : NULL,
        .draft_tp = launch->draft_tp,
    };
}

/*
 * What the model's config and its placement give, unless the engine or the driver objects.
 */
static bool ask_shape(const struct kv_question *q, struct kv_answer *ret,
                      const char **ret_why)
{
    const struct model_facts *model = q->engine->model;
    struct kv_placement placement;
    struct kv_shape shape;
    struct kv_claim claim = {UNKNOWN, q->page->kv_block_tokens, q->page->kv_size_tokens,
                             UNKNOWN, 1};

    *ret_why = q->page->kv_why;
    if (!kv_are_counted(q->page) || q->page->kv_block_tokens == UNKNOWN)
        return false;

    placement = placement_of(q);
    if (kv_shape_of(&model->config, &placement, &shape, ret_why) < 0)
        return false;
    claim.blocks = q->page->kv_blocks / q->page->engines;
    claim.max_model_len = model->max_model_len != UNKNOWN ? model->max_model_len
                                                          : model->launch.max_model_len;
    claim.dcp = placement.dcp;
    if (kv_shape_check(&shape, &claim, ret_why) < 0)
        return false;
    if (q->gpus == 0 && model->launch.tp == UNKNOWN) {
        *ret_why = q->gpus_why; // the default of 1 has nothing to be checked against
        return false;
    }
    if (q->gpus && shape.gpus != q->gpus) {
        *ret_why =
            "the driver sees it on another number of GPUs than its command line says";
        return false;
    }
    *ret_why = NULL;
    ret->block_bytes = shape.bytes_per_block_all_gpus;
    ret->how = shape.exact ? DERIVED : ESTIMATED;
    ret->caveat = shape.caveat;
    ret->error = shape.exact ? 0 : UNKNOWN;
    return true;
}

/*
 * What the server tells of its pool, of each GPU and rounded. What it keeps beside the
 * pages that it counts is within that.
 */
static bool ask_told(const struct kv_question *q, struct kv_answer *ret,
                     const char **ret_why)
{
    if (!pool_per_gpu(q, q->page->kv_told_bytes, ret, ret_why))
        return false;
    ret->caveat = "as the server tells it, rounded";
    ret->error = kv_scale(q->page->kv_told_error, q->gpus, 1, 1);
    ret->same_on_each_gpu = q->page->engines == 1;
    return true;
}

static bool ask_config(const struct kv_question *q, struct kv_answer *ret,
                       const char **ret_why)
{
    *ret_why = kv_doubt_kind(q);
    if (*ret_why)
        return false;
    *ret_why = doubt_launch(q->engine->model);
    return !*ret_why && !q->engine->model->config_told && ask_shape(q, ret, ret_why);
}

/* Likewise, when the config too is the server's own word (development mode). */
static bool ask_server(const struct kv_question *q, struct kv_answer *ret,
                       const char **ret_why)
{
    const struct model_facts *model = q->engine->model;

    return !kv_doubt_kind(q) && model && model->config_told && !doubt_launch(model) &&
           ask_shape(q, ret, ret_why);
}

/*
 * "Available KV cache memory": two decimals of a GiB, of one rank before the least of all
 * ranks is taken, which was up to 1.1 % less in the logs we have seen.
 */
static bool ask_log(const struct kv_question *q, struct kv_answer *ret,
                    const char **ret_why)
{
    const struct model_facts *model = q->engine->model;
    const struct log_range *available = model ? &model->log.available_bytes : NULL;

    if (kv_doubt_kind(q) || !model || !model->has_log || available->n == 0 ||
        !pool_as_made(q, available->lowest, ret, ret_why))
        return false;
    ret->caveat = "from its start-up log, which rounds";
    ret->error = add_saturating(
        ret->error, kv_scale(available->lowest / 90 + LOG_KV_ERROR_BYTES, q->gpus, 1, 1));
    return true;
}

/* What else a GPU process needs: a CUDA context, activations, CUDA graphs. */
#define OVERHEAD_LEAST (UINT64_C(8) * GIB / 10)
#define OVERHEAD_MOST (UINT64_C(46) * GIB / 10)

static bool is_16_bit(const char *dtype)
{
    static const char *const names[] = {
        "", "auto", "bfloat16", "float16", "half", "torch.bfloat16", "torch.float16"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(dtype, names[i]) == 0)
            return true;
    return false;
}

/* NULL, or why its weights are not what its checkpoint takes on the disk. */
static const char *doubt_weights(const struct model_facts *model)
{
    const struct launch *launch = &model->launch;

    if (launch->unclear || launch->config_file[0])
        return "it may have been started with options that change what it holds";
    if (!model->has_config || model->config.dtype_bytes != 2 || !is_16_bit(launch->dtype))
        return "in which type its weights are loaded is not known";
    if (launch_draft(launch) != KV_DRAFT_NONE)
        return "how much of what it holds guesses tokens ahead is not known";
    if (launch->quantization[0])
        return "its weights may take less than its checkpoint does";
    if (launch->offloads_weights || launch->lora)
        return "its weights are not those of its checkpoint alone";
    if (launch->expert_parallel && degree_or_one(launch->dp) > 1)
        return "how its experts are spread is not known";
    return NULL;
}

/*
 * What its processes hold, less the weights and the rest. Parts of the weights that each
 * rank has for itself are a twentieth at most.
 */
static bool ask_measured(const struct kv_question *q, struct kv_answer *ret,
                         const char **ret_why)
{
    const struct model_facts *model = q->engine->model;
    uint64_t engines = q->page->engines, held = q->holder->held_bytes, other;

    if (kv_doubt_kind(q) || !model || !model->has_weights ||
        (!model->has_launch && !model->has_settings) || held == UNKNOWN || q->gpus == 0 ||
        q->holder->gpus != q->gpus * engines)
        return false;
    *ret_why = doubt_gpus(q);
    if (!*ret_why)
        *ret_why = doubt_weights(model);
    if (*ret_why)
        return false;
    other = model->weights_bytes + q->gpus * (OVERHEAD_LEAST + OVERHEAD_MOST) / 2;
    ret->error =
        q->gpus * (OVERHEAD_MOST - OVERHEAD_LEAST) / 2 + model->weights_bytes / 20;
    *ret_why = "what it holds is hardly more than its weights";
    if (held / engines < other + ret->error)
        return false;
    *ret_why = NULL;
    ret->pool_bytes = held / engines - other;
    ret->how = ESTIMATED;
    ret->caveat =
        "what its processes hold less its weights and an allowance for the rest";
    return true;
}

uint64_t kv_groups_of(const struct kv_question *q)
{
    const struct model_facts *model = q->engine->model;
    struct kv_placement placement;
    struct kv_shape shape;
    const char *why;

    if (q->page->kv_size_tokens != UNKNOWN || q->page->kv_block_tokens == UNKNOWN ||
        doubt_launch(model))
        return UNKNOWN;
    placement = placement_of(q);
    if (kv_shape_of(&model->config, &placement, &shape, &why) < 0 || shape.groups == 0)
        return UNKNOWN;
    return shape.groups;
}

const struct kv_source kv_sources[] = {
    {"engine", ask_engine},
    {"kv_bytes_per_block", ask_operator_block},
    {"kv_pool_bytes_per_gpu", ask_operator_pool},
    {"kv_cache_memory_bytes", ask_order},
    {"server_memory", ask_told},
    {"config.json", ask_config},
    {"server_info", ask_server},
    {"log", ask_log},
    {"process_memory", ask_measured},
};

const size_t kv_sources_n = ARRAY_LEN(kv_sources);
