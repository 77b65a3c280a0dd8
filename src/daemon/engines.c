// SPDX-License-Identifier: Apache-2.0
#include "daemon/engines.h"

#include "base/log.h"
#include "daemon/watched.h"
#include "net/ticker.h"

#include <assert.h>
#include <malloc.h>

#define LOOK_MAX_NS (30 * NS_PER_S) // between two walks through /proc for one

struct engines {
    struct fetcher *fetcher;
    struct host *host;
    struct inquiry *inquiry;
    struct watched *watched[SNAPSHOT_MODELS_MAX]; // those named first, then those found
    struct join_engine facts[SNAPSHOT_MODELS_MAX];
    size_t n;
    size_t n_named;
    uint64_t interval_ns;
    uint64_t tickets; // given out
};

static_assert((int)CONFIG_ENGINES_MAX <= (int)SNAPSHOT_MODELS_MAX, "each has its row");

static void inquire_all(struct engines *engines, uint64_t now_ns);

static void on_inquired(void *ctx, uint64_t ticket, struct model_facts *facts)
{
    struct engines *engines = ctx;
    uint64_t now_ns = ticker_now_ns();

    for (size_t i = 0; i < engines->n; i++)
        if (engines->watched[i]->ticket == ticket)
            watched_take_facts(engines->watched[i], TAKE(facts), now_ns);
    free(facts);
    (void)malloc_trim(0); // what was read of another process can be a MiB
    inquire_all(engines, now_ns);
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
           same_text(a->ca_file, b->ca_file) && same_text(a->kind, b->kind) &&
           a->insecure == b->insecure;
}

