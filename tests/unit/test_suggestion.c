// SPDX-License-Identifier: Apache-2.0
#include "base/suggestion.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define LONG_NAME "a-name-of-forty-one-bytes-that-is-too-lon"

// clang-format off
static const struct {
    const char *row;
    const char *wanted;
    const char *candidates[3];
    const char *nearest; // NULL: none is near enough
} rows[] = {
    {"the same", "theme", {"theme"}, "theme"},
    {"a letter changed", "thene", {"theme"}, "theme"},
    {"a letter left out", "inteval", {"listen", "interval"}, "interval"},
    {"a letter too many", "listenn", {"listen", "interval"}, "listen"},
    {"the nearer of two, in any order", "token-fil", {"token-file", "token"}, "token-file"},
    {"the nearer of two, the other way round", "token-fil", {"token", "token-file"}, "token-file"},
    {"of two as near the first", "cat", {"bat", "hat"}, "bat"},
    {"a third of it may differ", "abcdef", {"abcdxy"}, "abcdxy"},
    {"more may not", "abcdef", {"abcxyz"}, NULL},
    {"nothing is near nothing", "", {"a"}, NULL},
    {"no candidates", "theme", {NULL}, NULL},
    {"too long to be looked at", LONG_NAME, {LONG_NAME}, NULL},
};
// clang-format on

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct suggestion suggestion = {.wanted = span_of(rows[i].wanted)};

        for (size_t k = 0; k < ARRAY_LEN(rows[i].candidates); k++)
            if (rows[i].candidates[k])
                suggestion_consider(&suggestion, rows[i].candidates[k]);
        if (!rows[i].nearest && suggestion.name)
            fail_msg("%s: %s", rows[i].row, suggestion.name);
        if (rows[i].nearest &&
            (!suggestion.name || strcmp(suggestion.name, rows[i].nearest) != 0))
            fail_msg("%s: %s", rows[i].row, suggestion.name ? suggestion.name : "none");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
