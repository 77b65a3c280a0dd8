// SPDX-License-Identifier: Apache-2.0
#include "encode/seed.h"

#include "encode/json.h"

#include <assert.h>
#include <math.h>

enum {
    ROW_MAX = 2 * ENGINE_NAME_MAX + 128, // a clean name has nothing that escapes longer
    HEAD_MAX = 256,
};

static_assert(SNAPSHOT_MODELS_MAX * ROW_MAX + HEAD_MAX <= SEED_EVENT_MAX,
              "a full snapshot must fit into one event");

/* An int64 whatever happens: unknown is 0, and nothing reaches the sign. */
static void write_bytes(struct buf *out, const char *key, uint64_t value)
{
    buf_add_str(out, key);
    buf_add_u64(out, value == UNKNOWN ? 0 : MIN(value, (uint64_t)INT64_MAX));
}

static void write_model(struct buf *out, const struct snapshot_model *model,
                        enum seed_model_id form)
{
    buf_add_str(out, "{\"model_id\":");
    json_quote(out, form == SEED_IDENTIFIER ? model->id : model->served_name);
    write_bytes(out, ",\"port\":", model->port);
    write_bytes(out, ",\"allocated_vram_bytes\":", model->allocated_bytes.value);
    write_bytes(out, ",\"used_kv_cache_bytes\":", model->kv_used_bytes.value);
    buf_add_char(out, '}');
}

void seed_write_models(struct buf *out, const struct snapshot *snapshot,
                       enum seed_model_id form)
{
    buf_add_char(out, '[');
    for (uint32_t i = 0; i < snapshot->n_models; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        write_model(out, &snapshot->models[i], form);
    }
    buf_add_char(out, ']');
}

void seed_write(struct buf *out, const struct snapshot *snapshot, enum seed_model_id form)
{
    write_bytes(out, "{\"total_vram_bytes\":", snapshot->total_bytes.value);
    write_bytes(out, ",\"allocated_vram_bytes\":", snapshot->allocated_bytes.value);
    write_bytes(out, ",\"used_kv_cache_bytes\":", snapshot->kv_used_bytes);
    buf_add_str(out, ",\"prefix_cache_hit_rate\":");
    json_fixed(out, fmin(fmax(snapshot->hit_percent, 0), 100), 2); // NAN becomes 0
    buf_add_str(out, ",\"models\":");
    seed_write_models(out, snapshot, form);
    buf_add_char(out, '}');
}
