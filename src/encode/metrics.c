// SPDX-License-Identifier: Apache-2.0
#include "encode/metrics.h"

#include "base/text.h"

#include <math.h>

enum { LABELS_MAX = 64 * 1024 }; // of all rows: none can lift it over that

static const char PREFIX[] = "vramscope_";

/* Whom a sample is of. */
struct place {
    const struct metrics_facts *facts;
    const struct snapshot *snapshot;  // NULL: there is none, and of what follows, no row
    const struct snapshot_self *self; // NULL: not known
    const struct snapshot_device *device;
    const struct snapshot_model *model;
    size_t nth; // of a sample's further labels
};

/* A number in decimal digits, the last `decimals` of them behind the point. */
struct number {
    bool known;
    bool negative;
    unsigned decimals;
    uint64_t digits;
};

#define NOT_KNOWN ((struct number){.known = false})

static struct number fixed(uint64_t digits, unsigned decimals)
{
    return (struct number){digits != UNKNOWN, false, decimals, digits};
}

static struct number whole(uint64_t value)
{
    return fixed(value, 0);
}

static struct number milliseconds(uint64_t value)
{
    return fixed(value, 3);
}

static struct number nanoseconds(uint64_t value)
{
    return fixed(value, 9);
}

static struct number signed_whole(int64_t value)
{
    struct number number = whole(value < 0 ? -(uint64_t)value : (uint64_t)value);

    number.negative = value < 0;
    return number;
}

/* Rounded half away from zero. */
static struct number decimal(double value, unsigned decimals)
{
    double scaled = value * pow(10, decimals);

    if (!(scaled >= 0 && scaled < 1e18)) // nor is NAN
        return NOT_KNOWN;
    return fixed((uint64_t)round(scaled), decimals);
}

static struct number figure(struct figure figure)
{
    return figure.how == FROM_NOWHERE ? NOT_KNOWN : whole(figure.value);
}

static uint64_t or_unknown(uint64_t value)
{
    return value ? value : UNKNOWN;
}

static struct number age(const struct snapshot *snapshot, uint64_t then_ns)
{
    return then_ns ? nanoseconds(snapshot->taken_ns - MIN(then_ns, snapshot->taken_ns))
                   : NOT_KNOWN;
}

/* A sum of nothing that is known is not 0. */
static struct number kv_used(const struct snapshot *snapshot)
{
    bool none = snapshot->n_models && snapshot->kv_unknown == snapshot->n_models;

    return none ? NOT_KNOWN : whole(snapshot->kv_used_bytes);
}

/* The snapshot has 0 where nothing was ever looked for. */
static struct number host_hit_ratio(const struct snapshot *snapshot)
{
    bool asked = snapshot->hit_percent_in_window;

    for (uint32_t i = 0; i < snapshot->n_models; i++)
        asked = asked || snapshot->models[i].page.prefix.queries > 0; // NAN is not
    return asked ? decimal(snapshot->hit_percent / 100, 6) : NOT_KNOWN;
}

static struct number unattributed(const struct snapshot_device *device)
{
    return device->mem_used_bytes == UNKNOWN ? NOT_KNOWN
                                             : signed_whole(device->unattributed_bytes);
}

/* Where the page has a ratio alone, nobody has counted but for the whole life. */
static struct number hit_ratio(const struct snapshot_model *model, size_t window)
{
    const struct hit_counts counts[] = {model->prefix_minute, model->prefix_five_minutes,
                                        model->page.prefix};
    bool lifetime = window == ARRAY_LEN(counts) - 1;
    bool counted = !isnan(model->page.prefix.queries) && !model->page.prefix_from_ratio;

    if (!(counts[window].queries > 0) || !(counted || lifetime))
        return NOT_KNOWN;
    return decimal(counts[window].hits / counts[window].queries, 6);
}

static struct number counted(const struct snapshot_model *model, double tokens)
{
    return model->page.prefix_from_ratio ? NOT_KNOWN : decimal(tokens, 0);
}

