// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/config.h"

enum { WORDS_MAX = 4 };

static const struct {
    const char *row;
    const char *flags[WORDS_MAX];
    const char *environment[WORDS_MAX];
    const char *history;
} rows[] = {
    {"nothing", {0}, {0}, NULL},
    {"a flag", {"--history=/var/h.db"}, {0}, "/var/h.db"},
    {"a variable", {0}, {"VRAMSCOPE_HISTORY=h.db"}, "h.db"},
    {"a service manager", {0}, {"STATE_DIRECTORY=/var/lib/v"}, "/var/lib/v/history.db"},
    {"several folders",
     {0},
     {"A=b", "STATE_DIRECTORY=/var/lib/v:/var/lib/w"},
     "/var/lib/v/history.db"},
    {"a flag before the service manager",
     {"--history", "/h.db"},
     {"STATE_DIRECTORY=/var/lib/v"},
     "/h.db"},
    {"off", {"--history=off"}, {"STATE_DIRECTORY=/var/lib/v"}, NULL},
    {"off before a variable", {"--history=off"}, {"VRAMSCOPE_HISTORY=h.db"}, NULL},
    {"off in a variable",
     {0},
     {"VRAMSCOPE_HISTORY=off", "STATE_DIRECTORY=/var/lib/v"},
     NULL},
    {"no folder", {0}, {"STATE_DIRECTORY="}, NULL},
    {"no absolute one", {0}, {"STATE_DIRECTORY=var:/lib"}, NULL},
    {"another's variable", {0}, {"STATE_DIRECTORY_=/v", "XSTATE_DIRECTORY=/v"}, NULL},
    {"a demo", {"--demo"}, {"STATE_DIRECTORY=/var/lib/v"}, NULL},
    {"a demo with a file", {"--demo", "--history=/h.db"}, {0}, "/h.db"},
};

static struct config *load(const char *const *flags, const char *const *variables,
                           struct complaint *complaint)
{
    char *argv[WORDS_MAX + 2] = {(char *)(uintptr_t) "vramscoped"};
    char *environment[WORDS_MAX + 1] = {NULL};
    struct config *config = NULL;
    enum config_action action;
    int argc = 1;

    for (size_t i = 0; i < WORDS_MAX && flags[i]; i++)
        argv[argc++] = (char *)(uintptr_t)flags[i];
    for (size_t i = 0; i < WORDS_MAX && variables[i]; i++)
        environment[i] = (char *)(uintptr_t)variables[i];
    return config_load(argc, argv, environment, &config, &action, complaint) < 0 ? NULL
                                                                                 : config;
}

static void test_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct complaint complaint = {""};
        struct config *config = load(rows[i].flags, rows[i].environment, &complaint);

        if (!config)
            fail_msg("[%s] %s", rows[i].row, complaint.text);
        if (!config->history != !rows[i].history ||
            (config->history && strcmp(config->history, rows[i].history) != 0))
            fail_msg("[%s] %s", rows[i].row, config->history ? config->history : "off");
        config_free(config);
    }
}

static void test_how_much(void **state)
{
    static const struct {
        const char *flag;
        uint64_t mib, days; // 0: it is refused
    } limits[] = {
        {NULL, 1024, 30},
        {"--history-size=16", 16, 30},
        {"--history-size=15", 0, 0},
        {"--history-size=1048577", 0, 0},
        {"--history-days=1", 1024, 1},
        {"--history-days=0", 0, 0},
        {"--history-days=3651", 0, 0},
        {"--history=", 0, 0},
    };
    static const char *const none[WORDS_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        const char *const flags[WORDS_MAX] = {limits[i].flag};
        struct complaint complaint = {""};
        struct config *config = load(flags, none, &complaint);

        if (!config != !limits[i].mib)
            fail_msg("%s: %s", limits[i].flag, complaint.text);
        if (config) {
            assert_int_equal(config->history_mib, limits[i].mib);
            assert_int_equal(config->history_days, limits[i].days);
        }
        config_free(config);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where),
        cmocka_unit_test(test_how_much),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
