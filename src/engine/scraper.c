// SPDX-License-Identifier: Apache-2.0
#include "engine/scraper.h"

#include "base/buf.h"
#include "wire/prom.h"

#include <stdio.h>

enum {
    NAMES_MAX = 64, // of one kind: they are bits of a word
    OTHER_URL_MAX = 8 * 1024,
    FULL_AGAIN_AFTER = 120, // filtered pages: a server may gain families
    ANSWER_MAX = 256 * 1024,
    ASK_AT_FIRST = 1U << ENGINE_ASK_VERSION | 1U << ENGINE_ASK_MODELS,
};

static const char METRICS[] = "/metrics";

static const struct engine_kind *const kinds[] = {
#define KIND(name) &engine_##name,
#include "engine/kinds.def"
#undef KIND
};

enum filter_state {
    FILTER_UNTRIED,
    FILTER_TRYING,
    FILTER_WORKS,
    FILTER_USELESS, // until the server is another
};

struct scraper {
    struct scraper_options options;
    struct fetch *fetch;
    struct prom_reader reader;
    const char *names[PROM_WANTED_MAX]; // of all kinds
    uint8_t kind_of[PROM_WANTED_MAX];
    uint8_t index_of[PROM_WANTED_MAX]; // within its kind
    size_t n_names;

    const struct engine_kind
        *kind; // of the page being read, NULL before its first sample
    void *page;
    uint64_t seen;      // names on the page being read
    uint64_t seen_full; // on the last whole page
    const char *why;    // what is wrong with the page

    enum filter_state filter;
    unsigned filtered_pages;
    bool asked_filtered;
    bool waiting;
    bool stale; // what is in flight was asked of the process before

    unsigned to_ask;             // bits of enum engine_question
    enum engine_question asking; // in flight; ENGINE_QUESTIONS: a page is
    uint32_t rounds;
    struct buf answers[ENGINE_QUESTIONS];
    char url[ENGINE_URL_MAX + 16];
    struct buf filter_url;
};

static int on_sample(void *ctx, unsigned name, struct span labels, double value)
{
    struct scraper *scraper = ctx;
    const struct engine_kind *kind = kinds[scraper->kind_of[name]];
    int r;

    if (scraper->kind && scraper->kind != kind)
        return 0; // a page that passes on another's metrics: the first kind counts
    scraper->kind = kind;
    scraper->seen |= 1ULL << scraper->index_of[name];
    r = kind->sample(scraper->page, scraper->index_of[name], labels, value,
                     &scraper->why);
    if (r >= 0)
        scraper->why = NULL; // nothing is wrong with the page so far
    return r;
}

static int on_body(void *ctx, struct span bytes)
{
    struct scraper *scraper = ctx;
    struct buf *answer;

    if (scraper->asking == ENGINE_QUESTIONS)
        return prom_feed(&scraper->reader, bytes);
    answer = &scraper->answers[scraper->asking];
    buf_add(answer, bytes.at, bytes.len);
    return answer->error;
}

static size_t largest_page(void)
{
    size_t size = 0;

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        size = MAX(size, kinds[i]->page_size);
    return size;
}

static size_t most_zeroed(void)
{
    size_t size = 0;

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        size = MAX(size, kinds[i]->page_zeroed);
    return size;
}

static void begin_page(struct scraper *scraper)
{
    memset(scraper->page, 0, most_zeroed());
    prom_restart(&scraper->reader);
    scraper->kind = NULL;
    scraper->seen = 0;
    scraper->why = NULL;
}

/* The URL of another page of the server: what precedes "/metrics", and `path`. */
static void write_url_of(const struct scraper *scraper, const char *path, struct buf *ret)
{
    buf_clear(ret);
    buf_add(ret, scraper->url, strlen(scraper->url) - (sizeof(METRICS) - 1));
    buf_add_str(ret, path);
}

/* base + filter path + name[]=... for each name of the last whole page. */
static int write_filter_url(struct scraper *scraper, const struct engine_kind *kind)
{
    struct buf *url = &scraper->filter_url;
    char separator = '?';

    write_url_of(scraper, kind->filter_path, url);
    for (size_t i = 0; i < kind->n_names; i++) {
        if (!(scraper->seen_full & 1ULL << i))
            continue;
        buf_add_char(url, separator);
        buf_add_str(url, "name%5B%5D=");
        buf_add_str(url, kind->names[i]);
        separator = '&';
    }
    buf_add_char(url, '\0');
    return url->error;
}

/* A whole page came: would the filter do next time? */
static void consider_filter(struct scraper *scraper)
{
    scraper->seen_full = scraper->seen;
    scraper->filtered_pages = 0;
    if (scraper->filter == FILTER_USELESS || !scraper->kind->filter_path)
        return;
    if (write_filter_url(scraper, scraper->kind) == 0)
        scraper->filter = scraper->filter == FILTER_WORKS ? FILTER_WORKS : FILTER_TRYING;
}

