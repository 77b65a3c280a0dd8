// SPDX-License-Identifier: Apache-2.0
#include "daemon/parts.h"

#include "base/clock.h"
#include "base/log.h"
#include "version.h"

#include <stdio.h>

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

void tick_collect(struct daemon *daemon, uint64_t now_ns)
{
    if (daemon->gpu)
        gpu_feed_request(daemon->gpu_feed, now_ns);
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

int tick_watch(struct daemon *daemon)
{
    int r = watch_new(daemon->journal, &daemon->watch);

    if (r == 0)
        watch_begin(daemon->watch, VRAMSCOPE_VERSION, (int64_t)clock_unix_ms());
    return r;
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

/*
 * What is published in place of figures; its reason is told in the log once. `nodes`: as
 * service_publish_outage() has it.
 */
static void put_out_outage(struct daemon *daemon, const struct outage *outage,
                           const struct snapshot *nodes, uint64_t unix_ms)
{
    event_log_write(&daemon->log, daemon->journal, clock_now_ns());
    if (strncmp(daemon->logged_outage, outage->code, sizeof(daemon->logged_outage)) !=
        0) {
        (void)snprintf(daemon->logged_outage, sizeof(daemon->logged_outage), "%s",
                       outage->code);
        log_warning("no %s figures: %s%s%s", daemon->gateway ? "nodes'" : "GPU",
                    outage->reason, outage->remedy[0] ? ". " : "", outage->remedy);
    }
    log_failure(service_publish_outage(front_service(daemon->front), outage, nodes));
    if (daemon->publisher)
        publisher_offer_outage(daemon->publisher, outage->code, outage->reason,
                               &daemon->self, unix_ms);
}

static void publish_outage(struct daemon *daemon, const struct outage *outage,
                           uint64_t now_ns)
{
    uint64_t unix_ms = clock_unix_ms();

    watch_see_outage(daemon->watch, outage->reason, now_ns, (int64_t)unix_ms);
    archive_alarm(daemon->archive, watch_alarm(daemon->watch), (int64_t)unix_ms);
    put_out_outage(daemon, outage, NULL, unix_ms);
    engines_log(daemon->engines, NULL, now_ns);
}

static void put_out(struct daemon *daemon, const struct snapshot *snapshot)
{
    event_log_write(&daemon->log, daemon->journal, clock_now_ns());
    if (daemon->logged_outage[0]) {
        daemon->logged_outage[0] = '\0';
        log_info("%s figures are back", daemon->gateway ? "nodes'" : "GPU");
    }
    log_failure(service_publish(front_service(daemon->front), snapshot));
    if (daemon->publisher)
        publisher_offer(daemon->publisher, snapshot);
    snapshot_unref(daemon->newest);
    daemon->newest = snapshot_ref(snapshot);
}

static void publish_snapshot(struct daemon *daemon, struct snapshot *snapshot,
                             uint64_t now_ns)
{
    watch_see(daemon->watch, snapshot);
    archive_alarm(daemon->archive, watch_alarm(daemon->watch),
                  (int64_t)snapshot->unix_ms);
    gpu_log_snapshot(&daemon->gpu_log, snapshot);
    put_out(daemon, snapshot);
    engines_log(daemon->engines, snapshot, now_ns);
}

static struct snapshot_self self_cost(struct daemon *daemon, uint64_t now_ns)
{
    struct service *service = front_service(daemon->front);
    struct hub_stats hub = service_hub_stats(service);
    uint64_t period = daemon->interval_ms * NS_PER_MS;
    struct snapshot_self self = {
        .rss_bytes = self_cost_rss_bytes(&daemon->cost),
        .cpu_seconds = self_cost_cpu_seconds(),
        .subscribers = hub.subscribers,
        .frames_sent = hub.frames_sent,
        .frames_skipped = hub.frames_skipped,
        .history_errors = historian_errors(archive_historian(daemon->archive)),
        .nats = publisher_state(daemon->publisher),
    };

    self.n_limited = service_limited(service, self.limited, ARRAY_LEN(self.limited));
    if (daemon->gpu) {
        self.cpu_seconds += gpu_link_cpu_seconds(daemon->gpu);
        self.worker_restarts = gpu_link_restarts(daemon->gpu);
    }
    if (daemon->first_beat_ns && now_ns > daemon->first_beat_ns)
        self.late_seconds = (double)((now_ns - daemon->first_beat_ns) % period) / 1e9;
    return self;
}

/* What the driver has said last; false: that is too long ago, and an outage was published. */
static bool find_gpu_facts(struct daemon *daemon, struct join_facts *facts)
{
    const struct gpu_sample *gpu;

    if (!daemon->gpu)
        return true;
    gpu = facts->gpu = gpu_link_sample(daemon->gpu);
    if (!gpu || facts->now_ns - MIN(gpu->taken_ns, facts->now_ns) > GPU_KILL_NS) {
        struct outage silent = {
            "driver-silent", gpu_link_reason(daemon->gpu, facts->now_ns),
            "see `nvidia-smi` and the kernel log; the reader is started "
            "again by itself"};

        publish_outage(daemon, &silent, facts->now_ns);
        return false;
    }
    read_tree(daemon, gpu);
    return true;
}

static void publish(struct daemon *daemon, const struct join_facts *facts)
{
    struct snapshot *snapshot = snapshot_new(daemon->snapshots);

    if (!snapshot) {
        log_failure(-ENOMEM);
        return;
    }
    if (join(facts, snapshot) == 0) {
        publish_snapshot(daemon, snapshot, facts->now_ns);
    } else {
        struct outage outage = outage_of(facts->gpu);

        publish_outage(daemon, &outage, facts->now_ns);
    }
    snapshot_unref(snapshot);
}

static void publish_host(struct daemon *daemon, uint64_t now_ns)
{
    struct join_facts facts = {
        .now_ns = now_ns,
        .unix_ms = clock_unix_ms(),
        .seq = daemon->seq,
        .self = daemon->self,
        .previous = daemon->newest,
    };

    facts.engines = engines_facts(daemon->engines, &facts.n_engines);
    facts.servers_known = daemon->discovery != NULL;
    if (daemon->discovery)
        facts.adoptions = discovery_adoptions(daemon->discovery, &facts.n_adoptions);
    facts.tree = &daemon->tree;
    if (find_gpu_facts(daemon, &facts))
        publish(daemon, &facts);
}

static void publish_fleet(struct daemon *daemon, uint64_t now_ns)
{
    struct snapshot *snapshot = snapshot_new(daemon->snapshots);
    uint64_t unix_ms = clock_unix_ms();
    int r = snapshot ? gateway_tick(daemon->gateway, daemon->journal, now_ns, unix_ms,
                                    snapshot)
                     : -ENOMEM;

    if (daemon->publisher && snapshot && snapshot->fleet)
        publisher_tell_via(daemon->publisher, &snapshot->fleet->via);
    if (snapshot) {
        snapshot->seq = daemon->seq;
        snapshot->self = daemon->self;
    }
    if (r == 0) {
        put_out(daemon, snapshot);
    } else if (r == -ENODATA) {
        const struct fleet_outage *why = &snapshot->fleet->outage;
        const struct outage outage = {why->code, why->reason, why->remedy};

        put_out_outage(daemon, &outage, snapshot, unix_ms);
    } else {
        log_failure(r);
    }
    snapshot_unref(snapshot);
}

void tick_publish(struct daemon *daemon, uint64_t now_ns)
{
    daemon->seq++;
    daemon->self = self_cost(daemon, now_ns);
    service_tell_self(front_service(daemon->front), &daemon->self);
    if (daemon->gateway)
        publish_fleet(daemon, now_ns);
    else
        publish_host(daemon, now_ns);
}
