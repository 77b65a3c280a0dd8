// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"
#include "config/config_value.h"
#include "serve/gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct setting hosts_setting = {
    .kind = KIND_HOSTS, .offset = offsetof(struct config, allow_hosts), .max = 16};
static const struct setting origins_setting = {
    .kind = KIND_ORIGINS, .offset = offsetof(struct config, allow_origins), .max = 16};

static const struct setting servers_setting = {
    .kind = KIND_SERVERS, .offset = offsetof(struct config, nats), .max = 16};

#define NO_SERVER(text) "'" text "' is neither nats://HOST[:PORT] nor tls://..."
#define WITH_SECRET                                                                   \
    "a URL with a user or a password is refused: --nats-creds and --nats-token-file " \
    "name files that hold them"
#define LONG_48 "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrst."
#define LONG_240 LONG_48 LONG_48 LONG_48 LONG_48 LONG_48
#define NO_ORIGIN(text) "'" text "' is not SCHEME://HOST[:PORT]"
#define NOT_LOWER(text) "'" text "' must be in lower case, as browsers write it"
#define DEFAULT_PORT(text) "'" text "' has the port that browsers leave out"
#define ANYBODY(text) "'" text "' would let pages of every site in; name each"

// clang-format off
/* NULL: fine. */
static const struct {
    const char *text;
    const char *complaint;
} hosts[] = {
    {"gpu1", NULL},
    {"GPU1.Example.", NULL},
    {"gpu1.example:8443", NULL},
    {"10.0.0.1", NULL},
    {"10.0.0.1:1", NULL},
    {"[::1]", NULL},
    {"[2001:db8::1]:65535", NULL},
    {"", "the host is missing"},
    {":80", "the host is missing"},
    {"*", "'*' is not a host name"},
    {"*.example", "'*.example' is not a host name"},
    {"http://gpu1", "'http://gpu1' is not HOST[:PORT]"},
    {"gpu1/", "'gpu1/' is not HOST[:PORT]"},
    {"me@gpu1", "'me@gpu1' is not a host name"},
    {"10.0.0", "'10.0.0' is not an IPv4 address"},
    {"::1", "'::1': an IPv6 address needs brackets, as in [::1]"},
    {"[::1", "'[::1' lacks the closing bracket"},
    {"gpu1:", "'' is not a port (0..65535)"},
    {"gpu1:0", "'gpu1:0': port 0 cannot be connected to"},
    {"gpu1:65536", "'65536' is not a port (0..65535)"},
}, origins[] = {
    {"https://dash.example", NULL},
    {"http://localhost:3000", NULL},
    {"http://10.0.0.1", NULL},
    {"https://[2001:db8::1]:8443", NULL},
    {"http://h:443", NULL},
    {"https://h:80", NULL},
    {"chrome-extension://abcdefghijklmnop", NULL},
    {"*", ANYBODY("*")},
    {"null", ANYBODY("null")},
    {"", NO_ORIGIN("")},
    {"dash.example", NO_ORIGIN("dash.example")},
    {"https:dash.example", NO_ORIGIN("https:dash.example")},
    {"://dash.example", NO_ORIGIN("://dash.example")},
    {"1http://h", NO_ORIGIN("1http://h")},
    {"https://dash.example/", NO_ORIGIN("https://dash.example/")},
    {"https://dash.example/x", NO_ORIGIN("https://dash.example/x")},
    {"https://a https://b", NO_ORIGIN("https://a https://b")},
    {"https://h\r\nX: y", NOT_LOWER("https://h\xef\xbf\xbd\xef\xbf\xbdX: y")},
    {"https://h\r\nx: y", NO_ORIGIN("https://h\xef\xbf\xbd\xef\xbf\xbdx: y")},
    {"https://", "the host is missing"},
    {"https://*", "'*' is not a host name"},
    {"https://me@h", "'me@h' is not a host name"},
    {"https://h?x", "'h?x' is not a host name"},
    {"HTTPS://h", NOT_LOWER("HTTPS://h")},
    {"https://Dash.example", NOT_LOWER("https://Dash.example")},
    {"http://h:80", DEFAULT_PORT("http://h:80")},
    {"http://h:080", DEFAULT_PORT("http://h:080")},
    {"https://h:443", DEFAULT_PORT("https://h:443")},
    {"http://h:0", "'http://h:0' is not as browsers write it"},
    {"http://h:03000", "'http://h:03000' is not as browsers write it"},
    {"https://h:", "'' is not a port (0..65535)"},
    {"https://::1", "'::1': an IPv6 address needs brackets, as in [::1]"},
}, servers[] = {
    {"nats://localhost", NULL},
    {"nats://10.0.0.1:4222", NULL},
    {"tls://nats.example:4443", NULL},
    {"tls://[2001:db8::1]:4222", NULL},
    {"", NO_SERVER("")},
    {"localhost:4222", NO_SERVER("localhost:4222")},
    {"http://localhost", NO_SERVER("http://localhost")},
    {"NATS://localhost", NO_SERVER("NATS://localhost")},
    {"nats://localhost/x", NO_SERVER("nats://localhost/x")},
    {"nats://a nats://b", NO_SERVER("nats://a nats://b")},
    {"nats://me:secret@localhost", WITH_SECRET},
    {"nats://secret@localhost", WITH_SECRET},
    {"tls://", "the host is missing"},
    {"nats://localhost:0", "'nats://localhost:0': port 0 cannot be connected to"},
    {"nats://localhost:65536", "'65536' is not a port (0..65535)"},
    {"nats://*", "'*' is not a host name"},
};
// clang-format on

