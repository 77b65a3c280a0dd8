// SPDX-License-Identifier: Apache-2.0
/*
 * draw_explain.c - of one model each figure, where it comes from, and how it was worked out
 *
 * Nothing is worked out here that the daemon did not: where the arithmetic it gives does
 * not come to the figure it gives, the arithmetic is left out.
 */
#include "tui/draw_parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { PROCESSES_SHOWN = 8, LABEL_WIDTH = 14, INDENT = 4 };

static const char *from_words(const struct vramscope_figure *figure)
{
    switch (figure->from) {
    case VRAMSCOPE_FROM_MEASURED:
        return "measured by the driver";
    case VRAMSCOPE_FROM_ENGINE:
        return "said by the engine";
    case VRAMSCOPE_FROM_DERIVED:
        return "worked out from facts";
    case VRAMSCOPE_FROM_ESTIMATED:
        return "estimated";
    case VRAMSCOPE_FROM_UNKNOWN:
        break;
    }
    return "not known";
}

/* What the size of the blocks was taken from: the words of the daemon, and what they mean. */
static const struct {
    const char *source, *meaning;
} sources[] = {
    {"engine", "the engine counts the bytes of its KV cache itself"},
    {"kv_bytes_per_block",
     "the bytes of a block are set as kv_bytes_per_block in the daemon's configuration"},
    {"kv_pool_bytes_per_gpu",
     "the pool is set as kv_pool_bytes_per_gpu in the daemon's configuration"},
    {"kv_cache_memory_bytes",
     "the engine was started with its pool's size, --kv-cache-memory-bytes"},
    {"config.json", "layers, heads and type of the model's config.json, placed as the "
                    "command line says, give the bytes of a block"},
    {"server_info", "the server tells its own configuration (development mode), which "
                    "gives the bytes of a block"},
    {"log", "the engine's start-up log tells the memory its KV cache was given"},
    {"process_memory", "nothing better is known of it"},
};

/* "KV used   ~12.4 GiB   worked out from facts, exact". */
static void put_heading(struct sheet *sheet, const char *label, const char *value,
                        bool known, const char *from)
{
    bool narrow = sheet->drawing->canvas->columns < 60;
    struct pen pen;

    sheet->said_before = sheet->said;
    sheet->said = NULL;
    (void)sheet_line(sheet);
    pen = sheet_line(sheet);
    pen_cut(&pen, LABEL_WIDTH, STYLE_HEADING, label);
    pen_right(&pen, narrow ? 10 : 13, known ? STYLE_STRONG : STYLE_DIM, value);
    pen_skip(&pen, 3);
    if (narrow)
        sheet_wrap(sheet, INDENT, STYLE_TEXT, "%s.", from);
    else
        pen_print(&pen, STYLE_TEXT, "%s", from);
}

static void put_figure(struct sheet *sheet, const char *label,
                       const struct vramscope_figure *figure)
{
    char value[FIGURE_TEXT_SIZE], error[FIGURE_TEXT_SIZE], from[96];
    bool known = is_figure_known(figure);

    figure_text(value, figure);
    bytes_text(error, figure->error);
    if (!known || figure->from == VRAMSCOPE_FROM_MEASURED ||
        (figure->from == VRAMSCOPE_FROM_ENGINE && figure->error == 0))
        snprintf(from, sizeof(from), "%s", from_words(figure));
    else if (!is_known(figure->error))
        snprintf(from, sizeof(from), "%s; by how much it may be off is not known",
                 from_words(figure));
    else if (figure->error == 0)
        snprintf(from, sizeof(from), "%s, exact", from_words(figure));
    else
        snprintf(from, sizeof(from), "%s, off by %s %s", from_words(figure),
                 *error == '<' ? "less than" : "at most", error + (*error == '<'));
    put_heading(sheet, label, value, known, from);
}

/* The reason of the figure just before need not be read twice. */
static void put_reason(struct sheet *sheet, const char *reason)
{
    if (!reason || !reason[0])
        return;
    if (sheet->said_before && strcmp(reason, sheet->said_before) == 0)
        sheet_wrap(sheet, INDENT, STYLE_DIM, "For the same reason.");
    else
        sheet_wrap(sheet, INDENT, STYLE_DIM, "%s", reason);
    sheet->said = reason;
}

/* ---- Memory ---- */

