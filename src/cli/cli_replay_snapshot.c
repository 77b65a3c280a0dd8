// SPDX-License-Identifier: Apache-2.0
#include "cli/cli_replay_snapshot.h"

#include "base/text.h"

#include <vramscope.h>

static uint64_t value_of(int64_t number)
{
    return number < 0 ? UNKNOWN : (uint64_t)number;
}

/* Where it is from is of no account here. */
static struct figure figure_from(const struct vramscope_figure *figure)
{
    uint64_t value = value_of(figure->value);

    return value == UNKNOWN ? figure_unknown(NULL) : figure_of(value, MEASURED, NULL);
}

static int fill_model(struct snapshot_model *model, const struct vramscope_model *from,
                      struct complaint *why)
{
    const char *name = from->model ? from->model : "";

    if (from->port < 0 || from->port > UINT16_MAX)
        return complain(why, -EBADMSG, "a model's \"port\" is none");
    if (strlen(name) > ENGINE_NAME_MAX)
        return complain(why, -EBADMSG, "a model's name is longer than %d bytes",
                        ENGINE_NAME_MAX);
    (void)text_clean(model->served_name, sizeof(model->served_name), span_of(name));
    snapshot_make_id(model->served_name, model->id);
    model->port = (uint16_t)from->port;
    model->allocated_bytes = figure_from(&from->allocated);
    model->kv_used_bytes = figure_from(&from->kv_used);
    model->page.requests_running = value_of(from->requests_running);
    model->page.requests_waiting = value_of(from->requests_waiting);
    return 0;
}

int replay_snapshot_fill(struct snapshot *snapshot, const struct vramscope_detail *detail,
                         struct complaint *why)
{
    size_t most = SNAPSHOT_MODELS_MAX; // of a gateway's the first ones
    int r = 0;

    if (detail->n_models > most && !detail->fleet)
        return complain(why, -EBADMSG, "it has more than %d models", SNAPSHOT_MODELS_MAX);
    if (detail->unix_ms > 0)
        snapshot->unix_ms = (uint64_t)detail->unix_ms;
    snapshot->total_bytes = figure_from(&detail->total);
    snapshot->allocated_bytes = figure_from(&detail->allocated);
    snapshot->kv_used_bytes = value_of(detail->kv_used_bytes);
    snapshot->hit_percent = detail->prefix_hit_percent;
    while (r == 0 && snapshot->n_models < MIN(detail->n_models, most)) {
        size_t i = snapshot->n_models++;

        r = fill_model(&snapshot->models[i], detail->models[i], why);
    }
    return r;
}
