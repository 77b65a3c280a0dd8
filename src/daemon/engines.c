// SPDX-License-Identifier: Apache-2.0
#include "daemon/engines.h"

#include "base/log.h"
#include "base/number.h"
#include "daemon/inquiry.h"
#include "net/ticker.h"

#include <malloc.h>
#include <stdio.h>

#define NS_PER_S 1000000000ULL
#define INQUIRE_AGAIN_NS (60 * NS_PER_S) // a model's files may still be on their way
#define LOOK_MAX_NS (30 * NS_PER_S)      // between two walks through /proc for one port

struct watched {
    struct engine engine;
    struct scraper *scraper;
    const struct config_engine *config; // lent
    struct host_process listener;       // pid 0: not known
    struct model_facts *model;          // NULL: not yet read
    uint64_t inquire_ns;                // when to find out (again)
    uint64_t ticket;                    // of the inquiry about it; 0: there is none
    uint32_t rounds;                    // of the scraper's answers, when last inquired
    bool settings_asked;
    bool local;       // on this host, as far as its address tells
    uint64_t look_ns; // when to look for the listener again
    uint64_t look_pace_ns;
    enum engine_state logged_state;
    bool logged;
    uint64_t lost_ns;            // when it became unreachable; 0: it is not
    const char *logged_kv_why;   // a literal
    const char *logged_vram_why; // likewise
};

struct engines {
    struct fetcher *fetcher;
    struct host *host;
    struct inquiry *inquiry;
    struct watched *watched[CONFIG_ENGINES_MAX];
    struct join_engine facts[CONFIG_ENGINES_MAX];
    size_t n;
    uint64_t tickets; // given out
};

/* HOST and PORT of a URL that config/ has found well-formed. */
static void split_url(const char *url, struct span *ret_host, uint16_t *ret_port)
{
    const char *host = strstr(url, "://") + 3;
    size_t len = strcspn(host, "/");
    const char *colon = memrchr(host, ':', len), *bracket = memchr(host, ']', len);
    uint64_t port = strncmp(url, "https", 5) == 0 ? 443 : 80;

    *ret_host = (struct span){host, len};
    if (colon && (!bracket || colon > bracket)) {
        ret_host->len = (size_t)(colon - host);
        if (number_read_u64((struct span){colon + 1, len - ret_host->len - 1}, UINT16_MAX,
                            &port) < 0)
            port = 0;
    }
    *ret_port = (uint16_t)port;
}

static bool is_loopback_name(struct span host)
{
    return span_is(host, "localhost") || span_is(host, "[::1]") ||
           (host.len > 4 && memcmp(host.at, "127.", 4) == 0);
}

static void watched_free(struct watched *watched)
{
    if (!watched)
        return;
    scraper_free(watched->scraper);
    free(watched->model);
    free(watched);
}

static int watched_new(struct engines *engines, const struct config_engine *config,
                       uint64_t interval_ns, struct watched **ret)
{
    struct watched *watched = calloc(1, sizeof(*watched));
    struct scraper_options options = {.fetcher = engines->fetcher,
                                      .bearer = config->api_key,
                                      .ca_file = config->ca_file,
                                      .insecure = config->insecure,
                                      .now_ns = ticker_now_ns};
    struct span host;
    uint16_t port;
    int r;

    if (!watched)
        return -ENOMEM;
    split_url(config->url, &host, &port);
    watched->config = config;
    watched->local = is_loopback_name(host);
    watched->look_pace_ns = NS_PER_S;
    engine_init(&watched->engine, config->url, port, interval_ns);
    options.engine = &watched->engine;
    r = scraper_new(&options, &watched->scraper);
    if (r < 0) {
        watched_free(watched);
        return r;
    }
    *ret = watched;
    return 0;
}

static uint64_t or_never(const struct model_facts *facts, uint64_t again_ns)
{
    return facts && (facts->has_config || !facts->has_launch) ? UINT64_MAX : again_ns;
}

/*
 * The settings can be dear to answer: they are asked for only where the host does not
 * tell how the server was started.
 */
static void take_facts(struct watched *watched, struct model_facts *facts)
{
    free(watched->model);
    watched->model = facts;
    watched->ticket = 0;
    watched->inquire_ns = or_never(facts, ticker_now_ns() + INQUIRE_AGAIN_NS);
    if (facts && !watched->settings_asked &&
        (!facts->has_config || !facts->has_launch || facts->launch.unclear ||
         facts->launch.config_file[0] || facts->launch.hf_overrides)) {
        watched->settings_asked = true;
        scraper_ask(watched->scraper, ENGINE_ASK_SETTINGS);
    }
}

static void inquire_all(struct engines *engines, uint64_t now_ns);

