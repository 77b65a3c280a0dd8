// SPDX-License-Identifier: Apache-2.0
#include "daemon/gateway.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/publishing.h"
#include "net/ticker.h"
#include "publish/node.h"
#include "publish/subscriber.h"

#include <stdio.h>

enum {
    HEARING_MS = 600, // a node says something each 500 ms, unless it is told otherwise
    COMPLAINT_MS = 10000, // between two lines of the log
    COMPLAINT_SIZE = 256,
};

struct gateway {
    struct fleet *fleet;
    struct subscriber *subscriber;
    struct node_boards *boards;
    uv_async_t news;
    uint64_t connected_ns; // for the first time; 0: not yet
    uint64_t complained_ns;
};

/* On the subscriber's thread. */
static void on_message(void *ctx, struct span node, struct span message)
{
    struct gateway *gateway = ctx;

    if (fleet_take(gateway->fleet, node, message, clock_now_ns(), clock_unix_ms()))
        (void)uv_async_send(&gateway->news); // nothing comes of it once that is closed
}

static void on_news(uv_async_t *news)
{
    node_boards_deliver(CONTAINER_OF(news, struct gateway, news)->boards);
}

static int open_subscriber(struct gateway *gateway, const struct config *config,
                           struct complaint *complaint)
{
    struct subscriber_options options = {.prefix = config->nats_prefix,
                                         .confine = config->confine,
                                         .take = on_message,
                                         .ctx = gateway};

    publishing_connection(config, &options.connection);
    return subscriber_new(&options, &gateway->subscriber, complaint);
}

static int open_parts(struct gateway *gateway, const struct config *config,
                      uv_loop_t *loop)
{
    struct node_boards_options boards = {
        .model_id =
            config->model_id == MODEL_ID_SERVED ? SEED_SERVED_NAME : SEED_IDENTIFIER,
        .now_ns = ticker_now_ns,
    };
    char node[COMPACT_NODE_SIZE];
    int r = fleet_new(&gateway->fleet);

    boards.fleet = gateway->fleet;
    if (r == 0 && config->uplink && node_make_name(config->node, node) == 0)
        fleet_publish_as(gateway->fleet, config->uplink, node);
    if (r == 0)
        r = node_boards_new(&boards, &gateway->boards);
    return r < 0 ? r : uv_async_init(loop, &gateway->news, on_news);
}

int gateway_open(const struct config *config, uv_loop_t *loop, struct gateway **ret,
                 struct complaint *complaint)
{
    struct gateway *gateway = calloc(1, sizeof(*gateway));
    int r;

    if (!gateway)
        return complain(complaint, -ENOMEM, "out of memory");
    *ret = gateway; // freed by the caller, whatever was opened
    r = open_parts(gateway, config, loop);
    if (r < 0)
        return complain(complaint, r, "cannot start the gateway: %s", strerror(-r));
    return open_subscriber(gateway, config, complaint);
}

struct node_boards *gateway_boards(struct gateway *gateway)
{
    return gateway->boards;
}

bool gateway_is_waiting(struct gateway *gateway, uint64_t now_ns)
{
    if (!gateway->connected_ns && subscriber_state(gateway->subscriber).connected)
        gateway->connected_ns = now_ns;
    return !gateway->connected_ns ||
           now_ns - gateway->connected_ns < HEARING_MS * NS_PER_MS;
}

static void take_events(struct gateway *gateway, struct journal *journal)
{
    struct event event;

    while (fleet_next_event(gateway->fleet, &event))
        journal_add_once(journal, &event);
}

/* A node that sends what cannot be read does so all the time. */
static void log_complaint(struct gateway *gateway, uint64_t now_ns)
{
    char text[COMPLAINT_SIZE];

    if (now_ns - gateway->complained_ns < COMPLAINT_MS * NS_PER_MS ||
        !fleet_complaint(gateway->fleet, text, sizeof(text)))
        return;
    gateway->complained_ns = now_ns;
    log_warning("nats: %s", text);
}

static void add_link(struct gateway *gateway, struct fleet_link *link)
{
    struct fleet_link own = subscriber_state(gateway->subscriber);

    link->connected = own.connected;
    link->reconnects = own.reconnects;
    link->messages = own.messages;
    link->bytes = own.bytes;
    link->missed = own.missed;
}

/* Why there is nothing to sum up. */
static void explain(struct snapshot_fleet *fleet)
{
    struct fleet_outage *outage = &fleet->outage;

    outage->code = "no-nodes";
    if (!fleet->link.connected) {
        outage->code = "nats-lost";
        outage->remedy = "see the log of the gateway, and whether the NATS server runs";
        (void)snprintf(outage->reason, sizeof(outage->reason),
                       "there is no connection to the NATS server that nodes publish to");
    } else if (fleet->n_nodes == 0) {
        outage->remedy = "start vramscoped with --nats on the hosts";
        (void)snprintf(outage->reason, sizeof(outage->reason),
                       "no node has been heard of yet");
    } else {
        outage->remedy = "see the logs of the nodes";
        (void)snprintf(outage->reason, sizeof(outage->reason),
                       "none of %u nodes has figures: %u lost, %u in an outage, %u that "
                       "cannot be read, %u in a loop of uplinks",
                       fleet->n_nodes, fleet->by_state[NODE_LOST],
                       fleet->by_state[NODE_OUTAGE], fleet->by_state[NODE_UNREADABLE],
                       fleet->n_looped);
    }
}

int gateway_tick(struct gateway *gateway, struct journal *journal, uint64_t now_ns,
                 uint64_t unix_ms, struct snapshot *snapshot)
{
    int r = fleet_sum(gateway->fleet, now_ns, unix_ms, snapshot);

    take_events(gateway, journal);
    node_boards_tick(gateway->boards);
    log_complaint(gateway, now_ns);
    if (snapshot->fleet)
        add_link(gateway, &snapshot->fleet->link);
    if (r == -ENODATA)
        explain(snapshot->fleet);
    snapshot->n_events =
        (uint32_t)journal_copy(journal, 0, snapshot->events, SNAPSHOT_EVENTS_MAX);
    return r;
}

void gateway_stop(struct gateway *gateway)
{
    if (gateway)
        subscriber_stop(gateway->subscriber);
}

bool gateway_ended(struct gateway *gateway)
{
    return !gateway || subscriber_ended(gateway->subscriber);
}

void gateway_free(struct gateway *gateway)
{
    if (!gateway)
        return;
    subscriber_free(gateway->subscriber);
    node_boards_free(gateway->boards);
    fleet_free(gateway->fleet);
    free(gateway);
}
