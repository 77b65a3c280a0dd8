// SPDX-License-Identifier: Apache-2.0
#include "daemon/parts.h"

#include "base/confine.h"
#include "base/log.h"

#include <signal.h>
#include <time.h>

enum {
    COLLECT_MS = 40,         // from asking the sources to publishing
    FIRST_LOOK_MS = 5,       // how often the first answers are looked for
    FIRST_ENGINES_MS = 1000, // and for how long
    FIRST_GPU_MS = 5000,     // a driver without persistence mode starts slowly
    DRAIN_MS = 2000,         // for readers to take what was sent
    WIND_UP_MS = 2000,       // for threads to end
};

/*
 * Nobody can start a GPU worker again: this process has given up the right. A stream without
 * figures for ever would be worse than the interruption of starting all anew.
 */
static void on_gpu_lost(void *ctx)
{
    struct daemon *daemon = ctx;

    log_error("the process that starts GPU workers has ended, and so have the GPU's "
              "figures: giving up, to be started again");
    daemon->status = 1;
    uv_stop(&daemon->loop);
}

static void on_collect(void *ctx, uint64_t now_ns)
{
    tick_collect(ctx, now_ns);
}

/* Only here do we say that we live: whoever hears it knows that figures go out. */
static void on_publish(void *ctx, uint64_t now_ns)
{
    struct daemon *daemon = ctx;
    struct service_status status = {
        .subscribers = service_hub_stats(front_service(daemon->front)).subscribers,
        .outage = daemon->logged_outage,
    };

    tick_publish(daemon, now_ns);
    (void)engines_facts(daemon->engines, &status.engines);
    service_manager_beat(daemon->manager, &status, now_ns,
                         daemon->interval_ms * NS_PER_MS);
}

static int start_beats(struct daemon *daemon, uint64_t now_ns)
{
    uint64_t period = daemon->interval_ms * NS_PER_MS;
    uint64_t first = now_ns + period;
    int r;

    daemon->first_beat_ns = first;
    r = ticker_start(&daemon->publish, &daemon->loop, first, period, on_publish, daemon);
    if (r < 0)
        return r;
    return ticker_start(&daemon->collect, &daemon->loop, first - COLLECT_MS * NS_PER_MS,
                        period, on_collect, daemon);
}

static void warn_of_watchdog(const struct daemon *daemon)
{
    uint64_t watchdog_ms = service_manager_watchdog_ns(daemon->manager) / NS_PER_MS;

    if (watchdog_ms && watchdog_ms < 2 * daemon->interval_ms)
        log_warning("the watchdog's %llu ms are less than two intervals of %llu ms: the "
                    "service manager will take the daemon for dead",
                    (unsigned long long)watchdog_ms,
                    (unsigned long long)daemon->interval_ms);
}

/* The first snapshot goes out as soon as everybody has answered; then the beat begins. */
static void on_first(uv_timer_t *timer)
{
    struct daemon *daemon = CONTAINER_OF(timer, struct daemon, first);
    uint64_t now_ns = ticker_now_ns();
    uint64_t waited_ms = (now_ns - daemon->started_ns) / NS_PER_MS;
    bool engines = engines_waiting(daemon->engines);
    bool gpu = daemon->gpu && !gpu_link_sample(daemon->gpu);
    bool nodes = daemon->gateway && gateway_is_waiting(daemon->gateway, now_ns);
    int r;

    if (((engines || nodes) && waited_ms < FIRST_ENGINES_MS) ||
        (gpu && waited_ms < FIRST_GPU_MS))
        return;
    (void)uv_timer_stop(timer);
    tick_publish(daemon, now_ns);
    r = start_beats(daemon, now_ns);
    if (r == 0)
        r = front_start(daemon->front);
    if (r < 0) {
        log_error("cannot start to serve: %s", strerror(-r));
        daemon->status = 1;
        uv_stop(&daemon->loop);
        return;
    }
    archive_log(daemon->archive);
    service_manager_ready(daemon->manager);
    warn_of_watchdog(daemon);
}

