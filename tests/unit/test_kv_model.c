// SPDX-License-Identifier: Apache-2.0
/* KV bytes where the model's config and the way it was started have to say them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "facts.h"
#include "join/kv.h"

#define U UNKNOWN

/* 28 layers x 8 KV heads x (128 + 128) x 2 bytes x 16 tokens. */
enum { BLOCK = 1835008, BLOCKS = 1001, USED = 500 };

static const char CONFIG[] =
    "{\"model_type\":\"qwen3\",\"torch_dtype\":\"bfloat16\",\"num_hidden_layers\":28,"
    "\"num_attention_heads\":16,\"num_key_value_heads\":8,\"head_dim\":128,"
    "\"hidden_size\":1024}";

struct situation {
    struct model_facts model;
    struct engine_page page;
    struct kv_holder holder;
};

typedef void change_fn(struct situation *s);

static void nothing(struct situation *s)
{
    (void)s;
}

static void remote(struct situation *s)
{
    s->model.has_launch = s->model.has_config = false;
    s->model.env_unclear = true;
}

static void told(struct situation *s)
{
    s->model.has_launch = false;
    s->model.has_settings = s->model.config_told = true;
    s->model.launch.tp = 1;
}

static void told_without_config(struct situation *s)
{
    told(s);
    s->model.has_config = s->model.config_told = false;
}

static void told_tp_of_another(struct situation *s)
{
    told(s);
    s->model.launch.tp = 2;
}

static void overridden(struct situation *s)
{
    s->model.launch.hf_overrides = true;
}

static void overridden_but_told(struct situation *s)
{
    told(s);
    s->model.launch.hf_overrides = true;
}

static void config_file(struct situation *s)
{
    s->model.launch.config_file[0] = 'f';
}

static void unclear(struct situation *s)
{
    s->model.launch.unclear = true;
}

static void environment(struct situation *s)
{
    s->model.env_unclear = true;
}

static void fp8(struct situation *s)
{
    memcpy(s->page.kv_dtype, "fp8", 4);
}

static void fp8_but_for_some(struct situation *s)
{
    fp8(s);
    s->page.kv_skips_layers = true;
}

static void capacity(struct situation *s)
{
    s->model.max_model_len = 4096; // of 256 blocks: 1001 / 256 x 4096
    s->page.kv_size_tokens = 16016;
}

static void capacity_of_others(struct situation *s)
{
    capacity(s);
    s->page.kv_size_tokens = 16014;
}

static void held_less(struct situation *s)
{
    s->holder.held_bytes = (uint64_t)BLOCKS * BLOCK - 1;
}

static void two_gpus(struct situation *s)
{
    s->holder.gpus = 2;
}

/* 20 GiB of weights; 26.7 GiB held: the allowance of 2.7 GiB leaves 4 GiB. */
static void measured(struct situation *s)
{
    s->model.config.differs_by_layer = true; // of a shape that is not known
    s->model.has_weights = true;
    s->model.weights_bytes = 20 * GIB;
    s->holder.held_bytes = 26 * GIB + 7 * GIB / 10;
}

static void measured_hardly(struct situation *s)
{
    measured(s);
    s->holder.held_bytes = 25 * GIB;
}

static void measured_quantized(struct situation *s)
{
    measured(s);
    memcpy(s->model.launch.quantization, "fp8", 4);
}

static void measured_lora(struct situation *s)
{
    measured(s);
    s->model.launch.lora = true;
}

static void measured_draft(struct situation *s)
{
    measured(s);
    s->model.launch.speculative = true;
    memcpy(s->model.launch.draft_method, "eagle3", 7);
}

static void measured_hidden(struct situation *s)
{
    measured(s);
    s->holder.held_bytes = U;
}

static void ordered(struct situation *s)
{
    s->model.has_config = false;
    s->model.launch.kv_cache_memory_bytes = 10 * GIB;
}

static void measured_unclear(struct situation *s)
{
    measured(s);
    s->model.launch.unclear = true;
}

static void measured_of_another_type(struct situation *s)
{
    measured(s);
    s->model.config.dtype_bytes = 4;
}

static void measured_ordered_type(struct situation *s)
{
    measured(s);
    memcpy(s->model.launch.dtype, "float32", 8);
}

static void measured_on_some_of_its_gpus(struct situation *s)
{
    measured(s);
    s->model.launch.tp = 2;
}

static void ordered_blocks(struct situation *s)
{
    ordered(s);
    s->model.launch.num_gpu_blocks_override = 100;
}

static void blocks_by_label(struct situation *s)
{
    ordered(s);
    s->page.kv_blocks_ordered = true;
}

