// SPDX-License-Identifier: Apache-2.0
#include "publish/publisher_parts.h"

#include "base/log.h"
#include "base/text.h"

#include <stdio.h>

enum {
    CONNECT_MS = 1500,
    WRITE_MS = 2000,         // a server that takes nothing for so long is left
    CLAIM_MS = 10000,        // between two
    CLAIM_FORGET_MS = 30000, // after the last of another's
    CLAIMS_MAX = 64,         // that wait to be heard; others are not
    CLAIM_BYTES_MAX = 16384, // of them
    CLAIM_SIZE = 2 + COMPACT_MACHINE_SIZE + COMPACT_BOOT_SIZE, // with blanks and a NUL
};

static void init_subject(char *subject, const char *node, const char *what)
{
    (void)snprintf(subject, SUBJECT_SIZE, "vramscope.v1.%s.%s", node, what);
}

void link_init(struct link *link, const struct nats_library *library,
               const struct publisher_options *options)
{
    const char *node = options->identity.node;

    link->library = library;
    link->options = options;
    init_subject(link->snapshot_subject, node, "snapshot");
    init_subject(link->event_subject, node, "event");
    init_subject(link->claim_subject, node, "claim");
    (void)pthread_mutex_init(&link->lock, NULL); // cannot fail
}

void link_done(struct link *link)
{
    (void)pthread_mutex_destroy(&link->lock);
}

static void copy_clean(char *dst, size_t room, const char *src)
{
    (void)text_clean(dst, room, span_of(src ? src : ""));
}

/* On a thread of the library's: what is asynchronous, as a permission that lacks. */
static void on_error(natsConnection *connection, natsSubscription *subscription,
                     natsStatus status, void *ctx)
{
    struct link *link = ctx;
    natsStatus ignored;
    const char *text = link->library->nats_GetLastError(&ignored);

    (void)connection;
    (void)subscription;
    (void)pthread_mutex_lock(&link->lock);
    copy_clean(link->says, sizeof(link->says),
               text && text[0] ? text : link->library->natsStatus_GetText(status));
    (void)pthread_mutex_unlock(&link->lock);
}

bool link_complaint(struct link *link, struct link_why *ret)
{
    bool any;

    (void)pthread_mutex_lock(&link->lock);
    any = link->says[0] != '\0';
    memcpy(ret->text, link->says, sizeof(ret->text));
    link->says[0] = '\0';
    (void)pthread_mutex_unlock(&link->lock);
    return any;
}

static natsStatus set_secrets(const struct link *link, natsOptions *options)
{
    const struct nats_library *nats = link->library;
    const struct publisher_options *own = link->options;
    natsStatus s = NATS_OK;

    if (own->tls)
        s = nats->natsOptions_SetSecure(options, true);
    if (s == NATS_OK && own->tls && own->ca_file)
        s = nats->natsOptions_LoadCATrustedCertificates(options, own->ca_file);
    if (s == NATS_OK && own->tls && own->cert_file)
        s = nats->natsOptions_LoadCertificatesChain(options, own->cert_file,
                                                    own->key_file);
    if (s == NATS_OK && own->creds_file)
        s = nats->natsOptions_SetUserCredentialsFromFiles(options, own->creds_file, NULL);
    if (s == NATS_OK && own->token)
        s = nats->natsOptions_SetToken(options, own->token);
    return s;
}