/* Who watches it already, if somebody does. */
static struct watched *watching(const struct engines *engines,
                                const struct config_engine *config)
{
    for (size_t i = 0; i < engines->n_named; i++)
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

/* Those found stay what they are; where there is no room for all, the last ones go. */
static void make_room(struct engines *engines, size_t n_named)
{
    size_t n_found = engines->n - engines->n_named;

    while (n_named + n_found > SNAPSHOT_MODELS_MAX)
        watched_free(engines->watched[engines->n_named + --n_found]);
    memmove(&engines->watched[n_named], &engines->watched[engines->n_named],
            n_found * sizeof(struct watched *));
    engines->n_named = n_named;
    engines->n = n_named + n_found;
}

/* All or nothing: until everything new is there, the old list is not touched. */
int engines_apply(struct engines *engines, const struct config *config)
{
    struct watched *next[CONFIG_ENGINES_MAX] = {0};
    int r = 0;

    if (engines->interval_ns == 0) // a reload does not change the beat
        engines->interval_ns = config->interval_ms * (NS_PER_S / 1000);
    for (size_t i = 0; r == 0 && i < config->n_engines; i++) {
        next[i] = watching(engines, &config->engines[i]);
        if (!next[i])
            r = watched_new(engines->fetcher, &config->engines[i], engines->interval_ns,
                            &next[i]);
    }
    if (r < 0) {
        for (size_t i = 0; i < config->n_engines; i++)
            if (!is_among(next[i], engines->watched, engines->n_named))
                watched_free(next[i]);
        return r;
    }

    for (size_t i = 0; i < engines->n_named; i++)
        if (!is_among(engines->watched[i], next, config->n_engines))
            watched_free(engines->watched[i]);
    make_room(engines, config->n_engines);
    for (size_t i = 0; i < config->n_engines; i++) {
        next[i]->config = &config->engines[i];
        engines->watched[i] = next[i];
    }
    return 0;
}

/* ---- those found ---- */

static bool is_of(const struct watched *watched, const struct discovered *found)
{
    return watched->found.root.pid == found->root.pid &&
           watched->found.root.start_ticks == found->root.start_ticks;
}

/* Who watches it, if somebody does: whoever names it goes first. */
static struct watched *watching_found(struct engines *engines,
                                      const struct discovered *found)
{
    for (size_t i = 0; i < engines->n_named; i++)
        if (!engines->watched[i]->is_found &&
            watched_is_meant(engines->watched[i], found))
            return engines->watched[i];
    for (size_t i = engines->n_named; i < engines->n; i++)
        if (is_of(engines->watched[i], found))
            return engines->watched[i];
    return NULL;
}

static void see(struct engines *engines, const struct discovered *found)
{
    struct watched *watched = watching_found(engines, found);
    int r = 0;

    if (watched) {
        r = watched_see(watched, engines->fetcher, found);
    } else if (engines->n < SNAPSHOT_MODELS_MAX) {
        r = watched_new_found(engines->fetcher, found, engines->interval_ns, &watched);
        if (r == 0)
            engines->watched[engines->n++] = watched;
    }
    if (r < 0)
        log_error("cannot watch process %u: %s", found->root.pid, strerror(-r));
}

/* Those found before that were not seen now are gone. */
static void drop_unseen(struct engines *engines)
{
    size_t kept = engines->n_named;

    for (size_t i = 0; i < engines->n; i++) {
        struct watched *watched = engines->watched[i];

        if (i < engines->n_named)
            continue;
        if (watched->is_found)
            engines->watched[kept++] = watched;
        else
            watched_free(watched);
    }
    engines->n = kept;
}

void engines_follow(struct engines *engines, struct discovery *discovery)
{
    size_t n;
    const struct discovered *found = discovery_servers(discovery, &n);

    for (size_t i = 0; i < engines->n; i++)
        engines->watched[i]->is_found = false;
    for (size_t i = 0; i < n; i++)
        see(engines, &found[i]);
    drop_unseen(engines);
    for (size_t i = 0; i < engines->n_named; i++)
        watched_lose(engines->watched[i]);
    for (size_t i = engines->n_named; i < engines->n; i++) {
        const struct engine *engine = &engines->watched[i]->engine;

        if (engine->page_ns || engine->strange == ENGINE_STRANGE_MAX)
            discovery_judge(discovery, &engines->watched[i]->root, engine->page_ns);
    }
}

/* ---- who listens where nobody was found ---- */

/* Is the listener we know still the process it was? */
static bool listener_lives(struct engines *engines, const struct watched *watched)
{
    struct host_process now;
    int r = host_read_process(engines->host, watched->root.pid, &now);

    return r < 0 ? r != -ESRCH : now.start_ticks == watched->root.start_ticks;
}

static bool must_look(struct engines *engines, struct watched *watched, uint64_t now_ns)
{
    if (!watched->local || watched->is_found || now_ns < watched->look_ns)
        return false;
    watched->look_ns = now_ns + NS_PER_S;
    return watched->root.pid == 0 || !listener_lives(engines, watched);
}

static void take_listener(struct watched *watched, const struct host_process *listener,
                          uint64_t now_ns)
{
    static const struct host_process nobody;

    if (listener) {
        watched->look_pace_ns = NS_PER_S;
    } else {
        watched->look_ns = now_ns + watched->look_pace_ns;
        watched->look_pace_ns = MIN(2 * watched->look_pace_ns, LOOK_MAX_NS);
    }
    watched_set_root(watched, listener ? listener : &nobody);
}

/* For all of them in one walk, which can be long; who finds no room is looked for next. */
static void look(struct engines *engines, uint64_t now_ns)
{
    struct host_search searches[HOST_SEARCHES_MAX];
    struct watched *who[HOST_SEARCHES_MAX];
    size_t n = 0;
    int r;

    for (size_t i = 0; i < engines->n && n < HOST_SEARCHES_MAX; i++) {
        if (!must_look(engines, engines->watched[i], now_ns))
            continue;
        searches[n].port = engines->watched[i]->engine.port;
        who[n++] = engines->watched[i];
    }
    r = n ? host_find_listeners(engines->host, searches, n) : 0;
    for (size_t i = 0; i < n; i++)
        take_listener(who[i], r == 0 && searches[i].r == 0 ? &searches[i].process : NULL,
                      now_ns);
}

/* Once it has answered, and again when it has said something else of itself. */
static void inquire(struct engines *engines, struct watched *watched, uint64_t now_ns)
{
    struct inquiry_question question = {.process = watched->root};
    uint32_t rounds;

    if (!watched->scraper || inquiry_is_busy(engines->inquiry) || !watched->engine.kind ||
        watched->engine.kind->shape_why)
        return;
    rounds = scraper_rounds(watched->scraper);
    if (rounds == 0 || (rounds == watched->rounds && now_ns < watched->inquire_ns))
        return;
    watched->rounds = rounds;
    watched->inquire_ns = now_ns + INQUIRE_AGAIN_NS;
    question.ticket = ++engines->tickets;
    question.version = scraper_answer(watched->scraper, ENGINE_ASK_VERSION);
    question.models = scraper_answer(watched->scraper, ENGINE_ASK_MODELS);
    question.settings = scraper_answer(watched->scraper, ENGINE_ASK_SETTINGS);
    if (inquiry_start(engines->inquiry, &question) == 0)
        watched->ticket = question.ticket;
}

static void inquire_all(struct engines *engines, uint64_t now_ns)
{
    for (size_t i = 0; i < engines->n; i++)
        inquire(engines, engines->watched[i], now_ns);
}

void engines_run(struct engines *engines, uint64_t now_ns)
{
    look(engines, now_ns);
    for (size_t i = 0; i < engines->n; i++)
        watched_ask(engines->watched[i], now_ns);
    inquire_all(engines, now_ns);
}

bool engines_waiting(const struct engines *engines)
{
    for (size_t i = 0; i < engines->n; i++)
        if (engines->watched[i]->scraper && scraper_waiting(engines->watched[i]->scraper))
            return true;
    return inquiry_is_busy(engines->inquiry);
}

static struct join_engine fact_of(const struct watched *watched)
{
    static const struct config_engine unsaid = {
        .kv_bytes_per_block = UNKNOWN,
        .kv_pool_bytes_per_gpu = UNKNOWN,
        .gpus = UNKNOWN,
    };
    const struct config_engine *config = watched->config ? watched->config : &unsaid;

    return (struct join_engine){
        .engine = &watched->engine,
        .root_pid = watched->root.pid,
        .root_start_ticks = watched->root.start_ticks,
        .name = config->name,
        .launch_name = watched->is_found ? watched->found.name : NULL,
        .cgroup = watched->is_found ? &watched->found.cgroup : NULL,
        .kv_bytes_per_block = config->kv_bytes_per_block,
        .kv_pool_bytes_per_gpu = config->kv_pool_bytes_per_gpu,
        .gpus = config->gpus,
        .model = watched->model,
    };
}

const struct join_engine *engines_facts(struct engines *engines, size_t *ret_n)
{
    for (size_t i = 0; i < engines->n; i++)
        engines->facts[i] = fact_of(engines->watched[i]);
    *ret_n = engines->n;
    return engines->facts;
}

void engines_log(struct engines *engines, const struct snapshot *snapshot,
                 uint64_t now_ns)
{
    for (size_t i = 0; i < engines->n; i++)
        watched_log_state(engines->watched[i], now_ns);
    for (uint32_t i = 0; snapshot && i < snapshot->n_models; i++)
        watched_log_model(engines->watched[snapshot->models[i].engine],
                          &snapshot->models[i]);
}
