// SPDX-License-Identifier: Apache-2.0
#include "advice_stage.h"

static uint64_t full(uint64_t i, uint64_t n)
{
    (void)n;
    return i % 10 == 0 ? 19999 : 12000;
}

static uint64_t full_for_a_moment(uint64_t i, uint64_t n)
{
    return i >= n / 3 && i < n / 3 + 119 ? 19999 : 12000;
}

static void test_grow(void **state)
{
    struct scene_model m = usual;
    const struct advice *advice;

    (void)state;
    m.preemptions_per_hour = 5;
    begin_on_one(80 * GIB);
    add(&m);
    ask("preempting");
    advice = find(ADVICE_GROW);
    assert_non_null(advice);
    assert_int_equal(n_told, 1);
    assert_int_equal(advice->severity, SEVERITY_WARNING);
    assert_int_equal(advice->kv_bytes_per_gpu, 25000 * 2 * MIB);
    assert_true(has_line(advice, "preemptions: 119 / 24.00 hours = 5.0 an hour"));
    assert_string_equal(advice->command, "--kv-cache-memory-bytes=52428800000 "
                                         "--gpu-memory-utilization=0.836");

    m = usual;
    m.load = full;
    m.waiting = 3;
    begin_on_one(64 * GIB); // 7.94 GiB are free, less 1.28 GiB: 3382 blocks
    add(&m);
    ask("full, with little room");
    advice = find(ADVICE_GROW);
    assert_non_null(advice);
    assert_int_equal(advice->kv_bytes_per_gpu / (2 * MIB), 20000 + 2896);
    assert_true(
        has_line(advice, "with requests waiting: 100 x 8640.0 s / 86400.0 s = 10.00 %"));
    assert_non_null(strstr(advice->text, "For 8640 s of 24.0 hours requests waited"));
    seen[0].from_slots = true; // each of which has both, perhaps not at a time
    ask("full, of slots");
    advice = find(ADVICE_GROW);
    assert_non_null(strstr(advice->text, "For up to 8640 s of 24.0 hours"));
    assert_true(has_line(advice, "with requests waiting, at most: 100 x 8640.0 s"));
    m.waiting = 0;
    begin_on_one(80 * GIB);
    add(&m);
    ask("full, nobody waits");
    assert_int_equal(n_told, 0);
    m.waiting = 3;
    m.load = full_for_a_moment;
    begin_on_one(80 * GIB);
    add(&m);
    ask("full for less than a minute");
    assert_int_equal(n_told, 0);

    m.load = day;
    m.waiting = 0;
    for (int preemptions = 1; preemptions <= 24; preemptions += 23) {
        begin_on_one(80 * GIB);
        add(&m);
        seen[0].preemptions = preemptions;
        ask("preempting now and then, for a day");
        assert_null(find(ADVICE_SHRINK)); // it was short once
        assert_int_equal(find(ADVICE_GROW) != NULL, preemptions == 24);
    }
    m.waiting = 3;
    m.load = full_for_a_moment;
    for (uint64_t more = 0; more <= 1; more++) {
        begin_on_one(80 * GIB);
        add(&m);
        seen[0].full_ms = 86399 + more;
        ask("full for a part of the day");
        assert_int_equal(n_told, more);
    }

    m.preemptions_per_hour = 5;
    begin_on_one(59 * GIB + 512 * MIB); // for 638 blocks: 3 % more
    add(&m);
    ask("preempting, with hardly any room");
    assert_string_equal(find(ADVICE_GROW)->command, "");
    assert_non_null(strstr(find(ADVICE_GROW)->text, "no room"));
    begin_on_one(80 * GIB);
    add(&m);
    snapshot->devices[0].mem_used_bytes = U;
    ask("preempting, with room that is not known");
    assert_string_equal(find(ADVICE_GROW)->command, "");
    assert_non_null(strstr(find(ADVICE_GROW)->text, "is not known"));

    m.error = U; // nor are its sizes known
    begin_on_one(80 * GIB);
    add(&m);
    ask("preempting, of unknown size");
    advice = find(ADVICE_GROW);
    assert_non_null(advice);
    assert_string_equal(advice->command, "");
    assert_true(advice->kv_bytes_per_gpu == U);
}

