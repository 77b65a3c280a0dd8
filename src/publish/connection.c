// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"
#include "base/thread.h"
#include "publish/connection_parts.h"

#include <sys/random.h>

enum {
    CONNECT_MS = 1500,
    WRITE_MS = 2000,   // a server that takes nothing for so long is left
    PING_MS = 5000,    // between two
    PINGS_OUT_MAX = 2, // one more without an answer, and it is left: after 10 to 15 s
    WAIT_MIN_MS = 250, // at most, before the first try after a loss
    WAIT_MAX_MS =
        4000, // between two: a server may be away 5 s, and nobody counts as lost
    DOUBLINGS_MAX = 4,
    CLOSE_MS = 1000, // for what the library still has to tell
};

int connection_options_own(struct connection_options *options)
{
    const char **texts[] = {&options->creds_file, &options->token, &options->ca_file,
                            &options->cert_file, &options->key_file};
    int r = 0;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (*texts[i]) {
            *texts[i] = strdup(*texts[i]);
            r = *texts[i] ? r : -ENOMEM;
        }
    for (size_t i = 0; i < options->n_servers; i++) {
        options->servers[i] = strdup(options->servers[i]);
        r = options->servers[i] ? r : -ENOMEM;
    }
    return r;
}

static void free_text(const char *text)
{
    free((void *)(uintptr_t)text);
}

void connection_options_free(struct connection_options *options)
{
    if (options->token)
        explicit_bzero((void *)(uintptr_t)options->token, strlen(options->token));
    free_text(options->creds_file);
    free_text(options->token);
    free_text(options->ca_file);
    free_text(options->cert_file);
    free_text(options->key_file);
    for (size_t i = 0; i < options->n_servers; i++)
        free_text(options->servers[i]);
    *options = (struct connection_options){0};
}

void connection_init(struct connection *connection, const struct nats_library *library,
                     const struct connection_options *options)
{
    *connection = (struct connection){.library = library, .options = options};
    if (getrandom(&connection->random, sizeof(connection->random), GRND_NONBLOCK) < 0 ||
        connection->random == 0)
        connection->random = clock_now_ns() | 1;
    thread_init_lock(&connection->lock, &connection->changed);
}

void connection_done(struct connection *connection)
{
    (void)pthread_cond_destroy(&connection->changed);
    (void)pthread_mutex_destroy(&connection->lock);
}

static struct connection_text clean(const char *text)
{
    struct connection_text ret;

    (void)text_clean(ret.text, sizeof(ret.text), span_of(text ? text : ""));
    return ret;
}

static struct connection_text why_failed(const struct connection *connection,
                                         natsStatus status)
{
    natsStatus last = NATS_OK;
    const char *text = connection->library->nats_GetLastError(&last);

    if (last != status || !text || !text[0])
        text = connection->library->natsStatus_GetText(status);
    return clean(text);
}

/*
 * On a thread of the library's: what is asynchronous, as a permission that lacks. That we
 * are slow is nothing that the server says; who needs to know counts what was dropped.
 */
static void on_error(natsConnection *nats, natsSubscription *subscription,
                     natsStatus status, void *ctx)
{
    struct connection *connection = ctx;
    natsStatus ignored;
    const char *text = connection->library->nats_GetLastError(&ignored);

    (void)nats;
    (void)subscription;
    if (status == NATS_SLOW_CONSUMER)
        return;
    (void)pthread_mutex_lock(&connection->lock);
    connection->says =
        clean(text && text[0] ? text : connection->library->natsStatus_GetText(status));
    (void)pthread_mutex_unlock(&connection->lock);
}

/* On the same thread, after all else. */
static void on_closed(natsConnection *nats, void *ctx)
{
    struct connection *connection = ctx;

    (void)nats;
    (void)pthread_mutex_lock(&connection->lock);
    connection->told_closed = true;
    (void)pthread_cond_signal(&connection->changed);
    (void)pthread_mutex_unlock(&connection->lock);
}

bool connection_complaint(struct connection *connection, struct connection_text *ret)
{
    (void)pthread_mutex_lock(&connection->lock);
    *ret = connection->says;
    connection->says.text[0] = '\0';
    (void)pthread_mutex_unlock(&connection->lock);
    return ret->text[0] != '\0';
}

