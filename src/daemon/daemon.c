// SPDX-License-Identifier: Apache-2.0
#include "daemon/daemon.h"

#include "base/confine.h"
#include "base/log.h"
#include "base/number.h"
#include "daemon/demo.h"
#include "daemon/docker.h"
#include "daemon/engines.h"
#include "daemon/front.h"
#include "daemon/gpu_log.h"
#include "daemon/service_manager.h"
#include "gpu/gpu_link.h"
#include "net/ticker.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#define NS_PER_MS 1000000ULL

enum {
    COLLECT_MS = 40,         // from asking the sources to publishing
    FIRST_LOOK_MS = 5,       // how often the first answers are looked for
    FIRST_ENGINES_MS = 1000, // and for how long
    FIRST_GPU_MS = 5000,     // a driver without persistence mode starts slowly
    SIGNALS = 3,
    DRAIN_MS = 2000,   // for readers to take what was sent
    WIND_UP_MS = 2000, // for threads to end
};

struct daemon {
    uv_loop_t loop;
    struct config *config;
    struct daemon_arguments arguments;
    struct host *host;
    struct engines *engines;
    struct discovery *discovery; // NULL: --no-discover
    struct docker *docker;       // NULL: no --docker-socket
    struct gpu_link *gpu;        // NULL: --gpu none
    struct demo *demo;           // NULL: no --demo
    struct snapshot_pool *snapshots;
    const struct snapshot *newest;
    struct front *front;
    struct service_manager *manager;  // NULL: none has started us
    uint32_t pids[GPU_PROCESSES_MAX]; // whose tree is being read
    struct host_tree tree;
    uint64_t tree_of_ns; // processes_taken_ns of the sample the tree was read for
    uint64_t seq;
    struct ticker collect;
    struct ticker publish;
    uv_timer_t first;
    uint64_t started_ns;
    uint64_t first_beat_ns;
    int statm_fd; // what this process takes of memory
    uv_poll_t gpu_poll;
    bool gpu_polled;
    uv_signal_t signals[SIGNALS];
    char logged_outage[256];
    struct gpu_log gpu_log;
    uv_timer_t drain;
    bool draining;
    bool hurried;         // told to end a second time
    uint64_t interval_ms; // as at the start: a reload does not change the beat
    int status;           // to exit with
};

static void on_gpu_readable(uv_poll_t *poll, int status, int events);

static void on_gpu_poll_closed(uv_handle_t *handle)
{
    struct daemon *daemon =
        CONTAINER_OF((uv_poll_t *)(void *)handle, struct daemon, gpu_poll);

    daemon->gpu_polled = false;
}

/* The worker's socket comes and goes; the poll handle follows it, one check behind. */
static void watch_gpu(struct daemon *daemon)
{
    int fd = gpu_link_fd(daemon->gpu);

    if (fd < 0 || daemon->gpu_polled)
        return;
    if (uv_poll_init(&daemon->loop, &daemon->gpu_poll, fd) < 0)
        return;
    daemon->gpu_polled = true;
    (void)uv_poll_start(&daemon->gpu_poll, UV_READABLE, on_gpu_readable);
}

/*
 * Nobody can start a GPU worker again: this process has given up the right. A stream without
 * figures for ever would be worse than the interruption of starting all anew.
 */
static void lose_gpu(struct daemon *daemon)
{
    log_error("the process that starts GPU workers has ended, and so have the GPU's "
              "figures: giving up, to be started again");
    daemon->status = 1;
    uv_stop(&daemon->loop);
}

static void check_gpu(struct daemon *daemon, uint64_t now_ns)
{
    int r = gpu_link_check(daemon->gpu, now_ns);

    if (r < 0)
        lose_gpu(daemon);
    if (r > 0 && daemon->gpu_polled && !uv_is_closing((uv_handle_t *)&daemon->gpu_poll))
        uv_close((uv_handle_t *)&daemon->gpu_poll, on_gpu_poll_closed);
    watch_gpu(daemon);
}

