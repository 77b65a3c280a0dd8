// SPDX-License-Identifier: Apache-2.0
#include "model/kv_plan.h"

enum {
    RANKS_MAX = 1 << 12,      // of each way of being parallel
    BLOCK_SIZE_MAX = 1 << 20, // tokens: a block of all layers then fits 64 bits
    DRAFT_LAYERS_MAX = 64,    // of a draft model
};

static int missing(const char **ret_why, const char *why)
{
    *ret_why = why;
    return -ENODATA;
}

static int refuse(const char **ret_why, const char *why)
{
    *ret_why = why;
    return -ENOTSUP;
}

static int absurd(const char **ret_why)
{
    *ret_why = "by its config.json a KV block would be larger than any memory";
    return -ERANGE;
}

/* ---- the type of what is cached ---- */

enum { ELEMENT_PACKED, ELEMENT_AUTO = 0xff };

/* Types with no scales beside the numbers, so that a size is all there is to them. */
static const struct cache_type {
    const char *name;
    uint8_t element; // bytes of one number
} cache_types[] = {
    // clang-format off
    {"auto", ELEMENT_AUTO},
    {"float16", 2}, {"half", 2}, {"bfloat16", 2}, {"float32", 4}, {"float", 4},
    {"fp8", 1}, {"fp8_e4m3", 1}, {"fp8_e5m2", 1}, {"fp8_inc", 1},
    {"fp8_ds_mla", ELEMENT_PACKED},
    // clang-format on
};

static bool find_cache_type(struct span name, uint8_t *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(cache_types); i++) {
        if (!span_is(name, cache_types[i].name))
            continue;
        *ret = cache_types[i].element;
        return true;
    }
    return false;
}

/*
 * The type that the model computes in: --dtype, else the checkpoint's. Left to itself,
 * the engine computes in 16 bits where the checkpoint has 32 or does not say.
 */
static int find_model_element(const struct model_config *config, struct span dtype,
                              uint64_t *ret, const char **ret_why)
{
    static const char module[] = "torch.";
    size_t skip = sizeof(module) - 1;
    uint8_t element;

    if (dtype.len > skip && memcmp(dtype.at, module, skip) == 0)
        dtype = (struct span){dtype.at + skip, dtype.len - skip};
    if (dtype.len && !span_is(dtype, "auto")) {
        if (!find_cache_type(dtype, &element) || element < 2)
            return refuse(ret_why, "the type it computes in (--dtype) is not known");
        *ret = element;
        return 0;
    }
    if (config->dtype_bytes == 0)
        return refuse(ret_why, "the type of its weights is not known");
    *ret = 2;
    return 0;
}

static int find_element(const struct model_config *config,
                        const struct kv_placement *placement, uint64_t *ret,
                        const char **ret_why)
{
    uint8_t element;

    if (placement->cache_dtype.len == 0)
        return missing(ret_why, "the type of its KV cache is not known");
    if (!find_cache_type(placement->cache_dtype, &element))
        return refuse(ret_why, "its KV-cache type keeps scales whose size is not known");
    if (placement->skips_layers)
        return refuse(ret_why, "some of its layers keep another KV-cache type");
    if (element != ELEMENT_AUTO) {
        *ret = element;
        return 0;
    }
    switch (config->checkpoint_kv) {
    case CHECKPOINT_KV_UNSAID:
        return find_model_element(config, placement->dtype, ret, ret_why);
    case CHECKPOINT_KV_FP8:
    case CHECKPOINT_KV_FP8_MAYBE:
        *ret = 1;
        return 0;
    case CHECKPOINT_KV_OTHER:
        break;
    }
    return refuse(ret_why, "its checkpoint asks for a KV-cache type that is not known");
}

/* ---- what each layer keeps ---- */

static int plan_model(const struct model_config *config,
                      const struct kv_placement *placement, struct kv_plan *plan,
                      const char **ret_why)
{
    const struct kv_family *family = kv_family_of(config->type);

    if (config->type[0] == '\0')
        return missing(ret_why, "its config.json does not say which kind of model it is");
    if (!family)
        return refuse(ret_why, "its kind of model is not one whose blocks are known");
    if (!family->plan)
        return refuse(ret_why, family->why);
    if (config->encoder_decoder)
        return refuse(ret_why,
                      "its cross-attention keeps blocks of a size that is not known");
    if (config->not_causal)
        return refuse(ret_why, "whether it keeps KV of both directions is not known");
    return family->plan(config, placement, family, plan, ret_why);
}

