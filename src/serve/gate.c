// SPDX-License-Identifier: Apache-2.0
#include "serve/gate.h"

#include "base/clock.h"
#include "base/number.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <strings.h>

enum {
    NAME_MAX_LEN = 253,
    ADDRESS_BYTES = 16,
};

/* What Host says: a name or an address, and perhaps a port. */
struct host {
    char name[NAME_MAX_LEN + 1];    // in lower case, without a dot at its end
    uint8_t address[ADDRESS_BYTES]; // IPv4 mapped into IPv6
    bool is_address;
    uint32_t port; // 0: none is given
};

struct rules {
    struct host hosts[GATE_HOSTS_MAX];
    size_t n_hosts;
    char origins[GATE_ORIGINS_MAX][GATE_ORIGIN_MAX + 1];
    size_t n_origins;
    uint8_t token_sha256[GATE_DIGEST_BYTES];
    bool has_token;
};

struct gate {
    pthread_mutex_t mutex;
    struct rules rules;
    struct host own[GATE_OWN_HOSTS_MAX];
    size_t n_own;
    bool any_address;   // a wildcard address is listened on
    uint64_t window_ns; // when the second of these failures began
    unsigned failures;  // in it
};

static const struct gate_verdict bad_host = {
    400, "bad-host", "Host is neither a name nor an address", "", NULL, LIMITED_malformed,
    ""};
static const struct gate_verdict other_host = {
    421,
    "host-not-allowed",
    "the name in Host is not one of this server's",
    "ask for localhost or the address, or start vramscoped with --allow-host NAME",
    NULL,
    LIMITED_host,
    ""};
static const struct gate_verdict other_origin = {
    403,
    "origin-not-allowed",
    "pages of other sites may not read this",
    "start vramscoped with --allow-origin ORIGIN to let a site's pages in",
    NULL,
    LIMITED_origin,
    ""};
static const struct gate_verdict no_token = {
    401,
    "token-needed",
    "this needs the right token",
    "name the file with the daemon's token by --token-file of vramscope; others send it "
    "as "
    "Authorization: Bearer TOKEN",
    "WWW-Authenticate: Bearer realm=\"vramscope\"\r\n",
    LIMITED_token,
    ""};
static const struct gate_verdict many_tokens = {
    429, "too-many-wrong-tokens", "too many requests without the right token",
    "",  "Retry-After: 1\r\n",    LIMITED_token_rate,
    ""};
static const struct gate_verdict preflight = {
    204,
    "",
    "",
    "",
    "Access-Control-Allow-Methods: GET\r\n"
    "Access-Control-Allow-Headers: authorization, last-event-id\r\n",
    HTTP_LIMITED,
    ""};

static struct span skip(struct span text, size_t n)
{
    return (struct span){text.at + n, text.len - n};
}

static bool is_name_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           c == '.' || c == '-' || c == '_';
}

static void map_ipv4(const struct in_addr *v4, uint8_t *ret)
{
    memset(ret, 0, ADDRESS_BYTES);
    ret[10] = ret[11] = 0xff;
    memcpy(ret + 12, v4, sizeof(*v4));
}

/* "::1" out of "[::1]:80"; *rest is what follows the bracket. */
static int read_bracketed(struct span text, struct host *host, struct span *rest)
{
    const char *end = memchr(text.at, ']', text.len);
    char inside[INET6_ADDRSTRLEN];
    size_t len;

    if (!end)
        return -EINVAL;
    len = (size_t)(end - text.at) - 1;
    if (len >= sizeof(inside) || memchr(text.at, '\0', text.len))
        return -EINVAL;
    memcpy(inside, text.at + 1, len);
    inside[len] = '\0';
    if (inet_pton(AF_INET6, inside, host->address) != 1)
        return -EINVAL;
    host->is_address = true;
    *rest = skip(text, len + 2);
    return 0;
}

/* A dotted quad is an address; other ways to write one (127.1, 0x7f.1) are names to us. */
static int read_name(struct span text, struct host *host, struct span *rest)
{
    struct in_addr v4;
    size_t n = 0, len;

    while (n < text.len && is_name_char(text.at[n]))
        n++;
    len = n > 0 && text.at[n - 1] == '.' ? n - 1 : n;
    if (len == 0 || len > NAME_MAX_LEN)
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        char c = text.at[i];

        host->name[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    host->is_address = inet_pton(AF_INET, host->name, &v4) == 1;
    if (host->is_address)
        map_ipv4(&v4, host->address);
    *rest = skip(text, n);
    return 0;
}

static int read_host(struct span text, struct host *ret)
{
    struct host host = {.port = 0};
    struct span rest;
    uint64_t port = 0;
    int r;

    if (text.len == 0)
        return -EINVAL;
    r = text.at[0] == '[' ? read_bracketed(text, &host, &rest)
                          : read_name(text, &host, &rest);
    if (r < 0)
        return r;
    if (rest.len > 0 && rest.at[0] != ':')
        return -EINVAL;
    // A colon with nothing behind it is no port, by RFC 3986.
    if (rest.len > 1 && (number_read_u64(skip(rest, 1), UINT16_MAX, &port) < 0 || !port))
        return -EINVAL;
    host.port = (uint32_t)port;
    *ret = host;
    return 0;
}

static bool is_loopback(const struct host *host)
{
    static const uint8_t loopback[ADDRESS_BYTES] = {[15] = 1};
    static const uint8_t mapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127};

    if (!host->is_address)
        return strcmp(host->name, "localhost") == 0;
    return memcmp(host->address, loopback, sizeof(loopback)) == 0 ||
           memcmp(host->address, mapped, sizeof(mapped)) == 0;
}