static void ordered_on_some_of_its_gpus(struct situation *s)
{
    ordered(s);
    s->model.launch.tp = 2;
}

static void ordered_with_stages(struct situation *s)
{
    ordered(s);
    s->model.launch.pp = 2;
    s->holder.gpus = 2;
}

/* 10 GiB of KV cache on the rank with the least of it, as its start-up log tells. */
static void logged(struct situation *s)
{
    s->model.has_config = false;
    s->model.has_log = true;
    s->model.log.available_bytes = (struct log_range){2, 10 * GIB, 11 * GIB};
}

static void logged_of_two_gpus(struct situation *s)
{
    logged(s);
    s->model.launch.tp = s->holder.gpus = 2;
}

static void logged_on_some_of_its_gpus(struct situation *s)
{
    logged(s);
    s->model.launch.tp = 2;
}

static void logged_nothing(struct situation *s)
{
    logged(s);
    s->model.log.available_bytes.n = 0;
}

static void logged_blocks(struct situation *s)
{
    logged(s);
    s->model.launch.num_gpu_blocks_override = 100;
}

static void logged_and_measured(struct situation *s)
{
    measured(s);
    logged(s);
}

static const struct row {
    change_fn *change;
    uint64_t pool;
    enum provenance how;
    const char *source; // NULL: not known, because of
    const char *why;
} rows[] = {
    // clang-format off
    {nothing, (uint64_t)BLOCKS * BLOCK, DERIVED, "config.json", NULL},
    {remote, U, FROM_NOWHERE, NULL, "not started as a vLLM server"},
    {told, (uint64_t)BLOCKS * BLOCK, DERIVED, "server_info", NULL},
    {told_without_config, U, FROM_NOWHERE, NULL, "config.json cannot be read"},
    {told_tp_of_another, U, FROM_NOWHERE, NULL, "another number of GPUs"},
    {overridden, U, FROM_NOWHERE, NULL, "--hf-overrides"},
    {overridden_but_told, (uint64_t)BLOCKS * BLOCK, DERIVED, "server_info", NULL},
    {config_file, U, FROM_NOWHERE, NULL, "--config"},
    {unclear, U, FROM_NOWHERE, NULL, "unknown ways"},
    {environment, U, FROM_NOWHERE, NULL, "unknown ways"},
    {fp8, (uint64_t)BLOCKS * BLOCK / 2, DERIVED, "config.json", NULL},
    {fp8_but_for_some, U, FROM_NOWHERE, NULL, "layers"},
    {capacity, (uint64_t)BLOCKS * BLOCK, DERIVED, "config.json", NULL},
    {capacity_of_others, U, FROM_NOWHERE, NULL, "capacity in tokens"},
    {held_less, U, FROM_NOWHERE, NULL, "larger than what its processes hold"},
    {two_gpus, U, FROM_NOWHERE, NULL, "another number of GPUs"},
    {ordered, 10 * GIB, ESTIMATED, "kv_cache_memory_bytes", "less than one block"},
    {ordered_blocks, U, FROM_NOWHERE, NULL, "number of its blocks was ordered"},
    {blocks_by_label, U, FROM_NOWHERE, NULL, "number of its blocks was ordered"},
    {ordered_on_some_of_its_gpus, U, FROM_NOWHERE, NULL, "another number of GPUs"},
    {ordered_with_stages, 20 * GIB, ESTIMATED, "kv_cache_memory_bytes", "unlike numbers"},
    {logged, 10 * GIB, ESTIMATED, "log", "start-up log"},
    {logged_of_two_gpus, 20 * GIB, ESTIMATED, "log", "start-up log"},
    {logged_on_some_of_its_gpus, U, FROM_NOWHERE, NULL, "config.json cannot be read"},
    {logged_nothing, U, FROM_NOWHERE, NULL, "config.json cannot be read"},
    {logged_blocks, U, FROM_NOWHERE, NULL, "config.json cannot be read"},
    {logged_and_measured, 10 * GIB, ESTIMATED, "log", "start-up log"},
    {measured_unclear, U, FROM_NOWHERE, NULL, "unknown ways"},
    {measured_of_another_type, U, FROM_NOWHERE, NULL, ""},
    {measured_ordered_type, U, FROM_NOWHERE, NULL, ""},
    {measured_on_some_of_its_gpus, U, FROM_NOWHERE, NULL, ""},
    {measured, 4 * GIB, ESTIMATED, "process_memory", "allowance"},
    {measured_hardly, U, FROM_NOWHERE, NULL, ""},
    {measured_quantized, U, FROM_NOWHERE, NULL, ""},
    {measured_lora, U, FROM_NOWHERE, NULL, ""},
    {measured_draft, U, FROM_NOWHERE, NULL, ""},
    {measured_hidden, U, FROM_NOWHERE, NULL, ""},
    // clang-format on
};