/* The second has on the same GPU what the first one needs. */
static void test_two_on_one_gpu(void **state)
{
    struct scene_model first = usual, second = usual;
    const struct advice *grow, *shrink;

    (void)state;
    first.preemptions_per_hour = 5;
    first.blocks = 5000;
    first.rest = 10 * GIB;
    second.name = "org/two";
    second.port = 8001;
    begin_on_one(78 * GIB);
    add(&first);
    add(&second);
    ask("two");
    assert_int_equal(n_told, 2);
    grow = &told[0]; // the more severe is first, whatever its port
    shrink = &told[1];
    assert_int_equal(grow->kind, ADVICE_GROW);
    assert_string_equal(grow->served_name, "org/one");
    assert_string_equal(grow->command, "");
    assert_true(has_line(grow, "org/two, port 8001, could give: 29844570112 bytes"));
    assert_non_null(strstr(grow->text, "no room"));
    assert_int_equal(shrink->kind, ADVICE_SHRINK);
    assert_string_equal(shrink->served_name, "org/two");
    assert_true(has_line(shrink, "a copy of org/one takes") ||
                has_line(shrink, "another copy takes"));

    second.devices = 2; // the other's is none of its
    begin_on_one(20 * GIB);
    scene_device(snapshot, 80 * GIB, U);
    add(&first);
    add(&second);
    ask("two, each on its own");
    assert_int_equal(told[0].kind, ADVICE_GROW);
    assert_false(has_line(&told[0], "could give"));
}

static void test_who_fits(void **state)
{
    struct scene_model large = usual, small = usual;

    (void)state;
    large.rest = 70 * GIB; // another of it would not fit
    small.name = "org/small";
    small.port = 8001;
    small.blocks = 1000;
    small.max_model_len = 1024;
    small.rest = GIB;
    small.load = little;
    small.devices = 2;
    begin_on_one(120 * GIB);
    scene_device(snapshot, 80 * GIB, U);
    add(&large);
    add(&small);
    ask("who fits");
    assert_int_equal(told[0].kind, ADVICE_SHRINK);
    assert_true(has_line(&told[0], "a copy of org/small takes on each GPU: "));
    assert_non_null(strstr(told[0].text, "room for a copy of org/small."));
    small.rest = 37 * GIB; // there is room for 36.3 GiB
    begin_on_one(120 * GIB);
    scene_device(snapshot, 90 * GIB, U);
    add(&large);
    add(&small);
    ask("nobody fits");
    assert_null(strstr(told[0].text, "There would then be room"));
    small.rest = GIB;
    small.gpus = 2; // and there is room on one
    small.devices = 6;
    begin_on_one(120 * GIB);
    scene_device(snapshot, 90 * GIB, U);
    scene_device(snapshot, 90 * GIB, U);
    add(&large);
    add(&small);
    ask("it needs more GPUs");
    assert_null(strstr(told[0].text, "There would then be room"));
}

static void test_hit_rate(void **state)
{
    struct scene_model m = usual;

    (void)state;
    m.load = tight;
    m.hit_percent = 3.5;
    m.queries = 1e6;
    begin_on_one(80 * GIB);
    add(&m);
    ask("few hits");
    assert_int_equal(n_told, 1);
    assert_int_equal(told[0].kind, ADVICE_LOW_HIT_RATE);
    assert_true(has_line(&told[0], "since the engine began: 35000 of 1000000 tokens"));
    snapshot->models[0].page.kv_block_tokens = 784;
    ask("long blocks");
    assert_non_null(strstr(told[0].text, "784 tokens"));
    seen[0].busy_ms = ADVICE_LEAST_MS - 1;
    ask("requests for less than a quarter of an hour");
    assert_int_equal(n_told, 0);
    seen[0].busy_ms = ADVICE_LEAST_MS;
    snapshot->models[0].page.prefix.queries = 99999;
    ask("little traffic");
    assert_int_equal(n_told, 0);
    m.hit_percent = 20;
    begin_on_one(80 * GIB);
    add(&m);
    ask("enough hits");
    assert_int_equal(n_told, 0);
    m.hit_percent = N;
    begin_on_one(80 * GIB);
    add(&m);
    ask("prefix caching is off");
    assert_int_equal(n_told, 0);
}

static void test_start_collision(void **state)
{
    struct scene_model first = usual, second = usual;

    (void)state;
    first.load = second.load = tight;
    first.utilization = 0.6;
    second.utilization = 0.5;
    second.port = 8001;
    second.devices = 2;
    begin_on_one(160 * GIB);
    scene_device(snapshot, 80 * GIB, U);
    add(&first);
    add(&second);
    ask("each on its own GPU");
    assert_int_equal(n_told, 0);
    snapshot->models[1].devices = 1;
    ask("more than all");
    assert_int_equal(n_told, 1);
    assert_int_equal(told[0].kind, ADVICE_START_COLLISION);
    assert_string_equal(told[0].device, "GPU-0");
    assert_string_equal(told[0].served_name, "");
    assert_string_equal(told[0].lines[0],
                        "shares of this GPU: 0.600 + 0.500 = 1.100, more than 1");
    snapshot->models[1].page.kv_memory_option = false;
    ask("an older release counts what others hold as its own");
    assert_int_equal(n_told, 0);
    snapshot->models[1].page.kv_memory_option = true;
    snapshot->models[1].page.gpu_memory_utilization = 0.4;
    ask("just all");
    assert_int_equal(n_told, 0);
    snapshot->n_events = 1;
    snapshot->events[0] =
        (struct event){.kind = EVENT_START_COLLISION, .device = "GPU-0"};
    snapshot->models[0].page.gpu_memory_utilization = 0.9; // all lines, and it was seen
    ask("seen starting at once");
    assert_int_equal(n_told, 1);
    assert_non_null(strstr(told[0].text, "starting at once"));
    n_seen = 0;
    ask("nobody was seen long enough");
    assert_int_equal(n_told, 0);
}

