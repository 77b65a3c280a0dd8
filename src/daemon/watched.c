// SPDX-License-Identifier: Apache-2.0
#include "daemon/watched.h"

#include "base/log.h"
#include "base/number.h"
#include "net/ticker.h"

#include <stdio.h>

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

/* The path of an engine on a Unix socket; NULL: it is on another. */
static const char *unix_path_of(const char *url)
{
    static const char prefix[] = "unix:";

    return strncmp(url, prefix, sizeof(prefix) - 1) == 0 ? url + sizeof(prefix) - 1
                                                         : NULL;
}

static bool is_loopback_name(struct span host)
{
    return span_is(host, "localhost") || span_is(host, "[::1]") ||
           (host.len > 4 && memcmp(host.at, "127.", 4) == 0);
}

void watched_free(struct watched *watched)
{
    if (!watched)
        return;
    scraper_free(watched->scraper);
    free(watched->model);
    free(watched);
}

/* What it is, as the operator says, or as it was found; NULL: it has to be asked. */
static const struct engine_kind *kind_of(const struct watched *watched)
{
    const char *name = watched->config ? watched->config->kind : watched->found.engine;

    return name ? engine_kind_named(span_of(name)) : NULL;
}

/* Begin to ask at the URL that the engine was given. */
static int open_scraper(struct watched *watched, struct fetcher *fetcher)
{
    const struct config_engine *config = watched->config;
    struct scraper_options options = {.fetcher = fetcher,
                                      .engine = &watched->engine,
                                      .kind = kind_of(watched),
                                      .bearer = config ? config->api_key : NULL,
                                      .ca_file = config ? config->ca_file : NULL,
                                      .insecure = !config || config->insecure,
                                      .unix_path = unix_path_of(watched->engine.url),
                                      .now_ns = ticker_now_ns};

    return scraper_new(&options, &watched->scraper);
}

int watched_new(struct fetcher *fetcher, const struct config_engine *config,
                uint64_t interval_ns, struct watched **ret)
{
    struct watched *watched = calloc(1, sizeof(*watched));
    struct span host = {NULL, 0};
    uint16_t port = 0; // a Unix socket has none
    int r;

    if (!watched)
        return -ENOMEM;
    if (!unix_path_of(config->url))
        split_url(config->url, &host, &port);
    watched->config = config;
    watched->local = port && is_loopback_name(host);
    watched->look_pace_ns = NS_PER_S;
    engine_init(&watched->engine, config->url, port, interval_ns);
    r = open_scraper(watched, fetcher);
    if (r < 0) {
        watched_free(watched);
        return r;
    }
    *ret = watched;
    return 0;
}

int watched_new_found(struct fetcher *fetcher, const struct discovered *found,
                      uint64_t interval_ns, struct watched **ret)
{
    struct watched *watched = calloc(1, sizeof(*watched));
    int r;

    if (!watched)
        return -ENOMEM;
    engine_init(&watched->engine, "", found->port, interval_ns);
    watched->engine.unnamed = true;
    watched->engine.state = ENGINE_LOADING;
    r = watched_see(watched, fetcher, found);
    if (r < 0) {
        watched_free(watched);
        return r;
    }
    *ret = watched;
    return 0;
}

static bool is_same_process(const struct host_process *a, const struct host_process *b)
{
    return a->pid == b->pid && a->start_ticks == b->start_ticks;
}

