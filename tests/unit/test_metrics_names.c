// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

static const char *const names[] = {
    "build_info",
    "up",
    "last_sample_timestamp_seconds",
    "tick_lateness_seconds",
    "resident_memory_bytes",
    "cpu_seconds_total",
    "subscribers",
    "frames_sent_total",
    "frames_skipped_total",
    "worker_restarts_total",
    "nats_connected",
    "nats_name_taken",
    "nats_published_total",
    "nats_skipped_total",
    "nats_too_large_total",
    "nats_events_total",
    "nats_reconnects_total",
    "limited_total",
    "vram_total_bytes",
    "vram_allocated_bytes",
    "vram_models_bytes",
    "vram_other_bytes",
    "vram_orphan_bytes",
    "vram_unattributed_bytes",
    "kv_cache_used_bytes",
    "kv_cache_unknown_models",
    "prefix_cache_hit_ratio",
    "gpu_figures_age_seconds",
    "gpu_info",
    "gpu_memory_total_bytes",
    "gpu_memory_used_bytes",
    "gpu_memory_reserved_bytes",
    "gpu_memory_models_bytes",
    "gpu_memory_other_bytes",
    "gpu_memory_orphan_bytes",
    "gpu_memory_unattributed_bytes",
    "gpu_kv_cache_capacity_bytes",
    "gpu_kv_cache_used_bytes",
    "model_allocated_bytes",
    "model_kv_cache_capacity_bytes",
    "model_kv_cache_used_bytes",
    "model_kv_cache_retained_bytes",
    "model_kv_cache_usage_ratio",
    "model_prefix_cache_hit_ratio",
    "model_prefix_cache_hits_total",
    "model_prefix_cache_queries_total",
    "model_requests_running",
    "model_requests_waiting",
    "model_preemptions_total",
    "model_state",
    "model_stale",
    "model_figures_age_seconds",
    "engine_up",
    "engine_scrape_interval_seconds",
    "engine_scrape_duration_seconds",
    "engine_scrapes_total",
    "engine_scrape_seconds_total",
    "model_nodes",
    "model_nodes_ready",
    "node_up",
    "node_info",
    "node_age_seconds",
    "node_clock_offset_seconds",
    "node_gpus",
    "node_models",
    "node_vram_total_bytes",
    "node_vram_allocated_bytes",
    "node_kv_cache_used_bytes",
    "node_kv_cache_capacity_bytes",
    "node_requests_running",
    "node_requests_waiting",
    "node_prefix_cache_hit_ratio",
    "node_messages_total",
    "node_malformed_total",
    "node_dropped_total",
    "fleet_nodes",
    "fleet_nodes_left_out",
    "fleet_models_left_out",
    "fleet_connected",
    "fleet_reconnects_total",
    "fleet_messages_total",
    "fleet_bytes_total",
    "fleet_malformed_total",
    "fleet_dropped_total",
    "fleet_refused_total",
    "fleet_missed_total",
};

enum kind { GAUGE, COUNTER, INFO };

static const struct {
    const char *name;
    enum kind kind;
    const char *unit;
    const char *help;
} table[] = {
#define METRIC(of, name, kind, unit, more, value, help) {#name, kind, unit, help},
#include "encode/metrics.def"
#undef METRIC
};

static bool ends_in(const char *text, size_t len, const char *end)
{
    size_t n = strlen(end);

    return len >= n && memcmp(text + len - n, end, n) == 0;
}

static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (i >= ARRAY_LEN(table) || strcmp(table[i].name, names[i]) != 0)
            fail_msg("%s is not in its place", names[i]);
    assert_int_equal(ARRAY_LEN(table), ARRAY_LEN(names)); // a new one belongs here, too
}

/* What the formats ask of names, which promtool looks at only for the older one. */
static void test_conventions(void **state)
{
    static const char *const endings[] = {
        [GAUGE] = "", [COUNTER] = "_total", [INFO] = "_info"};
    static const char *const units[] = {"bytes", "seconds", "ratio"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const char *name = table[i].name;
        size_t len = strlen(name) - strlen(endings[table[i].kind]);

        if (!ends_in(name, strlen(name), endings[table[i].kind]))
            fail_msg("%s is a counter or info by its type alone", name);
        if (!ends_in(name, len, table[i].unit))
            fail_msg("%s does not end in its unit", name);
        for (size_t j = 0; j < ARRAY_LEN(units); j++)
            if (ends_in(name, len, units[j]) && strcmp(units[j], table[i].unit) != 0)
                fail_msg("%s has a unit that is not said", name);
        if (table[i].kind == GAUGE &&
            (ends_in(name, len, "_total") || ends_in(name, len, "_info")))
            fail_msg("%s is no counter", name);
        if (strpbrk(table[i].help, "\\\"\n|"))
            fail_msg("what %s is would have to be escaped", name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_conventions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