static void add_drafts(struct kv_plan *plan, uint64_t n, uint32_t token_bytes)
{
    for (uint64_t i = 0; i < n; i++)
        plan->layer[plan->n++] =
            (struct kv_layer){LAYER_FULL, (uint16_t)plan->places, token_bytes};
}

/* The model's own prediction layers. */
static int add_own_drafts(const struct model_config *config, struct kv_plan *plan,
                          const char **ret_why)
{
    uint64_t n = config->draft_layers;

    if (n == UNKNOWN && kv_family_of(config->type)->defaults.draft_layers)
        n = kv_family_of(config->type)->defaults.draft_layers;
    if (n == UNKNOWN || plan->draft_bytes == 0)
        return missing(ret_why, "how many layers its draft adds is not known");
    add_drafts(plan, n, plan->draft_bytes);
    return 0;
}

/* Another model's layers: they must keep every token, as the draft of an EAGLE does. */
static int add_draft_model(const struct kv_placement *placement, struct kv_plan *plan,
                           const char **ret_why)
{
    struct kv_placement own = *placement;
    struct kv_plan draft;
    int r;

    if (!placement->draft)
        return missing(ret_why, "the config.json of its draft model is not known");
    if (placement->draft_tp != UNKNOWN)
        own.tp = placement->draft_tp;
    if (own.tp != placement->tp)
        return refuse(ret_why, "on which GPUs its draft model runs is not known");
    memset(&draft, 0, sizeof(draft));
    draft.element = plan->element;
    r = plan_model(placement->draft, &own, &draft, ret_why);
    if (r < 0)
        return r;
    if (draft.n > DRAFT_LAYERS_MAX)
        return refuse(ret_why, "its draft model has too many layers");
    for (uint32_t i = 0; i < draft.n; i++) {
        if (draft.layer[i].kind != LAYER_FULL)
            return refuse(ret_why, "its draft model has windows or states");
        add_drafts(plan, 1, draft.layer[i].token_bytes);
    }
    return 0;
}

static int plan_drafts(const struct model_config *config,
                       const struct kv_placement *placement, struct kv_plan *plan,
                       const char **ret_why)
{
    switch (placement->draft_kind) {
    case KV_DRAFT_NONE:
        return 0;
    case KV_DRAFT_MTP:
        return add_own_drafts(config, plan, ret_why);
    case KV_DRAFT_MODEL:
        return add_draft_model(placement, plan, ret_why);
    case KV_DRAFT_UNKNOWN:
        break;
    }
    return refuse(ret_why, "how many layers its way of guessing ahead adds is not known");
}

/* ---- how layers share blocks ---- */

/* Layers are split evenly; what is left over goes to the stages before the last. */
static uint64_t stage_layers(uint64_t layers, uint64_t stages, uint64_t stage)
{
    uint64_t left = layers % stages;

    return layers / stages + (stage + 1 < stages && stage + 1 + left >= stages);
}

/* A stage holds the places first..end-1; the last one holds the drafts too. */
struct stage {
    uint64_t first, end;
};

static struct stage find_stage(const struct kv_plan *plan, uint64_t stages,
                               uint64_t stage)
{
    struct stage found = {0, 0};

    for (uint64_t i = 0; i <= stage; i++) {
        found.first = found.end;
        found.end += stage_layers(plan->places, stages, i);
    }
    if (stage + 1 == stages)
        found.end = UNKNOWN;
    return found;
}

static bool is_on(const struct kv_layer *layer, struct stage stage)
{
    return layer->place >= stage.first && layer->place < stage.end;
}

/* Layers of each kind that keep something. */
struct census {
    uint32_t of[LAYER_KINDS];
    uint32_t kinds;       // that occur
    uint32_t least, most; // of one kind
    uint32_t token_bytes; // of the first attention layer
    bool alike;           // all attention layers keep as much
};

static struct census take_census(const struct kv_plan *plan)
{
    struct census census = {.alike = true, .least = UINT32_MAX};

    for (uint32_t i = 0; i < plan->n; i++) {
        const struct kv_layer *layer = &plan->layer[i];

        census.of[layer->kind]++;
        if (layer->token_bytes == 0)
            continue;
        if (census.token_bytes == 0)
            census.token_bytes = layer->token_bytes;
        census.alike = census.alike && layer->token_bytes == census.token_bytes;
    }
    for (unsigned kind = LAYER_NONE + 1; kind < LAYER_KINDS; kind++) {
        if (census.of[kind] == 0)
            continue;
        census.kinds++;
        census.least = MIN(census.least, census.of[kind]);
        census.most = MAX(census.most, census.of[kind]);
    }
    return census;
}

