// SPDX-License-Identifier: Apache-2.0
/* What the daemon writes is what the client reads: each member, and each key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/decode.h"
#include "encode/detail.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>

static const struct detail_origin origin = {
    .boot = "0123456789abcdef", .version = "1.2.3", .interval_ms = 500};

static struct snapshot snapshot; // too large for a stack
static struct buf out;
static int64_t next_number;

#define COPY(field, text) (void)snprintf(field, sizeof(field), "%s", text)

static int set_up(void **state)
{
    (void)state;
    buf_init(&out, DETAIL_MAX);
    memset(&snapshot, 0, sizeof(snapshot));
    next_number = 1000;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_done(&out);
    return 0;
}

/* No two are the same, so that none is taken for another. */
static uint64_t number(void)
{
    return (uint64_t)next_number++;
}

static struct figure estimate(const char *why)
{
    uint64_t value = number();

    return (struct figure){value, ESTIMATED, why, number()};
}

static struct hit_counts counts(void)
{
    double hits = (double)number();

    return (struct hit_counts){hits, 4 * hits};
}

static void fill_model(struct snapshot_model *model)
{
    engine_page_clear(&model->page);
    COPY(model->served_name, "org/na\xc3\xafve \"model\"");
    COPY(model->id, "org-na-ve--model-");
    model->port = 8001;
    model->pid = (uint32_t)number();
    COPY(model->container_id, "0123456789abcdef");
    COPY(model->pod_uid, "01234567-89ab");
    model->state = ENGINE_SLEEPING;
    COPY(model->why, "asleep");
    model->stale = true;
    model->page_ns = 5000000;
    model->pace_ns = 750000000;
    model->max_model_len = number();
    model->devices = 3;
    model->allocated_bytes = estimate("allocated");
    model->allocated_bytes.value += 1000000;
    model->kv_used_bytes = estimate("used");
    model->kv_pool_bytes = figure_of(number(), BY_ENGINE, NULL);
    model->kv_retained_bytes = figure_of(number(), DERIVED, "retained");
    model->kv_source = "config.json";
    model->prefix_minute = counts();
    model->prefix_five_minutes = counts();
    model->page.engines = 2;
    model->page.kv_usage_ratio = 0.123456;
    model->page.kv_used_blocks = number();
    model->page.kv_blocks = number();
    model->page.kv_block_tokens = number();
    model->page.kv_size_tokens = number();
    COPY(model->page.kv_dtype, "fp8");
    model->page.kv_caveat = "may be off";
    model->page.requests_running = number();
    model->page.requests_waiting = number();
    model->page.preemptions = number();
    model->page.prefix = counts();
}

static void fill_gpus(void)
{
    snapshot.n_sources = 2;
    COPY(snapshot.sources[0].backend, "nvml");
    snapshot.sources[0].verdict = GPU_NO_DRIVER;
    COPY(snapshot.sources[0].reason, "not loaded");
    COPY(snapshot.sources[1].backend, "amdgpu");
    snapshot.sources[1].verdict = GPU_OK;
    COPY(snapshot.sources[1].driver_version, "6.1");
    snapshot.n_devices = 2;
    for (uint32_t i = 0; i < 2; i++) {
        struct snapshot_device *device = &snapshot.devices[i];

        device->source = 1;
        device->index = (uint32_t)number();
        device->instance = i ? GPU_NO_INSTANCE : 0;
        device->unified = i == 1;
        COPY(device->uuid, i ? "GPU-1" : "MIG-0");
        COPY(device->parent_uuid, i ? "" : "GPU-0");
        COPY(device->name, i ? "A" : "");
        COPY(device->reason, i ? "" : "some");
        device->mem_total_bytes = number();
        device->mem_used_bytes = number();
        device->mem_reserved_bytes = i ? UNKNOWN : number();
        device->processes_bytes = number();
        device->models_bytes = number();
        device->kv_pool_bytes = figure_of(number(), DERIVED, NULL);
        device->kv_used_bytes = estimate("used");
        device->other_bytes = number();
        device->orphan_bytes = number();
        device->unattributed_bytes = i ? -5 : 5;
    }
}