/* For good: what a reload brings is not known, and what was read may lie about. */
static void hide_secrets(const struct config *config)
{
    int r = 0;

    if (config->confine && config_has_secret(config))
        r = confine_hide_memory();
    if (r < 0)
        log_warning("secrets may be read out of this process's memory: %s", strerror(-r));
}

/* All of it or nothing: the last step cannot fail. */
static int apply(struct daemon *daemon, struct config *config,
                 struct complaint *complaint)
{
    int r;

    if (daemon->demo)
        return complain(complaint, -EOPNOTSUPP, "the demo takes no new configuration");
    if (config->gateway != (daemon->gateway != NULL))
        return complain(complaint, -EOPNOTSUPP,
                        "--gateway: one begins and ends with a restart");
    r = front_prepare(daemon->front, config, complaint);
    if (r < 0)
        return r;
    r = engines_apply(daemon->engines, config);
    if (r < 0)
        return complain(complaint, r, "cannot apply the new configuration: %s",
                        strerror(-r));
    front_commit(daemon->front, config);
    return 0;
}

static void reload(struct daemon *daemon)
{
    struct complaint complaint = {0};
    struct config *config = NULL;
    enum config_action action;
    int r = config_load(daemon->arguments.argc, daemon->arguments.argv,
                        daemon->arguments.environment, &config, &action, &complaint);

    if (r == 0)
        r = apply(daemon, config, &complaint);
    if (r < 0) {
        log_error("%s; keeping the configuration as it was", complaint.text);
        config_free(config);
        return;
    }
    hide_secrets(config);
    log_set_level((enum log_level)config->log_level);
    config_free(daemon->config);
    daemon->config = config;
    log_info("configuration reloaded: %zu engines; other changes need a restart",
             config->n_engines);
}

static void on_drained(void *ctx)
{
    struct daemon *daemon = ctx;

    uv_stop(&daemon->loop);
}

static void on_drain_over(uv_timer_t *timer)
{
    uv_stop(&CONTAINER_OF(timer, struct daemon, drain)->loop);
}

/* Nothing new is begun: readers take what they were sent, and then the loop stops. */
static void drain(struct daemon *daemon)
{
    daemon->draining = true;
    service_manager_stopping(daemon->manager);
    (void)uv_timer_stop(&daemon->first);
    ticker_stop(&daemon->collect);
    ticker_stop(&daemon->publish);
    (void)uv_timer_start(&daemon->drain, on_drain_over, DRAIN_MS, 0);
    front_drain(daemon->front, on_drained, daemon);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct daemon *daemon = handle->data;

    if (number == SIGHUP && !daemon->draining) {
        service_manager_reloading(daemon->manager, ticker_now_ns());
        reload(daemon);
        service_manager_reloaded(daemon->manager);
    } else if (number != SIGHUP && !daemon->draining) {
        drain(daemon);
    } else if (number != SIGHUP) {
        daemon->hurried = true;
        uv_stop(&daemon->loop);
    }
}

static int open_gpu(struct daemon *daemon)
{
    const struct config *config = daemon->config;
    struct gpu_link_options options = {
        .program = "/proc/self/exe",
        .backends = config->demo ? "sim" : config->gpu,
        .nvml_library = config->nvml_library,
        .sys_root = config->sys_root,
        .proc_root = config->proc_root,
        .sim_dir = config->demo ? demo_gpu_dir(daemon->demo) : config->sim_dir,
        .confine = config->confine,
    };
    int r;

    if (!config->demo && strcmp(config->gpu, "none") == 0)
        return 0;
    r = gpu_feed_new(&daemon->loop, &options, on_gpu_lost, daemon, &daemon->gpu_feed);
    if (r == 0)
        daemon->gpu = gpu_feed_link(daemon->gpu_feed);
    return r;
}

static int open_signals(struct daemon *daemon)
{
    static const int numbers[SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
    int r = 0;

    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; r == 0 && i < SIGNALS; i++) {
        r = uv_signal_init(&daemon->loop, &daemon->signals[i]);
        daemon->signals[i].data = daemon;
        if (r == 0)
            r = uv_signal_start(&daemon->signals[i], on_signal, numbers[i]);
    }
    return r;
}