static void begin(struct situation *s, const struct engine *engine)
{
    struct complaint why = {""};

    memset(s, 0, sizeof(*s));
    launch_clear(&s->model.launch);
    s->model.has_launch = s->model.has_config = true;
    s->model.max_model_len = U;
    if (model_config_read(span_of(CONFIG), &s->model.config, &why) < 0)
        fail_msg("%s", why.text);
    s->page = engine->page;
    s->page.kv_usage_ratio = 0.5;
    s->page.kv_used_blocks = USED;
    s->page.kv_blocks = BLOCKS;
    s->page.kv_block_tokens = 16;
    memcpy(s->page.kv_dtype, "auto", 5);
    s->holder = (struct kv_holder){1, 40 * GIB, 80 * GIB};
}

static struct kv_bytes bytes_of(change_fn *change, enum kv_rule rule)
{
    static struct facts f;
    static struct situation s;
    struct join_engine *engine;

    facts_begin(&f);
    engine = facts_engine(&f, 8000, 1, "m");
    begin(&s, &f.engines[0]);
    s.model.rule = rule;
    change(&s);
    f.engines[0].page = s.page;
    engine->model = &s.model;
    return kv_bytes_of(engine, &s.holder, FACTS_NOW);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        struct kv_bytes kv = bytes_of(row->change, KV_RULE_UNKNOWN);

        if (kv.pool.value != row->pool || kv.pool.how != row->how ||
            (kv.source != NULL) != (row->source != NULL) ||
            (row->source && strcmp(kv.source, row->source) != 0) ||
            (kv.pool.why != NULL) != (row->why != NULL) ||
            (row->why && !strstr(kv.pool.why, row->why)))
            fail_msg("[row %zu] pool %llu (%d) from %s: %s", i,
                     (unsigned long long)kv.pool.value, (int)kv.pool.how, kv.source,
                     kv.pool.why);
        if (row->pool != U)
            assert_int_equal(kv.used.value,
                             (row->pool * 2 * USED + BLOCKS) / (UINT64_C(2) * BLOCKS));
    }
}

/* An estimate says how far off it can be. */
static void test_error_of_an_estimate(void **state)
{
    struct kv_bytes kv = bytes_of(measured, KV_RULE_UNKNOWN);

    (void)state;
    // Half of the range of 0.8 to 4.6 GiB, and a twentieth of the weights.
    assert_int_equal(kv.pool.error / (GIB / 10), 29);
    assert_true(kv.used.error > 0 && kv.used.error <= kv.pool.error);

    // A block, a ninetieth for the ranks, and the two decimals.
    kv = bytes_of(logged_of_two_gpus, KV_RULE_UNKNOWN);
    assert_int_equal(kv.pool.error, (20 * GIB + BLOCKS / 2) / BLOCKS +
                                        2 * (10 * GIB / 90 + LOG_KV_ERROR_BYTES));
}

/* Every other layer of a window, as gpt-oss has them. */
static void windows(struct situation *s)
{
    struct complaint why = {""};

    if (model_config_read(span_of("{\"model_type\":\"gpt_oss\",\"num_hidden_layers\":36,"
                                  "\"num_attention_heads\":64,\"num_key_value_heads\":8,"
                                  "\"head_dim\":64,\"sliding_window\":128,"
                                  "\"torch_dtype\":\"bfloat16\"}"),
                          &s->model.config, &why) < 0)
        fail_msg("%s", why.text);
}

static void ordered_windows(struct situation *s)
{
    windows(s);
    s->page.kv_memory_bytes = 10 * GIB;
}

/* How many blocks a request takes, whoever tells how large one is. */
static void test_groups(void **state)
{
    (void)state;
    assert_int_equal(bytes_of(nothing, KV_RULE_UNKNOWN).groups, 1);
    assert_int_equal(bytes_of(windows, KV_RULE_HALF).groups, 2);
    assert_int_equal(bytes_of(ordered_windows, KV_RULE_HALF).groups, 2);
    assert_true(bytes_of(ordered, KV_RULE_HALF).groups == U); // its config is not known
    assert_true(bytes_of(windows, KV_RULE_UNKNOWN).groups == U);
    assert_true(bytes_of(remote, KV_RULE_HALF).groups == U);
    assert_true(bytes_of(capacity, KV_RULE_HALF).groups == U); // it tells what fits
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_error_of_an_estimate),
        cmocka_unit_test(test_groups),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
