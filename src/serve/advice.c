// SPDX-License-Identifier: Apache-2.0
#include "serve/advice.h"

#include "encode/json.h"

#include <math.h>
#include <stdio.h>

/* Too large for a stack; of one answer, for few ask. */
struct work {
    struct snapshot snapshot;
    struct observation seen[SNAPSHOT_MODELS_MAX];
    struct advice told[ADVICE_MAX];
};

static void free_work(struct work **work)
{
    free(*work);
}

/* By the wall clock; what is before 1970 nobody has seen. */
static uint64_t time_of(int64_t unix_ms)
{
    return unix_ms < 0 ? UNKNOWN : (uint64_t)unix_ms;
}

static void write_observation(struct buf *out, const struct observation *seen)
{
    bool any = seen->samples > 0;

    buf_add_char(out, '{');
    json_put_text_or_null(out, "model", seen->of.served_name);
    json_put_text_or_null(out, "model_id", seen->of.id);
    json_put_number(out, "port", seen->of.port);
    json_put_number(out, "from_ms", any ? time_of(seen->from_ms) : UNKNOWN);
    json_put_number(out, "to_ms", any ? time_of(seen->to_ms) : UNKNOWN);
    json_put_number(out, "observed_ms", seen->observed_ms);
    json_put_number(out, "samples", seen->samples);
    json_put_number(out, "kv_pool_bytes", seen->kv_pool_bytes);
    json_put_number(out, "kv_used_max_bytes", seen->kv_used_max);
    json_put_number(out, "kv_used_p999_bytes", seen->kv_used_p999);
    json_put_number(out, "max_requests_running", seen->running_max);
    json_put_number(out, "max_requests_waiting", seen->waiting_max);
    json_put_number(out, "preemptions",
                    isnan(seen->preemptions) ? UNKNOWN : (uint64_t)seen->preemptions);
    json_put_decimal(out, "hit_percent", seen->hit_percent, 2);
    buf_add_char(out, '}');
}

/* "shrink:Qwen-Qwen3-0-6B:8000"; of a GPU "start_collision:GPU-..." */
static void write_id(struct buf *out, const struct advice *advice, const char *model_id)
{
    char id[ENGINE_NAME_MAX + GPU_UUID_MAX + 64];
    const char *kind = advice_kind_name(advice->kind);

    if (model_id[0])
        (void)snprintf(id, sizeof(id), "%s:%s:%u", kind, model_id,
                       (unsigned)advice->port);
    else
        (void)snprintf(id, sizeof(id), "%s:%s", kind, advice->device);
    json_put_text_or_null(out, "id", id);
}

static void write_lines(struct buf *out, const struct advice *advice)
{
    json_put_key(out, "arithmetic");
    buf_add_char(out, '[');
    for (uint32_t i = 0; i < advice->n_lines; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        json_quote(out, advice->lines[i]);
    }
    buf_add_char(out, ']');
}

static void write_advice(struct buf *out, const struct advice *advice)
{
    char model_id[ENGINE_NAME_MAX + 1] = "";

    if (advice->served_name[0])
        snapshot_make_id(advice->served_name, model_id);
    buf_add_char(out, '{');
    write_id(out, advice, model_id);
    json_put_text_or_null(out, "kind", advice_kind_name(advice->kind));
    json_put_text_or_null(out, "severity", event_severity_name(advice->severity));
    json_put_text_or_null(out, "confidence", advice_confidence_name(advice->confidence));
    json_put_number(out, "observed_ms", advice->observed_ms);
    json_put_text_or_null(out, "model", advice->served_name);
    json_put_text_or_null(out, "model_id", model_id);
    json_put_number(out, "port", advice->port ? advice->port : UNKNOWN);
    json_put_text_or_null(out, "device", advice->device);
    json_put_text_or_null(out, "title", advice->title);
    json_put_text_or_null(out, "text", advice->text);
    write_lines(out, advice);
    json_put_text_or_null(out, "command", advice->command);
    json_put_number(out, "kv_cache_memory_bytes", advice->kv_bytes_per_gpu);
    json_put_decimal(out, "gpu_memory_utilization", advice->gpu_memory_utilization, 3);
    json_put_number(out, "freed_bytes_per_gpu", advice->freed_bytes);
    buf_add_char(out, '}');
}

static void write_document(const struct work *work, size_t n_seen, size_t n_told,
                           struct buf *out)
{
    buf_add_char(out, '{');
    json_put_number(out, "unix_ms", work->snapshot.unix_ms);
    json_put_number(out, "least_ms", ADVICE_LEAST_MS);
    json_put_key(out, "observed");
    buf_add_char(out, '[');
    for (size_t i = 0; i < n_seen; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        write_observation(out, &work->seen[i]);
    }
    buf_add_char(out, ']');
    json_put_key(out, "advice");
    buf_add_char(out, '[');
    for (size_t i = 0; i < n_told; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        write_advice(out, &work->told[i]);
    }
    buf_add_str(out, "]}\n");
}

int advice_write(struct board *board, const struct observations_source *source,
                 struct buf *out)
{
    OWNED(free_work) struct work *work = malloc(sizeof(*work));
    size_t n_seen, n_told;
    int r;

    if (!work)
        return -ENOMEM;
    r = board_copy_snapshot(board, &work->snapshot);
    if (r < 0)
        return r;
    n_seen = source->read(source->ctx, work->seen, ARRAY_LEN(work->seen));
    n_told =
        advise(work->seen, n_seen, &work->snapshot, work->told, ARRAY_LEN(work->told));
    write_document(work, n_seen, n_told, out);
    return 0;
}
