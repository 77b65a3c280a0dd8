// SPDX-License-Identifier: Apache-2.0
#include "host.h"

#include <stdio.h>
#include <time.h>

#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)
#define BLOCK_BYTES (5 * MIB / 2) // of 16 tokens, on both GPUs of a model

enum { GPUS_OF_MODEL = HOST_GPUS / HOST_MODELS, BLOCKS = 16384 };

static const char *const names[HOST_KINDS] = {
    "meta-llama/Llama-3.3-70B-Instruct",
    "Qwen/Qwen2.5-72B-Instruct",
    "mistralai/Mixtral-8x22B-Instruct-v0.1",
    "deepseek-ai/DeepSeek-R1-Distill-Llama-70B",
    "meta-llama/Llama-3.1-8B-Instruct",
    "Qwen/Qwen3-32B",
    "google/gemma-3-27b-it",
    "mistralai/Mistral-Small-3.2-24B-Instruct-2506",
    "nvidia/Llama-3_3-Nemotron-Super-49B-v1",
    "openai/gpt-oss-120b",
    "CohereForAI/c4ai-command-r-plus-08-2024",
    "microsoft/phi-4",
};

static void put(char *text, size_t room, const char *value)
{
    (void)snprintf(text, room, "%s", value);
}

/* Any number, but the same each time. */
static uint64_t mixed(uint64_t number)
{
    number = (number ^ number >> 31) * UINT64_C(0x9e3779b97f4a7c15);
    number = (number ^ number >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    return number ^ number >> 32;
}

static uint64_t unix_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void write_digits(char *text, size_t digits, uint64_t seed)
{
    for (size_t i = 0; i < digits; i++)
        text[i] = "0123456789abcdef"[mixed(seed * 1000 + i) & 15];
    text[digits] = '\0';
}

void host_init(struct host *host, uint64_t number, uint64_t interval_ms)
{
    *host = (struct host){.number = number};
    (void)snprintf(host->head.node, sizeof(host->head.node), "gpu%04llu",
                   (unsigned long long)number);
    write_digits(host->head.machine, sizeof(host->head.machine) - 1, 3 * number);
    host->head.started_unix_ms = unix_ms();
    write_digits(host->head.boot, sizeof(host->head.boot) - 1,
                 host->head.started_unix_ms + number);
    put(host->head.version, sizeof(host->head.version), "1.0.0");
    host->head.interval_ms = interval_ms;
    for (size_t i = 0; i < HOST_GPUS; i++) {
        char digits[33];

        write_digits(digits, 32, 100 * number + i);
        (void)snprintf(host->uuids[i], sizeof(host->uuids[i]),
                       "GPU-%.8s-%.4s-%.4s-%.4s-%.12s", digits, digits + 8, digits + 12,
                       digits + 16, digits + 20);
    }
    for (size_t i = 0; i < HOST_MODELS; i++)
        write_digits(host->containers[i], SNAPSHOT_CONTAINER_ID_SIZE - 1,
                     100 * number + 50 + i);
}

static void set_device(struct snapshot_device *device, uint32_t i)
{
    *device = (struct snapshot_device){.index = i,
                                       .instance = GPU_NO_INSTANCE,
                                       .mem_total_bytes = 80 * GIB,
                                       .mem_reserved_bytes = 551 * MIB,
                                       .n_models = 1};
    put(device->name, sizeof(device->name), "NVIDIA H100 80GB HBM3");
}

static void set_model(struct snapshot_model *model, uint32_t i)
{
    *model = (struct snapshot_model){.state = ENGINE_READY,
                                     .pid = 4000 + 100 * i,
                                     .start_ticks = 123456 + 1000 * i,
                                     .engine_name = "vllm",
                                     .kv_source = "config.json",
                                     .kv_groups = 1,
                                     .pace_ns = 500000000,
                                     .max_model_len = 131072,
                                     .devices = UINT64_C(3) << (GPUS_OF_MODEL * i)};
    model->kv_retained_bytes = figure_unknown("the engine does not tell it");
    model->kv_pool_bytes = figure_of(BLOCKS * BLOCK_BYTES, DERIVED, NULL);
    model->kv_pool_per_gpu =
        figure_of(BLOCKS * BLOCK_BYTES / GPUS_OF_MODEL, DERIVED, NULL);
    engine_page_clear(&model->page);
    model->page.engines = 1;
    model->page.kv_blocks = BLOCKS + 1;
    model->page.kv_block_tokens = 16;
    model->page.gpu_memory_utilization = 0.9;
    put(model->page.kv_dtype, sizeof(model->page.kv_dtype), "auto");
}

static void set_process(struct snapshot_process *process, uint32_t i)
{
    uint32_t of = i / GPUS_OF_MODEL;

    *process = (struct snapshot_process){
        .pid = 4010 + 100 * of + i, .device = i, .owner = OWNER_ENGINE};
    (void)snprintf(process->comm, sizeof(process->comm), "VLLM::Worker_%u",
                   i % GPUS_OF_MODEL);
}

void host_template(struct snapshot *snapshot)
{
    struct gpu_source_state *source = &snapshot->sources[0];

    memset(snapshot, 0, sizeof(*snapshot));
    snapshot->n_sources = 1;
    source->verdict = GPU_OK;
    put(source->backend, sizeof(source->backend), "nvml");
    put(source->driver_version, sizeof(source->driver_version), "570.133.20");
    snapshot->n_devices = snapshot->n_processes = HOST_GPUS;
    snapshot->n_models = HOST_MODELS;
    for (uint32_t i = 0; i < HOST_GPUS; i++)
        set_device(&snapshot->devices[i], i);
    for (uint32_t i = 0; i < HOST_GPUS; i++)
        set_process(&snapshot->processes[i], i);
    for (uint32_t i = 0; i < HOST_MODELS; i++)
        set_model(&snapshot->models[i], i);
    snapshot->self = (struct snapshot_self){.rss_bytes = 13 * MIB,
                                            .nats = {.used = true, .connected = true}};
}

static void name_model(const struct host *host, uint32_t i, struct snapshot_model *model)
{
    uint64_t kind = (host->number * HOST_MODELS + i) % HOST_KINDS;

    model->port = (uint16_t)(8000 + (host->distinct ? i : kind));
    if (host->is_probe && i == HOST_MODELS - 1) {
        model->port = HOST_PROBE_PORT;
        put(model->served_name, sizeof(model->served_name), "probe");
    } else if (host->distinct) {
        (void)snprintf(model->served_name, sizeof(model->served_name), "%s/model-%u",
                       host->head.node, i);
    } else {
        put(model->served_name, sizeof(model->served_name), names[kind]);
    }
    snapshot_make_id(model->served_name, model->id);
    memcpy(model->container_id, host->containers[i], sizeof(host->containers[i]));
}

/* A slow wave of its own, between 20 and 80 % of all blocks. */
static uint64_t blocks_in_use(const struct host *host, uint32_t i)
{
    uint64_t phase = (mixed(host->number * HOST_MODELS + i) + host->seq * 7) % 2000;
    uint64_t height = phase < 1000 ? phase : 2000 - phase;

    return BLOCKS * (200 + height * 600 / 1000) / 1000;
}

static void fill_model(const struct host *host, uint32_t i, uint64_t taken_ns,
                       struct snapshot_model *model)
{
    uint64_t in_use = blocks_in_use(host, i);
    double queries = (double)(40000 + in_use), hits = queries * (0.5 + 0.1 * i);

    name_model(host, i, model);
    model->page_ns = taken_ns - 37000000;
    model->allocated_bytes =
        figure_of(GPUS_OF_MODEL * (70 * GIB + host->number % 64 * MIB), MEASURED, NULL);
    model->kv_used_bytes = figure_of(in_use * BLOCK_BYTES, DERIVED, NULL);
    model->page.kv_used_blocks = in_use;
    model->page.kv_usage_ratio = (double)in_use / BLOCKS;
    model->page.requests_running = in_use / 256;
    model->page.requests_waiting = in_use % 7;
    model->page.preemptions = host->seq / 100;
    model->prefix_minute = (struct hit_counts){hits, queries};
    model->prefix_five_minutes = (struct hit_counts){5 * hits, 5 * queries};
    model->page.prefix =
        (struct hit_counts){hits * (double)host->seq, queries * (double)host->seq};
    model->scrapes = (struct engine_scrapes){host->seq, 0, 2900000, 2900000 * host->seq};
}

static void fill_devices(const struct host *host, struct snapshot *snapshot)
{
    for (uint32_t i = 0; i < HOST_GPUS; i++) {
        struct snapshot_model *model = &snapshot->models[i / GPUS_OF_MODEL];
        struct snapshot_device *device = &snapshot->devices[i];
        uint64_t models = model->allocated_bytes.value / GPUS_OF_MODEL;

        memcpy(device->uuid, host->uuids[i], sizeof(host->uuids[i]));
        device->models_bytes = device->processes_bytes = models;
        device->unattributed_bytes = (int64_t)(612 * MIB);
        device->mem_used_bytes = models + 612 * MIB;
        device->kv_pool_bytes = model->kv_pool_per_gpu;
        device->kv_used_bytes =
            figure_of(model->kv_used_bytes.value / GPUS_OF_MODEL, DERIVED, NULL);
        snapshot->processes[i].bytes = models;
        snapshot->processes[i].port = model->port;
    }
}

static void sum_up(struct snapshot *snapshot)
{
    uint64_t used = 0, models = 0, kv = 0;
    double hits = 0, queries = 0;

    for (uint32_t i = 0; i < HOST_GPUS; i++)
        used += snapshot->devices[i].mem_used_bytes;
    for (uint32_t i = 0; i < HOST_MODELS; i++) {
        models += snapshot->models[i].allocated_bytes.value;
        kv += snapshot->models[i].kv_used_bytes.value;
        hits += snapshot->models[i].prefix_minute.hits;
        queries += snapshot->models[i].prefix_minute.queries;
    }
    snapshot->total_bytes = figure_of(HOST_GPUS * 80 * GIB, MEASURED, NULL);
    snapshot->allocated_bytes = figure_of(used, MEASURED, NULL);
    snapshot->models_bytes = models;
    snapshot->unattributed_bytes = (int64_t)(used - models);
    snapshot->kv_used_bytes = kv;
    snapshot->hit_percent = 100 * hits / queries;
    snapshot->hit_percent_in_window = true;
}

void host_fill(struct host *host, uint64_t now_us, struct snapshot *snapshot)
{
    struct snapshot_model *last = &snapshot->models[HOST_MODELS - 1];

    snapshot->seq = host->seq++;
    snapshot->taken_ns = snapshot->gpu_taken_ns = now_us * 1000;
    snapshot->unix_ms = host->head.unix_ms = unix_ms();
    for (uint32_t i = 0; i < HOST_MODELS; i++)
        fill_model(host, i, snapshot->taken_ns, &snapshot->models[i]);
    if (host->is_probe) {
        last->kv_used_bytes = figure_of(now_us, MEASURED, NULL);
        last->allocated_bytes.value += GPUS_OF_MODEL * GIB; // never left out for its size
    }
    fill_devices(host, snapshot);
    sum_up(snapshot);
    snapshot->self.cpu_seconds = (double)host->seq * 0.004;
    snapshot->self.nats.published = host->seq;
}