static enum engine_failure failure_of(const struct fetch_result *result)
{
    if (result->outcome == FETCH_UNRESOLVED)
        return ENGINE_FAIL_UNRESOLVED;
    if (result->outcome == FETCH_REFUSED)
        return ENGINE_FAIL_REFUSED;
    if (result->outcome == FETCH_SILENT)
        return ENGINE_FAIL_SILENT;
    if (result->outcome == FETCH_STATUS && result->status == 503)
        return ENGINE_FAIL_NOT_YET;
    return ENGINE_FAIL_OTHER;
}

/* Who listens next may be another. */
static void forget_answers(struct scraper *scraper)
{
    scraper->to_ask = ASK_AT_FIRST;
    scraper->rounds = 0;
    for (size_t i = 0; i < ENGINE_QUESTIONS; i++)
        buf_clear(&scraper->answers[i]);
}

static void take_failure(struct scraper *scraper, const struct fetch_result *result,
                         uint64_t now_ns)
{
    char why[ENGINE_WHY_MAX];

    if (scraper->reader.error < 0)
        (void)snprintf(why, sizeof(why), "metrics page, line %llu: %s",
                       (unsigned long long)scraper->reader.line,
                       scraper->why                         ? scraper->why
                       : scraper->reader.error == -EMSGSIZE ? "longer than 64 KiB"
                                                            : "malformed, or cut off");
    else
        (void)snprintf(why, sizeof(why), "%s", result->why);
    if (result->outcome == FETCH_REFUSED || result->outcome == FETCH_STATUS)
        forget_answers(scraper); // a proxy tells so of who is behind it
    engine_take_failure(scraper->options.engine, failure_of(result), why, now_ns);
}

/* A filtered answer that is none: not a word about the server's health. */
static bool filter_failed(const struct scraper *scraper,
                          const struct fetch_result *result)
{
    if (!scraper->asked_filtered)
        return false;
    if (result->outcome == FETCH_OK)
        return scraper->seen_full & ~scraper->seen;
    return result->outcome == FETCH_STATUS || result->outcome == FETCH_BAD;
}

/* Ask the next thing that is to be asked, if there is one. */
static void ask(struct scraper *scraper)
{
    for (enum engine_question q = 0; scraper->to_ask && q < ENGINE_QUESTIONS; q++) {
        const char *path = scraper->kind->questions[q];
        OWNED(buf_done) struct buf url;

        if (!(scraper->to_ask & 1U << q))
            continue;
        buf_clear(&scraper->answers[q]);
        buf_init(&url, OTHER_URL_MAX);
        if (path)
            write_url_of(scraper, path, &url);
        buf_add_char(&url, '\0');
        scraper->asking = q;
        scraper->waiting =
            path && url.error == 0 && fetch_start(scraper->fetch, url.data) == 0;
        if (scraper->waiting)
            return;
        scraper->to_ask &= ~(1U << q);
        scraper->rounds += scraper->to_ask == 0;
    }
}

/*
 * An answer, or none: an error is one too. Who kept us waiting is asked no more before the
 * next page.
 */
static void take_answer(struct scraper *scraper, const struct fetch_result *result)
{
    bool prompt = result->outcome == FETCH_OK || result->outcome == FETCH_STATUS;

    if (result->outcome != FETCH_OK)
        buf_clear(&scraper->answers[scraper->asking]);
    scraper->to_ask &= ~(1U << scraper->asking);
    scraper->rounds += scraper->to_ask == 0;
    if (prompt)
        ask(scraper);
}

/* What cannot change while a server lives has changed: another answers, by a proxy say. */
static bool is_another(const struct engine_page *before, const struct engine_page *now)
{
    bool renamed = before->served_name[0] && now->served_name[0] &&
                   strcmp(before->served_name, now->served_name) != 0;
    bool resized = before->kv_blocks != UNKNOWN && now->kv_blocks != UNKNOWN &&
                   before->kv_blocks != now->kv_blocks;

    return renamed || resized || now->prefix.queries < before->prefix.queries;
}

static void take_page(struct scraper *scraper, const struct fetch_result *result)
{
    struct engine *engine = scraper->options.engine;
    uint64_t now_ns = scraper->options.now_ns();
    struct engine_page page;

    if (filter_failed(scraper, result)) {
        // With the next beat the whole page is asked for.
        scraper->filter =
            scraper->filter == FILTER_TRYING ? FILTER_USELESS : FILTER_UNTRIED;
        engine->due_ns = now_ns;
        return;
    }
    if (result->outcome != FETCH_OK || prom_finish(&scraper->reader) < 0) {
        take_failure(scraper, result, now_ns);
        return;
    }
    if (!scraper->kind) {
        engine_take_failure(engine, ENGINE_FAIL_DISABLED,
                            "its metrics page has no engine metrics (is it started with "
                            "--disable-log-stats?)",
                            now_ns);
        return;
    }
    scraper->kind->finish(scraper->page, &page);
    if (is_another(&engine->page, &page))
        forget_answers(scraper);
    engine_take_page(engine, &page, result->took_ns, now_ns);
    if (scraper->asked_filtered) {
        scraper->filter = FILTER_WORKS;
        scraper->filtered_pages++;
    } else {
        consider_filter(scraper);
    }
    ask(scraper);
}