static void fill_processes(void)
{
    static const enum snapshot_owner owners[] = {OWNER_ENGINE, OWNER_ORPHAN, OWNER_OTHER};

    snapshot.n_processes = 3;
    snapshot.processes_left_out = (uint32_t)number();
    for (uint32_t i = 0; i < 3; i++)
        snapshot.processes[i] = (struct snapshot_process){
            .pid = (uint32_t)number(),
            .device = i % 2,
            .bytes = i ? number() : UNKNOWN,
            .comm = {i == 1 ? '\0' : 'p', '\0'},
            .owner = owners[i],
            .port = i ? 0 : 8001,
        };
}

static void fill_events(void)
{
    static const enum event_kind kinds[] = {EVENT_ENGINE_FOUND, EVENT_ENGINE_LOST,
                                            EVENT_GPU_LOST};

    snapshot.n_events = ARRAY_LEN(kinds);
    for (uint32_t i = 0; i < ARRAY_LEN(kinds); i++)
        snapshot.events[i] = (struct event){
            .id = number(),
            .unix_ms = (int64_t)number(),
            .kind = kinds[i],
            .served_name = {i == 2 ? '\0' : 'm', '\0'},
            .port = i == 2 ? 0 : 8001,
            .device = {i == 2 ? 'G' : '\0', '\0'},
            .text = {'t', (char)('0' + i), '\0'},
        };
}

static void fill_snapshot(void)
{
    snapshot.seq = number();
    snapshot.unix_ms = number();
    snapshot.taken_ns = 12000000;
    snapshot.gpu_taken_ns = 2000000;
    snapshot.total_bytes = estimate("total");
    snapshot.allocated_bytes = figure_of(number(), MEASURED, NULL);
    snapshot.models_bytes = number();
    snapshot.other_bytes = number();
    snapshot.orphan_bytes = number();
    snapshot.unattributed_bytes = -3;
    snapshot.kv_used_bytes = number();
    snapshot.kv_unknown = (uint32_t)number();
    snapshot.hit_percent = 73.45;
    snapshot.hit_percent_in_window = true;
    snapshot.self = (struct snapshot_self){
        .rss_bytes = number(),
        .cpu_seconds = 1.125,
        .late_seconds = 0.0025,
        .subscribers = number(),
        .frames_sent = number(),
        .frames_skipped = number(),
        .worker_restarts = number(),
        .history_errors = number(),
        .limited = {{"heads", number()}, {"bodies", number()}},
        .n_limited = 2,
    };
    fill_gpus();
    snapshot.n_models = 2;
    fill_model(&snapshot.models[0]);
    fill_model(&snapshot.models[1]);
    fill_processes();
    fill_events();
}

static const struct vramscope_detail *detail_of(struct span json)
{
    struct complaint why = {""};
    const struct vramscope_detail *detail = NULL;

    if (decode_detail(json, &detail, &why) != 0)
        fail_msg("%s: %.*s", why.text, (int)json.len, json.at);
    return detail;
}

static const struct vramscope_detail *written_and_read(void)
{
    buf_clear(&out);
    detail_write(&out, &snapshot, &origin);
    assert_int_equal(out.error, 0);
    return detail_of(buf_span(&out));
}

/* Of the snapshot; UNKNOWN there is VRAMSCOPE_UNKNOWN here. */
static void same(int64_t got, uint64_t want)
{
    assert_int_equal(got, want == UNKNOWN ? VRAMSCOPE_UNKNOWN : (int64_t)want);
}

/* "" there is NULL here, unless the document has the empty text itself. */
static void same_text(const char *got, const char *want)
{
    if (!want || !want[0])
        assert_null(got);
    else if (!got || strcmp(got, want) != 0)
        fail_msg("\"%s\", not \"%s\"", got ? got : "(none)", want);
}

static void same_double(double got, double want)
{
    if (isnan(want) ? !isnan(got) : !(fabs(got - want) < 1e-9))
        fail_msg("%.9f, not %.9f", got, want);
}

