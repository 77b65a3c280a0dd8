// SPDX-License-Identifier: Apache-2.0
#include "encode/metrics.h"

#include "encode/metrics_number.h"
#include "encode/metrics_rows.h"

#include <math.h>

static const char PREFIX[] = "vramscope_";

/* Whom a sample is of. */
struct place {
    const struct metrics_facts *facts;
    const struct snapshot *snapshot;  // NULL: there is none, and of what follows, no row
    const struct snapshot_self *self; // NULL: not known
    const struct snapshot_device *device;
    const struct snapshot_model *model;
    const struct fleet_model *sum;      // that `model` is made of; NULL: it is a host's
    const struct snapshot_fleet *fleet; // NULL: these are facts of a host
    const struct fleet_node *node;
    uint32_t nodes_left_out; // for which there is no room on the page
    size_t nth;              // of a sample's further labels
};

static struct number whole(uint64_t value)
{
    return number_fixed(value, 0);
}

static struct number milliseconds(uint64_t value)
{
    return number_fixed(value, 3);
}

static struct number nanoseconds(uint64_t value)
{
    return number_fixed(value, 9);
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
    const struct snapshot_fleet *fleet = snapshot->fleet;
    bool none = snapshot->n_models && snapshot->kv_unknown == snapshot->n_models;

    if (fleet) {
        none = fleet->n_models > 0;
        for (uint32_t i = 0; i < fleet->n_models; i++)
            none = none && fleet->models[i].kv_used_bytes.how == FROM_NOWHERE;
    }
    return none ? NOT_KNOWN : whole(snapshot->kv_used_bytes);
}

/* The snapshot has 0 where nothing was ever looked for. */
static struct number host_hit_ratio(const struct snapshot *snapshot)
{
    const struct snapshot_fleet *fleet = snapshot->fleet;
    bool asked = snapshot->hit_percent_in_window;

    for (uint32_t i = 0; fleet && i < fleet->n_models; i++)
        asked = asked || fleet->models[i].prefix_lifetime.queries > 0; // NAN is not
    for (uint32_t i = 0; i < snapshot->n_models; i++)
        asked = asked || snapshot->models[i].page.prefix.queries > 0;
    return asked ? number_decimal(snapshot->hit_percent / 100, 6) : NOT_KNOWN;
}

static struct number unattributed(const struct snapshot_device *device)
{
    return device->mem_used_bytes == UNKNOWN
               ? NOT_KNOWN
               : number_signed(device->unattributed_bytes, 0);
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
    return number_decimal(counts[window].hits / counts[window].queries, 6);
}

static struct number counted(const struct snapshot_model *model, double tokens)
{
    return model->page.prefix_from_ratio ? NOT_KNOWN : number_decimal(tokens, 0);
}

static bool answers(const struct snapshot_model *model)
{
    return model->state == ENGINE_READY || model->state == ENGINE_SLEEPING;
}

static uint64_t scrapes(const struct place *at)
{
    return at->nth == 0 ? at->model->scrapes.read : at->model->scrapes.failed;
}

/*
 * Of a sum there is none. Nobody has scraped it; and as nodes come and go, a sum of their
 * counters falls, which readers take for a new beginning.
 */
#define OF_ONE(value) (at->sum ? NOT_KNOWN : (value))

/* What a host has none of. */
#define SUM(member) (at->sum ? whole(at->sum->member) : NOT_KNOWN)

/* Of a node that is not in the sums, figures are none of now, or are told by another. */
#define COUNTED(value) (at->node->counted ? (value) : NOT_KNOWN)