/* What does not fit into a line is left out, and the line is true. */
static void test_many_on_one_gpu(void **state)
{
    struct scene_model m = usual;

    (void)state;
    m.utilization = 0.3;
    m.hours = 0.3;
    m.preemptions_per_hour = 100;
    begin_on_one(4000 * GIB);
    for (int i = 0; i < 40; i++) {
        m.port = (uint16_t)(8000 + i);
        add(&m);
        m.preemptions_per_hour = 0;
    }
    snapshot->devices[0].mem_total_bytes = snapshot->devices[0].mem_used_bytes;
    n_told = advise(seen, n_seen, snapshot, told, ARRAY_LEN(told));
    assert_int_equal(n_told, 1 + 1 + 39);
    assert_int_equal(told[0].kind, ADVICE_GROW);
    assert_true(has_line(&told[0], "port 8004, could give"));
    assert_false(has_line(&told[0], "port 8005, could give"));
    check_arithmetic("many", &told[0]);
    assert_int_equal(told[1].kind, ADVICE_START_COLLISION);
    assert_string_equal(told[1].lines[0], "shares of this GPU: 12.000, more than 1");
    assert_int_equal(told[1].n_lines, ADVICE_LINES);
}

static void test_unified_memory(void **state)
{
    struct scene_model m = usual;

    (void)state;
    m.load = tight;
    begin_on_one(64 * GIB);
    snapshot->devices[0].unified = true;
    add(&m);
    ask("unified");
    assert_int_equal(n_told, 1);
    assert_int_equal(told[0].kind, ADVICE_UNIFIED_MEMORY);
    assert_int_equal(told[0].severity, SEVERITY_INFO);
    snapshot->models[0].page.kv_memory_bytes = 41943040000;
    ask("it was ordered in bytes");
    assert_int_equal(n_told, 0);
    snapshot->devices[0].mem_used_bytes = 60 * GIB;
    ask("there is little left");
    assert_int_equal(n_told, 1);
    assert_int_equal(told[0].severity, SEVERITY_WARNING);
    snapshot->devices[0].unified = false;
    ask("of its own");
    assert_int_equal(n_told, 0);
}

/* What was observed is of another pool, or of nobody that is here. */
static void test_another_moment(void **state)
{
    (void)state;
    begin_on_one(80 * GIB);
    add(&usual);
    snapshot->models[0].kv_pool_bytes.value -= 2 * MIB;
    ask("another pool");
    assert_int_equal(n_told, 0);
    snapshot->models[0].kv_pool_bytes.value += 2 * MIB;
    snapshot->models[0].port = 8001;
    ask("another port");
    assert_int_equal(n_told, 0);
    snapshot->models[0].port = 8000;
    assert_int_equal(advise(seen, 1, snapshot, told, 0), 0);
    ask("it is here");
    assert_int_equal(n_told, 1);
    snapshot->models[0].kv_pool_per_gpu = figure_unknown("unlike parts");
    ask("pipeline stages");
    assert_int_equal(n_told, 0);
    begin_on_one(80 * GIB);
    add(&usual);
    snapshot->models[0].kv_used_bytes.error = U;
    ask("what is in use may be stale");
    assert_int_equal(n_told, 0);
}

/* Names of any length, in signs of four bytes, are cut between signs. */
static void test_long_names(void **state)
{
    struct scene_model first = usual, second = usual;
    char name[ENGINE_NAME_MAX + 1];

    (void)state;
    for (size_t i = 0; i < ENGINE_NAME_MAX; i += 4)
        memcpy(name + i, "\xf0\x9f\xa6\x99", 4);
    name[ENGINE_NAME_MAX] = '\0';
    first.name = name;
    first.preemptions_per_hour = 5;
    second.name = name;
    second.port = 8001;
    begin_on_one(97 * GIB);
    add(&first);
    add(&second);
    ask("long names");
    assert_int_equal(n_told, 2);
    assert_string_equal(told[0].served_name, name);
    assert_null(strstr(told[0].text, "\xef\xbf\xbd"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_two_on_one_gpu),
        cmocka_unit_test(test_who_fits),
        cmocka_unit_test(test_hit_rate),
        cmocka_unit_test(test_start_collision),
        cmocka_unit_test(test_many_on_one_gpu),
        cmocka_unit_test(test_unified_memory),
        cmocka_unit_test(test_another_moment),
        cmocka_unit_test(test_long_names),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