static void same_figure(const struct vramscope_figure *got, struct figure want)
{
    static const enum vramscope_from from[] = {
        [FROM_NOWHERE] = VRAMSCOPE_FROM_UNKNOWN, [MEASURED] = VRAMSCOPE_FROM_MEASURED,
        [BY_ENGINE] = VRAMSCOPE_FROM_ENGINE,     [DERIVED] = VRAMSCOPE_FROM_DERIVED,
        [ESTIMATED] = VRAMSCOPE_FROM_ESTIMATED,
    };

    same(got->value, want.value);
    same(got->error, want.error);
    assert_int_equal(got->from, from[want.how]);
    same_text(got->reason, want.why);
}

static void same_hits(const struct vramscope_hits *got, struct hit_counts want)
{
    if (isnan(want.queries)) {
        same(got->hits, UNKNOWN);
        same(got->queries, UNKNOWN);
        same_double(got->hit_percent, (double)NAN);
        return;
    }
    same(got->hits, (uint64_t)want.hits);
    same(got->queries, (uint64_t)want.queries);
    same_double(got->hit_percent, 25);
}

static void same_kv(const struct vramscope_model *got, const struct snapshot_model *want)
{
    const struct engine_page *page = &want->page;

    same_figure(&got->kv_used, want->kv_used_bytes);
    same_figure(&got->kv_capacity, want->kv_pool_bytes);
    same_figure(&got->kv_retained, want->kv_retained_bytes);
    same_text(got->kv_source, want->kv_source);
    same_double(got->kv_usage_ratio, page->kv_usage_ratio);
    same(got->kv_used_blocks, page->kv_used_blocks);
    same(got->kv_blocks, page->kv_blocks);
    same(got->kv_block_tokens, page->kv_block_tokens);
    same(got->kv_capacity_tokens, page->kv_size_tokens == UNKNOWN
                                      ? UNKNOWN
                                      : page->kv_size_tokens * page->engines);
    same(got->kv_data_parallel_engines, page->engines ? page->engines : UNKNOWN);
    same_text(got->kv_dtype, page->kv_dtype);
    same_text(got->kv_reason, page->engines ? page->kv_caveat : want->kv_used_bytes.why);
}

static void same_model(const struct vramscope_model *got,
                       const struct snapshot_model *want)
{
    same_text(got->model, want->served_name);
    same_text(got->model_id, want->id);
    same(got->port, want->port);
    same(got->pid, want->pid ? want->pid : UNKNOWN);
    same_text(got->container_id, want->container_id);
    same_text(got->pod_uid, want->pod_uid);
    same_text(got->state, engine_state_name(want->state));
    same_text(got->reason, want->why);
    assert_int_equal(got->stale, want->stale);
    same(got->age_ms, want->page_ns ? 7 : UNKNOWN);
    same(got->scrape_interval_ms, want->pace_ns ? want->pace_ns / 1000000 : UNKNOWN);
    same_figure(&got->allocated, want->allocated_bytes);
    same_figure(&got->kv_pool, want->kv_pool_bytes);
    same_kv(got, want);
    same(got->max_model_len, want->max_model_len);
    same(got->requests_running, want->page.requests_running);
    same(got->requests_waiting, want->page.requests_waiting);
    same(got->requests_preemptions, want->page.preemptions);
    same_hits(&got->prefix_minute, want->prefix_minute);
    same_hits(&got->prefix_five_minutes, want->prefix_five_minutes);
    same_hits(&got->prefix_lifetime, want->page.prefix);
}

