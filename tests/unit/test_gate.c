// SPDX-License-Identifier: Apache-2.0
#include "serve/gate.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NS_PER_S 1000000000ULL
#define TOKEN "0123456789abcdef0123456789ABCDEF"
#define NAME_63 "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-123456789"
#define NAME_253                        \
    NAME_63 "." NAME_63 "." NAME_63 "." \
            "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-1234567"

static const struct gate_peer over_tcp;

static const char *const allowed_hosts[] = {"gpu1.example", "Proxy.Example.:8443",
                                            "10.1.2.3", "[2001:db8::7]:443", NAME_253};
static const char *const allowed_origins[] = {"https://dash.example",
                                              "http://localhost:3000"};

static struct gate *open_gate(bool configured, const char *token)
{
    uint8_t digest[GATE_DIGEST_BYTES];
    struct gate_options options = {
        .hosts = allowed_hosts,
        .n_hosts = configured ? ARRAY_LEN(allowed_hosts) : 0,
        .origins = allowed_origins,
        .n_origins = configured ? ARRAY_LEN(allowed_origins) : 0,
        .token_sha256 = token ? digest : NULL,
    };
    struct gate *gate = NULL;

    if (token)
        assert_true(EVP_Digest(token, strlen(token), digest, NULL, EVP_sha256(), NULL));
    assert_int_equal(gate_new(&options, &gate), 0);
    return gate;
}

static struct span span_or_none(const char *text)
{
    return text ? span_of(text) : (struct span){NULL, 0};
}

/* For localhost, unless the row says otherwise. */
static struct gate_verdict check(struct gate *gate, struct http_request request,
                                 const struct gate_peer *peer, uint64_t now_ns)
{
    struct gate_verdict verdict;

    gate_check(gate, &request, peer, now_ns, &verdict);
    if (verdict.status >= 400)
        assert_true(verdict.code[0] && verdict.message[0] &&
                    verdict.limited < HTTP_LIMITED);
    return verdict;
}

enum { PLAIN = 1, CONFIGURED = 2, LISTENING = 4, WILD = 8, ALL = 15 };

