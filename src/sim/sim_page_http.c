// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_expo.h"
#include "sim/sim_page.h"

enum { PROMPT_TOKEN_BYTES = 4, REQUEST_OVERHEAD_BYTES = 180, HANDLERS = 2 };

static const double models_answer_s = 0.002;
static const double created_after_start_s = 0.02;

/* One path that the web framework counts; it lists only those that were asked for. */
struct handler {
    const char *path, *method;
    double requests;
    double request_bytes, response_bytes;
    struct sim_histogram seconds, coarse_seconds;
};

static void add_histogram(struct sim_histogram *sum, const struct sim_histogram *add)
{
    for (size_t i = 0; i < SIM_BUCKETS_MAX; i++)
        sum->buckets[i] += add->buckets[i];
    sum->sum += add->sum;
}

static struct handler models_handler(const struct sim_page *page)
{
    struct handler handler = {
        .path = "/v1/models",
        .method = "GET",
        .requests = (double)page->http.models_requests,
        .response_bytes = (double)page->http.models_bytes,
        .seconds.sum = (double)page->http.models_requests * models_answer_s,
    };

    handler.seconds.buckets[0] = page->http.models_requests;
    handler.coarse_seconds = handler.seconds;
    return handler;
}

static void add_completions(struct handler *handler, const struct sim_stats *stats)
{
    const struct sim_histogram *fine = &stats->histograms[SIM_HTTP_SECONDS];
    double requests = 0;

    for (size_t i = 0; i < SIM_BUCKETS_MAX; i++)
        requests += (double)fine->buckets[i];
    handler->requests += requests;
    handler->request_bytes +=
        requests * REQUEST_OVERHEAD_BYTES +
        stats->histograms[SIM_REQUEST_PROMPT_TOKENS].sum * PROMPT_TOKEN_BYTES;
    add_histogram(&handler->seconds, fine);
    add_histogram(&handler->coarse_seconds, &stats->histograms[SIM_HTTP_COARSE_SECONDS]);
}

static size_t find_handlers(const struct sim_page *page, struct handler *handlers)
{
    struct handler completions = {.path = "/v1/completions", .method = "POST"};
    size_t n = 0;

    if (page->http.models_requests > 0)
        handlers[n++] = models_handler(page);
    for (size_t i = 0; i < sim_load_options(page->load)->engines; i++)
        add_completions(&completions, sim_load_stats(page->load, i));
    if (completions.requests > 0)
        handlers[n++] = completions;
    return n;
}

static struct sim_labels labels_of(const struct handler *handler, bool with_method)
{
    struct sim_labels labels = {0};

    sim_labels_add(&labels, "handler", handler->path);
    if (with_method)
        sim_labels_add(&labels, "method", handler->method);
    return labels;
}

static void write_requests(struct buf *out, const struct handler *handlers, size_t n,
                           double created_s)
{
    static const struct {
        const char *suffix, *type;
    } rows[] = {{"_total", "counter"}, {"_created", "gauge"}};

    for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
        struct sim_name name = {"http_requests", rows[row].suffix};

        sim_expo_head(out, name,
                      "Total number of requests by method, status and handler.",
                      rows[row].type);
        for (size_t i = 0; i < n; i++) {
            struct sim_labels labels = labels_of(&handlers[i], true);

            sim_labels_add(&labels, "status", "2xx");
            sim_expo_sample(out, name, &labels, row ? created_s : handlers[i].requests);
        }
    }
}

static void write_created(struct buf *out, const char *family, const char *help,
                          const struct sim_labels *labels, double created_s)
{
    struct sim_name name = {family, "_created"};

    if (help)
        sim_expo_head(out, name, help, "gauge");
    sim_expo_sample(out, name, labels, created_s);
}

static void write_sizes(struct buf *out, const struct handler *handlers, size_t n,
                        double created_s)
{
    static const struct {
        const char *family, *help;
        size_t sum_at;
    } rows[] = {
        {"http_request_size_bytes",
         "Content length of incoming requests by handler. Only value of header is "
         "respected. Otherwise ignored. No percentile calculated. ",
         offsetof(struct handler, request_bytes)},
        {"http_response_size_bytes",
         "Content length of outgoing responses by handler. Only value of header is "
         "respected. Otherwise ignored. No percentile calculated. ",
         offsetof(struct handler, response_bytes)},
    };

    for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
        const char *family = rows[row].family;

        sim_expo_head(out, (struct sim_name){family, ""}, rows[row].help, "summary");
        for (size_t i = 0; i < n; i++) {
            struct sim_labels labels = labels_of(&handlers[i], false);
            double sum;

            memcpy(&sum, (const char *)&handlers[i] + rows[row].sum_at, sizeof(sum));
            sim_expo_sample(out, (struct sim_name){family, "_count"}, &labels,
                            handlers[i].requests);
            sim_expo_sample(out, (struct sim_name){family, "_sum"}, &labels, sum);
        }
        for (size_t i = 0; i < n; i++) {
            struct sim_labels labels = labels_of(&handlers[i], false);

            write_created(out, family, i == 0 ? rows[row].help : NULL, &labels,
                          created_s);
        }
    }
}

static void write_durations(struct buf *out, const struct handler *handlers, size_t n,
                            double created_s)
{
    static const char family[] = "http_request_duration_highr_seconds";
    static const char help[] =
        "Latency with many buckets but no API specific labels. Made for more accurate "
        "percentile calculations. ";
    static const struct sim_labels none = {0};
    struct sim_histogram all = {0};

    for (size_t i = 0; i < n; i++)
        add_histogram(&all, &handlers[i].seconds);
    sim_expo_head(out, (struct sim_name){family, ""}, help, "histogram");
    sim_expo_histogram(out, family, SIM_HTTP_SECONDS, &all, &none);
    write_created(out, family, help, &none, created_s);
}

static void write_handler_durations(struct buf *out, const struct handler *handlers,
                                    size_t n, double created_s)
{
    static const char family[] = "http_request_duration_seconds";
    static const char help[] = "Latency with only few buckets by handler. Made to be "
                               "only used if aggregation by "
                               "handler is important. ";

    sim_expo_head(out, (struct sim_name){family, ""}, help, "histogram");
    for (size_t i = 0; i < n; i++) {
        struct sim_labels labels = labels_of(&handlers[i], true);

        sim_expo_histogram(out, family, SIM_HTTP_COARSE_SECONDS,
                           &handlers[i].coarse_seconds, &labels);
    }
    for (size_t i = 0; i < n; i++) {
        struct sim_labels labels = labels_of(&handlers[i], true);

        write_created(out, family, i == 0 ? help : NULL, &labels, created_s);
    }
}

void sim_page_write_http(struct buf *out, const struct sim_page *page)
{
    static void (*const parts[])(struct buf *, const struct handler *, size_t, double) = {
        write_requests, write_sizes, write_durations, write_handler_durations};
    struct handler handlers[HANDLERS];
    size_t n = find_handlers(page, handlers);

    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        parts[i](out, handlers, n, page->started_s + created_after_start_s);
}