bool watched_is_meant(const struct watched *watched, const struct discovered *found)
{
    if (!watched->config)
        return false;
    // One that has closed its port again is still the one; a stranger to it never was.
    if (watched->local && found->on_host && found->port == watched->engine.port)
        return found->inode || is_same_process(&watched->root, &found->root);
    return found->url[0] && strcmp(watched->config->url, found->url) == 0;
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

void watched_set_root(struct watched *watched, const struct host_process *root)
{
    if (is_same_process(&watched->root, root))
        return;
    forget_model(watched);
    if (watched->root.pid && watched->scraper)
        scraper_restarted(watched->scraper);
    watched->root = *root;
}

/* It has no address any more. Its row stays, with the name it had. */
static void stop(struct watched *watched, const struct discovered *found)
{
    struct engine *engine = &watched->engine;
    struct engine_page page = engine->page;

    scraper_free(watched->scraper);
    watched->scraper = NULL;
    forget_model(watched);
    engine_init(engine, "", found->port, engine->interval_ns);
    memcpy(engine->page.served_name, page.served_name, sizeof(page.served_name));
    engine->unnamed = true;
    engine->state = ENGINE_UNREACHABLE;
    (void)snprintf(engine->why, sizeof(engine->why), "%s", found->why ? found->why : "");
}

/* It was found under another address than before, or under one at last. */
static int move(struct watched *watched, struct fetcher *fetcher,
                const struct discovered *found)
{
    uint64_t interval_ns = watched->engine.interval_ns;

    scraper_free(watched->scraper);
    watched->scraper = NULL;
    forget_model(watched);
    engine_init(&watched->engine, found->url, found->port, interval_ns);
    watched->engine.unnamed = true;
    return open_scraper(watched, fetcher);
}

int watched_see(struct watched *watched, struct fetcher *fetcher,
                const struct discovered *found)
{
    bool moved = !watched->scraper || strcmp(watched->engine.url, found->url) != 0;
    bool reopened = watched->found.inode && watched->found.inode != found->inode;
    bool other_kind = watched->found.engine != found->engine; // by exec
    int r = 0;

    watched_set_root(watched, &found->root);
    watched->is_found = true;
    watched->found = *found;
    if (watched->config)
        return 0; // it is asked where the operator says
    watched->engine.port = found->port;
    if (!found->url[0] && watched->scraper)
        stop(watched, found);
    else if (!found->url[0])
        (void)snprintf(watched->engine.why, sizeof(watched->engine.why), "%s",
                       found->why ? found->why : "");
    else if (moved || other_kind)
        r = move(watched, fetcher, found);
    else if (reopened && found->inode)
        scraper_restarted(watched->scraper);
    if (!watched->engine.kind)
        watched->engine.kind = kind_of(watched);
    if (found->off && !watched->scraper)
        watched->engine.state = ENGINE_METRICS_DISABLED;
    return r;
}

void watched_lose(struct watched *watched)
{
    static const struct host_process nobody = {0};

    if (!watched->is_found && !watched->local)
        watched_set_root(watched, &nobody);
}

void watched_ask(struct watched *watched, uint64_t now_ns)
{
    if (!watched->scraper)
        return;
    if (watched->model && scraper_rounds(watched->scraper) == 0)
        forget_model(watched); // it has to be asked anew who it is
    scraper_run(watched->scraper, now_ns);
}

/* When to find out again. Want of descriptors or memory may pass in a second. */
static uint64_t next_inquiry_ns(struct watched *watched, const struct model_facts *facts,
                                uint64_t now_ns)
{
    if (!facts || facts->may_pass) {
        watched->inquire_pace_ns = MAX(2 * watched->inquire_pace_ns, NS_PER_S);
        watched->inquire_pace_ns = MIN(watched->inquire_pace_ns, INQUIRE_AGAIN_NS);
        return now_ns + watched->inquire_pace_ns;
    }
    watched->inquire_pace_ns = 0;
    if (facts->has_config || !facts->has_launch)
        return UINT64_MAX;
    return now_ns + INQUIRE_AGAIN_NS;
}

/*
 * The settings can be dear to answer: they are asked for only where the host does not
 * tell how the server was started.
 */
void watched_take_facts(struct watched *watched, struct model_facts *facts,
                        uint64_t now_ns)
{
    watched->ticket = 0;
    watched->inquire_ns = next_inquiry_ns(watched, facts, now_ns);
    if (watched->model && (!facts || facts->may_pass)) {
        free(facts); // what was known before still holds
        return;
    }
    free(watched->model);
    watched->model = facts;
    if (facts && !facts->may_pass && !watched->settings_asked &&
        (!facts->has_config || !facts->has_launch || facts->launch.unclear ||
         facts->launch.config_file[0] || facts->launch.hf_overrides)) {
        watched->settings_asked = true;
        scraper_ask(watched->scraper, ENGINE_ASK_SETTINGS);
    }
}

/* Its address, or before it has one its name. */
static const char *address_of(const struct watched *watched)
{
    return watched->engine.url[0] ? watched->engine.url : watched->found.name;
}

void watched_log_state(struct watched *watched, uint64_t now_ns)
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
        log_warning("engine %s unreachable: %s", address_of(watched), engine->why);
    else if (engine->state == ENGINE_READY && watched->lost_ns)
        log_info("engine %s back after %llu s", engine->url,
                 (unsigned long long)((now_ns - watched->lost_ns) / NS_PER_S));
    else if (engine->state == ENGINE_READY)
        log_info("engine %s ready, serving '%s'", engine->url, engine->page.served_name);
    else
        log_info("engine %s %s: %s", address_of(watched),
                 engine_state_name(engine->state), engine->why);
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

void watched_log_model(struct watched *watched, const struct snapshot_model *model)
{
    log_vram(watched, model);
    log_kv(watched, model);
}
