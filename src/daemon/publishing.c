// SPDX-License-Identifier: Apache-2.0
#include "daemon/publishing.h"

#include "base/clock.h"
#include "base/log.h"
#include "publish/node.h"
#include "version.h"

#include <stdio.h>

static int identify(const struct config *config, const char *boot,
                    struct compact_head *ret, struct complaint *complaint)
{
    int r = node_make_name(config->node, ret->node);

    if (r < 0)
        return complain(complaint, r, "the host has no name: --node gives one");
    if (config->node && strcmp(config->node, ret->node) != 0)
        log_warning("--node '%s' becomes '%s': only letters, digits, _ and - are in "
                    "subjects, 64 at most",
                    config->node, ret->node);
    r = node_read_machine("/etc", "/proc", ret->machine);
    if (r < 0)
        return complain(complaint, r, "cannot tell which machine this is: %s",
                        strerror(-r));
    (void)snprintf(ret->boot, sizeof(ret->boot), "%s", boot);
    (void)snprintf(ret->version, sizeof(ret->version), "%s", VRAMSCOPE_VERSION);
    ret->started_unix_ms = clock_unix_ms();
    ret->interval_ms = config->interval_ms;
    return 0;
}

void publishing_connection(const struct config *config, struct connection_options *ret)
{
    *ret = (struct connection_options){
        .n_servers = MIN(config->nats.n, (size_t)CONNECTION_SERVERS_MAX),
        .creds_file = config->nats_creds,
        .token = config->nats_token,
        .ca_file = config->nats_ca,
        .cert_file = config->nats_cert,
        .key_file = config->nats_key,
    };
    for (size_t i = 0; i < ret->n_servers; i++)
        ret->servers[i] = config->nats.at[i];
    ret->tls = ret->n_servers && strncmp(ret->servers[0], "tls:", 4) == 0;
}

/* A token is shown to whoever answers there; credentials sign what they are asked. */
static void warn_of_token(const struct connection_options *connection)
{
    if (connection->token && !connection->tls)
        log_warning("nats: the token goes over the network as it is: tls:// hides it");
}

int publishing_open(const struct config *config, struct journal *journal,
                    uint64_t told_event, const char *boot, struct publisher **ret,
                    struct complaint *complaint)
{
    struct publisher_options options = {
        .prefix = config->gateway ? config->uplink : config->nats_prefix,
        .shared_name = config->gateway,
        .identity = {.gateway = config->gateway},
        .journal = journal,
        .told_event = told_event,
        .confine = config->confine,
    };
    int r;

    *ret = NULL;
    if (config->nats.n == 0)
        return 0;
    publishing_connection(config, &options.connection);
    warn_of_token(&options.connection);
    if (!options.prefix)
        return 0;
    r = identify(config, boot, &options.identity, complaint);
    return r < 0 ? r : publisher_new(&options, ret, complaint);
}
