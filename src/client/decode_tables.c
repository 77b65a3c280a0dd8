// SPDX-License-Identifier: Apache-2.0
#include "client/decode_shape.h"

#include "vramscope.h"

/* Of one document; docs/wire.md says what a daemon stays below. */
enum {
    MODELS_MAX = 1024,
    DEVICES_MAX = 1024,
    PROCESSES_MAX = 4096,
    SOURCES_MAX = 64,
    EVENTS_MAX = 256,
    NODES_MAX = 4096,
    TOTALS_MAX = 256,
};

#define SHAPE(of, table) \
    .size = sizeof(struct of), .members = table, .n = ARRAY_LEN(table)

// clang-format off
#define AT(member) .offset = offsetof(struct vramscope_figure, member)
static const struct member figure_members[] = {
    {NULL, "value",  MEMBER_COUNT, AT(value)},
    {NULL, "from",   MEMBER_FROM,  AT(from)},
    {NULL, "error",  MEMBER_COUNT, AT(error)},
    {NULL, "reason", MEMBER_TEXT,  AT(reason)},
};
#undef AT
static const struct shape figure = {SHAPE(vramscope_figure, figure_members)};

#define AT(member) .offset = offsetof(struct vramscope_hits, member)
static const struct member hits_members[] = {
    {NULL, "hits",        MEMBER_COUNT,   AT(hits)},
    {NULL, "queries",     MEMBER_COUNT,   AT(queries)},
    {NULL, "hit_percent", MEMBER_PERCENT, AT(hit_percent)},
};
#undef AT
static const struct shape hits = {SHAPE(vramscope_hits, hits_members)};

#define AT(member) .offset = offsetof(struct vramscope_source, member)
static const struct member source_members[] = {
    {NULL, "backend",        MEMBER_TEXT, AT(backend)},
    {NULL, "verdict",        MEMBER_TEXT, AT(verdict)},
    {NULL, "driver_version", MEMBER_TEXT, AT(driver_version)},
    {NULL, "reason",         MEMBER_TEXT, AT(reason)},
};
#undef AT
static const struct shape source = {SHAPE(vramscope_source, source_members)};

#define AT(member) .offset = offsetof(struct vramscope_device, member)
static const struct member device_members[] = {
    {NULL, "backend",            MEMBER_TEXT,   AT(backend)},
    {NULL, "index",              MEMBER_COUNT,  AT(index)},
    {NULL, "uuid",               MEMBER_TEXT,   AT(uuid)},
    {NULL, "name",               MEMBER_TEXT,   AT(name)},
    {NULL, "parent_uuid",        MEMBER_TEXT,   AT(parent_uuid)},
    {NULL, "instance",           MEMBER_COUNT,  AT(instance)},
    {NULL, "unified",            MEMBER_BOOL,   AT(unified)},
    {NULL, "total_bytes",        MEMBER_COUNT,  AT(total_bytes)},
    {NULL, "used_bytes",         MEMBER_COUNT,  AT(used_bytes)},
    {NULL, "reserved_bytes",     MEMBER_COUNT,  AT(reserved_bytes)},
    {NULL, "processes_bytes",    MEMBER_COUNT,  AT(processes_bytes)},
    {NULL, "reason",             MEMBER_TEXT,   AT(reason)},
    {NULL, "models_bytes",       MEMBER_COUNT,  AT(models_bytes)},
    {NULL, "kv_pool_bytes",      MEMBER_OBJECT, AT(kv_pool), &figure},
    {NULL, "kv_used_bytes",      MEMBER_OBJECT, AT(kv_used), &figure},
    {NULL, "other_bytes",        MEMBER_COUNT,  AT(other_bytes)},
    {NULL, "orphan_bytes",       MEMBER_COUNT,  AT(orphan_bytes)},
    {NULL, "unattributed_bytes", MEMBER_SIGNED, AT(unattributed_bytes)},
};
#undef AT
static const struct shape device = {SHAPE(vramscope_device, device_members)};