// clang-format off
static const struct {
    const char *host;
    int let_in; // with which of the four configurations
    int status; // with the others
} hosts[] = {
    {"localhost", ALL, 0},
    {"localhost:6767", ALL, 0},
    {"localhost:", ALL, 0},
    {"localhost:1", ALL, 0},
    {"localhost:65535", ALL, 0},
    {"LOCALHOST.", ALL, 0},
    {"LocalHost.:80", ALL, 0},
    {"127.0.0.1", ALL, 0},
    {"127.0.0.1.:6767", ALL, 0},
    {"127.255.0.9:1", ALL, 0},
    {"[::1]", ALL, 0},
    {"[::1]:6767", ALL, 0},
    {"[0:0:0:0:0:0:0:1]:6767", ALL, 0},
    {"[::ffff:127.0.0.1]", ALL, 0},
    {"gpu1.example", CONFIGURED, 421},
    {"GPU1.example.:99", CONFIGURED, 421},
    {"proxy.example:8443", CONFIGURED, 421},
    {"proxy.example:8444", 0, 421},
    {"proxy.example", 0, 421},
    {"10.1.2.3", CONFIGURED | WILD, 421},
    {"10.1.2.3:1234", CONFIGURED | WILD, 421},
    {"[2001:DB8:0::7]:443", CONFIGURED | WILD, 421},
    {"[2001:db8::7]:444", WILD, 421},
    {"[2001:db8::7]", WILD, 421},
    {NAME_253, CONFIGURED, 421},
    {NAME_253 ".", CONFIGURED, 421},
    {NAME_253 "x", 0, 400},
    {"192.0.2.8:6767", LISTENING | WILD, 421},
    {"192.0.2.8", LISTENING | WILD, 421},
    {"[2001:db8::8]:1", LISTENING | WILD, 421},
    {"[::ffff:192.0.2.8]", LISTENING | WILD, 421},
    {"box.lan:6767", LISTENING, 421},
    {"192.0.2.9", WILD, 421},
    {"[2001:db8::9]", WILD, 421},
    {"0.0.0.0:6767", WILD, 421},
    {"[::]", WILD, 421},
    {"128.0.0.1", WILD, 421},
    {"[::2]", WILD, 421},
    {"[::ffff:128.0.0.1]", WILD, 421},
    {"[::127.0.0.1]", WILD, 421},
    {"127.1", 0, 421},
    {"2130706433", 0, 421},
    {"0x7f.1", 0, 421},
    {"0x7f000001", 0, 421},
    {"0177.0.0.1", 0, 421},
    {"127.0.0.01", 0, 421},
    {"127.0.0.256", 0, 421},
    {"127.0.0.1.evil.com", 0, 421},
    {"evil.com", 0, 421},
    {"evil.com:6767", 0, 421},
    {"localhost.evil.com", 0, 421},
    {"evil.localhost", 0, 421},
    {"localhos", 0, 421},
    {"localhostx", 0, 421},
    {"localhost..", 0, 421},
    {".localhost", 0, 421},
    {"localhost_", 0, 421},
    {"gpu1.example.evil.com", 0, 421},
    {"xgpu1.example", 0, 421},
    {"", 0, 400},
    {".", 0, 400},
    {":", 0, 400},
    {":6767", 0, 400},
    {"user@localhost", 0, 400},
    {"user:pw@localhost", 0, 400},
    {"localhost, evil.com", 0, 400},
    {"localhost localhost", 0, 400},
    {"localhost/", 0, 400},
    {"localhost?", 0, 400},
    {"http://localhost", 0, 400},
    {"localhost:0", 0, 400},
    {"localhost:00", 0, 400},
    {"localhost:65536", 0, 400},
    {"localhost:99999", 0, 400},
    {"localhost:99999999999999999999999", 0, 400},
    {"localhost:http", 0, 400},
    {"localhost:+80", 0, 400},
    {"localhost:-1", 0, 400},
    {"localhost: 80", 0, 400},
    {"localhost:80:80", 0, 400},
    {"localhost%2e", 0, 400},
    {"%6cocalhost", 0, 400},
    {"loc\xc3\xa4lhost", 0, 400},
    {"*", 0, 400},
    {"::1", 0, 400},
    {"[", 0, 400},
    {"[]", 0, 400},
    {"[::1", 0, 400},
    {"[::1]6767", 0, 400},
    {"[::1]:99999", 0, 400},
    {"[::1]]", 0, 400},
    {"[::1].", 0, 400},
    {"[127.0.0.1]", 0, 400},
    {"[localhost]", 0, 400},
    {"[fe80::1%25lo]", 0, 400},
    {"[v1.x]", 0, 400},
    {"[::1]@evil.com", 0, 400},
};
// clang-format on

static void check_hosts(struct gate *gate, int configuration)
{
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        struct http_request request = {.host = span_of(hosts[i].host), .minor = 1};
        struct gate_verdict verdict = check(gate, request, &over_tcp, 0);
        int expected = hosts[i].let_in & configuration ? 0 : hosts[i].status;

        if (verdict.status != expected)
            fail_msg("[%s] is %d with configuration %d, expected %d", hosts[i].host,
                     verdict.status, configuration, expected);
        if (expected == 421 &&
            (verdict.limited != LIMITED_host || !strstr(verdict.remedy, "--allow-host")))
            fail_msg("[%s] is not counted or has no remedy", hosts[i].host);
        if (expected == 400 && verdict.limited != LIMITED_malformed)
            fail_msg("[%s] is not counted", hosts[i].host);
    }
    gate_free(gate);
}

static void test_hosts(void **state)
{
    struct gate *listening = open_gate(false, NULL), *wild = open_gate(false, NULL);

    (void)state;
    gate_listens_on(listening, "http://192.0.2.8:6767");
    gate_listens_on(listening, "https://[2001:db8::8]:6767");
    gate_listens_on(listening, "Box.lan:0");
    gate_listens_on(listening, "unix:/run/vramscope.sock");
    gate_listens_on(wild, "http://0.0.0.0:6767");
    check_hosts(open_gate(false, NULL), PLAIN);
    check_hosts(open_gate(true, NULL), CONFIGURED);
    check_hosts(listening, LISTENING);
    check_hosts(wild, WILD);

    wild = open_gate(false, NULL);
    gate_listens_on(wild, "http://[::]:6767");
    check_hosts(wild, WILD);
}