static void same_gpus(const struct vramscope_detail *got)
{
    assert_int_equal(got->n_sources, snapshot.n_sources);
    for (size_t i = 0; i < got->n_sources; i++) {
        const struct gpu_source_state *want = &snapshot.sources[i];

        same_text(got->sources[i]->backend, want->backend);
        same_text(got->sources[i]->verdict,
                  gpu_verdict_name((enum gpu_verdict)want->verdict));
        same_text(got->sources[i]->driver_version, want->driver_version);
        same_text(got->sources[i]->reason, want->reason);
    }
    assert_int_equal(got->n_devices, snapshot.n_devices);
    for (size_t i = 0; i < got->n_devices; i++) {
        const struct snapshot_device *want = &snapshot.devices[i];
        const struct vramscope_device *device = got->devices[i];

        same_text(device->backend, snapshot.sources[want->source].backend);
        same(device->index, want->index);
        assert_string_equal(device->uuid, want->uuid);
        assert_string_equal(device->name, want->name);
        same_text(device->parent_uuid, want->parent_uuid);
        same(device->instance,
             want->instance == GPU_NO_INSTANCE ? UNKNOWN : want->instance);
        assert_int_equal(device->unified, want->unified);
        same(device->total_bytes, want->mem_total_bytes);
        same(device->used_bytes, want->mem_used_bytes);
        same(device->reserved_bytes, want->mem_reserved_bytes);
        same(device->processes_bytes, want->processes_bytes);
        same_text(device->reason, want->reason);
        same(device->models_bytes, want->models_bytes);
        same_figure(&device->kv_pool, want->kv_pool_bytes);
        same_figure(&device->kv_used, want->kv_used_bytes);
        same(device->other_bytes, want->other_bytes);
        same(device->orphan_bytes, want->orphan_bytes);
        assert_int_equal(device->unattributed_bytes, want->mem_used_bytes == UNKNOWN
                                                         ? VRAMSCOPE_UNKNOWN
                                                         : want->unattributed_bytes);
    }
}

static void same_processes(const struct vramscope_detail *got)
{
    static const char *const owners[] = {
        [OWNER_OTHER] = "other", [OWNER_ENGINE] = "engine", [OWNER_ORPHAN] = "orphan"};

    same((int64_t)got->n_processes, snapshot.n_processes);
    same(got->processes_left_out, snapshot.processes_left_out);
    for (size_t i = 0; i < got->n_processes; i++) {
        const struct snapshot_process *want = &snapshot.processes[i];

        same(got->processes[i]->pid, want->pid);
        same_text(got->processes[i]->comm, want->comm);
        same(got->processes[i]->device, want->device);
        same(got->processes[i]->bytes, want->bytes);
        same_text(got->processes[i]->owner, owners[want->owner]);
        same(got->processes[i]->port, want->owner == OWNER_ENGINE ? want->port : UNKNOWN);
    }
}

static void same_self(const struct vramscope_self *got, const struct snapshot_self *want)
{
    same(got->rss_bytes, want->rss_bytes);
    same_double(got->cpu_seconds, want->cpu_seconds);
    same_double(got->late_ms, 1000 * want->late_seconds);
    same(got->subscribers, want->subscribers);
    same(got->frames_sent, want->frames_sent);
    same(got->frames_skipped, want->frames_skipped);
    same(got->worker_restarts, want->worker_restarts);
    same(got->history_errors, want->history_errors);
    assert_int_equal(got->n_limited, want->n_limited);
    for (size_t i = 0; i < got->n_limited; i++) {
        same_text(got->limited[i]->name, want->limited[i].what);
        same(got->limited[i]->total, want->limited[i].total);
    }
}

static void same_events(const struct vramscope_detail *got)
{
    static const enum vramscope_severity severities[] = {
        [SEVERITY_INFO] = VRAMSCOPE_SEVERITY_INFO,
        [SEVERITY_WARNING] = VRAMSCOPE_SEVERITY_WARNING,
        [SEVERITY_CRITICAL] = VRAMSCOPE_SEVERITY_CRITICAL,
    };

    assert_true(got->tells_events);
    assert_int_equal(got->n_events, snapshot.n_events);
    for (size_t i = 0; i < got->n_events; i++) {
        const struct event *want = &snapshot.events[i];

        same(got->events[i]->id, want->id);
        same(got->events[i]->unix_ms, (uint64_t)want->unix_ms);
        same_text(got->events[i]->kind, event_name(want->kind));
        assert_int_equal(got->events[i]->severity,
                         severities[event_severity(want->kind)]);
        same_text(got->events[i]->model, want->served_name);
        same_text(got->events[i]->model_id, want->served_name);
        same(got->events[i]->port, want->served_name[0] ? want->port : UNKNOWN);
        same_text(got->events[i]->device, want->device);
        same_text(got->events[i]->text, want->text);
    }
}

