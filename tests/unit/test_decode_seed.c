// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/decode.h"
#include "encode/seed.h"

#include <math.h>
#include <stdio.h>

static struct snapshot snapshot; // too large for a stack

static void add_model(const char *id, uint16_t port, uint64_t allocated, uint64_t used)
{
    struct snapshot_model *model = &snapshot.models[snapshot.n_models++];

    (void)snprintf(model->id, sizeof(model->id), "%s", id);
    model->port = port;
    model->allocated_bytes = figure_of(allocated, MEASURED, NULL);
    model->kv_used_bytes = figure_of(used, BY_ENGINE, NULL);
}

/* What the daemon writes. */
static void test_of_daemon(void **state)
{
    const struct vramscope_snapshot *got = NULL;
    struct complaint why = {""};
    OWNED(buf_done) struct buf out;

    (void)state;
    buf_init(&out, SEED_EVENT_MAX);
    snapshot.total_bytes = figure_of(85899345920, MEASURED, NULL);
    snapshot.allocated_bytes = figure_of(78571110400, MEASURED, NULL);
    snapshot.kv_used_bytes = 3;
    snapshot.hit_percent = 73.45;
    add_model("Qwen-Qwen3-0-6B", 8000, 78571110400, 3);
    add_model("b", 0, UNKNOWN, UNKNOWN);
    seed_write(&out, &snapshot, SEED_IDENTIFIER);

    assert_int_equal(decode_snapshot(buf_span(&out), &got, &why), 0);
    assert_int_equal(got->total_vram_bytes, 85899345920);
    assert_int_equal(got->allocated_vram_bytes, 78571110400);
    assert_int_equal(got->used_kv_cache_bytes, 3);
    assert_true(fabs(got->prefix_cache_hit_rate - 73.45) < 1e-9);
    assert_int_equal(got->n_models, 2);
    assert_string_equal(got->models[0]->model_id, "Qwen-Qwen3-0-6B");
    assert_int_equal(got->models[0]->port, 8000);
    assert_int_equal(got->models[0]->allocated_vram_bytes, 78571110400);
    assert_int_equal(got->models[0]->used_kv_cache_bytes, 3);
    assert_string_equal(got->models[1]->model_id, "b");
    assert_int_equal(got->models[1]->port, 0);
    assert_int_equal(got->models[1]->allocated_vram_bytes, 0); // as the document has it
    decode_snapshot_free(got);
}

#define SEED_HEAD(total) "{\"total_vram_bytes\":" total ",\"allocated_vram_bytes\":2,"
#define SEED_TAIL(rate, models) \
    "\"used_kv_cache_bytes\":3,\"prefix_cache_hit_rate\":" rate "," models "}"
#define ROW(id, port)                                                    \
    "{\"model_id\":" id ",\"port\":" port ",\"allocated_vram_bytes\":1," \
    "\"used_kv_cache_bytes\":2}"

// clang-format off
static const struct {
    const char *json, *why; // NULL: it is one
} seeds[] = {
    {SEED_HEAD("1") SEED_TAIL("4.5", "\"models\":[]"), NULL},
    {SEED_HEAD("1") SEED_TAIL("4.5", "\"models\":[],\"more\":1"), NULL},
    {SEED_HEAD("1") SEED_TAIL("0", "\"models\":[" ROW("\"m\"", "0") "]"), NULL},
    {SEED_HEAD("null") SEED_TAIL("4.5", "\"models\":[]"), "total_vram_bytes: it is missing"},
    {SEED_HEAD("1") SEED_TAIL("null", "\"models\":[]"), "prefix_cache_hit_rate: it is missing"},
    {SEED_HEAD("1") SEED_TAIL("4.5", "\"models\":null"), "models: it is missing"},
    {SEED_HEAD("1") SEED_TAIL("4.5", "\"model\":[]"), "models: it is missing"},
    {SEED_HEAD("1") SEED_TAIL("100.5", "\"models\":[]"), "0 to 100 is due"},
    {SEED_HEAD("-1") SEED_TAIL("4.5", "\"models\":[]"), "total_vram_bytes: 0 or more is due"},
    {SEED_HEAD("1.5") SEED_TAIL("4.5", "\"models\":[]"), "a whole number is due"},
    {SEED_HEAD("1") SEED_TAIL("4.5", "\"models\":[" ROW("\"m\"", "1") "," ROW("7", "1") "]"),
     "models[1].model_id: a text is due"},
    {SEED_HEAD("1") SEED_TAIL("4.5", "\"models\":[" ROW("\"m\"", "\"8000\"") "]"),
     "models[0].port: a number is due"},
    {SEED_HEAD("1") SEED_TAIL("4.5", "\"models\":[{}]"), "models[0].model_id: it is missing"},
    {"{}", "total_vram_bytes: it is missing"},
};
// clang-format on

static void test_seeds(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(seeds); i++) {
        const struct vramscope_snapshot *got = NULL;
        struct complaint why = {""};
        int r = decode_snapshot(span_of(seeds[i].json), &got, &why);

        if (seeds[i].why ? r != -EBADMSG || !strstr(why.text, seeds[i].why) : r != 0)
            fail_msg("[%s] %d %s", seeds[i].json, r, why.text);
        decode_snapshot_free(got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_daemon),
        cmocka_unit_test(test_seeds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