static void test_where_host_is_not_looked_at(void **state)
{
    static const struct gate_peer by_unix = {.unix_socket = true};
    struct gate *gate = open_gate(false, NULL);
    struct http_request request = {.host = span_of("evil.com"), .minor = 1};

    (void)state;
    assert_int_equal(check(gate, request, &by_unix, 0).status, 0);
    request.minor = 0;
    assert_int_equal(check(gate, request, &over_tcp, 0).status, 421);
    request.host = (struct span){NULL, 0};
    assert_int_equal(check(gate, request, &over_tcp, 0).status, 0);
    gate_free(gate);
}

static void test_authority_of_the_target(void **state)
{
    static const char *const evil[] = {
        "GET http://evil.com/vram HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET http://evil.com:6767 HTTP/1.0\r\n\r\n",
    };
    static const char good[] =
        "GET http://localhost:1/vram HTTP/1.1\r\nHost: evil.com\r\n\r\n";
    struct gate *gate = open_gate(false, NULL);
    struct http_request request;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(evil); i++) {
        assert_int_equal(http_request_parse(span_of(evil[i]), &request), 0);
        assert_int_equal(check(gate, request, &over_tcp, 0).status, 421);
    }
    assert_int_equal(http_request_parse(span_of(good), &request), 0);
    assert_int_equal(check(gate, request, &over_tcp, 0).status, 0);
    gate_free(gate);
}

// clang-format off
static const struct {
    const char *row, *host, *origin, *site;
    bool tls;
    bool plain;     // let in without configuration?
    bool by_list;   // and with?
    const char *says; // Access-Control-Allow-Origin, with configuration
} origins[] = {
    {"a program", "localhost:1", NULL, NULL, false, true, true, ""},
    {"typed", "localhost:1", NULL, "none", false, true, true, ""},
    {"own page", "localhost:1", NULL, "same-origin", false, true, true, ""},
    {"own page says so", "localhost:1", "http://localhost:1", "same-origin", false, true, true, ""},
    {"own page, on port 80", "localhost", "http://localhost", NULL, false, true, true, ""},
    {"own page, IPv6", "[::1]:1", "http://[::1]:1", NULL, false, true, true, ""},
    {"own page, Host in capitals", "LOCALHOST:1", "http://localhost:1", NULL, false, true, true, ""},
    {"own page over TLS", "localhost:1", "https://localhost:1", NULL, true, true, true, ""},
    {"another scheme", "localhost:1", "https://localhost:1", NULL, false, false, false, ""},
    {"another scheme over TLS", "localhost:1", "http://localhost:1", NULL, true, false, false, ""},
    {"another port", "localhost:1", "http://localhost:2", "same-site", false, false, false, ""},
    {"another name of ours", "localhost:1", "http://127.0.0.1:1", NULL, false, false, false, ""},
    {"a longer port", "localhost:1", "http://localhost:11", NULL, false, false, false, ""},
    {"a shorter port", "localhost:11", "http://localhost:1", NULL, false, false, false, ""},
    {"own page contradicts itself", "localhost:1", "http://localhost:1", "same-site", false, false, false, ""},
    {"another site", "localhost:1", "https://evil.com", "cross-site", false, false, false, ""},
    {"another site, old browser", "localhost:1", "https://evil.com", NULL, false, false, false, ""},
    {"image of another site", "localhost:1", NULL, "cross-site", false, false, false, ""},
    {"image of a sister", "localhost:1", NULL, "same-site", false, false, false, ""},
    {"a word of the future", "localhost:1", NULL, "same-planet", false, true, true, ""},
    {"no origin", "localhost:1", "null", NULL, false, false, false, ""},
    {"no origin, own frame", "localhost:1", "null", "same-origin", false, false, false, ""},
    {"empty", "localhost:1", "", NULL, false, false, false, ""},
    {"scheme alone", "localhost:1", "http://", NULL, false, false, false, ""},
    {"listed", "localhost:1", "https://dash.example", "cross-site", false, false, true, "https://dash.example"},
    {"listed, old browser", "localhost:1", "https://dash.example", NULL, false, false, true, "https://dash.example"},
    {"listed, same site", "localhost:1", "http://localhost:3000", "same-site", false, false, true, "http://localhost:3000"},
    {"listed, in capitals", "localhost:1", "https://DASH.example", NULL, false, false, false, ""},
    {"listed, another scheme", "localhost:1", "http://dash.example", NULL, false, false, false, ""},
    {"listed, with a port", "localhost:1", "https://dash.example:444", NULL, false, false, false, ""},
    {"listed, and more", "localhost:1", "https://dash.example.evil.com", NULL, false, false, false, ""},
    {"listed, cut", "localhost:1", "https://dash.exampl", NULL, false, false, false, ""},
    {"two", "localhost:1", "https://dash.example https://evil.com", NULL, false, false, false, ""},
    {"with a path", "localhost:1", "http://localhost:1/", NULL, false, false, false, ""},
};
// clang-format on