static uint32_t group_size(const struct census *census, enum kv_rule rule)
{
    uint64_t least = census->least, most = census->most;
    bool pads = (rule == KV_RULE_QUARTER && 4 * most < 5 * least) ||
                (rule == KV_RULE_HALF && 2 * most < 3 * least);

    return pads ? census->most : census->least;
}

/* Layers are dealt to the groups of their kind in turn: how many has the largest here? */
static uint32_t largest_group(const struct kv_plan *plan, enum layer_kind kind,
                              uint32_t groups, struct stage stage)
{
    uint16_t size[KV_PLAN_MAX] = {0};
    uint32_t seen = 0, largest = 0;

    for (uint32_t i = 0; i < plan->n; i++) {
        const struct kv_layer *layer = &plan->layer[i];
        uint32_t group;

        if (layer->kind != kind)
            continue;
        group = seen++ % groups;
        if (is_on(layer, stage))
            largest = MAX(largest, ++size[group]);
    }
    return largest;
}

/* Add one stage's bytes of a block to the shape. */
static bool add_stage(struct kv_shape *shape, uint64_t bytes, uint64_t tp)
{
    uint64_t on_all;

    if (__builtin_mul_overflow(bytes, tp, &on_all) ||
        __builtin_add_overflow(shape->bytes_per_block_all_gpus, on_all,
                               &shape->bytes_per_block_all_gpus))
        return false;
    shape->bytes_per_block = MAX(shape->bytes_per_block, bytes);
    return shape->bytes_per_block_all_gpus <= INT64_MAX;
}

/* One group: a block holds block_size tokens of every layer. */
static int shape_one_group(const struct kv_plan *plan,
                           const struct kv_placement *placement, struct kv_shape *ret,
                           const char **ret_why)
{
    for (uint64_t i = 0; i < placement->pp; i++) {
        struct stage stage = find_stage(plan, placement->pp, i);
        uint64_t bytes = 0;

        for (uint32_t j = 0; j < plan->n; j++)
            if (is_on(&plan->layer[j], stage))
                bytes += plan->layer[j].token_bytes * placement->block_size;
        if (!add_stage(ret, bytes, placement->tp))
            return absurd(ret_why);
    }
    ret->groups = 1;
    return 0;
}

/* Several groups: a block is one page for each layer of the largest group. */
static int shape_groups(const struct kv_plan *plan, const struct kv_placement *placement,
                        enum kv_rule rule, struct kv_shape *ret, const char **ret_why)
{
    const struct census census = take_census(plan);
    uint64_t page = census.token_bytes * placement->block_size;
    uint32_t size = group_size(&census, rule);

    for (uint64_t i = 0; i < placement->pp; i++) {
        struct stage stage = find_stage(plan, placement->pp, i);
        uint32_t largest = 0;

        ret->groups = 0;
        for (unsigned kind = LAYER_NONE + 1; kind < LAYER_KINDS; kind++) {
            uint32_t groups = (census.of[kind] + size - 1) / size, here;

            if (groups == 0)
                continue;
            here = largest_group(plan, (enum layer_kind)kind, groups, stage);
            largest = MAX(largest, here);
            ret->groups += groups;
        }
        if (!add_stage(ret, page * largest, placement->tp))
            return absurd(ret_why);
    }
    return 0;
}

/* Without the hybrid manager a window layer keeps every token. */
static void forget_windows(struct kv_plan *plan)
{
    for (uint32_t i = 0; i < plan->n; i++)
        if (plan->layer[i].kind == LAYER_WINDOW)
            plan->layer[i].kind = LAYER_FULL;
}

static int check_mixed(const struct kv_plan *plan, const struct census *census,
                       const struct kv_placement *placement, const char **ret_why)
{
    uint64_t page = census->token_bytes * placement->block_size;

    if (census->token_bytes == 0)
        return refuse(ret_why, "the size of its state blocks is not known");
    if (!census->alike)
        return refuse(ret_why,
                      "how blocks of its unlike layers are made equal is not known");
    if (placement->dcp > 1)
        return refuse(ret_why,
                      "how context-parallel ranks share such blocks is not known");
    if (census->of[LAYER_WINDOW] && placement->hybrid == KV_HYBRID_UNSURE)
        return refuse(ret_why, "whether its window layers share blocks is not known");
    if (census->of[LAYER_STATE] && placement->hybrid == KV_HYBRID_OFF)
        return refuse(ret_why, "it cannot run without the hybrid KV-cache manager");
    if (census->of[LAYER_STATE] && page < plan->state_bytes)
        return refuse(ret_why, "its block size is too small for its states, so it is not "
                               "the one in use");
    return 0;
}