static bool same_host(const struct host *a, const struct host *b)
{
    if (a->is_address != b->is_address)
        return false;
    return a->is_address ? memcmp(a->address, b->address, ADDRESS_BYTES) == 0
                         : strcmp(a->name, b->name) == 0;
}

static bool is_host_allowed(const struct gate *gate, const struct host *host)
{
    if (is_loopback(host) || (gate->any_address && host->is_address))
        return true;
    for (size_t i = 0; i < gate->n_own; i++)
        if (same_host(host, &gate->own[i]))
            return true;
    for (size_t i = 0; i < gate->rules.n_hosts; i++) {
        const struct host *allowed = &gate->rules.hosts[i];

        if (same_host(host, allowed) && (!allowed->port || host->port == allowed->port))
            return true;
    }
    return false;
}

/* Whoever can connect to a Unix socket is no browser, and has no name to ask for. */
static const struct gate_verdict *check_host(const struct gate *gate,
                                             const struct http_request *request,
                                             const struct gate_peer *peer)
{
    struct host host;

    if (peer->unix_socket || !request->host.at)
        return NULL;
    if (read_host(request->host, &host) < 0)
        return &bad_host;
    return is_host_allowed(gate, &host) ? NULL : &other_host;
}

/* The page's own origin: the scheme and Host of this very request. */
static bool is_own_origin(const struct http_request *request,
                          const struct gate_peer *peer)
{
    struct span scheme = span_of(peer->tls ? "https://" : "http://");
    struct span origin = request->origin, host = request->host;

    return host.len && origin.len == scheme.len + host.len &&
           memcmp(origin.at, scheme.at, scheme.len) == 0 &&
           strncasecmp(origin.at + scheme.len, host.at, host.len) == 0;
}

static const char *find_origin(const struct rules *rules, struct span origin)
{
    for (size_t i = 0; i < rules->n_origins; i++)
        if (span_is(origin, rules->origins[i]))
            return rules->origins[i];
    return NULL;
}

/* Somebody follows a link to a page: what is read then stays in our own origin. */
static bool is_visit(const struct http_request *request, const struct gate_peer *peer)
{
    return peer->page && !request->origin.at &&
           span_is(request->sec_fetch_mode, "navigate") &&
           span_is(request->sec_fetch_dest, "document");
}

static const struct gate_verdict *check_origin(const struct gate *gate,
                                               const struct http_request *request,
                                               const struct gate_peer *peer,
                                               const char **ret_allowed)
{
    struct span site = request->sec_fetch_site;

    if (request->origin.at) {
        *ret_allowed = find_origin(&gate->rules, request->origin);
        if (*ret_allowed)
            return NULL;
        if (!is_own_origin(request, peer))
            return &other_origin;
    }
    if (!is_visit(request, peer) &&
        (span_is(site, "cross-site") || span_is(site, "same-site")))
        return &other_origin;
    return NULL;
}

/* What follows "Bearer" and its blanks; of anything else, nothing. */
static struct span bearer_of(struct span authorization)
{
    static const char scheme[] = "bearer";
    struct span none = {"", 0}, rest;
    size_t len = sizeof(scheme) - 1;

    if (authorization.len <= len || strncasecmp(authorization.at, scheme, len) != 0 ||
        authorization.at[len] != ' ')
        return none;
    rest = skip(authorization, len);
    while (rest.len && rest.at[0] == ' ')
        rest = skip(rest, 1);
    return rest;
}

/* Of no token as of a wrong one: both are hashed and compared in the same time. */
static bool is_token_right(const struct rules *rules, const struct http_request *request)
{
    struct span shown = bearer_of(request->authorization);
    uint8_t digest[GATE_DIGEST_BYTES];

    if (!EVP_Digest(shown.at, shown.len, digest, NULL, EVP_sha256(), NULL))
        return false;
    return CRYPTO_memcmp(digest, rules->token_sha256, sizeof(digest)) == 0;
}