static int open_front(struct daemon *daemon, struct complaint *complaint)
{
    struct front_options options = {
        .loop = &daemon->loop, .config = daemon->config, .manager = daemon->manager};
    int r;

    if (past_new(PAST_BYTES, &daemon->past) < 0 || journal_new(&daemon->journal) < 0)
        return complain(complaint, -ENOMEM, "out of memory");
    r = archive_open(daemon->config, daemon->past, daemon->journal, &daemon->archive,
                     complaint);
    if (r < 0)
        return r;
    daemon->log.told = archive_newest_event(daemon->archive);
    options.past = daemon->past;
    options.historian = archive_historian(daemon->archive);
    options.tap = archive_tap(daemon->archive);
    options.journal = daemon->journal;
    if (daemon->gateway)
        options.nodes = gateway_boards(daemon->gateway);
    return front_open(&options, &daemon->front, complaint);
}

/* What takes rights that are given up: sockets, children, other people's descriptors. */
static int open_outside(struct daemon *daemon, struct complaint *complaint)
{
    struct config *config = daemon->config;
    int r;

    r = service_manager_open(&daemon->manager, complaint); // before children and threads
    if (r < 0)
        return r;
    // Threads give up their own rights, so they start while there are some to give up.
    if (config->gateway)
        r = gateway_open(config, &daemon->loop, &daemon->gateway, complaint);
    if (r == 0)
        r = open_front(daemon, complaint);
    if (r < 0)
        return r;
    r = publishing_open(config, daemon->journal, daemon->log.told,
                        service_boot(front_service(daemon->front)), &daemon->publisher,
                        complaint);
    if (r < 0)
        return r;
    r = host_new(config->proc_root, &daemon->host);
    if (r < 0)
        return complain(complaint, r, "cannot open %s: %s", config->proc_root,
                        strerror(-r));
    if (config->demo) {
        r = demo_new(&daemon->loop, config, &daemon->demo, complaint);
        if (r < 0)
            return r;
    }
    r = open_gpu(daemon);
    if (r < 0)
        return complain(complaint, r,
                        "cannot start the process that starts GPU workers: %s",
                        r == -EPIPE ? "it ended at once" : strerror(-r));
    return 0;
}

/*
 * Everything is open that is needed but for reading. No Landlock: it would hide whose a
 * socket is. What was made (sockets, the demo's folder) is removed at the end.
 */
static int give_up_rights(const struct config *config, struct complaint *complaint)
{
    static const struct confine_options options = {
        .rights = CONFINE_READ,
        .families = CONFINE_UNIX | CONFINE_INET | CONFINE_NETLINK,
        .remove_files = true,
        .openat2 = true,
        .this_thread = true, // the other threads have given up what they do not need
    };
    struct complaint what = {0};
    int r;

    if (!config->confine) {
        log_info("not confined, as it was told");
        return 0;
    }
    r = confine(&options, &what);
    if (r < 0)
        return complain(complaint, r, "%s; --no-confine goes without", what.text);
    if (r > 0)
        log_debug("confined as far as can be: %s", what.text);
    hide_secrets(config);
    return 0;
}

/* What does with the rights that are left; a thread is among it. */
static int open_inside(struct daemon *daemon, struct complaint *complaint)
{
    struct config *config = daemon->config;
    int r;

    r = snapshot_pool_new(&daemon->snapshots);
    if (r == 0)
        r = tick_watch(daemon);
    if (r == 0)
        r = engines_new(&daemon->loop, daemon->host, config->proc_root, &daemon->engines);
    if (r == 0)
        r = engines_apply(daemon->engines, config);
    if (r == 0 && config->discover)
        r = discovery_new(config, config->demo ? (uint32_t)getpid() : 0,
                          &daemon->discovery);
    if (daemon->discovery && r == 0 && config->docker_socket)
        r = docker_new(&daemon->loop, config->docker_socket, &daemon->docker);
    return r < 0 ? complain(complaint, r, "cannot start: %s", strerror(-r)) : 0;
}