static int shape_by_rule(const struct kv_plan *plan, const struct kv_placement *placement,
                         enum kv_rule rule, struct kv_shape *ret, const char **ret_why)
{
    const struct census census = take_census(plan);

    if (rule != KV_RULE_ALL_FULL)
        return shape_groups(plan, placement, rule, ret, ret_why);
    if (census.of[LAYER_STATE])
        return refuse(ret_why, "how so old a release keeps states is not known");
    ret->uniform = true;
    return shape_one_group(plan, placement, ret, ret_why);
}

/* Of a release that is not known: what all that it can be agree on. */
static int shape_by_any_rule(const struct kv_plan *plan,
                             const struct kv_placement *placement, bool has_states,
                             struct kv_shape *ret, const char **ret_why)
{
    enum kv_rule rule = has_states ? KV_RULE_LEAST : KV_RULE_ALL_FULL;
    const struct kv_shape empty = *ret;
    int r = shape_by_rule(plan, placement, rule, ret, ret_why);

    while (r == 0 && rule++ < KV_RULE_HALF) {
        struct kv_shape other = empty;

        r = shape_by_rule(plan, placement, rule, &other, ret_why);
        if (r == 0 && (other.bytes_per_block != ret->bytes_per_block ||
                       other.bytes_per_block_all_gpus != ret->bytes_per_block_all_gpus ||
                       other.groups != ret->groups))
            return missing(ret_why, "how its unlike layers share blocks depends on the "
                                    "release, which is not known");
    }
    return r;
}

static int shape_mixed(const struct kv_plan *plan, const struct kv_placement *placement,
                       struct kv_shape *ret, const char **ret_why)
{
    const struct census census = take_census(plan);
    int r = check_mixed(plan, &census, placement, ret_why);

    if (r < 0)
        return r;
    if (placement->pp > 1) {
        ret->exact = false;
        ret->caveat = "taken that pipeline stages divide its layers as by default";
    }
    if (placement->rule == KV_RULE_UNKNOWN)
        return shape_by_any_rule(plan, placement, census.of[LAYER_STATE] > 0, ret,
                                 ret_why);
    return shape_by_rule(plan, placement, placement->rule, ret, ret_why);
}

static int check_placement(const struct kv_placement *placement, const char **ret_why)
{
    if (placement->tp == 0 || placement->tp > RANKS_MAX || placement->pp == 0 ||
        placement->pp > RANKS_MAX || placement->dcp == 0 || placement->dcp > RANKS_MAX)
        return missing(ret_why, "on how many GPUs it runs is not known");
    if (placement->block_size == 0 || placement->block_size > BLOCK_SIZE_MAX)
        return missing(ret_why, "how many tokens a block holds is not known");
    return 0;
}

static int shape_plan(const struct kv_plan *plan, const struct kv_placement *placement,
                      struct kv_shape *ret, const char **ret_why)
{
    const struct census census = take_census(plan);

    for (uint32_t i = 0; i < plan->n; i++)
        ret->bytes_per_token += plan->layer[i].token_bytes;
    if (census.kinds == 0)
        return 0;
    if (placement->pp > plan->places)
        return refuse(ret_why, "it has fewer layers than pipeline stages");
    if (census.kinds > 1 || census.of[LAYER_STATE])
        return shape_mixed(plan, placement, ret, ret_why);
    ret->uniform = census.of[LAYER_FULL] > 0;
    return shape_one_group(plan, placement, ret, ret_why);
}

int kv_shape_of(const struct model_config *config, const struct kv_placement *placement,
                struct kv_shape *ret, const char **ret_why)
{
    struct kv_shape shape = {.exact = true};
    struct kv_plan plan;
    int r = check_placement(placement, ret_why);

    memset(&plan, 0, sizeof(plan));
    if (r == 0)
        r = find_element(config, placement, &plan.element, ret_why);
    if (r == 0)
        r = plan_model(config, placement, &plan, ret_why);
    if (r == 0)
        r = plan_drafts(config, placement, &plan, ret_why);
    if (r < 0)
        return r;

    shape.gpus = placement->tp * placement->pp;
    if (placement->hybrid == KV_HYBRID_OFF)
        forget_windows(&plan);
    if (span_is(placement->cache_dtype, "auto") &&
        config->checkpoint_kv == CHECKPOINT_KV_FP8_MAYBE) {
        shape.exact = false;
        shape.caveat =
            "taken that it obeys its checkpoint, which asks for an fp8 KV cache";
    }
    r = shape_plan(&plan, placement, &shape, ret_why);
    if (r == 0)
        *ret = shape;
    return r;
}