static void on_gpu_readable(uv_poll_t *poll, int status, int events)
{
    struct daemon *daemon = CONTAINER_OF(poll, struct daemon, gpu_poll);
    uint64_t now_ns = ticker_now_ns();

    (void)status;
    (void)events;
    if (gpu_link_receive(daemon->gpu, now_ns) < 0)
        check_gpu(daemon, now_ns);
}

/* The processes that hold device memory, each time the driver has listed them anew. */
static void read_tree(struct daemon *daemon, const struct gpu_sample *gpu)
{
    if (gpu->processes_taken_ns == daemon->tree_of_ns)
        return;
    for (uint32_t i = 0; i < gpu->n_processes; i++)
        daemon->pids[i] = gpu->processes[i].pid;
    host_read_tree(daemon->host, daemon->pids, gpu->n_processes, &daemon->tree);
    daemon->tree_of_ns = gpu->processes_taken_ns;
}

static void on_collect(void *ctx, uint64_t now_ns)
{
    struct daemon *daemon = ctx;

    if (daemon->gpu) {
        check_gpu(daemon, now_ns);
        gpu_link_request(daemon->gpu, now_ns);
    }
    if (daemon->docker) {
        size_t n;
        const struct host_port_proxy *ports = docker_ports(daemon->docker, &n);

        discovery_publish(daemon->discovery, ports, n);
        docker_run(daemon->docker, discovery_wants_ports(daemon->discovery), now_ns);
    }
    if (daemon->discovery) {
        const struct gpu_sample *gpu = daemon->gpu ? gpu_link_sample(daemon->gpu) : NULL;

        if (gpu)
            read_tree(daemon, gpu);
        discovery_run(daemon->discovery, gpu, &daemon->tree);
        engines_follow(daemon->engines, daemon->discovery);
    }
    engines_run(daemon->engines, now_ns);
}

/* Why no device's memory is known: the first source that says something. */
static struct outage outage_of(const struct gpu_sample *gpu)
{
    for (uint32_t i = 0; i < gpu->n_sources; i++) {
        enum gpu_verdict verdict = (enum gpu_verdict)gpu->sources[i].verdict;

        if (verdict != GPU_OK)
            return (struct outage){gpu_verdict_name(verdict), gpu->sources[i].reason,
                                   gpu_verdict_remedy(verdict)};
    }
    return (struct outage){"no-device-memory",
                           gpu->n_devices ? gpu->devices[0].reason : "no GPU was found",
                           ""};
}

static void log_failure(int r)
{
    if (r < 0)
        log_error("a tick is left out: %s", strerror(-r));
}

static void publish_outage(struct daemon *daemon, const struct outage *outage)
{
    if (strncmp(daemon->logged_outage, outage->code, sizeof(daemon->logged_outage)) !=
        0) {
        (void)snprintf(daemon->logged_outage, sizeof(daemon->logged_outage), "%s",
                       outage->code);
        log_warning("no GPU figures: %s%s%s", outage->reason,
                    outage->remedy[0] ? ". " : "", outage->remedy);
    }
    log_failure(service_publish_outage(front_service(daemon->front), outage));
}

static void publish_snapshot(struct daemon *daemon, const struct snapshot *snapshot)
{
    if (daemon->logged_outage[0]) {
        daemon->logged_outage[0] = '\0';
        log_info("GPU figures are back");
    }
    gpu_log_snapshot(&daemon->gpu_log, snapshot);
    log_failure(service_publish(front_service(daemon->front), snapshot));
    snapshot_unref(daemon->newest);
    daemon->newest = snapshot_ref(snapshot);
}