/*
 * The right token passes at any rate: else ten requests a second from anybody would lock
 * its owner out. So the rate does not hold off guessing (32 characters do that); it tells
 * clients that go wrong to slow down, and has a counter that shows an attack.
 */
static const struct gate_verdict *
check_token(struct gate *gate, const struct http_request *request, uint64_t now_ns)
{
    if (!gate->rules.has_token || is_token_right(&gate->rules, request))
        return NULL;
    if (now_ns - gate->window_ns >= NS_PER_S) {
        gate->window_ns = now_ns;
        gate->failures = 0;
    }
    if (gate->failures >= GATE_FAILURES_MAX)
        return &many_tokens;
    gate->failures++;
    return &no_token;
}

static const struct gate_verdict *decide(struct gate *gate,
                                         const struct http_request *request,
                                         const struct gate_peer *peer, uint64_t now_ns,
                                         const char **ret_allowed)
{
    const struct gate_verdict *refusal = check_host(gate, request, peer);

    if (!refusal)
        refusal = check_origin(gate, request, peer, ret_allowed);
    if (refusal)
        return refusal;
    // Browsers send a preflight request without the token that it asks to send.
    if (*ret_allowed && request->method == METHOD_OPTIONS)
        return &preflight;
    return peer->open_route ? NULL : check_token(gate, request, now_ns);
}

void gate_check(struct gate *gate, const struct http_request *request,
                const struct gate_peer *peer, uint64_t now_ns, struct gate_verdict *ret)
{
    static const struct gate_verdict come_in = {0, "", "", "", NULL, HTTP_LIMITED, ""};
    const struct gate_verdict *verdict;
    const char *allowed = NULL;

    (void)pthread_mutex_lock(&gate->mutex);
    verdict = decide(gate, request, peer, now_ns, &allowed);
    *ret = verdict ? *verdict : come_in;
    if (allowed)
        memcpy(ret->allow_origin, allowed, strlen(allowed) + 1);
    (void)pthread_mutex_unlock(&gate->mutex);
}

static int read_rules(const struct gate_options *options, struct rules *ret)
{
    if (options->n_hosts > GATE_HOSTS_MAX || options->n_origins > GATE_ORIGINS_MAX)
        return -EINVAL;
    for (size_t i = 0; i < options->n_hosts; i++) {
        int r = read_host(span_of(options->hosts[i]), &ret->hosts[ret->n_hosts++]);

        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < options->n_origins; i++) {
        size_t len = strlen(options->origins[i]);

        if (len > GATE_ORIGIN_MAX)
            return -EINVAL;
        memcpy(ret->origins[ret->n_origins++], options->origins[i], len + 1);
    }
    ret->has_token = options->token_sha256 != NULL;
    if (ret->has_token)
        memcpy(ret->token_sha256, options->token_sha256, GATE_DIGEST_BYTES);
    return 0;
}

int gate_apply(struct gate *gate, const struct gate_options *options)
{
    struct rules rules = {.n_hosts = 0};
    int r = read_rules(options, &rules);

    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&gate->mutex);
    gate->rules = rules;
    (void)pthread_mutex_unlock(&gate->mutex);
    return 0;
}

int gate_new(const struct gate_options *options, struct gate **ret)
{
    struct gate *gate = calloc(1, sizeof(*gate));
    int r;

    if (!gate)
        return -ENOMEM;
    (void)pthread_mutex_init(&gate->mutex, NULL); // cannot fail without attributes
    r = gate_apply(gate, options);
    if (r < 0) {
        gate_free(gate);
        return r;
    }
    *ret = gate;
    return 0;
}

void gate_free(struct gate *gate)
{
    if (!gate)
        return;
    (void)pthread_mutex_destroy(&gate->mutex);
    free(gate);
}

static bool is_wildcard(const struct host *host)
{
    static const uint8_t any[ADDRESS_BYTES];
    static const uint8_t mapped[ADDRESS_BYTES] = {[10] = 0xff, [11] = 0xff};

    return host->is_address && (memcmp(host->address, any, sizeof(any)) == 0 ||
                                memcmp(host->address, mapped, sizeof(mapped)) == 0);
}

void gate_listens_on(struct gate *gate, const char *address)
{
    const char *scheme = strstr(address, "://");
    const char *start = scheme ? scheme + strlen("://") : address;
    const char *port = strrchr(start, ':');
    struct host host;

    if (!port || read_host((struct span){start, (size_t)(port - start)}, &host) < 0)
        return; // a Unix socket, or an address of one link alone, which no URL can have
    (void)pthread_mutex_lock(&gate->mutex);
    if (is_wildcard(&host))
        gate->any_address = true;
    else if (gate->n_own < GATE_OWN_HOSTS_MAX)
        gate->own[gate->n_own++] = host;
    (void)pthread_mutex_unlock(&gate->mutex);
}