static struct number clock_offset(const struct fleet_node *node)
{
    return node->heard_ns ? number_signed(node->clock_offset_ms, 3) : NOT_KNOWN;
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

static void add_window(struct buf *out, const struct place *at)
{
    static const char *const windows[] = {"1m", "5m", "lifetime"};

    metrics_label(out, "window", windows[at->nth]);
}

static void add_state(struct buf *out, const struct place *at)
{
    metrics_label(out, "state", engine_state_name((enum engine_state)at->nth));
}

static void add_result(struct buf *out, const struct place *at)
{
    metrics_label(out, "result", at->nth == 0 ? "ok" : "failed");
}

static void add_limit(struct buf *out, const struct place *at)
{
    metrics_label(out, "what", at->self->limited[at->nth].what);
}

static void add_version(struct buf *out, const struct place *at)
{
    metrics_label(out, "version", at->facts->version);
}

static void add_about_gpu(struct buf *out, const struct place *at)
{
    const struct snapshot_device *device = at->device;

    metrics_label(out, "name", device->name);
    metrics_label(out, "backend", at->snapshot->sources[device->source].backend);
    if (device->parent_uuid[0])
        metrics_label(out, "parent_uuid", device->parent_uuid);
    if (device->instance != GPU_NO_INSTANCE)
        metrics_label_number(out, "gpu_instance", device->instance);
}

static void add_fleet_state(struct buf *out, const struct place *at)
{
    metrics_label(out, "state", node_state_name((enum node_state)at->nth));
}

static void add_about_node(struct buf *out, const struct place *at)
{
    metrics_label(out, "version", at->node->version);
    metrics_label(out, "machine", at->node->machine);
}

/* Further labels: how many samples a row has by them, and their text. */
static const struct more {
    size_t n;
    void (*add)(struct buf *out, const struct place *at); // NULL: none
} more_none = {1, NULL}, more_window = {3, add_window},
  more_state = {ENGINE_STATES, add_state}, more_result = {2, add_result},
  more_limit = {SNAPSHOT_LIMITED_MAX, add_limit}, more_version = {1, add_version},
  more_about_gpu = {1, add_about_gpu}, more_fleet_state = {NODE_STATES, add_fleet_state},
  more_about_node = {1, add_about_node};

#define NONE more_none
#define WINDOW more_window
#define STATE more_state
#define RESULT more_result
#define LIMIT more_limit
#define VERSION more_version
#define ABOUT_GPU more_about_gpu
#define FLEET_STATE more_fleet_state
#define ABOUT_NODE more_about_node

enum scope { SELF, HOST, GPU, MODEL, NODE, FLEET };
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
    struct snapshot_model row; // of a gateway's, in the form that a host's have
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
    number_write(out, value);
    buf_add_char(out, '\n');
}

static size_t rows_of(const struct page *page, enum scope scope)
{
    const struct snapshot *snapshot = page->at.snapshot;
    const struct snapshot_fleet *fleet = page->at.fleet;

    switch (scope) {
    case SELF:
        return 1;
    case HOST:
        return snapshot ? 1 : 0;
    case GPU:
        return snapshot ? snapshot->n_devices : 0;
    case MODEL:
        return !snapshot ? 0 : fleet ? fleet->n_models : snapshot->n_models;
    case NODE:
        return fleet ? fleet->n_nodes - page->at.nodes_left_out : 0;
    case FLEET:
        return fleet ? 1 : 0;
    default:
        return 0;
    }
}

static void go_to_model(struct page *page, size_t i)
{
    struct place *at = &page->at;

    at->model = at->fleet ? &page->row : &at->snapshot->models[i];
    at->sum = at->fleet ? &at->fleet->models[i] : NULL;
    if (at->sum)
        fleet_model_to_row(at->sum, &page->row);
}

/* Its labels; empty where there are none. */
static struct span go_to_row(struct page *page, enum scope scope, size_t i)
{
    const struct metrics_writer *writer = page->writer;
    const struct metrics_row *row;

    if (scope == GPU) {
        page->at.device = &page->at.snapshot->devices[i];
        row = &writer->devices[i];
    } else if (scope == MODEL) {
        go_to_model(page, i);
        row = &writer->models[i];
    } else if (scope == NODE) {
        page->at.node = &page->at.fleet->nodes[i];
        row = &writer->nodes[i];
    } else {
        return (struct span){"", 0};
    }
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

/*
 * A page has an end, however many nodes there are and whatever they are called: those with
 * the last names are left out of every family. Before the first of their families.
 */
static void make_room_for_nodes(struct page *page, size_t start)
{
    enum { LINE_MAX = 64, INFO_MAX = 256, HEADS_MAX = 16 * 1024 };
    const struct snapshot_fleet *fleet = page->at.fleet;
    size_t used = page->out->len - start + HEADS_MAX, families = 0, n = 0;

    for (size_t i = 0; i < ARRAY_LEN(metrics); i++)
        families += metrics[i].of == NODE;
    for (; n < fleet->n_nodes; n++) {
        used += families * (LINE_MAX + page->writer->nodes[n].len) + INFO_MAX;
        if (used > FLEET_METRICS_MAX)
            break;
    }
    page->at.nodes_left_out = fleet->n_nodes - (uint32_t)n;
}

void metrics_write(struct metrics_writer *writer, struct buf *out,
                   const struct metrics_facts *facts, enum metrics_format format)
{
    const struct snapshot *snapshot = facts->snapshot;
    size_t start = out->len;
    struct page page = {
        .out = out,
        .writer = writer,
        .format = format,
        .at = {.facts = facts,
               .snapshot = snapshot,
               .self = snapshot ? &snapshot->self : facts->self,
               .fleet = snapshot ? snapshot->fleet : facts->fleet},
    };

    metrics_rows_write(writer, snapshot, page.at.fleet);
    if (writer->labels.error)
        out->error = writer->labels.error;
    for (size_t i = 0; i < ARRAY_LEN(metrics) && !out->error; i++) {
        if (page.at.fleet && metrics[i].of == NODE && metrics[i - 1].of != NODE)
            make_room_for_nodes(&page, start);
        write_metric(&page, &metrics[i]);
    }
    if (format == METRICS_OPENMETRICS)
        buf_add_str(out, "# EOF\n");
}
