// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_page.h"

#include "sim/sim_expo.h"
#include "sim/sim_families.h"

#include <stdio.h>

enum {
    GC_GENERATIONS = 3,
    MAX_FDS = 65535,
    OPEN_FDS = 177,
    ENGINE_TEXT_MAX = 24,
};

static const double created_after_start_s = 0.01;
static const double created_apart_s = 1e-5;
static const double virtual_bytes = 10.5 * 1024 * 1024 * 1024;
static const double resident_bytes = 1.25 * 1024 * 1024 * 1024;

struct writer {
    struct buf *out;
    const struct sim_page *page;
    const struct sim_family *family;
    double created_s; // of the next series
};

typedef void series_fn(struct writer *w, const struct sim_labels *labels, size_t engine,
                       size_t variant);

static const struct sim_stats *stats_of(const struct writer *w, size_t engine)
{
    return sim_load_stats(w->page->load, engine);
}

/* Call `write` for every series of the family: by label value, then by engine. */
static void each_series(struct writer *w, series_fn *write)
{
    const struct sim_family *family = w->family;
    size_t engines = sim_load_options(w->page->load)->engines;

    for (size_t i = 0; i == 0 || (family->label && family->values[i]); i++) {
        for (size_t e = 0; e < engines; e++) {
            struct sim_labels labels = {0};
            char engine[ENGINE_TEXT_MAX];

            (void)snprintf(engine, sizeof(engine), "%zu", e);
            sim_labels_add(&labels, "engine", engine);
            sim_labels_add(&labels, "model_name", w->page->model);
            if (family->label)
                sim_labels_add(&labels, family->label, family->values[i]);
            write(w, &labels, e, i);
        }
    }
}

static void write_value(struct writer *w, const struct sim_labels *labels, size_t engine,
                        size_t variant)
{
    const char *suffix = w->family->type == SIM_COUNTER ? "_total" : "";

    sim_expo_sample(w->out, (struct sim_name){w->family->name, suffix}, labels,
                    stats_of(w, engine)->values[w->family->first + variant]);
}

static void write_histogram(struct writer *w, const struct sim_labels *labels,
                            size_t engine, size_t variant)
{
    enum sim_histogram_id id = (enum sim_histogram_id)w->family->first;

    (void)variant;
    sim_expo_histogram(w->out, w->family->name, id, &stats_of(w, engine)->histograms[id],
                       labels);
}

static void write_created(struct writer *w, const struct sim_labels *labels,
                          size_t engine, size_t variant)
{
    (void)engine;
    (void)variant;
    sim_expo_sample(w->out, (struct sim_name){w->family->name, "_created"}, labels,
                    w->created_s);
    w->created_s += created_apart_s;
}

static const struct {
    const char *type, *suffix;
    series_fn *write;
    bool has_created;
} types[] = {
    [SIM_COUNTER] = {"counter", "_total", write_value, true},
    [SIM_GAUGE] = {"gauge", "", write_value, false},
    [SIM_HISTOGRAM] = {"histogram", "", write_histogram, true},
};

static void write_family(struct writer *w)
{
    const struct sim_family *family = w->family;

    sim_expo_head(w->out, (struct sim_name){family->name, types[family->type].suffix},
                  family->help, types[family->type].type);
    each_series(w, types[family->type].write);
    if (!types[family->type].has_created)
        return;
    sim_expo_head(w->out, (struct sim_name){family->name, "_created"}, family->help,
                  "gauge");
    each_series(w, write_created);
}

/* How often the garbage collector ran: grows with the work done. */
static uint64_t collections(const struct sim_page *page, unsigned generation)
{
    uint64_t n = 0;

    for (size_t i = 0; i < sim_load_options(page->load)->engines; i++)
        n += (uint64_t)sim_load_stats(page->load, i)->values[SIM_GENERATION_TOKENS];
    n = 1500 + n / 700;
    for (; generation > 0; generation--)
        n /= 12;
    return n;
}

static void write_gc(struct buf *out, const struct sim_page *page)
{
    static const struct {
        const char *name, *help;
        uint64_t per_collection;
    } rows[] = {
        {"python_gc_objects_collected", "Objects collected during gc", 9},
        {"python_gc_objects_uncollectable", "Uncollectable objects found during GC", 0},
        {"python_gc_collections", "Number of times this generation was collected", 1},
    };
    static const char *const generations[GC_GENERATIONS] = {"0", "1", "2"};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sim_name name = {rows[i].name, "_total"};

        sim_expo_head(out, name, rows[i].help, "counter");
        for (unsigned g = 0; g < GC_GENERATIONS; g++) {
            struct sim_labels labels = {0};
            uint64_t n = collections(page, g) * rows[i].per_collection;

            sim_labels_add(&labels, "generation", generations[g]);
            sim_expo_sample(out, name, &labels, (double)n);
        }
    }
}

static void write_python_info(struct buf *out)
{
    static const struct sim_labels labels = {
        .n = 5,
        .at = {{"implementation", "CPython", 0},
               {"major", "3", 0},
               {"minor", "12", 0},
               {"patchlevel", "11", 0},
               {"version", "3.12.11", 0}},
    };
    struct sim_name name = {"python_info", ""};

    sim_expo_head(out, name, "Python platform information", "gauge");
    sim_expo_sample(out, name, &labels, 1);
}

static void write_process(struct buf *out, const struct sim_page *page)
{
    static const struct sim_labels none = {0};
    const struct {
        const char *name, *suffix, *help, *type;
        double value;
    } rows[] = {
        {"process_virtual_memory_bytes", "", "Virtual memory size in bytes.", "gauge",
         virtual_bytes},
        {"process_resident_memory_bytes", "", "Resident memory size in bytes.", "gauge",
         resident_bytes},
        {"process_start_time_seconds", "",
         "Start time of the process since unix epoch in seconds.", "gauge",
         page->started_s},
        {"process_cpu_seconds", "_total",
         "Total user and system CPU time spent in seconds.", "counter", page->cpu_s},
        {"process_open_fds", "", "Number of open file descriptors.", "gauge", OPEN_FDS},
        {"process_max_fds", "", "Maximum number of open file descriptors.", "gauge",
         MAX_FDS},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sim_name name = {rows[i].name, rows[i].suffix};

        sim_expo_head(out, name, rows[i].help, rows[i].type);
        sim_expo_sample(out, name, &none, rows[i].value);
    }
}

uint64_t sim_page_max_model_len(const struct sim_load_options *options)
{
    return MIN(options->kv_blocks * options->block_size, 32768U);
}

void sim_page_write(struct buf *out, const struct sim_page *page)
{
    struct writer w = {
        .out = out,
        .page = page,
        .created_s = page->started_s + created_after_start_s,
    };

    write_gc(out, page);
    write_python_info(out);
    write_process(out, page);
    for (size_t i = 0; i < sim_families_n; i++) {
        w.family = &sim_families[i];
        write_family(&w);
    }
    sim_page_write_cache_config(out, page);
    sim_page_write_http(out, page);
}