static uint64_t rss_bytes(const struct daemon *daemon)
{
    char text[64];
    ssize_t n = pread(daemon->statm_fd, text, sizeof(text), 0);
    const char *space = n > 0 ? memchr(text, ' ', (size_t)n) : NULL;
    uint64_t pages;
    size_t len;

    if (!space)
        return UNKNOWN;
    len = strcspn(space + 1, " ");
    if (number_read_u64((struct span){space + 1, len}, UINT32_MAX, &pages) < 0)
        return UNKNOWN;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static double seconds_of(const struct rusage *usage)
{
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
           (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
}

static struct snapshot_self self_cost(const struct daemon *daemon, uint64_t now_ns)
{
    struct hub_stats hub = service_hub_stats(front_service(daemon->front));
    uint64_t period = daemon->interval_ms * NS_PER_MS;
    struct rusage own;
    struct snapshot_self self = {
        .rss_bytes = rss_bytes(daemon),
        .subscribers = hub.subscribers,
        .frames_sent = hub.frames_sent,
        .frames_skipped = hub.frames_skipped,
        .worker_restarts = daemon->gpu ? gpu_link_restarts(daemon->gpu) : 0,
    };

    self.n_limited = service_limited(front_service(daemon->front), self.limited,
                                     ARRAY_LEN(self.limited));
    (void)getrusage(RUSAGE_SELF, &own); // cannot fail with these arguments
    self.cpu_seconds = seconds_of(&own);
    if (daemon->gpu)
        self.cpu_seconds += gpu_link_cpu_seconds(daemon->gpu);
    if (daemon->first_beat_ns && now_ns > daemon->first_beat_ns)
        self.late_seconds = (double)((now_ns - daemon->first_beat_ns) % period) / 1e9;
    return self;
}

static uint64_t wall_clock_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NS_PER_MS;
}

static void publish(struct daemon *daemon, uint64_t now_ns)
{
    struct join_facts facts = {
        .now_ns = now_ns,
        .unix_ms = wall_clock_ms(),
        .seq = ++daemon->seq,
        .self = self_cost(daemon, now_ns),
        .previous = daemon->newest,
    };
    struct snapshot *snapshot;

    facts.engines = engines_facts(daemon->engines, &facts.n_engines);
    facts.servers_known = daemon->discovery != NULL;
    if (daemon->discovery)
        facts.adoptions = discovery_adoptions(daemon->discovery, &facts.n_adoptions);
    facts.tree = &daemon->tree;
    if (daemon->gpu) {
        facts.gpu = gpu_link_sample(daemon->gpu);
        if (!facts.gpu || now_ns - MIN(facts.gpu->taken_ns, now_ns) > GPU_KILL_NS) {
            struct outage silent = {"driver-silent", gpu_link_reason(daemon->gpu, now_ns),
                                    "see `nvidia-smi` and the kernel log; the reader is "
                                    "started again by itself"};

            publish_outage(daemon, &silent);
            engines_log(daemon->engines, NULL, now_ns);
            return;
        }
        read_tree(daemon, facts.gpu);
    }

    snapshot = snapshot_new(daemon->snapshots);
    if (!snapshot) {
        log_failure(-ENOMEM);
        return;
    }
    if (join(&facts, snapshot) == 0) {
        publish_snapshot(daemon, snapshot);
        engines_log(daemon->engines, snapshot, now_ns);
    } else {
        struct outage outage = outage_of(facts.gpu);

        publish_outage(daemon, &outage);
        engines_log(daemon->engines, NULL, now_ns);
    }
    snapshot_unref(snapshot);
}

/* Only here do we say that we live: whoever hears it knows that figures go out. */
static void on_publish(void *ctx, uint64_t now_ns)
{
    struct daemon *daemon = ctx;
    struct service_status status = {
        .subscribers = service_hub_stats(front_service(daemon->front)).subscribers,
        .outage = daemon->logged_outage,
    };

    publish(daemon, now_ns);
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
    int r;

    if ((engines && waited_ms < FIRST_ENGINES_MS) || (gpu && waited_ms < FIRST_GPU_MS))
        return;
    (void)uv_timer_stop(timer);
    publish(daemon, now_ns);
    r = start_beats(daemon, now_ns);
    if (r == 0)
        r = front_start(daemon->front);
    if (r < 0) {
        log_error("cannot start to serve: %s", strerror(-r));
        daemon->status = 1;
        uv_stop(&daemon->loop);
        return;
    }
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

static void reload(struct daemon *daemon)
{
    struct complaint complaint = {0};
    struct config *config = NULL;
    enum config_action action;
    int r;

    if (config_load(daemon->arguments.argc, daemon->arguments.argv,
                    daemon->arguments.environment, &config, &action, &complaint) < 0) {
        log_error("%s; keeping the configuration as it was", complaint.text);
        return;
    }
    if (front_apply(daemon->front, config, &complaint) < 0) {
        log_error("%s; keeping the configuration as it was", complaint.text);
        config_free(config);
        return;
    }
    r = daemon->demo ? -EOPNOTSUPP : engines_apply(daemon->engines, config);
    if (r < 0) {
        (void)!front_apply(daemon->front, daemon->config, &complaint); // worked before
        log_error("cannot apply the new configuration%s: %s; keeping the old one",
                  daemon->demo ? " to the demo" : "", strerror(-r));
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

    if (!config->demo && strcmp(config->gpu, "none") == 0)
        return 0;
    return gpu_link_new(&options, ticker_now_ns(), &daemon->gpu);
}

static void open_signals(struct daemon *daemon)
{
    static const int numbers[SIGNALS] = {SIGTERM, SIGINT, SIGHUP};

    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < SIGNALS; i++) {
        (void)uv_signal_init(&daemon->loop, &daemon->signals[i]);
        daemon->signals[i].data = daemon;
        (void)uv_signal_start(&daemon->signals[i], on_signal, numbers[i]);
    }
}

static int open_parts(struct daemon *daemon, struct complaint *complaint)
{
    struct config *config = daemon->config;
    int r;

    r = service_manager_open(&daemon->manager, complaint); // before children and threads
    if (r < 0)
        return r;
    r = front_open(&daemon->loop, config, daemon->manager, &daemon->front, complaint);
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
    r = snapshot_pool_new(&daemon->snapshots);
    if (r == 0)
        r = engines_new(&daemon->loop, daemon->host, config->proc_root, &daemon->engines);
    if (r == 0)
        r = engines_apply(daemon->engines, config);
    if (r == 0 && config->discover)
        r = discovery_new(config, config->demo ? (uint32_t)getpid() : 0,
                          &daemon->discovery);
    if (daemon->discovery && r == 0 && config->docker_socket)
        r = docker_new(&daemon->loop, config->docker_socket, &daemon->docker);
    if (r < 0)
        return complain(complaint, r, "cannot start: %s", strerror(-r));
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

int daemon_new(struct config *config, const struct daemon_arguments *arguments,
               struct daemon **ret, struct complaint *complaint)
{
    struct daemon *daemon = calloc(1, sizeof(*daemon));
    int r;

    if (!daemon || uv_loop_init(&daemon->loop) < 0) {
        free(daemon);
        config_free(config);
        return complain(complaint, -ENOMEM, "out of memory");
    }
    daemon->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    daemon->config = config;
    daemon->interval_ms = config->interval_ms;
    daemon->arguments = *arguments;
    (void)uv_timer_init(&daemon->loop, &daemon->first);
    (void)uv_timer_init(&daemon->loop, &daemon->drain);
    open_signals(daemon);
    r = open_parts(daemon, complaint);
    if (r == 0)
        r = give_up_rights(config, complaint);
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
        if (uv_run(&daemon->loop, UV_RUN_NOWAIT) == 0)
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
    if (daemon->gpu_polled && !uv_is_closing((uv_handle_t *)&daemon->gpu_poll))
        uv_close((uv_handle_t *)&daemon->gpu_poll, NULL);
    gpu_link_free(daemon->gpu);
    uv_walk(&daemon->loop, close_handle, NULL); // what is left: signals and timers
    if (!wind_up(daemon))
        return false;

    front_free(daemon->front);
    service_manager_free(daemon->manager);
    snapshot_unref(daemon->newest);
    snapshot_pool_free(daemon->snapshots);
    host_free(daemon->host);
    (void)uv_loop_close(&daemon->loop);
    close_fd(&daemon->statm_fd);
    config_free(daemon->config);
    free(daemon);
    return true;
}

int daemon_run(struct daemon *daemon)
{
    daemon->started_ns = ticker_now_ns();
    if (daemon->gpu)
        watch_gpu(daemon);
    on_collect(daemon, daemon->started_ns);
    (void)uv_timer_start(&daemon->first, on_first, FIRST_LOOK_MS, FIRST_LOOK_MS);
    (void)uv_run(&daemon->loop, UV_RUN_DEFAULT);
    return daemon->status;
}