static void same_detail(const struct vramscope_detail *got)
{
    assert_int_equal(got->schema, DETAIL_SCHEMA);
    same_text(got->version, origin.version);
    same_text(got->boot, origin.boot);
    same(got->seq, snapshot.seq);
    same(got->unix_ms, snapshot.unix_ms);
    same(got->interval_ms, origin.interval_ms);
    same_figure(&got->total, snapshot.total_bytes);
    same_figure(&got->allocated, snapshot.allocated_bytes);
    same(got->models_bytes, snapshot.models_bytes);
    same(got->other_bytes, snapshot.other_bytes);
    same(got->orphan_bytes, snapshot.orphan_bytes);
    assert_int_equal(got->unattributed_bytes, snapshot.unattributed_bytes);
    same(got->kv_used_bytes, snapshot.kv_used_bytes);
    same(got->kv_unknown_models, snapshot.kv_unknown);
    same_double(got->prefix_hit_percent, snapshot.hit_percent);
    assert_int_equal(got->prefix_in_window, snapshot.hit_percent_in_window);
    same(got->gpu_age_ms, snapshot.gpu_taken_ns ? 10 : UNKNOWN);
    same_gpus(got);
    assert_int_equal(got->n_models, snapshot.n_models);
    for (size_t i = 0; i < got->n_models; i++)
        same_model(got->models[i], &snapshot.models[i]);
    same_processes(got);
    same_self(got->self, &snapshot.self);
    same_events(got);
}

static void test_all_known(void **state)
{
    const struct vramscope_detail *detail;
    const struct vramscope_model *model;

    (void)state;
    fill_snapshot();
    // A locale whose decimal point is another must not matter, where there is one.
    (void)setlocale(LC_ALL, "de_DE.UTF-8");
    detail = written_and_read();
    (void)setlocale(LC_ALL, "C");
    same_detail(detail);

    model = detail->models[1];
    assert_int_equal(model->n_devices, 2);
    assert_int_equal(model->devices[0], 0);
    assert_int_equal(model->devices[1], 1);
    assert_int_equal(model->rest.value, model->allocated.value - model->kv_pool.value);
    assert_int_equal(model->rest.from, VRAMSCOPE_FROM_ESTIMATED);
    assert_int_equal(model->prefix_from, VRAMSCOPE_FROM_ENGINE);
    vramscope_detail_unref(detail);
}

static void test_nothing_known(void **state)
{
    static const struct figure unknown = {UNKNOWN, FROM_NOWHERE, "not told", UNKNOWN};
    struct snapshot_model *model = &snapshot.models[0];
    const struct vramscope_detail *detail;

    (void)state;
    snapshot.total_bytes = snapshot.allocated_bytes = unknown;
    snapshot.models_bytes = snapshot.other_bytes = snapshot.orphan_bytes = UNKNOWN;
    snapshot.kv_used_bytes = UNKNOWN;
    snapshot.hit_percent = (double)NAN;
    snapshot.self = (struct snapshot_self){
        .rss_bytes = UNKNOWN, .cpu_seconds = (double)NAN, .late_seconds = (double)NAN};
    snapshot.n_sources = snapshot.n_devices = 1;
    COPY(snapshot.sources[0].backend, "nvml");
    snapshot.devices[0] = (struct snapshot_device){
        .instance = GPU_NO_INSTANCE,
        .mem_total_bytes = UNKNOWN,
        .mem_used_bytes = UNKNOWN,
        .mem_reserved_bytes = UNKNOWN,
        .processes_bytes = UNKNOWN,
        .models_bytes = UNKNOWN,
        .kv_pool_bytes = unknown,
        .kv_used_bytes = unknown,
        .other_bytes = UNKNOWN,
        .orphan_bytes = UNKNOWN,
    };
    snapshot.n_models = 1;
    engine_page_clear(&model->page);
    COPY(model->served_name, "m");
    COPY(model->id, "m");
    model->max_model_len = UNKNOWN;
    model->allocated_bytes = model->kv_used_bytes = model->kv_pool_bytes = unknown;
    model->kv_retained_bytes = unknown;
    model->prefix_minute = model->prefix_five_minutes =
        (struct hit_counts){(double)NAN, (double)NAN};
    detail = written_and_read();
    same_detail(detail);
    same_figure(&detail->models[0]->rest, unknown);
    assert_int_equal(detail->models[0]->n_devices, 0);
    assert_int_equal(detail->models[0]->prefix_from, VRAMSCOPE_FROM_UNKNOWN);
    vramscope_detail_unref(detail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_known, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