#define AT(member) .offset = offsetof(struct vramscope_model, member)
#define N(member) .n_offset = offsetof(struct vramscope_model, member)
static const struct member model_members[] = {
    {NULL, "model",              MEMBER_TEXT,    AT(model)},
    {NULL, "model_id",           MEMBER_TEXT,    AT(model_id)},
    {NULL, "engine",             MEMBER_TEXT,    AT(engine)},
    {NULL, "port",               MEMBER_PORT,    AT(port)},
    {NULL, "pid",                MEMBER_COUNT,   AT(pid)},
    {NULL, "container_id",       MEMBER_TEXT,    AT(container_id)},
    {NULL, "pod_uid",            MEMBER_TEXT,    AT(pod_uid)},
    {NULL, "state",              MEMBER_TEXT,    AT(state)},
    {NULL, "reason",             MEMBER_TEXT,    AT(reason)},
    {NULL, "stale",              MEMBER_BOOL,    AT(stale)},
    {NULL, "age_ms",             MEMBER_COUNT,   AT(age_ms)},
    {NULL, "scrape_interval_ms", MEMBER_COUNT,   AT(scrape_interval_ms)},
    {NULL, "devices",            MEMBER_INDICES, AT(devices), NULL, N(n_devices), DEVICES_MAX},

    {"vram", "allocated_bytes", MEMBER_OBJECT, AT(allocated), &figure},
    {"vram", "kv_pool_bytes",   MEMBER_OBJECT, AT(kv_pool),   &figure},
    {"vram", "rest_bytes",      MEMBER_OBJECT, AT(rest),      &figure},

    {"kv_cache", "used_bytes",            MEMBER_OBJECT, AT(kv_used),     &figure},
    {"kv_cache", "capacity_bytes",        MEMBER_OBJECT, AT(kv_capacity), &figure},
    {"kv_cache", "retained_bytes",        MEMBER_OBJECT, AT(kv_retained), &figure},
    {"kv_cache", "source",                MEMBER_TEXT,   AT(kv_source)},
    {"kv_cache", "usage_ratio",           MEMBER_RATIO,  AT(kv_usage_ratio)},
    {"kv_cache", "used_blocks",           MEMBER_COUNT,  AT(kv_used_blocks)},
    {"kv_cache", "blocks",                MEMBER_COUNT,  AT(kv_blocks)},
    {"kv_cache", "block_tokens",          MEMBER_COUNT,  AT(kv_block_tokens)},
    {"kv_cache", "capacity_tokens",       MEMBER_COUNT,  AT(kv_capacity_tokens)},
    {"kv_cache", "data_parallel_engines", MEMBER_COUNT,  AT(kv_data_parallel_engines)},
    {"kv_cache", "dtype",                 MEMBER_TEXT,   AT(kv_dtype)},
    {"kv_cache", "reason",                MEMBER_TEXT,   AT(kv_reason)},

    {"requests", "running",     MEMBER_COUNT, AT(requests_running)},
    {"requests", "waiting",     MEMBER_COUNT, AT(requests_waiting)},
    {"requests", "preemptions", MEMBER_COUNT, AT(requests_preemptions)},

    {"prefix_cache", "from",         MEMBER_FROM,   AT(prefix_from)},
    {"prefix_cache", "minute",       MEMBER_OBJECT, AT(prefix_minute),       &hits},
    {"prefix_cache", "five_minutes", MEMBER_OBJECT, AT(prefix_five_minutes), &hits},
    {"prefix_cache", "lifetime",     MEMBER_OBJECT, AT(prefix_lifetime),     &hits},

    {NULL, "max_model_len", MEMBER_COUNT, AT(max_model_len)},
    {NULL, "nodes",         MEMBER_COUNT, AT(nodes)},
    {NULL, "nodes_ready",   MEMBER_COUNT, AT(nodes_ready)},
};
#undef AT
#undef N
static const struct shape model = {SHAPE(vramscope_model, model_members)};

#define AT(member) .offset = offsetof(struct vramscope_process, member)
static const struct member process_members[] = {
    {NULL, "pid",    MEMBER_COUNT, AT(pid)},
    {NULL, "comm",   MEMBER_TEXT,  AT(comm)},
    {NULL, "device", MEMBER_COUNT, AT(device)},
    {NULL, "bytes",  MEMBER_COUNT, AT(bytes)},
    {NULL, "owner",  MEMBER_TEXT,  AT(owner)},
    {NULL, "port",   MEMBER_PORT,  AT(port)},
};
#undef AT
static const struct shape process = {SHAPE(vramscope_process, process_members)};