/* The library's own way to connect again would send what it has kept meanwhile. */
static natsStatus set_options(struct link *link, natsOptions *options)
{
    const struct nats_library *nats = link->library;
    const struct publisher_options *own = link->options;
    const char *servers[PUBLISHER_SERVERS_MAX]; // the library does not take const ones
    natsStatus s;

    memcpy(servers, own->servers, sizeof(servers));
    s = nats->natsOptions_SetServers(options, servers, (int)own->n_servers);
    if (s == NATS_OK)
        s = nats->natsOptions_SetAllowReconnect(options, false);
    if (s == NATS_OK)
        s = nats->natsOptions_SetTimeout(options, CONNECT_MS);
    if (s == NATS_OK)
        s = nats->natsOptions_SetWriteDeadline(options, WRITE_MS);
    if (s == NATS_OK)
        s = nats->natsOptions_SetNoEcho(options, true);
    if (s == NATS_OK)
        s = nats->natsOptions_SetName(options, "vramscoped");
    if (s == NATS_OK)
        s = nats->natsOptions_SetErrorHandler(options, on_error, link);
    return s == NATS_OK ? set_secrets(link, options) : s;
}

static natsStatus listen_to_claims(struct link *link)
{
    const struct nats_library *nats = link->library;
    natsStatus s = nats->natsConnection_SubscribeSync(&link->claims, link->connection,
                                                      link->claim_subject);

    if (s == NATS_OK)
        s = nats->natsSubscription_SetPendingLimits(link->claims, CLAIMS_MAX,
                                                    CLAIM_BYTES_MAX);
    return s;
}

static void say_why(const struct link *link, natsStatus status, struct link_why *why)
{
    natsStatus last = NATS_OK;
    const char *text = link->library->nats_GetLastError(&last);

    if (last != status || !text || !text[0])
        text = link->library->natsStatus_GetText(status);
    copy_clean(why->text, sizeof(why->text), text);
}

int link_connect(struct link *link, struct link_why *why)
{
    const struct nats_library *nats = link->library;
    natsOptions *options = NULL;
    natsStatus s = nats->natsOptions_Create(&options);

    if (s == NATS_OK)
        s = set_options(link, options);
    if (s == NATS_OK)
        s = nats->natsConnection_Connect(&link->connection, options);
    if (s == NATS_OK)
        s = listen_to_claims(link);
    if (s != NATS_OK)
        say_why(link, s, why);
    nats->natsOptions_Destroy(options); // the connection has its own
    if (s != NATS_OK)
        link_disconnect(link);
    link->claim_ns = 0;
    return s == NATS_OK ? 0 : -ENOTCONN;
}

void link_disconnect(struct link *link)
{
    if (link->claims)
        link->library->natsSubscription_Destroy(link->claims);
    if (link->connection)
        link->library->natsConnection_Destroy(link->connection);
    link->claims = NULL;
    link->connection = NULL;
}

bool link_is_lost(const struct link *link)
{
    return link->library->natsConnection_IsClosed(link->connection);
}

size_t link_max_payload(const struct link *link)
{
    int64_t max = link->library->natsConnection_GetMaxPayload(link->connection);

    return max > 0 ? MIN((size_t)max, (size_t)PAYLOAD_DEFAULT) : PAYLOAD_DEFAULT;
}

void link_server(const struct link *link, char *ret, size_t room)
{
    if (link->library->natsConnection_GetConnectedUrl(link->connection, ret, room) !=
        NATS_OK)
        copy_clean(ret, room, "a server");
}

int link_publish(struct link *link, const char *subject, struct span payload)
{
    natsStatus s;

    if (payload.len > link_max_payload(link))
        return -E2BIG;
    s = link->library->natsConnection_Publish(link->connection, subject, payload.at,
                                              (int)payload.len);
    return s == NATS_OK ? 0 : s == NATS_MAX_PAYLOAD ? -E2BIG : -ENOTCONN;
}

int link_confirm(struct link *link, unsigned ms)
{
    natsStatus s = link->library->natsConnection_FlushTimeout(link->connection, ms);

    if (s == NATS_OK)
        return 0;
    return s == NATS_TIMEOUT && !link_is_lost(link) ? -ETIME : -ENOTCONN;
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
    const struct nats_library *nats = link->library;
    natsMsg *message = NULL;

    for (int i = 0; i < CLAIMS_MAX; i++) {
        if (nats->natsSubscription_NextMsg(&message, link->claims, 0) != NATS_OK)
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