static void put_processes(struct sheet *sheet, const struct row *row,
                          const struct vramscope_detail *detail)
{
    size_t shown = 0, left = 0;

    for (size_t i = 0; i < detail->n_processes; i++) {
        const struct vramscope_process *process = detail->processes[i];
        char bytes[FIGURE_TEXT_SIZE], label[DEVICE_LABEL_SIZE] = "a device";
        struct pen pen;

        if (!is_known(process->port) || process->port != row->model->port)
            continue;
        if (shown++ >= PROCESSES_SHOWN) {
            left++;
            continue;
        }
        if (device_of(detail, process->device))
            device_label(label, detail, device_of(detail, process->device));
        bytes_text(bytes, process->bytes);
        pen = sheet_line(sheet);
        pen_skip(&pen, INDENT);
        pen_right(&pen, 10, STYLE_TEXT, bytes);
        pen_print(&pen, STYLE_DIM, "  pid %" PRId64 " %s on %s", process->pid,
                  process->comm ? process->comm : "(name hidden)", label);
    }
    if (left)
        sheet_wrap(sheet, INDENT, STYLE_DIM, "and %zu more processes", left);
}

static void explain_vram(struct sheet *sheet, const struct row *row,
                         const struct vramscope_detail *detail)
{
    const struct vramscope_model *model = row->model;

    put_figure(sheet, "VRAM", &model->allocated);
    if (is_figure_known(&model->allocated))
        sheet_wrap(sheet, INDENT, STYLE_TEXT,
                   "What the driver lists for the processes of its tree on %zu device%s:",
                   model->n_devices, model->n_devices == 1 ? "" : "s");
    put_processes(sheet, row, detail);
    put_reason(sheet, model->allocated.reason);
}

static void explain_rest(struct sheet *sheet, const struct row *row)
{
    const struct vramscope_model *model = row->model;
    char all[FIGURE_TEXT_SIZE], pool[FIGURE_TEXT_SIZE], rest[FIGURE_TEXT_SIZE];

    put_figure(sheet, "weights etc.", &model->rest);
    if (is_figure_known(&model->rest)) {
        bytes_text(all, model->allocated.value);
        bytes_text(pool, model->kv_pool.value);
        bytes_text(rest, model->rest.value);
        sheet_wrap(sheet, INDENT, STYLE_TEXT,
                   "%s held - %s of KV cache = %s: weights, activations, CUDA graphs and "
                   "contexts.",
                   all, pool, rest);
    }
    put_reason(sheet, model->rest.reason);
}

/* ---- The KV cache ---- */

/* Bytes of a block over all GPUs; 0: the blocks are not alike, or not known. */
static int64_t block_bytes(const struct vramscope_model *model)
{
    int64_t pool = model->kv_capacity.value;

    if (!is_figure_known(&model->kv_capacity) || !is_known(model->kv_blocks) ||
        model->kv_blocks <= 0 || pool <= 0 || pool % model->kv_blocks != 0)
        return 0;
    return pool / model->kv_blocks;
}

/* " over 2 GPUs", if it is more than one. */
static void put_gpus(char *ret, size_t room, const struct vramscope_model *model)
{
    ret[0] = '\0';
    if (model->n_devices > 1)
        snprintf(ret, room, " over %zu GPUs", model->n_devices);
}

/* "7,214 blocks x 1,835,008 bytes over 2 GPUs = 12.4 GiB", if that is what it comes to. */
static bool put_product(struct sheet *sheet, const struct vramscope_model *model,
                        int64_t n_blocks, const struct vramscope_figure *figure)
{
    char blocks[FIGURE_TEXT_SIZE], size[FIGURE_TEXT_SIZE], sum[FIGURE_TEXT_SIZE],
        gpus[64];
    int64_t each = block_bytes(model), product;

    if (!is_known(n_blocks) || !is_figure_known(figure) || each <= 0 ||
        __builtin_mul_overflow(n_blocks, each, &product) || product != figure->value)
        return false;
    count_text(blocks, n_blocks);
    count_text(size, each);
    bytes_text(sum, figure->value);
    put_gpus(gpus, sizeof(gpus), model);
    sheet_wrap(sheet, INDENT, STYLE_TEXT, "%s blocks %s %s bytes%s = %s.", blocks,
               sheet->drawing->signs->times, size, gpus, sum);
    return true;
}