/* The loop, and what is asked of it before anything else. */
static struct daemon *new_daemon(struct config *config)
{
    struct daemon *daemon = calloc(1, sizeof(*daemon));

    if (!daemon || uv_loop_init(&daemon->loop) < 0) {
        free(daemon);
        config_free(config);
        return NULL;
    }
    self_cost_open(&daemon->cost);
    daemon->config = config;
    daemon->interval_ms = config->interval_ms;
    (void)uv_timer_init(&daemon->loop, &daemon->first);
    (void)uv_timer_init(&daemon->loop, &daemon->drain);
    return daemon;
}

int daemon_new(struct config *config, const struct daemon_arguments *arguments,
               struct daemon **ret, struct complaint *complaint)
{
    struct daemon *daemon;
    int r = front_raise_descriptors(config, complaint);

    if (r < 0) {
        config_free(config);
        return r;
    }
    daemon = new_daemon(config);
    if (!daemon)
        return complain(complaint, -ENOMEM, "out of memory");
    daemon->arguments = *arguments;
    r = open_signals(daemon);
    if (r < 0)
        (void)complain(complaint, r, "cannot take signals: %s", strerror(-r));
    if (r == 0)
        r = open_outside(daemon, complaint);
    if (r == 0)
        r = give_up_rights(config, complaint); // of this thread, and of those it starts
    if (r == 0)
        r = open_inside(daemon, complaint);
    if (r < 0) {
        (void)daemon_free(daemon); // main() is about to return
        return r;
    }
    *ret = daemon;
    return 0;
}

static void close_handle(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void end_at_once(int number)
{
    (void)number;
    _exit(0);
}

/* Let handles close and threads end, but not for ever. */
static bool wind_up(struct daemon *daemon)
{
    const struct timespec pause = {.tv_nsec = 10 * NS_PER_MS};

    (void)signal(SIGTERM, end_at_once); // the loop takes no signals any more
    (void)signal(SIGINT, end_at_once);
    for (int waited_ms = 0; waited_ms < WIND_UP_MS; waited_ms += 10) {
        if (uv_run(&daemon->loop, UV_RUN_NOWAIT) == 0 && archive_ended(daemon->archive) &&
            publisher_ended(daemon->publisher) && gateway_ended(daemon->gateway))
            return true;
        if (daemon->hurried)
            break;
        (void)nanosleep(&pause, NULL);
    }
    return false;
}

bool daemon_free(struct daemon *daemon)
{
    if (!daemon)
        return true;
    ticker_stop(&daemon->collect);
    ticker_stop(&daemon->publish);
    front_close(daemon->front);
    engines_free(daemon->engines);
    discovery_free(daemon->discovery);
    docker_free(daemon->docker);
    demo_free(daemon->demo);
    gpu_feed_free(daemon->gpu_feed);
    archive_stop(daemon->archive);
    publisher_stop(daemon->publisher);
    gateway_stop(daemon->gateway);
    uv_walk(&daemon->loop, close_handle, NULL); // what is left: signals and timers
    if (!wind_up(daemon))
        return false;

    publisher_free(daemon->publisher);
    front_free(daemon->front);
    gateway_free(daemon->gateway);
    archive_free(daemon->archive);
    watch_free(daemon->watch);
    journal_free(daemon->journal);
    past_free(daemon->past);
    service_manager_free(daemon->manager);
    snapshot_unref(daemon->newest);
    snapshot_pool_free(daemon->snapshots);
    host_free(daemon->host);
    (void)uv_loop_close(&daemon->loop);
    self_cost_close(&daemon->cost);
    config_free(daemon->config);
    free(daemon);
    return true;
}

int daemon_run(struct daemon *daemon)
{
    daemon->started_ns = ticker_now_ns();
    tick_collect(daemon, daemon->started_ns);
    (void)uv_timer_start(&daemon->first, on_first, FIRST_LOOK_MS, FIRST_LOOK_MS);
    (void)uv_run(&daemon->loop, UV_RUN_DEFAULT);
    return daemon->status;
}