static void test_origins(void **state)
{
    struct gate *plain = open_gate(false, NULL), *listed = open_gate(true, NULL);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(origins); i++) {
        struct http_request request = {.minor = 1,
                                       .host = span_of(origins[i].host),
                                       .origin = span_or_none(origins[i].origin),
                                       .sec_fetch_site = span_or_none(origins[i].site)};
        struct gate_peer peer = {.tls = origins[i].tls};
        struct gate_verdict a = check(plain, request, &peer, 0);
        struct gate_verdict b = check(listed, request, &peer, 0);

        if (a.status != (origins[i].plain ? 0 : 403) || a.allow_origin[0])
            fail_msg("[%s] is %d '%s'", origins[i].row, a.status, a.allow_origin);
        if (b.status != (origins[i].by_list ? 0 : 403) ||
            strcmp(b.allow_origin, origins[i].says) != 0)
            fail_msg("[%s] is %d '%s' where it is configured", origins[i].row, b.status,
                     b.allow_origin);
        if (a.status && a.limited != LIMITED_origin)
            fail_msg("[%s] is not counted", origins[i].row);
    }
    gate_free(plain);
    gate_free(listed);
}

// clang-format off
static const struct {
    const char *row, *origin, *site, *mode, *dest;
    bool page;
    int status;
} visits[] = {
    {"a link of another site", NULL, "cross-site", "navigate", "document", true, 0},
    {"a link of a sister", NULL, "same-site", "navigate", "document", true, 0},
    {"typed", NULL, "none", "navigate", "document", true, 0},
    {"a program", NULL, NULL, NULL, NULL, true, 0},
    {"its own script", NULL, "same-origin", "no-cors", "script", false, 0},
    {"a link to figures", NULL, "cross-site", "navigate", "document", false, 403},
    {"a frame", NULL, "cross-site", "navigate", "iframe", true, 403},
    {"a plug-in", NULL, "cross-site", "navigate", "object", true, 403},
    {"fetched", NULL, "cross-site", "cors", "empty", true, 403},
    {"fetched blindly", NULL, "cross-site", "no-cors", "empty", true, 403},
    {"an image", NULL, "cross-site", "no-cors", "image", true, 403},
    {"a script", NULL, "cross-site", "no-cors", "script", true, 403},
    {"a form that posts", "https://evil.com", "cross-site", "navigate", "document", true, 403},
    {"a form from nowhere", "null", "cross-site", "navigate", "document", true, 403},
    {"no destination", NULL, "cross-site", "navigate", NULL, true, 403},
    {"no mode", NULL, "cross-site", NULL, "document", true, 403},
};
// clang-format on

static void test_visits(void **state)
{
    struct gate *gate = open_gate(false, NULL);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(visits); i++) {
        struct http_request request = {.minor = 1,
                                       .host = span_of("localhost:1"),
                                       .origin = span_or_none(visits[i].origin),
                                       .sec_fetch_site = span_or_none(visits[i].site),
                                       .sec_fetch_mode = span_or_none(visits[i].mode),
                                       .sec_fetch_dest = span_or_none(visits[i].dest)};
        struct gate_peer peer = {.page = visits[i].page};
        int status = check(gate, request, &peer, 0).status;

        if (status != visits[i].status)
            fail_msg("[%s] is %d", visits[i].row, status);
    }
    gate_free(gate);
}

