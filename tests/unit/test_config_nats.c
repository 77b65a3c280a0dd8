// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/config.h"

enum { WORDS_MAX = 6 };

#define SERVER "--nats=nats://127.0.0.1"
#define OWN(flag) "--gateway and " flag ": a gateway has no engine and no GPU of its own"
#define NO_PREFIX(text)                                                              \
    "'" text "' is not a prefix of subjects (letters, digits, _ and -, with single " \
    "dots between them)"
#define SIXTEEN "0123456789abcdef"
#define BOTH(prefix) \
    "--uplink and --nats-prefix are both '" prefix "': the gateway would hear itself"

static struct config *load(const char *const *flags, struct complaint *complaint)
{
    char state[] = "STATE_DIRECTORY=/var/lib/v";
    char *argv[WORDS_MAX + 2] = {(char *)(uintptr_t) "vramscoped"};
    char *environment[] = {state, NULL};
    struct config *config = NULL;
    enum config_action action;
    int argc = 1;

    for (size_t i = 0; i < WORDS_MAX && flags[i]; i++)
        argv[argc++] = (char *)(uintptr_t)flags[i];
    return config_load(argc, argv, environment, &config, &action, complaint) < 0 ? NULL
                                                                                 : config;
}

static const struct {
    const char *row;
    const char *flags[WORDS_MAX];
    const char *complaint;
} bad[] = {
    {"no server",
     {"--gateway"},
     "--gateway is given without --nats: the server that the nodes publish to"},
    {"an engine", {SERVER, "--gateway", "--engine=http://h:1"}, OWN("--engine")},
    {"a demo", {SERVER, "--gateway", "--demo"}, OWN("--demo")},
    {"Docker", {SERVER, "--gateway", "--docker-socket=/d"}, OWN("--docker-socket")},
    {"a driver", {SERVER, "--gateway", "--gpu=nvml"}, OWN("--gpu")},
    {"an uplink of a host",
     {SERVER, "--uplink=up"},
     "--uplink is given without --gateway: a host publishes under --nats-prefix"},
    {"its own prefix", {SERVER, "--gateway", "--uplink=vramscope"}, BOTH("vramscope")},
    {"its own prefix, given",
     {SERVER, "--gateway", "--uplink=a.b", "--nats-prefix=a.b"},
     BOTH("a.b")},
    {"a name of nobody",
     {SERVER, "--gateway", "--node=eu"},
     "--node is given with --gateway, but without --uplink: a gateway has a name only "
     "where it publishes its sum"},
    {"an uplink without a name",
     {SERVER, "--gateway", "--uplink=up"},
     "--uplink is given without --node: the name under which every gateway of these "
     "nodes publishes their sum, so that it counts once"},
    {"no prefix", {"--nats-prefix="}, "--nats-prefix: " NO_PREFIX("")},
    {"a dot first", {"--nats-prefix=.a"}, "--nats-prefix: " NO_PREFIX(".a")},
    {"a dot last", {"--nats-prefix=a."}, "--nats-prefix: " NO_PREFIX("a.")},
    {"two dots", {"--nats-prefix=a..b"}, "--nats-prefix: " NO_PREFIX("a..b")},
    {"a dot alone", {"--nats-prefix=."}, "--nats-prefix: " NO_PREFIX(".")},
    {"a wildcard", {"--nats-prefix=a.*"}, "--nats-prefix: " NO_PREFIX("a.*")},
    {"a wildcard for all", {"--uplink=>"}, "--uplink: " NO_PREFIX(">")},
    {"a blank", {"--uplink=a b"}, "--uplink: " NO_PREFIX("a b")},
    {"a system's", {"--uplink=$SYS"}, "--uplink: " NO_PREFIX("$SYS")},
    {"another's letters", {"--uplink=\303\244"}, "--uplink: " NO_PREFIX("\303\244")},
    {"too long",
     {"--uplink=" SIXTEEN SIXTEEN SIXTEEN SIXTEEN "0"},
     "--uplink: '" SIXTEEN SIXTEEN SIXTEEN SIXTEEN "0' is longer than 64 bytes"},
};

static void test_what_does_not_go_together(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct complaint complaint = {""};
        struct config *config = load(bad[i].flags, &complaint);

        if (config || strcmp(complaint.text, bad[i].complaint) != 0)
            fail_msg("[%s] '%s'", bad[i].row, complaint.text);
    }
}

static const struct {
    const char *row;
    const char *flags[WORDS_MAX];
    const char *prefix, *uplink, *gpu, *history;
    bool gateway, discover;
} good[] = {
    {"a host", {0}, "vramscope", NULL, "auto", "/var/lib/v/history.db", false, true},
    {"a host that publishes",
     {SERVER, "--nats-prefix=vramscope.eu", "--gpu=nvml"},
     "vramscope.eu",
     NULL,
     "nvml",
     "/var/lib/v/history.db",
     false,
     true},
    {"a gateway", {SERVER, "--gateway"}, "vramscope", NULL, "none", NULL, true, false},
    {"that has no GPU",
     {SERVER, "--gateway", "--gpu=none"},
     "vramscope",
     NULL,
     "none",
     NULL,
     true,
     false},
    {"that keeps history",
     {SERVER, "--gateway", "--history=/h.db"},
     "vramscope",
     NULL,
     "none",
     "/h.db",
     true,
     false},
    {"that publishes",
     {SERVER, "--gateway", "--nats-prefix=A-z_09.b", "--uplink=A-z_09.b.v1", "--node=eu"},
     "A-z_09.b",
     "A-z_09.b.v1",
     "none",
     NULL,
     true,
     false},
    {"the longest prefix",
     {"--nats-prefix=" SIXTEEN SIXTEEN SIXTEEN SIXTEEN},
     SIXTEEN SIXTEEN SIXTEEN SIXTEEN,
     NULL,
     "auto",
     "/var/lib/v/history.db",
     false,
     true},
};

static bool same(const char *a, const char *b)
{
    return !a == !b && (!a || strcmp(a, b) == 0);
}

static void test_what_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct complaint complaint = {""};
        struct config *config = load(good[i].flags, &complaint);

        if (!config)
            fail_msg("[%s] %s", good[i].row, complaint.text);
        if (!same(config->nats_prefix, good[i].prefix) ||
            !same(config->uplink, good[i].uplink) || !same(config->gpu, good[i].gpu) ||
            !same(config->history, good[i].history) ||
            config->gateway != good[i].gateway || config->discover != good[i].discover)
            fail_msg("[%s] %s %s %s %s", good[i].row, config->nats_prefix,
                     config->uplink ? config->uplink : "-", config->gpu,
                     config->history ? config->history : "-");
        config_free(config);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_does_not_go_together),
        cmocka_unit_test(test_what_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