static natsStatus set_secrets(const struct connection *connection, natsOptions *options)
{
    const struct nats_library *nats = connection->library;
    const struct connection_options *own = connection->options;
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

/* A server that is cut off says nothing of it: pings find out. */
static natsStatus set_times(const struct nats_library *nats, natsOptions *options)
{
    natsStatus s = nats->natsOptions_SetTimeout(options, CONNECT_MS);

    if (s == NATS_OK)
        s = nats->natsOptions_SetWriteDeadline(options, WRITE_MS);
    if (s == NATS_OK)
        s = nats->natsOptions_SetPingInterval(options, PING_MS);
    if (s == NATS_OK)
        s = nats->natsOptions_SetMaxPingsOut(options, PINGS_OUT_MAX);
    return s;
}

/* The library's own way to connect again would send what it has kept meanwhile. */
static natsStatus set_options(struct connection *connection, natsOptions *options)
{
    const struct nats_library *nats = connection->library;
    const struct connection_options *own = connection->options;
    const char *servers[CONNECTION_SERVERS_MAX]; // the library does not take const ones
    natsStatus s;

    memcpy(servers, own->servers, sizeof(servers));
    s = nats->natsOptions_SetServers(options, servers, (int)own->n_servers);
    if (s == NATS_OK)
        s = nats->natsOptions_SetAllowReconnect(options, false);
    if (s == NATS_OK)
        s = set_times(nats, options);
    if (s == NATS_OK)
        s = nats->natsOptions_SetNoEcho(options, true);
    if (s == NATS_OK)
        s = nats->natsOptions_SetName(options, "vramscoped");
    if (s == NATS_OK)
        s = nats->natsOptions_SetErrorHandler(options, on_error, connection);
    if (s == NATS_OK)
        s = nats->natsOptions_SetClosedCB(options, on_closed, connection);
    return s == NATS_OK ? set_secrets(connection, options) : s;
}

int connection_open(struct connection *connection, struct connection_text *why)
{
    const struct nats_library *nats = connection->library;
    natsOptions *options = NULL;
    natsStatus s = nats->natsOptions_Create(&options);

    connection->told_closed = false; // of nobody's concern while there is no connection
    if (s == NATS_OK)
        s = set_options(connection, options);
    if (s == NATS_OK)
        s = nats->natsConnection_Connect(&connection->nats, options);
    if (s != NATS_OK)
        *why = why_failed(connection, s);
    nats->natsOptions_Destroy(options); // the connection has its own
    return s == NATS_OK ? 0 : -ENOTCONN;
}

static void wait_until_closed(struct connection *connection)
{
    uint64_t until_ns = clock_now_ns() + CLOSE_MS * NS_PER_MS;
    struct timespec until = {.tv_sec = (time_t)(until_ns / (1000 * NS_PER_MS)),
                             .tv_nsec = (long)(until_ns % (1000 * NS_PER_MS))};
    int error = 0;

    (void)pthread_mutex_lock(&connection->lock);
    while (!connection->told_closed && !error)
        error = pthread_cond_timedwait(&connection->changed, &connection->lock, &until);
    (void)pthread_mutex_unlock(&connection->lock);
}

/*
 * The library may tell something on its thread after it has closed; then we must be there.
 * And a subscription that ends before the connection may be freed under the thread that
 * reads (seen with 3.4).
 */
void connection_close(struct connection *connection)
{
    const struct nats_library *nats = connection->library;

    if (!connection->nats)
        return;
    nats->natsConnection_Close(connection->nats);
    wait_until_closed(connection);
    if (connection->subscription)
        nats->natsSubscription_Destroy(connection->subscription);
    nats->natsConnection_Destroy(connection->nats);
    connection->subscription = NULL;
    connection->nats = NULL;
}

int connection_subscribe(struct connection *connection, const char *subject, int messages,
                         int bytes, struct connection_text *why)
{
    const struct nats_library *nats = connection->library;
    natsStatus s = nats->natsConnection_SubscribeSync(&connection->subscription,
                                                      connection->nats, subject);

    if (s == NATS_OK)
        s = nats->natsSubscription_SetPendingLimits(connection->subscription, messages,
                                                    bytes);
    if (s == NATS_OK)
        return 0;
    *why = why_failed(connection, s);
    connection_close(connection);
    return -ENOTCONN;
}

bool connection_is_lost(const struct connection *connection)
{
    return connection->library->natsConnection_IsClosed(connection->nats);
}

bool connection_why_lost(struct connection *connection, struct connection_text *ret)
{
    const char *text = NULL;
    natsStatus s;

    if (connection_complaint(connection, ret))
        return true;
    s = connection->library->natsConnection_GetLastError(connection->nats, &text);
    if (s != NATS_OK)
        *ret = clean(text && text[0] ? text : connection->library->natsStatus_GetText(s));
    return s != NATS_OK;
}

struct connection_text connection_server(const struct connection *connection)
{
    char url[CONNECTION_TEXT_SIZE];

    if (connection->library->natsConnection_GetConnectedUrl(connection->nats, url,
                                                            sizeof(url)) != NATS_OK)
        return clean("a server");
    return clean(url);
}

/* Twice as long each time; the half of it is chance, so that not all come at once. */
uint64_t connection_wait_ms(struct connection *connection)
{
    uint64_t most =
        MIN((uint64_t)WAIT_MIN_MS << connection->failures, (uint64_t)WAIT_MAX_MS);

    connection->failures = MIN(connection->failures + 1, (unsigned)DOUBLINGS_MAX);
    connection->random ^= connection->random << 13;
    connection->random ^= connection->random >> 7;
    connection->random ^= connection->random << 17;
    return most / 2 + connection->random % (most / 2 + 1);
}

void connection_is_of_use(struct connection *connection)
{
    connection->failures = 0;
}