static void test_preflight(void **state)
{
    struct gate *gate = open_gate(true, TOKEN);
    struct http_request request = {.minor = 1,
                                   .method = METHOD_OPTIONS,
                                   .host = span_of("localhost"),
                                   .origin = span_of("https://dash.example"),
                                   .sec_fetch_site = span_of("cross-site")};
    struct gate_verdict verdict = check(gate, request, &over_tcp, 0);

    (void)state;
    assert_int_equal(verdict.status, 204);
    assert_string_equal(verdict.allow_origin, "https://dash.example");
    assert_string_equal(verdict.extra,
                        "Access-Control-Allow-Methods: GET\r\n"
                        "Access-Control-Allow-Headers: authorization, last-event-id\r\n");

    request.method = METHOD_GET; // the request itself needs the token
    verdict = check(gate, request, &over_tcp, 0);
    assert_int_equal(verdict.status, 401);
    assert_string_equal(verdict.allow_origin, "https://dash.example");
    request.method = METHOD_OPTIONS;
    request.origin = (struct span){NULL, 0};
    request.sec_fetch_site = request.origin;
    assert_int_equal(check(gate, request, &over_tcp, 0).status, 401);
    request.origin = span_of("https://evil.com");
    assert_int_equal(check(gate, request, &over_tcp, 0).status, 403);
    request.origin = span_of("https://dash.example");
    request.host = span_of("evil.com");
    verdict = check(gate, request, &over_tcp, 0);
    assert_int_equal(verdict.status, 421);
    assert_string_equal(verdict.allow_origin, "");
    gate_free(gate);
}

static const struct {
    const char *authorization;
    bool right;
} tokens[] = {
    {"Bearer " TOKEN, true},
    {"bearer " TOKEN, true},
    {"BEARER " TOKEN, true},
    {"Bearer  " TOKEN, true},
    {"Bearer      " TOKEN, true},
    {NULL, false},
    {"", false},
    {"Bearer", false},
    {"Bearer ", false},
    {"Bearer     ", false},
    {"Bearer" TOKEN, false},
    {"Bearer\t" TOKEN, false},
    {"Bearer \t" TOKEN, false},
    {"Bearer=" TOKEN, false},
    {"Bearerx " TOKEN, false},
    {" Bearer " TOKEN, false},
    {TOKEN, false},
    {"Basic " TOKEN, false},
    {"Bearer 0123456789abcdef0123456789ABCDEf", false},
    {"Bearer 1123456789abcdef0123456789ABCDEF", false},
    {"Bearer 0123456789abcdef0123456789ABCDE", false},
    {"Bearer " TOKEN "0", false},
    {"Bearer " TOKEN " ", false},
    {"Bearer " TOKEN " x", false},
    {"Bearer " TOKEN "," TOKEN, false},
    {"Bearer \"" TOKEN "\"", false},
    {"Bearer token=" TOKEN, false},
};

static struct http_request request_with(const char *authorization)
{
    return (struct http_request){.minor = 1,
                                 .host = span_of("localhost"),
                                 .authorization = span_or_none(authorization)};
}

static void test_tokens(void **state)
{
    struct gate *gate = open_gate(false, TOKEN), *open = open_gate(false, NULL);
    struct gate_verdict first = check(gate, request_with(NULL), &over_tcp, 0);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        const char *shown = tokens[i].authorization ? tokens[i].authorization : "none";
        struct http_request request = request_with(tokens[i].authorization);
        struct gate_verdict verdict = check(gate, request, &over_tcp, i * NS_PER_S);

        if (verdict.status != (tokens[i].right ? 0 : 401))
            fail_msg("[%s] is %d", shown, verdict.status);
        if (verdict.status && (verdict.limited != LIMITED_token || !verdict.extra ||
                               strcmp(verdict.message, first.message) != 0 ||
                               strcmp(verdict.extra, first.extra) != 0))
            fail_msg("[%s] differs from no token at all", shown);
        if (check(open, request, &over_tcp, 0).status != 0)
            fail_msg("[%s] is asked for where there is none", shown);
    }
    assert_string_equal(first.extra, "WWW-Authenticate: Bearer realm=\"vramscope\"\r\n");
    gate_free(gate);
    gate_free(open);
}

/* The last byte of head and 16 KiB of token are hashed like any other. */
static void test_long_token(void **state)
{
    static char long_one[HTTP_HEAD_MAX] = "Bearer ";
    struct gate *gate = open_gate(false, TOKEN);

    (void)state;
    memset(long_one + 7, 'x', sizeof(long_one) - 8);
    assert_int_equal(check(gate, request_with(long_one), &over_tcp, 0).status, 401);
    gate_free(gate);
}