/* What it took of the server's time, whoever it was and whatever came of it. */
static void count_time(struct scraper *scraper, uint64_t took_ns)
{
    struct engine_scrapes *scrapes = &scraper->options.engine->scrapes;

    scrapes->total_ns += took_ns;
    if (scraper->asking == ENGINE_QUESTIONS)
        scrapes->last_ns = took_ns;
}

static void on_done(void *ctx, const struct fetch_result *result)
{
    struct scraper *scraper = ctx;

    scraper->waiting = false;
    count_time(scraper, result->took_ns);
    if (scraper->stale) {
        scraper->stale = false;
        if (scraper->asking != ENGINE_QUESTIONS)
            buf_clear(&scraper->answers[scraper->asking]);
    } else if (scraper->asking == ENGINE_QUESTIONS)
        take_page(scraper, result);
    else
        take_answer(scraper, result);
}

static void add_kind(struct scraper *scraper, size_t kind)
{
    for (size_t i = 0; i < kinds[kind]->n_names && i < NAMES_MAX; i++) {
        scraper->names[scraper->n_names] = kinds[kind]->names[i];
        scraper->kind_of[scraper->n_names] = (uint8_t)kind;
        scraper->index_of[scraper->n_names++] = (uint8_t)i;
    }
}

static void write_url(struct scraper *scraper)
{
    const char *url =
        scraper->options.unix_path ? "http://localhost" : scraper->options.engine->url;
    size_t len = strlen(url), tail = sizeof(METRICS) - 1;
    bool whole;

    while (len && url[len - 1] == '/')
        len--;
    whole = len >= tail && memcmp(url + len - tail, METRICS, tail) == 0;
    (void)snprintf(scraper->url, sizeof(scraper->url), "%.*s%s", (int)len, url,
                   whole ? "" : METRICS);
}

int scraper_new(const struct scraper_options *options, struct scraper **ret)
{
    struct scraper *scraper = calloc(1, sizeof(*scraper));
    struct fetch_options fetch = {.bearer = options->bearer,
                                  .ca_file = options->ca_file,
                                  .insecure = options->insecure,
                                  .unix_path = options->unix_path,
                                  .body = on_body,
                                  .done = on_done,
                                  .ctx = scraper};
    int r = -ENOMEM;

    if (!scraper)
        return -ENOMEM;
    scraper->options = *options;
    scraper->to_ask = ASK_AT_FIRST;
    buf_init(&scraper->filter_url, OTHER_URL_MAX);
    for (size_t i = 0; i < ENGINE_QUESTIONS; i++)
        buf_init(&scraper->answers[i], ANSWER_MAX);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        add_kind(scraper, i);
    prom_init(&scraper->reader, scraper->names, scraper->n_names, on_sample, scraper);
    write_url(scraper);
    scraper->page = malloc(largest_page());
    if (scraper->page)
        r = fetch_new(options->fetcher, &fetch, &scraper->fetch);
    if (r < 0) {
        scraper_free(scraper);
        return r;
    }
    *ret = scraper;
    return 0;
}

void scraper_free(struct scraper *scraper)
{
    if (!scraper)
        return;
    fetch_free(scraper->fetch);
    prom_done(&scraper->reader);
    buf_done(&scraper->filter_url);
    for (size_t i = 0; i < ENGINE_QUESTIONS; i++)
        buf_done(&scraper->answers[i]);
    free(scraper->page);
    free(scraper);
}

void scraper_run(struct scraper *scraper, uint64_t now_ns)
{
    bool filtered =
        scraper->filter == FILTER_TRYING ||
        (scraper->filter == FILTER_WORKS && scraper->filtered_pages < FULL_AGAIN_AFTER);

    if (scraper->waiting || !engine_is_due(scraper->options.engine, now_ns))
        return;
    begin_page(scraper);
    scraper->asking = ENGINE_QUESTIONS;
    scraper->asked_filtered = filtered;
    scraper->waiting = fetch_start(scraper->fetch, filtered ? scraper->filter_url.data
                                                            : scraper->url) == 0;
}

void scraper_restarted(struct scraper *scraper)
{
    engine_restarted(scraper->options.engine);
    scraper->filter = FILTER_UNTRIED;
    scraper->stale = scraper->waiting;
    forget_answers(scraper);
}

void scraper_ask(struct scraper *scraper, enum engine_question question)
{
    scraper->to_ask |= 1U << question;
}

uint32_t scraper_rounds(const struct scraper *scraper)
{
    return scraper->rounds;
}

struct span scraper_answer(const struct scraper *scraper, enum engine_question question)
{
    return buf_span(&scraper->answers[question]);
}

bool scraper_waiting(const struct scraper *scraper)
{
    return scraper->waiting;
}