static bool answers(const struct snapshot_model *model)
{
    return model->state == ENGINE_READY || model->state == ENGINE_SLEEPING;
}

static uint64_t scrapes(const struct snapshot_model *model, size_t result)
{
    return result == 0 ? model->scrapes.read : model->scrapes.failed;
}

#define OWN(member) (at->self ? at->self->member : UNKNOWN)
#define OWN_TIME(member) (at->self ? at->self->member : (double)NAN)

/* Without series where nothing is published. */
static struct number nats_whole(const struct place *at, uint64_t value)
{
    return at->self && at->self->nats.used ? whole(value) : NOT_KNOWN;
}

#define METRIC(of, name, kind, unit, more, value, help)    \
    static struct number value_of_##name(struct place *at) \
    {                                                      \
        (void)at;                                          \
        return value;                                      \
    }
#include "encode/metrics.def"
#undef METRIC

/*
 * `,name="value"`. Cut between characters, so that an escape is never cut either. The
 * value may be longer than what is kept of it by far.
 */
static void label(struct buf *out, const char *name, const char *value)
{
    char clean[METRICS_LABEL_MAX + 1];
    size_t len = text_clean(clean, sizeof(clean), span_of(value));
    size_t room = METRICS_LABEL_MAX, used = 0;

    while (used < len) { // a whole character, and only if it fits
        bool escaped = clean[used] == '"' || clean[used] == '\\';
        size_t bytes = 1;

        while (used + bytes < len && (clean[used + bytes] & 0xc0) == 0x80)
            bytes++;
        if (bytes + escaped > room)
            break;
        room -= bytes + escaped;
        used += bytes;
    }
    buf_add_char(out, ',');
    buf_add_str(out, name);
    buf_add_str(out, "=\"");
    for (size_t i = 0; i < used; i++) {
        if (clean[i] == '"' || clean[i] == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, clean[i]); // a line feed is none of those that are left
    }
    buf_add_char(out, '"');
}

static void label_number(struct buf *out, const char *name, uint64_t value)
{
    buf_add_char(out, ',');
    buf_add_str(out, name);
    buf_add_str(out, "=\"");
    buf_add_u64(out, value);
    buf_add_char(out, '"');
}

static void add_window(struct buf *out, const struct place *at)
{
    static const char *const windows[] = {"1m", "5m", "lifetime"};

    label(out, "window", windows[at->nth]);
}

static void add_state(struct buf *out, const struct place *at)
{
    label(out, "state", engine_state_name((enum engine_state)at->nth));
}

static void add_result(struct buf *out, const struct place *at)
{
    label(out, "result", at->nth == 0 ? "ok" : "failed");
}

static void add_limit(struct buf *out, const struct place *at)
{
    label(out, "what", at->self->limited[at->nth].what);
}

static void add_version(struct buf *out, const struct place *at)
{
    label(out, "version", at->facts->version);
}

static void add_about_gpu(struct buf *out, const struct place *at)
{
    const struct snapshot_device *device = at->device;

    label(out, "name", device->name);
    label(out, "backend", at->snapshot->sources[device->source].backend);
    if (device->parent_uuid[0])
        label(out, "parent_uuid", device->parent_uuid);
    if (device->instance != GPU_NO_INSTANCE)
        label_number(out, "gpu_instance", device->instance);
}

/* Further labels: how many samples a row has by them, and their text. */
static const struct more {
    size_t n;
    void (*add)(struct buf *out, const struct place *at); // NULL: none
} more_none = {1, NULL}, more_window = {3, add_window},
  more_state = {ENGINE_STATES, add_state}, more_result = {2, add_result},
  more_limit = {SNAPSHOT_LIMITED_MAX, add_limit}, more_version = {1, add_version},
  more_about_gpu = {1, add_about_gpu};