#define AT(member) .offset = offsetof(struct vramscope_self, member)
#define N(member) .n_offset = offsetof(struct vramscope_self, member)
static const struct member self_members[] = {
    {NULL, "rss_bytes",       MEMBER_COUNT,   AT(rss_bytes)},
    {NULL, "cpu_seconds",     MEMBER_DECIMAL, AT(cpu_seconds)},
    {NULL, "late_ms",         MEMBER_DECIMAL, AT(late_ms)},
    {NULL, "subscribers",     MEMBER_COUNT,   AT(subscribers)},
    {NULL, "frames_sent",     MEMBER_COUNT,   AT(frames_sent)},
    {NULL, "frames_skipped",  MEMBER_COUNT,   AT(frames_skipped)},
    {NULL, "worker_restarts", MEMBER_COUNT,   AT(worker_restarts)},
    {NULL, "limited", MEMBER_TOTALS, AT(limited), NULL, N(n_limited), TOTALS_MAX},
    {NULL, "history_errors",  MEMBER_COUNT,   AT(history_errors)},
};
#undef AT
#undef N
static const struct shape self = {SHAPE(vramscope_self, self_members)};

#define AT(member) .offset = offsetof(struct vramscope_host_event, member)
static const struct member event_members[] = {
    {NULL, "id",       MEMBER_COUNT,    AT(id)},
    {NULL, "unix_ms",  MEMBER_COUNT,    AT(unix_ms)},
    {NULL, "kind",     MEMBER_TEXT,     AT(kind)},
    {NULL, "severity", MEMBER_SEVERITY, AT(severity)},
    {NULL, "model",    MEMBER_TEXT,     AT(model)},
    {NULL, "model_id", MEMBER_TEXT,     AT(model_id)},
    {NULL, "port",     MEMBER_PORT,     AT(port)},
    {NULL, "device",   MEMBER_TEXT,     AT(device)},
    {NULL, "text",     MEMBER_TEXT,     AT(text)},
    {NULL, "node",     MEMBER_TEXT,     AT(node)},
};
#undef AT
static const struct shape event = {SHAPE(vramscope_host_event, event_members)};

#define AT(member) .offset = offsetof(struct vramscope_node, member)
static const struct member node_members[] = {
    {NULL, "node",            MEMBER_TEXT,   AT(node)},
    {NULL, "state",           MEMBER_TEXT,   AT(state)},
    {NULL, "reason",          MEMBER_TEXT,   AT(reason)},
    {NULL, "counted",         MEMBER_BOOL,   AT(counted)},
    {NULL, "gateway",         MEMBER_BOOL,   AT(gateway)},
    {NULL, "nodes",           MEMBER_COUNT,  AT(nodes)},
    {NULL, "name_taken",      MEMBER_BOOL,   AT(name_taken)},
    {NULL, "age_ms",          MEMBER_COUNT,  AT(age_ms)},
    {NULL, "interval_ms",     MEMBER_COUNT,  AT(interval_ms)},
    {NULL, "clock_offset_ms", MEMBER_SIGNED, AT(clock_offset_ms)},
    {NULL, "version",         MEMBER_TEXT,   AT(version)},
    {NULL, "machine",         MEMBER_TEXT,   AT(machine)},
    {NULL, "boot",            MEMBER_TEXT,   AT(boot)},
    {NULL, "seq",             MEMBER_COUNT,  AT(seq)},
    {NULL, "started_unix_ms", MEMBER_COUNT,  AT(started_unix_ms)},
    {NULL, "messages",        MEMBER_COUNT,  AT(messages)},
    {NULL, "malformed",       MEMBER_COUNT,  AT(malformed)},
    {NULL, "dropped",         MEMBER_COUNT,  AT(dropped)},
    {NULL, "gpus",            MEMBER_COUNT,  AT(gpus)},
    {NULL, "models",          MEMBER_COUNT,  AT(models)},

    {"vram", "total_bytes",        MEMBER_COUNT,  AT(total_bytes)},
    {"vram", "allocated_bytes",    MEMBER_COUNT,  AT(allocated_bytes)},
    {"vram", "from",               MEMBER_FROM,   AT(vram_from)},
    {"vram", "models_bytes",       MEMBER_COUNT,  AT(models_bytes)},
    {"vram", "other_bytes",        MEMBER_COUNT,  AT(other_bytes)},
    {"vram", "orphan_bytes",       MEMBER_COUNT,  AT(orphan_bytes)},
    {"vram", "unattributed_bytes", MEMBER_SIGNED, AT(unattributed_bytes)},

    {"kv_cache", "used_bytes",     MEMBER_COUNT, AT(kv_used_bytes)},
    {"kv_cache", "capacity_bytes", MEMBER_COUNT, AT(kv_capacity_bytes)},
    {"kv_cache", "from",           MEMBER_FROM,  AT(kv_from)},
    {"kv_cache", "unknown_models", MEMBER_COUNT, AT(kv_unknown_models)},

    {"prefix_cache", "hit_percent", MEMBER_PERCENT, AT(prefix_hit_percent)},

    {"requests", "running", MEMBER_COUNT, AT(requests_running)},
    {"requests", "waiting", MEMBER_COUNT, AT(requests_waiting)},
};
#undef AT
static const struct shape node = {SHAPE(vramscope_node, node_members)};

