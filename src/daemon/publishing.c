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

/* A token is shown to whoever answers there; credentials sign what they are asked. */
static void warn_of_token(const struct config *config, bool tls)
{
    if (config->nats_token && !tls)
        log_warning("nats: the token goes over the network as it is: tls:// hides it");
}

int publishing_open(const struct config *config, struct journal *journal,
                    uint64_t told_event, const char *boot, struct publisher **ret,
                    struct complaint *complaint)
{
    struct publisher_options options = {
        .n_servers = MIN(config->nats.n, (size_t)PUBLISHER_SERVERS_MAX),
        .creds_file = config->nats_creds,
        .token = config->nats_token,
        .ca_file = config->nats_ca,
        .cert_file = config->nats_cert,
        .key_file = config->nats_key,
        .journal = journal,
        .told_event = told_event,
        .confine = config->confine,
    };
    int r;

    *ret = NULL;
    if (config->nats.n == 0)
        return 0;
    for (size_t i = 0; i < options.n_servers; i++)
        options.servers[i] = config->nats.at[i];
    options.tls = strncmp(config->nats.at[0], "tls:", 4) == 0;
    warn_of_token(config, options.tls);
    r = identify(config, boot, &options.identity, complaint);
    return r < 0 ? r : publisher_new(&options, ret, complaint);
}