#define NONE more_none
#define WINDOW more_window
#define STATE more_state
#define RESULT more_result
#define LIMIT more_limit
#define VERSION more_version
#define ABOUT_GPU more_about_gpu

enum scope { SELF, HOST, GPU, MODEL };
enum kind { GAUGE, COUNTER, INFO };

static const struct metric {
    enum scope of;
    const char *name;
    enum kind kind;
    const char *unit;
    const struct more *more;
    struct number (*value)(struct place *at);
    const char *help;
} metrics[] = {
#define METRIC(of, name, kind, unit, more, value, help) \
    {of, #name, kind, unit, &more, value_of_##name, help},
#include "encode/metrics.def"
#undef METRIC
};

/* A page being written. */
struct page {
    struct buf *out;
    const struct metrics_writer *writer;
    enum metrics_format format;
    struct place at;
};

/* Of a family in OpenMetrics: its samples' without what the type adds to it. */
static size_t family_length(const struct metric *metric)
{
    static const char *const endings[] = {
        [GAUGE] = "", [COUNTER] = "_total", [INFO] = "_info"};

    return strlen(metric->name) - strlen(endings[metric->kind]);
}

static void begin_line(const struct page *page, const char *word,
                       const struct metric *metric)
{
    size_t len = page->format == METRICS_OPENMETRICS ? family_length(metric)
                                                     : strlen(metric->name);

    buf_add_str(page->out, "# ");
    buf_add_str(page->out, word);
    buf_add_char(page->out, ' ');
    buf_add_str(page->out, PREFIX);
    buf_add(page->out, metric->name, len);
    buf_add_char(page->out, ' ');
}

static void write_head(const struct page *page, const struct metric *metric)
{
    static const char *const kinds[METRICS_FORMATS][3] = {
        [METRICS_TEXT] = {"gauge", "counter", "gauge"},
        [METRICS_OPENMETRICS] = {"gauge", "counter", "info"},
    };

    begin_line(page, "HELP", metric);
    buf_add_str(page->out, metric->help); // of ours: there is nothing to escape
    buf_add_char(page->out, '\n');
    begin_line(page, "TYPE", metric);
    buf_add_str(page->out, kinds[page->format][metric->kind]);
    buf_add_char(page->out, '\n');
    if (page->format != METRICS_OPENMETRICS || !metric->unit[0])
        return;
    begin_line(page, "UNIT", metric);
    buf_add_str(page->out, metric->unit);
    buf_add_char(page->out, '\n');
}

/* Without the zeros that say nothing. */
static void write_number(struct buf *out, struct number number)
{
    uint64_t scale = 1, fraction;

    while (number.decimals && number.digits % 10 == 0) {
        number.digits /= 10;
        number.decimals--;
    }
    for (unsigned i = 0; i < number.decimals; i++)
        scale *= 10;
    fraction = number.digits % scale;
    if (number.negative)
        buf_add_char(out, '-');
    buf_add_u64(out, number.digits / scale);
    if (number.decimals)
        buf_add_char(out, '.');
    while (scale > 1) {
        scale /= 10;
        buf_add_char(out, (char)('0' + fraction / scale));
        fraction %= scale;
    }
}

/* Labels begin with a comma each, of which the first is the brace. */
static void write_sample(const struct page *page, const struct metric *metric,
                         struct span labels, struct number value)
{
    struct buf *out = page->out;
    size_t brace;

    buf_add_str(out, PREFIX);
    buf_add_str(out, metric->name);
    brace = out->len;
    buf_add(out, labels.at, labels.len);
    if (metric->more->add)
        metric->more->add(out, &page->at);
    if (out->len > brace && !out->error) {
        out->data[brace] = '{';
        buf_add_char(out, '}');
    }
    buf_add_char(out, ' ');
    write_number(out, value);
    buf_add_char(out, '\n');
}

static size_t rows_of(const struct page *page, enum scope scope)
{
    const struct snapshot *snapshot = page->at.snapshot;

    if (scope == SELF)
        return 1;
    if (!snapshot)
        return 0;
    return scope == HOST ? 1 : scope == GPU ? snapshot->n_devices : snapshot->n_models;
}

/* Its labels; empty where there are none. */
static struct span go_to_row(struct page *page, enum scope scope, size_t i)
{
    const struct metrics_writer *writer = page->writer;
    const struct metrics_row *row;

    if (scope == SELF || scope == HOST)
        return (struct span){"", 0};
    page->at.device = &page->at.snapshot->devices[i];
    page->at.model = &page->at.snapshot->models[i];
    row = scope == GPU ? &writer->devices[i] : &writer->models[i];
    return (struct span){writer->labels.data + row->start, row->len};
}

static size_t samples_of(const struct page *page, const struct metric *metric)
{
    const struct snapshot_self *self = page->at.self;

    if (metric->more == &more_limit)
        return self ? MIN(self->n_limited, metric->more->n) : 0;
    return metric->more->n;
}

static void write_metric(struct page *page, const struct metric *metric)
{
    size_t rows = rows_of(page, metric->of), samples = samples_of(page, metric);
    bool begun = false;

    for (size_t row = 0; row < rows; row++) {
        struct span labels = go_to_row(page, metric->of, row);

        for (page->at.nth = 0; page->at.nth < samples; page->at.nth++) {
            struct number value = metric->value(&page->at);

            if (!value.known)
                continue;
            if (!begun)
                write_head(page, metric);
            begun = true;
            write_sample(page, metric, labels, value);
        }
    }
}

/* The last of `rows` has its labels: how many are the same? */
static void finish_row(struct buf *labels, struct metrics_row *rows, size_t last)
{
    struct metrics_row *row = &rows[last];
    uint64_t nth = 1;

    row->distinct = labels->len - row->start;
    for (size_t i = 0; i < last && !labels->error; i++)
        nth += rows[i].distinct == row->distinct &&
               memcmp(labels->data + rows[i].start, labels->data + row->start,
                      row->distinct) == 0;
    if (nth > 1)
        label_number(labels, "duplicate", nth);
    row->len = labels->len - row->start;
}

static void write_labels(struct metrics_writer *writer, const struct snapshot *snapshot)
{
    struct buf *labels = &writer->labels;

    for (size_t i = 0; i < snapshot->n_devices; i++) {
        writer->devices[i].start = labels->len;
        label(labels, "uuid", snapshot->devices[i].uuid);
        label_number(labels, "gpu", snapshot->devices[i].index);
        finish_row(labels, writer->devices, i);
    }
    for (size_t i = 0; i < snapshot->n_models; i++) {
        writer->models[i].start = labels->len;
        label(labels, "model", snapshot->models[i].served_name);
        label(labels, "model_id", snapshot->models[i].id);
        label_number(labels, "port", snapshot->models[i].port);
        finish_row(labels, writer->models, i);
    }
}

void metrics_writer_init(struct metrics_writer *writer)
{
    buf_init(&writer->labels, LABELS_MAX);
}

void metrics_writer_done(struct metrics_writer *writer)
{
    buf_done(&writer->labels);
}

void metrics_write(struct metrics_writer *writer, struct buf *out,
                   const struct metrics_facts *facts, enum metrics_format format)
{
    const struct snapshot *snapshot = facts->snapshot;
    struct page page = {
        .out = out,
        .writer = writer,
        .format = format,
        .at = {.facts = facts,
               .snapshot = snapshot,
               .self = snapshot ? &snapshot->self : facts->self},
    };

    buf_clear(&writer->labels);
    if (snapshot)
        write_labels(writer, snapshot);
    if (writer->labels.error)
        out->error = writer->labels.error;
    for (size_t i = 0; i < ARRAY_LEN(metrics) && !out->error; i++)
        write_metric(&page, &metrics[i]);
    if (format == METRICS_OPENMETRICS)
        buf_add_str(out, "# EOF\n");
}