#define AT(member) .offset = offsetof(struct vramscope_fleet, member)
static const struct member fleet_members[] = {
    {NULL, "nodes",      MEMBER_COUNT, AT(nodes)},
    {NULL, "live",       MEMBER_COUNT, AT(live)},
    {NULL, "stale",      MEMBER_COUNT, AT(stale)},
    {NULL, "outage",     MEMBER_COUNT, AT(outage)},
    {NULL, "unreadable", MEMBER_COUNT, AT(unreadable)},
    {NULL, "lost",       MEMBER_COUNT, AT(lost)},
    {NULL, "counted",    MEMBER_COUNT, AT(counted)},
    {NULL, "gpus",       MEMBER_COUNT, AT(gpus)},

    {NULL, "kv_pool_bytes",          MEMBER_OBJECT, AT(kv_pool), &figure},
    {NULL, "kv_pool_unknown_models", MEMBER_COUNT,  AT(kv_pool_unknown_models)},

    {"requests", "running", MEMBER_COUNT, AT(requests_running)},
    {"requests", "waiting", MEMBER_COUNT, AT(requests_waiting)},

    {"nats", "connected",  MEMBER_BOOL,  AT(nats_connected)},
    {"nats", "reconnects", MEMBER_COUNT, AT(nats_reconnects)},
    {"nats", "messages",   MEMBER_COUNT, AT(nats_messages)},
    {"nats", "bytes",      MEMBER_COUNT, AT(nats_bytes)},
    {"nats", "malformed",  MEMBER_COUNT, AT(nats_malformed)},
    {"nats", "dropped",    MEMBER_COUNT, AT(nats_dropped)},
    {"nats", "refused",    MEMBER_COUNT, AT(nats_refused)},
    {"nats", "missed",     MEMBER_COUNT, AT(nats_missed)},
};
#undef AT
static const struct shape fleet = {SHAPE(vramscope_fleet, fleet_members)};

#define AT(member) .offset = offsetof(struct vramscope_outage, member)
static const struct member outage_members[] = {
    {NULL, "code",    MEMBER_TEXT, AT(code)},
    {NULL, "message", MEMBER_TEXT, AT(message)},
    {NULL, "remedy",  MEMBER_TEXT, AT(remedy)},
};
#undef AT
static const struct shape outage = {SHAPE(vramscope_outage, outage_members)};

