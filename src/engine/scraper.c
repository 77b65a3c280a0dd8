// SPDX-License-Identifier: Apache-2.0
#include "engine/scraper.h"

#include "base/buf.h"
#include "engine/name_filter.h"
#include "engine/page_reader.h"
#include "wire/json_walk.h"

#include <stdio.h>

enum {
    OTHER_URL_MAX = 8 * 1024,
    ANSWER_MAX = 256 * 1024,
};

static const char METRICS[] = "/metrics";

/* What is in flight. */
enum errand {
    ERRAND_WHO,  // /v1/models, to know where its metrics are
    ERRAND_PAGE, // its metrics
    ERRAND_LIVE, // what goes with them
    ERRAND_QUESTION,
};

struct scraper {
    struct scraper_options options;
    struct fetch *fetch;
    struct page_reader reader;

    const struct engine_kind *expected; // NULL: not known
    bool asked_who;                     // or need not be asked
    bool told_models;                   // so its answer to that question is there
    unsigned path;                      // of expected->paths
    const struct engine_kind *kind;     // of the last page

    struct name_filter filter;
    bool asked_filtered;
    bool waiting;
    bool stale; // what is in flight was asked of the process before
    enum errand errand;
    uint64_t page_took_ns; // the page, when what goes with it is in flight

    unsigned to_ask;             // bits of enum engine_question
    enum engine_question asking; // of ERRAND_QUESTION
    uint32_t rounds;
    struct buf answers[ENGINE_QUESTIONS];
    struct buf other; // what goes with the page
    char base[ENGINE_URL_MAX];
    struct buf url;
};

static int on_body(void *ctx, struct span bytes)
{
    struct scraper *scraper = ctx;
    struct buf *answer = &scraper->other;

    if (scraper->errand == ERRAND_PAGE)
        return page_reader_feed(&scraper->reader, bytes);
    if (scraper->errand == ERRAND_QUESTION)
        answer = &scraper->answers[scraper->asking];
    else if (scraper->errand == ERRAND_WHO)
        answer = &scraper->answers[ENGINE_ASK_MODELS];
    buf_add(answer, bytes.at, bytes.len);
    return answer->error;
}

/* Ask for `path` of the server. */
static bool start(struct scraper *scraper, enum errand errand, const char *path)
{
    struct buf *url = &scraper->url;

    buf_clear(url);
    buf_add_str(url, scraper->base);
    buf_add_str(url, path);
    buf_add_char(url, '\0');
    scraper->errand = errand;
    if (errand == ERRAND_LIVE)
        buf_clear(&scraper->other);
    scraper->waiting = url->error == 0 && fetch_start(scraper->fetch, url->data) == 0;
    return scraper->waiting;
}

/* Where its metrics are, as far as is known. */
static const char *path_of(const struct scraper *scraper)
{
    static const char *const usual[ENGINE_PATHS] = {METRICS, "/metrics/"};
    const char *path = scraper->expected ? scraper->expected->paths[scraper->path] : NULL;

    return path ? path : usual[scraper->path];
}

static bool start_page(struct scraper *scraper)
{
    page_reader_begin(&scraper->reader, scraper->expected);
    scraper->asked_filtered = false;
    return start(scraper, ERRAND_PAGE, path_of(scraper));
}

/* Of a server whose kind is known: it says that it has no such page. */
static bool is_off(const struct scraper *scraper, const struct fetch_result *result)
{
    const struct engine_kind *kind = scraper->expected;

    return kind && !kind->empty_is_off && scraper->errand == ERRAND_PAGE &&
           result->outcome == FETCH_STATUS &&
           (result->status == 404 || result->status == 501);
}