static void on_inquired(void *ctx, uint64_t ticket, struct model_facts *facts)
{
    struct engines *engines = ctx;

    for (size_t i = 0; i < engines->n; i++)
        if (engines->watched[i]->ticket == ticket)
            take_facts(engines->watched[i], TAKE(facts));
    free(facts);
    (void)malloc_trim(0); // what was read of another process can be a MiB
    inquire_all(engines, ticker_now_ns());
}

int engines_new(uv_loop_t *loop, struct host *host, const char *proc_root,
                struct engines **ret)
{
    struct engines *engines = calloc(1, sizeof(*engines));
    int r;

    if (!engines)
        return -ENOMEM;
    engines->host = host;
    r = fetcher_new(loop, &engines->fetcher);
    if (r == 0)
        r = inquiry_new(loop, proc_root, on_inquired, engines, &engines->inquiry);
    if (r < 0) {
        engines_free(engines);
        return r;
    }
    *ret = engines;
    return 0;
}

void engines_free(struct engines *engines)
{
    if (!engines)
        return;
    for (size_t i = 0; i < engines->n; i++)
        watched_free(engines->watched[i]);
    inquiry_free(engines->inquiry);
    fetcher_free(engines->fetcher);
    free(engines);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* Would a running scraper for `a` serve for `b`? */
static bool same_server(const struct config_engine *a, const struct config_engine *b)
{
    return same_text(a->url, b->url) && same_text(a->api_key, b->api_key) &&
           same_text(a->ca_file, b->ca_file) && a->insecure == b->insecure;
}

/* Who watches it already, if somebody does. */
static struct watched *watching(const struct engines *engines,
                                const struct config_engine *config)
{
    for (size_t i = 0; i < engines->n; i++)
        if (same_server(engines->watched[i]->config, config))
            return engines->watched[i];
    return NULL;
}

static bool is_among(const struct watched *watched, struct watched *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == watched)
            return true;
    return false;
}

/* All or nothing: until everything new is there, the old list is not touched. */
int engines_apply(struct engines *engines, const struct config *config)
{
    struct watched *next[CONFIG_ENGINES_MAX] = {0};
    int r = 0;

    for (size_t i = 0; r == 0 && i < config->n_engines; i++) {
        next[i] = watching(engines, &config->engines[i]);
        if (!next[i])
            r = watched_new(engines, &config->engines[i],
                            config->interval_ms * (NS_PER_S / 1000), &next[i]);
    }
    if (r < 0) {
        for (size_t i = 0; i < config->n_engines; i++)
            if (!is_among(next[i], engines->watched, engines->n))
                watched_free(next[i]);
        return r;
    }

    for (size_t i = 0; i < engines->n; i++)
        if (!is_among(engines->watched[i], next, config->n_engines))
            watched_free(engines->watched[i]);
    for (size_t i = 0; i < config->n_engines; i++) {
        next[i]->config = &config->engines[i];
        engines->watched[i] = next[i];
    }
    engines->n = config->n_engines;
    return 0;
}

/* Is the listener we know still the process it was? */
static bool listener_lives(struct engines *engines, const struct watched *watched)
{
    struct host_process now;

    return host_read_process(engines->host, watched->listener.pid, &now) == 0 &&
           now.start_ticks == watched->listener.start_ticks;
}

/* What was found out is about a process that is not there any more. */
static void forget_model(struct watched *watched)
{
    free(watched->model);
    watched->model = NULL;
    watched->inquire_ns = 0;
    watched->ticket = 0;
    watched->settings_asked = false;
}

static void find_listener(struct engines *engines, struct watched *watched,
                          uint64_t now_ns)
{
    int r = host_find_listener(engines->host, watched->engine.port, &watched->listener);

    forget_model(watched);
    if (r < 0) {
        watched->listener.pid = 0;
        watched->look_ns = now_ns + watched->look_pace_ns;
        watched->look_pace_ns = MIN(2 * watched->look_pace_ns, LOOK_MAX_NS);
        return;
    }
    watched->look_ns = now_ns + NS_PER_S;
    watched->look_pace_ns = NS_PER_S;
}

static void look(struct engines *engines, struct watched *watched, uint64_t now_ns)
{
    if (!watched->local || now_ns < watched->look_ns)
        return;
    if (watched->listener.pid == 0) {
        find_listener(engines, watched, now_ns);
        return;
    }
    watched->look_ns = now_ns + NS_PER_S;
    if (listener_lives(engines, watched))
        return;
    scraper_restarted(watched->scraper);
    find_listener(engines, watched, now_ns);
}