/* "88 of 1,180 blocks of a pool of 2.3 GiB = 0.2 GiB", if it does to a thousandth. */
static void put_share_of_pool(struct sheet *sheet, const struct vramscope_model *model)
{
    char used[FIGURE_TEXT_SIZE], all[FIGURE_TEXT_SIZE], pool[FIGURE_TEXT_SIZE];
    char sum[FIGURE_TEXT_SIZE];
    double share;

    if (!is_known(model->kv_used_blocks) || !is_known(model->kv_blocks) ||
        model->kv_blocks <= 0 || !is_figure_known(&model->kv_used) ||
        !is_figure_known(&model->kv_capacity))
        return;
    share = (double)model->kv_used_blocks / (double)model->kv_blocks *
            (double)model->kv_capacity.value;
    if (fabs(share - (double)model->kv_used.value) > 1 + share / 1000)
        return;
    count_text(used, model->kv_used_blocks);
    count_text(all, model->kv_blocks);
    bytes_text(pool, model->kv_capacity.value);
    bytes_text(sum, model->kv_used.value);
    sheet_wrap(sheet, INDENT, STYLE_TEXT, "%s of %s blocks, of a pool of %s = %s.", used,
               all, pool, sum);
}

static void put_source(struct sheet *sheet, const struct vramscope_model *model)
{
    if (!model->kv_source)
        return;
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        if (strcmp(model->kv_source, sources[i].source) != 0)
            continue;
        sheet_wrap(sheet, INDENT, STYLE_TEXT, "Size by %s: %s.", model->kv_source,
                   sources[i].meaning);
        return;
    }
    sheet_wrap(sheet, INDENT, STYLE_TEXT, "Size by %s.", model->kv_source);
}

static void put_tokens(struct sheet *sheet, const struct vramscope_model *model)
{
    char tokens[FIGURE_TEXT_SIZE], block[FIGURE_TEXT_SIZE];

    if (!is_known(model->kv_capacity_tokens))
        return;
    count_text(tokens, model->kv_capacity_tokens);
    count_text(block, model->kv_block_tokens);
    sheet_wrap(sheet, INDENT, STYLE_TEXT, "Room for %s tokens, in blocks of %s; type %s.",
               tokens, block, model->kv_dtype ? model->kv_dtype : "not told");
}

static void explain_capacity(struct sheet *sheet, const struct row *row)
{
    const struct vramscope_model *model = row->model;

    put_figure(sheet, "KV capacity", &model->kv_capacity);
    (void)put_product(sheet, model, model->kv_blocks, &model->kv_capacity);
    put_tokens(sheet, model);
    put_reason(sheet, model->kv_capacity.reason);
}

static void explain_used(struct sheet *sheet, const struct row *row)
{
    const struct vramscope_model *model = row->model;

    put_figure(sheet, "KV used", &model->kv_used);
    if (!put_product(sheet, model, model->kv_used_blocks, &model->kv_used))
        put_share_of_pool(sheet, model);
    put_source(sheet, model);
    put_reason(sheet, model->kv_used.reason);
}

/* The engine's own gauge, and the blocks it stands for, if they come to the same. */
static void explain_percent(struct sheet *sheet, const struct row *row)
{
    const struct vramscope_model *model = row->model;
    char value[FIGURE_TEXT_SIZE], used[FIGURE_TEXT_SIZE], usable[FIGURE_TEXT_SIZE];
    int64_t engines = MAX(INT64_C(1), model->kv_data_parallel_engines);
    bool known = !isnan(model->kv_usage_ratio);
    double ratio;

    percent_text(value, 100 * model->kv_usage_ratio);
    put_heading(sheet, "KV%", value, known, known ? "said by the engine" : "not known");
    if (known && is_known(model->kv_used_blocks) && model->kv_blocks > engines) {
        ratio = (double)model->kv_used_blocks / (double)(model->kv_blocks - engines);
        count_text(used, model->kv_used_blocks);
        count_text(usable, model->kv_blocks - engines);
        if (fabs(ratio - model->kv_usage_ratio) < 0.0005)
            sheet_wrap(sheet, INDENT, STYLE_TEXT,
                       "%s of %s blocks that requests can hold; %" PRId64
                       " null block%s cannot be held.",
                       used, usable, engines, engines == 1 ? "" : "s");
    }
    put_reason(sheet, model->kv_reason);
}

static void explain_retained(struct sheet *sheet, const struct row *row)
{
    put_figure(sheet, "KV cached", &row->model->kv_retained);
    if (is_figure_known(&row->model->kv_retained))
        sheet_wrap(sheet, INDENT, STYLE_TEXT,
                   "Blocks that no request holds and that can still be hit.");
    put_reason(sheet, row->model->kv_retained.reason);
}

/* ---- What the engine counts ---- */

