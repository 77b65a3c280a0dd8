// SPDX-License-Identifier: Apache-2.0
/*
 * nodes.c - a fleet of made-up nodes that publish to NATS, in one process: load and clock
 *
 * Each node has a TCP connection of its own and sends what a vramscoped would send: a
 * compact message each interval at a phase of its own, its claim each 10 s, the next
 * message when the server has confirmed the one before. Node 0 is named "probe": its model
 * "probe" on port 9999 has as kv_used_bytes the microseconds of CLOCK_MONOTONIC at which
 * it was published, so whoever reads it can tell how old it is. Its interval is a 37th
 * shorter than the others', so that its phase to any reader's tick wanders.
 *
 * It naps a millisecond and then does what is due: a sleeping process would be woken by the
 * server's answers, at the server's expense. Prints two lines of JSON: one when all are
 * connected for the first time, one at the end (which SIGTERM or SIGINT brings nearer).
 */
#include "host.h"
#include "nodes_options.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

enum {
    NAP_US = 1000,
    READY_MAX = 1024,
    CLAIM_S = 10,
    END_MS = 1000, // for what has not been confirmed
    DELAYS_MAX = 8 << 20,
    MESSAGE_MAX = 512 * 1024,
};

#define NS UINT64_C(1000000000)

struct node {
    struct peer peer; // first: epoll tells it
    struct host host;
    char subject[96];
    uint64_t interval_ns, sent_ns, claim_ns;
    bool wants; // a message was due while another was under way
    bool malformed, floods, open;
};

/* Microseconds, to be sorted. */
struct delays {
    uint32_t *us;
    size_t n;
};

static struct nodes_options options;
static struct node nodes[NODES_MAX];
static uint64_t
    due_ns[NODES_MAX]; // apart from the nodes: looked at a thousand times a second
static struct snapshot snapshot;
static struct compact_writer writer;
static struct buf message;
static struct delays lateness, answers;
static struct {
    uint64_t sent, confirmed, skipped, unsent, cut, bytes, malformed;
} seen;
static uint64_t start_ns;
static int epoll;
static volatile sig_atomic_t stopping;

static _Noreturn PRINTF_LIKE(1, 2) void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)fputs("nodes: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec;
}

static void note(struct delays *delays, uint64_t ns)
{
    if (delays->n < DELAYS_MAX)
        delays->us[delays->n++] = (uint32_t)MIN(ns / 1000, (uint64_t)UINT32_MAX);
}

static bool is_cut(uint64_t node, uint64_t now)
{
    for (size_t i = 0; i < options.n_cuts; i++) {
        const struct cut *cut = &options.cuts[i];

        if (cut->node == node && now >= start_ns + cut->from_s * NS &&
            now < start_ns + cut->to_s * NS)
            return true;
    }
    return false;
}

static void claim(struct node *node, uint64_t now)
{
    char text[80];

    if (now < node->claim_ns)
        return;
    (void)snprintf(text, sizeof(text), "1 %s %s", node->host.head.machine,
                   node->host.head.boot);
    peer_publish(&node->peer, node->peer.claim, span_of(text), false, now);
    node->claim_ns = now + CLAIM_S * NS;
}

static struct span make_message(struct node *node)
{
    if (node->malformed) {
        seen.malformed++;
        return span_of("no message at all");
    }
    host_fill(&node->host, now_ns() / 1000, &snapshot);
    if (compact_write(&writer, &message, &node->host.head, &snapshot, &snapshot.self,
                      MESSAGE_MAX) < 0)
        die("a message does not fit");
    return buf_span(&message);
}

static void publish(struct node *node, uint64_t now)
{
    struct span bytes;

    claim(node, now);
    if (node->peer.state != PEER_LIVE)
        return;
    bytes = make_message(node);
    node->wants = false;
    node->open = !node->floods;
    node->sent_ns = now;
    seen.sent++;
    seen.bytes += bytes.len;
    peer_publish(&node->peer, node->subject, bytes, !node->floods, now);
}

/* Its time has come. What cannot be sent now is made anew when it can. */
static void on_due(struct node *node, uint64_t due, uint64_t now)
{
    if (is_cut(node->host.number, now)) {
        seen.cut++;
    } else if (node->peer.state != PEER_LIVE) {
        seen.unsent++;
    } else if (!node->peer.confirmed) {
        seen.skipped += node->wants;
        node->wants = true;
    } else {
        note(&lateness, now - due);
        publish(node, now);
    }
}

static void do_what_is_due(uint64_t now)
{
    for (uint64_t i = 0; i < options.nodes; i++) {
        if (nodes[i].peer.state == PEER_WAITING)
            peer_tick(&nodes[i].peer, now);
        if (now < due_ns[i])
            continue;
        on_due(&nodes[i], due_ns[i], now);
        due_ns[i] += nodes[i].interval_ns;
        if (due_ns[i] < now) // this process was stopped for a while
            due_ns[i] = now + nodes[i].interval_ns;
    }
}

static void on_ready(struct node *node, uint64_t now)
{
    peer_on_ready(&node->peer, now);
    if (node->open && node->peer.state != PEER_LIVE) {
        node->open = node->wants = false; // nobody knows whether it came through
    } else if (node->open && node->peer.confirmed) {
        note(&answers, now - node->sent_ns);
        node->open = false;
        seen.confirmed++;
    }
    if (node->wants && node->peer.state == PEER_LIVE && node->peer.confirmed)
        publish(node, now);
}