#define AT(member) .offset = offsetof(struct vramscope_detail, member)
#define N(member) .n_offset = offsetof(struct vramscope_detail, member)
static const struct member detail_members[] = {
    {NULL, "schema",      MEMBER_COUNT, AT(schema)},
    {NULL, "version",     MEMBER_TEXT,  AT(version)},
    {NULL, "boot",        MEMBER_TEXT,  AT(boot)},
    {NULL, "seq",         MEMBER_COUNT, AT(seq)},
    {NULL, "unix_ms",     MEMBER_COUNT, AT(unix_ms)},
    {NULL, "interval_ms", MEMBER_COUNT, AT(interval_ms)},

    {"vram", "total_bytes",        MEMBER_OBJECT, AT(total),     &figure},
    {"vram", "allocated_bytes",    MEMBER_OBJECT, AT(allocated), &figure},
    {"vram", "models_bytes",       MEMBER_COUNT,  AT(models_bytes)},
    {"vram", "other_bytes",        MEMBER_COUNT,  AT(other_bytes)},
    {"vram", "orphan_bytes",       MEMBER_COUNT,  AT(orphan_bytes)},
    {"vram", "unattributed_bytes", MEMBER_SIGNED, AT(unattributed_bytes)},

    {"kv_cache", "used_bytes",     MEMBER_COUNT, AT(kv_used_bytes)},
    {"kv_cache", "unknown_models", MEMBER_COUNT, AT(kv_unknown_models)},

    {"prefix_cache", "hit_percent", MEMBER_PERCENT, AT(prefix_hit_percent)},
    {"prefix_cache", "in_window",   MEMBER_BOOL,    AT(prefix_in_window)},

    {"gpu", "age_ms",  MEMBER_COUNT, AT(gpu_age_ms)},
    {"gpu", "sources", MEMBER_LIST,  AT(sources), &source, N(n_sources), SOURCES_MAX},

    {NULL, "devices",   MEMBER_LIST, AT(devices),   &device,  N(n_devices),   DEVICES_MAX},
    {NULL, "models",    MEMBER_LIST, AT(models),    &model,   N(n_models),    MODELS_MAX},
    {NULL, "processes", MEMBER_LIST, AT(processes), &process, N(n_processes), PROCESSES_MAX},
    {NULL, "processes_left_out", MEMBER_COUNT, AT(processes_left_out)},
    {NULL, "self", MEMBER_POINTER, AT(self), &self},

    {NULL, "events", MEMBER_GIVEN, AT(tells_events)},
    {NULL, "events", MEMBER_LIST,  AT(events), &event, N(n_events), EVENTS_MAX},

    {NULL, "node",  MEMBER_TEXT,     AT(node)},
    {NULL, "fleet", MEMBER_OPTIONAL, AT(fleet), &fleet},
    {NULL, "nodes", MEMBER_LIST,     AT(nodes), &node, N(n_nodes), NODES_MAX},
    {NULL, "nodes_left_out",  MEMBER_COUNT, AT(nodes_left_out)},
    {NULL, "models_left_out", MEMBER_COUNT, AT(models_left_out)},
    {NULL, "outage", MEMBER_OPTIONAL, AT(outage), &outage},
};
#undef AT
#undef N
const struct shape shape_detail = {SHAPE(vramscope_detail, detail_members)};

#define AT(member) .offset = offsetof(struct vramscope_row, member)
static const struct member row_members[] = {
    {NULL, "model_id",             MEMBER_TEXT,  AT(model_id)},
    {NULL, "port",                 MEMBER_PORT,  AT(port)},
    {NULL, "allocated_vram_bytes", MEMBER_COUNT, AT(allocated_vram_bytes)},
    {NULL, "used_kv_cache_bytes",  MEMBER_COUNT, AT(used_kv_cache_bytes)},
};
#undef AT
static const struct shape row = {SHAPE(vramscope_row, row_members), .required = true};

#define AT(member) .offset = offsetof(struct vramscope_snapshot, member)
#define N(member) .n_offset = offsetof(struct vramscope_snapshot, member)
static const struct member snapshot_members[] = {
    {NULL, "total_vram_bytes",      MEMBER_COUNT,   AT(total_vram_bytes)},
    {NULL, "allocated_vram_bytes",  MEMBER_COUNT,   AT(allocated_vram_bytes)},
    {NULL, "used_kv_cache_bytes",   MEMBER_COUNT,   AT(used_kv_cache_bytes)},
    {NULL, "prefix_cache_hit_rate", MEMBER_PERCENT, AT(prefix_cache_hit_rate)},
    {NULL, "models", MEMBER_LIST, AT(models), &row, N(n_models), MODELS_MAX},
};
#undef AT
#undef N
const struct shape shape_snapshot = {SHAPE(vramscope_snapshot, snapshot_members),
                                     .required = true};
// clang-format on