static void check(const struct setting *setting, const char *text, const char *expected)
{
    struct config *config = calloc(1, sizeof(*config));
    struct complaint why = {""};
    int r = value_append(setting, config, span_of(text), &why);

    assert_non_null(config);
    if ((r == 0) != (expected == NULL) || (expected && strcmp(why.text, expected) != 0))
        fail_msg("[%s] is %d\n  says     %s\n  expected %s", text, r, why.text,
                 expected ? expected : "nothing");
    config_free(config);
}

/* What the configuration takes, the gate must be able to read. */
static void check_in_gate(const char *host, const char *origin)
{
    struct gate_options options = {
        .hosts = &host, .n_hosts = 1, .origins = &origin, .n_origins = origin ? 1 : 0};
    struct gate *gate = NULL;

    if (gate_new(&options, &gate) != 0)
        fail_msg("[%s] is nothing for the gate", host);
    gate_free(gate);
}

static void test_hosts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        check(&hosts_setting, hosts[i].text, hosts[i].complaint);
        if (!hosts[i].complaint)
            check_in_gate(hosts[i].text, NULL);
    }
}

static void test_origins(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(origins); i++) {
        check(&origins_setting, origins[i].text, origins[i].complaint);
        if (!origins[i].complaint)
            check_in_gate("h", origins[i].text);
    }
}

static void test_servers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(servers); i++)
        check(&servers_setting, servers[i].text, servers[i].complaint);
}

static void test_longest_origin(void **state)
{
    static const char longest[] = "https://" LONG_240 "1234567";
    char cut[96 + 64];

    (void)state;
    assert_int_equal(strlen(longest), CONFIG_ORIGIN_MAX);
    assert_int_equal((int)CONFIG_ORIGIN_MAX, (int)GATE_ORIGIN_MAX);
    check(&origins_setting, longest, NULL);
    check_in_gate("h", longest);
    (void)snprintf(cut, sizeof(cut), "'%s' is not SCHEME://HOST[:PORT]",
                   quote(span_of("https://" LONG_240 "12345678")).text);
    check(&origins_setting, "https://" LONG_240 "12345678", cut);
}

static void test_list_is_full(void **state)
{
    struct config *config = calloc(1, sizeof(*config));
    struct complaint why = {""};

    (void)state;
    assert_non_null(config);
    for (int i = 0; i < CONFIG_LIST_MAX; i++)
        assert_int_equal(value_append(&hosts_setting, config, span_of("h"), &why), 0);
    assert_int_equal(value_append(&hosts_setting, config, span_of("h"), &why), -EINVAL);
    assert_string_equal(why.text, "more than 16 hosts");
    assert_int_equal(config->allow_hosts.n, CONFIG_LIST_MAX);
    config_free(config);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_servers),      cmocka_unit_test(test_longest_origin),
        cmocka_unit_test(test_list_is_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