static void pump(void)
{
    static struct epoll_event ready[READY_MAX];
    const struct timespec nap = {.tv_nsec = NAP_US * 1000L};
    int n;

    (void)nanosleep(&nap, NULL);
    do {
        n = epoll_wait(epoll, ready, READY_MAX, 0);
        for (int i = 0; i < n; i++)
            on_ready(ready[i].data.ptr, now_ns());
    } while (n == READY_MAX);
}

static uint64_t interval_ns_of(const struct node *node)
{
    uint64_t interval = options.interval_ms * 1000000;

    if (node->floods)
        return NS / options.flood_rate;
    return node->host.is_probe ? interval - interval / 37 : interval;
}

static void set_up_node(uint64_t i)
{
    struct node *node = &nodes[i];
    uint64_t phase = options.interval_ms * 1000000 * i / options.nodes;

    host_init(&node->host, i, options.interval_ms);
    node->host.distinct = options.distinct;
    node->host.is_probe = i == 0;
    if (i == 0)
        (void)snprintf(node->host.head.node, sizeof(node->host.head.node), "probe");
    if (i == 2 && options.same_name)
        memcpy(node->host.head.node, nodes[1].host.head.node,
               sizeof(node->host.head.node));
    (void)snprintf(node->subject, sizeof(node->subject), "%.40s.v1.%s.snapshot",
                   options.prefix, node->host.head.node);
    node->malformed = options.has_malformed && options.malformed == i;
    node->floods = options.floods && options.flooding == i;
    node->interval_ns = interval_ns_of(node);
    due_ns[i] = start_ns + phase + options.interval_ms * 1000000;
    peer_init(&node->peer, &options.servers, epoll, i + start_ns, start_ns + phase);
    (void)snprintf(node->peer.claim, sizeof(node->peer.claim), "%.40s.v1.%s.claim",
                   options.prefix, node->host.head.node);
}

static bool all_connected(void)
{
    for (uint64_t i = 0; i < options.nodes; i++)
        if (!nodes[i].peer.connections)
            return false;
    return true;
}

static void run_until(uint64_t end_ns)
{
    bool told = false;

    while (!stopping && now_ns() < end_ns) {
        do_what_is_due(now_ns());
        pump();
        if (!told && all_connected()) {
            told = true;
            (void)printf("{\"connected\":%llu,\"start_ns\":%llu,\"now_ns\":%llu}\n",
                         (unsigned long long)options.nodes, (unsigned long long)start_ns,
                         (unsigned long long)now_ns());
            (void)fflush(stdout);
        }
    }
}

static uint64_t unconfirmed(void)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < options.nodes; i++)
        n += nodes[i].open;
    return n;
}

static void wait_for_answers(void)
{
    uint64_t until = now_ns() + END_MS * 1000000;

    for (uint64_t i = 0; i < options.nodes; i++)
        nodes[i].wants = false;
    while (unconfirmed() && now_ns() < until)
        pump();
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void print_delays(const char *name, struct delays *delays)
{
    size_t n = delays->n;

    qsort(delays->us, n, sizeof(*delays->us), compare);
    (void)printf(",\"%s\":{\"p50\":%u,\"p99\":%u,\"max\":%u}", name,
                 n ? delays->us[n / 2] : 0, n ? delays->us[n * 99 / 100] : 0,
                 n ? delays->us[n - 1] : 0);
}

static void print_connections(void)
{
    uint64_t connections = 0, errors = 0;
    const char *error = "";

    for (uint64_t i = 0; i < options.nodes; i++) {
        connections += nodes[i].peer.connections;
        errors += nodes[i].peer.errors;
        if (!error[0])
            error = nodes[i].peer.error;
    }
    (void)printf(",\"connections\":%llu,\"errors\":%llu,\"error\":\"%s\"",
                 (unsigned long long)connections, (unsigned long long)errors, error);
}

static void print_end(void)
{
    (void)printf("{\"nodes\":%llu,\"seconds\":%.3f,\"sent\":%llu,\"confirmed\":%llu,"
                 "\"unconfirmed\":%llu,\"skipped\":%llu,\"unsent\":%llu,\"cut\":%llu,"
                 "\"malformed\":%llu,\"bytes\":%llu",
                 (unsigned long long)options.nodes,
                 (double)(now_ns() - start_ns) / (double)NS,
                 (unsigned long long)seen.sent, (unsigned long long)seen.confirmed,
                 (unsigned long long)unconfirmed(), (unsigned long long)seen.skipped,
                 (unsigned long long)seen.unsent, (unsigned long long)seen.cut,
                 (unsigned long long)seen.malformed, (unsigned long long)seen.bytes);
    print_connections();
    print_delays("late_us", &lateness);
    print_delays("answer_us", &answers);
    (void)printf("}\n");
}

static void on_signal(int signal)
{
    (void)signal;
    stopping = 1;
}

static void set_up(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct rlimit files;

    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    lateness.us = malloc(DELAYS_MAX * sizeof(uint32_t)); // touched as far as it is used
    answers.us = malloc(DELAYS_MAX * sizeof(uint32_t));
    if (epoll < 0 || !lateness.us || !answers.us)
        die("%s", strerror(errno));
    buf_init(&message, 2 * MESSAGE_MAX);
    host_template(&snapshot);
    start_ns = now_ns();
    for (uint64_t i = 0; i < options.nodes; i++)
        set_up_node(i);
}

int main(int argc, char **argv)
{
    nodes_options_read(argc, argv, &options);
    set_up();
    run_until(start_ns + options.seconds * NS);
    wait_for_answers();
    print_end();
    for (uint64_t i = 0; i < options.nodes; i++)
        peer_done(&nodes[i].peer);
    return 0;
}
