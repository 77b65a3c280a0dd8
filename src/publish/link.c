// SPDX-License-Identifier: Apache-2.0
#include "publish/publisher_parts.h"

#include "base/log.h"

#include <stdio.h>

enum {
    CLAIM_MS = 10000,        // between two
    CLAIM_FORGET_MS = 30000, // after the last of another's
    CLAIMS_MAX = 64,         // that wait to be heard; others are not
    CLAIM_BYTES_MAX = 16384, // of them
    CLAIM_SIZE = 2 + COMPACT_MACHINE_SIZE + COMPACT_BOOT_SIZE, // with blanks and a NUL
};

void link_init(struct link *link, const struct nats_library *library,
               const struct publisher_options *options)
{
    const char *prefix = options->prefix, *node = options->identity.node;

    link->options = options;
    connection_init(&link->connection, library, &options->connection);
    subject_make(link->snapshot_subject, prefix, node, "snapshot");
    subject_make(link->event_subject, prefix, node, "event");
    subject_make(link->claim_subject, prefix, node, "claim");
}

void link_done(struct link *link)
{
    connection_done(&link->connection);
}

int link_connect(struct link *link, struct connection_text *why)
{
    int r = connection_open(&link->connection, why);

    if (r == 0 && !link->options->shared_name)
        r = connection_subscribe(&link->connection, link->claim_subject, CLAIMS_MAX,
                                 CLAIM_BYTES_MAX, why);
    link->claim_ns = 0;
    return r;
}

size_t link_max_payload(const struct link *link)
{
    const struct connection *own = &link->connection;
    int64_t max = own->library->natsConnection_GetMaxPayload(own->nats);

    return max > 0 ? MIN((size_t)max, (size_t)PAYLOAD_DEFAULT) : PAYLOAD_DEFAULT;
}

int link_publish(struct link *link, const char *subject, struct span payload)
{
    const struct connection *own = &link->connection;
    natsStatus s;

    if (payload.len > link_max_payload(link))
        return -E2BIG;
    s = own->library->natsConnection_Publish(own->nats, subject, payload.at,
                                             (int)payload.len);
    return s == NATS_OK ? 0 : s == NATS_MAX_PAYLOAD ? -E2BIG : -ENOTCONN;
}

int link_confirm(struct link *link, unsigned ms)
{
    const struct connection *own = &link->connection;
    natsStatus s = own->library->natsConnection_FlushTimeout(own->nats, ms);

    if (s == NATS_OK)
        return 0;
    return s == NATS_TIMEOUT && !connection_is_lost(own) ? -ETIME : -ENOTCONN;
}

static void make_claim(const struct link *link, char claim[CLAIM_SIZE + 1])
{
    const struct compact_head *own = &link->options->identity;

    (void)snprintf(claim, CLAIM_SIZE + 1, "1 %s %s", own->machine, own->boot);
}

static bool are_digits(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr("0123456789abcdef", text[i]) || !text[i])
            return false;
    return true;
}

/* "1 MACHINE BOOT", hexadecimal digits; what follows after a blank is not known here. */
static bool read_claim(struct span text, char machine[COMPACT_MACHINE_SIZE],
                       char boot[COMPACT_BOOT_SIZE])
{
    enum { MACHINE = COMPACT_MACHINE_SIZE - 1, BOOT = COMPACT_BOOT_SIZE - 1 };
    const char *at = text.at;

    if (text.len < 3 + MACHINE + BOOT || memcmp(at, "1 ", 2) != 0 ||
        !are_digits(at + 2, MACHINE) || at[2 + MACHINE] != ' ' ||
        !are_digits(at + 3 + MACHINE, BOOT))
        return false;
    memcpy(machine, at + 2, MACHINE);
    memcpy(boot, at + 3 + MACHINE, BOOT);
    machine[MACHINE] = boot[BOOT] = '\0';
    return true;
}

/* Answered at once: who has come may not have heard us yet. */
static void take_claim(struct link *link, struct span text, uint64_t now_ns)
{
    const struct compact_head *own = &link->options->identity;
    char machine[COMPACT_MACHINE_SIZE], boot[COMPACT_BOOT_SIZE];

    if (!read_claim(text, machine, boot) || strcmp(boot, own->boot) == 0)
        return;
    if (!link->taken_ns)
        log_error("nats: %s publishes as node '%s', too: readers mix up the two. Give "
                  "each a name of its own with --node",
                  strcmp(machine, own->machine) == 0
                      ? "another vramscoped of this machine"
                      : "another machine",
                  own->node);
    if (!link->taken_ns || strcmp(link->other_boot, boot) != 0)
        link->claim_ns = MIN(link->claim_ns, now_ns + 1000 * NS_PER_MS);
    link->taken_ns = now_ns;
    memcpy(link->other_boot, boot, sizeof(link->other_boot));
}

static void hear_claims(struct link *link, uint64_t now_ns)
{
    const struct nats_library *nats = link->connection.library;
    natsMsg *message = NULL;

    for (int i = 0; i < CLAIMS_MAX; i++) {
        if (nats->natsSubscription_NextMsg(&message, link->connection.subscription, 0) !=
            NATS_OK)
            break;
        take_claim(link,
                   (struct span){nats->natsMsg_GetData(message),
                                 (size_t)nats->natsMsg_GetDataLength(message)},
                   now_ns);
        nats->natsMsg_Destroy(message);
    }
    if (link->taken_ns && now_ns - link->taken_ns > CLAIM_FORGET_MS * NS_PER_MS) {
        link->taken_ns = 0;
        log_info("nats: nobody else publishes as node '%s' any more",
                 link->options->identity.node);
    }
}

void link_claim(struct link *link, uint64_t now_ns)
{
    char claim[CLAIM_SIZE + 1];

    if (link->options->shared_name)
        return;
    hear_claims(link, now_ns);
    if (now_ns < link->claim_ns)
        return;
    make_claim(link, claim);
    if (link_publish(link, link->claim_subject, span_of(claim)) == 0)
        link->claim_ns = now_ns + CLAIM_MS * NS_PER_MS;
}

bool link_name_is_taken(const struct link *link)
{
    return link->taken_ns != 0;
}