static void test_open_routes(void **state)
{
    static const struct gate_peer open_route = {.open_route = true};
    static const struct gate_peer by_unix = {.unix_socket = true};
    struct gate *gate = open_gate(false, TOKEN);
    struct http_request request = request_with(NULL);

    (void)state;
    assert_int_equal(check(gate, request, &open_route, 0).status, 0);
    assert_int_equal(check(gate, request, &by_unix, 0).status, 401);
    request.host = span_of("evil.com");
    assert_int_equal(check(gate, request, &open_route, 0).status, 421);
    request.host = span_of("localhost");
    request.sec_fetch_site = span_of("cross-site");
    assert_int_equal(check(gate, request, &open_route, 0).status, 403);
    gate_free(gate);
}

static const struct {
    unsigned times;
    uint64_t at_ms;
    const char *authorization;
    int status;
} attempts[] = {
    {4, 5000, NULL, 401},
    {3, 5500, "Bearer wrong", 401},
    {3, 5999, "Bearer " TOKEN, 0},
    {3, 5999, NULL, 401},
    {5, 5999, NULL, 429},
    {5, 5999, "Bearer wrong", 429},
    {20, 5999, "Bearer " TOKEN, 0}, // nobody can lock the owner out
    {10, 6000, "Bearer wrong", 401},
    {1, 6999, "Bearer wrong", 429},
    {10, 60000, NULL, 401},
    {1, 60000, NULL, 429},
    {1, 7000, NULL, 401}, // a clock that went back does not shut anyone out
};

static void test_rate_of_wrong_tokens(void **state)
{
    struct gate *gate = open_gate(false, TOKEN);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(attempts); i++)
        for (unsigned j = 0; j < attempts[i].times; j++) {
            struct gate_verdict verdict =
                check(gate, request_with(attempts[i].authorization), &over_tcp,
                      attempts[i].at_ms * NS_PER_S / 1000);

            if (verdict.status != attempts[i].status)
                fail_msg("[%zu.%u] is %d, expected %d", i, j, verdict.status,
                         attempts[i].status);
            if (verdict.status == 429 && (verdict.limited != LIMITED_token_rate ||
                                          strcmp(verdict.extra, "Retry-After: 1\r\n")))
                fail_msg("[%zu.%u] is not counted", i, j);
        }
    gate_free(gate);
}

static void test_apply(void **state)
{
    static const char *const other_hosts[] = {"other.example"};
    static const char *const bad_hosts[] = {"a b"};
    static const char *const origin[] = {"http://other.example"};
    struct gate_options options = {
        .hosts = other_hosts, .n_hosts = 1, .origins = origin, .n_origins = 1};
    struct gate_options bad = {.hosts = bad_hosts, .n_hosts = 1};
    struct gate *gate = open_gate(true, TOKEN);
    struct http_request request = request_with(NULL);

    (void)state;
    gate_listens_on(gate, "http://192.0.2.8:1");
    assert_int_equal(gate_apply(gate, &bad), -EINVAL);
    assert_int_equal(check(gate, request, &over_tcp, 0).status, 401);

    assert_int_equal(gate_apply(gate, &options), 0);
    assert_int_equal(check(gate, request, &over_tcp, 0).status, 0);
    request.host = span_of("gpu1.example");
    assert_int_equal(check(gate, request, &over_tcp, 0).status, 421);
    request.host = span_of("other.example");
    assert_int_equal(check(gate, request, &over_tcp, 0).status, 0);
    request.host = span_of("192.0.2.8");
    assert_int_equal(check(gate, request, &over_tcp, 0).status, 0);
    request.origin = span_of("https://dash.example");
    assert_int_equal(check(gate, request, &over_tcp, 0).status, 403);

    options.n_hosts = GATE_HOSTS_MAX + 1;
    assert_int_equal(gate_apply(gate, &options), -EINVAL);
    gate_free(gate);
    gate_free(NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_where_host_is_not_looked_at),
        cmocka_unit_test(test_authority_of_the_target),
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_visits),
        cmocka_unit_test(test_preflight),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_long_token),
        cmocka_unit_test(test_open_routes),
        cmocka_unit_test(test_rate_of_wrong_tokens),
        cmocka_unit_test(test_apply),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
