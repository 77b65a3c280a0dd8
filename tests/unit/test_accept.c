// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "serve/accept.h"

static const struct {
    const char *accept;
    bool other; // CSV, where JSON is what is usual
} rows[] = {
    {"", false},
    {"text/csv", true},
    {"TEXT/CSV", true},
    {"text/csv, */*;q=0.1", true},
    {"text/csv, */*", true},
    {"text/csv; charset=utf-8; header=present", true},
    {"text/csv;q=0", false},
    {"text/csv;q=0.000, */*", false},
    {"text/csv ; q=0", false},
    {"*/*, text/csv;q=0", false},
    {"text/csv;q=0, application/json;q=0", false},
    {"text/csv;q=0.5, application/json", false},
    {"text/csv, application/json;q=0.5", true},
    {"text/csv, application/json", false}, // both are named, both as well
    {"application/json;q=0, */*", true},
    {"text/*", true},
    {"text/*, text/csv;q=0", false},
    {"*/*", false},
    {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false},
    {"text/csv-schema", false},
    {"x-text/csv", false},
    {"text/csv;q=2", false},
    {"text/csv;q=", false},
};

static void test_csv_or_json(void **state)
{
    static const struct accept_type csv = {"text/csv", "text/*", NULL};
    static const struct accept_type json = {"application/json", "application/*", NULL};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (accept_prefers(span_of(rows[i].accept), &csv, &json) != rows[i].other)
            fail_msg("\"%s\" is read as the other one", rows[i].accept);
    assert_false(accept_prefers((struct span){NULL, 0}, &csv, &json));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_csv_or_json)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