/* Once it has answered, and again when it has said something else of itself. */
static void inquire(struct engines *engines, struct watched *watched, uint64_t now_ns)
{
    uint32_t rounds = scraper_rounds(watched->scraper);
    struct inquiry_question question = {
        .process = watched->listener,
        .version = scraper_answer(watched->scraper, ENGINE_ASK_VERSION),
        .models = scraper_answer(watched->scraper, ENGINE_ASK_MODELS),
        .settings = scraper_answer(watched->scraper, ENGINE_ASK_SETTINGS),
    };

    if (watched->model && watched->engine.nobody_listens)
        forget_model(watched);
    if (rounds == 0 || inquiry_is_busy(engines->inquiry) ||
        (rounds == watched->rounds && now_ns < watched->inquire_ns))
        return;
    watched->rounds = rounds;
    watched->inquire_ns = now_ns + INQUIRE_AGAIN_NS;
    question.ticket = ++engines->tickets;
    if (inquiry_start(engines->inquiry, &question) == 0)
        watched->ticket = question.ticket;
}

void engines_run(struct engines *engines, uint64_t now_ns)
{
    for (size_t i = 0; i < engines->n; i++) {
        look(engines, engines->watched[i], now_ns);
        inquire(engines, engines->watched[i], now_ns);
        scraper_run(engines->watched[i]->scraper, now_ns);
    }
}

bool engines_waiting(const struct engines *engines)
{
    for (size_t i = 0; i < engines->n; i++)
        if (scraper_waiting(engines->watched[i]->scraper))
            return true;
    return inquiry_is_busy(engines->inquiry);
}

const struct join_engine *engines_facts(struct engines *engines, size_t *ret_n)
{
    for (size_t i = 0; i < engines->n; i++) {
        const struct watched *watched = engines->watched[i];

        engines->facts[i] = (struct join_engine){
            .engine = &watched->engine,
            .root_pid = watched->listener.pid,
            .name = watched->config->name,
            .kv_bytes_per_block = watched->config->kv_bytes_per_block,
            .kv_pool_bytes_per_gpu = watched->config->kv_pool_bytes_per_gpu,
            .gpus = watched->config->gpus,
            .model = watched->model,
        };
    }
    *ret_n = engines->n;
    return engines->facts;
}

static void log_state(struct watched *watched, uint64_t now_ns)
{
    const struct engine *engine = &watched->engine;
    bool lost = engine->state == ENGINE_UNREACHABLE;

    if (watched->logged && watched->logged_state == engine->state)
        return;
    if (!watched->logged && !engine->answered && !engine->why[0])
        return;
    watched->logged = true;
    watched->logged_state = engine->state;

    if (lost)
        log_warning("engine %s unreachable: %s", engine->url, engine->why);
    else if (engine->state == ENGINE_READY && watched->lost_ns)
        log_info("engine %s back after %llu s", engine->url,
                 (unsigned long long)((now_ns - watched->lost_ns) / NS_PER_S));
    else if (engine->state == ENGINE_READY)
        log_info("engine %s ready, serving '%s'", engine->url, engine->page.served_name);
    else
        log_info("engine %s %s: %s", engine->url, engine_state_name(engine->state),
                 engine->why);
    watched->lost_ns = lost ? now_ns : 0;
}

static void log_vram(struct watched *watched, const struct snapshot_model *model)
{
    const char *why =
        model->allocated_bytes.how == MEASURED ? NULL : model->allocated_bytes.why;

    if (model->state != ENGINE_READY || why == watched->logged_vram_why)
        return;
    watched->logged_vram_why = why;
    if (why)
        log_warning(
            "engine %s: its GPU memory is %s: %s", watched->engine.url,
            model->allocated_bytes.how == FROM_NOWHERE ? "not known" : "a minimum", why);
}

static void log_kv(struct watched *watched, const struct snapshot_model *model)
{
    const char *why =
        model->kv_pool_bytes.how == FROM_NOWHERE ? model->kv_pool_bytes.why : NULL;

    if (model->state != ENGINE_READY || why == watched->logged_kv_why)
        return;
    watched->logged_kv_why = why;
    if (why)
        log_warning(
            "engine %s: KV-cache bytes are not known: %s (`kv_bytes_per_block` in "
            "the config file settles it)",
            watched->engine.url, why);
}

void engines_log(struct engines *engines, const struct snapshot *snapshot,
                 uint64_t now_ns)
{
    for (size_t i = 0; i < engines->n; i++)
        log_state(engines->watched[i], now_ns);
    for (uint32_t i = 0; snapshot && i < snapshot->n_models; i++) {
        log_vram(engines->watched[snapshot->models[i].engine], &snapshot->models[i]);
        log_kv(engines->watched[snapshot->models[i].engine], &snapshot->models[i]);
    }
}
