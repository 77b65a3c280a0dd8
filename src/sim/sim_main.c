// SPDX-License-Identifier: Apache-2.0
/*
 * sim_main.c - vramscope-sim: a process tree that answers like a vLLM server
 */
#include "base/log.h"
#include "sim/sim_server.h"
#include "sim/sim_tree.h"
#include "version.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

enum { EXIT_OK, EXIT_RUNTIME, EXIT_USAGE };

enum { ADDRESS_MAX = 512, URL_MAX = 512, ADVANCE_MS = 1000 };

struct sim {
    const struct sim_options *options;
    uv_loop_t loop;
    uv_signal_t stop_signals[2];
    uv_signal_t child_signal;
    uv_timer_t timer;
    struct sim_tree tree;
    struct sim_server *server;
    struct http_server *http;
    bool stopping;
    int status;
};

static void close_handle(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void on_stop(uv_signal_t *handle, int number)
{
    struct sim *sim = handle->data;

    (void)number;
    sim->stopping = true;
    uv_stop(handle->loop);
}

static void on_child(uv_signal_t *handle, int number)
{
    struct sim *sim = handle->data;

    (void)number;
    if (sim_tree_reap(&sim->tree) == 0)
        return;
    log_error("an engine process has ended: stopping, as vLLM does");
    sim->status = EXIT_RUNTIME;
    sim->stopping = true;
    uv_stop(handle->loop);
}

static void on_timer(uv_timer_t *timer)
{
    struct sim *sim = timer->data;

    sim_server_advance(sim->server);
}

static void watch_signal(struct sim *sim, uv_signal_t *handle, uv_signal_cb call,
                         int number)
{
    (void)uv_signal_init(&sim->loop, handle); // cannot fail once the loop is there
    handle->data = sim;
    (void)uv_signal_start(handle, call, number);
}

static void start_watching(struct sim *sim)
{
    (void)signal(SIGPIPE, SIG_IGN);
    watch_signal(sim, &sim->stop_signals[0], on_stop, SIGTERM);
    watch_signal(sim, &sim->stop_signals[1], on_stop, SIGINT);
    watch_signal(sim, &sim->child_signal, on_child, SIGCHLD);
    (void)uv_timer_init(&sim->loop, &sim->timer);
    sim->timer.data = sim;
    (void)uv_timer_start(&sim->timer, on_timer, ADVANCE_MS, ADVANCE_MS);
}

static void on_loaded(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

/* Its memory is held, its port is not open yet. */
static void load(struct sim *sim)
{
    uv_timer_t timer;

    if (sim->options->load_seconds == 0)
        return;
    (void)uv_timer_init(&sim->loop, &timer);
    (void)uv_timer_start(&timer, on_loaded, sim->options->load_seconds * 1000, 0);
    (void)uv_run(&sim->loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&timer, NULL);
    (void)uv_run(&sim->loop, UV_RUN_NOWAIT); // until it is closed
}

static int start_listening(struct sim *sim, struct complaint *complaint)
{
    const struct sim_options *options = sim->options;
    const struct http_server_options http = {
        .loop = &sim->loop,
        .handler = sim_server_handle,
        .ctx = sim->server,
        .limits.clients = options->max_clients,
        .limits.clients_per_ip = options->max_clients,
        .allow_public = true, // only where --host says so
    };
    bool bare_v6 = strchr(options->host, ':') && options->host[0] != '[';
    char address[ADDRESS_MAX], url[URL_MAX];
    int r = http_server_new(&http, &sim->http);

    if (r < 0)
        return complain(complaint, r, "cannot start the server: %s", strerror(-r));
    (void)snprintf(address, sizeof(address), bare_v6 ? "[%s]:%u" : "%s:%u", options->host,
                   (unsigned)options->port);
    r = http_server_listen(sim->http, address, url, sizeof(url), complaint);
    if (r < 0)
        return r;
    printf("listening on %s\n", url);
    (void)fflush(stdout); // nobody may be reading any more
    return 0;
}

static int serve(struct sim *sim, struct complaint *complaint)
{
    int r = sim_server_new(sim->options, &sim->server, complaint);

    if (r == 0) {
        start_watching(sim);
        load(sim);
        if (!sim->stopping)
            r = start_listening(sim, complaint);
    }
    if (r == 0 && !sim->stopping)
        (void)uv_run(&sim->loop, UV_RUN_DEFAULT);

    http_server_close(sim->http);
    uv_walk(&sim->loop, close_handle, NULL);
    (void)uv_run(&sim->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&sim->loop); // every handle is closed
    http_server_free(sim->http);
    sim_server_free(sim->server);
    return r;
}

static int run(const struct sim_options *options, int argc, char **argv)
{
    const struct sim_tree_options tree = {
        .engines = options->load.engines,
        .gpus = options->gpus,
        .gpu_index = options->gpu_index,
        .vram_bytes = options->vram_bytes,
        .gpu_dir = options->gpu_dir,
        .argc = argc,
        .argv = argv,
    };
    struct complaint complaint = {0};
    struct sim sim = {.options = options, .status = EXIT_OK};
    int r;

    if (options->die_with_parent && prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
        log_warning("will not end with its parent: %s", strerror(errno));
    r = sim_tree_start(&tree, &sim.tree, &complaint);

    if (r == 0) {
        r = uv_loop_init(&sim.loop);
        if (r < 0)
            (void)complain(&complaint, r, "cannot make a loop: %s", uv_strerror(r));
        else
            r = serve(&sim, &complaint);
        sim_tree_stop(&sim.tree);
    }
    if (r < 0) {
        log_error("%s", complaint.text);
        return EXIT_RUNTIME;
    }
    return sim.status;
}

int main(int argc, char **argv)
{
    struct sim_options options;
    struct complaint complaint;

    log_init("vramscope-sim", LOG_LEVEL_INFO);
    if (sim_options_read(argc, argv, &options, &complaint) < 0) {
        log_error("%s", complaint.text);
        return EXIT_USAGE;
    }
    if (options.help)
        sim_options_print_help();
    else if (options.version)
        printf("vramscope-sim %s\n", VRAMSCOPE_VERSION);
    else
        return run(&options, argc, argv);
    return EXIT_OK;
}
