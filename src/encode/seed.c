// SPDX-License-Identifier: Apache-2.0
#include "encode/seed.h"

#include "encode/json.h"

#include <assert.h>
#include <math.h>

enum {
    ROW_MAX = 2 * ENGINE_NAME_MAX + 128, // a clean name has nothing that escapes longer
    HEAD_MAX = 256,
    TAIL_MAX = 16, // what ends the document and the event around it
};

static_assert(SNAPSHOT_MODELS_MAX * ROW_MAX + HEAD_MAX <= SEED_EVENT_MAX,
              "a full snapshot must fit into one event");

/* An int64 whatever happens: unknown is 0, and nothing reaches the sign. */
static void write_bytes(struct buf *out, const char *key, uint64_t value)
{
    buf_add_str(out, key);
    buf_add_u64(out, value == UNKNOWN ? 0 : MIN(value, (uint64_t)INT64_MAX));
}

/* What a host and a gateway have a row of. */
struct row {
    const char *served_name, *id;
    uint16_t port;
    uint64_t allocated_bytes, kv_used_bytes;
};

static void write_row(struct buf *out, const struct row *row, enum seed_model_id form)
{
    buf_add_str(out, "{\"model_id\":");
    json_quote(out, form == SEED_IDENTIFIER ? row->id : row->served_name);
    write_bytes(out, ",\"port\":", row->port);
    write_bytes(out, ",\"allocated_vram_bytes\":", row->allocated_bytes);
    write_bytes(out, ",\"used_kv_cache_bytes\":", row->kv_used_bytes);
    buf_add_char(out, '}');
}

static void write_hosts(struct buf *out, const struct snapshot *snapshot,
                        enum seed_model_id form)
{
    for (uint32_t i = 0; i < snapshot->n_models; i++) {
        const struct snapshot_model *model = &snapshot->models[i];
        const struct row row = {model->served_name, model->id, model->port,
                                model->allocated_bytes.value, model->kv_used_bytes.value};

        if (i > 0)
            buf_add_char(out, ',');
        write_row(out, &row, form);
    }
}

/* Whoever has filled it has seen to it that they fit; if not, there are fewer. */
static void write_fleets(struct buf *out, const struct snapshot_fleet *fleet,
                         enum seed_model_id form, size_t end)
{
    char bytes[ROW_MAX];
    bool first = true;

    for (uint32_t i = 0; i < fleet->n_models; i++) {
        const struct fleet_model *model = &fleet->models[i];
        const struct row row = {model->served_name, model->id, model->port,
                                model->allocated_bytes.value, model->kv_used_bytes.value};
        struct buf text = {.data = bytes, .room = sizeof(bytes), .max = sizeof(bytes)};

        if (!model->in_seed)
            continue;
        write_row(&text, &row, form);
        if (out->len + text.len + !first > end)
            return;
        if (!first)
            buf_add_char(out, ',');
        buf_add(out, text.data, text.len);
        first = false;
    }
}

static void write_models(struct buf *out, const struct snapshot *snapshot,
                         enum seed_model_id form, size_t end)
{
    buf_add_char(out, '[');
    if (snapshot->fleet)
        write_fleets(out, snapshot->fleet, form, end);
    else
        write_hosts(out, snapshot, form);
    buf_add_char(out, ']');
}

void seed_write_models(struct buf *out, const struct snapshot *snapshot,
                       enum seed_model_id form)
{
    write_models(out, snapshot, form, out->len + SEED_EVENT_MAX - HEAD_MAX);
}

void seed_write(struct buf *out, const struct snapshot *snapshot, enum seed_model_id form)
{
    size_t end = out->len + SEED_EVENT_MAX - TAIL_MAX;

    write_bytes(out, "{\"total_vram_bytes\":", snapshot->total_bytes.value);
    write_bytes(out, ",\"allocated_vram_bytes\":", snapshot->allocated_bytes.value);
    write_bytes(out, ",\"used_kv_cache_bytes\":", snapshot->kv_used_bytes);
    buf_add_str(out, ",\"prefix_cache_hit_rate\":");
    json_fixed(out, fmin(fmax(snapshot->hit_percent, 0), 100), 2); // NAN becomes 0
    buf_add_str(out, ",\"models\":");
    write_models(out, snapshot, form, end);
    buf_add_char(out, '}');
}