/* "178,616 of 277,500 tokens looked up", or that there were none. */
static void put_window(struct sheet *sheet, const char *when,
                       const struct vramscope_hits *hits)
{
    char found[FIGURE_TEXT_SIZE], all[FIGURE_TEXT_SIZE], percent[FIGURE_TEXT_SIZE];

    if (!is_known(hits->hits) || !is_known(hits->queries))
        return;
    count_text(found, hits->hits);
    count_text(all, hits->queries);
    percent_text(percent, hits->hit_percent);
    if (hits->queries == 0)
        sheet_wrap(sheet, INDENT, STYLE_TEXT, "%s: nothing was looked up.", when);
    else
        sheet_wrap(sheet, INDENT, STYLE_TEXT, "%s: %s of %s tokens were found, %s.", when,
                   found, all, percent);
}

static void explain_hits(struct sheet *sheet, const struct row *row)
{
    const struct vramscope_model *model = row->model;
    double percent = model->prefix_minute.hit_percent;
    char value[FIGURE_TEXT_SIZE];
    const char *from = "not known";

    if (model->prefix_from == VRAMSCOPE_FROM_ESTIMATED)
        from = "not known: this engine tells a ratio alone, no tokens to be counted";
    else if (model->prefix_from != VRAMSCOPE_FROM_UNKNOWN)
        from = "by the engine's counters of tokens";
    percent_text(value, percent);
    put_heading(sheet, "hit rate 1m", value, !isnan(percent), from);
    put_window(sheet, "Last minute", &model->prefix_minute);
    put_window(sheet, "Last five", &model->prefix_five_minutes);
    put_window(sheet, "Since its start", &model->prefix_lifetime);
}

static void explain_requests(struct sheet *sheet, const struct row *row)
{
    const struct vramscope_model *model = row->model;
    char running[FIGURE_TEXT_SIZE], waiting[FIGURE_TEXT_SIZE],
        preempted[FIGURE_TEXT_SIZE];
    bool known = is_known(model->requests_running);

    count_text(running, model->requests_running);
    count_text(waiting, model->requests_waiting);
    count_text(preempted, model->requests_preemptions);
    put_heading(sheet, "requests", running, known,
                known ? "said by the engine" : "not known");
    if (known)
        sheet_wrap(sheet, INDENT, STYLE_TEXT,
                   "%s run, %s wait; %s were preempted since it started.", running,
                   waiting, preempted);
}

static void put_ages(struct sheet *sheet, const struct row *row,
                     const struct vramscope_detail *detail)
{
    const struct vramscope_model *model = row->model;
    char engine[FIGURE_TEXT_SIZE], pace[FIGURE_TEXT_SIZE], driver[FIGURE_TEXT_SIZE];
    struct state_words state = state_words(sheet->drawing, row);

    age_text(engine, model->age_ms);
    age_text(pace, model->scrape_interval_ms);
    age_text(driver, detail->gpu_age_ms);
    sheet_wrap(sheet, 0, state.style, "%s %s%s%s", state.sign, state.word,
               model->reason ? ": " : "", model->reason ? model->reason : "");
    if (!is_known(model->scrape_interval_ms))
        sheet_wrap(
            sheet, 0, STYLE_DIM,
            "It is summed up over nodes, whose figures are each of an age of their "
            "own.");
    else if (is_known(model->age_ms))
        sheet_wrap(sheet, 0, STYLE_DIM,
                   "The engine's figures are %s old (it is asked every %s), the driver's "
                   "are %s old.",
                   engine, pace, driver);
    else
        sheet_wrap(sheet, 0, STYLE_DIM,
                   "The engine has given no figures, or none lately (it is asked every "
                   "%s); the driver's are %s old.",
                   pace, driver);
}

static void write_explain(struct sheet *sheet, const void *ctx)
{
    const struct row *row = ctx;
    const struct vramscope_detail *detail;

    if (!row || !(detail = detail_of(sheet->drawing, row->host))) {
        sheet_wrap(sheet, 0, STYLE_DIM, "No model is chosen.");
        return;
    }
    put_ages(sheet, row, detail);
    explain_used(sheet, row);
    explain_capacity(sheet, row);
    explain_percent(sheet, row);
    explain_vram(sheet, row, detail);
    explain_rest(sheet, row);
    explain_retained(sheet, row);
    explain_hits(sheet, row);
    explain_requests(sheet, row);
}

void draw_explain(struct drawing *drawing, struct area area)
{
    const struct row *row = view_chosen(drawing->view);
    char title[600] = "Explain";

    if (row)
        snprintf(title, sizeof(title), "Explain: %s",
                 row->model->model ? row->model->model : "");
    sheet_draw(drawing, area, (struct sheet_look){title, NULL}, write_explain, row);
}