static enum engine_failure failure_of(const struct scraper *scraper,
                                      const struct fetch_result *result)
{
    if (is_off(scraper, result))
        return ENGINE_FAIL_DISABLED;
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

static unsigned asks_of(const struct engine_kind *kind)
{
    return kind ? kind->asks : 0;
}

/* Who listens next may be another. */
static void forget_answers(struct scraper *scraper)
{
    scraper->to_ask = asks_of(scraper->kind);
    scraper->rounds = 0;
    for (size_t i = 0; i < ENGINE_QUESTIONS; i++)
        if (i != ENGINE_ASK_MODELS || !scraper->told_models)
            buf_clear(&scraper->answers[i]);
    if (scraper->told_models)
        scraper->to_ask &= ~(1U << ENGINE_ASK_MODELS); // it has just said so
    scraper->told_models = false;
}

/* Nor is it known where its metrics are, unless we were told. */
static void forget_kind(struct scraper *scraper)
{
    scraper->expected = scraper->options.kind;
    scraper->asked_who = scraper->expected != NULL;
    scraper->path = 0;
}

static void take_failure(struct scraper *scraper, const struct fetch_result *result,
                         uint64_t now_ns)
{
    char why[ENGINE_WHY_MAX];

    if (is_off(scraper, result))
        (void)snprintf(why, sizeof(why), "%s", scraper->expected->off_why);
    else if (scraper->errand == ERRAND_WHO ||
             !page_reader_complain(&scraper->reader, why, sizeof(why)))
        (void)snprintf(why, sizeof(why), "%s", result->why);
    if (result->outcome == FETCH_REFUSED || result->outcome == FETCH_STATUS)
        forget_answers(scraper); // a proxy tells so of who is behind it
    engine_take_failure(scraper->options.engine, failure_of(scraper, result), why,
                        now_ns);
    forget_kind(scraper);
}

/* A filtered answer that is none: not a word about the server's health. */
static bool filter_failed(const struct scraper *scraper,
                          const struct fetch_result *result)
{
    if (!scraper->asked_filtered)
        return false;
    if (result->outcome == FETCH_OK)
        return name_filter_lacks(&scraper->filter, scraper->reader.seen);
    return result->outcome == FETCH_STATUS || result->outcome == FETCH_BAD;
}

/* Ask the next thing that is to be asked, if there is one. */
static void ask(struct scraper *scraper)
{
    for (enum engine_question q = 0; scraper->to_ask && q < ENGINE_QUESTIONS; q++) {
        const char *path = scraper->kind->questions[q];

        if (!(scraper->to_ask & 1U << q))
            continue;
        buf_clear(&scraper->answers[q]);
        scraper->asking = q;
        if (path && start(scraper, ERRAND_QUESTION, path))
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
    if (scraper->asking == ENGINE_ASK_SETTINGS && result->outcome == FETCH_STATUS &&
        scraper->kind->questions[ENGINE_ASK_SETTINGS_OLD])
        scraper->to_ask |= 1U << ENGINE_ASK_SETTINGS_OLD;
    scraper->rounds += scraper->to_ask == 0;
    if (prompt)
        ask(scraper);
}

/* ---- who it is ---- */

/* Of several owners, behind a gateway say, one that must not be asked at /metrics counts. */
static int on_owner(void *ctx, struct span path, struct span text, double value)
{
    struct scraper *scraper = ctx;
    const struct engine_kind *kind;

    (void)value;
    if (!text.at || !span_is(path, "data[].owned_by"))
        return 0;
    kind = engine_kind_owned_by(text);
    if (kind &&
        (!scraper->expected || (kind->paths[0] && strcmp(kind->paths[0], METRICS) != 0)))
        scraper->expected = kind;
    return 0;
}

/* It answers, and does not tell: there is no such page, or it is not for us. */
static bool does_not_tell(const struct fetch_result *result)
{
    static const long statuses[] = {400, 401, 403, 404, 405, 410, 501};

    for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
        if (result->outcome == FETCH_STATUS && result->status == statuses[i])
            return true;
    return false;
}

/*
 * Its metrics are not asked for before it has said who it is, or has said that it does not
 * tell: the metrics of one kind are not where those of the others are, and who asks it
 * there takes from another what it asked for.
 */
static void take_owner(struct scraper *scraper, const struct fetch_result *result)
{
    bool told = result->outcome == FETCH_OK;

    if (!told && !does_not_tell(result)) {
        take_failure(scraper, result, scraper->options.now_ns());
        return;
    }
    // What is no JSON is not the answer of one whose metrics are used up.
    if (told &&
        json_walk(buf_span(&scraper->answers[ENGINE_ASK_MODELS]), on_owner, scraper) < 0)
        scraper->expected = NULL;
    if (!told)
        buf_clear(&scraper->answers[ENGINE_ASK_MODELS]);
    scraper->asked_who = true;
    scraper->told_models = true;
    (void)start_page(scraper);
}

/* ---- its page ---- */

/* What cannot change while a server lives has changed: another answers, by a proxy say. */
static bool is_another(const struct engine_page *before, const struct engine_page *now)
{
    bool renamed = before->served_name[0] && now->served_name[0] &&
                   strcmp(before->served_name, now->served_name) != 0;
    bool resized = before->kv_blocks != UNKNOWN && now->kv_blocks != UNKNOWN &&
                   before->kv_blocks != now->kv_blocks;

    return renamed || resized || now->prefix.queries < before->prefix.queries;
}

/* Its page, and what goes with it, have been read. */
static void take_figures(struct scraper *scraper, uint64_t took_ns)
{
    struct engine *engine = scraper->options.engine;
    const struct engine_kind *kind = scraper->reader.kind;
    uint64_t now_ns = scraper->options.now_ns();
    struct engine_page page;

    for (enum engine_question q = ENGINE_ASK_SETTINGS; q < ENGINE_QUESTIONS; q++)
        page_reader_take_part(&scraper->reader, ENGINE_PART_SETTINGS,
                              buf_span(&scraper->answers[q]));
    if (!page_reader_finish(&scraper->reader, &page)) {
        kind = scraper->expected ? scraper->expected : &engine_vllm;
        engine_take_failure(engine, ENGINE_FAIL_DISABLED, kind->off_why, now_ns);
        forget_kind(scraper);
        return;
    }
    if (scraper->kind != kind || is_another(&engine->page, &page)) {
        scraper->kind = kind;
        forget_answers(scraper);
    }
    engine->kind = kind;
    engine_take_page(engine, &page, took_ns, now_ns);
    // A page that only passes on another kind's metrics is not where that kind's is.
    if (scraper->asked_filtered)
        name_filter_take(&scraper->filter);
    else if (!scraper->expected || scraper->expected == kind)
        name_filter_take_whole(&scraper->filter, kind, scraper->base,
                               scraper->reader.seen);
    ask(scraper);
}

/* It redirects, which is not followed: its metrics may be where another release has them. */
static bool try_other_path(struct scraper *scraper, const struct fetch_result *result)
{
    if (scraper->asked_filtered || result->outcome != FETCH_STATUS ||
        result->status / 100 != 3 || scraper->path + 1 == ENGINE_PATHS ||
        (scraper->expected && !scraper->expected->paths[scraper->path + 1]))
        return false;
    scraper->path++;
    return start_page(scraper);
}

static void take_page(struct scraper *scraper, const struct fetch_result *result)
{
    struct engine *engine = scraper->options.engine;
    uint64_t now_ns = scraper->options.now_ns();

    if (filter_failed(scraper, result)) {
        // With the next beat the whole page is asked for.
        name_filter_fail(&scraper->filter);
        engine->due_ns = now_ns;
        return;
    }
    if (try_other_path(scraper, result))
        return;
    if (result->outcome != FETCH_OK || page_reader_end(&scraper->reader) < 0) {
        take_failure(scraper, result, now_ns);
        return;
    }
    scraper->page_took_ns = result->took_ns;
    if (!scraper->reader.kind || !scraper->reader.kind->live_path ||
        !start(scraper, ERRAND_LIVE, scraper->reader.kind->live_path))
        take_figures(scraper, result->took_ns);
}

static void take_live(struct scraper *scraper, const struct fetch_result *result)
{
    if (result->outcome == FETCH_OK)
        page_reader_take_part(&scraper->reader, ENGINE_PART_LIVE,
                              buf_span(&scraper->other));
    take_figures(scraper, scraper->page_took_ns + result->took_ns);
}

/* What it took of the server's time, whoever it was and whatever came of it. */
static void count_time(struct scraper *scraper, uint64_t took_ns)
{
    struct engine_scrapes *scrapes = &scraper->options.engine->scrapes;

    scrapes->total_ns += took_ns;
    if (scraper->errand == ERRAND_PAGE)
        scrapes->last_ns = took_ns;
}

static void on_done(void *ctx, const struct fetch_result *result)
{
    static void (*const take[])(struct scraper *, const struct fetch_result *) = {
        [ERRAND_WHO] = take_owner,
        [ERRAND_PAGE] = take_page,
        [ERRAND_LIVE] = take_live,
        [ERRAND_QUESTION] = take_answer,
    };
    struct scraper *scraper = ctx;

    scraper->waiting = false;
    count_time(scraper, result->took_ns);
    if (scraper->stale) {
        scraper->stale = false;
        if (scraper->errand == ERRAND_QUESTION)
            buf_clear(&scraper->answers[scraper->asking]);
        else if (scraper->errand == ERRAND_WHO)
            buf_clear(&scraper->answers[ENGINE_ASK_MODELS]);
    } else {
        take[scraper->errand](scraper, result);
    }
}

/* The server's URL, of which the operator may have given that of its metrics. */
static void write_base(struct scraper *scraper)
{
    const char *text =
        scraper->options.unix_path ? "http://localhost" : scraper->options.engine->url;
    const struct engine_kind *kind = NULL;
    struct span url = span_of(text);

    while (url.len && url.at[url.len - 1] == '/')
        url.len--;
    url.len -= engine_kind_url_tail(url, &kind);
    if (!scraper->options.kind)
        scraper->options.kind = kind;
    (void)snprintf(scraper->base, sizeof(scraper->base), "%.*s", (int)url.len, url.at);
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
    int r;

    if (!scraper)
        return -ENOMEM;
    scraper->options = *options;
    write_base(scraper);
    forget_kind(scraper);
    options->engine->kind = scraper->options.kind;
    buf_init(&scraper->url, OTHER_URL_MAX);
    name_filter_init(&scraper->filter);
    buf_init(&scraper->other, PAGE_JSON_MAX);
    for (size_t i = 0; i < ENGINE_QUESTIONS; i++)
        buf_init(&scraper->answers[i], ANSWER_MAX);
    r = page_reader_init(&scraper->reader);
    if (r == 0)
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
    page_reader_done(&scraper->reader);
    buf_done(&scraper->url);
    name_filter_done(&scraper->filter);
    buf_done(&scraper->other);
    for (size_t i = 0; i < ENGINE_QUESTIONS; i++)
        buf_done(&scraper->answers[i]);
    free(scraper);
}

void scraper_run(struct scraper *scraper, uint64_t now_ns)
{
    if (scraper->waiting || !engine_is_due(scraper->options.engine, now_ns))
        return;
    if (!scraper->asked_who) {
        buf_clear(&scraper->answers[ENGINE_ASK_MODELS]);
        (void)start(scraper, ERRAND_WHO, "/v1/models");
    } else if (name_filter_is_due(&scraper->filter)) {
        page_reader_begin(&scraper->reader, scraper->expected);
        scraper->errand = ERRAND_PAGE;
        scraper->asked_filtered = true;
        scraper->waiting = fetch_start(scraper->fetch, scraper->filter.url.data) == 0;
    } else {
        (void)start_page(scraper);
    }
}

void scraper_restarted(struct scraper *scraper)
{
    engine_restarted(scraper->options.engine);
    scraper->filter.state = NAME_FILTER_UNTRIED;
    scraper->stale = scraper->waiting;
    forget_answers(scraper);
    forget_kind(scraper);
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
